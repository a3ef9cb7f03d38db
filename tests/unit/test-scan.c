/* SPDX-License-Identifier: MIT */
/* The neighbours that a scan finds: taken from BlueZ's objects, judged, and put into lines. */
#include "bluez/neighbours.h"
#include "doctor/scan_table.h"
#include "likeness.h"

#include "terminal.h"

#include <locale.h>
#include <string.h>

#define ADAPTER   "/org/bluez/hci0"
#define PATH(n)   ADAPTER "/dev_" n
#define ADDRESS   "A4:C1:38:00:00:01"
#define UUID(n)   "0000" n "-0000-1000-8000-00805f9b34fb"
#define FF00      "'UUIDs': <['" UUID("1800") "', '" UUID("FF00") "']>, "
#define DEVICE(x) "{'org.bluez.Device1': {'Adapter': <objectpath '" ADAPTER "'>, " x "}}"

static GVariant *parse(const char *type, const char *text)
{
    GError *error = NULL;
    GVariant *value = g_variant_parse(G_VARIANT_TYPE(type), text, NULL, NULL, &error);

    g_assert_no_error(error);
    return value;
}

static gboolean take(Neighbours *neighbours, const char *path, const char *text)
{
    g_autoptr(GVariant) interfaces = parse("a{sa{sv}}", text);

    return neighbours_take_object(neighbours, path, interfaces);
}

static gboolean change(Neighbours *neighbours, const char *path, const char *text)
{
    g_autoptr(GVariant) properties = parse("a{sv}", text);

    return neighbours_take_changes(neighbours, path, properties);
}

static const ScanDevice *device(const Neighbours *neighbours, guint index)
{
    g_assert_cmpuint(index, <, neighbours->devices->len);
    return neighbours->devices->pdata[index];
}

/* ---- neighbours ------------------------------------------------------------------------------ */

static void test_take(void)
{
    Neighbours neighbours;

    neighbours_init(&neighbours, ADAPTER);
    g_assert_true(take(&neighbours, PATH("1"),
                       DEVICE(FF00 "'Address': <'a4:c1:38:00:00:01'>, 'Name': <'xiaoxiang BMS'>, "
                                   "'AddressType': <'public'>, 'RSSI': <int16 -60>, "
                                   "'Bonded': <true>")));
    const ScanDevice *found = device(&neighbours, 0);

    g_assert_cmpstr(found->address, ==, ADDRESS);
    g_assert_cmpstr(found->name, ==, "xiaoxiang BMS");
    g_assert_true(found->public_address && found->heard && found->bonded);
    g_assert_false(found->known || found->connected || found->paired);
    g_assert_cmpint(found->rssi, ==, -60);
    g_assert_cmpuint(found->services, ==, SCAN_SERVICE_FF00 | SCAN_SERVICE_OTHER);

    /* What changes, changes; the rest stays. */
    g_assert_true(change(&neighbours, PATH("1"),
                         "{'RSSI': <int16 -70>, 'Connected': <true>, 'Name': <'x'>}"));
    g_assert_cmpint(found->rssi, ==, -70);
    g_assert_true(found->connected && found->bonded);
    g_assert_cmpstr(found->name, ==, "x");
    g_assert_false(change(&neighbours, PATH("2"), "{'RSSI': <int16 -70>}"));

    /* Told of again, as when BlueZ has forgotten it meanwhile: still one device. */
    g_assert_true(take(&neighbours, PATH("1"), DEVICE("'Address': <'" ADDRESS "'>")));
    g_assert_cmpuint(neighbours.devices->len, ==, 1);
    neighbours_clear(&neighbours);
}

static void test_take_wrong(void)
{
    static const char *const wrong[] = {
        "@a{sa{sv}} {}",
        "{'org.bluez.Device1': @a{sv} {}}",
        DEVICE("'Address': <'nonsense'>"),
        DEVICE("'Address': <5>"),
        "{'org.bluez.Device1': {'Address': <'" ADDRESS "'>}}",
        "{'org.bluez.Device1': {'Address': <'" ADDRESS "'>, 'Adapter': <'" ADAPTER "'>}}",
        "{'org.bluez.Device1': {'Address': <'" ADDRESS
        "'>, 'Adapter': <objectpath '/org/bluez/hci1'>}}",
        "{'org.bluez.Adapter1': {'Address': <'" ADDRESS "'>}}",
    };
    Neighbours neighbours;

    neighbours_init(&neighbours, ADAPTER);
    for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++)
        g_assert_false(take(&neighbours, PATH("1"), wrong[i]));
    g_assert_cmpuint(neighbours.devices->len, ==, 0);

    /* Properties of wrong types are not there. */
    g_assert_true(take(&neighbours, PATH("1"),
                       DEVICE("'Address': <'" ADDRESS "'>, 'Name': <7>, 'RSSI': <'loud'>, "
                              "'UUIDs': <'ff00'>, 'Connected': <'yes'>, 'AddressType': <1>")));
    const ScanDevice *found = device(&neighbours, 0);

    g_assert_cmpstr(found->name, ==, "");
    g_assert_false(found->heard || found->connected || found->public_address);
    g_assert_cmpuint(found->services, ==, 0);
    neighbours_clear(&neighbours);
}

