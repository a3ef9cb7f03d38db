/* SPDX-License-Identifier: MIT */
#include "report.h"

static void write_line(Report *report, const char *result, const char *what, const char *detail)
{
    g_autofree char *clean = detail ? terminal_clean(detail, FALSE) : NULL;
    g_autofree char *line = g_strdup_printf("%-5s  %s%s%s\n", result, what,
                                            clean && *clean ? ": " : "", clean ? clean : "");

    output_write(report->output, line);
}

void report_ok(Report *report, const char *what, const char *detail)
{
    write_line(report, "ok", what, detail);
}

void report_note(Report *report, const char *what, const char *detail)
{
    write_line(report, "note", what, detail);
}

void report_wrong(Report *report, const char *what, const char *detail, const char *remedy)
{
    report->wrong++;
    write_line(report, "wrong", what, detail);
    if (remedy) {
        g_autofree char *line = g_strdup_printf("       try: %s\n", remedy);

        output_write(report->output, line);
    }
}

void report_skipped(Report *report, const char *what)
{
    write_line(report, "-", what, "not checked");
}
