/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target for the reassembler and the decoders: what has to hold for any bytes at all.
 *
 *     input    mode (1)  cuts (CUTS)  the rest
 *
 * Mode bit 0 clear: the rest is what the radio brings. Set: the rest is a register and a payload,
 * and a frame around them with a right checksum is what the radio brings, for a fuzzer does not
 * guess checksums and would see little of the decoders. Bit 1: answers of the password handshake
 * are expected too, and all that is said of frames here holds for them. The stream is heard twice,
 * cut into pieces whose sizes are the cuts, over and over, and as large pieces as the buffer takes;
 * each time
 *
 *   - every step makes progress, and JBD_NEED_MORE leaves room for a whole frame;
 *   - a frame lies in the buffer, and is the one that is at its place in the stream;
 *   - the frames are sound by a check that is written here once more, in order and apart;
 *   - no other sound frame would have had a place between them.
 *
 * The last point is what being independent of the cuts comes to. Where no two sound frames overlap
 * it says that all of them are found, however the stream is cut. Where they do, which one of the
 * overlapping ones is found may depend on what had arrived by then.
 */
#include "fuzz.h"
#include "jbd.h"

#include <string.h>

enum {
    CUTS = 3,
    MAX_STREAM = 4096, /* more does not show more and takes longer */
};

/** Bytes of the sound answer of the password handshake at the start of @a bytes, or 0. */
static size_t sound_step(const uint8_t *bytes, size_t size)
{
    if (size < 6 || bytes[0] != 0xFF || bytes[1] != 0xAA || bytes[3] != 1)
        return 0;
    if (bytes[2] != 0x15 && bytes[2] != 0x17 && bytes[2] != 0x18)
        return 0;
    return (uint8_t)(bytes[2] + bytes[3] + bytes[4]) == bytes[5] ? 6 : 0;
}

/* ---- the decoders -------------------------------------------------------------------------- */

static bool is_filled_with(const void *memory, size_t size, uint8_t byte)
{
    const uint8_t *bytes = memory;
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != byte)
            return false;
    return true;
}

static void check_basic(const JbdFrame *frame, const JbdBasic *basic)
{
    CHECK(basic->sensor_count <= JBD_MAX_SENSORS);
    CHECK(frame->size >= JBD_BASIC_SIZE + 2 * basic->sensor_count);
    CHECK(basic->production_month <= 12 && basic->production_day <= 31);
    CHECK((basic->production_year == 0) == (basic->production_month == 0));
    CHECK((basic->production_year == 0) == (basic->production_day == 0));
    CHECK(!basic->has_tail || basic->tail.humidity_percent <= 100);
    CHECK(!basic->has_tail || !basic->tail_refused);
}

static void check_cells(const JbdFrame *frame, const JbdCells *cells)
{
    CHECK(cells->count >= 1 && cells->count <= JBD_MAX_CELLS);
    CHECK(frame->size == 2 * cells->count);
    CHECK(jbd_cells_sum_mv(cells) <= (uint32_t)UINT16_MAX * cells->count);
}

static void check_model(const JbdFrame *frame, const JbdModel *model)
{
    const size_t length = strnlen(model->text, sizeof model->text);
    CHECK(length >= 1 && length <= JBD_MODEL_SIZE && length <= frame->size);
}

static void check_counters(const JbdFrame *frame, const JbdCounters *counters)
{
    CHECK(counters->count == JBD_N_COUNTERS - 1 || counters->count == JBD_N_COUNTERS);
    CHECK(frame->size >= 2 * counters->count);
}

static void check_words(const JbdFrame *frame)
{
    char text[JBD_MALFORMED_SIZE];

    jbd_describe_malformed(text, frame);
    CHECK(strncmp(text, "register ", strlen("register ")) == 0);
    /* Nothing is cut off. */
    CHECK(strlen(text) < sizeof text - 1);
}

/** Runs one decoder: it reads what it should read, or says why not and touches nothing. */
#define RUN(read, Type, decode, check)                                                             \
    do {                                                                                           \
        Type out;                                                                                  \
        memset(&out, 0xEE, sizeof out);                                                            \
        const JbdError error = decode(frame, &out);                                                \
        if (error == JBD_OK)                                                                       \
            check(frame, &out);                                                                    \
        else                                                                                       \
            CHECK(is_filled_with(&out, sizeof out, 0xEE));                                         \
        CHECK((error == JBD_ERROR_REGISTER) == (frame->reg != jbd_register(read)));                \
        CHECK((error == JBD_ERROR_STATUS) ==                                                       \
              (frame->reg == jbd_register(read) && frame->status != 0));                           \
    } while (0)

static void decode_all(const JbdFrame *in_buffer)
{
    /* Of its own and of the exact size, so that a sanitizer sees a read beyond the payload. */
    uint8_t *payload = malloc(in_buffer->size > 0 ? in_buffer->size : 1);
    if (!payload)
        abort();
    memcpy(payload, in_buffer->data, in_buffer->size);
    JbdFrame copy = *in_buffer;
    copy.data = payload;
    const JbdFrame *frame = &copy;

    RUN(JBD_BASIC, JbdBasic, jbd_decode_basic, check_basic);
    RUN(JBD_CELLS, JbdCells, jbd_decode_cells, check_cells);
    RUN(JBD_MODEL, JbdModel, jbd_decode_model, check_model);
    RUN(JBD_COUNTERS, JbdCounters, jbd_decode_counters, check_counters);
    check_words(frame);
    free(payload);
}

/* ---- the reassembler ----------------------------------------------------------------------- */

