/* SPDX-License-Identifier: MIT */
/*
 * The way to one battery, step by step: is it heard, can it be connected to, has it the services,
 * do notifications come on, are the registers answered. A scan and a Unit go it; this tells how far
 * they came.
 */
#ifndef BMS_CHECK_DEVICE_H
#define BMS_CHECK_DEVICE_H

#include "advice.h"
#include "bluez.h"
#include "cli/options.h"
#include "report.h"

typedef struct CheckDevice CheckDevice;

/**
 * Begins at once; only while bluez_fault() is LINK_FAULT_NONE.
 * @param password NULL for none; valid until it is done
 * @param done called once, from the main loop, when it is over and the link is closed
 */
CheckDevice *check_device_new(Bluez *bluez, const DeviceSpec *spec, const char *password,
                              Report *report, void (*done)(void *user), void *user);

/**
 * Once done: what the bus has forbidden, which is in the way of every battery and has not been
 * told, or NULL. Valid while @a check is.
 */
const Advice *check_device_denied(const CheckDevice *check);

/** Once done, or at any time, giving up at once. */
void check_device_free(CheckDevice *check);

/** Ends it without a further line; done() is called within a bounded time. */
void check_device_stop(CheckDevice *check);

/** bluez_fault() has changed. */
void check_device_bluez_changed(CheckDevice *check);

#endif
