/* Reads a pattern and makes its nondeterministic automaton; dfa.c makes that deterministic. A pattern comes out as a
 * program in postfix order ("ab|c*" is a b CAT c STAR ALT), so that an operand is a piece of the program that a {m,n} can
 * copy, and nothing recurses however deep the groups are. */
#include "regex_parts.h"

#include "memory.h"
#include "unicode.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_PATTERN = 4096, MAX_PROGRAM = 1 << 14, MAX_RANGES = 1 << 18, CODE_LAST = 0x10ffff };

struct frame { /* a group that is open */
    uint32_t begin; /* of its program */
    bool has_term, has_branch;
};

struct reader {
    const char *text, *end;
    struct regex *r;
    struct frame *frame; /* [MAX_PATTERN + 1] */
    uint32_t n_frame;
    uint32_t room_op, room_set, room_range;
    phi_error *err;
};

static int fail(struct reader *p, const char *what) {
    return phi_fail(p->err, PHI_USAGE, "%s", what);
}

static int no_memory(struct reader *p) {
    return phi_fail(p->err, PHI_MEMORY, "not enough memory for a pattern");
}

/* ---- Sets ---- */

static int add_range(struct reader *p, uint32_t first, uint32_t last) {
    struct regex *r = p->r;
    if (first > last) return 0;
    if (r->n_range == MAX_RANGES) return fail(p, "the pattern has too many character ranges");
    if (r->n_range == p->room_range) {
        uint32_t more = 2 * p->room_range + 64;
        void *q = phi_realloc(r->range, more, sizeof *r->range);
        if (!q) return no_memory(p);
        r->range = q;
        p->room_range = more;
    }
    r->range[r->n_range++] = (struct regex_range){first, last};
    return 0;
}

static int by_first(const void *a, const void *b) {
    uint32_t x = ((const struct regex_range *)a)->first, y = ((const struct regex_range *)b)->first;
    return (x > y) - (x < y);
}

/* Sort and merge the ranges from begin on; then, if so, take what is between them instead. */
static int normalize(struct reader *p, uint32_t begin, bool negated) {
    struct regex *r = p->r;
    uint32_t n = begin, from = 0;
    if (r->n_range > begin) qsort(r->range + begin, r->n_range - begin, sizeof *r->range, by_first);
    for (uint32_t i = begin; i < r->n_range; i++) {
        if (n > begin && r->range[i].first <= r->range[n - 1].last + 1) {
            if (r->range[i].last > r->range[n - 1].last) r->range[n - 1].last = r->range[i].last;
        } else {
            r->range[n++] = r->range[i];
        }
    }
    r->n_range = n;
    if (!negated) return 0;
    for (uint32_t i = begin; i < n; i++) { /* each range becomes the one before it */
        struct regex_range was = r->range[i];
        r->range[i] = (struct regex_range){from, was.first - 1}; /* empty, if at all the first: removed below */
        if (was.first == from) r->range[i] = (struct regex_range){1, 0};
        from = was.last + 1;
    }
    int status = add_range(p, from, CODE_LAST);
    uint32_t kept = begin;
    for (uint32_t i = begin; i < r->n_range; i++)
        if (r->range[i].first <= r->range[i].last) r->range[kept++] = r->range[i];
    r->n_range = kept;
    return status;
}

/* \d \w \s and their negations. Where two kinds of engine disagree about a character, narrow leaves it out and wide
 * takes it: ECMA-262's \d and \w are ASCII, others know all of Unicode; about some spaces they differ both ways. */
static bool in_class(char letter, uint32_t code, bool wide) {
    enum phi_class of = phi_unicode_class(code);
    bool number = of == PHI_CLASS_NUMBER, word = number || of <= PHI_CLASS_MARK;
    switch (letter) {
    case 'd':
        return wide ? number : code >= '0' && code <= '9';
    case 'w':
        return code == '_' || (word && (wide || code < 0x80));
    default:
        if (code == 0xfeff || code == 0x85 || (code >= 0x1c && code <= 0x1f)) return wide;
        return of == PHI_CLASS_SPACE;
    }
}

static int add_class(struct reader *p, char letter, bool wide) {
    bool negated = letter >= 'A' && letter <= 'Z';
    char base = (char)(letter | 0x20);
    uint32_t code = 0;
    int status = 0;
    while (code <= CODE_LAST && !status) {
        uint32_t last = phi_unicode_run_last(code);
        if (code < 0x100 || code == 0xfeff) last = code; /* where classes differ inside a run */
        else if (code < 0xfeff && last >= 0xfeff) last = 0xfefe;
        if (in_class(base, code, wide != negated) != negated) status = add_range(p, code, last);
        code = last + 1;
    }
    return status;
}

