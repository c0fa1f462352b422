/* Vocabularies that no model has: damaged, hostile or only strange. Each is written to a file and opened from there.
 * What is wrong must be refused by name; what is legal must be tokenized by the rules, which reference_encode()
 * states in their plainest form. */
#include "../src/tokenizer.h"
#include "../src/utf8.h"
#include "check.h"
#include "gguf_writer.h"
#include "tokenizer_mutants.h"

#include <time.h>

#define SPACE "\xe2\x96\x81"

enum { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };

static char dir[512], path[600];

/* ---- Vocabularies ---------------------------------------------------------------------------------------------- */

struct entry {
    char *text;
    size_t n;
    float score;
    int32_t type;
};

struct vocabulary {
    struct entry *entry;
    int n, room;
};

static int add_n(struct vocabulary *v, const char *text, size_t n, float score, int32_t type) {
    if (v->n == v->room) {
        v->room = v->room * 2 + 300;
        v->entry = realloc(v->entry, (size_t)v->room * sizeof *v->entry);
    }
    char *copy = malloc(n + 1);
    memcpy(copy, text, n);
    copy[n] = '\0';
    v->entry[v->n] = (struct entry){copy, n, score, type};
    return v->n++;
}

static int add(struct vocabulary *v, const char *text, float score, int32_t type) {
    return add_n(v, text, strlen(text), score, type);
}

/* <unk> <s> </s> and the bytes, as every vocabulary of this kind begins. */
static struct vocabulary begin(void) {
    struct vocabulary v = {0};
    char text[8];
    add(&v, "<unk>", 0, UNKNOWN);
    add(&v, "<s>", 0, CONTROL);
    add(&v, "</s>", 0, CONTROL);
    for (int i = 0; i < 256; i++) {
        snprintf(text, sizeof text, "<0x%02X>", (unsigned)i);
        add(&v, text, 0, BYTE);
    }
    return v;
}

static void replace(struct vocabulary *v, int id, const char *text) {
    free(v->entry[id].text);
    v->entry[id].n = strlen(text);
    v->entry[id].text = memcpy(malloc(v->entry[id].n + 1), text, v->entry[id].n + 1);
}

static void drop(struct vocabulary *v) {
    for (int i = 0; i < v->n; i++) free(v->entry[i].text);
    free(v->entry);
    *v = (struct vocabulary){0};
}

static void write_tokens(struct gguf_writer *w, const struct vocabulary *v) {
    if (!gguf_array(w, "tokenizer.ggml.tokens", PHI_GGUF_STRING, (uint64_t)v->n)) return;
    for (int i = 0; i < v->n; i++) gguf_string(&w->kv, v->entry[i].text, v->entry[i].n);
}

static void write_scores(struct gguf_writer *w, const struct vocabulary *v, int n) {
    if (!gguf_array(w, "tokenizer.ggml.scores", PHI_GGUF_F32, (uint64_t)n)) return;
    for (int i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &v->entry[i].score, 4);
        gguf_number(&w->kv, bits, 4);
    }
}

static void write_types(struct gguf_writer *w, const struct vocabulary *v, enum phi_gguf_type element) {
    if (!gguf_array(w, "tokenizer.ggml.token_type", element, (uint64_t)v->n)) return;
    for (int i = 0; i < v->n; i++) gguf_number(&w->kv, (uint64_t)(int64_t)v->entry[i].type, gguf_size_of(element));
}

