/* SPDX-License-Identifier: MIT */
/*
 * Scripted faults: the table of their names and arguments, and what they do to bytes.
 */
#include "faults.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * Arguments, in order: n a count (how often, optional) · i a number · s seconds · d seconds
 * (optional) · x hex bytes · r a register in hex or * (optional) · e an error's name · m its
 * message.
 */
static const struct {
    const char *name, *arguments;
} names[FAULT_COUNT] = {
    [FAULT_NO_ANSWER] = {"no-answer", "n"},
    [FAULT_CORRUPT] = {"corrupt", "n"},
    [FAULT_CORRUPT_LENGTH] = {"corrupt-length", "n"},
    [FAULT_TRUNCATE] = {"truncate", "n"},
    [FAULT_GARBAGE] = {"garbage", "n"},
    [FAULT_LATE] = {"late", "sn"},
    [FAULT_DOUBLE] = {"double", "nd"},
    [FAULT_ECHO] = {"echo", "n"},
    [FAULT_ECHO_THEN_ANSWER] = {"echo-then-answer", "n"},
    [FAULT_TRAILING] = {"trailing", "xn"},
    [FAULT_PADDING] = {"padding", "in"},
    [FAULT_WRONG_REGISTER] = {"wrong-register", "n"},
    [FAULT_ERROR_STATUS] = {"error-status", "xrn"},
    [FAULT_CHUNK_SIZE] = {"chunk-size", "i"},
    [FAULT_PIECE_GAP] = {"piece-gap", "s"},
    [FAULT_SWAP_ORDER] = {"swap-order", "n"},
    [FAULT_SILENT] = {"silent", ""},
    [FAULT_PASSWORD] = {"password", "d"},
    [FAULT_DROP_AFTER] = {"drop-after", "i"},
    [FAULT_DROP_EVERY] = {"drop-every", "s"},
    [FAULT_CONNECT_FAIL] = {"connect-fail", "emn"},
    [FAULT_CONNECT_HANG] = {"connect-hang", "n"},
    [FAULT_CONNECT_DELAY] = {"connect-delay", "s"},
    [FAULT_ABORT_EARLY] = {"abort-early", "n"},
    [FAULT_RESOLVE_DELAY] = {"resolve-delay", "s"},
    [FAULT_RESOLVE_NEVER] = {"resolve-never", ""},
    [FAULT_RESOLVE_BEFORE_OBJECTS] = {"resolve-before-objects", "s"},
    [FAULT_NO_SERVICE] = {"no-service", ""},
    [FAULT_WRONG_SERVICES] = {"wrong-services", ""},
    [FAULT_NOTIFY_FAIL] = {"notify-fail", "emn"},
    [FAULT_NOTIFY_DEAD] = {"notify-dead", "n"},
    [FAULT_WRITE_FAIL] = {"write-fail", "emn"},
    [FAULT_WRITE_HANG] = {"write-hang", "n"},
    [FAULT_DISCONNECT_HANG] = {"disconnect-hang", ""},
};

static int digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

long faults_parse_hex(const char *text, size_t text_length, uint8_t *bytes, size_t size)
{
    if (text_length % 2 != 0 || text_length / 2 > size) {
        return -1;
    }
    for (size_t i = 0; i < text_length / 2; i++) {
        int high = digit(text[2 * i]);
        int low = digit(text[2 * i + 1]);

        if (high < 0 || low < 0) {
            return -1;
        }
        bytes[i] = (uint8_t)(high * 16 + low);
    }
    return (long)(text_length / 2);
}

static bool parse_number(const char *text, long low, long *value)
{
    char *end;

    errno = 0;
    *value = strtol(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *value >= low && *value <= 1000000;
}

static bool parse_seconds(const char *text, double *value)
{
    char *end;

    *value = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*value) && *value >= 0 && *value <= 1e6;
}

static bool parse_argument(struct fault *fault, char kind, const char *text)
{
    long count;
    uint8_t reg;

    switch (kind) {
    case 'n':
        return parse_number(text, 0, &fault->left);
    case 'i':
        return parse_number(text, 0, &fault->number);
    case 's':
    case 'd':
        return parse_seconds(text, &fault->seconds);
    case 'x':
        count = faults_parse_hex(text, strlen(text), fault->bytes, sizeof fault->bytes);
        fault->length = count > 0 ? (size_t)count : 0;
        return count > 0;
    case 'r':
        if (strcmp(text, "*") == 0) {
            return true;
        }
        if (faults_parse_hex(text, strlen(text), &reg, 1) != 1) {
            return false;
        }
        fault->reg = reg;
        return true;
    case 'e':
        strncpy(fault->name, text, sizeof fault->name - 1);
        return *text != '\0';
    case 'm':
        strncpy(fault->text, text, sizeof fault->text - 1);
        return true;
    default:
        return false;
    }
}

