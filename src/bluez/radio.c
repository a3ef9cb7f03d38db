/* SPDX-License-Identifier: MIT */
/* One link at a time scans or connects; the others wait in the order in which they came. */
#include "private.h"

static void grant_next(Radio *radio)
{
    radio->holder = g_queue_pop_head(&radio->waiting);
    if (!radio->holder)
        return;
    link_granted(radio->holder);
    if (radio->holder && radio_is_contended(radio))
        link_hurry(radio->holder);
}

void radio_ask(Radio *radio, BluezLink *link)
{
    g_queue_push_tail(&radio->waiting, link);
    if (radio->holder)
        link_hurry(radio->holder);
    else
        grant_next(radio);
}

void radio_leave(Radio *radio, BluezLink *link)
{
    g_queue_remove(&radio->waiting, link);
}

void radio_release(Radio *radio, BluezLink *link)
{
    radio_leave(radio, link);
    if (radio->holder == link)
        grant_next(radio);
}

gboolean radio_is_contended(const Radio *radio)
{
    return radio->waiting.length > 0;
}
