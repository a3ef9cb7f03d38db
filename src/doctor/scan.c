/* SPDX-License-Identifier: MIT */
/*
 * --scan: a table that is redrawn while devices are found; in a pipe a line for each device.
 *
 *   settle ──▶ scan ──▶ stop the discovery ──▶ write the rest ──▶ end
 *
 * Signals and faults only shorten this way; the discovery is stopped in each case.
 */
#include "advice.h"
#include "app/modes.h"
#include "app/signals.h"
#include "log.h"
#include "scan_table.h"
#include "terminal.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    REFRESH_MS = 250,
    /* A device that changes its name all the time must not fill the disk behind a pipe. */
    MAX_REPEATS = 8,
    /* In the command at the end; more do not fit an adapter. */
    MAX_SUGGESTED = 8,
    /* Lines of the live picture that are not devices: status, header, and where the cursor is. */
    OTHER_LINES = 3,
};

/* What a pipe has been told of a device. */
typedef struct {
    char *line;
    guint times;
} Told;

typedef struct {
    const Options *options;
    GMainLoop *loop;
    Bluez *bluez;
    BluezScan *scan; /* NULL until the adapter is there */
    SignalsAtPrompt signals;
    Screen *screen; /* NULL in a pipe */
    Output *output;
    Output *hints;   /* for people: the terminal, else standard error */
    GPtrArray *told; /* of Told, by the device's index */
    gint64 ends_at;  /* monotonic */
    guint timer;     /* GLib source: bounds what is going on */
    guint refresh;   /* GLib source */
    guint idle;      /* GLib source: looks at what stands in the way */
    gboolean changed;
    gboolean stopping;
    gboolean done;      /* all has been said but the reason */
    char *reason;       /* why it has failed, or NULL */
    const char *remedy; /* or NULL */
    int exit_status;
} Scan;

/* ---- what has been found --------------------------------------------------------------------- */

static void free_row(gpointer row)
{
    scan_row_free(row);
}

/* A board that BlueZ knows and does not hear is worth a line at the end, and nothing else is. */
static gboolean is_worth_showing(const ScanRow *row, gboolean at_the_end)
{
    return scan_row_is_in_range(row) || (at_the_end && row->likeness >= LIKENESS_MAYBE);
}

static GPtrArray *rows_of(const Scan *scan, gboolean at_the_end)
{
    GPtrArray *rows = g_ptr_array_new_with_free_func(free_row);
    gboolean ascii = scan->screen && !g_get_charset(NULL);

    for (guint i = 0; scan->scan && i < bluez_scan_count(scan->scan); i++) {
        ScanRow *row = scan_row_new(bluez_scan_device(scan->scan, i), ascii);

        if (is_worth_showing(row, at_the_end))
            g_ptr_array_add(rows, row);
        else
            scan_row_free(row);
    }
    return rows;
}

static guint count(const GPtrArray *rows, Likeness likeness, gboolean in_range)
{
    guint n = 0;

    for (guint i = 0; i < rows->len; i++) {
        const ScanRow *row = rows->pdata[i];

        n += row->likeness == likeness && scan_row_is_in_range(row) == in_range;
    }
    return n;
}

/* ---- a terminal ------------------------------------------------------------------------------ */

static ScanStyle style_of(const Scan *scan, guint *rows)
{
    ScanStyle style = {.max_rows = G_MAXUINT, .bold = screen_is_colourful()};

    screen_size(scan->screen, &style.columns, rows);
    return style;
}

static void draw(Scan *scan)
{
    g_autoptr(GPtrArray) rows = rows_of(scan, FALSE);
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    gint64 left_us = MAX(scan->ends_at - g_get_monotonic_time(), 0);
    g_autofree char *status =
        g_strdup_printf("Scanning, %d s left, %u devices (Ctrl-C ends)",
                        (int)((left_us + G_USEC_PER_SEC - 1) / G_USEC_PER_SEC), rows->len);
    GString *line = g_string_new(NULL);
    GString *out = g_string_new(NULL);
    guint height;
    ScanStyle style = style_of(scan, &height);

    style.max_rows = height > OTHER_LINES ? height - OTHER_LINES : 0;
    terminal_append_cut(line, status, style.columns > 1 ? style.columns - 1 : 0);
    g_ptr_array_add(lines, g_string_free(line, FALSE));
    scan_table(rows, &style, lines);
    if (lines->len >= height)
        g_ptr_array_set_size(lines, (gint)height - 1);
    g_ptr_array_add(lines, NULL);
    screen_draw(scan->screen, out, (char *const *)lines->pdata);
    output_write(scan->output, out->str);
    g_string_free(out, TRUE);
}

