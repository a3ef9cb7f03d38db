/* SPDX-License-Identifier: MIT */
/* Text from outside, made fit for each output. */
#include "escape.h"

#include "export.h"

#include "append.h"

#define REPLACEMENT_CHARACTER "\xEF\xBF\xBD" /* U+FFFD */

/** What to write instead of a character, or NULL if it may stay. */
typedef const char *(*Substitute)(char c);

static const char *label_substitute(char c)
{
    switch (c) {
    case '\\':
        return "\\\\";
    case '"':
        return "\\\"";
    case '\n':
        return "\\n";
    default:
        return NULL;
    }
}

static const char *help_substitute(char c)
{
    return c == '"' ? NULL : label_substitute(c);
}

static const char *html_substitute(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    case '\n':
        return " ";
    default:
        return NULL;
    }
}

/** Nearly all characters are these, and they mean themselves everywhere: 0-9 A-Z a-z : _ . - and
 * the blank, as bits of 32 characters each. */
static gboolean is_plain(char c)
{
    static const guint32 plain[] = {0, 0x07FF6001, 0x87FFFFFE, 0x07FFFFFE, 0, 0, 0, 0};
    const guint8 byte = (guint8)c;

    return (plain[byte / 32] >> byte % 32 & 1) != 0;
}

/** Moves past one character, or one byte that is none. @return whether it can be shown */
static gboolean take(const char **text)
{
    const unsigned char first = (unsigned char)**text;
    if (first < 0x80) {
        (*text)++;
        return first >= 0x20 && first != 0x7F;
    }

    const gunichar c = g_utf8_get_char_validated(*text, -1);
    if (c == (gunichar)-1 || c == (gunichar)-2) { /* wrong; cut off */
        (*text)++;
        return FALSE;
    }
    *text += g_utf8_skip[first];
    return c >= 0xA0; /* those below are control characters too */
}

static void append(GString *out, const char *text, Substitute substitute)
{
    const char *pending = text; /* from here on nothing has been written yet */

    while (*text != '\0') {
        if (is_plain(*text)) {
            text++;
            continue;
        }

        const char *begin = text;
        const char *instead = substitute(*text);
        const gboolean shown = take(&text);

        if (!instead && !shown)
            instead = REPLACEMENT_CHARACTER;
        if (instead) {
            text_append_len(out, pending, (gsize)(begin - pending));
            text_append(out, instead);
            pending = text;
        }
    }
    text_append_len(out, pending, (gsize)(text - pending));
}

void escape_label(GString *out, const char *text)
{
    append(out, text, label_substitute);
}

void escape_help(GString *out, const char *text)
{
    append(out, text, help_substitute);
}

void escape_html(GString *out, const char *text)
{
    append(out, text, html_substitute);
}

gboolean export_is_verbatim(const char *text)
{
    while (*text != '\0')
        if (!take(&text))
            return FALSE;
    return TRUE;
}
