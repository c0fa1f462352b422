/* From a GGUF file to a model: reads the hyper-parameters, checks their relations, and binds every tensor by name,
 * type and shape. Refuses what the engine cannot run; after this nothing in the forward pass can fail. */
#include "model.h"
#include "memory.h"
#include "rope.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum {
    MAX_WIDTH = 1 << 20, /* of any matrix side but the vocabulary's; phi-3-medium has 35840 */
    MAX_VOCAB = 1 << 24,
    MAX_LAYER = 1 << 12,
    MAX_CONTEXT = 1 << 20 /* where the sine of rope.c ends */
};

/* 2.3 of the family's facts: published configurations of mini-4k and medium-4k say 2047, and their GGUF files lack
 * the key. */
enum { WINDOW_4K = 2047, CONTEXT_4K = 4096 };

/* Re-uploads of Phi-3 as architecture llama have split q, k, v and gate, up; their converter reorders the rows of q
 * and k. */
static const struct phi_member members[] = {
    {.architecture = "phi3", .window_4k = true},
    {.architecture = "llama", .interleaved = true},
};

static int find_member(struct phi_model *m, phi_error *err) {
    char quoted[PHI_QUOTE_SIZE];
    int found = phi_gguf_get_str(&m->gguf, "general.architecture", &m->architecture, err);
    if (found < 0) return found;
    if (!found) return phi_file_fail(m->gguf.file.path, err, PHI_MODEL, "general.architecture is missing");
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (m->architecture.n == strlen(members[i].architecture) &&
            memcmp(m->architecture.s, members[i].architecture, m->architecture.n) == 0)
            m->member = &members[i];
    if (m->member) return 0;
    return phi_file_fail(m->gguf.file.path, err, PHI_MODEL, "general.architecture is '%s', expected 'phi3' or 'llama'",
                         phi_quote(quoted, m->architecture.s, m->architecture.n));
}

/* ---- Hyper-parameters ---- */

static int get_int(const struct phi_model *m, const char *name, int min, int max, int fallback, int *v,
                   phi_error *err) {
    char key[64];
    snprintf(key, sizeof key, "%s.%s", m->member->architecture, name);
    uint64_t u = 0;
    int found = phi_gguf_get_u64(&m->gguf, key, (uint64_t)min, (uint64_t)max, &u, err);
    if (found < 0) return found;
    if (!found && fallback < 0) return phi_file_fail(m->gguf.file.path, err, PHI_MODEL, "%s is missing", key);
    *v = found ? (int)u : fallback;
    return 0;
}

static int get_float(const struct phi_model *m, const char *name, double min, double max, double fallback, double *v,
                     phi_error *err) {
    char key[64];
    snprintf(key, sizeof key, "%s.%s", m->member->architecture, name);
    int found = phi_gguf_get_f64(&m->gguf, key, min, max, v, err);
    if (found < 0) return found;
    if (!found && isnan(fallback)) return phi_file_fail(m->gguf.file.path, err, PHI_MODEL, "%s is missing", key);
    if (!found) *v = fallback;
    return 0;
}

static int read_window(struct phi_model *m, phi_error *err) {
    enum { NOT_STATED = INT32_MAX };
    int e = get_int(m, "attention.sliding_window", 0, INT32_MAX - 1, NOT_STATED, &m->window, err);
    if (e) return e;
    m->window_rule = "stated by the file";
    if (m->window == NOT_STATED) {
        bool is_4k = m->member->window_4k && m->n_ctx_train == CONTEXT_4K;
        m->window = is_4k ? WINDOW_4K : 0;
        m->window_rule = is_4k ? "not stated; the published configurations for 4096 positions have it" : "not stated";
    } else if (m->window >= m->n_ctx_train) {
        m->window = 0;
        m->window_rule = "stated by the file, as long as the context";
    }
    return 0;
}

