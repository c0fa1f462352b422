/* Attention of one query head over the cache, in blocks of 256 keys at absolute positions: each block gives its own
 * largest score, sum and weighted values, and the blocks are folded from left to right. How a prompt was cut into
 * passes, and who computes which block, can then change no bit. */
#include "session.h"
#include "kernels/floats.h"

size_t phi_attention_first(const struct phi_model *m, size_t position) {
    size_t window = (size_t)m->window;
    return window && position >= window ? position - window + 1 : 0;
}

static size_t value_size(int type) {
    return type == PHI_CACHE_F16 ? 2 : 4;
}

void phi_attention(const struct phi_session *s, int layer, int head, size_t position, const float *q,
                   struct phi_scratch *scratch, float *out) {
    const struct phi_model *m = s->model;
    const struct phi_kernels *k = &s->kernels;
    int hd = m->head_dim, group = head / (m->n_head / m->n_head_kv);
    const char *keys = phi_session_keys(s, layer, group), *values = phi_session_values(s, layer, group);
    float scale = 1.0f / sqrtf((float)hd), largest = 0, sum = 0;
    size_t from = phi_attention_first(m, position);
    size_t first_block = from / PHI_KEY_BLOCK * PHI_KEY_BLOCK;

    for (size_t block = first_block; block <= position; block += PHI_KEY_BLOCK) {
        int first = from > block ? (int)(from - block) : 0;
        int end = position - block < PHI_KEY_BLOCK ? (int)(position - block) + 1 : PHI_KEY_BLOCK;
        int group0 = first / PHI_KEY_GROUP, group1 = (end + PHI_KEY_GROUP - 1) / PHI_KEY_GROUP;
        size_t key_at = (block + (size_t)group0 * PHI_KEY_GROUP) * (size_t)hd * value_size(s->type_k);
        float *o = block == first_block ? out : scratch->block_out, m_b, l_b;
        k->scores[s->type_k](q, keys + key_at, hd, group1 - group0, scale, scratch->scores + group0 * PHI_KEY_GROUP);
        k->softmax(scratch->scores, first, end, &m_b, &l_b);
        k->values[s->type_v](scratch->scores, values + block * (size_t)hd * value_size(s->type_v), hd, first, end, o);
        if (block == first_block) {
            largest = m_b;
            sum = l_b;
            continue;
        }
        float top = largest > m_b ? largest : m_b;
        float a = floats_exp(largest - top), c = floats_exp(m_b - top);
        sum = fmaf(l_b, c, sum * a);
        k->fold(out, o, hd, a, c);
        largest = top;
    }
    for (int d = 0; d < hd; d++) out[d] = out[d] / sum;
}
