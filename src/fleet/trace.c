/* SPDX-License-Identifier: MIT */
/* Bytes on the wire as lines of the log. */
#include "trace.h"

#include "log.h"

#include <glib.h>

/* Hardly any notification is longer, and the log cuts lines of 1000 characters. */
enum { BYTES_PER_LINE = 256 };

static void trace_line(JbdMask *mask, const char *address, char direction, const uint8_t *data,
                       size_t size)
{
    char text[2 * BYTES_PER_LINE + 1];

    for (size_t i = 0; i < size; i++) {
        if (jbd_mask_hides(mask, data[i]))
            g_strlcpy(text + 2 * i, "**", 3);
        else
            g_snprintf(text + 2 * i, 3, "%02x", data[i]);
    }
    log_debug("%s %c %s", address, direction, text);
}

void trace_bytes(Trace *trace, const char *address, bool sent, const uint8_t *data, size_t size)
{
    if (!log_shows(LOG_LEVEL_DEBUG))
        return;
    for (size_t at = 0; at < size; at += BYTES_PER_LINE)
        trace_line(sent ? &trace->sent : &trace->heard, address, sent ? '>' : '<', data + at,
                   MIN(size - at, BYTES_PER_LINE));
}
