/* The sandbox: what a process cannot do any more once it is inside, what it still can, and how the program behaves
 * where the kernel has less of it. The first part tries system calls in children of this test, which enter by
 * cli_sandbox_enter(); the second runs ./phi with the demo model, from the top of the checkout, also under filters of
 * this test's own that make the kernel look older or the surroundings look like Android's. $PHI_RUN is put before it
 * (an emulator). */
#include "../src/cli/sandbox.h"
#include "check.h"
#include "gguf_writer.h"

#if !defined(__linux__)
int main(void) {
    SKIP("the sandbox is a matter of Linux");
    return check_done("check_sandbox");
}
#else

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROOM = 1 << 16 };
static char dir[512], folder[600], file[600], inside[700], inside2[700], tuned[700];

/* ---- One child, one attempt ------------------------------------------------------------------------------------ */

enum { DONE = 0, OTHER = 200, NO_FILTER = 201, NO_LANDLOCK = 202, NOT_ENTERED = 203 };

typedef long attempt_fn(void);

/* What became of the attempt: DONE, an errno, or OTHER; the child entered the sandbox before it. */
static int try(attempt_fn *attempt, const char *writable, bool needs_landlock) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct cli_options o = {.sandbox = 1};
        if (cli_sandbox_enter(&o, writable, false)) _exit(NO_FILTER);
        if (strstr(cli_sandbox_describe(), "no seccomp")) _exit(NO_FILTER);
        if (needs_landlock && strstr(cli_sandbox_describe(), "no Landlock")) _exit(NO_LANDLOCK);
        errno = 0;
        long got = attempt();
        _exit(got >= 0 ? DONE : errno > 0 && errno < OTHER ? errno : OTHER);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : OTHER;
}

static long open_for_writing(void) {
    return open(file, O_WRONLY);
}
static long open_for_both(void) {
    return open(file, O_RDWR);
}
static long make_file(void) {
    char path[700];
    snprintf(path, sizeof path, "%s.new", file);
    return open(path, O_RDONLY | O_CREAT, 0600);
}
static long empty_file(void) {
    return open(file, O_RDONLY | O_TRUNC);
}
static long make_unnamed(void) {
    return open(dir, O_WRONLY | O_TMPFILE, 0600);
}
static long open_by_hand(void) { /* as code that a file smuggles in would: without the C library's wrappers */
    return syscall(SYS_openat, AT_FDCWD, file, O_WRONLY, 0);
}
static long open_second_way(void) {
    unsigned long long how[3] = {O_WRONLY, 0, 0};
    return syscall(437, AT_FDCWD, file, how, sizeof how);
}
static long cut_file(void) {
    return truncate(file, 0);
}
static long rename_file(void) {
    return rename(file, file);
}
static long remove_file(void) {
    return unlink(file);
}
static long make_folder(void) {
    char path[700];
    snprintf(path, sizeof path, "%s.folder", file);
    return mkdir(path, 0700);
}
static long link_file(void) {
    char path[700];
    snprintf(path, sizeof path, "%s.link", file);
    return symlink(file, path);
}
static long change_mode(void) {
    return chmod(file, 0777);
}
static long change_mode_of_open(void) {
    return fchmod(open(file, O_RDONLY), 0777);
}
static long make_socket(void) {
    return socket(AF_INET, SOCK_STREAM, 0);
}
static long make_pair(void) {
    int pair[2];
    return socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
}
static long run_program(void) {
    char *argv[] = {"true", NULL}, *env[] = {NULL};
    return execve("/bin/true", argv, env);
}
static long run_open_program(void) {
    char *argv[] = {"true", NULL}, *env[] = {NULL};
    return syscall(SYS_execveat, open("/bin/true", O_RDONLY), "", argv, env, 0x1000);
}
static long start_process(void) {
    pid_t child = fork();
    if (child == 0) _exit(0);
    return child;
}
static long trace(void) {
    return syscall(SYS_ptrace, 0 /* PTRACE_TRACEME */, 0, 0, 0);
}
static long read_other(void) {
    return syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
}
static long ring(void) {
    char parameters[256] = "";
    return syscall(425, 1, parameters);
}
static long type_into_terminal(void) {
    return ioctl(STDIN_FILENO, 0x5412, "x");
}
#if defined(__x86_64__)
static long foreign_x32(void) {
    return syscall(0x40000000 + 39); /* getpid */
}
static long foreign_i386(void) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory"); /* getpid */
    if (result < 0) errno = (int)-result;
    return result < 0 ? -1 : 0;
}
#endif

