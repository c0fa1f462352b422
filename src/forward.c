/* The forward pass of Phi3ForCausalLM over n tokens, prefill and decode alike:
 *
 *   h = embedding[ids]
 *   each layer:  x = rms_norm(h, attn_norm)
 *                q, k, v = Wq x, Wk x, Wv x;  rotate q, k;  k, v -> cache
 *                h = h + Wo attention(q, cache)
 *                x = rms_norm(h, ffn_norm)
 *                h = h + Wdown (silu(Wgate x) * (Wup x))
 *   logits = Whead rms_norm(h, output_norm)
 *
 * Each line is a job of the team, cut into chunks that no other chunk's result depends on. */
#include "limits.h"
#include "rope.h"
#include "session.h"
#include "quant/bits.h"

#include <string.h>

/* Weight rows in a chunk: a multiple of what levels keep in the cache at once; most of them where memory is the limit. To cut
 * the last chunks of a prompt's job by tokens, too, gained nothing, nor on a core that is busy with something else. */
enum { ROWS = 96, MOST_ROWS = PHI_FFN_CHUNK };

struct pass {
    struct phi_session *s;
    const struct phi_layer *layer;
    int index;    /* of the layer */
    int n;        /* tokens */
    size_t first; /* position of the first */
    int n_span;   /* of one token's attention: spans of blocks that a KV head's keys are cut into */

    /* of the job at hand */
    const float *norm, *norm_in;
    unsigned kinds;
    const struct phi_mat *w;
    const struct phi_acts *x;
};

static int chunks(int n, int size) {
    return (n + size - 1) / size;
}

static int least(int a, int b) {
    return a < b ? a : b;
}

static int threads(const struct pass *p) {
    return p->n == 1 ? p->s->n_threads : p->s->n_threads_batch;
}

static void run(struct pass *p, phi_team_fn *fn, int n_chunk) {
    phi_team_run(p->s->team, threads(p), fn, p, n_chunk);
}

/* Shows columns [at, at + n_col) of what w multiplies. */
static void observe(const struct pass *p, const struct phi_mat *w, int at, int n_col, const float *x, size_t stride) {
    const struct phi_observer *o = p->s->observer;
    if (o) o->input(o->user, w, at, n_col, p->n, x, stride);
}

static void observe_all(const struct pass *p, const struct phi_mat *w, const float *x) {
    observe(p, w, 0, w->cols, x, (size_t)w->cols);
}

/* Rows of a matrix in a chunk. Kernels fetch the rows that follow in a chunk, so that with few tokens, when memory is the
 * limit, its end costs time: as many rows as leave each thread four chunks. */
static int rows_in_chunk(const struct pass *p, int rows) {
    int n = rows / (4 * threads(p)) / ROWS * ROWS;
    return p->n > 8 || n < ROWS ? ROWS : least(n, MOST_ROWS);
}

/* chunk = token: the normalised input of matrices, rounded as they ask for */
static void norm_token(void *arg, int t, int thread) {
    struct pass *p = arg;
    struct phi_session *s = p->s;
    int n = s->model->n_embd;
    float *x = s->in.kind[PHI_ACT_F32].f + (size_t)t * (size_t)n;
    (void)thread;
    s->kernels.rms_norm(p->norm_in + (size_t)t * (size_t)n, p->norm, x, n, s->model->norm_eps);
    phi_quantize(s, &s->in, p->kinds, t, 0, n, x);
}

static void norm(struct pass *p, const float *weight, const float *in, unsigned kinds, int n) {
    p->norm = weight;
    p->norm_in = in;
    p->kinds = kinds;
    run(p, norm_token, n);
}

/* chunk = rows of Wq, then of Wk, then of Wv */
static void qkv_rows(void *arg, int chunk, int thread) {
    struct pass *p = arg;
    struct phi_session *s = p->s;
    const struct phi_mat *mats[3] = {&p->layer->wq, &p->layer->wk, &p->layer->wv};
    struct phi_scratch scratch = phi_thread_scratch(s, thread);
    int offset = 0, i = 0, size = rows_in_chunk(p, p->layer->wq.rows);
    for (; i < 2 && chunk >= chunks(mats[i]->rows, size); i++) {
        chunk -= chunks(mats[i]->rows, size);
        offset += mats[i]->rows;
    }
    int row = chunk * size, n_row = least(size, mats[i]->rows - row);
    int width = p->layer->wq.rows + 2 * p->layer->wk.rows;
    phi_matmul(s, mats[i], row, n_row, &s->in, p->n, s->qkv + offset + row, (size_t)width, &scratch);
}

