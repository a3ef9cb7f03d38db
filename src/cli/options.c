/* SPDX-License-Identifier: MIT */
/* The command line, in the manner of Prometheus' exporters, and the file that it may name. */
#include "options.h"

#include "bluez.h"
#include "config.h"
#include "device.h"
#include "names.h"
#include "system.h"
#include "values.h"
#include "version.h"
#include "web.h"

#include <string.h>

#define DEFAULT_LISTEN    ":8000" /* the port of the script that this program replaces */
#define DEFAULT_PATH      "/metrics"
#define DEFAULT_INTERVAL  "10"
#define DEFAULT_RENEW     "600"
#define DEFAULT_RELEASE   "120"
#define DEFAULT_LOG_LEVEL "info"
#define DEFAULT_SCAN      "10" /* sleepy boards advertise every few seconds */

enum { MAX_DEVICES = 128 };

static const gint64 min_interval_us = 500000; /* 03 and 04 take a board about 0.3 s */
static const gint64 max_interval_us = G_TIME_SPAN_HOUR;
static const gint64 min_renew_us = G_TIME_SPAN_SECOND;
static const gint64 max_renew_us = 7 * G_TIME_SPAN_DAY;
static const gint64 min_release_us = G_TIME_SPAN_SECOND;
static const gint64 max_release_us = G_TIME_SPAN_DAY;
static const gint64 min_scan_us = G_TIME_SPAN_SECOND;
static const gint64 max_scan_us = 300 * G_TIME_SPAN_SECOND;

/* ---- batteries ------------------------------------------------------------------------------- */

static void device_spec_free(gpointer data)
{
    DeviceSpec *spec = data;

    g_free(spec->name);
    g_free(spec);
}

static gboolean add_device(Options *options, const char *argument, GError **error)
{
    GPtrArray *devices = options->devices;
    const char *equals = strchr(argument, '=');
    const char *name = equals ? equals + 1 : NULL;
    g_autofree char *text = equals ? g_strndup(argument, (gsize)(equals - argument)) : NULL;
    char address[18];

    if (!bluez_parse_address(text ? text : argument, address)) {
        value_wrong(error, "\"%s\" is not a Bluetooth address; for example A4:C1:38:01:02:03",
                    text ? text : argument);
        return FALSE;
    }
    if (name && !name_check(argument, name, error))
        return FALSE;
    for (guint i = 0; i < devices->len; i++) {
        const DeviceSpec *other = devices->pdata[i];

        if (strcmp(other->address, address) == 0) {
            value_wrong(error, "%s is listed twice", address);
            return FALSE;
        }
        if (name_is_same(other->name ? other->name : other->address, name ? name : address)) {
            value_wrong(error, "the name \"%s\" is used for two batteries", name ? name : address);
            return FALSE;
        }
    }
    if (devices->len >= MAX_DEVICES) {
        value_wrong(error, "more than %d batteries; run several exporters", MAX_DEVICES);
        return FALSE;
    }

    DeviceSpec *spec = g_new0(DeviceSpec, 1);

    spec->kind = kind_default();
    g_strlcpy(spec->address, address, sizeof spec->address);
    spec->name = g_strdup(name);
    spec->interval_us = options->interval_us;
    spec->renew_us = options->renew_us;
    g_ptr_array_add(devices, spec);
    return TRUE;
}

/* ---- all options ----------------------------------------------------------------------------- */

/* The raw texts from GOption, before anything is checked. */
typedef struct {
    Config *config; /* the configuration file, or NULL; its words have been merged into argv */
    char *config_path;
    char *interval;
    char *renew;
    char *link;
    char *release;
    char *log_level;
    char *scan;
    char **addresses;
    gboolean no_legacy;
    gboolean may_lack_devices; /* they are expected to come later */
    gboolean version;
} Words;

/* ADDRESS[=NAME] */
static gboolean is_device(const char *text)
{
    g_autofree char *address = g_strndup(text, strcspn(text, "="));
    char parsed[18];

    return bluez_parse_address(address, parsed);
}

/* A battery beside --scan, which GOption may have taken for its TIME, or NULL. */
static const char *scanned_device(const Words *words)
{
    if (is_device(words->scan))
        return words->scan;
    return words->addresses ? words->addresses[0] : NULL;
}

