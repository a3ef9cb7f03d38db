/* SPDX-License-Identifier: MIT */
/*
 * From an address to a connected device: among the objects that BlueZ knows, else by a discovery,
 * which is over before Connect begins.
 */
#include "link-private.h"

#include "log.h"

enum {
    DISCOVERY_MS = 30000,
    /* While BlueZ tries, it hears a device that comes back at once, and the next try follows within
     * a moment, so little is missed between the two. But a try that BlueZ has lost can only be
     * waited out: with the 2 s of a Disconnect and those of a new link it ends within two slots of
     * 10 s. BlueZ itself gives up after 41 s. */
    CONNECT_MS = 15000,
    /* The same when other batteries wait for the radio: connecting to a device that is there
     * takes less than 2 s, sleepy ones advertise every few seconds. */
    HURRIED_MS = 8000,
    /* The same for one that was away the last time: it may not cost others their polls, which
     * with the 2 s of a Disconnect have about 5 s to spare in a slot of 10 s. */
    HURRIED_AGAIN_MS = 3000,
};

static void start_discovery(BluezLink *link);

/* How long it may hold the radio while others wait. */
static guint hurried_ms(const BluezLink *link)
{
    return link->misses > 0 ? HURRIED_AGAIN_MS : HURRIED_MS;
}

static void bound_waiting(BluezLink *link, guint ms, GSourceFunc on_timeout)
{
    link_set_timer(link, ms, on_timeout);
    link->on_not_there = on_timeout;
}

/* Begins to wait for the device, which may be in vain: link_hurry() may cut it short. */
static void await_device(BluezLink *link, guint alone_ms, GSourceFunc on_timeout)
{
    guint ms = radio_is_contended(&link->bluez->radio) ? hurried_ms(link) : alone_ms;

    link->awaited_since = g_get_monotonic_time();
    bound_waiting(link, ms, on_timeout);
}

/* ---- connecting ------------------------------------------------------------------------------ */

static gboolean on_connect_timeout(gpointer user)
{
    BluezLink *link = user;

    link->timer = 0;
    link_finish(link, LINK_FAULT_TIMEOUT, NULL);
    return G_SOURCE_REMOVE;
}

static void on_connected(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = link_finish_call(source, result, &error);
    BluezLink *link = user;

    if (reply) {
        link_resolve(link);
        return;
    }
    switch (bluez_error_class(error)) {
    case BLUEZ_ERROR_CANCELLED:
        return;
    case BLUEZ_ERROR_CONNECTED:
        link_resolve(link);
        return;
    case BLUEZ_ERROR_UNKNOWN:
        /* A device that was only discovered is forgotten after 30 s. */
        if (!link->rediscovered) {
            link->rediscovered = TRUE;
            link->engaged = FALSE;
            bluez_unwatch(link->bluez, &link->device_subscription);
            g_clear_pointer(&link->device, g_free);
            link_set_stage(link, LINK_FINDING);
            start_discovery(link);
            return;
        }
        break;
    case BLUEZ_ERROR_TIMEOUT:
        link_finish(link, LINK_FAULT_TIMEOUT, NULL);
        return;
    case BLUEZ_ERROR_IN_PROGRESS:
        if (rivals_connecting(link))
            return;
        break;
    case BLUEZ_ERROR_LIMIT:
    case BLUEZ_ERROR_NOT_CONNECTED:
    case BLUEZ_ERROR_UNSUPPORTED:
    case BLUEZ_ERROR_ACQUIRED:
    case BLUEZ_ERROR_EXISTS:
    case BLUEZ_ERROR_NOT_PAIRED:
    case BLUEZ_ERROR_AUTHENTICATION:
    case BLUEZ_ERROR_DENIED:
    case BLUEZ_ERROR_OTHER:
        break;
    }
    link_fail(link, error, LINK_FAULT_REFUSED, "connecting failed");
}

void link_connect(BluezLink *link)
{
    await_device(link, CONNECT_MS, on_connect_timeout);
    link_call_device(link, "Connect", G_MAXINT, on_connected); /* the timer bounds it */
}

static void connect_device(BluezLink *link)
{
    link_set_stage(link, LINK_CONNECTING);
    link->engaged = TRUE;
    link->device_subscription = bluez_watch_properties(link->bluez, link->device, DEVICE_IFACE,
                                                       link_on_device_changed, link);
    if (link->wants_pairing)
        link_pair_device(link);
    else
        link_connect(link);
}

static void on_stale_disconnected(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = link_finish_call(source, result, &error);
    BluezLink *link = user;

    if (!reply && bluez_error_class(error) == BLUEZ_ERROR_CANCELLED)
        return;
    link->known_down = reply != NULL;
    connect_device(link);
}

void link_take_down_first(BluezLink *link)
{
    link->engaged = TRUE;
    link_call_device(link, "Disconnect", LINK_DISCONNECT_MS, on_stale_disconnected);
}

/* ---- finding --------------------------------------------------------------------------------- */

static void on_discovery_stopped(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = link_finish_call(source, result, &error);

    if (!reply && bluez_error_class(error) == BLUEZ_ERROR_CANCELLED)
        return;
    connect_device(user);
}