/* Pairs 2i, 2i+1 of a head to i, i + half, where the rotation expects them. */
static void deinterleave(float *x, int half, float *scratch) {
    memcpy(scratch, x, 2 * (size_t)half * sizeof *x);
    for (int i = 0; i < half; i++) {
        x[i] = scratch[2 * i];
        x[i + half] = scratch[2 * i + 1];
    }
}

/* token = index in the pass */
static void rotate(const struct phi_session *s, float *x, int token, float *scratch) {
    int half = s->model->n_rot / 2;
    size_t at = (size_t)token * (size_t)half;
    if (s->model->member->interleaved) deinterleave(x, half, scratch);
    s->kernels.rope(x, s->rope_cos + at, s->rope_sin + at, half);
}

/* Rotate the keys of KV head g, put keys and values into the cache. */
static void put_head(const struct pass *p, int g, const struct phi_scratch *scratch) {
    const struct phi_session *s = p->s;
    const struct phi_model *m = s->model;
    int hd = m->head_dim;
    size_t width = (size_t)(m->n_head + 2 * m->n_head_kv) * (size_t)hd;
    phi_cache_begin(s, p->index, g);
    for (int t = 0; t < p->n; t++) {
        float *k = s->qkv + (size_t)t * width + (size_t)((m->n_head + g) * hd);
        float *v = k + (size_t)(m->n_head_kv * hd);
        rotate(s, k, t, scratch->out);
        phi_cache_put(s, p->index, g, p->first + (size_t)t, k, v, scratch);
    }
}

/* chunk = KV head */
static void put_keys(void *arg, int g, int thread) {
    struct pass *p = arg;
    struct phi_scratch scratch = phi_thread_scratch(p->s, thread);
    put_head(p, g, &scratch);
}

/* Queries that share a KV head go together: heads of one token, or of several. */
static int tile_heads(const struct phi_model *m) {
    return least(m->n_head / m->n_head_kv, PHI_QUERY_TILE);
}

static int tile_tokens(const struct phi_model *m) {
    return PHI_QUERY_TILE / tile_heads(m);
}

/* Tiles that make up a KV head's query heads. */
static int tiles_per_group(const struct phi_model *m) {
    return chunks(m->n_head / m->n_head_kv, tile_heads(m));
}

/* Query heads of tile `tile` of KV head `group`: the first, and how many. */
static int tile_first(const struct phi_model *m, int group, int tile) {
    return group * (m->n_head / m->n_head_kv) + tile * tile_heads(m);
}

static int tile_size(const struct phi_model *m, int tile) {
    return least(tile_heads(m), m->n_head / m->n_head_kv - tile * tile_heads(m));
}

/* Heads from `head` on of tokens t0 .. t0 + tokens - 1, rotated: scratch->query[tokens][heads][head_dim]. */
static void load_queries(const struct pass *p, int head, int heads, int t0, int tokens, const struct phi_scratch *scratch) {
    const struct phi_session *s = p->s;
    const struct phi_model *m = s->model;
    int hd = m->head_dim;
    size_t width = (size_t)(m->n_head + 2 * m->n_head_kv) * (size_t)hd;
    for (int t = 0; t < tokens; t++) {
        float *q = scratch->query + t * heads * hd;
        memcpy(q, s->qkv + (size_t)(t0 + t) * width + (size_t)(head * hd), (size_t)(heads * hd) * sizeof *q);
        for (int i = 0; i < heads; i++) rotate(s, q + i * hd, t0 + t, scratch->out);
    }
}

