/* Makes the header of a GGUF file, version 3: keys, then the table of tensors, whose data the caller writes behind it. Knows
 * no model and opens no file. A header that ran out of memory takes nothing more, and says so at its end. */
#ifndef PHI_SRC_GGUF_WRITE_H
#define PHI_SRC_GGUF_WRITE_H

#include "gguf.h"

struct phi_bytes { /* grows; begin with all zero; data belongs to the owner: phi_free() */
    uint8_t *data;
    size_t n, room;
    bool failed;
};

void phi_bytes_add(struct phi_bytes *b, const void *data, size_t n);

struct phi_gguf_writer {
    struct phi_bytes kv, table;
    uint64_t n_kv, n_tensor;
    uint64_t alignment;    /* a power of two up to 64 KiB; 0 = 32. Another one than 32 needs its key: the caller's business */
    uint64_t tensor_bytes; /* sum over the tensors */
    uint64_t data_bytes;   /* with the gaps between them; behind the last one there is none */
};

void phi_gguf_write_u32(struct phi_gguf_writer *w, const char *key, uint32_t v);
void phi_gguf_write_f32(struct phi_gguf_writer *w, const char *key, float v);
void phi_gguf_write_bool(struct phi_gguf_writer *w, const char *key, bool v);
void phi_gguf_write_str(struct phi_gguf_writer *w, const char *key, const char *text, size_t n);
/* The key of an array of n elements, which the caller adds to w->kv: numbers as they are, strings by the next function. */
void phi_gguf_write_array(struct phi_gguf_writer *w, const char *key, enum phi_gguf_type element, uint64_t n);
void phi_gguf_add_str(struct phi_bytes *b, const char *text, size_t n);
void phi_gguf_write_kv(struct phi_gguf_writer *w, const struct phi_gguf_kv *kv); /* from another file, byte for byte */

/* Bytes of a tensor; dims as in struct phi_gguf_tensor. */
uint64_t phi_gguf_tensor_bytes(const struct phi_type *type, const uint64_t dim[4]);
/* The next tensor. Returns its bytes; the data of the tensor before ends on a multiple of the alignment. */
uint64_t phi_gguf_write_tensor(struct phi_gguf_writer *w, const char *name, size_t n_name, const struct phi_type *type,
                               int n_dim, const uint64_t dim[4]);
/* Zero bytes between a tensor of n bytes and the next. */
size_t phi_gguf_write_gap(const struct phi_gguf_writer *w, uint64_t n);

/* The whole header, with the zero bytes up to the first tensor's data, in *out (all zero before). PHI_MEMORY. */
int phi_gguf_write_header(const struct phi_gguf_writer *w, struct phi_bytes *out, phi_error *err);
void phi_gguf_write_close(struct phi_gguf_writer *w); /* leaves it all zero */

#endif
