/* Deterministic automata over code points: from the program of a pattern (Thompson's construction, then subsets of
 * states), for lengths, and for what two of them both accept. Code points that no set of a pattern tells apart are one
 * class. All work is counted: a pattern whose automaton would be too large is refused. */
#include "regex_parts.h"

#include "hash.h"
#include "memory.h"
#include "unicode.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_WORK = 1 << 26, MAX_MEMBERSHIP = 1 << 24, CODE_LAST = 0x10ffff };

static int no_memory(phi_error *err) {
    return phi_fail(err, PHI_MEMORY, "not enough memory for a pattern");
}

static int too_large(phi_error *err) {
    return phi_fail(err, PHI_USAGE, "the automaton of the pattern is too large");
}

static bool table_alloc(struct phi_dfa *d, uint32_t room) {
    d->next = phi_alloc((size_t)room * d->n_class, sizeof *d->next);
    d->accept = phi_alloc(room, sizeof *d->accept);
    return d->next && d->accept;
}

void phi_dfa_close(struct phi_dfa *d) {
    phi_free(d->next);
    phi_free(d->accept);
    phi_free(d->first);
    phi_free(d->range_class);
    memset(d, 0, sizeof *d);
}

bool phi_dfa_accepts(const struct phi_dfa *d, const char *text, size_t n) {
    int32_t state = 0;
    for (size_t i = 0; i < n && state != PHI_DFA_NONE;) {
        uint32_t code, low = 0, high = d->n_range;
        enum phi_class class_of_code;
        i += phi_unicode_next(text + i, n - i, &code, &class_of_code);
        while (high - low > 1) {
            uint32_t middle = low + (high - low) / 2;
            *(d->first[middle] <= code ? &low : &high) = middle;
        }
        state = d->next[(uint32_t)state * d->n_class + d->range_class[low]];
    }
    return state != PHI_DFA_NONE && d->accept[state];
}

/* Leads that end nowhere become PHI_DFA_NONE: backwards from the states that accept, over all edges by their targets. */
static int trim(struct phi_dfa *d, phi_error *err) {
    size_t n_edge = (size_t)d->n_state * d->n_class;
    uint32_t *begin = phi_alloc((size_t)d->n_state + 2, sizeof *begin), *from = phi_alloc(n_edge + 1, sizeof *from);
    uint32_t *queue = phi_alloc(d->n_state, sizeof *queue), n = 0;
    bool *good = phi_alloc(d->n_state, sizeof *good);
    int status = begin && from && queue && good ? 0 : no_memory(err);
    if (!status) {
        for (size_t i = 0; i < n_edge; i++)
            if (d->next[i] != PHI_DFA_NONE) begin[d->next[i] + 2]++;
        for (uint32_t q = 0; q < d->n_state; q++) begin[q + 2] += begin[q + 1];
        for (size_t i = 0; i < n_edge; i++)
            if (d->next[i] != PHI_DFA_NONE) from[begin[d->next[i] + 1]++] = (uint32_t)(i / d->n_class);
        for (uint32_t q = 0; q < d->n_state; q++)
            if (d->accept[q]) queue[n++] = q, good[q] = true;
        for (uint32_t at = 0; at < n; at++)
            for (uint32_t i = begin[queue[at]]; i < begin[queue[at] + 1]; i++)
                if (!good[from[i]]) queue[n++] = from[i], good[from[i]] = true;
        for (size_t i = 0; i < n_edge; i++)
            if (d->next[i] != PHI_DFA_NONE && !good[d->next[i]]) d->next[i] = PHI_DFA_NONE;
    }
    phi_free(begin);
    phi_free(from);
    phi_free(queue);
    phi_free(good);
    return status;
}

