/* The blocks of a session file: rows of the cache on their way out and in. A block is read layer by layer, each one
 * checked before its rows reach the cache; what fails is computed again from the ids. */
#include "io.h"
#include "memory.h"
#include "rope.h"
#include "session_file_parts.h"

#include <string.h>

static const char MAGIC[4] = {'K', 'V', 'K', 'V'};

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

int phi_session_blocks_open(struct phi_session_file *f, phi_error *err) {
    const struct phi_session *s = f->session;
    size_t hd = (size_t)s->model->head_dim, n_layer = (size_t)s->model->n_layer;
    size_t row = phi_cache_bytes(s->type_k, (int)hd) + phi_cache_bytes(s->type_v, (int)hd);
    f->head_bytes = (24 + BLOCK * 4 + 4 * n_layer + 4 + 63) / 64 * 64;
    f->layer_bytes = (size_t)s->model->n_head_kv * BLOCK * row;
    f->block_bytes = ((uint64_t)f->head_bytes + (uint64_t)f->layer_bytes * n_layer + 4095) / 4096 * 4096;
    f->n_block = ((size_t)s->n_ctx + BLOCK - 1) / BLOCK;
    f->block = phi_alloc(f->n_block, sizeof *f->block);
    f->buffer = phi_alloc(f->head_bytes + f->layer_bytes, 1);
    if (f->block && f->buffer) return PHI_OK;
    return phi_file_fail(f->path, err, PHI_MEMORY, "not enough memory for a session file");
}

static uint64_t block_at(const struct phi_session_file *f, size_t b) {
    return BLOCKS_AT + f->block_bytes * b;
}

uint64_t phi_session_blocks_end(const struct phi_session_file *f, size_t n) {
    return block_at(f, (n + BLOCK - 1) / BLOCK);
}

/* ---- Between cache and buffer ---- */

/* The groups of 16 positions from first to n - 1 of a block, one layer, one way or the other; what is not among them
 * is zero in the buffer. */
static void copy_layer(const struct phi_session_file *f, size_t b, int layer, size_t first, size_t n, bool to_cache) {
    const struct phi_session *s = f->session;
    size_t keys = PHI_KEY_GROUP * phi_cache_bytes(s->type_k, s->model->head_dim);
    size_t values = PHI_KEY_GROUP * phi_cache_bytes(s->type_v, s->model->head_dim);
    uint8_t *at = f->buffer + f->head_bytes;
    for (int head = 0; head < s->model->n_head_kv; head++) {
        uint8_t *key = at, *value = at + BLOCK / PHI_KEY_GROUP * keys;
        for (size_t i = 0; i < BLOCK; i += PHI_KEY_GROUP, key += keys, value += values) {
            if (i < first || i >= n) {
                if (!to_cache) memset(key, 0, keys), memset(value, 0, values);
                continue;
            }
            struct phi_rows rows = phi_cache_group(s, layer, head, b * BLOCK + i);
            memcpy(to_cache ? rows.keys : (char *)key, to_cache ? (char *)key : rows.keys, keys);
            memcpy(to_cache ? rows.values : (char *)value, to_cache ? (char *)value : rows.values, values);
        }
        at = value;
    }
}

static bool finite_f16(const uint8_t *p, size_t n) {
    bool bad = false;
    for (size_t i = 0; i < n; i++) bad |= (p[2 * i + 1] & 0x7c) == 0x7c;
    return !bad;
}

/* n rows or groups of them, each of `units` times head_dim values; the scales of q8_0 stand behind the bytes. */
static bool rows_finite(int type, const uint8_t *p, size_t n, size_t units, size_t hd) {
    size_t bytes = units * phi_cache_bytes(type, (int)hd);
    if (type == PHI_CACHE_F16) return finite_f16(p, n * units * hd);
    for (size_t i = 0; i < n; i++, p += bytes) {
        if (type == PHI_CACHE_Q8_0 && !finite_f16(p + units * hd, units * hd / 32)) return false;
        for (size_t k = 0; type == PHI_CACHE_F32 && k < units * hd; k++)
            if ((p[4 * k + 3] & 0x7f) == 0x7f && (p[4 * k + 2] & 0x80)) return false;
    }
    return true;
}

