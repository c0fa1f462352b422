/* The GGUF reader against files that it must read exactly, files that it must refuse with the right words, and files
 * damaged at random. Files are made with gguf_writer.h in a directory of their own, removed at the end. */
#include "../src/memory.h"
#include "gguf_sound.h"
#include "gguf_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static char dir[512], path[1024];

static void set_path(const char *name) {
    snprintf(path, sizeof path, "%s/%s", dir, name);
}

/* ---- What must hold for every answer -------------------------------------------------------------------------- */

/* Opens path; what must be refused must be refused with this status and these words. */
static void refuse_as(const char *what, int status, const char *words) {
    struct phi_gguf g;
    phi_error err = {""};
    unsigned long long live = phi_memory_live();
    int got = phi_gguf_open(path, &g, &err);
    CHECK(got == status, "%s: status %d, not %d: %s", what, got, status, err.text);
    CHECK(strstr(err.text, words), "%s: \"%s\" lacks \"%s\"", what, err.text, words);
    CHECK(strstr(err.text, "phi-test-") && !strchr(err.text, '\n'), "%s: \"%s\"", what, err.text);
    if (got) CHECK(!g.kv && !g.file.data && !g.tensor, "%s: a failed result is not zero", what);
    CHECK(phi_gguf_open(path, &g, NULL) == got, "%s: without phi_error", what);
    phi_gguf_close(&g);
    CHECK(phi_memory_live() == live, "%s: leaks", what);
}

static void refuse(const char *what, const char *words) {
    refuse_as(what, PHI_MODEL, words);
}

/* Opens path, which must be fine. The caller closes *g; it is zero if it was not fine. */
static bool opens(const char *what, struct phi_gguf *g) {
    phi_error err = {""};
    int got = phi_gguf_open(path, g, &err);
    CHECK(got == 0 && !err.text[0], "%s: status %d: %s", what, got, err.text);
    if (got == 0) CHECK(gguf_is_sound(g), "%s: the result points outside", what);
    return got == 0;
}

/* ---- Defects, one at a time ----------------------------------------------------------------------------------- */

