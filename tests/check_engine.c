/* The engine on tiny models of many shapes: every weight format in every role, every way of writing the same model,
 * ratios of heads, head sizes, partial rotation, the two rotary lists, the window, weights that are not finite. What
 * must be equal is equal bit by bit: on every instruction set, for every thread count and cut of the prompt. What the
 * numbers are is the business of check_reference.c. */
#include "../include/phi.h"
#include "../src/kernels/kernels.h"
#include "../src/memory.h"
#include "gguf_writer.h"

enum { VOCAB = 300, MANY = 128 };

static char dir[512], path[600];
static int32_t ids[MANY];

struct setting {
    const char *isa;
    int n_threads, n_ubatch;
    enum phi_kv_type kv;
    int window; /* -1: the model's */
};

static const struct setting plainly = {
    .isa = "scalar", .n_threads = 1, .n_ubatch = 512, .kv = PHI_KV_F16, .window = -1};

static phi_model *open_writer(struct gguf_writer w) {
    phi_error err = {""};
    phi_model *m = NULL;
    unlink(path); /* an older model may still be mapped from there */
    gguf_save(&w, path);
    gguf_free(&w);
    CHECK(phi_model_open(path, &m, &err) == 0, "%s", err.text);
    return m;
}

static phi_model *open_tiny(const struct tiny_phi3 *t) {
    return open_writer(tiny_phi3_build(t));
}

static phi_session *open_session(const phi_model *m, struct setting set) {
    struct phi_session_options o = phi_session_options_default();
    struct phi_model_info info;
    phi_error err = {""};
    phi_session *s = NULL;
    phi_model_get_info(m, &info);
    o.isa = set.isa;
    o.n_threads = set.n_threads;
    o.n_ubatch = set.n_ubatch;
    o.type_k = o.type_v = set.kv;
    o.window = set.window;
    o.force_threads = true;
    o.n_ctx = info.n_ctx_train;
    CHECK(phi_session_open(m, &o, &s, &err) == 0, "%s", err.text);
    return s;
}

static int keep_row(void *user, size_t position, const float *logits, int n) {
    memcpy((float *)user + position * (size_t)n, logits, (size_t)n * sizeof *logits);
    return 0;
}

/* Logits of the first n ids, [n][VOCAB]. The caller frees them. */
static float *logits_of(const phi_model *m, struct setting set, int n) {
    float *rows = (float *)calloc((size_t)n * VOCAB, sizeof *rows);
    phi_session *s = m ? open_session(m, set) : NULL;
    phi_error err = {""};
    if (s) CHECK(phi_session_eval_logits(s, ids, (size_t)n, keep_row, rows, &err) == 0, "%s", err.text);
    phi_session_close(s);
    return rows;
}

static bool all_finite(const float *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i])) return false;
    return true;
}

static bool same(const float *a, const float *b, int n) {
    return memcmp(a, b, (size_t)n * VOCAB * sizeof *a) == 0;
}

/* The model computes finite numbers, and the same ones at every level, with several threads and in other passes. */
static void check_everywhere(const char *what, const phi_model *m, enum phi_kv_type kv, int n) {
    struct setting set = plainly;
    const char *isa;
    set.kv = kv;
    float *want = logits_of(m, set, n);
    CHECK(all_finite(want, (size_t)n * VOCAB), "%s: not finite", what);
    CHECK(!same(want, want + VOCAB, 1), "%s: two tokens have the same logits", what);
    for (int i = 0; (isa = phi_kernels_level(i)); i++)
        for (int odd = 0; odd < 2; odd++) {
            set = (struct setting){isa, odd ? 3 : 1, odd ? 5 : 512, kv, -1};
            float *got = logits_of(m, set, n);
            CHECK(same(want, got, n), "%s: other bits on %s, %d threads, passes of %d", what, isa, set.n_threads,
                  set.n_ubatch);
            free(got);
        }
    set = (struct setting){NULL, 2, 1, kv, -1};
    float *got = logits_of(m, set, n);
    CHECK(same(want, got, n), "%s: other bits one by one", what);
    free(got);
    free(want);
}

