/* SPDX-License-Identifier: MIT */
/*
 * The rungs of the ladder of recovery that reach beyond one battery: the adapter off and on, and
 * the operator's command. Both only where they were asked for, and not often.
 */
#ifndef BMS_RUNGS_H
#define BMS_RUNGS_H

#include "bluez.h"
#include "cli/options.h"
#include "device.h"

typedef struct Rungs Rungs;

/** Does not own @a bluez, which must outlive it. */
Rungs *rungs_new(Bluez *bluez, const Options *options);
void rungs_free(Rungs *rungs);

/** Other options hold from now on. What was done already counts on. */
void rungs_follow(Rungs *rungs, const Options *options);

/** Takes RECOVERY_POWER_CYCLE or RECOVERY_COMMAND for the sake of @a battery.
 * @return whether it was begun; it may be forbidden, or too soon */
gboolean rungs_take(Rungs *rungs, RecoveryAction action, const Device *device);

/** A battery was read: whatever was done, it is not done in vain over and over. */
void rungs_relax(Rungs *rungs);

#endif
