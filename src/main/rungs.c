/* SPDX-License-Identifier: MIT */
#include "rungs.h"

#include "system.h"

#define MINUTE (60 * G_TIME_SPAN_SECOND)

struct Rungs {
    Bluez *bluez;
    gboolean may_cycle;
    SystemCommand *command; /* NULL for none */
    RecoveryLimit cycle_limit;
    RecoveryLimit command_limit;
};

Rungs *rungs_new(Bluez *bluez, const Options *options)
{
    Rungs *rungs = g_new0(Rungs, 1);

    rungs->bluez = bluez;
    rungs_follow(rungs, options);
    recovery_limit_init(&rungs->cycle_limit, 5 * MINUTE, 60 * MINUTE);
    recovery_limit_init(&rungs->command_limit, 10 * MINUTE, 120 * MINUTE);
    return rungs;
}

void rungs_follow(Rungs *rungs, const Options *options)
{
    rungs->may_cycle = options->power_cycle;
    system_command_free(rungs->command);
    rungs->command = NULL;
    if (options->recover_command)
        rungs->command = system_command_new(options->recover_command, NULL);
}

void rungs_free(Rungs *rungs)
{
    system_command_free(rungs->command);
    g_free(rungs);
}

static gboolean run_command(Rungs *rungs, const Battery *battery)
{
    const char *const variables[] = {
        "BMS_BATTERY",    battery->name,   "BMS_ADDRESS",
        battery->address, "BMS_FAULT",     link_fault_name(battery->fault),
        "BMS_DETAIL",     battery->detail, NULL,
    };

    return system_command_run(rungs->command, variables);
}

gboolean rungs_take(Rungs *rungs, RecoveryAction action, const Battery *battery)
{
    gint64 now = g_get_monotonic_time();

    if (action == RECOVERY_POWER_CYCLE)
        return rungs->may_cycle && recovery_limit_take(&rungs->cycle_limit, now) &&
               bluez_power_cycle(rungs->bluez);
    if (action == RECOVERY_COMMAND)
        return rungs->command && recovery_limit_take(&rungs->command_limit, now) &&
               run_command(rungs, battery);
    return FALSE;
}

void rungs_relax(Rungs *rungs)
{
    recovery_limit_relax(&rungs->cycle_limit);
    recovery_limit_relax(&rungs->command_limit);
}
