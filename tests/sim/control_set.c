/* SPDX-License-Identifier: MIT */
/*
 * The control channel's `set`: times of the stand-in and values of a board.
 */
#include "sim.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* A time in seconds, or a range of which one is drawn. */
static const struct {
    const char *name;
    size_t offset;
    gboolean range;
} times[] = {
    {"connect-time", offsetof(struct timing, connect), TRUE},
    {"resolve-time", offsetof(struct timing, resolve), TRUE},
    {"discover-time", offsetof(struct timing, discover), TRUE},
    {"disconnect-time", offsetof(struct timing, disconnect), TRUE},
    {"absent-timeout", offsetof(struct timing, absent), FALSE},
    {"temporary-timeout", offsetof(struct timing, temporary), FALSE},
    {"supervision-timeout", offsetof(struct timing, supervision), FALSE},
    {"notify-time", offsetof(struct timing, notify), FALSE},
    {"write-time", offsetof(struct timing, write), FALSE},
    {"write-timeout", offsetof(struct timing, write_timeout), FALSE},
    {"start-time", offsetof(struct timing, start), FALSE},
    {"power-time", offsetof(struct timing, power), FALSE},
};

/* One time, MIN,MAX with all between them alike, or MIN,MEDIAN,DECILE9,MAX. */
static gboolean parse_range(const char *text, struct range *range)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);
    guint count = g_strv_length(parts);
    double value[4] = {0};

    if (count != 1 && count != 2 && count != 4) {
        return FALSE;
    }
    for (guint i = 0; i < count; i++) {
        char *end;

        value[i] = g_ascii_strtod(parts[i], &end);
        if (end == parts[i] || *end != '\0' || !(value[i] >= (i > 0 ? value[i - 1] : 0)) ||
            value[i] > 1e5) {
            return FALSE;
        }
    }
    range->low = value[0];
    range->high = value[count - 1];
    range->median = count == 4 ? value[1] : (range->low + range->high) / 2;
    range->decile9 = count == 4 ? value[2] : range->low + (range->high - range->low) * 0.9;
    return TRUE;
}

static char *set_first_connected(struct sim *sim, const char *value)
{
    static const char *const words[] = {
        [FIRST_CONNECTED_RANDOM] = "random",
        [FIRST_CONNECTED_ALWAYS] = "always",
        [FIRST_CONNECTED_NEVER] = "never",
    };

    for (guint i = 0; i < G_N_ELEMENTS(words); i++) {
        if (strcmp(value, words[i]) == 0) {
            sim->first_connected = (enum first_connected)i;
            return g_strdup("ok");
        }
    }
    return g_strdup("error set first-connected random|always|never");
}

static char *set_global(struct sim *sim, const char *key, const char *value)
{
    struct range range = {0, 0, 0, 0};

    if (strcmp(key, "connect-busy") == 0) {
        if (strcmp(value, "failed") != 0 && strcmp(value, "inprogress") != 0) {
            return g_strdup("error set connect-busy failed|inprogress");
        }
        sim->connect_busy_new = value[0] == 'i';
        return g_strdup("ok");
    }
    if (strcmp(key, "link-limit") == 0) {
        sim->link_limit = (guint)g_ascii_strtoull(value, NULL, 10);
        return g_strdup("ok");
    }
    if (strcmp(key, "first-connected") == 0) {
        return set_first_connected(sim, value);
    }
    if (!parse_range(value, &range)) {
        return g_strdup("error not a time in seconds, MIN,MAX, or MIN,MEDIAN,DECILE9,MAX");
    }
    if (strcmp(key, "latency") == 0) {
        for (guint i = 0; i < sim->batteries->len; i++) {
            struct battery *battery = sim->batteries->pdata[i];

            battery->board.config.latency_min = range.low;
            battery->board.config.latency_max = range.high;
        }
        return g_strdup("ok");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(times); i++) {
        char *base = (char *)&sim->timing + times[i].offset;

        if (strcmp(key, times[i].name) != 0) {
            continue;
        }
        memcpy(base, &range, times[i].range ? sizeof range : sizeof range.low);
        return g_strdup("ok");
    }
    return g_strdup("error unknown key");
}

/* Values of the board. An index counts from 1, as cells do. */
static gboolean set_indexed(struct battery *battery, const char *key, guint64 index, double value)
{
    struct board *board = &battery->board;

    if (strcmp(key, "cell") == 0 && index >= 1 && index <= BOARD_MAX_CELLS) {
        board->state.cell_mv[index - 1] = value;
    } else if (strcmp(key, "ntc") == 0 && index >= 1 && index <= BOARD_MAX_NTCS) {
        board->state.ntc_dc[index - 1] = value;
    } else if (strcmp(key, "counter") == 0 && index >= 1 && index <= BOARD_COUNTERS && value >= 0 &&
               value <= 65535) {
        board->state.counters[index - 1] = (uint16_t)value;
    } else {
        return FALSE;
    }
    return TRUE;
}

