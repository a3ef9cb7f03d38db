/* SPDX-License-Identifier: MIT */
/* The questions that wait for their answers; see questions.h. */
#include "questions.h"

#include <string.h>

void questions_clear(Questions *questions)
{
    questions->count = 0;
}

void questions_add(Questions *questions, JbdRead read, int64_t now_us)
{
    if (questions->count < QUESTIONS_MAX)
        questions->waiting[questions->count++] = (Question){.read = read, .at_us = now_us};
}

/* The first question for @a read at or after @a from, or the count. */
static unsigned find(const Questions *questions, JbdRead read, unsigned from)
{
    unsigned at = from;

    while (at < questions->count && questions->waiting[at].read != read)
        at++;
    return at;
}

bool questions_take(Questions *questions, JbdRead read, Question *question, bool *certain)
{
    unsigned at = find(questions, read, 0);

    if (at == questions->count)
        return false;
    *question = questions->waiting[at];
    *certain = find(questions, read, at + 1) == questions->count;
    questions->count -= at + 1;
    memmove(questions->waiting, questions->waiting + at + 1,
            questions->count * sizeof questions->waiting[0]);
    return true;
}

bool questions_wait_for(const Questions *questions, JbdRead read, int64_t since_us)
{
    unsigned at = find(questions, read, 0);

    while (at < questions->count && questions->waiting[at].at_us < since_us)
        at = find(questions, read, at + 1);
    return at < questions->count;
}

bool questions_are_none(const Questions *questions)
{
    return questions->count == 0;
}
