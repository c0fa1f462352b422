/* Logits to a token. Owns the candidates, the window of the penalties and the generator; knows neither tokenizer
 * nor session. Same logits, options and seed: the same tokens on every machine. What that takes:
 *
 *   - Candidates have one order: larger logit first, among equals the lower id. All sums are doubles, added in it
 *     (but typical_p's, which adds in the order in which it takes).
 *   - exp is our own: that of libm differs between systems.
 *   - The generator is xoshiro256** (Blackman, Vigna), its four words the first four values of splitmix64 started at
 *     the seed. A token that is drawn takes one value of it, u = (value >> 11) * 2^-53; a token that is certain
 *     (temperature 0, or one candidate left) takes none. Chosen is the first candidate at which the sum of weights
 *     exceeds u * total.
 *
 * Steps, in llama.cpp's order:  grammar - bias - penalties - top_k - typical_p - top_p - min_p - temperature - draw
 * The three in the middle look at probabilities at temperature 1. A logit of -infinity is no candidate. Opening
 * allocates, sampling does not.
 *
 * What bias and penalties touch is a list of few tokens; all others compete with the logit that they have. So most of
 * a vocabulary is only compared with the worst of the k candidates so far, many at a time. */
#include "sampler.h"
#include "kernels/kernels.h"
#include "memory.h"
#include "quant/bits.h"

#include <math.h>
#include <string.h>

enum { MAX_LAST_N = 1 << 20 }; /* far above any context of the family (131,072) */

/* What changes one token's logit. */
struct change {
    float bias;    /* -INFINITY: the token is forbidden */
    int32_t count; /* how often it is in the window */
    int32_t place; /* in the list of changed tokens, from 1; 0: it is not there, bias and count are 0 */
};

struct phi_sampler {
    struct phi_sampler_options options;
    int n_vocab;
    uint64_t state[4];     /* of the generator */
    uint64_t *key;         /* [n_vocab] candidates: key_of() */
    uint64_t *spare;       /* [n_vocab] for sorting */
    double *weight;        /* [n_vocab] of the candidates, the first one's is 1; between calls phi_sampler_scratch() */
    int32_t *window;       /* [repeat_last_n] the last tokens, a ring; NULL when there is no penalty */
    int n_window, at;      /* tokens in it, where the next one goes */
    struct change *change; /* [n_vocab]; NULL: no logit is changed, as `changed` */
    int32_t *changed;      /* [n_vocab], in no order: ids of the n_changed tokens whose logit is changed */
    int n_changed;
    struct phi_grammar_state *grammar; /* NULL: none */
};

struct phi_sampler_options phi_sampler_options_default(void) {
    /* the defaults of llama.cpp */
    return (struct phi_sampler_options){.temperature = 0.8f,
                                        .top_k = 40,
                                        .typical_p = 1,
                                        .top_p = 0.95f,
                                        .min_p = 0.05f,
                                        .repeat_penalty = 1,
                                        .repeat_last_n = 64};
}

/* ---- Opening ---- */

/* Comparisons are written so that NaN is out of range. */
static int check_options(const struct phi_sampler_options *o, phi_error *err) {
    if (!(o->temperature >= 0 && o->temperature < INFINITY))
        return phi_fail(err, PHI_USAGE, "temperature is %g; it must be 0 or a positive number",
                        (double)o->temperature);
    if (o->top_k < 0) return phi_fail(err, PHI_USAGE, "top_k is %d; it must be 0 (off) or more", o->top_k);
    if (!(o->top_p > 0 && o->top_p <= 1))
        return phi_fail(err, PHI_USAGE, "top_p is %g; it must be above 0 and at most 1", (double)o->top_p);
    if (!(o->typical_p > 0 && o->typical_p <= 1))
        return phi_fail(err, PHI_USAGE, "typical_p is %g; it must be above 0 and at most 1", (double)o->typical_p);
    if (!(o->min_p >= 0 && o->min_p <= 1))
        return phi_fail(err, PHI_USAGE, "min_p is %g; it must be from 0 to 1", (double)o->min_p);
    if (!(o->repeat_penalty > 0 && o->repeat_penalty < INFINITY))
        return phi_fail(err, PHI_USAGE, "repeat_penalty is %g; it must be a number above 0",
                        (double)o->repeat_penalty);
    if (!(fabsf(o->presence_penalty) < INFINITY) || !(fabsf(o->frequency_penalty) < INFINITY))
        return phi_fail(err, PHI_USAGE, "presence_penalty is %g, frequency_penalty %g; both must be finite",
                        (double)o->presence_penalty, (double)o->frequency_penalty);
    if (o->repeat_last_n < 0 || o->repeat_last_n > MAX_LAST_N)
        return phi_fail(err, PHI_USAGE, "repeat_last_n is %d; it must be from 0 to %d", o->repeat_last_n, MAX_LAST_N);
    return PHI_OK;
}