static gboolean set_hex(struct battery *battery, const char *key, guint64 value)
{
    struct board *board = &battery->board;

    if (strcmp(key, "protection") == 0) {
        board->state.protection = (uint16_t)value;
    } else if (strcmp(key, "balance") == 0) {
        board->state.balance = (uint32_t)value;
    } else if (strcmp(key, "fet") == 0) {
        board->state.fet = (uint8_t)value;
    } else if (strcmp(key, "alarm") == 0) {
        board->state.alarm = (uint16_t)value;
    } else if (strcmp(key, "version") == 0) {
        board->config.version = (uint8_t)value;
    } else if (strcmp(key, "date") == 0) {
        board->config.date = (uint16_t)value;
    } else {
        return FALSE;
    }
    return TRUE;
}

static gboolean set_real(struct battery *battery, const char *key, double value)
{
    struct board *board = &battery->board;

    if (strcmp(key, "current_ma") == 0) {
        board->state.current_ma = value;
    } else if (strcmp(key, "soc") == 0 && value >= 0 && value <= 100) {
        board->state.soc = value / 100;
    } else if (strcmp(key, "voltage_mv") == 0) {
        board->state.voltage_mv = value;
    } else if (strcmp(key, "cycles") == 0) {
        board->state.cycles = value;
    } else if (strcmp(key, "capacity") == 0 && value >= 1) {
        board->config.capacity_ah = value;
    } else if (strcmp(key, "humidity") == 0 && value >= 0 && value <= 255) {
        board->state.humidity = (uint8_t)value;
    } else if (strcmp(key, "cells") == 0 && value >= 1 && value <= BOARD_MAX_CELLS) {
        board->config.cells = (unsigned)value;
    } else if (strcmp(key, "ntcs") == 0 && value >= 0 && value <= BOARD_MAX_NTCS) {
        board->config.ntcs = (unsigned)value;
    } else if (strcmp(key, "tail") == 0 &&
               (fabs(value) < 0.5 || fabs(value - 9) < 0.5 || fabs(value - 16) < 0.5)) {
        board->config.tail = (unsigned)(value + 0.5);
    } else {
        return FALSE;
    }
    return TRUE;
}

static gboolean set_one(struct battery *battery, int argc, char **argv)
{
    const char *key = argv[2];
    const char *text = argv[argc - 1];
    char *end;
    double real = g_ascii_strtod(text, &end);
    gboolean is_real = end != text && *end == '\0' && isfinite(real);
    guint64 index;
    guint64 hex;

    board_advance(&battery->board, sim_now());
    if (argc == 5) {
        return is_real && g_ascii_string_to_unsigned(argv[3], 10, 1, 32, &index, NULL) &&
               set_indexed(battery, key, index, real);
    }
    if (argc != 4) {
        return FALSE;
    }
    if (strcmp(key, "model") == 0 && strlen(text) < sizeof battery->board.config.model) {
        g_strlcpy(battery->board.config.model, text, sizeof battery->board.config.model);
        return TRUE;
    }
    /* As its owner does with the app. */
    if (strcmp(key, "password") == 0 && (strlen(text) == 6 || strcmp(text, "-") == 0)) {
        g_strlcpy(battery->board.config.password, text[0] == '-' && text[1] == '\0' ? "" : text,
                  sizeof battery->board.config.password);
        return TRUE;
    }
    if (g_ascii_string_to_unsigned(text, 16, 0, G_MAXUINT32, &hex, NULL) &&
        set_hex(battery, key, hex)) {
        return TRUE;
    }
    return is_real && set_real(battery, key, real);
}

char *control_set(struct sim *sim, int argc, char **argv)
{
    gboolean all = strcmp(argv[1], "*") == 0;
    struct battery *one = battery_find(sim, argv[1]);

    if (argc == 3 && one == NULL && !all) {
        return set_global(sim, argv[1], argv[2]);
    }
    if (one == NULL && !all) {
        return g_strdup("error no such battery");
    }
    for (guint i = 0; i < sim->batteries->len; i++) {
        struct battery *battery = sim->batteries->pdata[i];

        if ((all || one == battery) && !set_one(battery, argc, argv)) {
            return g_strdup("error unknown key or bad value");
        }
    }
    return g_strdup("ok");
}
