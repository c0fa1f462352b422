/* Session files on a tiny model: what comes back computes the same bits as a straight run, for every type of cache, window,
 * context, number of threads and place of the cut; damage of every byte is noticed or harmless; a save that fails leaves the
 * state of before; and a save costs its own tokens. */
#include "check.h"
#include "gguf_writer.h"
#include "../include/phi.h"
#include "../src/checksum.h"
#include "../src/io.h"
#include "../src/memory.h"
#include "../src/session_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VOCAB = 300, N = 300, CTX = 512 };
enum { HEADER = 72, SLOT = 36, SLOTS_AT = 4096, BLOCKS_AT = 12288 };

static char path[512], model_path[512];
static int32_t ids[N + 1];
static phi_model *model;

struct setting {
    int n_ctx, n_threads, n_ubatch, window;
    enum phi_kv_type k, v;
};
static const struct setting plainly = {CTX, 1, 64, 0, PHI_KV_F16, PHI_KV_F16};

static phi_session *open_session(struct setting set) {
    struct phi_session_options o = phi_session_options_default();
    phi_error err = {""};
    phi_session *s = NULL;
    o.n_ctx = set.n_ctx;
    o.n_threads = set.n_threads;
    o.n_ubatch = set.n_ubatch;
    o.window = set.window;
    o.type_k = set.k;
    o.type_v = set.v;
    o.force_threads = true;
    CHECK(phi_session_open(model, &o, &s, &err) == 0, "%s", err.text);
    return s;
}

static phi_model *open_tiny(bool long_rope, unsigned long long seed) {
    struct tiny_phi3 t = tiny_phi3_default();
    phi_error err = {""};
    phi_model *m = NULL;
    t.n_vocab = VOCAB;
    t.n_embd = 128; /* heads of 32, which q8_0 needs */
    t.n_rot = 32;
    t.n_ctx = CTX;
    t.seed = seed;
    if (long_rope) {
        t.factors = true;
        t.n_ctx_orig = 150;
    }
    struct gguf_writer w = tiny_phi3_build(&t);
    unlink(model_path); /* an older model may still be mapped from there */
    gguf_save(&w, model_path);
    gguf_free(&w);
    CHECK(phi_model_open(model_path, &m, &err) == 0, "%s", err.text);
    return m;
}

static void eval(phi_session *s, int from, int to) {
    phi_error err = {""};
    CHECK(phi_session_eval(s, ids + from, (size_t)(to - from), NULL, NULL, &err) == 0, "%s", err.text);
}

static bool same_logits(const phi_session *s, const float *want) {
    const float *got = phi_session_logits(s);
    return got && memcmp(got, want, VOCAB * sizeof *got) == 0;
}

static int open_path(int flags) {
    int fd = open(path, O_RDWR | flags, 0600);
    CHECK(fd >= 0, "%s: %s", path, strerror(errno));
    return fd;
}

static void save(phi_session *s, struct phi_session_file *f, int n_id) {
    phi_error err = {""};
    char extra[32];
    int n = snprintf(extra, sizeof extra, "extra %d", n_id);
    CHECK(phi_session_file_save(f, ids, (size_t)n_id, extra, (size_t)n, &err) == 0, "%s", err.text);
    (void)s;
}

/* A new process: open, load all rows that are there, go on to position `to`. Returns how many were rebuilt. */
static size_t resume(struct setting set, int to, const float *want, const char *what) {
    phi_error err = {""};
    phi_session *s = open_session(set);
    struct phi_session_file *f = NULL;
    size_t n_rebuilt = 0;
    int fd = open_path(0), status = phi_session_file_open(fd, path, PHI_SESSION_RUN, s, &f, &err);
    CHECK(status == 0, "%s: %s", what, err.text);
    const struct phi_session_state *state = status ? NULL : phi_session_file_state(f);
    CHECK(state != NULL, "%s: no state", what);
    if (state) {
        char extra[32];
        int n = snprintf(extra, sizeof extra, "extra %zu", state->n_id);
        CHECK(state->n_extra == (size_t)n && memcmp(state->extra, extra, (size_t)n) == 0, "%s: extra", what);
        CHECK(memcmp(state->ids, ids, state->n_id * sizeof *ids) == 0, "%s: ids", what);
        phi_session_file_load(f, state->n_kv, NULL, NULL, &n_rebuilt);
        CHECK(phi_session_n_past(s) == state->n_kv && !phi_session_logits(s), "%s: %zu tokens", what, phi_session_n_past(s));
        if (phi_session_n_past(s) == (size_t)to) phi_session_rewind(s, (size_t)to - 1, &err);
        eval(s, (int)phi_session_n_past(s), to);
        CHECK(same_logits(s, want), "%s: other bits", what);
        for (int back = 1; back <= 130; back = back * 3 + 1) { /* what a ring has lost is noticed */
            phi_session_rewind(s, (size_t)(to - back), &err);
            eval(s, to - back, to);
            CHECK(same_logits(s, want), "%s: other bits %d tokens back", what, back);
        }
    }
    phi_session_file_close(f);
    phi_session_close(s);
    close(fd);
    return n_rebuilt;
}

