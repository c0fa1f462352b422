/* The other side of a terminal, for tests of the chat: ./phi on a pseudo-terminal, keys to it, what it shows, the
 * history file that it leaves, how it ends. One at a time. $PHI_RUN is put before the program (an emulator). */
#ifndef PHI_TESTS_PTY_H
#define PHI_TESTS_PTY_H

#include "check.h"
#include "gguf_writer.h"
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static char dir[512]; /* the test's files; the program's state is in it */

enum { ROOM = 1 << 20, PATIENCE_MS = 120000 };

static struct {
    int master, slave; /* the terminal; this side of it and a descriptor that keeps it open */
    pid_t child;
    char out[ROOM]; /* all that came */
    size_t n, seen; /* seen: before what is expected next */
    struct termios before;
} tty;

/* Between terminal and program a shell, as a job of which the program can be stopped: it says so, and how it finds
 * the terminal; a line on the terminal lets the job go on. Returns in the job. */
static inline void become_shell(void) {
    pid_t job = fork();
    signal(SIGTTOU, job ? SIG_IGN : SIG_DFL);
    setpgid(job, job); /* by both, since one may be late */
    if (!job) {
        while (tcgetpgrp(0) != getpgrp()) usleep(1000);
        return;
    }
    tcsetpgrp(0, job);
    for (int status = 0; waitpid(job, &status, WUNTRACED) == job;) {
        if (!WIFSTOPPED(status)) _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
        struct termios now;
        char line[16];
        tcsetpgrp(0, getpgrp());
        tcgetattr(0, &now);
        dprintf(1, "[stopped: %s]",
                now.c_lflag == tty.before.c_lflag && now.c_iflag == tty.before.c_iflag ? "as it was" : "changed");
        if (read(0, line, sizeof line) <= 0) _exit(99);
        tcsetpgrp(0, job);
        kill(-job, SIGCONT);
    }
    _exit(98);
}

static bool with_shell; /* from now on */

static inline void start(int columns, const char *const *arguments) {
    struct winsize size = {.ws_col = (unsigned short)columns, .ws_row = columns ? 24 : 0};
    tty.n = tty.seen = 0;
    tty.master = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(tty.master >= 0 && grantpt(tty.master) == 0 && unlockpt(tty.master) == 0, "%s", strerror(errno));
    fcntl(tty.master, F_SETFL, O_NONBLOCK);
    const char *name = ptsname(tty.master);
    tty.slave = open(name, O_RDWR | O_NOCTTY);
    CHECK(tty.slave >= 0 && ioctl(tty.slave, TIOCSWINSZ, &size) == 0, "%s", strerror(errno));
    tcgetattr(tty.slave, &tty.before);
    fflush(stdout);
    tty.child = fork();
    if (tty.child) return;
    setsid();
    signal(SIGHUP, SIG_DFL); /* a background job or nohup may have ignored them */
    signal(SIGINT, SIG_DFL);
    int fd = open(name, O_RDWR); /* the first one opened becomes the controlling terminal */
#ifdef TIOCSCTTY
    ioctl(fd, TIOCSCTTY, 0);
#endif
    for (int i = 0; i < 3; i++) dup2(fd, i);
    close(fd), close(tty.master), close(tty.slave);
    if (with_shell) become_shell();
    program_become(arguments);
}

#define START(columns, ...) start(columns, (const char *const[]){__VA_ARGS__, NULL})

/* Read until text comes, behind what was expected before. */
static inline bool arrives(const char *text, int milliseconds) {
    for (;;) {
        tty.out[tty.n] = 0;
        for (size_t i = tty.seen; i + strlen(text) <= tty.n; i++) {
            if (memcmp(tty.out + i, text, strlen(text)) != 0) continue;
            tty.seen = i + strlen(text);
            return true;
        }
        struct pollfd p = {.fd = tty.master, .events = POLLIN};
        int slice = milliseconds < 500 ? milliseconds : 500, ready = poll(&p, 1, slice);
        siginfo_t dead = {.si_pid = 0};
        if (ready == 0 && (milliseconds -= slice) > 0) {
            (void)waitid(P_PID, (id_t)tty.child, &dead, WEXITED | WNOHANG | WNOWAIT);
            if (dead.si_pid == 0) continue;
        }
        if (ready <= 0 || tty.n == ROOM - 1) return false;
        ssize_t got = read(tty.master, tty.out + tty.n, ROOM - 1 - tty.n);
        if (got <= 0) return false;
        tty.n += (size_t)got;
    }
}

