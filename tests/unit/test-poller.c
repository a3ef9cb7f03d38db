/* SPDX-License-Identifier: MIT */
/*
 * The poller in a world of its own: a clock that jumps from event to event, a link and a board
 * that do what a test tells them. A day passes in a moment, and every run is the same.
 */
#include "jbd/board.h"
#include "poller.h"

#include <glib.h>
#include <string.h>

#define S        INT64_C(1000000)
#define LATENESS 20000

typedef enum { NOTHING, LINK_COMES_UP, LINK_COMES_DOWN, CHUNK } WhatNext;

typedef struct {
    int64_t at;
    WhatNext what;
    LinkFault fault;
    guint8 data[64];
    gsize size;
} Event;

/* What the board does, to be changed at any time. */
typedef struct {
    gboolean silent;
    gboolean lose_first; /* the first request of each session */
    gboolean echo;
    gboolean corrupt;
    gboolean doubled;
    gboolean no_model;     /* answers 0x80 */
    gboolean silent_model; /* does not answer */
    gboolean refuses;      /* 0x81 to everything */
    gboolean malformed;    /* 22 bytes in 03, which has 23 */
    LinkFault absent;      /* connecting fails, in this way */
    int64_t latency;
    gint16 current; /* 10 mA */
} Board;

typedef struct {
    int64_t now;
    int64_t suspended;
    int64_t wake_at;
    GQueue events; /* of Event, in order of time */
    Device device;
    Poller *poller;
    Board board;
    gboolean link_open;
    gboolean link_up;
    int64_t open_time;
    int64_t close_time;
    guint requests_in_session;
    /* what was seen */
    guint asked[256];
    guint opens;
    guint afresh;                         /* of them */
    guint recoveries[RECOVERY_N_ACTIONS]; /* asked for, beyond the link */
    gboolean forbidden;                   /* … and not done */
    guint closes;
    guint publications;
    guint faults;
    guint stale_publications; /* of another current than the board has now */
    int64_t last_publication;
    int64_t longest_gap;
    int64_t last_open;
    int64_t longest_wait_to_open;
    int64_t last_down;
    int64_t longest_down;
} World;

/* ---- the world's machinery ------------------------------------------------------------------- */

static gint by_time(gconstpointer a, gconstpointer b, gpointer unused)
{
    const Event *first = a, *second = b;

    (void)unused;
    return first->at < second->at ? -1 : first->at > second->at;
}

static Event *plan(World *world, int64_t delay, WhatNext what)
{
    Event *event = g_new0(Event, 1);

    event->at = world->now + delay;
    event->what = what;
    g_queue_insert_sorted(&world->events, event, by_time, NULL);
    return event;
}

static void forget(World *world, WhatNext what)
{
    for (GList *link = world->events.head, *next; link; link = next) {
        next = link->next;
        if (((Event *)link->data)->what == what) {
            g_free(link->data);
            g_queue_delete_link(&world->events, link);
        }
    }
}

static void plan_down(World *world, int64_t delay, LinkFault fault)
{
    forget(world, LINK_COMES_UP);
    forget(world, LINK_COMES_DOWN);
    plan(world, delay, LINK_COMES_DOWN)->fault = fault;
}

static void link_open(void *user, bool afresh)
{
    World *world = user;

    g_assert_false(world->link_open);
    world->link_open = TRUE;
    world->opens++;
    world->afresh += afresh;
    world->longest_wait_to_open = MAX(world->longest_wait_to_open, world->now - world->last_open);
    world->longest_down = MAX(world->longest_down, world->now - world->last_down);
    world->last_open = world->now;
    if (world->board.absent)
        plan_down(world, world->open_time, world->board.absent);
    else
        plan(world, world->open_time, LINK_COMES_UP);
}

static void link_close(void *user)
{
    World *world = user;

    g_assert_true(world->link_open);
    world->closes++;
    plan_down(world, world->close_time, LINK_FAULT_NONE);
}

/* An encoder of the test's own. */
static void plan_frame(World *world, int64_t delay, guint8 reg, guint8 status, const guint8 *data,
                       gsize size)
{
    Event *event = plan(world, delay, CHUNK);
    guint sum = status + (guint)size;

    g_assert_cmpuint(size + 7, <=, sizeof event->data);
    event->data[0] = 0xDD;
    event->data[1] = reg;
    event->data[2] = status;
    event->data[3] = (guint8)size;
    for (gsize i = 0; i < size; i++) {
        event->data[4 + i] = data[i];
        sum += data[i];
    }
    sum = 0x10000 - sum;
    event->data[4 + size] = (guint8)(sum >> 8);
    event->data[5 + size] = (guint8)sum;
    event->data[6 + size] = 0x77;
    event->size = size + 7;
    if (world->board.corrupt)
        event->data[5] ^= 0x10;
}

static void answer(World *world, guint8 reg, int64_t delay)
{
    guint16 current = (guint16)world->board.current;
    const guint8 basic[23] = {0x0A,
                              0x00, /* 25.60 V */
                              (guint8)(current >> 8),
                              (guint8)current,
                              0x13,
                              0x88,
                              0x27,
                              0x10,
                              [19] = 50,
                              [20] = 3,
                              [21] = 4};
    const guint8 cells[8] = {0x19, 0x00, 0x19, 0x01, 0x19, 0x02, 0x19, 0x03};
    const guint8 counters[22] = {[1] = 7};

    if (world->board.refuses)
        plan_frame(world, delay, reg, 0x81, NULL, 0);
    else if (reg == 0x03)
        plan_frame(world, delay, reg, 0, basic, sizeof basic - (world->board.malformed ? 1 : 0));
    else if (reg == 0x04)
        plan_frame(world, delay, reg, 0, cells, sizeof cells);
    else if (reg == 0x05 && world->board.no_model)
        plan_frame(world, delay, reg, 0x80, NULL, 0);
    else if (reg == 0x05 && !world->board.silent_model)
        plan_frame(world, delay, reg, 0, (const guint8 *)"JBD-TEST", 8);
    else if (reg == 0xAA)
        plan_frame(world, delay, reg, 0, counters, sizeof counters);
}

