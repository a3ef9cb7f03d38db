/* SPDX-License-Identifier: MIT */
/*
 * Drawing in place with the few sequences that every terminal since the VT100 knows (ECMA-48:
 * cursor up, erase to the end of the line, erase to the end of the screen). What was on the
 * terminal before stays, and what is drawn last stays when the program ends.
 */
#include "terminal.h"

#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { DEFAULT_COLUMNS = 80, DEFAULT_ROWS = 24 };

struct Screen {
    int fd;
    gboolean quiet; /* settings were changed */
    struct termios before;
    GArray *drawn; /* of guint: widths of the lines that are there */
};

/*
 * What is typed would be shown in the middle of the table and move it; a stop by Ctrl-Z or a core
 * dump by Ctrl-\ would leave the terminal so. Ctrl-C works.
 */
static void quieten(Screen *screen)
{
    struct termios quiet;

    /* In the background changing settings would stop the process. */
    if (tcgetpgrp(screen->fd) != getpgrp() || tcgetattr(screen->fd, &screen->before) != 0)
        return;
    quiet = screen->before;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
    quiet.c_cc[VSUSP] = _POSIX_VDISABLE;
    quiet.c_cc[VQUIT] = _POSIX_VDISABLE;
    screen->quiet = tcsetattr(screen->fd, TCSANOW, &quiet) == 0;
}

Screen *screen_new(int fd)
{
    const char *term = g_getenv("TERM");
    Screen *screen;

    if (!isatty(fd) || !term || !*term || strcmp(term, "dumb") == 0)
        return NULL;
    screen = g_new0(Screen, 1);
    screen->fd = fd;
    screen->drawn = g_array_new(FALSE, FALSE, sizeof(guint));
    quieten(screen);
    return screen;
}

void screen_free(Screen *screen)
{
    if (screen->quiet)
        tcsetattr(screen->fd, TCSANOW, &screen->before);
    g_array_unref(screen->drawn);
    g_free(screen);
}

void screen_size(const Screen *screen, guint *columns, guint *rows)
{
    struct winsize size = {0};

    *columns = DEFAULT_COLUMNS;
    *rows = DEFAULT_ROWS;
    if (ioctl(screen->fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        *columns = size.ws_col;
        *rows = size.ws_row;
    }
}

gboolean screen_is_colourful(void)
{
    const char *no_color = g_getenv("NO_COLOR"); /* no-color.org: set and not empty */

    return !no_color || !*no_color;
}

/* Columns of a line that may hold sequences of our own. */
static guint width_of_line(const char *line)
{
    g_autofree char *plain = g_strdup(line);
    char *to = plain;

    for (const char *from = line; *from; from++) {
        if (*from == '\033')
            from += strcspn(from, "m");
        else
            *to++ = *from;
        if (!*from)
            break;
    }
    *to = '\0';
    return terminal_width(plain);
}

/* Rows that the drawn lines take on a terminal that may have become narrower, and has then broken
 * them into several. */
static guint rows_drawn(const Screen *screen)
{
    guint columns, rows, sum = 0;

    screen_size(screen, &columns, &rows);
    for (guint i = 0; i < screen->drawn->len; i++)
        sum += (MAX(g_array_index(screen->drawn, guint, i), 1) + columns - 1) / columns;
    return MIN(sum, rows - 1);
}

void screen_draw(Screen *screen, GString *out, char *const *lines)
{
    guint up = rows_drawn(screen);

    g_string_append_c(out, '\r');
    if (up > 0)
        g_string_append_printf(out, "\033[%uA", up);
    g_array_set_size(screen->drawn, 0);
    for (; *lines; lines++) {
        guint width = width_of_line(*lines);

        g_string_append_printf(out, "%s\033[K\n", *lines);
        g_array_append_val(screen->drawn, width);
    }
    g_string_append(out, "\033[J");
}
