/* The names and shapes of a Phi3ForCausalLM on both sides. */
#include "convert.h"
#include "encode.h"
#include "hf_tokenizer.h"
#include "memory.h"
#include "mix.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct phi_convert_tensor {
    char name[64];
    const struct phi_type *from, *to;
    const uint8_t *data;
    int n_dim;
    uint64_t dim[4]; /* the row's length first */
};

static const struct phi_type *f32 = &phi_types[PHI_F32];

/* ---- Metadata ---- */

static void put_str(struct phi_gguf_writer *w, const char *key, const char *text) {
    phi_gguf_write_str(w, key, text, strlen(text));
}

/* The last name in a path. */
static void put_name(struct phi_gguf_writer *w, const char *folder) {
    char resolved[4096];
    const char *path = realpath(folder, resolved) ? resolved : folder, *slash = strrchr(path, '/');
    put_str(w, "general.name", slash && slash[1] ? slash + 1 : path);
}

static uint32_t file_type(const struct phi_convert *c) {
    static const struct {
        enum phi_type_index type;
        uint32_t number;
    } numbers[] = {{PHI_F32, 0}, {PHI_F16, 1}, {PHI_Q8_0, 7}, {PHI_BF16, 32}};
    for (size_t i = 0; i < 4; i++)
        if (numbers[i].type == c->tensor[0].to->index) return numbers[i].number;
    return 0;
}

static void write_keys(const struct phi_convert *c, const char *folder, struct phi_gguf_writer *w) {
    const struct phi_hf_config *h = &c->config;
    const struct {
        const char *key;
        int v;
    } numbers[] = {{"phi3.context_length", h->n_ctx},
                   {"phi3.embedding_length", h->n_embd},
                   {"phi3.feed_forward_length", h->n_ff},
                   {"phi3.block_count", h->n_layer},
                   {"phi3.attention.head_count", h->n_head},
                   {"phi3.attention.head_count_kv", h->n_head_kv},
                   {"phi3.rope.dimension_count", h->n_rot},
                   {"phi3.rope.scaling.original_context_length", h->n_ctx_original},
                   {"phi3.attention.sliding_window", h->window}};
    put_str(w, "general.architecture", "phi3");
    put_str(w, "general.type", "model");
    put_name(w, folder);
    phi_gguf_write_u32(w, "general.file_type", file_type(c));
    phi_gguf_write_u32(w, "general.quantization_version", 2);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) phi_gguf_write_u32(w, numbers[i].key, (uint32_t)numbers[i].v);
    if (h->head_dim * h->n_head != h->n_embd) {
        phi_gguf_write_u32(w, "phi3.attention.key_length", (uint32_t)h->head_dim);
        phi_gguf_write_u32(w, "phi3.attention.value_length", (uint32_t)h->head_dim);
    }
    phi_gguf_write_f32(w, "phi3.attention.layer_norm_rms_epsilon", (float)h->norm_eps);
    phi_gguf_write_f32(w, "phi3.rope.freq_base", (float)h->rope_theta);
    if (h->long_rope) phi_gguf_write_f32(w, "phi3.rope.scaling.attn_factor", (float)h->attn_factor);
}

/* ---- Tensors ---- */

struct planner {
    struct phi_convert *c;
    const char *folder;
    uint64_t n_used; /* of the source's tensors */
    phi_error *err;
    int status; /* the first failure */
};

/* rows 0: a vector. */
static void add(struct planner *p, const char *source, const char *name, int rows, int cols) {
    struct phi_convert *c = p->c;
    struct phi_convert_tensor *t = &c->tensor[c->n_tensor];
    if (p->status) return;
    const struct phi_safetensor *s = phi_safetensors_find(&c->weights, source);
    if (!s) {
        p->status = phi_file_fail(p->folder, p->err, PHI_MODEL, "tensor '%s' is missing", source);
    } else if (!s->type) {
        char quoted[PHI_QUOTE_SIZE];
        p->status = phi_file_fail(p->folder, p->err, PHI_MODEL, "tensor '%s' is %s, expected F32, F16 or BF16", source,
                                  phi_quote(quoted, s->dtype, strlen(s->dtype)));
    } else if (s->n_dim != (rows ? 2 : 1) || s->dim[0] != (uint64_t)(rows ? rows : cols) || (rows && s->dim[1] != (uint64_t)cols)) {
        p->status = phi_file_fail(p->folder, p->err, PHI_MODEL, "tensor '%s' is [%" PRIu64 "][%" PRIu64 "], config.json says [%d][%d]",
                                  source, s->dim[0], s->dim[1], rows ? rows : cols, rows ? cols : 1);
    }
    if (p->status) return;
    snprintf(t->name, sizeof t->name, "%s", name);
    t->from = s->type;
    t->to = !rows ? f32 : c->type ? phi_mix_fit(c->type, (uint64_t)cols) : s->type;
    t->data = s->data;
    t->n_dim = rows ? 2 : 1;
    t->dim[0] = (uint64_t)cols;
    t->dim[1] = rows ? (uint64_t)rows : 1;
    t->dim[2] = t->dim[3] = 1;
    c->n_weight += t->dim[0] * t->dim[1];
    c->n_tensor++;
    p->n_used++;
}

static void add_factors(struct planner *p, const char *name, const float *factor) {
    if (p->status) return;
    struct phi_convert_tensor *t = &p->c->tensor[p->c->n_tensor++];
    uint64_t n = (uint64_t)p->c->config.n_rot / 2;
    *t = (struct phi_convert_tensor){.from = f32, .to = f32, .data = (const uint8_t *)factor, .n_dim = 1, .dim = {n, 1, 1, 1}};
    snprintf(t->name, sizeof t->name, "%s", name);
    p->c->n_weight += n;
}

