/* Signals that ask the program to end. They are only noted; the token that is being computed is finished, statistics
 * are printed, then main() dies by the same signal, so that shells and their loops see what happened. */
#include "cli.h"

#include <signal.h>
#include <string.h>
#include <time.h>

static volatile sig_atomic_t caught, keeps_interrupt, pipe_broken;
static void (*volatile before_death)(void);

void cli_signals_last_action(void) {
    if (before_death) before_death();
}

static void note(int number) {
    if (caught && !(keeps_interrupt && number == SIGINT)) { /* the second one: its patience is at an end */
        cli_signals_last_action();
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    caught = number;
}

static void note_broken_pipe(int number) {
    pipe_broken = number;
}

void cli_signals_before_death(void (*action)(void)) {
    before_death = action;
}

void cli_signals_keep_interrupt(void) {
    keeps_interrupt = 1;
}

bool cli_interrupt_clear(void) {
    if (caught != SIGINT || !keeps_interrupt) return false;
    caught = 0;
    return true;
}

void cli_signals_init(void) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction catch, old;
    memset(&catch, 0, sizeof catch);
    sigemptyset(&catch.sa_mask);
    catch.sa_handler = note;
    catch.sa_flags = 0; /* no SA_RESTART: a read of stdin must end */
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) sigaction(numbers[i], &catch, NULL);
    catch.sa_handler = note_broken_pipe; /* the write fails, too, and what is to be saved can be saved */
    if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler != SIG_IGN) sigaction(SIGPIPE, &catch, NULL);
    signal(SIGXFSZ, SIG_IGN);
}

int cli_interrupted(void) {
    return caught ? caught : pipe_broken;
}

void cli_signals_obey(void) {
    int number = cli_interrupted();
    if (!number) return;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    signal(number, SIG_DFL);
    raise(number);
    sigprocmask(SIG_UNBLOCK, &set, NULL); /* if the parent process blocked it */
}

double cli_seconds(void) {
    static double start;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    double now = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    if (start == 0) start = now;
    return now - start;
}