static const float floats[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

/* A value of every type, arrays of each kind, tensors of one and two dimensions, plain and in blocks. Not finished.
 */
static struct gguf_writer base(uint32_t version) {
    struct gguf_writer w = gguf_begin(version);
    gguf_str(&w, "general.architecture", "phi3");
    gguf_scalar(&w, "test.u8", PHI_GGUF_U8, 200);
    gguf_scalar(&w, "test.i8", PHI_GGUF_I8, (uint64_t)-7);
    gguf_scalar(&w, "test.u16", PHI_GGUF_U16, 60000);
    gguf_scalar(&w, "test.i16", PHI_GGUF_I16, (uint64_t)-700);
    gguf_u32(&w, "test.u32", 4000000000u);
    gguf_scalar(&w, "test.i32", PHI_GGUF_I32, 97);
    gguf_scalar(&w, "test.u64", PHI_GGUF_U64, UINT64_MAX);
    gguf_scalar(&w, "test.i64", PHI_GGUF_I64, (uint64_t)-7000000000);
    gguf_f32(&w, "test.f32", 0.5f);
    gguf_f64(&w, "test.f64", 1e-5);
    gguf_bool(&w, "test.yes", true);
    gguf_bool(&w, "test.no", false);
    if (gguf_array(&w, "test.numbers", PHI_GGUF_U32, 3))
        for (uint64_t i = 1; i <= 3; i++) gguf_number(&w.kv, i, 4);
    if (gguf_array(&w, "tokenizer.ggml.tokens", PHI_GGUF_STRING, 4)) {
        gguf_string(&w.kv, "one", 3);
        gguf_string(&w.kv, "", 0);
        gguf_string(&w.kv, "a\0\xff", 3);
        gguf_string(&w.kv, "one", 3);
    }
    gguf_tensor(&w, "first", 0, (uint64_t[]){8, 2}, 2, floats, 64);
    gguf_tensor(&w, "blocks", 2, (uint64_t[]){64, 2}, 2, NULL, 72);
    gguf_tensor(&w, "last", 0, (uint64_t[]){4}, 1, floats, 16);
    return w;
}

/* value goes over n_bytes of the finished file, plus bytes behind the place; without a name: behind its beginning. */
static const struct defect {
    const char *what, *name;
    enum gguf_place place;
    size_t plus;
    uint64_t value;
    size_t n_bytes;
    const char *words;
} defects[] = {
    {"version 1", NULL, 0, 4, 1, 4, "GGUF version 1 is not supported (2, 3)"},
    {"version 4", NULL, 0, 4, 4, 4, "GGUF version 4 is not supported (2, 3)"},
    {"version 0", NULL, 0, 4, 0, 4, "GGUF version 0 is not supported (2, 3)"},
    {"big-endian", NULL, 0, 4, 0x03000000, 4, "big-endian file"},
    {"big-endian, version 2", NULL, 0, 4, 0x02000000, 4, "big-endian file"},

    {"2^40 tensors", NULL, 0, 8, 1ull << 40, 8, "header claims 1099511627776 tensors, the file has room for "},
    {"2^64-1 tensors", NULL, 0, 8, UINT64_MAX, 8, "header claims 18446744073709551615 tensors"},
    {"a tensor too many", NULL, 0, 8, 4, 8, "tensor #4"},
    {"2^63 keys", NULL, 0, 16, 1ull << 63, 8, "header claims 9223372036854775808 keys, the file has room for "},
    {"a key too many", NULL, 0, 16, 16, 8,
     "tensor #1: length 562949953421312 exceeds the "}, /* a tensor is read as a key */
    {"no keys", NULL, 0, 16, 0, 8, "claims 0 keys"},

    {"key of 2^63 bytes", "test.u16", GGUF_AT_NAME, 0, 1ull << 63, 8,
     "key #4: length 9223372036854775808 exceeds the "},
    {"key of 2^64-1 bytes", "test.u8", GGUF_AT_NAME, 0, UINT64_MAX, 8,
     "key #2: length 18446744073709551615 exceeds the "},
    {"empty key", "test.u8", GGUF_AT_NAME, 0, 0, 8, "key #2: its name is empty"},
    {"key with a broken byte", "test.u8", GGUF_AT_NAME, 9, 0xff, 1, "key #2: its name 't\\xffst.u8' is not UTF-8"},
    {"key with NUL", "test.u8", GGUF_AT_NAME, 9, 0, 1, "key #2: its name 't\\x00st.u8' is not UTF-8"},
    {"key with half a character", "test.u8", GGUF_AT_NAME, 14, 0xc3, 1,
     "key #2: its name 'test.u\\xc3' is not UTF-8"},
    {"key twice", "test.i8", GGUF_AT_NAME, 13, 'u', 1, "key 'test.u8' is there twice"},
    {"value type 13", "test.u8", GGUF_AT_TYPE, 0, 13, 4, "key 'test.u8': unknown value type 13"},
    {"value type 2^32-1", "test.u8", GGUF_AT_TYPE, 0, UINT32_MAX, 4, "key 'test.u8': unknown value type 4294967295"},
    {"string of 2^63 bytes", "general.architecture", GGUF_AT_VALUE, 0, 1ull << 63, 8,
     "key 'general.architecture': length 9223372036854775808 exceeds the "},
    {"array of arrays", "test.numbers", GGUF_AT_VALUE, 0, PHI_GGUF_ARRAY, 4, "key 'test.numbers': nested arrays"},
    {"element type 77", "test.numbers", GGUF_AT_VALUE, 0, 77, 4, "key 'test.numbers': unknown element type 77"},
    {"array of 2^62 numbers", "test.numbers", GGUF_AT_VALUE, 4, 1ull << 62, 8,
     "key 'test.numbers': array of 4611686018427387904 u32, the file has room for "},
    {"array of 2^61 strings", "tokenizer.ggml.tokens", GGUF_AT_VALUE, 4, 1ull << 61, 8,
     "key 'tokenizer.ggml.tokens': array of 2305843009213693952 str, the file has room for "},
    {"long element", "tokenizer.ggml.tokens", GGUF_AT_VALUE, 23, 1ull << 32, 8,
     "key 'tokenizer.ggml.tokens': element 1: length 4294967296 exceeds the "},

    {"tensor name of 2^63 bytes", "blocks", GGUF_AT_NAME, 0, 1ull << 63, 8,
     "tensor #2: length 9223372036854775808 exceeds the "},
    {"tensor without a name", "blocks", GGUF_AT_NAME, 0, 0, 8, "tensor #2: its name is empty"},
    {"tensor name of 64 bytes", "blocks", GGUF_AT_NAME, 0, 64, 8, "tensor #2: its name has 64 bytes, the most is 63"},
    {"tensor name with a broken byte", "blocks", GGUF_AT_NAME, 8, 0xc0, 1,
     "tensor #2: its name '\\xc0locks' is not UTF-8"},
    {"0 dimensions", "blocks", GGUF_AT_VALUE, 0, 0, 4, "tensor 'blocks': 0 dimensions, must be 1 to 4"},
    {"5 dimensions", "blocks", GGUF_AT_VALUE, 0, 5, 4, "tensor 'blocks': 5 dimensions, must be 1 to 4"},
    {"2^31 dimensions", "blocks", GGUF_AT_VALUE, 0, 1u << 31, 4, "tensor 'blocks': 2147483648 dimensions"},
    {"dimension 0", "blocks", GGUF_AT_VALUE, 12, 0, 8, "tensor 'blocks': dimension #2 is 0, must be 1 to 2147483647"},
    {"dimension 2^32", "blocks", GGUF_AT_VALUE, 4, 1ull << 32, 8, "tensor 'blocks': dimension #1 is 4294967296"},
    {"dimension -1", "last", GGUF_AT_VALUE, 4, UINT64_MAX, 8, "tensor 'last': dimension #1 is 18446744073709551615"},
    {"Q4_0_4_4", "blocks", GGUF_AT_TYPE, 0, 31, 4,
     "tensor 'blocks': type Q4_0_4_4 (31) is not supported; take a file with Q4_0"},
    {"IQ4_NL_8_8", "blocks", GGUF_AT_TYPE, 0, 38, 4,
     "type IQ4_NL_8_8 (38) is not supported; take a file with IQ4_NL"},
    {"Q8_K", "blocks", GGUF_AT_TYPE, 0, 15, 4, "tensor 'blocks': type Q8_K (15) is not supported (supported: F32 "},
    {"IQ2_XXS", "blocks", GGUF_AT_TYPE, 0, 16, 4, "tensor 'blocks': type IQ2_XXS (16) is not supported"},
    {"I64", "blocks", GGUF_AT_TYPE, 0, 27, 4, "tensor 'blocks': type I64 (27) is not supported"},
    {"withdrawn type", "blocks", GGUF_AT_TYPE, 0, 4, 4, "tensor 'blocks': unknown type 4 "},
    {"type 1000", "blocks", GGUF_AT_TYPE, 0, 1000, 4, "tensor 'blocks': unknown type 1000 "},
    {"broken row", "blocks", GGUF_AT_VALUE, 4, 65, 8,
     "tensor 'blocks': rows of 65 weights, Q4_0 needs a multiple of 32"},
    {"row of a K format", "blocks", GGUF_AT_TYPE, 0, 12, 4,
     "tensor 'blocks': rows of 64 weights, Q4_K needs a multiple of 256"},
    {"broken row in one dimension", "last", GGUF_AT_TYPE, 0, 2, 4,
     "tensor 'last': rows of 4 weights, Q4_0 needs a multiple of 32"},
    {"crooked offset", "blocks", GGUF_AT_TYPE, 4, 65, 8,
     "tensor 'blocks': offset 65 is not a multiple of the alignment 32"},
    {"offset 16", "last", GGUF_AT_TYPE, 4, 16, 8, "tensor 'last': offset 16 is not a multiple of the alignment 32"},
    {"offset 2^64-32", "blocks", GGUF_AT_TYPE, 4, UINT64_MAX - 31, 8,
     "tensor 'blocks': offset 18446744073709551584 overflows"},
    {"offset 2^50", "blocks", GGUF_AT_TYPE, 4, 1ull << 50, 8, "tensor 'blocks' ends at 11258999068"},
    {"offset behind the end", "last", GGUF_AT_TYPE, 4, 4096, 8, "outside the file of "},
    {"same place", "blocks", GGUF_AT_TYPE, 4, 0, 8, "' overlap"},
    {"overlap by 8 bytes", "last", GGUF_AT_TYPE, 4, 128, 8, "tensors 'blocks' and 'last' overlap"},
    {"overlap by size", "first", GGUF_AT_VALUE, 12, 3, 8, "tensors 'first' and 'blocks' overlap"},
    {"2 * 2^30 rows", "last", GGUF_AT_VALUE, 4, 1u << 30, 8, "truncated: tensor 'last' ends at "},
};

static void check_defects(void) {
    set_path("defect.gguf");
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++) {
        const struct defect *d = &defects[i];
        struct gguf_writer w = base(i % 2 ? 2 : 3);
        gguf_end(&w);
        gguf_put(&w, (d->name ? gguf_where(&w, d->name, d->place) : 0) + d->plus, d->value, d->n_bytes);
        gguf_save(&w, path);
        gguf_free(&w);
        refuse(d->what, d->words);
    }
}

