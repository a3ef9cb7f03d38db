/* SPDX-License-Identifier: MIT */
/*
 * Boards that answer late, in pieces, irregularly or not always, with a made-up clock.
 *
 * The board answers in order. It measures when a question reaches it and numbers its answers: the
 * number of an answer to 03 is its current, that of one to 04 its first cell. So each published
 * value tells when it was measured, and no value may ever be published that was measured before the
 * slot began whose poll it counts for.
 */
#include "jbd/board.h"
#include "poller.h"

#include <glib.h>
#include <string.h>

#define S        INT64_C(1000000)
#define MS       INT64_C(1000)
#define BEGIN    (1000 * S)
#define LATENESS 5000 /* of the main loop */

enum { MAX_ANSWERS = 20000, WARM_UP = 4 };

typedef struct {
    gint64 latency;
    gint64 jitter;      /* up to so much is added */
    gint64 piece_gap;   /* between pieces of 10 bytes; 0: in one piece */
    guint lose_percent; /* of the questions */
    gboolean serial;    /* begins with a question when the one before is answered */
    gboolean lose_first;
    gboolean silent;
} Board;

typedef enum { COMES_UP, COMES_DOWN, CHUNK } What;

typedef struct {
    gint64 at;
    What what;
    guint8 data[64];
    gsize size;
} Event;

typedef struct {
    gint64 now;
    gint64 wake_at;
    gint64 interval;
    GQueue events;
    GRand *random;
    Device device;
    Poller *poller;
    Board board;
    gint64 free_at; /* when the board has sent its latest answer */
    gboolean up;
    gboolean fresh_link;
    gint64 measured_at[MAX_ANSWERS];
    guint answers;
    /* what was seen */
    guint questions; /* for 03 and 04 */
    guint keys;
    guint opens;
    guint afresh;
    guint publications;
    gboolean faults[LINK_N_FAULTS];
} World;

/* What is planned later for the same time comes after the rest. */
static gint by_time(gconstpointer planned, gconstpointer event, gpointer unused)
{
    (void)unused;
    return ((const Event *)planned)->at <= ((const Event *)event)->at ? -1 : 1;
}

static Event *plan(World *world, gint64 at, What what)
{
    Event *event = g_new0(Event, 1);

    event->at = at;
    event->what = what;
    g_queue_insert_sorted(&world->events, event, by_time, NULL);
    return event;
}

static gsize encode(guint8 *frame, guint8 reg, const guint8 *data, gsize size)
{
    guint sum = (guint)size;

    frame[0] = 0xDD;
    frame[1] = reg;
    frame[2] = 0;
    frame[3] = (guint8)size;
    for (gsize i = 0; i < size; i++) {
        frame[4 + i] = data[i];
        sum += data[i];
    }
    sum = 0x10000 - sum;
    frame[4 + size] = (guint8)(sum >> 8);
    frame[5 + size] = (guint8)sum;
    frame[6 + size] = 0x77;
    return size + 7;
}

static gsize make_answer(World *world, guint8 reg, guint8 *frame)
{
    const guint8 high = (guint8)(world->answers >> 8);
    const guint8 low = (guint8)world->answers;
    const guint8 basic[23] = {0x0A, 0x00, high, low, 0x13, 0x88, 0x27, 0x10, [19] = 50, 3, 4};
    const guint8 cells[8] = {high, low, 0x19, 0x01, 0x19, 0x02, 0x19, 0x03};
    static const guint8 counters[22];

    if (reg == 0x03)
        return encode(frame, reg, basic, sizeof basic);
    if (reg == 0x04)
        return encode(frame, reg, cells, sizeof cells);
    if (reg == 0x05)
        return encode(frame, reg, (const guint8 *)"JBD-TEST", 8);
    return encode(frame, reg, counters, sizeof counters);
}

static void send_pieces(World *world, gint64 at, const guint8 *frame, gsize size)
{
    gsize length = world->board.piece_gap > 0 ? 10 : size;

    for (gsize done = 0; done < size; done += length) {
        Event *event = plan(world, at, CHUNK);

        event->size = MIN(length, size - done);
        memcpy(event->data, frame + done, event->size);
        world->free_at = at;
        at += world->board.piece_gap;
    }
}