static bool layer_is_finite(const struct phi_session_file *f) {
    const struct phi_session *s = f->session;
    size_t hd = (size_t)s->model->head_dim;
    const uint8_t *at = f->buffer + f->head_bytes;
    for (int head = 0; head < s->model->n_head_kv; head++) {
        if (!rows_finite(s->type_k, at, BLOCK / PHI_KEY_GROUP, PHI_KEY_GROUP, hd)) return false;
        at += BLOCK * phi_cache_bytes(s->type_k, (int)hd);
        if (!rows_finite(s->type_v, at, BLOCK, 1, hd)) return false;
        at += BLOCK * phi_cache_bytes(s->type_v, (int)hd);
    }
    return true;
}

/* ---- Reading ---- */

static bool ids_match(const struct block *block, uint64_t before, const int32_t *ids, size_t n, int list) {
    return block->known && block->before == before && block->list == list && block->n >= n &&
           memcmp(block->ids, ids, n * sizeof *ids) == 0;
}

/* The head of block b into f->block[b] and the buffer. */
static bool read_head(struct phi_session_file *f, size_t b) {
    struct block *block = &f->block[b];
    size_t n_sum = f->head_bytes - 4;
    uint32_t n, first, list, sum;
    block->known = false;
    if (phi_io_pread_all(f->fd, f->buffer, f->head_bytes, block_at(f, b)) != (ssize_t)f->head_bytes) return false;
    struct phi_cursor c = {f->buffer + sizeof MAGIC, f->buffer + f->head_bytes}, end = {f->buffer + n_sum, c.end};
    phi_cursor_u32(&c, &n);
    phi_cursor_u32(&c, &first);
    phi_cursor_u32(&c, &list);
    phi_cursor_u64(&c, &block->before);
    phi_cursor_u32(&end, &sum);
    if (memcmp(f->buffer, MAGIC, sizeof MAGIC) != 0 || sum != phi_crc32(&f->crc, 0, f->buffer, n_sum)) return false;
    if (n > BLOCK || first > n || first % PHI_KEY_GROUP || list >= PHI_N_ROPE) return false;
    *block = (struct block){.known = true, .n = n, .first = first, .list = (int)list, .before = block->before};
    for (int i = 0; i < BLOCK; i++) {
        uint32_t id = 0;
        phi_cursor_u32(&c, &id);
        block->ids[i] = (int32_t)id;
    }
    return true;
}

/* The rows of block b for the first n of its positions. False: not all of them are there or sound. */
static bool read_block(struct phi_session_file *f, size_t b, uint64_t before, size_t n, size_t need) {
    struct phi_session *s = f->session;
    struct block *block = &f->block[b];
    if (!read_head(f, b)) return false;
    bool sound = ids_match(block, before, s->ids + b * BLOCK, n, f->list) && block->first <= need;
    struct phi_cursor sums = {f->buffer + 24 + BLOCK * 4, f->buffer + f->head_bytes};
    for (int layer = 0; sound && layer < s->model->n_layer; layer++) {
        uint8_t *data = f->buffer + f->head_bytes;
        uint64_t at = block_at(f, b) + f->head_bytes + f->layer_bytes * (uint64_t)layer;
        uint32_t sum = 0;
        phi_cursor_u32(&sums, &sum);
        sound = phi_io_pread_all(f->fd, data, f->layer_bytes, at) == (ssize_t)f->layer_bytes &&
                phi_crc32(&f->crc, 0, data, f->layer_bytes) == sum && layer_is_finite(f);
        if (sound) copy_layer(f, b, layer, block->first, n, true);
    }
    block->known = sound;
    return sound;
}

struct loading {
    struct phi_session_file *f;
    phi_progress_fn *progress;
    void *user;
    size_t n, n_rebuilt;
    bool stopped;
};

/* Compute positions from .. to - 1 again; rows before them are there. */
static void rebuild(struct loading *l, size_t from, size_t to) {
    struct phi_session *s = l->f->session;
    unsigned long long fp = phi_fp_enter();
    s->n_past = from;
    while (s->n_past < to && !l->stopped) {
        int n = (int)least(to - s->n_past, (size_t)s->n_ubatch);
        phi_forward(s, n, NULL);
        s->n_past += (size_t)n;
        l->n_rebuilt += (size_t)n;
        l->stopped = l->progress && l->progress(l->user, s->n_past, l->n);
    }
    phi_fp_restore(fp);
}

/* Blocks from the first that the cache has room for, ascending. Returns the first position from which on all rows up
 * to s->n_past are there; l->n: a row that the next token sees is neither there nor can be made of what is. */
