/* Are the weights numbers at all? Looks for NaN and infinity in every tensor of an open model. A block of a format is
 * finite exactly if its scales are; where those stand, the format's own decoder tells, so that no format needs to be
 * known here. Reads the whole file once, and nothing else does: opening a model only reads its header. */
#include "model.h"
#include "quant/bits.h"

#include <math.h>

enum { MAX_SCALE = 8, MAX_BLOCK = 256, MAX_BYTES = 1024 };

/* Two bytes of a block whose exponent bits all set mean NaN or infinity. */
struct scales {
    int n, at[MAX_SCALE];
    uint16_t mask; /* the exponent */
};

/* A block of zeros with an f16 NaN at one place decodes to a NaN if and only if that place is a scale: NaN times zero
 * is NaN, and as other bits the pattern is harmless. */
static void find_scales(const struct phi_type *type, struct scales *out) {
    uint8_t block[MAX_BYTES] = {0};
    float y[MAX_BLOCK];
    out->n = 0;
    out->mask = 0x7c00;
    for (int at = 0; at + 2 <= type->bytes && out->n < MAX_SCALE; at++) { /* Never: more scales, no format has as many */
        bool nan = false;
        block[at + 1] = 0x7e;
        type->decode(block, y);
        block[at + 1] = 0;
        for (int i = 0; i < type->block; i++) nan = nan || isnan(y[i]);
        if (nan) out->at[out->n++] = at;
    }
}

/* The formats without blocks: the upper half of an F32 has its exponent. */
static struct scales plain_scales(const struct phi_type *type) {
    return (struct scales){
        .n = 1, .at = {type->index == PHI_F32 ? 2 : 0}, .mask = type->index == PHI_F16 ? 0x7c00 : 0x7f80};
}

/* The first block that is not finite; n_block if all are. */
static uint64_t find_bad(const struct phi_gguf_tensor *t, const struct scales *s, uint64_t n_block) {
    const uint8_t *block = t->data;
    for (uint64_t i = 0; i < n_block; i++, block += t->type->bytes)
        for (int k = 0; k < s->n; k++)
            if ((load_u16(block + s->at[k]) & s->mask) == s->mask) return i;
    return n_block;
}

int phi_model_verify(const phi_model *m, phi_error *err) {
    struct scales scales[PHI_N_TYPE];
    for (int t = 0; t < PHI_N_TYPE; t++) {
        if (phi_types[t].block == 1)
            scales[t] = plain_scales(&phi_types[t]);
        else
            find_scales(&phi_types[t], &scales[t]);
    }
    for (uint64_t i = 0; i < m->gguf.n_tensor; i++) {
        const struct phi_gguf_tensor *t = &m->gguf.tensor[i];
        uint64_t n_block = t->n_bytes / (uint64_t)t->type->bytes, bad = find_bad(t, &scales[t->type->index], n_block);
        char quoted[PHI_QUOTE_SIZE];
        if (bad == n_block) continue;
        uint64_t weight = bad * (uint64_t)t->type->block;
        return phi_file_fail(m->gguf.file.path, err, PHI_MODEL,
                             "tensor '%s' (%s) is not finite in row %llu, column %llu; download the file again",
                             phi_quote(quoted, t->name.s, (size_t)t->name.n), t->type->name,
                             (unsigned long long)(weight / t->dim[0]), (unsigned long long)(weight % t->dim[0]));
    }
    return PHI_OK;
}
