/* SPDX-License-Identifier: MIT */
/*
 *   range ──▶ connect ──▶ services ──▶ notifications ──▶ 03 ──▶ 04 ──▶ 05, AA
 *   scan      └───────────────────────── unit ──────────────────────────┘
 *
 * The unit does what it always does, its second attempt included, because a single failure to
 * connect is nothing. What is told as wrong is the failure of the attempt that came furthest.
 */
#include "check_device.h"

#include "advice.h"
#include "fleet/unit.h"
#include "kind.h"

#include <string.h>

enum {
    RANGE_SECONDS = 15, /* sleepy boards advertise every few seconds */
    LIMIT_SECONDS = 75, /* two attempts that take their time */
    MAX_ATTEMPTS = 2,
    WEAK_DBM = -90,
};

static const gint64 interval_us = 10 * G_TIME_SPAN_SECOND; /* the default one */

/* From FIRST_READ on, one for each read of the kind. */
typedef guint Step;
enum { RANGE, CONNECT, SERVICES, NOTIFICATIONS, FIRST_READ };

static const char *const step_names[FIRST_READ] = {"range", "connect", "services", "notifications"};

struct CheckDevice {
    Bluez *bluez;
    const DeviceSpec *spec;
    const char *password;
    Report *report;
    void (*done)(void *user);
    void *user;

    BluezScan *scan; /* while in RANGE */
    Unit *unit;      /* after it */
    guint timer;     /* GLib source: bounds what is going on */
    guint idle;      /* GLib source: looks at the unit */
    gboolean ending; /* the verdict is told */

    Step next; /* the first that has not been reported */
    gboolean told_readings;
    LinkStage reached;
    gboolean attempting;
    guint attempts;       /* that have failed */
    Step failed;          /* in the attempt that came furthest */
    char *failure;        /* how, or NULL */
    LinkFault last_fault; /* of that attempt */

    gboolean denied; /* by the bus */
    Advice denial;   /* what to say of that */
};

static const char *step_name(const CheckDevice *check, Step step)
{
    return step < FIRST_READ ? step_names[step] : check->spec->kind->reads[step - FIRST_READ].name;
}

/* ---- telling --------------------------------------------------------------------------------- */

static char *label(const CheckDevice *check, const char *what)
{
    return g_strdup_printf("%s: %s", check->spec->name ? check->spec->name : check->spec->address,
                           what);
}

static void tell_ok(CheckDevice *check, const char *what, const char *detail)
{
    g_autofree char *name = label(check, what);

    report_ok(check->report, name, detail);
}

static void tell_note(CheckDevice *check, const char *what, const char *detail)
{
    g_autofree char *name = label(check, what);

    report_note(check->report, name, detail);
}

static void tell_wrong(CheckDevice *check, Step step, const char *detail, const char *remedy)
{
    g_autofree char *name = label(check, step_name(check, step));
    char buffer[FAULT_REMEDY_SIZE];

    report_wrong(check->report, name, detail,
                 fault_remedy_fill(remedy, check->spec->address, buffer));
}

/* The bus forbids it, whatever the battery: that is for the caller to tell. All else that stands in
 * the way of every battery was in order before, and is told where it has happened. */
static gboolean is_policy(LinkFault fault)
{
    return link_fault_traits(fault)->layer == FAULT_LAYER_POLICY;
}

static void tell_policy(CheckDevice *check, Step step, LinkFault fault, const char *detail)
{
    g_autofree char *name = label(check, step_name(check, step));

    report_skipped(check->report, name);
    check->denied = TRUE;
    advice_on_fault(&check->denial, fault, detail);
}

/* Everything before @a step has gone well. */
static void tell_passed(CheckDevice *check, Step step)
{
    for (; check->next < step; check->next++)
        tell_ok(check, step_name(check, check->next), NULL);
}

/* ---- the end --------------------------------------------------------------------------------- */

static gboolean on_done(gpointer user)
{
    CheckDevice *check = user;

    check->idle = 0;
    check->done(check->user);
    return G_SOURCE_REMOVE;
}

