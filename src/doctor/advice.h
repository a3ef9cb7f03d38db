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

/** How long it may take until bluez_is_settled(). Then a bus or bluetoothd says not a word. */
enum { ADVICE_SETTLE_SECONDS = 15 };

/** Of a Bluez that was not settled in that time. @return what stands in the way, as it seems */
LinkFault advice_on_silence(Advice *advice, const Bluez *bluez);

void advice_clear(Advice *advice);

#endif
