/* Reads the headers of safetensors files:
 *
 *   n u64 | header, n bytes of JSON                                              | data
 *           {"__metadata__": {..}, "NAME": {"dtype": "BF16", "shape": [32, 64],
 *            "data_offsets": [begin, end]}, ..}                                    offsets count from the end of the header
 */
#include "safetensors.h"
#include "memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_SHARD = 4096, MAX_TENSOR = 65536, MAX_HEADER = 100000000 /* the format's own limit */ };

char *phi_folder_path(const char *folder, const char *name) {
    size_t n = strlen(folder), size = n + strlen(name) + 2;
    char *path = phi_alloc(size, 1);
    if (path) snprintf(path, size, "%s%s%s", folder, n && folder[n - 1] == '/' ? "" : "/", name);
    return path;
}

int phi_folder_json(const char *folder, const char *name, struct phi_json *j, phi_error *err) {
    struct phi_file file = {0};
    char *path = phi_folder_path(folder, name);
    if (!path) return phi_fail(err, PHI_MEMORY, "not enough memory to open %s", name);
    int status = 0;
    if (access(path, F_OK) == 0) {
        status = phi_file_open(path, &file, err);
        if (!status && file.size > UINT32_MAX / 16)
            status = phi_file_fail(path, err, PHI_MODEL, "%" PRIu64 " bytes are too many for such a file", file.size);
        if (!status) status = phi_json_open(j, (const char *)file.data, (size_t)file.size, path, PHI_MODEL, err);
        if (!status) status = 1;
        phi_file_close(&file);
    }
    phi_free(path);
    return status;
}

static const struct phi_type *find_type(const char *dtype) {
    for (int i = 0; i < PHI_N_TYPE; i++)
        if (phi_types[i].block == 1 && strcmp(phi_types[i].name, dtype) == 0) return &phi_types[i];
    return NULL;
}

static int bad(const struct phi_shard *s, const char *name, phi_error *err, const char *what) {
    char quoted[PHI_QUOTE_SIZE];
    return phi_file_fail(s->file.path, err, PHI_MODEL, "tensor '%s': %s; the file is damaged, download it again",
                         phi_quote(quoted, name, strlen(name)), what);
}

static bool read_shape(const struct phi_json *j, uint32_t v, struct phi_safetensor *t) {
    if (!v || j->node[v].kind != PHI_JSON_ARRAY || j->node[v].n > 4) return false;
    for (int i = 0; i < 4; i++) t->dim[i] = 1;
    for (uint32_t item = phi_json_first(j, v); item; item = phi_json_after(j, v, item)) {
        int64_t n;
        if (!phi_json_i64(j, item, &n) || n < 1 || n > INT32_MAX) return false;
        t->dim[t->n_dim++] = (uint64_t)n;
    }
    return true;
}

/* The entry at `key` of a shard whose data is n_data bytes from data on. */
static int read_tensor(const struct phi_shard *s, uint32_t key, const uint8_t *data, uint64_t n_data, struct phi_safetensor *t,
                       phi_error *err) {
    const struct phi_json *j = &s->header;
    const char *name = phi_json_text(j, key);
    uint32_t dtype = phi_json_get(j, key + 1, "dtype"), offsets = phi_json_get(j, key + 1, "data_offsets");
    if (strlen(name) != j->node[key].n || !*name || j->node[key].n > 256) return bad(s, name, err, "its name is too long or has NUL inside");
    if (!dtype || j->node[dtype].kind != PHI_JSON_STRING) return bad(s, name, err, "it has no dtype");
    t->name = name;
    t->dtype = phi_json_text(j, dtype);
    t->type = find_type(t->dtype);
    if (!read_shape(j, phi_json_get(j, key + 1, "shape"), t))
        return bad(s, name, err, "its shape is not a list of at most 4 lengths from 1 on");
    int64_t at[2];
    uint32_t first = offsets && j->node[offsets].kind == PHI_JSON_ARRAY && j->node[offsets].n == 2 ? offsets + 1 : 0;
    if (!first || !phi_json_i64(j, first, &at[0]) || !phi_json_i64(j, first + 1, &at[1]) || at[0] < 0 || at[1] < at[0])
        return bad(s, name, err, "its data_offsets are not [begin, end]");
    if ((uint64_t)at[1] > n_data) return bad(s, name, err, "its bytes end behind the end of the file");
    t->data = data + at[0];
    t->n_bytes = (uint64_t)(at[1] - at[0]);
    uint64_t wanted = t->type ? (uint64_t)t->type->bytes : 0;
    for (int i = 0; i < t->n_dim; i++)
        if (!phi_mul_u64(wanted, t->dim[i], &wanted)) return bad(s, name, err, "its shape overflows");
    if (t->type && wanted != t->n_bytes) return bad(s, name, err, "its shape and its data_offsets do not agree");
    return PHI_OK;
}

static int by_place(const void *a, const void *b) {
    const struct phi_safetensor *x = a, *y = b;
    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    return (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct phi_safetensor *)a)->name, ((const struct phi_safetensor *)b)->name);
}