/* A key more, which GGUF itself gives a meaning to. */
static void check_own_keys(void) {
    static const struct {
        const char *key;
        enum phi_gguf_type type;
        uint64_t bits;
        const char *words; /* NULL: fine */
    } cases[] = {
        {"general.alignment", PHI_GGUF_U32, 0, "general.alignment 0: must be 1 to 65536"},
        {"general.alignment", PHI_GGUF_U32, 13, "general.alignment 13 is not a power of two"},
        {"general.alignment", PHI_GGUF_U32, 33, "general.alignment 33 is not a power of two"},
        {"general.alignment", PHI_GGUF_U32, 131072, "general.alignment 131072: must be 1 to 65536"},
        {"general.alignment", PHI_GGUF_U64, 1ull << 63, "general.alignment 9223372036854775808: must be 1 to 65536"},
        {"general.alignment", PHI_GGUF_I32, (uint64_t)-32, "general.alignment -32: must be 1 to 65536"},
        {"general.alignment", PHI_GGUF_F32, 0x42000000, "general.alignment has the type f32, expected an integer"},
        {"general.alignment", PHI_GGUF_BOOL, 1, "general.alignment has the type bool, expected an integer"},
        {"general.alignment", PHI_GGUF_U8, 8, NULL},
        {"general.alignment", PHI_GGUF_I16, 16, NULL},
        {"general.alignment", PHI_GGUF_U64, 32, NULL},
        {"split.count", PHI_GGUF_U16, 3, "part 1 of 3 of a split model: not supported"},
        {"split.count", PHI_GGUF_F32, 0, "split.count has the type f32, expected an integer"},
        {"split.count", PHI_GGUF_I32, (uint64_t)-1, "split.count -1: must be 0 to 65535"},
        {"split.count", PHI_GGUF_U16, 1, NULL},
        {"split.count", PHI_GGUF_U16, 0, NULL},
        {"somebody.else.s.key", PHI_GGUF_F64, 1, NULL},
    };
    struct phi_gguf g;
    set_path("keys.gguf");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gguf_writer w = base(3);
        gguf_scalar(&w, cases[i].key, cases[i].type, cases[i].bits);
        gguf_end(&w);
        gguf_save(&w, path);
        gguf_free(&w);
        if (cases[i].words)
            refuse(cases[i].key, cases[i].words);
        else if (opens(cases[i].key, &g))
            phi_gguf_close(&g);
    }
    struct gguf_writer w = base(3);
    gguf_scalar(&w, "split.no", PHI_GGUF_U16, 1);
    gguf_scalar(&w, "split.count", PHI_GGUF_U16, 3);
    gguf_end(&w);
    gguf_save(&w, path);
    gguf_free(&w);
    refuse("split", "part 2 of 3 of a split model: not supported");
}

/* Alignments from 1 to 64 KiB place the tensors. */
static void check_alignments(void) {
    set_path("aligned.gguf");
    for (uint32_t alignment = 1; alignment <= 65536; alignment *= 2) {
        struct phi_gguf g;
        struct gguf_writer w = base(3);
        gguf_free(&w); /* only to begin with tensors that are aligned from the first on */
        w = gguf_begin(3);
        w.alignment = alignment;
        gguf_u32(&w, "general.alignment", alignment);
        gguf_tensor(&w, "one", 0, (uint64_t[]){1}, 1, floats, 4);
        gguf_tensor(&w, "two", 0, (uint64_t[]){2, 1, 1, 2}, 4, floats + 1, 16);
        gguf_end(&w);
        gguf_save(&w, path);
        gguf_free(&w);
        if (!opens("alignment", &g)) continue;
        const struct phi_gguf_tensor *two = phi_gguf_find_tensor(&g, "two");
        CHECK(g.alignment == alignment && two && two->n_dim == 4 && !memcmp(two->data, floats + 1, 16),
              "alignment %u", alignment);
        phi_gguf_close(&g);
    }
}

