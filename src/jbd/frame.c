/* SPDX-License-Identifier: MIT */
/*
 * Bytes from the radio to frames, and to answers of the password handshake where those are
 * expected.
 *
 * Any 0xDD may be the start of a frame, and none can be trusted to be: the byte occurs inside
 * frames, in noise, and in our own requests that some modules send back. So each one is judged on
 * its own merits, in the order in which they came:
 *
 *   - the first sound frame wins, even over an earlier start that still lacks bytes. If that start
 *     is false, its length byte may ask for 255 bytes that never come, and a reader that waited
 *     for them would swallow every answer of the next seconds;
 *   - of a refused start only the 0xDD goes, for its length may be the broken byte and the frame
 *     that was asked for may begin within it;
 *   - a refusal is told only when no earlier start lacks bytes: until then it may be the inside of
 *     a good frame.
 *
 * It follows that the frames that come out are a greatest possible set of sound frames that do not
 * overlap, however the bytes were cut into pieces, and that what waits for its rest is shorter
 * than one frame, so there is always room for the rest. tests/fuzz/fuzz-frame.c holds it to both.
 */
#include "jbd.h"

#include "wire.h"

#include <string.h>

/* Offsets in a response. */
enum {
    AT_REGISTER = 1,
    AT_STATUS = 2,
    AT_LENGTH = 3,
    AT_DATA = 4,
    HEADER_SIZE = AT_DATA,
    TRAILER_SIZE = JBD_FRAME_OVERHEAD - HEADER_SIZE, /* checksum and 0x77 */
};

/* And in an answer of the password handshake, which has its length and data at the same places. */
enum {
    AT_STEP_COMMAND = 2,
    STEP_ANSWER_SIZE = 1,
};

/* The status bytes in the vendor's list: 0 is ok, these two and those between them are errors. */
enum {
    STATUS_OK = 0x00,
    STATUS_FIRST_ERROR = 0x80,
    STATUS_LAST_ERROR = 0x83,
};

/* What a 0xDD is the start of, as far as the bytes behind it tell. */
typedef enum {
    START_FALSE,
    START_PARTIAL,      /* a frame that lacks bytes */
    START_PARTIAL_ECHO, /* a request of ours, or a step, that lacks bytes */
    START_SOUND,
    START_STEP, /* an answer of the password handshake */
    START_ECHO,
    START_STEP_ECHO,
    START_BAD_END,
    START_BAD_CHECKSUM,
} Start;

/* What a refused start is called, and how many bytes go with it. */
static const struct {
    JbdError error;
    size_t drop;
} refusals[] = {
    [START_ECHO] = {JBD_ERROR_ECHO, JBD_REQUEST_SIZE},
    [START_STEP_ECHO] = {JBD_ERROR_ECHO, 1}, /* what was mixed may have 0xDD in it */
    [START_BAD_END] = {JBD_ERROR_LENGTH, 1},
    [START_BAD_CHECKSUM] = {JBD_ERROR_CHECKSUM, 1},
};

void jbd_reassembler_reset(JbdReassembler *reassembler)
{
    reassembler->expects_steps = false;
    reassembler->length = 0;
    reassembler->consumed = 0;
}

void jbd_reassembler_expect_steps(JbdReassembler *reassembler)
{
    reassembler->expects_steps = true;
}

static void drop_consumed(JbdReassembler *reassembler)
{
    if (reassembler->consumed == 0)
        return;
    reassembler->length -= reassembler->consumed;
    if (reassembler->length > 0)
        memmove(reassembler->buffer, reassembler->buffer + reassembler->consumed,
                reassembler->length);
    reassembler->consumed = 0;
}

size_t jbd_reassembler_put(JbdReassembler *reassembler, const uint8_t *data, size_t size)
{
    const size_t room = sizeof reassembler->buffer - reassembler->length;
    const size_t taken = size < room ? size : room;
    if (taken > 0)
        memcpy(reassembler->buffer + reassembler->length, data, taken);
    reassembler->length += taken;
    return taken;
}

