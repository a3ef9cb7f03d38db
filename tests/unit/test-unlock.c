/* SPDX-License-Identifier: MIT */
/*
 * The password handshake as the poller does it, with a made-up clock and a made-up module that
 * stands between it and the board.
 */
#include "jbd/board.h"
#include "poller.h"

#include <glib.h>
#include <string.h>

#define S        INT64_C(1000000)
#define LATENESS 20000

static const guint8 address[6] = {0xA4, 0xC1, 0x38, 0x00, 0x00, 0x01};

/* What the module does with FF AA. */
typedef enum {
    KNOWS_NONE,  /* an older one: is silent */
    SENDS_BACK,  /* and everything else too: it wants to be paired */
    REFUSES_KEY, /* of the app */
    KNOWS_ALL,
} Knows;

typedef struct {
    Knows knows;
    const char *password; /* NULL: none is set */
    gboolean lose_first;  /* the first command of each session */
    gboolean silent;      /* whatever is asked */
    gboolean echoes_steps_first;
    guint lose_random;   /* answers to that step that get lost */
    guint lose_password; /* and to that one */
    gint64 latency;
    gint64 read_latency;
    gboolean can_pair;
    const char *says;  /* whatever it is sent, in 4 bytes; NULL for nothing */
    gint64 drop_after; /* of a link on which it was not unlocked; 0 for never */
} Module;

typedef enum { COMES_UP, COMES_DOWN, IS_DROPPED, CHUNK } WhatNext;

typedef struct {
    gint64 at;
    WhatNext what;
    guint8 data[64];
    gsize size;
} Event;

typedef struct {
    gint64 now;
    gint64 wake_at;
    GQueue events;
    Device device;
    Poller *poller;
    Module module;
    gboolean up;
    gboolean unlocked;
    guint commands; /* in this session */
    guint8 random;
    /* what was seen */
    guint keys, randoms, passwords, wrong_passwords, reads, opens, pairings;
    guint told[LINK_N_FAULTS];
} World;

static gint by_time(gconstpointer a, gconstpointer b, gpointer unused)
{
    (void)unused;
    return ((const Event *)a)->at < ((const Event *)b)->at ? -1 : 1;
}

static Event *plan(World *world, gint64 delay, WhatNext what)
{
    Event *event = g_new0(Event, 1);

    event->at = world->now + delay;
    event->what = what;
    g_queue_insert_sorted(&world->events, event, by_time, NULL);
    return event;
}

static void say(World *world, gint64 delay, const guint8 *data, gsize size)
{
    Event *event = plan(world, delay, CHUNK);

    memcpy(event->data, data, size);
    event->size = size;
}

static void answer_step(World *world, guint8 step, guint8 value)
{
    const guint8 frame[] = {0xFF, 0xAA, step, 1, value, (guint8)(step + 1 + value)};

    say(world, world->module.latency, frame, sizeof frame);
}

/* Written from the protocol's description, not from the code under test. */
static gboolean is_right(const World *world, const guint8 *mixed)
{
    for (int i = 0; i < 6; i++)
        if ((guint8)(mixed[i] - world->random) != (address[i] ^ (guint8)world->module.password[i]))
            return FALSE;
    return TRUE;
}

static void take_password(World *world, const guint8 *mixed)
{
    gboolean right = world->module.password && is_right(world, mixed);

    world->passwords++;
    world->wrong_passwords += !right;
    world->unlocked |= right;
    if (world->module.lose_password > 0)
        world->module.lose_password--;
    else
        answer_step(world, 0x18, right ? 0 : 1);
}

static void take_step(World *world, const guint8 *data, gsize size)
{
    guint8 sum = 0;

    for (gsize i = 2; i + 1 < size; i++)
        sum = (guint8)(sum + data[i]);
    g_assert_cmphex(sum, ==, data[size - 1]);
    g_assert_cmpuint(data[3] + 5u, ==, size);
    if (world->module.echoes_steps_first)
        say(world, world->module.latency / 2, data, size);
    if (data[2] == 0x15) {
        world->keys++;
        g_assert_true(memcmp(data + 4, "000000", 6) == 0);
        answer_step(world, 0x15,
                    world->module.knows == REFUSES_KEY ? 1
                    : world->module.password           ? 0
                                                       : 2);
    } else if (data[2] == 0x17) {
        world->randoms++;
        world->random = (guint8)(0xDD + world->randoms * 17);
        if (world->module.lose_random > 0)
            world->module.lose_random--;
        else
            answer_step(world, 0x17, world->random);
    } else {
        g_assert_cmphex(data[2], ==, 0x18);
        take_password(world, data + 4);
    }
}

