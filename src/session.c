/* Sessions: options, the arena, evaluating tokens in passes. All memory is taken in phi_session_open(). */
#include "session.h"
#include "cores.h"
#include "memory.h"
#include "rope.h"

#include <limits.h>
#include <string.h>

static const unsigned long long MEMORY_MARGIN = 512ull << 20; /* left to the system when the context is fitted */
enum { MIB = 1 << 20 };

struct phi_session_options phi_session_options_default(void) {
    return (struct phi_session_options){
        .n_threads = -1,
        .n_threads_batch = -1,
        .n_ubatch = 512,
        .window = -1,
        .type_k = PHI_KV_F16,
        .type_v = PHI_KV_F16,
    };
}

/* ---- The arena ---- */

struct carver {
    char *base; /* NULL: only measure */
    size_t used;
    bool overflow;
};

/* The next n_item * item_size bytes, on a cache line of their own; NULL while measuring. */
static void *carve(struct carver *c, size_t n_item, size_t item_size) {
    uint64_t n_bytes, end;
    if (!phi_mul_u64(n_item, item_size, &n_bytes) || !phi_add_u64(c->used, n_bytes, &end) || end > SIZE_MAX - 64) {
        c->overflow = true;
        return NULL;
    }
    void *p = c->base ? c->base + c->used : NULL;
    c->used = ((size_t)end + 63) / 64 * 64;
    return p;
}

static size_t round_up(size_t n, size_t to) {
    return (n + to - 1) / to * to;
}

static void carve_acts(struct carver *c, struct phi_acts *a, unsigned kinds, size_t n, size_t k) {
    for (int i = 0; i < PHI_N_ACT; i++) {
        struct phi_act *act = &a->kind[i];
        if (!(kinds >> i & 1u)) continue;
        act->kind = (enum phi_act_kind)i;
        act->k = (int)k;
        if (i == PHI_ACT_F32) {
            act->f = carve(c, n * k, sizeof *act->f);
            continue;
        }
        act->q = carve(c, n * k, sizeof *act->q);
        act->scale = carve(c, n * k / (i == PHI_ACT_Q8_32 ? 32 : 256), sizeof *act->scale);
        act->sum = carve(c, n * k / (i == PHI_ACT_Q8_32 ? PHI_SUM_GROUP_32 : PHI_SUM_GROUP_256), sizeof *act->sum);
    }
}

static size_t longest_row(const struct phi_model *m) {
    size_t n = (size_t)m->n_embd, wide = (size_t)m->n_head * (size_t)m->head_dim, ff = (size_t)m->n_ff;
    n = n > wide ? n : wide;
    return n > ff ? n : ff;
}

static void carve_scratch(struct carver *c, const struct phi_session *s, struct phi_scratch *out) {
    const struct phi_model *m = s->model;
    out->panel = carve(c, longest_row(m), s->kernels.scratch_per_k);
    out->gate = carve(c, (size_t)s->n_ubatch * PHI_FFN_CHUNK, sizeof *out->gate);
    out->up = carve(c, (size_t)s->n_ubatch * PHI_FFN_CHUNK, sizeof *out->up);
    size_t tile = PHI_QUERY_TILE, hd = (size_t)m->head_dim;
    out->query = carve(c, tile * hd, sizeof *out->query);
    out->out = carve(c, tile * hd, sizeof *out->out);
    out->query8 = carve(c, tile * hd, sizeof *out->query8);
    out->query8_scale = carve(c, tile * (hd / 32 + 1), sizeof *out->query8_scale);
    out->query8_sum = carve(c, hd / 32 + 1, sizeof *out->query8_sum);
    out->scores = carve(c, tile * PHI_KEY_BLOCK, sizeof *out->scores);
    out->block_out = carve(c, tile * hd, sizeof *out->block_out);
    out->half = carve(c, hd, sizeof *out->half);
}

struct phi_scratch phi_thread_scratch(const struct phi_session *s, int thread) {
    struct carver c = {.base = s->thread + (size_t)thread * s->thread_bytes};
    struct phi_scratch out;
    carve_scratch(&c, s, &out);
    return out;
}

