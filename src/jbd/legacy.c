/* SPDX-License-Identifier: MIT */
/*
 * The names and values of bms-shed, the Python program whose place this one takes. Dashboards use
 * them, so each value is computed here in the very way it was computed there, rounding included.
 * What cannot be is left out here too, with all that is made of it: that program would have shown
 * it.
 */
#include "metrics.h"

/** Python's round(): to the nearest decimal of the exact binary value. */
static double round_to(double value, unsigned decimals)
{
    char format[] = "%.0f";
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    format[2] = (char)('0' + decimals);
    g_ascii_formatd(text, sizeof text, format, value);
    return g_ascii_strtod(text, NULL) + 0.0; /* and no −0 */
}

/** Summed up in volts and in order: another way could differ in the last bit, and so round. */
static double sum_of_cells(const JbdCells *cells)
{
    double sum = 0;

    for (unsigned i = 0; i < cells->count; i++)
        sum += cells->mv[i] / 1000.0;
    return sum;
}

static double rounded_power(const Device *device)
{
    return round_to(sum_of_cells(&jbd_state(device)->cells) *
                        (jbd_state(device)->basic.current_ma / 1000.0),
                    1);
}

static void last_update(Sink *sink, const Device *device)
{
    sink_moment(sink, NO_LABEL, device->read_at_us);
}

static void ah_percent(Sink *sink, const Device *device)
{
    const double remaining = jbd_state(device)->basic.remaining_mah / 1000.0;
    const double full = jbd_state(device)->basic.nominal_mah / 1000.0;

    if (full > 0)
        sink_real(sink, NO_LABEL, round_to(remaining / full * 100, 2));
}

static void ah_remaining(Sink *sink, const Device *device)
{
    sink_decimal(sink, NO_LABEL, jbd_state(device)->basic.remaining_mah, 3);
}

static void ah_full(Sink *sink, const Device *device)
{
    sink_decimal(sink, NO_LABEL, jbd_state(device)->basic.nominal_mah, 3);
}

static void voltage(Sink *sink, const Device *device)
{
    if (!jbd_cells_are_possible(&jbd_state(device)->cells))
        return;
    sink_real(sink, NO_LABEL, sum_of_cells(&jbd_state(device)->cells));
}

static void current(Sink *sink, const Device *device)
{
    sink_decimal(sink, NO_LABEL, jbd_state(device)->basic.current_ma, 3);
}

static void power(Sink *sink, const Device *device)
{
    if (!jbd_cells_are_possible(&jbd_state(device)->cells))
        return;
    sink_real(sink, NO_LABEL, rounded_power(device));
}

static void temperature(Sink *sink, const Device *device)
{
    const unsigned sensor = sink->family->index;

    if (sensor < jbd_state(device)->basic.sensor_count &&
        jbd_temperature_is_possible(jbd_state(device)->basic.temperature_dc[sensor]))
        sink_decimal(sink, NO_LABEL, jbd_state(device)->basic.temperature_dc[sensor], 1);
}

static void cycles(Sink *sink, const Device *device)
{
    sink_integer(sink, NO_LABEL, jbd_state(device)->basic.cycles);
}

static void mode(Sink *sink, const Device *device)
{
    if (!jbd_cells_are_possible(&jbd_state(device)->cells))
        return;
    const gboolean charging = rounded_power(device) >= 0;

    sink_integer(sink, LABEL("bms_mode", "discharging"), !charging);
    sink_integer(sink, LABEL("bms_mode", "charging"), charging);
}

static void time_left(Sink *sink, const Device *device)
{
    const int64_t to_full = jbd_seconds_to_full(&jbd_state(device)->basic);
    const int64_t to_empty = jbd_seconds_to_empty(&jbd_state(device)->basic);

    if (to_full >= 0)
        sink_integer(sink, LABEL("mode", "charging"), to_full);
    if (to_empty >= 0)
        sink_integer(sink, LABEL("mode", "discharging"), to_empty);
}

static void cell_voltage(Sink *sink, const Device *device)
{
    const unsigned cell = sink->family->index;

    if (cell < jbd_state(device)->cells.count &&
        jbd_cell_is_possible(jbd_state(device)->cells.mv[cell]))
        sink_decimal(sink, NO_LABEL, jbd_state(device)->cells.mv[cell], 3);
}

static void balance_status(Sink *sink, const Device *device)
{
    const unsigned n = MAX(8, jbd_state(device)->cells.count); /* it always had eight */

    for (unsigned i = 0; i < n; i++) {
        char cell[sizeof "celbals[4294967295]"];

        g_snprintf(cell, sizeof cell, "celbals[%u]", i + 1);
        sink_integer(sink, LABEL("cell", cell), jbd_state(device)->basic.balancing >> i & 1);
    }
}

