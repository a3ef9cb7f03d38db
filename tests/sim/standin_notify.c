/* SPDX-License-Identifier: MIT */
/*
 * Notifications: the sessions of clients, the peer's CCC, and what is on its way to them.
 */
#include "sim.h"

#include <string.h>

/* A notification on its way. */
struct delivery {
    struct battery *battery;
    GBytes *bytes;
    guint timer;
    int reg; /* of the answer that ends with it; below 0: none */
};

static void delivery_free(struct delivery *delivery)
{
    sim_cancel(&delivery->timer);
    g_bytes_unref(delivery->bytes);
    g_free(delivery);
}

static void session_free(struct session *session)
{
    g_free(session->client);
    g_free(session);
}

static struct session *session_find(struct battery *battery, const char *client)
{
    for (GList *l = battery->sessions.head; l != NULL; l = l->next) {
        struct session *session = l->data;

        if (strcmp(session->client, client) == 0) {
            return session;
        }
    }
    return NULL;
}

static gboolean any_registered(const struct battery *battery)
{
    for (const GList *l = battery->sessions.head; l != NULL; l = l->next) {
        const struct session *session = l->data;

        if (session->registered) {
            return TRUE;
        }
    }
    return FALSE;
}

static void set_notifying(struct battery *battery, gboolean on)
{
    if (battery->notifying == on) {
        return;
    }
    battery->notifying = on;
    if (tree_row_exists(battery, ROW_NOTIFY) && battery->sim->running) {
        tree_changed(battery->sim, tree_row(battery, ROW_NOTIFY), "Notifying", NULL);
    }
}

static void end_session(struct battery *battery, struct session *session)
{
    g_queue_remove(&battery->sessions, session);
    session_free(session);
    if (!any_registered(battery)) {
        if (battery->subscribed || battery->notifying) {
            control_event(battery->sim, "notify %s off", battery->address);
        }
        battery->subscribed = FALSE;
        sim_cancel(&battery->ccc_timer);
        set_notifying(battery, FALSE);
    }
}

static void emit(struct battery *battery, GBytes *bytes)
{
    struct sim *sim = battery->sim;
    GVariantBuilder changed;
    g_autofree char *path = NULL;
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);

    g_clear_pointer(&battery->value, g_bytes_unref);
    battery->value = g_bytes_ref(bytes);
    if (!battery->subscribed || !any_registered(battery) || !tree_row_exists(battery, ROW_NOTIFY)) {
        return;
    }
    battery->notifications++;
    path = tree_path(sim, tree_row(battery, ROW_NOTIFY));
    g_variant_builder_init(&changed, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&changed, "{sv}", "Value",
                          g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, data, size, 1));
    bus_signal(sim, path, PROPERTIES_INTERFACE, "PropertiesChanged",
               g_variant_new("(sa{sv}as)", CHARACTERISTIC_INTERFACE, &changed, NULL));
}

static gboolean on_delivery(gpointer data)
{
    struct delivery *delivery = data;
    struct battery *battery = delivery->battery;

    delivery->timer = 0;
    g_queue_remove(&battery->deliveries, delivery);
    emit(battery, delivery->bytes);
    if (delivery->reg >= 0) {
        battery->replies++;
        control_event(battery->sim, "reply %s %02x", battery->address, (guint)delivery->reg);
    }
    delivery_free(delivery);
    return G_SOURCE_REMOVE;
}

void notify_deliver(struct battery *battery, const void *bytes, gsize size, double delay, int reg)
{
    struct delivery *delivery = g_new0(struct delivery, 1);

    delivery->battery = battery;
    delivery->bytes = g_bytes_new(bytes, size);
    delivery->reg = reg;
    delivery->timer = sim_after(delay, on_delivery, delivery);
    g_queue_push_tail(&battery->deliveries, delivery);
}

static gboolean on_ccc(gpointer data)
{
    static const uint8_t zero = 0;
    struct battery *battery = data;
    GDBusMessage *call;

    battery->ccc_timer = 0;
    if (fault_take(&battery->faults, FAULT_NOTIFY_DEAD) != NULL) {
        battery->notify_dead = TRUE;
    }
    battery->subscribed = !battery->notify_dead;
    battery->sessions_begun++;
    board_subscribed(&battery->board);
    set_notifying(battery, TRUE);
    while ((call = g_queue_pop_head(&battery->subscribe_calls)) != NULL) {
        bus_reply(battery->sim, call, NULL);
    }
    if (battery->board.config.stray_zero) {
        notify_deliver(battery, &zero, 1, 0.015, -1);
    }
    control_event(battery->sim, "notify %s on", battery->address);
    return G_SOURCE_REMOVE;
}