static void found(BluezLink *link, const char *path)
{
    Bluez *bluez = link->bluez;

    link_clear_timer(link);
    link->device = g_strdup(path);
    if (!link->discovering) {
        connect_device(link);
        return;
    }
    link->discovering = FALSE;
    bluez_call(bluez, bluez->adapter, ADAPTER_IFACE, "StopDiscovery", NULL, NULL, BLUEZ_CALL_MS,
               link->cancellable, on_discovery_stopped, link);
}

static gboolean on_discovery_timeout(gpointer user)
{
    BluezLink *link = user;

    link->timer = 0;
    link_finish(link, LINK_FAULT_NOT_FOUND, NULL);
    return G_SOURCE_REMOVE;
}

static void on_discovery_started(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = link_finish_call(source, result, &error);
    BluezLink *link = user;
    BluezError class;

    if (reply)
        return;
    class = bluez_error_class(error);
    if (class == BLUEZ_ERROR_CANCELLED || class == BLUEZ_ERROR_IN_PROGRESS)
        return;
    if (link->device) /* found meanwhile */
        return;
    if (class != BLUEZ_ERROR_TIMEOUT) /* then it may begin yet, and is to be stopped */
        link->discovering = FALSE;
    link_fail(link, error, LINK_FAULT_NOT_FOUND, "discovery could not be started");
}

static void start_discovery(BluezLink *link)
{
    Bluez *bluez = link->bluez;
    GVariantBuilder filter;

    g_variant_builder_init(&filter, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&filter, "{sv}", "Transport", g_variant_new_string("le"));
    bluez_call(bluez, bluez->adapter, ADAPTER_IFACE, "SetDiscoveryFilter",
               g_variant_new("(a{sv})", &filter), NULL, -1, NULL, NULL, NULL);

    link->discovering = TRUE;
    await_device(link, DISCOVERY_MS, on_discovery_timeout);
    bluez_call(bluez, bluez->adapter, ADAPTER_IFACE, "StartDiscovery", NULL, NULL, BLUEZ_CALL_MS,
               link->cancellable, on_discovery_started, link);
}

static void on_device_removed(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = link_finish_call(source, result, &error);
    BluezLink *link = user;

    if (!reply && bluez_error_class(error) == BLUEZ_ERROR_CANCELLED)
        return;
    if (!reply)
        log_debug("%s: RemoveDevice: %s", link->label, bluez_error_text(error));
    if (!link->device) /* else a signal was faster */
        link_find(link);
}

/* BlueZ forgets what it has cached of the device, and takes its link down if there is one. */
static void remove_device(BluezLink *link, const char *path)
{
    (link->removal_told ? log_debug : log_info)(
        "%s: removing the device from bluetoothd, to find it again", link->label);
    link->removal_told = TRUE;
    bluez_call(link->bluez, link->bluez->adapter, ADAPTER_IFACE, "RemoveDevice",
               g_variant_new("(o)", path), NULL, BLUEZ_CALL_MS, link->cancellable,
               on_device_removed, link);
}

static gboolean may_remove(const BluezLink *link, const DeviceInfo *device)
{
    return !device->paired && /* a pairing would be lost with it */
           !link->removal_crashes && !rivals_are_suspected(link);
}

static void on_objects(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) objects = link_finish_call(source, result, &error);
    g_auto(DeviceInfo) device = {0};
    BluezLink *link = user;

    if (!objects) {
        link_fail_objects(link, error);
        return;
    }
    bluez_trim_after(link->bluez, objects);
    gboolean afresh = link->afresh;

    link->afresh = FALSE;
    if (link->device)
        return; /* a signal was faster */
    if (!objects_find_device(objects, link->bluez->adapter, link->address, &device)) {
        start_discovery(link);
    } else if (rivals_judge(link, objects, &device)) {
        return;
    } else if (afresh && may_remove(link, &device)) {
        remove_device(link, device.path);
    } else {
        found(link, device.path);
    }
}

void link_find(BluezLink *link)
{
    link_set_stage(link, LINK_FINDING);
    bluez_call(link->bluez, "/", MANAGER_IFACE, "GetManagedObjects", NULL, OBJECTS_TYPE,
               BLUEZ_CALL_MS, link->cancellable, on_objects, link);
}

/* Only what may be in vain is cut short. A pairing is not, nor is anything that has bluetoothd take
 * a link down: what they are cut off from is lost, and begins again from nothing. */
void link_hurry(BluezLink *link)
{
    gint64 spent_ms = (g_get_monotonic_time() - link->awaited_since) / 1000;
    gint64 limit_ms = hurried_ms(link);
    guint left_ms = spent_ms < limit_ms ? (guint)(limit_ms - spent_ms) : 0;

    if (link->timer && link->on_not_there)
        bound_waiting(link, left_ms, link->on_not_there);
}

void link_object_added(BluezLink *link, const char *path, GVariant *interfaces)
{
    if (link->stage == LINK_FINDING && !link->device &&
        objects_is_device(interfaces, link->bluez->adapter, link->address))
        found(link, path);
}
