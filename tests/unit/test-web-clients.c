/* SPDX-License-Identifier: MIT */
/*
 * Slow, greedy and broken clients of the web server, none of which may keep anybody else out. Time
 * is made to pass with pass_time().
 */
#include "test-web-client.h"

#include <netinet/tcp.h>
#include <sys/resource.h>

#define PART_OF_A_REQUEST "GET /hello HTTP/1.1\r\nHost: test\r\nX-Part: "

/** A byte now and then does not move the deadline of a request. */
static void test_dripping_request(Fixture *f, gconstpointer data)
{
    gint64 before = g_get_monotonic_time();
    Client *slow = client_new(f);
    gint64 due;

    (void)data;
    client_send(slow, PART_OF_A_REQUEST);
    settle();
    due = g_source_get_ready_time(f->web->source);
    g_assert_cmpint(due - before, >=, WEB_REQUEST_US);
    g_assert_cmpint(due, <=, g_get_monotonic_time() + WEB_REQUEST_US);
    for (int i = 0; i < 100; i++) {
        client_send(slow, "x");
        settle();
        g_assert_cmpint(g_source_get_ready_time(f->web->source), ==, due);
    }
    client_send(slow, "\r\nContent-Length: 5\r\n\r\n"); /* nor do complete headers */
    settle();
    g_assert_cmpint(g_source_get_ready_time(f->web->source), ==, due);
    expect_service(f);

    web_run(f->web, due - 1);
    settle();
    g_assert_false(slow->over);
    web_run(f->web, due);
    settle();
    g_assert_true(slow->over);
    g_assert_cmpuint(slow->in->len, ==, 0);
    expect_service(f);
}

/** qemu-user answers TCP_INFO with its first 4 bytes, from which no new byte can be seen. */
static gboolean counts_received_bytes(const Fixture *f)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;

    g_assert_no_errno(getsockopt(f->listener, IPPROTO_TCP, TCP_INFO, &info, &size));
    if (size >= sizeof info)
        return TRUE;
    g_test_skip("TCP_INFO is cut off");
    return FALSE;
}

/** The same on a connection that was kept: idle for minutes, but not once a byte has come. */
static void test_dripping_second_request(Fixture *f, gconstpointer data)
{
    Client *slow = client_new(f);
    gint64 before;

    (void)data;
    if (!counts_received_bytes(f))
        return;
    client_expect(slow, GET_HELLO, 200);
    settle();
    g_assert_cmpint(wakes_after(f, g_get_monotonic_time()), >, WEB_REQUEST_US);
    before = g_get_monotonic_time();
    client_send(slow, "G");
    settle();
    g_assert_cmpint(wakes_after(f, before), >=, WEB_REQUEST_US);
    g_assert_cmpint(wakes_after(f, g_get_monotonic_time()), <=, WEB_REQUEST_US);
    client_send(slow, "E");
    settle();
    g_assert_cmpint(wakes_after(f, g_get_monotonic_time()), <=, WEB_REQUEST_US);
    pass_time(f, WEB_REQUEST_US);
    g_assert_true(slow->over);
}

/** A second request that is in time is answered, and the connection is idle again. */
static void test_second_request_in_pieces(Fixture *f, gconstpointer data)
{
    Client *client = client_new(f);

    (void)data;
    client_expect(client, GET_HELLO, 200);
    client_send(client, PART_OF_A_REQUEST);
    settle();
    client_expect(client, "\r\n\r\n", 200);
    settle();
    g_assert_cmpint(wakes_after(f, g_get_monotonic_time()), >, WEB_REQUEST_US);
}

/** What came together with the request before is not seen as a new byte, but by its headers. */
static void test_second_request_without_end(Fixture *f, gconstpointer data)
{
    Client *client = client_new(f);

    (void)data;
    client_expect(client,
                  GET_HELLO "POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\n", 200);
    settle();
    g_assert_cmpint(wakes_after(f, g_get_monotonic_time()), <=, WEB_REQUEST_US);
}

/** Whoever came first, the server wakes for the nearest deadline. */
static void test_nearest_deadline(Fixture *f, gconstpointer data)
{
    Client *idle = client_new(f), *silent, *later;

    (void)data;
    client_expect(idle, GET_HELLO, 200);
    silent = client_new(f);
    settle();
    g_assert_cmpint(wakes_after(f, g_get_monotonic_time()), <=, WEB_REQUEST_US);
    later = client_new(f);
    client_expect(later, GET_HELLO, 200);
    settle();
    g_assert_cmpint(wakes_after(f, g_get_monotonic_time()), <=, WEB_REQUEST_US);
    pass_time(f, WEB_REQUEST_US);
    g_assert_true(silent->over);
    g_assert_false(idle->over || later->over);
}

