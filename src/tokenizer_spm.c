/* SentencePiece BPE by score (tokenizer.ggml.model "llama"), as the Llama 2 tokenizer that Phi-3 extends. Owns the
 * rules for plain text; special tokens are found before it is called (tokenizer.c). Text is merged from NORMAL and
 * BYTE pieces alone, so that no text of a user can become a control token.
 *
 *   "Hi"          "you"         each plain segment: "▁" before it, " " -> "▁"
 *   ▁ H i         ▁ y o u       symbols: one per character; a broken byte stands alone
 *   ▁ Hi          ▁ you         merge the adjacent pair that makes the best-scored piece, leftmost of equals,
 *   ▁Hi           ▁you          until no pair makes one; what is no piece then: one byte token per byte */
#include "tokenizer_parts.h"

#include "memory.h"
#include "quant/bits.h"
#include "utf8.h"

#include <string.h>

#define SPACE "\xe2\x96\x81" /* U+2581, ▁ */
enum { N_SPACE = 3 };

/* ---- Opening --------------------------------------------------------------------------------------------------- */

enum { TEXT = NAME_FAMILY, VISION = NAME_FAMILY << 1, STOP = NAME_STOP };

/* Official Phi-3 files call these user-defined. Which ones swallow white space is in no GGUF file; it is "rstrip" in
 * the added_tokens of the models' tokenizer.json. The stop tokens are eos_token_id of their generation_config.json:
 * [32000, 32001, 32007]. */
static const struct phi_tokenizer_name names[] = {
    {"<unk>", 0},
    {"<s>", 0},
    {"</s>", TEXT | VISION},
    {"<|endoftext|>", STOP},
    {"<|assistant|>", TEXT | VISION | STOP},
    {"<|system|>", TEXT},
    {"<|end|>", TEXT | STOP},
    {"<|user|>", TEXT},
    {"<|image|>", VISION},
    {"<|im_start|>", 0}, /* ChatML, of fine-tunes */
    {"<|im_sep|>", 0},
    {"<|im_end|>", STOP},
    {"<|placeholder|>", TEXT | VISION | NAME_NUMBERED},
    {NULL, 0},
};

static unsigned family(const struct phi_tokenizer *t) {
    if (!phi_tokenizer_has(t, "<|user|>") || !phi_tokenizer_has(t, "<|assistant|>") ||
        !phi_tokenizer_has(t, "<|end|>"))
        return 0;
    return phi_tokenizer_has(t, "<|image|>") ? VISION : TEXT;
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

static int read_bytes(struct phi_tokenizer *t, const struct phi_gguf *g, phi_error *err) {
    for (int i = 0; i < 256; i++) t->byte_text[i] = (char)i;
    for (int i = 0; i < t->n_vocab; i++) {
        int status = t->token[i].role == ROLE_BYTE ? add_byte(g, t, i, err) : PHI_OK;
        if (status) return status;
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
    return token->role == ROLE_PIECE || token->role == ROLE_USER;
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
    size_t n_piece = 0;
    for (int i = 0; i < t->n_vocab; i++)
        if (t->token[i].role == ROLE_PIECE) n_piece++;
    if (!phi_index_alloc(&t->pieces, n_piece)) return false;
    t->cut_at_space = true;
    for (int i = 0; i < t->n_vocab; i++)
        if (t->token[i].role == ROLE_PIECE && is_reachable(t, &t->token[i])) phi_index_add(t, &t->pieces, i);
    t->power = phi_alloc((size_t)t->pieces.max + 1, sizeof *t->power);
    if (!t->power) return false;
    t->power[0] = (hash_t)1 << 32 | 1;
    for (size_t i = 0; i < t->pieces.max; i++) t->power[i + 1] = lanes(t->power[i], t->base, 0);
    return true;
}

static int open_pieces(struct phi_tokenizer *t, const struct phi_gguf *g, phi_error *err) {
    int status = read_bytes(t, g, err);
    if (status) return status;
    return make_plain(t) && make_index(t) ? PHI_OK : PHI_MEMORY;
}

/* ---- Encoding -------------------------------------------------------------------------------------------------- */

/* Floats in an order of unsigned integers. */
static uint32_t ordered(float f) {
    uint32_t u = f32_bits(f);
    return u & 0x80000000u ? ~u : u | 0x80000000u;
}

static bool find_pair(const struct encoder *e, const struct symbol *a, const struct symbol *b, struct pair *pair,
                      uint32_t *priority) {
    const struct phi_tokenizer *t = e->t;
    uint64_t n = (uint64_t)a->n + b->n;
    if (n > t->pieces.max) return false;
    pair->hash = lanes(a->hash, t->power[b->n], b->hash);
    pair->id = phi_index_find(t, &t->pieces, pair->hash, e->text + a->at, (size_t)n);
    if (pair->id < 0) return false;
    *priority = ordered(t->token[pair->id].score);
    return true;
}

static bool add_symbol(struct encoder *e, const char *s, size_t n) {
    if (e->n_text > UINT32_MAX - 8) return false;
    void *text = phi_encoder_grow(e->text, &e->cap_text, e->n_text + n, 1);
    if (!text) return false;
    e->text = text;
    memcpy(e->text + e->n_text, s, n);
    struct symbol symbol = {.at = (uint32_t)e->n_text, .n = (uint32_t)n, .hash = hash_text(e->t, s, n), .id = -1};
    e->n_text += n;
    return phi_encoder_add(e, symbol);
}

static void emit_symbol(struct encoder *e, const struct symbol *s) {
    const struct phi_tokenizer *t = e->t;
    const char *text = e->text + s->at;
    int32_t id = s->id >= 0 ? s->id : phi_index_find(t, &t->pieces, s->hash, text, s->n);
    if (id >= 0) {
        phi_encoder_emit(e, id);
    } else {
        for (uint32_t i = 0; i < s->n; i++) phi_encoder_emit(e, t->byte_id[(uint8_t)text[i]]);
    }
}

/* Merge the symbols at hand, put out the result, begin anew. */
static bool finish_word(struct encoder *e) {
    if (!phi_encoder_merge(e, find_pair)) return false;
    if (e->n_symbol > 0)
        for (uint32_t i = 0; i != none; i = e->symbol[i].next) emit_symbol(e, &e->symbol[i]);
    e->n_symbol = e->n_text = 0;
    return true;
}

/* Text is merged word by word where that cannot make a difference, to stay in the cache. */
static bool encode(struct encoder *e, const char *s, size_t n) {
    if (n == 0) return true;
    if (!add_symbol(e, SPACE, N_SPACE)) return false;
    bool after_space = true;
    for (size_t i = 0; i < n;) {
        int length = phi_utf8_length(s + i, n - i);
        if (length <= 0) { /* a broken byte is part of no piece, so it ends a word, too */
            if (!finish_word(e)) return false;
            phi_encoder_emit(e, e->t->byte_id[(uint8_t)s[i]]);
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

const struct phi_tokenizer_kind phi_tokenizer_spm = {.model = "llama",
                                                     .what = "SentencePiece BPE",
                                                     .has_scores = true,
                                                     .add_bos = true,
                                                     .max_type = BYTE,
                                                     .names = names,
                                                     .family = family,
                                                     .open = open_pieces,
                                                     .encode = encode};
