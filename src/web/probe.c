/* SPDX-License-Identifier: MIT */
/* A look at what is served on a port that is taken: one HTTP request, as a client. */
#include "web-private.h"

#include <string.h>

enum {
    PROBE_MS = 3000,
    MAX_ANSWER = 1024 * 1024,
};

typedef struct {
    GPtrArray *targets; /* of GSocketAddress */
    guint next_target;
    GCancellable *cancellable;
    guint timer;
    GSocketConnection *connection;
    char *request;
    GString *answer;
    char buffer[4096];
    void (*done)(void *user, const char *answer);
    void *user;
} Probe;

static void try_next(Probe *probe);
static void read_more(Probe *probe);

static void finish(Probe *probe)
{
    g_clear_handle_id(&probe->timer, g_source_remove);
    probe->done(probe->user, probe->answer->len > 0 ? probe->answer->str : NULL);
    g_ptr_array_unref(probe->targets);
    g_object_unref(probe->cancellable);
    g_clear_object(&probe->connection);
    g_string_free(probe->answer, TRUE);
    g_free(probe->request);
    g_free(probe);
}

/** Nothing more comes from this target. One that has said nothing is not the one that was meant. */
static void end_target(Probe *probe)
{
    if (probe->answer->len == 0 && probe->next_target < probe->targets->len &&
        !g_cancellable_is_cancelled(probe->cancellable))
        try_next(probe);
    else
        finish(probe);
}

static void on_read(GObject *source, GAsyncResult *result, gpointer user)
{
    Probe *probe = user;
    gssize n = g_input_stream_read_finish(G_INPUT_STREAM(source), result, NULL);

    if (n > 0)
        g_string_append_len(probe->answer, probe->buffer, n);
    if (n > 0 && probe->answer->len < MAX_ANSWER)
        read_more(probe);
    else
        end_target(probe);
}

static void read_more(Probe *probe)
{
    GInputStream *stream = g_io_stream_get_input_stream(G_IO_STREAM(probe->connection));

    g_input_stream_read_async(stream, probe->buffer, sizeof probe->buffer, G_PRIORITY_DEFAULT,
                              probe->cancellable, on_read, probe);
}

static void on_written(GObject *source, GAsyncResult *result, gpointer user)
{
    Probe *probe = user;

    if (g_output_stream_write_all_finish(G_OUTPUT_STREAM(source), result, NULL, NULL))
        read_more(probe);
    else
        end_target(probe);
}

static void on_connected(GObject *source, GAsyncResult *result, gpointer user)
{
    Probe *probe = user;
    GOutputStream *stream;

    probe->connection = g_socket_client_connect_finish(G_SOCKET_CLIENT(source), result, NULL);
    if (!probe->connection) {
        end_target(probe);
        return;
    }
    stream = g_io_stream_get_output_stream(G_IO_STREAM(probe->connection));
    g_output_stream_write_all_async(stream, probe->request, strlen(probe->request),
                                    G_PRIORITY_DEFAULT, probe->cancellable, on_written, probe);
}

/** Goes on to the next target; there is one. */
static void try_next(Probe *probe)
{
    g_autoptr(GSocketClient) client = g_socket_client_new();
    GSocketAddress *target = g_ptr_array_index(probe->targets, probe->next_target++);

    g_clear_object(&probe->connection);
    g_socket_client_set_enable_proxy(client, FALSE);
    g_socket_client_connect_async(client, G_SOCKET_CONNECTABLE(target), probe->cancellable,
                                  on_connected, probe);
}

static gboolean on_time(gpointer user)
{
    Probe *probe = user;

    probe->timer = 0;
    g_cancellable_cancel(probe->cancellable); /* what has come by now is the answer */
    return G_SOURCE_REMOVE;
}

void web_probe(const char *address, const char *path, void (*done)(void *user, const char *answer),
               void *user)
{
    g_autoptr(GPtrArray) targets = address_targets(address);
    Probe *probe;

    g_return_if_fail(targets != NULL);
    probe = g_new0(Probe, 1);
    probe->targets = g_steal_pointer(&targets);
    probe->cancellable = g_cancellable_new();
    probe->timer = g_timeout_add(PROBE_MS, on_time, probe);
    probe->request = g_strdup_printf("GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", path);
    probe->answer = g_string_new(NULL);
    probe->done = done;
    probe->user = user;
    try_next(probe);
}
