/* SPDX-License-Identifier: MIT */
/* Turns a stream of faults and readings into the few events that a person wants to read. */
#include "outage.h"

_Static_assert(LINK_N_FAULTS <= 64, "Outage.told has a bit for each fault");

OutageNews outage_on_fault(Outage *outage, LinkFault fault, int64_t now_us, int64_t interval_us)
{
    uint64_t bit = UINT64_C(1) << fault;

    outage->good = 0;
    outage->faults++;
    if (!outage->active) {
        bool again =
            outage->ended_us != 0 && now_us - outage->ended_us < OUTAGE_SETTLED_POLLS * interval_us;

        outage->active = true;
        outage->unstable = again;
        outage->began_us = now_us;
        outage->told = bit;
        outage->faults = 1;
        return again ? OUTAGE_UNSTABLE : OUTAGE_BEGAN;
    }
    if (outage->told & bit)
        return OUTAGE_NOTHING;
    outage->told |= bit;
    return OUTAGE_CHANGED;
}

OutageNews outage_on_readings(Outage *outage, int64_t now_us)
{
    if (!outage->active)
        return OUTAGE_NOTHING;
    outage->good++;
    if (outage->unstable && outage->good < OUTAGE_SETTLED_POLLS)
        return OUTAGE_NOTHING;
    outage->active = false;
    outage->ended_us = now_us;
    return OUTAGE_ENDED;
}
