/* SPDX-License-Identifier: MIT */
/*
 * The state machine of one battery's poller.
 *
 *                 open()                  up()                    all read
 *     WAITING ──────────────▶ OPENING ──────────────▶ ASKING ──────────────▶ IDLE
 *        ▲                       │                     │  ▲   slot begins     │
 *        │        down()         │       unanswered    │  └───────────────────┤
 *        ├───────────────────────┘          ┌──────────┘                      │ session is old
 *        │                                  ▼                                 │
 *        └─────────────────────────────  CLOSING  ◀───────────────────────────┘
 *                  down()                          close()
 *
 * A board that wants a password has one state more. It lies between OPENING and ASKING, or is
 * entered from ASKING where only unanswered reads show that it is needed:
 *
 *     OPENING or ASKING ──────────────▶ UNLOCKING ──────────────▶ ASKING or CLOSING
 *
 * When links take turns, each round ends in CLOSING, and WAITING lasts until the next slot. A
 * battery that is let go for another client is RELEASED after CLOSING, until its time is over.
 *
 * Time is cut into slots, one poll interval each, counted from the start and never shifted. A poll
 * is due at the beginning of each slot and may succeed until its end: a link that comes up late, or
 * a board that answers only when asked again, still keeps the slot. Each session begins with a
 * poll whatever the slot says. That proves the link, and it takes the blow of the first command,
 * which boards tend to lose.
 */
#include "poller-private.h"

#include <stdlib.h>

/* The adapter is off for 1 s of a power cycle, and needs a moment on both sides of it. Once it is
 * on, a kick comes. */
static const int64_t power_cycle_us = 6 * INT64_C(1000000);

static void changed(Poller *poller)
{
    poller->host_ops->changed(poller->host);
}

void poller_report_fault(Poller *poller, LinkFault fault, const char *detail)
{
    device_set_fault(poller->device, fault, detail);
    poller->host_ops->fault(poller->host);
}

static void tell_bytes(Poller *poller, bool sent, const uint8_t *data, size_t size)
{
    if (poller->host_ops->bytes)
        poller->host_ops->bytes(poller->host, sent, data, size);
}

void poller_write(Poller *poller, const uint8_t *data, size_t size)
{
    tell_bytes(poller, true, data, size);
    poller->link_ops->write(poller->link, data, size);
}

/* ---- opening and closing the link ------------------------------------------------------------ */

static void open_link(Poller *poller)
{
    bool afresh = poller->afresh;

    poller->afresh = false;
    poller_set_state(poller, OPENING);
    poller->attempt_began = poller_now(poller);
    poller->link_ops->open(poller->link, afresh);
}

void poller_close_link(Poller *poller, SessionReason reason)
{
    poller->reason = reason;
    poller_set_state(poller, CLOSING);
    poller->link_ops->close(poller->link);
}

int64_t poller_recover(Poller *poller)
{
    Device *device = poller->device;
    int64_t spent_us = poller_now(poller) - poller->attempt_began;
    RecoveryStep step = recovery_on_failure(&poller->recovery, device->fault, spent_us);

    switch (step.action) {
    case RECOVERY_RETRY:
    case RECOVERY_RECONNECT:
    case RECOVERY_N_ACTIONS:
        return step.delay_us;
    case RECOVERY_REMOVE_DEVICE:
        poller->afresh = true;
        break;
    case RECOVERY_POWER_CYCLE:
    case RECOVERY_COMMAND:
    case RECOVERY_TELL:
        if (!poller->host_ops->recover(poller->host, step.action))
            return step.delay_us;
        break;
    }
    device_count_recovery(device, step.action);
    if (step.action == RECOVERY_POWER_CYCLE && step.delay_us < power_cycle_us)
        return power_cycle_us;
    return step.delay_us;
}

static void wait_until(Poller *poller, int64_t when)
{
    poller->retry_at = when;
    poller_set_state(poller, WAITING);
}

void poller_pair(Poller *poller)
{
    LinkFault fault = LINK_FAULT_PAIRING_WANTED;

    if (poller->link_ops->pair)
        fault = poller->link_ops->pair(poller->link);
    if (fault != LINK_FAULT_NONE)
        poller_report_fault(poller, fault, NULL);
    poller->slot_failure = POLL_FAILURE_STATUS;
    poller_close_link(poller, SESSION_STALL);
}

static void wait_before_opening(Poller *poller)
{
    int64_t when = poller_now(poller) + poller_recover(poller);

    device_count_recovery(poller->device, RECOVERY_RECONNECT);
    /* Where the radio's time is short, a battery that is away has its own slots and no more. */
    if (poller->config.turns && poller->recovery.failures > 1 && when < poller->slot_end)
        when = poller->slot_end;
    wait_until(poller, when);
}

