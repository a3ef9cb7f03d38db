/* SPDX-License-Identifier: MIT */
/* The page for people: what it shows, what it must never show, and that nothing breaks out of it.
 */
#include "jbd/board.h"
#include "unit/export-devices.h"

static GString *render(const Device *device, const char *path)
{
    const ExportView view = make_view(&device, device ? 1 : 0);
    GString *out = g_string_new(NULL);

    export_page(&view, out, path);
    return out;
}

/** Asserts that every one of @a texts, ended by NULL, is in the page, or that none is. */
static void assert_texts(const GString *page, gboolean there, const char *const *texts)
{
    for (; *texts; texts++) {
        if ((strstr(page->str, *texts) != NULL) != there)
            g_error("\"%s\" is %s", *texts, there ? "missing" : "there");
    }
}

/** Tags open and close in order; void elements and what HTML lets one omit are left aside. */
static void assert_balanced(const GString *page)
{
    static const char *const voids[] = {"meta", "link", "br", "!DOCTYPE", NULL};
    g_autoptr(GPtrArray) open = g_ptr_array_new_with_free_func(g_free);

    for (const char *p = page->str; (p = strchr(p, '<')); p++) {
        const gboolean closes = p[1] == '/';
        const char *name = p + 1 + closes;
        g_autofree char *tag = g_strndup(name, strcspn(name, " >\n"));

        if (g_strv_contains(voids, tag))
            continue;
        if (!closes) {
            g_ptr_array_add(open, g_steal_pointer(&tag));
            continue;
        }
        g_assert_cmpuint(open->len, >, 0);
        g_assert_cmpstr(tag, ==, open->pdata[open->len - 1]);
        g_ptr_array_remove_index(open, open->len - 1);
    }
    g_assert_cmpuint(open->len, ==, 0);
}

static void test_fresh(void)
{
    Device device;

    make_fresh(&device, "A4:C1:38:00:00:01", "House");
    g_autoptr(GString) page = render(&device, "/metrics");
    assert_texts(page, TRUE,
                 (const char *[]){"<bdi>House</bdi>",
                                  "A4:C1:38:00:00:01",
                                  "JBD-SP04S034-L4S-200A-B-U",
                                  "badge good\">discharging<",
                                  ">35<",
                                  "aria-valuenow=35",
                                  "13.18\xC2\xA0V",
                                  "\xE2\x88\x92"
                                  "20.12\xC2\xA0"
                                  "A",
                                  "\xE2\x88\x92"
                                  "265.2\xC2\xA0W",
                                  "discharging",
                                  "34.9 of 98.5\xC2\xA0"
                                  "Ah",
                                  "1\xC2\xA0h 44\xC2\xA0min left",
                                  "21.7",
                                  "Cell low",
                                  "4 cells",
                                  "difference 10\xC2\xA0mV",
                                  ">bal<",
                                  ">min<",
                                  ">max<",
                                  "Last read 2\xC2\xA0s ago",
                                  "2023-11-14 22:13:18\xC2\xA0UTC",
                                  "href=\"metrics\"",
                                  "href=\"-/healthy\"",
                                  "http-equiv=refresh",
                                  NULL});
    assert_texts(page, FALSE, (const char *[]){"<script", "http://", "https://", "Reserved", NULL});
    assert_balanced(page);
}

static void test_charging(void)
{
    Device device;

    make_clone(&device, "A4:C1:38:00:00:02", NULL);
    g_autoptr(GString) page = render(&device, "/metrics");
    assert_texts(page, TRUE,
                 (const char *[]){">15.50\xC2\xA0"
                                  "A",
                                  "charging", "33\xC2\xA0min to full", "Cell overvoltage",
                                  "no sensor", ">off<", "16 cells", NULL});
    assert_texts(page, FALSE, (const char *[]){"discharging", NULL});
    assert_balanced(page);
}

/** Not one measurement of old readings, but when they were and why there are no new ones. */
static void test_stale(void)
{
    Device device;

    make_stale(&device, "A4:C1:38:00:00:03", "Boat");
    g_autoptr(GString) page = render(&device, "/metrics");
    assert_texts(page, TRUE,
                 (const char *[]){"Boat", "A4:C1:38:00:00:03", "not answering", "out of range",
                                  "looking for the battery", "Last read 30\xC2\xA0s ago",
                                  "2023-11-14 22:12:50", NULL});
    assert_texts(page, FALSE,
                 (const char *[]){"13.18", "20.12", ">35<", "34.9", "21.7", "3.301", "Cell low",
                                  "class=bar", "<li ", "<dd", "badge good", NULL});
    assert_balanced(page);
}

