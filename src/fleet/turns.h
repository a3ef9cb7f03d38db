/* SPDX-License-Identifier: MIT */
/*
 * When batteries take turns because the adapter has no room for all connections, and when to try
 * again to keep them. Only computes.
 *
 *     KEEPING ── no room ──▶ TAKING ── length is over ──▶ TRYING ── length is over ──▶ KEEPING
 *                              ▲                             │
 *                              └────── no room, length × 2 ──┘
 */
#ifndef BMS_TURNS_H
#define BMS_TURNS_H

#include <glib.h>

/** Turns last this many polls at first. A failed attempt to keep connections costs each battery one
 * reconnection, so it should be rare beside the polls. */
enum { TURNS_POLLS = 30 };

/** And this many times as long at most, doubling while the room is found to be short. */
enum { TURNS_MAX_FACTOR = 32 };

typedef enum {
    TURNS_KEEPING, /**< connections are kept from poll to poll */
    TURNS_TAKING,  /**< they are not */
    TURNS_TRYING,  /**< they are kept again, and it is not sure yet that there is room */
} TurnsState;

/** Zeroed at first. */
typedef struct {
    TurnsState state;
    gint64 since_us;  /**< monotonic; when the state began */
    gint64 length_us; /**< of the latest turns, and of the attempt that follows; 0 before them */
} Turns;

/**
 * The adapter has no room for another connection: turns are taken from now on.
 * @param interval_us the longest poll interval
 * @return the state before
 */
TurnsState turns_on_limit(Turns *turns, gint64 now_us, gint64 interval_us);

/** turns_wake_at() has come. @return whether the state has changed */
gboolean turns_on_time(Turns *turns, gint64 now_us);

/** When the state changes by itself, or G_MAXINT64. */
gint64 turns_wake_at(const Turns *turns);

#endif
