/* A file that appears complete or not at all: written beside its place under another name, flushed, renamed. */
#ifndef PHI_SRC_NEW_FILE_H
#define PHI_SRC_NEW_FILE_H

#include "error.h"

struct phi_new_file {
    int fd;
    char *path, *part; /* its place; the name while it is unfinished: PATH.NUMBER.part */
    uint64_t n;        /* bytes written */
};

/* A regular file at path will be replaced; anything else there is refused. On success close by commit or discard. PHI_OUTPUT,
 * PHI_MEMORY; on failure *f is all zero and nothing is left. */
int phi_new_file_open(const char *path, struct phi_new_file *f, phi_error *err);
/* Is there room for n_bytes on the storage? PHI_OUTPUT: no. */
int phi_new_file_check_room(const struct phi_new_file *f, uint64_t n_bytes, phi_error *err);
int phi_new_file_add(struct phi_new_file *f, const void *bytes, size_t n, phi_error *err); /* PHI_OUTPUT */
/* Put it in its place. After a failure (PHI_OUTPUT) nothing is left. */
int phi_new_file_commit(struct phi_new_file *f, phi_error *err);
void phi_new_file_discard(struct phi_new_file *f); /* a zeroed one is fine */

#endif
