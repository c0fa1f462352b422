/* How far an answer has come in a grammar: all stacks that its bytes allow, moved on byte by byte, and whether what
 * is left of the budget still completes it. The drawing is in grammar_state.h. */
#include "grammar_state.h"
#include "memory.h"

#include <string.h>

/* ---- Nodes ----------------------------------------------------------------------------------------------------- */

static uint32_t hash_pair(uint32_t a, uint32_t b) {
    uint64_t h = ((uint64_t)a << 32 | b) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(h >> 32 ^ h >> 13);
}

uint32_t phi_grammar_state_node(struct phi_grammar_state *s, uint32_t element, uint32_t below) {
    element = s->g->same[element];
    const struct grammar_rest *rest = &s->g->rest[element];
    const struct stack_node *under = &s->node[below]; /* node 0 is all zero */
    struct stack_node n = {element,
                           below,
                           under->depth + 1,
                           under->depth + 1 + rest->depth,
                           under->tokens + rest->tokens,
                           under->steps + rest->steps};
    if (n.needs < under->needs) n.needs = under->needs;
    if (n.tokens >= MAX_TOKENS || n.steps > PHI_GRAMMAR_MAX_SHORTEST || n.needs > PHI_GRAMMAR_MAX_DEPTH) return 0;
    uint32_t at = hash_pair(element, below) & s->node_mask;
    for (; s->node_slot[at]; at = (at + 1) & s->node_mask) {
        const struct stack_node *old = &s->node[s->node_slot[at]];
        if (old->element == element && old->below == below) return s->node_slot[at];
    }
    if (s->n_node == s->node_limit) {
        s->full = true;
        return 0;
    }
    s->node[s->n_node] = n;
    s->seen[s->n_node] = 0;
    s->node_slot[at] = s->n_node;
    return s->n_node++;
}

/* ---- Places ---------------------------------------------------------------------------------------------------- */

static bool before(struct stack_top a, struct stack_top b) {
    return a.node != b.node ? a.node < b.node : a.inside < b.inside;
}

/* A heap sort: qsort may allocate. */
static void sort_tops(struct stack_top *t, uint32_t n) {
    for (uint32_t end = n, start = n / 2; end > 1;) {
        struct stack_top x;
        if (start > 0) {
            x = t[--start];
        } else {
            x = t[--end];
            t[end] = t[0];
        }
        uint32_t at = start;
        for (uint32_t child; (child = 2 * at + 1) < end; at = child) {
            if (child + 1 < end && before(t[child], t[child + 1])) child++;
            if (!before(x, t[child])) break;
            t[at] = t[child];
        }
        t[at] = x;
    }
}

/* Tokens of the shortest completion of a stack, as struct grammar_rest counts them. */
static uint32_t tokens_of(const struct phi_grammar_state *s, struct stack_top t) {
    const struct utf8_automaton *a = &s->g->utf8;
    const struct stack_node *n = &s->node[t.node];
    if (t.inside == 0) return n->tokens;
    uint32_t sum = s->g->rest[n->element + 1].tokens + s->node[n->below].tokens;
    bool found = true;
    for (uint32_t state = t.inside; state; state = utf8_next(a, state, a->byte[state], &found))
        sum += s->g->vocab.has[a->byte[state]] ? 1 : MAX_TOKENS;
    return sum < MAX_TOKENS ? sum : MAX_TOKENS;
}

uint32_t phi_grammar_state_place(struct phi_grammar_state *s) {
    const struct stack_top *t = s->found;
    uint32_t n = s->n_found, hash = n;
    if (n == 0 || n > PHI_GRAMMAR_MAX_STACK) return PLACE_DEAD;
    sort_tops(s->found, n);
    for (uint32_t i = 0; i < n; i++) hash = hash_pair(hash ^ t[i].node, t[i].inside);
    uint32_t at = hash % (2 * MAX_PLACE);
    for (uint32_t p; (p = s->place_slot[at]) != 0; at = (at + 1) % (2 * MAX_PLACE))
        if (s->place[p].n == n && memcmp(s->top + s->place[p].first, t, n * sizeof *t) == 0) return p;
    if (s->n_place == MAX_PLACE || s->n_top + n > MAX_TOP) {
        s->full = true;
        return PLACE_DEAD;
    }
    struct place *p = &s->place[s->n_place];
    *p = (struct place){s->n_top, n, MAX_TOKENS, NO_CUT};
    memcpy(s->top + s->n_top, t, n * sizeof *t);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t tokens = tokens_of(s, t[i]);
        if (tokens < p->tokens) p->tokens = tokens;
    }
    s->n_top += n;
    memset(s->next + (size_t)s->n_place * s->g->n_class, 0, s->g->n_class * sizeof *s->next);
    s->place_slot[at] = s->n_place;
    return s->n_place++;
}

