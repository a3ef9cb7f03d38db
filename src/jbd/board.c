/* SPDX-License-Identifier: MIT */
#include "board.h"

#include "metrics.h"

static const char *error_name(unsigned error)
{
    return jbd_error_name((JbdError)error);
}

static void append_pack(GString *out, const JbdBasic *basic)
{
    g_string_append_printf(out, "%.2f V, %.2f A, ", basic->pack_mv / 1000.0,
                           basic->current_ma / 1000.0);
    if (jbd_soc_is_possible(basic->soc_percent))
        g_string_append_printf(out, "%u %%", basic->soc_percent);
    else
        g_string_append(out, "state of charge unknown");
}

static void append_summary(GString *out, const Device *device)
{
    g_string_append_printf(out, "%u cells, ", jbd_state(device)->cells.count);
    append_pack(out, &jbd_state(device)->basic);
}

static void append_cells(GString *out, const JbdCells *cells)
{
    unsigned low = cells->count ? cells->mv[0] : 0;
    unsigned high = low;

    for (unsigned i = 0; i < cells->count; i++) {
        low = MIN(low, cells->mv[i]);
        high = MAX(high, cells->mv[i]);
    }
    g_string_append_printf(out, "%u cells, %.3f V to %.3f V", cells->count, low / 1000.0,
                           high / 1000.0);
}

static gboolean append_read(GString *out, const Device *device, unsigned read)
{
    const JbdState *state = jbd_state(device);

    switch ((JbdRead)read) {
    case JBD_BASIC:
        append_pack(out, &state->basic);
        return device->has_readings;
    case JBD_CELLS:
        append_cells(out, &state->cells);
        return device->has_readings;
    case JBD_MODEL:
        g_string_append(out, state->model.text);
        return state->has_model;
    case JBD_COUNTERS:
        return state->has_counters;
    case JBD_N_READS:
        break;
    }
    return FALSE;
}

static const char *model(const Device *device)
{
    const JbdState *state = jbd_state(device);

    return state->has_model ? state->model.text : NULL;
}

static const KindRead reads[] = {
    [JBD_BASIC] = {"03", true},     [JBD_CELLS] = {"04", true},    [JBD_MODEL] = {"05", false},
    [JBD_COUNTERS] = {"AA", false}, [JBD_N_READS] = {NULL, false},
};

const Kind jbd_kind = {
    .name = "jbd",
    .reads = reads,
    .prefix = "bms",
    .label = "battery",
    .error_name = error_name,
    .n_errors = JBD_N_ERRORS,
    .emit_info = jbd_emit_info,
    .counters = &jbd_counter_families,
    .readings = &jbd_reading_families,
    .legacy = &jbd_legacy_families,
    .judge = jbd_judge,
    .append_read = append_read,
    .append_summary = append_summary,
    .badge = jbd_badge,
    .append_card = jbd_append_card,
    .model = model,
};
