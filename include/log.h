/* SPDX-License-Identifier: MIT */
/*
 * Messages for people, one line each on stderr: "<4>house: link lost" under systemd, else
 * "bms-exporter: warning: house: link lost". Control characters in what comes from outside are made
 * visible.
 */
#ifndef BMS_LOG_H
#define BMS_LOG_H

#include <glib.h>

typedef enum { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR } LogLevel;

/** @return FALSE if @a name is none of debug, info, warn, error */
gboolean log_level_parse(const char *name, LogLevel *level);

/** Sets what is shown and how, and takes over GLib's own messages. Default: info. */
void log_init(LogLevel level, gboolean journal);

/** Another level from now on. */
void log_set_level(LogLevel level);

/** Whether messages of this level are shown: for what is expensive to put into words. */
gboolean log_shows(LogLevel level);

void log_debug(const char *format, ...) G_GNUC_PRINTF(1, 2);
void log_info(const char *format, ...) G_GNUC_PRINTF(1, 2);
void log_warn(const char *format, ...) G_GNUC_PRINTF(1, 2);
void log_error(const char *format, ...) G_GNUC_PRINTF(1, 2);

#endif
