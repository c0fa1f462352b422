/* Questions from files in JSON lines, how they are asked, and solved ones that are shown first. tools/eval/README.md describes
 * the files for people. */
#ifndef PHI_CLI_EVAL_ITEMS_H
#define PHI_CLI_EVAL_ITEMS_H

#include "prompt.h"

enum { EVAL_CHOICES = 26 }; /* letters A to Z */

enum eval_score { EVAL_BY_LETTER, EVAL_BY_TEXT, EVAL_GENERATE };
enum eval_layout { EVAL_LAYOUT_TEXT, EVAL_LAYOUT_TURNS, EVAL_LAYOUT_MESSAGE };
enum eval_find { EVAL_FIND_NUMBER, EVAL_FIND_LETTER, EVAL_FIND_TEXT };

struct eval_item {
    struct cli_text question, choice[EVAL_CHOICES], answer; /* answer: of a question without choices */
    int n_choice, right;                                    /* right: index of the right choice */
};

/* Texts of a task, in the order of the names in eval_items.c. */
enum eval_text {
    EVAL_TASK,    /* its name */
    EVAL_GROUP,   /* of questions: a subject */
    EVAL_SYSTEM,  /* chat: the system prompt */
    EVAL_HEAD,    /* before all else */
    EVAL_ASK,     /* template of a question */
    EVAL_CHOICE,  /* template of a line of {choices} */
    EVAL_REPLY,   /* template of an answer */
    EVAL_BETWEEN, /* after the answer of a shot */
    EVAL_AFTER,   /* generate: the answer stands behind the last of these */
    EVAL_STOP,    /* generate: ends the answer */
    EVAL_N_TEXT
};

/* Walks through one file, then the other. */
struct eval_items {
    const char *path[2];
    struct cli_text file[2];
    int at_file;
    size_t at, line; /* of the file at hand */
    struct cli_text text[EVAL_N_TEXT];
    int score, layout, find, length; /* -1: not said yet; length: most tokens of a generated answer */
    int layout_wanted, n_shot_wanted; /* of the command line; -1: none */
    struct eval_item *shot;
    int n_shot, n_shot_given;
    struct eval_item item; /* the last one that was read */
};

/* Read the files (items may be NULL) and stand before the first question. The exit code, with the error line printed. */
int eval_items_open(struct eval_items *t, const char *task, const char *items, int layout, int n_shot);
/* 1: t->item is the next question, with settings and shots as they hold for it; 0: there is none; -1: *status is an
 * exit code, the error line is printed. */
int eval_items_next(struct eval_items *t, int *status);
void eval_items_rewind(struct eval_items *t); /* to the beginning */
void eval_items_close(struct eval_items *t);
/* "questions.jsonl:17", for messages. */
const char *eval_items_where(const struct eval_items *t, char buf[128]);

/* ---- Rendering ---- */

struct eval_buffer {
    char *bytes;
    size_t n, room;
    bool failed; /* memory was short */
};
void eval_buffer_add(struct eval_buffer *b, const char *bytes, size_t n);

/* The question as the templates say; first: behind what stands before all questions. */
void eval_render_ask(const struct eval_items *t, const struct eval_item *q, bool first, struct eval_buffer *out);
/* The answer that names choice number `choice`, or that of a question without choices. begins: it begins a message of a
 * chat, where a space before it is left out. */
void eval_render_reply(const struct eval_items *t, const struct eval_item *q, int choice, bool begins,
                       struct eval_buffer *out);

#endif