static void take_read(World *world, guint8 reg)
{
    static const guint8 basic[] = {0xDD, 0x03, 0x00, 0x17, 0x0A, 0x00, 0x00, 0x00, 0x13, 0x88,
                                   0x27, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                                   0x00, 0x00, 0x00, 0x32, 0x03, 0x04, 0x00, 0xFE, 0xD4, 0x77};
    static const guint8 cells[] = {0xDD, 0x04, 0x00, 0x02, 0x0C, 0x80, 0xFF, 0x72, 0x77};

    world->reads++;
    if (world->module.password && !world->unlocked)
        return;
    if (reg == 0x03)
        say(world, world->module.read_latency, basic, sizeof basic);
    else if (reg == 0x04)
        say(world, world->module.read_latency, cells, sizeof cells);
}

static void link_write(void *user, const uint8_t *data, size_t size)
{
    World *world = user;
    gboolean lost = world->commands++ == 0 && world->module.lose_first;
    gboolean is_step = data[0] == 0xFF && data[1] == 0xAA;

    if (!is_step) {
        g_assert_cmpuint(size, ==, 7);
        g_assert_true(data[0] == 0xDD && data[1] == 0xA5);
    }
    if (world->module.says)
        say(world, world->module.latency, (const guint8 *)world->module.says, 4);
    if (lost || world->module.silent)
        return;
    if (world->module.knows == SENDS_BACK) {
        world->keys += is_step ? 1 : 0;
        say(world, world->module.latency, data, size);
    } else if (!is_step) {
        take_read(world, data[2]);
    } else if (world->module.knows != KNOWS_NONE) {
        take_step(world, data, size);
    } else {
        world->keys++;
    }
}

static void plan_down(World *world)
{
    g_queue_clear_full(&world->events, g_free);
    plan(world, S, COMES_DOWN);
}

static void link_open(void *user, bool afresh)
{
    World *world = user;

    (void)afresh;
    world->opens++;
    plan(world, S, COMES_UP);
}

static void link_close(void *user)
{
    plan_down(user);
}

static LinkFault link_pair(void *user)
{
    World *world = user;

    if (!world->module.can_pair)
        return LINK_FAULT_PAIRING_WANTED;
    world->pairings++;
    world->module.knows = KNOWS_NONE; /* and lets everything through, on the next link */
    return LINK_FAULT_NONE;
}

static const LinkOps link_ops = {
    .open = link_open, .write = link_write, .close = link_close, .pair = link_pair};

static int64_t host_now(void *host)
{
    return ((World *)host)->now;
}

static void host_wake_at(void *host, int64_t when)
{
    ((World *)host)->wake_at = when;
}

static void host_fault(void *host)
{
    World *world = host;

    world->told[world->device.fault]++;
}

static void host_nothing(void *host)
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
                                    .published = host_nothing,
                                    .fault = host_fault,
                                    .recover = host_recover,
                                    .changed = host_nothing};

static void happen(World *world, const Event *event)
{
    const LinkEvents *events = &poller_link_events;

    if (event->what == COMES_UP) {
        world->up = TRUE;
        world->unlocked = FALSE;
        world->commands = 0;
        events->stage(world->poller, LINK_UP);
        events->up(world->poller);
        if (world->module.drop_after > 0)
            plan(world, world->module.drop_after, IS_DROPPED);
    } else if (event->what == IS_DROPPED) {
        world->up = FALSE;
        events->down(world->poller, LINK_FAULT_LOST, "the connection broke");
    } else if (event->what == COMES_DOWN) {
        world->up = FALSE;
        events->down(world->poller, LINK_FAULT_NONE, NULL);
    } else if (world->up) {
        events->chunk(world->poller, event->data, event->size);
    }
}

