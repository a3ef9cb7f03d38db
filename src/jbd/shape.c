/* SPDX-License-Identifier: MIT */
/*
 * Payloads that cannot be what their register holds, and what does not fit about them in words.
 *
 * Such a frame has a right checksum, so it is not noise: somebody has to look at its bytes, and has
 * to be told which ones.
 */
#include "shape.h"

#include <stdio.h>
#include <string.h>

enum { AT_SENSOR_COUNT = 22 };

static Shape at_least(const JbdFrame *frame, unsigned wanted, ShapeMisfit otherwise)
{
    return (Shape){frame->size < wanted ? otherwise : SHAPE_FITS, wanted};
}

static Shape shape_of_basic(const JbdFrame *frame)
{
    if (frame->size < JBD_BASIC_SIZE)
        return (Shape){SHAPE_SHORT, JBD_BASIC_SIZE};
    return at_least(frame, JBD_BASIC_SIZE + 2U * frame->data[AT_SENSOR_COUNT], SHAPE_SENSORS);
}

static Shape shape_of_cells(const JbdFrame *frame)
{
    if (frame->size > 2 * JBD_MAX_CELLS)
        return (Shape){SHAPE_LONG, 2 * JBD_MAX_CELLS};
    if (frame->size % 2 != 0)
        return (Shape){SHAPE_ODD, 0};
    return at_least(frame, 2, SHAPE_SHORT);
}

static Shape shape_of_model(const JbdFrame *frame)
{
    return (Shape){shape_text_size(frame) > 0 ? SHAPE_FITS : SHAPE_NO_TEXT, 0};
}

static Shape shape_of_counters(const JbdFrame *frame)
{
    if (frame->size % 2 != 0)
        return (Shape){SHAPE_ODD, 0};
    return at_least(frame, 2 * (JBD_N_COUNTERS - 1), SHAPE_SHORT);
}

static Shape (*const shapes[JBD_N_READS])(const JbdFrame *) = {
    [JBD_BASIC] = shape_of_basic,
    [JBD_CELLS] = shape_of_cells,
    [JBD_MODEL] = shape_of_model,
    [JBD_COUNTERS] = shape_of_counters,
};

Shape shape_of(const JbdFrame *frame)
{
    for (int read = 0; read < JBD_N_READS; read++)
        if (frame->reg == jbd_register((JbdRead)read))
            return shapes[read](frame);
    return (Shape){SHAPE_FITS, 0};
}

/** Whether it fills up a text field. 0xFF is in no text, neither in UTF-8 nor in GBK. */
static bool is_padding(uint8_t byte)
{
    return byte == ' ' || byte == 0xFF;
}

size_t shape_text_size(const JbdFrame *frame)
{
    /* Longer than the document allows is cut, not refused: it is a name, and its start will do. */
    size_t size = frame->size < JBD_MODEL_SIZE ? frame->size : JBD_MODEL_SIZE;
    const uint8_t *nul = size > 0 ? memchr(frame->data, '\0', size) : NULL;

    if (nul)
        size = (size_t)(nul - frame->data);
    while (size > 0 && is_padding(frame->data[size - 1]))
        size--;
    return size;
}

/* ---- in words -------------------------------------------------------------------------------- */

static void describe_misfit(char *out, size_t size, const JbdFrame *frame, Shape shape)
{
    switch (shape.misfit) {
    case SHAPE_FITS:
        out[0] = '\0';
        break;
    case SHAPE_SHORT:
        (void)snprintf(out, size, "at least %u expected", shape.wanted);
        break;
    case SHAPE_LONG:
        (void)snprintf(out, size, "at most %u expected", shape.wanted);
        break;
    case SHAPE_ODD:
        (void)snprintf(out, size, "an even number expected");
        break;
    case SHAPE_SENSORS:
        (void)snprintf(out, size, "at least %u expected for its %u sensors", shape.wanted,
                       frame->data[AT_SENSOR_COUNT]);
        break;
    case SHAPE_NO_TEXT:
        (void)snprintf(out, size, "a text expected");
        break;
    }
}

void jbd_describe_malformed(char text[JBD_MALFORMED_SIZE], const JbdFrame *frame)
{
    char misfit[64];

    describe_misfit(misfit, sizeof misfit, frame, shape_of(frame));
    (void)snprintf(text, JBD_MALFORMED_SIZE, "register %02X: %u bytes%s%s", frame->reg, frame->size,
                   misfit[0] ? ", " : "", misfit);
}