/* The file with all keys but skip; not finished. */
static struct gguf_writer write_vocabulary(const struct vocabulary *v, const char *skip) {
    struct gguf_writer w = gguf_begin(3);
    w.skip = skip;
    gguf_str(&w, "general.architecture", "phi3");
    gguf_str(&w, "tokenizer.ggml.model", "llama");
    write_tokens(&w, v);
    write_scores(&w, v, v->n);
    write_types(&w, v, PHI_GGUF_I32);
    gguf_u32(&w, "tokenizer.ggml.bos_token_id", 1);
    gguf_u32(&w, "tokenizer.ggml.eos_token_id", 2);
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

static struct opened open_vocabulary(const struct vocabulary *v) {
    struct gguf_writer w = write_vocabulary(v, NULL);
    struct opened o = open_writer(&w);
    CHECK(o.status == 0, "%s", o.err.text);
    if (o.status) exit(check_done("check_vocabulary"));
    return o;
}

static void shut(struct opened *o) {
    phi_tokenizer_close(o->t);
    phi_gguf_close(&o->g);
}

static void check_ids(const struct opened *o, const char *text, size_t n, unsigned flags, const int32_t *want,
                      int n_want) {
    int32_t got[256];
    int64_t n_got = phi_tokenizer_encode(o->t, text, n, flags, got, 256);
    char line[2000] = "";
    for (int64_t i = 0; i < n_got && i < 100; i++) snprintf(line + strlen(line), 20, " %d", got[i]);
    CHECK(n_got == n_want && memcmp(got, want, (size_t)n_want * 4) == 0, "\"%s\" gives%s", text, line);
}

#define TEXT(literal) (literal), sizeof(literal) - 1
#define IDS(...) (const int32_t[]){__VA_ARGS__}, (int)(sizeof(int32_t[]){__VA_ARGS__} / 4)

/* ---- Refused --------------------------------------------------------------------------------------------------- */

static void check_refused(struct gguf_writer *w, const char *sentence) {
    struct opened o = open_writer(w);
    CHECK(o.status == PHI_MODEL && !o.t && strstr(o.err.text, sentence), "status %d, \"%s\", expected \"%s\"",
          o.status, o.err.text, sentence);
    CHECK(strstr(o.err.text, path) || strstr(o.err.text, "..."), "\"%s\" does not name the file", o.err.text);
    shut(&o);
}

static void refuse_entry(int id, const char *text, float score, int32_t type, const char *sentence) {
    struct vocabulary v = begin();
    add(&v, "a", -1, NORMAL);
    if (text) replace(&v, id, text);
    v.entry[id].score = score;
    v.entry[id].type = type;
    struct gguf_writer w = write_vocabulary(&v, NULL);
    check_refused(&w, sentence);
    drop(&v);
}

static void refuse_id(const char *key, enum phi_gguf_type type, uint64_t bits, const char *sentence) {
    struct vocabulary v = begin();
    struct gguf_writer w = write_vocabulary(&v, key);
    gguf_scalar(&w, key, type, bits);
    check_refused(&w, sentence);
    drop(&v);
}

static void check_refusals(void) {
    static const char *const keys[] = {"tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.scores",
                                       "tokenizer.ggml.token_type"};
    struct vocabulary v = begin();
    struct gguf_writer w;
    char sentence[200];
    for (int i = 0; i < 4; i++) {
        w = write_vocabulary(&v, keys[i]);
        snprintf(sentence, sizeof sentence, "%s is missing", keys[i]);
        check_refused(&w, sentence);
    }
    for (int i = 1; i < 4; i++) {
        w = write_vocabulary(&v, keys[i]);
        gguf_u32(&w, keys[i], 5);
        snprintf(sentence, sizeof sentence, "%s is of type u32, expected an array of", keys[i]);
        check_refused(&w, sentence);
    }
    w = write_vocabulary(&v, keys[0]);
    gguf_str(&w, keys[0], "gpt3");
    check_refused(&w, "tokenizer.ggml.model \"gpt3\" is not supported; expected \"llama\"");
    w = write_vocabulary(&v, keys[0]);
    gguf_str_n(&w, keys[0], "llama\0\n", 7);
    check_refused(&w, "tokenizer.ggml.model \"llama\\x00\\x0a\" is not supported");
    w = write_vocabulary(&v, keys[2]);
    write_scores(&w, &v, v.n - 1);
    check_refused(&w, "tokenizer.ggml.scores has 258 elements, tokenizer.ggml.tokens has 259");
    w = write_vocabulary(&v, keys[3]);
    write_types(&w, &v, PHI_GGUF_F32);
    check_refused(&w, "tokenizer.ggml.token_type is an array of f32, expected one of integers");
    w = write_vocabulary(&v, keys[2]);
    if (gguf_array(&w, keys[2], PHI_GGUF_I32, 0))
        check_refused(&w, "tokenizer.ggml.scores is an array of i32, expected one of f32");
    drop(&v);
    w = write_vocabulary(&v, NULL);
    check_refused(&w, "byte token <0x00> is missing (0 of 256 are there)");
}

static void check_refused_entries(void) {
    char sentence[200];
    refuse_entry(259, NULL, NAN, NORMAL, "tokenizer.ggml.scores: the score of token 259 is not a number");
    refuse_entry(259, NULL, -INFINITY, NORMAL, "tokenizer.ggml.scores: the score of token 259 is infinite");
    refuse_entry(259, NULL, 0, 0, "tokenizer.ggml.token_type: the type of token 259 is 0, expected 1 to 6");
    refuse_entry(259, NULL, 0, 7, "the type of token 259 is 7");
    refuse_entry(259, NULL, 0, INT32_MIN, "the type of token 259 is -2147483648");
    refuse_entry(3 + 'A', NULL, 0, NORMAL, "byte token <0x41> is missing (255 of 256 are there)");
    static const char *const bytes[] = {"<0x-1>", "<0x4>",  "<0xG0>",  "<0x041>", "<0X41>", "0x41",
                                        "",       "<0x4 >", " <0x41>", "<0x+4>",  "A"};
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        snprintf(sentence, sizeof sentence, "byte token 68 is \"%s\", expected <0x00> to <0xFF>", bytes[i]);
        refuse_entry(3 + 'A', bytes[i], 0, BYTE, sentence);
    }
    refuse_entry(3 + 'A', "<0x42>", 0, BYTE, "byte token <0x41> is missing");

