/* SPDX-License-Identifier: MIT */
/*
 * From a payload to the exposition: what becomes of values that no board can have measured, of bits
 * that not every board has, and of labels that a board makes up anew in each answer.
 */
#include "jbd/board.h"
#include "unit/export-devices.h"
#include "unit/jbd-payload.h"

enum { MINUTE = 60, HOUR = 3600 };

/** One board, and what it answers. */
typedef struct {
    Device device;
    uint8_t basic[JBD_MAX_PAYLOAD];
    size_t basic_size;
    uint8_t cells[2 * JBD_MAX_CELLS];
    int64_t now_us;
} Board;

enum {
    AT_DATE = 10,
    AT_PROTECTION = 16,
    AT_VERSION = 18,
    AT_SOC = 19,
    AT_FET = 20,
    AT_SENSORS = 23
};

/** 13.18 V, −5 A, 50 of 100 Ah, two sensors at 25 °C, four cells at 3.3 V; no tail. */
static void board_init(Board *board)
{
    static const uint8_t basic[] = {0x05, 0x26, 0xFE, 0x0C, 0x13, 0x88, 0x27, 0x10, 0x00,
                                    0x0C, 0x2C, 0x7C, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                                    0x2A, 50,   0x03, 4,    2,    0x0B, 0xA5, 0x0B, 0xA5};

    memset(board, 0, sizeof *board);
    memcpy(board->basic, basic, sizeof basic);
    board->basic_size = sizeof basic;
    for (size_t i = 0; i < 4; i++)
        jbd_set_u16(board->cells, 2 * i, 3300);
    board->now_us = NOW_US;
    device_init(&board->device, &jbd_kind, "A4:C1:38:00:00:01", "B", INTERVAL);
}

/** Appends the tail of newer firmware: 47 %, no alarm, 98.5 Ah, the same remaining capacity. */
static void board_append_tail(Board *board)
{
    static const uint8_t tail[] = {47, 0, 0, 0x26, 0x7A, 0x13, 0x88, 0, 0};

    memcpy(board->basic + board->basic_size, tail, sizeof tail);
    board->basic_size += sizeof tail;
}

static void board_poll(Board *board)
{
    const JbdFrame basic_frame = jbd_answer(JBD_BASIC, board->basic, board->basic_size);
    const JbdFrame cells_frame = jbd_answer(JBD_CELLS, board->cells, 8);
    JbdBasic basic;
    JbdCells cells;

    g_assert_cmpint(jbd_decode_basic(&basic_frame, &basic), ==, JBD_OK);
    g_assert_cmpint(jbd_decode_cells(&cells_frame, &cells), ==, JBD_OK);
    board->now_us += INTERVAL;
    jbd_publish(&board->device, &basic, &cells, board->now_us, 0.1);
}

static char *board_render(const Board *board)
{
    const Device *device = &board->device;
    ExportView view = make_view(&device, 1);
    GString *out = g_string_new(NULL);

    view.now_us = board->now_us;
    export_metrics(&view, EXPORT_TEXT, out);
    return g_string_free(out, FALSE);
}

static void assert_lines(const Board *board, gboolean there, const char *const *lines)
{
    g_autofree char *text = board_render(board);

    for (guint i = 0; lines[i]; i++) {
        g_autofree char *wanted = g_strdup_printf("\n%s", lines[i]);

        if ((strstr(text, wanted) != NULL) != there)
            g_error("%s is %s", lines[i], there ? "missing" : "there");
    }
}

#define ASSERT_THERE(board, ...)                                                                   \
    assert_lines((board), TRUE, (const char *const[]){__VA_ARGS__, NULL})
#define ASSERT_ABSENT(board, ...)                                                                  \
    assert_lines((board), FALSE, (const char *const[]){__VA_ARGS__, NULL})

/* ---- values that cannot be ------------------------------------------------------------------- */

