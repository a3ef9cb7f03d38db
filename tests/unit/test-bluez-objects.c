/* SPDX-License-Identifier: MIT */
/* Reading BlueZ's object tree, a sound one and such as no bluetoothd should send. */
#include "bluez/private.h"

#define ADAPTER "/org/bluez/hci0"
#define DEVICE  ADAPTER "/dev_A4_C1_38_00_00_01"
#define ADDRESS "A4:C1:38:00:00:01"
#define UUID(n) "0000" n "-0000-1000-8000-00805f9b34fb"

#define DEVICE_TEXT                                                                                \
    "'" DEVICE "': {'org.bluez.Device1': {'Address': <'a4:c1:38:00:00:01'>, "                      \
    "'Adapter': <objectpath '" ADAPTER "'>, 'Connected': <true>, 'ServicesResolved': <true>}}"
#define SERVICE_TEXT(path, uuid)                                                                   \
    "'" DEVICE "/" path "': {'org.bluez.GattService1': {'UUID': <'" uuid "'>}}"
#define CHAR_TEXT(path, uuid, flags)                                                               \
    "'" DEVICE "/" path "': {'org.bluez.GattCharacteristic1': {'UUID': <'" uuid                    \
    "'>, 'Flags': <" flags ">, 'Notifying': <false>}}"

/* @a text holds the entries of the tree, in GVariant's text format. */
static GVariant *tree(const char *text)
{
    g_autofree char *whole = g_strdup_printf("({%s},)", text);
    GError *error = NULL;
    GVariant *objects = g_variant_parse(OBJECTS_TYPE, whole, NULL, NULL, &error);

    g_assert_no_error(error);
    return objects;
}

static void test_adapter(void)
{
    g_autoptr(GVariant) objects =
        tree("'/org/bluez/hci1': {'org.bluez.Adapter1': {'Address': <'00:00:00:00:00:02'>, "
             "'Powered': <true>}}, "
             "'/org/bluez/hci0': {'org.bluez.Adapter1': {'Address': <'00:00:00:00:00:01'>, "
             "'Powered': <false>}}, "
             "'/org/bluez/hci2': {'org.bluez.Adapter1': {'Powered': <true>}}, "
             "'/org/bluez': {'org.bluez.AgentManager1': {}}");
    static const struct {
        const char *wanted, *path;
        gboolean powered;
    } cases[] = {
        {NULL, "/org/bluez/hci1", TRUE},
        {"hci0", "/org/bluez/hci0", FALSE},
        {"hci2", "/org/bluez/hci2", TRUE},
        {"00:00:00:00:00:01", "/org/bluez/hci0", FALSE},
        {"hci7", NULL, FALSE},
        {"00:00:00:00:00:09", NULL, FALSE},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = NULL;
        gboolean powered;

        g_assert_cmpint(objects_find_adapter(objects, cases[i].wanted, &path, &powered), ==,
                        cases[i].path != NULL);
        g_assert_cmpstr(path, ==, cases[i].path);
        g_assert_cmpint(powered, ==, cases[i].powered);
    }
}

static void test_device(void)
{
    g_autoptr(GVariant) objects = tree(DEVICE_TEXT);
    g_auto(DeviceInfo) info = {0};

    g_assert_true(objects_find_device(objects, ADAPTER, ADDRESS, &info));
    g_assert_cmpstr(info.path, ==, DEVICE);
    g_assert_true(info.connected);
    g_assert_true(info.services_resolved);
    device_info_clear(&info);
    g_assert_false(objects_find_device(objects, "/org/bluez/hci1", ADDRESS, &info));
    g_assert_false(objects_find_device(objects, ADAPTER, "A4:C1:38:00:00:02", &info));
}

static void test_module(const char *service, const char *notify, const char *write)
{
    g_autofree char *text = g_strdup_printf(
        DEVICE_TEXT ", " SERVICE_TEXT("service0001", UUID("1800")) ", " SERVICE_TEXT(
            "service0010",
            UUID("%s")) ", " CHAR_TEXT("service0010/char0011", UUID("%s"),
                                       "['notify', 'read']") ", " CHAR_TEXT("service0010/char0015",
                                                                            UUID("%s"),
                                                                            "['write', "
                                                                            "'write-without-"
                                                                            "response']"),
        service, notify, write);
    g_autoptr(GVariant) objects = tree(text);
    GattInfo gatt;

    g_assert_true(objects_find_gatt(objects, DEVICE, &gatt));
    g_assert_cmpstr(gatt.notify_path, ==, DEVICE "/service0010/char0011");
    g_assert_cmpstr(gatt.write_path, ==, DEVICE "/service0010/char0015");
    g_assert_true(gatt.can_command);
    g_assert_true(gatt.can_request);
    gatt_info_clear(&gatt);
    /* not another device's */
    g_assert_false(objects_find_gatt(objects, DEVICE "2", &gatt));
    g_assert_false(objects_find_gatt(objects, ADAPTER "/dev_A4_C1_38_00_00", &gatt));
}

