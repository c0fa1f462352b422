/* One table of tokens, filled from several files in the order in which later ones add to earlier ones, then written.
 *
 *   tokenizer.model   or  tokenizer.json's model     pieces with scores, or a vocabulary with merges
 *   added_tokens.json, tokenizer_config.json, tokenizer.json     tokens that are added: ids, names, special or not
 *   config.json, generation_config.json              ids of begin, end, filling
 */
#include "hf_tokenizer.h"
#include "memory.h"
#include "safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5, BYTE = 6 }; /* numbers of GGUF and SentencePiece */
enum { FIRST_BYTE = 3, FIRST_PIECE = 259, MAX_TOKEN = 65536 };
static const char space_mark[] = "\xe2\x96\x81";

struct token {
    uint64_t at, n; /* in text; n = UINT64_MAX: nobody has named it */
    float score;
    uint32_t type;
};

struct vocab {
    const char *folder;
    int n;
    struct token *token;
    struct phi_bytes text, merges; /* merges: GGUF strings */
    uint64_t n_merge;
    const char *pre; /* gpt2 only; NULL: SentencePiece */
    phi_error *err;
};

static int bad(const struct vocab *v, const char *file, const char *what) {
    return phi_file_fail(v->folder, v->err, PHI_MODEL, "%s: %s", file, what);
}

static int set(struct vocab *v, const char *file, int64_t id, const char *text, size_t n, float score, uint32_t type) {
    if (id < 0 || id >= v->n || n >= MAX_TOKEN)
        return phi_file_fail(v->folder, v->err, PHI_MODEL, "%s: token %" PRId64 " of %zu bytes is outside the vocabulary (%d tokens)",
                             file, id, n, v->n);
    v->token[id] = (struct token){v->text.n, n, score, type};
    phi_bytes_add(&v->text, text, n);
    return v->text.failed ? phi_fail(v->err, PHI_MEMORY, "not enough memory for the vocabulary") : PHI_OK;
}

/* ---- tokenizer.model: a protocol buffer ----
 *
 * message: (tag varint: field << 3 | kind, value)*   kinds: 0 varint, 1 8 bytes, 2 length varint and bytes, 5 4 bytes
 * ModelProto 1: SentencePiece {1: text, 2: score, 3: type}, once for each token */

static bool varint(struct phi_cursor *c, uint64_t *v) {
    *v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        const uint8_t *p;
        if (!phi_cursor_take(c, 1, &p)) return false;
        *v |= (uint64_t)(*p & 127) << shift;
        if (*p < 128) return true;
    }
    return false;
}

struct field {
    uint64_t number, kind, value; /* value: of kinds 0 and 5, the length of kind 2 */
    const uint8_t *bytes;
};

static bool next_field(struct phi_cursor *c, struct field *f) {
    uint64_t tag;
    if (!varint(c, &tag)) return false;
    f->number = tag >> 3;
    f->kind = tag & 7;
    f->value = f->kind == 1 ? 8 : 4;
    if (f->kind == 0) return varint(c, &f->value);
    if (f->kind == 2 && !varint(c, &f->value)) return false;
    if (f->kind != 1 && f->kind != 2 && f->kind != 5) return false;
    if (!phi_cursor_take(c, f->value, &f->bytes)) return false;
    if (f->kind == 5) f->value = phi_little_endian(f->bytes, 4);
    return true;
}

static int read_piece(struct vocab *v, const struct field *piece, int64_t id) {
    struct phi_cursor c = {piece->bytes, piece->bytes + piece->value};
    struct field f;
    const uint8_t *text = (const uint8_t *)"";
    uint64_t n = 0, type = NORMAL;
    float score = 0;
    while (phi_cursor_left(&c)) {
        if (!next_field(&c, &f)) return bad(v, "tokenizer.model", "a piece is cut short; the file is damaged");
        if (f.number == 1 && f.kind == 2) text = f.bytes, n = f.value;
        if (f.number == 2 && f.kind == 5) score = f32_from_bits((uint32_t)f.value);
        if (f.number == 3 && f.kind == 0) type = f.value;
    }
    if (type < NORMAL || type > BYTE || !(score > -1e30f && score < 1e30f))
        return bad(v, "tokenizer.model", "a piece has an unknown type or no finite score");
    return set(v, "tokenizer.model", id, (const char *)text, (size_t)n, score, (uint32_t)type);
}

