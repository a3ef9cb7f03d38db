/* SPDX-License-Identifier: MIT */
/*
 * A connected device: its services, its notifications, writing to it.
 */
#include "link-private.h"

#include "log.h"

#include <string.h>

enum {
    RESOLVE_MS = 15000,
    HURRIED_RESOLVE_MS = 5000, /* when others wait for the radio, and it has failed before */
    /* ServicesResolved can be told before the objects are there (bluez issue 1489). */
    OBJECTS_RETRY_MS = 200,
    OBJECTS_US = 2000000,
    NOTIFY_MS = 10000,
    WRITE_MS = 5000,
    UNANSWERED_BEFORE_FLIP = 2,
};

static void find_services(BluezLink *link);

/* ---- up -------------------------------------------------------------------------------------- */

static void on_value(GDBusConnection *bus, const char *sender, const char *path, const char *iface,
                     const char *signal, GVariant *parameters, gpointer user)
{
    BluezLink *link = user;
    g_autoptr(GVariant) properties = NULL;
    g_autoptr(GVariant) value = NULL;
    const guint8 *data;
    gsize size;

    (void)bus, (void)sender, (void)path, (void)iface, (void)signal;
    if (link->stage != LINK_UP || !g_variant_is_of_type(parameters, G_VARIANT_TYPE("(sa{sv}as)")))
        return;
    properties = g_variant_get_child_value(parameters, 1);
    value = g_variant_lookup_value(properties, "Value", G_VARIANT_TYPE_BYTESTRING);
    if (!value)
        return;
    data = g_variant_get_fixed_array(value, &size, 1);
    link->heard = TRUE;
    link->answered = link->answered || size > 1;
    link->unanswered = 0;
    if (size > 0)
        link->events->chunk(link->user, data, size);
}

/* Modules differ in which of the two ways of writing they really listen to. */
static void flip_write_type(BluezLink *link)
{
    if (link->flipped || !link->gatt.can_command || !link->gatt.can_request)
        return;
    link->flipped = TRUE;
    link->use_request = !link->use_request;
    link->prefer_request = link->use_request; /* what the next session begins with */
    log_debug("%s: now writing with%s response", link->label, link->use_request ? "" : "out");
}

/* The device says itself that only paired ones may do this. */
static void pairing_wanted(BluezLink *link)
{
    LinkFault fault = link_pair(link);

    if (fault == LINK_FAULT_NONE)
        link_finish(link, LINK_FAULT_PAIRING_WANTED, "it wants to be paired; that is tried now");
    else
        link_finish(link, fault, NULL);
}

static void on_written(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = link_finish_call(source, result, &error);
    BluezLink *link = user;

    if (reply)
        return;
    switch (bluez_error_class(error)) {
    case BLUEZ_ERROR_CANCELLED:
        return;
    case BLUEZ_ERROR_UNKNOWN:
    case BLUEZ_ERROR_NOT_CONNECTED:
        link_finish(link, LINK_FAULT_LOST, NULL);
        return;
    case BLUEZ_ERROR_IN_PROGRESS:
    case BLUEZ_ERROR_TIMEOUT:
        /* The question will be found to be unanswered, and repeated. */
        log_debug("%s: WriteValue: %s", link->label, bluez_error_text(error));
        return;
    case BLUEZ_ERROR_UNSUPPORTED:
        if (!link->flipped && link->gatt.can_command && link->gatt.can_request) {
            flip_write_type(link);
            return;
        }
        break;
    case BLUEZ_ERROR_NOT_PAIRED:
        pairing_wanted(link);
        return;
    case BLUEZ_ERROR_ACQUIRED:
        rivals_finish_locked(link, "another program has reserved writing to it");
        return;
    case BLUEZ_ERROR_CONNECTED:
    case BLUEZ_ERROR_LIMIT:
    case BLUEZ_ERROR_EXISTS:
    case BLUEZ_ERROR_AUTHENTICATION:
    case BLUEZ_ERROR_DENIED:
    case BLUEZ_ERROR_OTHER:
        break;
    }
    link_fail(link, error, LINK_FAULT_WRITE, "writing failed");
}

