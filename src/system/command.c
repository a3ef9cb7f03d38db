/* SPDX-License-Identifier: MIT */
/* Runs what the operator has given to be run, beside the main loop and without a shell. */
#include "log.h"
#include "system.h"

#include <gio/gio.h>

enum { COMMAND_LIMIT_SECONDS = 60 };

struct SystemCommand {
    char **argv;
    GSubprocess *process; /* running, or NULL */
    GCancellable *cancellable;
    guint timer; /* GLib source that ends it */
};

SystemCommand *system_command_new(const char *line, GError **error)
{
    g_auto(GStrv) argv = NULL;
    SystemCommand *command;

    if (!g_shell_parse_argv(line, NULL, &argv, error))
        return NULL;

    g_autofree char *program = g_find_program_in_path(argv[0]);

    if (!program) {
        g_set_error(error, G_SHELL_ERROR, G_SHELL_ERROR_FAILED,
                    "there is no program \"%s\" that can be run", argv[0]);
        return NULL;
    }
    command = g_new0(SystemCommand, 1);
    command->argv = g_steal_pointer(&argv);
    command->cancellable = g_cancellable_new();
    return command;
}

static gboolean on_limit(gpointer user)
{
    SystemCommand *command = user;

    command->timer = 0;
    log_warn("%s has run for %d s and is ended", command->argv[0], COMMAND_LIMIT_SECONDS);
    g_subprocess_force_exit(command->process);
    return G_SOURCE_REMOVE;
}

static void on_end(GObject *source, GAsyncResult *result, gpointer user)
{
    GSubprocess *process = G_SUBPROCESS(source);
    SystemCommand *command = user;

    if (!g_subprocess_wait_finish(process, result, NULL))
        return; /* cancelled: the command is gone */
    if (!g_subprocess_get_if_exited(process))
        log_warn("%s was ended by signal %d", command->argv[0], g_subprocess_get_term_sig(process));
    else if (g_subprocess_get_exit_status(process) != 0)
        log_warn("%s ended with status %d", command->argv[0],
                 g_subprocess_get_exit_status(process));
    else
        log_info("%s has done its work", command->argv[0]);
    g_clear_handle_id(&command->timer, g_source_remove);
    g_clear_object(&command->process);
}

gboolean system_command_run(SystemCommand *command, const char *const *variables)
{
    g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_NONE);
    g_autoptr(GError) error = NULL;

    if (command->process)
        return FALSE;
    for (gsize i = 0; variables[i]; i += 2)
        g_subprocess_launcher_setenv(launcher, variables[i], variables[i + 1], TRUE);
    /* Not its business: it would speak to the service manager in our name. */
    g_subprocess_launcher_unsetenv(launcher, "NOTIFY_SOCKET");
    g_subprocess_launcher_unsetenv(launcher, "WATCHDOG_USEC");
    g_subprocess_launcher_unsetenv(launcher, "WATCHDOG_PID");
    command->process =
        g_subprocess_launcher_spawnv(launcher, (const char *const *)command->argv, &error);
    if (!command->process) {
        log_warn("cannot run %s: %s", command->argv[0], error->message);
        return FALSE;
    }
    command->timer = g_timeout_add_seconds(COMMAND_LIMIT_SECONDS, on_limit, command);
    log_info("running %s", command->argv[0]);
    g_subprocess_wait_async(command->process, command->cancellable, on_end, command);
    return TRUE;
}

void system_command_free(SystemCommand *command)
{
    if (!command)
        return;
    g_cancellable_cancel(command->cancellable);
    g_object_unref(command->cancellable);
    g_clear_handle_id(&command->timer, g_source_remove);
    g_clear_object(&command->process);
    g_strfreev(command->argv);
    g_free(command);
}
