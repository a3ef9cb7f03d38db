/* SPDX-License-Identifier: MIT */
/*
 *   range ──▶ connect ──▶ services ──▶ notifications ──▶ 03 ──▶ 04 ──▶ 05, AA
 *   scan      └───────────────────────── unit ──────────────────────────┘
 *
 * The unit does what it always does, its second attempt included, because a single failure to
 * connect is nothing. What is told as wrong is the failure of the attempt that came furthest.
 */
#include "check_battery.h"

#include "advice.h"
#include "classify.h"
#include "fleet/unit.h"

#include <string.h>

enum {
    RANGE_SECONDS = 15, /* sleepy boards advertise every few seconds */
    LIMIT_SECONDS = 75, /* two attempts that take their time */
    MAX_ATTEMPTS = 2,
    WEAK_DBM = -90,
};

static const gint64 interval_us = 10 * G_TIME_SPAN_SECOND; /* the default one */

typedef enum { RANGE, CONNECT, SERVICES, NOTIFICATIONS, BASIC, CELLS, N_STEPS } Step;

static const char *const step_names[] = {"range",         "connect", "services",
                                         "notifications", "03",      "04"};

struct CheckBattery {
    Bluez *bluez;
    const BatterySpec *spec;
    const char *password;
    Report *report;
    void (*done)(void *user);
    void *user;

    BluezScan *scan; /* while in RANGE */
    Unit *unit;      /* after it */
    guint timer;     /* GLib source: bounds what is going on */
    guint idle;      /* GLib source: looks at the unit */
    gboolean ending; /* the verdict is told */

    Step next; /* the first that has not been told of */
    LinkStage reached;
    gboolean attempting;
    guint attempts;       /* that have failed */
    Step failed;          /* in the attempt that came furthest */
    char *failure;        /* how, or NULL */
    LinkFault last_fault; /* of that attempt */
};

/* ---- telling --------------------------------------------------------------------------------- */

static char *label(const CheckBattery *check, const char *what)
{
    return g_strdup_printf("%s: %s", check->spec->name ? check->spec->name : check->spec->address,
                           what);
}

static void tell_ok(CheckBattery *check, const char *what, const char *detail)
{
    g_autofree char *name = label(check, what);

    report_ok(check->report, name, detail);
}

static void tell_note(CheckBattery *check, const char *what, const char *detail)
{
    g_autofree char *name = label(check, what);

    report_note(check->report, name, detail);
}

static void tell_wrong(CheckBattery *check, Step step, const char *detail, const char *remedy)
{
    g_autofree char *name = label(check, step_names[step]);
    char buffer[FAULT_REMEDY_SIZE];

    report_wrong(check->report, name, detail,
                 fault_remedy_fill(remedy, check->spec->address, buffer));
}

/* Everything before @a step has gone well. */
static void tell_passed(CheckBattery *check, Step step)
{
    for (; check->next < step; check->next++)
        tell_ok(check, step_names[check->next], NULL);
}

/* ---- the end --------------------------------------------------------------------------------- */

static gboolean on_done(gpointer user)
{
    CheckBattery *check = user;

    check->idle = 0;
    check->done(check->user);
    return G_SOURCE_REMOVE;
}

static void finish(CheckBattery *check)
{
    g_clear_handle_id(&check->timer, g_source_remove);
    g_clear_handle_id(&check->idle, g_source_remove);
    check->idle = g_idle_add(on_done, check);
}

/* All is told. */
static void end_unit(CheckBattery *check)
{
    check->ending = TRUE;
    g_clear_handle_id(&check->timer, g_source_remove);
    unit_stop(check->unit);
    if (unit_is_stopped(check->unit))
        finish(check);
}

/* ---- the unit -------------------------------------------------------------------------------- */

static const Step passed_at[LINK_N_STAGES] = {
    [LINK_RESOLVING] = SERVICES,
    [LINK_SUBSCRIBING] = NOTIFICATIONS,
    [LINK_UP] = BASIC,
};

/* The step that an attempt which came to check->reached has not got over. */
static Step step_after(const CheckBattery *check)
{
    Step step = passed_at[check->reached] ? passed_at[check->reached] : CONNECT;

    return step == BASIC && unit_asked(check->unit) == JBD_CELLS ? CELLS : step;
}

static void tell_failure(CheckBattery *check)
{
    tell_passed(check, check->failed);
    tell_wrong(check, check->failed, check->failure, link_fault_remedy(check->last_fault));
    end_unit(check);
}

