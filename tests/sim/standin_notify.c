/* SPDX-License-Identifier: MIT */
/*
 * Notifications: the sessions of clients, the peer's CCC, and what is on its way to them.
 */
#include "sim.h"

#include <string.h>

/* A notification on its way. */
struct delivery {
    struct device *device;
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

static struct session *session_find(struct device *device, const char *client)
{
    for (GList *l = device->sessions.head; l != NULL; l = l->next) {
        struct session *session = l->data;

        if (strcmp(session->client, client) == 0) {
            return session;
        }
    }
    return NULL;
}

static gboolean any_registered(const struct device *device)
{
    for (const GList *l = device->sessions.head; l != NULL; l = l->next) {
        const struct session *session = l->data;

        if (session->registered) {
            return TRUE;
        }
    }
    return FALSE;
}

static void set_notifying(struct device *device, gboolean on)
{
    if (device->notifying == on) {
        return;
    }
    device->notifying = on;
    if (tree_row_exists(device, ROW_NOTIFY) && device->sim->running) {
        tree_changed(device->sim, tree_row(device, ROW_NOTIFY), "Notifying", NULL);
    }
}

static void end_session(struct device *device, struct session *session)
{
    g_queue_remove(&device->sessions, session);
    session_free(session);
    if (!any_registered(device)) {
        if (device->subscribed || device->notifying) {
            control_event(device->sim, "notify %s off", device->battery->address);
        }
        device->subscribed = FALSE;
        sim_cancel(&device->ccc_timer);
        set_notifying(device, FALSE);
    }
}

static void emit(struct device *device, GBytes *bytes)
{
    struct sim *sim = device->sim;
    GVariantBuilder changed;
    g_autofree char *path = NULL;
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);

    g_clear_pointer(&device->value, g_bytes_unref);
    device->value = g_bytes_ref(bytes);
    if (device->subscribed) {
        acquire_deliver(device, data, size);
    }
    if (!device->subscribed || !any_registered(device) || !tree_row_exists(device, ROW_NOTIFY)) {
        return;
    }
    device->battery->notifications++;
    path = tree_path(tree_row(device, ROW_NOTIFY));
    g_variant_builder_init(&changed, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&changed, "{sv}", "Value",
                          g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, data, size, 1));
    bus_signal(sim, path, PROPERTIES_INTERFACE, "PropertiesChanged",
               g_variant_new("(sa{sv}as)", CHARACTERISTIC_INTERFACE, &changed, NULL));
}

static gboolean on_delivery(gpointer data)
{
    struct delivery *delivery = data;
    struct device *device = delivery->device;

    delivery->timer = 0;
    g_queue_remove(&device->deliveries, delivery);
    emit(device, delivery->bytes);
    if (delivery->reg >= 0) {
        device->battery->replies++;
        control_event(device->sim, "reply %s %02x", device->battery->address, (guint)delivery->reg);
    }
    delivery_free(delivery);
    return G_SOURCE_REMOVE;
}

void notify_deliver(struct device *device, const void *bytes, gsize size, double delay, int reg)
{
    struct delivery *delivery = g_new0(struct delivery, 1);

    delivery->device = device;
    delivery->bytes = g_bytes_new(bytes, size);
    delivery->reg = reg;
    delivery->timer = sim_after(delay, on_delivery, delivery);
    g_queue_push_tail(&device->deliveries, delivery);
}

/* Whoever waits for the CCC to be written gets an error, and no session. */
static void fail_subscribers(struct device *device, const char *text)
{
    GDBusMessage *call;

    while ((call = g_queue_pop_head(&device->subscribe_calls)) != NULL) {
        struct session *session = session_find(device, g_dbus_message_get_sender(call));

        if (session != NULL) {
            g_queue_remove(&device->sessions, session);
            session_free(session);
        }
        bus_error(device->sim, call, ERROR_FAILED, text);
    }
}

static gboolean on_ccc(gpointer data)
{
    static const uint8_t zero = 0;
    struct device *device = data;
    GDBusMessage *call;

    device->ccc_timer = 0;
    if (fault_take(&device->battery->faults, FAULT_NOTIFY_DEAD) != NULL) {
        device->notify_dead = TRUE;
    }
    if (device->stale) {
        fail_subscribers(device, STALE_HANDLE_MESSAGE);
        return G_SOURCE_REMOVE;
    }
    device->subscribed = !device->notify_dead;
    device->battery->sessions_begun++;
    board_subscribed(&device->battery->board);
    if (device->notify_acquired.state == ACQUIRED_NOT) {
        set_notifying(device, TRUE);
    }
    acquire_ccc_written(device);
    while ((call = g_queue_pop_head(&device->subscribe_calls)) != NULL) {
        bus_reply(device->sim, call, NULL);
    }
    if (device->battery->board.config.stray_zero) {
        notify_deliver(device, &zero, 1, 0.015, -1);
    }
    control_event(device->sim, "notify %s on", device->battery->address);
    return G_SOURCE_REMOVE;
}

