/* SPDX-License-Identifier: MIT */
/*
 * Listen addresses: from "HOST:PORT" as people write it to listening sockets, with errors that say
 * what would be right.
 */
#include "web-private.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#define DIGITS "0123456789"

G_GNUC_PRINTF(3, 4)
static gboolean refuse(GError **error, const char *address, const char *format, ...)
{
    g_autofree char *why = NULL;
    va_list arguments;

    va_start(arguments, format);
    why = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "\"%s\": %s", address, why);
    return FALSE;
}

static gboolean parse_port(const char *address, const char *text, guint16 *port, GError **error)
{
    guint64 number = 0;

    if (*text == '\0')
        return refuse(error, address, "the port is missing after the colon");
    if (strspn(text, DIGITS) != strlen(text))
        return refuse(error, address, "port \"%s\" is not a number", text);
    if (!g_ascii_string_to_unsigned(text, 10, 1, G_MAXUINT16, &number, NULL))
        return refuse(error, address, "port %s is out of range (1 to 65535)", text);
    *port = (guint16)number;
    return TRUE;
}

/** An address taken apart; points into it. */
typedef struct {
    const char *host; /**< without brackets */
    gsize host_length;
    gboolean brackets;
    const char *port;
} Parts;

static gboolean split(const char *address, Parts *parts, GError **error)
{
    const char *colon = strrchr(address, ':');
    const char *close = strchr(address, ']');

    parts->brackets = address[0] == '[';
    if (parts->brackets) {
        if (close == NULL || (close[1] != ':' && close[1] != '\0'))
            return refuse(error, address, "an IPv6 address is written \"[ADDRESS]:PORT\"");
        colon = close[1] == ':' ? close + 1 : NULL;
    } else if (colon != NULL && strchr(address, ':') != colon) {
        return refuse(error, address, "an IPv6 address needs brackets, as in \"[::1]:8000\"");
    }
    if (colon == NULL && *address != '\0' && strspn(address, DIGITS) == strlen(address))
        return refuse(error, address, "a port alone is written with a colon: \":%s\"", address);
    if (colon == NULL)
        return refuse(error, address, "the port is missing, as in \"%s:8000\"", address);
    parts->host = parts->brackets ? address + 1 : address;
    parts->host_length = (gsize)((parts->brackets ? close : colon) - parts->host);
    parts->port = colon + 1;
    return TRUE;
}

/**
 * @param any to be set if the first of the sockets that can be had will do, being dual-stack if it
 *        is IPv6; else all that can be had are wanted
 * @return the addresses to listen on, of GSocketAddress, or NULL
 */
static GPtrArray *parse(const char *address, gboolean *any, GError **error)
{
    Parts parts = {.host = "", .port = ""};
    g_autofree char *host = NULL;
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_object_unref);
    GSocketAddress *numeric = NULL;
    guint16 port = 0;

    if (!split(address, &parts, error) || !parse_port(address, parts.port, &port, error))
        return NULL;
    host = g_strndup(parts.host, parts.host_length);
    *any = !parts.brackets && *host == '\0';
    if (*any) {
        g_ptr_array_add(found, g_inet_socket_address_new_from_string("::", port));
        g_ptr_array_add(found, g_inet_socket_address_new_from_string("0.0.0.0", port));
        return g_steal_pointer(&found);
    }
    if (!parts.brackets && g_ascii_strcasecmp(host, "localhost") == 0) {
        g_ptr_array_add(found, g_inet_socket_address_new_from_string("127.0.0.1", port));
        g_ptr_array_add(found, g_inet_socket_address_new_from_string("::1", port));
        return g_steal_pointer(&found);
    }
    if (parts.brackets == (strchr(host, ':') != NULL))
        numeric = g_inet_socket_address_new_from_string(host, port);
    if (numeric != NULL) {
        g_ptr_array_add(found, numeric);
        return g_steal_pointer(&found);
    }
    if (parts.brackets)
        refuse(error, address, "\"%s\" is not an IPv6 address", host);
    else
        refuse(error, address,
               "\"%s\" is not a numeric address; names other than localhost are not looked up. "
               "\":%u\" listens on every address of this machine",
               host, port);
    return NULL;
}