    refuse_id("tokenizer.ggml.eos_token_id", PHI_GGUF_U32, 40000,
              "tokenizer.ggml.eos_token_id 40000 is outside the vocabulary (259)");
    refuse_id("tokenizer.ggml.bos_token_id", PHI_GGUF_U32, 259,
              "tokenizer.ggml.bos_token_id 259 is outside the vocabulary (259)");
    refuse_id("tokenizer.ggml.eot_token_id", PHI_GGUF_U64, UINT64_MAX,
              "tokenizer.ggml.eot_token_id 18446744073709551615 is outside");
    refuse_id("tokenizer.ggml.padding_token_id", PHI_GGUF_I32, (uint64_t)-1, "tokenizer.ggml.padding_token_id -1");
    refuse_id("tokenizer.ggml.unknown_token_id", PHI_GGUF_F32, 0, "tokenizer.ggml.unknown_token_id");
    refuse_id("tokenizer.ggml.add_bos_token", PHI_GGUF_U8, 2, "tokenizer.ggml.add_bos_token");
}

static void check_longest(void) {
    char *longest = malloc(65538);
    memset(longest, 'x', 65538);
    for (int more = 0; more < 2; more++) {
        struct vocabulary v = begin();
        add_n(&v, longest, 65536 + (size_t)more, 0, NORMAL);
        struct gguf_writer w = write_vocabulary(&v, NULL);
        if (more) {
            check_refused(&w, "token 259 has 65537 bytes, the most is 65536");
        } else {
            struct opened o = open_writer(&w);
            CHECK(o.status == 0, "%s", o.err.text);
            shut(&o);
        }
        drop(&v);
    }
    free(longest);
}

/* ---- Accepted -------------------------------------------------------------------------------------------------- */

