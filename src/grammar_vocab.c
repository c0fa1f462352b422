/* The tokens as byte strings, and into how few of them a text can be cut. Knows the vocabulary only through the
 * public functions, and no rules. */
#include "grammar_parts.h"
#include "memory.h"

#include <stdlib.h>
#include <string.h>

enum {
    MAX_CUT = 32,     /* bytes of the longest token that texts are cut into: lengths are bits of a word */
    MAX_MEASURED = 64 /* sets whose lengths are looked for: each takes a walk over the vocabulary */
};

/* Byte `at` of a key; -1 behind its end, so that a prefix comes before what it begins. */
static int key_byte(const struct vocab_key *k, uint32_t at) {
    if (at >= k->n) return -1;
    return at < 8 ? (int)(k->prefix >> (56 - 8 * at) & 255) : (uint8_t)k->bytes[at];
}

static int by_bytes(const void *a, const void *b) {
    const struct vocab_key *x = a, *y = b;
    if (x->prefix != y->prefix) return x->prefix < y->prefix ? -1 : 1;
    for (uint32_t i = x->n < 8 || y->n < 8 ? 0 : 8;; i++) { /* a zero of the prefix may be a byte or the end */
        int c = key_byte(x, i), d = key_byte(y, i);
        if (c != d) return c < d ? -1 : 1;
        if (c < 0) return 0;
    }
}

static void add_key(struct grammar_vocab *v, const char *bytes, uint32_t n) {
    uint64_t prefix = 0;
    for (uint32_t i = 0; i < 8; i++) prefix = prefix << 8 | (i < n ? (uint8_t)bytes[i] : 0u);
    v->key[v->n_key++] = (struct vocab_key){prefix, bytes, n};
}

bool phi_grammar_vocab_open(struct grammar_vocab *v, const phi_model *model) {
    struct phi_model_info info = {.n_vocab = 0};
    if (model) phi_model_get_info(model, &info);
    v->has_all = true;
    v->n_token = info.n_vocab;
    v->bytes = phi_alloc((size_t)info.n_vocab + 1, sizeof *v->bytes);
    v->n_bytes = phi_alloc((size_t)info.n_vocab + 1, sizeof *v->n_bytes);
    v->first = phi_alloc((size_t)info.n_vocab + 1, sizeof *v->first);
    v->key = phi_alloc((size_t)info.n_vocab + 1, sizeof *v->key);
    if (!v->bytes || !v->n_bytes || !v->first || !v->key) return false;
    for (int32_t id = 0; id < info.n_vocab; id++) {
        size_t n;
        v->bytes[id] = phi_token_bytes(model, id, false, &n);
        v->n_bytes[id] = (uint32_t)n; /* the tokenizer admits at most 64 KiB */
        bool stop = phi_token_is_stop(model, id);
        v->first[id] = stop ? TOKEN_STOP : n == 0 ? TOKEN_EMPTY : (uint8_t)v->bytes[id][0];
        if (stop || n == 0) continue;
        if (n == 1) v->has[(uint8_t)v->bytes[id][0]] = true;
        if (n <= MAX_CUT) add_key(v, v->bytes[id], (uint32_t)n);
    }
    if (v->n_key) qsort(v->key, v->n_key, sizeof *v->key, by_bytes);
    for (uint32_t i = v->n_key; i-- > 0;) v->by_first[key_byte(&v->key[i], 0)] = i;
    v->by_first[256] = v->n_key;
    for (int b = 255; b >= 0; b--) {
        if (!model) v->has[b] = true;
        v->has_all = v->has_all && v->has[b];
        if (v->by_first[b] == 0 && (v->n_key == 0 || key_byte(&v->key[0], 0) != b))
            v->by_first[b] = v->by_first[b + 1];
    }
    return true;
}

void phi_grammar_vocab_close(struct grammar_vocab *v) {
    phi_free(v->bytes);
    phi_free(v->n_bytes);
    phi_free(v->first);
    phi_free(v->key);
    phi_free(v->lengths);
}

/* The first of the keys low .. high - 1, which are alike in the bytes before `at`, whose byte there is b or above. */
static uint32_t lower_bound(const struct grammar_vocab *v, uint32_t low, uint32_t high, uint32_t at, int b) {
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (key_byte(&v->key[middle], at) < b)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The ASCII characters of a state that starts a character, as bits. */
static void ascii_of(const struct utf8_automaton *a, uint32_t state, uint64_t set[2]) {
    set[0] = set[1] = 0;
    for (uint32_t i = a->first[state]; i < a->first[state + 1]; i++)
        for (unsigned b = a->arc[i].first; b <= a->arc[i].last && b < 128; b++) set[b >> 6] |= 1ull << (b & 63);
}

bool phi_grammar_vocab_measure(struct grammar_vocab *v, const struct utf8_automaton *a) {
    uint64_t(*used)[2] = phi_alloc((size_t)v->n_key + 1, sizeof *used); /* characters of each key */
    v->lengths = phi_alloc((size_t)a->n_state + 1, sizeof *v->lengths);
    for (uint32_t i = 0; used && i < v->n_key; i++)
        for (uint32_t k = 0; k < v->key[i].n; k++) {
            uint8_t b = (uint8_t)v->key[i].bytes[k];
            if (b < 128)
                used[i][b >> 6] |= 1ull << (b & 63);
            else
                used[i][0] = used[i][1] = UINT64_MAX; /* in no set */
        }
    uint32_t n_set = 0;
    for (uint32_t state = 1; used && v->lengths && state < a->n_state; state++) {
        uint64_t set[2];
        ascii_of(a, state, set);
        bool several = (set[0] & (set[0] - 1)) || (set[1] & (set[1] - 1)) || (set[0] && set[1]);
        if (!several || ++n_set > MAX_MEASURED) continue;
        for (uint32_t i = 0; i < v->n_key; i++)
            if (!(used[i][0] & ~set[0]) && !(used[i][1] & ~set[1]))
                /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): no key is empty */
                v->lengths[state] |= 1u << (v->key[i].n - 1);
    }
    phi_free(used);
    return used && v->lengths;
}

void phi_grammar_vocab_cut(const struct grammar_vocab *v, const uint8_t *text, const uint32_t *state, size_t n,
                           uint32_t *least) {
    uint32_t alike = 0; /* bytes from i on that one state takes, MAX_CUT at most */
    least[n] = 0;
    for (size_t i = n; i-- > 0;) {
        uint32_t best = v->n_token == 0 ? least[i + 1] + 1 : MAX_TOKENS;
        alike = i + 1 < n && state[i] == state[i + 1] ? alike + (alike < MAX_CUT) : 1;
        uint32_t lengths = state[i] ? v->lengths[state[i]] : 0;
        for (uint32_t k = 1; k <= alike && lengths >> (k - 1); k++)
            if (lengths >> (k - 1) & 1 && least[i + k] < best) best = least[i + k] + 1;
        uint32_t low = v->by_first[text[i]], high = v->by_first[text[i] + 1];
        for (uint32_t k = 1; low < high; k++) { /* the keys that begin with the k bytes from i on */
            if (v->key[low].n == k && least[i + k] < best) best = least[i + k] + 1;
            if (i + k == n) break;
            low = lower_bound(v, low, high, k, text[i + k]);
            high = lower_bound(v, low, high, k, text[i + k] + 1);
        }
        least[i] = best;
    }
}