/* Whole contents that are no GGUF file. */
static void check_foreign(void) {
    static const struct {
        const char *name, *bytes;
        size_t n;
        const char *words;
    } cases[] = {
        {"empty.gguf", "", 0, "the file is empty"},
        {"one.gguf", "G", 1, "too short, 1 bytes"},
        {"three.gguf", "GGU", 3, "too short, 3 bytes"},
        {"four.gguf", "GGUF", 4, "truncated: the file has 4 bytes, a GGUF header has 24"},
        {"page.gguf", "<!DOCTYPE html><html lang=en>", 29, "this is an HTML page; download the model again"},
        {"page2.gguf", "\xef\xbb\xbf \r\n<HTML>", 12, "this is an HTML page"},
        {"page3.gguf", "\n\n<html", 7, "this is an HTML page"},
        {"lfs.gguf", "version https://git-lfs.github.com/spec/v1\noid sha256:8a83\nsize 2393231072\n", 75,
         "this is a Git LFS pointer; run 'git lfs pull'"},
        {"zip.gguf", "PK\x03\x04\x14\0\0\0", 8, "this is a zip archive"},
        {"gzip.gguf", "\x1f\x8b\x08\0\0\0\0\0", 8, "this is a gzip archive"},
        {"model.safetensors", "\x10\0\0\0\0\0\0\0{\"a\":{\"dtype\":1}}", 25, "this is a safetensors file"},
        {"old.bin", "tjgg\x03\0\0\0", 8, "this is a GGML file"},
        {"zeros.gguf", "\0\0\0\0\0\0\0\0\0\0\0\0", 12, "begins with zeros, as unfinished downloads do"},
        {"phi.gguf.part", "abcdefgh", 8, "by its name it is an unfinished download"},
        {"phi.gguf.crdownload", "abcdefgh", 8, "by its name it is an unfinished download"},
        {"text.gguf", "Entry not found", 15, "it begins with 'Entry not found' instead of 'GGUF'"},
        {"control.gguf", "\x1b[2J\x07 \xff", 7, "it begins with '\\x1b[2J\\x07 \\xff' instead of 'GGUF'"},
        {"lower.gguf", "gguf\x03\0\0\0", 8, "it begins with 'gguf\\x03"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        set_path(cases[i].name);
        gguf_write_file(path, cases[i].bytes, cases[i].n);
        refuse(cases[i].name, cases[i].words);
    }
}

/* Defects that need more than a few bytes. */
static void check_larger_defects(void) {
    char name[70000];
    memset(name, 'k', sizeof name);
    set_path("larger.gguf");
    for (size_t n = 65536; n <= 65537; n++) {
        struct phi_gguf g;
        struct gguf_writer w = base(3);
        name[n] = 0;
        gguf_u32(&w, name, 1);
        name[n] = 'k';
        gguf_end(&w);
        gguf_save(&w, path);
        gguf_free(&w);
        if (n > 65536)
            refuse("key of 65537 bytes", "key #16: its name has 65537 bytes, the most is 65536");
        else if (opens("key of 65536 bytes", &g))
            phi_gguf_close(&g);
    }
    for (size_t n = 65536; n <= 65537; n++) {
        struct phi_gguf g;
        struct gguf_writer w = gguf_begin(3);
        if (gguf_array(&w, "tokenizer.ggml.tokens", PHI_GGUF_STRING, 2)) {
            gguf_string(&w.kv, "a", 1);
            gguf_string(&w.kv, name, n);
        }
        gguf_str_n(&w, "tokenizer.chat_template", name, sizeof name); /* other strings may be longer */
        gguf_end(&w);
        gguf_save(&w, path);
        gguf_free(&w);
        if (n > 65536)
            refuse("token of 65537 bytes", "tokenizer.ggml.tokens: token 1 has 65537 bytes, the most is 65536");
        else if (opens("token of 65536 bytes", &g))
            phi_gguf_close(&g);
    }
    static const uint64_t wraps[][4] = {/* products that are small modulo 2^64 */
                                        {1u << 30, 1u << 30, 1u << 30, 1},
                                        {1u << 31 >> 1, 1u << 22, 1u << 22, 1u << 22},
                                        {2147483647, 2147483647, 2147483647, 2147483647}};
    for (size_t i = 0; i < 3; i++) {
        struct gguf_writer w = base(3);
        gguf_tensor(&w, "blk.3.ffn_up.weight", i ? 0 : 2, wraps[i], 4, NULL, 32);
        gguf_end(&w);
        gguf_save(&w, path);
        gguf_free(&w);
        refuse("shape", "tensor 'blk.3.ffn_up.weight': shape overflows");
    }
    struct gguf_writer w = base(3); /* 2^62 weights are countable, their bytes are not */
    gguf_tensor(&w, "wide", 0, (uint64_t[]){1u << 30, 1u << 30, 4}, 3, NULL, 32);
    gguf_end(&w);
    gguf_save(&w, path);
    gguf_free(&w);
    refuse("bytes", "tensor 'wide': shape overflows");
    w = base(3);
    gguf_tensor(&w, "blocks", 0, (uint64_t[]){4}, 1, floats, 16);
    gguf_end(&w);
    gguf_save(&w, path);
    gguf_free(&w);
    refuse("tensor twice", "tensor 'blocks' is there twice");
}

/* ---- Cut files ------------------------------------------------------------------------------------------------ */

static void check_cuts(void) {
    struct tiny_phi3 m = tiny_phi3_default();
    struct gguf_writer w = tiny_phi3_build(&m);
    struct phi_gguf g;
    phi_error err;
    size_t header = gguf_header_size(&w), wrong = 0;
    set_path("cut.gguf");
    gguf_save(&w, path);
    if (opens("tiny model", &g)) {
        CHECK(g.n_tensor == 15 && g.data_offset == (header + 31) / 32 * 32, "tiny model");
        phi_gguf_close(&g);
    }
    for (size_t n = w.file.n - 1; n > header;
         n -= n < header + 997 ? n - header : 997) { /* from the end: only cut, never write */
        if (truncate(path, (off_t)n) != 0) break;
        refuse("cut in the data", "truncated: tensor 'output.weight' ends at ");
        snprintf(err.text, sizeof err.text, "file has %zu bytes (%d %%); resume the download", n,
                 (int)(100.0 * (double)n / (double)w.file.n));
        refuse("cut in the data", err.text);
    }
    for (size_t n = header; n + 1 > 0; n--) {
        if (truncate(path, (off_t)n) != 0) break;
        err.text[0] = 0;
        int status = phi_gguf_open(path, &g, &err);
        if (status != PHI_MODEL || !err.text[0]) wrong++;
        phi_gguf_close(&g);
    }
    CHECK(wrong == 0, "%zu of %zu cuts of the header were not refused", wrong, header);
    gguf_free(&w);

    w = gguf_begin(3); /* a vocabulary alone: nothing but the keys themselves says where it ends */
    tiny_phi3_keys(&w, &m);
    tiny_phi3_vocabulary(&w, m.n_vocab);
    gguf_end(&w);
    gguf_save(&w, path);
    if (opens("vocabulary", &g)) {
        CHECK(g.n_tensor == 0 && g.data_offset <= g.file.size, "vocabulary");
        phi_gguf_close(&g);
    }
    wrong = 0;
    for (size_t n = w.file.n - 1; n + 1 > 0; n--) {
        if (truncate(path, (off_t)n) != 0) break;
        if (phi_gguf_open(path, &g, &err) != PHI_MODEL) wrong++;
        phi_gguf_close(&g);
    }
    CHECK(wrong == 0, "%zu of %zu cuts of a vocabulary were not refused", wrong, w.file.n);
    gguf_free(&w);
}

/* ---- What is opened ------------------------------------------------------------------------------------------- */

static void check_socket(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    set_path("socket");
    if (strlen(path) >= sizeof address.sun_path) {
        SKIP("socket: the path is too long for one");
        return;
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0)
        refuse("socket", "is a socket, not a regular file");
    else
        SKIP("socket: cannot make one here");
    if (fd >= 0) close(fd);
}

static void check_objects(void) {
    struct phi_gguf g;
    phi_error err;
    alarm(60); /* a FIFO that blocks would block for ever */
    set_path("fifo");
    if (mkfifo(path, 0600) == 0)
        refuse("FIFO", "is a FIFO, not a regular file");
    else
        SKIP("FIFO: cannot make one here");
    set_path("folder");
    mkdir(path, 0700);
    refuse("directory", "is a directory, not a regular file");
    set_path("nothing.gguf");
    refuse("no file", "No such file or directory; check the path");
    set_path("dangling.gguf");
    CHECK(symlink("nothing.gguf", path) == 0, "symlink: %s", strerror(errno));
    refuse("dangling link", "is a link to a file that does not exist");
    set_path("loop.gguf");
    CHECK(symlink("loop.gguf", path) == 0, "symlink: %s", strerror(errno));
    refuse("looping link", "Too many symbolic links");
    set_path("text.gguf/model.gguf"); /* text.gguf is a file by now */
    refuse("file as a folder", "Not a directory");
    check_socket();
    CHECK(phi_gguf_open("/dev/null", &g, &err) == PHI_MODEL &&
              !strcmp(err.text, "/dev/null: is a character device, not a regular file"),
          "%s", err.text);
    CHECK(phi_gguf_open("", &g, &err) == PHI_MODEL && strstr(err.text, "No such file"), "%s", err.text);
    char name[600];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    CHECK(phi_gguf_open(name, &g, &err) == PHI_MODEL && strstr(err.text, "File name too long") &&
              !strncmp(err.text, "...nnn", 6),
          "%s", err.text);
    CHECK(phi_gguf_open("no\nsuch\x1b.gguf", &g, &err) == PHI_MODEL && !strncmp(err.text, "no?such?.gguf: ", 15),
          "%s", err.text);
    struct rlimit limit, none;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        none = limit;
        none.rlim_cur = 0;
        setrlimit(RLIMIT_NOFILE, &none);
        set_path("text.gguf");
        refuse("no descriptor left", "Too many open files");
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (geteuid() == 0) {
        SKIP("no permission: root has every permission");
    } else {
        set_path("secret.gguf");
        gguf_write_file(path, "GGUF", 4);
        chmod(path, 0);
        refuse("no permission", "Permission denied");
    }
    alarm(0);
}

/* Opening a large file reads its header only. */
static void check_large(void) {
    enum { ROWS = 65536 };
    struct phi_gguf g;
    set_path("large.gguf");
    struct gguf_writer w = gguf_begin(3);
    gguf_str(&w, "general.architecture", "phi3");
    gguf_tensor(&w, "x", 0, (uint64_t[]){4096, ROWS}, 2, NULL, 0);
    gguf_end(&w);
    size_t data_offset = w.file.n;
    gguf_save(&w, path);
    gguf_free(&w);
    if (truncate(path, (off_t)(data_offset + 4096ull * ROWS * 4)) != 0) {
        SKIP("a file of 1 GiB: %s", strerror(errno));
        return;
    }
    set_path("link.gguf"); /* a link to a model is as good as the model */
    CHECK(symlink("large.gguf", path) == 0, "symlink: %s", strerror(errno));
    phi_error err = {""};
    int status = phi_gguf_open(path, &g, &err);
    if (status == PHI_MEMORY) {
        SKIP("a file of 1 GiB: %s", err.text);
        return;
    }
    CHECK(status == 0 && g.tensor_bytes == 4096ull * ROWS * 4 && g.n_params == 4096ull * ROWS, "%s", err.text);
#ifdef __linux__
    static unsigned char resident[(1u << 30) / 4096 + 2];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n_page = ((size_t)g.file.size + page - 1) / page, n = 0;
    if (page >= 4096 && mincore((void *)(uintptr_t)g.file.data, (size_t)g.file.size, resident) == 0) {
        for (size_t i = 0; i < n_page; i++) n += resident[i] & 1;
        CHECK(n * page < 8u << 20, "opening read %zu of %zu pages", n, n_page);
    }
#endif
    phi_gguf_close(&g);
}

/* ---- What is read --------------------------------------------------------------------------------------------- */

static void check_content(void) {
    struct phi_gguf g;
    set_path("content.gguf");
    for (uint32_t version = 2; version <= 3; version++) {
        struct gguf_writer w = base(version);
        gguf_end(&w);
        gguf_append(&w.file, "bytes behind the last tensor", 28);
        gguf_save(&w, path);
        gguf_free(&w);
        if (!opens("content", &g)) return;
        CHECK(g.version == version && g.n_kv == 15 && g.n_tensor == 3 && g.alignment == 32, "header");
        CHECK(g.tensor_bytes == 64 + 72 + 16 && g.n_params == 16 + 128 + 4, "sums");
        CHECK(g.kv[0].key.n == 20 && !memcmp(g.kv[0].key.s, "general.architecture", 20),
              "keys keep the order of the file");
        CHECK(!strncmp(g.tensor[1].name.s, "blocks", 6), "tensors keep the order of the file");
        const struct phi_gguf_kv *kv = phi_gguf_find(&g, "test.numbers");
        CHECK(kv && kv->type == PHI_GGUF_ARRAY && kv->element == PHI_GGUF_U32 && kv->n == 3 && kv->n_bytes == 12 &&
                  phi_little_endian(kv->data + 8, 4) == 3,
              "numbers");
        kv = phi_gguf_find(&g, "tokenizer.ggml.tokens");
        CHECK(kv && kv->element == PHI_GGUF_STRING && kv->n == 4, "tokens");
        const uint8_t *at = kv->data;
        struct phi_str s = phi_gguf_next_str(&at);
        CHECK(s.n == 3 && !memcmp(s.s, "one", 3), "first token");
        s = phi_gguf_next_str(&at);
        CHECK(s.n == 0, "empty token");
        s = phi_gguf_next_str(&at);
        CHECK(s.n == 3 && !memcmp(s.s, "a\0\xff", 3), "token with NUL");
        const struct phi_gguf_tensor *t = phi_gguf_find_tensor(&g, "first");
        CHECK(t && t->n_dim == 2 && t->dim[0] == 8 && t->dim[1] == 2 && t->dim[2] == 1 && t->type->id == 0 &&
                  !memcmp(t->data, floats, 64),
              "first");
        t = phi_gguf_find_tensor(&g, "last");
        CHECK(t && t->n_dim == 1 && !memcmp(t->data, floats, 16), "last");
        CHECK(!phi_gguf_find_tensor(&g, "las") && !phi_gguf_find_tensor(&g, "lastt") && !phi_gguf_find_tensor(&g, ""),
              "no such tensor");
        CHECK(!phi_gguf_find(&g, "test.u") && !phi_gguf_find(&g, "zzz") && !phi_gguf_find(&g, ""), "no such key");
        CHECK(!strcmp(phi_gguf_type_name(PHI_GGUF_STRING), "str") &&
                  !strcmp(phi_gguf_type_name((enum phi_gguf_type)99), "?"),
              "names");
        phi_gguf_close(&g);
    }
}

static void check_getters(void) {
    static const struct {
        const char *key;
        uint64_t min, max;
        int found; /* 1, 0, PHI_MODEL */
        uint64_t v;
        const char *words;
    } integers[] = {
        {"test.u8", 0, 200, 1, 200, ""},
        {"test.u8", 0, 199, PHI_MODEL, 0, "test.u8 200: must be 0 to 199"},
        {"test.u8", 201, 300, PHI_MODEL, 0, "test.u8 200: must be 201 to 300"},
        {"test.i8", 0, UINT64_MAX, PHI_MODEL, 0, "test.i8 -7: must be 0 to 18446744073709551615"},
        {"test.u16", 1, 70000, 1, 60000, ""},
        {"test.i16", 0, 5, PHI_MODEL, 0, "test.i16 -700: must be 0 to 5"},
        {"test.u32", 0, UINT64_MAX, 1, 4000000000u, ""},
        {"test.i32", 97, 97, 1, 97, ""},
        {"test.u64", 0, UINT64_MAX, 1, UINT64_MAX, ""},
        {"test.u64", 0, INT32_MAX, PHI_MODEL, 0, "test.u64 18446744073709551615: must be 0 to 2147483647"},
        {"test.i64", 0, 9, PHI_MODEL, 0, "test.i64 -7000000000: must be 0 to 9"},
        {"test.f32", 0, 9, PHI_MODEL, 0, "test.f32 has the type f32, expected an integer"},
        {"test.yes", 0, 9, PHI_MODEL, 0, "test.yes has the type bool, expected an integer"},
        {"general.architecture", 0, 9, PHI_MODEL, 0, "general.architecture has the type str, expected an integer"},
        {"test.numbers", 0, 9, PHI_MODEL, 0, "test.numbers has the type arr, expected an integer"},
        {"test.missing", 0, 9, 0, 0, ""},
    };
    static const struct {
        const char *key;
        double min, max;
        int found;
        double v;
        const char *words;
    } numbers[] = {
        {"test.f32", 0, 1, 1, 0.5, ""},
        {"test.f64", 0, 1, 1, 1e-5, ""},
        {"test.f64", 0.1, 1, PHI_MODEL, 0, "test.f64 1e-05: must be 0.1 to 1"},
        {"test.u8", 0, 1000, 1, 200, ""},
        {"test.i8", -10, 10, 1, -7, ""},
        {"test.i64", 0, 10, PHI_MODEL, 0, "test.i64 -7e+09: must be 0 to 10"},
        {"test.nan", -HUGE_VAL, HUGE_VAL, PHI_MODEL, 0, "nan: must be"},
        {"test.inf", -HUGE_VAL, HUGE_VAL, PHI_MODEL, 0, "test.inf inf: must be"},
        {"test.inf64", -HUGE_VAL, HUGE_VAL, PHI_MODEL, 0, "test.inf64 -inf: must be"},
        {"test.yes", 0, 1, PHI_MODEL, 0, "test.yes has the type bool, expected a number"},
        {"general.architecture", 0, 1, PHI_MODEL, 0, "general.architecture has the type str, expected a number"},
        {"test.missing", 0, 1, 0, 0, ""},
    };
    static const struct {
        const char *key;
        int found;
        bool v;
        const char *words;
    } bools[] = {
        {"test.yes", 1, true, ""},
        {"test.no", 1, false, ""},
        {"test.one", 1, true, ""},
        {"test.two", PHI_MODEL, false, "test.two 2: must be 0 (false) or 1 (true)"},
        {"test.i8", PHI_MODEL, false, "test.i8 -7: must be 0 (false) or 1 (true)"},
        {"test.f32", PHI_MODEL, false, "test.f32 has the type f32, expected true or false"},
        {"test.missing", 0, false, ""},
    };
    struct gguf_writer w = base(3);
    struct phi_gguf g;
    gguf_scalar(&w, "test.nan", PHI_GGUF_F32, 0x7fc00000);
    gguf_scalar(&w, "test.inf", PHI_GGUF_F32, 0x7f800000);
    gguf_f64(&w, "test.inf64", -HUGE_VAL);
    gguf_u32(&w, "test.one", 1);
    gguf_scalar(&w, "test.two", PHI_GGUF_BOOL, 2);
    gguf_end(&w);
    set_path("getters.gguf");
    gguf_save(&w, path);
    gguf_free(&w);
    if (!opens("getters", &g)) return;
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        phi_error err = {""};
        uint64_t v = 4242;
        int found = phi_gguf_get_u64(&g, integers[i].key, integers[i].min, integers[i].max, &v, &err);
        CHECK(found == integers[i].found && v == (found == 1 ? integers[i].v : 4242) &&
                  strstr(err.text, integers[i].words),
              "%s: %d, %" PRIu64 ", \"%s\"", integers[i].key, found, v, err.text);
        CHECK(found >= 0 ? !err.text[0] : !strncmp(err.text, path, 20) || err.text[0] == '.', "%s", err.text);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        phi_error err = {""};
        double v = 4242;
        int found = phi_gguf_get_f64(&g, numbers[i].key, numbers[i].min, numbers[i].max, &v, &err);
        CHECK(found == numbers[i].found && fabs(v - (found == 1 ? numbers[i].v : 4242)) == 0 &&
                  strstr(err.text, numbers[i].words),
              "%s: %d, %g, \"%s\"", numbers[i].key, found, v, err.text);
    }
    for (size_t i = 0; i < sizeof bools / sizeof *bools; i++) {
        phi_error err = {""};
        bool v = !bools[i].v;
        int found = phi_gguf_get_bool(&g, bools[i].key, &v, &err);
        CHECK(found == bools[i].found && v == (found == 1 ? bools[i].v : !bools[i].v) &&
                  strstr(err.text, bools[i].words),
              "%s: %d, %d, \"%s\"", bools[i].key, found, v, err.text);
    }
    phi_error err = {""};
    struct phi_str s = {NULL, 0};
    CHECK(phi_gguf_get_str(&g, "test.missing", &s, &err) == 0 && !s.s, "string");
    CHECK(phi_gguf_get_str(&g, "general.architecture", &s, &err) == 1 && s.n == 4 && !memcmp(s.s, "phi3", 4),
          "string");
    CHECK(phi_gguf_get_str(&g, "test.u8", &s, &err) == PHI_MODEL &&
              strstr(err.text, "test.u8 has the type u8, expected a string"),
          "%s", err.text);
    phi_gguf_close(&g);
}

