/* From one model file to a smaller one: which format for which tensor, the metadata that changes, and the order of the work.
 * The rules are mix.c's, the encoding encode.c's. */
#include "quantize.h"
#include "memory.h"

#include <inttypes.h>
#include <stdio.h>

static bool is(struct phi_str s, const char *text) {
    return s.n == strlen(text) && memcmp(s.s, text, s.n) == 0;
}

/* Matrices are encoded; vectors (norms, factors), which are small and matter much, stay as they are. */
static bool is_matrix(const struct phi_gguf_tensor *t) {
    static const char end[] = ".weight";
    return t->n_dim == 2 && t->name.n > sizeof end && memcmp(t->name.s + t->name.n - (sizeof end - 1), end, sizeof end - 1) == 0;
}

/* ---- Formats ---- */

static int describe_model(const struct phi_gguf *g, const struct phi_quantize_options *o, struct phi_mix_model *m, phi_error *err) {
    struct phi_str architecture = {"", 0};
    char key[128];
    uint64_t layers = 0, heads = 1, shared = 1;
    int found = phi_gguf_get_str(g, "general.architecture", &architecture, err);
    if (found < 0) return found;
    if (!found || architecture.n > 64)
        return phi_file_fail(g->file.path, err, PHI_MODEL, "general.architecture is missing: this is not a model");
    static const char *const names[] = {"block_count", "attention.head_count", "attention.head_count_kv"};
    for (int i = 0; i < 3; i++) {
        uint64_t *v[] = {&layers, &heads, &shared};
        snprintf(key, sizeof key, "%.*s.%s", (int)architecture.n, architecture.s, names[i]);
        if (i == 2) shared = heads;
        if ((found = phi_gguf_get_u64(g, key, 1, 1 << 20, v[i], err)) < 0) return found;
    }
    *m = (struct phi_mix_model){.n_layer = (int)layers,
                                .n_share = (int)(heads / shared),
                                .tied = !phi_gguf_find_tensor(g, "output.weight"),
                                .weighted = o->imatrix != NULL,
                                .pure = o->pure};
    return PHI_OK;
}

static const struct phi_type *choose(const struct phi_quantize_options *o, const struct phi_mix_model *m,
                                     const struct phi_gguf_tensor *t, uint64_t *used) {
    bool output = is(t->name, "output.weight"), embedding = is(t->name, "token_embd.weight");
    const struct phi_type *type = phi_mix_choose(o->mix, m, t->name.s, (size_t)t->name.n);
    for (int i = o->n_rule; i-- > 0;)
        if (phi_mix_matches(o->rule[i].pattern, o->rule[i].n, t->name.s, (size_t)t->name.n)) {
            type = o->rule[i].type;
            *used |= 1ull << i;
        }
    if (o->output && (output || (embedding && m->tied && !m->pure))) type = o->output;
    if (o->embedding && embedding) type = o->embedding;
    if ((o->leave_output && output) || !is_matrix(t)) return t->type;
    return phi_mix_fit(type, t->dim[0]);
}

static int check_source(const struct phi_gguf *g, const struct phi_gguf_tensor *t, phi_error *err) {
    char quoted[PHI_QUOTE_SIZE];
    if (t->type->block == 1) return PHI_OK;
    return phi_file_fail(g->file.path, err, PHI_USAGE,
                         "tensor '%s' is %s already, and would lose once more; take the file in F16, BF16 or F32, or say "
                         "--allow-requantize",
                         phi_quote(quoted, t->name.s, (size_t)t->name.n), t->type->name);
}

static int choose_all(struct phi_quantize_plan *p, phi_error *err) {
    const struct phi_quantize_options *o = p->options;
    struct phi_mix_model model;
    uint64_t used = 0;
    int status = describe_model(p->in, o, &model, err);
    for (uint64_t i = 0; i < p->in->n_tensor && !status; i++) {
        const struct phi_gguf_tensor *t = &p->in->tensor[i];
        p->type[i] = choose(o, &model, t, &used);
        if (p->type[i] == t->type) continue;
        if (!o->requantize) status = check_source(p->in, t, err);
        const float *row;
        if (!o->imatrix || status) continue;
        int found = phi_imatrix_find(o->imatrix, t->name.s, (size_t)t->name.n, t->dim[0], &row, err);
        if (found < 0) status = found;
        if (found == 0) p->n_unweighted++;
    }
    for (int i = 0; i < o->n_rule && !status; i++)
        if (!(used >> i & 1))
            status = phi_fail(err, PHI_USAGE, "--tensor-type %.*s=%s: no tensor of the model has such a name", (int)o->rule[i].n,
                              o->rule[i].pattern, o->rule[i].type->name);
    return status;
}

/* ---- Metadata ---- */

static bool is_replaced(struct phi_str key) {
    static const char *const replaced[] = {"general.file_type", "general.quantization_version", "split.no", "split.count",
                                           "split.tensors.count"};
    for (size_t i = 0; i < sizeof replaced / sizeof *replaced; i++)
        if (is(key, replaced[i])) return true;
    static const char of_imatrix[] = "quantize.imatrix.";
    return key.n > sizeof of_imatrix - 1 && memcmp(key.s, of_imatrix, sizeof of_imatrix - 1) == 0;
}

