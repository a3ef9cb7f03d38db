/* SPDX-License-Identifier: MIT */
/*
 * The open connections: how long each may take, and which has to go when there are too many.
 *
 * libmicrohttpd's own time-out counts inactivity, so that a client that sends a byte a second holds
 * its place for ever; and once its table is full it stops accepting. Here a request has a deadline
 * as a whole, and a full table makes room. Nothing depends on the client's address: behind a proxy,
 * or on one machine, everybody comes from the same one.
 */
#include "web-private.h"

#include <linux/tcp.h> /* glibc's own struct tcp_info ends before tcpi_bytes_received */
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/** tcpi_state when the peer has finished; of netinet/tcp.h, which cannot stand beside linux/tcp.h
 */
#define CLOSE_WAIT 8

GPtrArray *connections_new(void)
{
    return g_ptr_array_new_with_free_func(g_free);
}

WebConnection *connections_add(GPtrArray *all, int fd, gint64 now)
{
    WebConnection *connection = g_new0(WebConnection, 1);

    connection->fd = fd;
    connection->busy = TRUE;
    connection->since = now;
    g_ptr_array_add(all, connection);
    return connection;
}

void connections_remove(GPtrArray *all, WebConnection *connection)
{
    g_ptr_array_remove(all,
                       connection); /* keeps the order, which tells who came first in one run */
}

/** What the kernel knows of the peer; all zero for a socket that is not TCP's. */
static struct tcp_info look_at(const WebConnection *connection)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;

    if (getsockopt(connection->fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        info = (struct tcp_info){0};
    return info;
}

static gboolean has_unread(const WebConnection *connection)
{
    int bytes = 0;

    return ioctl(connection->fd, FIONREAD, &bytes) == 0 && bytes > 0;
}

void connection_request_began(WebConnection *connection, gint64 now)
{
    if (connection->busy)
        return; /* the deadline counts from the first byte, which was noticed before */
    connection->busy = TRUE;
    connection->since = now;
}

void connection_request_completed(WebConnection *connection, gint64 now)
{
    connection->answered = TRUE;
    connection->busy = FALSE;
    connection->since = now;
    connection->received = look_at(connection).tcpi_bytes_received;
}

static void shut_down(WebConnection *connection)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};

    /* An answer that is not taken would else stay in the kernel's memory long after the close. */
    if (connection->busy)
        (void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    (void)shutdown(connection->fd, SHUT_RDWR); /* fails if the peer was quicker: just as well */
    connection->closing = TRUE;
}

void connections_look(GPtrArray *all, gint64 now)
{
    for (guint i = 0; i < all->len; i++) {
        WebConnection *connection = g_ptr_array_index(all, i);
        struct tcp_info info;

        if (connection->busy || connection->closing)
            continue;
        info = look_at(connection);
        /* libmicrohttpd reports a request when its headers are complete, which may be never. */
        if (info.tcpi_bytes_received != connection->received)
            connection_request_began(connection, now);
        /* And it overlooks an end that came together with the request: nc -N would wait for us. */
        else if (info.tcpi_state == CLOSE_WAIT && !has_unread(connection))
            shut_down(connection);
    }
}

/** @return the one that has been as it is for longest, of those who did or did not get an answer */
static WebConnection *find_oldest(GPtrArray *all, gboolean answered, guint *count)
{
    WebConnection *oldest = NULL;

    *count = 0;
    for (guint i = 0; i < all->len; i++) {
        WebConnection *connection = g_ptr_array_index(all, i);

        if (connection->closing || connection->answered != answered)
            continue;
        ++*count;
        if (oldest == NULL || connection->since < oldest->since)
            oldest = connection;
    }
    return oldest;
}

gboolean connections_evict(GPtrArray *all)
{
    guint regulars, newcomers;
    WebConnection *regular = find_oldest(all, TRUE, &regulars);
    WebConnection *newcomer = find_oldest(all, FALSE, &newcomers);
    /* Who never got an answer goes first, so that a crowd of these cannot drive a scraper's kept
     * connection out. But a few of them stay in any case: a request takes a moment to arrive. */
    WebConnection *worst = newcomers > WEB_NEWCOMERS || regular == NULL ? newcomer : regular;

    if (worst == NULL)
        return FALSE;
    shut_down(worst);
    return TRUE;
}

guint connections_count(const GPtrArray *all)
{
    guint count = 0;

    for (guint i = 0; i < all->len; i++) {
        const WebConnection *connection = g_ptr_array_index(all, i);

        count += connection->closing ? 0 : 1;
    }
    return count;
}

gint64 connections_expire(GPtrArray *all, gint64 now)
{
    gint64 next = -1;

    for (guint i = 0; i < all->len; i++) {
        WebConnection *connection = g_ptr_array_index(all, i);
        gint64 deadline = connection->since + (connection->busy ? WEB_REQUEST_US : WEB_IDLE_US);

        if (connection->closing)
            continue;
        if (deadline <= now)
            shut_down(connection);
        else if (next < 0 || deadline < next)
            next = deadline;
    }
    return next;
}
