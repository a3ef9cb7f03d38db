/* SPDX-License-Identifier: MIT */
/* What a device in the neighbourhood may be, judged by what it tells of itself. */
#ifndef BMS_CLASSIFY_H
#define BMS_CLASSIFY_H

#include "scan.h"

/** The worse, the smaller. */
typedef enum {
    KIND_OTHER,   /**< nothing speaks for a battery */
    KIND_FOREIGN, /**< a BMS that this program cannot read */
    KIND_MAYBE,   /**< something speaks for a JBD board, but it could be another thing */
    KIND_JBD,     /**< likely a JBD board */
} Kind;

/**
 * @param make set to a short word for a table: "JBD", "maybe", the name of another make, or "-"
 * @param why what speaks for it is appended, for people; nothing if nothing does
 */
Kind classify(const ScanDevice *device, const char **make, GString *why);

#endif
