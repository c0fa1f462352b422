/* What the surroundings do to a running program. Each command runs in a child of this test while something happens at
 * a chosen moment: a file that it has mapped is cut short, removed or written to; a signal comes as it loads, saves
 * or waits; descriptors are closed; memory, files, descriptors or the stack are limited; a folder may not be written
 * to. Nothing here depends on time: what happens is done by the child itself when it maps a file or flushes one. */
#include "../src/cli/storage.h"

static void watch_storage(void);
#define main phi_main
#define cli_storage_init watch_storage
#include "../src/main.c"
#undef main
#undef cli_storage_init

#include "check.h"
#include "hf_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

/* Sanitizers take terabytes of address space and much stack; OpenMP's own library aborts where a thread cannot be started. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(_OPENMP)
#define SPENDS_MEMORY 1
#else
#define SPENDS_MEMORY 0
#endif

enum { ROOM = 1 << 16 };

static char dir[512], state_dir[600];
static unsigned long long random_state;

static const char *in_dir(const char *name) { /* valid until the eighth call from now */
    static char path[8][700];
    static int at;
    at = (at + 1) % 8;
    snprintf(path[at], sizeof path[at], "%s/%s", dir, name);
    return path[at];
}

/* ---- What happens in the child ----------------------------------------------------------------------------------
 */

enum what { NOTHING, CUT, REMOVE, REWRITE, SIGNAL };

/* Set before the child starts. */
static struct {
    enum what what;
    bool at_sync; /* at the n-th flush of a file, else at the n-th mapping of this file */
    int n;
    const char *file;  /* CUT, REMOVE, REWRITE; its path */
    int fd;            /* of it, open for writing: the sandbox lets nobody open it later */
    off_t size;        /* CUT */
    int number, times; /* SIGNAL */
    int seen;
} event;

static void happen(void) {
    char content[64];
    if (++event.seen != event.n) return;
    switch (event.what) {
    case CUT:
        if (ftruncate(event.fd, event.size)) _exit(98);
        break;
    case REMOVE:
        if (unlink(event.file)) _exit(98);
        break;
    case REWRITE: /* the same bytes; the time tells, which may be counted in whole seconds */
        if (pread(event.fd, content, sizeof content, 0) != sizeof content ||
            pwrite(event.fd, content, sizeof content, 0) != sizeof content ||
            futimens(event.fd, (struct timespec[2]){{1000, 0}, {1000, 0}}))
            _exit(98);
        break;
    case SIGNAL:
        for (int i = 0; i < event.times; i++) raise(event.number);
        break;
    case NOTHING:
        break;
    }
}

static void (*program_watches)(const struct phi_file *f, bool mapped);

static void watch(const struct phi_file *f, bool mapped) {
    program_watches(f, mapped);
    if (mapped && event.what && !event.at_sync && strcmp(f->path, event.file) == 0) happen();
}

static void watch_storage(void) {
    cli_storage_init();
    program_watches = phi_file_watch;
    phi_file_watch = watch;
}

#ifdef __linux__
int fsync(int fd) { /* in place of the C library's */
    if (event.what && event.at_sync) happen();
    return (int)syscall(SYS_fsync, fd);
}
#endif

/* ---- A child ----------------------------------------------------------------------------------------------------
 */

static struct {
    int status;
    char out[ROOM], err[ROOM];
} result;

static void (*prepare)(void); /* called in the child, before the program; NULL: nothing */

static int temporary(const char *content) {
    int fd = open(in_dir("stream"), O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600);
    unlink(in_dir("stream"));
    size_t n = strlen(content);
    if (fd < 0 || write(fd, content, n) != (ssize_t)n || lseek(fd, 0, SEEK_SET)) exit(1);
    return fd;
}

/* All that a child has written; its streams are pipes, which no limit of file sizes concerns, and hold 64 KiB. */
static void drain(const int ends[2], char text[ROOM]) {
    size_t n = 0;
    close(ends[1]);
    for (ssize_t got; (got = read(ends[0], text + n, ROOM - 1 - n)) > 0;) n += (size_t)got;
    text[n] = 0;
    close(ends[0]);
}

