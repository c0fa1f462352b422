/* Attention of one query head over the cache, in blocks of 256 keys at absolute positions: each block gives its own
 * largest score, sum and weighted values, and the blocks are folded from left to right. How a prompt was cut into
 * passes, and who computes which block, can then change no bit. A prompt's queries share the blocks that they see and fold
 * each at once; one token's blocks may go to several threads, so their parts wait until all are there. */
#include "session.h"
#include "kernels/floats.h"

#include <string.h>

size_t phi_attention_first(const struct phi_session *s, size_t position) {
    size_t window = (size_t)s->window;
    return window && position >= window ? position - window + 1 : 0;
}

/* Keys of the block at `block` that the query at `position` sees: first <= j < end; none if first >= end. */
static int first_in_block(const struct phi_session *s, size_t position, size_t block) {
    size_t from = phi_attention_first(s, position);
    return from <= block ? 0 : from - block < PHI_KEY_BLOCK ? (int)(from - block) : PHI_KEY_BLOCK;
}

static int end_in_block(size_t position, size_t block) {
    return position < block ? 0 : position - block < PHI_KEY_BLOCK ? (int)(position - block) + 1 : PHI_KEY_BLOCK;
}

/* Queries of one KV head, positions ascending. */
struct tile {
    const struct phi_session *s;
    struct phi_scratch *scratch;
    int layer, group;
    size_t position;                                    /* of query 0 */
    int n_query, per_token;                             /* query i stands at position + i / per_token */
    float largest[PHI_QUERY_TILE], sum[PHI_QUERY_TILE]; /* sum 0: no block yet */
};

static size_t position_of(const struct tile *t, int i) {
    return t->position + (size_t)(i / t->per_token);
}

static void add_values(const struct tile *t, size_t block, int q0, int n_query, int first, int end) {
    const struct phi_session *s = t->s;
    int hd = s->model->head_dim;
    while (first < end) {
        struct phi_run run = phi_cache_run(s, t->layer, t->group, block + (size_t)first);
        int n = run.n < (size_t)(end - first) ? (int)run.n : end - first;
        s->kernels.values[s->type_v](&(struct phi_values){
            .p = t->scratch->scores + q0 * PHI_KEY_BLOCK + first,
            .ld_p = PHI_KEY_BLOCK,
            .n_query = n_query,
            .hd = hd,
            .first = 0,
            .end = n,
            .value = run.values,
            .o = t->scratch->block_out + q0 * hd,
            .ld_o = (size_t)hd,
        });
        first += n;
    }
}

/* Scores of queries q0 .. q1-1 with the keys first <= j < end of the block; both multiples of a group. */
static void score_keys(const struct tile *t, size_t block, int q0, int q1, int first, int end) {
    const struct phi_session *s = t->s;
    const struct phi_scratch *scratch = t->scratch;
    int hd = s->model->head_dim;
    while (first < end) {
        struct phi_run run = phi_cache_run(s, t->layer, t->group, block + (size_t)first);
        int n = run.n < (size_t)(end - first) ? (int)run.n : end - first;
        s->kernels.scores[s->type_k](&(struct phi_scores){
            .q = scratch->query + q0 * hd,
            .q8 = scratch->query8 + q0 * hd,
            .q8_scale = scratch->query8_scale + q0 * (hd / 32),
            .n_query = q1 - q0,
            .hd = hd,
            .n_group = n / PHI_KEY_GROUP,
            .key = run.keys,
            .scale = 1.0f / sqrtf((float)hd),
            .score = scratch->scores + q0 * PHI_KEY_BLOCK + first,
            .ld_score = PHI_KEY_BLOCK,
        });
        first += n;
    }
}

/* Weighted values of queries q0 .. q1-1: what all of them see goes through the kernel together, the rest one by one.
 * Keys ascend for each query. */
static void weigh_values(const struct tile *t, size_t block, int q0, int q1) {
    const struct phi_session *s = t->s;
    int common_first = first_in_block(s, position_of(t, q1 - 1), block),
        common_end = end_in_block(position_of(t, q0), block);
    if (common_first > common_end) common_first = common_end;
    for (int i = q0; i < q1; i++) {
        int first = first_in_block(s, position_of(t, i), block);
        add_values(t, block, i, 1, first, common_first);
    }
    add_values(t, block, q0, q1 - q0, common_first, common_end);
    for (int i = q0; i < q1; i++) {
        int first = first_in_block(s, position_of(t, i), block), end = end_in_block(position_of(t, i), block);
        add_values(t, block, i, 1, first > common_end ? first : common_end, end);
    }
}

/* The block's part of queries q0 .. q1-1, each of which sees a key of it: scratch->block_out, largest scores, sums. */
static void block_part(const struct tile *t, size_t block, int q0, int q1, float *m_b, float *l_b) {
    const struct phi_session *s = t->s;
    const struct phi_kernels *k = &s->kernels;
    struct phi_scratch *scratch = t->scratch;
    int hd = s->model->head_dim;
    int first = first_in_block(s, position_of(t, q0), block), end = end_in_block(position_of(t, q1 - 1), block);
    score_keys(t, block, q0, q1, first / PHI_KEY_GROUP * PHI_KEY_GROUP,
               (end + PHI_KEY_GROUP - 1) / PHI_KEY_GROUP * PHI_KEY_GROUP);
    for (int i = q0; i < q1; i++)
        k->softmax(scratch->scores + i * PHI_KEY_BLOCK, first_in_block(s, position_of(t, i), block),
                   end_in_block(position_of(t, i), block), &m_b[i], &l_b[i]);
    memset(scratch->block_out + q0 * hd, 0, (size_t)((q1 - q0) * hd) * sizeof(float));
    weigh_values(t, block, q0, q1);
}

