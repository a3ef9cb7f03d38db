/* SPDX-License-Identifier: MIT */
/* Energy that flowed in and out, integrated from poll to poll. Only computes. */
#ifndef BMS_ENERGY_H
#define BMS_ENERGY_H

#include <stdint.h>

typedef struct {
    double in_joules;
    double out_joules;
    int64_t measured_us; /**< time over which these were measured */
} Energy;

/**
 * Adds what flowed between two polls.
 * @param before_w, after_w power at both ends in W, positive inwards; it is taken to change in a
 *                          straight line
 * @param elapsed_us        time between them
 */
void energy_integrate(Energy *energy, double before_w, double after_w, int64_t elapsed_us);

#endif