static const struct {
    attempt_fn *attempt;
    const char *what;
    int wanted;
} forbidden[] = {
    {open_for_writing, "opening for writing", EPERM},
    {open_for_both, "opening for reading and writing", EPERM},
    {make_file, "making a file", EPERM},
    {empty_file, "emptying a file that is opened for reading", EPERM},
    {make_unnamed, "a file without a name", EPERM},
    {open_by_hand, "openat by hand", EPERM},
    {open_second_way, "openat2", ENOSYS},
    {cut_file, "truncate", EPERM},
    {rename_file, "rename", EPERM},
    {remove_file, "unlink", EPERM},
    {make_folder, "mkdir", EPERM},
    {link_file, "symlink", EPERM},
    {change_mode, "chmod", EPERM},
    {change_mode_of_open, "fchmod", EPERM},
    {make_socket, "socket", EPERM},
    {make_pair, "socketpair", EPERM},
    {run_program, "execve", EPERM},
    {run_open_program, "execveat", EPERM},
    {start_process, "fork", EPERM},
    {trace, "ptrace", EPERM},
    {read_other, "process_vm_readv", EPERM},
    {ring, "io_uring_setup", ENOSYS},
    {type_into_terminal, "TIOCSTI", EPERM},
#if defined(__x86_64__)
    {foreign_x32, "a call of x32", ENOSYS},
    {foreign_i386, "a call of i386", ENOSYS},
#endif
};

/* ---- What stays possible --------------------------------------------------------------------------------------- */

static int opened_before;

static long read_file(void) {
    char bytes[8];
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return fd >= 0 && read(fd, bytes, 8) == 8 && mmap(NULL, 8, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED ? 0 : -1;
}
static long list_folder(void) {
    DIR *d = opendir(dir);
    return d && readdir(d) ? 0 : -1;
}
static long write_open_file(void) {
    return pwrite(opened_before, "12345678", 8, 0) == 8 && ftruncate(opened_before, 8) == 0 &&
                   fsync(opened_before) == 0
               ? 0
               : -1;
}
static void *nothing(void *unused) {
    return unused;
}
static long start_thread(void) {
    pthread_t thread;
    int cause = pthread_create(&thread, NULL, nothing, NULL);
    if (!cause) cause = pthread_join(thread, NULL);
    errno = cause;
    return cause ? -1 : 0;
}
static long allocate(void) {
    void *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p != MAP_FAILED && malloc(1 << 22) ? 0 : -1;
}
static long stop_by_signal(void) {
    signal(SIGUSR1, SIG_IGN);
    return raise(SIGUSR1);
}
static long enter_again(void) {
    struct cli_options o = {.sandbox = 1};
    return cli_sandbox_enter(&o, NULL, false);
}

static const struct {
    attempt_fn *attempt;
    const char *what;
} allowed[] = {
    {read_file, "reading and mapping a file"},
    {list_folder, "listing a folder"},
    {write_open_file, "writing to what is open"},
    {start_thread, "a thread"},
    {allocate, "memory"},
    {stop_by_signal, "a signal to itself"},
    {enter_again, "entering again"},
};

/* ---- With a folder --------------------------------------------------------------------------------------------- */

static long save_inside(void) {
    int fd = open(inside, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, "saved", 5) != 5 || fsync(fd) || close(fd) || rename(inside, inside2)) return -1;
    struct stat st;
    return stat(inside2, &st) == 0 && st.st_size == 5 ? unlink(inside2) : -1;
}
static long move_out(void) {
    char path[700];
    snprintf(path, sizeof path, "%s.out", file);
    int fd = open(inside, O_RDWR | O_CREAT, 0600);
    if (fd < 0) return 0;
    close(fd);
    long got = rename(inside, path);
    int cause = errno;
    unlink(inside);
    errno = cause;
    return got;
}
static long link_inside(void) { /* a way out of the folder: a link to a file outside */
    return symlink(file, inside);
}
static long folder_inside(void) {
    return mkdir(inside, 0700);
}

