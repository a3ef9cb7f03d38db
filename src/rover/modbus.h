/* SPDX-License-Identifier: MIT */
/*
 * Modbus RTU, as far as a reader of registers needs it: requests of function 03, and their answers
 * among whatever else comes. Only computes.
 *
 *     request    unit 03 addrH addrL countH countL crcL crcH
 *     answer     unit 03 2n    data[2n]            crcL crcH
 *     exception  unit 83 code                      crcL crcH
 *
 * Data is big-endian, the CRC is not. An answer does not repeat the address: one that comes late
 * cannot be told from that to the next question if both have the same length. Whoever asks must see
 * to it that no earlier answer can be on its way.
 *
 * There is no way to express any other function.
 */
#ifndef BMS_ROVER_MODBUS_H
#define BMS_ROVER_MODBUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MODBUS_REQUEST_SIZE = 8,
    MODBUS_MAX_REGISTERS = 125,
    MODBUS_OVERHEAD = 5, /**< of an answer */
    MODBUS_MAX_ANSWER = MODBUS_OVERHEAD + 255,
    MODBUS_BUFFER_SIZE = 2 * MODBUS_MAX_ANSWER,
    MODBUS_ANY_UNIT = 255, /**< reaches a device that is alone on its line, whatever its number */
};

/** A question: registers @a start to @a start + @a count − 1 of @a unit. */
typedef struct {
    uint8_t unit; /**< 1 to 247, or MODBUS_ANY_UNIT. Never 0: a broadcast has no answer */
    uint16_t start;
    uint16_t count; /**< 1 to MODBUS_MAX_REGISTERS */
} ModbusRead;

/** Why something that looked like an answer was not used. */
typedef enum {
    MODBUS_OK,
    MODBUS_ERROR_CRC,      /**< the answer, damaged */
    MODBUS_ERROR_LENGTH,   /**< sound, of another length than was asked for */
    MODBUS_ERROR_UNIT,     /**< sound, of another unit */
    MODBUS_ERROR_FUNCTION, /**< sound, to another function: somebody else is talking */
    MODBUS_ERROR_ECHO,     /**< our own request came back */
    MODBUS_N_ERRORS
} ModbusError;

typedef enum {
    MODBUS_NEED_MORE, /**< nothing complete is left */
    MODBUS_ANSWER,    /**< data holds count registers */
    MODBUS_EXCEPTION, /**< the device refuses: code */
    MODBUS_REFUSED,   /**< see the error */
} ModbusEvent;

typedef struct {
    uint8_t unit;        /**< that answered */
    uint8_t code;        /**< of an exception: 1 function, 2 address, 3 count, 4 read failed */
    const uint8_t *data; /**< 2 × count bytes, inside the reader: valid until it is used again */
} ModbusAnswer;

/** Finds the answer to one question at a time. Its memory is fixed; use it by value. */
typedef struct {
    ModbusRead asked;
    size_t length;
    size_t consumed;
    uint8_t buffer[MODBUS_BUFFER_SIZE];
} ModbusReader;

/** Writes the request. */
void modbus_request(const ModbusRead *read, uint8_t bytes[MODBUS_REQUEST_SIZE]);

/** Forgets all bytes; from now on the answer to @a read is looked for. */
void modbus_expect(ModbusReader *reader, const ModbusRead *read);

/** Takes bytes in pieces of any size. @return how many; fewer than @a size only when the buffer is
 * full, and modbus_next() until MODBUS_NEED_MORE makes room. */
size_t modbus_put(ModbusReader *reader, const uint8_t *data, size_t size);

/** The next of what there is among the bytes taken so far. */
ModbusEvent modbus_next(ModbusReader *reader, ModbusAnswer *answer, ModbusError *error);

/** Whether the beginning of the answer waits for its rest. */
bool modbus_is_partial(const ModbusReader *reader);

/** CRC-16/MODBUS: 0x4B37 of "123456789". */
uint16_t modbus_crc(const uint8_t *bytes, size_t size);

static inline uint16_t modbus_register(const uint8_t *data, unsigned index)
{
    return (uint16_t)(data[2 * (size_t)index] << 8 | data[2 * (size_t)index + 1]);
}

#endif
