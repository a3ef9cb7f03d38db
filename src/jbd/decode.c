/* SPDX-License-Identifier: MIT */
/*
 * Payloads to readings.
 *
 * A decoder is strict about what the vendor's document says for certain and deaf to everything
 * else: what firmwares and clones append must not cost the reading of the part that is known.
 */
#include "jbd.h"

#include "shape.h"
#include "wire.h"

#include <string.h>

/** Whether the frame is an answer to @a read, and a good one whose length fits. */
static JbdError check(const JbdFrame *frame, JbdRead read)
{
    if (frame->reg != jbd_register(read))
        return JBD_ERROR_REGISTER;
    if (frame->status != 0)
        return JBD_ERROR_STATUS;
    return shape_of(frame).misfit == SHAPE_FITS ? JBD_OK : JBD_ERROR_SANITY;
}

/* ---- 0x03 ---------------------------------------------------------------------------------- */

/*
 *   0 u16 pack voltage, 10 mV             12 u16 balancing, cells 1-16    20 u8  FETs and mode
 *   2 s16 current, 10 mA, + is charging   14 u16 balancing, cells 17-32   21 u8  number of cells
 *   4 u16 remaining capacity, 10 mAh      16 u16 protection               22 u8  number of sensors
 *   6 u16 nominal capacity, 10 mAh        18 u8  software version         23 u16 each, 0.1 K
 *   8 u16 cycles                          19 u8  state of charge, %        … tail, or whatever
 *  10 u16 production date
 */
enum {
    BASIC_VOLTAGE = 0,
    BASIC_CURRENT = 2,
    BASIC_REMAINING = 4,
    BASIC_NOMINAL = 6,
    BASIC_CYCLES = 8,
    BASIC_DATE = 10,
    BASIC_BALANCING_1_16 = 12,
    BASIC_BALANCING_17_32 = 14,
    BASIC_PROTECTION = 16,
    BASIC_VERSION = 18,
    BASIC_SOC = 19,
    BASIC_FET = 20,
    BASIC_CELLS = 21,
    BASIC_SENSORS = 22,
    BASIC_TEMPERATURES = 23,
};

/*
 *   0 u8  humidity, %        3 u16 full-charge capacity   7 u16 balance current, mA
 *   1 u16 alarms             5 u16 remaining capacity     9 active balancer, version, status bits
 *
 * The last column comes with 16 bytes only. Sources disagree about it, so it is not read.
 */
enum {
    TAIL_HUMIDITY = 0,
    TAIL_ALARMS = 1,
    TAIL_FULL_CHARGE = 3,
    TAIL_REMAINING = 5,
    TAIL_BALANCE_CURRENT = 7,
    TAIL_SIZE = 9,
    TAIL_SIZE_LONG = 16,
};

/* mA, mAh or mV to one count on the wire. */
enum {
    UNIT = 10,
    UNIT_TENFOLD = 100,
};

enum {
    ZERO_CELSIUS_DK = 2731,
    FIRST_YEAR = 2000,
};

_Static_assert((int)BASIC_TEMPERATURES == (int)JBD_BASIC_SIZE, "the fixed part");

static bool is_date(unsigned year, unsigned month, unsigned day)
{
    static const uint8_t days[12] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    if (month < 1 || month > 12 || day < 1 || day > days[month - 1])
        return false;
    /* Every fourth year of the 128 that fit is a leap year, except one. */
    return month != 2 || day < 29 || (year % 4 == 0 && year != 2100);
}

/** Day in bits 0-4, month in 5-8, years since 2000 above. Clones send 0, some send nonsense. */
static void decode_date(uint16_t date, JbdBasic *out)
{
    const unsigned year = FIRST_YEAR + (date >> 9);
    const unsigned month = (date >> 5) & 0x0F;
    const unsigned day = date & 0x1F;

    if (!is_date(year, month, day))
        return;
    out->production_year = (uint16_t)year;
    out->production_month = (uint8_t)month;
    out->production_day = (uint8_t)day;
}

static uint32_t distance(uint32_t a, uint32_t b)
{
    return a > b ? a - b : b - a;
}

/** mA or mAh to one count of the fixed part's current and capacities. */
static uint32_t basic_unit(uint8_t fet)
{
    return fet & JBD_FET_TENFOLD ? UNIT_TENFOLD : UNIT;
}

/**
 * Whether @a remaining_mah can be the remaining capacity that the fixed part tells: within 1 % of
 * it, or within one of its units, which are more than 1 % when little is left.
 */
static bool agrees(const JbdBasic *basic, uint32_t remaining_mah)
{
    const uint32_t off = distance(remaining_mah, basic->remaining_mah);
    return off <= basic_unit(basic->fet) || off * 100 <= basic->remaining_mah;
}

/**
 * The unit of the tail's capacities. No document says whether they follow JBD_FET_TENFOLD, so the
 * one is taken in which the tail's remaining capacity is that of the fixed part. With a battery all
 * but empty both are; then the full-charge capacity has to be the one near the nominal one.
 */
static uint32_t tail_unit(const uint8_t *tail, const JbdBasic *basic)
{
    if (!(basic->fet & JBD_FET_TENFOLD))
        return UNIT;

    const uint32_t remaining = wire_u16(tail + TAIL_REMAINING);
    const uint32_t full = wire_u16(tail + TAIL_FULL_CHARGE);
    if (!agrees(basic, remaining * UNIT_TENFOLD))
        return UNIT;
    if (!agrees(basic, remaining * UNIT))
        return UNIT_TENFOLD;
    const uint32_t off = distance(full * UNIT, basic->nominal_mah);
    const uint32_t off_tenfold = distance(full * UNIT_TENFOLD, basic->nominal_mah);
    return off < off_tenfold ? UNIT : UNIT_TENFOLD;
}