static void test_state_of_charge(void)
{
    static const struct {
        uint8_t percent;
        const char *ratio; /* NULL: left out */
    } rows[] = {{0, "0"},   {1, "0.01"}, {99, "0.99"}, {100, "1"}, {101, "1"},
                {110, "1"}, {111, NULL}, {128, NULL},  {255, NULL}};

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        Board board;

        board_init(&board);
        board.basic[AT_SOC] = rows[i].percent;
        board_poll(&board);
        if (rows[i].ratio) {
            g_autofree char *line =
                g_strdup_printf("bms_state_of_charge_ratio{battery=\"B\"} %s\n", rows[i].ratio);

            ASSERT_THERE(&board, line);
        } else {
            ASSERT_ABSENT(&board, "bms_state_of_charge_ratio");
        }
        /* The rest of the frame is as good as ever. */
        ASSERT_THERE(
            &board, "bms_up{battery=\"B\"} 1\n", "bms_ah_percent 50\n",
            "bms_pack_voltage_volts{battery=\"B\"} 13.18\n",
            rows[i].ratio
                ? "bms_values_left_out_total{battery=\"B\",field=\"state_of_charge\"} 0\n"
                : "bms_values_left_out_total{battery=\"B\",field=\"state_of_charge\"} 1\n");
    }
}

static void test_temperatures(void)
{
    static const struct {
        unsigned raw;
        const char *celsius; /* NULL: left out */
    } rows[] = {
        {0, NULL},       {1730, NULL},   {1731, "-100"}, {2331, "-40"},
        {0x097F, "-30"}, {2731, "0"},    {4231, "150"},  {4731, "200"},
        {4732, NULL},    {0x7FFF, NULL}, {0x8000, NULL}, {0xFFFF, NULL},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        Board board;

        board_init(&board);
        jbd_set_u16(board.basic, AT_SENSORS, rows[i].raw);
        board_poll(&board);
        board_poll(&board);
        if (rows[i].celsius) {
            g_autofree char *line = g_strdup_printf(
                "bms_temperature_celsius{battery=\"B\",sensor=\"1\"} %s\n", rows[i].celsius);
            g_autofree char *legacy = g_strdup_printf("bms_temperature %s\n", rows[i].celsius);

            ASSERT_THERE(&board, line, legacy,
                         "bms_values_left_out_total{battery=\"B\",field=\"temperature\"} 0\n");
        } else {
            ASSERT_ABSENT(&board, "bms_temperature_celsius{battery=\"B\",sensor=\"1\"}",
                          "bms_temperature ");
            ASSERT_THERE(&board, /* in two polls */
                         "bms_values_left_out_total{battery=\"B\",field=\"temperature\"} 2\n");
        }
        /* The other sensor keeps its number. */
        ASSERT_THERE(&board, "bms_temperature_celsius{battery=\"B\",sensor=\"2\"} 25\n",
                     "bms_temperature2 25\n");
    }
}

static void test_cells(void)
{
    static const unsigned possible[] = {0, 1, 3300, 6600, 10000};
    static const unsigned impossible[] = {10001, 0x7FFF, 0xFFFF};
    Board board;

    board_init(&board);
    for (guint i = 0; i < G_N_ELEMENTS(possible); i++) {
        jbd_set_u16(board.cells, 2, possible[i]);
        board_poll(&board);
        ASSERT_THERE(&board, "bms_cell_voltage_volts{battery=\"B\",cell=\"2\"}", "bms_voltage02 ",
                     "bms_voltage ", "bms_power ", "bms_mode{bms_mode=\"charging\"} 0\n",
                     "bms_values_left_out_total{battery=\"B\",field=\"cell_voltage\"} 0\n");
    }
    for (guint i = 0; i < G_N_ELEMENTS(impossible); i++) {
        jbd_set_u16(board.cells, 2, impossible[i]);
        board_poll(&board);
        ASSERT_ABSENT(&board, "bms_cell_voltage_volts{battery=\"B\",cell=\"2\"}", "bms_voltage02 ",
                      "bms_voltage ", "bms_power ", "bms_mode{"); /* what is made of the sum, too */
        ASSERT_THERE(&board, "bms_cell_voltage_volts{battery=\"B\",cell=\"3\"} 3.3\n",
                     "bms_voltage03 3.3\n", "bms_pack_power_watts{battery=\"B\"} -65.9\n");
    }
    ASSERT_THERE(&board, "bms_values_left_out_total{battery=\"B\",field=\"cell_voltage\"} 3\n");
}