static void stay_released(Poller *poller)
{
    poller->reason = SESSION_RELEASE;
    device_set_fault(poller->device, LINK_FAULT_NONE,
                     "let go for a while, so that another app can connect to it");
    poller_set_state(poller, RELEASED);
}

void poller_end_round(Poller *poller)
{
    int64_t now = poller_now(poller);
    int64_t renew = poller->config.renew_us;
    int64_t age = now - poller->session_began;
    bool early = poller->slot_end - now >= poller->config.interval_us / 2;

    poller_set_state(poller, IDLE);
    /* Just behind a poll there is nearly a whole slot of time for the renewal, so none is lost.
     * A poll that needed retries has used that time up; the next one will do. */
    if (poller->config.turns)
        poller_close_link(poller, SESSION_TURN);
    else if (renew > 0 && age >= renew && (early || age >= 2 * renew))
        poller_close_link(poller, SESSION_RENEWAL);
    changed(poller);
}

/* ---- events of the link ---------------------------------------------------------------------- */

static void on_chunk(void *user, const uint8_t *data, size_t size)
{
    Poller *poller = user;

    tell_bytes(poller, false, data, size);
    poller_leave_old_answers(poller);
    if (!poller->foreign)
        poller->foreign = jbd_foreign_make(data, size);
    if (poller->state == UNLOCKING)
        unlock_take(poller, data, size);
    else
        answers_take(poller, data, size);
    poller_rearm(poller);
}

static void on_stage(void *user, LinkStage stage)
{
    Poller *poller = user;

    if (stage != poller->device->stage && poller->state == OPENING)
        poller->state_since = poller_now(poller);
    if (stage == LINK_FINDING && poller->state == OPENING)
        poller->attempt_began = poller_now(poller);
    device_set_stage(poller->device, stage);
    changed(poller);
}

static void on_up(void *user)
{
    Poller *poller = user;

    if (poller->state != OPENING) /* being closed: down() follows */
        return;
    poller->session_began = poller_now(poller);
    poller->session_proved = false;
    poller->foreign = NULL;
    round_new_session(poller);
    unlock_new_session(poller);
    device_count_session(poller->device, poller->reason);
    if (!unlock_before_reads(poller))
        round_begin(poller);
    poller_rearm(poller);
}

static void on_down(void *user, LinkFault fault, const char *detail)
{
    Poller *poller = user;

    device_set_stage(poller->device, LINK_CLOSED);
    if (poller->state == CLOSING && fault != LINK_FAULT_NONE)
        poller->reason = link_fault_traits(fault)->session;
    if (poller->stopping) {
        poller_set_state(poller, STOPPED);
    } else if (poller->release_until > poller_now(poller)) {
        stay_released(poller);
    } else if (poller->state == CLOSING && poller->reason == SESSION_RENEWAL) {
        open_link(poller);
    } else if (poller->state == CLOSING && poller->reason == SESSION_TURN) {
        /* A slot that has begun while the link was being closed is due. */
        wait_until(poller, poller->slot_due ? poller_now(poller) : poller->slot_end);
    } else if (poller->state == CLOSING) {
        wait_before_opening(poller);
    } else {
        if (poller_is_talking(poller) || poller->state == IDLE) {
            poller->reason = link_fault_traits(fault)->session;
            poller->slot_failure =
                fault == LINK_FAULT_WRITE ? POLL_FAILURE_TIMEOUT : POLL_FAILURE_LINK_LOSS;
        }
        if (unlock_fault(poller, fault) != fault)
            poller_report_fault(poller, unlock_fault(poller, fault), NULL);
        else
            poller_report_fault(poller, fault, detail);
        wait_before_opening(poller);
    }
    changed(poller);
    poller_rearm(poller);
}

static void on_kick(void *user)
{
    Poller *poller = user;

    poller_leave_old_answers(poller);
    recovery_on_kick(&poller->recovery);
    if (poller->state == WAITING && !poller->stopping)
        open_link(poller);
    poller_rearm(poller);
}

const LinkEvents poller_link_events = {
    .stage = on_stage, .up = on_up, .chunk = on_chunk, .down = on_down, .kick = on_kick};

/* ---- the grid -------------------------------------------------------------------------------- */

