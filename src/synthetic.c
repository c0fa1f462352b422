/* Models of noise: the shapes of the family, the mixes of types that quantizers make of them, and which metadata such
 * files carry. The weights are noise of the right size (decoded standard deviation 1/sqrt(row length), norms near 1),
 * so that activations stay finite and ordinary. What a block looks like comes from quant/; here stands only where its
 * scale is. Opens no file: the bytes go to a function of the caller. */
#include "synthetic.h"
#include "gguf_write.h"
#include "memory.h"
#include "quant/bits.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { ALIGNMENT = 32, CHUNK = 1 << 20, MAX_NAME = 64 };

/* ---- Shapes and mixes ---- */

/* clang-format off */
static const struct phi_synthetic_shape shapes[] = {
    /* title                                            embd  layers heads kv  ff    vocab   ctx     rot orig   window  theta  longrope tied split */
    {"tiny", "Tiny Phi-3 of noise",                      256,  2,  4,  2,   512,    512,    512,  0,   512,      0,  10000, 0, 0, 0},
    /* Microsoft's own 4-bit file has none of the three keys that a file may lack. */
    {"phi-3-mini-4k", "Phi3",                           3072, 32, 32, 32,  8192,  32064,   4096,  0,     0,     -1,      0, 0, 0, 0},
    {"phi-3-mini-128k", "Phi 3 Mini 128k Instruct",     3072, 32, 32, 32,  8192,  32064, 131072,  0,  4096, 262144,  10000, 1, 0, 0},
    {"phi-3.5-mini", "Phi 3.5 Mini Instruct",           3072, 32, 32, 32,  8192,  32064, 131072,  0,  4096, 262144,  10000, 1, 0, 0},
    {"phi-3-medium-4k", "Phi 3 Medium 4k Instruct",     5120, 40, 40, 10, 17920,  32064,   4096,  0,  4096,   2047,  10000, 0, 0, 0},
    {"phi-3-medium-128k", "Phi 3 Medium 128k Instruct", 5120, 40, 40, 10, 17920,  32064, 131072,  0,  4096, 131072,  10000, 1, 0, 0},
    {"phi-4-mini", "Phi 4 Mini Instruct",               3072, 32, 24,  8,  8192, 200064, 131072, 96,  4096, 262144,  10000, 1, 1, 0},
    {"phi-4", "Phi 4",                                  5120, 40, 40, 10, 17920, 100352,  16384,  0, 16384,      0, 250000, 0, 0, 0},
};
/* clang-format on */

/* Which tensors of a mix depart from its base type, as llama-quantize has it (the state of 2024, of which Microsoft's
 * file is). */
enum recipe { PURE, Q4_K_SMALL, Q4_K_MEDIUM, Q5_K_MEDIUM };

struct phi_synthetic_mix {
    const char *name, *base, *output;
    int file_type; /* general.file_type */
    enum recipe recipe;
};

static const struct phi_synthetic_mix mixes[] = {
    {"f32", "F32", "F32", 0, PURE},
    {"f16", "F16", "F16", 1, PURE},
    {"bf16", "BF16", "BF16", 32, PURE},
    {"q4_0", "Q4_0", "Q6_K", 2, PURE},
    {"q4_1", "Q4_1", "Q6_K", 3, PURE},
    {"q5_0", "Q5_0", "Q6_K", 8, PURE},
    {"q5_1", "Q5_1", "Q6_K", 9, PURE},
    {"q8_0", "Q8_0", "Q8_0", 7, PURE},
    {"q2_k", "Q2_K", "Q6_K", 10, PURE},
    {"q3_k", "Q3_K", "Q6_K", 11, PURE},
    {"q4_k", "Q4_K", "Q6_K", 14, PURE},
    {"q5_k", "Q5_K", "Q6_K", 16, PURE},
    {"q6_k", "Q6_K", "Q6_K", 18, PURE},
    {"iq4_nl", "IQ4_NL", "Q6_K", 25, PURE},
    {"iq4_xs", "IQ4_XS", "Q6_K", 30, PURE},
    {"q4_k_s", "Q4_K", "Q6_K", 14, Q4_K_SMALL},
    {"q4_k_m", "Q4_K", "Q6_K", 15, Q4_K_MEDIUM},
    {"q5_k_m", "Q5_K", "Q6_K", 17, Q5_K_MEDIUM},
};

