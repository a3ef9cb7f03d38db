/* SPDX-License-Identifier: MIT */
/*
 *   adapter is there ──▶ scan for 30 s ──▶ pause ──▶ scan …
 *
 * What the first scan finds is shown at once, what later ones find at their end: nothing disappears
 * only because a scan has just begun. A scan costs the adapter time
 * that others may need, hence the pause.
 */
#include "first_run.h"

#include "doctor/advice.h"
#include "doctor/scan_table.h"
#include "log.h"

#include <string.h>

enum {
    SCAN_SECONDS = 30,
    PAUSE_SECONDS = 270,
    REFRESH_SECONDS = 1, /* devices in range change all the time */
    MAX_BOARDS = 16,     /* that are shown, and logged in all */
};

/* Of the shipped unit, which reads ARGS from it. */
static const char settings[] = "/etc/default/bms-exporter";
static const char restart[] = "sudo systemctl restart bms-exporter";

struct FirstRun {
    Bluez *bluez;
    const Options *options;
    void (*changed)(void *user);
    void *user;
    BluezScan *scan; /* NULL during a pause and without an adapter */
    gboolean scan_ended;
    gboolean complete; /* the boards are those of a whole scan */
    gboolean stopping;
    char *failure;    /* a sentence: why the latest scan ended early, or NULL */
    guint timer;      /* GLib source: ends the scan or the pause */
    guint refresh;    /* GLib source: looks at what was found */
    guint idle;       /* GLib source: looks at the adapter */
    GPtrArray *found; /* of ExportBoard */
    GHashTable *told; /* addresses that were logged, MAX_BOARDS at most */
    char *state;
    char *line;
    ExportFirstRun view; /* of the above */
};

/* ---- what is shown --------------------------------------------------------------------------- */

static void board_free(gpointer data)
{
    ExportBoard *board = data;

    g_free(board->name);
    g_free(board->why);
    g_free(board);
}

static void add_board(FirstRun *first, const ScanDevice *device, Likeness wanted)
{
    ScanRow *row = scan_row_new(device, FALSE);

    if (row->likeness == wanted && scan_row_is_in_range(row)) {
        ExportBoard *board = g_new0(ExportBoard, 1);

        g_strlcpy(board->address, device->address, sizeof board->address);
        board->name = g_strdup(scan_row_name(row));
        board->why = g_strdup(scan_row_why(row));
        board->likely = wanted == LIKENESS_LIKELY;
        board->rssi = device->heard ? device->rssi : 0;
        g_ptr_array_add(first->found, board);
    }
    scan_row_free(row);
}

/* The likely ones first. */
static void collect(FirstRun *first)
{
    static const Likeness order[] = {LIKENESS_LIKELY, LIKENESS_MAYBE};

    g_ptr_array_set_size(first->found, 0);
    for (gsize i = 0; i < G_N_ELEMENTS(order); i++)
        for (guint n = 0; n < bluez_scan_count(first->scan) && first->found->len < MAX_BOARDS; n++)
            add_board(first, bluez_scan_device(first->scan, n), order[i]);
}

/* A word of the command line as systemd takes it from a settings file. */
static void append_word(GString *line, const char *word)
{
    if (strpbrk(word, "\"'\\$`") != NULL)
        g_string_append(line, "\xE2\x80\xA6 "); /* … : is to be put in by who wrote it */
    else if (strpbrk(word, " \t") != NULL)
        g_string_append_printf(line, "'%s' ", word);
    else
        g_string_append_printf(line, "%s ", word);
}

static guint count_suggested(const GPtrArray *boards)
{
    guint n = 0;

    while (n < boards->len && ((const ExportBoard *)boards->pdata[n])->likely ==
                                  ((const ExportBoard *)boards->pdata[0])->likely)
        n++;
    return n;
}

/* The options that are in use, then the likeliest boards. */
static char *make_line(char *const *argv, const GPtrArray *boards)
{
    GString *line = g_string_new("ARGS=\"");
    guint n = count_suggested(boards);

    for (char *const *word = argv + 1; *word; word++)
        append_word(line, *word);
    for (guint i = 0; i < n; i++) {
        const ExportBoard *board = boards->pdata[i];

        g_string_append_printf(line, "%s=battery", board->address);
        if (n > 1)
            g_string_append_printf(line, "%u", i + 1);
        g_string_append_c(line, ' ');
    }
    if (n == 0)
        g_string_append(line, "ADDRESS=NAME ");
    g_string_truncate(line, line->len - 1);
    g_string_append_c(line, '"');
    return g_string_free(line, FALSE);
}

/* @param remedy or NULL. @return to be freed */
static char *describe_failure(const char *text, const char *remedy)
{
    if (remedy == NULL)
        return g_strdup_printf("Cannot scan: %s.", text);
    return g_strdup_printf("Cannot scan: %s. What helps: %s", text, remedy);
}

static char *make_state(const FirstRun *first)
{
    if (!bluez_is_settled(first->bluez))
        return g_strdup("Waiting for Bluetooth.");
    if (bluez_fault(first->bluez, NULL) != LINK_FAULT_NONE) {
        Advice advice;
        char *text;

        advice_on_bluez(&advice, first->bluez);
        text = describe_failure(advice.text, advice.remedy);
        advice_clear(&advice);
        return text;
    }
    if (first->failure)
        return g_strdup(first->failure);
    return g_strdup(first->scan ? "Scanning for boards."
                                : "The next scan begins within 5 minutes.");
}

static void tell_boards(FirstRun *first)
{
    for (guint i = 0; i < first->found->len && g_hash_table_size(first->told) < MAX_BOARDS; i++) {
        const ExportBoard *board = first->found->pdata[i];

        if (g_hash_table_add(first->told, g_strdup(board->address)))
            log_info("found %s (%s; %s); to read it, put %s into %s", board->address, board->name,
                     board->why, first->line, settings);
    }
}

