/* JSON schemas as grammars: what a schema may say, and where it is refused. Every schema of the text is checked before
 * any rule is made, those too that nothing refers to; so the rest may take each keyword at its word. See schema_parts.h
 * for the way from schemas to rules.
 *
 * What comes out: the JSON texts that satisfy the schema, with at most one space behind each , and : and no other white
 * space; properties in the order of `properties` (then those that only `required` names, then others); strings with the
 * escapes that JSON has, but where a pattern, an enum or a key decides, a character stands for itself unless it must be
 * escaped; integers of at most 16 digits and never 7.0; numbers of at most 16 digits on each side of the point, and 15
 * in all where there are bounds, with an exponent of two digits only where there are none. Where `properties` is given
 * and additionalProperties is not, no others are made. */
#include "schema_parts.h"

#include "memory.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- Errors ---- */

/* The pointer to a node, cut at its end where it is long. */
static void pointer_of(const struct schema *s, uint32_t node, char *out, size_t size) {
    const struct phi_json *j = &s->j;
    size_t n = 0;
    out[n++] = '#';
    for (uint32_t at = 0; at != node && n + 40 < size;) { /* into the member or item that holds the node */
        uint32_t index = 0, child = phi_json_first(j, at), next;
        for (; (next = phi_json_after(j, at, child)) != 0 && next <= node; child = next) index++;
        char part[PHI_QUOTE_SIZE];
        if (j->node[child].kind != PHI_JSON_KEY) {
            n += (size_t)snprintf(out + n, size - n, "/%" PRIu32, index);
            at = child;
            continue;
        }
        phi_quote(part, phi_json_text(j, child), j->node[child].n);
        out[n++] = '/';
        for (const char *p = part; *p && n + 4 < size; p++) {
            if (*p == '~' || *p == '/') out[n++] = '~';
            out[n++] = *p == '~' ? '0' : *p == '/' ? '1' : *p;
        }
        at = child + 1;
        if (node == child) break;
    }
    out[n] = 0;
}

int phi_schema_fail(struct schema *s, uint32_t node, const char *fmt, ...) {
    char pointer[256], text[sizeof s->err->text];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    pointer_of(s, node, pointer, sizeof pointer);
    return phi_fail(s->err, PHI_USAGE, "schema: %s: %.250s", pointer, text);
}

int phi_schema_no_memory(struct schema *s) {
    return phi_fail(s->err, PHI_MEMORY, "not enough memory for the grammar of a JSON schema");
}

int phi_schema_grow(struct schema *s, void **array, uint32_t *room, size_t n, size_t size) {
    if (n <= *room) return 0;
    size_t more = 2 * n + 16;
    void *p = more < UINT32_MAX ? phi_realloc(*array, more, size) : NULL;
    if (!p) return phi_schema_no_memory(s);
    *array = p;
    *room = (uint32_t)more;
    return 0;
}

/* ---- Values of keywords ---- */

unsigned phi_schema_kind(const struct schema *s, uint32_t value) {
    static const uint8_t types[] = {[PHI_JSON_NULL] = TYPE_NULL,     [PHI_JSON_FALSE] = TYPE_FALSE,
                                    [PHI_JSON_TRUE] = TYPE_TRUE,     [PHI_JSON_NUMBER] = TYPE_FRACTION,
                                    [PHI_JSON_STRING] = TYPE_STRING, [PHI_JSON_ARRAY] = TYPE_ARRAY,
                                    [PHI_JSON_OBJECT] = TYPE_OBJECT};
    struct phi_json_decimal d;
    if (s->j.node[value].kind != PHI_JSON_NUMBER) return types[s->j.node[value].kind];
    phi_json_decimal(&s->j, value, &d);
    return !d.cut && d.exponent >= d.n ? TYPE_INTEGER : TYPE_FRACTION;
}

int phi_schema_count(const struct schema *s, uint32_t schema, const char *keyword, int otherwise) {
    uint32_t v = phi_json_get(&s->j, schema, keyword);
    int64_t count = otherwise;
    if (v) phi_json_i64(&s->j, v, &count);
    return (int)count;
}

