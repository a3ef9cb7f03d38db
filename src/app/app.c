/* SPDX-License-Identifier: MIT */
/* Puts the parts together and carries them from start to end. */
#include "app.h"

#include "bluez.h"
#include "cli/passwords.h"
#include "export.h"
#include "first_run.h"
#include "fleet/fleet.h"
#include "log.h"
#include "signals.h"
#include "system.h"
#include "terminal.h"
#include "version.h"
#include "web.h"

#include <errno.h>
#include <glib-unix.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    STOP_LIMIT_MS = 2900,    /* a bluetoothd that hangs must not hold up the end; 3 s is promised */
    ONCE_LIMIT_SECONDS = 60, /* discovery and one failed attempt fit in */
};

typedef struct {
    Options *options;
    GMainLoop *loop;
    Bluez *bluez;
    Fleet *fleet;
    FirstRun *first_run;     /* NULL if there were batteries at the start */
    SignalsAtPrompt signals; /* with --once */
    Web *web;                /* NULL with --once */
    WebRoute routes[5];
    char *telemetry_path; /* as it was at the start; the options may say another by now */
    gint64 started_us;    /* since boot */
    gint64 boot_unix_us;
    gboolean ready; /* READY=1 was sent */
    gboolean stopping;
    char *status;    /* the STATUS= last sent */
    guint once_idle; /* GLib source that checks whether --once is done */
    int exit_status;
} App;

static ExportView view_of(App *app)
{
    app->boot_unix_us = system_follow_clock(app->boot_unix_us, system_boot_unix_us());

    ExportView view = {
        .legacy = app->options->legacy,
        .now_us = system_boot_us(),
        .started_us = app->started_us,
        .boot_unix_us = app->boot_unix_us,
    };
    guint n;

    view.devices = fleet_devices(app->fleet, &n);
    view.n_devices = n;
    if (app->first_run && n == 0)
        view.first_run = first_run_view(app->first_run);
    return view;
}

/* ---- what is served -------------------------------------------------------------------------- */

static void serve_metrics(void *user, const char *accept, WebAnswer *answer)
{
    ExportFormat format = export_negotiate(accept);
    ExportView view = view_of(user);

    answer->content_type = export_content_type(format);
    export_metrics(&view, format, answer->body);
}

static void serve_page(void *user, const char *accept, WebAnswer *answer)
{
    App *app = user;
    ExportView view = view_of(app);

    (void)accept;
    answer->content_type = "text/html; charset=utf-8";
    export_page(&view, answer->body, app->telemetry_path);
}

static void serve_healthy(void *user, const char *accept, WebAnswer *answer)
{
    (void)user, (void)accept;
    g_string_append(answer->body, "healthy\n");
}

static void serve_ready(void *user, const char *accept, WebAnswer *answer)
{
    const App *app = user;

    (void)accept;
    if (!app->stopping && bluez_on_bus(app->bluez)) {
        g_string_append(answer->body, "ready\n");
    } else {
        answer->status = 503;
        g_string_append(answer->body, app->stopping ? "stopping\n" : "no D-Bus system bus\n");
    }
}

static gboolean start_web(App *app)
{
    g_autoptr(GError) error = NULL;
    guint n_sockets = system_listen_fds();

    app->telemetry_path = g_strdup(app->options->telemetry_path);
    app->routes[0] = (WebRoute){app->telemetry_path, serve_metrics};
    app->routes[1] = (WebRoute){"/", serve_page};
    app->routes[2] = (WebRoute){"/-/healthy", serve_healthy};
    app->routes[3] = (WebRoute){"/-/ready", serve_ready};
    app->web = web_new(app->routes, app);
    /* Sockets from systemd take the place of the addresses on the command line. */
    for (guint i = 0; i < n_sockets; i++) {
        if (!web_take_socket(app->web, 3 + (int)i, &error)) {
            log_error("cannot serve the socket that systemd has handed over: %s", error->message);
            return FALSE;
        }
    }
    for (char **listen = app->options->listen; n_sockets == 0 && *listen; listen++) {
        if (!web_listen(app->web, *listen, &error)) {
            log_error("cannot listen on %s: %s", *listen, error->message);
            return FALSE;
        }
        log_info("serving http://%s%s%s", **listen == ':' ? "localhost" : "", *listen,
                 app->options->telemetry_path);
    }
    return TRUE;
}

/* ---- the service manager --------------------------------------------------------------------- */

static void append_state(GString *text, const Device *device, gint64 now)
{
    gboolean well = !*device->detail && device_is_fresh(device, now);

    g_string_append_printf(text, "%s%s: %s", text->len ? "; " : "", device->name,
                           well ? "reading" : link_stage_name(device->stage));
    if (*device->detail)
        g_string_append_printf(text, " (%s%s)", device->operator_needed ? "needs attention: " : "",
                               device->detail);
    else if (device_noise_percent(device) >= DEVICE_NOISY_PERCENT)
        g_string_append(text, " (the link is noisy)");
}

