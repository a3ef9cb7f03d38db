/* SPDX-License-Identifier: MIT */
/* The ladder of recovery, rung by rung, and the back-off. */
#include "recovery.h"

#include <glib.h>
#include <string.h>

#define S  INT64_C(1000000)
#define MS INT64_C(1000)

static Recovery begin(void)
{
    Recovery recovery;

    recovery_init(&recovery, 10 * S, 1);
    return recovery;
}

/* The action at the @a n th failure in a row of the same kind. */
static RecoveryAction nth(LinkFault fault, unsigned n)
{
    Recovery recovery = begin();

    for (unsigned i = 1; i < n; i++)
        recovery_on_failure(&recovery, fault, 0);
    return recovery_on_failure(&recovery, fault, 0).action;
}

/* ---- rungs ----------------------------------------------------------------------------------- */

static void test_retry(void)
{
    g_assert_cmpint(recovery_on_unanswered(1, true), ==, RECOVERY_RETRY);
    g_assert_cmpint(recovery_on_unanswered(2, true), ==, RECOVERY_RETRY);
    g_assert_cmpint(recovery_on_unanswered(3, true), ==, RECOVERY_RECONNECT);
    g_assert_cmpint(recovery_on_unanswered(1, false), ==, RECOVERY_RETRY);
    g_assert_cmpint(recovery_on_unanswered(2, false), ==, RECOVERY_RECONNECT);
}

static void test_reconnect(void)
{
    for (int fault = LINK_FAULT_NONE; fault < LINK_N_FAULTS; fault++) {
        if (fault == LINK_FAULT_REFUSES || fault == LINK_FAULT_DENIED)
            continue;
        g_assert_cmpint(nth((LinkFault)fault, 1), ==, RECOVERY_RECONNECT);
        if (fault != LINK_FAULT_SUBSCRIBE)
            g_assert_cmpint(nth((LinkFault)fault, 2), ==, RECOVERY_RECONNECT);
    }
}

static void test_remove_device(void)
{
    g_assert_cmpint(nth(LINK_FAULT_REFUSED, 3), ==, RECOVERY_REMOVE_DEVICE);
    g_assert_cmpint(nth(LINK_FAULT_RESOLVE, 3), ==, RECOVERY_REMOVE_DEVICE);
    g_assert_cmpint(nth(LINK_FAULT_SERVICE, 3), ==, RECOVERY_REMOVE_DEVICE);
    g_assert_cmpint(nth(LINK_FAULT_SILENT, 3), ==, RECOVERY_REMOVE_DEVICE);
    g_assert_cmpint(nth(LINK_FAULT_SILENT, 2), ==, RECOVERY_RECONNECT);
    /* What is remembered of the services is most likely wrong; once is enough. */
    g_assert_cmpint(nth(LINK_FAULT_SUBSCRIBE, 1), ==, RECOVERY_RECONNECT);
    g_assert_cmpint(nth(LINK_FAULT_SUBSCRIBE, 2), ==, RECOVERY_REMOVE_DEVICE);
    g_assert_cmpint(nth(LINK_FAULT_SUBSCRIBE, 3), ==, RECOVERY_RECONNECT);
    g_assert_cmpint(nth(LINK_FAULT_SUBSCRIBE, 8 + 2), ==, RECOVERY_REMOVE_DEVICE);
    /* bluetoothd would crash. */
    for (unsigned n = 1; n <= 8; n++)
        g_assert_cmpint(nth(LINK_FAULT_LOCKED, n), !=, RECOVERY_REMOVE_DEVICE);
    /* It is not known, or does not stand in the way. */
    g_assert_cmpint(nth(LINK_FAULT_NOT_FOUND, 3), ==, RECOVERY_RECONNECT);
    g_assert_cmpint(nth(LINK_FAULT_ADAPTER_OFF, 3), ==, RECOVERY_RECONNECT);
    g_assert_cmpint(nth(LINK_FAULT_BLUEZ, 3), ==, RECOVERY_RECONNECT);
    g_assert_cmpint(nth(LINK_FAULT_ECHO, 3), ==, RECOVERY_RECONNECT);
    /* Again, if it goes on. */
    g_assert_cmpint(nth(LINK_FAULT_REFUSED, 8 + 3), ==, RECOVERY_REMOVE_DEVICE);
}

