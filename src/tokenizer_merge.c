/* Merging neighbours by priority, in time n log n: a list of symbols and a heap of the pairs that make a piece. Which
 * pairs do, and what comes first, is the kind's to say. */
#include "tokenizer_parts.h"

#include "memory.h"

void phi_encoder_emit(struct encoder *e, int32_t id) {
    if ((uint64_t)e->n_id < e->cap) e->ids[e->n_id] = id;
    e->n_id++;
}

void *phi_encoder_grow(void *p, size_t *cap, size_t need, size_t item_size) {
    if (need <= *cap) return p;
    size_t more = *cap < 32 ? 64 : *cap * 2;
    void *q = phi_realloc(p, more, item_size);
    if (q) *cap = more;
    return q;
}

bool phi_encoder_add(struct encoder *e, struct symbol symbol) {
    if (e->n_symbol >= none - 1) return false; /* a word of 4 GiB: its symbols alone would take 130 */
    void *p = phi_encoder_grow(e->symbol, &e->cap_symbol, e->n_symbol + 1, sizeof symbol);
    if (!p) return false;
    e->symbol = p;
    uint32_t i = (uint32_t)e->n_symbol++;
    symbol.prev = i ? i - 1 : none;
    symbol.next = none;
    e->symbol[i] = symbol;
    if (i) e->symbol[i - 1].next = i;
    return true;
}

static bool heap_push(struct encoder *e, struct pair pair) {
    void *p = phi_encoder_grow(e->pair, &e->cap_pair, e->n_pair + 1, sizeof pair);
    if (!p) return false;
    e->pair = p;
    size_t i = e->n_pair++;
    while (i > 0 && e->pair[(i - 1) / 2].key < pair.key) {
        e->pair[i] = e->pair[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    e->pair[i] = pair;
    return true;
}

static struct pair heap_pop(struct encoder *e) {
    struct pair top = e->pair[0], last = e->pair[--e->n_pair];
    size_t i = 0;
    for (size_t child = 1; child < e->n_pair; child = 2 * i + 1) {
        if (child + 1 < e->n_pair && e->pair[child].key < e->pair[child + 1].key) child++;
        if (e->pair[child].key <= last.key) break;
        e->pair[i] = e->pair[child];
        i = child;
    }
    e->pair[i] = last;
    return top;
}

/* Remember left and its neighbour if together they are a piece. */
static bool try_pair(struct encoder *e, phi_find_pair *find, uint32_t left) {
    const struct symbol *a = &e->symbol[left];
    if (a->next == none) return true;
    struct pair pair = {.right = a->next};
    uint32_t priority;
    if (!find(e, a, &e->symbol[a->next], &pair, &priority)) return true;
    pair.key = (uint64_t)priority << 32 | (none - left);
    return heap_push(e, pair);
}

bool phi_encoder_merge(struct encoder *e, phi_find_pair *find) {
    e->n_pair = 0;
    for (size_t i = 0; i + 1 < e->n_symbol; i++)
        if (!try_pair(e, find, (uint32_t)i)) return false;
    while (e->n_pair > 0) {
        struct pair pair = heap_pop(e);
        uint32_t left = none - (uint32_t)pair.key;
        struct symbol *a = &e->symbol[left], *b = &e->symbol[pair.right];
        /* Either one may have been merged with another since. If both begin where they did and end where they did,
         * not. */
        if (a->n == 0 || a->next != pair.right || a->n + b->n != e->t->token[pair.id].n) continue;
        a->hash = pair.hash;
        a->n += b->n;
        a->id = pair.id;
        a->next = b->next;
        b->n = 0;
        if (a->next != none) e->symbol[a->next].prev = left;
        if (!try_pair(e, find, left)) return false;
        if (a->prev != none && !try_pair(e, find, a->prev)) return false;
    }
    return true;
}
