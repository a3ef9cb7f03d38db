/* SPDX-License-Identifier: MIT */
/*
 * The object tree: which paths exist, what properties they have, and the signals that tell of them.
 *
 * Owns the GATT table. Nothing here is stored: an object is there when the state of its
 * adapter or device says so.
 */
#include "sim.h"

#include <stdio.h>
#include <string.h>

#define SIG  "0000%04x-0000-1000-8000-00805f9b34fb"
#define BASE "-0000-1000-8000-00805f9b34fb"

/* Other services as real modules have them, so that a client has to choose; the board's own last.
 */
const struct gatt_row gatt_table[GATT_ROWS] = {
    {NODE_SERVICE, 0x0001, 0, -1, "00001800" BASE, ""},
    {NODE_CHARACTERISTIC, 0x0002, 0, -1, "00002a00" BASE, "read"},
    {NODE_CHARACTERISTIC, 0x0004, 0, -1, "00002a01" BASE, "read"},
    {NODE_SERVICE, 0x0006, 0, -1, "00001801" BASE, ""},
    {NODE_CHARACTERISTIC, 0x0007, 3, -1, "00002a05" BASE, "indicate"},
    {NODE_DESCRIPTOR, 0x0009, 4, -1, "00002902" BASE, ""},
    {NODE_SERVICE, 0x000a, 0, -1, "0000180a" BASE, ""},
    {NODE_CHARACTERISTIC, 0x000b, 6, -1, "00002a29" BASE, "read"},
    {NODE_CHARACTERISTIC, 0x000d, 6, -1, "00002a24" BASE, "read"},
    {NODE_SERVICE, 0x0019, 0, -1, "00010203-0405-0607-0809-0a0b0c0d1912", ""},
    {NODE_CHARACTERISTIC, 0x001a, 9, -1, "00010203-0405-0607-0809-0a0b0c0d2b12",
     "read,write-without-response,notify"},
    {NODE_DESCRIPTOR, 0x001c, 10, -1, "00002902" BASE, ""},
    {NODE_DESCRIPTOR, 0x001d, 10, -1, "00002901" BASE, ""},
    /* An older module's second vendor service: same flags, another purpose. */
    {NODE_SERVICE, 0x001e, 0, -1, "0000fa00" BASE, ""},
    {NODE_CHARACTERISTIC, 0x001f, 13, -1, "0000fa01" BASE, "write,notify"},
    {NODE_DESCRIPTOR, 0x0021, 14, -1, "00002902" BASE, ""},
    {NODE_CHARACTERISTIC, 0x0022, 13, -1, "0000fa02" BASE, "write-without-response"},
    {NODE_SERVICE, 0x0010, 0, 0, NULL, ""},
    {NODE_CHARACTERISTIC, 0x0011, ROW_SERVICE, 1, NULL, "read,notify"},
    {NODE_DESCRIPTOR, 0x0013, ROW_NOTIFY, -1, "00002902" BASE, ""},
    {NODE_CHARACTERISTIC, 0x0014, ROW_SERVICE, 2, NULL, ""},
};

struct node tree_adapter(struct adapter *adapter)
{
    return (struct node){NODE_ADAPTER, adapter, NULL, 0};
}

struct node tree_device(struct device *device)
{
    return (struct node){NODE_DEVICE, device->adapter, device, 0};
}

struct node tree_row(struct device *device, guint row)
{
    return (struct node){gatt_table[row].kind, device->adapter, device, row};
}

const char *tree_interface(enum node_kind kind)
{
    switch (kind) {
    case NODE_ADAPTER:
        return ADAPTER_INTERFACE;
    case NODE_DEVICE:
        return DEVICE_INTERFACE;
    case NODE_SERVICE:
        return SERVICE_INTERFACE;
    case NODE_CHARACTERISTIC:
        return CHARACTERISTIC_INTERFACE;
    case NODE_DESCRIPTOR:
        return DESCRIPTOR_INTERFACE;
    case NODE_ROOT:
        return MANAGER_INTERFACE;
    case NODE_NONE:
    case NODE_PARENT:
        break;
    }
    return NULL;
}

static guint row_handle(const struct device *device, guint row)
{
    /* Services that came back have new handles, and with them new paths. */
    return gatt_table[row].handle + (row >= ROW_SERVICE ? device->generation * 0x40U : 0U);
}

gboolean tree_row_exists(const struct device *device, guint row)
{
    return device->exported &&
           (row >= ROW_SERVICE ? device->module_exported : device->gatt_exported);
}

