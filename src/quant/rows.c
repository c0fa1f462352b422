/* Rows of weights from every format and into it: each format's decoder and encoder, block after block. */
#include "quant.h"

#define BLOCK(NAME, name, id, block, bytes, act)                                                                     \
    static void name##_decode_row(const uint8_t *w, float *x, size_t k) {                                            \
        for (size_t i = 0; i < k; i += (block), w += (bytes)) name##_decode(w, x + i);                               \
    }                                                                                                                \
    static void name##_encode_row(const float *x, const float *weight, uint8_t *w, size_t k) {                       \
        for (size_t i = 0; i < k; i += (block), w += (bytes))                                                        \
            name##_encode(x + i, weight ? weight + i : NULL, w);                                                     \
    }
/* In stretches of a constant length between arrays of its own, which become vectors. */
#define PLAIN(NAME, name, id, bytes)                                                                                 \
    static void name##_decode_row(const uint8_t *w, float *x, size_t k) {                                            \
        for (; k >= 16; k -= 16, w += 16 * (bytes), x += 16) {                                                       \
            uint8_t from[16 * (bytes)];                                                                              \
            float to[16];                                                                                            \
            memcpy(from, w, sizeof from);                                                                            \
            for (int i = 0; i < 16; i++) name##_decode(from + i * (bytes), to + i);                                  \
            memcpy(x, to, sizeof to);                                                                                \
        }                                                                                                            \
        for (; k; k--, w += (bytes), x++) name##_decode(w, x);                                                       \
    }                                                                                                                \
    static void name##_encode_row(const float *x, const float *weight, uint8_t *w, size_t k) {                       \
        for (size_t i = 0; i < k; i++) name##_encode(x + i, weight, w + i * (bytes));                                \
    }
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
