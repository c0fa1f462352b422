/* What the files of JSON schemas share, and nobody else includes.
 *
 *   schema.c          what a schema may say, where $ref points to, the public function
 *   schema_sets.c     sets of schemas that hold together -> rules
 *   schema_value.c    arrays and objects
 *   schema_number.c   numbers between bounds, digit by digit
 *   schema_string.c   strings: lengths, patterns, keys that are not declared; literals
 *   regex.c           patterns -> automata
 *
 * One value must often satisfy several schemas at once: the one that an anyOf stands in and the branch that is taken,
 * what stands beside a $ref and its target, a property that two of those declare. So rules are not made of schemas but
 * of sets of them: a rule's texts are the values that satisfy every element of its set. An element is a schema, or a
 * value that must be equal (of const and enum); a value that is an array or an object then acts like a schema that
 * names all its items. A set is made once, so that recursive schemas end. */
#ifndef PHI_SRC_SCHEMA_PARTS_H
#define PHI_SRC_SCHEMA_PARTS_H

#include "grammar.h"
#include "json.h"
#include "regex.h"

enum {
    MAX_SCHEMA_TEXT = 1 << 20, /* bytes */
    MAX_SET = 1 << 16,         /* sets of schemas that hold together */
    MAX_WAY = 1 << 18,         /* ways to choose branches of anyOf and values of enum */
    MAX_ELEMENT = 256,         /* schemas that hold for one value */
    MAX_OPTIONAL = 256,        /* properties in a row that may all be left out: each is a place that a text may be at */
    MAX_INDEX = 9999,          /* of an array in the pointer of a $ref */
    MAX_BOUND_DIGITS = 100     /* of minimum, ... */
};

#define NO_NODE UINT32_MAX

/* Kinds of values. A number with a fraction that is zero is an integer. */
enum {
    TYPE_NULL = 1,
    TYPE_FALSE = 2,
    TYPE_TRUE = 4,
    TYPE_INTEGER = 8,
    TYPE_FRACTION = 16,
    TYPE_STRING = 32,
    TYPE_ARRAY = 64,
    TYPE_OBJECT = 128,
    TYPE_ALL = 255
};

/* An element: the node of a schema times two, or of a value times two plus one. */
static inline uint32_t element_node(uint32_t e) {
    return e >> 1;
}
static inline bool element_is_value(uint32_t e) {
    return e & 1;
}
static inline uint32_t element_schema(uint32_t node) {
    return node << 1;
}
static inline uint32_t element_value(uint32_t node) {
    return node << 1 | 1;
}

struct set {
    uint32_t first, n; /* in pool, ascending */
    uint32_t rule;
};

/* Strings of a length are needed again and again, and long ones cost many elements. */
enum { MAX_STRING_RULE = 256 };
struct string_rule {
    int least, most;
    uint32_t rule;
};

struct schema {
    struct phi_json j;
    struct phi_grammar_builder *b;
    uint32_t *ref; /* [n_node] of a schema with a $ref: its target; else NO_NODE */
    phi_error *err;

    uint32_t *pool; /* elements of the sets */
    struct set *set;
    uint32_t *slot; /* sets by their hash: number + 1 */
    uint32_t n_pool, room_pool, n_set, room_set, n_slot, n_way;
    uint64_t seed;
    uint32_t dead_node;   /* the first schema that nothing satisfies, NO_NODE: none was seen */
    bool too_many_digits; /* a number would have had to be longer than those that are made */

    struct phi_dfa *pattern; /* automata of patterns */
    uint32_t *pattern_at;    /* [n_node] number + 1; NULL: there are none yet */
    uint32_t n_pattern, room_pattern;
    uint64_t n_table; /* transitions of all */

    uint32_t space, comma, colon, dead, digit; /* rules; space: one or none */
    uint32_t string_character, string_rest;    /* of any string; the latter up to its closing quote */
    uint32_t free_digits[17];                  /* 0 to k digits; 0: not made yet */
    struct string_rule string_rule[MAX_STRING_RULE];
    int n_string_rule;

