/* SPDX-License-Identifier: MIT */
#include "names.h"

#include "bluez.h"
#include "device.h"
#include "export.h"
#include "values.h"

#include <string.h>

/* What turns the direction of the text around it, and so of the line of a log. */
static gboolean turns_text(gunichar c)
{
    return c == 0x061C || c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) ||
           (c >= 0x2066 && c <= 0x2069);
}

static gboolean breaks_line(gunichar c)
{
    return c == 0x2028 || c == 0x2029;
}

static gboolean has_control(const char *name)
{
    /* Two names must not become one where they are exported. */
    if (!export_is_verbatim(name))
        return TRUE;
    for (const char *rest = name; *rest; rest += g_utf8_skip[(guchar)*rest])
        if (turns_text(g_utf8_get_char(rest)) || breaks_line(g_utf8_get_char(rest)))
            return TRUE;
    return FALSE;
}

gboolean name_check(const char *argument, const char *name, GError **error)
{
    if (*name == '\0' || strlen(name) >= DEVICE_NAME_SIZE || !g_utf8_validate(name, -1, NULL)) {
        value_wrong(error, "%s: a name has 1 to %d bytes of UTF-8", argument, DEVICE_NAME_SIZE - 1);
        return FALSE;
    }
    if (strpbrk(name, "\"'\\") || has_control(name)) {
        value_wrong(error, "%s: a name may not contain quotes, backslashes or control characters",
                    argument);
        return FALSE;
    }
    return TRUE;
}

/* @return to be freed */
static char *canonical(const char *name)
{
    char address[18];

    if (bluez_parse_address(name, address))
        return g_strdup(address);
    return g_utf8_normalize(name, -1, G_NORMALIZE_NFC);
}

gboolean name_is_same(const char *one, const char *other)
{
    g_autofree char *a = canonical(one);
    g_autofree char *b = canonical(other);

    return g_strcmp0(a, b) == 0;
}
