/* SPDX-License-Identifier: MIT */
/* Text from outside, made harmless, and measured in the columns of a terminal. */
#include "terminal.h"

#define REPLACEMENT_CHARACTER 0xFFFD

/* Marks on one character: more is no language, but would paint over other lines. */
enum { MAX_MARKS = 2 };

static gboolean is_mark(gunichar c)
{
    return g_unichar_iszerowidth(c) && c != 0;
}

/* The character at @a text, which is moved past it. (g_utf8_next_char() casts const away.) */
static gunichar take(const char **text)
{
    gunichar c = g_utf8_get_char(*text);

    *text += g_utf8_skip[(guchar)(*text)[0]];
    return c;
}

gboolean terminal_is_harmful(gunichar c)
{
    switch (g_unichar_type(c)) {
    case G_UNICODE_CONTROL:
    case G_UNICODE_FORMAT:
    case G_UNICODE_LINE_SEPARATOR:
    case G_UNICODE_PARAGRAPH_SEPARATOR:
    case G_UNICODE_PRIVATE_USE: /* as wide as somebody's font likes */
    case G_UNICODE_SURROGATE:
    case G_UNICODE_UNASSIGNED:
        return TRUE;
    default:
        /* Variation selectors change the width of what is before them. */
        return (c >= 0xFE00 && c <= 0xFE0F) || (c >= 0xE0100 && c <= 0xE01EF);
    }
}

char *terminal_clean(const char *text, gboolean ascii)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    g_autofree char *composed = g_utf8_normalize(valid, -1, G_NORMALIZE_NFC);
    GString *clean = g_string_new(NULL);
    guint marks = MAX_MARKS; /* none may stand before the first character */

    for (const char *rest = composed ? composed : valid; *rest;) {
        gunichar c = take(&rest);

        if (terminal_is_harmful(c))
            c = REPLACEMENT_CHARACTER;
        if (is_mark(c) && marks++ >= MAX_MARKS)
            continue;
        if (!is_mark(c))
            marks = 0;
        if (ascii && c >= 0x80)
            g_string_append_c(clean, '?');
        else
            g_string_append_unichar(clean, c);
    }
    return g_string_free(clean, FALSE);
}

char *terminal_clean_lines(const char *text, gboolean ascii)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line; line++) {
        char *clean = terminal_clean(*line, ascii);

        g_free(*line);
        *line = clean;
    }
    return g_strjoinv("\n", lines);
}

static guint width_of(gunichar c)
{
    if (is_mark(c))
        return 0;
    return g_unichar_iswide(c) ? 2 : 1;
}

guint terminal_width(const char *text)
{
    guint width = 0;

    while (*text)
        width += width_of(take(&text));
    return width;
}

static gboolean is_utf8(void)
{
    return g_get_charset(NULL);
}

void terminal_append_cut(GString *line, const char *text, guint width)
{
    guint used = 0;

    if (terminal_width(text) <= width) {
        g_string_append(line, text);
        return;
    }
    if (width == 0)
        return;
    for (gunichar c = take(&text); used + width_of(c) < width; c = take(&text)) {
        used += width_of(c);
        g_string_append_unichar(line, c);
    }
    g_string_append(line, is_utf8() ? "…" : "~");
}

void terminal_append_padded(GString *line, const char *text, guint width)
{
    gsize begin = line->len;

    terminal_append_cut(line, text, width);
    for (guint used = terminal_width(line->str + begin); used < width; used++)
        g_string_append_c(line, ' ');
}