static void take(int fd, char text[ROOM]) {
    ssize_t n = pread(fd, text, ROOM - 1, 0);
    text[n > 0 ? n : 0] = 0;
    close(fd);
}

/* "@NAME" is NAME in the test's folder. */
static void child(const char *arguments) {
    static char words[4096], path[32][700];
    char *argv[64] = {"./phi"};
    int argc = 1, n_path = 0;
    snprintf(words, sizeof words, "%s", arguments);
    for (char *word = strtok(words, " "); word && argc < 63; word = strtok(NULL, " ")) {
        if (word[0] == '@') {
            snprintf(path[n_path], sizeof path[0], "%s/%s", dir, word + 1);
            word = path[n_path++];
        }
        argv[argc++] = word;
    }
    for (int fd = 3; fd < 64; fd++)
        if (fd != event.fd) close(fd);
    alarm(1800); /* a hang; far beyond what a busy machine takes */
    if (prepare) prepare();
    exit(phi_main(argc, argv));
}

static pid_t start(const char *arguments, int in, int out, int err) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid) return pid;
    dup2(in, 0), dup2(out, 1), dup2(err, 2);
    child(arguments);
    return -1;
}

static void run_phi(const char *input, const char *arguments) {
    int in = temporary(input), out[2], err[2];
    event.seen = 0;
    if (pipe(out) || pipe(err)) exit(1);
    pid_t pid = start(arguments, in, out[1], err[1]);
    if (waitpid(pid, &result.status, 0) != pid) result.status = -1;
    close(in);
    drain(out, result.out);
    drain(err, result.err);
}

static int exit_code(void) {
    return WIFEXITED(result.status) ? WEXITSTATUS(result.status) : -WTERMSIG(result.status);
}

static int error_lines(void) {
    int n = 0;
    for (const char *at = result.err; (at = strstr(at, "phi: error: ")); at++)
        n += at == result.err || at[-1] == '\n';
    return n;
}

/* No unfinished file is left behind. */
static void check_left(const char *what) {
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));)
        CHECK(!strstr(e->d_name, ".part"), "%s: %s is left", what, e->d_name);
    if (d) closedir(d);
}

/* ---- Commands and their files -----------------------------------------------------------------------------------
 */

static const struct command {
    const char *name, *arguments;
    const char *file; /* that is mapped */
    int cut_at, last; /* the mapping of it whose every byte the command reads (0: none); the last one */
} commands[] = {
    {"run", "run -m @m.gguf -p abc -n 3 --temp 0 --no-perf", "m.gguf", 1, 1},
    {"chat", "chat -st -m @m.gguf -p abc -n 3 --temp 0 --no-perf", "m.gguf", 1, 1},
    {"bench", "bench -m @m.gguf -p 4 -n 2 -r 1", "m.gguf", 1, 1},
    {"logits", "logits -m @m.gguf --ids 1,2,3 -o @out", "m.gguf", 1, 1},
    {"eval", "eval -m @m.gguf -f @text -c 16", "m.gguf", 1, 1},
    {"imatrix", "imatrix -m @m.gguf -f @text -c 16 -o @out", "m.gguf", 1, 1},
    {"quantize", "quantize @m.gguf @new.gguf q4_0 2", "m.gguf", 1, 1},
    {"quantize, copy", "quantize @m.gguf @new.gguf f32 2", "m.gguf", 1, 1},
    {"quantize, matrix", "quantize @m.gguf @new.gguf q8_0 2 --imatrix @matrix", "matrix", 2, 2},
    {"eval, base", "eval -m @m.gguf --kl-divergence --kl-divergence-base @base", "base", 1, 1},
    {"convert", "convert @hf @new.gguf --outtype f16", "hf/b.safetensors", 1, 1},
    {"convert, copy", "convert @hf @new.gguf", "hf/a.safetensors", 1, 1},
    {"convert, words", "convert @hf @new.gguf", "hf/config.json", 1, 1},
    {"info --verify", "info @m.gguf --verify", "m.gguf", 1, 2},
    {"info --sha256", "info @m.gguf --sha256", "m.gguf", 2, 2},
    {"info", "info @m.gguf", "m.gguf", 0, 2},
    {"tokenize", "tokenize -m @m.gguf -p abc", "m.gguf", 0, 1},
};
enum { N_COMMAND = sizeof commands / sizeof *commands };