/* Two models that must compute the same. Closes them. */
static void check_equal(const char *what, phi_model *a, phi_model *b, int n) {
    struct setting best = {NULL, 2, 7, PHI_KV_F16, -1};
    float *x = logits_of(a, plainly, n), *y = logits_of(b, plainly, n), *z = logits_of(b, best, n);
    CHECK(all_finite(x, (size_t)n * VOCAB), "%s: not finite", what);
    CHECK(same(x, y, n), "%s: other bits", what);
    CHECK(same(x, z, n), "%s: other bits on the best kernels", what);
    free(x);
    free(y);
    free(z);
    phi_model_close(a);
    phi_model_close(b);
}

/* ---- Formats ---- */

static struct tiny_phi3 wide(void) { /* rows are whole blocks of every format */
    struct tiny_phi3 m = tiny_phi3_default();
    m.n_vocab = VOCAB;
    m.n_embd = 256;
    m.n_ff = 512;
    m.n_rot = 64;
    m.n_layer = 1;
    return m;
}

static void check_formats(void) {
    static const char *const roles[] = {"",       "token_embd", "attn_qkv",     "attn_output",
                                        "ffn_up", "ffn_down",   "output.weight"};
    for (int t = 0; t < PHI_N_TYPE; t++)
        for (size_t r = 0; r < sizeof roles / sizeof roles[0]; r++) {
            struct tiny_phi3 m = wide();
            char what[128];
            m.type[0] = (struct tiny_phi3_type){roles[r], phi_types[t].id}; /* "" fits all */
            m.seed = (unsigned long long)(t * 16 + (int)r) + 1;
            snprintf(what, sizeof what, "%s in %s", phi_types[t].name, roles[r][0] ? roles[r] : "every matrix");
            phi_model *model = open_tiny(&m);
            check_everywhere(what, model, PHI_KV_F16, 7);
            phi_model_close(model);
        }
}

/* Inputs that several forms of activations are wanted of at once. */
static void check_mixtures(void) {
    static const struct tiny_phi3_type mixtures[][8] = {
        {{"attn_q", 2}, {"attn_k", 12}, {"attn_v", 1}, {"ffn_gate", 14}, {"ffn_up", 6}, {"ffn_down", 30}},
        {{"attn_q", 0}, {"attn_k", 8}, {"attn_v", 23}, {"ffn_gate", 1}, {"ffn_up", 13}, {"ffn_down", 7}},
        {{"attn_q", 10}, {"attn_k", 30}, {"attn_v", 3}, {"ffn_gate", 20}, {"ffn_up", 0}, {"ffn_down", 11}},
        {{"blk.0.attn_q", 12},
         {"blk.1.attn_q", 2},
         {"blk.0.attn_output", 14},
         {"blk.1.attn_output", 8},
         {"blk.0.ffn_down", 3},
         {"blk.1.ffn_down", 13},
         {"output.weight", 14}},
    };
    for (size_t i = 0; i < sizeof mixtures / sizeof mixtures[0]; i++) {
        struct tiny_phi3 m = wide();
        char what[32];
        m.n_layer = 2;
        m.split = true;
        memcpy(m.type, mixtures[i], sizeof m.type);
        snprintf(what, sizeof what, "mixture %d", (int)i);
        phi_model *model = open_tiny(&m);
        check_everywhere(what, model, PHI_KV_F16, 9);
        phi_model_close(model);
    }
}

/* ---- Ways of writing the same model ---- */