static void take_question(World *world, guint8 reg)
{
    const Board *board = &world->board;
    gint64 begins = board->serial ? MAX(world->now, world->free_at) : world->now;
    gint64 at = begins + board->latency;
    guint8 frame[64];

    if (board->jitter > 0)
        at += g_rand_int_range(world->random, 0, (gint32)board->jitter);
    if (board->silent || (guint)g_rand_int_range(world->random, 0, 100) < board->lose_percent ||
        (board->lose_first && world->fresh_link)) {
        world->fresh_link = FALSE;
        return;
    }
    world->fresh_link = FALSE;
    world->answers++;
    g_assert_cmpuint(world->answers, <, MAX_ANSWERS);
    world->measured_at[world->answers] = world->now;
    send_pieces(world, MAX(at, world->free_at), frame, make_answer(world, reg, frame));
}

static void link_write(void *user, const uint8_t *data, size_t size)
{
    World *world = user;

    (void)size;
    if (data[0] == 0xFF) {
        world->keys++;
        return;
    }
    world->questions += data[2] == 0x03 || data[2] == 0x04;
    if (world->up)
        take_question(world, data[2]);
}

static void link_open(void *user, bool afresh)
{
    World *world = user;

    world->opens++;
    world->afresh += afresh;
    plan(world, world->now + S, COMES_UP);
}