static void test_silent(Fixture *f, gconstpointer data)
{
    Client *silent = client_new(f);

    (void)data;
    settle();
    pass_time(f, WEB_REQUEST_US);
    g_assert_true(silent->over);
    g_assert_cmpint(wakes_after(f, 0), ==, -1);
}

static void test_idle_for_long(Fixture *f, gconstpointer data)
{
    Client *idle = client_new(f);

    (void)data;
    client_expect(idle, GET_HELLO, 200);
    settle();
    pass_time(f, WEB_IDLE_US - 60 * G_USEC_PER_SEC);
    client_expect(idle, GET_HELLO, 200);
    settle();
    pass_time(f, WEB_IDLE_US + 60 * G_USEC_PER_SEC);
    g_assert_true(idle->over);
}

/** A body without end is read and dropped, but not for ever. */
static void test_endless_body(Fixture *f, gconstpointer data)
{
    Client *greedy = client_new(f);

    (void)data;
    client_send(greedy, "POST /hello HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 1000; i++)
        client_send(greedy, "10\r\n0123456789abcdef\r\n");
    settle();
    expect_service(f);
    pass_time(f, WEB_REQUEST_US);
    g_assert_true(greedy->over);
}

/** Asks for much and takes nothing. */
static void test_slow_reader(Fixture *f, gconstpointer data)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(f->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    Client *slow = client_new_mute(f, (struct sockaddr *)&address, sizeof address);

    (void)data;
    client_send(slow, "GET /big HTTP/1.1\r\nHost: test\r\n\r\n");
    settle();
    g_assert_cmpuint(f->handled, ==, 1);
    expect_service(f);
    settle();
    g_assert_cmpuint(connections_count(f->web->connections), ==, 2);

    pass_time(f, WEB_REQUEST_US);
    g_assert_cmpuint(connections_count(f->web->connections), ==, 1);
    client_start_reading(slow);
    wait_until_over(slow);
    g_assert_true(slow->reset); /* what the kernel still had to send has been given up too */
}

/** Far more connections than are kept: the kept scraper stays, and a new one is served at once. */
static void test_crowd(Fixture *f, gconstpointer data)
{
    Client *scraper = client_new(f);
    Client *crowd[200];
    guint open = 0;

    (void)data;
    client_expect(scraper, GET_HELLO, 200);
    for (guint i = 0; i < G_N_ELEMENTS(crowd); i++)
        crowd[i] = client_new(f);
    settle();
    g_assert_cmpuint(f->web->connections->len, ==, WEB_CONNECTIONS_MAX);
    for (guint i = 0; i < G_N_ELEMENTS(crowd); i++)
        open += crowd[i]->over ? 0 : 1;
    g_assert_cmpuint(open, ==, WEB_CONNECTIONS_MAX - 1);
    g_assert_true(crowd[0]->over); /* the oldest have gone */
    g_assert_false(crowd[G_N_ELEMENTS(crowd) - 1]->over);

    client_expect(scraper, GET_HELLO, 200);
    expect_service(f);
    g_assert_cmpuint(f->handled, ==, 3);
}

/** All of them have been answered: the one that has been idle for longest makes room. */
static void test_crowd_of_scrapers(Fixture *f, gconstpointer data)
{
    Client *crowd[WEB_CONNECTIONS_MAX];

    (void)data;
    for (guint i = 0; i < G_N_ELEMENTS(crowd); i++) {
        crowd[i] = client_new(f);
        client_expect(crowd[i], GET_HELLO, 200);
    }
    client_expect(crowd[0], GET_HELLO, 200);
    expect_service(f);
    settle();
    for (guint i = 0; i < G_N_ELEMENTS(crowd); i++)
        g_assert_cmpint(crowd[i]->over, ==, i == 1);
}

/** A crowd that asks all at once, at two doors, and more of it than are kept, is served whole. */
static void test_rush(Fixture *f, gconstpointer data)
{
    Client *crowd[3 * WEB_CONNECTIONS_MAX];
    guint16 ports[] = {f->port, 0};
    int second;

    (void)data;
    second = listen_on_loopback(AF_INET, &ports[1]);
    g_assert_true(web_take_socket(f->web, second, NULL));
    for (guint i = 0; i < G_N_ELEMENTS(crowd); i++) {
        f->port = ports[i % 2];
        crowd[i] = client_new(f);
        g_assert_cmpint(send(crowd[i]->fd, GET_HELLO, strlen(GET_HELLO), 0), >, 0);
    }
    for (guint i = 0; i < G_N_ELEMENTS(crowd); i++) {
        g_auto(Answer) answer = {0};

        client_answer(crowd[i], FALSE, &answer);
        g_assert_cmpuint(answer.status, ==, 200);
    }
}

static void test_header_bombs(Fixture *f, gconstpointer data)
{
    g_autofree char *filler = g_strnfill(1024 * 1024, 'h');
    g_autofree char *long_header =
        g_strdup_printf("GET /hello HTTP/1.1\r\nHost: test\r\nX: %s\r\n\r\n", filler);
    g_autofree char *long_path = g_strdup_printf("GET /%s HTTP/1.1\r\nHost: test\r\n\r\n", filler);
    g_autofree char *long_method =
        g_strdup_printf("%s /hello HTTP/1.1\r\nHost: test\r\n\r\n", filler);
    GString *many = g_string_new("GET /hello HTTP/1.1\r\nHost: test\r\n");
    const char *const bombs[] = {long_header, long_path, long_method, many->str};

    (void)data;
    for (int i = 0; i < 20000; i++)
        g_string_append_printf(many, "X%d: y\r\n", i);
    g_string_append(many, "\r\n");
    for (guint i = 0; i < G_N_ELEMENTS(bombs); i++) {
        Client *client = client_new(f);

        client_send(client, i == 3 ? many->str : bombs[i]);
        wait_until_over(client);
        g_assert_cmpuint(f->handled, ==, i);
        expect_service(f);
    }
    g_string_free(many, TRUE);
}

static void test_garbage(Fixture *f, gconstpointer data)
{
    static const char *const texts[] = {
        "\r\n\r\n\r\n\r\n",
        "hello\r\n\r\n",
        "GET\r\n\r\n",
        "GET /hello\r\n\r\n",
        "GET /hello HTTP/9.9\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: test\r\nContent-Length: -1\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 99999999999999999999999999\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET /hello HTTP/1.1\r\nHost: test\r\n: nameless\r\n folded\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x02\x01\x01\xfc\x03\x03",
    };

    (void)data;
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        client_send(client_new(f), texts[i]);
        settle();
    }
    for (int round = 0; round < 50; round++) {
        char bytes[512];

        for (guint i = 0; i < sizeof bytes; i++)
            bytes[i] = (char)g_test_rand_int_range(0, 256);
        client_send_bytes(client_new(f), bytes, sizeof bytes);
        settle();
    }
    expect_service(f);
    pass_time(f, WEB_IDLE_US);
    g_assert_cmpuint(f->web->connections->len, ==, 0);
}

