/* SPDX-License-Identifier: MIT */
/*
 * What well-behaved clients get from the web server: answers, headers, kept connections, sockets.
 */
#include "test-web-client.h"

#include <fcntl.h>
#include <sys/un.h>

static void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        g_error("no \"%s\" in:\n%s", part, text);
}

static void test_get(Fixture *f, gconstpointer data)
{
    Client *client = client_new(f);
    g_auto(Answer) answer = {0};

    (void)data;
    client_send(client, "GET /hello HTTP/1.1\r\nHost: test\r\nAccept: text/fancy;q=1\r\n\r\n");
    client_answer(client, FALSE, &answer);
    g_assert_cmpuint(answer.status, ==, 200);
    g_assert_cmpstr(answer.body->str, ==, "hello text/fancy;q=1\n");
    assert_contains(answer.head, "\r\nContent-Type: text/plain; charset=utf-8\r\n");
    assert_contains(answer.head, "\r\nX-Content-Type-Options: nosniff\r\n");
    assert_contains(answer.head, "\r\nCache-Control: no-store\r\n");
    client_expect(client, "GET /failure HTTP/1.1\r\nHost: test\r\n\r\n", 503);
}

static void test_head(Fixture *f, gconstpointer data)
{
    Client *client = client_new(f);
    g_auto(Answer) answer = {0};

    (void)data;
    client_send(client, "HEAD /big HTTP/1.1\r\nHost: test\r\n\r\n");
    client_answer(client, TRUE, &answer);
    g_assert_cmpuint(answer.status, ==, 200);
    assert_contains(answer.head, "\r\nContent-Length: 16777216\r\n");
    assert_contains(answer.head, "\r\nContent-Type: application/x-big\r\n");
    /* Were there a body, it would be in the way here. */
    client_expect(client, GET_HELLO, 200);
}

static void test_big(Fixture *f, gconstpointer data)
{
    Client *client = client_new(f);
    g_auto(Answer) answer = {0};

    (void)data;
    client_send(client, "GET /big HTTP/1.1\r\nHost: test\r\n\r\n");
    client_answer(client, FALSE, &answer);
    g_assert_cmpuint(answer.body->len, ==, BIG_BODY_BYTES);
    g_assert_cmpuint(strspn(answer.body->str, "x"), ==, BIG_BODY_BYTES);
    client_expect(client, GET_HELLO, 200);
}

static void test_keep_alive(Fixture *f, gconstpointer data)
{
    Client *client = client_new(f);

    (void)data;
    for (int i = 0; i < 5; i++)
        client_expect(client, GET_HELLO, 200);
    g_assert_cmpuint(f->handled, ==, 5);
    g_assert_cmpuint(connections_count(f->web->connections), ==, 1);

    client_expect(client, "GET /hello HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", 200);
    wait_until_over(client);
    settle();
    g_assert_cmpuint(f->web->connections->len, ==, 0);
}

static void test_http_1_0(Fixture *f, gconstpointer data)
{
    Client *client = client_new(f);

    (void)data;
    client_expect(client, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200);
    client_expect(client, "GET /hello HTTP/1.0\r\n\r\n", 200);
    wait_until_over(client);
}

static void test_pipelined(Fixture *f, gconstpointer data)
{
    Client *client = client_new(f);
    static const char *const bodies[] = {"hello 1\n", "hello 2\n", "hello 3\n"};

    (void)data;
    client_send(client, "GET /hello HTTP/1.1\r\nHost: test\r\nAccept: 1\r\n\r\n"
                        "GET /hello HTTP/1.1\r\nHost: test\r\nAccept: 2\r\n\r\n"
                        "GET /hello HTTP/1.1\r\nHost: test\r\nAccept: 3\r\n\r\n");
    for (guint i = 0; i < G_N_ELEMENTS(bodies); i++) {
        g_auto(Answer) answer = {0};

        client_answer(client, FALSE, &answer);
        g_assert_cmpstr(answer.body->str, ==, bodies[i]);
    }
}

/** nc(1) does this: says that nothing more will come, and then waits for the answer. */
static void test_half_closed(Fixture *f, gconstpointer data)
{
    Client *client = client_new(f);
    g_auto(Answer) answer = {0};

    (void)data;
    g_assert_no_errno((int)send(client->fd, GET_HELLO, strlen(GET_HELLO), MSG_NOSIGNAL));
    shutdown(client->fd, SHUT_WR);
    client_answer(client, FALSE, &answer);
    g_assert_cmpuint(answer.status, ==, 200);
    wait_until_over(client);
}

