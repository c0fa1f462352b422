/* Every system call of the library and the program that a bad day can refuse, so that tests can count them and make the n-th
 * fail. Each is the system call of its name, once, with its result and errno; EINTR and short counts are the caller's business.
 * Memory has its own: memory.h. */
#ifndef PHI_SRC_IO_H
#define PHI_SRC_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

int phi_io_open(const char *path, int flags, mode_t mode); /* O_CLOEXEC is added; mode: of a file that O_CREAT makes */
int phi_io_close(int fd);                                  /* the descriptor is gone also when this fails */
ssize_t phi_io_read(int fd, void *bytes, size_t n);
ssize_t phi_io_pread(int fd, void *bytes, size_t n, uint64_t at);
ssize_t phi_io_write(int fd, const void *bytes, size_t n);
ssize_t phi_io_pwrite(int fd, const void *bytes, size_t n, uint64_t at);
int phi_io_sync(int fd); /* fsync */
int phi_io_truncate(int fd, uint64_t n);
int phi_io_rename(const char *from, const char *to);
int phi_io_mkdir(const char *path, mode_t mode);

/* All n bytes, at that place of a file, however many calls it takes. 0, or -1 with errno. */
int phi_io_pwrite_all(int fd, const void *bytes, size_t n, uint64_t at);
/* All n bytes or as many as the file has; -1 with errno. */
ssize_t phi_io_pread_all(int fd, void *bytes, size_t n, uint64_t at);

/* The beginning of a text file, size - 1 bytes of it at most, ended by NUL; without stdio, which would allocate. False: it
 * cannot be read, and text is "". */
bool phi_io_read_text(const char *path, char *text, size_t size);

/* ---- Refusing ---- */

enum phi_io_call {
    PHI_IO_OPEN,
    PHI_IO_READ,  /* pread too */
    PHI_IO_WRITE, /* pwrite too; but not to stderr, where the failure is told */
    PHI_IO_SYNC,
    PHI_IO_TRUNCATE,
    PHI_IO_RENAME,
    PHI_IO_MKDIR,
    PHI_IO_CLOSE,
    PHI_IO_MAP,    /* of a file: phi_pages_map() */
    PHI_IO_THREAD, /* starting one: phi_team_open() */
    PHI_IO_N
};

/* For calls that are made elsewhere: count one. False, with errno: this one has to fail, and must not be made. */
bool phi_io_may(enum phi_io_call call);

/* Tests only. The n-th call of this kind from now on fails with errno = cause, and with lasting all later ones do, too, as on
 * a full disk; n = 0: none. cause 0, for reading and writing: it is done by half, at least a byte of it. */
void phi_io_fail_at(enum phi_io_call call, unsigned long n, int cause, bool lasting);
unsigned long phi_io_count(enum phi_io_call call); /* so far */

#endif
