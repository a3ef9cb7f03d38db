/* SPDX-License-Identifier: MIT */
/* What is known about each battery whether it answers or not, what has been counted, and who we
 * are. All of it stays while the readings are old, so that a dashboard can tell why they are. */
#include "family.h"
#include "version.h"

static void up(Sink *sink, const Battery *battery)
{
    sink_integer(sink, NO_LABEL, battery_is_fresh(battery, sink->view->now_us));
}

/** Labels that are not known yet are empty, which to Prometheus is the same as not there. */
static void info(Sink *sink, const Battery *battery)
{
    const IdentityClaim *shown = &battery->identity.shown;
    char firmware[READINGS_VERSION_SIZE] = "";
    char date[READINGS_DATE_SIZE] = "";

    if (shown->has_basic) {
        readings_format_version(firmware, shown->version);
        readings_format_date(date, shown->year, shown->month, shown->day);
    }
    const SinkLabel labels[] = {
        {"address", battery->address, FALSE},
        {"model", shown->model, FALSE},
        {"firmware", firmware, FALSE},
        {"production_date", date, FALSE},
    };
    sink_labels(sink, labels, G_N_ELEMENTS(labels));
}

static void connected(Sink *sink, const Battery *battery)
{
    sink_integer(sink, NO_LABEL, battery->stage == LINK_UP);
}

static void last_success(Sink *sink, const Battery *battery)
{
    sink_moment(sink, NO_LABEL, battery->read_at_us);
}

static void polls(Sink *sink, const Battery *battery)
{
    sink_integer(sink, NO_LABEL, (int64_t)battery->polls);
}

static void poll_failures(Sink *sink, const Battery *battery)
{
    for (unsigned i = 0; i < POLL_N_FAILURES; i++)
        sink_integer(sink, LABEL("reason", poll_failure_name((PollFailure)i)),
                     (int64_t)battery->poll_failures[i]);
}

static void frame_errors(Sink *sink, const Battery *battery)
{
    for (unsigned i = JBD_OK + 1; i < JBD_N_ERRORS; i++)
        sink_integer(sink, LABEL("error", jbd_error_name((JbdError)i)),
                     (int64_t)battery->frame_errors[i]);
}

static void values_left_out(Sink *sink, const Battery *battery)
{
    for (unsigned i = 0; i < JBD_N_FIELDS; i++)
        sink_integer(sink, LABEL("field", jbd_field_name((JbdField)i)),
                     (int64_t)battery->left_out[i]);
}

static void frames(Sink *sink, const Battery *battery)
{
    sink_integer(sink, NO_LABEL, (int64_t)battery->frames);
}

static void recoveries(Sink *sink, const Battery *battery)
{
    for (unsigned i = 0; i < RECOVERY_N_ACTIONS; i++)
        sink_integer(sink, LABEL("action", recovery_action_name((RecoveryAction)i)),
                     (int64_t)battery->recoveries[i]);
}

static void fault(Sink *sink, const Battery *battery)
{
    for (unsigned i = LINK_FAULT_NONE + 1; i < LINK_N_FAULTS; i++)
        sink_integer(sink, LABEL("fault", link_fault_name((LinkFault)i)), battery->fault == i);
}

static void operator_needed(Sink *sink, const Battery *battery)
{
    sink_integer(sink, NO_LABEL, battery->operator_needed);
}

static void link_sessions(Sink *sink, const Battery *battery)
{
    for (unsigned i = 0; i < SESSION_N_REASONS; i++)
        sink_integer(sink, LABEL("reason", session_reason_name((SessionReason)i)),
                     (int64_t)battery->sessions[i]);
}

static void poll_duration(Sink *sink, const Battery *battery)
{
    sink_histogram(sink, &battery->poll_duration);
}

static void charge_energy(Sink *sink, const Battery *battery)
{
    sink_real(sink, NO_LABEL, battery->charged_joules);
}

static void discharge_energy(Sink *sink, const Battery *battery)
{
    sink_real(sink, NO_LABEL, battery->discharged_joules);
}

static void energy_measured(Sink *sink, const Battery *battery)
{
    sink_decimal(sink, NO_LABEL, battery->measured_us, 6);
}

/* Register 0xAA counts eleven protections, and behind them something that is none. */
enum { COUNTER_RESTARTS = JBD_N_COUNTERS - 1 };

static void protection_events(Sink *sink, const Battery *battery)
{
    if (!battery->has_counters)
        return;
    for (unsigned i = 0; i < battery->counters.count && i < COUNTER_RESTARTS; i++)
        sink_integer(sink, LABEL("protection", jbd_counter_name(i)), battery->counters.value[i]);
}

