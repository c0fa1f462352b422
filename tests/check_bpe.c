/* Byte-level BPE on vocabularies made here: ids that the tokenizers library gives for each pattern, merging against
 * its plainest form, special tokens and the white space beside them, files that must be refused, files made to be
 * slow, damaged files. Real vocabularies: check_tokenizer.c. */
#include "../src/memory.h"
#include "../src/pretokenizer.h"
#include "../src/tokenizer.h"
#include "../src/unicode.h"
#include "check.h"
#include "gguf_writer.h"
#include "tokenizer_mutants.h"
#include "json.h"

#include <time.h>

enum { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };

static char dir[512], path[600];

/* ---- Vocabularies ---------------------------------------------------------------------------------------------- */

struct vocabulary { /* as the arrays stand in the file */
    struct gguf_bytes tokens, types, merges;
    int n, n_merge;
};

static int add_n(struct vocabulary *v, const char *text, size_t n, int32_t type) {
    gguf_string(&v->tokens, text, n);
    gguf_number(&v->types, (uint64_t)(int64_t)type, 4);
    return v->n++;
}

static int add(struct vocabulary *v, const char *text, int32_t type) {
    return add_n(v, text, strlen(text), type);
}

static void add_merge_n(struct vocabulary *v, const char *text, size_t n) {
    gguf_string(&v->merges, text, n);
    v->n_merge++;
}

static void add_merge(struct vocabulary *v, const char *text) {
    add_merge_n(v, text, strlen(text));
}

/* The token of one byte. The 68 bytes that GPT-2 found unprintable are U+0100 and following. */
static void add_byte(struct vocabulary *v, int byte) {
    int letter = byte, n_moved = 0;
    for (int i = 0; i <= byte; i++) {
        bool moved = i <= 32 || (i >= 127 && i <= 160) || i == 173;
        if (i == byte && moved) letter = 256 + n_moved;
        n_moved += moved;
    }
    char text[2] = {(char)letter, 0};
    if (letter >= 128) text[0] = (char)(0xc0 | letter >> 6), text[1] = (char)(0x80 | (letter & 63));
    add_n(v, text, letter >= 128 ? 2 : 1, NORMAL);
}

/* The bytes; id = byte. */
static struct vocabulary begin(void) {
    struct vocabulary v = {0};
    for (int i = 0; i < 256; i++) add_byte(&v, i);
    return v;
}

static void drop(struct vocabulary *v) {
    free(v->tokens.p);
    free(v->types.p);
    free(v->merges.p);
    memset(v, 0, sizeof *v);
}

static void write_strings(struct gguf_writer *w, const char *key, const struct gguf_bytes *strings, int n) {
    if (gguf_array(w, key, PHI_GGUF_STRING, (uint64_t)n)) gguf_append(&w->kv, strings->p, strings->n);
}

/* The file with all keys but skip; not finished. */
static struct gguf_writer write_vocabulary(const struct vocabulary *v, const char *pre, const char *skip) {
    struct gguf_writer w = gguf_begin(3);
    w.skip = skip;
    gguf_str(&w, "general.architecture", "phi3");
    gguf_str(&w, "tokenizer.ggml.model", "gpt2");
    gguf_str(&w, "tokenizer.ggml.pre", pre);
    write_strings(&w, "tokenizer.ggml.tokens", &v->tokens, v->n);
    if (gguf_array(&w, "tokenizer.ggml.token_type", PHI_GGUF_I32, (uint64_t)v->n))
        gguf_append(&w.kv, v->types.p, v->types.n);
    write_strings(&w, "tokenizer.ggml.merges", &v->merges, v->n_merge);
    w.skip = NULL;
    return w;
}

/* A file's tokenizer and what it was opened from. */
struct opened {
    struct phi_gguf g;
    struct phi_tokenizer *t;
    phi_error err;
    int status;
};

/* Finishes, saves, frees and opens. */
static struct opened open_writer(struct gguf_writer *w) {
    struct opened o;
    memset(&o, 0, sizeof o);
    gguf_end(w);
    gguf_save(w, path);
    gguf_free(w);
    o.status = phi_gguf_open(path, &o.g, &o.err);
    if (o.status == 0) o.status = phi_tokenizer_open(&o.g, &o.t, &o.err);
    return o;
}