/* The forms of activations that any layer's matrices ask for. */
static void needed_kinds(const struct phi_model *m, unsigned *in, unsigned *attended, unsigned *hidden) {
    *in = 1u << PHI_ACT_F32 | phi_mat_kinds(&m->head);
    *attended = 1u << PHI_ACT_F32;
    *hidden = 0;
    for (int i = 0; i < m->n_layer; i++) {
        const struct phi_layer *l = &m->layer[i];
        *in |= phi_mat_kinds(&l->wq) | phi_mat_kinds(&l->wk) | phi_mat_kinds(&l->wv) | phi_mat_kinds(&l->gate) |
               phi_mat_kinds(&l->up);
        *attended |= phi_mat_kinds(&l->wo);
        *hidden |= phi_mat_kinds(&l->down);
    }
}

/* Hand out the whole arena for s->n_ctx; base NULL measures. Returns its size, 0 if it overflows. */
static size_t carve_session(struct phi_session *s, char *base) {
    const struct phi_model *m = s->model;
    struct carver c = {.base = base};
    size_t n = (size_t)s->n_ubatch, heads = (size_t)m->n_head + 2 * (size_t)m->n_head_kv, hd = (size_t)m->head_dim;
    s->cache_rows = phi_cache_rows(s->n_ctx, s->window);
    s->stage_rows = phi_cache_is_ring(s) ? round_up(n, PHI_KEY_GROUP) + PHI_KEY_GROUP : 0;
    size_t key_bytes = phi_cache_bytes(s->type_k, m->head_dim), value_bytes = phi_cache_bytes(s->type_v, m->head_dim);
    size_t kv_rows = s->cache_rows * (size_t)m->n_layer * (size_t)m->n_head_kv;
    size_t staged = s->stage_rows * (size_t)m->n_head_kv;
    unsigned in, attended, hidden;
    needed_kinds(m, &in, &attended, &hidden);

    s->keys = carve(&c, kv_rows, key_bytes);
    s->values = carve(&c, kv_rows, value_bytes);
    s->kv_bytes = c.used;
    s->stage_keys = carve(&c, staged, key_bytes);
    s->stage_values = carve(&c, staged, value_bytes);
    s->ids = carve(&c, (size_t)s->n_ctx, sizeof *s->ids);
    s->h = carve(&c, n * (size_t)m->n_embd, sizeof *s->h);
    s->out = carve(&c, n * (size_t)m->n_embd, sizeof *s->out);
    s->qkv = carve(&c, n * heads * hd, sizeof *s->qkv);
    carve_acts(&c, &s->in, in, n, (size_t)m->n_embd);
    carve_acts(&c, &s->attended, attended, n, (size_t)m->n_head * hd);
    carve_acts(&c, &s->hidden, hidden, n, (size_t)m->n_ff);
    s->hidden_row = carve(&c, (size_t)m->n_ff, sizeof *s->hidden_row);
    s->rope_cos = carve(&c, n * (size_t)m->n_rot / 2, sizeof *s->rope_cos);
    s->rope_sin = carve(&c, n * (size_t)m->n_rot / 2, sizeof *s->rope_sin);
    s->part_blocks = phi_attention_most_blocks(s->n_ctx, s->window);
    s->parts = carve(&c, (size_t)m->n_head * s->part_blocks, phi_attention_part_bytes(m->head_dim));
    s->parts_done = carve(&c, (size_t)m->n_head_kv, sizeof *s->parts_done);
    s->logits = carve(&c, PHI_LOGITS_ROWS * (size_t)m->n_vocab, sizeof *s->logits);

    struct carver one = {.base = NULL};
    struct phi_scratch scratch;
    carve_scratch(&one, s, &scratch);
    s->thread_bytes = one.used;
    int threads = s->n_threads > s->n_threads_batch ? s->n_threads : s->n_threads_batch;
    s->thread = carve(&c, (size_t)threads, s->thread_bytes);
    return c.overflow || one.overflow ? 0 : c.used;
}

