/* config.json of a Hugging Face folder, of all ages: the hyper-parameters of a Phi3ForCausalLM. Hostile input. */
#ifndef PHI_SRC_HF_CONFIG_H
#define PHI_SRC_HF_CONFIG_H

#include "json.h"

enum { PHI_HF_MAX_FACTORS = 1024 };

struct phi_hf_config {
    int n_embd, n_ff, n_layer, n_head, n_head_kv, head_dim, n_rot, n_vocab, n_ctx, n_ctx_original;
    int window; /* 0: none */
    double norm_eps, rope_theta;
    bool tied;
    bool long_rope;
    double attn_factor; /* of cosine and sine, with long_rope */
    float long_factor[PHI_HF_MAX_FACTORS / 2], short_factor[PHI_HF_MAX_FACTORS / 2]; /* [n_rot / 2] */
    int64_t bos, eos, pad; /* -1: not said; of several ends the first */
};

/* PHI_MODEL: another architecture, a value that is missing or makes no sense. PHI_MEMORY. */
int phi_hf_config_read(const char *folder, struct phi_hf_config *c, phi_error *err);

/* An id, or the first of a list of ids; -1: neither. */
int64_t phi_hf_id(const struct phi_json *j, uint32_t object, const char *key);

#endif