static int read_header(struct phi_safetensors *out, uint32_t index, phi_error *err) {
    struct phi_shard *s = &out->shard[index];
    struct phi_cursor c = {s->file.data, s->file.data + s->file.size};
    const uint8_t *text;
    uint64_t n, first = out->n_tensor;
    if (!phi_cursor_u64(&c, &n) || n > phi_cursor_left(&c) || n > MAX_HEADER || n < 2)
        return phi_file_fail(s->file.path, err, PHI_MODEL,
                             "not a safetensors file: %" PRIu64 " bytes cannot hold its header; download it again", s->file.size);
    phi_cursor_take(&c, n, &text);
    int status = phi_json_open(&s->header, (const char *)text, (size_t)n, s->file.path, PHI_MODEL, err);
    if (status) return status;
    const struct phi_json *j = &s->header;
    if (j->node[0].kind != PHI_JSON_OBJECT || j->node[0].n > MAX_TENSOR || out->n_tensor + j->node[0].n > MAX_TENSOR)
        return phi_file_fail(s->file.path, err, PHI_MODEL, "the header is not an object of at most %d tensors", MAX_TENSOR);
    uint64_t room = first + j->node[0].n;
    struct phi_safetensor *grown = phi_realloc(out->tensor, (size_t)(room ? room : 1), sizeof *grown);
    if (!grown) return phi_file_fail(s->file.path, err, PHI_MEMORY, "not enough memory for the list of tensors");
    out->tensor = grown;
    for (uint32_t k = phi_json_first(j, 0); k && !status; k = phi_json_after(j, 0, k)) {
        if (phi_json_is(j, k, "__metadata__")) continue;
        struct phi_safetensor *t = &out->tensor[out->n_tensor++];
        *t = (struct phi_safetensor){.shard = index};
        status = read_tensor(s, k, c.at, phi_cursor_left(&c), t, err);
    }
    if (status) return status;
    if (out->n_tensor > first) qsort(out->tensor + first, (size_t)(out->n_tensor - first), sizeof *grown, by_place);
    for (uint64_t i = first + 1; i < out->n_tensor; i++)
        if (out->tensor[i].data < out->tensor[i - 1].data + out->tensor[i - 1].n_bytes)
            return bad(s, out->tensor[i].name, err, "it overlaps another one");
    return PHI_OK;
}

static int add_shard(struct phi_safetensors *out, const char *folder, const char *name, phi_error *err) {
    char *path = phi_folder_path(folder, name);
    struct phi_shard *grown = phi_realloc(out->shard, (size_t)out->n_shard + 1, sizeof *grown);
    int status = path && grown ? PHI_OK : phi_fail(err, PHI_MEMORY, "not enough memory to open %s", name);
    if (grown) {
        out->shard = grown;
        memset(&grown[out->n_shard], 0, sizeof *grown);
    }
    if (!status) status = phi_file_open(path, &grown[out->n_shard].file, err);
    phi_free(path);
    if (status) return status;
    return read_header(out, out->n_shard++, err);
}

static bool has_shard(const struct phi_json *j, uint32_t map, uint32_t upto) {
    for (uint32_t k = phi_json_first(j, map); k && k < upto; k = phi_json_after(j, map, k))
        if (strcmp(phi_json_text(j, k + 1), phi_json_text(j, upto + 1)) == 0) return true;
    return false;
}

/* Each file that the index names, once. Neighbours in an index mostly have the same: the search back is short. */
static int add_shards(struct phi_safetensors *out, const char *folder, const struct phi_json *j, phi_error *err) {
    uint32_t map = phi_json_get(j, 0, "weight_map"), last = 0;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): the index has been read */
    if (!map || j->node[map].kind != PHI_JSON_OBJECT || j->node[map].n > MAX_TENSOR)
        return phi_file_fail(folder, err, PHI_MODEL, "model.safetensors.index.json has no weight_map");
    int status = PHI_OK;
    for (uint32_t k = phi_json_first(j, map); k && !status; k = phi_json_after(j, map, k)) {
        const char *name = phi_json_text(j, k + 1);
        if (j->node[k + 1].kind != PHI_JSON_STRING || strlen(name) != j->node[k + 1].n || strchr(name, '/') || *name == '.' || !*name)
            return phi_file_fail(folder, err, PHI_MODEL, "model.safetensors.index.json names a shard outside the folder");
        if (last && strcmp(name, phi_json_text(j, last)) == 0) continue;
        last = k + 1;
        if (has_shard(j, map, k)) continue;
        if (out->n_shard == MAX_SHARD)
            return phi_file_fail(folder, err, PHI_MODEL, "model.safetensors.index.json names more than %d shards", MAX_SHARD);
        status = add_shard(out, folder, name, err);
    }
    return status;
}

int phi_safetensors_open(const char *folder, struct phi_safetensors *out, phi_error *err) {
    struct phi_json index;
    memset(out, 0, sizeof *out);
    int found = phi_folder_json(folder, "model.safetensors.index.json", &index, err);
    int status = found < 0 ? found : found ? add_shards(out, folder, &index, err) : add_shard(out, folder, "model.safetensors", err);
    if (found > 0) phi_json_close(&index);
    if (!status && out->n_tensor) qsort(out->tensor, (size_t)out->n_tensor, sizeof *out->tensor, by_name);
    for (uint64_t i = 1; i < out->n_tensor && !status; i++)
        if (strcmp(out->tensor[i].name, out->tensor[i - 1].name) == 0)
            status = bad(&out->shard[out->tensor[i].shard], out->tensor[i].name, err, "another shard has it too");
    if (status) phi_safetensors_close(out);
    return status;
}

void phi_safetensors_close(struct phi_safetensors *s) {
    for (uint32_t i = 0; i < s->n_shard; i++) {
        phi_json_close(&s->shard[i].header);
        phi_file_close(&s->shard[i].file);
    }
    phi_free(s->shard);
    phi_free(s->tensor);
    memset(s, 0, sizeof *s);
}

const struct phi_safetensor *phi_safetensors_find(const struct phi_safetensors *s, const char *name) {
    struct phi_safetensor key = {.name = name};
    return s->n_tensor ? bsearch(&key, s->tensor, (size_t)s->n_tensor, sizeof key, by_name) : NULL;
}
