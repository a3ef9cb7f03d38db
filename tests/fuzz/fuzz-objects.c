/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target for what reads BlueZ's object tree (src/bluez/objects.c): it finds what is there and
 * nothing else, whatever the tree is made of.
 *
 *     input    mode (1)  the rest
 *
 * Mode bit 0 clear: the rest is the tree as GVariant serialises it, not trusted. Set: the rest says
 * which objects with which interfaces, properties and values there are, so that a fuzzer gets past
 * the first levels of the tree:
 *
 *     object        how deep (1)  step (1)…  number of interfaces (1)  interface…
 *     interface     name (1)  number of properties (1)  property…
 *     property      name (1)  value, see variants.h
 */
#include "bluez/private.h"
#include "variants.h"

#include <string.h>

enum { MAX_OBJECTS = 24, MAX_DEPTH = 4, MAX_INTERFACES = 4, MAX_PROPERTIES = 8 };

#define DEVICE FUZZ_ADAPTER "/dev_A4_C1_38_00_00_01"

/* ---- the tree ------------------------------------------------------------------------------ */

static const char *const steps[] = {
    "/org/bluez",   "/hci0",        "/hci1",     "/dev_A4_C1_38_00_00_01",
    "/service0010", "/service0020", "/char0011", "/char0015"};
static const char *const interfaces[] = {ADAPTER_IFACE, DEVICE_IFACE, SERVICE_IFACE, CHAR_IFACE,
                                         PROPS_IFACE};
static const char *const properties[] = {"Address",          "Adapter", "Powered", "Connected",
                                         "ServicesResolved", "UUID",    "Flags",   "Notifying"};

static char *make_path(Script *script)
{
    /* Nearly all that is of interest is below these. */
    static const char *const begins[] = {"", DEVICE, FUZZ_ADAPTER, DEVICE "/service0010"};
    const uint8_t shape = script_byte(script);
    GString *path = g_string_new(begins[shape / (MAX_DEPTH + 1) % G_N_ELEMENTS(begins)]);

    for (unsigned depth = shape % (MAX_DEPTH + 1); depth > 0; depth--)
        g_string_append(path, steps[script_byte(script) % G_N_ELEMENTS(steps)]);
    if (path->len == 0)
        g_string_append_c(path, '/');
    return g_string_free(path, FALSE);
}

static void add_properties(GVariantBuilder *builder, Script *script)
{
    g_variant_builder_open(builder, G_VARIANT_TYPE_VARDICT);
    for (unsigned n = script_byte(script) % (MAX_PROPERTIES + 1); n > 0; n--) {
        const char *name = properties[script_byte(script) % G_N_ELEMENTS(properties)];

        g_variant_builder_add(builder, "{sv}", name, fuzz_variant(script));
    }
    g_variant_builder_close(builder);
}

static void add_object(GVariantBuilder *builder, Script *script)
{
    g_autofree char *path = make_path(script);

    g_variant_builder_open(builder, G_VARIANT_TYPE("{oa{sa{sv}}}"));
    g_variant_builder_add(builder, "o", path);
    g_variant_builder_open(builder, G_VARIANT_TYPE("a{sa{sv}}"));
    for (unsigned n = script_byte(script) % (MAX_INTERFACES + 1); n > 0; n--) {
        g_variant_builder_open(builder, G_VARIANT_TYPE("{sa{sv}}"));
        g_variant_builder_add(builder, "s",
                              interfaces[script_byte(script) % G_N_ELEMENTS(interfaces)]);
        add_properties(builder, script);
        g_variant_builder_close(builder);
    }
    g_variant_builder_close(builder);
    g_variant_builder_close(builder);
}

static GVariant *make_tree(Script *script)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, OBJECTS_TYPE);
    g_variant_builder_open(&builder, G_VARIANT_TYPE("a{oa{sa{sv}}}"));
    for (unsigned n = 0; n < MAX_OBJECTS && script->size > 0; n++)
        add_object(&builder, script);
    g_variant_builder_close(&builder);
    return g_variant_ref_sink(g_variant_builder_end(&builder));
}