static void test_modules(void)
{
    test_module("ff00", "ff01", "ff02");
    test_module("fff0", "fff1", "fff2");
}

static void test_not_a_board(void)
{
    static const char *const trees[] = {
        DEVICE_TEXT,
        /* characteristics without their service, or in another one */
        DEVICE_TEXT
        ", " CHAR_TEXT("service0010/char0011", UUID("ff01"), "['notify']") ", " CHAR_TEXT(
            "service0010/char0015", UUID("ff02"), "['write']"),
        DEVICE_TEXT ", " SERVICE_TEXT("service0010", UUID("ff00")) ", " CHAR_TEXT(
            "service0020/char0011", UUID("ff01"),
            "['notify']") ", " CHAR_TEXT("service0020/char0015", UUID("ff02"), "['write']"),
        /* flags that do not fit */
        DEVICE_TEXT ", " SERVICE_TEXT("service0010", UUID("ff00")) ", " CHAR_TEXT(
            "service0010/char0011", UUID("ff01"),
            "['read']") ", " CHAR_TEXT("service0010/char0015", UUID("ff02"), "['write']"),
        DEVICE_TEXT ", " SERVICE_TEXT("service0010", UUID("fff0")) ", " CHAR_TEXT(
            "service0010/char0011", UUID("fff1"),
            "['notify']") ", " CHAR_TEXT("service0010/char0015", UUID("fff2"), "['read']"),
        /* half of one module and half of the other */
        DEVICE_TEXT ", " SERVICE_TEXT("service0010", UUID("ff00")) ", " CHAR_TEXT(
            "service0010/char0011", UUID("ff01"),
            "['notify']") ", " SERVICE_TEXT("service0020",
                                            UUID("fff0")) ", " CHAR_TEXT("service0020/char0021",
                                                                         UUID("fff2"), "['write']"),
    };

    for (gsize i = 0; i < G_N_ELEMENTS(trees); i++) {
        g_autoptr(GVariant) objects = tree(trees[i]);
        GattInfo gatt;

        g_assert_false(objects_find_gatt(objects, DEVICE, &gatt));
        g_assert_null(gatt.notify_path);
        g_assert_null(gatt.write_path);
    }
}

/* Of a board whose characteristics have these properties beside UUID and Flags. */
static GattInfo find_with(const char *notify, const char *write, gboolean *any_acquired)
{
    g_autofree char *text = g_strdup_printf(
        DEVICE_TEXT ", " SERVICE_TEXT(
            "service0010",
            UUID("ff00")) ", "
                          "'" DEVICE
                          "/service0010/char0011': {'org.bluez.GattCharacteristic1': {'UUID': "
                          "<'" UUID(
                              "ff01") "'>, 'Flags': <['notify']>, %s}}, '" DEVICE
                                      "/service0010/char0015': {'org.bluez.GattCharacteristic1': "
                                      "{'UUID': <'" UUID(
                                          "ff02") "'>, 'Flags': <['write-without-response']>, %s}}",
        notify, write);
    g_autoptr(GVariant) objects = tree(text);
    GattInfo gatt;

    g_assert_true(objects_find_gatt(objects, DEVICE, &gatt));
    *any_acquired = objects_any_acquired(objects, DEVICE);
    g_assert_false(objects_any_acquired(objects, DEVICE "2"));
    return gatt;
}

static void test_acquired(void)
{
    static const struct {
        const char *notify, *write;
        gboolean notify_acquired, write_acquired, any;
    } cases[] = {
        {"'NotifyAcquired': <true>", "'WriteAcquired': <false>", TRUE, FALSE, TRUE},
        {"'NotifyAcquired': <false>", "'WriteAcquired': <true>", FALSE, TRUE, FALSE},
        {"'NotifyAcquired': <'true'>", "'WriteAcquired': <1>", FALSE, FALSE, FALSE},
        /* notifications of what is only written to are nothing to us, but no less in the way */
        {"'Notifying': <true>", "'NotifyAcquired': <true>", FALSE, FALSE, TRUE},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        gboolean any;
        g_auto(GattInfo) gatt = find_with(cases[i].notify, cases[i].write, &any);

        g_assert_cmpint(gatt.notify_acquired, ==, cases[i].notify_acquired);
        g_assert_cmpint(gatt.write_acquired, ==, cases[i].write_acquired);
        g_assert_cmpint(any, ==, cases[i].any);
    }
}

