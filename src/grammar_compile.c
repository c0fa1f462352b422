/* From the builder's lists to the arrays that matching runs on: what the root reaches, each rule's shortest text, and
 * the grammars that must be refused because matching them would not end. */
#include "grammar_parts.h"
#include "memory.h"

#include <string.h>

struct compiler {
    const struct phi_grammar_builder *b;
    struct phi_grammar *g;
    uint32_t *alias;  /* [b->n_rule] the element that a rule is when it is no more than one; NO_ITEM: not known yet */
    uint32_t *number; /* [b->n_rule] of a rule in g, plus 1; 0: none yet */
    uint32_t *old;    /* [g->n_rule] the other way round */
    uint32_t *set_state; /* [b->n_set] 0: not made yet */
    uint32_t char_state[128];
    bool too_long; /* a rule has texts, but only such above the limit */
};

/* ---- Arrays ---------------------------------------------------------------------------------------------------- */

enum { IN_PROGRESS = NO_ITEM - 1 };

/* Is the rule no more than one element? Then this one. */
static bool single(const struct phi_grammar_builder *b, uint32_t rule, uint32_t *element) {
    const struct build_rule *r = &b->rule[rule];
    if (r->first == NO_ITEM || r->first != r->last) return false;
    uint32_t e = b->alternative[r->first].first;
    if (e == NO_ITEM || b->element[e].next != NO_ITEM) return false;
    *element = b->element[e].element;
    return true;
}

/* What a reference to the rule comes to: "a ::= b", "b ::= [0-9]" make a reference to a the set itself. Each rule is
 * walked over twice at most. */
static uint32_t resolve(struct compiler *c, uint32_t rule) {
    uint32_t element = element_make(ELEMENT_RULE, rule), next = 0;
    while (element_kind(element) == ELEMENT_RULE) {
        uint32_t at = element_arg(element);
        if (c->alias[at] == IN_PROGRESS) break; /* a circle of rules that are nothing but each other */
        if (c->alias[at] != NO_ITEM) {
            element = c->alias[at];
            break;
        }
        if (!single(c->b, at, &next)) break;
        c->alias[at] = IN_PROGRESS;
        element = next;
    }
    for (uint32_t at = rule; c->alias[at] == IN_PROGRESS; at = element_arg(next)) {
        c->alias[at] = element;
        single(c->b, at, &next);
        if (element_kind(next) != ELEMENT_RULE) break;
    }
    return element;
}

static uint32_t number_of(struct compiler *c, uint32_t rule) {
    if (!c->number[rule]) {
        c->old[c->g->n_rule] = rule;
        c->number[rule] = ++c->g->n_rule;
    }
    return c->number[rule] - 1;
}

/* 0: no memory. */
static uint32_t state_of(struct compiler *c, uint32_t element) {
    uint32_t arg = element_arg(element), unknown = 0;
    bool is_set = element_kind(element) == ELEMENT_SET;
    uint32_t *state = is_set ? &c->set_state[arg] : arg < 128 ? &c->char_state[arg] : &unknown;
    struct phi_grammar_range one = {arg, arg};
    /* cppcheck-suppress identicalInnerCondition ; it is 0 here, and set below */
    if (*state) return *state;
    if (is_set)
        *state = phi_utf8_automaton_add(&c->g->utf8, c->b->range + c->b->set[arg].first, c->b->set[arg].n);
    else
        *state = phi_utf8_automaton_add(&c->g->utf8, &one, 1);
    return *state;
}

static bool flatten_alternative(struct compiler *c, uint32_t alternative) {
    struct phi_grammar *g = c->g;
    g->alternative[g->n_alternative++] = g->n_element;
    for (uint32_t i = c->b->alternative[alternative].first; i != NO_ITEM; i = c->b->element[i].next) {
        uint32_t e = c->b->element[i].element;
        if (element_kind(e) == ELEMENT_RULE) e = resolve(c, element_arg(e));
        bool is_rule = element_kind(e) == ELEMENT_RULE;
        uint32_t arg = is_rule ? number_of(c, element_arg(e)) : state_of(c, e);
        if (!is_rule && arg == 0) return false;
        g->element[g->n_element++] = element_make(is_rule ? ELEMENT_RULE : ELEMENT_SET, arg);
    }
    g->element[g->n_element++] = element_make(ELEMENT_END, 0);
    return true;
}