/* ---- Dropping what is not in use ------------------------------------------------------------------------------- */

static void clear(struct phi_grammar_state *s, bool large) {
    s->node_limit = large ? MAX_NODE : USUAL_NODE;
    s->node_mask = (large ? N_SLOT : 4 * USUAL_NODE) - 1;
    memset(s->node_slot, 0, (s->node_mask + 1) * sizeof *s->node_slot);
    memset(s->place_slot, 0, 2 * MAX_PLACE * sizeof *s->place_slot);
    s->n_node = 1; /* node 0 stays zero */
    s->n_place = PLACE_FIRST;
    s->n_top = 0;
    s->full = false;
}

/* Copy a stack from the old nodes to the new ones, the lowest first; what is shared once. */
static uint32_t copy_stack(struct phi_grammar_state *s, uint32_t node) {
    uint32_t n = 0;
    for (; node && !s->moved[node]; node = s->other[node].below) s->path[n++] = node;
    uint32_t below = s->moved[node];
    while (n > 0) {
        uint32_t from = s->path[--n];
        below = s->moved[from] = phi_grammar_state_node(s, s->other[from].element, below);
    }
    return below;
}

/* Both places from their old stacks. False: not enough room for what is usual. */
static bool copy_places(struct phi_grammar_state *s, const uint32_t n_kept[2], uint32_t *place[2]) {
    for (int i = 0; i < 2; i++) {
        if (n_kept[i] == 0) continue; /* dead */
        for (uint32_t j = 0; j < n_kept[i]; j++) {
            struct stack_top t = s->kept[i * PHI_GRAMMAR_MAX_STACK + (int)j];
            s->found[j] = (struct stack_top){copy_stack(s, t.node), t.inside};
        }
        s->n_found = n_kept[i];
        if (!s->full) *place[i] = phi_grammar_state_place(s);
        if (s->full) return false;
    }
    return true;
}

void phi_grammar_state_drop(struct phi_grammar_state *s, bool large) {
    uint32_t n_kept[2] = {0, 0}, n_old = s->n_node, *place[2] = {&s->now, &s->walk};
    for (int i = 0; i < 2; i++) {
        if (*place[i] < PLACE_FIRST) continue;
        const struct place *p = &s->place[*place[i]];
        n_kept[i] = p->n;
        memcpy(s->kept + i * PHI_GRAMMAR_MAX_STACK, s->top + p->first, p->n * sizeof *s->top);
    }
    struct stack_node *old = s->node;
    s->node = s->other;
    s->other = old;
    do {
        memset(s->moved, 0, n_old * sizeof *s->moved);
        clear(s, large);
    } while (!copy_places(s, n_kept, place) && !large && (large = true));
}

/* ---- One byte -------------------------------------------------------------------------------------------------- */

static void add_top(struct phi_grammar_state *s, uint32_t node, uint32_t inside) {
    s->n_frame += s->node[node].depth;
    if (s->n_found == PHI_GRAMMAR_MAX_STACK || s->n_frame > PHI_GRAMMAR_MAX_FRAME) {
        s->refused = true;
        return;
    }
    s->found[s->n_found++] = (struct stack_top){node, inside};
}