static int read_attention(struct phi_model *m, phi_error *err) {
    const char *path = m->gguf.file.path, *arch = m->member->architecture;
    int e, value_dim = 0;
    if ((e = get_int(m, "attention.head_count", 1, MAX_WIDTH, -1, &m->n_head, err))) return e;
    if ((e = get_int(m, "attention.head_count_kv", 1, MAX_WIDTH, m->n_head, &m->n_head_kv, err))) return e;
    if (m->n_head % m->n_head_kv)
        return phi_file_fail(path, err, PHI_MODEL, "%s.attention.head_count %d is no multiple of head_count_kv %d",
                             arch, m->n_head, m->n_head_kv);
    if ((e = get_int(m, "attention.key_length", 1, MAX_WIDTH, m->n_embd / m->n_head, &m->head_dim, err))) return e;
    if ((e = get_int(m, "attention.value_length", 1, MAX_WIDTH, m->head_dim, &value_dim, err))) return e;
    if (m->head_dim < 2 || value_dim != m->head_dim || (int64_t)m->head_dim * m->n_head > MAX_WIDTH)
        return phi_file_fail(path, err, PHI_MODEL,
                             "%s.attention.head_count %d: heads of %d keys and %d values do not fit embedding_length %d", arch,
                             m->n_head, m->head_dim, value_dim, m->n_embd);
    if (m->n_embd % m->n_head && m->head_dim == m->n_embd / m->n_head)
        return phi_file_fail(path, err, PHI_MODEL, "%s.embedding_length %d is no multiple of attention.head_count %d",
                             arch, m->n_embd, m->n_head);
    if ((e = get_int(m, "rope.dimension_count", 0, INT32_MAX, m->head_dim, &m->n_rot, err))) return e;
    if (m->n_rot < 2 || m->n_rot > m->head_dim || m->n_rot % 2)
        return phi_file_fail(path, err, PHI_MODEL, "%s.rope.dimension_count %d: must be even, 2 to %d", arch,
                             m->n_rot, m->head_dim);
    return read_window(m, err);
}

static int read_hparams(struct phi_model *m, phi_error *err) {
    int e;
    double eps;
    if ((e = get_int(m, "context_length", 1, MAX_CONTEXT, -1, &m->n_ctx_train, err))) return e;
    if ((e = get_int(m, "embedding_length", 1, MAX_WIDTH, -1, &m->n_embd, err))) return e;
    if ((e = get_int(m, "feed_forward_length", 1, MAX_WIDTH / 2, -1, &m->n_ff, err))) return e;
    if ((e = get_int(m, "block_count", 1, MAX_LAYER, -1, &m->n_layer, err))) return e;
    /* Not 0: a row of zeros would become 0 times infinity. */
    if ((e = get_float(m, "attention.layer_norm_rms_epsilon", 1e-12, 1, NAN, &eps, err))) return e;
    m->norm_eps = (float)eps;
    if ((e = get_int(m, "rope.scaling.original_context_length", 2, MAX_CONTEXT, m->n_ctx_train, &m->n_ctx_original,
                     err)))
        return e;
    return read_attention(m, err);
}

/* ---- Tensors ---- */

static const struct phi_gguf_tensor *find(const struct phi_model *m, char name[64], const char *fmt, ...)
    PHI_PRINTF(3, 4);
static const struct phi_gguf_tensor *find(const struct phi_model *m, char name[64], const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, 64, fmt, args);
    va_end(args);
    return phi_gguf_find_tensor(&m->gguf, name);
}

static int missing(const struct phi_model *m, const char *name, phi_error *err) {
    return phi_file_fail(m->gguf.file.path, err, PHI_MODEL, "tensor '%s' is missing", name);
}

static int check_shape(const struct phi_model *m, const char *name, const struct phi_gguf_tensor *t, int64_t rows,
                       int64_t cols, phi_error *err) {
    bool fits = rows ? t->n_dim == 2 && t->dim[0] == (uint64_t)cols && t->dim[1] == (uint64_t)rows
                     : t->n_dim == 1 && t->dim[0] == (uint64_t)cols;
    if (fits) return 0;
    char found[96];
    int n = 0;
    for (int i = 0; i < t->n_dim; i++)
        n += snprintf(found + n, sizeof found - (size_t)n, "%s%llu", i ? " x " : "", (unsigned long long)t->dim[i]);
    if (rows)
        return phi_file_fail(m->gguf.file.path, err, PHI_MODEL, "tensor '%s' has shape %s, expected %lld x %lld",
                             name, found, (long long)cols, (long long)rows);
    return phi_file_fail(m->gguf.file.path, err, PHI_MODEL, "tensor '%s' has shape %s, expected %lld", name, found,
                         (long long)cols);
}