static struct opened open_vocabulary(const struct vocabulary *v, const char *pre) {
    struct gguf_writer w = write_vocabulary(v, pre, NULL);
    struct opened o = open_writer(&w);
    CHECK(o.status == 0, "%s", o.err.text);
    if (o.status) exit(check_done("check_bpe"));
    return o;
}

static void shut(struct opened *o) {
    phi_tokenizer_close(o->t);
    phi_gguf_close(&o->g);
}

static void check_ids(const struct opened *o, const char *what, const char *text, size_t n, unsigned flags,
                      const int32_t *want, int n_want) {
    int32_t got[512];
    int64_t n_got = phi_tokenizer_encode(o->t, text, n, flags, got, 512);
    char line[2000] = "";
    for (int64_t i = 0; i < n_got && i < 100; i++) snprintf(line + strlen(line), 20, " %d", got[i]);
    CHECK(n_got == n_want && memcmp(got, want, (size_t)n_want * 4) == 0, "%s: \"%.*s\" gives%s", what, (int)n, text,
          line);
}

#define TEXT(literal) (literal), sizeof(literal) - 1
#define IDS(...) (const int32_t[]){__VA_ARGS__}, (int)(sizeof(int32_t[]){__VA_ARGS__} / 4)

/* ---- Classes and patterns -------------------------------------------------------------------------------------- */

static void check_classes(void) {
    static const struct {
        uint32_t code;
        enum phi_class c;
    } some[] = {
        {'A', PHI_CLASS_UPPER},      {'z', PHI_CLASS_LOWER},
        {'5', PHI_CLASS_NUMBER},     {'_', PHI_CLASS_OTHER},
        {0xaa, PHI_CLASS_LETTER},    {0xb2, PHI_CLASS_NUMBER},
        {0xbd, PHI_CLASS_NUMBER},    {0xd7, PHI_CLASS_OTHER},
        {0xdf, PHI_CLASS_LOWER},     {0x1c5, PHI_CLASS_UPPER},
        {0x2b0, PHI_CLASS_LETTER},   {0x300, PHI_CLASS_MARK},
        {0x903, PHI_CLASS_MARK},     {0x20dd, PHI_CLASS_MARK},
        {0x2167, PHI_CLASS_NUMBER},  {0x3042, PHI_CLASS_LETTER},
        {0xac00, PHI_CLASS_LETTER},  {0xd7a3, PHI_CLASS_LETTER},
        {0xd7a4, PHI_CLASS_OTHER},   {0xe000, PHI_CLASS_OTHER},
        {0x1c89, PHI_CLASS_UPPER},   /* assigned by Unicode 16 */
        {0x1c8a, PHI_CLASS_LOWER},   /* so is this */
        {0x10d4a, PHI_CLASS_LETTER}, /* and this */
        {0x378, PHI_CLASS_OTHER},    /* not assigned */
        {0x1f999, PHI_CLASS_OTHER},  {0x20000, PHI_CLASS_LETTER},
        {0xe0100, PHI_CLASS_MARK},   {0x10ffff, PHI_CLASS_OTHER},
    };
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        CHECK(phi_unicode_class(some[i].code) == some[i].c, "U+%04X is of class %d", some[i].code,
              phi_unicode_class(some[i].code));
    int n_space = 0;
    for (uint32_t u = 0; u <= 0x10ffff; u++) {
        bool space = (u >= 9 && u <= 13) || u == 32 || u == 0x85 || u == 0xa0 || u == 0x1680 ||
                     (u >= 0x2000 && u <= 0x200a) || u == 0x2028 || u == 0x2029 || u == 0x202f || u == 0x205f ||
                     u == 0x3000;
        enum phi_class c = phi_unicode_class(u);
        n_space += c == PHI_CLASS_SPACE;
        if (space != (c == PHI_CLASS_SPACE)) CHECK(false, "U+%04X is of class %d", u, c);
    }
    CHECK(n_space == 25, "%d code points of white space", n_space);
    uint32_t code;
    enum phi_class c;
    CHECK(phi_unicode_next("\xf0\x9f\xa6\x99z", 5, &code, &c) == 4 && code == 0x1f999, "U+%04X", code);
    CHECK(phi_unicode_next("\xe3\x80\x80", 3, &code, &c) == 3 && code == 0x3000 && c == PHI_CLASS_SPACE, "U+3000");
    CHECK(phi_unicode_next("\xc3\xa9", 2, &code, &c) == 2 && code == 0xe9 && c == PHI_CLASS_LOWER, "U+00E9");
    CHECK(phi_unicode_next("\xe3\x80", 2, &code, &c) == 1 && c == PHI_CLASS_OTHER, "the beginning of a character");
    CHECK(phi_unicode_next("\xff", 1, &code, &c) == 1 && c == PHI_CLASS_OTHER, "a broken byte");
}

