/* SPDX-License-Identifier: MIT */
#include "scan_table.h"

#include "terminal.h"

enum { ADDRESS, SIGNAL, MAKE, STATE, NAME, WHY, N_COLUMNS };

/* A name may have 248 characters; the reasons are to be seen beside it. */
enum { MIN_NAME = 14, MAX_NAME = 32, WHY_WIDTH = 34 };

static const char *const headers[N_COLUMNS] = {"ADDRESS", "SIGNAL", "BOARD",
                                               "STATE",   "NAME",   "WHY"};

/* ---- rows ------------------------------------------------------------------------------------ */

static char *state_of(const ScanDevice *device)
{
    const char *known = "new";

    if (device->bonded)
        known = "bonded";
    else if (device->paired)
        known = "paired";
    else if (device->known)
        known = "known";
    return g_strdup_printf("%s%s", known,
                           device->connected ? ",connected"
                           : device->heard   ? ""
                                             : ",unheard");
}

ScanRow *scan_row_new(const ScanDevice *device, gboolean ascii)
{
    ScanRow *row = g_new0(ScanRow, 1);
    GString *why = g_string_new(NULL);
    const char *make;

    row->device = device;
    row->likeness = likeness_judge(device, &make, why);
    row->text[ADDRESS] = g_strdup(device->address);
    row->text[SIGNAL] = device->heard ? g_strdup_printf("%d", device->rssi) : g_strdup("-");
    row->text[MAKE] = g_strdup(make);
    row->text[STATE] = state_of(device);
    row->text[NAME] = *device->name ? terminal_clean(device->name, ascii) : g_strdup("-");
    row->text[WHY] = g_string_free(why, FALSE);
    if (!*row->text[WHY]) {
        g_free(row->text[WHY]);
        row->text[WHY] = g_strdup("-");
    }
    return row;
}

void scan_row_free(ScanRow *row)
{
    for (guint i = 0; i < N_COLUMNS; i++)
        g_free(row->text[i]);
    g_free(row);
}

gboolean scan_row_is_in_range(const ScanRow *row)
{
    return row->device->heard || row->device->connected;
}

const char *scan_row_name(const ScanRow *row)
{
    return row->text[NAME];
}

const char *scan_row_why(const ScanRow *row)
{
    return row->text[WHY];
}

char *scan_row_plain(const ScanRow *row)
{
    return g_strjoin("\t", row->text[ADDRESS], row->text[SIGNAL], row->text[MAKE], row->text[STATE],
                     row->text[NAME], row->text[WHY], NULL);
}

/* ---- table ----------------------------------------------------------------------------------- */

static int rank_of(Likeness likeness, gboolean in_range)
{
    return 2 * (int)likeness + in_range;
}

/* The likeliest first, those that are there before the others; equal ones in the order in which
 * they were found, so that lines do not jump (g_ptr_array_sort() does not promise that). */
static GPtrArray *sorted(const GPtrArray *rows)
{
    GPtrArray *order = g_ptr_array_sized_new(rows->len);

    for (int rank = rank_of(LIKENESS_LIKELY, TRUE); rank >= 0; rank--) {
        for (guint i = 0; i < rows->len; i++) {
            const ScanRow *row = rows->pdata[i];

            if (rank_of(row->likeness, scan_row_is_in_range(row)) == rank)
                g_ptr_array_add(order, rows->pdata[i]);
        }
    }
    return order;
}

static void measure(const GPtrArray *order, guint shown, guint columns, guint widths[N_COLUMNS])
{
    guint fixed = 0;

    for (guint column = 0; column < N_COLUMNS; column++) {
        widths[column] = terminal_width(headers[column]);
        for (guint i = 0; i < shown; i++)
            widths[column] = MAX(widths[column],
                                 terminal_width(((const ScanRow *)order->pdata[i])->text[column]));
        if (column < NAME)
            fixed += widths[column] + 2;
    }
    /* The name gets what the reasons leave, within bounds. */
    guint left = columns > fixed + 2 + WHY_WIDTH ? columns - fixed - 2 - WHY_WIDTH : 0;

    widths[NAME] = MIN(widths[NAME], CLAMP(left, MIN_NAME, MAX_NAME));
}

static char *line_of(const char *const texts[N_COLUMNS], const guint widths[N_COLUMNS],
                     guint columns)
{
    GString *whole = g_string_new(NULL);
    GString *line = g_string_new(NULL);

    for (guint column = 0; column < N_COLUMNS; column++) {
        if (column == WHY) {
            g_string_append(whole, texts[column]);
        } else {
            terminal_append_padded(whole, texts[column], widths[column]);
            g_string_append(whole, "  ");
        }
    }
    terminal_append_cut(line, whole->str, columns > 1 ? columns - 1 : 0);
    g_string_free(whole, TRUE);
    return g_string_free(line, FALSE);
}

static char *embolden(char *line)
{
    char *bold = g_strdup_printf("\033[1m%s\033[m", line);

    g_free(line);
    return bold;
}

void scan_table(const GPtrArray *rows, const ScanStyle *style, GPtrArray *lines)
{
    g_autoptr(GPtrArray) order = sorted(rows);
    guint shown = MIN(order->len, style->max_rows);
    guint widths[N_COLUMNS];

    /* A line that says "1 more" takes the place of that one. */
    if (shown < order->len && shown > 0)
        shown--;
    measure(order, shown, style->columns, widths);
    g_ptr_array_add(lines, line_of(headers, widths, style->columns));
    for (guint i = 0; i < shown; i++) {
        const ScanRow *row = order->pdata[i];
        char *line = line_of((const char *const *)row->text, widths, style->columns);

        g_ptr_array_add(lines,
                        style->bold && row->likeness == LIKENESS_LIKELY ? embolden(line) : line);
    }
    if (shown < order->len) {
        GString *more = g_string_new(NULL);
        g_autofree char *text = g_strdup_printf("and %u more", order->len - shown);

        terminal_append_cut(more, text, style->columns > 1 ? style->columns - 1 : 0);
        g_ptr_array_add(lines, g_string_free(more, FALSE));
    }
}
