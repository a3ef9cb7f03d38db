/* SPDX-License-Identifier: MIT */
/* What a device in the neighbourhood may be, judged by what it tells of itself. */
#ifndef BMS_LIKENESS_H
#define BMS_LIKENESS_H

#include "scan.h"

/** The worse, the smaller. */
typedef enum {
    LIKENESS_OTHER,   /**< nothing speaks for a device that can be read */
    LIKENESS_FOREIGN, /**< one of the same sort that this program cannot read */
    LIKENESS_MAYBE,   /**< something speaks for it, but it could be another thing */
    LIKENESS_LIKELY,
} Likeness;

/**
 * How much a device is like one of the kinds that there are: each kind bids, and the best one wins.
 * @param make set to a short word for a table: "JBD", "maybe", the name of another make, or "-"
 * @param why what speaks for it is appended, for people; nothing if nothing does
 */
Likeness likeness_judge(const ScanDevice *device, const char **make, GString *why);

#endif
