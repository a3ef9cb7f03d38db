/* SPDX-License-Identifier: MIT */
/* What a scan has found, as lines: for a terminal of some size, or for the next program. */
#ifndef BMS_SCAN_TABLE_H
#define BMS_SCAN_TABLE_H

#include "likeness.h"

typedef struct {
    const ScanDevice *device; /**< not owned */
    Likeness likeness;
    char *text[6]; /**< cleaned: address, signal, make, state, name, why */
} ScanRow;

/** @param ascii see terminal_clean() */
ScanRow *scan_row_new(const ScanDevice *device, gboolean ascii);
void scan_row_free(ScanRow *row);

/** Whether the device is there, so that it can be read. */
gboolean scan_row_is_in_range(const ScanRow *row);

/** What it calls itself, cleaned, or "-"; and what speaks for its likeness. */
const char *scan_row_name(const ScanRow *row);
const char *scan_row_why(const ScanRow *row);

/** The row for other programs: its texts, separated by tabs. To be freed. */
char *scan_row_plain(const ScanRow *row);

/** How a table is to look. */
typedef struct {
    guint columns;  /**< lines are narrower than this */
    guint max_rows; /**< devices that are shown at most */
    gboolean bold;  /**< emphasise likely boards */
} ScanStyle;

/**
 * Appends the table to @a lines (of char *): a header, the rows with the likeliest first, and a
 * line that tells how many have been left out.
 * @param rows of ScanRow
 */
void scan_table(const GPtrArray *rows, const ScanStyle *style, GPtrArray *lines);

#endif