static void link_write(void *user, const uint8_t *data, size_t size)
{
    World *world = user;
    const Board *board = &world->board;
    guint8 reg = data[2];

    if (data[0] == 0xFF) /* of the password handshake, which this board does not know */
        return;
    g_assert_cmpuint(size, ==, 7);
    g_assert_cmpuint(data[0], ==, 0xDD);
    g_assert_cmpuint(data[1], ==, 0xA5); /* nothing but reads is ever sent */
    g_assert_true(reg == 0x03 || reg == 0x04 || reg == 0x05 || reg == 0xAA);
    if (!world->link_up)
        return;
    world->asked[reg]++;
    world->requests_in_session++;
    if (board->echo) {
        Event *event = plan(world, board->latency, CHUNK);

        memcpy(event->data, data, size);
        event->size = size;
    }
    if (board->silent || board->echo || (board->lose_first && world->requests_in_session == 1))
        return;
    answer(world, reg, board->latency);
    if (board->doubled)
        answer(world, reg, board->latency + 1000);
}

static const LinkOps link_ops = {.open = link_open, .write = link_write, .close = link_close};

static int64_t host_now(void *host)
{
    return ((World *)host)->now;
}

static void host_wake_at(void *host, int64_t when)
{
    ((World *)host)->wake_at = when;
}

static void host_published(void *host)
{
    World *world = host;

    /* No reading is ever a wrong one. */
    g_assert_cmpuint(jbd_state(&world->device)->basic.pack_mv, ==, 25600);
    g_assert_cmpuint(jbd_state(&world->device)->cells.count, ==, 4);
    g_assert_cmpuint(jbd_state(&world->device)->cells.mv[3], ==, 0x1903);
    if (jbd_state(&world->device)->basic.current_ma != world->board.current * 10)
        world->stale_publications++;
    if (world->publications++ > 0)
        world->longest_gap = MAX(world->longest_gap, world->now - world->last_publication);
    world->last_publication = world->now;
}

static void host_fault(void *host)
{
    ((World *)host)->faults++;
}

static void host_changed(void *host)
{
    (void)host;
}

static bool host_recover(void *host, RecoveryAction action)
{
    World *world = host;

    world->recoveries[action]++;
    return !world->forbidden;
}

static int64_t host_boot_time(void *host)
{
    const World *world = host;

    return world->now + world->suspended;
}

static const PollerHost host_ops = {.now = host_now,
                                    .boot_time = host_boot_time,
                                    .wake_at = host_wake_at,
                                    .published = host_published,
                                    .fault = host_fault,
                                    .changed = host_changed,
                                    .recover = host_recover};

static void happen(World *world, Event *event)
{
    const LinkEvents *events = &poller_link_events;

    switch (event->what) {
    case LINK_COMES_UP:
        world->link_up = TRUE;
        world->requests_in_session = 0;
        events->stage(world->poller, LINK_UP);
        events->up(world->poller);
        break;
    case LINK_COMES_DOWN:
        world->link_up = FALSE;
        world->link_open = FALSE;
        world->last_down = world->now;
        forget(world, CHUNK);
        events->down(world->poller, event->fault, NULL);
        break;
    case CHUNK:
        if (world->link_up)
            events->chunk(world->poller, event->data, event->size);
        break;
    case NOTHING:
        break;
    }
}

/* Lets time pass up to @a until. */
static void run_until(World *world, int64_t until)
{
    for (;;) {
        Event *event = g_queue_peek_head(&world->events);
        int64_t next = MIN(event ? event->at : INT64_MAX, world->wake_at);

        if (next > until)
            break;
        world->now = MAX(world->now, next);
        if (event && event->at <= world->now) {
            g_queue_pop_head(&world->events);
            happen(world, event);
            g_free(event);
        } else {
            int64_t before = world->wake_at;

            world->now += LATENESS; /* as main loops are */
            poller_wake(world->poller);
            g_assert_true(world->wake_at > world->now || world->wake_at != before); /* no spin */
        }
        g_assert_true(poller_is_moving(world->poller));
    }
    world->now = MAX(world->now, until);
}

static World *world_new(const PollerConfig *wanted)
{
    PollerConfig config = {.interval_us = 10 * S, .renew_us = 600 * S, .seed = 1};
    World *world = g_new0(World, 1);

    if (wanted)
        config = *wanted;
    g_queue_init(&world->events);
    world->now = 1000 * S;
    world->last_open = world->now;
    world->last_down = world->now;
    world->open_time = 3 * S / 2;
    world->close_time = 2 * S;
    world->board.latency = 70000;
    world->board.current = -100;
    device_init(&world->device, &jbd_kind, "A4:C1:38:00:00:01", NULL, config.interval_us);
    world->poller = poller_new(&config, &world->device, &host_ops, world);
    poller_set_link(world->poller, &link_ops, world);
    poller_start(world->poller);
    return world;
}

static World *world_running(void)
{
    World *world = world_new(NULL);

    run_until(world, world->now + 5 * S);
    g_assert_cmpuint(world->publications, ==, 1);
    return world;
}

static void world_free(World *world)
{
    g_queue_clear_full(&world->events, g_free);
    poller_free(world->poller);
    g_free(world);
}