/* Tile `tile` of KV head `group`, tokens from t0 on. */
static void attend(const struct pass *p, int group, int tile, int t0, struct phi_scratch *scratch) {
    struct phi_session *s = p->s;
    const struct phi_model *m = s->model;
    int hd = m->head_dim, head = tile_first(m, group, tile);
    int heads = tile_size(m, tile), tokens = least(tile_tokens(m), p->n - t0);
    size_t bytes = (size_t)(heads * hd) * sizeof(float), of_head = (size_t)head * (size_t)hd;
    size_t out_width = (size_t)m->n_head * (size_t)hd;
    load_queries(p, head, heads, t0, tokens, scratch);
    phi_attention(s, p->index, group, p->first + (size_t)t0, tokens * heads, heads, scratch);
    for (int t = 0; t < tokens; t++)
        memcpy(s->attended.kind[PHI_ACT_F32].f + (size_t)(t0 + t) * out_width + of_head,
               scratch->out + t * heads * hd, bytes);
}

/* chunk = a tile of queries, the last tokens first: they take longest */
static void attend_tile(void *arg, int chunk, int thread) {
    struct pass *p = arg;
    const struct phi_model *m = p->s->model;
    struct phi_scratch scratch = phi_thread_scratch(p->s, thread);
    int per_head = tiles_per_group(m), per_token = m->n_head_kv * per_head, tile = chunk % per_token;
    int t0 = (chunks(p->n, tile_tokens(m)) - 1 - chunk / per_token) * tile_tokens(m);
    attend(p, tile / per_head, tile % per_head, t0, &scratch);
}

/* chunk = KV head */
static void commit(void *arg, int g, int thread) {
    struct pass *p = arg;
    (void)thread;
    phi_cache_commit(p->s, p->index, g, p->n);
}

/* chunk = a span of blocks of keys of a KV head, of a pass with one token: all of the above without a join. Only the last span
 * sees the token's own key; who ends last folds the parts of all. */
static void attend_span(void *arg, int chunk, int thread) {
    struct pass *p = arg;
    struct phi_session *s = p->s;
    const struct phi_model *m = s->model;
    struct phi_scratch scratch = phi_thread_scratch(s, thread);
    int g = chunk / p->n_span, span = chunk % p->n_span, n_q = m->n_head / m->n_head_kv, hd = m->head_dim;
    size_t n = phi_attention_seen(s, p->first), n_span = (size_t)p->n_span, first = n * (size_t)span / n_span;
    bool last = span == p->n_span - 1;
    if (last) put_head(p, g, &scratch);
    for (int tile = 0; tile < tiles_per_group(m); tile++) {
        int head = tile_first(m, g, tile), heads = tile_size(m, tile);
        load_queries(p, head, heads, 0, 1, &scratch);
        phi_attention_blocks(s, p->index, g, head, heads, p->first, first, n * (size_t)(span + 1) / n_span, &scratch);
    }
    if (last) phi_cache_commit(s, p->index, g, 1);
    if (atomic_fetch_add_explicit(&s->parts_done[g], 1, memory_order_acq_rel) + 1 < p->n_span) return;
    atomic_store_explicit(&s->parts_done[g], 0, memory_order_relaxed);
    for (int head = g * n_q; head < (g + 1) * n_q; head++) {
        phi_attention_fold(s, head, p->first, &scratch);
        memcpy(s->attended.kind[PHI_ACT_F32].f + head * hd, scratch.out, (size_t)hd * sizeof(float));
    }
}

/* As many spans as give each thread eight chunks, where there are so many blocks. */
static int spans(const struct pass *p) {
    size_t n = phi_attention_seen(p->s, p->first);
    int wanted = chunks(8 * threads(p), p->s->model->n_head_kv);
    return n < (size_t)wanted ? (int)n : wanted;
}

static void attention(struct pass *p) {
    const struct phi_model *m = p->s->model;
    if (p->n == 1) {
        p->n_span = spans(p);
        run(p, attend_span, m->n_head_kv * p->n_span);
        return;
    }
    run(p, put_keys, m->n_head_kv);
    run(p, attend_tile, m->n_head_kv * tiles_per_group(m) * chunks(p->n, tile_tokens(m)));
    if (phi_cache_is_ring(p->s)) run(p, commit, m->n_head_kv);
}

/* chunk = token */
static void round_attended(void *arg, int t, int thread) {
    struct pass *p = arg;
    struct phi_session *s = p->s;
    int n = p->layer->wo.cols;
    (void)thread;
    phi_quantize(s, &s->attended, phi_mat_kinds(&p->layer->wo), t, 0, n,
                 s->attended.kind[PHI_ACT_F32].f + (size_t)t * (size_t)n);
}

