/* SPDX-License-Identifier: MIT */
/*
 * Whole expositions, byte for byte, against tests/data/export/, and against two strict readers.
 * UPDATE_GOLDEN=1 writes the files anew. Runs from the top of the source tree.
 */
#include "family.h"
#include "jbd/board.h"
#include "text/escape.h"
#include "unit/export-devices.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <locale.h>
#include <math.h>

#define STRICT "tests/unit/export-strict.py"

enum { MAX_DEVICES = 2 };

/** A name of a golden file, and the batteries in it. */
typedef struct {
    const char *name;
    void (*make)(Device devices[MAX_DEVICES]);
    guint n_devices;
    gboolean without_legacy;
} Case;

static void make_case_fresh(Device *devices)
{
    make_fresh(&devices[0], "A4:C1:38:00:00:01", "House");
}

static void make_case_clone(Device *devices)
{
    make_clone(&devices[0], "A4:C1:38:00:00:02", NULL);
}

static void make_case_two(Device *devices)
{
    make_case_fresh(&devices[0]);
    make_case_clone(&devices[1]);
}

static void make_case_stale(Device *devices)
{
    make_stale(&devices[0], "A4:C1:38:00:00:03", "Boat");
}

static void make_case_waiting(Device *devices)
{
    make_waiting(&devices[0], "A4:C1:38:00:00:04", "Shed");
}

static void make_case_hostile(Device *devices)
{
    make_hostile(&devices[0]);
}

static const Case cases[] = {
    {"fresh", make_case_fresh, 1, FALSE},     {"clone", make_case_clone, 1, FALSE},
    {"two", make_case_two, 2, FALSE},         {"stale", make_case_stale, 1, FALSE},
    {"waiting", make_case_waiting, 1, FALSE}, {"hostile", make_case_hostile, 1, FALSE},
    {"modern", make_case_fresh, 1, TRUE},
};

static GString *render_case(const Case *c, ExportFormat format)
{
    static Device devices[MAX_DEVICES];
    const Device *const pointers[MAX_DEVICES] = {&devices[0], &devices[1]};

    c->make(devices);
    ExportView view = make_view(pointers, c->n_devices);
    view.legacy = !c->without_legacy;
    GString *out = g_string_new(NULL);
    export_metrics(&view, format, out);
    return out;
}

/** What a golden file holds: everything that is the same in each run and in each version. */
static char *without_process(const GString *exposition)
{
    GString *out = g_string_new(NULL);
    g_auto(GStrv) lines = g_strsplit(exposition->str, "\n", -1);

    for (guint i = 0; lines[i] && lines[i + 1]; i++) {
        if (!strstr(lines[i], "process_") && !strstr(lines[i], "bms_exporter_build_info"))
            g_string_append_printf(out, "%s\n", lines[i]);
    }
    return g_string_free(out, FALSE);
}

/** The first line in which two texts differ, for a message that helps. */
static void assert_same_text(const char *file, const char *is, const char *should)
{
    g_auto(GStrv) a = g_strsplit(is, "\n", -1);
    g_auto(GStrv) b = g_strsplit(should, "\n", -1);

    for (guint i = 0; a[i] || b[i]; i++) {
        if (g_strcmp0(a[i], b[i]) != 0) {
            g_test_message("%s, line %u", file, i + 1);
            g_assert_cmpstr(a[i], ==, b[i]);
        }
        if (!a[i] || !b[i])
            break;
    }
    g_assert_cmpstr(is, ==, should);
}

static void compare_with_golden(const Case *c, ExportFormat format, const char *suffix)
{
    g_autofree char *file = g_strdup_printf("tests/data/export/%s.%s", c->name, suffix);
    g_autofree char *golden = NULL;
    g_autoptr(GError) error = NULL;
    GString *exposition = render_case(c, format);
    g_autofree char *text = without_process(exposition);

    g_string_free(exposition, TRUE);
    if (g_getenv("UPDATE_GOLDEN")) {
        g_file_set_contents(file, text, -1, &error);
        g_assert_no_error(error);
        return;
    }
    g_file_get_contents(file, &golden, NULL, &error);
    g_assert_no_error(error);
    assert_same_text(file, text, golden);
}