/** A tail that contradicts the frame is not used; that it was sent can be seen. */
static void test_tail(void)
{
    Board board;

    board_init(&board);
    board_append_tail(&board);
    board_poll(&board);
    ASSERT_THERE(&board, "bms_humidity_ratio{battery=\"B\"} 0.47\n",
                 "bms_values_left_out_total{battery=\"B\",field=\"tail\"} 0\n");
    board.basic[board.basic_size - 9] = 101;
    board_poll(&board);
    ASSERT_ABSENT(&board, "bms_humidity_ratio");
    ASSERT_THERE(&board, "bms_values_left_out_total{battery=\"B\",field=\"tail\"} 1\n");
    board.basic_size--; /* another size: something else that a clone appends, and no tail at all */
    board_poll(&board);
    ASSERT_THERE(&board, "bms_values_left_out_total{battery=\"B\",field=\"tail\"} 1\n");
}

/** Whatever else a frame says, what has tripped is told, and cells of 0 V are. */
static void test_danger_is_never_left_out(void)
{
    Board board;

    board_init(&board);
    board.basic[AT_SOC] = 0xFF;
    jbd_set_u16(board.basic, AT_SENSORS, 0xFFFF);
    jbd_set_u16(board.basic, AT_SENSORS + 2, 0);
    jbd_set_u16(board.basic, AT_PROTECTION, 0xFFFF);
    memset(board.cells, 0, sizeof board.cells);
    board_poll(&board);
    for (unsigned i = 0; i < JBD_N_PROTECTIONS; i++) {
        g_autofree char *line = g_strdup_printf(
            "bms_protection_active{battery=\"B\",protection=\"%s\"} 1\n", jbd_protection_name(i));

        ASSERT_THERE(&board, line);
    }
    ASSERT_THERE(&board, "bms_cell_voltage_volts{battery=\"B\",cell=\"1\"} 0\n",
                 "bms_voltage01 0\n", "bms_voltage 0\n",
                 "bms_state{state=\"Cell_Block_Over_Vol\"} 1\n");
}

/* ---- bits that not every board has ----------------------------------------------------------- */

static const char *const functions[] = {"current_limiting", "heating", "heating_on",
                                        "forced_discharge", "factory_mode"};

static void assert_functions(const Board *board, uint8_t fet)
{
    for (guint i = 0; i < G_N_ELEMENTS(functions); i++) {
        g_autofree char *line =
            g_strdup_printf("bms_function_active{battery=\"B\",function=\"%s\"} %d\n", functions[i],
                            fet >> (2 + i) & 1);

        ASSERT_THERE(board, line);
    }
}

/** Firmware with a tail has all of them, each at its bit; the FETs are not among them. */
static void test_functions_of_newer_firmware(void)
{
    Board board;

    board_init(&board);
    board_append_tail(&board);
    for (unsigned fet = 0; fet < JBD_FET_TENFOLD; fet++) {
        board.basic[AT_FET] = (uint8_t)fet;
        board_poll(&board);
        assert_functions(&board, (uint8_t)fet);
    }
    board.now_us += (DEVICE_FRESH_INTERVALS + 1) * (int64_t)INTERVAL;
    ASSERT_ABSENT(&board, "bms_function_active");
}

/** Without a tail a board has them once it has set one, and keeps them when the bit is 0 again. */
static void test_functions_of_older_firmware(void)
{
    Board board;

    board_init(&board);
    board_poll(&board);
    ASSERT_ABSENT(&board, "bms_function_active");
    board.basic[AT_FET] = 0x03 | 1 << 2;
    board_poll(&board);
    assert_functions(&board, 0x03 | 1 << 2);
    board.basic[AT_FET] = 0x03;
    board_poll(&board);
    assert_functions(&board, 0x03);
}

/** A clone that appends something of its own means something of its own by these bits as well. */
static void test_functions_of_a_clone(void)
{
    static const uint8_t rest[] = {0x0B, 0x87, 0x0B, 0x94, 0x64, 0x00, 0x00, 0x00};
    Board board;

    board_init(&board);
    memcpy(board.basic + board.basic_size, rest, sizeof rest);
    board.basic_size += sizeof rest;
    board.basic[AT_FET] = 0x0B;
    board_poll(&board);
    ASSERT_ABSENT(&board, "bms_function_active");
    ASSERT_THERE(&board, "bms_fet_enabled{battery=\"B\",fet=\"charge\"} 1\n");
}

/* ---- labels that come from the board --------------------------------------------------------- */

static void board_set_model(Board *board, const char *text)
{
    JbdModel model = {0};

    g_strlcpy(model.text, text, sizeof model.text);
    jbd_set_model(&board->device, &model);
}

