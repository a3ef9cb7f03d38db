/* SPDX-License-Identifier: MIT */
/*
 * Pairing: AgentManager1, Pair, and boards that echo whatever they are sent until they are paired
 * with the passkey.
 *
 * As bluetoothd since 5.81: the first agent is the default one; Pair asks the agent of whoever
 * called it, and asks for a passkey only when the device is not connected yet. On a link that is up
 * it pairs without one, which such a board does not take for enough.
 */
#include "sim.h"

#include <string.h>

#define AGENT_MANAGER_PATH      "/org/bluez"
#define AGENT_MANAGER_INTERFACE "org.bluez.AgentManager1"
#define AGENT_INTERFACE         "org.bluez.Agent1"
#define ERROR_ALREADY_EXISTS    "org.bluez.Error.AlreadyExists"
#define ERROR_ATTEMPT_FAILED    "org.bluez.Error.ConnectionAttemptFailed"
#define ERROR_AUTHENTICATION    "org.bluez.Error.AuthenticationFailed"

struct agent {
    char *client, *path;
    gboolean has_keyboard;
};

static void agent_free(gpointer data)
{
    struct agent *agent = data;

    g_free(agent->client);
    g_free(agent->path);
    g_free(agent);
}

static struct agent *find_agent(const struct sim *sim, const char *client)
{
    for (guint i = 0; sim->agents != NULL && i < sim->agents->len; i++) {
        struct agent *agent = sim->agents->pdata[i];

        if (client == NULL || strcmp(agent->client, client) == 0) {
            return agent;
        }
    }
    return NULL;
}

/* ---- the manager of agents ------------------------------------------------------------------- */

static void register_agent(struct sim *sim, GDBusMessage *call, GVariant *body)
{
    const char *client = g_dbus_message_get_sender(call);
    struct agent *agent;
    const char *path;
    const char *capability;

    if (body == NULL || !g_variant_is_of_type(body, G_VARIANT_TYPE("(os)"))) {
        bus_error(sim, call, ERROR_INVALID, "Invalid arguments in method call");
        return;
    }
    if (find_agent(sim, client) != NULL) {
        bus_error(sim, call, ERROR_ALREADY_EXISTS, "Already Exists");
        return;
    }
    g_variant_get(body, "(&o&s)", &path, &capability);
    agent = g_new0(struct agent, 1);
    agent->client = g_strdup(client);
    agent->path = g_strdup(path);
    agent->has_keyboard = strstr(capability, "Keyboard") != NULL || *capability == '\0';
    if (sim->agents == NULL) {
        sim->agents = g_ptr_array_new_with_free_func(agent_free);
    }
    g_ptr_array_add(sim->agents, agent);
    control_event(sim, "agent on %s", capability);
    bus_reply(sim, call, NULL);
}

void pair_client_gone(struct sim *sim, const char *client)
{
    struct agent *agent = find_agent(sim, client);

    if (agent != NULL) {
        g_ptr_array_remove(sim->agents, agent);
        control_event(sim, "agent off");
    }
}

void pair_stop(struct sim *sim)
{
    g_clear_pointer(&sim->agents, g_ptr_array_unref);
}

gboolean pair_manager_call(struct sim *sim, GDBusMessage *call, const char *path,
                           const char *interface, const char *member)
{
    if (strcmp(path, AGENT_MANAGER_PATH) != 0 || strcmp(interface, AGENT_MANAGER_INTERFACE) != 0) {
        return FALSE;
    }
    if (strcmp(member, "RegisterAgent") == 0) {
        register_agent(sim, call, g_dbus_message_get_body(call));
    } else if (strcmp(member, "UnregisterAgent") == 0) {
        pair_client_gone(sim, g_dbus_message_get_sender(call));
        bus_reply(sim, call, NULL);
    } else {
        bus_error(sim, call, ERROR_NOT_SUPPORTED, "Operation is not supported");
    }
    return TRUE;
}

/* ---- pairing --------------------------------------------------------------------------------- */

static void end_pairing(struct device *device, const char *error, const char *text)
{
    GDBusMessage *call = g_steal_pointer(&device->pair_call);

    sim_cancel(&device->pair_timer);
    if (call == NULL) {
        return;
    }
    if (error == NULL) {
        control_event(device->sim, "paired %s", device->battery->address);
        bus_reply(device->sim, call, NULL);
    } else {
        control_event(device->sim, "pair-failed %s %s", device->battery->address, text);
        bus_error(device->sim, call, error, text);
    }
}

