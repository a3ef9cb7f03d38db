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
#include "family.h"
#include "text/append.h"
#include "text/escape.h"
#include "text/number.h"

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

enum { HEADS_SIZE = 10 * 1024, DEVICE_SIZE = 12 * 1024 };

typedef struct {
    Sink sink;
    gboolean openmetrics;
    GString *out;
    const Family *headed; /**< the family whose HELP and TYPE were written last */
    /* How the latest sample begins in out: name, suffix and the battery's label. Those of the same
     * family and battery begin with the same bytes, and copying them is cheapest. */
    gsize begin;
    gsize begin_size;
    const Family *begin_family;
    const Device *begin_device;
    const char *begin_suffix;
} TextSink;

/* ---- the head of a family ------------------------------------------------------------------ */

static void append_name(TextSink *text)
{
    const Sink *sink = &text->sink;

    if (sink->prefix) {
        text_append(text->out, sink->prefix);
        if (sink->family->name[0] != '\0')
            text_append_c(text->out, '_');
    }
    text_append(text->out, sink->family->name);
}

static void append_head_name(TextSink *text, const char *keyword)
{
    const Family *family = text->sink.family;

    text_append(text->out, keyword);
    append_name(text);
    if (!text->openmetrics)
        text_append(text->out, types[family->type].suffix);
    text_append_c(text->out, ' ');
}

/** Written with the first sample, because a family without samples is not mentioned. */
static void append_head(TextSink *text)
{
    const Family *family = text->sink.family;

    append_head_name(text, "# HELP ");
    text_append(text->out, family->help); /* ours; a test says that it needs no escaping */
    text_append_c(text->out, '\n');

    append_head_name(text, "# TYPE ");
    text_append(text->out,
                text->openmetrics ? types[family->type].openmetrics : types[family->type].text);
    text_append_c(text->out, '\n');

    if (text->openmetrics && family->unit) {
        append_head_name(text, "# UNIT ");
        text_append(text->out, family->unit);
        text_append_c(text->out, '\n');
    }
    text->headed = family;
}

/* ---- samples ------------------------------------------------------------------------------- */

static void append_label(GString *out, char before, SinkLabel label)
{
    text_append_c(out, before);
    text_append(out, label.name);
    text_append_len(out, "=\"", 2);
    if (label.plain)
        text_append(out, label.value);
    else
        escape_label(out, label.value);
    text_append_c(out, '"');
}

static gboolean begins_alike(const TextSink *text, const char *suffix)
{
    return text->begin_family == text->sink.family && text->begin_device == text->sink.device &&
           text->begin_suffix == suffix;
}

/** Name, suffix and the battery's label. @return what comes before the next label */
static char begin_sample(TextSink *text, const char *suffix)
{
    const Device *device = text->sink.device;
    GString *out = text->out;

    if (begins_alike(text, suffix)) {
        text_reserve(out, text->begin_size); /* first, for it may move what is copied */
        text_append_len(out, out->str + text->begin, text->begin_size);
        return device ? ',' : '{';
    }
    if (text->headed != text->sink.family)
        append_head(text);
    text->begin = out->len;
    append_name(text);
    text_append(out, suffix);
    if (device)
        append_label(out, '{', (SinkLabel){text->sink.label, device->name, FALSE});
    text->begin_size = out->len - text->begin;
    text->begin_family = text->sink.family;
    text->begin_device = device;
    text->begin_suffix = suffix;
    return device ? ',' : '{';
}

/** Everything of a sample before its value. */
static void append_series(TextSink *text, const char *suffix, SinkLabel label)
{
    const char next = begin_sample(text, suffix);

    if (label.name)
        append_label(text->out, next, label);
    if (label.name || next == ',')
        text_append_len(text->out, "} ", 2);
    else
        text_append_c(text->out, ' ');
}

static void append_integer_sample(TextSink *text, const char *suffix, SinkLabel label,
                                  uint64_t value)
{
    append_series(text, suffix, label);
    number_append_decimal(text->out, (int64_t)value, 0);
    text_append_c(text->out, '\n');
}

static void text_sample(Sink *sink, SinkLabel label, Number number)
{
    TextSink *text = (TextSink *)sink;

    append_series(text, types[sink->family->type].suffix, label);
    if (number.is_real)
        number_append_real(text->out, number.real);
    else
        number_append_decimal(text->out, number.integer, number.decimals);
    text_append_c(text->out, '\n');
}

static void text_labels(Sink *sink, const SinkLabel *labels, size_t n)
{
    TextSink *text = (TextSink *)sink;
    char next = begin_sample(text, types[sink->family->type].suffix);

    for (size_t i = 0; i < n; i++, next = ',')
        append_label(text->out, next, labels[i]);
    text_append(text->out, next == ',' ? "} 1\n" : " 1\n");
}

/* OpenMetrics wants "1.0"; the text format does not care, and the series stay the same whichever of
 * the two a server asks for. */
static void text_histogram(Sink *sink, const DeviceHistogram *histogram)
{
    TextSink *text = (TextSink *)sink;
    uint64_t cumulative = 0;

    for (size_t i = 0; i < DEVICE_N_BUCKETS; i++) {
        cumulative += histogram->bucket[i];
        append_integer_sample(text, "_bucket", LABEL("le", device_duration_bounds[i].text),
                              cumulative);
    }
    append_integer_sample(text, "_bucket", LABEL("le", "+Inf"), histogram->count);

    append_series(text, "_sum", NO_LABEL);
    number_append_real(text->out, histogram->sum);
    text_append_c(text->out, '\n');
    append_integer_sample(text, "_count", NO_LABEL, histogram->count);
}

/* ---- the whole ----------------------------------------------------------------------------- */

void export_metrics(const ExportView *view, ExportFormat format, GString *out)
{
    static const SinkOps ops = {
        .sample = text_sample, .labels = text_labels, .histogram = text_histogram};
    TextSink text = {
        .sink = {.ops = &ops, .view = view},
        .openmetrics = format == EXPORT_OPENMETRICS,
        .out = out,
    };

    /* About as much as comes, so that it is not moved over and over. */
    text_reserve(out, HEADS_SIZE + view->n_devices * DEVICE_SIZE);
    families_visit(&text.sink);
    if (text.openmetrics)
        text_append(out, "# EOF\n");
}