static uint64_t splitmix64(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static int short_of_memory(const phi_sampler *s, phi_error *err) {
    return phi_fail(err, PHI_MEMORY, "not enough memory for a sampler of %d tokens", s->n_vocab);
}

/* Room for changed logits, if there is none yet. */
static int prepare_changes(phi_sampler *s, phi_error *err) {
    if (!s->change) s->change = phi_alloc((size_t)s->n_vocab, sizeof *s->change);
    if (!s->changed) s->changed = phi_alloc((size_t)s->n_vocab, sizeof *s->changed);
    return s->change && s->changed ? PHI_OK : short_of_memory(s, err);
}

/* Bring the list up to date after the token's bias or count has changed. */
static void list_change(phi_sampler *s, int32_t id) {
    struct change *c = &s->change[id];
    bool changed = c->bias != 0 || c->count != 0;
    if (changed && !c->place) {
        s->changed[s->n_changed] = id;
        c->place = ++s->n_changed;
    } else if (!changed && c->place) {
        int32_t last = s->changed[--s->n_changed];
        s->changed[c->place - 1] = last;
        s->change[last].place = c->place;
        c->place = 0;
    }
}

static int add_biases(phi_sampler *s, const struct phi_logit_bias *bias, size_t n, phi_error *err) {
    int status = prepare_changes(s, err);
    for (size_t i = 0; !status && i < n; i++) {
        int32_t id = bias[i].id;
        if (id < 0 || id >= s->n_vocab)
            return phi_fail(err, PHI_USAGE, "logit_bias: there is no token %d, the vocabulary has %d", id,
                            s->n_vocab);
        if (!(bias[i].bias < INFINITY))
            return phi_fail(err, PHI_USAGE, "logit_bias: %g for token %d; it must be a number or -infinity",
                            (double)bias[i].bias, id);
        s->change[id].bias += bias[i].bias;
        list_change(s, id);
    }
    return status;
}

static bool has_penalty(const struct phi_sampler_options *o) {
    return (o->repeat_penalty != 1 || o->presence_penalty != 0 || o->frequency_penalty != 0) && o->repeat_last_n > 0;
}

static int open_parts(phi_sampler *s, phi_error *err) {
    const struct phi_sampler_options *o = &s->options;
    uint64_t seed = o->seed;
    for (int i = 0; i < 4; i++) s->state[i] = splitmix64(&seed);
    s->key = phi_alloc((size_t)s->n_vocab, sizeof *s->key);
    s->spare = phi_alloc((size_t)s->n_vocab, sizeof *s->spare);
    size_t n = (size_t)s->n_vocab, least = PHI_SAMPLER_SCRATCH / sizeof *s->weight + 1;
    s->weight = phi_alloc(n < least ? least : n, sizeof *s->weight);
    if (!s->key || !s->spare || !s->weight) return short_of_memory(s, err);
    int status = PHI_OK;
    if (has_penalty(o)) {
        s->window = phi_alloc((size_t)o->repeat_last_n, sizeof *s->window);
        status = s->window ? prepare_changes(s, err) : short_of_memory(s, err);
    }
    if (!status && o->n_logit_bias) status = add_biases(s, o->logit_bias, o->n_logit_bias, err);
    s->options.logit_bias = NULL; /* the caller's, who may free it now */
    if (!status && o->grammar) status = phi_grammar_state_open(o->grammar, o->skip_space, &s->grammar, err);
    return status;
}

int phi_sampler_new(int n_vocab, const struct phi_sampler_options *options, phi_sampler **out, phi_error *err) {
    *out = NULL;
    int status = check_options(options, err);
    if (status) return status;
    phi_sampler *s = phi_alloc(1, sizeof *s);
    if (!s) return phi_fail(err, PHI_MEMORY, "not enough memory for a sampler");
    s->options = *options;
    s->n_vocab = n_vocab;
    status = open_parts(s, err);
    if (status)
        phi_sampler_close(s);
    else
        *out = s;
    return status;
}

int phi_sampler_open(const phi_model *model, const struct phi_sampler_options *options, phi_sampler **out,
                     phi_error *err) {
    struct phi_model_info info;
    phi_model_get_info(model, &info);
    int status = phi_sampler_new(info.n_vocab, options, out, err);
    for (int32_t id = 0; !status && options->ignore_eos && id < info.n_vocab; id++)
        if (phi_token_is_stop(model, id)) status = phi_sampler_forbid(*out, id, err);
    if (!status) return PHI_OK;
    phi_sampler_close(*out);
    *out = NULL;
    return status;
}

int phi_sampler_forbid(phi_sampler *s, int32_t id, phi_error *err) {
    int status = prepare_changes(s, err);
    if (status) return status;
    s->change[id].bias = -INFINITY;
    list_change(s, id);
    return PHI_OK;
}

struct phi_grammar_state *phi_sampler_grammar(phi_sampler *s) {
    return s->grammar;
}

char *phi_sampler_scratch(phi_sampler *s) {
    return (char *)s->weight;
}

void phi_sampler_close(phi_sampler *s) {
    if (!s) return;
    phi_free(s->key);
    phi_free(s->spare);
    phi_free(s->weight);
    phi_free(s->window);
    phi_free(s->change);
    phi_free(s->changed);
    phi_grammar_state_close(s->grammar);
    phi_free(s);
}

/* ---- The window ---- */

static void count(phi_sampler *s, int32_t id, int more) {
    s->change[id].count += more;
    list_change(s, id);
}

/* An id outside the vocabulary has no logit: nothing to penalize. */
void phi_sampler_accept(phi_sampler *s, int32_t id) {
    if (!s->window || id < 0 || id >= s->n_vocab) return;
    if (s->n_window == s->options.repeat_last_n)
        count(s, s->window[s->at], -1);
    else
        s->n_window++;
    s->window[s->at] = id;
    s->at = (s->at + 1) % s->options.repeat_last_n; /* NOLINT(clang-analyzer-core.DivideZero): 0 has no window */
    count(s, id, 1);
}

/* The token i places from the oldest one. */
static int32_t window_token(const phi_sampler *s, int i) {
    int at = s->at - s->n_window + i;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): n_window is 0 without a window */
    return s->window[at < 0 ? at + s->options.repeat_last_n : at];
}

