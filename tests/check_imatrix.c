/* Importance matrices: both file forms are read, every cut and every bent byte is refused or read without harm, and
 * so is a lack of memory at every allocation. What is made from a text is the same for every thread count and pass
 * size, and in the first layer what the embedding and the norm say. */
#include "../src/imatrix.h"
#include "../src/memory.h"
#include "../src/model.h"
#include "gguf_writer.h"

static const char attn[] = "blk.0.attn_qkv.weight", down[] = "blk.0.ffn_down.weight";
static char dir[512], path[600];

static struct gguf_writer make_gguf(void) {
    struct gguf_writer w = gguf_begin(3);
    gguf_str(&w, "general.type", "imatrix");
    if (gguf_array(&w, "imatrix.datasets", PHI_GGUF_STRING, 1)) gguf_string(&w.kv, "cal.txt", 7);
    gguf_u32(&w, "imatrix.chunk_count", 3);
    gguf_u32(&w, "imatrix.chunk_size", 512);
    gguf_tensor(&w, "blk.0.ffn_down.weight.in_sum2", 0, (uint64_t[]){4, 1}, 2, (float[]){0, 1, 2, 3}, 16);
    gguf_tensor(&w, "blk.0.ffn_down.weight.counts", 0, (uint64_t[]){1, 1}, 2, (float[]){4}, 4);
    gguf_tensor(&w, "blk.0.attn_qkv.weight.in_sum2", 0, (uint64_t[]){2, 1}, 2, (float[]){8, 2}, 8);
    gguf_tensor(&w, "blk.0.attn_qkv.weight.counts", 0, (uint64_t[]){1, 1}, 2, (float[]){0}, 4);
    gguf_end(&w);
    return w;
}

static struct gguf_bytes make_dat(void) {
    struct gguf_bytes b = {0};
    gguf_number(&b, 2, 4);
    gguf_number(&b, sizeof down - 1, 4);
    gguf_append(&b, down, sizeof down - 1);
    gguf_number(&b, 4, 4); /* calls */
    gguf_number(&b, 4, 4);
    gguf_append(&b, (float[]){0, 1, 2, 3}, 16);
    gguf_number(&b, sizeof attn - 1, 4);
    gguf_append(&b, attn, sizeof attn - 1);
    gguf_number(&b, 0, 4);
    gguf_number(&b, 2, 4);
    gguf_append(&b, (float[]){8, 2}, 8);
    gguf_number(&b, 3, 4);
    gguf_number(&b, 7, 4);
    gguf_append(&b, "cal.txt", 7);
    return b;
}

/* What stands in both. */
static void check_content(const char *form) {
    struct phi_imatrix *m = NULL;
    struct phi_imatrix_info info;
    const float *row;
    phi_error err = {""};
    int e = phi_imatrix_open(path, &m, &err);
    CHECK(e == 0, "%s: %s", form, err.text);
    if (e) return;
    phi_imatrix_get_info(m, &info);
    CHECK(info.n_entry == 2 && info.n_chunk == 3, "%s: %d entries, %d chunks", form, (int)info.n_entry,
          (int)info.n_chunk);
    CHECK(info.dataset.n == 7 && memcmp(info.dataset.s, "cal.txt", 7) == 0, "%s: the text", form);
    CHECK(phi_imatrix_find(m, down, sizeof down - 1, 4, &row, &err) == 1 && row[0] == 0 && row[3] == 0.75f,
          "%s: means", form);
    CHECK(phi_imatrix_find(m, attn, sizeof attn - 1, 2, &row, &err) == 1 && row[0] == 1 && row[1] == 1,
          "%s: no token has been there", form);
    CHECK(phi_imatrix_find(m, "blk.0.ffn_up.weight", 19, 4, &row, &err) == 0 && !row, "%s: an unknown matrix", form);
    CHECK(phi_imatrix_find(m, down, sizeof down - 1, 5, &row, &err) == PHI_USAGE && strstr(err.text, "has 4 columns"),
          "%s: another width: %s", form, err.text);
    phi_imatrix_close(m);
}

/* 0: it opened and what it says is sound. */
static int try_open(void) {
    struct phi_imatrix *m = NULL;
    struct phi_imatrix_info info;
    const float *row;
    phi_error err = {""};
    unsigned long long live = phi_memory_live();
    int e = phi_imatrix_open(path, &m, &err);
    CHECK(e == 0 || (!m && strlen(err.text) > 10 && !strpbrk(err.text, "\n\x1b")), "status %d: %s", e, err.text);
    if (!e) {
        phi_imatrix_get_info(m, &info);
        if (phi_imatrix_find(m, down, sizeof down - 1, 4, &row, &err) == 1)
            for (int i = 0; i < 4; i++) CHECK(row[i] >= 0 && isfinite(row[i]), "importance %g", (double)row[i]);
        CHECK(info.n_entry > 0 && info.dataset.n < 4096, "%d entries", (int)info.n_entry);
    }
    phi_imatrix_close(m);
    CHECK(phi_memory_live() == live, "leak");
    return e;
}

