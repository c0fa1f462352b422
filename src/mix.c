/* The table of mixes and their rules. A rule names a role of matrices, the layers, and the format that they get instead of
 * the base; those of one mix and role are tried in order. */
#include "mix.h"

#include <string.h>
#include <strings.h>

enum mix_index {
    F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q5_K_S, Q4_K_M, Q4_K_S, Q3_K_L, Q3_K_M, Q3_K_S, Q2_K, Q5_1, Q5_0, Q4_1, Q4_0,
    IQ4_NL, IQ4_XS, N_MIX
};

static const struct phi_mix mixes[N_MIX] = {
    [F32] = {"f32", 0, PHI_F32},          [F16] = {"f16", 1, PHI_F16},          [BF16] = {"bf16", 32, PHI_BF16},
    [Q8_0] = {"q8_0", 7, PHI_Q8_0},       [Q6_K] = {"q6_k", 18, PHI_Q6_K},      [Q5_K_M] = {"q5_k_m", 17, PHI_Q5_K},
    [Q5_K_S] = {"q5_k_s", 16, PHI_Q5_K},  [Q4_K_M] = {"q4_k_m", 15, PHI_Q4_K},  [Q4_K_S] = {"q4_k_s", 14, PHI_Q4_K},
    [Q3_K_L] = {"q3_k_l", 13, PHI_Q3_K},  [Q3_K_M] = {"q3_k_m", 12, PHI_Q3_K},  [Q3_K_S] = {"q3_k_s", 11, PHI_Q3_K},
    [Q2_K] = {"q2_k", 10, PHI_Q2_K},      [Q5_1] = {"q5_1", 9, PHI_Q5_1},       [Q5_0] = {"q5_0", 8, PHI_Q5_0},
    [Q4_1] = {"q4_1", 3, PHI_Q4_1},       [Q4_0] = {"q4_0", 2, PHI_Q4_0},       [IQ4_NL] = {"iq4_nl", 25, PHI_IQ4_NL},
    [IQ4_XS] = {"iq4_xs", 30, PHI_IQ4_XS},
};

/* VALUE: attn_v, and attn_qkv, which holds it. */
enum role { OTHER, VALUE, MIXER, DOWN };

enum where {
    ALL,
    FIRST_2, FIRST_4,       /* layers */
    FIRST_8TH, FIRST_16TH,  /* share of the layers */
    MORE_BITS,              /* the first and the last eighth, and every third layer between */
    FIRST_8TH_WEIGHTED, FIRST_8TH_UNWEIGHTED, /* with, without an importance matrix */
    SHARED_4                /* all, where four or more query heads share a key head */
};

static const struct rule {
    enum mix_index mix;
    enum role role;
    enum where where;
    enum phi_type_index type;
} rules[] = {
    {Q4_0, DOWN, FIRST_8TH_WEIGHTED, PHI_Q4_1},
    {Q5_0, DOWN, FIRST_8TH_WEIGHTED, PHI_Q5_1},
    {Q2_K, VALUE, SHARED_4, PHI_Q4_K},
    {Q2_K, VALUE, ALL, PHI_Q3_K},
    {Q2_K, MIXER, ALL, PHI_Q3_K},
    {Q2_K, DOWN, ALL, PHI_Q3_K},
    {Q3_K_M, VALUE, FIRST_2, PHI_Q5_K},
    {Q3_K_M, VALUE, ALL, PHI_Q4_K},
    {Q3_K_M, MIXER, ALL, PHI_Q4_K},
    {Q3_K_M, DOWN, FIRST_16TH, PHI_Q5_K},
    {Q3_K_M, DOWN, ALL, PHI_Q4_K},
    {Q3_K_L, VALUE, ALL, PHI_Q5_K},
    {Q3_K_L, MIXER, ALL, PHI_Q5_K},
    {Q3_K_L, DOWN, ALL, PHI_Q5_K},
    {Q4_K_S, VALUE, FIRST_4, PHI_Q5_K},
    {Q4_K_S, DOWN, FIRST_8TH, PHI_Q5_K},
    {Q4_K_M, VALUE, MORE_BITS, PHI_Q6_K},
    {Q4_K_M, DOWN, MORE_BITS, PHI_Q6_K},
    {Q5_K_M, VALUE, MORE_BITS, PHI_Q6_K},
    {Q5_K_M, DOWN, MORE_BITS, PHI_Q6_K},
    {IQ4_NL, VALUE, SHARED_4, PHI_Q5_K},
    {IQ4_NL, DOWN, FIRST_8TH_UNWEIGHTED, PHI_Q5_K},
    {IQ4_XS, VALUE, SHARED_4, PHI_Q5_K},
    {IQ4_XS, DOWN, FIRST_8TH_UNWEIGHTED, PHI_Q5_K},
};

