/* A grammar's state as bytes of a session file, and back. What is read is untrusted: every number is checked before
 * use, and what the checks let through is a state that matching can run on.
 *
 *   version 4 | fingerprint 8 | flags 4 | nodes 4 | stacks 4        little-endian
 *   node: element 4, below 4                 below: an earlier node, from 1; 0: nothing
 *   stack: node 4, inside 4                  as struct stack_top, node as below */
#include "grammar_state.h"

#include <string.h>

enum { VERSION = 1, N_HEADER = 24, FLAG_SKIP = 1, FLAG_ENDED = 2 };

struct writer {
    uint8_t *out;
    size_t n, cap;
};

static void put(struct writer *w, uint32_t v) {
    for (int i = 0; i < 4; i++, w->n++)
        if (w->n < w->cap) w->out[w->n] = (uint8_t)(v >> 8 * i);
}

static uint32_t get(const uint8_t *p) {
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Number the nodes of all stacks, those below first, and write them (w NULL: only count). */
static uint32_t put_nodes(const struct phi_grammar_state *s, struct place p, struct writer *w) {
    uint32_t count = 0;
    memset(s->moved, 0, s->n_node * sizeof *s->moved);
    for (uint32_t i = 0; i < p.n; i++) {
        uint32_t n = 0, at = s->top[p.first + i].node;
        for (; at && !s->moved[at]; at = s->node[at].below) s->path[n++] = at;
        while (n > 0) {
            at = s->path[--n];
            s->moved[at] = ++count;
            if (!w) continue;
            put(w, s->node[at].element);
            put(w, s->moved[s->node[at].below]);
        }
    }
    return count;
}

size_t phi_grammar_state_save(const struct phi_grammar_state *s, uint8_t *out, size_t cap) {
    struct writer w = {out, 0, cap};
    struct place p = {0, 0, 0, 0};
    if (s->now >= PLACE_FIRST) p = s->place[s->now];
    put(&w, VERSION);
    put(&w, (uint32_t)s->g->fingerprint);
    put(&w, (uint32_t)(s->g->fingerprint >> 32));
    put(&w, (s->skip_space ? FLAG_SKIP : 0) | (s->ended ? FLAG_ENDED : 0));
    put(&w, put_nodes(s, p, NULL));
    put(&w, p.n);
    put_nodes(s, p, &w);
    for (uint32_t i = 0; i < p.n; i++) {
        put(&w, s->moved[s->top[p.first + i].node]);
        put(&w, s->top[p.first + i].inside);
    }
    return w.n;
}

/* Can a character that starts in this state be in the middle of it in that one? */
/* NOLINTNEXTLINE(misc-no-recursion): at most 3 deep, as long as a character is */
static bool leads_to(const struct utf8_automaton *a, uint32_t from, uint32_t to) {
    for (uint32_t i = a->first[from]; i < a->first[from + 1]; i++)
        if (a->arc[i].next && (a->arc[i].next == to || leads_to(a, a->arc[i].next, to))) return true;
    return false;
}

/* The nodes: s->todo[i] is the one that is i + 1 in the file. */
static bool get_nodes(struct phi_grammar_state *s, const uint8_t *at, uint32_t n) {
    const phi_grammar *g = s->g;
    for (uint32_t i = 0; i < n; i++, at += 8) {
        uint32_t element = get(at), below = get(at + 4);
        if (element >= g->n_element || below > i || element_kind(g->element[element]) == ELEMENT_END) return false;
        s->todo[i] = phi_grammar_state_node(s, element, below ? s->todo[below - 1] : 0);
        if (s->todo[i] == 0) return false;
    }
    return true;
}

static bool get_stacks(struct phi_grammar_state *s, const uint8_t *at, uint32_t n, uint32_t n_node) {
    const phi_grammar *g = s->g;
    uint32_t frames = 0;
    for (uint32_t i = 0; i < n; i++, at += 8) {
        uint32_t node = get(at), inside = get(at + 4), element;
        if (node > n_node || (node == 0 && inside != 0)) return false;
        s->found[i] = (struct stack_top){node ? s->todo[node - 1] : 0, inside};
        if (node == 0) continue;
        element = s->node[s->found[i].node].element;
        if (element_kind(g->element[element]) != ELEMENT_SET) return false;
        if (inside && (inside >= g->utf8.n_state || !leads_to(&g->utf8, element_arg(g->element[element]), inside)))
            return false;
        frames += s->node[s->found[i].node].depth;
        if (frames > PHI_GRAMMAR_MAX_FRAME) return false;
    }
    s->n_found = n;
    return true;
}

int phi_grammar_state_load(struct phi_grammar_state *s, const uint8_t *bytes, size_t n, phi_error *err) {
    const char *wrong = "it is cut short";
    if (n < N_HEADER) goto refuse;
    uint32_t flags = get(bytes + 12), n_node = get(bytes + 16), n_stack = get(bytes + 20);
    wrong = "it belongs to another grammar";
    if (get(bytes) != VERSION || (get(bytes + 4) | (uint64_t)get(bytes + 8) << 32) != s->g->fingerprint) goto refuse;
    wrong = "it is damaged";
    if (flags > (FLAG_SKIP | FLAG_ENDED) || n_node > PHI_GRAMMAR_MAX_FRAME || n_stack > PHI_GRAMMAR_MAX_STACK ||
        n != N_HEADER + 8 * ((size_t)n_node + n_stack))
        goto refuse;
    s->walk = s->now;
    phi_grammar_state_drop(s, true);
    const uint8_t *stacks = bytes + N_HEADER + 8 * (size_t)n_node;
    if (!get_nodes(s, bytes + N_HEADER, n_node) || !get_stacks(s, stacks, n_stack, n_node)) goto refuse;
    uint32_t place = phi_grammar_state_place(s);
    s->now = s->walk = place;
    s->skip_space = flags & FLAG_SKIP;
    s->ended = flags & FLAG_ENDED;
    return PHI_OK;

refuse:
    return phi_fail(err, PHI_USAGE, "the saved state of the grammar cannot be used: %s", wrong);
}
