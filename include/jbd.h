/* SPDX-License-Identifier: MIT */
/*
 * The JBD protocol, computed: requests, the reassembly of notifications into frames, and the
 * decoding of payloads into plain structs. Nothing here allocates, waits, or knows of Bluetooth.
 *
 * A response on the wire (vendor document "Jiabaida communication protocol", V4 and V11):
 *
 *     DD  reg  status  len  data[len]  ckH ckL  77
 *
 * An answer of the password handshake, which modules of newer firmware want first (seen in
 * captures):
 *
 *     FF AA  command  len  data[len]  sum
 *
 * All integers are big-endian. The checksum is the two's complement of the 16-bit sum over status,
 * len and data; the register is not in it. A BLE module passes the frame on in pieces of 20 bytes
 * (ATT MTU 23), and 0xDD and 0x77 occur inside frames too: only the length tells where one ends.
 */
#ifndef BMS_JBD_H
#define BMS_JBD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The four registers that a monitor reads. There is no way to express any other request. */
typedef enum {
    JBD_BASIC,    /**< 0x03: voltage, current, capacity, protection, FETs, temperatures */
    JBD_CELLS,    /**< 0x04: cell voltages */
    JBD_MODEL,    /**< 0x05: hardware model; optional, some boards answer 0x80 */
    JBD_COUNTERS, /**< 0xAA: how often each protection has tripped; optional */
    JBD_N_READS
} JbdRead;

/** Why a frame, or what looked like one, was not used. */
typedef enum {
    JBD_OK,
    JBD_ERROR_CHECKSUM, /**< the checksum does not match */
    JBD_ERROR_LENGTH,   /**< no 0x77 where the length puts the end, or cut short */
    JBD_ERROR_ECHO,     /**< our own request came back instead of an answer */
    JBD_ERROR_STATUS,   /**< a sound frame in which the board refuses the request */
    JBD_ERROR_REGISTER, /**< a sound frame that answers something else than was asked */
    JBD_ERROR_SANITY,   /**< a sound frame whose payload cannot be what the register holds */
    JBD_N_ERRORS
} JbdError;

/** Name of an error as it appears in the label of bms_frame_errors_total ("checksum"). */
const char *jbd_error_name(JbdError error);

/* ---- requests ------------------------------------------------------------------------------ */

enum { JBD_REQUEST_SIZE = 7 };

/** The bytes of the request for @a read: `DD A5 reg 00 ckH ckL 77`. */
const uint8_t *jbd_request(JbdRead read);

/** Register number on the wire, 0x03, 0x04, 0x05 or 0xAA. */
uint8_t jbd_register(JbdRead read);

/* ---- the password handshake ---------------------------------------------------------------- */

/**
 * Its steps, as the commands on the wire. The first tells whether a password is wanted at all; the
 * other two give it. Modules whose owner has set no password, and older ones, need none of it.
 */
typedef enum {
    JBD_STEP_KEY = 0x15,      /**< the key of the vendor's app, the same for all: six zeroes */
    JBD_STEP_RANDOM = 0x17,   /**< asks for a random byte */
    JBD_STEP_PASSWORD = 0x18, /**< the password, mixed with that byte and the board's address */
} JbdStep;

/** What a board answers to JBD_STEP_KEY; to JBD_STEP_PASSWORD one of the first two. */
enum {
    JBD_STEP_OK = 0,
    JBD_STEP_REFUSED = 1,
    JBD_STEP_NOT_NEEDED = 2, /**< no password is set */
};

enum {
    JBD_PASSWORD_SIZE = 6,
    JBD_ADDRESS_SIZE = 6,
    JBD_STEP_OVERHEAD = 5,
    JBD_MAX_STEP = JBD_STEP_OVERHEAD + JBD_PASSWORD_SIZE,
};

/** A request of the handshake. */
typedef struct {
    size_t size;
    uint8_t bytes[JBD_MAX_STEP];
} JbdStepRequest;

JbdStepRequest jbd_step_key(void);
JbdStepRequest jbd_step_random(void);

/**
 * @param address the board's, in the order in which it is written
 * @param random  what it has answered to JBD_STEP_RANDOM
 */
JbdStepRequest jbd_step_password(const uint8_t password[JBD_PASSWORD_SIZE],
                                 const uint8_t address[JBD_ADDRESS_SIZE], uint8_t random);

/**
 * What tells the bytes of a password among those on the wire, in one direction. The password goes
 * mixed with a byte and an address that can be read beside it, so it must not be shown so either.
 * Begins as {0}.
 */
typedef struct {
    uint8_t matched;
    uint8_t left;
} JbdMask;

/** Takes the next byte. @return whether it has to be hidden */
bool jbd_mask_hides(JbdMask *mask, uint8_t byte);

/* ---- frames -------------------------------------------------------------------------------- */