const struct phi_mix *phi_mix_at(size_t i) {
    return i < N_MIX ? &mixes[i] : NULL;
}

const struct phi_mix *phi_mix_find(const char *name) {
    for (int i = 0; i < N_MIX; i++) {
        const char *known = mixes[i].name;
        size_t n = strlen(known);
        if (strcasecmp(name, known) == 0) return &mixes[i];
        if (strcmp(known + n - 2, "_m") == 0 && strlen(name) == n - 2 && strncasecmp(name, known, n - 2) == 0) return &mixes[i];
    }
    return NULL;
}

const struct phi_type *phi_type_named(const char *name) {
    for (size_t i = 0; i < PHI_N_TYPE; i++)
        if (strcasecmp(phi_types[i].name, name) == 0) return &phi_types[i];
    return NULL;
}

/* The layer of "blk.LAYER.PART.weight", and its role. */
static enum role find_role(const char *name, size_t n_name, int *layer) {
    static const struct {
        const char *part;
        enum role role;
    } parts[] = {{"attn_qkv.weight", VALUE}, {"attn_v.weight", VALUE}, {"attn_output.weight", MIXER}, {"ffn_down.weight", DOWN}};
    size_t at = 4;
    if (n_name < 5 || memcmp(name, "blk.", 4) != 0) return OTHER;
    for (*layer = 0; at < n_name && name[at] >= '0' && name[at] <= '9' && *layer < 100000; at++)
        *layer = *layer * 10 + (name[at] - '0');
    if (at == 4 || at == n_name || name[at++] != '.') return OTHER;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strlen(parts[i].part) == n_name - at && memcmp(parts[i].part, name + at, n_name - at) == 0) return parts[i].role;
    return OTHER;
}

static bool holds(enum where where, const struct phi_mix_model *m, int layer) {
    int eighth = m->n_layer / 8;
    switch (where) {
    case ALL: return true;
    case FIRST_2: return layer < 2;
    case FIRST_4: return layer < 4;
    case FIRST_8TH: return layer < eighth;
    case FIRST_16TH: return layer < m->n_layer / 16;
    case MORE_BITS: return layer < eighth || layer >= 7 * m->n_layer / 8 || (layer - eighth) % 3 == 2;
    case FIRST_8TH_WEIGHTED: return m->weighted && layer < eighth;
    case FIRST_8TH_UNWEIGHTED: return !m->weighted && layer < eighth;
    case SHARED_4: return m->n_share >= 4;
    }
    return false;
}

static bool is(const char *name, size_t n_name, const char *wanted) {
    return strlen(wanted) == n_name && memcmp(name, wanted, n_name) == 0;
}

const struct phi_type *phi_mix_choose(const struct phi_mix *mix, const struct phi_mix_model *model, const char *name,
                                      size_t n_name) {
    int layer = 0;
    bool output = is(name, n_name, model->tied ? "token_embd.weight" : "output.weight");
    const struct phi_type *base = &phi_types[mix->base];
    if (model->pure) return base;
    if (output) return base->block == 1 || mix->base == PHI_Q8_0 ? base : &phi_types[PHI_Q6_K];
    enum role role = find_role(name, n_name, &layer);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (&mixes[rules[i].mix] == mix && rules[i].role == role && holds(rules[i].where, model, layer))
            return &phi_types[rules[i].type];
    return base;
}

const struct phi_type *phi_mix_fit(const struct phi_type *type, uint64_t n_col) {
    static const enum phi_type_index smaller[PHI_N_TYPE] = {
        [PHI_Q2_K] = PHI_Q4_0, [PHI_Q3_K] = PHI_Q4_0, [PHI_Q4_K] = PHI_Q5_0,
        [PHI_Q5_K] = PHI_Q5_1, [PHI_Q6_K] = PHI_Q8_0, [PHI_IQ4_XS] = PHI_IQ4_NL,
    };
    if (type->block == 256 && n_col % 256) type = &phi_types[smaller[type->index]];
    return n_col % (uint64_t)type->block ? &phi_types[PHI_F16] : type;
}

bool phi_mix_matches(const char *pattern, size_t n_pattern, const char *name, size_t n_name) {
    size_t from = 0; /* of the name: each piece of the pattern at its first place behind the piece before is enough */
    for (size_t at = 0; at <= n_pattern;) {
        const char *star = memchr(pattern + at, '*', n_pattern - at);
        size_t n = star ? (size_t)(star - pattern) - at : n_pattern - at, piece = at;
        at += n + 1;
        while (from + n <= n_name && memcmp(name + from, pattern + piece, n) != 0) from++;
        if (from + n > n_name) return false;
        from += n;
    }
    return true;
}