/* False: no memory. */
static bool flatten(struct compiler *c, uint32_t root) {
    const struct phi_grammar_builder *b = c->b;
    struct phi_grammar *g = c->g;
    size_t n_element = b->n_element + b->n_alternative;
    c->alias = phi_alloc(b->n_rule, sizeof *c->alias);
    c->number = phi_alloc(b->n_rule, sizeof *c->number);
    c->old = phi_alloc(b->n_rule, sizeof *c->old);
    c->set_state = phi_alloc(b->n_set + 1, sizeof *c->set_state);
    g->element = phi_alloc(n_element + 1, sizeof *g->element);
    g->rest = phi_alloc(n_element + 1, sizeof *g->rest);
    g->alternative = phi_alloc(b->n_alternative + 1, sizeof *g->alternative);
    g->first = phi_alloc(b->n_rule + 1, sizeof *g->first);
    g->shortest = phi_alloc(b->n_rule, sizeof *g->shortest);
    if (!c->alias || !c->number || !c->old || !c->set_state || !g->element || !g->rest || !g->alternative ||
        !g->first || !g->shortest)
        return false;
    for (size_t i = 0; i < b->n_rule; i++) c->alias[i] = NO_ITEM;
    number_of(c, root);
    for (uint32_t i = 0; i < g->n_rule; i++) {
        g->first[i] = g->n_alternative;
        for (uint32_t a = b->rule[c->old[i]].first; a != NO_ITEM; a = b->alternative[a].next)
            if (!flatten_alternative(c, a)) return false;
    }
    g->first[g->n_rule] = g->n_alternative;
    return true;
}

/* ---- Shortest texts -------------------------------------------------------------------------------------------- */

/* Knuth's generalization of Dijkstra's algorithm: the cheapest alternative whose rules are all settled settles its
 * own rule. So a shortest text never goes through a rule twice, and every rule without a text stays unsettled. */
struct search {
    struct compiler *c;
    uint32_t *pending;   /* [n_alternative] references to rules that are not settled */
    uint32_t *owner;     /* [n_alternative] its rule */
    uint32_t *use_first; /* [n_rule + 1] */
    uint32_t *use;       /* alternatives that refer to a rule, one entry for each reference */
    bool *settled;       /* [n_rule] */
    uint32_t *heap;      /* alternatives, the cheapest on top */
    uint32_t n_heap;
    uint8_t *text; /* of a run of characters */
    uint32_t *state, *least;
};

static bool cheaper(const struct phi_grammar *g, uint32_t a, uint32_t b) {
    const struct grammar_rest *x = &g->rest[g->alternative[a]], *y = &g->rest[g->alternative[b]];
    return x->tokens != y->tokens ? x->tokens < y->tokens : x->steps < y->steps;
}

static void heap_push(struct search *s, uint32_t alternative) {
    uint32_t at = s->n_heap++;
    for (; at > 0 && cheaper(s->c->g, alternative, s->heap[(at - 1) / 2]); at = (at - 1) / 2)
        s->heap[at] = s->heap[(at - 1) / 2];
    s->heap[at] = alternative;
}

static uint32_t heap_pop(struct search *s) {
    uint32_t top = s->heap[0], last = s->heap[--s->n_heap], at = 0;
    for (uint32_t child; (child = 2 * at + 1) < s->n_heap; at = child) {
        if (child + 1 < s->n_heap && cheaper(s->c->g, s->heap[child + 1], s->heap[child])) child++;
        if (!cheaper(s->c->g, s->heap[child], last)) break;
        s->heap[at] = s->heap[child];
    }
    s->heap[at] = last;
    return top;
}

/* The bytes of the shortest character of a state; none: the set is empty. */
static uint32_t shortest_character(const struct utf8_automaton *a, uint32_t state, uint8_t *out) {
    uint32_t n = 0;
    bool found = a->length[state] > 0;
    while (found && (n == 0 || state)) {
        out[n] = a->byte[state];
        state = utf8_next(a, state, out[n++], &found);
    }
    return n;
}

