/* SPDX-License-Identifier: MIT */
/*
 * The control channel's `adapter` and `bluez`, and what scripts bluetoothd's replies.
 */
#include "sim.h"

#include <string.h>

static char *okay(void)
{
    return g_strdup("ok");
}

static char *wrong(const char *text)
{
    return g_strconcat("error ", text, NULL);
}

/* ---- adapters -------------------------------------------------------------------------------- */

static void switch_on(struct adapter *adapter)
{
    adapter_power(adapter, TRUE);
}

static void switch_off(struct adapter *adapter)
{
    adapter_power(adapter, FALSE);
}

static void pull(struct adapter *adapter)
{
    adapter->plugged = FALSE;
    adapter_remove(adapter, TRUE);
}

static void block(struct adapter *adapter)
{
    adapter_rfkill(adapter, TRUE);
}

static void unblock(struct adapter *adapter)
{
    adapter_rfkill(adapter, FALSE);
}

static void wedge_fail(struct adapter *adapter)
{
    adapter->wedge = WEDGE_FAIL;
}

static void wedge_hang(struct adapter *adapter)
{
    adapter->wedge = WEDGE_HANG;
}

static const struct {
    const char *word;
    void (*visit)(struct adapter *);
} visits[] = {
    {"on", switch_on},    {"off", switch_off},   {"remove", pull},           {"block", block},
    {"unblock", unblock}, {"wedge", wedge_fail}, {"wedge-hang", wedge_hang},
};

static char *add(struct sim *sim, const char *name, const char *address)
{
    struct adapter *adapter;

    if (name != NULL && !adapter_is_name(name)) {
        return wrong("not an adapter's name");
    }
    adapter = adapter_plug(sim, name, address);
    if (adapter == NULL) {
        return wrong("too many adapters, or it is plugged in already");
    }
    adapter_add(adapter);
    return okay();
}

char *control_adapter(struct sim *sim, int argc, char **argv)
{
    const char *name = argc > 2 ? argv[2] : NULL;
    gboolean all = g_strcmp0(name, "*") == 0;
    struct adapter *one = adapter_find(sim, name);

    if (!sim->running) {
        return wrong("bluez is not running");
    }
    if (strcmp(argv[1], "add") == 0) {
        return add(sim, name, argc > 3 ? argv[3] : NULL);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(visits); i++) {
        if (strcmp(argv[1], visits[i].word) != 0) {
            continue;
        }
        if (one == NULL && !all) {
            return wrong("no such adapter");
        }
        for (guint j = 0; j < sim->adapters->len; j++) {
            if (all || sim->adapters->pdata[j] == one) {
                visits[i].visit(sim->adapters->pdata[j]);
            }
        }
        return okay();
    }
    return wrong("adapter on|off|remove|block|unblock|wedge|wedge-hang [ADAPTER] | "
                 "adapter add [hciN [ADDRESS]]");
}

/* ---- bluetoothd ------------------------------------------------------------------------------ */

static gboolean on_start(gpointer data)
{
    struct sim *sim = data;

    /* bluetoothd owns its name first and finds its adapters a little later. */
    sim->start_timer = 0;
    for (guint i = 0; i < sim->adapters->len; i++) {
        struct adapter *adapter = sim->adapters->pdata[i];

        if (adapter->plugged) {
            adapter_add(adapter);
        }
    }
    return G_SOURCE_REMOVE;
}

static char *start(struct sim *sim, gboolean hung)
{
    g_autoptr(GError) error = NULL;

    if (sim->running) {
        return wrong("bluez is running");
    }
    /* Before anybody hears that it is there. */
    sim->hanging = hung;
    if (!bus_start(sim, &error)) {
        bus_stop(sim);
        return wrong(error->message);
    }
    control_event(sim, "bluez on");
    sim_cancel(&sim->start_timer);
    sim->start_timer = sim_after(sim->timing.start, on_start, sim);
    return okay();
}

static void stop(struct sim *sim, gboolean polite)
{
    polite = polite && sim->running;
    sim_cancel(&sim->start_timer);
    /* Killed, it says nothing at all: the bus tells that the name has no owner. */
    sim->running = polite;
    if (!polite) {
        bus_stop(sim);
    }
    for (guint i = 0; i < sim->adapters->len; i++) {
        adapter_remove(sim->adapters->pdata[i], polite);
    }
    bus_stop(sim);
    control_event(sim, "bluez off");
}

static gboolean on_crash(gpointer data)
{
    struct sim *sim = data;

    sim->crash_timer = 0;
    if (sim->running) {
        stop(sim, FALSE);
    }
    return G_SOURCE_REMOVE;
}

void bluez_crash(struct sim *sim, const char *method)
{
    sim->crashes++;
    control_event(sim, "bluez crashed by %s", method);
    /* Not from inside the call. */
    sim_cancel(&sim->crash_timer);
    sim->crash_timer = sim_after(0, on_crash, sim);
}

char *control_bluez(struct sim *sim, int argc, char **argv)
{
    const char *word = argv[1];

    if (strcmp(word, "hang") == 0 || strcmp(word, "resume") == 0) {
        bus_hang(sim, word[0] == 'h');
        return okay();
    }
    if (strcmp(word, "die") == 0 || strcmp(word, "term") == 0) {
        stop(sim, word[0] == 't');
        return okay();
    }
    if (strcmp(word, "start") == 0) {
        return start(sim, argc > 2 && strcmp(argv[2], "hung") == 0);
    }
    return wrong("bluez die|term|start [hung]|hang|resume");
}

/* ---- scripted replies ------------------------------------------------------------------------ */

static char *refuse(struct sim *sim, int argc, char **argv)
{
    gint64 count = -1;

    if (argc < 4 || !g_dbus_is_interface_name(argv[2]) ||
        (argc > 4 && !g_ascii_string_to_signed(argv[4], 10, 0, 1000000, &count, NULL))) {
        return wrong("refuse METHOD ERROR MESSAGE [N]");
    }
    script_refuse(sim->script, argv[1], argv[2], argv[3], count);
    return okay();
}

static char *removed(struct sim *sim, int argc, char **argv)
{
    if (!g_variant_is_object_path(argv[1]) || argc < 3) {
        return wrong("removed PATH INTERFACE...");
    }
    bus_signal(sim, "/", MANAGER_INTERFACE, "InterfacesRemoved",
               g_variant_new("(o^as)", argv[1], argv + 2));
    return okay();
}

char *control_script(struct sim *sim, int argc, char **argv)
{
    if (strcmp(argv[0], "hold") == 0 || strcmp(argv[0], "release") == 0) {
        script_hold(sim->script, argv[1], argv[0][0] == 'h');
        return okay();
    }
    if (strcmp(argv[0], "after") == 0) {
        g_autofree char *line = g_strjoinv(" ", argv + 2);

        script_after(sim->script, argv[1], line);
        return okay();
    }
    return strcmp(argv[0], "refuse") == 0 ? refuse(sim, argc, argv) : removed(sim, argc, argv);
}