static void tell_status(App *app)
{
    ExportView view = view_of(app);
    GString *text = g_string_new(NULL);

    for (size_t i = 0; i < view.n_devices && text->len < 1024; i++)
        append_state(text, view.devices[i], view.now_us);
    if (view.first_run) {
        g_autofree char *status = first_run_status(app->first_run);

        g_string_append(text, status);
    }
    if (g_strcmp0(text->str, app->status) == 0) {
        g_string_free(text, TRUE);
        return;
    }
    g_free(app->status);
    app->status = g_string_free(text, FALSE);

    g_autofree char *state = g_strconcat("STATUS=", app->status, NULL);

    system_notify(state);
}

static gboolean on_watchdog(gpointer user)
{
    const App *app = user;
    const Device *stuck = fleet_stuck(app->fleet);

    if (stuck)
        log_error("%s: the poller stands still; the watchdog is not fed", stuck->name);
    else
        system_notify("WATCHDOG=1");
    return G_SOURCE_CONTINUE;
}

static void quit_when_stopped(App *app);

static void on_bluez_changed(void *user)
{
    App *app = user;

    if (app->first_run)
        first_run_follow(app->first_run);
    if (app->stopping)
        quit_when_stopped(app);
    else if (!app->ready && bluez_on_bus(app->bluez)) {
        app->ready = TRUE;
        system_notify("READY=1");
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

static void quit_when_stopped(App *app)
{
    /* Neither is the adapter left off nor a discovery on. */
    if (fleet_is_stopped(app->fleet) && !bluez_is_cycling(app->bluez) &&
        (!app->first_run || first_run_is_stopped(app->first_run)))
        g_main_loop_quit(app->loop);
}

static gboolean on_stop_limit(gpointer user)
{
    App *app = user;

    log_warn("bluetoothd takes too long; leaving without waiting for it");
    g_main_loop_quit(app->loop);
    return G_SOURCE_REMOVE;
}

static void stop(App *app, int exit_status)
{
    if (app->stopping)
        return;
    app->stopping = TRUE;
    app->exit_status = exit_status;
    system_notify("STOPPING=1\nSTATUS=disconnecting");
    fleet_stop(app->fleet);
    if (app->first_run)
        first_run_stop(app->first_run);
    bluez_finish_cycle(app->bluez);
    g_timeout_add(STOP_LIMIT_MS, on_stop_limit, app);
    quit_when_stopped(app);
}

/* The service is asked to end, which is no failure. */
static gboolean on_signal(gpointer user)
{
    App *app = user;

    if (app->stopping) {
        g_main_loop_quit(app->loop); /* asked twice: at once */
    } else {
        log_info("stopping");
        stop(app, EXIT_SUCCESS);
    }
    return G_SOURCE_CONTINUE;
}

/* SignalsEnd, for --once */
static void on_signal_at_prompt(void *user, int number, gboolean again)
{
    App *app = user;

    if (again) {
        g_main_loop_quit(app->loop);
    } else if (!app->stopping) {
        log_info("stopping");
        stop(app, 128 + number);
    }
}

/* ---- once ------------------------------------------------------------------------------------ */

static void fail_once(App *app)
{
    ExportView view = view_of(app);

    for (size_t i = 0; i < view.n_devices; i++) {
        const Device *device = view.devices[i];

        if (!device->has_readings)
            log_error("%s: no readings: %s", device->name,
                      *device->detail ? device->detail : link_stage_name(device->stage));
    }
    stop(app, EXIT_FAILURE);
}

/* A program in a pipe gets the metrics to the byte; a terminal could be harmed by what devices call
 * themselves. */
static gboolean write_output(const GString *text)
{
    g_autofree char *clean = NULL;

    if (isatty(STDOUT_FILENO))
        clean = terminal_clean_lines(text->str, !g_get_charset(NULL));
    return fputs(clean ? clean : text->str, stdout) >= 0 && fflush(stdout) == 0;
}

static void print_metrics(App *app)
{
    GString *text = g_string_new(NULL);
    ExportView view = view_of(app);
    gboolean written;

    export_metrics(&view, EXPORT_TEXT, text);
    written = write_output(text);
    g_string_free(text, TRUE);
    if (!written)
        log_error("cannot write to standard output: %s", g_strerror(errno));
    stop(app, written ? EXIT_SUCCESS : EXIT_FAILURE);
}

static gboolean on_check_once(gpointer user)
{
    App *app = user;
    ExportView view = view_of(app);
    gboolean hopeless = FALSE;

    app->once_idle = 0;
    for (size_t i = 0; i < view.n_devices; i++)
        hopeless = hopeless || link_fault_traits(view.devices[i]->fault)->hopeless;
    if (fleet_is_resting(app->fleet))
        print_metrics(app);
    else if (hopeless)
        fail_once(app);
    return G_SOURCE_REMOVE;
}

static gboolean on_once_limit(gpointer user)
{
    fail_once(user);
    return G_SOURCE_REMOVE;
}

/* ---- the middle ------------------------------------------------------------------------------ */

static void on_fleet_changed(void *user)
{
    App *app = user;

    if (!app->fleet)
        return; /* it is being built */
    if (app->stopping) {
        quit_when_stopped(app);
        return;
    }
    if (!app->options->once)
        tell_status(app);
    else if (!app->once_idle)
        /* Not from inside a poller, which may be about to read model and counters. */
        app->once_idle = g_idle_add_full(G_PRIORITY_LOW, on_check_once, app, NULL);
}

/* ---- reading the options again --------------------------------------------------------------- */

static gboolean read_passwords(App *app)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Passwords) passwords = passwords_read(app->options->password_file, &error);

    if (!passwords) {
        log_error("%s", error->message);
        return FALSE;
    }
    fleet_set_passwords(app->fleet, passwords);
    return TRUE;
}

