/* A second opinion about grammars, written differently: Earley's algorithm over code points, with sets as they are
 * written, repetitions as left recursion or as one alternative for each count, and the bytes of an unfinished
 * character as an interval of code points. And a generator that makes the same random grammar as GBNF and for Earley.
 */
#ifndef PHI_TESTS_GRAMMAR_REFERENCE_H
#define PHI_TESTS_GRAMMAR_REFERENCE_H

#include "check.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    REF_RULES = 300,
    REF_ALTERNATIVES = 8,
    REF_ITEMS = 12,
    REF_SLOTS = 8000,
    REF_COLUMNS = 34,
    REF_COLUMN = 20000
};

struct ref_set {
    uint32_t first[3], last[3];
    int n;
    bool negated;
};

struct ref_item {
    int rule; /* -1: the set counts */
    struct ref_set set;
};

struct ref_alternative {
    struct ref_item item[REF_ITEMS];
    int n, slot; /* slot + i: the place before item i */
    bool dead;   /* has a rule without a text */
};

struct ref_rule {
    struct ref_alternative alternative[REF_ALTERNATIVES];
    int n;
};

struct ref_entry {
    short rule, alternative, dot, origin;
};

struct ref {
    struct ref_rule rule[REF_RULES];
    int n_rule;
    bool productive[REF_RULES];
    struct ref_entry entry[REF_COLUMNS][REF_COLUMN];
    int n_entry[REF_COLUMNS], n_column;
    bool seen[REF_COLUMNS][REF_COLUMNS][REF_SLOTS];
    uint8_t partial[4];
    int n_partial;
    bool overflow;
};

/* ---- Sets ------------------------------------------------------------------------------------------------------ */

static inline bool ref_in_set(const struct ref_set *s, uint32_t code) {
    bool in = false;
    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return false;
    for (int i = 0; i < s->n; i++) in |= code >= s->first[i] && code <= s->last[i];
    return in != s->negated;
}

/* Does the UTF-8 of some code point of the set begin with these bytes? They stand for an interval of code points; if
 * it has one of the set, then one that is at the edge of something. */
static inline bool ref_begins(const struct ref_set *s, const uint8_t *bytes, int n) {
    int length = bytes[0] < 0x80                       ? 1
                 : bytes[0] >= 0xc0 && bytes[0] < 0xe0 ? 2
                 : (bytes[0] & 0xf0) == 0xe0           ? 3
                 : (bytes[0] & 0xf8) == 0xf0           ? 4
                                                       : 0;
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000}, most[5] = {0, 0x7f, 0x7ff, 0xffff, 0x10ffff};
    if (length == 0 || n > length) return false;
    uint32_t low = length == 1 ? bytes[0] : bytes[0] & (0x7fu >> length), high;
    for (int i = 1; i < n; i++) {
        if ((bytes[i] & 0xc0) != 0x80) return false;
        low = low << 6 | (bytes[i] & 0x3f);
    }
    high = low;
    for (int i = n; i < length; i++) low <<= 6, high = high << 6 | 63;
    if (low < least[length]) low = least[length];
    if (high > most[length]) high = most[length];
    uint32_t edge[20] = {low, high, 0xd7ff, 0xe000};
    int n_edge = 4;
    for (int i = 0; i < s->n; i++) {
        edge[n_edge++] = s->first[i];
        edge[n_edge++] = s->last[i];
        edge[n_edge++] = s->first[i] - 1;
        edge[n_edge++] = s->last[i] + 1;
    }
    for (int i = 0; i < n_edge; i++)
        if (edge[i] >= low && edge[i] <= high && ref_in_set(s, edge[i])) return true;
    return false;
}

/* ---- Earley ---------------------------------------------------------------------------------------------------- */

static inline void ref_add(struct ref *r, int column, int rule, int alternative, int dot, int origin) {
    struct ref_alternative *a = &r->rule[rule].alternative[alternative];
    bool *seen = &r->seen[column][origin][a->slot + dot];
    if (a->dead || *seen) return;
    if (r->n_entry[column] == REF_COLUMN) {
        r->overflow = true;
        return;
    }
    *seen = true;
    r->entry[column][r->n_entry[column]++] =
        (struct ref_entry){(short)rule, (short)alternative, (short)dot, (short)origin};
}

static inline void ref_add_rule(struct ref *r, int column, int rule) {
    for (int i = 0; i < r->rule[rule].n; i++) ref_add(r, column, rule, i, 0, column);
}

static inline const struct ref_item *ref_next(const struct ref *r, const struct ref_entry *e) {
    const struct ref_alternative *a = &r->rule[e->rule].alternative[e->alternative];
    return e->dot < a->n ? &a->item[e->dot] : NULL;
}

