/* SPDX-License-Identifier: MIT */
/* Text made harmless and measured; output that never waits; a picture redrawn in place. */
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* ---- text ------------------------------------------------------------------------------------ */

#define FFFD "\xef\xbf\xbd"

static void test_clean(void)
{
    static const struct {
        const char *text, *clean, *ascii;
    } cases[] = {
        {"", "", ""},
        {"xiaoxiang BMS", "xiaoxiang BMS", "xiaoxiang BMS"},
        {"Bätterie", "Bätterie", "B?tterie"},
        {"a\033[31mb", "a" FFFD "[31mb", "a?[31mb"},
        {"a\tb\nc\rd\x7f", "a" FFFD "b" FFFD "c" FFFD "d" FFFD, "a?b?c?d?"},
        {"a\xff\xfe", "a" FFFD FFFD, "a??"},
        {"a\xc2", "a" FFFD, "a?"}, /* cut off */
        {"\xc2\x9b"
         "2J",
         FFFD "2J", "?2J"},                /* CSI in one character */
        {"a\u202eb", "a" FFFD "b", "a?b"}, /* right to left from here */
        {"a\u200bb", "a" FFFD "b", "a?b"}, /* of no width */
        {"a\u2028b", "a" FFFD "b", "a?b"}, /* line separator */
        {"a\ue000b", "a" FFFD "b", "a?b"}, /* private use */
        {"a\ufe0fb", "a" FFFD "b", "a?b"}, /* changes the width of the one before */
        {"e\u0301", "é", "?"},             /* composed */
        {"x\u0331\u0332\u0333\u0330y", "x\u0331\u0332y", "x??y"},
        {"\u0301a", "a", "a"}, /* a mark upon nothing */
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *clean = terminal_clean(cases[i].text, FALSE);
        g_autofree char *ascii = terminal_clean(cases[i].text, TRUE);

        g_assert_cmpstr(clean, ==, cases[i].clean);
        g_assert_cmpstr(ascii, ==, cases[i].ascii);
    }
}

static void test_clean_lines(void)
{
    static const char text[] = "# HELP a\n\nmodel=\"a\u202eb\"\nc\033[2Jd\n";
    g_autofree char *clean = terminal_clean_lines(text, FALSE);
    g_autofree char *ascii = terminal_clean_lines(text, TRUE);
    g_autofree char *nothing = terminal_clean_lines("", FALSE);

    g_assert_cmpstr(clean, ==, "# HELP a\n\nmodel=\"a" FFFD "b\"\nc" FFFD "[2Jd\n");
    g_assert_cmpstr(ascii, ==, "# HELP a\n\nmodel=\"a?b\"\nc?[2Jd\n");
    g_assert_cmpstr(nothing, ==, "");
}

static void test_width(void)
{
    g_assert_cmpuint(terminal_width(""), ==, 0);
    g_assert_cmpuint(terminal_width("abc"), ==, 3);
    g_assert_cmpuint(terminal_width("äöü"), ==, 3);
    g_assert_cmpuint(terminal_width("電池"), ==, 4);
    g_assert_cmpuint(terminal_width("x\u0331y"), ==, 2);
}

static void check_cut(const char *text, guint width, const char *cut, const char *padded)
{
    GString *line = g_string_new(">");

    terminal_append_cut(line, text, width);
    g_assert_cmpstr(line->str + 1, ==, cut);
    g_string_truncate(line, 1);
    terminal_append_padded(line, text, width);
    g_assert_cmpstr(line->str + 1, ==, padded);
    g_assert_cmpuint(terminal_width(line->str + 1), ==, width);
    g_string_free(line, TRUE);
}

static void test_cut(void)
{
    check_cut("abc", 5, "abc", "abc  ");
    check_cut("abc", 3, "abc", "abc");
    check_cut("abcd", 3, "ab…", "ab…");
    check_cut("abc", 1, "…", "…");
    check_cut("abc", 0, "", "");
    check_cut("", 2, "", "  ");
    /* A wide character is not cut in two. */
    check_cut("電池電池", 8, "電池電池", "電池電池");
    check_cut("電池電池", 5, "電池…", "電池…");
    check_cut("電池電池", 4, "電…", "電… ");
    check_cut("電池", 1, "…", "…");
    check_cut("ax\u0331bcd", 4, "ax\u0331b…", "ax\u0331b…");
}

/* ---- output ---------------------------------------------------------------------------------- */

static void count_call(void *user)
{
    (*(guint *)user)++;
}

static void test_output(void)
{
    int fds[2];
    guint calls = 0;
    char buffer[64] = "";

    g_assert_cmpint(pipe(fds), ==, 0);
    Output *output = output_new(fds[1], count_call, &calls);

    g_assert_true(output_is_idle(output));
    output_write(output, "one ");
    output_write(output, "two");
    g_assert_false(output_is_idle(output));
    g_assert_cmpuint(calls, ==, 0);
    while (calls == 0)
        g_main_context_iteration(NULL, TRUE);
    g_assert_true(output_is_idle(output));
    g_assert_cmpint(read(fds[0], buffer, sizeof buffer - 1), ==, 7);
    g_assert_cmpstr(buffer, ==, "one two");
    output_free(output);
    close(fds[0]);
    close(fds[1]);
}

