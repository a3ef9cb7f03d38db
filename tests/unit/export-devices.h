/* SPDX-License-Identifier: MIT */
/* Batteries in the states that an exposition and a page can meet. */
#ifndef BMS_TESTS_EXPORT_DEVICES_H
#define BMS_TESTS_EXPORT_DEVICES_H

#include "export.h"
#include "jbd/board.h"

#include <string.h>

enum { SECOND = 1000000, INTERVAL = 10 * SECOND };

/* A moment in a made-up day. */
#define NOW_US       ((int64_t)100000 * SECOND)
#define BOOT_UNIX_US ((int64_t)1699900000250000)
#define STARTED_US   ((int64_t)90000250000)
#define STARTED      1699990000.5

/** What a test may change. */
static inline JbdState *state_of(Device *device)
{
    return (JbdState *)device->state;
}

/** A battery that has been found but never read. */
static inline void make_waiting(Device *b, const char *address, const char *name)
{
    device_init(b, &jbd_kind, address, name, INTERVAL);
    device_set_stage(b, LINK_FINDING);
    device_count_session(b, SESSION_START);
}

static inline void set_cells(JbdCells *cells, unsigned n, const uint16_t *mv, size_t n_mv)
{
    cells->count = (uint8_t)n;
    for (unsigned i = 0; i < n; i++)
        cells->mv[i] = mv[i % n_mv];
}

static inline JbdBasic four_cell_basic(void)
{
    JbdBasic basic = {
        .pack_mv = 13180,
        .current_ma = -20120,
        .remaining_mah = 34930,
        .nominal_mah = 100000,
        .cycles = 42,
        .production_year = 2024,
        .production_month = 3,
        .production_day = 7,
        .balancing = 0x4,
        .protection = 0,
        .version = 0x2A,
        .soc_percent = 35,
        .fet = JBD_FET_CHARGE | JBD_FET_DISCHARGE | 1 << 3,
        .has_functions = true,
        .cell_count = 4,
        .sensor_count = 3,
        .has_tail = true,
        .tail = {.humidity_percent = 47,
                 .alarms = 0x8002,
                 .full_charge_mah = 98500,
                 .balance_current_ma = -7},
        .temperature_dc = {217, -15, -300},
    };
    return basic;
}

static inline JbdCells four_cells(void)
{
    static const uint16_t mv[] = {3291, 3294, 3301, 3297};
    JbdCells cells = {0};
    set_cells(&cells, 4, mv, 4);
    return cells;
}

/** Two polls, all optional registers, newer firmware with a tail. */
static inline void make_fresh(Device *b, const char *address, const char *name)
{
    JbdBasic basic = four_cell_basic();
    const JbdCells cells = four_cells();
    const JbdModel model = {"JBD-SP04S034-L4S-200A-B-U"};
    const JbdCounters counters = {.count = 12, .value = {0, 0, 0, 122, 0, 2, 0, 0, 0, 65535, 0, 1}};

    make_waiting(b, address, name);
    device_set_stage(b, LINK_UP);
    jbd_set_model(b, &model);
    jbd_set_counters(b, &counters);
    device_count_poll(b, 5);
    device_count_failure(b, POLL_FAILURE_NOT_CONNECTED, 2);
    device_count_failure(b, POLL_FAILURE_TIMEOUT, 1);
    jbd_count_error(b, JBD_ERROR_CHECKSUM);
    device_count_session(b, SESSION_RENEWAL);
    jbd_publish(b, &basic, &cells, NOW_US - 2 * SECOND - INTERVAL, 0.25);
    jbd_publish(b, &basic, &cells, NOW_US - 2 * SECOND, 12.5);
}

/** Sixteen cells, no tail, no sensor, no date, neither model nor counters: a clone. Charging. */
static inline void make_clone(Device *b, const char *address, const char *name)
{
    static const uint16_t mv[] = {3301, 3302, 3301, 3303, 3300, 3305, 3302, 3341};
    JbdCells cells = {0};
    const JbdBasic basic = {
        .pack_mv = 52890,
        .current_ma = 15500,
        .remaining_mah = 91250,
        .nominal_mah = 100000,
        .balancing = 0x8080,
        .protection = 0x1001,
        .version = 0x35,
        .soc_percent = 91,
        .fet = JBD_FET_DISCHARGE,
        .cell_count = 16,
    };

    set_cells(&cells, 16, mv, 8);
    make_waiting(b, address, name);
    device_set_stage(b, LINK_UP);
    device_count_poll(b, 1);
    jbd_publish(b, &basic, &cells, NOW_US - 9 * SECOND, 0.05);
}

/** As make_fresh(), but the latest readings are a µs too old. */
static inline void make_stale(Device *b, const char *address, const char *name)
{
    make_fresh(b, address, name);
    b->read_at_us = NOW_US - DEVICE_FRESH_INTERVALS * INTERVAL - 1;
    device_set_stage(b, LINK_FINDING);
    device_set_fault(b, LINK_FAULT_NOT_FOUND, NULL);
}

/** As make_fresh(), with every text from outside as bad as it can be. */
static inline void make_hostile(Device *b)
{
    JbdModel model = {"\xFF\"\\\n<b>\x01\x1B\x7F\xC3\xA9\xE2\x82\xC2\x85&'"};

    make_fresh(b, "A4:C1:38:00:00:09", "a\"b\\c\nd<script>e\xF0\x9F\x94\x8B\xC3");
    state_of(b)->identity.shown.has_model = false; /* else it would be shown after an hour */
    jbd_set_model(b, &model);
    device_set_fault(b, LINK_FAULT_REFUSED, "</p><img src=x onerror=\"alert('x')\">");
}

static inline ExportView make_view(const Device *const *devices, size_t n)
{
    return (ExportView){
        .devices = devices,
        .n_devices = n,
        .legacy = TRUE,
        .now_us = NOW_US,
        .started_us = STARTED_US,
        .boot_unix_us = BOOT_UNIX_US,
    };
}

#endif
