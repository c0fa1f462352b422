/* JSON texts (RFC 8259) as a flat array of values, and the escaping of strings that are written. Strict and total for
 * any bytes: no comments, no trailing commas, no second value, strings in valid UTF-8 without control characters, the
 * halves of a surrogate pair only together, no key twice in an object, at most PHI_JSON_MAX_DEPTH containers inside
 * each other. Time is linear in the size of the text; what stays in memory is at most 13 bytes per byte of it. Knows no schema
 * (schema.c) and no file. */
#ifndef PHI_SRC_JSON_H
#define PHI_SRC_JSON_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PHI_JSON_MAX_DEPTH = 256 };

enum phi_json_kind {
    PHI_JSON_NULL,
    PHI_JSON_FALSE,
    PHI_JSON_TRUE,
    PHI_JSON_NUMBER,
    PHI_JSON_STRING,
    PHI_JSON_ARRAY,
    PHI_JSON_OBJECT,
    PHI_JSON_KEY /* of a member; its value is the next node */
};

/*  {"a": [1, 2]}      node 0  OBJECT  n = 1 member    next = 5
 *                          1  KEY     n = 1 byte      next = 0, the object that it is of
 *                          2  ARRAY   n = 2 items     next = 5, the node behind it and all that it holds
 *                          3  NUMBER  n = 1 byte      next = 4
 *                          4  NUMBER  n = 1 byte      next = 5                                                       */
struct phi_json_node {
    uint8_t kind;   /* enum phi_json_kind */
    uint32_t at, n; /* bytes in phi_json.text: of a number as it is written, of a string without quotes and escapes;
                       of a container: at is where it begins, n the number of items or members */
    uint32_t next;
};

struct phi_json {
    char *text; /* a copy of the text; each string in it is decoded in place, with a NUL behind it */
    struct phi_json_node *node; /* node[0]: the whole value */
    uint32_t n_node;
    uint32_t *slot; /* keys by their hash: the node of the key, 0 = empty */
    uint32_t slot_mask;
    uint64_t seed;
};

/* Parse n bytes. On success *j is owned by the caller: phi_json_close(); the text is not needed any more. A text that is
 * not JSON gives `bad` (a phi_status) and a sentence with name, line and column (in characters): "NAME: line 3, column 7:
 * expected ...". PHI_MEMORY if memory is short. After an error *j is all zero. */
int phi_json_open(struct phi_json *j, const char *text, size_t n, const char *name, int bad, phi_error *err);
void phi_json_close(struct phi_json *j); /* all zero is fine */

/* Members and items. Nodes are named by their index; 0 says that there is none, since the root is in nothing.
 *
 *     for (uint32_t v = phi_json_first(j, array); v; v = phi_json_after(j, array, v)) ... the item v
 *     for (uint32_t k = phi_json_first(j, object); k; k = phi_json_after(j, object, k)) ... the key k, its value k + 1 */
static inline uint32_t phi_json_first(const struct phi_json *j, uint32_t container) {
    return j->node[container].n ? container + 1 : 0;
}

static inline uint32_t phi_json_after(const struct phi_json *j, uint32_t container, uint32_t at) {
    uint32_t next = j->node[j->node[at].kind == PHI_JSON_KEY ? at + 1 : at].next;
    return next < j->node[container].next ? next : 0;
}

/* The value of a member, in constant time; 0: no such member, or not an object. key: NUL-terminated. */
uint32_t phi_json_get(const struct phi_json *j, uint32_t object, const char *key);
uint32_t phi_json_get_n(const struct phi_json *j, uint32_t object, const char *key, size_t n);

/* The bytes of a string, a key or a number. Strings and keys have a NUL behind them, and may have some inside. */
static inline const char *phi_json_text(const struct phi_json *j, uint32_t v) {
    return j->text + j->node[v].at;
}

/* A string or key that is exactly this text. */
bool phi_json_is(const struct phi_json *j, uint32_t v, const char *text);

/* A number, exactly: 0.d1d2d3... x 10^exponent, where neither d1 nor the last digit is 0; zero has no digits. */
enum { PHI_JSON_MAX_DIGITS = 800 }; /* more than the 768 that can decide how a number rounds to a double */
struct phi_json_decimal {
    bool negative, cut; /* cut: there were more digits, not all of them 0 */
    int n;
    int64_t exponent;
    char digit[PHI_JSON_MAX_DIGITS]; /* '0'..'9' */
};
void phi_json_decimal(const struct phi_json *j, uint32_t number, struct phi_json_decimal *d);

/* False: not a number; not an integer in this range (7.0 and 70e-1 are the integer 7); beyond the largest double. In
 * every locale. */
bool phi_json_i64(const struct phi_json *j, uint32_t v, int64_t *out);
bool phi_json_f64(const struct phi_json *j, uint32_t v, double *out); /* the nearest */

/* The first character of n > 0 bytes as it stands in a JSON string, escaped where it must be; a byte that is not UTF-8
 * becomes U+FFFD. Returns the bytes in out; *used: the bytes of text that they stand for. */
enum { PHI_JSON_ESCAPE_SIZE = 6 };
size_t phi_json_escape(const char *text, size_t n, char out[PHI_JSON_ESCAPE_SIZE], size_t *used);

#endif
