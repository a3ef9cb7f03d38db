/* SPDX-License-Identifier: MIT */
/*
 * Everything that can keep a battery from being read, and what each of it means: one table, which
 * the recovery, the log, the page, the metrics and --check all ask. Only computes.
 */
#ifndef BMS_FAULT_H
#define BMS_FAULT_H

#include <stdbool.h>
#include <stdint.h>

/** Why a link could not be opened, or was lost, or carries no readings. */
typedef enum {
    LINK_FAULT_NONE,        /**< closed because link->close() was called */
    LINK_FAULT_BUS,         /**< no D-Bus system bus */
    LINK_FAULT_BLUEZ,       /**< nobody owns org.bluez: bluetoothd is not running */
    LINK_FAULT_HUNG,        /**< bluetoothd does not answer */
    LINK_FAULT_DENIED,      /**< the bus does not let us talk to bluetoothd */
    LINK_FAULT_ADAPTER,     /**< no such adapter */
    LINK_FAULT_ADAPTER_OFF, /**< the adapter is not powered */
    LINK_FAULT_NOT_FOUND,   /**< not seen in a discovery */
    LINK_FAULT_TIMEOUT,     /**< connecting took too long */
    LINK_FAULT_REFUSED,     /**< connecting failed */
    LINK_FAULT_BREDR,       /**< bluetoothd tried classic Bluetooth instead of LE */
    LINK_FAULT_LIMIT,       /**< the adapter holds as many links as it can */
    LINK_FAULT_CONTESTED,   /**< another program on this machine has the link */
    LINK_FAULT_RESOLVE,     /**< connected, but its services were not resolved */
    LINK_FAULT_SERVICE,     /**< has none of the services a JBD board has */
    LINK_FAULT_SUBSCRIBE,   /**< notifications could not be switched on */
    LINK_FAULT_LOCKED,      /**< another client of bluetoothd has acquired the notifications */
    LINK_FAULT_WRITE,       /**< writing failed although the link is there */
    LINK_FAULT_LOST,        /**< the connection broke */
    /* Detected by the poller on a link that is up: */
    LINK_FAULT_SILENT,    /**< requests are not answered */
    LINK_FAULT_SLOW,      /**< answers take longer than the poll interval allows */
    LINK_FAULT_ECHO,      /**< requests come back instead of answers */
    LINK_FAULT_NOISE,     /**< answers arrive corrupted */
    LINK_FAULT_MALFORMED, /**< answers are sound, but their content is not what it should be */
    LINK_FAULT_REFUSES,   /**< the board answers with an error status */
    LINK_FAULT_FOREIGN,   /**< it speaks another protocol */
    /* The board requires a secret: */
    LINK_FAULT_PASSWORD_WANTED, /**< it requires a password, and none is known */
    LINK_FAULT_PASSWORD_WRONG,  /**< it refuses the password */
    LINK_FAULT_PAIRING_WANTED,  /**< it requires pairing, and no passkey is known */
    LINK_FAULT_PAIRING,         /**< pairing failed */
    LINK_N_FAULTS
} LinkFault;

/** Where the fault lies. Those up to FAULT_LAYER_POWER block every link. */
typedef enum {
    FAULT_LAYER_NONE,
    FAULT_LAYER_BUS,        /**< the D-Bus system bus */
    FAULT_LAYER_BLUETOOTHD, /**< the daemon */
    FAULT_LAYER_POLICY,     /**< what the bus or a security module permits */
    FAULT_LAYER_ADAPTER,
    FAULT_LAYER_POWER,      /**< the adapter is not powered */
    FAULT_LAYER_CONNECTION, /**< the connection to this device */
    FAULT_LAYER_TALK,       /**< the protocol over a link that is up */
    FAULT_LAYER_SECRET,     /**< password or pairing */
} FaultLayer;

/** Why a GATT session was begun, that is, how the one before it ended: label of
 * bms_link_sessions_total. */
typedef enum {
    SESSION_START,     /**< the first one */
    SESSION_RENEWAL,   /**< the regular renewal */
    SESSION_STALL,     /**< connected, but requests went unanswered */
    SESSION_LINK_LOSS, /**< the connection broke */
    SESSION_ADAPTER,   /**< the adapter was off or gone */
    SESSION_TURN,      /**< links are not kept from poll to poll */
    SESSION_RELEASE,   /**< it was released for another client */
    SESSION_BLUEZ,     /**< bluetoothd or the bus was gone */
    SESSION_N_REASONS
} SessionReason;

/** Name for the label ("link_loss"). */
const char *session_reason_name(SessionReason reason);

/** A row of the table: what a fault means to each part of the program. */
typedef struct {
    const char *name;      /**< for labels ("not_found") */
    const char *text;      /**< what a person reads ("not found: out of range, …") */
    const char *remedy;    /**< what a person can do, a command where there is one, or NULL */
    bool removal_helps;    /**< the remedy has bluetoothd forget the device */
    FaultLayer layer;      /**< where it lies */
    SessionReason session; /**< what the next session is counted under if this ended one */

    /* The ladder of recovery (recovery.h). Failures are counted from 1 since the latest complete
     * poll, and from 1 again after the top of the ladder. */
    uint8_t remove_from; /**< from this failure to the 3rd, BlueZ forgets the device; 0: never */
    uint8_t tell_at;     /**< the failure at which a person is told; 0: at the top */
    bool cycle;          /**< switching the adapter off and on may help */
    bool command;        /**< the operator's command may help */

    bool hopeless;  /**< waiting does not help: --once and --check give up */
    bool transient; /**< a single one is no evidence: --check tries again before it reports it */
} FaultTraits;

/** The row of a fault. */
const FaultTraits *link_fault_traits(LinkFault fault);

/* Its columns that are asked for most. */

const char *link_fault_name(LinkFault fault);
const char *link_fault_text(LinkFault fault);

/** Contains "ADDRESS" as a placeholder for the battery's address; fault_remedy_fill() replaces
 * it. */
const char *link_fault_remedy(LinkFault fault);

/** Room for any remedy of the table, filled in. */
enum { FAULT_REMEDY_SIZE = 256 };

/**
 * Makes a remedy that can be typed: @a address stands in it in place of "ADDRESS".
 * @param remedy NULL for none; what does not fit into @a buffer is cut off
 * @return @a buffer, or NULL for none
 */
const char *fault_remedy_fill(const char *remedy, const char *address,
                              char buffer[FAULT_REMEDY_SIZE]);

/** Whether it blocks every link: the bus, bluetoothd or the adapter. */
bool link_fault_is_general(LinkFault fault);

#endif
