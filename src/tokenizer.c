/* Text to token ids and back, from the tables in a GGUF file. Owns the vocabulary, its special tokens, the ids that
 * end an answer, and the public functions; how plain text becomes ids is the kind's: tokenizer_spm.c,
 * tokenizer_bpe.c. Control tokens are found only where the caller asks for it, so that no text of a user can become
 * one. Knows no chat templates (chat.c).
 *
 *   "Hi<|end|>\n you"           only with PHI_PARSE_SPECIAL: cut at special tokens; white space beside one is dropped
 *   "Hi"  <|end|>  "you"        where its family says so; the kind encodes each plain segment on its own */
#include "tokenizer_parts.h"

#include "memory.h"
#include "quant/bits.h"
#include "unicode.h"

#include <math.h>
#include <string.h>

static const struct phi_tokenizer_kind *const kinds[] = {&phi_tokenizer_spm, &phi_tokenizer_bpe};
enum { N_KIND = sizeof kinds / sizeof *kinds }; /* NOLINT(bugprone-sizeof-expression): pointers are what is counted */

/* ---- Opening: names and roles ---------------------------------------------------------------------------------- */

static bool text_is(const struct token *token, const char *text) {
    size_t n = strlen(text);
    return token->n == n && memcmp(token->text, text, n) == 0;
}

/* PREFIX digits SUFFIX? Returns the number of digits; 0: no. */
static size_t numbered(const struct token *token, const char *prefix, size_t n_prefix, const char *suffix) {
    size_t n_suffix = strlen(suffix);
    if (token->n <= n_prefix + n_suffix || token->n > n_prefix + n_suffix + 10) return 0;
    if (memcmp(token->text, prefix, n_prefix) != 0) return 0;
    if (memcmp(token->text + token->n - n_suffix, suffix, n_suffix) != 0) return 0;
    for (size_t i = n_prefix; i < token->n - n_suffix; i++)
        if (token->text[i] < '0' || token->text[i] > '9') return 0;
    return token->n - n_prefix - n_suffix;
}

static const struct phi_tokenizer_name *find_name(const struct phi_tokenizer *t, const struct token *token) {
    if (token->n == 0 || token->text[0] != '<') return NULL;
    for (const struct phi_tokenizer_name *name = t->kind->names; name->text; name++) {
        size_t before = strlen(name->text) - 2;
        bool found = name->flags & NAME_NUMBERED ? numbered(token, name->text, before, name->text + before) > 0
                                                 : text_is(token, name->text);
        if (found) return name;
    }
    return NULL;
}

bool phi_tokenizer_has(const struct phi_tokenizer *t, const char *text) {
    for (int i = 0; i < t->n_vocab; i++)
        if (t->token[i].role == ROLE_CONTROL && text_is(&t->token[i], text)) return true;
    return false;
}

