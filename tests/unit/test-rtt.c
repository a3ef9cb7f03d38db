/* SPDX-License-Identifier: MIT */
/* How long a board takes to answer, and which question an answer belongs to. */
#include "../../src/poller/questions.h"
#include "../../src/poller/rtt.h"

#include <glib.h>

#define MS INT64_C(1000)

static Rtt begin(void)
{
    Rtt rtt;

    rtt_init(&rtt, 1000 * MS, 300 * MS, 4000 * MS);
    return rtt;
}

static void measure(Rtt *rtt, int64_t time_us, guint times)
{
    while (times-- > 0)
        rtt_measured(rtt, time_us);
}

static void test_unknown(void)
{
    Rtt rtt = begin();

    g_assert_false(rtt.known);
    g_assert_cmpint(rtt_timeout(&rtt), ==, 1000 * MS);
    g_assert_cmpint(rtt_typical(&rtt), ==, 0);
}

/* The numbers of RFC 6298, section 2, worked out by hand. */
static void test_formula(void)
{
    Rtt rtt = begin();

    rtt_measured(&rtt, 800 * MS);
    g_assert_cmpint(rtt_timeout(&rtt), ==, (800 + 4 * 400) * MS);
    rtt_measured(&rtt, 400 * MS);
    /* RTTVAR = 3/4 * 400 + 1/4 * 400, SRTT = 7/8 * 800 + 1/8 * 400 */
    g_assert_cmpint(rtt_typical(&rtt), ==, 750 * MS);
    g_assert_cmpint(rtt_timeout(&rtt), ==, (750 + 4 * 400) * MS);
}

static void test_bounds(void)
{
    Rtt rtt = begin();

    measure(&rtt, 33 * MS, 100);
    g_assert_cmpint(rtt_timeout(&rtt), ==, 300 * MS);
    measure(&rtt, G_MAXINT32 * MS, 100);
    g_assert_cmpint(rtt_timeout(&rtt), ==, 4000 * MS);
    g_assert_cmpint(rtt_base(&rtt), ==, 4000 * MS);

    rtt = begin();
    rtt_measured(&rtt, -5);
    g_assert_cmpint(rtt_typical(&rtt), ==, 0);
    g_assert_true(rtt.known);
}

/* A steady board leaves room for its answers to vary a little, however steady it was. */
static void test_granularity(void)
{
    Rtt rtt = begin();

    measure(&rtt, 620 * MS, 100);
    g_assert_cmpint(rtt_timeout(&rtt), ==, 820 * MS);
}

static void test_doubling(void)
{
    Rtt rtt = begin();

    measure(&rtt, 100 * MS, 50);
    for (guint i = 0; i < 1000; i++)
        rtt_timed_out(&rtt);
    g_assert_cmpint(rtt_timeout(&rtt), ==, 4000 * MS);
    g_assert_cmpint(rtt_base(&rtt), ==, 300 * MS);
    rtt_forget_timeouts(&rtt);
    g_assert_cmpint(rtt_timeout(&rtt), ==, 300 * MS);
    rtt_timed_out(&rtt);
    g_assert_cmpint(rtt_timeout(&rtt), ==, 600 * MS);
    rtt_measured(&rtt, 100 * MS);
    g_assert_cmpint(rtt_timeout(&rtt), ==, 300 * MS);
}

/* It follows a board that becomes slow, and one that becomes quick again. */
static void test_follows(void)
{
    Rtt rtt = begin();

    measure(&rtt, 70 * MS, 50);
    measure(&rtt, 620 * MS, 2);
    g_assert_cmpint(rtt_timeout(&rtt), >, 620 * MS);
    measure(&rtt, 3000 * MS, 50);
    g_assert_cmpint(rtt_timeout(&rtt), >, 3000 * MS);
    measure(&rtt, 70 * MS, 40);
    g_assert_cmpint(rtt_timeout(&rtt), <, 400 * MS);
}

/* ---- questions ------------------------------------------------------------------------------- */

static void check_take(Questions *questions, JbdRead read, int64_t at_us, gboolean is_certain)
{
    Question question;
    bool certain;

    g_assert_true(questions_take(questions, read, &question, &certain));
    g_assert_cmpint(question.at_us, ==, at_us);
    g_assert_cmpint(question.read, ==, read);
    g_assert_cmpint(certain, ==, is_certain);
}

static void test_questions_in_order(void)
{
    Questions questions = {0};
    Question question;
    bool certain;

    g_assert_true(questions_are_none(&questions));
    g_assert_false(questions_take(&questions, JBD_BASIC, &question, &certain));
    questions_add(&questions, JBD_BASIC, 1);
    questions_add(&questions, JBD_BASIC, 2);
    g_assert_true(questions_wait_for(&questions, JBD_BASIC, 2));
    g_assert_false(questions_wait_for(&questions, JBD_BASIC, 3));
    g_assert_false(questions_wait_for(&questions, JBD_CELLS, 0));
    g_assert_false(questions_take(&questions, JBD_CELLS, &question, &certain));
    check_take(&questions, JBD_BASIC, 1, FALSE); /* or is it that to the second? */
    questions_add(&questions, JBD_CELLS, 3);
    check_take(&questions, JBD_BASIC, 2, TRUE);
    check_take(&questions, JBD_CELLS, 3, TRUE);
    g_assert_true(questions_are_none(&questions));
    questions_add(&questions, JBD_CELLS, 4);
    check_take(&questions, JBD_CELLS, 4, TRUE);
}

/* What was asked before a question that is answered is not answered any more. */
static void test_questions_passed_over(void)
{
    Questions questions = {0};

    questions_add(&questions, JBD_BASIC, 1);
    questions_add(&questions, JBD_MODEL, 2);
    questions_add(&questions, JBD_CELLS, 3);
    questions_add(&questions, JBD_BASIC, 4);
    check_take(&questions, JBD_CELLS, 3, TRUE);
    g_assert_false(questions_wait_for(&questions, JBD_MODEL, 0));
    check_take(&questions, JBD_BASIC, 4, TRUE);
}

static void test_questions_overflow(void)
{
    Questions questions = {0};

    for (int i = 0; i < 3 * QUESTIONS_MAX; i++)
        questions_add(&questions, JBD_BASIC, i);
    for (int i = 0; i < QUESTIONS_MAX; i++)
        check_take(&questions, JBD_BASIC, i, i == QUESTIONS_MAX - 1);
    g_assert_true(questions_are_none(&questions));
    questions_add(&questions, JBD_BASIC, 1);
    questions_clear(&questions);
    g_assert_true(questions_are_none(&questions));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rtt/unknown", test_unknown);
    g_test_add_func("/rtt/formula", test_formula);
    g_test_add_func("/rtt/bounds", test_bounds);
    g_test_add_func("/rtt/granularity", test_granularity);
    g_test_add_func("/rtt/doubling", test_doubling);
    g_test_add_func("/rtt/follows", test_follows);
    g_test_add_func("/questions/in-order", test_questions_in_order);
    g_test_add_func("/questions/passed-over", test_questions_passed_over);
    g_test_add_func("/questions/overflow", test_questions_overflow);
    return g_test_run();
}