static void state(Sink *sink, const Device *device)
{
    /* Bits 0 to 12 of the protection word, in that program's spelling. */
    static const char *const names[] = {
        "Cell_Block_Over_Vol",      "Cell_Block_Under_Vol",   "Battery_Over_Vol",
        "Battery_Under_Vol",        "Charging_Over_Temp",     "Charging_Under_Temp",
        "Discharging_Over_Temp",    "Discharging_Under_Temp", "Charging_Over_Current",
        "Discharging_Over_Current", "Short_Circuit",          "Fore-end_IC_Error",
        "MOS_Software_Lock-in",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        sink_integer(sink, LABEL("state", names[i]), jbd_state(device)->basic.protection >> i & 1);
}

static void fet_status(Sink *sink, const Device *device)
{
    const uint8_t fet = jbd_state(device)->basic.fet;

    sink_integer(sink, LABEL("fetst", "FET_charging"), (fet & JBD_FET_CHARGE) != 0);
    sink_integer(sink, LABEL("fetst", "FET_discharging"), (fet & JBD_FET_DISCHARGE) != 0);
}

#define READING(name_, type_, emit_, help_)                                                        \
    {                                                                                              \
        .name = (name_), .type = (type_), .when = FAMILY_WHILE_FRESH, .emit = (emit_),             \
        .help = (help_)                                                                            \
    }
#define SENSOR(name_, index_, help_)                                                               \
    {                                                                                              \
        .name = (name_), .type = FAMILY_GAUGE, .when = FAMILY_WHILE_FRESH, .emit = temperature,    \
        .index = (index_), .help = (help_)                                                         \
    }
/* The number stands in the name, so each cell is a family. */
#define CELL(tens, ones)                                                                           \
    {                                                                                              \
        .name = "bms_voltage" #tens #ones, .type = FAMILY_GAUGE, .when = FAMILY_WHILE_FRESH,       \
        .emit = cell_voltage, .index = (tens)*10 + (ones)-1,                                       \
        .help = "Voltage of cell " #tens #ones " in V."                                            \
    }

static const Family families[] = {
    {
        .name = "bms_last_update",
        .type = FAMILY_GAUGE,
        .when = FAMILY_ONCE_READ,
        .emit = last_update,
        .help = "Unix time of the latest complete poll in s.",
    },
    READING("bms_ah_percent", FAMILY_GAUGE, ah_percent, "Remaining of nominal capacity in %."),
    READING("bms_ah_remaining", FAMILY_GAUGE, ah_remaining, "Charge that is left in Ah."),
    READING("bms_ah_full", FAMILY_GAUGE, ah_full, "Nominal capacity in Ah."),
    READING("bms_voltage", FAMILY_GAUGE, voltage, "Sum of the cell voltages in V."),
    READING("bms_current", FAMILY_GAUGE, current, "Current in A, positive while charging."),
    READING("bms_power", FAMILY_GAUGE, power,
            "Sum of the cell voltages times current in W, positive while charging."),
    SENSOR("bms_temperature", 0, "Temperature at the first sensor in degrees Celsius."),
    SENSOR("bms_temperature2", 1, "Temperature at the second sensor in degrees Celsius."),
    READING("bms_cycles", FAMILY_GAUGE, cycles, "Charge cycles."),
    READING("bms_mode", FAMILY_STATESET, mode,
            "Whether the battery is charging (power is 0 or more) or discharging."),
    READING("bms_time_left", FAMILY_GAUGE, time_left,
            "Time until full or empty in s, while a current flows that way."),
    CELL(0, 1),
    CELL(0, 2),
    CELL(0, 3),
    CELL(0, 4),
    CELL(0, 5),
    CELL(0, 6),
    CELL(0, 7),
    CELL(0, 8),
    CELL(0, 9),
    CELL(1, 0),
    CELL(1, 1),
    CELL(1, 2),
    CELL(1, 3),
    CELL(1, 4),
    CELL(1, 5),
    CELL(1, 6),
    CELL(1, 7),
    CELL(1, 8),
    CELL(1, 9),
    CELL(2, 0),
    CELL(2, 1),
    CELL(2, 2),
    CELL(2, 3),
    CELL(2, 4),
    CELL(2, 5),
    CELL(2, 6),
    CELL(2, 7),
    CELL(2, 8),
    CELL(2, 9),
    CELL(3, 0),
    CELL(3, 1),
    CELL(3, 2),
    READING("bms_balance_status", FAMILY_GAUGE, balance_status,
            "Whether a cell is being balanced (1) or not (0)."),
    READING("bms_state", FAMILY_GAUGE, state,
            "Whether a protection has tripped and holds (1) or not (0)."),
    READING("bms_fetst", FAMILY_GAUGE, fet_status,
            "Whether a FET lets current through (1) or blocks it (0)."),
};

const FamilyTable jbd_legacy_families = {families, G_N_ELEMENTS(families)};
