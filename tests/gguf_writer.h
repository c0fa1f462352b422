/* Writes GGUF files in memory for tests: keys of every type, tensors, whole tiny phi3 models, and places to damage
 * them at. Knows the format independently of src/gguf.c, whose header it takes only for the names of the value types.
 *
 *     struct gguf_writer w = gguf_begin(3);
 *     gguf_str(&w, "general.architecture", "phi3");
 *     gguf_tensor(&w, "x", 0, (uint64_t[]){4}, 1, floats, 16);
 *     gguf_end(&w);                                            the file: w.file.p, w.file.n
 *     gguf_put(&w, gguf_where(&w, "x", GGUF_AT_TYPE), 99, 4);  a defect
 *     gguf_save(&w, path);
 *     gguf_free(&w);
 *
 * or  struct tiny_phi3 m = tiny_phi3_default();  w = tiny_phi3_build(&m);  gguf_save(&w, path); */
#ifndef PHI_TESTS_GGUF_WRITER_H
#define PHI_TESTS_GGUF_WRITER_H

#include "../src/gguf.h"
#include "../src/quant/bits.h"
#include "check.h"

#include <dirent.h>
#include <math.h>
#include <unistd.h>

/* ---- Bytes ---------------------------------------------------------------------------------------------------- */

struct gguf_bytes {
    uint8_t *p;
    size_t n, room;
};

static inline void gguf_append(struct gguf_bytes *b, const void *data, size_t n) {
    if (b->n + n > b->room) {
        b->room = (b->n + n) * 2 + 64;
        b->p = (uint8_t *)realloc(b->p, b->room);
        if (!b->p) abort();
    }
    if (n) memcpy(b->p + b->n, data, n);
    b->n += n;
}

static inline void gguf_number(struct gguf_bytes *b, uint64_t v,
                               size_t n_bytes) { /* little-endian on every machine */
    for (size_t i = 0; i < n_bytes; i++) gguf_append(b, &(uint8_t){(uint8_t)(v >> 8 * i)}, 1);
}

static inline void gguf_string(struct gguf_bytes *b, const void *s, size_t n) {
    gguf_number(b, n, 8);
    gguf_append(b, s, n);
}

static inline void gguf_pad(struct gguf_bytes *b, size_t alignment) {
    while (b->n % alignment) gguf_number(b, 0, 1);
}

/* ---- The writer ----------------------------------------------------------------------------------------------- */

struct gguf_mark { /* where a key or tensor stands in its part of the file */
    char name[64];
    bool is_tensor;
    size_t at_name, at_type, at_value;
};

struct gguf_writer {
    struct gguf_bytes kv, table, data; /* while it is built */
    struct gguf_bytes file;            /* after gguf_end() */
    uint32_t version;
    size_t alignment; /* of the tensors; set it before the first one and write the key yourself; 32 without a key */
    const char *skip; /* a key or tensor of this name is left out */
    uint64_t n_kv, n_tensor;
    struct gguf_mark *mark;
    size_t n_mark;
};

static inline struct gguf_writer gguf_begin(uint32_t version) {
    struct gguf_writer w;
    memset(&w, 0, sizeof w);
    w.version = version;
    w.alignment = 32;
    return w;
}

static inline void gguf_free(struct gguf_writer *w) {
    free(w->kv.p);
    free(w->table.p);
    free(w->data.p);
    free(w->file.p);
    free(w->mark);
    memset(w, 0, sizeof *w);
}

static inline struct gguf_mark *gguf_new_mark(struct gguf_writer *w, const char *name) {
    w->mark = (struct gguf_mark *)realloc(w->mark, (w->n_mark + 1) * sizeof *w->mark);
    if (!w->mark) abort();
    struct gguf_mark *m = &w->mark[w->n_mark++];
    memset(m, 0, sizeof *m);
    size_t n = strlen(name);
    memcpy(m->name, name, n < sizeof m->name ? n : sizeof m->name - 1); /* the rest is zero */
    return m;
}