/* Pieces of text are what lies between the bars; bytes that are no UTF-8 are symbols. */
static void check_cut(const char *pre, const char *bars) {
    const struct phi_pretokenizer *p = phi_pretokenizer_find(pre, strlen(pre));
    char text[200], got[400];
    size_t n = 0, n_got = 0;
    for (const char *s = bars; *s; s++)
        if (*s != '|') text[n++] = *s;
    for (size_t i = 0; i < n;) {
        size_t length = p->next(text + i, n - i);
        CHECK(length >= 1 && length <= n - i, "%s: a piece of %zu bytes", pre, length);
        if (i) got[n_got++] = '|';
        memcpy(got + n_got, text + i, length);
        n_got += length;
        i += length;
    }
    got[n_got] = '\0';
    CHECK(strcmp(got, bars) == 0, "%s: %s, expected %s", pre, got, bars);
}

static void check_cuts(void) {
    check_cut("dbrx", "a|\xff\xff|b");
    check_cut("dbrx", "\xffzz|\xe3\x80");
    check_cut("dbrx", "'d|efault|'LL|x|'\xc5\xbf|a|'\xe2\x84\xaa");
    check_cut("gpt-4o", "it'\xc5\xbf|a'd|efault");
    check_cut("gpt-4o", "'default");
    check_cut("gpt-4o", "\xe3\x81\x82|ABC| \xe3\x81\x82\xe3\x81\x82|ABC");
    check_cut("gpt-4o", "\xe3\x81\x82"
                        "ABCd");
    check_cut("gpt-4o", "\xcc\x81|ABC");
    check_cut("gpt-4o", "//\n/| x");
    check_cut("dbrx", "//\n|/|  | x");
    check_cut("smollm", "a|  |1|2| |3| b");
    check_cut("gpt-2", "a| | 12345| b|'s|'|S");
    check_cut("dbrx", " \n \n|  | a|   ");
}

/* Ids of the tokenizers library, for every pattern: bpe.jsonl (tools/bpe_golden.py). */
static void check_golden(void) {
    FILE *f = fopen("tests/golden/tokenizer/bpe.jsonl", "rb");
    CHECK(f, "tests/golden/tokenizer/bpe.jsonl cannot be opened");
    if (!f) return;
    char *file = calloc(1, 1 << 18);
    size_t n_file = fread(file, 1, (1 << 18) - 1, f);
    fclose(f);
    CHECK(n_file > 0 && n_file < (1 << 18) - 1, "%zu bytes", n_file);
    struct json line;
    const char *at = json_parse(file, &line);
    struct vocabulary v = {0};
    const struct json *tokens = json_get(&line, "tokens"), *merges = json_get(&line, "merges");
    for (size_t i = 0; i < tokens->n; i++) add_n(&v, tokens->item[i].text, tokens->item[i].text_n, NORMAL);
    for (size_t i = 0; i < merges->n; i++) add_merge_n(&v, merges->item[i].text, merges->item[i].text_n);
    CHECK(v.n == 700 && v.n_merge == 444, "%d tokens, %d merges", v.n, v.n_merge);
    json_clear(&line);

    char pre[32] = "";
    struct opened o = {0};
    int n_text = 0;
    for (; *json_space(at); n_text++) {
        at = json_parse(at, &line);
        if (strcmp(pre, json_get(&line, "pre")->text) != 0) {
            if (n_text) shut(&o);
            snprintf(pre, sizeof pre, "%s", json_get(&line, "pre")->text);
            o = open_vocabulary(&v, pre);
        }
        const struct json *text = json_get(&line, "text"), *ids = json_get(&line, "ids");
        int32_t want[256];
        char back[1024];
        size_t n_back = 0, k;
        for (size_t i = 0; i < ids->n; i++) {
            want[i] = (int32_t)ids->item[i].number;
            const char *s = phi_tokenizer_bytes(o.t, want[i], false, &k);
            memcpy(back + n_back, s, k);
            n_back += k;
        }
        check_ids(&o, pre, text->text, text->text_n, 0, want, (int)ids->n);
        CHECK(n_back == text->text_n && memcmp(back, text->text, n_back) == 0, "\"%s\" does not come back",
              text->text);
        json_clear(&line);
    }
    CHECK(n_text == 512, "%d texts", n_text);
    shut(&o);
    drop(&v);
    free(file);
}

