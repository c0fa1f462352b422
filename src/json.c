/* Parses JSON from untrusted bytes. One loop and no recursion: an open container keeps the index of the one around it
 * where it will keep its end. Strings are decoded in place, since no escape is shorter than what it stands for. Keys go
 * into one hash table, which finds members and those that stand twice. */
#include "json.h"

#include "hash.h"
#include "memory.h"
#include "utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_NODE UINT32_MAX

struct parser {
    struct phi_json *j;
    size_t at, n;       /* in j->text; at never goes back */
    uint32_t open;      /* the innermost container, NO_NODE outside all */
    uint32_t cap;       /* nodes that there is room for */
    uint32_t n_key;
    int depth;
    const char *original; /* the text as it was given */
    const char *name;
    int bad;
    phi_error *err;
};

/* ---- Errors ---- */

/* Line and column are only counted when somebody is told. */
static int fail_at(const struct parser *p, size_t at, const char *what, const char *found) {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at; i++) {
        column += ((unsigned char)p->original[i] & 0xc0) != 0x80;
        if (p->original[i] == '\n') line++, column = 1;
    }
    return phi_fail(p->err, p->bad, "%s: line %zu, column %zu: %s%s", p->name, line, column, what, found);
}

static int fail(const struct parser *p, const char *what) {
    return fail_at(p, p->at, what, "");
}

static int expected(const struct parser *p, const char *what) {
    char quoted[PHI_QUOTE_SIZE], found[PHI_QUOTE_SIZE + 32];
    if (p->at == p->n) return fail_at(p, p->at, what, ", found the end of the text");
    int length = phi_utf8_length(p->original + p->at, p->n - p->at);
    phi_quote(quoted, p->original + p->at, length > 0 ? (size_t)length : 1);
    snprintf(found, sizeof found, ", found '%s'", quoted);
    return fail_at(p, p->at, what, found);
}

static int no_memory(const struct parser *p) {
    return phi_fail(p->err, PHI_MEMORY, "%s: not enough memory for a JSON text of %zu bytes", p->name, p->n);
}

/* ---- Nodes ---- */

static struct phi_json_node *add_node(struct parser *p, enum phi_json_kind kind, size_t at) {
    struct phi_json *j = p->j;
    if (j->n_node == p->cap) {
        /* Every value costs two bytes at least, but the first, and those that are still open in a text that was cut. */
        size_t most = p->n / 2 + 1 + PHI_JSON_MAX_DEPTH;
        size_t cap = p->cap < 32 ? 64 : 2 * (size_t)p->cap;
        if (cap > most) cap = most;
        struct phi_json_node *node = phi_realloc(j->node, cap, sizeof *node);
        if (!node) return NULL;
        j->node = node;
        p->cap = (uint32_t)cap;
    }
    struct phi_json_node *node = &j->node[j->n_node++];
    *node = (struct phi_json_node){.kind = (uint8_t)kind, .at = (uint32_t)at, .next = j->n_node};
    return node;
}

/* ---- Strings ---- */

static bool hex4(const struct parser *p, size_t at, uint32_t *code) {
    *code = 0;
    if (p->n - at < 4) return false;
    for (size_t i = at; i < at + 4; i++) {
        unsigned char c = (unsigned char)p->j->text[i], lower = c | 0x20;
        if (c >= '0' && c <= '9')
            *code = *code << 4 | (uint32_t)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            *code = *code << 4 | (uint32_t)(lower - 'a' + 10);
        else
            return false;
    }
    return true;
}

/* The escape at p->at, whose \ is there -> UTF-8 at `out`. Returns its length, or a negative status. */
static int take_escape(struct parser *p, char *out) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *text = p->j->text;
    size_t left = p->n - p->at;
    uint32_t code, low;
    const char *simple = left > 1 && text[p->at + 1] ? strchr(from, text[p->at + 1]) : NULL;
    if (simple) {
        *out = to[simple - from];
        p->at += 2;
        return 1;
    }
    if (left < 2 || text[p->at + 1] != 'u') return fail(p, "a \\ that begins no escape of JSON");
    if (!hex4(p, p->at + 2, &code)) return fail(p, "\\u without four hexadecimal digits");
    if (code >= 0xdc00 && code <= 0xdfff) return fail(p, "the second half of a surrogate pair without the first");
    if (code >= 0xd800 && code <= 0xdbff) {
        bool pair = left >= 12 && text[p->at + 6] == '\\' && text[p->at + 7] == 'u' && hex4(p, p->at + 8, &low);
        if (!pair || low < 0xdc00 || low > 0xdfff)
            return fail(p, "the first half of a surrogate pair without the second");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        p->at += 6;
    }
    p->at += 6;
    return phi_utf8_encode(code, out);
}

