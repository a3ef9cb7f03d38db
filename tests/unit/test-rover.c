/* SPDX-License-Identifier: MIT */
/* Modbus answers among other things, and what registers mean, where no capture says it. */
#include "rover/modbus.h"
#include "rover/rover.h"

#include <glib.h>
#include <string.h>

static const ModbusRead two = {.unit = 1, .start = 0x0100, .count = 2};

/* Appends the CRC. @return the size of the whole */
static gsize finish(guint8 *frame, gsize size)
{
    const guint16 crc = modbus_crc(frame, size);

    frame[size] = (guint8)crc;
    frame[size + 1] = (guint8)(crc >> 8);
    return size + 2;
}

static gsize answer_of(guint8 *out, guint8 unit, guint8 high, guint8 low)
{
    const guint8 frame[] = {unit, 0x03, 4, high, low, 0x12, 0x34};

    memcpy(out, frame, sizeof frame);
    return finish(out, sizeof frame);
}

static void expect(ModbusReader *reader, ModbusEvent expected, ModbusAnswer *answer,
                   ModbusError *error)
{
    *error = MODBUS_OK;

    const ModbusEvent event = modbus_next(reader, answer, error);

    g_assert_cmpint(event, ==, expected);
}

static void test_crc(void)
{
    g_assert_cmphex(modbus_crc((const guint8 *)"123456789", 9), ==, 0x4B37);
}

/* A sound answer of another length is told and skipped, and the one that is waited for is found. */
static void test_late_answers(void)
{
    ModbusReader reader;
    ModbusAnswer answer;
    ModbusError error;
    guint8 bytes[64] = {1, 0x03, 2, 0x00, 0x64};
    gsize size = finish(bytes, 5);

    size += answer_of(bytes + size, 1, 0xAB, 0xCD);
    size += answer_of(bytes + size, 1, 0x01, 0x02);
    modbus_expect(&reader, &two);
    modbus_put(&reader, bytes, size);
    expect(&reader, MODBUS_REFUSED, &answer, &error);
    g_assert_cmpint(error, ==, MODBUS_ERROR_LENGTH);
    expect(&reader, MODBUS_ANSWER, &answer, &error);
    g_assert_cmphex(modbus_register(answer.data, 0), ==, 0xABCD);
    expect(&reader, MODBUS_ANSWER, &answer, &error); /* two in one read */
    g_assert_cmphex(modbus_register(answer.data, 1), ==, 0x1234);
    expect(&reader, MODBUS_NEED_MORE, &answer, &error);
    /* A new question forgets what is left of the earlier one. */
    modbus_put(&reader, bytes, 8);
    modbus_expect(&reader, &two);
    g_assert_false(modbus_is_partial(&reader));
    expect(&reader, MODBUS_NEED_MORE, &answer, &error);
}

/* Half an answer, and then, from a device that has begun again, a whole one. */
static void test_half_answer(void)
{
    ModbusReader reader;
    ModbusAnswer answer;
    ModbusError error;
    guint8 bytes[32];
    gsize size = answer_of(bytes, 1, 0x01, 0x02);

    memmove(bytes + 4, bytes, size);
    modbus_expect(&reader, &two);
    modbus_put(&reader, bytes, 4);
    g_assert_true(modbus_is_partial(&reader));
    modbus_put(&reader, bytes + 4, size);
    expect(&reader, MODBUS_REFUSED, &answer, &error);
    g_assert_cmpint(error, ==, MODBUS_ERROR_CRC);
    expect(&reader, MODBUS_ANSWER, &answer, &error);
    g_assert_cmphex(modbus_register(answer.data, 0), ==, 0x0102);
}

/* Others on the line: another unit, a write and its acknowledgement, an exception of a stranger. */
static void test_foreign_traffic(void)
{
    ModbusReader reader;
    ModbusAnswer answer;
    ModbusError error;
    guint8 write[16] = {1, 0x06, 0x01, 0x0A, 0x00, 0x01};
    guint8 stranger[16] = {2, 0x83, 0x02};
    guint8 bytes[32];

    modbus_expect(&reader, &two);
    modbus_put(&reader, bytes, answer_of(bytes, 2, 1, 2));
    expect(&reader, MODBUS_REFUSED, &answer, &error);
    g_assert_cmpint(error, ==, MODBUS_ERROR_UNIT);
    modbus_put(&reader, write, finish(write, 6));
    expect(&reader, MODBUS_REFUSED, &answer, &error);
    g_assert_cmpint(error, ==, MODBUS_ERROR_FUNCTION);
    modbus_put(&reader, stranger, finish(stranger, 3));
    expect(&reader, MODBUS_REFUSED, &answer, &error);
    g_assert_cmpint(error, ==, MODBUS_ERROR_UNIT);
    modbus_put(&reader, bytes, answer_of(bytes, 1, 1, 2));
    expect(&reader, MODBUS_ANSWER, &answer, &error);
}

/* ---- values ---------------------------------------------------------------------------------- */

static void set(guint8 *data, guint index, guint value)
{
    data[2 * index] = (guint8)(value >> 8);
    data[2 * index + 1] = (guint8)value;
}

