/* Rules of a grammar as they are called in: growing lists, nothing decided yet. What they mean is
 * grammar_compile.c's business, where they come from grammar_gbnf.c's and the schemas'. */
#include "grammar_parts.h"
#include "memory.h"
#include "utf8.h"

#include <stdlib.h>

struct phi_grammar_builder *phi_grammar_builder_open(void) {
    return phi_alloc(1, sizeof(struct phi_grammar_builder));
}

void phi_grammar_builder_close(struct phi_grammar_builder *b) {
    if (!b) return;
    phi_free(b->rule);
    phi_free(b->alternative);
    phi_free(b->element);
    phi_free(b->set);
    phi_free(b->range);
    phi_free(b);
}

bool phi_grammar_builder_failed(const struct phi_grammar_builder *b) {
    return b->status != PHI_OK;
}

/* Room for one more item in an array. What is full doubles, so that all appends together take linear time. */
static bool grow(struct phi_grammar_builder *b, void **array, size_t n, size_t *room, size_t size, size_t most,
                 const char *what) {
    if (b->status) return false;
    if (n >= most) {
        b->status = phi_fail(&b->error, PHI_USAGE, "the grammar has more than %zu %s", most, what);
        return false;
    }
    if (n < *room) return true;
    size_t more = *room * 2 + 64;
    void *p = phi_realloc(*array, more, size);
    if (!p) {
        b->status = phi_fail(&b->error, PHI_MEMORY, "not enough memory for a grammar of %zu %s", more, what);
        return false;
    }
    *array = p;
    *room = more;
    return true;
}

uint32_t phi_grammar_rule(struct phi_grammar_builder *b) {
    if (!grow(b, (void **)&b->rule, b->n_rule, &b->room_rule, sizeof *b->rule, PHI_GRAMMAR_MAX_ELEMENT, "rules"))
        return 0;
    b->rule[b->n_rule] = (struct build_rule){NO_ITEM, NO_ITEM};
    return (uint32_t)b->n_rule++;
}

uint32_t phi_grammar_alternative(struct phi_grammar_builder *b, uint32_t rule) {
    if (!grow(b, (void **)&b->alternative, b->n_alternative, &b->room_alternative, sizeof *b->alternative,
              PHI_GRAMMAR_MAX_ELEMENT, "alternatives"))
        return 0;
    uint32_t a = (uint32_t)b->n_alternative++;
    b->alternative[a] = (struct build_alternative){NO_ITEM, NO_ITEM, NO_ITEM};
    if (b->rule[rule].last == NO_ITEM)
        b->rule[rule].first = a;
    else
        b->alternative[b->rule[rule].last].next = a;
    b->rule[rule].last = a;
    return a;
}

static void append(struct phi_grammar_builder *b, uint32_t alternative, uint32_t kind, uint32_t arg) {
    if (!grow(b, (void **)&b->element, b->n_element, &b->room_element, sizeof *b->element, PHI_GRAMMAR_MAX_ELEMENT,
              "elements"))
        return;
    struct build_alternative *a = &b->alternative[alternative];
    uint32_t e = (uint32_t)b->n_element++;
    b->element[e] = (struct build_element){element_make(kind, arg), NO_ITEM};
    if (a->last == NO_ITEM)
        a->first = e;
    else
        b->element[a->last].next = e;
    a->last = e;
}

void phi_grammar_add_rule(struct phi_grammar_builder *b, uint32_t alternative, uint32_t rule) {
    append(b, alternative, ELEMENT_RULE, rule);
}

/* ---- Sets ------------------------------------------------------------------------------------------------------ */

enum { SURROGATE_FIRST = 0xd800, SURROGATE_LAST = 0xdfff, CODE_LAST = 0x10ffff };

static bool add_range(struct phi_grammar_builder *b, uint32_t first, uint32_t last) {
    if (first > last) return true;
    if (!grow(b, (void **)&b->range, b->n_range, &b->room_range, sizeof *b->range, PHI_GRAMMAR_MAX_RANGE, "ranges"))
        return false;
    b->range[b->n_range++] = (struct phi_grammar_range){first, last};
    return true;
}

/* A range without the surrogates in it: they are no characters. */
static bool add_characters(struct phi_grammar_builder *b, uint32_t first, uint32_t last) {
    if (last < SURROGATE_FIRST || first > SURROGATE_LAST) return add_range(b, first, last);
    if (first < SURROGATE_FIRST && !add_range(b, first, SURROGATE_FIRST - 1)) return false;
    return last <= SURROGATE_LAST || add_range(b, SURROGATE_LAST + 1, last);
}

