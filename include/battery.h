/* SPDX-License-Identifier: MIT */
/*
 * One battery as it is known now: its latest readings with their times, whether they are fresh,
 * and everything that is counted about it. A plain struct: the functions here change it, anybody
 * may read it. It does not know how readings come or where they go.
 */
#ifndef BMS_BATTERY_H
#define BMS_BATTERY_H

#include "identity.h"
#include "jbd.h"
#include "link.h"
#include "recovery.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    BATTERY_ADDRESS_SIZE = sizeof "AA:BB:CC:DD:EE:FF",
    BATTERY_NAME_SIZE = 64,
    BATTERY_DETAIL_SIZE = 256,
    BATTERY_NOISY_PERCENT = 10, /**< from this share of damaged answers on a link is called noisy */
    BATTERY_FRESH_INTERVALS = 3, /**< readings older than this many poll intervals are not served */
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

enum { BATTERY_N_BUCKETS = 9 };
/** Upper bounds of the buckets of bms_poll_duration_seconds; +Inf comes on top. */
extern const struct BatteryBound {
    double seconds;
    const char *text; /**< as OpenMetrics wants it, with a point in it */
} battery_duration_bounds[BATTERY_N_BUCKETS];

typedef struct {
    uint64_t count;
    double sum;
    uint64_t bucket[BATTERY_N_BUCKETS]; /**< not cumulative; beyond the last bound only in count */
} BatteryHistogram;

typedef struct {
    /* who */
    char address[BATTERY_ADDRESS_SIZE];
    char name[BATTERY_NAME_SIZE]; /**< given by the user, else the address */
    int64_t interval_us;          /**< poll interval, as it is set now */

    /* latest complete poll; meaningful if has_readings */
    bool has_readings;
    int64_t read_at_us;       /**< µs since boot, suspend included */
    int64_t read_interval_us; /**< shortest poll interval since then: the measure of freshness */
    JbdBasic basic;
    JbdCells cells;
    bool has_functions; /**< of any of the polls so far */

    /* read once a session or now and then */
    bool has_model;
    JbdModel model;
    Identity identity; /**< what the labels of bms_info say of the board */
    bool has_counters;
    JbdCounters counters;

    /* counted and integrated */
    double charged_joules;
    double discharged_joules;
    int64_t measured_us; /**< time over which these were measured */
    uint64_t polls;
    uint64_t poll_failures[POLL_N_FAILURES];
    uint64_t frames;                     /**< that were sound */
    uint64_t frame_errors[JBD_N_ERRORS]; /**< [JBD_OK] stays 0 */
    uint64_t left_out[JBD_N_FIELDS];     /**< values of sound frames that cannot be */
    unsigned recent_frames;              /**< the latest hundred or so, sound or damaged */
    unsigned recent_damaged;
    uint64_t sessions[SESSION_N_REASONS];
    uint64_t recoveries[RECOVERY_N_ACTIONS];
    BatteryHistogram poll_duration;

    /* the link, as a person wants to know it */
    LinkStage stage;
    LinkFault fault;                  /**< of the latest attempt; NONE once readings have come */
    char detail[BATTERY_DETAIL_SIZE]; /**< what is wrong in words, or "" */
    bool operator_needed;             /**< all that could be done has not helped */
} Battery;

/** @param name NULL for the address. Longer texts are cut. */
void battery_init(Battery *battery, const char *address, const char *name, int64_t interval_us);

/** Another name, NULL for the address, or another interval; see battery_is_fresh(). */
void battery_configure(Battery *battery, const char *name, int64_t interval_us);

/**
 * Takes the readings of one complete poll.
 * @param now_us since boot, suspend included  @param duration of the poll in s
 */
void battery_publish(Battery *battery, const JbdBasic *basic, const JbdCells *cells, int64_t now_us,
                     double duration);

void battery_set_model(Battery *battery, const JbdModel *model);
void battery_set_counters(Battery *battery, const JbdCounters *counters);

/** A poll became due. */
void battery_count_poll(Battery *battery, uint64_t n);
/** @a n polls that were due are over and brought nothing. */
void battery_count_failure(Battery *battery, PollFailure failure, uint64_t n);
/** A sound frame came, whatever it says. */
void battery_count_frame(Battery *battery);
void battery_count_frame_error(Battery *battery, JbdError error);
void battery_count_session(Battery *battery, SessionReason reason);
/** Something was done to get readings again; for RECOVERY_TELL until they come. */
void battery_count_recovery(Battery *battery, RecoveryAction action);

void battery_set_stage(Battery *battery, LinkStage stage);
/** @param detail what is wrong in words, or NULL for link_fault_text() */
void battery_set_fault(Battery *battery, LinkFault fault, const char *detail);

/**
 * Whether there are readings of a complete poll not older than BATTERY_FRESH_INTERVALS. A longer
 * interval counts from the next complete poll on, so that it does not bring back what is stale; a
 * shorter one counts at once.
 */
bool battery_is_fresh(const Battery *battery, int64_t now_us);

/** Share of the latest hundred or so answers that came damaged; 0 before there are ten. */
unsigned battery_noise_percent(const Battery *battery);

/** Power in W from pack voltage and current; positive while charging. */
double battery_power(const JbdBasic *basic);

/** mAh when full: what the board has learnt if it tells, else nominal. */
uint32_t battery_full_mah(const JbdBasic *basic);

#endif
