/* Starts ./phi for a test and tells everything about how it ended: exit status, both outputs, processor time, memory.
 * What needs a terminal or a program that runs on (check_cli_terminal.c, pty.h) forks itself, and calls program_become(). */
#ifndef PHI_TESTS_PROGRAM_H
#define PHI_TESTS_PROGRAM_H

#include "check.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PROGRAM_IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define PROGRAM_IS_SANITIZED 1
#endif
#endif
#ifndef PROGRAM_IS_SANITIZED
#define PROGRAM_IS_SANITIZED 0 /* 1: its time and memory say nothing */
#endif

struct program_outcome {
    int code;                   /* exit code; -signal */
    char out[4096], err[4096];  /* their beginnings */
    size_t n_out;               /* all of it */
    double cpu_seconds;         /* user and system */
    unsigned long long n_bytes; /* most resident memory, with pages of mapped files; 0: not known */
};

static inline size_t program_read(const char *dir, const char *name, char *text, size_t size) {
    char path[700];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(text, 1, size - 1, f) : 0;
    text[n] = 0;
    long all = f && fseek(f, 0, SEEK_END) == 0 ? ftell(f) : 0;
    if (f) fclose(f);
    return all > 0 ? (size_t)all : 0;
}

/* Runs program (its whole path) in dir with these arguments, the first of them its name, and with nothing on stdin. A
 * program that hangs is killed: code -SIGALRM or -SIGXCPU. */
static inline struct program_outcome program_run(const char *program, const char *dir, const char *const *arguments) {
    struct program_outcome o = {.code = -999};
    struct rusage usage;
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit seconds = {60, 60};
        if (chdir(dir) != 0) _exit(99);
        int in = open("/dev/null", O_RDONLY), out = open("out", O_WRONLY | O_CREAT | O_TRUNC, 0666),
            err = open("err", O_WRONLY | O_CREAT | O_TRUNC, 0666);
        if (in < 0 || out < 0 || err < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) _exit(99);
        setrlimit(RLIMIT_CPU, &seconds);
        alarm(600);
        execv(program, (char *const *)(uintptr_t)arguments);
        _exit(99);
    }
    if (pid < 0 || wait4(pid, &status, 0, &usage) != pid) return o;
    o.code = WIFEXITED(status) ? WEXITSTATUS(status) : WIFSIGNALED(status) ? -WTERMSIG(status) : -999;
    o.cpu_seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                    1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
#ifdef __linux__
    o.n_bytes = (unsigned long long)usage.ru_maxrss << 10;
#endif
    o.n_out = program_read(dir, "out", o.out, sizeof o.out);
    program_read(dir, "err", o.err, sizeof o.err);
    return o;
}

/* This process becomes ./phi, in the top of the checkout and under $PHI_RUN if that is set. */
static inline void program_become(const char *const *arguments) {
    static char run[256];
    const char *argv[64];
    int n = 0;
    snprintf(run, sizeof run, "%s", getenv("PHI_RUN") ? getenv("PHI_RUN") : "");
    for (char *word = strtok(run, " "); word && n < 16; word = strtok(NULL, " ")) argv[n++] = word;
    argv[n++] = "./phi";
    while (*arguments && n < 63) argv[n++] = *arguments++;
    argv[n] = NULL;
    execvp(argv[0], (char *const *)argv);
    _exit(127);
}

/* Exactly one line. */
static inline bool program_one_line(const char *text) {
    size_t n = strlen(text);
    return n > 1 && strchr(text, '\n') == text + n - 1;
}

#endif
