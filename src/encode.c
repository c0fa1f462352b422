/* A tensor through the encoders of quant/: cut into pieces of whole blocks, which threads take one by one. Rows may be of any
 * length: a piece is a stretch of weights, and ends where a row ends only by chance. */
#include "encode.h"
#include "memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum {
    PIECE = 1 << 14,        /* weights; a multiple of every block */
    SLAB_PIECES = 256,      /* whose result is written at once: at most 16 MiB */
    SLAB = PIECE * SLAB_PIECES
};

struct phi_encoder {
    struct phi_team *team;
    int n_thread;
    float *scratch;  /* [n_thread][PIECE] */
    float *weight;   /* [n_weight]: the importance of the columns, scaled */
    uint64_t n_weight;
    uint8_t *out;    /* [SLAB] weights of 4 bytes */
    /* Of the slab in work: */
    const struct phi_encoding *job;
    uint64_t first, n; /* of its weights in the tensor */
    struct piece {
        uint64_t bad; /* place in the tensor of the first weight that cannot be encoded; UINT64_MAX: none */
        uint64_t n_changed;
    } piece[SLAB_PIECES];
};

int phi_encoder_open(int n_thread, struct phi_encoder **out, phi_error *err) {
    struct phi_encoder *e = *out = phi_alloc(1, sizeof *e);
    if (e) {
        e->n_thread = n_thread;
        e->scratch = phi_alloc((size_t)n_thread * PIECE, sizeof *e->scratch);
        e->out = phi_pages_alloc((size_t)SLAB * sizeof(float));
    }
    int status = e && e->scratch && e->out ? phi_team_open(n_thread, false, &e->team, err)
                                                      : phi_fail(err, PHI_MEMORY, "not enough memory to encode weights");
    if (!status) return status;
    phi_encoder_close(e);
    *out = NULL;
    return status;
}

void phi_encoder_close(struct phi_encoder *e) {
    if (!e) return;
    if (e->team) phi_team_close(e->team);
    phi_pages_free(e->out, (size_t)SLAB * sizeof(float));
    phi_free(e->scratch);
    phi_free(e->weight);
    phi_free(e);
}

/* The largest that a format can take: F16 and every scale end at 65504. */
static float limit_of(const struct phi_type *type) {
    return type->index == PHI_F32 || type->index == PHI_BF16 ? 0x1.fep127f : 65504.0f;
}

/* The place of the first of n values that is NaN, infinite or beyond the limit; n: none. */
static size_t find_bad(const float *x, size_t n, float limit) {
    size_t i = 0;
    uint32_t room = 0x7fffffffu - f32_bits(limit), top = 0; /* as bits NaN and infinity are the largest: then the highest bit is set */
    for (; n - i >= 64; i += 64) {
        for (int k = 0; k < 64; k++) top |= (f32_bits(x[i + (size_t)k]) & 0x7fffffffu) + room;
        if (top >> 31) break;
    }
    while (i < n && fabsf(x[i]) <= limit) i++;
    return i;
}

static uint64_t count_changed(const float *x, const uint8_t *w, size_t n) {
    uint64_t changed = 0;
    for (size_t i = 0; i < n; i++) changed += load_f16(w + 2 * i) != x[i];
    return changed;
}

static void encode_piece(void *arg, int chunk, int thread) {
    struct phi_encoder *e = arg;
    const struct phi_encoding *c = e->job;
    const struct phi_type *from = c->from, *to = c->to;
    uint64_t at = (uint64_t)chunk * PIECE; /* in the slab */
    size_t n = (size_t)(e->n - at < PIECE ? e->n - at : PIECE);
    float *x = e->scratch + (size_t)thread * PIECE;
    uint8_t *out = e->out + at / (uint64_t)to->block * (uint64_t)to->bytes;
    struct piece *piece = &e->piece[chunk];
    at += e->first;
    phi_type_decode_row(from, c->data + at / (uint64_t)from->block * (uint64_t)from->bytes, x, n);
    size_t bad = find_bad(x, n, limit_of(to));
    *piece = (struct piece){bad < n ? at + bad : UINT64_MAX, 0};
    if (bad < n) return;
    for (size_t i = 0, step; i < n; i += step) {
        uint64_t col = (at + i) % c->n_col;
        step = c->n_col - col < n - i ? (size_t)(c->n_col - col) : n - i;
        const float *weight = c->weight ? e->weight + col : NULL;
        phi_type_encode_row(to, x + i, weight, out + i / (size_t)to->block * (size_t)to->bytes, step);
    }
    if (to->index == PHI_F16) piece->n_changed = count_changed(x, out, n);
}

