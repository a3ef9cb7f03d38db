/* SPDX-License-Identifier: MIT */
/*
 * What is exported and how it is written: one table of metrics, two renderers (the Prometheus text
 * format 0.0.4 and OpenMetrics 1.0), and the page for people. It knows nothing of HTTP but the
 * names of its content types.
 */
#ifndef BMS_EXPORT_H
#define BMS_EXPORT_H

#include "device.h"

#include <glib.h>

/** What may be a board, found while no battery is configured. Text from outside. */
typedef struct {
    char address[DEVICE_ADDRESS_SIZE];
    char *name;      /**< as it calls itself, or "-" */
    char *why;       /**< what speaks for a board */
    gboolean likely; /**< else it may be another thing */
    int rssi;        /**< dBm, or 0 if it was not heard */
} ExportBoard;

/** What there is to show while no battery is configured. */
typedef struct {
    const char *state;    /**< what is done about it, or in the way; a sentence */
    const char *settings; /**< the file that @a line belongs in */
    const char *line;
    const char *restart; /**< the command to run then */
    const ExportBoard *const *boards;
    size_t n_boards;
} ExportFirstRun;

/** Everything that a rendering shows. */
typedef struct {
    const Device *const *devices;
    size_t n_devices;
    const ExportFirstRun *first_run; /**< NULL once there are devices */
    gboolean legacy;                 /**< also the names of bms-shed */
    int64_t now_us;                  /**< since boot, suspend included: decides what is fresh */
    int64_t started_us;              /**< when this process started, since boot */
    int64_t boot_unix_us; /**< Unix time of the boot: makes Unix time of what is since boot */
} ExportView;

typedef enum {
    EXPORT_TEXT,        /**< text/plain; version=0.0.4 */
    EXPORT_OPENMETRICS, /**< application/openmetrics-text; version=1.0.0 */
} ExportFormat;

/** The format that an HTTP Accept header (or NULL) prefers; EXPORT_TEXT in doubt. */
ExportFormat export_negotiate(const char *accept);

const char *export_content_type(ExportFormat format);

/** Whether @a text becomes a label that says the same: valid UTF-8 without control characters.
 * Others are exported with U+FFFD in their place, and may become equal. */
gboolean export_is_verbatim(const char *text);

/** Appends the whole exposition to @a out. */
void export_metrics(const ExportView *view, ExportFormat format, GString *out);

/** Appends the page that a person sees at / (HTML, UTF-8). */
void export_page(const ExportView *view, GString *out, const char *telemetry_path);

#endif