/* Many keys and tensors in random order: the tables grow, every entry is found, and one twin among them is noticed.
 */
static void check_many(void) {
    enum { N = 3000 };
    static int order[N];
    unsigned long long random = check_seed();
    for (int i = 0; i < N; i++) {
        int j = (int)(check_random(&random) % (unsigned)(i + 1));
        order[i] = order[j];
        order[j] = i;
    }
    struct phi_gguf g;
    char name[64];
    set_path("many.gguf");
    for (int twin = 0; twin < 3; twin++) { /* none, a key, a tensor */
        struct gguf_writer w = gguf_begin(3);
        for (int i = 0; i < N; i++) {
            snprintf(name, sizeof name, "key.%d", twin == 1 && i == 1234 ? order[2345] : order[i]);
            gguf_u32(&w, name, (uint32_t)order[i]);
        }
        for (int i = 0; i < N; i++) {
            snprintf(name, sizeof name, "blk.%d.weight", twin == 2 && i == 2345 ? order[1234] : order[i]);
            gguf_tensor(&w, name, 0, (uint64_t[]){1}, 1, floats + order[i] % 16, 4);
        }
        gguf_end(&w);
        gguf_save(&w, path);
        gguf_free(&w);
        if (twin) {
            snprintf(name, sizeof name,
                     twin == 1 ? "key 'key.%d' is there twice" : "tensor 'blk.%d.weight' is there twice",
                     twin == 1 ? order[2345] : order[1234]);
            refuse("a twin among many", name);
            continue;
        }
        if (!opens("many", &g)) continue;
        int wrong = 0;
        for (int i = 0; i < N; i++) {
            uint64_t v = N;
            snprintf(name, sizeof name, "key.%d", i);
            if (phi_gguf_get_u64(&g, name, 0, N, &v, NULL) != 1 || v != (uint64_t)i) wrong++;
            snprintf(name, sizeof name, "blk.%d.weight", i);
            const struct phi_gguf_tensor *t = phi_gguf_find_tensor(&g, name);
            if (!t || memcmp(t->data, floats + i % 16, 4) != 0) wrong++;
        }
        CHECK(wrong == 0, "%d of %d entries are not found (seed %llu)", wrong, 2 * N, check_seed());
        phi_gguf_close(&g);
    }
}

