/* The end of a fuzz target: without libFuzzer (-DPHI_LIBFUZZER) a program that runs the target over the files which its arguments
 * name, a corpus or what a fuzzer has found. */
#ifndef PHI_LIBFUZZER
#include <stdint.h>
#include <stdio.h>

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        static uint8_t data[1 << 24];
        FILE *f = fopen(argv[i], "rb");
        if (!f) {
            perror(argv[i]);
            return 1;
        }
        size_t n = fread(data, 1, sizeof data, f);
        fclose(f);
        LLVMFuzzerTestOneInput(data, n);
    }
    printf("%d files replayed\n", argc - 1);
    return 0;
}
#endif
