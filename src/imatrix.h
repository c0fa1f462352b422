/* Importance matrices: for each weight matrix the mean square of every input column over a calibration text, by which
 * encoders weigh errors. Reads llama.cpp's GGUF form and the older .dat form; both are hostile input. */
#ifndef PHI_SRC_IMATRIX_H
#define PHI_SRC_IMATRIX_H

#include "gguf.h"

struct phi_imatrix;

struct phi_imatrix_info {
    uint64_t n_entry;       /* matrices that it knows */
    uint64_t n_chunk;       /* chunks of text that were seen; 0: the file does not say */
    struct phi_str dataset; /* the first of the texts, as the file names it; n = 0: not said. In the mapped file */
};

/* Read the file at path and check it completely: every number finite and not negative. On success *out is owned by the
 * caller: phi_imatrix_close(). PHI_MODEL, PHI_MEMORY; *err begins with the path. */
int phi_imatrix_open(const char *path, struct phi_imatrix **out, phi_error *err);
void phi_imatrix_close(struct phi_imatrix *m); /* NULL is fine */
void phi_imatrix_get_info(const struct phi_imatrix *m, struct phi_imatrix_info *out);

/* The importance of the n_col columns of the tensor called name, "blk.0.attn_qkv.weight": *row is float[n_col] and lives
 * as long as m. 1 = found, 0 = the file does not know the tensor (*row = NULL), PHI_USAGE = it has another number of
 * columns, so that it was made with another model. A matrix that no token has reached has 1 in every column. */
int phi_imatrix_find(const struct phi_imatrix *m, const char *name, size_t n_name, uint64_t n_col, const float **row,
                     phi_error *err);

#endif
