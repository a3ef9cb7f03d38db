/* SPDX-License-Identifier: MIT */
/*
 * AcquireNotify and AcquireWrite: notifications and writes that one client has to itself, through a
 * socket. As bluetoothd up to 5.82 does it, with what goes wrong there: what was asked for and not
 * answered when the link broke or the client died stays acquired for ever, and StopNotify or
 * RemoveDevice then end bluetoothd.
 */
#include "sim.h"

#include <errno.h>
#include <gio/gunixfdlist.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MTU = 23, PACKET_MAX = 512 };

gboolean acquire_is_left(const struct device *device)
{
    return device->other_left || device->notify_acquired.state == ACQUIRED_PENDING ||
           device->notify_acquired.state == ACQUIRED_LEFT;
}

static void close_fd(int *fd)
{
    if (*fd > 0) {
        close(*fd);
    }
    *fd = 0;
}

static void end(struct acquired *acquired)
{
    sim_cancel(&acquired->watch);
    close_fd(&acquired->fd);
    close_fd(&acquired->rival_fd);
    g_clear_pointer(&acquired->client, g_free);
    g_clear_object(&acquired->call);
    acquired->state = ACQUIRED_NOT;
}

static void tell(struct device *device, const struct acquired *acquired)
{
    gboolean notify = acquired == &device->notify_acquired;

    if (device->sim->running && tree_row_exists(device, ROW_NOTIFY)) {
        tree_changed(device->sim, tree_row(device, notify ? ROW_NOTIFY : ROW_WRITE),
                     notify ? "NotifyAcquired" : "WriteAcquired", NULL);
    }
    control_event(device->sim, "%s %s %s", notify ? "notify-acquired" : "write-acquired",
                  device->battery->address, acquired->state == ACQUIRED_NOT ? "off" : "on");
}

static void release(struct device *device, struct acquired *acquired)
{
    if (acquired->state == ACQUIRED_NOT) {
        return;
    }
    end(acquired);
    if (acquired == &device->notify_acquired) {
        device->subscribed = FALSE;
        sim_cancel(&device->ccc_timer);
    }
    tell(device, acquired);
}

/* The client's end: closed, or something was written into it. */
static gboolean on_socket(gint fd, GIOCondition condition, gpointer data)
{
    struct device *device = data;
    gboolean notify = fd == device->notify_acquired.fd;
    uint8_t packet[PACKET_MAX];
    ssize_t size = recv(fd, packet, sizeof packet, MSG_DONTWAIT);

    (void)condition;
    if (size <= 0) {
        struct acquired *acquired = notify ? &device->notify_acquired : &device->write_acquired;

        acquired->watch = 0;
        release(device, acquired);
        return G_SOURCE_REMOVE;
    }
    if (!notify) {
        gatt_command(device, packet, (size_t)size);
    }
    return G_SOURCE_CONTINUE;
}

/* Makes the socket, and hands the far end over. */
static void open_socket(struct device *device, struct acquired *acquired)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0) {
        g_error("socketpair: %s", g_strerror(errno));
    }
    acquired->state = ACQUIRED_OPEN;
    acquired->fd = ends[0];
    acquired->watch = g_unix_fd_add(ends[0], G_IO_IN | G_IO_HUP, on_socket, device);
    if (acquired->call != NULL) {
        bus_reply_fd(device->sim, g_steal_pointer(&acquired->call), ends[1], MTU);
        close(ends[1]);
    } else {
        acquired->rival_fd = ends[1];
    }
    tell(device, acquired);
}

/* ---- the calls ------------------------------------------------------------------------------- */

static void begin(struct acquired *acquired, const char *client, GDBusMessage *call)
{
    acquired->state = ACQUIRED_PENDING;
    acquired->client = g_strdup(client);
    acquired->call = call;
}

