/* SPDX-License-Identifier: MIT */
/*
 * A round of reads over a link that is up: requests, retries, and what the answers are worth.
 */
#include "poller-private.h"

#include <stdio.h>

enum {
    MAX_MISSES = 3, /* rounds in which an optional register stays silent: it is not there */
};

/* Answers were seen after 33 to 122 ms (median 68), once after 1.6 s, on 324 captured requests.
 * An answer that comes after the question was repeated is as good as any: both ask the same. */
static const int64_t max_answer_us = 2000000;
static const int64_t min_answer_us = 300000;
/* The first command of a session is usually lost, so waiting long for its answer is in vain. */
static const int64_t first_answer_us = 400000;
/* After a damaged frame: let the line fall silent before asking again. */
static const int64_t drain_us = 200000;

/* Both are read at the beginning of each session, and then: counters change with every trip of a
 * protection, rarely; the model with a new board behind the same radio. */
static const int64_t counters_every_us = 300 * INT64_C(1000000);
static const int64_t model_every_us = 86400 * INT64_C(1000000);
/* What was absent may have been lost in noise: look again the next day. */
static const int64_t absent_for_us = 86400 * INT64_C(1000000);

static const unsigned required_reads = 1 << JBD_BASIC | 1 << JBD_CELLS;

int64_t round_answer_time(const Poller *poller)
{
    /* Two reads, three tries each, must fit into a slot. */
    int64_t time = poller->config.interval_us / (2 * RECOVERY_TRIES + 2);

    time = time > max_answer_us ? max_answer_us : time;
    time = time < min_answer_us ? min_answer_us : time;
    if (!poller->session_proved && poller->tries == 1)
        time = earlier(time, first_answer_us);
    return time;
}

static void send_request(Poller *poller)
{
    poller->tries++;
    poller->try_error = JBD_OK;
    poller->answer_by = poller_now(poller) + round_answer_time(poller);
    jbd_reassembler_reset(&poller->reassembler);
    poller_write(poller, jbd_request(poller->asked), JBD_REQUEST_SIZE);
}

void round_new_session(Poller *poller)
{
    if (poller->config.turns)
        return; /* a session is nothing new then */
    for (int read = JBD_MODEL; read < JBD_N_READS; read++)
        if (poller->optional[read].present)
            poller->optional[read].next_at = 0;
}

void round_begin(Poller *poller)
{
    poller_set_state(poller, ASKING);
    poller->round_began = poller_now(poller);
    poller->wanted = required_reads;
    poller->got = 0;
    poller->asked = JBD_BASIC;
    poller->tries = 0;
    send_request(poller);
}

static bool is_required(JbdRead read)
{
    return (required_reads & 1U << read) != 0;
}

/* Which optional registers to read behind a complete poll. */
static unsigned due_optionals(const Poller *poller)
{
    int64_t now = poller_now(poller);
    unsigned due = 0;

    for (int read = JBD_MODEL; read < JBD_N_READS; read++)
        if (now >= poller->optional[read].next_at)
            due |= 1U << read;
    return due;
}

static void ask_next(Poller *poller)
{
    if (poller->slot_due && !(poller->wanted & required_reads)) {
        round_begin(poller); /* the next poll is due already */
        return;
    }
    /* An optional read is given up when the next poll is due: late is not worth beginning. */
    int64_t needed = earlier(2 * min_answer_us, poller->config.interval_us / 4);
    bool time_left = poller_now(poller) + needed < poller->slot_end;

    for (int read = 0; read < JBD_N_READS; read++) {
        if (!(poller->wanted & 1U << read) || (!is_required((JbdRead)read) && !time_left))
            continue;
        poller->asked = (JbdRead)read;
        poller->tries = 0;
        send_request(poller);
        return;
    }
    poller_end_round(poller);
}

static void publish(Poller *poller)
{
    int64_t now = poller_now(poller);

    jbd_publish(poller->device, &poller->basic, &poller->cells, now,
                (double)(now - poller->round_began) / 1e6);
    poller->slot_due = false;
    recovery_on_readings(&poller->recovery);
    poller->host_ops->published(poller->host);
    poller->wanted |= due_optionals(poller);
}