/* Key and type of value; the caller appends the value to w->kv. False: it is to be skipped. */
static inline bool gguf_key(struct gguf_writer *w, const char *key, enum phi_gguf_type type) {
    if (w->skip && !strcmp(w->skip, key)) return false;
    struct gguf_mark *m = gguf_new_mark(w, key);
    m->at_name = w->kv.n;
    gguf_string(&w->kv, key, strlen(key));
    m->at_type = w->kv.n;
    gguf_number(&w->kv, type, 4);
    m->at_value = w->kv.n;
    w->n_kv++;
    return true;
}

static inline size_t gguf_size_of(enum phi_gguf_type type) {
    switch (type) {
    case PHI_GGUF_U8:
    case PHI_GGUF_I8:
    case PHI_GGUF_BOOL:
        return 1;
    case PHI_GGUF_U16:
    case PHI_GGUF_I16:
        return 2;
    case PHI_GGUF_U32:
    case PHI_GGUF_I32:
    case PHI_GGUF_F32:
        return 4;
    default:
        return 8;
    }
}

/* Any type of fixed size, as its bits. */
static inline void gguf_scalar(struct gguf_writer *w, const char *key, enum phi_gguf_type type, uint64_t bits) {
    if (gguf_key(w, key, type)) gguf_number(&w->kv, bits, gguf_size_of(type));
}

static inline void gguf_u32(struct gguf_writer *w, const char *key, uint32_t v) {
    gguf_scalar(w, key, PHI_GGUF_U32, v);
}

static inline void gguf_bool(struct gguf_writer *w, const char *key, bool v) {
    gguf_scalar(w, key, PHI_GGUF_BOOL, v);
}

static inline void gguf_f32(struct gguf_writer *w, const char *key, float v) {
    uint32_t bits;
    memcpy(&bits, &v, 4);
    gguf_scalar(w, key, PHI_GGUF_F32, bits);
}

static inline void gguf_f64(struct gguf_writer *w, const char *key, double v) {
    uint64_t bits;
    memcpy(&bits, &v, 8);
    gguf_scalar(w, key, PHI_GGUF_F64, bits);
}

static inline void gguf_str_n(struct gguf_writer *w, const char *key, const void *s, size_t n) {
    if (gguf_key(w, key, PHI_GGUF_STRING)) gguf_string(&w->kv, s, n);
}

static inline void gguf_str(struct gguf_writer *w, const char *key, const char *s) {
    gguf_str_n(w, key, s, strlen(s));
}

/* The head of an array; the caller appends n elements to w->kv if this returns true. */
static inline bool gguf_array(struct gguf_writer *w, const char *key, enum phi_gguf_type element, uint64_t n) {
    if (!gguf_key(w, key, PHI_GGUF_ARRAY)) return false;
    gguf_number(&w->kv, element, 4);
    gguf_number(&w->kv, n, 8);
    return true;
}

/* A tensor whose data is n_bytes long; data NULL: zeros. type: its number in GGUF. */
static inline void gguf_tensor(struct gguf_writer *w, const char *name, uint32_t type, const uint64_t *dim,
                               uint32_t n_dim, const void *data, size_t n_bytes) {
    if (w->skip && !strcmp(w->skip, name)) return;
    struct gguf_mark *m = gguf_new_mark(w, name);
    m->is_tensor = true;
    m->at_name = w->table.n;
    gguf_string(&w->table, name, strlen(name));
    m->at_value = w->table.n;
    gguf_number(&w->table, n_dim, 4);
    for (uint32_t i = 0; i < n_dim; i++) gguf_number(&w->table, dim[i], 8);
    m->at_type = w->table.n;
    gguf_number(&w->table, type, 4);
    gguf_pad(&w->data, w->alignment);
    gguf_number(&w->table, w->data.n, 8);
    if (data)
        gguf_append(&w->data, data, n_bytes);
    else
        for (size_t i = 0; i < n_bytes; i++) gguf_number(&w->data, 0, 1);
    w->n_tensor++;
}

static inline size_t gguf_header_size(const struct gguf_writer *w) { /* up to the padding before the data */
    return 24 + w->kv.n + w->table.n;
}

/* Puts the parts together. May be called again after more was added. */
static inline void gguf_end(struct gguf_writer *w) {
    w->file.n = 0;
    gguf_append(&w->file, "GGUF", 4);
    gguf_number(&w->file, w->version, 4);
    gguf_number(&w->file, w->n_tensor, 8);
    gguf_number(&w->file, w->n_kv, 8);
    gguf_append(&w->file, w->kv.p, w->kv.n);
    gguf_append(&w->file, w->table.p, w->table.n);
    if (w->n_tensor) gguf_pad(&w->file, w->alignment);
    gguf_append(&w->file, w->data.p, w->data.n);
}

