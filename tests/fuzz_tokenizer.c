/* Any bytes as text for every kind of tokenizer: they must come back from their ids, whatever room there is for
 * these, and never as a control token unless asked for; special tokens swallow white space and nothing else. The
 * first byte of the input chooses the vocabulary:
 *
 *     0      $PHI_VOCABULARY, else models/demo.gguf (a byte-level vocabulary must have all bytes)
 *     1      SentencePiece, made here: pieces that merge, all bytes
 *     2..    byte-level BPE of tests/golden, once for each pattern of pretokenizer.c */
#include "gguf_writer.h"
#include "json.h"
#include "../src/pretokenizer.h"
#include "../src/tokenizer.h"
#include "../src/unicode.h"
#include "fuzz_replay.h"

static struct vocabulary {
    struct phi_gguf gguf;
    struct phi_tokenizer *t;
    const struct phi_pretokenizer *pre; /* byte level: text comes back as it is */
} vocabularies[12];
static int n_vocabulary;

static void open_path(const char *path, const struct phi_pretokenizer *pre) {
    phi_error err = {""};
    struct vocabulary *v = &vocabularies[n_vocabulary++];
    fuzz_must(n_vocabulary <= 12, "more patterns than there is room for", "");
    if (phi_gguf_open(path, &v->gguf, &err) == 0) phi_tokenizer_open(&v->gguf, &v->t, &err);
    fuzz_must(v->t, path, err.text);
    v->pre = pre;
}

static void open_writer(struct gguf_writer *w, const struct phi_pretokenizer *pre) {
    char path[64];
    gguf_end(w);
    int fd = fuzz_file(w->file.p, w->file.n, path);
    open_path(path, pre);
    close(fd);
    gguf_free(w);
}

static void add_strings(struct gguf_writer *w, const char *key, const struct json *strings, const char *const *more,
                        size_t n_more) {
    if (!gguf_array(w, key, PHI_GGUF_STRING, strings->n + n_more)) return;
    for (size_t i = 0; i < strings->n; i++) gguf_string(&w->kv, strings->item[i].text, strings->item[i].text_n);
    for (size_t i = 0; i < n_more; i++) gguf_string(&w->kv, more[i], strlen(more[i]));
}

static void open_bpe(const struct json *tokens, const struct json *merges, const struct phi_pretokenizer *pre) {
    static const char *const special[] = {"<|endoftext|>", "<|im_start|>", "<|im_sep|>", "<|im_end|>", "<|user|>",
                                          "<|end|>",       "<|system|>",   "<|en|>",     "user"};
    enum { N_SPECIAL = sizeof special / sizeof *special, NORMAL = 1, CONTROL = 3, USER_DEFINED = 4 };
    struct gguf_writer w = gguf_begin(3);
    gguf_str(&w, "tokenizer.ggml.model", "gpt2");
    gguf_str(&w, "tokenizer.ggml.pre", pre->name);
    add_strings(&w, "tokenizer.ggml.tokens", tokens, special, N_SPECIAL);
    if (gguf_array(&w, "tokenizer.ggml.token_type", PHI_GGUF_I32, tokens->n + N_SPECIAL)) {
        for (size_t i = 0; i < tokens->n; i++) gguf_number(&w.kv, NORMAL, 4);
        for (size_t i = 0; i < N_SPECIAL; i++) gguf_number(&w.kv, i + 1 < N_SPECIAL ? CONTROL : USER_DEFINED, 4);
    }
    add_strings(&w, "tokenizer.ggml.merges", merges, NULL, 0);
    open_writer(&w, pre);
}

