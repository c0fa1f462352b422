/* llama.cpp's file of base logits: its layout is in eval.h. Reads it as hostile input, from a mapping, since it can
 * be larger than the memory; writes it chunk by chunk. */
#include "eval.h"
#include "../file.h"
#include "../io.h"
#include "../memory.h"
#include "../score.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { HEADER = 8 + 3 * 4, MIB = 1 << 20 };
static const char magic[8] = {'_', 'l', 'o', 'g', 'i', 't', 's', '_'};

/* Sizes from n_ctx, n_vocab and n_chunk; false: they overflow. */
static bool lay_out(struct eval_base *b) {
    uint64_t ids, rows;
    b->n_row = b->n_ctx - 1 - b->n_ctx / 2;
    b->row_size = phi_score_row_size(b->n_vocab);
    return phi_mul_u64((uint64_t)b->n_chunk * 4, (uint64_t)b->n_ctx, &ids) &&
           phi_mul_u64((uint64_t)b->n_chunk * 2 * (uint64_t)b->n_row, b->row_size, &rows) &&
           phi_add_u64(ids, HEADER, &b->rows_at) && phi_add_u64(b->rows_at, rows, &b->n_bytes);
}

/* ---- Reading ---- */

static int refuse(const char *path, const char *what) {
    return cli_fail(CLI_FAILED, "%s: %s", path, what);
}

static int read_header(struct eval_base *b, uint64_t size, int n_vocab) {
    if (size < HEADER || memcmp(b->data, magic, sizeof magic) != 0)
        return refuse(b->path, "no file of base logits; make one with --kl-divergence-base alone");
    uint64_t n_ctx = phi_little_endian(b->data + 8, 4), vocab = phi_little_endian(b->data + 12, 4),
             n_chunk = phi_little_endian(b->data + 16, 4);
    if (vocab != (uint64_t)n_vocab)
        return cli_fail(CLI_FAILED, "%s: made with a vocabulary of %" PRIu64 " tokens, this model has %d", b->path,
                        vocab, n_vocab);
    if (n_ctx < 4 || n_ctx > INT32_MAX || n_chunk < 1 || n_chunk > INT32_MAX)
        return refuse(b->path, "damaged: its header is nonsense");
    b->n_ctx = (int)n_ctx;
    b->n_vocab = n_vocab;
    b->n_chunk = (int)n_chunk;
    if (!lay_out(b) || size < b->n_bytes)
        return cli_fail(CLI_FAILED, "%s: truncated: %" PRIu64 " bytes, its header asks for more; make it again",
                        b->path, size);
    for (size_t i = 0; i < (size_t)b->n_chunk * (size_t)b->n_ctx; i++)
        if (eval_base_id(b, i) < 0 || eval_base_id(b, i) >= n_vocab)
            return refuse(b->path, "damaged: it holds a token outside the vocabulary");
    return CLI_OK;
}

static void watch(const struct eval_base *b, bool mapped) {
    struct phi_file f = {b->data, b->n_mapped, (char *)(uintptr_t)b->path};
    if (phi_file_watch) phi_file_watch(&f, mapped);
}

int eval_base_open(struct eval_base *b, const char *path, int n_vocab) {
    struct stat st;
    *b = (struct eval_base){.path = path, .fd = -1};
    int fd = phi_io_open(path, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0) return refuse(path, strerror(errno));
    bool fits = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && (uint64_t)st.st_size <= PTRDIFF_MAX;
    b->data = fits ? phi_pages_map(fd, (size_t)st.st_size) : NULL;
    phi_io_close(fd);
    if (!b->data) return refuse(path, fits ? "cannot be mapped into memory" : "no file of base logits");
    b->n_mapped = (uint64_t)st.st_size;
    watch(b, true);
    int status = read_header(b, b->n_mapped, n_vocab);
    if (status) eval_base_close(b);
    return status;
}

int32_t eval_base_id(const struct eval_base *b, size_t i) {
    return (int32_t)phi_little_endian(b->data + HEADER + 4 * i, 4);
}

const uint16_t *eval_base_row(const struct eval_base *b, size_t chunk, size_t row) {
    size_t at = (chunk * (size_t)b->n_row + row) * b->row_size;
    return (const uint16_t *)(const void *)(b->data + b->rows_at) + at; /* rows_at is a multiple of 4 */
}

/* ---- Writing ---- */

