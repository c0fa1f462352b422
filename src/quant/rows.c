/* Rows of weights from every format and into it: each format's decoder and encoder, block after block. */
#include "quant.h"

#define BLOCK(NAME, name, id, block, bytes, act)                                                                     \
    static void name##_decode_row(const uint8_t *w, float *x, size_t k) {                                             \
        for (size_t i = 0; i < k; i += (block), w += (bytes)) name##_decode(w, x + i);                                \
    }                                                                                                                \
    static void name##_encode_row(const float *x, const float *weight, uint8_t *w, size_t k) {                        \
        for (size_t i = 0; i < k; i += (block), w += (bytes)) name##_encode(x + i, weight + i, w);                    \
    }
#define PLAIN(NAME, name, id, bytes) BLOCK(NAME, name, id, 1, bytes, 0)
#include "quant.def"

static const struct {
    void (*decode)(const uint8_t *w, float *x, size_t k);
    void (*encode)(const float *x, const float *weight, uint8_t *w, size_t k);
} rows[PHI_N_TYPE] = {
#define BLOCK(NAME, name, id, block, bytes, act) {name##_decode_row, name##_encode_row},
#define PLAIN(NAME, name, id, bytes) {name##_decode_row, name##_encode_row},
#include "quant.def"
};

void phi_type_decode_row(const struct phi_type *type, const uint8_t *w, float *y, size_t k) {
    rows[type->index].decode(w, y, k);
}

void phi_type_encode_row(const struct phi_type *type, const float *x, const float *weight, uint8_t *w, size_t k) {
    rows[type->index].encode(x, weight, w, k);
}
