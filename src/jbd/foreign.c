/* SPDX-License-Identifier: MIT */
/*
 * How boards of other makes begin what they say, so that a person who has given a wrong address is
 * told what is there. The services FF00 and FFF0 are a serial line to many of them.
 *
 * The beginnings are those that the drivers of aiobmsble expect, and the captured exchanges of
 * esphome-jbd-bms for JBD's own UP series. Where two bytes alone would say too little, a check sum
 * has to be right.
 */
#include "jbd.h"

#include "wire.h"

#include <string.h>

/* JBD's UP series: address, function, first and last register, length of the data, … CRC-16. */
enum {
    UP_HEADER_SIZE = 8,
    UP_FIRST_REGISTER = 2,
    UP_LENGTH = 6,
    UP_READ = 0x78,
    UP_MAX_DATA = 512,
};

/* Modbus: address, function, length of the data, … CRC-16, low byte first. */
enum {
    MODBUS_HEADER_SIZE = 3,
    MODBUS_CRC_SIZE = 2,
    MODBUS_FUNCTION = 1,
    MODBUS_LENGTH = 2,
};

/* Daly's older frames: thirteen bytes, the last one the sum of the others. */
enum { DALY_SIZE = 13, DALY_DATA_SIZE = 8, DALY_LENGTH = 3 };

static const struct {
    uint8_t size;
    uint8_t head[4];
    const char *make;
} heads[] = {
    {2, {0xD2, 0x03}, "Daly boards"},
    {4, {0x55, 0xAA, 0xEB, 0x90}, "JK boards"},
    {4, {0xAA, 0x55, 0x90, 0xEB}, "JK boards"},
    {4, {0x55, 0xAA, 0x11, 0x01}, "Neey boards"},
    {2, {0x4E, 0x57}, "JK boards"},
    {2, {0x7E, 0xA1}, "ANT boards"},
    {4, {0xAA, 0x55, 0xAA, 0xFF}, "ANT boards"},
    {3, {0x7E, 0x14, 0x00}, "Seplos boards"},
    {3, {0x7E, 0x00, 0x01}, "TDT boards"},
    {4, {0x9A, 0x00, 0x00, 0x00}, "Pace boards"},
};

static uint16_t crc16(const uint8_t *bytes, size_t size)
{
    uint16_t crc = 0xFFFF;

    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 1 ? (crc >> 1) ^ 0xA001 : crc >> 1);
    }
    return crc;
}

/* Only the first notification is looked at, and it is shorter than such an answer. */
static bool is_up_series(const uint8_t *bytes, size_t size)
{
    if (size < UP_HEADER_SIZE || bytes[0] == 0 || bytes[1] != UP_READ)
        return false;
    return wire_u16(bytes + UP_FIRST_REGISTER) <= wire_u16(bytes + UP_FIRST_REGISTER + 2) &&
           wire_u16(bytes + UP_LENGTH) <= UP_MAX_DATA;
}

/* A short answer or an error, whole in one notification. */
static bool is_modbus(const uint8_t *bytes, size_t size)
{
    if (size < MODBUS_HEADER_SIZE + MODBUS_CRC_SIZE)
        return false;

    const bool is_error = (bytes[MODBUS_FUNCTION] & 0x80) != 0;
    const uint8_t function = bytes[MODBUS_FUNCTION] & 0x7F;
    const size_t data = is_error ? MODBUS_HEADER_SIZE : MODBUS_HEADER_SIZE + bytes[MODBUS_LENGTH];

    if ((function != 0x03 && function != 0x04) || data + MODBUS_CRC_SIZE != size)
        return false;
    return crc16(bytes, data) == (uint16_t)(bytes[data] | bytes[data + 1] << 8);
}

static bool is_old_daly(const uint8_t *bytes, size_t size)
{
    return size >= DALY_SIZE && bytes[0] == 0xA5 && bytes[DALY_LENGTH] == DALY_DATA_SIZE &&
           wire_step_sum(bytes, DALY_SIZE - 1) == bytes[DALY_SIZE - 1];
}

const char *jbd_foreign_make(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        if (size >= heads[i].size && memcmp(bytes, heads[i].head, heads[i].size) == 0)
            return heads[i].make;
    if (is_old_daly(bytes, size))
        return "Daly boards";
    if (is_up_series(bytes, size))
        return "JBD's UP series";
    return is_modbus(bytes, size) ? "Modbus" : NULL;
}