static void test_long_name(void)
{
    Neighbours neighbours;
    g_autofree char *ones = g_strnfill(SCAN_NAME_SIZE - 2, 'x');
    g_autofree char *text = g_strdup_printf("{'Name': <'%säöü'>}", ones);

    neighbours_init(&neighbours, ADAPTER);
    take(&neighbours, PATH("1"), DEVICE("'Address': <'" ADDRESS "'>"));
    change(&neighbours, PATH("1"), text);
    /* Only half of the ä would fit. */
    g_assert_cmpstr(device(&neighbours, 0)->name, ==, ones);
    neighbours_clear(&neighbours);
}

static void test_tree(void)
{
    Neighbours neighbours;
    g_autoptr(GVariant) objects = parse(
        "(a{oa{sa{sv}}})",
        "({'" PATH("1") "': " DEVICE("'Address': <'" ADDRESS "'>") ", '" PATH("2") "': " DEVICE(
            "'Address': <'11:22:33:44:55:66'>") ", "
                                                "'/org/bluez': {'org.bluez.AgentManager1': {}}},)");

    neighbours_init(&neighbours, ADAPTER);
    take(&neighbours, PATH("2"), DEVICE("'Address': <'11:22:33:44:55:66'>"));
    neighbours_take_tree(&neighbours, objects);
    g_assert_cmpuint(neighbours.devices->len, ==, 2);
    g_assert_false(device(&neighbours, 0)->known); /* a signal was faster: it is new */
    g_assert_true(device(&neighbours, 1)->known);
    neighbours_clear(&neighbours);
}

static void test_bound(void)
{
    Neighbours neighbours;

    neighbours_init(&neighbours, ADAPTER);
    for (guint i = 0; i < SCAN_MAX_DEVICES + 10; i++) {
        g_autofree char *path = g_strdup_printf(PATH("%u"), i);
        g_autofree char *text =
            g_strdup_printf(DEVICE("'Address': <'11:22:33:44:%02X:%02X'>"), i >> 8, i & 255);

        g_assert_cmpint(neighbours.full, ==, i > SCAN_MAX_DEVICES);
        g_assert_cmpint(take(&neighbours, path, text), ==, i < SCAN_MAX_DEVICES);
    }
    g_assert_cmpuint(neighbours.devices->len, ==, SCAN_MAX_DEVICES);
    /* Those that are there are followed all the same. */
    g_assert_true(change(&neighbours, PATH("0"), "{'RSSI': <int16 -50>}"));
    neighbours_clear(&neighbours);
}

/* ---- what they are --------------------------------------------------------------------------- */