/* ---- Merging, against the plain rule --------------------------------------------------------------------------- */

struct rule {
    char left[24], right[24];
};

/* Apply the lowest rank that fits anywhere, leftmost, until none fits. */
static int reference_merge(const struct rule *rule, int n_rule, const char *text, char part[][64]) {
    int n = 0;
    for (; text[n]; n++) snprintf(part[n], 64, "%c", text[n]);
    for (int r = 0; r < n_rule;) {
        int i = 0;
        while (i + 1 < n && (strcmp(part[i], rule[r].left) != 0 || strcmp(part[i + 1], rule[r].right) != 0)) i++;
        if (i + 1 >= n) {
            r++;
            continue;
        }
        size_t n_left = strlen(part[i]);
        memcpy(part[i] + n_left, part[i + 1], strlen(part[i + 1]) + 1);
        memmove(part[i + 1], part[i + 2], (size_t)(n - i - 2) * sizeof *part);
        n--;
        r = 0;
    }
    return n;
}

static void check_random_merges(unsigned long long *rng) {
    struct vocabulary v = begin();
    char known[60][24] = {"a", "b", "c"};
    int id[60] = {'a', 'b', 'c'}, n_known = 3, n_rule = 0;
    struct rule rule[60];
    for (int i = 0; i < 40; i++) {
        int l = (int)(check_random(rng) % (unsigned)n_known), r = (int)(check_random(rng) % (unsigned)n_known), k = 0;
        char joined[48], line[64];
        snprintf(joined, sizeof joined, "%s%s", known[l], known[r]);
        if (strlen(joined) > 12) continue;
        while (k < n_known && strcmp(known[k], joined) != 0) k++;
        if (k == n_known) {
            snprintf(known[k], sizeof *known, "%s", joined);
            id[k] = add(&v, joined, NORMAL);
            n_known++;
        }
        snprintf(rule[n_rule].left, sizeof rule->left, "%s", known[l]);
        snprintf(rule[n_rule].right, sizeof rule->right, "%s", known[r]);
        snprintf(line, sizeof line, "%s %s", known[l], known[r]);
        add_merge(&v, line);
        n_rule++;
        if (check_random(rng) % 8 == 0) add_merge(&v, line); /* twice: the first rank counts */
        if (v.n_merge != n_rule) rule[n_rule] = rule[n_rule - 1], n_rule++;
    }
    struct opened o = open_vocabulary(&v, "gpt-2");
    for (int round = 0; round < 40; round++) {
        char text[64] = "", part[64][64];
        int32_t want[64];
        for (int n = (int)(check_random(rng) % 50); n > 0; n--)
            strcat(text, (const char *[]){"a", "b", "c"}[check_random(rng) % 3]);
        int n = reference_merge(rule, n_rule, text, part);
        for (int i = 0; i < n; i++)
            for (int k = 0; k < n_known; k++)
                if (strcmp(part[i], known[k]) == 0) want[i] = id[k];
        check_ids(&o, "merges", text, strlen(text), 0, want, n);
    }
    shut(&o);
    drop(&v);
}

/* ---- Strange, but legal ---------------------------------------------------------------------------------------- */

