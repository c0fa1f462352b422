/* Sets of schemas that hold together, each with its rule. A set is made of what is asked for; then $ref, anyOf, enum and
 * const are followed, so that it falls into ways ("leaves") in which no choice is left, and each of them adds its
 * alternatives to the set's rule. Nothing recurses: sets wait in a list, ways on a stack. */
#include "schema_parts.h"

#include "hash.h"
#include "memory.h"

#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void phi_schema_sort(uint32_t *v, uint32_t *n) {
    uint32_t kept = 0;
    if (*n) qsort(v, *n, sizeof *v, by_value);
    for (uint32_t i = 0; i < *n; i++)
        if (!kept || v[kept - 1] != v[i]) v[kept++] = v[i];
    *n = kept;
}

/* ---- Sets ---- */

static int double_slots(struct schema *s) {
    uint32_t n = s->n_slot ? 2 * s->n_slot : 64;
    uint32_t *slot = phi_alloc(n, sizeof *slot);
    if (!slot) return phi_schema_no_memory(s);
    if (!s->n_slot) s->seed = phi_hash_seed(slot);
    for (uint32_t i = 0; i < s->n_set; i++) {
        uint64_t h = s->seed;
        for (uint32_t k = 0; k < s->set[i].n; k++) h = phi_hash_mix(h ^ s->pool[s->set[i].first + k]);
        uint32_t at = (uint32_t)h & (n - 1);
        while (slot[at]) at = (at + 1) & (n - 1);
        slot[at] = i + 1;
    }
    phi_free(s->slot);
    s->slot = slot;
    s->n_slot = n;
    return 0;
}

int phi_schema_rule(struct schema *s, uint32_t *elem, uint32_t n, uint32_t *rule) {
    const struct phi_json *j = &s->j;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct phi_json_node *node = &j->node[element_node(elem[i])];
        bool is_schema = !element_is_value(elem[i]);
        if (is_schema && node->kind == PHI_JSON_FALSE) {
            *rule = s->dead;
            return 0;
        }
        if (is_schema && (node->kind == PHI_JSON_TRUE || node->n == 0)) continue; /* true, {} */
        elem[kept++] = elem[i];
    }
    phi_schema_sort(elem, &kept);
    if (kept > MAX_ELEMENT)
        return phi_schema_fail(s, element_node(elem[0]), "more than %d schemas for one value", MAX_ELEMENT);
    int status = 2 * (s->n_set + 1) > s->n_slot ? double_slots(s) : 0;
    if (status) return status;
    uint64_t h = s->seed;
    for (uint32_t k = 0; k < kept; k++) h = phi_hash_mix(h ^ elem[k]);
    uint32_t at = (uint32_t)h & (s->n_slot - 1);
    for (; s->slot[at]; at = (at + 1) & (s->n_slot - 1)) {
        const struct set *set = &s->set[s->slot[at] - 1];
        if (set->n != kept || (kept && memcmp(s->pool + set->first, elem, kept * sizeof *elem) != 0)) continue;
        *rule = set->rule;
        return 0;
    }
    if (s->n_set == MAX_SET)
        return phi_schema_fail(s, 0, "more than %d combinations of schemas", MAX_SET);
    status = phi_schema_grow(s, (void **)&s->set, &s->room_set, s->n_set + 1, sizeof *s->set);
    if (!status) status = phi_schema_grow(s, (void **)&s->pool, &s->room_pool, s->n_pool + kept + 1, sizeof *s->pool);
    if (status) return status;
    *rule = phi_grammar_rule(s->b);
    s->set[s->n_set] = (struct set){s->n_pool, kept, *rule};
    if (kept) memcpy(s->pool + s->n_pool, elem, kept * sizeof *elem);
    s->n_pool += kept;
    s->slot[at] = ++s->n_set;
    return 0;
}

/* ---- Ways ---- */

/* One way through the choices, as far as it has come. What is to do is a list of numbers: what, and a node. */
enum { DO_SCHEMA, DO_ENUM, DO_ANY_OF };
enum { MAX_TODO = 64 };

struct way {
    uint32_t n, n_todo;
    unsigned mask; /* types that all elements so far allow */
    uint32_t elem[MAX_ELEMENT];
    struct {
        uint32_t what, node;
        uint32_t item; /* of a list: the next to take */
    } todo[MAX_TODO];
};

struct ways {
    struct way *stack;
    uint32_t n, room;
};

static unsigned types_of(const struct schema *s, uint32_t schema) {
    static const struct {
        const char *name;
        unsigned types;
    } types[] = {{"null", TYPE_NULL},
                 {"boolean", TYPE_FALSE | TYPE_TRUE},
                 {"integer", TYPE_INTEGER},
                 {"number", TYPE_INTEGER | TYPE_FRACTION},
                 {"string", TYPE_STRING},
                 {"array", TYPE_ARRAY},
                 {"object", TYPE_OBJECT}};
    uint32_t v = phi_json_get(&s->j, schema, "type");
    unsigned mask = 0;
    if (!v) return TYPE_ALL;
    bool list = s->j.node[v].kind == PHI_JSON_ARRAY;
    for (uint32_t i = list ? phi_json_first(&s->j, v) : v; i; i = list ? phi_json_after(&s->j, v, i) : 0)
        for (size_t k = 0; k < sizeof types / sizeof *types; k++)
            if (phi_json_is(&s->j, i, types[k].name)) mask |= types[k].types;
    return mask;
}