char *tree_path(struct node node)
{
    const struct gatt_row *row = &gatt_table[node.row];
    const char *adapter = node.adapter != NULL ? node.adapter->path : "";

    switch (node.kind) {
    case NODE_DEVICE:
        return g_strdup_printf("%s/%s", adapter, node.device->battery->node);
    case NODE_SERVICE:
        return g_strdup_printf("%s/%s/service%04x", adapter, node.device->battery->node,
                               row_handle(node.device, node.row));
    case NODE_CHARACTERISTIC:
    case NODE_DESCRIPTOR: {
        g_autofree char *parent = tree_path(tree_row(node.device, row->parent));

        return g_strdup_printf("%s/%s%04x", parent, node.kind == NODE_DESCRIPTOR ? "desc" : "char",
                               row_handle(node.device, node.row));
    }
    case NODE_ADAPTER:
        return g_strdup(adapter);
    case NODE_NONE:
    case NODE_PARENT:
    case NODE_ROOT:
        break;
    }
    return g_strdup("/");
}

static struct node find_row(struct device *device, const char *rest, const char *path)
{
    guint handle = 0;
    const char *last = strrchr(rest, '/');

    /* The last part ends in the handle; the whole path is then compared. */
    if (strlen(last) >= 5 && sscanf(last + strlen(last) - 4, "%4x", &handle) == 1) {
        for (guint i = 0; i < GATT_ROWS; i++) {
            struct node node = tree_row(device, i);
            g_autofree char *full = NULL;

            if (row_handle(device, i) != handle || !tree_row_exists(device, i)) {
                continue;
            }
            full = tree_path(node);
            if (strcmp(full, path) == 0) {
                return node;
            }
        }
    }
    return (struct node){NODE_NONE, NULL, NULL, 0};
}

/* The adapter that a path leads to or through. */
static struct adapter *find_adapter(struct sim *sim, const char *path, const char **rest)
{
    for (guint i = 0; i < sim->adapters->len; i++) {
        struct adapter *adapter = sim->adapters->pdata[i];

        if (!adapter->present || !g_str_has_prefix(path, adapter->path)) {
            continue;
        }
        *rest = path + strlen(adapter->path);
        if (**rest == '\0' || **rest == '/') {
            return adapter;
        }
    }
    return NULL;
}

struct node tree_find(struct sim *sim, const char *path)
{
    struct node none = {NODE_NONE, NULL, NULL, 0};
    const char *rest;
    const struct battery *battery;
    struct adapter *adapter;
    struct device *device;
    g_autofree char *name = NULL;

    if (strcmp(path, "/") == 0) {
        return (struct node){NODE_ROOT, NULL, NULL, 0};
    }
    if (strcmp(path, "/org") == 0 || strcmp(path, "/org/bluez") == 0) {
        return (struct node){NODE_PARENT, NULL, NULL, 0};
    }
    adapter = find_adapter(sim, path, &rest);
    if (adapter == NULL) {
        return none;
    }
    if (*rest == '\0') {
        return tree_adapter(adapter);
    }
    name = g_strndup(rest + 1, strcspn(rest + 1, "/"));
    battery = g_hash_table_lookup(sim->by_node, name);
    device = battery != NULL ? device_of(adapter, battery) : NULL;
    if (device == NULL || !device->exported) {
        return none;
    }
    rest += 1 + strlen(name);
    return *rest == '\0' ? tree_device(device) : find_row(device, rest, path);
}

static void put(GVariantBuilder *b, const char *name, GVariant *value)
{
    g_variant_builder_add(b, "{sv}", name, value);
}

static void put_adapter(GVariantBuilder *b, const struct adapter *a)
{
    static const char *const roles[] = {"central", "peripheral", NULL};
    static const char *const uuids[] = {"00001800" BASE, "00001801" BASE, "0000180a" BASE, NULL};

    put(b, "Address", g_variant_new_string(a->address));
    put(b, "AddressType", g_variant_new_string("public"));
    put(b, "Name", g_variant_new_string("simulated"));
    put(b, "Alias", g_variant_new_string(a->alias));
    put(b, "Class", g_variant_new_uint32(0));
    put(b, "Powered", g_variant_new_boolean(a->powered));
    put(b, "Discoverable", g_variant_new_boolean(FALSE));
    put(b, "DiscoverableTimeout", g_variant_new_uint32(180));
    put(b, "Pairable", g_variant_new_boolean(FALSE));
    put(b, "PairableTimeout", g_variant_new_uint32(0));
    put(b, "Discovering", g_variant_new_boolean(a->discovering));
    put(b, "UUIDs", g_variant_new_strv(uuids, -1));
    put(b, "Modalias", g_variant_new_string("usb:v1D6Bp0246d0542"));
    put(b, "Roles", g_variant_new_strv(roles, -1));
}

