/* What bounds a model's speed: the bytes and operations of a pass counted by hand for the demo model, the read test
 * that must see every byte, the burst of products, and what a session can go back to. No time is compared. */
#include "../src/kernels/kernels.h"
#include "../src/limits.h"
#include "check.h"

static void check_counts(const phi_session *s) {
    /* 8 layers of 256: q, k, v, o 256 rows each in Q4_0 */
    const struct phi_model *m = s->model;
    double layer = 0, bytes = 0;
    for (int i = 0; i < m->n_layer; i++) {
        double q = (double)m->n_head * m->head_dim, kv = (double)m->n_head_kv * m->head_dim;
        layer += 2.0 * m->n_embd * (q + 2 * kv + q + 3.0 * m->n_ff);
        bytes += m->n_embd * (q + 2 * kv + q + 3.0 * m->n_ff) * 18 / 32 + 2.0 * m->n_embd * 4;
    }
    bytes += (double)m->head.rows * (double)m->head.row_bytes + m->n_embd * 4.0;
    CHECK(phi_limits_operations(m) == layer, "%g operations, not %g", phi_limits_operations(m), layer);
    CHECK((double)phi_limits_weight_bytes(m) == bytes, "%g bytes, not %g", (double)phi_limits_weight_bytes(m), bytes);
}

static void check_cache(const phi_model *model, struct phi_session_options o) {
    phi_session *s;
    CHECK(phi_session_open(model, &o, &s, NULL) == PHI_OK, "open");
    struct phi_session_info info;
    phi_session_get_info(s, &info);
    uint64_t row = info.kv_bytes / 64; /* a context of 64 has as many rows */
    CHECK(phi_limits_cache_bytes(s, 0, 1) == row, "%llu bytes of a row, not %llu",
          (unsigned long long)phi_limits_cache_bytes(s, 0, 1), (unsigned long long)row);
    CHECK(phi_limits_cache_bytes(s, 0, 48) == 48 * row && phi_limits_cache_bytes(s, 47, 1) == 48 * row, "48 tokens");
    CHECK(phi_limits_rewinds(s, 3, 64) && phi_limits_rewinds(s, 0, 64), "a whole context is there to go back to");
    phi_session_close(s);
    o.window = 8;
    CHECK(phi_session_open(model, &o, &s, NULL) == PHI_OK, "open");
    CHECK(phi_limits_cache_bytes(s, 47, 1) == 8 * row && phi_limits_cache_bytes(s, 20, 4) == 11 * row,
          "a window of 8");
    CHECK(phi_limits_rewinds(s, 3, 8) && !phi_limits_rewinds(s, 3, 9), "going back with a window of 8");
    phi_session_close(s);
}

static uint64_t byte_sum(const struct phi_mat *w) {
    uint64_t sum = 0, n = (uint64_t)w->rows * w->row_bytes;
    for (uint64_t i = 0; i < n; i++) /* read as 64-bit numbers, little-endian, that wrap */
        sum += i < n / 64 * 64 ? (uint64_t)w->data[i] << 8 * (i % 8) : w->data[i];
    return sum;
}

static void check_read(const phi_model *model, struct phi_session_options o) {
    const struct phi_model *m = model;
    uint64_t want = byte_sum(&m->head), sum = 0;
    for (int i = 0; i < m->n_layer; i++) {
        const struct phi_layer *l = &m->layer[i];
        const struct phi_mat *mat[] = {&l->wq, &l->wk, &l->wv, &l->wo, &l->gate, &l->up, &l->down};
        for (int k = 0; k < 7; k++) want += byte_sum(mat[k]);
    }
    for (o.n_threads = 1; o.n_threads <= 3; o.n_threads++) {
        phi_session *s;
        CHECK(phi_session_open(model, &o, &s, NULL) == PHI_OK, "open");
        double seconds = phi_limits_read(s, &sum);
        CHECK(sum == want && seconds >= 0, "%d threads read something else", o.n_threads);
        CHECK(phi_limits_peak(s) > 0, "no products with %d threads", o.n_threads);
        phi_session_close(s);
    }
}

int main(void) {
    phi_model *model = NULL;
    phi_session *s = NULL;
    phi_error err = {""};
    struct phi_session_options o = phi_session_options_default();
    o.n_ctx = 64;
    o.force_threads = true;
    if (phi_model_open("models/demo.gguf", &model, &err)) {
        CHECK(false, "%s", err.text);
        return check_done("check_limits");
    }
    CHECK(phi_session_open(model, &o, &s, &err) == PHI_OK, "%s", err.text);
    check_counts(s);
    phi_session_close(s);
    check_cache(model, o);
    o.type_k = PHI_KV_Q8_0;
    o.type_v = PHI_KV_F32;
    check_cache(model, o);
    check_read(model, o);
    phi_model_close(model);
    const char *name;
    for (int i = 0; (name = phi_kernels_level(i)); i++) {
        struct phi_kernels k;
        CHECK(phi_kernels_select(name, &k) == 0 && k.peak && k.peak() >= 1000, "%s makes no products", name);
    }
    return check_done("check_limits");
}
