/* SPDX-License-Identifier: MIT */
/*
 * Every captured, published or made-up exchange of tests/data/renogy.json: found among the bytes
 * whole, byte by byte and cut anywhere, and decoded to what it says there.
 */
#include "rover/modbus.h"
#include "rover/rover.h"

#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#define VECTORS "tests/data/renogy.json"

/* ---- the file -------------------------------------------------------------------------------- */

static JsonArray *load(JsonParser *parser)
{
    GError *error = NULL;

    json_parser_load_from_file(parser, VECTORS, &error);
    g_assert_no_error(error);
    return json_node_get_array(json_parser_get_root(parser));
}

static GByteArray *bytes_of(JsonObject *vector, const char *member)
{
    const char *hex = json_object_get_null_member(vector, member)
                          ? ""
                          : json_object_get_string_member(vector, member);
    GByteArray *bytes = g_byte_array_new();

    for (; hex[0] && hex[1]; hex += 2) {
        const guint8 byte =
            (guint8)(g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));

        g_byte_array_append(bytes, &byte, 1);
    }
    return bytes;
}

static ModbusRead read_of(JsonObject *vector)
{
    return (ModbusRead){.unit = (guint8)json_object_get_int_member(vector, "unit"),
                        .start = (guint16)json_object_get_int_member(vector, "start"),
                        .count = (guint16)json_object_get_int_member(vector, "count")};
}

/* What no request of ours can be about. */
static gboolean is_ours(JsonObject *vector)
{
    return json_object_get_int_member(vector, "function") == 3 &&
           !g_str_equal(json_object_get_string_member(vector, "verdict"), "never_send");
}

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct {
    ModbusEvent event; /* ANSWER or EXCEPTION, or NEED_MORE if there was neither */
    ModbusAnswer answer;
    guint8 data[2 * MODBUS_MAX_REGISTERS];
    ModbusError errors; /* the last one */
    gboolean partial;
} Seen;

/* Feeds pieces whose sizes @a cut tells: up to the cut, and the rest; 0 for byte by byte. */
static Seen read_all(const ModbusRead *read, const GByteArray *bytes, guint cut)
{
    Seen seen = {.event = MODBUS_NEED_MORE};
    ModbusReader reader;

    modbus_expect(&reader, read);
    for (guint from = 0, size; from < bytes->len && seen.event == MODBUS_NEED_MORE; from += size) {
        ModbusEvent event;

        size = cut == 0 ? 1 : from < cut ? cut - from : bytes->len - from;
        size = MIN(size, bytes->len - from);
        g_assert_cmpuint(modbus_put(&reader, bytes->data + from, size), ==, size);
        while ((event = modbus_next(&reader, &seen.answer, &seen.errors)) == MODBUS_REFUSED)
            continue;
        seen.event = event;
        if (event == MODBUS_ANSWER)
            memcpy(seen.data, seen.answer.data, 2 * (gsize)read->count);
    }
    seen.partial = modbus_is_partial(&reader);
    return seen;
}

static void check_verdict(JsonObject *vector, const ModbusRead *read, const Seen *seen)
{
    static const struct {
        const char *verdict;
        ModbusEvent event;
        ModbusError error; /* or OK for any */
    } verdicts[] = {
        {"ok", MODBUS_ANSWER, MODBUS_OK},
        {"ambiguous", MODBUS_ANSWER, MODBUS_OK}, /* nothing in the bytes tells */
        {"exception", MODBUS_EXCEPTION, MODBUS_OK},
        {"no_answer", MODBUS_NEED_MORE, MODBUS_OK},
        {"incomplete", MODBUS_NEED_MORE, MODBUS_OK},
        {"bad_crc", MODBUS_NEED_MORE, MODBUS_ERROR_CRC},
        {"bad_length", MODBUS_NEED_MORE, MODBUS_ERROR_LENGTH},
        {"bad_unit", MODBUS_NEED_MORE, MODBUS_ERROR_UNIT},
        {"bad_function", MODBUS_NEED_MORE, MODBUS_ERROR_FUNCTION},
    };
    const char *verdict = json_object_get_string_member(vector, "verdict");
    JsonObject *derived = json_object_get_object_member(vector, "derived");

    (void)read;
    for (gsize i = 0; i < G_N_ELEMENTS(verdicts); i++) {
        if (!g_str_equal(verdict, verdicts[i].verdict))
            continue;
        g_assert_cmpint(seen->event, ==, verdicts[i].event);
        if (verdicts[i].error != MODBUS_OK)
            g_assert_cmpint(seen->errors, ==, verdicts[i].error);
        g_assert_cmpint(seen->partial, ==, g_str_equal(verdict, "incomplete"));
        if (json_object_has_member(derived, "answer_unit"))
            g_assert_cmpint(seen->answer.unit, ==,
                            json_object_get_int_member(derived, "answer_unit"));
        if (seen->event == MODBUS_EXCEPTION &&
            !json_object_get_null_member(vector, "exception_code"))
            g_assert_cmpint(seen->answer.code, ==,
                            json_object_get_int_member(vector, "exception_code"));
        return;
    }
    g_error("a verdict that this test does not know: %s", verdict);
}