/* ---- State ---- */

enum { STATE_HEADER = 4 * 8 + 4 * 4 };

struct state_header {
    uint64_t generator[4];
    uint32_t n_vocab, has_window, n_window, n_grammar;
};
_Static_assert(sizeof(struct state_header) == STATE_HEADER, "the header has no holes");

size_t phi_sampler_state(const phi_sampler *s, void *out, size_t cap) {
    size_t n = (size_t)s->n_window, n_grammar = s->grammar ? phi_grammar_state_save(s->grammar, NULL, 0) : 0;
    size_t n_bytes = STATE_HEADER + n * 4 + n_grammar;
    if (cap < n_bytes) return n_bytes;
    struct state_header h = {
        .n_vocab = (uint32_t)s->n_vocab, .has_window = s->window != NULL, .n_window = (uint32_t)n, .n_grammar = (uint32_t)n_grammar};
    memcpy(h.generator, s->state, sizeof h.generator);
    memcpy(out, &h, STATE_HEADER);
    for (int i = 0; i < s->n_window; i++) {
        int32_t id = window_token(s, i);
        memcpy((char *)out + STATE_HEADER + 4 * i, &id, 4);
    }
    if (s->grammar) phi_grammar_state_save(s->grammar, (uint8_t *)out + STATE_HEADER + 4 * n, n_grammar);
    return n_bytes;
}

