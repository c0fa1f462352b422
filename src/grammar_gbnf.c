/* GBNF, the notation of grammars that llama.cpp has made common, into a builder's rules:
 *
 *   root  ::= "{" ws pair ("," ws pair)* "}"     # a comment
 *   pair  ::= [a-z_]+ ":" ws [^,}\x00-\x1f]{1,20}
 *           | "null"                             a line that begins with | goes on
 *
 * A rule ends with its line, but for lines inside ( ) and behind ::= and |. Groups are on a stack of their own, so
 * the text may be nested as it likes. Errors name line and column; columns count characters. */
#include "grammar.h"
#include "memory.h"
#include "utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct name {             /* of a rule */
    size_t begin, n;      /* in the text */
    size_t defined, used; /* where, the first time; NOWHERE */
    uint32_t rule;
};

static const size_t NOWHERE = SIZE_MAX;

struct parser {
    struct phi_grammar_builder *b;
    const char *text;
    size_t n, at;
    phi_error *err;

    struct name *name;
    uint32_t *slot; /* open addressing: number of a name, plus 1 */
    size_t n_name, room_name, n_slot;

    size_t *where; /* [n_where] of each rule of the builder: the place in the text that it comes from */
    size_t n_where, room_where;

    struct group {
        size_t begin;        /* its parenthesis */
        uint32_t rule, back; /* the rule that it is; the alternative it stands in */
    } group[PHI_GRAMMAR_MAX_NESTING];
    int n_group;

    struct phi_grammar_range *range; /* of the set being read */
    size_t n_range, room_range;
};

/* ---- Errors ---------------------------------------------------------------------------------------------------- */

static void locate(const struct parser *p, size_t at, size_t *line, size_t *column) {
    *line = *column = 1;
    for (size_t i = 0; i < at && i < p->n; i++) {
        if (p->text[i] == '\n') {
            ++*line;
            *column = 1;
        } else if (((uint8_t)p->text[i] & 0xc0) != 0x80) {
            ++*column;
        }
    }
}

static int fail(struct parser *p, size_t at, const char *fmt, ...) PHI_PRINTF(3, 4);
static int fail(struct parser *p, size_t at, const char *fmt, ...) {
    size_t line, column;
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    locate(p, at, &line, &column);
    return phi_fail(p->err, PHI_USAGE, "grammar: line %zu, column %zu: %s", line, column, text);
}

static int no_memory(struct parser *p) {
    return phi_fail(p->err, PHI_MEMORY, "not enough memory for a grammar of %zu bytes", p->n);
}

/* ---- Rules and their names ------------------------------------------------------------------------------------- */

/* A new rule that the text at a place makes. */
static int new_rule(struct parser *p, size_t at, uint32_t *rule) {
    *rule = phi_grammar_rule(p->b);
    if (phi_grammar_builder_failed(p->b)) return PHI_USAGE; /* its own sentence follows when it is compiled */
    if (*rule >= p->room_where) {
        size_t room = (size_t)*rule * 2 + 64;
        size_t *where = phi_realloc(p->where, room, sizeof *where);
        if (!where) return no_memory(p);
        p->where = where;
        p->room_where = room;
    }
    /* Rules that the builder made since for a repetition are of the place before. */
    for (; p->n_where < *rule; p->n_where++) p->where[p->n_where] = p->n_where ? p->where[p->n_where - 1] : at;
    p->where[p->n_where++] = at;
    return PHI_OK;
}

static bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static size_t name_length(const struct parser *p) {
    size_t n = 0;
    while (p->at + n < p->n && is_name(p->text[p->at + n])) n++;
    return n;
}

static size_t hash_name(const char *s, size_t n) {
    uint64_t h = n;
    for (size_t i = 0; i < n; i++) h = (h ^ (uint8_t)s[i]) * 0x9e3779b97f4a7c15u, h ^= h >> 32;
    return (size_t)h;
}

static struct name *find_name(struct parser *p, const char *s, size_t n) {
    if (p->n_slot == 0) return NULL;
    for (size_t at = hash_name(s, n) % p->n_slot; p->slot[at]; at = (at + 1) % p->n_slot) {
        struct name *name = &p->name[p->slot[at] - 1];
        if (name->n == n && memcmp(p->text + name->begin, s, n) == 0) return name;
    }
    return NULL;
}