/* Go on at an element, below it the rest. At the end of an alternative that is the rest itself. */
static void go_on(struct phi_grammar_state *s, uint32_t element, uint32_t below) {
    uint32_t node = below;
    if (element_kind(s->g->element[element]) != ELEMENT_END)
        node = phi_grammar_state_node(s, element, below);
    else if (below == 0)
        s->over = true;
    if (node == 0 || s->seen[node] == s->step) return;
    s->seen[node] = s->step;
    if (s->n_visit++ == MAX_VISIT) s->refused = true;
    if (!s->refused) s->todo[s->n_todo++] = node;
}

static void enter_rule(struct phi_grammar_state *s, uint32_t rule, uint32_t below) {
    const phi_grammar *g = s->g;
    for (uint32_t a = g->first[rule]; a < g->first[rule + 1]; a++) go_on(s, g->alternative[a], below);
}

/* Replace every rule on top of a stack by its alternatives, until characters are on top of all. */
static uint32_t settle(struct phi_grammar_state *s) {
    while (s->n_todo > 0 && !s->refused && !s->full) {
        uint32_t at = s->todo[--s->n_todo];
        struct stack_node n = s->node[at];
        uint32_t e = s->g->element[n.element], below = n.below;
        if (element_kind(e) == ELEMENT_SET) {
            add_top(s, at, 0);
            continue;
        }
        if (element_kind(s->g->element[n.element + 1]) != ELEMENT_END) {
            below = phi_grammar_state_node(s, n.element + 1, below);
            if (below == 0) continue;
        }
        enter_rule(s, element_arg(e), below);
    }
    if (s->over) add_top(s, 0, 0);
    s->limited |= s->refused;
    return s->refused || s->full ? PLACE_DEAD : phi_grammar_state_place(s);
}

static void begin_step(struct phi_grammar_state *s) {
    if (++s->step == 0) { /* after 2^32 steps old marks would look like new ones */
        memset(s->seen, 0, MAX_NODE * sizeof *s->seen);
        s->step = 1;
    }
    s->n_todo = s->n_found = s->n_frame = s->n_visit = 0;
    s->over = s->full = s->refused = false;
}

/* The place that a byte leads to from s->walk. s->full: no room. */
static uint32_t step(struct phi_grammar_state *s, uint8_t byte) {
    struct place p = s->place[s->walk];
    begin_step(s);
    for (uint32_t i = 0; i < p.n && !s->full && !s->refused; i++) {
        struct stack_top t = s->top[p.first + i];
        if (t.node == 0) continue;
        struct stack_node n = s->node[t.node];
        bool found;
        uint32_t from = t.inside ? t.inside : element_arg(s->g->element[n.element]);
        uint32_t next = utf8_next(&s->g->utf8, from, byte, &found);
        if (found && next)
            add_top(s, t.node, next);
        else if (found)
            go_on(s, n.element + 1, n.below);
    }
    return settle(s);
}

/* Move s->walk on. False: the byte is not allowed, s->walk is dead. */
static bool walk_byte(struct phi_grammar_state *s, uint8_t byte) {
    uint32_t class = s->g->byte_class[byte], n_class = s->g->n_class;
    uint32_t to = s->next[s->walk * n_class + class];
    if (to == PLACE_UNKNOWN) {
        to = step(s, byte);
        for (int large = 0; s->full && large < 2; large++) {
            phi_grammar_state_drop(s, large);
            to = step(s, byte);
        }
        s->next[s->walk * n_class + class] = (uint16_t)to;
    }
    s->walk = to;
    return to != PLACE_DEAD;
}

/* ---- Completions ----------------------------------------------------------------------------------------------- */

static size_t write_character(struct phi_grammar_state *s, uint32_t state, bool whole, size_t n) {
    const struct utf8_automaton *a = &s->g->utf8;
    uint32_t first = whole && a->length[state] == 1 ? state : 0;
    for (bool found = true; state; state = utf8_next(a, state, a->byte[state], &found)) {
        s->state[n] = first;
        s->text[n++] = a->byte[state];
    }
    return n;
}