static guint module_base(const struct device *device)
{
    return device->wrong_services ? 0xffe0U : device->battery->uuid_base;
}

/* Before its services were read a device has only what it advertises. */
static void put_module(GVariantBuilder *uuids, const struct device *device)
{
    g_auto(GStrv) advertised = NULL;

    if (device->battery->advertises == NULL || device->cached) {
        g_variant_builder_add_value(uuids, g_variant_new_printf(SIG, module_base(device)));
        return;
    }
    advertised = g_strsplit(device->battery->advertises, "+", -1);
    for (char **uuid = advertised; *uuid != NULL; uuid++) {
        g_variant_builder_add_value(
            uuids, g_variant_new_printf(SIG, (guint)g_ascii_strtoull(*uuid, NULL, 16)));
    }
}

static void put_device(GVariantBuilder *b, struct device *device)
{
    const struct battery *battery = device->battery;
    const char *name = *battery->name != '\0' ? battery->name : NULL;
    GVariantBuilder uuids;

    put(b, "Address", g_variant_new_string(battery->address));
    put(b, "AddressType", g_variant_new_string(battery->random_address ? "random" : "public"));
    if (name != NULL) {
        put(b, "Name", g_variant_new_string(name));
    }
    put(b, "Alias", g_variant_new_string(name != NULL ? name : battery->address));
    put(b, "Paired", g_variant_new_boolean(device->paired || battery->paired));
    put(b, "Bonded", g_variant_new_boolean(device->paired || battery->paired));
    put(b, "Trusted", g_variant_new_boolean(device->trusted));
    put(b, "Blocked", g_variant_new_boolean(device->blocked));
    put(b, "LegacyPairing", g_variant_new_boolean(FALSE));
    if (device->rssi_known) {
        put(b, "RSSI", g_variant_new_int16(device->rssi));
    }
    put(b, "Connected", g_variant_new_boolean(device->connected));
    g_variant_builder_init(&uuids, G_VARIANT_TYPE_STRING_ARRAY);
    /* Only what was advertised, until the services were read. */
    for (guint i = 0; i < GATT_ROWS && device->cached; i++) {
        if (gatt_table[i].kind == NODE_SERVICE && gatt_table[i].uuid != NULL) {
            g_variant_builder_add(&uuids, "s", gatt_table[i].uuid);
        }
    }
    put_module(&uuids, device);
    put(b, "UUIDs", g_variant_builder_end(&uuids));
    put(b, "Adapter", g_variant_new_object_path(device->adapter->path));
    put(b, "ServicesResolved", g_variant_new_boolean(device->resolved));
}

static GVariant *row_flags(const struct device *device, guint row)
{
    const char *text = gatt_table[row].flags;
    g_auto(GStrv) flags = NULL;

    if (row == ROW_WRITE) {
        text = device->battery->write_command && device->battery->write_request
                   ? "write-without-response,write"
               : device->battery->write_command ? "write-without-response"
                                                : "write";
    }
    flags = g_strsplit(text, ",", -1);
    return g_variant_new_strv((const char *const *)flags, -1);
}

static void put_row(GVariantBuilder *b, struct device *device, guint index)
{
    const struct gatt_row *row = &gatt_table[index];
    gsize size = 0;
    const void *value = NULL;

    if (row->module >= 0) {
        put(b, "UUID", g_variant_new_printf(SIG, module_base(device) + (guint)row->module));
    } else {
        put(b, "UUID", g_variant_new_string(row->uuid));
    }
    if (index == ROW_NOTIFY && device->value != NULL) {
        value = g_bytes_get_data(device->value, &size);
    }
    if (row->kind == NODE_SERVICE) {
        g_autofree char *path = tree_path(tree_device(device));

        put(b, "Device", g_variant_new_object_path(path));
        put(b, "Primary", g_variant_new_boolean(TRUE));
        put(b, "Includes", g_variant_new_objv(NULL, 0));
    } else {
        g_autofree char *path = tree_path(tree_row(device, row->parent));
        gboolean descriptor = row->kind == NODE_DESCRIPTOR;

        put(b, descriptor ? "Characteristic" : "Service", g_variant_new_object_path(path));
        put(b, "Value", g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, value, size, 1));
        if (!descriptor) {
            put(b, "Flags", row_flags(device, index));
            put(b, "MTU", g_variant_new_uint16(23));
            if (strstr(row->flags, "notify") != NULL || strstr(row->flags, "indicate") != NULL) {
                gboolean on = index == ROW_NOTIFY && device->notifying;

                put(b, "Notifying", g_variant_new_boolean(on));
            }
            put(b, "WriteAcquired",
                g_variant_new_boolean(index == ROW_WRITE &&
                                      device->write_acquired.state != ACQUIRED_NOT));
            put(b, "NotifyAcquired",
                g_variant_new_boolean(
                    (index == ROW_OTHER && device->other_left) ||
                    (index == ROW_NOTIFY && device->notify_acquired.state != ACQUIRED_NOT)));
        }
    }
}

