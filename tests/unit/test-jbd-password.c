/* SPDX-License-Identifier: MIT */
/*
 * The password handshake: its requests against captured ones, and its answers among everything else
 * that a radio brings.
 */
#include "jbd-hear.h"

/* The captures of two modules (the address, the password and the random byte are public too). */
static const uint8_t older[JBD_ADDRESS_SIZE] = {0xA4, 0xC1, 0x37, 0x04, 0x2D, 0xBE};
static const uint8_t newer[JBD_ADDRESS_SIZE] = {0x10, 0xA5, 0x62, 0x32, 0x75, 0x36};

static const char hex_cells[] = "dd0400080d870dc10dca0d59fd5977";

/* ---- requests ------------------------------------------------------------------------------ */

static void assert_request(JbdStepRequest request, const char *wanted)
{
    g_autoptr(GByteArray) bytes = jbd_bytes(wanted);

    g_assert_cmpuint(request.size, ==, bytes->len);
    g_assert_true(memcmp(request.bytes, bytes->data, bytes->len) == 0);
}

static void test_requests(void)
{
    assert_request(jbd_step_key(), "ffaa15063030303030303b");
    assert_request(jbd_step_random(), "ffaa170017");
}

static void test_password(void)
{
    static const struct {
        const char *password;
        const uint8_t *address;
        uint8_t random;
        const char *request;
    } captured[] = {
        {"000000", older, 0x62, "ffaa1806f65369967ff0d5"},
        {"111111", older, 0x21, "ffaa1806b61127563db04f"},
        {"123412", older, 0x61, "ffaa1806f65465917dedc8"},
        {"123123", older, 0x37, "ffaa1806cc2a3b6c56c4d5"},
        {"123456", newer, 0x24, "ffaa180645bb752a642445"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(captured); i++)
        assert_request(jbd_step_password((const uint8_t *)captured[i].password, captured[i].address,
                                         captured[i].random),
                       captured[i].request);
}

/* ---- answers ------------------------------------------------------------------------------- */

/* Hears the bytes in pieces of every size; a step is noted as its command and its answer. */
static void check_steps(const char *hex, const char *events)
{
    g_autoptr(GByteArray) bytes = jbd_bytes(hex);

    for (guint i = 0; i < G_N_ELEMENTS(jbd_pieces); i++) {
        g_autoptr(JbdEar) ear = jbd_ear_new();
        jbd_reassembler_expect_steps(&ear->reassembler);
        jbd_ear_hear_pieces(ear, bytes, jbd_pieces[i]);
        g_assert_cmpstr(ear->events->str, ==, events);
    }
}

static void test_answers(void)
{
    check_steps("ffaa15010016", "15=00");
    check_steps("ffaa15010117", "15=01");
    check_steps("ffaa15010218", "15=02");
    check_steps("ffaa1701627a", "17=62");
    check_steps("ffaa18010019", "18=00");
    check_steps("ffaa1801011a", "18=01");
}

/* Random bytes that are the starts of something themselves. */
static void test_random_is_start(void)
{
    check_steps("ffaa1701ddf5ffaa18010019", "17=dd 18=00");
    check_steps("ffaa1701ff17ffaa18010019", "17=ff 18=00");
    check_steps("ffaa1701aac2ffaa18010019", "17=aa 18=00");
}

static void test_noise(void)
{
    check_steps("00ffaa15010016", "15=00");
    check_steps("ffffffaaffaa15010016000000", "15=00");
    check_steps("ffaaaaffaa15010016", "15=00");
    check_steps("ffaa15ffaa15010016", "15=00");
    check_steps("ddffaa15010016", "15=00"); /* a false start must not hide it */
    check_steps("dd03001bffaa15010016", "15=00");
}

static void test_damaged(void)
{
    check_steps("ffaa15010017", "!checksum");
    check_steps("ffaa15010017ffaa15010016", "!checksum 15=00");
    check_steps("ffaa150100", "");
    check_steps("ffaa070007", "");     /* another command */
    check_steps("ffaa1502000017", ""); /* another length */
    check_steps("ffaa1d01001e", "");
}

static void test_echoes(void)
{
    check_steps("ffaa15063030303030303b", "!echo");
    check_steps("ffaa170017", "!echo");
    check_steps("ffaa1806f65369967ff0d5", "!echo");
    check_steps("ffaa15063030303030303bffaa15010016", "!echo 15=00");
    check_steps("dda50300fffd77ffaa15010016", "!echo 15=00");
}

/* As captured: answers to both kinds of requests on the way at the same time. */
static void test_mixed(void)
{
    g_autofree char *before = g_strconcat(hex_cells, "ffaa1701c9e1", NULL);
    g_autofree char *behind = g_strconcat("ffaa1701c9e1", hex_cells, NULL);

    check_steps(before, "04 17=c9");
    check_steps(behind, "17=c9 04");
}

/* Where none can come they are not looked for: a good frame may hold the same bytes. */
static void test_only_where_expected(void)
{
    static const uint8_t payload[] = {0xFF, 0xAA, 0x15, 0x01, 0x00, 0x16};
    g_autoptr(GByteArray) frame = jbd_frame_of(0x04, payload, sizeof payload);

    jbd_check(frame, "04", frame);
    jbd_check_hex("ffaa15010016", "", "");
    g_assert_false(jbd_is_partial_after("ffaa15"));
}

static void test_reset_ends_it(void)
{
    g_autoptr(JbdEar) ear = jbd_ear_new();
    g_autoptr(GByteArray) bytes = jbd_bytes("ffaa15010016");

    jbd_reassembler_expect_steps(&ear->reassembler);
    jbd_reassembler_reset(&ear->reassembler);
    jbd_ear_hear_pieces(ear, bytes, 20);
    g_assert_cmpstr(ear->events->str, ==, "");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        GTestFunc run;
    } tests[] = {
        {"/password/requests", test_requests},
        {"/password/password", test_password},
        {"/password/answers", test_answers},
        {"/password/random-is-start", test_random_is_start},
        {"/password/noise", test_noise},
        {"/password/damaged", test_damaged},
        {"/password/echoes", test_echoes},
        {"/password/mixed", test_mixed},
        {"/password/only-where-expected", test_only_where_expected},
        {"/password/reset-ends-it", test_reset_ends_it},
    };

    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add_func(tests[i].path, tests[i].run);
    return g_test_run();
}
