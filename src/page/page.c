/* SPDX-License-Identifier: MIT */
/*
 * The page for people, at /: a card for each battery. No script, nothing loaded from elsewhere.
 *
 * Readings that are not fresh are not shown at all, only when there last were some and what is in
 * the way: an old value that looks alive is the worst thing a monitor can show.
 */
#include "export/escape.h"
#include "export/family.h"
#include "export/number.h"
#include "page_style.h"
#include "version.h"

#include <string.h>
#include <time.h>

enum {
    REFRESH_SECONDS = 10,
    SOC_LOW_PERCENT = 20,
    SOC_EMPTY_PERCENT = 10,
    ALARMS_WITH_MEANING = 12, /* the bits above are reserved, and some modules always set one */
    MINUTE = 60,
    HOUR = 60 * MINUTE,
    DAY = 24 * HOUR,
};

#define MINUS_SIGN "\xE2\x88\x92" /* − */
#define NBSP       "\xC2\xA0"
#define EN_DASH    "\xE2\x80\x93" /* – */
#define MIDDLE_DOT " \xC2\xB7 "

/* ---- small pieces -------------------------------------------------------------------------- */

/** Text from outside. bdi keeps right-to-left characters in it from turning the rest around. */
static void append_text(GString *out, const char *text)
{
    g_string_append(out, "<bdi>");
    escape_html(out, text);
    g_string_append(out, "</bdi>");
}

/** @a value × 10^−3, rounded to @a decimals ≤ 3. */
static void append_milli(GString *out, int64_t value, unsigned decimals)
{
    int64_t divisor = 1;

    for (unsigned i = decimals; i < 3; i++)
        divisor *= 10;
    const int64_t magnitude = (ABS(value) + divisor / 2) / divisor;
    if (value < 0 && magnitude > 0)
        g_string_append(out, MINUS_SIGN);
    number_append_fixed(out, magnitude, decimals);
}

/** The same with a unit. */
static void append_quantity(GString *out, int64_t value, unsigned decimals, const char *unit)
{
    append_milli(out, value, decimals);
    g_string_append(out, NBSP);
    g_string_append(out, unit);
}

/** "2 d 3 h", "5 h 12 min", "3 min", "40 s" */
static void append_duration(GString *out, int64_t seconds)
{
    const int s = (int)CLAMP(seconds, 0, G_MAXINT);

    if (s >= DAY)
        g_string_append_printf(out, "%d" NBSP "d %d" NBSP "h", s / DAY, s % DAY / HOUR);
    else if (s >= HOUR)
        g_string_append_printf(out, "%d" NBSP "h %d" NBSP "min", s / HOUR, s % HOUR / MINUTE);
    else if (s >= MINUTE)
        g_string_append_printf(out, "%d" NBSP "min", s / MINUTE);
    else
        g_string_append_printf(out, "%d" NBSP "s", s);
}

/** A name out of a label, as words. */
static void append_words(GString *out, const char *name)
{
    g_string_append_c(out, g_ascii_toupper(*name));
    for (name++; *name != '\0'; name++)
        g_string_append_c(out, *name == '_' ? ' ' : *name);
}

static void append_bar_value(GString *out, int percent)
{
    g_string_append_printf(out, " style=\"--v:%d%%\"", CLAMP(percent, 0, 100));
}

static void begin_fact(GString *out, const char *what)
{
    g_string_append_printf(out, "<div><dt>%s</dt><dd>", what);
}

static void end_fact(GString *out)
{
    g_string_append(out, "</dd></div>\n");
}

/* ---- the readings -------------------------------------------------------------------------- */

static void append_flow(GString *out, const JbdBasic *basic)
{
    const int64_t to_full = readings_seconds_to_full(basic);
    const int64_t to_empty = readings_seconds_to_empty(basic);

    g_string_append(out, "<p><strong>");
    append_quantity(out, (int64_t)basic->pack_mv * basic->current_ma / 1000, 1, "W");
    g_string_append(out, "</strong><br>");
    if (basic->current_ma > 0)
        g_string_append(out, "\xE2\x86\x91 charging");
    else if (basic->current_ma < 0)
        g_string_append(out, "\xE2\x86\x93 discharging");
    else
        g_string_append(out, "idle");
    if (to_full >= 0 || to_empty >= 0) {
        g_string_append(out, "<br>");
        append_duration(out, to_full >= 0 ? to_full : to_empty);
        g_string_append(out, to_full >= 0 ? " to full" : " left");
    }
    g_string_append(out, "</p>");
}

