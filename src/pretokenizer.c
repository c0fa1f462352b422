/* The patterns as scanners written by hand: an alternative of the regular expression is a step here, in its order.
 * Unicode 16.0 decides the classes; a byte that is no UTF-8 counts as a symbol.
 *
 *   gpt-2     's|'t|'re|'ve|'m|'ll|'d
 *             | ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *   smollm    each number character alone; what stands between them by gpt-2's pattern, on its own
 *   dbrx      (?i:'s|'t|'re|'ve|'m|'ll|'d)                                                          that of cl100k
 *             |[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 *   gpt-4o    P U* D+ C|P U+ D* C                                                                   that of o200k
 *             |\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
 *             with  P = [^\r\n\p{L}\p{N}]?   U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]   D = [\p{Ll}\p{Lm}\p{Lo}\p{M}]
 *                   C = (?i:'s|'t|'re|'ve|'m|'ll|'d)?  */
#include "pretokenizer.h"

#include "unicode.h"

#include <stdbool.h>
#include <string.h>

enum set { /* of classes */
           UPPER = 1 << PHI_CLASS_UPPER,
           LOWER = 1 << PHI_CLASS_LOWER,
           CASELESS = 1 << PHI_CLASS_LETTER,
           MARK = 1 << PHI_CLASS_MARK,
           NUMBER = 1 << PHI_CLASS_NUMBER,
           SPACE = 1 << PHI_CLASS_SPACE,
           OTHER = 1 << PHI_CLASS_OTHER,
           END = 1 << 7, /* of the text */
           LETTER = UPPER | LOWER | CASELESS,
           SYMBOL = OTHER | MARK /* [^\s\p{L}\p{N}] */
};

struct text {
    const char *s;
    size_t n;
    bool number_ends; /* a number character is where the text ends */
};

struct character {
    enum set set; /* one class, or END */
    uint32_t code;
    size_t n; /* bytes; 0 at the end */
};

static struct character look(const struct text *t, size_t at) {
    struct character c = {END, UINT32_MAX, 0};
    if (at >= t->n) return c;
    enum phi_class class_of_code;
    c.n = phi_unicode_next(t->s + at, t->n - at, &c.code, &class_of_code);
    c.set = (enum set)(1u << class_of_code);
    return t->number_ends && c.set == NUMBER ? (struct character){END, UINT32_MAX, 0} : c;
}

/* The end of the run of characters of these classes that begins at at. */
static size_t run(const struct text *t, size_t at, unsigned set) {
    for (struct character c; (c = look(t, at)).set & set;) at += c.n;
    return at;
}

static size_t up_to_three_numbers(const struct text *t) {
    size_t at = 0;
    struct character c;
    for (int i = 0; i < 3 && (c = look(t, at)).set == NUMBER; i++) at += c.n;
    return at;
}

/* Bytes of 's, 't, 're, 've, 'm, 'll or 'd at at; 0: none. Without case U+017F is an s, too; no other character
 * beyond ASCII folds to one of these letters. */
static size_t contraction(const struct text *t, size_t at, bool any_case) {
    if (at >= t->n || t->s[at] != '\'') return 0;
    uint32_t letter[2];
    size_t end[2], to = at + 1;
    for (int i = 0; i < 2; i++) {
        struct character c = look(t, to);
        end[i] = to += c.n;
        letter[i] = any_case && c.code >= 'A' && c.code <= 'Z' ? c.code | 0x20 : c.code;
        if (any_case && c.code == 0x17f) letter[i] = 's';
    }
    uint32_t a = letter[0], b = letter[1];
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return end[0] - at;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return end[1] - at;
    return 0;
}

/*  ?[^\s\p{L}\p{N}]+ and then any number of the bytes in tail; 0: none. */
static size_t symbols(const struct text *t, const char *tail) {
    size_t start = t->s[0] == ' ', at = run(t, start, SYMBOL);
    if (at == start) return 0;
    while (at < t->n && t->s[at] && strchr(tail, t->s[at])) at++;
    return at;
}

