/* Patterns (the regular part of ECMA-262, by code points) as deterministic automata over code points. */
#ifndef PHI_SRC_REGEX_H
#define PHI_SRC_REGEX_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PHI_DFA_MAX_STATE = 1 << 14,
    PHI_DFA_MAX_TABLE = 1 << 20, /* states x classes */
    PHI_DFA_NONE = -1
};

/* Reads a text from state 0 on. */
struct phi_dfa {
    uint32_t n_state, n_class, n_range;
    int32_t *next;   /* [n_state * n_class] PHI_DFA_NONE: no text that goes on so fits */
    bool *accept;    /* [n_state] */
    int32_t all;     /* the state that accepts whatever follows, PHI_DFA_NONE: there is none */
    uint32_t *first; /* [n_range] ascending from 0: range i is first[i] .. first[i + 1] - 1 (or 0x10FFFF) */
    uint32_t *range_class; /* [n_range] */
};

/* The texts that contain a match of the pattern (^ and $ bind it to their ends). Understood: | ( ) (?: ) (?<name> ) * + ?
 * {m,n} and their lazy forms, . [ ] ^ $, \d \D \w \W \s \S, \t \n \v \f \r \0 \cX \xHH \uHHHH \u{H}, \ before punctuation.
 * Not: looking around, references to groups, \b, \p. \d, \w and \s are those of ECMA-262; of a negated one (and of . and
 * [^ ]) only characters are taken that engines with Unicode classes take too.
 * On success *d is the caller's: phi_dfa_close(). Errors: PHI_MEMORY, PHI_USAGE with a sentence without a subject. */
int phi_dfa_open(const char *pattern, size_t n, struct phi_dfa *d, phi_error *err);
/* The texts of least to most (-1: any more) characters. */
int phi_dfa_open_length(int least, int most, struct phi_dfa *d, phi_error *err);
/* The texts that both accept. Errors as above. */
int phi_dfa_intersect(const struct phi_dfa *a, const struct phi_dfa *b, struct phi_dfa *d, phi_error *err);
void phi_dfa_close(struct phi_dfa *d); /* all zero is fine */

bool phi_dfa_accepts(const struct phi_dfa *d, const char *text, size_t n); /* valid UTF-8 */

#endif