    /* Literal values of the rule that is being made: NUL-terminated texts one behind the other. */
    char *literal;
    size_t n_literal;
    uint32_t room_literal;

    struct phi_grammar_range *range; /* scratch */
    uint32_t room_range;
};

/* ---- schema.c ---- */

/* PHI_USAGE, with "schema: POINTER: " before the sentence. */
int phi_schema_fail(struct schema *s, uint32_t node, const char *fmt, ...) PHI_PRINTF(3, 4);
int phi_schema_no_memory(struct schema *s);
/* Room for n items in an array. */
int phi_schema_grow(struct schema *s, void **array, uint32_t *room, size_t n, size_t size);
unsigned phi_schema_kind(const struct schema *s, uint32_t value); /* the TYPE_ of a JSON value */
/* minLength, ... as they were checked; otherwise if the schema does not say. */
int phi_schema_count(const struct schema *s, uint32_t schema, const char *keyword, int otherwise);

/* ---- schema_sets.c ---- */

/* The rule of the values that satisfy all of elem[n] (sorted and made unique here). It is filled by phi_schema_run(). */
int phi_schema_rule(struct schema *s, uint32_t *elem, uint32_t n, uint32_t *rule);
/* Fill all rules, those too that are asked for meanwhile. */
int phi_schema_run(struct schema *s);
void phi_schema_sort(uint32_t *v, uint32_t *n); /* ascending and unique */

/* ---- schema_value.c ---- */

/* Give the rule alternatives for the values of the types in mask that satisfy all of elem[n], whose $ref, anyOf and enum are
 * dealt with. Literals go to s->literal. *dead: there is none. */
int phi_schema_leaf(struct schema *s, uint32_t rule, const uint32_t *elem, uint32_t n, unsigned mask, bool *dead);

/* ---- schema_number.c ---- */

int phi_schema_compare(const struct phi_json_decimal *a, const struct phi_json_decimal *b); /* like strcmp() */
/* The bounds that all of elem[n] set together. */
struct number_bounds {
    bool has_low, has_high, low_open, high_open;
    struct phi_json_decimal low, high;
};
void phi_schema_bounds(const struct schema *s, const uint32_t *elem, uint32_t n, struct number_bounds *bounds);
bool phi_schema_within(const struct number_bounds *bounds, const struct phi_json_decimal *v);
/* Alternatives for numbers within the bounds. *dead: there are none of at most 16 digits. */
int phi_schema_number(struct schema *s, uint32_t rule, const struct number_bounds *bounds, bool integer, bool *dead);

/* ---- schema_string.c ---- */

int phi_schema_strings_begin(struct schema *s); /* the rules that all strings share */
int phi_schema_string(struct schema *s, uint32_t rule, const uint32_t *elem, uint32_t n, bool *dead);
/* Does the value satisfy lengths and patterns of all elements? */
int phi_schema_string_fits(struct schema *s, uint32_t value, const uint32_t *elem, uint32_t n, bool *fits);
/* A text of the schema. */
struct name {
    const char *text;
    uint32_t n, node;
};
int phi_schema_by_text(const void *a, const void *b); /* for qsort(): by text, then by node */
/* A rule for the strings, quotes included, that are none of these names, which are ascending and unique. */
int phi_schema_other_keys(struct schema *s, const struct name *name, uint32_t n, uint32_t *rule);
/* Append the text of a string, with its quotes, as it stands in an answer. */
void phi_schema_add_string(struct schema *s, uint32_t alternative, const char *text, size_t n);

/* Literals: collected while a rule is made, then given to it as a tree, so that a text is at one place only. */
int phi_schema_literal(struct schema *s, const char *text, size_t n);
int phi_schema_literal_value(struct schema *s, uint32_t value); /* no array, no object */
int phi_schema_literals_end(struct schema *s, uint32_t rule);

#endif
