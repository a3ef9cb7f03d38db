/* SPDX-License-Identifier: MIT */
/*
 * Looking around: a discovery and the devices that it finds, or that BlueZ knew before. The bluez
 * part implements it, beside links; what the devices are good for is for others to judge.
 */
#ifndef BMS_SCAN_H
#define BMS_SCAN_H

#include "bluez.h"

/** Devices that are kept; a neighbourhood that pretends to be larger must not take the memory. */
enum { SCAN_MAX_DEVICES = 1024 };

/** A GAP name has at most 248 bytes. */
enum { SCAN_NAME_SIZE = 249 };

/** Services in a device's list of UUIDs: advertised, or read when it was connected once. */
enum {
    SCAN_SERVICE_FF00 = 1 << 0,
    SCAN_SERVICE_FFF0 = 1 << 1,
    SCAN_SERVICE_OTHER = 1 << 2,
};

typedef struct {
    char address[18];          /**< upper case */
    char name[SCAN_NAME_SIZE]; /**< UTF-8, else as the device says: not fit to be shown */
    gboolean public_address;   /**< else random, and its first bytes do not identify a maker */
    gboolean heard;            /**< it was seen in this scan */
    int rssi;                  /**< dBm, the latest one; only if heard */
    gboolean known;            /**< BlueZ had it before this scan */
    gboolean paired;
    gboolean bonded;
    gboolean connected; /**< connected to this machine by any program */
    unsigned services;  /**< SCAN_SERVICE_… */
} ScanDevice;

/** Called from the main loop, never from inside an operation. */
typedef struct {
    /** A device was found, or something about one has changed. */
    void (*changed)(void *user);
    /**
     * The scan is over, and its discovery stopped as far as BlueZ let it.
     * @param fault why, or LINK_FAULT_NONE if it was asked to stop
     * @param reason the same in words, or NULL for link_fault_text()
     */
    void (*ended)(void *user, LinkFault fault, const char *reason);
} ScanEvents;

typedef struct BluezScan BluezScan;

/** Of the adapter that is used now; only while bluez_fault() is LINK_FAULT_NONE. */
BluezScan *bluez_scan_new(Bluez *bluez, const ScanEvents *events, void *user);

/** Gives up at once; ended() is not called any more. */
void bluez_scan_free(BluezScan *scan);

/** Begins, once; as soon as it was made. */
void bluez_scan_start(BluezScan *scan);

/** Brings ended() about within a bounded time. */
void bluez_scan_stop(BluezScan *scan);

/** Devices in the order in which they were found. They stay while the scan exists. */
guint bluez_scan_count(const BluezScan *scan);
const ScanDevice *bluez_scan_device(const BluezScan *scan, guint index);

/** Whether there were more than SCAN_MAX_DEVICES. */
gboolean bluez_scan_is_full(const BluezScan *scan);

#endif
