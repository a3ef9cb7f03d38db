/* SPDX-License-Identifier: MIT */
/* The operator's command: how it is started, and that it ends with all that it has started. */
#include "log.h"
#include "system.h"

#include <fcntl.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LONG_MS = 120000, /* far above what any of these commands takes */
    LIMIT_MS = 2000,  /* a shell has begun by then */
};

/*
 * Who has the pipe of @c path open for writing is alive: its end tells that all of them are gone,
 * whatever their numbers were and whoever has to wait for them.
 */
typedef struct {
    char *directory;
    char *path;
    int fd;
    GMainLoop *loop;
    GString *heard;
} Witness;

static void set_up(Witness *witness, gconstpointer unused)
{
    (void)unused;
    witness->directory = g_dir_make_tmp("bms-command-XXXXXX", NULL);
    witness->path = g_build_filename(witness->directory, "witness", NULL);
    g_assert_no_errno(mkfifo(witness->path, 0600));
    witness->fd = g_open(witness->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
    g_assert_no_errno(witness->fd);
    witness->loop = g_main_loop_new(NULL, FALSE);
    witness->heard = g_string_new(NULL);
}

static void tear_down(Witness *witness, gconstpointer unused)
{
    (void)unused;
    g_string_free(witness->heard, TRUE);
    g_main_loop_unref(witness->loop);
    close(witness->fd);
    g_unlink(witness->path);
    g_rmdir(witness->directory);
    g_free(witness->path);
    g_free(witness->directory);
}

/** Runs @a script in a shell, with the pipe as $0. */
static gboolean start(SystemCommand *command, const Witness *witness, const char *script)
{
    static const char *const variables[] = {"BMS_BATTERY", "house", NULL};
    g_autofree char *quoted = g_shell_quote(script);
    g_autofree char *line = g_strdup_printf("sh -c %s %s", quoted, witness->path);

    return system_command_start(command, line, variables);
}

static gboolean on_heard(int fd, GIOCondition condition, gpointer user)
{
    Witness *witness = user;
    char buffer[256];
    ssize_t n = read(fd, buffer, sizeof buffer);

    (void)condition;
    g_assert_no_errno((int)n);
    g_string_append_len(witness->heard, buffer, n);
    if (n == 0 || witness->heard->str[witness->heard->len - 1] == '\n')
        g_main_loop_quit(witness->loop);
    return G_SOURCE_CONTINUE;
}

/** @return what was written until the end of a line, or, if it is empty, all writers have gone */
static const char *hear(Witness *witness)
{
    guint source = g_unix_fd_add(witness->fd, G_IO_IN | G_IO_HUP, on_heard, witness);

    g_string_truncate(witness->heard, 0);
    g_main_loop_run(witness->loop);
    g_source_remove(source);
    return witness->heard->str;
}

/** Runs the main loop until a command has ended, and been waited for. */
static void until_over(const SystemCommand *command)
{
    while (system_command_is_running(command))
        g_main_context_iteration(NULL, TRUE);
}

static void test_check(void)
{
    static const struct {
        const char *line;
        gboolean good;
    } cases[] = {{"true", TRUE}, {"/bin/sh -c 'a b'", TRUE}, {"", FALSE},
                 {"'", FALSE},   {"no-such-program", FALSE}, {"/etc/passwd", FALSE}};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_cmpint(system_command_check(cases[i].line, &error), ==, cases[i].good);
        g_assert_cmpint(error == NULL, ==, cases[i].good);
    }
}

/** What it gets, and what it does not. */
static void test_surroundings(Witness *witness, gconstpointer unused)
{
    SystemCommand *command = system_command_new(LONG_MS, LONG_MS);

    (void)unused;
    g_setenv("NOTIFY_SOCKET", "/nonexistent", TRUE);
    g_setenv("WATCHDOG_USEC", "1", TRUE);
    g_assert_true(start(command, witness,
                        "exec 3>\"$0\"; read line; echo \"$BMS_BATTERY,${NOTIFY_SOCKET-none},"
                        "${WATCHDOG_USEC-none},$?\" >&3"));
    g_assert_cmpstr(hear(witness), ==, "house,none,none,1\n"); /* 1: nothing to read */
    g_assert_cmpstr(hear(witness), ==, "");
    until_over(command);
    g_unsetenv("NOTIFY_SOCKET");
    g_unsetenv("WATCHDOG_USEC");
    system_command_free(command);
}

/** Makes the pipe that a script waits for with "read line <$0.go". */
static char *make_go(const Witness *witness)
{
    char *go = g_strconcat(witness->path, ".go", NULL);

    g_assert_no_errno(mkfifo(go, 0600));
    return go;
}