/* The string whose opening quote is at p->at. */
static int take_string(struct parser *p, enum phi_json_kind kind) {
    char *text = p->j->text;
    size_t begin = ++p->at, out = begin;
    while (p->at < p->n && text[p->at] != '"') {
        unsigned char c = (unsigned char)text[p->at];
        if (c == '\\') {
            int length = take_escape(p, text + out);
            if (length < 0) return length;
            out += (size_t)length;
        } else if (c < 0x20) {
            return expected(p, "a control character in a string must be escaped");
        } else if (c < 0x80) {
            text[out++] = text[p->at++];
        } else {
            int length = phi_utf8_length(text + p->at, p->n - p->at);
            if (length < 1) return expected(p, "a string that is not valid UTF-8");
            memmove(text + out, text + p->at, (size_t)length);
            out += (size_t)length;
            p->at += (size_t)length;
        }
    }
    if (p->at == p->n) return expected(p, "expected \" at the end of a string");
    p->at++;
    text[out] = 0;
    struct phi_json_node *node = add_node(p, kind, begin);
    if (!node) return no_memory(p);
    node->n = (uint32_t)(out - begin);
    return 0;
}

/* ---- Other values ---- */

static bool is_digit(const struct parser *p) {
    return p->at < p->n && p->j->text[p->at] >= '0' && p->j->text[p->at] <= '9';
}

static bool take(struct parser *p, char c) {
    if (p->at == p->n || p->j->text[p->at] != c) return false;
    p->at++;
    return true;
}

static int take_digits(struct parser *p) {
    if (!is_digit(p)) return expected(p, "expected a digit");
    while (is_digit(p)) p->at++;
    return 0;
}

/* -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)? */
static int take_number(struct parser *p) {
    size_t begin = p->at;
    int status = 0;
    take(p, '-');
    if (!take(p, '0'))
        status = take_digits(p);
    else if (is_digit(p))
        status = fail(p, "a number with a 0 before other digits");
    if (!status && take(p, '.')) status = take_digits(p);
    if (!status && (take(p, 'e') || take(p, 'E'))) {
        if (!take(p, '+')) take(p, '-');
        status = take_digits(p);
    }
    if (status) return status;
    struct phi_json_node *node = add_node(p, PHI_JSON_NUMBER, begin);
    if (!node) return no_memory(p);
    node->n = (uint32_t)(p->at - begin);
    return 0;
}

static int take_word(struct parser *p) {
    static const char *const words[] = {[PHI_JSON_NULL] = "null", [PHI_JSON_FALSE] = "false", [PHI_JSON_TRUE] = "true"};
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);
        if (p->n - p->at < n || memcmp(p->j->text + p->at, words[i], n) != 0) continue;
        if (!add_node(p, (enum phi_json_kind)i, p->at)) return no_memory(p);
        p->at += n;
        return 0;
    }
    return expected(p, "expected a value");
}

static char after_space(struct parser *p) { /* the next character that is no white space; 0 at the end */
    const char *text = p->j->text;
    while (p->at < p->n && (text[p->at] == ' ' || text[p->at] == '\n' || text[p->at] == '\r' || text[p->at] == '\t'))
        p->at++;
    return p->at < p->n ? text[p->at] : 0;
}

/* ---- Containers ---- */

static int take_key(struct parser *p) {
    if (after_space(p) != '"') return expected(p, "expected a key in quotes");
    int status = take_string(p, PHI_JSON_KEY);
    if (status) return status;
    p->j->node[p->j->n_node - 1].next = p->open;
    p->n_key++;
    if (after_space(p) != ':') return expected(p, "expected : behind a key");
    p->at++;
    return 0;
}

static void close_container(struct parser *p) {
    struct phi_json_node *node = &p->j->node[p->open];
    p->open = node->next;
    node->next = p->j->n_node;
    p->depth--;
    p->at++;
}

/* A [ or { with what follows up to the place of a value; *empty: it is closed again, so that it was the value. */
static int open_container(struct parser *p, char c, bool *empty) {
    _Static_assert(PHI_JSON_MAX_DEPTH == 256, "as the sentence says");
    if (p->depth == PHI_JSON_MAX_DEPTH) return fail(p, "nested more than 256 deep");
    struct phi_json_node *node = add_node(p, c == '[' ? PHI_JSON_ARRAY : PHI_JSON_OBJECT, p->at);
    if (!node) return no_memory(p);
    node->next = p->open;
    p->open = p->j->n_node - 1;
    p->depth++;
    p->at++;
    *empty = after_space(p) == (c == '[' ? ']' : '}');
    if (*empty) {
        close_container(p);
        return 0;
    }
    p->j->node[p->open].n = 1;
    return c == '{' ? take_key(p) : 0;
}