/* ---- Classes of code points ---- */

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* In which of its ranges the points d->first[] begin to differ: those where a set begins or ends. */
static int find_borders(const struct regex *r, struct phi_dfa *d, phi_error *err) {
    d->first = phi_alloc(2 * (size_t)r->n_range + 1, sizeof *d->first);
    d->range_class = phi_alloc(2 * (size_t)r->n_range + 1, sizeof *d->range_class);
    if (!d->first || !d->range_class) return no_memory(err);
    uint32_t n = 1, kept = 0; /* first[0] is 0 */
    for (uint32_t i = 0; i < r->n_range; i++) {
        d->first[n++] = r->range[i].first;
        if (r->range[i].last < CODE_LAST) d->first[n++] = r->range[i].last + 1;
    }
    qsort(d->first, n, sizeof *d->first, ascending);
    for (uint32_t i = 0; i < n; i++)
        if (!kept || d->first[kept - 1] != d->first[i]) d->first[kept++] = d->first[i];
    d->n_range = kept;
    return (uint64_t)r->n_set * kept > MAX_MEMBERSHIP ? too_large(err) : 0;
}

/* Split the classes by each set in turn. split[c]: what the part of class c that is in the set becomes. */
static int find_classes(const struct regex *r, struct phi_dfa *d, phi_error *err) {
    uint32_t *split = phi_alloc(d->n_range + 1, sizeof *split), *left = phi_alloc(d->n_range + 1, sizeof *left);
    int status = split && left ? 0 : no_memory(err);
    d->n_class = 1;
    for (uint32_t s = 0; s < r->n_set && !status; s++) {
        uint32_t n_before = d->n_class;
        memset(left, 0, n_before * sizeof *left);
        for (int pass = 0; pass < 2; pass++) { /* count what is outside the set, then give numbers to what is inside */
            uint32_t at = r->set[s];
            for (uint32_t i = 0; i < d->n_range; i++) {
                while (at < r->set[s + 1] && r->range[at].last < d->first[i]) at++;
                bool inside = at < r->set[s + 1] && r->range[at].first <= d->first[i];
                uint32_t *c = &d->range_class[i];
                if (!pass && !inside) left[*c] = 1;
                if (!pass) split[*c] = 0;
                if (!pass || !inside || !left[*c]) continue;
                if (!split[*c]) split[*c] = d->n_class++;
                *c = split[*c];
            }
        }
    }
    phi_free(split);
    phi_free(left);
    return status;
}

/* ---- Thompson's construction ---- */

enum nfa_kind { NFA_SPLIT, NFA_SET, NFA_ANY, NFA_BEGIN, NFA_END, NFA_ACCEPT };
#define NFA_NONE UINT32_MAX

struct nfa_state {
    enum nfa_kind kind;
    uint32_t set;
    uint32_t out[2];
};

struct fragment {
    uint32_t begin, end; /* end: a split that leads nowhere yet */
};

struct subsets {
    const struct regex *r;
    struct phi_dfa *d;
    phi_error *err;
    struct nfa_state *nfa;
    uint32_t n_nfa, start;
    bool *member; /* [n_set * n_class] */
    uint32_t *stamp, now;
    uint32_t *stack, *list; /* [n_nfa] */
    uint32_t n_list;
    bool accepts; /* what closure() met */
    uint32_t *pool, *begin; /* the subset of state i: pool[begin[i]] .. pool[begin[i + 1] - 1] */
    uint32_t n_pool, room_pool, room_state;
    uint32_t *slot; /* [2 * PHI_DFA_MAX_STATE] state + 1 */
    uint64_t work;
};

static uint32_t new_state(struct subsets *b, enum nfa_kind kind, uint32_t set, uint32_t out0, uint32_t out1) {
    b->nfa[b->n_nfa] = (struct nfa_state){kind, set, {out0, out1}};
    return b->n_nfa++;
}

static struct fragment simple(struct subsets *b, enum nfa_kind kind, uint32_t set) {
    uint32_t end = new_state(b, NFA_SPLIT, 0, NFA_NONE, NFA_NONE);
    return (struct fragment){kind == NFA_SPLIT ? end : new_state(b, kind, set, end, NFA_NONE), end};
}