static void test_golden(gconstpointer data)
{
    compare_with_golden(data, EXPORT_TEXT, "txt");
    compare_with_golden(data, EXPORT_OPENMETRICS, "openmetrics");
}

/* ---- strict readers ------------------------------------------------------------------------ */

/** @return FALSE if the program is not there */
static gboolean read_by(const char *const *argv, GString *exposition, const char *what)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *output = NULL;
    g_autoptr(GSubprocess) process =
        g_subprocess_newv(argv,
                          G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE |
                              G_SUBPROCESS_FLAGS_STDERR_MERGE,
                          &error);
    if (g_error_matches(error, G_SPAWN_ERROR, G_SPAWN_ERROR_NOENT))
        return FALSE;
    g_assert_no_error(error);
    g_subprocess_communicate_utf8(process, exposition->str, NULL, &output, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(g_subprocess_get_if_exited(process));
    if (g_subprocess_get_exit_status(process) == 77)
        return FALSE;
    if (g_subprocess_get_exit_status(process) != 0)
        g_test_message("%s, %s: %s", argv[0], what, output);
    g_assert_cmpint(g_subprocess_get_exit_status(process), ==, 0);
    return TRUE;
}

static void read_every_case_by(const char *const *argv, ExportFormat format)
{
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        GString *exposition = render_case(&cases[i], format);
        const gboolean there = read_by(argv, exposition, cases[i].name);

        g_string_free(exposition, TRUE);
        if (!there) {
            g_test_skip("not installed");
            return;
        }
    }
}

static void test_strict_openmetrics(void)
{
    read_every_case_by((const char *[]){"/usr/bin/python3", STRICT, "openmetrics", NULL},
                       EXPORT_OPENMETRICS);
}

static void test_strict_text(void)
{
    read_every_case_by((const char *[]){"/usr/bin/python3", STRICT, "text", NULL}, EXPORT_TEXT);
}

static void test_promtool(void)
{
    const char *ours = "build/tools/promtool"; /* where the Makefile puts one */
    const char *promtool = g_file_test(ours, G_FILE_TEST_IS_EXECUTABLE) ? ours : "promtool";

    read_every_case_by((const char *[]){promtool, "check", "metrics", NULL}, EXPORT_TEXT);
}

/* ---- single properties --------------------------------------------------------------------- */

static GString *render_one(const Device *device, ExportFormat format, int64_t now_us)
{
    ExportView view = make_view(&device, 1);
    GString *out = g_string_new(NULL);

    view.now_us = now_us;
    export_metrics(&view, format, out);
    return out;
}

static void assert_line(const Device *device, const char *line, gboolean there)
{
    GString *out = render_one(device, EXPORT_TEXT, NOW_US);
    g_autofree char *wanted = g_strdup_printf("\n%s", line);

    if ((strstr(out->str, wanted) != NULL) != there)
        g_error("%s is %s", line, there ? "missing" : "there");
    g_string_free(out, TRUE);
}

/** The last µs in which readings are fresh, and the first in which they are not. */
static void test_staleness(void)
{
    const int64_t last = DEVICE_FRESH_INTERVALS * INTERVAL;
    Device device;

    make_fresh(&device, "A4:C1:38:00:00:01", "House");
    for (int64_t too_old = 0; too_old <= 1; too_old++) {
        GString *out = render_one(&device, EXPORT_TEXT, device.read_at_us + last + too_old);

        g_assert_cmpint(strstr(out->str, "\nbms_voltage ") == NULL, ==, too_old);
        g_assert_cmpint(strstr(out->str, "\nbms_pack_voltage_volts{") == NULL, ==, too_old);
        g_assert_cmpint(strstr(out->str, "\nbms_up{battery=\"House\"} 0") != NULL, ==, too_old);
        g_assert_nonnull(strstr(out->str, "\nbms_last_update 1"));
        g_assert_nonnull(strstr(out->str, "\nbms_charge_cycles_total{"));
        g_string_free(out, TRUE);
    }
}

