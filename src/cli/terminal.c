/* Terminal modes. What was there at the beginning comes back when the chat ends, when the process is stopped and when
 * a signal kills it. Between two prompts keys are neither echoed nor lost: they wait for the next prompt.
 *
 *                   echo   line by line   Ctrl-C, Ctrl-Z
 *     as found       yes       yes          signals
 *     answering      no        no           signals
 *     editing        no        no           keys
 */
#include "terminal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios found, answering, editing;
static volatile sig_atomic_t opened, is_editing, resized;

static void apply(const struct termios *mode) {
    if (tcgetpgrp(STDIN_FILENO) != getpgrp()) return; /* in the background the terminal is another's */
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, mode);
}

static void restore(void) {
    if (opened) apply(&found);
}

static void on_resize(int number) {
    (void)number;
    resized = 1;
}

static void on_stop(int number) { /* Ctrl-Z while answering, or sent by somebody */
    (void)number;
    cli_terminal_suspend();
}

static void on_continue(int number) {
    (void)number;
    if (opened) apply(is_editing ? &editing : &answering);
    resized = 1;
}

static void catch_signal(int number, void (*handler)(int)) {
    struct sigaction action, old;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = handler;
    if (sigaction(number, NULL, &old) == 0 && old.sa_handler != SIG_IGN) sigaction(number, &action, NULL);
}

bool cli_terminal_open(void) {
    const char *term = getenv("TERM");
    if (!isatty(STDIN_FILENO) || !(cli_output_is_terminal() || isatty(STDERR_FILENO))) return false;
    if (!term || !*term || strcmp(term, "dumb") == 0) return false;
    if (tcgetattr(STDIN_FILENO, &found)) return false;
    answering = found;
    answering.c_lflag &= ~(tcflag_t)(ECHO | ICANON);
    answering.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IGNCR | ISTRIP);
    answering.c_cc[VMIN] = 1;
    answering.c_cc[VTIME] = 0;
    editing = answering;
    editing.c_lflag &= ~(tcflag_t)(ISIG | IEXTEN);
    editing.c_iflag &= ~(tcflag_t)IXON;
    opened = 1;
    cli_signals_before_death(restore);
    catch_signal(SIGWINCH, on_resize);
    catch_signal(SIGTSTP, on_stop);
    catch_signal(SIGCONT, on_continue);
    apply(&answering);
    return true;
}

void cli_terminal_close(void) {
    restore();
    opened = 0;
}

void cli_terminal_set_editing(bool on) {
    is_editing = on;
    apply(on ? &editing : &answering);
}

void cli_terminal_suspend(void) {
    restore();
    signal(SIGTSTP, SIG_DFL);
    raise(SIGTSTP);
    sigset_t stop, old;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    sigprocmask(SIG_UNBLOCK, &stop, &old); /* inside the handler it is blocked: here the process stops */
    sigprocmask(SIG_SETMASK, &old, NULL);
    catch_signal(SIGTSTP, on_stop);
}

bool cli_terminal_resized(void) {
    struct termios now;
    if (tcgetpgrp(STDIN_FILENO) != getpgrp()) return false; /* what is drawn now would stand among another's lines */
    const struct termios *wanted = is_editing ? &editing : &answering;
    if (opened && tcgetattr(STDIN_FILENO, &now) == 0 && now.c_lflag != wanted->c_lflag) {
        apply(wanted); /* a shell has put its own mode back, after this process went on */
        resized = 1;
    }
    bool changed = resized;
    resized = 0;
    return changed;
}

static int number_in(const char *name, int fallback) {
    const char *text = getenv(name);
    long v = text ? strtol(text, NULL, 10) : 0;
    return v > 0 && v < 10000 ? (int)v : fallback;
}

void cli_terminal_size(int *columns, int *rows) {
    struct winsize size = {0};
    int fd = cli_output_is_terminal() ? STDOUT_FILENO : STDERR_FILENO;
    if (ioctl(fd, TIOCGWINSZ, &size)) size = (struct winsize){0};
    *columns = size.ws_col ? size.ws_col : number_in("COLUMNS", 80); /* serial lines and some tools say 0 x 0 */
    *rows = size.ws_row ? size.ws_row : number_in("LINES", 24);
}

void cli_terminal_write(const void *bytes, size_t n) {
    if (cli_output_is_terminal()) {
        cli_put(bytes, n);
        cli_flush();
    } else {
        (void)cli_write_all(STDERR_FILENO, bytes, n);
    }
}
