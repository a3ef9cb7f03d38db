/* SPDX-License-Identifier: MIT */
/*
 * A server and its clients in one main context, for the tests of src/web/: sockets are real, and
 * nothing waits for anything but their events. A test that hangs is ended by alarm(2).
 */
#ifndef BMS_TEST_WEB_CLIENT_H
#define BMS_TEST_WEB_CLIENT_H

#include "web/web-private.h"

#include <errno.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HANGS_AFTER_S  120
#define BIG_BODY_BYTES (16 * 1024 * 1024)
#define GET_HELLO      "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n"

typedef struct {
    Web *web;
    int listener;       /**< the server's; to look at, not to close */
    guint16 port;       /**< of 127.0.0.1 */
    guint handled;      /**< requests that reached a handler */
    GPtrArray *clients; /**< all, for the end of the test */
} Fixture;

typedef struct {
    int fd;
    guint source;  /**< 0 for a client that does not read */
    GString *in;   /**< what came and was not taken by client_answer() */
    gboolean over; /**< the server has closed or reset the connection */
    gboolean reset;
} Client;

typedef struct {
    guint status;
    char *head;
    GString *body;
} Answer;

static inline void answer_clear(Answer *answer)
{
    g_clear_pointer(&answer->head, g_free);
    if (answer->body != NULL)
        g_string_free(g_steal_pointer(&answer->body), TRUE);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Answer, answer_clear)

/* ---- the server ---- */

static inline void serve_hello(void *user, const char *accept, WebAnswer *answer)
{
    ((Fixture *)user)->handled++;
    g_string_append_printf(answer->body, "hello %s\n", accept != NULL ? accept : "(none)");
}

static inline void serve_big(void *user, const char *accept, WebAnswer *answer)
{
    (void)accept;
    ((Fixture *)user)->handled++;
    answer->content_type = "application/x-big";
    g_string_set_size(answer->body, BIG_BODY_BYTES);
    memset(answer->body->str, 'x', BIG_BODY_BYTES);
}

static inline void serve_failure(void *user, const char *accept, WebAnswer *answer)
{
    (void)user;
    (void)accept;
    answer->status = 503;
}

static const WebRoute test_routes[] = {
    {"/hello", serve_hello}, {"/big", serve_big}, {"/failure", serve_failure}, {NULL, NULL}};

/** @return a listening socket on a free port of the loopback address of @a family */
static inline int listen_on_loopback(int family, guint16 *port)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr *address =
        family == AF_INET ? (struct sockaddr *)&four : (struct sockaddr *)&six;
    socklen_t size = family == AF_INET ? sizeof four : sizeof six;
    int fd = socket(family, SOCK_STREAM, 0);

    if (fd < 0 || bind(fd, address, size) != 0 || listen(fd, SOMAXCONN) != 0) {
        g_assert_cmpint(family, ==, AF_INET6); /* only that may be missing */
        if (fd >= 0)
            close(fd);
        return -1;
    }
    g_assert_no_errno(getsockname(fd, address, &size));
    *port = ntohs(family == AF_INET ? four.sin_port : six.sin6_port);
    return fd;
}

static inline void fixture_set_up(Fixture *f, gconstpointer data)
{
    GError *error = NULL;

    (void)data;
    alarm(HANGS_AFTER_S);
    f->clients = g_ptr_array_new();
    f->web = web_new(test_routes, f);
    f->listener = listen_on_loopback(AF_INET, &f->port);
    web_take_socket(f->web, f->listener, &error);
    g_assert_no_error(error);
}

/** Lets everything happen that can happen now. Does not return if a source spins. */
static inline void settle(void)
{
    gboolean more;

    do
        more = g_main_context_iteration(NULL, FALSE);
    while (more);
}

/** As if so much time had passed. */
static inline void pass_time(Fixture *f, gint64 us)
{
    web_run(f->web, g_get_monotonic_time() + us);
    settle();
}

/** µs from @a since until the server wants to be woken, or -1 if it does not. */
static inline gint64 wakes_after(Fixture *f, gint64 since)
{
    gint64 ready = g_source_get_ready_time(f->web->source);

    return ready < 0 ? -1 : ready - since;
}

/* ---- clients ---- */

