/* SPDX-License-Identifier: MIT */
/* One device's state: when it was read, and what is counted about it. */
#include "device.h"

#include <stdlib.h>
#include <string.h>

enum { MIN_RECENT_FRAMES = 10, MAX_RECENT_FRAMES = 128 };

const struct DeviceBound device_duration_bounds[DEVICE_N_BUCKETS] = {
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

void device_init(Device *device, const Kind *kind, const char *address, const char *name,
                 int64_t interval_us)
{
    memset(device, 0, sizeof *device);
    device->kind = kind;
    copy_text(device->address, sizeof device->address, address);
    device_configure(device, name, interval_us);
}

void device_configure(Device *device, const char *name, int64_t interval_us)
{
    copy_text(device->name, sizeof device->name, name ? name : device->address);
    device->interval_us = interval_us;
    /* A longer one does not bring back what is stale, now or after a shorter one. */
    if (interval_us < device->read_interval_us)
        device->read_interval_us = interval_us;
}

static void observe(DeviceHistogram *histogram, double value)
{
    histogram->count++;
    histogram->sum += value;
    for (unsigned i = 0; i < DEVICE_N_BUCKETS; i++) {
        if (value <= device_duration_bounds[i].seconds) {
            histogram->bucket[i]++;
            break;
        }
    }
}

int64_t device_elapsed(const Device *device, int64_t now_us)
{
    return device_is_fresh(device, now_us) ? now_us - device->read_at_us : -1;
}

void device_published(Device *device, int64_t now_us, double duration)
{
    device->has_readings = true;
    device->read_at_us = now_us;
    device->read_interval_us = device->interval_us;
    observe(&device->poll_duration, duration);
    device->operator_needed = false;
    device_set_fault(device, LINK_FAULT_NONE, "");
}

void device_count_poll(Device *device, uint64_t n)
{
    device->polls += n;
}

void device_count_failure(Device *device, PollFailure failure, uint64_t n)
{
    device->poll_failures[failure] += n;
}

/* Halved now and then, so that the share follows the link as it is now. */
static void count_recent(Device *device, bool damaged)
{
    if (device->recent_frames >= MAX_RECENT_FRAMES) {
        device->recent_frames /= 2;
        device->recent_damaged /= 2;
    }
    device->recent_frames++;
    device->recent_damaged += damaged;
}

void device_count_frame(Device *device)
{
    device->frames++;
    count_recent(device, false);
}

void device_count_frame_error(Device *device, unsigned error, bool damaged)
{
    device->frame_errors[error]++;
    if (damaged)
        count_recent(device, true);
}

unsigned device_noise_percent(const Device *device)
{
    if (device->recent_frames < MIN_RECENT_FRAMES)
        return 0;
    return 100 * device->recent_damaged / device->recent_frames;
}

void device_count_session(Device *device, SessionReason reason)
{
    device->sessions[reason]++;
}

void device_count_recovery(Device *device, RecoveryAction action)
{
    device->recoveries[action]++;
    device->operator_needed = device->operator_needed || action == RECOVERY_TELL;
}

void device_set_stage(Device *device, LinkStage stage)
{
    device->stage = stage;
}

void device_set_fault(Device *device, LinkFault fault, const char *detail)
{
    device->fault = fault;
    copy_text(device->detail, sizeof device->detail, detail ? detail : link_fault_text(fault));
    /* It may quote others, and goes where a newline would begin something else. */
    for (char *c = device->detail; *c; c++)
        if ((unsigned char)*c < ' ' || *c == '\x7f')
            *c = ' ';
}

bool device_is_fresh(const Device *device, int64_t now_us)
{
    return device->has_readings &&
           now_us - device->read_at_us <= DEVICE_FRESH_INTERVALS * device->read_interval_us;
}
