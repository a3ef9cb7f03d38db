/* SPDX-License-Identifier: MIT */
/*
 * Adapter1: discovery, which belongs to each D-Bus client, and power; the adapter that is pulled
 * and put back.
 */
#include "sim.h"

#include <string.h>

/* What BlueZ keeps for one client: a filter, a running discovery, or both. */
struct discovery {
    gboolean filtered;
    gboolean running;
};

static struct node self(void)
{
    return (struct node){NODE_ADAPTER, NULL, 0};
}

static void set_discovering(struct sim *sim, gboolean on)
{
    if (sim->adapter.discovering == on) {
        return;
    }
    sim->adapter.discovering = on;
    tree_changed(sim, self(), "Discovering", NULL);
    control_event(sim, "discovery %s", on ? "on" : "off");
    for (guint i = 0; i < sim->batteries->len; i++) {
        struct battery *battery = sim->batteries->pdata[i];

        if (on && battery->connect_call != NULL) {
            sim->scan_while_connecting++;
        }
        device_scan(battery, on);
    }
}

static void update_discovering(struct sim *sim)
{
    GHashTableIter iter;
    gpointer value;
    gboolean any = FALSE;

    g_hash_table_iter_init(&iter, sim->adapter.clients);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct discovery *discovery = value;

        any = any || discovery->running;
    }
    set_discovering(sim, any);
}

static struct discovery *client_of(struct sim *sim, GDBusMessage *call, gboolean create)
{
    const char *sender = g_dbus_message_get_sender(call);
    struct discovery *discovery = g_hash_table_lookup(sim->adapter.clients, sender);

    if (discovery == NULL && create) {
        discovery = g_new0(struct discovery, 1);
        g_hash_table_insert(sim->adapter.clients, g_strdup(sender), discovery);
    }
    return discovery;
}

static void start_discovery(struct sim *sim, GDBusMessage *call)
{
    struct discovery *discovery;

    if (!sim->adapter.powered) {
        bus_error(sim, call, ERROR_NOT_READY, "Resource Not Ready");
        return;
    }
    discovery = client_of(sim, call, TRUE);
    if (discovery->running) {
        bus_error(sim, call, ERROR_IN_PROGRESS, "Operation already in progress");
        return;
    }
    discovery->running = TRUE;
    bus_reply(sim, call, NULL);
    update_discovering(sim);
}

static void stop_discovery(struct sim *sim, GDBusMessage *call)
{
    struct discovery *discovery;

    if (!sim->adapter.powered) {
        bus_error(sim, call, ERROR_NOT_READY, "Resource Not Ready");
        return;
    }
    discovery = client_of(sim, call, FALSE);
    if (discovery == NULL || !discovery->running) {
        bus_error(sim, call, ERROR_FAILED, "No discovery started");
        return;
    }
    g_hash_table_remove(sim->adapter.clients, g_dbus_message_get_sender(call));
    bus_reply(sim, call, NULL);
    update_discovering(sim);
}

static void set_filter(struct sim *sim, GDBusMessage *call)
{
    GVariant *body = g_dbus_message_get_body(call);
    g_autoptr(GVariant) filter = NULL;
    g_autoptr(GVariant) transport = NULL;

    if (body == NULL || !g_variant_is_of_type(body, G_VARIANT_TYPE("(a{sv})"))) {
        bus_error(sim, call, ERROR_INVALID, "Invalid arguments in method call");
        return;
    }
    filter = g_variant_get_child_value(body, 0);
    transport = g_variant_lookup_value(filter, "Transport", NULL);
    if (transport != NULL) {
        const char *text = g_variant_is_of_type(transport, G_VARIANT_TYPE_STRING)
                               ? g_variant_get_string(transport, NULL)
                               : "";

        if (strcmp(text, "le") != 0 && strcmp(text, "auto") != 0 && strcmp(text, "bredr") != 0) {
            bus_error(sim, call, ERROR_INVALID, "Invalid arguments in method call");
            return;
        }
    }
    if (g_variant_n_children(filter) > 0) {
        client_of(sim, call, TRUE)->filtered = TRUE;
    } else {
        struct discovery *discovery = client_of(sim, call, FALSE);

        if (discovery != NULL && !discovery->running) {
            g_hash_table_remove(sim->adapter.clients, g_dbus_message_get_sender(call));
        }
    }
    bus_reply(sim, call, NULL);
}

static void remove_device(struct sim *sim, GDBusMessage *call)
{
    GVariant *body = g_dbus_message_get_body(call);
    const char *path;
    struct node node;

    if (body == NULL || !g_variant_is_of_type(body, G_VARIANT_TYPE("(o)"))) {
        bus_error(sim, call, ERROR_INVALID, "Invalid arguments in method call");
        return;
    }
    g_variant_get(body, "(&o)", &path);
    node = tree_find(sim, path);
    if (node.kind != NODE_DEVICE) {
        bus_error(sim, call, ERROR_NO_DEVICE, "Does Not Exist");
    } else if (!sim->adapter.powered) {
        bus_error(sim, call, ERROR_NOT_READY, "Resource Not Ready");
    } else {
        control_event(sim, "remove-device %s", node.battery->address);
        device_remove(node.battery, call);
    }
}

