/* SPDX-License-Identifier: MIT */
/*
 * The way to the radio: system bus, bluetoothd, adapter. Each may be missing, go and come back at
 * any time. What stands in the way of all links is one value, Bluez.fault; links hear of its
 * changes and of nothing else from here.
 */
#include "private.h"

#include "log.h"

#include <string.h>

enum {
    REREAD_SECONDS = 5,
    REWATCH_SECONDS = 60,
    CONNECT_SECONDS = 30,
    FIRST_RETRY_SECONDS = 1,
    MAX_RETRY_SECONDS = 5, /* connecting to a socket costs nothing; waiting costs polls */
};

static void connect_bus(Bluez *bluez);

/* ---- what stands in the way ------------------------------------------------------------------ */

static LinkFault find_fault(const Bluez *bluez)
{
    if (!bluez->bus)
        return LINK_FAULT_BUS;
    if (!bluez->owner)
        return LINK_FAULT_BLUEZ;
    if (!bluez->objects_known)
        return bluez->complaint != LINK_FAULT_NONE ? bluez->complaint : LINK_FAULT_BLUEZ;
    if (!bluez->adapter)
        return LINK_FAULT_ADAPTER;
    return bluez->powered ? LINK_FAULT_NONE : LINK_FAULT_ADAPTER_OFF;
}

static void tell_fault(Bluez *bluez, LinkFault fault)
{
    bluez->fault = fault;
    for (guint i = 0; i < bluez->links->len; i++)
        link_environment_changed(bluez->links->pdata[i], fault);
    bluez_tell_changed(bluez);
}

static void update_fault(Bluez *bluez)
{
    LinkFault fault = find_fault(bluez);

    if (bluez->settled && fault != bluez->fault)
        tell_fault(bluez, fault);
}

/* Some question about bus, bluetoothd or adapter has found its answer. Until the first one, links
 * wait instead of complaining about what is only not known yet. */
static void settle(Bluez *bluez)
{
    if (bluez->settled) {
        update_fault(bluez);
    } else {
        bluez->settled = TRUE;
        tell_fault(bluez, find_fault(bluez));
    }
}

const char *bluez_fault_detail(const Bluez *bluez)
{
    if (bluez->fault == bluez->complaint)
        return bluez->complaint_text;
    if (bluez->fault == LINK_FAULT_BLUEZ && bluez->owner)
        return "bluetoothd has not answered yet";
    if (bluez->fault == LINK_FAULT_ADAPTER_OFF && bluez->cycled)
        return "the adapter is being switched off and on";
    return NULL;
}

/* ---- calls and signals ----------------------------------------------------------------------- */

void bluez_call(Bluez *bluez, const char *path, const char *iface, const char *method,
                GVariant *parameters, const GVariantType *reply, int timeout_ms,
                GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user)
{
    /* To the unique name: should bluetoothd be replaced meanwhile, the call fails at once instead
     * of reaching a process that knows nothing of what came before. */
    g_dbus_connection_call(bluez->bus, bluez->owner, path, iface, method, parameters, reply,
                           G_DBUS_CALL_FLAGS_NO_AUTO_START, timeout_ms, cancellable, callback,
                           user);
}

guint bluez_watch_properties(Bluez *bluez, const char *path, const char *iface,
                             GDBusSignalCallback callback, gpointer user)
{
    if (!bluez->bus || !bluez->owner || g_dbus_connection_is_closed(bluez->bus))
        return 0;
    return g_dbus_connection_signal_subscribe(bluez->bus, bluez->owner, PROPS_IFACE,
                                              "PropertiesChanged", path, iface,
                                              G_DBUS_SIGNAL_FLAGS_NONE, callback, user, NULL);
}

void bluez_unwatch(Bluez *bluez, guint *subscription)
{
    if (*subscription && bluez->bus)
        g_dbus_connection_signal_unsubscribe(bluez->bus, *subscription);
    *subscription = 0;
}

/* ---- the adapter ----------------------------------------------------------------------------- */

static void on_adapter_changed(GDBusConnection *bus, const char *sender, const char *path,
                               const char *iface, const char *signal, GVariant *parameters,
                               gpointer user)
{
    Bluez *bluez = user;
    g_autoptr(GVariant) properties = NULL;
    gboolean powered;

    (void)bus, (void)sender, (void)iface, (void)signal;
    /* What was told before the object tree came is in the tree. */
    if (!bluez->objects_known || !g_variant_is_of_type(parameters, G_VARIANT_TYPE("(sa{sv}as)")))
        return;
    properties = g_variant_get_child_value(parameters, 1);
    if (!g_variant_lookup(properties, "Powered", "b", &powered))
        return;
    if (g_strcmp0(path, bluez->adapter) == 0) {
        bluez->powered = powered;
        update_fault(bluez);
        if (!powered && !bluez->cycled)
            bluez_read_objects(bluez); /* perhaps another is on */
    } else if (powered && bluez->fault != LINK_FAULT_NONE) {
        bluez_read_objects(bluez); /* perhaps it will do instead of ours */
    }
}

