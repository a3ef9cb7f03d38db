/* SPDX-License-Identifier: MIT */
/*
 * What the libraries alone cost: a bare GDBus and libmicrohttpd process that makes the same calls
 * as the exporter in the same kind of loop, throws away what it hears and serves a fixed body.
 *
 *     floor DEVICE-PATH NOTIFY-PATH WRITE-PATH PORT INTERVAL-MS BODY-FILE
 *
 * On SIGUSR1 it says how many polls it has made and what they took. Object paths are given, and
 * errors end it: only the steady state is to be compared.
 */
#include <gio/gio.h>
#include <glib-unix.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>

enum { REQUEST_SIZE = 7, FRAME_OVERHEAD = 7, LENGTH_AT = 3 };

static const guint8 requests[][REQUEST_SIZE] = {
    {0xDD, 0xA5, 0x03, 0x00, 0xFF, 0xFD, 0x77},
    {0xDD, 0xA5, 0x04, 0x00, 0xFF, 0xFC, 0x77},
};

typedef struct {
    GMainLoop *loop;
    GDBusConnection *bus;
    const char *device;
    const char *notify;
    const char *write;
    gint64 interval_us;
    gint64 due;
    GSource *timer;
    guint asked; /* index of the request on the way */
    gsize wanted;
    gsize got;
    guint polls;
    gint64 polling_us; /* what they took together */
    gint64 began;
    struct MHD_Daemon *daemon;
    struct MHD_Response *response;
} Floor;

G_GNUC_NORETURN static void die(const char *what, const GError *error)
{
    g_printerr("floor: %s: %s\n", what, error ? error->message : "failed");
    exit(EXIT_FAILURE);
}

/* ---- polling --------------------------------------------------------------------------------- */

static void ask(Floor *self, guint which)
{
    GVariantBuilder options;

    self->asked = which;
    self->wanted = 0;
    self->got = 0;
    g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&options, "{sv}", "type", g_variant_new_string("command"));
    /* No callback: no reply is asked for, as the exporter does. */
    g_dbus_connection_call(self->bus, "org.bluez", self->write, "org.bluez.GattCharacteristic1",
                           "WriteValue",
                           g_variant_new("(@aya{sv})",
                                         g_variant_new_fixed_array(
                                             G_VARIANT_TYPE_BYTE, requests[which], REQUEST_SIZE, 1),
                                         &options),
                           NULL, G_DBUS_CALL_FLAGS_NO_AUTO_START, 5000, NULL, NULL, NULL);
}

static void finish_poll(Floor *self)
{
    if (self->polls++ == 0)
        g_printerr("first readings\n");
    self->polling_us += g_get_monotonic_time() - self->began;
    g_source_set_ready_time(self->timer, self->due);
}

static void on_value(GDBusConnection *bus, const char *sender, const char *path, const char *iface,
                     const char *signal, GVariant *parameters, gpointer user)
{
    Floor *self = user;
    g_autoptr(GVariant) properties = g_variant_get_child_value(parameters, 1);
    g_autoptr(GVariant) value =
        g_variant_lookup_value(properties, "Value", G_VARIANT_TYPE_BYTESTRING);
    const guint8 *data;
    gsize size;

    (void)bus, (void)sender, (void)path, (void)iface, (void)signal;
    if (!value)
        return;
    data = g_variant_get_fixed_array(value, &size, 1);
    if (self->wanted == 0) {
        if (size <= LENGTH_AT || data[0] != 0xDD)
            return; /* a stray byte */
        self->wanted = (gsize)data[LENGTH_AT] + FRAME_OVERHEAD;
    }
    self->got += size;
    if (self->got < self->wanted)
        return;
    if (self->asked + 1 < G_N_ELEMENTS(requests))
        ask(self, self->asked + 1);
    else
        finish_poll(self);
}

static gboolean on_timer(gpointer user)
{
    Floor *self = user;

    g_source_set_ready_time(self->timer, -1);
    self->began = g_get_monotonic_time();
    while (self->due <= self->began)
        self->due += self->interval_us;
    ask(self, 0);
    return G_SOURCE_CONTINUE;
}

static gboolean dispatch_timer(GSource *source, GSourceFunc callback, gpointer user)
{
    (void)source;
    return callback(user);
}

static GSourceFuncs timer_funcs = {.dispatch = dispatch_timer};

static void call(Floor *self, const char *path, const char *iface, const char *method)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_sync(self->bus, "org.bluez", path, iface, method, NULL, NULL,
                                    G_DBUS_CALL_FLAGS_NO_AUTO_START, 40000, NULL, &error);

    if (!reply)
        die(method, error);
}