/* ---- Damage --------------------------------------------------------------------------------------------------- */

enum gguf_place {
    GGUF_AT_NAME,  /* length u64, bytes */
    GGUF_AT_TYPE,  /* type u32; of a tensor: then its offset u64 */
    GGUF_AT_VALUE, /* of a key: the value (array: element type u32, length u64, elements); of a tensor: dims u32, dim
                      u64 ... */
};

/* The place of a key or tensor in the file. */
static inline size_t gguf_where(const struct gguf_writer *w, const char *name, enum gguf_place place) {
    for (size_t i = 0; i < w->n_mark; i++) {
        const struct gguf_mark *m = &w->mark[i];
        if (strcmp(m->name, name) != 0) continue;
        size_t at = place == GGUF_AT_NAME ? m->at_name : place == GGUF_AT_TYPE ? m->at_type : m->at_value;
        return 24 + (m->is_tensor ? w->kv.n : 0) + at;
    }
    printf("the test asks for '%s', which it did not write\n", name);
    abort();
}

/* Overwrites n_bytes of the finished file. */
static inline void gguf_put(struct gguf_writer *w, size_t at, uint64_t v, size_t n_bytes) {
    for (size_t i = 0; i < n_bytes && at + i < w->file.n; i++) w->file.p[at + i] = (uint8_t)(v >> 8 * i);
}

static inline void gguf_write_file(const char *path, const void *data, size_t n) {
    FILE *f = fopen(path, "wb");
    bool ok = f && fwrite(data, 1, n, f) == n;
    if (f) ok = fclose(f) == 0 && ok;
    if (!ok) {
        perror(path);
        exit(1);
    }
}

static inline void gguf_save(const struct gguf_writer *w, const char *path) {
    gguf_write_file(path, w->file.p, w->file.n);
}

/* A fresh directory for a test's files, below the first argument, else $TMPDIR, else where the program is. */
static inline void gguf_make_dir(int argc, char **argv, char dir[512]) {
    const char *tmp = getenv("TMPDIR"), *slash = strrchr(argv[0], '/');
    if (argc > 1)
        snprintf(dir, 512, "%s/phi-test-XXXXXX", argv[1]);
    else if (tmp && *tmp)
        snprintf(dir, 512, "%s/phi-test-XXXXXX", tmp);
    else if (slash)
        snprintf(dir, 512, "%.*s/phi-test-XXXXXX", (int)(slash - argv[0]), argv[0]);
    else
        snprintf(dir, 512, "build/tests/phi-test-XXXXXX");
    if (mkdtemp(dir)) return;
    perror(dir);
    exit(1);
}

/* Removes it with the files and empty directories in it. */
static inline void gguf_remove_dir(const char *dir) {
    DIR *d = opendir(dir);
    char path[1024];
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (unlink(path) != 0) rmdir(path);
    }
    if (d) closedir(d);
    rmdir(dir);
}

/* ---- A tiny phi3 model ---------------------------------------------------------------------------------------- */

struct tiny_phi3_type { /* matrices whose name contains this text have this type */
    const char *in_name;
    uint32_t id; /* its number in GGUF */
};

struct tiny_phi3 {
    int n_vocab;                                         /* at least 297, for all letters: see tiny_phi3_token() */
    int n_embd, n_head, n_head_kv, n_rot, n_ff, n_layer; /* a head is n_embd / n_head wide */
    int head_dim;                  /* 0: so; else the keys key_length and value_length are written */
    int n_ctx, n_ctx_orig;         /* n_ctx_orig 0: the key is left out */
    int window;                    /* sliding window; 0: the key is left out */
    bool tied;                     /* no output.weight */
    bool repeated;                 /* output.weight holds the bytes of token_embd.weight */
    bool split;                    /* attn_q, _k, _v and ffn_gate, _up instead of fused matrices */
    bool factors;                  /* rope_factors_long and _short */
    size_t alignment;              /* general.alignment; 0: the key is left out */
    const char *name;              /* general.name; NULL: "tiny" */
    const char *architecture;      /* and prefix of the keys; NULL: "phi3" */
    struct tiny_phi3_type type[8]; /* the first that fits; F32 where none does */
    unsigned long long seed;       /* of the weights */
    const char *skip;              /* a key or tensor that is left out, or NULL */
};

