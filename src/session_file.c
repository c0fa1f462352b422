/* A session file: header, slots and states. The rows of the cache are session_blocks.c's. Every number that comes
 * from the file is checked here before it is used; a state is taken only whole. */
#include "session_file.h"
#include "io.h"
#include "memory.h"
#include "rope.h"
#include "session_file_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

enum { VERSION = 1, HEADER = 72, SLOTS_AT = 4096, SLOT_STEP = 4096, SLOT = 36, STATE_HEAD = 28 };
enum { MAX_STATE = 256 << 20 }; /* bytes; ids and texts of a context of a million tokens need less */

static const char MAGIC[8] = {'P', 'H', 'I', '-', 'S', 'E', 'S', 'S'};
static const char SLOT_MAGIC[4] = {'S', 'L', 'O', 'T'};

void phi_pack_u32(uint8_t **at, uint32_t v) {
    for (int i = 0; i < 4; i++) *(*at)++ = (uint8_t)(v >> 8 * i);
}

void phi_pack_u64(uint8_t **at, uint64_t v) {
    phi_pack_u32(at, (uint32_t)v);
    phi_pack_u32(at, (uint32_t)(v >> 32));
}

int phi_session_file_fail(const struct phi_session_file *f, phi_error *err) {
    return phi_file_fail(f->path, err, PHI_OUTPUT, "the session could not be saved: %s", strerror(errno));
}

static int fail_read(const char *path, phi_error *err) {
    return phi_file_fail(path, err, PHI_OUTPUT, "the session cannot be read: %s", strerror(errno));
}

/* ---- The header ---- */

uint64_t phi_model_fingerprint(const phi_model *m) {
    enum { SAMPLE = 256 };
    const struct phi_gguf *g = &m->gguf;
    uint64_t hash = phi_hash(PHI_HASH_START, &g->file.size, sizeof g->file.size);
    hash = phi_hash(hash, g->file.data, (size_t)g->data_offset);
    for (uint64_t i = 0; i < g->n_tensor; i++) {
        const struct phi_gguf_tensor *t = &g->tensor[i];
        size_t n = t->n_bytes < SAMPLE ? (size_t)t->n_bytes : SAMPLE;
        const uint8_t *last = t->data + (t->n_bytes - n);
        hash = phi_hash(hash, t->data, n);
        hash = phi_hash(hash, t->data + (t->n_bytes - n) / 2, n);
        hash = phi_hash(hash, last, n);
    }
    return hash;
}

uint64_t phi_file_fingerprint(const struct phi_file *file) {
    enum { BEGINNING = 1 << 16, PLACES = 256, SAMPLE = 64 };
    uint64_t hash = phi_hash(PHI_HASH_START, &file->size, sizeof file->size);
    hash = phi_hash(hash, file->data, file->size < BEGINNING ? (size_t)file->size : BEGINNING);
    uint64_t last = file->size >= SAMPLE ? file->size - SAMPLE : 0;
    for (uint64_t i = 0; i < PLACES && last; i++)
        hash = phi_hash(hash, file->data + (i + 1 < PLACES ? last / (PLACES - 1) * i : last), SAMPLE);
    return hash;
}

static void pack_header(const struct phi_session_file *f, uint8_t out[HEADER]) {
    const struct phi_session *s = f->session;
    const struct phi_model *m = s->model;
    uint32_t numbers[] = {(uint32_t)m->n_vocab, (uint32_t)m->n_layer, (uint32_t)m->n_head_kv, (uint32_t)m->head_dim,
                          (uint32_t)s->type_k,  (uint32_t)s->type_v,  (uint32_t)s->window};
    uint8_t *at = out;
    memcpy(at, MAGIC, sizeof MAGIC);
    at += sizeof MAGIC;
    phi_pack_u32(&at, VERSION);
    phi_pack_u32(&at, f->kind);
    phi_pack_u64(&at, f->model);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) phi_pack_u32(&at, numbers[i]);
    phi_pack_u64(&at, f->block_bytes);
    phi_pack_u64(&at, f->model_file);
    phi_pack_u32(&at, phi_crc32(&f->crc, 0, out, HEADER - 4));
}

