/* SPDX-License-Identifier: MIT */
/*
 * A round of reads over a link that is up: what is asked, how often, and what comes of it.
 *
 * How long to wait is learnt from the board. One question is asked at a time; it is repeated when
 * its time is over, but not while an answer is coming in, piece by piece. An answer that comes
 * after its question was repeated, or after its poll was lost, is known as such (questions.h). A
 * poll publishes only answers to questions that were asked in its own slot: what is older is not
 * used, and only says how slow the board is. As long as a board answers its link is kept.
 */
#include "poller-private.h"

#include <stdio.h>

enum {
    MAX_MISSES = 3,      /* rounds in which an optional register stays silent: it is not there */
    MIN_LATE_ROUNDS = 2, /* in a row: the board is too slow */
};

/* Answers were seen after 33 to 122 ms (median 68), once after 1.6 s, on 324 captured requests. */
static const int64_t min_answer_us = 300000;
static const int64_t max_answer_us = 4000000;
/* Of a board whose speed is not known yet. */
static const int64_t unknown_answer_us = 1000000;
/* The first command of a session is usually lost, so it is not worth waiting long for its answer.
 * A board that is known to be slow gets its time; one that is known to be quick, less than this. */
static const int64_t first_answer_us = 400000;
/* What has swallowed two questions in a row lasts. */
static const int64_t second_repeat_us = 1000000;
/* From piece to piece of an answer; those of one answer usually come within 50 ms. */
static const int64_t min_piece_us = 200000;
static const int64_t max_piece_us = 1000000;

/* Both are read at the beginning of each session, and then: counters change with every trip of a
 * protection, rarely; the model with a new board behind the same radio. */
static const int64_t counters_every_us = 300 * INT64_C(1000000);
static const int64_t model_every_us = 86400 * INT64_C(1000000);
/* What was absent may have been lost in noise: look again the next day. */
static const int64_t absent_for_us = 86400 * INT64_C(1000000);

void round_init(Poller *poller)
{
    rtt_init(&poller->answer_time, unknown_answer_us, min_answer_us, max_answer_us);
    rtt_init(&poller->piece_time, max_piece_us, min_piece_us, max_piece_us);
}

void round_new_session(Poller *poller)
{
    questions_clear(&poller->questions);
    rtt_forget_timeouts(&poller->answer_time);
    rtt_forget_timeouts(&poller->piece_time);
    if (poller->config.turns)
        return; /* a session is nothing new then */
    for (int read = JBD_MODEL; read < JBD_N_READS; read++)
        if (poller->optional[read].present)
            poller->optional[read].next_at = 0;
}

/* ---- asking ---------------------------------------------------------------------------------- */

int64_t round_answer_by(const Poller *poller, unsigned max_tries)
{
    int64_t now = poller_now(poller);
    int64_t base = rtt_base(&poller->answer_time);
    int64_t time = rtt_timeout(&poller->answer_time);

    /* The last one: whatever was asked may still be answered. */
    if (poller->tries >= max_tries)
        return later(now + base, poller->waiting_since + POLLER_PATIENCE_US);
    if (poller->tries == 1 && !poller->session_proved && !poller->answer_time.known)
        time = first_answer_us;
    if (poller->tries > 1)
        time = later(time, second_repeat_us);
    /* A question that is repeated too late to be answered in the slot is repeated in vain. But when
     * time-outs go on, first tries get all their time, else nothing would be learnt of a board that
     * has become slow. */
    if (poller->answer_time.known && poller->slot_end > now &&
        (poller->tries > 1 || poller->answer_time.doublings <= 1))
        time = earlier(time, later(base, (poller->slot_end - now) / 2));
    return now + time;
}

/* Whether the slot in which the round began is over. Its poll was lost then. */
static bool is_over(const Poller *poller)
{
    return poller->round_began < poller->slot_end - poller->config.interval_us;
}

/* An optional read is given up when the next poll is due: late is not worth beginning. */
static bool has_time_for_optional(const Poller *poller)
{
    int64_t needed = earlier(2 * min_answer_us, poller->config.interval_us / 4);

    needed = later(needed, rtt_typical(&poller->answer_time));
    return !poller->slot_due && poller_now(poller) + needed < poller->slot_end;
}

/* What came before the question is of no use to it, unless it is the beginning of an answer that is
 * still owed and still growing. */
static void forget_old_bytes(Poller *poller)
{
    bool growing = poller_now(poller) - poller->heard_at <= rtt_timeout(&poller->piece_time);

    if (questions_are_none(&poller->questions) || !growing || poller->reassembler.expects_steps)
        jbd_reassembler_reset(&poller->reassembler);
}

static void send_request(Poller *poller)
{
    int64_t now = poller_now(poller);

    if (poller->tries++ == 0)
        poller->waiting_since = now;
    poller->try_error = JBD_OK;
    if (poller_is_required(poller->asked))
        poller->answer_by = round_answer_by(poller, RECOVERY_TRIES);
    else
        poller->answer_by = earlier(now + rtt_timeout(&poller->answer_time), poller->slot_end);
    forget_old_bytes(poller);
    questions_add(&poller->questions, poller->asked, now);
    poller_write(poller, jbd_request(poller->asked), JBD_REQUEST_SIZE);
}