/* What the bus forbids, nothing that is done to device or adapter allows. */
static void test_denied(void)
{
    g_assert_cmpint(nth(LINK_FAULT_DENIED, 1), ==, RECOVERY_TELL);
    for (unsigned n = 2; n <= 20; n++)
        g_assert_cmpint(nth(LINK_FAULT_DENIED, n), ==, RECOVERY_RECONNECT);
}

static void test_power_cycle(void)
{
    g_assert_cmpint(nth(LINK_FAULT_NOT_FOUND, 5), ==, RECOVERY_POWER_CYCLE);
    g_assert_cmpint(nth(LINK_FAULT_TIMEOUT, 5), ==, RECOVERY_POWER_CYCLE);
    g_assert_cmpint(nth(LINK_FAULT_TIMEOUT, 8 + 5), ==, RECOVERY_POWER_CYCLE);
    /* What somebody has switched off is not switched on; what no power cures is left alone. */
    g_assert_cmpint(nth(LINK_FAULT_ADAPTER_OFF, 5), ==, RECOVERY_RECONNECT);
    g_assert_cmpint(nth(LINK_FAULT_BLUEZ, 5), ==, RECOVERY_RECONNECT);
    g_assert_cmpint(nth(LINK_FAULT_SERVICE, 5), ==, RECOVERY_RECONNECT);
    g_assert_cmpint(nth(LINK_FAULT_ECHO, 5), ==, RECOVERY_RECONNECT);
}

static void test_command(void)
{
    g_assert_cmpint(nth(LINK_FAULT_SILENT, 7), ==, RECOVERY_COMMAND);
    g_assert_cmpint(nth(LINK_FAULT_BLUEZ, 7), ==, RECOVERY_COMMAND);
    g_assert_cmpint(nth(LINK_FAULT_ADAPTER, 7), ==, RECOVERY_COMMAND);
    g_assert_cmpint(nth(LINK_FAULT_ECHO, 7), ==, RECOVERY_RECONNECT);
}

/* What the board itself says, or another program does, no further attempt changes. */
static bool is_told_early(LinkFault fault)
{
    return fault == LINK_FAULT_ECHO || fault == LINK_FAULT_SERVICE || fault == LINK_FAULT_LOCKED ||
           fault == LINK_FAULT_CONTESTED || fault == LINK_FAULT_SLOW ||
           fault == LINK_FAULT_MALFORMED || fault >= LINK_FAULT_FOREIGN;
}

static void test_tell(void)
{
    Recovery recovery = begin();
    unsigned told = 0;

    for (int fault = LINK_FAULT_NONE + 1; fault < LINK_N_FAULTS; fault++) {
        unsigned at = 1;

        while (at < 20 && nth((LinkFault)fault, at) != RECOVERY_TELL)
            at++;
        if (fault == LINK_FAULT_REFUSES || fault == LINK_FAULT_DENIED)
            g_assert_cmpuint(at, ==, 1);
        else if (is_told_early((LinkFault)fault))
            g_assert_cmpuint(at, ==, 4);
        else
            g_assert_cmpuint(at, ==, 8);
    }
    /* Once, however long it lasts, and whatever frames come in between. */
    for (int i = 0; i < 100000; i++) {
        told += recovery_on_failure(&recovery, LINK_FAULT_SILENT, 0).action == RECOVERY_TELL;
        recovery_on_frame(&recovery);
    }
    g_assert_cmpuint(told, ==, 1);
    /* A complete poll makes it new. */
    recovery_on_readings(&recovery);
    for (int i = 0; i < 8; i++)
        told += recovery_on_failure(&recovery, LINK_FAULT_SILENT, 0).action == RECOVERY_TELL;
    g_assert_cmpuint(told, ==, 2);
}