static void check_strange(void) {
    struct vocabulary v = {0};
    add(&v, "a", NORMAL);
    add(&v, "b", NORMAL);
    add(&v, "ab", NORMAL);
    add(&v, "a", NORMAL); /* again: the first counts */
    add(&v, "", NORMAL);
    int latin = add(&v, "\xc4\xa0x y", NORMAL); /* Ġ, and a space, which is no letter of the alphabet */
    int user = add(&v, "<tool \xc4\xa0>", USER_DEFINED), broken = add(&v, "\xc4", NORMAL);
    int blanks = add(&v, "\xc4\xa0\xc4\x8a\xc2\xac", NORMAL);
    add_merge(&v, "a b");
    struct opened o = open_vocabulary(&v, "dbrx");
    /* Bytes without a token are left out. */
    check_ids(&o, "few bytes", TEXT("xa!bz\xff"), 0, IDS(0, 1));
    check_ids(&o, "few bytes",
              TEXT("a\xc3\xa9"
                   "b"),
              0, IDS(2)); /* in one word */
    check_ids(&o, "few bytes", TEXT("xyz"), PHI_PARSE_SPECIAL, (const int32_t[]){0}, 0);
    check_ids(&o, "user", TEXT("ab<tool \xc4\xa0>ab"), PHI_PARSE_SPECIAL, IDS(2, user, 2));
    static const struct {
        const char *bytes;
        size_t n;
    } out[] = {{"\xc4\xa0x y", 5}, {"<tool \xc4\xa0>", 9}, {"\xc4", 1}, {" \n\xac", 3}};
    const int ids[] = {latin, user, broken, blanks};
    for (int i = 0; i < 4; i++) {
        size_t n;
        const char *s = phi_tokenizer_bytes(o.t, ids[i], false, &n);
        CHECK(n == out[i].n && memcmp(s, out[i].bytes, n) == 0, "token %d puts out %.*s", ids[i], (int)n, s);
    }
    CHECK(phi_tokenizer_bos(o.t) == -1 && !phi_tokenizer_add_bos(o.t), "bos %d", phi_tokenizer_bos(o.t));
    shut(&o);

    struct gguf_writer w = write_vocabulary(&v, "gpt-2", NULL);
    gguf_u32(&w, "tokenizer.ggml.bos_token_id", 1);
    gguf_u32(&w, "tokenizer.ggml.eos_token_id", 0);
    gguf_bool(&w, "tokenizer.ggml.add_bos_token", true);
    o = open_writer(&w);
    check_ids(&o, "bos", TEXT("ab"), PHI_ADD_BOS, IDS(1, 2));
    CHECK(phi_tokenizer_is_stop(o.t, 0), "eos_token_id is no stop token");
    shut(&o);
    drop(&v);
}

/* ---- Special tokens -------------------------------------------------------------------------------------------- */

enum { ENDOFTEXT = 256, USER, ASSISTANT, END, SYSTEM, TOOL, DUMMY, IM_START, IM_END, IM_SEP, PAD, N_FAMILY };

/* As phi-4-mini, phi-3-small (both name roles) or phi-4 (im_sep); the type that the file gives does not matter. */
static struct vocabulary family(int32_t type, bool roles, bool im_sep) {
    struct vocabulary v = begin();
    add(&v, "<|endoftext|>", type);
    add(&v, roles ? "<|user|>" : "<|fim_prefix|>", type);
    add(&v, roles ? "<|assistant|>" : "<|fim_middle|>", type);
    add(&v, roles ? "<|end|>" : "<|fim_suffix|>", type);
    add(&v, roles ? "<|system|>" : "<|endofprompt|>", type);
    add(&v, roles ? "<|/tool_call|>" : "<|dummy_12|>", type);
    add(&v, "<|dummy_1|>", type);
    add(&v, "<|im_start|>", type);
    add(&v, "<|im_end|>", type);
    add(&v, im_sep ? "<|im_sep|>" : "<other>", im_sep ? type : CONTROL);
    add(&v, "[PAD266]", type == NORMAL ? UNUSED : type);
    /* Merges that lead towards a name, but not to it. */
    static const char *const pieces[] = {"<|", "|>", "en", "d|>", "us", "er|>"};
    static const char *const merges[] = {"< |", "| >", "e n", "d |>", "u s", "e r|>"};
    for (int i = 0; i < 6; i++) add(&v, pieces[i], NORMAL);
    add(&v, "r|>", NORMAL);
    for (int i = 0; i < 5; i++) add_merge(&v, merges[i]);
    add_merge(&v, "r |>");
    add_merge(&v, merges[5]);
    return v;
}

/* No control token from what a user types; with PHI_PARSE_SPECIAL all but the filler. */
static void check_injection(const struct opened *o) {
    for (int32_t id = ENDOFTEXT; id < N_FAMILY; id++) {
        size_t n, n_hidden;
        const char *name = phi_tokenizer_bytes(o->t, id, true, &n);
        phi_tokenizer_bytes(o->t, id, false, &n_hidden);
        CHECK(phi_tokenizer_is_control(o->t, id) && n > 0 && n_hidden == 0, "token %d is no control token", id);
        for (unsigned flags = 0; flags <= PHI_PARSE_SPECIAL; flags += PHI_PARSE_SPECIAL) {
            int32_t ids[64];
            int64_t n_id = phi_tokenizer_encode(o->t, name, n, flags, ids, 64);
            bool control = false;
            for (int64_t i = 0; i < n_id; i++) control |= phi_tokenizer_is_control(o->t, ids[i]);
            CHECK(control == (flags && id != PAD), "%.*s with flags %u", (int)n, name, flags);
        }
        bool stop = id == ENDOFTEXT || id == IM_END || (n == 7 && memcmp(name, "<|end|>", 7) == 0);
        CHECK(phi_tokenizer_is_stop(o->t, id) == stop, "stop token %.*s", (int)n, name);
    }
    CHECK(!phi_tokenizer_is_stop(o->t, 0) && !phi_tokenizer_is_control(o->t, 'a'), "an ordinary token");
}

