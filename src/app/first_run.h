/* SPDX-License-Identifier: MIT */
/*
 * The time before a battery is configured, under a service manager: scans now and then for boards
 * in range, and says what to put where. It ends with a reload that brings a battery, or with the
 * program.
 */
#ifndef BMS_FIRST_RUN_H
#define BMS_FIRST_RUN_H

#include "bluez.h"
#include "cli/options.h"
#include "export.h"

typedef struct FirstRun FirstRun;

/**
 * Logs what to do. Does nothing else until first_run_follow().
 * @param options of which the command line is kept in the line for the settings; must outlive it
 * @param changed is called with @a user, from the main loop, when what is shown has changed or it
 * has stopped
 */
FirstRun *first_run_new(Bluez *bluez, const Options *options, void (*changed)(void *user),
                        void *user);
void first_run_free(FirstRun *first);

/** Something about the adapter has changed: scans, or shows what is in the way. */
void first_run_follow(FirstRun *first);

/** Stops its discovery. first_run_is_stopped() tells when that is done, in a bounded time. */
void first_run_stop(FirstRun *first);
gboolean first_run_is_stopped(const FirstRun *first);

/** What the page shows; valid until @a changed is called. */
const ExportFirstRun *first_run_view(const FirstRun *first);

/** A line for STATUS=. To be freed. */
char *first_run_status(const FirstRun *first);

#endif
