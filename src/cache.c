/* The keys and values of a session, and where a position's stand. Knows their layouts (kernels.h), not what is
 * computed.
 *
 * Without a window the rows of a head lie in order of position. With one, a position's row is `position mod n_row`, a
 * ring: memory ends at the window and a little more. The new rows of a pass would overwrite what its first tokens
 * still see, so they wait in a stage, which holds the layer in work only, and go into the ring when its attention is
 * done:
 *
 *   ring    | .. | p-2 | p-1 | oldest | .. |            position < stage base
 *   stage   | p' .. p-1 | p | p+1 | .. | p+n-1 |        the pass's tokens p .. p+n-1, from the start of p's group of
 * 16 on
 */
#include "session.h"

#include <string.h>

static size_t round_up(size_t n, size_t to) {
    return (n + to - 1) / to * to;
}

size_t phi_cache_rows(int n_ctx, int window) {
    size_t all = round_up((size_t)n_ctx, PHI_KEY_GROUP);
    size_t ring = round_up((size_t)window + PHI_CACHE_REWIND + PHI_KEY_GROUP - 1, PHI_KEY_GROUP);
    return window && ring < all ? ring : all;
}

bool phi_cache_is_ring(const struct phi_session *s) {
    return s->cache_rows < round_up((size_t)s->n_ctx, PHI_KEY_GROUP);
}

size_t phi_cache_oldest(const struct phi_session *s) {
    size_t end = round_up(s->cache_end, PHI_KEY_GROUP);
    return end > s->cache_rows ? end - s->cache_rows : 0;
}

/* Where head `group` of a layer begins, in rows. */
static size_t base_row(const struct phi_session *s, int layer, int group) {
    return ((size_t)layer * (size_t)s->model->n_head_kv + (size_t)group) * s->cache_rows;
}

struct place {
    char *keys, *values; /* of the group of 16 that holds the position; of the position */
    size_t n;            /* positions from it on that lie together */
};

static struct place find(const struct phi_session *s, int layer, int group, size_t position) {
    size_t key_bytes = phi_cache_bytes(s->type_k, s->model->head_dim);
    size_t value_bytes = phi_cache_bytes(s->type_v, s->model->head_dim);
    size_t row = base_row(s, layer, group), at = position, n = SIZE_MAX;
    char *keys = s->keys, *values = s->values;
    if (phi_cache_is_ring(s) && position >= s->stage_base) {
        keys = s->stage_keys;
        values = s->stage_values;
        row = (size_t)group * s->stage_rows;
        at = position - s->stage_base;
    } else if (phi_cache_is_ring(s)) {
        at = position % s->cache_rows;
        n = s->cache_rows - at < s->stage_base - position ? s->cache_rows - at : s->stage_base - position;
    }
    return (struct place){keys + (row + at / PHI_KEY_GROUP * PHI_KEY_GROUP) * key_bytes,
                          values + (row + at) * value_bytes, n};
}

struct phi_run phi_cache_run(const struct phi_session *s, int layer, int group, size_t position) {
    struct place p = find(s, layer, group, position);
    return (struct phi_run){p.keys, p.values, p.n};
}

struct phi_rows phi_cache_group(const struct phi_session *s, int layer, int group, size_t position) {
    size_t row = base_row(s, layer, group) + position % s->cache_rows;
    return (struct phi_rows){s->keys + row * phi_cache_bytes(s->type_k, s->model->head_dim),
                             s->values + row * phi_cache_bytes(s->type_v, s->model->head_dim)};
}

/* ---- Putting rows in ---- */

/* f16 of the scales of a rounded row */
static void scales_to_f16(const struct phi_session *s, const struct phi_scratch *scratch, uint16_t *to) {
    s->kernels.f16_from_f32(scratch->query8_scale, to, s->model->head_dim / 32);
}

static void put_value(const struct phi_session *s, const float *v, void *row, const struct phi_scratch *scratch) {
    int hd = s->model->head_dim;
    if (s->type_v == PHI_CACHE_F32) memcpy(row, v, (size_t)hd * sizeof *v);
    if (s->type_v == PHI_CACHE_F16) s->kernels.f16_from_f32(v, row, hd);
    if (s->type_v == PHI_CACHE_Q8_0) {
        s->kernels.quantize_q8_32(v, hd, row, scratch->query8_scale, scratch->query8_sum);
        scales_to_f16(s, scratch, (uint16_t *)(void *)((char *)row + hd));
    }
}

/* The key of position i of its group: strided stores, see the layouts in kernels.h. */
static void put_key(const struct phi_session *s, const float *k, void *group, size_t i,
                    const struct phi_scratch *scratch) {
    int hd = s->model->head_dim;
    if (s->type_k == PHI_CACHE_F32) {
        float *to = (float *)group + i;
        for (int d = 0; d < hd; d++) to[d * PHI_KEY_GROUP] = k[d];
    }
    if (s->type_k == PHI_CACHE_F16) {
        uint16_t *to = (uint16_t *)group + i;
        s->kernels.f16_from_f32(k, scratch->half, hd);
        for (int d = 0; d < hd; d++) to[d * PHI_KEY_GROUP] = scratch->half[d];
    }
    if (s->type_k == PHI_CACHE_Q8_0) {
        char *to = (char *)group + 4 * i;
        uint16_t *scale = (uint16_t *)(void *)((char *)group + hd * PHI_KEY_GROUP) + i;
        s->kernels.quantize_q8_32(k, hd, scratch->query8, scratch->query8_scale, scratch->query8_sum);
        scales_to_f16(s, scratch, scratch->half);
        for (int d = 0; d < hd; d += 4) memcpy(to + d * PHI_KEY_GROUP, scratch->query8 + d, 4);
        for (int b = 0; b < hd / 32; b++) scale[b * PHI_KEY_GROUP] = scratch->half[b];
    }
}

void phi_cache_put(const struct phi_session *s, int layer, int group, size_t position, const float *k, const float *v,
                   const struct phi_scratch *scratch) {
    struct place p = find(s, layer, group, position);
    put_key(s, k, p.keys, position % PHI_KEY_GROUP, scratch);
    put_value(s, v, p.values, scratch);
}

/* ---- The stage ---- */

/* n rows of ring and stage, from a group's start on, one way or the other. */
static void copy_rows(const struct phi_session *s, int layer, int group, size_t position, size_t n, bool to_ring) {
    int hd = s->model->head_dim;
    size_t stage = (size_t)group * s->stage_rows + (position - s->stage_base);
    size_t ring = base_row(s, layer, group) + position % s->cache_rows;
    size_t key_bytes = phi_cache_bytes(s->type_k, hd), value_bytes = phi_cache_bytes(s->type_v, hd);
    char *key[2] = {s->stage_keys + stage * key_bytes, s->keys + ring * key_bytes};
    char *value[2] = {s->stage_values + stage * value_bytes, s->values + ring * value_bytes};
    memcpy(key[to_ring], key[!to_ring], n * key_bytes);
    memcpy(value[to_ring], value[!to_ring], n * value_bytes);
}

void phi_cache_begin(const struct phi_session *s, int layer, int group) {
    if (phi_cache_is_ring(s) && s->n_past % PHI_KEY_GROUP)
        copy_rows(s, layer, group, s->stage_base, PHI_KEY_GROUP, false);
}

void phi_cache_commit(const struct phi_session *s, int layer, int group, int n) {
    if (!phi_cache_is_ring(s)) return;
    for (size_t at = s->stage_base; at < s->n_past + (size_t)n; at += PHI_KEY_GROUP)
        copy_rows(s, layer, group, at, PHI_KEY_GROUP, true);
}