static bool grow_names(struct parser *p) {
    size_t room = p->room_name * 2 + 64;
    struct name *name = phi_realloc(p->name, room, sizeof *name);
    if (!name) return false;
    p->name = name;
    uint32_t *slot = phi_alloc(2 * room, sizeof *slot);
    if (!slot) return false;
    phi_free(p->slot);
    p->slot = slot;
    p->room_name = room;
    p->n_slot = 2 * room;
    for (size_t i = 0; i < p->n_name; i++) {
        size_t at = hash_name(p->text + name[i].begin, name[i].n) % p->n_slot;
        while (slot[at]) at = (at + 1) % p->n_slot;
        slot[at] = (uint32_t)i + 1;
    }
    return true;
}

/* The name at p->at, which is moved over. Its first mention makes its rule. */
static int read_name(struct parser *p, struct name **out) {
    size_t begin = p->at, n = name_length(p);
    p->at += n;
    *out = find_name(p, p->text + begin, n);
    if (*out) return PHI_OK;
    if (p->n_name == p->room_name && !grow_names(p)) return no_memory(p);
    struct name *name = &p->name[p->n_name];
    *name = (struct name){begin, n, NOWHERE, NOWHERE, 0};
    int status = new_rule(p, begin, &name->rule);
    if (status) return status;
    size_t at = hash_name(p->text + begin, n) % p->n_slot;
    while (p->slot[at]) at = (at + 1) % p->n_slot;
    p->slot[at] = (uint32_t)++p->n_name;
    *out = name;
    return PHI_OK;
}

/* ---- Characters ------------------------------------------------------------------------------------------------ */

/* Over blanks and comments; over ends of lines only where they do not end the rule. */
static void skip_blank(struct parser *p, bool lines) {
    while (p->at < p->n) {
        char c = p->text[p->at];
        if (c == '#')
            while (p->at < p->n && p->text[p->at] != '\n') p->at++;
        else if (c == ' ' || c == '\t' || c == '\r' || (c == '\n' && lines))
            p->at++;
        else
            return;
    }
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int read_hex(struct parser *p, size_t begin, int n, uint32_t *code) {
    *code = 0;
    for (int i = 0; i < n; i++) {
        int digit = p->at < p->n ? hex_digit(p->text[p->at]) : -1;
        if (digit < 0) return fail(p, begin, "\\%c needs %d hexadecimal digits", p->text[begin + 1], n);
        *code = *code << 4 | (uint32_t)digit;
        p->at++;
    }
    if (*code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff))
        return fail(p, begin, "U+%04X is no character", *code);
    return PHI_OK;
}

static int read_escape(struct parser *p, uint32_t *code) {
    size_t begin = p->at++;
    char c = p->at < p->n ? p->text[p->at++] : 0;
    static const char from[] = "nrt", to[] = "\n\r\t";
    const char *found = c ? strchr(from, c) : NULL;
    if (c == 'x' || c == 'u' || c == 'U') return read_hex(p, begin, c == 'x' ? 2 : c == 'u' ? 4 : 8, code);
    *code = (uint32_t)(found ? to[found - from] : c);
    if (found || (c > ' ' && c < 0x7f && !is_name(c)) || c == '-' || c == '_') return PHI_OK;
    return fail(p, begin,
                "unknown escape; known are \\n \\r \\t \\xHH \\uHHHH \\UHHHHHHHH and \\ before a punctuation mark");
}

/* One character of a literal or a set. */
static int read_character(struct parser *p, uint32_t *code) {
    const char *s = p->text + p->at;
    if (*s == '\\') return read_escape(p, code);
    int length = phi_utf8_length(s, p->n - p->at);
    if (length < 1) return fail(p, p->at, "the byte 0x%02x is not UTF-8", (uint8_t)*s);
    *code = phi_utf8_decode(s, length);
    p->at += (size_t)length;
    return PHI_OK;
}

static int read_literal(struct parser *p, uint32_t alternative) {
    size_t begin = p->at++;
    while (p->at < p->n && p->text[p->at] != '"') {
        uint32_t code;
        int status = read_character(p, &code);
        if (status) return status;
        /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): fail() never returns 0 */
        phi_grammar_add_character(p->b, alternative, code);
    }
    if (p->at == p->n) return fail(p, begin, "the quotation mark is not closed");
    p->at++;
    return PHI_OK;
}

