/* Counts a pass's bytes and operations, and measures the machine on the session's own threads: reading goes over the
 * model's mapping, in chunks that the threads take in order, as decoding does. Computes nothing of the model. */
#include "limits.h"
#include "rope.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum { N_MAT = 7, CHUNK = 1 << 20 };

static void layer_matrices(const struct phi_layer *l, const struct phi_mat *out[N_MAT]) {
    const struct phi_mat *all[N_MAT] = {&l->wq, &l->wk, &l->wv, &l->wo, &l->gate, &l->up, &l->down};
    memcpy(out, all, sizeof all);
}

static uint64_t mat_bytes(const struct phi_mat *w) {
    return (uint64_t)w->rows * w->row_bytes;
}

uint64_t phi_limits_weight_bytes(const struct phi_model *m) {
    uint64_t norms = (2 * (uint64_t)m->n_layer + 1) * (uint64_t)m->n_embd * sizeof(float);
    uint64_t sum = norms + mat_bytes(&m->head);
    for (int i = 0; i < m->n_layer; i++) {
        const struct phi_mat *mat[N_MAT];
        layer_matrices(&m->layer[i], mat);
        for (int k = 0; k < N_MAT; k++) sum += mat_bytes(mat[k]);
    }
    return sum;
}

double phi_limits_operations(const struct phi_model *m) {
    double sum = 0;
    for (int i = 0; i < m->n_layer; i++) {
        const struct phi_mat *mat[N_MAT];
        layer_matrices(&m->layer[i], mat);
        for (int k = 0; k < N_MAT; k++) sum += 2.0 * mat[k]->rows * mat[k]->cols;
    }
    return sum;
}

uint64_t phi_limits_cache_bytes(const struct phi_session *s, size_t position, size_t n) {
    int hd = s->model->head_dim;
    size_t rows = position + n - phi_attention_first(s, position);
    return (uint64_t)s->model->n_layer * (uint64_t)s->model->n_head_kv *
           (phi_cache_bytes(s->type_k, hd) + phi_cache_bytes(s->type_v, hd)) * rows;
}

bool phi_limits_rewinds(const struct phi_session *s, size_t n, size_t end) {
    bool kept = !s->window || end <= (size_t)s->window; /* the ring has not come round */
    return kept && phi_rope_list(s->model, n ? n : 1) == phi_rope_list(s->model, end);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- Reading ---- */

struct sweep {
    const struct phi_mat *mat; /* the one being read */
    atomic_ullong sum;
};

/* Every byte, in as many independent streams of additions as hide the latency of a load from the first level. */
static uint64_t read_bytes(const uint8_t *p, size_t n) {
    uint64_t sum[8] = {0};
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        uint64_t v[8];
        __builtin_prefetch(p + i + 1024);
        memcpy(v, p + i, sizeof v);
        for (int k = 0; k < 8; k++) sum[k] += v[k];
    }
    for (; i < n; i++) sum[0] += p[i];
    return sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
}

static void read_chunk(void *arg, int chunk, int thread) {
    struct sweep *w = arg;
    size_t size = (size_t)mat_bytes(w->mat), at = (size_t)chunk * CHUNK;
    (void)thread;
    uint64_t sum = read_bytes(w->mat->data + at, size - at < CHUNK ? size - at : CHUNK);
    atomic_fetch_add_explicit(&w->sum, sum, memory_order_relaxed);
}

static void read_matrix(const struct phi_session *s, struct sweep *w, const struct phi_mat *mat) {
    w->mat = mat;
    phi_team_run(s->team, s->n_threads, read_chunk, w, (int)((mat_bytes(mat) + CHUNK - 1) / CHUNK));
}

double phi_limits_read(const struct phi_session *s, uint64_t *sum) {
    struct sweep w = {.mat = NULL};
    double begin = now();
    for (int i = 0; i < s->model->n_layer; i++) {
        const struct phi_mat *mat[N_MAT];
        layer_matrices(&s->model->layer[i], mat);
        for (int k = 0; k < N_MAT; k++) read_matrix(s, &w, mat[k]);
    }
    read_matrix(s, &w, &s->model->head);
    *sum = atomic_load(&w.sum);
    return now() - begin;
}

/* ---- Multiplying ---- */

struct burst {
    uint64_t (*peak)(void);
    atomic_ullong done;
};

static void peak_chunk(void *arg, int chunk, int thread) {
    struct burst *b = arg;
    (void)chunk, (void)thread;
    atomic_fetch_add_explicit(&b->done, b->peak(), memory_order_relaxed);
}

double phi_limits_peak(const struct phi_session *s) {
    enum { BURSTS = 100 }; /* for each thread: some 10 ms */
    struct burst b = {.peak = s->kernels.peak};
    double begin = now();
    phi_team_run(s->team, s->n_threads_batch, peak_chunk, &b, s->n_threads_batch * BURSTS);
    double seconds = now() - begin;
    return seconds > 0 ? (double)atomic_load(&b.done) / seconds : 0;
}
