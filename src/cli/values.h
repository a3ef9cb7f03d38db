/* SPDX-License-Identifier: MIT */
/*
 * Values of options: each function says with @a error what is wrong and what would be right, and
 * begins with the option's name, as a person would type it.
 */
#ifndef BMS_VALUES_H
#define BMS_VALUES_H

#include "options.h"

/** Sets @a error to a message for a person. */
void value_wrong(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** "10", "1.5", "500ms", "10s", "10m", "1h" */
gboolean value_parse_duration(const char *option, const char *text, gint64 *us, GError **error);

/** @param text as it was given, for the message */
gboolean value_check_range(const char *option, const char *text, gint64 us, gint64 min, gint64 max,
                           GError **error);

/** A path below which the metrics can be served. */
gboolean value_check_path(const char *path, GError **error);

gboolean value_parse_link_mode(const char *text, LinkMode *mode, GError **error);

/** Whether it is a command that can be run. */
gboolean value_check_command(const char *line, GError **error);

/** "hciN", or an address, which is written in upper case then. */
gboolean value_check_adapter(char **adapter, GError **error);

#endif
