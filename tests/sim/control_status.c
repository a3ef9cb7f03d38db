/* SPDX-License-Identifier: MIT */
/*
 * The control channel's `status`: everything a test may want to assert, as one line of JSON.
 */
#include "sim.h"

#include <string.h>

static void put_string(GString *json, const char *key, const char *value)
{
    g_string_append_printf(json, "\"%s\":\"", key);
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\') {
            g_string_append_printf(json, "\\%c", *p);
        } else if ((unsigned char)*p < 0x20) {
            g_string_append_printf(json, "\\u%04x", (guint)*p);
        } else {
            g_string_append_c(json, *p);
        }
    }
    g_string_append(json, "\",");
}

static void put_bool(GString *json, const char *key, gboolean value)
{
    g_string_append_printf(json, "\"%s\":%s,", key, value ? "true" : "false");
}

static void put_count(GString *json, const char *key, guint value)
{
    g_string_append_printf(json, "\"%s\":%u,", key, value);
}

/* Closes what ends in a comma. */
static void close_with(GString *json, const char *end)
{
    if (json->len > 0 && json->str[json->len - 1] == ',') {
        g_string_truncate(json, json->len - 1);
    }
    g_string_append(json, end);
}

static void put_adapter(GString *json, const struct adapter *a)
{
    static const char *const wedges[] = {
        [WEDGE_NONE] = "", [WEDGE_FAIL] = "fail", [WEDGE_HANG] = "hang"};

    g_string_append_c(json, '{');
    put_string(json, "path", a->path);
    put_string(json, "address", a->address);
    put_bool(json, "plugged", a->plugged);
    put_bool(json, "present", a->present);
    put_bool(json, "powered", a->powered);
    put_bool(json, "discovering", a->discovering);
    put_bool(json, "blocked", a->rfkilled);
    put_string(json, "wedge", wedges[a->wedge]);
    close_with(json, "},");
}

/* The device to tell of: the one that is linked, else the first one that there is. */
static const struct device *chosen_device(const struct battery *b)
{
    const struct device *device = b->linked;

    for (guint i = 0; i < b->sim->adapters->len && device == NULL; i++) {
        const struct device *one = device_of(b->sim->adapters->pdata[i], b);

        device = one->exported ? one : NULL;
    }
    return device != NULL ? device : device_of(b->sim->adapters->pdata[0], b);
}

static void put_battery(GString *json, const struct battery *b)
{
    const struct device *d = chosen_device(b);

    g_string_append_c(json, '{');
    put_string(json, "address", b->address);
    put_string(json, "name", b->name);
    put_bool(json, "present", b->present);
    put_string(json, "adapter", adapter_name(d->adapter));
    put_bool(json, "known", d->exported);
    put_bool(json, "temporary", d->exported && d->temporary);
    put_bool(json, "connecting", d->connect_call != NULL);
    put_bool(json, "connected", d->connected);
    put_bool(json, "resolved", d->resolved);
    put_bool(json, "notifying", d->notifying);
    put_bool(json, "subscribed", d->subscribed);
    put_bool(json, "notify-acquired", d->notify_acquired.state != ACQUIRED_NOT);
    put_bool(json, "write-acquired", d->write_acquired.state != ACQUIRED_NOT);
    put_bool(json, "blocked", d->blocked);
    put_bool(json, "stale", d->stale);
    put_bool(json, "wedged", d->wedged);
    put_count(json, "sessions", d->sessions.length);
    put_count(json, "links", b->links);
    put_count(json, "losses", b->losses);
    put_count(json, "subscriptions", b->sessions_begun);
    put_count(json, "start-notify", b->notify_starts);
    put_count(json, "stop-notify", b->notify_stops);
    put_count(json, "writes-command", b->writes_command);
    put_count(json, "writes-request", b->writes_request);
    put_count(json, "requests-total", b->requests_total);
    g_string_append(json, "\"requests\":{");
    for (guint i = 0; i < G_N_ELEMENTS(b->requests); i++) {
        if (b->requests[i] > 0) {
            g_string_append_printf(json, "\"%02x\":%u,", i, b->requests[i]);
        }
    }
    close_with(json, "},");
    put_count(json, "replies", b->replies);
    put_count(json, "unanswered", b->ignored);
    put_count(json, "notifications", b->notifications);
    put_count(json, "violations", b->board.violations);
    put_count(json, "password-requests", b->board.password_requests);
    put_count(json, "passwords", b->board.passwords);
    put_count(json, "wrong-passwords", b->board.wrong_passwords);
    put_bool(json, "paired", d->paired);
    put_bool(json, "trusted", d->trusted);
    put_bool(json, "steady", b->board.config.steady);
    g_string_append_printf(json, "\"soc\":%.2f,\"current-ma\":%.0f,", b->board.state.soc * 100,
                           b->board.state.current_ma);
    put_string(json, "last-request", b->last_request);
    put_string(json, "last-reply", b->last_reply);
    close_with(json, "},");
}

char *control_status(struct sim *sim)
{
    GString *json = g_string_new("{");
    guint violations = 0;

    for (guint i = 0; i < sim->batteries->len; i++) {
        const struct battery *battery = sim->batteries->pdata[i];

        violations += battery->board.violations;
    }
    put_bool(json, "running", sim->running);
    put_bool(json, "hanging", sim->hanging);
    put_count(json, "calls", sim->calls);
    put_count(json, "violations", violations);
    put_count(json, "overlapping-connects", sim->overlapping_connects);
    put_count(json, "scan-while-connecting", sim->scan_while_connecting);
    put_count(json, "crashes", sim->crashes);
    g_string_append(json, "\"adapters\":[");
    for (guint i = 0; i < sim->adapters->len; i++) {
        put_adapter(json, sim->adapters->pdata[i]);
    }
    close_with(json, "],");
    g_string_append(json, "\"batteries\":[");
    for (guint i = 0; i < sim->batteries->len; i++) {
        put_battery(json, sim->batteries->pdata[i]);
    }
    close_with(json, "]}");
    return g_string_free(json, FALSE);
}