static void test_waiting(void)
{
    Device device;

    make_waiting(&device, "A4:C1:38:00:00:04", NULL);
    g_autoptr(GString) page = render(&device, "/metrics");
    assert_texts(page, TRUE,
                 (const char *[]){"A4:C1:38:00:00:04", ">waiting<", "No readings yet",
                                  "looking for the battery", NULL});
    assert_texts(page, FALSE, (const char *[]){"Last read", "1970", "<dd", "badge good", NULL});
    assert_balanced(page);
}

static void test_badge_of_readings(void)
{
    static const struct {
        int soc;
        int current_ma;
        unsigned protection;
        unsigned fet;
        const char *badge;
    } cases[] = {
        {50, 1000, 0, 3, "good\">charging"},
        {50, -1000, 0, 3, "good\">discharging"},
        {50, 0, 0, 3, "good\">idle"},
        {110, 0, 0, 3, "good\">idle"},
        {20, 1000, 0, 3, "good\">charging"},
        {19, 1000, 0, 3, "warn\">low"},
        {10, 1000, 0, 3, "warn\">low"},
        {9, 1000, 0, 3, "bad\">very low"},
        {0, 0, 0, 3, "bad\">very low"},
        {50, 0, 0, 1, "warn\">discharge off"},
        {15, 0, 0, 1, "warn\">discharge off"},
        {4, 0, 0, 1, "bad\">very low"},
        {50, 0, 0, 2, "warn\">charge off"},
        {15, 0, 0, 2, "warn\">low"},
        {50, 0, 0, 0, "warn\">switched off"},
        {50, 0, 1, 3, "bad\">protection"},
        {4, 0, 0x800, 0, "bad\">protection"},
        {50, 0, 0x1000, 0, "warn\">switched off"}, /* the owner's own switch */
        {50, 0, 0x1000, 2, "warn\">charge off"},
        {50, 0, 0x1001, 0, "bad\">protection"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *badge = g_strdup_printf("badge %s<", cases[i].badge);
        Device device;

        make_fresh(&device, "A4:C1:38:00:00:01", "House");
        state_of(&device)->basic.soc_percent = (uint8_t)cases[i].soc;
        state_of(&device)->basic.current_ma = cases[i].current_ma;
        state_of(&device)->basic.protection = (uint16_t)cases[i].protection;
        state_of(&device)->basic.fet = (uint8_t)cases[i].fet;
        g_autoptr(GString) page = render(&device, "/metrics");
        assert_texts(page, TRUE, (const char *[]){badge, NULL});
    }
}

/** A wrong password at the first start needs a person at once. */
static void test_badge_of_absence(void)
{
    Device device;

    make_waiting(&device, "A4:C1:38:00:00:04", NULL);
    device_set_fault(&device, LINK_FAULT_PASSWORD_WRONG, NULL);
    g_autoptr(GString) waiting = render(&device, "/metrics");
    assert_texts(waiting, TRUE, (const char *[]){"badge warn\">waiting<", NULL});
    device_count_recovery(&device, RECOVERY_TELL);
    g_assert_true(device.operator_needed);
    g_autoptr(GString) needed = render(&device, "/metrics");
    assert_texts(needed, TRUE, (const char *[]){"badge bad\">needs attention<", NULL});

    make_stale(&device, "A4:C1:38:00:00:03", "Boat");
    g_autoptr(GString) stale = render(&device, "/metrics");
    assert_texts(stale, TRUE, (const char *[]){"badge bad\">not answering<", NULL});
    device_count_recovery(&device, RECOVERY_TELL);
    g_autoptr(GString) told = render(&device, "/metrics");
    assert_texts(told, TRUE, (const char *[]){"badge bad\">needs attention<", NULL});
}

static void test_hostile(void)
{
    Device device;

    make_hostile(&device);
    for (int stale = 0; stale <= 1; stale++) {
        if (stale)
            device.read_at_us -= 1000 * (int64_t)INTERVAL;
        g_autoptr(GString) page = render(&device, "/m\"><script>&'");

        g_assert_true(g_utf8_validate(page->str, (gssize)page->len, NULL));
        assert_texts(page, TRUE,
                     (const char *[]){"d&lt;script&gt;e", "&lt;b&gt;",
                                      "href=\"m&quot;&gt;&lt;script&gt;&amp;&#39;\"", NULL});
        assert_texts(page, FALSE, (const char *[]){"<script", "<img", "onerror=\"", "<b>&", NULL});
        g_assert_cmpint(strstr(page->str, "&lt;img") != NULL, ==, stale);
        assert_balanced(page);
    }
}

static void test_limits(void)
{
    Device device;

    make_fresh(&device, "A4:C1:38:00:00:01", "B");
    state_of(&device)->basic.soc_percent = 110;
    state_of(&device)->basic.protection = 0xFFFF;
    state_of(&device)->basic.tail.alarms = 0xFFFF;
    state_of(&device)->basic.current_ma = INT32_MIN;
    state_of(&device)->basic.pack_mv = 655350;
    state_of(&device)->basic.sensor_count = JBD_MAX_SENSORS;
    state_of(&device)->cells.count = JBD_MAX_CELLS;
    state_of(&device)->cells.mv[0] = 0;
    state_of(&device)->cells.mv[JBD_MAX_CELLS - 1] = 10000;
    g_autoptr(GString) page = render(&device, "/metrics");
    assert_texts(page, TRUE, (const char *[]){"--v:100%", "--v:33%", "10.000", "32 cells", NULL});
    assert_texts(page, FALSE, (const char *[]){"--v:110%", NULL});
    assert_balanced(page);
}

/** What no board can have measured is a dash, and neither the highest nor the lowest cell. */
static void test_impossible(void)
{
    Device device;

    make_fresh(&device, "A4:C1:38:00:00:01", "B");
    state_of(&device)->basic.soc_percent = 255;
    state_of(&device)->basic.temperature_dc[0] = 62804;
    state_of(&device)->cells.mv[1] = 65535;
    g_autoptr(GString) page = render(&device, "/metrics");
    assert_texts(page, FALSE, (const char *[]){"255", "6280", "65.535", NULL});
    assert_texts(page, TRUE, (const char *[]){"<b>\xE2\x80\x93<small>", "3.301", NULL});
    assert_balanced(page);
    for (unsigned i = 0; i < state_of(&device)->cells.count; i++)
        state_of(&device)->cells.mv[i] = 65535;
    g_autoptr(GString) without_cells = render(&device, "/metrics");
    assert_texts(without_cells, FALSE, (const char *[]){"65.535", NULL});
    assert_balanced(without_cells);
}

/** Ages and amounts where the way of writing them changes. */
static void test_durations(void)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {
        {59, "59 s"},
        {60, "1 min"},
        {3599, "59 min"},
        {3600, "1 h 0 min"},
        {86399, "23 h 59 min"},
        {86400, "1 d 0 h"},
        {100 * 86400LL, "100 d 0 h"},
    };
    Device device;

    make_stale(&device, "A4:C1:38:00:00:03", "Boat");
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        device.read_at_us = NOW_US - cases[i].seconds * SECOND;
        g_autoptr(GString) page = render(&device, "/metrics");
        g_autofree char *text = g_strdup_printf("Last read %s ago", cases[i].text);

        g_string_replace(page, "\xC2\xA0", " ", 0);
        assert_texts(page, TRUE, (const char *[]){text, NULL});
    }
}

