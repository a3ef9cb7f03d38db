/* SPDX-License-Identifier: MIT */
/*
 * A discovery of our own. BlueZ counts them by D-Bus client, so it goes on beside those of others
 * and ends, should this process die, with its connection to the bus.
 */
#include "neighbours.h"
#include "private.h"

enum {
    STOP_MS = 2000,
    AGAIN_MS = 1000, /* until StartDiscovery is tried anew after "in progress" */
};

struct BluezScan {
    Bluez *bluez;
    const ScanEvents *events;
    void *user;
    Neighbours neighbours;
    GCancellable *cancellable; /* of the calls under way */
    guint added_subscription;
    guint changed_subscription;
    guint source; /* GLib source: the next try, or the end */
    gboolean running;
    LinkFault fault; /* with which it ends */
    char *reason;    /* the same in words, or NULL */
};

static void start_discovery(BluezScan *scan);

/* ---- the end --------------------------------------------------------------------------------- */

static void new_cancellable(BluezScan *scan)
{
    g_cancellable_cancel(scan->cancellable);
    g_object_unref(scan->cancellable);
    scan->cancellable = g_cancellable_new();
}

static gboolean on_ended(gpointer user)
{
    BluezScan *scan = user;
    g_autofree char *reason = g_steal_pointer(&scan->reason);

    scan->source = 0;
    scan->events->ended(scan->user, scan->fault, reason);
    return G_SOURCE_REMOVE;
}

static void on_stopped(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);

    if (!reply && bluez_error_class(error) == BLUEZ_ERROR_CANCELLED)
        return;
    on_ended(user); /* whether it worked or not: nothing more can be done here */
}

static void finish(BluezScan *scan, LinkFault fault, const char *reason)
{
    Bluez *bluez = scan->bluez;

    if (!scan->running)
        return;
    scan->running = FALSE;
    scan->fault = fault;
    scan->reason = g_strdup(reason);
    g_clear_handle_id(&scan->source, g_source_remove);
    bluez_unwatch(bluez, &scan->added_subscription);
    bluez_unwatch(bluez, &scan->changed_subscription);
    new_cancellable(scan);
    if (bluez->fault == LINK_FAULT_NONE)
        bluez_call(bluez, scan->neighbours.adapter, ADAPTER_IFACE, "StopDiscovery", NULL, NULL,
                   STOP_MS, scan->cancellable, on_stopped, scan);
    else
        scan->source = g_idle_add(on_ended, scan);
}

/* ---- what BlueZ tells ------------------------------------------------------------------------ */

static void on_added(GDBusConnection *bus, const char *sender, const char *object_path,
                     const char *iface, const char *signal, GVariant *parameters, gpointer user)
{
    BluezScan *scan = user;
    g_autoptr(GVariant) interfaces = NULL;
    const char *path;

    (void)bus, (void)sender, (void)object_path, (void)iface, (void)signal;
    if (!g_variant_is_of_type(parameters, G_VARIANT_TYPE("(oa{sa{sv}})")))
        return;
    g_variant_get(parameters, "(&o@a{sa{sv}})", &path, &interfaces);
    if (neighbours_take_object(&scan->neighbours, path, interfaces))
        scan->events->changed(scan->user);
}

static void on_changed(GDBusConnection *bus, const char *sender, const char *path,
                       const char *iface, const char *signal, GVariant *parameters, gpointer user)
{
    BluezScan *scan = user;
    g_autoptr(GVariant) properties = NULL;

    (void)bus, (void)sender, (void)iface, (void)signal;
    if (!g_variant_is_of_type(parameters, G_VARIANT_TYPE("(sa{sv}as)")))
        return;
    properties = g_variant_get_child_value(parameters, 1);
    if (neighbours_take_changes(&scan->neighbours, path, properties))
        scan->events->changed(scan->user);
}

static void on_objects(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) objects =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    g_autofree char *reason = NULL;
    BluezScan *scan = user;

    if (!objects) {
        if (bluez_error_class(error) == BLUEZ_ERROR_CANCELLED)
            return;
        LinkFault fault = bluez_objects_fault(error, &reason);

        finish(scan, fault, reason);
        return;
    }
    neighbours_take_tree(&scan->neighbours, objects);
    scan->events->changed(scan->user);
}

