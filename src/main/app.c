/* SPDX-License-Identifier: MIT */
/* Puts the parts together and carries them from start to end. */
#include "app.h"

#include "bluez.h"
#include "export.h"
#include "log.h"
#include "passwords.h"
#include "rungs.h"
#include "system.h"
#include "unit.h"
#include "version.h"
#include "web.h"

#include <errno.h>
#include <glib-unix.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    STOP_LIMIT_MS = 2900,    /* a bluetoothd that hangs must not hold up the end; 3 s is promised */
    ONCE_LIMIT_SECONDS = 60, /* discovery and one failed attempt fit in */
};

typedef struct {
    const Options *options;
    GMainLoop *loop;
    Bluez *bluez;
    Rungs *rungs;
    Web *web; /* NULL with --once */
    WebRoute routes[5];
    GPtrArray *units;          /* of Unit */
    const Battery **batteries; /* theirs, for views */
    double started;
    gboolean ready; /* READY=1 was sent */
    gboolean turns; /* links are not kept, since the adapter has not enough of them */
    gboolean stopping;
    char *status;    /* the STATUS= last sent */
    guint once_idle; /* GLib source that checks whether --once is done */
    int exit_status;
} App;

static ExportView view_of(const App *app)
{
    return (ExportView){
        .batteries = app->batteries,
        .n_batteries = app->units->len,
        .legacy = app->options->legacy,
        .now_us = system_boot_us(),
        .started = app->started,
    };
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
    const App *app = user;
    ExportView view = view_of(app);

    (void)accept;
    answer->content_type = "text/html; charset=utf-8";
    export_page(&view, answer->body, app->options->telemetry_path);
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

    app->routes[0] = (WebRoute){app->options->telemetry_path, serve_metrics};
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

static void append_state(GString *text, const Battery *battery, gint64 now)
{
    gboolean well = !*battery->detail && battery_is_fresh(battery, now);

    g_string_append_printf(text, "%s%s: %s", text->len ? "; " : "", battery->name,
                           well ? "reading" : link_stage_name(battery->stage));
    if (*battery->detail)
        g_string_append_printf(text, " (%s%s)", battery->operator_needed ? "needs you: " : "",
                               battery->detail);
    else if (battery_noise_percent(battery) >= BATTERY_NOISY_PERCENT)
        g_string_append(text, " (the link is noisy)");
}

static void tell_status(App *app)
{
    gint64 now = system_boot_us();
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < app->units->len && text->len < 1024; i++)
        append_state(text, app->batteries[i], now);
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

    for (guint i = 0; i < app->units->len; i++) {
        if (!unit_is_moving(app->units->pdata[i])) {
            log_error("%s: the poller stands still; the watchdog is not fed",
                      app->batteries[i]->name);
            return G_SOURCE_CONTINUE;
        }
    }
    system_notify("WATCHDOG=1");
    return G_SOURCE_CONTINUE;
}

static void quit_when_stopped(App *app);

static void on_bluez_changed(void *user)
{
    App *app = user;

    if (app->stopping)
        quit_when_stopped(app);
    else if (!app->ready && bluez_on_bus(app->bluez)) {
        app->ready = TRUE;
        system_notify("READY=1");
    }
}

/* ---- passwords ------------------------------------------------------------------------------- */

static gboolean read_passwords(App *app)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Passwords) passwords = passwords_read(app->options->password_file, &error);

    if (!passwords) {
        log_error("%s", error->message);
        return FALSE;
    }
    for (guint i = 0; i < app->units->len; i++)
        unit_set_password(app->units->pdata[i],
                          passwords_find(passwords, app->batteries[i]->address));
    return TRUE;
}

/* The rest of what was said at the start holds until the next one. */
static gboolean on_reload(gpointer user)
{
    App *app = user;

    if (!app->stopping && read_passwords(app))
        log_info("the passwords were read again");
    return G_SOURCE_CONTINUE;
}

/* ---- the end --------------------------------------------------------------------------------- */

static void quit_when_stopped(App *app)
{
    for (guint i = 0; i < app->units->len; i++)
        if (!unit_is_stopped(app->units->pdata[i]))
            return;
    if (bluez_is_cycling(app->bluez))
        return; /* the adapter is not left off */
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
    for (guint i = 0; i < app->units->len; i++)
        unit_stop(app->units->pdata[i]);
    bluez_finish_cycle(app->bluez);
    g_timeout_add(STOP_LIMIT_MS, on_stop_limit, app);
    quit_when_stopped(app);
}

static gboolean on_signal(gpointer user)
{
    App *app = user;

    if (app->stopping) {
        g_main_loop_quit(app->loop); /* asked twice: at once */
    } else {
        log_info("stopping");
        stop(app, app->options->once ? EXIT_FAILURE : EXIT_SUCCESS);
    }
    return G_SOURCE_CONTINUE;
}

static gboolean on_release(gpointer user)
{
    App *app = user;

    log_info("letting go of all batteries for %" G_GINT64_FORMAT " s",
             app->options->release_us / G_USEC_PER_SEC);
    for (guint i = 0; i < app->units->len; i++)
        unit_release(app->units->pdata[i], app->options->release_us);
    return G_SOURCE_CONTINUE;
}

/* ---- once ------------------------------------------------------------------------------------ */

