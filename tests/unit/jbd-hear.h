/* SPDX-License-Identifier: MIT */
/*
 * For the tests of the JBD part: builds frames, feeds bytes to a reassembler in pieces of any size
 * and writes down what comes out, as text that a test can compare.
 *
 * The checksum is computed here once more, in another way than in the code under test.
 */
#ifndef BMS_TESTS_JBD_HEAR_H
#define BMS_TESTS_JBD_HEAR_H

#include "jbd.h"

#include <glib.h>
#include <string.h>

/** Appends a response with a right checksum. */
static inline void jbd_append_frame(GByteArray *bytes, uint8_t reg, uint8_t status,
                                    const uint8_t *payload, size_t size)
{
    guint16 check = 0;
    check = (guint16)(check - status);
    check = (guint16)(check - size);
    for (size_t i = 0; i < size; i++)
        check = (guint16)(check - payload[i]);

    const guint8 head[] = {0xDD, reg, status, (guint8)size};
    const guint8 tail[] = {(guint8)(check >> 8), (guint8)(check & 0xFF), 0x77};
    g_byte_array_append(bytes, head, sizeof head);
    if (size > 0)
        g_byte_array_append(bytes, payload, (guint)size);
    g_byte_array_append(bytes, tail, sizeof tail);
}

/** Appends bytes written as hexadecimal digits, with or without spaces. */
static inline void jbd_append_hex(GByteArray *bytes, const char *hex)
{
    for (; *hex != '\0'; hex++) {
        if (*hex == ' ')
            continue;
        g_assert_true(g_ascii_isxdigit(hex[0]) && g_ascii_isxdigit(hex[1]));
        const guint8 byte =
            (guint8)(g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));
        g_byte_array_append(bytes, &byte, 1);
        hex++;
    }
}

static inline GByteArray *jbd_bytes(const char *hex)
{
    GByteArray *bytes = g_byte_array_new();
    jbd_append_hex(bytes, hex);
    return bytes;
}

/** A listener, and what it has heard. */
typedef struct {
    JbdReassembler reassembler;
    GString *events;    /**< "03" a frame, "05:80" one with a status, "!checksum" a refusal */
    GByteArray *frames; /**< all frames from 0xDD to 0x77, one after the other */
} JbdEar;

static inline JbdEar *jbd_ear_new(void)
{
    JbdEar *ear = g_new0(JbdEar, 1);
    ear->events = g_string_new(NULL);
    ear->frames = g_byte_array_new();
    /* Whatever the memory held before, a reset must make it good. */
    memset(&ear->reassembler, 0xDD, sizeof ear->reassembler);
    jbd_reassembler_reset(&ear->reassembler);
    return ear;
}