/* A matrix of this shape, any type of the table. */
static int bind_mat(const struct phi_model *m, const char *name, const struct phi_gguf_tensor *t, int rows, int cols,
                    struct phi_mat *out, phi_error *err) {
    if (!t) return missing(m, name, err);
    int e = check_shape(m, name, t, rows, cols, err);
    if (e) return e;
    m->bound[t - m->gguf.tensor] = true;
    out->data = t->data;
    out->type = t->type;
    out->rows = rows;
    out->cols = cols;
    out->row_bytes = (size_t)(cols / t->type->block) * (size_t)t->type->bytes;
    return 0;
}

/* rows [first, first + n) of a fused matrix */
static struct phi_mat slice(struct phi_mat w, int first, int n) {
    w.data += (size_t)first * w.row_bytes;
    w.rows = n;
    return w;
}

/* A vector of floats. Where its place in the file is not aligned the n floats are copied to *copy, which moves on. */
static int bind_vector(const struct phi_model *m, const char *name, const struct phi_gguf_tensor *t, int n,
                       float **copy, const float **out, phi_error *err) {
    if (!t) return missing(m, name, err);
    int e = check_shape(m, name, t, 0, n, err);
    if (e) return e;
    m->bound[t - m->gguf.tensor] = true;
    if (t->type->index != PHI_F32)
        return phi_file_fail(m->gguf.file.path, err, PHI_MODEL, "tensor '%s' is %s, expected F32", name,
                             t->type->name);
    if ((uintptr_t)t->data % _Alignof(float) == 0) {
        *out = (const float *)(const void *)t->data;
        return 0;
    }
    memcpy(*copy, t->data, (size_t)n * sizeof(float));
    *out = *copy;
    *copy += n;
    return 0;
}

static int bind_attention(const struct phi_model *m, int i, struct phi_layer *l, phi_error *err) {
    char name[64];
    int e, q_rows = m->n_head * m->head_dim, kv_rows = m->n_head_kv * m->head_dim;
    const struct phi_gguf_tensor *q = find(m, name, "blk.%d.attn_q.weight", i);
    const struct phi_gguf_tensor *k = find(m, name, "blk.%d.attn_k.weight", i);
    const struct phi_gguf_tensor *v = find(m, name, "blk.%d.attn_v.weight", i);
    const struct phi_gguf_tensor *fused = find(m, name, "blk.%d.attn_qkv.weight", i);
    if (fused || !(q || k || v)) {
        struct phi_mat qkv = {0};
        if ((e = bind_mat(m, name, fused, q_rows + 2 * kv_rows, m->n_embd, &qkv, err))) return e;
        l->wq = slice(qkv, 0, q_rows);
        l->wk = slice(qkv, q_rows, kv_rows);
        l->wv = slice(qkv, q_rows + kv_rows, kv_rows);
    } else {
        find(m, name, "blk.%d.attn_q.weight", i);
        if ((e = bind_mat(m, name, q, q_rows, m->n_embd, &l->wq, err))) return e;
        find(m, name, "blk.%d.attn_k.weight", i);
        if ((e = bind_mat(m, name, k, kv_rows, m->n_embd, &l->wk, err))) return e;
        find(m, name, "blk.%d.attn_v.weight", i);
        if ((e = bind_mat(m, name, v, kv_rows, m->n_embd, &l->wv, err))) return e;
    }
    const struct phi_gguf_tensor *o = find(m, name, "blk.%d.attn_output.weight", i);
    return bind_mat(m, name, o, m->n_embd, q_rows, &l->wo, err);
}

