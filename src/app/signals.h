/* SPDX-License-Identifier: MIT */
/* Which signals end the program, and which do not. */
#ifndef BMS_SIGNALS_H
#define BMS_SIGNALS_H

#include <glib.h>

/**
 * From here on, signals that mean nothing to this program do not kill it: that would leave a
 * connection up, and the board taken. For the start of main(). SIGQUIT still dumps core.
 */
void signals_tame(void);

/**
 * The program is asked to end.
 * @param number SIGINT, SIGTERM or SIGHUP; the exit status is to be 128 + that
 * @param again somebody insists: end at once
 */
typedef void (*SignalsEnd)(void *user, int number, gboolean again);

typedef struct {
    SignalsEnd end;
    void *user; /**< goes to end() */
    gboolean asked;
} SignalsAtPrompt;

/**
 * For a program at the prompt: calls signals->end() for the first of SIGINT, SIGTERM and SIGHUP,
 * and for each SIGINT and SIGTERM after it. A signal that was ignored at the start (nohup) stays
 * ignored.
 * @param signals must live as long as the main loop runs
 */
void signals_at_prompt(SignalsAtPrompt *signals);

#endif
