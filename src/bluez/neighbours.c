/* SPDX-License-Identifier: MIT */
/*
 * Devices stay in the list when BlueZ forgets them: it does so 30 s after it has last heard them,
 * and who looks for his battery wants to know that it was there.
 */
#include "neighbours.h"

#include "private.h"

#include <string.h>

static void take_boolean(GVariant *properties, const char *name, gboolean *value)
{
    g_variant_lookup(properties, name, "b", value);
}

static unsigned services_of(const char *const *uuids)
{
    unsigned services = 0;

    for (; *uuids; uuids++) {
        if (g_ascii_strcasecmp(*uuids, "0000ff00-0000-1000-8000-00805f9b34fb") == 0)
            services |= SCAN_SERVICE_FF00;
        else if (g_ascii_strcasecmp(*uuids, "0000fff0-0000-1000-8000-00805f9b34fb") == 0)
            services |= SCAN_SERVICE_FFF0;
        else
            services |= SCAN_SERVICE_OTHER;
    }
    return services;
}

static void take_name(ScanDevice *device, const char *name)
{
    const char *end;

    g_strlcpy(device->name, name, sizeof device->name);
    /* The cut may have gone through a character. */
    if (!g_utf8_validate(device->name, -1, &end))
        device->name[end - device->name] = '\0';
}

static void take_properties(ScanDevice *device, GVariant *properties)
{
    g_autofree const char **uuids = NULL;
    const char *text;
    gint16 rssi;

    if (g_variant_lookup(properties, "Name", "&s", &text))
        take_name(device, text);
    if (g_variant_lookup(properties, "AddressType", "&s", &text))
        device->public_address = strcmp(text, "public") == 0;
    /* It is there only while a discovery hears the device. */
    if (g_variant_lookup(properties, "RSSI", "n", &rssi)) {
        device->heard = TRUE;
        device->rssi = rssi;
    }
    if (g_variant_lookup(properties, "UUIDs", "^a&s", &uuids))
        device->services = services_of(uuids);
    take_boolean(properties, "Paired", &device->paired);
    take_boolean(properties, "Bonded", &device->bonded);
    take_boolean(properties, "Connected", &device->connected);
}

/* @return a device with no more than its address, or NULL if there is none or no room */
static ScanDevice *add_device(Neighbours *neighbours, const char *path, GVariant *properties)
{
    char address[18];
    const char *text;
    ScanDevice *device;

    if (!g_variant_lookup(properties, "Address", "&s", &text) ||
        !bluez_parse_address(text, address))
        return NULL;
    if (neighbours->devices->len >= SCAN_MAX_DEVICES) {
        neighbours->full = TRUE;
        return NULL;
    }
    device = g_new0(ScanDevice, 1);
    g_strlcpy(device->address, address, sizeof device->address);
    g_ptr_array_add(neighbours->devices, device);
    g_hash_table_insert(neighbours->by_path, g_strdup(path), device);
    return device;
}

static gboolean take_object(Neighbours *neighbours, const char *path, GVariant *interfaces,
                            gboolean known)
{
    g_autoptr(GVariant) properties = objects_interface(interfaces, DEVICE_IFACE);
    ScanDevice *device;
    const char *adapter;

    if (!properties || !g_variant_lookup(properties, "Adapter", "&o", &adapter) ||
        strcmp(adapter, neighbours->adapter) != 0)
        return FALSE;
    device = g_hash_table_lookup(neighbours->by_path, path);
    if (!device) {
        device = add_device(neighbours, path, properties);
        if (!device)
            return FALSE;
        device->known = known;
    }
    take_properties(device, properties);
    return TRUE;
}

void neighbours_take_tree(Neighbours *neighbours, GVariant *objects)
{
    g_autoptr(GVariant) dictionary = g_variant_get_child_value(objects, 0);
    GVariantIter iter;
    const char *path;
    GVariant *interfaces;

    g_variant_iter_init(&iter, dictionary);
    while (g_variant_iter_loop(&iter, "{&o@a{sa{sv}}}", &path, &interfaces))
        take_object(neighbours, path, interfaces, TRUE);
}

gboolean neighbours_take_object(Neighbours *neighbours, const char *path, GVariant *interfaces)
{
    return take_object(neighbours, path, interfaces, FALSE);
}

gboolean neighbours_take_changes(Neighbours *neighbours, const char *path, GVariant *properties)
{
    ScanDevice *device = g_hash_table_lookup(neighbours->by_path, path);

    if (device)
        take_properties(device, properties);
    return device != NULL;
}

void neighbours_init(Neighbours *neighbours, const char *adapter)
{
    neighbours->adapter = g_strdup(adapter);
    neighbours->devices = g_ptr_array_new_with_free_func(g_free);
    neighbours->by_path = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    neighbours->full = FALSE;
}

void neighbours_clear(Neighbours *neighbours)
{
    g_clear_pointer(&neighbours->adapter, g_free);
    g_clear_pointer(&neighbours->by_path, g_hash_table_unref);
    g_clear_pointer(&neighbours->devices, g_ptr_array_unref);
}
