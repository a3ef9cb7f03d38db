/* SPDX-License-Identifier: MIT */
/* Register 0x03: the rules of each field, at and beyond their limits, with made-up payloads. */
#include "jbd-payload.h"

/** A payload of register 0x03 that is being written. */
typedef struct {
    uint8_t data[JBD_MAX_PAYLOAD];
    uint8_t size;
} Basic;

/** 13.70 V, −2.00 A, 50.00 of 100.00 Ah, four cells, @a sensors sensors at 25.0 °C. */
static Basic basic_payload(uint8_t sensors)
{
    Basic basic = {.size = (uint8_t)(JBD_BASIC_SIZE + 2 * sensors)};
    jbd_set_u16(basic.data, 0, 1370);
    jbd_set_u16(basic.data, 2, 0x10000 - 200);
    jbd_set_u16(basic.data, 4, 5000);
    jbd_set_u16(basic.data, 6, 10000);
    jbd_set_u16(basic.data, 8, 12);
    jbd_set_u16(basic.data, 10, 22 << 9 | 3 << 5 | 28);
    basic.data[18] = 0x2A;
    basic.data[19] = 50;
    basic.data[20] = JBD_FET_CHARGE | JBD_FET_DISCHARGE;
    basic.data[21] = 4;
    basic.data[22] = sensors;
    for (size_t i = 0; i < sensors; i++)
        jbd_set_u16(basic.data, JBD_BASIC_SIZE + 2 * i, 2731 + 250);
    return basic;
}

/** Appends a tail of @a size bytes; capacities as they are on the wire. */
static void append_tail(Basic *basic, uint8_t size, unsigned full, unsigned remaining)
{
    uint8_t *tail = basic->data + basic->size;
    memset(tail, 0xEE, size);
    tail[0] = 45;
    jbd_set_u16(tail, 1, 0x8401);
    jbd_set_u16(tail, 3, full);
    jbd_set_u16(tail, 5, remaining);
    jbd_set_u16(tail, 7, 120);
    basic->size = (uint8_t)(basic->size + size);
}

static JbdBasic decode(const Basic *basic)
{
    const JbdFrame frame = jbd_answer(JBD_BASIC, basic->data, basic->size);
    JbdBasic out;
    memset(&out, 0xEE, sizeof out);
    g_assert_cmpint(jbd_decode_basic(&frame, &out), ==, JBD_OK);
    return out;
}

static void test_basic(void)
{
    const Basic basic = basic_payload(2);
    const JbdBasic out = decode(&basic);

    g_assert_cmpint(out.pack_mv, ==, 13700);
    g_assert_cmpint(out.current_ma, ==, -2000);
    g_assert_cmpint(out.remaining_mah, ==, 50000);
    g_assert_cmpint(out.nominal_mah, ==, 100000);
    g_assert_cmpint(out.cycles, ==, 12);
    g_assert_cmpint(out.production_year, ==, 2022);
    g_assert_cmpint(out.production_month, ==, 3);
    g_assert_cmpint(out.production_day, ==, 28);
    g_assert_cmpint(out.balancing, ==, 0);
    g_assert_cmpint(out.protection, ==, 0);
    g_assert_cmphex(out.version, ==, 0x2A);
    g_assert_cmpint(out.soc_percent, ==, 50);
    g_assert_cmpint(out.fet, ==, JBD_FET_CHARGE | JBD_FET_DISCHARGE);
    g_assert_cmpint(out.cell_count, ==, 4);
    g_assert_cmpint(out.sensor_count, ==, 2);
    g_assert_cmpint(out.temperature_dc[0], ==, 250);
    g_assert_cmpint(out.temperature_dc[1], ==, 250);
    g_assert_cmpint(out.temperature_dc[2], ==, 0);
    g_assert_false(out.has_tail);
}

