/* SPDX-License-Identifier: MIT */
/* When batteries take turns, and when connections are kept again. */
#include "fleet/turns.h"

#define S        G_GINT64_CONSTANT(1000000)
#define INTERVAL (10 * S)
#define FIRST    (TURNS_POLLS * INTERVAL)
#define LONGEST  (TURNS_MAX_FACTOR * FIRST)

/* The time of the next change, which is made. */
static gint64 pass(Turns *turns)
{
    gint64 when = turns_wake_at(turns);

    g_assert_false(turns_on_time(turns, when - 1));
    g_assert_true(turns_on_time(turns, when));
    return when;
}

static void test_never_short(void)
{
    Turns turns = {0};

    g_assert_cmpint(turns_wake_at(&turns), ==, G_MAXINT64);
    g_assert_false(turns_on_time(&turns, 1000000 * S));
}

static void test_short_for_a_while(void)
{
    Turns turns = {0};

    g_assert_cmpint(turns_on_limit(&turns, 5 * S, INTERVAL), ==, TURNS_KEEPING);
    g_assert_cmpint(turns.state, ==, TURNS_TAKING);
    g_assert_cmpint(pass(&turns), ==, 5 * S + FIRST);
    g_assert_cmpint(turns.state, ==, TURNS_TRYING);
    g_assert_cmpint(pass(&turns), ==, 5 * S + 2 * FIRST);
    g_assert_cmpint(turns.state, ==, TURNS_KEEPING);
    g_assert_cmpint(turns_wake_at(&turns), ==, G_MAXINT64);
}

/* Several batteries find out at once. */
static void test_short_while_taking(void)
{
    Turns turns = {0};

    turns_on_limit(&turns, 5 * S, INTERVAL);
    g_assert_cmpint(turns_on_limit(&turns, 6 * S, INTERVAL), ==, TURNS_TAKING);
    g_assert_cmpint(turns_wake_at(&turns), ==, 5 * S + FIRST);
}

static void test_short_for_ever(void)
{
    Turns turns = {0};
    gint64 now = 0;
    unsigned attempts = 0;

    turns_on_limit(&turns, now, INTERVAL);
    for (; now < 24 * 3600 * S; attempts++) {
        now = pass(&turns);
        g_assert_cmpint(turns_on_limit(&turns, now + S, INTERVAL), ==, TURNS_TRYING);
        g_assert_cmpint(turns.length_us, <=, LONGEST);
    }
    g_assert_cmpint(turns.length_us, ==, LONGEST);
    g_assert_cmpuint(attempts, <, 16);
}

/* The room is there until it has just been believed in. */
static void test_comes_and_goes(void)
{
    Turns turns = {0};
    gint64 now = 0;
    unsigned told = 0;

    turns_on_limit(&turns, now, INTERVAL);
    for (; now < 24 * 3600 * S; told++) {
        pass(&turns);
        now = pass(&turns) + S;
        g_assert_cmpint(turns_on_limit(&turns, now, INTERVAL), ==, TURNS_KEEPING);
    }
    g_assert_cmpuint(told, <, 12);
}

static void test_short_after_a_long_time(void)
{
    Turns turns = {0};
    gint64 now;

    turns_on_limit(&turns, 0, INTERVAL);
    now = pass(&turns) + S;
    turns_on_limit(&turns, now, INTERVAL);
    g_assert_cmpint(turns.length_us, ==, 2 * FIRST);
    now = pass(&turns);
    pass(&turns);
    turns_on_limit(&turns, now + 2 * LONGEST, INTERVAL);
    g_assert_cmpint(turns.length_us, ==, FIRST);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/turns/never-short", test_never_short);
    g_test_add_func("/turns/short-for-a-while", test_short_for_a_while);
    g_test_add_func("/turns/short-while-taking", test_short_while_taking);
    g_test_add_func("/turns/short-for-ever", test_short_for_ever);
    g_test_add_func("/turns/comes-and-goes", test_comes_and_goes);
    g_test_add_func("/turns/short-after-a-long-time", test_short_after_a_long_time);
    return g_test_run();
}
