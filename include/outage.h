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
    OUTAGE_BEGAN,    /**< a fault began */
    OUTAGE_CHANGED,  /**< another fault, for the first time in this outage */
    OUTAGE_UNSTABLE, /**< a fault soon after the last outage; OUTAGE_ENDED is the next event */
    OUTAGE_ENDED,
} OutageNews;

typedef struct {
    bool active;
    bool unstable; /**< this outage ends only after OUTAGE_SETTLED_POLLS; stays set after its end */
    bool ended;    /**< an earlier outage has ended */
    bool attention;   /**< needs attention was reported in this outage */
    uint32_t told;    /**< bit 1 << LinkFault for each fault reported in this outage */
    int64_t began_us; /**< since boot, suspend included */
    unsigned good;    /**< good polls in a row since the latest fault, up to OUTAGE_SETTLED_POLLS */
    uint64_t faults;  /**< number of faults in this outage */
} Outage;

enum {
    OUTAGE_SETTLED_POLLS =
        6, /**< good polls in a row after which a battery is no longer unstable */
};

/** @param now_us since boot, suspend included */
OutageNews outage_on_fault(Outage *outage, LinkFault fault, int64_t now_us);
OutageNews outage_on_readings(Outage *outage);

/** A person should look. @return whether to say so: once in an outage */
bool outage_on_attention(Outage *outage);

#endif