enum {
    JBD_FRAME_OVERHEAD = 7,
    JBD_MAX_PAYLOAD = 255,
    JBD_MAX_FRAME = JBD_MAX_PAYLOAD + JBD_FRAME_OVERHEAD,
    JBD_BUFFER_SIZE = 2 * JBD_MAX_FRAME,
};

/** A response whose length, end and checksum are right. */
typedef struct {
    uint8_t reg;
    uint8_t status; /**< 0 is ok; 0x80 no such register, 0x81 not allowed, … */
    uint8_t size;   /**< bytes of payload */
    const uint8_t
        *data; /**< the payload, inside the reassembler: valid until its _next or _reset */
} JbdFrame;

/** What jbd_reassembler_next() found. */
typedef enum {
    JBD_NEED_MORE, /**< nothing complete is left; feed it more */
    JBD_FRAME,     /**< a sound frame */
    JBD_STEP,    /**< a sound answer of the password handshake, for a reassembler that expects it */
    JBD_REFUSED, /**< something that looked like a frame and is not one; see the error */
} JbdEvent;

/**
 * Puts notifications together to frames. It trusts nothing: it finds the start of a frame among
 * noise, padding, echoes and the remains of earlier answers, and a start that turns out to be
 * false never hides a sound frame behind it. Its memory is fixed; use it by value.
 */
typedef struct {
    bool expects_steps;
    size_t length;
    size_t consumed;
    uint8_t buffer[JBD_BUFFER_SIZE];
} JbdReassembler;

/** Forgets all bytes. To be called for each new link and before each request. */
void jbd_reassembler_reset(JbdReassembler *reassembler);

/**
 * From now until it is reset, answers of the password handshake are looked for beside frames. They
 * have an 8-bit sum only, and may come to stand inside a good frame; so they are not looked for
 * where none can come.
 */
void jbd_reassembler_expect_steps(JbdReassembler *reassembler);

/**
 * Takes bytes as they came from the radio, in pieces of any size.
 * @return how many of @a size were taken. It is less than @a size only when the buffer is full;
 * calling jbd_reassembler_next() until JBD_NEED_MORE always makes room again.
 */
size_t jbd_reassembler_put(JbdReassembler *reassembler, const uint8_t *data, size_t size);

/**
 * Yields the next frame or refusal among the bytes taken so far.
 * @param frame set for JBD_FRAME; for JBD_STEP its reg is the JbdStep and its one byte of data the
 *              answer
 * @param error set for JBD_REFUSED: JBD_ERROR_CHECKSUM, JBD_ERROR_LENGTH or JBD_ERROR_ECHO
 */
JbdEvent jbd_reassembler_next(JbdReassembler *reassembler, JbdFrame *frame, JbdError *error);

/** Whether the beginning of a frame is waiting for its rest. That of an echo does not count. */
bool jbd_reassembler_is_partial(const JbdReassembler *reassembler);

/* ---- boards of other makes ----------------------------------------------------------------- */

/**
 * What kind of board begins its frames like this notification ("Daly boards"), or NULL. It says
 * nothing about a board that has sent a sound frame: noise may begin with anything.
 */
const char *jbd_foreign_make(const uint8_t *bytes, size_t size);

/* ---- readings ------------------------------------------------------------------------------ */

enum {
    JBD_MAX_CELLS = 32, /**< the balance word has 32 bits; no board has more */
    JBD_BASIC_SIZE = 23,
    JBD_MAX_SENSORS = (JBD_MAX_PAYLOAD - JBD_BASIC_SIZE) / 2,
    JBD_MODEL_SIZE = 31,
    JBD_N_PROTECTIONS = 16,
    JBD_N_COUNTERS = 12,
    JBD_N_FUNCTIONS = 5,
};

/** Bits of JbdBasic.fet. */
enum {
    JBD_PROTECTION_SOFTWARE_LOCK = 1 << 12, /**< no protection: the owner has switched a FET off */
    JBD_FET_CHARGE = 1 << 0,
    JBD_FET_DISCHARGE = 1 << 1,
    JBD_FET_FIRST_FUNCTION = 2, /**< bit n + this is jbd_function_name(n) … */
    JBD_FET_FUNCTIONS = ((1 << JBD_N_FUNCTIONS) - 1)
                        << JBD_FET_FIRST_FUNCTION, /**< … on boards that have these bits */
    JBD_FET_TENFOLD = 1 << 7, /**< current and capacity come in units of 100 mA and 100 mAh */
};

/** Tail of newer firmware after the temperatures of register 0x03. */
typedef struct {
    uint8_t humidity_percent;
    uint16_t alarms; /**< bit n is jbd_alarm_name(n) */
    uint32_t full_charge_mah;
    int32_t balance_current_ma;
} JbdTail;

