/* Byte-level BPE by rank (tokenizer.ggml.model "gpt2"): phi-4, phi-4-mini and others. Owns the alphabet, the merges
 * and the rules for plain text; special tokens are found before it is called (tokenizer.c). A merge makes ordinary
 * pieces only, so that no text of a user can become a control token.
 *
 *   "don't go"                 plain text
 *   "don" "'t" " go"           cut by the pattern of tokenizer.ggml.pre (pretokenizer.c); each word on its own:
 *   d o n   ' t   Ġ g o        symbols: one per byte. In the file a token is text, one letter for each of its bytes
 *   d on    't    Ġg o         merge the adjacent pair of the lowest rank, leftmost of equals,
 *   don     't    Ġgo          until no pair has one
 *
 * A vocabulary need not have all bytes: SmolLM2's lacks 21 that it never saw. Such a byte is left out, as the
 * tokenizers library leaves it out; there is no id that could stand for it. */
#include "tokenizer_parts.h"

#include "memory.h"
#include "utf8.h"

#include <string.h>

/* ---- Opening: names -------------------------------------------------------------------------------------------- */

enum { MINI = NAME_FAMILY, PHI4 = NAME_FAMILY << 1, STOP = NAME_STOP };

/* MINI and PHI4: it swallows white space in phi-4-mini, in phi-4 (added_tokens of their tokenizer.json; phi-4 is
 * known for its dummies and assumed for the rest). phi-3-small has tokens of the same names, and none swallows any.
 */
static const struct phi_tokenizer_name names[] = {
    {"<|endoftext|>", PHI4 | STOP},
    {"<|endofprompt|>", PHI4},
    {"<|assistant|>", MINI},
    {"<|end|>", MINI | STOP},
    {"<|user|>", MINI},
    {"<|system|>", MINI},
    {"<|tool|>", MINI},
    {"<|/tool|>", MINI},
    {"<|tool_call|>", MINI},
    {"<|/tool_call|>", MINI},
    {"<|tool_response|>", MINI},
    {"<|tag|>", MINI},
    {"<|im_start|>", PHI4},
    {"<|im_end|>", PHI4 | STOP},
    {"<|im_sep|>", PHI4},
    {"<|fim_prefix|>", PHI4},
    {"<|fim_middle|>", PHI4},
    {"<|fim_suffix|>", PHI4},
    {"<|dummy_|>", PHI4 | NAME_NUMBERED},
    {"<|dummy_id_|>", NAME_NUMBERED},
    {NULL, 0},
};

/* phi-4-mini and phi-3-small name their roles alike; the pattern tells them apart. */
static unsigned family(const struct phi_tokenizer *t) {
    if (phi_tokenizer_has(t, "<|im_sep|>")) return PHI4 | FAMILY_LEFT;
    bool roles =
        phi_tokenizer_has(t, "<|user|>") && phi_tokenizer_has(t, "<|assistant|>") && phi_tokenizer_has(t, "<|end|>");
    return roles && strcmp(t->pre->name, "gpt-4o") == 0 ? MINI : 0;
}

/* ---- Opening: the alphabet ------------------------------------------------------------------------------------- */

/* GPT-2's: a byte that is a printable character of Latin-1 is that character,
 *
 *     21..7E  A1..AC  AE..FF  ->  U+0021..        the other 68, in order  ->  U+0100..U+0143 */
static bool is_printable(int byte) {
    return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
}

static uint32_t letter_of(int byte) {
    if (is_printable(byte)) return (uint32_t)byte;
    uint32_t letter = 0x100;
    for (int i = 0; i < byte; i++)
        if (!is_printable(i)) letter++;
    return letter;
}

enum { N_LETTER = 0x144 };

static void make_alphabet(int16_t byte_of[N_LETTER]) {
    for (int i = 0; i < N_LETTER; i++) byte_of[i] = -1;
    for (int i = 0; i < 256; i++) byte_of[letter_of(i)] = (int16_t)i;
}

/* The bytes that the letters stand for -> out (NULL: only count them). Returns how many; -1: a character is none of
 * the alphabet. */
static int64_t decode(const int16_t byte_of[N_LETTER], const struct token *token, char *out) {
    int64_t n = 0;
    for (size_t i = 0; i < token->n; n++) {
        uint8_t c = (uint8_t)token->text[i];
        uint32_t letter = c;
        if (c >= 0x80) {
            if (phi_utf8_length(token->text + i, token->n - i) != 2) return -1;
            letter = (c & 0x1fu) << 6 | ((uint8_t)token->text[i + 1] & 0x3fu);
        }
        if (letter >= N_LETTER || byte_of[letter] < 0) return -1;
        if (out) out[n] = (char)byte_of[letter];
        i += c < 0x80 ? 1 : 2;
    }
    return n;
}

/* What tokens put out: pieces their bytes. One with a character that is none of the alphabet puts out its text, as in
 * the tokenizers library; no text is merged into it. User-defined tokens are not made of letters at all. */
