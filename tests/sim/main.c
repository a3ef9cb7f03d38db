/* SPDX-License-Identifier: MIT */
/*
 * bms-sim: simulated JBD boards behind a stand-in for bluetoothd.
 *
 * Owns the command line, the batteries' making and the main loop.
 */
#include "sim.h"

#include <glib-unix.h>
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

double sim_now(void)
{
    return (double)g_get_monotonic_time() / 1e6;
}

double sim_draw(struct sim *sim, struct range range)
{
    double u = board_random(&sim->random);

    if (u < 0.5) {
        return range.low + (range.median - range.low) * u / 0.5;
    }
    if (u < 0.9) {
        return range.median + (range.decile9 - range.median) * (u - 0.5) / 0.4;
    }
    return range.decile9 + (range.high - range.decile9) * (u - 0.9) / 0.1;
}

guint sim_after(double seconds, GSourceFunc function, gpointer data)
{
    return g_timeout_add((guint)(fmin(fmax(seconds, 0), 1e6) * 1000 + 0.5), function, data);
}

void sim_cancel(guint *timer)
{
    if (*timer != 0) {
        g_source_remove(*timer);
        *timer = 0;
    }
}

struct battery *battery_find(struct sim *sim, const char *address)
{
    for (guint i = 0; i < sim->batteries->len; i++) {
        struct battery *battery = sim->batteries->pdata[i];

        if (g_ascii_strcasecmp(battery->address, address) == 0) {
            return battery;
        }
    }
    return NULL;
}

void battery_each(struct battery *battery, void (*visit)(struct device *))
{
    for (guint i = 0; i < battery->sim->adapters->len; i++) {
        visit(device_of(battery->sim->adapters->pdata[i], battery));
    }
}

static void battery_free(gpointer data)
{
    struct battery *battery = data;

    g_free(battery->name);
    g_free(battery->advertises);
    g_free(battery);
}

static gboolean fail(GError **error, const char *wrong, const char *what)
{
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "%s: %s", wrong, what);
    return FALSE;
}

static gboolean is_address(const char *text)
{
    unsigned m[6];
    int used = 0;

    return sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5],
                  &used) == 6 &&
           used == 17 && text[17] == '\0';
}

static gboolean parse_address(struct battery *battery, const char *text, GError **error)
{
    unsigned m[6];
    int used = 0;

    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5],
               &used) != 6 ||
        used != 17 || text[17] != '\0') {
        return fail(error, "not a Bluetooth address", text);
    }
    g_snprintf(battery->address, sizeof battery->address, "%02X:%02X:%02X:%02X:%02X:%02X", m[0],
               m[1], m[2], m[3], m[4], m[5]);
    g_snprintf(battery->node, sizeof battery->node, "dev_%02X_%02X_%02X_%02X_%02X_%02X", m[0], m[1],
               m[2], m[3], m[4], m[5]);
    for (int i = 0; i < 6; i++) {
        battery->board.config.mac[i] = (uint8_t)m[i];
    }
    return TRUE;
}

static gboolean whole(const char *text, guint base, guint64 high, guint64 *value)
{
    return g_ascii_string_to_unsigned(text, base, 0, high, value, NULL);
}