/* Predict and complete until nothing new comes: over and over, so that empty rules need no care. */
static inline void ref_close(struct ref *r, int column) {
    for (int before = -1; before != r->n_entry[column];) {
        before = r->n_entry[column];
        for (int i = 0; i < r->n_entry[column]; i++) {
            struct ref_entry e = r->entry[column][i];
            const struct ref_item *next = ref_next(r, &e);
            if (next && next->rule >= 0) ref_add_rule(r, column, next->rule);
            if (next) continue;
            for (int j = 0; j < r->n_entry[e.origin]; j++) {
                struct ref_entry up = r->entry[e.origin][j];
                const struct ref_item *item = ref_next(r, &up);
                if (item && item->rule == e.rule) ref_add(r, column, up.rule, up.alternative, up.dot + 1, up.origin);
            }
        }
    }
}

/* Number the places, find out what has a text, and begin. */
static inline void ref_begin(struct ref *r) {
    int slot = 0;
    memset(r->productive, 0, sizeof r->productive);
    for (bool more = true; more;) {
        more = false;
        for (int i = 0; i < r->n_rule; i++)
            for (int j = 0; j < r->rule[i].n; j++) {
                struct ref_alternative *a = &r->rule[i].alternative[j];
                a->dead = false;
                for (int k = 0; k < a->n; k++) a->dead |= a->item[k].rule >= 0 && !r->productive[a->item[k].rule];
                if (a->dead || r->productive[i]) continue;
                r->productive[i] = more = true;
            }
    }
    for (int i = 0; i < r->n_rule; i++)
        for (int j = 0; j < r->rule[i].n; j++) {
            r->rule[i].alternative[j].slot = slot;
            slot += r->rule[i].alternative[j].n + 1;
        }
    r->overflow = slot > REF_SLOTS;
    r->n_partial = 0;
    r->n_column = 1;
    r->n_entry[0] = 0;
    memset(r->seen[0], 0, sizeof r->seen[0]);
    if (r->overflow) return;
    ref_add_rule(r, 0, 0);
    ref_close(r, 0);
}

/* May this byte come next? */
static inline bool ref_allows(const struct ref *r, uint8_t byte) {
    int last = r->n_column - 1;
    uint8_t bytes[5];
    memcpy(bytes, r->partial, sizeof r->partial);
    bytes[r->n_partial] = byte;
    for (int i = 0; i < r->n_entry[last]; i++) {
        const struct ref_item *next = ref_next(r, &r->entry[last][i]);
        if (next && next->rule < 0 && ref_begins(&next->set, bytes, r->n_partial + 1)) return true;
    }
    return false;
}

static inline void ref_accept(struct ref *r, uint8_t byte) {
    int last = r->n_column - 1;
    r->partial[r->n_partial++] = byte;
    int length = r->partial[0] < 0x80 ? 1 : r->partial[0] < 0xe0 ? 2 : r->partial[0] < 0xf0 ? 3 : 4;
    if (r->n_partial < length) return;
    uint32_t code = length == 1 ? byte : r->partial[0] & (0x7fu >> length);
    for (int i = 1; i < length; i++) code = code << 6 | (r->partial[i] & 0x3f);
    r->n_partial = 0;
    r->n_entry[last + 1] = 0;
    memset(r->seen[last + 1], 0, sizeof r->seen[0]);
    for (int i = 0; i < r->n_entry[last]; i++) {
        struct ref_entry e = r->entry[last][i];
        const struct ref_item *next = ref_next(r, &e);
        if (next && next->rule < 0 && ref_in_set(&next->set, code))
            ref_add(r, last + 1, e.rule, e.alternative, e.dot + 1, e.origin);
    }
    r->n_column++;
    ref_close(r, last + 1);
}

static inline bool ref_may_end(const struct ref *r) {
    int last = r->n_column - 1;
    for (int i = 0; i < r->n_entry[last]; i++) {
        struct ref_entry e = r->entry[last][i];
        if (e.rule == 0 && e.origin == 0 && !ref_next(r, &e)) return r->n_partial == 0;
    }
    return false;
}

/* ---- Random grammars ------------------------------------------------------------------------------------------- */

struct ref_maker {
    struct ref *r;
    char text[1 << 14]; /* the same in GBNF */
    size_t n;
    unsigned long long random;
    int n_named, depth;
};

static inline int ref_pick(struct ref_maker *m, int n) {
    return (int)(check_random(&m->random) % (unsigned)n);
}

static inline void ref_print(struct ref_maker *m, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    m->n += (size_t)vsnprintf(m->text + m->n, sizeof m->text - m->n, fmt, args);
    va_end(args);
}

static inline int ref_new_rule(struct ref *r) {
    r->rule[r->n_rule].n = 0;
    return r->n_rule++;
}

static inline struct ref_alternative *ref_new_alternative(struct ref *r, int rule) {
    struct ref_alternative *a = &r->rule[rule].alternative[r->rule[rule].n++];
    a->n = 0;
    return a;
}

