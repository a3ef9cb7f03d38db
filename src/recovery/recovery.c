/* SPDX-License-Identifier: MIT */
/* The back-off between attempts to get a link. */
#include "recovery.h"

enum { FIRST_DELAY_MS = 250, SECOND_DELAY_MS = 1000, JITTER_PERCENT = 20 };

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

void recovery_init(Recovery *recovery, uint32_t seed)
{
    recovery->failures = 0;
    recovery->random = seed ? seed : 1;
}

void recovery_on_frame(Recovery *recovery)
{
    recovery->failures = 0;
}

void recovery_on_kick(Recovery *recovery)
{
    recovery->failures = 0;
}

int64_t recovery_on_failure(Recovery *recovery)
{
    int64_t delay_ms = FIRST_DELAY_MS;

    if (recovery->failures > 0) {
        /* 2^6 s is past the limit; the shift stays small however long a battery is away. */
        unsigned doublings = recovery->failures - 1;

        delay_ms = doublings >= 6 ? RECOVERY_MAX_DELAY_MS : SECOND_DELAY_MS << doublings;
    }
    if (recovery->failures < UINT32_MAX)
        recovery->failures++;

    /* Jitter only ever shortens, so that the limit is one. */
    int64_t spread_us = delay_ms * 1000 * JITTER_PERCENT / 100;

    return delay_ms * 1000 - next_random(recovery) % (spread_us + 1);
}
