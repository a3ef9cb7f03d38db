/* SPDX-License-Identifier: MIT */
#include "fleet.h"

#include "log.h"
#include "rungs.h"
#include "system.h"
#include "turns.h"
#include "unit.h"

#include <string.h>

struct Fleet {
    Bluez *bluez;
    const Options *options;
    FleetChanged changed;
    void *user;
    Rungs *rungs;
    GPtrArray *units;       /* of Unit, owned */
    const Device **devices; /* theirs, as many */
    GPtrArray *leaving;     /* of Unit, owned: no longer wanted, not stopped yet */
    guint sweep;            /* GLib source that frees those that are */
    gboolean started;
    Turns turns;       /* in LINK_MODE_AUTO */
    guint turns_timer; /* GLib source: the end of turns, or of the attempt to end them */
    gboolean crowded;  /* a battery waits for room */
    guint n_links;     /* that take up room, as of the latest change */
    guint room;        /* GLib source that lets those try that wait for it */
};

/* ---- what units need ------------------------------------------------------------------------- */

static gboolean on_sweep(gpointer user)
{
    Fleet *fleet = user;

    fleet->sweep = 0;
    for (guint i = fleet->leaving->len; i-- > 0;)
        if (unit_is_stopped(fleet->leaving->pdata[i]))
            g_ptr_array_remove_index_fast(fleet->leaving, i);
    return G_SOURCE_REMOVE;
}

static gboolean waits_for_room(const Device *device)
{
    return device->fault == LINK_FAULT_LIMIT && device->stage == LINK_CLOSED;
}

static gboolean on_room(gpointer user)
{
    Fleet *fleet = user;

    fleet->room = 0;
    fleet->crowded = FALSE;
    for (guint i = 0; i < fleet->units->len; i++)
        if (waits_for_room(fleet->devices[i]))
            unit_kick(fleet->units->pdata[i]);
    return G_SOURCE_REMOVE;
}

static guint count_links(const Fleet *fleet)
{
    guint n = 0;

    for (guint i = 0; i < fleet->units->len; i++)
        n += fleet->devices[i]->stage >= LINK_RESOLVING;
    return n;
}

/* Who has found no room waits for its slot's end at worst; a link that has just been closed is room
 * for one more, and the slot is not lost. */
static void look_for_room(Fleet *fleet)
{
    guint before = fleet->n_links;

    fleet->n_links = count_links(fleet);
    if (fleet->crowded && fleet->n_links < before && !fleet->room)
        fleet->room = g_idle_add(on_room, fleet);
}

static void on_changed(void *user)
{
    Fleet *fleet = user;

    /* Not from inside the unit that tells of its end. */
    if (fleet->leaving->len > 0 && !fleet->sweep)
        fleet->sweep = g_idle_add(on_sweep, fleet);
    look_for_room(fleet);
    fleet->changed(fleet->user);
}

static void on_published(void *user)
{
    const Fleet *fleet = user;

    rungs_relax(fleet->rungs);
}

/* Whatever is done to the adapter or to bluetoothd is done to all batteries. */
static gboolean on_recover(void *user, const Device *device, RecoveryAction action)
{
    const Fleet *fleet = user;
    gint64 now = system_boot_us();

    for (guint i = 0; i < fleet->units->len; i++)
        if (fleet->devices[i] != device && device_is_fresh(fleet->devices[i], now))
            return FALSE;
    return rungs_take(fleet->rungs, action, device);
}

static gint64 longest_interval(const Fleet *fleet)
{
    gint64 longest_us = 0;

    for (guint i = 0; i < fleet->units->len; i++)
        longest_us = MAX(longest_us, fleet->devices[i]->interval_us);
    return longest_us;
}

static gboolean takes_turns(const Fleet *fleet)
{
    switch (fleet->options->link_mode) {
    case LINK_MODE_AUTO:
        return fleet->turns.state == TURNS_TAKING;
    case LINK_MODE_KEEP:
        return FALSE;
    case LINK_MODE_PER_POLL:
        return TRUE;
    }
    return FALSE;
}

static gboolean on_turns_time(gpointer user);