static void run(World *world, gint64 time)
{
    const gint64 until = world->now + time;

    for (;;) {
        g_autofree Event *event = NULL;
        const Event *first = g_queue_peek_head(&world->events);
        gint64 next = MIN(first ? first->at : INT64_MAX, world->wake_at);

        if (next > until)
            break;
        world->now = MAX(world->now, next);
        if (first && first->at <= world->now) {
            event = g_queue_pop_head(&world->events);
            happen(world, event);
        } else {
            world->now += LATENESS;
            poller_wake(world->poller);
        }
        g_assert_true(poller_is_moving(world->poller));
    }
    world->now = until;
}

static World *world_new(Knows knows, const char *set, const char *given)
{
    const PollerConfig config = {.interval_us = 10 * S, .renew_us = 600 * S, .seed = 1};
    World *world = g_new0(World, 1);

    g_queue_init(&world->events);
    world->now = 1000 * S;
    world->module = (Module){.knows = knows,
                             .password = set,
                             .latency = 30000,
                             .read_latency = 70000,
                             .lose_first = TRUE};
    device_init(&world->device, &jbd_kind, "A4:C1:38:00:00:01", "house", config.interval_us);
    world->poller = poller_new(&config, &world->device, &host_ops, world);
    poller_set_link(world->poller, &link_ops, world);
    poller_set_password(world->poller, (const uint8_t *)given);
    poller_start(world->poller);
    return world;
}

static void world_free(World *world)
{
    g_queue_clear_full(&world->events, g_free);
    poller_free(world->poller);
    g_free(world);
}

static gboolean is_read(const World *world)
{
    return device_is_fresh(&world->device, world->now) && world->device.fault == LINK_FAULT_NONE;
}

static guint64 failures(const World *world)
{
    guint64 sum = 0;

    for (int i = 0; i < POLL_N_FAILURES; i++)
        sum += world->device.poll_failures[i];
    return sum;
}

/* ---- a password is set and given ------------------------------------------------------------- */

static void test_unlocks(void)
{
    World *world = world_new(KNOWS_ALL, "123456", "123456");

    run(world, 3 * S);
    g_assert_true(is_read(world));
    g_assert_cmpuint(world->passwords, ==, 1);
    g_assert_cmpuint(world->keys, ==, 1); /* and one that was lost */
    /* Every sound answer is counted, once: three steps and two reads. */
    g_assert_cmpuint(world->device.frames, ==, 5);
    for (int error = 0; error < JBD_N_ERRORS; error++)
        g_assert_cmpuint(world->device.frame_errors[error], ==, 0);
    g_assert_cmpuint(world->told[LINK_FAULT_SILENT], ==, 0);
    world_free(world);
}

/* Each session begins with it, and no poll is lost by that. */
static void test_each_session(void)
{
    World *world = world_new(KNOWS_ALL, "123456", "123456");

    run(world, 3700 * S);
    g_assert_cmpuint(world->opens, ==, 7);
    g_assert_cmpuint(world->passwords, ==, 7);
    g_assert_cmpuint(world->wrong_passwords, ==, 0);
    g_assert_cmpuint(failures(world), ==, 0);
    world_free(world);
}

static void test_echo_before_answers(void)
{
    World *world = world_new(KNOWS_ALL, "123456", "123456");

    world->module.echoes_steps_first = TRUE;
    run(world, 5 * S);
    g_assert_true(is_read(world));
    g_assert_cmpuint(world->pairings, ==, 0);
    world_free(world);
}

/* The key is asked for twice, and its second answer comes when something else was asked. */
static void test_slow_answers(void)
{
    World *world = world_new(KNOWS_ALL, "123456", "123456");

    world->module.lose_first = FALSE;
    world->module.latency = 7 * S / 10;
    run(world, 20 * S);
    g_assert_true(is_read(world));
    g_assert_cmpuint(world->keys, ==, 2);
    g_assert_cmpuint(world->passwords, ==, 1);
    g_assert_cmpuint(world->wrong_passwords, ==, 0);
    world_free(world);
}

