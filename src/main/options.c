/* SPDX-License-Identifier: MIT */
/* The command line, in the manner of Prometheus' exporters. */
#include "options.h"

#include "battery.h"
#include "bluez.h"
#include "system.h"
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

enum { MAX_BATTERIES = 128 };

static const gint64 min_interval_us = 500000; /* 03 and 04 take a board about 0.3 s */
static const gint64 max_interval_us = G_TIME_SPAN_HOUR;
static const gint64 min_renew_us = G_TIME_SPAN_SECOND;
static const gint64 max_renew_us = 7 * G_TIME_SPAN_DAY;
static const gint64 min_release_us = G_TIME_SPAN_SECOND;
static const gint64 max_release_us = G_TIME_SPAN_DAY;
static const gint64 min_scan_us = G_TIME_SPAN_SECOND;
static const gint64 max_scan_us = 300 * G_TIME_SPAN_SECOND;

static void wrong(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void wrong(GError **error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_propagate_error(
        error, g_error_new_valist(G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, format, arguments));
    va_end(arguments);
}

/* ---- values ---------------------------------------------------------------------------------- */

/* "10", "1.5", "500ms", "10s", "10m", "1h" */
static gboolean parse_duration(const char *option, const char *text, gint64 *us, GError **error)
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
    wrong(error, "%s: \"%s\" is not a time; say for example 10, 10s, 500ms, 10m or 1h", option,
          text);
    return FALSE;
}

static gboolean check_range(const char *option, const char *text, gint64 us, gint64 min, gint64 max,
                            GError **error)
{
    if (us >= min && us <= max)
        return TRUE;
    wrong(error, "%s: %s is out of range (%g s to %g s)", option, text, (double)min / 1e6,
          (double)max / 1e6);
    return FALSE;
}

static gboolean check_path(const char *path, GError **error)
{
    if (path[0] != '/' || path[1] == '\0' || strpbrk(path, "?# \t\r\n\"<>\\%") ||
        !g_str_is_ascii(path) || strlen(path) > 255) {
        wrong(error, "--web.telemetry-path: \"%s\" is not a path; say for example /metrics", path);
        return FALSE;
    }
    if (g_str_has_prefix(path, "/-/")) {
        wrong(error, "--web.telemetry-path: paths below /-/ are taken, say for example /metrics");
        return FALSE;
    }
    return TRUE;
}

static gboolean parse_link_mode(const char *text, LinkMode *mode, GError **error)
{
    static const char *const names[] = {
        [LINK_MODE_AUTO] = "auto", [LINK_MODE_KEEP] = "keep", [LINK_MODE_PER_POLL] = "per-poll"};

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *mode = (LinkMode)i;
            return TRUE;
        }
    }
    wrong(error, "--link: \"%s\" is none of auto, keep, per-poll", text);
    return FALSE;
}

static gboolean check_command(const char *line, GError **error)
{
    SystemCommand *command = system_command_new(line, error);

    if (!command)
        g_prefix_error(error, "--recover.command: ");
    system_command_free(command);
    return command != NULL;
}

static gboolean check_adapter(char **adapter, GError **error)
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
    wrong(error, "--adapter: \"%s\" is neither like hci0 nor an adapter's address", *adapter);
    return FALSE;
}

/* ---- batteries ------------------------------------------------------------------------------- */

static void battery_spec_free(gpointer data)
{
    BatterySpec *spec = data;

    g_free(spec->name);
    g_free(spec);
}

