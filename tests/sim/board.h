/* SPDX-License-Identifier: MIT */
/*
 * One model of a JBD board: request bytes in, answer bytes and their delay out, with a state that
 * moves with the time the caller hands in.
 *
 * Owns the board's side of the protocol, written from the vendor's documents and not from the
 * daemon's code, so that the two can contradict each other. libc only, no clock of its own, so that
 * any front (a stand-in for bluetoothd, a real GATT peer) can use it.
 */
#ifndef SIM_BOARD_H
#define SIM_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOARD_MAX_CELLS   32
#define BOARD_MAX_NTCS    16
#define BOARD_FRAME_MAX   262 /* 7 bytes around at most 255 */
#define BOARD_COUNTERS    12
#define BOARD_PIECE_BYTES 20 /* a notification at MTU 23 */
#define BOARD_BYTE_TIME   0.00104

struct board_config {
    unsigned cells; /* 1..32 */
    unsigned ntcs;  /* 0..16 */
    unsigned tail;  /* bytes after the temperatures: 0, 9 or 16 */
    double capacity_ah;
    double soc;      /* at the start, 0..1 */
    double rate;     /* peak current in units of the capacity per hour */
    double period;   /* seconds of one discharge and charge */
    char model[32];  /* register 05, at most 31 bytes */
    uint8_t version; /* high nibble . low nibble */
    uint16_t date;   /* bits 0-4 day, 5-8 month, 9-15 year - 2000 */
    bool no_model;   /* 05 answers status 80 */
    bool no_counters;
    unsigned counter_bytes; /* 22 or 24 */
    char password[7];       /* six characters, or empty when none is wanted */
    uint8_t mac[6];         /* in printed order; the password exchange uses it */
    bool steady;            /* values move only when they are set */
    bool lose_first;        /* the first request after subscribing is lost */
    bool stray_zero;        /* a lone 00 comes after subscribing */
    double latency_min, latency_max;
    uint64_t seed;
};

/** What the registers show. A front may write to it; a steady board keeps what was written. */
struct board_state {
    double current_ma; /* positive = charging */
    double soc;        /* 0..1 */
    double cycles;
    double cell_mv[BOARD_MAX_CELLS];
    double ntc_dc[BOARD_MAX_NTCS]; /* 0.1 degrees C */
    double voltage_mv;             /* below 0: the sum of the cells */
    uint32_t balance;              /* bit n = cell n + 1 */
    uint16_t protection;
    uint16_t alarm;
    uint8_t fet;
    uint8_t humidity;
    uint16_t counters[BOARD_COUNTERS]; /* in the order of register AA */
};

struct board {
    struct board_config config;
    struct board_state state;
    double cell_offset[BOARD_MAX_CELLS]; /* of the state of charge; drifts */
    double warmth;                       /* degrees above the ambient, from the current */
    double began, last;
    uint64_t random;
    bool fresh;    /* nothing asked since the subscription */
    bool unlocked; /* the password was given on this link */
    uint8_t nonce;
    unsigned violations;
    bool has_nonce; /* one was asked for, and not used up */
    unsigned password_requests, passwords, wrong_passwords;
};

enum board_outcome {
    BOARD_ANSWERED,
    BOARD_LOST,      /* the first request after subscribing */
    BOARD_IGNORED,   /* not a request, or its checksum is wrong */
    BOARD_LOCKED,    /* a password is wanted first */
    BOARD_VIOLATION, /* something a monitor must never send; answered with status 81 */
};

struct board_answer {
    enum board_outcome outcome;
    uint8_t reg;
    uint8_t frame[BOARD_FRAME_MAX + 8]; /* and what the host appended, echoed */
    size_t length;
    double latency; /* seconds until the first byte leaves the board */
};

struct board_piece {
    double delay; /* seconds after the request */
    uint16_t offset, length;
};

#define BOARD_PIECES_MAX 1400
#define BOARD_BYTES_MAX  1400

/** What goes over the air for one request: notifications in order, each with its delay. */
struct board_pieces {
    uint8_t bytes[BOARD_BYTES_MAX];
    size_t used;
    struct board_piece piece[BOARD_PIECES_MAX];
    size_t count;
};

/** Fills in an ordinary 8-cell 100 Ah board. */
void board_config_default(struct board_config *config, uint64_t seed);

/** Clamps what is out of range. @p now is in seconds, of any origin. */
void board_init(struct board *board, const struct board_config *config, double now);

/** Moves the state to @p now, also over long gaps. Does nothing when steady. */
void board_advance(struct board *board, double now);

/** A new link: a password has to be given again. */
void board_link_up(struct board *board);

/** A central subscribed. */
void board_subscribed(struct board *board);

/** One write of the central. */
void board_request(struct board *board, double now, const uint8_t *request, size_t length,
                   struct board_answer *answer);

/** Whether the board drops a link on which nothing unlocked it. */
bool board_is_locked(const struct board *board);

/** The response checksum of status, length and data. */
uint16_t board_checksum(const uint8_t *bytes, size_t length);

/** Cuts @p bytes into notifications of @p size, each when its last byte has crossed the UART. */
void board_cut(struct board_pieces *pieces, const uint8_t *bytes, size_t length, double start,
               size_t size);

/** Uniform in [0, 1). */
double board_random(uint64_t *state);

#endif
