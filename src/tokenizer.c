/* Text to token ids and back: SentencePiece BPE by score, as the Llama 2 tokenizer that Phi-3 extends. Owns the index
 * over the vocabulary; token texts stay in the mapped file. Control tokens are found only where the caller asks for
 * it: plain text is merged from NORMAL and BYTE pieces alone, so that no text of a user can become one. Knows no chat
 * templates (chat.c).
 *
 *   "Hi<|end|>\n you"           only with PHI_PARSE_SPECIAL: cut at special tokens; white space behind
 *   "Hi"  <|end|>  "you"        one is dropped where its family says so
 *   "▁Hi"         "▁you"        each plain segment: "▁" before it, " " -> "▁"
 *   ▁ H i         ▁ y o u       symbols: one per character; a broken byte stands alone
 *   ▁ Hi          ▁ you         merge the adjacent pair that makes the best-scored piece, leftmost of equals,
 *   ▁Hi  <|end|>  ▁you          until no pair makes one; what is no piece then: one byte token per byte */
#include "tokenizer.h"

#include "memory.h"
#include "quant/bits.h"
#include "utf8.h"

#include <math.h>
#include <string.h>
#include <time.h>

#define SPACE "\xe2\x96\x81" /* U+2581, ▁ */
enum { N_SPACE = 3 };

enum {
    MAX_SPECIAL = 255, /* bytes of a token that text is searched for: bounds the work per byte of text */
    MAX_TOKEN = INT32_MAX - 1
};

enum type { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE }; /* tokenizer.ggml.token_type */

/* What a token is to us: its type in the file and its text decide. */
enum kind {
    KIND_PIECE,   /* ordinary text */
    KIND_BYTE,    /* <0x00> ... <0xFF> */
    KIND_USER,    /* a user-defined token outside the family: parsed like a control token, but has text */
    KIND_CONTROL, /* parsed on request; no text of its own */
    KIND_FILLER   /* pads the vocabulary to a round size: never parsed, no text */
};

struct token {
    const char *text;  /* as in the file */
    const char *plain; /* what it puts out: ▁ is a space */
    uint32_t n, n_plain;
    float score;
    uint8_t kind;
    bool rstrip; /* swallows the white space to its right */
    bool stop;
};

/* A polynomial over the bytes, modulo the prime 2^31-1, in two lanes with a base each (high and low half). The hash
 * of a concatenation follows from those of its parts, so that testing a pair costs the same however long it is. The
 * bases are drawn at open: no file can be made of texts that collide. */
typedef uint64_t hash_t;

struct slot { /* of an open-addressing table */
    uint32_t tag;
    int32_t id1; /* id + 1; 0: empty */
};

struct index {
    struct slot *slot;
    int shift;    /* 64 - log2(number of slots) */
    uint32_t max; /* length of the longest text */
};

struct phi_tokenizer {
    struct token *token;
    int n_vocab;
    int32_t bos;
    bool add_bos;
    bool cut_at_space; /* no piece has a ▁ behind another character: words can be merged one by one */
    int32_t byte_id[256];
    char byte_text[256];
    char *plain; /* texts of the tokens that have a ▁ */
    struct index pieces, specials;
    bool special_first[256]; /* bytes that a special token begins with */
    bool special_length[MAX_SPECIAL + 1];
    hash_t base;   /* two lanes */
    hash_t *power; /* power[n] = base^n for n = 0..pieces.max */
    uint64_t multiplier;
};

/* ---- Hash ------------------------------------------------------------------------------------------------------ */

static const uint64_t prime = 0x7fffffff;

static uint64_t reduce(uint64_t x) { /* x < 2^62 + 2^31 -> x modulo prime */
    x = (x & prime) + (x >> 31);
    x = (x & prime) + (x >> 31);
    return x >= prime ? x - prime : x;
}

/* a * b + c, lane by lane */
static hash_t lanes(hash_t a, hash_t b, hash_t c) {
    const uint64_t low = 0xffffffff;
    return reduce((a >> 32) * (b >> 32) + (c >> 32)) << 32 | reduce((a & low) * (b & low) + (c & low));
}

static hash_t hash_byte(const struct phi_tokenizer *t, hash_t h, char c) {
    uint64_t v = (uint64_t)(uint8_t)c + 1;
    return lanes(h, t->base, v << 32 | v);
}

static hash_t hash_text(const struct phi_tokenizer *t, const char *s, size_t n) {
    hash_t h = 0;
    for (size_t i = 0; i < n; i++) h = hash_byte(t, h, s[i]);
    return h;
}