static void drop_complaint(Bluez *bluez)
{
    bluez->complaint = LINK_FAULT_NONE;
    g_clear_pointer(&bluez->complaint_text, g_free);
}

static void drop_adapter(Bluez *bluez)
{
    g_clear_pointer(&bluez->adapter, g_free);
    bluez->powered = FALSE;
}

static void take_adapter(Bluez *bluez, char *path, gboolean powered)
{
    drop_adapter(bluez);
    bluez->adapter = path;
    bluez->powered = powered;
    log_debug("adapter %s is %s", path, powered ? "on" : "off");
}

static gboolean on_reread(gpointer user)
{
    Bluez *bluez = user;

    bluez->reread = 0;
    bluez_read_objects(bluez);
    return G_SOURCE_REMOVE;
}

static void on_objects(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) objects =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    Bluez *bluez;
    char *path;
    gboolean powered;

    if (!objects && bluez_error_class(error) == BLUEZ_ERROR_CANCELLED)
        return;
    bluez = user;
    if (!objects) {
        /* It hangs, or does not like us: ask again for as long as it owns the name. */
        g_free(bluez->complaint_text);
        bluez->complaint = bluez_objects_fault(error, &bluez->complaint_text);
        if (!bluez->reread)
            bluez->reread = g_timeout_add_seconds(REREAD_SECONDS, on_reread, bluez);
        settle(bluez);
        return;
    }
    bluez->objects_known = TRUE;
    bluez_trim_after(bluez, objects);
    drop_complaint(bluez);
    power_take_over(bluez, objects);
    if (bluez->adapter && bluez->powered)
        log_debug("adapter %s is on meanwhile", bluez->adapter); /* links live on it */
    else if (objects_find_adapter(objects, bluez->wanted_adapter, &path, &powered))
        take_adapter(bluez, path, powered);
    else
        drop_adapter(bluez);
    settle(bluez);
}

void bluez_read_objects(Bluez *bluez)
{
    bluez_call(bluez, "/", MANAGER_IFACE, "GetManagedObjects", NULL, OBJECTS_TYPE, BLUEZ_CALL_MS,
               bluez->owner_cancellable, on_objects, bluez);
}

static void on_added(GDBusConnection *bus, const char *sender, const char *object_path,
                     const char *iface, const char *signal, GVariant *parameters, gpointer user)
{
    Bluez *bluez = user;
    g_autoptr(GVariant) interfaces = NULL;
    g_autoptr(GVariant) adapter = NULL;
    const char *path;

    (void)bus, (void)sender, (void)object_path, (void)iface, (void)signal;
    if (!g_variant_is_of_type(parameters, G_VARIANT_TYPE("(oa{sa{sv}})")))
        return;
    g_variant_get(parameters, "(&o@a{sa{sv}})", &path, &interfaces);
    for (guint i = 0; i < bluez->links->len; i++)
        link_object_added(bluez->links->pdata[i], path, interfaces);

    adapter = objects_interface(interfaces, ADAPTER_IFACE);
    if (adapter && bluez->fault != LINK_FAULT_NONE)
        bluez_read_objects(bluez); /* perhaps the one we miss */
}

static void on_removed(GDBusConnection *bus, const char *sender, const char *object_path,
                       const char *iface, const char *signal, GVariant *parameters, gpointer user)
{
    Bluez *bluez = user;
    g_autofree const char **interfaces = NULL;
    const char *path;

    (void)bus, (void)sender, (void)object_path, (void)iface, (void)signal;
    if (!g_variant_is_of_type(parameters, G_VARIANT_TYPE("(oas)")))
        return;
    g_variant_get(parameters, "(&o^a&s)", &path, &interfaces);
    if (g_strcmp0(path, bluez->adapter) == 0 && g_strv_contains(interfaces, ADAPTER_IFACE)) {
        drop_adapter(bluez);
        update_fault(bluez);
        bluez_read_objects(bluez); /* perhaps there is another */
        return;
    }
    for (guint i = 0; i < bluez->links->len; i++)
        link_object_removed(bluez->links->pdata[i], path, interfaces);
}

/* ---- bluetoothd ------------------------------------------------------------------------------ */

