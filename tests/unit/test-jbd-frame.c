/* SPDX-License-Identifier: MIT */
/* What comes around sound frames and what they have inside, one hazard a test. */
#include "jbd-hear.h"

static const char hex_basic[] =
    "dd03001b1700000002d003e8000020780000000000001048030f020b760b82fbff77";
static const char hex_cells[] = "dd0400080f230f1c0f120f1dff4e77";
static const char hex_model[] = "dd05000a30313233343536373839fde977";
static const char hex_unsupported[] = "dd058000ff8077";

/* ---- requests ------------------------------------------------------------------------------ */

static void test_requests(void)
{
    static const struct {
        JbdRead read;
        uint8_t reg;
        uint8_t request[JBD_REQUEST_SIZE];
    } wanted[] = {
        {JBD_BASIC, 0x03, {0xDD, 0xA5, 0x03, 0x00, 0xFF, 0xFD, 0x77}},
        {JBD_CELLS, 0x04, {0xDD, 0xA5, 0x04, 0x00, 0xFF, 0xFC, 0x77}},
        {JBD_MODEL, 0x05, {0xDD, 0xA5, 0x05, 0x00, 0xFF, 0xFB, 0x77}},
        {JBD_COUNTERS, 0xAA, {0xDD, 0xA5, 0xAA, 0x00, 0xFF, 0x56, 0x77}},
    };

    g_assert_cmpint(JBD_N_READS, ==, G_N_ELEMENTS(wanted));
    for (guint i = 0; i < G_N_ELEMENTS(wanted); i++) {
        g_assert_cmphex(jbd_register(wanted[i].read), ==, wanted[i].reg);
        g_assert_true(memcmp(jbd_request(wanted[i].read), wanted[i].request, JBD_REQUEST_SIZE) ==
                      0);
    }
}

/* ---- around a frame ------------------------------------------------------------------------ */

static void test_lone_zero(void)
{
    jbd_check_hex("00", "", "");
    g_assert_false(jbd_is_partial_after("00"));
    jbd_check_around("00", hex_basic, "", "03");
}

static void test_padding(void)
{
    jbd_check_around("", hex_basic, "000000000000", "03");
    jbd_check_around("0000000000000000", hex_basic, "ffffffffffffffff", "03");
    jbd_check_around("77777777", hex_cells, "7777", "04");
    g_assert_false(jbd_is_partial_after("dd0400080f230f1c0f120f1dff4e7700000000"));
}

static void test_echo_before(void)
{
    jbd_check_around("dda50300fffd77", hex_basic, "", "!echo 03");
    jbd_check_around("dda50400fffc77", hex_cells, "", "!echo 04");
    jbd_check_around("dda50500fffb77", hex_model, "", "!echo 05");
    jbd_check_around("dda5aa00ff5677", hex_model, "", "!echo 05");
}

static void test_echo_behind(void)
{
    jbd_check_around("", hex_cells, "dda50400fffc77", "04 !echo");
}

static void test_echo_alone(void)
{
    jbd_check_hex("dda50300fffd77", "!echo", "");
    jbd_check_hex("dda50300fffd77dda50300fffd77", "!echo !echo", "");
    g_assert_false(jbd_is_partial_after("dda50300fffd77"));
}

/** The last notification brings a part of the request behind the end of the answer. */
static void test_echo_cut_off(void)
{
    const char *const behind[] = {"dda5", "dda505", "dda50500", "dda50500ff", "dda50500fffb"};
    for (guint i = 0; i < G_N_ELEMENTS(behind); i++) {
        g_autofree char *once = g_strconcat(hex_model, behind[i], NULL);
        g_autofree char *twice = g_strconcat(once, once, NULL);
        g_autofree char *wanted = g_strconcat(hex_model, hex_model, NULL);
        jbd_check_hex(once, "05", hex_model);
        jbd_check_hex(twice, "05 05", wanted);
        g_assert_false(jbd_is_partial_after(once));
    }
}

/** Only the requests that are ours are echoes: the same bytes with another register are noise. */
static void test_echo_of_others(void)
{
    jbd_check_around("dda51000fff077", hex_cells, "", "04");
}

static void test_start_before_start(void)
{
    jbd_check_around("dd", hex_basic, "", "03");
    jbd_check_around("dddddddddddddddddddd", hex_cells, "", "04");
    jbd_check_around("", hex_cells, "dd", "04");
}

static void test_merged(void)
{
    jbd_check_hex("dd0400080f230f1c0f120f1dff4e77dd05000a30313233343536373839fde977"
                  "dd058000ff8077",
                  "04 05 05:80",
                  "dd0400080f230f1c0f120f1dff4e77dd05000a30313233343536373839fde977"
                  "dd058000ff8077");
}

/* ---- inside a frame ------------------------------------------------------------------------ */

static void test_marks_inside(void)
{
    static const uint8_t fills[] = {0x77, 0xDD, 0xA5, 0x00};
    for (guint i = 0; i < G_N_ELEMENTS(fills); i++) {
        for (size_t size = 0; size <= JBD_MAX_PAYLOAD; size++) {
            uint8_t payload[JBD_MAX_PAYLOAD];
            memset(payload, fills[i], sizeof payload);
            g_autoptr(GByteArray) bytes = jbd_frame_of(0x04, payload, size);
            jbd_check(bytes, "04", bytes);
        }
    }
}

