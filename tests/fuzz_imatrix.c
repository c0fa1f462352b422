/* Any bytes as an importance matrix, of both forms: what is read is what stands in the file, each number finite and
 * not negative. */
#include "../src/imatrix.h"
#include "../src/quant/bits.h"
#include "fuzz_replay.h"

#include <math.h>

/* The matrix of this name has n_col columns: values / count. */
static void check_row(const struct phi_imatrix *m, const char *name, size_t n, uint64_t n_col, const uint8_t *values,
                      float count) {
    const float *row;
    phi_error err = {""};
    fuzz_must(phi_imatrix_find(m, name, n, n_col, &row, &err) == 1, "not found", err.text);
    for (uint64_t i = 0; i < n_col; i++) {
        float wanted = f32_from_bits(load_u32(values + 4 * i)) / count;
        if (!(count > 0)) wanted = 1;
        fuzz_must(isfinite(row[i]) && row[i] >= 0 && row[i] == wanted, "importance", "");
    }
    fuzz_must(phi_imatrix_find(m, name, n, n_col + 1, &row, &err) == PHI_USAGE && !row, "another number of columns",
              err.text);
    fuzz_must_say(true, &err);
}

/* An accepted file of the older form, read without care. */
static uint64_t check_dat(const struct phi_imatrix *m, const uint8_t *at) {
    uint64_t n_entry = load_u32(at);
    at += 4;
    for (uint64_t i = 0; i < n_entry; i++) {
        const char *name = (const char *)at + 4;
        size_t n = load_u32(at);
        at += 4 + n;
        uint32_t calls = load_u32(at), n_col = load_u32(at + 4);
        check_row(m, name, n, n_col, at + 8, (float)calls);
        at += 8 + 4 * (size_t)n_col;
    }
    return n_entry;
}

static uint64_t check_gguf(const struct phi_imatrix *m, const char *path) {
    static const char sums[] = ".in_sum2";
    struct phi_gguf g;
    phi_error err = {""};
    uint64_t n_entry = 0;
    fuzz_must(phi_gguf_open(path, &g, &err) == 0, "no GGUF", err.text);
    for (uint64_t i = 0; i < g.n_tensor; i++) {
        char name[128];
        size_t k = g.tensor[i].name.n, n = k - (sizeof sums - 1);
        memcpy(name, g.tensor[i].name.s, k);
        name[k] = 0;
        if (k <= sizeof sums - 1 || strcmp(name + n, sums) != 0) continue;
        strcpy(name + n, ".counts");
        const struct phi_gguf_tensor *count = phi_gguf_find_tensor(&g, name);
        fuzz_must(count != NULL, "counts", name);
        check_row(m, name, n, g.tensor[i].dim[0], g.tensor[i].data, f32_from_bits(load_u32(count->data)));
        n_entry++;
    }
    phi_gguf_close(&g);
    return n_entry;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    char path[64];
    int fd = fuzz_file(data, n, path);
    struct phi_imatrix *m = NULL;
    struct phi_imatrix_info info;
    const float *row;
    phi_error err = {""};
    int status = phi_imatrix_open(path, &m, &err);
    fuzz_must(status == 0 ? m != NULL : status == PHI_MODEL && !m, "status", err.text);
    fuzz_must_say(status != 0, &err);
    if (m) {
        size_t sum = 0;
        phi_imatrix_get_info(m, &info);
        for (uint64_t i = 0; i < info.dataset.n; i++) sum += (uint8_t)info.dataset.s[i];
        fuzz_must(sum <= info.dataset.n * 255 && info.dataset.n <= n, "dataset", "");
        uint64_t n_entry = n >= 4 && memcmp(data, "GGUF", 4) == 0 ? check_gguf(m, path) : check_dat(m, data);
        fuzz_must(info.n_entry == n_entry && n_entry > 0, "number of matrices", "");
        fuzz_must(phi_imatrix_find(m, "no such matrix", 14, 1, &row, &err) == 0 && !row, "found what is not there",
                  "");
    }
    phi_imatrix_close(m);
    close(fd);
    fuzz_must(phi_memory_live() == 0, "leak", err.text);
    return 0;
}
