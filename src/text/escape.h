/* SPDX-License-Identifier: MIT */
/*
 * Text from outside (a name from the command line, a model from the radio, an error from BlueZ)
 * made fit for each output. Each appends valid UTF-8 whatever it is given: what is no UTF-8, and
 * control characters, come out as U+FFFD.
 */
#ifndef BMS_TEXT_ESCAPE_H
#define BMS_TEXT_ESCAPE_H

#include <glib.h>

/** For the inside of a quoted label value, in both formats; also HELP in OpenMetrics. */
void escape_label(GString *out, const char *text);

/** For HELP in the text format, where a quote stands for itself. */
void escape_help(GString *out, const char *text);

/** For HTML, between tags and in quoted attributes. */
void escape_html(GString *out, const char *text);

#endif