void notify_start(struct battery *battery, GDBusMessage *call)
{
    struct sim *sim = battery->sim;
    const char *client = g_dbus_message_get_sender(call);
    struct session *session = session_find(battery, client);
    const struct fault *fault;

    battery->notify_starts++;
    if (!g_queue_is_empty(&battery->disconnect_calls)) {
        bus_error(sim, call, ERROR_NOT_CONNECTED, "Not Connected");
        return;
    }
    if (session != NULL) {
        /* One session a client; whether the CCC is written already does not matter. */
        if (session->registered) {
            bus_reply(sim, call, NULL);
        } else {
            bus_error(sim, call, ERROR_IN_PROGRESS, "In Progress");
        }
        return;
    }
    if ((fault = fault_take(&battery->faults, FAULT_NOTIFY_FAIL)) != NULL) {
        bus_error(sim, call, fault->name, fault->text);
        return;
    }
    session = g_new0(struct session, 1);
    session->client = g_strdup(client);
    session->registered = battery->connected;
    g_queue_push_tail(&battery->sessions, session);
    /* Without a link BlueZ says yes and registers at the next one. */
    if (!battery->connected || battery->subscribed || battery->notify_dead) {
        if (battery->connected) {
            set_notifying(battery, TRUE);
        }
        bus_reply(sim, call, NULL);
        return;
    }
    g_queue_push_tail(&battery->subscribe_calls, call);
    if (battery->ccc_timer == 0) {
        battery->ccc_timer = sim_after(sim->timing.notify, on_ccc, battery);
    }
}

void notify_stop(struct battery *battery, GDBusMessage *call)
{
    struct session *session = session_find(battery, g_dbus_message_get_sender(call));

    battery->notify_stops++;
    if (session == NULL) {
        bus_error(battery->sim, call, ERROR_FAILED, "No notify session started");
        return;
    }
    end_session(battery, session);
    bus_reply(battery->sim, call, NULL);
}

void notify_link_up(struct battery *battery)
{
    battery->subscribed = FALSE;
    battery->uart_free = 0;
    if (g_queue_is_empty(&battery->sessions)) {
        return;
    }
    /* A session that outlived the last link: registered at once, the CCC written a little later. */
    for (GList *l = battery->sessions.head; l != NULL; l = l->next) {
        struct session *session = l->data;

        session->registered = TRUE;
    }
    battery->ccc_timer = sim_after(battery->sim->timing.notify, on_ccc, battery);
}

void notify_link_down(struct battery *battery, gboolean signal)
{
    struct delivery *delivery;
    GDBusMessage *call;

    while ((delivery = g_queue_pop_head(&battery->deliveries)) != NULL) {
        delivery_free(delivery);
    }
    sim_cancel(&battery->ccc_timer);
    while ((call = g_queue_pop_head(&battery->subscribe_calls)) != NULL) {
        struct session *session = session_find(battery, g_dbus_message_get_sender(call));

        if (session != NULL) {
            g_queue_remove(&battery->sessions, session);
            session_free(session);
        }
        if (signal) {
            bus_error(battery->sim, call, ERROR_FAILED, "Operation failed with ATT error: 0x0e");
        } else {
            g_object_unref(call);
        }
    }
    /* Notifying stays as it was: the sessions live on. */
    for (GList *l = battery->sessions.head; l != NULL; l = l->next) {
        struct session *session = l->data;

        session->registered = FALSE;
    }
    battery->subscribed = FALSE;
}

void notify_forget(struct battery *battery)
{
    struct session *session;
    GDBusMessage *call;

    sim_cancel(&battery->ccc_timer);
    while ((session = g_queue_pop_head(&battery->sessions)) != NULL) {
        session_free(session);
    }
    while ((call = g_queue_pop_head(&battery->subscribe_calls)) != NULL) {
        bus_error(battery->sim, call, ERROR_FAILED, "Operation failed with ATT error: 0x0e");
    }
    g_clear_pointer(&battery->value, g_bytes_unref);
    battery->subscribed = FALSE;
    battery->notifying = FALSE;
}

void notify_client_gone(struct battery *battery, const char *client)
{
    struct session *session = session_find(battery, client);

    if (session != NULL) {
        end_session(battery, session);
    }
}
