/* SPDX-License-Identifier: MIT */
/*
 * Device1: objects that come with a scan and go after it, and the calls Connect and Disconnect.
 */
#include "sim.h"

#include <string.h>

struct device *device_of(const struct adapter *adapter, const struct battery *battery)
{
    return adapter->devices->pdata[battery->index];
}

gboolean device_is_heard(const struct device *device)
{
    return device->battery->present && !device->unheard;
}

/* Whether a connection can be made. */
static gboolean is_reachable(const struct device *device)
{
    return device_is_heard(device) && device->battery->linked == NULL;
}

static gboolean on_temporary(gpointer data)
{
    struct device *device = data;

    device->temporary_timer = 0;
    device_unexport(device, TRUE);
    return G_SOURCE_REMOVE;
}

static void restart_temporary(struct device *device)
{
    sim_cancel(&device->temporary_timer);
    if (device->temporary && device->exported && !device->adapter->discovering) {
        device->temporary_timer = sim_after(device->sim->timing.temporary, on_temporary, device);
    }
}

void device_export(struct device *device, gboolean temporary)
{
    device->exported = TRUE;
    device->temporary = temporary;
    device->was_linked = FALSE;
    if (device->sim->running) {
        tree_added(device->sim, tree_device(device));
    }
    control_event(device->sim, "device-added %s %s", device->battery->address,
                  adapter_name(device->adapter));
}

void device_unexport(struct device *device, gboolean signal)
{
    if (!device->exported) {
        return;
    }
    sim_cancel(&device->temporary_timer);
    notify_forget(device);
    if (signal) {
        tree_gatt(device, FALSE, FALSE);
        tree_removed(device->sim, tree_device(device));
    }
    device->gatt_exported = FALSE;
    device->module_exported = FALSE;
    device->exported = FALSE;
    device->rssi_known = FALSE;
    control_event(device->sim, "device-removed %s %s", device->battery->address,
                  adapter_name(device->adapter));
}

static gboolean on_seen(gpointer data)
{
    struct device *device = data;

    device->seen_timer = sim_after(1.0, on_seen, device);
    device_seen(device);
    return G_SOURCE_REMOVE;
}

void device_seen(struct device *device)
{
    struct sim *sim = device->sim;
    gint16 rssi = (gint16)(-70 + (int)(board_random(&sim->random) * 16));

    /* A board that is connected does not advertise. */
    if (!is_reachable(device) || !device->adapter->powered) {
        return;
    }
    if (!device->exported) {
        device->rssi_known = TRUE;
        device->rssi = rssi;
        device_export(device, TRUE);
    } else if (!device->rssi_known || device->rssi != rssi) {
        device->rssi_known = TRUE;
        device->rssi = rssi;
        tree_changed(sim, tree_device(device), "RSSI", NULL);
    }
}

void device_scan(struct device *device, gboolean on)
{
    struct sim *sim = device->sim;

    sim_cancel(&device->seen_timer);
    sim_cancel(&device->temporary_timer);
    if (on) {
        device->seen_timer = sim_after(sim_draw(sim, sim->timing.discover), on_seen, device);
        return;
    }
    if (device->rssi_known) {
        device->rssi_known = FALSE;
        if (device->exported) {
            tree_changed(sim, tree_device(device), "RSSI", NULL);
        }
    }
    restart_temporary(device);
}

/*
 * The link comes up at the radio and breaks before BlueZ has looked at its services: Connect fails,
 * and whether the kernel has told of the link before is a matter of luck, as on any first contact.
 */
static void break_early(struct device *device)
{
    if (link_is_told(device)) {
        device->connected = TRUE;
        tree_changed(device->sim, tree_device(device), "Connected", NULL);
        device->connected = FALSE;
        tree_changed(device->sim, tree_device(device), "Connected", NULL);
    }
    device_abort(device, ERROR_FAILED, "le-connection-abort-by-local");
}

/* The controller opens one connection after the other, so only one battery is at this stage. */
static gboolean on_established(gpointer data)
{
    struct device *device = data;
    const struct fault *fault;

    device->establish_timer = 0;
    if ((fault = fault_take(&device->battery->faults, FAULT_CONNECT_FAIL)) != NULL) {
        device_abort(device, fault->name, fault->text);
    } else if (fault_take(&device->battery->faults, FAULT_ABORT_EARLY) != NULL) {
        break_early(device);
    } else if (is_reachable(device)) {
        sim_cancel(&device->absent_timer);
        link_up(device);
    }
    device_try_all(device->adapter);
    return G_SOURCE_REMOVE;
}