/* The whole ladder is climbed again and again, and nothing but RECONNECT comes between. */
static void test_never_gives_up(void)
{
    Recovery recovery = begin();
    unsigned count[RECOVERY_N_ACTIONS] = {0};

    for (int i = 0; i < 80000; i++) {
        RecoveryStep step = recovery_on_failure(&recovery, LINK_FAULT_TIMEOUT, 0);

        count[step.action]++;
        g_assert_cmpint(step.delay_us, >, 0); /* and it never spins */
        g_assert_cmpint(step.delay_us, <=, 10 * S);
    }
    g_assert_cmpuint(count[RECOVERY_REMOVE_DEVICE], ==, 10000);
    g_assert_cmpuint(count[RECOVERY_POWER_CYCLE], ==, 10000);
    g_assert_cmpuint(count[RECOVERY_COMMAND], ==, 10000);
    g_assert_cmpuint(count[RECOVERY_TELL], ==, 1);
    g_assert_cmpuint(count[RECOVERY_RETRY], ==, 0);
}

static void test_readings_begin_anew(void)
{
    Recovery recovery = begin();

    recovery_on_failure(&recovery, LINK_FAULT_REFUSED, 0);
    recovery_on_failure(&recovery, LINK_FAULT_REFUSED, 0);
    /* A single frame does not prove much: the ladder goes on. */
    recovery_on_frame(&recovery);
    g_assert_cmpint(recovery_on_failure(&recovery, LINK_FAULT_REFUSED, 0).action, ==,
                    RECOVERY_REMOVE_DEVICE);
    recovery_on_readings(&recovery);
    recovery_on_failure(&recovery, LINK_FAULT_REFUSED, 0);
    recovery_on_failure(&recovery, LINK_FAULT_REFUSED, 0);
    g_assert_cmpint(recovery_on_failure(&recovery, LINK_FAULT_REFUSED, 0).action, ==,
                    RECOVERY_REMOVE_DEVICE);
}

static void test_kick(void)
{
    Recovery recovery = begin();

    /* The adapter was off for long and is on again: what was counted has nothing to say. */
    for (int i = 0; i < 10; i++)
        recovery_on_failure(&recovery, LINK_FAULT_ADAPTER_OFF, 0);
    recovery_on_kick(&recovery);
    g_assert_cmpint(recovery_on_failure(&recovery, LINK_FAULT_REFUSED, 0).action, ==,
                    RECOVERY_RECONNECT);
    g_assert_cmpint(recovery_on_failure(&recovery, LINK_FAULT_REFUSED, 0).action, ==,
                    RECOVERY_RECONNECT);

    /* A power cycle of our own ends in a kick, too, and then the ladder goes on. */
    recovery = begin();
    for (int i = 0; i < 5; i++)
        recovery_on_failure(&recovery, LINK_FAULT_TIMEOUT, 0);
    recovery_on_kick(&recovery);
    recovery_on_failure(&recovery, LINK_FAULT_TIMEOUT, 0);
    g_assert_cmpint(recovery_on_failure(&recovery, LINK_FAULT_TIMEOUT, 0).action, ==,
                    RECOVERY_COMMAND);
}

/* Every fault has a whole row: labels that differ, words, and rungs that the ladder has. */
/* Each remedy can be typed as it stands. */
static void test_remedies(void)
{
    for (int i = LINK_FAULT_NONE; i < LINK_N_FAULTS; i++) {
        const char *remedy = link_fault_remedy((LinkFault)i);
        char buffer[FAULT_REMEDY_SIZE];
        const char *filled = fault_remedy_fill(remedy, "A4:C1:38:01:02:03", buffer);

        if (!remedy) {
            g_assert_null(filled);
            continue;
        }
        g_assert_null(strstr(filled, "ADDRESS"));
        g_assert_null(strstr(filled, "come closer"));
        g_assert_cmpuint(strlen(filled), <, FAULT_REMEDY_SIZE - 1);
    }
}