static bool may_write(const char *path) { /* what cli_sandbox_check_write() says; its error line goes nowhere */
    int keep = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY);
    dup2(null, STDERR_FILENO);
    bool may = cli_sandbox_check_write(path) == CLI_OK;
    dup2(keep, STDERR_FILENO);
    return may;
}

static void check_write_paths(void) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        char path[800];
        long bad = !may_write(file); /* outside, everything may be written */
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        struct cli_options o = {.sandbox = 1};
        if (cli_sandbox_enter(&o, folder, false) || strstr(cli_sandbox_describe(), "no Landlock")) _exit(NO_LANDLOCK);
        bad += cli_sandbox_check_write(inside) != CLI_OK;
        bad += cli_sandbox_check_write(file) != CLI_USAGE;
        bad += cli_sandbox_check_write("here") != CLI_USAGE;
        bad += cli_sandbox_check_write("/here") != CLI_USAGE;
        snprintf(path, sizeof path, "%s/../here", folder);
        bad += cli_sandbox_check_write(path) != CLI_USAGE;
        snprintf(path, sizeof path, "%s-no/here", folder);
        bad += cli_sandbox_check_write(path) != CLI_USAGE;
        snprintf(path, sizeof path, "%s/none/here", folder);
        bad += cli_sandbox_check_write(path) != CLI_USAGE;
        _exit((int)bad);
    }
    int status;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == NO_LANDLOCK),
          "paths that may be written: %d wrong", WEXITSTATUS(status));
}

static void check_attempts(void) {
    if (try(read_file, NULL, false) == NO_FILTER) {
        SKIP("system calls: this system has no seccomp");
        return;
    }
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
        int got = try(forbidden[i].attempt, NULL, false);
        CHECK(got == forbidden[i].wanted, "%s: %d, expected %d", forbidden[i].what, got, forbidden[i].wanted);
    }
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        int got = try(allowed[i].attempt, NULL, false);
        CHECK(got == DONE, "%s: %d", allowed[i].what, got);
    }
    if (try(read_file, folder, true) == NO_LANDLOCK) {
        SKIP("a folder that may be written: this system has no Landlock");
        return;
    }
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden;
         i++) { /* EACCES, ENOTDIR .. where Landlock answers */
        int got = try(forbidden[i].attempt, folder, true);
        bool other = forbidden[i].attempt == rename_file; /* onto itself: nothing is done, and nothing forbids that */
        CHECK(other || got == forbidden[i].wanted || got == EACCES, "%s, with a folder: %d", forbidden[i].what, got);
    }
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        CHECK(try(allowed[i].attempt, folder, true) == DONE, "%s, with a folder", allowed[i].what);
    CHECK(try(save_inside, folder, true) == DONE, "saving in the folder");
    int got = try(move_out, folder, true);
    CHECK(got == EXDEV || got == EACCES, "moving a file out of the folder: %d", got);
    CHECK(try(link_inside, folder, true) == EPERM, "a link in the folder");
    CHECK(try(folder_inside, folder, true) == EPERM, "a folder in the folder");
    struct stat st;
    CHECK(stat(file, &st) == 0 && st.st_size == 8 && (st.st_mode & 0777) == 0600, "the file is as it was");
}

/* ---- The program ----------------------------------------------------------------------------------------------- */

static char said[ROOM];

/* As struct sock_filter: makes one system call fail, or kill like Android's filter. */
struct instruction {
    unsigned short code;
    unsigned char if_true, if_false;
    unsigned k;
};
enum { WITHOUT_NOTHING, WITHOUT_LANDLOCK, DISABLED_LANDLOCK, PUNISHED_LANDLOCK, WITHOUT_BOTH, PUNISHED_BOTH };
static const unsigned ANSWER = 0x50000, TRAP = 0x30000, ALLOW = 0x7fff0000;

