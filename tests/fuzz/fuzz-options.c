/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target for the command line (src/cli/options.c): what is taken makes sense, and what is not
 * is told in one line.
 *
 *     input    arguments, a NUL after each
 */
#include "fuzz.h"
#include "web.h"

#include "bluez.h"
#include "cli/options.h"
#include "device.h"
#include "text/escape.h"

#include <string.h>

enum { MAX_ARGUMENTS = 160 };

static GString *printed;

static void keep(const char *text)
{
    g_string_append(printed, text);
}

static void forget(const char *text)
{
    (void)text;
}

/** Whether GOption would print its help and exit. */
static bool asks_for_help(const char *argument)
{
    if (argument[0] != '-')
        return false;
    return argument[1] == '-' ? g_str_has_prefix(argument, "--help")
                              : strpbrk(argument, "h?") != NULL;
}

/** Two batteries are two series, after all that is done to a label. */
static void check_differ(const DeviceSpec *one, const DeviceSpec *other)
{
    g_autoptr(GString) a = g_string_new(NULL);
    g_autoptr(GString) b = g_string_new(NULL);

    CHECK(strcmp(one->address, other->address) != 0);
    escape_label(a, one->name ? one->name : one->address);
    escape_label(b, other->name ? other->name : other->address);
    CHECK(!g_string_equal(a, b));
}

static void check_devices(const Options *options)
{
    const GPtrArray *devices = options->devices;

    CHECK(devices->len >= 1 && devices->len <= 128);
    for (guint i = 0; i < devices->len; i++) {
        const DeviceSpec *spec = devices->pdata[i];
        char address[18];

        CHECK(bluez_parse_address(spec->address, address));
        CHECK(strcmp(address, spec->address) == 0);
        if (spec->name) {
            CHECK(spec->name[0] != '\0' && strlen(spec->name) < DEVICE_NAME_SIZE);
            CHECK(g_utf8_validate(spec->name, -1, NULL));
        }
        for (guint j = 0; j < i; j++)
            check_differ(spec, devices->pdata[j]);
    }
}

static void check_taken(const Options *options)
{
    char address[18];

    check_devices(options);
    CHECK(options->interval_us >= 500000 && options->interval_us <= G_TIME_SPAN_HOUR);
    CHECK(options->renew_us == 0 || options->renew_us >= G_TIME_SPAN_SECOND);
    CHECK(options->renew_us <= 7 * G_TIME_SPAN_DAY);
    CHECK(options->listen && options->listen[0]);
    for (char **listen = options->listen; *listen; listen++)
        CHECK(web_check_address(*listen, NULL));
    CHECK(options->telemetry_path[0] == '/' && options->telemetry_path[1] != '\0');
    CHECK(g_str_is_ascii(options->telemetry_path));
    CHECK(options->log_level <= LOG_LEVEL_ERROR);
    if (options->adapter)
        CHECK(g_str_has_prefix(options->adapter, "hci") ||
              bluez_parse_address(options->adapter, address));
}

static void check_told(void)
{
    CHECK(g_str_has_prefix(printed->str, "bms-exporter: "));
    CHECK(g_str_has_suffix(printed->str, " (see --help)\n"));
    CHECK(strchr(printed->str, '\n') == printed->str + printed->len - 1);
}

static void check_address(const char *text)
{
    char address[18];
    g_autoptr(GError) error = NULL;

    if (bluez_parse_address(text, address))
        CHECK(strlen(address) == 17 && g_ascii_strcasecmp(text, address) == 0);
    CHECK(web_check_address(text, &error) == (error == NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Ended by a NUL of our own, for an input may lack its last one. */
    g_autofree char *text = g_malloc0(size + 1);
    char *argv[MAX_ARGUMENTS + 2] = {(char[]){"bms-exporter"}};
    int argc = 1;
    Options options;

    if (size > 0)
        memcpy(text, data, size);
    for (size_t at = 0; at < size && argc <= MAX_ARGUMENTS; at += strlen(text + at) + 1) {
        if (asks_for_help(text + at))
            return 0;
        check_address(text + at);
        argv[argc++] = text + at;
    }
    printed = g_string_new(NULL);
    g_set_printerr_handler(keep);
    g_set_print_handler(forget);
    switch (options_parse(&options, argv)) {
    case OPTIONS_RUN:
        check_taken(&options);
        CHECK(printed->len == 0);
        break;
    case OPTIONS_DONE:
        CHECK(printed->len == 0);
        break;
    case OPTIONS_WRONG:
        check_told();
        break;
    }
    options_clear(&options);
    g_string_free(printed, TRUE);
    return 0;
}