/* Each step takes its time, before a module that is not unlocked drops the link. */
static void test_very_slow_answers(void)
{
    static const gint64 latencies[] = {16 * S / 10, 3 * S};

    for (guint i = 0; i < G_N_ELEMENTS(latencies); i++) {
        World *world = world_new(KNOWS_ALL, "123456", "123456");

        world->module.latency = latencies[i];
        world->module.drop_after = 12 * S;
        run(world, 11 * S);
        g_assert_true(is_read(world));
        g_assert_cmpuint(world->opens, ==, 1);
        g_assert_cmpuint(world->passwords, ==, 1);
        g_assert_cmpuint(world->wrong_passwords, ==, 0);
        world_free(world);
    }
}

/* With two random bytes on the way a right password could be refused: one is asked for. */
static void test_lost_random(void)
{
    World *world = world_new(KNOWS_ALL, "123456", "123456");

    world->module.lose_random = 1;
    run(world, 15 * S);
    g_assert_true(is_read(world));
    g_assert_cmpuint(world->randoms, ==, 2);
    g_assert_cmpuint(world->opens, ==, 2);
    g_assert_cmpuint(world->wrong_passwords, ==, 0);
    world_free(world);
}

/* Whether the password was taken is seen by reading. */
static void test_lost_verdict(void)
{
    World *world = world_new(KNOWS_ALL, "123456", "123456");

    world->module.lose_password = 1;
    run(world, 10 * S);
    g_assert_true(is_read(world));
    g_assert_cmpuint(world->passwords, ==, 1);
    g_assert_cmpuint(world->opens, ==, 1);
    world_free(world);
}

/* ---- refused --------------------------------------------------------------------------------- */

static void test_wrong_is_not_hammered(void)
{
    World *world = world_new(KNOWS_ALL, "123456", "654321");

    run(world, 3500 * S);
    g_assert_cmpuint(world->passwords, ==, 1);
    g_assert_cmpuint(world->opens, >=, 50); /* but it goes on looking */
    g_assert_cmpint(world->device.fault, ==, LINK_FAULT_PASSWORD_WRONG);
    g_assert_null(strstr(world->device.detail, "654321"));
    g_assert_cmpuint(world->told[LINK_FAULT_SILENT], ==, 0);
    g_assert_cmpuint(world->told[LINK_FAULT_PASSWORD_WANTED], ==, 0);
    run(world, 200 * S);
    g_assert_cmpuint(world->passwords, ==, 2); /* an hour later */
    world_free(world);
}

static void test_never_answered_is_not_hammered(void)
{
    World *world = world_new(KNOWS_ALL, "123456", "654321");

    world->module.lose_password = 1000;
    run(world, 3500 * S);
    g_assert_cmpuint(world->passwords, ==, 3);
    world_free(world);
}

static void test_another_password(void)
{
    World *world = world_new(KNOWS_ALL, "123456", "654321");

    run(world, 600 * S);
    poller_set_password(world->poller, (const uint8_t *)"123456");
    poller_link_events.kick(world->poller);
    run(world, 20 * S);
    g_assert_true(is_read(world));
    g_assert_cmpuint(world->passwords, ==, 2);
    world_free(world);
}

/* The owner takes the password away: that is seen at the next look, password or not. */
static void test_password_removed(void)
{
    World *world = world_new(KNOWS_ALL, "123456", "654321");

    run(world, 600 * S);
    world->module.password = NULL;
    run(world, 70 * S);
    g_assert_true(is_read(world));
    g_assert_cmpuint(world->passwords, ==, 1);
    world_free(world);
}

/* ---- none is given --------------------------------------------------------------------------- */

static void test_wanted(void)
{
    World *world = world_new(KNOWS_ALL, "123456", NULL);

    run(world, 300 * S);
    g_assert_cmpint(world->device.fault, ==, LINK_FAULT_PASSWORD_WANTED);
    g_assert_cmpuint(world->told[LINK_FAULT_SILENT], ==, 0);
    g_assert_cmpuint(world->passwords, ==, 0);
    g_assert_cmpuint(world->keys, ==, world->told[LINK_FAULT_PASSWORD_WANTED]);
    poller_set_password(world->poller, (const uint8_t *)"123456");
    run(world, 70 * S);
    g_assert_true(is_read(world));
    world_free(world);
}

