/* SPDX-License-Identifier: MIT */
/* Registers to values: a table of where each lies, in what shape, and what cannot be right. */
#include "modbus.h"
#include "rover.h"

#include <stdio.h>
#include <string.h>

/* How a value lies in its register. */
typedef enum {
    WORD,
    LONG,        /* two registers, the high word first */
    HIGH,        /* the high byte */
    LOW,         /* the low byte */
    SIGNED_HIGH, /* a byte of sign and magnitude: 0x81 is −1, 0x80 is 0 */
    SIGNED_LOW,
    LOAD_BIT,   /* bit 15 */
    LOAD_LEVEL, /* bits 8 to 14 */
} Shape;

enum {
    LIVE = 0x0100, /* the first live register: state of charge */
    MODEL = 0x000C,
    MODEL_REGISTERS = 8,
    SOFTWARE = 0x0014,
    HARDWARE = 0x0016,
    SERIAL = 0x0018,
    NOTHING = 0xFFFF, /* a register that holds nothing */
};

/* The highest of these that can be right; 0 where the shape alone limits it. */
enum { MAX_PERCENT = 100, MAX_BATTERY_DV = 1500, MAX_PANEL_DV = 5000 };

static const struct {
    uint16_t reg;
    Shape shape;
    bool ffff; /* FFFF is a value */
    int64_t max;
} values[ROVER_N_VALUES] = {
    [ROVER_STATE_OF_CHARGE] = {0x0100, LOW, false, MAX_PERCENT},
    [ROVER_BATTERY_VOLTAGE] = {0x0101, WORD, false, MAX_BATTERY_DV},
    [ROVER_CHARGE_CURRENT] = {0x0102, WORD, false, 0},
    [ROVER_CONTROLLER_TEMPERATURE] = {0x0103, SIGNED_HIGH, false, 0},
    [ROVER_BATTERY_TEMPERATURE] = {0x0103, SIGNED_LOW, false, 0},
    [ROVER_LOAD_VOLTAGE] = {0x0104, WORD, false, MAX_BATTERY_DV},
    [ROVER_LOAD_CURRENT] = {0x0105, WORD, false, 0},
    [ROVER_LOAD_POWER] = {0x0106, WORD, false, 0},
    [ROVER_PANEL_VOLTAGE] = {0x0107, WORD, false, MAX_PANEL_DV},
    [ROVER_PANEL_CURRENT] = {0x0108, WORD, false, 0},
    [ROVER_CHARGE_POWER] = {0x0109, WORD, false, 0},
    [ROVER_DAY_BATTERY_MIN] = {0x010B, WORD, false, MAX_BATTERY_DV},
    [ROVER_DAY_BATTERY_MAX] = {0x010C, WORD, false, MAX_BATTERY_DV},
    [ROVER_DAY_CHARGE_CURRENT_MAX] = {0x010D, WORD, false, 0},
    [ROVER_DAY_DISCHARGE_CURRENT_MAX] = {0x010E, WORD, false, 0},
    [ROVER_DAY_CHARGE_POWER_MAX] = {0x010F, WORD, false, 0},
    [ROVER_DAY_DISCHARGE_POWER_MAX] = {0x0110, WORD, false, 0},
    [ROVER_DAY_CHARGE] = {0x0111, WORD, false, 0},
    [ROVER_DAY_DISCHARGE] = {0x0112, WORD, false, 0},
    [ROVER_DAY_GENERATION] = {0x0113, WORD, false, 0},
    [ROVER_DAY_CONSUMPTION] = {0x0114, WORD, false, 0},
    [ROVER_OPERATING_DAYS] = {0x0115, WORD, false, 0},
    [ROVER_OVER_DISCHARGES] = {0x0116, WORD, false, 0},
    [ROVER_FULL_CHARGES] = {0x0117, WORD, false, 0},
    [ROVER_TOTAL_CHARGE] = {0x0118, LONG, false, 0},
    [ROVER_TOTAL_DISCHARGE] = {0x011A, LONG, false, 0},
    [ROVER_TOTAL_GENERATION] = {0x011C, LONG, false, 0},
    [ROVER_TOTAL_CONSUMPTION] = {0x011E, LONG, false, 0},
    [ROVER_CHARGING_STATE] = {0x0120, LOW, false, 0},
    [ROVER_LOAD_ON] = {0x0120, LOAD_BIT, false, 0},
    [ROVER_LOAD_BRIGHTNESS] = {0x0120, LOAD_LEVEL, false, MAX_PERCENT},
    [ROVER_FAULTS_HIGH] = {0x0121, WORD, true, 0},
    [ROVER_FAULTS_LOW] = {0x0122, WORD, true, 0},
    [ROVER_MAX_SYSTEM_VOLTAGE] = {0x000A, HIGH, false, 0},
    [ROVER_RATED_CHARGE_CURRENT] = {0x000A, LOW, false, 0},
    [ROVER_RATED_LOAD_CURRENT] = {0x000B, HIGH, false, 0},
    [ROVER_UNIT] = {0x001A, LOW, false, 0},
    [ROVER_SYSTEM_VOLTAGE] = {0xE003, LOW, false, 0},
    [ROVER_BATTERY_TYPE] = {0xE004, LOW, false, 0},
};