/** Every checksum that has one of the marks in it. */
static void test_marks_in_checksum(void)
{
    static const uint8_t marks[] = {0x77, 0xDD};
    unsigned found = 0;
    for (unsigned value = 0; value <= UINT8_MAX; value++) {
        for (unsigned fill = 0; fill <= UINT8_MAX; fill += 51) {
            uint8_t payload[JBD_MAX_PAYLOAD];
            memset(payload, (int)fill, sizeof payload);
            payload[0] = (uint8_t)value;
            g_autoptr(GByteArray) bytes = jbd_frame_of(0x05, payload, sizeof payload);
            const uint8_t *check_bytes = bytes->data + bytes->len - 3;
            if (!memchr(marks, check_bytes[0], 2) && !memchr(marks, check_bytes[1], 2))
                continue;
            jbd_check(bytes, "05", bytes);
            found++;
        }
    }
    g_assert_cmpuint(found, >=, 10);
}

/** With cell 8 at these voltages the first notification of 20 bytes ends in 0x77. */
static void test_early_end(void)
{
    static const uint16_t voltages[] = {3191, 3447, 3703};
    for (guint i = 0; i < G_N_ELEMENTS(voltages); i++) {
        uint8_t payload[32];
        for (size_t cell = 0; cell < 16; cell++) {
            payload[cell * 2] = 0x0C;
            payload[cell * 2 + 1] = (uint8_t)(0xE4 + cell);
        }
        payload[14] = (uint8_t)(voltages[i] >> 8);
        payload[15] = (uint8_t)(voltages[i] & 0xFF);
        g_autoptr(GByteArray) bytes = jbd_frame_of(0x04, payload, sizeof payload);
        g_assert_cmphex(bytes->data[19], ==, 0x77);
        jbd_check(bytes, "04", bytes);
    }
}

static void test_checksum_zero(void)
{
    jbd_check_hex("dd060000000077", "06", "dd060000000077");
}

static void test_every_payload_size(void)
{
    uint8_t payload[JBD_MAX_PAYLOAD];
    for (guint i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 7 + 0xD0);
    for (size_t size = 0; size <= sizeof payload; size++) {
        g_autoptr(GByteArray) bytes = jbd_frame_of(0x03, payload, size);
        jbd_check(bytes, "03", bytes);
    }
}

/* ---- status -------------------------------------------------------------------------------- */

static void test_error_frames(void)
{
    jbd_check_hex(hex_unsupported, "05:80", hex_unsupported);
    jbd_check_hex("dd248100ff7f77", "24:81", "dd248100ff7f77");
    jbd_check_hex("dd038200ff7e77", "03:82", "dd038200ff7e77");
    jbd_check_hex("dd038300ff7d77", "03:83", "dd038300ff7d77");
    jbd_check_around("", hex_unsupported, "dda50500", "05:80");
}

/** An error that is in no list is one all the same, if its frame is as short as errors are. */
static void test_unlisted_status(void)
{
    static const uint8_t payload[2] = {1, 2};
    for (unsigned status = 0; status <= UINT8_MAX; status++) {
        const bool is_listed = status == 0 || (status >= 0x80 && status <= 0x83);
        g_autoptr(GByteArray) nothing = g_byte_array_new();

        g_autoptr(GByteArray) empty = g_byte_array_new();
        jbd_append_frame(empty, 0x03, (uint8_t)status, NULL, 0);
        g_autofree char *events = status == 0 ? g_strdup("03") : g_strdup_printf("03:%02x", status);
        if (is_listed || status > 0x83)
            jbd_check(empty, events, empty);
        else
            jbd_check(empty, "", nothing);

        g_autoptr(GByteArray) full = g_byte_array_new();
        jbd_append_frame(full, 0x03, (uint8_t)status, payload, sizeof payload);
        if (is_listed)
            jbd_check(full, events, full);
        else
            jbd_check(full, "", nothing);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        GTestFunc run;
    } tests[] = {
        {"/jbd/requests", test_requests},
        {"/jbd/frame/lone-zero", test_lone_zero},
        {"/jbd/frame/padding", test_padding},
        {"/jbd/frame/echo-before", test_echo_before},
        {"/jbd/frame/echo-behind", test_echo_behind},
        {"/jbd/frame/echo-alone", test_echo_alone},
        {"/jbd/frame/echo-cut-off", test_echo_cut_off},
        {"/jbd/frame/echo-of-others", test_echo_of_others},
        {"/jbd/frame/start-before-start", test_start_before_start},
        {"/jbd/frame/merged", test_merged},
        {"/jbd/frame/marks-inside", test_marks_inside},
        {"/jbd/frame/marks-in-checksum", test_marks_in_checksum},
        {"/jbd/frame/early-end", test_early_end},
        {"/jbd/frame/checksum-zero", test_checksum_zero},
        {"/jbd/frame/every-payload-size", test_every_payload_size},
        {"/jbd/frame/error-frames", test_error_frames},
        {"/jbd/frame/unlisted-status", test_unlisted_status},
    };

    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add_func(tests[i].path, tests[i].run);
    return g_test_run();
}
