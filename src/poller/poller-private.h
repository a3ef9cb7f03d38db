/* SPDX-License-Identifier: MIT */
/*
 * What the files of the poller share: poller.c (the state machine, the grid, the link) and round.c
 * (the conversation: what is asked, and what is made of the answers).
 */
#ifndef BMS_POLLER_PRIVATE_H
#define BMS_POLLER_PRIVATE_H

#include "poller.h"
#include "recovery.h"

typedef enum { STOPPED, WAITING, OPENING, ASKING, IDLE, CLOSING, RELEASED } State;

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
    int64_t release_until;
    bool afresh; /* and without what is remembered of the device */
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

static inline int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- poller.c ------------------------------------------------------------------------------ */

int64_t poller_now(const Poller *poller);
void poller_set_state(Poller *poller, State state);
void poller_report_fault(Poller *poller, LinkFault fault, const char *detail);

/** Lets the ladder decide what to do about battery->fault beyond a new link, and does it.
 * @return µs to wait before that link */
int64_t poller_recover(Poller *poller);

/** Ends the session; @a reason is what the next one will be counted under. */
void poller_close_link(Poller *poller, SessionReason reason);

/** Nothing is left to ask: waits for the next slot, or renews a session that is old. */
void poller_end_round(Poller *poller);

/* ---- round.c ------------------------------------------------------------------------------- */

/** A link has come up: what is known to be there is read anew. */
void round_new_session(Poller *poller);

/** Asks for everything without which a poll is not complete, then for what else is due. */
void round_begin(Poller *poller);

/** Bytes have come. */
void round_take(Poller *poller, const uint8_t *data, size_t size);

/** The time for an answer is over. */
void round_try_failed(Poller *poller);

#endif
