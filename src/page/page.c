/* SPDX-License-Identifier: MIT */
/*
 * The page for people, at /: a card for each device. No script, nothing loaded from elsewhere.
 *
 * Readings that are not fresh are not shown at all, only when there last were some and what is in
 * the way: an old value that looks alive is the worst thing a monitor can show.
 */
#include "kind.h"
#include "page_first_run.h"
#include "page_style.h"
#include "pieces.h"
#include "text/escape.h"
#include "version.h"

#include <string.h>
#include <time.h>

enum { REFRESH_SECONDS = 10 };

/* ---- a card -------------------------------------------------------------------------------- */

/** Why there is nothing to show, as far as is known. */
static void append_trouble(GString *out, const Device *device)
{
    char buffer[FAULT_REMEDY_SIZE];
    const char *remedy =
        fault_remedy_fill(link_fault_remedy(device->fault), device->address, buffer);

    if (device->detail[0] != '\0') {
        g_string_append(out, "<p class=note><b>");
        page_append_text(out, device->detail);
        g_string_append(out, "</b></p>\n");
    }
    if (remedy) {
        g_string_append(out, "<p class=note>What helps: ");
        page_append_text(out, remedy);
        g_string_append(out, "</p>\n");
    }
    g_string_append(out, "<p class=note>Bluetooth: ");
    page_append_text(out, link_stage_name(device->stage));
    g_string_append(out, "</p>\n");
}

/** With the time of day too: nobody knows how long ago this page was loaded. */
static void append_last_read(GString *out, const ExportView *view, const Device *device)
{
    const int64_t age = (view->now_us - device->read_at_us) / G_USEC_PER_SEC;
    const time_t when = (time_t)((device->read_at_us + view->boot_unix_us) / G_USEC_PER_SEC);
    struct tm tm;
    char text[sizeof "2000-01-01 00:00:00"];

    g_string_append(out, "<p class=note>Last read ");
    page_append_duration(out, age);
    g_string_append(out, " ago");
    if (gmtime_r(&when, &tm) && strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm) > 0)
        g_string_append_printf(out, PAGE_MIDDLE_DOT "%s" PAGE_NBSP "UTC", text);
    g_string_append(out, "</p>\n");
}

/** The name stands above it; where no name was given that is the address. */
static void append_identity(GString *out, const Device *device)
{
    const gboolean named = strcmp(device->name, device->address) != 0;
    const char *model = device->kind->model(device);

    if (!named && !model)
        return;
    g_string_append(out, "<p class=sub>");
    if (named)
        page_append_text(out, device->address);
    if (named && model)
        g_string_append(out, PAGE_MIDDLE_DOT);
    if (model)
        page_append_text(out, model);
    g_string_append(out, "</p>\n");
}

/** Of a battery without fresh readings. */
static Badge badge_of_absence(const Device *device)
{
    if (device->operator_needed)
        return (Badge){"bad", "needs attention"};
    if (device->has_readings)
        return (Badge){"bad", "not answering"};
    return (Badge){"warn", "waiting"};
}

static void append_badge(GString *out, Badge badge)
{
    g_string_append_printf(out, "<span class=\"badge %s\">%s</span>", badge.class, badge.text);
}

static void append_card(GString *out, const ExportView *view, const Device *device)
{
    const gboolean fresh = device_is_fresh(device, view->now_us);

    g_string_append(out, "<article>\n<header><h2>");
    page_append_text(out, device->name);
    g_string_append(out, "</h2>");
    append_badge(out, fresh ? device->kind->badge(device) : badge_of_absence(device));
    g_string_append(out, "</header>\n");
    append_identity(out, device);

    if (fresh)
        device->kind->append_card(out, device);
    else
        append_trouble(out, device);
    if (fresh && device_noise_percent(device) >= DEVICE_NOISY_PERCENT)
        g_string_append_printf(out,
                               "<p class=\"note warn\">Noisy link: %u" PAGE_NBSP
                               "%% of the answers arrive corrupted</p>\n",
                               device_noise_percent(device));
    if (device->has_readings)
        append_last_read(out, view, device);
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
    for (size_t i = 0; i < view->n_devices; i++)
        append_card(out, view, view->devices[i]);
    if (view->first_run)
        page_append_first_run(out, view->first_run);
    g_string_append(out, "</main>\n");
    append_footer(out, telemetry_path);
    g_string_append(out, "</body>\n</html>\n");
}
