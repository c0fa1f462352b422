/* What the files of grammars share, and nobody else includes.
 *
 *   grammar_build.c    rules as they are called in: lists
 *   grammar_utf8.c     sets of code points as automata over bytes
 *   grammar_vocab.c    the tokens, and into how few of them a text can be cut
 *   grammar_compile.c  lists to arrays, the shortest text from each place on, what must be refused
 *   grammar_state.c    stacks, and the bytes of tokens against them
 *   grammar_saved.c    a state as bytes */
#ifndef PHI_SRC_GRAMMAR_PARTS_H
#define PHI_SRC_GRAMMAR_PARTS_H

#include "grammar.h"

/* An element is a number:
 *
 *   bit 31..30 | 29 .. 0
 *   END        | 0                                        the alternative is over
 *   RULE       | number of a rule
 *   CHAR       | code point                               while building only
 *   SET        | builder: number of a set; compiled: state of the automaton that a character starts in */
enum { ELEMENT_END, ELEMENT_RULE, ELEMENT_CHAR, ELEMENT_SET };

static inline uint32_t element_make(uint32_t kind, uint32_t arg) {
    return kind << 30 | arg;
}
static inline uint32_t element_kind(uint32_t e) {
    return e >> 30;
}
static inline uint32_t element_arg(uint32_t e) {
    return e & 0x3fffffffu;
}

/* ---- Builder --------------------------------------------------------------------------------------------------- */

enum { NO_ITEM = INT32_MAX }; /* the end of a list; no element either */

struct build_rule {
    uint32_t first, last; /* alternatives; NO_ITEM: none */
};
struct build_alternative {
    uint32_t first, last; /* elements; NO_ITEM: none */
    uint32_t next;
};
struct build_element {
    uint32_t element, next;
};
struct build_set {
    size_t first, n; /* ranges: ascending, apart from each other, without surrogates */
};

struct phi_grammar_builder {
    struct build_rule *rule;
    struct build_alternative *alternative;
    struct build_element *element;
    struct build_set *set;
    struct phi_grammar_range *range;
    size_t n_rule, n_alternative, n_element, n_set, n_range;                         /* in use */
    size_t room_rule, room_alternative, room_element, room_set, room_range;          /* allocated */
    int status;      /* of the first call that failed */
    phi_error error; /* why */
};

/* ---- Sets over bytes ------------------------------------------------------------------------------------------- */

/* The bytes first..last lead to the state next; 0: the character is complete. */
struct utf8_arc {
    uint8_t first, last;
    uint32_t next;
};

/* A state reads one byte of a character. States are numbered from 1, and equal ones are one: "any continuation byte" is
 * shared by all sets. */
struct utf8_automaton {
    struct utf8_arc *arc;
    uint32_t *first; /* [n_state + 1] the arcs of state i: first[i] .. first[i + 1] */
    uint32_t n_state, n_arc, room_state, room_arc;
    uint32_t *slot; /* open addressing: states by their arcs */
    uint32_t n_slot;
    uint8_t *byte;   /* [n_state] the shortest way to the end of the character begins with this byte */
    uint8_t *length; /* [n_state] and has this many; 0: no byte leads anywhere */
};

/* The state that a character of the set starts in. Ranges as in struct build_set. 0: no memory. */
uint32_t phi_utf8_automaton_add(struct utf8_automaton *a, const struct phi_grammar_range *range, size_t n);
/* After the last set: byte and length, and drop what only adding needs. has[b]: a token is this byte alone; characters of
 * such bytes are preferred. False: no memory. */
bool phi_utf8_automaton_finish(struct utf8_automaton *a, const bool has[256]);
void phi_utf8_automaton_free(struct utf8_automaton *a);

static inline uint32_t utf8_next(const struct utf8_automaton *a, uint32_t state, uint8_t byte, bool *found) {
    for (uint32_t i = a->first[state]; i < a->first[state + 1]; i++)
        if (byte >= a->arc[i].first && byte <= a->arc[i].last) {
            *found = true;
            return a->arc[i].next;
        }
    *found = false;
    return 0;
}

/* ---- Tokens ---------------------------------------------------------------------------------------------------- */

enum { TOKEN_EMPTY = 256, TOKEN_STOP = 257, N_TOKEN_FIRST = 258 };
enum { MAX_TOKENS = 1 << 30 }; /* "no way at all", as a number of tokens; sums of two fit */

struct vocab_key { /* of a token, to sort by its bytes */
    uint64_t prefix; /* its first 8 bytes, the first one highest, 0 behind the end */
    const char *bytes;
    uint32_t n;
};

struct grammar_vocab {
    int n_token;
    const char **bytes; /* [n_token] */
    uint32_t *n_bytes;  /* [n_token] */
    uint16_t *first;    /* [n_token] the first byte, TOKEN_EMPTY or TOKEN_STOP */
    bool has[256];      /* a token is this byte alone */
    bool has_all;
    struct vocab_key *key; /* [n_key] tokens that a text can be cut into */
    uint32_t n_key;
    uint32_t by_first[257]; /* key[by_first[b]] .. are those that begin with b */
    uint32_t *lengths;      /* [n_state of the automaton] bit n - 1: a token is n ASCII characters of the state's set */
};

/* model NULL: no tokens; texts are then cut into bytes. False: no memory. */
bool phi_grammar_vocab_open(struct grammar_vocab *v, const phi_model *model);
void phi_grammar_vocab_close(struct grammar_vocab *v);
/* lengths; for sets of several ASCII characters. False: no memory. */
bool phi_grammar_vocab_measure(struct grammar_vocab *v, const struct utf8_automaton *a);
/* least[i], i = n .. 0: the least number of tokens that the text from i on can be cut into, or MAX_TOKENS. The text is
 * text[0] .. text[n - 1], but where state[i] is not 0, byte i may as well be any other ASCII character that this state
 * takes. */
void phi_grammar_vocab_cut(const struct grammar_vocab *v, const uint8_t *text, const uint32_t *state, size_t n,
                           uint32_t *least);

/* ---- Compiled -------------------------------------------------------------------------------------------------- */

/* The shortest text (its least tokens, then its least steps) from a place to the end of its alternative. */
struct grammar_rest {
    uint32_t tokens; /* when each run of characters is cut for itself; MAX_TOKENS: no text */
    uint32_t steps;  /* its bytes plus the elements that are passed on the way; bounds the work of writing it down */
    uint32_t depth;  /* rules that it is inside of at most, beyond the place's own */
};

struct phi_grammar {
    uint32_t *element;     /* [n_element] alternatives one after the other, each up to an END */
    uint32_t *same;        /* [n_element] one element for all from which on alternatives are alike */
    uint32_t *alternative; /* [n_alternative] where each begins; those of a rule follow each other */
    uint32_t *first;       /* [n_rule + 1] rule i has alternative[first[i]] ..; rule 0 is the root */
    uint32_t *shortest;    /* [n_rule] where the alternative of its shortest text begins */
    struct grammar_rest *rest; /* [n_element] */
    uint32_t n_element, n_alternative, n_rule;
    struct utf8_automaton utf8;
    struct grammar_vocab vocab;
    uint8_t byte_class[256]; /* bytes that no set tells apart have one class */
    uint32_t n_class;
    uint64_t fingerprint; /* of the rules */
};

#endif
