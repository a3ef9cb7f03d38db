/* SPDX-License-Identifier: MIT */
/*
 * The bus: owns the connection and the name org.bluez, takes method calls, routes them, and sends
 * replies and signals.
 *
 * Calls are taken by a message filter instead of GDBus' registered objects: the tree changes all
 * the time, the errors for what is not there must be BlueZ's own, and a daemon that hangs must be
 * able not to answer at all.
 */
#include "sim.h"

#include <gio/gunixfdlist.h>
#include <string.h>

#define HELD_MAX 10000 /* messages kept while hanging */

struct incoming {
    struct sim *sim;
    guint generation;
    GDBusMessage *call;
};

static void incoming_free(gpointer data)
{
    struct incoming *incoming = data;

    g_clear_object(&incoming->call);
    g_free(incoming);
}

static void send_now(struct sim *sim, GDBusMessage *message)
{
    if (sim->bus != NULL) {
        g_dbus_connection_send_message(sim->bus, message, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL,
                                       NULL);
    }
}

void bus_send(struct sim *sim, GDBusMessage *message)
{
    if (!sim->hanging) {
        send_now(sim, message);
    } else if (g_queue_get_length(&sim->outbox) < HELD_MAX) {
        g_queue_push_tail(&sim->outbox, g_object_ref(message));
    }
}

void bus_signal(struct sim *sim, const char *path, const char *interface, const char *member,
                GVariant *arguments)
{
    g_autoptr(GDBusMessage) message = g_dbus_message_new_signal(path, interface, member);

    g_dbus_message_set_body(message, arguments);
    bus_send(sim, message);
}

static gboolean wants_reply(GDBusMessage *call)
{
    return (g_dbus_message_get_flags(call) & G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED) == 0;
}

static void answer(struct sim *sim, GDBusMessage *call, GDBusMessage *reply)
{
    if (!script_keeps(sim->script, call, reply)) {
        bus_send(sim, reply);
    }
}

void bus_reply(struct sim *sim, GDBusMessage *call, GVariant *result)
{
    g_autoptr(GVariant) body = result != NULL ? g_variant_ref_sink(result) : NULL;

    if (call == NULL) {
        return;
    }
    if (wants_reply(call)) {
        g_autoptr(GDBusMessage) reply = g_dbus_message_new_method_reply(call);

        if (body != NULL) {
            g_dbus_message_set_body(reply, body);
        }
        answer(sim, call, reply);
    }
    g_object_unref(call);
}

void bus_reply_fd(struct sim *sim, GDBusMessage *call, int fd, guint16 mtu)
{
    g_autoptr(GDBusMessage) reply = g_dbus_message_new_method_reply(call);
    g_autoptr(GUnixFDList) list = g_unix_fd_list_new();

    g_unix_fd_list_append(list, fd, NULL);
    g_dbus_message_set_unix_fd_list(reply, list);
    g_dbus_message_set_body(reply, g_variant_new("(hq)", 0, mtu));
    answer(sim, call, reply);
    g_object_unref(call);
}

void bus_error(struct sim *sim, GDBusMessage *call, const char *name, const char *text)
{
    if (call == NULL) {
        return;
    }
    if (wants_reply(call)) {
        g_autoptr(GDBusMessage) reply = g_dbus_message_new_method_error_literal(call, name, text);

        answer(sim, call, reply);
    }
    g_object_unref(call);
}

static void unknown_method(struct sim *sim, GDBusMessage *call)
{
    const char *signature = g_dbus_message_get_signature(call);
    g_autofree char *text = g_strdup_printf(
        "Method \"%s\" with signature \"%s\" on interface \"%s\" doesn't exist\n",
        g_dbus_message_get_member(call), signature != NULL ? signature : "",
        g_dbus_message_get_interface(call) != NULL ? g_dbus_message_get_interface(call) : "");

    bus_error(sim, call, "org.freedesktop.DBus.Error.UnknownMethod", text);
}

