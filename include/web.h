/* SPDX-License-Identifier: MIT */
/*
 * The HTTP server: listening sockets, libmicrohttpd as a GSource of the main loop, and deadlines
 * that keep slow or greedy clients from shutting anybody else out. What is served comes from
 * callbacks; batteries do not exist here.
 */
#ifndef BMS_WEB_H
#define BMS_WEB_H

#include <gio/gio.h>

/** What a handler answers. It begins as 200, "text/plain; charset=utf-8" and an empty body. */
typedef struct {
    guint status;             /**< HTTP status code */
    const char *content_type; /**< static */
    GString *body;            /**< to be filled by the handler */
} WebAnswer;

/** @param accept the request's Accept header or NULL */
typedef void (*WebHandler)(void *user, const char *accept, WebAnswer *answer);

/** One path; GET and HEAD are served, any other method gets 405. */
typedef struct {
    const char *path;
    WebHandler handler;
} WebRoute;

typedef struct Web Web;

/**
 * @param routes ended by a NULL path; must outlive the server, as must @a user
 */
Web *web_new(const WebRoute *routes, void *user);
void web_free(Web *web);

/**
 * Listens on "HOST:PORT", ":PORT" or "[IPv6]:PORT". An empty host means every address of the
 * machine, IPv6 and IPv4. HOST is a numeric address or "localhost": no name look-up, which could
 * block.
 * @return FALSE with @a error (G_IO_ERROR or a GSocket error) if that cannot be had
 */
gboolean web_listen(Web *web, const char *address, GError **error);

/**
 * Serves a listening socket that somebody else opened (systemd). Takes ownership of @a fd, and
 * closes it where it cannot be served.
 */
gboolean web_take_socket(Web *web, int fd, GError **error);

/** Whether web_listen() would succeed now; nothing stays open. @a error as there */
gboolean web_try_listen(const char *address, GError **error);

/**
 * Asks whoever listens on @a address for @a path, as HTTP, and calls @a done once, with the
 * beginning of the answer, or NULL if none came within 3 s.
 */
void web_probe(const char *address, const char *path, void (*done)(void *user, const char *answer),
               void *user);

/** Checks the form of an address for web_listen() without opening anything. */
gboolean web_check_address(const char *address, GError **error);

#endif
