/* SPDX-License-Identifier: MIT */
/* At log level debug: the bytes that go to a board and come from it, for reports about boards that
 * are not understood. */
#ifndef BMS_TRACE_H
#define BMS_TRACE_H

#include "jbd.h"

/** One board's, to begin as {0}. */
typedef struct {
    JbdMask sent;
    JbdMask heard;
} Trace;

/**
 * Logs one write or one notification as a line like "A4:C1:38:00:00:01 < dd0300…77", passwords as
 * "**". One that is too long for a line goes on in the next.
 */
void trace_bytes(Trace *trace, const char *address, bool sent, const uint8_t *data, size_t size);

#endif
