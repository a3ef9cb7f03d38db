/* SPDX-License-Identifier: MIT */
/*
 * No byte marks the start of a frame, so every position is judged on its own merits:
 *
 *   - three bytes that are exactly how the answer must begin (unit, function, length) are taken for
 *     its beginning. It is waited for as long as it lacks bytes, and nothing inside it is looked
 * at;
 *   - any other frame (another unit, length or function, an echo of the request) counts only when
 * it is complete and its CRC is right. It is reported, so that a person can be told what is on the
 *     line, and skipped as a whole;
 *   - of an answer whose CRC is wrong only the first byte goes, for the real one may begin in it.
 */
#include "modbus.h"

#include <assert.h>
#include <string.h>

enum {
    AT_FUNCTION = 1,
    AT_LENGTH = 2,
    AT_CODE = 2,
    AT_DATA = 3,
    CRC_SIZE = 2,
    EXCEPTION_SIZE = 5,
    WRITE_SIZE = 8, /* a request, or the acknowledgement of a write */
    READ = 0x03,
    EXCEPTION = 0x80,
};

/* What begins at a position, as far as the bytes tell. */
typedef enum {
    START_NOTHING,
    START_MAYBE,   /* some frame that lacks bytes */
    START_PARTIAL, /* the answer, which lacks bytes */
    START_ANSWER,
    START_EXCEPTION,
    START_BAD_CRC, /* the answer, damaged */
    START_LENGTH,
    START_UNIT,
    START_FUNCTION,
    START_ECHO,
} Start;

uint16_t modbus_crc(const uint8_t *bytes, size_t size)
{
    /* A nibble at a time: polynomial 0xA001, reflected. */
    static const uint16_t table[16] = {
        0x0000, 0xCC01, 0xD801, 0x1400, 0xF001, 0x3C00, 0x2800, 0xE401,
        0xA001, 0x6C00, 0x7800, 0xB401, 0x5000, 0x9C01, 0x8801, 0x4400,
    };
    uint16_t crc = 0xFFFF;

    for (size_t i = 0; i < size; i++) {
        crc = (uint16_t)(crc >> 4 ^ table[(crc ^ bytes[i]) & 0x0F]);
        crc = (uint16_t)(crc >> 4 ^ table[(crc ^ bytes[i] >> 4) & 0x0F]);
    }
    return crc;
}

/* Whether the last two of @a size bytes are the CRC of the others. */
static bool is_sound(const uint8_t *frame, size_t size)
{
    const uint8_t *crc = frame + size - CRC_SIZE;

    return modbus_crc(frame, size - CRC_SIZE) == (uint16_t)(crc[0] | crc[1] << 8);
}

void modbus_request(const ModbusRead *read, uint8_t bytes[MODBUS_REQUEST_SIZE])
{
    assert(read->unit != 0 && read->count > 0 && read->count <= MODBUS_MAX_REGISTERS);
    bytes[0] = read->unit;
    bytes[1] = READ;
    bytes[2] = (uint8_t)(read->start >> 8);
    bytes[3] = (uint8_t)read->start;
    bytes[4] = (uint8_t)(read->count >> 8);
    bytes[5] = (uint8_t)read->count;

    const uint16_t crc = modbus_crc(bytes, MODBUS_REQUEST_SIZE - CRC_SIZE);

    bytes[6] = (uint8_t)crc;
    bytes[7] = (uint8_t)(crc >> 8);
}

void modbus_expect(ModbusReader *reader, const ModbusRead *read)
{
    reader->asked = *read;
    reader->length = 0;
    reader->consumed = 0;
}

static void drop_consumed(ModbusReader *reader)
{
    reader->length -= reader->consumed;
    if (reader->consumed > 0 && reader->length > 0)
        memmove(reader->buffer, reader->buffer + reader->consumed, reader->length);
    reader->consumed = 0;
}

size_t modbus_put(ModbusReader *reader, const uint8_t *data, size_t size)
{
    const size_t room = sizeof reader->buffer - reader->length;
    const size_t taken = size < room ? size : room;

    if (taken > 0)
        memcpy(reader->buffer + reader->length, data, taken);
    reader->length += taken;
    return taken;
}

/* ---- judging --------------------------------------------------------------------------------- */

/* Asked as 255, a device answers as 255 or with its own number. */
static bool is_unit(const ModbusRead *asked, uint8_t unit)
{
    return unit == asked->unit || (asked->unit == MODBUS_ANY_UNIT && unit != 0);
}

static bool is_echo(const ModbusRead *asked, const uint8_t *start, size_t available)
{
    uint8_t request[MODBUS_REQUEST_SIZE];

    modbus_request(asked, request);
    return available >= sizeof request && memcmp(start, request, sizeof request) == 0;
}