static int by_first(const void *a, const void *b) {
    uint32_t x = ((const struct phi_grammar_range *)a)->first, y = ((const struct phi_grammar_range *)b)->first;
    return (x > y) - (x < y);
}

/* Sort the ranges from `begin` on and merge what touches. */
static void normalize(struct phi_grammar_builder *b, size_t begin) {
    struct phi_grammar_range *r = b->range;
    size_t n = begin;
    if (b->n_range > begin) qsort(r + begin, b->n_range - begin, sizeof *r, by_first);
    for (size_t i = begin; i < b->n_range; i++) {
        if (n > begin && r[i].first <= r[n - 1].last + 1) {
            if (r[i].last > r[n - 1].last) r[n - 1].last = r[i].last;
        } else {
            r[n++] = r[i];
        }
    }
    b->n_range = n;
}

/* The ranges from `begin` on become those between them. */
static bool negate(struct phi_grammar_builder *b, size_t begin) {
    size_t end = b->n_range;
    uint32_t from = 0;
    for (size_t i = begin; i < end; i++) {
        struct phi_grammar_range r = b->range[i]; /* adding may move the array */
        if (r.first > from && !add_characters(b, from, r.first - 1)) return false;
        from = r.last + 1;
    }
    if (from <= CODE_LAST && !add_characters(b, from, CODE_LAST)) return false;
    for (size_t i = end; i < b->n_range; i++) b->range[begin + i - end] = b->range[i];
    b->n_range = begin + b->n_range - end;
    return true;
}

void phi_grammar_add_set(struct phi_grammar_builder *b, uint32_t alternative, const struct phi_grammar_range *range,
                         size_t n, bool negated) {
    size_t begin = b->n_range;
    for (size_t i = 0; i < n; i++)
        if (negated ? !add_range(b, range[i].first, range[i].last)
                    : !add_characters(b, range[i].first, range[i].last))
            return;
    normalize(b, begin);
    if (negated && !negate(b, begin)) return;
    if (!grow(b, (void **)&b->set, b->n_set, &b->room_set, sizeof *b->set, PHI_GRAMMAR_MAX_ELEMENT, "sets")) return;
    b->set[b->n_set] = (struct build_set){begin, b->n_range - begin};
    append(b, alternative, ELEMENT_SET, (uint32_t)b->n_set++);
}

void phi_grammar_add_character(struct phi_grammar_builder *b, uint32_t alternative, uint32_t code) {
    append(b, alternative, ELEMENT_CHAR, code);
}

void phi_grammar_add_literal(struct phi_grammar_builder *b, uint32_t alternative, const char *text, size_t n) {
    for (int length; n > 0 && !b->status; text += length, n -= (size_t)length) {
        length = phi_utf8_length(text, n);
        if (length < 1) {
            char quote[PHI_QUOTE_SIZE];
            b->status = phi_fail(&b->error, PHI_USAGE, "a literal of the grammar is not UTF-8: %s",
                                 phi_quote(quote, text, n));
            return;
        }
        phi_grammar_add_character(b, alternative, phi_utf8_decode(text, length));
    }
}

/* ---- Repetition ------------------------------------------------------------------------------------------------ */

/* x{2,4} becomes x x o2 with o2: | x o1   and o1: | x. References at the end of an alternative replace their rule, so
 * the chain takes no depth; and as there is one way only to spend k of the optional ones, no place is reached twice.
 * x{2,} becomes x x s with s: | x s. */
void phi_grammar_add_repeat(struct phi_grammar_builder *b, uint32_t alternative, uint32_t rule, int least, int most) {
    for (int i = 0; i < least && !b->status; i++) phi_grammar_add_rule(b, alternative, rule);
    if (most >= 0 && most <= least) return;
    uint32_t at = alternative, optional = 0;
    for (int i = least; (most < 0 ? i == least : i < most) && !b->status; i++) {
        optional = phi_grammar_rule(b);
        phi_grammar_add_rule(b, at, optional);
        phi_grammar_alternative(b, optional);
        at = phi_grammar_alternative(b, optional);
        phi_grammar_add_rule(b, at, rule);
    }
    if (most < 0) phi_grammar_add_rule(b, at, optional);
}
