/* SPDX-License-Identifier: MIT */
/* The rungs beyond one battery: what counts towards their limits. */
#include "fleet/rungs.h"
#include "jbd/board.h"
#include "log.h"

#include <glib/gstdio.h>

/* In the place of the real one, which would need bluetoothd. */
static gboolean can_cycle;
static guint n_cycles;

gboolean bluez_power_cycle(Bluez *bluez, gboolean again)
{
    (void)bluez, (void)again;
    n_cycles += can_cycle ? 1 : 0;
    return can_cycle;
}

typedef struct {
    Options options;
    Device device;
    Rungs *rungs;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    device_init(&fixture->device, &jbd_kind, "A4:C1:38:00:00:01", "house", 10 * G_USEC_PER_SEC);
    fixture->rungs = rungs_new(NULL, &fixture->options);
}

static void tear_down(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    rungs_free(fixture->rungs);
}

static gboolean take(Fixture *fixture, RecoveryAction action)
{
    return rungs_take(fixture->rungs, action, &fixture->device);
}

/** A program that cannot be started takes no time from the next attempt, nor doubles it. */
static void test_command(Fixture *fixture, gconstpointer unused)
{
    g_autofree char *directory = g_dir_make_tmp("bms-rungs-XXXXXX", NULL);
    g_autofree char *program = g_build_filename(directory, "cure", NULL);
    g_autofree char *sound = g_strdup("true");

    (void)unused;
    g_assert_false(take(fixture, RECOVERY_COMMAND)); /* none was given */
    /* There, so that the options are fine, but the kernel cannot start it. */
    g_assert_true(g_file_set_contents(program, "#!/nonexistent\n", -1, NULL));
    g_assert_cmpint(g_chmod(program, 0700), ==, 0);
    fixture->options.recover_command = program;
    rungs_follow(fixture->rungs, &fixture->options);
    for (int i = 0; i < 3; i++)
        g_assert_false(take(fixture, RECOVERY_COMMAND));
    fixture->options.recover_command = sound;
    rungs_follow(fixture->rungs, &fixture->options);
    g_assert_true(take(fixture, RECOVERY_COMMAND));
    g_assert_false(take(fixture, RECOVERY_COMMAND));
    rungs_follow(fixture->rungs, &fixture->options); /* a reload does not lift the limit */
    g_assert_false(take(fixture, RECOVERY_COMMAND));
    g_unlink(program);
    g_rmdir(directory);
}

static void test_power_cycle(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    can_cycle = TRUE;
    g_assert_false(take(fixture, RECOVERY_POWER_CYCLE)); /* not allowed */
    g_assert_cmpuint(n_cycles, ==, 0);
    fixture->options.power_cycle = TRUE;
    rungs_follow(fixture->rungs, &fixture->options);
    can_cycle = FALSE;
    g_assert_false(take(fixture, RECOVERY_POWER_CYCLE));
    can_cycle = TRUE;
    g_assert_true(take(fixture, RECOVERY_POWER_CYCLE));
    g_assert_false(take(fixture, RECOVERY_POWER_CYCLE));
    g_assert_cmpuint(n_cycles, ==, 1);
}

/** The other actions are not begun here. */
static void test_others(Fixture *fixture, gconstpointer unused)
{
    (void)unused;
    g_assert_false(take(fixture, RECOVERY_RECONNECT));
    g_assert_false(take(fixture, RECOVERY_TELL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    log_init(LOG_LEVEL_ERROR, FALSE); /* warnings are meant */
    g_test_add("/rungs/command", Fixture, NULL, set_up, test_command, tear_down);
    g_test_add("/rungs/power-cycle", Fixture, NULL, set_up, test_power_cycle, tear_down);
    g_test_add("/rungs/others", Fixture, NULL, set_up, test_others, tear_down);
    return g_test_run();
}
