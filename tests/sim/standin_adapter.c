/* SPDX-License-Identifier: MIT */
/*
 * Adapter1: discovery, which belongs to each D-Bus client, and the removal of devices.
 */
#include "sim.h"

#include <string.h>

/* What BlueZ keeps for one client: a filter, a running discovery, or both. */
struct discovery {
    gboolean filtered;
    gboolean running;
};

static void set_discovering(struct adapter *adapter, gboolean on)
{
    struct sim *sim = adapter->sim;

    if (adapter->discovering == on) {
        return;
    }
    adapter->discovering = on;
    tree_changed(sim, tree_adapter(adapter), "Discovering", NULL);
    control_event(sim, "discovery %s %s", on ? "on" : "off", adapter_name(adapter));
    for (guint i = 0; i < adapter->devices->len; i++) {
        struct device *device = adapter->devices->pdata[i];

        if (on && device->connect_call != NULL) {
            sim->scan_while_connecting++;
        }
        device_scan(device, on);
    }
}

static void update_discovering(struct adapter *adapter)
{
    GHashTableIter iter;
    gpointer value;
    gboolean any = FALSE;

    g_hash_table_iter_init(&iter, adapter->clients);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct discovery *discovery = value;

        any = any || discovery->running;
    }
    set_discovering(adapter, any);
}

gboolean adapter_is_scanned_by(const struct adapter *adapter, const char *client)
{
    const struct discovery *discovery = g_hash_table_lookup(adapter->clients, client);

    return discovery != NULL && discovery->running;
}

static struct discovery *client_of(struct adapter *adapter, GDBusMessage *call, gboolean create)
{
    const char *sender = g_dbus_message_get_sender(call);
    struct discovery *discovery = g_hash_table_lookup(adapter->clients, sender);

    if (discovery == NULL && create) {
        discovery = g_new0(struct discovery, 1);
        g_hash_table_insert(adapter->clients, g_strdup(sender), discovery);
    }
    return discovery;
}

static void start_discovery(struct adapter *adapter, GDBusMessage *call)
{
    struct discovery *discovery;

    if (!adapter->powered) {
        bus_error(adapter->sim, call, ERROR_NOT_READY, "Resource Not Ready");
        return;
    }
    discovery = client_of(adapter, call, TRUE);
    if (discovery->running) {
        bus_error(adapter->sim, call, ERROR_IN_PROGRESS, "Operation already in progress");
        return;
    }
    discovery->running = TRUE;
    bus_reply(adapter->sim, call, NULL);
    update_discovering(adapter);
}

static void stop_discovery(struct adapter *adapter, GDBusMessage *call)
{
    struct discovery *discovery;

    if (!adapter->powered) {
        bus_error(adapter->sim, call, ERROR_NOT_READY, "Resource Not Ready");
        return;
    }
    discovery = client_of(adapter, call, FALSE);
    if (discovery == NULL || !discovery->running) {
        bus_error(adapter->sim, call, ERROR_FAILED, "No discovery started");
        return;
    }
    g_hash_table_remove(adapter->clients, g_dbus_message_get_sender(call));
    bus_reply(adapter->sim, call, NULL);
    update_discovering(adapter);
}

static void set_filter(struct adapter *adapter, GDBusMessage *call)
{
    GVariant *body = g_dbus_message_get_body(call);
    g_autoptr(GVariant) filter = NULL;
    g_autoptr(GVariant) transport = NULL;

    if (body == NULL || !g_variant_is_of_type(body, G_VARIANT_TYPE("(a{sv})"))) {
        bus_error(adapter->sim, call, ERROR_INVALID, "Invalid arguments in method call");
        return;
    }
    filter = g_variant_get_child_value(body, 0);
    transport = g_variant_lookup_value(filter, "Transport", NULL);
    if (transport != NULL) {
        const char *text = g_variant_is_of_type(transport, G_VARIANT_TYPE_STRING)
                               ? g_variant_get_string(transport, NULL)
                               : "";

        if (strcmp(text, "le") != 0 && strcmp(text, "auto") != 0 && strcmp(text, "bredr") != 0) {
            bus_error(adapter->sim, call, ERROR_INVALID, "Invalid arguments in method call");
            return;
        }
    }
    if (g_variant_n_children(filter) > 0) {
        client_of(adapter, call, TRUE)->filtered = TRUE;
    } else {
        struct discovery *discovery = client_of(adapter, call, FALSE);

        if (discovery != NULL && !discovery->running) {
            g_hash_table_remove(adapter->clients, g_dbus_message_get_sender(call));
        }
    }
    bus_reply(adapter->sim, call, NULL);
}

static void remove_device(struct adapter *adapter, GDBusMessage *call)
{
    GVariant *body = g_dbus_message_get_body(call);
    const char *path;
    struct node node;

    if (body == NULL || !g_variant_is_of_type(body, G_VARIANT_TYPE("(o)"))) {
        bus_error(adapter->sim, call, ERROR_INVALID, "Invalid arguments in method call");
        return;
    }
    g_variant_get(body, "(&o)", &path);
    node = tree_find(adapter->sim, path);
    if (node.kind != NODE_DEVICE || node.device->adapter != adapter) {
        bus_error(adapter->sim, call, ERROR_NO_DEVICE, "Does Not Exist");
    } else if (!adapter->powered) {
        bus_error(adapter->sim, call, ERROR_NOT_READY, "Resource Not Ready");
    } else {
        control_event(adapter->sim, "remove-device %s %s", node.device->battery->address,
                      adapter_name(adapter));
        device_remove(node.device, call);
    }
}

void adapter_call(struct adapter *adapter, GDBusMessage *call, const char *member)
{
    if (strcmp(member, "StartDiscovery") == 0) {
        start_discovery(adapter, call);
    } else if (strcmp(member, "StopDiscovery") == 0) {
        stop_discovery(adapter, call);
    } else if (strcmp(member, "SetDiscoveryFilter") == 0) {
        set_filter(adapter, call);
    } else if (strcmp(member, "RemoveDevice") == 0) {
        remove_device(adapter, call);
    } else if (strcmp(member, "GetDiscoveryFilters") == 0) {
        const char *filters[] = {"UUIDs",         "RSSI",         "Pathloss", "Transport",
                                 "DuplicateData", "Discoverable", "Pattern",  NULL};

        bus_reply(adapter->sim, call, g_variant_new("(^as)", filters));
    } else {
        bus_error(adapter->sim, call, "org.freedesktop.DBus.Error.UnknownMethod", "No such method");
    }
}

void adapter_client_gone(struct adapter *adapter, const char *client)
{
    if (g_hash_table_remove(adapter->clients, client)) {
        update_discovering(adapter);
    }
}
