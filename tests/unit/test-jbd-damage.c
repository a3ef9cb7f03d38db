/* SPDX-License-Identifier: MIT */
/* Broken frames, and the buffer that has to get over them, one hazard a test. */
#include "jbd-hear.h"

static const char hex_basic[] =
    "dd03001b1700000002d003e8000020780000000000001048030f020b760b82fbff77";
static const char hex_cells[] = "dd0400080f230f1c0f120f1dff4e77";
static const char hex_model[] = "dd05000a30313233343536373839fde977";
static const char hex_unsupported[] = "dd058000ff8077";

/* ---- broken frames ------------------------------------------------------------------------- */

static void test_bad_checksum(void)
{
    jbd_check_hex("dd0400080f230f1c0f120f1dff4f77", "!checksum", "");
    jbd_check_around("dd0400080f230f1c0f120f1dff4f77", hex_cells, "", "!checksum 04");
    /* The register must not be in the sum, the length must be. */
    jbd_check_hex("dd0400080f230f1c0f120f1dff4a77", "!checksum", "");
    jbd_check_hex("dd0400080f230f1c0f120f1dff5677", "!checksum", "");
}

static void test_bad_end(void)
{
    jbd_check_hex("dd0400080f230f1c0f120f1dff4e78", "!length", "");
    jbd_check_around("dd0400080f230f1c0f120f1dff4e00", hex_cells, "", "!length 04");
}

/** A notification got lost, and the answer to the next request comes whole. */
static void test_truncated(void)
{
    g_autoptr(GByteArray) frame = jbd_bytes(hex_basic);
    for (guint kept = 1; kept < frame->len; kept++) {
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        g_byte_array_append(bytes, frame->data, kept);
        g_byte_array_append(bytes, frame->data, frame->len);
        for (guint i = 0; i < G_N_ELEMENTS(jbd_pieces); i++) {
            g_autoptr(JbdEar) ear = jbd_ear_new();
            jbd_ear_hear_pieces(ear, bytes, jbd_pieces[i]);
            jbd_assert_frames(ear, frame);
        }
    }
}

/** A notification got lost from the middle, so that the end seems to be missing. */
static void test_gap(void)
{
    g_autoptr(GByteArray) frame = jbd_bytes(hex_basic);
    for (guint at = 1; at < frame->len; at++) {
        for (guint lost = 1; lost <= 20 && at + lost <= frame->len; lost++) {
            g_autoptr(GByteArray) bytes = g_byte_array_new();
            g_byte_array_append(bytes, frame->data, at);
            g_byte_array_append(bytes, frame->data + at + lost, frame->len - at - lost);
            g_byte_array_append(bytes, frame->data, frame->len);
            g_autoptr(JbdEar) ear = jbd_ear_new();
            jbd_ear_hear_pieces(ear, bytes, 20);
            jbd_assert_frames(ear, frame);
        }
    }
}

/** A false start that asks for 255 bytes must not swallow the answers behind it. */
static void test_false_start(void)
{
    jbd_check_around("dd0300ff", hex_basic, "", "03");
    jbd_check_around("00dd7700ff00", hex_cells, "", "04");
    jbd_check_around("dd0400fedd0300ffdd", hex_cells, "", "04");
    g_assert_true(jbd_is_partial_after("dd0300ff"));
}

/** A refusal is not told while it may be the inside of a frame that is still coming. */
static void test_refusal_waits(void)
{
    static const char broken[] = "dd0400080f230f1c0f120f1dff4f77";
    g_autofree char *inside = g_strconcat("dd0300ff", broken, NULL);
    jbd_check_hex(inside, "", "");

    uint8_t payload[40] = {0};
    g_autoptr(GByteArray) inner = jbd_bytes(broken);
    memcpy(payload + 3, inner->data, inner->len);
    g_autoptr(GByteArray) outer = jbd_frame_of(0x03, payload, sizeof payload);
    jbd_check(outer, "03", outer);
}

