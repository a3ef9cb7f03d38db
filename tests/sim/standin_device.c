/* SPDX-License-Identifier: MIT */
/*
 * Device1: objects that come with a scan and go after it, and the calls Connect and Disconnect.
 */
#include "sim.h"

#include <string.h>

static gboolean on_temporary(gpointer data)
{
    struct battery *battery = data;

    battery->temporary_timer = 0;
    device_unexport(battery, TRUE);
    return G_SOURCE_REMOVE;
}

static void restart_temporary(struct battery *battery)
{
    sim_cancel(&battery->temporary_timer);
    if (battery->temporary && battery->exported && !battery->sim->adapter.discovering) {
        battery->temporary_timer = sim_after(battery->sim->timing.temporary, on_temporary, battery);
    }
}

void device_export(struct battery *battery, gboolean temporary)
{
    battery->exported = TRUE;
    battery->temporary = temporary;
    battery->was_linked = FALSE;
    if (battery->sim->running) {
        tree_added(battery->sim, tree_device(battery));
    }
    control_event(battery->sim, "device-added %s", battery->address);
}

void device_unexport(struct battery *battery, gboolean signal)
{
    if (!battery->exported) {
        return;
    }
    sim_cancel(&battery->temporary_timer);
    notify_forget(battery);
    if (signal) {
        tree_gatt(battery, FALSE, FALSE);
        tree_removed(battery->sim, tree_device(battery));
    }
    battery->gatt_exported = FALSE;
    battery->module_exported = FALSE;
    battery->generation = 0;
    battery->exported = FALSE;
    battery->rssi_known = FALSE;
    control_event(battery->sim, "device-removed %s", battery->address);
}

static gboolean on_seen(gpointer data)
{
    struct battery *battery = data;

    battery->seen_timer = sim_after(1.0, on_seen, battery);
    device_seen(battery);
    return G_SOURCE_REMOVE;
}

void device_seen(struct battery *battery)
{
    struct sim *sim = battery->sim;
    gint16 rssi = (gint16)(-70 + (int)(board_random(&sim->random) * 16));

    /* A board that is connected does not advertise. */
    if (!battery->present || battery->connected || !sim->adapter.powered) {
        return;
    }
    if (!battery->exported) {
        battery->rssi_known = TRUE;
        battery->rssi = rssi;
        device_export(battery, TRUE);
    } else if (!battery->rssi_known || battery->rssi != rssi) {
        battery->rssi_known = TRUE;
        battery->rssi = rssi;
        tree_changed(sim, tree_device(battery), "RSSI", NULL);
    }
}

void device_scan(struct battery *battery, gboolean on)
{
    struct sim *sim = battery->sim;

    sim_cancel(&battery->seen_timer);
    sim_cancel(&battery->temporary_timer);
    if (on) {
        battery->seen_timer = sim_after(sim_draw(sim, sim->timing.discover), on_seen, battery);
        return;
    }
    if (battery->rssi_known) {
        battery->rssi_known = FALSE;
        if (battery->exported) {
            tree_changed(sim, tree_device(battery), "RSSI", NULL);
        }
    }
    restart_temporary(battery);
}

/* The controller opens one connection after the other, so only one battery is at this stage. */
static gboolean on_established(gpointer data)
{
    struct battery *battery = data;
    struct sim *sim = battery->sim;
    const struct fault *fault;

    battery->establish_timer = 0;
    if ((fault = fault_take(&battery->faults, FAULT_CONNECT_FAIL)) != NULL) {
        device_abort(battery, fault->name, fault->text);
    } else if (battery->present) {
        sim_cancel(&battery->absent_timer);
        link_up(battery);
    }
    device_try_all(sim);
    return G_SOURCE_REMOVE;
}

static gboolean try_establish(struct battery *battery)
{
    struct sim *sim = battery->sim;
    const struct fault *delay = fault_on(&battery->faults, FAULT_CONNECT_DELAY);
    gboolean refused = fault_on(&battery->faults, FAULT_CONNECT_FAIL) != NULL;

    if (battery->connect_call == NULL || battery->connect_hangs || !(battery->present || refused)) {
        return FALSE;
    }
    battery->establish_timer =
        sim_after(sim_draw(sim, sim->timing.connect) + (delay != NULL ? delay->seconds : 0),
                  on_established, battery);
    return TRUE;
}

gboolean device_try_all(struct sim *sim)
{
    for (guint i = 0; i < sim->batteries->len; i++) {
        const struct battery *battery = sim->batteries->pdata[i];

        if (battery->establish_timer != 0) {
            return FALSE;
        }
    }
    for (guint i = 0; i < sim->batteries->len; i++) {
        if (try_establish(sim->batteries->pdata[i])) {
            return TRUE;
        }
    }
    return FALSE;
}