enum role { EMBEDDING, OUTPUT, QKV, VALUE, ATTENTION_OUTPUT, UP, DOWN, NORM, FACTORS_LONG, FACTORS_SHORT };

struct phi_synthetic_tensor {
    char name[MAX_NAME];
    enum role role;
    const struct phi_type *type;
    uint64_t cols, rows; /* rows 0: one dimension */
    uint64_t n_bytes;
};

const char *phi_synthetic_shape_name(size_t i) {
    return i < sizeof shapes / sizeof *shapes ? shapes[i].name : NULL;
}

const char *phi_synthetic_mix_name(size_t i) {
    return i < sizeof mixes / sizeof *mixes ? mixes[i].name : NULL;
}

bool phi_synthetic_find_shape(struct phi_synthetic *p, const char *name) {
    size_t n = strlen(name), begins = sizeof shapes / sizeof *shapes;
    for (size_t i = sizeof shapes / sizeof *shapes; i-- > 0;) {
        bool same = strncmp(name, shapes[i].name, n) == 0;
        if (same && shapes[i].name[n] == '-') begins = i;
        if (!same || shapes[i].name[n]) continue;
        p->shape = shapes[i];
        return true;
    }
    if (begins == sizeof shapes / sizeof *shapes) return false;
    p->shape = shapes[begins];
    return true;
}

bool phi_synthetic_find_mix(struct phi_synthetic *p, const char *name) {
    p->mix = NULL;
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++)
        if (strcasecmp(name, mixes[i].name) == 0) p->mix = &mixes[i];
    return p->mix != NULL;
}

const struct phi_type *phi_synthetic_type(const char *name) {
    for (size_t i = 0; i < PHI_N_TYPE; i++)
        if (strcasecmp(phi_types[i].name, name) == 0) return &phi_types[i];
    return NULL;
}

/* The layers to which llama-quantize gives more bits: the first and last eighth, and every third between. */
static int more_bits(int layer, int n_layer) {
    int eighth = n_layer / 8;
    return layer < eighth || layer >= 7 * n_layer / 8 || (layer - eighth) % 3 == 2;
}

static const char *type_of(const struct phi_synthetic *p, enum role role, int layer) {
    const struct phi_synthetic_mix *m = p->mix;
    int more = more_bits(layer, p->shape.layers);
    if (role == NORM || role == FACTORS_LONG || role == FACTORS_SHORT) return "F32";
    if (role == OUTPUT || (role == EMBEDDING && p->shape.tied)) return m->output;
    switch (m->recipe) {
    case PURE:
        break;
    case Q4_K_SMALL:
        if (role == DOWN && layer < p->shape.layers / 8) return "Q5_K";
        break;
    case Q4_K_MEDIUM:
        if (role == QKV) return "Q5_K";
        if ((role == DOWN || role == VALUE) && more) return "Q6_K";
        break;
    case Q5_K_MEDIUM:
        if (role == QKV) return "Q6_K";
        if ((role == DOWN || role == VALUE) && more) return "Q6_K";
        break;
    }
    return m->base;
}

/* Where a block has its scales; all its other bits may be anything. A format with a minimum gets the one that makes
 * the mean zero: minimum = ratio * scale. The others get scales of both signs, as their levels are not symmetric: a
 * mean other than zero would add up along the rows and through the layers. */
struct scales {
    const char *type;
    int scale, minimum; /* byte offsets of f16 fields; minimum -1: none */
    float ratio;
};

