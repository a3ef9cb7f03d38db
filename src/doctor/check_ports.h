/* SPDX-License-Identifier: MIT */
/* --check: the addresses to listen on, and what a bms-exporter that serves there says. */
#ifndef BMS_CHECK_PORTS_H
#define BMS_CHECK_PORTS_H

#include "cli/options.h"
#include "fault.h"
#include "report.h"

typedef struct CheckPorts CheckPorts;

/** What a running service says of a battery. */
typedef enum {
    SERVICE_UNKNOWN, /**< nothing */
    SERVICE_READS,   /**< its readings are fresh */
    SERVICE_FAILS,   /**< it is to read the battery, and has no fresh readings */
} ServiceView;

/**
 * Looks at each listen address of @a options, which must outlive it, and asks who serves on those
 * that are taken, for up to 3 s each.
 * @param done called once, from the main loop, when all are known; not after check_ports_free()
 */
CheckPorts *check_ports_new(const Options *options, void (*done)(void *user), void *user);

/** Not to be followed by another turn of the main loop before done() was called. */
void check_ports_free(CheckPorts *ports);

/** A line for each address. */
void check_ports_tell(const CheckPorts *ports, Report *report);

/**
 * What a bms-exporter says that serves on one of the addresses.
 * @param address of the battery
 * @param where set to the listen address, valid as long as @a ports, or NULL for SERVICE_UNKNOWN
 * @param fault set to what the service finds in its way, or LINK_FAULT_NONE
 */
ServiceView check_ports_view(const CheckPorts *ports, const char *address, const char **where,
                             LinkFault *fault);

#endif
