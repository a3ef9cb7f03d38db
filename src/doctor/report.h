/* SPDX-License-Identifier: MIT */
/* The lines of --check: the first word of each is its result. */
#ifndef BMS_REPORT_H
#define BMS_REPORT_H

#include "terminal.h"

typedef struct {
    Output *output;
    guint wrong; /**< lines that tell of something wrong */
} Report;

/*
 * @param what the thing that was looked at ("bus", "house: range"); from the command line or ours
 * @param detail NULL if there is nothing to add; made fit to be shown
 */

void report_ok(Report *report, const char *what, const char *detail);

/** Worth knowing, but nothing is wrong. */
void report_note(Report *report, const char *what, const char *detail);

/** @param remedy what mends it, or NULL */
void report_wrong(Report *report, const char *what, const char *detail, const char *remedy);

/** Could not be looked at, because of what is wrong. */
void report_skipped(Report *report, const char *what);

#endif
