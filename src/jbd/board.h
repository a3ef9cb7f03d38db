/* SPDX-License-Identifier: MIT */
/* JBD battery boards, as a kind of device. */
#ifndef BMS_JBD_BOARD_H
#define BMS_JBD_BOARD_H

#include "kind.h"
#include "state.h"

extern const Kind jbd_kind;

/* Parts of it. */

Likeness jbd_judge(const ScanDevice *device, const char **make, GString *why);
Badge jbd_badge(const Device *device);
void jbd_append_card(GString *out, const Device *device);

#endif