static void set_turns_timer(Fleet *fleet)
{
    gint64 left_us = turns_wake_at(&fleet->turns) - g_get_monotonic_time();

    g_clear_handle_id(&fleet->turns_timer, g_source_remove);
    if (fleet->turns.state != TURNS_KEEPING)
        fleet->turns_timer =
            g_timeout_add((guint)CLAMP(left_us / 1000 + 1, 1, G_MAXINT), on_turns_time, fleet);
}

/* To be called when it is decided anew whether links are kept. */
static void follow_turns(Fleet *fleet)
{
    set_turns_timer(fleet);
    for (guint i = 0; i < fleet->units->len; i++)
        unit_take_turns(fleet->units->pdata[i], takes_turns(fleet));
}

static gboolean on_turns_time(gpointer user)
{
    Fleet *fleet = user;

    fleet->turns_timer = 0;
    if (turns_on_time(&fleet->turns, g_get_monotonic_time())) {
        if (fleet->turns.state == TURNS_TRYING)
            log_debug("trying again to keep all connections");
        else
            log_info("the adapter has had room for all connections for %" G_GINT64_FORMAT
                     " s; batteries no longer take turns",
                     fleet->turns.length_us / G_USEC_PER_SEC);
    }
    follow_turns(fleet);
    return G_SOURCE_REMOVE;
}

static gboolean on_limited(void *user)
{
    Fleet *fleet = user;
    TurnsState before = fleet->turns.state;
    gint64 now = g_get_monotonic_time();

    fleet->crowded = TRUE;
    fleet->n_links = count_links(fleet);
    if (fleet->options->link_mode != LINK_MODE_AUTO)
        return FALSE;
    /* The links that were kept take a moment to close. */
    if (before == TURNS_TAKING)
        return now - fleet->turns.since_us < longest_interval(fleet);
    turns_on_limit(&fleet->turns, now, longest_interval(fleet));
    if (before == TURNS_KEEPING)
        log_warn("the adapter holds no more connections; batteries take turns from now on, one "
                 "connection for each poll");
    else
        log_debug("the adapter still has no room for all connections");
    follow_turns(fleet);
    return TRUE;
}

static const UnitHost unit_host = {
    .changed = on_changed,
    .published = on_published,
    .recover = on_recover,
    .limited = on_limited,
};

/* ---- which there are ------------------------------------------------------------------------- */

static PollerConfig config_of(const Fleet *fleet, guint i)
{
    const DeviceSpec *spec = fleet->options->devices->pdata[i];

    return (PollerConfig){
        .interval_us = spec->interval_us,
        /* Spread over the interval: the radio does one thing at a time. */
        .offset_us = spec->interval_us * i / fleet->options->devices->len,
        .renew_us = spec->renew_us,
        .turns = takes_turns(fleet),
        .seed = g_random_int(),
    };
}

/* Takes the unit for @a address out of @a units, or NULL. */
static Unit *take_unit(GPtrArray *units, const char *address)
{
    for (guint i = 0; i < units->len; i++)
        if (strcmp(unit_device(units->pdata[i])->address, address) == 0)
            return g_ptr_array_steal_index(units, i);
    return NULL;
}

static void add_unit(Fleet *fleet, Unit *unit)
{
    fleet->devices[fleet->units->len] = unit_device(unit);
    g_ptr_array_add(fleet->units, unit);
}

/* One that the options name: the one that there was, or a new one. */
static void bring_unit(Fleet *fleet, GPtrArray *before, guint i)
{
    const DeviceSpec *spec = fleet->options->devices->pdata[i];
    const PollerConfig config = config_of(fleet, i);
    Unit *unit = take_unit(before, spec->address);

    if (unit) {
        unit_configure(unit, spec->name, &config);
        add_unit(fleet, unit);
        return;
    }
    unit = unit_new(fleet->bluez, spec, &config, &unit_host, fleet);
    add_unit(fleet, unit);
    if (fleet->started)
        unit_start(unit);
}

static void free_unit(gpointer unit)
{
    unit_free(unit);
}