/* Makes the view from what is known. */
static void describe(FirstRun *first)
{
    g_free(first->state);
    first->state = make_state(first);
    g_free(first->line);
    first->line = make_line(first->options->argv, first->found);
    first->view = (ExportFirstRun){
        .state = first->state,
        .settings = settings,
        .line = first->line,
        .restart = restart,
        .boards = (const ExportBoard *const *)first->found->pdata,
        .n_boards = first->found->len,
    };
}

static void show(FirstRun *first)
{
    describe(first);
    tell_boards(first);
    first->changed(first->user);
}

/* ---- scans ----------------------------------------------------------------------------------- */

static gboolean on_refresh(gpointer user)
{
    FirstRun *first = user;

    first->refresh = 0;
    if (first->scan && !first->complete)
        collect(first);
    show(first);
    return G_SOURCE_REMOVE;
}

/* ScanEvents */
static void on_scan_changed(void *user)
{
    FirstRun *first = user;

    if (!first->refresh && !first->stopping)
        first->refresh = g_timeout_add_seconds(REFRESH_SECONDS, on_refresh, first);
}

static void look_soon(FirstRun *first);

/* ScanEvents */
static void on_scan_ended(void *user, LinkFault fault, const char *reason)
{
    FirstRun *first = user;

    first->scan_ended = TRUE;
    g_clear_pointer(&first->failure, g_free);
    if (fault != LINK_FAULT_NONE)
        first->failure =
            describe_failure(reason ? reason : link_fault_text(fault), link_fault_remedy(fault));
    look_soon(first);
}

static const ScanEvents scan_events = {.changed = on_scan_changed, .ended = on_scan_ended};

/* GSourceFunc: a scan has lasted long enough. */
static gboolean on_scan_time(gpointer user)
{
    FirstRun *first = user;

    first->timer = 0;
    bluez_scan_stop(first->scan);
    return G_SOURCE_REMOVE;
}

/* GSourceFunc: a pause has. */
static gboolean on_pause_time(gpointer user)
{
    FirstRun *first = user;

    first->timer = 0;
    look_soon(first);
    return G_SOURCE_REMOVE;
}

static void begin(FirstRun *first)
{
    g_clear_pointer(&first->failure, g_free);
    first->scan_ended = FALSE;
    first->scan = bluez_scan_new(first->bluez, &scan_events, first);
    first->timer = g_timeout_add_seconds(SCAN_SECONDS, on_scan_time, first);
    bluez_scan_start(first->scan);
}

static void finish(FirstRun *first)
{
    collect(first);
    first->complete = TRUE;
    g_clear_pointer(&first->scan, bluez_scan_free);
    g_clear_handle_id(&first->timer, g_source_remove);
    if (!first->stopping)
        first->timer = g_timeout_add_seconds(PAUSE_SECONDS, on_pause_time, first);
}

/* From the main loop, since neither a scan nor the adapter likes to be changed from its callback.
 */
static gboolean on_look(gpointer user)
{
    FirstRun *first = user;
    gboolean usable =
        bluez_is_settled(first->bluez) && bluez_fault(first->bluez, NULL) == LINK_FAULT_NONE;

    first->idle = 0;
    if (first->scan && first->scan_ended)
        finish(first);
    if (!usable && !first->scan) {
        /* Once the adapter is back there is no pause, and what was found may be gone by then. */
        g_clear_handle_id(&first->timer, g_source_remove);
        g_ptr_array_set_size(first->found, 0);
        first->complete = FALSE;
    }
    if (usable && !first->scan && !first->timer && !first->stopping)
        begin(first);
    show(first);
    return G_SOURCE_REMOVE;
}

static void look_soon(FirstRun *first)
{
    if (!first->idle)
        first->idle = g_idle_add(on_look, first);
}

/* ---- all of it ------------------------------------------------------------------------------- */

FirstRun *first_run_new(Bluez *bluez, const Options *options, void (*changed)(void *user),
                        void *user)
{
    FirstRun *first = g_new0(FirstRun, 1);

    first->bluez = bluez;
    first->options = options;
    first->changed = changed;
    first->user = user;
    first->found = g_ptr_array_new_with_free_func(board_free);
    first->told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    log_warn("no battery is configured; put its address into ARGS in %s, then: %s", settings,
             restart);
    describe(first);
    look_soon(first);
    return first;
}

void first_run_free(FirstRun *first)
{
    g_clear_handle_id(&first->timer, g_source_remove);
    g_clear_handle_id(&first->refresh, g_source_remove);
    g_clear_handle_id(&first->idle, g_source_remove);
    g_clear_pointer(&first->scan, bluez_scan_free);
    g_ptr_array_unref(first->found);
    g_hash_table_unref(first->told);
    g_free(first->failure);
    g_free(first->state);
    g_free(first->line);
    g_free(first);
}

void first_run_follow(FirstRun *first)
{
    look_soon(first);
}

void first_run_stop(FirstRun *first)
{
    first->stopping = TRUE;
    g_clear_handle_id(&first->timer, g_source_remove);
    g_clear_handle_id(&first->refresh, g_source_remove);
    if (first->scan && !first->scan_ended)
        bluez_scan_stop(first->scan);
}

gboolean first_run_is_stopped(const FirstRun *first)
{
    return first->scan == NULL;
}

const ExportFirstRun *first_run_view(const FirstRun *first)
{
    return &first->view;
}

char *first_run_status(const FirstRun *first)
{
    return g_strdup_printf("no battery is configured: put %s into %s, then: %s", first->line,
                           settings, restart);
}
