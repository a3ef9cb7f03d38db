/* SPDX-License-Identifier: MIT */
/* The ladder, the back-off between attempts, and the limits for what reaches beyond a battery. */
#include "recovery.h"

enum {
    FIRST_DELAY_MS = 250,
    SECOND_DELAY_MS = 1000,
    MIN_LONGEST_MS = 5000,
    MAX_LONGEST_MS = 60000,
    JITTER_PERCENT = 20,
    MAX_DOUBLINGS = 16, /* past any limit; the shift stays small however long a battery is away */
};

static const char *const action_names[RECOVERY_N_ACTIONS] = {
    [RECOVERY_RETRY] = "retry",
    [RECOVERY_RECONNECT] = "reconnect",
    [RECOVERY_REMOVE_DEVICE] = "remove_device",
    [RECOVERY_POWER_CYCLE] = "power_cycle",
    [RECOVERY_COMMAND] = "command",
    [RECOVERY_TELL] = "tell",
};

const char *recovery_action_name(RecoveryAction action)
{
    return action_names[action];
}

/* ---- the ladder ------------------------------------------------------------------------------ */

enum {
    LADDER_HEIGHT = 8,
    /* Where on the ladder the rungs are that only some faults reach. */
    LAST_REMOVE = 3,
    CYCLE_AT = 5,
    COMMAND_AT = 7,
};

/* Which rung the latest failure leads to. */
static RecoveryAction rung(Recovery *recovery, LinkFault fault)
{
    const FaultTraits *traits = link_fault_traits(fault);
    unsigned height = (recovery->failures - 1) % LADDER_HEIGHT + 1;
    unsigned tell_at = traits->tell_at ? traits->tell_at : LADDER_HEIGHT;

    if (height == 1)
        recovery->removed = false;
    if (traits->remove_from && height >= traits->remove_from && height <= LAST_REMOVE &&
        !recovery->removed) {
        recovery->removed = true;
        return RECOVERY_REMOVE_DEVICE;
    }
    if (height == CYCLE_AT && traits->cycle)
        return RECOVERY_POWER_CYCLE;
    if (height == COMMAND_AT && traits->command)
        return RECOVERY_COMMAND;
    return height >= tell_at ? RECOVERY_TELL : RECOVERY_RECONNECT;
}

RecoveryAction recovery_on_unanswered(unsigned tries, bool required)
{
    unsigned max = required ? RECOVERY_TRIES : RECOVERY_TRIES_OPTIONAL;

    return tries < max ? RECOVERY_RETRY : RECOVERY_RECONNECT;
}

/* ---- the back-off ---------------------------------------------------------------------------- */

/* xorshift32 (Marsaglia, "Xorshift RNGs", 2003): jitter needs no better. */
static uint32_t next_random(Recovery *recovery)
{
    uint32_t x = recovery->random;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    recovery->random = x;
    return x;
}

static int64_t next_delay(Recovery *recovery, int64_t spent_us)
{
    int64_t delay_us = FIRST_DELAY_MS * INT64_C(1000);

    if (recovery->attempts > 0) {
        unsigned doublings = recovery->attempts - 1;

        delay_us = SECOND_DELAY_MS * INT64_C(1000)
                   << (doublings < MAX_DOUBLINGS ? doublings : MAX_DOUBLINGS);
    }
    if (delay_us > recovery->max_delay_us)
        delay_us = recovery->max_delay_us;
    if (recovery->attempts < MAX_DOUBLINGS + 1)
        recovery->attempts++;

    delay_us -= spent_us;
    if (delay_us < FIRST_DELAY_MS * INT64_C(1000))
        delay_us = FIRST_DELAY_MS * INT64_C(1000);

    /* Jitter only ever shortens, so that the limit is one. */
    return delay_us - next_random(recovery) % (delay_us * JITTER_PERCENT / 100 + 1);
}

/* ---- events ---------------------------------------------------------------------------------- */

void recovery_set_interval(Recovery *recovery, int64_t interval_us)
{
    int64_t longest = interval_us;

    longest = longest < MIN_LONGEST_MS * INT64_C(1000) ? MIN_LONGEST_MS * INT64_C(1000) : longest;
    longest = longest > MAX_LONGEST_MS * INT64_C(1000) ? MAX_LONGEST_MS * INT64_C(1000) : longest;
    recovery->max_delay_us = longest;
}

void recovery_init(Recovery *recovery, int64_t interval_us, uint32_t seed)
{
    *recovery = (Recovery){.random = seed ? seed : 1};
    recovery_set_interval(recovery, interval_us);
}

void recovery_on_frame(Recovery *recovery)
{
    recovery->attempts = 0;
}

void recovery_on_readings(Recovery *recovery)
{
    recovery->attempts = 0;
    recovery->failures = 0;
    recovery->told = false;
}

void recovery_on_kick(Recovery *recovery)
{
    recovery->attempts = 0;
    /* What is over said nothing about device and controller. After a power cycle of our own it is
     * their fault that was the last one, and the ladder goes on. */
    if (link_fault_is_general(recovery->fault))
        recovery->failures = 0;
}

RecoveryStep recovery_on_failure(Recovery *recovery, LinkFault fault, int64_t spent_us)
{
    RecoveryStep step = {.action = RECOVERY_RECONNECT, .delay_us = next_delay(recovery, spent_us)};

    recovery->fault = fault;
    if (fault == LINK_FAULT_NONE)
        return step;
    recovery->failures++;
    step.action = rung(recovery, fault);
    if (recovery->failures >= 1000 * LADDER_HEIGHT)
        recovery->failures -= LADDER_HEIGHT; /* the same place, and it never overflows */
    if (step.action == RECOVERY_TELL && recovery->told)
        step.action = RECOVERY_RECONNECT;
    recovery->told = recovery->told || step.action == RECOVERY_TELL;
    return step;
}

/* ---- limits ---------------------------------------------------------------------------------- */

void recovery_limit_init(RecoveryLimit *limit, int64_t min_us, int64_t max_us)
{
    *limit = (RecoveryLimit){
        .min_us = min_us, .max_us = max_us, .distance_us = min_us, .next_at = INT64_MIN};
}

bool recovery_limit_take(RecoveryLimit *limit, int64_t now_us)
{
    if (now_us < limit->next_at)
        return false;
    limit->next_at = now_us + limit->distance_us;
    limit->distance_us = 2 * limit->distance_us;
    if (limit->distance_us > limit->max_us)
        limit->distance_us = limit->max_us;
    return true;
}

bool recovery_limit_is_used(const RecoveryLimit *limit)
{
    return limit->distance_us > limit->min_us;
}

void recovery_limit_relax(RecoveryLimit *limit)
{
    limit->distance_us = limit->min_us;
}
