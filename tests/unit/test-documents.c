/* SPDX-License-Identifier: MIT */
/*
 * doc/METRICS.md lists every metric and every value of the labels that the program defines itself,
 * doc/TROUBLESHOOTING.md lists every fault with its text, and neither lists anything else.
 */
#include "family.h"
#include "unit/export-devices.h"

#include <string.h>

#define METRICS         "doc/METRICS.md"
#define TROUBLESHOOTING "doc/TROUBLESHOOTING.md"

static char *load(const char *path)
{
    GError *error = NULL;
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

/* What stands between the heading and the next one, to be freed. */
static char *section(const char *text, const char *heading)
{
    g_autofree char *line = g_strdup_printf("\n### %s\n", heading);
    const char *begin = strstr(text, line);
    const char *end;

    if (!begin)
        g_error("%s has no section \"%s\"", METRICS, heading);
    begin += strlen(line);
    end = strstr(begin, "\n#");
    return end ? g_strndup(begin, (gsize)(end - begin)) : g_strdup(begin);
}

/* Everything in backticks that fits @a pattern, as a set. */
static GHashTable *quoted(const char *text, const char *pattern)
{
    g_autofree char *whole = g_strdup_printf("`(%s)", pattern);
    g_autoptr(GRegex) regex = g_regex_new(whole, 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    GHashTable *set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    g_assert_nonnull(regex);
    for (g_regex_match(regex, text, 0, &match); g_match_info_matches(match);
         g_match_info_next(match, NULL))
        g_hash_table_add(set, g_match_info_fetch(match, 1));
    return set;
}

static void assert_subset(GHashTable *set, GHashTable *of, const char *complaint)
{
    GHashTableIter iter;
    gpointer name;

    g_hash_table_iter_init(&iter, set);
    while (g_hash_table_iter_next(&iter, &name, NULL))
        if (!g_hash_table_contains(of, name))
            g_error("%s: %s", complaint, (const char *)name);
}

static void assert_same(GHashTable *documented, GHashTable *real)
{
    assert_subset(real, documented, METRICS " does not have");
    assert_subset(documented, real, METRICS " has what does not exist");
}

/* ---- metrics --------------------------------------------------------------------------------- */

typedef struct {
    Sink sink;
    GHashTable *names;
} NameSink;

static void add_name(Sink *sink)
{
    static const char *const suffixes[FAMILY_N_TYPES] = {
        [FAMILY_GAUGE] = "",    [FAMILY_COUNTER] = "_total", [FAMILY_INFO] = "_info",
        [FAMILY_STATESET] = "", [FAMILY_HISTOGRAM] = "",
    };

    const char *name = sink->family->name;
    const char *prefix = sink->prefix ? sink->prefix : "";

    g_hash_table_add(
        ((NameSink *)sink)->names,
        g_strconcat(prefix, *prefix && *name ? "_" : "", name, suffixes[sink->family->type], NULL));
}

static void name_sample(Sink *sink, SinkLabel label, Number number)
{
    (void)label, (void)number;
    add_name(sink);
}

static void name_labels(Sink *sink, const SinkLabel *labels, size_t n)
{
    (void)labels, (void)n;
    add_name(sink);
}

static void name_histogram(Sink *sink, const DeviceHistogram *histogram)
{
    (void)histogram;
    add_name(sink);
}

/* Of batteries that together have everything. */
static void collect(NameSink *names)
{
    static const SinkOps ops = {
        .sample = name_sample, .labels = name_labels, .histogram = name_histogram};
    Device devices[2];
    const Device *const pointers[] = {&devices[0], &devices[1]};

    make_fresh(&devices[0], "A4:C1:38:00:00:01", "A");
    make_clone(&devices[1], "A4:C1:38:00:00:02", "B");

    const ExportView view = make_view(pointers, 2);

    names->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    names->sink = (Sink){.ops = &ops, .view = &view};
    families_visit(&names->sink);
}

/* The document writes the cells of bms-shed's names as the first … the last. */
static gboolean is_cell(gpointer key, gpointer value, gpointer user)
{
    (void)value, (void)user;
    return g_regex_match_simple("^bms_voltage[0-9][0-9]$", key, 0, 0);
}

static void test_metrics(void)
{
    g_autofree char *text = load(METRICS);
    g_autoptr(GHashTable) documented = quoted(text, "(?:bms|process)_[a-z0-9_]+");
    NameSink real;

    collect(&real);
    g_assert_true(g_hash_table_contains(documented, "bms_voltage01"));
    g_hash_table_foreach_remove(documented, is_cell, NULL);
    g_hash_table_foreach_remove(real.names, is_cell, NULL);
    assert_subset(real.names, documented, METRICS " does not have");
    /* A label of bms-shed has the name of its metric. */
    assert_subset(documented, real.names, METRICS " has what does not exist");
    g_hash_table_unref(real.names);
}

/* ---- label values ---------------------------------------------------------------------------- */

static const char *fault_name(guint i)
{
    return link_fault_name((LinkFault)i);
}

static const char *failure_name(guint i)
{
    return poll_failure_name((PollFailure)i);
}

static const char *session_name(guint i)
{
    return session_reason_name((SessionReason)i);
}

static const char *action_name(guint i)
{
    return recovery_action_name((RecoveryAction)i);
}

static const char *error_name(guint i)
{
    return jbd_error_name((JbdError)i);
}

static void test_labels(void)
{
    static const struct {
        const char *heading;
        const char *(*name)(guint i);
        guint first, n;
    } labels[] = {
        {"Fault", fault_name, LINK_FAULT_NONE + 1, LINK_N_FAULTS},
        {"Reason of a failed poll", failure_name, 0, POLL_N_FAILURES},
        {"Reason of a session", session_name, 0, SESSION_N_REASONS},
        {"Action of the recovery", action_name, 0, RECOVERY_N_ACTIONS},
        {"Error of a frame", error_name, JBD_OK + 1, JBD_N_ERRORS},
    };
    g_autofree char *text = load(METRICS);

    for (guint i = 0; i < G_N_ELEMENTS(labels); i++) {
        g_autofree char *table = section(text, labels[i].heading);
        g_auto(GStrv) lines = g_strsplit(table, "\n", -1);
        g_autoptr(GHashTable) documented =
            g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autoptr(GHashTable) real = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

        for (char **line = lines + 2; *line; line++) /* after the head of the table */
            if (g_str_has_prefix(*line, "| `") && strchr(*line + 3, '`'))
                g_hash_table_add(documented,
                                 g_strndup(*line + 3, (gsize)(strchr(*line + 3, '`') - *line - 3)));
        for (guint value = labels[i].first; value < labels[i].n; value++)
            g_hash_table_add(real, g_strdup(labels[i].name(value)));
        g_hash_table_remove(documented, "reason");
        g_hash_table_remove(documented, "action");
        g_hash_table_remove(documented, "fault");
        g_hash_table_remove(documented, "error");
        assert_same(documented, real);
    }
}

/* ---- faults ---------------------------------------------------------------------------------- */

/* The tables between the two marks, as "`text` | `name`". */
static GHashTable *documented_faults(const char *text)
{
    static const char begin_mark[] = "<!-- faults -->", end_mark[] = "<!-- end of faults -->";
    const char *begin = strstr(text, begin_mark), *end = strstr(text, end_mark);
    GHashTable *set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    if (!begin || !end || end < begin)
        g_error("%s has no \"%s\" … \"%s\"", TROUBLESHOOTING, begin_mark, end_mark);

    g_autofree char *tables = g_strndup(begin, (gsize)(end - begin));
    g_autoptr(GRegex) row =
        g_regex_new("^\\| (`[^|]*` \\| `[^|]*`) \\|", G_REGEX_MULTILINE, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;

    for (g_regex_match(row, tables, 0, &match); g_match_info_matches(match);
         g_match_info_next(match, NULL))
        g_hash_table_add(set, g_match_info_fetch(match, 1));
    return set;
}

static void test_faults(void)
{
    g_autofree char *text = load(TROUBLESHOOTING);
    g_autoptr(GHashTable) documented = documented_faults(text);
    g_autoptr(GHashTable) real = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = LINK_FAULT_NONE + 1; i < LINK_N_FAULTS; i++)
        g_hash_table_add(real, g_strdup_printf("`%s` | `%s`", link_fault_text((LinkFault)i),
                                               link_fault_name((LinkFault)i)));
    assert_subset(real, documented, TROUBLESHOOTING " does not have");
    assert_subset(documented, real, TROUBLESHOOTING " has what does not exist");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/documents/metrics", test_metrics);
    g_test_add_func("/documents/labels", test_labels);
    g_test_add_func("/documents/faults", test_faults);
    return g_test_run();
}
