/* The loader's rare ways: what opening a file can answer, files that are read instead of mapped, paths that are cut
 * in the middle of a character, sums that reach the end of 64 bits, and every second half of a condition that the
 * damaged files of check_gguf.c and check_model.c meet with the first. */
#include "../src/io.h"
#include "../src/memory.h"
#include "../src/model.h"
#include "gguf_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

static char dir[512], path[600];

static void set_path(const char *name) {
    snprintf(path, sizeof path, "%s/%s", dir, name);
}

/* ---- Sentences ---- */

static void check_quotes(void) {
    static const struct {
        const char *text, *quoted;
    } cases[] = {
        {"a\xc2\x9b"
         "b",
         "a\\xc2\\x9bb"}, /* CSI of 8 bits, which terminals obey */
        {"\xc2\xa0", "\xc2\xa0"},
        {"\xc3\x9f", "\xc3\x9f"},
        {"\xe2\x82\xac", "\xe2\x82\xac"},
        {"\x7f\x1b[\\", "\\x7f\\x1b[\\x5c"},
        {"\xc2", "\\xc2"},
    };
    char out[PHI_QUOTE_SIZE];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK(strcmp(phi_quote(out, cases[i].text, strlen(cases[i].text)), cases[i].quoted) == 0, "#%zu: '%s'", i,
              out);
    char longer[100];
    memset(longer, 'x', sizeof longer);
    phi_quote(out, longer, sizeof longer);
    CHECK(strlen(out) == 67 && strcmp(out + 64, "...") == 0, "'%s'", out);
}

/* A long path keeps its end, whole characters of it; control bytes in it are not obeyed. */
static void check_paths(void) {
    phi_error err;
    struct phi_file f;
    char name[400] = "", end[200] = "";
    for (int i = 0; i < 60; i++) strcat(name, "\xe2\x82\xac");
    strcpy(end, name + 60);
    CHECK(phi_file_open(name, &f, &err) == PHI_MODEL, "%s", err.text);
    char want[300];
    snprintf(want, sizeof want, "...%s: No such file", end);
    CHECK(strncmp(err.text, want, strlen(want)) == 0, "'%s'", err.text);
    strcat(name, "x"); /* now 120 bytes begin inside a character: two less of its bytes are shown */
    snprintf(want, sizeof want, "...%sx: No such file", end + 3);
    CHECK(phi_file_open(name, &f, &err) == PHI_MODEL && strncmp(err.text, want, strlen(want)) == 0, "'%s'", err.text);
    CHECK(phi_file_open("a\x7f"
                        "b\x1b",
                        &f, &err) == PHI_MODEL &&
              strncmp(err.text, "a?b?: No such", 13) == 0,
          "'%s'", err.text);
    CHECK(phi_file_fail("x", NULL, PHI_MEMORY, "nobody listens") == PHI_MEMORY &&
              phi_fail(NULL, PHI_MODEL, "nor here") == PHI_MODEL,
          "without phi_error");
}

static void check_sums(void) {
    uint64_t v = 7;
    CHECK(!phi_add_u64(UINT64_MAX, 1, &v) && !phi_mul_u64(UINT64_MAX / 2 + 1, 2, &v) && v == 7, "no result");
    CHECK(!phi_align_u64(UINT64_MAX - 30, 32, &v) && v == 7, "no multiple of 32 is left");
    CHECK(phi_align_u64(UINT64_MAX - 31, 32, &v) && v == UINT64_MAX - 31, "the last one");
    CHECK(phi_mul_u64(UINT64_MAX, 0, &v) && v == 0, "nothing of something");
    CHECK(strcmp(phi_gguf_type_name((enum phi_gguf_type)13), "?") == 0 &&
              phi_gguf_type_size((enum phi_gguf_type)13) == 0,
          "a number that is no type");
}

/* ---- Opening and reading ---- */

static void refuse_file(const char *what, bool read, int status, const char *words) {
    struct phi_file f;
    phi_error err = {""};
    unsigned long long live = phi_memory_live();
    int free_fd = dup(0), got = phi_file_load(path, read, &f, &err);
    CHECK(got == status && strstr(err.text, words), "%s: status %d: %s", what, got, err.text);
    CHECK(!f.data && !f.path && !f.size && phi_memory_live() == live, "%s: something is left", what);
    close(free_fd);
    int now = dup(0);
    CHECK(now == free_fd, "%s: a descriptor is left", what);
    close(now);
}

