/* Strings as they stand in JSON. Of those that no pattern and no list of keys decides about, a character may be written
 * in every way that JSON has; of the others in one only, so that what is excluded is excluded however it is written. */
#include "schema_parts.h"

#include "memory.h"
#include "unicode.h"

#include <stdlib.h>
#include <string.h>

enum { CODE_LAST = 0x10ffff, MAX_TABLES = 1 << 24 };

static const struct phi_grammar_range escaped[] = {{0, 0x1f}, {'"', '"'}, {'\\', '\\'}};
enum { N_ESCAPED = sizeof escaped / sizeof *escaped };

/* ---- Any characters ---- */

static uint32_t alternative_of(struct schema *s, uint32_t rule, const char *literal) {
    uint32_t alternative = phi_grammar_alternative(s->b, rule);
    phi_grammar_add_literal(s->b, alternative, literal, strlen(literal));
    return alternative;
}

/* The rest of a text that is one rule's only alternative. */
static uint32_t literal_rule(struct schema *s, const char *literal) {
    uint32_t rule = phi_grammar_rule(s->b);
    alternative_of(s, rule, literal);
    return rule;
}

static void add_ascii(struct schema *s, uint32_t alternative, const char *characters) {
    struct phi_grammar_range range[24];
    size_t n = strlen(characters);
    for (size_t i = 0; i < n; i++) range[i].first = range[i].last = (uint32_t)characters[i];
    phi_grammar_add_set(s->b, alternative, range, n, false);
}

/* u: 'u' and four digits that are no surrogate, or a pair of surrogates. */
static void put_unicode_escape(struct schema *s, uint32_t rule) {
    static const struct phi_grammar_range hex[] = {{'0', '9'}, {'a', 'f'}, {'A', 'F'}};
    uint32_t alternative, digit = phi_grammar_rule(s->b);
    phi_grammar_add_set(s->b, phi_grammar_alternative(s->b, digit), hex, 3, false);
    alternative = alternative_of(s, rule, "u");
    add_ascii(s, alternative, "0123456789abcefABCEF");
    phi_grammar_add_repeat(s->b, alternative, digit, 3, 3);
    alternative = alternative_of(s, rule, "u");
    add_ascii(s, alternative, "dD");
    add_ascii(s, alternative, "01234567");
    phi_grammar_add_repeat(s->b, alternative, digit, 2, 2);
    alternative = alternative_of(s, rule, "u");
    for (int i = 0; i < 2; i++) {
        if (i) phi_grammar_add_literal(s->b, alternative, "\\u", 2);
        add_ascii(s, alternative, "dD");
        add_ascii(s, alternative, i ? "cdefCDEF" : "89abAB");
        phi_grammar_add_repeat(s->b, alternative, digit, 2, 2);
    }
}

int phi_schema_strings_begin(struct schema *s) {
    struct phi_grammar_builder *b = s->b;
    static const struct phi_grammar_range digits = {'0', '9'};
    uint32_t alternative, escape = phi_grammar_rule(b);
    s->dead = phi_grammar_rule(b);
    s->digit = phi_grammar_rule(b);
    phi_grammar_add_set(b, phi_grammar_alternative(b, s->digit), &digits, 1, false);
    s->space = phi_grammar_rule(b);
    phi_grammar_alternative(b, s->space);
    alternative_of(s, s->space, " ");
    s->comma = literal_rule(s, ",");
    s->colon = literal_rule(s, ":");
    uint32_t *const separators[] = {&s->comma, &s->colon};
    for (int i = 0; i < 2; i++) {
        uint32_t rule = phi_grammar_rule(b);
        alternative = phi_grammar_alternative(b, rule);
        phi_grammar_add_rule(b, alternative, *separators[i]);
        phi_grammar_add_rule(b, alternative, s->space);
        *separators[i] = rule;
    }
    add_ascii(s, phi_grammar_alternative(b, escape), "\"\\/bfnrt");
    put_unicode_escape(s, escape);
    s->string_character = phi_grammar_rule(b);
    phi_grammar_add_set(b, phi_grammar_alternative(b, s->string_character), escaped, N_ESCAPED, true);
    alternative = alternative_of(s, s->string_character, "\\");
    phi_grammar_add_rule(b, alternative, escape);
    s->string_rest = phi_grammar_rule(b);
    alternative_of(s, s->string_rest, "\"");
    alternative = phi_grammar_alternative(b, s->string_rest);
    phi_grammar_add_rule(b, alternative, s->string_character);
    phi_grammar_add_rule(b, alternative, s->string_rest);
    return 0;
}