/* At most one mode, and the batteries that it needs. */
static gboolean check_mode(Options *options, const Words *words, GError **error)
{
    gboolean devices = (words->addresses && words->addresses[0]) ||
                       (words->config && words->config->devices->len > 0);

    if (options->once + options->check + (words->scan != NULL) > 1) {
        value_wrong(error, "only one of --once, --scan and --check can be used at a time");
        return FALSE;
    }
    if (words->scan && scanned_device(words)) {
        value_wrong(error,
                    "--scan takes no battery, it lists the devices in range; to check a battery: "
                    "bms-exporter --check %s",
                    scanned_device(words));
        return FALSE;
    }
    if (words->scan)
        return value_parse_duration("--scan", words->scan, &options->scan_us, error) &&
               value_check_range("--scan", words->scan, options->scan_us, min_scan_us, max_scan_us,
                                 error);
    if (!devices && !options->check && (options->once || !words->may_lack_devices)) {
        value_wrong(error, "no battery given; pass its Bluetooth address, for example "
                           "bms-exporter A4:C1:38:01:02:03; --scan finds it");
        return FALSE;
    }
    return TRUE;
}

static gboolean parse_interval(const char *text, gint64 *us, GError **error)
{
    return value_parse_duration("--poll.interval", text, us, error) &&
           value_check_range("--poll.interval", text, *us, min_interval_us, max_interval_us, error);
}

static gboolean parse_renew(const char *text, gint64 *us, GError **error)
{
    return value_parse_duration("--session.renew", text, us, error) &&
           (*us == 0 ||
            value_check_range("--session.renew", text, *us, min_renew_us, max_renew_us, error));
}

/* A battery that the file has a group for. */
static gboolean add_config_device(Options *options, const ConfigDevice *device, GError **error)
{
    g_autofree char *argument = device->name ? g_strconcat(device->address, "=", device->name, NULL)
                                             : g_strdup(device->address);
    DeviceSpec *spec;

    if (!add_device(options, argument, error))
        return FALSE;
    spec = options->devices->pdata[options->devices->len - 1];
    if (device->interval && !parse_interval(device->interval, &spec->interval_us, error))
        return FALSE;
    return !device->renew || parse_renew(device->renew, &spec->renew_us, error);
}

