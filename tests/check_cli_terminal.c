/* The program on a pseudo-terminal, and under signals: what a shell script cannot set up. Runs ./phi with the demo
 * model, from the top of the checkout; $PHI_RUN is put before it (an emulator). */
#include "check.h"
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    IN_NULL = 0,
    IN_TTY = 1,
    OUT_TTY = 2,
    ERR_TTY = 4,
    IN_PIPE = 8, /* open and silent */
    IGNORE_INT = 16,
    SIGNAL_AT_ONCE = 32, /* not at the first bytes on stdout */
    SIGNAL_AT_NOTE = 64, /* at the first bytes on stderr */
    ROOM = 1 << 16
};

struct outcome {
    char out[ROOM], err[ROOM]; /* what came on stdout and stderr, ended by NUL */
    size_t n_out, n_err;
    int status; /* of waitpid() */
};

static struct outcome result;
static char copy[(size_t)16 << 20]; /* of the demo model */

/* A terminal's two ends, or a pipe's: what is written to end[1] can be read from end[0]. */
static int open_ends(int end[2], int terminal) {
    if (!terminal) return pipe(end);
    end[0] = posix_openpt(O_RDWR | O_NOCTTY);
    if (end[0] < 0 || grantpt(end[0]) || unlockpt(end[0])) return -1;
    end[1] = open(ptsname(end[0]), O_RDWR | O_NOCTTY);
    return end[1] < 0 ? -1 : 0;
}

static pid_t start(int how, const char *const *arguments, int in[2], int out[2], int err[2]) {
    if (open_ends(in, how & IN_TTY) || open_ends(out, how & OUT_TTY) || open_ends(err, how & ERR_TTY)) return -1;
    fflush(stdout);
    pid_t child = fork();
    if (child) return child;
    signal(SIGINT, how & IGNORE_INT ? SIG_IGN : SIG_DFL);
    int null = open("/dev/null", O_RDONLY);
    dup2(how & IN_TTY ? in[1] : how & IN_PIPE ? in[0] : null, 0);
    dup2(out[1], 1);
    dup2(err[1], 2);
    for (int i = 0; i < 2; i++) close(in[i]), close(out[i]), close(err[i]);
    close(null);
    program_become(arguments);
    return -1;
}

/* Run to the end; send the signal (if not 0) when stdout has its first bytes, or as `how` says. */
static void run(int how, int number, const char *const *arguments) {
    int in[2], out[2], err[2];
    memset(&result, 0, sizeof result);
    pid_t child = start(how, arguments, in, out, err);
    CHECK(child > 0, "cannot start: %s", strerror(errno));
    if (child <= 0) return;
    close(out[1]), close(err[1]);
    if (how & SIGNAL_AT_ONCE) {
        kill(child, number);
        number = 0;
    }
    struct pollfd p[2] = {{.fd = out[0], .events = POLLIN}, {.fd = err[0], .events = POLLIN}};
    char *to[2] = {result.out, result.err};
    size_t *n[2] = {&result.n_out, &result.n_err};
    while (p[0].fd >= 0 || p[1].fd >= 0) {
        if (poll(p, 2, 120000) == 0) kill(child, SIGKILL); /* a hang fails the checks that follow */
        for (int i = 0; i < 2; i++) {
            if (p[i].fd < 0 || !p[i].revents) continue;
            ssize_t got = read(p[i].fd, to[i] + *n[i], ROOM - 1 - *n[i]);
            if (got <= 0)
                p[i].fd = -1; /* a terminal whose other end is closed says EIO */
            else
                *n[i] += (size_t)got;
        }
        if (number && (how & SIGNAL_AT_NOTE ? result.n_err : result.n_out)) {
            kill(child, number);
            number = 0;
        }
    }
    waitpid(child, &result.status, 0);
    close(out[0]), close(err[0]), close(in[0]), close(in[1]);
}