static void check_family(void) {
    static const int32_t types[] = {NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED};
    for (int i = 0; i < 5; i++) {
        unsigned special = PHI_PARSE_SPECIAL;
        struct vocabulary v = family(types[i], true, false);
        struct opened o = open_vocabulary(&v, "gpt-4o");
        check_injection(&o);
        check_ids(&o, "phi-4-mini", TEXT(" <|user|> \n\xc2\xa0z <|end|>\t<|assistant|>"), special,
                  IDS(' ', USER, 'z', ' ', END, ASSISTANT));
        check_ids(&o, "phi-4-mini", TEXT("<|endoftext|> <|/tool_call|> <|im_start|> "), special,
                  IDS(ENDOFTEXT, ' ', TOOL, IM_START, ' '));
        shut(&o);
        o = open_vocabulary(&v, "dbrx"); /* phi-3-small: none swallows */
        check_injection(&o);
        check_ids(&o, "phi-3-small", TEXT("<|user|>\nz<|end|>\n"), special, IDS(USER, '\n', 'z', END, '\n'));
        shut(&o);
        drop(&v);

        v = family(types[i], false, true);
        o = open_vocabulary(&v, "dbrx");
        check_injection(&o);
        check_ids(&o, "phi-4", TEXT("z \xe3\x80\x80<|im_start|>\n\n<|im_sep|> z\xc2\x85<|im_end|>  <|dummy_1|> "),
                  special, IDS('z', IM_START, IM_SEP, 'z', IM_END, DUMMY));
        check_ids(&o, "phi-4", TEXT(" <|endoftext|> z"), special, IDS(ENDOFTEXT, 'z'));
        /* \xa0 or a space and a broken byte is no white space, nor is U+200B. */
        check_ids(&o, "phi-4", TEXT("z \x80<|im_end|>"), special, IDS('z', ' ', 0x80, IM_END));
        check_ids(&o, "phi-4", TEXT("\xa0<|im_end|>\xe2\x80\x8b"), special, IDS(0xa0, IM_END, 0xe2, 0x80, 0x8b));
        shut(&o);
        drop(&v);

        v = family(types[i], false, false);
        o = open_vocabulary(&v, "smollm"); /* SmolLM2: none swallows */
        check_injection(&o);
        check_ids(&o, "SmolLM2", TEXT(" <|im_start|>\nz <|im_end|>\n"), special,
                  IDS(' ', IM_START, '\n', 'z', ' ', IM_END, '\n'));
        shut(&o);
        drop(&v);
    }
}

/* ---- Refused --------------------------------------------------------------------------------------------------- */

static void check_refused(struct gguf_writer *w, const char *sentence) {
    struct opened o = open_writer(w);
    CHECK(o.status == PHI_MODEL && !o.t && strstr(o.err.text, sentence), "status %d, \"%s\", expected \"%s\"",
          o.status, o.err.text, sentence);
    shut(&o);
}

static void refuse_merge(const char *text, size_t n, const char *sentence) {
    struct vocabulary v = begin();
    add(&v, "ab", NORMAL);
    add(&v, "<|end|>", CONTROL);
    add(&v, "<|end", NORMAL);
    add(&v, "<filler>", UNUSED);
    add(&v, "<filler", NORMAL);
    add_merge(&v, "a b");
    add_merge_n(&v, text, n);
    struct gguf_writer w = write_vocabulary(&v, "dbrx", NULL);
    check_refused(&w, sentence);
    drop(&v);
}

