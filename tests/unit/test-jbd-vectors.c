/* SPDX-License-Identifier: MIT */
/*
 * Real frames, cut and mixed in every way in which a radio may bring them, and their readings.
 * tests/data/frames.json has what was captured and what it means.
 */
#include "jbd-hear.h"

#include <json-glib/json-glib.h>
#include <math.h>

typedef struct {
    const char *id;
    GByteArray *bytes;
    GPtrArray *chunks; /* of GByteArray: how it came, or how the source writes it down */
    GByteArray *frame; /* the sound frame among the bytes, empty if there is none */
    uint8_t reg;
    const char *events; /* what a reassembler should say */
    bool is_cut_short;
    JsonObject *expected;
    JsonObject *decoded;
} Vector;

static GPtrArray *vectors;

/* ---- reading the data ---------------------------------------------------------------------- */

static bool flag(JsonObject *object, const char *name)
{
    return json_object_has_member(object, name) && json_object_get_boolean_member(object, name);
}

/** A member that may be missing or null: then an object that has nothing in it. */
static JsonObject *member(JsonObject *object, const char *name)
{
    static JsonObject *nothing;
    if (json_object_has_member(object, name) && !json_object_get_null_member(object, name))
        return json_object_get_object_member(object, name);
    if (!nothing)
        nothing = json_object_new();
    return nothing;
}

/** Number of whole @a unit in a decimal fraction of the data. */
static int64_t units(JsonObject *object, const char *name, double unit)
{
    return llround(json_object_get_double_member(object, name) / unit);
}

/** Works out from the flags of the data which frame has to be found, and which refusal told. */
static void set_expectation(Vector *vector)
{
    vector->frame = g_byte_array_new();
    vector->events = "";
    if (!json_object_has_member(vector->decoded, "len"))
        return; /* not this protocol's framing */

    vector->is_cut_short = !flag(vector->decoded, "frame_len_ok");
    if (vector->is_cut_short)
        return;
    if (!flag(vector->decoded, "tail_ok")) {
        vector->events = "!length";
        return;
    }
    if (!flag(vector->decoded, "checksum_ok")) {
        vector->events = "!checksum";
        return;
    }

    const uint8_t *start = memchr(vector->bytes->data, 0xDD, vector->bytes->len);
    g_assert_nonnull(start);
    g_byte_array_append(vector->frame, start,
                        (guint)json_object_get_int_member(vector->decoded, "len") +
                            JBD_FRAME_OVERHEAD);
    const int64_t status = json_object_get_int_member(vector->decoded, "status");
    vector->events = status == 0 ? g_strdup_printf("%02x", vector->reg)
                                 : g_strdup_printf("%02x:%02x", vector->reg, (unsigned)status);
}

static void add_vector(JsonArray *array G_GNUC_UNUSED, guint index G_GNUC_UNUSED, JsonNode *node,
                       gpointer user G_GNUC_UNUSED)
{
    JsonObject *object = json_node_get_object(node);
    Vector *vector = g_new0(Vector, 1);
    const char *request = json_object_get_string_member(object, "request");

    vector->id = json_object_get_string_member(object, "id");
    vector->reg = (uint8_t)g_ascii_strtoull(request, NULL, 16);
    vector->expected = member(object, "expected");
    vector->decoded = member(object, "decoded");
    vector->bytes = g_byte_array_new();
    vector->chunks = g_ptr_array_new();
    JsonArray *chunks = json_object_get_array_member(object, "chunks");
    for (guint i = 0; i < json_array_get_length(chunks); i++) {
        const char *hex = json_array_get_string_element(chunks, i);
        jbd_append_hex(vector->bytes, hex);
        g_ptr_array_add(vector->chunks, jbd_bytes(hex));
    }
    set_expectation(vector);
    g_ptr_array_add(vectors, vector);
}

static void assert_heard(const JbdEar *ear, const Vector *vector)
{
    g_assert_cmpstr(ear->events->str, ==, vector->events);
    jbd_assert_frames(ear, vector->frame);
    if (vector->is_cut_short)
        g_assert_true(jbd_reassembler_is_partial(&ear->reassembler));
    if (vector->frame->len > 0)
        g_assert_false(jbd_reassembler_is_partial(&ear->reassembler));
}

