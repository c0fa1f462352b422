/* A matrix times activations: from the model's matrices to the kernels' slots, and the rounding of activations before
 * it. */
#include "session.h"

#include <string.h>

unsigned phi_mat_kinds(const struct phi_mat *w) {
    return 1u << w->type->act;
}

void phi_matmul(const struct phi_session *s, const struct phi_mat *w, int row, int n_row, const struct phi_acts *x,
                int n, float *y, size_t ldy, struct phi_scratch *scratch) {
    struct phi_matmul m = {
        .w = w->data + (size_t)row * w->row_bytes,
        .row_bytes = w->row_bytes,
        .n_row = n_row,
        .k = w->cols,
        .x = &x->kind[w->type->act],
        .col = 0,
        .n_col = n,
        .y = y,
        .ldy = ldy,
        .scratch = scratch->panel,
    };
    s->kernels.matmul[w->type->index](&m);
}

void phi_quantize(const struct phi_session *s, struct phi_acts *to, unsigned kinds, int col, int at, int n,
                  const float *x) {
    const struct phi_act *a = &to->kind[PHI_ACT_F32];
    if (kinds & 1u << PHI_ACT_F32) {
        float *f = a->f + (size_t)col * (size_t)a->k + at;
        if (f != x) memcpy(f, x, (size_t)n * sizeof *f);
    }
    if (kinds & 1u << PHI_ACT_Q8_32) {
        a = &to->kind[PHI_ACT_Q8_32];
        size_t i = (size_t)col * (size_t)a->k + (size_t)at;
        s->kernels.quantize_q8_32(x, n, a->q + i, a->scale + i / 32, a->sum + i / PHI_SUM_GROUP_32);
    }
    if (kinds & 1u << PHI_ACT_Q8_256) {
        a = &to->kind[PHI_ACT_Q8_256];
        size_t i = (size_t)col * (size_t)a->k + (size_t)at;
        s->kernels.quantize_q8_256(x, n, a->q + i, a->scale + i / 256, a->sum + i / PHI_SUM_GROUP_256);
    }
}
