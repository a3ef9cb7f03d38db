/* SPDX-License-Identifier: MIT */
/*
 * The names of bits, counters and errors, as they appear in labels. Dashboards depend on them: add
 * to the tables, but do not rename.
 */
#include "jbd.h"

#include <assert.h>

static const char *const error_names[JBD_N_ERRORS] = {
    [JBD_OK] = "ok",
    [JBD_ERROR_CHECKSUM] = "checksum",
    [JBD_ERROR_LENGTH] = "length",
    [JBD_ERROR_ECHO] = "echo",
    [JBD_ERROR_STATUS] = "status",
    [JBD_ERROR_REGISTER] = "register",
    [JBD_ERROR_SANITY] = "sanity",
};

/* Bit 13 is the vendor's word; another source takes it for a charge time-out. */
static const char *const protection_names[JBD_N_PROTECTIONS] = {
    [0] = "cell_overvoltage",
    [1] = "cell_undervoltage",
    [2] = "pack_overvoltage",
    [3] = "pack_undervoltage",
    [4] = "charge_overtemperature",
    [5] = "charge_undertemperature",
    [6] = "discharge_overtemperature",
    [7] = "discharge_undertemperature",
    [8] = "charge_overcurrent",
    [9] = "discharge_overcurrent",
    [10] = "short_circuit",
    [11] = "frontend_ic_error",
    [12] = "mos_software_lock",
    [13] = "charge_mos_breakdown",
    [14] = "discharge_mos_breakdown",
    [15] = "reserved_15",
};

/* Bits 2 to 6 of the FET byte. The document does not say how heating and heating on differ. */
static const char *const function_names[JBD_N_FUNCTIONS] = {
    [0] = "current_limiting", /* also called pre-discharge */
    [1] = "heating",          [2] = "heating_on", [3] = "forced_discharge", [4] = "factory_mode",
};

/* Not the same as the protections: bits 10 and 11 differ, and some modules always set bit 15. */
static const char *const alarm_names[JBD_N_PROTECTIONS] = {
    [0] = "cell_high",
    [1] = "cell_low",
    [2] = "pack_high",
    [3] = "pack_low",
    [4] = "charge_temperature_high",
    [5] = "charge_temperature_low",
    [6] = "discharge_temperature_high",
    [7] = "discharge_temperature_low",
    [8] = "charge_overcurrent",
    [9] = "discharge_overcurrent",
    [10] = "cell_difference",
    [11] = "low_capacity",
    [12] = "reserved_12",
    [13] = "reserved_13",
    [14] = "reserved_14",
    [15] = "reserved_15",
};

/* In the order of register 0xAA, which is not that of the protection bits. */
static const char *const counter_names[JBD_N_COUNTERS] = {
    [0] = "short_circuit",
    [1] = "charge_overcurrent",
    [2] = "discharge_overcurrent",
    [3] = "cell_overvoltage",
    [4] = "cell_undervoltage",
    [5] = "charge_overtemperature",
    [6] = "charge_undertemperature",
    [7] = "discharge_overtemperature",
    [8] = "discharge_undertemperature",
    [9] = "pack_overvoltage",
    [10] = "pack_undervoltage",
    [11] = "restarts",
};

static const char *const field_names[JBD_N_FIELDS] = {
    [JBD_FIELD_SOC] = "state_of_charge",
    [JBD_FIELD_TEMPERATURE] = "temperature",
    [JBD_FIELD_CELL] = "cell_voltage",
    [JBD_FIELD_TAIL] = "tail",
};

const char *jbd_field_name(JbdField field)
{
    assert(field < JBD_N_FIELDS);
    return field_names[field];
}

const char *jbd_error_name(JbdError error)
{
    assert(error < JBD_N_ERRORS);
    return error_names[error];
}

const char *jbd_protection_name(unsigned bit)
{
    assert(bit < JBD_N_PROTECTIONS);
    return protection_names[bit];
}

const char *jbd_function_name(unsigned index)
{
    assert(index < JBD_N_FUNCTIONS);
    return function_names[index];
}

const char *jbd_alarm_name(unsigned bit)
{
    assert(bit < JBD_N_PROTECTIONS);
    return alarm_names[bit];
}

const char *jbd_counter_name(unsigned index)
{
    assert(index < JBD_N_COUNTERS);
    return counter_names[index];
}