static gboolean parse_board_key(struct board_config *c, const char *key, const char *value)
{
    guint64 n = 0;
    char *end;
    double real = g_ascii_strtod(value, &end);
    gboolean is_real = *value != '\0' && *end == '\0' && isfinite(real);

    if (strcmp(key, "cells") == 0 && whole(value, 10, BOARD_MAX_CELLS, &n) && n > 0) {
        c->cells = (unsigned)n;
    } else if (strcmp(key, "ntc") == 0 && whole(value, 10, BOARD_MAX_NTCS, &n)) {
        c->ntcs = (unsigned)n;
    } else if (strcmp(key, "tail") == 0 && (strcmp(value, "none") == 0 || strcmp(value, "0") == 0 ||
                                            strcmp(value, "9") == 0 || strcmp(value, "16") == 0)) {
        c->tail = value[0] == '9' ? 9 : value[0] == '1' ? 16 : 0;
    } else if (strcmp(key, "model") == 0 && strlen(value) < sizeof c->model) {
        g_strlcpy(c->model, value, sizeof c->model);
    } else if (strcmp(key, "capacity") == 0 && is_real && real >= 1) {
        c->capacity_ah = real;
    } else if (strcmp(key, "soc") == 0 && is_real && real >= 0 && real <= 100) {
        c->soc = real / 100;
    } else if (strcmp(key, "rate") == 0 && is_real && real >= 0) {
        c->rate = real;
    } else if (strcmp(key, "period") == 0 && is_real && real >= 1) {
        c->period = real;
    } else if (strcmp(key, "version") == 0 && whole(value, 16, 255, &n)) {
        c->version = (uint8_t)n;
    } else if (strcmp(key, "date") == 0 && whole(value, 16, 65535, &n)) {
        c->date = (uint16_t)n;
    } else if (strcmp(key, "counters") == 0 && whole(value, 10, 24, &n) && (n == 22 || n == 24)) {
        c->counter_bytes = (unsigned)n;
    } else if (strcmp(key, "password") == 0 && strlen(value) == 6) {
        g_strlcpy(c->password, value, sizeof c->password);
    } else if (strcmp(key, "no05") == 0) {
        c->no_model = true;
    } else if (strcmp(key, "noaa") == 0) {
        c->no_counters = true;
    } else if (strcmp(key, "steady") == 0) {
        c->steady = true;
    } else if (strcmp(key, "no-lose-first") == 0) {
        c->lose_first = false;
    } else if (strcmp(key, "no-stray-zero") == 0) {
        c->stray_zero = false;
    } else {
        return FALSE;
    }
    return TRUE;
}

static gboolean parse_key(struct battery *battery, const char *key, const char *value)
{
    guint64 n = 0;

    if (strcmp(key, "name") == 0 && g_utf8_validate(value, -1, NULL)) {
        g_free(battery->name);
        battery->name = g_strdup(value);
    } else if (strcmp(key, "module") == 0 && g_ascii_strcasecmp(value, "fff0") == 0) {
        battery->uuid_base = 0xfff0;
    } else if (strcmp(key, "module") == 0 && g_ascii_strcasecmp(value, "ff00") == 0) {
        battery->uuid_base = 0xff00;
    } else if (strcmp(key, "advertises") == 0) {
        g_free(battery->advertises);
        battery->advertises = g_strdup(strcmp(value, "none") == 0 ? "" : value);
    } else if (strcmp(key, "random") == 0) {
        battery->random_address = TRUE;
    } else if (strcmp(key, "paired") == 0) {
        battery->paired = TRUE;
        battery->known = TRUE;
    } else if (strcmp(key, "write") == 0 &&
               (strcmp(value, "both") == 0 || strcmp(value, "command") == 0 ||
                strcmp(value, "request") == 0)) {
        battery->write_command = value[0] != 'r';
        battery->write_request = value[0] != 'c';
    } else if (strcmp(key, "deaf") == 0 &&
               (strcmp(value, "command") == 0 || strcmp(value, "request") == 0)) {
        battery->deaf_command = value[0] == 'c';
        battery->deaf_request = value[0] == 'r';
    } else if (strcmp(key, "passkey") == 0 && strlen(value) == 6 && whole(value, 10, 999999, &n)) {
        battery->wants_pairing = TRUE;
        battery->passkey = (guint32)n;
    } else if (strcmp(key, "known") == 0) {
        battery->known = TRUE;
    } else if (strcmp(key, "absent") == 0) {
        battery->present = FALSE;
    } else {
        return parse_board_key(&battery->board.config, key, value);
    }
    return TRUE;
}