static GVariant *deserialise(Script *script)
{
    /* Of its own, for GVariant wants it aligned. */
    g_autoptr(GBytes) bytes = g_bytes_new(script->data, script->size);

    return g_variant_ref_sink(g_variant_new_from_bytes(OBJECTS_TYPE, bytes, FALSE));
}

/* ---- what has to hold ---------------------------------------------------------------------- */

/** Whether an object at @a path has @a iface, looked for by other means than those under test. */
static bool has_object(GVariant *objects, const char *path, const char *iface)
{
    GVariantIter *outer;
    const char *object;
    GVariantIter *inner;
    bool has = false;

    g_variant_get(objects, "(a{oa{sa{sv}}})", &outer);
    while (g_variant_iter_loop(outer, "{&oa{sa{sv}}}", &object, &inner)) {
        const char *name;
        GVariantIter *values;

        while (g_variant_iter_loop(inner, "{&sa{sv}}", &name, &values))
            has = has || (strcmp(object, path) == 0 && strcmp(name, iface) == 0);
    }
    g_variant_iter_free(outer);
    return has;
}

static void check_adapter(GVariant *objects, const char *wanted)
{
    g_autofree char *path = NULL;
    gboolean powered = 2;
    const gboolean found = objects_find_adapter(objects, wanted, &path, &powered);

    CHECK(found == (path != NULL));
    CHECK(powered == TRUE || powered == FALSE);
    CHECK(found || !powered);
    if (found) {
        CHECK(g_variant_is_object_path(path));
        CHECK(has_object(objects, path, ADAPTER_IFACE));
        CHECK(!wanted || g_str_has_prefix(wanted, "A4:") || g_str_has_suffix(path, wanted));
    }
}

static void check_device(GVariant *objects, const char *adapter, const char *address)
{
    g_auto(DeviceInfo) info = {0};
    const gboolean found = objects_find_device(objects, adapter, address, &info);

    CHECK(found == (info.path != NULL));
    if (found) {
        CHECK(g_variant_is_object_path(info.path));
        CHECK(has_object(objects, info.path, DEVICE_IFACE));
    } else {
        CHECK(!info.connected && !info.services_resolved);
    }
}

static void check_gatt(GVariant *objects, const char *device)
{
    GattInfo gatt;
    const gboolean found = objects_find_gatt(objects, device, &gatt);

    CHECK(found == (gatt.notify_path != NULL) && found == (gatt.write_path != NULL));
    if (found) {
        CHECK(gatt.can_command || gatt.can_request);
        CHECK(g_str_has_prefix(gatt.notify_path, device));
        CHECK(g_str_has_prefix(gatt.write_path, device));
        CHECK(has_object(objects, gatt.notify_path, CHAR_IFACE));
        CHECK(has_object(objects, gatt.write_path, CHAR_IFACE));
    }
    gatt_info_clear(&gatt);
}

static void check_services(GVariant *objects, const char *device)
{
    g_autofree char *list = objects_list_services(objects, device);

    CHECK(strlen(list) <= 8 * 37);
    CHECK(g_utf8_validate(list, -1, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Script script = {data, size};
    g_autoptr(GVariant) objects =
        script_byte(&script) & 1 ? make_tree(&script) : deserialise(&script);

    check_adapter(objects, NULL);
    check_adapter(objects, "hci1");
    check_adapter(objects, FUZZ_ADDRESS);
    check_device(objects, FUZZ_ADAPTER, FUZZ_ADDRESS);
    check_device(objects, FUZZ_OTHER_ADAPTER, FUZZ_ADDRESS);
    check_gatt(objects, DEVICE);
    check_gatt(objects, FUZZ_ADAPTER);
    check_services(objects, DEVICE);
    return 0;
}
