/* SPDX-License-Identifier: MIT */
/* What the board measures and reports, and what follows from it. */
#include "metrics.h"

#include "text/number.h"

/* ---- derived ------------------------------------------------------------------------------- */

enum { SECONDS_PER_HOUR = 3600 };

/** Seconds in which @a ma move @a mah, both positive, to the nearest. */
static int64_t seconds_to_move(int64_t mah, int64_t ma)
{
    return (mah * SECONDS_PER_HOUR + ma / 2) / ma;
}

int64_t jbd_seconds_to_full(const JbdBasic *basic)
{
    const int64_t missing_mah = (int64_t)jbd_full_mah(basic) - basic->remaining_mah;

    if (basic->current_ma <= 0 || missing_mah <= 0)
        return -1;
    return seconds_to_move(missing_mah, basic->current_ma);
}

int64_t jbd_seconds_to_empty(const JbdBasic *basic)
{
    if (basic->current_ma >= 0 || basic->remaining_mah == 0)
        return -1;
    return seconds_to_move(basic->remaining_mah, -(int64_t)basic->current_ma);
}

void jbd_format_date(char text[JBD_DATE_SIZE], unsigned year, unsigned month, unsigned day)
{
    text[0] = '\0';
    if (year > 0)
        g_snprintf(text, JBD_DATE_SIZE, "%04u-%02u-%02u", year, month, day);
}

void jbd_format_version(char text[JBD_VERSION_SIZE], unsigned version)
{
    g_snprintf(text, JBD_VERSION_SIZE, "%u.%u", version >> 4, version & 0x0F);
}

/* ---- pack ---------------------------------------------------------------------------------- */

static void pack_voltage(Sink *sink, const Device *device)
{
    sink_decimal(sink, NO_LABEL, jbd_state(device)->basic.pack_mv, 3);
}

static void pack_current(Sink *sink, const Device *device)
{
    sink_decimal(sink, NO_LABEL, jbd_state(device)->basic.current_ma, 3);
}

static void pack_power(Sink *sink, const Device *device)
{
    sink_real(sink, NO_LABEL, jbd_power(&jbd_state(device)->basic));
}

static void state_of_charge(Sink *sink, const Device *device)
{
    const uint8_t percent = jbd_state(device)->basic.soc_percent;

    if (jbd_soc_is_possible(percent))
        sink_decimal(sink, NO_LABEL, MIN(percent, 100), 2);
}

static void remaining_capacity(Sink *sink, const Device *device)
{
    sink_decimal(sink, NO_LABEL, jbd_state(device)->basic.remaining_mah, 3);
}

static void nominal_capacity(Sink *sink, const Device *device)
{
    sink_decimal(sink, NO_LABEL, jbd_state(device)->basic.nominal_mah, 3);
}

static void charge_cycles(Sink *sink, const Device *device)
{
    sink_integer(sink, NO_LABEL, jbd_state(device)->basic.cycles);
}

static void time_to_full(Sink *sink, const Device *device)
{
    const int64_t seconds = jbd_seconds_to_full(&jbd_state(device)->basic);
    if (seconds >= 0)
        sink_integer(sink, NO_LABEL, seconds);
}

static void time_to_empty(Sink *sink, const Device *device)
{
    const int64_t seconds = jbd_seconds_to_empty(&jbd_state(device)->basic);
    if (seconds >= 0)
        sink_integer(sink, NO_LABEL, seconds);
}

/* ---- cells and sensors --------------------------------------------------------------------- */

/** Numbers in labels count from 1. */
static void format_ordinal(char text[NUMBER_SIZE], unsigned index)
{
    number_format_unsigned(text, index + 1);
}

static void cell_voltage(Sink *sink, const Device *device)
{
    for (unsigned i = 0; i < jbd_state(device)->cells.count; i++) {
        char cell[NUMBER_SIZE];

        format_ordinal(cell, i);
        if (jbd_cell_is_possible(jbd_state(device)->cells.mv[i]))
            sink_decimal(sink, LABEL("cell", cell), jbd_state(device)->cells.mv[i], 3);
    }
}

static void cell_balancing(Sink *sink, const Device *device)
{
    for (unsigned i = 0; i < jbd_state(device)->cells.count; i++) {
        char cell[NUMBER_SIZE];

        format_ordinal(cell, i);
        sink_integer(sink, LABEL("cell", cell), jbd_state(device)->basic.balancing >> i & 1);
    }
}

static void temperature(Sink *sink, const Device *device)
{
    for (unsigned i = 0; i < jbd_state(device)->basic.sensor_count; i++) {
        char sensor[NUMBER_SIZE];

        format_ordinal(sensor, i);
        if (jbd_temperature_is_possible(jbd_state(device)->basic.temperature_dc[i]))
            sink_decimal(sink, LABEL("sensor", sensor), jbd_state(device)->basic.temperature_dc[i],
                         1);
    }
}

/* ---- protection ---------------------------------------------------------------------------- */

