/* SPDX-License-Identifier: MIT */
#include "rungs.h"

#include "system.h"

#define MINUTE (60 * G_TIME_SPAN_SECOND)

enum { COMMAND_LIMIT_MS = 60000, COMMAND_GRACE_MS = 5000 };

struct Rungs {
    Bluez *bluez;
    gboolean may_cycle;
    char *line;             /* of the command; NULL for none */
    SystemCommand *command; /* outlives the options that it was started with */
    RecoveryLimit cycle_limit;
    RecoveryLimit command_limit;
};

Rungs *rungs_new(Bluez *bluez, const Options *options)
{
    Rungs *rungs = g_new0(Rungs, 1);

    rungs->bluez = bluez;
    rungs->command = system_command_new(COMMAND_LIMIT_MS, COMMAND_GRACE_MS);
    rungs_follow(rungs, options);
    recovery_limit_init(&rungs->cycle_limit, 5 * MINUTE, 60 * MINUTE);
    recovery_limit_init(&rungs->command_limit, 10 * MINUTE, 120 * MINUTE);
    return rungs;
}

void rungs_follow(Rungs *rungs, const Options *options)
{
    rungs->may_cycle = options->power_cycle;
    g_free(rungs->line);
    rungs->line = g_strdup(options->recover_command);
}

void rungs_free(Rungs *rungs)
{
    system_command_free(rungs->command);
    g_free(rungs->line);
    g_free(rungs);
}

static gboolean cycle_power(Rungs *rungs, const Device *device)
{
    (void)device;
    return rungs->may_cycle &&
           bluez_power_cycle(rungs->bluez, recovery_limit_is_used(&rungs->cycle_limit));
}

static gboolean run_command(Rungs *rungs, const Device *device)
{
    const char *const variables[] = {
        "BMS_BATTERY",   device->name,   "BMS_ADDRESS",
        device->address, "BMS_FAULT",    link_fault_name(device->fault),
        "BMS_DETAIL",    device->detail, NULL,
    };

    return rungs->line && system_command_start(rungs->command, rungs->line, variables);
}

/** Only what was begun counts towards @a limit. */
static gboolean begin_within(RecoveryLimit *limit, gboolean (*begin)(Rungs *, const Device *),
                             Rungs *rungs, const Device *device)
{
    RecoveryLimit taken = *limit;

    if (!recovery_limit_take(&taken, g_get_monotonic_time()) || !begin(rungs, device))
        return FALSE;
    *limit = taken;
    return TRUE;
}

gboolean rungs_take(Rungs *rungs, RecoveryAction action, const Device *device)
{
    if (action == RECOVERY_POWER_CYCLE)
        return begin_within(&rungs->cycle_limit, cycle_power, rungs, device);
    if (action == RECOVERY_COMMAND)
        return begin_within(&rungs->command_limit, run_command, rungs, device);
    return FALSE;
}

void rungs_relax(Rungs *rungs)
{
    recovery_limit_relax(&rungs->cycle_limit);
    recovery_limit_relax(&rungs->command_limit);
}