/* ---- Escapes ---- */

static bool take_hex(struct reader *p, int n, uint32_t *code) {
    *code = 0;
    if (p->end - p->text < n) return false;
    for (int i = 0; i < n; i++) {
        char c = p->text[i], lower = (char)(c | 0x20);
        if (c >= '0' && c <= '9')
            *code = *code << 4 | (uint32_t)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            *code = *code << 4 | (uint32_t)(lower - 'a' + 10);
        else
            return false;
    }
    p->text += n;
    return true;
}

/* Behind \u: HHHH, the same twice for a surrogate pair, {H..}. */
static int take_unicode(struct reader *p, uint32_t *code) {
    uint32_t low;
    if (p->text < p->end && *p->text == '{') {
        const char *close = memchr(p->text, '}', (size_t)(p->end - p->text));
        p->text++;
        if (!close || close == p->text || close - p->text > 6 || !take_hex(p, (int)(close - p->text), code) ||
            *code > CODE_LAST)
            return fail(p, "a \\u{ that is no code point");
        p->text++;
    } else if (!take_hex(p, 4, code)) {
        return fail(p, "a \\u without four hexadecimal digits");
    }
    if (*code >= 0xd800 && *code <= 0xdbff && p->end - p->text >= 6 && p->text[0] == '\\' && p->text[1] == 'u') {
        p->text += 2;
        if (!take_hex(p, 4, &low) || low < 0xdc00 || low > 0xdfff) return fail(p, "half a surrogate pair");
        *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
    }
    return *code >= 0xd800 && *code <= 0xdfff ? fail(p, "half a surrogate pair") : 0;
}

/* The character behind a \, which is no class. */
static int take_escape(struct reader *p, bool in_set, uint32_t *code) {
    static const char from[] = "tnvfr", to[] = "\t\n\v\f\r", plain[] = "^$\\.*+?()[]{}|/-\"'#&~,:;<>=!@%` ";
    char c = *p->text++;
    const char *simple = strchr(from, c);
    if (c == 0) return fail(p, "an escape that is not supported");
    if (simple) {
        *code = (uint32_t)to[simple - from];
    } else if (c == 'x') {
        if (!take_hex(p, 2, code)) return fail(p, "a \\x without two hexadecimal digits");
    } else if (c == 'u') {
        return take_unicode(p, code);
    } else if (c == 'c' && p->text < p->end && ((*p->text >= 'a' && *p->text <= 'z') || (*p->text >= 'A' && *p->text <= 'Z'))) {
        *code = (uint32_t)*p->text++ & 31;
    } else if (c == '0' && (p->text == p->end || *p->text < '0' || *p->text > '9')) {
        *code = 0;
    } else if (c == 'b' && in_set) {
        *code = '\b';
    } else if (strchr(plain, c)) {
        *code = (uint32_t)(unsigned char)c;
    } else {
        char what[64] = "\\X is not supported";
        what[1] = c;
        return fail(p, c > ' ' && c < 0x7f ? what : "an escape that is not supported");
    }
    return 0;
}

static uint32_t take_character(struct reader *p) { /* the text is valid UTF-8 */
    uint32_t code;
    enum phi_class class_of_code;
    p->text += phi_unicode_next(p->text, (size_t)(p->end - p->text), &code, &class_of_code);
    return code;
}

/* ---- Atoms ---- */

static bool is_class_letter(const struct reader *p, const char *at) {
    return at < p->end && *at && strchr("dDwWsS", *at);
}

/* One end of a range in [ ]: a character; or a class, which is added to the set. */
static int take_item(struct reader *p, bool negated, uint32_t *code, bool *is_class) {
    *is_class = *p->text == '\\' && is_class_letter(p, p->text + 1);
    if (*is_class) {
        char letter = p->text[1];
        p->text += 2;
        return add_class(p, letter, negated);
    }
    if (*p->text != '\\') {
        *code = take_character(p);
        return 0;
    }
    if (++p->text == p->end) return fail(p, "a \\ at the end");
    return take_escape(p, true, code);
}

