/* SPDX-License-Identifier: MIT */
/*
 * One device's link.
 *
 *   open()  WAITING     for the radio's turn
 *           FINDING     among BlueZ's objects, else by a discovery that ends before Connect
 *           CONNECTING  Connect, after a Disconnect if an earlier process left a link behind
 *           RESOLVING   until ServicesResolved and both characteristics are there
 *           SUBSCRIBING StartNotify
 *           UP          writes and notifications
 *           CLOSING     StopNotify, Disconnect; then down()
 *
 * Whatever goes wrong at whatever stage ends in link_finish().
 */
#include "link-private.h"

#include "log.h"

#include <string.h>

/* When the adapter is switched off or bluetoothd ends, devices are told of as disconnected first
 * and the cause right behind. */
enum { CAUSE_MS = 100 };

static gboolean on_open(gpointer user);

/* ---- small things ---------------------------------------------------------------------------- */

void link_set_stage(BluezLink *link, LinkStage stage)
{
    link->stage = stage;
    link->stage_since = g_get_monotonic_time();
    log_debug("%s: %s", link->label, link_stage_name(stage));
    link->events->stage(link->user, stage);
}

void link_set_timer(BluezLink *link, guint ms, GSourceFunc function)
{
    link_clear_timer(link);
    link->timer = g_timeout_add(ms, function, link);
}

void link_clear_timer(BluezLink *link)
{
    g_clear_handle_id(&link->timer, g_source_remove);
    link->on_not_there = NULL;
}

static void set_idle(BluezLink *link, GSourceFunc function)
{
    g_clear_handle_id(&link->idle, g_source_remove);
    link->idle = g_idle_add(function, link);
}

void link_call_device(BluezLink *link, const char *method, int timeout_ms,
                      GAsyncReadyCallback callback)
{
    bluez_call(link->bluez, link->device, DEVICE_IFACE, method, NULL, NULL, timeout_ms,
               link->cancellable, callback, link);
}

void link_call_and_forget(BluezLink *link, const char *path, const char *iface, const char *method)
{
    bluez_call(link->bluez, path, iface, method, NULL, NULL, -1, NULL, NULL, NULL);
}

GVariant *link_finish_call(GObject *source, GAsyncResult *result, GError **error)
{
    return g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, error);
}

void link_fail(BluezLink *link, GError *error, LinkFault otherwise, const char *failed)
{
    g_autofree char *detail = NULL;
    LinkFault fault = bluez_error_fault(error, otherwise, failed, &detail);

    link_finish(link, fault, detail);
}

void link_fail_objects(BluezLink *link, GError *error)
{
    g_autofree char *detail = NULL;
    LinkFault fault;

    if (bluez_error_class(error) == BLUEZ_ERROR_CANCELLED)
        return;
    fault = bluez_objects_fault(error, &detail);
    link_finish(link, fault, detail);
}

static void new_cancellable(BluezLink *link)
{
    if (link->cancellable)
        g_cancellable_cancel(link->cancellable);
    g_clear_object(&link->cancellable);
    link->cancellable = g_cancellable_new();
}

/* ---- the way out ----------------------------------------------------------------------------- */

static void come_down(BluezLink *link)
{
    LinkFault fault = link->fault;
    g_autofree char *detail = g_steal_pointer(&link->detail);

    link_clear_timer(link);
    g_clear_handle_id(&link->idle, g_source_remove);
    new_cancellable(link);
    g_clear_pointer(&link->device, g_free);
    radio_release(&link->bluez->radio, link);
    link_set_stage(link, LINK_CLOSED);
    link->events->down(link->user, fault, detail);
}

static gboolean on_come_down(gpointer user)
{
    BluezLink *link = user;

    link->idle = 0;
    come_down(link);
    return G_SOURCE_REMOVE;
}

static gboolean on_cause_timeout(gpointer user)
{
    BluezLink *link = user;

    link->timer = 0;
    come_down(link);
    return G_SOURCE_REMOVE;
}

static void on_disconnected(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = link_finish_call(source, result, &error);

    BluezLink *link = user;

    if (!reply && bluez_error_class(error) == BLUEZ_ERROR_CANCELLED)
        return;
    link->known_down = reply != NULL;
    come_down(link); /* whether it worked or not: nothing more can be done here */
}

/* Ends what was begun, all but the link. */
static void undo(BluezLink *link)
{
    Bluez *bluez = link->bluez;

    bluez_unwatch(bluez, &link->device_subscription);
    bluez_unwatch(bluez, &link->value_subscription);
    if (bluez->fault == LINK_FAULT_NONE) {
        if (link->discovering)
            link_call_and_forget(link, bluez->adapter, ADAPTER_IFACE, "StopDiscovery");
        /* Notify sessions outlive the link, and would make the next StartNotify succeed without
         * doing anything. While one of ours stands nobody can have acquired the notifications;
         * otherwise this could crash bluetoothd, see rivals.c. */
        if (link->notify_stands)
            link_call_and_forget(link, link->gatt.notify_path, CHAR_IFACE, "StopNotify");
    }
    link->held = FALSE;
    link->discovering = FALSE;
    link->pairing = FALSE;
    link->notify_stands = FALSE;
    gatt_info_clear(&link->gatt);
}