/* Properties of wrong types, missing ones, odd interfaces: not there, and no harm done. */
static void test_wrong_types(void)
{
    g_autoptr(GVariant) objects = tree(
        "'/': {'org.bluez.Adapter1': {'Powered': <'yes'>, 'Address': <uint32 7>}}, "
        "'" DEVICE "': {'org.bluez.Device1': {'Address': <['a']>, 'Adapter': <{'a': <1>}>}}, "
        "'" DEVICE "/service0010': {'org.bluez.GattService1': {'UUID': <int32 4>}}, "
        "'" DEVICE "/service0020': {'org.bluez.GattService1': {'UUID': <'" UUID(
            "ff00") "'>}}, "
                    "'" DEVICE
                    "/service0020/a': {'org.bluez.GattCharacteristic1': {'UUID': <'" UUID(
                        "ff01") "'>, 'Flags': <'notify'>}}, "
                                "'" DEVICE "/service0020/b': {'org.bluez.GattCharacteristic1': "
                                "{'UUID': <'" UUID("ff02") "'>, 'Flags': <[1, 2]>}}");
    g_autofree char *path = NULL;
    g_autofree char *services = objects_list_services(objects, DEVICE);
    gboolean powered;
    DeviceInfo info;
    GattInfo gatt;

    g_assert_true(objects_find_adapter(objects, NULL, &path, &powered));
    g_assert_cmpstr(path, ==, "/");
    g_assert_false(objects_find_device(objects, ADAPTER, ADDRESS, &info));
    g_assert_false(objects_find_gatt(objects, DEVICE, &gatt));
    g_assert_cmpstr(services, ==, "ff00");
}

static void test_listed_services(void)
{
    GString *text = g_string_new(DEVICE_TEXT);
    g_autoptr(GVariant) objects = NULL;
    g_autofree char *services = NULL;

    g_string_append(text, ", " SERVICE_TEXT("a", "12345678-1234-1234-1234-123456789abc"));
    for (int i = 0; i < 100; i++)
        g_string_append_printf(text, ", " SERVICE_TEXT("s%d", UUID("18%02x")), i, (guint)i);
    objects = tree(text->str);
    services = objects_list_services(objects, DEVICE);
    g_assert_nonnull(strstr(services, "12345678-1234-1234-1234-123456789abc"));
    g_assert_nonnull(strstr(services, " 1800"));
    g_assert_cmpuint(strlen(services), <, 100); /* bounded */
    g_string_free(text, TRUE);
}

static void test_guessed_makes(void)
{
    g_assert_cmpstr(objects_guess_make("1800 1801 ffe0"), ==, "JK, ANT and LiTime boards");
    g_assert_null(objects_guess_make("1800 1801"));
    g_assert_null(objects_guess_make("ffe01234"));
    g_assert_null(objects_guess_make(""));
}

static void test_addresses(void)
{
    static const char *const wrong[] = {"",
                                        "A4:C1:38:00:00",
                                        "A4:C1:38:00:00:0",
                                        "A4:C1:38:00:00:012",
                                        "A4-C1-38-00-00-01",
                                        "A4:C1:38:00:00:0G",
                                        "A4C138000001",
                                        " A4:C1:38:00:00:01",
                                        "A4:C1:38:00:00:01 ",
                                        "A4:C1:38:00:00:01\n",
                                        "hci0"};
    char out[18];

    g_assert_true(bluez_parse_address("a4:c1:38:0a:00:01", out));
    g_assert_cmpstr(out, ==, "A4:C1:38:0A:00:01");
    for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++)
        g_assert_false(bluez_parse_address(wrong[i], out));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bluez/adapter", test_adapter);
    g_test_add_func("/bluez/device", test_device);
    g_test_add_func("/bluez/modules", test_modules);
    g_test_add_func("/bluez/not-a-board", test_not_a_board);
    g_test_add_func("/bluez/wrong-types", test_wrong_types);
    g_test_add_func("/bluez/acquired", test_acquired);
    g_test_add_func("/bluez/listed-services", test_listed_services);
    g_test_add_func("/bluez/guessed-makes", test_guessed_makes);
    g_test_add_func("/bluez/addresses", test_addresses);
    return g_test_run();
}
