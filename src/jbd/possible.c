/* SPDX-License-Identifier: MIT */
/*
 * Which values no board can have measured, so that a frame which is otherwise good does not put a
 * made-up number beside the measured ones.
 *
 * The bounds are wide on purpose: they have to let everything through that is merely alarming. What
 * they catch are patterns (all ones, all zeroes, a half of the range) that stand for "nothing".
 */
#include "jbd.h"

/*
 * Beyond full, boards count on to 110 % while they charge past the capacity they have learnt. The
 * byte has room for 255, which is what an empty memory reads as.
 */
enum { MAX_SOC_PERCENT = 110 };

/*
 * Thermistors of this kind are made for about −55 to 150 °C; what burns is hotter, and must be seen
 * until its sensor is gone. An input without a sensor reads −30 °C, which cannot be told from a
 * cold one and stays; a raw 0 would be absolute zero, and 0xFFFF 6280 °C.
 */
enum { MIN_TEMPERATURE_DC = -1000, MAX_TEMPERATURE_DC = 2000 };

/* Beside a broken sense wire one cell reads 0 V and its neighbour the sum of both, 8.6 V at most
 * for a chemistry of 4.3 V. Both have to be seen. */
enum { MAX_CELL_MV = 10000 };

bool jbd_soc_is_possible(uint8_t percent)
{
    return percent <= MAX_SOC_PERCENT;
}

bool jbd_temperature_is_possible(int32_t dc)
{
    return dc >= MIN_TEMPERATURE_DC && dc <= MAX_TEMPERATURE_DC;
}

bool jbd_cell_is_possible(uint16_t mv)
{
    return mv <= MAX_CELL_MV;
}

bool jbd_cells_are_possible(const JbdCells *cells)
{
    for (unsigned i = 0; i < cells->count; i++)
        if (!jbd_cell_is_possible(cells->mv[i]))
            return false;
    return true;
}

void jbd_count_impossible(const JbdBasic *basic, const JbdCells *cells, uint64_t left_out[])
{
    left_out[JBD_FIELD_SOC] += !jbd_soc_is_possible(basic->soc_percent);
    for (unsigned i = 0; i < basic->sensor_count; i++)
        left_out[JBD_FIELD_TEMPERATURE] += !jbd_temperature_is_possible(basic->temperature_dc[i]);
    for (unsigned i = 0; i < cells->count; i++)
        left_out[JBD_FIELD_CELL] += !jbd_cell_is_possible(cells->mv[i]);
    left_out[JBD_FIELD_TAIL] += basic->tail_refused;
}
