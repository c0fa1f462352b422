/* Values that satisfy several schemas at once, where no choice between schemas is left: the types that all of them allow,
 * and the rules of arrays and objects. What is inside is not made here, but asked for as a set of schemas of its own. */
#include "schema_parts.h"

#include "memory.h"

#include <stdlib.h>
#include <string.h>

/* ---- Arrays ---- */

struct array {
    struct schema *s;
    const uint32_t *elem;
    uint32_t n;
    uint32_t *item;  /* [n] scratch */
    uint32_t *fixed; /* [n] the list of an element's first items, 0: none */
    uint32_t *at;    /* [n] its item at the position that is looked at, 0: they are over */
    int least, most; /* most -1: no end */
};

static void open_array(struct array *a) {
    const struct phi_json *j = &a->s->j;
    a->most = -1;
    for (uint32_t i = 0; i < a->n; i++) {
        uint32_t node = element_node(a->elem[i]);
        bool value = element_is_value(a->elem[i]);
        int count = (int)j->node[node].n;
        int least = value ? count : phi_schema_count(a->s, node, "minItems", 0);
        int most = value ? count : phi_schema_count(a->s, node, "maxItems", -1);
        a->fixed[i] = value ? node : phi_json_get(j, node, "prefixItems");
        a->at[i] = a->fixed[i] ? phi_json_first(j, a->fixed[i]) : 0;
        if (least > a->least) a->least = least;
        if (most >= 0 && (a->most < 0 || most < a->most)) a->most = most;
    }
}

/* The rule of the item at the position that is looked at; goes on to the next position. *last: all positions from this
 * one on are alike. */
static int next_item(struct array *a, uint32_t *rule, bool *last) {
    const struct phi_json *j = &a->s->j;
    uint32_t n = 0;
    *last = true;
    *rule = a->s->dead;
    bool none = false;
    for (uint32_t i = 0; i < a->n; i++) {
        uint32_t node = element_node(a->elem[i]), rest;
        bool value = element_is_value(a->elem[i]);
        if (a->at[i]) {
            *last = false;
            a->item[n++] = value ? element_value(a->at[i]) : element_schema(a->at[i]);
            a->at[i] = phi_json_after(j, a->fixed[i], a->at[i]);
        } else if (value) {
            none = true;
        } else if ((rest = phi_json_get(j, node, "items")) != 0) {
            a->item[n++] = element_schema(rest);
        }
    }
    return none ? 0 : phi_schema_rule(a->s, a->item, n, rule);
}

/*  '[' (']' | item0 rest1)     rest1: ']' | ',' item1 rest2    ...    restP: (',' item){..} ']'
 *  where the ] is left out as long as there are too few. */
static int put_array(struct array *a, uint32_t rule) {
    struct phi_grammar_builder *b = a->s->b;
    uint32_t at = phi_grammar_rule(b), alternative = phi_grammar_alternative(b, rule), item;
    phi_grammar_add_literal(b, alternative, "[", 1);
    phi_grammar_add_rule(b, alternative, at);
    for (int i = 0; !phi_grammar_builder_failed(b); i++) {
        bool last;
        int status = next_item(a, &item, &last);
        if (status) return status;
        if (i >= a->least) phi_grammar_add_literal(b, phi_grammar_alternative(b, at), "]", 1);
        if (i == a->most || item == a->s->dead) break;
        alternative = phi_grammar_alternative(b, at);
        if (last && i > 0) { /* one at least: that there is none has been said */
            uint32_t one = phi_grammar_rule(b), behind = phi_grammar_alternative(b, one);
            phi_grammar_add_rule(b, behind, a->s->comma);
            phi_grammar_add_rule(b, behind, item);
            phi_grammar_add_repeat(b, alternative, one, a->least > i ? a->least - i : 1, a->most < 0 ? -1 : a->most - i);
            phi_grammar_add_literal(b, alternative, "]", 1);
            break;
        }
        at = phi_grammar_rule(b);
        if (i) phi_grammar_add_rule(b, alternative, a->s->comma);
        phi_grammar_add_rule(b, alternative, item);
        phi_grammar_add_rule(b, alternative, at);
    }
    return 0;
}

