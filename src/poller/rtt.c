/* SPDX-License-Identifier: MIT */
/* The estimator of TCP; see rtt.h. */
#include "rtt.h"

/* G of RFC 6298: what answers vary by without being slow. Boards answer after 33 to 122 ms. */
static const int64_t granularity_us = 200000;
/* Past any bound; the shift stays small however often it times out. */
enum { MAX_DOUBLINGS = 8 };

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void rtt_init(Rtt *rtt, int64_t initial_us, int64_t min_us, int64_t max_us)
{
    *rtt = (Rtt){.initial_us = initial_us, .min_us = min_us, .max_us = max_us};
}

void rtt_measured(Rtt *rtt, int64_t time_us)
{
    int64_t time = larger(time_us, 0);
    int64_t error = time - rtt->smoothed_us;

    if (rtt->known) {
        rtt->variation_us += ((error < 0 ? -error : error) - rtt->variation_us) / 4;
        rtt->smoothed_us += error / 8;
    } else {
        rtt->smoothed_us = time;
        rtt->variation_us = time / 2;
        rtt->known = true;
    }
    rtt->doublings = 0;
}

void rtt_timed_out(Rtt *rtt)
{
    if (rtt->doublings < MAX_DOUBLINGS)
        rtt->doublings++;
}

void rtt_forget_timeouts(Rtt *rtt)
{
    rtt->doublings = 0;
}

int64_t rtt_base(const Rtt *rtt)
{
    int64_t time = rtt->initial_us;

    if (rtt->known)
        time = rtt->smoothed_us + larger(granularity_us, 4 * rtt->variation_us);
    time = larger(time, rtt->min_us);
    return time < rtt->max_us ? time : rtt->max_us;
}

int64_t rtt_timeout(const Rtt *rtt)
{
    int64_t time = rtt_base(rtt) << rtt->doublings;

    return time < rtt->max_us ? time : rtt->max_us;
}

int64_t rtt_typical(const Rtt *rtt)
{
    return rtt->known ? rtt->smoothed_us : 0;
}
