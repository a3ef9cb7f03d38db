/* SPDX-License-Identifier: MIT */
/* The smaller registers, what all decoders have in common, and the names. */
#include "jbd-payload.h"

static void test_register(void)
{
    const uint8_t data[24] = {0};
    for (JbdRead read = 0; read < JBD_N_READS; read++) {
        for (unsigned reg = 0; reg <= UINT8_MAX; reg++) {
            if (reg == jbd_register(read))
                continue;
            /* Whose answer it is comes first: a refusal of something else is not one of this. */
            const JbdFrame good = {.reg = (uint8_t)reg, .size = 24, .data = data};
            const JbdFrame error = {.reg = (uint8_t)reg, .status = 0x80, .data = data};
            jbd_assert_refused(read, &good, JBD_ERROR_REGISTER);
            jbd_assert_refused(read, &error, JBD_ERROR_REGISTER);
        }
    }
}

static void test_status(void)
{
    const uint8_t data[24] = {0};
    for (JbdRead read = 0; read < JBD_N_READS; read++) {
        for (unsigned status = 1; status <= UINT8_MAX; status++) {
            JbdFrame frame = jbd_answer(read, data, 0);
            frame.status = (uint8_t)status;
            jbd_assert_refused(read, &frame, JBD_ERROR_STATUS);
            frame.size = 24;
            jbd_assert_refused(read, &frame, JBD_ERROR_STATUS);
        }
    }
}

/* ---- 0x04, 0x05, 0xAA ---------------------------------------------------------------------- */

static void test_cells(void)
{
    uint8_t data[JBD_MAX_PAYLOAD];
    for (size_t i = 0; i + 1 < sizeof data; i += 2)
        jbd_set_u16(data, i, (unsigned)(0xFFFF - i));
    jbd_set_u16(data, 2, 0);

    for (size_t size = 0; size <= sizeof data; size++) {
        if (size == 0 || size % 2 != 0 || size > (size_t)2 * JBD_MAX_CELLS) {
            jbd_assert_sanity(JBD_CELLS, data, size);
            continue;
        }
        const JbdFrame frame = jbd_answer(JBD_CELLS, data, size);
        JbdCells cells;
        memset(&cells, 0xEE, sizeof cells);
        g_assert_cmpint(jbd_decode_cells(&frame, &cells), ==, JBD_OK);
        g_assert_cmpuint(cells.count, ==, size / 2);
        uint32_t sum = 0;
        for (unsigned i = 0; i < cells.count; i++) {
            g_assert_cmpint(cells.mv[i], ==, i == 1 ? 0 : 0xFFFF - 2 * i);
            sum += cells.mv[i];
        }
        g_assert_cmpint(jbd_cells_sum_mv(&cells), ==, sum);
    }
}

static void test_model(void)
{
    static const char longest[] = "0123456789012345678901234567890"; /* 31 */
    static const struct {
        const char *data;
        size_t size;
        const char *text; /* NULL: there is none */
    } rows[] = {
        {"JBD-SP04S034", 12, "JBD-SP04S034"},
        {"x", 1, "x"},
        {"", 0, NULL},
        {"\0\0\0\0", 4, NULL},
        {"   ", 3, NULL},
        {"\xFF\xFF", 2, NULL},
        {"SP04S\0\0\0", 8, "SP04S"},
        {"SP04S\0junk", 10, "SP04S"},
        {"SP04S   ", 8, "SP04S"},
        {"SP04S \xFF\xFF", 8, "SP04S"},
        {"SP04S \0\xFF", 8, "SP04S"},
        {" SP 04 S", 8, " SP 04 S"},
        {"\xD0\xC7\t\x01", 4, "\xD0\xC7\t\x01"}, /* left raw */
        {longest, 31, longest},
        {"0123456789012345678901234567890X", 32, longest},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        const uint8_t *data = (const uint8_t *)rows[i].data;
        if (!rows[i].text) {
            jbd_assert_sanity(JBD_MODEL, data, rows[i].size);
            continue;
        }
        const JbdFrame frame = jbd_answer(JBD_MODEL, data, rows[i].size);
        JbdModel model;
        memset(&model, 0xEE, sizeof model);
        g_assert_cmpint(jbd_decode_model(&frame, &model), ==, JBD_OK);
        g_assert_cmpstr(model.text, ==, rows[i].text);
    }

    uint8_t data[JBD_MAX_PAYLOAD];
    memset(data, 'x', sizeof data);
    const JbdFrame frame = jbd_answer(JBD_MODEL, data, sizeof data);
    JbdModel model;
    g_assert_cmpint(jbd_decode_model(&frame, &model), ==, JBD_OK);
    g_assert_cmpuint(strlen(model.text), ==, JBD_MODEL_SIZE);
}

