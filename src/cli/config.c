/* SPDX-License-Identifier: MIT */
/* Makes a command line of a configuration file, so that both mean the same. */
#include "config.h"

#include "system.h"

#include <string.h>

#define PROGRAM_GROUP "exporter"

static void device_free(gpointer data)
{
    ConfigDevice *device = data;

    g_free(device->address);
    g_free(device->name);
    g_free(device->interval);
    g_free(device->renew);
    g_free(device);
}

static gboolean fail(GError **error, const char *group, const char *key, const char *what)
{
    g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE, "[%s] %s: %s", group, key,
                what);
    return FALSE;
}

static const GOptionEntry *find_entry(const GOptionEntry *entries, const char *name)
{
    for (; entries->long_name; entries++)
        if (strcmp(entries->long_name, name) == 0)
            return entries;
    return NULL;
}

/* What is done once and told at the prompt has no place in a file. */
static gboolean is_setting(const GOptionEntry *entry)
{
    static const char *const others[] = {"config", "once", "scan", "check", "version", NULL};

    return entry && *entry->long_name && !g_strv_contains(others, entry->long_name);
}

/* ---- the program's group --------------------------------------------------------------------- */

static gboolean add_switch(Config *config, GKeyFile *file, const char *key, GError **error)
{
    g_autoptr(GError) problem = NULL;
    gboolean on = g_key_file_get_boolean(file, PROGRAM_GROUP, key, &problem);

    if (problem)
        return fail(error, PROGRAM_GROUP, key, "say true or false");
    if (on)
        g_ptr_array_add(config->words, g_strconcat("--", key, NULL));
    return TRUE;
}

static void add_word(Config *config, const char *key, const char *value)
{
    g_ptr_array_add(config->words, g_strconcat("--", key, "=", value, NULL));
}

static gboolean add_option(Config *config, GKeyFile *file, const char *key,
                           const GOptionEntry *entry, GError **error)
{
    if (!is_setting(entry))
        return fail(error, PROGRAM_GROUP, key, "there is no such setting; see --help for them");
    if (entry->arg == G_OPTION_ARG_NONE)
        return add_switch(config, file, key, error);
    if (entry->arg == G_OPTION_ARG_STRING_ARRAY) {
        g_auto(GStrv) values = g_key_file_get_string_list(file, PROGRAM_GROUP, key, NULL, NULL);

        for (char **value = values; value && *value; value++)
            add_word(config, key, g_strstrip(*value));
        return values || fail(error, PROGRAM_GROUP, key, "is not text in UTF-8");
    }

    g_autofree char *value = g_key_file_get_string(file, PROGRAM_GROUP, key, NULL);

    if (!value)
        return fail(error, PROGRAM_GROUP, key, "is not text in UTF-8");
    add_word(config, key, value);
    return TRUE;
}

static gboolean add_options(Config *config, GKeyFile *file, const GOptionEntry *entries,
                            GError **error)
{
    g_auto(GStrv) keys = g_key_file_get_keys(file, PROGRAM_GROUP, NULL, NULL);

    for (char **key = keys; key && *key; key++)
        if (!add_option(config, file, *key, find_entry(entries, *key), error))
            return FALSE;
    return TRUE;
}

/* ---- a battery's group ----------------------------------------------------------------------- */

static char **place_of(ConfigDevice *device, const char *key)
{
    if (strcmp(key, "name") == 0)
        return &device->name;
    if (strcmp(key, "poll.interval") == 0)
        return &device->interval;
    if (strcmp(key, "session.renew") == 0)
        return &device->renew;
    return NULL;
}

static gboolean add_device(Config *config, GKeyFile *file, const char *group, GError **error)
{
    g_auto(GStrv) keys = g_key_file_get_keys(file, group, NULL, NULL);
    ConfigDevice *device = g_new0(ConfigDevice, 1);

    device->address = g_strdup(group);
    g_ptr_array_add(config->devices, device);
    for (char **key = keys; key && *key; key++) {
        char **place = place_of(device, *key);

        if (!place)
            return fail(error, group, *key, "a battery has name, poll.interval and session.renew");
        g_free(*place);
        *place = g_key_file_get_string(file, group, *key, NULL);
        if (!*place)
            return fail(error, group, *key, "is not text in UTF-8");
    }
    return TRUE;
}

/* ---- public ---------------------------------------------------------------------------------- */

static gboolean take_groups(Config *config, GKeyFile *file, const GOptionEntry *entries,
                            GError **error)
{
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);

    for (char **group = groups; *group; group++) {
        gboolean good = strcmp(*group, PROGRAM_GROUP) == 0
                            ? add_options(config, file, entries, error)
                            : add_device(config, file, *group, error);

        if (!good)
            return FALSE;
    }
    return TRUE;
}

static gboolean fill(Config *config, const char *path, const GOptionEntry *entries, GError **error)
{
    g_autofree char *text = g_malloc(SYSTEM_MAX_FILE + 1);
    g_autoptr(GKeyFile) file = g_key_file_new();
    mode_t mode;

    if (!system_read_file(path, text, &mode, error))
        return FALSE;
    if (g_key_file_load_from_data(file, text, strlen(text), G_KEY_FILE_NONE, error) &&
        take_groups(config, file, entries, error))
        return TRUE;
    g_prefix_error(error, "%s: ", path);
    return FALSE;
}

Config *config_read(const char *path, const GOptionEntry *entries, GError **error)
{
    Config *config = g_new0(Config, 1);

    config->words = g_ptr_array_new_with_free_func(g_free);
    config->devices = g_ptr_array_new_with_free_func(device_free);
    if (fill(config, path, entries, error))
        return config;
    config_free(config);
    return NULL;
}

void config_free(Config *config)
{
    if (!config)
        return;
    g_ptr_array_unref(config->words);
    g_ptr_array_unref(config->devices);
    g_free(config);
}
