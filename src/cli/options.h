/* SPDX-License-Identifier: MIT */
/* The command line: what can be said on it, and whether it makes sense. */
#ifndef BMS_OPTIONS_H
#define BMS_OPTIONS_H

#include "kind.h"
#include "log.h"

#include <glib.h>

/** A battery as given: ADDRESS[=NAME]. */
typedef struct {
    const Kind *kind;
    char address[18]; /**< upper case */
    char *name;       /**< NULL for the address */
    gint64 interval_us;
    gint64 renew_us; /**< 0 for never */
} DeviceSpec;

/** Whether links are kept from poll to poll. */
typedef enum {
    LINK_MODE_AUTO, /**< until the adapter has no room for another one */
    LINK_MODE_KEEP,
    LINK_MODE_PER_POLL,
} LinkMode;

typedef struct {
    GPtrArray *devices; /**< of DeviceSpec, at least one unless scan_us or check is set, or a
                           service manager started us */
    char **listen;      /**< at least one, each checked */
    char *telemetry_path;
    char *password_file; /**< or NULL */
    char *adapter;       /**< "hciN", an address in upper case, or NULL */
    gint64 interval_us;
    gint64 renew_us; /**< 0 for never */
    LinkMode link_mode;
    gint64 release_us;
    LogLevel log_level;
    gboolean legacy;
    gboolean once;
    gboolean power_cycle;
    char *recover_command; /**< checked, or NULL */
    char **argv;           /**< the command line, to be parsed again */
    gint64 scan_us;        /**< --scan: how long; 0 if it was not asked for */
    gboolean check;        /**< --check; there may be no battery */
} Options;

/** What is to be done next. */
typedef enum { OPTIONS_RUN, OPTIONS_DONE, OPTIONS_WRONG } OptionsOutcome;

/**
 * Parses the command line and the file that it may name. --help and --version print and give
 * OPTIONS_DONE. For OPTIONS_WRONG one line on stderr has told what is wrong and what would be
 * right.
 * @param argv ended by NULL
 */
OptionsOutcome options_parse(Options *options, char **argv);

/** Parses the same again, now that the file may say something else.
 * @return FALSE with @a error, and @a options as they were */
gboolean options_reload(Options *options, GError **error);

void options_clear(Options *options);

#endif
