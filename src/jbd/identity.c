/* SPDX-License-Identifier: MIT */
/* Which board it is: at most one change an hour, and none that does not last. */
#include "identity.h"

#include <string.h>

static const int64_t lasting_us = 3600 * INT64_C(1000000);

static bool is_same(const IdentityClaim *a, const IdentityClaim *b)
{
    return a->has_model == b->has_model && a->has_basic == b->has_basic &&
           strcmp(a->model, b->model) == 0 && a->version == b->version && a->year == b->year &&
           a->month == b->month && a->day == b->day;
}

static void set_model(IdentityClaim *claim, const JbdModel *model)
{
    memcpy(claim->model, model->text, sizeof claim->model);
    claim->has_model = true;
}

static void set_basic(IdentityClaim *claim, const JbdBasic *basic)
{
    claim->version = basic->version;
    claim->year = basic->production_year;
    claim->month = basic->production_month;
    claim->day = basic->production_day;
    claim->has_basic = true;
}

void identity_on_model(Identity *identity, const JbdModel *model)
{
    if (!identity->shown.has_model)
        set_model(&identity->shown, model);
    if (strcmp(identity->read.model, model->text) == 0)
        return;
    set_model(&identity->read, model);
    identity->since_us = INT64_MAX; /* the next poll has the time */
}

void identity_on_poll(Identity *identity, const JbdBasic *basic, int64_t now_us)
{
    IdentityClaim claim = identity->read;

    set_basic(&claim, basic);
    if (!identity->shown.has_basic)
        set_basic(&identity->shown, basic);
    if (!is_same(&claim, &identity->read) || identity->since_us == INT64_MAX) {
        identity->read = claim;
        identity->since_us = now_us;
    }
    if (now_us - identity->since_us >= lasting_us)
        identity->shown = identity->read;
}
