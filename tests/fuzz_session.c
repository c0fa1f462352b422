/* Any bytes as a session file of the demo model: reading them must not crash, must answer with a state or a sentence, and what is
 * loaded must be usable: a token can be computed and the session saved over it. For libFuzzer: as fuzz_gguf.c, and
 * PHI_FUZZ_MODEL names the model where models/demo.gguf is not below the current folder. Seeds: files that
 * phi run --session made; since a CRC stops nearly every change, the harness seals header, slots, states and block heads of what it
 * is given when the first byte is '+' (which is dropped). Without PHI_LIBFUZZER it is a program that replays the files of its command
 * line. Linux only: the bytes go through a memfd. */
#include "../src/checksum.h"
#include "../src/memory.h"
#include "../src/session_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static phi_model *model;
static phi_session *session;

static void must(int holds, const char *what, const char *found) {
    if (holds) return;
    fprintf(stderr, "%s: %s\n", what, found);
    abort();
}

static void open_session(void) {
    const char *path = getenv("PHI_FUZZ_MODEL");
    struct phi_session_options o = phi_session_options_default();
    phi_error err = {""};
    o.n_ctx = 200;
    o.n_threads = 1;
    o.window = 90; /* a ring: most of what can go wrong */
    must(phi_model_open(path ? path : "models/demo.gguf", &model, &err) == 0, "model", err.text);
    must(phi_session_open(model, &o, &session, &err) == 0, "session", err.text);
}

/* CRCs that are right, where there is room for them; see session_file.h. */
static void seal(uint8_t *p, size_t n) {
    enum { HEADER = 72, SLOT = 36, BLOCKS = 12288 };
    static struct phi_crc32 crc;
    if (!crc.table[0][1]) phi_crc32_init(&crc);
    uint32_t sum;
    if (n >= HEADER) {
        sum = phi_crc32(&crc, 0, p, HEADER - 4);
        memcpy(p + HEADER - 4, &sum, 4);
    }
    for (size_t at = 4096; at <= 8192 && at + SLOT <= n; at += 4096) {
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
    if (n > BLOCKS + 384) { /* the head of block 0 for 8 layers */
        sum = phi_crc32(&crc, 0, p + BLOCKS, 320 - 4);
        memcpy(p + BLOCKS + 320 - 4, &sum, 4);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    phi_error err = {""};
    struct phi_session_file *f = NULL;
    bool has_state;
    size_t n_rebuilt;
    if (!session) open_session();
    unsigned long long live = phi_memory_live();
    bool sealed = n > 0 && data[0] == '+';
    data += sealed;
    n -= sealed;
    uint8_t *copy = malloc(n + 1);
    must(copy != NULL, "memory", "");
    if (n) memcpy(copy, data, n);
    if (sealed) seal(copy, n);
    int fd = memfd_create("session", MFD_CLOEXEC);
    must(fd >= 0, "memfd", "");
    for (size_t at = 0; at < n;) {
        ssize_t wrote = write(fd, copy + at, n - at);
        must(wrote > 0, "write", "");
        at += (size_t)wrote;
    }
    free(copy);
    int status = phi_session_file_check(fd, "s", NULL, &has_state, &err);
    must(status == 0 || status == PHI_USAGE || status == PHI_FAILED, "check", err.text);
    status = phi_session_file_open(fd, "s", PHI_SESSION_RUN, session, &f, &err);
    must(status == 0 || status == PHI_USAGE || status == PHI_FAILED || status == PHI_CONTEXT, "status", err.text);
    must((status == 0) == (f != NULL) && !strchr(err.text, '\n'), "sentence", err.text);
    const struct phi_session_state *state = f ? phi_session_file_state(f) : NULL;
    if (state) {
        must(state->n_kv <= 200 && state->n_kv <= state->n_id && state->n_id <= 201, "counts", "");
        phi_session_file_load(f, state->n_kv, NULL, NULL, &n_rebuilt);
        must(phi_session_n_past(session) == state->n_kv && n_rebuilt <= state->n_kv, "loaded", "");
        int32_t ids[202] = {0};
        size_t n_id = state->n_kv;
        memcpy(ids, state->ids, n_id * sizeof *ids);
        if (n_id < 200 && (status = phi_session_eval(session, ids, 1, NULL, NULL, &err)) == 0) ids[n_id++] = ids[0];
        must(status == 0 || status == PHI_FAILED, "eval", err.text); /* keys of a stranger may be any finite numbers */
        must(phi_session_file_save(f, ids, n_id, NULL, 0, &err) == 0, "save", err.text);
    }
    phi_session_file_close(f);
    close(fd);
    must(phi_session_rewind(session, 0, &err) == 0, "rewind", err.text);
    must(phi_memory_live() == live, "leak", "");
    return 0;
}

#include "fuzz_replay.h"
