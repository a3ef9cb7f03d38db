/* SPDX-License-Identifier: MIT */
/*
 * Pairing with a passkey, for the modules that want it. What the two agree on stays with
 * bluetoothd; the device is never made trusted, for then bluetoothd would connect to it on its own.
 *
 * It is done before Connect, never on a link that is up: there bluetoothd (since 5.81) uses the
 * capability of the adapter instead of that of our agent, and pairs without the passkey. The module
 * then goes on echoing.
 */
#include "link-private.h"

#include "log.h"

#include <string.h>

/* Finding and connecting, as in connect.c, and then a few seconds. It is not cut short when others
 * wait for the radio: the device has just said that it wants to be paired, so it is there. */
enum { PAIR_MS = 40000 };

static const gint64 refused_for_us = 3600 * G_TIME_SPAN_SECOND;

/* It is away, perhaps. It says again that it wants to be paired when it is back, and until then the
 * others wait no longer for it than for any device that is away. */
static void give_up(BluezLink *link)
{
    link->wants_pairing = FALSE;
    link_finish(link, LINK_FAULT_TIMEOUT, NULL);
}

static gboolean on_pair_timeout(gpointer user)
{
    BluezLink *link = user;

    link->timer = 0;
    give_up(link); /* its Disconnect ends the pairing, too */
    return G_SOURCE_REMOVE;
}

static void refuse(BluezLink *link, const char *detail)
{
    link->wants_pairing = FALSE;
    link_finish(link, LINK_FAULT_PAIRING, detail);
}

static void on_paired(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = link_finish_call(source, result, &error);
    g_autofree char *detail = NULL;
    BluezLink *link = user;
    BluezError class = reply ? BLUEZ_ERROR_OTHER : bluez_error_class(error);

    if (class == BLUEZ_ERROR_CANCELLED)
        return;
    link->pairing = FALSE;
    if (reply) {
        log_info("%s: paired", link->label);
        link->wants_pairing = FALSE;
        link_connect(link);
    } else if (class == BLUEZ_ERROR_EXISTS) {
        refuse(link, "it is paired with this machine, and still lets nobody read it");
    } else if (class == BLUEZ_ERROR_AUTHENTICATION) {
        detail =
            g_strdup_printf("%s: %s", link_fault_text(LINK_FAULT_PAIRING), bluez_error_text(error));
        /* Not to be tried again soon: a module may count wrong passkeys. */
        link->pair_not_before = g_get_monotonic_time() + refused_for_us;
        refuse(link, detail);
    } else if (class == BLUEZ_ERROR_TIMEOUT) {
        give_up(link);
    } else {
        link_fail(link, error, LINK_FAULT_REFUSED, "connecting to pair failed");
    }
}

void link_pair_device(BluezLink *link)
{
    const char *detail;
    LinkFault fault;

    agent_update(link->bluez);
    fault = agent_fault(link->bluez, &detail);
    if (fault != LINK_FAULT_NONE) {
        /* bluetoothd would pair without the passkey, and that pairing would have to be removed. */
        link_finish(link, fault, detail);
        return;
    }
    link->pairing = TRUE;
    link_set_timer(link, PAIR_MS, on_pair_timeout);
    link_call_device(link, "Pair", G_MAXINT, on_paired);
}

LinkFault link_pair(void *user)
{
    BluezLink *link = user;

    if (link->passkey < 0)
        return LINK_FAULT_PAIRING_WANTED;
    if (g_get_monotonic_time() < link->pair_not_before)
        return LINK_FAULT_PAIRING;
    link->wants_pairing = TRUE;
    return LINK_FAULT_NONE;
}

void bluez_link_set_passkey(BluezLink *link, const char *password)
{
    gint32 passkey = -1;

    if (password && strlen(password) == PASSKEY_DIGITS &&
        strspn(password, "0123456789") == PASSKEY_DIGITS)
        passkey = (gint32)g_ascii_strtoull(password, NULL, 10);
    link->passkey = passkey;
    link->pair_not_before = 0;
    if (passkey < 0)
        link->wants_pairing = FALSE;
    agent_update(link->bluez);
}
