/* SPDX-License-Identifier: MIT */
/*
 * A live link: how it comes up, when its services are resolved, and how it is lost.
 *
 * The order of the signals is the one measured with bluetoothd 5.66, odd as it is.
 */
#include "sim.h"

#include <string.h>

static void set_resolved(struct device *device)
{
    device->resolved = TRUE;
    tree_changed(device->sim, tree_device(device), "ServicesResolved", NULL);
    control_event(device->sim, "resolved %s", device->battery->address);
}

static gboolean on_objects(gpointer data)
{
    struct device *device = data;

    device->objects_timer = 0;
    tree_gatt(device, FALSE, TRUE);
    return G_SOURCE_REMOVE;
}

void link_resolved(struct device *device)
{
    const struct fault *late = fault_on(&device->battery->faults, FAULT_RESOLVE_BEFORE_OBJECTS);
    gboolean hidden = fault_on(&device->battery->faults, FAULT_NO_SERVICE) != NULL;
    gboolean wrong = fault_on(&device->battery->faults, FAULT_WRONG_SERVICES) != NULL;

    if (!device->cached || (!device->stale && device->generation != device->battery->generation)) {
        if (device->module_exported) {
            tree_gatt(device, TRUE, FALSE);
        }
        device->generation = device->battery->generation;
        device->cached = TRUE;
    }
    if (device->module_exported && (hidden || wrong != device->wrong_services)) {
        /* What was read now differs from what is kept from the last link. */
        tree_gatt(device, TRUE, FALSE);
    }
    if (late != NULL) {
        set_resolved(device);
        device->objects_timer = sim_after(late->seconds, on_objects, device);
        return;
    }
    tree_gatt(device, FALSE, TRUE);
    set_resolved(device);
}

static gboolean on_resolved(gpointer data)
{
    struct device *device = data;

    device->resolve_timer = 0;
    link_resolved(device);
    return G_SOURCE_REMOVE;
}

static void start_resolving(struct device *device)
{
    struct sim *sim = device->sim;
    const struct fault *delay = fault_on(&device->battery->faults, FAULT_RESOLVE_DELAY);

    if (device->resolved || fault_on(&device->battery->faults, FAULT_RESOLVE_NEVER) != NULL) {
        return;
    }
    device->resolve_timer =
        sim_after(sim_draw(sim, sim->timing.resolve) + (delay != NULL ? delay->seconds : 0),
                  on_resolved, device);
}

static gboolean on_drop(gpointer data)
{
    struct device *device = data;

    device->drop_timer = 0;
    link_down(device, "fault", FALSE, TRUE);
    return G_SOURCE_REMOVE;
}

static gboolean on_locked(gpointer data)
{
    struct device *device = data;

    device->locked_timer = 0;
    if (board_is_locked(&device->battery->board) ||
        fault_on(&device->battery->faults, FAULT_PASSWORD) != NULL) {
        link_down(device, "password", FALSE, TRUE);
    }
    return G_SOURCE_REMOVE;
}

static void arm_faults(struct device *device)
{
    const struct fault *every = fault_on(&device->battery->faults, FAULT_DROP_EVERY);
    const struct fault *password = fault_on(&device->battery->faults, FAULT_PASSWORD);

    if (device->drop_timer == 0 && every != NULL) {
        device->drop_timer = sim_after(every->seconds, on_drop, device);
    }
    if (device->locked_timer == 0 &&
        (password != NULL || board_is_locked(&device->battery->board))) {
        double seconds = password != NULL && password->seconds >= 0 ? password->seconds : 10;

        device->locked_timer = sim_after(seconds, on_locked, device);
    }
}

gboolean link_is_told(struct device *device)
{
    struct sim *sim = device->sim;

    if (device->was_linked || sim->first_connected == FIRST_CONNECTED_ALWAYS) {
        return TRUE;
    }
    return sim->first_connected == FIRST_CONNECTED_RANDOM && board_random(&sim->random) < 0.5;
}

void link_up(struct device *device)
{
    struct sim *sim = device->sim;
    gboolean told = link_is_told(device);

    device->connected = TRUE;
    device->battery->linked = device;
    device->battery->links++;
    device->notify_dead = FALSE;
    board_link_up(&device->battery->board);
    if (told) {
        tree_changed(sim, tree_device(device), "Connected", NULL);
    }
    device->was_linked = TRUE;
    bus_reply(sim, g_steal_pointer(&device->connect_call), NULL);
    control_event(sim, "connected %s %s", device->battery->address, adapter_name(device->adapter));
    notify_link_up(device);
    start_resolving(device);
    arm_faults(device);
}