static int check_state(const phi_sampler *s, const struct state_header *h, const uint8_t *ids, size_t rest,
                       phi_error *err) {
    if (h->n_vocab != (uint32_t)s->n_vocab)
        return phi_fail(err, PHI_USAGE, "the sampler's state belongs to a vocabulary of %u tokens, not of %d",
                        (unsigned)h->n_vocab, s->n_vocab);
    if (rest != 4 * (uint64_t)h->n_window + h->n_grammar || h->has_window > 1 || (!h->has_window && h->n_window) ||
        !(h->generator[0] | h->generator[1] | h->generator[2] | h->generator[3])) /* which would stay zero */
        return phi_fail(err, PHI_USAGE, "the sampler's state is damaged");
    if (!h->n_grammar != !s->grammar)
        return phi_fail(err, PHI_USAGE, "the sampler's state holds %s state of a grammar, and there is %s grammar",
                        h->n_grammar ? "the" : "no", s->grammar ? "a" : "no");
    for (size_t i = 0; i < h->n_window; i++)
        if (load_u32(ids + 4 * i) >= h->n_vocab)
            return phi_fail(err, PHI_USAGE, "the sampler's state holds the token id %u; the vocabulary has %u tokens",
                            (unsigned)load_u32(ids + 4 * i), (unsigned)h->n_vocab);
    return PHI_OK;
}

int phi_sampler_restore(phi_sampler *s, const void *state, size_t n_bytes, phi_error *err) {
    struct state_header h;
    if (n_bytes < STATE_HEADER) return phi_fail(err, PHI_USAGE, "the sampler's state is cut short");
    memcpy(&h, state, STATE_HEADER);
    const uint8_t *ids = (const uint8_t *)state + STATE_HEADER;
    int status = check_state(s, &h, ids, n_bytes - STATE_HEADER, err);
    if (!status && s->grammar) status = phi_grammar_state_load(s->grammar, ids + 4 * (size_t)h.n_window, h.n_grammar, err);
    if (status) return status;
    memcpy(s->state, h.generator, sizeof s->state);
    if (!s->window || !h.has_window) return PHI_OK;
    for (int i = 0; i < s->n_window; i++) count(s, window_token(s, i), -1);
    s->n_window = s->at = 0;
    for (size_t i = 0; i < h.n_window; i++) phi_sampler_accept(s, (int32_t)load_u32(ids + 4 * i));
    return PHI_OK;
}

/* ---- Numbers ---- */