static void test_none(void)
{
    g_autoptr(GString) page = render(NULL, "/metrics");
    assert_balanced(page);
}

/** Behind a proxy the page may be at another path than /, and links must lead on from there. */
static void test_links(void)
{
    static const struct {
        const char *path;
        const char *link;
    } cases[] = {
        {"/metrics", "href=\"metrics\""}, {"/a/b", "href=\"a/b\""},
        {"/a/b:c", "href=\"a/b:c\""},     {"/a:b", "href=\"./a:b\""}, /* not a scheme */
        {"//a/b", "href=\".//a/b\""},                                 /* not a host */
    };
    Device device;

    make_hostile(&device);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GString) page = render(&device, cases[i].path);

        assert_texts(page, TRUE, (const char *[]){cases[i].link, "href=\"-/healthy\"", NULL});
        assert_texts(page, FALSE, (const char *[]){"href=\"/", NULL});
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/export/page/fresh", test_fresh);
    g_test_add_func("/export/page/charging", test_charging);
    g_test_add_func("/export/page/stale", test_stale);
    g_test_add_func("/export/page/waiting", test_waiting);
    g_test_add_func("/export/page/badge-of-readings", test_badge_of_readings);
    g_test_add_func("/export/page/badge-of-absence", test_badge_of_absence);
    g_test_add_func("/export/page/hostile", test_hostile);
    g_test_add_func("/export/page/limits", test_limits);
    g_test_add_func("/export/page/impossible", test_impossible);
    g_test_add_func("/export/page/durations", test_durations);
    g_test_add_func("/export/page/none", test_none);
    g_test_add_func("/export/page/links", test_links);
    return g_test_run();
}
