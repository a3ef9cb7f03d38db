/* SPDX-License-Identifier: MIT */
/*
 * The solar charge controllers of Renogy and SRNE: what their registers mean. Only computes.
 *
 * Sources: the vendors' documents "ROVER MODBUS", "Controller RS485 MODBUS V1.7", "SRNE-MODBUS
 * V3.9" and the sheet of the DCC chargers; captured answers. Where documents disagree, captures
 * decide.
 */
#ifndef BMS_ROVER_H
#define BMS_ROVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What is read of a controller. Each is an integer in the finest unit that it sends. */
typedef enum {
    /* live */
    ROVER_STATE_OF_CHARGE,        /**< % */
    ROVER_BATTERY_VOLTAGE,        /**< 0.1 V */
    ROVER_CHARGE_CURRENT,         /**< 0.01 A, into the battery, never negative */
    ROVER_CONTROLLER_TEMPERATURE, /**< °C */
    ROVER_BATTERY_TEMPERATURE,    /**< °C; 25 or −37 without a probe */
    ROVER_LOAD_VOLTAGE,           /**< 0.1 V; of DC-DC chargers: alternator, as the next two */
    ROVER_LOAD_CURRENT,           /**< 0.01 A */
    ROVER_LOAD_POWER,             /**< W */
    ROVER_PANEL_VOLTAGE,          /**< 0.1 V */
    ROVER_PANEL_CURRENT,          /**< 0.01 A */
    ROVER_CHARGE_POWER,           /**< W; of the panel or into the battery, by model */
    ROVER_CHARGING_STATE,         /**< see rover_state_name() */
    ROVER_LOAD_ON,                /**< 0 or 1 */
    ROVER_LOAD_BRIGHTNESS,        /**< % */
    /* since the morning, when the controller wakes */
    ROVER_DAY_BATTERY_MIN,           /**< 0.1 V */
    ROVER_DAY_BATTERY_MAX,           /**< 0.1 V */
    ROVER_DAY_CHARGE_CURRENT_MAX,    /**< 0.01 A */
    ROVER_DAY_DISCHARGE_CURRENT_MAX, /**< 0.01 A */
    ROVER_DAY_CHARGE_POWER_MAX,      /**< W */
    ROVER_DAY_DISCHARGE_POWER_MAX,   /**< W */
    ROVER_DAY_CHARGE,                /**< Ah */
    ROVER_DAY_DISCHARGE,             /**< Ah */
    ROVER_DAY_GENERATION,            /**< Wh */
    ROVER_DAY_CONSUMPTION,           /**< Wh */
    /* ever */
    ROVER_OPERATING_DAYS,
    ROVER_OVER_DISCHARGES,
    ROVER_FULL_CHARGES,
    ROVER_TOTAL_CHARGE,      /**< Ah */
    ROVER_TOTAL_DISCHARGE,   /**< Ah */
    ROVER_TOTAL_GENERATION,  /**< Wh */
    ROVER_TOTAL_CONSUMPTION, /**< Wh */
    /* faults, raw: see rover_fault_name() */
    ROVER_FAULTS_HIGH, /**< word 0121 */
    ROVER_FAULTS_LOW,  /**< word 0122, which blocks of fewer than 35 registers lack */
    /* what it is */
    ROVER_MAX_SYSTEM_VOLTAGE,   /**< V; 255 automatic */
    ROVER_RATED_CHARGE_CURRENT, /**< A */
    ROVER_RATED_LOAD_CURRENT,   /**< A */
    ROVER_UNIT,                 /**< its number on the line */
    ROVER_SYSTEM_VOLTAGE,       /**< V, as it has recognised it */
    ROVER_BATTERY_TYPE,         /**< see rover_battery_type_name() */
    ROVER_N_VALUES
} RoverValue;

_Static_assert(ROVER_N_VALUES <= 64, "RoverReadings has a bit for each");

enum { ROVER_MODEL_SIZE = 16, ROVER_VERSION_SIZE = sizeof "255.255.255" };

/** All that is known of a controller. */
typedef struct {
    uint64_t known; /**< bits 1 << RoverValue that were read and can be right */
    int64_t value[ROVER_N_VALUES];
    char model[ROVER_MODEL_SIZE + 1]; /**< bytes as sent, trimmed; "" if it is not known */
    char software[ROVER_VERSION_SIZE];
    char hardware[ROVER_VERSION_SIZE];
    char serial[sizeof "ffffffff"];
} RoverReadings;

static inline bool rover_knows(const RoverReadings *readings, RoverValue value)
{
    return (readings->known >> value & 1) != 0;
}

/**
 * Takes the registers from @a start on; what lies in them as a whole is decoded into @a readings,
 * the rest stays as it was. A value that cannot be right is left out.
 * @return how many were left out, or −1 if the controller says nothing at all (the first live
 * registers read FFFF); then @a readings is as it was
 */
int rover_decode(uint16_t start, const uint8_t *data, size_t count, RoverReadings *readings);

/** What kind of device the text of register 000C names. */
typedef enum {
    ROVER_KIND_UNKNOWN, /**< treated as a Rover */
    ROVER_KIND_ROVER,   /**< Rover, Wanderer, Adventurer, Elite, Boost */
    ROVER_KIND_SRNE,    /**< ML and rebrands */
    ROVER_KIND_DCDC,    /**< DC-DC charger: alternator instead of load */
    ROVER_KIND_OTHER,   /**< no charge controller: a battery, an inverter */
} RoverKind;

RoverKind rover_kind(const char *model);

/** Name of a charging state for labels ("mppt"), or NULL for a number that is not defined. */
const char *rover_state_name(int64_t state);
enum { ROVER_N_STATES = 9 }; /**< numbers below this may have a name */

/** Name of a battery type ("lithium"), or NULL. */
const char *rover_battery_type_name(int64_t type);

/** Which bit means what differs by make. */
typedef enum { ROVER_FAULTS_OF_ROVER, ROVER_FAULTS_OF_SRNE, ROVER_FAULTS_OF_DCDC } RoverFaults;

/** The layout to read the fault words by. */
RoverFaults rover_faults_layout(const RoverReadings *readings);

/** Name of the fault @a bit of word 0121 (@a high) or 0122 ("battery_overdischarge"), or NULL if
 * that bit means no fault there. @a bit < 16. */
const char *rover_fault_name(RoverFaults layout, bool high, unsigned bit);

#endif
