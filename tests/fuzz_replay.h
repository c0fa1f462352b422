/* What fuzz targets share: checks that abort, bytes as a file, and the program that replays files. A target defines
 * LLVMFuzzerTestOneInput(). The bytes that it takes are of a stranger; besides not crashing it must keep promises,
 * which fuzz_must() checks.
 *
 * `make check` builds each target as a plain program that runs over the files which its arguments name, and
 * check_corpus.sh replays tests/corpus/TARGET/ with it. To search for more, for hours (from the top of the checkout;
 * ARCH=other leaves out the vector kernels, which take long to build with sanitizers):
 *
 *   libFuzzer   make CC=clang ARCH=other B=/tmp/fuzz CFLAGS="-O1 -g -fsanitize=address,undefined,fuzzer-no-link
 *                   -fno-sanitize-recover=undefined" libphi.a /tmp/fuzz/cli.a
 *               clang -std=c11 -D_GNU_SOURCE -O1 -g -fsanitize=address,undefined,fuzzer
 * -fno-sanitize-recover=undefined -DPHI_LIBFUZZER -o /tmp/fuzz/gguf tests/fuzz_gguf.c /tmp/fuzz/cli.a libphi.a -lm
 * -pthread mkdir /tmp/fuzz/found; /tmp/fuzz/gguf -use_value_profile=1 -dict=tests/corpus/gguf.dict -max_len=16384
 *                   /tmp/fuzz/found tests/corpus/gguf
 *   AFL++       the same with CC=afl-clang-fast, its -fsanitize=fuzzer (a driver that runs many inputs in one
 * process), and afl-fuzz -i tests/corpus/gguf -o /tmp/fuzz/found -x tests/corpus/gguf.dict /tmp/fuzz/gguf any other
 * the program of `make check`: build/tests/fuzz_gguf FILE (afl-fuzz: @@ for FILE)
 *
 * What has been found is made small (-minimize_crash=1), fixed, and stays in the corpus. New ways through the code:
 * /tmp/fuzz/gguf -merge=1 tests/corpus/gguf /tmp/fuzz/found adds the least files. `make clean` before the next plain
 * build: libphi.a lies in the checkout. */
#ifndef PHI_TESTS_FUZZ_REPLAY_H
#define PHI_TESTS_FUZZ_REPLAY_H

#include "../src/error.h"
#include "../src/memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static inline void fuzz_must(bool holds, const char *what, const char *found) {
    if (holds) return;
    fprintf(stderr, "%s: %s\n", what, found);
    abort();
}

/* A sentence without a newline if something failed, none else. */
static inline void fuzz_must_say(bool failed, const phi_error *err) {
    fuzz_must(failed == (err->text[0] != 0), "sentence", err->text);
    fuzz_must(!strchr(err->text, '\n'), "line", err->text);
}

/* A copy of just that size, so that a byte read behind it is found: free(). */
static inline void *fuzz_copy(const void *data, size_t n) {
    void *copy = malloc(n ? n : 1);
    fuzz_must(copy != NULL, "memory", "");
    if (n) memcpy(copy, data, n);
    return copy;
}

/* The first n bytes of a file that has no name: path serves to open it until the descriptor is closed. */
static inline int fuzz_file(const void *data, size_t n, char path[64]) {
#ifdef __linux__
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
#else
    char name[] = "/tmp/phi-fuzz-XXXXXX";
    int fd = mkstemp(name);
    unlink(name);
#endif
    fuzz_must(fd >= 0, "a file", "");
    for (size_t at = 0; at < n;) {
        ssize_t wrote = write(fd, (const uint8_t *)data + at, n - at);
        fuzz_must(wrote > 0, "write", "");
        at += (size_t)wrote;
    }
    snprintf(path, 64, "/dev/fd/%d", fd);
    return fd;
}

#ifndef PHI_LIBFUZZER
int main(int argc, char **argv) {
    static uint8_t data[1 << 24];
    for (int i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        if (!f) {
            perror(argv[i]);
            return 1;
        }
        size_t n = fread(data, 1, sizeof data, f);
        fclose(f);
        uint8_t *copy = fuzz_copy(data, n);
        LLVMFuzzerTestOneInput(copy, n);
        free(copy);
    }
    printf("%d files replayed\n", argc - 1);
    return 0;
}
#endif
#endif