typedef struct {
    const uint8_t *bytes;
    size_t size;
    size_t heard; /* how many of them the reassembler has taken */
    size_t ended; /* where the last frame ended */
    bool steps;   /* answers of the password handshake count as well */
} Stream;

/** Fails if there is a sound frame between the last one and @a to: it should have been found. */
static void check_none_missed(const Stream *stream, size_t to)
{
    for (size_t at = stream->ended; at < to; at++) {
        CHECK(sound_frame(stream->bytes + at, to - at) == 0);
        CHECK(!stream->steps || sound_step(stream->bytes + at, to - at) == 0);
    }
}

static void check_frame(Stream *stream, const JbdReassembler *reassembler, const JbdFrame *frame)
{
    const uint8_t *start = frame->data - 4;
    const size_t total = frame->size + (size_t)JBD_FRAME_OVERHEAD;
    CHECK(start >= reassembler->buffer);
    CHECK(start + total <= reassembler->buffer + reassembler->length);

    /* Bytes leave the buffer at its front only, so its end is the last byte that was heard. */
    const size_t at = stream->heard - reassembler->length + (size_t)(start - reassembler->buffer);
    CHECK(at >= stream->ended);
    CHECK(memcmp(start, stream->bytes + at, total) == 0);
    CHECK(sound_frame(stream->bytes + at, stream->size - at) == total);
    CHECK(frame->reg == start[1] && frame->status == start[2] && frame->size == start[3]);
    check_none_missed(stream, at);
    stream->ended = at + total;
    decode_all(frame);
}

static void check_step(Stream *stream, const JbdReassembler *reassembler, const JbdFrame *frame)
{
    const uint8_t *start = frame->data - 4;
    CHECK(stream->steps);
    CHECK(start >= reassembler->buffer);
    CHECK(start + 6 <= reassembler->buffer + reassembler->length);

    const size_t at = stream->heard - reassembler->length + (size_t)(start - reassembler->buffer);
    CHECK(at >= stream->ended);
    CHECK(sound_step(stream->bytes + at, stream->size - at) == 6);
    CHECK(memcmp(start, stream->bytes + at, 6) == 0);
    CHECK(frame->reg == start[2] && frame->size == 1);
    check_none_missed(stream, at);
    stream->ended = at + 6;
}

static void drain(Stream *stream, JbdReassembler *reassembler)
{
    for (size_t steps = 1;; steps++) {
        CHECK(steps <= JBD_BUFFER_SIZE + 1);
        JbdFrame frame;
        JbdError error = JBD_OK;
        const JbdEvent event = jbd_reassembler_next(reassembler, &frame, &error);
        CHECK(reassembler->length <= JBD_BUFFER_SIZE);
        CHECK(reassembler->consumed <= reassembler->length);
        switch (event) {
        case JBD_FRAME:
            check_frame(stream, reassembler, &frame);
            break;
        case JBD_STEP:
            check_step(stream, reassembler, &frame);
            break;
        case JBD_REFUSED:
            CHECK(error == JBD_ERROR_CHECKSUM || error == JBD_ERROR_LENGTH ||
                  error == JBD_ERROR_ECHO);
            break;
        case JBD_NEED_MORE:
            CHECK(JBD_BUFFER_SIZE - reassembler->length >= JBD_MAX_FRAME);
            CHECK(reassembler->length > 0 || !jbd_reassembler_is_partial(reassembler));
            return;
        }
    }
}

static void hear(const uint8_t *bytes, size_t size, bool steps, const uint8_t *cuts, size_t n_cuts)
{
    Stream stream = {.bytes = bytes, .size = size, .steps = steps};
    JbdReassembler reassembler;
    size_t n = 0;

    memset(&reassembler, 0xDD, sizeof reassembler);
    jbd_reassembler_reset(&reassembler);
    if (steps)
        jbd_reassembler_expect_steps(&reassembler);
    while (stream.heard < size) {
        size_t piece = size - stream.heard;
        /* A cut of 0 is a piece of 1. */
        if (n_cuts > 0 && cuts[n % n_cuts] < piece - 1)
            piece = cuts[n % n_cuts] + (size_t)1;
        n++;
        const size_t room = JBD_BUFFER_SIZE - reassembler.length;
        const size_t taken = jbd_reassembler_put(&reassembler, bytes + stream.heard, piece);
        CHECK(taken == (piece < room ? piece : room));
        stream.heard += taken;
        drain(&stream, &reassembler);
    }
    check_none_missed(&stream, size);
}

/** Writes a frame around as much of the payload as goes into one, and returns its size. */
static size_t wrap(uint8_t reg, const uint8_t *payload, size_t size, uint8_t *frame)
{
    if (size > JBD_MAX_PAYLOAD)
        size = JBD_MAX_PAYLOAD;
    const size_t total = make_frame(reg, 0, payload, size, frame);

    CHECK(sound_frame(frame, total) == total);
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 + CUTS)
        return 0;
    const uint8_t mode = data[0];
    const uint8_t *cuts = data + 1;
    const uint8_t *bytes = data + 1 + CUTS;
    size -= 1 + CUTS;
    if (size > MAX_STREAM)
        size = MAX_STREAM;

    uint8_t frame[JBD_MAX_FRAME];
    if ((mode & 1) && size > 0) {
        size = wrap(bytes[0], bytes + 1, size - 1, frame);
        bytes = frame;
    }
    const bool steps = (mode & 2) != 0;
    hear(bytes, size, steps, cuts, CUTS);
    hear(bytes, size, steps, NULL, 0);
    return 0;
}
