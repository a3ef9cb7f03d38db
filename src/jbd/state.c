/* SPDX-License-Identifier: MIT */
/* What is read of a JBD board, into the device that it is. */
#include "state.h"

static JbdState *state_of(Device *device)
{
    return (JbdState *)device->state;
}

double jbd_power(const JbdBasic *basic)
{
    return (double)basic->pack_mv * (double)basic->current_ma / 1e6;
}

uint32_t jbd_full_mah(const JbdBasic *basic)
{
    if (basic->has_tail && basic->tail.full_charge_mah > 0)
        return basic->tail.full_charge_mah;
    return basic->nominal_mah;
}

void jbd_publish(Device *device, const JbdBasic *basic, const JbdCells *cells, int64_t now_us,
                 double duration)
{
    JbdState *state = state_of(device);
    const int64_t elapsed_us = device_elapsed(device, now_us);

    if (elapsed_us >= 0)
        energy_integrate(&state->energy, jbd_power(&state->basic), jbd_power(basic), elapsed_us);
    jbd_count_impossible(basic, cells, state->left_out);
    identity_on_poll(&state->identity, basic, now_us);
    state->basic = *basic;
    state->cells = *cells;
    state->has_functions = state->has_functions || basic->has_functions;
    device_published(device, now_us, duration);
}

void jbd_set_model(Device *device, const JbdModel *model)
{
    JbdState *state = state_of(device);

    identity_on_model(&state->identity, model);
    state->model = *model;
    state->has_model = true;
}

void jbd_set_counters(Device *device, const JbdCounters *counters)
{
    JbdState *state = state_of(device);

    state->counters = *counters;
    state->has_counters = true;
}

void jbd_count_error(Device *device, JbdError error)
{
    device_count_frame_error(device, error,
                             error == JBD_ERROR_CHECKSUM || error == JBD_ERROR_LENGTH);
}