/**
 * Reads the tail, if it is one. Clones append other things, temperatures that their own count does
 * not include for example, so it has to have a known size and to repeat the remaining capacity.
 */
static void decode_tail(const uint8_t *tail, size_t size, JbdBasic *out)
{
    if (size != TAIL_SIZE && size != TAIL_SIZE_LONG)
        return;

    const uint32_t unit = tail_unit(tail, out);
    out->tail_refused =
        tail[TAIL_HUMIDITY] > 100 || !agrees(out, wire_u16(tail + TAIL_REMAINING) * unit);
    if (out->tail_refused)
        return;

    out->has_tail = true;
    out->tail = (JbdTail){
        .humidity_percent = tail[TAIL_HUMIDITY],
        .alarms = wire_u16(tail + TAIL_ALARMS),
        .full_charge_mah = wire_u16(tail + TAIL_FULL_CHARGE) * unit,
        /*
         * The document calls it unsigned. But no board balances with more than 32 A, while a
         * measured current around zero does come out slightly negative, and −3 mA must not be
         * shown as 65 A.
         */
        .balance_current_ma = wire_s16(tail + TAIL_BALANCE_CURRENT),
    };
}

/**
 * Whether this frame shows that the board reports JBD_FET_FUNCTIONS. The document that describes
 * them describes the tail as well; boards of earlier ones always send 0 there. A clone whose frame
 * goes on with something else has something else in these bits, too: one was seen with "heating" at
 * 21 °C.
 */
static bool shows_functions(const JbdBasic *basic, size_t size_after)
{
    return basic->has_tail || (size_after == 0 && (basic->fet & JBD_FET_FUNCTIONS) != 0);
}

JbdError jbd_decode_basic(const JbdFrame *frame, JbdBasic *out)
{
    const JbdError error = check(frame, JBD_BASIC);
    if (error != JBD_OK)
        return error;

    const uint8_t *data = frame->data;
    const uint8_t sensors = data[BASIC_SENSORS];
    const size_t fixed = BASIC_TEMPERATURES + (size_t)sensors * 2;
    const uint8_t fet = data[BASIC_FET];
    const uint32_t unit = basic_unit(fet);
    *out = (JbdBasic){
        .pack_mv = (uint32_t)wire_u16(data + BASIC_VOLTAGE) * UNIT,
        .current_ma = wire_s16(data + BASIC_CURRENT) * (int32_t)unit,
        .remaining_mah = wire_u16(data + BASIC_REMAINING) * unit,
        .nominal_mah = wire_u16(data + BASIC_NOMINAL) * unit,
        .cycles = wire_u16(data + BASIC_CYCLES),
        /* Two words, the lower cells first: read as one u32 every bit would be in a wrong cell. */
        .balancing = wire_u16(data + BASIC_BALANCING_1_16) |
                     (uint32_t)wire_u16(data + BASIC_BALANCING_17_32) << 16,
        .protection = wire_u16(data + BASIC_PROTECTION),
        .version = data[BASIC_VERSION],
        .soc_percent = data[BASIC_SOC],
        .fet = fet,
        .cell_count = data[BASIC_CELLS],
        .sensor_count = sensors,
    };
    decode_date(wire_u16(data + BASIC_DATE), out);
    for (unsigned i = 0; i < sensors; i++)
        out->temperature_dc[i] =
            (int32_t)wire_u16(data + BASIC_TEMPERATURES + (size_t)i * 2) - ZERO_CELSIUS_DK;
    decode_tail(data + fixed, frame->size - fixed, out);
    out->has_functions = shows_functions(out, frame->size - fixed);
    return JBD_OK;
}

/* ---- 0x04 ---------------------------------------------------------------------------------- */

/** A cell of 0 mV in a sound frame is a reading: a broken sense wire must not be hidden. */
JbdError jbd_decode_cells(const JbdFrame *frame, JbdCells *out)
{
    const JbdError error = check(frame, JBD_CELLS);
    if (error != JBD_OK)
        return error;

    *out = (JbdCells){.count = frame->size / 2};
    for (unsigned i = 0; i < out->count; i++)
        out->mv[i] = wire_u16(frame->data + (size_t)i * 2);
    return JBD_OK;
}

uint32_t jbd_cells_sum_mv(const JbdCells *cells)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < cells->count; i++)
        sum += cells->mv[i];
    return sum;
}

/* ---- 0x05 ---------------------------------------------------------------------------------- */

JbdError jbd_decode_model(const JbdFrame *frame, JbdModel *out)
{
    const JbdError error = check(frame, JBD_MODEL);
    if (error != JBD_OK)
        return error;

    *out = (JbdModel){0};
    memcpy(out->text, frame->data, shape_text_size(frame));
    return JBD_OK;
}

/* ---- 0xAA ---------------------------------------------------------------------------------- */

/** Firmware has appended a twelfth counter before; if more come, the first twelve still hold. */
JbdError jbd_decode_counters(const JbdFrame *frame, JbdCounters *out)
{
    const JbdError error = check(frame, JBD_COUNTERS);
    if (error != JBD_OK)
        return error;

    const unsigned sent = frame->size / 2;
    *out = (JbdCounters){.count = (uint8_t)(sent < JBD_N_COUNTERS ? sent : JBD_N_COUNTERS)};
    for (unsigned i = 0; i < out->count; i++)
        out->value[i] = wire_u16(frame->data + (size_t)i * 2);
    return JBD_OK;
}
