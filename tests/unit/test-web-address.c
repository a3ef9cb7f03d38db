/* SPDX-License-Identifier: MIT */
/*
 * Listen addresses: what is accepted, what is said about the rest, and which sockets come of it.
 */
#include "web/web-private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void test_good(void)
{
    static const char *const good[] = {
        ":8000",
        ":1",
        ":65535",
        "127.0.0.1:8000",
        "0.0.0.0:80",
        "[::1]:8000",
        "[::]:8000",
        "localhost:8000",
        "LocalHost:8000",
        "[fe80::1%lo]:8000",
        "192.168.1.2:443",
        ":08000",
        "[::ffff:1.2.3.4]:1",
    };

    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(GError) error = NULL;

        g_test_message("%s", good[i]);
        g_assert_true(web_check_address(good[i], &error));
        g_assert_no_error(error);
    }
}

static void test_bad(void)
{
    static const struct {
        const char *address;
        const char *message;
    } bad[] = {
        {"", "\"\": the port is missing, as in \":8000\""},
        {"8000", "\"8000\": a port alone is written with a colon: \":8000\""},
        {"127.0.0.1", "\"127.0.0.1\": the port is missing, as in \"127.0.0.1:8000\""},
        {"[::1]", "\"[::1]\": the port is missing, as in \"[::1]:8000\""},
        {"localhost:", "\"localhost:\": the port is missing after the colon"},
        {":70000", "\":70000\": port 70000 is out of range (1 to 65535)"},
        {":0", "\":0\": port 0 is out of range (1 to 65535)"},
        {":99999999999999999999999",
         "\":99999999999999999999999\": port 99999999999999999999999 is out of range (1 to 65535)"},
        {":-1", "\":-1\": port \"-1\" is not a number"},
        {":+1", "\":+1\": port \"+1\" is not a number"},
        {": 1", "\": 1\": port \" 1\" is not a number"},
        {":http", "\":http\": port \"http\" is not a number"},
        {"::1:8000", "\"::1:8000\": an IPv6 address needs brackets, as in \"[::1]:8000\""},
        {"[::1:8000", "\"[::1:8000\": an IPv6 address is written \"[ADDRESS]:PORT\""},
        {"[::1]8000", "\"[::1]8000\": an IPv6 address is written \"[ADDRESS]:PORT\""},
        {"[]:8000", "\"[]:8000\": \"\" is not an IPv6 address"},
        {"[127.0.0.1]:8000", "\"[127.0.0.1]:8000\": \"127.0.0.1\" is not an IPv6 address"},
        {"[::g]:8000", "\"[::g]:8000\": \"::g\" is not an IPv6 address"},
        {"example.org:8000",
         "\"example.org:8000\": \"example.org\" is not a numeric address; names other than "
         "localhost are not looked up. \":8000\" listens on every address of this machine"},
        {"*:8000", NULL},
        {"256.0.0.1:8000", NULL},
        {"127.1:8000", NULL},
        {" :8000", NULL},
        {"/run/socket", NULL},
    };

    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        g_test_message("%s", bad[i].address);
        g_assert_false(web_check_address(bad[i].address, &error));
        g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
        if (bad[i].message != NULL)
            g_assert_cmpstr(error->message, ==, bad[i].message);
        g_assert_null(address_open(bad[i].address, NULL));
    }
}

/** @return a port that is free on every address, as far as one can tell */
static guint16 free_port(void)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct sockaddr_in four = {.sin_family = AF_INET};
    socklen_t size = sizeof six;
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    guint16 port;

    if (fd >= 0 && bind(fd, (struct sockaddr *)&six, size) == 0) {
        g_assert_no_errno(getsockname(fd, (struct sockaddr *)&six, &size));
        port = ntohs(six.sin6_port);
    } else {
        fd = socket(AF_INET, SOCK_STREAM, 0);
        size = sizeof four;
        g_assert_no_errno(bind(fd, (struct sockaddr *)&four, size));
        g_assert_no_errno(getsockname(fd, (struct sockaddr *)&four, &size));
        port = ntohs(four.sin_port);
    }
    close(fd);
    return port;
}

