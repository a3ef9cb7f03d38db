/* SPDX-License-Identifier: MIT */
/*
 * The service manager's side: sd_notify's protocol, the watchdog, socket activation. Each does
 * nothing where systemd did not start the process.
 */
#ifndef BMS_SYSTEM_H
#define BMS_SYSTEM_H

#include <glib.h>

/** Sends one notification, e.g. "READY=1" or "STATUS=…"; several are joined by newlines. */
void system_notify(const char *state);

/** µs within which WATCHDOG=1 must be sent, or 0 if no watchdog is set for this process. */
gint64 system_watchdog_us(void);

/**
 * Sockets handed over by systemd (LISTEN_FDS), made close-on-exec; the variables are removed so
 * that no child takes them for its own.
 * @return how many; they are numbered from 3
 */
guint system_listen_fds(void);

/** Whether stderr goes to the journal, which wants "<N>" priority prefixes (JOURNAL_STREAM). */
gboolean system_stderr_is_journal(void);

#endif
