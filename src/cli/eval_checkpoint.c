/* The results of an evaluation so far, as records, and the file that keeps them. The file is written beside its place
 * and renamed, so that at every moment a complete one is there. It is read as hostile input.
 *
 *     "phi-eval" | version u32 = 1 | bytes of a record u32 | run u64 | records u64 | the records | FNV-1a of all
 * before, u64 */
#include "eval.h"
#include "../file.h"
#include "../io.h"
#include "../memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { HEADER = 8 + 4 + 4 + 8 + 8, TRAILER = 8, VERSION = 1 };
static const char magic[8] = {'p', 'h', 'i', '-', 'e', 'v', 'a', 'l'};
static const double interval = 10; /* seconds */

static int reserve(struct eval_records *r, size_t n) {
    if (n <= r->room) return CLI_OK;
    size_t room = n > SIZE_MAX / 2 ? n : n * 2;
    char *more = phi_realloc(r->data, room, r->size);
    if (!more) return cli_fail(CLI_MEMORY, "not enough memory for %zu results", n);
    r->data = more;
    r->room = room;
    return CLI_OK;
}

static int parse(struct eval_records *r, const struct cli_text *file) {
    const uint8_t *p = (const uint8_t *)file->bytes;
    if (file->n < HEADER + TRAILER || memcmp(p, magic, sizeof magic) != 0)
        return cli_fail(CLI_USAGE, "--checkpoint: %s is no checkpoint; it was not touched", r->path);
    uint64_t n = phi_little_endian(p + 24, 8), n_bytes = file->n - HEADER - TRAILER;
    bool known = phi_little_endian(p + 8, 4) == VERSION;
    if (known && phi_little_endian(p + file->n - TRAILER, 8) != eval_hash(0, p, file->n - TRAILER))
        return cli_fail(CLI_FAILED, "--checkpoint: %s is damaged; remove it to start again", r->path);
    if (!known || phi_little_endian(p + 12, 4) != r->size || phi_little_endian(p + 16, 8) != r->run ||
        n != n_bytes / r->size || n_bytes % r->size)
        return cli_fail(CLI_USAGE,
                        "--checkpoint: %s belongs to another evaluation (model, text or settings differ); remove it "
                        "or name another file",
                        r->path);
    int status = reserve(r, (size_t)n);
    if (status) return status;
    if (n) memcpy(r->data, p + HEADER, (size_t)n_bytes);
    r->n = r->n_saved = (size_t)n;
    return CLI_OK;
}

int eval_records_open(struct eval_records *r, const char *path, uint64_t run, size_t size) {
    struct cli_text file;
    *r = (struct eval_records){.path = path, .run = run, .size = size, .saved_at = cli_seconds()};
    if (!path || (access(path, F_OK) != 0 && errno == ENOENT)) return CLI_OK;
    int status = cli_text_read(path, "checkpoint", &file);
    if (!status) status = parse(r, &file);
    cli_text_free(&file);
    return status;
}

int eval_records_add(struct eval_records *r, const void *record) {
    int status = reserve(r, r->n + 1);
    if (!status) memcpy(r->data + r->n++ * r->size, record, r->size);
    return status;
}

static void put(uint8_t *p, uint64_t v, int n_bytes) {
    for (int i = 0; i < n_bytes; i++) p[i] = (uint8_t)(v >> 8 * i);
}

static int write_file(const struct eval_records *r, const char *path) {
    uint8_t header[HEADER], trailer[TRAILER];
    memcpy(header, magic, sizeof magic);
    put(header + 8, VERSION, 4);
    put(header + 12, r->size, 4);
    put(header + 16, r->run, 8);
    put(header + 24, r->n, 8);
    put(trailer, eval_hash(eval_hash(0, header, sizeof header), r->data, r->n * r->size), 8);
    int fd = phi_io_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd < 0) return -1;
    int failed = cli_write_all(fd, header, sizeof header) || cli_write_all(fd, r->data, r->n * r->size) ||
                 cli_write_all(fd, trailer, sizeof trailer) || phi_io_sync(fd);
    int cause = errno;
    if (phi_io_close(fd) && !failed) {
        failed = 1;
        cause = errno;
    }
    errno = cause;
    return failed ? -1 : 0;
}

int eval_records_save(struct eval_records *r, bool now) {
    char part[4096];
    if (!r->path || r->n == r->n_saved || (!now && cli_seconds() - r->saved_at < interval)) return CLI_OK;
    int n = snprintf(part, sizeof part, "%s.part", r->path);
    if (n < 0 || (size_t)n >= sizeof part) return cli_fail(CLI_OUTPUT, "--checkpoint: the path is too long");
    if (write_file(r, part) || phi_io_rename(part, r->path)) {
        int cause = errno;
        unlink(part);
        return cli_fail(CLI_OUTPUT, "cannot write the checkpoint %s: %s", r->path, strerror(cause));
    }
    r->n_saved = r->n;
    r->saved_at = cli_seconds();
    return CLI_OK;
}

void eval_records_close(struct eval_records *r) {
    phi_free(r->data);
    memset(r, 0, sizeof *r);
}