double phi_sampler_exp(double x) {
    static const double term[14] = {
        /* 1/13!, 1/12!, ... 1/0!; |r| <= 0.347, so r^14/14! is below 2^-57 */
        1 / 6227020800.0, 1 / 479001600.0, 1 / 39916800.0, 1 / 3628800.0, 1 / 362880.0, 1 / 40320.0, 1 / 5040.0,
        1 / 720.0,        1 / 120.0,       1 / 24.0,       1 / 6.0,       1 / 2.0,      1.0,         1.0};
    const double round = 6755399441055744.0; /* 1.5 * 2^52: adding it rounds to an integer, kept in the low bits */
    if (!(x >= -700)) return 0;
    double t = x * 0x1.71547652b82fep+0 + round, n = t - round; /* x / ln2 */
    /* ln2 in two parts, so that n times the first is exact */
    double r = (x - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33;
    double p = term[0];
    for (int i = 1; i < 14; i++) p = p * r + term[i];
    uint64_t bits, shift;
    memcpy(&bits, &p, 8); /* -Wanalyzer-use-of-uninitialized-value: the loop has set it */
    memcpy(&shift, &t, 8);
    bits += shift << 52; /* times 2^n */
    memcpy(&p, &bits, 8);
    return p;
}

static uint64_t rotate_left(uint64_t x, int n) {
    return x << n | x >> (64 - n);
}

/* The next value of the generator, as a number 0 <= u < 1. */
static double draw(phi_sampler *s) {
    uint64_t *v = s->state, result = rotate_left(v[1] * 5, 7) * 9, t = v[1] << 17;
    v[2] ^= v[0];
    v[3] ^= v[1];
    v[1] ^= v[2];
    v[0] ^= v[3];
    v[2] ^= t;
    v[3] = rotate_left(v[3], 45);
    return (double)(result >> 11) * 0x1p-53;
}

/* ---- Candidates ---- */

/* A candidate as one integer, so that a smaller key is a better candidate:
 *
 *   bit  63           ..           32 | 31  ..  0
 *        ~(bits of the logit, mapped  |    id
 *        so that they ascend)         |
 *   mapped: a positive float with its sign bit set, a negative one with all bits inverted */
static uint64_t key_of(float logit, int32_t id) {
    uint32_t u = f32_bits(logit + 0.0f); /* -0 becomes 0: the two are equal, the lower id wins */
    u = u >> 31 ? ~u : u | 0x80000000u;
    return (uint64_t)~u << 32 | (uint32_t)id;
}

static float key_logit(uint64_t key) {
    uint32_t u = ~(uint32_t)(key >> 32);
    return f32_from_bits(u >> 31 ? u & 0x7fffffffu : ~u);
}

static int32_t key_id(uint64_t key) {
    return (int32_t)(key & 0x7fffffffu);
}

/* A heap with the worst candidate on top: heap[at] may be better than its children, let it sink. */
static void sink(uint64_t *heap, int n, int at) {
    uint64_t key = heap[at];
    for (int child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && heap[child + 1] > heap[child]) child++;
        if (heap[child] <= key) break;
        heap[at] = heap[child];
    }
    heap[at] = key;
}

/* The best candidates so far, while logits are offered. */
struct best {
    uint64_t *heap; /* [k], a heap once it is full, unless every token has a place */
    int n, k;
    bool every;  /* k is the vocabulary */
    float floor; /* logits below it are of no interest */
    struct phi_grammar_state *grammar; /* asked only about what would be taken */
};

static void offer(struct best *b, int32_t id, float logit) {
    uint64_t key = key_of(logit, id);
    if (logit == -INFINITY || logit < b->floor || (b->n == b->k && key >= b->heap[0])) return;
    if (b->grammar && !phi_grammar_state_allows(b->grammar, id)) return;
    if (b->n < b->k) {
        b->heap[b->n++] = key;
        if (b->n == b->k && !b->every)
            for (int i = b->n / 2 - 1; i >= 0; i--) sink(b->heap, b->n, i);
    } else {
        b->heap[0] = key;
        sink(b->heap, b->n, 0);
    }
}

/* The logit after bias and penalties, as llama.cpp computes it. */
static float changed_logit(const phi_sampler *s, int32_t id, float logit) {
    const struct phi_sampler_options *o = &s->options;
    const struct change *c = &s->change[id];
    logit += c->bias;
    if (c->count == 0) return logit;
    logit = logit > 0 ? logit / o->repeat_penalty : logit * o->repeat_penalty;
    return logit - ((float)c->count * o->frequency_penalty + o->presence_penalty);
}

static int bad_logit(int32_t id, float logit, phi_error *err) {
    return phi_fail(err, PHI_FAILED, "the logit of token %d is %s", id, logit != logit ? "not a number" : "infinite");
}

enum { BLOCK = 64 };