/** @return the sockets for @a host and a free port, which have been checked */
static GArray *open_on(const char *host, guint16 *port)
{
    g_autoptr(GError) error = NULL;
    GArray *sockets;

    do { /* until nobody else takes the port first */
        g_autofree char *address = g_strdup_printf("%s:%u", host, *port = free_port());

        g_clear_error(&error);
        sockets = address_open(address, &error);
    } while (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE));
    g_assert_no_error(error);
    for (guint i = 0; i < sockets->len; i++) {
        int fd = g_array_index(sockets, int, i);
        int listening = 0;
        socklen_t size = sizeof listening;

        g_assert_no_errno(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size));
        g_assert_true(listening);
        g_assert_cmpint(fcntl(fd, F_GETFD) & FD_CLOEXEC, !=, 0);
        g_assert_cmpint(fcntl(fd, F_GETFL) & O_NONBLOCK, !=, 0);
    }
    return sockets;
}

static void close_all(GArray *sockets)
{
    for (guint i = 0; i < sockets->len; i++)
        close(g_array_index(sockets, int, i));
    g_array_unref(sockets);
}

static gboolean can_connect(const char *host, guint16 port)
{
    g_autoptr(GSocketAddress) address = g_inet_socket_address_new_from_string(host, port);
    struct sockaddr_storage native = {0};
    int family = g_socket_address_get_family(address) == G_SOCKET_FAMILY_IPV6 ? AF_INET6 : AF_INET;
    int fd = socket(family, SOCK_STREAM, 0);
    gboolean connected;

    g_assert_true(g_socket_address_to_native(address, &native, sizeof native, NULL));
    connected = fd >= 0 && connect(fd, (struct sockaddr *)&native,
                                   (socklen_t)g_socket_address_get_native_size(address)) == 0;
    if (fd >= 0)
        close(fd);
    return connected;
}

static gboolean has_ipv6(void)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    gboolean has = fd >= 0 && bind(fd, (struct sockaddr *)&six, sizeof six) == 0;

    if (fd >= 0)
        close(fd);
    return has;
}

static void test_open(void)
{
    static const struct {
        const char *host;
        gboolean four, six; /**< answers on that loopback address */
    } cases[] = {
        {"", TRUE, TRUE},          {"0.0.0.0", TRUE, FALSE}, {"[::]", FALSE, TRUE},
        {"localhost", TRUE, TRUE}, {"[::1]", FALSE, TRUE},   {"127.0.0.1", TRUE, FALSE},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        guint16 port = 0;
        GArray *sockets;

        if (!has_ipv6() && !cases[i].four)
            continue;
        g_test_message("%s", cases[i].host);
        sockets = open_on(cases[i].host, &port);
        g_assert_cmpint(can_connect("127.0.0.1", port), ==, cases[i].four);
        g_assert_cmpint(can_connect("::1", port), ==, cases[i].six && has_ipv6());
        close_all(sockets);
    }
}

static void test_in_use(void)
{
    guint16 port = 0;
    GArray *first = open_on("127.0.0.1", &port);
    static const char *const hosts[] = {"127.0.0.1", "localhost", "0.0.0.0", ""};

    for (guint i = 0; i < G_N_ELEMENTS(hosts); i++) {
        g_autofree char *address = g_strdup_printf("%s:%u", hosts[i], port);
        g_autoptr(GError) error = NULL;

        g_assert_null(address_open(address, &error));
        g_assert_error(error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE);
        g_test_message("%s", error->message);
        g_assert_nonnull(strstr(error->message, "perhaps an earlier bms-exporter, listens on "));
        g_assert_nonnull(strstr(error->message, address));
    }
    close_all(first);
}

/** A restart finds its port free though the last run's connections are still being wound up. */
static void test_open_again(void)
{
    guint16 port = 0;
    GArray *first = open_on("127.0.0.1", &port);
    struct sockaddr_in peer = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    g_autofree char *address = g_strdup_printf("127.0.0.1:%u", port);
    int client = socket(AF_INET, SOCK_STREAM, 0), server;
    g_autoptr(GError) error = NULL;
    GArray *second;

    g_assert_no_errno(connect(client, (struct sockaddr *)&peer, sizeof peer));
    server = accept(g_array_index(first, int, 0), NULL, NULL);
    g_assert_cmpint(server, >=, 0);
    close(server); /* the side that closes first is left in TIME_WAIT */
    close(client);
    close_all(first);
    second = address_open(address, &error);
    g_assert_no_error(error);
    close_all(second);
}