static void append_charge(GString *out, const JbdBasic *basic)
{
    const int soc = basic->soc_percent;
    const char *level = soc < SOC_EMPTY_PERCENT ? "bad" : soc < SOC_LOW_PERCENT ? "warn" : "";

    if (!jbd_soc_is_possible(basic->soc_percent)) {
        g_string_append(out, "<div class=lead><b>" EN_DASH "<small>" NBSP "%</small></b>");
        append_flow(out, basic);
        g_string_append(out, "</div>\n");
        return;
    }
    g_string_append_printf(out, "<div class=lead><b>%d<small>" NBSP "%%</small></b>", soc);
    append_flow(out, basic);
    g_string_append_printf(out,
                           "</div>\n<div class=bar role=meter aria-label=\"State of charge\" "
                           "aria-valuemin=0 aria-valuemax=100 aria-valuenow=%d><i class=\"%s\"",
                           soc, level);
    append_bar_value(out, soc);
    g_string_append(out, "></i></div>\n");
}

/** One item for each bit of @a bits. */
static void append_alerts(GString *out, const char *class, unsigned bits,
                          const char *(*name)(unsigned))
{
    if (bits == 0)
        return;
    g_string_append_printf(out, "<ul class=\"alert %s\">", class);
    for (unsigned i = 0; i < JBD_N_PROTECTIONS; i++) {
        if (bits >> i & 1) {
            g_string_append(out, "<li>");
            append_words(out, name(i));
            g_string_append(out, "</li>");
        }
    }
    g_string_append(out, "</ul>\n");
}

static void append_fet(GString *out, const char *what, gboolean on)
{
    begin_fact(out, what);
    g_string_append(out, on ? "<span class=good>on</span>" : "<span class=warn>off</span>");
    end_fact(out);
}

static void append_temperatures(GString *out, const JbdBasic *basic)
{
    begin_fact(out, basic->sensor_count > 1 ? "Temperatures" : "Temperature");
    if (basic->sensor_count == 0)
        g_string_append(out, "no sensor");
    for (unsigned i = 0; i < basic->sensor_count; i++) {
        if (i > 0)
            g_string_append(out, MIDDLE_DOT);
        if (jbd_temperature_is_possible(basic->temperature_dc[i]))
            append_milli(out, (int64_t)basic->temperature_dc[i] * 100, 1);
        else
            g_string_append(out, EN_DASH);
    }
    if (basic->sensor_count > 0)
        g_string_append(out, NBSP "\xC2\xB0"
                                  "C");
    end_fact(out);
}

static void append_facts(GString *out, const JbdBasic *basic)
{
    char version[READINGS_VERSION_SIZE];

    readings_format_version(version, basic->version);
    g_string_append(out, "<dl>\n");
    begin_fact(out, "Voltage");
    append_quantity(out, basic->pack_mv, 2, "V");
    end_fact(out);
    begin_fact(out, "Current");
    append_quantity(out, basic->current_ma, 2, "A");
    end_fact(out);
    begin_fact(out, "Capacity");
    append_milli(out, basic->remaining_mah, 1);
    g_string_append(out, " of ");
    append_quantity(out, battery_full_mah(basic), 1, "Ah");
    end_fact(out);
    append_temperatures(out, basic);
    append_fet(out, "Charge FET", (basic->fet & JBD_FET_CHARGE) != 0);
    append_fet(out, "Discharge FET", (basic->fet & JBD_FET_DISCHARGE) != 0);
    begin_fact(out, "Cycles");
    g_string_append_printf(out, "%u", basic->cycles);
    end_fact(out);
    begin_fact(out, "Firmware");
    g_string_append(out, version);
    end_fact(out);
    g_string_append(out, "</dl>\n");
}

/** The lowest and the highest cell. @return whether there is one that can be */
static gboolean find_range(const JbdCells *cells, int *min, int *max)
{
    *min = UINT16_MAX;
    *max = 0;
    for (unsigned i = 0; i < cells->count; i++) {
        if (!jbd_cell_is_possible(cells->mv[i]))
            continue;
        *min = MIN(*min, cells->mv[i]);
        *max = MAX(*max, cells->mv[i]);
    }
    return *min <= *max;
}

static void append_cell(GString *out, unsigned i, int mv, gboolean is_balanced, const char *mark)
{
    g_string_append_printf(out, "<li class=\"%s\"><p><span>%u</span>", mark, i + 1);
    if (is_balanced)
        g_string_append(out, " <em class=good title=balancing>bal</em>");
    g_string_append_printf(out, " <em>%s</em></p>", mark);
    if (mv >= 0)
        append_milli(out, mv, 3);
    else
        g_string_append(out, EN_DASH);
}