static const struct scales scales[] = {
    {"Q4_0", 0, -1, 0},     {"Q5_0", 0, -1, 0},     {"Q8_0", 0, -1, 0},   {"IQ4_NL", 0, -1, 0},
    {"IQ4_XS", 0, -1, 0},   {"Q3_K", 108, -1, 0},   {"Q6_K", 208, -1, 0}, {"Q4_1", 0, 2, -7.5f},
    {"Q5_1", 0, 2, -15.5f}, {"Q2_K", 80, 82, 1.5f}, {"Q4_K", 0, 2, 7.5f}, {"Q5_K", 0, 2, 15.5f},
};

static const struct scales *find_scales(const struct phi_type *type) {
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++)
        if (strcmp(scales[i].type, type->name) == 0) return &scales[i];
    return NULL;
}

struct planner {
    struct phi_synthetic *plan;
    int status; /* the first failure; after it nothing is added */
    phi_error *err;
};

static void add_tensor(struct planner *b, const char *name, int layer, enum role role, int cols, int rows) {
    struct phi_synthetic *p = b->plan;
    struct phi_synthetic_tensor *t = &p->tensor[p->n_tensor];
    if (b->status) return;
    if (layer >= 0)
        snprintf(t->name, sizeof t->name, "blk.%d.%s.weight", layer, name);
    else
        snprintf(t->name, sizeof t->name, "%s.weight", name);
    t->role = role;
    t->cols = (uint64_t)cols;
    t->rows = (uint64_t)rows;
    const char *type = type_of(p, role, layer);
    t->type = phi_synthetic_type(type);
    for (int i = 0; i < p->n_override && role <= DOWN; i++)
        if (memmem(t->name, strlen(t->name), p->override[i].pattern, p->override[i].n)) t->type = p->override[i].type;
    if (!t->type)
        b->status = phi_fail(b->err, PHI_USAGE, "tensor '%s': this build does not know the type %s", t->name, type);
    else if (t->type->block != 1 && !find_scales(t->type))
        b->status = phi_fail(b->err, PHI_USAGE, "tensor '%s': no recipe for the type %s", t->name, t->type->name);
    else if (t->cols % (uint64_t)t->type->block)
        b->status = phi_fail(b->err, PHI_USAGE, "tensor '%s': rows of %d weights are not whole blocks of %d (%s)",
                             t->name, cols, t->type->block, t->type->name);
    if (b->status) return;
    uint64_t offset = (p->data_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    t->n_bytes = t->cols / (uint64_t)t->type->block * (uint64_t)t->type->bytes * (rows ? t->rows : 1);
    p->tensor_bytes += t->n_bytes;
    p->data_bytes = offset + t->n_bytes;
    p->n_tensor++;
}

/* The tensors of one layer. qkv rows: all Q heads, all K, all V; the fused ffn_up has the gate's rows first. */
static void add_layer(struct planner *b, int i) {
    const struct phi_synthetic_shape *s = &b->plan->shape;
    int q = s->embd, kv = s->embd / s->heads * s->kv_heads;
    add_tensor(b, "attn_norm", i, NORM, s->embd, 0);
    if (s->split) {
        add_tensor(b, "attn_q", i, ATTENTION_OUTPUT, s->embd, q);
        add_tensor(b, "attn_k", i, ATTENTION_OUTPUT, s->embd, kv);
        add_tensor(b, "attn_v", i, VALUE, s->embd, kv);
    } else {
        add_tensor(b, "attn_qkv", i, QKV, s->embd, q + 2 * kv);
    }
    add_tensor(b, "attn_output", i, ATTENTION_OUTPUT, q, s->embd);
    add_tensor(b, "ffn_norm", i, NORM, s->embd, 0);
    if (s->split) add_tensor(b, "ffn_gate", i, UP, s->embd, s->ff);
    add_tensor(b, "ffn_up", i, UP, s->embd, s->split ? s->ff : 2 * s->ff);
    add_tensor(b, "ffn_down", i, DOWN, s->ff, s->embd);
}

static int check_shape(struct phi_synthetic_shape *s, phi_error *err) {
    if (s->embd % s->heads)
        return phi_fail(err, PHI_USAGE, "an embedding of %d is not a multiple of %d heads", s->embd, s->heads);
    if (s->heads % s->kv_heads)
        return phi_fail(err, PHI_USAGE, "%d heads are not a multiple of %d KV heads", s->heads, s->kv_heads);
    if (s->rot == 0) s->rot = s->embd / s->heads;
    if (s->rot % 2 || s->rot > s->embd / s->heads)
        return phi_fail(err, PHI_USAGE, "%d rotated dimensions of a head: must be even, 2 to %d", s->rot,
                        s->embd / s->heads);
    if (s->longrope && s->orig_ctx < 2)
        return phi_fail(err, PHI_USAGE, "rotary factors for a long context need the original context's length");
    return PHI_OK;
}

int phi_synthetic_plan(struct phi_synthetic *p, phi_error *err) {
    struct phi_synthetic_shape *s = &p->shape;
    struct planner b = {.plan = p, .err = err};
    int status = check_shape(s, err);
    if (status) return status;
    p->tensor = phi_alloc((size_t)s->layers * 9 + 5, sizeof *p->tensor);
    if (!p->tensor) return phi_fail(err, PHI_MEMORY, "not enough memory for the list of tensors");
    add_tensor(&b, "token_embd", -1, EMBEDDING, s->embd, s->vocab);
    if (s->longrope) add_tensor(&b, "rope_factors_long", -1, FACTORS_LONG, s->rot / 2, 0);
    if (s->longrope) add_tensor(&b, "rope_factors_short", -1, FACTORS_SHORT, s->rot / 2, 0);
    for (int i = 0; i < s->layers; i++) add_layer(&b, i);
    add_tensor(&b, "output_norm", -1, NORM, s->embd, 0);
    if (!s->tied) add_tensor(&b, "output", -1, OUTPUT, s->embd, s->vocab);
    return b.status;
}

void phi_synthetic_free(struct phi_synthetic *p) {
    phi_free(p->tensor);
    p->tensor = NULL;
}

/* ---- The header ---- */

static void key_str(struct phi_gguf_writer *m, const char *key, const char *v) {
    phi_gguf_write_str(m, key, v, strlen(v));
}

/* Laid out like Phi-3's vocabulary: <unk> <s> </s>, 256 byte tokens, pieces, and near the end the control tokens and
 * fillers. */
enum {
    N_FIRST = 3,
    N_BYTE = 256,
    N_SPECIAL = 11,
    MIN_VOCAB = N_FIRST + N_BYTE + 1 + N_SPECIAL /* PHI_SYNTHETIC_MIN_VOCAB */
};
static const char *const first[N_FIRST] = {"<unk>", "<s>", "</s>"};
static const char *const special[N_SPECIAL] = {
    "<|endoftext|>", "<|assistant|>", "<|placeholder1|>", "<|placeholder2|>", "<|placeholder3|>", "<|placeholder4|>",
    "<|system|>",    "<|end|>",       "<|placeholder5|>", "<|placeholder6|>", "<|user|>"};

/* Phi-3 has 64 ids behind its last piece. */
static int first_special(int n_vocab) {
    return n_vocab >= MIN_VOCAB + 1024 ? n_vocab - 64 : n_vocab - N_SPECIAL;
}

/* Piece j: a space mark, then a, ▁a, b, ▁b, .. z, ▁z, aa, ▁aa ..: each is made of two earlier ones, so that merging
 * reaches it. */
static size_t piece(int j, char text[MAX_NAME]) {
    static const char space[] = "\xe2\x96\x81";
    char word[8];
    size_t n = 0, at = sizeof word;
    if (j == 0) return (size_t)snprintf(text, MAX_NAME, "%s", space);
    for (int k = (j + 1) / 2; k > 0; k = (k - 1) / 26) word[--at] = (char)('a' + (k - 1) % 26);
    if (j % 2 == 0) n = (size_t)snprintf(text, MAX_NAME, "%s", space);
    memcpy(text + n, word + at, sizeof word - at);
    return n + sizeof word - at;
}

static size_t token_text(int id, int n_vocab, char text[MAX_NAME]) {
    int base = first_special(n_vocab);
    if (id < N_FIRST) return (size_t)snprintf(text, MAX_NAME, "%s", first[id]);
    if (id < N_FIRST + N_BYTE) return (size_t)snprintf(text, MAX_NAME, "<0x%02X>", (unsigned)(id - N_FIRST));
    if (id < base) return piece(id - N_FIRST - N_BYTE, text);
    if (id < base + N_SPECIAL) return (size_t)snprintf(text, MAX_NAME, "%s", special[id - base]);
    return (size_t)snprintf(text, MAX_NAME, "[PAD%d]", id);
}

static uint32_t token_type(int id, int n_vocab) {
    enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, UNUSED = 5, BYTE = 6 }; /* numbers of the format */
    int base = first_special(n_vocab);
    if (id < N_FIRST) return id == 0 ? UNKNOWN : CONTROL;
    if (id < N_FIRST + N_BYTE) return BYTE;
    if (id < base) return NORMAL;
    return id < base + N_SPECIAL ? CONTROL : UNUSED;
}