/* What may stand behind a value: the ends of containers, then a comma up to the place of the next value. *end: the
 * value was the last. */
static int take_separator(struct parser *p, bool *end) {
    for (;;) {
        char c = after_space(p);
        *end = p->open == NO_NODE;
        if (*end) return p->at < p->n ? expected(p, "expected nothing behind the value") : 0;
        struct phi_json_node *node = &p->j->node[p->open];
        bool array = node->kind == PHI_JSON_ARRAY;
        if (c == ',') {
            p->at++;
            node->n++;
            return array ? 0 : take_key(p);
        }
        if (c != (array ? ']' : '}')) return expected(p, array ? "expected , or ]" : "expected , or }");
        close_container(p);
    }
}

static int take_text(struct parser *p) {
    int status = 0;
    for (bool end = false; !end && !status;) {
        char c = after_space(p);
        bool opened = false;
        if (c == '[' || c == '{') {
            bool empty;
            status = open_container(p, c, &empty);
            opened = !status && !empty;
        } else if (c == '"') {
            status = take_string(p, PHI_JSON_STRING);
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            status = take_number(p);
        } else {
            status = take_word(p);
        }
        if (!status && !opened) status = take_separator(p, &end);
    }
    return status;
}

/* ---- Keys ---- */

static uint64_t hash_key(const struct phi_json *j, uint32_t object, const char *key, size_t n) {
    uint64_t h = phi_hash_mix(j->seed ^ object), word;
    for (; n >= sizeof word; key += sizeof word, n -= sizeof word) {
        memcpy(&word, key, sizeof word);
        h = phi_hash_mix(h ^ word) + j->seed;
    }
    word = n;
    memcpy((char *)&word + 1, key, n); /* at most 7 bytes, and their number */
    return phi_hash_mix(h ^ word);
}

/* The slot of the key, or the empty one where it belongs. */
static uint32_t *find_slot(const struct phi_json *j, uint32_t object, const char *key, size_t n) {
    uint32_t i = (uint32_t)hash_key(j, object, key, n) & j->slot_mask;
    for (;; i = (i + 1) & j->slot_mask) {
        const struct phi_json_node *node = &j->node[j->slot[i]];
        if (!j->slot[i]) return &j->slot[i];
        if (node->next == object && node->n == n && memcmp(j->text + node->at, key, n) == 0) return &j->slot[i];
    }
}

static int index_keys(struct parser *p) {
    struct phi_json *j = p->j;
    uint64_t n_slot = 2;
    while (n_slot < 2 * (uint64_t)p->n_key) n_slot *= 2;
    j->slot = phi_alloc((size_t)n_slot, sizeof *j->slot);
    if (!j->slot) return no_memory(p);
    j->slot_mask = (uint32_t)(n_slot - 1);
    j->seed = phi_hash_seed(j->slot);
    for (uint32_t i = 0; i < j->n_node; i++) {
        const struct phi_json_node *node = &j->node[i];
        if (node->kind != PHI_JSON_KEY) continue;
        uint32_t *slot = find_slot(j, node->next, j->text + node->at, node->n);
        char quoted[PHI_QUOTE_SIZE], found[PHI_QUOTE_SIZE + 32];
        snprintf(found, sizeof found, "the key \"%s\" stands twice in an object",
                 phi_quote(quoted, j->text + node->at, node->n));
        if (*slot) return fail_at(p, node->at - 1, found, "");
        *slot = i;
    }
    return 0;
}

uint32_t phi_json_get_n(const struct phi_json *j, uint32_t object, const char *key, size_t n) {
    uint32_t k = j->node[object].kind == PHI_JSON_OBJECT ? *find_slot(j, object, key, n) : 0;
    return k ? k + 1 : 0;
}

uint32_t phi_json_get(const struct phi_json *j, uint32_t object, const char *key) {
    return phi_json_get_n(j, object, key, strlen(key));
}

bool phi_json_is(const struct phi_json *j, uint32_t v, const char *text) {
    const struct phi_json_node *node = &j->node[v];
    bool string = node->kind == PHI_JSON_STRING || node->kind == PHI_JSON_KEY;
    return string && node->n == strlen(text) && memcmp(j->text + node->at, text, node->n) == 0;
}

/* ---- The whole ---- */