static int64_t sign_and_magnitude(unsigned byte)
{
    return byte < 0x80 ? (int64_t)byte : -(int64_t)(byte - 0x80);
}

/* @return whether there is anything in the register */
static bool take_shape(Shape shape, const uint8_t *data, int64_t *value)
{
    const unsigned word = modbus_register(data, 0);

    switch (shape) {
    case WORD:
        *value = word;
        return true;
    case LONG:
        *value = (int64_t)word << 16 | modbus_register(data, 1);
        return *value != UINT32_MAX;
    case HIGH:
        *value = word >> 8;
        return true;
    case LOW:
        *value = word & 0xFF;
        return true;
    case SIGNED_HIGH:
        *value = sign_and_magnitude(word >> 8);
        return word >> 8 != 0xFF;
    case SIGNED_LOW:
        *value = sign_and_magnitude(word & 0xFF);
        return (word & 0xFF) != 0xFF;
    case LOAD_BIT:
        *value = word >> 15;
        return true;
    case LOAD_LEVEL:
        *value = word >> 8 & 0x7F;
        return true;
    }
    return false;
}

/* @return whether it can be right */
static bool take_value(RoverValue which, const uint8_t *data, int64_t *value)
{
    const Shape shape = values[which].shape;
    const bool filled = take_shape(shape, data, value);

    if (shape != LONG && modbus_register(data, 0) == NOTHING && !values[which].ffff)
        return false;
    return filled && (values[which].max == 0 || *value <= values[which].max);
}

/* ---- texts ----------------------------------------------------------------------------------- */

/* Padded before and after with blanks or zeroes. */
static void take_model(const uint8_t *data, RoverReadings *readings)
{
    size_t begin = 0, end = ROVER_MODEL_SIZE;

    while (begin < end && (data[begin] == ' ' || data[begin] == '\0'))
        begin++;
    while (end > begin && (data[end - 1] == ' ' || data[end - 1] == '\0' || data[end - 1] == 0xFF))
        end--;
    memset(readings->model, 0, sizeof readings->model);
    memcpy(readings->model, data + begin, end - begin);
}

/* "00 major minor patch"; all 0 on those that do not tell. */
static void take_version(const uint8_t *data, char text[ROVER_VERSION_SIZE])
{
    text[0] = '\0';
    if (data[1] || data[2] || data[3])
        (void)snprintf(text, ROVER_VERSION_SIZE, "%u.%u.%u", data[1], data[2], data[3]);
}

static void take_serial(const uint8_t *data, RoverReadings *readings)
{
    readings->serial[0] = '\0';
    if (data[0] || data[1] || data[2] || data[3])
        (void)snprintf(readings->serial, sizeof readings->serial, "%02x%02x%02x%02x", data[0],
                       data[1], data[2], data[3]);
}

/* ---- a block --------------------------------------------------------------------------------- */

/* Where @a registers from @a reg on lie in the block, or NULL if they are not in it as a whole. */
static const uint8_t *find(uint16_t reg, unsigned registers, uint16_t start, const uint8_t *data,
                           size_t count)
{
    if (reg < start || (size_t)(reg - start) + registers > count)
        return NULL;
    return data + 2 * (size_t)(reg - start);
}

static void take_texts(uint16_t start, const uint8_t *data, size_t count, RoverReadings *readings)
{
    const uint8_t *model = find(MODEL, MODEL_REGISTERS, start, data, count);
    const uint8_t *software = find(SOFTWARE, 2, start, data, count);
    const uint8_t *hardware = find(HARDWARE, 2, start, data, count);
    const uint8_t *serial = find(SERIAL, 2, start, data, count);

    if (model)
        take_model(model, readings);
    if (software)
        take_version(software, readings->software);
    if (hardware)
        take_version(hardware, readings->hardware);
    if (serial)
        take_serial(serial, readings);
}

/* A controller whose first live registers hold nothing has not measured anything. */
static bool is_empty(uint16_t start, const uint8_t *data, size_t count)
{
    const uint8_t *live = find(LIVE, 2, start, data, count);

    return live && modbus_register(live, 0) == NOTHING && modbus_register(live, 1) == NOTHING;
}

int rover_decode(uint16_t start, const uint8_t *data, size_t count, RoverReadings *readings)
{
    int left_out = 0;

    if (is_empty(start, data, count))
        return -1;
    for (int which = 0; which < ROVER_N_VALUES; which++) {
        const unsigned registers = values[which].shape == LONG ? 2 : 1;
        const uint8_t *at = find(values[which].reg, registers, start, data, count);
        const uint64_t bit = UINT64_C(1) << which;

        if (!at)
            continue;
        if (take_value((RoverValue)which, at, &readings->value[which])) {
            readings->known |= bit;
        } else {
            readings->known &= ~bit;
            left_out++;
        }
    }
    take_texts(start, data, count, readings);
    return left_out;
}
