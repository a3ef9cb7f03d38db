/* SPDX-License-Identifier: MIT */
/*
 * Work for callgrind: the answers to one poll, reassembled and decoded so many times, or the same
 * bytes only looked at, one by one.
 *
 *     decode frames|bytes TIMES
 *
 * Prints how many frames and bytes one time has.
 */
#include "jbd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 20 }; /* what a notification carries at ATT MTU 23 */

/* As captured: 4 sensors; 15 cells. */
static const uint8_t basic[] = {0xDD, 0x03, 0x00, 0x1F, 0x19, 0xDF, 0xF8, 0x24, 0x0D, 0xA5,
                                0x0F, 0xA0, 0x00, 0x02, 0x24, 0x91, 0x00, 0x00, 0x00, 0x00,
                                0x00, 0x00, 0x12, 0x57, 0x03, 0x11, 0x04, 0x0B, 0x98, 0x0B,
                                0xA9, 0x0B, 0x96, 0x0B, 0x97, 0xF8, 0x9A, 0x77};
static const uint8_t cells[] = {0xDD, 0x04, 0x00, 0x1E, 0x0F, 0x66, 0x0F, 0x63, 0x0F, 0x63,
                                0x0F, 0x64, 0x0F, 0x3E, 0x0F, 0x63, 0x0F, 0x37, 0x0F, 0x5B,
                                0x0F, 0x65, 0x0F, 0x3B, 0x0F, 0x63, 0x0F, 0x63, 0x0F, 0x3C,
                                0x0F, 0x66, 0x0F, 0x3D, 0xF9, 0xF9, 0x77};

static void wrong(const char *what)
{
    (void)fprintf(stderr, "decode: %s\n", what);
    exit(EXIT_FAILURE);
}

static void hear(JbdReassembler *reassembler, const uint8_t *bytes, size_t size, JbdFrame *frame)
{
    JbdEvent event = JBD_NEED_MORE;
    JbdError error;

    jbd_reassembler_reset(reassembler);
    for (size_t at = 0; at < size; at += CHUNK) {
        (void)jbd_reassembler_put(reassembler, bytes + at, size - at < CHUNK ? size - at : CHUNK);
        event = jbd_reassembler_next(reassembler, frame, &error);
    }
    if (event != JBD_FRAME)
        wrong("no frame");
}

static void decode(void)
{
    static JbdReassembler reassembler;
    JbdFrame frame;
    JbdBasic basic_read;
    JbdCells cells_read;

    hear(&reassembler, basic, sizeof basic, &frame);
    if (jbd_decode_basic(&frame, &basic_read) != JBD_OK)
        wrong("03 not decoded");
    hear(&reassembler, cells, sizeof cells, &frame);
    if (jbd_decode_cells(&frame, &cells_read) != JBD_OK)
        wrong("04 not decoded");
}

static void look_at(const uint8_t *bytes, size_t size)
{
    static volatile uint8_t seen;

    for (size_t i = 0; i < size; i++)
        seen = bytes[i];
    (void)seen;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        wrong("wrong number of arguments");
    for (long left = strtol(argv[2], NULL, 10); left > 0; left--) {
        if (strcmp(argv[1], "frames") == 0) {
            decode();
        } else {
            look_at(basic, sizeof basic);
            look_at(cells, sizeof cells);
        }
    }
    printf("2 %zu\n", sizeof basic + sizeof cells);
    return EXIT_SUCCESS;
}