/* A file's content, to be put back. */
struct kept {
    uint8_t *bytes;
    size_t n;
};

static struct kept keep(const char *name) {
    struct kept k = {NULL, 0};
    FILE *f = fopen(in_dir(name), "rb");
    if (f && fseek(f, 0, SEEK_END) == 0) {
        k.n = (size_t)ftell(f);
        k.bytes = malloc(k.n + 1);
        rewind(f);
        if (k.bytes && fread(k.bytes, 1, k.n, f) != k.n) k.n = 0;
    }
    if (f) fclose(f);
    CHECK(k.n > 0, "%s", name);
    return k;
}

static void put_back(const char *name, const struct kept *k) {
    unlink(in_dir(name));
    gguf_write_file(in_dir(name), k->bytes, k->n);
}

/* ---- A file that is cut short, goes away or is written to --------------------------------------------------------
 */

static const char sentence[] = ": model file changed or storage removed while running\n",
                  warning[] = " changed while the program ran; what was computed after that may be wrong\n";

static void check_cut(const struct command *c, const struct kept *k, int n, size_t size, bool touched) {
    put_back(c->file, k);
    unlink(in_dir("out"));
    gguf_write_file(in_dir("out"), "kept", 4); /* what an output file held */
    char file[700];
    snprintf(file, sizeof file, "%s", in_dir(c->file));
    event.what = CUT;
    event.at_sync = false;
    event.n = n;
    event.file = file;
    event.size = (off_t)size;
    event.fd = open(file, O_WRONLY);
    run_phi("", c->arguments);
    close(event.fd);
    event.fd = -1;
    int code = exit_code();
    bool told = strstr(result.err, sentence) != NULL;
    CHECK(code == 3 ? error_lines() == 1 : code == 0 && error_lines() == 0 && strstr(result.err, warning),
          "%s, cut at %zu of %zu: status %x, %s", c->name, size, k->n, (unsigned)result.status, result.err);
    CHECK(!touched || (code == 3 && told), "%s, cut at %zu of %zu: exit code %d, '%s'", c->name, size, k->n, code,
          result.err);
    check_left(c->name);
    CHECK(code == 0 || access(in_dir("new.gguf"), F_OK) != 0, "%s, cut at %zu: a new model", c->name, size);
    unlink(in_dir("new.gguf"));
    if (code && strstr(c->arguments, "imatrix -m")) {
        struct kept out = keep("out");
        CHECK(out.n == 4 && memcmp(out.bytes, "kept", 4) == 0, "%s, cut at %zu: the output file has %zu bytes",
              c->name, size, out.n);
        free(out.bytes);
    }
}

/* At once when it has been mapped, at several places: the first page holds the header's beginning, the last bytes are
 * a part of the last page, which stays readable. */
static void check_cuts(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < N_COMMAND; i++) {
        const struct command *c = &commands[i];
        struct kept k = keep(c->file);
        size_t last = (k.n - 1) / page * page;
        check_cut(c, &k, 1, 0, true);
        if (last) check_cut(c, &k, c->last, last, c->cut_at == c->last);
        for (int n = 1; n <= c->last; n++) {
            if (last > page) check_cut(c, &k, n, page, n == c->cut_at);
            check_cut(c, &k, n, last / 2, n == c->cut_at);
        }
        check_cut(c, &k, 1, k.n / 2 - 1, false);
        check_cut(c, &k, 1, k.n - 1, false);
        put_back(c->file, &k);
        free(k.bytes);
    }
    event.what = NOTHING;
}