static void set_property(struct sim *sim, struct node node, GDBusMessage *call, GVariant *body)
{
    const char *interface;
    const char *property;
    g_autoptr(GVariant) value = NULL;

    g_variant_get(body, "(&s&sv)", &interface, &property, &value);
    if (node.kind == NODE_ADAPTER && strcmp(interface, ADAPTER_INTERFACE) == 0) {
        adapter_set(node.adapter, call, property, value);
        return;
    }
    if (node.kind == NODE_DEVICE && g_variant_is_of_type(value, G_VARIANT_TYPE_BOOLEAN) &&
        strcmp(property, "Trusted") == 0) {
        node.device->trusted = g_variant_get_boolean(value);
        tree_changed(sim, node, property, NULL);
        bus_reply(sim, call, NULL);
        return;
    }
    if (node.kind == NODE_DEVICE && g_variant_is_of_type(value, G_VARIANT_TYPE_BOOLEAN) &&
        strcmp(property, "Blocked") == 0) {
        device_block(node.device, g_variant_get_boolean(value));
        bus_reply(sim, call, NULL);
        return;
    }
    bus_error(sim, call, "org.freedesktop.DBus.Error.PropertyReadOnly",
              "Property is read-only or does not exist");
}

static void properties_call(struct sim *sim, struct node node, GDBusMessage *call,
                            const char *member)
{
    GVariant *body = g_dbus_message_get_body(call);
    const char *type = body != NULL ? g_variant_get_type_string(body) : "";
    const char *own = tree_interface(node.kind);
    const char *interface = NULL;
    const char *property = NULL;
    g_autoptr(GVariant) all = NULL;
    g_autoptr(GVariant) value = NULL;

    if (strcmp(member, "Set") == 0 && strcmp(type, "(ssv)") == 0) {
        set_property(sim, node, call, body);
        return;
    }
    if (strcmp(member, "Get") == 0 && strcmp(type, "(ss)") == 0) {
        g_variant_get(body, "(&s&s)", &interface, &property);
    } else if (strcmp(member, "GetAll") == 0 && strcmp(type, "(s)") == 0) {
        g_variant_get(body, "(&s)", &interface);
    } else {
        unknown_method(sim, call);
        return;
    }
    if (own == NULL || strcmp(own, interface) != 0) {
        bus_error(sim, call, "org.freedesktop.DBus.Error.InvalidArgs", "No such interface");
        return;
    }
    all = g_variant_ref_sink(tree_properties(node));
    if (property == NULL) {
        bus_reply(sim, call, g_variant_new("(@a{sv})", all));
        return;
    }
    value = g_variant_lookup_value(all, property, NULL);
    if (value == NULL) {
        bus_error(sim, call, "org.freedesktop.DBus.Error.InvalidArgs", "No such property");
        return;
    }
    bus_reply(sim, call, g_variant_new("(v)", value));
}

/* @return whether the call was one of those that every object has. */
static gboolean standard_call(struct sim *sim, struct node node, GDBusMessage *call,
                              const char *interface, const char *member)
{
    const char *path = g_dbus_message_get_path(call);

    if (strcmp(interface, "org.freedesktop.DBus.Peer") == 0 && strcmp(member, "Ping") == 0) {
        bus_reply(sim, call, NULL);
        return TRUE;
    }
    if (strcmp(interface, "org.freedesktop.DBus.Introspectable") == 0 && node.kind != NODE_NONE) {
        g_autofree char *xml = tree_introspect(sim, path);

        bus_reply(sim, call, g_variant_new("(s)", xml));
        return TRUE;
    }
    if (strcmp(interface, MANAGER_INTERFACE) == 0 && node.kind == NODE_ROOT &&
        strcmp(member, "GetManagedObjects") == 0) {
        bus_reply(sim, call, tree_managed_objects(sim));
        return TRUE;
    }
    if (strcmp(interface, PROPERTIES_INTERFACE) == 0 && node.kind >= NODE_ADAPTER) {
        properties_call(sim, node, call, member);
        return TRUE;
    }
    return FALSE;
}

