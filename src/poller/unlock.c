/* SPDX-License-Identifier: MIT */
/*
 * The password handshake over a link that is up.
 *
 * A module whose owner has set a password lets nothing through to the board until it has been given
 * in this session. Which modules do, only the first step tells, and older ones do not even know
 * that one. So it is asked for
 *
 *   - before the first read, where there is a password to give, unless reads were last answered
 *     without it;
 *   - once in a session in which reads go unanswered, whether there is a password or not: then the
 *     answer at least tells a person what is in the way. A board that was read without one is asked
 *     when several sessions have failed.
 *
 *     KEY ──▶ RANDOM ──▶ PASSWORD ──▶ reads
 *      │ not needed, or not answered ──▶ reads
 *      │ sent back: the module wants to be paired instead
 *
 * A password that was refused is not sent again for an hour: a module may count wrong ones.
 */
#include "poller-private.h"

#include <stdlib.h>
#include <string.h>

enum {
    MAX_KEY_TRIES = 3,
    MAX_KEY_TRIES_AFTER_READS = 2, /* the first command of the session was something else */
    FAILURES_BEFORE_DOUBT = 6,     /* that no password is needed */
    MAX_LOST_PASSWORDS = 3,        /* in a row, without an answer: as good as refused */
};

static const int64_t refused_for_us = 3600 * INT64_C(1000000);

/* ---- what came of it ------------------------------------------------------------------------- */

static void give_up(Poller *poller, LinkFault fault, const char *detail)
{
    poller_report_fault(poller, fault, detail);
    poller->slot_failure = fault == LINK_FAULT_SILENT ? POLL_FAILURE_TIMEOUT : POLL_FAILURE_STATUS;
    poller_close_link(poller, SESSION_STALL);
}

static void hold_password_back(Poller *poller)
{
    poller->unlock.refused = true;
    poller->unlock.not_before = poller_now(poller) + refused_for_us;
}

static bool may_send_password(const Poller *poller)
{
    return poller->unlock.has_password && poller_now(poller) >= poller->unlock.not_before;
}