static void test_key_refused(void)
{
    World *world = world_new(REFUSES_KEY, "123456", "123456");

    run(world, 100 * S);
    g_assert_cmpint(world->device.fault, ==, LINK_FAULT_PASSWORD_WANTED);
    g_assert_cmpuint(world->passwords, ==, 0);
    world_free(world);
}

/* It drops the link while it is asked whether it wants one, and knows no such question. */
static void test_dropped(void)
{
    World *world = world_new(KNOWS_NONE, "123456", NULL);

    world->module.drop_after = 3 * S;
    run(world, 100 * S);
    g_assert_cmpint(world->device.fault, ==, LINK_FAULT_SILENT);
    g_assert_cmpuint(world->told[LINK_FAULT_LOST], ==, 0);
    world_free(world);
}

/* ---- none is wanted -------------------------------------------------------------------------- */

/* A board that answers is never asked. */
static void test_plain_board(void)
{
    World *world = world_new(KNOWS_ALL, NULL, NULL);

    run(world, 3700 * S);
    g_assert_cmpuint(world->keys, ==, 0);
    g_assert_cmpuint(failures(world), ==, 0);
    world_free(world);
}

/* One password for all batteries, of which this one needs none. */
static void test_not_needed(void)
{
    World *world = world_new(KNOWS_ALL, NULL, "123456");

    run(world, 3700 * S);
    g_assert_cmpuint(world->keys, ==, 1);
    g_assert_cmpuint(world->passwords, ==, 0);
    g_assert_cmpuint(failures(world), ==, 0);

    /* Until its owner sets one. */
    world->module.password = "123456";
    run(world, 700 * S);
    g_assert_true(is_read(world));
    g_assert_cmpuint(world->passwords, >=, 1);
    world_free(world);
}

static void test_old_module(void)
{
    World *world = world_new(KNOWS_NONE, NULL, "123456");

    run(world, 3700 * S);
    g_assert_cmpuint(world->keys, <=, 3);
    g_assert_cmpuint(failures(world), ==, 0);
    world_free(world);
}

static void test_silent(void)
{
    World *world = world_new(KNOWS_ALL, NULL, "123456");

    world->module.silent = TRUE;
    run(world, 300 * S);
    g_assert_cmpint(world->device.fault, ==, LINK_FAULT_SILENT);
    g_assert_cmpuint(world->told[LINK_FAULT_SILENT], >=, 4);
    world->module.silent = FALSE;
    run(world, 70 * S);
    g_assert_true(is_read(world));
    world_free(world);
}

/* A board of another make is known by what it says, and not asked for a password. */
static void test_foreign(void)
{
    World *world = world_new(KNOWS_ALL, NULL, NULL);

    world->module.silent = TRUE;
    world->module.says = "\xD2\x03\x7C\x10";
    run(world, 100 * S);
    g_assert_cmpint(world->device.fault, ==, LINK_FAULT_FOREIGN);
    g_assert_nonnull(strstr(world->device.detail, "Daly"));
    g_assert_cmpuint(world->told[LINK_FAULT_SILENT], ==, 0);
    g_assert_cmpuint(world->keys, ==, 0);
    /* Once it has spoken as a JBD board does, what else it says is noise. */
    world->module.silent = FALSE;
    run(world, 70 * S);
    g_assert_true(is_read(world));
    world->module.silent = TRUE;
    run(world, 8 * S);
    world->module.silent = FALSE;
    g_assert_cmpint(world->device.fault, ==, LINK_FAULT_SILENT);
    world_free(world);
}

/* A link that stalls is no locked board: it is closed at once, not asked for a password. */
static void test_stall(void)
{
    World *world = world_new(KNOWS_ALL, NULL, NULL);

    run(world, 25 * S);
    world->module.silent = TRUE;
    run(world, 10 * S);
    g_assert_cmpint(world->device.fault, ==, LINK_FAULT_SILENT);
    world->module.silent = FALSE;
    run(world, 10 * S);
    g_assert_true(is_read(world));
    g_assert_cmpuint(world->keys, ==, 0);
    world_free(world);
}