static int add_range(struct parser *p, uint32_t first, uint32_t last) {
    if (p->n_range == p->room_range) {
        size_t room = p->room_range * 2 + 16;
        struct phi_grammar_range *range = phi_realloc(p->range, room, sizeof *range);
        if (!range) return no_memory(p);
        p->range = range;
        p->room_range = room;
    }
    p->range[p->n_range++] = (struct phi_grammar_range){first, last};
    return PHI_OK;
}

static int read_set(struct parser *p, uint32_t alternative) {
    size_t begin = p->at++;
    bool negated = p->at < p->n && p->text[p->at] == '^';
    p->at += negated;
    p->n_range = 0;
    while (p->at < p->n && p->text[p->at] != ']') {
        size_t item = p->at;
        uint32_t first = 0, last;
        int status = read_character(p, &first);
        last = first;
        if (!status && p->at + 1 < p->n && p->text[p->at] == '-' && p->text[p->at + 1] != ']') {
            p->at++;
            status = read_character(p, &last);
        }
        if (!status && last < first) status = fail(p, item, "the range ends before it begins");
        if (!status) status = add_range(p, first, last);
        if (status) return status;
    }
    if (p->at == p->n) return fail(p, begin, "the bracket is not closed");
    if (p->n_range == 0 && !negated) return fail(p, begin, "the set is empty: nothing can match it");
    p->at++;
    phi_grammar_add_set(p->b, alternative, p->range, p->n_range, negated);
    return PHI_OK;
}

/* ---- Items ----------------------------------------------------------------------------------------------------- */

static bool is_repetition(const struct parser *p) {
    return p->at < p->n && p->text[p->at] && strchr("*+?{", p->text[p->at]);
}

static int read_count(struct parser *p, int *count) {
    size_t begin = p->at;
    skip_blank(p, false);
    *count = -1;
    while (p->at < p->n && p->text[p->at] >= '0' && p->text[p->at] <= '9') {
        *count = (*count < 0 ? 0 : *count) * 10 + p->text[p->at++] - '0';
        if (*count > PHI_GRAMMAR_MAX_REPEAT)
            return fail(p, begin, "more than %d repetitions", PHI_GRAMMAR_MAX_REPEAT);
    }
    skip_blank(p, false);
    return PHI_OK;
}

/* {m} {m,} {m,n} */
static int read_counts(struct parser *p, int *least, int *most) {
    size_t begin = p->at++;
    int status = read_count(p, least);
    *most = *least;
    if (!status && *least >= 0 && p->at < p->n && p->text[p->at] == ',') {
        p->at++;
        status = read_count(p, most);
    }
    if (status) return status;
    if (*least < 0 || p->at == p->n || p->text[p->at] != '}')
        return fail(p, begin, "expected a repetition: {m}, {m,} or {m,n}");
    if (*most >= 0 && *most < *least) return fail(p, begin, "{%d,%d}: the larger number comes last", *least, *most);
    p->at++;
    return PHI_OK;
}

/* What stands behind an item that is a rule: * + ? {m,n}, any number of them. Then append it. */
static int read_repetitions(struct parser *p, uint32_t alternative, uint32_t item) {
    skip_blank(p, p->n_group > 0);
    while (is_repetition(p)) {
        char c = p->text[p->at];
        int least = c == '+', most = c == '?' ? 1 : -1, status;
        uint32_t repeated;
        if (c != '{')
            p->at++;
        else if ((status = read_counts(p, &least, &most)))
            return status;
        if ((status = new_rule(p, p->at, &repeated))) return status;
        phi_grammar_add_repeat(p->b, phi_grammar_alternative(p->b, repeated), item, least, most);
        item = repeated;
        skip_blank(p, p->n_group > 0);
    }
    phi_grammar_add_rule(p->b, alternative, item);
    return phi_grammar_builder_failed(p->b) ? PHI_USAGE : PHI_OK;
}