/* The rest of each element of a run of characters, first .. last - 1; rest[last] is known. */
static void cost_of_run(struct search *s, uint32_t first, uint32_t last) {
    struct phi_grammar *g = s->c->g;
    uint32_t n = 0;
    for (uint32_t i = first; i < last; i++) {
        uint32_t length = shortest_character(&g->utf8, element_arg(g->element[i]), s->text + n);
        if (length == 0) return; /* the rest of the whole alternative stays MAX_TOKENS */
        for (uint32_t k = 0; k < length; k++) s->state[n + k] = length == 1 ? element_arg(g->element[i]) : 0;
        n += length;
    }
    phi_grammar_vocab_cut(&g->vocab, s->text, s->state, n, s->least);
    struct grammar_rest after = g->rest[last];
    for (uint32_t i = first, at = 0; i < last; i++) {
        uint32_t tokens = s->least[at] + after.tokens, steps = n - at + (last - i) + after.steps;
        if (tokens < MAX_TOKENS) g->rest[i] = (struct grammar_rest){tokens, steps, after.depth};
        at += g->utf8.length[element_arg(g->element[i])];
    }
}

/* The rest of all elements of an alternative, from its end on. All its rules are settled. */
static void cost_of(struct search *s, uint32_t alternative) {
    struct phi_grammar *g = s->c->g;
    uint32_t begin = g->alternative[alternative], at = begin;
    while (element_kind(g->element[at]) != ELEMENT_END) at++;
    g->rest[at] = (struct grammar_rest){0, 0, 0};
    while (at > begin && g->rest[at].tokens < MAX_TOKENS) {
        uint32_t first = at - 1;
        if (element_kind(g->element[first]) == ELEMENT_SET) {
            while (first > begin && element_kind(g->element[first - 1]) == ELEMENT_SET) first--;
            cost_of_run(s, first, at);
        } else {
            struct grammar_rest rule = g->rest[g->shortest[element_arg(g->element[first])]], *r = &g->rest[first];
            bool tail = element_kind(g->element[at]) == ELEMENT_END;
            uint32_t tokens = rule.tokens + g->rest[at].tokens, depth = rule.depth + !tail;
            *r = (struct grammar_rest){tokens, rule.steps + g->rest[at].steps + 1,
                                       depth > g->rest[at].depth ? depth : g->rest[at].depth};
            if (tokens >= MAX_TOKENS) r->tokens = MAX_TOKENS;
        }
        at = first;
        if (g->rest[at].steps > PHI_GRAMMAR_MAX_SHORTEST) {
            s->c->too_long = true;
            g->rest[at].tokens = MAX_TOKENS;
        }
    }
    if (g->rest[begin].tokens < MAX_TOKENS) heap_push(s, alternative);
}

/* Which alternatives refer to which rule, and the longest run there can be. */
static bool index_uses(struct search *s) {
    struct phi_grammar *g = s->c->g;
    uint32_t longest = 0;
    s->pending = phi_alloc(g->n_alternative + 1, sizeof *s->pending);
    s->owner = phi_alloc(g->n_alternative + 1, sizeof *s->owner);
    s->heap = phi_alloc(g->n_alternative + 1, sizeof *s->heap);
    s->use_first = phi_alloc(g->n_rule + 2, sizeof *s->use_first);
    s->use = phi_alloc(g->n_element + 1, sizeof *s->use);
    s->settled = phi_alloc(g->n_rule, sizeof *s->settled);
    if (!s->pending || !s->owner || !s->heap || !s->use_first || !s->use || !s->settled) return false;
    for (uint32_t i = 0; i < g->n_rule; i++)
        for (uint32_t a = g->first[i]; a < g->first[i + 1]; a++) s->owner[a] = i;
    for (uint32_t i = 0; i < g->n_element; i++)
        if (element_kind(g->element[i]) == ELEMENT_RULE) s->use_first[element_arg(g->element[i]) + 2]++;
    for (uint32_t i = 2; i < g->n_rule + 2; i++) s->use_first[i] += s->use_first[i - 1];
    for (uint32_t a = 0; a < g->n_alternative; a++) {
        uint32_t i = g->alternative[a];
        for (; element_kind(g->element[i]) != ELEMENT_END; i++) {
            if (element_kind(g->element[i]) != ELEMENT_RULE) continue;
            s->use[s->use_first[element_arg(g->element[i]) + 1]++] = a;
            s->pending[a]++;
        }
        if (i - g->alternative[a] > longest) longest = i - g->alternative[a];
    }
    s->text = phi_alloc((size_t)longest * 4 + 1, 1);
    s->state = phi_alloc((size_t)longest * 4 + 1, sizeof *s->state);
    s->least = phi_alloc((size_t)longest * 4 + 1, sizeof *s->least);
    return s->text && s->state && s->least;
}