/* One operation on the operands on the stack. */
static void build_op(struct subsets *b, const struct regex_op *op, struct fragment *stack, uint32_t *n) {
    static const enum nfa_kind kinds[] = {
        [REGEX_SET] = NFA_SET, [REGEX_BEGIN] = NFA_BEGIN, [REGEX_END] = NFA_END, [REGEX_EMPTY] = NFA_SPLIT};
    if (op->kind <= REGEX_EMPTY) {
        stack[(*n)++] = simple(b, kinds[op->kind], op->arg);
        return;
    }
    struct fragment last = stack[*n - 1], *at = &stack[*n - 1];
    if (op->kind == REGEX_CAT) {
        at = &stack[--*n - 1];
        b->nfa[at->end].out[0] = last.begin;
        at->end = last.end;
        return;
    }
    uint32_t end = new_state(b, NFA_SPLIT, 0, NFA_NONE, NFA_NONE);
    b->nfa[last.end].out[0] = end;
    if (op->kind == REGEX_ALT) {
        at = &stack[--*n - 1];
        b->nfa[at->end].out[0] = end;
        at->begin = new_state(b, NFA_SPLIT, 0, at->begin, last.begin);
    } else {
        if (op->kind != REGEX_OPTION) b->nfa[last.end].out[1] = last.begin;
        if (op->kind != REGEX_PLUS) at->begin = new_state(b, NFA_SPLIT, 0, last.begin, end);
    }
    at->end = end;
}

/* Any characters, the pattern, and then it has been found. */
static int build_nfa(struct subsets *b) {
    const struct regex *r = b->r;
    size_t most = 2 * (size_t)r->n_op + 8;
    uint32_t n = 0;
    struct fragment *stack = phi_alloc((size_t)r->n_op + 1, sizeof *stack);
    b->nfa = phi_alloc(most, sizeof *b->nfa);
    b->stamp = phi_alloc(most, sizeof *b->stamp);
    b->stack = phi_alloc(2 * most, sizeof *b->stack);
    b->list = phi_alloc(most, sizeof *b->list);
    bool good = stack && b->nfa && b->stamp && b->stack && b->list;
    if (good) {
        for (uint32_t i = 0; i < r->n_op; i++) build_op(b, &r->op[i], stack, &n);
        b->nfa[stack[0].end].out[0] = new_state(b, NFA_ACCEPT, 0, NFA_NONE, NFA_NONE);
        uint32_t any = new_state(b, NFA_ANY, 0, NFA_NONE, NFA_NONE);
        b->start = new_state(b, NFA_SPLIT, 0, any, stack[0].begin);
        b->nfa[any].out[0] = b->start;
    }
    phi_free(stack);
    return good ? 0 : no_memory(b->err);
}

/* ---- Subsets ---- */

static void push(struct subsets *b, uint32_t *n, uint32_t state) {
    if (state == NFA_NONE || b->stamp[state] == b->now) return;
    b->stamp[state] = b->now;
    b->stack[(*n)++] = state;
}

/* From the n states on b->stack without a character: those that wait for one, or for the end -> b->list. */
static void closure(struct subsets *b, uint32_t n, bool at_begin, bool at_end) {
    b->n_list = 0;
    b->accepts = false;
    while (n) {
        uint32_t state = b->stack[--n];
        const struct nfa_state *s = &b->nfa[state];
        b->work++;
        if (s->kind == NFA_ACCEPT) b->accepts = true;
        if (s->kind == NFA_SET || s->kind == NFA_ANY || (s->kind == NFA_END && !at_end)) b->list[b->n_list++] = state;
        bool passes = s->kind == NFA_SPLIT || (s->kind == NFA_BEGIN && at_begin) || (s->kind == NFA_END && at_end);
        if (!passes) continue;
        push(b, &n, s->out[0]);
        push(b, &n, s->out[1]);
    }
}

