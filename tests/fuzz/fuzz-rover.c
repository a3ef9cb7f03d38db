/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target for src/rover: answers among any bytes, cut in any way, and what their registers
 * hold.
 *
 *     input    unit (1)  start (2)  count − 1 (1)  bytes
 *
 * The bytes come at once and one by one. What comes out as an answer is one, by a CRC of this
 * file's own, and there is always room for more.
 */
#include "fuzz.h"
#include "rover/modbus.h"
#include "rover/rover.h"

#include <string.h>

enum { MAX_BYTES = 4096, MAX_ANSWERS = 64 };

typedef struct {
    unsigned n;
    struct {
        uint8_t unit, code;
        uint8_t data[2 * MODBUS_MAX_REGISTERS];
    } answers[MAX_ANSWERS];
} Heard;

/* Bit by bit, unlike the one under test. */
static uint16_t crc_of(const uint8_t *bytes, size_t size)
{
    uint16_t crc = 0xFFFF;

    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 1 ? crc >> 1 ^ 0xA001 : crc >> 1);
    }
    return crc;
}

static void check_answer(const ModbusRead *read, ModbusEvent event, const ModbusAnswer *answer)
{
    const size_t size = event == MODBUS_ANSWER ? 3 + 2 * (size_t)read->count : 3;
    const uint8_t *frame = event == MODBUS_ANSWER ? answer->data - 3 : NULL;

    CHECK(answer->unit != 0 || read->unit == 0);
    CHECK(answer->unit == read->unit || read->unit == MODBUS_ANY_UNIT);
    if (frame) {
        CHECK(frame[0] == answer->unit && frame[1] == 3 && frame[2] == 2 * read->count);
        CHECK(crc_of(frame, size) == (frame[size] | frame[size + 1] << 8));
    }
}

static void hear(Heard *heard, const ModbusRead *read, ModbusReader *reader)
{
    ModbusAnswer answer;
    ModbusError error;
    ModbusEvent event;

    while ((event = modbus_next(reader, &answer, &error)) != MODBUS_NEED_MORE) {
        if (event == MODBUS_REFUSED) {
            CHECK(error > MODBUS_OK && error < MODBUS_N_ERRORS);
            continue;
        }
        check_answer(read, event, &answer);
        if (heard->n >= MAX_ANSWERS)
            continue;
        heard->answers[heard->n].unit = answer.unit;
        heard->answers[heard->n].code = answer.code;
        if (event == MODBUS_ANSWER)
            memcpy(heard->answers[heard->n].data, answer.data, 2 * (size_t)read->count);
        heard->n++;
    }
}

static void feed(Heard *heard, const ModbusRead *read, const uint8_t *bytes, size_t size,
                 size_t piece)
{
    ModbusReader reader;

    modbus_expect(&reader, read);
    while (size > 0) {
        const size_t wanted = piece < size ? piece : size;
        const size_t taken = modbus_put(&reader, bytes, wanted);

        CHECK(taken > 0 && taken <= wanted);
        bytes += taken;
        size -= taken;
        hear(heard, read, &reader);
        (void)modbus_is_partial(&reader);
    }
}

static void check_readings(const ModbusRead *read, const Heard *heard)
{
    static RoverReadings readings;

    memset(&readings, 0, sizeof readings);
    for (unsigned i = 0; i < heard->n; i++) {
        const int left_out =
            rover_decode(read->start, heard->answers[i].data, read->count, &readings);

        CHECK(left_out >= -1 && left_out <= ROVER_N_VALUES);
        CHECK(strlen(readings.model) <= ROVER_MODEL_SIZE);
        CHECK(!rover_knows(&readings, ROVER_STATE_OF_CHARGE) ||
              readings.value[ROVER_STATE_OF_CHARGE] <= 100);
        (void)rover_faults_layout(&readings);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Heard whole, single;
    Script script = {data, size};
    const uint8_t unit = script_byte(&script);
    const uint16_t start = (uint16_t)(script_byte(&script) << 8 | script_byte(&script));
    const ModbusRead read = {
        .unit = unit ? unit : 1,
        .start = start,
        .count = (uint16_t)(script_byte(&script) % MODBUS_MAX_REGISTERS + 1),
    };

    if (script.size > MAX_BYTES)
        return 0;
    memset(&whole, 0, sizeof whole);
    memset(&single, 0, sizeof single);
    feed(&whole, &read, script.data, script.size, SIZE_MAX);
    feed(&single, &read, script.data, script.size, 1);
    check_readings(&read, &whole);
    check_readings(&read, &single);
    return 0;
}