/* Nothing has come of the first step. */
static void give_up_key(Poller *poller)
{
    if (poller->try_error == JBD_ERROR_ECHO)
        poller_pair(poller);
    else if (poller->unlock.after_reads)
        give_up(poller, poller->unlock.otherwise, NULL);
    else
        round_begin(poller);
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* The key may be sent again; the other two steps are sent once. */
static unsigned max_tries(const Unlock *unlock)
{
    if (unlock->step != JBD_STEP_KEY)
        return 1;
    return unlock->after_reads ? MAX_KEY_TRIES_AFTER_READS : MAX_KEY_TRIES;
}

static void send_step(Poller *poller, JbdStep step, const JbdStepRequest *request)
{
    Unlock *unlock = &poller->unlock;

    if (step != unlock->step)
        poller->tries = 0;
    unlock->step = step;
    unlock->asked_at = poller_now(poller);
    if (poller->tries++ == 0)
        poller->waiting_since = unlock->asked_at;
    poller->try_error = JBD_OK;
    poller->answer_by = round_answer_by(poller, max_tries(unlock));
    jbd_reassembler_reset(&poller->reassembler);
    jbd_reassembler_expect_steps(&poller->reassembler);
    poller_write(poller, request->bytes, request->size);
}

static void send_key(Poller *poller)
{
    const JbdStepRequest request = jbd_step_key();

    send_step(poller, JBD_STEP_KEY, &request);
}

static void send_random(Poller *poller)
{
    const JbdStepRequest request = jbd_step_random();

    send_step(poller, JBD_STEP_RANDOM, &request);
}

static void send_password(Poller *poller, uint8_t random)
{
    uint8_t address[JBD_ADDRESS_SIZE];

    /* "AA:BB:CC:DD:EE:FF" */
    for (unsigned i = 0; i < JBD_ADDRESS_SIZE; i++)
        address[i] = (uint8_t)strtoul(poller->device->address + 3 * (size_t)i, NULL, 16);

    JbdStepRequest request = jbd_step_password(poller->unlock.password, address, random);

    send_step(poller, JBD_STEP_PASSWORD, &request);
    explicit_bzero(&request, sizeof request);
}

static void key_answered(Poller *poller, uint8_t answer)
{
    Unlock *unlock = &poller->unlock;

    if (answer == JBD_STEP_NOT_NEEDED) {
        if (unlock->after_reads)
            give_up(poller, unlock->otherwise, NULL);
        else
            round_begin(poller);
    } else if (answer != JBD_STEP_OK) {
        give_up(poller, LINK_FAULT_PASSWORD_WANTED,
                "it wants a password, and refuses the key of the vendor's app: not supported");
    } else if (may_send_password(poller)) {
        send_random(poller);
    } else {
        give_up(poller, unlock->refused ? LINK_FAULT_PASSWORD_WRONG : LINK_FAULT_PASSWORD_WANTED,
                NULL);
    }
}

static void password_answered(Poller *poller, uint8_t answer)
{
    poller->unlock.lost = 0;
    if (answer == JBD_STEP_OK) {
        poller->unlock.unlocked = true;
        poller->unlock.refused = false;
        round_begin(poller);
    } else {
        hold_password_back(poller);
        give_up(poller, LINK_FAULT_PASSWORD_WRONG, NULL);
    }
}

static void step_answered(Poller *poller, const JbdFrame *frame)
{
    const uint8_t answer = frame->data[0];

    /* It answers in order: reads that were asked before are lost. */
    questions_clear(&poller->questions);
    /* Which of several tries it answers nobody knows. */
    if (poller->tries == 1)
        rtt_measured(&poller->answer_time, poller_now(poller) - poller->unlock.asked_at);
    switch (poller->unlock.step) {
    case JBD_STEP_KEY:
        key_answered(poller, answer);
        break;
    case JBD_STEP_RANDOM:
        send_password(poller, answer);
        break;
    case JBD_STEP_PASSWORD:
        password_answered(poller, answer);
        break;
    }
}

/* ---- for the rest of the poller -------------------------------------------------------------- */

static void begin(Poller *poller, bool after_reads)
{
    poller->unlock.tried = true;
    poller->unlock.after_reads = after_reads;
    poller->tries = 0;
    /* Those of reads that a locked module does not answer. */
    rtt_forget_timeouts(&poller->answer_time);
    poller_set_state(poller, UNLOCKING);
    send_key(poller);
}

void unlock_new_session(Poller *poller)
{
    poller->unlock.tried = false;
    poller->unlock.unlocked = false;
}

bool unlock_before_reads(Poller *poller)
{
    if (!may_send_password(poller) || poller->unlock.unneeded)
        return false;
    begin(poller, false);
    return true;
}

bool unlock_after_reads(Poller *poller, LinkFault otherwise)
{
    /* A session in which the board has spoken was not locked; its silence has another cause. */
    if (poller->session_proved || poller->unlock.tried)
        return false;
    /* One that was read without a password has hardly got one since. */
    if (poller->unlock.unneeded && poller->recovery.failures < FAILURES_BEFORE_DOUBT)
        return false;
    poller->unlock.unneeded = false;
    poller->unlock.otherwise = otherwise;
    begin(poller, true);
    return true;
}

LinkFault unlock_fault(const Poller *poller, LinkFault fault)
{
    if (fault != LINK_FAULT_LOST || poller->session_proved)
        return fault;
    if (poller->state == UNLOCKING && poller->unlock.after_reads)
        return poller->unlock.otherwise;
    return round_is_unanswered(poller) ? LINK_FAULT_SILENT : fault;
}

void unlock_reads_answered(Poller *poller)
{
    poller->unlock.refused = false;
    if (!poller->unlock.unlocked)
        poller->unlock.unneeded = true;
}

void unlock_try_failed(Poller *poller)
{
    Unlock *unlock = &poller->unlock;

    if (poller->try_error == JBD_OK)
        rtt_timed_out(&poller->answer_time);
    switch (unlock->step) {
    case JBD_STEP_KEY:
        if (poller->tries < max_tries(unlock))
            send_key(poller);
        else
            give_up_key(poller);
        break;
    case JBD_STEP_RANDOM:
        /* Not asked for again in this session: with two bytes on the way nobody knows which of
         * them the module has in mind, and a right password would be refused. */
        give_up(poller, LINK_FAULT_SILENT, NULL);
        break;
    case JBD_STEP_PASSWORD:
        /* Nor is the password. Whether it was taken, reads tell. */
        if (++unlock->lost >= MAX_LOST_PASSWORDS)
            hold_password_back(poller);
        round_begin(poller);
        break;
    }
}

/* A board that answers a read, however late, is not locked. */
static void take_late_read(Poller *poller, const JbdFrame *frame)
{
    answers_take_late(poller, frame);
    if (poller->unlock.after_reads)
        round_begin(poller);
}

void unlock_take(Poller *poller, const uint8_t *data, size_t size)
{
    JbdFrame frame;
    JbdError error;
    JbdEvent event;

    /* A step's answer is shorter than any notification; what does not go into the buffer is none.
     */
    jbd_reassembler_put(&poller->reassembler, data, size);
    while (poller->state == UNLOCKING &&
           (event = jbd_reassembler_next(&poller->reassembler, &frame, &error)) != JBD_NEED_MORE) {
        if (event == JBD_FRAME) {
            take_late_read(poller, &frame);
            return;
        }
        /* Sound as a frame is, but it does not show that reads are let through. */
        if (event == JBD_STEP)
            device_count_frame(poller->device);
        if (event == JBD_STEP && frame.reg == (uint8_t)poller->unlock.step) {
            step_answered(poller, &frame);
            return;
        }
        if (event == JBD_REFUSED) {
            jbd_count_error(poller->device, error);
            poller->try_error = error;
        }
    }
}

void poller_set_password(Poller *poller, const uint8_t *password)
{
    Unlock *unlock = &poller->unlock;

    explicit_bzero(unlock->password, sizeof unlock->password);
    unlock->has_password = password != NULL;
    if (password)
        memcpy(unlock->password, password, sizeof unlock->password);
    unlock->refused = false;
    unlock->unneeded = false;
    unlock->lost = 0;
    unlock->not_before = 0;
}