/* As many keys and tensors as may be, and one more. */
static void check_most(void) {
    static const uint8_t entry[64];
    struct phi_gguf g;
    set_path("most.gguf");
    for (int tensors = 0; tensors < 2; tensors++) {
        struct gguf_writer w = gguf_begin(3);
        gguf_u32(&w, "general.alignment", 1);
        for (int i = 1; !tensors && i < 65536; i++) { /* not by gguf_u32(): its marks are not needed here */
            gguf_number(&w.kv, 4, 8);
            gguf_number(
                &w.kv, (uint64_t)(0x40404040 | (i & 15) | (i >> 4 & 15) << 8 | (i >> 8 & 15) << 16 | (i >> 12) << 24),
                4);
            gguf_append(&w.kv, entry, 5); /* u8 0 */
        }
        if (!tensors) w.n_kv = 65536;
        gguf_end(&w);
        gguf_append(&w.file, entry, sizeof entry);
        gguf_save(&w, path);
        if (!tensors && opens("65536 keys", &g)) phi_gguf_close(&g);
        if (tensors)
            w.n_tensor = 65537;
        else
            w.n_kv++;
        gguf_end(&w);
        for (int i = 0; i < 65537; i++) gguf_append(&w.file, entry, 33);
        gguf_save(&w, path);
        gguf_free(&w);
        refuse("one too many", tensors ? "65537 tensors, the most is 65536" : "65537 keys, the most is 65536");
    }
}

