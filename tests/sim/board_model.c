/* SPDX-License-Identifier: MIT */
/*
 * How a board's state moves.
 *
 * Owns the made-up physics: a current that swings between discharge and charge, the state of charge
 * that follows it, lithium iron phosphate cells that drift apart and are balanced near full,
 * temperatures, and the protection that trips on extremes. Rough, but consistent: the readings of
 * one moment fit together.
 */
#include "board.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

/* Open-circuit voltage in mV over the state of charge. The ends are steep, as on real cells. */
static const struct {
    double soc, mv;
} ocv[] = {
    {-0.05, 2300}, {0.00, 2600}, {0.03, 2950}, {0.10, 3170}, {0.20, 3240}, {0.40, 3290},
    {0.60, 3310},  {0.80, 3335}, {0.95, 3365}, {0.99, 3450}, {1.00, 3580}, {1.05, 3900},
};

static double rest_voltage(double soc)
{
    size_t count = sizeof ocv / sizeof ocv[0];

    if (soc <= ocv[0].soc) {
        return ocv[0].mv;
    }
    for (size_t i = 1; i < count; i++) {
        if (soc <= ocv[i].soc) {
            double part = (soc - ocv[i - 1].soc) / (ocv[i].soc - ocv[i - 1].soc);

            return ocv[i - 1].mv + part * (ocv[i].mv - ocv[i - 1].mv);
        }
    }
    return ocv[count - 1].mv;
}

void board_config_default(struct board_config *config, uint64_t seed)
{
    memset(config, 0, sizeof *config);
    config->cells = 8;
    config->ntcs = 2;
    config->capacity_ah = 100;
    config->soc = 0.72;
    config->rate = 0.3;
    config->period = 7200;
    strcpy(config->model, "JBD-SP04S034-L8S-100A-B-U");
    config->version = 0x2A;
    config->date = (uint16_t)((23 << 9) | (5 << 5) | 17);
    config->counter_bytes = 24;
    config->lose_first = true;
    config->stray_zero = true;
    config->latency_min = 0.033;
    config->latency_max = 0.122;
    config->seed = seed;
}

static void measure_cells(struct board *board)
{
    const struct board_config *c = &board->config;
    struct board_state *s = &board->state;
    /* About half a milliohm at 100 Ah. */
    double milliohm = 50.0 / c->capacity_ah;

    for (unsigned i = 0; i < c->cells; i++) {
        s->cell_mv[i] = rest_voltage(s->soc + board->cell_offset[i]) +
                        s->current_ma / 1000.0 * milliohm * (1.0 + 0.02 * (i % 5));
    }
}

static void measure_temperatures(struct board *board, double time)
{
    double ambient = 19.0 + 4.0 * sin(2 * PI * time / 86400.0);

    for (unsigned i = 0; i < board->config.ntcs; i++) {
        board->state.ntc_dc[i] = (ambient + board->warmth + 0.7 * i) * 10.0;
    }
}

/* The balancer works on cells that are high while the pack is nearly full and charging. */
static void balance(struct board *board)
{
    struct board_state *s = &board->state;
    double lowest = s->cell_mv[0];

    for (unsigned i = 1; i < board->config.cells; i++) {
        lowest = fmin(lowest, s->cell_mv[i]);
    }
    s->balance = 0;
    for (unsigned i = 0; i < board->config.cells; i++) {
        if (s->current_ma > 0 && s->cell_mv[i] > 3400 && s->cell_mv[i] > lowest + 10) {
            s->balance |= (uint32_t)1 << i;
            board->cell_offset[i] -= 2e-6;
        }
    }
}

/* Sets a protection bit above its limit and clears it below its release; counts each trip. */
static void watch(struct board *board, unsigned bit, unsigned counter, bool trip, bool release)
{
    struct board_state *s = &board->state;
    uint16_t mask = (uint16_t)(1U << bit);

    if ((s->protection & mask) == 0 && trip) {
        s->protection |= mask;
        s->counters[counter]++;
    } else if ((s->protection & mask) != 0 && release) {
        s->protection &= (uint16_t)~mask;
    }
}