static void make_vocab(struct phi_gguf_writer *m, int n_vocab) {
    key_str(m, "tokenizer.ggml.model", "llama");
    key_str(m, "tokenizer.ggml.pre", "default");
    phi_gguf_write_array(m, "tokenizer.ggml.tokens", PHI_GGUF_STRING, (uint64_t)n_vocab);
    for (int id = 0; id < n_vocab; id++) {
        char text[MAX_NAME];
        phi_gguf_add_str(&m->kv, text, token_text(id, n_vocab, text));
    }
    phi_gguf_write_array(m, "tokenizer.ggml.scores", PHI_GGUF_F32, (uint64_t)n_vocab);
    for (int id = 0; id < n_vocab; id++) {
        int normal = token_type(id, n_vocab) == 1;
        float score = normal ? -(float)(id - N_FIRST - N_BYTE) : -1000.0f;
        phi_bytes_add(&m->kv, &score, sizeof score);
    }
    phi_gguf_write_array(m, "tokenizer.ggml.token_type", PHI_GGUF_I32, (uint64_t)n_vocab);
    for (int id = 0; id < n_vocab; id++) {
        uint32_t type = token_type(id, n_vocab);
        phi_bytes_add(&m->kv, &type, sizeof type);
    }
    phi_gguf_write_u32(m, "tokenizer.ggml.bos_token_id", 1);
    phi_gguf_write_u32(m, "tokenizer.ggml.eos_token_id", (uint32_t)first_special(n_vocab));
    phi_gguf_write_u32(m, "tokenizer.ggml.unknown_token_id", 0);
    phi_gguf_write_u32(m, "tokenizer.ggml.padding_token_id", (uint32_t)first_special(n_vocab));
    phi_gguf_write_bool(m, "tokenizer.ggml.add_bos_token", true);
    phi_gguf_write_bool(m, "tokenizer.ggml.add_eos_token", false);
}