/* Keys. Where the terminal takes no more, the program waits for somebody to read what it shows. */
static inline void send_bytes(const char *bytes, size_t n) {
    for (int waited = 0; n > 0 && waited < PATIENCE_MS / 10;) {
        ssize_t done = write(tty.master, bytes, n);
        if (done < 0 && errno != EAGAIN) break;
        if (done <= 0) arrives("\x01never", 10), waited++;
        if (done > 0) bytes += done, n -= (size_t)done;
    }
    CHECK(n == 0, "%zu bytes not sent: %s", n, strerror(errno));
}

static inline void type(const char *text) {
    send_bytes(text, strlen(text));
}

#define EXPECT(text) CHECK(arrives(text, PATIENCE_MS), "'%s' did not come; after it: '%s'", text, tty.out + tty.seen)

/* Wait for the end; its status as of waitpid(). The terminal must be as it was. */
static inline int finish(void) {
    int status = -1;
    struct termios after;
    while (arrives("\x01never", 100) || waitpid(tty.child, &status, WNOHANG) == 0) {
        static int waited;
        if (++waited < PATIENCE_MS / 100) continue;
        kill(tty.child, SIGKILL); /* a hang fails the checks that follow */
        waitpid(tty.child, &status, 0);
        break;
    }
    tcgetattr(tty.slave, &after);
    CHECK(after.c_lflag == tty.before.c_lflag && after.c_iflag == tty.before.c_iflag, "the terminal is left changed");
    close(tty.master), close(tty.slave);
    return status;
}

static inline bool exits(int code) {
    int status = finish();
    return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

static inline size_t count(const char *text) {
    size_t n = 0;
    tty.out[tty.n] = 0;
    for (const char *at = tty.out; (at = strstr(at, text)); at++) n++;
    return n;
}

/* ---- History --------------------------------------------------------------------------------------------------- */

static inline const char *history(void) {
    static char text[1 << 16];
    char file[600];
    snprintf(file, sizeof file, "%s/phi/history", dir);
    FILE *f = fopen(file, "r");
    if (f) (void)fseek(f, -(long)(sizeof text - 1), SEEK_END); /* the end of it, or all */
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f) fclose(f);
    text[n] = 0;
    return text;
}

static inline bool history_ends(const char *line) { /* with this line */
    const char *text = history();
    size_t n = strlen(text), k = strlen(line);
    return n >= k + 1 && text[n - 1] == '\n' && memcmp(text + n - 1 - k, line, k) == 0 &&
           (n == k + 1 || text[n - 2 - k] == '\n');
}

/* Around a test: the folder, and an environment in which nothing of this machine counts. False: nothing can be tested
 * here. */
static inline bool pty_begin(int argc, char **argv) {
    gguf_make_dir(argc, argv, dir);
    setenv("XDG_STATE_HOME", dir[0] == '/' ? dir : "", 1);
    char full[1024];
    if (dir[0] != '/' && getcwd(full, 500)) {
        size_t n = strlen(full);
        snprintf(full + n, sizeof full - n, "/%s", dir);
        setenv("XDG_STATE_HOME", full, 1);
    }
    setenv("TERM", "xterm", 1);
    unsetenv("PHI_NOHISTORY"), unsetenv("PHI_MODEL"), unsetenv("COLUMNS");
    signal(SIGHUP, SIG_IGN); /* closing a terminal is no matter of this program */
    bool slow = getenv("PHI_RUN") && *getenv("PHI_RUN"), there = access("./phi", X_OK) == 0;
    if (!there) SKIP("no ./phi here");
    if (there && slow) SKIP("the chat on a terminal: an emulator is too slow for its keys");
    return there && !slow;
}

static inline void pty_end(void) {
    char sub[600];
    snprintf(sub, sizeof sub, "%s/phi", dir);
    gguf_remove_dir(sub);
    gguf_remove_dir(dir);
}

#endif