static bool find_shortest(struct compiler *c) {
    struct phi_grammar *g = c->g;
    struct search s = {.c = c};
    bool done = index_uses(&s);
    for (uint32_t i = 0; done && i < g->n_element; i++) g->rest[i].tokens = MAX_TOKENS;
    for (uint32_t a = 0; done && a < g->n_alternative; a++)
        if (s.pending[a] == 0) cost_of(&s, a);
    while (done && s.n_heap > 0) {
        uint32_t a = heap_pop(&s), rule = s.owner[a];
        if (s.settled[rule]) continue;
        s.settled[rule] = true;
        g->shortest[rule] = g->alternative[a];
        for (uint32_t i = s.use_first[rule]; i < s.use_first[rule + 1]; i++)
            if (--s.pending[s.use[i]] == 0) cost_of(&s, s.use[i]);
    }
    phi_free(s.pending);
    phi_free(s.owner);
    phi_free(s.heap);
    phi_free(s.use_first);
    phi_free(s.use);
    phi_free(s.settled);
    phi_free(s.text);
    phi_free(s.state);
    phi_free(s.least);
    return done;
}

/* Ends of alternatives that are alike are one place, so that ambiguous grammars have fewer stacks: in x+, made as "x
 * s" and s as "| x s", to be in the first x or in another one is the same. False: no memory. */
static bool find_same(struct phi_grammar *g) {
    size_t n_slot = (size_t)g->n_element * 2 + 1;
    uint32_t *slot = phi_alloc(n_slot, sizeof *slot); /* an element, plus 1 */
    g->same = phi_alloc((size_t)g->n_element + 1, sizeof *g->same);
    for (uint32_t i = g->n_element; slot && g->same && i-- > 0;) {
        bool ends = element_kind(g->element[i]) == ELEMENT_END;
        g->same[i] = i;
        if (g->rest[i].tokens >= MAX_TOKENS) continue; /* where nothing gets to */
        uint32_t next = ends ? 0 : g->same[i + 1], old;
        size_t at = (((uint64_t)g->element[i] << 32 | next) * 0x9e3779b97f4a7c15u >> 20) % n_slot;
        for (; (old = slot[at]) != 0; at = (at + 1) % n_slot)
            if (g->element[old - 1] == g->element[i] && (ends || g->same[old] == next)) break;
        if (old == 0) slot[at] = i + 1;
        g->same[i] = old ? old - 1 : i;
    }
    bool done = slot && g->same;
    phi_free(slot);
    return done;
}

/* ---- Left recursion -------------------------------------------------------------------------------------------- */

/* A rule leads to another on the left if that may come first in it. A circle of such steps would be gone round
 * without reading a byte. That ends only if nothing is left to do in any rule of the circle: then the same place
 * comes again. With something left the stacks would grow for ever. So: strongly connected components (Tarjan), and no
 * step inside of one may leave something to do. */
struct circles {
    const struct phi_grammar *g;
    uint32_t *at;          /* [n_rule] the element where to look for the rule's next step */
    uint32_t *order;       /* [n_rule] from 1, when it was seen first; 0: not yet */
    uint32_t *low;         /* [n_rule] the earliest rule of its component, as far as known */
    uint32_t *path, *open; /* [n_rule] rules being looked at; rules without a component yet */
    uint32_t *component;   /* [n_rule] from 1; 0: none yet */
};

