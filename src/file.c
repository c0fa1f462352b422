/* Opens and maps (or reads) a file; reads little-endian numbers from it within its bounds. Refuses whatever is not a regular
 * file with content. What stands in the file is the business of gguf.c. */
#include "file.h"
#include "io.h"
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void (*phi_file_watch)(const struct phi_file *f, bool mapped);

int phi_file_vfail(const char *path, phi_error *err, int status, const char *fmt, va_list args) {
    enum { KEEP = 120 }; /* leaves room for a sentence with a quoted name in it */
    if (!err) return status;
    size_t n = strlen(path);
    const char *from = n > KEEP ? path + n - KEEP : path;
    while (from > path && ((unsigned char)*from & 0xc0) == 0x80) from++; /* not in the middle of a UTF-8 character */
    int at = snprintf(err->text, sizeof err->text, "%s%s: ", from > path ? "..." : "", from);
    for (char *c = err->text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    vsnprintf(err->text + at, sizeof err->text - (size_t)at, fmt, args);
    return status;
}

int phi_file_fail(const char *path, phi_error *err, int status, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    phi_file_vfail(path, err, status, fmt, args);
    va_end(args);
    return status;
}

/* Why open() failed, for people. */
static int fail_open(const char *path, int cause, phi_error *err) {
    struct stat st;
    switch (cause) {
    case ENOENT:
        if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
            return phi_file_fail(path, err, PHI_MODEL, "is a link to a file that does not exist");
        return phi_file_fail(path, err, PHI_MODEL, "No such file or directory; check the path of the model");
    case ENOTDIR:
        return phi_file_fail(path, err, PHI_MODEL, "Not a directory; a part of the path is a file");
    case EACCES:
    case EPERM:
        return phi_file_fail(path, err, PHI_MODEL, "Permission denied; make the file and its folders readable");
    case ELOOP:
        return phi_file_fail(path, err, PHI_MODEL, "Too many symbolic links; they lead in a circle");
    case ENAMETOOLONG:
        return phi_file_fail(path, err, PHI_MODEL, "File name too long");
    case EMFILE:
    case ENFILE:
        return phi_file_fail(path, err, PHI_MODEL, "Too many open files; close some");
    case ENOMEM:
        return phi_file_fail(path, err, PHI_MEMORY, "not enough memory to open the file");
    default: /* a socket cannot be opened: ENXIO on Linux, EOPNOTSUPP elsewhere */
        if (stat(path, &st) == 0 && S_ISSOCK(st.st_mode))
            return phi_file_fail(path, err, PHI_MODEL, "is a socket, not a regular file");
        return phi_file_fail(path, err, PHI_MODEL, "cannot be opened (error %d)", cause);
    }
}

static const char *kind_of(mode_t mode) {
    return S_ISDIR(mode)    ? "directory"
           : S_ISFIFO(mode) ? "FIFO"
           : S_ISCHR(mode)  ? "character device"
           : S_ISBLK(mode)  ? "block device"
           : S_ISSOCK(mode) ? "socket"
                            : "special file";
}

/* All of fd into memory of our own. NULL: errno says why, 0 if the file has become shorter. */
static void *read_all(int fd, size_t size) {
    char *p = phi_pages_alloc(size);
    size_t n = 0;
    if (!p) errno = ENOMEM;
    while (p && n < size) {
        ssize_t k = phi_io_pread(fd, p + n, size - n, n);
        if (k > 0) n += (size_t)k;
        if (k > 0 || (k < 0 && errno == EINTR)) continue;
        int cause = k < 0 ? errno : 0;
        phi_pages_free(p, size);
        errno = cause;
        return NULL;
    }
    return p;
}

/* The file behind fd -> *out, which stays the owner of what is in it when this fails. */
static int take_file(const char *path, int fd, bool read, struct phi_file *out, phi_error *err) {
    struct stat st;
    if (fstat(fd, &st) != 0) /* Never: fd is open, and no test has a network file system that loses files */
        return phi_file_fail(path, err, PHI_MODEL, "cannot be examined (error %d)", errno);
    if (!S_ISREG(st.st_mode))
        return phi_file_fail(path, err, PHI_MODEL, "is a %s, not a regular file", kind_of(st.st_mode));
    if (st.st_size <= 0) return phi_file_fail(path, err, PHI_MODEL, "the file is empty; download the model again");
    uint64_t size = (uint64_t)st.st_size;
    if (size > PTRDIFF_MAX) /* Never: with 64-bit addresses */
        return phi_file_fail(path, err, PHI_MODEL,
                             "%" PRIu64 " bytes do not fit into the address space of this program", size);
    size_t n_path = strlen(path) + 1;
    out->path = phi_alloc(n_path, 1);
    if (!out->path) return phi_file_fail(path, err, PHI_MEMORY, "not enough memory to open the file");
    memcpy(out->path, path, n_path);
    out->data = read ? read_all(fd, (size_t)size) : phi_pages_map(fd, (size_t)size);
    if (out->data) {
        out->size = size;
        if (!read && phi_file_watch) phi_file_watch(out, true);
        return PHI_OK;
    }
    if (read && errno == ENOMEM)
        return phi_file_fail(path, err, PHI_MEMORY, "not enough memory to read %" PRIu64 " bytes; map the file instead",
                             size);
    if (read && !errno) return phi_file_fail(path, err, PHI_MODEL, "it became shorter while it was read");
    if (read) return phi_file_fail(path, err, PHI_MODEL, "cannot be read (error %d)", errno);
    if (errno == ENOMEM || errno == EAGAIN)
        return phi_file_fail(path, err, PHI_MEMORY, "not enough address space to map %" PRIu64 " bytes", size);
    return phi_file_fail(path, err, PHI_MODEL, "cannot be mapped into memory (error %d); copy it to another storage",
                         errno);
}

int phi_file_open(const char *path, struct phi_file *out, phi_error *err) {
    return phi_file_load(path, false, out, err);
}

int phi_file_load(const char *path, bool read, struct phi_file *out, phi_error *err) {
    memset(out, 0, sizeof *out);
    int fd;
    /* O_NONBLOCK: a FIFO without a writer would block here. It means nothing for a mapping, and fd closes below. */
    do fd = phi_io_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) return fail_open(path, errno, err);
    int status = take_file(path, fd, read, out, err);
    phi_io_close(fd);
    if (status) phi_file_close(out);
    return status;
}