static void finish(CheckDevice *check)
{
    g_clear_handle_id(&check->timer, g_source_remove);
    g_clear_handle_id(&check->idle, g_source_remove);
    check->idle = g_idle_add(on_done, check);
}

/* All is told. */
static void end_unit(CheckDevice *check)
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
    [LINK_UP] = FIRST_READ,
};

/* The step that an attempt which came to check->reached has not got over. */
static Step step_after(const CheckDevice *check)
{
    Step step = passed_at[check->reached] ? passed_at[check->reached] : CONNECT;
    guint asked = unit_asked(check->unit);

    return step == FIRST_READ && check->spec->kind->reads[asked].required ? step + asked : step;
}

static void tell_failure(CheckDevice *check)
{
    tell_passed(check, check->failed);
    if (is_policy(check->last_fault))
        tell_policy(check, check->failed, check->last_fault, check->failure);
    else
        tell_wrong(check, check->failed, check->failure, link_fault_remedy(check->last_fault));
    end_unit(check);
}

static void take_failure(CheckDevice *check)
{
    const Device *device = unit_device(check->unit);
    Step step = step_after(check);

    check->attempting = FALSE;
    check->attempts++;
    if (!check->failure || step >= check->failed) {
        g_free(check->failure);
        check->failure = g_strdup(device->detail);
        check->last_fault = device->fault;
        check->failed = step;
    }
    if (check->attempts >= MAX_ATTEMPTS || !link_fault_traits(device->fault)->transient)
        tell_failure(check);
}

/* What a read has brought, or that it has brought nothing. */
static void tell_read(CheckDevice *check, guint read)
{
    const Kind *kind = check->spec->kind;
    g_autoptr(GString) text = g_string_new(NULL);

    if (kind->append_read(text, unit_device(check->unit), read))
        tell_ok(check, kind->reads[read].name, text->len > 0 ? text->str : NULL);
    else
        tell_note(check, kind->reads[read].name, "not answered; not every board has it");
}

static void tell_reads(CheckDevice *check, gboolean required)
{
    const KindRead *reads = check->spec->kind->reads;

    for (guint read = 0; reads[read].name; read++)
        if (reads[read].required == required)
            tell_read(check, read);
}

static void tell_readings(CheckDevice *check)
{
    tell_passed(check, FIRST_READ);
    tell_reads(check, TRUE);
    check->told_readings = TRUE;
    if (check->failure) {
        g_autofree char *text = g_strdup_printf("it took a second attempt: %s", check->failure);

        tell_note(check, step_name(check, check->failed), text);
    }
}

static gboolean on_look(gpointer user)
{
    CheckDevice *check = user;
    const Device *device = unit_device(check->unit);

    check->idle = 0;
    if (check->ending) {
        if (unit_is_stopped(check->unit))
            finish(check);
        return G_SOURCE_REMOVE;
    }
    if (check->attempting)
        tell_passed(check, passed_at[check->reached]);
    if (device->has_readings) {
        if (!check->told_readings)
            tell_readings(check);
        if (unit_is_resting(check->unit)) {
            tell_reads(check, FALSE);
            end_unit(check);
        }
    } else if (check->attempting &&
               (device->fault == LINK_FAULT_REFUSES || device->fault == LINK_FAULT_SLOW ||
                device->fault == LINK_FAULT_MALFORMED ||
                (device->stage == LINK_CLOSED && device->fault != LINK_FAULT_NONE))) {
        take_failure(check);
    }
    return G_SOURCE_REMOVE;
}

