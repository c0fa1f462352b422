/* Makes a model file smaller: every matrix is encoded in the format that a mix chooses for it, everything else is kept. The
 * same file for every number of threads and on every CPU. Opens no file: it reads a mapped one, and its bytes go to a function
 * of the caller. */
#ifndef PHI_SRC_QUANTIZE_H
#define PHI_SRC_QUANTIZE_H

#include "encode.h"
#include "gguf_write.h"
#include "imatrix.h"
#include "mix.h"

enum { PHI_QUANTIZE_RULES = 64 };

struct phi_quantize_options {
    const struct phi_mix *mix;
    const struct phi_type *output, *embedding; /* of the output matrix, of the embedding; NULL: by the mix */
    bool leave_output;                         /* output.weight stays as it is */
    bool pure;                                 /* the base of the mix for all matrices */
    bool requantize;                           /* the source may be quantised already */
    struct phi_quantize_rule {
        const char *pattern; /* phi_mix_matches() */
        size_t n;
        const struct phi_type *type;
    } rule[PHI_QUANTIZE_RULES]; /* the first that fits counts */
    int n_rule;
    const struct phi_imatrix *imatrix; /* NULL: all columns matter the same */
    const char *imatrix_name;          /* of its file, for the metadata; NULL: not said */
};

struct phi_quantize_plan {
    const struct phi_gguf *in;
    const struct phi_quantize_options *options;
    const struct phi_type **type;  /* [in->n_tensor]: the new formats */
    struct phi_bytes header;       /* all before the tensors */
    uint64_t alignment;
    uint64_t file_bytes, tensor_bytes; /* of the new file */
    uint64_t n_unweighted;             /* matrices to encode that the importance matrix does not know */
};

/* Choose the formats and make the header; in and options live as long as the plan. PHI_USAGE (a rule that fits no tensor, the
 * importance matrix of another model, a source that is quantised already), PHI_MODEL, PHI_MEMORY. phi_quantize_close() after
 * either. */
int phi_quantize_plan(const struct phi_gguf *in, const struct phi_quantize_options *options, struct phi_quantize_plan *plan,
                      phi_error *err);
void phi_quantize_close(struct phi_quantize_plan *plan);

/* Write the file; progress is told of each tensor, and some times of a large one. PHI_MODEL: a weight is NaN, infinite, or beyond
 * the range of the format; the sentence names the tensor and the place. PHI_MEMORY, PHI_FAILED, and what write returns. */
int phi_quantize_write(const struct phi_quantize_plan *plan, int n_thread, const struct phi_encode_calls *calls, phi_error *err);

#endif
