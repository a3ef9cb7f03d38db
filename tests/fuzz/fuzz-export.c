/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target for src/export: Accept headers, escaping, and all that is rendered of a battery.
 *
 *     input    kind (1)  the rest
 *
 * Kind % 3 = 0: the rest is an Accept header. 1: it is text for the three escapes. 2: it is a
 * battery: the age of its readings (1), bits for its state (1), then payloads of the registers 03,
 * 04, 05 and AA and a name and a detail, each behind its size (1).
 */
#include "device.h"
#include "export.h"
#include "fuzz.h"
#include "jbd/board.h"
#include "text/escape.h"

#include <string.h>

enum { KINDS = 3 };

#define US(s) ((s)*INT64_C(1000000))
#define NOW   US(1000)

/* ---- the Accept header ----------------------------------------------------------------------- */

static void check_negotiation(const char *accept)
{
    const ExportFormat format = export_negotiate(accept);
    g_autofree char *lower = g_ascii_strdown(accept, -1);
    g_autofree char *more = g_strconcat(" , ", accept, NULL);

    CHECK(format == EXPORT_TEXT || format == EXPORT_OPENMETRICS);
    /* Only who names it gets it; empty elements and space in front change nothing, nor does case.
     */
    CHECK(format == EXPORT_TEXT || strstr(lower, "application/openmetrics-text"));
    CHECK(export_negotiate(more) == format);
    CHECK(export_negotiate(lower) == format);
}

/* ---- escaping -------------------------------------------------------------------------------- */

/** Checks what may not be in escaped text, and what a backslash may stand before. */
static void check_escaped(const char *escaped, const char *forbidden, const char *after_backslash)
{
    CHECK(g_utf8_validate(escaped, -1, NULL));
    for (const char *c = escaped; *c; c++) {
        CHECK(!g_ascii_iscntrl(*c));
        CHECK(!strchr(forbidden, *c));
        if (*c == '\\' && after_backslash) {
            c++;
            CHECK(*c != '\0' && strchr(after_backslash, *c));
        }
    }
}

static void check_escapes(const char *text)
{
    g_autoptr(GString) label = g_string_new(NULL);
    g_autoptr(GString) help = g_string_new(NULL);
    g_autoptr(GString) html = g_string_new(NULL);

    escape_label(label, text);
    check_escaped(label->str, "\n", "\\\"n");
    for (const char *c = label->str; *c; c++) {
        CHECK(*c != '"');
        if (*c == '\\')
            c++;
    }
    escape_help(help, text);
    check_escaped(help->str, "\n", "\\n");
    escape_html(html, text);
    check_escaped(html->str, "<>\"'", NULL);
}

/* ---- rendering ------------------------------------------------------------------------------- */

static JbdFrame take_payload(Script *script, uint8_t reg)
{
    size_t size = script_byte(script);
    const uint8_t *bytes = script_bytes(script, &size);

    return (JbdFrame){.reg = reg, .size = (uint8_t)size, .data = bytes};
}

static char *take_text(Script *script)
{
    size_t size = script_byte(script);
    const uint8_t *bytes = script_bytes(script, &size);

    return g_strndup((const char *)bytes, size);
}

static void fill(Device *device, Script *script)
{
    const gint64 age = US(script_byte(script)) / 4;
    const uint8_t state = script_byte(script);
    const JbdFrame basic_frame = take_payload(script, 0x03);
    const JbdFrame cells_frame = take_payload(script, 0x04);
    const JbdFrame model_frame = take_payload(script, 0x05);
    const JbdFrame counters_frame = take_payload(script, 0xAA);
    g_autofree char *name = take_text(script);
    g_autofree char *detail = take_text(script);
    JbdBasic basic;
    JbdCells cells;
    JbdModel model;
    JbdCounters counters;

    device_init(device, &jbd_kind, "A4:C1:38:00:00:01", state & 1 ? name : NULL, US(10));
    if (jbd_decode_model(&model_frame, &model) == JBD_OK)
        jbd_set_model(device, &model);
    if (jbd_decode_counters(&counters_frame, &counters) == JBD_OK)
        jbd_set_counters(device, &counters);
    if (jbd_decode_basic(&basic_frame, &basic) == JBD_OK &&
        jbd_decode_cells(&cells_frame, &cells) == JBD_OK) {
        jbd_publish(device, &basic, &cells, NOW - age - US(10), 0.25);
        jbd_publish(device, &basic, &cells, NOW - age, 0.125);
    }
    device_set_stage(device, (LinkStage)(state / 2 % LINK_N_STAGES));
    if (state & 0x80)
        device_set_fault(device, (LinkFault)(1 + state % (LINK_N_FAULTS - 1)), detail);
}