/* What cannot be right is left out alone. What was known of it before is not kept alive. */
static void test_left_out(void)
{
    RoverReadings readings = {0};
    guint8 data[2 * 35] = {0};

    set(data, 0, 55);
    set(data, 1, 132);
    g_assert_cmpint(rover_decode(0x0100, data, 35, &readings), ==, 0);
    g_assert_true(rover_knows(&readings, ROVER_STATE_OF_CHARGE));

    set(data, 0, 101);
    set(data, 3, 0xFF19); /* controller: no value; battery: 25 */
    set(data, 7, 0xFFFF);
    set(data, 24, 0xFFFF); /* total charge */
    set(data, 25, 0xFFFF);
    set(data, 33, 0xFFFF); /* all faults at once: a value */
    g_assert_cmpint(rover_decode(0x0100, data, 35, &readings), ==, 4);
    g_assert_false(rover_knows(&readings, ROVER_STATE_OF_CHARGE));
    g_assert_false(rover_knows(&readings, ROVER_CONTROLLER_TEMPERATURE));
    g_assert_cmpint(readings.value[ROVER_BATTERY_TEMPERATURE], ==, 25);
    g_assert_false(rover_knows(&readings, ROVER_PANEL_VOLTAGE));
    g_assert_false(rover_knows(&readings, ROVER_TOTAL_CHARGE));
    g_assert_true(rover_knows(&readings, ROVER_FAULTS_HIGH));
    g_assert_true(rover_knows(&readings, ROVER_BATTERY_VOLTAGE));
}

static void test_empty(void)
{
    RoverReadings readings = {.known = 1};
    guint8 data[4];

    memset(data, 0xFF, sizeof data);
    g_assert_cmpint(rover_decode(0x0100, data, 2, &readings), ==, -1);
    g_assert_cmpuint(readings.known, ==, 1);
}

/* A value of two registers that is cut by the end of the block is not in it. */
static void test_cut_block(void)
{
    RoverReadings readings = {0};
    const guint8 data[2] = {0, 1};

    g_assert_cmpint(rover_decode(0x0118, data, 1, &readings), ==, 0);
    g_assert_cmpuint(readings.known, ==, 0);
}

static void test_texts(void)
{
    RoverReadings readings = {0};
    guint8 data[2 * 17] = {0};

    memcpy(data + 4, "  RCC20RVRE-G1\0\xFF", 16);
    g_assert_cmpint(rover_decode(0x000A, data, 17, &readings), ==, 0);
    g_assert_cmpstr(readings.model, ==, "RCC20RVRE-G1");
    g_assert_cmpstr(readings.software, ==, ""); /* all 0: it does not tell */
    g_assert_cmpstr(readings.serial, ==, "");
}

static void test_names(void)
{
    static const struct {
        const char *model;
        RoverKind kind;
    } models[] = {
        {"RNG-CTRL-RVR40", ROVER_KIND_ROVER},  {"RNG-CTRL-WND10", ROVER_KIND_ROVER},
        {"RCC20RVRE-G1", ROVER_KIND_ROVER},    {"ML4860", ROVER_KIND_SRNE},
        {"DCC50S", ROVER_KIND_DCDC},           {"RBC50D1S-G1", ROVER_KIND_DCDC},
        {"RBT100LFP12S-G1", ROVER_KIND_OTHER}, {"", ROVER_KIND_UNKNOWN},
        {"Solar 60A", ROVER_KIND_UNKNOWN},
    };
    RoverReadings readings = {.model = "RNG-CTRL-RVR40"};

    for (gsize i = 0; i < G_N_ELEMENTS(models); i++)
        g_assert_cmpint(rover_kind(models[i].model), ==, models[i].kind);
    g_assert_cmpstr(rover_state_name(2), ==, "mppt");
    g_assert_null(rover_state_name(7));
    g_assert_null(rover_state_name(-1));
    g_assert_null(rover_battery_type_name(6));
    g_assert_cmpint(rover_faults_layout(&readings), ==, ROVER_FAULTS_OF_ROVER);
    readings.known = UINT64_C(1) << ROVER_FAULTS_LOW;
    readings.value[ROVER_FAULTS_LOW] = 1;
    g_assert_cmpint(rover_faults_layout(&readings), ==, ROVER_FAULTS_OF_SRNE);
    g_assert_cmpstr(rover_fault_name(ROVER_FAULTS_OF_ROVER, true, 8), ==, "panel_short_circuit");
    g_assert_null(rover_fault_name(ROVER_FAULTS_OF_ROVER, false, 0));
    g_assert_null(rover_fault_name(ROVER_FAULTS_OF_SRNE, true, 6));
    g_assert_null(rover_fault_name(ROVER_FAULTS_OF_SRNE, true, 16));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rover/crc", test_crc);
    g_test_add_func("/rover/late-answers", test_late_answers);
    g_test_add_func("/rover/half-answer", test_half_answer);
    g_test_add_func("/rover/foreign-traffic", test_foreign_traffic);
    g_test_add_func("/rover/left-out", test_left_out);
    g_test_add_func("/rover/empty", test_empty);
    g_test_add_func("/rover/cut-block", test_cut_block);
    g_test_add_func("/rover/texts", test_texts);
    g_test_add_func("/rover/names", test_names);
    return g_test_run();
}
