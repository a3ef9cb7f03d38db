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
    struct device *device = data;

    device->drop_timer = 0;
    link_down(device, "fault", FALSE, TRUE);
    return G_SOURCE_REMOVE;
}

/* One write has reached the board. */
static void feed_board(struct device *device, const uint8_t *bytes, size_t length)
{
    struct sim *sim = device->sim;
    struct board_answer answer;
    g_autofree struct board_pieces *pieces = g_new(struct board_pieces, 1);
    gint64 now = g_get_monotonic_time();
    double wait = 0, last = 0;

    if (pair_echoes(device, bytes, length)) {
        return;
    }
    board_request(&device->battery->board, sim_now(), bytes, length, &answer);
    device->battery->requests[answer.reg]++;
    device->battery->requests_total++;
    to_hex(device->battery->last_request, sizeof device->battery->last_request, bytes, length);
    control_event(sim, "request %s %02x %s", device->battery->address, answer.reg,
                  device->battery->last_request);
    if (device->battery->drop_after > 0 && --device->battery->drop_after == 0) {
        sim_cancel(&device->drop_timer);
        device->drop_timer = sim_after(0.01, on_dropped, device);
        return;
    }
    if (answer.outcome == BOARD_LOST || answer.length == 0) {
        device->battery->ignored++;
        return;
    }
    faults_apply(&device->battery->faults, &sim->random, bytes, length, &answer, pieces);
    if (pieces->count == 0) {
        device->battery->ignored++;
        return;
    }
    to_hex(device->battery->last_reply, sizeof device->battery->last_reply, pieces->bytes,
           pieces->used);
    /* One UART: an answer waits for the one before it. */
    if (device->battery->uart_free > now) {
        wait = (double)(device->battery->uart_free - now) / 1e6;
    }
    for (size_t i = 0; i < pieces->count; i++) {
        const struct board_piece *piece = &pieces->piece[i];

        last = piece->delay > last ? piece->delay : last;
        notify_deliver(device, pieces->bytes + piece->offset, piece->length, wait + piece->delay,
                       i + 1 == pieces->count ? answer.reg : -1);
    }
    if (fault_on(&device->battery->faults, FAULT_LATE) == NULL) {
        device->battery->uart_free = now + (gint64)((wait + last) * 1e6);
    }
}

void gatt_command(struct device *device, const uint8_t *bytes, size_t length)
{
    const struct battery *battery = device->battery;

    device->battery->writes_command++;
    /* A board drops a command on a characteristic that does not take one, and says nothing. */
    if (battery->write_command && !battery->deaf_command && !device->stale) {
        feed_board(device, bytes, length);
    }
}

static gboolean on_written(gpointer data)
{
    struct device *device = data;

    device->write_timer = 0;
    bus_reply(device->sim, g_steal_pointer(&device->write_call), NULL);
    return G_SOURCE_REMOVE;
}

static gboolean on_refused(gpointer data)
{
    struct device *device = data;

    device->write_timer = 0;
    bus_error(device->sim, g_steal_pointer(&device->write_call), ERROR_NOT_PERMITTED,
              "Write not permitted");
    return G_SOURCE_REMOVE;
}

static gboolean on_invalid(gpointer data)
{
    struct device *device = data;

    device->write_timer = 0;
    bus_error(device->sim, g_steal_pointer(&device->write_call), ERROR_FAILED,
              STALE_HANDLE_MESSAGE);
    return G_SOURCE_REMOVE;
}

/* A lost response ends the ATT bearer, and the link with it. */
static gboolean on_write_timeout(gpointer data)
{
    struct device *device = data;

    device->write_timer = 0;
    link_down(device, "att-timeout", FALSE, TRUE);
    return G_SOURCE_REMOVE;
}

static void write_request(struct device *device, gboolean permitted, const uint8_t *bytes,
                          gsize size)
{
    double time = device->sim->timing.write;

    if (device->stale) {
        device->write_timer = sim_after(time, on_invalid, device);
        return;
    }
    if (!permitted) {
        device->write_timer = sim_after(time, on_refused, device);
        return;
    }
    device->write_timer = sim_after(time, on_written, device);
    if (!device->battery->deaf_request) {
        feed_board(device, bytes, size);
    }
}

