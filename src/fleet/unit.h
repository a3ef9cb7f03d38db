/* SPDX-License-Identifier: MIT */
/*
 * One battery at work: its state, its poller and its link, put together and hung into the main
 * loop. It also logs what happens to them.
 */
#ifndef BMS_UNIT_H
#define BMS_UNIT_H

#include "bluez.h"
#include "cli/options.h"
#include "device.h"
#include "poller.h"

#include <glib.h>

typedef struct Unit Unit;

/** What a unit needs of the program around it. */
typedef struct {
    /** Something about a unit has changed that others may want to show. */
    void (*changed)(void *user);
    /** A battery was read. */
    void (*published)(void *user);
    /** Does POWER_CYCLE or COMMAND for the sake of @a battery. @return whether it was begun */
    gboolean (*recover)(void *user, const Device *device, RecoveryAction action);
    /** The adapter has no room for another link. @return whether the host makes room, and nothing
     * is to be logged */
    gboolean (*limited)(void *user);
    gboolean quiet; /**< the host itself reports what happens; nothing is logged */
} UnitHost;

/** @param user goes to @a host's functions */
Unit *unit_new(Bluez *bluez, const DeviceSpec *spec, const PollerConfig *config,
               const UnitHost *host, void *user);
void unit_free(Unit *unit);

/** Gives it the battery's password, which is copied, or NULL for none. */
void unit_set_password(Unit *unit, const char *password);

/** Another name, or another interval; see poller_configure(). */
void unit_configure(Unit *unit, const char *name, const PollerConfig *config);

void unit_start(Unit *unit);
void unit_stop(Unit *unit);
/** See poller_take_turns(). */
void unit_take_turns(Unit *unit, gboolean turns);
/** Tries at once to connect where it waits to do so. */
void unit_kick(Unit *unit);
/** See poller_release(). */
void unit_release(Unit *unit, gint64 duration_us);
gboolean unit_is_stopped(const Unit *unit);
gboolean unit_is_resting(const Unit *unit);
gboolean unit_is_moving(const Unit *unit);
const Device *unit_device(const Unit *unit);

/** The register that was asked for last. */
guint unit_asked(const Unit *unit);

#endif
