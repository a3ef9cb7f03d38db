/* SPDX-License-Identifier: MIT */
/* The battery's state, what is told of its troubles, and the back-off: everything that computes. */
#include "device.h"
#include "jbd/board.h"
#include "outage.h"

#include <glib.h>
#include <string.h>

#define S INT64_C(1000000)

static const JbdCells cells = {.count = 4, .mv = {3300, 3301, 3302, 3303}};

static JbdBasic with_current(int32_t ma)
{
    return (JbdBasic){.pack_mv = 10000, .current_ma = ma};
}

/* 10 V × 1 A × 10 s = 100 J */
static void test_energy(void)
{
    Device device;
    JbdBasic charging = with_current(1000);
    JbdBasic discharging = with_current(-1000);
    JbdBasic resting = with_current(0);

    device_init(&device, &jbd_kind, "A4:C1:38:00:00:01", NULL, 10 * S);
    jbd_publish(&device, &charging, &cells, 1000 * S, 0.1);
    g_assert_cmpfloat(jbd_state(&device)->energy.in_joules, ==, 0);
    jbd_publish(&device, &charging, &cells, 1010 * S, 0.1);
    g_assert_cmpfloat(jbd_state(&device)->energy.in_joules, ==, 100);

    /* A straight line from +10 W to −10 W crosses zero in the middle. */
    jbd_publish(&device, &discharging, &cells, 1020 * S, 0.1);
    g_assert_cmpfloat(jbd_state(&device)->energy.in_joules, ==, 125);
    g_assert_cmpfloat(jbd_state(&device)->energy.out_joules, ==, 25);
    jbd_publish(&device, &resting, &cells, 1030 * S, 0.1);
    g_assert_cmpfloat(jbd_state(&device)->energy.out_joules, ==, 75);
    jbd_publish(&device, &charging, &cells, 1040 * S, 0.1);
    g_assert_cmpfloat(jbd_state(&device)->energy.in_joules, ==, 175);
    g_assert_cmpfloat(jbd_state(&device)->energy.out_joules, ==, 75);
}

/* What is fresh enough to be served is good enough to integrate over, and no more. */
static void test_lost_polls(void)
{
    Device device;
    JbdBasic charging = with_current(1000);

    device_init(&device, &jbd_kind, "A4:C1:38:00:00:01", NULL, 10 * S);
    jbd_publish(&device, &charging, &cells, 1000 * S, 0.1);
    g_assert_cmpint(jbd_state(&device)->energy.measured_us, ==, 0);
    device_count_failure(&device, POLL_FAILURE_TIMEOUT, 1); /* the one of 1010 */
    jbd_publish(&device, &charging, &cells, 1020 * S, 0.1);
    g_assert_cmpfloat(jbd_state(&device)->energy.in_joules, ==, 200);
    g_assert_cmpint(jbd_state(&device)->energy.measured_us, ==, 20 * S);
    device_count_failure(&device, POLL_FAILURE_TIMEOUT, 2);
    jbd_publish(&device, &charging, &cells, 1050 * S, 0.1);
    g_assert_cmpfloat(jbd_state(&device)->energy.in_joules, ==, 500);
    g_assert_cmpint(jbd_state(&device)->energy.measured_us, ==, 50 * S);

    jbd_publish(&device, &charging, &cells, 1080 * S + 1, 0.1); /* longer: not bridged */
    g_assert_cmpfloat(jbd_state(&device)->energy.in_joules, ==, 500);
    g_assert_cmpint(jbd_state(&device)->energy.measured_us, ==, 50 * S);
    jbd_publish(&device, &charging, &cells, 1090 * S + 1, 0.1); /* and on */
    g_assert_cmpfloat(jbd_state(&device)->energy.in_joules, ==, 600);
    g_assert_cmpint(jbd_state(&device)->energy.measured_us, ==, 60 * S);
}

/* Readings are judged by the interval they were read under, or by a shorter one since. */
static void test_another_interval(void)
{
    Device device;
    JbdBasic charging = with_current(1000);

    device_init(&device, &jbd_kind, "A4:C1:38:00:00:01", NULL, S);
    jbd_publish(&device, &charging, &cells, 1000 * S, 0.1);
    device_configure(&device, NULL, 60 * S);
    g_assert_true(device_is_fresh(&device, 1003 * S));
    g_assert_false(device_is_fresh(&device, 1003 * S + 1)); /* what is stale stays so */
    jbd_publish(&device, &charging, &cells, 1009 * S, 0.1);
    g_assert_cmpfloat(jbd_state(&device)->energy.in_joules, ==, 0); /* nor is it integrated over */
    g_assert_true(device_is_fresh(&device, 1189 * S));
    g_assert_false(device_is_fresh(&device, 1189 * S + 1));

    device_configure(&device, NULL, S);
    g_assert_false(device_is_fresh(&device, 1012 * S + 1));
    device_configure(&device, NULL, 60 * S);
    g_assert_false(device_is_fresh(&device, 1012 * S + 1));
}