static inline struct tiny_phi3 tiny_phi3_default(void) {
    return (struct tiny_phi3){.n_vocab = 300,
                              .n_embd = 64,
                              .n_head = 4,
                              .n_head_kv = 2,
                              .n_rot = 16,
                              .n_ff = 96,
                              .n_layer = 2,
                              .n_ctx = 128,
                              .seed = 1};
}

enum { TINY_PHI3_N_SPECIAL = 11 }; /* the last ids of the vocabulary, as in Phi-3 */
enum { TINY_PHI3_UNK = 0, TINY_PHI3_BOS = 1, TINY_PHI3_EOS = 2, TINY_PHI3_BYTE = 3, TINY_PHI3_PIECE = 259 };

/* Token id of a vocabulary with n tokens -> text, *score, and *type: 1 normal, 2 unknown, 3 control, 6 byte.
 *
 *     0..2     <unk> <s> </s>
 *     3..258   the bytes
 *     259..    pieces
 *     n-11..   <|endoftext|> .. <|user|>, as in Phi-3
 *
 * Pieces: "▁", a to z, then in turns ▁a, aa, ▁b, ab ...: strings in the order a .. z, aa .. zz, aaa .. Merges of two
 * shorter pieces reach every one of them. */
static inline void tiny_phi3_token(int id, int n, char text[32], float *score, int32_t *type) {
    static const char *const first[] = {"<unk>", "<s>", "</s>"};
    static const char *const special[TINY_PHI3_N_SPECIAL] = {
        "<|endoftext|>",    "<|assistant|>",    "<|placeholder1|>", "<|placeholder2|>",
        "<|placeholder3|>", "<|placeholder4|>", "<|system|>",       "<|end|>",
        "<|placeholder5|>", "<|placeholder6|>", "<|user|>"};
    *score = 0;
    *type = 3;
    if (id < TINY_PHI3_BYTE) {
        strcpy(text, first[id]);
        *type = id == TINY_PHI3_UNK ? 2 : 3;
    } else if (id < TINY_PHI3_PIECE) {
        snprintf(text, 32, "<0x%02X>", (unsigned)(id - TINY_PHI3_BYTE));
        *type = 6;
    } else if (id >= n - TINY_PHI3_N_SPECIAL) {
        strcpy(text, special[id - (n - TINY_PHI3_N_SPECIAL)]);
    } else {
        int i = id - TINY_PHI3_PIECE;
        *score = (float)-i;
        *type = 1;
        if (i == 0) {
            strcpy(text, "\xe2\x96\x81");
            return;
        }
        int rest = i - 27; /* after the single letters, in turns: "▁" and a string, a longer string */
        bool blank = rest >= 0 && rest % 2 == 0;
        int k = rest < 0 ? i : rest / 2 + (blank ? 1 : 27); /* 1 = a, 26 = z, 27 = aa, 28 = ab */
        char letters[8] = "";
        size_t at = sizeof letters - 1;
        for (; k > 0; k = (k - 1) / 26) letters[--at] = (char)('a' + (k - 1) % 26);
        snprintf(text, 32, "%s%s", blank ? "\xe2\x96\x81" : "", letters + at);
    }
}

