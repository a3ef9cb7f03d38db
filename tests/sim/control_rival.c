/* SPDX-License-Identifier: MIT */
/* Another program that uses bluetoothd: the control channel's `rival`. */
#include "sim.h"

#include <string.h>

static gboolean rival_connect(struct device *device)
{
    if (device->connected || !device->adapter->powered || device->connect_call != NULL ||
        !device_is_heard(device)) {
        return FALSE;
    }
    if (!device->exported) {
        device_export(device, FALSE);
    }
    device->stored = TRUE;
    device->temporary = FALSE;
    link_up(device);
    return TRUE;
}

static gboolean rival_disconnect(struct device *device)
{
    gboolean connected = device->connected;

    link_down(device, "local", TRUE, TRUE);
    return connected;
}

static gboolean rival_notify(struct device *device)
{
    if (!device->connected || device->notify_acquired.state != ACQUIRED_NOT) {
        return FALSE;
    }
    notify_join(device, RIVAL);
    return TRUE;
}

static gboolean rival_acquire(struct device *device)
{
    return acquire_by_rival(device, TRUE, TRUE);
}

static gboolean rival_acquire_unanswered(struct device *device)
{
    return acquire_by_rival(device, TRUE, FALSE);
}

static gboolean rival_acquire_write(struct device *device)
{
    return acquire_by_rival(device, FALSE, TRUE);
}

static gboolean rival_leave_other(struct device *device)
{
    device->other_left = device->gatt_exported;
    return device->other_left;
}

static gboolean rival_release(struct device *device)
{
    acquire_rival_releases(device);
    notify_client_gone(device, RIVAL);
    return TRUE;
}

/* Its link stays, as bluetoothd leaves it. */
static gboolean rival_die(struct device *device)
{
    acquire_client_gone(device, RIVAL);
    return rival_release(device);
}

char *control_rival(struct sim *sim, int argc, char **argv)
{
    static const struct {
        const char *word, *argument;
        gboolean (*act)(struct device *);
    } acts[] = {
        {"connect", NULL, rival_connect},
        {"disconnect", NULL, rival_disconnect},
        {"notify", NULL, rival_notify},
        {"acquire", NULL, rival_acquire},
        {"acquire", "unanswered", rival_acquire_unanswered},
        {"acquire-write", NULL, rival_acquire_write},
        {"leave-other", NULL, rival_leave_other},
        {"release", NULL, rival_release},
        {"die", NULL, rival_die},
    };
    const struct battery *battery = battery_find(sim, argv[1]);

    for (size_t i = 0; i < G_N_ELEMENTS(acts) && battery != NULL; i++) {
        if (strcmp(acts[i].word, argv[2]) == 0 &&
            g_strcmp0(acts[i].argument, argc > 3 ? argv[3] : NULL) == 0) {
            return g_strdup(acts[i].act(device_of(adapter_find(sim, NULL), battery))
                                ? "ok"
                                : "error not in this state");
        }
    }
    return g_strdup("error rival ADDR connect|disconnect|notify|acquire [unanswered]|"
                    "acquire-write|leave-other|release|die");
}