/* @return whether the script has refused the call. */
static gboolean refused(struct sim *sim, GDBusMessage *call, const char *member)
{
    g_autofree char *error = NULL;
    g_autofree char *text = NULL;

    if (!script_refuses(sim->script, member, &error, &text)) {
        return FALSE;
    }
    bus_error(sim, call, error, text);
    return TRUE;
}

static void dispatch(struct sim *sim, GDBusMessage *call)
{
    const char *path = g_dbus_message_get_path(call);
    const char *member = g_dbus_message_get_member(call);
    const char *interface = g_dbus_message_get_interface(call);
    struct node node = tree_find(sim, path);
    const char *own = tree_interface(node.kind);

    if (interface == NULL) {
        interface = own != NULL ? own : "";
    }
    if (refused(sim, call, member) || standard_call(sim, node, call, interface, member) ||
        pair_manager_call(sim, call, path, interface, member)) {
        return;
    }
    if (node.kind == NODE_NONE) {
        g_autofree char *text = g_strdup_printf(
            "Method \"%s\" with signature \"%s\" on interface \"%s\" doesn't exist\n", member,
            g_dbus_message_get_signature(call) ? g_dbus_message_get_signature(call) : "",
            interface);

        bus_error(sim, call, "org.freedesktop.DBus.Error.UnknownObject", text);
    } else if (own == NULL || strcmp(interface, own) != 0) {
        unknown_method(sim, call);
    } else if (node.kind == NODE_ADAPTER) {
        adapter_call(node.adapter, call, member);
    } else if (node.kind == NODE_DEVICE) {
        device_call(node.device, call, member);
    } else if (node.kind == NODE_CHARACTERISTIC || node.kind == NODE_DESCRIPTOR) {
        gatt_call(node.device, node.row, call, member);
    } else {
        unknown_method(sim, call);
    }
}

static void route(struct sim *sim, GDBusMessage *call)
{
    sim->calls++;
    dispatch(sim, call);
    script_run_due(sim->script);
}

static gboolean on_incoming(gpointer data)
{
    struct incoming *incoming = data;
    struct sim *sim = incoming->sim;

    /* What came over an older connection belongs to a bluetoothd that is dead. */
    if (sim->bus == NULL || incoming->generation != sim->bus_generation) {
        return G_SOURCE_REMOVE;
    }
    if (!sim->hanging) {
        route(sim, g_steal_pointer(&incoming->call));
    } else if (g_queue_get_length(&sim->inbox) < HELD_MAX) {
        g_queue_push_tail(&sim->inbox, g_steal_pointer(&incoming->call));
    }
    return G_SOURCE_REMOVE;
}

struct filter_data {
    struct sim *sim;
    guint generation;
};

/* Runs in GDBus' own thread: hands the call to the main loop, in order. */
static GDBusMessage *filter(GDBusConnection *bus, GDBusMessage *message, gboolean incoming,
                            gpointer data)
{
    const struct filter_data *from = data;
    struct incoming *item;
    GSource *source;

    (void)bus;
    if (!incoming || g_dbus_message_get_message_type(message) != G_DBUS_MESSAGE_TYPE_METHOD_CALL) {
        return message;
    }
    item = g_new0(struct incoming, 1);
    item->sim = from->sim;
    item->generation = from->generation;
    item->call = message;
    source = g_idle_source_new();
    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, on_incoming, item, incoming_free);
    g_source_attach(source, NULL);
    g_source_unref(source);
    return NULL;
}

static gboolean has_session(const struct device *device, const char *client)
{
    for (const GList *l = device->sessions.head; l != NULL; l = l->next) {
        const struct session *session = l->data;

        if (strcmp(session->client, client) == 0) {
            return TRUE;
        }
    }
    return FALSE;
}

static void client_gone(struct sim *sim, const char *client)
{
    gboolean known = FALSE;

    pair_client_gone(sim, client);
    for (guint i = 0; i < sim->adapters->len; i++) {
        struct adapter *adapter = sim->adapters->pdata[i];

        known = known || g_hash_table_contains(adapter->clients, client);
        adapter_client_gone(adapter, client);
        for (guint j = 0; j < adapter->devices->len; j++) {
            known = known || has_session(adapter->devices->pdata[j], client);
            acquire_client_gone(adapter->devices->pdata[j], client);
            notify_client_gone(adapter->devices->pdata[j], client);
        }
    }
    if (known) {
        control_event(sim, "client-gone %s", client);
    }
}

