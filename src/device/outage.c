/* SPDX-License-Identifier: MIT */
/* Turns a stream of faults and readings into the few events that a person wants to read. */
#include "outage.h"

static OutageNews begin(Outage *outage, LinkFault fault, int64_t now_us)
{
    /* Good polls are counted, not time: the interval may have changed since. */
    bool again = outage->ended && outage->good < OUTAGE_SETTLED_POLLS;

    *outage = (Outage){
        .active = true,
        .unstable = again,
        .told = UINT32_C(1) << fault,
        .began_us = now_us,
        .faults = 1,
    };
    return again ? OUTAGE_UNSTABLE : OUTAGE_BEGAN;
}

OutageNews outage_on_fault(Outage *outage, LinkFault fault, int64_t now_us)
{
    uint32_t bit = UINT32_C(1) << fault;

    if (!outage->active)
        return begin(outage, fault, now_us);
    outage->good = 0;
    outage->faults++;
    if (outage->unstable || outage->told & bit)
        return OUTAGE_NOTHING;
    outage->told |= bit;
    return OUTAGE_CHANGED;
}

OutageNews outage_on_readings(Outage *outage)
{
    if (outage->good < OUTAGE_SETTLED_POLLS)
        outage->good++;
    if (!outage->active || (outage->unstable && outage->good < OUTAGE_SETTLED_POLLS))
        return OUTAGE_NOTHING;
    outage->active = false;
    outage->ended = true;
    return OUTAGE_ENDED;
}

bool outage_on_attention(Outage *outage)
{
    bool first = !outage->attention;

    outage->attention = true;
    return first;
}