static gboolean add_devices(Options *options, const Words *words, GError **error)
{
    for (char **address = words->addresses; address && *address; address++)
        if (!add_device(options, *address, error))
            return FALSE;
    for (guint i = 0; words->config && i < words->config->devices->len; i++) {
        const ConfigDevice *device = words->config->devices->pdata[i];

        if (!add_config_device(options, device, error)) {
            g_prefix_error(error, "%s: [%s] ", words->config_path, device->address);
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean check(Options *options, Words *words, GError **error)
{
    const char *interval = words->interval ? words->interval : DEFAULT_INTERVAL;
    const char *renew = words->renew ? words->renew : DEFAULT_RENEW;
    const char *release = words->release ? words->release : DEFAULT_RELEASE;
    const char *level = words->log_level ? words->log_level : DEFAULT_LOG_LEVEL;

    if (!check_mode(options, words, error))
        return FALSE;
    /* These two print their findings themselves. */
    if (!words->log_level && (options->check || options->scan_us))
        level = "error";
    if (!parse_interval(interval, &options->interval_us, error) ||
        !parse_renew(renew, &options->renew_us, error) || !add_devices(options, words, error))
        return FALSE;
    if (words->link && !value_parse_link_mode(words->link, &options->link_mode, error))
        return FALSE;
    if (!value_parse_duration("--link.release-time", release, &options->release_us, error) ||
        !value_check_range("--link.release-time", release, options->release_us, min_release_us,
                           max_release_us, error))
        return FALSE;
    if (!log_level_parse(level, &options->log_level)) {
        value_wrong(error, "--log.level: \"%s\" is none of debug, info, warn, error", level);
        return FALSE;
    }
    if (!options->listen)
        options->listen = g_strsplit(DEFAULT_LISTEN, " ", -1);
    for (char **listen = options->listen; *listen; listen++) {
        if (!web_check_address(*listen, error)) {
            g_prefix_error(error, "--web.listen-address: ");
            return FALSE;
        }
    }
    if (!options->telemetry_path)
        options->telemetry_path = g_strdup(DEFAULT_PATH);
    if (!value_check_path(options->telemetry_path, error))
        return FALSE;
    if (options->recover_command && !value_check_command(options->recover_command, error))
        return FALSE;
    return !options->adapter || value_check_adapter(&options->adapter, error);
}

/* GOption accepts a value after a switch, as in --once=no. */
static gboolean check_switches(const GOptionEntry *entries, char **argv, GError **error)
{
    for (int i = 1; argv[i] && strcmp(argv[i], "--") != 0; i++) {
        const char *equals = strchr(argv[i], '=');

        for (const GOptionEntry *entry = entries; equals && entry->long_name; entry++) {
            gsize length = strlen(entry->long_name);

            if (entry->arg == G_OPTION_ARG_NONE && equals == argv[i] + 2 + length &&
                strncmp(argv[i] + 2, entry->long_name, length) == 0) {
                value_wrong(error, "--%s takes no value", entry->long_name);
                return FALSE;
            }
        }
    }
    return TRUE;
}

/* GOptionArgFunc: --scan or --scan=TIME */
static gboolean take_scan(const char *option, const char *value, gpointer data, GError **error)
{
    Words *words = data;

    (void)option, (void)error;
    g_free(words->scan);
    words->scan = g_strdup(value ? value : DEFAULT_SCAN);
    return TRUE;
}

/* Callbacks among @a entries get @a words as their data. */
static void add_entries(GOptionContext *context, const GOptionEntry *entries, Words *words)
{
    GOptionGroup *group = g_option_group_new(NULL, NULL, NULL, words, NULL);

    g_option_group_add_entries(group, entries);
    g_option_context_set_main_group(context, group);
}

/* Whether an option is on the command line. */
static gboolean is_given(char **argv, const char *option)
{
    gsize length = strcspn(option, "=");

    for (char **word = argv + 1; *word && strcmp(*word, "--") != 0; word++)
        if (strncmp(*word, option, length) == 0 &&
            ((*word)[length] == '\0' || (*word)[length] == '='))
            return TRUE;
    return FALSE;
}

/* The file that the command line names. It must be known before anything else is parsed. */
static const char *find_config(char **argv)
{
    static const char option[] = "--config";
    const gsize length = sizeof option - 1;

    for (char **word = argv + 1; *word && strcmp(*word, "--") != 0; word++) {
        if (g_str_has_prefix(*word, "--config="))
            return *word + length + 1;
        if (strcmp(*word, option) == 0)
            return word[1];
    }
    return NULL;
}

/* The words of the file, then those of the command line, which takes precedence: an option that
 * both have is taken from the command line only. */
static char **join_words(const Config *config, char **argv)
{
    GPtrArray *words = g_ptr_array_new();

    g_ptr_array_add(words, g_strdup(argv[0]));
    for (guint i = 0; config && i < config->words->len; i++)
        if (!is_given(argv, config->words->pdata[i]))
            g_ptr_array_add(words, g_strdup(config->words->pdata[i]));
    for (char **word = argv + 1; *word; word++)
        g_ptr_array_add(words, g_strdup(*word));
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(words, FALSE);
}

static gboolean parse_words(Options *options, Words *words, char **argv, GError **error)
{
    /* GOption wants a pointer to data, which ISO C does not make of one to a function. */
    const union {
        GOptionArgFunc function;
        gpointer pointer;
    } scan_callback = {.function = take_scan};
    const GOptionEntry entries[] = {
        {"web.listen-address", 0, 0, G_OPTION_ARG_STRING_ARRAY, &options->listen,
         "Address to serve on, repeatable (default " DEFAULT_LISTEN ", all addresses)",
         "[HOST]:PORT"},
        {"web.telemetry-path", 0, 0, G_OPTION_ARG_STRING, &options->telemetry_path,
         "Path of the metrics (default " DEFAULT_PATH ")", "PATH"},
        {"adapter", 0, 0, G_OPTION_ARG_STRING, &options->adapter,
         "Bluetooth adapter (default: the first one that is powered)", "hciN|ADDRESS"},
        {"battery.password-file", 0, 0, G_OPTION_ARG_FILENAME, &options->password_file,
         "File with the passwords of the batteries", "FILE"},
        {"config", 0, 0, G_OPTION_ARG_FILENAME, &words->config_path,
         "File with options and batteries; SIGHUP reloads it", "FILE"},
        {"poll.interval", 0, 0, G_OPTION_ARG_STRING, &words->interval,
         "Time between two polls (default " DEFAULT_INTERVAL " s)", "TIME"},
        {"session.renew", 0, 0, G_OPTION_ARG_STRING, &words->renew,
         "Age at which a connection is renewed, 0 for never (default " DEFAULT_RENEW " s)", "TIME"},
        {"link", 0, 0, G_OPTION_ARG_STRING, &words->link,
         "Whether connections are kept between polls: auto, keep or per-poll (default auto: "
         "while the adapter can hold them all)",
         "MODE"},
        {"link.release-time", 0, 0, G_OPTION_ARG_STRING, &words->release,
         "How long SIGUSR1 releases all batteries (default " DEFAULT_RELEASE " s)", "TIME"},
        {"recover.power-cycle", 0, 0, G_OPTION_ARG_NONE, &options->power_cycle,
         "Switch the adapter off and on as a last resort, at most every 5 min", NULL},
        {"recover.command", 0, 0, G_OPTION_ARG_STRING, &options->recover_command,
         "Run a command as a last resort, at most every 10 min", "COMMAND"},
        {"metrics.no-legacy", 0, 0, G_OPTION_ARG_NONE, &words->no_legacy,
         "Leave out the metric names of bms-shed", NULL},
        {"log.level", 0, 0, G_OPTION_ARG_STRING, &words->log_level,
         "debug, info, warn or error (default " DEFAULT_LOG_LEVEL ")", "LEVEL"},
        {"once", 0, 0, G_OPTION_ARG_NONE, &options->once,
         "Poll once, print the metrics and exit (0, or 1 with the reason)", NULL},
        {"scan", 0, G_OPTION_FLAG_OPTIONAL_ARG, G_OPTION_ARG_CALLBACK, scan_callback.pointer,
         "List the devices in range (TIME is optional, default " DEFAULT_SCAN
         " s) and exit (0, or 1 if no JBD board is among them)",
         "TIME"},
        {"check", 0, 0, G_OPTION_ARG_NONE, &options->check,
         "Check each step on the way to the batteries, say how to fix what fails, and exit (0, or "
         "1)",
         NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &words->version, "Print the version and exit", NULL},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &words->addresses, NULL, NULL},
        {0},
    };
    g_autoptr(GOptionContext) context = g_option_context_new("ADDRESS[=NAME]…");

    const char *path = find_config(argv);
    g_auto(GStrv) joined = NULL;

    if (!check_switches(entries, argv, error))
        return FALSE;
    if (path && !(words->config = config_read(path, entries, error)))
        return FALSE;
    joined = join_words(words->config, argv);

    g_option_context_set_summary(
        context,
        "Reads JBD battery management systems over Bluetooth LE and serves their readings\n"
        "as Prometheus metrics.");
    g_option_context_set_description(
        context, "TIME is in seconds or has a unit: 500ms, 10s, 10m, 1h.\n"
                 "Two batteries: bms-exporter A4:C1:38:01:02:03=house A4:C1:38:01:02:04=starter");
    add_entries(context, entries, words);
    return g_option_context_parse_strv(context, &joined, error);
}

static void words_clear(Words *words)
{
    config_free(words->config);
    g_free(words->config_path);
    g_free(words->interval);
    g_free(words->renew);
    g_free(words->link);
    g_free(words->release);
    g_free(words->log_level);
    g_free(words->scan);
    g_strfreev(words->addresses);
}

/* @a options must be cleared afterwards, also on failure. */
static gboolean load(Options *options, char **argv, gboolean may_lack_devices, gboolean *version,
                     GError **error)
{
    Words words = {.may_lack_devices = may_lack_devices};
    gboolean good;

    memset(options, 0, sizeof *options);
    options->devices = g_ptr_array_new_with_free_func(device_spec_free);
    good = parse_words(options, &words, argv, error) &&
           (words.version || check(options, &words, error));
    options->legacy = !words.no_legacy;
    options->argv = g_strdupv(argv);
    *version = words.version;
    words_clear(&words);
    /* The message stays one line, whatever was typed. */
    for (char *c = good ? NULL : (*error)->message; c && *c; c++)
        *c = g_ascii_iscntrl(*c) ? '?' : *c;
    return good;
}

OptionsOutcome options_parse(Options *options, char **argv)
{
    g_autoptr(GError) error = NULL;
    gboolean version;

    /* A package starts the service before anybody can have configured it. */
    if (!load(options, argv, system_is_service(), &version, &error)) {
        g_printerr("bms-exporter: %s (see --help)\n", error->message);
        return OPTIONS_WRONG;
    }
    if (!version)
        return OPTIONS_RUN;
    g_print("bms-exporter %s (%s)\n", bms_version, bms_revision);
    return OPTIONS_DONE;
}

gboolean options_reload(Options *options, GError **error)
{
    gboolean version;
    Options new;

    /* A file that has lost its batteries is a mistake. */
    if (!load(&new, options->argv, options->devices->len == 0, &version, error)) {
        options_clear(&new);
        return FALSE;
    }
    options_clear(options);
    *options = new;
    return TRUE;
}

void options_clear(Options *options)
{
    g_clear_pointer(&options->devices, g_ptr_array_unref);
    g_clear_pointer(&options->listen, g_strfreev);
    g_clear_pointer(&options->telemetry_path, g_free);
    g_clear_pointer(&options->adapter, g_free);
    g_clear_pointer(&options->password_file, g_free);
    g_clear_pointer(&options->recover_command, g_free);
    g_clear_pointer(&options->argv, g_strfreev);
}
