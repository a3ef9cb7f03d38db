/* SPDX-License-Identifier: MIT */
/*
 * The pairing agent: bluetoothd asks it for a passkey when a device is paired on our behalf. It
 * exists only while a passkey is known, answers only for devices that are being paired by us just
 * now, and only bluetoothd; all else is refused.
 *
 * It does not ask to be the default agent. bluetoothd makes the first one that registers so; asked
 * for the pairings of others then, it refuses them, as bluetoothd itself would without any agent.
 */
#include "link-private.h"

#include "log.h"

#include <string.h>

#define AGENT_PATH          "/bms_exporter/agent"
#define AGENT_IFACE         "org.bluez.Agent1"
#define AGENT_MANAGER_PATH  "/org/bluez"
#define AGENT_MANAGER_IFACE "org.bluez.AgentManager1"
/* We can enter what the device shows, or has printed on it: then a passkey is used. */
#define CAPABILITY "KeyboardOnly"

static const char interface_xml[] =
    "<node><interface name='" AGENT_IFACE "'>"
    "<method name='Release'/>"
    "<method name='RequestPinCode'><arg type='o' direction='in'/>"
    "<arg type='s' direction='out'/></method>"
    "<method name='DisplayPinCode'><arg type='o' direction='in'/>"
    "<arg type='s' direction='in'/></method>"
    "<method name='RequestPasskey'><arg type='o' direction='in'/>"
    "<arg type='u' direction='out'/></method>"
    "<method name='DisplayPasskey'><arg type='o' direction='in'/>"
    "<arg type='u' direction='in'/><arg type='q' direction='in'/></method>"
    "<method name='RequestConfirmation'><arg type='o' direction='in'/>"
    "<arg type='u' direction='in'/></method>"
    "<method name='RequestAuthorization'><arg type='o' direction='in'/></method>"
    "<method name='AuthorizeService'><arg type='o' direction='in'/>"
    "<arg type='s' direction='in'/></method>"
    "<method name='Cancel'/>"
    "</interface></node>";

/* ---- answering ------------------------------------------------------------------------------- */

/* The link that is pairing the device a question is about, or NULL. */
static const BluezLink *find_pairing(const Bluez *bluez, GVariant *parameters)
{
    g_autoptr(GVariant) first = g_variant_get_child_value(parameters, 0);
    const char *path = g_variant_get_string(first, NULL);

    for (guint i = 0; i < bluez->links->len; i++) {
        const BluezLink *link = bluez->links->pdata[i];

        if (link->pairing && g_strcmp0(link->device, path) == 0)
            return link;
    }
    return NULL;
}

static GVariant *answer(const Bluez *bluez, const char *method, GVariant *parameters)
{
    gboolean as_number = strcmp(method, "RequestPasskey") == 0;
    const BluezLink *link;
    char text[PASSKEY_DIGITS + 1];

    if (!as_number && strcmp(method, "RequestPinCode") != 0)
        return NULL;
    link = find_pairing(bluez, parameters);
    if (!link || link->passkey < 0)
        return NULL;
    if (as_number)
        return g_variant_new("(u)", (guint32)link->passkey);
    g_snprintf(text, sizeof text, "%06u", (guint)link->passkey % 1000000);
    return g_variant_new("(s)", text);
}

static void on_call(GDBusConnection *bus, const char *sender, const char *path, const char *iface,
                    const char *method, GVariant *parameters, GDBusMethodInvocation *invocation,
                    gpointer user)
{
    const Bluez *bluez = user;
    GVariant *reply;

    (void)bus, (void)path, (void)iface;
    if (g_strcmp0(sender, bluez->owner) == 0 &&
        (strcmp(method, "Release") == 0 || strcmp(method, "Cancel") == 0)) {
        g_dbus_method_invocation_return_value(invocation, NULL);
        return;
    }
    reply = g_strcmp0(sender, bluez->owner) == 0 ? answer(bluez, method, parameters) : NULL;
    log_debug("the pairing agent %s %s", reply ? "answers" : "refuses", method);
    if (reply)
        g_dbus_method_invocation_return_value(invocation, reply);
    else
        g_dbus_method_invocation_return_dbus_error(invocation, "org.bluez.Error.Rejected",
                                                   "Rejected");
}

