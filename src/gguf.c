/* Reads the header of a GGUF file and proves all that it says against the size of the file. The file is hostile:
 * every count is compared with the bytes that are left before anything is allocated for it, sums and products are
 * checked before they are made, and there is no assertion and no recursion on what the file says. file.c gives the
 * bytes, model.c takes the result. */
#include "gguf.h"
#include "memory.h"
#include "utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/*  the file, all numbers little-endian:
 *
 *  "GGUF" | version u32 | tensors u64 | keys u64            24 bytes
 *  keys x     string, type u32, value
 *  tensors x  string, dims u32, dim u64 x dims, type u32, offset u64
 *  ...        up to a multiple of general.alignment: data_offset
 *  data       a tensor begins at data_offset + offset
 *
 *  string: length u64, bytes.   array: element type u32, length u64, elements. */
enum {
    HEADER_BYTES = 24,
    KV_BYTES = 8 + 1 + 4 + 1,             /* the least that a key with its value takes */
    TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8, /* the least that an entry of the tensor table takes */
    MAX_KEY = 65536,                      /* the specification says 2^16 - 1; also the most for the text of a token */
    MAX_COUNT = 65536,                    /* keys, tensors: real files have some 30 and 250; bounds time and memory */
    MAX_NAME = 63,                        /* GGML_MAX_NAME with its NUL is 64 */
    MAX_DIM = INT32_MAX,
    MAX_ALIGNMENT = 65536,
    DEFAULT_ALIGNMENT = 32
};

static const char again[] = "the file is damaged or cut short, download it again";

static int bad(const struct phi_gguf *g, phi_error *err, const char *fmt, ...) PHI_PRINTF(3, 4);
static int bad(const struct phi_gguf *g, phi_error *err, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    phi_file_vfail(g->file.path, err, PHI_MODEL, fmt, args);
    va_end(args);
    return PHI_MODEL;
}

static int no_memory(const struct phi_gguf *g, phi_error *err) {
    return phi_file_fail(g->file.path, err, PHI_MEMORY, "not enough memory for the table of contents");
}

static int cut(const struct phi_gguf *g, phi_error *err, const char *what, uint64_t index) {
    return bad(g, err,
               "truncated: the file ends after %" PRIu64 " bytes, inside %s #%" PRIu64 "; resume the download",
               g->file.size, what, index + 1);
}

/* ---- What is this file? --------------------------------------------------------------------------------------- */

static bool begins(const struct phi_file *f, const char *with) {
    size_t n = strlen(with);
    return f->size >= n && memcmp(f->data, with, n) == 0;
}

static bool ends(const char *text, const char *with) {
    size_t n = strlen(text), n_with = strlen(with);
    return n >= n_with && strcmp(text + n - n_with, with) == 0;
}

/* HTML after a byte order mark and blanks, in capitals or not. */
static bool is_html(const struct phi_file *f) {
    static const char *const starts[] = {"<!doctype", "<html", "<head", "<!--"};
    uint64_t at = begins(f, "\xef\xbb\xbf") ? 3 : 0;
    while (at < f->size && at < 1024 && strchr(" \t\r\n", f->data[at] ? f->data[at] : 'x')) at++;
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        size_t n = strlen(starts[i]), same = 0;
        while (same < n && at + same < f->size) {
            uint8_t c = f->data[at + same];
            if (c >= 'A' && c <= 'Z') c = (uint8_t)(c + 'a' - 'A');
            if (c != (uint8_t)starts[i][same]) break;
            same++;
        }
        if (same == n) return true;
    }
    return false;
}

/* What a file is whose first bytes are not "GGUF", and what to do; NULL: no idea. */
static const char *foreign_kind(const struct phi_file *f) {
    static const char *const partial[] = {".part", ".partial", ".crdownload", ".download", ".incomplete", ".tmp"};
    if (is_html(f)) return "this is an HTML page; download the model again";
    if (begins(f, "version https://git-lfs"))
        return "this is a Git LFS pointer; run 'git lfs pull' or download the model itself";
    if (begins(f, "PK\x03\x04"))
        return "this is a zip archive (PyTorch makes such files too); unpack it or convert it to GGUF";
    if (begins(f, "\x1f\x8b")) return "this is a gzip archive; unpack it";
    if (f->size > 8 && f->data[8] == '{' && phi_little_endian(f->data + 4, 4) == 0)
        return "this is a safetensors file; convert it to GGUF or download a GGUF file";
    if (begins(f, "lmgg") || begins(f, "fmgg") || begins(f, "tjgg"))
        return "this is a GGML file, the format before GGUF; download a GGUF file";
    for (size_t i = 0; i < sizeof partial / sizeof *partial; i++)
        if (ends(f->path, partial[i])) return "by its name it is an unfinished download; resume it";
    if (phi_little_endian(f->data, 4) == 0)
        return "it begins with zeros, as unfinished downloads do; download it again";
    return NULL;
}