/* ---- discovery ------------------------------------------------------------------------------- */

static gboolean on_again(gpointer user)
{
    BluezScan *scan = user;

    scan->source = 0;
    start_discovery(scan);
    return G_SOURCE_REMOVE;
}

static void on_started(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    g_autofree char *reason = NULL;
    BluezScan *scan = user;
    LinkFault fault;

    if (reply || bluez_error_class(error) == BLUEZ_ERROR_CANCELLED)
        return;
    if (bluez_error_class(error) == BLUEZ_ERROR_IN_PROGRESS) {
        scan->source = g_timeout_add(AGAIN_MS, on_again, scan);
        return;
    }
    fault = bluez_error_fault(error, LINK_FAULT_REFUSED, "discovery could not be started", &reason);
    finish(scan, fault, reason);
}

static void start_discovery(BluezScan *scan)
{
    Bluez *bluez = scan->bluez;
    GVariantBuilder filter;

    if (bluez->fault != LINK_FAULT_NONE)
        return; /* our user hears of that and stops us */
    g_variant_builder_init(&filter, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&filter, "{sv}", "Transport", g_variant_new_string("le"));
    bluez_call(bluez, scan->neighbours.adapter, ADAPTER_IFACE, "SetDiscoveryFilter",
               g_variant_new("(a{sv})", &filter), NULL, -1, NULL, NULL, NULL);
    bluez_call(bluez, scan->neighbours.adapter, ADAPTER_IFACE, "StartDiscovery", NULL, NULL,
               BLUEZ_CALL_MS, scan->cancellable, on_started, scan);
}

/* ---- public ---------------------------------------------------------------------------------- */

BluezScan *bluez_scan_new(Bluez *bluez, const ScanEvents *events, void *user)
{
    BluezScan *scan = g_new0(BluezScan, 1);

    scan->bluez = bluez;
    scan->events = events;
    scan->user = user;
    scan->cancellable = g_cancellable_new();
    /* Should another one take its place, the discovery is still this one's. */
    neighbours_init(&scan->neighbours, bluez->adapter);
    return scan;
}

void bluez_scan_free(BluezScan *scan)
{
    g_cancellable_cancel(scan->cancellable);
    g_object_unref(scan->cancellable);
    g_clear_handle_id(&scan->source, g_source_remove);
    bluez_unwatch(scan->bluez, &scan->added_subscription);
    bluez_unwatch(scan->bluez, &scan->changed_subscription);
    neighbours_clear(&scan->neighbours);
    g_free(scan->reason);
    g_free(scan);
}

void bluez_scan_start(BluezScan *scan)
{
    Bluez *bluez = scan->bluez;

    g_return_if_fail(bluez->fault == LINK_FAULT_NONE && !scan->running);
    scan->running = TRUE;
    /* First the signals, then the tree, then what makes devices appear: nothing falls between. */
    scan->added_subscription = g_dbus_connection_signal_subscribe(
        bluez->bus, bluez->owner, MANAGER_IFACE, "InterfacesAdded", NULL, NULL,
        G_DBUS_SIGNAL_FLAGS_NONE, on_added, scan, NULL);
    scan->changed_subscription =
        bluez_watch_properties(bluez, NULL, DEVICE_IFACE, on_changed, scan);
    bluez_call(bluez, "/", MANAGER_IFACE, "GetManagedObjects", NULL, OBJECTS_TYPE, BLUEZ_CALL_MS,
               scan->cancellable, on_objects, scan);
    start_discovery(scan);
}

void bluez_scan_stop(BluezScan *scan)
{
    finish(scan, LINK_FAULT_NONE, NULL);
}

guint bluez_scan_count(const BluezScan *scan)
{
    return scan->neighbours.devices->len;
}

const ScanDevice *bluez_scan_device(const BluezScan *scan, guint index)
{
    return g_ptr_array_index(scan->neighbours.devices, index);
}

gboolean bluez_scan_is_full(const BluezScan *scan)
{
    return scan->neighbours.full;
}
