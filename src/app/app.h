/* SPDX-License-Identifier: MIT */
/* The running program: batteries, radio, web server and service manager put together. */
#ifndef BMS_APP_H
#define BMS_APP_H

#include "cli/options.h"

/** What was said at the start makes no sense; starting again would not make it right. */
enum { EXIT_WRONG_USAGE = 2 };

/** Runs until a signal ends it, SIGHUP reads the options again, or with --once until the readings
 * are there. @return exit status */
int app_run(Options *options);

#endif
