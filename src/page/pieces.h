/* SPDX-License-Identifier: MIT */
/* Small pieces of HTML, for the page and for the cards of the kinds. Nothing that comes from
 * outside becomes markup. */
#ifndef BMS_PAGE_PIECES_H
#define BMS_PAGE_PIECES_H

#include <glib.h>
#include <stdint.h>

#define PAGE_MINUS      "\xE2\x88\x92" /* − */
#define PAGE_NBSP       "\xC2\xA0"
#define PAGE_EN_DASH    "\xE2\x80\x93" /* – */
#define PAGE_MIDDLE_DOT " \xC2\xB7 "

/** Text from outside. bdi keeps right-to-left characters in it from turning the rest around. */
void page_append_text(GString *out, const char *text);

/** @a value × 10^−3, rounded to @a decimals ≤ 3. */
void page_append_milli(GString *out, int64_t value, unsigned decimals);

/** The same with a unit. */
void page_append_quantity(GString *out, int64_t value, unsigned decimals, const char *unit);

/** "2 d 3 h", "5 h 12 min", "3 min", "40 s" */
void page_append_duration(GString *out, int64_t seconds);

/** A name out of a label, as words. */
void page_append_words(GString *out, const char *name);

/** The style attribute of a bar that is so full. */
void page_append_bar_value(GString *out, int percent);

/** A fact is a term and what stands between begin and end. @a what is HTML. */
void page_begin_fact(GString *out, const char *what);
void page_end_fact(GString *out);

#endif