/* ---- Checking ---- */

enum form { NOTE, TYPE, COUNT, BOUND, PATTERN, VALUE, VALUES, NAMES, SCHEMA, SCHEMAS, SCHEMA_MAP, REF };

static const struct keyword {
    const char *name;
    enum form form;
} keywords[] = {{"type", TYPE},
                {"properties", SCHEMA_MAP},
                {"required", NAMES},
                {"additionalProperties", SCHEMA},
                {"items", SCHEMA},
                {"prefixItems", SCHEMAS},
                {"minItems", COUNT},
                {"maxItems", COUNT},
                {"enum", VALUES},
                {"const", VALUE},
                {"anyOf", SCHEMAS},
                {"$ref", REF},
                {"$defs", SCHEMA_MAP},
                {"definitions", SCHEMA_MAP},
                {"minLength", COUNT},
                {"maxLength", COUNT},
                {"pattern", PATTERN},
                {"minimum", BOUND},
                {"maximum", BOUND},
                {"exclusiveMinimum", BOUND},
                {"exclusiveMaximum", BOUND},
                {"$schema", NOTE},
                {"$id", NOTE},
                {"title", NOTE},
                {"description", NOTE},
                {"default", NOTE},
                {"examples", NOTE},
                {"$comment", NOTE}};

struct checker {
    struct schema *s;
    uint32_t *todo; /* schemas; each node is put here once */
    uint32_t n_todo;
    uint8_t *seen; /* [n_node] */
};

static int want(struct checker *c, uint32_t node, const char *what) {
    struct phi_json_node *n = &c->s->j.node[node];
    if (n->kind != PHI_JSON_OBJECT && n->kind != PHI_JSON_TRUE && n->kind != PHI_JSON_FALSE)
        return phi_schema_fail(c->s, node, "%s must be an object, true or false", what);
    if (!c->seen[node]) c->todo[c->n_todo++] = node;
    c->seen[node] = 1;
    return 0;
}