static enum role role_of(const struct phi_tokenizer *t, enum type type, const struct token *token) {
    if (type == BYTE) return ROLE_BYTE;
    if (find_name(t, token)) return ROLE_CONTROL;
    if (type == NORMAL) return ROLE_PIECE;
    if (type == UNKNOWN || type == UNUSED) return ROLE_FILLER;
    if (numbered(token, "[PAD", 4, "]")) return ROLE_FILLER; /* converters have typed these as user-defined, too */
    return type == CONTROL ? ROLE_CONTROL : ROLE_USER;
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

int phi_tokenizer_array(const struct phi_gguf *g, const char *key, enum phi_gguf_type element,
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

/* Texts, scores and types, each checked. scores: NULL where the kind has none. */
static int read_tokens(const struct phi_gguf *g, struct phi_tokenizer *t, const struct phi_gguf_kv *tokens,
                       const struct phi_gguf_kv *scores, const struct phi_gguf_kv *types, phi_error *err) {
    const uint8_t *at = tokens->data;
    for (int i = 0; i < t->n_vocab; i++) {
        struct phi_str text = phi_gguf_next_str(&at);
        float score = scores ? f32_from_bits(load_u32(scores->data + 4 * (size_t)i)) : 0.0f;
        int64_t type = integer_at(types, (uint64_t)i);
        if (!isfinite(score))
            return phi_file_fail(g->file.path, err, PHI_MODEL,
                                 "tokenizer.ggml.scores: the score of token %d is %s, expected a finite number", i,
                                 isnan(score) ? "not a number" : "infinite");
        if (type < NORMAL || type > t->kind->max_type)
            return phi_file_fail(g->file.path, err, PHI_MODEL,
                                 "tokenizer.ggml.token_type: the type of token %d is %lld, expected %d to %d", i,
                                 (long long)type, NORMAL, t->kind->max_type);
        struct token *token = &t->token[i];
        token->text = text.s;
        token->n = (uint32_t)text.n; /* gguf.c admits at most 64 KiB */
        token->score = score + 0.0f; /* no -0: scores are compared by their bits */
        token->role = (uint8_t)role_of(t, (enum type)type, token);
    }
    return PHI_OK;
}

static bool index_specials(struct phi_tokenizer *t) {
    size_t n_special = 0;
    for (int i = 0; i < t->n_vocab; i++)
        if (t->token[i].role == ROLE_CONTROL || t->token[i].role == ROLE_USER) n_special++;
    if (!phi_index_alloc(&t->specials, n_special)) return false;
    for (int i = 0; i < t->n_vocab; i++) {
        const struct token *token = &t->token[i];
        if (token->role != ROLE_CONTROL && token->role != ROLE_USER) continue;
        if (token->n == 0 || token->n > MAX_SPECIAL) continue;
        phi_index_add(t, &t->specials, i);
        t->special_first[(uint8_t)token->text[0]] = true;
        t->special_length[token->n] = true;
    }
    return true;
}

/* The id that a key of the file names. */
static int read_id(const struct phi_gguf *g, const struct phi_tokenizer *t, const struct phi_gguf_kv *kv, int32_t *id,
                   phi_error *err) {
    char quote[PHI_QUOTE_SIZE];
    const char *key = phi_quote(quote, kv->key.s, (size_t)kv->key.n);
    if (!is_integer(kv->type))
        return phi_file_fail(g->file.path, err, PHI_MODEL, "%s has the type %s, expected an integer", key,
                             phi_gguf_type_name(kv->type));
    int64_t v = integer_at(kv, 0);
    *id = (int32_t)v;
    if ((uint64_t)v < (uint64_t)t->n_vocab) return PHI_OK;
    bool negative = v < 0 && kv->type != PHI_GGUF_U64;
    return phi_file_fail(g->file.path, err, PHI_MODEL, "%s %s%llu is outside the vocabulary (%d)", key,
                         negative ? "-" : "", negative ? (unsigned long long)-(v + 1) + 1 : (unsigned long long)v,
                         t->n_vocab);
}

/* Every key tokenizer.ggml.ROLE_token_id, also of roles that mean nothing here: no id outside the vocabulary is let in. */
static int read_ids(struct phi_tokenizer *t, const struct phi_gguf *g, phi_error *err) {
    static const char prefix[] = "tokenizer.ggml.", suffix[] = "_token_id", stops[][4] = {"eos", "eot", "eom"};
    enum { N_PREFIX = sizeof prefix - 1, N_SUFFIX = sizeof suffix - 1 };
    for (uint64_t i = 0; i < g->n_kv; i++) {
        struct phi_str key = g->kv[i].key;
        int32_t id = -1;
        if (key.n < N_PREFIX + N_SUFFIX || memcmp(key.s, prefix, N_PREFIX) != 0 ||
            memcmp(key.s + key.n - N_SUFFIX, suffix, N_SUFFIX) != 0)
            continue;
        int status = read_id(g, t, &g->kv[i], &id, err);
        if (status) return status;
        if (key.n != N_PREFIX + 3 + N_SUFFIX) continue;
        if (memcmp(key.s + N_PREFIX, "bos", 3) == 0) t->bos = id;
        for (size_t k = 0; k < sizeof stops / sizeof *stops; k++)
            if (memcmp(key.s + N_PREFIX, stops[k], 3) == 0) t->token[id].stop = true;
    }
    t->add_bos = t->kind->add_bos;
    int status = phi_gguf_get_bool(g, "tokenizer.ggml.add_bos_token", &t->add_bos, err);
    return status < 0 ? status : PHI_OK;
}

static void mark_family(struct phi_tokenizer *t) {
    unsigned family = t->kind->family(t), bits = family & ~(unsigned)(NAME_FAMILY - 1);
    for (int i = 0; i < t->n_vocab; i++) {
        struct token *token = &t->token[i];
        const struct phi_tokenizer_name *name = token->role == ROLE_CONTROL ? find_name(t, token) : NULL;
        if (!name) continue;
        token->rstrip = (name->flags & bits) != 0;
        token->lstrip = token->rstrip && (family & FAMILY_LEFT);
        if (name->flags & NAME_STOP) token->stop = true;
    }
}

/* The kinds of tokenizer differ in their tables as well as in their rules, so this is the first question. */
static int find_kind(const struct phi_gguf *g, const struct phi_tokenizer_kind **kind, phi_error *err) {
    struct phi_str model;
    int found = phi_gguf_get_str(g, "tokenizer.ggml.model", &model, err);
    if (found < 0) return found;
    if (found == 0)
        return phi_file_fail(g->file.path, err, PHI_MODEL,
                             "tokenizer.ggml.model is missing: the file has no vocabulary");
    for (int i = 0; i < N_KIND; i++) {
        *kind = kinds[i];
        if (model.n == strlen(kinds[i]->model) && memcmp(model.s, kinds[i]->model, (size_t)model.n) == 0)
            return PHI_OK;
    }
    char quote[PHI_QUOTE_SIZE];
    return phi_file_fail(g->file.path, err, PHI_MODEL,
                         "tokenizer.ggml.model \"%s\" is not supported; expected \"%s\" (%s) or \"%s\" (%s)",
                         phi_quote(quote, model.s, (size_t)model.n), kinds[0]->model, kinds[0]->what, kinds[1]->model,
                         kinds[1]->what);
}

int phi_tokenizer_open(const struct phi_gguf *g, struct phi_tokenizer **out, phi_error *err) {
    const struct phi_tokenizer_kind *kind;
    const struct phi_gguf_kv *tokens, *scores = NULL, *types;
    int status = find_kind(g, &kind, err);
    if (!status) status = phi_tokenizer_array(g, "tokenizer.ggml.tokens", PHI_GGUF_STRING, &tokens, err);
    if (!status && kind->has_scores)
        status = phi_tokenizer_array(g, "tokenizer.ggml.scores", PHI_GGUF_F32, &scores, err);
    if (!status) status = phi_tokenizer_array(g, "tokenizer.ggml.token_type", PHI_GGUF_I32, &types, err);
    if (!status && scores) status = check_length(g, tokens, scores, "tokenizer.ggml.scores", err);
    if (!status) status = check_length(g, tokens, types, "tokenizer.ggml.token_type", err);
    if (status) return status;
    if (tokens->n > MAX_TOKEN)
        return phi_file_fail(g->file.path, err, PHI_MODEL,
                             "tokenizer.ggml.tokens has %llu elements, at most %d are allowed",
                             (unsigned long long)tokens->n, MAX_TOKEN);

    struct phi_tokenizer *t = phi_alloc(1, sizeof *t);
    if (!t) goto no_memory;
    t->kind = kind;
    t->n_vocab = (int)tokens->n;
    t->bos = -1; /* unless the file names one */
    for (int i = 0; i < 256; i++) t->byte_id[i] = -1;
    phi_index_choose_hash(t);
    t->token = phi_alloc((size_t)t->n_vocab + 1, sizeof *t->token);
    if (!t->token) goto no_memory;
    status = read_tokens(g, t, tokens, scores, types, err);
    if (!status) status = kind->open(t, g, err);
    if (status == PHI_MEMORY) goto no_memory;
    if (!status) status = read_ids(t, g, err);
    if (status) goto out;
    mark_family(t);
    if (!index_specials(t)) goto no_memory;
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
    phi_free(t->merge);
    phi_free(t->merge_slot);
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
    return is_id(t, id) && (t->token[id].role == ROLE_CONTROL || t->token[id].role == ROLE_FILLER);
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

/* ---- Encoding -------------------------------------------------------------------------------------------------- */

/* The longest special token that s begins with; -1: none. */
static int32_t find_special(const struct phi_tokenizer *t, const char *s, size_t n) {
    int32_t found = -1;
    hash_t h = 0;
    for (size_t i = 0; i < n && i < t->specials.max; i++) {
        h = hash_byte(t, h, s[i]);
        if (!t->special_length[i + 1]) continue;
        int32_t id = phi_index_find(t, &t->specials, h, s, i + 1);
        if (id >= 0) found = id;
    }
    return found;
}

/* Bytes of the white space character that s begins with, 0 if it is none: as the \s of the tokenizers library, whose
 * "lstrip" and "rstrip" this is for. */
static size_t white_space(const char *s, size_t n) {
    uint32_t code;
    enum phi_class c;
    size_t length = phi_unicode_next(s, n, &code, &c);
    return c == PHI_CLASS_SPACE ? length : 0;
}

/* n without the white space at the end of s. */
static size_t trim_right(const char *s, size_t n) {
    for (size_t k = 1; n > 0; n -= k) {
        for (k = 1; k < n && k < 3 && ((uint8_t)s[n - k] & 0xc0) == 0x80;) k++;
        if (white_space(s + n - k, k) != k) break;
    }
    return n;
}

void phi_tokenizer_trim(const struct phi_tokenizer *t, int32_t before, int32_t after, const char **text,
                        size_t *n_bytes) {
    if (is_id(t, before) && t->token[before].rstrip)
        for (size_t k; *n_bytes > 0 && (k = white_space(*text, *n_bytes)) > 0; *n_bytes -= k) *text += k;
    if (is_id(t, after) && t->token[after].lstrip) *n_bytes = trim_right(*text, *n_bytes);
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
        size_t n_plain = t->token[id].lstrip ? trim_right(s + start, i - start) : i - start;
        if (!t->kind->encode(e, s + start, n_plain)) return false;
        phi_encoder_emit(e, id);
        i += t->token[id].n;
        if (t->token[id].rstrip)
            for (size_t k; i < n && (k = white_space(s + i, n - i)) > 0;) i += k;
        start = i;
    }
    return t->kind->encode(e, s + start, n - start);
}

int64_t phi_tokenizer_encode(const struct phi_tokenizer *t, const char *text, size_t n_bytes, unsigned flags,
                             int32_t *ids, size_t cap) {
    struct encoder e = {.t = t, .ids = ids, .cap = cap};
    if (flags & PHI_ADD_BOS && t->add_bos && t->bos >= 0) phi_encoder_emit(&e, t->bos);
    bool done = flags & PHI_PARSE_SPECIAL ? encode_special(&e, text, n_bytes) : t->kind->encode(&e, text, n_bytes);
    phi_free(e.text);
    phi_free(e.symbol);
    phi_free(e.pair);
    return done ? e.n_id : PHI_MEMORY;
}
