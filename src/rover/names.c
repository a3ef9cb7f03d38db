/* SPDX-License-Identifier: MIT */
/*
 * The names of states, types and faults, as they appear in labels, and what a model is. Dashboards
 * depend on the names: add to the tables, but do not rename.
 */
#include "rover.h"

#include <string.h>

const char *rover_state_name(int64_t state)
{
    static const char *const names[ROVER_N_STATES] = {
        [0] = "deactivated",      [1] = "activated",  [2] = "mppt",
        [3] = "equalizing",       [4] = "boost",      [5] = "floating",
        [6] = "current_limiting", [8] = "alternator", /* DC-DC chargers only */
    };

    return state >= 0 && state < ROVER_N_STATES ? names[state] : NULL;
}

const char *rover_battery_type_name(int64_t type)
{
    /* 5 is lithium of 36 V on a Rover Boost and a user's own settings on a Rover. */
    static const char *const names[] = {"user", "open", "sealed", "gel", "lithium", "user"};
    const int64_t n = sizeof names / sizeof names[0];

    return type >= 0 && type < n ? names[type] : NULL;
}

/* ---- models ---------------------------------------------------------------------------------- */

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

RoverKind rover_kind(const char *model)
{
    /* The first that fits. */
    static const struct {
        const char *prefix;
        const char *within; /* and this somewhere behind it, or NULL */
        RoverKind kind;
    } models[] = {
        {"RNG-CTRL-", NULL, ROVER_KIND_ROVER}, {"RCC", "RVRE", ROVER_KIND_ROVER},
        {"ML", NULL, ROVER_KIND_SRNE},         {"DCC", NULL, ROVER_KIND_DCDC},
        {"RNG-DCC", NULL, ROVER_KIND_DCDC},    {"RBC", "D", ROVER_KIND_DCDC},
        {"RBT", NULL, ROVER_KIND_OTHER},       {"RIV", NULL, ROVER_KIND_OTHER},
        {"RNG", "BAT", ROVER_KIND_OTHER},
    };

    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++)
        if (starts_with(model, models[i].prefix) &&
            (!models[i].within || strstr(model + strlen(models[i].prefix), models[i].within)))
            return models[i].kind;
    return ROVER_KIND_UNKNOWN;
}

/* ---- faults ---------------------------------------------------------------------------------- */

enum { N_BITS = 16 };

/* No capture has a fault set: this is what documents say, and where they disagree, most of them. */
static const char *const rover_0121[N_BITS] = {
    "battery_overdischarge",    "battery_overvoltage",
    "battery_undervoltage",     "load_short_circuit",
    "load_overpower",           "controller_overtemperature",
    "ambient_overtemperature",  "panel_overpower",
    "panel_short_circuit",      "panel_overvoltage",
    "panel_reverse_current",    "panel_working_point_overvoltage",
    "panel_reversed",           "anti_reverse_mos_short_circuit",
    "charge_mos_short_circuit", "fan",
};

static const char *const srne_0122[N_BITS] = {
    [0] = "battery_overdischarge",  [1] = "battery_overvoltage",
    [2] = "battery_undervoltage",   [3] = "load_short_circuit",
    [4] = "load_overpower",         [5] = "controller_overtemperature",
    [6] = "charge_overtemperature", [7] = "panel_overpower",
    [9] = "panel_overvoltage",      [11] = "panel_working_point_overvoltage",
    [12] = "panel_reversed",
};

/* Bit 6 tells battery from mains and is no fault. */
static const char *const srne_0121[N_BITS] = {
    [7] = "battery_missing",
    [8] = "discharge_overtemperature",
    [9] = "discharge_undertemperature",
    [10] = "overcharge_protection",
    [11] = "charge_undertemperature",
    [12] = "battery_reversed",
    [13] = "capacitor_overvoltage",
    [14] = "temperature_probe",
    [15] = "load_open_circuit",
};

static const char *const dcdc_0121[N_BITS] = {
    [4] = "controller_overtemperature_2", [5] = "alternator_overcurrent",
    [8] = "alternator_overvoltage",       [9] = "starter_reversed",
    [10] = "overcharge_protection",       [11] = "charge_undertemperature",
};

static const char *const dcdc_0122[N_BITS] = {
    [0] = "battery_overdischarge",
    [1] = "battery_overvoltage",
    [2] = "battery_undervoltage",
    [5] = "controller_overtemperature",
    [6] = "battery_overtemperature",
    [7] = "panel_overcurrent",
    [8] = "fan",
    [9] = "panel_overvoltage",
    [12] = "panel_reversed",
};

static const char *const rover_0122[N_BITS] = {NULL};

static const char *const *const layouts[][2] = {
    [ROVER_FAULTS_OF_ROVER] = {rover_0122, rover_0121},
    [ROVER_FAULTS_OF_SRNE] = {srne_0122, srne_0121},
    [ROVER_FAULTS_OF_DCDC] = {dcdc_0122, dcdc_0121},
};

const char *rover_fault_name(RoverFaults layout, bool high, unsigned bit)
{
    return bit < N_BITS ? layouts[layout][high ? 1 : 0][bit] : NULL;
}

RoverFaults rover_faults_layout(const RoverReadings *readings)
{
    switch (rover_kind(readings->model)) {
    case ROVER_KIND_DCDC:
        return ROVER_FAULTS_OF_DCDC;
    case ROVER_KIND_SRNE:
        return ROVER_FAULTS_OF_SRNE;
    case ROVER_KIND_UNKNOWN:
    case ROVER_KIND_ROVER:
    case ROVER_KIND_OTHER:
        break;
    }
    /* Rovers leave the second word empty; whoever fills it in speaks SRNE's language. */
    return rover_knows(readings, ROVER_FAULTS_LOW) && readings->value[ROVER_FAULTS_LOW] != 0
               ? ROVER_FAULTS_OF_SRNE
               : ROVER_FAULTS_OF_ROVER;
}