static void write_value(struct device *device, guint row, GDBusMessage *call)
{
    struct sim *sim = device->sim;
    GVariant *body = g_dbus_message_get_body(call);
    g_autoptr(GVariant) value = NULL;
    g_autoptr(GVariant) options = NULL;
    const char *type = NULL;
    const uint8_t *bytes;
    const struct fault *fault;
    gboolean own = row == ROW_WRITE;
    gboolean request;
    gsize size;

    if (!device->connected) {
        bus_error(sim, call, ERROR_FAILED, "Not connected");
        return;
    }
    if (own && device->write_acquired.state != ACQUIRED_NOT) {
        bus_error(sim, call, ERROR_NOT_PERMITTED, WRITE_ACQUIRED_MESSAGE);
        return;
    }
    if (device->write_call != NULL) {
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
    if ((fault = fault_take(&device->battery->faults, FAULT_WRITE_FAIL)) != NULL) {
        bus_error(sim, call, fault->name, fault->text);
        return;
    }
    /* As BlueZ: a named type goes out whatever the flags say, and the peer judges it. */
    if (type == NULL) {
        request = own && device->battery->write_request;
    } else if (strcmp(type, "request") == 0 || strcmp(type, "reliable") == 0) {
        request = TRUE;
    } else if (strcmp(type, "command") == 0) {
        request = FALSE;
    } else {
        bus_error(sim, call, ERROR_NOT_SUPPORTED, "Operation is not supported");
        return;
    }
    if (!own) {
        device->battery->board.violations++;
    }
    if (fault_take(&device->battery->faults, FAULT_WRITE_HANG) != NULL) {
        device->write_call = call;
        if (request) {
            device->write_timer = sim_after(sim->timing.write_timeout, on_write_timeout, device);
        }
        return;
    }
    if (request) {
        device->battery->writes_request++;
        device->write_call = call;
        write_request(device, own && device->battery->write_request, bytes, size);
        return;
    }
    bus_reply(sim, call, NULL);
    if (own) {
        gatt_command(device, bytes, size);
    } else {
        device->battery->writes_command++;
    }
}

static void read_value(struct device *device, guint row, GDBusMessage *call)
{
    const void *data = NULL;
    gsize size = 0;

    if (!device->connected) {
        bus_error(device->sim, call, ERROR_FAILED, "Not connected");
        return;
    }
    if (strstr(gatt_table[row].flags, "read") == NULL) {
        bus_error(device->sim, call, ERROR_NOT_PERMITTED, "Read not permitted");
        return;
    }
    if (device->stale && row >= ROW_SERVICE) {
        bus_error(device->sim, call, ERROR_FAILED, STALE_HANDLE_MESSAGE);
        return;
    }
    if (row == ROW_NOTIFY && device->value != NULL) {
        data = g_bytes_get_data(device->value, &size);
    }
    bus_reply(
        device->sim, call,
        g_variant_new("(@ay)", g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, data, size, 1)));
}

void gatt_call(struct device *device, guint row, GDBusMessage *call, const char *member)
{
    gboolean can_notify = strstr(gatt_table[row].flags, "notify") != NULL ||
                          strstr(gatt_table[row].flags, "indicate") != NULL;

    if (strcmp(member, "WriteValue") == 0) {
        write_value(device, row, call);
    } else if (strcmp(member, "ReadValue") == 0) {
        read_value(device, row, call);
    } else if (strcmp(member, "StartNotify") == 0 && row == ROW_NOTIFY) {
        notify_start(device, call);
    } else if (strcmp(member, "StopNotify") == 0 && row == ROW_NOTIFY) {
        notify_stop(device, call);
    } else if (strcmp(member, "AcquireNotify") == 0 && row == ROW_NOTIFY) {
        acquire_notify(device, call);
    } else if (strcmp(member, "AcquireWrite") == 0 && row == ROW_WRITE) {
        acquire_write(device, call);
    } else if (strcmp(member, "StartNotify") == 0 && can_notify) {
        bus_reply(device->sim, call, NULL);
    } else if (strcmp(member, "StopNotify") == 0 && can_notify) {
        bus_error(device->sim, call, ERROR_FAILED, "No notify session started");
    } else if (strcmp(member, "StartNotify") == 0 || strcmp(member, "AcquireNotify") == 0 ||
               strcmp(member, "AcquireWrite") == 0) {
        bus_error(device->sim, call, ERROR_NOT_SUPPORTED, "Operation is not supported");
    } else {
        bus_error(device->sim, call, "org.freedesktop.DBus.Error.UnknownMethod", "No such method");
    }
}

void gatt_link_down(struct device *device, gboolean signal)
{
    sim_cancel(&device->write_timer);
    if (signal) {
        bus_error(device->sim, g_steal_pointer(&device->write_call), ERROR_FAILED,
                  "Operation failed with ATT error: 0x0e");
    } else {
        g_clear_object(&device->write_call);
    }
    notify_link_down(device, signal);
}