/* 1 = there, 0 = there is no such file. */
static int read_sentencepiece(struct vocab *v) {
    struct phi_file file = {0};
    char *path = phi_folder_path(v->folder, "tokenizer.model");
    if (!path) return phi_fail(v->err, PHI_MEMORY, "not enough memory for the vocabulary");
    int status = access(path, F_OK) == 0 ? phi_file_open(path, &file, v->err) : 0;
    phi_free(path);
    if (status || !file.data) return status;
    struct phi_cursor c = {file.data, file.data + file.size};
    struct field f;
    int64_t id = 0;
    while (!status && phi_cursor_left(&c)) {
        if (!next_field(&c, &f)) status = bad(v, "tokenizer.model", "not a SentencePiece model, or cut short");
        else if (f.number == 1 && f.kind == 2) status = read_piece(v, &f, id++);
    }
    if (!status && !id) status = bad(v, "tokenizer.model", "has no pieces");
    phi_file_close(&file);
    return status ? status : 1;
}

/* ---- tokenizer.json ---- */

/* <0x41>, as byte tokens are named. */
static bool is_byte(const char *text, size_t n) {
    if (n != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return false;
    for (int i = 3; i < 5; i++)
        if (!strchr("0123456789ABCDEF", text[i]) || !text[i]) return false;
    return true;
}

static bool only_spaces(const char *text, size_t n) {
    for (size_t i = 0; i < n; i += 3)
        if (n - i < 3 || memcmp(text + i, space_mark, 3) != 0) return false;
    return n > 0;
}

static int read_words(struct vocab *v, const struct phi_json *j, uint32_t model) {
    uint32_t words = phi_json_get(j, model, "vocab"), unknown = phi_json_get(j, model, "unk_token");
    if (!words || j->node[words].kind != PHI_JSON_OBJECT) return bad(v, "tokenizer.json", "model.vocab is missing");
    int status = PHI_OK;
    for (uint32_t k = phi_json_first(j, words); k && !status; k = phi_json_after(j, words, k)) {
        const char *text = phi_json_text(j, k);
        size_t n = j->node[k].n;
        int64_t id = -1;
        uint32_t type = NORMAL;
        float score = 0;
        if (!phi_json_i64(j, k + 1, &id)) id = -1;
        if (!v->pre) { /* the scores that the original vocabulary has; the file leaves them out */
            type = is_byte(text, n) ? BYTE : unknown && phi_json_is(j, unknown, text) ? UNKNOWN : NORMAL;
            if (type == NORMAL) score = only_spaces(text, n) ? -1e9f : id < FIRST_PIECE ? 0.0f : -(float)(id - FIRST_PIECE);
        }
        status = set(v, "tokenizer.json", id, text, n, score, type);
    }
    return status;
}

static int read_merges(struct vocab *v, const struct phi_json *j, uint32_t model) {
    uint32_t list = phi_json_get(j, model, "merges");
    if (!list || j->node[list].kind != PHI_JSON_ARRAY) return bad(v, "tokenizer.json", "model.merges is missing");
    for (uint32_t m = phi_json_first(j, list); m; m = phi_json_after(j, list, m)) {
        uint32_t pair = j->node[m].kind == PHI_JSON_ARRAY && j->node[m].n == 2 ? m + 1 : 0; /* ["a", "b"], since 2024 */
        if (pair && (j->node[pair].kind != PHI_JSON_STRING || j->node[pair + 1].kind != PHI_JSON_STRING)) pair = 0;
        if (!pair && j->node[m].kind != PHI_JSON_STRING) return bad(v, "tokenizer.json", "a merge is not a pair of texts");
        uint64_t n = pair ? (uint64_t)j->node[pair].n + 1 + j->node[pair + 1].n : j->node[m].n;
        phi_bytes_add(&v->merges, &n, 8);
        phi_bytes_add(&v->merges, phi_json_text(j, pair ? pair : m), j->node[pair ? pair : m].n);
        if (pair) phi_bytes_add(&v->merges, " ", 1);
        if (pair) phi_bytes_add(&v->merges, phi_json_text(j, pair + 1), j->node[pair + 1].n);
        v->n_merge++;
    }
    return v->merges.failed ? phi_fail(v->err, PHI_MEMORY, "not enough memory for the vocabulary") : PHI_OK;
}

/* Which of the known ways to cut a text the file describes: by a part of its pattern that only this one has. NULL: another. */
static const char *find_pre(const struct phi_json *j) {
    static const struct {
        const char *part, *pre;
    } patterns[] = {{"[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+", "gpt-4o"},
                    {"[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|", "dbrx"}};
    uint32_t pre = phi_json_get(j, 0, "pre_tokenizer"), list = pre ? phi_json_get(j, pre, "pretokenizers") : 0;
    bool byte_level = false, digits = false;
    if (!pre || j->node[pre].kind != PHI_JSON_OBJECT) return NULL;
    if (list && j->node[list].kind != PHI_JSON_ARRAY) return NULL;
    for (uint32_t p = list ? phi_json_first(j, list) : pre; p; p = list ? phi_json_after(j, list, p) : 0) {
        uint32_t type = phi_json_get(j, p, "type"), pattern = phi_json_get(j, p, "pattern"), regex, use = phi_json_get(j, p, "use_regex");
        if (pattern && (regex = phi_json_get(j, pattern, "Regex")) && j->node[regex].kind == PHI_JSON_STRING)
            for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
                if (strstr(phi_json_text(j, regex), patterns[i].part)) return patterns[i].pre;
        if (pattern) return NULL;
        if (type && phi_json_is(j, type, "Digits")) digits = true;
        if (type && phi_json_is(j, type, "ByteLevel")) byte_level = !use || j->node[use].kind != PHI_JSON_FALSE;
    }
    return !byte_level ? NULL : digits ? "smollm" : "gpt-2";
}

static int read_json(struct vocab *v, const struct phi_json *j) {
    uint32_t model = phi_json_get(j, 0, "model"), type = model ? phi_json_get(j, model, "type") : 0;
    uint32_t fallback = model ? phi_json_get(j, model, "byte_fallback") : 0;
    if (!type || !phi_json_is(j, type, "BPE")) return bad(v, "tokenizer.json", "its model is not of the type BPE");
    bool sentencepiece = fallback && j->node[fallback].kind == PHI_JSON_TRUE;
    if (!sentencepiece && !(v->pre = find_pre(j)))
        return bad(v, "tokenizer.json", "cuts texts in a way that no model of this family does");
    int status = read_words(v, j, model);
    return status || sentencepiece ? status : read_merges(v, j, model);
}

/* ---- Added tokens ---- */

static int add(struct vocab *v, const char *file, const struct phi_json *j, int64_t id, uint32_t text, bool special) {
    if (!text || (j->node[text].kind != PHI_JSON_STRING && j->node[text].kind != PHI_JSON_KEY))
        return bad(v, file, "an added token has no text");
    if (id >= 0 && id < v->n && v->token[id].type == UNKNOWN && v->token[id].n == j->node[text].n) return PHI_OK;
    if (id >= v->n) return PHI_OK; /* configurations name tokens that the weights have no row for; they cannot be used */
    return set(v, file, id, phi_json_text(j, text), j->node[text].n, v->pre ? 0.0f : -1000.0f, special ? CONTROL : USER_DEFINED);
}

static bool is_true(const struct phi_json *j, uint32_t object, const char *key) {
    uint32_t at = phi_json_get(j, object, key);
    return at && j->node[at].kind == PHI_JSON_TRUE;
}

/* {"TEXT": id} */
static int add_plain(struct vocab *v, const struct phi_json *j) {
    int status = PHI_OK;
    if (j->node[0].kind != PHI_JSON_OBJECT) return bad(v, "added_tokens.json", "is not an object");
    for (uint32_t k = phi_json_first(j, 0); k && !status; k = phi_json_after(j, 0, k)) {
        int64_t id;
        if (!phi_json_i64(j, k + 1, &id)) id = -1;
        status = add(v, "added_tokens.json", j, id, k, false);
    }
    return status;
}

/* {"added_tokens_decoder": {"32000": {"content": "TEXT", "special": true}}} */
static int add_config(struct vocab *v, const struct phi_json *j) {
    uint32_t map = phi_json_get(j, 0, "added_tokens_decoder");
    int status = PHI_OK;
    if (!map || j->node[map].kind != PHI_JSON_OBJECT) return PHI_OK;
    for (uint32_t k = phi_json_first(j, map); k && !status; k = phi_json_after(j, map, k)) {
        const char *digit = phi_json_text(j, k);
        int64_t id = 0;
        for (; *digit >= '0' && *digit <= '9' && id < INT32_MAX; digit++) id = id * 10 + (*digit - '0');
        if (*digit || !j->node[k].n) id = -1;
        status = add(v, "tokenizer_config.json", j, id, phi_json_get(j, k + 1, "content"), is_true(j, k + 1, "special"));
    }
    return status;
}

/* {"added_tokens": [{"id": 32000, "content": "TEXT", "special": true}]} */
static int add_json(struct vocab *v, const struct phi_json *j) {
    uint32_t list = phi_json_get(j, 0, "added_tokens");
    int status = PHI_OK;
    if (!list || j->node[list].kind != PHI_JSON_ARRAY) return PHI_OK;
    for (uint32_t t = phi_json_first(j, list); t && !status; t = phi_json_after(j, list, t)) {
        int64_t id;
        uint32_t at = phi_json_get(j, t, "id");
        if (!at || !phi_json_i64(j, at, &id)) id = -1;
        status = add(v, "tokenizer.json", j, id, phi_json_get(j, t, "content"), is_true(j, t, "special"));
    }
    return status;
}

/* ---- Writing ---- */

static int64_t find_text(const struct vocab *v, const char *text) {
    size_t n = strlen(text);
    for (int i = v->n; i-- > 0;)
        if (v->token[i].n == n && memcmp(v->text.data + v->token[i].at, text, n) == 0) return i;
    return -1;
}

/* tokenizer_config.json's "eos_token": a text, or {"content": a text}; else the id of config.json. */
static void write_special(const struct vocab *v, struct phi_gguf_writer *w, const struct phi_json *j, const char *name, const char *key,
                          int64_t id) {
    uint32_t at = j ? phi_json_get(j, 0, name) : 0;
    if (at && j->node[at].kind == PHI_JSON_OBJECT) at = phi_json_get(j, at, "content");
    int64_t named = at && j->node[at].kind == PHI_JSON_STRING ? find_text(v, phi_json_text(j, at)) : -1;
    if (named >= 0) id = named;
    if (id >= 0 && id < v->n) phi_gguf_write_u32(w, key, (uint32_t)id);
}

static void write_tokens(struct vocab *v, struct phi_gguf_writer *w) {
    const char *model = v->pre ? "gpt2" : "llama", *pre = v->pre ? v->pre : "default";
    phi_gguf_write_str(w, "tokenizer.ggml.model", model, strlen(model));
    phi_gguf_write_str(w, "tokenizer.ggml.pre", pre, strlen(pre));
    phi_gguf_write_array(w, "tokenizer.ggml.tokens", PHI_GGUF_STRING, (uint64_t)v->n);
    for (int i = 0; i < v->n; i++) {
        char filler[32];
        struct token *t = &v->token[i];
        if (t->n != UINT64_MAX) {
            phi_gguf_add_str(&w->kv, (const char *)v->text.data + t->at, (size_t)t->n);
        } else {
            phi_gguf_add_str(&w->kv, filler, (size_t)snprintf(filler, sizeof filler, "[PAD%d]", i));
            *t = (struct token){0, UINT64_MAX, -10000.0f, UNUSED};
        }
    }
    if (!v->pre) {
        phi_gguf_write_array(w, "tokenizer.ggml.scores", PHI_GGUF_F32, (uint64_t)v->n);
        for (int i = 0; i < v->n; i++) phi_bytes_add(&w->kv, &v->token[i].score, 4);
    }
    phi_gguf_write_array(w, "tokenizer.ggml.token_type", PHI_GGUF_I32, (uint64_t)v->n);
    for (int i = 0; i < v->n; i++) phi_bytes_add(&w->kv, &v->token[i].type, 4);
    if (!v->pre) return;
    phi_gguf_write_array(w, "tokenizer.ggml.merges", PHI_GGUF_STRING, v->n_merge);
    phi_bytes_add(&w->kv, v->merges.data, v->merges.n);
}

static int write_template(const struct vocab *v, struct phi_gguf_writer *w, const struct phi_json *config) {
    struct phi_file file = {0};
    uint32_t at = config ? phi_json_get(config, 0, "chat_template") : 0;
    if (at && config->node[at].kind == PHI_JSON_STRING) {
        phi_gguf_write_str(w, "tokenizer.chat_template", phi_json_text(config, at), config->node[at].n);
        return PHI_OK;
    }
    char *path = phi_folder_path(v->folder, "chat_template.jinja");
    if (!path) return phi_fail(v->err, PHI_MEMORY, "not enough memory for the chat template");
    int status = access(path, F_OK) == 0 ? phi_file_open(path, &file, v->err) : PHI_OK;
    if (!status && file.size > 1 << 20) status = bad(v, "chat_template.jinja", "is larger than 1 MiB");
    if (!status && file.data) phi_gguf_write_str(w, "tokenizer.chat_template", (const char *)file.data, (size_t)file.size);
    phi_file_close(&file);
    phi_free(path);
    return status;
}

/* What several answers end with: the first id that generation_config.json lists beside the end of a text and that closes a turn. */
static void write_turn_end(const struct vocab *v, struct phi_gguf_writer *w, const struct phi_json *generation) {
    static const char *const names[] = {"<|end|>", "<|im_end|>"};
    uint32_t list = phi_json_get(generation, 0, "eos_token_id");
    if (!list || generation->node[list].kind != PHI_JSON_ARRAY) return;
    for (int i = 0; i < 2; i++) {
        int64_t wanted = find_text(v, names[i]), id;
        for (uint32_t at = phi_json_first(generation, list); at; at = phi_json_after(generation, list, at))
            if (wanted >= 0 && phi_json_i64(generation, at, &id) && id == wanted) {
                phi_gguf_write_u32(w, "tokenizer.ggml.eot_token_id", (uint32_t)id);
                return;
            }
    }
}

/* For tests of weights, and for people who bring ids of their own. */
static int make_placeholder(struct vocab *v) {
    static const char *const first[FIRST_BYTE] = {"<unk>", "<s>", "</s>"};
    int status = PHI_OK;
    for (int i = 0; i < v->n && i < FIRST_PIECE && !status; i++) {
        char text[16];
        int n = i < FIRST_BYTE ? snprintf(text, sizeof text, "%s", first[i])
                               : snprintf(text, sizeof text, "<0x%02X>", (unsigned)(i - FIRST_BYTE));
        status = set(v, "vocabulary", i, text, (size_t)n, 0, i == 0 ? UNKNOWN : i < FIRST_BYTE ? CONTROL : BYTE);
    }
    return status;
}

struct files {
    struct phi_json tokenizer, config, generation, added;
    int has_tokenizer, has_config, has_generation, has_added;
};

static int open_files(const struct vocab *v, struct files *f) {
    const struct {
        const char *name;
        struct phi_json *j;
        int *has;
    } all[] = {{"tokenizer.json", &f->tokenizer, &f->has_tokenizer},
               {"tokenizer_config.json", &f->config, &f->has_config},
               {"generation_config.json", &f->generation, &f->has_generation},
               {"added_tokens.json", &f->added, &f->has_added}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int found = phi_folder_json(v->folder, all[i].name, all[i].j, v->err);
        if (found < 0) return found;
        *all[i].has = found;
    }
    return PHI_OK;
}

static int read_all(struct vocab *v, const struct files *f, bool *placeholder) {
    int found = read_sentencepiece(v), status = found < 0 ? found : PHI_OK;
    *placeholder = !found && !f->has_tokenizer;
    if (!found && f->has_tokenizer) status = read_json(v, &f->tokenizer);
    if (*placeholder) status = make_placeholder(v);
    if (!status && f->has_added) status = add_plain(v, &f->added);
    if (!status && f->has_config) status = add_config(v, &f->config);
    if (!status && f->has_tokenizer) status = add_json(v, &f->tokenizer);
    return status;
}

int phi_hf_tokenizer_write(const char *folder, const struct phi_hf_config *c, struct phi_gguf_writer *w, bool *placeholder,
                           phi_error *err) {
    struct vocab v = {.folder = folder, .n = c->n_vocab, .err = err};
    struct files f = {.has_tokenizer = 0};
    v.token = phi_alloc((size_t)v.n, sizeof *v.token);
    int status = v.token ? open_files(&v, &f) : phi_fail(err, PHI_MEMORY, "not enough memory for the vocabulary");
    for (int i = 0; i < v.n && !status; i++) v.token[i].n = UINT64_MAX;
    if (!status) status = read_all(&v, &f, placeholder);
    if (!status) {
        const struct phi_json *j = f.has_config ? &f.config : NULL;
        uint32_t bos = j ? phi_json_get(j, 0, "add_bos_token") : 0;
        write_tokens(&v, w);
        write_special(&v, w, j, "bos_token", "tokenizer.ggml.bos_token_id", c->bos);
        write_special(&v, w, j, "eos_token", "tokenizer.ggml.eos_token_id", c->eos);
        write_special(&v, w, j, "unk_token", "tokenizer.ggml.unknown_token_id", v.pre ? -1 : 0);
        write_special(&v, w, j, "pad_token", "tokenizer.ggml.padding_token_id", c->pad);
        if (f.has_generation) write_turn_end(&v, w, &f.generation);
        /* Unless it says otherwise SentencePiece puts the token first, and byte-level does not. */
        phi_gguf_write_bool(w, "tokenizer.ggml.add_bos_token", bos ? j->node[bos].kind == PHI_JSON_TRUE : !v.pre);
        phi_gguf_write_bool(w, "tokenizer.ggml.add_eos_token", false);
        status = write_template(&v, w, j);
    }
    phi_json_close(&f.tokenizer);
    phi_json_close(&f.config);
    phi_json_close(&f.generation);
    phi_json_close(&f.added);
    phi_free(v.token);
    phi_free(v.text.data);
    phi_free(v.merges.data);
    return status;
}