struct battery *battery_new(struct sim *sim, const char *spec, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(spec, ",", -1);
    struct battery *battery = g_new0(struct battery, 1);
    struct board_config config;

    battery->sim = sim;
    battery->index = sim->batteries->len;
    battery->name = g_strdup("xiaoxiang BMS");
    battery->uuid_base = 0xff00;
    battery->write_command = TRUE;
    battery->write_request = TRUE;
    battery->present = TRUE;
    board_config_default(&battery->board.config, sim->seed * 1000 + sim->batteries->len);
    if (!parse_address(battery, parts[0] != NULL ? parts[0] : "", error)) {
        battery_free(battery);
        return NULL;
    }
    for (guint i = 1; parts[i] != NULL; i++) {
        char *equals = strchr(parts[i], '=');

        if (equals != NULL) {
            *equals = '\0';
        }
        if (!parse_key(battery, parts[i], equals != NULL ? equals + 1 : "")) {
            fail(error, "unknown key or bad value for a battery", parts[i]);
            battery_free(battery);
            return NULL;
        }
    }
    if (sim->batteries->len >= SIM_MAX_BATTERIES || battery_find(sim, battery->address) != NULL) {
        fail(error, "too many batteries, or twice the same", battery->address);
        battery_free(battery);
        return NULL;
    }
    config = battery->board.config;
    board_init(&battery->board, &config, sim_now());
    g_ptr_array_add(sim->batteries, battery);
    g_hash_table_insert(sim->by_node, battery->node, battery);
    return battery;
}

static gboolean on_signal(gpointer data)
{
    struct sim *sim = data;

    g_main_loop_quit(sim->loop);
    return G_SOURCE_CONTINUE;
}

static void sim_init(struct sim *sim)
{
    memset(sim, 0, sizeof *sim);
    sim->loop = g_main_loop_new(NULL, FALSE);
    sim->batteries = g_ptr_array_new_with_free_func(battery_free);
    sim->by_node = g_hash_table_new(g_str_hash, g_str_equal);
    sim->adapters = g_ptr_array_new_with_free_func(adapter_free);
    sim->script = script_new(sim);
    sim->seed = 1;
    sim->timing = (struct timing){
        .connect = {0.030, 0.060, 0.084, 0.090},
        .resolve = {0.1, 0.25, 0.37, 0.4},
        .discover = {0.05, 0.175, 0.275, 0.3},
        /* Median and ninth decile as measured, the ends are a guess. */
        .disconnect = {2.0, 2.25, 2.7, 2.8},
        .absent = 41.2,
        .temporary = 30,
        .supervision = 0.42,
        .notify = 0.05,
        .write = 0.04,
        .write_timeout = 30,
        .start = 0.1,
        .power = 0.03,
    };
}

static void sim_free(struct sim *sim)
{
    control_free(g_steal_pointer(&sim->control));
    sim_cancel(&sim->start_timer);
    sim_cancel(&sim->crash_timer);
    for (guint i = 0; i < sim->adapters->len; i++) {
        adapter_remove(sim->adapters->pdata[i], FALSE);
    }
    bus_stop(sim);
    g_ptr_array_unref(sim->adapters);
    script_free(sim->script);
    g_hash_table_unref(sim->by_node);
    g_ptr_array_unref(sim->batteries);
    g_main_loop_unref(sim->loop);
}

struct arguments {
    char **batteries, **adapters;
    char *control;
    char *send;
    gint64 seed;
    gboolean quiet;
};

/* "hciN[,ADDRESS][,off]" */
static gboolean add_adapter(struct sim *sim, const char *spec, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(spec, ",", -1);
    guint count = g_strv_length(parts);
    gboolean off = count > 1 && strcmp(parts[count - 1], "off") == 0;
    const char *address = count > (off ? 2U : 1U) ? parts[1] : NULL;
    struct adapter *adapter;

    if (count > (off ? 3U : 2U) || !adapter_is_name(parts[0]) ||
        (address != NULL && !is_address(address))) {
        return fail(error, "not hciN[,ADDRESS][,off]", spec);
    }
    adapter = adapter_plug(sim, parts[0], address);
    if (adapter == NULL) {
        return fail(error, "too many adapters, or twice the same", spec);
    }
    /* The machine is up since long. */
    adapter->powered = !off;
    adapter_add(adapter);
    sim_cancel(&adapter->power_timer);
    return TRUE;
}

