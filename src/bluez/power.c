/* SPDX-License-Identifier: MIT */
/*
 * Switches the adapter off and on, which resets what a controller and the kernel have got stuck in.
 * Whatever happens in between, an adapter that was switched off here is switched on again: nobody
 * would think of looking for it. Should this process die before, the next one does it: a file in
 * the service's runtime directory names the adapter for as long as it is off.
 */
#include "private.h"

#include "log.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

enum {
    OFF_MS = 1000,
    AGAIN_MS = 5000,
};

static void switch_on(Bluez *bluez);

/* ---- the file -------------------------------------------------------------------------------- */

/* @return the file's name, to be freed, or NULL without a runtime directory */
static char *mark_file(void)
{
    const char *directories = g_getenv("RUNTIME_DIRECTORY"); /* systemd separates them by colons */
    g_autofree char *first = NULL;

    if (!directories || *directories != '/')
        return NULL;
    first = g_strndup(directories, strcspn(directories, ":"));
    return g_build_filename(first, "adapter-off", NULL);
}

static void set_mark(const char *adapter)
{
    g_autofree char *file = mark_file();
    g_autoptr(GError) error = NULL;

    if (file && !g_file_set_contents(file, adapter, -1, &error))
        log_debug("%s", error->message);
}

static void clear_mark(void)
{
    g_autofree char *file = mark_file();

    if (file && g_unlink(file) != 0 && errno != ENOENT)
        log_debug("%s: %s", file, g_strerror(errno));
}

/* @return the adapter that an earlier process has left off, to be freed, or NULL */
static char *read_mark(void)
{
    g_autofree char *file = mark_file();
    char *adapter = NULL;

    if (file && g_file_get_contents(file, &adapter, NULL, NULL) &&
        !(g_variant_is_object_path(adapter) && g_str_has_prefix(adapter, "/org/bluez/")))
        g_clear_pointer(&adapter, g_free);
    return adapter;
}

/* ---- off and on ------------------------------------------------------------------------------ */

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

static void end_cycle(Bluez *bluez)
{
    bluez->power_told = FALSE;
    clear_mark();
    g_clear_pointer(&bluez->cycled, g_free);
    bluez_tell_changed(bluez);
}

static void on_switched_on(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    Bluez *bluez = user;

    if (!reply && bluez_error_class(error) == BLUEZ_ERROR_CANCELLED)
        return;
    if (!reply && bluez_error_class(error) != BLUEZ_ERROR_UNKNOWN) {
        (bluez->power_told ? log_debug : log_warn)(
            "adapter %s cannot be switched on again; it is tried every 5 s: %s", bluez->cycled,
            bluez_error_text(error));
        bluez->power_told = TRUE;
        switch_on_in(bluez, AGAIN_MS);
        if (bluez->owner)
            bluez_read_objects(bluez); /* perhaps another is on */
        return;
    }
    /* An adapter that is unknown has been pulled out; bluetoothd switches new ones on. */
    if (reply)
        (bluez->power_again && !bluez->power_told ? log_debug : log_info)("adapter %s is on again",
                                                                          bluez->cycled);
    end_cycle(bluez);
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
    if (!reply)
        (bluez->power_again ? log_debug : log_warn)("adapter %s cannot be switched off: %s",
                                                    bluez->cycled, bluez_error_text(error));
    if (!reply && bluez_error_class(error) == BLUEZ_ERROR_DENIED) {
        end_cycle(bluez); /* the call has not reached bluetoothd */
        return;
    }
    switch_on_in(bluez, bluez->finishing ? 0 : OFF_MS); /* after an error it may be off, too */
}

gboolean bluez_power_cycle(Bluez *bluez, gboolean again)
{
    if (bluez->fault != LINK_FAULT_NONE || bluez->cycled)
        return FALSE;
    (again ? log_debug : log_info)("switching adapter %s off and on", bluez->adapter);
    bluez->power_again = again;
    bluez->cycled = g_strdup(bluez->adapter);
    set_mark(bluez->cycled);
    set_powered(bluez, FALSE, on_switched_off);
    return TRUE;
}

void power_take_over(Bluez *bluez, GVariant *objects)
{
    g_autofree char *adapter = bluez->cycled || bluez->mark_read ? NULL : read_mark();
    g_autofree char *path = NULL;
    gboolean powered;

    bluez->mark_read = TRUE;
    if (!adapter)
        return;
    if (!objects_find_adapter(objects, strrchr(adapter, '/') + 1, &path, &powered) || powered) {
        clear_mark();
        return;
    }
    log_info("adapter %s was left off when the program ended unexpectedly; switching it on", path);
    bluez->power_again = FALSE;
    bluez->cycled = g_steal_pointer(&path);
    switch_on(bluez);
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