static void check_strange(void) {
    struct vocabulary v = begin();
    replace(&v, 3 + 0xab, "<0xaB>"); /* either case of hexadecimal digits */
    int a = add(&v, "a", -5, NORMAL);
    int nul = add_n(&v, "a\0", 2, -1, NORMAL);
    add(&v, "", 7, NORMAL);
    add(&v, "a", -1, NORMAL);                 /* again: the first wins */
    int broken = add(&v, "\377a", 9, NORMAL); /* no text is merged into it */
    add(&v, "", 0, CONTROL);
    add(&v, "<0x61>", 0, BYTE); /* the byte a, again; and b below */
    int both = add(&v, "aa", -0.0f, NORMAL);
    int space = add(&v, SPACE, -1000, NORMAL);
    add(&v, "<0x62>", 0, BYTE);
    int xy = add(&v, "xy", -0.0f, NORMAL);
    add(&v, "yx", 0.0f, NORMAL); /* no better than -0: the leftmost wins */
    static const enum phi_gguf_type types[] = {PHI_GGUF_U8,  PHI_GGUF_I8,  PHI_GGUF_U16, PHI_GGUF_I16,
                                               PHI_GGUF_U32, PHI_GGUF_I32, PHI_GGUF_U64, PHI_GGUF_I64};
    for (int i = 0; i < 8; i++) { /* integers of every width */
        struct gguf_writer w = write_vocabulary(&v, "tokenizer.ggml.token_type");
        write_types(&w, &v, types[i]);
        struct opened o = open_writer(&w);
        CHECK(o.status == 0, "%s", o.err.text);
        if (o.status) continue;
        check_ids(&o, TEXT("aaa"), 0, IDS(space, both, a));
        check_ids(&o, TEXT("a\0\0"), 0, IDS(space, nul, 3));
        check_ids(&o,
                  TEXT("\xff"
                       "aa"),
                  0, IDS(space, 3 + 0xff, both));
        check_ids(&o, TEXT("<0x61>"), PHI_PARSE_SPECIAL,
                  IDS(space, 3 + '<', 3 + '0', 3 + 'x', 3 + '6', 3 + '1', 3 + '>'));
        check_ids(&o, TEXT("b"), 0, IDS(space, 3 + 'b'));
        check_ids(&o, TEXT("xyx"), 0, IDS(space, xy, 3 + 'x'));
        size_t n;
        const char *s = phi_tokenizer_bytes(o.t, nul, false, &n);
        CHECK(n == 2 && memcmp(s, "a\0", 2) == 0, "a NUL in a token");
        s = phi_tokenizer_bytes(o.t, broken, false, &n);
        CHECK(n == 2 && memcmp(s,
                               "\xff"
                               "a",
                               2) == 0,
              "a broken byte in a token");
        shut(&o);
    }
    drop(&v);
}

static struct vocabulary family(int32_t type, bool vision) {
    static const char *const names[] = {"<|endoftext|>", "<|assistant|>", "<|placeholder1|>",
                                        "<|system|>",    "<|end|>",       "<|user|>"};
    struct vocabulary v = begin();
    for (int i = 0; i < 6; i++) add(&v, names[i], 1000, type); /* 259.. */
    add(&v, "[PAD265]", 1000, type == NORMAL ? UNUSED : type);
    add(&v, vision ? "<|image|>" : "<|other|>", 0, USER_DEFINED); /* 266 */
    add(&v, SPACE, -1, NORMAL);                                   /* 267 */
    add(&v, "a", -2, NORMAL);                                     /* 268 */
    for (const char *s = "<|end>[PAD265]"; *s; s++) add_n(&v, s, 1, -3, NORMAL);
    add(&v, "<|", -1, NORMAL);
    add(&v, "en", -1, NORMAL);
    add(&v, "<|en", -1, NORMAL);
    add(&v, "d|>", -1, NORMAL);
    add(&v, "|>", -1, NORMAL);
    return v;
}