void link_finish(BluezLink *link, LinkFault fault, const char *detail)
{
    Bluez *bluez = link->bluez;

    if (link->stage == LINK_CLOSED || link->stage == LINK_CLOSING)
        return;
    if (link->removal_crashes && link_fault_traits(fault)->removal_helps) {
        fault = LINK_FAULT_LOCKED; /* else a person would be told to remove it */
        detail = NULL;
    }
    if (fault != LINK_FAULT_NONE)
        log_debug("%s: %s while %s%s%s", link->label, link_fault_name(fault),
                  link_stage_name(link->stage), detail ? ": " : "", detail ? detail : "");
    if (fault != LINK_FAULT_NONE && link->stage > LINK_WAITING && link->stage < LINK_UP)
        link->misses++;
    link->fault = fault;
    g_free(link->detail);
    link->detail = detail && *detail ? g_strdup(detail) : NULL; /* an error may have no text */
    link_clear_timer(link);
    g_clear_handle_id(&link->idle, g_source_remove);
    new_cancellable(link);
    radio_leave(&bluez->radio, link);
    link_set_stage(link, LINK_CLOSING);

    undo(link);
    if (link->engaged)
        link->known_down = FALSE;
    if (link->engaged && bluez->fault == LINK_FAULT_NONE)
        link_call_device(link, "Disconnect", LINK_DISCONNECT_MS, on_disconnected);
    else if (fault == LINK_FAULT_LOST)
        link_set_timer(link, CAUSE_MS, on_cause_timeout);
    else
        set_idle(link, on_come_down);
    link->engaged = FALSE;
}

/* ---- what comes from bus.c ------------------------------------------------------------------- */

void link_environment_changed(BluezLink *link, LinkFault fault)
{
    if (fault == LINK_FAULT_NONE) {
        if (link->held)
            set_idle(link, on_open);
        else
            link->events->kick(link->user);
        link->held = FALSE;
    } else if (link->stage == LINK_CLOSING) {
        if (link->fault == LINK_FAULT_LOST) {
            link->fault = fault;
            g_clear_pointer(&link->detail, g_free);
        }
        /* Nobody is left to answer the Disconnect; the time-out need not be waited for. */
        new_cancellable(link);
        set_idle(link, on_come_down);
    } else {
        link_finish(link, fault, bluez_fault_detail(link->bluez));
    }
}

void link_object_removed(BluezLink *link, const char *path, const char *const *interfaces)
{
    if (link->stage < LINK_RESOLVING || link->stage > LINK_UP)
        return;
    if (g_strcmp0(path, link->device) == 0 && g_strv_contains(interfaces, DEVICE_IFACE)) {
        link->engaged = FALSE;
        link->notify_stands = FALSE; /* it went with the object */
        link_finish(link, LINK_FAULT_LOST,
                    "the connection broke: bluetoothd has removed the device");
    } else if (g_strv_contains(interfaces, CHAR_IFACE) &&
               (g_strcmp0(path, link->gatt.notify_path) == 0 ||
                g_strcmp0(path, link->gatt.write_path) == 0)) {
        if (g_strcmp0(path, link->gatt.notify_path) == 0)
            link->notify_stands = FALSE;
        link_finish(link, LINK_FAULT_LOST, "the connection broke: its services have vanished");
    }
}

void link_granted(BluezLink *link)
{
    link_find(link);
}

/* ---- public ---------------------------------------------------------------------------------- */

static gboolean on_open(gpointer user)
{
    BluezLink *link = user;

    link->idle = 0;
    if (!link->bluez->settled)
        link->held = TRUE;
    else if (link->bluez->fault != LINK_FAULT_NONE)
        link_finish(link, link->bluez->fault, bluez_fault_detail(link->bluez));
    else
        radio_ask(&link->bluez->radio, link);
    return G_SOURCE_REMOVE;
}

static void link_open(void *user, bool afresh)
{
    BluezLink *link = user;

    g_return_if_fail(link->stage == LINK_CLOSED);
    new_cancellable(link);
    link->afresh = afresh;
    link->removal_crashes = FALSE;
    link->rediscovered = FALSE;
    link->engaged = FALSE;
    link_set_stage(link, LINK_WAITING);
    set_idle(link, on_open);
}

static void link_close(void *user)
{
    BluezLink *link = user;

    if (link->stage == LINK_UP && link->heard)
        link->removal_told = FALSE;
    link_finish(link, LINK_FAULT_NONE, NULL);
}

const LinkOps bluez_link_ops = {
    .open = link_open, .write = link_write, .close = link_close, .pair = link_pair};

BluezLink *bluez_link_new(Bluez *bluez, const char *address, const LinkEvents *events, void *user)
{
    BluezLink *link = g_new0(BluezLink, 1);

    link->bluez = bluez;
    g_strlcpy(link->address, address, sizeof link->address);
    link->label = g_strdup(address);
    link->events = events;
    link->user = user;
    link->passkey = -1;
    g_ptr_array_add(bluez->links, link);
    return link;
}

void bluez_link_free(BluezLink *link)
{
    if (link->cancellable)
        g_cancellable_cancel(link->cancellable);
    g_clear_object(&link->cancellable);
    link_clear_timer(link);
    g_clear_handle_id(&link->idle, g_source_remove);
    bluez_unwatch(link->bluez, &link->device_subscription);
    bluez_unwatch(link->bluez, &link->value_subscription);
    g_ptr_array_remove(link->bluez->links, link);
    agent_update(link->bluez); /* it was the last one with a passkey, perhaps */
    radio_release(&link->bluez->radio, link);
    gatt_info_clear(&link->gatt);
    g_free(link->device);
    g_free(link->detail);
    g_free(link->label);
    explicit_bzero(&link->passkey, sizeof link->passkey);
    g_free(link);
}

void bluez_link_set_label(BluezLink *link, const char *label)
{
    g_free(link->label);
    link->label = g_strdup(label);
}
