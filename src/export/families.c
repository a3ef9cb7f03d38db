/* SPDX-License-Identifier: MIT */
/* All tables of metric families in the order of the exposition, and the walk through them. */
#include "family.h"

static const FamilyTable *const tables[] = {
    &export_status,
    &export_readings,
    &export_legacy,
    &export_process,
};

static gboolean is_due(const Family *family, const Battery *battery, const ExportView *view)
{
    switch (family->when) {
    case FAMILY_ALWAYS:
        return TRUE;
    case FAMILY_ONCE_READ:
        return battery->has_readings;
    case FAMILY_WHILE_FRESH:
        return battery_is_fresh(battery, view->now_us);
    }
    return FALSE;
}

static void visit_family(Sink *sink, const Family *family, gboolean legacy)
{
    const ExportView *view = sink->view;

    sink->family = family;
    sink->battery = NULL;
    if (family->emit_once)
        family->emit_once(sink);
    for (size_t i = 0; family->emit && i < view->n_batteries; i++) {
        const Battery *battery = view->batteries[i];

        sink->battery = legacy && view->n_batteries == 1 ? NULL : battery;
        if (is_due(family, battery, view))
            family->emit(sink, battery);
    }
}

void families_visit(Sink *sink)
{
    ProcessStat process;

    process_read_stat(&process);
    sink->process = &process;
    for (size_t t = 0; t < G_N_ELEMENTS(tables); t++)
        for (size_t i = 0; i < tables[t]->n && (!tables[t]->legacy || sink->view->legacy); i++)
            visit_family(sink, &tables[t]->families[i], tables[t]->legacy);
    sink->process = NULL;
}
