/* SPDX-License-Identifier: MIT */
/*
 * All batteries at work: which there are, what they share (the ladder's upper rungs, the room for
 * links), and how they follow when the options change.
 */
#ifndef BMS_FLEET_H
#define BMS_FLEET_H

#include "bluez.h"
#include "cli/options.h"
#include "cli/passwords.h"
#include "device.h"

typedef struct Fleet Fleet;

/** Something about a battery has changed that others may want to show. */
typedef void (*FleetChanged)(void *user);

/** Builds what @a options say, which must outlive it. @param user goes to @a changed */
Fleet *fleet_new(Bluez *bluez, const Options *options, FleetChanged changed, void *user);
void fleet_free(Fleet *fleet);

void fleet_start(Fleet *fleet);

/** Closes all links. fleet_is_stopped() tells when that is done. */
void fleet_stop(Fleet *fleet);
gboolean fleet_is_stopped(const Fleet *fleet);

/**
 * The options are others now. Batteries that stay go on without losing a poll, those that are no
 * longer named are disconnected, new ones begin.
 */
void fleet_follow(Fleet *fleet);

/** Gives each battery the password that is meant for it, if there is one. */
void fleet_set_passwords(Fleet *fleet, const Passwords *passwords);

/** Lets go of all batteries for as long as the options say. */
void fleet_release(Fleet *fleet);

/** In the order of the options. Valid until fleet_follow(). */
const Device *const *fleet_devices(const Fleet *fleet, guint *n);

/** Whether each battery has been read and nothing is left to read until the next poll. */
gboolean fleet_is_resting(const Fleet *fleet);

/** A battery whose poller stands still, or NULL. See poller_is_moving(). */
const Device *fleet_stuck(const Fleet *fleet);

#endif