static void test_remedies_are_bounded(void)
{
    g_autofree char *much = g_strnfill(3 * FAULT_REMEDY_SIZE, 'x');
    g_autofree char *ends = g_strconcat(much + 2 * FAULT_REMEDY_SIZE + 4, "ADDRESS", NULL);
    char buffer[FAULT_REMEDY_SIZE];

    g_assert_cmpstr(fault_remedy_fill("remove ADDRESS; ADDRESSADDRES", "A:B", buffer), ==,
                    "remove A:B; A:BADDRES");
    g_assert_cmpuint(strlen(fault_remedy_fill(much, "A4", buffer)), ==, FAULT_REMEDY_SIZE - 1);
    g_assert_true(g_str_has_suffix(fault_remedy_fill(ends, "A4:C1:38:01:02:03", buffer), "xA4:"));
    g_assert_cmpuint(strlen(fault_remedy_fill("ADDRESS", much, buffer)), ==, FAULT_REMEDY_SIZE - 1);
}

static void test_faults(void)
{
    for (int i = LINK_FAULT_NONE; i < LINK_N_FAULTS; i++) {
        const FaultTraits *traits = link_fault_traits((LinkFault)i);

        g_assert_nonnull(traits->name);
        g_assert_nonnull(traits->text);
        g_assert_cmpint(traits->layer == FAULT_LAYER_NONE, ==, i == LINK_FAULT_NONE);
        g_assert_cmpuint(traits->session, >, SESSION_RENEWAL); /* neither a start nor planned */
        g_assert_cmpuint(traits->remove_from, <=, 3);
        g_assert_cmpuint(traits->tell_at, <=, 8);
        for (int other = LINK_FAULT_NONE; other < i; other++)
            g_assert_cmpstr(traits->name, !=, link_fault_name((LinkFault)other));
    }
}

static void test_names(void)
{
    for (int i = 0; i < RECOVERY_N_ACTIONS; i++)
        g_assert_nonnull(recovery_action_name((RecoveryAction)i));
    g_assert_cmpstr(recovery_action_name(RECOVERY_POWER_CYCLE), ==, "power_cycle");
}

/* ---- back-off -------------------------------------------------------------------------------- */

static void check_delays(int64_t interval_us, const int64_t *expected_ms, gsize n)
{
    for (uint32_t seed = 0; seed < 100; seed++) {
        Recovery recovery;

        recovery_init(&recovery, interval_us, seed);
        for (gsize i = 0; i < n; i++) {
            int64_t delay = recovery_on_failure(&recovery, LINK_FAULT_TIMEOUT, 0).delay_us;

            g_assert_cmpint(delay, <=, expected_ms[i] * MS);
            g_assert_cmpint(delay, >=, expected_ms[i] * MS * 4 / 5);
        }
    }
}

static void test_back_off(void)
{
    static const int64_t usual[] = {250, 1000, 2000, 4000, 8000, 10000, 10000, 10000};
    static const int64_t fast[] = {250, 1000, 2000, 4000, 5000, 5000};
    static const int64_t slow[] = {250, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};

    check_delays(10 * S, usual, G_N_ELEMENTS(usual));
    check_delays(S / 2, fast, G_N_ELEMENTS(fast));
    check_delays(3600 * S, slow, G_N_ELEMENTS(slow));
}

/* What the attempt has taken need not be waited for again, but for the moment that BlueZ needs. */
static void test_back_off_counts_attempts(void)
{
    Recovery recovery = begin();

    for (int i = 0; i < 10; i++)
        recovery_on_failure(&recovery, LINK_FAULT_TIMEOUT, 0);
    for (int i = 0; i < 100; i++) {
        int64_t delay = recovery_on_failure(&recovery, LINK_FAULT_TIMEOUT, 6 * S).delay_us;

        g_assert_cmpint(delay, <=, 4 * S);
        g_assert_cmpint(delay, >=, 4 * S * 4 / 5);
        delay = recovery_on_failure(&recovery, LINK_FAULT_TIMEOUT, 35 * S).delay_us;
        g_assert_cmpint(delay, <=, 250 * MS);
        g_assert_cmpint(delay, >=, 200 * MS);
    }
}