static void set_paired(struct device *device, gboolean with_passkey)
{
    device->paired = TRUE;
    device->battery->authenticated = with_passkey;
    tree_changed(device->sim, tree_device(device), "Paired", "Bonded", NULL);
    end_pairing(device, NULL, NULL);
}

static void on_passkey(GObject *bus, GAsyncResult *result, gpointer data)
{
    struct device *device = data;
    g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, NULL);
    guint32 passkey = 0;

    if (device->pair_call == NULL) {
        return;
    }
    if (reply != NULL) {
        g_variant_get(reply, "(u)", &passkey);
    }
    if (reply != NULL && passkey == device->battery->passkey) {
        set_paired(device, TRUE);
        return;
    }
    end_pairing(device, ERROR_AUTHENTICATION, "Authentication Failed");
    link_down(device, "pairing", FALSE, TRUE);
}

static void ask_agent(const struct agent *agent, struct device *device, GAsyncReadyCallback done)
{
    g_autofree char *path = tree_path(tree_device(device));

    g_dbus_connection_call(device->sim->bus, agent->client, agent->path, AGENT_INTERFACE,
                           "RequestPasskey", g_variant_new("(o)", path), G_VARIANT_TYPE("(u)"),
                           G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, NULL, done, device);
}

/* The link is there: now the two talk about keys. */
static gboolean on_linked(gpointer data)
{
    struct device *device = data;
    const struct agent *agent =
        find_agent(device->sim, g_dbus_message_get_sender(device->pair_call));

    device->pair_timer = 0;
    link_up(device);
    if (agent == NULL || !agent->has_keyboard) {
        set_paired(device, FALSE);
    } else {
        ask_agent(agent, device, on_passkey);
    }
    return G_SOURCE_REMOVE;
}

static gboolean on_unreachable(gpointer data)
{
    struct device *device = data;

    device->pair_timer = 0;
    end_pairing(device, ERROR_ATTEMPT_FAILED, "Page Timeout");
    return G_SOURCE_REMOVE;
}

void pair_device(struct device *device, GDBusMessage *call)
{
    struct sim *sim = device->sim;

    control_event(sim, "pair %s", device->battery->address);
    device->temporary = FALSE;
    device->stored = TRUE;
    if (device->pair_call != NULL || device->connect_call != NULL) {
        bus_error(sim, call, ERROR_IN_PROGRESS, "In Progress");
    } else if (device->paired) {
        bus_error(sim, call, ERROR_ALREADY_EXISTS, "Already Exists");
    } else if (device->connected) {
        device->pair_call = call;
        set_paired(device, FALSE);
    } else {
        device->pair_call = call;
        device->pair_timer = device_is_heard(device) && device->battery->linked == NULL
                                 ? sim_after(sim_draw(sim, sim->timing.connect), on_linked, device)
                                 : sim_after(sim->timing.absent, on_unreachable, device);
    }
}

void pair_cancel(struct device *device)
{
    end_pairing(device, "org.bluez.Error.AuthenticationCanceled", "Authentication Canceled");
}

void pair_drop(struct device *device)
{
    sim_cancel(&device->pair_timer);
    g_clear_object(&device->pair_call);
}

void pair_forget(struct device *device)
{
    device->paired = FALSE;
    device->battery->authenticated = FALSE;
}

/* ---- what it is for -------------------------------------------------------------------------- */

gboolean pair_echoes(struct device *device, const uint8_t *bytes, size_t length)
{
    const struct battery *battery = device->battery;

    if (!battery->wants_pairing || (device->paired && battery->authenticated)) {
        return FALSE;
    }
    notify_deliver(device, bytes, length, battery->board.config.latency_min, -1);
    return TRUE;
}

/* ---- the control channel --------------------------------------------------------------------- */

static void on_asked(GObject *bus, GAsyncResult *result, gpointer data)
{
    const struct device *device = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, &error);
    g_autofree char *name = reply != NULL ? NULL : g_dbus_error_get_remote_error(error);

    control_event(device->sim, "asked %s %s", device->battery->address,
                  reply != NULL  ? "answered"
                  : name != NULL ? name
                                 : "not-answered");
}

char *pair_ask(struct sim *sim, struct device *device)
{
    const struct agent *agent = find_agent(sim, NULL);

    if (agent == NULL) {
        return g_strdup("error there is no agent");
    }
    ask_agent(agent, device, on_asked);
    return g_strdup("ok");
}
