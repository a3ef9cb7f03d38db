/* SPDX-License-Identifier: MIT */
/*
 * How many connections may be open at once. Each takes a file descriptor, and the rest of the
 * program needs some too: GLib ends the process where it cannot have one for the thread that
 * connects to D-Bus. So clients get what the limit of open files leaves, and not the last of it.
 */
#include "web-private.h"

#include <fcntl.h>
#include <sys/resource.h>

/** @return how many descriptors up to the limit are not in use; counting ends at @a enough */
static guint count_free(const struct rlimit *limit, guint enough)
{
    guint count = 0;

    for (rlim_t fd = 0; fd < limit->rlim_cur && count < enough; fd++)
        count += fcntl((int)fd, F_GETFD) < 0 ? 1 : 0;
    return count;
}

guint room_for_connections(guint open, rlim_t *limit)
{
    const guint enough = WEB_CONNECTIONS_MAX + WEB_DESCRIPTORS_FOR_OTHERS;
    struct rlimit files = {.rlim_cur = RLIM_INFINITY};
    guint descriptors;

    (void)getrlimit(RLIMIT_NOFILE, &files); /* fails for a wrong argument only */
    *limit = files.rlim_cur;
    descriptors = count_free(&files, enough) + open;
    if (descriptors <= WEB_DESCRIPTORS_FOR_OTHERS)
        return 0;
    return MIN(descriptors - WEB_DESCRIPTORS_FOR_OTHERS, WEB_CONNECTIONS_MAX);
}
