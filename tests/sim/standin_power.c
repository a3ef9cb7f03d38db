/* SPDX-License-Identifier: MIT */
/*
 * Adapters that come and go: plugged in and pulled, switched on and off, blocked by rfkill.
 *
 * Owns the list of them. An adapter is one and the same by its address, as what BlueZ has stored is
 * sorted by it; its name is what the kernel gives it this time.
 */
#include "sim.h"

#include <string.h>

#define ADAPTERS_MAX 8

gboolean adapter_is_name(const char *text)
{
    return g_str_has_prefix(text, "hci") && text[3] != '\0' && strlen(text) < 12 &&
           strspn(text + 3, "0123456789") == strlen(text + 3);
}

const char *adapter_name(const struct adapter *adapter)
{
    return strrchr(adapter->path, '/') + 1;
}

static struct adapter *find(struct sim *sim, gboolean plugged, const char *name)
{
    for (guint i = 0; i < sim->adapters->len; i++) {
        struct adapter *adapter = sim->adapters->pdata[i];

        if (adapter->plugged == plugged &&
            (name == NULL || strcmp(adapter_name(adapter), name) == 0 ||
             g_ascii_strcasecmp(adapter->address, name) == 0)) {
            return adapter;
        }
    }
    return NULL;
}

struct adapter *adapter_find(struct sim *sim, const char *name)
{
    struct adapter *plugged;

    if (name == NULL) {
        return sim->adapters->len > 0 ? sim->adapters->pdata[0] : NULL;
    }
    plugged = find(sim, TRUE, name);
    return plugged != NULL ? plugged : find(sim, FALSE, name);
}

/* ---- power ----------------------------------------------------------------------------------- */

static void scan_ends(struct adapter *adapter)
{
    adapter->discovering = FALSE;
    for (guint i = 0; i < adapter->devices->len; i++) {
        struct device *device = adapter->devices->pdata[i];

        sim_cancel(&device->seen_timer);
        device->rssi_known = FALSE;
    }
}

/* What goes with the power, whether it is switched off or the adapter is pulled. */
static void lose_radio(struct adapter *adapter, gboolean signal)
{
    gboolean discovering = adapter->discovering;

    for (guint i = 0; i < adapter->devices->len; i++) {
        struct device *device = adapter->devices->pdata[i];

        device_abort(device, ERROR_FAILED, "le-connection-abort-by-local");
        link_down(device, "power", FALSE, signal);
    }
    g_hash_table_remove_all(adapter->clients);
    scan_ends(adapter);
    if (signal && discovering) {
        tree_changed(adapter->sim, tree_adapter(adapter), "Discovering", NULL);
        control_event(adapter->sim, "discovery off %s", adapter_name(adapter));
        for (guint i = 0; i < adapter->devices->len; i++) {
            device_scan(adapter->devices->pdata[i], FALSE);
        }
    }
}

void adapter_power(struct adapter *adapter, gboolean on)
{
    struct sim *sim = adapter->sim;

    sim_cancel(&adapter->power_timer);
    bus_error(sim, g_steal_pointer(&adapter->power_call), ERROR_FAILED, "Failed");
    if (adapter->powered == on || !adapter->present || (on && adapter->rfkilled)) {
        return;
    }
    if (!on) {
        lose_radio(adapter, sim->running);
    } else {
        adapter->wedge = WEDGE_NONE;
    }
    adapter->powered = on;
    if (sim->running) {
        tree_changed(sim, tree_adapter(adapter), "Powered", NULL);
    }
    control_event(sim, "powered %s %s", on ? "on" : "off", adapter_name(adapter));
}

/* The controller has done as it was told: the reply comes between what the links lose and the
 * change of Powered. */
static gboolean on_power(gpointer data)
{
    struct adapter *adapter = data;

    adapter->power_timer = 0;
    if (!adapter->power_wanted && adapter->powered) {
        lose_radio(adapter, TRUE);
    }
    bus_reply(adapter->sim, g_steal_pointer(&adapter->power_call), NULL);
    adapter_power(adapter, adapter->power_wanted);
    return G_SOURCE_REMOVE;
}

static void power_soon(struct adapter *adapter, gboolean on, GDBusMessage *call)
{
    sim_cancel(&adapter->power_timer);
    adapter->power_wanted = on;
    adapter->power_call = call;
    adapter->power_timer = sim_after(adapter->sim->timing.power, on_power, adapter);
}

static void set_powered(struct adapter *adapter, GDBusMessage *call, gboolean on)
{
    struct sim *sim = adapter->sim;

    control_event(sim, "set-powered %s %s", on ? "on" : "off", adapter_name(adapter));
    if (adapter->power_timer != 0) {
        bus_error(sim, call, ERROR_BUSY, "");
        return;
    }
    if (adapter->powered == on) {
        bus_reply(sim, call, NULL);
        return;
    }
    if (on && adapter->rfkilled) {
        bus_error(sim, call, ERROR_BLOCKED, "Blocked through rfkill");
        return;
    }
    for (guint i = 0; i < adapter->devices->len && !on; i++) {
        struct device *device = adapter->devices->pdata[i];

        if (device->temporary) {
            device_unexport(device, TRUE);
        }
    }
    power_soon(adapter, on, call);
}

