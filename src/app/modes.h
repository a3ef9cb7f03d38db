/* SPDX-License-Identifier: MIT */
/* What the program does when it does not serve: look around, and look for what is wrong. */
#ifndef BMS_MODES_H
#define BMS_MODES_H

#include "cli/options.h"

/** --scan: lists devices for options->scan_us, or until a signal ends it. @return exit status */
int scan_run(const Options *options);

/** --check: goes the way to each battery step by step and tells how it went. @return exit status */
int check_run(const Options *options);

#endif