static void bring_units(Fleet *fleet)
{
    GPtrArray *before = fleet->units;

    fleet->units = g_ptr_array_new_with_free_func(free_unit);
    fleet->devices = g_renew(const Device *, fleet->devices, fleet->options->devices->len);
    for (guint i = 0; i < fleet->options->devices->len; i++)
        bring_unit(fleet, before, i);
    while (before->len > 0) {
        Unit *unit = g_ptr_array_steal_index(before, 0);

        g_ptr_array_add(fleet->leaving, unit);
        unit_stop(unit);
    }
    g_ptr_array_unref(before);
    on_changed(fleet);
}

/* ---- public ---------------------------------------------------------------------------------- */

Fleet *fleet_new(Bluez *bluez, const Options *options, FleetChanged changed, void *user)
{
    Fleet *fleet = g_new0(Fleet, 1);

    fleet->bluez = bluez;
    fleet->options = options;
    fleet->changed = changed;
    fleet->user = user;
    fleet->rungs = rungs_new(bluez, options);
    fleet->units = g_ptr_array_new_with_free_func(free_unit);
    fleet->leaving = g_ptr_array_new_with_free_func(free_unit);
    bring_units(fleet);
    return fleet;
}

void fleet_free(Fleet *fleet)
{
    g_clear_handle_id(&fleet->sweep, g_source_remove);
    g_clear_handle_id(&fleet->room, g_source_remove);
    g_clear_handle_id(&fleet->turns_timer, g_source_remove);
    g_ptr_array_unref(fleet->units);
    g_ptr_array_unref(fleet->leaving);
    g_free(fleet->devices);
    rungs_free(fleet->rungs);
    g_free(fleet);
}

void fleet_start(Fleet *fleet)
{
    fleet->started = TRUE;
    for (guint i = 0; i < fleet->units->len; i++)
        unit_start(fleet->units->pdata[i]);
}

void fleet_stop(Fleet *fleet)
{
    for (guint i = 0; i < fleet->units->len; i++)
        unit_stop(fleet->units->pdata[i]);
}

static gboolean are_stopped(const GPtrArray *units)
{
    for (guint i = 0; i < units->len; i++)
        if (!unit_is_stopped(units->pdata[i]))
            return FALSE;
    return TRUE;
}

gboolean fleet_is_stopped(const Fleet *fleet)
{
    return are_stopped(fleet->units) && are_stopped(fleet->leaving);
}

/* What was found out about the room is of no interest where the options decide. */
static void forget_turns(Fleet *fleet)
{
    if (fleet->options->link_mode == LINK_MODE_AUTO)
        return;
    if (fleet->options->link_mode == LINK_MODE_KEEP && fleet->turns.state == TURNS_TAKING)
        log_info("batteries no longer take turns");
    fleet->turns = (Turns){.state = TURNS_KEEPING};
    set_turns_timer(fleet);
}

void fleet_follow(Fleet *fleet)
{
    rungs_follow(fleet->rungs, fleet->options);
    forget_turns(fleet);
    bring_units(fleet);
}

void fleet_set_passwords(Fleet *fleet, const Passwords *passwords)
{
    for (guint i = 0; i < fleet->units->len; i++)
        unit_set_password(fleet->units->pdata[i],
                          passwords_find(passwords, unit_device(fleet->units->pdata[i])->address));
}

void fleet_release(Fleet *fleet)
{
    log_info("letting go of all batteries for %" G_GINT64_FORMAT " s",
             fleet->options->release_us / G_USEC_PER_SEC);
    for (guint i = 0; i < fleet->units->len; i++)
        unit_release(fleet->units->pdata[i], fleet->options->release_us);
}

const Device *const *fleet_devices(const Fleet *fleet, guint *n)
{
    *n = fleet->units->len;
    return fleet->devices;
}

gboolean fleet_is_resting(const Fleet *fleet)
{
    for (guint i = 0; i < fleet->units->len; i++)
        if (!unit_is_resting(fleet->units->pdata[i]))
            return FALSE;
    return TRUE;
}

const Device *fleet_stuck(const Fleet *fleet)
{
    for (guint i = 0; i < fleet->units->len; i++)
        if (!unit_is_moving(fleet->units->pdata[i]))
            return fleet->devices[i];
    return NULL;
}