static void test_not_ours(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(address_open("192.0.2.1:8000", &error)); /* TEST-NET-1: nobody has it */
    g_assert_cmpstr(error->message, ==,
                    "\"192.0.2.1:8000\": no interface of this machine has the address");
}

/* ---- the probe ---- */

static void serve_greeting(void *user, const char *accept, WebAnswer *answer)
{
    (void)user;
    (void)accept;
    g_string_append(answer->body, "greeting");
}

typedef struct {
    GMainLoop *loop;
    char *answer;
} Probed;

static void on_probed(void *user, const char *answer)
{
    Probed *probed = user;

    probed->answer = g_strdup(answer);
    g_main_loop_quit(probed->loop);
}

/** Probes "HOST:PORT". @return the answer or NULL, to be freed */
static char *probe(const char *host, guint16 port)
{
    g_autofree char *address = g_strdup_printf("%s:%u", host, port);
    Probed probed = {.loop = g_main_loop_new(NULL, FALSE)};

    web_probe(address, "/", on_probed, &probed);
    g_main_loop_run(probed.loop);
    g_main_loop_unref(probed.loop);
    return probed.answer;
}

/** Serves on one address only of those that @a host means, and finds that one. */
static void expect_found(const char *host, const char *served)
{
    static const WebRoute routes[] = {{"/", serve_greeting}, {NULL, NULL}};
    guint16 port = 0;
    GArray *sockets = open_on(served, &port);
    Web *web = web_new(routes, NULL);
    g_autofree char *answer = NULL;

    g_assert_true(web_take_socket(web, g_array_index(sockets, int, 0), NULL));
    answer = probe(host, port);
    g_assert_nonnull(answer);
    g_assert_nonnull(strstr(answer, "greeting"));
    web_free(web);
    g_array_unref(sockets);
}

/** Any of the addresses that a host means may be the one where somebody answers. */
static void test_probe(void)
{
    guint16 port = 0;
    GArray *sockets = open_on("127.0.0.1", &port);

    expect_found("127.0.0.1", "127.0.0.1");
    expect_found("", "127.0.0.1"); /* nobody at the IPv6 address, which is tried first */
    if (has_ipv6())
        expect_found("localhost", "[::1]");
    close_all(sockets);
    g_assert_null(probe("", port));
}

/* ---- without IPv6 ---- */

/** From here on socket(AF_INET6, …) fails as on a kernel without IPv6. */
static gboolean forbid_ipv6(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_socket, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = G_N_ELEMENTS(filter), .filter = filter};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void test_without_ipv6(void)
{
    static const char *const hosts[] = {"", "localhost"};
    g_autoptr(GError) error = NULL;

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
        g_test_trap_assert_passed();
        return;
    }
    if (!forbid_ipv6())
        return; /* no seccomp here */
    for (guint i = 0; i < G_N_ELEMENTS(hosts); i++) {
        guint16 port = 0;
        GArray *sockets = open_on(hosts[i], &port);

        g_assert_cmpuint(sockets->len, ==, 1);
        g_assert_true(can_connect("127.0.0.1", port));
        close_all(sockets);
    }
    expect_found("", "127.0.0.1");
    g_assert_null(address_open("[::1]:8000", &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/web/address/good", test_good);
    g_test_add_func("/web/address/bad", test_bad);
    g_test_add_func("/web/address/open", test_open);
    g_test_add_func("/web/address/in-use", test_in_use);
    g_test_add_func("/web/address/open-again", test_open_again);
    g_test_add_func("/web/address/not-ours", test_not_ours);
    g_test_add_func("/web/address/probe", test_probe);
    g_test_add_func("/web/address/without-ipv6", test_without_ipv6);
    return g_test_run();
}
