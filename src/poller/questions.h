/* SPDX-License-Identifier: MIT */
/*
 * The questions that were put to a board and are not answered yet, in the order in which they were
 * asked. It tells which of them an answer may belong to. Only computes.
 *
 * An answer carries its register and nothing else, and a board answers in order. So an answer
 * belongs to a question for its register, and all questions before that one will not be answered
 * any more. Where several questions for the register wait, because the first was repeated, it is
 * taken for the answer to the oldest. It may be that to a later one if the oldest was lost; then
 * what it says is newer than it is taken for, never older.
 */
#ifndef BMS_QUESTIONS_H
#define BMS_QUESTIONS_H

#include "jbd.h"

#include <stdbool.h>
#include <stdint.h>

enum { QUESTIONS_MAX = 16 };

typedef struct {
    JbdRead read;
    int64_t at_us; /**< when it was asked */
} Question;

/** All zero is none. */
typedef struct {
    Question waiting[QUESTIONS_MAX];
    unsigned count;
} Questions;

/** Forgets all of them, as with a new link. */
void questions_clear(Questions *questions);

/**
 * A question was asked. When there is no room it is not noted; its answer then is taken for that to
 * an older one, or for one to no question at all.
 */
void questions_add(Questions *questions, JbdRead read, int64_t now_us);

/**
 * An answer to @a read has come: forgets the question that it belongs to, and those before it.
 * @param question which one it was
 * @param certain  whether it can be the answer to no other question
 * @return whether there was one; else nothing is changed
 */
bool questions_take(Questions *questions, JbdRead read, Question *question, bool *certain);

/** Whether an answer to @a read is owed that was asked for at @a since_us or later. */
bool questions_wait_for(const Questions *questions, JbdRead read, int64_t since_us);

/** Whether the board owes no answer. */
bool questions_are_none(const Questions *questions);

#endif
