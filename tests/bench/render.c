/* SPDX-License-Identifier: MIT */
/*
 * Work for callgrind: the exposition of some batteries, rendered so many times.
 *
 *     render BATTERIES TIMES
 *
 * Prints how many series and bytes one time has.
 */
#include "export.h"
#include "unit/export-devices.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_DEVICES = 64 };

static unsigned count_series(const char *text)
{
    unsigned series = 0;

    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        series += *line != '#' && *line != '\0';
    }
    return series;
}

int main(int argc, char **argv)
{
    static Device devices[MAX_DEVICES];
    static char addresses[MAX_DEVICES][sizeof "A4:C1:38:00:00:00"];
    static const Device *pointers[MAX_DEVICES];
    unsigned series = 0;
    size_t size = 0;

    if (argc != 3)
        return EXIT_FAILURE;

    const long n = CLAMP(strtol(argv[1], NULL, 10), 1, MAX_DEVICES);

    for (long i = 0; i < n; i++) {
        (void)snprintf(addresses[i], sizeof addresses[i], "A4:C1:38:00:00:%02X", (unsigned)i & 63);
        make_fresh(&devices[i], addresses[i], addresses[i]);
        pointers[i] = &devices[i];
    }

    const ExportView view = make_view(pointers, (size_t)n);

    for (long left = strtol(argv[2], NULL, 10); left > 0; left--) {
        GString *out = g_string_new(NULL); /* as the web server does */

        export_metrics(&view, EXPORT_TEXT, out);
        if (size == 0) {
            size = out->len;
            series = count_series(out->str);
        }
        g_string_free(out, TRUE);
    }
    printf("%u %zu\n", series, size);
    return EXIT_SUCCESS;
}