static void open_once(void) {
    const char *path = getenv("PHI_VOCABULARY"), *golden = "tests/golden/tokenizer/bpe.jsonl";
    struct phi_str model, pre;
    phi_error err = {""};
    if (n_vocabulary) return;
    open_path(path ? path : "models/demo.gguf", NULL);
    const struct phi_gguf *g = &vocabularies[0].gguf;
    if (phi_gguf_get_str(g, "tokenizer.ggml.model", &model, &err) == 1 && model.n == 4 &&
        phi_gguf_get_str(g, "tokenizer.ggml.pre", &pre, &err) == 1)
        vocabularies[0].pre = phi_pretokenizer_find(pre.s, pre.n);
    struct gguf_writer w = gguf_begin(3);
    tiny_phi3_vocabulary(&w, 1200);
    open_writer(&w, NULL);
    FILE *f = fopen(golden, "rb");
    fuzz_must(f, "cannot be opened", golden);
    static char line[1 << 16];
    struct json first;
    line[fread(line, 1, sizeof line - 1, f)] = 0;
    fclose(f);
    json_parse(line, &first);
    for (size_t i = 0; phi_pretokenizer_at(i); i++)
        open_bpe(json_get(&first, "tokens"), json_get(&first, "merges"), phi_pretokenizer_at(i));
    json_clear(&first);
}

/* text is plain: its ids put it out; SentencePiece's " " and the text, ▁ as a space. */
static void check_plain(const struct vocabulary *v, const char *text, size_t n, const int32_t *ids, int64_t n_id) {
    bool byte_level = v->pre != NULL;
    size_t at = byte_level; /* in " " and text */
    for (int64_t i = 0; i < n_id; i++) {
        size_t k;
        const char *s = phi_tokenizer_bytes(v->t, ids[i], false, &k);
        fuzz_must(!phi_tokenizer_is_control(v->t, ids[i]), "a control token from plain text", "");
        for (size_t j = 0; j < k; j++) {
            bool blank = !byte_level && at >= 1 && n - (at - 1) >= 3 && memcmp(text + at - 1, "\xe2\x96\x81", 3) == 0;
            char expected = ' ';
            if (at > 0 && !blank) {
                fuzz_must(at <= n, "more bytes than the text has", "");
                expected = text[at - 1];
            }
            fuzz_must(s[j] == expected, "another byte came back", "");
            at += blank ? 3 : 1;
        }
    }
    fuzz_must(at == (n || byte_level ? n + 1 : 0), "bytes are missing", "");
}

/* With room for only some ids the others are counted, not written. */
static void check_room(const struct vocabulary *v, const char *text, size_t n, unsigned flags, const int32_t *ids,
                       int64_t n_id) {
    size_t room = (size_t)n_id / 2;
    int32_t *some = fuzz_copy(ids, room * sizeof *some);
    memset(some, 0xff, room * sizeof *some);
    fuzz_must(phi_tokenizer_encode(v->t, text, n, flags, some, room) == n_id, "another number with less room", "");
    fuzz_must(memcmp(some, ids, room * sizeof *some) == 0, "other ids with less room", "");
    free(some);
    fuzz_must(phi_tokenizer_encode(v->t, text, n, flags, NULL, 0) == n_id, "another number without room", "");
}

/* A piece of the pattern is one for itself, and has the ids that it adds to the text. */
static void check_pieces(const struct vocabulary *v, const char *text, size_t n, const int32_t *ids, int64_t n_id) {
    int64_t sum = 0;
    for (size_t at = 0, k; at < n; at += k) {
        k = v->pre->next(text + at, n - at);
        fuzz_must(k >= 1 && k <= n - at, "length of a piece", "");
        char *piece = fuzz_copy(text + at, k);
        int32_t *own = malloc(k * sizeof *own);
        int64_t n_own = phi_tokenizer_encode(v->t, piece, k, 0, own, k);
        fuzz_must(v->pre->next(piece, k) == k, "a piece that is cut", "");
        fuzz_must(n_own >= 1 && (uint64_t)n_own <= k && n_own <= n_id - sum, "number of ids of a piece", "");
        fuzz_must(memcmp(own, ids + sum, (size_t)n_own * sizeof *own) == 0, "ids of a piece", "");
        free(own);
        free(piece);
        sum += n_own;
    }
    fuzz_must(sum == n_id, "ids of all pieces", "");
}

