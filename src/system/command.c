/* SPDX-License-Identifier: MIT */
/*
 * Runs the operator's command beside the main loop and without a shell.
 *
 * The command leads a session of its own, so that a signal reaches what it has started too. Its
 * process is watched through a pidfd and waited for here instead of by GLib: a process that nobody
 * has waited for keeps its number, and as long as it does, the number of its process group cannot
 * come to mean somebody else's.
 */
#include "log.h"
#include "system.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

typedef enum {
    STAGE_RUNNING,
    STAGE_TERMINATED, /**< the limit is over, SIGTERM was sent */
    STAGE_KILLED,     /**< the grace period is over too, SIGKILL was sent */
} Stage;

struct SystemCommand {
    guint limit_ms;
    guint grace_ms;
    Stage stage;
    char *name;  /* the program that runs */
    GPid pid;    /* its process and its process group; 0 if none runs */
    int fd;      /* pidfd of it; −1 once it has ended */
    guint watch; /* GLib source of fd */
    guint timer; /* GLib source: the limit, then the grace period */
};

/** @return NULL with @a error if @a line is not words, or the first one not a program */
static char **parse(const char *line, GError **error)
{
    g_auto(GStrv) argv = NULL;
    g_autofree char *program = NULL;

    if (!g_shell_parse_argv(line, NULL, &argv, error))
        return NULL;
    program = g_find_program_in_path(argv[0]);
    if (!program) {
        g_set_error(error, G_SHELL_ERROR, G_SHELL_ERROR_FAILED,
                    "there is no program \"%s\" that can be run", argv[0]);
        return NULL;
    }
    return g_steal_pointer(&argv);
}

gboolean system_command_check(const char *line, GError **error)
{
    g_auto(GStrv) argv = parse(line, error);

    return argv != NULL;
}

SystemCommand *system_command_new(guint limit_ms, guint grace_ms)
{
    SystemCommand *command = g_new0(SystemCommand, 1);

    command->limit_ms = limit_ms;
    command->grace_ms = grace_ms;
    command->fd = -1;
    return command;
}

gboolean system_command_is_running(const SystemCommand *command)
{
    return command->pid != 0;
}

/* ---- its end --------------------------------------------------------------------------------- */

static void forget_process(SystemCommand *command)
{
    g_clear_handle_id(&command->timer, g_source_remove);
    g_clear_handle_id(&command->watch, g_source_remove);
    if (command->fd >= 0)
        close(command->fd);
    command->fd = -1;
    command->pid = 0;
    g_clear_pointer(&command->name, g_free);
}

static void log_end(const char *name, int status)
{
    if (WIFSIGNALED(status))
        log_warn("%s was ended by signal %d", name, WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0)
        log_warn("%s ended with status %d", name, WEXITSTATUS(status));
    else
        log_info("%s ended successfully", name);
}

/** For a process that has ended already, so that it does not wait. */
static void collect(SystemCommand *command)
{
    int status = 0;

    if (waitpid(command->pid, &status, 0) == command->pid)
        log_end(command->name, status);
    forget_process(command);
}

static gboolean on_ended(int fd, GIOCondition condition, gpointer user)
{
    SystemCommand *command = user;

    (void)condition;
    close(fd);
    command->fd = -1;
    command->watch = 0;
    /* During the grace period others of the group may still run: its number is kept for SIGKILL. */
    if (command->stage != STAGE_TERMINATED)
        collect(command);
    return G_SOURCE_REMOVE;
}

static gboolean on_grace_over(gpointer user)
{
    SystemCommand *command = user;

    command->timer = 0;
    command->stage = STAGE_KILLED;
    (void)kill(-command->pid, SIGKILL);
    if (command->fd < 0)
        collect(command);
    return G_SOURCE_REMOVE;
}

static gboolean on_limit(gpointer user)
{
    SystemCommand *command = user;

    log_warn("%s has run for %u s; it is ended, and what it has started", command->name,
             command->limit_ms / 1000);
    command->stage = STAGE_TERMINATED;
    (void)kill(-command->pid, SIGTERM);
    command->timer = g_timeout_add(command->grace_ms, on_grace_over, command);
    return G_SOURCE_REMOVE;
}

/* ---- its beginning --------------------------------------------------------------------------- */

static char **environment(const char *const *variables)
{
    char **env = g_get_environ();

    for (gsize i = 0; variables[i]; i += 2)
        env = g_environ_setenv(env, variables[i], variables[i + 1], TRUE);
    /* Not for the command: it would speak to the service manager in our name. */
    env = g_environ_unsetenv(env, "NOTIFY_SOCKET");
    env = g_environ_unsetenv(env, "WATCHDOG_USEC");
    return g_environ_unsetenv(env, "WATCHDOG_PID");
}

/** Between fork and exec: only calls that are async-signal-safe. */
static void set_up_child(gpointer user)
{
    (void)user;
    (void)setsid();
    (void)dup2(STDERR_FILENO, STDOUT_FILENO); /* standard output may be for metrics */
}

/** @return FALSE with errno set; the process is gone then */
static gboolean watch(SystemCommand *command)
{
    command->fd = (int)syscall(SYS_pidfd_open, command->pid, 0);
    if (command->fd < 0) {
        int saved = errno;

        (void)kill(-command->pid, SIGKILL);
        (void)waitpid(command->pid, NULL, 0);
        command->pid = 0;
        errno = saved;
        return FALSE;
    }
    command->watch = g_unix_fd_add(command->fd, G_IO_IN, on_ended, command);
    command->timer = g_timeout_add(command->limit_ms, on_limit, command);
    command->stage = STAGE_RUNNING;
    return TRUE;
}

gboolean system_command_start(SystemCommand *command, const char *line,
                              const char *const *variables)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) argv = NULL;
    g_auto(GStrv) env = NULL;

    if (command->pid) {
        log_warn("%s still runs; no command is started beside it", command->name);
        return FALSE;
    }
    argv = parse(line, &error);
    env = environment(variables);
    if (!argv || !g_spawn_async(NULL, argv, env, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
                                set_up_child, NULL, &command->pid, &error)) {
        log_warn("cannot run \"%s\": %s", line, error->message);
        return FALSE;
    }
    if (!watch(command)) {
        log_warn("cannot watch %s: %s", argv[0], g_strerror(errno));
        return FALSE;
    }
    command->name = g_strdup(argv[0]);
    log_info("running %s", command->name);
    return TRUE;
}

void system_command_free(SystemCommand *command)
{
    if (!command)
        return;
    forget_process(command);
    g_free(command);
}
