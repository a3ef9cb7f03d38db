/* SPDX-License-Identifier: MIT */
/*
 * What a poller needs of a radio, and nothing more: open a link to one battery, write to it, hear
 * its bytes, close it. The bluez part implements it; a unit test or another transport can too.
 */
#ifndef BMS_LINK_H
#define BMS_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** How far a link has come. */
typedef enum {
    LINK_CLOSED,
    LINK_WAITING, /**< for the radio: another link is being set up */
    LINK_FINDING, /**< looking for the device, by discovery if BlueZ does not know it */
    LINK_CONNECTING,
    LINK_RESOLVING,   /**< connected, GATT services being discovered */
    LINK_SUBSCRIBING, /**< switching notifications on */
    LINK_UP,          /**< can be written to */
    LINK_CLOSING,
    LINK_N_STAGES
} LinkStage;

/** Why a link could not be had, or is no more. */
typedef enum {
    LINK_FAULT_NONE,        /**< closed because link->close() was called */
    LINK_FAULT_BUS,         /**< no D-Bus system bus */
    LINK_FAULT_BLUEZ,       /**< nobody owns org.bluez: bluetoothd is not running, or has gone */
    LINK_FAULT_HUNG,        /**< bluetoothd does not answer */
    LINK_FAULT_DENIED,      /**< the bus does not let us talk to bluetoothd */
    LINK_FAULT_ADAPTER,     /**< no such adapter */
    LINK_FAULT_ADAPTER_OFF, /**< the adapter is not powered */
    LINK_FAULT_NOT_FOUND,   /**< not seen in a discovery */
    LINK_FAULT_TIMEOUT,     /**< connecting took too long */
    LINK_FAULT_REFUSED,     /**< connecting failed */
    LINK_FAULT_LIMIT,       /**< the adapter holds as many links as it can */
    LINK_FAULT_RESOLVE,     /**< connected, but its services did not come */
    LINK_FAULT_SERVICE,     /**< has none of the services a JBD board has */
    LINK_FAULT_SUBSCRIBE,   /**< notifications could not be switched on */
    LINK_FAULT_WRITE,       /**< writing failed although the link is there */
    LINK_FAULT_LOST,        /**< the connection broke */
    /* On a link that is up, found out by whoever talks over it: */
    LINK_FAULT_SILENT,  /**< requests are not answered */
    LINK_FAULT_ECHO,    /**< requests come back instead of answers */
    LINK_FAULT_NOISE,   /**< answers come damaged */
    LINK_FAULT_REFUSES, /**< the board answers that it will not */
    LINK_FAULT_FOREIGN, /**< it speaks another protocol */
    /* It lets only those in who know a secret: */
    LINK_FAULT_PASSWORD_WANTED, /**< and none is known */
    LINK_FAULT_PASSWORD_WRONG,  /**< it refuses the password */
    LINK_FAULT_PAIRING_WANTED,  /**< it wants to be paired, and no passkey is known */
    LINK_FAULT_PAIRING,         /**< pairing failed */
    LINK_N_FAULTS
} LinkFault;

/** Short name for labels ("not_found"). */
const char *link_fault_name(LinkFault fault);

/** What a person should read ("not found: out of range, or another app holds the connection"). */
const char *link_fault_text(LinkFault fault);

/** What a person can do about it, a command where there is one; NULL where nothing is known to
 * help. */
const char *link_fault_remedy(LinkFault fault);

/** Whether it stands in the way of every link: the bus, bluetoothd or the adapter. */
bool link_fault_is_general(LinkFault fault);

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
    /** Something that stood in the way has gone (an adapter is on again): worth trying now. */
    void (*kick)(void *user);
} LinkEvents;

/**
 * Operations on a link. None blocks, none calls back before it has returned, but for stage().
 *
 * open() is answered by exactly one up() or down(); each up() is followed by exactly one down().
 * close() may be called at any time after open() and brings down() about, within a bounded time.
 */
typedef struct {
    /** @param afresh forget first what the system remembers of the device, and find it anew */
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
