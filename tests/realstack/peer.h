/* SPDX-License-Identifier: MIT */
/*
 * A JBD board on the air of btvirt: its own HCI host and GATT server.
 *
 *   peer.c           the main loop, the timers, the board
 *   peer_hci.c       the controller: advertising, the link, packets
 *   peer_att.c       requests of the central
 *   peer_gatt.c      the attributes
 *   peer_commands.c  what the test wants
 *
 * Nothing in the kernel or in bluetoothd knows it, so it can do what a board can: be silent, drop
 * the link for any reason, go out of range. One process is one board; several make several boards.
 */
#ifndef REALSTACK_PEER_H
#define REALSTACK_PEER_H

#include "../sim/board.h"
#include "../sim/faults.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEER_PDU_MAX    23 /* the MTU of JBD modules, not negotiable */
#define PEER_ATTRIBUTES 32
#define PEER_DELIVERIES 512
#define PEER_INPUT_MAX  4096

struct attribute {
    uint16_t handle;
    uint16_t type;
    uint8_t length;
    uint8_t value[20];
    bool readable;
};

enum peer_timer {
    TIMER_ADVERTISE, /* switch advertising off and on */
    TIMER_PROBE,     /* ask whether the link is still there */
    TIMER_DROP,
    TIMER_COUNT,
};

/* A notification on its way. */
struct delivery {
    double at;
    uint8_t length;
    uint8_t reg; /* of the answer that ends with it, or 0 */
    uint8_t bytes[BOARD_PIECE_BYTES];
};

struct peer {
    int controller; /* socket */
    uint8_t input[PEER_INPUT_MAX];
    size_t input_used;
    char line[PEER_INPUT_MAX];
    size_t line_used;
    bool ended;
    double timer[TIMER_COUNT]; /* when, or 0 */

    uint8_t address[6]; /* as on the air: the last byte first */
    bool advertising;   /* wanted, while there is no link */
    bool on_air;        /* the controller advertises */
    bool unreachable;   /* out of range */
    bool deaf;          /* ATT requests are not answered */
    bool linked;
    uint16_t handle;
    unsigned occupied; /* handles of other links */
    unsigned links;
    unsigned refuse;       /* so many links are dropped as soon as they are there */
    uint8_t drop_reason;   /* of TIMER_DROP */
    unsigned drop_request; /* drop at this request of the board from now on; 0: never */
    unsigned drop_att;     /* the same for any request on the ATT channel */

    struct attribute attribute[PEER_ATTRIBUTES];
    size_t attributes;
    bool hidden;    /* the board's service is not there */
    uint16_t base;  /* of the board's service: its first handle */
    uint8_t module; /* high byte of its UUIDs, FF or the newer modules' */
    bool subscribed;
    bool changes_wanted; /* Service Changed was subscribed to */

    struct board board;
    struct faults faults;
    struct delivery delivery[PEER_DELIVERIES];
    size_t deliveries;
    unsigned requests, answers;
};

/* ---- peer.c --------------------------------------------------------------------------------- */

double peer_now(void);
void peer_start_timer(struct peer *peer, enum peer_timer timer, double seconds);
void peer_stop_timer(struct peer *peer, enum peer_timer timer);

/** Prints a line "event …". */
void peer_event(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Prints why and ends the process: nothing can be tested after that. */
void peer_fail(const char *why) __attribute__((noreturn));

void peer_link_up(struct peer *peer, uint16_t handle);
void peer_link_down(struct peer *peer, uint8_t reason);

/** The central switched notifications on or off. */
void peer_subscribe(struct peer *peer, bool on);

/** The central wrote to the board. */
void peer_request(struct peer *peer, const uint8_t *bytes, size_t length);

/* ---- peer_hci.c ----------------------------------------------------------------------------- */

/**
 * Connects to btvirt and sets the controller up; waits for it.
 * @param handles how many link handles to leave out
 */
void hci_open(struct peer *peer, const char *path, const char *name, unsigned handles);
void hci_read(struct peer *peer);
void hci_advertise(struct peer *peer, bool on);
void hci_disconnect(struct peer *peer, uint8_t reason);
void hci_probe(struct peer *peer);

/** Sends one ATT PDU. */
void hci_send(struct peer *peer, const uint8_t *pdu, size_t length);

/* ---- peer_att.c ----------------------------------------------------------------------------- */

/** A packet of the central on one of L2CAP's channels. */
void att_packet(struct peer *peer, uint16_t channel, const uint8_t *bytes, size_t length);
void att_notify(struct peer *peer, const uint8_t *bytes, size_t length);

/** Tells a central that wants to know that the attributes have changed. */
void att_services_changed(struct peer *peer);

/* ---- peer_gatt.c ---------------------------------------------------------------------------- */

enum {
    GATT_PRIMARY = 0x2800,
    GATT_CHARACTERISTIC = 0x2803,
    GATT_CCC = 0x2902,
};

/** Fills in the attributes; to be called again when hidden, base or module have changed. */
void gatt_build(struct peer *peer, const char *name);
struct attribute *gatt_find(struct peer *peer, uint16_t handle);

/** The last handle of the service that begins at attribute @p index. */
uint16_t gatt_service_end(const struct peer *peer, size_t index);

uint16_t gatt_notify_handle(const struct peer *peer);
uint16_t gatt_write_handle(const struct peer *peer);
uint16_t gatt_changed_handle(void);

/* ---- peer_commands.c ------------------------------------------------------------------------ */

/** One line of the test, answered by one line. */
void command_line(struct peer *peer, char *line);

#endif