/* The next step of a rule from element *at on. */
static bool next_step(const struct phi_grammar *g, uint32_t rule, uint32_t *at, uint32_t *to, bool *tail) {
    uint32_t end = g->first[rule + 1] < g->n_alternative ? g->alternative[g->first[rule + 1]] : g->n_element;
    while (*at < end) {
        uint32_t e = g->element[*at];
        bool may_pass = false, found = false;
        if (element_kind(e) == ELEMENT_RULE && g->rest[*at].tokens < MAX_TOKENS) {
            *to = element_arg(e);
            *tail = element_kind(g->element[*at + 1]) == ELEMENT_END;
            may_pass = g->rest[g->shortest[*to]].tokens == 0;
            found = true;
        }
        if (!may_pass)
            while (element_kind(g->element[*at]) != ELEMENT_END) ++*at;
        ++*at;
        if (found) return true;
    }
    return false;
}

static uint32_t rule_begin(const struct phi_grammar *g, uint32_t rule) {
    return g->first[rule] < g->n_alternative ? g->alternative[g->first[rule]] : g->n_element;
}

static void find_components(struct circles *c) {
    const struct phi_grammar *g = c->g;
    uint32_t n_path = 0, n_open = 0, n_order = 0, n_component = 0, to;
    bool tail;
    for (uint32_t start = 0; start < g->n_rule; start++) {
        if (c->order[start]) continue;
        c->path[n_path++] = start;
        while (n_path > 0) {
            uint32_t rule = c->path[n_path - 1];
            if (!c->order[rule]) {
                c->order[rule] = c->low[rule] = ++n_order;
                c->at[rule] = rule_begin(g, rule);
                c->open[n_open++] = rule;
            }
            if (next_step(g, rule, &c->at[rule], &to, &tail)) {
                if (!c->order[to])
                    c->path[n_path++] = to;
                else if (!c->component[to] && c->order[to] < c->low[rule])
                    c->low[rule] = c->order[to];
                continue;
            }
            if (--n_path > 0 && c->low[rule] < c->low[c->path[n_path - 1]])
                c->low[c->path[n_path - 1]] = c->low[rule];
            if (c->low[rule] != c->order[rule]) continue;
            for (n_component++; n_open > 0 && !c->component[rule];) c->component[c->open[--n_open]] = n_component;
        }
    }
}

/* *bad: a rule of a circle that would not end; NO_ITEM: there is none. False: no memory. */
static bool find_left_recursion(const struct phi_grammar *g, uint32_t *bad) {
    struct circles c = {.g = g};
    uint32_t *all = phi_alloc((size_t)g->n_rule * 6, sizeof *all);
    if (!all) return false;
    uint32_t **part[] = {&c.at, &c.order, &c.low, &c.path, &c.open, &c.component};
    for (size_t i = 0; i < 6; i++) *part[i] = all + i * g->n_rule;
    find_components(&c);
    *bad = NO_ITEM;
    for (uint32_t rule = 0; rule < g->n_rule && *bad == NO_ITEM; rule++) {
        uint32_t at = rule_begin(g, rule), to;
        bool tail;
        while (next_step(g, rule, &at, &to, &tail))
            if (!tail && c.component[to] == c.component[rule]) *bad = rule;
    }
    phi_free(all);
    return true;
}

/* ---- All of it ------------------------------------------------------------------------------------------------- */

static void classify_bytes(struct phi_grammar *g) {
    bool begins[257] = {false};
    for (uint32_t i = 0; i < g->utf8.n_arc; i++)
        begins[g->utf8.arc[i].first] = begins[g->utf8.arc[i].last + 1] = true;
    g->n_class = 1;
    for (unsigned b = 0; b < 256; b++) {
        if (b > 0 && begins[b]) g->n_class++;
        g->byte_class[b] = (uint8_t)(g->n_class - 1);
    }
}

static uint64_t fingerprint(const struct phi_grammar *g) {
    uint64_t h = g->n_rule;
    for (uint32_t i = 0; i < g->n_element; i++) h = (h ^ g->element[i]) * 0x9e3779b97f4a7c15u + (h >> 31);
    for (uint32_t i = 0; i <= g->n_rule; i++) h = (h ^ g->first[i]) * 0x9e3779b97f4a7c15u + (h >> 31);
    for (uint32_t i = 0; i < g->utf8.n_arc; i++)
        h = (h ^ g->utf8.arc[i].first ^ (uint64_t)g->utf8.arc[i].last << 8 ^ (uint64_t)g->utf8.arc[i].next << 16) *
                0x9e3779b97f4a7c15u +
            (h >> 31);
    return h ^ (uint64_t)g->vocab.n_token;
}

