/* Sessions on disk: token ids, what the caller adds to them, and the keys and values, so that a later process goes on
 * with the same bits. Knows no command line; path is for error sentences only, all work goes through a descriptor.
 *
 *       0   header                    which model and which cache this file belongs to
 *    4096   slot 0                    each slot: sequence number, place, length and CRC of a state;
 *    8192   slot 1                    the valid one with the larger number is the session
 *   12288   block 0, block 1, ..      keys and values of 64 positions each, written in place
 *           states                    behind the blocks: ids and the caller's bytes; moved when blocks grow
 *
 *   header   "PHI-SESS" | u32 version | u32 kind | u64 model | u32 n_vocab | n_layer | n_head_kv | head_dim | type_k |
 *            type_v | window | u64 block bytes | u64 model's file | u32 CRC of all before
 *   slot     "SLOT" | u32 CRC of the state | u64 number | u64 place | u64 length | u32 CRC of all before
 *   state    u64 n_id | u64 n_kv | u32 rotary list | u64 n_extra | u32 id[n_id] | u8 extra[n_extra]
 *   block    "KVKV" | u32 n | u32 first | u32 rotary list | u64 hash of the ids before | u32 id[64] |
 *            u32 CRC of each layer's data | u32 CRC of all before;   then, from the next multiple of 64 on,
 *            [n_layer][n_head_kv] { keys of 4 groups of 16 positions; values of 64 positions } in the cache's layout
 *
 * All numbers are little-endian. A block holds rows of positions first .. n - 1 (of its 64); in a window's ring the
 * first ones may be gone. Rows are a function of the ids up to them: a block serves every state that begins with the
 * ids that it names, so that a state which did not live to see its slot leaves the one before it whole. */
#ifndef PHI_SRC_SESSION_FILE_H
#define PHI_SRC_SESSION_FILE_H

#include "file.h"

#include <stdint.h>

enum phi_session_kind { PHI_SESSION_RUN, PHI_SESSION_CHAT, PHI_SESSION_CACHE };

struct phi_session_state {
    uint64_t number; /* of the save, from 1 */
    int32_t *ids;    /* [n_id], each in the vocabulary */
    size_t n_id;
    size_t n_kv; /* of the first so many ids there were rows; at most n_id */
    uint8_t *extra;
    size_t n_extra;
};

struct phi_session_file;

/* Look at the file behind fd before there is a model: is it whole, and of the model in this file (NULL: of any)? *has_state: there
 * is something to resume. Reads fixed fields and checksums, and follows nothing that they say but the place and length of a state.
 * PHI_USAGE: not a session file. PHI_FAILED: "session ignored: ..." PHI_OUTPUT: it cannot be read. PHI_MEMORY. */
int phi_session_file_check(int fd, const char *path, const struct phi_file *model, bool *has_state, phi_error *err);

/* Read the state of the file behind fd for this session, which must outlive *out; nothing reaches the session. The
 * descriptor stays the caller's. A file that is empty, or whose first save was not finished, is a new one.
 * PHI_FAILED: "session ignored: ..." damaged, of another model or version.
 * PHI_USAGE: not a session file, of another kind, or written with another type of cache or window.
 * PHI_CONTEXT: more tokens than the session can hold. PHI_OUTPUT: it cannot be read. PHI_MEMORY. */
int phi_session_file_open(int fd, const char *path, enum phi_session_kind kind, phi_session *session,
                          struct phi_session_file **out, phi_error *err);
void phi_session_file_close(struct phi_session_file *f); /* NULL is fine */

/* NULL: there is no state yet. Valid until the next save. */
const struct phi_session_state *phi_session_file_state(const struct phi_session_file *f);

/* Make the session hold the first n tokens of the state (n <= n_kv): from the file, and what is missing or damaged
 * there is computed again, which gives the same bits. *n_rebuilt: positions that were. progress as in
 * phi_session_eval(): when it stops, the session holds fewer tokens. There are no logits afterwards. */
void phi_session_file_load(struct phi_session_file *f, size_t n, phi_progress_fn *progress, void *user,
                           size_t *n_rebuilt);

/* Take space on the disk for n tokens in advance, where the file system can. PHI_OUTPUT: there is not enough. */
int phi_session_file_reserve(struct phi_session_file *f, size_t n, phi_error *err);

/* Save the session, whose tokens begin as ids[n_id] do, and extra. Writes the blocks whose rows have changed, the state, then
 * the slot. PHI_OUTPUT, PHI_MEMORY: the file still holds the state of before. */
int phi_session_file_save(struct phi_session_file *f, const int32_t *ids, size_t n_id, const void *extra,
                          size_t n_extra, phi_error *err);

/* A number that models share only if header, tensor table, size and the ends and middle of every tensor are equal. */
uint64_t phi_model_fingerprint(const phi_model *model);
/* The same without reading the file as anything: of its size, its beginning and places all over it. */
uint64_t phi_file_fingerprint(const struct phi_file *file);

#endif