/* The shortest text from an element to the end of its alternative. */
static size_t write_rest(struct phi_grammar_state *s, uint32_t element, size_t n) {
    const phi_grammar *g = s->g;
    uint32_t n_path = 0;
    for (;;) {
        uint32_t e = g->element[element];
        if (element_kind(e) == ELEMENT_END) {
            if (n_path == 0) return n;
            element = s->path[--n_path];
        } else if (element_kind(e) == ELEMENT_SET) {
            n = write_character(s, element_arg(e), true, n);
            element++;
        } else {
            uint32_t inner = g->shortest[element_arg(e)];
            element++;
            if (g->rest[inner].tokens == 0) continue; /* no text: nothing to write, however many rules it takes */
            if (element_kind(g->element[element]) != ELEMENT_END) s->path[n_path++] = element;
            element = inner;
        }
    }
}

static size_t write_completion(struct phi_grammar_state *s, struct stack_top t) {
    size_t n = 0;
    if (t.node == 0) return 0;
    if (t.inside) n = write_character(s, t.inside, false, n);
    n = write_rest(s, s->node[t.node].element + (t.inside != 0), n);
    for (uint32_t at = s->node[t.node].below; at; at = s->node[at].below) n = write_rest(s, s->node[at].element, n);
    return n;
}

/* Tokens of the shortest completion, each stack's shortest text cut as a whole. When a token of that cut comes, the
 * text behind it is the shortest text of a stack of the new place: so the number falls by one with each such token,
 * and what fits once can always be completed. */
static uint32_t cut_of(struct phi_grammar_state *s, uint32_t place) {
    struct place *p = &s->place[place];
    if (p->cut != NO_CUT) return p->cut;
    uint32_t best = MAX_TOKENS;
    for (uint32_t i = 0; i < p->n && best > 0; i++) {
        size_t n = write_completion(s, s->top[p->first + i]);
        phi_grammar_vocab_cut(&s->g->vocab, s->text, s->state, n, s->least);
        if (s->least[0] < best) best = s->least[0];
    }
    return p->cut = best;
}

/* Can the answer be completed from a place with at most this many tokens? */
static bool fits(struct phi_grammar_state *s, uint32_t place, int64_t n) {
    uint32_t tokens = s->place[place].tokens;
    return (tokens < MAX_TOKENS && tokens <= n) || (cut_of(s, place) < MAX_TOKENS && cut_of(s, place) <= n);
}

/* ---- For others ------------------------------------------------------------------------------------------------ */

int phi_grammar_state_open(const phi_grammar *g, bool skip_space, struct phi_grammar_state **out, phi_error *err) {
    struct phi_grammar_state *s = phi_alloc(1, sizeof *s);
    *out = NULL;
    if (!s) goto no_memory;
    s->g = g;
    s->skip_space = skip_space;
    s->n_left = -1;
    s->now = s->walk = PLACE_DEAD;
    s->node = phi_alloc(MAX_NODE, sizeof *s->node);
    s->other = phi_alloc(MAX_NODE, sizeof *s->other);
    s->node_slot = phi_alloc(N_SLOT, sizeof *s->node_slot);
    s->moved = phi_alloc(MAX_NODE, sizeof *s->moved);
    s->seen = phi_alloc(MAX_NODE, sizeof *s->seen);
    s->place = phi_alloc(MAX_PLACE, sizeof *s->place);
    s->top = phi_alloc(MAX_TOP, sizeof *s->top);
    s->place_slot = phi_alloc(2 * MAX_PLACE, sizeof *s->place_slot);
    s->next = phi_alloc((size_t)MAX_PLACE * g->n_class, sizeof *s->next);
    s->todo = phi_alloc(MAX_VISIT, sizeof *s->todo);
    s->found = phi_alloc(PHI_GRAMMAR_MAX_STACK, sizeof *s->found);
    s->kept = phi_alloc(2 * PHI_GRAMMAR_MAX_STACK, sizeof *s->kept);
    s->text = phi_alloc(PHI_GRAMMAR_MAX_SHORTEST + 4, sizeof *s->text);
    s->state = phi_alloc(PHI_GRAMMAR_MAX_SHORTEST + 4, sizeof *s->state);
    s->least = phi_alloc(PHI_GRAMMAR_MAX_SHORTEST + 5, sizeof *s->least);
    s->path = phi_alloc(PHI_GRAMMAR_MAX_DEPTH + 1, sizeof *s->path);
    if (!s->node || !s->other || !s->node_slot || !s->moved || !s->seen || !s->place || !s->top || !s->place_slot ||
        !s->next || !s->todo || !s->found || !s->kept || !s->text || !s->state || !s->least || !s->path)
        goto no_memory;
    clear(s, true);
    begin_step(s);
    enter_rule(s, 0, 0);
    s->now = settle(s);
    *out = s;
    return PHI_OK;

no_memory:
    phi_grammar_state_close(s);
    return phi_fail(err, PHI_MEMORY, "not enough memory for the state of a grammar");
}

