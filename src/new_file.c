/* Writes large files: asks for room first, has the storage begin early, and leaves nothing half done. What stands in them
 * is the caller's business. */
#include "new_file.h"
#include "file.h"
#include "io.h"
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { FLUSH_BYTES = 32 << 20 };

static int fail(const struct phi_new_file *f, const char *what, phi_error *err) {
    return phi_file_fail(f->path, err, PHI_OUTPUT, "%s: %s", what, strerror(errno));
}

int phi_new_file_check_room(const struct phi_new_file *f, uint64_t n_bytes, phi_error *err) {
    struct statvfs st;
    if (fstatvfs(f->fd, &st) != 0) return PHI_OK; /* a system that does not tell */
    uint64_t unit = st.f_frsize ? st.f_frsize : st.f_bsize, left = (uint64_t)st.f_bavail;
    if (!unit || n_bytes / unit < left) return PHI_OK;
    return phi_file_fail(f->path, err, PHI_OUTPUT, "needs %" PRIu64 " MiB, the storage has %" PRIu64 " MiB free",
                         (n_bytes >> 20) + 1, left * unit >> 20);
}

int phi_new_file_open(const char *path, struct phi_new_file *f, phi_error *err) {
    struct stat st;
    size_t n = strlen(path) + 1;
    memset(f, 0, sizeof *f);
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return phi_file_fail(path, err, PHI_OUTPUT, "is not a regular file and cannot be replaced by one");
    f->fd = -1;
    f->path = phi_alloc(n, 1);
    f->part = phi_alloc(n + 32, 1);
    int status = PHI_OK;
    if (!f->path || !f->part) {
        status = phi_file_fail(path, err, PHI_MEMORY, "not enough memory to create the file");
    } else {
        memcpy(f->path, path, n);
        snprintf(f->part, n + 32, "%s.%ld.part", path, (long)getpid());
        f->fd = phi_io_open(f->part, O_WRONLY | O_CREAT | O_EXCL, 0666);
        if (f->fd < 0) status = fail(f, "cannot be created", err);
    }
    if (status) phi_new_file_discard(f);
    return status;
}

/* The system could not read them: they are of a mapped file that was cut short. Read here, they raise the SIGBUS that says so. */
static void read_each_page(const uint8_t *bytes, size_t n) {
    enum { PAGE = 4096 };
    for (size_t i = 0; i < n; i += PAGE) (void)((const volatile uint8_t *)bytes)[i];
    (void)((const volatile uint8_t *)bytes)[n - 1];
}

int phi_new_file_add(struct phi_new_file *f, const void *bytes, size_t n, phi_error *err) {
    const uint8_t *at = bytes;
    uint64_t flushed = f->n / FLUSH_BYTES;
    while (n) {
        ssize_t done = phi_io_write(f->fd, at, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0 && errno == EFAULT) {
            read_each_page(at, n);
            errno = EFAULT;
        }
        if (done <= 0) return fail(f, "cannot be written", err);
        at += done;
        n -= (size_t)done;
        f->n += (uint64_t)done;
    }
#ifdef __linux__
    /* Else the system hoards what is written, and the flush at the end takes as long as all the work before. */
    if (f->n / FLUSH_BYTES != flushed)
        sync_file_range(f->fd, (off_t)(flushed * FLUSH_BYTES), (off_t)((f->n / FLUSH_BYTES - flushed) * FLUSH_BYTES),
                        SYNC_FILE_RANGE_WRITE);
#else
    (void)flushed;
#endif
    return PHI_OK;
}

/* The folder holds the name: without this a loss of power could bring the old one back. Some storages refuse it. */
static void sync_folder(const char *path) {
    char folder[4096];
    const char *slash = strrchr(path, '/');
    int n = slash ? (int)(slash - path) + 1 : 1;
    if (n >= (int)sizeof folder) return;
    snprintf(folder, sizeof folder, "%.*s", n, slash ? path : ".");
    int fd = phi_io_open(folder, O_RDONLY, 0);
    if (fd < 0) return;
    phi_io_sync(fd);
    phi_io_close(fd);
}

int phi_new_file_commit(struct phi_new_file *f, phi_error *err) {
    int status = phi_io_sync(f->fd) ? fail(f, "cannot be flushed", err) : PHI_OK;
    if (phi_io_close(f->fd) && !status) status = fail(f, "cannot be closed", err);
    f->fd = -1;
    if (!status && phi_io_rename(f->part, f->path)) status = fail(f, "cannot be put in its place", err);
    if (!status) {
        sync_folder(f->path);
        f->part[0] = 0; /* there is no such file any more */
    }
    phi_new_file_discard(f);
    return status;
}

void phi_new_file_discard(struct phi_new_file *f) {
    if (f->path && f->fd >= 0) phi_io_close(f->fd);
    if (f->part && f->part[0]) unlink(f->part);
    phi_free(f->path);
    phi_free(f->part);
    memset(f, 0, sizeof *f);
}