/* Every tokenizer key of another file, byte for byte. */
static void copy_vocab(struct phi_gguf_writer *m, const struct phi_gguf *g) {
    static const char prefix[] = "tokenizer.";
    for (uint64_t i = 0; i < g->n_kv; i++)
        if (g->kv[i].key.n >= sizeof prefix - 1 && memcmp(g->kv[i].key.s, prefix, sizeof prefix - 1) == 0)
            phi_gguf_write_kv(m, &g->kv[i]);
}

static void make_keys(struct phi_gguf_writer *m, const struct phi_synthetic *p) {
    const struct phi_synthetic_shape *s = &p->shape;
    key_str(m, "general.architecture", "phi3");
    key_str(m, "general.name", s->title);
    phi_gguf_write_u32(m, "general.file_type", (uint32_t)p->mix->file_type);
    phi_gguf_write_u32(m, "general.quantization_version", 2);
    phi_gguf_write_u32(m, "phi3.context_length", (uint32_t)s->ctx);
    phi_gguf_write_u32(m, "phi3.embedding_length", (uint32_t)s->embd);
    phi_gguf_write_u32(m, "phi3.feed_forward_length", (uint32_t)s->ff);
    phi_gguf_write_u32(m, "phi3.block_count", (uint32_t)s->layers);
    phi_gguf_write_u32(m, "phi3.attention.head_count", (uint32_t)s->heads);
    phi_gguf_write_u32(m, "phi3.attention.head_count_kv", (uint32_t)s->kv_heads);
    phi_gguf_write_f32(m, "phi3.attention.layer_norm_rms_epsilon", 1e-5f);
    phi_gguf_write_u32(m, "phi3.rope.dimension_count", (uint32_t)s->rot);
    if (s->theta) phi_gguf_write_f32(m, "phi3.rope.freq_base", (float)s->theta);
    if (s->orig_ctx) phi_gguf_write_u32(m, "phi3.rope.scaling.original_context_length", (uint32_t)s->orig_ctx);
    if (s->window >= 0) phi_gguf_write_u32(m, "phi3.attention.sliding_window", (uint32_t)s->window);
    if (s->longrope) { /* sqrt(1 + ln(factor)/ln(original)): Hugging Face's longrope */
        double factor = (double)s->ctx / s->orig_ctx;
        double scale = factor <= 1 ? 1.0 : sqrt(1 + log(factor) / log(s->orig_ctx));
        phi_gguf_write_f32(m, "phi3.rope.scaling.attn_factor", (float)scale);
    }
}