void phi_grammar_state_close(struct phi_grammar_state *s) {
    if (!s) return;
    phi_free(s->node);
    phi_free(s->other);
    phi_free(s->node_slot);
    phi_free(s->moved);
    phi_free(s->seen);
    phi_free(s->place);
    phi_free(s->top);
    phi_free(s->place_slot);
    phi_free(s->next);
    phi_free(s->todo);
    phi_free(s->found);
    phi_free(s->kept);
    phi_free(s->text);
    phi_free(s->state);
    phi_free(s->least);
    phi_free(s->path);
    phi_free(s);
}

/* May the answer end at a place? The empty stack comes first in it. */
static bool may_end(const struct phi_grammar_state *s, uint32_t place) {
    return place >= PLACE_FIRST && s->top[s->place[place].first].node == 0;
}

/* Walk over a token's bytes. False: they are not allowed. */
static bool walk_token(struct phi_grammar_state *s, int32_t id) {
    const uint8_t *bytes = (const uint8_t *)s->g->vocab.bytes[id];
    uint32_t n = s->g->vocab.n_bytes[id], i = s->skip_space && bytes[0] == ' ';
    s->walk = s->now;
    while (i < n && s->walk != PLACE_DEAD) walk_byte(s, bytes[i++]);
    return s->walk != PLACE_DEAD;
}

bool phi_grammar_state_allows(struct phi_grammar_state *s, int32_t id) {
    const phi_grammar *g = s->g;
    if (id < 0 || id >= g->vocab.n_token || s->ended || s->now == PLACE_DEAD) return false;
    uint32_t first = g->vocab.first[id];
    if (first == TOKEN_STOP) return may_end(s, s->now);
    if (first == TOKEN_EMPTY || s->n_left == 0) return false;
    if (s->next[s->now * g->n_class + g->byte_class[first]] == PLACE_DEAD && !(s->skip_space && first == ' '))
        return false;
    return walk_token(s, id) && fits(s, s->walk, s->n_left < 0 ? MAX_TOKENS : s->n_left - 1);
}

void phi_grammar_state_accept(struct phi_grammar_state *s, int32_t id) {
    bool is_token = id >= 0 && id < s->g->vocab.n_token && !s->ended && s->now != PLACE_DEAD;
    uint32_t first = is_token ? s->g->vocab.first[id] : TOKEN_EMPTY;
    if (first == TOKEN_STOP && may_end(s, s->now)) {
        s->ended = true;
        return;
    }
    s->now = first < TOKEN_EMPTY && walk_token(s, id) ? s->walk : PLACE_DEAD;
    s->skip_space = false;
}

void phi_grammar_state_set_budget(struct phi_grammar_state *s, int64_t n_left) {
    s->n_left = n_left;
}

bool phi_grammar_state_must_end(struct phi_grammar_state *s) {
    if (s->ended) return true;
    if (!may_end(s, s->now)) return false;
    if (s->n_left == 0 || s->place[s->now].n == 1) return true;
    if (s->n_left < 0) return false;
    for (int32_t id = 0; id < s->g->vocab.n_token; id++)
        if (s->g->vocab.first[id] != TOKEN_STOP && phi_grammar_state_allows(s, id)) return false;
    return true;
}

uint32_t phi_grammar_state_shortest(struct phi_grammar_state *s) {
    if (s->ended) return 0;
    return s->now == PLACE_DEAD ? UINT32_MAX : cut_of(s, s->now);
}