static gboolean set_up(struct sim *sim, const struct arguments *arguments, GError **error)
{
    sim->seed = (guint64)arguments->seed;
    sim->random = sim->seed;
    sim->quiet = arguments->quiet;
    for (guint i = 0; arguments->batteries != NULL && arguments->batteries[i] != NULL; i++) {
        if (battery_new(sim, arguments->batteries[i], error) == NULL) {
            return FALSE;
        }
    }
    if (sim->batteries->len == 0 && battery_new(sim, "A4:C1:38:00:00:01", error) == NULL) {
        return FALSE;
    }
    if (arguments->control != NULL) {
        sim->control = control_new(sim, arguments->control, error);
        if (sim->control == NULL) {
            return FALSE;
        }
    }
    for (guint i = 0; arguments->adapters != NULL && arguments->adapters[i] != NULL; i++) {
        if (!add_adapter(sim, arguments->adapters[i], error)) {
            return FALSE;
        }
    }
    if (sim->adapters->len == 0 && !add_adapter(sim, "hci0", error)) {
        return FALSE;
    }
    return bus_start(sim, error);
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.seed = 1};
    const GOptionEntry entries[] = {
        {"battery", 0, 0, G_OPTION_ARG_STRING_ARRAY, &arguments.batteries, "Add a battery",
         "ADDRESS[,KEY[=VALUE]]..."},
        {"adapter", 0, 0, G_OPTION_ARG_STRING_ARRAY, &arguments.adapters, "Plug an adapter in",
         "hciN[,ADDRESS][,off]"},
        {"control", 0, 0, G_OPTION_ARG_STRING, &arguments.control,
         "Take commands on this Unix socket (- for standard input)", "PATH"},
        {"send", 0, 0, G_OPTION_ARG_FILENAME, &arguments.send,
         "Send the other arguments as commands to the bms-sim with this socket, and exit", "PATH"},
        {"seed", 0, 0, G_OPTION_ARG_INT64, &arguments.seed, "Seed of all that is random", "N"},
        {"quiet", 0, 0, G_OPTION_ARG_NONE, &arguments.quiet, "Do not list the batteries", NULL},
        {0},
    };
    g_autoptr(GOptionContext) context = g_option_context_new("- simulated JBD batteries");
    g_autoptr(GError) error = NULL;
    struct sim sim;
    int status = 0;

    setlocale(LC_CTYPE, ""); /* names of batteries may be UTF-8 */
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) ||
        (argc > 1) != (arguments.send != NULL)) {
        fprintf(stderr, "bms-sim: %s\n", error != NULL ? error->message : "unexpected argument");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    if (arguments.send != NULL) {
        status = sim_send(arguments.send, argv + 1);
        g_free(arguments.send);
        return status;
    }
    sim_init(&sim);
    if (set_up(&sim, &arguments, &error)) {
        guint on_int = g_unix_signal_add(SIGINT, on_signal, &sim);
        guint on_term = g_unix_signal_add(SIGTERM, on_signal, &sim);

        for (guint i = 0; i < sim.batteries->len && !sim.quiet; i++) {
            const struct battery *battery = sim.batteries->pdata[i];

            fprintf(stderr, "bms-sim: %s %s\n", battery->address, battery->name);
        }
        puts("ready");
        fflush(stdout);
        g_main_loop_run(sim.loop);
        g_source_remove(on_int);
        g_source_remove(on_term);
    } else {
        fprintf(stderr, "bms-sim: %s\n", error->message);
        status = error->domain == G_OPTION_ERROR ? 2 : 1;
    }
    sim_free(&sim);
    g_strfreev(arguments.batteries);
    g_strfreev(arguments.adapters);
    g_free(arguments.control);
    return status;
}