static void append_cells(GString *out, const JbdCells *cells, uint32_t balancing)
{
    int min;
    int max;
    const gboolean known = find_range(cells, &min, &max);
    /* Cells differ by hundredths of a volt, so the bars show that and not the distance from zero:
     * the lowest starts at a third, and small differences are not blown up to large ones. */
    const int span = MAX(max - min, 30);

    g_string_append_printf(out, "<h3><span>%u cells</span>", cells->count);
    if (known) {
        g_string_append(out, "<span>");
        append_milli(out, min, 3);
        g_string_append(out, EN_DASH);
        append_quantity(out, max, 3, "V");
        g_string_append_printf(out, "</span><b>difference %d" NBSP "mV</b>", max - min);
    }
    g_string_append(out, "</h3>\n<ol>\n");
    for (unsigned i = 0; i < cells->count; i++) {
        const int mv = jbd_cell_is_possible(cells->mv[i]) ? cells->mv[i] : -1;
        const char *mark = min == max ? "" : mv == min ? "min" : mv == max ? "max" : "";

        append_cell(out, i, mv, (balancing >> i & 1) != 0, mark);
        if (mv >= 0) {
            g_string_append(out, "<i");
            append_bar_value(out, 33 + (mv - min) * 67 / span);
            g_string_append(out, "></i>");
        }
        g_string_append(out, "</li>\n");
    }
    g_string_append(out, "</ol>\n");
}

static void append_readings(GString *out, const Battery *battery)
{
    const JbdBasic *basic = &battery->basic;
    const unsigned protections = basic->protection & ~(unsigned)JBD_PROTECTION_SOFTWARE_LOCK;

    append_charge(out, basic);
    append_alerts(out, "bad", protections, jbd_protection_name);
    append_alerts(out, "warn", basic->protection & JBD_PROTECTION_SOFTWARE_LOCK,
                  jbd_protection_name);
    if (basic->has_tail)
        append_alerts(out, "warn", basic->tail.alarms & ((1U << ALARMS_WITH_MEANING) - 1),
                      jbd_alarm_name);
    append_facts(out, basic);
    append_cells(out, &battery->cells, basic->balancing);
}

/* ---- a card -------------------------------------------------------------------------------- */

/** Why there is nothing to show, as far as is known. */
static void append_trouble(GString *out, const Battery *battery)
{
    char buffer[FAULT_REMEDY_SIZE];
    const char *remedy =
        fault_remedy_fill(link_fault_remedy(battery->fault), battery->address, buffer);

    if (battery->detail[0] != '\0') {
        g_string_append(out, "<p class=note><b>");
        append_text(out, battery->detail);
        g_string_append(out, "</b></p>\n");
    }
    if (remedy) {
        g_string_append(out, "<p class=note>What helps: ");
        append_text(out, remedy);
        g_string_append(out, "</p>\n");
    }
    g_string_append(out, "<p class=note>Bluetooth: ");
    append_text(out, link_stage_name(battery->stage));
    g_string_append(out, "</p>\n");
}

/** With the time of day too: nobody knows how long ago this page was loaded. */
static void append_last_read(GString *out, const ExportView *view, const Battery *battery)
{
    const int64_t age = (view->now_us - battery->read_at_us) / G_USEC_PER_SEC;
    const time_t when = (time_t)((battery->read_at_us + view->boot_unix_us) / G_USEC_PER_SEC);
    struct tm tm;
    char text[sizeof "2000-01-01 00:00:00"];

    g_string_append(out, "<p class=note>Last read ");
    append_duration(out, age);
    g_string_append(out, " ago");
    if (gmtime_r(&when, &tm) && strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm) > 0)
        g_string_append_printf(out, MIDDLE_DOT "%s" NBSP "UTC", text);
    g_string_append(out, "</p>\n");
}

/** The name stands above it; where no name was given that is the address. */
static void append_identity(GString *out, const Battery *battery)
{
    const gboolean named = strcmp(battery->name, battery->address) != 0;

    if (!named && !battery->has_model)
        return;
    g_string_append(out, "<p class=sub>");
    if (named)
        append_text(out, battery->address);
    if (named && battery->has_model)
        g_string_append(out, MIDDLE_DOT);
    if (battery->has_model)
        append_text(out, battery->model.text);
    g_string_append(out, "</p>\n");
}

typedef struct {
    const char *class;
    const char *text;
} Badge;