enum fault_result faults_set(struct faults *faults, int argc, char *const *argv, enum fault_id *id)
{
    for (int i = 0; i < FAULT_COUNT; i++) {
        struct fault fault = {.on = true, .left = -1, .seconds = -1, .reg = -1};
        const char *kinds = names[i].arguments;
        int used = 1;

        if (strcmp(argv[0], names[i].name) != 0) {
            continue;
        }
        for (; *kinds != '\0' && used < argc; kinds++, used++) {
            if (!parse_argument(&fault, *kinds, argv[used])) {
                return FAULT_BAD_ARGUMENTS;
            }
        }
        if (used < argc || strpbrk(kinds, "isxem") != NULL) {
            return FAULT_BAD_ARGUMENTS;
        }
        if (i == FAULT_CHUNK_SIZE && (fault.number < 1 || fault.number > 244)) {
            return FAULT_BAD_ARGUMENTS;
        }
        fault.on = fault.left != 0;
        faults->fault[i] = fault;
        *id = (enum fault_id)i;
        return FAULT_SET;
    }
    return FAULT_BAD_NAME;
}

void faults_clear(struct faults *faults)
{
    memset(faults, 0, sizeof *faults);
}

bool faults_set_frame(struct faults *faults, uint8_t reg, const char *hex)
{
    struct fault_frame *slot = NULL;

    for (size_t i = 0; i < FAULT_FRAMES; i++) {
        struct fault_frame *frame = &faults->frame[i];

        if (frame->on && frame->reg == reg) {
            slot = frame;
            break;
        }
        if (!frame->on && slot == NULL) {
            slot = frame;
        }
    }
    if (slot == NULL) {
        return false;
    }
    memset(slot, 0, sizeof *slot);
    slot->reg = reg;
    if (strcmp(hex, "-") == 0) {
        return true;
    }
    while (slot->count < 64) {
        size_t span = strcspn(hex, ",");
        long bytes =
            faults_parse_hex(hex, span, slot->bytes + slot->used, sizeof slot->bytes - slot->used);

        if (bytes < 1 || bytes > 244) {
            return false;
        }
        slot->length[slot->count++] = (uint16_t)bytes;
        slot->used += (size_t)bytes;
        if (hex[span] == '\0') {
            slot->on = true;
            return true;
        }
        hex += span + 1;
    }
    return false;
}

const struct fault *fault_on(const struct faults *faults, enum fault_id id)
{
    return faults->fault[id].on ? &faults->fault[id] : NULL;
}

const struct fault *fault_take(struct faults *faults, enum fault_id id)
{
    struct fault *fault = &faults->fault[id];

    if (!fault->on) {
        return NULL;
    }
    if (fault->left > 0 && --fault->left == 0) {
        fault->on = false;
    }
    return fault;
}

static bool play_frame(const struct faults *faults, const struct board_answer *answer,
                       struct board_pieces *out)
{
    for (size_t i = 0; i < FAULT_FRAMES; i++) {
        const struct fault_frame *frame = &faults->frame[i];
        double start = answer->latency;
        size_t done = 0;

        if (!frame->on || frame->reg != answer->reg) {
            continue;
        }
        for (size_t chunk = 0; chunk < frame->count; chunk++) {
            size_t length = frame->length[chunk];

            board_cut(out, frame->bytes + done, length, start, length);
            start += (double)length * BOARD_BYTE_TIME;
            done += length;
        }
        return true;
    }
    return false;
}

/* Changes that keep the frame a frame: its header, its payload. */
static size_t spoil(struct faults *faults, uint64_t *random, uint8_t *frame, size_t length)
{
    const struct fault *status = fault_on(faults, FAULT_ERROR_STATUS);

    if (status != NULL && (status->reg < 0 || status->reg == frame[1])) {
        uint16_t sum;

        fault_take(faults, FAULT_ERROR_STATUS);
        frame[2] = status->bytes[0];
        frame[3] = 0;
        sum = board_checksum(frame + 2, 2);
        frame[4] = (uint8_t)(sum >> 8);
        frame[5] = (uint8_t)(sum & 0xFF);
        frame[6] = 0x77;
        length = 7;
    }
    /* The register is not in the checksum: this stays a valid frame, of the wrong register. */
    if (fault_take(faults, FAULT_WRONG_REGISTER) != NULL) {
        frame[1] = frame[1] == 0x03 ? 0x04 : 0x03;
    }
    if (fault_take(faults, FAULT_CORRUPT) != NULL) {
        size_t at = length > 7 ? 4 + (size_t)(board_random(random) * (double)(length - 7)) : 2;

        frame[at] ^= (uint8_t)(1U << (unsigned)(board_random(random) * 8));
    }
    if (fault_take(faults, FAULT_CORRUPT_LENGTH) != NULL) {
        frame[3] = (uint8_t)(frame[3] + 1 + (unsigned)(board_random(random) * 40));
    }
    return length;
}

