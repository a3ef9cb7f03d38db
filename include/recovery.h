/* SPDX-License-Identifier: MIT */
/*
 * What to do after a failure, as a policy that only computes: events in, a delay out. It neither
 * waits nor connects, so each of its decisions can be tested in a line.
 */
#ifndef BMS_RECOVERY_H
#define BMS_RECOVERY_H

#include <stdint.h>

typedef struct {
    unsigned failures; /**< in a row, since the last valid frame */
    uint32_t random;   /**< state of the generator that jitters the delays; never 0 */
} Recovery;

/** Longest delay between two attempts. */
enum { RECOVERY_MAX_DELAY_MS = 60000 };

/** @param seed spreads several batteries, and several machines, apart */
void recovery_init(Recovery *recovery, uint32_t seed);

/** A valid frame came: the link works. */
void recovery_on_frame(Recovery *recovery);

/** The environment changed for the better: the next attempt is a first one again. */
void recovery_on_kick(Recovery *recovery);

/**
 * A link was lost or could not be had.
 * @return µs to wait before the next attempt: 0.25 s at first, because BlueZ needs a moment to
 * take a link down, then 1 s doubling up to RECOVERY_MAX_DELAY_MS; up to 20 % less, at random.
 */
int64_t recovery_on_failure(Recovery *recovery);

#endif
