/* SPDX-License-Identifier: MIT */
/*
 * A kind of device that can be read: a JBD battery board, for example. The core polls, keeps,
 * judges and serves devices of any kind; what differs between them is in this struct. A kind is a
 * folder in src/, and only src/kinds.c knows which there are.
 */
#ifndef BMS_KIND_H
#define BMS_KIND_H

#include "device.h"
#include "family.h"
#include "likeness.h"

#include <glib.h>

/** One word on the page, as a class of its style sheet ("good", "warn", "bad") and a text. */
typedef struct {
    const char *class;
    const char *text;
} Badge;

/** Something that is read of a device. */
typedef struct {
    const char *name; /**< what --check calls it ("03") */
    bool required;    /**< a poll is complete when all of these were answered */
} KindRead;

struct Kind {
    const char *name;      /**< "jbd" */
    const KindRead *reads; /**< required ones first, ended by a NULL name */

    /* metrics */
    const char *prefix; /**< of the families that every kind has: "bms" */
    const char *label;  /**< of all of them, for the device's name: "battery" */
    /** Names of the ways in which an answer can be of no use; [0] is not used. */
    const char *(*error_name)(unsigned error);
    unsigned n_errors;
    void (*emit_info)(Sink *sink, const Device *device); /**< labels of which device it is */
    const FamilyTable *counters; /**< what stays while the readings are old */
    const FamilyTable *readings;
    const FamilyTable *legacy; /**< the names of a program that it replaces */

    /** Judges a device in the neighbourhood; see likeness_judge(). */
    Likeness (*judge)(const ScanDevice *device, const char **make, GString *why);

    /* for people; only of a device that has readings */
    /** Appends what @a read (an index) has brought, in a few words or none. @return FALSE if it was
     * not answered */
    gboolean (*append_read)(GString *out, const Device *device, unsigned read);
    /** Appends the readings in one line ("8 cells, 26.64 V, …"). */
    void (*append_summary)(GString *out, const Device *device);
    /** The worst that fresh readings say, in one word. */
    Badge (*badge)(const Device *device);
    /** Appends the readings' part of the page's card (HTML), while they are fresh. */
    void (*append_card)(GString *out, const Device *device);
    /** What the device calls its model, as sent; NULL if that is not known. May be asked always. */
    const char *(*model)(const Device *device);
};

/** All of them, ended by NULL. */
extern const Kind *const kinds[];

/** The kind with a name, or NULL. */
const Kind *kind_find(const char *name);

/** The kind of a device for which none is named. */
const Kind *kind_default(void);

#endif