static inline void ref_put_rule(struct ref_alternative *a, int rule) {
    a->item[a->n++] = (struct ref_item){.rule = rule};
}

static const struct ref_letter {
    uint32_t code;
    const char *text;
} ref_letter[] = {{'a', "a"},          {'b', "b"},    {'c', "\\x63"},          {0xe9, "é"},
                  {0x20ac, "\\u20AC"}, {0x20ad, "₭"}, {0x1f600, "\\U0001F600"}};

static inline void ref_make_set(struct ref_maker *m, struct ref_alternative *a) {
    struct ref_item item = {.rule = -1};
    item.set.negated = ref_pick(m, 4) == 0;
    item.set.n = 1 + ref_pick(m, 2);
    ref_print(m, item.set.negated ? "[^" : "[");
    for (int i = 0; i < item.set.n; i++) {
        int first = ref_pick(m, 7), last = ref_pick(m, 2) ? first : first + ref_pick(m, 7 - first);
        item.set.first[i] = ref_letter[first].code;
        item.set.last[i] = ref_letter[last].code;
        ref_print(m, first == last ? "%s" : "%s-%s", ref_letter[first].text, ref_letter[last].text);
    }
    ref_print(m, "]");
    a->item[a->n++] = item;
}

static inline void ref_make_literal(struct ref_maker *m, struct ref_alternative *a) {
    ref_print(m, "\"");
    for (int n = ref_pick(m, 4); n > 0; n--) {
        struct ref_letter c = ref_letter[ref_pick(m, 7)];
        a->item[a->n++] = (struct ref_item){-1, {{c.code}, {c.code}, 1, false}};
        ref_print(m, "%s", c.text);
    }
    ref_print(m, "\"");
}

static inline void ref_make_alternatives(struct ref_maker *m, int rule);

/* An item alone in a rule. */
static inline int ref_make_base(struct ref_maker *m) {
    int rule = ref_new_rule(m->r), kind = ref_pick(m, m->depth < 3 ? 8 : 6);
    if (kind >= 6) {
        ref_print(m, "(");
        m->depth++;
        ref_make_alternatives(m, rule);
        m->depth--;
        ref_print(m, ")");
        return rule;
    }
    struct ref_alternative *a = ref_new_alternative(m->r, rule);
    if (kind < 2)
        ref_make_set(m, a);
    else if (kind < 4)
        ref_make_literal(m, a);
    else {
        ref_put_rule(a, ref_pick(m, m->n_named));
        ref_print(m, "r%d", a->item[0].rule);
    }
    return rule;
}

static inline void ref_make_repeated(struct ref_maker *m, struct ref_alternative *a) {
    int base = ref_make_base(m), kind = ref_pick(m, 10), least = 0, most = -1;
    if (kind == 0)
        ref_print(m, "*");
    else if (kind == 1)
        ref_print(m, "+"), least = 1;
    else if (kind == 2)
        ref_print(m, " ?"), most = 1;
    else if (kind == 3)
        least = ref_pick(m, 3), most = least + ref_pick(m, 3), ref_print(m, "{%d,%d}", least, most);
    else if (kind == 4)
        least = ref_pick(m, 3), ref_print(m, "{%d,}", least);
    else {
        ref_put_rule(a, base);
        return;
    }
    int repeated = ref_new_rule(m->r);
    ref_put_rule(a, repeated);
    if (most < 0) { /* left recursion: Earley does not mind */
        struct ref_alternative *more = ref_new_alternative(m->r, repeated);
        ref_put_rule(more, repeated);
        ref_put_rule(more, base);
    }
    for (int k = least; k <= (most < 0 ? least : most); k++) {
        struct ref_alternative *all = ref_new_alternative(m->r, repeated);
        for (int i = 0; i < k; i++) ref_put_rule(all, base);
    }
}

static inline void ref_make_alternatives(struct ref_maker *m, int rule) {
    int n = 1 + ref_pick(m, 3);
    for (int i = 0; i < n; i++) {
        struct ref_alternative a = {.n = 0};
        int n_item = m->r->n_rule < REF_RULES - 20 ? ref_pick(m, 4) : 0;
        if (i) ref_print(m, " | ");
        for (int k = 0; k < n_item; k++) {
            ref_print(m, " ");
            ref_make_repeated(m, &a);
        }
        *ref_new_alternative(m->r, rule) = a;
    }
}

static inline void ref_make(struct ref_maker *m, struct ref *r, unsigned long long seed) {
    m->r = r;
    m->random = seed;
    m->n = 0;
    m->depth = 0;
    r->n_rule = 0;
    m->n_named = 1 + ref_pick(m, 5);
    for (int i = 0; i < m->n_named; i++) ref_new_rule(r);
    for (int i = 0; i < m->n_named; i++) {
        ref_print(m, "r%d ::= ", i);
        ref_make_alternatives(m, i);
        ref_print(m, "\n");
    }
}

#endif