/* The text begins with white space. \s+(?!\S)|\s+: all of it at the end of the text, else all but the last character,
 * which the next piece may take, but at least one. lines: before that \s*[\r\n]+, up to the last end of a line. */
static size_t white_space(const struct text *t, bool lines) {
    size_t at = 0, last = 0, line = 0;
    struct character c;
    while ((c = look(t, at)).set == SPACE) {
        last = at;
        at += c.n;
        if (c.code == '\r' || c.code == '\n') line = at;
    }
    if (lines && line > 0) return line;
    return c.set == END || last == 0 ? at : last;
}

/* [^\r\n\p{L}\p{N}]? : bytes of the optional character before a word. */
static size_t prefix(const struct text *t) {
    struct character c = look(t, 0);
    return c.set & (LETTER | NUMBER | END) || c.code == '\r' || c.code == '\n' ? 0 : c.n;
}

static size_t next_gpt2_in(const struct text *t) {
    size_t at = contraction(t, 0, false), start = t->s[0] == ' ';
    if (at > 0) return at;
    if ((at = run(t, start, LETTER)) > start) return at;
    if ((at = run(t, start, NUMBER)) > start) return at;
    if ((at = symbols(t, "")) > 0) return at;
    return white_space(t, false);
}

static size_t next_gpt2(const char *s, size_t n) {
    struct text t = {s, n, false};
    return next_gpt2_in(&t);
}

static size_t next_smollm(const char *s, size_t n) {
    struct text t = {s, n, false};
    struct character first = look(&t, 0);
    if (first.set == NUMBER) return first.n;
    t.number_ends = true;
    return next_gpt2_in(&t);
}

static size_t next_cl100k(const char *s, size_t n) {
    struct text t = {s, n, false};
    size_t at = contraction(&t, 0, true), start = prefix(&t);
    if (at > 0) return at;
    if ((at = run(&t, start, LETTER)) > start) return at;
    if ((at = up_to_three_numbers(&t)) > 0) return at;
    if ((at = symbols(&t, "\r\n")) > 0) return at;
    return white_space(&t, true);
}

/* U* D+ at start -> its end; 0: none. *upper: the end of U*, greedy.
 *
 * The expression takes all that U* can take and gives back until D+ finds something: if a lower letter follows, at
 * once; else at the last character of the run that is in both sets, and that one character is then all of D+:
 *
 *     あABC  ->  あ        ABCd  ->  ABCd        ABC  ->  none */
static size_t lower_word(const struct text *t, size_t start, size_t *upper) {
    size_t at = start, both = 0;
    struct character c;
    while ((c = look(t, at)).set & (UPPER | CASELESS | MARK)) {
        at += c.n;
        if (c.set != UPPER) both = at;
    }
    *upper = at;
    return c.set == LOWER ? run(t, at, LOWER | CASELESS | MARK) : both;
}

static size_t next_o200k(const char *s, size_t n) {
    struct text t = {s, n, false};
    size_t start = prefix(&t), upper, ignored, at = lower_word(&t, start, &upper);
    /* A mark can be a prefix, but also a word, and only a mark can. */
    if (at == 0 && start > 0) at = lower_word(&t, 0, &ignored);
    /* P U+ D*: D* finds nothing, or the first form would have found it. */
    if (at == 0 && upper > start) at = upper;
    if (at > 0) return at + contraction(&t, at, true);
    if ((at = up_to_three_numbers(&t)) > 0) return at;
    if ((at = symbols(&t, "\r\n/")) > 0) return at;
    return white_space(&t, true);
}

static const struct phi_pretokenizer table[] = {
    {"dbrx", next_cl100k},   /* phi-4 */
    {"gpt-4o", next_o200k},  /* phi-4-mini */
    {"smollm", next_smollm}, /* SmolLM2 */
    {"gpt-2", next_gpt2},
};

const struct phi_pretokenizer *phi_pretokenizer_find(const char *name, size_t n) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strlen(table[i].name) == n && memcmp(table[i].name, name, n) == 0) return &table[i];
    return NULL;
}

const struct phi_pretokenizer *phi_pretokenizer_at(size_t i) {
    return i < sizeof table / sizeof *table ? &table[i] : NULL;
}
