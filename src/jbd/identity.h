/* SPDX-License-Identifier: MIT */
/*
 * Which board it is, as the labels of bms_info tell. The board says so itself, and each new label
 * is a new series in whatever stores them; so a board that says something else each time is not
 * followed each time. Only computes.
 */
#ifndef BMS_IDENTITY_H
#define BMS_IDENTITY_H

#include "jbd.h"

#include <stdbool.h>
#include <stdint.h>

/** What a board says of itself. */
typedef struct {
    bool has_model;
    bool has_basic; /**< version and date are known, the date as far as there is one */
    char model[JBD_MODEL_SIZE + 1];
    uint8_t version;
    uint16_t year; /**< of production; 0 if the board does not tell a real date */
    uint8_t month;
    uint8_t day;
} IdentityClaim;

typedef struct {
    IdentityClaim shown;
    IdentityClaim read; /**< what the latest answers said */
    int64_t since_us;   /**< since when they have said it */
} Identity;

/** The board has told its model. Shown at once if none is. */
void identity_on_model(Identity *identity, const JbdModel *model);

/**
 * A complete poll. What the board says is shown at once if nothing is, else after it has been said
 * for an hour without a break.
 * @param now_us since boot, suspend included
 */
void identity_on_poll(Identity *identity, const JbdBasic *basic, int64_t now_us);

#endif