static inline void jbd_ear_free(JbdEar *ear)
{
    g_string_free(ear->events, TRUE);
    g_byte_array_unref(ear->frames);
    g_free(ear);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(JbdEar, jbd_ear_free)

static inline void jbd_ear_note_frame(JbdEar *ear, const JbdFrame *frame)
{
    const uint8_t *begin = ear->reassembler.buffer;
    g_assert_true(frame->data >= begin + 4);
    g_assert_true(frame->data + frame->size + 3 <= begin + ear->reassembler.length);

    g_string_append_printf(ear->events, "%s%02x", ear->events->len > 0 ? " " : "", frame->reg);
    if (frame->status != 0)
        g_string_append_printf(ear->events, ":%02x", frame->status);
    g_byte_array_append(ear->frames, frame->data - 4, (guint)frame->size + JBD_FRAME_OVERHEAD);
}

/** Takes events until there are none, and fails if that takes more than there were bytes. */
static inline void jbd_ear_drain(JbdEar *ear)
{
    for (unsigned steps = 0; steps <= JBD_BUFFER_SIZE; steps++) {
        JbdFrame frame;
        JbdError error = JBD_OK;
        switch (jbd_reassembler_next(&ear->reassembler, &frame, &error)) {
        case JBD_FRAME:
            jbd_ear_note_frame(ear, &frame);
            break;
        case JBD_STEP:
            g_assert_cmpuint(frame.size, ==, 1);
            g_string_append_printf(ear->events, "%s%02x=%02x", ear->events->len > 0 ? " " : "",
                                   frame.reg, frame.data[0]);
            break;
        case JBD_REFUSED:
            g_assert_true(error == JBD_ERROR_CHECKSUM || error == JBD_ERROR_LENGTH ||
                          error == JBD_ERROR_ECHO);
            g_string_append_printf(ear->events, "%s!%s", ear->events->len > 0 ? " " : "",
                                   jbd_error_name(error));
            break;
        case JBD_NEED_MORE:
            g_assert_cmpuint(ear->reassembler.length, <, JBD_MAX_FRAME);
            return;
        }
    }
    g_assert_not_reached();
}

/** Hears one notification, or something longer that did not go into the buffer at once. */
static inline void jbd_ear_hear(JbdEar *ear, const uint8_t *data, size_t size)
{
    do {
        const size_t taken = jbd_reassembler_put(&ear->reassembler, data, size);
        g_assert_cmpuint(taken, <=, size);
        g_assert_true(taken > 0 || size == 0);
        data += taken;
        size -= taken;
        jbd_ear_drain(ear);
    } while (size > 0);
}

/** Hears @a bytes in pieces of @a piece. */
static inline void jbd_ear_hear_pieces(JbdEar *ear, const GByteArray *bytes, size_t piece)
{
    for (size_t at = 0; at < bytes->len; at += piece)
        jbd_ear_hear(ear, bytes->data + at, MIN(piece, bytes->len - at));
}

static inline char *jbd_hex(const GByteArray *bytes)
{
    GString *hex = g_string_new(NULL);
    for (guint i = 0; i < bytes->len; i++)
        g_string_append_printf(hex, "%02x", bytes->data[i]);
    return g_string_free(hex, FALSE);
}

/** Fails unless the frames heard are, byte for byte, those in @a wanted. */
static inline void jbd_assert_frames(const JbdEar *ear, const GByteArray *wanted)
{
    const GByteArray *frames = ear->frames;
    if (frames->len == wanted->len &&
        (wanted->len == 0 || memcmp(frames->data, wanted->data, wanted->len) == 0))
        return;
    g_autofree char *heard_hex = jbd_hex(frames);
    g_autofree char *wanted_hex = jbd_hex(wanted);
    g_assert_cmpstr(heard_hex, ==, wanted_hex);
}

/** As notifications come: one by one, uneven, 20 bytes as with the smallest MTU, all at once. */
static const size_t jbd_pieces[] = {1, 2, 3, 7, 19, 20, 21, 64, 10000};

/** Hears @a bytes in pieces of every size: each time @a events, and the frames @a wanted. */
static inline void jbd_check(const GByteArray *bytes, const char *events, const GByteArray *wanted)
{
    for (guint i = 0; i < G_N_ELEMENTS(jbd_pieces); i++) {
        g_autoptr(JbdEar) ear = jbd_ear_new();
        jbd_ear_hear_pieces(ear, bytes, jbd_pieces[i]);
        g_assert_cmpstr(ear->events->str, ==, events);
        jbd_assert_frames(ear, wanted);
    }
}

static inline void jbd_check_hex(const char *hex, const char *events, const char *wanted_hex)
{
    g_autoptr(GByteArray) bytes = jbd_bytes(hex);
    g_autoptr(GByteArray) wanted = jbd_bytes(wanted_hex);
    jbd_check(bytes, events, wanted);
}

/** Like jbd_check_hex(), with @a before and @a behind around a sound frame. */
static inline void jbd_check_around(const char *before, const char *frame, const char *behind,
                                    const char *events)
{
    g_autofree char *hex = g_strconcat(before, frame, behind, NULL);
    jbd_check_hex(hex, events, frame);
}

/** Whether a reassembler that has heard this waits for the rest of a frame. */
static inline bool jbd_is_partial_after(const char *hex)
{
    g_autoptr(JbdEar) ear = jbd_ear_new();
    g_autoptr(GByteArray) bytes = jbd_bytes(hex);
    jbd_ear_hear_pieces(ear, bytes, bytes->len);
    return jbd_reassembler_is_partial(&ear->reassembler);
}

/** A good answer of @a reg. */
static inline GByteArray *jbd_frame_of(uint8_t reg, const uint8_t *payload, size_t size)
{
    GByteArray *bytes = g_byte_array_new();
    jbd_append_frame(bytes, reg, 0, payload, size);
    return bytes;
}

#endif