/** Only one byte of what is refused is lost: the frame that was asked for may be within it. */
static void test_frame_inside_refused(void)
{
    uint8_t payload[40] = {0};
    g_autoptr(GByteArray) inner = jbd_bytes(hex_cells);
    memcpy(payload + 3, inner->data, inner->len);
    g_autoptr(GByteArray) outer = jbd_frame_of(0x03, payload, sizeof payload);
    outer->data[outer->len - 2] ^= 1;

    g_autoptr(JbdEar) ear = jbd_ear_new();
    jbd_ear_hear_pieces(ear, outer, outer->len);
    g_assert_cmpstr(ear->events->str, ==, "!checksum 04");
    jbd_assert_frames(ear, inner);
}

/** With every value of the length byte but the right one, the next frame is found. */
static void test_wrong_length_byte(void)
{
    for (unsigned length = 0; length <= UINT8_MAX; length++) {
        g_autoptr(GByteArray) bytes = jbd_bytes(hex_basic);
        g_autoptr(GByteArray) wanted = jbd_bytes(hex_cells);
        if (length == bytes->data[3])
            continue;
        bytes->data[3] = (uint8_t)length;
        g_byte_array_append(bytes, wanted->data, wanted->len);
        for (guint i = 0; i < G_N_ELEMENTS(jbd_pieces); i++) {
            g_autoptr(JbdEar) ear = jbd_ear_new();
            jbd_ear_hear_pieces(ear, bytes, jbd_pieces[i]);
            jbd_assert_frames(ear, wanted);
        }
    }
}

static void flip(GByteArray *bytes, guint bit)
{
    bytes->data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
}

/**
 * One bit wrong anywhere: no frame, and the next one is found. The exception is the register,
 * which the checksum does not cover; who asked has to compare it, and the decoders do.
 */
static void test_flipped_bit(void)
{
    static const char *const frames[] = {hex_basic, hex_cells, hex_model, hex_unsupported,
                                         "dd060000000077"};
    for (guint i = 0; i < G_N_ELEMENTS(frames); i++) {
        g_autoptr(GByteArray) good = jbd_bytes(frames[i]);
        for (guint bit = 0; bit < good->len * 8; bit++) {
            g_autoptr(GByteArray) bytes = jbd_bytes(frames[i]);
            flip(bytes, bit);
            g_autoptr(GByteArray) wanted = g_byte_array_new();
            if (bit / 8 == 1)
                g_byte_array_append(wanted, bytes->data, bytes->len);
            g_byte_array_append(wanted, good->data, good->len);
            g_byte_array_append(bytes, good->data, good->len);
            for (guint j = 0; j < G_N_ELEMENTS(jbd_pieces); j++) {
                g_autoptr(JbdEar) ear = jbd_ear_new();
                jbd_ear_hear_pieces(ear, bytes, jbd_pieces[j]);
                jbd_assert_frames(ear, wanted);
            }
        }
    }
}

/** Two bits wrong: what a sum of 16 bits cannot see gets through, and nothing else does. */
static void test_two_flipped_bits(void)
{
    unsigned unseen = 0;
    g_autoptr(GByteArray) bytes = jbd_bytes(hex_cells);
    for (guint one = 16; one < bytes->len * 8; one++) {
        for (guint other = one + 1; other < bytes->len * 8; other++) {
            flip(bytes, one);
            flip(bytes, other);
            /* Whether it is the frame of its own payload, whatever that is now. */
            g_autoptr(GByteArray) same = g_byte_array_new();
            if (bytes->data[3] == bytes->len - JBD_FRAME_OVERHEAD)
                jbd_append_frame(same, bytes->data[1], bytes->data[2], bytes->data + 4,
                                 bytes->data[3]);
            const bool is_status = bytes->data[2] == 0 || bytes->data[2] == 0x80;
            const bool is_unseen =
                is_status && same->len > 0 && memcmp(same->data, bytes->data, bytes->len) == 0;
            g_autoptr(JbdEar) ear = jbd_ear_new();
            jbd_ear_hear_pieces(ear, bytes, bytes->len);
            g_assert_cmpuint(ear->frames->len, ==, is_unseen ? bytes->len : 0);
            unseen += is_unseen;
            flip(bytes, one);
            flip(bytes, other);
        }
    }
    g_assert_cmpuint(unseen, >, 0);
}