/* Everything before the tensor data. */
static int make_header(const struct phi_synthetic *p, struct phi_bytes *out, phi_error *err) {
    struct phi_gguf_writer m = {0};
    make_keys(&m, p);
    if (p->vocab)
        copy_vocab(&m, p->vocab);
    else
        make_vocab(&m, p->shape.vocab);
    for (size_t i = 0; i < p->n_tensor; i++) {
        const struct phi_synthetic_tensor *t = &p->tensor[i];
        uint64_t dim[4] = {t->cols, t->rows ? t->rows : 1, 1, 1};
        phi_gguf_write_tensor(&m, t->name, strlen(t->name), t->type, t->rows ? 2 : 1, dim);
    }
    int status = phi_gguf_write_header(&m, out, err);
    phi_gguf_write_close(&m);
    return status;
}

/* ---- The weights
 * ------------------------------------------------------------------------------------------------------ */

static uint64_t next_random(uint64_t *state) { /* splitmix64 */
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* n is rounded up to 8: the buffer has room. */
static void fill_random(uint8_t *w, size_t n, uint64_t *state) {
    for (size_t i = 0; i < n; i += 8) {
        uint64_t z = next_random(state);
        memcpy(w + i, &z, 8);
    }
}

/* Root mean square of the weights in random blocks whose scale is 1: measured with the format's own decoder. */
static float unit_rms(const struct phi_type *type, const struct scales *s) {
    uint8_t w[512];
    float y[256];
    double sum = 0;
    uint64_t state = 1;
    enum { BLOCKS = 256 };
    for (int b = 0; b < BLOCKS; b++) {
        fill_random(w, (size_t)type->bytes, &state);
        store_f16(w + s->scale, 1);
        if (s->minimum >= 0) store_f16(w + s->minimum, s->ratio);
        type->decode(w, y);
        for (int j = 0; j < type->block; j++) sum += (double)y[j] * y[j];
    }
    return (float)sqrt(sum / ((double)BLOCKS * type->block));
}

/* What stands in the place of each random 8 or 16 bits of a scale or weight, so that a block costs one look-up. */
struct table {
    uint16_t scale[256], minimum[256]; /* of blocks */
    uint16_t weight[65536];            /* of F16 and BF16 */
};

static void make_table(const struct phi_type *type, const struct scales *s, float std, struct table *t) {
    if (s) {
        float d = std / unit_rms(type, s);
        for (int i = 0; i < 256; i++) { /* magnitudes of 0.75 to 1.25 times d; the lowest bit is the sign */
            int step = i / 2;
            float v = d * (0.75f + (float)step / 254.0f);
            if (s->minimum < 0 && i % 2) v = -v;
            t->scale[i] = f16_from_f32(v);
            t->minimum[i] = f16_from_f32(v * s->ratio);
        }
    } else {
        for (int i = 0; i < 65536; i++) {
            float v = ((float)i - 32767.5f) / 32768.0f * std * sqrtf(3);
            t->weight[i] = type->index == PHI_F16 ? f16_from_f32(v) : (uint16_t)(f32_bits(v) >> 16);
        }
    }
}

/* Make weights of the n random bytes at w. */
static void shape_chunk(const struct phi_synthetic_tensor *t, const struct scales *s, const struct table *table,
                        float std, uint8_t *w, size_t n) {
    if (s) {
        for (size_t i = 0; i < n; i += (size_t)t->type->bytes) {
            uint8_t r = w[i + (size_t)s->scale];
            memcpy(w + i + s->scale, &table->scale[r], 2);
            if (s->minimum >= 0) memcpy(w + i + s->minimum, &table->minimum[r], 2);
        }
    } else if (t->type->index == PHI_F32) {
        float mean = t->role == NORM ? 1.0f : 0.0f, half = t->role == NORM ? 0.1f : std * sqrtf(3);
        for (size_t i = 0; i < n; i += 4) {
            float v = mean + half * ((float)(int32_t)load_u32(w + i) * 0x1p-31f);
            memcpy(w + i, &v, 4);
        }
    } else {
        for (size_t i = 0; i < n; i += 2) memcpy(w + i, &table->weight[load_u16(w + i)], 2);
    }
}

/* Stand-ins for the models' lists of rotary factors: short from 1 to 2.8, long from 1 to 64. */
static void make_factors(const struct phi_synthetic_tensor *t, uint8_t *w) {
    for (uint64_t i = 0; i < t->cols; i++) {
        float x = t->cols > 1 ? (float)i / (float)(t->cols - 1) : 0.0f;
        float v = t->role == FACTORS_LONG ? 1.0f + 63.0f * x : 1.0f + 1.8f * x;
        memcpy(w + 4 * i, &v, 4);
    }
}

struct writer {
    phi_synthetic_sink *sink;
    void *user;
    phi_error *err;
    struct table table;
    uint8_t chunk[CHUNK + 8];
};

static int write_tensor(const struct phi_synthetic *p, size_t index, struct writer *w) {
    const struct phi_synthetic_tensor *t = &p->tensor[index];
    const struct scales *s = find_scales(t->type);
    float std = 1.0f / sqrtf((float)t->cols);
    make_table(t->type, s, std, &w->table);
    uint64_t state = p->seed ^ (uint64_t)index << 32;
    state = next_random(&state);
    size_t block = (size_t)t->type->bytes, step = CHUNK / block * block;
    for (uint64_t done = 0; done < t->n_bytes; done += step) {
        size_t n = t->n_bytes - done < step ? (size_t)(t->n_bytes - done) : step;
        if (t->role == FACTORS_LONG || t->role == FACTORS_SHORT) {
            make_factors(t, w->chunk);
        } else {
            fill_random(w->chunk, n, &state);
            shape_chunk(t, s, &w->table, std, w->chunk, n);
        }
        int status = w->sink(w->user, w->chunk, n, w->err);
        if (status) return status;
    }
    static const uint8_t zero[ALIGNMENT];
    size_t gap = (size_t)((ALIGNMENT - t->n_bytes % ALIGNMENT) % ALIGNMENT);
    return gap ? w->sink(w->user, zero, gap, w->err) : PHI_OK;
}

int phi_synthetic_write(const struct phi_synthetic *p, phi_synthetic_sink *sink, void *user, phi_error *err) {
    struct phi_bytes header = {0};
    struct writer *w = phi_alloc(1, sizeof *w);
    int status = w ? make_header(p, &header, err) : phi_fail(err, PHI_MEMORY, "not enough memory to make a model");
    if (status) goto out;
    w->sink = sink;
    w->user = user;
    w->err = err;
    status = sink(user, header.data, header.n, err);
    for (size_t i = 0; i < p->n_tensor && !status; i++) status = write_tensor(p, i, w);
out:
    phi_free(header.data);
    phi_free(w);
    return status;
}