/* No pass is longer than the context. */
static void set_context(struct phi_session *s, int n_ctx, int n_ubatch) {
    s->n_ctx = n_ctx;
    s->n_ubatch = n_ubatch < n_ctx ? n_ubatch : n_ctx;
}

/* The longest context up to s->n_ctx whose arena takes at most n_bytes; 0 if none does. Leaves s as it was. */
static int largest_context(struct phi_session *s, unsigned long long n_bytes) {
    int wanted = s->n_ctx, n_ubatch = s->n_ubatch, fits = 0, fails = wanted + 1;
    while (fails - fits > 1) {
        set_context(s, fits + (fails - fits) / 2, n_ubatch);
        size_t need = carve_session(s, NULL);
        if (need && need <= n_bytes)
            fits = s->n_ctx;
        else
            fails = s->n_ctx;
    }
    set_context(s, wanted, n_ubatch);
    return fits;
}

/* Settle s->n_ctx (fit: it may be lowered; ignore: whatever memory is free) and take the arena. */
static int take_arena(struct phi_session *s, bool fit, bool ignore, phi_error *err) {
    unsigned long long available = ignore ? ULLONG_MAX : phi_memory_available();
    unsigned long long margin = available > 2 * MEMORY_MARGIN ? MEMORY_MARGIN : available / 2;
    size_t need = carve_session(s, NULL);
    if (!need || need > available - margin) {
        int fits = largest_context(s, available - margin);
        if (!fits)
            return phi_fail(err, PHI_MEMORY,
                            "not enough memory: %zu MiB are needed beside the weights even for a short context, %llu "
                            "MiB are available",
                            carve_session(s, NULL) / MIB, available / MIB);
        if (!fit)
            return phi_fail(err, PHI_MEMORY,
                            "a context of %d tokens needs %zu MiB beside the weights, %llu MiB are available; the "
                            "largest that fits is %d",
                            s->n_ctx, need / MIB, available / MIB, fits);
        set_context(s, fits, s->n_ubatch);
    }
    s->arena_bytes = carve_session(s, NULL);
    s->arena = phi_pages_alloc(s->arena_bytes);
    if (!s->arena)
        return phi_fail(err, PHI_MEMORY, "not enough memory: %zu MiB for a context of %d tokens were refused",
                        s->arena_bytes / MIB, s->n_ctx);
    carve_session(s, s->arena);
    return 0;
}

/* ---- Open and close ---- */

static int thread_count(int wanted, int fallback, bool force) {
    int cores = phi_cores_allowed();
    if (wanted < 0) return fallback;
    return wanted > cores && !force ? cores : wanted;
}

static int check_options(const struct phi_model *m, const struct phi_session_options *o, phi_error *err) {
    enum { MAX_THREAD = 1024, MAX_UBATCH = 1 << 16 };
    if (!m->layer)
        return phi_file_fail(m->gguf.file.path, err, PHI_MODEL, "the file holds a vocabulary but no weights");
    if (o->n_ctx < 0 || o->n_ctx > m->n_ctx_train)
        return phi_fail(err, PHI_USAGE, "a context of %d tokens is out of range: the model was made for 1 to %d",
                        o->n_ctx, m->n_ctx_train);
    if (o->n_ubatch < 1 || o->n_ubatch > MAX_UBATCH)
        return phi_fail(err, PHI_USAGE, "%d tokens in a pass are out of range: 1 to %d", o->n_ubatch, MAX_UBATCH);
    if (o->window < -1)
        return phi_fail(err, PHI_USAGE,
                        "a window of %d tokens is out of range: 1 or more, 0 for none, -1 for the model's",
                        o->window);
    if (o->n_threads == 0 || o->n_threads < -1 || o->n_threads > MAX_THREAD)
        return phi_fail(err, PHI_USAGE, "%d threads are out of range: 1 to %d, or -1", o->n_threads, MAX_THREAD);
    if (o->n_threads_batch == 0 || o->n_threads_batch < -1 || o->n_threads_batch > MAX_THREAD)
        return phi_fail(err, PHI_USAGE, "%d threads are out of range: 1 to %d, or -1", o->n_threads_batch,
                        MAX_THREAD);
    if ((unsigned)o->type_k > PHI_KV_Q8_0 || (unsigned)o->type_v > PHI_KV_Q8_0)
        return phi_fail(err, PHI_USAGE, "the type of the KV cache must be f32, f16 or q8_0");
    if ((o->type_k == PHI_KV_Q8_0 || o->type_v == PHI_KV_Q8_0) && m->head_dim % 32)
        return phi_fail(err, PHI_USAGE,
                        "a q8_0 cache needs heads of a multiple of 32 dimensions; this model's have %d", m->head_dim);
    return 0;
}

