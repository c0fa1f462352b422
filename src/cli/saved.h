/* The session file or prompt cache that a command works with: opened and looked at before the sandbox, which lets nothing be
 * opened or renamed later. */
#ifndef PHI_CLI_SAVED_H
#define PHI_CLI_SAVED_H

#include "options.h"
#include "../session_file.h"

struct cli_saved {
    const char *path; /* NULL: there is none, and all other functions do nothing */
    int fd;
    enum phi_session_kind kind;
    bool read_only; /* --prompt-cache-ro: neither written nor renamed */
    bool has_state; /* there is something to resume */
    struct phi_session_file *file;
};

/* --session (of this kind) or --prompt-cache. Made if it does not exist, 0600, and locked against other processes. A damaged one
 * or one of another model becomes PATH.bad, with a warning, and a new one is begun. CLI_OK; with the error line printed:
 * CLI_USAGE (no session file; it is left alone), CLI_FAILED (in use; --session-strict), CLI_OUTPUT, CLI_MEMORY, and what choosing
 * the model gives. Close in any case. */
int cli_saved_open(struct cli_saved *s, const struct cli_options *o, enum phi_session_kind kind);
/* A file by its path, to be read or (writes) made and written; the same checks, nothing is renamed. path outlives *s. */
int cli_saved_open_path(struct cli_saved *s, const char *path, bool writes);
void cli_saved_close(struct cli_saved *s); /* a file in which nothing was ever saved is removed, where the sandbox allows it */

/* Read its state for this session. */
int cli_saved_attach(struct cli_saved *s, phi_session *session);
const struct phi_session_state *cli_saved_state(const struct cli_saved *s); /* NULL: there is none */
/* The first n tokens into the session; a note tells what had to be computed again. */
void cli_saved_load(struct cli_saved *s, size_t n, phi_progress_fn *progress, void *user);
/* CLI_OK; CLI_OUTPUT, CLI_MEMORY with the error line printed: the file holds what it held. */
int cli_saved_write(struct cli_saved *s, const int32_t *ids, size_t n_id, const void *extra, size_t n_extra);

/* Space on the disk for so many tokens, so that a full disk shows before anything is computed. As above. */
int cli_saved_reserve(struct cli_saved *s, size_t n);

/* How many of the ids the state begins with, too. */
size_t cli_saved_match(const struct cli_saved *s, const int32_t *ids, size_t n);

#endif