static size_t append(uint8_t *stream, size_t used, const uint8_t *bytes, size_t length)
{
    memcpy(stream + used, bytes, length);
    return used + length;
}

static void repeat(struct board_pieces *out, double delay)
{
    size_t count = out->count;

    for (size_t i = 0; i < count && out->count < BOARD_PIECES_MAX; i++) {
        out->piece[out->count] = out->piece[i];
        out->piece[out->count++].delay += delay;
    }
}

void faults_apply(struct faults *faults, uint64_t *random, const uint8_t *request, size_t length,
                  const struct board_answer *answer, struct board_pieces *out)
{
    static const uint8_t noise[] = {0x00, 0xFF, 0xDD, 0x5A, 0x77, 0xDD, 0x03, 0x13, 0xDD};
    static const uint8_t zeroes[128];
    uint8_t frame[sizeof answer->frame];
    uint8_t stream[BOARD_FRAME_MAX + 512];
    size_t used = 0, frame_length = answer->length, size = BOARD_PIECE_BYTES;
    double start = answer->latency;
    const struct fault *fault;

    out->used = 0;
    out->count = 0;
    if (fault_on(faults, FAULT_SILENT) != NULL || fault_on(faults, FAULT_PASSWORD) != NULL ||
        fault_take(faults, FAULT_NO_ANSWER) != NULL) {
        return;
    }
    if (length > 64) {
        length = 64;
    }
    if ((fault = fault_on(faults, FAULT_CHUNK_SIZE)) != NULL) {
        size = (size_t)fault->number;
    }
    if (fault_take(faults, FAULT_ECHO) != NULL) {
        board_cut(out, request, length, start, size);
        return;
    }
    if (play_frame(faults, answer, out)) {
        return;
    }
    memcpy(frame, answer->frame, sizeof frame);
    if (frame_length >= 7 && frame[0] == 0xDD) {
        frame_length = spoil(faults, random, frame, frame_length);
    }
    if (fault_take(faults, FAULT_ECHO_THEN_ANSWER) != NULL) {
        board_cut(out, request, length, start, size);
        start += (double)length * BOARD_BYTE_TIME + 0.01;
    }
    if (fault_take(faults, FAULT_GARBAGE) != NULL) {
        used = append(stream, used, noise, sizeof noise);
    }
    used = append(stream, used, frame, frame_length);
    if ((fault = fault_take(faults, FAULT_TRAILING)) != NULL) {
        used = append(stream, used, fault->bytes, fault->length);
    }
    if ((fault = fault_take(faults, FAULT_PADDING)) != NULL) {
        used = append(stream, used, zeroes, fault->number < 128 ? (size_t)fault->number : 128);
    }
    if ((fault = fault_take(faults, FAULT_LATE)) != NULL) {
        start += fault->seconds;
    }
    if (fault_take(faults, FAULT_TRUNCATE) != NULL) {
        /* The last chunk is missing; of a single one its second half. */
        used = used > size ? (used - 1) / size * size : used / 2;
    }
    board_cut(out, stream, used, start, size);
    if ((fault = fault_on(faults, FAULT_PIECE_GAP)) != NULL) {
        for (size_t i = 0; i < out->count; i++) {
            out->piece[i].delay += (double)i * fault->seconds;
        }
    }
    if (fault_take(faults, FAULT_SWAP_ORDER) != NULL) {
        for (size_t i = 0, j = out->count; i + 1 < j; i++) {
            struct board_piece swap = out->piece[i];

            j--;
            out->piece[i].offset = out->piece[j].offset;
            out->piece[i].length = out->piece[j].length;
            out->piece[j].offset = swap.offset;
            out->piece[j].length = swap.length;
        }
    }
    if ((fault = fault_take(faults, FAULT_DOUBLE)) != NULL) {
        repeat(out, fault->seconds < 0 ? 0.3 : fault->seconds);
    }
}