static void begin_slot(Poller *poller)
{
    int64_t interval = poller->config.interval_us;
    int64_t begun = (poller_now(poller) - poller->slot_end) / interval + 1;

    if (poller->release_until > poller_now(poller)) {
        poller->slot_end += begun * interval;
        return;
    }
    if (poller->slot_due)
        device_count_failure(poller->device, poller->slot_failure, 1);
    /* More than one at once: this process has stood still, or the machine has slept. */
    if (begun > 1)
        device_count_failure(poller->device, POLL_FAILURE_MISSED, (uint64_t)begun - 1);
    device_count_poll(poller->device, (uint64_t)begun);

    poller->slot_end += begun * interval;
    poller->slot_due = true;
    poller->slot_failure = POLL_FAILURE_NOT_CONNECTED;
    if (poller_is_talking(poller))
        poller->slot_failure = POLL_FAILURE_TIMEOUT;

    /* A round of an earlier slot goes on until the question under way is answered or given up: what
     * is slow is not asked two things at once. Then another is begun for this slot. */
    if (poller->state == IDLE)
        round_begin(poller);
    else if (poller->state == ASKING)
        round_on_slot(poller);
}

/* ---- public ---------------------------------------------------------------------------------- */

Poller *poller_new(const PollerConfig *config, Device *device, const PollerHost *host_ops,
                   void *host)
{
    Poller *poller = calloc(1, sizeof *poller);

    if (!poller)
        abort(); /* as GLib does when memory ends */
    poller->config = *config;
    poller->device = device;
    poller->host_ops = host_ops;
    poller->host = host;
    poller->wake_at = INT64_MAX;
    recovery_init(&poller->recovery, config->interval_us, config->seed);
    round_init(poller);
    return poller;
}

void poller_free(Poller *poller)
{
    poller_set_password(poller, NULL); /* leaves none behind in memory */
    free(poller);
}

void poller_set_link(Poller *poller, const LinkOps *ops, void *link)
{
    poller->link_ops = ops;
    poller->link = link;
}

void poller_start(Poller *poller)
{
    poller->slot_end = poller_now(poller) + poller->config.offset_us;
    poller->reason = SESSION_START;
    open_link(poller);
    poller_wake(poller); /* without an offset the first slot begins now */
}

void poller_stop(Poller *poller)
{
    if (poller->stopping)
        return;
    poller->stopping = true;
    if (poller->state == WAITING || poller->state == RELEASED)
        poller_set_state(poller, STOPPED);
    else if (poller->state != STOPPED && poller->state != CLOSING)
        poller_close_link(poller, poller->reason);
    poller_rearm(poller);
}

void poller_configure(Poller *poller, const PollerConfig *config)
{
    poller_leave_old_answers(poller);
    /* A shorter slot than the one under way begins at once. */
    if (config->interval_us < poller->config.interval_us)
        poller->slot_end = earlier(poller->slot_end, poller_now(poller) + config->interval_us);
    poller->config.interval_us = config->interval_us;
    poller->config.renew_us = config->renew_us;
    poller->config.turns = config->turns;
    recovery_set_interval(&poller->recovery, config->interval_us);
    if (config->turns && poller->state == IDLE)
        poller_close_link(poller, SESSION_TURN);
    poller_rearm(poller);
}

void poller_take_turns(Poller *poller, bool turns)
{
    PollerConfig config = poller->config;

    config.turns = turns;
    poller_configure(poller, &config);
}

void poller_release(Poller *poller, int64_t duration_us)
{
    if (poller->stopping || poller->state == STOPPED)
        return;
    poller->release_until = poller_now(poller) + duration_us;
    poller->slot_due = false;
    if (poller->state == WAITING)
        stay_released(poller);
    else if (poller->state != CLOSING && poller->state != RELEASED)
        poller_close_link(poller, SESSION_RELEASE);
    changed(poller);
    poller_rearm(poller);
}

bool poller_is_stopped(const Poller *poller)
{
    return poller->state == STOPPED;
}

bool poller_is_resting(const Poller *poller)
{
    bool after_turn =
        poller->reason == SESSION_TURN && (poller->state == CLOSING || poller->state == WAITING);

    return poller->device->has_readings && (poller->state == IDLE || after_turn);
}

unsigned poller_asked(const Poller *poller)
{
    return poller->asked;
}

static void try_failed(Poller *poller)
{
    if (poller->state == UNLOCKING)
        unlock_try_failed(poller);
    else
        round_try_failed(poller);
}

void poller_wake(Poller *poller)
{
    if (poller->state == STOPPED || poller->stopping)
        return;
    poller_leave_old_answers(poller);
    if (poller_is_talking(poller) && poller_now(poller) >= poller->answer_by)
        try_failed(poller);
    if (poller_now(poller) >= poller->slot_end) {
        begin_slot(poller);
        changed(poller);
    }
    if (poller->state == WAITING && poller_now(poller) >= poller->retry_at)
        open_link(poller);
    if (poller->state == RELEASED && poller_now(poller) >= poller->release_until)
        open_link(poller);
    poller_rearm(poller);
}