static void check_changed(enum what what) {
    for (size_t i = 0; i < N_COMMAND; i++) {
        static char arguments[600], out[ROOM];
        const struct command *c = &commands[i];
        struct kept k = keep(c->file);
        char file[700];
        snprintf(file, sizeof file, "%s", in_dir(c->file));
        snprintf(arguments, sizeof arguments, "%s --no-sandbox",
                 c->arguments); /* inside, the child could not do it */
        event.what = NOTHING;
        run_phi("", arguments);
        CHECK(exit_code() == 0 && !strstr(result.err, warning), "%s: status %x, %s", c->name, (unsigned)result.status,
              result.err);
        memcpy(out, result.out, sizeof out);
        event.what = what;
        event.at_sync = false;
        event.n = c->last;
        event.file = file;
        event.fd = open(file, O_RDWR);
        run_phi("", arguments);
        close(event.fd);
        event.fd = -1;
        CHECK(exit_code() == 0 && (strcmp(out, result.out) == 0 || strcmp(c->name, "bench") == 0),
              "%s: status %x, %s%s", c->name, (unsigned)result.status, result.out, result.err);
        const char *told = strstr(result.err, warning);
        CHECK(!told == (what == REMOVE) && (!told || !strstr(told + 1, warning)), "%s, %d: %s", c->name, (int)what,
              result.err);
        put_back(c->file, &k);
        free(k.bytes);
    }
    event.what = NOTHING;
    unlink(in_dir("new.gguf"));
    unlink(in_dir("out"));
}

/* ---- Sessions: the state of the last turn is whole ---------------------------------------------------------------
 */

static int turns_kept(void) { /* of the session file "s"; -1: it is lost */
    enum what before = event.what;
    int n = -1;
    event.what = NOTHING;
    run_phi("/tokens\n", "chat -m @m.gguf --session @s --session-strict --no-perf");
    const char *at = exit_code() == 0 ? strstr(result.err, " tokens in ") : NULL;
    if (at) n = atoi(at + 11);
    event.what = before;
    return n;
}

static void check_session_storage(void) {
#ifdef __linux__
    struct kept k = keep("m.gguf");
    for (int n = 1; n <= 3; n++) { /* cut while the first turn is saved: the second one meets it */
        unlink(in_dir("s"));
        event.what = CUT;
        event.at_sync = true;
        event.n = n;
        event.size = 4096;
        event.fd = open(in_dir("m.gguf"), O_WRONLY);
        run_phi("abc\ndef\nghi\n", "chat -m @m.gguf --session @s -n 2 --no-perf");
        close(event.fd);
        event.fd = -1;
        CHECK(exit_code() == 3 && error_lines() == 1 && strstr(result.err, sentence), "flush %d: status %x, %s", n,
              (unsigned)result.status, result.err);
        put_back("m.gguf", &k);
        CHECK(turns_kept() >= (n > 1), "flush %d: the session is lost: %s", n, result.err);
    }
    /* Written to while the first turn is saved: the second save tells, once. */
    unlink(in_dir("s"));
    event.what = REWRITE;
    event.n = 1;
    event.fd = open(in_dir("m.gguf"), O_RDWR);
    run_phi("abc\ndef\nghi\n", "chat -m @m.gguf --session @s -n 2 --no-perf --no-sandbox");
    close(event.fd);
    event.fd = -1;
    const char *told = strstr(result.err, warning);
    CHECK(exit_code() == 0 && told && !strstr(told + 1, warning), "status %x, %s", (unsigned)result.status,
          result.err);
    put_back("m.gguf", &k);
    free(k.bytes);
    event.what = NOTHING;
#else
    SKIP("flushes of a file cannot be watched here");
#endif
}

/* ---- Signals -----------------------------------------------------------------------------------------------------
 */

static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};

static void check_signals_at_load(void) {
    for (size_t i = 0; i < N_COMMAND; i++)
        for (int times = 1; times <= 2; times++) {
            const struct command *c = &commands[i];
            int number = numbers[(i + (size_t)times) % 3];
            char file[700];
            snprintf(file, sizeof file, "%s", in_dir(c->file));
            event.what = SIGNAL;
            event.at_sync = false;
            event.n = 1;
            event.file = file;
            event.number = number;
            event.times = times;
            run_phi("", c->arguments);
            CHECK(exit_code() == -number && error_lines() <= 1, "%s, signal %d: status %x, %s", c->name, number,
                  (unsigned)result.status, result.err);
            check_left(c->name);
            unlink(in_dir("new.gguf"));
        }
    event.what = NOTHING;
}