static gboolean try_establish(struct device *device)
{
    struct sim *sim = device->sim;
    const struct fault *delay = fault_on(&device->battery->faults, FAULT_CONNECT_DELAY);
    gboolean refused = fault_on(&device->battery->faults, FAULT_CONNECT_FAIL) != NULL;

    if (device->connect_call == NULL || device->connect_hangs ||
        !(is_reachable(device) || refused)) {
        return FALSE;
    }
    device->establish_timer =
        sim_after(sim_draw(sim, sim->timing.connect) + (delay != NULL ? delay->seconds : 0),
                  on_established, device);
    return TRUE;
}

gboolean device_try_all(struct adapter *adapter)
{
    for (guint i = 0; i < adapter->devices->len; i++) {
        const struct device *device = adapter->devices->pdata[i];

        if (device->establish_timer != 0) {
            return FALSE;
        }
    }
    for (guint i = 0; i < adapter->devices->len; i++) {
        if (try_establish(adapter->devices->pdata[i])) {
            return TRUE;
        }
    }
    return FALSE;
}

void device_abort(struct device *device, const char *error, const char *message)
{
    pair_cancel(device);
    sim_cancel(&device->establish_timer);
    sim_cancel(&device->absent_timer);
    device->connect_hangs = FALSE;
    if (device->connect_call != NULL) {
        control_event(device->sim, "connect-failed %s %s", device->battery->address, message);
        bus_error(device->sim, g_steal_pointer(&device->connect_call), error, message);
    }
}

static gboolean on_absent(gpointer data)
{
    struct device *device = data;

    device->absent_timer = 0;
    device_abort(device, ERROR_FAILED, "le-connection-abort-by-local");
    device_try_all(device->adapter);
    return G_SOURCE_REMOVE;
}

static gboolean is_by(GDBusMessage *call, const char *client)
{
    return call != NULL && strcmp(g_dbus_message_get_sender(call), client) == 0;
}

/* What a client should not do: the radio does one thing at a time. Others may do what they like. */
static void count_overlaps(struct adapter *adapter, GDBusMessage *call)
{
    const char *client = g_dbus_message_get_sender(call);

    for (guint i = 0; i < adapter->devices->len; i++) {
        const struct device *other = adapter->devices->pdata[i];

        if (is_by(other->connect_call, client)) {
            adapter->sim->overlapping_connects++;
            break;
        }
    }
    adapter->sim->scan_while_connecting += adapter_is_scanned_by(adapter, client) ? 1 : 0;
}

/* The controller answers LE Create Connection with "connection limit exceeded". */
static gboolean links_run_out(const struct adapter *adapter)
{
    guint links = 0;

    for (guint i = 0; i < adapter->devices->len; i++) {
        const struct device *device = adapter->devices->pdata[i];

        links += device->connected ? 1 : 0;
    }
    return adapter->sim->link_limit > 0 && links >= adapter->sim->link_limit;
}

/* @return whether it is in a state in which it fails at once, or is never answered. */
static gboolean connect_wedged(struct device *device)
{
    if (device->adapter->wedge == WEDGE_HANG) {
        device->connect_hangs = TRUE;
    } else if (device->adapter->wedge == WEDGE_FAIL) {
        device_abort(device, ERROR_FAILED, "le-connection-abort-by-local");
    } else if (device->wedged) {
        device_abort(device, ERROR_FAILED, "Software caused connection abort");
    } else {
        return FALSE;
    }
    return TRUE;
}

static void connect_device(struct device *device, GDBusMessage *call)
{
    struct sim *sim = device->sim;

    control_event(sim, "connect %s %s", device->battery->address, adapter_name(device->adapter));
    if (device->connected && device->connect_call == NULL) {
        bus_reply(sim, call, NULL);
        return;
    }
    if (!device->adapter->powered) {
        bus_error(sim, call, ERROR_FAILED, "Input/output error");
        return;
    }
    if (device->connect_call != NULL) {
        sim->overlapping_connects +=
            is_by(device->connect_call, g_dbus_message_get_sender(call)) ? 1 : 0;
        bus_error(sim, call, sim->connect_busy_new ? ERROR_IN_PROGRESS : ERROR_FAILED,
                  "Operation already in progress");
        return;
    }
    count_overlaps(device->adapter, call);
    device->temporary = FALSE;
    device->stored = TRUE;
    sim_cancel(&device->temporary_timer);
    device->connect_call = call;
    if (connect_wedged(device)) {
        return;
    }
    if (links_run_out(device->adapter)) {
        device_abort(device, ERROR_FAILED, "le-connection-concurrent-connection-limit");
        return;
    }
    device->connect_hangs = fault_take(&device->battery->faults, FAULT_CONNECT_HANG) != NULL;
    if (!device->connect_hangs) {
        device->absent_timer = sim_after(sim->timing.absent, on_absent, device);
    }
    device_try_all(device->adapter);
}

