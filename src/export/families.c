/* SPDX-License-Identifier: MIT */
/* The walk through all metric families that there are, in the order of the exposition. */
#include "kind.h"

static gboolean is_due(const Family *family, const Device *device, const ExportView *view)
{
    switch (family->when) {
    case FAMILY_ALWAYS:
        return TRUE;
    case FAMILY_ONCE_READ:
        return device->has_readings;
    case FAMILY_WHILE_FRESH:
        return device_is_fresh(device, view->now_us);
    }
    return FALSE;
}

/* ---- of the process -------------------------------------------------------------------------- */

static void visit_once(Sink *sink, const FamilyTable *table)
{
    sink->device = NULL;
    sink->prefix = NULL;
    for (size_t i = 0; i < table->n; i++) {
        sink->family = &table->families[i];
        sink->family->emit_once(sink);
    }
}

/* ---- of devices ------------------------------------------------------------------------------ */

static void visit_family(Sink *sink, const Family *family, const Kind *kind, gboolean labelled)
{
    const ExportView *view = sink->view;

    sink->family = family;
    for (size_t i = 0; i < view->n_devices; i++) {
        const Device *device = view->devices[i];

        sink->device = labelled ? device : NULL;
        if (device->kind == kind && is_due(family, device, view))
            family->emit(sink, device);
    }
}

static void visit_table(Sink *sink, const FamilyTable *table, const Kind *kind, gboolean labelled)
{
    sink->label = kind->label;
    for (size_t i = 0; i < table->n; i++)
        visit_family(sink, &table->families[i], kind, labelled);
}

/* The first device of a kind that there is. */
static size_t first_of(const ExportView *view, const Kind *kind)
{
    size_t i = 0;

    while (view->devices[i]->kind != kind)
        i++;
    return i;
}

/* Each kind that a device is of, in the order in which they come first. @return NULL at the end */
static const Kind *next_kind(const ExportView *view, size_t *at)
{
    while (*at < view->n_devices) {
        const Kind *kind = view->devices[*at]->kind;

        if (first_of(view, kind) == (*at)++)
            return kind;
    }
    return NULL;
}

static void visit_status(Sink *sink)
{
    const Kind *kind;

    for (size_t at = 0; (kind = next_kind(sink->view, &at)) != NULL;) {
        sink->prefix = kind->prefix;
        visit_table(sink, &export_common, kind, TRUE);
        sink->prefix = NULL;
        visit_table(sink, kind->counters, kind, TRUE);
    }
}

static void visit_readings(Sink *sink)
{
    const Kind *kind;

    for (size_t at = 0; (kind = next_kind(sink->view, &at)) != NULL;)
        visit_table(sink, kind->readings, kind, TRUE);
}

static guint count_devices(const ExportView *view, const Kind *kind)
{
    guint n = 0;

    for (size_t i = 0; i < view->n_devices; i++)
        n += view->devices[i]->kind == kind;
    return n;
}

/* The programs that are replaced read one device, and no label told which. */
static void visit_legacy(Sink *sink)
{
    const Kind *kind;

    for (size_t at = 0; (kind = next_kind(sink->view, &at)) != NULL;)
        visit_table(sink, kind->legacy, kind, count_devices(sink->view, kind) > 1);
}

void families_visit(Sink *sink)
{
    ProcessStat process;

    process_read_stat(&process);
    sink->process = &process;
    visit_status(sink);
    visit_once(sink, &export_exporter);
    visit_readings(sink);
    if (sink->view->legacy)
        visit_legacy(sink);
    visit_once(sink, &export_process);
    sink->process = NULL;
}
