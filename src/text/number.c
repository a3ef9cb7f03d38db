/* SPDX-License-Identifier: MIT */
/*
 * Numbers as text.
 *
 * The board sends integers, so most of what is exported is an integer with a decimal point put in:
 * exact, and cheaper than any floating point conversion.
 */
#include "number.h"

#include "append.h"

#include <math.h>

/** Writes the number backwards from @a end and returns where it begins. */
static char *write_fixed(char *end, int64_t value, unsigned decimals)
{
    /* Negated as unsigned, because −INT64_MIN does not exist. */
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    char *p = end;

    for (unsigned digits = 0; rest > 0 || digits <= decimals; digits++) {
        if (digits == decimals && decimals > 0)
            *--p = '.';
        *--p = (char)('0' + rest % 10);
        rest /= 10;
    }
    if (value < 0)
        *--p = '-';
    return p;
}

void number_append_fixed(GString *out, int64_t value, unsigned decimals)
{
    char text[NUMBER_SIZE];
    char *end = text + sizeof text;
    const char *begin = write_fixed(end, value, decimals);

    text_append_len(out, begin, (gsize)(end - begin));
}

void number_format_unsigned(char text[NUMBER_SIZE], unsigned value)
{
    char digits[NUMBER_SIZE];
    char *end = digits + sizeof digits;
    const char *begin = write_fixed(end, value, 0);
    const size_t size = (size_t)(end - begin);

    memcpy(text, begin, size);
    text[size] = '\0';
}

void number_append_decimal(GString *out, int64_t value, unsigned decimals)
{
    while (decimals > 0 && value % 10 == 0) {
        value /= 10;
        decimals--;
    }
    number_append_fixed(out, value, decimals);
}

void number_format_real(char text[NUMBER_SIZE], double value)
{
    static const char *const formats[] = {"%.15g", "%.16g", "%.17g"};

    /* 15 digits are what a decimal survives in a double, 17 what a double survives as a decimal. */
    for (gsize i = 0; i < G_N_ELEMENTS(formats); i++) {
        g_ascii_formatd(text, NUMBER_SIZE, formats[i], value);
        if (g_ascii_strtod(text, NULL) == value)
            break;
    }
}

/**
 * Whether the double is, to the last bit, what @a micros × 10^−6 reads back as. Below 4 × 10^9 two
 * such decimals are never nearer to each other than two doubles, so no other one is as short.
 */
static gboolean is_micros(double value, int64_t *micros)
{
    static const double limit = 4e9;

    if (!(value > -limit && value < limit))
        return FALSE;
    *micros = llround(value * 1e6);
    /* Both operands are exact, so the quotient is the double nearest to the decimal. */
    return (double)*micros / 1e6 == value && (*micros != 0 || !signbit(value));
}

void number_append_real(GString *out, double value)
{
    char text[NUMBER_SIZE];
    int64_t micros;

    if (is_micros(value, &micros)) {
        number_append_decimal(out, micros, 6);
        return;
    }
    number_format_real(text, value);
    text_append(out, text);
}