/* ---- Characters that are written in one way ---- */

void phi_schema_add_string(struct schema *s, uint32_t alternative, const char *text, size_t n) {
    char piece[PHI_JSON_ESCAPE_SIZE];
    phi_grammar_add_literal(s->b, alternative, "\"", 1);
    for (size_t i = 0, used; i < n; i += used) {
        size_t length = phi_json_escape(text + i, n - i, piece, &used);
        phi_grammar_add_literal(s->b, alternative, piece, length);
    }
    phi_grammar_add_literal(s->b, alternative, "\"", 1);
}

/* Is the code in one of the ranges (ascending)? */
static bool holds(const struct phi_grammar_range *range, size_t n, uint32_t code) {
    for (size_t i = 0; i < n && range[i].first <= code; i++)
        if (code <= range[i].last) return true;
    return false;
}

/* The ranges (ascending) without what must be escaped -> s->range. */
static int cut_raw(struct schema *s, const struct phi_grammar_range *range, size_t n, size_t *n_raw) {
    int status = phi_schema_grow(s, (void **)&s->range, &s->room_range, n + N_ESCAPED, sizeof *s->range);
    *n_raw = 0;
    for (size_t i = 0; i < n && !status; i++) {
        uint32_t from = range[i].first, last = range[i].last;
        for (int k = 0; k < N_ESCAPED; k++) {
            if (escaped[k].last < from || escaped[k].first > last) continue;
            if (from < escaped[k].first) s->range[(*n_raw)++] = (struct phi_grammar_range){from, escaped[k].first - 1};
            from = escaped[k].last + 1;
        }
        if (from <= last) s->range[(*n_raw)++] = (struct phi_grammar_range){from, last};
    }
    return status;
}