static void straight(struct setting set, int n, float *logits) {
    phi_session *s = open_session(set);
    eval(s, 0, n);
    memcpy(logits, phi_session_logits(s), VOCAB * sizeof *logits);
    phi_session_close(s);
}

/* One file, saved at each cut, by one process or by a new one each time. */
static void check_cuts(struct setting set, const char *what) {
    static const int cuts[] = {1, 15, 16, 17, 63, 64, 65, 128, 129, 147, 150, 151, 200, 201, 256, 299};
    float want[VOCAB];
    phi_error err;
    straight(set, N, want);
    for (int together = 0; together < 2; together++) {
        unlink(path);
        int fd = open_path(O_CREAT), before = 0;
        phi_session *s = open_session(set);
        struct phi_session_file *f = NULL;
        CHECK(phi_session_file_open(fd, path, PHI_SESSION_RUN, s, &f, &err) == 0, "%s", err.text);
        for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
            if (!together) {
                unlink(path);
                close(fd);
                fd = open_path(O_CREAT);
                phi_session_file_close(f);
                phi_session_file_open(fd, path, PHI_SESSION_RUN, s, &f, &err);
            }
            eval(s, before, cuts[i]);
            before = cuts[i];
            save(s, f, cuts[i] + (int)i % 2); /* with a token that is not computed yet */
            char title[96];
            snprintf(title, sizeof title, "%s, cut at %d", what, cuts[i]);
            struct setting other = set;
            other.n_ctx = i % 3 ? CTX : 310;
            other.n_threads = 1 + (int)i % 3;
            other.n_ubatch = i % 2 ? 7 : 100;
            size_t n_rebuilt = resume(other, N, want, title);
            CHECK(n_rebuilt == 0, "%s: %zu positions rebuilt", title, n_rebuilt);
        }
        phi_session_file_close(f);
        phi_session_close(s);
        close(fd);
    }
}

/* Save, go back, go on with the same or other tokens, save again. */
static void check_rewinds(struct setting set, const char *what) {
    float want[VOCAB];
    phi_error err;
    straight(set, N, want);
    unlink(path);
    int fd = open_path(O_CREAT);
    phi_session *s = open_session(set);
    struct phi_session_file *f = NULL;
    phi_session_file_open(fd, path, PHI_SESSION_RUN, s, &f, &err);
    unsigned long long seed = check_seed();
    for (int i = 0; i < 24; i++) {
        size_t past = phi_session_n_past(s), back = check_random(&seed) % 3 ? check_random(&seed) % 40 : check_random(&seed) % 250;
        int32_t keep[30];
        int at = past > back ? (int)(past - back) : 0, n = 1 + (int)(check_random(&seed) % 29);
        phi_session_rewind(s, (size_t)at, &err);
        if (at + n > 260) n = 260 - at > 0 ? 260 - at : 1;
        memcpy(keep, ids + at, sizeof keep);
        if (i % 2) /* a detour, saved too */
            for (int k = 0; k < n; k++) ids[at + k] = (int32_t)(check_random(&seed) % VOCAB);
        eval(s, at, at + n);
        save(s, f, at + n);
        if (i % 2) {
            memcpy(ids + at, keep, sizeof keep);
            phi_session_rewind(s, (size_t)at, &err);
            save(s, f, at);
        }
        resume(set, N, want, what);
    }
    phi_session_file_close(f);
    phi_session_close(s);
    close(fd);
}