static void optional_done(Poller *poller, JbdRead read, bool present, int64_t wait_us)
{
    Optional *optional = &poller->optional[read];

    optional->present = present;
    optional->misses = 0;
    optional->next_at = poller_now(poller) + wait_us;
    poller->wanted &= ~(1U << read);
}

/*
 * Decodes a frame as the answer to @a read into the poller.
 * Readings of the two required registers go to the battery only when both have come.
 */
static JbdError take(Poller *poller, JbdRead read, const JbdFrame *frame)
{
    JbdError error;
    JbdModel model;
    JbdCounters counters;

    switch (read) {
    case JBD_BASIC:
        return jbd_decode_basic(frame, &poller->basic);
    case JBD_CELLS:
        return jbd_decode_cells(frame, &poller->cells);
    case JBD_MODEL:
        error = jbd_decode_model(frame, &model);
        if (error == JBD_OK)
            jbd_set_model(poller->device, &model);
        return error;
    case JBD_COUNTERS:
        error = jbd_decode_counters(frame, &counters);
        if (error == JBD_OK)
            jbd_set_counters(poller->device, &counters);
        return error;
    case JBD_N_READS:
        break;
    }
    return JBD_ERROR_REGISTER;
}

/* The read that was asked for has been answered with readings. */
static void answered(Poller *poller)
{
    JbdRead read = poller->asked;

    unlock_reads_answered(poller);
    if (is_required(read)) {
        poller->got |= 1U << read;
        poller->wanted &= ~(1U << read);
        if (poller->got == required_reads)
            publish(poller);
    } else {
        optional_done(poller, read, true,
                      read == JBD_COUNTERS ? counters_every_us : model_every_us);
    }
    ask_next(poller);
}

static LinkFault fault_of(JbdError error)
{
    switch (error) {
    case JBD_OK:
        return LINK_FAULT_SILENT;
    case JBD_ERROR_ECHO:
        return LINK_FAULT_ECHO;
    case JBD_ERROR_STATUS:
        return LINK_FAULT_REFUSES;
    case JBD_ERROR_SANITY:
        return LINK_FAULT_MALFORMED;
    case JBD_ERROR_CHECKSUM:
    case JBD_ERROR_LENGTH:
    case JBD_ERROR_REGISTER:
    case JBD_N_ERRORS:
        break;
    }
    return LINK_FAULT_NOISE;
}

static void report_silence(Poller *poller, JbdError error)
{
    unsigned percent = device_noise_percent(poller->device);
    LinkFault fault = fault_of(error);
    char detail[96 + JBD_MALFORMED_SIZE];

    if (fault == LINK_FAULT_MALFORMED) {
        (void)snprintf(detail, sizeof detail, "%s: %s", link_fault_text(fault), poller->malformed);
        poller_report_fault(poller, fault, detail);
    } else if (fault == LINK_FAULT_NOISE && percent > 0) {
        (void)snprintf(detail, sizeof detail, "%s: %u %% of the latest ones",
                       link_fault_text(fault), percent);
        poller_report_fault(poller, fault, detail);
    } else {
        poller_report_fault(poller, fault, NULL);
    }
}

/* Nothing sound has come in this session, but what is known to be of other boards has. */
static bool report_foreign(Poller *poller)
{
    char detail[96];

    if (poller->session_proved || !poller->foreign)
        return false;
    (void)snprintf(detail, sizeof detail, "%s: that of %s", link_fault_text(LINK_FAULT_FOREIGN),
                   poller->foreign);
    poller_report_fault(poller, LINK_FAULT_FOREIGN, detail);
    return true;
}

static void miss(Poller *poller)
{
    if (++poller->optional[poller->asked].misses >= MAX_MISSES)
        optional_done(poller, poller->asked, false, absent_for_us);
    poller->wanted &= ~(1U << poller->asked);
}