static void test_paths(Fixture *f, gconstpointer data)
{
    static const struct {
        const char *path;
        guint status;
    } cases[] = {
        {"/hello?a=b&c", 200},
        {"/hello?", 200},
        {"/h%65llo", 200},
        {"/", 404},
        {"/hello/", 404},
        {"/Hello", 404},
        {"//hello", 404},
        {"/hello/../hello", 404},
        {"*", 404},
        {"/hell%00o", 404},
        {"/hello%00", 404},
        {"hello", 404},
    };
    Client *client = client_new(f);
    g_auto(Answer) answer = {0};

    (void)data;
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *request =
            g_strdup_printf("GET %s HTTP/1.1\r\nHost: test\r\n\r\n", cases[i].path);

        g_test_message("%s", cases[i].path);
        client_expect(client, request, cases[i].status);
    }
    client_send(client, "GET /nowhere HTTP/1.1\r\nHost: test\r\n\r\n");
    client_answer(client, FALSE, &answer);
    g_assert_cmpstr(answer.body->str, ==, "Not found. This server has:\n/hello\n/big\n/failure\n");
}

static void test_methods(Fixture *f, gconstpointer data)
{
    static const char *const others[] = {"PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get", "X"};
    Client *client = client_new(f);

    (void)data;
    for (guint i = 0; i < G_N_ELEMENTS(others); i++) {
        g_auto(Answer) answer = {0};
        g_autofree char *request =
            g_strdup_printf("%s /hello HTTP/1.1\r\nHost: test\r\n\r\n", others[i]);

        client_send(client, request);
        client_answer(client, FALSE, &answer);
        g_assert_cmpuint(answer.status, ==, 405);
        assert_contains(answer.head, "\r\nAllow: GET, HEAD\r\n");
    }
    client_expect(client, "PUT /nowhere HTTP/1.1\r\nHost: test\r\n\r\n", 404);
    g_assert_cmpuint(f->handled, ==, 0);
}

/** A body, sized or chunked, is read to its end so that the connection can be used again. */
static void test_request_body(Fixture *f, gconstpointer data)
{
    static const size_t size = 200 * 1000;
    Client *client = client_new(f);
    g_autofree char *body = g_strnfill(size, 'b');
    g_autofree char *sized = g_strdup_printf(
        "POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: %zu\r\n\r\n%s", size, body);
    g_autofree char *chunked =
        g_strdup_printf("GET /hello HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: "
                        "chunked\r\n\r\n%zx\r\n%s\r\n0\r\n\r\n",
                        size, body);

    (void)data;
    client_expect(client, sized, 405);
    client_expect(client, chunked, 200);
    client_expect(client, GET_HELLO, 200);
    g_assert_cmpuint(f->handled, ==, 2);
}

/** curl does this with big bodies, and waits for the go-ahead. */
static void test_expect_continue(Fixture *f, gconstpointer data)
{
    Client *client = client_new(f);

    (void)data;
    client_send(client, "POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n"
                        "Expect: 100-continue\r\n\r\n");
    while (strstr(client->in->str, "HTTP/1.1 100 Continue\r\n\r\n") == NULL)
        g_main_context_iteration(NULL, TRUE);
    g_string_truncate(client->in, 0);
    client_expect(client, "12345", 405);
}

static void test_ipv6_too(Fixture *f, gconstpointer data)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    guint16 port = 0;
    int fd = listen_on_loopback(AF_INET6, &port);
    Client *client;

    (void)data;
    if (fd < 0) {
        g_test_skip("no IPv6 here");
        return;
    }
    g_assert_true(web_take_socket(f->web, fd, NULL));
    address.sin6_port = htons(port);
    client = client_new_mute(f, (struct sockaddr *)&address, sizeof address);
    client_start_reading(client);
    client_expect(client, GET_HELLO, 200);
    expect_service(f);
}

