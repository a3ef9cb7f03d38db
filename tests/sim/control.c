/* SPDX-License-Identifier: MIT */
/*
 * The control channel: a Unix socket with several clients, or standard input and output.
 *
 * Owns the clients and their lines. One command a line, one line of answer, and for those that
 * asked, events. Everything is bounded: a client that does not read is dropped.
 */
#include "sim.h"

#include <gio/gunixinputstream.h>
#include <gio/gunixoutputstream.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES   16384
#define OUTPUT_MAX_BYTES (4 << 20)
#define CLIENTS_MAX      64

struct client {
    struct control *control;
    GIOStream *stream; /* NULL on standard input */
    GInputStream *input;
    GOutputStream *output;
    GCancellable *cancel;
    GString *in, *out;
    GBytes *writing;
    gboolean reading, events, dead;
    gboolean ending; /* it will send no more, but may still read */
};

struct control {
    struct sim *sim;
    GSocketService *service;
    char *path;
    GPtrArray *clients;
};

static void read_more(struct client *client);
static void write_more(struct client *client);

/* Frees a client once nothing is under way any more. */
static void client_release(struct client *client)
{
    if (!client->dead || client->reading || client->writing != NULL) {
        return;
    }
    g_clear_object(&client->stream);
    g_clear_object(&client->input);
    g_clear_object(&client->output);
    g_clear_object(&client->cancel);
    g_string_free(client->in, TRUE);
    g_string_free(client->out, TRUE);
    g_free(client);
}

static void client_close(struct client *client)
{
    if (client->dead) {
        return;
    }
    client->dead = TRUE;
    g_cancellable_cancel(client->cancel);
    if (client->control != NULL) {
        g_ptr_array_remove_fast(client->control->clients, client);
    }
    if (client->stream != NULL) {
        g_io_stream_close(client->stream, NULL, NULL);
    }
}

static void client_say(struct client *client, const char *line)
{
    if (client->dead) {
        return;
    }
    g_string_append(client->out, line);
    g_string_append_c(client->out, '\n');
    if (client->out->len > OUTPUT_MAX_BYTES) {
        /* Must not be freed here: a caller may be walking the list. */
        client->events = FALSE;
        g_cancellable_cancel(client->cancel);
        return;
    }
    write_more(client);
}

static void on_write(GObject *source, GAsyncResult *result, gpointer data)
{
    struct client *client = data;
    gsize written;
    gboolean fine =
        g_output_stream_write_all_finish(G_OUTPUT_STREAM(source), result, &written, NULL);

    g_clear_pointer(&client->writing, g_bytes_unref);
    if (!fine) {
        client_close(client);
    } else if (!client->dead) {
        write_more(client);
        if (client->ending && client->writing == NULL) {
            client_close(client);
        }
    }
    client_release(client);
}

static void write_more(struct client *client)
{
    gsize size;
    const void *data;

    if (client->writing != NULL || client->out->len == 0) {
        return;
    }
    client->writing = g_string_free_to_bytes(client->out);
    client->out = g_string_new(NULL);
    data = g_bytes_get_data(client->writing, &size);
    g_output_stream_write_all_async(client->output, data, size, G_PRIORITY_DEFAULT, client->cancel,
                                    on_write, client);
}

static void take_line(struct client *client, char *line)
{
    g_autofree char *answer = NULL;

    g_strstrip(line);
    if (*line == '\0') {
        return;
    }
    if (strcmp(line, "events") == 0) {
        client->events = TRUE;
        client_say(client, "ok");
        return;
    }
    answer = control_command(client->control->sim, line);
    client_say(client, answer);
}

static void take_lines(struct client *client)
{
    char *end;

    while (!client->dead && (end = memchr(client->in->str, '\n', client->in->len)) != NULL) {
        gssize length = end - client->in->str;
        g_autofree char *line = g_strndup(client->in->str, (gsize)length);

        g_string_erase(client->in, 0, length + 1);
        take_line(client, line);
    }
    if (client->in->len > LINE_MAX_BYTES) {
        client_say(client, "error line too long");
        g_string_truncate(client->in, 0);
    }
}