void adapter_call(struct sim *sim, GDBusMessage *call, const char *member)
{
    if (strcmp(member, "StartDiscovery") == 0) {
        start_discovery(sim, call);
    } else if (strcmp(member, "StopDiscovery") == 0) {
        stop_discovery(sim, call);
    } else if (strcmp(member, "SetDiscoveryFilter") == 0) {
        set_filter(sim, call);
    } else if (strcmp(member, "RemoveDevice") == 0) {
        remove_device(sim, call);
    } else if (strcmp(member, "GetDiscoveryFilters") == 0) {
        const char *filters[] = {"UUIDs",         "RSSI",         "Pathloss", "Transport",
                                 "DuplicateData", "Discoverable", "Pattern",  NULL};

        bus_reply(sim, call, g_variant_new("(^as)", filters));
    } else {
        bus_error(sim, call, "org.freedesktop.DBus.Error.UnknownMethod", "No such method");
    }
}

/* What goes with the power, whether it is switched off or the adapter is pulled. */
static void lose_radio(struct sim *sim, gboolean signal)
{
    for (guint i = 0; i < sim->batteries->len; i++) {
        struct battery *battery = sim->batteries->pdata[i];

        device_abort(battery, ERROR_FAILED, "le-connection-abort-by-local");
        link_down(battery, "power", FALSE, signal);
    }
    g_hash_table_remove_all(sim->adapter.clients);
    if (signal) {
        set_discovering(sim, FALSE);
    } else {
        sim->adapter.discovering = FALSE;
        for (guint i = 0; i < sim->batteries->len; i++) {
            struct battery *battery = sim->batteries->pdata[i];

            sim_cancel(&battery->seen_timer);
            battery->rssi_known = FALSE;
        }
    }
}

void adapter_power(struct sim *sim, gboolean on)
{
    if (sim->adapter.powered == on || !sim->adapter.present) {
        return;
    }
    if (!on) {
        lose_radio(sim, sim->running);
    }
    sim->adapter.powered = on;
    if (sim->running) {
        tree_changed(sim, self(), "Powered", NULL);
    }
    control_event(sim, "powered %s", on ? "on" : "off");
}

static gboolean on_power(gpointer data)
{
    struct sim *sim = data;
    GDBusMessage *call = g_steal_pointer(&sim->power_call);
    gboolean on = FALSE;
    g_autoptr(GVariant) value = NULL;

    sim->power_timer = 0;
    g_variant_get(g_dbus_message_get_body(call), "(ssv)", NULL, NULL, &value);
    on = g_variant_get_boolean(value);
    bus_reply(sim, call, NULL);
    adapter_power(sim, on);
    return G_SOURCE_REMOVE;
}

void adapter_set(struct sim *sim, GDBusMessage *call, const char *property, GVariant *value)
{
    if (strcmp(property, "Powered") == 0 && g_variant_is_of_type(value, G_VARIANT_TYPE_BOOLEAN)) {
        if (sim->power_call != NULL) {
            bus_error(sim, call, "org.bluez.Error.Busy", "");
            return;
        }
        if (sim->adapter.powered == g_variant_get_boolean(value)) {
            bus_reply(sim, call, NULL);
            return;
        }
        sim->power_call = call;
        sim->power_timer = sim_after(sim->timing.power, on_power, sim);
    } else if (strcmp(property, "Alias") == 0 &&
               g_variant_is_of_type(value, G_VARIANT_TYPE_STRING)) {
        g_free(sim->adapter.alias);
        sim->adapter.alias = g_variant_dup_string(value, NULL);
        bus_reply(sim, call, NULL);
        tree_changed(sim, self(), "Alias", NULL);
    } else {
        bus_error(sim, call, "org.freedesktop.DBus.Error.PropertyReadOnly",
                  "Property is read-only or does not exist");
    }
}

void adapter_add(struct sim *sim, const char *name)
{
    struct adapter *adapter = &sim->adapter;

    if (adapter->present) {
        return;
    }
    if (name != NULL) {
        g_free(adapter->path);
        adapter->path = g_strdup_printf("/org/bluez/%s", name);
    }
    adapter->present = TRUE;
    adapter->powered = TRUE;
    if (sim->running) {
        tree_added(sim, self());
    }
    for (guint i = 0; i < sim->batteries->len; i++) {
        struct battery *battery = sim->batteries->pdata[i];

        /* What BlueZ has stored is there at once, without its GATT objects. */
        if (battery->stored && !battery->exported) {
            device_export(battery, FALSE);
        }
    }
    control_event(sim, "adapter add %s", adapter->path);
}

void adapter_remove(struct sim *sim, gboolean polite)
{
    if (!sim->adapter.present) {
        return;
    }
    sim_cancel(&sim->power_timer);
    bus_error(sim, g_steal_pointer(&sim->power_call), ERROR_NOT_READY, "Resource Not Ready");
    lose_radio(sim, polite);
    if (polite) {
        sim->adapter.powered = FALSE;
        tree_changed(sim, self(), "Powered", NULL);
    }
    for (guint i = 0; i < sim->batteries->len; i++) {
        device_unexport(sim->batteries->pdata[i], polite);
    }
    if (polite) {
        tree_removed(sim, self());
    }
    sim->adapter.present = FALSE;
    sim->adapter.powered = FALSE;
    control_event(sim, "adapter remove %s", sim->adapter.path);
}

void adapter_client_gone(struct sim *sim, const char *client)
{
    gboolean known = g_hash_table_remove(sim->adapter.clients, client);

    if (known) {
        update_discovering(sim);
    }
    for (guint i = 0; i < sim->batteries->len && !known; i++) {
        const struct battery *battery = sim->batteries->pdata[i];

        for (const GList *l = battery->sessions.head; l != NULL; l = l->next) {
            const struct session *session = l->data;

            known = known || strcmp(session->client, client) == 0;
        }
    }
    if (known) {
        control_event(sim, "client-gone %s", client);
    }
}