static void add_layer(struct planner *p, int i) {
    const struct phi_hf_config *h = &p->c->config;
    int q = h->n_head * h->head_dim, kv = h->n_head_kv * h->head_dim;
    const struct {
        const char *source, *name;
        int rows, cols;
    } parts[] = {{"input_layernorm", "attn_norm", 0, h->n_embd},
                 {"self_attn.qkv_proj", "attn_qkv", q + 2 * kv, h->n_embd},
                 {"self_attn.o_proj", "attn_output", h->n_embd, q},
                 {"post_attention_layernorm", "ffn_norm", 0, h->n_embd},
                 {"mlp.gate_up_proj", "ffn_up", 2 * h->n_ff, h->n_embd},
                 {"mlp.down_proj", "ffn_down", h->n_embd, h->n_ff}};
    for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
        char source[96], name[64];
        snprintf(source, sizeof source, "model.layers.%d.%s.weight", i, parts[k].source);
        snprintf(name, sizeof name, "blk.%d.%s.weight", i, parts[k].name);
        add(p, source, name, parts[k].rows, parts[k].cols);
    }
}

/* Everything in the folder has a place, but for what the family computes itself. */
static void check_rest(struct planner *p) {
    const struct phi_safetensors *s = &p->c->weights;
    char quoted[PHI_QUOTE_SIZE];
    for (uint64_t i = 0; i < s->n_tensor && p->n_used < s->n_tensor && !p->status; i++) {
        const char *name = s->tensor[i].name, *end = strrchr(name, '.');
        bool known = (end && strcmp(end, ".inv_freq") == 0) || (p->c->config.tied && strcmp(name, "lm_head.weight") == 0);
        for (size_t k = 0; k < p->c->n_tensor && !known; k++) known = p->c->tensor[k].data == s->tensor[i].data;
        if (!known)
            p->status = phi_file_fail(p->folder, p->err, PHI_MODEL, "tensor '%s' has no place in a Phi-3 model",
                                      phi_quote(quoted, name, strlen(name)));
    }
}

static int plan_tensors(struct phi_convert *c, const char *folder, phi_error *err) {
    const struct phi_hf_config *h = &c->config;
    struct planner p = {.c = c, .folder = folder, .err = err};
    c->tensor = phi_alloc((size_t)h->n_layer * 6 + 5, sizeof *c->tensor);
    if (!c->tensor) return phi_fail(err, PHI_MEMORY, "not enough memory for the list of tensors");
    add(&p, "model.embed_tokens.weight", "token_embd.weight", h->n_vocab, h->n_embd);
    if (h->long_rope) add_factors(&p, "rope_factors_long.weight", h->long_factor);
    if (h->long_rope) add_factors(&p, "rope_factors_short.weight", h->short_factor);
    for (int i = 0; i < h->n_layer && !p.status; i++) add_layer(&p, i);
    add(&p, "model.norm.weight", "output_norm.weight", 0, h->n_embd);
    if (!h->tied) add(&p, "lm_head.weight", "output.weight", h->n_vocab, h->n_embd);
    check_rest(&p);
    return p.status;
}

int phi_convert_open(const char *folder, const struct phi_type *type, struct phi_convert *c, phi_error *err) {
    struct phi_gguf_writer w = {0};
    memset(c, 0, sizeof *c);
    c->type = type;
    int status = phi_hf_config_read(folder, &c->config, err);
    if (!status) status = phi_safetensors_open(folder, &c->weights, err);
    if (!status) status = plan_tensors(c, folder, err);
    if (status) return status;
    write_keys(c, folder, &w);
    status = phi_hf_tokenizer_write(folder, &c->config, &w, &c->placeholder, err);
    for (size_t i = 0; i < c->n_tensor; i++) {
        const struct phi_convert_tensor *t = &c->tensor[i];
        phi_gguf_write_tensor(&w, t->name, strlen(t->name), t->to, t->n_dim, t->dim);
    }
    if (!status) status = phi_gguf_write_header(&w, &c->header, err);
    c->file_bytes = c->header.n + w.data_bytes;
    phi_gguf_write_close(&w);
    return status;
}

void phi_convert_close(struct phi_convert *c) {
    phi_safetensors_close(&c->weights);
    phi_free(c->tensor);
    phi_free(c->header.data);
    memset(c, 0, sizeof *c);
}

/* ---- The work ---- */

int phi_convert_write(const struct phi_convert *c, int n_thread, const struct phi_encode_calls *calls, uint64_t *n_changed,
                      phi_error *err) {
    static const uint8_t zero[32];
    struct phi_gguf_writer w = {0};
    uint64_t done = 0;
    struct phi_encoder *e = NULL;
    int status = phi_encoder_open(n_thread, &e, err);
    *n_changed = 0;
    if (!status) status = calls->write(calls->user, c->header.data, c->header.n, err);
    for (size_t i = 0; i < c->n_tensor && !status; i++) {
        const struct phi_convert_tensor *t = &c->tensor[i];
        struct phi_encoding job = {.name = t->name, .n_name = strlen(t->name), .from = t->from, .to = t->to, .data = t->data,
                                   .n = t->dim[0] * t->dim[1], .n_col = t->dim[0], .calls = calls, .before = done, .total = c->n_weight};
        status = phi_encode(e, &job, err);
        *n_changed += job.n_changed;
        done += job.n;
        size_t gap = phi_gguf_write_gap(&w, phi_gguf_tensor_bytes(t->to, t->dim));
        if (!status && gap && i + 1 < c->n_tensor) status = calls->write(calls->user, zero, gap, err);
    }
    phi_encoder_close(e);
    return status;
}