static void check_signals_at_save(void) {
#ifdef __linux__
    event.what = SIGNAL;
    event.at_sync = true;
    for (int k = 0; k < 3; k++)
        for (event.n = 1; event.n <= 3; event.n++)
            for (event.times = 1; event.times <= 2; event.times++) {
                event.number = numbers[k];
                unlink(in_dir("s"));
                run_phi("abc\ndef\n", "chat -m @m.gguf --session @s -n 2 --no-perf");
                CHECK(exit_code() == -numbers[k] && error_lines() == 0, "signal %d at flush %d: status %x, %s",
                      numbers[k], event.n, (unsigned)result.status, result.err);
                /* The first flush is before the first turn. A second signal ends the program in the middle of a save.
                 */
                int least = event.times == 1 && event.n > 1, n = turns_kept();
                CHECK(n >= least, "signal %d, %d times at flush %d: %d turns, %s", numbers[k], event.times, event.n,
                      n, result.err);
                run_phi("", "quantize @m.gguf @new.gguf q8_0 1");
                check_left("quantize");
                unlink(in_dir("new.gguf"));
            }
    event.what = NOTHING;
#endif
}

/* While a command waits for its stdin, which is open and silent: whenever the signal comes. */
static void check_signals_at_input(void) {
    static const char *const waiting[] = {"run -q -m @m.gguf", "chat -q -m @m.gguf --session @s -n 2",
                                          "tokenize -q -m @m.gguf", "chat -q -st -m @m.gguf"};
    for (int i = 0; i < 24; i++) {
        int in[2], out = temporary(""), err = temporary(""), number = numbers[i % 3];
        char text[64];
        ssize_t n = 0;
        bool talks = i % 4 == 1;
        unlink(in_dir("s"));
        CHECK(pipe(in) == 0, "%s", strerror(errno));
        pid_t pid = start(waiting[i % 4], in[0], out, err);
        if (talks) CHECK(write(in[1], "abc\n", 4) == 4, "%s", strerror(errno));
        for (int k = 0; talks && k < 6000 && (n < 1 || text[n - 1] != '\n'); k++) { /* until the answer's end */
            n = pread(out, text, sizeof text, 0);
            nanosleep(&(struct timespec){0, 10000000}, NULL);
        }
        if (!talks) nanosleep(&(struct timespec){0, (long)(check_random(&random_state) % 40000000)}, NULL);
        kill(pid, number);
        if (waitpid(pid, &result.status, 0) != pid) result.status = -1;
        close(in[0]), close(in[1]);
        take(out, result.out);
        take(err, result.err);
        CHECK(exit_code() == -number && !result.err[0], "%s, signal %d: status %x, %s", waiting[i % 4], number,
              (unsigned)result.status, result.err);
        if (talks) CHECK(turns_kept() == 1, "signal %d: the session is lost: %s", number, result.err);
    }
}

/* ---- Descriptors, limits, folders --------------------------------------------------------------------------------
 */

static int closed_mask;

static void close_some(void) {
    for (int fd = 0; fd < 3; fd++)
        if (closed_mask >> fd & 1) close(fd);
}

static void check_descriptors(void) {
    static const struct {
        const char *arguments;
        bool prints;
    } cases[] = {{"run -m @m.gguf --session @s -p a -n 2 --display-prompt", true},
                 {"chat -m @m.gguf --session @s -p abc -n 2", true},
                 {"info @m.gguf", true},
                 {"tokenize -m @m.gguf -p abc", true},
                 {"bench -m @m.gguf -p 4 -n 0 -r 1", true},
                 {"eval -m @m.gguf -f @text -c 16", true},
                 {"logits -m @m.gguf --ids 1 -o -", true},
                 {"imatrix -m @m.gguf -f @text -c 16 -o @out", false},
                 {"quantize @m.gguf @new.gguf q8_0 1", false},
                 {"convert @hf @new.gguf", false}};
    struct kept k = keep("m.gguf");
    prepare = close_some;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (closed_mask = 0; closed_mask < 8; closed_mask++) {
            int wanted = cases[i].prints && closed_mask & 2 ? 6 : 0;
            unlink(in_dir("s"));
            run_phi("", cases[i].arguments);
            CHECK(exit_code() == wanted, "%s, closed %d: status %x, %s", cases[i].arguments, closed_mask,
                  (unsigned)result.status, result.err);
            CHECK(!(closed_mask & 2) || !result.out[0], "%s, closed %d: %s", cases[i].arguments, closed_mask,
                  result.out);
            CHECK(closed_mask & 4 || error_lines() == (wanted != 0), "%s, closed %d: %s", cases[i].arguments,
                  closed_mask, result.err);
            struct kept now = keep("m.gguf"); /* nothing was written into a file that took the place of a stream */
            CHECK(now.n == k.n && memcmp(now.bytes, k.bytes, k.n) == 0, "%s, closed %d: the model changed",
                  cases[i].arguments, closed_mask);
            free(now.bytes);
            if (i == 1 && !wanted) {
                prepare = NULL;
                CHECK(turns_kept() == 1, "closed %d: %s", closed_mask, result.err);
                prepare = close_some;
            }
        }
    prepare = NULL;
    free(k.bytes);
    unlink(in_dir("new.gguf"));
}