static void on_owner_changed(GDBusConnection *bus, const char *sender, const char *path,
                             const char *interface, const char *member, GVariant *arguments,
                             gpointer data)
{
    struct sim *sim = data;
    const char *name;
    const char *owner;

    (void)bus;
    (void)sender;
    (void)path;
    (void)interface;
    (void)member;
    g_variant_get(arguments, "(&s&s&s)", &name, NULL, &owner);
    if (name[0] != ':' || owner[0] != '\0') {
        return;
    }
    client_gone(sim, name);
}

static void on_closed(GDBusConnection *bus, gboolean vanished, GError *error, gpointer data)
{
    struct sim *sim = data;

    (void)bus;
    (void)vanished;
    (void)error;
    g_main_loop_quit(sim->loop);
}

gboolean bus_start(struct sim *sim, GError **error)
{
    g_autoptr(GVariant) result = NULL;
    g_autofree char *address = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, error);
    struct filter_data *from;
    guint32 code;

    if (address == NULL) {
        return FALSE;
    }
    sim->bus =
        g_dbus_connection_new_for_address_sync(address,
                                               G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                   G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                               NULL, NULL, error);
    if (sim->bus == NULL) {
        return FALSE;
    }
    sim->bus_generation++;
    from = g_new0(struct filter_data, 1);
    from->sim = sim;
    from->generation = sim->bus_generation;
    sim->filter = g_dbus_connection_add_filter(sim->bus, filter, from, g_free);
    sim->closed_handler = g_signal_connect(sim->bus, "closed", G_CALLBACK(on_closed), sim);
    sim->watch = g_dbus_connection_signal_subscribe(
        sim->bus, "org.freedesktop.DBus", "org.freedesktop.DBus", "NameOwnerChanged",
        "/org/freedesktop/DBus", NULL, G_DBUS_SIGNAL_FLAGS_NONE, on_owner_changed, sim, NULL);
    result = g_dbus_connection_call_sync(
        sim->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
        "RequestName", g_variant_new("(su)", "org.bluez", 4U), G_VARIANT_TYPE("(u)"),
        G_DBUS_CALL_FLAGS_NONE, -1, NULL, error);
    if (result == NULL) {
        return FALSE;
    }
    g_variant_get(result, "(u)", &code);
    if (code != 1) {
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_EXISTS,
                            "org.bluez is owned by somebody else on this bus");
        return FALSE;
    }
    sim->running = TRUE;
    return TRUE;
}

void bus_stop(struct sim *sim)
{
    pair_stop(sim);
    sim->running = FALSE;
    sim->hanging = FALSE;
    g_queue_clear_full(&sim->inbox, g_object_unref);
    g_queue_clear_full(&sim->outbox, g_object_unref);
    script_drop(sim->script);
    if (sim->bus == NULL) {
        return;
    }
    g_signal_handler_disconnect(sim->bus, sim->closed_handler);
    g_dbus_connection_signal_unsubscribe(sim->bus, sim->watch);
    g_dbus_connection_remove_filter(sim->bus, sim->filter);
    g_dbus_connection_flush_sync(sim->bus, NULL, NULL);
    g_dbus_connection_close_sync(sim->bus, NULL, NULL);
    g_clear_object(&sim->bus);
}

void bus_hang(struct sim *sim, gboolean on)
{
    GDBusMessage *message;

    sim->hanging = on;
    /* As after SIGCONT: first what was already said, then what was asked meanwhile. */
    while (!sim->hanging && (message = g_queue_pop_head(&sim->outbox)) != NULL) {
        send_now(sim, message);
        g_object_unref(message);
    }
    while (!sim->hanging && (message = g_queue_pop_head(&sim->inbox)) != NULL) {
        route(sim, message);
    }
}
