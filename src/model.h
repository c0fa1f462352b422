/* A model: hyper-parameters and weights, bound from a GGUF file by name, type and shape. Immutable once open; the
 * only place that knows tensor names. Kernels run on it without further checks. */
#ifndef PHI_SRC_MODEL_H
#define PHI_SRC_MODEL_H

#include "gguf.h"
#include "tokenizer.h"

/* A weight matrix in the file: rows x cols, y = W x. A fused tensor gives several, one behind the other. */
struct phi_mat {
    const uint8_t *data;
    const struct phi_type *type;
    int rows, cols;
    size_t row_bytes;
};

struct phi_layer {
    const float *attn_norm, *ffn_norm; /* [n_embd] */
    struct phi_mat wq;                 /* [n_head * head_dim][n_embd] */
    struct phi_mat wk, wv;             /* [n_head_kv * head_dim][n_embd] */
    struct phi_mat wo;                 /* [n_embd][n_head * head_dim] */
    struct phi_mat gate, up;           /* [n_ff][n_embd] */
    struct phi_mat down;               /* [n_embd][n_ff] */
};

enum { PHI_ROPE_SHORT, PHI_ROPE_LONG, PHI_N_ROPE };

/* What the architectures differ in: one row each, in model.c. */
struct phi_member {
    const char *architecture; /* general.architecture, and the prefix of its keys */
    bool interleaved; /* rows of Wq and Wk are stored so that a rotated pair is 2i, 2i+1 instead of i, i + n_rot/2 */
    bool window_4k;   /* a file for 4096 positions that states no window has one of 2047 */
};

struct phi_model {
    struct phi_gguf gguf;
    const struct phi_member *member;
    struct phi_tokenizer *tokenizer;
    struct phi_str name, architecture;

    int n_layer, n_embd, n_head, n_head_kv, head_dim, n_rot, n_ff, n_vocab;
    int n_ctx_train;    /* context_length */
    int n_ctx_original; /* below which the short rotary list holds; = n_ctx_train without LongRoPE */
    int window;         /* keys that a query sees, itself included; 0: all */
    float norm_eps;
    float rope_scale; /* on cos and sin: LongRoPE's mscale, else 1 */
    bool has_long_rope;
    float *inv_freq[PHI_N_ROPE]; /* [n_rot / 2] each */

    struct phi_mat embedding, head; /* [n_vocab][n_embd]; one tensor when tied */
    const float *output_norm;       /* [n_embd] */
    struct phi_layer *layer;        /* [n_layer]; NULL for a file that has a vocabulary only */

    const char *window_rule; /* why the window is what it is, for people */
    const char *warning;     /* a sentence about the file's limits; "" if there is none */

    bool *bound;      /* [gguf.n_tensor] while opening: tensors that the model uses */
    float *norm_copy; /* norms whose place in the file is not aligned for float; NULL if none */
};

#endif
