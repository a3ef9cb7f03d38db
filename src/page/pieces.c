/* SPDX-License-Identifier: MIT */
#include "pieces.h"

#include "text/escape.h"
#include "text/number.h"

enum {
    MINUTE = 60,
    HOUR = 60 * MINUTE,
    DAY = 24 * HOUR,
};

void page_append_text(GString *out, const char *text)
{
    g_string_append(out, "<bdi>");
    escape_html(out, text);
    g_string_append(out, "</bdi>");
}

void page_append_milli(GString *out, int64_t value, unsigned decimals)
{
    int64_t divisor = 1;

    for (unsigned i = decimals; i < 3; i++)
        divisor *= 10;
    const int64_t magnitude = (ABS(value) + divisor / 2) / divisor;
    if (value < 0 && magnitude > 0)
        g_string_append(out, PAGE_MINUS);
    number_append_fixed(out, magnitude, decimals);
}

void page_append_quantity(GString *out, int64_t value, unsigned decimals, const char *unit)
{
    page_append_milli(out, value, decimals);
    g_string_append(out, PAGE_NBSP);
    g_string_append(out, unit);
}

void page_append_duration(GString *out, int64_t seconds)
{
    const int s = (int)CLAMP(seconds, 0, G_MAXINT);

    if (s >= DAY)
        g_string_append_printf(out, "%d" PAGE_NBSP "d %d" PAGE_NBSP "h", s / DAY, s % DAY / HOUR);
    else if (s >= HOUR)
        g_string_append_printf(out, "%d" PAGE_NBSP "h %d" PAGE_NBSP "min", s / HOUR,
                               s % HOUR / MINUTE);
    else if (s >= MINUTE)
        g_string_append_printf(out, "%d" PAGE_NBSP "min", s / MINUTE);
    else
        g_string_append_printf(out, "%d" PAGE_NBSP "s", s);
}

void page_append_words(GString *out, const char *name)
{
    g_string_append_c(out, g_ascii_toupper(*name));
    for (name++; *name != '\0'; name++)
        g_string_append_c(out, *name == '_' ? ' ' : *name);
}

void page_append_bar_value(GString *out, int percent)
{
    g_string_append_printf(out, " style=\"--v:%d%%\"", CLAMP(percent, 0, 100));
}

void page_begin_fact(GString *out, const char *what)
{
    g_string_append_printf(out, "<div><dt>%s</dt><dd>", what);
}

void page_end_fact(GString *out)
{
    g_string_append(out, "</dd></div>\n");
}