/** Clients that go away at every point of a request. */
static void test_broken_off(Fixture *f, gconstpointer data)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    static const char request[] = "GET /big HTTP/1.1\r\nHost: test\r\n\r\n";

    (void)data;
    for (size_t size = 0; size < sizeof request; size++) {
        Client *client = client_new(f);

        if (size % 2 != 0)
            setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        client_send_bytes(client, request, size);
        if (size % 3 != 0)
            settle();
        client_close(client);
        settle();
        g_assert_cmpuint(f->web->connections->len, ==, 0);
    }
    expect_service(f);
}

/** valgrind keeps RLIMIT_NOFILE itself, after the fact: accept4(2) has taken the connection then.
 */
static gboolean limit_is_real(void)
{
    const char *preload = g_getenv("LD_PRELOAD");

    if (preload == NULL || strstr(preload, "vgpreload") == NULL)
        return TRUE;
    g_test_skip("valgrind");
    return FALSE;
}

/** Without a descriptor for the next connection the server rests instead of trying on and on. */
static void test_no_descriptors(Fixture *f, gconstpointer data)
{
    struct rlimit limit, low;
    Client *client = client_new(f);
    gint64 before = g_get_monotonic_time();
    int next = dup(client->fd);

    (void)data;
    close(next);
    if (!limit_is_real())
        return;
    g_assert_no_errno(getrlimit(RLIMIT_NOFILE, &limit));
    low = limit;
    low.rlim_cur = (rlim_t)next;
    g_assert_no_errno(setrlimit(RLIMIT_NOFILE, &low));
    settle(); /* does not return if it spins */
    g_assert_cmpint(wakes_after(f, before), >=, WEB_ACCEPT_PAUSE_US);
    g_assert_cmpuint(f->web->connections->len, ==, 0);
    pass_time(f, WEB_ACCEPT_PAUSE_US); /* still none */
    g_assert_cmpint(wakes_after(f, before), >, WEB_ACCEPT_PAUSE_US);

    g_assert_no_errno(setrlimit(RLIMIT_NOFILE, &limit));
    pass_time(f, 3 * WEB_ACCEPT_PAUSE_US);
    client_expect(client, GET_HELLO, 200);
}