static inline void tiny_phi3_vocabulary(struct gguf_writer *w, int n) {
    char text[32];
    float score;
    int32_t type;
    gguf_str(w, "tokenizer.ggml.model", "llama");
    gguf_str(w, "tokenizer.ggml.pre", "default");
    if (gguf_array(w, "tokenizer.ggml.tokens", PHI_GGUF_STRING, (uint64_t)n))
        for (int i = 0; i < n; i++) {
            tiny_phi3_token(i, n, text, &score, &type);
            gguf_string(&w->kv, text, strlen(text));
        }
    if (gguf_array(w, "tokenizer.ggml.scores", PHI_GGUF_F32, (uint64_t)n))
        for (int i = 0; i < n; i++) {
            uint32_t bits;
            tiny_phi3_token(i, n, text, &score, &type);
            memcpy(&bits, &score, 4);
            gguf_number(&w->kv, bits, 4);
        }
    if (gguf_array(w, "tokenizer.ggml.token_type", PHI_GGUF_I32, (uint64_t)n))
        for (int i = 0; i < n; i++) {
            tiny_phi3_token(i, n, text, &score, &type);
            gguf_number(&w->kv, (uint64_t)type, 4);
        }
    gguf_u32(w, "tokenizer.ggml.bos_token_id", TINY_PHI3_BOS);
    gguf_u32(w, "tokenizer.ggml.eos_token_id",
             (uint32_t)(n - TINY_PHI3_N_SPECIAL)); /* <|endoftext|>, as the official file */
    gguf_u32(w, "tokenizer.ggml.unknown_token_id", TINY_PHI3_UNK);
    gguf_u32(w, "tokenizer.ggml.padding_token_id", (uint32_t)(n - TINY_PHI3_N_SPECIAL));
    gguf_bool(w, "tokenizer.ggml.add_bos_token", true);
    gguf_bool(w, "tokenizer.ggml.add_eos_token", false);
}

/* A key of the architecture: m->architecture, a point, key. bits: of a u32 or f32. */
static inline void tiny_phi3_key(struct gguf_writer *w, const struct tiny_phi3 *m, const char *key,
                                 enum phi_gguf_type type, uint32_t bits) {
    char full[64];
    snprintf(full, sizeof full, "%s.%s", m->architecture ? m->architecture : "phi3", key);
    gguf_scalar(w, full, type, bits);
}

static inline void tiny_phi3_keys(struct gguf_writer *w, const struct tiny_phi3 *m) {
    gguf_str(w, "general.architecture", m->architecture ? m->architecture : "phi3");
    gguf_str(w, "general.name", m->name ? m->name : "tiny");
    if (m->alignment) gguf_u32(w, "general.alignment", (uint32_t)m->alignment);
    gguf_u32(w, "general.file_type", 0);
    gguf_u32(w, "general.quantization_version", 2);
    tiny_phi3_key(w, m, "context_length", PHI_GGUF_U32, (uint32_t)m->n_ctx);
    tiny_phi3_key(w, m, "embedding_length", PHI_GGUF_U32, (uint32_t)m->n_embd);
    tiny_phi3_key(w, m, "feed_forward_length", PHI_GGUF_U32, (uint32_t)m->n_ff);
    tiny_phi3_key(w, m, "block_count", PHI_GGUF_U32, (uint32_t)m->n_layer);
    tiny_phi3_key(w, m, "attention.head_count", PHI_GGUF_U32, (uint32_t)m->n_head);
    tiny_phi3_key(w, m, "attention.head_count_kv", PHI_GGUF_U32, (uint32_t)m->n_head_kv);
    tiny_phi3_key(w, m, "attention.layer_norm_rms_epsilon", PHI_GGUF_F32, f32_bits(1e-5f));
    tiny_phi3_key(w, m, "rope.dimension_count", PHI_GGUF_U32, (uint32_t)m->n_rot);
    tiny_phi3_key(w, m, "rope.freq_base", PHI_GGUF_F32, f32_bits(10000.0f));
    if (m->head_dim) {
        tiny_phi3_key(w, m, "attention.key_length", PHI_GGUF_U32, (uint32_t)m->head_dim);
        tiny_phi3_key(w, m, "attention.value_length", PHI_GGUF_U32, (uint32_t)m->head_dim);
    }
    if (m->n_ctx_orig)
        tiny_phi3_key(w, m, "rope.scaling.original_context_length", PHI_GGUF_U32, (uint32_t)m->n_ctx_orig);
    if (m->window) tiny_phi3_key(w, m, "attention.sliding_window", PHI_GGUF_U32, (uint32_t)m->window);
    if (m->factors) tiny_phi3_key(w, m, "rope.scaling.attn_factor", PHI_GGUF_F32, f32_bits(1.1f));
}

/* The types in which a matrix can be written, apart from F32: where the f16 scales of a block stand (minimum -1:
 * none) and the largest value that a block with the scale 1 has. All other bits may be anything. */
