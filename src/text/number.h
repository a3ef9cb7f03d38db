/* SPDX-License-Identifier: MIT */
/* Numbers as text. Nothing here depends on the locale, and nothing allocates but @a out itself. */
#ifndef BMS_TEXT_NUMBER_H
#define BMS_TEXT_NUMBER_H

#include <glib.h>
#include <stdint.h>

enum { NUMBER_SIZE = 32 }; /**< enough for any of these numbers and its NUL */

/** @a value × 10^−@a decimals with exactly so many decimals: 3290, 3 is "3.290". */
void number_append_fixed(GString *out, int64_t value, unsigned decimals);

/** The same without zeros at the end: 3290, 3 is "3.29" and 3000, 3 is "3". */
void number_append_decimal(GString *out, int64_t value, unsigned decimals);

/** The shortest text that reads back as the very same double; an exponent only where there are more
 * than six decimals or ten digits before the point. */
void number_append_real(GString *out, double value);

/** @a value in decimal digits. */
void number_format_unsigned(char text[NUMBER_SIZE], unsigned value);

/** Writes what number_append_real() appends into @a text. */
void number_format_real(char text[NUMBER_SIZE], double value);

#endif