static size_t load_blocks(struct loading *l, uint64_t before, size_t oldest, size_t must) {
    struct phi_session_file *f = l->f;
    struct phi_session *s = f->session;
    size_t there = oldest;
    for (size_t b = oldest / BLOCK; b * BLOCK < l->n && !l->stopped; b++) {
        size_t at = b * BLOCK, n = least(l->n - at, BLOCK);
        if (read_block(f, b, before, n, must > at ? must - at : 0)) {
            if (f->block[b].first && at + f->block[b].first > there) there = at + f->block[b].first;
        } else if (there <= phi_attention_first(s, at)) {
            rebuild(l, at, at + n);
            if (l->stopped) break;
        } else if (at + n <= must) {
            there = at + BLOCK;
        } else {
            return l->n;
        }
        s->n_past = at + n;
        before = phi_hash(before, s->ids + at, n * sizeof *s->ids);
    }
    return there;
}

void phi_session_file_load(struct phi_session_file *f, size_t n, phi_progress_fn *progress, void *user,
                           size_t *n_rebuilt) {
    struct phi_session *s = f->session;
    struct loading l = {.f = f, .progress = progress, .user = user, .n = n};
    size_t end = (n + PHI_KEY_GROUP - 1) / PHI_KEY_GROUP * PHI_KEY_GROUP;
    size_t oldest = end > s->cache_rows ? end - s->cache_rows : 0, must = phi_attention_first(s, n);
    memcpy(s->ids, f->state.ids, n * sizeof *s->ids);
    s->n_past = s->cache_end = 0;
    s->stale = s->has_logits = false;
    s->rope_list = f->list;
    size_t there =
        load_blocks(&l, phi_hash(PHI_HASH_START, s->ids, oldest / BLOCK * BLOCK * sizeof *s->ids), oldest, must);
    if (there == n) {
        there = 0;
        rebuild(&l, 0, n);
    }
    s->cache_end = s->n_past;
    if (there > phi_cache_oldest(s))
        s->cache_end = there + s->cache_rows; /* a rewind must not reach the rows before */
    *n_rebuilt = l.n_rebuilt;
}

/* ---- Writing ---- */

static int write_block(struct phi_session_file *f, size_t b, const struct block *block, phi_error *err) {
    const struct phi_session *s = f->session;
    uint8_t *sums = f->buffer + 24 + BLOCK * 4, *at = f->buffer;
    uint64_t data = block_at(f, b) + f->head_bytes;
    f->block[b].known = false;
    memset(f->buffer, 0, f->head_bytes);
    for (int layer = 0; layer < s->model->n_layer; layer++, data += f->layer_bytes) {
        copy_layer(f, b, layer, block->first, block->n, false);
        phi_pack_u32(&sums, phi_crc32(&f->crc, 0, f->buffer + f->head_bytes, f->layer_bytes));
        if (phi_io_pwrite_all(f->fd, f->buffer + f->head_bytes, f->layer_bytes, data))
            return phi_session_file_fail(f, err);
    }
    memcpy(at, MAGIC, sizeof MAGIC);
    at += sizeof MAGIC;
    phi_pack_u32(&at, block->n);
    phi_pack_u32(&at, block->first);
    phi_pack_u32(&at, (uint32_t)block->list);
    phi_pack_u64(&at, block->before);
    for (int i = 0; i < BLOCK; i++) phi_pack_u32(&at, (uint32_t)block->ids[i]);
    at = f->buffer + f->head_bytes - 4;
    phi_pack_u32(&at, phi_crc32(&f->crc, 0, f->buffer, f->head_bytes - 4));
    if (phi_io_pwrite_all(f->fd, f->buffer, f->head_bytes, block_at(f, b))) return phi_session_file_fail(f, err);
    f->block[b] = *block;
    return PHI_OK;
}

int phi_session_blocks_write(struct phi_session_file *f, size_t n, phi_error *err) {
    const struct phi_session *s = f->session;
    size_t oldest = phi_cache_oldest(s);
    uint64_t before = PHI_HASH_START;
    for (size_t at = 0; at < n; at += BLOCK) {
        size_t b = at / BLOCK, some = least(n - at, BLOCK), first = oldest > at ? oldest - at : 0;
        const struct block *there = &f->block[b];
        struct block block = {
            .known = true, .n = (uint32_t)some, .first = (uint32_t)first, .list = s->rope_list, .before = before};
        memcpy(block.ids, s->ids + at, some * sizeof *s->ids);
        before = phi_hash(before, block.ids, some * sizeof *block.ids);
        if (first >= some || (ids_match(there, block.before, block.ids, some, block.list) && there->first <= first))
            continue;
        int status = write_block(f, b, &block, err);
        if (status) return status;
    }
    return PHI_OK;
}
