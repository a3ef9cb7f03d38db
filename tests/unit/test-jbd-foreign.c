/* SPDX-License-Identifier: MIT */
/* What boards of other makes say, and what must not be taken for it. */
#include "jbd-hear.h"

#include <json-glib/json-glib.h>

static void assert_make(const char *hex, const char *make)
{
    g_autoptr(GByteArray) bytes = jbd_bytes(hex);

    g_assert_cmpstr(jbd_foreign_make(bytes->data, bytes->len), ==, make);
}

/* First notifications of captured exchanges, cut at 20 bytes as they come. */
static void test_known(void)
{
    assert_make("d2037c10230000000000000000000000000000", "Daly boards");
    assert_make("a501900800d20000753003e8a0", "Daly boards");
    assert_make("55aaeb900300792e0f2e0f2e0f", "JK boards");
    assert_make("aa5590ebc8010100000000000000000000000044", "JK boards");
    assert_make("4e57011300000000", "JK boards");
    assert_make("55aa11010200", "Neey boards");
    assert_make("7ea1110000be0104", "ANT boards");
    assert_make("aa55aaff00000001", "ANT boards");
    assert_make("7e14006100006a0000100d440d470d4c0d470d45", "Seplos boards");
    assert_make("7e000103008c0020040ce10cdf0ce10cdc040b93", "TDT boards");
    assert_make("9a0000000100004300155031365331", "Pace boards");
    assert_make("0178100010a0009e14c50000000493e017cf17cf", "JBD's UP series");
    assert_make("01030200c8b9d2", "Modbus");
    assert_make("018302c0f1", "Modbus");
}

static void test_too_little(void)
{
    assert_make("d2", NULL);
    assert_make("55aaeb", NULL);
    assert_make("a501900800d20000753003e8a1", NULL); /* the sum is wrong */
    assert_make("a501900800d20000", NULL);
    assert_make("01030200c8b9d3", NULL); /* the CRC is wrong */
    assert_make("0103", NULL);
    assert_make("0178100010a0ffff", NULL); /* too long */
    assert_make("01781000", NULL);
    g_assert_null(jbd_foreign_make((const uint8_t *)"", 0));
}

/* No notification of a JBD board that was ever captured begins like one of another board. */
static void test_own(void)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) error = NULL;

    json_parser_load_from_file(parser, "tests/data/frames.json", &error);
    g_assert_no_error(error);
    JsonArray *frames = json_node_get_array(json_parser_get_root(parser));
    for (guint i = 0; i < json_array_get_length(frames); i++) {
        JsonArray *chunks =
            json_object_get_array_member(json_array_get_object_element(frames, i), "chunks");
        for (guint j = 0; j < json_array_get_length(chunks); j++)
            assert_make(json_array_get_string_element(chunks, j), NULL);
    }
    assert_make("00", NULL);
    assert_make("77", NULL);
    assert_make("dda50300fffd77", NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/foreign/known", test_known);
    g_test_add_func("/foreign/too-little", test_too_little);
    g_test_add_func("/foreign/own", test_own);
    return g_test_run();
}