static guint64 failures(const World *world)
{
    guint64 sum = 0;

    for (int i = 0; i < POLL_N_FAILURES; i++)
        sum += world->device.poll_failures[i];
    return sum;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_first_readings(void)
{
    World *world = world_new(NULL);

    g_assert_cmpuint(world->opens, ==, 1);
    g_assert_cmpuint(world->device.polls, ==, 1); /* due at once */
    run_until(world, world->now + 2 * S);
    g_assert_cmpuint(world->publications, ==, 1);
    g_assert_cmpuint(world->device.sessions[SESSION_START], ==, 1);
    g_assert_cmpint(jbd_state(&world->device)->basic.current_ma, ==, -1000);
    g_assert_cmpstr(jbd_state(&world->device)->model.text, ==, "JBD-TEST");
    g_assert_cmpuint(jbd_state(&world->device)->counters.value[0], ==, 7);
    g_assert_true(device_is_fresh(&world->device, world->now));
    g_assert_cmpuint(world->device.poll_duration.count, ==, 1);
    g_assert_true(poller_is_resting(world->poller));
    world_free(world);
}

static void test_grid_and_renewals(void)
{
    World *world = world_new(NULL);

    world->board.lose_first = TRUE; /* as real boards do, in every session */
    run_until(world, world->now + 7200 * S - 1);
    g_assert_cmpuint(world->device.polls, ==, 720);
    g_assert_cmpuint(failures(world), ==, 0);
    g_assert_cmpuint(world->device.sessions[SESSION_RENEWAL], ==, 11);
    g_assert_cmpuint(world->opens, ==, 12);
    g_assert_cmpint(world->longest_down, ==, 0); /* a renewal waits for nothing */
    /* 720 slots and a poll for each new session beside the first */
    g_assert_cmpuint(world->publications, ==, 731);
    g_assert_cmpint(world->longest_gap, <=, 10 * S + 100000);
    g_assert_cmpuint(world->faults, ==, 0);
    world_free(world);
}

/* Renewing behind a poll that took most of its slot would lose the next one. */
static void test_renewal_waits_for_an_early_poll(void)
{
    World *world = world_running();

    run_until(world, 1595 * S);
    world->board.latency = 26 * S / 10; /* the third try is under way when the answer comes */
    run_until(world, 1800 * S);
    g_assert_cmpuint(world->closes, ==, 0);
    world->board.latency = 70000;
    run_until(world, 1815 * S);
    g_assert_cmpuint(world->closes, ==, 1);

    run_until(world, 2300 * S);
    world->board.latency = 26 * S / 10; /* but not for ever */
    run_until(world, 3100 * S);
    g_assert_cmpuint(world->closes, ==, 2);
    world_free(world);
}

static void test_no_renewal(void)
{
    World *world = world_new(&(PollerConfig){.interval_us = 10 * S, .seed = 1});

    run_until(world, world->now + 7200 * S);
    g_assert_cmpuint(world->opens, ==, 1);
    world_free(world);
}

static void test_lost_first_command(void)
{
    World *world = world_new(NULL);

    world->board.lose_first = TRUE;
    run_until(world, world->now + world->open_time + 3 * S / 4);
    g_assert_cmpuint(world->publications, ==, 1);
    g_assert_cmpuint(world->asked[0x03], ==, 2);
    g_assert_cmpuint(world->closes, ==, 0);
    world_free(world);
}

static void test_stall(void)
{
    World *world = world_running();

    world->board.silent = TRUE;
    run_until(world, world->now + 30 * S);
    g_assert_cmpuint(world->closes, >=, 2); /* given up, and tried anew */
    g_assert_cmpint(world->device.fault, ==, LINK_FAULT_SILENT);
    g_assert_cmpuint(world->device.poll_failures[POLL_FAILURE_TIMEOUT], >=, 1);
    run_until(world, world->now + 10 * S);
    g_assert_false(device_is_fresh(&world->device, world->now));

    world->board.silent = FALSE;
    run_until(world, world->now + 70 * S);
    g_assert_true(device_is_fresh(&world->device, world->now));
    g_assert_cmpuint(world->device.sessions[SESSION_STALL], >=, 1);
    g_assert_cmpint(world->device.fault, ==, LINK_FAULT_NONE);
    world_free(world);
}

static void test_asks_three_times(void)
{
    World *world = world_running();
    guint before = world->asked[0x03];

    world->board.silent = TRUE;
    run_until(world, world->now + 5 * S + 4 * S + S / 2); /* into the slot, before a new session */
    g_assert_cmpuint(world->asked[0x03] - before, ==, 3);
    world_free(world);
}

static void test_back_off(void)
{
    World *world = world_running();

    world->board.absent = LINK_FAULT_NOT_FOUND;
    plan_down(world, 0, LINK_FAULT_LOST);
    world->longest_wait_to_open = 0;
    run_until(world, world->now + S);
    g_assert_cmpuint(world->opens, ==, 2); /* the first time at once */
    world->last_open = world->now;
    run_until(world, world->now + 3600 * S);
    /* From attempt to attempt; what one takes is not added. */
    g_assert_cmpint(world->longest_wait_to_open, <=, 10 * S + LATENESS);
    g_assert_cmpint(world->longest_wait_to_open, >=, 8 * S);
    g_assert_cmpuint(world->device.poll_failures[POLL_FAILURE_NOT_CONNECTED], >=, 350);

    /* A kick does not wait. */
    world->board.absent = LINK_FAULT_NONE;
    run_until(world, world->now + S);
    if (!world->link_open)
        poller_link_events.kick(world->poller);
    g_assert_true(world->link_open);
    world_free(world);

    /* What failed before the kick is no reason to wait long behind it. */
    world = world_new(NULL);
    world->board.absent = LINK_FAULT_NOT_FOUND;
    world->forbidden = TRUE; /* a power cycle would be waited for */
    run_until(world, world->now + 600 * S);
    while (world->link_open)
        run_until(world, world->now + S);
    poller_link_events.kick(world->poller);
    run_until(world, world->now + world->open_time + S / 2);
    g_assert_true(world->link_open);
    world_free(world);
}

/* An attempt that took longer than the distance between two is followed by the next at once. */
static void test_back_off_counts_attempts(void)
{
    World *world = world_running();

    world->board.absent = LINK_FAULT_TIMEOUT;
    world->forbidden = TRUE;
    world->open_time = 35 * S;
    plan_down(world, 0, LINK_FAULT_LOST);
    run_until(world, world->now + S);
    world->longest_down = 0;
    run_until(world, world->now + 3600 * S);
    g_assert_cmpint(world->longest_down, >, 0);
    g_assert_cmpint(world->longest_down, <=, S / 4 + LATENESS);
    world_free(world);
}

static void test_back_off_resets(void)
{
    World *world = world_running();

    world->board.absent = LINK_FAULT_NOT_FOUND;
    plan_down(world, 0, LINK_FAULT_LOST);
    run_until(world, world->now + 600 * S);
    world->board.absent = LINK_FAULT_NONE;
    run_until(world, world->now + 120 * S);
    g_assert_true(world->link_up);
    plan_down(world, 0, LINK_FAULT_LOST);
    run_until(world, world->now + S / 2);
    g_assert_true(world->link_open); /* 0.25 s again, not 10 */
    world_free(world);
}

static void test_ladder(void)
{
    World *world = world_running();
    const uint64_t *done = world->device.recoveries;

    world->board.absent = LINK_FAULT_REFUSED;
    plan_down(world, 0, LINK_FAULT_LOST);
    run_until(world, world->now + 120 * S);
    g_assert_cmpuint(world->afresh, >=, 1);
    g_assert_cmpuint(world->afresh, <=, 3);
    g_assert_cmpuint(done[RECOVERY_REMOVE_DEVICE], ==, world->afresh);
    g_assert_cmpuint(done[RECOVERY_POWER_CYCLE], ==, world->recoveries[RECOVERY_POWER_CYCLE]);
    g_assert_cmpuint(done[RECOVERY_POWER_CYCLE], >=, 1);
    g_assert_cmpuint(done[RECOVERY_COMMAND], >=, 1);
    g_assert_cmpuint(done[RECOVERY_TELL], ==, 1);
    g_assert_cmpuint(done[RECOVERY_RECONNECT], >=, 8);
    g_assert_true(world->device.operator_needed);

    world->board.absent = LINK_FAULT_NONE;
    run_until(world, world->now + 20 * S);
    g_assert_true(device_is_fresh(&world->device, world->now));
    g_assert_false(world->device.operator_needed);
    world_free(world);
}

/* What was not done is not counted, and is not waited for. */
static void test_forbidden_rungs(void)
{
    World *world = world_running();

    world->forbidden = TRUE;
    world->board.absent = LINK_FAULT_REFUSED;
    plan_down(world, 0, LINK_FAULT_LOST);
    run_until(world, world->now + 120 * S);
    g_assert_cmpuint(world->recoveries[RECOVERY_POWER_CYCLE], >=, 1);
    g_assert_cmpuint(world->device.recoveries[RECOVERY_POWER_CYCLE], ==, 0);
    g_assert_cmpuint(world->device.recoveries[RECOVERY_COMMAND], ==, 0);
    world_free(world);
}

/* Until the adapter is on again nothing is tried; then at once. */
static void test_power_cycle_is_waited_for(void)
{
    World *world = world_running();

    world->board.absent = LINK_FAULT_NOT_FOUND;
    plan_down(world, 0, LINK_FAULT_LOST);
    while (world->recoveries[RECOVERY_POWER_CYCLE] == 0)
        run_until(world, world->now + S / 10);
    g_assert_false(world->link_open);

    guint opens = world->opens;

    run_until(world, world->now + 5 * S);
    g_assert_cmpuint(world->opens, ==, opens);
    poller_link_events.kick(world->poller);
    g_assert_cmpuint(world->opens, ==, opens + 1);
    world_free(world);
}

static void test_retries_are_counted(void)
{
    World *world = world_new(NULL);

    world->board.lose_first = TRUE;
    run_until(world, world->now + 5 * S);
    g_assert_cmpuint(world->device.recoveries[RECOVERY_RETRY], ==, 1);
    g_assert_cmpuint(world->device.recoveries[RECOVERY_RECONNECT], ==, 0);
    world_free(world);
}

static void test_noise_is_measured(void)
{
    World *world = world_running();

    g_assert_cmpuint(device_noise_percent(&world->device), ==, 0);
    world->board.corrupt = TRUE;
    run_until(world, world->now + 30 * S);
    g_assert_cmpint(world->device.fault, ==, LINK_FAULT_NOISE);
    g_assert_cmpuint(device_noise_percent(&world->device), >=, 50);
    g_assert_nonnull(strstr(world->device.detail, "% of the latest"));
    world->board.corrupt = FALSE;
    run_until(world, world->now + 1800 * S);
    g_assert_cmpuint(device_noise_percent(&world->device), <=, 1);
    world_free(world);
}

static void test_link_loss(void)
{
    World *world = world_running();

    run_until(world, world->now + 5 * S + 20000); /* asking */
    plan_down(world, 0, LINK_FAULT_LOST);
    run_until(world, world->now + 4 * S);
    g_assert_cmpuint(world->publications, ==, 2); /* in the same slot, over a new link */
    g_assert_cmpuint(world->device.sessions[SESSION_LINK_LOSS], ==, 1);
    run_until(world, world->now + 60 * S);
    g_assert_cmpuint(failures(world), ==, 0);
    world_free(world);
}

static void test_adapter_loss(void)
{
    World *world = world_running();

    plan_down(world, 0, LINK_FAULT_ADAPTER_OFF);
    run_until(world, world->now + 20 * S);
    g_assert_cmpuint(world->device.sessions[SESSION_ADAPTER], ==, 1);
    plan_down(world, 0, LINK_FAULT_BLUEZ);
    run_until(world, world->now + 20 * S);
    g_assert_cmpuint(world->device.sessions[SESSION_BLUEZ], ==, 1);
    world_free(world);
}

static void test_doubled_answers(void)
{
    World *world = world_new(NULL);

    world->board.doubled = TRUE;
    run_until(world, world->now + 100 * S);
    g_assert_cmpuint(failures(world), ==, 0);
    g_assert_cmpuint(world->device.frame_errors[JBD_ERROR_REGISTER], >, 0);
    world_free(world);
}

static void test_late_answers(void)
{
    World *world = world_running();

    world->board.latency = 16 * S / 10; /* the longest ever seen; the question is repeated first */
    run_until(world, world->now + 100 * S);
    g_assert_cmpuint(failures(world), ==, 0);
    g_assert_cmpuint(world->device.sessions[SESSION_STALL], ==, 0);
    world_free(world);
}

static void test_newest_answer_counts(void)
{
    World *world = world_running();

    /* An old answer to 0x03 comes at once, the true one while 0x04 is being asked for. */
    run_until(world, 1010 * S);
    world->board.current = -100;
    answer(world, 0x03, 10000);
    world->board.current = 250;
    world->board.latency = 50000;
    answer(world, 0x03, 30000);
    run_until(world, world->now + 69000); /* before the answer to the question itself */
    g_assert_cmpint(jbd_state(&world->device)->basic.current_ma, ==, 2500);
    world_free(world);
}

static void test_corrupt_answers(void)
{
    World *world = world_running();

    world->board.corrupt = TRUE;
    run_until(world, 1010 * S + 3 * S / 2); /* asks again before the time for an answer is over */
    g_assert_cmpuint(world->closes, ==, 1);
    run_until(world, world->now + 100 * S);
    g_assert_cmpuint(world->publications, ==, 1);
    g_assert_cmpuint(world->device.frame_errors[JBD_ERROR_CHECKSUM], >=, 3);
    g_assert_cmpuint(world->device.poll_failures[POLL_FAILURE_FRAME], >=, 1);
    g_assert_cmpint(world->device.fault, ==, LINK_FAULT_NOISE);
    world_free(world);
}

static void test_echo(void)
{
    World *world = world_new(NULL);

    world->board.echo = TRUE;
    run_until(world, world->now + 20 * S);
    g_assert_cmpint(world->device.fault, ==, LINK_FAULT_ECHO);
    g_assert_cmpuint(world->device.frame_errors[JBD_ERROR_ECHO], >=, 3);
    world_free(world);
}

static void test_refusing_board_keeps_its_link(void)
{
    World *world = world_new(NULL);

    world->board.refuses = TRUE;
    run_until(world, world->now + 95 * S);
    g_assert_cmpint(world->device.fault, ==, LINK_FAULT_REFUSES);
    g_assert_cmpuint(world->opens, ==, 1);
    g_assert_cmpuint(world->device.poll_failures[POLL_FAILURE_STATUS], ==, 9);
    g_assert_cmpuint(world->asked[0x03], <=, 3 * 11);
    world_free(world);
}

/** Sound frames that are not understood are no noise, and another link would bring the same. */
static void test_malformed_answers_keep_the_link(void)
{
    World *world = world_new(NULL);

    world->board.malformed = TRUE;
    run_until(world, world->now + 95 * S);
    g_assert_cmpint(world->device.fault, ==, LINK_FAULT_MALFORMED);
    g_assert_nonnull(strstr(world->device.detail, ": register 03: 22 bytes, at least 23 expected"));
    g_assert_true(g_str_has_prefix(world->device.detail, link_fault_text(LINK_FAULT_MALFORMED)));
    g_assert_cmpuint(world->opens, ==, 1);
    g_assert_cmpuint(world->device.poll_failures[POLL_FAILURE_FRAME], ==, 9);
    g_assert_cmpuint(device_noise_percent(&world->device), ==, 0);
    g_assert_cmpuint(world->recoveries[RECOVERY_TELL], ==, 1);
    g_assert_cmpuint(world->recoveries[RECOVERY_POWER_CYCLE], ==, 0);
    g_assert_cmpuint(world->asked[0x03], <=, 3 * 11);

    world->board.malformed = FALSE;
    run_until(world, world->now + 20 * S);
    g_assert_cmpint(world->device.fault, ==, LINK_FAULT_NONE);
    g_assert_cmpuint(world->opens, ==, 1);
    world_free(world);
}

static void test_absent_registers(void)
{
    World *world = world_new(NULL);

    world->board.no_model = TRUE;
    run_until(world, world->now + 7200 * S); /* many sessions */
    g_assert_cmpuint(world->asked[0x05], ==, 1);
    g_assert_cmpuint(world->asked[0xAA], >=, 7200 / 300);
    g_assert_false(jbd_state(&world->device)->has_model);
    world_free(world);

    world = world_new(NULL);
    world->board.silent_model = TRUE;
    run_until(world, world->now + 7200 * S);
    g_assert_cmpuint(world->asked[0x05], ==, 6); /* two tries in three rounds */
    g_assert_cmpuint(failures(world), ==, 0);
    world->board.silent_model = FALSE; /* had only been noise */
    run_until(world, world->now + 86400 * S);
    g_assert_true(jbd_state(&world->device)->has_model);
    world_free(world);
}

/* Short slots must not be too short for the rest. */
static void test_optional_reads_in_short_slots(void)
{
    World *world = world_new(&(PollerConfig){.interval_us = S / 2, .seed = 1});

    run_until(world, world->now + 5 * S);
    g_assert_true(jbd_state(&world->device)->has_model);
    g_assert_true(jbd_state(&world->device)->has_counters);
    g_assert_cmpuint(world->device.polls, ==, 11);
    world_free(world);

    /* One that never answers is no more asked for than in long slots. */
    world = world_new(&(PollerConfig){.interval_us = S / 2, .seed = 1});
    world->board.silent_model = TRUE;
    run_until(world, world->now + 60 * S);
    g_assert_cmpuint(world->asked[0x05], <=, 6);
    world_free(world);
}

/* What is not required never makes a poll wait. */
static void test_slot_goes_before_optional_reads(void)
{
    World *world = world_new(NULL);

    world->board.silent_model = TRUE;
    forget(world, LINK_COMES_UP);
    plan(world, 89 * S / 10, LINK_COMES_UP);
    run_until(world, 1009 * S + S / 2);
    g_assert_cmpuint(world->publications, ==, 1);
    g_assert_cmpuint(world->asked[0x05], >=, 1);
    g_assert_cmpuint(world->asked[0x05], <=, 2);
    run_until(world, 1010 * S + 2 * S / 10);
    g_assert_cmpuint(world->publications, ==, 2);
    world_free(world);
}

static void test_missed_slots(void)
{
    World *world = world_running();

    world->now += 35 * S; /* the process was stopped */
    run_until(world, world->now + 1);
    g_assert_cmpuint(world->device.polls, ==, 5);
    g_assert_cmpuint(world->device.poll_failures[POLL_FAILURE_MISSED], ==, 3);
    run_until(world, world->now + 4 * S);
    g_assert_true(device_is_fresh(&world->device, world->now));
    /* and the grid has not shifted */
    run_until(world, 1050 * S - 1);
    g_assert_cmpuint(world->device.polls, ==, 5);
    run_until(world, 1050 * S);
    g_assert_cmpuint(world->device.polls, ==, 6);
    world_free(world);
}

/* An answer that was waiting while the process stood still is as old as that, however new it looks.
 */
static void test_old_answers_are_left_behind(void)
{
    World *world = world_running();

    run_until(world, 1010 * S + 30000); /* 0x03 is asked for; its answer, of −1 A, is under way */
    g_assert_cmpuint(world->asked[0x03], ==, 2);
    world->board.current = 250;
    world->now += 31 * S;
    run_until(world, world->now + 10 * S);
    g_assert_cmpuint(world->publications, >=, 2);
    g_assert_cmpint(jbd_state(&world->device)->basic.current_ma, ==, 2500);
    g_assert_cmpuint(world->stale_publications, ==, 0);
    world_free(world);
}

static void test_energy_never_across_a_gap(void)
{
    World *world = world_running();
    double before;

    run_until(world, world->now + 100 * S);
    /* 25.6 V × 1 A for 100 s of polls */
    g_assert_cmpfloat(jbd_state(&world->device)->energy.out_joules, >, 2500);
    g_assert_cmpfloat(jbd_state(&world->device)->energy.out_joules, <, 2620);
    g_assert_cmpfloat(jbd_state(&world->device)->energy.in_joules, ==, 0);

    before = jbd_state(&world->device)->energy.out_joules;
    world->board.absent = LINK_FAULT_NOT_FOUND;
    plan_down(world, 0, LINK_FAULT_LOST);
    run_until(world, world->now + 600 * S);
    world->board.absent = LINK_FAULT_NONE;
    world->board.current = 0;
    run_until(world, world->now + 100 * S);
    g_assert_true(device_is_fresh(&world->device, world->now));
    g_assert_cmpfloat(jbd_state(&world->device)->energy.out_joules, ==, before);
    world_free(world);
}

/* With every second poll lost, all of the time is still measured. */
static void test_energy_across_lost_polls(void)
{
    World *world = world_running();

    for (int i = 1; i <= 60; i++) {
        world->board.silent = i % 2;
        run_until(world, (1000 + 10 * i + 9) * S + S / 2);
    }
    g_assert_cmpuint(failures(world), >=, 25);
    g_assert_cmpint(jbd_state(&world->device)->energy.measured_us, >=, 580 * S);
    g_assert_cmpint(jbd_state(&world->device)->energy.measured_us, <=, 610 * S);
    /* 25.6 V × 1 A */
    g_assert_cmpfloat(jbd_state(&world->device)->energy.out_joules, >, 25.6 * 580);
    g_assert_cmpfloat(jbd_state(&world->device)->energy.out_joules, <, 25.6 * 610);
    world_free(world);
}

/* A release is a gap only if it is longer than readings are fresh. */
static void test_energy_across_a_release(void)
{
    World *world = world_running();

    poller_release(world->poller, 15 * S);
    run_until(world, world->now + 20 * S);
    g_assert_cmpuint(world->publications, ==, 2);
    g_assert_cmpint(jbd_state(&world->device)->energy.measured_us, >, 15 * S);
    world_free(world);
}

/* The monotonic clock knows nothing of it, but the readings have grown old. */
static void test_suspend(void)
{
    World *world = world_running();
    double joules;

    world->board.current = 1000;
    run_until(world, world->now + 30 * S);
    joules = jbd_state(&world->device)->energy.in_joules;
    g_assert_cmpfloat(joules, >, 0);
    world->suspended = 3600 * S;
    g_assert_false(device_is_fresh(&world->device, host_boot_time(world)));
    run_until(world, world->now + 11 * S);
    g_assert_true(device_is_fresh(&world->device, host_boot_time(world)));
    g_assert_cmpfloat(jbd_state(&world->device)->energy.in_joules, ==, joules);
    run_until(world, world->now + 10 * S);
    g_assert_cmpfloat(jbd_state(&world->device)->energy.in_joules, >, joules);
    world_free(world);
}

/* The machine sleeps while an answer is on its way: with the answer to 0x03 still to come, or with
 * that of 0x04. What was said before is as old as the sleep was long when it arrives. */
static void test_suspend_before_the_answer(void)
{
    static const int64_t moments[] = {1010 * S + 30000, 1010 * S + 110000};
    static const int64_t sleeps[] = {3600 * S, 3 * S};

    for (gsize n = 0; n < 4; n++) {
        const gsize i = n % 2;
        World *world = world_running();

        run_until(world, moments[i]);
        g_assert_cmpuint(world->asked[0x03], ==, 2);
        g_assert_cmpuint(world->asked[0x04], ==, 1 + i);
        g_assert_cmpuint(world->publications, ==, 1);
        world->board.current = 250;
        world->suspended = sleeps[n / 2];
        run_until(world, world->now + S);
        g_assert_cmpuint(world->publications, ==, 1);
        run_until(world, world->now + 10 * S);
        g_assert_cmpuint(world->stale_publications, ==, 0);
        g_assert_cmpint(jbd_state(&world->device)->basic.current_ma, ==, 2500);
        g_assert_true(device_is_fresh(&world->device, host_boot_time(world)));
        g_assert_cmpuint(world->opens, ==, 2);
        /* It is nobody's failure. */
        g_assert_cmpuint(world->device.recoveries[RECOVERY_RECONNECT], ==, 0);
        world_free(world);
    }
}

/* Something else than the answer may be the first to arrive after the sleep. */
static void test_suspend_and_other_events(void)
{
    const PollerConfig config = {.interval_us = 20 * S, .renew_us = 600 * S};

    for (int i = 0; i < 3; i++) {
        World *world = world_running();

        run_until(world, 1010 * S + 110000);
        world->board.current = 250;
        world->suspended = 3600 * S;
        if (i == 0)
            poller_link_events.kick(world->poller);
        else if (i == 1)
            poller_configure(world->poller, &config);
        else
            poller_wake(world->poller);
        run_until(world, world->now + 10 * S);
        g_assert_cmpuint(world->stale_publications, ==, 0);
        g_assert_cmpint(jbd_state(&world->device)->basic.current_ma, ==, 2500);
        world_free(world);
    }
}

/* Second answers to the latest poll are still on their way when the machine goes to sleep at rest.
 * They arrive while the next poll is asked for. */
static void test_suspend_at_rest(void)
{
    World *world = world_running();

    answer(world, 0x03, 5 * S + LATENESS + 10000);
    answer(world, 0x04, 5 * S + LATENESS + 15000);
    world->board.current = 250;
    world->suspended = 3600 * S;
    run_until(world, world->now + 15 * S);
    g_assert_cmpuint(world->stale_publications, ==, 0);
    g_assert_cmpuint(world->publications, >=, 2);
    world_free(world);
}

/* Polls that were due meanwhile are counted as missed, and the grid has not shifted. */
static void test_suspend_is_accounted_for(void)
{
    World *world = world_running();

    world->suspended = 3600 * S;
    run_until(world, 1010 * S + S);
    g_assert_cmpuint(world->device.polls, ==, 1 + 361);
    g_assert_cmpuint(world->device.poll_failures[POLL_FAILURE_MISSED], ==, 360);
    g_assert_cmpuint(failures(world), ==, 360);
    run_until(world, 1100 * S + S);
    g_assert_cmpuint(world->device.polls, ==, 1 + 370);
    g_assert_cmpuint(failures(world), ==, 360);
    world_free(world);

    /* A machine that sleeps while a link is being made is not stuck in it. */
    world = world_new(NULL);
    world->suspended = 3600 * S;
    run_until(world, world->now + 3 * S); /* asserts that it is moving all the time */
    g_assert_cmpuint(world->publications, ==, 1);
    world_free(world);
}

/* Times that a person has in mind go on while the machine sleeps. */
static void test_suspend_ends_what_lasts(void)
{
    World *world = world_running();

    poller_release(world->poller, 120 * S);
    run_until(world, world->now + 5 * S);
    world->suspended = 3600 * S;
    run_until(world, world->now + 15 * S);
    g_assert_true(device_is_fresh(&world->device, host_boot_time(world)));
    world_free(world);

    /* Counters are not older than their five minutes, whether sessions are kept or not. */
    world = world_new(&(PollerConfig){.interval_us = 10 * S, .turns = true, .seed = 1});
    run_until(world, world->now + 25 * S);
    g_assert_cmpuint(world->asked[0xAA], ==, 1);
    world->suspended = 3600 * S;
    run_until(world, world->now + 15 * S);
    g_assert_cmpuint(world->asked[0xAA], ==, 2);
    world_free(world);
}

static void test_turns(void)
{
    World *world = world_new(&(PollerConfig){.interval_us = 10 * S, .turns = true, .seed = 1});

    world->board.lose_first = TRUE;
    run_until(world, world->now + 600 * S + S / 2);
    g_assert_cmpuint(world->opens, ==, 61); /* the slot that has just begun, too */
    g_assert_cmpuint(world->closes, ==, 60);
    g_assert_cmpuint(failures(world), ==, 0);
    g_assert_cmpuint(world->device.sessions[SESSION_TURN], >=, 59);
    g_assert_cmpuint(world->device.recoveries[RECOVERY_RECONNECT], ==, 0);
    g_assert_cmpuint(world->asked[0x05], ==, 1); /* a session is nothing new */
    world_free(world);
}

/* When room has run out while it runs: the link goes at once, and no poll is lost for it. */
static void test_turns_from_now_on(void)
{
    World *world = world_running();

    g_assert_true(world->link_up);
    poller_take_turns(world->poller, true);
    run_until(world, world->now + world->close_time + S / 10);
    g_assert_false(world->link_open);
    run_until(world, world->now + 60 * S);
    g_assert_cmpuint(failures(world), ==, 0);
    g_assert_cmpuint(world->opens, >=, 6);
    world_free(world);
}

/* There is room again: the link of the next poll is kept. */
static void test_turns_end(void)
{
    World *world =
        world_new(&(PollerConfig){.interval_us = 10 * S, .renew_us = 0, .turns = true, .seed = 1});

    run_until(world, world->now + 60 * S);
    world->opens = 0;
    poller_take_turns(world->poller, false);
    run_until(world, world->now + 60 * S);
    g_assert_true(world->link_up);
    g_assert_cmpuint(world->opens, <=, 1);
    g_assert_cmpuint(failures(world), ==, 0);
    world_free(world);
}

/* In the middle of a turn, too: whatever the link is doing. */
static void test_turns_end_at_any_time(void)
{
    for (int64_t at = 0; at < 10 * S; at += S / 20) {
        World *world = world_new(&(PollerConfig){.interval_us = 10 * S, .turns = true, .seed = 1});

        run_until(world, world->now + 30 * S + at);
        poller_take_turns(world->poller, false);
        run_until(world, world->now + 30 * S);
        g_assert_true(world->link_up);
        poller_take_turns(world->poller, true);
        run_until(world, world->now + 30 * S);
        g_assert_cmpuint(failures(world), ==, 0);
        world_free(world);
    }
}

/* A battery that is away tries once a slot, however short the wait would be else. */
static void test_turns_with_an_absent_device(void)
{
    World *world = world_new(&(PollerConfig){.interval_us = 60 * S, .turns = true, .seed = 1});

    run_until(world, world->now + 10 * S);
    world->board.absent = LINK_FAULT_TIMEOUT;
    world->opens = 0;
    run_until(world, world->now + 600 * S);
    g_assert_cmpuint(world->opens, <=, 12); /* one of them behind the first failure */
    g_assert_cmpuint(world->opens, >=, 10);
    world_free(world);
}

static void test_release(void)
{
    World *world = world_running();
    uint64_t polls = world->device.polls;
    guint publications;

    poller_release(world->poller, 120 * S);
    run_until(world, world->now + 119 * S);
    g_assert_false(world->link_open);
    g_assert_cmpuint(world->opens, ==, 1);
    g_assert_cmpuint(world->device.polls, ==, polls); /* none is due */
    g_assert_cmpuint(failures(world), ==, 0);
    g_assert_cmpint(world->device.fault, ==, LINK_FAULT_NONE);
    g_assert_false(device_is_fresh(&world->device, world->now));
    poller_link_events.kick(world->poller); /* an adapter that comes is no reason */
    g_assert_false(world->link_open);

    publications = world->publications;
    run_until(world, world->now + 4 * S);
    g_assert_cmpuint(world->publications, ==, publications + 1);
    g_assert_cmpuint(world->device.sessions[SESSION_RELEASE], ==, 1);
    g_assert_cmpstr(world->device.detail, ==, "");
    run_until(world, world->now + 60 * S);
    g_assert_cmpuint(failures(world), ==, 0);
    world_free(world);
}

static void check_release_while(World *world)
{
    poller_release(world->poller, 60 * S);
    run_until(world, world->now + 30 * S);
    g_assert_false(world->link_open);
    poller_release(world->poller, 60 * S); /* again: from now on */
    run_until(world, world->now + 50 * S);
    g_assert_false(world->link_open);
    world->board.absent = LINK_FAULT_NONE;
    run_until(world, world->now + 25 * S);
    g_assert_true(device_is_fresh(&world->device, world->now));
    world_free(world);
}

/* It may come at any time. */
static void test_release_any_time(void)
{
    World *world = world_new(NULL);

    check_release_while(world); /* connecting */

    world = world_running();
    world->board.absent = LINK_FAULT_REFUSED;
    plan_down(world, 0, LINK_FAULT_LOST);
    run_until(world, world->now + 100 * S);
    while (world->link_open)
        run_until(world, world->now + S / 10);
    check_release_while(world); /* waiting for the next attempt */

    world = world_running();
    world->board.silent = TRUE;
    run_until(world, world->now + 5 * S + S / 10);
    world->board.silent = FALSE;
    check_release_while(world); /* asking */

    world = world_running();
    poller_release(world->poller, S / 10);
    poller_stop(world->poller);
    run_until(world, world->now + 10 * S);
    g_assert_true(poller_is_stopped(world->poller));
    world_free(world);

    world = world_running();
    poller_release(world->poller, 100 * S);
    run_until(world, world->now + 10 * S);
    poller_stop(world->poller);
    g_assert_true(poller_is_stopped(world->poller));
    world_free(world);
}

static void test_offset(void)
{
    World *world = world_new(&(PollerConfig){.interval_us = 10 * S, .offset_us = 5 * S, .seed = 1});

    g_assert_cmpuint(world->device.polls, ==, 0);
    g_assert_cmpuint(world->opens, ==, 1); /* but it connects at once */
    run_until(world, 1006 * S);
    g_assert_cmpuint(world->device.polls, ==, 1);
    run_until(world, 1106 * S);
    g_assert_cmpuint(world->device.polls, ==, 11);
    g_assert_cmpuint(failures(world), ==, 0);
    world_free(world);
}

static void test_stop(void)
{
    /* opening, asking, resting, closing, waiting */
    static const int64_t moments[] = {S, 16 * S / 10, 5 * S, 605 * S, 0};

    for (gsize i = 0; i < G_N_ELEMENTS(moments); i++) {
        World *world = world_new(NULL);

        if (moments[i] == 0) {
            world->board.absent = LINK_FAULT_NOT_FOUND;
            run_until(world, world->now + 300 * S);
            while (world->link_open)
                run_until(world, world->now + S);
        } else {
            run_until(world, world->now + moments[i]);
        }
        poller_stop(world->poller);
        poller_stop(world->poller);
        run_until(world, world->now + 3 * S);
        g_assert_true(poller_is_stopped(world->poller));
        g_assert_false(world->link_open);

        guint opens = world->opens;

        run_until(world, world->now + 3600 * S);
        poller_wake(world->poller);
        poller_link_events.kick(world->poller);
        g_assert_cmpuint(world->opens, ==, opens);
        world_free(world);
    }
}

static void test_stuck_is_not_moving(void)
{
    World *world = world_new(NULL);

    forget(world, LINK_COMES_UP); /* an open() that is never answered */
    world->device.stage = LINK_CONNECTING;
    for (int i = 0; i < 17; i++) {
        world->now += 10 * S;
        poller_wake(world->poller);
        g_assert_true(poller_is_moving(world->poller));
    }
    world->now += 20 * S;
    poller_wake(world->poller);
    g_assert_false(poller_is_moving(world->poller));
    world->device.stage = LINK_WAITING; /* for its turn: may take long */
    g_assert_true(poller_is_moving(world->poller));
    world->now += 60 * S; /* not woken */
    g_assert_false(poller_is_moving(world->poller));
    world_free(world);
}

/* A day of everything: no wrong reading (checked in host_published), no lost slot in the books,
 * and a way back each time. */
static void test_a_bad_day(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(20261122);
    World *world = world_new(NULL);
    int64_t end = world->now + 86400 * S;

    while (world->now < end) {
        world->board = (Board){.latency = g_rand_int_range(random, 30000, 1700000),
                               .current = -100,
                               .silent = g_rand_int_range(random, 0, 8) == 0,
                               .echo = g_rand_int_range(random, 0, 12) == 0,
                               .corrupt = g_rand_int_range(random, 0, 8) == 0,
                               .doubled = g_rand_boolean(random),
                               .lose_first = g_rand_boolean(random),
                               .absent = g_rand_int_range(random, 0, 6) == 0 ? LINK_FAULT_REFUSED
                                                                             : LINK_FAULT_NONE};
        run_until(world, world->now + g_rand_int_range(random, 1, 200) * S);
        if (world->link_open && g_rand_boolean(random))
            plan_down(world, 0, LINK_FAULT_LOST);
    }
    memset(&world->board, 0, sizeof world->board);
    world->board.latency = 70000;
    run_until(world, world->now + 130 * S);
    g_assert_true(device_is_fresh(&world->device, world->now));
    g_assert_cmpuint(world->device.polls, ==,
                     (guint64)(world->now - 1000 * S) / (guint64)(10 * S) + 1);
    g_assert_cmpuint(world->device.polls, >=, failures(world));
    world_free(world);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/poller/first-readings", test_first_readings);
    g_test_add_func("/poller/grid-and-renewals", test_grid_and_renewals);
    g_test_add_func("/poller/early-renewal", test_renewal_waits_for_an_early_poll);
    g_test_add_func("/poller/no-renewal", test_no_renewal);
    g_test_add_func("/poller/lost-first-command", test_lost_first_command);
    g_test_add_func("/poller/stall", test_stall);
    g_test_add_func("/poller/asks-three-times", test_asks_three_times);
    g_test_add_func("/poller/back-off", test_back_off);
    g_test_add_func("/poller/back-off-counts-attempts", test_back_off_counts_attempts);
    g_test_add_func("/poller/back-off-resets", test_back_off_resets);
    g_test_add_func("/poller/ladder", test_ladder);
    g_test_add_func("/poller/forbidden-rungs", test_forbidden_rungs);
    g_test_add_func("/poller/power-cycle", test_power_cycle_is_waited_for);
    g_test_add_func("/poller/retries", test_retries_are_counted);
    g_test_add_func("/poller/noise", test_noise_is_measured);
    g_test_add_func("/poller/link-loss", test_link_loss);
    g_test_add_func("/poller/adapter-loss", test_adapter_loss);
    g_test_add_func("/poller/doubled-answers", test_doubled_answers);
    g_test_add_func("/poller/late-answers", test_late_answers);
    g_test_add_func("/poller/newest-answer-counts", test_newest_answer_counts);
    g_test_add_func("/poller/corrupt-answers", test_corrupt_answers);
    g_test_add_func("/poller/echo", test_echo);
    g_test_add_func("/poller/refusing-board", test_refusing_board_keeps_its_link);
    g_test_add_func("/poller/malformed-answers", test_malformed_answers_keep_the_link);
    g_test_add_func("/poller/absent-registers", test_absent_registers);
    g_test_add_func("/poller/optional-reads", test_slot_goes_before_optional_reads);
    g_test_add_func("/poller/short-slots", test_optional_reads_in_short_slots);
    g_test_add_func("/poller/missed-slots", test_missed_slots);
    g_test_add_func("/poller/old-answers", test_old_answers_are_left_behind);
    g_test_add_func("/poller/energy/gap", test_energy_never_across_a_gap);
    g_test_add_func("/poller/energy/lost-polls", test_energy_across_lost_polls);
    g_test_add_func("/poller/energy/release", test_energy_across_a_release);
    g_test_add_func("/poller/suspend/old-readings", test_suspend);
    g_test_add_func("/poller/suspend/before-the-answer", test_suspend_before_the_answer);
    g_test_add_func("/poller/suspend/other-events", test_suspend_and_other_events);
    g_test_add_func("/poller/suspend/at-rest", test_suspend_at_rest);
    g_test_add_func("/poller/suspend/accounting", test_suspend_is_accounted_for);
    g_test_add_func("/poller/suspend/what-lasts", test_suspend_ends_what_lasts);
    g_test_add_func("/poller/turns", test_turns);
    g_test_add_func("/poller/turns-from-now-on", test_turns_from_now_on);
    g_test_add_func("/poller/turns-end", test_turns_end);
    g_test_add_func("/poller/turns-end-at-any-time", test_turns_end_at_any_time);
    g_test_add_func("/poller/turns-absent", test_turns_with_an_absent_device);
    g_test_add_func("/poller/release", test_release);
    g_test_add_func("/poller/release-any-time", test_release_any_time);
    g_test_add_func("/poller/offset", test_offset);
    g_test_add_func("/poller/stop", test_stop);
    g_test_add_func("/poller/stuck", test_stuck_is_not_moving);
    g_test_add_func("/poller/a-bad-day", test_a_bad_day);
    return g_test_run();
}
