/* SPDX-License-Identifier: MIT */
/* One battery's state: what was read, when, and what is counted about it. */
#include "battery.h"

#include <stdlib.h>
#include <string.h>

enum { MIN_RECENT_FRAMES = 10, MAX_RECENT_FRAMES = 128 };

const struct BatteryBound battery_duration_bounds[BATTERY_N_BUCKETS] = {
    {0.05, "0.05"}, {0.1, "0.1"}, {0.2, "0.2"}, {0.3, "0.3"}, {0.5, "0.5"},
    {1, "1.0"},     {2, "2.0"},   {5, "5.0"},   {10, "10.0"},
};

static const char *const poll_failure_names[POLL_N_FAILURES] = {
    [POLL_FAILURE_NOT_CONNECTED] = "not_connected",
    [POLL_FAILURE_TIMEOUT] = "timeout",
    [POLL_FAILURE_LINK_LOSS] = "link_loss",
    [POLL_FAILURE_FRAME] = "frame",
    [POLL_FAILURE_STATUS] = "status",
    [POLL_FAILURE_MISSED] = "missed",
};

const char *poll_failure_name(PollFailure failure)
{
    return poll_failure_names[failure];
}

static void copy_text(char *out, size_t size, const char *text)
{
    size_t length = strnlen(text, size - 1);

    while (text[length] != '\0' && length > 0 && (text[length] & 0xC0) == 0x80)
        length--; /* not inside a character of UTF-8 */
    memcpy(out, text, length);
    out[length] = '\0';
}

void battery_init(Battery *battery, const char *address, const char *name, int64_t interval_us)
{
    memset(battery, 0, sizeof *battery);
    copy_text(battery->address, sizeof battery->address, address);
    battery_configure(battery, name, interval_us);
}

void battery_configure(Battery *battery, const char *name, int64_t interval_us)
{
    copy_text(battery->name, sizeof battery->name, name ? name : battery->address);
    battery->interval_us = interval_us;
    /* A longer one does not bring back what is stale, now or after a shorter one. */
    if (interval_us < battery->read_interval_us)
        battery->read_interval_us = interval_us;
}

double battery_power(const JbdBasic *basic)
{
    return (double)basic->pack_mv * (double)basic->current_ma / 1e6;
}

uint32_t battery_full_mah(const JbdBasic *basic)
{
    if (basic->has_tail && basic->tail.full_charge_mah > 0)
        return basic->tail.full_charge_mah;
    return basic->nominal_mah;
}

/*
 * Energy between two polls: the power is taken to change in a straight line. Where it changes its
 * sign in between, what flowed before the crossing and what flowed after it go to different
 * counters.
 */
static void integrate(Battery *battery, double before, double after, int64_t elapsed_us)
{
    double seconds = (double)elapsed_us / 1e6;
    double *total_before = before > 0 ? &battery->charged_joules : &battery->discharged_joules;
    double *total_after = after > 0 ? &battery->charged_joules : &battery->discharged_joules;

    battery->measured_us += elapsed_us;
    before = before < 0 ? -before : before;
    after = after < 0 ? -after : after;
    if (total_before == total_after || before + after <= 0) {
        *total_after += (before + after) / 2 * seconds;
    } else {
        double crossing = seconds * before / (before + after);

        *total_before += before / 2 * crossing;
        *total_after += after / 2 * (seconds - crossing);
    }
}

static void observe(BatteryHistogram *histogram, double value)
{
    histogram->count++;
    histogram->sum += value;
    for (unsigned i = 0; i < BATTERY_N_BUCKETS; i++) {
        if (value <= battery_duration_bounds[i].seconds) {
            histogram->bucket[i]++;
            break;
        }
    }
}

void battery_publish(Battery *battery, const JbdBasic *basic, const JbdCells *cells, int64_t now_us,
                     double duration)
{
    /* What is fresh enough to be served is good enough to integrate over. Of longer gaps nobody
     * knows what flowed in them. */
    if (battery_is_fresh(battery, now_us))
        integrate(battery, battery_power(&battery->basic), battery_power(basic),
                  now_us - battery->read_at_us);

    jbd_count_impossible(basic, cells, battery->left_out);
    identity_on_poll(&battery->identity, basic, now_us);
    battery->basic = *basic;
    battery->cells = *cells;
    battery->has_functions = battery->has_functions || basic->has_functions;
    battery->has_readings = true;
    battery->read_at_us = now_us;
    battery->read_interval_us = battery->interval_us;
    observe(&battery->poll_duration, duration);
    battery->operator_needed = false;
    battery_set_fault(battery, LINK_FAULT_NONE, "");
}

void battery_set_model(Battery *battery, const JbdModel *model)
{
    identity_on_model(&battery->identity, model);
    battery->model = *model;
    battery->has_model = true;
}

void battery_set_counters(Battery *battery, const JbdCounters *counters)
{
    battery->counters = *counters;
    battery->has_counters = true;
}

void battery_count_poll(Battery *battery, uint64_t n)
{
    battery->polls += n;
}

void battery_count_failure(Battery *battery, PollFailure failure, uint64_t n)
{
    battery->poll_failures[failure] += n;
}

/* Halved now and then, so that the share follows the link as it is now. */
static void count_recent(Battery *battery, bool damaged)
{
    if (battery->recent_frames >= MAX_RECENT_FRAMES) {
        battery->recent_frames /= 2;
        battery->recent_damaged /= 2;
    }
    battery->recent_frames++;
    battery->recent_damaged += damaged;
}

void battery_count_frame(Battery *battery)
{
    battery->frames++;
    count_recent(battery, false);
}

void battery_count_frame_error(Battery *battery, JbdError error)
{
    battery->frame_errors[error]++;
    if (error == JBD_ERROR_CHECKSUM || error == JBD_ERROR_LENGTH)
        count_recent(battery, true);
}

unsigned battery_noise_percent(const Battery *battery)
{
    if (battery->recent_frames < MIN_RECENT_FRAMES)
        return 0;
    return 100 * battery->recent_damaged / battery->recent_frames;
}

void battery_count_session(Battery *battery, SessionReason reason)
{
    battery->sessions[reason]++;
}

void battery_count_recovery(Battery *battery, RecoveryAction action)
{
    battery->recoveries[action]++;
    battery->operator_needed = battery->operator_needed || action == RECOVERY_TELL;
}

void battery_set_stage(Battery *battery, LinkStage stage)
{
    battery->stage = stage;
}

void battery_set_fault(Battery *battery, LinkFault fault, const char *detail)
{
    battery->fault = fault;
    copy_text(battery->detail, sizeof battery->detail, detail ? detail : link_fault_text(fault));
    /* It may quote others, and goes where a newline would begin something else. */
    for (char *c = battery->detail; *c; c++)
        if ((unsigned char)*c < ' ' || *c == '\x7f')
            *c = ' ';
}

bool battery_is_fresh(const Battery *battery, int64_t now_us)
{
    return battery->has_readings &&
           now_us - battery->read_at_us <= BATTERY_FRESH_INTERVALS * battery->read_interval_us;
}
