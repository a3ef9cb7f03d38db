/* SPDX-License-Identifier: MIT */
/*
 * A metric family is a row in a table: its name, what it means and how to get its samples. The
 * tables are chapters of one; whoever adds a metric adds a row, and both formats have it.
 */
#ifndef BMS_EXPORT_FAMILY_H
#define BMS_EXPORT_FAMILY_H

#include "export.h"

typedef enum {
    FAMILY_GAUGE,
    FAMILY_COUNTER,
    FAMILY_INFO,     /**< a gauge of 1 in the text format */
    FAMILY_STATESET, /**< a gauge of 0 or 1 for each state in the text format */
    FAMILY_HISTOGRAM,
    FAMILY_N_TYPES
} FamilyType;

/** When a battery has samples of a family at all. */
typedef enum {
    FAMILY_ALWAYS,
    FAMILY_ONCE_READ,   /**< from the first readings on, for good */
    FAMILY_WHILE_FRESH, /**< measurements: an old value that looks alive is worse than none */
} FamilyWhen;

typedef struct Family Family;

/** Numbers of /proc/self/stat, or −1 if they cannot be had. */
typedef struct {
    int64_t threads;
    int64_t virtual_bytes;
    int64_t resident_pages;
} ProcessStat;

/** To be read once for a whole exposition: the kernel takes its time to make them up. */
void process_read_stat(ProcessStat *stat);

/** Where samples go. */
typedef struct {
    const ExportView *view;
    const ProcessStat *process;
    ExportFormat format;
    GString *out;
    const Family *family;   /**< whose samples are being taken */
    const Battery *battery; /**< whose, or NULL */
    gboolean headed;        /**< the family has had a sample, so its HELP and TYPE are written */
    guint n_labels;         /**< of the sample being written */
} Sink;

struct Family {
    const char *name; /**< as in OpenMetrics: without _total and _info, which the type brings */
    FamilyType type;
    const char *unit; /**< NULL, or what the name ends in */
    FamilyWhen when;
    void (*emit)(Sink *sink, const Battery *battery); /**< for each battery, or … */
    void (*emit_once)(Sink *sink);                    /**< … for the process as a whole */
    unsigned index; /**< for what emit() makes of it where several rows share one */
    const char *help;
};

typedef struct {
    const Family *families;
    size_t n;
    gboolean legacy; /**< names of bms-shed: with a single battery no label tells which */
} FamilyTable;

extern const FamilyTable export_readings;
extern const FamilyTable export_status;
extern const FamilyTable export_legacy;
extern const FamilyTable export_process;

/** At most one label comes with a sample besides the battery's. */
typedef struct {
    const char *name;  /**< NULL for none */
    const char *value; /**< any text */
} SinkLabel;

#define NO_LABEL           ((SinkLabel){NULL, NULL})
#define LABEL(name, value) ((SinkLabel){(name), (value)})

void sink_integer(Sink *sink, SinkLabel label, int64_t value);

/** A sample of @a value × 10^−@a decimals. */
void sink_decimal(Sink *sink, SinkLabel label, int64_t value, unsigned decimals);

/** A sample of a finite number; any other is left out. */
void sink_real(Sink *sink, SinkLabel label, double value);

/** A sample of 1 that is there for its labels. */
void sink_labels(Sink *sink, const SinkLabel *labels, size_t n);

void sink_histogram(Sink *sink, const BatteryHistogram *histogram);

/* What more than one table, and the page, make of readings. */

/** Seconds until full or empty at the present current; −1 while it does not flow that way. */
int64_t readings_seconds_to_full(const JbdBasic *basic);
int64_t readings_seconds_to_empty(const JbdBasic *basic);

enum { READINGS_DATE_SIZE = sizeof "65535-255-255", READINGS_VERSION_SIZE = sizeof "15.15" };

/** "2024-03-18", or "" where the board does not tell. */
void readings_format_date(char text[READINGS_DATE_SIZE], const JbdBasic *basic);

/** "2.10" */
void readings_format_version(char text[READINGS_VERSION_SIZE], const JbdBasic *basic);

#endif