/* chunk = rows of a matrix whose result is added to the residual stream */
static void add_rows(void *arg, int chunk, int thread) {
    struct pass *p = arg;
    struct phi_session *s = p->s;
    struct phi_scratch scratch = phi_thread_scratch(s, thread);
    size_t width = (size_t)s->model->n_embd;
    int size = rows_in_chunk(p, p->w->rows), row = chunk * size, n_row = least(size, p->w->rows - row);
    phi_matmul(s, p->w, row, n_row, p->x, p->n, s->out + row, width, &scratch);
    for (int t = 0; t < p->n; t++)
        s->kernels.add(s->h + (size_t)t * width + row, s->out + (size_t)t * width + row, n_row);
}

static void add_matmul(struct pass *p, const struct phi_mat *w, const struct phi_acts *x) {
    p->w = w;
    p->x = x;
    run(p, add_rows, chunks(w->rows, rows_in_chunk(p, w->rows)));
}

/* chunk = columns of the hidden layer: gate, up, SwiGLU, rounded for Wdown */
static void hidden_columns(void *arg, int chunk, int thread) {
    struct pass *p = arg;
    struct phi_session *s = p->s;
    struct phi_scratch scratch = phi_thread_scratch(s, thread);
    int row = chunk * PHI_FFN_CHUNK, n_row = least(PHI_FFN_CHUNK, p->layer->gate.rows - row);
    phi_matmul(s, &p->layer->gate, row, n_row, &s->in, p->n, scratch.gate, PHI_FFN_CHUNK, &scratch);
    phi_matmul(s, &p->layer->up, row, n_row, &s->in, p->n, scratch.up, PHI_FFN_CHUNK, &scratch);
    for (int t = 0; t < p->n; t++) {
        float *g = scratch.gate + t * PHI_FFN_CHUNK, *u = scratch.up + t * PHI_FFN_CHUNK;
        s->kernels.swiglu(g, u, g, n_row);
        phi_quantize(s, &s->hidden, phi_mat_kinds(&p->layer->down), t, row, n_row, g);
    }
    observe(p, &p->layer->down, row, n_row, scratch.gate, PHI_FFN_CHUNK);
}

/* chunk = fewer columns, for one token: small chunks end together; it is rounded at once when all are done */
static void hidden_token(void *arg, int chunk, int thread) {
    struct pass *p = arg;
    struct phi_session *s = p->s;
    struct phi_scratch scratch = phi_thread_scratch(s, thread);
    int size = rows_in_chunk(p, p->layer->gate.rows), row = chunk * size, n_row = least(size, p->layer->gate.rows - row);
    phi_matmul(s, &p->layer->gate, row, n_row, &s->in, 1, scratch.gate, PHI_FFN_CHUNK, &scratch);
    phi_matmul(s, &p->layer->up, row, n_row, &s->in, 1, scratch.up, PHI_FFN_CHUNK, &scratch);
    s->kernels.swiglu(scratch.gate, scratch.up, s->hidden_row + row, n_row);
}

static void hidden(struct pass *p) {
    struct phi_session *s = p->s;
    int n = s->model->n_ff;
    if (p->n > 1) {
        run(p, hidden_columns, chunks(n, PHI_FFN_CHUNK));
        return;
    }
    run(p, hidden_token, chunks(n, rows_in_chunk(p, n)));
    observe_all(p, &p->layer->down, s->hidden_row);
    phi_quantize(s, &s->hidden, phi_mat_kinds(&p->layer->down), 0, 0, n, s->hidden_row);
}