/* Alternatives of the rule: a character of the ranges (ascending), then the rule `then`. */
static int put_characters(struct schema *s, uint32_t rule, const struct phi_grammar_range *range, size_t n, uint32_t then) {
    static const char specials[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt", hex[] = "0123456789abcdef";
    struct phi_grammar_builder *b = s->b;
    uint32_t alternative;
    char some[17];
    size_t n_some = 0, n_raw;
    int status = cut_raw(s, range, n, &n_raw);
    if (status) return status;
    if (n_raw) {
        alternative = phi_grammar_alternative(b, rule);
        phi_grammar_add_set(b, alternative, s->range, n_raw, false);
        phi_grammar_add_rule(b, alternative, then);
    }
    for (size_t k = 0; specials[k]; k++)
        if (holds(range, n, (uint32_t)specials[k])) some[n_some++] = letters[k];
    some[n_some] = 0;
    if (n_some) {
        alternative = alternative_of(s, rule, "\\");
        add_ascii(s, alternative, some);
        phi_grammar_add_rule(b, alternative, then);
    }
    for (uint32_t high = 0; high < 2; high++) { /* \u00..: the other control characters */
        n_some = 0;
        for (uint32_t low = 0; low < 16; low++) {
            uint32_t code = high << 4 | low;
            if (holds(range, n, code) && !(code && strchr(specials, (int)code))) some[n_some++] = hex[low];
        }
        some[n_some] = 0;
        if (!n_some) continue;
        alternative = alternative_of(s, rule, high ? "\\u001" : "\\u000");
        add_ascii(s, alternative, some);
        phi_grammar_add_rule(b, alternative, then);
    }
    return 0;
}

/* ---- Patterns and lengths ---- */

static int pattern_fail(struct schema *s, uint32_t node, int status, const phi_error *why) {
    return status == PHI_MEMORY ? phi_schema_no_memory(s) : phi_schema_fail(s, node, "%s", why->text);
}

/* The automaton of a pattern, made once. */
static int pattern_at(struct schema *s, uint32_t node, uint32_t *index) {
    phi_error why;
    if (!s->pattern_at) {
        s->pattern_at = phi_alloc(s->j.n_node, sizeof *s->pattern_at);
        if (!s->pattern_at) return phi_schema_no_memory(s);
    }
    if (!s->pattern_at[node]) {
        int status = phi_schema_grow(s, (void **)&s->pattern, &s->room_pattern, s->n_pattern + 1, sizeof *s->pattern);
        if (status) return status;
        struct phi_dfa *d = &s->pattern[s->n_pattern];
        status = phi_dfa_open(phi_json_text(&s->j, node), s->j.node[node].n, d, &why);
        if (status) return pattern_fail(s, node, status, &why);
        s->pattern_at[node] = ++s->n_pattern;
        s->n_table += (uint64_t)d->n_state * d->n_class;
        if (s->n_table > MAX_TABLES) return phi_schema_fail(s, node, "all patterns together need too much memory");
    }
    *index = s->pattern_at[node] - 1;
    return 0;
}

static uint32_t pattern_of(const struct schema *s, uint32_t e) {
    return element_is_value(e) ? 0 : phi_json_get(&s->j, element_node(e), "pattern");
}

static void lengths_of(const struct schema *s, const uint32_t *elem, uint32_t n, int *least, int *most) {
    *least = 0;
    *most = -1;
    for (uint32_t i = 0; i < n; i++) {
        if (element_is_value(elem[i])) continue;
        int low = phi_schema_count(s, element_node(elem[i]), "minLength", 0);
        int high = phi_schema_count(s, element_node(elem[i]), "maxLength", -1);
        if (low > *least) *least = low;
        if (high >= 0 && (*most < 0 || high < *most)) *most = high;
    }
}

int phi_schema_string_fits(struct schema *s, uint32_t value, const uint32_t *elem, uint32_t n, bool *fits) {
    const char *text = phi_json_text(&s->j, value);
    size_t n_bytes = s->j.node[value].n;
    int least, most, length = 0;
    lengths_of(s, elem, n, &least, &most);
    for (size_t i = 0; i < n_bytes; i++) length += ((unsigned char)text[i] & 0xc0) != 0x80;
    *fits = length >= least && (most < 0 || length <= most);
    for (uint32_t i = 0; i < n && *fits; i++) {
        uint32_t pattern = pattern_of(s, elem[i]), index;
        if (!pattern) continue;
        int status = pattern_at(s, pattern, &index);
        if (status) return status;
        *fits = phi_dfa_accepts(&s->pattern[index], text, n_bytes);
    }
    return 0;
}

struct lead { /* of one state: these characters lead to that one */
    int32_t to;
    struct phi_grammar_range range;
};

static int by_target(const void *a, const void *b) {
    const struct lead *x = a, *y = b;
    if (x->to != y->to) return x->to < y->to ? -1 : 1;
    return (x->range.first > y->range.first) - (x->range.first < y->range.first);
}

/* Alternatives for one state: what leads to the same state is one set. */
static int put_state(struct schema *s, const struct phi_dfa *d, uint32_t q, const uint32_t *rule, struct lead *lead,
                     struct phi_grammar_range *range) {
    size_t n = 0;
    int status = 0;
    if (d->accept[q]) alternative_of(s, rule[q], "\"");
    for (uint32_t i = 0; i < d->n_range; i++) {
        int32_t to = d->next[(size_t)q * d->n_class + d->range_class[i]];
        uint32_t last = i + 1 < d->n_range ? d->first[i + 1] - 1 : CODE_LAST;
        if (to != PHI_DFA_NONE) lead[n++] = (struct lead){to, {d->first[i], last}};
    }
    if (n) qsort(lead, n, sizeof *lead, by_target);
    for (size_t i = 0; i < n && !status;) {
        size_t k = 0, begin = i;
        for (; i < n && lead[i].to == lead[begin].to; i++) {
            if (k && range[k - 1].last + 1 == lead[i].range.first)
                range[k - 1].last = lead[i].range.last;
            else
                range[k++] = lead[i].range;
        }
        int32_t to = lead[begin].to;
        status = put_characters(s, rule[q], range, k, to == d->all ? s->string_rest : rule[to]);
    }
    return status;
}

static int put_automaton(struct schema *s, uint32_t rule, const struct phi_dfa *d) {
    uint32_t *rules = phi_alloc(d->n_state, sizeof *rules);
    struct lead *lead = phi_alloc(d->n_range, sizeof *lead);
    struct phi_grammar_range *range = phi_alloc(d->n_range, sizeof *range);
    int status = rules && lead && range ? 0 : phi_schema_no_memory(s);
    for (uint32_t q = 0; q < d->n_state && !status; q++)
        rules[q] = (int32_t)q == d->all ? s->string_rest : phi_grammar_rule(s->b);
    for (uint32_t q = 0; q < d->n_state && !status && !phi_grammar_builder_failed(s->b); q++)
        if ((int32_t)q != d->all) status = put_state(s, d, q, rules, lead, range);
    if (!status) phi_grammar_add_rule(s->b, alternative_of(s, rule, "\""), rules[0]);
    phi_free(rules);
    phi_free(lead);
    phi_free(range);
    return status;
}

/* All patterns and the lengths in one automaton. */
static int put_patterns(struct schema *s, uint32_t rule, const uint32_t *elem, uint32_t n, int least, int most, bool *dead) {
    struct phi_dfa all, next;
    phi_error why;
    uint32_t node = 0, index;
    int status = phi_dfa_open_length(least, most, &all, &why);
    for (uint32_t i = 0; i < n && !status; i++) {
        uint32_t pattern = pattern_of(s, elem[i]);
        if (!pattern) continue;
        node = pattern;
        status = pattern_at(s, pattern, &index);
        if (status) {
            phi_dfa_close(&all);
            return status;
        }
        status = phi_dfa_intersect(&all, &s->pattern[index], &next, &why);
        phi_dfa_close(&all);
        all = next;
    }
    if (status) return pattern_fail(s, node ? node : element_node(elem[0]), status, &why);
    *dead = true;
    for (uint32_t q = 0; q < all.n_state; q++) *dead &= !all.accept[q]; /* what is not reached is not there */
    status = *dead ? 0 : put_automaton(s, rule, &all);
    phi_dfa_close(&all);
    return status;
}

/* The rule of the strings of a length. */
static uint32_t string_rule(struct schema *s, int least, int most) {
    for (int i = 0; i < s->n_string_rule; i++)
        if (s->string_rule[i].least == least && s->string_rule[i].most == most) return s->string_rule[i].rule;
    uint32_t rule = phi_grammar_rule(s->b), alternative = alternative_of(s, rule, "\"");
    phi_grammar_add_repeat(s->b, alternative, s->string_character, least, most < 0 ? least : most);
    if (most < 0)
        phi_grammar_add_rule(s->b, alternative, s->string_rest);
    else
        phi_grammar_add_literal(s->b, alternative, "\"", 1);
    if (s->n_string_rule < MAX_STRING_RULE) s->string_rule[s->n_string_rule++] = (struct string_rule){least, most, rule};
    return rule;
}

int phi_schema_string(struct schema *s, uint32_t rule, const uint32_t *elem, uint32_t n, bool *dead) {
    int least, most;
    bool patterns = false;
    lengths_of(s, elem, n, &least, &most);
    *dead = most >= 0 && least > most;
    if (*dead) return 0;
    for (uint32_t i = 0; i < n; i++) patterns |= pattern_of(s, elem[i]) != 0;
    if (patterns) return put_patterns(s, rule, elem, n, least, most, dead);
    phi_grammar_add_rule(s->b, phi_grammar_alternative(s->b, rule), string_rule(s, least, most));
    return 0;
}

/* ---- Keys that are not declared ---- */

int phi_schema_by_text(const void *a, const void *b) {
    const struct name *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->n < y->n ? x->n : y->n);
    if (order) return order;
    if (x->n != y->n) return x->n < y->n ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node);
}