static Start judge_answer(const uint8_t *start, size_t available, size_t size)
{
    if (available < size)
        return START_PARTIAL;
    return is_sound(start, size) ? START_ANSWER : START_BAD_CRC;
}

/* Bytes of the frame with this header, or 0 if there is no such frame. */
static size_t frame_size(const uint8_t *start)
{
    const uint8_t function = start[AT_FUNCTION];

    if (function == READ)
        return MODBUS_OVERHEAD + (size_t)start[AT_LENGTH];
    if (function == 0x06 || function == 0x10)
        return WRITE_SIZE;
    return function > EXCEPTION ? EXCEPTION_SIZE : 0;
}

static Start judge_other(const ModbusRead *asked, const uint8_t *start, size_t available)
{
    const size_t size = frame_size(start);

    if (size == 0)
        return START_NOTHING;
    if (available < size)
        return START_MAYBE;
    if (!is_sound(start, size))
        return START_NOTHING;
    if (!is_unit(asked, start[0]))
        return START_UNIT;
    if (start[AT_FUNCTION] == READ)
        return START_LENGTH;
    return start[AT_FUNCTION] == (READ | EXCEPTION) ? START_EXCEPTION : START_FUNCTION;
}

static Start judge(const ModbusRead *asked, const uint8_t *start, size_t available)
{
    const size_t size = MODBUS_OVERHEAD + 2 * (size_t)asked->count;

    if (available <= AT_LENGTH)
        return START_MAYBE;
    if (is_echo(asked, start, available))
        return START_ECHO;
    if (is_unit(asked, start[0]) && start[AT_FUNCTION] == READ &&
        start[AT_LENGTH] == 2 * asked->count)
        return judge_answer(start, available, size);
    return judge_other(asked, start, available);
}

/* ---- finding --------------------------------------------------------------------------------- */

static ModbusEvent yield_answer(ModbusReader *reader, size_t at, ModbusAnswer *answer)
{
    const uint8_t *start = reader->buffer + at;

    *answer = (ModbusAnswer){.unit = start[0], .data = start + AT_DATA};
    reader->consumed = at + MODBUS_OVERHEAD + 2 * (size_t)reader->asked.count;
    return MODBUS_ANSWER;
}

static ModbusEvent yield_exception(ModbusReader *reader, size_t at, ModbusAnswer *answer)
{
    const uint8_t *start = reader->buffer + at;

    *answer = (ModbusAnswer){.unit = start[0], .code = start[AT_CODE]};
    reader->consumed = at + EXCEPTION_SIZE;
    return MODBUS_EXCEPTION;
}

static ModbusEvent refuse(ModbusReader *reader, size_t consumed, ModbusError why,
                          ModbusError *error)
{
    reader->consumed = consumed;
    *error = why;
    return MODBUS_REFUSED;
}

ModbusEvent modbus_next(ModbusReader *reader, ModbusAnswer *answer, ModbusError *error)
{
    size_t waiting = SIZE_MAX; /* the first start that lacks bytes */

    drop_consumed(reader);
    for (size_t at = 0; at < reader->length; at++) {
        const uint8_t *start = reader->buffer + at;
        const Start what = judge(&reader->asked, start, reader->length - at);

        switch (what) {
        case START_NOTHING:
            break;
        case START_MAYBE:
            waiting = at < waiting ? at : waiting;
            break;
        case START_PARTIAL:
            reader->consumed = at;
            drop_consumed(reader);
            return MODBUS_NEED_MORE;
        case START_ANSWER:
            return yield_answer(reader, at, answer);
        case START_EXCEPTION:
            return yield_exception(reader, at, answer);
        case START_BAD_CRC:
            return refuse(reader, at + 1, MODBUS_ERROR_CRC, error);
        case START_LENGTH:
            return refuse(reader, at + frame_size(start), MODBUS_ERROR_LENGTH, error);
        case START_UNIT:
            return refuse(reader, at + frame_size(start), MODBUS_ERROR_UNIT, error);
        case START_FUNCTION:
            return refuse(reader, at + frame_size(start), MODBUS_ERROR_FUNCTION, error);
        case START_ECHO:
            return refuse(reader, at + MODBUS_REQUEST_SIZE, MODBUS_ERROR_ECHO, error);
        }
    }
    reader->consumed = waiting < reader->length ? waiting : reader->length;
    drop_consumed(reader);
    return MODBUS_NEED_MORE;
}

bool modbus_is_partial(const ModbusReader *reader)
{
    for (size_t at = reader->consumed; at < reader->length; at++)
        if (judge(&reader->asked, reader->buffer + at, reader->length - at) == START_PARTIAL)
            return true;
    return false;
}
