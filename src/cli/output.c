/* The answer: a buffer in front of stdout whose every write is checked. The first failure prints the one error line
 * and all later calls return CLI_OUTPUT without trying again. */
#include "cli.h"
#include "../io.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char buffer[65536];
static size_t held;
static bool closed, failed;

void cli_output_closed(void) {
    closed = true;
}

bool cli_output_is_terminal(void) {
    return !closed && isatty(STDOUT_FILENO);
}

int cli_write_all(int fd, const void *bytes, size_t n) {
    const char *at = bytes;
    while (n) {
        ssize_t done = phi_io_write(fd, at, n);
        if (done >= 0) {
            at += done;
            n -= (size_t)done;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) { /* a non-blocking descriptor from the parent process */
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            if (poll(&p, 1, -1) < 0 && errno != EINTR) return -1;
        } else if (errno != EINTR) {
            return -1;
        }
    }
    return 0;
}

static int write_out(const void *bytes, size_t n) {
    if (failed) return CLI_OUTPUT;
    if (closed) errno = EBADF;
    if (n == 0 || (!closed && cli_write_all(STDOUT_FILENO, bytes, n) == 0)) return CLI_OK;
    failed = true;
    if (errno == EPIPE && cli_interrupted() == SIGPIPE)
        return CLI_OUTPUT; /* | head has enough: no reason to complain */
    return cli_fail(CLI_OUTPUT, "write to stdout failed: %s", strerror(errno));
}

int cli_flush(void) {
    size_t n = held;
    held = 0;
    return write_out(buffer, n);
}

int cli_output_status(void) {
    return failed ? CLI_OUTPUT : CLI_OK;
}

int cli_put(const void *bytes, size_t n) {
    if (n > sizeof buffer - held && cli_flush()) return CLI_OUTPUT;
    if (n > sizeof buffer) return write_out(bytes, n);
    memcpy(buffer + held, bytes, n);
    held += n;
    return cli_output_status();
}

int cli_putf(const char *fmt, ...) {
    char line[2048];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (n < 0) return cli_output_status();
    return cli_put(line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

int cli_put_escaped(const char *text, size_t n, unsigned flags) {
    size_t used;
    for (size_t i = 0; i < n; i += used) {
        char shown[4];
        size_t length = cli_escape_next(text + i, n - i, flags, shown, &used);
        if (cli_put(shown, length)) return CLI_OUTPUT;
    }
    return cli_output_status();
}
