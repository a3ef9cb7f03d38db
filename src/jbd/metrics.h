/* SPDX-License-Identifier: MIT */
/* The metrics of a JBD board, and what they and the page make of its readings. */
#ifndef BMS_JBD_METRICS_H
#define BMS_JBD_METRICS_H

#include "family.h"
#include "state.h"

void jbd_emit_info(Sink *sink, const Device *device);
extern const FamilyTable jbd_counter_families;
extern const FamilyTable jbd_reading_families;
extern const FamilyTable jbd_legacy_families; /**< the names of bms-shed */

/** Seconds until full or empty at the present current; −1 while it does not flow that way. */
int64_t jbd_seconds_to_full(const JbdBasic *basic);
int64_t jbd_seconds_to_empty(const JbdBasic *basic);

enum { JBD_DATE_SIZE = sizeof "65535-255-255", JBD_VERSION_SIZE = sizeof "15.15" };

/** "2024-03-18", or "" for the year 0: the board does not tell. */
void jbd_format_date(char text[JBD_DATE_SIZE], unsigned year, unsigned month, unsigned day);

/** "2.10" */
void jbd_format_version(char text[JBD_VERSION_SIZE], unsigned version);

#endif
