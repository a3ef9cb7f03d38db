/* SPDX-License-Identifier: MIT */
/*
 * GattCharacteristic1: its calls, writes, and the answers of the board that they bring about.
 */
#include "sim.h"

#include <string.h>

static void to_hex(char *text, size_t size, const uint8_t *bytes, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    size_t i;

    for (i = 0; i < length && 2 * i + 2 < size; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * i] = '\0';
}

static gboolean on_dropped(gpointer data)
{
    struct battery *battery = data;

    battery->drop_timer = 0;
    link_down(battery, "fault", FALSE, TRUE);
    return G_SOURCE_REMOVE;
}

/* One write has reached the board. */
static void feed_board(struct battery *battery, const uint8_t *bytes, size_t length)
{
    struct sim *sim = battery->sim;
    struct board_answer answer;
    g_autofree struct board_pieces *pieces = g_new(struct board_pieces, 1);
    gint64 now = g_get_monotonic_time();
    double wait = 0, last = 0;

    board_request(&battery->board, sim_now(), bytes, length, &answer);
    battery->requests[answer.reg]++;
    battery->requests_total++;
    to_hex(battery->last_request, sizeof battery->last_request, bytes, length);
    control_event(sim, "request %s %02x %s", battery->address, answer.reg, battery->last_request);
    if (battery->drop_after > 0 && --battery->drop_after == 0) {
        sim_cancel(&battery->drop_timer);
        battery->drop_timer = sim_after(0.01, on_dropped, battery);
        return;
    }
    if (answer.outcome == BOARD_LOST || answer.length == 0) {
        battery->ignored++;
        return;
    }
    faults_apply(&battery->faults, &sim->random, bytes, length, &answer, pieces);
    if (pieces->count == 0) {
        battery->ignored++;
        return;
    }
    to_hex(battery->last_reply, sizeof battery->last_reply, pieces->bytes, pieces->used);
    /* One UART: an answer waits for the one before it. */
    if (battery->uart_free > now) {
        wait = (double)(battery->uart_free - now) / 1e6;
    }
    for (size_t i = 0; i < pieces->count; i++) {
        const struct board_piece *piece = &pieces->piece[i];

        last = piece->delay > last ? piece->delay : last;
        notify_deliver(battery, pieces->bytes + piece->offset, piece->length, wait + piece->delay,
                       i + 1 == pieces->count ? answer.reg : -1);
    }
    if (fault_on(&battery->faults, FAULT_LATE) == NULL) {
        battery->uart_free = now + (gint64)((wait + last) * 1e6);
    }
}

static gboolean on_written(gpointer data)
{
    struct battery *battery = data;

    battery->write_timer = 0;
    bus_reply(battery->sim, g_steal_pointer(&battery->write_call), NULL);
    return G_SOURCE_REMOVE;
}

static gboolean on_refused(gpointer data)
{
    struct battery *battery = data;

    battery->write_timer = 0;
    bus_error(battery->sim, g_steal_pointer(&battery->write_call), ERROR_NOT_PERMITTED,
              "Write not permitted");
    return G_SOURCE_REMOVE;
}

/* A lost response ends the ATT bearer, and the link with it. */
static gboolean on_write_timeout(gpointer data)
{
    struct battery *battery = data;

    battery->write_timer = 0;
    link_down(battery, "att-timeout", FALSE, TRUE);
    return G_SOURCE_REMOVE;
}

static void write_request(struct battery *battery, gboolean permitted, const uint8_t *bytes,
                          gsize size)
{
    double time = battery->sim->timing.write;

    if (!permitted) {
        battery->write_timer = sim_after(time, on_refused, battery);
        return;
    }
    battery->write_timer = sim_after(time, on_written, battery);
    feed_board(battery, bytes, size);
}