static int bind_ffn(const struct phi_model *m, int i, struct phi_layer *l, phi_error *err) {
    char name[64];
    int e;
    const struct phi_gguf_tensor *gate = find(m, name, "blk.%d.ffn_gate.weight", i);
    if (gate) {
        if ((e = bind_mat(m, name, gate, m->n_ff, m->n_embd, &l->gate, err))) return e;
        const struct phi_gguf_tensor *up = find(m, name, "blk.%d.ffn_up.weight", i);
        if ((e = bind_mat(m, name, up, m->n_ff, m->n_embd, &l->up, err))) return e;
    } else {
        struct phi_mat both = {0}; /* [gate; up] */
        const struct phi_gguf_tensor *up = find(m, name, "blk.%d.ffn_up.weight", i);
        if ((e = bind_mat(m, name, up, 2 * m->n_ff, m->n_embd, &both, err))) return e;
        l->gate = slice(both, 0, m->n_ff);
        l->up = slice(both, m->n_ff, m->n_ff);
    }
    const struct phi_gguf_tensor *down = find(m, name, "blk.%d.ffn_down.weight", i);
    return bind_mat(m, name, down, m->n_embd, m->n_ff, &l->down, err);
}

static int bind_layer(const struct phi_model *m, int i, float **copy, struct phi_layer *l, phi_error *err) {
    char name[64];
    int e;
    const struct phi_gguf_tensor *t = find(m, name, "blk.%d.attn_norm.weight", i);
    if ((e = bind_vector(m, name, t, m->n_embd, copy, &l->attn_norm, err))) return e;
    t = find(m, name, "blk.%d.ffn_norm.weight", i);
    if ((e = bind_vector(m, name, t, m->n_embd, copy, &l->ffn_norm, err))) return e;
    if ((e = bind_attention(m, i, l, err))) return e;
    return bind_ffn(m, i, l, err);
}

/* Fewer tokens than rows are fine: files pad the embedding to a round size. Before the vocabulary is read, so that a
 * number that is wrong by far costs no time and memory. */
static int check_rows(const struct phi_model *m, phi_error *err) {
    const struct phi_gguf_kv *tokens = phi_gguf_find(&m->gguf, "tokenizer.ggml.tokens");
    const struct phi_gguf_tensor *t = phi_gguf_find_tensor(&m->gguf, "token_embd.weight");
    if (!tokens || !t || t->n_dim != 2 || tokens->n <= t->dim[1]) return 0;
    return phi_file_fail(m->gguf.file.path, err, PHI_MODEL,
                         "%llu tokens, but tensor 'token_embd.weight' has %llu rows", (unsigned long long)tokens->n,
                         (unsigned long long)t->dim[1]);
}

static int bind_tensors(struct phi_model *m, phi_error *err) {
    char name[64];
    int e, n_token = phi_tokenizer_n_vocab(m->tokenizer);
    const struct phi_gguf_tensor *t = find(m, name, "token_embd.weight");
    if (!t) return missing(m, name, err);
    if (t->n_dim != 2 || t->dim[1] > MAX_VOCAB) return check_shape(m, name, t, n_token, m->n_embd, err);
    m->n_vocab = (int)t->dim[1];
    if ((e = bind_mat(m, name, t, m->n_vocab, m->n_embd, &m->embedding, err))) return e;
    t = find(m, name, "output.weight");
    m->head = m->embedding; /* tied */
    if (t && (e = bind_mat(m, name, t, m->n_vocab, m->n_embd, &m->head, err))) return e;

    /* The file must hold as many blocks as it says before memory is taken for them. */
    if (!find(m, name, "blk.%d.attn_norm.weight", m->n_layer - 1))
        return phi_file_fail(m->gguf.file.path, err, PHI_MODEL, "%s.block_count is %d, but tensor '%s' is missing",
                             m->member->architecture, m->n_layer, name);
    if (find(m, name, "blk.%d.attn_norm.weight", m->n_layer))
        return phi_file_fail(m->gguf.file.path, err, PHI_MODEL, "%s.block_count is %d, but there is a tensor '%s'",
                             m->member->architecture, m->n_layer, name);
    uint64_t norm_bytes = (uint64_t)(2 * m->n_layer + 1) * (uint64_t)m->n_embd * sizeof(float);
    if (norm_bytes > m->gguf.tensor_bytes)
        return phi_file_fail(m->gguf.file.path, err, PHI_MODEL,
                             "%s.block_count %d: the norms alone take %llu bytes, all tensors have %llu",
                             m->member->architecture, m->n_layer, (unsigned long long)norm_bytes,
                             (unsigned long long)m->gguf.tensor_bytes);
    m->layer = phi_alloc((size_t)m->n_layer, sizeof *m->layer);
    m->norm_copy = phi_alloc((size_t)norm_bytes, 1);
    if (!m->layer || !m->norm_copy)
        return phi_file_fail(m->gguf.file.path, err, PHI_MEMORY, "not enough memory for %d layers", m->n_layer);
    float *copy = m->norm_copy;
    t = find(m, name, "output_norm.weight");
    if ((e = bind_vector(m, name, t, m->n_embd, &copy, &m->output_norm, err))) return e;
    for (int i = 0; i < m->n_layer; i++)
        if ((e = bind_layer(m, i, &copy, &m->layer[i], err))) return e;
    return 0;
}

