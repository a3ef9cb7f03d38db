/* SPDX-License-Identifier: MIT */
/*
 * Bluetooth LE through BlueZ on D-Bus: the system bus, bluetoothd, the adapter, and links to
 * devices. All peculiarities of BlueZ are hidden by this header; it does not know JBD or metrics.
 *
 * Everything is asynchronous and runs in the thread-default main context.
 */
#ifndef BMS_BLUEZ_H
#define BMS_BLUEZ_H

#include "link.h"

#include <glib.h>

typedef struct Bluez Bluez;
typedef struct BluezLink BluezLink;

/** Parses "AA:BB:CC:DD:EE:FF" in either case; @a out gets upper case. FALSE if it is not one. */
gboolean bluez_parse_address(const char *text, char out[18]);

/** @param adapter "hciN", an adapter's address, or NULL for the first one that is powered. */
Bluez *bluez_new(const char *adapter);

/** Connects to the system bus, and goes on trying where there is none. */
void bluez_start(Bluez *bluez);

/** All links must be freed before. */
void bluez_free(Bluez *bluez);

/**
 * Called whenever bluez_on_bus(), bluez_is_cycling() or bluez_fault() changes, and once when
 * bluez_is_settled() becomes true.
 */
void bluez_set_callback(Bluez *bluez, void (*changed)(void *user), void *user);

/** Whether the system bus is connected (bluetoothd may still be missing). */
gboolean bluez_on_bus(const Bluez *bluez);

/**
 * Switches the adapter off and on again, which breaks every link that it has, others' too.
 * @param again it was done before in this outage: told at debug level only
 * @return FALSE if there is none that is on, or it is being done already
 */
gboolean bluez_power_cycle(Bluez *bluez, gboolean again);

/** Whether an adapter that was switched off is not known to be on again. */
gboolean bluez_is_cycling(const Bluez *bluez);

/** The program ends: an adapter that was switched off is switched on without waiting any longer. */
void bluez_finish_cycle(Bluez *bluez);

/** Whether it is known what is there and what is not. Once it is, it stays so. */
gboolean bluez_is_settled(const Bluez *bluez);

/**
 * What stands in the way of every link, or LINK_FAULT_NONE. Means nothing before it is settled.
 * @param detail NULL, or set to what there is to say beyond link_fault_text(), or to NULL
 */
LinkFault bluez_fault(const Bluez *bluez, const char **detail);

/** Name of the adapter that is used ("hci0"), or NULL while there is none. */
const char *bluez_adapter_name(const Bluez *bluez);

/** A link to the device at @a address. It calls @a events with @a user. */
BluezLink *bluez_link_new(Bluez *bluez, const char *address, const LinkEvents *events, void *user);

/** Gives up at once whatever it was doing. */
void bluez_link_free(BluezLink *link);

/** What the log calls the device, instead of its address. @param label is copied */
void bluez_link_set_label(BluezLink *link, const char *label);

/**
 * Gives it the password of the device. If that is six digits, it is the passkey for pairing too; it
 * is used only when the device wants to be paired. NULL for none. Only the number is kept.
 */
void bluez_link_set_passkey(BluezLink *link, const char *password);

/** Operations, for a BluezLink. */
extern const LinkOps bluez_link_ops;

#endif
