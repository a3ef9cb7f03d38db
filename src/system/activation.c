/* SPDX-License-Identifier: MIT */
/*
 * What the service manager says in the environment: sockets handed over (sd_listen_fds(3)), the
 * watchdog (sd_watchdog_enabled(3)), and whether stderr is the journal (systemd.exec(5)).
 */
#include "log.h"
#include "system.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

/** @return FALSE if the variable is not set or not a number of at most @a max */
static gboolean get_number(const char *variable, guint64 max, guint64 *number)
{
    const char *text = g_getenv(variable);

    if (text == NULL)
        return FALSE;
    if (g_ascii_string_to_unsigned(text, 10, 0, max, number, NULL))
        return TRUE;
    log_warn("%s=%s is not a number that makes sense here", variable, text);
    return FALSE;
}

/** Whether @a variable names this process: what was meant for a parent is not for its children. */
static gboolean is_for_us(const char *variable)
{
    guint64 pid = 0;

    return get_number(variable, G_MAXINT32, &pid) && pid == (guint64)getpid();
}

guint system_listen_fds(void)
{
    guint64 count = 0;

    if (!is_for_us("LISTEN_PID") || !get_number("LISTEN_FDS", G_MAXINT16, &count))
        count = 0;
    g_unsetenv("LISTEN_PID");
    g_unsetenv("LISTEN_FDS");
    g_unsetenv("LISTEN_FDNAMES");

    for (int fd = FIRST_FD; fd < FIRST_FD + (int)count; fd++) {
        int flags = fcntl(fd, F_GETFD);

        if (flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0) {
            log_warn("LISTEN_FDS=%" G_GUINT64_FORMAT ", but descriptor %d: %s", count, fd,
                     g_strerror(errno));
            return (guint)(fd - FIRST_FD);
        }
    }
    return (guint)count;
}

gint64 system_watchdog_us(void)
{
    guint64 us = 0;

    if (g_getenv("WATCHDOG_PID") != NULL && !is_for_us("WATCHDOG_PID"))
        return 0;
    return get_number("WATCHDOG_USEC", G_MAXINT64, &us) ? (gint64)us : 0;
}

gboolean system_stderr_is_journal(void)
{
    const char *stream = g_getenv("JOURNAL_STREAM");
    g_autofree char *here = NULL;
    struct stat status;

    /* The variable is inherited; only a stderr that still is that very socket is the journal. */
    if (stream == NULL || fstat(STDERR_FILENO, &status) != 0)
        return FALSE;
    here = g_strdup_printf("%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    return g_str_equal(stream, here);
}
