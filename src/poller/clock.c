/* SPDX-License-Identifier: MIT */
/*
 * What time does to the poller.
 *
 * Everything is planned in the time since boot, in which the time that the machine slept counts: an
 * answer, a session and a password that was refused grow older meanwhile, and polls are missed.
 * The main loop's clock stands still then. Only the host's timer, and whether this poller moves,
 * are measured with it.
 */
#include "poller-private.h"

/* No stage of a link takes as long as this (the longest, connecting, is bounded at well under a
 * minute); only waiting for the radio may. */
static const int64_t stuck_us = 180 * INT64_C(1000000);
/* The main loop may be late by this before it counts as standing still. */
static const int64_t late_us = 10 * INT64_C(1000000);
/* This late, the process has stood still (stopped, or starved) or the machine has slept, and so old
 * are the answers that are found waiting. */
static const int64_t stood_still_us = 2 * INT64_C(1000000);

int64_t poller_now(const Poller *poller)
{
    return poller->host_ops->boot_time(poller->host);
}

/* How much later it is than the main loop's clock says, which stands still while the machine
 * sleeps. */
static int64_t slept_us(const Poller *poller)
{
    return poller_now(poller) - poller->host_ops->now(poller->host);
}

void poller_set_state(Poller *poller, State state)
{
    poller->state = state;
    poller->state_since = poller->host_ops->now(poller->host);
}

bool poller_is_talking(const Poller *poller)
{
    return poller->state == UNLOCKING || poller->state == ASKING;
}

void poller_rearm(Poller *poller)
{
    int64_t now = poller_now(poller);
    int64_t when = INT64_MAX;

    if (poller->state != STOPPED && !poller->stopping) {
        when = poller->slot_end;
        if (poller->state == WAITING)
            when = earlier(when, poller->retry_at);
        if (poller_is_talking(poller))
            when = earlier(when, poller->answer_by);
        if (poller->state == RELEASED)
            when = earlier(when, poller->release_until);
    }
    /* What is overdue is late from now on: nobody could have woken us for a wish not made yet. */
    poller->wake_at = when > now ? when : now;
    poller->slept_us = slept_us(poller);
    poller->host_ops->wake_at(poller->host,
                              when == INT64_MAX ? when : poller->wake_at - poller->slept_us);
}

/* Whether so much time has passed unnoticed that answers may be waiting which are too old. */
static bool has_stood_still(const Poller *poller)
{
    int64_t overdue_us = poller_now(poller) - poller->wake_at;
    int64_t allowed_us = stood_still_us;

    if (slept_us(poller) - poller->slept_us > stood_still_us)
        return true;
    /* At rest only a stray second answer can be waiting. It is not worth a new session before it is
     * older than a poll. */
    if (poller->state == IDLE && poller->config.interval_us > allowed_us)
        allowed_us = poller->config.interval_us;
    return overdue_us > allowed_us;
}

/*
 * What was asked before the process stood still, or the machine slept, may be answered now, with
 * values of then that would look fresh. No answer says when it was given, so only a new session
 * leaves them all behind.
 */
void poller_leave_old_answers(Poller *poller)
{
    if (!(poller_is_talking(poller) || poller->state == IDLE) || !has_stood_still(poller))
        return;
    if (poller_is_talking(poller))
        poller->slot_failure = POLL_FAILURE_MISSED;
    /* Nothing has failed, so the recovery has nothing to do. */
    poller_close_link(poller, SESSION_RENEWAL);
}

bool poller_is_moving(const Poller *poller)
{
    /* Not the time since boot: after a sleep the main loop has yet to get to anything. */
    int64_t now = poller->host_ops->now(poller->host);
    bool on_the_way = poller->state == OPENING || poller->state == CLOSING;

    if (poller->wake_at != INT64_MAX && now - (poller->wake_at - poller->slept_us) > late_us)
        return false;
    return !on_the_way || poller->device->stage == LINK_WAITING ||
           now - poller->state_since <= stuck_us;
}