static bool make_plain(struct phi_tokenizer *t) {
    int16_t byte_of[N_LETTER];
    make_alphabet(byte_of);
    size_t total = 0;
    for (int i = 0; i < t->n_vocab; i++) {
        struct token *token = &t->token[i];
        if (token->role != ROLE_PIECE && token->role != ROLE_USER) continue;
        int64_t n = token->role == ROLE_PIECE ? decode(byte_of, token, NULL) : -1;
        token->n_plain = n < 0 ? token->n : (uint32_t)n;
        token->plain = n < 0 ? token->text : NULL;
        if (n >= 0) total += (size_t)n;
    }
    t->plain = phi_alloc(total + 1, 1);
    if (!t->plain) return false;
    char *at = t->plain;
    for (int i = 0; i < t->n_vocab; i++) {
        struct token *token = &t->token[i];
        if (token->role != ROLE_PIECE || token->plain) continue;
        token->plain = at;
        decode(byte_of, token, at);
        at += token->n_plain;
    }
    return true;
}

/* ---- Opening: the tables --------------------------------------------------------------------------------------- */

static int find_pattern(struct phi_tokenizer *t, const struct phi_gguf *g, phi_error *err) {
    static const char key[] = "tokenizer.ggml.pre";
    struct phi_str pre;
    int found = phi_gguf_get_str(g, key, &pre, err);
    if (found < 0) return found;
    if (found) t->pre = phi_pretokenizer_find(pre.s, (size_t)pre.n);
    if (t->pre) return PHI_OK;
    char known[200] = "", quote[PHI_QUOTE_SIZE];
    for (size_t i = 0; phi_pretokenizer_at(i); i++) {
        if (i) strcat(known, ", ");
        strcat(known, phi_pretokenizer_at(i)->name);
    }
    if (!found) return phi_file_fail(g->file.path, err, PHI_MODEL, "%s is missing; expected one of: %s", key, known);
    return phi_file_fail(g->file.path, err, PHI_MODEL, "%s \"%s\" is not supported; expected one of: %s", key,
                         phi_quote(quote, pre.s, (size_t)pre.n), known);
}

static int32_t find_piece(const struct phi_tokenizer *t, const char *s, size_t n) {
    return n > t->pieces.max ? -1 : phi_index_find(t, &t->pieces, hash_text(t, s, n), s, n);
}

static bool make_index(struct phi_tokenizer *t) {
    size_t n_piece = 0;
    for (int i = 0; i < t->n_vocab; i++)
        if (t->token[i].role == ROLE_PIECE) n_piece++;
    if (!phi_index_alloc(&t->pieces, n_piece)) return false;
    for (int i = 0; i < t->n_vocab; i++)
        if (t->token[i].role == ROLE_PIECE && t->token[i].n > 0) phi_index_add(t, &t->pieces, i);
    return true;
}

static int find_bytes(struct phi_tokenizer *t, const struct phi_gguf *g, phi_error *err) {
    bool any = false;
    for (int i = 0; i < 256; i++) {
        uint32_t letter = letter_of(i);
        char text[2] = {(char)letter};
        if (letter >= 0x80) {
            text[0] = (char)(0xc0 | letter >> 6);
            text[1] = (char)(0x80 | (letter & 0x3f));
        }
        t->byte_id[i] = find_piece(t, text, letter >= 0x80 ? 2 : 1);
        any |= t->byte_id[i] >= 0;
    }
    if (any) return PHI_OK;
    return phi_file_fail(g->file.path, err, PHI_MODEL,
                         "tokenizer.ggml.tokens: no token is a single byte, so no text can be tokenized");
}

/* The slot of this pair, or the empty one where it belongs. */
static int32_t *pair_slot(const struct phi_tokenizer *t, int32_t left, int32_t right) {
    uint64_t mixed = phi_hash_product(phi_hash_mix(((uint64_t)(uint32_t)left << 32 | (uint32_t)right) ^ t->base), t->multiplier);
    size_t mask = ((size_t)1 << (64 - t->merge_shift)) - 1;
    for (size_t i = (size_t)(mixed >> t->merge_shift);; i = (i + 1) & mask) {
        int32_t *slot = &t->merge_slot[i];
        if (*slot == 0) return slot;
        const struct merge *m = &t->merge[*slot - 1];
        if (m->left == left && m->right == right) return slot;
    }
}

static int refuse_merge(const struct phi_gguf *g, int rank, struct phi_str text, const char *part, size_t n_part,
                        phi_error *err) {
    char quote[PHI_QUOTE_SIZE], quote_part[PHI_QUOTE_SIZE];
    phi_quote(quote, text.s, (size_t)text.n);
    if (!part)
        return phi_file_fail(g->file.path, err, PHI_MODEL,
                             "tokenizer.ggml.merges: merge %d is \"%s\", expected two texts with one space between",
                             rank, quote);
    return phi_file_fail(g->file.path, err, PHI_MODEL,
                         "tokenizer.ggml.merges: merge %d is \"%s\", but \"%s\" is no ordinary token", rank, quote,
                         phi_quote(quote_part, part, n_part));
}

