/* SPDX-License-Identifier: MIT */
/*
 * What the files of the poller share: poller.c (the state machine, the grid, the link), clock.c
 * (what is done when, and how late), unlock.c (the password handshake), round.c
 * (what is asked) and answers.c (what is made of the answers).
 */
#ifndef BMS_POLLER_PRIVATE_H
#define BMS_POLLER_PRIVATE_H

#include "jbd/state.h"
#include "poller.h"
#include "questions.h"
#include "recovery.h"
#include "rtt.h"

typedef enum { STOPPED, WAITING, OPENING, UNLOCKING, ASKING, IDLE, CLOSING, RELEASED } State;

/* What is known about a register that not every board has. */
typedef struct {
    int64_t next_at; /* not before */
    unsigned misses; /* in a row */
    bool present;    /* it has been answered */
} Optional;

/* The password handshake, and what earlier ones have taught. */
typedef struct {
    bool has_password;
    uint8_t password[JBD_PASSWORD_SIZE];
    bool refused;       /* it was, and is held back until then: */
    int64_t not_before; /* when it may be sent again */
    unsigned lost;      /* how often in a row it was sent and not answered */
    bool unneeded;      /* reads are answered without it */

    /* in this session */
    bool tried;
    bool unlocked;
    bool after_reads;    /* reads have gone unanswered before */
    LinkFault otherwise; /* what to call that if it is not for want of a password */
    JbdStep step;
    int64_t asked_at; /* when it was sent last */
} Unlock;

struct Poller {
    PollerConfig config;
    Device *device;
    const PollerHost *host_ops;
    void *host;
    const LinkOps *link_ops;
    void *link;

    State state;
    int64_t state_since;   /* on the main loop's clock; all other times are since boot */
    int64_t retry_at;      /* WAITING: when to open the link */
    int64_t attempt_began; /* to open it; without the wait for the radio */
    int64_t release_until;
    bool afresh; /* and without what is remembered of the device */
    int64_t wake_at;
    int64_t slept_us; /* by which the main loop's clock was behind when that was planned */
    bool stopping;

    /* the slot */
    int64_t slot_end;
    bool slot_due;            /* its poll has not succeeded yet */
    PollFailure slot_failure; /* why not, so far */

    /* the session */
    SessionReason reason; /* for the next session */
    int64_t session_began;
    bool session_proved; /* a valid frame has come in it */
    const char *foreign; /* make of board whose frames came instead, or NULL */
    Recovery recovery;
    Unlock unlock;

    /* the round of reads under way */
    int64_t round_began;
    unsigned wanted; /* bits 1 << JbdRead */
    unsigned got;
    JbdRead asked;
    unsigned tries;
    int64_t answer_by;
    int64_t waiting_since;              /* the first try of the question */
    JbdError try_error;                 /* what came instead of an answer, if anything did */
    char malformed[JBD_MALFORMED_SIZE]; /* for JBD_ERROR_SANITY, what does not fit */
    JbdReassembler reassembler;
    JbdBasic basic;
    JbdCells cells;
    Optional optional[JBD_N_READS]; /* used for model and counters */

    /* what may still come over this link */
    Questions questions;
    int64_t heard_at; /* when the latest bytes came */

    /* the board's speed; a board stays slow over a new link */
    unsigned late_rounds; /* in a row: answered, but not within the slot */
    Rtt answer_time;      /* from a question to the end of its answer */
    Rtt piece_time;       /* from one piece of an answer to the next */
};

/* So long nothing may come in answer to a question before the board is called silent. A module that
 * waits for a password drops the link after 10 s, and is to be asked before that. */
enum { POLLER_PATIENCE_US = 4000000 };

/* Without these a poll is not complete. */
enum { POLLER_REQUIRED_READS = 1 << JBD_BASIC | 1 << JBD_CELLS };

static inline bool poller_is_required(JbdRead read)
{
    return (POLLER_REQUIRED_READS & 1 << read) != 0;
}

