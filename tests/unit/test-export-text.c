/* SPDX-License-Identifier: MIT */
/* Numbers and escapes: what every line of an exposition and of the page is made of. */
#include "text/escape.h"
#include "text/number.h"

#include <math.h>

static void test_fixed(void)
{
    static const struct {
        int64_t value;
        unsigned decimals;
        const char *fixed;
        const char *decimal;
    } cases[] = {
        {0, 0, "0", "0"},
        {0, 3, "0.000", "0"},
        {3291, 3, "3.291", "3.291"},
        {3290, 3, "3.290", "3.29"},
        {3000, 3, "3.000", "3"},
        {1000, 0, "1000", "1000"},
        {7, 3, "0.007", "0.007"},
        {-7, 3, "-0.007", "-0.007"},
        {-15, 1, "-1.5", "-1.5"},
        {-20120, 3, "-20.120", "-20.12"},
        {100, 2, "1.00", "1"},
        {10, 2, "0.10", "0.1"},
        {INT64_MAX, 0, "9223372036854775807", "9223372036854775807"},
        {INT64_MIN, 0, "-9223372036854775808", "-9223372036854775808"},
        {INT64_MIN, 6, "-9223372036854.775808", "-9223372036854.775808"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GString) fixed = g_string_new(NULL);
        g_autoptr(GString) decimal = g_string_new(NULL);

        number_append_fixed(fixed, cases[i].value, cases[i].decimals);
        number_append_decimal(decimal, cases[i].value, cases[i].decimals);
        g_assert_cmpstr(fixed->str, ==, cases[i].fixed);
        g_assert_cmpstr(decimal->str, ==, cases[i].decimal);
    }
}

static void test_real(void)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "0"},
        {3.291, "3.291"},
        {-265.1816, "-265.1816"},
        {1700000000.25, "1700000000.25"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1.1 + 2.2, "3.3000000000000003"},
        {1e21, "1e+21"},
        {-0.0, "-0"},
        {0.00005, "0.00005"},
        {1e-7, "1e-07"},
        {1763999999.123457, "1763999999.123457"},
        {3999999999.0000005, "3999999999.0000005"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GString) out = g_string_new(NULL);
        number_append_real(out, cases[i].value);
        g_assert_cmpstr(out->str, ==, cases[i].text);
    }
}

/** Whatever the double, its text reads back as the same, and fits. */
static void test_real_round_trip(void)
{
    for (guint i = 0; i < 100000; i++) {
        union {
            uint64_t bits;
            double value;
        } any = {.bits = (uint64_t)g_test_rand_int() << 32 | (uint32_t)g_test_rand_int()};
        char text[NUMBER_SIZE];

        if (!isfinite(any.value))
            continue;
        number_format_real(text, any.value);
        g_assert_cmpfloat(g_ascii_strtod(text, NULL), ==, any.value);
    }
}

/** Decimals written by integer arithmetic are those that printf finds, but for exponents. */
static void test_real_decimals(void)
{
    for (guint i = 0; i < 300000; i++) {
        const int64_t digits = (int64_t)g_test_rand_int() * G_MAXINT32 + g_test_rand_int();
        const double scale = pow(10, i % 20);
        const double value = (double)digits / scale;
        char text[NUMBER_SIZE];
        g_autoptr(GString) out = g_string_new(NULL);

        number_append_real(out, value);
        number_format_real(text, value);
        if (fabs(value) >= 1e-4 || value == 0)
            g_assert_cmpstr(out->str, ==, text);
        g_assert_cmpfloat(g_ascii_strtod(out->str, NULL), ==, value);
    }
}

#define FFFD "\xEF\xBF\xBD"

static void test_escape(void)
{
    static const struct {
        const char *text;
        const char *label;
        const char *help;
        const char *html;
    } cases[] = {
        {"", "", "", ""},
        {"House", "House", "House", "House"},
        {"a\"b", "a\\\"b", "a\"b", "a&quot;b"},
        {"a\\b", "a\\\\b", "a\\\\b", "a\\b"},
        {"\n", "\\n", "\\n", " "},
        {"<&>'", "<&>'", "<&>'", "&lt;&amp;&gt;&#39;"},
        {"\t\r\x01\x1B\x7F", FFFD FFFD FFFD FFFD FFFD, FFFD FFFD FFFD FFFD FFFD,
         FFFD FFFD FFFD FFFD FFFD},
        {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x94\x8B", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x94\x8B",
         "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x94\x8B", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x94\x8B"},
        {"\xC2\x85", FFFD, FFFD, FFFD},                    /* a control character, once */
        {"\xFF\xFE", FFFD FFFD, FFFD FFFD, FFFD FFFD},     /* never in UTF-8 */
        {"a\xC3", "a" FFFD, "a" FFFD, "a" FFFD},           /* cut off */
        {"\xC3\"", FFFD "\\\"", FFFD "\"", FFFD "&quot;"}, /* no way to swallow a quote */
        {"\xC0\xAF", FFFD FFFD, FFFD FFFD, FFFD FFFD},     /* overlong */
        {"\xED\xA0\x80", FFFD FFFD FFFD, FFFD FFFD FFFD, FFFD FFFD FFFD}, /* half a surrogate */
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GString) label = g_string_new(NULL);
        g_autoptr(GString) help = g_string_new(NULL);
        g_autoptr(GString) html = g_string_new(NULL);

        escape_label(label, cases[i].text);
        escape_help(help, cases[i].text);
        escape_html(html, cases[i].text);
        g_assert_cmpstr(label->str, ==, cases[i].label);
        g_assert_cmpstr(help->str, ==, cases[i].help);
        g_assert_cmpstr(html->str, ==, cases[i].html);
    }
}

/** Any bytes at all come out as UTF-8 without a control character or a bare quote. */
static void test_escape_anything(void)
{
    for (guint n = 0; n < 20000; n++) {
        char text[24];
        g_autoptr(GString) out = g_string_new(NULL);

        for (guint i = 0; i < sizeof text - 1; i++)
            text[i] = (char)g_test_rand_int_range(1, 256);
        text[sizeof text - 1] = '\0';
        escape_label(out, text);
        g_assert_true(g_utf8_validate(out->str, (gssize)out->len, NULL));
        for (gsize i = 0; i < out->len; i++) {
            const guchar c = (guchar)out->str[i];

            g_assert_true(c >= 0x20 && c != 0x7F && c != '"');
            if (c == '\\')
                g_assert_nonnull(strchr("\\\"n", out->str[++i]));
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/export/number/fixed", test_fixed);
    g_test_add_func("/export/number/real", test_real);
    g_test_add_func("/export/number/real-round-trip", test_real_round_trip);
    g_test_add_func("/export/real-decimals", test_real_decimals);
    g_test_add_func("/export/escape/table", test_escape);
    g_test_add_func("/export/escape/anything", test_escape_anything);
    return g_test_run();
}
