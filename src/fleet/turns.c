/* SPDX-License-Identifier: MIT */
#include "turns.h"

TurnsState turns_on_limit(Turns *turns, gint64 now_us, gint64 interval_us)
{
    const TurnsState before = turns->state;
    const gint64 first_us = TURNS_POLLS * interval_us;
    const gint64 longest_us = TURNS_MAX_FACTOR * first_us;

    if (before == TURNS_TAKING)
        return before;
    /* Room that comes and goes must not be told of time and again: only after it has been there for
     * long does the next shortage count as the first one. */
    if (turns->length_us == 0 || now_us - turns->since_us >= 2 * longest_us)
        turns->length_us = first_us;
    else
        turns->length_us = MIN(2 * turns->length_us, longest_us);
    turns->state = TURNS_TAKING;
    turns->since_us = now_us;
    return before;
}

gboolean turns_on_time(Turns *turns, gint64 now_us)
{
    if (now_us < turns_wake_at(turns))
        return FALSE;
    if (turns->state == TURNS_TAKING) {
        turns->state = TURNS_TRYING;
        turns->since_us = now_us;
    } else {
        turns->state = TURNS_KEEPING; /* since the attempt began */
    }
    return TRUE;
}

gint64 turns_wake_at(const Turns *turns)
{
    return turns->state == TURNS_KEEPING ? G_MAXINT64 : turns->since_us + turns->length_us;
}
