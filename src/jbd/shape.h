/* SPDX-License-Identifier: MIT */
/* Whether the payload of a register has a length that fits what it holds. */
#ifndef BMS_JBD_SHAPE_H
#define BMS_JBD_SHAPE_H

#include "jbd.h"

typedef enum {
    SHAPE_FITS,
    SHAPE_SHORT,   /**< fewer bytes than the register has at least */
    SHAPE_LONG,    /**< more than it can have */
    SHAPE_ODD,     /**< half a value at its end */
    SHAPE_SENSORS, /**< fewer temperatures than it says itself that it has */
    SHAPE_NO_TEXT, /**< nothing but padding */
} ShapeMisfit;

typedef struct {
    ShapeMisfit misfit;
    unsigned wanted; /**< bytes: the least, for SHAPE_LONG the most */
} Shape;

/** Judges a frame that answers one of the registers of JbdRead, and is no refusal. */
Shape shape_of(const JbdFrame *frame);

/** Bytes of text in register 0x05, without padding; JBD_MODEL_SIZE at most. */
size_t shape_text_size(const JbdFrame *frame);

#endif
