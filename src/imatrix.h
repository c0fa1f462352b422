/* Importance matrices: for each weight matrix the mean square of every input column over a calibration text, by which
 * encoders weigh errors. Reads llama.cpp's GGUF form and the older .dat form; both are hostile input. */
#ifndef PHI_SRC_IMATRIX_H
#define PHI_SRC_IMATRIX_H

#include "gguf_write.h"

/* ---- Reading (imatrix.c) ---- */

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

/* ---- Making (imatrix_collect.c) ---- */

struct phi_imatrix_collector;

/* From now on, until close, watch the inputs of the session's matrices; the result does not depend on threads or passes.
 * head: of the output matrix too (with tied embeddings that is the embedding). The session must outlive the collector, which
 * the caller owns. PHI_MEMORY. */
int phi_imatrix_collect_open(phi_session *session, bool head, struct phi_imatrix_collector **out, phi_error *err);
void phi_imatrix_collect_close(struct phi_imatrix_collector *c); /* NULL is fine */

/* One chunk of text, from an empty session on, computed and counted. An interrupted chunk must not be written. Errors as of
 * phi_session_eval(). */
int phi_imatrix_collect(struct phi_imatrix_collector *c, const int32_t *ids, size_t n, phi_progress_fn *progress, void *user,
                        phi_error *err);

/* All that was collected as the bytes of a GGUF file, in *out (all zero before), which the caller owns. dataset: the text's
 * name; n_chunk chunks of chunk_size tokens. PHI_MEMORY. */
int phi_imatrix_collect_encode(const struct phi_imatrix_collector *c, const char *dataset, uint32_t n_chunk,
                               uint32_t chunk_size, struct phi_bytes *out, phi_error *err);

#endif