GVariant *tree_properties(struct node node)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
    if (node.kind == NODE_ADAPTER) {
        put_adapter(&builder, node.adapter);
    } else if (node.kind == NODE_DEVICE) {
        put_device(&builder, node.device);
    } else if (node.kind >= NODE_SERVICE) {
        put_row(&builder, node.device, node.row);
    }
    return g_variant_builder_end(&builder);
}

GVariant *tree_interfaces(struct node node)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{sa{sv}}"));
    g_variant_builder_add(&builder, "{sa{sv}}", "org.freedesktop.DBus.Introspectable", NULL);
    g_variant_builder_add(&builder, "{s@a{sv}}", tree_interface(node.kind), tree_properties(node));
    g_variant_builder_add(&builder, "{sa{sv}}", PROPERTIES_INTERFACE, NULL);
    return g_variant_builder_end(&builder);
}

void tree_added(struct sim *sim, struct node node)
{
    g_autofree char *path = tree_path(node);

    bus_signal(sim, "/", MANAGER_INTERFACE, "InterfacesAdded",
               g_variant_new("(o@a{sa{sv}})", path, tree_interfaces(node)));
}

void tree_removed(struct sim *sim, struct node node)
{
    g_autofree char *path = tree_path(node);
    const char *names[] = {PROPERTIES_INTERFACE, "org.freedesktop.DBus.Introspectable",
                           tree_interface(node.kind), NULL};

    bus_signal(sim, "/", MANAGER_INTERFACE, "InterfacesRemoved",
               g_variant_new("(o^as)", path, names));
}

void tree_changed(struct sim *sim, struct node node, ...)
{
    g_autofree char *path = tree_path(node);
    g_autoptr(GVariant) all = g_variant_ref_sink(tree_properties(node));
    GVariantBuilder changed;
    GVariantBuilder invalidated;
    const char *name;
    va_list names;

    g_variant_builder_init(&changed, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_init(&invalidated, G_VARIANT_TYPE_STRING_ARRAY);
    va_start(names, node);
    while ((name = va_arg(names, const char *)) != NULL) {
        g_autoptr(GVariant) value = g_variant_lookup_value(all, name, NULL);

        if (value != NULL) {
            put(&changed, name, value);
        } else {
            g_variant_builder_add(&invalidated, "s", name);
        }
    }
    va_end(names);
    bus_signal(sim, path, PROPERTIES_INTERFACE, "PropertiesChanged",
               g_variant_new("(sa{sv}as)", tree_interface(node.kind), &changed, &invalidated));
}

void tree_gatt(struct device *device, gboolean module_only, gboolean add)
{
    guint first = module_only ? ROW_SERVICE : 0;

    if (add) {
        gboolean others = device->gatt_exported;
        gboolean module = device->module_exported;

        device->gatt_exported = TRUE;
        device->module_exported = fault_on(&device->battery->faults, FAULT_NO_SERVICE) == NULL;
        device->wrong_services = fault_on(&device->battery->faults, FAULT_WRONG_SERVICES) != NULL;
        for (guint i = 0; i < GATT_ROWS; i++) {
            if (tree_row_exists(device, i) && !(i >= ROW_SERVICE ? module : others)) {
                tree_added(device->sim, tree_row(device, i));
            }
        }
        return;
    }
    /* Leaves first, as BlueZ does. */
    for (guint i = GATT_ROWS; i-- > first;) {
        if (tree_row_exists(device, i)) {
            tree_removed(device->sim, tree_row(device, i));
        }
    }
    device->module_exported = FALSE;
    if (!module_only) {
        device->gatt_exported = FALSE;
    }
}