static char *board_info(const Board *board)
{
    g_autofree char *text = board_render(board);
    const char *line = strstr(text, "\nbms_info{");

    g_assert_nonnull(line);
    return g_strndup(line + 1, strcspn(line + 1, "\n"));
}

static void assert_info(const Board *board, const char *model, const char *firmware,
                        const char *date)
{
    g_autofree char *line = board_info(board);
    g_autofree char *wanted =
        g_strdup_printf("bms_info{battery=\"B\",address=\"A4:C1:38:00:00:01\",model=\"%s\","
                        "firmware=\"%s\",production_date=\"%s\"} 1",
                        model, firmware, date);

    g_assert_cmpstr(line, ==, wanted);
}

/** What was not known yet is shown at once, in whatever order it comes. */
static void test_identity_at_first(void)
{
    Board board;

    board_init(&board);
    assert_info(&board, "", "", "");
    board_poll(&board);
    assert_info(&board, "", "2.10", "2022-03-28");
    board_set_model(&board, "JBD-1");
    assert_info(&board, "JBD-1", "2.10", "2022-03-28");

    board_init(&board);
    board_set_model(&board, "JBD-1");
    assert_info(&board, "JBD-1", "", "");
    board_poll(&board);
    assert_info(&board, "JBD-1", "2.10", "2022-03-28");
}

/** A new firmware is shown when the board has told of it for an hour. */
static void test_identity_changes(void)
{
    Board board;

    board_init(&board);
    board_poll(&board);
    board_set_model(&board, "JBD-1");
    board.basic[AT_VERSION] = 0x2B;
    for (int s = 0; s <= HOUR; s += 10) {
        assert_info(&board, "JBD-1", "2.10", "2022-03-28");
        board_poll(&board);
    }
    assert_info(&board, "JBD-1", "2.11", "2022-03-28");
    board_set_model(&board, "JBD-2");
    for (int s = 0; s <= HOUR; s += 10) {
        assert_info(&board, "JBD-1", "2.11", "2022-03-28");
        board_poll(&board);
    }
    assert_info(&board, "JBD-2", "2.11", "2022-03-28");
}

/** One poll with another version, as a board's memory may give while it starts, is not shown. */
static void test_identity_of_a_moment(void)
{
    Board board;

    board_init(&board);
    board_poll(&board);
    for (int s = 0; s < 3 * HOUR; s += 10) {
        board.basic[AT_VERSION] = s % (10 * MINUTE) == 0 ? 0 : 0x2A;
        board_poll(&board);
        assert_info(&board, "", "2.10", "2022-03-28");
    }
}

/** Whatever a board makes up, it makes at most one series an hour of it. */
static void test_identity_of_a_liar(void)
{
    static const int lasting[] = {10, 2 * MINUTE, HOUR - 10, HOUR, HOUR + 10};

    for (guint i = 0; i < G_N_ELEMENTS(lasting); i++) {
        g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        Board board;

        board_init(&board);
        for (int s = 0; s < 24 * HOUR; s += 10) {
            const unsigned n = (unsigned)(s / lasting[i]);
            g_autofree char *model = g_strdup_printf("made up %u", n);

            board.basic[AT_VERSION] = (uint8_t)n;
            jbd_set_u16(board.basic, AT_DATE, n % 100 << 9 | 3 << 5 | (n % 28 + 1));
            board_poll(&board);
            board_set_model(&board, model);
            g_hash_table_add(seen, board_info(&board));
        }
        g_assert_cmpuint(g_hash_table_size(seen), <=, 24 + 1);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/export/board/state-of-charge", test_state_of_charge);
    g_test_add_func("/export/board/temperatures", test_temperatures);
    g_test_add_func("/export/board/cells", test_cells);
    g_test_add_func("/export/board/tail", test_tail);
    g_test_add_func("/export/board/danger", test_danger_is_never_left_out);
    g_test_add_func("/export/board/functions/newer", test_functions_of_newer_firmware);
    g_test_add_func("/export/board/functions/older", test_functions_of_older_firmware);
    g_test_add_func("/export/board/functions/clone", test_functions_of_a_clone);
    g_test_add_func("/export/board/identity/first", test_identity_at_first);
    g_test_add_func("/export/board/identity/changes", test_identity_changes);
    g_test_add_func("/export/board/identity/moment", test_identity_of_a_moment);
    g_test_add_func("/export/board/identity/liar", test_identity_of_a_liar);
    return g_test_run();
}
