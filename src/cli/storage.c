/* A model's file that is cut short, taken away or written to while it is mapped.
 *
 * Here is the one signal handler that answers instead of noting: SIGBUS for an address in the model's mapping.
 * Everything that it needs is made before, so that it calls only what a handler may. For any other address the
 * system's own action stays what it was. */
#include "storage.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static const char *volatile mapped; /* NULL: no model yet */
static volatile size_t n_mapped;
static char line[1024];
static volatile size_t n_line;
static char watched[4096]; /* path; "": none */
static struct stat before;
static struct termios terminal; /* stdin's, before anyone changed it */
static volatile sig_atomic_t has_terminal;

static void on_bus_error(int number, siginfo_t *info, void *context) {
    static atomic_flag answered = ATOMIC_FLAG_INIT;
    const char *at = info->si_addr, *begin = mapped;
    (void)context;
    if (info->si_code > 0 && begin && at >= begin && (size_t)(at - begin) < n_mapped) {
        while (atomic_flag_test_and_set(&answered)) pause(); /* another thread met it too, and ends us */
        ssize_t n = write(STDERR_FILENO, line, n_line);
        (void)n;
        cli_signals_last_action();
        if (has_terminal && tcgetpgrp(STDIN_FILENO) == getpgrp()) tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
        _exit(CLI_MODEL);
    }
    /* Not ours: the system's action, which the instruction meets when it is repeated after the return. */
    signal(number, SIG_DFL);
    if (info->si_code <= 0) raise(number); /* sent by a process: there is no instruction */
}

/* The sentence, on a line of its own on a terminal; the path escaped and, where it is long, without its beginning. */
static void make_line(const char *path) {
    enum { KEEP = 200 };
    static const char begin[] = "phi: error: ", end[] = ": model file changed or storage removed while running\n";
    size_t length = strlen(path), n = 0, used;
    const char *from = length > KEEP ? path + length - KEEP : path;
    if (isatty(STDERR_FILENO)) line[n++] = '\n';
    memcpy(line + n, begin, sizeof begin - 1);
    n += sizeof begin - 1;
    if (from > path) {
        memcpy(line + n, "...", 3);
        n += 3;
    }
    for (size_t i = 0; from[i]; i += used) {
        char shown[4];
        size_t n_shown = cli_escape_next(from + i, strlen(from + i), 0, shown, &used);
        memcpy(line + n, shown, n_shown);
        n += n_shown;
    }
    memcpy(line + n, end, sizeof end - 1);
    n_line = n + sizeof end - 1;
}

void cli_storage_watch(const char *path, const void *mapping, size_t n_bytes) {
    static char stack[1 << 16]; /* the signal's frame alone takes some 3 KiB with AVX-512 */
    stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action;
    mapped = NULL;
    make_line(path);
    n_mapped = n_bytes;
    mapped = mapping;
    snprintf(watched, sizeof watched, "%s", path);
    if (stat(path, &before)) watched[0] = 0;
    has_terminal = tcgetattr(STDIN_FILENO, &terminal) == 0;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK; /* threads of a session have no such stack and use their own */
    sigaltstack(&other, NULL);
    sigaction(SIGBUS, &action, NULL);
}

void cli_storage_check(void) {
    struct stat now;
    if (!watched[0] || stat(watched, &now)) return;
    if (now.st_dev != before.st_dev || now.st_ino != before.st_ino) return; /* another file; ours is mapped still */
    if (now.st_size == before.st_size && now.st_mtime == before.st_mtime && now.st_ctime == before.st_ctime) return;
    cli_warn("%s changed while the program ran; what was computed after that may be wrong", watched);
}