static bool accepts_at_end(struct subsets *b, uint32_t state) {
    uint32_t n = 0;
    b->now++;
    for (uint32_t i = b->begin[state]; i < b->begin[state + 1]; i++)
        if (b->nfa[b->pool[i]].kind == NFA_END) push(b, &n, b->pool[i]);
    closure(b, n, state == 0, true);
    return b->accepts;
}

/* The state of b->list (or of "found", which is a state without a list) -> *state. */
static int intern(struct subsets *b, bool first, int32_t *state) {
    struct phi_dfa *d = b->d;
    bool all = b->accepts;
    uint64_t h = all;
    if (all) b->n_list = 0;
    qsort(b->list, b->n_list, sizeof *b->list, ascending);
    for (uint32_t i = 0; i < b->n_list; i++) h = phi_hash_mix(h ^ b->list[i]);
    uint32_t at = (uint32_t)h & (2 * PHI_DFA_MAX_STATE - 1), n = b->n_list;
    for (; b->slot[at] && !first; at = (at + 1) & (2 * PHI_DFA_MAX_STATE - 1)) {
        uint32_t q = b->slot[at] - 1, begin = b->begin[q];
        if (b->begin[q + 1] - begin != n || (n && memcmp(b->pool + begin, b->list, n * sizeof *b->list) != 0)) continue;
        *state = (int32_t)q;
        return 0;
    }
    uint32_t q = d->n_state;
    if (q == PHI_DFA_MAX_STATE || (uint64_t)(q + 1) * d->n_class > PHI_DFA_MAX_TABLE) return too_large(b->err);
    if (b->n_pool + n > b->room_pool) {
        uint32_t more = 2 * (b->n_pool + n) + 64;
        void *p = phi_realloc(b->pool, more, sizeof *b->pool);
        if (!p) return no_memory(b->err);
        b->pool = p;
        b->room_pool = more;
    }
    if (q == b->room_state) {
        uint32_t more = 2 * q + 16;
        void *next = phi_realloc(d->next, (size_t)more * d->n_class, sizeof *d->next);
        if (next) d->next = next;
        void *accept = phi_realloc(d->accept, more, sizeof *d->accept);
        if (accept) d->accept = accept;
        void *begin = phi_realloc(b->begin, more + 1, sizeof *b->begin);
        if (begin) b->begin = begin;
        if (!next || !accept || !begin) return no_memory(b->err);
        b->room_state = more;
    }
    d->n_state++;
    b->begin[q] = b->n_pool; /* NOLINT(clang-analyzer-core.NullDereference): state 0 has made room */
    if (n) memcpy(b->pool + b->n_pool, b->list, n * sizeof *b->list);
    b->n_pool += n;
    b->begin[q + 1] = b->n_pool;
    if (!first) b->slot[at] = q + 1; /* the first one is where ^ holds: no other is like it */
    if (all) d->all = (int32_t)q;
    d->accept[q] = all || accepts_at_end(b, q);
    *state = (int32_t)q;
    return 0;
}

static int move(struct subsets *b, uint32_t q, uint32_t class_of_code, int32_t *state) {
    uint32_t n = 0;
    if ((int32_t)q == b->d->all) {
        *state = b->d->all;
        return 0;
    }
    b->now++;
    b->work += b->begin[q + 1] - b->begin[q] + 1;
    for (uint32_t i = b->begin[q]; i < b->begin[q + 1]; i++) {
        const struct nfa_state *s = &b->nfa[b->pool[i]];
        if (s->kind == NFA_ANY || (s->kind == NFA_SET && b->member[s->set * b->d->n_class + class_of_code]))
            push(b, &n, s->out[0]);
    }
    closure(b, n, false, false);
    return b->work > MAX_WORK ? too_large(b->err) : intern(b, false, state);
}

