/* SPDX-License-Identifier: MIT */
/* The names that a person gives to batteries. */
#ifndef BMS_NAMES_H
#define BMS_NAMES_H

#include <glib.h>

/**
 * Whether a name can be shown and exported as it is.
 * @param argument what to quote in @a error: ADDRESS=NAME
 */
gboolean name_check(const char *argument, const char *name, GError **error);

/** Whether two names that have been checked are the same, or look the same: in another
 * normalization of Unicode, or as an address in another case. */
gboolean name_is_same(const char *one, const char *other);

#endif