/* A literal, a set or the dot, into the alternative itself, or into a rule of its own if it is repeated. */
static int read_characters(struct parser *p, uint32_t alternative) {
    char close = p->text[p->at] == '"' ? '"' : p->text[p->at] == '[' ? ']' : 0;
    size_t begin = p->at, end;
    uint32_t rule, into = alternative;
    if (close)
        while (++p->at < p->n && p->text[p->at] != close) p->at += p->text[p->at] == '\\';
    end = p->at = p->at < p->n ? p->at + 1 : p->n;
    skip_blank(p, p->n_group > 0);
    bool repeated = is_repetition(p);
    p->at = begin;
    if (repeated) {
        int status = new_rule(p, begin, &rule);
        if (status) return status;
        into = phi_grammar_alternative(p->b, rule);
    }
    int status = close == '"' ? read_literal(p, into) : close ? read_set(p, into) : PHI_OK;
    if (!close) phi_grammar_add_set(p->b, into, NULL, 0, true);
    if (!close) p->at = end;
    if (status || !repeated) return status ? status : phi_grammar_builder_failed(p->b) ? PHI_USAGE : PHI_OK;
    return read_repetitions(p, alternative, rule);
}

static int open_group(struct parser *p, uint32_t *alternative) {
    size_t begin = p->at++;
    if (p->n_group == PHI_GRAMMAR_MAX_NESTING)
        return fail(p, begin, "more than %d groups inside each other", PHI_GRAMMAR_MAX_NESTING);
    struct group *g = &p->group[p->n_group];
    *g = (struct group){begin, 0, *alternative};
    int status = new_rule(p, begin, &g->rule);
    if (status) return status;
    p->n_group++;
    *alternative = phi_grammar_alternative(p->b, g->rule);
    return PHI_OK;
}

static int close_group(struct parser *p, uint32_t *alternative) {
    if (p->n_group == 0) return fail(p, p->at, "a closing parenthesis without an opening one");
    struct group g = p->group[--p->n_group];
    p->at++;
    *alternative = g.back;
    return read_repetitions(p, g.back, g.rule);
}

/* ---- Rules ----------------------------------------------------------------------------------------------------- */

static int read_item(struct parser *p, uint32_t rule, uint32_t *alternative) {
    char c = p->text[p->at];
    if (is_name(c)) {
        struct name *name;
        size_t begin = p->at;
        int status = read_name(p, &name);
        if (status) return status;
        if (name->used == NOWHERE) name->used = begin;
        return read_repetitions(p, *alternative, name->rule);
    }
    switch (c) {
    case '"':
    case '[':
    case '.':
        return read_characters(p, *alternative);
    case '(':
        return open_group(p, alternative);
    case ')':
        return close_group(p, alternative);
    case '|':
        p->at++;
        *alternative = phi_grammar_alternative(p->b, p->n_group ? p->group[p->n_group - 1].rule : rule);
        skip_blank(p, true);
        return phi_grammar_builder_failed(p->b) ? PHI_USAGE : PHI_OK;
    case '*':
    case '+':
    case '?':
    case '{':
        return fail(p, p->at, "there is nothing before %c to repeat", c);
    case '<':
    case '!':
        return fail(p, p->at, "tokens by name or number are not supported; write the text itself in quotation marks");
    default: {
        char quote[PHI_QUOTE_SIZE];
        int length = phi_utf8_length(p->text + p->at, p->n - p->at);
        return fail(p, p->at, "'%s' cannot stand here; expected \"text\", [set], a rule, (, ) or |",
                    phi_quote(quote, p->text + p->at, length > 0 ? (size_t)length : 1));
    }
    }
}

/* Does a rule begin here, though a | or ::= before has joined the lines? */
static bool begins_rule(struct parser *p) {
    size_t begin = p->at;
    p->at += name_length(p);
    bool named = p->at > begin;
    skip_blank(p, false);
    bool yes = named && p->n - p->at >= 3 && memcmp(p->text + p->at, "::=", 3) == 0;
    p->at = begin;
    return yes;
}

/* Behind name ::= */
static int read_alternatives(struct parser *p, uint32_t rule) {
    uint32_t alternative = phi_grammar_alternative(p->b, rule);
    int status = PHI_OK;
    skip_blank(p, true);
    while (!status) {
        skip_blank(p, p->n_group > 0);
        size_t line_end = p->at;
        skip_blank(p, true);
        if (p->at < p->n && (p->at == line_end || p->text[p->at] == '|') && !begins_rule(p)) {
            status = read_item(p, rule, &alternative);
            continue;
        }
        if (p->n_group > 0) return fail(p, p->group[p->n_group - 1].begin, "the parenthesis is not closed");
        return PHI_OK;
    }
    return status;
}