static void test_freshness(void)
{
    Device device;
    JbdBasic basic = with_current(0);

    device_init(&device, &jbd_kind, "A4:C1:38:00:00:01", "house", 10 * S);
    g_assert_cmpstr(device.name, ==, "house");
    g_assert_false(device_is_fresh(&device, 0));
    jbd_publish(&device, &basic, &cells, 1000 * S, 0.1);
    g_assert_true(device_is_fresh(&device, 1030 * S));
    g_assert_false(device_is_fresh(&device, 1030 * S + 1));
}

static void test_long_texts_are_cut(void)
{
    g_autofree char *text = g_strnfill(1000, 'x');
    Device device;

    device_init(&device, &jbd_kind, text, text, S);
    g_assert_cmpuint(strlen(device.address), ==, DEVICE_ADDRESS_SIZE - 1);
    g_assert_cmpuint(strlen(device.name), ==, DEVICE_NAME_SIZE - 1);
    device_set_fault(&device, LINK_FAULT_LOST, text);
    g_assert_cmpuint(strlen(device.detail), ==, DEVICE_DETAIL_SIZE - 1);
    memcpy(text + DEVICE_DETAIL_SIZE - 2, "\xc3\xa4", 2); /* ä, across the end */
    device_set_fault(&device, LINK_FAULT_LOST, text);
    g_assert_cmpuint(strlen(device.detail), ==, DEVICE_DETAIL_SIZE - 2);
    device_set_fault(&device, LINK_FAULT_LOST, "a\nREADY=1\tb\x7f");
    g_assert_cmpstr(device.detail, ==, "a READY=1 b ");
    device_set_fault(&device, LINK_FAULT_LOST, NULL);
    g_assert_cmpstr(device.detail, ==, link_fault_text(LINK_FAULT_LOST));
}

static void test_histogram(void)
{
    Device device;
    JbdBasic basic = with_current(0);

    device_init(&device, &jbd_kind, "A4:C1:38:00:00:01", NULL, 10 * S);
    jbd_publish(&device, &basic, &cells, 1, 0.05); /* bounds belong to their bucket */
    jbd_publish(&device, &basic, &cells, 2, 0.06);
    jbd_publish(&device, &basic, &cells, 3, 99);
    g_assert_cmpuint(device.poll_duration.count, ==, 3);
    g_assert_cmpuint(device.poll_duration.bucket[0], ==, 1);
    g_assert_cmpuint(device.poll_duration.bucket[1], ==, 1);
    g_assert_cmpuint(device.poll_duration.bucket[DEVICE_N_BUCKETS - 1], ==, 0);
}

static void test_full_capacity(void)
{
    JbdBasic basic = {.nominal_mah = 100000};

    g_assert_cmpuint(jbd_full_mah(&basic), ==, 100000);
    basic.tail.full_charge_mah = 95000; /* not there, so not valid */
    g_assert_cmpuint(jbd_full_mah(&basic), ==, 100000);
    basic.has_tail = true;
    g_assert_cmpuint(jbd_full_mah(&basic), ==, 95000);
    basic.tail.full_charge_mah = 0;
    g_assert_cmpuint(jbd_full_mah(&basic), ==, 100000);
}

static void test_names(void)
{
    for (int i = 0; i < POLL_N_FAILURES; i++)
        g_assert_nonnull(poll_failure_name((PollFailure)i));
    for (int i = 0; i < SESSION_N_REASONS; i++)
        g_assert_nonnull(session_reason_name((SessionReason)i));
    for (int i = 0; i < LINK_N_STAGES; i++)
        g_assert_nonnull(link_stage_name((LinkStage)i));
    for (int i = 0; i < LINK_N_FAULTS; i++) {
        g_assert_nonnull(link_fault_name((LinkFault)i));
        g_assert_nonnull(link_fault_text((LinkFault)i));
        g_assert_true(!link_fault_remedy((LinkFault)i) || *link_fault_remedy((LinkFault)i));
    }
}

/* ---- outages --------------------------------------------------------------------------------- */

static void test_outage_is_told_once(void)
{
    Outage outage = {0};

    g_assert_cmpint(outage_on_readings(&outage), ==, OUTAGE_NOTHING);
    g_assert_cmpint(outage_on_fault(&outage, LINK_FAULT_LOST, 1000 * S), ==, OUTAGE_BEGAN);
    for (int i = 0; i < 1000; i++)
        g_assert_cmpint(outage_on_fault(&outage, LINK_FAULT_LOST, (1001 + i) * S), ==,
                        OUTAGE_NOTHING);
    g_assert_cmpint(outage_on_fault(&outage, LINK_FAULT_NOT_FOUND, 2100 * S), ==, OUTAGE_CHANGED);
    g_assert_cmpint(outage_on_fault(&outage, LINK_FAULT_LOST, 2110 * S), ==, OUTAGE_NOTHING);
    g_assert_cmpint(outage_on_fault(&outage, LINK_FAULT_NOT_FOUND, 2111 * S), ==, OUTAGE_NOTHING);
    g_assert_cmpint(outage_on_readings(&outage), ==, OUTAGE_ENDED);
    g_assert_cmpint(outage.began_us, ==, 1000 * S);
    g_assert_cmpuint(outage.faults, ==, 1004);
    g_assert_cmpint(outage_on_readings(&outage), ==, OUTAGE_NOTHING);
}