static void protection_active(Sink *sink, const Device *device)
{
    for (unsigned i = 0; i < JBD_N_PROTECTIONS; i++)
        sink_integer(sink, LABEL("protection", jbd_protection_name(i)),
                     jbd_state(device)->basic.protection >> i & 1);
}

static void fet_enabled(Sink *sink, const Device *device)
{
    sink_integer(sink, LABEL("fet", "charge"),
                 (jbd_state(device)->basic.fet & JBD_FET_CHARGE) != 0);
    sink_integer(sink, LABEL("fet", "discharge"),
                 (jbd_state(device)->basic.fet & JBD_FET_DISCHARGE) != 0);
}

/** Absent on boards that do not have them, and from then on there once the board has shown that. */
static void function_active(Sink *sink, const Device *device)
{
    for (unsigned i = 0; jbd_state(device)->has_functions && i < JBD_N_FUNCTIONS; i++)
        sink_integer(sink, LABEL("function", jbd_function_name(i)),
                     jbd_state(device)->basic.fet >> (JBD_FET_FIRST_FUNCTION + i) & 1);
}

/* ---- tail of newer firmware ---------------------------------------------------------------- */

static void full_charge_capacity(Sink *sink, const Device *device)
{
    if (jbd_state(device)->basic.has_tail)
        sink_decimal(sink, NO_LABEL, jbd_state(device)->basic.tail.full_charge_mah, 3);
}

static void alarm_active(Sink *sink, const Device *device)
{
    for (unsigned i = 0; jbd_state(device)->basic.has_tail && i < JBD_N_PROTECTIONS; i++)
        sink_integer(sink, LABEL("alarm", jbd_alarm_name(i)),
                     jbd_state(device)->basic.tail.alarms >> i & 1);
}

static void humidity(Sink *sink, const Device *device)
{
    if (jbd_state(device)->basic.has_tail)
        sink_decimal(sink, NO_LABEL, jbd_state(device)->basic.tail.humidity_percent, 2);
}

static void balance_current(Sink *sink, const Device *device)
{
    if (jbd_state(device)->basic.has_tail)
        sink_decimal(sink, NO_LABEL, jbd_state(device)->basic.tail.balance_current_ma, 3);
}

/* ---- the table ----------------------------------------------------------------------------- */

#define READING(name_, unit_, emit_, help_)                                                        \
    {                                                                                              \
        .name = (name_), .type = FAMILY_GAUGE, .unit = (unit_), .when = FAMILY_WHILE_FRESH,        \
        .emit = (emit_), .help = (help_)                                                           \
    }

static const Family families[] = {
    READING("bms_pack_voltage_volts", "volts", pack_voltage,
            "Voltage of the whole pack as the board measures it."),
    READING("bms_pack_current_amperes", "amperes", pack_current,
            "Current, positive while charging."),
    READING("bms_pack_power_watts", "watts", pack_power,
            "Pack voltage times current, positive while charging."),
    READING("bms_state_of_charge_ratio", "ratio", state_of_charge,
            "State of charge as the board reports it, 0 to 1."),
    READING("bms_remaining_capacity_amperehours", "amperehours", remaining_capacity,
            "Charge that is left."),
    READING("bms_nominal_capacity_amperehours", "amperehours", nominal_capacity,
            "Capacity that the board was set up with."),
    READING("bms_full_charge_capacity_amperehours", "amperehours", full_charge_capacity,
            "Capacity that the board has learnt; newer firmware only."),
    READING("bms_time_to_full_seconds", "seconds", time_to_full,
            "Time until full at the present current, while charging."),
    READING("bms_time_to_empty_seconds", "seconds", time_to_empty,
            "Time until empty at the present current, while discharging."),
    READING("bms_cell_voltage_volts", "volts", cell_voltage, "Voltage of a cell."),
    READING("bms_cell_balancing", NULL, cell_balancing,
            "Whether a cell is being balanced (1) or not (0)."),
    READING("bms_balance_current_amperes", "amperes", balance_current,
            "Balancing current; newer firmware only."),
    READING("bms_temperature_celsius", "celsius", temperature,
            "Temperature at a sensor; one that is not plugged in reads -30."),
    READING("bms_humidity_ratio", "ratio", humidity,
            "Relative humidity, 0 to 1; newer firmware only."),
    READING("bms_protection_active", NULL, protection_active,
            "Whether a protection has tripped and holds (1) or not (0)."),
    READING("bms_alarm_active", NULL, alarm_active,
            "Whether the board warns of a condition (1) or not (0); newer firmware only."),
    READING("bms_fet_enabled", NULL, fet_enabled,
            "Whether a FET lets current through (1) or blocks it (0)."),
    READING("bms_function_active", NULL, function_active,
            "Whether a function of the board is active (1) or not (0), such as heating; newer "
            "firmware only."),
    /* A counter, so like all counters it stays when the readings are old. */
    {
        .name = "bms_charge_cycles",
        .type = FAMILY_COUNTER,
        .when = FAMILY_ONCE_READ,
        .emit = charge_cycles,
        .help = "Charge cycles that the board has counted, as of the latest readings.",
    },
};

const FamilyTable jbd_reading_families = {families, G_N_ELEMENTS(families)};