/* ---- Damage ---- */

static uint8_t *good, *bytes;
static size_t n_good;

static void read_good(void) {
    struct stat st;
    int fd = open_path(0);
    fstat(fd, &st);
    n_good = (size_t)st.st_size;
    good = (uint8_t *)malloc(n_good);
    bytes = (uint8_t *)malloc(n_good);
    CHECK(phi_io_pread_all(fd, good, n_good, 0) == (ssize_t)n_good, "read");
    close(fd);
}

static void write_file(const uint8_t *p, size_t n) {
    int fd = open_path(O_TRUNC);
    CHECK(phi_io_pwrite_all(fd, p, n, 0) == 0, "write");
    close(fd);
}

/* Damage inside one file is met again and again by one session: memory stays as it is. Returns the status; a state that is taken
 * must compute the logits of its ids. */
static int try_file(phi_session *s, const float *want, size_t *n_rebuilt, phi_error *err) {
    struct phi_session_file *f = NULL;
    int fd = open_path(0), status = phi_session_file_open(fd, path, PHI_SESSION_RUN, s, &f, err);
    *n_rebuilt = 0;
    const struct phi_session_state *state = f ? phi_session_file_state(f) : NULL;
    if (state) {
        bool whole = state->n_id <= N && memcmp(state->ids, ids, state->n_id * sizeof *ids) == 0;
        CHECK(whole, "a state of other ids was taken");
        phi_session_file_load(f, state->n_kv, NULL, NULL, n_rebuilt);
        if (want && whole) {
            phi_error ignored;
            if (phi_session_n_past(s) == 150) phi_session_rewind(s, 149, &ignored);
            eval(s, (int)phi_session_n_past(s), 150);
            CHECK(same_logits(s, want), "other bits");
        }
    }
    phi_session_file_close(f);
    close(fd);
    return status;
}

static void seal(uint8_t *p, size_t n) { /* a CRC behind n bytes */
    struct phi_crc32 crc;
    phi_crc32_init(&crc);
    uint32_t sum = phi_crc32(&crc, 0, p, n);
    for (int i = 0; i < 4; i++) p[n + (size_t)i] = (uint8_t)(sum >> 8 * i);
}

static uint64_t number_at(const uint8_t *p) {
    uint64_t v = 0;
    for (int i = 0; i < 8; i++) v |= (uint64_t)p[i] << 8 * i;
    return v;
}

/* A sound session of two saves: 100 tokens, then 150. */
static void make_good(phi_session *s) {
    phi_error err;
    unlink(path);
    int fd = open_path(O_CREAT);
    struct phi_session_file *f = NULL;
    phi_session_rewind(s, 0, &err);
    phi_session_file_open(fd, path, PHI_SESSION_RUN, s, &f, &err);
    eval(s, 0, 100);
    save(s, f, 100);
    eval(s, 100, 150);
    save(s, f, 150);
    phi_session_file_close(f);
    close(fd);
    read_good();
}

static void check_flips(phi_session *s, const float *want) {
    phi_error err;
    size_t n_rebuilt, n_ignored = 0, n_other = 0, n_repaired = 0;
    for (size_t at = 0; at < n_good; at++) {
        bool head = at < HEADER || (at >= SLOTS_AT && at < SLOTS_AT + SLOT) || (at >= 2 * SLOTS_AT && at < 2 * SLOTS_AT + SLOT);
        if (!head && at < BLOCKS_AT) continue;
        if (!head && at % 37) continue; /* some of the blocks and states */
        memcpy(bytes, good, n_good);
        bytes[at] ^= (uint8_t)(1u << at % 8);
        write_file(bytes, n_good);
        err.text[0] = 0;
        int status = try_file(s, want, &n_rebuilt, &err);
        n_ignored += status == PHI_FAILED;
        n_other += status == PHI_USAGE;
        n_repaired += n_rebuilt > 0;
        if (at < 8) CHECK(status == PHI_USAGE, "magic: %d %s", status, err.text);
        else if (at < HEADER) CHECK(status == PHI_FAILED && strstr(err.text, "session ignored"), "header byte %zu: %d %s", at, status, err.text);
        else CHECK(status == 0, "byte %zu: %d %s", at, status, err.text); /* the other slot or a rebuild helps */
        CHECK(n_rebuilt <= 150 && (n_rebuilt == 0 || n_rebuilt % 64 == 0 || n_rebuilt == 22 || n_rebuilt == 36), "byte %zu: %zu rebuilt", at, n_rebuilt);
    }
    CHECK(n_ignored == HEADER - 8 && n_other == 8 && n_repaired > 50, "%zu ignored, %zu other, %zu repaired", n_ignored, n_other, n_repaired);
}