static int build_dfa(struct subsets *b) {
    const struct regex *r = b->r;
    struct phi_dfa *d = b->d;
    uint32_t n = 0;
    int32_t state;
    b->member = phi_alloc((size_t)r->n_set * d->n_class + 1, sizeof *b->member);
    b->slot = phi_alloc(2 * PHI_DFA_MAX_STATE, sizeof *b->slot);
    if (!b->member || !b->slot) return no_memory(b->err);
    for (uint32_t s = 0; s < r->n_set; s++)
        for (uint32_t i = 0, at = r->set[s]; i < d->n_range; i++) {
            while (at < r->set[s + 1] && r->range[at].last < d->first[i]) at++;
            if (at < r->set[s + 1] && r->range[at].first <= d->first[i])
                b->member[s * d->n_class + d->range_class[i]] = true;
        }
    b->now++;
    push(b, &n, b->start);
    closure(b, n, true, false);
    int status = intern(b, true, &state);
    for (uint32_t q = 0; q < d->n_state && !status; q++)
        for (uint32_t c = 0; c < d->n_class && !status; c++) {
            status = move(b, q, c, &state);
            d->next[(size_t)q * d->n_class + c] = state; /* after move(), which may make room */
        }
    return status;
}

int phi_dfa_open(const char *pattern, size_t n, struct phi_dfa *d, phi_error *err) {
    struct regex r;
    struct subsets b = {.r = &r, .d = d, .err = err};
    memset(d, 0, sizeof *d);
    d->all = PHI_DFA_NONE;
    int status = phi_regex_open(pattern, n, &r, err);
    if (status) return status;
    status = find_borders(&r, d, err);
    if (!status) status = find_classes(&r, d, err);
    if (!status && (uint64_t)r.n_set * d->n_class > MAX_MEMBERSHIP) status = too_large(err);
    if (!status) status = build_nfa(&b);
    if (!status) status = build_dfa(&b);
    if (!status) status = trim(d, err);
    phi_free(b.nfa);
    phi_free(b.member);
    phi_free(b.stamp);
    phi_free(b.stack);
    phi_free(b.list);
    phi_free(b.pool);
    phi_free(b.begin);
    phi_free(b.slot);
    phi_regex_close(&r);
    if (status) phi_dfa_close(d);
    return status;
}

/* ---- Lengths, products ---- */

int phi_dfa_open_length(int least, int most, struct phi_dfa *d, phi_error *err) {
    uint32_t n = (uint32_t)(most < 0 ? least : most) + 1;
    memset(d, 0, sizeof *d);
    d->all = PHI_DFA_NONE;
    if (n > PHI_DFA_MAX_STATE) return too_large(err);
    d->n_state = n;
    d->n_class = d->n_range = 1;
    d->first = phi_alloc(1, sizeof *d->first);
    d->range_class = phi_alloc(1, sizeof *d->range_class);
    if (!table_alloc(d, n) || !d->first || !d->range_class) {
        phi_dfa_close(d);
        return no_memory(err);
    }
    for (uint32_t i = 0; i < n; i++) {
        bool last = i == n - 1;
        d->next[i] = !last ? (int32_t)i + 1 : most < 0 ? (int32_t)i : PHI_DFA_NONE;
        d->accept[i] = i >= (uint32_t)least;
    }
    if (most < 0) d->all = (int32_t)n - 1;
    return 0;
}