/* What no waiting will mend while somebody waits at the prompt. */
static gboolean is_hopeless(LinkFault fault)
{
    return link_fault_is_general(fault) || fault == LINK_FAULT_SERVICE ||
           fault == LINK_FAULT_FOREIGN || fault == LINK_FAULT_PASSWORD_WANTED ||
           fault == LINK_FAULT_PASSWORD_WRONG || fault == LINK_FAULT_PAIRING_WANTED ||
           fault == LINK_FAULT_PAIRING;
}

static void fail_once(App *app)
{
    for (guint i = 0; i < app->units->len; i++) {
        const Battery *battery = app->batteries[i];

        if (!battery->has_readings)
            log_error("%s: no readings: %s", battery->name,
                      *battery->detail ? battery->detail : link_stage_name(battery->stage));
    }
    stop(app, EXIT_FAILURE);
}

static void print_metrics(App *app)
{
    GString *text = g_string_new(NULL);
    ExportView view = view_of(app);
    gboolean written;

    export_metrics(&view, EXPORT_TEXT, text);
    written = fwrite(text->str, 1, text->len, stdout) == text->len && fflush(stdout) == 0;
    g_string_free(text, TRUE);
    if (!written)
        log_error("cannot write to standard output: %s", g_strerror(errno));
    stop(app, written ? EXIT_SUCCESS : EXIT_FAILURE);
}

static gboolean on_check_once(gpointer user)
{
    App *app = user;
    gboolean done = TRUE;
    gboolean hopeless = FALSE;

    app->once_idle = 0;
    for (guint i = 0; i < app->units->len; i++) {
        done = done && unit_is_resting(app->units->pdata[i]);
        hopeless = hopeless || is_hopeless(app->batteries[i]->fault);
    }
    if (done)
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

static void on_unit_changed(void *user)
{
    App *app = user;

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

static void on_published(void *user)
{
    const App *app = user;

    rungs_relax(app->rungs);
}

/* Whatever is done to the adapter or to bluetoothd is done to all batteries. */
static gboolean on_recover(void *user, const Battery *battery, RecoveryAction action)
{
    const App *app = user;
    gint64 now = system_boot_us();

    for (guint i = 0; i < app->units->len; i++)
        if (app->batteries[i] != battery && battery_is_fresh(app->batteries[i], now))
            return FALSE;
    return rungs_take(app->rungs, action, battery);
}

static void on_limited(void *user)
{
    App *app = user;

    if (app->options->link_mode != LINK_MODE_AUTO || app->turns)
        return;
    app->turns = TRUE;
    log_warn("the adapter holds no more connections; batteries take turns from now on, one "
             "connection for each poll");
    for (guint i = 0; i < app->units->len; i++)
        unit_take_turns(app->units->pdata[i]);
}

static const UnitHost unit_host = {
    .changed = on_unit_changed,
    .published = on_published,
    .recover = on_recover,
    .limited = on_limited,
};

static void add_units(App *app)
{
    const GPtrArray *specs = app->options->batteries;

    app->batteries = g_new0(const Battery *, specs->len);
    for (guint i = 0; i < specs->len; i++) {
        const BatterySpec *spec = specs->pdata[i];
        PollerConfig config = {
            .interval_us = app->options->interval_us,
            /* Spread over the interval: the radio does one thing at a time. */
            .offset_us = app->options->interval_us * i / specs->len,
            .renew_us = app->options->renew_us,
            .turns = app->options->link_mode == LINK_MODE_PER_POLL,
            .seed = g_random_int(),
        };
        Unit *unit = unit_new(app->bluez, spec->address, spec->name, &config, &unit_host, app);

        g_ptr_array_add(app->units, unit);
        app->batteries[i] = unit_battery(unit);
    }
}

static void free_unit(gpointer unit)
{
    unit_free(unit);
}

int app_run(const Options *options)
{
    App app = {
        .options = options,
        .loop = g_main_loop_new(NULL, FALSE),
        .bluez = bluez_new(options->adapter),
        .units = g_ptr_array_new_with_free_func(free_unit),
        .started = (double)g_get_real_time() / 1e6,
        .exit_status = EXIT_FAILURE,
    };
    gint64 watchdog_us = system_watchdog_us();

    app.rungs = rungs_new(app.bluez, options);
    add_units(&app);
    if (!read_passwords(&app)) {
        app.exit_status = EXIT_WRONG_USAGE;
    } else if (options->once || start_web(&app)) {
        bluez_set_callback(app.bluez, on_bluez_changed, &app);
        g_unix_signal_add(SIGTERM, on_signal, &app);
        g_unix_signal_add(SIGINT, on_signal, &app);
        g_unix_signal_add(SIGHUP, on_reload, &app);
        if (options->once)
            g_timeout_add_seconds(ONCE_LIMIT_SECONDS, on_once_limit, &app);
        else
            g_unix_signal_add(SIGUSR1, on_release, &app);
        if (!options->once && watchdog_us > 0)
            g_timeout_add((guint)CLAMP(watchdog_us / 2000, 1, G_MAXINT), on_watchdog, &app);
        log_debug("bms-exporter %s (%s)", bms_version, bms_revision);
        bluez_start(app.bluez);
        for (guint i = 0; i < app.units->len; i++)
            unit_start(app.units->pdata[i]);
        g_main_loop_run(app.loop);
    }
    if (app.web)
        web_free(app.web);
    g_ptr_array_unref(app.units);
    rungs_free(app.rungs);
    bluez_free(app.bluez);
    g_free(app.batteries);
    g_free(app.status);
    g_main_loop_unref(app.loop);
    return app.exit_status;
}
