/* SPDX-License-Identifier: MIT */
/*
 * sd_notify's protocol: one datagram for each notification, to the socket that NOTIFY_SOCKET names.
 * See sd_notify(3). Own code, because libsystemd would be a dependency for these few lines.
 */
#include "log.h"
#include "system.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/** @return the length of @a address, or 0 if @a path is neither absolute nor abstract, or long */
static socklen_t to_address(const char *path, struct sockaddr_un *address)
{
    size_t length = strlen(path);

    if ((path[0] != '/' && path[0] != '@') || path[1] == '\0' || length >= sizeof address->sun_path)
        return 0;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, path, length);
    if (path[0] == '@')
        address->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

gboolean system_is_service(void)
{
    const char *path = g_getenv("NOTIFY_SOCKET");

    return path != NULL && *path != '\0';
}

void system_notify(const char *state)
{
    const char *path = g_getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    socklen_t size;
    int fd;

    if (!system_is_service())
        return;
    size = to_address(path, &address);
    if (size == 0) {
        log_warn("NOTIFY_SOCKET=%s is not an address to notify", path);
        return;
    }
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    /* Never waits: a service manager that does not read must not stop the main loop, and the
     * watchdog will have its say. */
    if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
                         (struct sockaddr *)&address, size) < 0)
        log_warn("cannot notify %s: %s", path, g_strerror(errno));
    if (fd >= 0)
        close(fd);
}
