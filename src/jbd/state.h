/* SPDX-License-Identifier: MIT */
/* What is kept of a JBD board beside what every device has. */
#ifndef BMS_JBD_STATE_H
#define BMS_JBD_STATE_H

#include "device.h"
#include "energy.h"
#include "identity.h"
#include "jbd.h"

typedef struct {
    /* latest complete poll; meaningful if the device has readings */
    JbdBasic basic;
    JbdCells cells;
    bool has_functions; /**< of any of the polls so far */

    /* read once a session or now and then */
    bool has_model;
    JbdModel model;
    Identity identity; /**< what the labels of bms_info say of the board */
    bool has_counters;
    JbdCounters counters;

    /* counted and integrated */
    Energy energy;
    uint64_t left_out[JBD_N_FIELDS]; /**< values of sound frames that cannot be */
} JbdState;

_Static_assert(sizeof(JbdState) <= DEVICE_STATE_SIZE, "it has to fit into a Device");
_Static_assert((int)JBD_N_ERRORS <= (int)DEVICE_MAX_ERRORS, "and its errors, too");

/** Of a device of this kind. */
static inline const JbdState *jbd_state(const Device *device)
{
    return (const JbdState *)device->state;
}

/**
 * Takes the readings of one complete poll.
 * @param now_us since boot, suspend included  @param duration of the poll in s
 */
void jbd_publish(Device *device, const JbdBasic *basic, const JbdCells *cells, int64_t now_us,
                 double duration);

void jbd_set_model(Device *device, const JbdModel *model);
void jbd_set_counters(Device *device, const JbdCounters *counters);

/** An answer was of no use. */
void jbd_count_error(Device *device, JbdError error);

/** Power in W from pack voltage and current; positive while charging. */
double jbd_power(const JbdBasic *basic);

/** mAh when full: what the board has learnt if it tells, else nominal. */
uint32_t jbd_full_mah(const JbdBasic *basic);

#endif
