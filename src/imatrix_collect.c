/* Makes importance matrices: sums the squares of what each weight matrix multiplies. Owns the sums; the text and its
 * chunks are the caller's, the file form is described in imatrix.c, which reads it.
 *
 * A sum is a double that one thread at a time adds to, token by token in the order of the text: it does not depend on
 * how the work was shared out. Matrices of one fused tensor see the same input; the one that begins it counts. */
#include "imatrix.h"
#include "memory.h"
#include "session.h"

#include <stdlib.h>
#include <string.h>

struct slot {
    const struct phi_gguf_tensor *tensor;
    double *sum; /* [cols] */
    uint64_t n_token;
};

struct phi_imatrix_collector {
    phi_session *session;
    struct phi_observer observer;
    bool head;
    struct slot *slot; /* sorted by where the tensor lies */
    size_t n_slot;
    double *sums;
    size_t n_sum;
};

static int by_place(const void *a, const void *b) {
    const uint8_t *p = ((const struct slot *)a)->tensor->data, *q = ((const struct slot *)b)->tensor->data;
    return (p > q) - (p < q);
}

static struct slot *find(const struct phi_imatrix_collector *c, const uint8_t *data) {
    for (size_t low = 0, high = c->n_slot; low < high;) {
        size_t middle = low + (high - low) / 2;
        struct slot *s = &c->slot[middle];
        if (s->tensor->data == data) return s;
        if (s->tensor->data > data)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static void add(void *user, const struct phi_mat *w, int at, int n_col, int n, const float *x, size_t stride) {
    struct slot *s = find(user, w->data);
    if (!s) return;
    for (int t = 0; t < n; t++) {
        const float *row = x + (size_t)t * stride;
        for (int i = 0; i < n_col; i++) s->sum[at + i] += (double)row[i] * (double)row[i];
    }
    if (at == 0) s->n_token += (uint64_t)n;
}

/* The tensor that a matrix begins gets a slot. */
static void add_slot(struct phi_imatrix_collector *c, const struct phi_mat *w) {
    const struct phi_gguf *g = &c->session->model->gguf;
    for (uint64_t i = 0; i < g->n_tensor; i++) {
        if (g->tensor[i].data != w->data) continue;
        c->slot[c->n_slot++] = (struct slot){.tensor = &g->tensor[i]};
        c->n_sum += (size_t)w->cols;
    }
}

int phi_imatrix_collect_open(phi_session *session, bool head, struct phi_imatrix_collector **out, phi_error *err) {
    const struct phi_model *m = session->model;
    struct phi_imatrix_collector *c = phi_alloc(1, sizeof *c);
    *out = NULL;
    if (!c) return phi_fail(err, PHI_MEMORY, "not enough memory for the importance matrix");
    c->session = session;
    c->head = head;
    c->slot = phi_alloc((size_t)m->n_layer * 7 + 1, sizeof *c->slot);
    for (int i = 0; c->slot && i < m->n_layer; i++) {
        const struct phi_layer *l = &m->layer[i];
        const struct phi_mat *mats[] = {&l->wq, &l->wk, &l->wv, &l->wo, &l->gate, &l->up, &l->down};
        for (size_t k = 0; k < sizeof mats / sizeof mats[0]; k++) add_slot(c, mats[k]);
    }
    if (c->slot && head) add_slot(c, &m->head);
    c->sums = phi_alloc(c->n_sum + 1, sizeof *c->sums);
    if (!c->slot || !c->sums) {
        phi_imatrix_collect_close(c);
        return phi_fail(err, PHI_MEMORY, "not enough memory for the importance matrix");
    }
    qsort(c->slot, c->n_slot, sizeof *c->slot, by_place);
    for (size_t i = 0, at = 0; i < c->n_slot; at += (size_t)c->slot[i++].tensor->dim[0])
        c->slot[i].sum = c->sums + at;
    c->observer = (struct phi_observer){add, c};
    session->observer = &c->observer;
    *out = c;
    return 0;
}

void phi_imatrix_collect_close(struct phi_imatrix_collector *c) {
    if (!c) return;
    if (c->session->observer == &c->observer) c->session->observer = NULL;
    phi_free(c->slot);
    phi_free(c->sums);
    phi_free(c);
}

static int ignore_row(void *user, size_t position, const float *logits, int n_vocab) {
    (void)user, (void)position, (void)logits, (void)n_vocab;
    return 0;
}

int phi_imatrix_collect(struct phi_imatrix_collector *c, const int32_t *ids, size_t n, phi_progress_fn *progress,
                        void *user, phi_error *err) {
    int status = phi_session_rewind(c->session, 0, err);
    if (status) return status;
    /* the head is computed for every position only where that is asked for */
    if (c->head) return phi_session_eval_logits(c->session, ids, n, ignore_row, NULL, err);
    return phi_session_eval(c->session, ids, n, progress, user, err);
}

/* ---- The file ----------------------------------------------------------------------------------------------------
 */

static int by_name(const void *a, const void *b) {
    const struct phi_str x = (*(const struct slot *const *)a)->tensor->name,
                         y = (*(const struct slot *const *)b)->tensor->name;
    int order = memcmp(x.s, y.s, (size_t)(x.n < y.n ? x.n : y.n));
    return order ? order : (x.n > y.n) - (x.n < y.n);
}

/* One F32 tensor "NAME" suffix of n columns: its place in the table, its data behind the others. */
static void add_tensor(struct phi_gguf_writer *w, struct phi_bytes *data, const struct slot *s, const char *suffix,
                       uint64_t n, const float *x) {
    static const uint8_t zeros[64];
    const struct phi_str name = s->tensor->name;
    const uint64_t dim[4] = {n, 1, 1, 1};
    char full[128];
    size_t n_suffix = strlen(suffix);
    memcpy(full, name.s, (size_t)name.n); /* gguf.c lets no name be longer than 63 bytes */
    memcpy(full + name.n, suffix, n_suffix); /* NOLINT(bugprone-not-null-terminated-result): the length goes along */
    phi_bytes_add(data, zeros, (32 - data->n % 32) % 32);
    phi_bytes_add(data, x,
                  (size_t)phi_gguf_write_tensor(w, full, (size_t)name.n + n_suffix, &phi_types[PHI_F32], 2, dim));
}

int phi_imatrix_collect_encode(const struct phi_imatrix_collector *c, const char *dataset, uint32_t n_chunk,
                               uint32_t chunk_size, struct phi_bytes *out, phi_error *err) {
    struct phi_gguf_writer w = {.alignment = 32};
    struct phi_bytes data = {0};
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers are what is sorted */
    const struct slot **order = phi_alloc(c->n_slot + 1, sizeof *order);
    float *row = phi_alloc(c->n_sum + 1, sizeof *row);
    int status = PHI_MEMORY;
    if (!order || !row) goto out;
    for (size_t i = 0; i < c->n_slot; i++) order[i] = &c->slot[i];
    qsort(order, c->n_slot, sizeof *order, by_name); /* NOLINT(bugprone-sizeof-expression): see above */
    phi_gguf_write_str(&w, "general.type", "imatrix", 7);
    phi_gguf_write_array(&w, "imatrix.datasets", PHI_GGUF_STRING, 1);
    phi_gguf_add_str(&w.kv, dataset, strlen(dataset));
    phi_gguf_write_u32(&w, "imatrix.chunk_count", n_chunk);
    phi_gguf_write_u32(&w, "imatrix.chunk_size", chunk_size);
    for (size_t i = 0; i < c->n_slot; i++) {
        float count = (float)order[i]->n_token;
        uint64_t n = order[i]->tensor->dim[0];
        for (uint64_t k = 0; k < n; k++) row[k] = (float)order[i]->sum[k];
        add_tensor(&w, &data, order[i], ".in_sum2", n, row);
        add_tensor(&w, &data, order[i], ".counts", 1, &count);
    }
    status = phi_gguf_write_header(&w, out, err);
    if (!status) phi_bytes_add(out, data.data, data.n);
    if (!status && (data.failed || out->failed)) status = PHI_MEMORY;
out:
    phi_gguf_write_close(&w);
    phi_free(data.data);
    phi_free(row);
    phi_free(order);
    return status ? phi_fail(err, status, "not enough memory for the importance matrix") : 0;
}