static void check_damage(const uint8_t *file, size_t n) {
    uint8_t *copy = malloc(n);
    unsigned long long seed = check_seed();
    int opened = 0;
    if (!copy) abort();
    for (size_t cut = 1; cut < n; cut++) {
        gguf_write_file(path, file, cut);
        opened += try_open() == 0;
    }
    CHECK(opened < 64, "%d of %zu cut files opened", opened, n);
    for (int i = 0; i < 1500; i++) {
        memcpy(copy, file, n);
        for (int k = 0; k < 1 + i % 3; k++) copy[check_random(&seed) % n] = (uint8_t)check_random(&seed);
        gguf_write_file(path, copy, n);
        try_open();
    }
    free(copy);
}

static void check_refused(const char *key, enum gguf_place place, size_t behind, uint64_t v, const char *says) {
    struct gguf_writer w = make_gguf();
    struct phi_imatrix *m = NULL;
    phi_error err = {""};
    gguf_put(&w, gguf_where(&w, key, place) + behind, v, 4);
    gguf_save(&w, path);
    int e = phi_imatrix_open(path, &m, &err);
    CHECK(e == PHI_MODEL && strstr(err.text, says), "%s: status %d: %s", key, e, err.text);
    phi_imatrix_close(m);
    gguf_free(&w);
}

static void check_refusals(void) {
    struct gguf_writer w = make_gguf();
    size_t data = w.file.n - w.data.n;
    check_refused("general.type", GGUF_AT_VALUE, 8, 'x', "general.type is not 'imatrix'");
    check_refused("blk.0.ffn_down.weight.counts", GGUF_AT_NAME, 8, 0x6b6c6278, "no counts");
    check_refused("blk.0.ffn_down.weight.in_sum2", GGUF_AT_TYPE, 0, 1, "expected F32");
    check_refused("blk.0.ffn_down.weight.counts", GGUF_AT_VALUE, 4, 2, "more than one matrix");
    gguf_put(&w, data + 4, 0x7f800000, 4); /* infinity */
    gguf_save(&w, path);
    CHECK(try_open() == PHI_MODEL, "an infinite sum");
    gguf_put(&w, data + 4, 0xbf800000, 4); /* -1 */
    gguf_save(&w, path);
    CHECK(try_open() == PHI_MODEL, "a negative sum");
    gguf_free(&w);
    gguf_write_file(path, "GGUF", 4);
    CHECK(try_open() == PHI_MODEL, "a magic alone");
    struct gguf_bytes b = make_dat();
    memcpy(b.p + 4 + 4 + (sizeof down - 1) + 4 + 4 + 16 + 4, down, sizeof down - 1);
    gguf_write_file(path, b.p, b.n);
    CHECK(try_open() == PHI_MODEL, "one name twice");
    free(b.p);
}

static void check_memory(void) {
    struct phi_imatrix *m;
    unsigned long long live = phi_memory_live();
    for (unsigned long long n = 1, e = 1; e; n++) {
        phi_error err = {""};
        phi_memory_fail_at(n);
        int status = phi_imatrix_open(path, &m, &err);
        phi_memory_fail_at(0);
        CHECK(status == 0 || status == PHI_MEMORY, "allocation %d: %s", (int)n, err.text);
        CHECK(n < 100, "it ends");
        phi_imatrix_close(m);
        CHECK(phi_memory_live() == live, "allocation %d: leak", (int)n);
        e = status != 0 && n < 100;
    }
}

/* ---- Making ---- */

enum { N_CHUNK = 2, CTX = 40 };

/* The file that is made of two chunks by these threads and passes, head or not. */
static struct phi_bytes make_file(const phi_model *model, const int32_t *ids, int n_threads, int n_ubatch,
                                  bool head) {
    struct phi_session_options o = phi_session_options_default();
    struct phi_imatrix_collector *c = NULL;
    struct phi_bytes file = {0};
    phi_session *s = NULL;
    phi_error err = {""};
    o.n_ctx = CTX;
    o.n_threads = n_threads;
    o.force_threads = true;
    o.n_ubatch = n_ubatch;
    int e = phi_session_open(model, &o, &s, &err);
    if (!e) e = phi_imatrix_collect_open(s, head, &c, &err);
    for (int i = 0; i < N_CHUNK && !e; i++) e = phi_imatrix_collect(c, ids + i * CTX, CTX, NULL, NULL, &err);
    if (!e) e = phi_imatrix_collect_encode(c, "a text", N_CHUNK, CTX, &file, &err);
    CHECK(e == 0, "%s", err.text);
    phi_imatrix_collect_close(c);
    phi_session_close(s);
    return file;
}