/** With connections open, one of them is given up for the new one. */
static void test_last_descriptor(Fixture *f, gconstpointer data)
{
    struct rlimit limit, low;
    Client *silent = client_new(f), *client;
    int next;

    (void)data;
    settle();
    client = client_new(f);
    if (!limit_is_real())
        return;
    next = dup(client->fd);
    close(next);
    g_assert_no_errno(getrlimit(RLIMIT_NOFILE, &limit));
    low = limit;
    low.rlim_cur = (rlim_t)next;
    g_assert_no_errno(setrlimit(RLIMIT_NOFILE, &low));
    settle(); /* no waiting, neither for the pause's end nor for a deadline */
    g_assert_no_errno(setrlimit(RLIMIT_NOFILE, &limit));
    g_assert_true(silent->over);
    g_assert_cmpuint(f->web->connections->len, ==, 1);
    client_expect(client, GET_HELLO, 200);
}

/** Of few descriptors clients get some, and the rest of the program keeps the others. */
static void test_few_descriptors(Fixture *f, gconstpointer data)
{
    struct rlimit limit, low;
    guint16 port = 0;
    int second = listen_on_loopback(AF_INET, &port), next;
    Client *crowd[10];

    (void)data;
    g_assert_cmpuint(f->web->room, ==, WEB_CONNECTIONS_MAX);
    for (guint i = 0; i < G_N_ELEMENTS(crowd); i++)
        crowd[i] = client_new(f);
    next = dup(second);
    close(next);
    g_assert_no_errno(getrlimit(RLIMIT_NOFILE, &limit));
    low = limit;
    low.rlim_cur = (rlim_t)(next + WEB_DESCRIPTORS_FOR_OTHERS + 3);
    g_assert_no_errno(setrlimit(RLIMIT_NOFILE, &low));
    g_assert_true(web_take_socket(f->web, second, NULL));
    g_assert_cmpuint(f->web->room, ==, 3);
    settle();
    g_assert_no_errno(setrlimit(RLIMIT_NOFILE, &limit));
    g_assert_cmpuint(f->web->connections->len, ==, 3);
    g_assert_true(crowd[G_N_ELEMENTS(crowd) - 4]->over);
    g_assert_false(crowd[G_N_ELEMENTS(crowd) - 3]->over);
}

/** Where not even one is left, there is an error instead of a server that serves nobody. */
static void test_no_room(Fixture *f, gconstpointer data)
{
    struct rlimit limit, low;
    guint16 port = 0;
    int second = listen_on_loopback(AF_INET, &port);
    g_autoptr(GError) error = NULL;

    (void)data;
    g_assert_no_errno(getrlimit(RLIMIT_NOFILE, &limit));
    low = limit;
    low.rlim_cur = (rlim_t)(second + 1 + WEB_DESCRIPTORS_FOR_OTHERS);
    g_assert_no_errno(setrlimit(RLIMIT_NOFILE, &low));
    g_assert_false(web_take_socket(f->web, second, &error));
    g_assert_no_errno(setrlimit(RLIMIT_NOFILE, &limit));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES);
}

/** A listening socket that is dead is left alone; it would stay readable for ever. */
static void test_dead_listener(Fixture *f, gconstpointer data)
{
    guint16 port = 0;
    int other = listen_on_loopback(AF_INET, &port);

    (void)data;
    g_assert_true(web_take_socket(f->web, other, NULL));
    g_assert_no_errno(shutdown(f->listener, SHUT_RDWR));
    settle();
    f->port = port;
    expect_service(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD_TEST("/web/clients/dripping-request", test_dripping_request);
    ADD_TEST("/web/clients/dripping-second-request", test_dripping_second_request);
    ADD_TEST("/web/clients/second-request-in-pieces", test_second_request_in_pieces);
    ADD_TEST("/web/clients/second-request-without-end", test_second_request_without_end);
    ADD_TEST("/web/clients/nearest-deadline", test_nearest_deadline);
    ADD_TEST("/web/clients/silent", test_silent);
    ADD_TEST("/web/clients/idle-for-long", test_idle_for_long);
    ADD_TEST("/web/clients/endless-body", test_endless_body);
    ADD_TEST("/web/clients/slow-reader", test_slow_reader);
    ADD_TEST("/web/clients/crowd", test_crowd);
    ADD_TEST("/web/clients/crowd-of-scrapers", test_crowd_of_scrapers);
    ADD_TEST("/web/clients/rush", test_rush);
    ADD_TEST("/web/clients/header-bombs", test_header_bombs);
    ADD_TEST("/web/clients/garbage", test_garbage);
    ADD_TEST("/web/clients/broken-off", test_broken_off);
    ADD_TEST("/web/clients/no-descriptors", test_no_descriptors);
    ADD_TEST("/web/clients/last-descriptor", test_last_descriptor);
    ADD_TEST("/web/clients/few-descriptors", test_few_descriptors);
    ADD_TEST("/web/clients/no-room", test_no_room);
    ADD_TEST("/web/clients/dead-listener", test_dead_listener);
    return g_test_run();
}
