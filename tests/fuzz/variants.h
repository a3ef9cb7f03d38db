/* SPDX-License-Identifier: MIT */
/* Values of properties, right and wrong ones, out of a script. */
#ifndef BMS_FUZZ_VARIANTS_H
#define BMS_FUZZ_VARIANTS_H

#include "fuzz.h"

#include <gio/gio.h>

#define FUZZ_ADAPTER       "/org/bluez/hci0"
#define FUZZ_OTHER_ADAPTER "/org/bluez/hci1"
#define FUZZ_ADDRESS       "A4:C1:38:00:00:01"
#define FUZZ_OTHER_ADDRESS "A4:C1:38:00:00:02"
#define FUZZ_UUID(sixteen) "0000" sixteen "-0000-1000-8000-00805f9b34fb"

/** What a property of BlueZ's may hold, and a few things that it may not. */
static const char *const fuzz_texts[] = {
    FUZZ_ADDRESS,
    FUZZ_OTHER_ADDRESS,
    "a4:c1:38:00:00:01",
    "",
    FUZZ_ADAPTER,
    FUZZ_OTHER_ADAPTER,
    FUZZ_UUID("ff00"),
    FUZZ_UUID("ff01"),
    FUZZ_UUID("ff02"),
    FUZZ_UUID("fff0"),
    FUZZ_UUID("fff1"),
    FUZZ_UUID("fff2"),
    FUZZ_UUID("1800"),
    "0000FF00-0000-1000-8000-00805F9B34FB",
    "12345678-1234-1234-1234-123456789abcdef",
    "notify",
    "write",
    "write-without-response",
    "a\nb\xC3\xA4",
    "/",
};

static inline const char *fuzz_text(Script *script)
{
    return fuzz_texts[script_byte(script) % G_N_ELEMENTS(fuzz_texts)];
}

static inline GVariant *fuzz_texts_array(Script *script, const char *type)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE(type));
    for (unsigned n = script_byte(script) % 4; n > 0; n--)
        g_variant_builder_add(&builder, "s", fuzz_text(script));
    return g_variant_builder_end(&builder);
}

/** A value of any type; floating, as GVariant's constructors make them. */
static inline GVariant *fuzz_variant(Script *script)
{
    const char *text;
    const uint8_t *bytes;
    size_t size;

    switch (script_byte(script) % 14) {
    case 0:
        return g_variant_new_boolean(TRUE);
    case 1:
        return g_variant_new_boolean(FALSE);
    case 2:
    case 3:
        return g_variant_new_string(fuzz_text(script));
    case 4:
        text = fuzz_text(script);
        return g_variant_new_object_path(g_variant_is_object_path(text) ? text : "/");
    case 5:
    case 6:
        return fuzz_texts_array(script, "as");
    case 7:
        size = script_byte(script);
        bytes = script_bytes(script, &size);
        return g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, bytes, size, 1);
    case 8:
        return g_variant_new_int32(-1);
    case 9:
        return g_variant_new_uint16(script_byte(script));
    case 10:
        return g_variant_new_byte(script_byte(script));
    case 11:
        return g_variant_new_double(-0.0);
    case 12:
        return g_variant_new_variant(g_variant_new_boolean(TRUE));
    default:
        return g_variant_new_array(G_VARIANT_TYPE("{sv}"), NULL, 0);
    }
}

#endif
