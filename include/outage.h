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
    OUTAGE_CHANGED,  /**< it is wrong in another way, for the first time in this outage */
    OUTAGE_UNSTABLE, /**< the latest outage had hardly ended; OUTAGE_ENDED is the next news */
    OUTAGE_ENDED,
} OutageNews;

typedef struct {
    bool active;
    bool unstable;    /**< it is one that ends only after OUTAGE_SETTLED_POLLS; kept when it has */
    bool ended;       /**< there has been one before */
    bool attention;   /**< a person was called in this outage */
    uint32_t told;    /**< bits 1 << LinkFault of this outage that were news */
    int64_t began_us; /**< since boot, suspend included */
    unsigned good;    /**< polls in a row since the latest fault, up to OUTAGE_SETTLED_POLLS */
    uint64_t faults;  /**< in this outage */
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