/** Signed is the current, and nothing else. */
static void test_extremes(void)
{
    static const struct {
        unsigned raw;
        int32_t current_ma;
        uint32_t unsigned_10;
        int32_t temperature_dc;
    } rows[] = {
        {0x0000, 0, 0, -2731},           {0x0001, 10, 10, -2730},
        {0x097F, 24310, 24310, -300},    {0x0AAB, 27310, 27310, 0},
        {0x7FFF, 327670, 327670, 30036}, {0x8000, -327680, 327680, 30037},
        {0xFFFF, -10, 655350, 62804},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        Basic basic = basic_payload(1);
        for (size_t at = 0; at <= 8; at += 2)
            jbd_set_u16(basic.data, at, rows[i].raw);
        jbd_set_u16(basic.data, 16, rows[i].raw);
        jbd_set_u16(basic.data, 23, rows[i].raw);
        const JbdBasic out = decode(&basic);
        g_assert_cmpint(out.pack_mv, ==, rows[i].unsigned_10);
        g_assert_cmpint(out.current_ma, ==, rows[i].current_ma);
        g_assert_cmpint(out.remaining_mah, ==, rows[i].unsigned_10);
        g_assert_cmpint(out.nominal_mah, ==, rows[i].unsigned_10);
        g_assert_cmpint(out.cycles, ==, rows[i].raw);
        g_assert_cmpint(out.protection, ==, rows[i].raw);
        g_assert_cmpint(out.temperature_dc[0], ==, rows[i].temperature_dc);
    }
}

static void test_tenfold(void)
{
    Basic basic = basic_payload(0);
    basic.data[20] |= JBD_FET_TENFOLD;
    JbdBasic out = decode(&basic);
    g_assert_cmpint(out.pack_mv, ==, 13700);
    g_assert_cmpint(out.current_ma, ==, -20000);
    g_assert_cmpint(out.remaining_mah, ==, 500000);
    g_assert_cmpint(out.nominal_mah, ==, 1000000);
    g_assert_cmphex(out.fet, ==, 0x83);

    jbd_set_u16(basic.data, 2, 0x8000);
    jbd_set_u16(basic.data, 4, 0xFFFF);
    out = decode(&basic);
    g_assert_cmpint(out.current_ma, ==, -3276800);
    g_assert_cmpint(out.remaining_mah, ==, 6553500);
}

static void test_balancing(void)
{
    for (unsigned cell = 1; cell <= JBD_MAX_CELLS; cell++) {
        Basic basic = basic_payload(0);
        if (cell <= 16)
            jbd_set_u16(basic.data, 12, 1U << (cell - 1));
        else
            jbd_set_u16(basic.data, 14, 1U << (cell - 17));
        g_assert_cmphex(decode(&basic).balancing, ==, 1U << (cell - 1));
    }
}

static void test_date(void)
{
    static const struct {
        unsigned year, month, day;
        bool is_date;
    } rows[] = {
        {2022, 3, 28, true},  {2000, 1, 1, true},   {2127, 12, 31, true}, {2000, 0, 0, false},
        {2022, 0, 28, false}, {2022, 3, 0, false},  {2022, 13, 1, false}, {2022, 15, 31, false},
        {2022, 1, 31, true},  {2022, 4, 30, true},  {2022, 4, 31, false}, {2022, 12, 31, true},
        {2022, 2, 28, true},  {2022, 2, 29, false}, {2024, 2, 29, true},  {2024, 2, 30, false},
        {2000, 2, 29, true},  {2100, 2, 29, false}, {2104, 2, 29, true},  {2022, 11, 31, false},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        Basic basic = basic_payload(0);
        jbd_set_u16(basic.data, 10, (rows[i].year - 2000) << 9 | rows[i].month << 5 | rows[i].day);
        const JbdBasic out = decode(&basic);
        g_assert_cmpint(out.production_year, ==, rows[i].is_date ? rows[i].year : 0);
        g_assert_cmpint(out.production_month, ==, rows[i].is_date ? rows[i].month : 0);
        g_assert_cmpint(out.production_day, ==, rows[i].is_date ? rows[i].day : 0);
    }
}

static void test_sensors(void)
{
    for (unsigned sensors = 0; sensors <= JBD_MAX_SENSORS; sensors++) {
        Basic basic = basic_payload((uint8_t)sensors);
        for (unsigned i = 0; i < sensors; i++)
            jbd_set_u16(basic.data, JBD_BASIC_SIZE + (size_t)i * 2, 2731 + i);
        const JbdBasic out = decode(&basic);
        g_assert_cmpint(out.sensor_count, ==, sensors);
        for (unsigned i = 0; i < sensors; i++)
            g_assert_cmpint(out.temperature_dc[i], ==, i);
    }
}