/* The family is known by the texts; the types that files give them differ. */
static void check_family(void) {
    static const int32_t types[] = {NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED};
    for (int i = 0; i < 10; i++) {
        bool vision = i % 2;
        struct vocabulary v = family(types[i / 2], vision);
        struct opened o = open_vocabulary(&v);
        if (!vision) {
            check_ids(&o,
                      TEXT("<|user|> \na<|end|>\n\xc2\xa0"
                           "a"),
                      PHI_PARSE_SPECIAL, IDS(264, 267, 268, 263, 267, 268));
            check_ids(&o, TEXT("<|system|> a</s> <s> a"), PHI_PARSE_SPECIAL, IDS(262, 267, 268, 2, 1, 267, 267, 268));
        } else {
            check_ids(&o, TEXT("<|user|> a<|end|> "), PHI_PARSE_SPECIAL, IDS(264, 267, 267, 268, 263, 267, 267));
            check_ids(&o, TEXT("<|image|> a</s> a"), PHI_PARSE_SPECIAL, IDS(266, 267, 268, 2, 267, 268));
        }
        check_ids(&o, TEXT("<|assistant|> a<|placeholder1|>\n\na<|endoftext|> a"), PHI_PARSE_SPECIAL,
                  IDS(260, 267, 268, 261, 267, 268, 259, 267, 267, 268));

        /* Never from plain text, and filler not even when asked for. */
        const char *texts[] = {"<|end|>", "[PAD265]", "<|user|><|end|>", "<s>", "<unk>"};
        for (int k = 0; k < 5; k++)
            for (unsigned flags = 0; flags <= PHI_PARSE_SPECIAL; flags += PHI_PARSE_SPECIAL) {
                int32_t ids[64];
                int64_t n = phi_tokenizer_encode(o.t, texts[k], strlen(texts[k]), flags, ids, 64);
                bool control = false;
                for (int64_t j = 0; j < n && j < 64; j++) control |= phi_tokenizer_is_control(o.t, ids[j]);
                CHECK(control == (flags && k != 1), "%s, flags %u, type %d", texts[k], flags, types[i / 2]);
            }
        for (int32_t id = 0; id < v.n; id++) {
            bool control = id < 3 || (id >= 259 && id < 266) || (vision && id == 266);
            size_t n, n_name;
            phi_tokenizer_bytes(o.t, id, false, &n);
            phi_tokenizer_bytes(o.t, id, true, &n_name);
            CHECK(phi_tokenizer_is_control(o.t, id) == control && (n == 0) == control && n_name > 0,
                  "token %d, type %d", id, types[i / 2]);
            bool stop = id == 2 || id == 259 || id == 260 || id == 263;
            CHECK(phi_tokenizer_is_stop(o.t, id) == stop, "stop token %d", id);
        }
        shut(&o);
        drop(&v);
    }
}

/* Without the family's tokens only the types speak, and no token swallows white space. */
static void check_no_family(void) {
    struct vocabulary v = begin();
    int space = add(&v, SPACE, -1, NORMAL), a = add(&v, "a", -2, NORMAL);
    int user = add(&v, "<|user|>", 0, CONTROL), tool = add(&v, "<tool>", 0, USER_DEFINED),
        longer = add(&v, "<tool>>", 0, USER_DEFINED);
    char name[300];
    memset(name, 'n', sizeof name);
    int n255 = add_n(&v, name, 255, 0, CONTROL);
    memset(name, 'm', sizeof name);
    add_n(&v, name, 256, 0, CONTROL); /* too long to be looked for */
    struct gguf_writer w = write_vocabulary(&v, "tokenizer.ggml.bos_token_id");
    gguf_bool(&w, "tokenizer.ggml.add_bos_token", true);
    gguf_u32(&w, "tokenizer.ggml.eot_token_id", (uint32_t)user);
    gguf_scalar(&w, "tokenizer.ggml.eom_token_id", PHI_GGUF_I64, (uint64_t)tool);
    struct opened o = open_writer(&w);
    CHECK(o.status == 0, "%s", o.err.text);
    check_ids(&o, TEXT("<|user|> a"), PHI_PARSE_SPECIAL | PHI_ADD_BOS,
              IDS(user, space, space, a)); /* there is no BOS to add */
    CHECK(phi_tokenizer_bos(o.t) == -1, "bos %d", phi_tokenizer_bos(o.t));
    check_ids(&o, TEXT("<tool>><tool>a"), PHI_PARSE_SPECIAL, IDS(longer, tool, space, a)); /* the longest first */
    CHECK(!phi_tokenizer_is_control(o.t, tool), "a user-defined token has text");
    CHECK(phi_tokenizer_is_stop(o.t, user) && phi_tokenizer_is_stop(o.t, tool) && phi_tokenizer_is_stop(o.t, 2),
          "eos, eot, eom");
    memset(name, 'n', sizeof name);
    check_ids(&o, name, 255, PHI_PARSE_SPECIAL, IDS(n255));
    memset(name, 'm', sizeof name);
    int64_t n = phi_tokenizer_encode(o.t, name, 256, PHI_PARSE_SPECIAL, NULL, 0);
    CHECK(n == 257, "%lld ids", (long long)n);
    shut(&o);

    w = write_vocabulary(&v, NULL);
    gguf_bool(&w, "tokenizer.ggml.add_bos_token", false);
    o = open_writer(&w);
    check_ids(&o, TEXT("a"), PHI_ADD_BOS, IDS(space, a));
    CHECK(!phi_tokenizer_add_bos(o.t) && phi_tokenizer_bos(o.t) == 1, "the file wants no BOS");
    shut(&o);
    drop(&v);
}

