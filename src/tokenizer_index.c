/* Token texts to ids: open addressing, over texts that stay in the mapped file. */
#include "tokenizer_parts.h"

#include "memory.h"

#include <string.h>

void phi_index_choose_hash(struct phi_tokenizer *t) {
    const uint64_t prime = 0x7fffffff;
    uint64_t seed = phi_hash_seed(t);
    uint64_t a = phi_hash_mix(seed + 1) % (prime - 512) + 256, b = phi_hash_mix(seed + 2) % (prime - 512) + 256;
    t->base = a << 32 | b;
    t->multiplier = phi_hash_mix(seed + 3) | 1;
}

bool phi_index_alloc(struct index *x, size_t n_text) {
    int bits = 4;
    while ((size_t)1 << bits < n_text * 2) bits++;
    x->slot = phi_alloc((size_t)1 << bits, sizeof *x->slot);
    x->shift = 64 - bits;
    return x->slot != NULL;
}

/* The slot of this text, or the empty one where it belongs. */
static struct slot *find_slot(const struct phi_tokenizer *t, const struct index *x, hash_t h, const char *s,
                              size_t n) {
    uint64_t mixed = phi_hash_product(h, t->multiplier);
    uint32_t tag = (uint32_t)(mixed >> 32);
    size_t mask = ((size_t)1 << (64 - x->shift)) - 1;
    for (size_t i = (size_t)(mixed >> x->shift);; i = (i + 1) & mask) {
        struct slot *slot = &x->slot[i];
        if (slot->id1 == 0) return slot;
        if (slot->tag != tag) continue;
        const struct token *token = &t->token[slot->id1 - 1];
        if (token->n == n && memcmp(token->text, s, n) == 0) return slot;
    }
}

int32_t phi_index_find(const struct phi_tokenizer *t, const struct index *x, hash_t h, const char *s, size_t n) {
    return find_slot(t, x, h, s, n)->id1 - 1;
}

void phi_index_add(struct phi_tokenizer *t, struct index *x, int32_t id) {
    const struct token *token = &t->token[id];
    hash_t h = hash_text(t, token->text, token->n);
    struct slot *slot = find_slot(t, x, h, token->text, token->n);
    if (slot->id1 != 0) return;
    slot->tag = (uint32_t)(phi_hash_product(h, t->multiplier) >> 32);
    slot->id1 = id + 1;
    if (token->n > x->max) x->max = token->n;
}