/* In place of the live picture comes the whole table, however long it is. */
static void draw_last(Scan *scan, const GPtrArray *rows)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    char *nothing[] = {NULL};
    GString *out = g_string_new(NULL);
    guint height;
    ScanStyle style = style_of(scan, &height);

    screen_draw(scan->screen, out, nothing);
    if (rows->len > 0)
        scan_table(rows, &style, lines);
    for (guint i = 0; i < lines->len; i++)
        g_string_append_printf(out, "%s\n", (const char *)lines->pdata[i]);
    output_write(scan->output, out->str);
    g_string_free(out, TRUE);
}

/* ---- a pipe ---------------------------------------------------------------------------------- */

static void free_told(gpointer data)
{
    Told *told = data;

    g_free(told->line);
    g_free(told);
}

/* What matters to who reads lines; a signal that is a little better or worse does not. */
static char *essence_of(const ScanRow *row)
{
    return g_strjoin("\t", row->text[2], row->text[3], row->text[4], row->text[5], NULL);
}

static void print_row(Scan *scan, guint index, gboolean at_the_end)
{
    ScanRow *row = scan_row_new(bluez_scan_device(scan->scan, index), FALSE);
    g_autofree char *essence = essence_of(row);
    Told *told;

    while (scan->told->len <= index)
        g_ptr_array_add(scan->told, g_new0(Told, 1));
    told = scan->told->pdata[index];
    if (is_worth_showing(row, at_the_end) && g_strcmp0(told->line, essence) != 0 &&
        told->times < MAX_REPEATS) {
        g_autofree char *plain = scan_row_plain(row);
        g_autofree char *line = g_strconcat(plain, "\n", NULL);

        output_write(scan->output, line);
        g_free(told->line);
        told->line = g_steal_pointer(&essence);
        told->times++;
    }
    scan_row_free(row);
}

static void print_rows(Scan *scan, gboolean at_the_end)
{
    for (guint i = 0; i < bluez_scan_count(scan->scan); i++)
        print_row(scan, i, at_the_end);
}

static gboolean on_refresh(gpointer user)
{
    Scan *scan = user;

    /* A reader that is slow gets fewer pictures, and a pipe its lines later. */
    if (!output_is_idle(scan->output))
        return G_SOURCE_CONTINUE;
    if (scan->screen)
        draw(scan); /* even if nothing has changed, time runs */
    else if (scan->changed)
        print_rows(scan, FALSE);
    scan->changed = FALSE;
    return G_SOURCE_CONTINUE;
}

/* ---- the end --------------------------------------------------------------------------------- */

static void append_command(GString *text, const Scan *scan, const GPtrArray *rows,
                           Likeness likeness, const char *mode)
{
    const char *adapter = scan->options->adapter;
    guint n = 0;

    g_string_append_printf(text, "    bms-exporter%s%s%s", mode, adapter ? " --adapter=" : "",
                           adapter ? adapter : "");
    for (guint i = 0; i < rows->len && n < MAX_SUGGESTED; i++) {
        const ScanRow *row = rows->pdata[i];

        if (row->likeness == likeness && scan_row_is_in_range(row)) {
            g_string_append_printf(text, " %s", row->device->address);
            n++;
        }
    }
    g_string_append_c(text, '\n');
}

static gboolean any_connected(const GPtrArray *rows)
{
    for (guint i = 0; i < rows->len; i++) {
        const ScanRow *row = rows->pdata[i];

        if (row->likeness >= LIKENESS_MAYBE && row->device->connected)
            return TRUE;
    }
    return FALSE;
}

