/* System calls, counted. Nothing else opens, reads, writes or renames. */
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* unsigned long and not 64 bits: every CPU that we build for counts in its own word without a helper library. */
static struct {
    atomic_ulong n, fail_at; /* calls so far; the first that fails, 0: none */
    atomic_int cause;
    atomic_bool lasting;
} calls[PHI_IO_N];

unsigned long phi_io_count(enum phi_io_call call) {
    return atomic_load(&calls[call].n);
}

void phi_io_fail_at(enum phi_io_call call, unsigned long n, int cause, bool lasting) {
    atomic_store(&calls[call].fail_at, 0);
    atomic_store(&calls[call].cause, cause);
    atomic_store(&calls[call].lasting, lasting);
    atomic_store(&calls[call].fail_at, n ? atomic_load(&calls[call].n) + n : 0);
}

bool phi_io_may(enum phi_io_call call) {
    unsigned long n = atomic_fetch_add(&calls[call].n, 1) + 1, fail_at = atomic_load(&calls[call].fail_at);
    if (!fail_at || n < fail_at || (n > fail_at && !atomic_load(&calls[call].lasting))) return true;
    errno = atomic_load(&calls[call].cause);
    return false;
}

/* May *n bytes be read or written? Less of them where the call has to be done by half. */
static bool may_transfer(enum phi_io_call call, size_t *n) {
    if (phi_io_may(call)) return true;
    if (errno) return false;
    *n -= *n / 2;
    return true;
}

int phi_io_open(const char *path, int flags, mode_t mode) {
    return phi_io_may(PHI_IO_OPEN) ? open(path, flags | O_CLOEXEC, mode) : -1;
}

int phi_io_close(int fd) {
    if (phi_io_may(PHI_IO_CLOSE)) return close(fd);
    int cause = errno;
    close(fd);
    errno = cause;
    return -1;
}

ssize_t phi_io_read(int fd, void *bytes, size_t n) {
    return may_transfer(PHI_IO_READ, &n) ? read(fd, bytes, n) : -1;
}

ssize_t phi_io_pread(int fd, void *bytes, size_t n, uint64_t at) {
    return may_transfer(PHI_IO_READ, &n) ? pread(fd, bytes, n, (off_t)at) : -1;
}

ssize_t phi_io_write(int fd, const void *bytes, size_t n) {
    return fd == STDERR_FILENO || may_transfer(PHI_IO_WRITE, &n) ? write(fd, bytes, n) : -1;
}

ssize_t phi_io_pwrite(int fd, const void *bytes, size_t n, uint64_t at) {
    return may_transfer(PHI_IO_WRITE, &n) ? pwrite(fd, bytes, n, (off_t)at) : -1;
}

int phi_io_sync(int fd) {
    return phi_io_may(PHI_IO_SYNC) ? fsync(fd) : -1;
}

int phi_io_truncate(int fd, uint64_t n) {
    return phi_io_may(PHI_IO_TRUNCATE) ? ftruncate(fd, (off_t)n) : -1;
}

int phi_io_rename(const char *from, const char *to) {
    return phi_io_may(PHI_IO_RENAME) ? rename(from, to) : -1;
}

int phi_io_mkdir(const char *path, mode_t mode) {
    return phi_io_may(PHI_IO_MKDIR) ? mkdir(path, mode) : -1;
}

int phi_io_pwrite_all(int fd, const void *bytes, size_t n, uint64_t at) {
    for (size_t done = 0; done < n;) {
        ssize_t now = phi_io_pwrite(fd, (const char *)bytes + done, n - done, at + done);
        if (now < 0 && errno == EINTR) continue;
        if (now == 0) errno = ENOSPC; /* no system does that to a file; it must not go on for ever */
        if (now <= 0) return -1;
        done += (size_t)now;
    }
    return 0;
}

ssize_t phi_io_pread_all(int fd, void *bytes, size_t n, uint64_t at) {
    size_t done = 0;
    while (done < n) {
        ssize_t now = phi_io_pread(fd, (char *)bytes + done, n - done, at + done);
        if (now < 0 && errno == EINTR) continue;
        if (now < 0) return -1;
        if (now == 0) break;
        done += (size_t)now;
    }
    return (ssize_t)done;
}

bool phi_io_read_text(const char *path, char *text, size_t size) {
    size_t n = 0;
    ssize_t got = -1;
    int fd = phi_io_open(path, O_RDONLY, 0);
    while (fd >= 0 && n + 1 < size) {
        got = phi_io_read(fd, text + n, size - 1 - n);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        n += (size_t)got;
    }
    if (fd >= 0) phi_io_close(fd);
    text[got < 0 ? 0 : n] = 0;
    return got >= 0;
}
