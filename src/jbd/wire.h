/* SPDX-License-Identifier: MIT */
/* What the files of this folder share: the bytes that mark a frame, and big-endian integers. */
#ifndef BMS_JBD_WIRE_H
#define BMS_JBD_WIRE_H

#include <stdint.h>

enum {
    WIRE_START = 0xDD,
    WIRE_READ = 0xA5, /**< second byte of a request that reads; responses have the register there */
    WIRE_END = 0x77,
};

static inline uint16_t wire_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static inline int16_t wire_s16(const uint8_t *bytes)
{
    return (int16_t)wire_u16(bytes);
}

#endif
