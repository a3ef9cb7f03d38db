/* SPDX-License-Identifier: MIT */
#include "signals.h"

#include <glib-unix.h>
#include <signal.h>

static void do_nothing(int number)
{
    (void)number;
}

void signals_tame(void)
{
    /* A function and not SIG_IGN: programs that are started from here must not inherit it. */
    static const struct sigaction harmless = {.sa_handler = do_nothing, .sa_flags = SA_RESTART};

    (void)sigaction(SIGUSR1, &harmless, NULL);
    (void)sigaction(SIGUSR2, &harmless, NULL);
    /* A reader of our output that goes away is an error to report, not an end. GLib undoes this in
     * the programs that it starts. */
    (void)signal(SIGPIPE, SIG_IGN);
}

static gboolean take(SignalsAtPrompt *signals, int number)
{
    gboolean again = signals->asked;

    signals->asked = TRUE;
    /* A session that drops sends SIGHUP twice, from the kernel and from the shell: nobody insists.
     */
    if (!again || number != SIGHUP)
        signals->end(signals->user, number, again);
    return G_SOURCE_CONTINUE;
}

static gboolean on_sigint(gpointer user)
{
    return take(user, SIGINT);
}

static gboolean on_sigterm(gpointer user)
{
    return take(user, SIGTERM);
}

static gboolean on_sighup(gpointer user)
{
    return take(user, SIGHUP);
}

static gboolean is_ignored(int number)
{
    struct sigaction action;

    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

void signals_at_prompt(SignalsAtPrompt *signals)
{
    static const struct {
        int number;
        GSourceFunc handler;
    } handlers[] = {{SIGINT, on_sigint}, {SIGTERM, on_sigterm}, {SIGHUP, on_sighup}};

    for (gsize i = 0; i < G_N_ELEMENTS(handlers); i++)
        if (!is_ignored(handlers[i].number))
            g_unix_signal_add(handlers[i].number, handlers[i].handler, signals);
}
