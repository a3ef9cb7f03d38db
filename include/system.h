/* SPDX-License-Identifier: MIT */
/*
 * The service manager's side: sd_notify's protocol, the watchdog, socket activation. Each does
 * nothing where systemd did not start the process. And the kernel's: switches for radios.
 */
#ifndef BMS_SYSTEM_H
#define BMS_SYSTEM_H

#include <glib.h>
#include <sys/types.h>

/**
 * Opens /dev/null in the place of each of the descriptors 0 to 2 that is closed. The first thing to
 * be done: a socket or a file that got such a number would be taken for standard output.
 * @return FALSE if it cannot be opened
 */
gboolean system_open_standard_descriptors(void);

/**
 * µs since boot, the time that the machine was suspended included, which the monotonic clock leaves
 * out: what the age of readings is measured with.
 */
gint64 system_boot_us(void);

/** Unix time of the boot in µs, as the wall clock has it now: add it to a time since boot. */
gint64 system_boot_unix_us(void);

/**
 * What to take for the Unix time of the boot when @a known_us was taken so far and @a measured_us
 * is measured: the same, to the µs, unless the wall clock was set by more than half a second since.
 * So times that are shown follow the clock, and do not jitter.
 */
gint64 system_follow_clock(gint64 known_us, gint64 measured_us);

/** Whether a service manager started the process and waits for notifications. */
gboolean system_is_service(void);

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

enum { SYSTEM_MAX_FILE = 65536 };

/**
 * Reads a small text file, without ever waiting for it: anything but a regular file is refused.
 * @param text SYSTEM_MAX_FILE + 1 bytes; a NUL ends what was read
 * @param mode set to the file's mode
 * @return FALSE with @a error, whose message begins with the path
 */
gboolean system_read_file(const char *path, char *text, mode_t *mode, GError **error);

/**
 * Runs a command of the operator's, without a shell, one at a time. It has a session of its own, no
 * input, and its output goes where our own log goes.
 */
typedef struct SystemCommand SystemCommand;

/** @param line words as a shell splits them; the first is a program in PATH, or a path.
 * @return FALSE with @a error where they are not */
gboolean system_command_check(const char *line, GError **error);

/**
 * @param limit_ms how long a command may run: then it gets SIGTERM, and with it what it has started
 * @param grace_ms how long after that they get SIGKILL
 */
SystemCommand *system_command_new(guint limit_ms, guint grace_ms);

/** A command that is running goes on, without a limit. NULL is fine. */
void system_command_free(SystemCommand *command);

/**
 * Starts a command. How it ends is told in the log. Processes that it leaves in the background when
 * it ends within the limit go on.
 * @param variables for its environment: name, value, …, NULL
 * @return FALSE, told in the log, if it cannot be started or another one has not ended
 */
gboolean system_command_start(SystemCommand *command, const char *line,
                              const char *const *variables);

/** Whether one has been started and has not ended. */
gboolean system_command_is_running(const SystemCommand *command);

/** Whether stderr goes to the journal, which wants "<N>" priority prefixes (JOURNAL_STREAM). */
gboolean system_stderr_is_journal(void);

/** The state of the kernel's switches for Bluetooth, the worse, the larger. */
typedef enum {
    SYSTEM_RFKILL_UNKNOWN, /**< there is no such switch */
    SYSTEM_RFKILL_FREE,
    SYSTEM_RFKILL_SOFT, /**< a program has blocked it: "rfkill unblock" helps */
    SYSTEM_RFKILL_HARD, /**< a switch of the machine */
} SystemRfkill;

#define SYSTEM_RFKILL_DIRECTORY "/sys/class/rfkill"

/** @param adapter "hciN", or NULL for all of them */
SystemRfkill system_rfkill(const char *directory, const char *adapter);

#endif
