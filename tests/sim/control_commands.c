/* SPDX-License-Identifier: MIT */
/*
 * What the control channel's lines do. README.md has the table.
 */
#include "sim.h"

#include <string.h>

#define HANG_ALL "hang-all"

struct command {
    const char *name;
    int least; /* words after the name */
    const char *usage;
    char *(*run)(struct sim *sim, int argc, char **argv);
};

static char *okay(void)
{
    return g_strdup("ok");
}

static char *wrong(const char *text)
{
    return g_strconcat("error ", text, NULL);
}

/* Calls a function for one battery or, with "*", for all. @return whether there was one. */
static gboolean for_each(struct sim *sim, const char *address, void (*visit)(struct battery *))
{
    struct battery *one;

    if (strcmp(address, "*") == 0) {
        for (guint i = 0; i < sim->batteries->len; i++) {
            visit(sim->batteries->pdata[i]);
        }
        return TRUE;
    }
    one = battery_find(sim, address);
    if (one != NULL) {
        visit(one);
    }
    return one != NULL;
}

static void hear(struct device *device)
{
    device->unheard = FALSE;
}

static void make_present(struct battery *battery)
{
    battery->present = TRUE;
    battery_each(battery, hear);
    battery_each(battery, device_range_changed);
}

static void make_absent(struct battery *battery)
{
    battery->present = FALSE;
    battery_each(battery, device_range_changed);
}

static void know_device(struct device *device)
{
    device->stored = TRUE;
    device->temporary = FALSE;
    sim_cancel(&device->temporary_timer);
    if (!device->exported && device->adapter->present) {
        device_export(device, FALSE);
    }
}

static void make_known(struct battery *battery)
{
    battery_each(battery, know_device);
}

static void forget_device(struct device *device)
{
    link_down(device, "forget", TRUE, TRUE);
    device_forget(device);
}

static void forget(struct battery *battery)
{
    battery_each(battery, forget_device);
}

static void clear_device(struct device *device)
{
    device->stale = FALSE;
    device->wedged = FALSE;
    sim_cancel(&device->drop_timer);
    if (!board_is_locked(&device->battery->board)) {
        sim_cancel(&device->locked_timer);
    }
}

static void clear_faults(struct battery *battery)
{
    struct device *device = battery->linked;
    gboolean stuck = device != NULL && !device->resolved && device->resolve_timer == 0 &&
                     fault_on(&battery->faults, FAULT_RESOLVE_NEVER) != NULL;

    faults_clear(&battery->faults);
    battery->drop_after = 0;
    battery_each(battery, clear_device);
    if (stuck) {
        link_resolved(device);
    }
}

static void drop_now(struct battery *battery)
{
    if (battery->linked != NULL) {
        link_down(battery->linked, "fault", FALSE, TRUE);
    }
}

static void services_vanish(struct battery *battery)
{
    link_services(battery, FALSE);
}

static void services_return(struct battery *battery)
{
    link_services(battery, TRUE);
}

static void wedge_device(struct device *device)
{
    device->wedged = TRUE;
}

static void wedge(struct battery *battery)
{
    battery_each(battery, wedge_device);
}

static void steady_on(struct battery *battery)
{
    board_advance(&battery->board, sim_now());
    battery->board.config.steady = true;
}

static void steady_off(struct battery *battery)
{
    board_advance(&battery->board, sim_now());
    battery->board.config.steady = false;
}

static void lose_first_on(struct battery *battery)
{
    battery->board.config.lose_first = true;
}

static void lose_first_off(struct battery *battery)
{
    battery->board.config.lose_first = false;
}

static void stray_zero_on(struct battery *battery)
{
    battery->board.config.stray_zero = true;
}

static void stray_zero_off(struct battery *battery)
{
    battery->board.config.stray_zero = false;
}