/* Files that other programs wrote. Numbers read with an independent reader. */
static void check_real(void) {
    struct phi_gguf g;
    strcpy(path, "models/demo.gguf");
    if (opens("demo model", &g)) {
        struct phi_str s;
        const struct phi_gguf_tensor *t = phi_gguf_find_tensor(&g, "blk.7.ffn_up.weight");
        CHECK(g.n_kv == 27 && g.n_tensor == 51 && g.data_offset == 48832 && g.tensor_bytes == 4965376 &&
                  g.n_params == 7868672,
              "demo model");
        CHECK(t && t->dim[0] == 256 && t->dim[1] == 1536 && t->type->id == 2 && t->data == g.file.data + 4643520 &&
                  t->n_bytes == 221184,
              "demo model");
        CHECK(phi_gguf_get_str(&g, "general.license", &s, NULL) == 1 && s.n == 3 && !memcmp(s.s, "mit", 3),
              "demo model");
        phi_gguf_close(&g);
    }
    static const struct {
        const char *file;
        uint64_t n_kv, n_tensor;
    } cases[] = {{"tokenizer/ggml-vocab-phi-3.gguf", 26, 0},     {"reference/cases/mini.gguf", 23, 21},
                 {"reference/cases/mini-window.gguf", 23, 21},   {"reference/cases/medium-gqa.gguf", 23, 15},
                 {"reference/cases/mini-longrope.gguf", 24, 17}, {"reference/cases/phi4-mini.gguf", 24, 16},
                 {"reference/cases/mini-q4_0.gguf", 23, 15},     {"reference/cases/mini-q4_k_m.gguf", 23, 15},
                 {"reference/cases/mini-q8_0.gguf", 23, 15}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(path, sizeof path, "%s/%s", check_shared(), cases[i].file);
        if (access(path, R_OK) != 0) {
            SKIP("%s is not here", path);
            continue;
        }
        if (!opens(path, &g)) continue;
        CHECK(g.n_kv == cases[i].n_kv && g.n_tensor == cases[i].n_tensor, "%s: %" PRIu64 " keys, %" PRIu64 " tensors",
              path, g.n_kv, g.n_tensor);
        phi_gguf_close(&g);
    }
}

