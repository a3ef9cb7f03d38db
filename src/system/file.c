/* SPDX-License-Identifier: MIT */
/* Reads small files of the operator's, which may be anything. */
#include "system.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static gboolean fail(GError **error, const char *path, const char *what)
{
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s %s", path, what);
    return FALSE;
}

/* @return how many bytes of @a text are filled, or −1 */
static gssize read_all(int fd, char *text, gsize size)
{
    gsize used = 0;

    while (used < size) {
        ssize_t got = read(fd, text + used, size - used);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        used += (gsize)got;
    }
    return (gssize)used;
}

static gboolean read_open(int fd, const char *path, char *text, mode_t *mode, GError **error)
{
    struct stat status;
    gssize used;

    if (fstat(fd, &status) < 0)
        return fail(error, path, g_strerror(errno));
    if (!S_ISREG(status.st_mode))
        return fail(error, path, "is not a regular file");
    *mode = status.st_mode;
    used = read_all(fd, text, SYSTEM_MAX_FILE + 1);
    if (used < 0)
        return fail(error, path, "cannot be read");
    if (used > SYSTEM_MAX_FILE)
        return fail(error, path, "is longer than 64 KiB");
    if (memchr(text, '\0', (gsize)used))
        return fail(error, path, "is not a text");
    text[used] = '\0';
    return TRUE;
}

gboolean system_read_file(const char *path, char *text, mode_t *mode, GError **error)
{
    /* A FIFO would wait for its other end, and a terminal become ours. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    gboolean good;

    if (fd < 0) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s cannot be opened: %s", path,
                    g_strerror(errno));
        return FALSE;
    }
    good = read_open(fd, path, text, mode, error);
    close(fd);
    return good;
}
