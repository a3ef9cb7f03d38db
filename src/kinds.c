/* SPDX-License-Identifier: MIT */
/* The kinds of devices that there are. To add one, add its folder and a line here. */
#include "kind.h"

#include "jbd/board.h"

#include <string.h>

const Kind *const kinds[] = {
    &jbd_kind,
    NULL,
};

const Kind *kind_find(const char *name)
{
    for (guint i = 0; kinds[i]; i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    return NULL;
}

const Kind *kind_default(void)
{
    return kinds[0];
}

Likeness likeness_judge(const ScanDevice *device, const char **make, GString *why)
{
    Likeness best = kinds[0]->judge(device, make, why);

    for (const Kind *const *kind = kinds + 1; *kind; kind++) {
        g_autoptr(GString) other_why = g_string_new(NULL);
        const char *other_make;
        const Likeness other = (*kind)->judge(device, &other_make, other_why);

        if (other <= best)
            continue;
        best = other;
        *make = other_make;
        g_string_assign(why, other_why->str);
    }
    return best;
}
