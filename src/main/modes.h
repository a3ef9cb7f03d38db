/* SPDX-License-Identifier: MIT */
/* What the program does when it does not serve. */
#ifndef BMS_MODES_H
#define BMS_MODES_H

#include "options.h"

/** --scan: lists devices for options->scan_us, or until a signal ends it. @return exit status */
int scan_run(const Options *options);

#endif