/* Is one of the logits at least this large, or no number? Without branches: the compiler makes vectors of it. */
static bool any_reaches(const float logits[BLOCK], float least) {
    unsigned any = 0;
    for (int i = 0; i < BLOCK; i++) any |= !(logits[i] < least);
    return any;
}

/* Sort the first n keys. Ids ascend already where all tokens were taken in their order. */
static void sort_keys(phi_sampler *s, int n) {
    enum { BITS = 11, DIGITS = 1 << BITS, FEW = 64 };
    uint64_t *key = s->key;
    bool ascending = true;
    for (int i = 1; i < n && n <= FEW; i++) {
        uint64_t k = key[i];
        int at = i;
        for (; at > 0 && key[at - 1] > k; at--) key[at] = key[at - 1];
        key[at] = k;
    }
    if (n <= FEW) return;
    for (int i = 1; i < n; i++) ascending &= (uint32_t)key[i - 1] < (uint32_t)key[i];
    for (int shift = ascending ? 32 : 0; shift < 64; shift += BITS) {
        int at[DIGITS] = {0}, sum = 0;
        if (shift < 32 && (uint32_t)(s->n_vocab - 1) >> shift == 0) shift = 32; /* no id has a bit there */
        for (int i = 0; i < n; i++) at[s->key[i] >> shift & (DIGITS - 1)]++;
        for (int d = 0; d < DIGITS; d++) {
            int items = at[d];
            at[d] = sum;
            sum += items;
        }
        for (int i = 0; i < n; i++) s->spare[at[s->key[i] >> shift & (DIGITS - 1)]++] = s->key[i];
        uint64_t *sorted = s->spare;
        s->spare = s->key;
        s->key = sorted;
    }
}

/* The best k candidates, best first, into s->key; none with a logit below floor. Returns how many there are, or a
 * negative status. */
static int select_best(phi_sampler *s, const float *logits, int k, float floor, phi_error *err) {
    struct best b = {.heap = s->key, .k = k, .every = k == s->n_vocab, .floor = floor, .grammar = s->grammar};
    for (int i = 0; i < s->n_changed; i++) {
        int32_t id = s->changed[i];
        float logit = changed_logit(s, id, logits[id]);
        if (!(logit < INFINITY)) return bad_logit(id, logit, err);
        offer(&b, id, logit);
    }
    for (int32_t begin = 0, end; begin < s->n_vocab; begin = end) {
        float least = b.n < k ? floor : key_logit(b.heap[0]);
        end = s->n_vocab - begin < BLOCK ? s->n_vocab : begin + BLOCK;
        if (end - begin == BLOCK && !any_reaches(logits + begin, least)) continue;
        for (int32_t id = begin; id < end; id++) {
            if (!(logits[id] < INFINITY)) return bad_logit(id, logits[id], err);
            if (!s->change || !s->change[id].place) offer(&b, id, logits[id]);
        }
    }
    if (b.n == 0)
        return phi_fail(err, PHI_FAILED, "%s",
                        s->grammar ? "no token that the grammar allows here has a finite logit" : "no token has a finite logit");
    sort_keys(s, b.n);
    return b.n;
}

/* Weights of the first n candidates at this temperature; returns their sum. */
static double weigh(phi_sampler *s, int n, double temperature) {
    double best = (double)key_logit(s->key[0]), sum = 0;
    for (int i = 0; i < n; i++) {
        s->weight[i] = phi_sampler_exp(((double)key_logit(s->key[i]) - best) / temperature);
        sum += s->weight[i];
    }
    return sum;
}

/* typical_p keeps candidates whose surprise, -log(probability), is close to what is expected: the closest ones that
 * hold more than this part of the total. With d = logit - best logit, surprise - expected surprise = mean(d) - d, no
 * logarithm needed. Since d descends, what is kept is a run around the mean that grows by the closer neighbour, ties
 * to the better one; among equal logits the lowest id comes first, so the run's first equals may keep only their
 * beginning. Moves what is kept to the front and returns how many. */
