/* SPDX-License-Identifier: MIT */
/*
 * --check: bus, bluetoothd, adapter and power, then one battery after the other, then the policy,
 * which is known only when all has been tried, then the addresses to listen on. Those are looked at
 * before the batteries, since a service that runs already knows how its batteries are. If the
 * machine is not in order, the policy has its place between bluetoothd and adapter.
 */
#include "advice.h"
#include "app/modes.h"
#include "app/signals.h"
#include "check_device.h"
#include "check_ports.h"
#include "cli/passwords.h"
#include "log.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    STOP_LIMIT_MS = 2900,
};

typedef struct {
    const Options *options;
    GMainLoop *loop;
    Bluez *bluez;
    SignalsAtPrompt signals;
    Report report;
    Passwords *passwords; /* NULL if they cannot be read */
    CheckDevice *device;  /* the one that is being checked, or NULL */
    CheckPorts *ports;    /* NULL before the machine is checked */
    guint next_device;
    guint timer; /* GLib source: bounds what is going on */
    guint idle;  /* GLib source: looks at what stands in the way */
    gboolean begun;
    gboolean policy_open; /* whether the bus forbids something is told after the batteries */
    gboolean denied;      /* it does, as a battery has shown */
    gboolean stopping;
    gboolean done; /* all has been said */
    int exit_status;
} Check;

/* ---- the end --------------------------------------------------------------------------------- */

static void quit_when_written(const Check *check)
{
    if (check->done && output_is_idle(check->report.output))
        g_main_loop_quit(check->loop);
}

static void finish(Check *check)
{
    guint wrong = check->report.wrong;
    g_autofree char *text = NULL;

    check->done = TRUE;
    if (!check->stopping) {
        text = wrong == 0 ? g_strdup("All is well.\n")
                          : g_strdup_printf("%u %s wrong.\n", wrong,
                                            wrong == 1 ? "thing is" : "things are");
        check->exit_status = wrong == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
        output_write(check->report.output, text);
    }
    quit_when_written(check);
}

static gboolean on_stop_limit(gpointer user)
{
    Check *check = user;

    check->timer = 0;
    g_main_loop_quit(check->loop);
    return G_SOURCE_REMOVE;
}

static void stop(Check *check)
{
    check->stopping = TRUE;
    g_clear_handle_id(&check->timer, g_source_remove);
    check->timer = g_timeout_add(STOP_LIMIT_MS, on_stop_limit, check);
    if (check->device)
        check_device_stop(check->device);
    else
        finish(check);
}

static void on_written(void *user)
{
    Check *check = user;

    if (output_error(check->report.output) && !check->stopping)
        stop(check); /* nobody is left to tell */
    quit_when_written(check);
}

/* SignalsEnd */
static void on_signal(void *user, int number, gboolean again)
{
    Check *check = user;

    check->exit_status = 128 + number;
    if (again || check->done)
        g_main_loop_quit(check->loop); /* at once: nothing is left to close, or somebody insists */
    else if (!check->stopping)
        stop(check);
}

/* ---- the policy ------------------------------------------------------------------------------ */

static const char policy[] = "policy";

/* The bus may let bluetoothd be asked and yet forbid to connect, or to write: what it allows is
 * known when all batteries were tried. */
static void tell_policy(Check *check, const Advice *advice)
{
    if (check->policy_open && advice)
        report_wrong(&check->report, policy, advice->text, advice->remedy);
    else if (check->policy_open)
        report_ok(&check->report, policy, NULL);
    check->policy_open = FALSE;
}

/* ---- batteries ------------------------------------------------------------------------------- */

static void check_devices(Check *check);

static void on_device_done(void *user)
{
    Check *check = user;
    const Advice *denied = check_device_denied(check->device);

    if (denied)
        tell_policy(check, denied);
    check->denied = denied != NULL;
    g_clear_pointer(&check->device, check_device_free);
    if (check->stopping)
        finish(check);
    else
        check_devices(check);
}

static void read_passwords(Check *check)
{
    g_autoptr(GError) error = NULL;

    check->passwords = passwords_read(check->options->password_file, &error);
    if (!check->passwords)
        report_wrong(&check->report, "passwords", error->message, NULL);
}

static const char *password_of(const Check *check, const DeviceSpec *spec)
{
    return check->passwords ? passwords_find(check->passwords, spec->address) : NULL;
}

static const char *name_of(const DeviceSpec *spec)
{
    return spec->name ? spec->name : spec->address;
}

/* A running service has more to say of its battery than we could find out beside it.
 * @return whether nothing is left to be checked */
static gboolean tell_service(Check *check, const DeviceSpec *spec)
{
    const char *where;
    LinkFault fault;
    ServiceView view = check_ports_view(check->ports, spec->address, &where, &fault);
    g_autofree char *detail = NULL;

    switch (view) {
    case SERVICE_UNKNOWN:
        return FALSE;
    case SERVICE_READS:
        detail = g_strdup_printf("read by the bms-exporter that serves on %s; stop it to have each "
                                 "step checked",
                                 where);
        break;
    case SERVICE_FAILS:
        detail = g_strdup_printf("not read by the bms-exporter that serves on %s%s%s", where,
                                 fault == LINK_FAULT_NONE ? "" : ": ", link_fault_text(fault));
        break;
    }
    report_note(&check->report, name_of(spec), detail);
    return view == SERVICE_READS;
}

