/* SPDX-License-Identifier: MIT */
/*
 * The log: what a line looks like, and that it neither waits nor breaks. Each case runs in a
 * process of its own, whose stderr is looked at afterwards.
 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <string.h>
#include <unistd.h>

/** Whether this is the child that is to log; in the parent, runs it. */
static gboolean is_child(void)
{
    if (g_test_subprocess())
        return TRUE;
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    return FALSE;
}

/** A pipe in place of stderr, so that what is written can be compared byte by byte. */
typedef struct {
    int pipe[2];
    int saved;
} Capture;

static void capture_start(Capture *capture)
{
    g_assert_true(g_unix_open_pipe(capture->pipe, FD_CLOEXEC, NULL));
    g_unix_set_fd_nonblocking(capture->pipe[0], TRUE, NULL);
    capture->saved = dup(STDERR_FILENO);
    g_assert_cmpint(dup2(capture->pipe[1], STDERR_FILENO), ==, STDERR_FILENO);
}

/** @return what has been written since the last call */
static char *capture_take(Capture *capture)
{
    GString *text = g_string_new(NULL);
    char buffer[4096];
    ssize_t size;

    while ((size = read(capture->pipe[0], buffer, sizeof buffer)) > 0)
        g_string_append_len(text, buffer, size);
    return g_string_free(text, FALSE);
}

static void capture_end(Capture *capture)
{
    dup2(capture->saved, STDERR_FILENO);
    close(capture->saved);
    close(capture->pipe[0]);
    close(capture->pipe[1]);
}

static void test_levels(void)
{
    if (is_child()) {
        log_info("before %s", "init");
        log_debug("not shown");
        log_init(LOG_LEVEL_DEBUG, FALSE);
        log_debug("d %d", 1);
        log_info("i");
        log_warn("house: link lost");
        log_error("e");
        log_init(LOG_LEVEL_WARN, FALSE);
        log_info("not shown");
        log_warn("w");
        log_init(LOG_LEVEL_ERROR, FALSE);
        log_warn("not shown");
        log_error("last");
        return;
    }
    g_test_trap_assert_stderr("bms-exporter: before init\n"
                              "bms-exporter: debug: d 1\n"
                              "bms-exporter: i\n"
                              "bms-exporter: warning: house: link lost\n"
                              "bms-exporter: error: e\n"
                              "bms-exporter: warning: w\n"
                              "bms-exporter: error: last\n");
}

static void test_journal(void)
{
    if (is_child()) {
        log_init(LOG_LEVEL_DEBUG, TRUE);
        log_debug("d");
        log_info("i");
        log_warn("w");
        log_error("e");
        return;
    }
    g_test_trap_assert_stderr("<7>d\n<6>i\n<4>w\n<3>e\n");
}

static void test_level_names(void)
{
    LogLevel level = LOG_LEVEL_ERROR;

    g_assert_true(log_level_parse("debug", &level));
    g_assert_cmpint(level, ==, LOG_LEVEL_DEBUG);
    g_assert_true(log_level_parse("info", &level));
    g_assert_cmpint(level, ==, LOG_LEVEL_INFO);
    g_assert_true(log_level_parse("warn", &level));
    g_assert_cmpint(level, ==, LOG_LEVEL_WARN);
    g_assert_true(log_level_parse("error", &level));
    g_assert_cmpint(level, ==, LOG_LEVEL_ERROR);
    g_assert_false(log_level_parse("warning", &level));
    g_assert_false(log_level_parse("", &level));
    g_assert_false(log_level_parse("Info", &level));
    g_assert_cmpint(level, ==, LOG_LEVEL_ERROR);
}

static void test_hostile_text(void)
{
    static const struct {
        const char *text;
        const char *shown;
    } cases[] = {
        {"plain text", "plain text"},
        {"Küche 20 °C ⚡", "Küche 20 °C ⚡"},
        {"100% \\ done", "100% \\ done"},
        {"two\nlines\r", "two\\x0alines\\x0d"},
        {"tab\tbell\a", "tab\\x09bell\\x07"},
        {"\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"},
        {"del\x7f", "del\\x7f"},
        {"c1 \xc2\x9b", "c1 \\xc2\\x9b"},
        {"latin1 \xfc.", "latin1 \\xfc."},
        {"cut \xe2\x82", "cut \\xe2\\x82"},
        {"overlong \xc0\xaf", "overlong \\xc0\\xaf"},
        {"surrogate \xed\xa0\x80", "surrogate \\xed\\xa0\\x80"},
        {"rtl \xe2\x80\xae", "rtl \\xe2\\x80\\xae"},
        {"line \xe2\x80\xa8", "line \\xe2\\x80\\xa8"},
        {"", ""},
    };
    Capture capture;

    log_init(LOG_LEVEL_INFO, TRUE);
    capture_start(&capture);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *expected = g_strdup_printf("<4>%s\n", cases[i].shown);
        g_autofree char *line = NULL;

        log_warn("%s", cases[i].text);
        line = capture_take(&capture);
        g_assert_cmpstr(line, ==, expected);
    }
    capture_end(&capture);
}