static struct {
    int what;
    rlim_t value;
} limit;

static void set_limit(void) {
    struct rlimit l = {limit.value, limit.value};
    if (limit.what == RLIMIT_AS      ? setrlimit(RLIMIT_AS, &l)
        : limit.what == RLIMIT_FSIZE ? setrlimit(RLIMIT_FSIZE, &l)
                                     : setrlimit(RLIMIT_NOFILE, &l))
        _exit(97);
}

/* Every command under a limit: it works, or ends with one of these exit codes (a bit each) and one line. */
static void check_limited(const char *what, int resource, rlim_t value, unsigned allowed) {
    static const char *const more[] = {
        "run -m @m.gguf --session @s -p a -n 2", "chat -m @m.gguf --session @s -n 2 -p abc",
        "eval -m @m.gguf -f @text -c 16 --kl-divergence-base @out", "bench -m @m.gguf --tune -p 4 -n 1 -r 1"};
    limit.what = resource;
    limit.value = value;
    for (size_t i = 0; i < N_COMMAND + 4; i++) {
        const char *arguments = i < N_COMMAND ? commands[i].arguments : more[i - N_COMMAND];
        prepare = NULL;
        unlink(in_dir("s"));
        if (i == N_COMMAND + 1) run_phi("", more[1]); /* a session that must stay */
        prepare = set_limit;
        run_phi("", arguments);
        prepare = NULL;
        int code = exit_code();
        CHECK(code >= 0 && (code == 0 || allowed >> code & 1), "%s %llu: %s: status %x, %s", what,
              (unsigned long long)value, arguments, (unsigned)result.status, result.err);
        CHECK(error_lines() == (code != 0), "%s %llu: %s: exit code %d, %s", what, (unsigned long long)value,
              arguments, code, result.err);
        check_left(what);
        if (i == N_COMMAND + 1)
            CHECK(turns_kept() >= 1, "%s %llu: the session is lost: %s", what, (unsigned long long)value, result.err);
    }
    unlink(in_dir("new.gguf"));
}

#ifdef __linux__
static unsigned long address_space(void) { /* of this process */
    char text[64] = "";
    int fd = open("/proc/self/statm", O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    return n > 0 ? strtoul(text, NULL, 10) * (unsigned long)sysconf(_SC_PAGESIZE) : 0;
}
#endif

static void check_limits(void) {
    enum { FAILED = 1 << 1, MODEL = 1 << 3, MEMORY = 1 << 4, OUTPUT = 1 << 6 };
    for (rlim_t n = 3; n <= 6; n++) check_limited("descriptors", RLIMIT_NOFILE, n, FAILED | MODEL | MEMORY | OUTPUT);
    static const rlim_t sizes[] = {0, 4096, 20000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        check_limited("file size", RLIMIT_FSIZE, sizes[i], OUTPUT);
#ifdef __linux__
    unsigned long base = address_space();
    if (SPENDS_MEMORY || !base) {
        SKIP("limits of the address space: this build does not keep to them");
        return;
    }
    for (unsigned long more = 0; more <= 24; more += more < 6 ? 2 : 6)
        check_limited("address space", RLIMIT_AS, base + (more << 20), MEMORY);
#endif
}

/* The program itself: its stack counts from the beginning. */
static void check_stack(void) {
    static const char *const cases[] = {"-q -p Once -n 3 -t 2 --force-threads -m models/demo.gguf",
                                        "info models/demo.gguf --verify",
                                        "-q -p x -n 9 -m models/demo.gguf -j {\"type\":\"integer\"}",
                                        "bench -q -p 8 -n 2 -r 1 -o json -m models/demo.gguf",
                                        "chat -q -n 3 -p hello --no-stdin -m models/demo.gguf",
                                        "tokenize -q -p x -m models/demo.gguf"};
    if (access("./phi", X_OK) || SPENDS_MEMORY || (getenv("PHI_RUN") && *getenv("PHI_RUN"))) {
        SKIP("a small stack: no ./phi here that could run with one");
        return;
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            static char words[400];
            char *argv[32] = {"./phi"};
            int argc = 1, null = open("/dev/null", O_RDWR);
            snprintf(words, sizeof words, "%s", cases[i]);
            for (char *word = strtok(words, " "); word; word = strtok(NULL, " ")) argv[argc++] = word;
            dup2(null, 0), dup2(null, 1);
            if (setrlimit(RLIMIT_STACK, &(struct rlimit){64 << 10, 64 << 10})) _exit(97);
            execv(argv[0], argv);
            _exit(97);
        }
        int status = -1;
        waitpid(pid, &status, 0);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "64 KiB of stack: %s: status %x", cases[i],
              (unsigned)status);
    }
}

