/* SPDX-License-Identifier: MIT */
/*
 * A live link: how it comes up, when its services are resolved, and how it is lost.
 *
 * The order of the signals is the one measured with bluetoothd 5.66, odd as it is.
 */
#include "sim.h"

#include <string.h>

static void set_resolved(struct battery *battery)
{
    battery->resolved = TRUE;
    tree_changed(battery->sim, tree_device(battery), "ServicesResolved", NULL);
    control_event(battery->sim, "resolved %s", battery->address);
}

static gboolean on_objects(gpointer data)
{
    struct battery *battery = data;

    battery->objects_timer = 0;
    tree_gatt(battery, FALSE, TRUE);
    return G_SOURCE_REMOVE;
}

void link_resolved(struct battery *battery)
{
    const struct fault *late = fault_on(&battery->faults, FAULT_RESOLVE_BEFORE_OBJECTS);
    gboolean hidden = fault_on(&battery->faults, FAULT_NO_SERVICE) != NULL;
    gboolean wrong = fault_on(&battery->faults, FAULT_WRONG_SERVICES) != NULL;

    if (battery->module_exported && (hidden || wrong != battery->wrong_services)) {
        /* What was read now differs from what is kept from the last link. */
        tree_gatt(battery, TRUE, FALSE);
    }
    if (late != NULL) {
        set_resolved(battery);
        battery->objects_timer = sim_after(late->seconds, on_objects, battery);
        return;
    }
    tree_gatt(battery, FALSE, TRUE);
    set_resolved(battery);
}

static gboolean on_resolved(gpointer data)
{
    struct battery *battery = data;

    battery->resolve_timer = 0;
    link_resolved(battery);
    return G_SOURCE_REMOVE;
}

static void start_resolving(struct battery *battery)
{
    struct sim *sim = battery->sim;
    const struct fault *delay = fault_on(&battery->faults, FAULT_RESOLVE_DELAY);

    if (battery->resolved || fault_on(&battery->faults, FAULT_RESOLVE_NEVER) != NULL) {
        return;
    }
    battery->resolve_timer =
        sim_after(sim_draw(sim, sim->timing.resolve) + (delay != NULL ? delay->seconds : 0),
                  on_resolved, battery);
}

static gboolean on_drop(gpointer data)
{
    struct battery *battery = data;

    battery->drop_timer = 0;
    link_down(battery, "fault", FALSE, TRUE);
    return G_SOURCE_REMOVE;
}

static gboolean on_locked(gpointer data)
{
    struct battery *battery = data;

    battery->locked_timer = 0;
    if (board_is_locked(&battery->board) || fault_on(&battery->faults, FAULT_PASSWORD) != NULL) {
        link_down(battery, "password", FALSE, TRUE);
    }
    return G_SOURCE_REMOVE;
}

static void arm_faults(struct battery *battery)
{
    const struct fault *every = fault_on(&battery->faults, FAULT_DROP_EVERY);
    const struct fault *password = fault_on(&battery->faults, FAULT_PASSWORD);

    if (battery->drop_timer == 0 && every != NULL) {
        battery->drop_timer = sim_after(every->seconds, on_drop, battery);
    }
    if (battery->locked_timer == 0 && (password != NULL || board_is_locked(&battery->board))) {
        double seconds = password != NULL && password->seconds >= 0 ? password->seconds : 10;

        battery->locked_timer = sim_after(seconds, on_locked, battery);
    }
}

void link_up(struct battery *battery)
{
    struct sim *sim = battery->sim;

    battery->connected = TRUE;
    battery->links++;
    battery->notify_dead = FALSE;
    board_link_up(&battery->board);
    if (battery->was_linked) {
        tree_changed(sim, tree_device(battery), "Connected", NULL);
    }
    battery->was_linked = TRUE;
    bus_reply(sim, g_steal_pointer(&battery->connect_call), NULL);
    control_event(sim, "connected %s", battery->address);
    notify_link_up(battery);
    start_resolving(battery);
    arm_faults(battery);
}

/* @return whether one of the answered calls was RemoveDevice. */
static gboolean answer_disconnects(struct battery *battery)
{
    GDBusMessage *call;
    gboolean remove = FALSE;

    while ((call = g_queue_pop_head(&battery->disconnect_calls)) != NULL) {
        remove = remove || strcmp(g_dbus_message_get_member(call), "RemoveDevice") == 0;
        bus_reply(battery->sim, call, NULL);
    }
    return remove;
}

void link_down(struct battery *battery, const char *reason, gboolean own, gboolean signal)
{
    struct sim *sim = battery->sim;
    gboolean was_resolved = battery->resolved;
    gboolean remove;

    if (!battery->connected) {
        return;
    }
    sim_cancel(&battery->resolve_timer);
    sim_cancel(&battery->objects_timer);
    sim_cancel(&battery->drop_timer);
    sim_cancel(&battery->locked_timer);
    sim_cancel(&battery->loss_timer);
    sim_cancel(&battery->disconnect_timer);
    battery->connected = FALSE;
    battery->resolved = FALSE;
    battery->drop_after = 0;
    battery->losses += own ? 0 : 1;
    gatt_link_down(battery, signal);
    if (!signal) {
        g_queue_clear_full(&battery->disconnect_calls, g_object_unref);
        control_event(sim, "disconnected %s %s", battery->address, reason);
        return;
    }
    /*
     * BlueZ queues property changes and flushes them before each reply: a call that waits for the
     * disconnection splits them in two and is answered between. Without one they go as one.
     */
    if (!g_queue_is_empty(&battery->disconnect_calls)) {
        if (was_resolved) {
            tree_changed(sim, tree_device(battery), "ServicesResolved", NULL);
        }
        remove = answer_disconnects(battery);
        tree_changed(sim, tree_device(battery), "Connected", NULL);
        if (remove) {
            device_unexport(battery, TRUE);
        }
    } else if (was_resolved) {
        tree_changed(sim, tree_device(battery), "ServicesResolved", "Connected", NULL);
    } else {
        tree_changed(sim, tree_device(battery), "Connected", NULL);
    }
    control_event(sim, "disconnected %s %s", battery->address, reason);
    device_try_all(sim);
}

void link_services(struct battery *battery, gboolean there)
{
    if (there) {
        /* New handles, new paths; nothing is said about ServicesResolved. */
        if (battery->connected && battery->gatt_exported && !battery->module_exported) {
            battery->generation = battery->generation % 1000 + 1;
            tree_gatt(battery, TRUE, TRUE);
        }
    } else if (battery->module_exported) {
        notify_forget(battery);
        tree_gatt(battery, TRUE, FALSE);
    }
}

void link_fault_changed(struct battery *battery, enum fault_id id)
{
    const struct fault *fault = fault_on(&battery->faults, id);

    if (fault == NULL) {
        return;
    }
    if (id == FAULT_DROP_AFTER) {
        battery->drop_after = (guint)fault->number;
        if (fault->number == 0) {
            link_down(battery, "fault", FALSE, TRUE);
        }
    } else if (battery->connected) {
        arm_faults(battery);
    }
    if (id == FAULT_RESOLVE_NEVER) {
        sim_cancel(&battery->resolve_timer);
    }
}
