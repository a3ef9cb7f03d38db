/* SPDX-License-Identifier: MIT */
/*
 * The life of one battery's readings: link → ask → publish → wait, as an explicit state machine.
 *
 * It owns the 10 s grid, the renewal of the session, the time-outs and the retries. It knows
 * neither D-Bus nor a main loop: time comes from its host and bytes from its link, so that a unit
 * test drives it through a day in a millisecond.
 */
#ifndef BMS_POLLER_H
#define BMS_POLLER_H

#include "device.h"
#include "link.h"
#include "recovery.h"

#include <stdbool.h>
#include <stdint.h>

/** What the poller needs of the program around it. */
typedef struct {
    /** Monotonic time in µs, as the main loop counts it: it stands still while the machine sleeps.
     */
    int64_t (*now)(void *host);
    /** µs since boot, suspend included, in which everything is planned. */
    int64_t (*boot_time)(void *host);
    /** Call poller_wake() at @a when_us of now(), or never for INT64_MAX; replaces the earlier
     * wish. */
    void (*wake_at)(void *host, int64_t when_us);
    /** A complete poll was published. */
    void (*published)(void *host);
    /** A fault occurred; battery->fault and battery->detail describe it. */
    void (*fault)(void *host);
    /** The link's stage changed, or a slot ended. */
    void (*changed)(void *host);
    /** Carries out an action beyond the link (POWER_CYCLE, COMMAND or TELL) for battery->fault.
     * @return whether it was begun; it may be forbidden, limited, or not configured */
    bool (*recover)(void *host, RecoveryAction action);
    /** Bytes are being written to the board, or have come from it. May be NULL. */
    void (*bytes)(void *host, bool sent, const uint8_t *data, size_t size);
} PollerHost;

typedef struct {
    int64_t interval_us; /**< distance of the polls, > 0 */
    int64_t offset_us;   /**< first poll after the start; spreads several batteries apart */
    int64_t renew_us;    /**< age at which a session is renewed; 0 for never */
    bool turns;          /**< the link is not kept from poll to poll */
    uint32_t seed;       /**< for the jitter of the back-off */
} PollerConfig;

typedef struct Poller Poller;

/** The link's events, to be wired to the poller as their user. */
extern const LinkEvents poller_link_events;

/** Neither takes ownership of @a battery nor of @a host; both must outlive it. */
Poller *poller_new(const PollerConfig *config, Device *device, const PollerHost *host_ops,
                   void *host);

/** To be called only while its link is closed. */
void poller_free(Poller *poller);

/** Gives it its link, which must outlive it. Before poller_start(). */
void poller_set_link(Poller *poller, const LinkOps *ops, void *link);

/**
 * Gives it the battery's password, JBD_PASSWORD_SIZE bytes that are copied, or NULL for none. One
 * that was refused before is tried again, should it be the same. May be called at any time.
 */
void poller_set_password(Poller *poller, const uint8_t *password);

void poller_start(Poller *poller);

/** Closes the link and stays quiet. poller_is_stopped() tells when that is done. */
void poller_stop(Poller *poller);
bool poller_is_stopped(const Poller *poller);

/** Another interval, renewal or keeping of the link, from now on; offset and seed stay. No poll is
 * lost, and what was due is due. */
void poller_configure(Poller *poller, const PollerConfig *config);

/** Whether the link is closed after each poll from now on: others need the room, or the battery. No
 * poll is lost. */
void poller_take_turns(Poller *poller, bool turns);

/** Lets go of the battery for @a duration_us, so that another client can connect to it. No poll is
 * due meanwhile. */
void poller_release(Poller *poller, int64_t duration_us);

/** Whether a poll is complete and nothing is left to read until the next one. */
bool poller_is_resting(const Poller *poller);

/** The register that was asked for last: after a fault, the one that was not answered. */
unsigned poller_asked(const Poller *poller);

/** The time last wished for with wake_at() has come. Calling it too early does no harm. */
void poller_wake(Poller *poller);

/**
 * Whether the machine moves: woken when it wished to be, and not stuck in a stage of its link that
 * should long have ended. A battery that is away does not make this false.
 */
bool poller_is_moving(const Poller *poller);

#endif