static void test_basic_too_short(void)
{
    for (unsigned sensors = 0; sensors <= JBD_MAX_SENSORS; sensors++) {
        const Basic basic = basic_payload((uint8_t)sensors);
        for (size_t size = 0; size < basic.size; size++)
            jbd_assert_sanity(JBD_BASIC, basic.data, size);
    }
    /* More sensors than any payload can hold. */
    for (unsigned sensors = JBD_MAX_SENSORS + 1; sensors <= UINT8_MAX; sensors++) {
        Basic basic = basic_payload(0);
        basic.data[22] = (uint8_t)sensors;
        jbd_assert_sanity(JBD_BASIC, basic.data, JBD_MAX_PAYLOAD);
    }
}

/* ---- the tail of 0x03 ---------------------------------------------------------------------- */

static void test_tail(void)
{
    for (uint8_t sensors = 0; sensors <= 8; sensors++) {
        for (unsigned i = 0; i < 2; i++) {
            Basic basic = basic_payload(sensors);
            append_tail(&basic, i == 0 ? 9 : 16, 9900, 5000);
            const JbdBasic out = decode(&basic);
            g_assert_true(out.has_tail);
            g_assert_cmpint(out.tail.humidity_percent, ==, 45);
            g_assert_cmphex(out.tail.alarms, ==, 0x8401);
            g_assert_cmpint(out.tail.full_charge_mah, ==, 99000);
            g_assert_cmpint(out.tail.balance_current_ma, ==, 120);
        }
    }
}

/** Bytes behind the temperatures that are no tail change nothing else. */
static void test_tail_of_other_size(void)
{
    for (uint8_t size = 0; size <= 200; size++) {
        Basic basic = basic_payload(4);
        append_tail(&basic, 9, 9900, 5000);
        basic.size = (uint8_t)(JBD_BASIC_SIZE + 2 * 4 + size);
        const JbdBasic out = decode(&basic);
        g_assert_cmpint(out.has_tail, ==, size == 9 || size == 16);
        g_assert_cmpint(out.remaining_mah, ==, 50000);
        g_assert_cmpint(out.sensor_count, ==, 4);
    }
}

/** Four sensors by its count, six by its bytes, then 64 00 00 00: a clone, and a good reading. */
static void test_clone(void)
{
    static const uint8_t rest[] = {0x0B, 0x87, 0x0B, 0x94, 0x64, 0x00, 0x00, 0x00};
    Basic basic = basic_payload(4);
    memcpy(basic.data + basic.size, rest, sizeof rest);
    basic.size = (uint8_t)(basic.size + sizeof rest);
    jbd_set_u16(basic.data, 10, 0);
    const JbdBasic out = decode(&basic);
    g_assert_cmpint(out.sensor_count, ==, 4);
    g_assert_cmpint(out.production_year, ==, 0);
    g_assert_false(out.has_tail);
}

static void test_tail_plausible(void)
{
    static const struct {
        unsigned fixed, tail;
        uint8_t humidity;
        bool has_tail;
    } rows[] = {
        {5000, 5000, 0, true},     {5000, 5000, 100, true},
        {5000, 5000, 101, false},  {5000, 5000, 255, false},
        {5000, 5050, 45, true},    {5000, 4950, 45, true},
        {5000, 5051, 45, false},   {5000, 4949, 45, false},
        {5000, 0, 45, false},      {0, 0, 45, true},
        {0, 1, 45, true},          {0, 2, 45, false},
        {50, 51, 45, true},        {50, 49, 45, true},
        {50, 52, 45, false},       {65535, 64880, 45, true},
        {65535, 64879, 45, false}, {65535, 0, 45, false},
        {0, 65535, 45, false},     {0x00FF, 0xFF00, 45, false},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        Basic basic = basic_payload(1);
        jbd_set_u16(basic.data, 4, rows[i].fixed);
        append_tail(&basic, 9, 9900, rows[i].tail);
        basic.data[JBD_BASIC_SIZE + 2] = rows[i].humidity;
        const JbdBasic out = decode(&basic);
        g_assert_cmpint(out.has_tail, ==, rows[i].has_tail);
        g_assert_cmpint(out.remaining_mah, ==, rows[i].fixed * INT64_C(10));
        if (!out.has_tail)
            g_assert_cmpint(out.tail.full_charge_mah, ==, 0);
    }
}