static void check_forms(void) {
    for (int t = 0; t < PHI_N_TYPE; t++) {
        struct tiny_phi3 fused = wide(), split;
        fused.n_layer = 2;
        fused.type[0] = (struct tiny_phi3_type){"blk", phi_types[t].id};
        split = fused;
        split.split = true;
        check_equal("split", open_tiny(&fused), open_tiny(&split), 9);
        struct tiny_phi3 tied = wide(), repeated;
        tied.type[0] = (struct tiny_phi3_type){"token_embd", phi_types[t].id};
        tied.type[1] = (struct tiny_phi3_type){"output.weight", phi_types[t].id};
        repeated = tied;
        tied.tied = true;
        repeated.repeated = true;
        check_equal("tied", open_tiny(&tied), open_tiny(&repeated), 9);
    }
}

/* Tensors at every address: with an alignment of 1 they follow the header, whose length the name changes. */
static void check_alignment(void) {
    static const char *const names[] = {"tiny", "tiny1", "tiny12", "tiny123"};
    static const uint32_t types[] = {0, 1, 2, 14};
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++)
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            struct tiny_phi3 aligned = wide(), odd;
            aligned.type[0] = (struct tiny_phi3_type){"", types[t]};
            aligned.factors = true;
            aligned.n_ctx_orig = 4;
            odd = aligned;
            odd.alignment = i ? 1 : 8;
            odd.name = names[i];
            check_equal("alignment", open_tiny(&aligned), open_tiny(&odd), 9);
        }
}

/* ---- Heads ---- */

static void check_heads(void) {
    static const struct {
        int n_head, n_head_kv, head_dim, n_rot;
    } shapes[] = {
        {4, 4, 16, 16}, {4, 2, 16, 8},    {4, 1, 16, 16},   {8, 2, 8, 4},    {16, 1, 4, 4},
        {17, 1, 6, 6},  {34, 2, 2, 2},    {40, 2, 10, 4},   {1, 1, 32, 32},  {2, 1, 64, 48},
        {3, 3, 96, 96}, {2, 2, 128, 96},  {3, 1, 128, 128}, {6, 3, 5, 4},    {5, 5, 7, 2},
        {2, 1, 33, 32}, {2, 2, 100, 100}, {2, 1, 160, 160}, {1, 1, 256, 64}, {3, 1, 1024, 8},
    };
    static const enum phi_kv_type caches[] = {PHI_KV_F16, PHI_KV_F32, PHI_KV_Q8_0};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct tiny_phi3 m = tiny_phi3_default();
        m.n_vocab = VOCAB;
        m.n_head = shapes[i].n_head;
        m.n_head_kv = shapes[i].n_head_kv;
        m.head_dim = shapes[i].head_dim;
        m.n_rot = shapes[i].n_rot;
        phi_model *model = open_tiny(&m);
        for (size_t c = 0; c < 3; c++) {
            char what[128];
            if (caches[c] == PHI_KV_Q8_0 && m.head_dim % 32) continue;
            snprintf(what, sizeof what, "%d heads, %d of keys, %d wide, %d rotated, cache %d", m.n_head, m.n_head_kv,
                     m.head_dim, m.n_rot, (int)caches[c]);
            check_everywhere(what, model, caches[c], 21);
        }
        phi_model_close(model);
    }
}

/* Rows of a matrix in another order: at[i] says which row of the old one is row i of the new one. */
struct order {
    const char *in_name; /* of the tensors that it is for */
    int n, *at;
};

/* A split model in F32 whose tensors are those of w, rows taken as the orders say, with the keys of *m. */
static struct gguf_writer reorder(const struct gguf_writer *w, const struct tiny_phi3 *m, const struct order *orders,
                                  int n_order) {
    struct gguf_writer out = gguf_begin(3);
    tiny_phi3_keys(&out, m);
    tiny_phi3_vocabulary(&out, m->n_vocab);
    for (size_t i = 0; i < w->n_mark; i++) {
        const struct gguf_mark *mark = &w->mark[i];
        if (!mark->is_tensor) continue;
        const uint8_t *value = w->table.p + mark->at_value;
        uint32_t n_dim = (uint32_t)phi_little_endian(value, 4);
        uint64_t dim[2] = {phi_little_endian(value + 4, 8), n_dim == 2 ? phi_little_endian(value + 12, 8) : 1};
        const uint8_t *data = w->data.p + phi_little_endian(w->table.p + mark->at_type + 4, 8);
        struct gguf_bytes b = {0};
        const struct order *order = NULL;
        for (int k = 0; k < n_order; k++)
            if (strstr(mark->name, orders[k].in_name)) order = &orders[k];
        if (order) dim[1] = (uint64_t)order->n;
        for (uint64_t row = 0; row < dim[1]; row++)
            gguf_append(&b, data + (order ? (uint64_t)order->at[row] : row) * dim[0] * 4, dim[0] * 4);
        gguf_tensor(&out, mark->name, 0, dim, n_dim, b.p, b.n);
        free(b.p);
    }
    gguf_end(&out);
    return out;
}