static void write_value(struct battery *battery, guint row, GDBusMessage *call)
{
    struct sim *sim = battery->sim;
    GVariant *body = g_dbus_message_get_body(call);
    g_autoptr(GVariant) value = NULL;
    g_autoptr(GVariant) options = NULL;
    const char *type = NULL;
    const uint8_t *bytes;
    const struct fault *fault;
    gboolean own = row == ROW_WRITE;
    gboolean request;
    gsize size;

    if (!battery->connected) {
        bus_error(sim, call, ERROR_FAILED, "Not connected");
        return;
    }
    if (battery->write_call != NULL) {
        bus_error(sim, call, ERROR_IN_PROGRESS, "In Progress");
        return;
    }
    if (body == NULL || !g_variant_is_of_type(body, G_VARIANT_TYPE("(aya{sv})"))) {
        bus_error(sim, call, ERROR_INVALID, "Invalid arguments in method call");
        return;
    }
    value = g_variant_get_child_value(body, 0);
    options = g_variant_get_child_value(body, 1);
    g_variant_lookup(options, "type", "&s", &type);
    bytes = g_variant_get_fixed_array(value, &size, 1);
    if ((fault = fault_take(&battery->faults, FAULT_WRITE_FAIL)) != NULL) {
        bus_error(sim, call, fault->name, fault->text);
        return;
    }
    /* As BlueZ: a named type goes out whatever the flags say, and the peer judges it. */
    if (type == NULL) {
        request = own && battery->write_request;
    } else if (strcmp(type, "request") == 0 || strcmp(type, "reliable") == 0) {
        request = TRUE;
    } else if (strcmp(type, "command") == 0) {
        request = FALSE;
    } else {
        bus_error(sim, call, ERROR_NOT_SUPPORTED, "Operation is not supported");
        return;
    }
    if (!own) {
        battery->board.violations++;
    }
    if (fault_take(&battery->faults, FAULT_WRITE_HANG) != NULL) {
        battery->write_call = call;
        if (request) {
            battery->write_timer = sim_after(sim->timing.write_timeout, on_write_timeout, battery);
        }
        return;
    }
    if (request) {
        battery->writes_request++;
        battery->write_call = call;
        write_request(battery, own && battery->write_request, bytes, size);
        return;
    }
    battery->writes_command++;
    bus_reply(sim, call, NULL);
    /* A board drops a command on a characteristic that does not take one, and says nothing. */
    if (own && battery->write_command) {
        feed_board(battery, bytes, size);
    }
}

static void read_value(struct battery *battery, guint row, GDBusMessage *call)
{
    const void *data = NULL;
    gsize size = 0;

    if (!battery->connected) {
        bus_error(battery->sim, call, ERROR_FAILED, "Not connected");
        return;
    }
    if (strstr(gatt_table[row].flags, "read") == NULL) {
        bus_error(battery->sim, call, ERROR_NOT_PERMITTED, "Read not permitted");
        return;
    }
    if (row == ROW_NOTIFY && battery->value != NULL) {
        data = g_bytes_get_data(battery->value, &size);
    }
    bus_reply(
        battery->sim, call,
        g_variant_new("(@ay)", g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, data, size, 1)));
}

void gatt_call(struct battery *battery, guint row, GDBusMessage *call, const char *member)
{
    gboolean can_notify = strstr(gatt_table[row].flags, "notify") != NULL ||
                          strstr(gatt_table[row].flags, "indicate") != NULL;

    if (strcmp(member, "WriteValue") == 0) {
        write_value(battery, row, call);
    } else if (strcmp(member, "ReadValue") == 0) {
        read_value(battery, row, call);
    } else if (strcmp(member, "StartNotify") == 0 && row == ROW_NOTIFY) {
        notify_start(battery, call);
    } else if (strcmp(member, "StopNotify") == 0 && row == ROW_NOTIFY) {
        notify_stop(battery, call);
    } else if (strcmp(member, "StartNotify") == 0 && can_notify) {
        bus_reply(battery->sim, call, NULL);
    } else if (strcmp(member, "StopNotify") == 0 && can_notify) {
        bus_error(battery->sim, call, ERROR_FAILED, "No notify session started");
    } else if (strcmp(member, "StartNotify") == 0 || strcmp(member, "AcquireNotify") == 0 ||
               strcmp(member, "AcquireWrite") == 0) {
        bus_error(battery->sim, call, ERROR_NOT_SUPPORTED, "Operation is not supported");
    } else {
        bus_error(battery->sim, call, "org.freedesktop.DBus.Error.UnknownMethod", "No such method");
    }
}

void gatt_link_down(struct battery *battery, gboolean signal)
{
    sim_cancel(&battery->write_timer);
    if (signal) {
        bus_error(battery->sim, g_steal_pointer(&battery->write_call), ERROR_FAILED,
                  "Operation failed with ATT error: 0x0e");
    } else {
        g_clear_object(&battery->write_call);
    }
    notify_link_down(battery, signal);
}
