/* What session_file.c and session_blocks.c share: the open file, and packing numbers. The layout is drawn in
 * session_file.h. */
#ifndef PHI_SRC_SESSION_FILE_PARTS_H
#define PHI_SRC_SESSION_FILE_PARTS_H

#include "checksum.h"
#include "file.h"
#include "session.h"
#include "session_file.h"

enum { BLOCK = 64, BLOCKS_AT = 12288 };

struct block {
    bool known; /* the fields are those of the block in the file */
    uint32_t n, first;
    int list;
    uint64_t before;
    int32_t ids[BLOCK];
};

struct extent {
    uint64_t at, n; /* n 0: none */
};

struct phi_session_file {
    int fd;
    const char *path;
    phi_session *session;
    enum phi_session_kind kind;
    uint64_t model, model_file, block_bytes;
    size_t head_bytes, layer_bytes; /* of a block */
    bool has_header;
    int slot;              /* that of the state */
    struct extent live[2]; /* where the states of the slots lie */
    uint8_t *packed;       /* [n_packed] the state as it lies in the file */
    size_t n_packed;
    struct phi_session_state state; /* number 0: none */
    int list;                       /* of the state's rows */
    struct block *block;            /* [n_block] */
    size_t n_block;
    uint8_t *buffer; /* [head_bytes + layer_bytes] */
    struct phi_crc32 crc;
};

/* Each writes a number at *at and moves on. */
void phi_pack_u32(uint8_t **at, uint32_t v);
void phi_pack_u64(uint8_t **at, uint64_t v);

int phi_session_file_fail(const struct phi_session_file *f, phi_error *err); /* PHI_OUTPUT, by errno */

/* Sizes of a block, the table of blocks and the buffer. PHI_MEMORY. */
int phi_session_blocks_open(struct phi_session_file *f, phi_error *err);
uint64_t phi_session_blocks_end(const struct phi_session_file *f, size_t n); /* where the blocks of n tokens end */
/* Write the blocks of the session's n first tokens that the file does not have. PHI_OUTPUT. */
int phi_session_blocks_write(struct phi_session_file *f, size_t n, phi_error *err);

#endif
