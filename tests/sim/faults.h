/* SPDX-License-Identifier: MIT */
/*
 * Scripted faults of one battery.
 *
 * Owns the list of faults that can be asked for by name, their arguments and counts, and what those
 * that concern the bytes do to an answer. Those that concern the link or BlueZ are only kept here;
 * the stand-in asks for them with fault_on() and fault_take(). libc only.
 */
#ifndef SIM_FAULTS_H
#define SIM_FAULTS_H

#include "board.h"

enum fault_id {
    FAULT_NO_ANSWER,
    FAULT_CORRUPT,
    FAULT_CORRUPT_LENGTH,
    FAULT_TRUNCATE,
    FAULT_GARBAGE,
    FAULT_LATE,
    FAULT_DOUBLE,
    FAULT_ECHO,
    FAULT_ECHO_THEN_ANSWER,
    FAULT_TRAILING,
    FAULT_PADDING,
    FAULT_WRONG_REGISTER,
    FAULT_ERROR_STATUS,
    FAULT_CHUNK_SIZE,
    FAULT_PIECE_GAP,
    FAULT_SWAP_ORDER,
    FAULT_SILENT,
    FAULT_PASSWORD,
    FAULT_DROP_AFTER,
    FAULT_DROP_EVERY,
    FAULT_CONNECT_FAIL,
    FAULT_CONNECT_HANG,
    FAULT_CONNECT_DELAY,
    FAULT_ABORT_EARLY,
    FAULT_RESOLVE_DELAY,
    FAULT_RESOLVE_NEVER,
    FAULT_RESOLVE_BEFORE_OBJECTS,
    FAULT_NO_SERVICE,
    FAULT_WRONG_SERVICES,
    FAULT_NOTIFY_FAIL,
    FAULT_NOTIFY_DEAD,
    FAULT_WRITE_FAIL,
    FAULT_WRITE_HANG,
    FAULT_DISCONNECT_HANG,
    FAULT_COUNT,
};

struct fault {
    bool on;
    long left; /* how often still; below 0: until cleared */
    double seconds;
    long number;
    int reg; /* below 0: every register */
    uint8_t bytes[64];
    size_t length;
    char name[96];
    char text[160];
};

/* Raw chunks that answer one register. */
struct fault_frame {
    bool on;
    uint8_t reg;
    size_t count, used;
    uint16_t length[64];
    uint8_t bytes[1024];
};

#define FAULT_FRAMES 8

struct faults {
    struct fault fault[FAULT_COUNT];
    struct fault_frame frame[FAULT_FRAMES];
};

/** What a fault concerns, for the stand-in's dispatch. */
enum fault_result {
    FAULT_SET,
    FAULT_BAD_NAME,
    FAULT_BAD_ARGUMENTS,
};

/** Switches a fault on: @p argv[0] is its name. */
enum fault_result faults_set(struct faults *faults, int argc, char *const *argv, enum fault_id *id);

/** Switches all off, raw frames too. */
void faults_clear(struct faults *faults);

/** Sets or (with "-") takes away the raw chunks of a register. @return whether it was well-formed.
 */
bool faults_set_frame(struct faults *faults, uint8_t reg, const char *hex);

/** Whether the fault is on; counts nothing. */
const struct fault *fault_on(const struct faults *faults, enum fault_id id);

/** Whether the fault strikes now; counts down. */
const struct fault *fault_take(struct faults *faults, enum fault_id id);

/** Turns the board's answer into what goes over the air. */
void faults_apply(struct faults *faults, uint64_t *random, const uint8_t *request, size_t length,
                  const struct board_answer *answer, struct board_pieces *out);

/** Two hex digits a byte. @return the number of bytes, or below 0. */
long faults_parse_hex(const char *text, size_t text_length, uint8_t *bytes, size_t size);

#endif