static gboolean is_resolved(Floor *self)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) value = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_sync(
        self->bus, "org.bluez", self->device, "org.freedesktop.DBus.Properties", "Get",
        g_variant_new("(ss)", "org.bluez.Device1", "ServicesResolved"), G_VARIANT_TYPE("(v)"),
        G_DBUS_CALL_FLAGS_NO_AUTO_START, 5000, NULL, &error);

    if (!reply)
        die("Get", error);
    g_variant_get(reply, "(v)", &value);
    return g_variant_get_boolean(value);
}

static gboolean begin(gpointer user)
{
    Floor *self = user;
    g_autoptr(GError) error = NULL;

    self->bus = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, &error);
    if (!self->bus)
        die("bus", error);
    g_dbus_connection_signal_subscribe(self->bus, "org.bluez", "org.freedesktop.DBus.Properties",
                                       "PropertiesChanged", self->notify,
                                       "org.bluez.GattCharacteristic1", G_DBUS_SIGNAL_FLAGS_NONE,
                                       on_value, self, NULL);
    call(self, self->device, "org.bluez.Device1", "Connect");
    while (!is_resolved(self))
        g_usleep(1000);
    call(self, self->notify, "org.bluez.GattCharacteristic1", "StartNotify");

    self->timer = g_source_new(&timer_funcs, sizeof(GSource));
    g_source_set_callback(self->timer, on_timer, self, NULL);
    self->due = g_get_monotonic_time();
    g_source_set_ready_time(self->timer, self->due);
    g_source_attach(self->timer, NULL);
    return G_SOURCE_REMOVE;
}

/* ---- serving --------------------------------------------------------------------------------- */

static enum MHD_Result answer(void *user, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **request)
{
    Floor *self = user;

    (void)path, (void)method, (void)version, (void)upload, (void)upload_size;
    if (*request == NULL) {
        *request = self;
        return MHD_YES;
    }
    return MHD_queue_response(connection, MHD_HTTP_OK, self->response);
}

static gboolean run_web(GSource *source, GSourceFunc callback, gpointer user)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms = 0;
    Floor *self = user;

    (void)callback;
    MHD_run(self->daemon);
    g_source_set_ready_time(source, MHD_get_timeout(self->daemon, &timeout_ms) == MHD_YES ? 0 : -1);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs web_funcs = {.dispatch = run_web};

static gboolean do_nothing(gpointer user)
{
    (void)user;
    return G_SOURCE_CONTINUE;
}

static void serve(Floor *self, guint16 port, const char *body_file)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    g_autoptr(GError) error = NULL;
    GSource *source = g_source_new(&web_funcs, sizeof(GSource));
    char *body;
    gsize size;

    if (!g_file_get_contents(body_file, &body, &size, &error))
        die("body", error);
    self->response = MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE);
    MHD_add_response_header(self->response, MHD_HTTP_HEADER_CONTENT_TYPE,
                            "text/plain; version=0.0.4; charset=utf-8");
    self->daemon = MHD_start_daemon(MHD_USE_EPOLL, port, NULL, NULL, answer, self,
                                    MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_END);
    if (!self->daemon)
        die("libmicrohttpd", NULL);
    g_source_set_callback(source, do_nothing, self, NULL);
    g_source_add_unix_fd(
        source, MHD_get_daemon_info(self->daemon, MHD_DAEMON_INFO_EPOLL_FD_LINUX_ONLY)->epoll_fd,
        G_IO_IN);
    g_source_attach(source, NULL);
}

static gboolean on_signal(gpointer user)
{
    Floor *self = user;

    g_main_loop_quit(self->loop);
    return G_SOURCE_CONTINUE;
}

static gboolean on_report(gpointer user)
{
    const Floor *self = user;

    g_printerr("polls %u, %" G_GINT64_FORMAT " us\n", self->polls, self->polling_us);
    return G_SOURCE_CONTINUE;
}

int main(int argc, char **argv)
{
    static Floor self;

    if (argc != 7)
        die("wrong number of arguments", NULL);
    self.device = argv[1];
    self.notify = argv[2];
    self.write = argv[3];
    self.interval_us = g_ascii_strtoll(argv[5], NULL, 10) * 1000;
    self.loop = g_main_loop_new(NULL, FALSE);
    serve(&self, (guint16)g_ascii_strtoll(argv[4], NULL, 10), argv[6]);
    g_unix_signal_add(SIGTERM, on_signal, &self);
    g_unix_signal_add(SIGUSR1, on_report, &self);
    g_idle_add(begin, &self);
    g_main_loop_run(self.loop);
    call(&self, self.device, "org.bluez.Device1", "Disconnect");
    return EXIT_SUCCESS;
}