gboolean web_check_address(const char *address, GError **error)
{
    gboolean any = FALSE;
    g_autoptr(GPtrArray) found = parse(address, &any, error);

    return found != NULL;
}

GPtrArray *address_targets(const char *address)
{
    gboolean any = FALSE;

    return parse(address, &any, NULL); /* connecting to "every address" reaches this machine */
}

/** @return a listening socket, or the errno of what failed, negated */
static int open_socket(GSocketAddress *address, gboolean dual_stack)
{
    const int yes = 1, v6_only = !dual_stack;
    struct sockaddr_storage native = {0};
    gssize size = g_socket_address_get_native_size(address);
    int family = g_socket_address_get_family(address) == G_SOCKET_FAMILY_IPV6 ? AF_INET6 : AF_INET;
    int fd, reason;

    if (!g_socket_address_to_native(address, &native, sizeof native, NULL))
        return -EINVAL;
    fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    /* Else a restart would fail while the last run's connections are in TIME_WAIT. V6ONLY is set
     * either way, because its default is the machine's (net.ipv6.bindv6only). */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
        (family != AF_INET6 ||
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only) == 0) &&
        bind(fd, (struct sockaddr *)&native, (socklen_t)size) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    reason = errno;
    close(fd);
    return -reason;
}

/** Whether @a reason says that the machine has no such address family or no such address. */
static gboolean is_absent(int reason)
{
    return reason == EAFNOSUPPORT || reason == EADDRNOTAVAIL;
}

static void explain(GError **error, const char *address, GSocketAddress *socket, int reason)
{
    g_autofree char *what = g_socket_connectable_to_string(G_SOCKET_CONNECTABLE(socket));
    int code = (int)g_io_error_from_errno(reason);

    switch (reason) {
    case EADDRINUSE:
        g_set_error(error, G_IO_ERROR, code,
                    "\"%s\": address already in use: another program, perhaps an earlier "
                    "bms-exporter, listens on %s",
                    address, what);
        break;
    case EADDRNOTAVAIL:
        g_set_error(error, G_IO_ERROR, code, "\"%s\": no interface of this machine has the address",
                    address);
        break;
    case EAFNOSUPPORT:
        g_set_error(error, G_IO_ERROR, code, "\"%s\": this machine has no such protocol (IPv6?)",
                    address);
        break;
    case EACCES:
        g_set_error(error, G_IO_ERROR, code,
                    "\"%s\": not permitted; ports below 1024 need CAP_NET_BIND_SERVICE", address);
        break;
    default:
        g_set_error(error, G_IO_ERROR, code, "\"%s\": cannot listen on %s: %s", address, what,
                    g_strerror(reason));
        break;
    }
}

GArray *address_open(const char *address, GError **error)
{
    gboolean any = FALSE;
    g_autoptr(GPtrArray) wanted = parse(address, &any, error);
    g_autoptr(GArray) opened = g_array_new(FALSE, FALSE, sizeof(int));
    GSocketAddress *failed = NULL;
    int reason = 0;

    if (wanted == NULL)
        return NULL;
    for (guint i = 0; i < wanted->len; i++) {
        GSocketAddress *socket = g_ptr_array_index(wanted, i);
        int fd = open_socket(socket, any);

        if (fd >= 0) {
            g_array_append_val(opened, fd);
            if (any)
                break;
        } else {
            failed = socket;
            reason = -fd;
            if (!is_absent(reason))
                break;
        }
    }
    if (opened->len > 0 && (failed == NULL || is_absent(reason)))
        return g_steal_pointer(&opened);

    explain(error, address, failed, reason);
    for (guint i = 0; i < opened->len; i++)
        close(g_array_index(opened, int, i));
    return NULL;
}

gboolean web_try_listen(const char *address, GError **error)
{
    g_autoptr(GArray) opened = address_open(address, error);

    for (guint i = 0; opened && i < opened->len; i++)
        close(g_array_index(opened, int, i));
    return opened != NULL;
}
