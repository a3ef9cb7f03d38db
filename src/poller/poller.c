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
 * Time is cut into slots, one poll interval each, counted from the start and never shifted. A poll
 * is due at the beginning of each slot and may succeed until its end: a link that comes up late, or
 * a board that answers only when asked again, still keeps the slot. Each session begins with a
 * poll whatever the slot says. That proves the link, and it takes the blow of the first command,
 * which boards tend to lose.
 */
#include "poller.h"

#include "recovery.h"

#include <stdlib.h>

enum {
    MAX_TRIES = 3,          /* of a read without which a poll is not complete */
    MAX_TRIES_OPTIONAL = 2, /* of model and counters */
    MAX_MISSES = 2,         /* rounds in which an optional register stays silent: it is not there */
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
/* No stage of a link takes as long as this (the longest, connecting, is bounded at well under a
 * minute); only waiting for the radio may. */
static const int64_t stuck_us = 180 * INT64_C(1000000);
/* The main loop may be late by this before it counts as standing still. */
static const int64_t late_us = 10 * INT64_C(1000000);

typedef enum { STOPPED, WAITING, OPENING, ASKING, IDLE, CLOSING } State;

/* What is known about a register that not every board has. */
typedef struct {
    int64_t next_at; /* not before */
    unsigned misses; /* in a row */
    bool present;    /* it has been answered */
} Optional;

struct Poller {
    PollerConfig config;
    Battery *battery;
    const PollerHost *host_ops;
    void *host;
    const LinkOps *link_ops;
    void *link;

    State state;
    int64_t state_since;
    int64_t retry_at; /* WAITING: when to open the link */
    int64_t wake_at;
    bool stopping;

    /* the slot */
    int64_t slot_end;
    bool slot_due;            /* its poll has not succeeded yet */
    PollFailure slot_failure; /* why not, so far */

    /* the session */
    SessionReason reason; /* for the next session */
    int64_t session_began;
    bool session_proved; /* a valid frame has come in it */
    Recovery recovery;

