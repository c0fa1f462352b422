/* Encodes the weights of a tensor, by many threads, a few megabytes at a time. Knows no file and no model. */
#ifndef PHI_SRC_ENCODE_H
#define PHI_SRC_ENCODE_H

#include "quant/quant.h"
#include "team.h"

struct phi_encoder; /* threads and the buffers that they need: some 25 MiB */

int phi_encoder_open(int n_thread, struct phi_encoder **out, phi_error *err); /* PHI_MEMORY, PHI_FAILED */
void phi_encoder_close(struct phi_encoder *e);                                /* NULL is fine */

struct phi_encoding;

/* Where the bytes of a file go that is made of encoded tensors, and who is told how far it is. */
struct phi_encode_calls {
    int (*write)(void *user, const void *bytes, size_t n, phi_error *err); /* in order; negative: it has filled *err */
    /* done: of the c->total weights of the file. Non-zero stops: PHI_FAILED. NULL is fine. */
    int (*progress)(void *user, const struct phi_encoding *c, uint64_t done);
    void *user;
};

struct phi_encoding {
    const char *name; /* of the tensor, for errors; n_name bytes */
    size_t n_name;
    const struct phi_type *from, *to;
    const uint8_t *data;  /* n weights in the format `from` */
    uint64_t n, n_col;    /* n_col: of a row; a multiple of the blocks of both formats */
    const float *weight;  /* [n_col], finite and not negative: how much each column matters; NULL: all the same */
    const struct phi_encode_calls *calls;
    uint64_t before, total; /* weights of the file: of the tensors before this one, and all */
    uint64_t n_changed; /* out: weights whose value is another now; counted only for the format F16 */
};

/* The bytes depend on the weights alone. PHI_MODEL: a weight is NaN, infinite or beyond the range of the format; the sentence
 * names tensor, row and column, and the first such place. PHI_MEMORY, PHI_FAILED, and what write returns. */
int phi_encode(struct phi_encoder *e, struct phi_encoding *c, phi_error *err);

/* Tell of done weights of this tensor, as phi_encode() does. PHI_FAILED: stop. */
int phi_encode_tell(const struct phi_encoding *c, uint64_t done, phi_error *err);

#endif
