/* SPDX-License-Identifier: MIT */
/* bms-sim --send: gives commands to a bms-sim that runs, so that no other program is needed. */
#include "sim.h"

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <stdio.h>

/* Sends one line and prints the answer. @return whether that was ok */
static gboolean send_one(GIOStream *stream, GDataInputStream *answers, const char *command,
                         GError **error)
{
    g_autofree char *line = g_strconcat(command, "\n", NULL);
    g_autofree char *answer = NULL;

    if (!g_output_stream_write_all(g_io_stream_get_output_stream(stream), line, strlen(line), NULL,
                                   NULL, error)) {
        return FALSE;
    }
    answer = g_data_input_stream_read_line(answers, NULL, NULL, error);
    if (answer == NULL) {
        return FALSE;
    }
    puts(answer);
    return g_str_has_prefix(answer, "ok");
}

int sim_send(const char *path, char *const *commands)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
    g_autoptr(GSocketConnection) connection =
        g_socket_client_connect(client, G_SOCKET_CONNECTABLE(address), NULL, &error);
    g_autoptr(GDataInputStream) answers = NULL;
    gboolean good = connection != NULL;

    if (good) {
        answers = g_data_input_stream_new(g_io_stream_get_input_stream(G_IO_STREAM(connection)));
    }
    for (; good && *commands != NULL; commands++) {
        good = send_one(G_IO_STREAM(connection), answers, *commands, &error);
    }
    if (error != NULL) {
        fprintf(stderr, "bms-sim: %s: %s\n", path, error->message);
    }
    return good ? 0 : 1;
}