void notify_write_ccc(struct device *device)
{
    if (device->ccc_timer == 0) {
        device->ccc_timer = sim_after(device->sim->timing.notify, on_ccc, device);
    }
}

void notify_join(struct device *device, const char *client)
{
    struct session *session = g_new0(struct session, 1);

    session->client = g_strdup(client);
    session->registered = TRUE;
    g_queue_push_tail(&device->sessions, session);
    if (device->subscribed) {
        set_notifying(device, TRUE);
    } else {
        notify_write_ccc(device);
    }
}

void notify_start(struct device *device, GDBusMessage *call)
{
    struct sim *sim = device->sim;
    const char *client = g_dbus_message_get_sender(call);
    struct session *session = session_find(device, client);
    const struct fault *fault;

    device->battery->notify_starts++;
    if (!g_queue_is_empty(&device->disconnect_calls)) {
        bus_error(sim, call, ERROR_NOT_CONNECTED, "Not Connected");
        return;
    }
    if (device->notify_acquired.state != ACQUIRED_NOT) {
        bus_error(sim, call, ERROR_NOT_PERMITTED, NOTIFY_ACQUIRED_MESSAGE);
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
    if ((fault = fault_take(&device->battery->faults, FAULT_NOTIFY_FAIL)) != NULL) {
        bus_error(sim, call, fault->name, fault->text);
        return;
    }
    session = g_new0(struct session, 1);
    session->client = g_strdup(client);
    session->registered = device->connected;
    g_queue_push_tail(&device->sessions, session);
    /* Without a link BlueZ says yes and registers at the next one. */
    if (!device->connected || device->subscribed || device->notify_dead) {
        if (device->connected) {
            set_notifying(device, TRUE);
        }
        bus_reply(sim, call, NULL);
        return;
    }
    g_queue_push_tail(&device->subscribe_calls, call);
    notify_write_ccc(device);
}

void notify_stop(struct device *device, GDBusMessage *call)
{
    struct session *session = session_find(device, g_dbus_message_get_sender(call));

    device->battery->notify_stops++;
    if (device->notify_acquired.state != ACQUIRED_NOT) {
        acquire_stop(device, call);
        return;
    }
    if (session == NULL) {
        bus_error(device->sim, call, ERROR_FAILED, "No notify session started");
        return;
    }
    end_session(device, session);
    bus_reply(device->sim, call, NULL);
}

void notify_link_up(struct device *device)
{
    device->subscribed = FALSE;
    device->battery->uart_free = 0;
    if (g_queue_is_empty(&device->sessions)) {
        return;
    }
    /* A session that outlived the last link: registered at once, the CCC written a little later. */
    for (GList *l = device->sessions.head; l != NULL; l = l->next) {
        struct session *session = l->data;

        session->registered = TRUE;
    }
    device->ccc_timer = sim_after(device->sim->timing.notify, on_ccc, device);
}

void notify_link_down(struct device *device, gboolean signal)
{
    struct delivery *delivery;
    GDBusMessage *call;

    while ((delivery = g_queue_pop_head(&device->deliveries)) != NULL) {
        delivery_free(delivery);
    }
    sim_cancel(&device->ccc_timer);
    acquire_link_down(device);
    if (signal) {
        fail_subscribers(device, "Operation failed with ATT error: 0x0e");
    } else {
        while ((call = g_queue_pop_head(&device->subscribe_calls)) != NULL) {
            g_object_unref(call);
        }
    }
    /* Notifying stays as it was: the sessions live on. */
    for (GList *l = device->sessions.head; l != NULL; l = l->next) {
        struct session *session = l->data;

        session->registered = FALSE;
    }
    device->subscribed = FALSE;
}

void notify_forget(struct device *device)
{
    struct session *session;
    GDBusMessage *call;

    sim_cancel(&device->ccc_timer);
    acquire_forget(device);
    while ((session = g_queue_pop_head(&device->sessions)) != NULL) {
        session_free(session);
    }
    while ((call = g_queue_pop_head(&device->subscribe_calls)) != NULL) {
        bus_error(device->sim, call, ERROR_FAILED, "Operation failed with ATT error: 0x0e");
    }
    g_clear_pointer(&device->value, g_bytes_unref);
    device->subscribed = FALSE;
    device->notifying = FALSE;
}

void notify_client_gone(struct device *device, const char *client)
{
    struct session *session = session_find(device, client);

    if (session != NULL) {
        end_session(device, session);
    }
}