static void take_failure(CheckBattery *check)
{
    const Battery *battery = unit_battery(check->unit);
    Step step = step_after(check);

    check->attempting = FALSE;
    check->attempts++;
    if (!check->failure || step >= check->failed) {
        g_free(check->failure);
        check->failure = g_strdup(battery->detail);
        check->last_fault = battery->fault;
        check->failed = step;
    }
    if (check->attempts >= MAX_ATTEMPTS || !link_fault_traits(battery->fault)->transient)
        tell_failure(check);
}

static void tell_readings(CheckBattery *check)
{
    const Battery *battery = unit_battery(check->unit);
    const JbdCells *cells = &battery->cells;
    unsigned low = cells->count ? cells->mv[0] : 0;
    unsigned high = low;
    g_autofree char *basic = unit_readings_text(check->unit);

    for (unsigned i = 0; i < cells->count; i++) {
        low = MIN(low, cells->mv[i]);
        high = MAX(high, cells->mv[i]);
    }

    g_autofree char *voltages =
        g_strdup_printf("%u cells, %.3f V to %.3f V", cells->count, low / 1000.0, high / 1000.0);

    tell_passed(check, BASIC);
    tell_ok(check, step_names[BASIC], basic);
    tell_ok(check, step_names[CELLS], voltages);
    check->next = N_STEPS;
    if (check->failure) {
        g_autofree char *text = g_strdup_printf("it took a second attempt: %s", check->failure);

        tell_note(check, step_names[check->failed], text);
    }
}

static void tell_optional(CheckBattery *check)
{
    const Battery *battery = unit_battery(check->unit);
    static const char absent[] = "not answered; not every board has it";

    if (battery->has_model)
        tell_ok(check, "05", battery->model.text);
    else
        tell_note(check, "05", absent);
    if (battery->has_counters)
        tell_ok(check, "AA", NULL);
    else
        tell_note(check, "AA", absent);
}

static gboolean on_look(gpointer user)
{
    CheckBattery *check = user;
    const Battery *battery = unit_battery(check->unit);

    check->idle = 0;
    if (check->ending) {
        if (unit_is_stopped(check->unit))
            finish(check);
        return G_SOURCE_REMOVE;
    }
    if (check->attempting)
        tell_passed(check, passed_at[check->reached]);
    if (battery->has_readings) {
        if (check->next < N_STEPS)
            tell_readings(check);
        if (unit_is_resting(check->unit)) {
            tell_optional(check);
            end_unit(check);
        }
    } else if (check->attempting &&
               (battery->fault == LINK_FAULT_REFUSES ||
                (battery->stage == LINK_CLOSED && battery->fault != LINK_FAULT_NONE))) {
        take_failure(check);
    }
    return G_SOURCE_REMOVE;
}

static void on_unit_changed(void *user)
{
    CheckBattery *check = user;
    LinkStage stage = unit_battery(check->unit)->stage;

    if (stage == LINK_WAITING) {
        check->attempting = TRUE;
        check->reached = stage;
    } else if (stage > check->reached && stage <= LINK_UP) {
        check->reached = stage;
    }
    /* Not from inside a poller; and behind the fault that comes right after a stage. */
    if (!check->idle)
        check->idle = g_idle_add(on_look, check);
}

/* Nothing is to be done for others here. */
static void on_nothing(void *user)
{
    (void)user;
}

/* What reaches beyond this battery is not for a doctor to do. */
static gboolean on_recover(void *user, const Battery *battery, RecoveryAction action)
{
    (void)user, (void)battery, (void)action;
    return FALSE;
}

/* No other battery is connected. */
static gboolean on_limited(void *user)
{
    (void)user;
    return FALSE;
}

static const UnitHost unit_host = {
    .changed = on_unit_changed,
    .published = on_nothing,
    .recover = on_recover,
    .limited = on_limited,
    .quiet = TRUE,
};

static gboolean on_limit(gpointer user)
{
    CheckBattery *check = user;
    const Battery *battery = unit_battery(check->unit);

    check->timer = 0;
    if (!check->failure) {
        check->failed = MAX(step_after(check), check->next);
        check->failure =
            g_strdup_printf("no end within %d s: %s", LIMIT_SECONDS,
                            *battery->detail ? battery->detail : link_stage_name(battery->stage));
        check->last_fault = battery->fault;
    }
    if (check->next < N_STEPS)
        tell_failure(check);
    else
        end_unit(check);
    return G_SOURCE_REMOVE;
}

static void begin_unit(CheckBattery *check)
{
    const PollerConfig config = {.interval_us = interval_us, .seed = g_random_int()};

    check->unit =
        unit_new(check->bluez, check->spec->address, check->spec->name, &config, &unit_host, check);
    unit_set_password(check->unit, check->password);
    check->timer = g_timeout_add_seconds(LIMIT_SECONDS, on_limit, check);
    unit_start(check->unit);
}