static inline int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* ---- clock.c ------------------------------------------------------------------------------- */

/** µs since boot, in which everything is planned. */
int64_t poller_now(const Poller *poller);
void poller_set_state(Poller *poller, State state);

/** Whether something was sent that is to be answered. */
bool poller_is_talking(const Poller *poller);

/** Tells the host when the next thing is to happen. To be called at the end of each event. */
void poller_rearm(Poller *poller);

/** Ends a session in which answers may be waiting that are too old. To be called first in each
 * event that calls poller_rearm(), which forgets how late it is. */
void poller_leave_old_answers(Poller *poller);

/* ---- poller.c ------------------------------------------------------------------------------ */

/** Writes over the link, which is up. */
void poller_write(Poller *poller, const uint8_t *data, size_t size);
void poller_report_fault(Poller *poller, LinkFault fault, const char *detail);

/** Lets the ladder decide what to do about battery->fault beyond a new link, and does it.
 * @return µs to wait before that link */
int64_t poller_recover(Poller *poller);

/** Ends the session; @a reason is what the next one will be counted under. */
void poller_close_link(Poller *poller, SessionReason reason);

/** The board wants to be paired: ends the session, so that the link can do so before the next. */
void poller_pair(Poller *poller);

/** Nothing is left to ask: waits for the next slot, or renews a session that is old. */
void poller_end_round(Poller *poller);

/* ---- unlock.c ------------------------------------------------------------------------------ */

void unlock_new_session(Poller *poller);

/** Begins the handshake if there is one to be done before reads. @return whether there is */
bool unlock_before_reads(Poller *poller);

/**
 * Reads went unanswered: finds out whether for want of a password, and gives it where there is one.
 * @param otherwise what it is when not @return whether that has begun; not twice in a session
 */
bool unlock_after_reads(Poller *poller, LinkFault otherwise);

/**
 * What to call it that the link broke with @a fault: a module that waits for its password drops the
 * link after a while, and that it was silent before says more.
 */
LinkFault unlock_fault(const Poller *poller, LinkFault fault);

/** A read has been answered. */
void unlock_reads_answered(Poller *poller);

/** Bytes have come. */
void unlock_take(Poller *poller, const uint8_t *data, size_t size);

/** The time for an answer is over. */
void unlock_try_failed(Poller *poller);

/* ---- round.c ------------------------------------------------------------------------------- */

/** Nothing is known of the board's speed yet. */
void round_init(Poller *poller);

/** A link has come up: nothing is on its way, and what is known to be there is read again. */
void round_new_session(Poller *poller);

/** Until when to wait for an answer to the try that is sent now, the poller->tries-th of
 * @a max_tries. */
int64_t round_answer_by(const Poller *poller, unsigned max_tries);

/** Asks for everything without which a poll is not complete, then for what else is due. */
void round_begin(Poller *poller);

/** Asks for a register now. */
void round_ask(Poller *poller, JbdRead read);

/** The question is closed: asks for what is still wanted, or ends the round. */
void round_ask_next(Poller *poller);

/** A required read has been answered with readings, for the present round. */
void round_required_answered(Poller *poller, JbdRead read);

/** Any other has been answered; @a present tells whether the board has that register. */
void round_optional_answered(Poller *poller, JbdRead read, bool present);

/** Whether reads have been asked for as often as they ever are, and nothing has come. */
bool round_is_unanswered(const Poller *poller);

/** The time for an answer is over. */
void round_try_failed(Poller *poller);

/** A slot has begun while a question is open: one that was repeated as often as it may, and is only
 * waited for, is asked once more. */
void round_on_slot(Poller *poller);

/* ---- answers.c ----------------------------------------------------------------------------- */

/** Bytes have come. */
void answers_take(Poller *poller, const uint8_t *data, size_t size);

/** A read was answered when nobody waited for it any more. */
void answers_take_late(Poller *poller, const JbdFrame *frame);

#endif
