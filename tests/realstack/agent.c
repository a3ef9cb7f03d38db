/* SPDX-License-Identifier: MIT */
/*
 * agent PORT: the hands of the cases inside the virtual machine, and its first process. The cases
 * themselves run on the host, where Python costs little.
 *
 * Each message is led by its length, 32 bits in the machine's order. Requests are fields with a NUL
 * between them:
 *
 *   spawn USER FILE INPUT COMMAND…   starts a process; the answer is its number. Its output goes to
 *                                    FILE, or, if that is empty, to the cases; it can read INPUT
 *   input PROCESS TEXT               writes TEXT to it; an empty one closes its input
 *   signal PROCESS NUMBER
 *   wait MILLISECONDS                until there is something to tell; the answer comes behind it
 *
 * What is told is a line of words, the first of which is the time in microseconds, and content:
 *
 *   TIME out PROCESS 1|2             what it has said on its output or standard error
 *   TIME end PROCESS                 it has ended, after all that it has said, with this status
 *   TIME done                        the answer
 *   TIME failed                      the answer: why not
 *
 * The machine's clock leaps over times in which nothing runs. So while the host thinks, the agent
 * does not sleep: the clock then goes no faster than the machine computes. Only "wait" lets time
 * pass.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GATHER         5000 /* us */
#define CHILDREN       64
#define REQUEST_MAX    65536
#define PIECE          65536
#define FIELDS         64
#define LINE_MAX_BYTES 100

struct child {
    pid_t pid; /* 0: nobody */
    int input, output, error;
};

static struct child children[CHILDREN];
static int port, child_ended;

static void die(const char *what)
{
    perror(what);
    exit(1); /* which the kernel takes for a panic: the machine ends */
}

/* ---- messages -------------------------------------------------------------------------------- */

/* As much as the other side takes before it ends. */
static void write_all(int to, const void *bytes, size_t length)
{
    const char *rest = bytes;

    while (length > 0) {
        ssize_t written = write(to, rest, length);

        if (written < 0 && errno != EAGAIN && errno != EINTR) {
            return;
        }
        if (written > 0) {
            rest += written;
            length -= (size_t)written;
        }
    }
}