/* ---- Rotary lists ---- */

static int bind_factors(const struct phi_model *m, const char *name, float *factor, bool *found, phi_error *err) {
    const struct phi_gguf_tensor *t = phi_gguf_find_tensor(&m->gguf, name);
    const float *in_place;
    *found = t != NULL;
    if (!t) return 0;
    float *copy = factor;
    int e = bind_vector(m, name, t, m->n_rot / 2, &copy, &in_place, err);
    if (e) return e;
    if (in_place != factor) memcpy(factor, in_place, (size_t)(m->n_rot / 2) * sizeof(float));
    /* No angle may leave what the sine of rope.c reduces exactly: position / factor < MAX_CONTEXT. */
    float least = (float)m->n_ctx_train / (float)MAX_CONTEXT, most = 1e6f;
    for (int i = 0; i < m->n_rot / 2; i++)
        if (!(factor[i] >= least && factor[i] <= most))
            return phi_file_fail(m->gguf.file.path, err, PHI_MODEL,
                                 "tensor '%s' holds %g at %d, expected a factor of %g to %g", name, (double)factor[i],
                                 i, (double)least, (double)most);
    return 0;
}

/* Without factor lists there is only the plain rotation: other ways of stretching it would silently compute another
 * model. */
static int check_scaling(const struct phi_model *m, phi_error *err) {
    char key[64], quoted[PHI_QUOTE_SIZE];
    struct phi_str type;
    snprintf(key, sizeof key, "%s.rope.scaling.type", m->member->architecture);
    int found = phi_gguf_get_str(&m->gguf, key, &type, err);
    if (found < 0) return found;
    if (!found || m->has_long_rope || (type.n == 4 && memcmp(type.s, "none", 4) == 0) ||
        (type.n == 8 && memcmp(type.s, "longrope", 8) == 0))
        return 0;
    return phi_file_fail(m->gguf.file.path, err, PHI_MODEL, "%s is '%s', expected 'none' or 'longrope'", key,
                         phi_quote(quoted, type.s, type.n));
}

static int read_rope(struct phi_model *m, phi_error *err) {
    static const char *const names[PHI_N_ROPE] = {"rope_factors_short.weight", "rope_factors_long.weight"};
    double theta, scale;
    bool found[PHI_N_ROPE];
    int e = get_float(m, "rope.freq_base", 1, 1e9, 10000, &theta, err);
    if (e) return e;
    size_t half = (size_t)m->n_rot / 2;
    for (int list = 0; list < PHI_N_ROPE; list++) {
        float *f = m->inv_freq[list] = phi_alloc(half, sizeof(float));
        if (!f) return phi_file_fail(m->gguf.file.path, err, PHI_MEMORY, "not enough memory for the rotary lists");
        if ((e = bind_factors(m, names[list], f, &found[list], err))) return e;
        phi_rope_inv_freq(f, m->n_rot, theta, found[list] ? f : NULL);
    }
    if (found[PHI_ROPE_SHORT] != found[PHI_ROPE_LONG])
        return missing(m, names[found[PHI_ROPE_LONG] ? PHI_ROPE_SHORT : PHI_ROPE_LONG], err);
    m->has_long_rope = found[PHI_ROPE_LONG];
    if ((e = check_scaling(m, err))) return e;
    m->rope_scale = 1;
    if (!m->has_long_rope) return 0;
    if ((e = get_float(m, "rope.scaling.attn_factor", 1e-3, 1e3, phi_rope_mscale(m->n_ctx_train, m->n_ctx_original),
                       &scale, err)))
        return e;
    m->rope_scale = (float)scale;
    return 0;
}