/* Magic, version and counts; *c stands behind them afterwards. */
static int read_header(struct phi_gguf *g, struct phi_cursor *c, phi_error *err) {
    uint64_t size = g->file.size;
    if (size < 4) return bad(g, err, "not a GGUF file: too short, %" PRIu64 " bytes; download the model again", size);
    if (!begins(&g->file, "GGUF")) {
        const char *kind = foreign_kind(&g->file);
        char quoted[PHI_QUOTE_SIZE];
        if (kind) return bad(g, err, "not a GGUF file: %s", kind);
        phi_quote(quoted, (const char *)g->file.data, size < 32 ? (size_t)size : 32);
        return bad(g, err, "not a GGUF file: it begins with '%s' instead of 'GGUF'", quoted);
    }
    if (size < HEADER_BYTES)
        return bad(g, err, "truncated: the file has %" PRIu64 " bytes, a GGUF header has %d; resume the download",
                   size, HEADER_BYTES);
    c->at += 4;
    phi_cursor_u32(c, &g->version);
    phi_cursor_u64(c, &g->n_tensor);
    phi_cursor_u64(c, &g->n_kv);
    if (g->version != 0 && (g->version & 0xf0ffffff) == 0) /* 1 to 15 with the bytes turned round */
        return bad(g, err, "big-endian file; download the little-endian one");
    if (g->version != 2 && g->version != 3)
        return bad(g, err, "GGUF version %" PRIu32 " is not supported (2, 3)", g->version);
    uint64_t left = phi_cursor_left(c);
    if (g->n_kv > left / KV_BYTES)
        return bad(g, err, "header claims %" PRIu64 " keys, the file has room for %" PRIu64 "; %s", g->n_kv,
                   left / KV_BYTES, again);
    if (g->n_tensor > left / TENSOR_BYTES)
        return bad(g, err, "header claims %" PRIu64 " tensors, the file has room for %" PRIu64 "; %s", g->n_tensor,
                   left / TENSOR_BYTES, again);
    if (g->n_kv > MAX_COUNT) return bad(g, err, "%" PRIu64 " keys, the most is %d", g->n_kv, MAX_COUNT);
    if (g->n_tensor > MAX_COUNT) return bad(g, err, "%" PRIu64 " tensors, the most is %d", g->n_tensor, MAX_COUNT);
    if (g->n_kv == 0) return bad(g, err, "the header claims 0 keys; %s", again);
    return PHI_OK;
}

/* ---- Tables that grow with what was really read, and their order by name -------------------------------------- */

/* Room for one more item behind n: the table doubles, so that a count without content behind it costs nothing. */
static bool grow(void **table, uint64_t n, uint64_t *room, size_t item_size) {
    if (n < *room) return true;
    uint64_t more = *room ? *room * 2 : 64;
    void *p = phi_realloc(*table, (size_t)more, item_size);
    if (!p) return false;
    *table = p;
    *room = more;
    return true;
}

typedef int compare_fn(const struct phi_gguf *g, size_t a, size_t b);