/* What to do next. */
static void append_advice(GString *text, const Scan *scan, const GPtrArray *rows)
{
    if (bluez_scan_is_full(scan->scan))
        g_string_append_printf(text, "More than %d devices; the rest is not listed.\n",
                               SCAN_MAX_DEVICES);
    if (count(rows, LIKENESS_LIKELY, TRUE) > 0) {
        g_string_append(text, "Next, check the way to the battery, or serve its readings:\n");
        append_command(text, scan, rows, LIKENESS_LIKELY, " --check");
        append_command(text, scan, rows, LIKENESS_LIKELY, "");
    } else if (count(rows, LIKENESS_MAYBE, TRUE) > 0) {
        g_string_append(text, "Nothing is surely a JBD board. To try what may be one:\n");
        append_command(text, scan, rows, LIKENESS_MAYBE, " --check");
    } else {
        g_string_append(
            text, "A board cannot be found while an app is connected to it: close its app on\n"
                  "every phone and tablet, or switch their Bluetooth off. Move the adapter\n"
                  "closer, or use a USB adapter on an extension cable. Charge\n"
                  "or load the battery, which wakes a board that sleeps. Scan for longer:\n"
                  "    bms-exporter --scan=60\n");
    }
    if (any_connected(rows))
        g_string_append(text, "What is connected belongs to a program on this machine, perhaps to "
                              "the service:\n    sudo systemctl stop bms-exporter\n");
    if (count(rows, LIKENESS_LIKELY, FALSE) + count(rows, LIKENESS_MAYBE, FALSE) > 0)
        g_string_append(text, "What is unheard is known from earlier: out of range, asleep, or "
                              "connected to\nan app.\n");
    if (count(rows, LIKENESS_FOREIGN, TRUE) > 0)
        g_string_append(text, "Batteries of another make or protocol were seen, which this "
                              "program cannot read.\n");
}

static void fail(Scan *scan, const char *reason, const char *remedy)
{
    g_free(scan->reason);
    scan->reason = g_strdup(reason);
    scan->remedy = remedy;
    scan->exit_status = EXIT_FAILURE;
}

static void quit_when_written(const Scan *scan)
{
    if (scan->done && output_is_idle(scan->output) && output_is_idle(scan->hints))
        g_main_loop_quit(scan->loop);
}

static void say_all(Scan *scan)
{
    g_autoptr(GPtrArray) rows = rows_of(scan, TRUE);
    GString *text = g_string_new(NULL);

    g_clear_handle_id(&scan->refresh, g_source_remove);
    append_advice(text, scan, rows);
    if (scan->screen) {
        draw_last(scan, rows);
        if (rows->len > 0)
            output_write(scan->output, "\n");
    } else {
        print_rows(scan, TRUE);
    }
    output_write(scan->hints, text->str);
    g_string_free(text, TRUE);
    if (scan->exit_status == EXIT_SUCCESS && count(rows, LIKENESS_LIKELY, TRUE) == 0)
        fail(scan, "no JBD board found", NULL);
}

static void finish(Scan *scan)
{
    scan->done = TRUE;
    if (scan->scan)
        say_all(scan);
    quit_when_written(scan);
}

static void stop(Scan *scan)
{
    if (scan->stopping)
        return;
    scan->stopping = TRUE;
    g_clear_handle_id(&scan->timer, g_source_remove);
    if (scan->scan)
        bluez_scan_stop(scan->scan);
    else
        finish(scan);
}

static void on_written(void *user)
{
    Scan *scan = user;

    if (output_error(scan->output))
        stop(scan); /* nobody is left to scan for */
    quit_when_written(scan);
}

static void fail_with_advice(Scan *scan, Advice *advice)
{
    fail(scan, advice->text, advice->remedy);
    advice_clear(advice);
    stop(scan);
}

static gboolean on_time(gpointer user)
{
    Scan *scan = user;

    scan->timer = 0;
    stop(scan);
    return G_SOURCE_REMOVE;
}

/* SignalsEnd */
static void on_signal(void *user, int number, gboolean again)
{
    Scan *scan = user;

    scan->exit_status = 128 + number;
    if (again || scan->done)
        g_main_loop_quit(scan->loop); /* at once: nothing is left to close, or somebody insists */
    else
        stop(scan);
}

/* ---- the way there --------------------------------------------------------------------------- */