/* ---- cuts ---------------------------------------------------------------------------------- */

static void test_as_captured(gconstpointer data)
{
    const Vector *vector = data;
    g_autoptr(JbdEar) ear = jbd_ear_new();
    for (guint i = 0; i < vector->chunks->len; i++) {
        const GByteArray *chunk = vector->chunks->pdata[i];
        jbd_ear_hear(ear, chunk->data, chunk->len);
    }
    assert_heard(ear, vector);
}

static void test_pieces(gconstpointer data)
{
    const Vector *vector = data;
    for (guint piece = 1; piece <= vector->bytes->len; piece++) {
        g_autoptr(JbdEar) ear = jbd_ear_new();
        jbd_ear_hear_pieces(ear, vector->bytes, piece);
        assert_heard(ear, vector);
    }
}

/** Cut in three at every pair of positions; where they are the same or at an end, in two. */
static void test_cuts(gconstpointer data)
{
    const Vector *vector = data;
    const uint8_t *bytes = vector->bytes->data;
    for (guint first = 0; first <= vector->bytes->len; first++) {
        for (guint second = first; second <= vector->bytes->len; second++) {
            g_autoptr(JbdEar) ear = jbd_ear_new();
            jbd_ear_hear(ear, bytes, first);
            jbd_ear_hear(ear, bytes + first, second - first);
            jbd_ear_hear(ear, bytes + second, vector->bytes->len - second);
            assert_heard(ear, vector);
        }
    }
}

/* ---- mixtures ------------------------------------------------------------------------------ */

static const size_t mixed_pieces[] = {1, 2, 7, 19, 20, 23, 1000};

static void test_noise(gconstpointer data)
{
    static const char *const before[] = {
        "",
        "00",
        "77",
        "ffffffff",
        "dd",
        "dda503",
        "dda50300fffd77",
        "dd0300ff",
        "dd0400ff",
        "dd030022",
        "dd80fe00deadbeef",
        "dddddddddddddddddddd",
    };
    static const char *const after[] = {"", "00", "000000000000", "77", "dd", "dda50500", "ffff"};
    const Vector *vector = data;

    for (guint i = 0; i < G_N_ELEMENTS(before); i++) {
        for (guint j = 0; j < G_N_ELEMENTS(after); j++) {
            for (guint k = 0; k < G_N_ELEMENTS(mixed_pieces); k++) {
                g_autoptr(GByteArray) bytes = g_byte_array_new();
                jbd_append_hex(bytes, before[i]);
                g_byte_array_append(bytes, vector->bytes->data, vector->bytes->len);
                /* Noise behind a frame that is cut short may be just what it lacks. */
                if (!vector->is_cut_short)
                    jbd_append_hex(bytes, after[j]);
                g_autoptr(JbdEar) ear = jbd_ear_new();
                jbd_ear_hear_pieces(ear, bytes, mixed_pieces[k]);
                jbd_assert_frames(ear, vector->frame);
            }
        }
    }
}

/** Two vectors in one stream: as when a late answer comes together with the next. */
static void test_merged(gconstpointer data)
{
    const Vector *first = data;
    for (guint i = 0; i < vectors->len; i++) {
        const Vector *second = vectors->pdata[i];
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        g_byte_array_append(bytes, first->bytes->data, first->bytes->len);
        g_byte_array_append(bytes, second->bytes->data, second->bytes->len);
        g_autoptr(GByteArray) frames = g_byte_array_new();
        g_byte_array_append(frames, first->frame->data, first->frame->len);
        g_byte_array_append(frames, second->frame->data, second->frame->len);
        for (guint k = 0; k < G_N_ELEMENTS(mixed_pieces); k++) {
            g_autoptr(JbdEar) ear = jbd_ear_new();
            jbd_ear_hear_pieces(ear, bytes, mixed_pieces[k]);
            jbd_assert_frames(ear, frames);
        }
    }
}

/* ---- readings ------------------------------------------------------------------------------ */

