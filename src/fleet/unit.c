/* SPDX-License-Identifier: MIT */
/* Battery, poller and link of one board, and the timer that the poller wishes for. */
#include "unit.h"

#include "kind.h"
#include "log.h"
#include "outage.h"
#include "system.h"
#include "trace.h"

struct Unit {
    Device device;
    Poller *poller;
    BluezLink *link;
    GSource *timer;
    Trace trace;
    Outage outage;
    gint64 read_at_us; /* latest readings that tell_readings() knows of, or the start; since boot */
    gboolean greeted;  /* the first readings have been logged */
    gboolean noisy;    /* and that the link is */
    const UnitHost *host;
    void *user;
};

/* ---- time ------------------------------------------------------------------------------------ */

static gboolean timer_dispatch(GSource *source, GSourceFunc callback, gpointer user)
{
    g_source_set_ready_time(source, -1); /* until the poller wishes again */
    return callback(user);
}

static gboolean on_timer(gpointer user)
{
    Unit *unit = user;

    poller_wake(unit->poller);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs timer_funcs = {.dispatch = timer_dispatch};

static int64_t host_now(void *host)
{
    (void)host;
    return g_get_monotonic_time();
}

static int64_t host_boot_time(void *host)
{
    (void)host;
    return system_boot_us();
}

static void host_wake_at(void *host, int64_t when_us)
{
    Unit *unit = host;

    g_source_set_ready_time(unit->timer, when_us == INT64_MAX ? -1 : when_us);
}

/* ---- telling --------------------------------------------------------------------------------- */

static void tell_fault(Unit *unit)
{
    const Device *device = &unit->device;
    char buffer[FAULT_REMEDY_SIZE];
    const char *remedy =
        fault_remedy_fill(link_fault_remedy(device->fault), device->address, buffer);

    switch (outage_on_fault(&unit->outage, device->fault, system_boot_us())) {
    case OUTAGE_BEGAN:
    case OUTAGE_CHANGED:
        log_warn("%s: %s%s%s", device->name, device->detail, remedy ? "; what helps: " : "",
                 remedy ? remedy : "");
        break;
    case OUTAGE_UNSTABLE:
        log_warn("%s: unstable: %s; further messages suppressed until %d good polls in a row, "
                 "unless it needs attention",
                 device->name, device->detail, OUTAGE_SETTLED_POLLS);
        break;
    case OUTAGE_NOTHING:
    case OUTAGE_ENDED:
        log_debug("%s: %s", device->name, device->detail);
        break;
    }
}

/* Time since the latest readings, or since the start where there were none. */
static double seconds_without_readings(const Unit *unit)
{
    return (double)(system_boot_us() - unit->read_at_us) / 1e6;
}

/* Everything that the recovery can do has been tried. */
static void tell_operator(Unit *unit)
{
    const Device *device = &unit->device;
    char buffer[FAULT_REMEDY_SIZE];
    const char *remedy =
        fault_remedy_fill(link_fault_remedy(device->fault), device->address, buffer);

    if (outage_on_attention(&unit->outage))
        log_error("%s: needs attention: not read for %.0f s, and retries did not help: %s%s%s",
                  device->name, seconds_without_readings(unit), device->detail,
                  remedy ? "; what helps: " : "", remedy ? remedy : "");
}

static void tell_noise(Unit *unit)
{
    const Device *device = &unit->device;
    unsigned percent = device_noise_percent(device);

    if (unit->outage.active)
        return; /* an unstable one, in which messages are suppressed */
    if (!unit->noisy && percent >= DEVICE_NOISY_PERCENT) {
        unit->noisy = TRUE;
        log_warn("%s: the link is noisy: %u %% of the answers arrive corrupted; what helps: %s",
                 device->name, percent, link_fault_remedy(LINK_FAULT_NOISE));
    } else if (unit->noisy && percent < DEVICE_NOISY_PERCENT / 2) {
        unit->noisy = FALSE;
        log_info("%s: the link is good again", device->name);
    }
}

static void tell_end(const Unit *unit)
{
    const Outage *outage = &unit->outage;
    const char *name = unit->device.name;

    if (outage->unstable)
        log_info("%s: stable again after %.0f s (faults: %" G_GUINT64_FORMAT ")", name,
                 (double)(system_boot_us() - outage->began_us) / 1e6, outage->faults);
    else
        log_info("%s: readings are back after %.1f s (faults: %" G_GUINT64_FORMAT ")", name,
                 seconds_without_readings(unit), outage->faults);
}

static void tell_readings(Unit *unit)
{
    const Device *device = &unit->device;
    gboolean ended = outage_on_readings(&unit->outage) == OUTAGE_ENDED;

    if (!unit->greeted) {
        GString *readings = g_string_new(NULL);

        device->kind->append_summary(readings, device);
        log_info("%s: first readings: %s", device->name, readings->str);
        g_string_free(readings, TRUE);
        unit->greeted = TRUE;
    } else if (ended) {
        tell_end(unit);
    }
    unit->read_at_us = device->read_at_us;
}

static void host_published(void *host)
{
    Unit *unit = host;

    if (!unit->host->quiet) {
        tell_readings(unit);
        tell_noise(unit);
    }
    unit->host->published(unit->user);
    unit->host->changed(unit->user);
}

static void host_fault(void *host)
{
    Unit *unit = host;
    gboolean settled = unit->device.fault == LINK_FAULT_LIMIT && unit->host->limited(unit->user);

    if (!unit->host->quiet && !settled)
        tell_fault(unit);
}

static void host_changed(void *host)
{
    Unit *unit = host;

    unit->host->changed(unit->user);
}

static bool host_recover(void *host, RecoveryAction action)
{
    Unit *unit = host;

    if (action != RECOVERY_TELL)
        return unit->host->recover(unit->user, &unit->device, action);
    if (!unit->host->quiet)
        tell_operator(unit);
    return true;
}

static void host_bytes(void *host, bool sent, const uint8_t *data, size_t size)
{
    Unit *unit = host;

    trace_bytes(&unit->trace, unit->device.address, sent, data, size);
}

static const PollerHost host_ops = {
    .now = host_now,
    .boot_time = host_boot_time,
    .wake_at = host_wake_at,
    .published = host_published,
    .fault = host_fault,
    .changed = host_changed,
    .recover = host_recover,
    .bytes = host_bytes,
};

/* ---- public ---------------------------------------------------------------------------------- */

Unit *unit_new(Bluez *bluez, const DeviceSpec *spec, const PollerConfig *config,
               const UnitHost *host, void *user)
{
    Unit *unit = g_new0(Unit, 1);

    unit->host = host;
    unit->user = user;
    unit->read_at_us = system_boot_us();
    device_init(&unit->device, spec->kind, spec->address, spec->name, config->interval_us);
    unit->timer = g_source_new(&timer_funcs, sizeof(GSource));
    g_source_set_static_name(unit->timer, "poller");
    g_source_set_callback(unit->timer, on_timer, unit, NULL);
    g_source_attach(unit->timer, NULL);
    unit->poller = poller_new(config, &unit->device, &host_ops, unit);
    unit->link = bluez_link_new(bluez, spec->address, &poller_link_events, unit->poller);
    bluez_link_set_label(unit->link, unit->device.name);
    poller_set_link(unit->poller, &bluez_link_ops, unit->link);
    return unit;
}

void unit_free(Unit *unit)
{
    bluez_link_free(unit->link);
    poller_free(unit->poller);
    g_source_destroy(unit->timer);
    g_source_unref(unit->timer);
    g_free(unit);
}

void unit_set_password(Unit *unit, const char *password)
{
    poller_set_password(unit->poller, (const uint8_t *)password);
    bluez_link_set_passkey(unit->link, password);
    unit_kick(unit); /* it may be what was missing */
}

void unit_configure(Unit *unit, const char *name, const PollerConfig *config)
{
    device_configure(&unit->device, name, config->interval_us);
    bluez_link_set_label(unit->link, unit->device.name);
    poller_configure(unit->poller, config);
}

void unit_start(Unit *unit)
{
    poller_start(unit->poller);
}

void unit_stop(Unit *unit)
{
    poller_stop(unit->poller);
}

void unit_take_turns(Unit *unit, gboolean turns)
{
    poller_take_turns(unit->poller, turns);
}

void unit_kick(Unit *unit)
{
    if (!poller_is_stopped(unit->poller))
        poller_link_events.kick(unit->poller);
}

void unit_release(Unit *unit, gint64 duration_us)
{
    poller_release(unit->poller, duration_us);
}

gboolean unit_is_stopped(const Unit *unit)
{
    return poller_is_stopped(unit->poller);
}

gboolean unit_is_resting(const Unit *unit)
{
    return poller_is_resting(unit->poller);
}

gboolean unit_is_moving(const Unit *unit)
{
    return poller_is_moving(unit->poller);
}

guint unit_asked(const Unit *unit)
{
    return poller_asked(unit->poller);
}

const Device *unit_device(const Unit *unit)
{
    return &unit->device;
}
