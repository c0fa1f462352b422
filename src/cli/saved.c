/* Opening, locking, refusing and moving away of session files. What is in them is the library's (session_file.h) and
 * the commands'. */
#include "saved.h"
#include "model_file.h"
#include "storage.h"
#include "../io.h"
#include "../memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail_open(const struct cli_saved *s) {
    return cli_fail(s->read_only ? CLI_FAILED : CLI_OUTPUT, "%s: the session file cannot be opened: %s", s->path,
                    strerror(errno));
}

/* One process at a time may write. Where there are no locks (some network storage) people are told. */
static int lock(const struct cli_saved *s) {
    struct flock want = {.l_type = s->read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET}, found = want;
    if (fcntl(s->fd, F_SETLK, &want) == 0) return CLI_OK;
    if (errno != EACCES && errno != EAGAIN) {
        cli_warn("%s: there are no locks here (%s); do not use it twice at a time", s->path, strerror(errno));
        return CLI_OK;
    }
    if (fcntl(s->fd, F_GETLK, &found) == 0 && found.l_type != F_UNLCK && found.l_pid > 0)
        return cli_fail(CLI_FAILED, "%s: session in use by process %ld", s->path, (long)found.l_pid);
    return cli_fail(CLI_FAILED, "%s: session in use by another process", s->path);
}

/* O_NONBLOCK: a FIFO would wait for its other end. For a regular file it means nothing. */
static int open_locked(struct cli_saved *s, int flags) {
    struct stat st;
    s->fd = phi_io_open(s->path, (s->read_only ? O_RDONLY : O_RDWR) | O_NONBLOCK | O_NOCTTY | flags, 0600);
    if (s->fd < 0 && errno == EISDIR) return cli_fail(CLI_USAGE, "%s: is a directory, not a session file", s->path);
    if (s->fd < 0) return fail_open(s);
    if (fstat(s->fd, &st) != 0) return fail_open(s);
    if (!S_ISREG(st.st_mode)) return cli_fail(CLI_USAGE, "%s: is not a regular file", s->path);
    return lock(s);
}

/* PATH -> PATH.bad, and a new file. */
static int move_away(struct cli_saved *s) {
    size_t n = strlen(s->path);
    char *bad = phi_alloc(n + 5, 1);
    if (!bad) return cli_fail(CLI_MEMORY, "not enough memory to open %s", s->path);
    memcpy(bad, s->path, n);
    memcpy(bad + n, ".bad", 5);
    int status = phi_io_rename(s->path, bad) ? fail_open(s) : CLI_OK;
    phi_free(bad);
    if (status) return status;
    phi_io_close(s->fd);
    return open_locked(s, O_CREAT | O_EXCL);
}

/* err: "PATH: session ignored: ..." */
static int ignore(struct cli_saved *s, bool strict, const phi_error *err) {
    if (strict) return cli_fail(CLI_FAILED, "%s", err->text);
    cli_warn("%s", err->text);
    if (!s->read_only) return move_away(s);
    cli_saved_close(s);
    return CLI_OK;
}

/* The model's file as it lies there, for its fingerprint; what is wrong with it is said when it is opened. */
static int check(struct cli_saved *s, const struct cli_options *o) {
    struct cli_model_file chosen;
    struct phi_file file;
    phi_error err = {""}, none;
    int status = cli_model_choose(o, &chosen);
    if (status) return status;
    bool known = phi_file_open(chosen.path, &file, &none) == 0;
    status = phi_session_file_check(s->fd, s->path, known ? &file : NULL, &s->has_state, &err);
    phi_file_close(&file);
    if (status == PHI_FAILED) return ignore(s, o->session_strict, &err);
    return status ? cli_fail_with(status, &err) : CLI_OK;
}

int cli_saved_open(struct cli_saved *s, const struct cli_options *o, enum phi_session_kind kind) {
    *s = (struct cli_saved){.path = o->session_file ? o->session_file : o->prompt_cache, .fd = -1};
    s->kind = o->session_file ? kind : PHI_SESSION_CACHE;
    s->read_only = o->prompt_cache_ro;
    if (!s->path) return CLI_OK;
    if (s->read_only && access(s->path, F_OK) != 0) {
        s->path = NULL; /* nothing to read yet */
        return CLI_OK;
    }
    int status = open_locked(s, s->read_only ? 0 : O_CREAT);
    return status ? status : check(s, o);
}

int cli_saved_open_path(struct cli_saved *s, const char *path, bool writes) {
    phi_error err = {""};
    *s = (struct cli_saved){.path = path, .fd = -1, .kind = PHI_SESSION_CHAT, .read_only = !writes};
    int status = open_locked(s, writes ? O_CREAT : 0);
    if (status) return status;
    status = phi_session_file_check(s->fd, path, NULL, &s->has_state, &err);
    return status ? cli_fail_with(status, &err) : CLI_OK;
}

void cli_saved_close(struct cli_saved *s) {
    struct stat st;
    if (!s->path) return;
    phi_session_file_close(s->file);
    if (s->fd >= 0 && !s->read_only && fstat(s->fd, &st) == 0 && st.st_size == 0) (void)unlink(s->path);
    if (s->fd >= 0) phi_io_close(s->fd);
    *s = (struct cli_saved){.fd = -1};
}

int cli_saved_attach(struct cli_saved *s, phi_session *session) {
    phi_error err = {""};
    if (!s->path) return CLI_OK;
    int status = phi_session_file_open(s->fd, s->path, s->kind, session, &s->file, &err);
    if (status == PHI_FAILED && s->read_only && s->kind == PHI_SESSION_CACHE) return ignore(s, false, &err);
    /* What only the model itself can tell; by now the sandbox would refuse to rename it. */
    if (status == PHI_FAILED) return cli_fail(CLI_FAILED, "%s; move it away", err.text);
    return status ? cli_fail_with(status, &err) : CLI_OK;
}

const struct phi_session_state *cli_saved_state(const struct cli_saved *s) {
    return s->file ? phi_session_file_state(s->file) : NULL;
}

void cli_saved_load(struct cli_saved *s, size_t n, phi_progress_fn *progress, void *user) {
    size_t n_rebuilt = 0;
    phi_session_file_load(s->file, n, progress, user, &n_rebuilt);
    cli_progress("");
    if (n_rebuilt) cli_note("%s: %zu positions rebuilt", s->path, n_rebuilt);
}

int cli_saved_write(struct cli_saved *s, const int32_t *ids, size_t n_id, const void *extra, size_t n_extra) {
    phi_error err = {""};
    if (!s->file || s->read_only) return CLI_OK;
    cli_storage_check();
    int status = phi_session_file_save(s->file, ids, n_id, extra, n_extra, &err);
    return status ? cli_fail_with(status, &err) : CLI_OK;
}

int cli_saved_reserve(struct cli_saved *s, size_t n) {
    phi_error err = {""};
    if (!s->file || s->read_only) return CLI_OK;
    int status = phi_session_file_reserve(s->file, n, &err);
    return status ? cli_fail_with(status, &err) : CLI_OK;
}

size_t cli_saved_match(const struct cli_saved *s, const int32_t *ids, size_t n) {
    const struct phi_session_state *state = cli_saved_state(s);
    size_t same = 0;
    while (state && same < n && same < state->n_kv && state->ids[same] == ids[same]) same++;
    return same;
}