static void test_back_off_resets(void)
{
    Recovery recovery = begin();

    for (int i = 0; i < 20; i++)
        recovery_on_failure(&recovery, LINK_FAULT_LOST, 0);
    recovery_on_frame(&recovery);
    g_assert_cmpint(recovery_on_failure(&recovery, LINK_FAULT_LOST, 0).delay_us, <=, 250 * MS);
    for (int i = 0; i < 20; i++)
        recovery_on_failure(&recovery, LINK_FAULT_LOST, 0);
    recovery_on_kick(&recovery);
    g_assert_cmpint(recovery_on_failure(&recovery, LINK_FAULT_LOST, 0).delay_us, <=, 250 * MS);
}

static void test_jitter_spreads(void)
{
    Recovery a, b;
    int different = 0;

    recovery_init(&a, 10 * S, 1);
    recovery_init(&b, 10 * S, 2);
    for (int i = 0; i < 20; i++)
        different += recovery_on_failure(&a, LINK_FAULT_LOST, 0).delay_us !=
                     recovery_on_failure(&b, LINK_FAULT_LOST, 0).delay_us;
    g_assert_cmpint(different, >=, 18);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void test_limit(void)
{
    RecoveryLimit limit;
    int64_t taken_at = 0;

    recovery_limit_init(&limit, 300 * S, 3600 * S);
    g_assert_true(recovery_limit_take(&limit, 5 * S));
    g_assert_false(recovery_limit_take(&limit, 304 * S));
    g_assert_true(recovery_limit_take(&limit, 305 * S));
    g_assert_false(recovery_limit_take(&limit, 904 * S)); /* doubled */
    g_assert_true(recovery_limit_take(&limit, 905 * S));
    /* Up to the longest, for ever. */
    for (int64_t now = 100000; now < 200000; now++) {
        if (recovery_limit_take(&limit, now * S)) {
            g_assert_true(taken_at == 0 || now - taken_at <= 3600);
            taken_at = now;
        }
    }
    g_assert_cmpint(taken_at, >, 190000);

    g_assert_true(recovery_limit_is_used(&limit));
    recovery_limit_relax(&limit);
    g_assert_false(recovery_limit_is_used(&limit));
    g_assert_true(recovery_limit_take(&limit, 300000 * S));
    g_assert_true(recovery_limit_take(&limit, 300300 * S));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/recovery/retry", test_retry);
    g_test_add_func("/recovery/reconnect", test_reconnect);
    g_test_add_func("/recovery/remove-device", test_remove_device);
    g_test_add_func("/recovery/denied", test_denied);
    g_test_add_func("/recovery/power-cycle", test_power_cycle);
    g_test_add_func("/recovery/command", test_command);
    g_test_add_func("/recovery/tell", test_tell);
    g_test_add_func("/recovery/never-gives-up", test_never_gives_up);
    g_test_add_func("/recovery/readings", test_readings_begin_anew);
    g_test_add_func("/recovery/kick", test_kick);
    g_test_add_func("/recovery/faults", test_faults);
    g_test_add_func("/recovery/remedies", test_remedies);
    g_test_add_func("/recovery/remedies-are-bounded", test_remedies_are_bounded);
    g_test_add_func("/recovery/names", test_names);
    g_test_add_func("/recovery/back-off", test_back_off);
    g_test_add_func("/recovery/back-off-counts-attempts", test_back_off_counts_attempts);
    g_test_add_func("/recovery/back-off-resets", test_back_off_resets);
    g_test_add_func("/recovery/jitter", test_jitter_spreads);
    g_test_add_func("/recovery/limit", test_limit);
    return g_test_run();
}
