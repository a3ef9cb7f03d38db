/* SPDX-License-Identifier: MIT */
/*
 * What a poller needs of a radio, and nothing more: open a link to one battery, write to it, hear
 * its bytes, close it. The bluez part implements it; a unit test or another transport can too.
 */
#ifndef BMS_LINK_H
#define BMS_LINK_H

#include "fault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** How far a link has come. */
typedef enum {
    LINK_CLOSED,
    LINK_WAITING, /**< waiting for the radio: another link is being set up */
    LINK_FINDING, /**< looking for the device, by discovery if BlueZ does not know it */
    LINK_CONNECTING,
    LINK_RESOLVING,   /**< connected, GATT services being discovered */
    LINK_SUBSCRIBING, /**< switching notifications on */
    LINK_UP,          /**< can be written to */
    LINK_CLOSING,
    LINK_N_STAGES
} LinkStage;

/** Short name for a stage ("connecting"). */
const char *link_stage_name(LinkStage stage);

/** What a link tells its user. Called from the main loop; only stage() also from inside an
 * operation. */
typedef struct {
    /** The link has come to @a stage. */
    void (*stage)(void *user, LinkStage stage);
    /** The link is up: notifications are on, write() may be called. */
    void (*up)(void *user);
    /** One notification. */
    void (*chunk)(void *user, const uint8_t *data, size_t size);
    /** The link is closed, for good until the next open(). @a detail may be NULL. */
    void (*down)(void *user, LinkFault fault, const char *detail);
    /** An obstacle is gone, for example an adapter is powered again: try now. */
    void (*kick)(void *user);
} LinkEvents;

/**
 * Operations on a link. None blocks, none calls back before it has returned, but for stage().
 *
 * open() is answered by exactly one up() or down(); each up() is followed by exactly one down().
 * close() may be called at any time after open() and brings down() about, within a bounded time.
 */
typedef struct {
    /** @param afresh first make the system forget the device and rediscover it */
    void (*open)(void *link, bool afresh);
    /** Writes one request, without waiting for it to arrive. Only while the link is up. */
    void (*write)(void *link, const uint8_t *data, size_t size);
    void (*close)(void *link);
    /**
     * The device wants to be paired: has that done when it is next opened. May be NULL.
     * @return LINK_FAULT_NONE, or why not: there is no passkey, or it was refused lately
     */
    LinkFault (*pair)(void *link);
} LinkOps;

#endif