/**
 * Whether the bytes are a request of ours, or the beginning of one.
 *
 * To be asked before anything else: a request has no payload, so it is, byte for byte, a response
 * of register 0xA5 with the wanted register for its status, and the checksum is right in both.
 */
static Start judge_echo(const uint8_t *start, size_t available)
{
    const size_t size = available < JBD_REQUEST_SIZE ? available : JBD_REQUEST_SIZE;

    for (JbdRead read = 0; read < JBD_N_READS; read++)
        if (memcmp(start, jbd_request(read), size) == 0)
            return available < JBD_REQUEST_SIZE ? START_PARTIAL_ECHO : START_ECHO;
    return START_FALSE;
}

/**
 * Whether a response can have this status.
 *
 * Most false starts fall here, so the list is short. An error that is not in the vendor's list is
 * believed when it has no payload, as errors do: to find out takes three more bytes, and to miss
 * it would turn a refusal into a board that does not answer.
 */
static bool is_status(uint8_t status, uint8_t size)
{
    return status == STATUS_OK || (status >= STATUS_FIRST_ERROR && status <= STATUS_LAST_ERROR) ||
           (status > STATUS_LAST_ERROR && size == 0);
}

static uint16_t checksum(const uint8_t *bytes, size_t size)
{
    uint32_t sum = 0;
    /* In fours, for this loop is the only one that touches every byte. */
    for (; size >= 4; bytes += 4, size -= 4)
        sum += (uint32_t)bytes[0] + bytes[1] + bytes[2] + bytes[3];
    for (; size > 0; bytes++, size--)
        sum += *bytes;
    return (uint16_t)(0x10000 - sum);
}

/** Bytes of data in our request for @a step; 0 for what is no step, too. */
static uint8_t request_data(uint8_t step)
{
    return step == JBD_STEP_KEY || step == JBD_STEP_PASSWORD ? JBD_PASSWORD_SIZE : 0;
}

/**
 * Judges a 0xFF: whether an answer of the password handshake begins there. All that are known have
 * one byte of data. That tells them from our requests, which some modules send back.
 */
static Start judge_step(const uint8_t *start, size_t available)
{
    const uint8_t command = available > AT_STEP_COMMAND ? start[AT_STEP_COMMAND] : JBD_STEP_KEY;
    const uint8_t size = available > AT_LENGTH ? start[AT_LENGTH] : STEP_ANSWER_SIZE;

    if (available > 1 && start[1] != WIRE_STEP_SECOND)
        return START_FALSE;
    if (command != JBD_STEP_KEY && command != JBD_STEP_RANDOM && command != JBD_STEP_PASSWORD)
        return START_FALSE;
    if (size != STEP_ANSWER_SIZE && size != request_data(command))
        return START_FALSE;
    if (available < (size_t)size + JBD_STEP_OVERHEAD)
        return START_PARTIAL_ECHO;
    if (wire_step_sum(start + AT_STEP_COMMAND, (size_t)size + 2) != start[AT_DATA + size])
        return START_BAD_CHECKSUM;
    return size == STEP_ANSWER_SIZE ? START_STEP : START_STEP_ECHO;
}

/** Judges a start byte by the @a available bytes from it to the end of the buffer. */
static Start judge(const uint8_t *start, size_t available)
{
    if (start[0] == WIRE_STEP_START)
        return judge_step(start, available);
    if (available > 1 && start[1] == WIRE_READ) {
        const Start echo = judge_echo(start, available);
        if (echo != START_FALSE)
            return echo;
    }

    /* Without the length byte the status gets the benefit of the doubt. */
    if (available <= AT_STATUS)
        return START_PARTIAL;
    const uint8_t size = available > AT_LENGTH ? start[AT_LENGTH] : 0;
    if (!is_status(start[AT_STATUS], size))
        return START_FALSE;
    if (available < (size_t)size + JBD_FRAME_OVERHEAD)
        return START_PARTIAL;

    const uint8_t *trailer = start + HEADER_SIZE + size;
    if (trailer[TRAILER_SIZE - 1] != WIRE_END)
        return START_BAD_END;
    /* Status, length and data; not the register. */
    if (checksum(start + AT_STATUS, (size_t)size + HEADER_SIZE - AT_STATUS) != wire_u16(trailer))
        return START_BAD_CHECKSUM;
    return START_SOUND;
}