static int other_cache(const struct phi_session_file *f, const uint8_t *theirs, phi_error *err) {
    static const char *const types[] = {[PHI_CACHE_F32] = "f32", [PHI_CACHE_F16] = "f16", [PHI_CACHE_Q8_0] = "q8_0"};
    uint32_t k = (uint32_t)phi_little_endian(theirs + 40, 4), v = (uint32_t)phi_little_endian(theirs + 44, 4),
             window = (uint32_t)phi_little_endian(theirs + 48, 4);
    return phi_file_fail(
        f->path, err, PHI_USAGE,
        "the session was saved with -ctk %s -ctv %s and a window of %u tokens (0: all); go on with the same",
        k < PHI_N_CACHE ? types[k] : "?", v < PHI_N_CACHE ? types[v] : "?", (unsigned)window);
}

/* 1: theirs is a header; 0: the file is empty; negative: the status. */
static int read_header(const struct phi_session_file *f, uint8_t theirs[HEADER], phi_error *err) {
    memset(theirs, 0, HEADER);
    ssize_t n = phi_io_pread_all(f->fd, theirs, HEADER, 0);
    if (n <= 0) return n ? fail_read(f->path, err) : 0;
    if (memcmp(theirs, MAGIC, (size_t)n < sizeof MAGIC ? (size_t)n : sizeof MAGIC) != 0)
        return phi_file_fail(f->path, err, PHI_USAGE, "is not a session file; nothing in it was changed");
    uint32_t version = (uint32_t)phi_little_endian(theirs + 8, 4), kind = (uint32_t)phi_little_endian(theirs + 12, 4);
    if (n >= 12 && version != VERSION)
        return phi_file_fail(f->path, err, PHI_FAILED, "session ignored: its version is %u, this program knows %d",
                             (unsigned)version, VERSION);
    if (n < HEADER || phi_little_endian(theirs + HEADER - 4, 4) != phi_crc32(&f->crc, 0, theirs, HEADER - 4) ||
        kind > PHI_SESSION_CACHE)
        return phi_file_fail(f->path, err, PHI_FAILED, "session ignored: its header is damaged");
    return 1;
}

static int other_model(const struct phi_session_file *f, phi_error *err) {
    return phi_file_fail(f->path, err, PHI_FAILED, "session ignored: written by another model");
}

/* Compare the header of the file with that of our session: field by field, for the right sentence. */
static int check_header(struct phi_session_file *f, phi_error *err) {
    static const char *const kinds[] = {"session of 'phi run'", "session of 'phi chat'", "prompt cache"};
    uint8_t ours[HEADER], theirs[HEADER];
    int status = read_header(f, theirs, err);
    if (status <= 0) return status;
    uint32_t kind = (uint32_t)phi_little_endian(theirs + 12, 4);
    pack_header(f, ours);
    if (memcmp(theirs + 16, ours + 16, 24) != 0 || memcmp(theirs + 60, ours + 60, 8) != 0) return other_model(f, err);
    if (memcmp(theirs + 40, ours + 40, 12) != 0) return other_cache(f, theirs, err);
    if (kind != (uint32_t)f->kind)
        return phi_file_fail(f->path, err, PHI_USAGE, "is a %s, not a %s; use a file of its own", kinds[kind],
                             kinds[f->kind]);
    if (memcmp(theirs, ours, HEADER) != 0)
        return phi_file_fail(f->path, err, PHI_FAILED, "session ignored: its header is damaged");
    f->has_header = true;
    return PHI_OK;
}

/* ---- Slots and states ---- */

static void free_state(struct phi_session_state *state) {
    phi_free(state->ids);
    phi_free(state->extra);
    *state = (struct phi_session_state){0};
}

/* The packed bytes of a state to *out. PHI_FAILED: they are none; without a sentence. */
static int unpack(const struct phi_session_file *f, const uint8_t *packed, size_t n, struct phi_session_state *out,
                  int *list) {
    const struct phi_model *m = f->session->model;
    struct phi_cursor c = {packed, packed + n};
    uint64_t n_id, n_kv, n_extra;
    uint32_t rope;
    const uint8_t *extra;
    if (!phi_cursor_u64(&c, &n_id) || !phi_cursor_u64(&c, &n_kv) || !phi_cursor_u32(&c, &rope) ||
        !phi_cursor_u64(&c, &n_extra))
        return PHI_FAILED;
    if (n_id > phi_cursor_left(&c) / 4 || n_kv > n_id || n_extra != phi_cursor_left(&c) - 4 * n_id) return PHI_FAILED;
    if (rope > (m->has_long_rope ? PHI_ROPE_LONG : PHI_ROPE_SHORT)) return PHI_FAILED;
    out->n_id = (size_t)n_id;
    out->n_kv = (size_t)n_kv;
    out->n_extra = (size_t)n_extra;
    out->ids = phi_alloc(out->n_id + 1, sizeof *out->ids);
    out->extra = phi_alloc(out->n_extra + 1, 1);
    if (!out->ids || !out->extra) return PHI_MEMORY;
    for (size_t i = 0; i < out->n_id; i++) {
        uint32_t id = 0;
        phi_cursor_u32(&c, &id);
        if (id >= (uint32_t)m->n_vocab) return PHI_FAILED;
        out->ids[i] = (int32_t)id;
    }
    if (phi_cursor_take(&c, n_extra, &extra) && n_extra) memcpy(out->extra, extra, out->n_extra);
    *list = (int)rope;
    return PHI_OK;
}

