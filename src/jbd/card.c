/* SPDX-License-Identifier: MIT */
/* What the page shows of a JBD battery. */
#include "board.h"
#include "metrics.h"

#include "page/pieces.h"

enum {
    SOC_LOW_PERCENT = 20,
    SOC_EMPTY_PERCENT = 10,
    ALARMS_WITH_MEANING = 12, /* the bits above are reserved, and some modules always set one */
};

/** The worst that the readings say, in one word: the reader thinks of the battery. */
Badge jbd_badge(const Device *device)
{
    const JbdBasic *basic = &jbd_state(device)->basic;
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

static void append_flow(GString *out, const JbdBasic *basic)
{
    const int64_t to_full = jbd_seconds_to_full(basic);
    const int64_t to_empty = jbd_seconds_to_empty(basic);

    g_string_append(out, "<p><strong>");
    page_append_quantity(out, (int64_t)basic->pack_mv * basic->current_ma / 1000, 1, "W");
    g_string_append(out, "</strong><br>");
    if (basic->current_ma > 0)
        g_string_append(out, "\xE2\x86\x91 charging");
    else if (basic->current_ma < 0)
        g_string_append(out, "\xE2\x86\x93 discharging");
    else
        g_string_append(out, "idle");
    if (to_full >= 0 || to_empty >= 0) {
        g_string_append(out, "<br>");
        page_append_duration(out, to_full >= 0 ? to_full : to_empty);
        g_string_append(out, to_full >= 0 ? " to full" : " left");
    }
    g_string_append(out, "</p>");
}

static void append_charge(GString *out, const JbdBasic *basic)
{
    const int soc = basic->soc_percent;
    const char *level = soc < SOC_EMPTY_PERCENT ? "bad" : soc < SOC_LOW_PERCENT ? "warn" : "";

    if (!jbd_soc_is_possible(basic->soc_percent)) {
        g_string_append(out,
                        "<div class=lead><b>" PAGE_EN_DASH "<small>" PAGE_NBSP "%</small></b>");
        append_flow(out, basic);
        g_string_append(out, "</div>\n");
        return;
    }
    g_string_append_printf(out, "<div class=lead><b>%d<small>" PAGE_NBSP "%%</small></b>", soc);
    append_flow(out, basic);
    g_string_append_printf(out,
                           "</div>\n<div class=bar role=meter aria-label=\"State of charge\" "
                           "aria-valuemin=0 aria-valuemax=100 aria-valuenow=%d><i class=\"%s\"",
                           soc, level);
    page_append_bar_value(out, soc);
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
            page_append_words(out, name(i));
            g_string_append(out, "</li>");
        }
    }
    g_string_append(out, "</ul>\n");
}

static void append_fet(GString *out, const char *what, gboolean on)
{
    page_begin_fact(out, what);
    g_string_append(out, on ? "<span class=good>on</span>" : "<span class=warn>off</span>");
    page_end_fact(out);
}

static void append_temperatures(GString *out, const JbdBasic *basic)
{
    page_begin_fact(out, basic->sensor_count > 1 ? "Temperatures" : "Temperature");
    if (basic->sensor_count == 0)
        g_string_append(out, "no sensor");
    for (unsigned i = 0; i < basic->sensor_count; i++) {
        if (i > 0)
            g_string_append(out, PAGE_MIDDLE_DOT);
        if (jbd_temperature_is_possible(basic->temperature_dc[i]))
            page_append_milli(out, (int64_t)basic->temperature_dc[i] * 100, 1);
        else
            g_string_append(out, PAGE_EN_DASH);
    }
    if (basic->sensor_count > 0)
        g_string_append(out, PAGE_NBSP "\xC2\xB0"
                                       "C");
    page_end_fact(out);
}

static void append_facts(GString *out, const JbdBasic *basic)
{
    char version[JBD_VERSION_SIZE];

    jbd_format_version(version, basic->version);
    g_string_append(out, "<dl>\n");
    page_begin_fact(out, "Voltage");
    page_append_quantity(out, basic->pack_mv, 2, "V");
    page_end_fact(out);
    page_begin_fact(out, "Current");
    page_append_quantity(out, basic->current_ma, 2, "A");
    page_end_fact(out);
    page_begin_fact(out, "Capacity");
    page_append_milli(out, basic->remaining_mah, 1);
    g_string_append(out, " of ");
    page_append_quantity(out, jbd_full_mah(basic), 1, "Ah");
    page_end_fact(out);
    append_temperatures(out, basic);
    append_fet(out, "Charge FET", (basic->fet & JBD_FET_CHARGE) != 0);
    append_fet(out, "Discharge FET", (basic->fet & JBD_FET_DISCHARGE) != 0);
    page_begin_fact(out, "Cycles");
    g_string_append_printf(out, "%u", basic->cycles);
    page_end_fact(out);
    page_begin_fact(out, "Firmware");
    g_string_append(out, version);
    page_end_fact(out);
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
        page_append_milli(out, mv, 3);
    else
        g_string_append(out, PAGE_EN_DASH);
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
        page_append_milli(out, min, 3);
        g_string_append(out, PAGE_EN_DASH);
        page_append_quantity(out, max, 3, "V");
        g_string_append_printf(out, "</span><b>difference %d" PAGE_NBSP "mV</b>", max - min);
    }
    g_string_append(out, "</h3>\n<ol>\n");
    for (unsigned i = 0; i < cells->count; i++) {
        const int mv = jbd_cell_is_possible(cells->mv[i]) ? cells->mv[i] : -1;
        const char *mark = min == max ? "" : mv == min ? "min" : mv == max ? "max" : "";

        append_cell(out, i, mv, (balancing >> i & 1) != 0, mark);
        if (mv >= 0) {
            g_string_append(out, "<i");
            page_append_bar_value(out, 33 + (mv - min) * 67 / span);
            g_string_append(out, "></i>");
        }
        g_string_append(out, "</li>\n");
    }
    g_string_append(out, "</ol>\n");
}

void jbd_append_card(GString *out, const Device *device)
{
    const JbdState *state = jbd_state(device);
    const JbdBasic *basic = &state->basic;
    const unsigned protections = basic->protection & ~(unsigned)JBD_PROTECTION_SOFTWARE_LOCK;

    append_charge(out, basic);
    append_alerts(out, "bad", protections, jbd_protection_name);
    append_alerts(out, "warn", basic->protection & JBD_PROTECTION_SOFTWARE_LOCK,
                  jbd_protection_name);
    if (basic->has_tail)
        append_alerts(out, "warn", basic->tail.alarms & ((1U << ALARMS_WITH_MEANING) - 1),
                      jbd_alarm_name);
    append_facts(out, basic);
    append_cells(out, &state->cells, basic->balancing);
}