/* Words that act at once on batteries: the key is what stands after the address, if anything. */
static const struct {
    const char *word, *argument;
    void (*visit)(struct battery *);
} actions[] = {
    {"drop-now", NULL, drop_now},
    {"services-vanish", NULL, services_vanish},
    {"services-return", NULL, services_return},
    {"stale-services", NULL, link_make_stale},
    {"wedged", NULL, wedge},
    {"lose-first", "on", lose_first_on},
    {"lose-first", "off", lose_first_off},
    {"stray-zero", "on", stray_zero_on},
    {"stray-zero", "off", stray_zero_off},
};

static char *run_ping(struct sim *sim, int argc, char **argv)
{
    (void)sim;
    (void)argc;
    (void)argv;
    return okay();
}

static gboolean on_quit(gpointer data)
{
    struct sim *sim = data;

    g_main_loop_quit(sim->loop);
    return G_SOURCE_REMOVE;
}

static char *run_quit(struct sim *sim, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    /* A moment for the answer to go out. */
    sim_after(0.02, on_quit, sim);
    return okay();
}

static char *run_status(struct sim *sim, int argc, char **argv)
{
    g_autofree char *json = control_status(sim);

    (void)argc;
    (void)argv;
    return g_strconcat("ok ", json, NULL);
}

static char *run_batteries(struct sim *sim, int argc, char **argv)
{
    GString *line = g_string_new("ok");

    (void)argc;
    (void)argv;
    for (guint i = 0; i < sim->batteries->len; i++) {
        const struct battery *battery = sim->batteries->pdata[i];

        g_string_append_printf(line, " %s", battery->address);
    }
    return g_string_free(line, FALSE);
}

static char *set_fault(struct battery *battery, int argc, char **argv)
{
    enum fault_id id;

    switch (faults_set(&battery->faults, argc, argv, &id)) {
    case FAULT_BAD_NAME:
        return wrong("no such fault");
    case FAULT_BAD_ARGUMENTS:
        return wrong("bad arguments for this fault");
    case FAULT_SET:
        break;
    }
    link_fault_changed(battery, id);
    return NULL;
}

static char *run_fault(struct sim *sim, int argc, char **argv)
{
    const char *argument = argc > 3 ? argv[3] : NULL;
    struct battery *one = battery_find(sim, argv[1]);

    if (one == NULL && strcmp(argv[1], "*") != 0) {
        return wrong("no such battery");
    }
    if (strcmp(argv[2], HANG_ALL) == 0) {
        bus_hang(sim, TRUE);
        return okay();
    }
    for (size_t i = 0; i < G_N_ELEMENTS(actions); i++) {
        if (strcmp(actions[i].word, argv[2]) == 0 &&
            g_strcmp0(actions[i].argument, argument) == 0) {
            for_each(sim, argv[1], actions[i].visit);
            return okay();
        }
    }
    for (guint i = 0; i < sim->batteries->len; i++) {
        struct battery *battery = sim->batteries->pdata[i];
        char *error = one == NULL || one == battery ? set_fault(battery, argc - 2, argv + 2) : NULL;

        if (error != NULL) {
            return error;
        }
    }
    return okay();
}

static char *run_clear(struct sim *sim, int argc, char **argv)
{
    (void)argc;
    if (!for_each(sim, argv[1], clear_faults)) {
        return wrong("no such battery");
    }
    if (sim->hanging) {
        bus_hang(sim, FALSE);
    }
    return okay();
}

static char *run_frame(struct sim *sim, int argc, char **argv)
{
    struct battery *battery = battery_find(sim, argv[1]);
    uint8_t reg;

    (void)argc;
    if (battery == NULL) {
        return wrong("no such battery");
    }
    if (faults_parse_hex(argv[2], strlen(argv[2]), &reg, 1) != 1 ||
        !faults_set_frame(&battery->faults, reg, argv[3])) {
        return wrong("frame ADDR REG HEX[,HEX...] | frame ADDR REG -");
    }
    return okay();
}

