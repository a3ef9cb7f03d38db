/* SPDX-License-Identifier: MIT */
/*
 * A JBD module advertises service FF00, or FFF0 in newer ones. Names are given by makers and
 * changed by owners, so they speak for a board and their lack does not speak against it. The
 * ranges of addresses belong to makers of radio modules (A4:C1:38 is Telink's), which are in
 * thermometers and lamps too: alone they are weak.
 */
#include "board.h"

static const char *const jbd_names[] = {"xiaoxiang*", "JBD-*", "SP??S*", "AP2?S*",
                                        "DP04S*",     "LT-*",  "LT40AH"};

static const char *const jbd_ranges[] = {"A4:C1:37", "A4:C1:38", "A5:C2:37", "A5:C2:39",
                                         "A5:C2:3A", "AA:C2:37", "70:3E:97", "10:A5:62"};

/* Makes that are told apart by their names, where no service speaks against it. */
static const struct {
    const char *name;
    unsigned without; /* services */
    const char *make;
    const char *why;
} others[] = {
    {"*UP16S*", 0, "UP16S", "JBD UP16S: speaks another protocol, which this program cannot read"},
    {"JK-*", SCAN_SERVICE_FF00, "JK", "Jikong: another make"},
    {"JK_*", SCAN_SERVICE_FF00, "JK", "Jikong: another make"},
    {"DL-*", SCAN_SERVICE_FF00, "Daly", "Daly: another make"},
    {"ANT-BLE*", SCAN_SERVICE_FF00, "ANT", "ANT: another make"},
    {"ANT@*", SCAN_SERVICE_FF00, "ANT", "ANT: another make"},
};

/* A pattern with * and ?, in either case. */
static gboolean matches(const char *pattern, const char *name)
{
    g_autofree char *small_pattern = g_ascii_strdown(pattern, -1);
    g_autofree char *small_name = g_ascii_strdown(name, -1);

    return g_pattern_match_simple(small_pattern, small_name);
}

static gboolean has_jbd_name(const ScanDevice *device)
{
    for (gsize i = 0; i < G_N_ELEMENTS(jbd_names); i++)
        if (matches(jbd_names[i], device->name))
            return TRUE;
    return FALSE;
}

/* @return the range, or NULL */
static const char *range_of(const ScanDevice *device)
{
    for (gsize i = 0; i < G_N_ELEMENTS(jbd_ranges) && device->public_address; i++)
        if (g_str_has_prefix(device->address, jbd_ranges[i]))
            return jbd_ranges[i];
    return NULL;
}

static void add(GString *why, const char *clue, const char *argument)
{
    g_string_append_printf(why, "%s%s%s", why->len ? ", " : "", clue, argument);
}

/* @return whether it is another make */
static gboolean is_foreign(const ScanDevice *device, const char **make, GString *why)
{
    for (gsize i = 0; i < G_N_ELEMENTS(others); i++) {
        if (device->services & others[i].without || !matches(others[i].name, device->name))
            continue;
        *make = others[i].make;
        add(why, others[i].why, "");
        return TRUE;
    }
    return FALSE;
}

static Likeness judge(const ScanDevice *device, gboolean named, gboolean in_range)
{
    if (device->services & SCAN_SERVICE_FF00 || named)
        return LIKENESS_LIKELY;
    if (device->services & SCAN_SERVICE_FFF0)
        return in_range ? LIKENESS_LIKELY : LIKENESS_MAYBE;
    /* A board that is there advertises its service; what has other ones instead is none. */
    return in_range && device->services == 0 ? LIKENESS_MAYBE : LIKENESS_OTHER;
}

Likeness jbd_judge(const ScanDevice *device, const char **make, GString *why)
{
    gboolean named = has_jbd_name(device);
    const char *range = range_of(device);
    Likeness likeness;

    *make = "-";
    if (is_foreign(device, make, why))
        return LIKENESS_FOREIGN;
    likeness = judge(device, named, range != NULL);
    if (device->services & SCAN_SERVICE_FF00)
        add(why, "service FF00", "");
    if (device->services & SCAN_SERVICE_FFF0)
        add(why, "service FFF0", "");
    if (named)
        add(why, "name", "");
    if (range)
        add(why, "address ", range);
    if (likeness == LIKENESS_LIKELY)
        *make = "JBD";
    if (likeness == LIKENESS_MAYBE)
        *make = "maybe";
    return likeness;
}