static void check_refusals(void) {
    static const char *const needed[] = {"tokenizer.ggml.tokens", "tokenizer.ggml.token_type",
                                         "tokenizer.ggml.merges"};
    struct vocabulary v = begin();
    struct gguf_writer w;
    char sentence[200];
    for (int i = 0; i < 3; i++) {
        w = write_vocabulary(&v, "dbrx", needed[i]);
        snprintf(sentence, sizeof sentence, "%s is missing", needed[i]);
        check_refused(&w, sentence);
        w = write_vocabulary(&v, "dbrx", needed[i]);
        gguf_u32(&w, needed[i], 5);
        snprintf(sentence, sizeof sentence, "%s is of type u32, expected an array of", needed[i]);
        check_refused(&w, sentence);
    }
    w = write_vocabulary(&v, "dbrx", needed[2]);
    if (gguf_array(&w, needed[2], PHI_GGUF_U8, 0))
        check_refused(&w, "tokenizer.ggml.merges is an array of u8, expected one of strings");
    static const char key[] = "tokenizer.ggml.pre", known[] = "expected one of: dbrx, gpt-4o, smollm, gpt-2";
    w = write_vocabulary(&v, "dbrx", key);
    snprintf(sentence, sizeof sentence, "%s is missing; %s", key, known);
    check_refused(&w, sentence);
    w = write_vocabulary(&v, "default", NULL);
    snprintf(sentence, sizeof sentence, "%s \"default\" is not supported; %s", key, known);
    check_refused(&w, sentence);
    w = write_vocabulary(&v, "dbrx\n", NULL);
    check_refused(&w, "tokenizer.ggml.pre \"dbrx\\x0a\" is not supported");
    w = write_vocabulary(&v, "dbrx", key);
    gguf_u32(&w, key, 1);
    check_refused(&w, key);
    add(&v, "x", BYTE);
    w = write_vocabulary(&v, "dbrx", NULL);
    check_refused(&w, "the type of token 256 is 6, expected 1 to 5");
    drop(&v);
    add(&v, "xyz", NORMAL);
    w = write_vocabulary(&v, "dbrx", NULL);
    check_refused(&w, "tokenizer.ggml.tokens: no token is a single byte");
    drop(&v);
    w = write_vocabulary(&v, "dbrx", NULL);
    check_refused(&w, "no token is a single byte");
}

static void check_refused_merges(void) {
    static const char form[] = ", expected two texts with one space between";
    static const char *const malformed[] = {"", " ", "ab", " ab", "ab ", "a  b", "a b ", " a b", "a b c"};
    char sentence[300];
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        snprintf(sentence, sizeof sentence, "tokenizer.ggml.merges: merge 1 is \"%s\"%s", malformed[i], form);
        refuse_merge(malformed[i], strlen(malformed[i]), sentence);
    }
    refuse_merge(TEXT("a\0b\n"), "merge 1 is \"a\\x00b\\x0a\", expected two");
    refuse_merge(TEXT("ax b"), "merge 1 is \"ax b\", but \"ax\" is no ordinary token");
    refuse_merge(TEXT("a bx"), "merge 1 is \"a bx\", but \"bx\" is no ordinary token");
    refuse_merge(TEXT("b a"), "merge 1 is \"b a\", but \"ba\" is no ordinary token");
    refuse_merge(TEXT("a \xe2\x96\x81"), "merge 1 is \"a \xe2\x96\x81\", but \"\xe2\x96\x81\" is no ordinary token");
    /* Users could type these. */
    refuse_merge(TEXT("<|end |>"), "but \"|>\" is no ordinary token");
    refuse_merge(TEXT("<filler >"), "merge 1 is \"<filler >\", but \"<filler>\" is no ordinary token");
    refuse_merge(TEXT("<|end|> a"), "but \"<|end|>\" is no ordinary token");

    char *longest = malloc(200000);
    memset(longest, 'x', 200000);
    longest[100000] = ' ';
    refuse_merge(longest, 200000, "merge 1 is \"xxxx");
    free(longest);
}

/* ---- Made to be slow, damaged, out of memory ------------------------------------------------------------------- */

