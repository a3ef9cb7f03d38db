/* SPDX-License-Identifier: MIT */
/*
 * What the files of this folder share, and the handles by which the unit tests move its clock.
 */
#ifndef BMS_WEB_PRIVATE_H
#define BMS_WEB_PRIVATE_H

#include "web.h"

#include <microhttpd.h>
#include <sys/resource.h>

/** Connections kept at once; a further one is let in by closing the worst of them. */
#define WEB_CONNECTIONS_MAX 64
/** Connections accepted from one socket before the others, and the main loop, have their turn. */
#define WEB_ACCEPTS_AT_ONCE 16
/**
 * Descriptors that clients never get, for what the rest of the program opens after the web server
 * has started: 5 for D-Bus (4 were seen in use at once while it connects, by GLib 2.74), 4 to start
 * the recovery command, one for a file that is read, and a reserve for what other versions of GLib
 * need.
 */
#define WEB_DESCRIPTORS_FOR_OTHERS 16
/** Of all connections, places for those whose first request is still to come. */
#define WEB_NEWCOMERS WEB_ACCEPTS_AT_ONCE
/** What libmicrohttpd may use for one connection: the request's headers and the answer's. */
#define WEB_CONNECTION_MEMORY (16 * 1024)

/** From the accept, or a further request's first byte, until its answer has been taken. */
#define WEB_REQUEST_US (10 * G_USEC_PER_SEC)
/** Between two requests: longer than common scrape intervals, so that a scraper's one stays. */
#define WEB_IDLE_US (180 * G_USEC_PER_SEC)
/** After an accept that failed for want of descriptors or memory. */
#define WEB_ACCEPT_PAUSE_US G_USEC_PER_SEC
/** Without such a failure for so long, the next one is logged again. */
#define WEB_SHORTAGE_OVER_US (G_GINT64_CONSTANT(3600) * G_USEC_PER_SEC)

/* ---- connections.c ---- */

typedef struct {
    int fd;            /**< libmicrohttpd's; never closed here, only shut down */
    gboolean answered; /**< has completed a request */
    gboolean busy;     /**< a request is on its way in or its answer on its way out */
    gboolean closing;  /**< shut down; libmicrohttpd will tidy it away in its next run */
    gint64 since;      /**< when it became busy or idle, µs of the monotonic clock */
    guint64 received;  /**< bytes that had come in by then */
} WebConnection;

/** @return a table of WebConnection, which owns them; to be freed with g_ptr_array_unref() */
GPtrArray *connections_new(void);

/** A connection that was just accepted: its first request is expected from now on. */
WebConnection *connections_add(GPtrArray *all, int fd, gint64 now);
void connections_remove(GPtrArray *all, WebConnection *connection);

void connection_request_began(WebConnection *connection, gint64 now);
void connection_request_completed(WebConnection *connection, gint64 now);

/** Starts the clock of idle connections on which a byte has come in; closes finished ones. */
void connections_look(GPtrArray *all, gint64 now);

/** Shuts down the connection that is missed least. @return FALSE if there is none */
gboolean connections_evict(GPtrArray *all);

/** How many are there, without those that are closing. */
guint connections_count(const GPtrArray *all);

/** Shuts down what is overdue. @return the next deadline, or -1 if there is none */
gint64 connections_expire(GPtrArray *all, gint64 now);

/* ---- room.c ---- */

/**
 * @param open connections that are open already
 * @param limit is set to the limit of open files
 * @return how many may be open at once, at most WEB_CONNECTIONS_MAX; 0 if there is no room for one
 */
guint room_for_connections(guint open, rlim_t *limit);

/* ---- address.c ---- */

/** @return where to reach who listens on @a address, of GSocketAddress, or NULL */
GPtrArray *address_targets(const char *address);

/** @return the listening sockets for @a address, at least one, or NULL; see web_listen() */
GArray *address_open(const char *address, GError **error);

/* ---- answer.c ---- */

/** libmicrohttpd's access handler; @a user is the Web. */
enum MHD_Result answer_request(void *user, struct MHD_Connection *handle, const char *path,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_size, void **request);

/* ---- web.c and source.c ---- */

typedef struct {
    int fd;
    gpointer tag; /**< of the GSource; NULL once the socket has failed for good */
} WebListener;

struct Web {
    const WebRoute *routes;
    void *user;
    struct MHD_Daemon *daemon; /**< NULL until there is a socket to serve */
    GSource *source;           /**< likewise */
    GArray *listeners;         /**< of WebListener */
    GPtrArray *connections;    /**< of WebConnection */
    gint64 now;                /**< when the run that is under way began */
    gint64 accept_again;       /**< accepting pauses until then; 0 if it does not */
    gint64 short_at;           /**< when an accept last failed for that; 0 if none has */
    guint room;                /**< connections that may be open at once, closing ones included */
};

/** @return a source for @a web's daemon; listeners are added with source_add_listener() */
GSource *source_new(Web *web);
void source_add_listener(Web *web, int fd);

/** What the source does when something has come in or a deadline has passed. */
void web_run(Web *web, gint64 now);

#endif