/* present ADDR ADAPTER, absent ADDR ADAPTER: whether this one adapter hears it. */
static char *run_range(struct sim *sim, char **argv)
{
    struct battery *battery = battery_find(sim, argv[1]);
    const struct adapter *adapter = adapter_find(sim, argv[2]);
    struct device *device;

    if (battery == NULL || adapter == NULL) {
        return wrong("no such battery or adapter");
    }
    if (strcmp(argv[0], "present") != 0 && strcmp(argv[0], "absent") != 0) {
        return wrong("only present and absent know adapters");
    }
    device = device_of(adapter, battery);
    device->unheard = argv[0][0] == 'a';
    device_range_changed(device);
    return okay();
}

static char *run_visit(struct sim *sim, int argc, char **argv)
{
    static const struct {
        const char *word;
        void (*visit)(struct battery *);
    } visits[] = {
        {"present", make_present},
        {"absent", make_absent},
        {"known", make_known},
        {"forget", forget},
    };

    if (argc > 2) {
        return run_range(sim, argv);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(visits); i++) {
        if (strcmp(argv[0], visits[i].word) == 0) {
            return for_each(sim, argv[1], visits[i].visit) ? okay() : wrong("no such battery");
        }
    }
    return wrong("unknown command");
}

static char *run_ask_passkey(struct sim *sim, int argc, char **argv)
{
    struct battery *battery = battery_find(sim, argv[1]);

    (void)argc;
    return battery == NULL ? wrong("no such battery")
                           : pair_ask(sim, device_of(adapter_find(sim, NULL), battery));
}

static char *run_steady(struct sim *sim, int argc, char **argv)
{
    gboolean on = strcmp(argv[2], "on") == 0;

    (void)argc;
    if (!on && strcmp(argv[2], "off") != 0) {
        return wrong("steady ADDR on|off");
    }
    return for_each(sim, argv[1], on ? steady_on : steady_off) ? okay() : wrong("no such battery");
}

static const struct command commands[] = {
    {"ping", 0, "ping", run_ping},
    {"quit", 0, "quit", run_quit},
    {"status", 0, "status", run_status},
    {"batteries", 0, "batteries", run_batteries},
    {"fault", 2, "fault ADDR|* NAME [ARGUMENTS]", run_fault},
    {"clear", 1, "clear ADDR|*", run_clear},
    {"frame", 3, "frame ADDR REG HEX[,HEX...]|-", run_frame},
    {"present", 1, "present ADDR|* | present ADDR ADAPTER", run_visit},
    {"absent", 1, "absent ADDR|* | absent ADDR ADAPTER", run_visit},
    {"known", 1, "known ADDR|*", run_visit},
    {"forget", 1, "forget ADDR|*", run_visit},
    {"ask-passkey", 1, "ask-passkey ADDR", run_ask_passkey},
    {"steady", 2, "steady ADDR|* on|off", run_steady},
    {"adapter", 1, "adapter on|off|remove|block|unblock|wedge|wedge-hang|add ...", control_adapter},
    {"bluez", 1, "bluez die|term|start [hung]|hang|resume", control_bluez},
    {"rival", 2, "rival ADDR connect|disconnect|notify|acquire [unanswered]|...", control_rival},
    {"hold", 1, "hold METHOD", control_script},
    {"release", 1, "release METHOD", control_script},
    {"refuse", 3, "refuse METHOD ERROR MESSAGE [N]", control_script},
    {"after", 2, "after METHOD COMMAND", control_script},
    {"removed", 2, "removed PATH INTERFACE...", control_script},
    {"set", 2, "set KEY VALUE | set ADDR|* KEY [N] VALUE", control_set},
};

char *control_command(struct sim *sim, const char *line)
{
    int argc;
    g_auto(GStrv) argv = NULL;
    g_autoptr(GError) error = NULL;
    char *answer;

    if (!g_shell_parse_argv(line, &argc, &argv, &error)) {
        return wrong("bad quoting");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (strcmp(argv[0], commands[i].name) == 0) {
            if (argc - 1 < commands[i].least) {
                return wrong(commands[i].usage);
            }
            answer = commands[i].run(sim, argc, argv);
            return g_strdelimit(answer, "\n", ' ');
        }
    }
    return wrong("unknown command");
}