static int make_array(struct schema *s, uint32_t rule, const uint32_t *elem, uint32_t n, bool *dead) {
    struct array a = {.s = s, .elem = elem, .n = n};
    uint32_t *scratch = phi_alloc(3 * (size_t)n + 1, sizeof *scratch);
    if (!scratch) return phi_schema_no_memory(s);
    a.item = scratch;
    a.fixed = scratch + n;
    a.at = scratch + 2 * (size_t)n;
    open_array(&a);
    *dead = a.most >= 0 && a.least > a.most;
    int status = *dead ? 0 : put_array(&a, rule);
    phi_free(scratch);
    return status;
}

/* ---- Objects ---- */

struct object {
    struct schema *s;
    const uint32_t *elem;
    uint32_t n;
    uint32_t *item;        /* [n] scratch */
    struct name *required; /* all names of `required`, ascending and unique */
    struct name *name;     /* in the order of the answer */
    uint32_t n_required, n_name;
    bool extra; /* others may follow */
};

/* The object that declares an element's members: properties, or the value itself; 0: none. */
static uint32_t members_of(const struct schema *s, uint32_t e) {
    return element_is_value(e) ? element_node(e) : phi_json_get(&s->j, element_node(e), "properties");
}

/* The names that an element requires: a list of strings, or an object whose keys they are; 0: none. */
static uint32_t required_of(const struct schema *s, uint32_t e) {
    return element_is_value(e) ? element_node(e) : phi_json_get(&s->j, element_node(e), "required");
}

static bool declared(const struct object *o, const struct name *name, uint32_t n) { /* by one of the first n elements */
    for (uint32_t i = 0; i < n; i++) {
        uint32_t members = members_of(o->s, o->elem[i]);
        if (members && phi_json_get_n(&o->s->j, members, name->text, name->n)) return true;
    }
    return false;
}

static struct name name_of(const struct schema *s, uint32_t node) {
    return (struct name){phi_json_text(&s->j, node), s->j.node[node].n, node};
}

static int by_node(const void *a, const void *b) {
    uint32_t x = ((const struct name *)a)->node, y = ((const struct name *)b)->node;
    return (x > y) - (x < y);
}

static bool same_text(const struct name *a, const struct name *b) {
    return a->n == b->n && memcmp(a->text, b->text, a->n) == 0;
}

