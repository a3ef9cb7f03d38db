/* SPDX-License-Identifier: MIT */
/*
 * Other programs on this machine that use the same device: what they hold, and whose link it is.
 *
 * Notifications that somebody has acquired (AcquireNotify) are never touched. bluetoothd up to 5.85
 * keeps them acquired for ever if the link breaks or the client dies before it is answered, and
 * then crashes on StopNotify and RemoveDevice, whoever calls them. Nor is the link taken down: to
 * break it before the answer is what brings that state about.
 *
 * A link that another program has is a sign of it only where nothing of ours can have made it: we
 * were told that ours was down. A radio that loses links gives no such sign.
 */
#include "link-private.h"

#include "log.h"

enum {
    SIGNS = 3, /* of another program, in a row, before the link is left to it */
};

/* Signs that are further apart are not in a row. An attempt comes once a minute at least. */
static const gint64 row_us = 180 * G_TIME_SPAN_SECOND;
/* How long a link is left to another program that does not read from it, doubling. */
static const gint64 first_yield_us = 60 * G_TIME_SPAN_SECOND;
static const gint64 last_yield_us = 900 * G_TIME_SPAN_SECOND;

/* ---- what is acquired ------------------------------------------------------------------------ */

void rivals_finish_locked(BluezLink *link, const char *detail)
{
    link->notify_stands = FALSE; /* it cannot, beside theirs */
    link->engaged = FALSE;
    link_finish(link, LINK_FAULT_LOCKED, detail);
}

gboolean rivals_lock(BluezLink *link, const GattInfo *gatt)
{
    if (gatt->notify_acquired)
        rivals_finish_locked(link, NULL);
    else if (gatt->write_acquired)
        rivals_finish_locked(link, "another program has reserved writing to it");
    return gatt->notify_acquired || gatt->write_acquired;
}

/* ---- whose link it is ------------------------------------------------------------------------ */

static void finish_contested(BluezLink *link, const char *detail)
{
    link->engaged = FALSE; /* it is not ours to take down */
    link_finish(link, LINK_FAULT_CONTESTED, detail);
}

gboolean rivals_are_suspected(const BluezLink *link)
{
    return link->rival_signs > 0 && g_get_monotonic_time() - link->rival_seen < row_us;
}

/* Takes note of @a signs. */
static void suspect(BluezLink *link, guint signs)
{
    gint64 now = g_get_monotonic_time();

    if (!rivals_are_suspected(link)) {
        link->rival_signs = 0;
        link->yield_us = first_yield_us;
        link->yield_until = 0;
    }
    link->rival_seen = now;
    link->rival_signs = MIN(link->rival_signs + signs, SIGNS);
    if (link->rival_signs == SIGNS && link->yield_until == 0)
        link->yield_until = now + link->yield_us;
}

/* Whether there are signs enough, and it is not time to try whether they still mean anything. */
static gboolean leave_link(BluezLink *link)
{
    if (link->rival_signs < SIGNS)
        return FALSE;
    if (g_get_monotonic_time() < link->yield_until)
        return TRUE;
    link->yield_us = MIN(2 * link->yield_us, last_yield_us);
    link->yield_until = g_get_monotonic_time() + link->yield_us;
    return FALSE;
}

static void on_probed(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = link_finish_call(source, result, &error);
    BluezLink *link = user;
    BluezError class = reply ? BLUEZ_ERROR_UNKNOWN : bluez_error_class(error);

    if (class == BLUEZ_ERROR_CANCELLED)
        return;
    if (class == BLUEZ_ERROR_OTHER) { /* "No notify session started": by us, that is */
        suspect(link, SIGNS);
        finish_contested(link, NULL);
        return;
    }
    link->after_probe(link);
}

void rivals_probe(BluezLink *link, const char *notify_path, void (*then)(BluezLink *link))
{
    link->after_probe = then;
    bluez_call(link->bluez, notify_path, CHAR_IFACE, "StopNotify", NULL, NULL, BLUEZ_CALL_MS,
               link->cancellable, on_probed, link);
}

/* BlueZ keeps a link whose client has died. Nobody knows what state it is in. */
static void take_over(BluezLink *link)
{
    log_debug("%s: is connected already, taking that link down first", link->label);
    link_take_down_first(link);
}

static void judge_link(BluezLink *link, const DeviceInfo *device, const GattInfo *gatt)
{
    if (link->known_down)
        suspect(link, 1);
    if (!gatt->notifying && link->known_down && leave_link(link)) {
        finish_contested(link, "another program on this machine keeps connecting to it");
        return;
    }
    link->device = g_strdup(device->path);
    if (gatt->notifying)
        rivals_probe(link, gatt->notify_path, take_over);
    else
        take_over(link);
}

gboolean rivals_judge(BluezLink *link, GVariant *objects, const DeviceInfo *device)
{
    g_auto(GattInfo) gatt = {0};

    objects_find_gatt(objects, device->path, &gatt);
    link->removal_crashes = objects_any_acquired(objects, device->path);
    if (rivals_lock(link, &gatt))
        return TRUE;
    if (device->connected)
        judge_link(link, device, &gatt);
    return device->connected;
}

gboolean rivals_connecting(BluezLink *link)
{
    static const char detail[] = "another program on this machine is connecting to it";

    if (!link->known_down)
        return FALSE; /* it can be what a process of ours has left */
    suspect(link, 1);
    if (link->rival_signs == SIGNS && !leave_link(link))
        return FALSE;
    if (link->rival_signs == SIGNS) {
        finish_contested(link, detail);
        return TRUE;
    }
    link->engaged = FALSE; /* Disconnect would end their attempt */
    link_finish(link, LINK_FAULT_REFUSED, detail);
    return TRUE;
}