/** Lets the script go on. */
static void let_go(char *go)
{
    int fd = g_open(go, O_WRONLY | O_CLOEXEC, 0); /* waits until the script reads */

    g_assert_no_errno(fd);
    close(fd);
    g_unlink(go);
    g_free(go);
}

/** One at a time, whatever the next one is; and again when it has ended. */
static void test_one_at_a_time(Witness *witness, gconstpointer unused)
{
    SystemCommand *command = system_command_new(LONG_MS, LONG_MS);
    char *go = make_go(witness);

    (void)unused;
    g_assert_true(start(command, witness, "read line <\"$0.go\""));
    g_assert_false(start(command, witness, "true"));
    g_assert_false(system_command_start(command, "true", (const char *const[]){NULL}));
    let_go(go);
    until_over(command);
    g_assert_true(start(command, witness, "true"));
    until_over(command);
    system_command_free(command);
}

static void test_not_started(Witness *witness, gconstpointer unused)
{
    static const char *const none[] = {NULL};
    SystemCommand *command = system_command_new(LONG_MS, LONG_MS);

    (void)unused;
    g_assert_true(g_file_set_contents(witness->path, "", 0, NULL)); /* no longer a pipe */
    g_assert_false(system_command_start(command, witness->path, none));
    g_assert_false(system_command_start(command, "no-such-program", none));
    g_assert_false(system_command_start(command, "'", none));
    g_assert_true(system_command_start(command, "true", none));
    until_over(command);
    system_command_free(command);
}

/** At the limit all that it has started is ended too, first by SIGTERM. */
static void test_limit(Witness *witness, gconstpointer unused)
{
    SystemCommand *command = system_command_new(LIMIT_MS, LONG_MS);

    (void)unused;
    g_assert_true(start(command, witness,
                        "exec 3>\"$0\"; (trap 'echo term >&3; exit' TERM; echo 1 >&3; "
                        "while :; do sleep 1; done) & sleep 600"));
    g_assert_cmpstr(hear(witness), ==, "1\n");
    g_assert_cmpstr(hear(witness), ==, "term\n");
    g_assert_cmpstr(hear(witness), ==, "");
    system_command_free(command);
}

/** What does not heed SIGTERM is killed, though its parent has ended before. */
static void test_deaf(Witness *witness, gconstpointer unused)
{
    SystemCommand *command = system_command_new(LIMIT_MS, 500);

    (void)unused;
    g_assert_true(start(command, witness,
                        "exec 3>\"$0\"; (trap '' TERM; echo 1 >&3; sleep 600) & sleep 600"));
    g_assert_cmpstr(hear(witness), ==, "1\n");
    g_assert_cmpstr(hear(witness), ==, "");
    until_over(command);
    g_assert_true(start(command, witness, "true"));
    until_over(command);
    system_command_free(command);
}

/** The command itself does not heed it. */
static void test_deaf_leader(Witness *witness, gconstpointer unused)
{
    SystemCommand *command = system_command_new(LIMIT_MS, 500);

    (void)unused;
    g_assert_true(start(command, witness, "exec 3>\"$0\"; trap '' TERM; echo 1 >&3; sleep 600"));
    g_assert_cmpstr(hear(witness), ==, "1\n");
    g_assert_cmpstr(hear(witness), ==, "");
    until_over(command);
    system_command_free(command);
}

/** At the end of the program a command is left to finish. */
static void test_left_behind(Witness *witness, gconstpointer unused)
{
    SystemCommand *command = system_command_new(LONG_MS, LONG_MS);
    char *go = make_go(witness);

    (void)unused;
    g_assert_true(
        start(command, witness, "exec 3>\"$0\"; echo 1 >&3; read line <\"$0.go\"; echo 2 >&3"));
    g_assert_cmpstr(hear(witness), ==, "1\n");
    system_command_free(command);
    let_go(go);
    g_assert_cmpstr(hear(witness), ==, "2\n");
    g_assert_cmpstr(hear(witness), ==, "");
}

static void add(const char *name, void (*test)(Witness *, gconstpointer))
{
    g_test_add(name, Witness, NULL, set_up, test, tear_down);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    log_init(LOG_LEVEL_ERROR, FALSE); /* warnings are meant */
    g_test_add_func("/command/check", test_check);
    add("/command/surroundings", test_surroundings);
    add("/command/one-at-a-time", test_one_at_a_time);
    add("/command/not-started", test_not_started);
    add("/command/limit", test_limit);
    add("/command/deaf", test_deaf);
    add("/command/deaf-leader", test_deaf_leader);
    add("/command/left-behind", test_left_behind);
    return g_test_run();
}