#define RUN(how, number, ...) run(how, number, (const char *const[]){__VA_ARGS__, NULL})

static int exit_code(void) {
    return WIFEXITED(result.status) ? WEXITSTATUS(result.status) : -1;
}

static void check_prompt_from_terminal(void) {
    RUN(IN_TTY, 0, "run");
    CHECK(exit_code() == 2, "status %d", result.status);
    CHECK(strncmp(result.err, "phi: error: no prompt: give -p TEXT", 35) == 0, "'%s'", result.err);
    CHECK(result.n_out == 0, "'%s'", result.out);
    RUN(IN_TTY, 0, "-q", "-p", "Once", "-n", "0"); /* a terminal is not read when there is a prompt */
    CHECK(exit_code() == 0 && result.n_err == 0, "status %d, '%s'", result.status, result.err);
}

static void check_output_to_terminal(void) {
    static char plain[ROOM];
    RUN(0, 0, "-q", "-p", "Once upon a time", "-n", "8", "--temp", "0");
    memcpy(plain, result.out, result.n_out);
    size_t n = result.n_out;
    CHECK(n > 8 && plain[n - 1] != '\n', "'%s'", plain);
    RUN(OUT_TTY, 0, "-q", "-p", "Once upon a time", "-n", "8", "--temp", "0");
    CHECK(result.n_out == n + 2 && memcmp(result.out, plain, n) == 0 && strcmp(result.out + n, "\r\n") == 0,
          "on a terminal '%s', in a pipe '%s'", result.out, plain);

    static const char hostile[] = "a\x1b[2J\x7f\xc2\x9b\tb\xff\xe2\x82";
    RUN(OUT_TTY, 0, "-q", "-p", hostile, "-n", "0", "--display-prompt");
    static const char shown[] = "a\\x1b[2J\\x7f\\x9b\tb\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\r\n";
    CHECK(strcmp(result.out, shown) == 0, "'%s'", result.out);
    RUN(0, 0, "-q", "-p", hostile, "-n", "0", "--display-prompt");
    CHECK(strcmp(result.out, hostile) == 0, "in a pipe '%s'", result.out);
    RUN(OUT_TTY, 0, "-q", "-p", hostile, "-n", "0", "--display-prompt", "--raw");
    CHECK(strncmp(result.out, hostile, strlen(hostile)) == 0, "--raw: '%s'", result.out);
}

/* Biases and a penalty make the model say the three bytes of a character in turn: whole characters are put out, at
 * the border of a context that shifts, too; what is left at the end is no character. */
static void check_characters(void) {
    static char want[64];
    static const char *const n[] = {"30", "29", "28"};
    for (int i = 0; i < 10; i++) memcpy(want + 3 * i, "\xe2\x82\xac", 3);
    for (int i = 0; i < 3; i++)
        for (int c = 0; c < 4; c++) {
            const char *const sizes[] = {"100", "7", "8", "9"};
            for (int terminal = 0; terminal < 2; terminal++) {
                RUN(terminal ? OUT_TTY : 0, 0, "-q", "-p", "x", "--temp", "0", "-l", "229+1000", "-l", "133+999",
                    "-l", "175+998", "--presence-penalty", "500", "--repeat-last-n", "2", "--context-shift", "-c",
                    sizes[c], "-n", n[i]);
                static char whole[128];
                memset(whole, 0, sizeof whole);
                memcpy(whole, want, (size_t)(terminal && i ? 27 : 30 - i));
                if (terminal) strcat(whole, &"\xef\xbf\xbd\xef\xbf\xbd\r\n"[i == 0 ? 6 : i == 1 ? 0 : 3]);
                CHECK(strcmp(result.out, whole) == 0, "-n %s -c %s: '%s', not '%s'", n[i], sizes[c], result.out,
                      whole);
            }
        }
}