/* What is built once and not again. */
typedef struct {
    char *adapter;
    char *listen;
    char *path;
} Fixed;

static Fixed fixed_of(const Options *options)
{
    return (Fixed){g_strdup(options->adapter), g_strjoinv(" ", options->listen),
                   g_strdup(options->telemetry_path)};
}

static void tell_if_changed(const char *option, const char *before, const char *after)
{
    if (g_strcmp0(before, after) != 0)
        log_warn("--%s is another now; that takes effect at the next start", option);
}

static void tell_fixed(App *app, Fixed *before)
{
    Fixed after = fixed_of(app->options);

    tell_if_changed("adapter", before->adapter, after.adapter);
    tell_if_changed("web.listen-address", before->listen, after.listen);
    tell_if_changed("web.telemetry-path", before->path, after.path);
    g_free(after.adapter);
    g_free(after.listen);
    g_free(after.path);
    g_free(before->adapter);
    g_free(before->listen);
    g_free(before->path);
}

static void reload(App *app)
{
    g_autoptr(GError) error = NULL;
    Fixed fixed = fixed_of(app->options);
    gboolean good = options_reload(app->options, &error);

    if (good) {
        log_set_level(app->options->log_level);
        fleet_follow(app->fleet);
        if (app->first_run && app->options->devices->len > 0)
            first_run_stop(app->first_run);
    } else {
        log_error("the options stay as they were: %s", error->message);
    }
    tell_fixed(app, &fixed);
    if (read_passwords(app) && good)
        log_info("the options were read again: %u batteries", app->options->devices->len);
}

static gboolean on_reload(gpointer user)
{
    App *app = user;

    if (app->stopping)
        return G_SOURCE_CONTINUE;
    system_notify("RELOADING=1");
    reload(app);
    if (app->ready)
        system_notify("READY=1");
    return G_SOURCE_CONTINUE;
}

static gboolean on_release(gpointer user)
{
    const App *app = user;

    fleet_release(app->fleet);
    return G_SOURCE_CONTINUE;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void add_signals(App *app)
{
    if (app->options->once) {
        app->signals = (SignalsAtPrompt){.end = on_signal_at_prompt, .user = app};
        signals_at_prompt(&app->signals);
        return;
    }
    g_unix_signal_add(SIGTERM, on_signal, app);
    g_unix_signal_add(SIGINT, on_signal, app);
    g_unix_signal_add(SIGHUP, on_reload, app);
    g_unix_signal_add(SIGUSR1, on_release, app);
}

static void run(App *app)
{
    gint64 watchdog_us = system_watchdog_us();

    bluez_set_callback(app->bluez, on_bluez_changed, app);
    add_signals(app);
    if (app->options->once)
        g_timeout_add_seconds(ONCE_LIMIT_SECONDS, on_once_limit, app);
    else if (watchdog_us > 0)
        g_timeout_add((guint)CLAMP(watchdog_us / 2000, 1, G_MAXINT), on_watchdog, app);
    log_debug("bms-exporter %s (%s)", bms_version, bms_revision);
    bluez_start(app->bluez);
    fleet_start(app->fleet);
    g_main_loop_run(app->loop);
}

int app_run(Options *options)
{
    App app = {
        .options = options,
        .loop = g_main_loop_new(NULL, FALSE),
        .bluez = bluez_new(options->adapter),
        .started_us = system_boot_us(),
        .boot_unix_us = system_boot_unix_us(),
        .exit_status = EXIT_FAILURE,
    };

    app.fleet = fleet_new(app.bluez, options, on_fleet_changed, &app);
    if (options->devices->len == 0)
        app.first_run = first_run_new(app.bluez, options, on_fleet_changed, &app);
    if (!read_passwords(&app))
        app.exit_status = EXIT_WRONG_USAGE;
    else if (options->once || start_web(&app))
        run(&app);
    if (app.web)
        web_free(app.web);
    g_clear_pointer(&app.first_run, first_run_free);
    fleet_free(app.fleet);
    bluez_free(app.bluez);
    g_free(app.telemetry_path);
    g_free(app.status);
    g_main_loop_unref(app.loop);
    return app.exit_status;
}