static void link_close(void *user)
{
    World *world = user;

    g_queue_clear_full(&world->events, g_free);
    plan(world, world->now + S, COMES_DOWN);
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

static void check_measured(const World *world, guint number)
{
    gint64 slot = BEGIN + (world->now - BEGIN) / world->interval * world->interval;

    g_assert_cmpuint(number, >, 0);
    g_assert_cmpuint(number, <=, world->answers);
    g_assert_cmpint(world->measured_at[number], >=, slot);
}

static void host_published(void *host)
{
    World *world = host;

    world->publications++;
    check_measured(world, (guint16)(jbd_state(&world->device)->basic.current_ma / 10));
    check_measured(world, jbd_state(&world->device)->cells.mv[0]);
}

static void host_fault(void *host)
{
    World *world = host;

    world->faults[world->device.fault] = TRUE;
}

static void host_changed(void *host)
{
    (void)host;
}

static bool host_recover(void *host, RecoveryAction action)
{
    (void)host;
    return action == RECOVERY_TELL;
}

static const PollerHost host_ops = {.now = host_now,
                                    .boot_time = host_now,
                                    .wake_at = host_wake_at,
                                    .published = host_published,
                                    .fault = host_fault,
                                    .changed = host_changed,
                                    .recover = host_recover};

static void happen(World *world, const Event *event)
{
    const LinkEvents *events = &poller_link_events;

    switch (event->what) {
    case COMES_UP:
        world->up = TRUE;
        world->fresh_link = TRUE;
        world->free_at = 0;
        events->stage(world->poller, LINK_UP);
        events->up(world->poller);
        break;
    case COMES_DOWN:
        world->up = FALSE;
        events->down(world->poller, LINK_FAULT_NONE, NULL);
        break;
    case CHUNK:
        if (world->up)
            events->chunk(world->poller, event->data, event->size);
        break;
    }
}

static void run_until(World *world, gint64 until)
{
    for (;;) {
        const Event *first = g_queue_peek_head(&world->events);
        gint64 next = MIN(first ? first->at : G_MAXINT64, world->wake_at);

        if (next > until)
            break;
        world->now = MAX(world->now, next);
        if (first && first->at <= world->now) {
            g_autofree Event *event = g_queue_pop_head(&world->events);

            happen(world, event);
        } else {
            world->now += LATENESS;
            poller_wake(world->poller);
        }
    }
    world->now = MAX(world->now, until);
}

static void run_polls(World *world, guint polls)
{
    gint64 slot = (world->now - BEGIN + 1) / world->interval; /* which begins now, or began */

    run_until(world, BEGIN + (slot + polls) * world->interval - 1);
}

static World *world_new(gint64 interval, Board board)
{
    const PollerConfig config = {.interval_us = interval, .seed = 1};
    World *world = g_new0(World, 1);

    g_queue_init(&world->events);
    world->random = g_rand_new_with_seed(20261125);
    world->now = BEGIN;
    world->interval = interval;
    world->board = board;
    device_init(&world->device, &jbd_kind, "A4:C1:38:00:00:01", NULL, interval);
    world->poller = poller_new(&config, &world->device, &host_ops, world);
    poller_set_link(world->poller, &link_ops, world);
    poller_start(world->poller);
    return world;
}

static void world_free(World *world)
{
    g_queue_clear_full(&world->events, g_free);
    g_rand_free(world->random);
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

static guint64 frame_errors(const World *world)
{
    guint64 sum = 0;

    for (int i = 0; i < JBD_N_ERRORS; i++)
        sum += world->device.frame_errors[i];
    return sum;
}

/* However slow it is, the link is kept, and nothing is done against a fault that it does not have.
 */
static void check_left_alone(const World *world)
{
    g_assert_cmpuint(world->opens, ==, 1);
    g_assert_cmpuint(world->afresh, ==, 0);
    g_assert_cmpuint(world->keys, ==, 0);
    g_assert_cmpuint(frame_errors(world), ==, 0);
    g_assert_false(world->faults[LINK_FAULT_SILENT]);
    g_assert_false(world->faults[LINK_FAULT_NOISE]);
    g_assert_cmpuint(world->device.recoveries[RECOVERY_RECONNECT], ==, 0);
}

/* ---- steady boards --------------------------------------------------------------------------- */

static const gint64 latencies[] = {50 * MS, 350 * MS, 620 * MS, 1250 * MS, 1600 * MS, 3000 * MS};
static const gint64 intervals[] = {500 * MS, 2 * S, 10 * S};

/* Up to 0.3 s are lost to a first question that is not answered. */
static gboolean fits(gint64 latency, gint64 interval)
{
    return 2 * latency < interval;
}

static void check_read(World *world)
{
    guint questions;

    /* It may take some polls to learn how slow it is, and the link comes up in the first. */
    run_polls(world, WARM_UP + (guint)(4 * S / world->interval));
    world->device.poll_failures[POLL_FAILURE_TIMEOUT] = 0;
    world->device.poll_failures[POLL_FAILURE_NOT_CONNECTED] = 0;
    questions = world->questions;
    run_polls(world, 60);
    g_assert_cmpuint(failures(world), ==, 0);
    g_assert_cmpuint(world->questions - questions, <=, 122);
    g_assert_cmpint(world->device.fault, ==, LINK_FAULT_NONE);
    g_assert_false(world->faults[LINK_FAULT_SLOW]);
    check_left_alone(world);
}

static void check_too_slow(World *world)
{
    g_autofree char *time = g_strdup_printf("answers take longer than the poll interval allows: "
                                            "%.1f s each",
                                            (double)world->board.latency / 1e6);

    run_polls(world, 60);
    g_assert_cmpuint(world->publications, <=, 2); /* asked at once, while it was not known */
    g_assert_cmpint(world->device.fault, ==, LINK_FAULT_SLOW);
    if (!world->board.serial)
        g_assert_nonnull(strstr(world->device.detail, time));
    g_assert_cmpuint(world->questions, <=, 130);
    g_assert_cmpuint(world->device.poll_failures[POLL_FAILURE_TIMEOUT], >=, 55);
    check_left_alone(world);
    /* And it is read as soon as it can be. */
    world->board.latency = 50 * MS;
    run_polls(world, 4 + (guint)(6 * S / world->interval));
    g_assert_cmpuint(world->publications, >=, 4);
    g_assert_cmpint(world->device.fault, ==, LINK_FAULT_NONE);
}

static void test_steady(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(latencies) * G_N_ELEMENTS(intervals) * 4; i++) {
        gint64 latency = latencies[i / 4 % G_N_ELEMENTS(latencies)];
        gint64 interval = intervals[i / 4 / G_N_ELEMENTS(latencies)];
        World *world = world_new(
            interval,
            (Board){.latency = latency, .serial = (i & 1) != 0, .lose_first = (i & 2) != 0});

        g_test_message("latency %.2f s, interval %.1f s, serial %u, lose-first %u",
                       (double)latency / 1e6, (double)interval / 1e6, i & 1, i >> 1 & 1);
        if (fits(latency, interval))
            check_read(world);
        else
            check_too_slow(world);
        world_free(world);
    }
}

/* The answers of a quick board that becomes slow are waited for, and those of one that becomes
 * quick again are not waited for as long. */
static void test_changes(void)
{
    World *world = world_new(10 * S, (Board){.latency = 70 * MS});
    guint questions;

    run_polls(world, 20);
    for (guint i = 0; i < G_N_ELEMENTS(latencies); i++) {
        world->board.latency = latencies[i];
        run_polls(world, 10);
    }
    world->board.latency = 70 * MS;
    run_polls(world, 30);
    g_assert_cmpuint(failures(world), ==, 0);
    check_left_alone(world);

    /* The answer to the first question is lost: it is soon asked again. */
    questions = world->questions;
    world->board.lose_percent = 100;
    run_until(world, world->now + 100 * MS);
    world->board.lose_percent = 0;
    run_until(world, world->now + S);
    g_assert_cmpuint(world->publications, ==, 111);
    g_assert_cmpuint(world->questions - questions, ==, 3);
    world_free(world);
}

/* ---- boards that are not steady -------------------------------------------------------------- */

static void test_pieces(void)
{
    for (guint i = 0; i < 4; i++) {
        gint64 interval = i & 1 ? 10 * S : 2 * S;
        World *world = world_new(
            interval, (Board){.latency = 50 * MS, .piece_gap = 250 * MS, .serial = (i & 2) != 0});

        check_read(world);
        world_free(world);
    }
}

/* Nine out of ten answers come, and at different times. */
static void test_losses(void)
{
    static const struct {
        gint64 interval, latency, jitter;
        guint lost; /* polls out of a thousand, at most */
    } cases[] = {
        {2 * S, 50 * MS, 0, 15},           {2 * S, 50 * MS, 300 * MS, 30},
        {10 * S, 620 * MS, 0, 10},         {10 * S, 200 * MS, 1400 * MS, 20},
        {10 * S, 1600 * MS, 300 * MS, 20}, {2 * S, 620 * MS, 0, 250},
    };

    for (guint i = 0; i < 2 * G_N_ELEMENTS(cases); i++) {
        const guint n = i / 2;
        World *world = world_new(cases[n].interval, (Board){.latency = cases[n].latency,
                                                            .jitter = cases[n].jitter,
                                                            .lose_percent = 10,
                                                            .serial = (i & 1) != 0});

        run_polls(world, 1000);
        g_test_message("case %u serial %u: %" G_GUINT64_FORMAT " lost, %u questions, %u links", n,
                       i & 1, failures(world), world->questions, world->opens);
        g_assert_cmpuint(failures(world), <=, cases[n].lost);
        g_assert_cmpuint(world->questions, <=, 2300);
        g_assert_cmpuint(world->keys, ==, 0);
        g_assert_cmpuint(frame_errors(world), ==, 0);
        world_free(world);
    }
}

/* Whatever a board does, nothing old is published (checked in host_published), and once it is quick
 * again it is read again. */
static void test_anything(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(6298);

    for (guint i = 0; i < 200; i++) {
        gint64 interval = intervals[g_rand_int_range(random, 0, G_N_ELEMENTS(intervals))];
        World *world = world_new(interval, (Board){.latency = 50 * MS});

        for (guint j = 0; j < 20; j++) {
            world->board =
                (Board){.latency = g_rand_int_range(random, 30 * MS, 4 * S),
                        .jitter = g_rand_boolean(random) ? g_rand_int_range(random, 1, 3 * S) : 0,
                        .piece_gap = g_rand_boolean(random) ? g_rand_int_range(random, 1, S) : 0,
                        .lose_percent = (guint)g_rand_int_range(random, 0, 60),
                        .serial = g_rand_boolean(random),
                        .silent = g_rand_int_range(random, 0, 8) == 0};
            run_until(world, world->now + g_rand_int_range(random, 1, 30) * S);
        }
        world->board = (Board){.latency = 50 * MS};
        run_until(world, world->now + 60 * S);
        g_assert_true(device_is_fresh(&world->device, world->now));
        world_free(world);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/slow/steady", test_steady);
    g_test_add_func("/slow/changes", test_changes);
    g_test_add_func("/slow/pieces", test_pieces);
    g_test_add_func("/slow/losses", test_losses);
    g_test_add_func("/slow/anything", test_anything);
    return g_test_run();
}