/* Root may write everywhere: the child gives that up, if it is root. */
static void be_nobody(void) {
#ifdef __linux__
    struct {
        uint32_t version;
        int pid;
    } head = {0x20080522, 0};
    struct {
        uint32_t effective, permitted, inheritable;
    } sets[2] = {{0, 0, 0}, {0, 0, 0}};
    if (geteuid() == 0 && syscall(SYS_capset, &head, sets)) _exit(97);
#endif
}

static void check_read_only(void) {
    static const struct {
        const char *input, *arguments;
        int code;
        const char *says;
    } cases[] = {
        {"", "run -m @m.gguf --session @ro/new -p a -n 2", 6,
         "ro/new: the session file cannot be opened: Permission denied"},
        {"", "run -m @m.gguf --session @ro/s -p a -n 2", 6,
         "ro/s: the session file cannot be opened: Permission denied"},
        {"", "run -m @m.gguf --prompt-cache @ro/c --prompt-cache-ro -p abc -n 2 --no-perf", 0, "prompt cache: "},
        {"", "run -m @m.gguf --prompt-cache @ro/c -p abc -n 2 --no-perf", 6,
         "ro/c: the session file cannot be opened: Permission denied"},
        {"", "imatrix -m @m.gguf -f @text -c 16 -o @ro/new", 6, "ro/new: Permission denied"},
        {"", "logits -m @m.gguf --ids 1 -o @ro/new", 6, "ro/new: Permission denied"},
        {"", "eval -m @m.gguf -f @text -c 16 --kl-divergence-base @ro/new", 6, "ro/new: Permission denied"},
        {"", "quantize @m.gguf @ro/new q8_0 1", 6, "ro/new: cannot be created: Permission denied"},
        {"", "convert @hf @ro/new", 6, "ro/new: cannot be created: Permission denied"},
        {"", "bench -m @m.gguf --tune", 6, "ro/phi: Permission denied"},
        {"abc\n/save new\nabc\n", "chat -q -m @m.gguf -n 2 --no-sandbox", 6,
         "new: the session file cannot be opened: "},
        {"abc\n/load new\nabc\n", "chat -q -m @m.gguf -n 2", 1,
         "new: the session file cannot be opened: No such file"},
        {"abc\n", "chat -q -m @m.gguf -n 2", 0, ""},
        {"", "run -q -m @m.gguf -p abc -n 2", 0, ""},
    };
    char ro[700];
    snprintf(ro, sizeof ro, "%s", in_dir("ro"));
    CHECK(mkdir(ro, 0700) == 0, "%s", ro);
    run_phi("", "run -m @m.gguf --session @ro/s -p a -n 2");
    run_phi("", "run -m @m.gguf --prompt-cache @ro/c -p abc -n 2");
    CHECK(exit_code() == 0 && chmod(in_dir("ro/s"), 0400) == 0 && chmod(in_dir("ro/c"), 0400) == 0 &&
              chmod(ro, 0500) == 0,
          "%s", result.err);
    setenv("XDG_STATE_HOME", ro, 1);
    setenv("XDG_CONFIG_HOME", ro, 1);
    prepare = be_nobody;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_phi(cases[i].input, cases[i].arguments);
        CHECK(exit_code() == cases[i].code && error_lines() == (cases[i].code != 0) &&
                  strstr(result.err, cases[i].says),
              "%s: status %x, '%s'", cases[i].arguments, (unsigned)result.status, result.err);
    }
    prepare = NULL;
    setenv("XDG_STATE_HOME", state_dir, 1);
    setenv("XDG_CONFIG_HOME", state_dir, 1);
    chmod(ro, 0700);
    gguf_remove_dir(ro);
}

