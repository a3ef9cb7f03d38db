/* SPDX-License-Identifier: MIT */
/* What the files of this folder share: the bytes that mark a frame, and big-endian integers. */
#ifndef BMS_JBD_WIRE_H
#define BMS_JBD_WIRE_H

#include <stddef.h>
#include <stdint.h>

enum {
    WIRE_START = 0xDD,
    WIRE_READ = 0xA5, /**< second byte of a request that reads; responses have the register there */
    WIRE_END = 0x77,
    WIRE_STEP_START = 0xFF, /**< of the password handshake */
    WIRE_STEP_SECOND = 0xAA,
};

static inline uint16_t wire_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static inline int16_t wire_s16(const uint8_t *bytes)
{
    return (int16_t)wire_u16(bytes);
}

/** The sum that ends a frame of the password handshake, over command, length and data. */
static inline uint8_t wire_step_sum(const uint8_t *bytes, size_t size)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + bytes[i]);
    return sum;
}

#endif
