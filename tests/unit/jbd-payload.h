/* SPDX-License-Identifier: MIT */
/* For the tests of the JBD decoders: payloads, and what has to hold when one is refused. */
#ifndef BMS_TESTS_JBD_PAYLOAD_H
#define BMS_TESTS_JBD_PAYLOAD_H

#include "jbd.h"

#include <glib.h>
#include <string.h>

static inline void jbd_set_u16(uint8_t *data, size_t at, unsigned value)
{
    data[at] = (uint8_t)(value >> 8);
    data[at + 1] = (uint8_t)(value & 0xFF);
}

/** A good answer to @a read. */
static inline JbdFrame jbd_answer(JbdRead read, const uint8_t *data, size_t size)
{
    return (JbdFrame){.reg = jbd_register(read), .size = (uint8_t)size, .data = data};
}

/** Results of all decoders side by side, to be filled with a pattern and compared. */
typedef struct {
    JbdBasic basic;
    JbdCells cells;
    JbdModel model;
    JbdCounters counters;
} JbdOutputs;

static inline JbdError jbd_decode_as(JbdRead read, const JbdFrame *frame, JbdOutputs *out)
{
    switch (read) {
    case JBD_BASIC:
        return jbd_decode_basic(frame, &out->basic);
    case JBD_CELLS:
        return jbd_decode_cells(frame, &out->cells);
    case JBD_MODEL:
        return jbd_decode_model(frame, &out->model);
    case JBD_COUNTERS:
        return jbd_decode_counters(frame, &out->counters);
    case JBD_N_READS:
        break;
    }
    g_assert_not_reached();
}

/** Fails unless @a error is what comes out, and nothing else does. */
static inline void jbd_assert_refused(JbdRead read, const JbdFrame *frame, JbdError error)
{
    JbdOutputs before;
    JbdOutputs after;
    memset(&before, 0xEE, sizeof before);
    memset(&after, 0xEE, sizeof after);
    g_assert_cmpstr(jbd_error_name(jbd_decode_as(read, frame, &after)), ==, jbd_error_name(error));
    g_assert_true(memcmp(&before, &after, sizeof before) == 0);
}

static inline void jbd_assert_sanity(JbdRead read, const uint8_t *data, size_t size)
{
    /* Of its own and of the exact size, so that a sanitizer sees a read beyond it. */
    g_autofree uint8_t *copy = g_malloc(size + (size == 0));
    if (size > 0)
        memcpy(copy, data, size);
    const JbdFrame frame = jbd_answer(read, copy, size);
    jbd_assert_refused(read, &frame, JBD_ERROR_SANITY);
}

#endif