/* Entry number rank, "LEFT RIGHT" -> *m. Both and what they make must be pieces: a merge that leads to a control
 * token would let users type it. joined: room for two texts of pieces.max bytes. */
static int read_merge(const struct phi_tokenizer *t, const struct phi_gguf *g, int rank, struct phi_str text,
                      char *joined, struct merge *m, phi_error *err) {
    const char *space = memchr(text.s, ' ', (size_t)text.n), *end = text.s + text.n;
    if (!space || space == text.s || space + 1 == end || memchr(space + 1, ' ', (size_t)(end - space - 1)))
        return refuse_merge(g, rank, text, NULL, 0, err);
    size_t n_left = (size_t)(space - text.s), n_right = (size_t)(end - space - 1);
    m->left = find_piece(t, text.s, n_left);
    if (m->left < 0) return refuse_merge(g, rank, text, text.s, n_left, err);
    m->right = find_piece(t, space + 1, n_right);
    if (m->right < 0) return refuse_merge(g, rank, text, space + 1, n_right, err);
    memcpy(joined, text.s, n_left);
    memcpy(joined + n_left, space + 1, n_right);
    m->id = find_piece(t, joined, n_left + n_right);
    return m->id >= 0 ? PHI_OK : refuse_merge(g, rank, text, joined, n_left + n_right, err);
}

static int read_merges(struct phi_tokenizer *t, const struct phi_gguf *g, phi_error *err) {
    const struct phi_gguf_kv *kv;
    int status = phi_tokenizer_array(g, "tokenizer.ggml.merges", PHI_GGUF_STRING, &kv, err);
    if (status) return status;
    if (kv->n > MAX_TOKEN)
        return phi_file_fail(g->file.path, err, PHI_MODEL,
                             "tokenizer.ggml.merges has %llu elements, at most %d are allowed",
                             (unsigned long long)kv->n, MAX_TOKEN);
    int bits = 4;
    while ((uint64_t)1 << bits < kv->n * 2) bits++;
    t->merge_shift = 64 - bits;
    t->merge = phi_alloc((size_t)kv->n + 1, sizeof *t->merge);
    t->merge_slot = phi_alloc((size_t)1 << bits, sizeof *t->merge_slot);
    char *joined = phi_alloc(t->pieces.max, 2);
    if (!t->merge || !t->merge_slot || !joined) status = PHI_MEMORY;
    const uint8_t *at = kv->data;
    for (int i = 0; !status && (uint64_t)i < kv->n; i++) {
        status = read_merge(t, g, i, phi_gguf_next_str(&at), joined, &t->merge[i], err);
        if (status) break;
        int32_t *slot = pair_slot(t, t->merge[i].left, t->merge[i].right);
        if (*slot == 0) *slot = i + 1; /* of equal pairs the first wins */
    }
    phi_free(joined);
    return status;
}

static int open_tables(struct phi_tokenizer *t, const struct phi_gguf *g, phi_error *err) {
    int status = find_pattern(t, g, err);
    if (!status && !(make_plain(t) && make_index(t))) status = PHI_MEMORY;
    if (!status) status = find_bytes(t, g, err);
    if (!status) status = read_merges(t, g, err);
    phi_free(t->pieces.slot); /* from here on ids are merged, not texts */
    t->pieces.slot = NULL;
    return status;
}

/* ---- Encoding -------------------------------------------------------------------------------------------------- */

static bool find_pair(const struct encoder *e, const struct symbol *a, const struct symbol *b, struct pair *pair,
                      uint32_t *priority) {
    int32_t rank = *pair_slot(e->t, a->id, b->id) - 1;
    if (rank < 0) return false;
    pair->id = e->t->merge[rank].id;
    *priority = UINT32_MAX - (uint32_t)rank;
    return true;
}

static bool encode(struct encoder *e, const char *s, size_t n) {
    const struct phi_tokenizer *t = e->t;
    for (size_t i = 0; i < n;) {
        for (size_t end = i + t->pre->next(s + i, n - i); i < end; i++) {
            int32_t id = t->byte_id[(uint8_t)s[i]];
            if (id >= 0 && !phi_encoder_add(e, (struct symbol){.n = t->token[id].n, .id = id})) return false;
        }
        if (!phi_encoder_merge(e, find_pair)) return false;
        if (e->n_symbol > 0)
            for (uint32_t k = 0; k != none; k = e->symbol[k].next) phi_encoder_emit(e, e->symbol[k].id);
        e->n_symbol = 0;
    }
    return true;
}

const struct phi_tokenizer_kind phi_tokenizer_bpe = {.model = "gpt2",
                                                     .what = "byte-level BPE",
                                                     .max_type = UNUSED,
                                                     .names = names,
                                                     .family = family,
                                                     .open = open_tables,
                                                     .encode = encode};