static void test_unstable_link_is_told_once(void)
{
    Outage outage = {0};
    int lines = 0;

    for (int i = 0; i < 1000; i++) {
        lines += outage_on_fault(&outage, LINK_FAULT_LOST, (1000 + i * 10) * S) != OUTAGE_NOTHING;
        lines += outage_on_readings(&outage) != OUTAGE_NOTHING;
    }
    g_assert_cmpint(lines, ==, 3); /* began, ended, unstable */
    for (int i = 1; i < OUTAGE_SETTLED_POLLS - 1; i++)
        g_assert_cmpint(outage_on_readings(&outage), ==, OUTAGE_NOTHING);
    g_assert_cmpint(outage_on_readings(&outage), ==, OUTAGE_ENDED);

    /* A new one long after is one of its own. */
    g_assert_cmpint(outage_on_fault(&outage, LINK_FAULT_LOST, 12000 * S), ==, OUTAGE_BEGAN);
}

/* What was announced is kept: no message before six good polls in a row, whatever else fails. */
static void test_unstable_means_silence(void)
{
    Outage outage = {0};

    outage_on_fault(&outage, LINK_FAULT_LOST, 1000 * S);
    g_assert_cmpint(outage_on_readings(&outage), ==, OUTAGE_ENDED);
    g_assert_cmpint(outage_on_fault(&outage, LINK_FAULT_LOST, 1010 * S), ==, OUTAGE_UNSTABLE);
    for (int i = 1; i < 1000; i++) {
        LinkFault fault = (LinkFault)(1 + i % (LINK_N_FAULTS - 1));

        g_assert_cmpint(outage_on_fault(&outage, fault, (1010 + i * 10) * S), ==, OUTAGE_NOTHING);
        for (int good = 0; good < i % OUTAGE_SETTLED_POLLS; good++)
            g_assert_cmpint(outage_on_readings(&outage), ==, OUTAGE_NOTHING);
    }
    outage_on_fault(&outage, LINK_FAULT_LOST, 20000 * S);
    for (int good = 1; good < OUTAGE_SETTLED_POLLS; good++)
        g_assert_cmpint(outage_on_readings(&outage), ==, OUTAGE_NOTHING);
    g_assert_cmpint(outage_on_readings(&outage), ==, OUTAGE_ENDED);
    g_assert_true(outage.unstable); /* so that its end can be told as such */
    g_assert_cmpint(outage_on_fault(&outage, LINK_FAULT_LOST, 20010 * S), ==, OUTAGE_BEGAN);
}

/* Good polls are counted, not times: an interval that has changed since has no say. */
static void test_settled_by_polls(void)
{
    for (unsigned polls = 1; polls <= OUTAGE_SETTLED_POLLS; polls++) {
        Outage outage = {0};

        outage_on_fault(&outage, LINK_FAULT_LOST, 1000 * S);
        for (unsigned good = 0; good < polls; good++)
            outage_on_readings(&outage);
        g_assert_cmpint(outage_on_fault(&outage, LINK_FAULT_LOST, 1001 * S), ==,
                        polls < OUTAGE_SETTLED_POLLS ? OUTAGE_UNSTABLE : OUTAGE_BEGAN);
    }
}

/* A person is called once in an outage, however often it comes and goes. */
static void test_attention_is_called_once(void)
{
    Outage outage = {0};

    outage_on_fault(&outage, LINK_FAULT_LOST, 1000 * S);
    g_assert_true(outage_on_attention(&outage));
    g_assert_false(outage_on_attention(&outage));
    outage_on_readings(&outage);
    outage_on_fault(&outage, LINK_FAULT_LOST, 1010 * S); /* unstable: another outage */
    for (int i = 0; i < 10; i++) {
        g_assert_cmpint(outage_on_attention(&outage), ==, i == 0);
        outage_on_readings(&outage);
        outage_on_fault(&outage, LINK_FAULT_LOST, (1020 + i) * S);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/battery/energy", test_energy);
    g_test_add_func("/battery/lost-polls", test_lost_polls);
    g_test_add_func("/battery/another-interval", test_another_interval);
    g_test_add_func("/battery/freshness", test_freshness);
    g_test_add_func("/battery/long-texts", test_long_texts_are_cut);
    g_test_add_func("/battery/histogram", test_histogram);
    g_test_add_func("/battery/full-capacity", test_full_capacity);
    g_test_add_func("/battery/names", test_names);
    g_test_add_func("/outage/told-once", test_outage_is_told_once);
    g_test_add_func("/outage/unstable", test_unstable_link_is_told_once);
    g_test_add_func("/outage/silence", test_unstable_means_silence);
    g_test_add_func("/outage/settled", test_settled_by_polls);
    g_test_add_func("/outage/attention", test_attention_is_called_once);
    return g_test_run();
}