static int check_type(struct schema *s, uint32_t v, const char *name) {
    static const char *const types[] = {"null", "boolean", "integer", "number", "string", "array", "object"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (phi_json_is(&s->j, v, types[i])) return 0;
    char quoted[PHI_QUOTE_SIZE];
    if (s->j.node[v].kind != PHI_JSON_STRING) return phi_schema_fail(s, v, "%s must be a name or a list of names", name);
    return phi_schema_fail(s, v, "'%s' is not a type (null boolean integer number string array object)",
                           phi_quote(quoted, phi_json_text(&s->j, v), s->j.node[v].n));
}

static int check_count(struct schema *s, uint32_t v, const char *name) {
    int64_t count;
    char quoted[PHI_QUOTE_SIZE];
    phi_quote(quoted, phi_json_text(&s->j, v), s->j.node[v].n);
    if (s->j.node[v].kind != PHI_JSON_NUMBER || (phi_schema_kind(s, v) == TYPE_FRACTION))
        return phi_schema_fail(s, v, "%s must be a whole number", name);
    if (*phi_json_text(&s->j, v) == '-') return phi_schema_fail(s, v, "%s %s is negative", name, quoted);
    if (!phi_json_i64(&s->j, v, &count) || count > PHI_GRAMMAR_MAX_REPEAT)
        return phi_schema_fail(s, v, "%s %s is above %d, the most that is supported", name, quoted,
                               PHI_GRAMMAR_MAX_REPEAT);
    return 0;
}

static int check_bound(struct schema *s, uint32_t v, const char *name) {
    struct phi_json_decimal d;
    if (s->j.node[v].kind != PHI_JSON_NUMBER) return phi_schema_fail(s, v, "%s must be a number", name);
    phi_json_decimal(&s->j, v, &d);
    if (d.n > MAX_BOUND_DIGITS)
        return phi_schema_fail(s, v, "%s has more than %d digits", name, MAX_BOUND_DIGITS);
    return 0;
}

/* Like URI fragments: %XX is a byte, then ~1 is / and ~0 is ~. Decodes the part of a pointer at *at, up to the next /. */
static bool decode_part(const char *ref, size_t n, size_t *at, char *out, size_t *n_out) {
    for (*n_out = 0; *at < n && ref[*at] != '/'; ++*at) {
        static const char digits[] = "0123456789abcdef";
        char c = ref[*at];
        if (c == '%') {
            const char *high = n - *at > 2 ? strchr(digits, ref[*at + 1] | 32) : NULL;
            const char *low = high ? strchr(digits, ref[*at + 2] | 32) : NULL;
            if (!low) return false;
            c = (char)((high - digits) << 4 | (low - digits));
            *at += 2;
        } else if (c == '~') {
            if (n - *at < 2 || (ref[*at + 1] != '0' && ref[*at + 1] != '1')) return false;
            c = ref[++*at] == '0' ? '~' : '/';
        }
        out[(*n_out)++] = c;
    }
    return true;
}

/* The item that the decimal index names; 0: none. */
static uint32_t item_at(const struct phi_json *j, uint32_t array, const char *index, size_t n) {
    uint32_t i = 0, item = phi_json_first(j, array);
    if (n == 0 || n > 4 || (n > 1 && *index == '0')) return 0;
    for (size_t k = 0; k < n; k++) {
        if (index[k] < '0' || index[k] > '9') return 0;
        i = 10 * i + (uint32_t)(index[k] - '0');
    }
    _Static_assert(MAX_INDEX == 9999, "as many digits as are read");
    while (item && i--) item = phi_json_after(j, array, item);
    return item;
}

static int check_ref(struct checker *c, uint32_t schema, uint32_t v) {
    const struct phi_json *j = &c->s->j;
    const char *ref = phi_json_text(j, v);
    size_t n = j->node[v].n, at = 1, n_part;
    char quoted[PHI_QUOTE_SIZE];
    if (j->node[v].kind != PHI_JSON_STRING) return phi_schema_fail(c->s, v, "$ref must be a string");
    phi_quote(quoted, ref, n);
    if (n == 0 || *ref != '#' || (n > 1 && ref[1] != '/'))
        return phi_schema_fail(c->s, v, "'%s' is not a place in this schema (#/$defs/...), which is all that is supported",
                               quoted);
    char *part = phi_alloc(n, 1);
    if (!part) return phi_schema_no_memory(c->s);
    uint32_t target = 0;
    bool found = true;
    while (found && at < n) {
        at++;
        found = decode_part(ref, n, &at, part, &n_part);
        if (!found) break;
        target = j->node[target].kind == PHI_JSON_ARRAY ? item_at(j, target, part, n_part)
                                                         : phi_json_get_n(j, target, part, n_part);
        found = target != 0;
    }
    phi_free(part);
    if (!found) return phi_schema_fail(c->s, v, "there is nothing at '%s'", quoted);
    c->s->ref[schema] = target;
    return want(c, target, "the target of $ref");
}

static int check_list(struct checker *c, uint32_t v, const char *name, enum form form) {
    struct schema *s = c->s;
    int status = 0;
    if (s->j.node[v].kind != PHI_JSON_ARRAY) return phi_schema_fail(s, v, "%s must be a list", name);
    if (!s->j.node[v].n && form != NAMES && strcmp(name, "prefixItems") != 0)
        return phi_schema_fail(s, v, "%s is empty: nothing can satisfy it", name);
    for (uint32_t i = phi_json_first(&s->j, v); i && !status; i = phi_json_after(&s->j, v, i)) {
        if (form == SCHEMAS) status = want(c, i, "a schema");
        if (form == TYPE) status = check_type(s, i, name);
        if (form == NAMES && s->j.node[i].kind != PHI_JSON_STRING)
            status = phi_schema_fail(s, i, "%s must be a list of names", name);
    }
    return status;
}

static int check_keyword(struct checker *c, uint32_t schema, uint32_t key) {
    struct schema *s = c->s;
    uint32_t v = key + 1;
    const struct keyword *k = keywords, *end = keywords + sizeof keywords / sizeof *keywords;
    char quoted[PHI_QUOTE_SIZE];
    while (k < end && !phi_json_is(&s->j, key, k->name)) k++;
    if (k == end)
        return phi_schema_fail(s, schema, "keyword '%s' is not supported",
                               phi_quote(quoted, phi_json_text(&s->j, key), s->j.node[key].n));
    switch (k->form) {
    case NOTE:
    case VALUE:
        return 0;
    case TYPE:
        return s->j.node[v].kind == PHI_JSON_ARRAY ? check_list(c, v, k->name, TYPE) : check_type(s, v, k->name);
    case COUNT:
        return check_count(s, v, k->name);
    case BOUND:
        return check_bound(s, v, k->name);
    case PATTERN:
        return s->j.node[v].kind == PHI_JSON_STRING ? 0 : phi_schema_fail(s, v, "pattern must be a string");
    case VALUES:
    case NAMES:
    case SCHEMAS:
        return check_list(c, v, k->name, k->form);
    case SCHEMA:
        return want(c, v, k->name);
    case REF:
        return check_ref(c, schema, v);
    case SCHEMA_MAP:
        break;
    }
    int status = 0;
    if (s->j.node[v].kind != PHI_JSON_OBJECT) return phi_schema_fail(s, v, "%s must be an object", k->name);
    for (uint32_t i = phi_json_first(&s->j, v); i && !status; i = phi_json_after(&s->j, v, i))
        status = want(c, i + 1, "a schema");
    return status;
}

/* What contradicts itself inside one schema is a mistake, wherever it stands. */
static int check_pairs(struct schema *s, uint32_t schema) {
    static const char *const counts[][2] = {{"minLength", "maxLength"}, {"minItems", "maxItems"}};
    static const char *const bounds[][2] = {{"minimum", "maximum"},
                                            {"exclusiveMinimum", "maximum"},
                                            {"minimum", "exclusiveMaximum"},
                                            {"exclusiveMinimum", "exclusiveMaximum"}};
    for (size_t i = 0; i < 2; i++) {
        int least = phi_schema_count(s, schema, counts[i][0], 0);
        int most = phi_schema_count(s, schema, counts[i][1], PHI_GRAMMAR_MAX_REPEAT);
        if (least > most)
            return phi_schema_fail(s, schema, "%s %d is above %s %d: nothing can satisfy it", counts[i][0], least,
                                   counts[i][1], most);
    }
    for (size_t i = 0; i < 4; i++) {
        uint32_t low = phi_json_get(&s->j, schema, bounds[i][0]), high = phi_json_get(&s->j, schema, bounds[i][1]);
        struct phi_json_decimal a, b;
        if (!low || !high) continue;
        phi_json_decimal(&s->j, low, &a);
        phi_json_decimal(&s->j, high, &b);
        int order = phi_schema_compare(&a, &b);
        if (order > 0 || (order == 0 && i > 0))
            return phi_schema_fail(s, schema, "%s leaves no room below %s: nothing can satisfy it", bounds[i][0],
                                   bounds[i][1]);
    }
    return 0;
}

/* ---- Circles ---- */

struct step {
    uint32_t schema, at; /* at: how far next_in_place() has come */
};

/* One schema after the other that holds for the same value as this one: the target of $ref, the branches of anyOf. *at
 * is 0 at the beginning. NO_NODE: that was all. */
static uint32_t next_in_place(const struct schema *s, uint32_t schema, uint32_t *at) {
    enum { BRANCHES = 1 };
    uint32_t any = phi_json_get(&s->j, schema, "anyOf"), branch = 0;
    if (*at == 0) {
        *at = BRANCHES;
        if (s->ref[schema] != NO_NODE) return s->ref[schema];
    }
    if (any) branch = *at == BRANCHES ? phi_json_first(&s->j, any) : phi_json_after(&s->j, any, *at);
    *at = branch;
    return branch ? branch : NO_NODE;
}

/* A schema that, by $ref and anyOf alone, comes back to itself says nothing. Depth first, with the way as a list. */
static int check_circles(struct schema *s, uint8_t *state, struct step *way) {
    enum { NO_SCHEMA, NEW, OPEN, DONE };
    for (uint32_t root = 0; root < s->j.n_node; root++) {
        if (s->j.node[root].kind != PHI_JSON_OBJECT || state[root] != NEW) continue;
        uint32_t depth = 0;
        way[depth++] = (struct step){root, 0};
        state[root] = OPEN;
        while (depth) {
            struct step *top = &way[depth - 1];
            uint32_t child = next_in_place(s, top->schema, &top->at);
            if (child == NO_NODE) {
                state[top->schema] = DONE;
                depth--;
            } else if (state[child] == OPEN) {
                return phi_schema_fail(s, child, "defined by itself: nothing can satisfy it");
            } else if (state[child] == NEW && s->j.node[child].kind == PHI_JSON_OBJECT) {
                state[child] = OPEN;
                way[depth++] = (struct step){child, 0};
            }
        }
    }
    return 0;
}

static int check(struct schema *s) {
    struct checker c = {.s = s};
    uint32_t n_node = s->j.n_node;
    struct step *way = phi_alloc(n_node, sizeof *way);
    c.todo = phi_alloc(n_node, sizeof *c.todo);
    c.seen = phi_alloc(n_node, 1);
    s->ref = phi_alloc(n_node, sizeof *s->ref);
    int status = way && c.todo && c.seen && s->ref ? 0 : phi_schema_no_memory(s);
    if (!status) {
        for (uint32_t i = 0; i < n_node; i++) s->ref[i] = NO_NODE;
        status = want(&c, 0, "the schema");
    }
    while (!status && c.n_todo) {
        uint32_t schema = c.todo[--c.n_todo];
        if (s->j.node[schema].kind != PHI_JSON_OBJECT) continue;
        for (uint32_t k = phi_json_first(&s->j, schema); k && !status; k = phi_json_after(&s->j, schema, k))
            status = check_keyword(&c, schema, k);
        if (!status) status = check_pairs(s, schema);
    }
    if (!status) status = check_circles(s, c.seen, way);
    phi_free(way);
    phi_free(c.todo);
    phi_free(c.seen);
    return status;
}

/* ---- The whole ---- */

static void close_schema(struct schema *s) {
    for (uint32_t i = 0; i < s->n_pattern; i++) phi_dfa_close(&s->pattern[i]);
    phi_free(s->pattern);
    phi_free(s->pattern_at);
    phi_free(s->range);
    phi_free(s->ref);
    phi_free(s->pool);
    phi_free(s->set);
    phi_free(s->slot);
    phi_free(s->literal);
    phi_grammar_builder_close(s->b);
    phi_json_close(&s->j);
}

static int compile(struct schema *s, const phi_model *model, phi_grammar **out) {
    uint32_t root, element = element_schema(0), bad;
    phi_error why;
    s->b = phi_grammar_builder_open();
    if (!s->b) return phi_schema_no_memory(s);
    s->dead_node = NO_NODE;
    int status = phi_schema_strings_begin(s);
    if (!status) status = phi_schema_rule(s, &element, 1, &root);
    if (!status) status = phi_schema_run(s);
    if (status) return status;
    status = phi_grammar_compile(s->b, model, root, out, &bad, &why);
    if (status == PHI_USAGE && (bad == root || bad == s->dead))
        return phi_schema_fail(s, s->dead_node == NO_NODE ? 0 : s->dead_node, "nothing%s can satisfy it",
                               s->too_many_digits ? " of at most 16 digits" : "");
    return status ? phi_fail(s->err, status, "schema: %s", why.text) : 0;
}

int phi_grammar_open_schema(const phi_model *model, const char *text, size_t n_bytes, phi_grammar **out, phi_error *err) {
    struct schema s = {.err = err};
    if (out) *out = NULL;
    if (n_bytes > MAX_SCHEMA_TEXT)
        return phi_fail(err, PHI_USAGE, "schema: a text of %zu bytes; the most is %d", n_bytes, MAX_SCHEMA_TEXT);
    int status = phi_json_open(&s.j, text, n_bytes, "schema", PHI_USAGE, err);
    if (!status) status = check(&s);
    if (!status) status = compile(&s, model, out);
    close_schema(&s);
    return status;
}