/* Query heads that share a key head compute what they compute with copies of it. */
static void check_shared_heads(void) {
    static const int shapes[][2] = {{4, 2}, {6, 2}, {6, 1}, {24, 8}, {40, 10}, {17, 1}, {66, 2}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct tiny_phi3 m = tiny_phi3_default(), all;
        int at[66 * 8], hd = 8;
        m.split = true;
        m.n_head = shapes[i][0];
        m.n_head_kv = shapes[i][1];
        m.head_dim = m.n_rot = hd;
        for (int row = 0; row < m.n_head * hd; row++) at[row] = row / hd / (m.n_head / m.n_head_kv) * hd + row % hd;
        struct order orders[] = {{"attn_k", m.n_head * hd, at}, {"attn_v", m.n_head * hd, at}};
        struct gguf_writer w = tiny_phi3_build(&m);
        all = m;
        all.n_head_kv = m.n_head;
        struct gguf_writer copies = reorder(&w, &all, orders, 2);
        phi_model *shared = open_writer(w);
        check_equal("heads that share keys", shared, open_writer(copies), 40);
    }
}

/* Architecture llama: a rotated pair stands at 2i, 2i + 1 of a head instead of i, i + n_rot / 2. */
static void check_llama(void) {
    for (int n_rot = 16; n_rot >= 4; n_rot -= 12) {
        struct tiny_phi3 m = tiny_phi3_default(), llama;
        int at[64], hd = 16;
        m.split = true;
        m.n_rot = n_rot;
        for (int row = 0; row < 64; row++) {
            int d = row % hd, from = d < n_rot ? d / 2 + d % 2 * (n_rot / 2) : d;
            at[row] = row - d + from;
        }
        struct order orders[] = {{"attn_q", 64, at}, {"attn_k", 32, at}};
        struct gguf_writer w = tiny_phi3_build(&m);
        llama = m;
        llama.architecture = "llama";
        struct gguf_writer pairs = reorder(&w, &llama, orders, 2);
        phi_model *phi3 = open_writer(w);
        check_equal("architecture llama", phi3, open_writer(pairs), 40);
    }
}

/* ---- Small contexts ---- */

static void check_one_token(void) {
    struct tiny_phi3 m = tiny_phi3_default(), more = m;
    phi_error err = {""};
    m.n_ctx = 1;
    phi_model *one = open_tiny(&m), *many = open_tiny(&more);
    phi_session *s = open_session(one, plainly);
    float *want = logits_of(many, plainly, 1);
    struct phi_session_info info;
    phi_session_get_info(s, &info);
    CHECK(info.n_ctx == 1 && info.n_ubatch == 1, "context %d, passes of %d", info.n_ctx, info.n_ubatch);
    CHECK(phi_session_eval(s, ids, 2, NULL, NULL, &err) == PHI_CONTEXT && strstr(err.text, "2 tokens do not fit"),
          "%s", err.text);
    CHECK(phi_session_eval(s, ids, 1, NULL, NULL, &err) == 0, "%s", err.text);
    CHECK(same(want, phi_session_logits(s), 1), "a context of one token");
    CHECK(phi_session_rewind(s, 0, &err) == 0 && phi_session_eval(s, ids, 1, NULL, NULL, &err) == 0, "%s", err.text);
    CHECK(same(want, phi_session_logits(s), 1), "the same token again");
    free(want);
    phi_session_close(s);
    phi_model_close(one);
    phi_model_close(many);
}