/* The next block's values o, largest score and sum, folded into query i's so far. */
static void fold(struct tile *t, int i, const float *o, float m_b, float l_b) {
    int hd = t->s->model->head_dim;
    float *out = t->scratch->out + i * hd;
    if (t->sum[i] == 0) {
        memcpy(out, o, (size_t)hd * sizeof *o);
        t->largest[i] = m_b;
        t->sum[i] = l_b;
        return;
    }
    float top = t->largest[i] > m_b ? t->largest[i] : m_b;
    float a = floats_exp(t->largest[i] - top), c = floats_exp(m_b - top);
    t->sum[i] = fmaf(l_b, c, t->sum[i] * a);
    t->s->kernels.fold(out, o, hd, a, c);
    t->largest[i] = top;
}

static void normalise(struct tile *t) {
    int hd = t->s->model->head_dim;
    for (int i = 0; i < t->n_query; i++)
        for (int d = 0; d < hd; d++) t->scratch->out[i * hd + d] /= t->sum[i];
}

static void round_queries(const struct tile *t) {
    const struct phi_session *s = t->s;
    const struct phi_scratch *scratch = t->scratch;
    int hd = s->model->head_dim;
    if (s->type_k != PHI_CACHE_Q8_0) return;
    for (int i = 0; i < t->n_query; i++)
        s->kernels.quantize_q8_32(scratch->query + i * hd, hd, scratch->query8 + i * hd,
                                  scratch->query8_scale + i * (hd / 32), scratch->query8_sum);
}

static struct tile tile_of(const struct phi_session *s, int layer, int group, size_t position, int n_query, int per_token,
                           struct phi_scratch *scratch) {
    struct tile t = {.s = s,
                     .scratch = scratch,
                     .layer = layer,
                     .group = group,
                     .position = position,
                     .n_query = n_query,
                     .per_token = per_token};
    round_queries(&t);
    return t;
}

void phi_attention(const struct phi_session *s, int layer, int group, size_t position, int n_query, int per_token,
                   struct phi_scratch *scratch) {
    struct tile t = tile_of(s, layer, group, position, n_query, per_token, scratch);
    size_t last = position_of(&t, n_query - 1);
    for (size_t block = phi_attention_first(s, position) / PHI_KEY_BLOCK * PHI_KEY_BLOCK; block <= last;
         block += PHI_KEY_BLOCK) {
        int q0 = 0, q1 = n_query;
        while (end_in_block(position_of(&t, q0), block) == 0) q0++;
        while (first_in_block(s, position_of(&t, q1 - 1), block) == PHI_KEY_BLOCK) q1--;
        if (q0 >= q1) continue;
        float m_b[PHI_QUERY_TILE], l_b[PHI_QUERY_TILE];
        block_part(&t, block, q0, q1, m_b, l_b);
        for (int i = q0; i < q1; i++) fold(&t, i, scratch->block_out + i * s->model->head_dim, m_b[i], l_b[i]);
    }
    normalise(&t);
}

/* ---- One token, in parts: head_dim weighted values, the largest score, the sum of weights ---- */

size_t phi_attention_part_bytes(int head_dim) {
    return ((size_t)head_dim + 2) * sizeof(float);
}

static float *part_of(const struct phi_session *s, int head, size_t block) {
    return s->parts + ((size_t)head * s->part_blocks + block) * ((size_t)s->model->head_dim + 2);
}

size_t phi_attention_seen(const struct phi_session *s, size_t position) {
    return position / PHI_KEY_BLOCK + 1 - phi_attention_first(s, position) / PHI_KEY_BLOCK;
}

size_t phi_attention_most_blocks(int n_ctx, int window) {
    size_t all = ((size_t)n_ctx + PHI_KEY_BLOCK - 1) / PHI_KEY_BLOCK;
    size_t seen = ((size_t)window + PHI_KEY_BLOCK - 2) / PHI_KEY_BLOCK + 1; /* its first key may be a block's last */
    return window && seen < all ? seen : all;
}

void phi_attention_blocks(const struct phi_session *s, int layer, int group, int head, int n_query, size_t position,
                          size_t first, size_t end, struct phi_scratch *scratch) {
    struct tile t = tile_of(s, layer, group, position, n_query, n_query, scratch);
    size_t hd = (size_t)s->model->head_dim, first_seen = phi_attention_first(s, position) / PHI_KEY_BLOCK;
    for (size_t b = first; b < end; b++) {
        float m_b[PHI_QUERY_TILE], l_b[PHI_QUERY_TILE];
        block_part(&t, (first_seen + b) * PHI_KEY_BLOCK, 0, n_query, m_b, l_b);
        for (int i = 0; i < n_query; i++) {
            float *part = part_of(s, head + i, b);
            memcpy(part, scratch->block_out + (size_t)i * hd, hd * sizeof *part);
            part[hd] = m_b[i];
            part[hd + 1] = l_b[i];
        }
    }
}

void phi_attention_fold(const struct phi_session *s, int head, size_t position, struct phi_scratch *scratch) {
    struct tile t = {.s = s, .scratch = scratch, .n_query = 1};
    int hd = s->model->head_dim;
    for (size_t b = 0, n = phi_attention_seen(s, position); b < n; b++) {
        const float *part = part_of(s, head, b);
        fold(&t, 0, part, part[hd], part[hd + 1]);
    }
    normalise(&t);
}
