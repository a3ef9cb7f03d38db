/* SPDX-License-Identifier: MIT */
/*
 * Reads the reply of GetManagedObjects: adapters, devices, GATT services and characteristics.
 *
 * Each property is looked up with the type that it must have. One that is missing or of another
 * type counts as not there; no reply can do more harm than that.
 */
#include "private.h"

#include <string.h>

enum { MAX_LISTED_SERVICES = 8 };

GVariant *objects_interface(GVariant *interfaces, const char *iface)
{
    return g_variant_lookup_value(interfaces, iface, G_VARIANT_TYPE_VARDICT);
}

static gboolean get_boolean(GVariant *properties, const char *name, gboolean otherwise)
{
    gboolean value = otherwise;

    g_variant_lookup(properties, name, "b", &value);
    return value;
}

/* @return whether the string or object path @a name is there and equals @a value */
static gboolean property_is(GVariant *properties, const char *name, const char *value)
{
    g_autoptr(GVariant) property = g_variant_lookup_value(properties, name, NULL);

    return property &&
           (g_variant_is_of_type(property, G_VARIANT_TYPE_STRING) ||
            g_variant_is_of_type(property, G_VARIANT_TYPE_OBJECT_PATH)) &&
           g_ascii_strcasecmp(g_variant_get_string(property, NULL), value) == 0;
}

/* ---- adapters ------------------------------------------------------------------------------ */

static gboolean adapter_matches(const char *path, GVariant *properties, const char *wanted)
{
    const char *name = strrchr(path, '/') + 1; /* an object path always has a slash */

    return !wanted || strcmp(name, wanted) == 0 || property_is(properties, "Address", wanted);
}

gboolean objects_find_adapter(GVariant *objects, const char *wanted, char **path, gboolean *powered)
{
    g_autoptr(GVariant) dictionary = g_variant_get_child_value(objects, 0);
    GVariantIter iter;
    const char *object;
    GVariant *interfaces;

    *path = NULL;
    *powered = FALSE;
    g_variant_iter_init(&iter, dictionary);
    while (g_variant_iter_loop(&iter, "{&o@a{sa{sv}}}", &object, &interfaces)) {
        g_autoptr(GVariant) adapter = objects_interface(interfaces, ADAPTER_IFACE);

        if (!adapter || !adapter_matches(object, adapter, wanted))
            continue;

        gboolean on = get_boolean(adapter, "Powered", TRUE);

        /* In the order of their names, a powered one before one that is off. */
        if (!*path || (on && !*powered) || (on == *powered && strcmp(object, *path) < 0)) {
            g_free(*path);
            *path = g_strdup(object);
            *powered = on;
        }
    }
    return *path != NULL;
}

/* ---- devices ------------------------------------------------------------------------------- */

gboolean objects_is_device(GVariant *interfaces, const char *adapter, const char *address)
{
    g_autoptr(GVariant) device = objects_interface(interfaces, DEVICE_IFACE);

    return device && property_is(device, "Address", address) &&
           property_is(device, "Adapter", adapter);
}

gboolean objects_find_device(GVariant *objects, const char *adapter, const char *address,
                             DeviceInfo *info)
{
    g_autoptr(GVariant) dictionary = g_variant_get_child_value(objects, 0);
    GVariantIter iter;
    const char *object;
    GVariant *interfaces;

    memset(info, 0, sizeof *info);
    g_variant_iter_init(&iter, dictionary);
    while (g_variant_iter_loop(&iter, "{&o@a{sa{sv}}}", &object, &interfaces)) {
        if (info->path || !objects_is_device(interfaces, adapter, address))
            continue;

        g_autoptr(GVariant) device = objects_interface(interfaces, DEVICE_IFACE);

        info->path = g_strdup(object);
        info->paired = get_boolean(device, "Paired", FALSE);
        info->connected = get_boolean(device, "Connected", FALSE);
        info->services_resolved = get_boolean(device, "ServicesResolved", FALSE);
    }
    return info->path != NULL;
}

void device_info_clear(DeviceInfo *info)
{
    g_clear_pointer(&info->path, g_free);
}

/* ---- GATT ---------------------------------------------------------------------------------- */

static const struct {
    const char *service;
    const char *notify;
    const char *write;
} modules[] = {
    {"0000ff00-0000-1000-8000-00805f9b34fb", "0000ff01-0000-1000-8000-00805f9b34fb",
     "0000ff02-0000-1000-8000-00805f9b34fb"},
    {"0000fff0-0000-1000-8000-00805f9b34fb", "0000fff1-0000-1000-8000-00805f9b34fb",
     "0000fff2-0000-1000-8000-00805f9b34fb"},
};

static gboolean is_below(const char *path, const char *parent)
{
    size_t length = strlen(parent);

    return strncmp(path, parent, length) == 0 && path[length] == '/';
}

static gboolean has_flag(GVariant *characteristic, const char *flag)
{
    g_autofree const char **flags = NULL;

    return g_variant_lookup(characteristic, "Flags", "^a&s", &flags) &&
           g_strv_contains(flags, flag);
}