static void drop_owner(Bluez *bluez)
{
    if (bluez->owner_cancellable)
        g_cancellable_cancel(bluez->owner_cancellable);
    g_clear_object(&bluez->owner_cancellable);
    g_clear_handle_id(&bluez->reread, g_source_remove);
    drop_complaint(bluez);
    bluez_unwatch(bluez, &bluez->added_subscription);
    bluez_unwatch(bluez, &bluez->removed_subscription);
    bluez_unwatch(bluez, &bluez->adapter_subscription);
    drop_adapter(bluez);
    agent_owner_gone(bluez);
    g_clear_pointer(&bluez->owner, g_free);
    bluez->objects_known = FALSE;
}

static void on_name_appeared(GDBusConnection *bus, const char *name, const char *owner,
                             gpointer user)
{
    Bluez *bluez = user;

    (void)name;
    g_clear_handle_id(&bluez->rewatch, g_source_remove);
    drop_owner(bluez);
    update_fault(bluez); /* one owner may follow another without a gap */
    log_debug("bluetoothd is %s", owner);
    bluez->owner = g_strdup(owner);
    bluez->owner_cancellable = g_cancellable_new();
    bluez->added_subscription =
        g_dbus_connection_signal_subscribe(bus, owner, MANAGER_IFACE, "InterfacesAdded", NULL, NULL,
                                           G_DBUS_SIGNAL_FLAGS_NONE, on_added, bluez, NULL);
    bluez->removed_subscription =
        g_dbus_connection_signal_subscribe(bus, owner, MANAGER_IFACE, "InterfacesRemoved", NULL,
                                           NULL, G_DBUS_SIGNAL_FLAGS_NONE, on_removed, bluez, NULL);
    /* Before the tree is asked for, and for all adapters: one that is switched on right behind the
     * answer, as at boot, must not be missed, nor another than ours. */
    bluez->adapter_subscription =
        bluez_watch_properties(bluez, NULL, ADAPTER_IFACE, on_adapter_changed, bluez);
    agent_update(bluez);
    bluez_read_objects(bluez);
}

static void watch_name(Bluez *bluez);

static gboolean on_rewatch(gpointer user)
{
    Bluez *bluez = user;

    bluez->rewatch = 0;
    watch_name(bluez);
    return G_SOURCE_REMOVE;
}

static void on_name_vanished(GDBusConnection *bus, const char *name, gpointer user)
{
    Bluez *bluez = user;

    (void)bus, (void)name;
    drop_owner(bluez);
    /* GDBus tells the same when the bus has not answered in time, and would then never look again.
     */
    if (!bluez->rewatch)
        bluez->rewatch = g_timeout_add_seconds(REWATCH_SECONDS, on_rewatch, bluez);
    settle(bluez);
}

/* The watch does not start bluetoothd: whoever stopped it may have wanted that. */
static void watch_name(Bluez *bluez)
{
    if (bluez->name_watch)
        g_bus_unwatch_name(bluez->name_watch);
    bluez->name_watch =
        g_bus_watch_name_on_connection(bluez->bus, BLUEZ_NAME, G_BUS_NAME_WATCHER_FLAGS_NONE,
                                       on_name_appeared, on_name_vanished, bluez, NULL);
}

/* ---- the bus --------------------------------------------------------------------------------- */

void bluez_tell_changed(Bluez *bluez)
{
    if (bluez->changed)
        bluez->changed(bluez->changed_user);
}

static gboolean on_retry(gpointer user)
{
    Bluez *bluez = user;

    bluez->retry = 0;
    connect_bus(bluez);
    return G_SOURCE_REMOVE;
}

static void retry_bus(Bluez *bluez)
{
    bluez->retry = g_timeout_add_seconds(bluez->retry_seconds, on_retry, bluez);
    bluez->retry_seconds = MIN(bluez->retry_seconds * 2, MAX_RETRY_SECONDS);
}

static void drop_bus(Bluez *bluez)
{
    if (bluez->name_watch)
        g_bus_unwatch_name(bluez->name_watch);
    bluez->name_watch = 0;
    g_clear_handle_id(&bluez->rewatch, g_source_remove);
    drop_owner(bluez);
    agent_bus_gone(bluez);
    if (bluez->bus)
        g_signal_handler_disconnect(bluez->bus, bluez->closed_handler);
    g_clear_object(&bluez->bus);
}

static void on_closed(GDBusConnection *bus, gboolean by_peer, GError *error, gpointer user)
{
    Bluez *bluez = user;

    (void)bus, (void)by_peer;
    log_warn("the D-Bus system bus has gone%s%s", error ? ": " : "", error ? error->message : "");
    drop_bus(bluez);
    update_fault(bluez);
    bluez_tell_changed(bluez);
    retry_bus(bluez);
}