static int take_set(struct reader *p) { /* behind the [ */
    uint32_t begin = p->r->n_range;
    bool negated = p->text < p->end && *p->text == '^';
    int status = 0;
    p->text += negated;
    while (p->text < p->end && *p->text != ']' && !status) {
        uint32_t first = 0, last;
        bool is_class, second_class;
        status = take_item(p, negated, &first, &is_class);
        last = first;
        if (!status && p->end - p->text >= 2 && p->text[0] == '-' && p->text[1] != ']') {
            p->text++;
            status = take_item(p, negated, &last, &second_class);
            if (!status && (is_class || second_class)) return fail(p, "a range in [ ] that begins or ends with a class");
            if (!status && first > last) return fail(p, "a range in [ ] that is upside down");
        }
        if (!status && !is_class) status = add_range(p, first, last);
    }
    if (status) return status;
    if (p->text == p->end) return fail(p, "a [ without its ]");
    p->text++;
    return normalize(p, begin, negated);
}

/* ---- The program ---- */

static int emit(struct reader *p, enum regex_kind kind, uint32_t arg) {
    struct regex *r = p->r;
    if (r->n_op == MAX_PROGRAM) return fail(p, "the pattern is too large (its {m,n} are written out)");
    if (r->n_op == p->room_op) {
        uint32_t more = 2 * p->room_op + 64;
        void *q = phi_realloc(r->op, more, sizeof *r->op);
        if (!q) return no_memory(p);
        r->op = q;
        p->room_op = more;
    }
    r->op[r->n_op++] = (struct regex_op){kind, arg};
    return 0;
}

/* The ranges from begin on are a set, and an atom of the program. */
static int emit_set(struct reader *p, uint32_t begin) {
    struct regex *r = p->r;
    if (r->n_set + 1 >= p->room_set) { /* one more, for the end of the last */
        uint32_t more = 2 * p->room_set + 64;
        void *q = phi_realloc(r->set, more, sizeof *r->set);
        if (!q) return no_memory(p);
        r->set = q;
        p->room_set = more;
    }
    r->set[r->n_set++] = begin;
    r->set[r->n_set] = r->n_range;
    return emit(p, REGEX_SET, r->n_set - 1);
}

static int emit_copy(struct reader *p, uint32_t begin, uint32_t end) {
    int status = 0;
    for (uint32_t i = begin; i < end && !status; i++)
        status = emit(p, p->r->op[i].kind, p->r->op[i].arg);
    return status;
}

/* The operand that begins at begin, least to most times (-1: no end): x x CAT x OPT CAT ... */
static int emit_repeat(struct reader *p, uint32_t begin, long least, long most) {
    uint32_t end = p->r->n_op;
    int status = 0;
    if (most == 0) {
        p->r->n_op = begin;
        return emit(p, REGEX_EMPTY, 0);
    }
    long copies = most < 0 ? (least ? least : 1) : most;
    for (long i = 0; i < copies && !status; i++) {
        if (i) status = emit_copy(p, begin, end);
        if (!status && i >= least) status = emit(p, most < 0 ? REGEX_STAR : REGEX_OPTION, 0);
        if (!status && most < 0 && least && i == least - 1) status = emit(p, REGEX_PLUS, 0);
        if (!status && i) status = emit(p, REGEX_CAT, 0);
    }
    return status;
}

/* Digits of a {m,n}; false: there are none. */
static bool take_count(struct reader *p, long *v) {
    const char *begin = p->text;
    for (*v = 0; p->text < p->end && *p->text >= '0' && *p->text <= '9'; p->text++)
        if (*v < MAX_PROGRAM) *v = 10 * *v + (*p->text - '0');
    return p->text > begin;
}

static int take_quantifiers(struct reader *p, uint32_t begin) {
    if (p->text == p->end || !*p->text || !strchr("*+?{", *p->text)) return 0;
    char c = *p->text++;
    long least = c == '+', most = c == '?' ? 1 : -1;
    if (c == '{') {
        bool good = take_count(p, &least);
        most = least;
        if (good && p->text < p->end && *p->text == ',') {
            p->text++;
            if (!take_count(p, &most)) most = -1;
        }
        if (!good || p->text == p->end || *p->text != '}') return fail(p, "a { that is no {m,n}");
        p->text++;
        if (most >= 0 && least > most) return fail(p, "a {m,n} with m above n");
    }
    if (p->text < p->end && *p->text == '?') p->text++; /* lazy: the same texts */
    if (p->text < p->end && *p->text && strchr("*+?{", *p->text)) return fail(p, "a quantifier behind a quantifier");
    return emit_repeat(p, begin, least, most);
}

/* Quantifiers, then the term joins those before it. */
static int end_term(struct reader *p, uint32_t begin) {
    struct frame *f = &p->frame[p->n_frame - 1];
    int status = take_quantifiers(p, begin);
    if (!status && f->has_term) status = emit(p, REGEX_CAT, 0);
    f->has_term = true;
    return status;
}

