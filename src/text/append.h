/* SPDX-License-Identifier: MIT */
/* Appending to a GString inline: what an exposition does thousands of times. (GLib does so itself
 * from 2.76 on.) */
#ifndef BMS_TEXT_APPEND_H
#define BMS_TEXT_APPEND_H

#include <glib.h>
#include <string.h>

/** Makes room for @a size more bytes. The contents stay. */
static inline void text_reserve(GString *out, gsize size)
{
    const gsize length = out->len;

    if (G_LIKELY(out->allocated_len - length > size))
        return;
    g_string_set_size(out, length + size);
    g_string_truncate(out, length);
}

static inline void text_append_len(GString *out, const char *text, gsize size)
{
    text_reserve(out, size);
    memcpy(out->str + out->len, text, size);
    out->len += size;
    out->str[out->len] = '\0';
}

static inline void text_append(GString *out, const char *text)
{
    text_append_len(out, text, strlen(text));
}

static inline void text_append_c(GString *out, char c)
{
    text_append_len(out, &c, 1);
}

#endif