static bool is_required(const struct object *o, const struct name *name) {
    uint32_t low = 0, high = o->n_required;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct name at = o->required[middle];
        if (same_text(&at, name)) return true;
        at.node = name->node;
        if (phi_schema_by_text(&at, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static int collect_names(struct object *o) {
    struct schema *s = o->s;
    const struct phi_json *j = &s->j;
    size_t most = 0;
    for (uint32_t i = 0; i < o->n; i++) {
        uint32_t members = members_of(s, o->elem[i]), required = required_of(s, o->elem[i]);
        most += (members ? j->node[members].n : 0) + (required ? j->node[required].n : 0);
    }
    o->required = phi_alloc(most + 1, sizeof *o->required);
    o->name = phi_alloc(most + 1, sizeof *o->name);
    if (!o->required || !o->name) return phi_schema_no_memory(s);
    for (uint32_t i = 0; i < o->n; i++) {
        uint32_t list = required_of(s, o->elem[i]);
        for (uint32_t r = list ? phi_json_first(j, list) : 0; r; r = phi_json_after(j, list, r))
            o->required[o->n_required++] = name_of(s, r);
    }
    qsort(o->required, o->n_required, sizeof *o->required, phi_schema_by_text);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < o->n_required; i++)
        if (!kept || !same_text(&o->required[kept - 1], &o->required[i])) o->required[kept++] = o->required[i];
    o->n_required = kept;
    for (uint32_t i = 0; i < o->n; i++) {
        uint32_t members = members_of(s, o->elem[i]);
        for (uint32_t k = members ? phi_json_first(j, members) : 0; k; k = phi_json_after(j, members, k)) {
            struct name name = name_of(s, k);
            if (!declared(o, &name, i)) o->name[o->n_name++] = name;
        }
    }
    uint32_t begin = o->n_name;
    for (uint32_t i = 0; i < o->n_required; i++)
        if (!declared(o, &o->required[i], o->n)) o->name[o->n_name++] = o->required[i];
    qsort(o->name + begin, o->n_name - begin, sizeof *o->name, by_node);
    return 0;
}

/* The rule of the value of a member; name NULL: of those that nobody declares. */
static int member_rule(struct object *o, const struct name *name, uint32_t *rule) {
    const struct phi_json *j = &o->s->j;
    uint32_t n = 0;
    for (uint32_t i = 0; i < o->n; i++) {
        uint32_t e = o->elem[i], members = members_of(o->s, e);
        uint32_t v = members && name ? phi_json_get_n(j, members, name->text, name->n) : 0;
        if (!v && element_is_value(e)) {
            *rule = o->s->dead;
            return 0;
        }
        if (!v) v = phi_json_get(j, element_node(e), "additionalProperties");
        if (v) o->item[n++] = element_is_value(e) ? element_value(v) : element_schema(v);
    }
    return phi_schema_rule(o->s, o->item, n, rule);
}

/* Are others than the declared ones made? Only where nobody declares any, or somebody says so. */
static bool wants_extra(const struct object *o) {
    bool any_declares = false, any_says = false;
    for (uint32_t i = 0; i < o->n; i++) {
        any_declares |= members_of(o->s, o->elem[i]) != 0;
        any_says |= !element_is_value(o->elem[i]) &&
                    phi_json_get(&o->s->j, element_node(o->elem[i]), "additionalProperties") != 0;
    }
    return any_says || !any_declares;
}

/* more: '}' | ',' key ':' value more      first: '}' | key ':' value more */
static int put_extra(struct object *o, uint32_t more, uint32_t first) {
    struct schema *s = o->s;
    uint32_t value, key;
    phi_grammar_add_literal(s->b, phi_grammar_alternative(s->b, more), "}", 1);
    phi_grammar_add_literal(s->b, phi_grammar_alternative(s->b, first), "}", 1);
    int status = wants_extra(o) ? member_rule(o, NULL, &value) : 0;
    if (status || !wants_extra(o) || value == s->dead) return status;
    struct name *sorted = phi_alloc(o->n_name + 1, sizeof *sorted);
    if (!sorted) return phi_schema_no_memory(s);
    memcpy(sorted, o->name, o->n_name * sizeof *sorted);
    qsort(sorted, o->n_name, sizeof *sorted, phi_schema_by_text);
    status = phi_schema_other_keys(s, sorted, o->n_name, &key);
    phi_free(sorted);
    if (status) return status;
    for (int i = 0; i < 2; i++) {
        uint32_t alternative = phi_grammar_alternative(s->b, i ? more : first);
        if (i) phi_grammar_add_rule(s->b, alternative, s->comma);
        phi_grammar_add_rule(s->b, alternative, key);
        phi_grammar_add_rule(s->b, alternative, s->colon);
        phi_grammar_add_rule(s->b, alternative, value);
        phi_grammar_add_rule(s->b, alternative, more);
    }
    return 0;
}

/* From the last property to the first: what may stand there behind another member (more) and behind the { (first).
 *
 *   more(k):  ',' "name" ':' value more(k+1) | more(k+1)       the latter unless it is required
 *   first(k):     "name" ':' value more(k+1) | first(k+1)                                                              */
static int put_object(struct object *o, uint32_t rule, bool *dead) {
    struct schema *s = o->s;
    uint32_t next[2] = {phi_grammar_rule(s->b), phi_grammar_rule(s->b)}, n_optional = 0; /* first, more */
    int status = put_extra(o, next[1], next[0]);
    for (uint32_t k = o->n_name; k-- > 0 && !status && !phi_grammar_builder_failed(s->b);) {
        const struct name *name = &o->name[k];
        bool required = is_required(o, name);
        uint32_t value, at[2];
        status = member_rule(o, name, &value);
        if (status) break;
        if (value == s->dead && !required) continue; /* it may not be there */
        *dead |= value == s->dead;
        n_optional = required ? 0 : n_optional + 1;
        if (n_optional > MAX_OPTIONAL)
            return phi_schema_fail(s, element_node(o->elem[0]), "more than %d properties in a row that may be left out",
                                   MAX_OPTIONAL);
        for (int i = 0; i < 2; i++) {
            at[i] = phi_grammar_rule(s->b);
            uint32_t alternative = phi_grammar_alternative(s->b, at[i]);
            if (i) phi_grammar_add_rule(s->b, alternative, s->comma);
            phi_schema_add_string(s, alternative, name->text, name->n);
            phi_grammar_add_rule(s->b, alternative, s->colon);
            phi_grammar_add_rule(s->b, alternative, value);
            phi_grammar_add_rule(s->b, alternative, next[1]);
            if (!required) phi_grammar_add_rule(s->b, phi_grammar_alternative(s->b, at[i]), next[i]);
        }
        next[0] = at[0];
        next[1] = at[1];
    }
    if (status || *dead) return status;
    uint32_t alternative = phi_grammar_alternative(s->b, rule);
    phi_grammar_add_literal(s->b, alternative, "{", 1);
    phi_grammar_add_rule(s->b, alternative, next[0]);
    return 0;
}

static int make_object(struct schema *s, uint32_t rule, const uint32_t *elem, uint32_t n, bool *dead) {
    struct object o = {.s = s, .elem = elem, .n = n};
    o.item = phi_alloc((size_t)n + 1, sizeof *o.item);
    int status = o.item ? collect_names(&o) : phi_schema_no_memory(s);
    if (!status) status = put_object(&o, rule, dead);
    phi_free(o.item);
    phi_free(o.required);
    phi_free(o.name);
    return status;
}

/* ---- Scalars, and all together ---- */

static bool equal_scalars(const struct schema *s, uint32_t a, uint32_t b) {
    struct phi_json_decimal x, y;
    struct name p = name_of(s, a), q = name_of(s, b);
    if (s->j.node[a].kind == PHI_JSON_STRING) return same_text(&p, &q);
    if (s->j.node[a].kind != PHI_JSON_NUMBER) return true; /* null, true, false: the types are the same */
    phi_json_decimal(&s->j, a, &x);
    phi_json_decimal(&s->j, b, &y);
    return phi_schema_compare(&x, &y) == 0;
}

/* The value itself is the one candidate. */
static int make_literal(struct schema *s, uint32_t value, const uint32_t *elem, uint32_t n, bool *dead) {
    bool fits = true;
    int status = 0;
    for (uint32_t i = 0; i < n; i++)
        if (element_is_value(elem[i])) fits &= equal_scalars(s, value, element_node(elem[i]));
    if (fits && s->j.node[value].kind == PHI_JSON_NUMBER) {
        struct number_bounds bounds;
        struct phi_json_decimal d;
        phi_schema_bounds(s, elem, n, &bounds);
        phi_json_decimal(&s->j, value, &d);
        fits = phi_schema_within(&bounds, &d);
    } else if (fits && s->j.node[value].kind == PHI_JSON_STRING) {
        status = phi_schema_string_fits(s, value, elem, n, &fits);
    }
    *dead = !fits;
    return status || !fits ? status : phi_schema_literal_value(s, value);
}

int phi_schema_leaf(struct schema *s, uint32_t rule, const uint32_t *elem, uint32_t n, unsigned mask, bool *dead) {
    static const char *const words[] = {"null", "false", "true"};
    int status = 0;
    *dead = false;
    for (uint32_t i = 0; i < n; i++)
        if (element_is_value(elem[i]) && !(phi_schema_kind(s, element_node(elem[i])) & (TYPE_ARRAY | TYPE_OBJECT)))
            return make_literal(s, element_node(elem[i]), elem, n, dead);
    *dead = true;
    for (int i = 0; i < 3 && !status; i++)
        if (mask & (1u << i)) {
            *dead = false;
            status = phi_schema_literal(s, words[i], strlen(words[i]));
        }
    bool none = false;
    if (!status && (mask & (TYPE_INTEGER | TYPE_FRACTION))) {
        struct number_bounds bounds;
        phi_schema_bounds(s, elem, n, &bounds);
        status = phi_schema_number(s, rule, &bounds, !(mask & TYPE_FRACTION), &none);
        *dead &= none;
    }
    static const struct {
        unsigned type;
        int (*make)(struct schema *, uint32_t, const uint32_t *, uint32_t, bool *);
    } makers[] = {{TYPE_STRING, phi_schema_string}, {TYPE_ARRAY, make_array}, {TYPE_OBJECT, make_object}};
    for (size_t i = 0; i < 3 && !status; i++) {
        if (!(mask & makers[i].type)) continue;
        none = false;
        status = makers[i].make(s, rule, elem, n, &none);
        *dead &= none;
    }
    return status;
}
