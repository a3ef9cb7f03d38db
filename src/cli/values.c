/* SPDX-License-Identifier: MIT */
/* Syntax and bounds of the options' values. */
#include "values.h"

#include "bluez.h"
#include "system.h"

#include <string.h>

void value_wrong(GError **error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_propagate_error(
        error, g_error_new_valist(G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, format, arguments));
    va_end(arguments);
}

gboolean value_parse_duration(const char *option, const char *text, gint64 *us, GError **error)
{
    static const struct {
        const char *unit;
        double us;
    } units[] = {{"", 1e6}, {"ms", 1e3}, {"s", 1e6}, {"m", 60e6}, {"h", 3600e6}};
    /* Digits and a point only: strtod() takes signs, exponents and hexadecimals too. */
    const char *unit = text + strspn(text, "0123456789.");
    char *end = NULL;
    double value = g_ascii_strtod(text, &end);

    for (gsize i = 0; g_ascii_isdigit(*text) && end == unit && i < G_N_ELEMENTS(units); i++) {
        if (strcmp(unit, units[i].unit) == 0 && value * units[i].us < 1e15) {
            *us = (gint64)(value * units[i].us + 0.5);
            return TRUE;
        }
    }
    value_wrong(error, "%s: \"%s\" is not a time; for example 10, 10s, 500ms, 10m or 1h", option,
                text);
    return FALSE;
}

gboolean value_check_range(const char *option, const char *text, gint64 us, gint64 min, gint64 max,
                           GError **error)
{
    if (us >= min && us <= max)
        return TRUE;
    value_wrong(error, "%s: %s is out of range (%g s to %g s)", option, text, (double)min / 1e6,
                (double)max / 1e6);
    return FALSE;
}

gboolean value_check_path(const char *path, GError **error)
{
    if (path[0] != '/' || path[1] == '\0' || strpbrk(path, "?# \t\r\n\"<>\\%") ||
        !g_str_is_ascii(path) || strlen(path) > 255) {
        value_wrong(error, "--web.telemetry-path: \"%s\" is not a valid path; for example /metrics",
                    path);
        return FALSE;
    }
    if (g_str_has_prefix(path, "/-/")) {
        value_wrong(error,
                    "--web.telemetry-path: paths below /-/ are reserved; for example /metrics");
        return FALSE;
    }
    return TRUE;
}

gboolean value_parse_link_mode(const char *text, LinkMode *mode, GError **error)
{
    static const char *const names[] = {
        [LINK_MODE_AUTO] = "auto", [LINK_MODE_KEEP] = "keep", [LINK_MODE_PER_POLL] = "per-poll"};

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *mode = (LinkMode)i;
            return TRUE;
        }
    }
    value_wrong(error, "--link: \"%s\" is none of auto, keep, per-poll", text);
    return FALSE;
}

gboolean value_check_command(const char *line, GError **error)
{
    if (system_command_check(line, error))
        return TRUE;
    g_prefix_error(error, "--recover.command: ");
    return FALSE;
}

gboolean value_check_adapter(char **adapter, GError **error)
{
    char address[18];
    const char *digits = *adapter + 3;

    if (bluez_parse_address(*adapter, address)) {
        g_free(*adapter);
        *adapter = g_strdup(address);
        return TRUE;
    }
    if (g_str_has_prefix(*adapter, "hci") && *digits && strlen(digits) <= 4 &&
        strspn(digits, "0123456789") == strlen(digits))
        return TRUE;
    value_wrong(error, "--adapter: \"%s\" is neither a name like hci0 nor an adapter address",
                *adapter);
    return FALSE;
}