static int fail_write(const struct eval_base *b, int cause) {
    return cli_fail(CLI_OUTPUT, "cannot write %s: %s", b->path, strerror(cause));
}

int eval_base_prepare(struct eval_base *b, const char *path) {
    *b = (struct eval_base){.path = path, .fd = phi_io_open(path, O_WRONLY | O_CREAT, 0666)};
    return b->fd < 0 ? fail_write(b, errno) : CLI_OK;
}

static int check_space(const struct eval_base *b, uint64_t held) {
    struct statvfs s;
    cli_note("%s becomes %" PRIu64 " MiB", b->path, (b->n_bytes + MIB - 1) / MIB);
    if (fstatvfs(b->fd, &s) != 0) return CLI_OK;
    uint64_t unit = s.f_frsize ? (uint64_t)s.f_frsize : (uint64_t)s.f_bsize, left;
    if (!phi_mul_u64((uint64_t)s.f_bavail, unit, &left) || left >= b->n_bytes - held) return CLI_OK;
    return cli_fail(CLI_OUTPUT, "%s needs %" PRIu64 " MiB more, %" PRIu64 " MiB are free; use fewer --chunks",
                    b->path, (b->n_bytes - held) / MIB + 1, left / MIB);
}

static int write_header(struct eval_base *b, const int32_t *ids) {
    uint8_t header[HEADER] = {0};
    const uint32_t numbers[3] = {(uint32_t)b->n_ctx, (uint32_t)b->n_vocab, (uint32_t)b->n_chunk};
    memcpy(header + sizeof magic, numbers, sizeof numbers);
    if (cli_write_all(b->fd, header, sizeof header) ||
        cli_write_all(b->fd, ids, (size_t)b->n_chunk * (size_t)b->n_ctx * sizeof *ids))
        return fail_write(b, errno);
    return CLI_OK;
}

int eval_base_create(struct eval_base *b, const struct eval *e, const int32_t *ids, int n_chunk, int n_done) {
    struct stat st;
    b->n_ctx = e->n_ctx;
    b->n_vocab = e->n_vocab;
    b->n_chunk = n_chunk;
    if (!lay_out(b)) return cli_fail(CLI_USAGE, "%s: so many chunks overflow its size", b->path);
    b->row = phi_alloc(b->row_size, sizeof *b->row);
    if (!b->row) return cli_fail(CLI_MEMORY, "not enough memory for a row of %d logits", e->n_vocab);
    uint64_t chunk = (uint64_t)b->n_row * b->row_size * sizeof *b->row;
    uint64_t held = n_done ? b->rows_at + (uint64_t)n_done * chunk : 0;
    if (fstat(b->fd, &st) != 0 || (uint64_t)st.st_size < held)
        return cli_fail(CLI_FAILED,
                        "%s does not hold the chunks that the checkpoint counts; remove both to start again",
                        b->path);
    int status = check_space(b, held);
    if (status) return status;
    if (phi_io_truncate(b->fd, held) || lseek(b->fd, (off_t)held, SEEK_SET) < 0) return fail_write(b, errno);
    return n_done ? CLI_OK : write_header(b, ids);
}

int eval_base_put(struct eval_base *b, const float *logits, int32_t id, double *nll) {
    *nll = phi_score_row_write(logits, b->n_vocab, id, b->row);
    return cli_write_all(b->fd, b->row, b->row_size * sizeof *b->row) ? fail_write(b, errno) : CLI_OK;
}

int eval_base_sync(struct eval_base *b) {
    return phi_io_sync(b->fd) ? fail_write(b, errno) : CLI_OK;
}

int eval_base_finish(struct eval_base *b) {
    int fd = b->fd, status = eval_base_sync(b);
    b->fd = -1;
    if (!status && phi_io_pwrite_all(fd, magic, sizeof magic, 0)) status = fail_write(b, errno);
    if (phi_io_close(fd) && !status) status = fail_write(b, errno);
    return status;
}

int eval_base_abandon(struct eval_base *b) {
    return phi_io_truncate(b->fd, 0) ? fail_write(b, errno) : CLI_OK;
}

void eval_base_close(struct eval_base *b) {
    if (b->data) {
        watch(b, false);
        phi_pages_free((void *)(uintptr_t)b->data, (size_t)b->n_mapped);
    }
    if (b->fd >= 0) phi_io_close(b->fd);
    phi_free(b->row);
    *b = (struct eval_base){.fd = -1};
}
