/* A set of code points as an automaton over the bytes of UTF-8, so that a character may arrive in pieces and only
 * bytes that can still complete one of the set are accepted.
 *
 *   [a-zé]     start --61..7a--> complete
 *                    --c3------> 1 --a9--> complete
 *
 * A state covers a block of 64^k code points, which the k continuation bytes still to come choose from; blocks that
 * are full, and any equal ones, share one state. Knows nothing of grammars. */
#include "grammar_parts.h"
#include "memory.h"

#include <string.h>

enum { MAX_STATE = 1 << 22 };

/* The set while its automaton is made: its part between two code points. */
struct span {
    const struct phi_grammar_range *range;
    size_t n;
};

static uint64_t hash_arcs(const struct utf8_arc *arc, uint32_t n) {
    uint64_t h = n;
    for (uint32_t i = 0; i < n; i++) {
        h = (h ^ arc[i].first ^ (uint64_t)arc[i].last << 8 ^ (uint64_t)arc[i].next << 16) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    return h;
}

static bool same_arcs(const struct utf8_automaton *a, uint32_t state, const struct utf8_arc *arc, uint32_t n) {
    if (a->first[state + 1] - a->first[state] != n) return false;
    for (uint32_t i = 0; i < n; i++) {
        const struct utf8_arc *b = &a->arc[a->first[state] + i];
        if (b->first != arc[i].first || b->last != arc[i].last || b->next != arc[i].next) return false;
    }
    return true;
}

static bool reserve(struct utf8_automaton *a, uint32_t n_arc) {
    if (a->n_state + 2 >= a->room_state) {
        uint32_t room = a->room_state * 2 + 64;
        uint32_t *first = room < MAX_STATE ? phi_realloc(a->first, room, sizeof *first) : NULL;
        if (!first) return false;
        a->first = first;
        a->room_state = room;
    }
    if (a->n_arc + n_arc > a->room_arc) {
        uint32_t room = (a->n_arc + n_arc) * 2 + 64;
        struct utf8_arc *arc = phi_realloc(a->arc, room, sizeof *arc);
        if (!arc) return false;
        a->arc = arc;
        a->room_arc = room;
    }
    if (a->n_state * 2 >= a->n_slot) {
        uint32_t n_slot = a->n_slot * 2 + 64;
        uint32_t *slot = phi_alloc(n_slot, sizeof *slot);
        if (!slot) return false;
        for (uint32_t s = 1; s < a->n_state; s++) {
            uint64_t at = hash_arcs(a->arc + a->first[s], a->first[s + 1] - a->first[s]) % n_slot;
            while (slot[at]) at = (at + 1) % n_slot;
            slot[at] = s;
        }
        phi_free(a->slot);
        a->slot = slot;
        a->n_slot = n_slot;
    }
    return true;
}

/* The state with these arcs; 0: no memory. */
static uint32_t intern(struct utf8_automaton *a, const struct utf8_arc *arc, uint32_t n) {
    if (!reserve(a, n)) return 0;
    if (a->n_state == 0) { /* state 0 is the end of a character */
        a->first[0] = a->first[1] = 0;
        a->n_state = 1;
    }
    uint64_t at = hash_arcs(arc, n) % a->n_slot;
    for (; a->slot[at]; at = (at + 1) % a->n_slot)
        if (same_arcs(a, a->slot[at], arc, n)) return a->slot[at];
    if (n) memcpy(a->arc + a->n_arc, arc, n * sizeof *arc);
    a->n_arc += n;
    a->first[a->n_state + 1] = a->n_arc;
    a->slot[at] = a->n_state;
    return a->n_state++;
}

/* Arcs in ascending order; neighbours that lead to the same state are one. */
static void add_arc(struct utf8_arc *arc, uint32_t *n, unsigned first, unsigned last, uint32_t next) {
    if (*n > 0 && arc[*n - 1].last + 1u == first && arc[*n - 1].next == next)
        arc[*n - 1].last = (uint8_t)last;
    else
        arc[(*n)++] = (struct utf8_arc){(uint8_t)first, (uint8_t)last, next};
}

/* The part of the set from first to last. */
static struct span clip(struct span s, uint32_t first, uint32_t last) {
    size_t low = 0, high = s.n;
    while (low < high) { /* the first range that ends at or behind first */
        size_t middle = low + (high - low) / 2;
        if (s.range[middle].last < first)
            low = middle + 1;
        else
            high = middle;
    }
    size_t end = low, limit = s.n;
    while (end < limit) { /* the first one that begins behind last */
        size_t middle = end + (limit - end) / 2;
        if (s.range[middle].first <= last)
            end = middle + 1;
        else
            limit = middle;
    }
    return (struct span){s.range + low, end - low};
}

/* The state for a block from base on that k continuation bytes choose from: true, and *state (0 for k = 0). False: no
 * code point of it is in the set, or (then *failed) no memory. */
/* NOLINTNEXTLINE(misc-no-recursion): k deep, 3 at most */
static bool block(struct utf8_automaton *a, struct span set, uint32_t base, uint32_t first, uint32_t last, int k,
                  uint32_t *state, bool *failed) {
    struct span part = clip(set, first, last);
    if (part.n == 0) return false;
    *state = 0;
    if (k == 0) return true;
    uint32_t size = 1u << 6 * (k - 1), n = 0;
    struct utf8_arc arc[64];
    bool full =
        first == base && last == base + 64 * size - 1 && part.range[0].first <= first && part.range[0].last >= last;
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t from = base + i * size, to = from + size - 1, next = 0;
        if (to < first || from > last) continue;
        if (full && i > 0) { /* all are like the first */
            arc[0].last = 0xbf;
            break;
        }
        if (block(a, part, from, from < first ? first : from, to > last ? last : to, k - 1, &next, failed))
            add_arc(arc, &n, 0x80 + i, 0x80 + i, next);
        if (*failed) return false;
    }
    *state = intern(a, arc, n);
    *failed = *state == 0;
    return !*failed;
}