static void test_counters(void)
{
    uint8_t data[JBD_MAX_PAYLOAD];
    for (size_t i = 0; i + 1 < sizeof data; i += 2)
        jbd_set_u16(data, i, (unsigned)(0xFFFF - i));

    for (size_t size = 0; size <= sizeof data; size++) {
        if (size < 22 || size % 2 != 0) {
            jbd_assert_sanity(JBD_COUNTERS, data, size);
            continue;
        }
        const JbdFrame frame = jbd_answer(JBD_COUNTERS, data, size);
        JbdCounters counters;
        memset(&counters, 0xEE, sizeof counters);
        g_assert_cmpint(jbd_decode_counters(&frame, &counters), ==, JBD_OK);
        g_assert_cmpint(counters.count, ==, size == 22 ? 11 : 12);
        for (unsigned i = 0; i < counters.count; i++)
            g_assert_cmpint(counters.value[i], ==, 0xFFFF - 2 * i);
    }
}

/* ---- frames that are refused, in words ------------------------------------------------------- */

static void test_malformed(void)
{
    static const struct {
        uint8_t reg;
        uint8_t size;
        uint8_t sensors; /* at offset 22 */
        const char *text;
    } rows[] = {
        {0x03, 22, 0, "register 03: 22 bytes, at least 23 expected"},
        {0x03, 0, 0, "register 03: 0 bytes, at least 23 expected"},
        {0x03, 29, 8, "register 03: 29 bytes, at least 39 expected for its 8 sensors"},
        {0x03, 255, 255, "register 03: 255 bytes, at least 533 expected for its 255 sensors"},
        {0x04, 72, 0, "register 04: 72 bytes, at most 64 expected"},
        {0x04, 255, 0, "register 04: 255 bytes, at most 64 expected"},
        {0x04, 7, 0, "register 04: 7 bytes, an even number expected"},
        {0x04, 0, 0, "register 04: 0 bytes, at least 2 expected"},
        {0x05, 9, 0, "register 05: 9 bytes, a text expected"},
        {0xAA, 20, 0, "register AA: 20 bytes, at least 22 expected"},
        {0xAA, 23, 0, "register AA: 23 bytes, an even number expected"},
        /* Not refused for its length: there is nothing to say but how long it is. */
        {0x03, 23, 0, "register 03: 23 bytes"},
        {0x77, 3, 0, "register 77: 3 bytes"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint8_t data[JBD_MAX_PAYLOAD] = {0};
        data[22] = rows[i].sensors;
        const JbdFrame frame = {.reg = rows[i].reg, .size = rows[i].size, .data = data};
        char text[JBD_MALFORMED_SIZE];
        jbd_describe_malformed(text, &frame);
        g_assert_cmpstr(text, ==, rows[i].text);
    }
}

/* ---- passwords among bytes ------------------------------------------------------------------- */

/** The bytes as hex, those to be hidden as "**". */
static char *masked(JbdMask *mask, const uint8_t *data, size_t size)
{
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < size; i++) {
        if (jbd_mask_hides(mask, data[i]))
            g_string_append(text, "**");
        else
            g_string_append_printf(text, "%02x", data[i]);
    }
    return g_string_free(text, FALSE);
}

