/* SPDX-License-Identifier: MIT */
/*
 * The HTTP server as a whole: puts sockets, libmicrohttpd, the GSource and the table of connections
 * together and takes them apart again.
 */
#include "log.h"
#include "web-private.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

Web *web_new(const WebRoute *routes, void *user)
{
    Web *web = g_new0(Web, 1);

    web->routes = routes;
    web->user = user;
    web->listeners = g_array_new(FALSE, FALSE, sizeof(WebListener));
    web->connections = connections_new();
    return web;
}

void web_free(Web *web)
{
    if (web == NULL)
        return;
    if (web->source != NULL) {
        g_source_destroy(web->source);
        g_source_unref(web->source);
        web->source = NULL;
    }
    if (web->daemon != NULL)
        MHD_stop_daemon(web->daemon); /* closes the connections, which tells on_connection() */
    for (guint i = 0; i < web->listeners->len; i++)
        close(g_array_index(web->listeners, WebListener, i).fd);
    g_array_unref(web->listeners);
    g_ptr_array_unref(web->connections);
    g_free(web);
}

/** libmicrohttpd's messages are about what clients send, and clients must not fill the log. */
G_GNUC_PRINTF(2, 0) static void on_message(void *user, const char *format, va_list arguments)
{
    g_autofree char *text = g_strdup_vprintf(format, arguments);

    (void)user;
    log_debug("web: %s", g_strchomp(text));
}

static void on_connection(void *user, struct MHD_Connection *handle, void **own,
                          enum MHD_ConnectionNotificationCode what)
{
    Web *web = user;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD);

        *own = connections_add(web->connections, info->connect_fd, web->now);
        return;
    }
    connections_remove(web->connections, *own);
    *own = NULL;
    if (web->accept_again > 0)
        web->accept_again = web->now; /* a descriptor is free again */
}

static void on_completed(void *user, struct MHD_Connection *handle, void **request,
                         enum MHD_RequestTerminationCode how)
{
    Web *web = user;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    (void)request;
    if (how == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        connection_request_completed(info->socket_context, web->now);
}

/** Resolves escapes; what has a NUL in it becomes empty, for /metrics%00 is not /metrics. */
static size_t unescape(void *user, struct MHD_Connection *handle, char *text)
{
    size_t size = MHD_http_unescape(text);

    (void)user;
    (void)handle;
    if (memchr(text, '\0', size) == NULL)
        return size;
    text[0] = '\0';
    return 0;
}

/** Shares out the descriptors. Each listening socket takes one, so this is done for each. */
static gboolean find_room(Web *web, GError **error)
{
    guint before = web->room;
    rlim_t limit = 0;

    web->room = room_for_connections(web->connections->len, &limit);
    if (web->room == 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES,
                    "the limit of %" G_GUINT64_FORMAT " open files leaves no room for connections; "
                    "raise it (\"ulimit -n\", or LimitNOFILE= of the unit)",
                    (guint64)limit);
        return FALSE;
    }
    if (web->room < WEB_CONNECTIONS_MAX && (before == 0 || before == WEB_CONNECTIONS_MAX))
        log_warn("web: the limit of %" G_GUINT64_FORMAT
                 " open files leaves room for %u connections "
                 "at once instead of %d",
                 (guint64)limit, web->room, WEB_CONNECTIONS_MAX);
    return TRUE;
}

/** Starts what serves the sockets, when the first of them is there. */
static gboolean ensure_started(Web *web, GError **error)
{
    if (web->daemon != NULL)
        return find_room(web, error);
    /* Its own limit is never reached: source.c accepts only while a place is free. The logger must
     * be the first option. */
    web->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG, 0, NULL, NULL, answer_request,
        web, MHD_OPTION_EXTERNAL_LOGGER, on_message, NULL, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, web, MHD_OPTION_NOTIFY_COMPLETED, on_completed, web,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned int)WEB_CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)WEB_CONNECTION_MEMORY,
        MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_END);
    if (web->daemon == NULL) {
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_FAILED,
                            "libmicrohttpd could not be started");
        return FALSE;
    }
    web->source = source_new(web);
    g_source_attach(web->source, g_main_context_get_thread_default());
    return find_room(web, error); /* after the descriptors that these have taken */
}

gboolean web_listen(Web *web, const char *address, GError **error)
{
    g_autoptr(GArray) sockets = address_open(address, error);

    if (sockets == NULL)
        return FALSE;
    if (!ensure_started(web, error)) {
        for (guint i = 0; i < sockets->len; i++)
            close(g_array_index(sockets, int, i));
        return FALSE;
    }
    for (guint i = 0; i < sockets->len; i++)
        source_add_listener(web, g_array_index(sockets, int, i));
    return TRUE;
}

/** @return TRUE if @a fd is a listening stream socket; else FALSE, and errno if that is why */
static gboolean is_listening_stream(int fd)
{
    int type = 0, listening = 0;
    socklen_t size = sizeof type;

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0)
        return FALSE;
    size = sizeof listening;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0)
        return FALSE;
    errno = 0;
    return type == SOCK_STREAM && listening != 0;
}

gboolean web_take_socket(Web *web, int fd, GError **error)
{
    int flags;

    if (!is_listening_stream(fd)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "descriptor %d is not a listening stream socket%s%s; a systemd socket unit "
                    "must have ListenStream= and not Accept=yes",
                    fd, errno != 0 ? ": " : "", errno != 0 ? g_strerror(errno) : "");
    } else if ((flags = fcntl(fd, F_GETFD)) < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0 ||
               !g_unix_set_fd_nonblocking(fd, TRUE, NULL)) {
        g_set_error(error, G_IO_ERROR, (int)g_io_error_from_errno(errno), "descriptor %d: %s", fd,
                    g_strerror(errno));
    } else if (ensure_started(web, error)) {
        source_add_listener(web, fd);
        return TRUE;
    }
    if (fd >= 0)
        close(fd); /* it was ours to keep or to close */
    return FALSE;
}