struct packed {
    uint8_t *bytes; /* the caller's */
    size_t n;
    uint64_t number;
};

/* The packed state of a slot; f->live[slot] is where it lies. 1: the slot was never written; negative: PHI_FAILED
 * damaged, PHI_OUTPUT, PHI_MEMORY. */
static int read_slot(struct phi_session_file *f, int slot, uint64_t file_bytes, struct packed *out) {
    uint8_t bytes[SLOT] = {0};
    ssize_t got = phi_io_pread_all(f->fd, bytes, SLOT, SLOTS_AT + SLOT_STEP * (uint64_t)slot);
    if (got < 0) return PHI_OUTPUT;
    bool written = false;
    for (int i = 0; i < SLOT; i++) written |= bytes[i] != 0;
    if (!written) return 1;
    uint64_t number = phi_little_endian(bytes + 8, 8), at = phi_little_endian(bytes + 16, 8),
             n = phi_little_endian(bytes + 24, 8);
    if (memcmp(bytes, SLOT_MAGIC, 4) != 0 || phi_little_endian(bytes + 32, 4) != phi_crc32(&f->crc, 0, bytes, 32))
        return PHI_FAILED;
    if (number == 0 || number > UINT64_MAX / 2 || at > file_bytes || n > file_bytes - at || n < STATE_HEAD ||
        n > MAX_STATE)
        return PHI_FAILED;
    *out = (struct packed){phi_alloc((size_t)n, 1), (size_t)n, number};
    if (!out->bytes) return PHI_MEMORY;
    got = phi_io_pread_all(f->fd, out->bytes, out->n, at);
    f->live[slot] = (struct extent){at, n};
    if (got == (ssize_t)n && phi_crc32(&f->crc, 0, out->bytes, out->n) == phi_little_endian(bytes + 4, 4))
        return PHI_OK;
    phi_free(out->bytes);
    out->bytes = NULL;
    f->live[slot].n = 0;
    return got < 0 ? PHI_OUTPUT : PHI_FAILED;
}

/* Take the state of a slot if it is sound, and newer than what there is. As read_slot(). */
static int take_slot(struct phi_session_file *f, int slot, uint64_t file_bytes) {
    struct phi_session_state state = {0};
    struct packed packed = {NULL, 0, 0};
    int list = 0, status = read_slot(f, slot, file_bytes, &packed);
    if (status) return status;
    if (packed.number > f->state.number) status = unpack(f, packed.bytes, packed.n, &state, &list);
    if (status || packed.number <= f->state.number) {
        if (status) f->live[slot].n = 0;
        free_state(&state);
        phi_free(packed.bytes);
        return status;
    }
    free_state(&f->state);
    phi_free(f->packed);
    f->packed = packed.bytes;
    f->n_packed = packed.n;
    f->state = state;
    f->state.number = packed.number;
    f->list = list;
    f->slot = slot;
    return PHI_OK;
}

/* Both slots: by take_slot(), or only looked at. *found: one has a state. */
static int read_slots(struct phi_session_file *f, bool take, bool *found, phi_error *err) {
    struct stat st;
    int status[2];
    *found = false;
    if (fstat(f->fd, &st) != 0) return fail_read(f->path, err);
    for (int i = 0; i < 2; i++) {
        struct packed packed = {NULL, 0, 0};
        status[i] = take ? take_slot(f, i, (uint64_t)st.st_size) : read_slot(f, i, (uint64_t)st.st_size, &packed);
        phi_free(packed.bytes);
        if (status[i] == PHI_OUTPUT) return fail_read(f->path, err);
        if (status[i] == PHI_MEMORY)
            return phi_file_fail(f->path, err, PHI_MEMORY, "not enough memory for the session");
        *found |= status[i] == PHI_OK;
    }
    if (*found || (status[0] == 1 && status[1] == 1)) return PHI_OK;
    return phi_file_fail(f->path, err, PHI_FAILED, "session ignored: it is damaged");
}

