/* SPDX-License-Identifier: MIT */
/*
 * The two formats: the Prometheus text format 0.0.4 and OpenMetrics 1.0.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 * https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md
 *
 * They differ in the names of families, in the types they know, and in details of HELP, UNIT and
 * EOF; samples are the same bytes in both. Nothing is allocated for a sample but room in the
 * output.
 */
#include "escape.h"
#include "family.h"
#include "number.h"

#include <math.h>

static const FamilyTable *const tables[] = {
    &export_status,
    &export_readings,
    &export_legacy,
    &export_process,
};

static const struct {
    const char *text;
    const char *openmetrics;
    const char *suffix; /**< of its samples; in the text format of its family too */
} types[FAMILY_N_TYPES] = {
    [FAMILY_GAUGE] = {"gauge", "gauge", ""},
    [FAMILY_COUNTER] = {"counter", "counter", "_total"},
    [FAMILY_INFO] = {"gauge", "info", "_info"},
    [FAMILY_STATESET] = {"gauge", "stateset", ""},
    [FAMILY_HISTOGRAM] = {"histogram", "histogram", ""},
};

/* ---- the head of a family ------------------------------------------------------------------ */

static void append_head_name(Sink *sink, const char *keyword)
{
    g_string_append(sink->out, keyword);
    g_string_append(sink->out, sink->family->name);
    if (sink->format == EXPORT_TEXT)
        g_string_append(sink->out, types[sink->family->type].suffix);
    g_string_append_c(sink->out, ' ');
}

/** Written with the first sample, because a family without samples is not mentioned. */
static void append_head(Sink *sink)
{
    const Family *family = sink->family;
    const gboolean openmetrics = sink->format == EXPORT_OPENMETRICS;

    append_head_name(sink, "# HELP ");
    (openmetrics ? escape_label : escape_help)(sink->out, family->help);
    g_string_append_c(sink->out, '\n');

    append_head_name(sink, "# TYPE ");
    g_string_append(sink->out,
                    openmetrics ? types[family->type].openmetrics : types[family->type].text);
    g_string_append_c(sink->out, '\n');

    if (openmetrics && family->unit) {
        append_head_name(sink, "# UNIT ");
        g_string_append(sink->out, family->unit);
        g_string_append_c(sink->out, '\n');
    }
}

/* ---- samples ------------------------------------------------------------------------------- */

static void append_label(Sink *sink, const char *name, const char *value)
{
    g_string_append_c(sink->out, sink->n_labels++ == 0 ? '{' : ',');
    g_string_append(sink->out, name);
    g_string_append_len(sink->out, "=\"", 2);
    escape_label(sink->out, value);
    g_string_append_c(sink->out, '"');
}

static void begin_sample(Sink *sink, const char *suffix)
{
    if (!sink->headed)
        append_head(sink);
    sink->headed = TRUE;
    sink->n_labels = 0;
    g_string_append(sink->out, sink->family->name);
    g_string_append(sink->out, suffix);
    if (sink->battery)
        append_label(sink, "battery", sink->battery->name);
}

static void end_labels(Sink *sink)
{
    if (sink->n_labels > 0)
        g_string_append_c(sink->out, '}');
    g_string_append_c(sink->out, ' ');
}

/** Everything of a sample before its value. */
static void append_series(Sink *sink, const char *suffix, SinkLabel label)
{
    begin_sample(sink, suffix);
    if (label.name)
        append_label(sink, label.name, label.value);
    end_labels(sink);
}

void sink_decimal(Sink *sink, SinkLabel label, int64_t value, unsigned decimals)
{
    append_series(sink, types[sink->family->type].suffix, label);
    number_append_decimal(sink->out, value, decimals);
    g_string_append_c(sink->out, '\n');
}

void sink_integer(Sink *sink, SinkLabel label, int64_t value)
{
    sink_decimal(sink, label, value, 0);
}

void sink_real(Sink *sink, SinkLabel label, double value)
{
    if (!isfinite(value))
        return;
    append_series(sink, types[sink->family->type].suffix, label);
    number_append_real(sink->out, value);
    g_string_append_c(sink->out, '\n');
}

void sink_labels(Sink *sink, const SinkLabel *labels, size_t n)
{
    begin_sample(sink, types[sink->family->type].suffix);
    for (size_t i = 0; i < n; i++)
        append_label(sink, labels[i].name, labels[i].value);
    end_labels(sink);
    g_string_append(sink->out, "1\n");
}

/* OpenMetrics wants "1.0"; the text format does not care, and the series stay the same whichever of
 * the two a server asks for. */
static void append_bucket(Sink *sink, const char *bound, uint64_t count)
{
    append_series(sink, "_bucket", LABEL("le", bound));
    number_append_decimal(sink->out, (int64_t)count, 0);
    g_string_append_c(sink->out, '\n');
}

void sink_histogram(Sink *sink, const BatteryHistogram *histogram)
{
    uint64_t cumulative = 0;

    for (size_t i = 0; i < BATTERY_N_BUCKETS; i++) {
        cumulative += histogram->bucket[i];
        append_bucket(sink, battery_duration_bounds[i].text, cumulative);
    }
    append_bucket(sink, "+Inf", histogram->count);

    append_series(sink, "_sum", NO_LABEL);
    number_append_real(sink->out, histogram->sum);
    g_string_append_c(sink->out, '\n');
    append_series(sink, "_count", NO_LABEL);
    number_append_decimal(sink->out, (int64_t)histogram->count, 0);
    g_string_append_c(sink->out, '\n');
}

/* ---- the whole ----------------------------------------------------------------------------- */

static gboolean is_due(const Family *family, const Battery *battery, const ExportView *view)
{
    switch (family->when) {
    case FAMILY_ALWAYS:
        return TRUE;
    case FAMILY_ONCE_READ:
        return battery->has_readings;
    case FAMILY_WHILE_FRESH:
        return battery_is_fresh(battery, view->now_us);
    }
    return FALSE;
}

/** @param sink what all families have in common */
static void append_family(Sink sink, const Family *family, gboolean legacy)
{
    const ExportView *view = sink.view;

    sink.family = family;
    if (family->emit_once)
        family->emit_once(&sink);
    if (!family->emit)
        return;
    for (size_t i = 0; i < view->n_batteries; i++) {
        const Battery *battery = view->batteries[i];

        sink.battery = legacy && view->n_batteries == 1 ? NULL : battery;
        if (is_due(family, battery, view))
            family->emit(&sink, battery);
    }
}

void export_metrics(const ExportView *view, ExportFormat format, GString *out)
{
    ProcessStat process;
    const Sink sink = {.view = view, .process = &process, .format = format, .out = out};

    process_read_stat(&process);
    for (size_t t = 0; t < G_N_ELEMENTS(tables); t++) {
        if (tables[t]->legacy && !view->legacy)
            continue;
        for (size_t i = 0; i < tables[t]->n; i++)
            append_family(sink, &tables[t]->families[i], tables[t]->legacy);
    }
    if (format == EXPORT_OPENMETRICS)
        g_string_append(out, "# EOF\n");
}