/* Path of the service with @a uuid below @a device, to be freed, or NULL. */
static char *find_service(GVariant *dictionary, const char *device, const char *uuid)
{
    char *found = NULL;
    GVariantIter iter;
    const char *object;
    GVariant *interfaces;

    g_variant_iter_init(&iter, dictionary);
    while (g_variant_iter_loop(&iter, "{&o@a{sa{sv}}}", &object, &interfaces)) {
        g_autoptr(GVariant) service = objects_interface(interfaces, SERVICE_IFACE);

        if (!found && service && is_below(object, device) && property_is(service, "UUID", uuid))
            found = g_strdup(object);
    }
    return found;
}

static void take_characteristic(GattInfo *info, const char *object, GVariant *characteristic,
                                const char *notify, const char *write)
{
    if (!info->notify_path && property_is(characteristic, "UUID", notify) &&
        has_flag(characteristic, "notify")) {
        info->notify_path = g_strdup(object);
        info->notifying = get_boolean(characteristic, "Notifying", FALSE);
        info->notify_acquired = get_boolean(characteristic, "NotifyAcquired", FALSE);
    }
    if (!info->write_path && property_is(characteristic, "UUID", write)) {
        info->can_command = has_flag(characteristic, "write-without-response");
        info->can_request = has_flag(characteristic, "write");
        info->write_acquired = get_boolean(characteristic, "WriteAcquired", FALSE);
        if (info->can_command || info->can_request)
            info->write_path = g_strdup(object);
    }
}

static gboolean find_module(GVariant *dictionary, const char *device, gsize module, GattInfo *info)
{
    g_autofree char *service = find_service(dictionary, device, modules[module].service);
    GVariantIter iter;
    const char *object;
    GVariant *interfaces;

    if (!service)
        return FALSE;
    g_variant_iter_init(&iter, dictionary);
    while (g_variant_iter_loop(&iter, "{&o@a{sa{sv}}}", &object, &interfaces)) {
        g_autoptr(GVariant) characteristic = objects_interface(interfaces, CHAR_IFACE);

        if (characteristic && is_below(object, service))
            take_characteristic(info, object, characteristic, modules[module].notify,
                                modules[module].write);
    }
    return info->notify_path && info->write_path;
}

gboolean objects_find_gatt(GVariant *objects, const char *device, GattInfo *info)
{
    g_autoptr(GVariant) dictionary = g_variant_get_child_value(objects, 0);

    memset(info, 0, sizeof *info);
    for (gsize i = 0; i < G_N_ELEMENTS(modules); i++) {
        if (find_module(dictionary, device, i, info))
            return TRUE;
        gatt_info_clear(info);
    }
    return FALSE;
}

void gatt_info_clear(GattInfo *info)
{
    g_free(info->notify_path);
    g_free(info->write_path);
    memset(info, 0, sizeof *info);
}

gboolean objects_any_acquired(GVariant *objects, const char *device)
{
    g_autoptr(GVariant) dictionary = g_variant_get_child_value(objects, 0);
    gboolean any = FALSE;
    GVariantIter iter;
    const char *object;
    GVariant *interfaces;

    g_variant_iter_init(&iter, dictionary);
    while (g_variant_iter_loop(&iter, "{&o@a{sa{sv}}}", &object, &interfaces)) {
        g_autoptr(GVariant) characteristic = objects_interface(interfaces, CHAR_IFACE);

        any = any || (characteristic && is_below(object, device) &&
                      get_boolean(characteristic, "NotifyAcquired", FALSE));
    }
    return any;
}

char *objects_list_services(GVariant *objects, const char *device)
{
    static const char base[] = "-0000-1000-8000-00805f9b34fb";
    g_autoptr(GVariant) dictionary = g_variant_get_child_value(objects, 0);
    GString *list = g_string_new(NULL);
    unsigned count = 0;
    GVariantIter iter;
    const char *object;
    GVariant *interfaces;

    g_variant_iter_init(&iter, dictionary);
    while (g_variant_iter_loop(&iter, "{&o@a{sa{sv}}}", &object, &interfaces)) {
        g_autoptr(GVariant) service = objects_interface(interfaces, SERVICE_IFACE);
        const char *uuid;

        if (!service || !is_below(object, device) ||
            !g_variant_lookup(service, "UUID", "&s", &uuid) || count++ >= MAX_LISTED_SERVICES)
            continue;
        if (strlen(uuid) == 36 && strncmp(uuid, "0000", 4) == 0 && strcmp(uuid + 8, base) == 0)
            g_string_append_printf(list, "%s%.4s", list->len ? " " : "", uuid + 4);
        else
            g_string_append_printf(list, "%s%.36s", list->len ? " " : "", uuid);
    }
    return g_string_free(list, FALSE);
}

const char *objects_guess_make(const char *services)
{
    /* As the drivers of aiobmsble expect them. */
    static const struct {
        const char *service;
        const char *make;
    } makes[] = {
        {"ffe0", "JK, ANT and LiTime boards"},
        {"ffd0", "Renogy batteries"},
        {"fff0", "Offgridtec and Pro BMS boards"}, /* with other characteristics than ours */
        {"6e400001-b5a3-f393-e0a9-e50e24dcca9e", "E&J and Vatrer boards"},
        {"6e6f736a-4643-4d44-8fa9-0fafd005e455", "Felicity batteries"},
    };
    g_auto(GStrv) words = g_strsplit(services, " ", -1);

    for (gsize i = 0; i < G_N_ELEMENTS(makes); i++)
        if (g_strv_contains((const char *const *)words, makes[i].service))
            return makes[i].make;
    return NULL;
}
