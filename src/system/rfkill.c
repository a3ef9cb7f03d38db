/* SPDX-License-Identifier: MIT */
/*
 * The kernel's switches for radios, as sysfs shows them to everybody (Documentation/ABI/stable/
 * sysfs-class-rfkill in the kernel's source). Its files are answered from memory; /dev/rfkill,
 * which tells the same, may be opened by root only.
 */
#include "system.h"

#include <string.h>

/* First line of a file of sysfs, to be freed; "" if it cannot be read. */
static char *read_value(const char *directory, const char *entry, const char *name)
{
    g_autofree char *path = g_build_filename(directory, entry, name, NULL);
    char *value = NULL;

    if (!g_file_get_contents(path, &value, NULL, NULL))
        return g_strdup("");
    return g_strchomp(value);
}

/* Switches of the adapter itself carry its name; those of the machine cut off all adapters. */
static gboolean concerns(const char *name, const char *adapter)
{
    return !adapter || !g_str_has_prefix(name, "hci") || strcmp(name, adapter) == 0;
}

static SystemRfkill state_of(const char *directory, const char *entry, const char *adapter)
{
    g_autofree char *type = read_value(directory, entry, "type");
    g_autofree char *name = read_value(directory, entry, "name");
    g_autofree char *soft = read_value(directory, entry, "soft");
    g_autofree char *hard = read_value(directory, entry, "hard");

    if (strcmp(type, "bluetooth") != 0 || !concerns(name, adapter))
        return SYSTEM_RFKILL_UNKNOWN;
    if (strcmp(hard, "1") == 0)
        return SYSTEM_RFKILL_HARD;
    return strcmp(soft, "1") == 0 ? SYSTEM_RFKILL_SOFT : SYSTEM_RFKILL_FREE;
}

SystemRfkill system_rfkill(const char *directory, const char *adapter)
{
    g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
    SystemRfkill worst = SYSTEM_RFKILL_UNKNOWN;
    const char *entry;

    while (dir && (entry = g_dir_read_name(dir)) != NULL) {
        SystemRfkill state = state_of(directory, entry, adapter);

        worst = MAX(worst, state);
    }
    return worst;
}
