/* GGUF files, versions 2 and 3: header, metadata, tensor directory. Everything is checked here once, against the size of the
 * file: in the result every offset, count and length is proven. Knows GGUF, not Phi. Never prints. */
#ifndef PHI_SRC_GGUF_H
#define PHI_SRC_GGUF_H

#include "file.h"
#include "quant/quant.h"

enum phi_gguf_type { /* numbers of the format */
    PHI_GGUF_U8, PHI_GGUF_I8, PHI_GGUF_U16, PHI_GGUF_I16, PHI_GGUF_U32, PHI_GGUF_I32, PHI_GGUF_F32, PHI_GGUF_BOOL,
    PHI_GGUF_STRING, PHI_GGUF_ARRAY, PHI_GGUF_U64, PHI_GGUF_I64, PHI_GGUF_F64, PHI_GGUF_N_TYPE
};

struct phi_str { /* bytes in the mapped file; not NUL-terminated */
    const char *s;
    uint64_t n;
};

struct phi_gguf_kv {
    struct phi_str key;
    enum phi_gguf_type type;
    enum phi_gguf_type element; /* of an array; else = type */
    uint64_t n;                 /* elements of an array; else 1 */
    const uint8_t *data;        /* the value (a string: its bytes' length first), unaligned */
    uint64_t n_bytes;           /* of data */
};

struct phi_gguf_tensor {
    struct phi_str name;
    const struct phi_type *type;
    int n_dim;
    uint64_t dim[4];     /* dim[0] is the row length; unused ones are 1; none is 0 */
    const uint8_t *data; /* in the mapping; aligned only as the file says */
    uint64_t n_bytes;
};

struct phi_gguf {
    struct phi_file file;
    uint32_t version;
    uint64_t alignment, data_offset; /* data_offset is at most the size of the file */
    uint64_t n_kv, n_tensor;
    struct phi_gguf_kv *kv;
    struct phi_gguf_tensor *tensor;
    uint64_t tensor_bytes, n_params; /* sums over tensors */
    uint64_t trailing;               /* bytes behind the last tensor, unless they only pad it */
    size_t *kv_order, *tensor_order; /* indices of kv and tensor, sorted by name: for the two find functions */
};

/* Reads the header only, never the tensors' data. PHI_MODEL, PHI_MEMORY; *err begins with the path; on failure *out is all zero.
 *
 * Accepted: no tensors, bytes behind the last tensor, gaps between tensors, tensors in any order, any alignment that is a power
 * of two up to 64 KiB, strings that are not UTF-8 or contain NUL, keys nobody knows (a bool of theirs may be any byte), a set
 * of split.count 1.
 * Refused: keys or tensor names that are empty, too long, not UTF-8, with NUL inside, or there twice; nested arrays; tensors of
 * a type that is not in quant.def; more than 65536 keys or tensors; padding before the first tensor that is not zero;
 * everything that points outside the file. */
int phi_gguf_open(const char *path, struct phi_gguf *out, phi_error *err);
int phi_gguf_load(const char *path, bool read, struct phi_gguf *out, phi_error *err); /* read: phi_file_load() */
void phi_gguf_close(struct phi_gguf *g); /* a zeroed one is fine; leaves it zeroed */

const struct phi_gguf_kv *phi_gguf_find(const struct phi_gguf *g, const char *key);           /* NULL: no such key */
const struct phi_gguf_tensor *phi_gguf_find_tensor(const struct phi_gguf *g, const char *name);

/* A scalar of any integer type that holds a value in min..max; of float or integer type, finite; bool (or integer), 0 or 1 and
 * nothing else; string.
 * 1 = found, 0 = there is no such key (*v untouched), negative = found but wrong: *err names the key, the value, the range. */
int phi_gguf_get_u64(const struct phi_gguf *g, const char *key, uint64_t min, uint64_t max, uint64_t *v, phi_error *err);
int phi_gguf_get_f64(const struct phi_gguf *g, const char *key, double min, double max, double *v, phi_error *err);
int phi_gguf_get_bool(const struct phi_gguf *g, const char *key, bool *v, phi_error *err);
int phi_gguf_get_str(const struct phi_gguf *g, const char *key, struct phi_str *v, phi_error *err);

/* Bytes of one value of this type; 0: it has no fixed size (string, array). */
size_t phi_gguf_type_size(enum phi_gguf_type type);

/* Walk the strings of an array of strings: begin with *at = kv->data; each call returns one and moves *at. */
struct phi_str phi_gguf_next_str(const uint8_t **at);

/* Name of a value type for people: "u32", "str", "arr"; "arr[str]" is up to the caller. "?" for a number that is no type. */
const char *phi_gguf_type_name(enum phi_gguf_type type);

/* Tensors of this format; *bytes: of all their weights. */
uint64_t phi_gguf_count(const struct phi_gguf *g, enum phi_type_index type, uint64_t *bytes);

#endif
