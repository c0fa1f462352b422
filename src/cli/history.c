/* History. One line of the file is one message, in which \n stands for a newline and \\ for a backslash; lines are
 * only appended, each by one write, so that several chats can share the file. It belongs to its user alone (0600). */
#include "history.h"
#include "state.h"
#include "../io.h"
#include "../memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_ENTRY = 1000, MAX_BYTES = 1 << 20 }; /* read back: the last ones */

static void forget_entries(struct cli_history *h) {
    for (size_t i = 0; i < h->n; i++) cli_text_free(&h->entry[i]);
    h->n = 0;
}

static bool remember(struct cli_history *h, const char *text, size_t n) {
    if (h->n > 0 && h->entry[h->n - 1].n == n && memcmp(h->entry[h->n - 1].bytes, text, n) == 0) return false;
    if (h->n == MAX_ENTRY) {
        cli_text_free(&h->entry[0]);
        memmove(h->entry, h->entry + 1, --h->n * sizeof *h->entry);
    }
    if (h->n == h->room) {
        size_t room = h->room * 2 + 64;
        struct cli_text *more = phi_realloc(h->entry, room, sizeof *more);
        if (!more) return false;
        h->entry = more;
        h->room = room;
    }
    char *copy = phi_alloc(n + 1, 1);
    if (!copy) return false;
    memcpy(copy, text, n);
    h->entry[h->n++] = (struct cli_text){copy, n};
    return true;
}

/* ---- The file -------------------------------------------------------------------------------------------------- */

static void read_line(struct cli_history *h, const char *line, size_t n, char *plain) {
    size_t out = 0;
    for (size_t i = 0; i < n; i++) {
        bool escape = line[i] == '\\' && i + 1 < n;
        if (escape) i++;
        plain[out++] = escape && line[i] == 'n' ? '\n' : line[i];
    }
    if (out) (void)remember(h, plain, out);
}

/* The file stays open for appending: later the sandbox lets nothing be opened for writing. One that can only be read is read. */
static void open_file(struct cli_history *h) {
    char *path = cli_state_path("history");
    if (!path) return;
    cli_state_make_folders(path);
    h->fd = phi_io_open(path, O_RDWR | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY, 0600);
    if (h->fd < 0) h->fd = phi_io_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    phi_free(path);
}

static void close_file(struct cli_history *h) {
    if (h->fd >= 0) phi_io_close(h->fd);
    h->fd = -1;
}

static void read_file(struct cli_history *h) {
    struct stat status;
    if (fstat(h->fd, &status) || !S_ISREG(status.st_mode)) {
        close_file(h);
        return;
    }
    char *bytes = phi_alloc(2 * (size_t)MAX_BYTES, 1);
    if (!bytes) return;
    off_t from = status.st_size > MAX_BYTES ? status.st_size - MAX_BYTES : 0;
    ssize_t got = phi_io_pread_all(h->fd, bytes, MAX_BYTES, (uint64_t)from);
    size_t n = got > 0 ? (size_t)got : 0, at = 0;
    if (from > 0) /* the first line is cut */
        while (at < n && bytes[at++] != '\n') continue;
    while (at < n) {
        const char *end = memchr(bytes + at, '\n', n - at);
        if (!end) break;
        read_line(h, bytes + at, (size_t)(end - bytes) - at, bytes + MAX_BYTES);
        at = (size_t)(end - bytes) + 1;
    }
    phi_free(bytes);
}

static void append_line(struct cli_history *h, const char *text, size_t n) {
    char *line = phi_alloc(2 * n + 2, 1);
    size_t out = 0;
    if (!line) return;
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\n' || text[i] == '\\') line[out++] = '\\';
        line[out++] = text[i] == '\n' ? 'n' : text[i];
    }
    line[out++] = '\n';
    (void)cli_write_all(h->fd, line, out);
    phi_free(line);
}

/* ---- What the editor calls ------------------------------------------------------------------------------------- */

void cli_history_open(struct cli_history *h, bool off) {
    const char *no = getenv("PHI_NOHISTORY");
    *h = (struct cli_history){.fd = -1, .off = off || (no && *no && strcmp(no, "0") != 0)};
    if (!h->off) open_file(h);
}

void cli_history_read(struct cli_history *h) {
    if (h->fd >= 0) read_file(h);
}

void cli_history_close(struct cli_history *h) {
    forget_entries(h);
    phi_free(h->entry);
    close_file(h);
    *h = (struct cli_history){.fd = -1};
}

void cli_history_add(struct cli_history *h, const char *text, size_t n) {
    while (n > 0 && text[n - 1] == ' ') n--; /* completion leaves one */
    if (h->off || n == 0 || text[0] == ' ') return;
    if (remember(h, text, n) && h->fd >= 0) append_line(h, text, n);
}

void cli_history_erase(struct cli_history *h) {
    forget_entries(h);
    if (h->fd >= 0 && phi_io_truncate(h->fd, 0)) cli_warn("the history's file cannot be erased: %s", strerror(errno));
}
