/* Files that are cut short, taken away or written to while they are mapped.
 *
 * Here is the one signal handler that answers instead of noting: SIGBUS for an address in one of the mappings. It calls only
 * what a handler may. For any other address the system's own action stays what it was. */
#include "storage.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

/* What tells that a file was written to. */
struct version {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

enum { MOST = 4160 }; /* as many as a folder has shards at most (safetensors.c), and some beside them */
static struct watched {
    const uint8_t *_Atomic data; /* NULL: free. Set last, cleared first */
    size_t n;
    const char *path;
    struct version before; /* inode 0: not known */
} table[MOST];
static atomic_size_t n_table;
static struct termios terminal; /* stdin's, before anyone changed it */
static bool has_terminal;

/* The sentence, on a line of its own on a terminal; the path escaped and, where it is long, without its beginning. */
static size_t make_line(const char *path, char line[1024]) {
    enum { KEEP = 200 };
    static const char begin[] = "phi: error: ", end[] = ": model file changed or storage removed while running\n";
    struct termios unused;
    size_t length = strlen(path), n = 0, used;
    const char *from = length > KEEP ? path + length - KEEP : path;
    if (tcgetattr(STDERR_FILENO, &unused) == 0) line[n++] = '\n';
    memcpy(line + n, begin, sizeof begin - 1);
    n += sizeof begin - 1;
    if (from > path) {
        memcpy(line + n, "...", 3); /* NOLINT(bugprone-not-null-terminated-result): no string */
        n += 3;
    }
    for (size_t i = 0; from[i]; i += used) {
        char shown[4];
        size_t n_shown = cli_escape_next(from + i, strlen(from + i), 0, shown, &used);
        memcpy(line + n, shown, n_shown);
        n += n_shown;
    }
    memcpy(line + n, end, sizeof end - 1);
    return n + sizeof end - 1;
}

static const struct watched *find(const uint8_t *at) {
    for (size_t i = 0; i < n_table; i++) {
        const uint8_t *data = table[i].data;
        if (data && at >= data && (size_t)(at - data) < table[i].n) return &table[i];
    }
    return NULL;
}

static void on_bus_error(int number, siginfo_t *info, void *context) {
    static atomic_flag answered = ATOMIC_FLAG_INIT;
    static char line[1024];
    const struct watched *w = info->si_code > 0 ? find(info->si_addr) : NULL;
    (void)context;
    if (w) {
        while (atomic_flag_test_and_set(&answered)) pause(); /* another thread met it too, and ends us */
        ssize_t n = write(STDERR_FILENO, line, make_line(w->path, line));
        (void)n;
        cli_signals_last_action();
        if (has_terminal && tcgetpgrp(STDIN_FILENO) == getpgrp()) tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
        _exit(CLI_MODEL);
    }
    /* Not ours: the system's action, which the instruction meets when it is repeated after the return. */
    signal(number, SIG_DFL);
    if (info->si_code <= 0) raise(number); /* sent by a process: there is no instruction */
}

static void get_version(const char *path, struct version *v) {
    struct stat st;
    memset(v, 0, sizeof *v);
    if (stat(path, &st)) return;
    v->device = st.st_dev;
    v->inode = st.st_ino;
    v->size = st.st_size;
#ifdef __APPLE__
    v->modified = st.st_mtimespec;
    v->changed = st.st_ctimespec;
#else
    v->modified = st.st_mtim;
    v->changed = st.st_ctim;
#endif
}

static bool same_time(struct timespec a, struct timespec b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Each change is told of once, though a command may map a file twice. */
static void check(const struct watched *w) {
    const struct version *before = &w->before;
    struct version now;
    get_version(w->path, &now);
    if (!now.inode) return;
    if (now.device != before->device || now.inode != before->inode) return; /* another file; ours is mapped still */
    if (now.size == before->size && same_time(now.modified, before->modified) && same_time(now.changed, before->changed))
        return;
    for (size_t i = 0; i < n_table; i++)
        if (table[i].before.device == now.device && table[i].before.inode == now.inode) table[i].before = now;
    cli_warn("%s changed while the program ran; what was computed after that may be wrong", w->path);
}

static void watch(const struct phi_file *f, bool mapped) {
    size_t i = 0;
    while (i < n_table && table[i].data != (mapped ? NULL : f->data)) i++;
    if (i == MOST || (!mapped && i == n_table)) return;
    if (!mapped) {
        check(&table[i]);
        table[i].data = NULL;
        return;
    }
    table[i].n = (size_t)f->size;
    table[i].path = f->path;
    get_version(f->path, &table[i].before);
    table[i].data = f->data;
    if (i == n_table) n_table = i + 1;
}

void cli_storage_check(void) {
    for (size_t i = 0; i < n_table; i++)
        if (table[i].data) check(&table[i]);
}

void cli_storage_init(void) {
    static char stack[1 << 16]; /* the signal's frame alone takes some 3 KiB with AVX-512 */
    stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action;
    has_terminal = tcgetattr(STDIN_FILENO, &terminal) == 0;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK; /* threads of a session have no such stack and use their own */
    sigaltstack(&other, NULL);
    sigaction(SIGBUS, &action, NULL);
    phi_file_watch = watch;
}