/** systemd can hand over a Unix socket; there is no TCP_INFO then. */
static void test_unix_socket(Fixture *f, gconstpointer data)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t size = sizeof(sa_family_t);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    Client *client;

    (void)data;
    g_assert_no_errno(bind(fd, (struct sockaddr *)&address, size)); /* the kernel names it */
    g_assert_no_errno(listen(fd, 5));
    size = sizeof address;
    g_assert_no_errno(getsockname(fd, (struct sockaddr *)&address, &size));
    g_assert_true(web_take_socket(f->web, fd, NULL));
    client = client_new_mute(f, (struct sockaddr *)&address, size);
    client_start_reading(client);
    client_expect(client, GET_HELLO, 200);
    client_expect(client, GET_HELLO, 200);
}

static void test_taken_socket(Fixture *f, gconstpointer data)
{
    (void)data;
    g_assert_cmpint(fcntl(f->listener, F_GETFD) & FD_CLOEXEC, !=, 0);
    g_assert_cmpint(fcntl(f->listener, F_GETFL) & O_NONBLOCK, !=, 0);
}

static void test_refused_sockets(Fixture *f, gconstpointer data)
{
    int pipes[2];
    int bad[5];

    (void)data;
    g_assert_no_errno(pipe(pipes));
    close(pipes[1]);
    bad[0] = pipes[0];
    bad[1] = socket(AF_INET, SOCK_DGRAM, 0);
    bad[2] = socket(AF_INET, SOCK_STREAM, 0); /* does not listen */
    bad[3] = pipes[1];                        /* closed */
    bad[4] = -1;
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(web_take_socket(f->web, bad[i], &error));
        g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
        assert_contains(error->message, "is not a listening stream socket");
        g_assert_cmpint(fcntl(bad[i], F_GETFD), ==, -1); /* closed, as it was handed over */
    }
    expect_service(f);
}

static void test_listen(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *address = NULL;
    guint16 port = 0;

    (void)data;
    do { /* until nobody else takes the port first */
        close(listen_on_loopback(AF_INET, &port));
        g_free(address);
        address = g_strdup_printf("127.0.0.1:%u", port);
        g_clear_error(&error);
        web_listen(f->web, address, &error);
    } while (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE));
    g_assert_no_error(error);
    f->port = port;
    expect_service(f);
    g_assert_false(web_listen(f->web, address, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE);
    expect_service(f);
}

/** With one kept connection the server sleeps until that one's deadline; without, for ever. */
static void test_idle(Fixture *f, gconstpointer data)
{
    Client *client = client_new(f);
    gint64 before = g_get_monotonic_time();

    (void)data;
    g_assert_cmpint(wakes_after(f, before), ==, -1);
    client_expect(client, GET_HELLO, 200);
    settle();
    g_assert_false(g_main_context_pending(NULL));
    g_assert_cmpint(wakes_after(f, before), >=, WEB_IDLE_US);
    g_assert_cmpint(wakes_after(f, g_get_monotonic_time()), <=, WEB_IDLE_US);

    client_close(client);
    settle();
    g_assert_cmpint(wakes_after(f, before), ==, -1);
}

static void test_free(Fixture *f, gconstpointer data)
{
    Client *idle = client_new(f), *fresh = client_new(f);
    Web *unused = web_new(test_routes, NULL);

    (void)data;
    client_expect(idle, GET_HELLO, 200);
    client_send(fresh, "GET /hel");
    web_free(g_steal_pointer(&f->web));
    wait_until_over(idle);
    wait_until_over(fresh);
    web_free(unused);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD_TEST("/web/get", test_get);
    ADD_TEST("/web/head", test_head);
    ADD_TEST("/web/big", test_big);
    ADD_TEST("/web/keep-alive", test_keep_alive);
    ADD_TEST("/web/http-1.0", test_http_1_0);
    ADD_TEST("/web/pipelined", test_pipelined);
    ADD_TEST("/web/half-closed", test_half_closed);
    ADD_TEST("/web/paths", test_paths);
    ADD_TEST("/web/methods", test_methods);
    ADD_TEST("/web/request-body", test_request_body);
    ADD_TEST("/web/expect-continue", test_expect_continue);
    ADD_TEST("/web/ipv6-too", test_ipv6_too);
    ADD_TEST("/web/unix-socket", test_unix_socket);
    ADD_TEST("/web/taken-socket", test_taken_socket);
    ADD_TEST("/web/refused-sockets", test_refused_sockets);
    ADD_TEST("/web/listen", test_listen);
    ADD_TEST("/web/idle", test_idle);
    ADD_TEST("/web/free", test_free);
    return g_test_run();
}
