/* SPDX-License-Identifier: MIT */
/*
 * The board's registers and frames.
 *
 * Owns how a request is judged and how the state is written into an answer. How the state moves is
 * in board_model.c.
 */
#include "board.h"

#include <math.h>
#include <string.h>

enum {
    REG_BASIC = 0x03,
    REG_CELLS = 0x04,
    REG_MODEL = 0x05,
    REG_COUNTERS = 0xAA,
};

enum {
    STATUS_OK = 0x00,
    STATUS_UNKNOWN = 0x80,
    STATUS_FORBIDDEN = 0x81,
};

/* splitmix64: small, and good enough for jitter. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15U);

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

double board_random(uint64_t *state)
{
    return (double)(next_random(state) >> 11) / 9007199254740992.0;
}

uint16_t board_checksum(const uint8_t *bytes, size_t length)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < length; i++) {
        sum += bytes[i];
    }
    return (uint16_t)(0x10000U - sum);
}

static uint16_t to_u16(double value)
{
    double rounded = floor(value + 0.5);

    if (!(rounded > 0)) {
        return 0;
    }
    return rounded > 65535 ? 65535 : (uint16_t)rounded;
}

static uint16_t to_s16(double value)
{
    double rounded = floor(value + 0.5);

    if (rounded < -32768) {
        rounded = -32768;
    }
    if (rounded > 32767) {
        rounded = 32767;
    }
    return (uint16_t)(int16_t)rounded;
}

static uint8_t *put16(uint8_t *to, uint16_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)(value & 0xFF);
    return to + 2;
}

static size_t build(uint8_t *frame, uint8_t reg, uint8_t status, const uint8_t *data, size_t length)
{
    frame[0] = 0xDD;
    frame[1] = reg;
    frame[2] = status;
    frame[3] = (uint8_t)length;
    if (length > 0) {
        memcpy(frame + 4, data, length);
    }
    put16(frame + 4 + length, board_checksum(frame + 2, length + 2));
    frame[6 + length] = 0x77;
    return length + 7;
}

static uint8_t *put_tail(const struct board *board, uint8_t *p, uint16_t remaining, double unit)
{
    const struct board_state *s = &board->state;

    if (board->config.tail < 9) {
        return p;
    }
    *p++ = s->humidity;
    p = put16(p, board->config.tail == 16 ? (uint16_t)(s->alarm | 0x8000) : s->alarm);
    p = put16(p, to_u16(board->config.capacity_ah * 1000.0 / unit));
    p = put16(p, remaining);
    p = put16(p, s->balance != 0 ? 60 : 0);
    if (board->config.tail == 16) {
        p = put16(p, 0);
        *p++ = 0x10;
        p = put16(p, 0);
        p = put16(p, 0);
    }
    return p;
}

static size_t put_basic(const struct board *board, uint8_t *data)
{
    const struct board_config *c = &board->config;
    const struct board_state *s = &board->state;
    /* FET bit 7: current and capacity in units of 100 mA and 100 mAh. */
    double unit = (s->fet & 0x80) != 0 ? 100.0 : 10.0;
    double voltage = s->voltage_mv;
    uint16_t remaining = to_u16(s->soc * c->capacity_ah * 1000.0 / unit);
    uint8_t *p = data;

    if (voltage < 0) {
        voltage = 0;
        for (unsigned i = 0; i < c->cells; i++) {
            voltage += s->cell_mv[i];
        }
    }
    p = put16(p, to_u16(voltage / 10.0));
    p = put16(p, to_s16(s->current_ma / unit));
    p = put16(p, remaining);
    p = put16(p, to_u16(c->capacity_ah * 1000.0 / unit));
    p = put16(p, to_u16(floor(s->cycles)));
    p = put16(p, c->date);
    p = put16(p, (uint16_t)(s->balance & 0xFFFF));
    p = put16(p, (uint16_t)(s->balance >> 16));
    p = put16(p, s->protection);
    *p++ = c->version;
    *p++ = (uint8_t)to_u16(s->soc * 100.0);
    *p++ = s->fet;
    *p++ = (uint8_t)c->cells;
    *p++ = (uint8_t)c->ntcs;
    for (unsigned i = 0; i < c->ntcs; i++) {
        p = put16(p, to_u16(s->ntc_dc[i] + 2731.0));
    }
    p = put_tail(board, p, remaining, unit);
    return (size_t)(p - data);
}

static size_t put_cells(const struct board *board, uint8_t *data)
{
    uint8_t *p = data;

    for (unsigned i = 0; i < board->config.cells; i++) {
        p = put16(p, to_u16(board->state.cell_mv[i]));
    }
    return (size_t)(p - data);
}

static size_t put_counters(const struct board *board, uint8_t *data)
{
    uint8_t *p = data;

    for (unsigned i = 0; i < board->config.counter_bytes / 2; i++) {
        p = put16(p, board->state.counters[i]);
    }
    return (size_t)(p - data);
}

static void answer_read(const struct board *board, struct board_answer *answer)
{
    uint8_t data[256];
    uint8_t status = STATUS_OK;
    size_t length = 0;

    switch (answer->reg) {
    case REG_BASIC:
        length = put_basic(board, data);
        break;
    case REG_CELLS:
        length = put_cells(board, data);
        break;
    case REG_MODEL:
        if (board->config.no_model) {
            status = STATUS_UNKNOWN;
        } else {
            length = strlen(board->config.model);
            memcpy(data, board->config.model, length);
        }
        break;
    case REG_COUNTERS:
        if (board->config.no_counters) {
            status = STATUS_UNKNOWN;
        } else {
            length = put_counters(board, data);
        }
        break;
    default:
        status = STATUS_UNKNOWN;
        break;
    }
    answer->length = build(answer->frame, answer->reg, status, data, length);
}