static int end_branch(struct reader *p) {
    struct frame *f = &p->frame[p->n_frame - 1];
    int status = f->has_term ? 0 : emit(p, REGEX_EMPTY, 0);
    if (!status && f->has_branch) status = emit(p, REGEX_ALT, 0);
    f->has_term = false;
    f->has_branch = true;
    return status;
}

static int open_group(struct reader *p) { /* behind the ( */
    if (p->end - p->text >= 2 && p->text[0] == '?') {
        char kind = p->text[1], next = p->end - p->text > 2 ? p->text[2] : 0;
        if (kind == '=' || kind == '!' || (kind == '<' && (next == '=' || next == '!')))
            return fail(p, "(?=, (?!, (?<= and (?<! are not supported");
        const char *close = kind == '<' ? memchr(p->text, '>', (size_t)(p->end - p->text)) : NULL;
        if (kind != ':' && !close) return fail(p, "a (? that is not supported");
        p->text = close ? close + 1 : p->text + 2;
    }
    p->frame[p->n_frame++] = (struct frame){.begin = p->r->n_op};
    return 0;
}

static int take_escaped_atom(struct reader *p) { /* behind the \ */
    uint32_t begin = p->r->n_range, code = 0;
    int status;
    if (p->text == p->end) return fail(p, "a \\ at the end");
    if (is_class_letter(p, p->text)) {
        status = add_class(p, *p->text, false);
        p->text++;
    } else {
        status = take_escape(p, false, &code);
        if (!status) status = add_range(p, code, code);
    }
    if (!status) status = normalize(p, begin, false);
    return status ? status : emit_set(p, begin);
}

static int take_term(struct reader *p) {
    struct regex *r = p->r;
    uint32_t begin = r->n_op, ranges = r->n_range;
    int status = 0;
    char c = *p->text++;
    switch (c) {
    case '^':
    case '$':
        status = emit(p, c == '^' ? REGEX_BEGIN : REGEX_END, 0);
        break;
    case '.': /* \n, \r, U+2028 and U+2029 end lines */
        status = add_range(p, '\n', '\n');
        if (!status) status = add_range(p, '\r', '\r');
        if (!status) status = add_range(p, 0x2028, 0x2029);
        if (!status) status = normalize(p, ranges, true);
        if (!status) status = emit_set(p, ranges);
        break;
    case '[':
        status = take_set(p);
        if (!status) status = emit_set(p, ranges);
        break;
    case '\\':
        status = take_escaped_atom(p);
        break;
    case '*':
    case '+':
    case '?':
    case '{':
        return fail(p, "a quantifier with nothing before it");
    case ']':
    case '}':
        return fail(p, "a ] or } without its beginning; a \\ before it makes it a character");
    default:
        p->text--;
        uint32_t code = take_character(p);
        status = add_range(p, code, code);
        if (!status) status = emit_set(p, ranges);
    }
    return status ? status : end_term(p, begin);
}

static int read_pattern(struct reader *p) {
    int status = 0;
    p->frame[p->n_frame++] = (struct frame){0};
    while (p->text < p->end && !status) {
        if (*p->text == '|') {
            p->text++;
            status = end_branch(p);
        } else if (*p->text == '(') {
            p->text++;
            status = open_group(p);
        } else if (*p->text == ')') {
            p->text++;
            if (p->n_frame == 1) return fail(p, "a ) without its (");
            status = end_branch(p);
            uint32_t begin = p->frame[--p->n_frame].begin;
            if (!status) status = end_term(p, begin);
        } else {
            status = take_term(p);
        }
    }
    if (!status && p->n_frame > 1) return fail(p, "a ( without its )");
    return status ? status : end_branch(p);
}

int phi_regex_open(const char *pattern, size_t n, struct regex *r, phi_error *err) {
    struct reader p = {.text = pattern, .end = pattern + n, .r = r, .err = err};
    memset(r, 0, sizeof *r);
    if (n > MAX_PATTERN) return fail(&p, "the pattern is longer than 4096 bytes");
    p.frame = phi_alloc(n + 1, sizeof *p.frame);
    int status = p.frame ? read_pattern(&p) : no_memory(&p);
    phi_free(p.frame);
    if (status) phi_regex_close(r);
    return status;
}

void phi_regex_close(struct regex *r) {
    phi_free(r->range);
    phi_free(r->set);
    phi_free(r->op);
    memset(r, 0, sizeof *r);
}