static void test_classify(void)
{
    enum { FF = SCAN_SERVICE_FF00, FFF = SCAN_SERVICE_FFF0, OTHER = SCAN_SERVICE_OTHER };
    static const struct {
        const char *address, *name;
        unsigned services;
        gboolean random;
        Likeness likeness;
        const char *make, *why;
    } cases[] = {
        {"11:22:33:44:55:66", "", 0, FALSE, LIKENESS_OTHER, "-", ""},
        {"11:22:33:44:55:66", "", FF, FALSE, LIKENESS_LIKELY, "JBD", "service FF00"},
        {"11:22:33:44:55:66", "my battery", FF | OTHER, TRUE, LIKENESS_LIKELY, "JBD",
         "service FF00"},
        {"11:22:33:44:55:66", "", FFF, FALSE, LIKENESS_MAYBE, "maybe", "service FFF0"},
        {"AA:C2:37:00:00:01", "", FFF, FALSE, LIKENESS_LIKELY, "JBD",
         "service FFF0, address AA:C2:37"},
        {"AA:C2:37:00:00:01", "", FFF, TRUE, LIKENESS_MAYBE, "maybe", "service FFF0"},
        {"A4:C1:38:00:00:01", "", 0, FALSE, LIKENESS_MAYBE, "maybe", "address A4:C1:38"},
        {"A4:C1:38:00:00:01", "ATC_1", OTHER, FALSE, LIKENESS_OTHER, "-", "address A4:C1:38"},
        {"A4:C1:39:00:00:01", "", 0, FALSE, LIKENESS_OTHER, "-", ""},
        {"11:22:33:44:55:66", "xiaoxiang BMS", 0, FALSE, LIKENESS_LIKELY, "JBD", "name"},
        {"11:22:33:44:55:66", "XIAOXIANG", 0, FALSE, LIKENESS_LIKELY, "JBD", "name"},
        {"11:22:33:44:55:66", "JBD-SP04S034", 0, FALSE, LIKENESS_LIKELY, "JBD", "name"},
        {"11:22:33:44:55:66", "SP15S001", 0, FALSE, LIKENESS_LIKELY, "JBD", "name"},
        {"11:22:33:44:55:66", "SPEAKER S", 0, FALSE, LIKENESS_OTHER, "-", ""},
        {"11:22:33:44:55:66", "AP21S001", 0, FALSE, LIKENESS_LIKELY, "JBD", "name"},
        {"11:22:33:44:55:66", "DP04S007", 0, FALSE, LIKENESS_LIKELY, "JBD", "name"},
        {"11:22:33:44:55:66", "LT-12V", FFF, FALSE, LIKENESS_LIKELY, "JBD", "service FFF0, name"},
        {"A4:C1:38:00:00:01", "JBD-UP16S015", FF, FALSE, LIKENESS_FOREIGN, "UP16S", NULL},
        {"11:22:33:44:55:66", "UP16S010-L16S", 0, FALSE, LIKENESS_FOREIGN, "UP16S", NULL},
        {"11:22:33:44:55:66", "JK_B2A8S20P", OTHER, FALSE, LIKENESS_FOREIGN, "JK", NULL},
        {"11:22:33:44:55:66", "DL-4018", FFF, FALSE, LIKENESS_FOREIGN, "Daly", NULL},
        {"11:22:33:44:55:66", "ANT-BLE24", OTHER, FALSE, LIKENESS_FOREIGN, "ANT", NULL},
        /* Names are the owner's to choose; the service decides. */
        {"11:22:33:44:55:66", "JK-Garage", FF, FALSE, LIKENESS_LIKELY, "JBD", "service FF00"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        ScanDevice one = {.services = cases[i].services, .public_address = !cases[i].random};
        GString *why = g_string_new(NULL);
        const char *make;

        g_strlcpy(one.address, cases[i].address, sizeof one.address);
        g_strlcpy(one.name, cases[i].name, sizeof one.name);
        g_assert_cmpint(likeness_judge(&one, &make, why), ==, cases[i].likeness);
        g_assert_cmpstr(make, ==, cases[i].make);
        if (cases[i].why)
            g_assert_cmpstr(why->str, ==, cases[i].why);
        else
            g_assert_nonnull(strchr(why->str, ':'));
        g_string_free(why, TRUE);
    }
}

/* ---- lines ----------------------------------------------------------------------------------- */

static const ScanDevice board = {.address = ADDRESS,
                                 .name = "xiaoxiang BMS",
                                 .public_address = TRUE,
                                 .heard = TRUE,
                                 .rssi = -61,
                                 .services = SCAN_SERVICE_FF00};
static const ScanDevice lamp = {
    .address = "11:22:33:44:55:66", .name = "電池\tlamp", .heard = TRUE, .rssi = -100};
static const ScanDevice away = {.address = "A4:C1:38:00:00:02",
                                .name = "JBD-1",
                                .public_address = TRUE,
                                .known = TRUE,
                                .bonded = TRUE};
static const ScanDevice taken = {.address = "A4:C1:38:00:00:03",
                                 .name = "JBD-2",
                                 .public_address = TRUE,
                                 .known = TRUE,
                                 .paired = TRUE,
                                 .connected = TRUE};

static void test_plain(void)
{
    static const struct {
        const ScanDevice *device;
        gboolean in_range;
        const char *line;
    } cases[] = {
        {&board, TRUE,
         ADDRESS "\t-61\tJBD\tnew\txiaoxiang BMS\tservice FF00, name, address A4:C1:38"},
        {&lamp, TRUE, "11:22:33:44:55:66\t-100\t-\tnew\t電池\xef\xbf\xbdlamp\t-"},
        {&away, FALSE, "A4:C1:38:00:00:02\t-\tJBD\tbonded,unheard\tJBD-1\tname, address A4:C1:38"},
        {&taken, TRUE,
         "A4:C1:38:00:00:03\t-\tJBD\tpaired,connected\tJBD-2\tname, address A4:C1:38"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        ScanRow *row = scan_row_new(cases[i].device, FALSE);
        g_autofree char *line = scan_row_plain(row);

        g_assert_cmpstr(line, ==, cases[i].line);
        g_assert_cmpint(scan_row_is_in_range(row), ==, cases[i].in_range);
        scan_row_free(row);
    }
}

static void free_row(gpointer row)
{
    scan_row_free(row);
}

static GPtrArray *table(const ScanStyle *style)
{
    const ScanDevice *const devices[] = {&lamp, &away, &board, &taken};
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(free_row);
    GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);

    for (gsize i = 0; i < G_N_ELEMENTS(devices); i++)
        g_ptr_array_add(rows, scan_row_new(devices[i], FALSE));
    scan_table(rows, style, lines);
    return lines;
}

static void check_lines(const GPtrArray *lines, const char *const *expected)
{
    guint n = 0;

    for (; expected[n]; n++) {
        g_assert_cmpuint(n, <, lines->len);
        g_assert_cmpstr(lines->pdata[n], ==, expected[n]);
    }
    g_assert_cmpuint(n, ==, lines->len);
}

static void test_table(void)
{
    static const char *const expected[] = {
        "ADDRESS            SIGNAL  BOARD  STATE             NAME           WHY",
        "A4:C1:38:00:00:01  -61     JBD    new               xiaoxiang BMS  service FF00, name, "
        "address A4:C1:38",
        "A4:C1:38:00:00:03  -       JBD    paired,connected  JBD-2          name, address A4:C1:38",
        "A4:C1:38:00:00:02  -       JBD    bonded,unheard    JBD-1          name, address A4:C1:38",
        "11:22:33:44:55:66  -100    -      new               電池\xef\xbf\xbdlamp      -",
        NULL,
    };
    const ScanStyle style = {.columns = 200, .max_rows = 100};
    g_autoptr(GPtrArray) lines = table(&style);

    check_lines(lines, expected);
}

static void test_small_table(void)
{
    static const char *const expected[] = {
        "ADDRESS            SIGNAL  BOA…",
        "\033[1mA4:C1:38:00:00:01  -61     JBD…\033[m",
        "and 3 more",
        NULL,
    };
    const ScanStyle style = {.columns = 32, .max_rows = 2, .bold = TRUE};
    g_autoptr(GPtrArray) lines = table(&style);

    check_lines(lines, expected);
}

/* A long name does not push the reasons off a usual terminal, and gets more of a wide one. */
static void test_long_names_in_table(void)
{
    static const guint columns[] = {80, 100, 200};
    static const guint widths[] = {14, 23, 32};
    ScanDevice one = board;
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(free_row);

    memset(one.name, 'x', 100);
    one.name[100] = '\0';
    g_ptr_array_add(rows, scan_row_new(&one, FALSE));
    for (gsize i = 0; i < G_N_ELEMENTS(columns); i++) {
        const ScanStyle style = {.columns = columns[i], .max_rows = 5};
        g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);

        scan_table(rows, &style, lines);
        const char *header = lines->pdata[0];

        g_assert_cmpint(strstr(header, "WHY") - strstr(header, "NAME"), ==, widths[i] + 2);
        g_assert_nonnull(strstr(lines->pdata[1], "x…  service FF00"));
    }
}

/* Whatever the size, nothing is as wide as the terminal. */
static void test_any_width(void)
{
    for (guint columns = 0; columns < 160; columns++) {
        const ScanStyle style = {.columns = columns, .max_rows = columns % 6};
        g_autoptr(GPtrArray) lines = table(&style);

        g_assert_cmpuint(lines->len, <=, 1 + MAX(style.max_rows, 1));
        for (guint i = 0; i < lines->len; i++)
            g_assert_cmpuint(terminal_width(lines->pdata[i]), <, MAX(columns, 1));
    }
}

int main(int argc, char **argv)
{
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scan/take", test_take);
    g_test_add_func("/scan/take/wrong", test_take_wrong);
    g_test_add_func("/scan/take/long-name", test_long_name);
    g_test_add_func("/scan/tree", test_tree);
    g_test_add_func("/scan/bound", test_bound);
    g_test_add_func("/scan/classify", test_classify);
    g_test_add_func("/scan/plain", test_plain);
    g_test_add_func("/scan/table", test_table);
    g_test_add_func("/scan/table/small", test_small_table);
    g_test_add_func("/scan/table/long-names", test_long_names_in_table);
    g_test_add_func("/scan/table/any-width", test_any_width);
    return g_test_run();
}
