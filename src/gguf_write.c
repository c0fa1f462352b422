/* The header of a GGUF file, put together in memory: it holds the vocabulary and a few hundred lines, never weights. The
 * layout is drawn in gguf.c, which reads it. */
#include "gguf_write.h"
#include "memory.h"

enum { DEFAULT_ALIGNMENT = 32, MAX_ALIGNMENT = 65536 };

void phi_bytes_add(struct phi_bytes *b, const void *data, size_t n) {
    if (b->failed) return;
    if (b->room - b->n < n) {
        size_t room = 2 * (b->room + n);
        uint8_t *moved = phi_realloc(b->data, room, 1);
        if (!moved) {
            b->failed = true;
            return;
        }
        b->data = moved;
        b->room = room;
    }
    if (n) memcpy(b->data + b->n, data, n);
    b->n += n;
}

static void add_u32(struct phi_bytes *b, uint32_t v) {
    phi_bytes_add(b, &v, 4); /* little-endian machines only: quant/bits.h */
}

static void add_u64(struct phi_bytes *b, uint64_t v) {
    phi_bytes_add(b, &v, 8);
}

void phi_gguf_add_str(struct phi_bytes *b, const char *text, size_t n) {
    add_u64(b, n);
    phi_bytes_add(b, text, n);
}

static void add_key(struct phi_gguf_writer *w, const char *key, size_t n, enum phi_gguf_type type) {
    phi_gguf_add_str(&w->kv, key, n);
    add_u32(&w->kv, type);
    w->n_kv++;
}

void phi_gguf_write_u32(struct phi_gguf_writer *w, const char *key, uint32_t v) {
    add_key(w, key, strlen(key), PHI_GGUF_U32);
    add_u32(&w->kv, v);
}

void phi_gguf_write_f32(struct phi_gguf_writer *w, const char *key, float v) {
    add_key(w, key, strlen(key), PHI_GGUF_F32);
    add_u32(&w->kv, f32_bits(v));
}

void phi_gguf_write_bool(struct phi_gguf_writer *w, const char *key, bool v) {
    add_key(w, key, strlen(key), PHI_GGUF_BOOL);
    phi_bytes_add(&w->kv, &(uint8_t){v}, 1);
}

void phi_gguf_write_str(struct phi_gguf_writer *w, const char *key, const char *text, size_t n) {
    add_key(w, key, strlen(key), PHI_GGUF_STRING);
    phi_gguf_add_str(&w->kv, text, n);
}

void phi_gguf_write_array(struct phi_gguf_writer *w, const char *key, enum phi_gguf_type element, uint64_t n) {
    add_key(w, key, strlen(key), PHI_GGUF_ARRAY);
    add_u32(&w->kv, element);
    add_u64(&w->kv, n);
}

void phi_gguf_write_kv(struct phi_gguf_writer *w, const struct phi_gguf_kv *kv) {
    add_key(w, kv->key.s, (size_t)kv->key.n, kv->type);
    if (kv->type == PHI_GGUF_ARRAY) {
        add_u32(&w->kv, kv->element);
        add_u64(&w->kv, kv->n);
    }
    phi_bytes_add(&w->kv, kv->data, (size_t)kv->n_bytes);
}

uint64_t phi_gguf_tensor_bytes(const struct phi_type *type, const uint64_t dim[4]) {
    return dim[0] / (uint64_t)type->block * (uint64_t)type->bytes * dim[1] * dim[2] * dim[3];
}

static uint64_t alignment_of(const struct phi_gguf_writer *w) {
    return w->alignment ? w->alignment : DEFAULT_ALIGNMENT;
}

size_t phi_gguf_write_gap(const struct phi_gguf_writer *w, uint64_t n) {
    uint64_t alignment = alignment_of(w);
    return (size_t)((alignment - n % alignment) % alignment);
}

uint64_t phi_gguf_write_tensor(struct phi_gguf_writer *w, const char *name, size_t n_name, const struct phi_type *type,
                               int n_dim, const uint64_t dim[4]) {
    uint64_t n = phi_gguf_tensor_bytes(type, dim), offset = w->data_bytes + phi_gguf_write_gap(w, w->data_bytes);
    phi_gguf_add_str(&w->table, name, n_name);
    add_u32(&w->table, (uint32_t)n_dim);
    for (int i = 0; i < n_dim; i++) add_u64(&w->table, dim[i]);
    add_u32(&w->table, type->id);
    add_u64(&w->table, offset);
    w->n_tensor++;
    w->tensor_bytes += n;
    w->data_bytes = offset + n;
    return n;
}

int phi_gguf_write_header(const struct phi_gguf_writer *w, struct phi_bytes *out, phi_error *err) {
    static uint8_t zero[MAX_ALIGNMENT]; /* not const: then they would be in the file */
    phi_bytes_add(out, "GGUF", 4);
    add_u32(out, 3);
    add_u64(out, w->n_tensor);
    add_u64(out, w->n_kv);
    phi_bytes_add(out, w->kv.data, w->kv.n);
    phi_bytes_add(out, w->table.data, w->table.n);
    phi_bytes_add(out, zero, phi_gguf_write_gap(w, out->n));
    if (!w->kv.failed && !w->table.failed && !out->failed) return PHI_OK;
    return phi_fail(err, PHI_MEMORY, "not enough memory for the header of the new file");
}

void phi_gguf_write_close(struct phi_gguf_writer *w) {
    phi_free(w->kv.data);
    phi_free(w->table.data);
    memset(w, 0, sizeof *w);
}