static void test_mask(void)
{
    static const uint8_t password[] = {'s', 'e', 'c', 'r', 'e', 't'};
    static const uint8_t address[] = {0xA4, 0xC1, 0x38, 0, 0, 1};
    const JbdStepRequest secret = jbd_step_password(password, address, 0x5A);
    const JbdStepRequest others[] = {jbd_step_key(), jbd_step_random()};
    static const uint8_t answer[] = {0xFF, 0xAA, 0x18, 0x01, 0x00, 0x19};

    /* However it is cut, and whatever stands before and behind it. */
    for (size_t cut = 0; cut <= secret.size; cut++) {
        JbdMask mask = {0};
        g_autofree char *noise = masked(&mask, (const uint8_t *)"\xDD\xFF\xFF\xAA\xFF", 5);
        g_autofree char *first = masked(&mask, secret.bytes, cut);
        g_autofree char *rest = masked(&mask, secret.bytes + cut, secret.size - cut);
        g_autofree char *after = masked(&mask, answer, sizeof answer);
        g_autofree char *all = g_strconcat(first, rest, NULL);
        g_assert_cmpstr(noise, ==, "ddffffaaff");
        g_assert_cmpstr(all, ==, "ffaa1806**************");
        g_assert_cmpstr(after, ==, "ffaa18010019");
    }
    for (guint i = 0; i < G_N_ELEMENTS(others); i++) {
        JbdMask mask = {0};
        g_autofree char *text = masked(&mask, others[i].bytes, others[i].size);
        g_assert_null(strchr(text, '*'));
    }
}

/* ---- names --------------------------------------------------------------------------------- */

typedef const char *(*Name)(unsigned index);

static const char *error_name(unsigned index)
{
    return jbd_error_name((JbdError)index);
}

static const char *field_name(unsigned index)
{
    return jbd_field_name((JbdField)index);
}

/** In one line, so that a change of a name or of the order is seen. */
static void test_names(void)
{
    static const struct {
        Name name;
        unsigned count;
        const char *all;
    } rows[] = {
        {error_name, JBD_N_ERRORS, "ok checksum length echo status register sanity "},
        {jbd_protection_name, JBD_N_PROTECTIONS,
         "cell_overvoltage cell_undervoltage pack_overvoltage pack_undervoltage "
         "charge_overtemperature charge_undertemperature discharge_overtemperature "
         "discharge_undertemperature charge_overcurrent discharge_overcurrent short_circuit "
         "frontend_ic_error mos_software_lock charge_mos_breakdown discharge_mos_breakdown "
         "reserved_15 "},
        {jbd_alarm_name, JBD_N_PROTECTIONS,
         "cell_high cell_low pack_high pack_low charge_temperature_high charge_temperature_low "
         "discharge_temperature_high discharge_temperature_low charge_overcurrent "
         "discharge_overcurrent cell_difference low_capacity reserved_12 reserved_13 reserved_14 "
         "reserved_15 "},
        {jbd_counter_name, JBD_N_COUNTERS,
         "short_circuit charge_overcurrent discharge_overcurrent cell_overvoltage "
         "cell_undervoltage charge_overtemperature charge_undertemperature "
         "discharge_overtemperature discharge_undertemperature pack_overvoltage "
         "pack_undervoltage restarts "},
        {jbd_function_name, JBD_N_FUNCTIONS,
         "current_limiting heating heating_on forced_discharge factory_mode "},
        {field_name, JBD_N_FIELDS, "state_of_charge temperature cell_voltage tail "},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GString) all = g_string_new(NULL);
        for (unsigned j = 0; j < rows[i].count; j++)
            g_string_append_printf(all, "%s ", rows[i].name(j));
        g_assert_cmpstr(all->str, ==, rows[i].all);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        GTestFunc run;
    } tests[] = {
        {"/jbd/decode/register", test_register}, {"/jbd/decode/status", test_status},
        {"/jbd/decode/cells", test_cells},       {"/jbd/decode/model", test_model},
        {"/jbd/decode/counters", test_counters}, {"/jbd/names", test_names},
        {"/jbd/malformed", test_malformed},      {"/jbd/mask", test_mask},
    };

    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add_func(tests[i].path, tests[i].run);
    return g_test_run();
}
