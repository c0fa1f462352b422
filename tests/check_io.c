/* The wrappers of system calls: they do what the system does, count, and fail when they are told to. */
#include "../src/io.h"
#include "../src/memory.h"
#include "../src/team.h"
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static char path[4096], other[4096];

static int open_file(int flags) {
    return phi_io_open(path, flags, 0600);
}

/* Each kind of call, once, on a file of 8 bytes. What it returned; every one is a failure if it is negative. */
static long call(enum phi_io_call kind, int fd) {
    char bytes[8] = "abcdefg";
    void *pages;
    long status;
    phi_error err;
    struct phi_team *team;
    switch (kind) {
    case PHI_IO_OPEN:
        status = open_file(O_RDONLY);
        if (status >= 0) close((int)status);
        return status;
    case PHI_IO_READ:
        return phi_io_pread(fd, bytes, sizeof bytes, 0);
    case PHI_IO_WRITE:
        return phi_io_pwrite(fd, bytes, sizeof bytes, 0);
    case PHI_IO_SYNC:
        return phi_io_sync(fd);
    case PHI_IO_TRUNCATE:
        return phi_io_truncate(fd, 8);
    case PHI_IO_RENAME:
        return phi_io_rename(path, path);
    case PHI_IO_MKDIR:
        rmdir(other);
        return phi_io_mkdir(other, 0700);
    case PHI_IO_CLOSE:
        return phi_io_close(dup(fd));
    case PHI_IO_MAP:
        pages = phi_pages_map(fd, 8);
        phi_pages_free(pages, 8);
        return pages ? 0 : -1;
    case PHI_IO_THREAD:
        status = phi_team_open(2, false, &team, &err);
        if (!status) phi_team_close(team);
        return status;
    default:
        return -1;
    }
}

static void check_each(int fd) {
    for (enum phi_io_call kind = 0; kind < PHI_IO_N; kind++) {
        unsigned long before = phi_io_count(kind);
        int free_fd = dup(fd);
        close(free_fd);
#ifdef _OPENMP
        if (kind == PHI_IO_THREAD) continue; /* OpenMP starts the threads */
#endif
        CHECK(call(kind, fd) >= 0, "call %d: %s", (int)kind, strerror(errno));
        CHECK(phi_io_count(kind) == before + 1, "call %d counted %lu times", (int)kind, phi_io_count(kind) - before);
        phi_io_fail_at(kind, 2, EIO, false);
        CHECK(call(kind, fd) >= 0, "call %d before it has to fail", (int)kind);
        errno = 0;
        CHECK(call(kind, fd) < 0, "call %d did not fail", (int)kind);
        CHECK(errno == EIO || kind == PHI_IO_THREAD, "call %d: errno %d", (int)kind, errno);
        CHECK(call(kind, fd) >= 0, "call %d behind it", (int)kind);
        phi_io_fail_at(kind, 1, ENOSPC, true);
        CHECK(call(kind, fd) < 0 && call(kind, fd) < 0, "call %d did not go on failing", (int)kind);
        phi_io_fail_at(kind, 0, 0, false);
        CHECK(call(kind, fd) >= 0, "call %d at the end", (int)kind);
        int now = dup(fd);
        CHECK(now == free_fd, "call %d lost a descriptor", (int)kind);
        close(now);
    }
}

/* Half a transfer, and loops that go on behind it. */
static void check_short(int fd) {
    char bytes[9] = "";
    phi_io_fail_at(PHI_IO_WRITE, 1, 0, false);
    CHECK(phi_io_pwrite(fd, "12345678", 8, 0) == 4, "half of a write");
    phi_io_fail_at(PHI_IO_WRITE, 1, 0, true);
    CHECK(phi_io_pwrite_all(fd, "ABCDEFGH", 8, 0) == 0, "a write in pieces");
    phi_io_fail_at(PHI_IO_WRITE, 2, ENOSPC, true);
    CHECK(phi_io_pwrite_all(fd, "ABCDEFGH", 8, 0) == 0, "one piece");
    CHECK(phi_io_pwrite_all(fd, "ABCDEFGH", 8, 0) == -1 && errno == ENOSPC, "a full disk");
    CHECK(phi_io_write(STDERR_FILENO, "", 0) == 0, "stderr has to work then");
    phi_io_fail_at(PHI_IO_WRITE, 0, 0, false);
    phi_io_fail_at(PHI_IO_READ, 1, 0, true);
    CHECK(phi_io_pread_all(fd, bytes, 8, 0) == 8 && strcmp(bytes, "ABCDEFGH") == 0, "a read in pieces: %s", bytes);
    CHECK(phi_io_pread_all(fd, bytes, 8, 5) == 3, "a read over the end");
    CHECK(phi_io_read_text(path, bytes, sizeof bytes) && strcmp(bytes, "ABCDEFGH") == 0, "text: %s", bytes);
    phi_io_fail_at(PHI_IO_READ, 2, EIO, false);
    CHECK(phi_io_read_text(path, bytes, 5) && strcmp(bytes, "ABCD") == 0, "text that is cut: %s", bytes);
    CHECK(!phi_io_read_text(path, bytes, sizeof bytes) && !*bytes, "text that cannot be read: %s", bytes);
    phi_io_fail_at(PHI_IO_READ, 0, 0, false);
    CHECK(!phi_io_read_text(other, bytes, sizeof bytes) && !*bytes, "a folder");
    CHECK(!phi_io_read_text("/nowhere/nothing", bytes, sizeof bytes) && !*bytes, "no file");
}

int main(int argc, char **argv) {
    snprintf(path, sizeof path, "%s.file", argc ? argv[0] : "check_io"); /* beside the test itself */
    snprintf(other, sizeof other, "%s.folder", argc ? argv[0] : "check_io");
    int fd = open_file(O_RDWR | O_CREAT);
    CHECK(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC), "opened, closed on exec");
    CHECK(phi_io_write(fd, "abcdefgh", 8) == 8 && lseek(fd, 0, SEEK_SET) == 0, "written");
    char bytes[8];
    CHECK(phi_io_read(fd, bytes, 8) == 8 && memcmp(bytes, "abcdefgh", 8) == 0, "read");
    check_each(fd);
    check_short(fd);
    close(fd);
    unlink(path);
    rmdir(other);
    return check_done("check_io");
}