struct branch { /* texts that share their first bytes */
    uint32_t low, high, depth, rule;
};

/* The names low .. high - 1 share depth bytes, which have been written. What leaves them is free. */
static int put_key(struct schema *s, const struct name *name, const struct branch *at, struct branch *todo, uint32_t *n_todo,
                   struct phi_grammar_range *range) {
    uint32_t i = at->low, from = 0;
    size_t n = 0;
    if (name[i].n == at->depth)
        i++; /* this is a name, so that no " may follow */
    else
        alternative_of(s, at->rule, "\"");
    while (i < at->high) {
        char piece[PHI_JSON_ESCAPE_SIZE];
        uint32_t code, end = i;
        enum phi_class class_of_code;
        const char *text = name[i].text + at->depth;
        size_t length = phi_unicode_next(text, name[i].n - at->depth, &code, &class_of_code), used;
        while (end < at->high && name[end].n >= at->depth + length && memcmp(name[end].text + at->depth, text, length) == 0)
            end++;
        uint32_t child = phi_grammar_rule(s->b), alternative = phi_grammar_alternative(s->b, at->rule);
        phi_grammar_add_literal(s->b, alternative, piece, phi_json_escape(text, length, piece, &used));
        phi_grammar_add_rule(s->b, alternative, child);
        todo[(*n_todo)++] = (struct branch){i, end, at->depth + (uint32_t)length, child};
        if (code > from) range[n++] = (struct phi_grammar_range){from, code - 1};
        from = code + 1;
        i = end;
    }
    if (from <= CODE_LAST) range[n++] = (struct phi_grammar_range){from, CODE_LAST};
    return put_characters(s, at->rule, range, n, s->string_rest);
}