static const struct tiny_phi3_format {
    uint32_t id;
    int weights, bytes, scale, minimum;
    double largest;
} tiny_phi3_formats[] = {
    {1, 1, 2, 0, -1, 1},           {30, 1, 2, 0, -1, 1},         {2, 32, 18, 0, -1, 8},     {3, 32, 20, 0, 2, 8},
    {6, 32, 22, 0, -1, 16},        {7, 32, 24, 0, 2, 16},        {8, 32, 34, 0, -1, 127},   {20, 32, 18, 0, -1, 127},
    {10, 256, 84, 80, 82, 23},     {11, 256, 110, 108, -1, 128}, {12, 256, 144, 0, 2, 473}, {13, 256, 176, 0, 2, 977},
    {14, 256, 210, 208, -1, 4096}, {23, 256, 136, 0, -1, 4064},
};

/* n values in middle +- spread, in the given type. */
static inline struct gguf_bytes tiny_phi3_values(uint32_t id, size_t n, double middle, double spread,
                                                 unsigned long long *random) {
    struct gguf_bytes b = {0};
    const struct tiny_phi3_format *f = NULL;
    for (size_t i = 0; i < sizeof tiny_phi3_formats / sizeof *tiny_phi3_formats; i++)
        if (tiny_phi3_formats[i].id == id) f = &tiny_phi3_formats[i];
    for (size_t i = 0; i < n; i += f ? (size_t)f->weights : 1) {
        double unit = (double)(check_random(random) >> 11) * 0x1p-52 - 1.0;
        float v = (float)(middle + spread * unit);
        if (!f || f->weights == 1) {
            uint32_t bits = f32_bits(v);
            gguf_number(&b, id == 0 ? bits : id == 30 ? bits >> 16 : f16_from_f32(v), id == 0 ? 4 : 2);
            continue;
        }
        size_t at = b.n;
        for (int k = 0; k < f->bytes; k += 2) gguf_number(&b, check_random(random) & 0xffff, 2);
        uint16_t d = f16_from_f32((float)((0.5 + fabs(unit) / 2) * spread / f->largest)); /* of the middle 0 only */
        uint16_t m = f->weights == 32 ? f16_from_f32((float)-spread) : f16_from_f32((float)(spread / 63));
        memcpy(b.p + at + f->scale, &d, 2);
        if (f->minimum >= 0) memcpy(b.p + at + f->minimum, &m, 2);
    }
    return b;
}

static inline uint32_t tiny_phi3_type_of(const struct tiny_phi3 *m, const char *name) {
    for (size_t i = 0; i < sizeof m->type / sizeof *m->type && m->type[i].in_name; i++)
        if (strstr(name, m->type[i].in_name)) return m->type[i].id;
    return 0;
}

/* A vector of F32 with values in middle +- spread. */
static inline void tiny_phi3_vector(struct gguf_writer *w, const char *name, int n, double middle, double spread,
                                    unsigned long long *random) {
    struct gguf_bytes b = tiny_phi3_values(0, (size_t)n, middle, spread, random);
    gguf_tensor(w, name, 0, (uint64_t[]){(uint64_t)n}, 1, b.p, b.n);
    free(b.p);
}

/* A matrix with values in +- spread. */
static inline void tiny_phi3_matrix(struct gguf_writer *w, const struct tiny_phi3 *m, const char *name, int rows,
                                    int columns, double spread, unsigned long long *random) {
    uint32_t id = tiny_phi3_type_of(m, name);
    struct gguf_bytes b = tiny_phi3_values(id, (size_t)columns * (size_t)rows, 0, spread, random);
    gguf_tensor(w, name, id, (uint64_t[]){(uint64_t)columns, (uint64_t)rows}, 2, b.p, b.n);
    free(b.p);
}

