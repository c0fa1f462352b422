/* What regex.c gives to dfa.c. */
#ifndef PHI_SRC_REGEX_PARTS_H
#define PHI_SRC_REGEX_PARTS_H

#include "regex.h"

enum regex_kind {
    REGEX_SET,   /* one character of set arg */
    REGEX_BEGIN, /* nothing, at the beginning of the text */
    REGEX_END,   /* nothing, at its end */
    REGEX_EMPTY, /* nothing */
    REGEX_CAT,   /* two operands, one behind the other */
    REGEX_ALT,   /* one of two */
    REGEX_STAR,  /* an operand, any number of times */
    REGEX_PLUS,  /* at least once */
    REGEX_OPTION /* once or not */
};

struct regex_op {
    enum regex_kind kind;
    uint32_t arg;
};

struct regex_range {
    uint32_t first, last;
};

struct regex {
    struct regex_op *op; /* in postfix order */
    struct regex_range *range;
    uint32_t *set; /* [n_set + 1] set i is range[set[i]] .. range[set[i + 1] - 1]: ascending, apart */
    uint32_t n_op, n_range, n_set;
};

int phi_regex_open(const char *pattern, size_t n, struct regex *r, phi_error *err);
void phi_regex_close(struct regex *r);

#endif