static void check_opening(void) {
    static const struct {
        int cause, status;
        const char *words;
    } causes[] = {
        {EACCES, PHI_MODEL, "Permission denied"},   {EPERM, PHI_MODEL, "Permission denied"},
        {EMFILE, PHI_MODEL, "Too many open files"}, {ENFILE, PHI_MODEL, "Too many open files"},
        {ENOMEM, PHI_MEMORY, "not enough memory"},  {EIO, PHI_MODEL, "cannot be opened (error 5)"},
    };
    set_path("file");
    gguf_write_file(path, "0123456789", 10);
    for (size_t i = 0; i < sizeof causes / sizeof *causes; i++) {
        phi_io_fail_at(PHI_IO_OPEN, 1, causes[i].cause, false);
        refuse_file("open", false, causes[i].status, causes[i].words);
    }
    struct phi_file f;
    phi_io_fail_at(PHI_IO_OPEN, 1, EINTR, false);
    CHECK(phi_file_open(path, &f, NULL) == 0 && f.size == 10, "an interrupted open is done again");
    phi_file_close(&f);
    char kept[600];
    strcpy(kept, path);
    set_path("gone"); /* it fails for another reason, and then there is no file to look at */
    phi_io_fail_at(PHI_IO_OPEN, 1, EIO, false);
    refuse_file("gone", false, PHI_MODEL, "cannot be opened (error 5)");
    strcpy(path, kept);
    for (int cause = 0; cause < 3; cause++) {
        int causes_of_map[] = {ENOMEM, EAGAIN, ENODEV};
        phi_io_fail_at(PHI_IO_MAP, 1, causes_of_map[cause], false);
        refuse_file("map", false, cause < 2 ? PHI_MEMORY : PHI_MODEL,
                    cause < 2 ? "not enough address space to map 10 bytes" : "cannot be mapped into memory");
    }
}

static void check_reading(void) {
    struct phi_file f;
    phi_error err = {""};
    set_path("file");
    for (int how = 0; how < 3; how++) { /* at once, in pieces, with a signal between them */
        phi_io_fail_at(PHI_IO_READ, how ? 1 : 0, how == 1 ? 0 : EINTR, how == 1);
        CHECK(phi_file_load(path, true, &f, &err) == 0 && f.size == 10 && memcmp(f.data, "0123456789", 10) == 0,
              "%d: %s", how, err.text);
        phi_file_close(&f);
    }
    phi_io_fail_at(PHI_IO_READ, 1, EIO, false);
    refuse_file("a disk that cannot be read", true, PHI_MODEL, "cannot be read (error 5)");
    phi_memory_fail_at(2); /* the path is the first */
    refuse_file("no memory", true, PHI_MEMORY, "not enough memory to read 10 bytes; map the file instead");
#ifdef __linux__
    /* Says that it has 4096 bytes, and has fewer, like a file that is being cut. */
    snprintf(path, sizeof path, "/sys/devices/system/cpu/online");
    if (access(path, R_OK) == 0)
        refuse_file("shorter than it says", true, PHI_MODEL, "it became shorter while it was read");
    else
        SKIP("a file that is shorter than it says: no /sys");
#endif
}

/* ---- GGUF ---- */

static void refuse(const char *what, const char *words) {
    struct phi_gguf g;
    phi_error err = {""};
    unsigned long long live = phi_memory_live();
    int got = phi_gguf_open(path, &g, &err);
    CHECK(got == PHI_MODEL && strstr(err.text, words), "%s: status %d: \"%s\" lacks \"%s\"", what, got, err.text,
          words);
    CHECK(!g.kv && !g.file.data && phi_memory_live() == live, "%s: something is left", what);
}