/** Moments are told by the wall clock as it is when they are told. */
static void test_moments(void)
{
    static const struct {
        int64_t boot_unix_us;
        const char *started, *read;
    } shown[] = {
        {BOOT_UNIX_US, "1699990000.5", "1699999998.25"},
        {0, "90000.25", "99998"},
        {-NOW_US, "-9999.75", "-2"},
    };
    Device device;
    const Device *devices = &device;
    ExportView view = make_view(&devices, 1);

    make_fresh(&device, "A4:C1:38:00:00:01", "B");
    for (guint i = 0; i < G_N_ELEMENTS(shown); i++) {
        GString *out = g_string_new(NULL);
        g_autofree char *wanted = g_strdup_printf(
            "\nbms_last_success_timestamp_seconds{battery=\"B\"} %s\n", shown[i].read);
        g_autofree char *legacy = g_strdup_printf("\nbms_last_update %s\n", shown[i].read);
        g_autofree char *begun =
            g_strdup_printf("\nprocess_start_time_seconds %s\n", shown[i].started);

        view.boot_unix_us = shown[i].boot_unix_us;
        export_metrics(&view, EXPORT_TEXT, out);
        g_assert_nonnull(strstr(out->str, wanted));
        g_assert_nonnull(strstr(out->str, legacy));
        g_assert_nonnull(strstr(out->str, begun));
        g_string_free(out, TRUE);
    }
}

static void test_time_left(void)
{
    Device device;

    make_fresh(&device, "A4:C1:38:00:00:01", "B");
    state_of(&device)->basic.current_ma =
        10000; /* (98.5 − 34.93) Ah / 10 A, from the capacity learnt */
    assert_line(&device, "bms_time_to_full_seconds{battery=\"B\"} 22885\n", TRUE);
    assert_line(&device, "bms_time_left{mode=\"charging\"} 22885\n", TRUE);
    assert_line(&device, "bms_time_to_empty_seconds", FALSE);
    state_of(&device)->basic.remaining_mah = 98500;
    assert_line(&device, "bms_time_to_full_seconds", FALSE);
    state_of(&device)->basic.current_ma = 0;
    assert_line(&device, "bms_time_left", FALSE);
    state_of(&device)->basic.current_ma = -10;
    assert_line(&device, "bms_time_to_empty_seconds{battery=\"B\"} 35460000\n", TRUE);
    assert_line(&device, "bms_time_left{mode=\"discharging\"} 35460000\n", TRUE);
    state_of(&device)->basic.remaining_mah = 0;
    assert_line(&device, "bms_time_to_empty_seconds", FALSE);
}

/** −0.03 W is 0 W, not −0 W, and so counts as charging, as it always did. */
static void test_power_of_nothing(void)
{
    Device device;

    make_fresh(&device, "A4:C1:38:00:00:01", "B");
    state_of(&device)->cells.count = 1;
    state_of(&device)->basic.current_ma = -10;
    assert_line(&device, "bms_power 0\n", TRUE);
    assert_line(&device, "bms_mode{bms_mode=\"charging\"} 1\n", TRUE);
    state_of(&device)->basic.current_ma = -20; /* −0.0658 W */
    assert_line(&device, "bms_power -0.1\n", TRUE);
    assert_line(&device, "bms_mode{bms_mode=\"charging\"} 0\n", TRUE);
}

