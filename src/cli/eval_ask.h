/* One question to the model: its ids, how likely each answer is, or the answer that the model writes. */
#ifndef PHI_CLI_EVAL_ASK_H
#define PHI_CLI_EVAL_ASK_H

#include "eval.h"
#include "eval_items.h"

struct eval_ids {
    int32_t *id; /* owned: phi_free() */
    size_t n;
};

/* What stands before the answer, and the whole with each answer: one for each choice, or none for EVAL_GENERATE.
 *
 *     context  BOS head question answer question            (text; or the chat's ids around turns)
 *     answer   BOS head question answer question answer_i   tokenized as one text, so that it may begin another way */
struct eval_question {
    struct eval_ids context, answer[EVAL_CHOICES];
    int n_answer;
    size_t longest;                     /* ids of the longest of them */
    size_t characters[EVAL_CHOICES];    /* of the answers, without the space before them */
};
int eval_question_make(const struct eval *e, const struct eval_items *t, struct eval_question *q);
void eval_question_free(struct eval_question *q);

struct eval_likelihood {
    double sum;                /* ln p of the ids behind the context */
    double tail;               /* of the ids behind what all answers share */
    size_t n_tail;             /* how many those are */
};
/* For each answer. The ids that the session shares with the last question are not computed again. */
int eval_question_score(struct eval *e, const struct eval_question *q, struct eval_likelihood *out);

/* The likeliest continuation of the context, up to a stop token, the task's stop text or its length. */
int eval_question_answer(struct eval *e, const struct eval_question *q, const struct eval_items *t,
                         struct eval_buffer *text);

/* Is what the task looks for in this text the right answer? marked: only behind the task's "after". */
bool eval_answer_right(const struct eval_items *t, const struct eval_buffer *text, bool marked);

#endif