static void check_foreign(void) {
    char blanks[2000];
    set_path("foreign");
    memset(blanks, ' ', sizeof blanks);
    gguf_write_file(path, blanks, 40);
    refuse("blanks", "it begins with '                                ' instead");
    memcpy(blanks + 1500, "<html>", 6); /* too far away to be looked for */
    gguf_write_file(path, blanks, sizeof blanks);
    refuse("many blanks", "instead of 'GGUF'");
    gguf_write_file(path, "  <HT", 5);
    refuse("the first half of a tag", "it begins with '  <HT' instead");
    gguf_write_file(path, "<!--", 4);
    refuse("a comment, and no more", "HTML page");
    gguf_write_file(path, "\x08\0\0\0\1\0\0\0{}          ", 20);
    refuse("a header of 4 GiB", "instead of 'GGUF'");
    gguf_write_file(path, "\x08\0\0\0\0\0\0\0{\"a\":1}", 15);
    refuse("safetensors", "safetensors file");
    static const char *const old[] = {"lmgg", "fmgg", "tjgg"};
    for (int i = 0; i < 3; i++) {
        gguf_write_file(path, old[i], 4);
        refuse(old[i], "the format before GGUF");
    }
    char here[600];
    if (!getcwd(here, sizeof here) || chdir(dir) != 0) return;
    strcpy(path, "x"); /* shorter than any ending that tells of an unfinished download */
    gguf_write_file(path, "abcdefgh", 8);
    refuse("a short name", "x: not a GGUF file: it begins with 'abcdefgh'");
    CHECK(chdir(here) == 0, "%s", here);
}

/* n tensors of F16 without data that all begin at the same place; alignment 0: the usual one. */
static struct gguf_writer with_tensors(int n, uint32_t alignment) {
    struct gguf_writer w = gguf_begin(3);
    char name[16];
    gguf_str(&w, "general.architecture", "phi3");
    if (alignment) gguf_u32(&w, "general.alignment", alignment), w.alignment = alignment;
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "t%d", i);
        gguf_tensor(&w, name, 1, (uint64_t[]){1, 1, 1, 1}, 4, NULL, 0);
    }
    gguf_end(&w);
    return w;
}

/* Tensor number i gets 2^bits bytes. */
static void put_size(struct gguf_writer *w, int i, int bits) {
    char name[16];
    snprintf(name, sizeof name, "t%d", i);
    size_t at = gguf_where(w, name, GGUF_AT_VALUE) + 4;
    bits--;
    for (int k = 0; k < 4; k++, at += 8) {
        int some = bits < 30 ? bits : 30;
        gguf_put(w, at, (uint64_t)1 << some, 8);
        bits -= some;
    }
}

/* Sizes whose sum comes to the end of 64 bits: then the file can only be called cut. */
static void check_large_sums(void) {
    set_path("large");
    struct gguf_writer w = with_tensors(3, 0);
    for (int i = 0; i < 3; i++) put_size(&w, i, 63);
    gguf_save(&w, path);
    refuse("three tensors of 2^63 bytes", "truncated: tensor 't0' ends at 92233720368547");
    gguf_free(&w);

    /* 2^64 - 65536 bytes with the header, and then one more tensor: its bytes fit, up to a multiple of 65536 is too
     * far. */
    w = with_tensors(64 - 17 + 1, 65536);
    for (int bit = 17; bit < 64; bit++) put_size(&w, bit - 17, bit);
    gguf_save(&w, path);
    refuse("one multiple too far", "truncated: tensor 't46' ends at 9223372036854841344");
    gguf_free(&w);

    w = with_tensors(1, 0);
    put_size(&w, 0, 6);
    uint64_t begin = (w.file.n + 31) & ~(uint64_t)31;
    gguf_put(&w, gguf_where(&w, "t0", GGUF_AT_TYPE) + 4, 0 - begin - 32, 8);
    gguf_save(&w, path);
    refuse("an offset that leaves 32 bytes for 64", "tensor 't0': offset 18446744073709551");
    gguf_free(&w);
}