/* Most answers start after 33 to 122 ms, half of them before 68: two straight lines. */
static double draw_latency(struct board *board)
{
    double low = board->config.latency_min;
    double high = board->config.latency_max;
    double median = low + (high - low) * 0.39;
    double u = board_random(&board->random);

    if (u < 0.5) {
        return low + (median - low) * u * 2;
    }
    return median + (high - median) * (u - 0.5) * 2;
}

static void answer_password(struct board_answer *answer, uint8_t command, uint8_t value)
{
    uint8_t frame[] = {0xFF, 0xAA, command, 1, value, (uint8_t)(command + 1 + value)};

    memcpy(answer->frame, frame, sizeof frame);
    answer->length = sizeof frame;
    answer->outcome = BOARD_ANSWERED;
}

/* FF AA cmd len data sum: the exchange of boards that want a password. */
static void password_request(struct board *board, const uint8_t *request, size_t length,
                             struct board_answer *answer)
{
    uint8_t command = request[2];
    size_t count = request[3];
    uint8_t sum = 0;

    answer->reg = command;
    board->password_requests++;
    if (length < count + 5) {
        return;
    }
    for (size_t i = 2; i < count + 4; i++) {
        sum = (uint8_t)(sum + request[i]);
    }
    if (sum != request[count + 4]) {
        return;
    }
    if (command == 0x15) {
        bool right = count == 6 && memcmp(request + 4, "000000", 6) == 0;

        if (board->config.password[0] == '\0') {
            answer_password(answer, command, 2);
        } else {
            answer_password(answer, command, right ? 0 : 1);
        }
    } else if (command == 0x17) {
        board->nonce = (uint8_t)next_random(&board->random);
        board->has_nonce = true;
        answer_password(answer, command, board->nonce);
    } else if (command == 0x18) {
        bool right = count == 6 && board->config.password[0] != '\0' && board->has_nonce;

        for (size_t i = 0; right && i < 6; i++) {
            uint8_t mixed = (uint8_t)(board->config.mac[i] ^ (uint8_t)board->config.password[i]);

            right = request[4 + i] == (uint8_t)(mixed + board->nonce);
        }
        board->has_nonce = false;
        board->passwords++;
        board->wrong_passwords += right ? 0 : 1;
        board->unlocked = board->unlocked || right;
        answer_password(answer, command, right ? 0 : 1);
    } else {
        board->violations++;
        answer->outcome = BOARD_VIOLATION;
    }
}

bool board_is_locked(const struct board *board)
{
    return board->config.password[0] != '\0' && !board->unlocked;
}

static bool is_monitored(uint8_t reg)
{
    return reg == REG_BASIC || reg == REG_CELLS || reg == REG_MODEL || reg == REG_COUNTERS;
}

void board_request(struct board *board, double now, const uint8_t *request, size_t length,
                   struct board_answer *answer)
{
    size_t count;
    size_t extra;
    bool lost = board->fresh && board->config.lose_first;
    bool forbidden;

    memset(answer, 0, sizeof *answer);
    answer->outcome = BOARD_IGNORED;
    answer->latency = draw_latency(board);
    board->fresh = false;
    board_advance(board, now);
    if (length >= 5 && request[0] == 0xFF && request[1] == 0xAA) {
        password_request(board, request, length, answer);
        if (lost) {
            answer->outcome = BOARD_LOST;
        }
        return;
    }
    if (length < 7 || request[0] != 0xDD || (request[1] != 0xA5 && request[1] != 0x5A)) {
        /* Noise to a board, but nothing a monitor should say. */
        board->violations++;
        return;
    }
    answer->reg = request[2];
    /* Judged before anything is lost or ignored: what counts is what was sent. */
    forbidden = request[1] == 0x5A || !is_monitored(answer->reg);
    if (forbidden) {
        board->violations++;
    }
    count = request[3];
    if (length < count + 7 || request[count + 6] != 0x77 ||
        board_checksum(request + 2, count + 2) !=
            (uint16_t)((request[count + 4] << 8) | request[count + 5])) {
        return;
    }
    if (lost) {
        answer->outcome = BOARD_LOST;
        return;
    }
    if (board_is_locked(board)) {
        answer->outcome = BOARD_LOCKED;
        return;
    }
    if (request[1] == 0x5A) {
        answer->length = build(answer->frame, answer->reg, STATUS_FORBIDDEN, NULL, 0);
    } else {
        answer_read(board, answer);
    }
    answer->outcome = forbidden ? BOARD_VIOLATION : BOARD_ANSWERED;
    /* The vendor's callback id: whatever follows the request comes back. */
    extra = length - (count + 7);
    if (extra > 0 && extra <= 8) {
        memcpy(answer->frame + answer->length, request + count + 7, extra);
        answer->length += extra;
    }
}

void board_cut(struct board_pieces *pieces, const uint8_t *bytes, size_t length, double start,
               size_t size)
{
    size_t done = 0;

    while (done < length && pieces->count < BOARD_PIECES_MAX) {
        size_t part = length - done < size ? length - done : size;
        struct board_piece *piece;

        if (pieces->used + part > BOARD_BYTES_MAX) {
            return;
        }
        done += part;
        piece = &pieces->piece[pieces->count++];
        piece->offset = (uint16_t)pieces->used;
        piece->length = (uint16_t)part;
        piece->delay = start + (double)done * BOARD_BYTE_TIME;
        memcpy(pieces->bytes + pieces->used, bytes + done - part, part);
        pieces->used += part;
    }
}