static void write_keys(const struct phi_quantize_plan *p, struct phi_gguf_writer *w) {
    const struct phi_quantize_options *o = p->options;
    for (uint64_t i = 0; i < p->in->n_kv; i++)
        if (!is_replaced(p->in->kv[i].key)) phi_gguf_write_kv(w, &p->in->kv[i]);
    phi_gguf_write_u32(w, "general.quantization_version", 2);
    phi_gguf_write_u32(w, "general.file_type", o->mix->file_type);
    if (!o->imatrix) return;
    struct phi_imatrix_info info;
    phi_imatrix_get_info(o->imatrix, &info);
    if (o->imatrix_name) phi_gguf_write_str(w, "quantize.imatrix.file", o->imatrix_name, strlen(o->imatrix_name));
    if (info.dataset.n) phi_gguf_write_str(w, "quantize.imatrix.dataset", info.dataset.s, (size_t)info.dataset.n);
    phi_gguf_write_u32(w, "quantize.imatrix.entries_count", (uint32_t)info.n_entry);
    if (info.n_chunk && info.n_chunk <= UINT32_MAX)
        phi_gguf_write_u32(w, "quantize.imatrix.chunks_count", (uint32_t)info.n_chunk);
}

static int make_header(struct phi_quantize_plan *p, phi_error *err) {
    struct phi_gguf_writer w = {.alignment = p->alignment};
    write_keys(p, &w);
    for (uint64_t i = 0; i < p->in->n_tensor; i++) {
        const struct phi_gguf_tensor *t = &p->in->tensor[i];
        phi_gguf_write_tensor(&w, t->name.s, (size_t)t->name.n, p->type[i], t->n_dim, t->dim);
    }
    int status = phi_gguf_write_header(&w, &p->header, err);
    p->file_bytes = p->header.n + w.data_bytes;
    p->tensor_bytes = w.tensor_bytes;
    phi_gguf_write_close(&w);
    return status;
}

int phi_quantize_plan(const struct phi_gguf *in, const struct phi_quantize_options *options, struct phi_quantize_plan *plan,
                      phi_error *err) {
    memset(plan, 0, sizeof *plan);
    plan->in = in;
    plan->options = options;
    plan->alignment = in->alignment;
    if (in->n_tensor == 0) return phi_file_fail(in->file.path, err, PHI_MODEL, "has no tensors, only a vocabulary");
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers are what is counted */
    plan->type = phi_alloc((size_t)in->n_tensor, sizeof *plan->type);
    if (!plan->type) return phi_fail(err, PHI_MEMORY, "not enough memory for the list of tensors");
    int status = choose_all(plan, err);
    return status ? status : make_header(plan, err);
}

void phi_quantize_close(struct phi_quantize_plan *plan) {
    phi_free((void *)plan->type);
    phi_free(plan->header.data);
    memset(plan, 0, sizeof *plan);
}

/* ---- The work ---- */

static int copy_tensor(const struct phi_encoding *c, uint64_t n_bytes, phi_error *err) {
    enum { STEP = 16 << 20 };
    for (uint64_t at = 0, n; at < n_bytes; at += n) {
        n = n_bytes - at < STEP ? n_bytes - at : STEP;
        int status = c->calls->write(c->calls->user, c->data + at, (size_t)n, err);
        if (status) return status;
    }
    return PHI_OK;
}

static int write_tensor(const struct phi_quantize_plan *p, uint64_t i, struct phi_encoding *c, struct phi_encoder *e, phi_error *err) {
    const struct phi_gguf_tensor *t = &p->in->tensor[i];
    static uint8_t zero[65536]; /* not const: then they would be in the file */
    struct phi_gguf_writer w = {.alignment = p->alignment};
    c->name = t->name.s;
    c->n_name = (size_t)t->name.n;
    c->from = t->type;
    c->to = p->type[i];
    c->data = t->data;
    c->n = t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3];
    c->n_col = t->dim[0];
    c->weight = NULL;
    int status = phi_encode_tell(c, 0, err);
    if (!status && c->to == c->from) {
        status = copy_tensor(c, t->n_bytes, err);
    } else if (!status) {
        if (p->options->imatrix) status = phi_imatrix_find(p->options->imatrix, c->name, c->n_name, c->n_col, &c->weight, err);
        if (status >= 0) status = phi_encode(e, c, err);
    }
    c->before += c->n;
    size_t gap = phi_gguf_write_gap(&w, phi_gguf_tensor_bytes(c->to, t->dim));
    return status || i + 1 == p->in->n_tensor || !gap ? status : c->calls->write(c->calls->user, zero, gap, err);
}

int phi_quantize_write(const struct phi_quantize_plan *plan, int n_thread, const struct phi_encode_calls *calls, phi_error *err) {
    struct phi_encoding c = {.calls = calls, .total = plan->in->n_params};
    struct phi_encoder *e = NULL;
    int status = phi_encoder_open(n_thread, &e, err);
    if (!status) status = calls->write(calls->user, plan->header.data, plan->header.n, err);
    for (uint64_t i = 0; i < plan->in->n_tensor && !status; i++) status = write_tensor(plan, i, &c, e, err);
    phi_encoder_close(e);
    return status;
}
