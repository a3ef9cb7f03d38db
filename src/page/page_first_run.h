/* SPDX-License-Identifier: MIT */
#ifndef BMS_PAGE_FIRST_RUN_H
#define BMS_PAGE_FIRST_RUN_H

#include "export.h"

/** The card that stands in place of those of the batteries while none is configured. */
void page_append_first_run(GString *out, const ExportFirstRun *first);

#endif