/** With FET bit 7 the tail's capacities may be in 10 or in 100 mAh. */
static void test_tail_unit(void)
{
    static const struct {
        unsigned fixed, nominal, tail, full;
        uint32_t full_charge_mah; /* 0: no tail */
    } rows[] = {
        {5000, 10000, 5000, 9900, 990000}, /* both in 100 mAh */
        {500, 1000, 5000, 9900, 99000},    /* the tail in 10 mAh */
        {500, 1000, 5009, 9900, 99000},    /* and finer */
        {500, 1000, 5051, 9900, 0},        /* out by more than one coarse unit and 1 % */
        {500, 1000, 506, 990, 0},          /* the same in 100 mAh */
        {500, 1000, 505, 990, 99000},
        {500, 1000, 50, 990, 0},
        {500, 1000, 5000, 900, 9000},   /* one fits: a worn battery does not matter, */
        {500, 1000, 500, 9900, 990000}, /* nor does one with more than it says */
        {3, 1000, 35, 9900, 99000},     /* off by half a coarse unit of three */
        {3, 1000, 3, 990, 99000},
        {0, 1000, 0, 990, 99000}, /* both fit: the full charge decides */
        {0, 1000, 0, 9900, 99000},
        {0, 1000, 1, 9900, 99000},
        {1, 1000, 1, 990, 99000},
        {65535, 65535, 65535, 65535, 6553500},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        Basic basic = basic_payload(1);
        basic.data[20] |= JBD_FET_TENFOLD;
        jbd_set_u16(basic.data, 4, rows[i].fixed);
        jbd_set_u16(basic.data, 6, rows[i].nominal);
        append_tail(&basic, 9, rows[i].full, rows[i].tail);
        const JbdBasic out = decode(&basic);
        g_assert_cmpint(out.has_tail, ==, rows[i].full_charge_mah > 0);
        g_assert_cmpint(out.tail.full_charge_mah, ==, rows[i].full_charge_mah);
    }
}

static void test_tail_without_tenfold(void)
{
    Basic basic = basic_payload(1);
    append_tail(&basic, 9, 990, 500);
    g_assert_false(decode(&basic).has_tail);
}

static void test_balance_current(void)
{
    static const struct {
        unsigned raw;
        int32_t ma;
    } rows[] = {{0, 0}, {7, 7}, {0x7FFF, 32767}, {0xFFFD, -3}, {0x8000, -32768}};
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        Basic basic = basic_payload(1);
        append_tail(&basic, 9, 9900, 5000);
        jbd_set_u16(basic.data, basic.size - 2U, rows[i].raw);
        g_assert_cmpint(decode(&basic).tail.balance_current_ma, ==, rows[i].ma);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        GTestFunc run;
    } tests[] = {
        {"/jbd/decode/basic", test_basic},
        {"/jbd/decode/extremes", test_extremes},
        {"/jbd/decode/tenfold", test_tenfold},
        {"/jbd/decode/balancing", test_balancing},
        {"/jbd/decode/date", test_date},
        {"/jbd/decode/sensors", test_sensors},
        {"/jbd/decode/basic-too-short", test_basic_too_short},
        {"/jbd/decode/tail", test_tail},
        {"/jbd/decode/tail-of-other-size", test_tail_of_other_size},
        {"/jbd/decode/clone", test_clone},
        {"/jbd/decode/tail-plausible", test_tail_plausible},
        {"/jbd/decode/tail-unit", test_tail_unit},
        {"/jbd/decode/tail-without-tenfold", test_tail_without_tenfold},
        {"/jbd/decode/balance-current", test_balance_current},
    };

    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add_func(tests[i].path, tests[i].run);
    return g_test_run();
}