/* The ranges of both, cut at the borders of both; a class is a pair of classes. */
static int pair_classes(const struct phi_dfa *a, const struct phi_dfa *b, struct phi_dfa *d, uint32_t **pair, phi_error *err) {
    if ((uint64_t)a->n_class * b->n_class > PHI_DFA_MAX_TABLE) return too_large(err);
    uint32_t *number = phi_alloc((size_t)a->n_class * b->n_class, sizeof *number); /* plus 1 */
    d->first = phi_alloc((size_t)a->n_range + b->n_range, sizeof *d->first);
    d->range_class = phi_alloc((size_t)a->n_range + b->n_range, sizeof *d->range_class);
    *pair = phi_alloc((size_t)a->n_range + b->n_range, sizeof **pair);
    bool good = number && d->first && d->range_class && *pair;
    for (uint32_t i = 0, k = 0; good;) {
        uint32_t both = a->range_class[i] * b->n_class + b->range_class[k];
        if (!number[both]) {
            (*pair)[d->n_class] = both;
            number[both] = ++d->n_class;
        }
        d->first[d->n_range] = a->first[i] > b->first[k] ? a->first[i] : b->first[k];
        d->range_class[d->n_range++] = number[both] - 1;
        uint32_t next_a = i + 1 < a->n_range ? a->first[i + 1] : UINT32_MAX;
        uint32_t next_b = k + 1 < b->n_range ? b->first[k + 1] : UINT32_MAX;
        if (next_a == UINT32_MAX && next_b == UINT32_MAX) break;
        i += next_a <= next_b;
        k += next_b <= next_a;
    }
    phi_free(number);
    return good ? 0 : no_memory(err);
}

/* Pairs of states, as they are reached. number: of a pair, plus 1. */
static int pair_states(const struct phi_dfa *a, const struct phi_dfa *b, struct phi_dfa *d, const uint32_t *pair,
                       uint32_t *number, uint32_t *state, phi_error *err) {
    state[0] = 0;
    number[0] = 1;
    d->n_state = 1;
    for (uint32_t q = 0; q < d->n_state; q++) {
        int32_t p = (int32_t)(state[q] / b->n_state), r = (int32_t)(state[q] % b->n_state);
        d->accept[q] = a->accept[p] && b->accept[r];
        if (p == a->all && r == b->all) d->all = (int32_t)q;
        for (uint32_t c = 0; c < d->n_class; c++) {
            int32_t to_a = a->next[(uint32_t)p * a->n_class + pair[c] / b->n_class];
            int32_t to_b = b->next[(uint32_t)r * b->n_class + pair[c] % b->n_class];
            int32_t *to = &d->next[(size_t)q * d->n_class + c];
            *to = PHI_DFA_NONE;
            if (to_a == PHI_DFA_NONE || to_b == PHI_DFA_NONE) continue;
            uint32_t both = (uint32_t)to_a * b->n_state + (uint32_t)to_b;
            if (!number[both]) {
                if ((uint64_t)(d->n_state + 1) * d->n_class > PHI_DFA_MAX_TABLE || d->n_state == PHI_DFA_MAX_STATE)
                    return too_large(err);
                state[d->n_state] = both;
                number[both] = ++d->n_state;
            }
            *to = (int32_t)number[both] - 1;
        }
    }
    return trim(d, err);
}

int phi_dfa_intersect(const struct phi_dfa *a, const struct phi_dfa *b, struct phi_dfa *d, phi_error *err) {
    uint32_t *pair = NULL, *number = NULL, *state = NULL;
    uint64_t n_pair = (uint64_t)a->n_state * b->n_state;
    memset(d, 0, sizeof *d);
    d->all = PHI_DFA_NONE;
    int status = n_pair > 4 * PHI_DFA_MAX_TABLE ? too_large(err) : pair_classes(a, b, d, &pair, err);
    if (!status) {
        uint32_t room = PHI_DFA_MAX_TABLE / d->n_class < PHI_DFA_MAX_STATE ? PHI_DFA_MAX_TABLE / d->n_class : PHI_DFA_MAX_STATE;
        if (room > n_pair) room = (uint32_t)n_pair;
        if (room == 0) room = 1;
        number = phi_alloc((size_t)n_pair, sizeof *number);
        state = phi_alloc(room, sizeof *state);
        status = table_alloc(d, room) && number && state ? pair_states(a, b, d, pair, number, state, err) : no_memory(err);
    }
    phi_free(pair);
    phi_free(number);
    phi_free(state);
    if (status) phi_dfa_close(d);
    return status;
}