static int compare_str(struct phi_str a, struct phi_str b) {
    int order = memcmp(a.s, b.s, (size_t)(a.n < b.n ? a.n : b.n));
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int by_key(const struct phi_gguf *g, size_t a, size_t b) {
    return compare_str(g->kv[a].key, g->kv[b].key);
}

static int by_name(const struct phi_gguf *g, size_t a, size_t b) {
    return compare_str(g->tensor[a].name, g->tensor[b].name);
}

static int by_offset(const struct phi_gguf *g, size_t a, size_t b) {
    const uint8_t *p = g->tensor[a].data, *q = g->tensor[b].data;
    return (p > q) - (p < q);
}

/* Heap sort: n log n for every input, where quick sort and hash tables have inputs, made by an enemy, that are
 * quadratic; and without memory of its own. */
static void sort(const struct phi_gguf *g, size_t *order, size_t n, compare_fn *compare) {
    for (size_t i = 0; i < n; i++) order[i] = i;
    for (size_t heap = n / 2, end = n; end > 1;) {
        if (heap > 0) {
            heap--; /* build: sift the inner nodes down, last first */
        } else {
            size_t top = order[0]; /* then take the largest, again and again */
            order[0] = order[--end];
            order[end] = top;
        }
        size_t at = heap, moving = order[at];
        for (size_t child; (child = 2 * at + 1) < end; at = child) {
            if (child + 1 < end && compare(g, order[child], order[child + 1]) < 0) child++;
            if (compare(g, moving, order[child]) >= 0) break;
            order[at] = order[child];
        }
        order[at] = moving;
    }
}

/* The names of the n sorted entries must differ; what is "key" or "tensor". */
static int refuse_twins(const struct phi_gguf *g, const size_t *order, size_t n, const char *what, compare_fn *compare,
                        phi_error *err) {
    char quoted[PHI_QUOTE_SIZE];
    for (size_t i = 0; i + 1 < n; i++) {
        size_t a = order[i], b = order[i + 1];
        if (compare(g, a, b) != 0) continue;
        struct phi_str name = compare == by_key ? g->kv[a].key : g->tensor[a].name;
        return bad(g, err, "%s '%s' is there twice, #%zu and #%zu", what,
                   phi_quote(quoted, name.s, (size_t)name.n), (a < b ? a : b) + 1, (a < b ? b : a) + 1);
    }
    return PHI_OK;
}

/* ---- Keys and values ------------------------------------------------------------------------------------------ */

const char *phi_gguf_type_name(enum phi_gguf_type type) {
    static const char *const names[PHI_GGUF_N_TYPE] = {"u8",   "i8",  "u16", "i16", "u32", "i32", "f32",
                                                       "bool", "str", "arr", "u64", "i64", "f64"};
    return (unsigned)type < PHI_GGUF_N_TYPE ? names[type] : "?";
}

size_t phi_gguf_type_size(enum phi_gguf_type type) {
    static const uint8_t sizes[PHI_GGUF_N_TYPE] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return (unsigned)type < PHI_GGUF_N_TYPE ? sizes[type] : 0;
}

/* Whole UTF-8 characters without NUL. */
static bool is_text(struct phi_str s) {
    for (uint64_t i = 0; i < s.n;) {
        int n = phi_utf8_length(s.s + i, (size_t)(s.n - i));
        if (n < 1 || s.s[i] == 0) return false;
        i += (uint64_t)n;
    }
    return true;
}

/* The name of a key or tensor: 1 to max bytes of text. what and index name it until it has a name. */
static int read_name(const struct phi_gguf *g, struct phi_cursor *c, const char *what, uint64_t index, uint64_t max,
                     struct phi_str *out, phi_error *err) {
    char quoted[PHI_QUOTE_SIZE];
    const uint8_t *p;
    if (!phi_cursor_u64(c, &out->n)) return cut(g, err, what, index);
    if (out->n > phi_cursor_left(c))
        return bad(g, err, "%s #%" PRIu64 ": length %" PRIu64 " exceeds the %" PRIu64 " bytes left; %s", what,
                   index + 1, out->n, phi_cursor_left(c), again);
    if (out->n == 0) return bad(g, err, "%s #%" PRIu64 ": its name is empty; %s", what, index + 1, again);
    if (out->n > max)
        return bad(g, err, "%s #%" PRIu64 ": its name has %" PRIu64 " bytes, the most is %" PRIu64, what, index + 1,
                   out->n, max);
    phi_cursor_take(c, out->n, &p);
    out->s = (const char *)p;
    if (is_text(*out)) return PHI_OK;
    return bad(g, err, "%s #%" PRIu64 ": its name '%s' is not UTF-8 text", what, index + 1,
               phi_quote(quoted, out->s, (size_t)out->n));
}

/* Moves over kv's n strings. */
static int skip_strings(const struct phi_gguf *g, struct phi_cursor *c, const struct phi_gguf_kv *kv, uint64_t index,
                        phi_error *err) {
    static const char tokens[] = "tokenizer.ggml.tokens";
    char quoted[PHI_QUOTE_SIZE];
    bool array = kv->type == PHI_GGUF_ARRAY;
    bool capped = array && compare_str(kv->key, (struct phi_str){tokens, sizeof tokens - 1}) == 0;
    for (uint64_t i = 0; i < kv->n; i++) {
        uint64_t n;
        const uint8_t *p;
        if (!phi_cursor_u64(c, &n)) return cut(g, err, "the value of key", index);
        if (capped && n > MAX_KEY && n <= phi_cursor_left(c))
            return bad(g, err, "%s: token %" PRIu64 " has %" PRIu64 " bytes, the most is %d", tokens, i, n, MAX_KEY);
        if (phi_cursor_take(c, n, &p)) continue;
        char element[40] = "";
        if (array) snprintf(element, sizeof element, "element %" PRIu64 ": ", i);
        return bad(g, err, "key '%s': %slength %" PRIu64 " exceeds the %" PRIu64 " bytes left; %s",
                   phi_quote(quoted, kv->key.s, (size_t)kv->key.n), element, n, phi_cursor_left(c), again);
    }
    return PHI_OK;
}

/* Key number index and its value. */
static int read_kv(const struct phi_gguf *g, struct phi_cursor *c, uint64_t index, struct phi_gguf_kv *kv,
                   phi_error *err) {
    char quoted[PHI_QUOTE_SIZE];
    uint32_t type;
    int status = read_name(g, c, "key", index, MAX_KEY, &kv->key, err);
    if (status) return status;
    if (!phi_cursor_u32(c, &type)) return cut(g, err, "the value of key", index);
    phi_quote(quoted, kv->key.s, (size_t)kv->key.n);
    if (type >= PHI_GGUF_N_TYPE)
        return bad(g, err, "key '%s': unknown value type %" PRIu32 ", must be 0 to %d", quoted, type,
                   PHI_GGUF_N_TYPE - 1);
    kv->type = kv->element = (enum phi_gguf_type)type;
    kv->n = 1;
    if (type == PHI_GGUF_ARRAY) {
        if (!phi_cursor_u32(c, &type) || !phi_cursor_u64(c, &kv->n)) return cut(g, err, "the value of key", index);
        if (type == PHI_GGUF_ARRAY) return bad(g, err, "key '%s': nested arrays are not supported", quoted);
        if (type >= PHI_GGUF_N_TYPE)
            return bad(g, err, "key '%s': unknown element type %" PRIu32 ", must be 0 to %d", quoted, type,
                       PHI_GGUF_N_TYPE - 1);
        kv->element = (enum phi_gguf_type)type;
    }
    size_t size = phi_gguf_type_size(kv->element);
    uint64_t room = phi_cursor_left(c) / (size ? size : 8 /* the length of a string */);
    if (kv->n > room && kv->type != PHI_GGUF_ARRAY) return cut(g, err, "the value of key", index);
    if (kv->n > room)
        return bad(g, err, "key '%s': array of %" PRIu64 " %s, the file has room for %" PRIu64 "; %s", quoted, kv->n,
                   phi_gguf_type_name(kv->element), room, again);
    kv->data = c->at;
    if (size)
        phi_cursor_take(c, kv->n * size, &kv->data);
    else if ((status = skip_strings(g, c, kv, index, err)))
        return status;
    kv->n_bytes = (uint64_t)(c->at - kv->data);
    return PHI_OK;
}

static int read_kvs(struct phi_gguf *g, struct phi_cursor *c, phi_error *err) {
    uint64_t room = 0, n = g->n_kv;
    for (uint64_t i = 0; i < n; i++) {
        void *table = g->kv;
        bool fits = grow(&table, i, &room, sizeof *g->kv);
        g->kv = table;
        if (!fits) return no_memory(g, err);
        int status = read_kv(g, c, i, &g->kv[i], err);
        if (status) return status;
    }
    g->kv_order = phi_alloc((size_t)n, sizeof *g->kv_order);
    if (!g->kv_order) return no_memory(g, err);
    sort(g, g->kv_order, (size_t)n, by_key);
    return refuse_twins(g, g->kv_order, (size_t)n, "key", by_key, err);
}

/* Keys that GGUF itself gives a meaning to: where the tensors begin, and whether they are all in this file. */
static int read_own_keys(struct phi_gguf *g, phi_error *err) {
    uint64_t parts = 1, part = 0;
    g->alignment = DEFAULT_ALIGNMENT;
    int status = phi_gguf_get_u64(g, "general.alignment", 1, MAX_ALIGNMENT, &g->alignment, err);
    if (status < 0) return status;
    if (g->alignment & (g->alignment - 1))
        return bad(g, err, "general.alignment %" PRIu64 " is not a power of two", g->alignment);
    if ((status = phi_gguf_get_u64(g, "split.count", 0, UINT16_MAX, &parts, err)) < 0) return status;
    if ((status = phi_gguf_get_u64(g, "split.no", 0, UINT16_MAX, &part, err)) < 0) return status;
    if (parts > 1)
        return bad(g, err,
                   "part %" PRIu64 " of %" PRIu64 " of a split model: not supported; merge the parts into one file",
                   part + 1, parts);
    return PHI_OK;
}

/* ---- Tensors -------------------------------------------------------------------------------------------------- */

/* Types of the format, by number, for saying what a file has that quant.def has not. NULL: never given out, or
 * withdrawn before GGUF. */
static const char *const type_names[] = {
    "F32",    "F16",      "Q4_0",     "Q4_1",     NULL,    NULL,    "Q5_0",       "Q5_1",       "Q8_0",       "Q8_1",
    "Q2_K",   "Q3_K",     "Q4_K",     "Q5_K",     "Q6_K",  "Q8_K",  "IQ2_XXS",    "IQ2_XS",     "IQ3_XXS",    "IQ1_S",
    "IQ4_NL", "IQ3_S",    "IQ2_S",    "IQ4_XS",   "I8",    "I16",   "I32",        "I64",        "F64",        "IQ1_M",
    "BF16",   "Q4_0_4_4", "Q4_0_4_8", "Q4_0_8_8", "TQ1_0", "TQ2_0", "IQ4_NL_4_4", "IQ4_NL_4_8", "IQ4_NL_8_8", "MXFP4",
};

static int bad_type(const struct phi_gguf *g, const char *quoted, uint32_t id, phi_error *err) {
    char known[160] = "";
    _Static_assert(sizeof known > PHI_N_TYPE * sizeof "IQ4_NL", "room for the names");
    for (size_t i = 0, at = 0; i < PHI_N_TYPE; i++)
        at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", i ? " " : "", phi_types[i].name);
    if (id >= sizeof type_names / sizeof *type_names || !type_names[id])
        return bad(g, err, "tensor '%s': unknown type %" PRIu32 " (supported: %s)", quoted, id, known);
    if ((id >= 31 && id <= 33) || (id >= 36 && id <= 38))
        return bad(g, err, "tensor '%s': type %s (%" PRIu32 ") is not supported; take a file with %.*s", quoted,
                   type_names[id], id, (int)(strlen(type_names[id]) - 4), type_names[id]);
    return bad(g, err, "tensor '%s': type %s (%" PRIu32 ") is not supported (supported: %s)", quoted, type_names[id],
               id, known);
}

/* Entry number index. Its place is known when the whole table is read; until then *offset counts from there. */
static int read_tensor(const struct phi_gguf *g, struct phi_cursor *c, uint64_t index, struct phi_gguf_tensor *t,
                       uint64_t *offset, phi_error *err) {
    char quoted[PHI_QUOTE_SIZE];
    uint32_t n_dim, type;
    int status = read_name(g, c, "tensor", index, MAX_NAME, &t->name, err);
    if (status) return status;
    phi_quote(quoted, t->name.s, (size_t)t->name.n);
    if (!phi_cursor_u32(c, &n_dim)) return cut(g, err, "tensor", index);
    if (n_dim < 1 || n_dim > 4)
        return bad(g, err, "tensor '%s': %" PRIu32 " dimensions, must be 1 to 4", quoted, n_dim);
    t->n_dim = (int)n_dim;
    uint64_t n = 1;
    for (uint32_t i = 0; i < 4; i++) {
        t->dim[i] = 1;
        if (i >= n_dim) continue;
        if (!phi_cursor_u64(c, &t->dim[i])) return cut(g, err, "tensor", index);
        if (t->dim[i] < 1 || t->dim[i] > MAX_DIM)
            return bad(g, err, "tensor '%s': dimension #%" PRIu32 " is %" PRIu64 ", must be 1 to %d", quoted, i + 1,
                       t->dim[i], MAX_DIM);
        if (!phi_mul_u64(n, t->dim[i], &n)) return bad(g, err, "tensor '%s': shape overflows", quoted);
    }
    if (!phi_cursor_u32(c, &type) || !phi_cursor_u64(c, offset)) return cut(g, err, "tensor", index);
    t->type = phi_type_find(type);
    if (!t->type) return bad_type(g, quoted, type, err);
    uint64_t block = (uint64_t)t->type->block;
    if (t->dim[0] % block)
        return bad(g, err, "tensor '%s': rows of %" PRIu64 " weights, %s needs a multiple of %" PRIu64, quoted,
                   t->dim[0], t->type->name, block);
    if (!phi_mul_u64(n / block, (uint64_t)t->type->bytes, &t->n_bytes))
        return bad(g, err, "tensor '%s': shape overflows", quoted);
    if (*offset & (g->alignment - 1))
        return bad(g, err, "tensor '%s': offset %" PRIu64 " is not a multiple of the alignment %" PRIu64, quoted,
                   *offset, g->alignment);
    return PHI_OK;
}

/* A tensor that does not lie in the file. A file that was cut is the usual reason; then all tensors together are
 * larger than the file. Else the offset is nonsense. */
static int fail_outside(const struct phi_gguf *g, const struct phi_gguf_tensor *t, uint64_t end, uint64_t all,
                        phi_error *err) {
    char quoted[PHI_QUOTE_SIZE];
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a file without tensors has none outside: data_offset */
    phi_quote(quoted, t->name.s, (size_t)t->name.n);
    if (end <= all)
        return bad(g, err,
                   "truncated: tensor '%s' ends at %" PRIu64 ", file has %" PRIu64
                   " bytes (%d %%); resume the download",
                   quoted, end, g->file.size, (int)(100.0 * (double)g->file.size / (double)end));
    return bad(g, err,
               "tensor '%s' ends at %" PRIu64 ", outside the file of %" PRIu64
               " bytes; the file is damaged, download it again",
               quoted, end, g->file.size);
}

/* Offsets -> places in the mapping. offset[i] belongs to tensor i. */
static int place_tensors(struct phi_gguf *g, const uint64_t *offset, phi_error *err) {
    uint64_t all = g->data_offset, last_end = all;
    const struct phi_gguf_tensor *last = NULL;
    char quoted[PHI_QUOTE_SIZE];
    for (uint64_t i = 0; i < g->n_tensor; i++) {
        struct phi_gguf_tensor *t = &g->tensor[i];
        uint64_t end;
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): read_tensors() has one for each */
        if (!phi_add_u64(g->data_offset, offset[i], &end) || !phi_add_u64(end, t->n_bytes, &end))
            return bad(g, err, "tensor '%s': offset %" PRIu64 " overflows, the file has %" PRIu64 " bytes",
                       phi_quote(quoted, t->name.s, (size_t)t->name.n), offset[i], g->file.size);
        if (!phi_add_u64(all, t->n_bytes, &all) || !phi_align_u64(all, g->alignment, &all)) all = UINT64_MAX;
        if (end <= last_end) continue;
        last_end = end;
        last = t;
    }
    if (last_end > g->file.size) return fail_outside(g, last, last_end, all, err);
    uint64_t behind = g->file.size - last_end;
    g->trailing = behind < g->alignment ? 0 : behind; /* some writers pad the last tensor, too */
    for (uint64_t i = 0; i < g->n_tensor; i++) g->tensor[i].data = g->file.data + g->data_offset + offset[i];
    return PHI_OK;
}

