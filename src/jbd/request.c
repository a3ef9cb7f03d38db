/* SPDX-License-Identifier: MIT */
/*
 * The requests that a monitor may send.
 *
 * They are spelled out instead of built, because then it can be seen that no byte sequence outside
 * this table ever leaves for the board. The same command set holds the switches for the FETs and
 * the factory mode, and a board acts on them without asking back.
 */
#include "jbd.h"

#include "wire.h"

#include <assert.h>

static const uint8_t requests[JBD_N_READS][JBD_REQUEST_SIZE] = {
    [JBD_BASIC] = {WIRE_START, WIRE_READ, 0x03, 0x00, 0xFF, 0xFD, WIRE_END},
    [JBD_CELLS] = {WIRE_START, WIRE_READ, 0x04, 0x00, 0xFF, 0xFC, WIRE_END},
    [JBD_MODEL] = {WIRE_START, WIRE_READ, 0x05, 0x00, 0xFF, 0xFB, WIRE_END},
    [JBD_COUNTERS] = {WIRE_START, WIRE_READ, 0xAA, 0x00, 0xFF, 0x56, WIRE_END},
};

const uint8_t *jbd_request(JbdRead read)
{
    assert(read < JBD_N_READS);
    return requests[read];
}

uint8_t jbd_register(JbdRead read)
{
    assert(read < JBD_N_READS);
    return requests[read][2];
}
