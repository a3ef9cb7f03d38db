/* SPDX-License-Identifier: MIT */
/*
 * Writing that never waits. The descriptor is not made non-blocking, because it is shared with the
 * shell and with whatever else is in the pipe; instead no more is written at once than what poll(2)
 * promises to have room for.
 */
#include "terminal.h"

#include <errno.h>
#include <glib-unix.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

struct Output {
    int fd;
    GString *waiting;
    guint source; /* GLib source: there is room again */
    int error;
    void (*changed)(void *user);
    void *user;
};

static gboolean has_room(const Output *output)
{
    struct pollfd room = {.fd = output->fd, .events = POLLOUT};

    return poll(&room, 1, 0) == 1;
}

/* Writes what can be written now. */
static void drain(Output *output)
{
    while (output->waiting->len > 0 && has_room(output)) {
        ssize_t n = write(output->fd, output->waiting->str, MIN(output->waiting->len, PIPE_BUF));

        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            return;
        if (n < 0) {
            output->error = errno;
            g_string_truncate(output->waiting, 0);
            return;
        }
        g_string_erase(output->waiting, 0, n);
    }
}

static gboolean on_room(int fd, GIOCondition condition, gpointer user)
{
    Output *output = user;

    (void)fd, (void)condition;
    drain(output);
    if (output->waiting->len > 0)
        return G_SOURCE_CONTINUE;
    output->source = 0;
    output->changed(output->user);
    return G_SOURCE_REMOVE;
}

Output *output_new(int fd, void (*changed)(void *user), void *user)
{
    Output *output = g_new0(Output, 1);

    output->fd = fd;
    output->waiting = g_string_new(NULL);
    output->changed = changed;
    output->user = user;
    return output;
}

void output_free(Output *output)
{
    g_clear_handle_id(&output->source, g_source_remove);
    g_string_free(output->waiting, TRUE);
    g_free(output);
}

void output_write(Output *output, const char *text)
{
    if (output->error)
        return;
    g_string_append(output->waiting, text);
    /* From the main loop, so that the caller is never called back from here. */
    if (!output->source)
        output->source = g_unix_fd_add(output->fd, G_IO_OUT | G_IO_ERR | G_IO_HUP, on_room, output);
}

gboolean output_is_idle(const Output *output)
{
    return output->source == 0;
}

int output_error(const Output *output)
{
    return output->error;
}
