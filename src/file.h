/* A file mapped read-only, and a cursor that cannot leave it. Knows no format. */
#ifndef PHI_SRC_FILE_H
#define PHI_SRC_FILE_H

#include "error.h"

#include <stdarg.h>

struct phi_file {
    const uint8_t *data;
    uint64_t size;
    char *path;
};

/* Map a regular file (FIFOs, sockets, devices and directories are refused without blocking; an empty file has no content that
 * could be mapped and is refused too). PHI_MODEL, PHI_MEMORY; on failure *out is all zero. */
int phi_file_open(const char *path, struct phi_file *out, phi_error *err);
/* read: into memory of our own, so that nothing that happens to the file later matters. Else as phi_file_open(). */
int phi_file_load(const char *path, bool read, struct phi_file *out, phi_error *err);
void phi_file_close(struct phi_file *f); /* a zeroed one is fine; leaves it zeroed */

/* For a program that wants to explain SIGBUS, which a read of a mapped file raises when the file has been cut short meanwhile:
 * called for each file that has been mapped (mapped true), and before it is unmapped, on the thread that does it. NULL: nobody. */
extern void (*phi_file_watch)(const struct phi_file *f, bool mapped);

/* As phi_fail(), with "PATH: " before the sentence. The path is shortened from the left where it would crowd out the sentence,
 * and control bytes in it become '?'. */
int phi_file_fail(const char *path, phi_error *err, int status, const char *fmt, ...) PHI_PRINTF(4, 5);
int phi_file_vfail(const char *path, phi_error *err, int status, const char *fmt, va_list args) PHI_PRINTF(4, 0);

struct phi_cursor {
    const uint8_t *at, *end;
};

/* Bytes left. */
static inline uint64_t phi_cursor_left(const struct phi_cursor *c) {
    return (uint64_t)(c->end - c->at);
}

/* Each reads a little-endian value and moves on; false, and nothing moved, when the bytes are not there. */
bool phi_cursor_u32(struct phi_cursor *c, uint32_t *v);
bool phi_cursor_u64(struct phi_cursor *c, uint64_t *v);
/* n bytes in place. */
bool phi_cursor_take(struct phi_cursor *c, uint64_t n, const uint8_t **p);

/* n_bytes (1 to 8) little-endian bytes, at any address. */
uint64_t phi_little_endian(const uint8_t *p, size_t n_bytes);

/* Unsigned arithmetic that says when it overflows: true = fine. Else the result is not set. */
bool phi_add_u64(uint64_t a, uint64_t b, uint64_t *sum);
bool phi_mul_u64(uint64_t a, uint64_t b, uint64_t *product);
bool phi_align_u64(uint64_t a, uint64_t power_of_two, uint64_t *up); /* the next multiple */

#endif
