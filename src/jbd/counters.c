/* SPDX-License-Identifier: MIT */
/* What is known of a JBD board whether it answers or not, and what it or we have counted. */
#include "metrics.h"

/** Labels that are not known yet are empty, which to Prometheus is the same as not there. */
void jbd_emit_info(Sink *sink, const Device *device)
{
    const IdentityClaim *shown = &jbd_state(device)->identity.shown;
    char firmware[JBD_VERSION_SIZE] = "";
    char date[JBD_DATE_SIZE] = "";

    if (shown->has_basic) {
        jbd_format_version(firmware, shown->version);
        jbd_format_date(date, shown->year, shown->month, shown->day);
    }
    const SinkLabel labels[] = {
        {"address", device->address, FALSE},
        {"model", shown->model, FALSE},
        {"firmware", firmware, FALSE},
        {"production_date", date, FALSE},
    };
    sink_labels(sink, labels, G_N_ELEMENTS(labels));
}

static void charge_energy(Sink *sink, const Device *device)
{
    sink_real(sink, NO_LABEL, jbd_state(device)->energy.in_joules);
}

static void discharge_energy(Sink *sink, const Device *device)
{
    sink_real(sink, NO_LABEL, jbd_state(device)->energy.out_joules);
}

static void energy_measured(Sink *sink, const Device *device)
{
    sink_decimal(sink, NO_LABEL, jbd_state(device)->energy.measured_us, 6);
}

/* Register 0xAA counts eleven protections, and behind them something that is none. */
enum { COUNTER_RESTARTS = JBD_N_COUNTERS - 1 };

static void protection_events(Sink *sink, const Device *device)
{
    const JbdState *state = jbd_state(device);

    for (unsigned i = 0; state->has_counters && i < state->counters.count && i < COUNTER_RESTARTS;
         i++)
        sink_integer(sink, LABEL("protection", jbd_counter_name(i)), state->counters.value[i]);
}

static void restarts(Sink *sink, const Device *device)
{
    const JbdState *state = jbd_state(device);

    if (state->has_counters && state->counters.count > COUNTER_RESTARTS)
        sink_integer(sink, NO_LABEL, state->counters.value[COUNTER_RESTARTS]);
}

static void values_left_out(Sink *sink, const Device *device)
{
    for (unsigned i = 0; i < JBD_N_FIELDS; i++)
        sink_integer(sink, LABEL("field", jbd_field_name((JbdField)i)),
                     (int64_t)jbd_state(device)->left_out[i]);
}

static const Family families[] = {
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
        .name = "bms_values_left_out",
        .type = FAMILY_COUNTER,
        .emit = values_left_out,
        .help = "Values of good answers that are not exported, because no board can measure them.",
    },
};

const FamilyTable jbd_counter_families = {families, G_N_ELEMENTS(families)};