static uint64_t mix(uint64_t z) { /* the finalizer of splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Unpredictable to whoever made the file, which is all that is needed: results do not depend on it. */
static void choose_hash(struct phi_tokenizer *t) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed = mix((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
    seed = mix(seed ^ (uintptr_t)t);    /* heap */
    seed = mix(seed ^ (uintptr_t)&now); /* stack */
    uint64_t a = mix(seed + 1) % (prime - 512) + 256, b = mix(seed + 2) % (prime - 512) + 256;
    t->base = a << 32 | b;
    t->multiplier = mix(seed + 3) | 1;
}

/* ---- Index ----------------------------------------------------------------------------------------------------- */

static bool index_alloc(struct index *x, size_t n_text) {
    int bits = 4;
    while ((size_t)1 << bits < n_text * 2) bits++;
    x->slot = phi_alloc((size_t)1 << bits, sizeof *x->slot);
    x->shift = 64 - bits;
    return x->slot != NULL;
}

/* The slot of this text, or the empty one where it belongs. */
static struct slot *index_slot(const struct phi_tokenizer *t, const struct index *x, hash_t h, const char *s,
                               size_t n) {
    uint64_t mixed = h * t->multiplier;
    uint32_t tag = (uint32_t)(mixed >> 32);
    size_t mask = ((size_t)1 << (64 - x->shift)) - 1;
    for (size_t i = (size_t)(mixed >> x->shift);; i = (i + 1) & mask) {
        struct slot *slot = &x->slot[i];
        if (slot->id1 == 0) return slot;
        if (slot->tag != tag) continue;
        const struct token *token = &t->token[slot->id1 - 1];
        if (token->n == n && memcmp(token->text, s, n) == 0) return slot;
    }
}

static int32_t index_find(const struct phi_tokenizer *t, const struct index *x, hash_t h, const char *s, size_t n) {
    return index_slot(t, x, h, s, n)->id1 - 1;
}

static void index_add(struct phi_tokenizer *t, struct index *x, int32_t id) {
    const struct token *token = &t->token[id];
    hash_t h = hash_text(t, token->text, token->n);
    struct slot *slot = index_slot(t, x, h, token->text, token->n);
    if (slot->id1 != 0) return; /* of equal texts the first wins */
    slot->tag = (uint32_t)(h * t->multiplier >> 32);
    slot->id1 = id + 1;
    if (token->n > x->max) x->max = token->n;
}

/* ---- Opening: the family's tokens ------------------------------------------------------------------------------ */

enum { STRIP_TEXT = 1, STRIP_VISION = 2, STOP = 4 };
enum family { FAMILY_OTHER, FAMILY_TEXT, FAMILY_VISION };

/* Control tokens by text, whatever type the file gives them: official Phi-3 files call them user-defined. Which ones
 * swallow white space is in no GGUF file; it is "rstrip" in the added_tokens of the models' tokenizer.json. The stop
 * tokens are eos_token_id of their generation_config.json: [32000, 32001, 32007]. */
static const struct name {
    const char *text;
    unsigned flags;
} names[] = {
    {"<unk>", 0},
    {"<s>", 0},
    {"</s>", STRIP_TEXT | STRIP_VISION},
    {"<|endoftext|>", STOP},
    {"<|assistant|>", STRIP_TEXT | STRIP_VISION | STOP},
    {"<|system|>", STRIP_TEXT},
    {"<|end|>", STRIP_TEXT | STOP},
    {"<|user|>", STRIP_TEXT},
    {"<|image|>", STRIP_VISION},
    {"<|placeholder|>", STRIP_TEXT | STRIP_VISION}, /* with a number before the last two characters */
};
enum { N_NAME = sizeof names / sizeof *names, PLACEHOLDER = N_NAME - 1 };

static bool text_is(const struct token *token, const char *text) {
    size_t n = strlen(text);
    return token->n == n && memcmp(token->text, text, n) == 0;
}

/* PREFIX digits SUFFIX? Returns the number of digits; 0: no. */
static size_t numbered(const struct token *token, const char *prefix, const char *suffix) {
    size_t n_prefix = strlen(prefix), n_suffix = strlen(suffix);
    if (token->n <= n_prefix + n_suffix || token->n > n_prefix + n_suffix + 10) return 0;
    if (memcmp(token->text, prefix, n_prefix) != 0) return 0;
    if (memcmp(token->text + token->n - n_suffix, suffix, n_suffix) != 0) return 0;
    for (size_t i = n_prefix; i < token->n - n_suffix; i++)
        if (token->text[i] < '0' || token->text[i] > '9') return 0;
    return token->n - n_prefix - n_suffix;
}

static const struct name *find_name(const struct token *token) {
    for (size_t i = 0; i < PLACEHOLDER; i++)
        if (text_is(token, names[i].text)) return &names[i];
    return numbered(token, "<|placeholder", "|>") ? &names[PLACEHOLDER] : NULL;
}

/* By the texts that are there, never by the name of the model. */
static enum family find_family(const struct phi_tokenizer *t) {
    bool user = false, assistant = false, end = false, image = false;
    for (int i = 0; i < t->n_vocab; i++) {
        const struct token *token = &t->token[i];
        if (text_is(token, "<|user|>")) user = true;
        if (text_is(token, "<|assistant|>")) assistant = true;
        if (text_is(token, "<|end|>")) end = true;
        if (text_is(token, "<|image|>")) image = true;
    }
    if (!user || !assistant || !end) return FAMILY_OTHER;
    return image ? FAMILY_VISION : FAMILY_TEXT;
}

static enum kind kind_of(enum type type, const struct token *token) {
    if (type == BYTE) return KIND_BYTE;
    if (find_name(token)) return KIND_CONTROL;
    if (type == NORMAL) return KIND_PIECE;
    if (type == UNKNOWN || type == UNUSED) return KIND_FILLER;
    if (numbered(token, "[PAD", "]")) return KIND_FILLER; /* converters have typed these as user-defined, too */
    return type == CONTROL ? KIND_CONTROL : KIND_USER;
}

/* ---- Opening: the tables of the file --------------------------------------------------------------------------- */

static bool is_integer(enum phi_gguf_type type) {
    return type <= PHI_GGUF_I32 || type == PHI_GGUF_U64 || type == PHI_GGUF_I64;
}

/* Element i of an array of any integer type. */
static int64_t integer_at(const struct phi_gguf_kv *kv, uint64_t i) {
    const uint8_t *p = kv->data;
    int64_t wide;
    switch (kv->element) {
    case PHI_GGUF_U8:
        return p[i];
    case PHI_GGUF_I8:
        return (int8_t)p[i];
    case PHI_GGUF_U16:
        return load_u16(p + 2 * i);
    case PHI_GGUF_I16:
        return (int16_t)load_u16(p + 2 * i);
    case PHI_GGUF_U32:
        return load_u32(p + 4 * i);
    case PHI_GGUF_I32:
        return (int32_t)load_u32(p + 4 * i);
    default:
        memcpy(&wide, p + 8 * i, 8);
        return wide;
    }
}

/* An array that a vocabulary must have. element: PHI_GGUF_I32 stands for any integer type. */
static int find_array(const struct phi_gguf *g, const char *key, enum phi_gguf_type element,
                      const struct phi_gguf_kv **out, phi_error *err) {
    const struct phi_gguf_kv *kv = phi_gguf_find(g, key);
    const char *wanted = element == PHI_GGUF_I32 ? "integers" : element == PHI_GGUF_F32 ? "f32" : "strings";
    if (!kv) return phi_file_fail(g->file.path, err, PHI_MODEL, "%s is missing", key);
    if (kv->type != PHI_GGUF_ARRAY)
        return phi_file_fail(g->file.path, err, PHI_MODEL, "%s is of type %s, expected an array of %s", key,
                             phi_gguf_type_name(kv->type), wanted);
    if (element == PHI_GGUF_I32 ? !is_integer(kv->element) : kv->element != element)
        return phi_file_fail(g->file.path, err, PHI_MODEL, "%s is an array of %s, expected one of %s", key,
                             phi_gguf_type_name(kv->element), wanted);
    *out = kv;
    return PHI_OK;
}

static int check_length(const struct phi_gguf *g, const struct phi_gguf_kv *tokens, const struct phi_gguf_kv *kv,
                        const char *key, phi_error *err) {
    if (kv->n == tokens->n) return PHI_OK;
    return phi_file_fail(g->file.path, err, PHI_MODEL, "%s has %llu elements, tokenizer.ggml.tokens has %llu", key,
                         (unsigned long long)kv->n, (unsigned long long)tokens->n);
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

static int add_byte(const struct phi_gguf *g, struct phi_tokenizer *t, int32_t id, phi_error *err) {
    struct token *token = &t->token[id];
    int high = -1, low = -1;
    if (token->n == 6 && memcmp(token->text, "<0x", 3) == 0 && token->text[5] == '>') {
        high = hex_digit(token->text[3]);
        low = hex_digit(token->text[4]);
    }
    if (high < 0 || low < 0) {
        char quote[PHI_QUOTE_SIZE];
        return phi_file_fail(g->file.path, err, PHI_MODEL,
                             "tokenizer.ggml.tokens: byte token %d is \"%s\", expected <0x00> to <0xFF>", id,
                             phi_quote(quote, token->text, token->n));
    }
    int byte = high * 16 + low;
    if (t->byte_id[byte] < 0) t->byte_id[byte] = id;
    token->plain = &t->byte_text[byte];
    token->n_plain = 1;
    return PHI_OK;
}

/* All of them must be there: without, there would be texts that cannot be said. */
static int check_bytes(const struct phi_gguf *g, const struct phi_tokenizer *t, phi_error *err) {
    int n = 0, missing = -1;
    for (int i = 0; i < 256; i++) {
        if (t->byte_id[i] >= 0)
            n++;
        else if (missing < 0)
            missing = i;
    }
    if (n == 256) return PHI_OK;
    return phi_file_fail(g->file.path, err, PHI_MODEL,
                         "tokenizer.ggml.tokens: byte token <0x%02X> is missing (%d of 256 are there)",
                         (unsigned)missing, n);
}

/* Texts, scores and types, each checked. */
static int read_tokens(const struct phi_gguf *g, struct phi_tokenizer *t, const struct phi_gguf_kv *tokens,
                       const struct phi_gguf_kv *scores, const struct phi_gguf_kv *types, phi_error *err) {
    const uint8_t *at = tokens->data;
    for (int i = 0; i < t->n_vocab; i++) {
        struct phi_str text = phi_gguf_next_str(&at);
        float score = f32_from_bits(load_u32(scores->data + 4 * (size_t)i));
        int64_t type = integer_at(types, (uint64_t)i);
        if (!isfinite(score))
            return phi_file_fail(g->file.path, err, PHI_MODEL,
                                 "tokenizer.ggml.scores: the score of token %d is %s, expected a finite number", i,
                                 isnan(score) ? "not a number" : "infinite");
        if (type < NORMAL || type > BYTE)
            return phi_file_fail(g->file.path, err, PHI_MODEL,
                                 "tokenizer.ggml.token_type: the type of token %d is %lld, expected %d to %d", i,
                                 (long long)type, NORMAL, BYTE);
        struct token *token = &t->token[i];
        token->text = text.s;
        token->n = (uint32_t)text.n; /* gguf.c admits at most 64 KiB */
        token->score = score + 0.0f; /* no -0: scores are compared by their bits */
        token->kind = (uint8_t)kind_of((enum type)type, token);
        if (token->kind == KIND_BYTE) {
            int status = add_byte(g, t, i, err);
            if (status) return status;
        }
    }
    return check_bytes(g, t, err);
}

static bool is_space(const char *s, size_t n) {
    return n >= N_SPACE && memcmp(s, SPACE, N_SPACE) == 0;
}

/* Copy s, each ▁ as one space. out may be NULL. Returns the length. */
static size_t write_plain(const char *s, size_t n, char *out) {
    size_t n_out = 0;
    for (size_t i = 0; i < n; n_out++) {
        bool space = is_space(s + i, n - i);
        if (out) out[n_out] = space ? ' ' : s[i];
        i += space ? N_SPACE : 1;
    }
    return n_out;
}

static bool has_text(const struct token *token) {
    return token->kind == KIND_PIECE || token->kind == KIND_USER;
}

/* What pieces put out; those without ▁ do it from the file. */
static bool make_plain(struct phi_tokenizer *t) {
    size_t total = 0;
    for (int i = 0; i < t->n_vocab; i++) {
        struct token *token = &t->token[i];
        if (!has_text(token)) continue;
        token->plain = token->text;
        token->n_plain = (uint32_t)write_plain(token->text, token->n, NULL);
        if (token->n_plain != token->n) total += token->n_plain;
    }
    t->plain = phi_alloc(total + 1, 1);
    if (!t->plain) return false;
    char *at = t->plain;
    for (int i = 0; i < t->n_vocab; i++) {
        struct token *token = &t->token[i];
        if (!has_text(token) || token->n_plain == token->n) continue;
        token->plain = at;
        at += write_plain(token->text, token->n, at);
    }
    return true;
}

/* Can text be merged into this piece? Symbols are whole characters, so not if it is empty or no UTF-8. Clears
 * cut_at_space if it has a ▁ behind another character. */
static bool is_reachable(struct phi_tokenizer *t, const struct token *token) {
    bool glues = false, other = false;
    for (size_t i = 0; i < token->n;) {
        int length = phi_utf8_length(token->text + i, token->n - i);
        if (length <= 0) return false;
        if (!is_space(token->text + i, token->n - i))
            other = true;
        else if (other)
            glues = true;
        i += (size_t)length;
    }
    if (glues) t->cut_at_space = false;
    return token->n > 0;
}

static bool make_index(struct phi_tokenizer *t) {
    size_t n_piece = 0, n_special = 0;
    for (int i = 0; i < t->n_vocab; i++) {
        if (t->token[i].kind == KIND_PIECE) n_piece++;
        if (t->token[i].kind == KIND_CONTROL || t->token[i].kind == KIND_USER) n_special++;
    }
    if (!index_alloc(&t->pieces, n_piece) || !index_alloc(&t->specials, n_special)) return false;
    choose_hash(t);
    t->cut_at_space = true;
    for (int i = 0; i < t->n_vocab; i++) {
        const struct token *token = &t->token[i];
        if (token->kind == KIND_PIECE && is_reachable(t, token)) index_add(t, &t->pieces, i);
        if (token->kind != KIND_CONTROL && token->kind != KIND_USER) continue;
        if (token->n == 0 || token->n > MAX_SPECIAL) continue;
        index_add(t, &t->specials, i);
        t->special_first[(uint8_t)token->text[0]] = true;
        t->special_length[token->n] = true;
    }
    t->power = phi_alloc((size_t)t->pieces.max + 1, sizeof *t->power);
    if (!t->power) return false;
    t->power[0] = (hash_t)1 << 32 | 1;
    for (size_t i = 0; i < t->pieces.max; i++) t->power[i + 1] = lanes(t->power[i], t->base, 0);
    return true;
}

/* An id that the file may name: -1 if it does not. */
static int read_id(const struct phi_gguf *g, const struct phi_tokenizer *t, const char *key, int32_t *id,
                   phi_error *err) {
    uint64_t v;
    int found = phi_gguf_get_u64(g, key, 0, UINT64_MAX, &v, err);
    *id = -1;
    if (found <= 0) return found;
    if (v >= (uint64_t)t->n_vocab)
        return phi_file_fail(g->file.path, err, PHI_MODEL, "%s %llu is outside the vocabulary (%d)", key,
                             (unsigned long long)v, t->n_vocab);
    *id = (int32_t)v;
    return PHI_OK;
}

static int read_ids(struct phi_tokenizer *t, const struct phi_gguf *g, phi_error *err) {
    static const struct {
        const char *key;
        bool stop;
    } keys[] = {
        {"tokenizer.ggml.eos_token_id", true},      {"tokenizer.ggml.eot_token_id", true},
        {"tokenizer.ggml.eom_token_id", true},      {"tokenizer.ggml.unknown_token_id", false},
        {"tokenizer.ggml.padding_token_id", false},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        int32_t id;
        int status = read_id(g, t, keys[i].key, &id, err);
        if (status) return status;
        if (id >= 0 && keys[i].stop) t->token[id].stop = true;
    }
    int status = read_id(g, t, "tokenizer.ggml.bos_token_id", &t->bos, err);
    if (status) return status;
    t->add_bos = true; /* the default of this kind of tokenizer */
    status = phi_gguf_get_bool(g, "tokenizer.ggml.add_bos_token", &t->add_bos, err);
    return status < 0 ? status : PHI_OK;
}

static void mark_family(struct phi_tokenizer *t) {
    enum family family = find_family(t);
    unsigned strip = family == FAMILY_TEXT ? STRIP_TEXT : family == FAMILY_VISION ? STRIP_VISION : 0;
    for (int i = 0; i < t->n_vocab; i++) {
        struct token *token = &t->token[i];
        const struct name *name = token->kind == KIND_CONTROL ? find_name(token) : NULL;
        if (!name) continue;
        token->rstrip = (name->flags & strip) != 0;
        if (name->flags & STOP) token->stop = true;
    }
}

/* The kinds of tokenizer differ in their tables as well as in their rules, so this is the first question. */
static int check_model(const struct phi_gguf *g, phi_error *err) {
    struct phi_str model;
    int found = phi_gguf_get_str(g, "tokenizer.ggml.model", &model, err);
    if (found < 0) return found;
    if (found == 0)
        return phi_file_fail(g->file.path, err, PHI_MODEL,
                             "tokenizer.ggml.model is missing: the file has no vocabulary");
    if (model.n == 5 && memcmp(model.s, "llama", 5) == 0) return PHI_OK;
    char quote[PHI_QUOTE_SIZE];
    return phi_file_fail(g->file.path, err, PHI_MODEL,
                         "tokenizer.ggml.model \"%s\" is not supported; expected \"llama\" (SentencePiece BPE)",
                         phi_quote(quote, model.s, (size_t)model.n));
}

int phi_tokenizer_open(const struct phi_gguf *g, struct phi_tokenizer **out, phi_error *err) {
    const struct phi_gguf_kv *tokens, *scores, *types;
    int status = check_model(g, err);
    if (!status) status = find_array(g, "tokenizer.ggml.tokens", PHI_GGUF_STRING, &tokens, err);
    if (!status) status = find_array(g, "tokenizer.ggml.scores", PHI_GGUF_F32, &scores, err);
    if (!status) status = find_array(g, "tokenizer.ggml.token_type", PHI_GGUF_I32, &types, err);
    if (!status) status = check_length(g, tokens, scores, "tokenizer.ggml.scores", err);
    if (!status) status = check_length(g, tokens, types, "tokenizer.ggml.token_type", err);
    if (status) return status;
    if (tokens->n > MAX_TOKEN)
        return phi_file_fail(g->file.path, err, PHI_MODEL,
                             "tokenizer.ggml.tokens has %llu elements, at most %d are allowed",
                             (unsigned long long)tokens->n, MAX_TOKEN);

    struct phi_tokenizer *t = phi_alloc(1, sizeof *t);
    if (!t) goto no_memory;
    t->n_vocab = (int)tokens->n;
    for (int i = 0; i < 256; i++) {
        t->byte_id[i] = -1;
        t->byte_text[i] = (char)i;
    }
    t->token = phi_alloc((size_t)t->n_vocab + 1, sizeof *t->token);
    if (!t->token) goto no_memory;
    status = read_tokens(g, t, tokens, scores, types, err);
    if (!status) status = read_ids(t, g, err);
    if (status) goto out;
    mark_family(t);
    if (!make_plain(t) || !make_index(t)) goto no_memory;
    *out = t;
    return PHI_OK;

no_memory:
    status = phi_file_fail(g->file.path, err, PHI_MEMORY, "not enough memory for a vocabulary of %llu tokens",
                           (unsigned long long)tokens->n);
out:
    phi_tokenizer_close(t);
    return status;
}

void phi_tokenizer_close(struct phi_tokenizer *t) {
    if (!t) return;
    phi_free(t->token);
    phi_free(t->plain);
    phi_free(t->pieces.slot);
    phi_free(t->specials.slot);
    phi_free(t->power);
    phi_free(t);
}

/* ---- Answers --------------------------------------------------------------------------------------------------- */

static bool is_id(const struct phi_tokenizer *t, int32_t id) {
    return id >= 0 && id < t->n_vocab;
}

int phi_tokenizer_n_vocab(const struct phi_tokenizer *t) {
    return t->n_vocab;
}

int32_t phi_tokenizer_bos(const struct phi_tokenizer *t) {
    return t->bos;
}

bool phi_tokenizer_add_bos(const struct phi_tokenizer *t) {
    return t->add_bos;
}

bool phi_tokenizer_is_stop(const struct phi_tokenizer *t, int32_t id) {
    return is_id(t, id) && t->token[id].stop;
}

bool phi_tokenizer_is_control(const struct phi_tokenizer *t, int32_t id) {
    return is_id(t, id) && (t->token[id].kind == KIND_CONTROL || t->token[id].kind == KIND_FILLER);
}

const char *phi_tokenizer_bytes(const struct phi_tokenizer *t, int32_t id, bool special, size_t *n_bytes) {
    *n_bytes = 0;
    if (!is_id(t, id)) return "";
    const struct token *token = &t->token[id];
    if (phi_tokenizer_is_control(t, id)) {
        if (!special) return "";
        *n_bytes = token->n;
        return token->text;
    }
    *n_bytes = token->n_plain;
    return token->plain;
}

/* ---- Merging --------------------------------------------------------------------------------------------------- */

static const uint32_t none = UINT32_MAX;

struct symbol {
    uint32_t at, n;      /* bytes in the encoder's text; n = 0: merged into the one to its left */
    uint32_t prev, next; /* neighbours; none at the ends */
    hash_t hash;
    int32_t id; /* the piece that it was merged into; -1: still a character */
};

struct pair {     /* two neighbours that make a piece */
    uint64_t key; /* the score, then the position: the largest goes first */
    uint32_t right;
    int32_t id; /* of the piece */
};

/* One run of phi_tokenizer_encode(): where ids go, and the word at hand. */
struct encoder {
    const struct phi_tokenizer *t;
    int32_t *ids;
    size_t cap;
    int64_t n_id;
    char *text;
    struct symbol *symbol;
    struct pair *pair; /* a heap */
    size_t n_text, n_symbol, n_pair, cap_text, cap_symbol, cap_pair;
};

static void emit(struct encoder *e, int32_t id) {
    if ((uint64_t)e->n_id < e->cap) e->ids[e->n_id] = id;
    e->n_id++;
}

/* p with room for need items: p itself, or moved. NULL: no memory, and p is still valid. */
static void *grow(void *p, size_t *cap, size_t need, size_t item_size) {
    if (need <= *cap) return p;
    size_t more = *cap < 32 ? 64 : *cap * 2;
    void *q = phi_realloc(p, more, item_size);
    if (q) *cap = more;
    return q;
}

/* Floats in an order of unsigned integers. */
static uint32_t ordered(float f) {
    uint32_t u = f32_bits(f);
    return u & 0x80000000u ? ~u : u | 0x80000000u;
}

static bool heap_push(struct encoder *e, struct pair pair) {
    void *p = grow(e->pair, &e->cap_pair, e->n_pair + 1, sizeof pair);
    if (!p) return false;
    e->pair = p;
    size_t i = e->n_pair++;
    while (i > 0 && e->pair[(i - 1) / 2].key < pair.key) {
        e->pair[i] = e->pair[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    e->pair[i] = pair;
    return true;
}

static struct pair heap_pop(struct encoder *e) {
    struct pair top = e->pair[0], last = e->pair[--e->n_pair];
    size_t i = 0;
    for (size_t child = 1; child < e->n_pair; child = 2 * i + 1) {
        if (child + 1 < e->n_pair && e->pair[child].key < e->pair[child + 1].key) child++;
        if (e->pair[child].key <= last.key) break;
        e->pair[i] = e->pair[child];
        i = child;
    }
    e->pair[i] = last;
    return top;
}

/* Remember left and its neighbour if together they are a piece. */
static bool try_pair(struct encoder *e, uint32_t left) {
    const struct phi_tokenizer *t = e->t;
    const struct symbol *a = &e->symbol[left];
    if (a->next == none) return true;
    const struct symbol *b = &e->symbol[a->next];
    uint64_t n = (uint64_t)a->n + b->n;
    if (n > t->pieces.max) return true;
    hash_t h = lanes(a->hash, t->power[b->n], b->hash);
    int32_t id = index_find(t, &t->pieces, h, e->text + a->at, (size_t)n);
    if (id < 0) return true;
    return heap_push(e, (struct pair){(uint64_t)ordered(t->token[id].score) << 32 | (none - left), a->next, id});
}

static bool add_symbol(struct encoder *e, const char *s, size_t n) {
    if (e->n_text > UINT32_MAX - 8) return false; /* a word of 4 GiB: its symbols alone would take 130 */
    void *text = grow(e->text, &e->cap_text, e->n_text + n, 1);
    if (!text) return false;
    e->text = text;
    void *symbol = grow(e->symbol, &e->cap_symbol, e->n_symbol + 1, sizeof *e->symbol);
    if (!symbol) return false;
    e->symbol = symbol;
    uint32_t i = (uint32_t)e->n_symbol++;
    memcpy(e->text + e->n_text, s, n);
    e->symbol[i] =
        (struct symbol){(uint32_t)e->n_text, (uint32_t)n, i ? i - 1 : none, none, hash_text(e->t, s, n), -1};
    if (i) e->symbol[i - 1].next = i;
    e->n_text += n;
    return true;
}

static void emit_symbol(struct encoder *e, const struct symbol *s) {
    const struct phi_tokenizer *t = e->t;
    const char *text = e->text + s->at;
    int32_t id = s->id >= 0 ? s->id : index_find(t, &t->pieces, s->hash, text, s->n);
    if (id >= 0) {
        emit(e, id);
    } else {
        for (uint32_t i = 0; i < s->n; i++) emit(e, t->byte_id[(uint8_t)text[i]]);
    }
}

/* Merge the symbols at hand, put out the result, begin anew. */
static bool finish_word(struct encoder *e) {
    e->n_pair = 0;
    for (size_t i = 0; i + 1 < e->n_symbol; i++)
        if (!try_pair(e, (uint32_t)i)) return false;
    while (e->n_pair > 0) {
        struct pair pair = heap_pop(e);
        uint32_t left = none - (uint32_t)pair.key;
        struct symbol *a = &e->symbol[left], *b = &e->symbol[pair.right];
        /* Either one may have been merged with another since. If both begin where they did and end where they did,
         * not. */
        if (a->n == 0 || a->next != pair.right || a->n + b->n != e->t->token[pair.id].n) continue;
        a->hash = lanes(a->hash, e->t->power[b->n], b->hash);
        a->n += b->n;
        a->id = pair.id;
        a->next = b->next;
        b->n = 0;
        if (a->next != none) e->symbol[a->next].prev = left;
        if (!try_pair(e, left)) return false;
        if (a->prev != none && !try_pair(e, a->prev)) return false;
    }
    if (e->n_symbol > 0)
        for (uint32_t i = 0; i != none; i = e->symbol[i].next) emit_symbol(e, &e->symbol[i]);
    e->n_symbol = e->n_text = 0;
    return true;
}

/* ---- Encoding -------------------------------------------------------------------------------------------------- */

/* Text without special tokens. It is merged word by word where that cannot make a difference, to stay in the cache.
 */
static bool encode_plain(struct encoder *e, const char *s, size_t n) {
    if (n == 0) return true;
    if (!add_symbol(e, SPACE, N_SPACE)) return false;
    bool after_space = true;
    for (size_t i = 0; i < n;) {
        int length = phi_utf8_length(s + i, n - i);
        if (length <= 0) { /* a broken byte is part of no piece, so it ends a word, too */
            if (!finish_word(e)) return false;
            emit(e, e->t->byte_id[(uint8_t)s[i]]);
            after_space = false;
            i++;
            continue;
        }
        bool space = s[i] == ' ' || is_space(s + i, n - i);
        if (space && !after_space && e->t->cut_at_space && !finish_word(e)) return false;
        if (!(space ? add_symbol(e, SPACE, N_SPACE) : add_symbol(e, s + i, (size_t)length))) return false;
        after_space = space;
        i += (size_t)length;
    }
    return finish_word(e);
}

/* The longest special token that s begins with; -1: none. */
static int32_t find_special(const struct phi_tokenizer *t, const char *s, size_t n) {
    int32_t found = -1;
    hash_t h = 0;
    for (size_t i = 0; i < n && i < t->specials.max; i++) {
        h = hash_byte(t, h, s[i]);
        if (!t->special_length[i + 1]) continue;
        int32_t id = index_find(t, &t->specials, h, s, i + 1);
        if (id >= 0) found = id;
    }
    return found;
}

/* Bytes of the white space character that s begins with, 0 if it is none: the 25 of Unicode, as the \s of the
 * tokenizers library that "rstrip" comes from. */
static size_t white_space(const char *s, size_t n) {
    uint8_t c = (uint8_t)s[0];
    if (c == ' ' || (c >= '\t' && c <= '\r')) return 1;
    if (n >= 2 && c == 0xc2 && ((uint8_t)s[1] == 0x85 || (uint8_t)s[1] == 0xa0)) return 2;
    if (n < 3 || c < 0xe1 || c > 0xe3) return 0;
    unsigned u = (c & 15u) << 12 | ((uint8_t)s[1] & 63u) << 6 | ((uint8_t)s[2] & 63u);
    bool white = u == 0x1680 || (u >= 0x2000 && u <= 0x200a) || u == 0x2028 || u == 0x2029 || u == 0x202f ||
                 u == 0x205f || u == 0x3000;
    return white && phi_utf8_length(s, n) == 3 ? 3 : 0;
}

static bool encode_special(struct encoder *e, const char *s, size_t n) {
    const struct phi_tokenizer *t = e->t;
    size_t start = 0, i = 0;
    while (i < n) {
        int32_t id = t->special_first[(uint8_t)s[i]] ? find_special(t, s + i, n - i) : -1;
        if (id < 0) {
            i++;
            continue;
        }
        if (!encode_plain(e, s + start, i - start)) return false;
        emit(e, id);
        i += t->token[id].n;
        if (t->token[id].rstrip)
            for (size_t k; i < n && (k = white_space(s + i, n - i)) > 0;) i += k;
        start = i;
    }
    return encode_plain(e, s + start, n - start);
}

int64_t phi_tokenizer_encode(const struct phi_tokenizer *t, const char *text, size_t n_bytes, unsigned flags,
                             int32_t *ids, size_t cap) {
    struct encoder e = {.t = t, .ids = ids, .cap = cap};
    if (flags & PHI_ADD_BOS && t->add_bos && t->bos >= 0) emit(&e, t->bos);
    bool done = flags & PHI_PARSE_SPECIAL ? encode_special(&e, text, n_bytes) : encode_plain(&e, text, n_bytes);
    phi_free(e.text);
    phi_free(e.symbol);
    phi_free(e.pair);
    return done ? e.n_id : PHI_MEMORY;
}
