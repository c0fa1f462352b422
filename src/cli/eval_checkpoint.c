/* The results of an evaluation so far, as records, and the file that keeps them. The file is opened before the
 * sandbox, which lets nothing be renamed, and only grows: results are appended in batches, each with a hash that
 * covers all before it. A batch that a kill or a full disk cut short is not there for the next run. The file is read
 * as hostile input.
 *
 *     "phi-eval" | version u32 = 1 | bytes of a record u32 | run u64 | hash u64
 *     batches: records u64 | hash u64 | the records                hash: FNV-1a over the hash before, the count, the
 * records */
#include "eval.h"
#include "../file.h"
#include "../io.h"
#include "../memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { HEADER = 8 + 4 + 4 + 8 + 8, BATCH = 8 + 8, VERSION = 1 };
static const char magic[8] = {'p', 'h', 'i', '-', 'e', 'v', 'a', 'l'};
static const double interval = 10; /* seconds */

int eval_records_prepare(struct eval_records *r, const char *path) {
    *r = (struct eval_records){.path = path, .fd = -1};
    if (!path) return CLI_OK;
    r->fd = phi_io_open(path, O_WRONLY | O_CREAT, 0666);
    return r->fd < 0 ? cli_fail(CLI_OUTPUT, "cannot write the checkpoint %s: %s", path, strerror(errno)) : CLI_OK;
}

static int reserve(struct eval_records *r, size_t n) {
    if (n <= r->room) return CLI_OK;
    size_t room = n > SIZE_MAX / 2 ? n : n * 2;
    char *more = phi_realloc(r->data, room, r->size);
    if (!more) return cli_fail(CLI_MEMORY, "not enough memory for %zu results", n);
    r->data = more;
    r->room = room;
    return CLI_OK;
}

static void put(uint8_t *p, uint64_t v, int n_bytes) {
    for (int i = 0; i < n_bytes; i++) p[i] = (uint8_t)(v >> 8 * i);
}

static void make_header(const struct eval_records *r, uint8_t header[HEADER]) {
    memcpy(header, magic, sizeof magic);
    put(header + 8, VERSION, 4);
    put(header + 12, r->size, 4);
    put(header + 16, r->run, 8);
    put(header + 24, eval_hash(0, header, 24), 8);
}

static uint64_t hash_batch(uint64_t before, uint64_t n, const void *records, size_t n_bytes) {
    uint8_t head[16];
    put(head, before, 8);
    put(head + 8, n, 8);
    return eval_hash(eval_hash(0, head, sizeof head), records, n_bytes);
}

/* Batches from r->end on, as far as they are whole. */
static int parse_batches(struct eval_records *r, const uint8_t *p, size_t size) {
    while (size - r->end >= BATCH) {
        const uint8_t *batch = p + r->end;
        uint64_t n = phi_little_endian(batch, 8), hash = phi_little_endian(batch + 8, 8);
        if (n == 0 || n > (size - r->end - BATCH) / r->size) break;
        size_t n_bytes = (size_t)n * r->size;
        if (hash != hash_batch(r->hash, n, batch + BATCH, n_bytes)) break;
        int status = reserve(r, r->n + (size_t)n);
        if (status) return status;
        memcpy(r->data + r->n * r->size, batch + BATCH, n_bytes);
        r->n += (size_t)n;
        r->hash = hash;
        r->end += BATCH + n_bytes;
    }
    if (r->end < size) cli_warn("%s: results behind the %zu that are whole are computed again", r->path, r->n);
    r->n_saved = r->n;
    return CLI_OK;
}

int eval_records_open(struct eval_records *r, uint64_t run, size_t size) {
    struct cli_text file;
    uint8_t header[HEADER];
    r->run = run;
    r->size = size;
    r->saved_at = cli_seconds();
    if (!r->path) return CLI_OK;
    make_header(r, header);
    r->hash = phi_little_endian(header + 24, 8);
    int status = cli_text_read(r->path, "checkpoint", &file);
    if (status) return status;
    bool begun = file.n < HEADER && (file.n == 0 || memcmp(file.bytes, header, file.n) == 0);
    if (!begun && (file.n < HEADER || memcmp(file.bytes, magic, sizeof magic) != 0)) {
        status = cli_fail(CLI_USAGE, "--checkpoint: %s is no checkpoint; it was not touched", r->path);
    } else if (!begun && memcmp(file.bytes, header, HEADER) != 0) {
        status =
            cli_fail(CLI_USAGE,
                     "--checkpoint: %s belongs to another evaluation (model, text or settings differ); remove it or "
                     "name another file",
                     r->path);
    } else if (!begun) {
        r->end = HEADER;
        status = parse_batches(r, (const uint8_t *)file.bytes, file.n);
    }
    cli_text_free(&file);
    return status;
}

int eval_records_add(struct eval_records *r, const void *record) {
    int status = reserve(r, r->n + 1);
    if (!status) memcpy(r->data + r->n++ * r->size, record, r->size);
    return status;
}

static int append(struct eval_records *r) {
    uint8_t header[HEADER], batch[BATCH];
    size_t n = r->n - r->n_saved, n_bytes = n * r->size, at = r->end;
    const char *records = r->data + r->n_saved * r->size;
    uint64_t hash = hash_batch(r->hash, n, records, n_bytes);
    put(batch, n, 8);
    put(batch + 8, hash, 8);
    make_header(r, header);
    if (phi_io_truncate(r->fd, at) || (!at && phi_io_pwrite_all(r->fd, header, HEADER, 0))) return -1;
    if (!at) at = HEADER;
    if (phi_io_pwrite_all(r->fd, batch, BATCH, at) || phi_io_pwrite_all(r->fd, records, n_bytes, at + BATCH) ||
        phi_io_sync(r->fd))
        return -1;
    r->hash = hash;
    r->end = at + BATCH + n_bytes;
    return 0;
}

int eval_records_save(struct eval_records *r, bool now) {
    if (!r->path || r->n == r->n_saved || (!now && cli_seconds() - r->saved_at < interval)) return CLI_OK;
    if (append(r)) return cli_fail(CLI_OUTPUT, "cannot write the checkpoint %s: %s", r->path, strerror(errno));
    r->n_saved = r->n;
    r->saved_at = cli_seconds();
    return CLI_OK;
}

void eval_records_close(struct eval_records *r) {
    if (r->fd >= 0) phi_io_close(r->fd);
    phi_free(r->data);
    *r = (struct eval_records){.fd = -1};
}
