/* SPDX-License-Identifier: MIT */
/*
 * Where the power changes its sign between two polls, what flowed before the crossing and what
 * flowed after it go to different totals.
 */
#include "energy.h"

void energy_integrate(Energy *energy, double before_w, double after_w, int64_t elapsed_us)
{
    double seconds = (double)elapsed_us / 1e6;
    double *total_before = before_w > 0 ? &energy->in_joules : &energy->out_joules;
    double *total_after = after_w > 0 ? &energy->in_joules : &energy->out_joules;
    double before = before_w < 0 ? -before_w : before_w;
    double after = after_w < 0 ? -after_w : after_w;

    energy->measured_us += elapsed_us;
    if (total_before == total_after || before + after <= 0) {
        *total_after += (before + after) / 2 * seconds;
    } else {
        double crossing = seconds * before / (before + after);

        *total_before += before / 2 * crossing;
        *total_after += after / 2 * (seconds - crossing);
    }
}