void round_ask(Poller *poller, JbdRead read)
{
    poller->asked = read;
    poller->tries = 0;
    send_request(poller);
}

/* An answer that is still owed may not come to be taken for one to this round. So what is asked
 * first is a register for which none is owed: its answer shows that no earlier one can follow. */
static JbdRead first_read(const Poller *poller)
{
    return questions_wait_for(&poller->questions, JBD_BASIC, 0) &&
                   !questions_wait_for(&poller->questions, JBD_CELLS, 0)
               ? JBD_CELLS
               : JBD_BASIC;
}

/* What was answered up to now belongs to a poll that is lost. The new one begins with @a read. */
static void start_over(Poller *poller, JbdRead read)
{
    poller->round_began = poller_now(poller);
    poller->wanted = POLLER_REQUIRED_READS;
    poller->got = 0;
    poller->asked = read;
    poller->slot_failure = POLL_FAILURE_TIMEOUT;
}

void round_begin(Poller *poller)
{
    poller_set_state(poller, ASKING);
    start_over(poller, first_read(poller));
    round_ask(poller, poller->asked);
}

/* The poll of an earlier slot was lost. For the present one is asked now if there is time enough,
 * else the next slot is waited for: a round that is late from the start would be lost as well. */
static void begin_late(Poller *poller)
{
    int64_t needed = 2 * rtt_typical(&poller->answer_time);

    if (poller_now(poller) + needed <= poller->slot_end)
        round_begin(poller);
    else
        poller_end_round(poller);
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

void round_ask_next(Poller *poller)
{
    if (poller->slot_due && is_over(poller)) {
        begin_late(poller);
        return;
    }
    for (int read = 0; read < JBD_N_READS; read++) {
        if (!(poller->wanted & 1U << read) ||
            (!poller_is_required((JbdRead)read) && !has_time_for_optional(poller)))
            continue;
        round_ask(poller, (JbdRead)read);
        return;
    }
    poller_end_round(poller);
}

/* ---- what answers are worth ------------------------------------------------------------------ */

static void publish(Poller *poller)
{
    int64_t now = poller_now(poller);

    jbd_publish(poller->device, &poller->basic, &poller->cells, now,
                (double)(now - poller->round_began) / 1e6);
    poller->slot_due = false;
    poller->late_rounds = 0;
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

/* The board answers, but too slowly for this interval. A new link would not change that. */
static void report_slow(Poller *poller)
{
    int64_t typical = rtt_typical(&poller->answer_time);
    char detail[96];

    /* One may be late because an answer was lost, or because the board was busy with questions that
     * were repeated too soon. */
    if (++poller->late_rounds < MIN_LATE_ROUNDS ||
        2 * typical < poller->config.interval_us / 10 * 9)
        return;
    (void)snprintf(detail, sizeof detail, "%s: %.1f s each", link_fault_text(LINK_FAULT_SLOW),
                   (double)typical / 1e6);
    poller_report_fault(poller, LINK_FAULT_SLOW, detail);
    poller_recover(poller);
}

void round_required_answered(Poller *poller, JbdRead read)
{
    unlock_reads_answered(poller);
    poller->got |= 1U << read;
    poller->wanted &= ~(1U << read);
    if (is_over(poller))
        report_slow(poller);
    else if (poller->got == POLLER_REQUIRED_READS)
        publish(poller);
    if (poller->asked == read || is_over(poller))
        round_ask_next(poller);
}

void round_optional_answered(Poller *poller, JbdRead read, bool present)
{
    int64_t wait_us = read == JBD_COUNTERS ? counters_every_us : model_every_us;

    optional_done(poller, read, present, present ? wait_us : absent_for_us);
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

    if (!poller_is_required(poller->asked)) {
        miss(poller);
        round_ask_next(poller);
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

void round_on_slot(Poller *poller)
{
    int64_t needed = rtt_base(&poller->answer_time);

    if (!poller_is_required(poller->asked) || poller->tries < RECOVERY_TRIES ||
        poller->try_error != JBD_OK || poller_now(poller) + needed > poller->answer_by)
        return;
    start_over(poller, poller->asked);
    send_request(poller);
}

bool round_is_unanswered(const Poller *poller)
{
    return poller->state == ASKING && poller->tries >= RECOVERY_TRIES &&
           poller->try_error == JBD_OK;
}

/* A damaged answer shows only that it ends too early when its rest does not come. */
static void give_up_partial(Poller *poller)
{
    jbd_count_error(poller->device, JBD_ERROR_LENGTH);
    poller->try_error = JBD_ERROR_LENGTH;
    rtt_timed_out(&poller->piece_time);
    jbd_reassembler_reset(&poller->reassembler);
}

/* A try has ended without readings. */
void round_try_failed(Poller *poller)
{
    bool required = poller_is_required(poller->asked);

    if (jbd_reassembler_is_partial(&poller->reassembler))
        give_up_partial(poller);
    else if (poller->try_error == JBD_OK && required) /* other registers may not be there at all */
        rtt_timed_out(&poller->answer_time);

    if ((required || has_time_for_optional(poller)) &&
        recovery_on_unanswered(poller->tries, required) == RECOVERY_RETRY) {
        device_count_recovery(poller->device, RECOVERY_RETRY);
        if (required && is_over(poller))
            start_over(poller, poller->asked);
        send_request(poller);
    } else {
        give_up(poller);
    }
}
