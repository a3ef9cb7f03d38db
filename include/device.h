/* SPDX-License-Identifier: MIT */
/*
 * One device as it is known now: when it was read last, whether that is fresh, and everything that
 * is counted about it. What was read belongs to its kind (kind.h). A plain struct: the functions
 * here change it, anybody may read it. It does not know how readings come or where they go.
 */
#ifndef BMS_DEVICE_H
#define BMS_DEVICE_H

#include "link.h"
#include "recovery.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Kind Kind;

enum {
    DEVICE_ADDRESS_SIZE = sizeof "AA:BB:CC:DD:EE:FF",
    DEVICE_NAME_SIZE = 64,
    DEVICE_DETAIL_SIZE = 256,
    DEVICE_STATE_SIZE = 1536,   /**< bytes for what a kind keeps of a device */
    DEVICE_MAX_ERRORS = 16,     /**< most errors that a kind can have in an answer */
    DEVICE_NOISY_PERCENT = 10,  /**< share of damaged answers from which a link is noisy */
    DEVICE_FRESH_INTERVALS = 3, /**< readings older than this many poll intervals are not served */
};

/** Why a poll that was due brought no readings: label of bms_poll_failures_total. */
typedef enum {
    POLL_FAILURE_NOT_CONNECTED, /**< no link was up in the whole slot */
    POLL_FAILURE_TIMEOUT,       /**< no answer */
    POLL_FAILURE_LINK_LOSS,     /**< the link broke while asking */
    POLL_FAILURE_FRAME,         /**< only frames that were refused (checksum, length, …) */
    POLL_FAILURE_STATUS,        /**< the board refused the request */
    POLL_FAILURE_MISSED,        /**< this process did not run when the poll was due */
    POLL_N_FAILURES
} PollFailure;

const char *poll_failure_name(PollFailure failure);

enum { DEVICE_N_BUCKETS = 9 };
/** Upper bounds of the buckets of bms_poll_duration_seconds; +Inf comes on top. */
extern const struct DeviceBound {
    double seconds;
    const char *text; /**< as OpenMetrics wants it, with a point in it */
} device_duration_bounds[DEVICE_N_BUCKETS];

typedef struct {
    uint64_t count;
    double sum;
    uint64_t bucket[DEVICE_N_BUCKETS]; /**< not cumulative; beyond the last bound only in count */
} DeviceHistogram;

typedef struct {
    /* who */
    const Kind *kind;
    char address[DEVICE_ADDRESS_SIZE];
    char name[DEVICE_NAME_SIZE]; /**< given by the user, else the address */
    int64_t interval_us;         /**< poll interval, as it is set now */

    /* latest complete poll; meaningful if has_readings */
    bool has_readings;
    int64_t read_at_us;       /**< µs since boot, suspend included */
    int64_t read_interval_us; /**< shortest poll interval since the readings; decides freshness */
    _Alignas(max_align_t) unsigned char state[DEVICE_STATE_SIZE]; /**< owned by the kind, zero at
                                                                     first */

    /* counted */
    uint64_t polls;
    uint64_t poll_failures[POLL_N_FAILURES];
    uint64_t frames;                          /**< sound frames */
    uint64_t frame_errors[DEVICE_MAX_ERRORS]; /**< by the kind's errors; [0] stays 0 */
    unsigned recent_frames;                   /**< the latest hundred or so, sound or damaged */
    unsigned recent_damaged;
    uint64_t sessions[SESSION_N_REASONS];
    uint64_t recoveries[RECOVERY_N_ACTIONS];
    DeviceHistogram poll_duration;

    /* the link, as a person wants to know it */
    LinkStage stage;
    LinkFault fault;                 /**< fault of the latest attempt; NONE after a complete poll */
    char detail[DEVICE_DETAIL_SIZE]; /**< the fault as text, or "" */
    bool operator_needed;            /**< retries and recovery did not help */
} Device;

/** @param name NULL for the address. Longer texts are cut. */
void device_init(Device *device, const Kind *kind, const char *address, const char *name,
                 int64_t interval_us);

/** Another name, NULL for the address, or another interval; see battery_is_fresh(). */
void device_configure(Device *device, const char *name, int64_t interval_us);

/**
 * The time since the latest complete poll, if its readings are still fresh: what is measured from
 * poll to poll, like energy, is measured over it. −1 if nobody knows what was in between.
 */
int64_t device_elapsed(const Device *device, int64_t now_us);

/**
 * A poll is complete, and its kind has taken what was read.
 * @param now_us since boot, suspend included  @param duration of the poll in s
 */
void device_published(Device *device, int64_t now_us, double duration);

/** A poll became due. */
void device_count_poll(Device *device, uint64_t n);
/** @a n polls that were due are over and brought nothing. */
void device_count_failure(Device *device, PollFailure failure, uint64_t n);
/** A sound frame came, whatever it says. */
void device_count_frame(Device *device);
/** @param error of the kind, not 0  @param damaged whether the link may have done it */
void device_count_frame_error(Device *device, unsigned error, bool damaged);
void device_count_session(Device *device, SessionReason reason);
/** Something was done to get readings again; for RECOVERY_TELL until they come. */
void device_count_recovery(Device *device, RecoveryAction action);

void device_set_stage(Device *device, LinkStage stage);
/** @param detail what is wrong in words, or NULL for link_fault_text() */
void device_set_fault(Device *device, LinkFault fault, const char *detail);

/**
 * Whether there are readings of a complete poll not older than BATTERY_FRESH_INTERVALS. A longer
 * interval counts from the next complete poll on, so that it does not bring back what is stale; a
 * shorter one counts at once.
 */
bool device_is_fresh(const Device *device, int64_t now_us);

/** Share of the latest hundred or so answers that came damaged; 0 before there are ten. */
unsigned device_noise_percent(const Device *device);

#endif
