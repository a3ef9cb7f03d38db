/* SPDX-License-Identifier: MIT */
/*
 * From bytes to answers, and from answers to what they are worth: which question they belong to,
 * whether it was asked for the present poll, and how long the board has taken.
 */
#include "poller-private.h"

/* After a damaged frame: let the line fall silent before asking again. */
static const int64_t drain_us = 200000;

/* ---- answers --------------------------------------------------------------------------------- */

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

/* JBD_N_READS for a register that is never asked for. */
static JbdRead read_of(uint8_t reg)
{
    JbdRead read = JBD_BASIC;

    while (read < JBD_N_READS && jbd_register(read) != reg)
        read++;
    return read;
}

static void count_answer(Poller *poller)
{
    poller->session_proved = true;
    device_count_frame(poller->device);
    recovery_on_frame(&poller->recovery);
}

/* @return whether the answer is one to @a question */
static bool find_question(Poller *poller, JbdRead read, Question *question)
{
    bool certain;

    if (!questions_take(&poller->questions, read, question, &certain))
        return false;
    if (certain)
        rtt_measured(&poller->answer_time, poller_now(poller) - question->at_us);
    return true;
}

/* A required read has been answered again, as it was repeated: what comes later is newer. */
static void take_newer(Poller *poller, JbdRead read, const JbdFrame *frame)
{
    if (poller->got & 1U << read && poller->got != POLLER_REQUIRED_READS)
        take(poller, read, frame);
}

static void take_required(Poller *poller, JbdRead read, const JbdFrame *frame)
{
    JbdError error = take(poller, read, frame);

    if (error == JBD_OK) {
        round_required_answered(poller, read);
        return;
    }
    jbd_count_error(poller->device, error);
    if (poller->asked != read)
        return; /* it is asked for again */
    poller->try_error = error;
    if (error == JBD_ERROR_SANITY)
        jbd_describe_malformed(poller->malformed, frame);
    /* The board has spoken: nothing better will come of waiting. */
    round_try_failed(poller);
}

/* However late it comes, it is worth having. */
static void take_optional(Poller *poller, JbdRead read, const JbdFrame *frame)
{
    bool waiting = poller->state == ASKING && poller->asked == read;
    JbdError error = take(poller, read, frame);

    if (error != JBD_OK)
        jbd_count_error(poller->device, error);
    if (error == JBD_OK || error == JBD_ERROR_STATUS)
        round_optional_answered(poller, read, error == JBD_OK);
    if (!waiting)
        return;
    poller->try_error = error;
    if (error == JBD_OK || error == JBD_ERROR_STATUS)
        round_ask_next(poller);
    else
        round_try_failed(poller);
}

/*
 * What was asked for before this round is answered, or what was asked for in this round and is
 * taken for that. The answer to the other register tells: no older one can follow it. It is needed
 * in any case.
 */
static void take_earlier(Poller *poller, JbdRead read)
{
    JbdRead other = poller->asked == JBD_BASIC ? JBD_CELLS : JBD_BASIC;
    int64_t now = poller_now(poller);

    if (poller->state != ASKING || !poller_is_required(poller->asked))
        return;
    if (poller->asked == read && poller->wanted & 1U << other &&
        !questions_wait_for(&poller->questions, other, poller->round_began)) {
        round_ask(poller, other);
        return;
    }
    /* The board is there, and comes to the question. */
    poller->tries = 1;
    poller->waiting_since = now;
    poller->answer_by = later(poller->answer_by, now + rtt_timeout(&poller->answer_time));
}

static void take_frame(Poller *poller, const JbdFrame *frame)
{
    JbdRead read = read_of(frame->reg);
    Question question;

    count_answer(poller);
    if (!find_question(poller, read, &question)) {
        jbd_count_error(poller->device, JBD_ERROR_REGISTER);
        if (read < JBD_N_READS)
            take_newer(poller, read, frame);
    } else if (!poller_is_required(read)) {
        take_optional(poller, read, frame);
    } else if (question.at_us < poller->round_began) {
        take_earlier(poller, read);
    } else if (poller->state == ASKING && poller->wanted & 1U << read) {
        take_required(poller, read, frame);
    } else {
        take_newer(poller, read, frame);
    }
}

void answers_take_late(Poller *poller, const JbdFrame *frame)
{
    Question question;

    count_answer(poller);
    find_question(poller, read_of(frame->reg), &question);
}

static void take_refusal(Poller *poller, JbdError error)
{
    jbd_count_error(poller->device, error);
    poller->try_error = error;
    /* An echo may stand before the answer; a damaged frame was the answer. */
    if (error != JBD_ERROR_ECHO)
        poller->answer_by = earlier(poller->answer_by, poller_now(poller) + drain_us);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* At rest only those are of interest that belong to an answer which is still owed. */
static bool is_listening(const Poller *poller)
{
    return poller->state == ASKING ||
           (poller->state == IDLE && !questions_are_none(&poller->questions));
}

static void measure_pieces(Poller *poller)
{
    int64_t now = poller_now(poller);
    int64_t time = now - poller->heard_at;

    if (time <= poller->piece_time.max_us && jbd_reassembler_is_partial(&poller->reassembler))
        rtt_measured(&poller->piece_time, time);
    poller->heard_at = now;
}

/* While an answer grows its question is not repeated, unless it does so without end. */
static void wait_for_rest(Poller *poller)
{
    int64_t rest = poller_now(poller) + rtt_timeout(&poller->piece_time);
    int64_t limit = poller->waiting_since + later(POLLER_PATIENCE_US, poller->config.interval_us);

    if (jbd_reassembler_is_partial(&poller->reassembler))
        poller->answer_by = later(poller->answer_by, earlier(rest, limit));
}

static void take_events(Poller *poller)
{
    JbdFrame frame;
    JbdError error;
    JbdEvent event;

    while (is_listening(poller) &&
           (event = jbd_reassembler_next(&poller->reassembler, &frame, &error)) != JBD_NEED_MORE) {
        if (event == JBD_FRAME)
            take_frame(poller, &frame);
        else
            take_refusal(poller, error);
    }
}

void answers_take(Poller *poller, const uint8_t *data, size_t size)
{
    if (!is_listening(poller))
        return;
    measure_pieces(poller);
    while (size > 0 && is_listening(poller)) {
        size_t taken = jbd_reassembler_put(&poller->reassembler, data, size);

        data += taken;
        size -= taken;
        take_events(poller);
    }
    if (poller->state == ASKING)
        wait_for_rest(poller);
}