/* Between the table and the first tensor there are zeros. Else the header's counts are wrong, and every weight would be
 * read from another's place. */
static int check_padding(const struct phi_gguf *g, const uint8_t *at, phi_error *err) {
    for (const uint8_t *data = g->file.data + g->data_offset; at < data; at++)
        if (*at)
            return bad(g, err, "header claims %" PRIu64 " tensors, but behind them byte %" PRIu64 " is %d, not padding; %s",
                       g->n_tensor, (uint64_t)(at - g->file.data), *at, again);
    return PHI_OK;
}

/* No two tensors share a byte. Then the sums cannot overflow. */
static int check_overlap(struct phi_gguf *g, phi_error *err) {
    char one[PHI_QUOTE_SIZE], two[PHI_QUOTE_SIZE];
    sort(g, g->tensor_order, (size_t)g->n_tensor, by_offset);
    for (uint64_t i = 0; i + 1 < g->n_tensor; i++) {
        const struct phi_gguf_tensor *a = &g->tensor[g->tensor_order[i]], *b = &g->tensor[g->tensor_order[i + 1]];
        if (a->n_bytes <= (uint64_t)(b->data - a->data)) continue;
        return bad(g, err, "tensors '%s' and '%s' overlap: one ends at %" PRIu64 ", the other begins at %" PRIu64,
                   phi_quote(one, a->name.s, (size_t)a->name.n), phi_quote(two, b->name.s, (size_t)b->name.n),
                   (uint64_t)(a->data - g->file.data) + a->n_bytes, (uint64_t)(b->data - g->file.data));
    }
    for (uint64_t i = 0; i < g->n_tensor; i++) {
        const struct phi_gguf_tensor *t = &g->tensor[i];
        g->tensor_bytes += t->n_bytes;
        g->n_params += t->n_bytes / (uint64_t)t->type->bytes * (uint64_t)t->type->block;
    }
    return PHI_OK;
}

