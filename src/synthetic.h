/* Models of the Phi-3 family with random weights, as GGUF: to measure speed and memory without a download.
 * What such a model writes is noise. */
#ifndef PHI_SRC_SYNTHETIC_H
#define PHI_SRC_SYNTHETIC_H

#include "gguf.h"

/* Hyper-parameters from the models' config.json. A key whose field is absent is left out of the file. */
struct phi_synthetic_shape {
    const char *name, *title;
    int embd, layers, heads, kv_heads, ff, vocab, ctx;
    int rot;      /* 0 = the whole head */
    int orig_ctx; /* 0 = absent */
    int window;   /* -1 = absent */
    int theta;    /* 0 = absent */
    int longrope; /* 1: two tensors of rotary factors, and the attention factor */
    int tied;     /* 1: no output.weight */
    int split;    /* 1: attn_q, attn_k, attn_v, ffn_gate, ffn_up instead of attn_qkv and the fused ffn_up */
};

enum { PHI_SYNTHETIC_OVERRIDES = 32, PHI_SYNTHETIC_MIN_VOCAB = 271 };

struct phi_synthetic {
    struct phi_synthetic_shape shape;
    const struct phi_synthetic_mix *mix;
    const struct phi_gguf *vocab; /* the file whose vocabulary is copied, its size in shape.vocab; NULL: one is made up */
    uint64_t seed;
    struct {
        const char *pattern; /* part of a tensor's name */
        size_t n;
        const struct phi_type *type;
    } override[PHI_SYNTHETIC_OVERRIDES]; /* the last one that fits counts */
    int n_override;

    /* From phi_synthetic_plan(): */
    struct phi_synthetic_tensor *tensor;
    size_t n_tensor;
    uint64_t tensor_bytes; /* their sum */
    uint64_t data_bytes;   /* with the gaps between them */
};

/* Name i of the shapes and of the mixes of types; NULL when i is past the end. */
const char *phi_synthetic_shape_name(size_t i);
const char *phi_synthetic_mix_name(size_t i);
/* Fill p->shape, p->mix from their names. "phi-3-mini" is the first shape that begins so: phi-3-mini-4k. False: there
 * is none. */
bool phi_synthetic_find_shape(struct phi_synthetic *p, const char *name);
bool phi_synthetic_find_mix(struct phi_synthetic *p, const char *name);
/* A weight format by its name in any case; NULL: this build has none such. */
const struct phi_type *phi_synthetic_type(const char *name);

/* Lay out the tensors. PHI_USAGE: the shape does not work out; PHI_MEMORY. phi_synthetic_free() after either. */
int phi_synthetic_plan(struct phi_synthetic *p, phi_error *err);
void phi_synthetic_free(struct phi_synthetic *p);

/* Takes n bytes of the file, in order. Negative: it failed, and has filled *err. */
typedef int phi_synthetic_sink(void *user, const void *bytes, size_t n, phi_error *err);
/* Make the file of a plan, a megabyte at a time: a file of any size takes the same little memory. A tensor's bytes
 * depend on the seed and its place alone. PHI_MEMORY, and what the sink returns. */
int phi_synthetic_write(const struct phi_synthetic *p, phi_synthetic_sink *sink, void *user, phi_error *err);

#endif