static int add_element(struct schema *s, struct way *w, uint32_t e, unsigned types) {
    w->mask &= types;
    if (w->n == MAX_ELEMENT)
        return phi_schema_fail(s, element_node(e), "more than %d schemas for one value", MAX_ELEMENT);
    w->elem[w->n++] = e;
    return 0;
}

static int add_todo(struct schema *s, struct way *w, uint32_t what, uint32_t node) {
    if (w->n_todo == MAX_TODO)
        return phi_schema_fail(s, node, "more than %d choices for one value", MAX_TODO);
    w->todo[w->n_todo].what = what;
    w->todo[w->n_todo].item = what == DO_SCHEMA ? 0 : phi_json_first(&s->j, node);
    w->todo[w->n_todo++].node = node;
    return 0;
}

/* A schema joins the way. */
static int take_schema(struct schema *s, struct way *w, uint32_t schema) {
    const struct phi_json *j = &s->j;
    int status = 0;
    if (j->node[schema].kind == PHI_JSON_FALSE) w->mask = 0;
    if (j->node[schema].kind != PHI_JSON_OBJECT) return 0;
    for (uint32_t i = 0; i < w->n; i++)
        if (w->elem[i] == element_schema(schema)) return 0; /* by another path */
    uint32_t value = phi_json_get(j, schema, "const"), values = phi_json_get(j, schema, "enum");
    uint32_t any = phi_json_get(j, schema, "anyOf");
    status = add_element(s, w, element_schema(schema), types_of(s, schema));
    if (!status && value) status = add_element(s, w, element_value(value), phi_schema_kind(s, value));
    if (!status && s->ref[schema] != NO_NODE) status = add_todo(s, w, DO_SCHEMA, s->ref[schema]);
    if (!status && values) status = add_todo(s, w, DO_ENUM, values);
    if (!status && any) status = add_todo(s, w, DO_ANY_OF, any);
    return status;
}

/* The way on top takes one item of the list that is at todo[at]; under it stays, if there are more, the way that takes
 * the others. */
static int branch(struct schema *s, struct ways *ways, uint32_t at) {
    int status = phi_schema_grow(s, (void **)&ways->stack, &ways->room, ways->n + 1, sizeof *ways->stack);
    if (status) return status;
    struct way *w = &ways->stack[ways->n - 1];
    uint32_t what = w->todo[at].what, list = w->todo[at].node, item = w->todo[at].item;
    uint32_t next = phi_json_after(&s->j, list, item);
    if (next) {
        w->todo[at].item = next;
        w[1] = w[0];
        w++;
        ways->n++;
    }
    w->todo[at] = w->todo[--w->n_todo];
    return what == DO_ENUM ? add_element(s, w, element_value(item), phi_schema_kind(s, item)) : take_schema(s, w, item);
}

/* What is next to do; schemas first and lists of values before branches, since those leave fewer ways open. */
static uint32_t pick(const struct way *w) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < w->n_todo; i++)
        if (w->todo[i].what < w->todo[best].what) best = i;
    return best;
}

/* Ways that lead nowhere count too: they are work. */
static int count_way(struct schema *s, const struct set *set) {
    if (s->n_way++ < MAX_WAY) return 0;
    return phi_schema_fail(s, set->n ? element_node(s->pool[set->first]) : 0,
                           "more than %d ways to choose branches of anyOf and values of enum", MAX_WAY);
}

static int fill(struct schema *s, struct ways *ways, struct set set) {
    bool all_dead = true;
    int status = phi_schema_grow(s, (void **)&ways->stack, &ways->room, 1, sizeof *ways->stack);
    if (status) return status;
    ways->n = 1;
    ways->stack[0].n = ways->stack[0].n_todo = 0;
    ways->stack[0].mask = TYPE_ALL;
    for (uint32_t i = 0; i < set.n && !status; i++) {
        uint32_t e = s->pool[set.first + i], node = element_node(e);
        status = element_is_value(e) ? add_element(s, ways->stack, e, phi_schema_kind(s, node))
                                     : take_schema(s, ways->stack, node);
    }
    while (!status && ways->n && !phi_grammar_builder_failed(s->b)) {
        struct way *w = &ways->stack[ways->n - 1];
        bool dead = false;
        if (!w->mask) {
            ways->n--;
            status = count_way(s, &set);
        } else if (w->n_todo) {
            uint32_t at = pick(w), node = w->todo[at].node;
            if (w->todo[at].what == DO_SCHEMA) {
                w->todo[at] = w->todo[--w->n_todo];
                status = take_schema(s, w, node);
            } else {
                status = branch(s, ways, at);
            }
        } else {
            ways->n--;
            status = count_way(s, &set);
            phi_schema_sort(w->elem, &w->n);
            if (!status) status = phi_schema_leaf(s, set.rule, w->elem, w->n, w->mask, &dead);
            all_dead &= dead;
        }
    }
    if (!status) status = phi_schema_literals_end(s, set.rule);
    if (all_dead && s->dead_node == NO_NODE && set.n) s->dead_node = element_node(s->pool[set.first]);
    return status;
}

int phi_schema_run(struct schema *s) {
    struct ways ways = {0};
    int status = 0;
    for (uint32_t i = 0; i < s->n_set && !status && !phi_grammar_builder_failed(s->b); i++)
        status = fill(s, &ways, s->set[i]);
    phi_free(ways.stack);
    return status;
}
