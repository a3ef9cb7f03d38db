/* SPDX-License-Identifier: MIT */
/*
 * The names of bms-shed against what that program computed: answers of a board, through the
 * decoder, must give the very samples, bit by bit.
 *
 * Captured answers are in tests/data/frames.json, or in the file that BMS_FRAMES names.
 */
#include "jbd/board.h"
#include "unit/export-devices.h"
#include "unit/jbd-payload.h"

#include <gio/gio.h>
#include <json-glib/json-glib.h>

#define PYTHON_VALUES "tests/unit/export-python-values.py"

/** An answer that the decoder takes: as hex, and decoded. */
typedef struct {
    char *hex;
    JbdBasic basic;
    JbdCells cells;
} Answer;

static void answer_free(gpointer data)
{
    Answer *answer = data;
    g_free(answer->hex);
    g_free(answer);
}

/** @return NULL if the decoder does not take it, or it cannot be compared */
static Answer *decode_frame(JbdRead read, const JbdFrame *frame)
{
    g_autofree Answer *answer = g_new0(Answer, 1);
    const JbdError error = read == JBD_BASIC ? jbd_decode_basic(frame, &answer->basic)
                                             : jbd_decode_cells(frame, &answer->cells);
    /* That program did not know of larger units: what it makes of such a pack is wrong by ten. */
    if (error != JBD_OK || answer->basic.fet & JBD_FET_TENFOLD)
        return NULL;

    const uint8_t head[] = {0xDD, frame->reg, frame->status, frame->size};
    GString *hex = g_string_new(NULL);
    for (size_t i = 0; i < sizeof head; i++)
        g_string_append_printf(hex, "%02x", head[i]);
    for (size_t i = 0; i < frame->size; i++)
        g_string_append_printf(hex, "%02x", frame->data[i]);
    answer->hex = g_string_free(hex, FALSE);
    return g_steal_pointer(&answer);
}

/** The first sound frame in @a hex, decoded; NULL if there is none. */
static Answer *decode(JbdRead read, const char *hex)
{
    JbdReassembler reassembler;
    JbdFrame frame;
    JbdError error;

    jbd_reassembler_reset(&reassembler);
    for (; g_ascii_isxdigit(hex[0]) && g_ascii_isxdigit(hex[1]); hex += 2) {
        const uint8_t byte =
            (uint8_t)(g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));

        g_assert_cmpuint(jbd_reassembler_put(&reassembler, &byte, 1), ==, 1);
        if (jbd_reassembler_next(&reassembler, &frame, &error) == JBD_FRAME)
            return decode_frame(read, &frame);
    }
    return NULL;
}

static GPtrArray *load(JsonArray *vectors, JbdRead read, const char *request)
{
    GPtrArray *answers = g_ptr_array_new_with_free_func(answer_free);

    for (guint i = 0; i < json_array_get_length(vectors); i++) {
        JsonObject *vector = json_array_get_object_element(vectors, i);
        if (strcmp(json_object_get_string_member(vector, "request"), request) != 0)
            continue;

        g_autoptr(GString) hex = g_string_new(NULL);
        JsonArray *chunks = json_object_get_array_member(vector, "chunks");
        for (guint c = 0; c < json_array_get_length(chunks); c++)
            g_string_append(hex, json_array_get_string_element(chunks, c));
        Answer *answer = decode(read, hex->str);
        if (answer)
            g_ptr_array_add(answers, answer);
    }
    return answers;
}

/** The samples that stand for readings: name and labels → value, as text. */
static GHashTable *parse(const char *exposition)
{
    GHashTable *samples = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_auto(GStrv) lines = g_strsplit(exposition, "\n", -1);

    for (guint i = 0; lines[i]; i++) {
        const char *space = strrchr(lines[i], ' ');
        if (lines[i][0] == '#' || !space)
            continue;
        g_assert_true(g_hash_table_insert(samples, g_strndup(lines[i], (gsize)(space - lines[i])),
                                          g_strdup(space + 1)));
    }
    return samples;
}

/** Whether a sample of ours has no counterpart in what the Python program computed of answers. */
static gboolean is_ours_alone(const char *name)
{
    return strstr(name, "battery=") || g_str_has_prefix(name, "process_") ||
           g_str_has_prefix(name, "bms_exporter_") || g_str_has_prefix(name, "bms_last_update") ||
           g_str_has_prefix(name, "bms_time_left"); /* declared there, but never set */
}

static void compare(const Answer *basic, const Answer *cells, const char *expected)
{
    Device device;
    const Device *pointer = &device;

    device_init(&device, &jbd_kind, "A4:C1:38:00:00:01", "B", INTERVAL);
    jbd_publish(&device, &basic->basic, &cells->cells, NOW_US, 0.1);
    const ExportView view = make_view(&pointer, 1);
    g_autoptr(GString) out = g_string_new(NULL);
    export_metrics(&view, EXPORT_TEXT, out);

    g_autoptr(GHashTable) ours = parse(out->str);
    g_autoptr(GHashTable) theirs = parse(expected);
    GHashTableIter iter;
    gpointer name;
    gpointer value;

    g_assert_cmpuint(g_hash_table_size(theirs), >, 30); /* it did compute something */
    g_hash_table_iter_init(&iter, theirs);
    while (g_hash_table_iter_next(&iter, &name, &value)) {
        const char *our_value = g_hash_table_lookup(ours, name);

        if (!our_value || g_ascii_strtod(our_value, NULL) != g_ascii_strtod(value, NULL))
            g_error("%s is %s, was %s, with %s and %s", (char *)name,
                    our_value ? our_value : "missing", (char *)value, basic->hex, cells->hex);
    }
    g_hash_table_iter_init(&iter, ours);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        if (!is_ours_alone(name) && !g_hash_table_contains(theirs, name))
            g_error("%s was not there, with %s and %s", (char *)name, basic->hex, cells->hex);
    }
}