static gboolean on_disconnect(gpointer data)
{
    struct device *device = data;

    device->disconnect_timer = 0;
    link_down(device, "local", TRUE, TRUE);
    return G_SOURCE_REMOVE;
}

static void disconnect_device(struct device *device, GDBusMessage *call)
{
    struct sim *sim = device->sim;

    control_event(sim, "disconnect %s", device->battery->address);
    /* The message is BlueZ's, though this is not BR/EDR. */
    device_abort(device, ERROR_FAILED, "br-connection-canceled");
    device_try_all(device->adapter);
    if (!device->connected) {
        bus_reply(sim, call, NULL);
        return;
    }
    g_queue_push_tail(&device->disconnect_calls, call);
    if (device->disconnect_timer == 0 &&
        fault_on(&device->battery->faults, FAULT_DISCONNECT_HANG) == NULL) {
        device->disconnect_timer =
            sim_after(sim_draw(sim, sim->timing.disconnect), on_disconnect, device);
    }
}

void device_forget(struct device *device)
{
    pair_forget(device);
    device->stored = FALSE;
    device->cached = FALSE;
    device->stale = FALSE;
    device->wedged = FALSE;
    device_abort(device, ERROR_FAILED, "br-connection-canceled");
    device_try_all(device->adapter);
    device_unexport(device, TRUE);
}

void device_remove(struct device *device, GDBusMessage *call)
{
    if (acquire_is_left(device)) {
        g_object_unref(call);
        bluez_crash(device->sim, "RemoveDevice");
        return;
    }
    device->stored = FALSE;
    device->temporary = TRUE;
    if (device->connected) {
        /* Goes through a disconnection and answers after it. */
        disconnect_device(device, call);
        return;
    }
    device_forget(device);
    bus_reply(device->sim, call, NULL);
}

void device_block(struct device *device, gboolean on)
{
    if (device->blocked == on) {
        return;
    }
    device->blocked = on;
    tree_changed(device->sim, tree_device(device), "Blocked", NULL);
    if (on && device->connected && device->disconnect_timer == 0) {
        device->disconnect_timer =
            sim_after(sim_draw(device->sim, device->sim->timing.disconnect), on_disconnect, device);
    }
}

static gboolean on_supervision(gpointer data)
{
    struct device *device = data;

    device->loss_timer = 0;
    link_down(device, "timeout", FALSE, TRUE);
    return G_SOURCE_REMOVE;
}

void device_range_changed(struct device *device)
{
    gboolean heard = device_is_heard(device);

    sim_cancel(&device->loss_timer);
    if (heard) {
        device_try_all(device->adapter);
    } else if (device->connected) {
        device->loss_timer = sim_after(device->sim->timing.supervision, on_supervision, device);
    } else if (device->establish_timer != 0) {
        /* The pending connection goes on waiting for an advertisement. */
        sim_cancel(&device->establish_timer);
        device_try_all(device->adapter);
    }
}

void device_call(struct device *device, GDBusMessage *call, const char *member)
{
    if (strcmp(member, "Connect") == 0) {
        connect_device(device, call);
    } else if (strcmp(member, "Disconnect") == 0) {
        disconnect_device(device, call);
    } else if (strcmp(member, "CancelPairing") == 0) {
        bus_error(device->sim, call, ERROR_NO_DEVICE, "Does Not Exist");
    } else if (strcmp(member, "Pair") == 0) {
        pair_device(device, call);
    } else if (strcmp(member, "ConnectProfile") == 0 || strcmp(member, "DisconnectProfile") == 0) {
        bus_error(device->sim, call, ERROR_NOT_SUPPORTED, "Operation is not supported");
    } else {
        bus_error(device->sim, call, "org.freedesktop.DBus.Error.UnknownMethod", "No such method");
    }
}