/* ---- being there ----------------------------------------------------------------------------- */

static void forget_refusal(Bluez *bluez)
{
    bluez->agent_fault = LINK_FAULT_NONE;
    g_clear_pointer(&bluez->agent_detail, g_free);
}

static void end_registering(Bluez *bluez)
{
    if (bluez->agent_cancellable)
        g_cancellable_cancel(bluez->agent_cancellable);
    g_clear_object(&bluez->agent_cancellable);
}

static void refused(Bluez *bluez, GError *error)
{
    gboolean told = bluez->agent_fault != LINK_FAULT_NONE;

    g_free(bluez->agent_detail);
    bluez->agent_fault = bluez_error_fault(
        error, LINK_FAULT_REFUSED, "bluetoothd accepts no pairing agent", &bluez->agent_detail);
    if (told)
        log_debug("%s", bluez->agent_detail);
    else
        log_warn("%s; it is registered again when a battery is to be paired", bluez->agent_detail);
}

static void on_registered(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    BluezError class = reply ? BLUEZ_ERROR_OTHER : bluez_error_class(error);
    Bluez *bluez = user;

    if (class == BLUEZ_ERROR_CANCELLED)
        return;
    g_clear_object(&bluez->agent_cancellable);
    /* It exists already if the answer to an earlier call was not waited for. */
    bluez->agent_registered = reply || class == BLUEZ_ERROR_EXISTS;
    if (bluez->agent_registered)
        forget_refusal(bluez);
    else
        refused(bluez, error);
}

static void export_object(Bluez *bluez)
{
    static const GDBusInterfaceVTable functions = {.method_call = on_call};
    g_autoptr(GError) error = NULL;
    g_autoptr(GDBusNodeInfo) node = g_dbus_node_info_new_for_xml(interface_xml, &error);

    if (node)
        bluez->agent_object = g_dbus_connection_register_object(
            bluez->bus, AGENT_PATH, node->interfaces[0], &functions, bluez, NULL, &error);
    if (error)
        log_warn("no pairing agent: %s", error->message);
}

static gboolean is_wanted(const Bluez *bluez)
{
    for (guint i = 0; i < bluez->links->len; i++)
        if (((const BluezLink *)bluez->links->pdata[i])->passkey >= 0)
            return TRUE;
    return FALSE;
}

static void register_agent(Bluez *bluez)
{
    if (!bluez->agent_object)
        export_object(bluez);
    bluez->agent_cancellable = g_cancellable_new();
    bluez_call(bluez, AGENT_MANAGER_PATH, AGENT_MANAGER_IFACE, "RegisterAgent",
               g_variant_new("(os)", AGENT_PATH, CAPABILITY), NULL, BLUEZ_CALL_MS,
               bluez->agent_cancellable, on_registered, bluez);
}

void agent_update(Bluez *bluez)
{
    gboolean wanted = is_wanted(bluez);
    gboolean asked = bluez->agent_registered || bluez->agent_cancellable;

    if (!bluez->bus || !bluez->owner || wanted == asked)
        return;
    if (wanted) {
        register_agent(bluez);
        return;
    }
    agent_owner_gone(bluez);
    bluez_call(bluez, AGENT_MANAGER_PATH, AGENT_MANAGER_IFACE, "UnregisterAgent",
               g_variant_new("(o)", AGENT_PATH), NULL, -1, NULL, NULL, NULL);
}

LinkFault agent_fault(const Bluez *bluez, const char **detail)
{
    *detail = bluez->agent_detail ? bluez->agent_detail : "the pairing agent is not registered yet";
    if (bluez->agent_registered)
        return LINK_FAULT_NONE;
    return bluez->agent_fault != LINK_FAULT_NONE ? bluez->agent_fault : LINK_FAULT_REFUSED;
}

void agent_owner_gone(Bluez *bluez)
{
    end_registering(bluez);
    forget_refusal(bluez);
    bluez->agent_registered = FALSE;
}

void agent_bus_gone(Bluez *bluez)
{
    if (bluez->agent_object)
        g_dbus_connection_unregister_object(bluez->bus, bluez->agent_object);
    bluez->agent_object = 0;
}