/* Sends a line, which format says but for the time, and content. */
static void tell(const void *content, size_t length, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void tell(const void *content, size_t length, const char *format, ...)
{
    static char message[sizeof(uint32_t) + LINE_MAX_BYTES + PIECE];
    char *line = message + sizeof(uint32_t);
    struct timespec now;
    va_list arguments;
    uint32_t size;

    clock_gettime(CLOCK_MONOTONIC, &now);
    size = (uint32_t)sprintf(line, "%lld ", (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    va_start(arguments, format);
    size += (uint32_t)vsprintf(line + size, format, arguments);
    va_end(arguments);
    line[size++] = '\n';
    memcpy(line + size, content, length);
    size += (uint32_t)length;
    memcpy(message, &size, sizeof size);
    write_all(port, message, sizeof size + size);
}

static void done(const char *text)
{
    tell(text, strlen(text), "done");
}

static void failed(void)
{
    tell(strerror(errno), strlen(strerror(errno)), "failed");
}

/* Without sleeping: see above. */
static void read_all(void *bytes, size_t length)
{
    char *rest = bytes;

    while (length > 0) {
        ssize_t got = read(port, rest, length);

        if (got < 0 && errno != EAGAIN && errno != EINTR) {
            die("read");
        }
        if (got > 0) {
            rest += got;
            length -= (size_t)got;
        }
    }
}

/* ---- children -------------------------------------------------------------------------------- */

static struct child *find_child(pid_t pid)
{
    for (size_t i = 0; i < CHILDREN; i++) {
        if (children[i].pid == pid) {
            return &children[i];
        }
    }
    return NULL;
}

static void close_if_open(int *descriptor)
{
    if (*descriptor >= 0) {
        close(*descriptor);
    }
    *descriptor = -1;
}

/* Tells what is there to read; returns whether there was something. */
static bool relay(struct child *child, int *from, int number)
{
    static char piece[PIECE];
    bool any = false;
    ssize_t got;

    while (*from >= 0 && (got = read(*from, piece, sizeof piece)) != 0) {
        if (got < 0) {
            return any; /* for now */
        }
        tell(piece, (size_t)got, "out %d %d", (int)child->pid, number);
        any = true;
    }
    close_if_open(from);
    return any;
}

static bool relay_end(void)
{
    struct signalfd_siginfo ignored;
    bool any = false;
    int status;
    pid_t pid;

    while (read(child_ended, &ignored, sizeof ignored) > 0) {
    }
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct child *child = find_child(pid);
        char text[16];

        if (child == NULL) {
            continue; /* some child's child */
        }
        relay(child, &child->output, 1);
        relay(child, &child->error, 2);
        close_if_open(&child->input);
        close_if_open(&child->output);
        close_if_open(&child->error);
        sprintf(text, "%d", status);
        tell(text, strlen(text), "end %d", (int)pid);
        child->pid = 0;
        any = true;
    }
    return any;
}

static bool relay_everything(void)
{
    bool any = false;

    for (size_t i = 0; i < CHILDREN; i++) {
        if (children[i].pid > 0) {
            any |= relay(&children[i], &children[i].output, 1);
            any |= relay(&children[i], &children[i].error, 2);
        }
    }
    return relay_end() || any;
}

/* In the child; does not return. */
static void become(char **command, uid_t user, int input, int output, int error)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    dup2(input, 0);
    dup2(output, 1);
    dup2(error, 2);
    if (user != 0 && (setgroups(0, NULL) < 0 || setgid(user) < 0 || setuid(user) < 0)) {
        die("setuid");
    }
    execvp(command[0], command);
    perror(command[0]);
    _exit(127);
}

static void open_output(const char *file, int output[2], int error[2])
{
    if (*file == '\0') {
        if (pipe2(output, O_CLOEXEC) < 0 || pipe2(error, O_CLOEXEC) < 0) {
            die("pipe");
        }
        fcntl(output[0], F_SETFL, O_NONBLOCK);
        fcntl(error[0], F_SETFL, O_NONBLOCK);
        return;
    }
    output[0] = error[0] = -1;
    output[1] = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    error[1] = dup(output[1]);
}

static void spawn(uid_t user, const char *file, const char *text, char **command)
{
    struct child *child = find_child(0);
    int input[2], output[2], error[2];
    char number[16];

    if (child == NULL) {
        errno = EAGAIN;
        failed();
        return;
    }
    if (pipe2(input, O_CLOEXEC) < 0) {
        die("pipe");
    }
    open_output(file, output, error);
    child->pid = fork();
    if (child->pid < 0) {
        die("fork");
    }
    if (child->pid == 0) {
        become(command, user, input[0], output[1], error[1]);
    }
    close(input[0]);
    close(output[1]);
    close(error[1]);
    child->input = input[1];
    child->output = output[0];
    child->error = error[0];
    write_all(child->input, text, strlen(text));
    sprintf(number, "%d", (int)child->pid);
    done(number);
}

/* ---- requests -------------------------------------------------------------------------------- */

static void give_input(struct child *child, const char *text)
{
    if (*text == '\0') {
        close_if_open(&child->input);
    } else if (child->input >= 0) {
        write_all(child->input, text, strlen(text));
    }
    done("");
}

static void send_signal(const struct child *child, int number)
{
    if (kill(child->pid, number) < 0) {
        failed();
    } else {
        done("");
    }
}

static void wait_for_something(int milliseconds)
{
    struct pollfd wait[2 * CHILDREN + 1] = {{.fd = child_ended, .events = POLLIN}};
    nfds_t count = 1;

    for (size_t i = 0; i < CHILDREN; i++) {
        if (children[i].pid > 0) {
            wait[count++] = (struct pollfd){.fd = children[i].output, .events = POLLIN};
            wait[count++] = (struct pollfd){.fd = children[i].error, .events = POLLIN};
        }
    }
    if (!relay_everything() && poll(wait, count, milliseconds) > 0) {
        usleep(GATHER); /* one event brings others */
        relay_everything();
    }
    done("");
}

static int number_of(const char *text)
{
    return (int)strtol(text, NULL, 10);
}

static void act(char **field, size_t count)
{
    const char *name = field[0];
    struct child *child = NULL;

    if (strcmp(name, "wait") == 0 && count == 2) {
        wait_for_something(number_of(field[1]));
        return;
    }
    if (strcmp(name, "spawn") == 0 && count > 4) {
        spawn((uid_t)number_of(field[1]), field[2], field[3], field + 4);
        return;
    }
    if (count == 3 && number_of(field[1]) > 0) {
        child = find_child(number_of(field[1]));
    }
    if (child == NULL) {
        errno = ESRCH;
        failed();
    } else if (strcmp(name, "input") == 0) {
        give_input(child, field[2]);
    } else if (strcmp(name, "signal") == 0) {
        send_signal(child, number_of(field[2]));
    } else {
        errno = ENOSYS;
        failed();
    }
}

static void serve_one(void)
{
    static char request[REQUEST_MAX + 1];
    char *field[FIELDS + 1];
    size_t count = 0;
    uint32_t size;

    read_all(&size, sizeof size);
    if (size > REQUEST_MAX) {
        errno = EMSGSIZE;
        die("request");
    }
    read_all(request, size);
    request[size] = '\0';
    for (char *at = request; at <= request + size && count < FIELDS; at += strlen(at) + 1) {
        field[count++] = at;
    }
    field[count] = NULL;
    act(field, count);
}

int main(int argc, char **argv)
{
    sigset_t ended;

    if (argc != 2) {
        fputs("Usage: agent PORT\n", stderr);
        return 2;
    }
    port = open(argv[1], O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (port < 0) {
        die(argv[1]);
    }
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    sigprocmask(SIG_BLOCK, &ended, NULL);
    child_ended = signalfd(-1, &ended, SFD_NONBLOCK | SFD_CLOEXEC);
    done("");
    for (;;) {
        serve_one();
    }
}