/** Compares for each pair of @a basics and @a cells at the same place. */
static void compare_all(const GPtrArray *basics, const GPtrArray *cells)
{
    g_autoptr(GString) input = g_string_new(NULL);
    g_autofree char *output = NULL;
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < basics->len; i++)
        g_string_append_printf(input, "%s %s\n", ((const Answer *)basics->pdata[i])->hex,
                               ((const Answer *)cells->pdata[i])->hex);

    g_autoptr(GSubprocess) process =
        g_subprocess_new(G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error,
                         "/usr/bin/python3", PYTHON_VALUES, NULL);
    g_assert_no_error(error);
    g_subprocess_communicate_utf8(process, input->str, NULL, &output, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(g_subprocess_get_successful(process));

    g_auto(GStrv) blocks = g_strsplit(output, "\n\n", -1);
    g_assert_cmpuint(g_strv_length(blocks), ==, basics->len + 1);
    for (guint i = 0; i < basics->len; i++)
        compare(basics->pdata[i], cells->pdata[i], blocks[i]);
}

/** Each captured answer of the one register with each of the other. */
static void test_captured(void)
{
    const char *file = g_getenv("BMS_FRAMES");
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonParser) parser = json_parser_new();

    json_parser_load_from_file(parser, file ? file : "tests/data/frames.json", &error);
    g_assert_no_error(error);
    JsonArray *vectors = json_node_get_array(json_parser_get_root(parser));
    g_autoptr(GPtrArray) basics = load(vectors, JBD_BASIC, "03");
    g_autoptr(GPtrArray) cells = load(vectors, JBD_CELLS, "04");
    g_assert_cmpuint(basics->len, >=, 15);
    g_assert_cmpuint(cells->len, >=, 8);

    g_autoptr(GPtrArray) left = g_ptr_array_new();
    g_autoptr(GPtrArray) right = g_ptr_array_new();
    for (guint b = 0; b < basics->len; b++) {
        for (guint c = 0; c < cells->len; c++) {
            g_ptr_array_add(left, basics->pdata[b]);
            g_ptr_array_add(right, cells->pdata[c]);
        }
    }
    compare_all(left, right);
    g_test_message("%u answers of 03 with %u of 04", basics->len, cells->len);
}

/** Answers that no board ever gave, for the roundings that the captured ones do not hit. */
static void test_random(void)
{
    enum { N = 1000, MAX_SENSORS = 4, MAX_CELLS = 16 };
    g_autoptr(GPtrArray) basics = g_ptr_array_new_with_free_func(answer_free);
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(answer_free);

    for (guint i = 0; i < N; i++) {
        uint8_t data[JBD_MAX_PAYLOAD];
        const uint8_t sensors = (uint8_t)g_test_rand_int_range(0, MAX_SENSORS + 1);
        const uint8_t n = (uint8_t)g_test_rand_int_range(1, MAX_CELLS + 1);

        for (size_t j = 0; j < sizeof data; j++)
            data[j] = (uint8_t)g_test_rand_int_range(0, 256);
        if (g_test_rand_bit()) { /* currents around zero, where the power rounds to it */
            data[2] = data[2] % 2 ? 0xFF : 0;
            data[3] = data[2] ? data[3] | 0xF0 : data[3] & 0x0F;
        }
        data[14] = data[15] = 0; /* that program knew sixteen cells … */
        data[20] &= 0x7F;        /* … and one unit */
        data[22] = sensors;
        for (unsigned j = 0; j < sensors; j++) /* what cannot be is left out by ours alone */
            jbd_set_u16(data, JBD_BASIC_SIZE + (size_t)j * 2,
                        (unsigned)g_test_rand_int_range(1731, 4732));
        g_ptr_array_add(
            basics,
            decode_frame(JBD_BASIC, &(JbdFrame){.reg = 0x03,
                                                .data = data,
                                                .size = (uint8_t)(JBD_BASIC_SIZE + 2 * sensors)}));
        for (size_t j = 0; j < 2 * (size_t)n; j++)
            data[j] = (uint8_t)g_test_rand_int_range(0, j % 2 ? 256 : 10000 / 256);
        g_ptr_array_add(
            cells, decode_frame(JBD_CELLS,
                                &(JbdFrame){.reg = 0x04, .data = data, .size = (uint8_t)(2 * n)}));
    }
    compare_all(basics, cells);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/export/legacy/captured", test_captured);
    g_test_add_func("/export/legacy/random", test_random);
    return g_test_run();
}