int phi_session_open(const phi_model *m, const struct phi_session_options *options, phi_session **out,
                     phi_error *err) {
    struct phi_session_options o = options ? *options : phi_session_options_default();
    *out = NULL;
    int e = check_options(m, &o, err);
    if (e) return e;
    struct phi_session *s = phi_alloc(1, sizeof *s);
    if (!s) return phi_fail(err, PHI_MEMORY, "not enough memory for a session");
    s->model = m;
    set_context(s, o.n_ctx ? o.n_ctx : m->n_ctx_train, o.n_ubatch);
    s->window = o.window < 0 ? m->window : o.window < m->n_ctx_train ? o.window : 0;
    s->n_threads = thread_count(o.n_threads, phi_cores_fast(), o.force_threads);
    s->n_threads_batch = thread_count(o.n_threads_batch, s->n_threads, o.force_threads);
    static const int cache_type[] = {
        [PHI_KV_F32] = PHI_CACHE_F32, [PHI_KV_F16] = PHI_CACHE_F16, [PHI_KV_Q8_0] = PHI_CACHE_Q8_0};
    s->type_k = cache_type[o.type_k];
    s->type_v = cache_type[o.type_v];
    if (phi_kernels_select(o.isa, &s->kernels)) {
        e = phi_fail(err, PHI_USAGE, "instruction set '%s' is not available here; these are: %s", o.isa,
                     phi_isa_names());
        goto fail;
    }
    if ((e = take_arena(s, o.n_ctx == 0, o.ignore_memory, err))) goto fail;
    if ((e = phi_team_open(s->n_threads > s->n_threads_batch ? s->n_threads : s->n_threads_batch, o.pin_threads, &s->team, err)))
        goto fail;
    *out = s;
    return 0;
fail:
    phi_session_close(s);
    return e;
}

void phi_session_close(phi_session *s) {
    if (!s) return;
    phi_team_close(s->team);
    if (s->arena) phi_pages_free(s->arena, s->arena_bytes);
    phi_free(s);
}

/* ---- What it is ---- */

const char *phi_isa_names(void) {
    static char names[256];
    size_t n = 0;
    const char *name;
    for (int i = 0; (name = phi_kernels_level(i)) && n + strlen(name) + 2 < sizeof names; i++) {
        if (i) names[n++] = ' ';
        memcpy(names + n, name, strlen(name) + 1);
        n += strlen(name);
    }
    return names;
}

static void note_fallback(const struct phi_session *s, const struct phi_mat *w, char *list, size_t size) {
    const char *name = w->type->name;
    size_t n = strlen(list), len = strlen(name);
    if (phi_kernels_has_matmul(s->kernels.name, w->type->index)) return;
    for (const char *at = list; (at = strstr(at, name)); at += len)
        if ((at == list || at[-1] == ' ') && (at[len] == ' ' || !at[len])) return;
    if (n + len + 2 > size) return;
    if (n) list[n++] = ' ';
    memcpy(list + n, name, len + 1);
}