/* The table, whose offsets go through *offset: the caller frees it. */
static int read_table(struct phi_gguf *g, struct phi_cursor *c, uint64_t **offset, phi_error *err) {
    uint64_t room = 0, offset_room = 0;
    for (uint64_t i = 0; i < g->n_tensor; i++) {
        void *table = g->tensor, *offsets = *offset;
        bool fits = grow(&table, i, &room, sizeof *g->tensor);
        g->tensor = table;
        fits = fits && grow(&offsets, i, &offset_room, sizeof **offset);
        *offset = offsets;
        if (!fits) return no_memory(g, err);
        int status = read_tensor(g, c, i, &g->tensor[i], &(*offset)[i], err);
        if (status) return status;
    }
    return PHI_OK;
}

static int read_tensors(struct phi_gguf *g, struct phi_cursor *c, phi_error *err) {
    size_t n = (size_t)g->n_tensor;
    uint64_t *offset = NULL;
    int status = read_table(g, c, &offset, err);
    if (status) goto out;
    uint64_t at = (uint64_t)(c->at - g->file.data);
    phi_align_u64(at, g->alignment, &g->data_offset); /* does not overflow: a whole file is mapped */
    if (g->data_offset > g->file.size && !n) g->data_offset = g->file.size;
    if ((status = place_tensors(g, offset, err))) goto out;
    if (n && (status = check_padding(g, c->at, err))) goto out;
    g->tensor_order = phi_alloc(n, sizeof *g->tensor_order);
    if (!g->tensor_order) {
        status = no_memory(g, err);
        goto out;
    }
    if ((status = check_overlap(g, err))) goto out;
    sort(g, g->tensor_order, n, by_name);
    status = refuse_twins(g, g->tensor_order, n, "tensor", by_name, err);
out:
    phi_free(offset);
    return status;
}