static void assert_tail(const JbdBasic *basic, JsonObject *decoded)
{
    g_assert_cmpint(basic->has_tail, ==, json_object_has_member(decoded, "tail"));
    if (!basic->has_tail)
        return;
    JsonObject *tail = json_object_get_object_member(decoded, "tail");
    g_assert_cmpint(basic->tail.humidity_percent, ==, units(tail, "humidity", 1));
    g_assert_cmpint(basic->tail.alarms, ==, units(tail, "alarm", 1));
    g_assert_cmpint(basic->tail.full_charge_mah, ==, units(tail, "fcc_ah", 0.001));
    g_assert_cmpint(basic->tail.balance_current_ma, ==, units(tail, "balance_current_ma", 1));
}

static void assert_date(const JbdBasic *basic, JsonObject *decoded)
{
    const char *wanted = json_object_get_string_member(decoded, "date");
    g_autofree char *date = g_strdup_printf("%04u-%02u-%02u", basic->production_year,
                                            basic->production_month, basic->production_day);
    /* The data has the bare bits; no day or no month means that the board tells no date. */
    const bool is_real = !g_str_has_suffix(wanted, "-00") && !strstr(wanted, "-00-");
    g_assert_cmpstr(date, ==, is_real ? wanted : "0000-00-00");
}

/** What the sources state in words about balancing: numbers of cells. */
static void assert_balancing(const JbdBasic *basic, JsonObject *expected)
{
    if (!json_object_has_member(expected, "balancing_cells"))
        return;
    JsonArray *cells = json_object_get_array_member(expected, "balancing_cells");
    uint32_t wanted = 0;
    for (guint i = 0; i < json_array_get_length(cells); i++)
        wanted |= 1U << (json_array_get_int_element(cells, i) - 1);
    g_assert_cmphex(basic->balancing, ==, wanted);
}

static void assert_basic(const JbdFrame *frame, const Vector *vector)
{
    JsonObject *decoded = vector->decoded;
    JbdBasic basic;
    g_assert_cmpint(jbd_decode_basic(frame, &basic), ==, JBD_OK);

    g_assert_cmpint(basic.pack_mv, ==, units(decoded, "voltage_v", 0.001));
    g_assert_cmpint(basic.current_ma, ==, units(decoded, "current_a", 0.001));
    g_assert_cmpint(basic.remaining_mah, ==, units(decoded, "remaining_ah", 0.001));
    g_assert_cmpint(basic.nominal_mah, ==, units(decoded, "nominal_ah", 0.001));
    g_assert_cmpint(basic.cycles, ==, units(decoded, "cycles", 1));
    g_assert_cmpint(basic.balancing, ==, units(decoded, "balance", 1));
    g_assert_cmpint(basic.protection, ==, units(decoded, "protection", 1));
    g_assert_cmpint(basic.version, ==, units(decoded, "sw_raw", 1));
    g_assert_cmpint(basic.soc_percent, ==, units(decoded, "rsoc", 1));
    g_assert_cmpint(basic.fet, ==, units(decoded, "fet", 1));
    g_assert_cmpint(basic.cell_count, ==, units(decoded, "cells", 1));
    g_assert_cmpint(basic.sensor_count, ==, units(decoded, "ntc", 1));
    JsonArray *temperatures = json_object_get_array_member(decoded, "temps_c");
    g_assert_cmpint(basic.sensor_count, ==, json_array_get_length(temperatures));
    for (guint i = 0; i < basic.sensor_count; i++)
        g_assert_cmpint(basic.temperature_dc[i], ==,
                        llround(json_array_get_double_element(temperatures, i) * 10));
    assert_date(&basic, decoded);
    assert_tail(&basic, decoded);
    assert_balancing(&basic, vector->expected);
}

static void assert_cells(const JbdFrame *frame, const Vector *vector)
{
    JsonArray *wanted = json_object_get_array_member(vector->decoded, "cells_mv");
    JbdCells cells;
    g_assert_cmpint(jbd_decode_cells(frame, &cells), ==, JBD_OK);
    g_assert_cmpint(cells.count, ==, json_array_get_length(wanted));
    int64_t sum = 0;
    for (guint i = 0; i < cells.count; i++) {
        g_assert_cmpint(cells.mv[i], ==, json_array_get_int_element(wanted, i));
        sum += json_array_get_int_element(wanted, i);
    }
    g_assert_cmpint(jbd_cells_sum_mv(&cells), ==, sum);
}