static bool look_older(int how) {
    unsigned landlock = how == DISABLED_LANDLOCK                           ? ANSWER | EOPNOTSUPP
                        : how == PUNISHED_LANDLOCK || how == PUNISHED_BOTH ? TRAP
                                                                           : ANSWER | ENOSYS;
    unsigned seccomp = how == PUNISHED_BOTH ? TRAP : how == WITHOUT_BOTH ? ANSWER | EINVAL : ALLOW;
    struct instruction code[] = {
        {0x20, 0, 0, 0},       {0x15, 0, 1, 444},       {0x06, 0, 0, landlock}, {0x15, 0, 1, SYS_seccomp},
        {0x06, 0, 0, seccomp}, {0x15, 0, 3, SYS_prctl}, {0x20, 0, 0, 16},       {0x15, 0, 1, 22},
        {0x06, 0, 0, seccomp}, {0x06, 0, 0, ALLOW},
    };
    struct {
        unsigned short n;
        struct instruction *code;
    } program = {sizeof code / sizeof *code, code};
    if (how == WITHOUT_NOTHING) return true;
    return prctl(38, 1, 0, 0, 0) == 0 && prctl(22, 2, &program) == 0;
}

static pid_t start(int how, int *in, int *out, const char *const *arguments) {
    static char run[256];
    const char *argv[32];
    int n = 0, to[2], from[2];
    snprintf(run, sizeof run, "%s", getenv("PHI_RUN") ? getenv("PHI_RUN") : "");
    for (char *word = strtok(run, " "); word && n < 8; word = strtok(NULL, " ")) argv[n++] = word;
    argv[n++] = "./phi";
    while (*arguments && n < 31) argv[n++] = *arguments++;
    argv[n] = NULL;
    if (pipe(to) || pipe(from)) return -1;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        dup2(to[0], 0), dup2(from[1], 1), dup2(from[1], 2);
        close(to[0]), close(to[1]), close(from[0]), close(from[1]);
        setenv("ASAN_OPTIONS", "detect_leaks=0",
               1); /* the leak check traces the process, which the sandbox forbids */
        if (!look_older(how)) _exit(NOT_ENTERED);
        execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    close(to[0]), close(from[1]);
    *in = to[1], *out = from[0];
    return child;
}

/* Until the text has come, or the end. */
static bool hear(int out, const char *text) {
    size_t n = strlen(said);
    for (;;) {
        if (text && strstr(said, text)) return true;
        struct pollfd p = {.fd = out, .events = POLLIN};
        ssize_t got = poll(&p, 1, 120000) > 0 && n < ROOM - 1 ? read(out, said + n, ROOM - 1 - n) : 0;
        if (got <= 0) return false;
        n += (size_t)got;
        said[n] = 0;
    }
}

/* Run to the end with this on stdin; stdout and stderr are in said. The exit code, -1: killed. */
static int run(int how, const char *input, const char *const *arguments) {
    int in, out, status = 0;
    said[0] = 0;
    pid_t child = start(how, &in, &out, arguments);
    if (child < 0) return -1;
    if (write(in, input, strlen(input)) < 0) return -1;
    close(in);
    hear(out, NULL);
    close(out);
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
#define RUN(how, ...) run(how, "", (const char *const[]){__VA_ARGS__, NULL})

static int number_behind(const char *text, const char *name) {
    const char *at = strstr(text, name);
    return at ? atoi(at + strlen(name)) : -1;
}

/* Every thread of a chat that has answered once and waits. */
static void check_threads(bool has_seccomp) {
    int in, out, n = 0, status;
    said[0] = 0;
    pid_t child =
        start(WITHOUT_NOTHING, &in, &out,
              (const char *const[]){"chat", "--sandbox", "-t", "3", "-tb", "3", "--force-threads", "-n", "3", NULL});
    CHECK(child > 0 && write(in, "hello\n", 6) == 6 && hear(out, "Generation: "), "a chat on a pipe: %s", said);
    char path[300], text[4096];
    snprintf(path, sizeof path, "/proc/%d/task", (int)child);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/status", (int)child, e->d_name);
        int fd = open(path, O_RDONLY);
        ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
        if (fd >= 0) close(fd);
        text[got > 0 ? got : 0] = 0;
        CHECK(number_behind(text, "NoNewPrivs:") == 1, "thread %s can gain rights", e->d_name);
        CHECK(!has_seccomp || number_behind(text, "Seccomp:") == 2, "thread %s has no filter", e->d_name);
        n++;
    }
    if (d) closedir(d);
    CHECK(n >= 3, "%d threads", n);
    close(in);
    hear(out, NULL);
    close(out);
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
}

