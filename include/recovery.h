/* SPDX-License-Identifier: MIT */
/*
 * What to do about a battery that is not read, as a policy that only computes: events in, an action
 * and a delay out. It neither waits nor connects, so each of its decisions can be tested in a line.
 *
 * The ladder of actions, from the mildest to the last, is in doc/DESIGN.md, section "Recovery".
 */
#ifndef BMS_RECOVERY_H
#define BMS_RECOVERY_H

#include "link.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum {
    RECOVERY_RETRY,
    RECOVERY_RECONNECT,
    RECOVERY_REMOVE_DEVICE,
    RECOVERY_POWER_CYCLE,
    RECOVERY_COMMAND,
    RECOVERY_TELL,
    RECOVERY_N_ACTIONS
} RecoveryAction;

/** Name for labels ("remove_device"). */
const char *recovery_action_name(RecoveryAction action);

enum {
    RECOVERY_TRIES = 3,          /**< for a read that a complete poll requires */
    RECOVERY_TRIES_OPTIONAL = 2, /**< for any other read */
};

typedef struct {
    int64_t max_delay_us; /**< longest delay between two attempts */
    unsigned attempts;    /**< failed attempts since the last valid frame; decides the delay */
    unsigned failures;    /**< failures since the last complete poll; the position on the ladder */
    bool told;            /**< a person was told since the last complete poll */
    bool removed;         /**< BlueZ was made to forget the device on this way up the ladder */
    LinkFault fault;      /**< the latest fault */
    uint32_t random;      /**< state of the generator that jitters the delays; never 0 */
} Recovery;

typedef struct {
    RecoveryAction action; /**< what to do before the next attempt; RECONNECT: nothing */
    int64_t delay_us;      /**< until the next attempt */
} RecoveryStep;

/**
 * @param interval_us poll interval: the longest delay, within 5 s and 60 s, so that a fault whose
 * end nobody signals costs one poll more at most
 * @param seed spreads several batteries, and several machines, apart
 */
void recovery_init(Recovery *recovery, int64_t interval_us, uint32_t seed);

/** Another interval from now on. */
void recovery_set_interval(Recovery *recovery, int64_t interval_us);

/** A question went unanswered for the @a tries th time. @return RETRY, or RECONNECT */
RecoveryAction recovery_on_unanswered(unsigned tries, bool required);

/** A valid frame came: the link carries. */
void recovery_on_frame(Recovery *recovery);

/** A poll is complete: the outage, if there was one, is over. */
void recovery_on_readings(Recovery *recovery);

/** The environment changed for the better: the next attempt need not wait. */
void recovery_on_kick(Recovery *recovery);

/**
 * A link was lost or could not be had, or the board refuses to be read.
 *
 * The distance from attempt to attempt is 0.25 s at first, because BlueZ needs a moment to take a
 * link down, then 1 s doubling up to the longest; up to 20 % less, at random.
 *
 * @param spent_us how long the attempt has taken that failed. It counts towards the distance, for
 * it is there to space attempts that fail at once; the moment for BlueZ remains.
 */
RecoveryStep recovery_on_failure(Recovery *recovery, LinkFault fault, int64_t spent_us);

/**
 * How often something may be done that reaches beyond one battery. Shared by all of them. Each
 * time without a complete poll in between doubles the distance to the next.
 */
typedef struct {
    int64_t min_us; /**< shortest distance */
    int64_t max_us; /**< longest distance */
    int64_t distance_us;
    int64_t next_at; /**< monotonic time before which it may not be done again */
} RecoveryLimit;

/** The first time is free. */
void recovery_limit_init(RecoveryLimit *limit, int64_t min_us, int64_t max_us);

/** Asks for a time. @return whether it may be done, and then it counts as done */
bool recovery_limit_take(RecoveryLimit *limit, int64_t now_us);

/** Whether it was done since it last helped or was not needed. */
bool recovery_limit_is_used(const RecoveryLimit *limit);

/** It has helped, or was not needed: the distance is the shortest again. */
void recovery_limit_relax(RecoveryLimit *limit);

#endif