/* ---- Random damage, short memory ------------------------------------------------------------------------------ */

static void check_mutations(void) {
    enum { N = 6000 };
    struct tiny_phi3 m = tiny_phi3_default();
    m.n_embd = 32;
    m.n_head = m.n_head_kv = 1;
    struct gguf_writer w = tiny_phi3_build(&m), b = base(3);
    gguf_end(&b);
    unsigned long long random = check_seed(), live = phi_memory_live();
    long opened = 0, wrong = 0;
    set_path("mutant.gguf");
    for (int i = 0; i < N; i++) {
        struct gguf_writer *from = i % 4 ? &b : &w; /* the small file has more of its bytes in lengths and types */
        if (i % 4 == 1) gguf_save(from, path);
        if (i % 4 == 0) gguf_save(from, path);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        size_t header = gguf_header_size(from), n = 1 + (size_t)(check_random(&random) % 4), at[4];
        for (size_t k = 0; fd >= 0 && k < n; k++) {
            static const uint8_t special[] = {0, 1, 2, 0x7f, 0x80, 0xff, 8, 9};
            uint64_t r = check_random(&random);
            at[k] = (size_t)((r >> 16) % header);
            uint8_t byte = r & 256   ? special[r % 8]
                           : r & 512 ? (uint8_t)(from->file.p[at[k]] ^ 1 << r % 8)
                                     : (uint8_t)r;
            if (pwrite(fd, &byte, 1, (off_t)at[k]) != 1) wrong++;
        }
        struct phi_gguf g;
        phi_error err = {""};
        int status = phi_gguf_open(path, &g, &err);
        if (status == 0) {
            opened++;
            if (!gguf_is_sound(&g) || err.text[0]) wrong++;
        } else if (status != PHI_MODEL || !err.text[0] || strchr(err.text, '\n')) {
            wrong++;
        }
        phi_gguf_close(&g);
        for (size_t k = 0; fd >= 0 && k < n; k++)
            if (pwrite(fd, from->file.p + at[k], 1, (off_t)at[k]) != 1) wrong++;
        if (fd >= 0) close(fd);
    }
    CHECK(wrong == 0, "%ld of %d mutants (seed %llu)", wrong, N, check_seed());
    CHECK(opened > N / 50 && opened < N / 10 * 9, "%ld of %d mutants opened: the damage does not hit", opened, N);
    CHECK(phi_memory_live() == live, "mutants leak");
    gguf_free(&w);
    gguf_free(&b);
}

/* Fail the n-th allocation or mapping, for every n. */
static void check_short_memory(void) {
    struct gguf_writer w = base(3);
    char name[32];
    for (int i = 0; i < 200; i++) { /* more than the tables have room for at first */
        snprintf(name, sizeof name, "key.%d", i);
        gguf_u32(&w, name, 1);
        snprintf(name, sizeof name, "tensor.%d", i);
        gguf_tensor(&w, name, 0, (uint64_t[]){1}, 1, floats, 4);
    }
    gguf_end(&w);
    set_path("memory.gguf");
    gguf_save(&w, path);
    gguf_free(&w);
    unsigned long long live = phi_memory_live(), n = 0;
    int status;
    do {
        struct phi_gguf g;
        phi_error err = {""};
        phi_memory_fail_at(++n);
        status = phi_gguf_open(path, &g, &err);
        phi_memory_fail_at(0);
        if (status) {
            CHECK(status == PHI_MEMORY && strstr(err.text, "memory.gguf: not enough "), "n = %llu: %d, %s", n, status,
                  err.text);
            CHECK(!g.file.data && phi_memory_live() == live, "n = %llu: leaks", n);
        }
        phi_gguf_close(&g);
    } while (status && n < 1000);
    CHECK(n > 8 && n < 100, "%llu allocations", n);
    CHECK(phi_memory_live() == live, "leaks");
}

int main(int argc, char **argv) {
    gguf_make_dir(argc, argv, dir);
    check_content();
    check_getters();
    check_many();
    check_most();
    check_alignments();
    check_defects();
    check_own_keys();
    check_larger_defects();
    check_foreign();
    check_cuts();
    check_objects();
    check_large();
    check_mutations();
    check_short_memory();
    check_real();
    gguf_remove_dir(dir);
    return check_done("gguf");
}