void link_write(void *user, const uint8_t *data, size_t size)
{
    BluezLink *link = user;
    GVariantBuilder options;

    if (link->stage != LINK_UP)
        return;
    /* While all goes well the answer itself tells that a command has arrived. To be told by
     * bluetoothd as well would make a quarter of all messages. */
    gboolean confirm = link->use_request || !link->heard || link->unanswered > 0;

    /* A way of writing that has brought answers is the right one; what is missing is late or lost.
     */
    if (link->unanswered++ >= UNANSWERED_BEFORE_FLIP && !link->answered)
        flip_write_type(link);
    g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&options, "{sv}", "type",
                          g_variant_new_string(link->use_request ? "request" : "command"));
    bluez_call(
        link->bluez, link->gatt.write_path, CHAR_IFACE, "WriteValue",
        g_variant_new("(@aya{sv})", g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, data, size, 1),
                      &options),
        NULL, WRITE_MS, confirm ? link->cancellable : NULL, confirm ? on_written : NULL, link);
}

/* ---- subscribing ----------------------------------------------------------------------------- */

/* StartNotify has failed. */
static void not_notifying(BluezLink *link, GError *error)
{
    BluezError class = bluez_error_class(error);

    if (class == BLUEZ_ERROR_CANCELLED)
        return;
    /* Without an answer it may come into force yet; in progress is one of ours. */
    link->notify_stands = class == BLUEZ_ERROR_TIMEOUT || class == BLUEZ_ERROR_IN_PROGRESS;
    if (class == BLUEZ_ERROR_ACQUIRED) {
        rivals_finish_locked(link, NULL);
        return;
    }
    if (class == BLUEZ_ERROR_NOT_PAIRED) {
        pairing_wanted(link);
        return;
    }
    link_fail(link, error,
              class == BLUEZ_ERROR_NOT_CONNECTED ? LINK_FAULT_LOST : LINK_FAULT_SUBSCRIBE,
              "notifications could not be switched on");
}

static void on_notifying(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = link_finish_call(source, result, &error);
    BluezLink *link = user;

    if (!reply) {
        not_notifying(link, error);
        return;
    }
    link_clear_timer(link);
    link->heard = FALSE;
    link->answered = FALSE;
    link->unanswered = 0;
    link->misses = 0;
    link_set_stage(link, LINK_UP);
    link->events->up(link->user);
}

static void start_notify(BluezLink *link)
{
    link->notify_stands = TRUE;
    bluez_call(link->bluez, link->gatt.notify_path, CHAR_IFACE, "StartNotify", NULL, NULL,
               NOTIFY_MS, link->cancellable, on_notifying, link);
    radio_release(&link->bluez->radio, link);
}

static void subscribe(BluezLink *link)
{
    link_set_stage(link, LINK_SUBSCRIBING);
    link_clear_timer(link); /* the calls are bounded themselves */
    link->flipped = FALSE;
    link->use_request = !link->gatt.can_command || (link->gatt.can_request && link->prefer_request);
    /* First the signal, then what makes it come: the other way round the first bytes get lost. */
    link->value_subscription =
        bluez_watch_properties(link->bluez, link->gatt.notify_path, CHAR_IFACE, on_value, link);
    /* Left over from before the link: StartNotify would then succeed and do nothing. */
    if (link->gatt.notifying)
        rivals_probe(link, link->gatt.notify_path, start_notify);
    else
        start_notify(link);
}

/* ---- resolving ------------------------------------------------------------------------------- */

static gboolean on_resolve_timeout(gpointer user)
{
    BluezLink *link = user;

    link->timer = 0;
    link_finish(link, LINK_FAULT_RESOLVE, NULL);
    return G_SOURCE_REMOVE;
}

/* However often it is waited, the stage as a whole ends in time. */
static void wait_for_services(BluezLink *link)
{
    gint64 left_ms = (link->resolve_by - g_get_monotonic_time()) / 1000;

    link_set_timer(link, (guint)CLAMP(left_ms, 0, RESOLVE_MS), on_resolve_timeout);
}

static gboolean on_objects_retry(gpointer user)
{
    BluezLink *link = user;

    link->timer = 0;
    find_services(link);
    return G_SOURCE_REMOVE;
}