uint32_t phi_utf8_automaton_add(struct utf8_automaton *a, const struct phi_grammar_range *range, size_t n) {
    /* The lead bytes by the number of bytes behind them; first code point: shorter forms are overlong. */
    static const struct {
        unsigned lead, lead_last;
        uint32_t first, last;
    } form[4] = {{0x00, 0x7f, 0, 0x7f},
                 {0xc0, 0xdf, 0x80, 0x7ff},
                 {0xe0, 0xef, 0x800, 0xffff},
                 {0xf0, 0xf4, 0x10000, 0x10ffff}};
    struct span set = {range, n};
    struct utf8_arc arc[256];
    uint32_t n_arc = 0;
    bool failed = false;
    for (int k = 0; k < 4; k++) {
        struct span part = clip(set, form[k].first, form[k].last);
        for (unsigned lead = form[k].lead; part.n > 0 && lead <= form[k].lead_last; lead++) {
            uint32_t size = 1u << 6 * k, base = (lead - form[k].lead) * size, last = base + size - 1, next;
            uint32_t first = base < form[k].first ? form[k].first : base;
            if (last > form[k].last) last = form[k].last;
            if (first > last) continue;
            if (block(a, part, base, first, last, k, &next, &failed)) add_arc(arc, &n_arc, lead, lead, next);
            if (failed) return 0;
        }
    }
    return intern(a, arc, n_arc);
}

/* The shortest way from each state on. A state's arcs lead to states with lower numbers: they were there before. */
bool phi_utf8_automaton_finish(struct utf8_automaton *a, const bool has[256]) {
    uint32_t n = a->n_state ? a->n_state : 1;
    a->byte = phi_alloc(n, 1);
    a->length = phi_alloc(n, 1);
    uint8_t *missing = phi_alloc(n, 1); /* bytes of that way that no token is alone */
    phi_free(a->slot);
    a->slot = NULL;
    if (!a->byte || !a->length || !missing) {
        phi_free(missing);
        return false;
    }
    for (uint32_t s = 1; s < n; s++) {
        for (uint32_t i = a->first[s]; i < a->first[s + 1]; i++) {
            const struct utf8_arc *arc = &a->arc[i];
            if (arc->next && a->length[arc->next] == 0) continue;
            for (unsigned b = arc->first; b <= arc->last; b++) {
                unsigned length = a->length[arc->next] + 1u, gaps = missing[arc->next] + !has[b];
                if (a->length[s] && (gaps > missing[s] || (gaps == missing[s] && length >= a->length[s]))) continue;
                a->byte[s] = (uint8_t)b;
                a->length[s] = (uint8_t)length;
                missing[s] = (uint8_t)gaps;
            }
        }
    }
    phi_free(missing);
    return true;
}

void phi_utf8_automaton_free(struct utf8_automaton *a) {
    phi_free(a->arc);
    phi_free(a->first);
    phi_free(a->slot);
    phi_free(a->byte);
    phi_free(a->length);
}