static void on_unit_changed(void *user)
{
    CheckDevice *check = user;
    LinkStage stage = unit_device(check->unit)->stage;

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
static gboolean on_recover(void *user, const Device *device, RecoveryAction action)
{
    (void)user, (void)device, (void)action;
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
    CheckDevice *check = user;
    const Device *device = unit_device(check->unit);

    check->timer = 0;
    if (!check->failure) {
        check->failed = MAX(step_after(check), check->next);
        check->failure =
            g_strdup_printf("no end within %d s: %s", LIMIT_SECONDS,
                            *device->detail ? device->detail : link_stage_name(device->stage));
        check->last_fault = device->fault;
    }
    if (!check->told_readings)
        tell_failure(check);
    else
        end_unit(check);
    return G_SOURCE_REMOVE;
}

static void begin_unit(CheckDevice *check)
{
    const PollerConfig config = {.interval_us = interval_us, .seed = g_random_int()};

    check->unit = unit_new(check->bluez, check->spec, &config, &unit_host, check);
    unit_set_password(check->unit, check->password);
    check->timer = g_timeout_add_seconds(LIMIT_SECONDS, on_limit, check);
    unit_start(check->unit);
}

/* ---- range ----------------------------------------------------------------------------------- */

static const ScanDevice *find_device(const CheckDevice *check)
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
    CheckDevice *check = user;
    const ScanDevice *device = find_device(check);

    if (device && (device->heard || device->connected))
        bluez_scan_stop(check->scan);
}

/* Another make would only be found to be silent, or to have other services. */
static void tell_make(CheckDevice *check, const ScanDevice *device)
{
    GString *why = g_string_new(NULL);
    const char *make;

    if (likeness_judge(device, &make, why) == LIKENESS_FOREIGN)
        tell_note(check, "make", why->str);
    g_string_free(why, TRUE);
}

/* @return whether it can be gone on */
static gboolean judge_range(CheckDevice *check, LinkFault fault, const char *reason)
{
    const ScanDevice *device = find_device(check);
    g_autofree char *signal = NULL;

    if (is_policy(fault)) {
        tell_policy(check, RANGE, fault, reason);
        return FALSE;
    }
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
        if (fault == LINK_FAULT_NONE)
            fault = LINK_FAULT_NOT_FOUND;
        tell_wrong(check, RANGE, reason ? reason : link_fault_text(fault),
                   link_fault_remedy(fault));
        return FALSE;
    }
    signal = g_strdup_printf(
        "%d dBm%s", device->rssi,
        device->rssi <= WEAK_DBM ? ", which is weak: move the adapter closer to the battery" : "");
    tell_ok(check, step_name(check, RANGE), signal);
    tell_make(check, device);
    return TRUE;
}

static void on_scan_ended(void *user, LinkFault fault, const char *reason)
{
    CheckDevice *check = user;
    gboolean good;

    g_clear_handle_id(&check->timer, g_source_remove);
    good = !check->ending && judge_range(check, fault, reason);
    check->next = CONNECT;
    if (good)
        begin_unit(check);
    else
        finish(check);
}

static const ScanEvents scan_events = {.changed = on_scan_changed, .ended = on_scan_ended};

static gboolean on_range_limit(gpointer user)
{
    CheckDevice *check = user;

    check->timer = 0;
    bluez_scan_stop(check->scan);
    return G_SOURCE_REMOVE;
}

/* ---- public ---------------------------------------------------------------------------------- */

CheckDevice *check_device_new(Bluez *bluez, const DeviceSpec *spec, const char *password,
                              Report *report, void (*done)(void *user), void *user)
{
    CheckDevice *check = g_new0(CheckDevice, 1);

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

void check_device_free(CheckDevice *check)
{
    g_clear_handle_id(&check->timer, g_source_remove);
    g_clear_handle_id(&check->idle, g_source_remove);
    bluez_scan_free(check->scan);
    if (check->unit)
        unit_free(check->unit);
    advice_clear(&check->denial);
    g_free(check->failure);
    g_free(check);
}

void check_device_stop(CheckDevice *check)
{
    if (check->ending)
        return;
    if (check->unit)
        end_unit(check);
    check->ending = TRUE;
    if (!check->unit)
        bluez_scan_stop(check->scan);
}

void check_device_bluez_changed(CheckDevice *check)
{
    /* The unit hears of it itself. */
    if (!check->unit && bluez_fault(check->bluez, NULL) != LINK_FAULT_NONE)
        bluez_scan_stop(check->scan);
}

const Advice *check_device_denied(const CheckDevice *check)
{
    return check->denied ? &check->denial : NULL;
}