void phi_session_get_info(const phi_session *s, struct phi_session_info *out) {
    *out = (struct phi_session_info){.n_ctx = s->n_ctx,
                                     .n_threads = s->n_threads,
                                     .n_threads_batch = s->n_threads_batch,
                                     .n_ubatch = s->n_ubatch,
                                     .window = s->window,
                                     .isa = s->kernels.name,
                                     .kv_bytes = s->kv_bytes,
                                     .scratch_bytes = s->arena_bytes - s->kv_bytes};
    if (strcmp(s->kernels.name, "scalar") == 0) return; /* the reference is what was asked for */
    const struct phi_model *m = s->model;
    note_fallback(s, &m->head, out->fallback, sizeof out->fallback);
    for (int i = 0; i < m->n_layer; i++) {
        const struct phi_layer *l = &m->layer[i];
        const struct phi_mat *mats[] = {&l->wq, &l->wk, &l->wv, &l->wo, &l->gate, &l->up, &l->down};
        for (size_t k = 0; k < sizeof mats / sizeof mats[0]; k++)
            note_fallback(s, mats[k], out->fallback, sizeof out->fallback);
    }
}

/* ---- Tokens ---- */

const float *phi_session_logits(const phi_session *s) {
    return s->has_logits ? s->logits : NULL;
}

size_t phi_session_n_past(const phi_session *s) {
    return s->n_past;
}

const phi_model *phi_session_model(const phi_session *s) {
    return s->model;
}

int phi_session_rewind(phi_session *s, size_t n, phi_error *err) {
    if (n > s->n_past)
        return phi_fail(err, PHI_USAGE, "cannot rewind to %zu tokens: the session holds %zu", n, s->n_past);
    if (n == s->n_past) return 0;
    s->has_logits = false;
    s->n_past = n;
    if (n && phi_attention_first(s, n) < phi_cache_oldest(s)) s->stale = true;
    return 0;
}

static int accept(struct phi_session *s, const int32_t *ids, size_t n, phi_error *err) {
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= s->model->n_vocab)
            return phi_fail(err, PHI_USAGE, "token id %d is outside the vocabulary (%d)", ids[i], s->model->n_vocab);
    if (n > (size_t)s->n_ctx - s->n_past)
        return phi_fail(err, PHI_CONTEXT, "%zu tokens do not fit: %zu of the context's %d are free", n,
                        (size_t)s->n_ctx - s->n_past, s->n_ctx);
    memcpy(s->ids + s->n_past, ids, n * sizeof *ids);
    return 0;
}

struct evaluation {
    size_t end;                /* of the tokens */
    phi_logits_fn *rows;       /* NULL: the last token's logits only */
    phi_progress_fn *progress; /* or NULL */
    void *user;                /* of both */
    size_t broken;             /* the first position whose logits are not finite; SIZE_MAX: none so far */
    bool head_broke_it;        /* the last layer's numbers for it were finite */
};

/* Look at logits row i, made of row `row` of h. For 32064 logits that takes some 2 microseconds. */
static void watch(const struct phi_session *s, struct evaluation *e, int i, int row, size_t position) {
    size_t n = (size_t)s->model->n_vocab, width = (size_t)s->model->n_embd;
    if (e->broken != SIZE_MAX || phi_all_finite(s->logits + (size_t)i * n, n)) return;
    e->broken = position;
    e->head_broke_it = phi_all_finite(s->h + (size_t)row * width, width);
}

/* Logits of the last pass, whose n tokens end at n_past, to rows. Non-zero: stop. */
static int give_rows(struct phi_session *s, int n, struct evaluation *e) {
    size_t position = s->n_past - (size_t)n;
    for (int first = 0; first < n; first += PHI_LOGITS_ROWS) {
        int some = n - first < PHI_LOGITS_ROWS ? n - first : PHI_LOGITS_ROWS;
        phi_forward_head(s, first, some);
        for (int i = 0; i < some; i++, position++) {
            watch(s, e, i, first + i, position);
            const float *row = s->logits + (size_t)i * (size_t)s->model->n_vocab;
            if (e->rows(e->user, position, row, s->model->n_vocab)) return 1;
        }
        if (first + some == n) /* the last row is the session's */
            memmove(s->logits, s->logits + (size_t)(some - 1) * (size_t)s->model->n_vocab,
                    (size_t)s->model->n_vocab * sizeof *s->logits);
    }
    return 0;
}

/* Evaluate ids[n_past .. end). Past tokens whose keys carry the other rotary list, or have left the ring, are done
 * again first. */