/* ---- range ----------------------------------------------------------------------------------- */

static const ScanDevice *find_device(const CheckBattery *check)
{
    for (guint i = 0; i < bluez_scan_count(check->scan); i++) {
        const ScanDevice *device = bluez_scan_device(check->scan, i);

        if (strcmp(device->address, check->spec->address) == 0)
            return device;
    }
    return NULL;
}

static void on_scan_changed(void *user)
{
    CheckBattery *check = user;
    const ScanDevice *device = find_device(check);

    if (device && (device->heard || device->connected))
        bluez_scan_stop(check->scan);
}

/* Another make would only be found to be silent, or to have other services. */
static void tell_make(CheckBattery *check, const ScanDevice *device)
{
    GString *why = g_string_new(NULL);
    const char *make;

    if (classify(device, &make, why) == KIND_FOREIGN)
        tell_note(check, "make", why->str);
    g_string_free(why, TRUE);
}

/* @return whether it can be gone on */
static gboolean judge_range(CheckBattery *check, const char *reason)
{
    const ScanDevice *device = find_device(check);
    g_autofree char *signal = NULL;

    if (bluez_fault(check->bluez, NULL) != LINK_FAULT_NONE) {
        Advice advice;

        advice_on_bluez(&advice, check->bluez);
        tell_wrong(check, RANGE, advice.text, advice.remedy);
        advice_clear(&advice);
        return FALSE;
    }
    /* To connect now would mean to break that link: it is somebody's. */
    if (device && device->connected) {
        tell_wrong(check, RANGE, "connected already, by a program on this machine",
                   "sudo systemctl stop bms-exporter; if none is running: bluetoothctl "
                   "disconnect ADDRESS");
        return FALSE;
    }
    if (!device || !device->heard) {
        tell_wrong(check, RANGE, reason ? reason : link_fault_text(LINK_FAULT_NOT_FOUND),
                   link_fault_remedy(reason ? LINK_FAULT_HUNG : LINK_FAULT_NOT_FOUND));
        return FALSE;
    }
    signal = g_strdup_printf(
        "%d dBm%s", device->rssi,
        device->rssi <= WEAK_DBM ? ", which is weak: move the adapter closer to the battery" : "");
    tell_ok(check, step_names[RANGE], signal);
    tell_make(check, device);
    return TRUE;
}

static void on_scan_ended(void *user, const char *reason)
{
    CheckBattery *check = user;
    gboolean good;

    g_clear_handle_id(&check->timer, g_source_remove);
    good = !check->ending && judge_range(check, reason);
    check->next = CONNECT;
    if (good)
        begin_unit(check);
    else
        finish(check);
}

static const ScanEvents scan_events = {.changed = on_scan_changed, .ended = on_scan_ended};

static gboolean on_range_limit(gpointer user)
{
    CheckBattery *check = user;

    check->timer = 0;
    bluez_scan_stop(check->scan);
    return G_SOURCE_REMOVE;
}

/* ---- public ---------------------------------------------------------------------------------- */

CheckBattery *check_battery_new(Bluez *bluez, const BatterySpec *spec, const char *password,
                                Report *report, void (*done)(void *user), void *user)
{
    CheckBattery *check = g_new0(CheckBattery, 1);

    check->bluez = bluez;
    check->spec = spec;
    check->password = password;
    check->report = report;
    check->done = done;
    check->user = user;
    check->scan = bluez_scan_new(bluez, &scan_events, check);
    check->timer = g_timeout_add_seconds(RANGE_SECONDS, on_range_limit, check);
    bluez_scan_start(check->scan);
    return check;
}

void check_battery_free(CheckBattery *check)
{
    g_clear_handle_id(&check->timer, g_source_remove);
    g_clear_handle_id(&check->idle, g_source_remove);
    bluez_scan_free(check->scan);
    if (check->unit)
        unit_free(check->unit);
    g_free(check->failure);
    g_free(check);
}

void check_battery_stop(CheckBattery *check)
{
    if (check->ending)
        return;
    if (check->unit)
        end_unit(check);
    check->ending = TRUE;
    if (!check->unit)
        bluez_scan_stop(check->scan);
}

void check_battery_bluez_changed(CheckBattery *check)
{
    /* The unit hears of it itself. */
    if (!check->unit && bluez_fault(check->bluez, NULL) != LINK_FAULT_NONE)
        bluez_scan_stop(check->scan);
}