/* Parts of a matrix as tensors of their own, or all in one that is called fused. The bytes are the same. */
static inline void tiny_phi3_parts(struct gguf_writer *w, const struct tiny_phi3 *m, int layer, const char *fused,
                                   const char *const *names, const int *rows, int n, int columns, double spread,
                                   unsigned long long *random) {
    char name[64];
    struct gguf_bytes all = {0};
    int n_row = 0;
    snprintf(name, sizeof name, "blk.%d.%s.weight", layer, fused);
    uint32_t id = tiny_phi3_type_of(m, name);
    for (int i = 0; i < n; i++) {
        if (m->split) {
            snprintf(name, sizeof name, "blk.%d.%s.weight", layer, names[i]);
            id = tiny_phi3_type_of(m, name);
        }
        struct gguf_bytes b = tiny_phi3_values(id, (size_t)columns * (size_t)rows[i], 0, spread, random);
        if (m->split) gguf_tensor(w, name, id, (uint64_t[]){(uint64_t)columns, (uint64_t)rows[i]}, 2, b.p, b.n);
        gguf_append(&all, b.p, b.n);
        n_row += rows[i];
        free(b.p);
    }
    if (!m->split) gguf_tensor(w, name, id, (uint64_t[]){(uint64_t)columns, (uint64_t)n_row}, 2, all.p, all.n);
    free(all.p);
}

static inline void tiny_phi3_layer(struct gguf_writer *w, const struct tiny_phi3 *m, int i,
                                   unsigned long long *random) {
    static const char *const qkv[] = {"attn_q", "attn_k", "attn_v"}, *const gate_up[] = {"ffn_gate", "ffn_up"};
    char norm[2][64], out[64], down[64];
    int e = m->n_embd, hd = m->head_dim ? m->head_dim : e / m->n_head, q = m->n_head * hd, kv = m->n_head_kv * hd;
    snprintf(norm[0], 64, "blk.%d.attn_norm.weight", i);
    snprintf(norm[1], 64, "blk.%d.ffn_norm.weight", i);
    snprintf(out, 64, "blk.%d.attn_output.weight", i);
    snprintf(down, 64, "blk.%d.ffn_down.weight", i);
    double in_e = sqrt(3.0 / e);
    tiny_phi3_vector(w, norm[0], e, 1, 0.5, random);
    tiny_phi3_parts(w, m, i, "attn_qkv", qkv, (int[]){q, kv, kv}, 3, e, in_e, random);
    tiny_phi3_matrix(w, m, out, e, q, sqrt(3.0 / q), random);
    tiny_phi3_vector(w, norm[1], e, 1, 0.5, random);
    tiny_phi3_parts(w, m, i, "ffn_up", gate_up, (int[]){m->n_ff, m->n_ff}, 2, e, in_e, random);
    tiny_phi3_matrix(w, m, down, e, m->n_ff, sqrt(3.0 / m->n_ff), random);
}

/* Weights with a standard deviation of about 1 / sqrt(columns), so that activations stay near 1; norms between 0.5
 * and 1.5. */
static inline void tiny_phi3_tensors(struct gguf_writer *w, const struct tiny_phi3 *m) {
    unsigned long long random = m->seed;
    unsigned long long of_embedding = random;
    tiny_phi3_matrix(w, m, "token_embd.weight", m->n_vocab, m->n_embd, 1, &random);
    if (m->factors) {
        tiny_phi3_vector(w, "rope_factors_long.weight", m->n_rot / 2, 3, 2, &random);
        tiny_phi3_vector(w, "rope_factors_short.weight", m->n_rot / 2, 1.1, 0.1, &random);
    }
    for (int i = 0; i < m->n_layer; i++) tiny_phi3_layer(w, m, i, &random);
    tiny_phi3_vector(w, "output_norm.weight", m->n_embd, 1, 0.5, &random);
    if (!m->tied)
        tiny_phi3_matrix(w, m, "output.weight", m->n_vocab, m->n_embd, m->repeated ? 1 : sqrt(3.0 / m->n_embd),
                         m->repeated ? &of_embedding : &random);
}

/* A complete valid model, finished. To change a key: skip it, add it again with the other value, gguf_end(). */
static inline struct gguf_writer tiny_phi3_build(const struct tiny_phi3 *m) {
    struct gguf_writer w = gguf_begin(3);
    w.skip = m->skip;
    if (m->alignment) w.alignment = m->alignment;
    tiny_phi3_keys(&w, m);
    tiny_phi3_vocabulary(&w, m->n_vocab);
    tiny_phi3_tensors(&w, m);
    w.skip = NULL;
    gguf_end(&w);
    return w;
}

#endif
