/* SPDX-License-Identifier: MIT */
/* bms-exporter: reads JBD batteries over Bluetooth LE, serves Prometheus metrics. */
#include "app.h"
#include "cli/options.h"
#include "log.h"
#include "modes.h"
#include "signals.h"
#include "system.h"

#include <locale.h>
#include <malloc.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    Options options;
    int status = EXIT_SUCCESS;

    if (!system_open_standard_descriptors())
        return EXIT_FAILURE;
    /* GDBus' thread would get an arena of its own, which little is taken from and which only grows:
     * 0.2 MB in a day. */
    (void)mallopt(M_ARENA_MAX, 1);
    signals_tame();
    (void)setlocale(LC_CTYPE, ""); /* for what --help prints; numbers stay as they are */
    if (argc < 1)
        return EXIT_WRONG_USAGE; /* nobody who calls us by a name */
    switch (options_parse(&options, argv)) {
    case OPTIONS_RUN:
        log_init(options.log_level, system_stderr_is_journal());
        if (options.scan_us)
            status = scan_run(&options);
        else if (options.check)
            status = check_run(&options);
        else
            status = app_run(&options);
        break;
    case OPTIONS_DONE:
        break;
    case OPTIONS_WRONG:
        status = EXIT_WRONG_USAGE;
        break;
    }
    options_clear(&options);
    return status;
}