static void check_own_keys(void) {
    set_path("split");
    struct gguf_writer w = gguf_begin(3);
    gguf_u32(&w, "split.count", 1);
    gguf_str(&w, "split.no", "one");
    gguf_end(&w);
    gguf_save(&w, path);
    refuse("a part that is no number", "split.no has the type str, expected an integer");
    gguf_free(&w);
    w = with_tensors(1, 0);
    gguf_put(&w, gguf_where(&w, "t0", GGUF_AT_TYPE), 39, 4);
    gguf_save(&w, path);
    refuse("a type that is known by name", "tensor 't0': type MXFP4 (39) is not supported (supported: F32 F16");
    gguf_free(&w);
}

/* ---- Models ---- */

static off_t hole; /* bytes that the last tensor has and the writer was not given: they take no room on the disk */

/* The tiny model with a damage; NULL: it is accepted, and *info is what it is. */
static void try_model(const char *what, struct gguf_writer w, const char *words, struct phi_model_info *info) {
    phi_model *m = NULL;
    phi_error err = {""};
    set_path("model");
    gguf_save(&w, path);
    CHECK(truncate(path, (off_t)w.file.n + hole) == 0, "%s", path);
    gguf_free(&w);
    unsigned long long live = phi_memory_live();
    int got = phi_model_open(path, &m, &err);
    CHECK(got == (words ? PHI_MODEL : PHI_OK) && strstr(err.text, words ? words : ""), "%s: status %d: %s", what, got,
          err.text);
    if (m && info) phi_model_get_info(m, info);
    phi_model_close(m);
    CHECK(phi_memory_live() == live, "%s: leaks", what);
}

static struct gguf_writer with_string(struct tiny_phi3 m, const char *key, const char *text) {
    m.skip = key;
    struct gguf_writer w = tiny_phi3_build(&m);
    gguf_str(&w, key, text);
    gguf_end(&w);
    return w;
}

static void check_models(void) {
    struct tiny_phi3 m = tiny_phi3_default(), lists = m;
    struct phi_model_info info = {.n_layer = 0};
    static const char scaling[] = "phi3.rope.scaling.type";
    lists.factors = true;
    lists.n_ctx_orig = 64;
    try_model("width of values", with_string(m, "phi3.attention.value_length", "16"),
              "phi3.attention.value_length has the type str", NULL);
    try_model("rotated dimensions", with_string(m, "phi3.rope.dimension_count", "16"),
              "phi3.rope.dimension_count has the type str", NULL);
    try_model("no scaling", with_string(m, scaling, "none"), NULL, NULL);
    try_model("lists would be used if there were any", with_string(m, scaling, "longrope"), NULL, NULL);
    try_model("lists", with_string(lists, scaling, "longrope"), NULL, &info);
    CHECK(info.long_rope, "the lists are used");
    try_model("four letters", with_string(m, scaling, "yarn"), "phi3.rope.scaling.type is 'yarn', expected", NULL);
    try_model("eight letters", with_string(m, scaling, "longjump"), "phi3.rope.scaling.type is 'longjump'", NULL);
    struct gguf_writer w = tiny_phi3_build(&m);
    gguf_u32(&w, scaling, 1);
    gguf_end(&w);
    try_model("scaling by number", w, "phi3.rope.scaling.type has the type u32, expected a string", NULL);

    struct tiny_phi3 split = m;
    split.split = true;
    w = tiny_phi3_build(&split);
    static const char *const parts[] = {"blk.0.attn_q.weight", "blk.0.attn_k.weight"};
    for (int i = 0; i < 2; i++) w.file.p[gguf_where(&w, parts[i], GGUF_AT_NAME) + 8 + 11] = 'x';
    w.file.p[gguf_where(&w, parts[1], GGUF_AT_NAME) + 8 + 10] = 'y';
    try_model("only the values' part", w, "tensor 'blk.0.attn_q.weight' is missing", NULL);

    /* Shapes with one dimension too many, though of as many weights. */
    m.skip = "output_norm.weight";
    w = tiny_phi3_build(&m);
    gguf_tensor(&w, m.skip, 0, (uint64_t[]){64, 1}, 2, NULL, 256);
    gguf_end(&w);
    try_model("a vector as a matrix", w, "tensor 'output_norm.weight' has shape 64 x 1, expected 64", NULL);
    m.skip = "token_embd.weight";
    w = tiny_phi3_build(&m);
    gguf_tensor(&w, m.skip, 0, (uint64_t[]){64, 300, 1}, 3, NULL, 64 * 300 * 4);
    gguf_end(&w);
    try_model("a matrix as a cube", w, "tensor 'token_embd.weight' has shape 64 x 300 x 1, expected 64 x 300", NULL);
    w = tiny_phi3_build(&m);
    gguf_tensor(&w, m.skip, 1, (uint64_t[]){1, (1 << 24) + 1}, 2, NULL, 0);
    gguf_end(&w);
    hole = 2 * ((1 << 24) + 1);
    try_model("more rows than a vocabulary may have", w,
              "tensor 'token_embd.weight' has shape 1 x 16777217, expected", NULL);
    hole = 0;
}