static bool is_number(const char *text)
{
    char *end;

    if (strcmp(text, "+Inf") == 0)
        return true;
    (void)g_ascii_strtod(text, &end);
    return (g_ascii_isdigit(*text) || *text == '-') && *end == '\0';
}

/** name{label="value",…} number */
static void check_sample(const char *line)
{
    const char *c = line;

    CHECK(g_ascii_isalpha(*c));
    while (g_ascii_isalnum(*c) || *c == '_')
        c++;
    if (*c == '{') {
        do {
            c++;
            CHECK(g_ascii_isalpha(*c));
            while (g_ascii_isalnum(*c) || *c == '_')
                c++;
            CHECK(c[0] == '=' && c[1] == '"');
            for (c += 2; *c != '"'; c++) {
                CHECK(*c != '\0');
                if (*c == '\\')
                    c++;
            }
            c++;
        } while (*c == ',');
        CHECK(*c++ == '}');
    }
    CHECK(*c++ == ' ');
    CHECK(is_number(c));
}

static void check_metrics(const ExportView *view, ExportFormat format, bool fresh)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_auto(GStrv) lines = NULL;

    export_metrics(view, format, out);
    CHECK(g_utf8_validate(out->str, (gssize)out->len, NULL));
    CHECK(g_str_has_suffix(out->str, "\n"));
    CHECK(format == EXPORT_TEXT || g_str_has_suffix(out->str, "\n# EOF\n"));
    /* Of readings, and only of them, there is this. */
    CHECK((strstr(out->str, "\nbms_pack_voltage_volts") != NULL) == fresh);
    lines = g_strsplit(out->str, "\n", -1);
    for (guint i = 0; lines[i + 1]; i++)
        if (lines[i][0] != '#')
            check_sample(lines[i]);
}

static void check_page(const ExportView *view)
{
    g_autoptr(GString) out = g_string_new(NULL);
    bool inside = false;

    export_page(view, out, "/metrics");
    CHECK(g_utf8_validate(out->str, (gssize)out->len, NULL));
    /* Behind the style sheet, in which > means something else. */
    for (const char *c = strstr(out->str, "</style>"); *c; c++) {
        CHECK(*c != '<' || !inside);
        CHECK(*c != '>' || inside);
        if (*c == '<' || *c == '>')
            inside = *c == '<';
    }
    CHECK(!inside);
}

static void check_rendering(Script *script)
{
    Device device;
    const Device *devices[] = {&device};
    ExportView view = {.devices = devices,
                       .n_devices = 1,
                       .now_us = NOW,
                       .started_us = US(1),
                       .boot_unix_us = INT64_C(1700000000000000)};
    bool fresh;

    fill(&device, script);
    fresh = device_is_fresh(&device, NOW);
    view.legacy = TRUE;
    check_metrics(&view, EXPORT_TEXT, fresh);
    view.legacy = FALSE;
    check_metrics(&view, EXPORT_OPENMETRICS, fresh);
    check_page(&view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Script script = {data, size};
    const uint8_t kind = script_byte(&script) % KINDS;
    g_autofree char *text = NULL;

    if (kind == 2) {
        check_rendering(&script);
        return 0;
    }
    text = g_strndup((const char *)script.data, script.size);
    if (kind == 0)
        check_negotiation(text);
    else
        check_escapes(text);
    return 0;
}