/* Each stream for itself: a terminal, NO_COLOR empty, TERM not dumb; --color overrides all that. */
static void check_colors(void) {
    static const struct {
        int how;
        const char *no_color, *term, *option;
        bool out, err;
    } cases[] = {{OUT_TTY, "", "xterm", "auto", true, false},
                 {ERR_TTY, "", "xterm", "auto", false, true},
                 {OUT_TTY | ERR_TTY, "", "dumb", "auto", false, false},
                 {OUT_TTY | ERR_TTY, "", "", "auto", false, false},
                 {OUT_TTY | ERR_TTY, "1", "xterm", "auto", false, false},
                 {OUT_TTY | ERR_TTY, "", "xterm", "off", false, false},
                 {0, "", "xterm", "auto", false, false},
                 {0, "1", "dumb", "on", true, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("NO_COLOR", cases[i].no_color, 1);
        setenv("TERM", cases[i].term, 1);
        RUN(cases[i].how, 0, "-p", "Once", "-n", "0", "--display-prompt", "--color", cases[i].option, "--prio", "1");
        CHECK(exit_code() == 0, "status %d", result.status);
        CHECK(!!strstr(result.out, "\x1b[33mOnce\x1b[0m") == cases[i].out, "case %zu: '%s'", i, result.out);
        CHECK(!!strchr(result.out, 27) == cases[i].out, "case %zu: '%s'", i, result.out);
        CHECK(!!strstr(result.err, "\x1b[1;33mphi: warning: \x1b[0moption") == cases[i].err, "case %zu: '%s'", i,
              result.err);
    }
    setenv("NO_COLOR", "1", 1);
    signal(SIGINT, SIG_DFL); /* a background job or nohup may have ignored them */
    signal(SIGHUP, SIG_DFL);
    setenv("TERM", "xterm", 1);
}

static void check_signals(void) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (int i = 0; i < 3; i++) {
        RUN(0, numbers[i], "-p", "Once upon a time", "-n", "-2", "--temp", "0");
        CHECK(WIFSIGNALED(result.status) && WTERMSIG(result.status) == numbers[i], "signal %d: status %d", numbers[i],
              result.status);
        CHECK(strstr(result.err, "phi: stop reason = interrupt\n"), "signal %d: '%s'", numbers[i], result.err);
    }
    /* At load: before the handlers are there, or after them, the program dies by it. */
    for (int i = 0; i < 9; i++) {
        RUN(SIGNAL_AT_ONCE, numbers[i % 3], "-q", "-p", "Once", "-n", "-2");
        CHECK(WIFSIGNALED(result.status) && WTERMSIG(result.status) == numbers[i % 3],
              "at load, signal %d: status %d", numbers[i % 3], result.status);
    }
    static char prompt[4096];
    for (int i = 0; i < 600; i++) memcpy(prompt + 6 * i, " house", 6);
    for (int i = 0; i < 3; i++) { /* in the prompt, which takes seconds: the first note comes just before it */
        RUN(SIGNAL_AT_NOTE, numbers[i], "-p", prompt, "-n", "1", "--isa", "scalar", "-t", "1", "-ub", "1");
        CHECK(WIFSIGNALED(result.status) && WTERMSIG(result.status) == numbers[i],
              "in the prompt, signal %d: status %d", numbers[i], result.status);
        CHECK(result.n_out == 0 && strstr(result.err, "phi: stop reason = interrupt\n"), "signal %d: '%s', '%s'",
              numbers[i], result.out, result.err);
        CHECK(!strstr(result.err, " 602 tokens ("), "all of the prompt was computed: '%s'", result.err);
    }
    for (int i = 1; i < 2; i++) { /* while stdin is waited for: after two seconds there is a note */
        RUN(IN_PIPE | SIGNAL_AT_NOTE, numbers[i], "-p", "Once");
        CHECK(WIFSIGNALED(result.status) && WTERMSIG(result.status) == numbers[i], "at stdin, signal %d: status %d",
              numbers[i], result.status);
        CHECK(strcmp(result.err, "phi: reading stdin (--no-stdin skips it)\n") == 0, "'%s'", result.err);
    }
    RUN(IGNORE_INT, SIGINT, "-q", "-p", "Once upon a time", "-n", "20", "--temp", "0"); /* as under nohup */
    CHECK(exit_code() == 0, "ignored SIGINT: status %d", result.status);
}

