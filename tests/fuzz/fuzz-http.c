/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target for the web server (src/web with libmicrohttpd), over TCP on the loopback address.
 *
 *     input    what clients send, with commands in it: 0xFF and a byte, see commands[]
 *
 * A command first sends what stands before it in one piece. Whatever clients do,
 *
 *   - each hears well-formed answers one after another, then the end of the connection, if any;
 *     an answer breaks off only where the client has closed, reset, or been too slow;
 *   - the main loop comes to rest;
 *   - somebody else is served right behind it;
 *   - when all clients have gone, no connection and no descriptor is left.
 */
#define _GNU_SOURCE /* memmem() */

#include "export.h"
#include "fuzz.h"
#include "web/web-private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS = 4, MAX_PIECE = 4096, LONG_PIECE = 3000, MAX_ITERATIONS = 5000, MAX_PARTS = 128 };

#define BODY    "bms_up 1\n"
#define COMMAND 0xFF

typedef struct {
    int fd;       /* -1 while there is none */
    bool may_cut; /* an answer may break off: the client, or time, has seen to that */
    bool sent_head;
    bool over;
    GString *in;
    GString *out;  /* not sent yet */
    GString *said; /* all that was sent or tried to be */
} Client;

static Web *web;
static guint16 port;
static Client clients[CLIENTS];
static Client *current;
static gint64 offset; /* of the clock, µs */

/* ---- the server ---------------------------------------------------------------------------- */

static void serve(void *user, const char *accept, WebAnswer *answer)
{
    (void)user;
    answer->content_type = export_content_type(export_negotiate(accept));
    g_string_append(answer->body, BODY);
}

static void serve_much(void *user, const char *accept, WebAnswer *answer)
{
    (void)user, (void)accept;
    for (int i = 0; i < 20000; i++)
        g_string_append(answer->body, BODY);
}

static const WebRoute routes[] = {{"/metrics", serve}, {"/much", serve_much}, {NULL, NULL}};

static void listen_on_loopback(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    CHECK(bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, SOMAXCONN) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    port = ntohs(address.sin_port);
    CHECK(web_take_socket(web, fd, NULL));
}

/* ---- clients ------------------------------------------------------------------------------- */

