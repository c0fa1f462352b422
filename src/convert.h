/* A Hugging Face folder of a Phi3ForCausalLM becomes a GGUF file: metadata as llama.cpp expects it, matrices in one format,
 * vectors in F32. Writes no file: the bytes go to a function of the caller. */
#ifndef PHI_SRC_CONVERT_H
#define PHI_SRC_CONVERT_H

#include "encode.h"
#include "gguf_write.h"
#include "hf_config.h"
#include "safetensors.h"

struct phi_convert {
    struct phi_safetensors weights;
    struct phi_hf_config config;
    struct phi_convert_tensor *tensor; /* in the order of the file */
    size_t n_tensor;
    struct phi_bytes header;
    uint64_t file_bytes, n_weight;
    bool placeholder;      /* the folder has no tokenizer: see hf_tokenizer.h */
    const struct phi_type *type; /* of the matrices; NULL before: that of the source */
};

/* Read and check the folder, lay out the file. type: F32, BF16, F16, Q8_0, or NULL: each matrix keeps its own, bit for bit.
 * PHI_MODEL, PHI_MEMORY. phi_convert_close() after either. */
int phi_convert_open(const char *folder, const struct phi_type *type, struct phi_convert *c, phi_error *err);
void phi_convert_close(struct phi_convert *c);

/* *n_changed: matrix weights that have another value in F16. Errors as of phi_quantize_write(). */
int phi_convert_write(const struct phi_convert *c, int n_thread, const struct phi_encode_calls *calls, uint64_t *n_changed,
                      phi_error *err);

#endif