/** Register 0x03, basic information. Integers in the finest unit that the board has. */
typedef struct {
    uint32_t pack_mv;
    int32_t current_ma; /**< positive while charging */
    uint32_t remaining_mah;
    uint32_t nominal_mah;
    uint16_t cycles;
    uint16_t production_year; /**< 0 if the board does not tell a real date */
    uint8_t production_month;
    uint8_t production_day;
    uint32_t balancing;  /**< bit n is cell n + 1 */
    uint16_t protection; /**< bit n is jbd_protection_name(n) */
    uint8_t version;     /**< BCD-like: 0x2A is the text "2.10" */
    uint8_t soc_percent; /**< state of charge as the board reports it */
    uint8_t fet;         /**< JBD_FET_… and the functions */
    bool has_functions;  /**< this frame shows that the board reports JBD_FET_FUNCTIONS */
    uint8_t cell_count;  /**< as the board says here; the payload of 0x04 is what counts */
    uint8_t sensor_count;
    bool has_tail;
    bool tail_refused; /**< a tail of a known size contradicts the rest of the frame */
    JbdTail tail;
    int32_t temperature_dc[JBD_MAX_SENSORS]; /**< 0.1 °C; an open NTC input reads −300 */
} JbdBasic;

/** Register 0x04. */
typedef struct {
    uint8_t count; /**< 1 … JBD_MAX_CELLS */
    uint16_t mv[JBD_MAX_CELLS];
} JbdCells;

/**
 * Register 0x05: bytes as the board sent them, not necessarily UTF-8, cut at the first NUL and
 * without padding at the end. Never empty where jbd_decode_model() gave JBD_OK.
 */
typedef struct {
    char text[JBD_MODEL_SIZE + 1];
} JbdModel;

/** Register 0xAA: how often each protection has tripped since the owner last cleared them. */
typedef struct {
    uint8_t count; /**< 11, or 12 with the number of restarts in the last */
    uint16_t value[JBD_N_COUNTERS];
} JbdCounters;

/**
 * Decoders. Each checks that the frame answers its register (JBD_ERROR_REGISTER), that the board
 * did not refuse (JBD_ERROR_STATUS) and that the payload can be what it should be
 * (JBD_ERROR_SANITY). On an error @a out is left as it was.
 */
JbdError jbd_decode_basic(const JbdFrame *frame, JbdBasic *out);
JbdError jbd_decode_cells(const JbdFrame *frame, JbdCells *out);
JbdError jbd_decode_model(const JbdFrame *frame, JbdModel *out);
JbdError jbd_decode_counters(const JbdFrame *frame, JbdCounters *out);

enum { JBD_MALFORMED_SIZE = 96 };

/**
 * Says what does not fit about a frame that was refused with JBD_ERROR_SANITY
 * ("register 03: 22 bytes, at least 23 expected").
 */
void jbd_describe_malformed(char text[JBD_MALFORMED_SIZE], const JbdFrame *frame);

/* ---- what cannot be ------------------------------------------------------------------------ */

/** Parts of a sound frame that are left out alone when their value is one no board can measure. */
typedef enum {
    JBD_FIELD_SOC,
    JBD_FIELD_TEMPERATURE,
    JBD_FIELD_CELL,
    JBD_FIELD_TAIL,
    JBD_N_FIELDS
} JbdField;

/** Name of a field as it appears in the label of bms_values_left_out_total ("state_of_charge"). */
const char *jbd_field_name(JbdField field);

/** 0 to 110 %. More than 100 means full. */
bool jbd_soc_is_possible(uint8_t percent);
/** @param dc in 0.1 °C: −100 to 200 °C */
bool jbd_temperature_is_possible(int32_t dc);
/** 0 to 10 V: a broken wire reads 0, and its neighbour twice its voltage. */
bool jbd_cell_is_possible(uint16_t mv);
/** Whether all cells are, and with them what is made of their sum. */
bool jbd_cells_are_possible(const JbdCells *cells);

/** Adds how many values of each field are impossible to @a left_out, JBD_N_FIELDS counters. */
void jbd_count_impossible(const JbdBasic *basic, const JbdCells *cells, uint64_t left_out[]);

/** Sum of the cells in mV. */
uint32_t jbd_cells_sum_mv(const JbdCells *cells);

/** Name of bit @a bit of JbdBasic.protection ("cell_overvoltage"); bit < JBD_N_PROTECTIONS. */
const char *jbd_protection_name(unsigned bit);

/** Name of function @a index of JbdBasic.fet ("heating"); index < JBD_N_FUNCTIONS. */
const char *jbd_function_name(unsigned index);

/** Name of bit @a bit of JbdTail.alarms ("cell_high"); bit < JBD_N_PROTECTIONS. */
const char *jbd_alarm_name(unsigned bit);

/** Name of counter @a index of register 0xAA ("short_circuit"); index < JBD_N_COUNTERS. */
const char *jbd_counter_name(unsigned index);

#endif