/* ---- Weights that are not finite, threads ------------------------------------------------------------------------
 */

static void check_not_finite(void) {
    static const char *const cases[] = {
        "run -q -m @nan.gguf -p abc -n 3",          "chat -q -st -m @nan.gguf -p abc -n 3",
        "eval -q -m @nan.gguf -f @text -c 16",      "imatrix -q -m @nan.gguf -f @text -c 16 -o @out",
        "logits -q -m @nan.gguf --ids 1,2 -o @out", "bench -q -m @nan.gguf -p 4 -n 2 -r 1"};
    struct tiny_phi3 m = tiny_phi3_default();
    struct gguf_writer w = tiny_phi3_build(&m);
    size_t at = w.file.n - w.data.n +
                phi_little_endian(w.file.p + gguf_where(&w, "blk.1.ffn_norm.weight", GGUF_AT_TYPE) + 4, 8);
    gguf_put(&w, at, 0x7fc00000, 4);
    gguf_save(&w, in_dir("nan.gguf"));
    gguf_free(&w);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_phi("", cases[i]);
        CHECK(exit_code() == 1 && error_lines() == 1 && strstr(result.err, "since layer 1 (blk.1.*)"),
              "%s: status %x, '%s'", cases[i], (unsigned)result.status, result.err);
    }
}

int main(int argc, char **argv) {
    char path[512];
    gguf_make_dir(argc, argv, path);
    if (!realpath(path, dir)) return 1;
    random_state = check_seed();
    signal(SIGINT, SIG_DFL); /* a background job or nohup may have ignored them */
    signal(SIGHUP, SIG_DFL);
    event.fd = -1;
    snprintf(state_dir, sizeof state_dir, "%s/state", dir);
    snprintf(hf_folder, sizeof hf_folder, "%.240s/hf", dir);
    CHECK(mkdir(hf_folder, 0700) == 0 && mkdir(state_dir, 0700) == 0, "%s", hf_folder);
    hf_put_config("\"tie_word_embeddings\": false");
    hf_put_shards(&phi_types[PHI_BF16]);
    setenv("XDG_STATE_HOME", state_dir, 1);
    setenv("XDG_CONFIG_HOME", state_dir, 1);
    unsetenv("PHI_MODEL");
    static const char text[] = "a long way to go, and no way back from there; a long way to go, and no way";
    gguf_write_file(in_dir("text"), text, sizeof text - 1);
    struct tiny_phi3 m = tiny_phi3_default();
    m.n_embd = 128;
    m.n_ff = 256;
    struct gguf_writer w = tiny_phi3_build(&m);
    gguf_save(&w, in_dir("m.gguf"));
    gguf_free(&w);
    run_phi("", "imatrix -m @m.gguf -f @text -c 16 -o @matrix");
    run_phi("", "eval -m @m.gguf -f @text -c 16 --kl-divergence-base @base");
    check_cuts();
    check_changed(REMOVE);
    check_changed(REWRITE);
    check_session_storage();
    check_signals_at_load();
    check_signals_at_save();
    check_signals_at_input();
    check_descriptors();
    check_limits();
    check_stack();
    check_read_only();
    check_not_finite();
    snprintf(path, sizeof path, "%.400s/phi/sessions", state_dir);
    gguf_remove_dir(path);
    snprintf(path, sizeof path, "%.400s/phi", state_dir);
    gguf_remove_dir(path);
    gguf_remove_dir(state_dir);
    gguf_remove_dir(hf_folder);
    gguf_remove_dir(dir);
    return check_done("check_situations");
}