static int fail_at(const struct phi_encoding *c, uint64_t at, phi_error *err) {
    char quoted[PHI_QUOTE_SIZE];
    float v[256];
    uint64_t block = at / (uint64_t)c->from->block;
    c->from->decode(c->data + block * (uint64_t)c->from->bytes, v);
    double value = v[at % (uint64_t)c->from->block];
    phi_quote(quoted, c->name, c->n_name);
    if (isfinite(value))
        return phi_fail(err, PHI_MODEL,
                        "tensor '%s': row %" PRIu64 ", column %" PRIu64 " is %g, beyond the range of %s (%g); keep it in F32 or BF16",
                        quoted, at / c->n_col, at % c->n_col, value, c->to->name, (double)limit_of(c->to));
    return phi_fail(err, PHI_MODEL, "tensor '%s': row %" PRIu64 ", column %" PRIu64 " is %s; the file is damaged", quoted,
                    at / c->n_col, at % c->n_col, isnan(value) ? "NaN" : "infinite");
}

/* The importance with a mean of 1, so that no sum overflows, and with a little for columns that no text has reached. */
static int scale_weight(struct phi_encoder *e, const struct phi_encoding *c, phi_error *err) {
    double sum = 0;
    if (c->n_col > e->n_weight) {
        float *grown = c->n_col > SIZE_MAX ? NULL : phi_realloc(e->weight, (size_t)c->n_col, sizeof *grown);
        if (!grown) return phi_fail(err, PHI_MEMORY, "not enough memory for the importance of %" PRIu64 " columns", c->n_col);
        e->weight = grown;
        e->n_weight = c->n_col;
    }
    for (uint64_t i = 0; i < c->n_col; i++) sum += (double)c->weight[i];
    double mean = sum / (double)c->n_col;
    for (uint64_t i = 0; i < c->n_col; i++) e->weight[i] = mean > 0 ? (float)((double)c->weight[i] / mean + 1e-6) : 1.0f;
    return PHI_OK;
}

int phi_encode_tell(const struct phi_encoding *c, uint64_t done, phi_error *err) {
    bool stop = c->calls->progress && c->calls->progress(c->calls->user, c, c->before + done);
    return stop ? phi_fail(err, PHI_FAILED, "interrupted") : PHI_OK;
}

int phi_encode(struct phi_encoder *e, struct phi_encoding *c, phi_error *err) {
    int status = c->weight ? scale_weight(e, c, err) : PHI_OK;
    e->job = c;
    c->n_changed = 0;
    for (e->first = 0; e->first < c->n && !status; e->first += e->n) {
        e->n = c->n - e->first < SLAB ? c->n - e->first : SLAB;
        int n_piece = (int)((e->n + PIECE - 1) / PIECE);
        phi_team_run(e->team, e->n_thread, encode_piece, e, n_piece);
        for (int i = 0; i < n_piece && !status; i++) {
            if (e->piece[i].bad != UINT64_MAX) status = fail_at(c, e->piece[i].bad, err);
            c->n_changed += e->piece[i].n_changed;
        }
        if (!status)
            status = c->calls->write(c->calls->user, e->out, (size_t)(e->n / (uint64_t)c->to->block * (uint64_t)c->to->bytes), err);
        if (!status) status = phi_encode_tell(c, e->first + e->n, err);
    }
    return status;
}
