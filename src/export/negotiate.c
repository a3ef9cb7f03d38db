/* SPDX-License-Identifier: MIT */
/*
 * Which format a client gets: its Accept header (RFC 9110, 12.5.1), read properly.
 *
 * OpenMetrics has to be asked for by name, as Prometheus does; a wildcard gets the text format,
 * which everything understands. Malformed headers do too: an answer in a format that everybody
 * reads is better than none.
 */
#include "export.h"

#include <string.h>

/** A piece of the header. */
typedef struct {
    const char *text;
    size_t length;
} Span;

enum { QUALITY_MAX = 1000 };

/** One element of the list. */
typedef struct {
    Span type;
    Span subtype;
    Span version; /**< .text is NULL where there is none */
    int quality;  /**< in thousandths */
} MediaRange;

/** The best match of a format so far. */
typedef struct {
    int rank; /**< how specific it is, 0 for no match; the more specific range decides */
    int quality;
} Match;

const char *export_content_type(ExportFormat format)
{
    return format == EXPORT_OPENMETRICS
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}

/* ---- reading ------------------------------------------------------------------------------- */

static gboolean span_is(Span span, const char *text)
{
    return span.length == strlen(text) && g_ascii_strncasecmp(span.text, text, span.length) == 0;
}

static void skip_space(const char **p)
{
    *p += strspn(*p, " \t");
}

/** Moves past @a c with space around it, if it comes next. */
static gboolean take_char(const char **p, char c)
{
    skip_space(p);
    if (**p != c)
        return FALSE;
    (*p)++;
    skip_space(p);
    return TRUE;
}

static gboolean take_token(const char **p, Span *out)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789"
                                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    *out = (Span){*p, strspn(*p, token)};
    *p += out->length;
    return out->length > 0;
}

/** A token, or a quoted string of which the inside is taken. */
static gboolean take_value(const char **p, Span *out)
{
    if (**p != '"')
        return take_token(p, out);

    const char *begin = ++*p;
    while (**p != '"') {
        if (**p == '\\')
            (*p)++;
        if (**p == '\0')
            return FALSE;
        (*p)++;
    }
    *out = (Span){begin, (size_t)(*p - begin)};
    (*p)++;
    return TRUE;
}

/** "0", "1", "0.75", "1.000"; digits behind the third do not count. @return −1 if it is none */
static int parse_quality(Span value)
{
    if (value.length == 0 || (value.text[0] != '0' && value.text[0] != '1'))
        return -1;

    int quality = (value.text[0] - '0') * QUALITY_MAX;
    int weight = QUALITY_MAX / 10;
    for (size_t i = 1; i < value.length; i++) {
        if (i == 1 ? value.text[i] != '.' : !g_ascii_isdigit(value.text[i]))
            return -1;
        if (i > 1) {
            quality += (value.text[i] - '0') * weight;
            weight /= 10;
        }
    }
    return quality <= QUALITY_MAX ? quality : -1;
}

/** @return FALSE if it is malformed */
static gboolean take_range(const char **p, MediaRange *out)
{
    *out = (MediaRange){.quality = QUALITY_MAX};
    if (!take_token(p, &out->type) || *(*p)++ != '/' || !take_token(p, &out->subtype))
        return FALSE;

    while (take_char(p, ';')) {
        Span name;
        Span value;

        if (!take_token(p, &name))
            continue; /* "a/b;" and "a/b;;c=d" are allowed */
        if (*(*p)++ != '=' || !take_value(p, &value))
            return FALSE;
        if (span_is(name, "version"))
            out->version = value;
        if (span_is(name, "q") && (out->quality = parse_quality(value)) < 0)
            return FALSE;
    }
    return TRUE;
}

/* ---- deciding ------------------------------------------------------------------------------ */

/** @return how specifically @a range means this type and version; 0 if it does not */
static int rank_of(const MediaRange *range, const char *type, const char *subtype,
                   const char *version)
{
    if (span_is(range->type, "*") && span_is(range->subtype, "*"))
        return 1;
    if (!span_is(range->type, type))
        return 0;
    if (span_is(range->subtype, "*"))
        return 2;
    if (!span_is(range->subtype, subtype))
        return 0;
    if (!range->version.text)
        return 3;
    return span_is(range->version, version) ? 4 : 0;
}

static void consider(Match *match, int rank, int quality)
{
    if (rank == 0)
        return;
    if (rank > match->rank || (rank == match->rank && quality > match->quality))
        *match = (Match){rank, quality};
}

ExportFormat export_negotiate(const char *accept)
{
    Match openmetrics = {0};
    Match text = {0};

    if (!accept)
        return EXPORT_TEXT;
    skip_space(&accept);
    while (*accept != '\0') {
        MediaRange range;

        if (take_char(&accept, ','))
            continue; /* empty elements are allowed */
        if (!take_range(&accept, &range))
            return EXPORT_TEXT;
        skip_space(&accept);
        if (*accept != ',' && *accept != '\0')
            return EXPORT_TEXT;

        const int rank = rank_of(&range, "application", "openmetrics-text", "1.0.0");
        if (rank >= 3) /* by name */
            consider(&openmetrics, rank, range.quality);
        consider(&text, rank_of(&range, "text", "plain", "0.0.4"), range.quality);
    }
    /* Who names it and likes both alike gets the newer one. */
    return openmetrics.quality > 0 && openmetrics.quality >= text.quality ? EXPORT_OPENMETRICS
                                                                          : EXPORT_TEXT;
}