int phi_schema_other_keys(struct schema *s, const struct name *name, uint32_t n, uint32_t *rule) {
    *rule = phi_grammar_rule(s->b);
    uint32_t alternative = alternative_of(s, *rule, "\""), n_todo = 0;
    if (!n) {
        phi_grammar_add_rule(s->b, alternative, s->string_rest);
        return 0;
    }
    struct branch *todo = phi_alloc((size_t)n + 1, sizeof *todo);
    struct phi_grammar_range *range = phi_alloc((size_t)n + 1, sizeof *range);
    int status = todo && range ? 0 : phi_schema_no_memory(s);
    if (!status) {
        uint32_t root = phi_grammar_rule(s->b);
        phi_grammar_add_rule(s->b, alternative, root);
        todo[n_todo++] = (struct branch){0, n, 0, root};
    }
    while (!status && n_todo && !phi_grammar_builder_failed(s->b)) {
        struct branch at = todo[--n_todo];
        status = put_key(s, name, &at, todo, &n_todo, range);
    }
    phi_free(todo);
    phi_free(range);
    return status;
}

/* ---- Literals ---- */

int phi_schema_literal(struct schema *s, const char *text, size_t n) {
    int status = phi_schema_grow(s, (void **)&s->literal, &s->room_literal, s->n_literal + n + 1, 1);
    if (status) return status;
    memcpy(s->literal + s->n_literal, text, n);
    s->literal[s->n_literal + n] = 0;
    s->n_literal += n + 1;
    return 0;
}

/* As it stands in an answer: an integer in digits, if they are not too many. */
static int literal_number(struct schema *s, uint32_t value) {
    enum { MAX_WRITTEN_OUT = 40 };
    struct phi_json_decimal d;
    char digits[MAX_WRITTEN_OUT + 2];
    size_t n = 0;
    phi_json_decimal(&s->j, value, &d);
    if (d.cut || d.exponent < d.n || d.exponent > MAX_WRITTEN_OUT)
        return phi_schema_literal(s, phi_json_text(&s->j, value), s->j.node[value].n);
    if (d.negative && d.n) digits[n++] = '-';
    for (int i = 0; i < d.exponent; i++) digits[n++] = i < d.n ? d.digit[i] : '0';
    if (!d.n) digits[n++] = '0';
    return phi_schema_literal(s, digits, n);
}