int phi_session_file_check(int fd, const char *path, const struct phi_file *model, bool *has_state, phi_error *err) {
    struct phi_session_file f = {.fd = fd, .path = path};
    uint8_t theirs[HEADER];
    *has_state = false;
    phi_crc32_init(&f.crc);
    int status = read_header(&f, theirs, err);
    if (status <= 0) return status;
    if (model && phi_little_endian(theirs + 60, 8) != phi_file_fingerprint(model)) return other_model(&f, err);
    return read_slots(&f, false, has_state, err);
}

/* ---- Opening ---- */

static int check_size(const struct phi_session_file *f, phi_error *err) {
    size_t n_ctx = (size_t)f->session->n_ctx, n = f->state.n_id;
    if (f->kind == PHI_SESSION_CACHE || (n <= n_ctx + 1 && f->state.n_kv <= n_ctx)) return PHI_OK;
    return phi_file_fail(f->path, err, PHI_CONTEXT,
                         "the session has %zu tokens, the context holds %zu; use -c %zu or more", n, n_ctx, n);
}

int phi_session_file_open(int fd, const char *path, enum phi_session_kind kind, phi_session *session,
                          struct phi_session_file **out, phi_error *err) {
    *out = NULL;
    struct phi_session_file *f = phi_alloc(1, sizeof *f);
    if (!f) return phi_file_fail(path, err, PHI_MEMORY, "not enough memory for a session file");
    f->fd = fd;
    f->path = path;
    f->session = session;
    f->kind = kind;
    f->model = phi_model_fingerprint(session->model);
    f->model_file = phi_file_fingerprint(&session->model->gguf.file);
    phi_crc32_init(&f->crc);
    int status = phi_session_blocks_open(f, err);
    if (!status) status = check_header(f, err);
    bool found;
    if (!status && f->has_header) status = read_slots(f, true, &found, err);
    if (!status) status = check_size(f, err);
    if (!status)
        *out = f;
    else
        phi_session_file_close(f);
    return status;
}

void phi_session_file_close(struct phi_session_file *f) {
    if (!f) return;
    free_state(&f->state);
    phi_free(f->packed);
    phi_free(f->block);
    phi_free(f->buffer);
    phi_free(f);
}

const struct phi_session_state *phi_session_file_state(const struct phi_session_file *f) {
    return f->state.number ? &f->state : NULL;
}

/* ---- Saving ---- */

/* So that a full disk shows before anything is written over. Where the file system cannot, the writes show it. */
static int reserve_bytes(struct phi_session_file *f, uint64_t end, phi_error *err) {
    struct stat st;
    if (fstat(f->fd, &st) != 0) return phi_session_file_fail(f, err);
    uint64_t size = (uint64_t)st.st_size;
    if (size >= end && (uint64_t)st.st_blocks * 512 >= size) return PHI_OK;
    if (!phi_io_may(PHI_IO_WRITE) && errno) return phi_session_file_fail(f, err);
#if defined(F_PREALLOCATE) /* macOS */
    fstore_t store = {
        .fst_flags = F_ALLOCATEALL, .fst_posmode = F_PEOFPOSMODE, .fst_length = (off_t)(end > size ? end - size : 0)};
    int cause = size < end && fcntl(f->fd, F_PREALLOCATE, &store) == -1 ? errno : 0;
#else
    int cause = posix_fallocate(f->fd, 0, (off_t)end);
#endif
    if (cause != ENOSPC && cause != EFBIG && cause != EDQUOT) return PHI_OK;
    errno = cause;
    return phi_session_file_fail(f, err);
}

/* First of all: a file that has grown without a header would not be known as ours. */
static int write_header(struct phi_session_file *f, phi_error *err) {
    uint8_t page[BLOCKS_AT] = {0}; /* the slots, too: nothing is saved yet */
    if (f->has_header) return PHI_OK;
    pack_header(f, page);
    if (phi_io_pwrite_all(f->fd, page, sizeof page, 0) || phi_io_sync(f->fd)) return phi_session_file_fail(f, err);
    f->has_header = true;
    return PHI_OK;
}

int phi_session_file_reserve(struct phi_session_file *f, size_t n, phi_error *err) {
    size_t most = (size_t)f->session->n_ctx;
    int status = write_header(f, err);
    return status ? status : reserve_bytes(f, phi_session_blocks_end(f, n < most ? n : most), err);
}

