/* Any bytes as a GGUF file: opening must not crash, must answer with success or PHI_MODEL and a sentence, and what it
 * accepts must be sound. For libFuzzer: make CC=clang CFLAGS="-O1 -g -fsanitize=address,undefined,fuzzer-no-link"
 * libphi.a clang -std=c11 -D_GNU_SOURCE -g -fsanitize=address,undefined,fuzzer -DPHI_LIBFUZZER tests/fuzz_gguf.c
 * libphi.a -lm Without PHI_LIBFUZZER it is a program that replays the files of its command line. Linux only: the
 * bytes go through a memfd. */
#include "../src/memory.h"
#include "gguf_sound.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void must(int holds, const char *what, const char *found) {
    if (holds) return;
    fprintf(stderr, "%s: %s\n", what, found);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    char path[64], key[128];
    int fd = memfd_create("gguf", MFD_CLOEXEC);
    must(fd >= 0, "memfd", "");
    for (size_t at = 0; at < n;) {
        ssize_t wrote = write(fd, data + at, n - at);
        must(wrote > 0, "write", "");
        at += (size_t)wrote;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct phi_gguf g;
    phi_error err = {""};
    int status = phi_gguf_open(path, &g, &err);
    must(status == 0 || (status == PHI_MODEL && !g.kv), "status", err.text);
    must((status == 0) == !err.text[0] && !strchr(err.text, '\n'), "sentence", err.text);
    if (status == 0) must(gguf_is_sound(&g), "unsound", "");
    for (uint64_t i = 0; i < g.n_kv; i++) {
        const struct phi_gguf_kv *kv = &g.kv[i];
        uint64_t u;
        double f;
        bool b;
        struct phi_str s;
        if (kv->key.n >= sizeof key) continue;
        memcpy(key, kv->key.s, kv->key.n);
        key[kv->key.n] = 0;
        must(phi_gguf_find(&g, key) == kv, "not found", key);
        must(phi_gguf_get_u64(&g, key, 0, 100, &u, &err) != 1 || u <= 100, "range", key);
        must(phi_gguf_get_f64(&g, key, -1, 1, &f, &err) != 1 || (f >= -1 && f <= 1), "range", key);
        phi_gguf_get_bool(&g, key, &b, &err);
        must(phi_gguf_get_str(&g, key, &s, &err) != 1 || gguf_inside(&g, s.s, s.n), "string", key);
    }
    for (uint64_t i = 0; i < g.n_tensor; i++) {
        memcpy(key, g.tensor[i].name.s, g.tensor[i].name.n); /* at most 63 */
        key[g.tensor[i].name.n] = 0;
        must(phi_gguf_find_tensor(&g, key) == &g.tensor[i], "not found", key);
    }
    phi_gguf_close(&g);
    close(fd);
    must(phi_memory_live() == 0, "leak", err.text);
    return 0;
}

#include "fuzz_replay.h"