static void test_framing(void)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonArray *vectors = load(parser);
    guint checked = 0;

    for (guint i = 0; i < json_array_get_length(vectors); i++) {
        JsonObject *vector = json_array_get_object_element(vectors, i);
        const ModbusRead read = read_of(vector);
        g_autoptr(GByteArray) bytes = bytes_of(vector, "response");
        g_autoptr(GByteArray) request = bytes_of(vector, "request");
        guint8 ours[MODBUS_REQUEST_SIZE];

        if (!is_ours(vector))
            continue;
        g_test_message("%s", json_object_get_string_member(vector, "id"));
        modbus_request(&read, ours);
        g_assert_cmpuint(request->len, ==, sizeof ours);
        g_assert_true(memcmp(ours, request->data, sizeof ours) == 0);
        for (guint cut = 0; cut <= bytes->len; cut++) {
            const Seen seen = read_all(&read, bytes, cut);

            check_verdict(vector, &read, &seen);
        }
        checked++;
    }
    g_assert_cmpuint(checked, >=, 60);
}

/* ---- values ---------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    RoverValue value;
    double scale;
} names[] = {
    {"soc_pct", ROVER_STATE_OF_CHARGE, 1},
    {"battery_v", ROVER_BATTERY_VOLTAGE, 10},
    {"charge_a", ROVER_CHARGE_CURRENT, 100},
    {"controller_c", ROVER_CONTROLLER_TEMPERATURE, 1},
    {"battery_c", ROVER_BATTERY_TEMPERATURE, 1},
    {"load_v", ROVER_LOAD_VOLTAGE, 10},
    {"load_a", ROVER_LOAD_CURRENT, 100},
    {"load_w", ROVER_LOAD_POWER, 1},
    {"alternator_v", ROVER_LOAD_VOLTAGE, 10},
    {"alternator_a", ROVER_LOAD_CURRENT, 100},
    {"alternator_w", ROVER_LOAD_POWER, 1},
    {"pv_v", ROVER_PANEL_VOLTAGE, 10},
    {"pv_a", ROVER_PANEL_CURRENT, 100},
    {"pv_w", ROVER_CHARGE_POWER, 1},
    {"day_battery_min_v", ROVER_DAY_BATTERY_MIN, 10},
    {"day_battery_max_v", ROVER_DAY_BATTERY_MAX, 10},
    {"day_charge_max_a", ROVER_DAY_CHARGE_CURRENT_MAX, 100},
    {"day_discharge_max_a", ROVER_DAY_DISCHARGE_CURRENT_MAX, 100},
    {"day_charge_max_w", ROVER_DAY_CHARGE_POWER_MAX, 1},
    {"day_discharge_max_w", ROVER_DAY_DISCHARGE_POWER_MAX, 1},
    {"day_charge_ah", ROVER_DAY_CHARGE, 1},
    {"day_discharge_ah", ROVER_DAY_DISCHARGE, 1},
    {"day_generation_wh", ROVER_DAY_GENERATION, 1},
    {"day_consumption_wh", ROVER_DAY_CONSUMPTION, 1},
    {"operating_days", ROVER_OPERATING_DAYS, 1},
    {"over_discharges", ROVER_OVER_DISCHARGES, 1},
    {"full_charges", ROVER_FULL_CHARGES, 1},
    {"total_charge_ah", ROVER_TOTAL_CHARGE, 1},
    {"total_discharge_ah", ROVER_TOTAL_DISCHARGE, 1},
    {"total_generation_wh", ROVER_TOTAL_GENERATION, 1},
    {"total_consumption_wh", ROVER_TOTAL_CONSUMPTION, 1},
    {"load_on", ROVER_LOAD_ON, 1},
    {"brightness_pct", ROVER_LOAD_BRIGHTNESS, 1},
    {"charging_state", ROVER_CHARGING_STATE, 1},
    {"max_system_v", ROVER_MAX_SYSTEM_VOLTAGE, 1},
    {"rated_charge_a", ROVER_RATED_CHARGE_CURRENT, 1},
};

/* Those of section "invalid" hold what the registers say; what cannot be right is left out here. */
static void check_number(const RoverReadings *readings, RoverValue value, double expected,
                         double scale, gboolean invalid)
{
    if (invalid && !rover_knows(readings, value))
        return;
    g_assert_true(rover_knows(readings, value));
    g_assert_cmpfloat((double)readings->value[value] / scale, ==, expected);
}