void adapter_set(struct adapter *adapter, GDBusMessage *call, const char *property, GVariant *value)
{
    struct sim *sim = adapter->sim;

    if (strcmp(property, "Powered") == 0 && g_variant_is_of_type(value, G_VARIANT_TYPE_BOOLEAN)) {
        set_powered(adapter, call, g_variant_get_boolean(value));
    } else if (strcmp(property, "Alias") == 0 &&
               g_variant_is_of_type(value, G_VARIANT_TYPE_STRING)) {
        g_free(adapter->alias);
        adapter->alias = g_variant_dup_string(value, NULL);
        bus_reply(sim, call, NULL);
        tree_changed(sim, tree_adapter(adapter), "Alias", NULL);
    } else {
        bus_error(sim, call, "org.freedesktop.DBus.Error.PropertyReadOnly",
                  "Property is read-only or does not exist");
    }
}

void adapter_rfkill(struct adapter *adapter, gboolean blocked)
{
    if (adapter->rfkilled == blocked) {
        return;
    }
    adapter->rfkilled = blocked;
    if (blocked) {
        adapter_power(adapter, FALSE);
    } else if (adapter->present) {
        /* bluetoothd switches it on itself. */
        power_soon(adapter, TRUE, NULL);
    }
}

/* ---- coming and going ------------------------------------------------------------------------ */

static struct adapter *adapter_new(struct sim *sim, const char *address)
{
    struct adapter *adapter = g_new0(struct adapter, 1);

    adapter->sim = sim;
    adapter->path = g_strdup("/org/bluez/hci0");
    adapter->address = address != NULL
                           ? g_ascii_strup(address, -1)
                           : g_strdup_printf("00:1A:7D:DA:71:%02X", 0x13 + sim->adapters->len);
    adapter->alias = g_strdup("simulated");
    adapter->clients = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    adapter->devices = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < sim->batteries->len; i++) {
        struct device *device = g_new0(struct device, 1);

        device->sim = sim;
        device->battery = sim->batteries->pdata[i];
        device->adapter = adapter;
        device->stored = device->battery->known;
        g_ptr_array_add(adapter->devices, device);
    }
    g_ptr_array_add(sim->adapters, adapter);
    return adapter;
}

void adapter_free(gpointer data)
{
    struct adapter *adapter = data;

    for (guint i = 0; i < adapter->devices->len; i++) {
        struct device *device = adapter->devices->pdata[i];

        sim_cancel(&device->seen_timer);
        sim_cancel(&device->temporary_timer);
        notify_forget(device);
    }
    g_ptr_array_unref(adapter->devices);
    g_hash_table_unref(adapter->clients);
    g_free(adapter->path);
    g_free(adapter->address);
    g_free(adapter->alias);
    g_free(adapter);
}

/* What the kernel calls it: as is wished, or as before, or by the lowest number that is free. */
static gboolean set_name(struct adapter *adapter, const char *wish)
{
    struct sim *sim = adapter->sim;
    g_autofree char *name = g_strdup(wish != NULL ? wish : adapter_name(adapter));

    for (guint i = 0; find(sim, TRUE, name) != NULL; i++) {
        if (wish != NULL) {
            return FALSE;
        }
        g_free(name);
        name = g_strdup_printf("hci%u", i);
    }
    g_free(adapter->path);
    adapter->path = g_strdup_printf("/org/bluez/%s", name);
    return TRUE;
}

struct adapter *adapter_plug(struct sim *sim, const char *name, const char *address)
{
    struct adapter *adapter = find(sim, FALSE, address);

    if (address != NULL && find(sim, TRUE, address) != NULL) {
        return NULL;
    }
    if (adapter == NULL) {
        if (sim->adapters->len >= ADAPTERS_MAX) {
            return NULL;
        }
        adapter = adapter_new(sim, address);
    }
    if (!set_name(adapter, name)) {
        return NULL;
    }
    adapter->plugged = TRUE;
    return adapter;
}

void adapter_add(struct adapter *adapter)
{
    struct sim *sim = adapter->sim;

    if (adapter->present) {
        return;
    }
    adapter->present = TRUE;
    if (sim->running) {
        tree_added(sim, tree_adapter(adapter));
    }
    for (guint i = 0; i < adapter->devices->len; i++) {
        struct device *device = adapter->devices->pdata[i];

        /* What BlueZ has stored is there at once, without its GATT objects. */
        if (device->stored && !device->exported) {
            device_export(device, FALSE);
        }
    }
    control_event(sim, "adapter add %s", adapter->path);
    if (!adapter->powered && !adapter->rfkilled) {
        power_soon(adapter, TRUE, NULL);
    }
}

void adapter_remove(struct adapter *adapter, gboolean polite)
{
    struct sim *sim = adapter->sim;

    if (!adapter->present) {
        return;
    }
    sim_cancel(&adapter->power_timer);
    bus_error(sim, g_steal_pointer(&adapter->power_call), ERROR_NOT_READY, "Resource Not Ready");
    lose_radio(adapter, polite);
    if (polite && adapter->powered) {
        adapter->powered = FALSE;
        tree_changed(sim, tree_adapter(adapter), "Powered", NULL);
    }
    for (guint i = 0; i < adapter->devices->len; i++) {
        device_unexport(adapter->devices->pdata[i], polite);
    }
    if (polite) {
        tree_removed(sim, tree_adapter(adapter));
        adapter->wedge = WEDGE_NONE;
    }
    adapter->present = FALSE;
    control_event(sim, "adapter remove %s", adapter->path);
}
