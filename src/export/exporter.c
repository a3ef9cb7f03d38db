/* SPDX-License-Identifier: MIT */
/* Which program serves this. */
#include "family.h"
#include "version.h"

static void build_info(Sink *sink)
{
    const SinkLabel labels[] = {{"version", bms_version, FALSE}, {"revision", bms_revision, FALSE}};

    sink_labels(sink, labels, G_N_ELEMENTS(labels));
}

static const Family families[] = {
    {
        .name = "bms_exporter_build_info",
        .type = FAMILY_GAUGE,
        .emit_once = build_info,
        .help = "Version and revision of this program.",
    },
};

const FamilyTable export_exporter = {families, G_N_ELEMENTS(families)};