static guint check_values(JsonObject *vector, const RoverReadings *readings)
{
    JsonObject *derived = json_object_get_object_member(vector, "derived");
    const gboolean invalid =
        g_str_equal(json_object_get_string_member(vector, "category"), "invalid");
    guint checked = 0;

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        if (!json_object_has_member(derived, names[i].name))
            continue;
        check_number(readings, names[i].value,
                     json_object_get_double_member(derived, names[i].name), names[i].scale,
                     invalid);
        checked++;
    }
    return checked;
}

static void check_word(JsonObject *derived, const char *name, const RoverReadings *readings,
                       RoverValue value)
{
    if (!json_object_has_member(derived, name))
        return;
    g_assert_true(rover_knows(readings, value));
    g_assert_cmpint(
        readings->value[value], ==,
        (gint64)g_ascii_strtoull(json_object_get_string_member(derived, name), NULL, 16));
}

static void check_text(JsonObject *derived, const char *name, const char *text)
{
    if (json_object_has_member(derived, name))
        g_assert_cmpstr(text, ==, json_object_get_string_member(derived, name));
}

static void test_values(void)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonArray *vectors = load(parser);
    guint checked = 0;

    for (guint i = 0; i < json_array_get_length(vectors); i++) {
        JsonObject *vector = json_array_get_object_element(vectors, i);
        JsonObject *derived = json_object_get_object_member(vector, "derived");
        const ModbusRead read = read_of(vector);
        g_autoptr(GByteArray) bytes = bytes_of(vector, "response");
        RoverReadings readings = {0};

        if (!is_ours(vector) ||
            !g_str_equal(json_object_get_string_member(vector, "verdict"), "ok") ||
            json_object_has_member(derived, "registers"))
            continue;
        g_test_message("%s", json_object_get_string_member(vector, "id"));

        const Seen seen = read_all(&read, bytes, bytes->len);
        const int left_out = rover_decode(read.start, seen.data, read.count, &readings);

        if (left_out < 0) {
            g_assert_cmpuint(readings.known, ==, 0);
            continue;
        }
        checked += check_values(vector, &readings);
        check_word(derived, "fault_word_0121", &readings, ROVER_FAULTS_HIGH);
        check_word(derived, "fault_word_0122", &readings, ROVER_FAULTS_LOW);
        check_text(derived, "model", readings.model);
        check_text(derived, "software_version", readings.software);
        check_text(derived, "hardware_version", readings.hardware);
        check_text(derived, "serial_hex", readings.serial);
    }
    g_assert_cmpuint(checked, >, 400);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rover/vectors/framing", test_framing);
    g_test_add_func("/rover/vectors/values", test_values);
    return g_test_run();
}