void acquire_notify(struct device *device, GDBusMessage *call)
{
    struct sim *sim = device->sim;

    if (!device->connected) {
        bus_error(sim, call, ERROR_FAILED, "Not connected");
    } else if (device->notify_acquired.state != ACQUIRED_NOT) {
        bus_error(sim, call, ERROR_NOT_PERMITTED, NOTIFY_ACQUIRED_MESSAGE);
    } else if (!g_queue_is_empty(&device->sessions)) {
        bus_error(sim, call, ERROR_IN_PROGRESS, "In Progress");
    } else {
        begin(&device->notify_acquired, g_dbus_message_get_sender(call), call);
        notify_write_ccc(device);
    }
}

void acquire_write(struct device *device, GDBusMessage *call)
{
    struct sim *sim = device->sim;

    if (!device->battery->write_command) {
        bus_error(sim, call, ERROR_NOT_SUPPORTED, "Operation is not supported");
    } else if (!device->connected) {
        bus_error(sim, call, ERROR_FAILED, "Not connected");
    } else if (device->write_acquired.state != ACQUIRED_NOT) {
        bus_error(sim, call, ERROR_NOT_PERMITTED, WRITE_ACQUIRED_MESSAGE);
    } else {
        begin(&device->write_acquired, g_dbus_message_get_sender(call), call);
        open_socket(device, &device->write_acquired);
    }
}

void acquire_stop(struct device *device, GDBusMessage *call)
{
    struct acquired *acquired = &device->notify_acquired;

    /* It is looked up whose the session is only where none is acquired. */
    if (acquired->state == ACQUIRED_LEFT) {
        g_object_unref(call);
        bluez_crash(device->sim, "StopNotify");
        return;
    }
    release(device, acquired);
    bus_reply(device->sim, call, NULL);
}

/* ---- what comes of them ---------------------------------------------------------------------- */

void acquire_ccc_written(struct device *device)
{
    if (device->notify_acquired.state == ACQUIRED_PENDING) {
        open_socket(device, &device->notify_acquired);
    }
}

void acquire_deliver(struct device *device, const void *bytes, gsize size)
{
    if (device->notify_acquired.state == ACQUIRED_OPEN && size > 0) {
        /* Where nobody reads, bluetoothd loses notifications, too. */
        (void)!send(device->notify_acquired.fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

void acquire_link_down(struct device *device)
{
    if (device->notify_acquired.state == ACQUIRED_PENDING) {
        device->notify_acquired.state = ACQUIRED_LEFT;
        g_clear_object(&device->notify_acquired.call); /* never answered */
    } else if (device->notify_acquired.state == ACQUIRED_OPEN) {
        release(device, &device->notify_acquired);
    }
    release(device, &device->write_acquired);
}

void acquire_client_gone(struct device *device, const char *client)
{
    struct acquired *acquired = &device->notify_acquired;

    /* Open ones end with their sockets. */
    if (acquired->state == ACQUIRED_PENDING && strcmp(acquired->client, client) == 0) {
        acquired->state = ACQUIRED_LEFT;
        g_clear_object(&acquired->call);
    }
}

void acquire_forget(struct device *device)
{
    end(&device->notify_acquired);
    end(&device->write_acquired);
    device->other_left = FALSE;
}

/* ---- another program, without a bus ---------------------------------------------------------- */

gboolean acquire_by_rival(struct device *device, gboolean notify, gboolean answered)
{
    struct acquired *acquired = notify ? &device->notify_acquired : &device->write_acquired;

    if (!device->connected || acquired->state != ACQUIRED_NOT ||
        (notify && !g_queue_is_empty(&device->sessions))) {
        return FALSE;
    }
    begin(acquired, RIVAL, NULL);
    if (!notify) {
        open_socket(device, acquired);
    } else if (answered) {
        notify_write_ccc(device);
    }
    return TRUE;
}

void acquire_rival_releases(struct device *device)
{
    close_fd(&device->notify_acquired.rival_fd);
    close_fd(&device->write_acquired.rival_fd);
}