static void layer(struct pass *p) {
    struct phi_session *s = p->s;
    const struct phi_layer *l = p->layer;
    norm(p, l->attn_norm, s->h, phi_mat_kinds(&l->wq) | phi_mat_kinds(&l->wk) | phi_mat_kinds(&l->wv), p->n);
    observe_all(p, &l->wq, s->in.kind[PHI_ACT_F32].f);
    observe_all(p, &l->wk, s->in.kind[PHI_ACT_F32].f);
    observe_all(p, &l->wv, s->in.kind[PHI_ACT_F32].f);
    int size = rows_in_chunk(p, l->wq.rows);
    run(p, qkv_rows, chunks(l->wq.rows, size) + 2 * chunks(l->wk.rows, size));
    attention(p);
    run(p, round_attended, p->n);
    observe_all(p, &l->wo, s->attended.kind[PHI_ACT_F32].f);
    add_matmul(p, &l->wo, &s->attended);
    norm(p, l->ffn_norm, s->h, phi_mat_kinds(&l->gate) | phi_mat_kinds(&l->up), p->n);
    observe_all(p, &l->gate, s->in.kind[PHI_ACT_F32].f);
    observe_all(p, &l->up, s->in.kind[PHI_ACT_F32].f);
    hidden(p);
    add_matmul(p, &l->down, &s->hidden);
}

bool phi_all_finite(const float *x, size_t n) {
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t u = f32_bits(x[i]) & 0x7fffffffu;
        bad |= u + 0x00800000u; /* an exponent of all ones carries into the sign */
    }
    return !(bad >> 31);
}

/* Among rows 0 .. culprit->row - 1 of h the first that is not finite becomes the culprit, in this layer. */
static void accuse(const struct phi_session *s, int layer, struct phi_culprit *culprit) {
    size_t width = (size_t)s->model->n_embd;
    for (int t = 0; t < culprit->row; t++)
        if (!phi_all_finite(s->h + (size_t)t * width, width)) *culprit = (struct phi_culprit){t, layer};
}

/* Whether a layer's jobs take longer than the time for which a system leaves a core to a thread: then each thread should stay on
 * its core, while short jobs of the caller, waited for by all others, had better move to a core that is free. */
static bool has_long_jobs(const struct phi_model *m, int n) {
    enum { JOBS = 4 };             /* of a layer, that multiply matrices */
    static const double LONG = 2e9; /* operations of a job on average: some 5 to 20 ms */
    return phi_limits_operations(m) * n / (JOBS * m->n_layer) >= LONG;
}

void phi_forward(struct phi_session *s, int n, struct phi_culprit *culprit) {
    const struct phi_model *m = s->model;
    struct pass p = {.s = s, .n = n, .first = s->n_past};
    bool stay = has_long_jobs(m, n);
    if (stay) phi_team_stay(s->team, threads(&p));
    for (int t = 0; t < n; t++)
        phi_type_decode_row(m->embedding.type,
                            m->embedding.data + (size_t)s->ids[s->n_past + (size_t)t] * m->embedding.row_bytes,
                            s->h + (size_t)t * (size_t)m->n_embd, (size_t)m->n_embd);
    if (culprit) {
        culprit->row = n;
        accuse(s, -1, culprit);
    }
    s->stage_base = s->n_past / PHI_KEY_GROUP * PHI_KEY_GROUP;
    phi_rope_fill(m, s->rope_list, p.first, n, s->rope_cos, s->rope_sin);
    for (p.index = 0; p.index < m->n_layer; p.index++) {
        p.layer = &m->layer[p.index];
        layer(&p);
        if (culprit) accuse(s, p.index, culprit);
    }
    if (stay) phi_team_stay(s->team, 0);
}

/* chunk = rows of the head */
static void head_rows(void *arg, int chunk, int thread) {
    struct pass *p = arg;
    struct phi_session *s = p->s;
    struct phi_scratch scratch = phi_thread_scratch(s, thread);
    const struct phi_mat *w = &s->model->head;
    int size = rows_in_chunk(p, w->rows), row = chunk * size, n_row = least(size, w->rows - row);
    phi_matmul(s, w, row, n_row, &s->in, p->n, s->logits + row, (size_t)w->rows, &scratch);
}

void phi_forward_head(struct phi_session *s, int first, int n) {
    const struct phi_model *m = s->model;
    struct pass p = {.s = s, .n = n};
    norm(&p, m->output_norm, s->h + (size_t)first * (size_t)m->n_embd, phi_mat_kinds(&m->head), n);
    observe_all(&p, &m->head, s->in.kind[PHI_ACT_F32].f);
    run(&p, head_rows, chunks(m->head.rows, rows_in_chunk(&p, m->head.rows)));
}