static void check_truncated(phi_session *s, const float *want) {
    phi_error err;
    size_t n_rebuilt;
    for (size_t n = 0; n <= n_good; n += n < BLOCKS_AT + 700 ? 1 : 211) {
        if (n > HEADER + 4 && n < SLOTS_AT - 4) n = SLOTS_AT - 4;
        if (n > SLOTS_AT + SLOT + 4 && n < 2 * SLOTS_AT - 4) n = 2 * SLOTS_AT - 4;
        if (n > 2 * SLOTS_AT + SLOT + 4 && n < BLOCKS_AT - 4) n = BLOCKS_AT - 4;
        write_file(good, n);
        int status = try_file(s, want, &n_rebuilt, &err);
        bool new_one = n == 0 || (n >= HEADER && n <= SLOTS_AT);
        CHECK(status == (new_one ? 0 : PHI_FAILED) || (n > BLOCKS_AT && status == 0), "cut at %zu: %d %s", n, status, err.text);
    }
}

/* Numbers that lie, under a sound CRC. */
static void check_lies(phi_session *s) {
    static const struct {
        size_t at;
        uint64_t v;
        int n, status;
        const char *says;
    } headers[] = {{8, 2, 4, PHI_FAILED, "version is 2"},         {12, 1, 4, PHI_USAGE, "session of 'phi chat'"},
                   {12, 2, 4, PHI_USAGE, "prompt cache"},         {12, 77, 4, PHI_FAILED, "damaged"},
                   {16, 5, 8, PHI_FAILED, "another model"},       {24, 299, 4, PHI_FAILED, "another model"},
                   {28, 0xffffffff, 4, PHI_FAILED, "another"},    {40, 0, 4, PHI_USAGE, "-ctk f32"},
                   {40, 99, 4, PHI_USAGE, "-ctk ?"},              {48, 12, 4, PHI_USAGE, "window of 12"},
                   {52, UINT64_MAX, 8, PHI_FAILED, "damaged"},    {60, 7, 8, PHI_FAILED, "another model"}};
    phi_error err;
    size_t n_rebuilt;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        memcpy(bytes, good, n_good);
        for (int k = 0; k < headers[i].n; k++) bytes[headers[i].at + (size_t)k] = (uint8_t)(headers[i].v >> 8 * k);
        seal(bytes, HEADER - 4);
        write_file(bytes, n_good);
        int status = try_file(s, NULL, &n_rebuilt, &err);
        CHECK(status == headers[i].status && strstr(err.text, headers[i].says), "header %zu: %d %s", i, status, err.text);
    }
    /* the newer slot: number, place, length; its state: counts and ids. Each time the older one must win. */
    size_t slot = number_at(good + SLOTS_AT + 8) > number_at(good + 2 * SLOTS_AT + 8) ? SLOTS_AT : 2 * SLOTS_AT;
    size_t state = (size_t)number_at(good + slot + 16), length = (size_t)number_at(good + slot + 24);
    static const uint64_t values[] = {0, 1, 27, 299, 300, 0x7fffffff, 0xffffffff, 1ull << 32, UINT64_MAX / 4, UINT64_MAX - 3, UINT64_MAX};
    for (size_t field = 0; field < 8; field++)
        for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
            static const size_t at[] = {8, 16, 24, 0, 8, 20, 28, 16}; /* three of the slot, then those of the state */
            memcpy(bytes, good, n_good);
            uint8_t *p = field < 3 ? bytes + slot : bytes + state;
            int n = field < 6 ? 8 : 4;
            for (int k = 0; k < n; k++) p[at[field] + (size_t)k] = (uint8_t)(values[i] >> 8 * k);
            struct phi_crc32 crc;
            phi_crc32_init(&crc);
            uint32_t sum = phi_crc32(&crc, 0, bytes + state, length);
            for (int k = 0; field >= 3 && k < 4; k++) bytes[slot + 4 + (size_t)k] = (uint8_t)(sum >> 8 * k);
            seal(bytes + slot, SLOT - 4);
            write_file(bytes, n_good);
            struct phi_session_file *f = NULL;
            int fd = open_path(0), status = phi_session_file_open(fd, path, PHI_SESSION_RUN, s, &f, &err);
            CHECK(status == 0, "field %zu value %zu: %d %s", field, i, status, err.text);
            const struct phi_session_state *found = f ? phi_session_file_state(f) : NULL;
            CHECK(found && found->n_kv <= found->n_id && found->n_id <= 150, "field %zu value %zu", field, i);
            for (size_t k = 0; found && k < found->n_id; k++) CHECK(found->ids[k] >= 0 && found->ids[k] < VOCAB, "id %d", found->ids[k]);
            if (found) phi_session_file_load(f, found->n_kv, NULL, NULL, &n_rebuilt);
            phi_session_file_close(f);
            close(fd);
        }
}

