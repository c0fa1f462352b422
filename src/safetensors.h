/* The weights of a Hugging Face folder: model.safetensors, or the shards that model.safetensors.index.json names. Every file is
 * hostile input: in the result each tensor's shape, type and range of bytes is proven. Knows no model. */
#ifndef PHI_SRC_SAFETENSORS_H
#define PHI_SRC_SAFETENSORS_H

#include "file.h"
#include "json.h"
#include "quant/quant.h"

struct phi_safetensor {
    const char *name;            /* NUL-terminated, and without NUL inside */
    const struct phi_type *type; /* F32, F16 or BF16; NULL: another one, named by dtype */
    const char *dtype;
    int n_dim;
    uint64_t dim[4]; /* as written: the longest stride first; none is 0, unused ones are 1 */
    const uint8_t *data;
    uint64_t n_bytes;
    uint32_t shard;
};

struct phi_safetensors {
    struct phi_shard {
        struct phi_file file;
        struct phi_json header; /* the tensors' names stand in it */
    } *shard;
    uint32_t n_shard;
    struct phi_safetensor *tensor; /* sorted by name */
    uint64_t n_tensor;
};

/* PHI_MODEL, PHI_MEMORY; on failure *out is all zero.
 *
 * Accepted: gaps between tensors, metadata, any order. Refused: a header that is no JSON object of tensors, tensors that
 * overlap, leave the file, have other bytes than their shape says, more than four dimensions or a name twice; shards outside
 * the folder; more than 4096 shards or 65536 tensors. */
int phi_safetensors_open(const char *folder, struct phi_safetensors *out, phi_error *err);
void phi_safetensors_close(struct phi_safetensors *s); /* a zeroed one is fine; leaves it zeroed */

const struct phi_safetensor *phi_safetensors_find(const struct phi_safetensors *s, const char *name); /* NULL: none such */

/* FOLDER/NAME, in memory of the caller: phi_free(). NULL: no memory. */
char *phi_folder_path(const char *folder, const char *name);
/* Parse a JSON file of a folder. 1 = there, 0 = there is no such file, or a negative status. */
int phi_folder_json(const char *folder, const char *name, struct phi_json *j, phi_error *err);

#endif
