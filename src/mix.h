/* Which format each tensor of a model gets when it is made smaller: llama.cpp's named mixes ("Q4_K_M") and its rules, so that
 * a file made here has the types of one made there (llama.cpp of October 2026; golden/mixes.txt in tests/ holds its own
 * answers). Knows tensor names and shapes, no data. */
#ifndef PHI_SRC_MIX_H
#define PHI_SRC_MIX_H

#include "quant/quant.h"

#include <stdbool.h>

struct phi_mix {
    const char *name;         /* as llama.cpp spells it, in lower case */
    uint32_t file_type;       /* general.file_type */
    enum phi_type_index base; /* of what no rule names */
};

/* Row i of the table; NULL when i is past its end. */
const struct phi_mix *phi_mix_at(size_t i);
/* By name, in any case; q3_k, q4_k, q5_k mean the _m mixes. NULL: there is none such. */
const struct phi_mix *phi_mix_find(const char *name);
/* A format by its name in any case; NULL: there is none such. */
const struct phi_type *phi_type_named(const char *name);

struct phi_mix_model {
    int n_layer;
    int n_share;   /* query heads that share a key head */
    bool tied;     /* there is no output.weight: the embedding is the output */
    bool weighted; /* an importance matrix is at hand */
    bool pure;     /* the base everywhere */
};

/* The format of the matrix called name with rows of n_col: the rules, without regard to whether it fits. */
const struct phi_type *phi_mix_choose(const struct phi_mix *mix, const struct phi_mix_model *model, const char *name,
                                      size_t n_name);
/* The nearest format whose blocks fit rows of n_col. */
const struct phi_type *phi_mix_fit(const struct phi_type *type, uint64_t n_col);

/* Is the word a pattern for tensor names? * stands for any text, all else for itself; true: *name has such a part. */
bool phi_mix_matches(const char *pattern, size_t n_pattern, const char *name, size_t n_name);

#endif
