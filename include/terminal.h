/* SPDX-License-Identifier: MIT */
/*
 * Text for people at a terminal or for the next program in a pipe: made harmless, measured in
 * columns, written without ever waiting for who reads it, redrawn in place.
 */
#ifndef BMS_TERMINAL_H
#define BMS_TERMINAL_H

#include <glib.h>

/* ---- text ---------------------------------------------------------------------------------- */

/**
 * Whether a character does more than to show itself, or less: controls, hides, turns round, has no
 * meaning, or a width that nobody knows.
 */
gboolean terminal_is_harmful(gunichar c);

/**
 * Makes text from outside fit to be shown in one place of one line: what controls, hides or turns
 * round, and what is no UTF-8, becomes U+FFFD.
 * @param ascii what is not ASCII becomes "?" (the terminal is not set to UTF-8)
 * @return to be freed
 */
char *terminal_clean(const char *text, gboolean ascii);

/** The same for each line of a text of many. */
char *terminal_clean_lines(const char *text, gboolean ascii);

/** Columns that cleaned text takes. */
guint terminal_width(const char *text);

/** Appends cleaned text, cut to @a width columns; then the last one that fits is "…" ("~" in
 * ASCII). */
void terminal_append_cut(GString *line, const char *text, guint width);

/** The same, filled up with blanks to @a width columns. */
void terminal_append_padded(GString *line, const char *text, guint width);

/* ---- output -------------------------------------------------------------------------------- */

typedef struct Output Output;

/**
 * Writes to a descriptor, in order, as its reader takes it.
 * @param changed called when all is written or, with output_error() set, cannot be
 */
Output *output_new(int fd, void (*changed)(void *user), void *user);

/** Drops what is not written yet. */
void output_free(Output *output);

void output_write(Output *output, const char *text);

/** Whether nothing waits to be written. */
gboolean output_is_idle(const Output *output);

/** errno of the write that failed; 0 if all is well. */
int output_error(const Output *output);

/* ---- screen -------------------------------------------------------------------------------- */

/** A few lines at the end of what a terminal shows, drawn again and again. */
typedef struct Screen Screen;

/** @return NULL if @a fd is no terminal, or one that cannot move its cursor (TERM=dumb) */
Screen *screen_new(int fd);

/** Gives the terminal back as it was. */
void screen_free(Screen *screen);

/** The terminal's size now. */
void screen_size(const Screen *screen, guint *columns, guint *rows);

/** Whether text may be emphasised: NO_COLOR is not set. */
gboolean screen_is_colourful(void);

/**
 * Appends to @a out what puts @a lines into the place of those drawn before. They must be narrower
 * than the terminal and fewer than its rows.
 */
void screen_draw(Screen *screen, GString *out, char *const *lines);

#endif