/* ---- the buffer ---------------------------------------------------------------------------- */

static void test_reset(void)
{
    g_autoptr(JbdEar) ear = jbd_ear_new();
    g_autoptr(GByteArray) bytes = jbd_bytes(hex_basic);

    jbd_ear_hear(ear, bytes->data, 20);
    g_assert_true(jbd_reassembler_is_partial(&ear->reassembler));
    jbd_reassembler_reset(&ear->reassembler);
    g_assert_false(jbd_reassembler_is_partial(&ear->reassembler));
    jbd_ear_hear(ear, bytes->data + 20, bytes->len - 20);
    g_assert_cmpstr(ear->events->str, ==, "");

    /* Also of a frame that was yielded and not yet let go. */
    JbdFrame frame;
    JbdError error;
    g_assert_cmpuint(jbd_reassembler_put(&ear->reassembler, bytes->data, bytes->len), ==,
                     bytes->len);
    g_assert_cmpint(jbd_reassembler_next(&ear->reassembler, &frame, &error), ==, JBD_FRAME);
    jbd_reassembler_reset(&ear->reassembler);
    g_assert_cmpint(jbd_reassembler_next(&ear->reassembler, &frame, &error), ==, JBD_NEED_MORE);
}

static void test_partial(void)
{
    g_autoptr(GByteArray) bytes = jbd_bytes(hex_basic);
    for (guint size = 0; size <= bytes->len; size++) {
        g_autoptr(JbdEar) ear = jbd_ear_new();
        jbd_ear_hear(ear, bytes->data, size);
        g_assert_cmpint(jbd_reassembler_is_partial(&ear->reassembler), ==,
                        size > 0 && size < bytes->len);
    }
    g_assert_true(jbd_is_partial_after("dd058000ff8077dd03"));
    g_assert_false(jbd_is_partial_after("77deadbeef"));
}

/** What is inside a frame that was yielded is not the beginning of another. */
static void test_partial_inside(void)
{
    static const uint8_t payload[] = {0xDD, 0x03, 0x00, 0xFF};
    g_autoptr(GByteArray) bytes = jbd_frame_of(0x05, payload, sizeof payload);
    JbdReassembler reassembler;
    JbdFrame frame;
    JbdError error;

    jbd_reassembler_reset(&reassembler);
    jbd_reassembler_put(&reassembler, bytes->data, bytes->len);
    g_assert_cmpint(jbd_reassembler_next(&reassembler, &frame, &error), ==, JBD_FRAME);
    g_assert_false(jbd_reassembler_is_partial(&reassembler));
}

/** What comes after a frame was yielded, and before it is let go, joins what is behind it. */
static void test_put_after_frame(void)
{
    g_autoptr(GByteArray) cells = jbd_bytes(hex_cells);
    g_autoptr(GByteArray) model = jbd_bytes(hex_model);
    JbdReassembler reassembler;
    JbdFrame frame;
    JbdError error;

    jbd_reassembler_reset(&reassembler);
    jbd_reassembler_put(&reassembler, cells->data, cells->len);
    jbd_reassembler_put(&reassembler, model->data, 5);
    g_assert_cmpint(jbd_reassembler_next(&reassembler, &frame, &error), ==, JBD_FRAME);
    g_assert_true(jbd_reassembler_is_partial(&reassembler));
    g_assert_true(memcmp(frame.data, cells->data + 4, frame.size) == 0);
    jbd_reassembler_put(&reassembler, model->data + 5, model->len - 5);
    g_assert_cmpint(jbd_reassembler_next(&reassembler, &frame, &error), ==, JBD_FRAME);
    g_assert_true(memcmp(frame.data, model->data + 4, frame.size) == 0);
    g_assert_cmpint(jbd_reassembler_next(&reassembler, &frame, &error), ==, JBD_NEED_MORE);
}