static int cut_typical(phi_sampler *s, int n, double total) {
    double best = (double)key_logit(s->key[0]), wanted = (double)s->options.typical_p * total, mean = 0, so_far = 0;
    for (int i = 0; i < n; i++) mean += s->weight[i] * ((double)key_logit(s->key[i]) - best);
    mean = mean / total + best;
    int first = 0, end, equal = 0, kept = 0;
    while (first < n && (double)key_logit(s->key[first]) >= mean) first++;
    end = first;
    while (so_far <= wanted && (first > 0 || end < n)) {
        double above = first > 0 ? (double)key_logit(s->key[first - 1]) - mean : (double)INFINITY;
        double below = end < n ? mean - (double)key_logit(s->key[end]) : (double)INFINITY;
        if (below < above) {
            so_far += s->weight[end++];
            continue;
        }
        equal = first;
        while (equal > 0 && key_logit(s->key[equal - 1]) == key_logit(s->key[first - 1])) equal--;
        for (kept = equal; kept < first && so_far <= wanted; kept++) so_far += s->weight[kept];
        memmove(s->key + kept, s->key + first, (size_t)(end - first) * sizeof *s->key);
        end -= first - kept; /* nothing moves unless this was the last one */
        first = equal;
    }
    memmove(s->key, s->key + first, (size_t)(end - first) * sizeof *s->key);
    return end - first;
}

/* How many of the first n candidates top_p leaves: the shortest beginning that holds this part of the total. */
static int cut_top_p(const phi_sampler *s, int n, double total) {
    double wanted = (double)s->options.top_p * total, so_far = 0;
    for (int i = 0; i < n; i++) {
        so_far += s->weight[i];
        if (so_far >= wanted) return i + 1;
    }
    return n;
}

/* How many of the first n candidates min_p leaves: those at least this likely, compared with the first. */
static int cut_min_p(const phi_sampler *s, int n) {
    while (s->weight[n - 1] < (double)s->options.min_p) n--; /* stops at the first: its weight is 1 */
    return n;
}

/* The logit below which min_p leaves nothing, where it alone decides: then the rest need not be sorted. A little
 * lower, since it only has to leave out what would fall anyway. */
static int find_floor(phi_sampler *s, const float *logits, float *floor, phi_error *err) {
    int n = select_best(s, logits, 1, -INFINITY, err);
    if (n > 0) *floor = key_logit(s->key[0]) + logf(s->options.min_p) - 0.01f;
    return n < 0 ? n : PHI_OK;
}

static int choose(phi_sampler *s, const float *logits, int32_t *id, phi_error *err) {
    const struct phi_sampler_options *o = &s->options;
    int k = o->temperature == 0 ? 1 : o->top_k == 0 || o->top_k > s->n_vocab ? s->n_vocab : o->top_k;
    float floor = -INFINITY;
    if (k == s->n_vocab && o->typical_p == 1 && o->top_p == 1 && o->min_p > 0) {
        int status = find_floor(s, logits, &floor, err);
        if (status) return status;
    }
    int n = select_best(s, logits, k, floor, err), i = 0;
    if (n < 0) return n;
    if (o->typical_p < 1) n = cut_typical(s, n, weigh(s, n, 1));
    if (o->top_p < 1 || o->min_p > 0) {
        double total = weigh(s, n, 1);
        if (o->top_p < 1) n = cut_top_p(s, n, total);
        n = cut_min_p(s, n);
    }
    if (n > 1) {
        double threshold = weigh(s, n, (double)o->temperature) * draw(s), so_far = s->weight[0];
        while (so_far <= threshold && i < n - 1) so_far += s->weight[++i];
    }
    *id = key_id(s->key[i]);
    phi_sampler_accept(s, *id);
    if (s->grammar) phi_grammar_state_accept(s->grammar, *id);
    return PHI_OK;
}

int phi_sampler_sample(phi_sampler *s, const float *logits, int32_t *id, phi_error *err) {
    unsigned long long fp = phi_fp_enter();
    int status = choose(s, logits, id, err);
    phi_fp_restore(fp);
    return status;
}