    /* the round of reads under way */
    int64_t round_began;
    unsigned wanted; /* bits 1 << JbdRead */
    unsigned got;
    JbdRead asked;
    unsigned tries;
    int64_t answer_by;
    JbdError try_error; /* what came instead of an answer, if anything did */
    JbdReassembler reassembler;
    JbdBasic basic;
    JbdCells cells;
    Optional optional[JBD_N_READS]; /* used for model and counters */
};

static const unsigned required_reads = 1 << JBD_BASIC | 1 << JBD_CELLS;

static int64_t now_of(const Poller *poller)
{
    return poller->host_ops->now(poller->host);
}

static void set_state(Poller *poller, State state)
{
    poller->state = state;
    poller->state_since = now_of(poller);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Tells the host when the next thing is to happen. To be called at the end of each event. */
static void rearm(Poller *poller)
{
    int64_t when = INT64_MAX;

    if (poller->state != STOPPED && !poller->stopping) {
        when = poller->slot_end;
        if (poller->state == WAITING)
            when = earlier(when, poller->retry_at);
        if (poller->state == ASKING)
            when = earlier(when, poller->answer_by);
    }
    poller->wake_at = when;
    poller->host_ops->wake_at(poller->host, when);
}

static void changed(Poller *poller)
{
    poller->host_ops->changed(poller->host);
}

static void report_fault(Poller *poller, LinkFault fault, const char *detail)
{
    battery_set_fault(poller->battery, fault, detail);
    poller->host_ops->fault(poller->host);
}

/* ---- opening and closing the link ------------------------------------------------------------ */

static void open_link(Poller *poller)
{
    set_state(poller, OPENING);
    poller->link_ops->open(poller->link);
}

static void close_link(Poller *poller, SessionReason reason)
{
    poller->reason = reason;
    set_state(poller, CLOSING);
    poller->link_ops->close(poller->link);
}

static void wait_before_opening(Poller *poller)
{
    poller->retry_at = now_of(poller) + recovery_on_failure(&poller->recovery);
    set_state(poller, WAITING);
}

/* ---- asking -------------------------------------------------------------------------------- */

static int64_t answer_time(const Poller *poller)
{
    /* Two reads, three tries each, must fit into a slot. */
    int64_t time = poller->config.interval_us / (2 * MAX_TRIES + 2);

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
    poller->answer_by = now_of(poller) + answer_time(poller);
    jbd_reassembler_reset(&poller->reassembler);
    poller->link_ops->write(poller->link, jbd_request(poller->asked), JBD_REQUEST_SIZE);
}

static void begin_round(Poller *poller)
{
    set_state(poller, ASKING);
    poller->round_began = now_of(poller);
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
    int64_t now = now_of(poller);
    unsigned due = 0;

    for (int read = JBD_MODEL; read < JBD_N_READS; read++)
        if (now >= poller->optional[read].next_at)
            due |= 1U << read;
    return due;
}

static void end_round(Poller *poller)
{
    int64_t now = now_of(poller);
    int64_t renew = poller->config.renew_us;
    int64_t age = now - poller->session_began;
    bool early = poller->slot_end - now >= poller->config.interval_us / 2;

    set_state(poller, IDLE);
    /* Just behind a poll there is nearly a whole slot of time for the renewal, so none is lost.
     * A poll that needed retries has used that time up; the next one will do. */
    if (renew > 0 && age >= renew && (early || age >= 2 * renew))
        close_link(poller, SESSION_RENEWAL);
    changed(poller);
}

static void ask_next(Poller *poller)
{
    /* Optional reads are given up when the next poll is due; there is no sense in beginning late.
     */
    int64_t needed = earlier(2 * min_answer_us, poller->config.interval_us / 4);
    bool time_left = now_of(poller) + needed < poller->slot_end;

    for (int read = 0; read < JBD_N_READS; read++) {
        if (!(poller->wanted & 1U << read) || (!is_required((JbdRead)read) && !time_left))
            continue;
        poller->asked = (JbdRead)read;
        poller->tries = 0;
        send_request(poller);
        return;
    }
    end_round(poller);
}

static void publish(Poller *poller)
{
    int64_t now = now_of(poller);

    battery_publish(poller->battery, &poller->basic, &poller->cells, now,
                    poller->host_ops->unix_time(poller->host),
                    (double)(now - poller->round_began) / 1e6);
    poller->slot_due = false;
    poller->host_ops->published(poller->host);
    poller->wanted |= due_optionals(poller);
}

static void optional_done(Poller *poller, JbdRead read, bool present, int64_t wait_us)
{
    Optional *optional = &poller->optional[read];

    optional->present = present;
    optional->misses = 0;
    optional->next_at = now_of(poller) + wait_us;
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
            battery_set_model(poller->battery, &model);
        return error;
    case JBD_COUNTERS:
        error = jbd_decode_counters(frame, &counters);
        if (error == JBD_OK)
            battery_set_counters(poller->battery, &counters);
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
    case JBD_ERROR_CHECKSUM:
    case JBD_ERROR_LENGTH:
    case JBD_ERROR_REGISTER:
    case JBD_ERROR_SANITY:
    case JBD_N_ERRORS:
        break;
    }
    return LINK_FAULT_NOISE;
}

/* All tries of a read are used up. */
static void give_up(Poller *poller)
{
    JbdError error = poller->try_error;

    if (!is_required(poller->asked)) {
        Optional *optional = &poller->optional[poller->asked];

        if (++optional->misses >= MAX_MISSES)
            optional_done(poller, poller->asked, false, absent_for_us);
        poller->wanted &= ~(1U << poller->asked);
        ask_next(poller);
        return;
    }
    report_fault(poller, fault_of(error), NULL);
    if (error == JBD_ERROR_STATUS) {
        /* The link is sound; a new one would hear the same. */
        poller->slot_failure = POLL_FAILURE_STATUS;
        end_round(poller);
    } else {
        bool silent = error == JBD_OK || error == JBD_ERROR_ECHO;

        poller->slot_failure = silent ? POLL_FAILURE_TIMEOUT : POLL_FAILURE_FRAME;
        close_link(poller, SESSION_STALL);
    }
    changed(poller);
}

/* A try has ended without readings. */
static void try_failed(Poller *poller)
{
    unsigned max = is_required(poller->asked) ? MAX_TRIES : MAX_TRIES_OPTIONAL;

    if (jbd_reassembler_is_partial(&poller->reassembler)) {
        battery_count_frame_error(poller->battery, JBD_ERROR_LENGTH);
        poller->try_error = JBD_ERROR_LENGTH;
    }
    if (poller->tries < max)
        send_request(poller);
    else
        give_up(poller);
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
    recovery_on_frame(&poller->recovery);
    if (error == JBD_OK) {
        answered(poller);
        return true;
    }
    battery_count_frame_error(poller->battery, error);
    if (error == JBD_ERROR_REGISTER) {
        take_stray(poller, frame);
        return false;
    }
    poller->try_error = error;
    if (error == JBD_ERROR_STATUS && !is_required(read)) {
        optional_done(poller, read, false, absent_for_us);
        ask_next(poller);
    } else {
        /* The board has spoken: nothing better will come of waiting. */
        try_failed(poller);
    }
    return true;
}

static void take_refusal(Poller *poller, JbdError error)
{
    battery_count_frame_error(poller->battery, error);
    poller->try_error = error;
    /* An echo may stand before the answer; a damaged frame was the answer. */
    if (error != JBD_ERROR_ECHO)
        poller->answer_by = earlier(poller->answer_by, now_of(poller) + drain_us);
}

/* ---- events of the link ---------------------------------------------------------------------- */

static void on_stage(void *user, LinkStage stage)
{
    Poller *poller = user;

    if (stage != poller->battery->stage && poller->state == OPENING)
        poller->state_since = now_of(poller);
    battery_set_stage(poller->battery, stage);
    changed(poller);
}

static void on_up(void *user)
{
    Poller *poller = user;

    if (poller->state != OPENING) /* being closed: down() follows */
        return;
    poller->session_began = now_of(poller);
    poller->session_proved = false;
    for (int read = JBD_MODEL; read < JBD_N_READS; read++)
        if (poller->optional[read].present)
            poller->optional[read].next_at = 0;
    battery_count_session(poller->battery, poller->reason);
    begin_round(poller);
    rearm(poller);
}

static void on_chunk(void *user, const uint8_t *data, size_t size)
{
    Poller *poller = user;
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
    rearm(poller);
}

static SessionReason reason_of(LinkFault fault)
{
    switch (fault) {
    case LINK_FAULT_BUS:
    case LINK_FAULT_BLUEZ:
        return SESSION_BLUEZ;
    case LINK_FAULT_ADAPTER:
    case LINK_FAULT_ADAPTER_OFF:
        return SESSION_ADAPTER;
    default:
        return SESSION_LINK_LOSS;
    }
}

static void on_down(void *user, LinkFault fault, const char *detail)
{
    Poller *poller = user;

    battery_set_stage(poller->battery, LINK_CLOSED);
    if (poller->state == CLOSING && fault != LINK_FAULT_NONE)
        poller->reason = reason_of(fault);
    if (poller->stopping) {
        set_state(poller, STOPPED);
    } else if (poller->state == CLOSING && poller->reason == SESSION_RENEWAL) {
        open_link(poller);
    } else if (poller->state == CLOSING) {
        wait_before_opening(poller);
    } else {
        if (poller->state == ASKING || poller->state == IDLE) {
            poller->reason = reason_of(fault);
            poller->slot_failure = POLL_FAILURE_LINK_LOSS;
        }
        report_fault(poller, fault, detail);
        wait_before_opening(poller);
    }
    changed(poller);
    rearm(poller);
}

static void on_kick(void *user)
{
    Poller *poller = user;

    recovery_on_kick(&poller->recovery);
    if (poller->state == WAITING && !poller->stopping)
        open_link(poller);
    rearm(poller);
}

const LinkEvents poller_link_events = {
    .stage = on_stage, .up = on_up, .chunk = on_chunk, .down = on_down, .kick = on_kick};

/* ---- the grid -------------------------------------------------------------------------------- */

static void begin_slot(Poller *poller)
{
    int64_t interval = poller->config.interval_us;
    int64_t begun = (now_of(poller) - poller->slot_end) / interval + 1;

    if (poller->slot_due)
        battery_count_failure(poller->battery, poller->slot_failure, 1);
    /* More than one at once: this process was stopped, or the machine asleep. */
    if (begun > 1)
        battery_count_failure(poller->battery, POLL_FAILURE_MISSED, (uint64_t)begun - 1);
    battery_count_poll(poller->battery, (uint64_t)begun);

    poller->slot_end += begun * interval;
    poller->slot_due = true;
    poller->slot_failure = POLL_FAILURE_NOT_CONNECTED;
    if (poller->state == ASKING)
        poller->slot_failure = POLL_FAILURE_TIMEOUT;

    /* A round that is still after its required reads goes on and counts for this slot. */
    if (poller->state == IDLE || (poller->state == ASKING && !is_required(poller->asked)))
        begin_round(poller);
}

/* ---- public ---------------------------------------------------------------------------------- */

Poller *poller_new(const PollerConfig *config, Battery *battery, const PollerHost *host_ops,
                   void *host)
{
    Poller *poller = calloc(1, sizeof *poller);

    if (!poller)
        abort(); /* as GLib does when memory ends */
    poller->config = *config;
    poller->battery = battery;
    poller->host_ops = host_ops;
    poller->host = host;
    poller->wake_at = INT64_MAX;
    recovery_init(&poller->recovery, config->seed);
    return poller;
}

void poller_free(Poller *poller)
{
    free(poller);
}

void poller_set_link(Poller *poller, const LinkOps *ops, void *link)
{
    poller->link_ops = ops;
    poller->link = link;
}

void poller_start(Poller *poller)
{
    poller->slot_end = now_of(poller) + poller->config.offset_us;
    poller->reason = SESSION_START;
    open_link(poller);
    poller_wake(poller); /* without an offset the first slot begins now */
}

void poller_stop(Poller *poller)
{
    if (poller->stopping)
        return;
    poller->stopping = true;
    if (poller->state == WAITING)
        set_state(poller, STOPPED);
    else if (poller->state != STOPPED && poller->state != CLOSING)
        close_link(poller, poller->reason);
    rearm(poller);
}

bool poller_is_stopped(const Poller *poller)
{
    return poller->state == STOPPED;
}

bool poller_is_resting(const Poller *poller)
{
    return poller->battery->has_readings && poller->state == IDLE;
}

void poller_wake(Poller *poller)
{
    if (poller->state == STOPPED || poller->stopping)
        return;
    if (poller->state == ASKING && now_of(poller) >= poller->answer_by)
        try_failed(poller);
    if (now_of(poller) >= poller->slot_end) {
        begin_slot(poller);
        changed(poller);
    }
    if (poller->state == WAITING && now_of(poller) >= poller->retry_at)
        open_link(poller);
    rearm(poller);
}

bool poller_is_moving(const Poller *poller)
{
    int64_t now = now_of(poller);
    bool on_the_way = poller->state == OPENING || poller->state == CLOSING;

    if (poller->wake_at != INT64_MAX && now - poller->wake_at > late_us)
        return false;
    return !on_the_way || poller->battery->stage == LINK_WAITING ||
           now - poller->state_since <= stuck_us;
}
