/* SPDX-License-Identifier: MIT */
/*
 * Switches the adapter off and on, which resets what a controller and the kernel have got stuck in.
 * Whatever happens in between, an adapter that was switched off here is switched on again: nobody
 * would think of looking for it.
 */
#include "private.h"

#include "log.h"

enum {
    OFF_MS = 1000,
    AGAIN_MS = 5000,
};

static void switch_on(Bluez *bluez);

static void set_powered(Bluez *bluez, gboolean on, GAsyncReadyCallback callback)
{
    bluez_call(bluez, bluez->cycled, PROPS_IFACE, "Set",
               g_variant_new("(ssv)", ADAPTER_IFACE, "Powered", g_variant_new_boolean(on)), NULL,
               BLUEZ_CALL_MS, bluez->power_cancellable, callback, bluez);
}

static gboolean on_time_to_switch_on(gpointer user)
{
    Bluez *bluez = user;

    bluez->power_timer = 0;
    switch_on(bluez);
    return G_SOURCE_REMOVE;
}

static void switch_on_in(Bluez *bluez, guint ms)
{
    if (!bluez->power_timer)
        bluez->power_timer = g_timeout_add(ms, on_time_to_switch_on, bluez);
}

static void on_switched_on(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    Bluez *bluez = user;

    if (!reply && bluez_error_class(error) == BLUEZ_ERROR_CANCELLED)
        return;
    if (reply) {
        log_info("adapter %s is on again", bluez->cycled);
    } else if (bluez_error_class(error) != BLUEZ_ERROR_UNKNOWN) {
        log_warn("adapter %s cannot be switched on again, trying on: %s", bluez->cycled,
                 bluez_error_text(error));
        switch_on_in(bluez, AGAIN_MS);
        if (bluez->owner)
            bluez_read_objects(bluez); /* perhaps another is on */
        return;
    }
    /* An adapter that is unknown has been pulled out; bluetoothd switches new ones on. */
    g_clear_pointer(&bluez->cycled, g_free);
    bluez_tell_changed(bluez);
}

static void switch_on(Bluez *bluez)
{
    if (bluez->bus && bluez->owner)
        set_powered(bluez, TRUE, on_switched_on);
    else
        switch_on_in(bluez, AGAIN_MS); /* bluetoothd will be back */
}

static void on_switched_off(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    Bluez *bluez = user;

    if (!reply && bluez_error_class(error) == BLUEZ_ERROR_CANCELLED)
        return;
    if (!reply) /* it may be off all the same */
        log_warn("adapter %s cannot be switched off: %s", bluez->cycled, bluez_error_text(error));
    switch_on_in(bluez, bluez->finishing ? 0 : OFF_MS);
}

gboolean bluez_power_cycle(Bluez *bluez)
{
    if (bluez->fault != LINK_FAULT_NONE || bluez->cycled)
        return FALSE;
    log_info("switching adapter %s off and on", bluez->adapter);
    bluez->cycled = g_strdup(bluez->adapter);
    set_powered(bluez, FALSE, on_switched_off);
    return TRUE;
}

gboolean bluez_is_cycling(const Bluez *bluez)
{
    return bluez->cycled != NULL;
}

void bluez_finish_cycle(Bluez *bluez)
{
    bluez->finishing = TRUE;
    if (bluez->power_timer) {
        g_clear_handle_id(&bluez->power_timer, g_source_remove);
        switch_on(bluez);
    }
}