static gboolean check_name(const char *argument, const char *name, GError **error)
{
    if (*name == '\0' || strlen(name) >= BATTERY_NAME_SIZE || !g_utf8_validate(name, -1, NULL)) {
        wrong(error, "%s: a name has 1 to %d bytes of UTF-8", argument, BATTERY_NAME_SIZE - 1);
        return FALSE;
    }
    for (const char *c = name; *c; c++) {
        if (g_ascii_iscntrl(*c) || strchr("\"'\\", *c)) {
            wrong(error, "%s: a name may not contain quotes, backslashes or control characters",
                  argument);
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean add_battery(GPtrArray *batteries, const char *argument, GError **error)
{
    const char *equals = strchr(argument, '=');
    const char *name = equals ? equals + 1 : NULL;
    g_autofree char *text = equals ? g_strndup(argument, (gsize)(equals - argument)) : NULL;
    char address[18];

    if (!bluez_parse_address(text ? text : argument, address)) {
        wrong(error, "\"%s\" is not a Bluetooth address; say for example A4:C1:38:01:02:03",
              text ? text : argument);
        return FALSE;
    }
    if (name && !check_name(argument, name, error))
        return FALSE;
    for (guint i = 0; i < batteries->len; i++) {
        const BatterySpec *other = batteries->pdata[i];

        if (strcmp(other->address, address) == 0) {
            wrong(error, "%s is given twice", address);
            return FALSE;
        }
        if (strcmp(other->name ? other->name : other->address, name ? name : address) == 0) {
            wrong(error, "the name \"%s\" is given to two batteries", name ? name : address);
            return FALSE;
        }
    }
    if (batteries->len >= MAX_BATTERIES) {
        wrong(error, "more than %d batteries; run several exporters", MAX_BATTERIES);
        return FALSE;
    }

    BatterySpec *spec = g_new0(BatterySpec, 1);

    g_strlcpy(spec->address, address, sizeof spec->address);
    spec->name = g_strdup(name);
    g_ptr_array_add(batteries, spec);
    return TRUE;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* What GOption puts the words into, before anything is checked. */
typedef struct {
    char *interval;
    char *renew;
    char *link;
    char *release;
    char *log_level;
    char *scan;
    char **addresses;
    gboolean no_legacy;
    gboolean version;
} Words;

/* Which of the modes it is to run in, and whether they have the batteries that they need. */
static gboolean check_mode(Options *options, const Words *words, GError **error)
{
    gboolean batteries = words->addresses && words->addresses[0];

    if (options->once + options->check + (words->scan != NULL) > 1) {
        wrong(error, "only one of --once, --scan and --check can be done at a time");
        return FALSE;
    }
    if (words->scan && batteries) {
        wrong(error, "--scan takes no battery; it lists what is in range");
        return FALSE;
    }
    if (words->scan)
        return parse_duration("--scan", words->scan, &options->scan_us, error) &&
               check_range("--scan", words->scan, options->scan_us, min_scan_us, max_scan_us,
                           error);
    if (!batteries && !options->check) {
        wrong(error, "no battery given; say its Bluetooth address, for example "
                     "bms-exporter A4:C1:38:01:02:03; --scan finds it");
        return FALSE;
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
    /* These two say themselves what they find. */
    if (!words->log_level && (options->check || options->scan_us))
        level = "error";
    for (char **address = words->addresses; address && *address; address++)
        if (!add_battery(options->batteries, *address, error))
            return FALSE;
    if (!parse_duration("--poll.interval", interval, &options->interval_us, error) ||
        !check_range("--poll.interval", interval, options->interval_us, min_interval_us,
                     max_interval_us, error) ||
        !parse_duration("--session.renew", renew, &options->renew_us, error))
        return FALSE;
    if (options->renew_us != 0 && !check_range("--session.renew", renew, options->renew_us,
                                               min_renew_us, max_renew_us, error))
        return FALSE;
    if (words->link && !parse_link_mode(words->link, &options->link_mode, error))
        return FALSE;
    if (!parse_duration("--link.release-time", release, &options->release_us, error) ||
        !check_range("--link.release-time", release, options->release_us, min_release_us,
                     max_release_us, error))
        return FALSE;
    if (!log_level_parse(level, &options->log_level)) {
        wrong(error, "--log.level: \"%s\" is none of debug, info, warn, error", level);
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
    if (!check_path(options->telemetry_path, error))
        return FALSE;
    if (options->recover_command && !check_command(options->recover_command, error))
        return FALSE;
    return !options->adapter || check_adapter(&options->adapter, error);
}

/* GOption does not mind a value behind a switch, as in --once=no. */
static gboolean check_switches(const GOptionEntry *entries, int argc, char **argv, GError **error)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const char *equals = strchr(argv[i], '=');

        for (const GOptionEntry *entry = entries; equals && entry->long_name; entry++) {
            gsize length = strlen(entry->long_name);

            if (entry->arg == G_OPTION_ARG_NONE && equals == argv[i] + 2 + length &&
                strncmp(argv[i] + 2, entry->long_name, length) == 0) {
                wrong(error, "--%s takes no value", entry->long_name);
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

/* Callbacks among them get @a words. */
static void add_entries(GOptionContext *context, const GOptionEntry *entries, Words *words)
{
    GOptionGroup *group = g_option_group_new(NULL, NULL, NULL, words, NULL);

    g_option_group_add_entries(group, entries);
    g_option_context_set_main_group(context, group);
}

static gboolean parse_words(Options *options, Words *words, int argc, char **argv, GError **error)
{
    /* GOption wants a pointer to data, which ISO C does not make of one to a function. */
    const union {
        GOptionArgFunc function;
        gpointer pointer;
    } scan_callback = {.function = take_scan};
    const GOptionEntry entries[] = {
        {"web.listen-address", 0, 0, G_OPTION_ARG_STRING_ARRAY, &options->listen,
         "Where to serve, may be repeated (default " DEFAULT_LISTEN ", every address)",
         "[HOST]:PORT"},
        {"web.telemetry-path", 0, 0, G_OPTION_ARG_STRING, &options->telemetry_path,
         "Path of the metrics (default " DEFAULT_PATH ")", "PATH"},
        {"adapter", 0, 0, G_OPTION_ARG_STRING, &options->adapter,
         "Bluetooth adapter (default: the first that is on)", "hciN|ADDRESS"},
        {"battery.password-file", 0, 0, G_OPTION_ARG_FILENAME, &options->password_file,
         "File with the batteries' passwords", "FILE"},
        {"poll.interval", 0, 0, G_OPTION_ARG_STRING, &words->interval,
         "Time between two polls (default " DEFAULT_INTERVAL " s)", "TIME"},
        {"session.renew", 0, 0, G_OPTION_ARG_STRING, &words->renew,
         "Age at which the connection is renewed, 0 for never (default " DEFAULT_RENEW " s)",
         "TIME"},
        {"link", 0, 0, G_OPTION_ARG_STRING, &words->link,
         "auto, keep or per-poll: whether connections are kept from poll to poll (default auto: "
         "while the adapter has room)",
         "MODE"},
        {"link.release-time", 0, 0, G_OPTION_ARG_STRING, &words->release,
         "How long SIGUSR1 lets go of all batteries (default " DEFAULT_RELEASE " s)", "TIME"},
        {"recover.power-cycle", 0, 0, G_OPTION_ARG_NONE, &options->power_cycle,
         "Switch the adapter off and on when nothing milder helps, every 5 min at most", NULL},
        {"recover.command", 0, 0, G_OPTION_ARG_STRING, &options->recover_command,
         "Run this when nothing milder helps, every 10 min at most", "COMMAND"},
        {"metrics.no-legacy", 0, 0, G_OPTION_ARG_NONE, &words->no_legacy,
         "Leave out the metric names of bms-shed", NULL},
        {"log.level", 0, 0, G_OPTION_ARG_STRING, &words->log_level,
         "debug, info, warn or error (default " DEFAULT_LOG_LEVEL ")", "LEVEL"},
        {"once", 0, 0, G_OPTION_ARG_NONE, &options->once,
         "Poll once, print the metrics and exit (0, or 1 with the reason)", NULL},
        {"scan", 0, G_OPTION_FLAG_OPTIONAL_ARG, G_OPTION_ARG_CALLBACK, scan_callback.pointer,
         "List the devices in range (default " DEFAULT_SCAN
         " s) and exit (0, or 1 if none is a JBD)",
         "TIME"},
        {"check", 0, 0, G_OPTION_ARG_NONE, &options->check,
         "Check each step of the way to the batteries, say what mends it, and exit (0, or 1)",
         NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &words->version, "Print the version and exit", NULL},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &words->addresses, NULL, NULL},
        {0},
    };
    g_autoptr(GOptionContext) context = g_option_context_new("ADDRESS[=NAME]…");

    if (!check_switches(entries, argc, argv, error))
        return FALSE;

    g_option_context_set_summary(
        context,
        "Reads JBD battery management systems over Bluetooth LE and serves their readings\n"
        "as Prometheus metrics.");
    g_option_context_set_description(
        context, "TIME is in seconds, or with a unit: 500ms, 10s, 10m, 1h.\n"
                 "Two batteries: bms-exporter A4:C1:38:01:02:03=house A4:C1:38:01:02:04=starter");
    add_entries(context, entries, words);
    return g_option_context_parse(context, &argc, &argv, error);
}

static void words_clear(Words *words)
{
    g_free(words->interval);
    g_free(words->renew);
    g_free(words->link);
    g_free(words->release);
    g_free(words->log_level);
    g_free(words->scan);
    g_strfreev(words->addresses);
}

OptionsOutcome options_parse(Options *options, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    OptionsOutcome outcome = OPTIONS_RUN;
    Words words = {0};

    memset(options, 0, sizeof *options);
    options->batteries = g_ptr_array_new_with_free_func(battery_spec_free);
    if (!parse_words(options, &words, argc, argv, &error) ||
        (!words.version && !check(options, &words, &error)))
        outcome = OPTIONS_WRONG;
    else if (words.version)
        outcome = OPTIONS_DONE;
    if (outcome == OPTIONS_WRONG) {
        /* One line, whatever was typed. */
        for (char *c = error->message; *c; c++)
            *c = g_ascii_iscntrl(*c) ? '?' : *c;
        g_printerr("bms-exporter: %s (see --help)\n", error->message);
    } else if (outcome == OPTIONS_DONE) {
        g_print("bms-exporter %s (%s)\n", bms_version, bms_revision);
    }
    options->legacy = !words.no_legacy;
    words_clear(&words);
    return outcome;
}

void options_clear(Options *options)
{
    g_clear_pointer(&options->batteries, g_ptr_array_unref);
    g_clear_pointer(&options->listen, g_strfreev);
    g_clear_pointer(&options->telemetry_path, g_free);
    g_clear_pointer(&options->adapter, g_free);
    g_clear_pointer(&options->password_file, g_free);
    g_clear_pointer(&options->recover_command, g_free);
}
