/* Any bytes as a session file of a tiny model: reading them must answer with a state or a sentence, and what is
 * loaded must be usable: a token can be computed and the session saved over it. A CRC stops nearly every change, so
 * that two forms of input get right ones for header, slots, states and the first block's head:
 *
 *     = changes    to a session of 70 tokens, 4 bytes each: where, place u16, byte; see change()
 *     + file       all of the bytes behind the +
 *       file       all of the bytes, with their CRCs */
#include "gguf_writer.h"
#include "../src/checksum.h"
#include "../src/session_file.h"
#include "fuzz_replay.h"

static phi_model *model;
static phi_session *session;
static uint8_t *whole; /* a session file */
static size_t n_whole;

enum { HEADER = 72, SLOTS = 4096, SLOT = 36, BLOCKS = 12288, BLOCK_HEAD = 320, N_ID = 70 };

static void make_whole(void) {
    struct phi_session_file *f;
    int32_t ids[N_ID];
    char path[64];
    bool has_state;
    phi_error err = {""};
    for (int i = 0; i < N_ID; i++) ids[i] = 200 + i;
    int fd = fuzz_file("", 0, path);
    fuzz_must(phi_session_file_open(fd, "s", PHI_SESSION_RUN, session, &f, &err) == 0, "new file", err.text);
    fuzz_must(phi_session_eval(session, ids, N_ID, NULL, NULL, &err) == 0, "eval", err.text);
    for (int i = 0; i < 2; i++)
        fuzz_must(phi_session_file_save(f, ids, N_ID, "more", 4, &err) == 0, "save", err.text);
    phi_session_file_close(f);
    fuzz_must(phi_session_file_check(fd, "s", NULL, &has_state, &err) == 0 && has_state, "check", err.text);
    n_whole = (size_t)lseek(fd, 0, SEEK_END);
    whole = malloc(n_whole);
    fuzz_must(pread(fd, whole, n_whole, 0) == (ssize_t)n_whole, "read", "");
    close(fd);
}

static void open_session(void) {
    struct tiny_phi3 tiny = tiny_phi3_default();
    struct gguf_writer w = tiny_phi3_build(&tiny);
    char path[64];
    int fd = fuzz_file(w.file.p, w.file.n, path);
    struct phi_session_options o = phi_session_options_default();
    phi_error err = {""};
    o.n_ctx = 120;
    o.n_threads = 1;
    o.window = 66; /* a ring: most of what can go wrong */
    fuzz_must(phi_model_open(path, &model, &err) == 0, "model", err.text);
    close(fd);
    gguf_free(&w);
    fuzz_must(phi_session_open(model, &o, &session, &err) == 0, "session", err.text);
    make_whole();
}

/* CRCs that are right, where there is room for them; see session_file.h. */
static void seal(uint8_t *p, size_t n) {
    static struct phi_crc32 crc;
    if (!crc.table[0][1]) phi_crc32_init(&crc);
    uint32_t sum;
    if (n >= HEADER) {
        sum = phi_crc32(&crc, 0, p, HEADER - 4);
        memcpy(p + HEADER - 4, &sum, 4);
    }
    for (size_t at = SLOTS; at < BLOCKS && at + SLOT <= n; at += SLOTS) {
        uint64_t place, length;
        memcpy(&place, p + at + 16, 8);
        memcpy(&length, p + at + 24, 8);
        if (place <= n && length <= n - place) {
            sum = phi_crc32(&crc, 0, p + place, (size_t)length);
            memcpy(p + at + 4, &sum, 4);
        }
        sum = phi_crc32(&crc, 0, p + at, SLOT - 4);
        memcpy(p + at + SLOT - 4, &sum, 4);
    }
    if (n > BLOCKS + BLOCK_HEAD) {
        sum = phi_crc32(&crc, 0, p + BLOCKS, BLOCK_HEAD - 4);
        memcpy(p + BLOCKS + BLOCK_HEAD - 4, &sum, 4);
    }
}

/* Changes bytes of the file p[*n], or cuts it. */
static void change(uint8_t *p, size_t *n, const uint8_t *data, size_t n_data) {
    for (; n_data >= 4; data += 4, n_data -= 4) {
        size_t place = (size_t)(data[1] | data[2] << 8), at, state;
        switch (data[0] % 6) {
        case 0:
            at = place % HEADER;
            break;
        case 1:
            at = SLOTS + place % 2 * SLOTS + place / 2 % SLOT;
            break;
        case 2:
            memcpy(&state, whole + SLOTS + place % 2 * SLOTS + 16, sizeof state);
            at = state + place / 2 % 320;
            break;
        case 3:
            at = BLOCKS + place % BLOCK_HEAD;
            break;
        case 4:
            at = place * n_whole / 65536;
            break;
        default:
            at = place * n_whole / 65536;
            if (at < *n) *n = at;
            break;
        }
        if (at < *n) p[at] = data[3];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    phi_error err = {""};
    struct phi_session_file *f = NULL;
    bool has_state;
    size_t n_rebuilt;
    if (!session) open_session();
    unsigned long long live = phi_memory_live();
    char path[64], form = n > 0 && (data[0] == '+' || data[0] == '=') ? (char)data[0] : 0;
    uint8_t *copy = form == '=' ? fuzz_copy(whole, n_whole) : fuzz_copy(data + !!form, n - !!form);
    if (form == '+') n--;
    if (form == '=') {
        size_t n_change = n - 1;
        n = n_whole;
        change(copy, &n, data + 1, n_change);
    }
    if (form) seal(copy, n);
    int fd = fuzz_file(copy, n, path);
    free(copy);
    int status = phi_session_file_check(fd, "s", NULL, &has_state, &err);
    fuzz_must(status == 0 || status == PHI_USAGE || status == PHI_FAILED, "check", err.text);
    status = phi_session_file_open(fd, "s", PHI_SESSION_RUN, session, &f, &err);
    fuzz_must(status == 0 || status == PHI_USAGE || status == PHI_FAILED || status == PHI_CONTEXT, "status",
              err.text);
    fuzz_must((status == 0) == (f != NULL) && !strchr(err.text, '\n'), "sentence", err.text);
    const struct phi_session_state *state = f ? phi_session_file_state(f) : NULL;
    if (state) {
        fuzz_must(state->n_kv <= 120 && state->n_kv <= state->n_id && state->n_id <= 121, "counts", "");
        phi_session_file_load(f, state->n_kv, NULL, NULL, &n_rebuilt);
        fuzz_must(phi_session_n_past(session) == state->n_kv && n_rebuilt <= state->n_kv, "loaded", "");
        int32_t ids[122] = {0};
        size_t n_id = state->n_kv;
        memcpy(ids, state->ids, n_id * sizeof *ids);
        if (n_id < 120 && (status = phi_session_eval(session, ids, 1, NULL, NULL, &err)) == 0) ids[n_id++] = ids[0];
        fuzz_must(status == 0 || status == PHI_FAILED, "eval",
                  err.text); /* keys of a stranger may be any finite numbers */
        fuzz_must(phi_session_file_save(f, ids, n_id, NULL, 0, &err) == 0, "save", err.text);
    }
    phi_session_file_close(f);
    close(fd);
    fuzz_must(phi_session_rewind(session, 0, &err) == 0, "rewind", err.text);
    fuzz_must(phi_memory_live() == live, "leak", "");
    return 0;
}