/* ---- Two rotary lists ---- */

static void check_long_rope(int window) {
    enum { ORIGINAL = 32 };
    static const int passes[] = {1, 5, 64};
    struct tiny_phi3 t = tiny_phi3_default();
    phi_error err = {""};
    t.factors = true;
    t.n_ctx_orig = ORIGINAL;
    t.window = window;
    phi_model *m = open_tiny(&t);
    float *want[MANY + 1] = {NULL}; /* the last token's logits of a fresh evaluation of n tokens */
    for (int n = ORIGINAL - 4; n <= ORIGINAL + 8; n++) {
        phi_session *s = open_session(m, plainly);
        want[n] = (float *)calloc(VOCAB, sizeof(float));
        CHECK(phi_session_eval(s, ids, (size_t)n, NULL, NULL, &err) == 0, "%s", err.text);
        memcpy(want[n], phi_session_logits(s), VOCAB * sizeof(float));
        phi_session_close(s);
    }
    for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++) {
        phi_session *s = open_session(m, (struct setting){NULL, 2, passes[i], PHI_KV_F16, -1});
        phi_session_eval(s, ids, ORIGINAL - 5, NULL, NULL, &err);
        for (int n = ORIGINAL - 4; n <= ORIGINAL + 8; n++) { /* across the original context, token by token */
            CHECK(phi_session_eval(s, ids + n - 1, 1, NULL, NULL, &err) == 0, "%s", err.text);
            CHECK(same(want[n], phi_session_logits(s), 1), "token %d, passes of %d, window %d", n, passes[i], window);
        }
        for (int back = ORIGINAL + 7; back >= ORIGINAL - 4; back--) { /* and back, one further each time */
            CHECK(phi_session_rewind(s, (size_t)back - 1, &err) == 0, "%s", err.text);
            CHECK(phi_session_eval(s, ids + back - 1, 1, NULL, NULL, &err) == 0, "%s", err.text);
            CHECK(same(want[back], phi_session_logits(s), 1), "back at token %d, passes of %d, window %d", back,
                  passes[i], window);
        }
        CHECK(phi_session_eval(s, ids + ORIGINAL - 4, 12, NULL, NULL, &err) == 0, "%s", err.text);
        CHECK(same(want[ORIGINAL + 8], phi_session_logits(s), 1), "across it at once, passes of %d, window %d",
              passes[i], window);
        phi_session_close(s);
    }
    struct tiny_phi3 without = t;
    without.n_ctx_orig = t.n_ctx; /* the short list for all */
    phi_model *other = open_tiny(&without);
    float *rows = logits_of(other, plainly, ORIGINAL + 8);
    CHECK(same(want[ORIGINAL], rows + (ORIGINAL - 1) * VOCAB, 1),
          "within the original context only the short list counts");
    CHECK(!same(want[ORIGINAL + 1], rows + ORIGINAL * VOCAB, 1), "beyond it the long list makes no difference");
    free(rows);
    for (int n = 0; n <= MANY; n++) free(want[n]);
    phi_model_close(other);
    phi_model_close(m);
}

/* ---- The window ---- */