/* The text without its white space (and ▁) -> out; returns its length. */
static size_t squeeze(const char *s, size_t n, char *out) {
    size_t n_out = 0;
    for (size_t k; n > 0; s += k, n -= k) {
        uint32_t code;
        enum phi_class c;
        k = phi_unicode_next(s, n, &code, &c);
        if (c == PHI_CLASS_SPACE || code == 0x2581) continue;
        memmove(out + n_out, s, k); /* out may be s */
        n_out += k;
    }
    return n_out;
}

static void check_special(const struct vocabulary *v, const char *text, size_t n, const int32_t *ids, int64_t n_id) {
    char *back = malloc(n + 64 + (size_t)n_id), *wanted = malloc(n + 1);
    size_t n_back = 0, k;
    for (int64_t i = 0; i < n_id; i++) {
        const char *s = phi_tokenizer_bytes(v->t, ids[i], true, &k);
        fuzz_must(k <= n + 64 + (size_t)n_id - n_back, "more bytes than the text has", "");
        memcpy(back + n_back, s, k);
        n_back += k;
    }
    size_t n_wanted = squeeze(text, n, wanted);
    n_back = squeeze(back, n_back, back);
    fuzz_must(n_back == n_wanted && memcmp(back, wanted, n_back) == 0, "special tokens changed the text", "");
    free(back);
    free(wanted);
}

/* The bytes as two ids and a text between them. */
static void check_ids(const struct vocabulary *v, const char *text, size_t n) {
    int32_t id[2];
    if (n < sizeof id) return;
    memcpy(id, text, sizeof id);
    for (int i = 0; i < 2; i++) {
        size_t k, sum = 0;
        if (text[7] & 1) id[i] = (int32_t)((uint32_t)id[i] % (uint32_t)phi_tokenizer_n_vocab(v->t));
        const char *s = phi_tokenizer_bytes(v->t, id[i], true, &k);
        for (size_t j = 0; j < k; j++) sum += (uint8_t)s[j];
        bool is_id = id[i] >= 0 && id[i] < phi_tokenizer_n_vocab(v->t);
        fuzz_must(sum < 1u << 24 && (is_id || k == 0), "bytes of an id", "");
        fuzz_must(is_id || (!phi_tokenizer_is_stop(v->t, id[i]) && !phi_tokenizer_is_control(v->t, id[i])),
                  "role of no id", "");
    }
    text += sizeof id;
    n -= sizeof id;
    const char *rest = text;
    size_t n_rest = n;
    phi_tokenizer_trim(v->t, id[0], id[1], &rest, &n_rest);
    fuzz_must(rest >= text && n_rest <= n && (size_t)(rest - text) <= n - n_rest, "trimmed", "");
    char *cut = malloc(n + 1);
    size_t n_left = (size_t)(rest - text);
    fuzz_must(squeeze(text, n_left, cut) == 0, "more than white space is trimmed at the left", "");
    fuzz_must(squeeze(rest + n_rest, n - n_left - n_rest, cut) == 0, "or right", "");
    free(cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    open_once();
    if (n == 0) return 0;
    const struct vocabulary *v = &vocabularies[data[0] % n_vocabulary];
    unsigned long long live = phi_memory_live();
    char *text = fuzz_copy(data + 1, --n);
    size_t room = 3 * n + 8;
    int32_t *ids = malloc(room * sizeof *ids);
    int64_t n_id = phi_tokenizer_encode(v->t, text, n, 0, ids, room);
    fuzz_must(n_id >= 0 && (uint64_t)n_id <= room, "number of ids", "");
    check_plain(v, text, n, ids, n_id);
    check_room(v, text, n, 0, ids, n_id);
    if (v->pre) check_pieces(v, text, n, ids, n_id);
    n_id = phi_tokenizer_encode(v->t, text, n, PHI_PARSE_SPECIAL, ids, room);
    fuzz_must(n_id >= 0 && (uint64_t)n_id <= room, "number of ids with special tokens", "");
    check_special(v, text, n, ids, n_id);
    check_room(v, text, n, PHI_PARSE_SPECIAL, ids, n_id);
    check_ids(v, text, n);
    free(ids);
    free(text);
    fuzz_must(phi_memory_live() == live, "leak", "");
    return 0;
}
