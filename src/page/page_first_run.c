/* SPDX-License-Identifier: MIT */
#include "page_first_run.h"

#include "pieces.h"

static void append_board(GString *out, const ExportBoard *board)
{
    page_begin_fact(out, board->likely ? "Likely a board" : "May be a board");
    page_append_text(out, board->address);
    g_string_append(out, PAGE_MIDDLE_DOT);
    page_append_text(out, board->name);
    if (board->rssi != 0) {
        g_string_append(out, PAGE_MIDDLE_DOT);
        page_append_milli(out, board->rssi * INT64_C(1000), 0);
        g_string_append(out, PAGE_NBSP "dBm");
    }
    g_string_append(out, PAGE_MIDDLE_DOT);
    page_append_text(out, board->why);
    page_end_fact(out);
}

static void append_boards(GString *out, const ExportFirstRun *first)
{
    if (first->n_boards == 0) {
        g_string_append(out,
                        "<p class=note>No board has been found. A board cannot be found while an "
                        "app is connected to it: close its app on every phone and tablet. Charge "
                        "or load the battery, which wakes a board that sleeps.</p>\n");
        return;
    }
    g_string_append(out, "<dl>");
    for (size_t i = 0; i < first->n_boards; i++)
        append_board(out, first->boards[i]);
    g_string_append(out, "</dl>\n");
}

void page_append_first_run(GString *out, const ExportFirstRun *first)
{
    g_string_append(out, "<article>\n<header><h2>No battery configured</h2>"
                         "<span class=\"badge warn\">waiting</span></header>\n"
                         "<p class=note>Put this line into ");
    page_append_text(out, first->settings);
    g_string_append(out, ", in place of the one that begins with ARGS; what stands after = is the "
                         "name of the battery:</p>\n<p class=note><b><code>");
    page_append_text(out, first->line);
    g_string_append(out, "</code></b></p>\n<p class=note>Then run:</p>\n<p class=note><b><code>");
    page_append_text(out, first->restart);
    g_string_append(out, "</code></b></p>\n");
    append_boards(out, first);
    g_string_append(out, "<p class=note>");
    page_append_text(out, first->state);
    g_string_append(out, "</p>\n</article>\n");
}