/* @return whether one of the answered calls was RemoveDevice. */
static gboolean answer_disconnects(struct device *device)
{
    GDBusMessage *call;
    gboolean remove = FALSE;

    while ((call = g_queue_pop_head(&device->disconnect_calls)) != NULL) {
        remove = remove || strcmp(g_dbus_message_get_member(call), "RemoveDevice") == 0;
        bus_reply(device->sim, call, NULL);
    }
    return remove;
}

/* It advertises again, to every adapter that hears it. */
static void each_try(struct battery *battery)
{
    for (guint i = 0; i < battery->sim->adapters->len; i++) {
        device_try_all(battery->sim->adapters->pdata[i]);
    }
}

void link_down(struct device *device, const char *reason, gboolean own, gboolean signal)
{
    struct sim *sim = device->sim;
    gboolean was_resolved = device->resolved;
    gboolean remove;

    if (!device->connected) {
        return;
    }
    sim_cancel(&device->resolve_timer);
    sim_cancel(&device->objects_timer);
    sim_cancel(&device->drop_timer);
    sim_cancel(&device->locked_timer);
    sim_cancel(&device->loss_timer);
    sim_cancel(&device->disconnect_timer);
    device->connected = FALSE;
    device->battery->linked = NULL;
    device->resolved = FALSE;
    device->battery->drop_after = 0;
    device->battery->losses += own ? 0 : 1;
    if (signal) {
        pair_cancel(device);
    } else {
        pair_drop(device);
    }
    gatt_link_down(device, signal);
    if (!signal) {
        g_queue_clear_full(&device->disconnect_calls, g_object_unref);
        control_event(sim, "disconnected %s %s", device->battery->address, reason);
        return;
    }
    /*
     * BlueZ queues property changes and flushes them before each reply: a call that waits for the
     * disconnection splits them in two and is answered between. Without one they go as one.
     */
    if (!g_queue_is_empty(&device->disconnect_calls)) {
        if (was_resolved) {
            tree_changed(sim, tree_device(device), "ServicesResolved", NULL);
        }
        remove = answer_disconnects(device);
        tree_changed(sim, tree_device(device), "Connected", NULL);
        if (remove) {
            device_forget(device);
        }
    } else if (was_resolved) {
        tree_changed(sim, tree_device(device), "ServicesResolved", "Connected", NULL);
    } else {
        tree_changed(sim, tree_device(device), "Connected", NULL);
    }
    control_event(sim, "disconnected %s %s", device->battery->address, reason);
    each_try(device->battery);
}

static void services_return(struct device *device)
{
    /* New handles, new paths; nothing is said about ServicesResolved. */
    if (device->connected && device->gatt_exported && !device->module_exported) {
        device->generation = device->battery->generation;
        device->stale = FALSE;
        tree_gatt(device, TRUE, TRUE);
    }
}

static void services_vanish(struct device *device)
{
    if (device->module_exported) {
        notify_forget(device);
        tree_gatt(device, TRUE, FALSE);
    }
}

static void make_stale(struct device *device)
{
    if (device->cached) {
        device->stale = TRUE;
        device->subscribed = FALSE;
    }
}

static void new_handles(struct battery *battery)
{
    battery->generation = battery->generation % 1000 + 1;
}

void link_services(struct battery *battery, gboolean there)
{
    if (there) {
        new_handles(battery);
    }
    battery_each(battery, there ? services_return : services_vanish);
}

void link_make_stale(struct battery *battery)
{
    new_handles(battery);
    battery_each(battery, make_stale);
}

void link_fault_changed(struct battery *battery, enum fault_id id)
{
    const struct fault *fault = fault_on(&battery->faults, id);
    struct device *device = battery->linked;

    if (fault == NULL) {
        return;
    }
    if (id == FAULT_DROP_AFTER) {
        battery->drop_after = (guint)fault->number;
    }
    if (device == NULL) {
        return;
    }
    if (id == FAULT_DROP_AFTER && fault->number == 0) {
        link_down(device, "fault", FALSE, TRUE);
    } else if (id != FAULT_DROP_AFTER) {
        arm_faults(device);
    }
    if (id == FAULT_RESOLVE_NEVER) {
        sim_cancel(&device->resolve_timer);
    }
}