static void check_window(void) {
    enum { W = 20, LENGTH = 100 };
    struct tiny_phi3 t = tiny_phi3_default();
    t.n_layer = 1; /* then a token depends on nothing outside its window */
    phi_model *without = open_tiny(&t);
    t.window = W;
    phi_model *with = open_tiny(&t);
    struct setting off = plainly, on = plainly, one = plainly;
    off.window = 0;
    on.window = W;
    one.window = 1;
    float *all = logits_of(without, plainly, LENGTH), *by_key = logits_of(with, plainly, LENGTH),
          *by_option = logits_of(without, on, LENGTH), *switched_off = logits_of(with, off, LENGTH),
          *alone = logits_of(with, one, LENGTH);
    CHECK(same(by_key, by_option, LENGTH), "the key and the option differ");
    CHECK(same(all, switched_off, LENGTH), "window 0 does not see all");
    CHECK(same(all, by_key, W), "up to the window it changes something");
    CHECK(!same(all + W * VOCAB, by_key + W * VOCAB, 1), "the first token beyond the window sees all");
    for (int i = 1; i < LENGTH; i++)
        if (ids[i] == ids[0]) CHECK(same(alone, alone + i * VOCAB, 1), "token %d sees more than itself", i);
    on.window = t.n_ctx;
    float *whole = logits_of(with, on, LENGTH);
    CHECK(same(all, whole, LENGTH), "a window as long as the context");
    struct phi_session_info info;
    phi_session *s = open_session(with, on);
    phi_session_get_info(s, &info);
    CHECK(info.window == 0, "a window as long as the context reads %d", info.window);
    phi_session_close(s);
    s = open_session(with, plainly);
    phi_session_get_info(s, &info);
    CHECK(info.window == W, "the model's window reads %d", info.window);
    phi_session_close(s);
    /* Exactly W keys: the last token depends on the id W - 1 before it, and not on the one before that. */
    for (int back = W - 1; back <= W; back++) {
        int at = LENGTH - 1 - back;
        int32_t old = ids[at];
        ids[at] = old == 5 ? 6 : 5;
        float *changed = logits_of(with, plainly, LENGTH);
        bool equal = same(changed + (LENGTH - 1) * VOCAB, by_key + (LENGTH - 1) * VOCAB, 1);
        CHECK(equal == (back == W), "the id %d before the last one: %s", back, equal ? "not seen" : "seen");
        free(changed);
        ids[at] = old;
    }
    float *rows[] = {all, by_key, by_option, switched_off, alone, whole};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) free(rows[i]);
    phi_model_close(with);
    phi_model_close(without);
}

/* ---- Numbers that are not finite ---- */

/* Overwrites n_bytes of a tensor's data, at bytes behind its beginning. */
static void damage(struct gguf_writer *w, const char *tensor, size_t at, uint64_t v, size_t n_bytes) {
    size_t entry = gguf_where(w, tensor, GGUF_AT_TYPE), data = w->file.n - w->data.n;
    gguf_put(w, data + phi_little_endian(w->file.p + entry + 4, 8) + at, v, n_bytes);
}

static const uint32_t nan_bits = 0x7fc00000, inf_bits = 0xff800000; /* minus infinity */

static int count_row(void *user, size_t position, const float *logits, int n) {
    (void)logits;
    CHECK(position == *(size_t *)user && n == VOCAB, "row %zu comes as row %zu", position, *(size_t *)user);
    ++*(size_t *)user;
    return 0;
}

/* A run over n ids fails with these words, however it is cut; the session then is as before. */
static void check_broken(const char *tensor, struct gguf_writer w, int n, const char *words) {
    static const int passes[] = {1, 3, 64};
    phi_model *m = open_writer(w);
    for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++) {
        phi_error err = {""};
        size_t rows = 0;
        phi_session *s = open_session(m, (struct setting){NULL, 2, passes[i], PHI_KV_F16, -1});
        int e = phi_session_eval(s, ids, (size_t)n, NULL, NULL, &err);
        CHECK(e == PHI_FAILED && strstr(err.text, words) && strstr(err.text, "--verify"),
              "%s, passes of %d: status %d, \"%s\" lacks \"%s\"", tensor, passes[i], e, err.text, words);
        CHECK(phi_session_n_past(s) == 0 && !phi_session_logits(s), "%s: the session holds %zu tokens", tensor,
              phi_session_n_past(s));
        phi_error again = {""};
        CHECK(phi_session_eval(s, ids, (size_t)n, NULL, NULL, &again) == e && !strcmp(err.text, again.text),
              "%s: then \"%s\"", tensor, again.text);
        CHECK(phi_session_eval_logits(s, ids, (size_t)n, count_row, &rows, &again) == PHI_FAILED && rows == (size_t)n,
              "%s: %zu rows, \"%s\"", tensor, rows, again.text);
        phi_session_close(s);
    }
    phi_model_close(m);
}

