/* Grammars that constrain an answer. Three parts, each usable without the next:
 *
 *   builder   rules are put together by calls            grammar_build.c   (by grammar_gbnf.c and by schemas)
 *   grammar   compiled, immutable, shared by threads     grammar_compile.c grammar_utf8.c grammar_vocab.c
 *   state     how far one answer has come in it          grammar_state.c   (one for each sampler)
 *
 * A grammar is a set of rules; a rule has alternatives; an alternative is a sequence of elements; an element is a set
 * of code points or a reference to a rule:
 *
 *   value:  | '{' members '}'         alternative 0: set, reference, set
 *           | '"' chars '"'           alternative 1
 *           |                         alternative 2: empty
 *
 * Texts are UTF-8, and only valid UTF-8 is ever accepted: tokens may end in the middle of a character, and then only
 * bytes that complete a character of the set may follow. Nothing here recurses on what a user has written. */
#ifndef PHI_SRC_GRAMMAR_H
#define PHI_SRC_GRAMMAR_H

#include "error.h"

/* What is refused with PHI_USAGE when built, or is a token that is not allowed when matched. */
enum {
    PHI_GRAMMAR_MAX_TEXT = 1 << 24,     /* bytes of a text that is parsed */
    PHI_GRAMMAR_MAX_NESTING = 256,      /* groups inside groups in a text */
    PHI_GRAMMAR_MAX_REPEAT = 1 << 16,   /* m and n of {m,n} */
    PHI_GRAMMAR_MAX_ELEMENT = 1 << 20,  /* elements of all rules, the ends of alternatives included */
    PHI_GRAMMAR_MAX_RANGE = 1 << 20,    /* ranges of all sets */
    PHI_GRAMMAR_MAX_SHORTEST = 1 << 18, /* bytes of the shortest text that completes an answer, at any point of it */
    PHI_GRAMMAR_MAX_DEPTH = 4096,       /* rules that one stack is inside of (not counting references at the end of an
                                           alternative: those replace their rule, so that lists of any length fit) */
    PHI_GRAMMAR_MAX_STACK = 1024,       /* stacks at once: places that a text so far may be at in the grammar */
    PHI_GRAMMAR_MAX_FRAME = 1 << 15     /* rules that all stacks together are inside of */
};

/* ---- Building -------------------------------------------------------------------------------------------------- */

/* Rules and alternatives are numbers, made in any order and filled in any order: a rule may be referred to before it has
 * alternatives, and several alternatives may be open at once. A call that cannot be carried out (no memory, a limit)
 * returns 0 and makes phi_grammar_compile() fail with the first reason; calls after it do nothing. So callers need not
 * look at every result, but must not loop on what they never check: phi_grammar_builder_failed(). */
struct phi_grammar_builder;

struct phi_grammar_builder *phi_grammar_builder_open(void); /* NULL: no memory */
void phi_grammar_builder_close(struct phi_grammar_builder *b);
bool phi_grammar_builder_failed(const struct phi_grammar_builder *b);

struct phi_grammar_range {
    uint32_t first, last; /* code points, both included; first <= last <= 0x10FFFF; surrogates never match */
};

uint32_t phi_grammar_rule(struct phi_grammar_builder *b);                       /* a new rule, still without alternatives */
uint32_t phi_grammar_alternative(struct phi_grammar_builder *b, uint32_t rule); /* a new one of the rule, still empty */

/* Append to an alternative:
 * - one character of a set. Ranges in any order, overlapping or not. negated: one that is in none of them. A set that is
 *   empty is allowed (nothing matches). */
void phi_grammar_add_set(struct phi_grammar_builder *b, uint32_t alternative, const struct phi_grammar_range *range,
                         size_t n, bool negated);
/* - one character, which is no surrogate. */
void phi_grammar_add_character(struct phi_grammar_builder *b, uint32_t alternative, uint32_t code);
/* - the characters of a text, one after the other. What is not valid UTF-8 fails (PHI_USAGE). */
void phi_grammar_add_literal(struct phi_grammar_builder *b, uint32_t alternative, const char *text, size_t n);
/* - a rule */
void phi_grammar_add_rule(struct phi_grammar_builder *b, uint32_t alternative, uint32_t rule);
/* - a rule, least to most times (most -1: without end); least <= most <= PHI_GRAMMAR_MAX_REPEAT. Costs least + 4 (most -
 *   least) elements, nested repetitions included: each level adds its own, none multiplies. */
void phi_grammar_add_repeat(struct phi_grammar_builder *b, uint32_t alternative, uint32_t rule, int least, int most);

/* Compile. The builder stays the caller's; its rules are not changed, so that more than one root can be tried. model NULL:
 * check everything that does not depend on a vocabulary, *out is NULL then. On success *out is the caller's:
 * phi_grammar_close(). Errors: PHI_MEMORY; PHI_USAGE: a limit, left recursion, no text ends the answer, or the vocabulary
 * has no tokens for one that does. *bad (may be NULL) is then the rule at fault, or UINT32_MAX. */
int phi_grammar_compile(const struct phi_grammar_builder *b, const phi_model *model, uint32_t root, phi_grammar **out,
                        uint32_t *bad, phi_error *err);

/* ---- Matching -------------------------------------------------------------------------------------------------- */

/* The place of one answer in a grammar: a set of stacks of rules, the bytes of an unfinished character, whether the first
 * piece still has to lose its space, the tokens that are left. Opening allocates, nothing else does. Belongs to one
 * thread; the grammar must outlive it. */
struct phi_grammar_state;

/* skip_space: as in phi_sampler_options. PHI_MEMORY. */
int phi_grammar_state_open(const phi_grammar *grammar, bool skip_space, struct phi_grammar_state **out, phi_error *err);
void phi_grammar_state_close(struct phi_grammar_state *s);

/* May this token come next? A token without bytes may not, but a stop token may where the answer can end. With a budget
 * (n_left >= 0: tokens that may still be generated, this one included, the stop token not counted) only if the shortest
 * completion after it still fits. Without one, n_left is -1. Depends on nothing but the text so far and n_left. */
bool phi_grammar_state_allows(struct phi_grammar_state *s, int32_t id);
/* It came. After a token that was not allowed nothing is. */
void phi_grammar_state_accept(struct phi_grammar_state *s, int32_t id);
void phi_grammar_state_set_budget(struct phi_grammar_state *s, int64_t n_left);
/* Nothing but the end can follow (with this budget): stop without a stop token. */
bool phi_grammar_state_must_end(struct phi_grammar_state *s);
/* Tokens, without the stop token, of the shortest completion that is known: with this budget or more every answer will be
 * complete. An upper bound of the true minimum. UINT32_MAX: a token came that was not allowed. */
uint32_t phi_grammar_state_shortest(struct phi_grammar_state *s);

/* As bytes, for a session file. Writes at most cap and returns how many there are, at most PHI_GRAMMAR_SAVED_MAX. The
 * budget is not part of it. Load takes any bytes: PHI_USAGE, and the state as it was, if they are not what save wrote of a
 * state of the same grammar and vocabulary. */
enum { PHI_GRAMMAR_SAVED_MAX = 64 + 8 * (PHI_GRAMMAR_MAX_STACK + PHI_GRAMMAR_MAX_FRAME) };
size_t phi_grammar_state_save(const struct phi_grammar_state *s, uint8_t *out, size_t cap);
int phi_grammar_state_load(struct phi_grammar_state *s, const uint8_t *bytes, size_t n, phi_error *err);

#endif