/* A prompt that takes longer than a second shows how far it is, on a terminal only, and wipes it out. */
static void check_progress(void) {
    static char prompt[4096];
    for (int i = 0; i < 600; i++) memcpy(prompt + 6 * i, " house", 6);
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    RUN(ERR_TTY, 0, "-p", prompt, "-n", "0", "--isa", "scalar", "-t", "1", "-ub", "16", "--no-perf");
    clock_gettime(CLOCK_MONOTONIC, &b);
    CHECK(exit_code() == 0, "status %d, '%s'", result.status, result.err);
    const char *line = strstr(result.err, "\rprompt ");
    if (!line && b.tv_sec - a.tv_sec < 2) {
        SKIP("progress line: this machine reads 600 tokens too fast");
        return;
    }
    CHECK(line && strstr(line, "/602 tokens, ") && strstr(line, " tok/s, ") && strstr(line, " s left"), "'%s'",
          result.err);
    CHECK(result.err[result.n_err - 1] == '\r' && result.err[result.n_err - 2] == ' ', "not erased: '%s'",
          result.err);
    RUN(0, 0, "-p", "Once", "-n", "0", "--no-perf");
    CHECK(!strchr(result.err, '\r'), "'%s'", result.err);
}

/* A model whose name holds control characters: shown, not sent, in a pipe too. Writes a copy of the demo model to
 * path. */
static void check_hostile_name(const char *path) {
    static const char name[] = "Pocket Phi demo", hostile[] = "Po\x1b[2J\nPh\xc2\x9b\xff\\mo";
    FILE *in = fopen("models/demo.gguf", "rb"), *out = fopen(path, "wb");
    size_t most = sizeof copy, n = in ? fread(copy, 1, most, in) : 0, at = 0;
    while (at + sizeof name <= n && memcmp(copy + at, name, sizeof name - 1) != 0) at++;
    CHECK(in && out && at + sizeof name <= n && n < most, "the demo model has %zu bytes", n);
    memcpy(copy + at, hostile, sizeof name - 1);
    CHECK(out && fwrite(copy, 1, n, out) == n && fclose(out) == 0, "cannot write %s", path);
    if (in) fclose(in);
    RUN(0, 0, "info", path);
    CHECK(exit_code() == 0, "status %d, '%s'", result.status, result.err);
    CHECK(strstr(result.out, "name            = Po\\x1b[2J\\x0aPh\\x9b\\xff\\mo\n"), "'%s'", result.out);
    CHECK(strstr(result.out, " str              = Po\\x1b[2J\\nPh\\x9b\\xff\\\\mo\n"), "'%s'", result.out);
    CHECK(!strchr(result.out, 0x1b), "an escape character");
    remove(path);
}

int main(int argc, char **argv) {
    char path[4096];
    setenv("TERM", "xterm", 1);
    setenv("NO_COLOR", "1", 1); /* but in check_colors() */
    snprintf(path, sizeof path, "%s.gguf", argc > 0 ? argv[0] : "");
    if (access("./phi", X_OK) != 0)
        SKIP("no ./phi here");
    else {
        check_prompt_from_terminal();
        check_output_to_terminal();
        check_characters();
        check_colors();
        check_signals();
        check_hostile_name(path);
        if (getenv("PHI_RUN") && *getenv("PHI_RUN"))
            SKIP("progress line: too slow in an emulator");
        else
            check_progress();
    }
    return check_done("check_cli_terminal");
}