/** However long the message and however many bytes its characters take, one bounded line. */
static void test_long_text(void)
{
    static const char *const units[] = {"a", "ü", "€", "🔋", "\x01", "\xff", "\xe2\x80\xae"};
    Capture capture;

    log_init(LOG_LEVEL_INFO, FALSE);
    capture_start(&capture);
    for (guint i = 0; i < G_N_ELEMENTS(units); i++) {
        for (guint count = 0; count < 1200; count += (count < 200 ? 50 : 1)) {
            GString *text = g_string_new(NULL);
            g_autofree char *line = NULL;

            for (guint n = 0; n < count; n++)
                g_string_append(text, units[i]);
            log_error("%s", text->str);
            line = capture_take(&capture);
            g_assert_cmpuint(strlen(line), <=, 1024);
            g_assert_true(g_utf8_validate(line, -1, NULL));
            g_assert_true(g_str_has_prefix(line, "bms-exporter: error: "));
            g_assert_true(strchr(line, '\n') == line + strlen(line) - 1);
            if (count >= 1100)
                g_assert_true(g_str_has_suffix(line, "…\n"));
            g_string_free(text, TRUE);
        }
    }
    capture_end(&capture);
}

/** Logs to @a fd in place of stderr, which must fail without a trace. Closes @a fd. */
static void log_to_broken(int fd)
{
    int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);

    if (fd >= 0) {
        dup2(fd, STDERR_FILENO);
        close(fd);
    } else {
        close(STDERR_FILENO);
    }
    errno = ENOENT;
    log_error("into the void");
    g_assert_cmpint(errno, ==, ENOENT);
    dup2(saved, STDERR_FILENO);
    close(saved);
}

static void test_broken_stderr(void)
{
    Capture capture;
    g_autofree char *line = NULL;
    int ends[2];

    log_init(LOG_LEVEL_INFO, TRUE);
    g_assert_true(g_unix_open_pipe(ends, FD_CLOEXEC, NULL));
    close(ends[0]);
    log_to_broken(ends[1]); /* nobody reads: a write would raise SIGPIPE */
    log_to_broken(open("/dev/null", O_RDONLY | O_CLOEXEC));
    log_to_broken(-1);

    capture_start(&capture);
    log_error("again");
    line = capture_take(&capture);
    g_assert_cmpstr(line, ==, "<4>3 lines of this log were lost\n<3>again\n");
    capture_end(&capture);
}

/** A pipe that nobody empties: nothing waits, and what was lost is counted. Else this hangs. */
static void test_full_pipe(void)
{
    Capture capture;
    g_autofree char *text = NULL, *after = NULL;
    guint written = 0;
    g_autofree char *expected = NULL;

    log_init(LOG_LEVEL_INFO, TRUE);
    capture_start(&capture);
    for (int i = 0; i < 20000; i++)
        log_info("line %d", i);
    text = capture_take(&capture);
    for (const char *at = text; *at != '\0'; at++)
        written += *at == '\n' ? 1 : 0;
    g_assert_cmpuint(written, >, 0);
    g_assert_cmpuint(written, <, 20000);
    g_assert_true(g_str_has_suffix(text, "\n")); /* whole lines only */

    log_info("after");
    after = capture_take(&capture);
    expected = g_strdup_printf("<4>%u lines of this log were lost\n<6>after\n", 20000 - written);
    g_assert_cmpstr(after, ==, expected);
    log_info("and on");
    g_free(after);
    after = capture_take(&capture);
    g_assert_cmpstr(after, ==, "<6>and on\n");
    capture_end(&capture);
}

/** One message through GLib's structured log, as g_warning() and the like make them. */
static void glib_message(GLogLevelFlags level, const char *domain, const char *message)
{
    const GLogField fields[] = {{"MESSAGE", message, -1}, {"GLIB_DOMAIN", domain, -1}};

    g_log_structured_array(level, fields, domain != NULL ? 2 : 1);
}

static void test_glib(void)
{
    if (is_child()) {
        log_init(LOG_LEVEL_INFO, FALSE);
        glib_message(G_LOG_LEVEL_WARNING, "GLib-GIO", "lost\nthe name");
        glib_message(G_LOG_LEVEL_CRITICAL, NULL, "oops");
        glib_message(G_LOG_LEVEL_MESSAGE, "GLib", "well");
        glib_message(G_LOG_LEVEL_DEBUG, "GLib", "not shown");
        log_init(LOG_LEVEL_DEBUG, FALSE);
        glib_message(G_LOG_LEVEL_DEBUG, "GLib", "not shown");
        log_init(LOG_LEVEL_ERROR, FALSE);
        glib_message(G_LOG_LEVEL_WARNING, "GLib", "not shown");
        return;
    }
    g_test_trap_assert_stderr("bms-exporter: warning: GLib-GIO: lost\\x0athe name\n"
                              "bms-exporter: error: oops\n"
                              "bms-exporter: GLib: well\n");
}

int main(int argc, char **argv)
{
    g_unsetenv("G_MESSAGES_DEBUG");
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log/levels", test_levels);
    g_test_add_func("/log/journal", test_journal);
    g_test_add_func("/log/level-names", test_level_names);
    g_test_add_func("/log/hostile-text", test_hostile_text);
    g_test_add_func("/log/long-text", test_long_text);
    g_test_add_func("/log/broken-stderr", test_broken_stderr);
    g_test_add_func("/log/full-pipe", test_full_pipe);
    g_test_add_func("/log/glib", test_glib);
    return g_test_run();
}