/* All tries of a read are used up. */
static void give_up(Poller *poller)
{
    JbdError error = poller->try_error;

    if (!is_required(poller->asked)) {
        miss(poller);
        ask_next(poller);
        return;
    }

    bool silent = error == JBD_OK || error == JBD_ERROR_ECHO;
    bool foreign = report_foreign(poller);

    if (!foreign && silent && unlock_after_reads(poller, fault_of(error)))
        return;
    if (!foreign)
        report_silence(poller, error);
    if (error == JBD_ERROR_STATUS || error == JBD_ERROR_SANITY) {
        /* The link is sound; a new one would hear the same. */
        poller->slot_failure = error == JBD_ERROR_STATUS ? POLL_FAILURE_STATUS : POLL_FAILURE_FRAME;
        poller_recover(poller);
        poller_end_round(poller);
    } else {
        poller->slot_failure = silent ? POLL_FAILURE_TIMEOUT : POLL_FAILURE_FRAME;
        poller_close_link(poller, SESSION_STALL);
    }
}

/* A try has ended without readings. */
void round_try_failed(Poller *poller)
{
    bool required = is_required(poller->asked);

    if (jbd_reassembler_is_partial(&poller->reassembler)) {
        jbd_count_error(poller->device, JBD_ERROR_LENGTH);
        poller->try_error = JBD_ERROR_LENGTH;
    }
    /* An optional read is not repeated when a poll is due. */
    if ((required || !poller->slot_due) &&
        recovery_on_unanswered(poller->tries, required) == RECOVERY_RETRY) {
        device_count_recovery(poller->device, RECOVERY_RETRY);
        send_request(poller);
    } else {
        give_up(poller);
    }
}

/*
 * A sound frame came that does not answer the question. It may still be of use: the board answers
 * in order, so a second answer to a read that this round has already had is the newer one.
 */
static void take_stray(Poller *poller, const JbdFrame *frame)
{
    for (int read = 0; read < JBD_N_READS; read++)
        if (frame->reg == jbd_register((JbdRead)read) && poller->got & 1U << read)
            take(poller, (JbdRead)read, frame);
}

/* @return whether the question is closed, so that what else arrived with it is of no interest */
static bool take_frame(Poller *poller, const JbdFrame *frame)
{
    JbdRead read = poller->asked;
    JbdError error = take(poller, read, frame);

    /* Whatever it says: the board is there, and the link carries sound frames. */
    poller->session_proved = true;
    device_count_frame(poller->device);
    recovery_on_frame(&poller->recovery);
    if (error == JBD_OK) {
        answered(poller);
        return true;
    }
    jbd_count_error(poller->device, error);
    if (error == JBD_ERROR_REGISTER) {
        take_stray(poller, frame);
        return false;
    }
    poller->try_error = error;
    if (error == JBD_ERROR_SANITY)
        jbd_describe_malformed(poller->malformed, frame);
    if (error == JBD_ERROR_STATUS && !is_required(read)) {
        optional_done(poller, read, false, absent_for_us);
        ask_next(poller);
    } else {
        /* The board has spoken: nothing better will come of waiting. */
        round_try_failed(poller);
    }
    return true;
}

static void take_refusal(Poller *poller, JbdError error)
{
    jbd_count_error(poller->device, error);
    poller->try_error = error;
    /* An echo may stand before the answer; a damaged frame was the answer. */
    if (error != JBD_ERROR_ECHO)
        poller->answer_by = earlier(poller->answer_by, poller_now(poller) + drain_us);
}

void round_take(Poller *poller, const uint8_t *data, size_t size)
{
    bool closed = false;

    while (size > 0 && !closed && poller->state == ASKING) {
        size_t taken = jbd_reassembler_put(&poller->reassembler, data, size);
        JbdFrame frame;
        JbdError error;
        JbdEvent event;

        data += taken;
        size -= taken;
        while (!closed && (event = jbd_reassembler_next(&poller->reassembler, &frame, &error)) !=
                              JBD_NEED_MORE) {
            if (event == JBD_FRAME)
                closed = take_frame(poller, &frame);
            else
                take_refusal(poller, error);
        }
    }
}
