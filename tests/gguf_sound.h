/* What must hold of every file that phi_gguf_open() accepts: for the tests and the fuzzer. */
#ifndef PHI_TESTS_GGUF_SOUND_H
#define PHI_TESTS_GGUF_SOUND_H

#include "../src/gguf.h"

static inline bool gguf_inside(const struct phi_gguf *g, const void *p, uint64_t n) {
    const uint8_t *at = p;
    return at >= g->file.data && at <= g->file.data + g->file.size &&
           n <= (uint64_t)(g->file.data + g->file.size - at);
}

/* Everything that the result points at lies in the file and is what it claims to be. Reads all of it. */
static inline bool gguf_is_sound(const struct phi_gguf *g) {
    volatile uint8_t sink = 0;
    uint64_t n_bytes = 0;
    for (uint64_t i = 0; i < g->n_kv; i++) {
        const struct phi_gguf_kv *kv = &g->kv[i];
        if (!gguf_inside(g, kv->key.s, kv->key.n) || !gguf_inside(g, kv->data, kv->n_bytes)) return false;
        if (kv->element != PHI_GGUF_STRING) {
            if (kv->n_bytes != kv->n * phi_gguf_type_size(kv->element)) return false;
            continue;
        }
        const uint8_t *at = kv->data;
        for (uint64_t k = 0; k < kv->n; k++) {
            struct phi_str s = phi_gguf_next_str(&at);
            if (!gguf_inside(g, s.s, s.n)) return false;
        }
        if (at != kv->data + kv->n_bytes) return false;
    }
    for (uint64_t i = 0; i < g->n_tensor; i++) {
        const struct phi_gguf_tensor *t = &g->tensor[i];
        if (!gguf_inside(g, t->name.s, t->name.n) || !gguf_inside(g, t->data, t->n_bytes) || !t->n_bytes)
            return false;
        uint64_t n = t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3];
        if (t->n_bytes != n / (uint64_t)t->type->block * (uint64_t)t->type->bytes) return false;
        if ((uint64_t)(t->data - g->file.data) % g->alignment) return false;
        sink = (uint8_t)(sink + t->data[0] + t->data[t->n_bytes - 1]);
        n_bytes += t->n_bytes;
    }
    return n_bytes == g->tensor_bytes && n_bytes <= g->file.size;
}

#endif