static struct gguf_writer damaged(struct tiny_phi3 t, const char *tensor, size_t at, uint64_t v, size_t n_bytes) {
    struct gguf_writer w = tiny_phi3_build(&t);
    damage(&w, tensor, at, v, n_bytes);
    return w;
}

static void check_not_finite(void) {
    struct tiny_phi3 t = tiny_phi3_default(), k = wide();
    t.n_layer = k.n_layer = 3;
    for (int i = 0; i < 2; i++) {
        uint32_t v = i ? inf_bits : nan_bits;
        check_broken("a norm of the first layer", damaged(t, "blk.0.attn_norm.weight", 12, v, 4), 9,
                     "since layer 0 (blk.0.*) at token 0");
        check_broken("a norm of the last layer", damaged(t, "blk.2.ffn_norm.weight", 252, v, 4), 9,
                     "since layer 2 (blk.2.*) at token 0");
        check_broken("an element", damaged(t, "blk.1.ffn_down.weight", 4000, v, 4), 9,
                     "since layer 1 (blk.1.*) at token 0");
        check_broken("an element of Wq", damaged(t, "blk.1.attn_qkv.weight", 4, v, 4), 9,
                     "since layer 1 (blk.1.*) at token 0");
        check_broken("output norm", damaged(t, "output_norm.weight", 0, v, 4), 9,
                     "after token 8 are not finite numbers, since the output head;");
        check_broken("the output head", damaged(t, "output.weight", 300 * 64 * 4 - 4, v, 4), 9,
                     "since the output head;");
    }
    t.tied = true;
    check_broken("the head, tied", damaged(t, "token_embd.weight", 299 * 64 * 4, nan_bits, 4), 9,
                 "since the output head;");
    k.type[0] = (struct tiny_phi3_type){"", 12}; /* Q4_K: d, dmin, ... in 144 bytes */
    check_broken("the scale of a block", damaged(k, "blk.2.attn_output.weight", 144 * 7, 0x7e00, 2), 9,
                 "since layer 2 (blk.2.*) at token 0");
    check_broken("the minimum of a block", damaged(k, "blk.1.ffn_up.weight", 144 * 7 + 2, 0x7c00, 2), 9,
                 "since layer 1 (blk.1.*) at token 0");
    k.type[0] = (struct tiny_phi3_type){"", 14}; /* Q6_K: d last of 210 bytes */
    check_broken("the scale of a Q6_K block", damaged(k, "output.weight", 210 * 8 - 2, 0xfc00, 2), 9,
                 "since the output head;");
}

/* One row of the embedding is broken: the token is named, tokens before it and after a rewind are not touched by it,
 * and neither are those whose window it has left. */
static void check_broken_token(int window) {
    enum { BAD = 77, AT = 5 };
    static const int passes[] = {1, 3, 64};
    struct tiny_phi3 t = tiny_phi3_default();
    t.window = window;
    int32_t good = ids[AT];
    for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++) {
        phi_error err = {""};
        phi_model *m = open_writer(damaged(t, "token_embd.weight", BAD * 64 * 4, nan_bits, 4));
        phi_session *s = open_session(m, (struct setting){NULL, 2, passes[i], PHI_KV_F16, -1});
        CHECK(phi_session_eval(s, ids, 2, NULL, NULL, &err) == 0, "%s", err.text);
        ids[AT] = BAD;
        int e = phi_session_eval(s, ids + 2, 9, NULL, NULL, &err);
        CHECK(e == PHI_FAILED &&
                  strstr(err.text, "after token 10 are not finite numbers, since the embedding of token 5 (id 77)"),
              "status %d, \"%s\"", e, err.text);
        CHECK(phi_session_n_past(s) == 2, "%zu tokens are left", phi_session_n_past(s));
        if (window) { /* two layers of 7 keys reach 12 tokens further */
            CHECK(phi_session_eval(s, ids + 2, 38, NULL, NULL, &err) == 0, "%s", err.text);
            CHECK(all_finite(phi_session_logits(s), VOCAB), "a token outside the window spoils others");
            CHECK(phi_session_rewind(s, 2, &err) == 0, "%s", err.text);
        }
        ids[AT] = good;
        CHECK(phi_session_eval(s, ids + 2, 20, NULL, NULL, &err) == 0, "%s", err.text);
        float *fresh = logits_of(m, plainly, 22);
        CHECK(same(phi_session_logits(s), fresh + 21 * VOCAB, 1), "after a failure, passes of %d", passes[i]);
        free(fresh);
        phi_session_close(s);
        phi_model_close(m);
    }
}

