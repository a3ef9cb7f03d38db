/* SPDX-License-Identifier: MIT */
/*
 * When to tell a person about a battery's troubles: once when they begin, once when they end, and
 * not every 10 s in between. Only computes.
 */
#ifndef BMS_OUTAGE_H
#define BMS_OUTAGE_H

#include "link.h"

#include <stdbool.h>
#include <stdint.h>

/** What is worth a line in the log. */
typedef enum {
    OUTAGE_NOTHING,
    OUTAGE_BEGAN,    /**< something went wrong that was right */
    OUTAGE_CHANGED,  /**< it is wrong in another way, not told of yet */
    OUTAGE_UNSTABLE, /**< it had hardly ended and begins again: the rest is not told one by one */
    OUTAGE_ENDED,
} OutageNews;

typedef struct {
    bool active;
    bool unstable;
    uint64_t told;    /**< bits 1 << LinkFault that were logged in this outage */
    int64_t began_us; /**< monotonic */
    int64_t ended_us; /**< 0 if there has been none yet */
    unsigned good;    /**< polls in a row since the last fault */
    uint64_t faults;  /**< in this outage */
} Outage;

enum {
    OUTAGE_SETTLED_POLLS = 6, /**< good polls in a row that end an unstable time */
};

OutageNews outage_on_fault(Outage *outage, LinkFault fault, int64_t now_us, int64_t interval_us);
OutageNews outage_on_readings(Outage *outage, int64_t now_us);

#endif