static void check_first_layer(const phi_model *model, const int32_t *ids, const struct phi_imatrix *m) {
    int n = model->n_embd;
    double *sum = calloc((size_t)n, sizeof *sum);
    float *x = calloc((size_t)n, sizeof *x);
    const float *row = NULL;
    phi_error err = {""};
    if (!sum || !x) abort();
    for (int t = 0; t < N_CHUNK * CTX; t++) {
        double squares = 0;
        phi_type_decode_row(model->embedding.type,
                            model->embedding.data + (size_t)ids[t] * model->embedding.row_bytes, x, (size_t)n);
        for (int i = 0; i < n; i++) squares += (double)x[i] * (double)x[i];
        double scale = 1 / sqrt(squares / n + (double)model->norm_eps);
        for (int i = 0; i < n; i++) {
            double v = (double)x[i] * scale * (double)model->layer[0].attn_norm[i];
            sum[i] += v * v / (N_CHUNK * CTX);
        }
    }
    CHECK(phi_imatrix_find(m, attn, sizeof attn - 1, (uint64_t)n, &row, &err) == 1, "%s", err.text);
    for (int i = 0; row && i < n; i++)
        CHECK(fabs((double)row[i] - sum[i]) <= 1e-5 * sum[i] + 1e-12, "column %d: %g, expected %g", i, (double)row[i],
              sum[i]);
    free(sum);
    free(x);
}

static void check_making(void) {
    static const char *const names[] = {"attn_qkv", "attn_output", "ffn_up", "ffn_down"};
    phi_model *model = NULL;
    phi_error err = {""};
    int32_t ids[N_CHUNK * CTX];
    CHECK(phi_model_open("models/demo.gguf", &model, &err) == 0, "%s", err.text);
    if (!model) return;
    for (int i = 0; i < N_CHUNK * CTX; i++) ids[i] = (i * 37 + i * i) % model->n_vocab;
    struct phi_bytes file = make_file(model, ids, 1, 512, false);
    const int ways[][2] = {{1, 1}, {3, 7}, {2, CTX}};
    for (int i = 0; i < 3; i++) {
        struct phi_bytes other = make_file(model, ids, ways[i][0], ways[i][1], false);
        CHECK(other.n == file.n && memcmp(other.data, file.data, file.n) == 0, "%d threads, passes of %d", ways[i][0],
              ways[i][1]);
        phi_free(other.data);
    }
    struct phi_imatrix *m = NULL;
    struct phi_imatrix_info info;
    gguf_write_file(path, file.data, file.n);
    CHECK(phi_imatrix_open(path, &m, &err) == 0, "%s", err.text);
    if (m) {
        const float *row;
        phi_imatrix_get_info(m, &info);
        CHECK(info.n_entry == 4 * (uint64_t)model->n_layer && info.n_chunk == N_CHUNK, "%d entries",
              (int)info.n_entry);
        CHECK(info.dataset.n == 6 && memcmp(info.dataset.s, "a text", 6) == 0, "the text's name");
        check_first_layer(model, ids, m);
        for (int k = 0; k < 4; k++) {
            char name[64];
            int n = snprintf(name, sizeof name, "blk.%d.%s.weight", model->n_layer - 1, names[k]);
            uint64_t n_col = (uint64_t)(k == 3 ? model->n_ff : model->n_embd);
            bool found = phi_imatrix_find(m, name, (size_t)n, n_col, &row, &err) == 1;
            CHECK(found && row[0] > 0 && row[n_col - 1] > 0, "%s: %s", name, err.text);
        }
        CHECK(phi_imatrix_find(m, "output.weight", 13, 1, &row, &err) == 0, "the output was not asked for");
    }
    phi_imatrix_close(m);
    phi_free(file.data);
    file = make_file(model, ids, 2, 16, true);
    gguf_write_file(path, file.data, file.n);
    CHECK(phi_imatrix_open(path, &m, &err) == 0, "%s", err.text);
    if (m) phi_imatrix_get_info(m, &info);
    CHECK(m && info.n_entry == 4 * (uint64_t)model->n_layer + 1, "the output too");
    phi_imatrix_close(m);
    phi_free(file.data);
    phi_model_close(model);
}

int main(int argc, char **argv) {
    gguf_make_dir(argc, argv, dir);
    snprintf(path, sizeof path, "%s/imatrix", dir);
    struct gguf_writer w = make_gguf();
    struct gguf_bytes b = make_dat();
    gguf_save(&w, path);
    check_content("GGUF");
    check_memory();
    check_damage(w.file.p, w.file.n);
    gguf_write_file(path, b.p, b.n);
    check_content(".dat");
    check_memory();
    check_damage(b.p, b.n);
    check_refusals();
    check_making();
    gguf_free(&w);
    free(b.p);
    gguf_remove_dir(dir);
    return check_done("check_imatrix");
}