void phi_file_close(struct phi_file *f) {
    if (f->data && phi_file_watch) phi_file_watch(f, false);
    if (f->data) phi_pages_free((void *)(uintptr_t)f->data, (size_t)f->size);
    phi_free(f->path);
    memset(f, 0, sizeof *f);
}

uint64_t phi_little_endian(const uint8_t *p, size_t n_bytes) {
    uint64_t v = 0;
    for (size_t i = 0; i < n_bytes; i++) v |= (uint64_t)p[i] << 8 * i;
    return v;
}

bool phi_cursor_take(struct phi_cursor *c, uint64_t n, const uint8_t **p) {
    if (n > phi_cursor_left(c)) return false;
    *p = c->at;
    c->at += n;
    return true;
}

bool phi_cursor_u32(struct phi_cursor *c, uint32_t *v) {
    const uint8_t *p;
    if (!phi_cursor_take(c, 4, &p)) return false;
    *v = (uint32_t)phi_little_endian(p, 4);
    return true;
}

bool phi_cursor_u64(struct phi_cursor *c, uint64_t *v) {
    const uint8_t *p;
    if (!phi_cursor_take(c, 8, &p)) return false;
    *v = phi_little_endian(p, 8);
    return true;
}

bool phi_add_u64(uint64_t a, uint64_t b, uint64_t *sum) {
    if (a > UINT64_MAX - b) return false;
    *sum = a + b;
    return true;
}

bool phi_mul_u64(uint64_t a, uint64_t b, uint64_t *product) {
    if (b && a > UINT64_MAX / b) return false;
    *product = a * b;
    return true;
}

bool phi_align_u64(uint64_t a, uint64_t power_of_two, uint64_t *up) {
    uint64_t mask = power_of_two - 1;
    if (a > UINT64_MAX - mask) return false;
    *up = (a + mask) & ~mask;
    return true;
}