/* ---- Open, close, ask ---- */

/* A tensor that the forward pass has no use for changes what the model means: a bias, other rotary factors, an
 * adapter. */
static int check_all_bound(const struct phi_model *m, phi_error *err) {
    char quoted[PHI_QUOTE_SIZE];
    for (uint64_t i = 0; i < m->gguf.n_tensor; i++)
        if (!m->bound[i])
            return phi_file_fail(m->gguf.file.path, err, PHI_MODEL,
                                 "tensor '%s' is no part of the Phi-3 architecture; this model cannot run here",
                                 phi_quote(quoted, m->gguf.tensor[i].name.s, m->gguf.tensor[i].name.n));
    return 0;
}

static int read_model(struct phi_model *m, phi_error *err) {
    enum { EARLY_128K = 131072 };
    int e;
    m->bound = phi_alloc(m->gguf.n_tensor, sizeof *m->bound);
    if (!m->bound) return phi_file_fail(m->gguf.file.path, err, PHI_MEMORY, "not enough memory");
    if ((e = read_hparams(m, err))) return e;
    if ((e = bind_tensors(m, err))) return e;
    if ((e = read_rope(m, err))) return e;
    if ((e = check_all_bound(m, err))) return e;
    phi_free(m->bound);
    m->bound = NULL;
    if (!m->has_long_rope && m->member->window_4k &&
        (m->n_ctx_original < m->n_ctx_train || m->n_ctx_train >= EARLY_128K))
        m->warning = "the file has no rotary factors, as early conversions of the 128k models: "
                     "beyond 4096 tokens the answers will be wrong; get a newer file";
    return 0;
}

int phi_model_open(const char *path, phi_model **out, phi_error *err) {
    return phi_model_load(path, false, out, err);
}

int phi_model_load(const char *path, bool read, phi_model **out, phi_error *err) {
    struct phi_model *m = phi_alloc(1, sizeof *m);
    *out = NULL;
    if (!m) return phi_file_fail(path, err, PHI_MEMORY, "not enough memory");
    int e = phi_gguf_load(path, read, &m->gguf, err);
    if (e) {
        phi_free(m);
        return e;
    }
    if ((e = find_member(m, err)) || (e = check_rows(m, err))) goto fail;
    if (phi_gguf_get_str(&m->gguf, "general.name", &m->name, NULL) <= 0) m->name = (struct phi_str){"", 0};
    if ((e = phi_tokenizer_open(&m->gguf, &m->tokenizer, err))) goto fail;
    m->n_vocab = phi_tokenizer_n_vocab(m->tokenizer);
    m->warning = m->window_rule = "";
    if (m->gguf.n_tensor && (e = read_model(m, err))) goto fail;
    *out = m;
    return 0;
fail:
    phi_model_close(m);
    return e;
}

int phi_model_lock(const phi_model *m, phi_error *err) {
    const struct phi_file *f = &m->gguf.file;
    struct rlimit limit = {.rlim_cur = RLIM_INFINITY}; /* more than any size */
    if (mlock(f->data, (size_t)f->size) == 0) return PHI_OK;
    int cause = errno;
    getrlimit(RLIMIT_MEMLOCK, &limit);
    if (limit.rlim_cur < f->size)
        return phi_file_fail(f->path, err, PHI_MEMORY, "%llu MiB cannot be locked in memory, the limit is %llu KiB (ulimit -l)",
                             (unsigned long long)f->size >> 20, (unsigned long long)limit.rlim_cur >> 10);
    return phi_file_fail(f->path, err, PHI_MEMORY, "%llu MiB cannot be locked in memory (error %d)",
                         (unsigned long long)f->size >> 20, cause);
}

void phi_model_close(phi_model *m) {
    if (!m) return;
    for (int list = 0; list < PHI_N_ROPE; list++) phi_free(m->inv_freq[list]);
    phi_free(m->layer);
    phi_free(m->norm_copy);
    phi_free(m->bound);
    phi_tokenizer_close(m->tokenizer);
    phi_gguf_close(&m->gguf);
    phi_free(m);
}

