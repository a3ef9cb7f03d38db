/* SPDX-License-Identifier: MIT */
/*
 * How long a peer takes to answer, learnt from its answers. Only computes.
 *
 * The estimate is that of TCP (RFC 6298, section 2). With R a measured time:
 *
 *     first R:    SRTT = R                             RTTVAR = R / 2
 *     each next:  RTTVAR = 3/4 RTTVAR + 1/4 |SRTT - R|   SRTT = 7/8 SRTT + 1/8 R
 *     time-out:   SRTT + max(G, 4 RTTVAR), within the bounds, doubled for each time-out in a row
 *
 * The doubling lasts until the next measured time. Only a time that is certain may be measured
 * (Karn's algorithm): of an answer that may be that to either of two requests nobody knows it.
 * While no time is certain the doubling makes the time-out so long that the next request is not
 * repeated, and its answer is.
 */
#ifndef BMS_RTT_H
#define BMS_RTT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int64_t initial_us; /**< time-out before anything was measured */
    int64_t min_us;
    int64_t max_us;
    int64_t smoothed_us;  /**< SRTT; meaningful if known */
    int64_t variation_us; /**< RTTVAR; meaningful if known */
    bool known;           /**< something was measured */
    unsigned doublings;   /**< time-outs since then */
} Rtt;

/** A peer of which nothing is known. min_us <= initial_us <= max_us. */
void rtt_init(Rtt *rtt, int64_t initial_us, int64_t min_us, int64_t max_us);

/** A request was answered after @a time_us, certainly. Negative times count as 0. */
void rtt_measured(Rtt *rtt, int64_t time_us);

/** A request was not answered within the time-out. */
void rtt_timed_out(Rtt *rtt);

/** What timed out says nothing about the peer's speed: it was not there. */
void rtt_forget_timeouts(Rtt *rtt);

/** How long to wait for an answer before the request is repeated, in µs. */
int64_t rtt_timeout(const Rtt *rtt);

/** The same without the doublings. */
int64_t rtt_base(const Rtt *rtt);

/** How long an answer takes as a rule, in µs; 0 while nothing is known. */
int64_t rtt_typical(const Rtt *rtt);

#endif
