/* SPDX-License-Identifier: MIT */
/* What is wrong with the way to the radio and what mends it, looked at as closely as can be. */
#ifndef BMS_ADVICE_H
#define BMS_ADVICE_H

#include "bluez.h"

typedef struct {
    char *text;         /**< what is wrong */
    const char *remedy; /**< what to do about it, or NULL */
} Advice;

/** Of bluez_fault(); for an adapter that is off or missing it looks into rfkill too. */
void advice_on_bluez(Advice *advice, const Bluez *bluez);

/** @param detail NULL for link_fault_text() */
void advice_on_fault(Advice *advice, LinkFault fault, const char *detail);

void advice_clear(Advice *advice);

#endif