/** Position of the first @a byte between @a from and @a to, or @a to if there is none. */
static size_t find_byte(const JbdReassembler *reassembler, uint8_t byte, size_t from, size_t to)
{
    const uint8_t *found = memchr(reassembler->buffer + from, byte, to - from);
    return found ? (size_t)(found - reassembler->buffer) : to;
}

/** Position of the first start byte at or behind @a from, or the length if there is none. */
static size_t find_start(const JbdReassembler *reassembler, size_t from)
{
    const size_t at = find_byte(reassembler, WIRE_START, from, reassembler->length);
    return reassembler->expects_steps ? find_byte(reassembler, WIRE_STEP_START, from, at) : at;
}

static JbdEvent yield_frame(JbdReassembler *reassembler, size_t at, JbdFrame *frame)
{
    const uint8_t *start = reassembler->buffer + at;

    *frame = (JbdFrame){
        .reg = start[AT_REGISTER],
        .status = start[AT_STATUS],
        .size = start[AT_LENGTH],
        .data = start + AT_DATA,
    };
    reassembler->consumed = at + frame->size + JBD_FRAME_OVERHEAD;
    return JBD_FRAME;
}

static JbdEvent yield_step(JbdReassembler *reassembler, size_t at, JbdFrame *frame)
{
    const uint8_t *start = reassembler->buffer + at;

    *frame = (JbdFrame){
        .reg = start[AT_STEP_COMMAND], .size = STEP_ANSWER_SIZE, .data = start + AT_DATA};
    reassembler->consumed = at + STEP_ANSWER_SIZE + JBD_STEP_OVERHEAD;
    return JBD_STEP;
}

JbdEvent jbd_reassembler_next(JbdReassembler *reassembler, JbdFrame *frame, JbdError *error)
{
    drop_consumed(reassembler);

    const size_t end = reassembler->length;
    if (end == 0) /* as behind every frame with which nothing odd has come */
        return JBD_NEED_MORE;

    /* Nearly always the first byte is the start: quicker seen than searched for. */
    size_t at = reassembler->buffer[0] == WIRE_START ? 0 : find_start(reassembler, 0);
    size_t waiting = end; /* the first start that lacks bytes */

    for (; at < end; at = find_start(reassembler, at + 1)) {
        const Start start = judge(reassembler->buffer + at, end - at);

        if (start == START_SOUND)
            return yield_frame(reassembler, at, frame);
        if (start == START_STEP)
            return yield_step(reassembler, at, frame);
        if (start == START_FALSE || waiting < end)
            continue;
        if (start == START_PARTIAL || start == START_PARTIAL_ECHO) {
            waiting = at;
            continue;
        }
        reassembler->consumed = at + refusals[start].drop;
        *error = refusals[start].error;
        return JBD_REFUSED;
    }

    reassembler->consumed = waiting;
    drop_consumed(reassembler);
    return JBD_NEED_MORE;
}

bool jbd_reassembler_is_partial(const JbdReassembler *reassembler)
{
    const size_t end = reassembler->length;

    /*
     * The beginning of an echo does not count. It is kept, for its rest may come in the next
     * notification, but a module that sends a few bytes of the request behind a good answer owes
     * us nothing.
     */
    for (size_t at = find_start(reassembler, reassembler->consumed); at < end;
         at = find_start(reassembler, at + 1))
        if (judge(reassembler->buffer + at, end - at) == START_PARTIAL)
            return true;
    return false;
}