void device_abort(struct battery *battery, const char *error, const char *message)
{
    sim_cancel(&battery->establish_timer);
    sim_cancel(&battery->absent_timer);
    battery->connect_hangs = FALSE;
    if (battery->connect_call != NULL) {
        control_event(battery->sim, "connect-failed %s %s", battery->address, message);
        bus_error(battery->sim, g_steal_pointer(&battery->connect_call), error, message);
    }
}

static gboolean on_absent(gpointer data)
{
    struct battery *battery = data;

    battery->absent_timer = 0;
    device_abort(battery, ERROR_FAILED, "le-connection-abort-by-local");
    device_try_all(battery->sim);
    return G_SOURCE_REMOVE;
}

static void connect_device(struct battery *battery, GDBusMessage *call)
{
    struct sim *sim = battery->sim;

    control_event(sim, "connect %s", battery->address);
    if (battery->connected && battery->connect_call == NULL) {
        bus_reply(sim, call, NULL);
        return;
    }
    if (!sim->adapter.powered) {
        bus_error(sim, call, ERROR_FAILED, "Input/output error");
        return;
    }
    if (battery->connect_call != NULL) {
        sim->overlapping_connects++;
        bus_error(sim, call, sim->connect_busy_new ? ERROR_IN_PROGRESS : ERROR_FAILED,
                  "Operation already in progress");
        return;
    }
    for (guint i = 0; i < sim->batteries->len; i++) {
        const struct battery *other = sim->batteries->pdata[i];

        if (other->connect_call != NULL) {
            sim->overlapping_connects++;
            break;
        }
    }
    if (sim->adapter.discovering) {
        sim->scan_while_connecting++;
    }
    battery->temporary = FALSE;
    battery->stored = TRUE;
    sim_cancel(&battery->temporary_timer);
    battery->connect_call = call;
    battery->connect_hangs = fault_take(&battery->faults, FAULT_CONNECT_HANG) != NULL;
    if (!battery->connect_hangs) {
        battery->absent_timer = sim_after(sim->timing.absent, on_absent, battery);
    }
    device_try_all(sim);
}

static gboolean on_disconnect(gpointer data)
{
    struct battery *battery = data;

    battery->disconnect_timer = 0;
    link_down(battery, "local", TRUE, TRUE);
    return G_SOURCE_REMOVE;
}

static void disconnect_device(struct battery *battery, GDBusMessage *call)
{
    struct sim *sim = battery->sim;

    control_event(sim, "disconnect %s", battery->address);
    /* The message is BlueZ's, though this is not BR/EDR. */
    device_abort(battery, ERROR_FAILED, "br-connection-canceled");
    device_try_all(sim);
    if (!battery->connected) {
        bus_reply(sim, call, NULL);
        return;
    }
    g_queue_push_tail(&battery->disconnect_calls, call);
    if (battery->disconnect_timer == 0 &&
        fault_on(&battery->faults, FAULT_DISCONNECT_HANG) == NULL) {
        battery->disconnect_timer = sim_after(sim->timing.disconnect, on_disconnect, battery);
    }
}

void device_remove(struct battery *battery, GDBusMessage *call)
{
    battery->stored = FALSE;
    battery->temporary = TRUE;
    if (battery->connected) {
        /* Goes through a disconnection and answers after it. */
        disconnect_device(battery, call);
        return;
    }
    device_abort(battery, ERROR_FAILED, "br-connection-canceled");
    device_try_all(battery->sim);
    device_unexport(battery, TRUE);
    bus_reply(battery->sim, call, NULL);
}

static gboolean on_supervision(gpointer data)
{
    struct battery *battery = data;

    battery->loss_timer = 0;
    link_down(battery, "timeout", FALSE, TRUE);
    return G_SOURCE_REMOVE;
}

void device_present(struct battery *battery, gboolean present)
{
    struct sim *sim = battery->sim;

    battery->present = present;
    sim_cancel(&battery->loss_timer);
    if (present) {
        device_try_all(sim);
    } else if (battery->connected) {
        battery->loss_timer = sim_after(sim->timing.supervision, on_supervision, battery);
    } else if (battery->establish_timer != 0) {
        /* The pending connection goes on waiting for an advertisement. */
        sim_cancel(&battery->establish_timer);
        device_try_all(sim);
    }
}

void device_call(struct battery *battery, GDBusMessage *call, const char *member)
{
    if (strcmp(member, "Connect") == 0) {
        connect_device(battery, call);
    } else if (strcmp(member, "Disconnect") == 0) {
        disconnect_device(battery, call);
    } else if (strcmp(member, "CancelPairing") == 0) {
        bus_error(battery->sim, call, ERROR_NO_DEVICE, "Does Not Exist");
    } else if (strcmp(member, "Pair") == 0 || strcmp(member, "ConnectProfile") == 0 ||
               strcmp(member, "DisconnectProfile") == 0) {
        bus_error(battery->sim, call, ERROR_NOT_SUPPORTED, "Operation is not supported");
    } else {
        bus_error(battery->sim, call, "org.freedesktop.DBus.Error.UnknownMethod", "No such method");
    }
}