/* ---- Against the plain rule ------------------------------------------------------------------------------------ */

struct symbol {
    size_t at, n;
    bool broken;
};

static int find_piece(const struct vocabulary *v, const char *s, size_t n) {
    for (int i = 259; i < v->n; i++)
        if (v->entry[i].n == n && memcmp(v->entry[i].text, s, n) == 0) return i;
    return -1;
}

/* Merge the best pair, leftmost of equals, until there is none. Quadratic, and obviously so. */
static int reference_encode(const struct vocabulary *v, const char *text, size_t n, int32_t *ids) {
    char s[1000];
    struct symbol symbol[400];
    size_t n_s = 0, n_symbol = 0;
    for (size_t i = 0; n > 0 && i <= n; i++) { /* ▁ before everything */
        char c = i ? text[i - 1] : ' ';
        memcpy(s + n_s, c == ' ' ? SPACE : &c, c == ' ' ? 3 : 1);
        n_s += c == ' ' ? 3 : 1;
    }
    for (size_t i = 0; i < n_s; i += symbol[n_symbol++].n) {
        int length = phi_utf8_length(s + i, n_s - i);
        symbol[n_symbol] = (struct symbol){i, length > 0 ? (size_t)length : 1, length <= 0};
    }
    for (;;) {
        int best = -1;
        size_t best_at = 0;
        for (size_t i = 0; i + 1 < n_symbol; i++) {
            if (symbol[i].broken || symbol[i + 1].broken) continue;
            int id = find_piece(v, s + symbol[i].at, symbol[i].n + symbol[i + 1].n);
            if (id < 0 || (best >= 0 && v->entry[id].score <= v->entry[best].score)) continue;
            best = id;
            best_at = i;
        }
        if (best < 0) break;
        symbol[best_at].n += symbol[best_at + 1].n;
        n_symbol--;
        memmove(&symbol[best_at + 1], &symbol[best_at + 2], (n_symbol - best_at - 1) * sizeof *symbol);
    }
    int n_id = 0;
    for (size_t i = 0; i < n_symbol; i++) {
        int id = symbol[i].broken ? -1 : find_piece(v, s + symbol[i].at, symbol[i].n);
        if (id >= 0) ids[n_id++] = id;
        for (size_t k = 0; id < 0 && k < symbol[i].n; k++) ids[n_id++] = 3 + (uint8_t)s[symbol[i].at + k];
    }
    return n_id;
}

