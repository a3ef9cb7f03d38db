/* SPDX-License-Identifier: MIT */
/*
 * The configuration file: the options of the command line, one group for the program and one for
 * each battery.
 *
 *     [exporter]
 *     web.listen-address = :8000; [::1]:9000
 *     recover.power-cycle = true
 *
 *     [A4:C1:38:01:02:03]
 *     name = house
 *     poll.interval = 5s
 */
#ifndef BMS_CONFIG_H
#define BMS_CONFIG_H

#include <glib.h>

/** A battery as it is written down; nothing is checked. All but the address may be NULL. */
typedef struct {
    char *address;
    char *name;
    char *interval;
    char *renew;
} ConfigDevice;

typedef struct {
    GPtrArray *words;   /**< of char *, for a command line: "--web.listen-address=:8000" */
    GPtrArray *devices; /**< of ConfigBattery, in the order of the file */
} Config;

/**
 * Reads the file, without ever waiting for it.
 * @param entries the options that there are
 * @return NULL with @a error, whose message begins with the path
 */
Config *config_read(const char *path, const GOptionEntry *entries, GError **error);
void config_free(Config *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Config, config_free)

#endif
