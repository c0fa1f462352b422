/* Reads importance matrices. Owns the two file forms; what the numbers are for is the encoders' business, and
 * imatrix_collect.c makes them.
 *
 *  GGUF   general.type "imatrix", no general.architecture; imatrix.datasets [str], imatrix.chunk_count u32,
 *         imatrix.chunk_size u32 (tokens); for each matrix two F32 tensors, of squares summed over the tokens and of
 * their count: NAME.in_sum2 [columns][1]    NAME.counts [1][1]          importance = in_sum2 / counts
 *
 *  .dat   all numbers little-endian:
 *             entries i32
 *             entries x   length of the name i32, name, calls i32, columns i32, columns x f32     importance = value
 * / calls chunks i32, length of the dataset's name i32, name                                  may be absent */
#include "imatrix.h"
#include "memory.h"
#include "quant/bits.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ENTRY = 65536, MAX_NAME = 255, ENTRY_BYTES = 4 + 1 + 4 + 4 + 4 /* the least of a .dat entry */ };

struct entry {
    struct phi_str name;
    uint64_t n_col, at; /* of values */
};

struct phi_imatrix {
    struct phi_gguf gguf; /* one of the two is open: names lie in its mapping */
    struct phi_file file;
    struct entry *entry; /* sorted by name */
    size_t n_entry;
    float *values;
    struct phi_imatrix_info info;
};

