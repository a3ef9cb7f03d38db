/* SPDX-License-Identifier: MIT */
/* What the fuzz targets share. */
#ifndef BMS_FUZZ_H
#define BMS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert(), for the checks must not go away with NDEBUG. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/** An input that is read from its front. Behind its end everything is 0. */
typedef struct {
    const uint8_t *data;
    size_t size;
} Script;

static inline uint8_t script_byte(Script *script)
{
    if (script->size == 0)
        return 0;
    script->size--;
    return *script->data++;
}

/** @return as many of @a size bytes as are left, and how many these are in @a size */
static inline const uint8_t *script_bytes(Script *script, size_t *size)
{
    const uint8_t *bytes = script->data;

    if (*size > script->size)
        *size = script->size;
    script->data += *size;
    script->size -= *size;
    return bytes;
}

/**
 * Bytes of the sound frame at the start of @a bytes, 0 if there is none. Written apart from
 * src/jbd/frame.c, so that a mistake in one shows against the other.
 */
static inline size_t sound_frame(const uint8_t *bytes, size_t size)
{
    if (size < 7 || bytes[0] != 0xDD)
        return 0;
    const size_t total = bytes[3] + (size_t)7;
    if (size < total || bytes[total - 1] != 0x77)
        return 0;
    const bool is_listed = bytes[2] == 0 || (bytes[2] >= 0x80 && bytes[2] <= 0x83);
    if (!is_listed && (bytes[2] < 0x80 || bytes[3] != 0))
        return 0;
    if (bytes[1] == 0xA5 && bytes[2] == 0xAA && bytes[3] == 0)
        return 0; /* our request for the counters; those for other registers have no such status */

    /* With the checksum added, the sum is zero. */
    uint16_t sum = (uint16_t)(bytes[total - 3] << 8 | bytes[total - 2]);
    for (size_t i = 2; i < total - 3; i++)
        sum = (uint16_t)(sum + bytes[i]);
    return sum == 0 ? total : 0;
}

/** Writes a frame around @a size ≤ 255 bytes, and returns its size. */
static inline size_t make_frame(uint8_t reg, uint8_t status, const uint8_t *payload, size_t size,
                                uint8_t *frame)
{
    uint16_t check = (uint16_t)(0 - size - status);

    frame[0] = 0xDD;
    frame[1] = reg;
    frame[2] = status;
    frame[3] = (uint8_t)size;
    for (size_t i = 0; i < size; i++) {
        frame[4 + i] = payload[i];
        check = (uint16_t)(check - payload[i]);
    }
    frame[4 + size] = (uint8_t)(check >> 8);
    frame[5 + size] = (uint8_t)(check & 0xFF);
    frame[6 + size] = 0x77;
    return size + 7;
}

#endif
