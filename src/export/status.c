/* SPDX-License-Identifier: MIT */
/* What is known of each device whether it answers or not, and what was counted about it. All of it
 * stays while the readings are old, so that a dashboard can tell why they are. */
#include "kind.h"

static void up(Sink *sink, const Device *device)
{
    sink_integer(sink, NO_LABEL, device_is_fresh(device, sink->view->now_us));
}

static void info(Sink *sink, const Device *device)
{
    device->kind->emit_info(sink, device);
}

static void connected(Sink *sink, const Device *device)
{
    sink_integer(sink, NO_LABEL, device->stage == LINK_UP);
}

static void last_success(Sink *sink, const Device *device)
{
    sink_moment(sink, NO_LABEL, device->read_at_us);
}

static void polls(Sink *sink, const Device *device)
{
    sink_integer(sink, NO_LABEL, (int64_t)device->polls);
}

static void poll_failures(Sink *sink, const Device *device)
{
    for (unsigned i = 0; i < POLL_N_FAILURES; i++)
        sink_integer(sink, LABEL("reason", poll_failure_name((PollFailure)i)),
                     (int64_t)device->poll_failures[i]);
}

static void frame_errors(Sink *sink, const Device *device)
{
    for (unsigned i = 1; i < device->kind->n_errors; i++)
        sink_integer(sink, LABEL("error", device->kind->error_name(i)),
                     (int64_t)device->frame_errors[i]);
}

static void frames(Sink *sink, const Device *device)
{
    sink_integer(sink, NO_LABEL, (int64_t)device->frames);
}

static void recoveries(Sink *sink, const Device *device)
{
    for (unsigned i = 0; i < RECOVERY_N_ACTIONS; i++)
        sink_integer(sink, LABEL("action", recovery_action_name((RecoveryAction)i)),
                     (int64_t)device->recoveries[i]);
}

static void fault(Sink *sink, const Device *device)
{
    for (unsigned i = LINK_FAULT_NONE + 1; i < LINK_N_FAULTS; i++)
        sink_integer(sink, LABEL("fault", link_fault_name((LinkFault)i)), device->fault == i);
}

static void operator_needed(Sink *sink, const Device *device)
{
    sink_integer(sink, NO_LABEL, device->operator_needed);
}

static void link_sessions(Sink *sink, const Device *device)
{
    for (unsigned i = 0; i < SESSION_N_REASONS; i++)
        sink_integer(sink, LABEL("reason", session_reason_name((SessionReason)i)),
                     (int64_t)device->sessions[i]);
}

static void poll_duration(Sink *sink, const Device *device)
{
    sink_histogram(sink, &device->poll_duration);
}

static const Family families[] = {
    {
        .name = "up",
        .type = FAMILY_GAUGE,
        .emit = up,
        .help = "Whether the readings are fresh (1); if not (0), no measurement is exported.",
    },
    {
        .name = "", /* the prefix is all of it */
        .type = FAMILY_INFO,
        .emit = info,
        .help = "Which device this is. It stays while the device does not answer. A change is "
                "shown when the device has reported it for an hour.",
    },
    {
        .name = "connected",
        .type = FAMILY_GAUGE,
        .emit = connected,
        .help = "Whether the Bluetooth link is up (1) or not (0).",
    },
    {
        .name = "last_success_timestamp_seconds",
        .type = FAMILY_GAUGE,
        .unit = "seconds",
        .when = FAMILY_ONCE_READ,
        .emit = last_success,
        .help = "Unix time of the latest complete poll.",
    },
    {
        .name = "polls",
        .type = FAMILY_COUNTER,
        .emit = polls,
        .help = "Polls that became due.",
    },
    {
        .name = "poll_failures",
        .type = FAMILY_COUNTER,
        .emit = poll_failures,
        .help = "Polls that were due and brought no readings.",
    },
    {
        .name = "poll_duration_seconds",
        .type = FAMILY_HISTOGRAM,
        .unit = "seconds",
        .emit = poll_duration,
        .help = "Time that a complete poll took, from the first request to the last answer.",
    },
    {
        .name = "frames",
        .type = FAMILY_COUNTER,
        .emit = frames,
        .help = "Answers that came undamaged.",
    },
    {
        .name = "frame_errors",
        .type = FAMILY_COUNTER,
        .emit = frame_errors,
        .help = "Answers that were not used.",
    },
    {
        .name = "link_sessions",
        .type = FAMILY_COUNTER,
        .emit = link_sessions,
        .help = "Bluetooth sessions begun, by why a new one was needed.",
    },
    {
        .name = "recovery_actions",
        .type = FAMILY_COUNTER,
        .emit = recoveries,
        .help = "What was done to get readings again, from the mildest to the last.",
    },
    {
        .name = "fault",
        .type = FAMILY_GAUGE,
        .emit = fault,
        .help = "What is in the way of readings (1); all 0 while nothing is.",
    },
    {
        .name = "operator_needed",
        .type = FAMILY_GAUGE,
        .emit = operator_needed,
        .help = "Whether all that this program can do has not helped (1), so a person should look.",
    },
};

const FamilyTable export_common = {families, G_N_ELEMENTS(families)};
