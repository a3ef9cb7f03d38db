/* SPDX-License-Identifier: MIT */
/*
 * GetManagedObjects answers with all that BlueZ knows, also of strangers: among many neighbours
 * some megabytes, which malloc keeps for later when they are freed. They are given back to the
 * system.
 */
#include "private.h"

#include <malloc.h>

enum {
    LARGE_BYTES = 256 * 1024, /* more than a house of batteries has */
    TRIM_MS = 1000,           /* then the answer is freed, and others have come that are due */
};

static gboolean on_trim(gpointer user)
{
    Bluez *bluez = user;

    bluez->trim = 0;
    malloc_trim(0);
    return G_SOURCE_REMOVE;
}

void bluez_trim_after(Bluez *bluez, GVariant *objects)
{
    if (objects && !bluez->trim && g_variant_get_size(objects) >= LARGE_BYTES)
        bluez->trim = g_timeout_add(TRIM_MS, on_trim, bluez);
}