/** Taken is what there is room for, and a drain makes room again. */
static void test_full(void)
{
    uint8_t payload[JBD_MAX_PAYLOAD] = {0};
    g_autoptr(GByteArray) bytes = jbd_frame_of(0x03, payload, sizeof payload);
    g_autoptr(JbdEar) ear = jbd_ear_new();

    for (guint i = 0; i < 2; i++)
        g_assert_cmpuint(jbd_reassembler_put(&ear->reassembler, bytes->data, bytes->len), ==,
                         bytes->len);
    g_assert_cmpuint(jbd_reassembler_put(&ear->reassembler, bytes->data, bytes->len), ==, 0);
    g_assert_cmpuint(jbd_reassembler_put(&ear->reassembler, NULL, 0), ==, 0);
    jbd_ear_drain(ear);
    g_assert_cmpstr(ear->events->str, ==, "03 03");
    g_assert_cmpuint(jbd_reassembler_put(&ear->reassembler, bytes->data, bytes->len), ==,
                     bytes->len);
}

/** Megabytes of noise, in which every kind of false start is frequent, and a frame at times. */
static void test_noise(void)
{
    static const uint8_t likely[] = {0xDD, 0xDD, 0xDD, 0x77, 0xA5, 0x00, 0x00,
                                     0x80, 0xFF, 0x03, 0x05, 0xFB, 0x10};
    g_autoptr(GByteArray) cells = jbd_bytes(hex_cells);
    g_autoptr(GRand) random = g_rand_new_with_seed(20240229);
    g_autoptr(JbdEar) ear = jbd_ear_new();

    for (size_t total = 0; total < 4U << 20;) {
        uint8_t noise[700];
        const size_t size = (size_t)g_rand_int_range(random, 1, sizeof noise);
        for (size_t i = 0; i < size; i++)
            noise[i] = g_rand_boolean(random)
                           ? likely[g_rand_int_range(random, 0, G_N_ELEMENTS(likely))]
                           : (uint8_t)g_rand_int_range(random, 0, 256);
        jbd_ear_hear(ear, noise, size);
        g_string_truncate(ear->events, 0);
        g_byte_array_set_size(ear->frames, 0);

        /* Whatever was before: this frame is found at once. */
        jbd_ear_hear(ear, cells->data, cells->len);
        g_assert_true(g_str_has_suffix(ear->events->str, "04"));
        g_assert_cmpuint(ear->frames->len, >=, cells->len);
        g_assert_true(memcmp(ear->frames->data + ear->frames->len - cells->len, cells->data,
                             cells->len) == 0);
        total += size;
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        GTestFunc run;
    } tests[] = {
        {"/jbd/frame/bad-checksum", test_bad_checksum},
        {"/jbd/frame/bad-end", test_bad_end},
        {"/jbd/frame/truncated", test_truncated},
        {"/jbd/frame/gap", test_gap},
        {"/jbd/frame/false-start", test_false_start},
        {"/jbd/frame/refusal-waits", test_refusal_waits},
        {"/jbd/frame/frame-inside-refused", test_frame_inside_refused},
        {"/jbd/frame/wrong-length-byte", test_wrong_length_byte},
        {"/jbd/frame/flipped-bit", test_flipped_bit},
        {"/jbd/frame/two-flipped-bits", test_two_flipped_bits},
        {"/jbd/buffer/reset", test_reset},
        {"/jbd/buffer/partial", test_partial},
        {"/jbd/buffer/partial-inside", test_partial_inside},
        {"/jbd/buffer/put-after-frame", test_put_after_frame},
        {"/jbd/buffer/full", test_full},
        {"/jbd/buffer/noise", test_noise},
    };

    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add_func(tests[i].path, tests[i].run);
    return g_test_run();
}