/** The most cells and sensors that the structs hold, and values at their limits. */
static void test_limits(void)
{
    Device device;

    make_fresh(&device, "A4:C1:38:00:00:01", "B");
    state_of(&device)->cells.count = JBD_MAX_CELLS;
    for (unsigned i = 0; i < JBD_MAX_CELLS; i++)
        state_of(&device)->cells.mv[i] = 10000;
    state_of(&device)->basic.balancing = 0x80000000;
    state_of(&device)->basic.sensor_count = JBD_MAX_SENSORS;
    state_of(&device)->basic.pack_mv = 655350;
    state_of(&device)->basic.current_ma = INT32_MIN;
    state_of(&device)->basic.nominal_mah = 0;
    state_of(&device)->basic.has_tail = false;
    device.polls = INT64_MAX;
    assert_line(&device, "bms_voltage32 10\n", TRUE);
    assert_line(&device, "bms_cell_balancing{battery=\"B\",cell=\"32\"} 1\n", TRUE);
    assert_line(&device, "bms_balance_status{cell=\"celbals[32]\"} 1\n", TRUE);
    assert_line(&device, "bms_temperature_celsius{battery=\"B\",sensor=\"116\"} 0\n", TRUE);
    assert_line(&device, "bms_pack_current_amperes{battery=\"B\"} -2147483.648\n", TRUE);
    assert_line(&device, "bms_polls_total{battery=\"B\"} 9223372036854775807\n", TRUE);
    assert_line(&device, "bms_ah_percent", FALSE);
    assert_line(&device, "bms_full_charge_capacity_amperehours", FALSE);
}

static void test_counters_without_restarts(void)
{
    Device device;

    make_fresh(&device, "A4:C1:38:00:00:01", "B");
    assert_line(&device, "bms_restarts_total{battery=\"B\"} 1\n", TRUE);
    state_of(&device)->counters.count = JBD_N_COUNTERS - 1;
    assert_line(&device, "bms_restarts_total", FALSE);
    assert_line(&device, "bms_protection_events_total{", TRUE);
    assert_line(&device, "bms_protection_events_total{battery=\"B\",protection=\"restarts\"}",
                FALSE);
    state_of(&device)->has_counters = false;
    assert_line(&device, "bms_protection_events_total", FALSE);
}

static void test_not_finite(void)
{
    Device device;

    make_fresh(&device, "A4:C1:38:00:00:01", "B");
    state_of(&device)->energy.in_joules = (double)INFINITY;
    assert_line(&device, "bms_charge_energy_joules_total", FALSE);
    assert_line(&device, "# TYPE bms_charge_energy_joules_total", FALSE);
}

/* ---- what is not escaped because it needs none ----------------------------------------------- */

static void assert_plain(const char *text)
{
    g_autoptr(GString) label = g_string_new(NULL);

    escape_label(label, text);
    g_assert_cmpstr(label->str, ==, text);
}

static void plain_sample(Sink *sink, SinkLabel label, Number number)
{
    (void)number;
    assert_plain(sink->family->help);
    if (label.name && label.plain)
        assert_plain(label.value);
}

static void plain_labels(Sink *sink, const SinkLabel *labels, size_t n)
{
    for (size_t i = 0; i < n; i++)
        plain_sample(sink, labels[i], (Number){0});
}

static void plain_histogram(Sink *sink, const DeviceHistogram *histogram)
{
    (void)histogram;
    assert_plain(sink->family->help);
}

/** Whatever the batteries say: what claims to be plain is. */
static void test_plain(void)
{
    static const SinkOps ops = {
        .sample = plain_sample, .labels = plain_labels, .histogram = plain_histogram};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        Device devices[MAX_DEVICES];
        const Device *const pointers[MAX_DEVICES] = {&devices[0], &devices[1]};

        cases[i].make(devices);

        const ExportView view = make_view(pointers, cases[i].n_devices);
        Sink sink = {.ops = &ops, .view = &view};

        families_visit(&sink);
    }
}