int phi_schema_literal_value(struct schema *s, uint32_t value) {
    static const char *const words[] = {[PHI_JSON_NULL] = "null", [PHI_JSON_FALSE] = "false", [PHI_JSON_TRUE] = "true"};
    unsigned kind = s->j.node[value].kind;
    if (kind <= PHI_JSON_TRUE) return phi_schema_literal(s, words[kind], strlen(words[kind]));
    if (kind == PHI_JSON_NUMBER) return literal_number(s, value);
    const char *text = phi_json_text(&s->j, value);
    size_t n = s->j.node[value].n, used;
    int status = phi_schema_grow(s, (void **)&s->literal, &s->room_literal,
                                 s->n_literal + PHI_JSON_ESCAPE_SIZE * n + 3, 1);
    if (status) return status;
    s->literal[s->n_literal++] = '"';
    for (size_t i = 0; i < n; i += used) s->n_literal += phi_json_escape(text + i, n - i, s->literal + s->n_literal, &used);
    s->literal[s->n_literal++] = '"';
    s->literal[s->n_literal++] = 0;
    return 0;
}

/* What two texts begin with, in whole characters. */
static uint32_t common_prefix(const struct name *a, const struct name *b) {
    uint32_t n = 0;
    while (n < a->n && n < b->n && a->text[n] == b->text[n]) n++;
    while (n && n < a->n && ((unsigned char)a->text[n] & 0xc0) == 0x80) n--;
    return n;
}

/* Alternatives for the texts low .. high - 1, whose first depth bytes have been written. */
static void put_literals(struct schema *s, const struct name *name, const struct branch *at, struct branch *todo,
                         uint32_t *n_todo) {
    uint32_t i = at->low;
    if (name[i].n == at->depth) {
        phi_grammar_alternative(s->b, at->rule);
        i++;
    }
    while (i < at->high) {
        uint32_t end = i + 1, alternative = phi_grammar_alternative(s->b, at->rule);
        const char *text = name[i].text + at->depth;
        while (end < at->high && common_prefix(&name[i], &name[end]) > at->depth) end++;
        uint32_t depth = end == i + 1 ? name[i].n : common_prefix(&name[i], &name[end - 1]);
        phi_grammar_add_literal(s->b, alternative, text, depth - at->depth);
        if (end > i + 1) {
            uint32_t child = phi_grammar_rule(s->b);
            phi_grammar_add_rule(s->b, alternative, child);
            todo[(*n_todo)++] = (struct branch){i, end, depth, child};
        }
        i = end;
    }
}

int phi_schema_literals_end(struct schema *s, uint32_t rule) {
    uint32_t n = 0, kept = 0, n_todo = 0;
    if (!s->n_literal) return 0;
    for (size_t i = 0; i < s->n_literal; i++) n += !s->literal[i];
    struct name *name = phi_alloc(n, sizeof *name);
    struct branch *todo = phi_alloc((size_t)n + 1, sizeof *todo);
    int status = name && todo ? 0 : phi_schema_no_memory(s);
    if (!status) {
        const char *text = s->literal;
        for (uint32_t i = 0; i < n; i++, text += strlen(text) + 1) name[i] = (struct name){text, (uint32_t)strlen(text), 0};
        qsort(name, n, sizeof *name, phi_schema_by_text);
        for (uint32_t i = 0; i < n; i++)
            if (!kept || strcmp(name[kept - 1].text, name[i].text) != 0) name[kept++] = name[i];
        todo[n_todo++] = (struct branch){0, kept, 0, rule};
    }
    while (n_todo && !phi_grammar_builder_failed(s->b)) {
        struct branch at = todo[--n_todo];
        put_literals(s, name, &at, todo, &n_todo);
    }
    phi_free(name);
    phi_free(todo);
    s->n_literal = 0;
    return status;
}