static void on_bus(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GDBusConnection) bus = g_dbus_connection_new_for_address_finish(result, &error);
    Bluez *bluez;

    (void)source;
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return;
    bluez = user;
    g_clear_handle_id(&bluez->bus_timer, g_source_remove);
    if (!bus) {
        if (bluez->retry_seconds == FIRST_RETRY_SECONDS)
            log_warn("no D-Bus system bus, retrying: %s", error->message);
        settle(bluez);
        retry_bus(bluez);
        return;
    }
    if (bluez->retry_seconds != FIRST_RETRY_SECONDS)
        log_info("the D-Bus system bus is there");
    bluez->retry_seconds = FIRST_RETRY_SECONDS;
    bluez->bus = g_object_ref(bus);
    bluez->closed_handler = g_signal_connect(bus, "closed", G_CALLBACK(on_closed), bluez);
    watch_name(bluez);
    update_fault(bluez);
    bluez_tell_changed(bluez);
}

/* A bus that takes the connection and then says nothing. */
static gboolean on_bus_timeout(gpointer user)
{
    Bluez *bluez = user;

    bluez->bus_timer = 0;
    g_cancellable_cancel(bluez->cancellable); /* on_bus() leaves us alone then */
    g_object_unref(bluez->cancellable);
    bluez->cancellable = g_cancellable_new();
    if (bluez->retry_seconds == FIRST_RETRY_SECONDS)
        log_warn("the D-Bus system bus does not answer, retrying");
    settle(bluez);
    retry_bus(bluez);
    return G_SOURCE_REMOVE;
}

static void connect_bus(Bluez *bluez)
{
    g_autoptr(GError) error = NULL;
    /* Only reads DBUS_SYSTEM_BUS_ADDRESS or takes the fixed path: this cannot block. A connection
     * of our own, because the shared one of g_bus_get() ends the process when the bus goes. */
    g_autofree char *address = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, &error);

    if (!address) {
        if (bluez->retry_seconds == FIRST_RETRY_SECONDS)
            log_warn("no D-Bus system bus, retrying: %s", error->message);
        settle(bluez);
        retry_bus(bluez);
        return;
    }
    bluez->bus_timer = g_timeout_add_seconds(CONNECT_SECONDS, on_bus_timeout, bluez);
    g_dbus_connection_new_for_address(address,
                                      G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                          G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                      NULL, bluez->cancellable, on_bus, bluez);
}

/* ---- public ---------------------------------------------------------------------------------- */

Bluez *bluez_new(const char *adapter)
{
    Bluez *bluez = g_new0(Bluez, 1);

    bluez->wanted_adapter = g_strdup(adapter);
    bluez->cancellable = g_cancellable_new();
    bluez->power_cancellable = g_cancellable_new();
    bluez->retry_seconds = FIRST_RETRY_SECONDS;
    bluez->fault = LINK_FAULT_BUS;
    bluez->links = g_ptr_array_new();
    g_queue_init(&bluez->radio.waiting);
    return bluez;
}

void bluez_start(Bluez *bluez)
{
    connect_bus(bluez);
}

void bluez_free(Bluez *bluez)
{
    g_cancellable_cancel(bluez->cancellable);
    g_object_unref(bluez->cancellable);
    g_clear_handle_id(&bluez->retry, g_source_remove);
    g_clear_handle_id(&bluez->bus_timer, g_source_remove);
    g_clear_handle_id(&bluez->power_timer, g_source_remove);
    g_clear_handle_id(&bluez->trim, g_source_remove);
    g_cancellable_cancel(bluez->power_cancellable);
    g_object_unref(bluez->power_cancellable);
    drop_bus(bluez);
    g_free(bluez->cycled);
    g_ptr_array_unref(bluez->links);
    g_queue_clear(&bluez->radio.waiting);
    g_free(bluez->wanted_adapter);
    g_free(bluez);
}

void bluez_set_callback(Bluez *bluez, void (*changed)(void *user), void *user)
{
    bluez->changed = changed;
    bluez->changed_user = user;
}

gboolean bluez_is_settled(const Bluez *bluez)
{
    return bluez->settled;
}

LinkFault bluez_fault(const Bluez *bluez, const char **detail)
{
    if (detail)
        *detail = bluez_fault_detail(bluez);
    return bluez->fault;
}

const char *bluez_adapter_name(const Bluez *bluez)
{
    return bluez->adapter ? strrchr(bluez->adapter, '/') + 1 : NULL;
}

gboolean bluez_on_bus(const Bluez *bluez)
{
    return bluez->bus != NULL;
}