static void protect(struct board *board)
{
    const struct board_config *c = &board->config;
    struct board_state *s = &board->state;
    double low = s->cell_mv[0], high = s->cell_mv[0], pack = 0, warm = -300, cold = 1000;
    double rate = s->current_ma / 1000.0 / c->capacity_ah;
    bool no_charge, no_discharge;

    for (unsigned i = 0; i < c->cells; i++) {
        low = fmin(low, s->cell_mv[i]);
        high = fmax(high, s->cell_mv[i]);
        pack += s->cell_mv[i] / c->cells;
    }
    for (unsigned i = 0; i < c->ntcs; i++) {
        warm = fmax(warm, s->ntc_dc[i] / 10.0);
        cold = fmin(cold, s->ntc_dc[i] / 10.0);
    }
    watch(board, 0, 3, high > 3650, high < 3500);
    watch(board, 1, 4, low<2500, low> 2800);
    watch(board, 2, 9, pack > 3640, pack < 3500);
    watch(board, 3, 10, pack<2520, pack> 2800);
    watch(board, 4, 5, s->current_ma > 0 && warm > 60, warm < 55);
    watch(board, 5, 6, s->current_ma > 0 && cold<0, cold> 3);
    watch(board, 6, 7, warm > 70, warm < 65);
    watch(board, 7, 8, cold<-20, cold> - 15);
    watch(board, 8, 1, rate > 1.2, rate < 0.1);
    watch(board, 9, 2, rate<-1.5, rate> - 0.1);
    no_charge = (s->protection & 0x0135) != 0;
    no_discharge = (s->protection & 0x02CA) != 0;
    s->fet = (uint8_t)((s->fet & ~3U) | (no_charge ? 0U : 1U) | (no_discharge ? 0U : 2U));
    s->alarm = (uint16_t)((high - low > 200 ? 0x0400 : 0) | (s->soc < 0.1 ? 0x0800 : 0));
}

static void step(struct board *board, double time, double dt)
{
    const struct board_config *c = &board->config;
    struct board_state *s = &board->state;
    double peak = c->rate * c->capacity_ah * 1000.0;
    /* A little more charge than discharge, so that a long run reaches full and balances. */
    double wanted = peak * (0.03 - sin(2 * PI * time / c->period));
    double moved;

    if ((wanted > 0 && (s->fet & 1) == 0) || (wanted < 0 && (s->fet & 2) == 0)) {
        wanted = 0;
    }
    s->current_ma = wanted;
    moved = wanted * dt / 3600.0 / (c->capacity_ah * 1000.0);
    s->soc = fmin(1.0, fmax(0.0, s->soc + moved));
    if (moved < 0) {
        s->cycles -= moved;
    }
    board->warmth += (6.0 * fabs(wanted) / (peak + 1.0) - board->warmth) * fmin(1.0, dt / 900.0);
    for (unsigned i = 0; i < c->cells; i++) {
        board->cell_offset[i] += (board_random(&board->random) - 0.5) * 1e-5 * sqrt(dt);
    }
    measure_cells(board);
    measure_temperatures(board, time);
    balance(board);
    protect(board);
}

void board_advance(struct board *board, double now)
{
    double gap = now - board->last;
    /* Bounded work, however long nobody asked. */
    int steps = gap > 600 ? 600 : (int)ceil(gap);

    if (board->config.steady) {
        board->last = now;
        return;
    }
    if (!(gap > 0)) {
        return;
    }
    for (int i = 1; i <= steps; i++) {
        step(board, board->last - board->began + gap * i / steps, gap / steps);
    }
    board->last = now;
}

static unsigned clamp(unsigned value, unsigned low, unsigned high)
{
    return value < low ? low : value > high ? high : value;
}

void board_init(struct board *board, const struct board_config *config, double now)
{
    struct board_config *c;
    struct board_state *s;

    memset(board, 0, sizeof *board);
    board->config = *config;
    c = &board->config;
    s = &board->state;
    c->cells = clamp(c->cells, 1, BOARD_MAX_CELLS);
    c->ntcs = clamp(c->ntcs, 0, BOARD_MAX_NTCS);
    c->tail = c->tail >= 16 ? 16 : c->tail >= 9 ? 9 : 0;
    c->counter_bytes = c->counter_bytes == 22 ? 22 : 24;
    if (!(c->capacity_ah >= 1)) {
        c->capacity_ah = 1;
    }
    if (!(c->period >= 1)) {
        c->period = 1;
    }
    board->random = c->seed;
    board->began = now;
    board->last = now;
    s->soc = fmin(1.0, fmax(0.0, c->soc));
    s->cycles = 37;
    s->voltage_mv = -1;
    s->fet = 3;
    s->humidity = 41;
    s->counters[3] = 2;  /* cell overvoltage */
    s->counters[11] = 5; /* restarts */
    for (unsigned i = 0; i < c->cells; i++) {
        /* Fixed, not drawn: a steady board is the same for every seed. */
        board->cell_offset[i] = 0.004 * ((double)(i * 7 % 5) - 2.0);
    }
    s->current_ma = -c->rate * c->capacity_ah * 1000.0 * 0.2;
    board->warmth = 1.5;
    measure_cells(board);
    measure_temperatures(board, 0);
}

void board_link_up(struct board *board)
{
    board->unlocked = false;
    board->has_nonce = false;
    board->fresh = false;
}

void board_subscribed(struct board *board)
{
    board->fresh = true;
}