static void check_random_vocabulary(unsigned long long *rng) {
    static const char *const letters[] = {"a", "b", SPACE, "\xc3\xa9", "\xf0\x9f\xa6\x99", "\xff"};
    struct vocabulary v = begin();
    int n_piece = (int)(check_random(rng) % 60), n_score = 1 + (int)(check_random(rng) % 40);
    bool words = check_random(rng) & 1; /* as in real vocabularies: ▁ only at the beginning */
    for (int i = 0; i < n_piece; i++) {
        char text[64] = "";
        for (int k = (int)(check_random(rng) % 6); k >= 0; k--) {
            const char *letter = letters[check_random(rng) % 100 < 3 ? 5 : check_random(rng) % 5];
            if (words && *text && letter == letters[2] && strcmp(text, SPACE) != 0) continue;
            strcat(text, letter);
        }
        add(&v, text, (float)(check_random(rng) % (unsigned)n_score) - 5, NORMAL);
    }
    struct opened o = open_vocabulary(&v);
    for (int round = 0; round < 40; round++) {
        char text[200];
        int32_t want[1000];
        size_t n = 0;
        for (int k = (int)(check_random(rng) % 40); k > 0; k--) {
            const char *letter = letters[check_random(rng) % 100 < 3 ? 5 : check_random(rng) % 5];
            if (check_random(rng) % 4 == 0) letter = " ";
            memcpy(text + n, letter, strlen(letter));
            n += strlen(letter);
        }
        text[n] = '\0';
        int n_want = reference_encode(&v, text, n, want);
        check_ids(&o, text, n, 0, want, n_want);
    }
    shut(&o);
    drop(&v);
}

/* ---- Made to be slow ------------------------------------------------------------------------------------------- */

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Bit i of the sequence 0110100110010110...: texts made of it and its complement collide in every polynomial hash
 * modulo a power of two. */
static int thue_morse(unsigned i) {
    int odd = 0;
    for (; i; i >>= 1) odd ^= (int)(i & 1);
    return odd;
}

static void check_slow(void) {
    enum { BLOCK = 2048, N_BLOCK = 10, N = 1 << 20 };
    char *text = malloc(N);
    struct vocabulary v = begin();
    for (int i = 0; i < 1 << N_BLOCK; i++) { /* 1,024 texts of 20,480 bytes */
        for (int k = 0; k < N_BLOCK; k++)
            for (int j = 0; j < BLOCK; j++)
                text[k * BLOCK + j] = (char)('a' + (thue_morse((unsigned)j) ^ (i >> k & 1)));
        add_n(&v, text, BLOCK * N_BLOCK, 0, NORMAL);
    }
    struct opened o = open_vocabulary(&v);
    double start = seconds();
    struct phi_tokenizer *t;
    int status = phi_tokenizer_open(&o.g, &t, &o.err);
    double open = seconds() - start;
    CHECK(status == PHI_OK, "%s", o.err.text);
    phi_tokenizer_close(t);
    shut(&o);
    drop(&v);

    v = begin();
    memset(text, 'a', N);
    for (size_t n = 1; n <= 65536; n++)
        if (n < 200 || (n & (n - 1)) == 0) add_n(&v, text, n, (float)n, NORMAL);
    o = open_vocabulary(&v);
    start = seconds();
    int64_t n_id = phi_tokenizer_encode(o.t, text, N, 0, NULL, 0);
    printf("colliding texts: opened in %.3f s; 1 MiB with pieces up to 64 KiB: %.3f s, %lld ids\n", open,
           seconds() - start, (long long)n_id);
    CHECK(n_id > 3, "%lld ids", (long long)n_id);
    shut(&o);
    drop(&v);
    free(text);
}

/* ---- Damaged --------------------------------------------------------------------------------------------------- */

static void check_mutants(unsigned long long *rng) {
    static const char text[] = "<|user|>\na a<|end|>[PAD265]\xff\xe2\x96 <0x41>";
    struct vocabulary v = family(CONTROL, false);
    struct gguf_writer w = write_vocabulary(&v, NULL);
    gguf_end(&w);
    check_tokenizer_mutants(&w, path, text, sizeof text, 2000, 4, rng);
    gguf_free(&w);
    drop(&v);
}

int main(int argc, char **argv) {
    unsigned long long rng = check_seed();
    gguf_make_dir(argc, argv, dir);
    snprintf(path, sizeof path, "%s/vocabulary.gguf", dir);
    check_refusals();
    check_refused_entries();
    check_longest();
    check_strange();
    check_family();
    check_no_family();
    for (int i = 0; i < 300; i++) check_random_vocabulary(&rng);
    check_slow();
    check_mutants(&rng);
    gguf_remove_dir(dir);
    return check_done("check_vocabulary");
}