/* The failed tokens went round the ring, over rows of those before: they are made again. */
static void check_broken_ring(void) {
    enum { BAD = 77, AT = 119 };
    struct tiny_phi3 t = tiny_phi3_default();
    phi_error err = {""};
    t.window = 7;
    int32_t good = ids[AT];
    phi_model *m = open_writer(damaged(t, "token_embd.weight", BAD * 64 * 4, nan_bits, 4));
    phi_session *s = open_session(m, (struct setting){NULL, 1, 3, PHI_KV_F16, -1});
    float *fresh = logits_of(m, plainly, 22);
    CHECK(phi_session_eval(s, ids, 20, NULL, NULL, &err) == 0, "%s", err.text);
    ids[AT] = BAD;
    int e = phi_session_eval(s, ids + 20, AT + 1 - 20, NULL, NULL, &err);
    CHECK(e == PHI_FAILED && strstr(err.text, "since the embedding of token 119 (id 77)"), "status %d, \"%s\"", e,
          err.text);
    ids[AT] = good;
    CHECK(phi_session_eval(s, ids + 20, 2, NULL, NULL, &err) == 0, "%s", err.text);
    CHECK(same(phi_session_logits(s), fresh + 21 * VOCAB, 1), "after a failure that went round the ring");
    free(fresh);
    phi_session_close(s);
    phi_model_close(m);
}

static void check_generate_broken(void) {
    phi_error err = {""};
    struct phi_sampler_options o = phi_sampler_options_default();
    struct phi_generate_result r;
    phi_sampler *sampler = NULL;
    phi_model *m = open_writer(damaged(tiny_phi3_default(), "blk.1.attn_norm.weight", 0, nan_bits, 4));
    phi_session *s = open_session(m, plainly);
    CHECK(phi_sampler_open(m, &o, &sampler, &err) == 0, "%s", err.text);
    CHECK(phi_generate(s, sampler, ids, 4, 5, NULL, NULL, NULL, &r, &err) == PHI_FAILED &&
              strstr(err.text, "since layer 1"),
          "%s", err.text);
    CHECK(r.n_generated == 0, "%zu tokens were made of it", r.n_generated);
    phi_sampler_close(sampler);
    phi_session_close(s);
    phi_model_close(m);
}

int main(int argc, char **argv) {
    gguf_make_dir(argc, argv, dir);
    snprintf(path, sizeof path, "%s/model.gguf", dir);
    unsigned long long seed = check_seed();
    for (int i = 0; i < MANY; i++) ids[i] = (int32_t)(check_random(&seed) % 24u);
    check_formats();
    check_mixtures();
    check_forms();
    check_alignment();
    check_heads();
    check_shared_heads();
    check_llama();
    check_one_token();
    check_long_rope(0);
    check_long_rope(7);
    check_window();
    check_not_finite();
    check_broken_token(0);
    check_broken_token(7);
    check_broken_ring();
    check_generate_broken();
    CHECK(phi_memory_live() == 0, "%llu allocations are left", phi_memory_live());
    gguf_remove_dir(dir);
    return check_done("check_engine");
}