static void services_missing(BluezLink *link, GVariant *objects)
{
    g_autofree char *seen = objects_list_services(objects, link->device);
    g_autofree char *detail = NULL;
    const char *make;

    /* From the time that they are resolved, the objects have a moment to come. */
    if (link->resolve_by - g_get_monotonic_time() > OBJECTS_US)
        link->resolve_by = g_get_monotonic_time() + OBJECTS_US;
    if (g_get_monotonic_time() < link->resolve_by) {
        link_set_timer(link, OBJECTS_RETRY_MS, on_objects_retry);
        return;
    }
    if (!*seen) {
        link_finish(link, LINK_FAULT_RESOLVE, NULL);
        return;
    }
    make = objects_guess_make(seen);
    detail = g_strdup_printf("not a JBD board: services seen are %s%s%s%s", seen,
                             make ? " (as of " : "", make ? make : "", make ? ")" : "");
    link_finish(link, LINK_FAULT_SERVICE, detail);
}

/* Until they are resolved, objects are those of an earlier link. */
static void take_services(BluezLink *link, GVariant *objects, gboolean resolved)
{
    g_auto(GattInfo) gatt = {0};
    gboolean found = objects_find_gatt(objects, link->device, &gatt);

    link->removal_crashes = objects_any_acquired(objects, link->device);
    if (rivals_lock(link, &gatt))
        return;
    if (!resolved) {
        wait_for_services(link); /* a signal comes, or the timer */
    } else if (found) {
        gatt_info_clear(&link->gatt);
        link->gatt = gatt;
        memset(&gatt, 0, sizeof gatt); /* it is the link's now */
        subscribe(link);
    } else {
        services_missing(link, objects);
    }
}

static void on_services(GObject *source, GAsyncResult *result, gpointer user)
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
    if (link->stage != LINK_RESOLVING)
        return;
    if (!objects_find_device(objects, link->bluez->adapter, link->address, &device)) {
        link_finish(link, LINK_FAULT_LOST,
                    "the connection broke: bluetoothd has forgotten the device");
        return;
    }
    if (!device.connected) {
        link->engaged = FALSE; /* lost before its signal was listened to */
        link->known_down = TRUE;
        link_finish(link, LINK_FAULT_LOST, NULL);
        return;
    }
    take_services(link, objects, device.services_resolved);
}

static void find_services(BluezLink *link)
{
    bluez_call(link->bluez, "/", MANAGER_IFACE, "GetManagedObjects", NULL, OBJECTS_TYPE,
               BLUEZ_CALL_MS, link->cancellable, on_services, link);
}

void link_resolve(BluezLink *link)
{
    gboolean hurried = link->misses > 0 && radio_is_contended(&link->bluez->radio);
    gint64 ms = hurried ? HURRIED_RESOLVE_MS : RESOLVE_MS;

    link_set_stage(link, LINK_RESOLVING);
    link->resolve_by = g_get_monotonic_time() + ms * G_TIME_SPAN_MILLISECOND;
    wait_for_services(link);
    /* They may be resolved already, from the cache: then no signal comes. */
    find_services(link);
}

void link_on_device_changed(GDBusConnection *bus, const char *sender, const char *path,
                            const char *iface, const char *signal, GVariant *parameters,
                            gpointer user)
{
    BluezLink *link = user;
    g_autoptr(GVariant) properties = NULL;
    gboolean connected = TRUE;
    gboolean resolved = FALSE;
    gboolean resolved_told;

    (void)bus, (void)sender, (void)path, (void)iface, (void)signal;
    /* Before Connect has succeeded these tell of earlier links. */
    if (link->stage < LINK_RESOLVING || link->stage > LINK_UP ||
        !g_variant_is_of_type(parameters, G_VARIANT_TYPE("(sa{sv}as)")))
        return;
    properties = g_variant_get_child_value(parameters, 1);
    g_variant_lookup(properties, "Connected", "b", &connected);
    resolved_told = g_variant_lookup(properties, "ServicesResolved", "b", &resolved);
    if (!connected) {
        link->engaged = FALSE; /* nothing left to disconnect */
        link->known_down = TRUE;
        link_finish(link, LINK_FAULT_LOST, NULL);
    } else if (resolved_told && !resolved && link->stage > LINK_RESOLVING) {
        link_finish(link, LINK_FAULT_LOST, NULL);
    } else if (resolved && link->stage == LINK_RESOLVING) {
        find_services(link);
    }
}