static inline gboolean on_readable(gint fd, GIOCondition condition, gpointer user)
{
    Client *client = user;
    static char buffer[256 * 1024];
    ssize_t size;

    (void)condition;
    while ((size = read(fd, buffer, sizeof buffer)) > 0)
        g_string_append_len(client->in, buffer, size);
    if (size < 0 && errno == EAGAIN)
        return G_SOURCE_CONTINUE;
    client->over = TRUE;
    client->reset = size < 0 && errno == ECONNRESET;
    client->source = 0;
    return G_SOURCE_REMOVE;
}

static inline void client_start_reading(Client *client)
{
    client->source = g_unix_fd_add(client->fd, G_IO_IN, on_readable, client);
}

/** Connects, which succeeds before the server has accepted, and does not read. */
static inline Client *client_new_mute(Fixture *f, const struct sockaddr *address, socklen_t size)
{
    Client *client = g_new0(Client, 1);

    client->fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    client->in = g_string_new(NULL);
    g_assert_no_errno(connect(client->fd, address, size));
    g_unix_set_fd_nonblocking(client->fd, TRUE, NULL);
    g_ptr_array_add(f->clients, client);
    return client;
}

static inline Client *client_new(Fixture *f)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(f->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    Client *client = client_new_mute(f, (struct sockaddr *)&address, sizeof address);

    client_start_reading(client);
    return client;
}

static inline void client_close(Client *client)
{
    g_clear_handle_id(&client->source, g_source_remove);
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
}

/** Sends all of it while the server runs, or until the server has closed the connection. */
static inline void client_send_bytes(Client *client, const char *data, size_t size)
{
    while (size > 0 && !client->over) {
        ssize_t sent = send(client->fd, data, size, MSG_NOSIGNAL);

        if (sent < 0 && errno != EAGAIN)
            break;
        if (sent > 0) {
            data += sent;
            size -= (size_t)sent;
        }
        g_main_context_iteration(NULL, FALSE);
    }
}

static inline void client_send(Client *client, const char *text)
{
    client_send_bytes(client, text, strlen(text));
}

static inline void wait_until_over(Client *client)
{
    while (!client->over)
        g_main_context_iteration(NULL, TRUE);
}

/** Waits for the next answer. @a bodiless for an answer to HEAD. */
static inline void client_answer(Client *client, gboolean bodiless, Answer *answer)
{
    const char *end, *length;
    gsize head, body;

    while ((end = strstr(client->in->str, "\r\n\r\n")) == NULL) {
        g_assert_false(client->over);
        g_main_context_iteration(NULL, TRUE);
    }
    head = (gsize)(end - client->in->str) + 4;
    answer_clear(answer);
    answer->head = g_strndup(client->in->str, head);
    g_assert_true(g_str_has_prefix(answer->head, "HTTP/1."));
    answer->status = (guint)g_ascii_strtoull(answer->head + strlen("HTTP/1.1 "), NULL, 10);
    length = strstr(answer->head, "\r\nContent-Length: ");
    g_assert_nonnull(length);
    body = bodiless ? 0 : g_ascii_strtoull(length + strlen("\r\nContent-Length: "), NULL, 10);
    while (client->in->len < head + body) {
        g_assert_false(client->over);
        g_main_context_iteration(NULL, TRUE);
    }
    answer->body = g_string_new_len(client->in->str + head, (gssize)body);
    g_string_erase(client->in, 0, (gssize)(head + body));
}

/** Sends a request and checks that it is answered with @a status. */
static inline void client_expect(Client *client, const char *request, guint status)
{
    g_auto(Answer) answer = {0};

    client_send(client, request);
    client_answer(client, g_str_has_prefix(request, "HEAD "), &answer);
    g_assert_cmpuint(answer.status, ==, status);
}

/** What every test of a bad client ends with: somebody else is served. */
static inline void expect_service(Fixture *f)
{
    client_expect(client_new(f), GET_HELLO, 200);
}

static inline void fixture_tear_down(Fixture *f, gconstpointer data)
{
    (void)data;
    settle();
    web_free(f->web);
    for (guint i = 0; i < f->clients->len; i++) {
        Client *client = g_ptr_array_index(f->clients, i);

        client_close(client);
        g_string_free(client->in, TRUE);
        g_free(client);
    }
    g_ptr_array_unref(f->clients);
    alarm(0);
}

#define ADD_TEST(path, function)                                                                   \
    g_test_add(path, Fixture, NULL, fixture_set_up, function, fixture_tear_down)

#endif