static bool overlap(uint64_t at, uint64_t n, const struct extent *e) {
    return e->n && at < e->at + e->n && e->at < at + n;
}

/* A packed state to a place from `from` on that leaves the one of the other slot alone, then its slot: from here on
 * the file holds it. */
static int write_state(struct phi_session_file *f, const uint8_t *packed, size_t n, uint64_t number, uint64_t from,
                       phi_error *err) {
    int slot = 1 - f->slot;
    const struct extent *other = &f->live[f->slot];
    uint8_t bytes[SLOT], *at = bytes;
    uint64_t place = overlap(from, n, other) ? other->at + other->n : from;
    f->live[slot].n = 0;
    int status = reserve_bytes(f, place + n, err);
    if (status) return status;
    if (phi_io_pwrite_all(f->fd, packed, n, place) || phi_io_sync(f->fd)) return phi_session_file_fail(f, err);
    memcpy(at, SLOT_MAGIC, sizeof SLOT_MAGIC);
    at += sizeof SLOT_MAGIC;
    phi_pack_u32(&at, phi_crc32(&f->crc, 0, packed, n));
    phi_pack_u64(&at, number);
    phi_pack_u64(&at, place);
    phi_pack_u64(&at, n);
    phi_pack_u32(&at, phi_crc32(&f->crc, 0, bytes, SLOT - 4));
    if (phi_io_pwrite_all(f->fd, bytes, SLOT, SLOTS_AT + SLOT_STEP * (uint64_t)slot) || phi_io_sync(f->fd))
        return phi_session_file_fail(f, err);
    f->live[slot] = (struct extent){place, n};
    f->slot = slot;
    f->state.number = number;
    return PHI_OK;
}

static uint8_t *pack(const struct phi_session *s, const int32_t *ids, size_t n_id, size_t n_kv, const void *extra,
                     size_t n_extra, size_t *n) {
    *n = STATE_HEAD + 4 * n_id + n_extra;
    uint8_t *packed = phi_alloc(*n, 1), *at = packed;
    if (!packed) return NULL;
    phi_pack_u64(&at, n_id);
    phi_pack_u64(&at, n_kv);
    phi_pack_u32(&at, (uint32_t)s->rope_list);
    phi_pack_u64(&at, n_extra);
    for (size_t i = 0; i < n_id; i++) phi_pack_u32(&at, (uint32_t)ids[i]);
    if (n_extra) memcpy(at, extra, n_extra);
    return packed;
}

int phi_session_file_save(struct phi_session_file *f, const int32_t *ids, size_t n_id, const void *extra,
                          size_t n_extra, phi_error *err) {
    const struct phi_session *s = f->session;
    struct phi_session_state state = {0};
    size_t n_kv = 0, n;
    int list;
    while (!s->stale && n_kv < n_id && n_kv < s->n_past && s->ids[n_kv] == ids[n_kv]) n_kv++;
    uint8_t *packed = pack(s, ids, n_id, n_kv, extra, n_extra, &n);
    int status = !packed ? PHI_MEMORY : n > MAX_STATE ? PHI_OUTPUT : unpack(f, packed, n, &state, &list);
    if (status)
        status = phi_file_fail(f->path, err, status == PHI_FAILED ? PHI_USAGE : status,
                               "%zu bytes of tokens and texts cannot be saved", n);
    if (!status && f->state.number && n == f->n_packed && memcmp(packed, f->packed, n) == 0) { /* nothing is new */
        free_state(&state);
        phi_free(packed);
        return PHI_OK;
    }
    uint64_t end = phi_session_blocks_end(f, n_kv);
    if (!status) status = write_header(f, err);
    if (!status) status = reserve_bytes(f, end + n, err);
    /* Blocks may grow over the state that holds now: it moves out of their way first. */
    if (!status && overlap(0, end, &f->live[f->slot]))
        status = write_state(f, f->packed, f->n_packed, f->state.number + 1, end + n, err);
    if (!status) status = phi_session_blocks_write(f, n_kv, err);
    if (!status) status = write_state(f, packed, n, f->state.number + 1, end, err);
    if (status) {
        free_state(&state);
        phi_free(packed);
        return status;
    }
    state.number = f->state.number;
    free_state(&f->state);
    phi_free(f->packed);
    f->state = state;
    f->packed = packed;
    f->n_packed = n;
    f->list = s->rope_list;
    return PHI_OK;
}