static void assert_model(const JbdFrame *frame, const Vector *vector)
{
    JbdModel model;
    g_assert_cmpint(jbd_decode_model(frame, &model), ==, JBD_OK);
    g_assert_cmpstr(model.text, ==, json_object_get_string_member(vector->decoded, "hw"));
}

static void assert_counters(const JbdFrame *frame, const Vector *vector)
{
    JsonArray *wanted = json_object_get_array_member(vector->decoded, "counters");
    JbdCounters counters;
    g_assert_cmpint(jbd_decode_counters(frame, &counters), ==, JBD_OK);
    g_assert_cmpint(counters.count, ==, json_array_get_length(wanted));
    for (guint i = 0; i < counters.count; i++) {
        g_assert_cmpint(counters.value[i], ==, json_array_get_int_element(wanted, i));
        /* Some sources give single counters by their name. */
        if (json_object_has_member(vector->expected, jbd_counter_name(i)))
            g_assert_cmpint(counters.value[i], ==,
                            json_object_get_int_member(vector->expected, jbd_counter_name(i)));
    }
}

/** All four decoders: the one whose register it is reads it, the others say that it is not. */
static void test_reading(gconstpointer data)
{
    static void (*const asserts[JBD_N_READS])(const JbdFrame *, const Vector *) = {
        [JBD_BASIC] = assert_basic,
        [JBD_CELLS] = assert_cells,
        [JBD_MODEL] = assert_model,
        [JBD_COUNTERS] = assert_counters,
    };
    const Vector *vector = data;
    if (vector->frame->len == 0) {
        g_assert_true(json_object_has_member(vector->expected, "error") ||
                      !json_object_has_member(vector->decoded, "len"));
        return;
    }

    const JbdFrame frame = {
        .reg = vector->frame->data[1],
        .status = vector->frame->data[2],
        .size = vector->frame->data[3],
        .data = vector->frame->data + 4,
    };
    JbdBasic basic;
    JbdCells cells;
    JbdModel model;
    JbdCounters counters;
    const JbdError errors[JBD_N_READS] = {
        [JBD_BASIC] = jbd_decode_basic(&frame, &basic),
        [JBD_CELLS] = jbd_decode_cells(&frame, &cells),
        [JBD_MODEL] = jbd_decode_model(&frame, &model),
        [JBD_COUNTERS] = jbd_decode_counters(&frame, &counters),
    };
    for (JbdRead read = 0; read < JBD_N_READS; read++) {
        if (jbd_register(read) != frame.reg)
            g_assert_cmpint(errors[read], ==, JBD_ERROR_REGISTER);
        else if (frame.status != 0)
            g_assert_cmpint(errors[read], ==, JBD_ERROR_STATUS);
        else
            asserts[read](&frame, vector);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        GTestDataFunc run;
    } tests[] = {
        {"as-captured", test_as_captured},
        {"pieces", test_pieces},
        {"cuts", test_cuts},
        {"noise", test_noise},
        {"merged", test_merged},
        {"reading", test_reading},
    };

    g_test_init(&argc, &argv, NULL);

    const char *root = g_getenv("G_TEST_SRCDIR");
    g_autofree char *path = g_build_filename(root ? root : ".", "tests/data/frames.json", NULL);
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) error = NULL;
    if (!json_parser_load_from_file(parser, path, &error))
        g_error("%s (to be run from the top directory)", error->message);
    vectors = g_ptr_array_new();
    json_array_foreach_element(json_node_get_array(json_parser_get_root(parser)), add_vector, NULL);
    g_assert_cmpuint(vectors->len, >, 0);

    for (guint i = 0; i < vectors->len; i++) {
        const Vector *vector = vectors->pdata[i];
        for (guint j = 0; j < G_N_ELEMENTS(tests); j++) {
            g_autofree char *name = g_strdup_printf("/jbd/%s/%s", tests[j].name, vector->id);
            g_test_add_data_func(name, vector, tests[j].run);
        }
    }
    return g_test_run();
}
