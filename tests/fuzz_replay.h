/* What fuzz targets share: checks that abort, bytes as a file, and the program that replays files. A target defines
 * LLVMFuzzerTestOneInput(). The bytes that it takes are of a stranger; besides not crashing it must keep promises,
 * which fuzz_must() checks.
 *
 * `make check` builds each target as a plain program that runs over the files which its arguments name, and
 * check_corpus.sh replays tests/corpus/TARGET/ with it. To search for hours, here with libFuzzer, in the top of the
 * checkout (ARCH=other leaves out the vector kernels, which take long to build with sanitizers):
 *
 *     flags="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined"
 *     make CC=clang ARCH=other B=build/fuzz CFLAGS="$flags -fsanitize=fuzzer-no-link" build/fuzz/cli.a libphi.a
 *     clang -std=c11 -D_GNU_SOURCE $flags -fsanitize=fuzzer -DPHI_LIBFUZZER -o build/fuzz/gguf tests/fuzz_gguf.c \
 *         build/fuzz/cli.a libphi.a -lm -pthread
 *     mkdir build/fuzz/found
 *     build/fuzz/gguf -use_value_profile=1 -dict=tests/corpus/gguf.dict build/fuzz/found tests/corpus/gguf
 *
 * AFL++ takes any of the programs of `make check`, built by CC=afl-clang-fast:
 *
 *     afl-fuzz -i tests/corpus/gguf -o build/fuzz/found -x tests/corpus/gguf.dict -- build/tests/fuzz_gguf @@
 *
 * What has been found is made small (-minimize_crash=1), fixed, and stays in the corpus. New ways through the code
 * come by build/fuzz/gguf -merge=1 tests/corpus/gguf build/fuzz/found; -use_counters=0 keeps them few. libphi.a lies
 * in the checkout: the next plain make builds it anew. */
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

static int fuzz_stderr = STDERR_FILENO; /* a target that captures it puts a copy here */

static inline void fuzz_must(bool holds, const char *what, const char *found) {
    if (holds) return;
    dprintf(fuzz_stderr, "%s: %s\n", what, found);
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
    char name[] = "phi-fuzz-XXXXXX";
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