/* Reads that are answered too late show that no password is wanted. */
static void test_late_reads(void)
{
    World *world = world_new(KNOWS_ALL, NULL, NULL);

    world->module.read_latency = 31 * S / 10;
    run(world, 20 * S);
    g_assert_cmpuint(world->told[LINK_FAULT_PASSWORD_WANTED], ==, 0);
    g_assert_cmpuint(world->keys, ==, 0);
    g_assert_true(is_read(world));
    world->module.read_latency = 70000;
    run(world, 70 * S);
    g_assert_true(is_read(world));
    world_free(world);
}

/* One that comes when the key is asked for is counted, and the board is read again at once. */
static void test_read_while_unlocking(void)
{
    World *world = world_new(KNOWS_ALL, NULL, NULL);
    guint64 frames;

    world->module.read_latency = 45 * S / 10;
    run(world, 5 * S + S / 4);
    g_assert_cmpuint(world->device.frames, ==, 1); /* that to the key: none is needed */
    world_free(world);

    world = world_new(KNOWS_NONE, NULL, NULL);
    world->module.read_latency = 45 * S / 10;
    run(world, 5 * S + S / 4);
    g_assert_cmpuint(world->keys, >=, 1);
    frames = world->device.frames;
    run(world, S); /* the answer to the second question; the first was lost */
    g_assert_cmpuint(world->device.frames, ==, frames + 1);
    g_assert_cmpuint(world->told[LINK_FAULT_SILENT], ==, 0);
    world_free(world);
}

/* ---- pairing --------------------------------------------------------------------------------- */

static void test_pairing_wanted(void)
{
    World *world = world_new(SENDS_BACK, NULL, NULL);

    run(world, 100 * S);
    g_assert_cmpint(world->device.fault, ==, LINK_FAULT_PAIRING_WANTED);
    g_assert_cmpuint(world->told[LINK_FAULT_ECHO], ==, 0);
    world_free(world);
}

static void test_pairs(void)
{
    World *world = world_new(SENDS_BACK, NULL, "123456");

    world->module.can_pair = TRUE;
    run(world, 20 * S);
    g_assert_cmpuint(world->pairings, ==, 1);
    g_assert_true(is_read(world));
    g_assert_cmpuint(world->passwords, ==, 0);
    world_free(world);
}

/* ---- standing still -------------------------------------------------------------------------- */

/* What is answered after the process stood still belongs to another time. */
static void test_stood_still(void)
{
    World *world = world_new(KNOWS_ALL, "123456", "123456");

    world->module.latency = 300000;
    world->module.lose_first = FALSE;
    run(world, S + 100000); /* the key is on the way */
    world->now += 30 * S;
    run(world, 9 * S);
    g_assert_true(is_read(world));
    g_assert_cmpuint(world->opens, ==, 2);
    g_assert_cmpuint(world->wrong_passwords, ==, 0);
    world_free(world);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        GTestFunc run;
    } tests[] = {
        {"/unlock/unlocks", test_unlocks},
        {"/unlock/each-session", test_each_session},
        {"/unlock/echo-before-answers", test_echo_before_answers},
        {"/unlock/slow-answers", test_slow_answers},
        {"/unlock/very-slow-answers", test_very_slow_answers},
        {"/unlock/lost-random", test_lost_random},
        {"/unlock/lost-verdict", test_lost_verdict},
        {"/unlock/wrong-is-not-hammered", test_wrong_is_not_hammered},
        {"/unlock/never-answered-is-not-hammered", test_never_answered_is_not_hammered},
        {"/unlock/another-password", test_another_password},
        {"/unlock/password-removed", test_password_removed},
        {"/unlock/wanted", test_wanted},
        {"/unlock/key-refused", test_key_refused},
        {"/unlock/dropped", test_dropped},
        {"/unlock/plain-board", test_plain_board},
        {"/unlock/not-needed", test_not_needed},
        {"/unlock/old-module", test_old_module},
        {"/unlock/silent", test_silent},
        {"/unlock/foreign", test_foreign},
        {"/unlock/stall", test_stall},
        {"/unlock/late-reads", test_late_reads},
        {"/unlock/read-while-unlocking", test_read_while_unlocking},
        {"/unlock/pairing-wanted", test_pairing_wanted},
        {"/unlock/pairs", test_pairs},
        {"/unlock/stood-still", test_stood_still},
    };

    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add_func(tests[i].path, tests[i].run);
    return g_test_run();
}