int phi_json_open(struct phi_json *j, const char *text, size_t n, const char *name, int bad, phi_error *err) {
    struct parser p = {.j = j, .n = n, .open = NO_NODE, .original = text, .name = name, .bad = bad, .err = err};
    memset(j, 0, sizeof *j);
    if (n >= UINT32_MAX)
        return phi_fail(err, bad, "%s: a JSON text of %zu bytes; the most is 4 GiB", name, n);
    j->text = phi_alloc(n + 1, 1);
    if (!j->text) return no_memory(&p);
    memcpy(j->text, text, n);
    int status = n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? fail(&p, "a byte order mark; remove it") : take_text(&p);
    if (!status) status = index_keys(&p);
    if (status) phi_json_close(j);
    return status;
}

void phi_json_close(struct phi_json *j) {
    phi_free(j->text);
    phi_free(j->node);
    phi_free(j->slot);
    memset(j, 0, sizeof *j);
}

/* ---- Numbers ---- */

void phi_json_decimal(const struct phi_json *j, uint32_t number, struct phi_json_decimal *d) {
    enum { MOST = 1 << 30 }; /* far beyond every double; bounds the sum below */
    const char *s = phi_json_text(j, number), *end = s + j->node[number].n;
    int64_t point = 0, exponent = 0; /* digits before the point, less the zeros behind it that open the number */
    bool behind = false;
    d->negative = *s == '-';
    d->cut = false;
    d->n = 0;
    for (s += d->negative; s < end && *s != 'e' && *s != 'E'; s++) {
        if (*s == '.') {
            behind = true;
            continue;
        }
        if (*s != '0' || d->n) {
            if (d->n < PHI_JSON_MAX_DIGITS)
                d->digit[d->n++] = *s;
            else
                d->cut |= *s != '0';
            point += !behind;
        } else {
            point -= behind;
        }
    }
    bool minus = end - s > 1 && s[1] == '-';
    for (s += 1; s < end; s++)
        if (*s >= '0' && *s <= '9' && exponent < MOST) exponent = 10 * exponent + (*s - '0');
    while (d->n && d->digit[d->n - 1] == '0' && !d->cut) d->n--;
    d->exponent = d->n ? point + (minus ? -exponent : exponent) : 0;
}

bool phi_json_i64(const struct phi_json *j, uint32_t v, int64_t *out) {
    struct phi_json_decimal d;
    uint64_t u = 0, most = INT64_MAX;
    if (j->node[v].kind != PHI_JSON_NUMBER) return false;
    phi_json_decimal(j, v, &d);
    if (d.cut || d.exponent < d.n || d.exponent > 19) return false; /* < 10^19, so that u cannot wrap */
    for (int i = 0; i < d.exponent; i++) u = 10 * u + (uint64_t)(i < d.n ? d.digit[i] - '0' : 0);
    if (u > most + d.negative) return false;
    *out = d.negative ? -(int64_t)(u - (u > 0)) - (u > 0) : (int64_t)u;
    return true;
}

bool phi_json_f64(const struct phi_json *j, uint32_t v, double *out) {
    enum { BEYOND = 100000 };
    struct phi_json_decimal d;
    char word[PHI_JSON_MAX_DIGITS + 40];
    if (j->node[v].kind != PHI_JSON_NUMBER) return false;
    phi_json_decimal(j, v, &d);
    /* Digits and an exponent without a point: strtod() takes that in every locale. One digit more stands for those that
     * were cut. */
    size_t n = 0;
    if (d.negative) word[n++] = '-';
    memcpy(word + n, d.digit, (size_t)d.n);
    n += (size_t)d.n;
    if (!d.n || d.cut) word[n++] = d.cut ? '1' : '0';
    int64_t e = d.exponent - (d.n + d.cut);
    snprintf(word + n, sizeof word - n, "e%" PRId64, e < -BEYOND ? -BEYOND : e > BEYOND ? BEYOND : e);
    *out = strtod(word, NULL);
    return *out - *out == 0; /* infinity is not */
}

/* ---- Writing ---- */

size_t phi_json_escape(const char *text, size_t n, char out[PHI_JSON_ESCAPE_SIZE], size_t *used) {
    static const char digits[] = "0123456789abcdef", from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    int length = phi_utf8_length(text, n);
    unsigned char c = (unsigned char)text[0];
    const char *simple = c ? strchr(from, c) : NULL;
    *used = length > 0 ? (size_t)length : 1;
    if (length < 1) {
        memcpy(out, "\xef\xbf\xbd", 3); /* NOLINT(bugprone-not-null-terminated-result): no string */
        return 3;
    }
    if (simple) {
        out[0] = '\\', out[1] = to[simple - from];
        return 2;
    }
    if (c < 0x20) {
        memcpy(out, "\\u00", 4); /* NOLINT(bugprone-not-null-terminated-result): no string */
        out[4] = digits[c >> 4], out[5] = digits[c & 15];
        return 6;
    }
    memcpy(out, text, *used);
    return *used;
}