/* A command that waits for its stdin, of which it has read nothing yet: it is inside already. */
static void check_before_reading(const char *const *arguments) {
    char path[64], text[4096] = "";
    int in, out, seccomp = -1, status;
    pid_t child = start(WITHOUT_NOTHING, &in, &out, arguments);
    snprintf(path, sizeof path, "/proc/%d/status", (int)child);
    for (int i = 0; i < 6000 && seccomp != 2; i++) {
        int fd = open(path, O_RDONLY);
        ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
        if (fd >= 0) close(fd);
        text[got > 0 ? got : 0] = 0;
        seccomp = number_behind(text, "Seccomp:");
        usleep(10000);
    }
    CHECK(seccomp == 2, "phi %s waits for stdin outside of the sandbox", arguments[0]);
    kill(child, SIGKILL);
    close(in);
    close(out);
    waitpid(child, &status, 0);
}

/* Commands that write: what they make is there, and nothing else; whatever the kernel has of the sandbox. */
static void check_writers(int how, bool has_landlock) {
    char wanted[1600];
    const struct {
        const char *word[12];
    } commands[] = {
        {{"quantize", "models/demo.gguf", inside, "q8_0", "2", "--allow-requantize", "-q", "--sandbox"}},
        {{"imatrix", "-f", "README.md", "-c", "16", "--chunks", "1", "-o", inside, "-q", "--sandbox"}},
        {{"eval", "-f", "README.md", "-c", "16", "--chunks", "1", "-q", "--kl-divergence-base", inside, "--sandbox"}},
        {{"logits", "--ids", "1,2", "-o", inside, "-q", "--sandbox"}},
        {{"run", "-q", "-p", "Once", "-n", "2", "--session", inside, "--sandbox"}},
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        struct stat st;
        unlink(inside);
        int status = run(how, "", commands[i].word);
        CHECK(status == 0 && stat(inside, &st) == 0 && st.st_size > 100, "kernel %d, %s: status %d, %s", how,
              commands[i].word[0], status, said);
        DIR *d = opendir(folder);
        for (struct dirent *e; d && (e = readdir(d));)
            CHECK(!strstr(e->d_name, ".part"), "kernel %d, %s: %s is left", how, commands[i].word[0], e->d_name);
        if (d) closedir(d);
    }
    unlink(inside);
    CHECK(RUN(how, "bench", "--tune", "-q", "--sandbox") == 0 && access(tuned, F_OK) == 0, "kernel %d: %s", how, said);
    unlink(tuned);
    /* A talk writes to one folder, where Landlock can allow it; it starts no editor. */
    snprintf(wanted, sizeof wanted, "/edit\n/save %s\n/save kept\n/load kept\n", inside2);
    CHECK(run(how, wanted, (const char *const[]){"chat", "-q", "-n", "2", "-p", "hello", "--sandbox", NULL}) == 2,
          "kernel %d: %s", how, said);
    CHECK(strstr(said, "phi: error: /edit needs the line editor, which is off here\n"), "kernel %d: %s", how, said);
    snprintf(wanted, sizeof wanted, "phi: error: %s: the sandbox allows %s/sessions/ only; use --session or --no-sandbox\n",
             inside2, folder);
    if (!has_landlock)
        snprintf(wanted, sizeof wanted,
                 "phi: error: %s: the sandbox allows no new files here; use --session or --no-sandbox\n", inside2);
    CHECK(strstr(said, wanted) && access(inside2, F_OK) != 0, "kernel %d: '%s' lacks '%s'", how, said, wanted);
    snprintf(wanted, sizeof wanted, "%s/sessions/kept", folder);
    CHECK((access(wanted, F_OK) == 0) == has_landlock, "kernel %d: %s", how, said);
    CHECK(!strstr(said, " cannot be opened: Operation not permitted"), "kernel %d: %s", how, said);
    unlink(wanted);
}

