/* SPDX-License-Identifier: MIT */
#include "fleet.h"

#include "log.h"
#include "rungs.h"
#include "system.h"
#include "unit.h"

#include <string.h>

struct Fleet {
    Bluez *bluez;
    const Options *options;
    FleetChanged changed;
    void *user;
    Rungs *rungs;
    GPtrArray *units;          /* of Unit, owned */
    const Battery **batteries; /* theirs, as many */
    GPtrArray *leaving;        /* of Unit, owned: no longer wanted, not stopped yet */
    guint sweep;               /* GLib source that frees those that are */
    gboolean started;
    gboolean turns; /* links are not kept, since the adapter has not enough of them */
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

static void on_changed(void *user)
{
    Fleet *fleet = user;

    /* Not from inside the unit that tells of its end. */
    if (fleet->leaving->len > 0 && !fleet->sweep)
        fleet->sweep = g_idle_add(on_sweep, fleet);
    fleet->changed(fleet->user);
}

static void on_published(void *user)
{
    const Fleet *fleet = user;

    rungs_relax(fleet->rungs);
}

/* Whatever is done to the adapter or to bluetoothd is done to all batteries. */
static gboolean on_recover(void *user, const Battery *battery, RecoveryAction action)
{
    const Fleet *fleet = user;
    gint64 now = system_boot_us();

    for (guint i = 0; i < fleet->units->len; i++)
        if (fleet->batteries[i] != battery && battery_is_fresh(fleet->batteries[i], now))
            return FALSE;
    return rungs_take(fleet->rungs, action, battery);
}

static void on_limited(void *user)
{
    Fleet *fleet = user;

    if (fleet->options->link_mode != LINK_MODE_AUTO || fleet->turns)
        return;
    fleet->turns = TRUE;
    log_warn("the adapter holds no more connections; batteries take turns from now on, one "
             "connection for each poll");
    for (guint i = 0; i < fleet->units->len; i++)
        unit_take_turns(fleet->units->pdata[i]);
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
    const BatterySpec *spec = fleet->options->batteries->pdata[i];

    return (PollerConfig){
        .interval_us = spec->interval_us,
        /* Spread over the interval: the radio does one thing at a time. */
        .offset_us = spec->interval_us * i / fleet->options->batteries->len,
        .renew_us = spec->renew_us,
        .turns = fleet->turns || fleet->options->link_mode == LINK_MODE_PER_POLL,
        .seed = g_random_int(),
    };
}

/* Takes the unit for @a address out of @a units, or NULL. */
static Unit *take_unit(GPtrArray *units, const char *address)
{
    for (guint i = 0; i < units->len; i++)
        if (strcmp(unit_battery(units->pdata[i])->address, address) == 0)
            return g_ptr_array_steal_index(units, i);
    return NULL;
}

static void add_unit(Fleet *fleet, Unit *unit)
{
    fleet->batteries[fleet->units->len] = unit_battery(unit);
    g_ptr_array_add(fleet->units, unit);
}

/* One that the options name: the one that there was, or a new one. */
static void bring_unit(Fleet *fleet, GPtrArray *before, guint i)
{
    const BatterySpec *spec = fleet->options->batteries->pdata[i];
    const PollerConfig config = config_of(fleet, i);
    Unit *unit = take_unit(before, spec->address);

    if (unit) {
        unit_configure(unit, spec->name, &config);
        add_unit(fleet, unit);
        return;
    }
    unit = unit_new(fleet->bluez, spec->address, spec->name, &config, &unit_host, fleet);
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
    fleet->batteries = g_renew(const Battery *, fleet->batteries, fleet->options->batteries->len);
    for (guint i = 0; i < fleet->options->batteries->len; i++)
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
    g_ptr_array_unref(fleet->units);
    g_ptr_array_unref(fleet->leaving);
    g_free(fleet->batteries);
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

void fleet_follow(Fleet *fleet)
{
    rungs_follow(fleet->rungs, fleet->options);
    bring_units(fleet);
}

void fleet_set_passwords(Fleet *fleet, const Passwords *passwords)
{
    for (guint i = 0; i < fleet->units->len; i++)
        unit_set_password(fleet->units->pdata[i],
                          passwords_find(passwords, unit_battery(fleet->units->pdata[i])->address));
}

void fleet_release(Fleet *fleet)
{
    log_info("letting go of all batteries for %" G_GINT64_FORMAT " s",
             fleet->options->release_us / G_USEC_PER_SEC);
    for (guint i = 0; i < fleet->units->len; i++)
        unit_release(fleet->units->pdata[i], fleet->options->release_us);
}

const Battery *const *fleet_batteries(const Fleet *fleet, guint *n)
{
    *n = fleet->units->len;
    return fleet->batteries;
}

gboolean fleet_is_resting(const Fleet *fleet)
{
    for (guint i = 0; i < fleet->units->len; i++)
        if (!unit_is_resting(fleet->units->pdata[i]))
            return FALSE;
    return TRUE;
}

const Battery *fleet_stuck(const Fleet *fleet)
{
    for (guint i = 0; i < fleet->units->len; i++)
        if (!unit_is_moving(fleet->units->pdata[i]))
            return fleet->batteries[i];
    return NULL;
}