/* What only the whole grammar tells; *bad: the rule in g. */
static int check(struct compiler *c, bool has_vocabulary, uint32_t *bad, phi_error *err) {
    struct phi_grammar *g = c->g;
    struct phi_grammar_state *s = NULL;
    const struct grammar_rest *root = &g->rest[g->shortest[0]];
    *bad = 0;
    if (g->n_alternative == 0 || root->tokens >= MAX_TOKENS)
        return phi_fail(err, PHI_USAGE, "%s",
                        c->too_long ? "its shortest text is too long"
                        : has_vocabulary && !g->vocab.has_all
                            ? "the model has no tokens for any text of it, or it has no text"
                            : "it has no text: each way through it is without end");
    if (root->depth >= PHI_GRAMMAR_MAX_DEPTH)
        return phi_fail(err, PHI_USAGE, "its shortest text needs %u rules inside each other, at most %d are possible",
                        root->depth + 1, PHI_GRAMMAR_MAX_DEPTH);
    if (!find_left_recursion(g, bad)) return PHI_MEMORY;
    if (*bad != NO_ITEM)
        return phi_fail(err, PHI_USAGE,
                        "left recursion: it may come back to itself before a character is read; put what it begins "
                        "with first, or use * or +");
    int status = phi_grammar_state_open(g, false, &s, err);
    if (!status && phi_grammar_state_shortest(s) >= MAX_TOKENS)
        status = phi_fail(err, PHI_USAGE, "it begins in more than %d ways", PHI_GRAMMAR_MAX_STACK);
    phi_grammar_state_close(s);
    *bad = 0;
    return status;
}

int phi_grammar_compile(const struct phi_grammar_builder *b, const phi_model *model, uint32_t root, phi_grammar **out,
                        uint32_t *bad, phi_error *err) {
    uint32_t wrong = NO_ITEM;
    struct compiler c = {.b = b, .g = NULL};
    int status = PHI_MEMORY;
    *out = NULL;
    if (bad) *bad = UINT32_MAX;
    if (b->status) return phi_fail(err, b->status, "%s", b->error.text);
    if (b->n_element + b->n_alternative > PHI_GRAMMAR_MAX_ELEMENT)
        return phi_fail(err, PHI_USAGE, "the grammar has %zu elements, at most %d are possible",
                        b->n_element + b->n_alternative, PHI_GRAMMAR_MAX_ELEMENT);
    c.g = phi_alloc(1, sizeof *c.g);
    if (c.g && phi_grammar_vocab_open(&c.g->vocab, model) && flatten(&c, root) &&
        phi_utf8_automaton_finish(&c.g->utf8, c.g->vocab.has) && phi_grammar_vocab_measure(&c.g->vocab, &c.g->utf8) &&
        find_shortest(&c) && find_same(c.g)) {
        classify_bytes(c.g);
        c.g->fingerprint = fingerprint(c.g);
        status = check(&c, model != NULL, &wrong, err);
        if (status == PHI_USAGE && bad) *bad = c.old[wrong];
    }
    phi_free(c.alias);
    phi_free(c.number);
    phi_free(c.old);
    phi_free(c.set_state);
    if (!status && model) {
        *out = c.g;
        return PHI_OK;
    }
    phi_grammar_close(c.g);
    return status == PHI_MEMORY ? phi_fail(err, status, "not enough memory for a grammar") : status;
}

void phi_grammar_close(phi_grammar *g) {
    if (!g) return;
    phi_free(g->element);
    phi_free(g->same);
    phi_free(g->alternative);
    phi_free(g->first);
    phi_free(g->shortest);
    phi_free(g->rest);
    phi_utf8_automaton_free(&g->utf8);
    phi_grammar_vocab_close(&g->vocab);
    phi_free(g);
}