/* As in sandbox.c: a build with instruments is without it anyway, and says so. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(PHI_INSTRUMENTED)
#define OFF "off (a build with instruments)"
#else
#define OFF "off (--no-sandbox)"
#endif

static void check_program(void) {
    bool emulated = getenv("PHI_RUN") && *getenv("PHI_RUN");
    CHECK(RUN(WITHOUT_NOTHING, "info", "--no-sandbox") == 0 && strstr(said, "\nsandbox: " OFF "\n"), "%s", said);
    CHECK(RUN(WITHOUT_NOTHING, "-p", "Once", "-n", "2", "-v", "--no-sandbox") == 0 && strstr(said, "phi: sandbox = " OFF "\n"),
          "%s", said);
    CHECK(RUN(WITHOUT_NOTHING, "info") == 0 && strstr(said, "\nsandbox: o"), "%s", said);
    int strict = RUN(WITHOUT_NOTHING, "info", "--sandbox");
    bool on = strstr(said, "\nsandbox: on (") != NULL, has_seccomp = on && !strstr(said, "no seccomp");
    char landlock[ROOM];
    memcpy(landlock, said, sizeof said);
    if (!on) {
        CHECK(strict == 1 && strstr(said, "phi: error: --sandbox: this system has neither"), "status %d, %s", strict,
              said);
        SKIP("the program: %s", emulated ? "an emulator has no sandbox" : "this system has none");
        return;
    }
    check_threads(has_seccomp);
    if (has_seccomp) {
        check_before_reading((const char *const[]){"run", "-q", "--sandbox", NULL});
        check_before_reading((const char *const[]){"chat", "-q", "-st", "--sandbox", NULL});
        check_before_reading((const char *const[]){"tokenize", "-q", "--sandbox", NULL});
    }
    check_writers(WITHOUT_NOTHING, !strstr(landlock, "no Landlock"));
    if (emulated || !has_seccomp) {
        SKIP("older kernels: that takes seccomp, and no emulator");
        return;
    }
    for (int how = WITHOUT_LANDLOCK; how <= PUNISHED_LANDLOCK; how++) {
        CHECK(RUN(how, "info", "--sandbox") == 0 && strstr(said, "\nsandbox: on (seccomp, no Landlock)\n"),
              "kernel %d: %s", how, said);
        CHECK(RUN(how, "-q", "-p", "Once", "-n", "2", "--sandbox") == 0 && said[0], "kernel %d: %s", how, said);
        check_writers(how, false);
    }
    for (int how = WITHOUT_BOTH; how <= PUNISHED_BOTH; how++) {
        CHECK(RUN(how, "info", "--sandbox") == 1 &&
                  strcmp(said, "phi: error: --sandbox: this system has neither seccomp nor Landlock\n") == 0,
              "kernel %d: %s", how, said);
        CHECK(RUN(how, "-p", "Once", "-n", "2", "-v") == 0 && strstr(said, "phi: sandbox = off ("), "kernel %d: %s",
              how, said);
    }
}

int main(int argc, char **argv) {
    char path[1200] = "";
    gguf_make_dir(argc, argv, path);
    if (path[0] == '/' || !getcwd(dir, 256)) dir[0] = 0;
    size_t n = strlen(dir);
    snprintf(dir + n, sizeof dir - n, "%s%s", n ? "/" : "", path);
    snprintf(folder, sizeof folder, "%s/phi", dir);
    snprintf(file, sizeof file, "%s/file", dir);
    snprintf(inside, sizeof inside, "%s/saved", folder);
    snprintf(inside2, sizeof inside2, "%s/saved too", folder);
    snprintf(tuned, sizeof tuned, "%s/tune", folder);
    setenv("XDG_STATE_HOME", dir, 1);
    setenv("XDG_CONFIG_HOME", dir, 1);
    unsetenv("PHI_MODEL");
    signal(SIGPIPE, SIG_IGN);
    opened_before = open(file, O_RDWR | O_CREAT, 0600);
    CHECK(opened_before >= 0 && write(opened_before, "12345678", 8) == 8 && mkdir(folder, 0700) == 0, "%s", file);
    check_attempts();
    check_write_paths();
    if (access("./phi", X_OK) != 0)
        SKIP("no ./phi here");
    else
        check_program();
    close(opened_before);
    snprintf(inside, sizeof inside, "%s/sessions", folder);
    rmdir(inside);
    gguf_remove_dir(folder);
    gguf_remove_dir(dir);
    return check_done("check_sandbox");
}
#endif