static void on_read(GObject *source, GAsyncResult *result, gpointer data)
{
    struct client *client = data;
    g_autoptr(GBytes) bytes =
        g_input_stream_read_bytes_finish(G_INPUT_STREAM(source), result, NULL);

    client->reading = FALSE;
    if (client->dead || bytes == NULL || g_bytes_get_size(bytes) == 0) {
        client->ending = TRUE;
        if (bytes == NULL || client->writing == NULL) {
            client_close(client);
        }
        client_release(client);
        return;
    }
    g_string_append_len(client->in, g_bytes_get_data(bytes, NULL), (gssize)g_bytes_get_size(bytes));
    take_lines(client);
    if (!client->dead) {
        read_more(client);
    }
    client_release(client);
}

static void read_more(struct client *client)
{
    client->reading = TRUE;
    g_input_stream_read_bytes_async(client->input, 4096, G_PRIORITY_DEFAULT, client->cancel,
                                    on_read, client);
}

static struct client *client_new(struct control *control)
{
    struct client *client = g_new0(struct client, 1);

    client->control = control;
    client->cancel = g_cancellable_new();
    client->in = g_string_new(NULL);
    client->out = g_string_new(NULL);
    g_ptr_array_add(control->clients, client);
    return client;
}

static gboolean on_incoming(GSocketService *service, GSocketConnection *connection, GObject *source,
                            gpointer data)
{
    struct control *control = data;
    struct client *client;

    (void)service;
    (void)source;
    if (control->clients->len >= CLIENTS_MAX) {
        return FALSE;
    }
    client = client_new(control);
    client->stream = g_object_ref(G_IO_STREAM(connection));
    client->input = g_object_ref(g_io_stream_get_input_stream(client->stream));
    client->output = g_object_ref(g_io_stream_get_output_stream(client->stream));
    read_more(client);
    return FALSE;
}

struct control *control_new(struct sim *sim, const char *path, GError **error)
{
    struct control *control = g_new0(struct control, 1);

    control->sim = sim;
    control->clients = g_ptr_array_new();
    if (strcmp(path, "-") == 0) {
        struct client *client = client_new(control);

        client->input = g_unix_input_stream_new(STDIN_FILENO, FALSE);
        client->output = g_unix_output_stream_new(STDOUT_FILENO, FALSE);
        read_more(client);
        return control;
    }
    {
        g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);

        g_unlink(path);
        control->service = g_socket_service_new();
        if (!g_socket_listener_add_address(G_SOCKET_LISTENER(control->service), address,
                                           G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, NULL,
                                           NULL, error)) {
            control_free(control);
            return NULL;
        }
        control->path = g_strdup(path);
        g_signal_connect(control->service, "incoming", G_CALLBACK(on_incoming), control);
    }
    return control;
}

void control_free(struct control *control)
{
    if (control == NULL) {
        return;
    }
    if (control->service != NULL) {
        g_socket_service_stop(control->service);
        g_socket_listener_close(G_SOCKET_LISTENER(control->service));
        g_object_unref(control->service);
    }
    while (control->clients->len > 0) {
        struct client *client = control->clients->pdata[0];

        client_close(client);
        client_release(client);
    }
    /* Lets the cancelled reads and writes end, so that their clients are freed. */
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    if (control->path != NULL) {
        g_unlink(control->path);
    }
    g_ptr_array_free(control->clients, TRUE);
    g_free(control->path);
    g_free(control);
}

void control_event(struct sim *sim, const char *format, ...)
{
    struct control *control = sim->control;
    g_autofree char *text = NULL;
    g_autofree char *line = NULL;
    va_list arguments;

    if (control == NULL || control->clients->len == 0) {
        return;
    }
    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    line = g_strconcat("event ", text, NULL);
    for (guint i = 0; i < control->clients->len; i++) {
        struct client *client = control->clients->pdata[i];

        if (client->events) {
            client_say(client, line);
        }
    }
}
