/* SPDX-License-Identifier: MIT */
/* The devices that a scan has found, made from what BlueZ says of their objects. No D-Bus here. */
#ifndef BMS_BLUEZ_NEIGHBOURS_H
#define BMS_BLUEZ_NEIGHBOURS_H

#include "scan.h"

#include <gio/gio.h>

typedef struct {
    char *adapter;       /* object path: devices of others are left out */
    GPtrArray *devices;  /* of ScanDevice */
    GHashTable *by_path; /* object path -> ScanDevice, theirs */
    gboolean full;
} Neighbours;

void neighbours_init(Neighbours *neighbours, const char *adapter);
void neighbours_clear(Neighbours *neighbours);

/** Takes the reply of GetManagedObjects. */
void neighbours_take_tree(Neighbours *neighbours, GVariant *objects);

/** Takes an object that was added. @return whether it is a device */
gboolean neighbours_take_object(Neighbours *neighbours, const char *path, GVariant *interfaces);

/** Takes changed properties (a{sv}) of a device. @return whether it is one of ours */
gboolean neighbours_take_changes(Neighbours *neighbours, const char *path, GVariant *properties);

#endif
