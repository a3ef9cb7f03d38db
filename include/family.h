/* SPDX-License-Identifier: MIT */
/*
 * A metric family is a row in a table: its name, what it means and how to get its samples. The
 * tables are chapters of one; whoever adds a metric adds a row, and both formats have it.
 */
#ifndef BMS_FAMILY_H
#define BMS_FAMILY_H

#include "export.h"

#include <math.h>

typedef enum {
    FAMILY_GAUGE,
    FAMILY_COUNTER,
    FAMILY_INFO,     /**< a gauge of 1 in the text format */
    FAMILY_STATESET, /**< a gauge of 0 or 1 for each state in the text format */
    FAMILY_HISTOGRAM,
    FAMILY_N_TYPES
} FamilyType;

/** When a device has samples of a family at all. */
typedef enum {
    FAMILY_ALWAYS,
    FAMILY_ONCE_READ,   /**< from the first readings on */
    FAMILY_WHILE_FRESH, /**< measurements: an old value that looks alive is worse than none */
} FamilyWhen;

typedef struct Family Family;

/** At most one label comes with a sample besides the device's. */
typedef struct {
    const char *name;  /**< NULL for none */
    const char *value; /**< any text, unless it is plain */
    gboolean plain;    /**< value is a constant of ours that needs no escaping in any format */
} SinkLabel;

#define NO_LABEL           ((SinkLabel){NULL, NULL, TRUE})
#define LABEL(name, value) ((SinkLabel){(name), (value), TRUE})

/** The value of a sample. */
typedef struct {
    gboolean is_real;
    unsigned decimals; /**< integer × 10^−decimals */
    int64_t integer;
    double real;
} Number;

/** Numbers of /proc/self/stat, or −1 if they cannot be had. */
typedef struct {
    int64_t threads;
    int64_t virtual_bytes;
    int64_t resident_pages;
} ProcessStat;

/** To be read once for a whole exposition: the kernel takes its time to make them up. */
void process_read_stat(ProcessStat *stat);

typedef struct Sink Sink;

/** A visitor: rows say what there is, a sink says where it goes. */
typedef struct {
    void (*sample)(Sink *sink, SinkLabel label, Number number);
    /** A sample of 1 that is there for its labels. */
    void (*labels)(Sink *sink, const SinkLabel *labels, size_t n);
    void (*histogram)(Sink *sink, const DeviceHistogram *histogram);
} SinkOps;

struct Sink {
    const SinkOps *ops;
    const ExportView *view;
    const ProcessStat *process;
    const Family *family; /**< the family whose samples are being visited */
    const char *prefix;   /**< prefix of the family's name, or NULL if that is complete */
    const char *label;    /**< name of the label that holds the device's name */
    const Device *device; /**< the device they belong to, or NULL if no label names one */
};

struct Family {
    /** As in OpenMetrics: without _total and _info, which the type brings. Without the kind's
     * prefix in the table of what every kind has. */
    const char *name;
    FamilyType type;
    const char *unit; /**< NULL, or what the name ends in */
    FamilyWhen when;
    void (*emit)(Sink *sink, const Device *device); /**< for each device, or … */
    void (*emit_once)(Sink *sink);                  /**< … for the process as a whole */
    unsigned index; /**< for what emit() makes of it where several rows share one */
    const char *help;
};

typedef struct {
    const Family *families;
    size_t n;
} FamilyTable;

extern const FamilyTable export_common;   /**< of each kind of device */
extern const FamilyTable export_exporter; /**< of this program */
extern const FamilyTable export_process;

/** Takes the samples of all families that are due into @a sink, in the order of the tables. */
void families_visit(Sink *sink);

/* For rows. */

static inline void sink_decimal(Sink *sink, SinkLabel label, int64_t value, unsigned decimals)
{
    sink->ops->sample(sink, label, (Number){.decimals = decimals, .integer = value});
}

static inline void sink_integer(Sink *sink, SinkLabel label, int64_t value)
{
    sink_decimal(sink, label, value, 0);
}

/** A sample of a finite number; any other is left out. */
static inline void sink_real(Sink *sink, SinkLabel label, double value)
{
    if (isfinite(value))
        sink->ops->sample(sink, label, (Number){.is_real = TRUE, .real = value});
}

/** A sample of the Unix time, in s, of a moment since boot. */
static inline void sink_moment(Sink *sink, SinkLabel label, int64_t boot_us)
{
    sink_real(sink, label, (double)(boot_us + sink->view->boot_unix_us) / 1e6);
}

static inline void sink_labels(Sink *sink, const SinkLabel *labels, size_t n)
{
    sink->ops->labels(sink, labels, n);
}

static inline void sink_histogram(Sink *sink, const DeviceHistogram *histogram)
{
    sink->ops->histogram(sink, histogram);
}

#endif