/** Decimal points stay points where the locale writes commas. */
static void test_locale(void)
{
    static const char *const with_comma[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"};
    gboolean found = FALSE;

    for (guint i = 0; i < G_N_ELEMENTS(with_comma) && !found; i++)
        found = setlocale(LC_ALL, with_comma[i]) != NULL;
    if (!found) {
        g_test_skip("no locale with a decimal comma");
        return;
    }
    compare_with_golden(&cases[0], EXPORT_TEXT, "txt");
    setlocale(LC_ALL, "C");
}

/** The number behind @a key in @a text. */
static double number_behind(const char *text, const char *key)
{
    g_autofree char *line_start = g_strdup_printf("\n%s", key);
    const char *at = strstr(text, line_start);

    if (!at)
        g_error("no %s", key);
    return g_ascii_strtod(at + strlen(line_start), NULL);
}

static void assert_near(double a, double b, double difference)
{
    g_assert_cmpfloat(fabs(a - b), <=, difference);
}

/** Against what the kernel says in another place; memory may have grown in between. */
static void test_process(void)
{
    g_autofree char *status = NULL;
    Device device;

    make_waiting(&device, "A4:C1:38:00:00:01", "B");
    const int fd = g_open("/dev/null", O_RDONLY, 0);
    g_assert_true(g_file_get_contents("/proc/self/status", &status, NULL, NULL));
    GString *one_more = render_one(&device, EXPORT_TEXT, NOW_US);
    g_assert_true(g_close(fd, NULL));
    GString *out = render_one(&device, EXPORT_TEXT, NOW_US);

    g_assert_cmpfloat(number_behind(out->str, "process_threads "), ==,
                      number_behind(status, "Threads:\t"));
    assert_near(number_behind(out->str, "process_virtual_memory_bytes "),
                number_behind(status, "VmSize:\t") * 1024, 64e6);
    assert_near(number_behind(out->str, "process_resident_memory_bytes "),
                number_behind(status, "VmRSS:\t") * 1024, 8e6);
    g_assert_cmpfloat(number_behind(out->str, "process_open_fds "), >=, 3);
    g_assert_cmpfloat(number_behind(out->str, "process_open_fds "), <, 50);
    g_assert_cmpfloat(number_behind(one_more->str, "process_open_fds "), ==,
                      number_behind(out->str, "process_open_fds ") + 1);
    g_assert_cmpfloat(number_behind(out->str, "process_max_fds "), >=, 50);
    g_assert_cmpfloat(number_behind(out->str, "process_cpu_seconds_total "), >, 0);
    g_assert_cmpfloat(number_behind(out->str, "process_cpu_seconds_total "), <, 3600);
    g_assert_cmpfloat(number_behind(out->str, "process_start_time_seconds "), ==, STARTED);
    g_assert_nonnull(strstr(out->str, "\nbms_exporter_build_info{version=\""));
    g_string_free(one_more, TRUE);
    g_string_free(out, TRUE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strdup_printf("/export/golden/%s", cases[i].name);
        g_test_add_data_func(path, &cases[i], test_golden);
    }
    g_test_add_func("/export/strict/openmetrics", test_strict_openmetrics);
    g_test_add_func("/export/strict/text", test_strict_text);
    g_test_add_func("/export/strict/promtool", test_promtool);
    g_test_add_func("/export/staleness", test_staleness);
    g_test_add_func("/export/moments", test_moments);
    g_test_add_func("/export/time-left", test_time_left);
    g_test_add_func("/export/power-of-nothing", test_power_of_nothing);
    g_test_add_func("/export/limits", test_limits);
    g_test_add_func("/export/counters-without-restarts", test_counters_without_restarts);
    g_test_add_func("/export/not-finite", test_not_finite);
    g_test_add_func("/export/plain", test_plain);
    g_test_add_func("/export/locale", test_locale);
    g_test_add_func("/export/process", test_process);
    return g_test_run();
}