static int compare_names(struct phi_str a, struct phi_str b) {
    int order = memcmp(a.s, b.s, (size_t)(a.n < b.n ? a.n : b.n));
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int by_name(const void *a, const void *b) {
    return compare_names(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static int no_memory(const char *path, phi_error *err) {
    return phi_file_fail(path, err, PHI_MEMORY, "not enough memory for the importance matrix");
}

static int cut(const char *path, phi_error *err, size_t index) {
    return phi_file_fail(path, err, PHI_MODEL,
                         "damaged importance matrix: the file ends inside entry #%zu, or its numbers are nonsense",
                         index + 1);
}

/* e's values: n_col numbers at p, divided by count; count 0: nothing is known. */
static int take_values(struct phi_imatrix *m, const char *path, const struct entry *e, const uint8_t *p, float count,
                       phi_error *err) {
    char quoted[PHI_QUOTE_SIZE];
    float *v = m->values + e->at;
    for (uint64_t i = 0; i < e->n_col; i++) {
        float sum = f32_from_bits((uint32_t)phi_little_endian(p + 4 * i, 4));
        v[i] = count > 0 ? sum / count : 1;
        if (!isfinite(sum) || sum < 0 || !isfinite(v[i]))
            return phi_file_fail(path, err, PHI_MODEL,
                                 "importance of '%s', column %" PRIu64 ": %g is not a sum of squares",
                                 phi_quote(quoted, e->name.s, (size_t)e->name.n), i, (double)sum);
    }
    return 0;
}

/* Entries and values for a file of n_bytes, which bounds both. */
static int make_room(struct phi_imatrix *m, const char *path, size_t n_entry, uint64_t n_bytes, phi_error *err) {
    if (!n_entry) return phi_file_fail(path, err, PHI_MODEL, "the importance matrix has no entries");
    m->entry = phi_alloc(n_entry, sizeof *m->entry);
    m->values = n_bytes / 4 > SIZE_MAX ? NULL : phi_alloc((size_t)(n_bytes / 4), sizeof *m->values);
    return m->entry && m->values ? 0 : no_memory(path, err);
}

/* ---- GGUF --------------------------------------------------------------------------------------------------------
 */

static const char sums_suffix[] = ".in_sum2", counts_suffix[] = ".counts";

/* The name that stands before a suffix; n = 0: it has another one. */
static struct phi_str base_name(struct phi_str name) {
    size_t n = sizeof sums_suffix - 1;
    bool has = name.n > n && memcmp(name.s + name.n - n, sums_suffix, n) == 0;
    return (struct phi_str){name.s, has ? name.n - n : 0};
}

static int read_tensor(struct phi_imatrix *m, const struct phi_gguf_tensor *sums, uint64_t *at, phi_error *err) {
    const char *path = m->gguf.file.path;
    struct entry *e = &m->entry[m->n_entry];
    char name[MAX_NAME + sizeof counts_suffix], quoted[PHI_QUOTE_SIZE];
    e->name = base_name(sums->name);
    if (e->name.n == 0) return 0;
    phi_quote(quoted, e->name.s, (size_t)e->name.n);
    memcpy(name, e->name.s, (size_t)e->name.n);
    memcpy(name + e->name.n, counts_suffix, sizeof counts_suffix);
    const struct phi_gguf_tensor *counts = phi_gguf_find_tensor(&m->gguf, name);
    if (!counts)
        return phi_file_fail(path, err, PHI_MODEL, "importance of '%s': there are sums but no counts", quoted);
    if (strcmp(sums->type->name, "F32") != 0 || strcmp(counts->type->name, "F32") != 0)
        return phi_file_fail(path, err, PHI_MODEL, "importance of '%s': type %s, expected F32", quoted,
                             sums->type->name);
    if (counts->n_bytes != 4 || sums->n_bytes != 4 * sums->dim[0])
        return phi_file_fail(path, err, PHI_MODEL,
                             "importance of '%s': more than one matrix; models with experts are not supported",
                             quoted);
    float count = f32_from_bits((uint32_t)phi_little_endian(counts->data, 4));
    if (!isfinite(count) || count < 0)
        return phi_file_fail(path, err, PHI_MODEL, "importance of '%s': %g is not a count", quoted, (double)count);
    e->n_col = sums->dim[0];
    e->at = *at;
    *at += e->n_col;
    m->n_entry++;
    return take_values(m, path, e, sums->data, count, err);
}

static int read_gguf(struct phi_imatrix *m, const char *path, phi_error *err) {
    struct phi_str type = {"", 0};
    uint64_t at = 0;
    int status = phi_gguf_open(path, &m->gguf, err);
    if (status) return status;
    const struct phi_gguf *g = &m->gguf;
    if ((status = phi_gguf_get_str(g, "general.type", &type, err)) < 0) return status;
    if (type.n != 7 || memcmp(type.s, "imatrix", 7) != 0)
        return phi_file_fail(path, err, PHI_MODEL, "not an importance matrix: general.type is not 'imatrix'");
    status = make_room(m, path, (size_t)g->n_tensor, g->tensor_bytes, err);
    for (uint64_t i = 0; !status && i < g->n_tensor; i++) status = read_tensor(m, &g->tensor[i], &at, err);
    if (status) return status;
    if (!m->n_entry)
        return phi_file_fail(path, err, PHI_MODEL, "the importance matrix has no tensor NAME%s", sums_suffix);
    status = phi_gguf_get_u64(g, "imatrix.chunk_count", 0, UINT32_MAX, &m->info.n_chunk, err);
    const struct phi_gguf_kv *sets = phi_gguf_find(g, "imatrix.datasets");
    if (sets && sets->type == PHI_GGUF_ARRAY && sets->element == PHI_GGUF_STRING && sets->n) {
        const uint8_t *p = sets->data;
        m->info.dataset = phi_gguf_next_str(&p);
    }
    return status < 0 ? status : 0;
}

/* ---- .dat --------------------------------------------------------------------------------------------------------
 */

static bool take_i32(struct phi_cursor *c, int32_t min, int32_t *v) {
    uint32_t u;
    if (!phi_cursor_u32(c, &u)) return false;
    *v = (int32_t)u;
    return *v >= min;
}

static bool take_text(struct phi_cursor *c, int32_t max, struct phi_str *s) {
    const uint8_t *p;
    int32_t n;
    if (!take_i32(c, 0, &n) || n > max || !phi_cursor_take(c, (uint64_t)n, &p)) return false;
    *s = (struct phi_str){(const char *)p, (uint64_t)n};
    return true;
}

static int read_entry(struct phi_imatrix *m, struct phi_cursor *c, uint64_t *at, phi_error *err) {
    const char *path = m->file.path;
    struct entry *e = &m->entry[m->n_entry];
    const uint8_t *p;
    int32_t calls, n;
    if (!take_text(c, MAX_NAME, &e->name) || !e->name.n || !take_i32(c, 0, &calls) || !take_i32(c, 1, &n) ||
        !phi_cursor_take(c, 4 * (uint64_t)n, &p))
        return cut(path, err, m->n_entry);
    e->n_col = (uint64_t)n;
    e->at = *at;
    *at += e->n_col;
    m->n_entry++;
    return take_values(m, path, e, p, (float)calls, err);
}

static int read_dat(struct phi_imatrix *m, phi_error *err) {
    const char *path = m->file.path;
    struct phi_cursor c = {m->file.data, m->file.data + m->file.size};
    int32_t n_entry, n_chunk;
    uint64_t at = 0;
    if (!take_i32(&c, 1, &n_entry) || n_entry > MAX_ENTRY || (uint64_t)n_entry > phi_cursor_left(&c) / ENTRY_BYTES)
        return phi_file_fail(path, err, PHI_MODEL,
                             "not an importance matrix: neither a GGUF file nor the older form of them");
    int status = make_room(m, path, (size_t)n_entry, m->file.size, err);
    for (int32_t i = 0; !status && i < n_entry; i++) status = read_entry(m, &c, &at, err);
    if (!status && take_i32(&c, 0, &n_chunk)) {
        m->info.n_chunk = (uint64_t)n_chunk;
        take_text(&c, INT32_MAX, &m->info.dataset);
    }
    return status;
}

/* ---- Both --------------------------------------------------------------------------------------------------------
 */

int phi_imatrix_open(const char *path, struct phi_imatrix **out, phi_error *err) {
    char quoted[PHI_QUOTE_SIZE];
    *out = NULL;
    struct phi_imatrix *m = phi_alloc(1, sizeof *m);
    if (!m) return no_memory(path, err);
    m->info.dataset.s = "";
    int status = phi_file_open(path, &m->file, err);
    if (!status && m->file.size >= 4 && memcmp(m->file.data, "GGUF", 4) == 0) {
        phi_file_close(&m->file);
        status = read_gguf(m, path, err);
    } else if (!status) {
        status = read_dat(m, err);
    }
    if (!status) qsort(m->entry, m->n_entry, sizeof *m->entry, by_name);
    for (size_t i = 1; !status && i < m->n_entry; i++)
        if (compare_names(m->entry[i - 1].name, m->entry[i].name) == 0)
            status = phi_file_fail(path, err, PHI_MODEL, "the importance of '%s' is there twice",
                                   phi_quote(quoted, m->entry[i].name.s, (size_t)m->entry[i].name.n));
    if (status) {
        phi_imatrix_close(m);
        return status;
    }
    m->info.n_entry = m->n_entry;
    *out = m;
    return 0;
}

void phi_imatrix_close(struct phi_imatrix *m) {
    if (!m) return;
    phi_gguf_close(&m->gguf);
    phi_file_close(&m->file);
    phi_free(m->entry);
    phi_free(m->values);
    phi_free(m);
}

void phi_imatrix_get_info(const struct phi_imatrix *m, struct phi_imatrix_info *out) {
    *out = m->info;
}

int phi_imatrix_find(const struct phi_imatrix *m, const char *name, size_t n_name, uint64_t n_col, const float **row,
                     phi_error *err) {
    struct entry wanted = {.name = {name, n_name}};
    char quoted[PHI_QUOTE_SIZE];
    const struct entry *e = bsearch(&wanted, m->entry, m->n_entry, sizeof *m->entry, by_name);
    *row = NULL;
    if (!e) return 0;
    if (e->n_col != n_col)
        return phi_fail(err, PHI_USAGE,
                        "the importance matrix has %" PRIu64 " columns for '%s', the model has %" PRIu64
                        "; it was made with another model",
                        e->n_col, phi_quote(quoted, name, n_name), n_col);
    *row = m->values + e->at;
    return 1;
}
