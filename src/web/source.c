/* SPDX-License-Identifier: MIT */
/*
 * The server as a GSource: waits for the listening sockets and for libmicrohttpd's epoll
 * descriptor, accepts, lets libmicrohttpd run, and then says when it must be woken at the latest.
 *
 * libmicrohttpd could accept by itself, but it stops at its limit instead of making room, and it
 * polls in a tight loop when the process has no descriptor left for the first connection. So the
 * sockets are accepted here and handed over with MHD_add_connection().
 */
#define _GNU_SOURCE /* accept4() */

#include "log.h"
#include "web-private.h"

#include <errno.h>
#include <glib-unix.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    GSource source;
    Web *web;
} WebSource;

static void set_accepting(Web *web, gboolean accepting)
{
    for (guint i = 0; i < web->listeners->len; i++) {
        const WebListener *listener = &g_array_index(web->listeners, WebListener, i);

        if (listener->tag != NULL)
            g_source_modify_unix_fd(web->source, listener->tag, accepting ? G_IO_IN : 0);
    }
}

/** Stops accepting for a while: the sockets stay readable, and to try at once would be to spin. */
static void pause_accepting(Web *web)
{
    web->accept_again = web->now + WEB_ACCEPT_PAUSE_US; /* or until a connection has been closed */
    set_accepting(web, FALSE);
}

/** There is no descriptor or no memory for the next connection. */
static void meet_shortage(Web *web, int reason)
{
    /* Clients that come and go would else fill the log while it lasts. */
    if (web->short_at == 0 || web->now - web->short_at >= WEB_SHORTAGE_OVER_US)
        log_warn("web: cannot accept a connection: %s", g_strerror(reason));
    web->short_at = web->now;
    pause_accepting(web);
    connections_evict(web->connections); /* gives one back; its closing ends the pause */
}

static void give_up_listener(Web *web, WebListener *listener, int reason)
{
    log_error("web: a listening socket failed and is not served any more: %s", g_strerror(reason));
    g_source_remove_unix_fd(web->source, listener->tag);
    listener->tag = NULL;
}

/** accept(2) finds that there is no descriptor to be had before it looks whether it needs one. */
static gboolean has_pending(const WebListener *listener)
{
    struct pollfd pending = {.fd = listener->fd, .events = POLLIN};

    return poll(&pending, 1, 0) == 1;
}

static gboolean is_full(const Web *web)
{
    return web->connections->len >= web->room;
}

/**
 * Closes a connection for the next one. A place is free when libmicrohttpd has released the
 * connection, not when it has been shut down: the descriptor is taken until then, and so is a place
 * in libmicrohttpd's own table, beyond which it refuses connections.
 * @return FALSE if no place is free yet; accepting pauses until one is
 */
static gboolean make_room(Web *web)
{
    MHD_run(web->daemon); /* releases connections that were closed meanwhile */
    if (is_full(web) && connections_count(web->connections) == web->connections->len &&
        connections_evict(web->connections))
        MHD_run(web->daemon);
    if (is_full(web))
        pause_accepting(web);
    return !is_full(web);
}

/**
 * Hands an accepted socket to libmicrohttpd, which closes it if that fails. Since its version 1.0
 * it only puts the socket on a list for its next run, and counts the connection and tells of it
 * there: without that run the places taken would not be known at the next accept.
 */
static void add_connection(Web *web, int fd, const struct sockaddr *peer, socklen_t size)
{
    if (MHD_add_connection(web->daemon, fd, peer, size) == MHD_YES)
        MHD_run(web->daemon);
}

/** @return FALSE if nothing more is to be had from @a listener now */
static gboolean meet_failure(Web *web, WebListener *listener, int reason)
{
    switch (reason) {
    case EAGAIN:
        return FALSE;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        if (has_pending(listener))
            meet_shortage(web, reason);
        return FALSE;
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
    case EOPNOTSUPP:
        give_up_listener(web, listener, reason);
        return FALSE;
    default:
        return TRUE; /* this one connection's trouble, see "Error handling" in accept(2) */
    }
}

/** @return FALSE if nothing more is to be had from @a listener now */
static gboolean accept_one(Web *web, WebListener *listener)
{
    struct sockaddr_storage peer = {0};
    socklen_t size = sizeof peer;
    int fd;

    if (is_full(web) && (!has_pending(listener) || !make_room(web)))
        return FALSE;
    fd = accept4(listener->fd, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return meet_failure(web, listener, errno);
    add_connection(web, fd, (struct sockaddr *)&peer, size);
    return TRUE;
}

void web_run(Web *web, gint64 now)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms = 0;
    gint64 next;

    web->now = now;
    for (guint i = 0; i < web->listeners->len && web->accept_again == 0; i++) {
        WebListener *listener = &g_array_index(web->listeners, WebListener, i);
        guint budget = WEB_ACCEPTS_AT_ONCE;

        /* Whatever it is: a socket that has died shows as G_IO_HUP alone, and accept() says why. */
        if (listener->tag == NULL || g_source_query_unix_fd(web->source, listener->tag) == 0)
            continue;
        while (budget > 0 && accept_one(web, listener))
            budget--;
    }
    MHD_run(web->daemon);

    if (web->accept_again > 0 && web->accept_again <= now) {
        web->accept_again = 0;
        set_accepting(web, TRUE);
    }
    connections_look(web->connections, now);
    /* Last of all: what came in while the loop was busy elsewhere must count as in time. */
    next = connections_expire(web->connections, now);
    if (web->accept_again > 0 && (next < 0 || web->accept_again < next))
        next = web->accept_again;
    /* It has no time-outs of its own here: it either waits for its sockets or wants to go on. */
    if (MHD_get_timeout(web->daemon, &timeout_ms) == MHD_YES)
        next = 0;
    g_source_set_ready_time(web->source, next);
}

static gboolean dispatch(GSource *source, GSourceFunc callback, gpointer user)
{
    (void)callback;
    (void)user;
    web_run(((WebSource *)source)->web, g_source_get_time(source));
    return G_SOURCE_CONTINUE;
}

GSource *source_new(Web *web)
{
    /* No prepare and no check: descriptors and a ready time are all that it waits for. */
    static GSourceFuncs functions = {.dispatch = dispatch};
    GSource *source = g_source_new(&functions, sizeof(WebSource));
    const union MHD_DaemonInfo *epoll =
        MHD_get_daemon_info(web->daemon, MHD_DAEMON_INFO_EPOLL_FD_LINUX_ONLY);

    ((WebSource *)source)->web = web;
    g_source_set_name(source, "web");
    g_source_add_unix_fd(source, epoll->epoll_fd, G_IO_IN);
    return source;
}

void source_add_listener(Web *web, int fd)
{
    WebListener listener = {.fd = fd, .tag = g_source_add_unix_fd(web->source, fd, G_IO_IN)};

    g_array_append_val(web->listeners, listener);
}