/* More than a pipe holds: nothing waits, and in the end all of it is there. */
static void test_output_slow_reader(void)
{
    enum { SIZE = 1 << 20 };
    g_autofree char *text = g_strnfill(SIZE, 'x');
    int fds[2];
    guint calls = 0;
    gsize got = 0;

    g_assert_cmpint(pipe(fds), ==, 0);
    Output *output = output_new(fds[1], count_call, &calls);

    output_write(output, text);
    for (int i = 0; i < 10; i++)
        g_main_context_iteration(NULL, FALSE); /* would hang here */
    g_assert_false(output_is_idle(output));
    while (got < SIZE) {
        char buffer[65536];
        ssize_t n;

        g_main_context_iteration(NULL, FALSE);
        n = read(fds[0], buffer, sizeof buffer);
        g_assert_cmpint(n, >, 0);
        got += (gsize)n;
    }
    while (calls == 0)
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpint(output_error(output), ==, 0);
    output_free(output);
    close(fds[0]);
    close(fds[1]);
}

static void test_output_no_reader(void)
{
    int fds[2];
    guint calls = 0;

    g_assert_cmpint(pipe(fds), ==, 0);
    Output *output = output_new(fds[1], count_call, &calls);

    close(fds[0]);
    output_write(output, "in vain");
    while (calls == 0)
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpint(output_error(output), ==, EPIPE);
    g_assert_true(output_is_idle(output));
    output_write(output, "more");
    g_assert_true(output_is_idle(output));
    output_free(output);
    close(fds[1]);
}

/* ---- screen ---------------------------------------------------------------------------------- */

static char *draw(Screen *screen, const char *first, const char *second)
{
    g_autofree char *one = g_strdup(first);
    g_autofree char *two = g_strdup(second);
    char *lines[] = {one, two, NULL};
    GString *out = g_string_new(NULL);

    screen_draw(screen, out, lines);
    return g_string_free(out, FALSE);
}

static void test_screen(void)
{
    struct winsize size = {.ws_col = 20, .ws_row = 6};
    int master, slave;
    guint columns, rows;

    g_setenv("TERM", "xterm", TRUE);
    g_assert_cmpint(openpty(&master, &slave, NULL, NULL, &size), ==, 0);
    Screen *screen = screen_new(slave);

    g_assert_nonnull(screen);
    screen_size(screen, &columns, &rows);
    g_assert_cmpuint(columns, ==, 20);
    g_assert_cmpuint(rows, ==, 6);

    g_autofree char *first = draw(screen, "one", NULL);
    g_autofree char *second = draw(screen, "one", "\033[1mtwo\033[m");
    g_autofree char *third = draw(screen, "a line of 18 wide.", NULL);

    g_assert_cmpstr(first, ==, "\rone\033[K\n\033[J");
    g_assert_cmpstr(second, ==, "\r\033[1Aone\033[K\n\033[1mtwo\033[m\033[K\n\033[J");
    g_assert_cmpstr(third, ==, "\r\033[2Aa line of 18 wide.\033[K\n\033[J");

    /* A terminal that has become narrower has broken that line into four. */
    size.ws_col = 5;
    g_assert_cmpint(ioctl(master, TIOCSWINSZ, &size), ==, 0);
    g_autofree char *fourth = draw(screen, "x", NULL);

    g_assert_true(g_str_has_prefix(fourth, "\r\033[4Ax"));
    screen_free(screen);
    close(slave);
    close(master);
}

static void test_no_screen(void)
{
    int fds[2], master, slave;

    g_assert_cmpint(pipe(fds), ==, 0);
    g_assert_cmpint(openpty(&master, &slave, NULL, NULL, NULL), ==, 0);
    g_setenv("TERM", "xterm", TRUE);
    g_assert_null(screen_new(fds[1]));
    g_setenv("TERM", "dumb", TRUE);
    g_assert_null(screen_new(slave));
    g_unsetenv("TERM");
    g_assert_null(screen_new(slave));
    close(fds[0]);
    close(fds[1]);
    close(slave);
    close(master);
}

static void test_colour(void)
{
    g_unsetenv("NO_COLOR");
    g_assert_true(screen_is_colourful());
    g_setenv("NO_COLOR", "", TRUE);
    g_assert_true(screen_is_colourful());
    g_setenv("NO_COLOR", "1", TRUE);
    g_assert_false(screen_is_colourful());
    g_unsetenv("NO_COLOR");
}

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/terminal/clean", test_clean);
    g_test_add_func("/terminal/clean-lines", test_clean_lines);
    g_test_add_func("/terminal/width", test_width);
    g_test_add_func("/terminal/cut", test_cut);
    g_test_add_func("/terminal/output", test_output);
    g_test_add_func("/terminal/output/slow-reader", test_output_slow_reader);
    g_test_add_func("/terminal/output/no-reader", test_output_no_reader);
    g_test_add_func("/terminal/screen", test_screen);
    g_test_add_func("/terminal/screen/none", test_no_screen);
    g_test_add_func("/terminal/screen/colour", test_colour);
    return g_test_run();
}