/* NaN in a block whose CRCs are right: computed again. */
static void check_nan(phi_session *s, const float *want) {
    phi_error err;
    size_t n_rebuilt, head = 320, layer = 2 * 64 * 2 * 2 * 32; /* 2 heads, 64 positions, keys and values, f16, 32 wide */
    memcpy(bytes, good, n_good);
    uint8_t *block = bytes + BLOCKS_AT, *data = block + head + layer; /* layer 1 of block 0 */
    data[101] = 0x7c;
    struct phi_crc32 crc;
    phi_crc32_init(&crc);
    uint32_t sum = phi_crc32(&crc, 0, data, layer);
    for (int i = 0; i < 4; i++) block[24 + 256 + 4 + i] = (uint8_t)(sum >> 8 * i);
    seal(block, head - 4);
    write_file(bytes, n_good);
    CHECK(try_file(s, want, &n_rebuilt, &err) == 0 && n_rebuilt == 64, "NaN: %zu rebuilt, %s", n_rebuilt, err.text);
}

static void check_damage(void) {
    float want[VOCAB];
    phi_session *s = open_session(plainly);
    straight(plainly, 150, want);
    make_good(s);
    check_flips(s, want);
    check_truncated(s, want);
    check_lies(s);
    check_nan(s, want);
    write_file((const uint8_t *)"GGUF, or any other text that is no session", 40);
    phi_error err;
    size_t n_rebuilt;
    CHECK(try_file(s, NULL, &n_rebuilt, &err) == PHI_USAGE && strstr(err.text, "not a session file"), "%s", err.text);
    phi_session_close(s);

    write_file(good, n_good);
    s = open_session((struct setting){120, 1, 64, 0, PHI_KV_F16, PHI_KV_F16});
    CHECK(try_file(s, NULL, &n_rebuilt, &err) == PHI_CONTEXT && strstr(err.text, "150") && strstr(err.text, "120"), "%s", err.text);
    phi_session_close(s);
    phi_model *old = model;
    model = open_tiny(false, 2);
    s = open_session(plainly);
    CHECK(try_file(s, NULL, &n_rebuilt, &err) == PHI_FAILED && strstr(err.text, "written by another model"), "%s", err.text);
    phi_session_close(s);
    phi_model_close(model);
    model = old;
    free(good);
    free(bytes);
}

/* ---- Failures and costs ---- */

static int save_again(phi_session *s, phi_error *err) {
    struct phi_session_file *f = NULL;
    size_t n_rebuilt;
    int fd = open_path(0), status = phi_session_file_open(fd, path, PHI_SESSION_RUN, s, &f, err);
    if (!status && phi_session_n_past(s) == 0) phi_session_file_load(f, 100, NULL, NULL, &n_rebuilt), eval(s, 100, 150);
    if (!status) status = phi_session_file_save(f, ids, 150, "extra 150", 9, err);
    phi_session_file_close(f);
    close(fd);
    return status;
}