static void evaluate(struct phi_session *s, struct evaluation *e) {
    size_t begin = s->n_past, end = e->end;
    int list = phi_rope_list(s->model, end);
    if (list != s->rope_list || s->stale || !s->n_past) s->n_past = s->cache_end = 0;
    s->rope_list = list;
    s->stale = false;
    s->has_logits = false;
    size_t from = s->n_past;
    while (s->n_past < end) {
        bool again = s->n_past < begin; /* this pass ends where the new tokens begin, and nobody wants its logits */
        size_t left = (again ? begin : end) - s->n_past;
        int n = left < (size_t)s->n_ubatch ? (int)left : s->n_ubatch;
        phi_forward(s, n, NULL);
        s->n_past += (size_t)n;
        if (s->cache_end < s->n_past) s->cache_end = s->n_past;
        if (!again && e->rows && give_rows(s, n, e)) return;
        if (!e->rows && s->n_past == end) {
            phi_forward_head(s, n - 1, 1);
            watch(s, e, 0, n - 1, end - 1);
        }
        s->has_logits = s->n_past == end;
        if (e->progress && e->progress(e->user, s->n_past - from, end - from)) return;
    }
}

/* Logits were not finite: say where that began. The tokens up to the broken one are computed again from the first one
 * on, looking at every layer: what broke it may be the keys of a token whose own logits nobody wanted, and in a ring
 * they may be gone. */
static int explain(struct phi_session *s, const struct evaluation *e, phi_error *err) {
    static const char advice[] = "the file may be damaged, 'phi info --verify' checks it";
    if (e->head_broke_it)
        return phi_fail(err, PHI_FAILED,
                        "the logits after token %zu are not finite numbers, since the output head; %s", e->broken,
                        advice);
    s->n_past = 0;
    while (s->n_past <= e->broken) {
        struct phi_culprit culprit;
        size_t left = e->broken + 1 - s->n_past;
        int n = left < (size_t)s->n_ubatch ? (int)left : s->n_ubatch;
        phi_forward(s, n, &culprit);
        size_t at = s->n_past + (size_t)culprit.row;
        if (culprit.row < n && culprit.layer < 0)
            return phi_fail(err, PHI_FAILED,
                            "the logits after token %zu are not finite numbers, since the embedding of token %zu (id "
                            "%d); %s",
                            e->broken, at, s->ids[at], advice);
        if (culprit.row < n)
            return phi_fail(
                err, PHI_FAILED,
                "the logits after token %zu are not finite numbers, since layer %d (blk.%d.*) at token %zu (id %d); "
                "%s",
                e->broken, culprit.layer, culprit.layer, at, s->ids[at], advice);
        s->n_past += (size_t)n;
        if (e->progress && e->progress(e->user, s->n_past, e->broken + 1)) break;
    }
    return phi_fail(err, PHI_FAILED, "the logits after token %zu are not finite numbers; %s", e->broken, advice);
}

static int append(struct phi_session *s, const int32_t *ids, size_t n, struct evaluation *e, phi_error *err) {
    size_t begin = s->n_past;
    int status = accept(s, ids, n, err);
    if (status || n == 0) return status;
    e->end = begin + n;
    e->broken = SIZE_MAX;
    unsigned long long fp = phi_fp_enter();
    evaluate(s, e);
    if (e->broken != SIZE_MAX) {
        status = explain(s, e, err);
        s->n_past = begin;
        s->has_logits = false;
        s->stale = true;
    }
    phi_fp_restore(fp);
    return status;
}

int phi_session_eval(phi_session *s, const int32_t *ids, size_t n, phi_progress_fn *progress, void *user,
                     phi_error *err) {
    struct evaluation e = {.progress = progress, .user = user};
    return append(s, ids, n, &e, err);
}

int phi_session_eval_logits(phi_session *s, const int32_t *ids, size_t n, phi_logits_fn *fn, void *user,
                            phi_error *err) {
    struct evaluation e = {.rows = fn, .user = user};
    return append(s, ids, n, &e, err);
}