static void on_scan_changed(void *user)
{
    Scan *scan = user;

    scan->changed = TRUE;
}

static void on_scan_ended(void *user, LinkFault fault, const char *reason)
{
    Scan *scan = user;

    scan->stopping = TRUE;
    g_clear_handle_id(&scan->timer, g_source_remove);
    if (fault != LINK_FAULT_NONE)
        fail(scan, reason ? reason : link_fault_text(fault), link_fault_remedy(fault));
    finish(scan);
}

static const ScanEvents scan_events = {.changed = on_scan_changed, .ended = on_scan_ended};

static void begin(Scan *scan)
{
    guint ms = (guint)(scan->options->scan_us / 1000);

    g_clear_handle_id(&scan->timer, g_source_remove);
    scan->ends_at = g_get_monotonic_time() + scan->options->scan_us;
    scan->timer = g_timeout_add(ms, on_time, scan);
    scan->refresh = g_timeout_add(REFRESH_MS, on_refresh, scan);
    scan->scan = bluez_scan_new(scan->bluez, &scan_events, scan);
    bluez_scan_start(scan->scan);
}

static gboolean on_look(gpointer user)
{
    Scan *scan = user;

    scan->idle = 0;
    if (scan->stopping || !bluez_is_settled(scan->bluez))
        return G_SOURCE_REMOVE;
    if (bluez_fault(scan->bluez, NULL) != LINK_FAULT_NONE) {
        Advice advice;

        advice_on_bluez(&advice, scan->bluez);
        fail_with_advice(scan, &advice);
    } else if (!scan->scan) {
        begin(scan);
    }
    return G_SOURCE_REMOVE;
}

static void on_fault(void *user)
{
    Scan *scan = user;

    if (!scan->idle)
        scan->idle = g_idle_add(on_look, scan);
}

static gboolean on_settle_limit(gpointer user)
{
    Scan *scan = user;
    Advice advice;

    scan->timer = 0;
    advice_on_silence(&advice, scan->bluez);
    fail_with_advice(scan, &advice);
    return G_SOURCE_REMOVE;
}

/* Last, so that it stands below the table. */
static void tell_reason(const Scan *scan)
{
    if (scan->reason)
        log_error("%s%s%s", scan->reason, scan->remedy ? "; try: " : "",
                  scan->remedy ? scan->remedy : "");
}

int scan_run(const Options *options)
{
    Scan scan = {
        .options = options,
        .loop = g_main_loop_new(NULL, FALSE),
        .bluez = bluez_new(options->adapter),
        .screen = screen_new(STDOUT_FILENO),
        .told = g_ptr_array_new_with_free_func(free_told),
        .exit_status = EXIT_SUCCESS,
    };

    scan.output = output_new(STDOUT_FILENO, on_written, &scan);
    scan.hints = scan.screen ? scan.output : output_new(STDERR_FILENO, on_written, &scan);
    scan.signals = (SignalsAtPrompt){.end = on_signal, .user = &scan};
    signals_at_prompt(&scan.signals);
    scan.timer = g_timeout_add_seconds(ADVICE_SETTLE_SECONDS, on_settle_limit, &scan);
    bluez_set_callback(scan.bluez, on_fault, &scan);
    bluez_start(scan.bluez);
    g_main_loop_run(scan.loop);

    if (output_error(scan.output)) {
        g_autofree char *reason = g_strdup_printf("cannot write to standard output: %s",
                                                  g_strerror(output_error(scan.output)));

        fail(&scan, reason, NULL);
    }
    tell_reason(&scan);
    g_clear_handle_id(&scan.timer, g_source_remove);
    g_clear_handle_id(&scan.refresh, g_source_remove);
    g_clear_handle_id(&scan.idle, g_source_remove);
    g_clear_pointer(&scan.scan, bluez_scan_free);
    bluez_free(scan.bluez);
    if (scan.hints != scan.output)
        output_free(scan.hints);
    output_free(scan.output);
    g_free(scan.reason);
    g_clear_pointer(&scan.screen, screen_free);
    g_ptr_array_unref(scan.told);
    g_main_loop_unref(scan.loop);
    return scan.exit_status;
}