static void check_devices(Check *check)
{
    const GPtrArray *specs = check->options->devices;

    if (specs->len == 0)
        report_note(&check->report, "battery", "none given; --scan lists what is in range");
    while (check->next_device < specs->len) {
        const DeviceSpec *spec = specs->pdata[check->next_device++];

        if (check->denied || bluez_fault(check->bluez, NULL) != LINK_FAULT_NONE) {
            report_skipped(&check->report, name_of(spec));
        } else if (!tell_service(check, spec)) {
            check->device = check_device_new(check->bluez, spec, password_of(check, spec),
                                             &check->report, on_device_done, check);
            return;
        }
    }
    tell_policy(check, NULL);
    check_ports_tell(check->ports, &check->report);
    finish(check);
}

/* ---- the machine ----------------------------------------------------------------------------- */

static const struct {
    FaultLayer layer;
    const char *name;
} parts[] = {
    {FAULT_LAYER_BUS, "bus"},     {FAULT_LAYER_BLUETOOTHD, "bluetoothd"},
    {FAULT_LAYER_POLICY, policy}, {FAULT_LAYER_ADAPTER, "adapter"},
    {FAULT_LAYER_POWER, "power"},
};

/* Each part below the one that is wrong works; those above cannot be checked. */
static void tell_machine(Check *check, LinkFault fault, const Advice *advice)
{
    FaultLayer wrong = link_fault_traits(fault)->layer;

    check->policy_open = wrong == FAULT_LAYER_NONE;
    for (gsize i = 0; i < G_N_ELEMENTS(parts); i++) {
        if (check->policy_open && parts[i].layer == FAULT_LAYER_POLICY)
            continue;
        if (parts[i].layer == wrong)
            report_wrong(&check->report, parts[i].name, advice->text, advice->remedy);
        else if (wrong == FAULT_LAYER_NONE || parts[i].layer < wrong)
            report_ok(&check->report, parts[i].name,
                      parts[i].layer == FAULT_LAYER_ADAPTER ? bluez_adapter_name(check->bluez)
                                                            : NULL);
        else
            report_skipped(&check->report, parts[i].name);
    }
}

static void on_ports_known(void *user)
{
    Check *check = user;

    if (!check->stopping)
        check_devices(check);
}

static void begin(Check *check, LinkFault fault, Advice *advice)
{
    check->begun = TRUE;
    g_clear_handle_id(&check->timer, g_source_remove);
    tell_machine(check, fault, advice);
    advice_clear(advice);
    read_passwords(check);
    check->ports = check_ports_new(check->options, on_ports_known, check);
}

static gboolean on_look(gpointer user)
{
    Check *check = user;
    Advice advice;

    check->idle = 0;
    if (check->begun && check->device)
        check_device_bluez_changed(check->device);
    if (check->begun || check->stopping || !bluez_is_settled(check->bluez))
        return G_SOURCE_REMOVE;
    advice_on_bluez(&advice, check->bluez);
    begin(check, bluez_fault(check->bluez, NULL), &advice);
    return G_SOURCE_REMOVE;
}

static void on_bluez_changed(void *user)
{
    Check *check = user;

    if (!check->idle)
        check->idle = g_idle_add(on_look, check);
}

static gboolean on_settle_limit(gpointer user)
{
    Check *check = user;
    Advice advice;
    LinkFault fault = advice_on_silence(&advice, check->bluez);

    check->timer = 0;
    begin(check, fault, &advice);
    return G_SOURCE_REMOVE;
}

int check_run(const Options *options)
{
    Check check = {
        .options = options,
        .loop = g_main_loop_new(NULL, FALSE),
        .bluez = bluez_new(options->adapter),
        .exit_status = EXIT_FAILURE,
    };

    check.report.output = output_new(STDOUT_FILENO, on_written, &check);
    check.signals = (SignalsAtPrompt){.end = on_signal, .user = &check};
    signals_at_prompt(&check.signals);
    check.timer = g_timeout_add_seconds(ADVICE_SETTLE_SECONDS, on_settle_limit, &check);
    bluez_set_callback(check.bluez, on_bluez_changed, &check);
    bluez_start(check.bluez);
    g_main_loop_run(check.loop);

    if (output_error(check.report.output)) {
        log_error("cannot write to standard output: %s",
                  g_strerror(output_error(check.report.output)));
        check.exit_status = EXIT_FAILURE;
    }
    g_clear_handle_id(&check.timer, g_source_remove);
    g_clear_handle_id(&check.idle, g_source_remove);
    g_clear_pointer(&check.device, check_device_free);
    g_clear_pointer(&check.ports, check_ports_free);
    bluez_free(check.bluez);
    g_clear_pointer(&check.passwords, passwords_free);
    output_free(check.report.output);
    g_main_loop_unref(check.loop);
    return check.exit_status;
}