int phi_gguf_open(const char *path, struct phi_gguf *out, phi_error *err) {
    return phi_gguf_load(path, false, out, err);
}

int phi_gguf_load(const char *path, bool read, struct phi_gguf *out, phi_error *err) {
    memset(out, 0, sizeof *out);
    int status = phi_file_load(path, read, &out->file, err);
    if (status) return status;
    struct phi_cursor c = {out->file.data, out->file.data + out->file.size};
    status = read_header(out, &c, err);
    if (!status) status = read_kvs(out, &c, err);
    if (!status) status = read_own_keys(out, err);
    if (!status) status = read_tensors(out, &c, err);
    if (status) phi_gguf_close(out);
    return status;
}

void phi_gguf_close(struct phi_gguf *g) {
    phi_free(g->kv);
    phi_free(g->kv_order);
    phi_free(g->tensor);
    phi_free(g->tensor_order);
    phi_file_close(&g->file);
    memset(g, 0, sizeof *g);
}

/* ---- Looking things up ---------------------------------------------------------------------------------------- */

const struct phi_gguf_kv *phi_gguf_find(const struct phi_gguf *g, const char *key) {
    struct phi_str wanted = {key, strlen(key)};
    for (size_t low = 0, high = (size_t)g->n_kv; low < high;) {
        size_t middle = low + (high - low) / 2;
        const struct phi_gguf_kv *kv = &g->kv[g->kv_order[middle]];
        int order = compare_str(wanted, kv->key);
        if (order == 0) return kv;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct phi_gguf_tensor *phi_gguf_find_tensor(const struct phi_gguf *g, const char *name) {
    struct phi_str wanted = {name, strlen(name)};
    for (size_t low = 0, high = (size_t)g->n_tensor; low < high;) {
        size_t middle = low + (high - low) / 2;
        const struct phi_gguf_tensor *t = &g->tensor[g->tensor_order[middle]];
        int order = compare_str(wanted, t->name);
        if (order == 0) return t;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* An integer of any width; a negative one is there as its two's complement in 64 bits. False: not an integer. */
static bool integer(const struct phi_gguf_kv *kv, bool *negative, uint64_t *v) {
    switch (kv->type) {
    case PHI_GGUF_U8:
    case PHI_GGUF_U16:
    case PHI_GGUF_U32:
    case PHI_GGUF_U64:
        *v = phi_little_endian(kv->data, (size_t)kv->n_bytes);
        *negative = false;
        return true;
    case PHI_GGUF_I8:
    case PHI_GGUF_I16:
    case PHI_GGUF_I32:
    case PHI_GGUF_I64:
        *v = phi_little_endian(kv->data, (size_t)kv->n_bytes);
        *negative = kv->data[kv->n_bytes - 1] >> 7;
        if (*negative && kv->n_bytes < 8) *v |= ~(((uint64_t)1 << 8 * kv->n_bytes) - 1);
        return true;
    default:
        return false;
    }
}

static int wrong_type(const struct phi_gguf *g, const struct phi_gguf_kv *kv, const char *key, const char *expected,
                      phi_error *err) {
    return bad(g, err, "%s has the type %s, expected %s", key, phi_gguf_type_name(kv->type), expected);
}

int phi_gguf_get_u64(const struct phi_gguf *g, const char *key, uint64_t min, uint64_t max, uint64_t *v,
                     phi_error *err) {
    const struct phi_gguf_kv *kv = phi_gguf_find(g, key);
    bool negative;
    uint64_t value;
    if (!kv) return 0;
    if (!integer(kv, &negative, &value)) return wrong_type(g, kv, key, "an integer", err);
    if (negative)
        return bad(g, err, "%s %" PRId64 ": must be %" PRIu64 " to %" PRIu64, key, (int64_t)value, min, max);
    if (value < min || value > max)
        return bad(g, err, "%s %" PRIu64 ": must be %" PRIu64 " to %" PRIu64, key, value, min, max);
    *v = value;
    return 1;
}

int phi_gguf_get_f64(const struct phi_gguf *g, const char *key, double min, double max, double *v, phi_error *err) {
    const struct phi_gguf_kv *kv = phi_gguf_find(g, key);
    bool negative;
    uint64_t bits;
    double value;
    if (!kv) return 0;
    if (integer(kv, &negative, &bits)) {
        value = negative ? (double)(int64_t)bits : (double)bits;
    } else if (kv->type == PHI_GGUF_F32) {
        uint32_t half = (uint32_t)phi_little_endian(kv->data, 4);
        float single;
        memcpy(&single, &half, sizeof single);
        value = (double)single;
    } else if (kv->type == PHI_GGUF_F64) {
        bits = phi_little_endian(kv->data, 8);
        memcpy(&value, &bits, sizeof value);
    } else {
        return wrong_type(g, kv, key, "a number", err);
    }
    if (!isfinite(value) || value < min || value > max)
        return bad(g, err, "%s %g: must be %g to %g", key, value, min, max);
    *v = value;
    return 1;
}

int phi_gguf_get_bool(const struct phi_gguf *g, const char *key, bool *v, phi_error *err) {
    const struct phi_gguf_kv *kv = phi_gguf_find(g, key);
    bool negative;
    uint64_t value;
    if (!kv) return 0;
    if (kv->type == PHI_GGUF_BOOL) {
        value = kv->data[0];
    } else if (!integer(kv, &negative, &value)) {
        return wrong_type(g, kv, key, "true or false", err);
    }
    if (value > 1) return bad(g, err, "%s %" PRId64 ": must be 0 (false) or 1 (true)", key, (int64_t)value);
    *v = value == 1;
    return 1;
}

int phi_gguf_get_str(const struct phi_gguf *g, const char *key, struct phi_str *v, phi_error *err) {
    const struct phi_gguf_kv *kv = phi_gguf_find(g, key);
    if (!kv) return 0;
    if (kv->type != PHI_GGUF_STRING) return wrong_type(g, kv, key, "a string", err);
    const uint8_t *at = kv->data;
    *v = phi_gguf_next_str(&at);
    return 1;
}

struct phi_str phi_gguf_next_str(const uint8_t **at) {
    struct phi_str s = {(const char *)*at + 8, phi_little_endian(*at, 8)};
    *at += 8 + s.n;
    return s;
}

uint64_t phi_gguf_count(const struct phi_gguf *g, enum phi_type_index type, uint64_t *bytes) {
    uint64_t n = 0;
    *bytes = 0;
    for (uint64_t i = 0; i < g->n_tensor; i++) {
        if (g->tensor[i].type->index != type) continue;
        n++;
        *bytes += g->tensor[i].n_bytes;
    }
    return n;
}