static void restarts(Sink *sink, const Battery *battery)
{
    if (battery->has_counters && battery->counters.count > COUNTER_RESTARTS)
        sink_integer(sink, NO_LABEL, battery->counters.value[COUNTER_RESTARTS]);
}

static void build_info(Sink *sink)
{
    const SinkLabel labels[] = {{"version", bms_version, FALSE}, {"revision", bms_revision, FALSE}};

    sink_labels(sink, labels, G_N_ELEMENTS(labels));
}

static const Family families[] = {
    {
        .name = "bms_up",
        .type = FAMILY_GAUGE,
        .emit = up,
        .help = "Whether the readings are fresh (1); if not (0), no measurement is exported.",
    },
    {
        .name = "bms",
        .type = FAMILY_INFO,
        .emit = info,
        .help = "Which battery this is. It stays while the battery does not answer. A change is "
                "shown when the board has reported it for an hour.",
    },
    {
        .name = "bms_connected",
        .type = FAMILY_GAUGE,
        .emit = connected,
        .help = "Whether the Bluetooth link is up (1) or not (0).",
    },
    {
        .name = "bms_last_success_timestamp_seconds",
        .type = FAMILY_GAUGE,
        .unit = "seconds",
        .when = FAMILY_ONCE_READ,
        .emit = last_success,
        .help = "Unix time of the latest complete poll.",
    },
    {
        .name = "bms_polls",
        .type = FAMILY_COUNTER,
        .emit = polls,
        .help = "Polls that became due.",
    },
    {
        .name = "bms_poll_failures",
        .type = FAMILY_COUNTER,
        .emit = poll_failures,
        .help = "Polls that were due and brought no readings.",
    },
    {
        .name = "bms_poll_duration_seconds",
        .type = FAMILY_HISTOGRAM,
        .unit = "seconds",
        .emit = poll_duration,
        .help = "Time that a complete poll took, from the first request to the last answer.",
    },
    {
        .name = "bms_frames",
        .type = FAMILY_COUNTER,
        .emit = frames,
        .help = "Answers that came undamaged.",
    },
    {
        .name = "bms_frame_errors",
        .type = FAMILY_COUNTER,
        .emit = frame_errors,
        .help = "Answers that were not used.",
    },
    {
        .name = "bms_values_left_out",
        .type = FAMILY_COUNTER,
        .emit = values_left_out,
        .help = "Values of good answers that are not exported, because no board can measure them.",
    },
    {
        .name = "bms_link_sessions",
        .type = FAMILY_COUNTER,
        .emit = link_sessions,
        .help = "Bluetooth sessions begun, by why a new one was needed.",
    },
    {
        .name = "bms_recovery_actions",
        .type = FAMILY_COUNTER,
        .emit = recoveries,
        .help = "What was done to get readings again, from the mildest to the last.",
    },
    {
        .name = "bms_fault",
        .type = FAMILY_GAUGE,
        .emit = fault,
        .help = "What is in the way of readings (1); all 0 while nothing is.",
    },
    {
        .name = "bms_operator_needed",
        .type = FAMILY_GAUGE,
        .emit = operator_needed,
        .help = "Whether all that this program can do has not helped (1), so a person should look.",
    },
    {
        .name = "bms_charge_energy_joules",
        .type = FAMILY_COUNTER,
        .unit = "joules",
        .emit = charge_energy,
        .help = "Energy put in since the start of this program, as far as it was measured.",
    },
    {
        .name = "bms_discharge_energy_joules",
        .type = FAMILY_COUNTER,
        .unit = "joules",
        .emit = discharge_energy,
        .help = "Energy taken out since the start of this program, as far as it was measured.",
    },
    {
        .name = "bms_energy_measured_seconds",
        .type = FAMILY_COUNTER,
        .unit = "seconds",
        .emit = energy_measured,
        .help = "Time over which energy in and out was measured.",
    },
    {
        .name = "bms_protection_events",
        .type = FAMILY_COUNTER,
        .emit = protection_events,
        .help = "How often each protection has tripped since the board's counters were cleared.",
    },
    {
        .name = "bms_restarts",
        .type = FAMILY_COUNTER,
        .emit = restarts,
        .help = "How often the board has restarted since its counters were cleared.",
    },
    {
        .name = "bms_exporter_build_info",
        .type = FAMILY_GAUGE,
        .emit_once = build_info,
        .help = "Version and revision of this program.",
    },
};

const FamilyTable export_status = {families, G_N_ELEMENTS(families), FALSE};
