/* SPDX-License-Identifier: MIT */
/* Which format an Accept header gets. */
#include "export.h"

#define OM   "application/openmetrics-text"
#define TEXT "text/plain"

static const struct {
    const char *accept;
    ExportFormat format;
} cases[] = {
    /* Prometheus 2.42, as it sends it. */
    {OM ";version=1.0.0," OM ";version=0.0.1;q=0.75," TEXT ";version=0.0.4;q=0.5,*/*;q=0.1",
     EXPORT_OPENMETRICS},
    /* Prometheus 3. */
    {OM ";version=1.0.0;escaping=allow-utf-8;q=0.6," OM ";version=0.0.1;q=0.5," TEXT
        ";version=1.0.0;escaping=allow-utf-8;q=0.4," TEXT ";version=0.0.4;q=0.3,*/*;q=0.2",
     EXPORT_OPENMETRICS},
    /* Prometheus 3 with PrometheusText0.0.4 first among scrape_protocols. */
    {TEXT ";version=0.0.4;q=0.6," OM ";version=1.0.0;escaping=underscores;q=0.5,*/*;q=0.2",
     EXPORT_TEXT},
    /* Prometheus before OpenMetrics; curl; browsers. */
    {"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;"
     "q=0.7," TEXT ";version=0.0.4;q=0.3,*/*;q=0.1",
     EXPORT_TEXT},
    {"*/*", EXPORT_TEXT},
    {"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
     EXPORT_TEXT},
    {"application/*", EXPORT_TEXT},

    /* Nothing, and hardly anything. */
    {NULL, EXPORT_TEXT},
    {"", EXPORT_TEXT},
    {"  ", EXPORT_TEXT},
    {",", EXPORT_TEXT},
    {", ," OM " ,", EXPORT_OPENMETRICS},

    /* Versions. */
    {OM, EXPORT_OPENMETRICS},
    {OM ";version=1.0.0", EXPORT_OPENMETRICS},
    {OM ";version=\"1.0.0\"", EXPORT_OPENMETRICS},
    {OM "; charset=utf-8 ; version=1.0.0", EXPORT_OPENMETRICS},
    {OM ";version=0.0.1", EXPORT_TEXT},
    {OM ";version=2.0.0", EXPORT_TEXT},
    {OM ";version=1.0.00", EXPORT_TEXT},
    {OM ";version=2.0.0," OM ";version=1.0.0;q=0.1", EXPORT_OPENMETRICS},
    {"Application/OpenMetrics-Text;Version=1.0.0", EXPORT_OPENMETRICS},

    /* Who likes what better. */
    {OM ";q=0.5," TEXT ";q=0.6", EXPORT_TEXT},
    {OM ";q=0.6," TEXT ";q=0.5", EXPORT_OPENMETRICS},
    {OM ";q=0.601," TEXT ";q=0.602", EXPORT_TEXT},
    {TEXT "," OM, EXPORT_OPENMETRICS},
    {OM ";q=0.5,*/*", EXPORT_TEXT},
    {OM ";q=0.5,text/*;q=0.6", EXPORT_TEXT},
    {OM ";q=0.5," TEXT ";q=0.1,*/*;q=0.9",
     EXPORT_OPENMETRICS}, /* the more specific range decides */
    {"*/*;q=0.9," TEXT ";q=0.1," OM ";q=0.5", EXPORT_OPENMETRICS},
    {OM ";q=0.5," TEXT ";version=1.0.0;q=0.9", EXPORT_OPENMETRICS}, /* not our text format */
    {OM ";q=0.5,image/png", EXPORT_OPENMETRICS},
    {OM ";q=0.6," OM ";q=0.1," TEXT ";q=0.5", EXPORT_OPENMETRICS}, /* named twice: the better */
    {OM ";q=0", EXPORT_TEXT},
    {OM ";q=0.000", EXPORT_TEXT},
    {OM ";version=1.0.0;q=0," OM, EXPORT_TEXT},
    {OM ";Q=0.5", EXPORT_OPENMETRICS},
    {OM ";q=0.12345", EXPORT_OPENMETRICS},
    {OM ";q=1.000", EXPORT_OPENMETRICS},
    {OM ";q=1.", EXPORT_OPENMETRICS},

    /* Commas and semicolons inside quotes. */
    {OM ";a=\"b,c;d\\\"e\"", EXPORT_OPENMETRICS},
    {"x/y;a=\"," OM ",\"", EXPORT_TEXT},
    {OM ";", EXPORT_OPENMETRICS},
    {OM ";;version=1.0.0", EXPORT_OPENMETRICS},
    {"\t" OM "\t;\tversion=1.0.0\t,\t*/*;q=0.1", EXPORT_OPENMETRICS},

    /* Malformed. */
    {"application", EXPORT_TEXT},
    {"application/", EXPORT_TEXT},
    {"/openmetrics-text", EXPORT_TEXT},
    {OM " " TEXT, EXPORT_TEXT},
    {OM ";version", EXPORT_TEXT},
    {OM ";version=", EXPORT_TEXT},
    {OM ";version=\"1.0.0", EXPORT_TEXT},
    {OM ";version=\"1.0.0\\", EXPORT_TEXT},
    {OM ";q=", EXPORT_TEXT},
    {OM ";q=x", EXPORT_TEXT},
    {OM ";q=2", EXPORT_TEXT},
    {OM ";q=1.001", EXPORT_TEXT},
    {OM ";q=05", EXPORT_TEXT},
    {OM ";q=-1", EXPORT_TEXT},
    {OM ";q=0,5", EXPORT_TEXT},
    {OM ",\xFF\xFE", EXPORT_TEXT},
    {OM "," TEXT ";q=0.1,(", EXPORT_TEXT},
};

static void test_negotiate(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        if (export_negotiate(cases[i].accept) != cases[i].format)
            g_error("wrong format for \"%s\"", cases[i].accept ? cases[i].accept : "(null)");
    }
}

/** Each beginning of a header, in memory that ends where it does: nothing is read beyond it. */
static void test_cut_off(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (size_t n = 0; cases[i].accept && cases[i].accept[n] != '\0'; n++) {
            g_autofree char *part = g_strndup(cases[i].accept, n);
            (void)export_negotiate(part);
        }
    }
}

static void test_content_type(void)
{
    g_assert_cmpstr(export_content_type(EXPORT_TEXT), ==,
                    "text/plain; version=0.0.4; charset=utf-8");
    g_assert_cmpstr(export_content_type(EXPORT_OPENMETRICS), ==,
                    "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/export/negotiate/table", test_negotiate);
    g_test_add_func("/export/negotiate/cut-off", test_cut_off);
    g_test_add_func("/export/negotiate/content-type", test_content_type);
    return g_test_run();
}