/* Fail the n-th write, sync and allocation of a save, with the error of a full disk: the old or the new state is whole. */
static void check_failures(void) {
    static const enum phi_io_call calls[] = {PHI_IO_WRITE, PHI_IO_SYNC, PHI_IO_READ};
    float want[VOCAB];
    phi_error err;
    straight(plainly, 150, want);
    for (size_t call = 0; call < 4; call++)
        for (unsigned long n = 1; n < 200; n++) {
            phi_session *s = open_session(plainly);
            struct phi_session_file *f = NULL;
            unlink(path);
            int fd = open_path(O_CREAT);
            eval(s, 0, 100);
            phi_session_file_open(fd, path, PHI_SESSION_RUN, s, &f, &err);
            save(s, f, 100);
            phi_session_file_close(f);
            close(fd);
            eval(s, 100, 150);
            if (call < 3) phi_io_fail_at(calls[call], n, n % 2 ? ENOSPC : EIO, n % 3 == 0);
            else phi_memory_fail_at(n);
            int status = save_again(s, &err);
            for (size_t i = 0; i < 3; i++) phi_io_fail_at(calls[i], 0, 0, false);
            phi_memory_fail_at(0);
            CHECK(status == 0 || ((status == PHI_OUTPUT || status == PHI_MEMORY) && err.text[0]), "call %zu, %lu: %d %s", call, n, status, err.text);
            CHECK(call != 0 || status != PHI_OUTPUT || strstr(err.text, strerror(n % 2 ? ENOSPC : EIO)), "%s", err.text);
            phi_session_close(s);
            resume(plainly, 150, want, "after a save that failed");
            if (status == 0 && n > 40) break;
        }
}

static void check_costs(void) {
    phi_error err;
    unlink(path);
    int fd = open_path(O_CREAT);
    phi_session *s = open_session(plainly);
    struct phi_session_file *f = NULL;
    phi_session_file_open(fd, path, PHI_SESSION_RUN, s, &f, &err);
    eval(s, 0, 200);
    save(s, f, 200);
    unsigned long before = phi_io_count(PHI_IO_WRITE);
    eval(s, 200, 210);
    save(s, f, 210);
    unsigned long one = phi_io_count(PHI_IO_WRITE) - before;
    CHECK(one <= 2 + 1 + 2 + 3, "%lu writes for ten tokens: two layers, a block's head, state, slot, space", one);
    before = phi_io_count(PHI_IO_WRITE);
    save(s, f, 210);
    CHECK(phi_io_count(PHI_IO_WRITE) == before, "%lu writes for nothing new", phi_io_count(PHI_IO_WRITE) - before);
    struct stat st;
    fstat(fd, &st);
    CHECK(st.st_size < BLOCKS_AT + 4 * (320 + 2 * 16384 + 4096) + 4 * 4096, "%lld bytes for 210 tokens", (long long)st.st_size);
    phi_session_file_close(f);
    phi_session_close(s);
    close(fd);
}

int main(int argc, char **argv) {
    (void)argc;
    snprintf(path, sizeof path, "%.480s.session", argv[0]);
    snprintf(model_path, sizeof model_path, "%.480s.gguf", argv[0]);
    unsigned long long seed = check_seed();
    for (int i = 0; i <= N; i++) ids[i] = (int32_t)(check_random(&seed) % VOCAB);
    model = open_tiny(false, 1);
    struct setting f32 = plainly, q8 = plainly, mixed = plainly;
    f32.k = f32.v = PHI_KV_F32;
    q8.k = q8.v = PHI_KV_Q8_0;
    mixed.v = PHI_KV_Q8_0;
    check_cuts(plainly, "f16");
    check_cuts(f32, "f32");
    check_cuts(q8, "q8_0");
    static const int windows[] = {1, 20, 64, 140, 290};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        struct setting ring = i % 2 ? q8 : mixed;
        ring.window = windows[i];
        check_cuts(ring, "window");
        check_rewinds(ring, "rewinds in a window");
    }
    check_rewinds(plainly, "rewinds");
    check_damage();
    check_failures();
    check_costs();
    phi_model_close(model);
    model = open_tiny(true, 1);
    check_cuts(plainly, "two rotary lists");
    check_rewinds(plainly, "rewinds with two rotary lists");
    struct setting ring = plainly;
    ring.window = 40;
    check_cuts(ring, "two rotary lists, a window");
    phi_model_close(model);
    unlink(path);
    unlink(model_path);
    CHECK(phi_memory_live() == 0, "%llu allocations are left", phi_memory_live());
    return check_done("check_session_file");
}