static void receive(Client *client)
{
    static char buffer[64 * 1024];
    ssize_t size;

    if (client->fd < 0 || client->over)
        return;
    while ((size = recv(client->fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0)
        g_string_append_len(client->in, buffer, size);
    client->over = size == 0 || errno != EAGAIN;
    if (client->over && size < 0)
        client->may_cut = true;
}

static void settle(void)
{
    bool more = true;

    for (unsigned n = 0; more; n++) {
        CHECK(n < MAX_ITERATIONS);
        more = g_main_context_iteration(NULL, FALSE);
        for (unsigned i = 0; i < CLIENTS; i++)
            receive(&clients[i]);
    }
}

static void client_open(Client *client)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    /* Ends it at once and leaves nothing in TIME_WAIT: there are thousands in a second. */
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};

    *client =
        (Client){.in = g_string_new(NULL), .out = g_string_new(NULL), .said = g_string_new(NULL)};
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(client->fd >= 0);
    CHECK(setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
    CHECK(connect(client->fd, (const struct sockaddr *)&address, sizeof address) == 0);
    CHECK(g_unix_set_fd_nonblocking(client->fd, TRUE, NULL));
}

static void client_send(Client *client)
{
    const char *data = client->out->str;
    size_t left = client->out->len;

    /* What is sent has NULs in it, and comes in pieces. */
    g_string_append_len(client->said, data, (gssize)left);
    client->sent_head = memmem(client->said->str, client->said->len, "HEAD", 4) != NULL;
    while (left > 0 && client->fd >= 0 && !client->over) {
        const ssize_t sent = send(client->fd, data, left, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno != EAGAIN) {
            client->may_cut = true;
            break;
        }
        if (sent > 0) {
            data += sent;
            left -= (size_t)sent;
        }
        if (left > 0)
            settle();
    }
    g_string_truncate(client->out, 0);
}

/* ---- what is heard ------------------------------------------------------------------------- */

static bool is_header(const char *line, size_t size)
{
    const char *colon = memchr(line, ':', size);

    if (!colon || colon == line || (size_t)(colon - line) + 2 > size || colon[1] != ' ')
        return false;
    for (const char *c = line; c < line + size; c++)
        if (g_ascii_iscntrl(*c) || (c < colon && *c == ' '))
            return false;
    return true;
}

/** Checks a head up to and with the empty line. @return the Content-Length, −1 without one */
static gint64 check_head(const char *head, const char *end, unsigned *status)
{
    gint64 length = -1;

    CHECK(g_str_has_prefix(head, "HTTP/1.1 ") || g_str_has_prefix(head, "HTTP/1.0 "));
    *status = (unsigned)g_ascii_strtoull(head + strlen("HTTP/1.1 "), NULL, 10);
    CHECK(*status >= 100 && *status <= 599);
    CHECK(head[strlen("HTTP/1.1 200")] == ' ');
    for (const char *line = strstr(head, "\r\n") + 2; line < end - 2;) {
        const char *next = strstr(line, "\r\n");

        CHECK(is_header(line, (size_t)(next - line)));
        if (g_ascii_strncasecmp(line, "Content-Length: ", 16) == 0)
            length = g_ascii_strtoll(line + 16, NULL, 10);
        line = next + 2;
    }
    return length;
}

/** @return bytes of the answer at the beginning of @a text; 0 if it is not complete */
static size_t check_answer(const Client *client, const char *text, size_t size)
{
    const char *empty = strstr(text, "\r\n\r\n");
    unsigned status;

    if (!empty)
        return 0;

    const size_t head = (size_t)(empty - text) + 4;
    const gint64 length = check_head(text, text + head, &status);

    if (status < 200)
        return head;
    CHECK(length >= 0);
    /* libmicrohttpd 0.9.75 writes the head of some of its own refusals twice (a Content-Length that
     * is none does it). Who sends such a request gets nothing better. */
    if (status >= 400 && size >= 2 * head && memcmp(text, text + head, head) == 0)
        return head;
    /* Of an answer to HEAD there is the head only. */
    if (client->sent_head && (size == head || g_str_has_prefix(text + head, "HTTP/1.")))
        return head;
    if (size - head < (size_t)length)
        return 0;
    CHECK(status != 200 ||
          (length % (gint64)strlen(BODY) == 0 && g_str_has_prefix(text + head, BODY)));
    return head + (size_t)length;
}

/** @return how many answers there are */
static unsigned check_heard(const Client *client)
{
    size_t at = 0;
    unsigned count = 0;

    CHECK(strlen(client->in->str) == client->in->len);
    while (at < client->in->len) {
        const size_t size = check_answer(client, client->in->str + at, client->in->len - at);

        CHECK(size > 0 || client->may_cut);
        if (size == 0)
            break;
        at += size;
        count++;
    }
    return count;
}

static void client_close(Client *client)
{
    if (client->fd < 0)
        return;
    receive(client);
    close(client->fd);
    client->fd = -1;
    (void)check_heard(client);
    g_string_free(client->in, TRUE);
    g_string_free(client->out, TRUE);
    g_string_free(client->said, TRUE);
}

static void check_service(void)
{
    Client *client = &clients[CLIENTS - 1];

    client_close(client);
    client_open(client);
    g_string_append(client->out, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    client_send(client);
    for (unsigned n = 0; client->in->len == 0 && n < 100; n++)
        settle();
    CHECK(g_str_has_prefix(client->in->str, "HTTP/1.1 200 OK\r\n"));
    CHECK(check_heard(client) == 1);
    client_close(client);
}

/* ---- commands ------------------------------------------------------------------------------ */

static void do_flush(void)
{
    client_send(current);
    settle();
}

static void do_send(void)
{
    client_send(current);
}

static void do_half_close(void)
{
    client_send(current);
    (void)shutdown(current->fd, SHUT_WR);
    settle();
}

static void do_reset(void)
{
    client_send(current);
    client_close(current);
    client_open(current);
}

static void do_next(void)
{
    client_send(current);
    current = current == &clients[CLIENTS - 2] ? clients : current + 1;
    if (current->fd < 0)
        client_open(current);
}

static void pass(gint64 us)
{
    settle();
    offset += us;
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i].may_cut = true;
    web_run(web, g_get_monotonic_time() + offset);
    settle();
}

static void do_pass_9_s(void)
{
    client_send(current);
    pass(9 * G_USEC_PER_SEC);
}

static void do_pass_200_s(void)
{
    client_send(current);
    pass(200 * G_USEC_PER_SEC);
}

static void do_long(void)
{
    for (int i = 0; i < LONG_PIECE; i++)
        g_string_append_c(current->out, 'a');
}

static void do_good(void)
{
    g_string_append(current->out, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
}

static void do_much(void)
{
    g_string_append(current->out, "GET /much HTTP/1.1\r\nHost: x\r\n\r\n");
}

static void (*const commands[])(void) = {do_flush, do_send,     do_half_close, do_reset,
                                         do_next,  do_pass_9_s, do_pass_200_s, do_long,
                                         do_good,  do_much};

static void run(Script *script)
{
    unsigned parts = 0;

    while (script->size > 0 && parts < MAX_PARTS) {
        const uint8_t byte = script_byte(script);

        if (byte == COMMAND) {
            commands[script_byte(script) % G_N_ELEMENTS(commands)]();
            parts++;
        } else if (current->out->len < MAX_PIECE) {
            g_string_append_c(current->out, (char)byte);
        }
    }
    do_flush();
}

static int lowest_free_descriptor(void)
{
    const int fd = dup(STDERR_FILENO);

    CHECK(fd >= 0);
    close(fd);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Script script = {data, size};
    const int lowest = lowest_free_descriptor();
    static bool warmed;

    web = web_new(routes, NULL);
    offset = 0;
    listen_on_loopback();
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i].fd = -1;
    current = clients;
    client_open(current);
    run(&script);
    check_service();
    for (unsigned i = 0; i < CLIENTS; i++)
        client_close(&clients[i]);
    settle();
    CHECK(web->connections->len == 0);
    web_free(web);
    /* The main context has made one of its own by the first run. */
    CHECK(!warmed || lowest_free_descriptor() == lowest);
    warmed = true;
    return 0;
}