/* Of this process: a busy machine makes no text slow. */
static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Growth is plainly not linear if 16 times the text takes more than 100 times as long. */
static void check_time(void) {
    static const char *const units[] = {"a",
                                        "A",
                                        " ",
                                        "\n",
                                        "\r\n ",
                                        "!",
                                        "/",
                                        "'",
                                        "'s",
                                        "1",
                                        "\xcc\x81",
                                        "\xcc\x81"
                                        "A",
                                        "\xe3\x81\x82"
                                        "A",
                                        "\xe3\x81\x82",
                                        "\xff",
                                        " a",
                                        "<|im_sep|>",
                                        " <|im_sep|> ",
                                        "<|im_",
                                        "<"};
    enum { SMALL = 1 << 14, LARGE = SMALL * 16 };
    struct vocabulary v = family(CONTROL, true, true);
    char *text = malloc(LARGE), run[300] = "a", merge[700];
    for (int i = 0; i < 8; i++) { /* a, aa, aaaa .. */
        size_t n = strlen(run);
        snprintf(merge, sizeof merge, "%s %s", run, run);
        memcpy(run + n, run, n);
        run[2 * n] = '\0';
        add(&v, run, NORMAL);
        add_merge(&v, merge);
    }
    for (size_t p = 0; phi_pretokenizer_at(p); p++) {
        struct opened o = open_vocabulary(&v, phi_pretokenizer_at(p)->name);
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
            size_t n = strlen(units[i]);
            for (size_t k = 0; k < LARGE; k++) text[k] = units[i][k % n];
            double start = seconds();
            int64_t small = phi_tokenizer_encode(o.t, text, SMALL, PHI_PARSE_SPECIAL, NULL, 0);
            double middle = seconds();
            int64_t large = phi_tokenizer_encode(o.t, text, LARGE, PHI_PARSE_SPECIAL, NULL, 0);
            double end = seconds();
            CHECK(small >= 0 && large >= small, "%lld and %lld ids", (long long)small, (long long)large);
            CHECK(end - middle < 100 * (middle - start) + 0.5, "%s, \"%s\": %.3f and %.3f s",
                  phi_pretokenizer_at(p)->name, units[i], middle - start, end - middle);
        }
        shut(&o);
    }
    free(text);
    drop(&v);
}

/* Each allocation fails once: a clean status, nothing lost. */
static void check_memory(void) {
    struct vocabulary v = family(CONTROL, true, true);
    struct opened o = open_vocabulary(&v, "dbrx");
    char text[600];
    memset(text, 'a', sizeof text);
    unsigned long long live = phi_memory_live();
    int n_open = 0, n_encode = 0;
    for (int n = 1, status = PHI_MEMORY; status == PHI_MEMORY && n < 100; n++, n_open++) {
        struct phi_tokenizer *t = NULL;
        phi_memory_fail_at((unsigned long long)n);
        status = phi_tokenizer_open(&o.g, &t, &o.err);
        phi_memory_fail_at(0);
        CHECK(status == PHI_OK || (status == PHI_MEMORY && !t && strstr(o.err.text, "memory")), "allocation %d: %d",
              n, status);
        phi_tokenizer_close(t);
        CHECK(phi_memory_live() == live, "allocation %d: something is lost", n);
    }
    int64_t n_id = PHI_MEMORY;
    for (int n = 1; n_id == PHI_MEMORY && n < 100; n++, n_encode++) {
        phi_memory_fail_at((unsigned long long)n);
        n_id = phi_tokenizer_encode(o.t, text, sizeof text, 0, NULL, 0);
        phi_memory_fail_at(0);
        CHECK(n_id == PHI_MEMORY || n_id == 600, "allocation %d: %lld", n, (long long)n_id);
        CHECK(phi_memory_live() == live, "allocation %d: something is lost", n);
    }
    CHECK(n_open > 7 && n_encode > 3, "%d allocations at open, %d at encode", n_open - 1, n_encode - 1);
    shut(&o);
    drop(&v);
}

static void check_mutants(unsigned long long *rng) {
    static const char text[] = "<|user|>\na a<|end|>[PAD266]\xff\xe2\x96 <|dummy_1|> don't 12345";
    struct vocabulary v = family(CONTROL, true, true);
    struct gguf_writer w = write_vocabulary(&v, "gpt-4o", NULL);
    gguf_end(&w);
    check_tokenizer_mutants(&w, path, text, sizeof text, 1200, 2, rng);
    gguf_free(&w);
    drop(&v);
}

int main(int argc, char **argv) {
    unsigned long long rng = check_seed();
    gguf_make_dir(argc, argv, dir);
    snprintf(path, sizeof path, "%s/vocabulary.gguf", dir);
    check_classes();
    check_cuts();
    check_golden();
    for (int i = 0; i < 100; i++) check_random_merges(&rng);
    check_strange();
    check_family();
    check_refusals();
    check_refused_merges();
    check_time();
    check_memory();
    check_mutants(&rng);
    gguf_remove_dir(dir);
    return check_done("check_bpe");
}