/* What a file says of itself, and what is said when it says nothing that is known. */
static void check_names(void) {
    struct tiny_phi3 m = tiny_phi3_default();
    struct phi_model_info info;
    char name[400];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    m.name = name;
    m.type[0] = (struct tiny_phi3_type){"ffn", 8};
    try_model("named", tiny_phi3_build(&m), NULL, &info);
    CHECK(strcmp(info.type, "all F32") == 0, "file type 0 is called %s", info.type);
    CHECK(strlen(info.name) == sizeof info.name - 1 && strncmp(info.name, name, strlen(info.name)) == 0, "'%s'",
          info.name);
    m.skip = "general.file_type";
    try_model("without a file type", tiny_phi3_build(&m), NULL, &info);
    CHECK(strcmp(info.type, "F32") == 0, "most weights are F32, not %s", info.type);
    struct gguf_writer w = gguf_begin(3);
    gguf_str(&w, "general.architecture", "phi3");
    tiny_phi3_vocabulary(&w, m.n_vocab);
    gguf_end(&w);
    try_model("a vocabulary", w, NULL, &info);
    CHECK(strcmp(info.type, "vocabulary only") == 0 && info.n_vocab == m.n_vocab && info.n_layer == 0, "%s",
          info.type);
    m.type[0].in_name = ""; /* the matrices all */
    w = tiny_phi3_build(&m);
    gguf_u32(&w, "general.file_type", 999);
    gguf_end(&w);
    try_model("a file type that nobody knows", w, NULL, &info);
    CHECK(strcmp(info.type, "Q8_0") == 0, "most weights are Q8_0, not %s", info.type);
}

/* A mapping that cannot be locked: it is not there any more. The sentence depends on the limit, which a child lowers.
 */
static void check_lock(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    SKIP("locked memory: the sanitizers' mlock does nothing");
#else
    size_t size = 1 << 20;
    void *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANON, -1, 0);
    struct phi_model m = {.gguf.file = {.data = p, .size = size, .path = (char *)(uintptr_t) "a.gguf"}};
    phi_error err = {""};
    CHECK(p != MAP_FAILED && munmap(p, size) == 0, "no mapping");
    CHECK(phi_model_lock(&m, NULL) == PHI_MEMORY, "locked what is not there");
    for (int low = 0; low < 2; low++) {
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            struct rlimit limit = {.rlim_cur = low ? 65536 : 1 << 20, .rlim_max = low ? 65536 : 1 << 20};
            if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) _exit(2);
            const char *words = low ? "a.gguf: 1 MiB cannot be locked in memory, the limit is 64 KiB (ulimit -l)"
                                    : "a.gguf: 1 MiB cannot be locked in memory (error ";
            bool right = phi_model_lock(&m, &err) == PHI_MEMORY && strncmp(err.text, words, strlen(words)) == 0;
            if (!right) printf("'%s'\n", err.text), fflush(stdout);
            _exit(right ? 0 : 1);
        }
        int status = -1;
        CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status), "no child");
        if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
            SKIP("a limit of locked memory: it is lower here");
        else
            CHECK(status == 0, "limit %d", low);
    }
#endif
}

int main(int argc, char **argv) {
    gguf_make_dir(argc, argv, dir);
    check_quotes();
    check_paths();
    check_sums();
    check_opening();
    check_reading();
    check_foreign();
    check_large_sums();
    check_own_keys();
    check_models();
    check_names();
    check_lock();
    gguf_remove_dir(dir);
    return check_done("check_loader");
}
