/* SPDX-License-Identifier: MIT */
/* The names of the stages of a link. */
#include "link.h"

static const char *const stage_names[LINK_N_STAGES] = {
    [LINK_CLOSED] = "disconnected",
    [LINK_WAITING] = "waiting for the radio",
    [LINK_FINDING] = "looking for the battery",
    [LINK_CONNECTING] = "connecting",
    [LINK_RESOLVING] = "discovering services",
    [LINK_SUBSCRIBING] = "subscribing",
    [LINK_UP] = "connected",
    [LINK_CLOSING] = "disconnecting",
};

const char *link_stage_name(LinkStage stage)
{
    return stage_names[stage];
}