/* The names that people know file types by: general.file_type. */
static const struct {
    int id;
    const char *name;
} mixes[] = {{0, "all F32"},
             {1, "F16"},
             {2, "Q4_0"},
             {3, "Q4_1"},
             {7, "Q8_0"},
             {8, "Q5_0"},
             {9, "Q5_1"},
             {10, "Q2_K - Medium"},
             {11, "Q3_K - Small"},
             {12, "Q3_K - Medium"},
             {13, "Q3_K - Large"},
             {14, "Q4_K - Small"},
             {15, "Q4_K - Medium"},
             {16, "Q5_K - Small"},
             {17, "Q5_K - Medium"},
             {18, "Q6_K"},
             {25, "IQ4_NL - 4.5 bpw"},
             {30, "IQ4_XS - 4.25 bpw"},
             {32, "BF16"}};

static const char *mix_name(const struct phi_model *m) {
    uint64_t file_type;
    if (phi_gguf_get_u64(&m->gguf, "general.file_type", 0, 1023, &file_type, NULL) > 0)
        for (size_t i = 0; i < sizeof mixes / sizeof mixes[0]; i++)
            if (mixes[i].id == (int)file_type) return mixes[i].name;
    uint64_t weights[PHI_N_TYPE] = {0};
    int most = PHI_F32;
    for (uint64_t i = 0; i < m->gguf.n_tensor; i++) {
        const struct phi_gguf_tensor *t = &m->gguf.tensor[i];
        weights[t->type->index] += t->n_bytes / (uint64_t)t->type->bytes * (uint64_t)t->type->block;
        if (weights[t->type->index] > weights[most]) most = (int)t->type->index;
    }
    return m->gguf.n_tensor ? phi_types[most].name : "vocabulary only";
}

static void copy_str(char *to, size_t size, struct phi_str s) {
    size_t n = s.n < size ? (size_t)s.n : size - 1;
    memcpy(to, s.s, n);
    to[n] = 0;
}

void phi_model_get_info(const phi_model *m, struct phi_model_info *out) {
    *out = (struct phi_model_info){.file_bytes = m->gguf.file.size,
                                   .tensor_bytes = m->gguf.tensor_bytes,
                                   .trailing_bytes = m->gguf.trailing,
                                   .n_params = m->gguf.n_params,
                                   .n_layer = m->n_layer,
                                   .n_embd = m->n_embd,
                                   .n_head = m->n_head,
                                   .n_head_kv = m->n_head_kv,
                                   .n_ff = m->n_ff,
                                   .head_dim = m->head_dim,
                                   .n_rot = m->n_rot,
                                   .n_vocab = m->n_vocab,
                                   .n_ctx_train = m->n_ctx_train,
                                   .n_ctx_original = m->n_ctx_original,
                                   .window = m->window,
                                   .window_rule = m->window_rule,
                                   .long_rope = m->has_long_rope,
                                   .warning = m->warning};
    copy_str(out->name, sizeof out->name, m->name);
    copy_str(out->architecture, sizeof out->architecture, m->architecture);
    snprintf(out->type, sizeof out->type, "%s", mix_name(m));
}

const void *phi_model_mapping(const phi_model *m, size_t *n_bytes) {
    *n_bytes = (size_t)m->gguf.file.size;
    return m->gguf.file.data;
}

int64_t phi_tokenize(const phi_model *m, const char *text, size_t n_bytes, unsigned flags, int32_t *ids, size_t cap) {
    return phi_tokenizer_encode(m->tokenizer, text, n_bytes, flags, ids, cap);
}

const char *phi_token_bytes(const phi_model *m, int32_t id, bool special, size_t *n_bytes) {
    return phi_tokenizer_bytes(m->tokenizer, id, special, n_bytes);
}

bool phi_token_is_stop(const phi_model *m, int32_t id) {
    return phi_tokenizer_is_stop(m->tokenizer, id);
}

int32_t phi_token_bos(const phi_model *m) {
    return phi_tokenizer_bos(m->tokenizer);
}