static int read_rule(struct parser *p) {
    size_t begin = p->at;
    char quote[PHI_QUOTE_SIZE];
    struct name *name;
    if (name_length(p) == 0) return fail(p, begin, "expected the name of a rule (letters, digits, - and _)");
    int status = read_name(p, &name);
    if (status) return status;
    const char *text = phi_quote(quote, p->text + begin, name->n);
    if (name->defined != NOWHERE) return fail(p, begin, "rule '%s' is there twice", text);
    name->defined = begin;
    p->where[name->rule] = begin;
    skip_blank(p, false);
    if (p->n - p->at < 3 || memcmp(p->text + p->at, "::=", 3) != 0)
        return fail(p, p->at, "expected ::= behind the name '%s'", text);
    p->at += 3;
    return read_alternatives(p, name->rule);
}

/* Does every name that is used have a rule? */
static int check_names(struct parser *p) {
    const struct name *worst = NULL;
    for (size_t i = 0; i < p->n_name; i++)
        if (p->name[i].defined == NOWHERE && (!worst || p->name[i].used < worst->used)) worst = &p->name[i];
    char quote[PHI_QUOTE_SIZE];
    if (!worst) return PHI_OK;
    return fail(p, worst->used, "there is no rule '%s'", phi_quote(quote, p->text + worst->begin, worst->n));
}

static int compile(struct parser *p, const phi_model *model, uint32_t root, phi_grammar **out) {
    uint32_t bad;
    phi_error why = {""};
    int status = phi_grammar_compile(p->b, model, root, out, &bad, &why);
    if (status != PHI_USAGE || bad == UINT32_MAX) return status ? phi_fail(p->err, status, "%s", why.text) : status;
    size_t at = p->where[bad < p->n_where ? bad : p->n_where - 1];
    for (size_t i = 0; i < p->n_name; i++) {
        char quote[PHI_QUOTE_SIZE];
        if (p->name[i].rule != bad) continue;
        return fail(p, at, "rule '%s': %s", phi_quote(quote, p->text + p->name[i].begin, p->name[i].n), why.text);
    }
    return fail(p, at, "this part: %s", why.text);
}

static int parse(struct parser *p, const phi_model *model, const char *root, phi_grammar **out) {
    int status = PHI_OK;
    if (p->n > PHI_GRAMMAR_MAX_TEXT)
        return phi_fail(p->err, PHI_USAGE, "the grammar has %zu bytes, at most %d are possible", p->n,
                        PHI_GRAMMAR_MAX_TEXT);
    skip_blank(p, true);
    while (!status && p->at < p->n) status = read_rule(p);
    if (!status) status = check_names(p);
    if (!status || phi_grammar_builder_failed(p->b)) {
        struct name *name = find_name(p, root, strlen(root));
        char quote[PHI_QUOTE_SIZE];
        if (!status && !name)
            return phi_fail(p->err, PHI_USAGE, "grammar: there is no rule '%s', with which an answer begins",
                            phi_quote(quote, root, strlen(root)));
        status = compile(p, model, name ? name->rule : 0, out);
    }
    return status;
}

int phi_grammar_open(const phi_model *model, const char *text, size_t n_bytes, const char *root, phi_grammar **out,
                     phi_error *err) {
    struct parser *p = phi_alloc(1, sizeof *p);
    int status = PHI_MEMORY;
    *out = NULL;
    if (!p) return phi_fail(err, PHI_MEMORY, "not enough memory for a grammar of %zu bytes", n_bytes);
    *p = (struct parser){.b = phi_grammar_builder_open(), .text = text, .n = n_bytes, .err = err};
    status = p->b ? parse(p, model, root ? root : "root", out) : no_memory(p);
    phi_grammar_builder_close(p->b);
    phi_free(p->name);
    phi_free(p->slot);
    phi_free(p->where);
    phi_free(p->range);
    phi_free(p);
    return status;
}