/** The worst that the readings say, in one word: the reader thinks of the battery. */
static Badge badge_of_readings(const JbdBasic *basic)
{
    const gboolean charge = (basic->fet & JBD_FET_CHARGE) != 0;
    const gboolean discharge = (basic->fet & JBD_FET_DISCHARGE) != 0;
    const struct {
        gboolean applies;
        Badge badge;
    } states[] = {
        {(basic->protection & ~(unsigned)JBD_PROTECTION_SOFTWARE_LOCK) != 0, {"bad", "protection"}},
        {basic->soc_percent < SOC_EMPTY_PERCENT, {"bad", "very low"}},
        {!charge && !discharge, {"warn", "switched off"}},
        {!discharge, {"warn", "discharge off"}},
        {basic->soc_percent < SOC_LOW_PERCENT, {"warn", "low"}},
        {!charge, {"warn", "charge off"}},
        {basic->current_ma > 0, {"good", "charging"}},
        {basic->current_ma < 0, {"good", "discharging"}},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(states); i++)
        if (states[i].applies)
            return states[i].badge;
    return (Badge){"good", "idle"};
}

/** Of a battery without fresh readings. */
static Badge badge_of_absence(const Battery *battery)
{
    if (battery->operator_needed)
        return (Badge){"bad", "needs attention"};
    if (battery->has_readings)
        return (Badge){"bad", "not answering"};
    return (Badge){"warn", "waiting"};
}

static void append_badge(GString *out, Badge badge)
{
    g_string_append_printf(out, "<span class=\"badge %s\">%s</span>", badge.class, badge.text);
}

static void append_card(GString *out, const ExportView *view, const Battery *battery)
{
    const gboolean fresh = battery_is_fresh(battery, view->now_us);

    g_string_append(out, "<article>\n<header><h2>");
    append_text(out, battery->name);
    g_string_append(out, "</h2>");
    append_badge(out, fresh ? badge_of_readings(&battery->basic) : badge_of_absence(battery));
    g_string_append(out, "</header>\n");
    append_identity(out, battery);

    if (fresh)
        append_readings(out, battery);
    else
        append_trouble(out, battery);
    if (fresh && battery_noise_percent(battery) >= BATTERY_NOISY_PERCENT)
        g_string_append_printf(out,
                               "<p class=\"note warn\">Noisy link: %u" NBSP
                               "%% of the answers arrive corrupted</p>\n",
                               battery_noise_percent(battery));
    if (battery->has_readings)
        append_last_read(out, view, battery);
    else
        g_string_append(out, "<p class=note>No readings yet</p>\n");
    g_string_append(out, "</article>\n");
}

/* ---- the whole ----------------------------------------------------------------------------- */

/**
 * A link from this page, which is at /, to a @a path of this server. It is relative, because behind
 * a proxy the page may be at another path. "./" keeps a slash or colon at the beginning from being
 * taken for that of a host or of a scheme.
 */
static void append_link(GString *out, const char *path, const char *text)
{
    const char *relative = *path == '/' ? path + 1 : path;

    g_string_append(out, "<a href=\"");
    if (*relative == '/' || strcspn(relative, ":") < strcspn(relative, "/"))
        g_string_append(out, "./");
    escape_html(out, relative);
    g_string_append_printf(out, "\">%s</a> ", text);
}

static void append_footer(GString *out, const char *telemetry_path)
{
    g_string_append(out, "<footer>");
    append_link(out, telemetry_path, "Metrics");
    append_link(out, "/-/healthy", "Health");
    g_string_append(out, "<span>bms-exporter ");
    escape_html(out, bms_version);
    g_string_append(out, " (");
    escape_html(out, bms_revision);
    g_string_append(out, ")</span></footer>\n");
}

void export_page(const ExportView *view, GString *out, const char *telemetry_path)
{
    g_string_append_printf(out,
                           "<!DOCTYPE html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
                           "<meta name=viewport content=\"width=device-width,initial-scale=1\">\n"
                           "<meta http-equiv=refresh content=%d>\n<title>Batteries</title>\n"
                           "<link rel=icon href=\"data:,\">\n<style>\n%s</style>\n</head>\n"
                           "<body>\n<h1>Batteries</h1>\n<main>\n",
                           REFRESH_SECONDS, page_style);
    for (size_t i = 0; i < view->n_batteries; i++)
        append_card(out, view, view->batteries[i]);
    g_string_append(out, "</main>\n");
    append_footer(out, telemetry_path);
    g_string_append(out, "</body>\n</html>\n");
}
