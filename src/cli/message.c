/* Lines for people on stderr. Each is formatted first and written by one call, so that lines of two processes do not
 * mix and none is lost when the program ends. Nothing here writes to stdout. */
#include "options.h"
#include "../utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int verbosity = CLI_NOTES, color = CLI_COLOR_AUTO;
static bool no_progress;
static char last_error[512];
static size_t progress_width; /* characters of the progress line on the screen now */

int cli_set_verbosity(int most) {
    int before = verbosity;
    verbosity = most;
    return before;
}

bool cli_quiet(void) {
    return verbosity < CLI_NOTES;
}

void cli_progress_off(void) {
    no_progress = true;
}

/* ---- Colours ---- */

void cli_set_color(int when) {
    color = when;
}

static bool has_color(int fd) {
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    if (color != CLI_COLOR_AUTO) return color == CLI_COLOR_ON;
    bool terminal = fd == STDOUT_FILENO ? cli_output_is_terminal() : isatty(fd);
    return terminal && !(no && *no) && term && *term && strcmp(term, "dumb") != 0;
}

const char *cli_color(int fd, const char *code) {
    static char sequence[2][16];
    static int at;
    if (!has_color(fd)) return "";
    at ^= 1;
    snprintf(sequence[at], sizeof sequence[at], "\x1b[%sm", code);
    return sequence[at];
}

size_t cli_escape_next(const char *text, size_t n, unsigned flags, char out[4], size_t *used) {
    static const char digits[] = "0123456789abcdef";
    int length = phi_utf8_length(text, n);
    unsigned char c = (unsigned char)text[0];
    *used = length > 0 ? (size_t)length : 1;
    if (length < 1 && (flags & CLI_MARK_BROKEN)) {
        memcpy(out, "\xef\xbf\xbd", 3); /* U+FFFD. NOLINT(bugprone-not-null-terminated-result): no string */
        return 3;
    }
    bool c1 = length == 2 && c == 0xc2 && (unsigned char)text[1] < 0xa0;
    bool line = (flags & CLI_KEEP_LINES) && (c == '\n' || c == '\t');
    if (length < 1 || c1 || c == 0x7f || (c < 0x20 && !line)) {
        unsigned char shown = c1 ? (unsigned char)text[1] : c;
        out[0] = '\\', out[1] = 'x', out[2] = digits[shown >> 4], out[3] = digits[shown & 15];
        return 4;
    }
    memcpy(out, text, *used);
    return *used;
}

static void say(const char *prefix, const char *code, const char *fmt, va_list args) {
    char text[2048], line[sizeof text + 96];
    int wanted = vsnprintf(text, sizeof text, fmt, args);
    size_t n = wanted < 0 ? 0 : (size_t)wanted < sizeof text ? (size_t)wanted : sizeof text - 1;
    const char *on = *code ? cli_color(STDERR_FILENO, code) : "", *off = *on ? cli_color(STDERR_FILENO, "0") : "";
    size_t out = (size_t)snprintf(line, 64, "%s%s%s", on, prefix, off), used;
    for (size_t i = 0; i < n && out + 8 < sizeof line; i += used) {
        char shown[4];
        size_t length = cli_escape_next(text + i, n - i, 0, shown, &used);
        memcpy(line + out, shown, length);
        out += length;
    }
    line[out++] = '\n';
    if (progress_width) cli_progress("");
    (void)cli_write_all(STDERR_FILENO, line, out); /* there is nowhere left to complain */
}

int cli_fail(int status, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(last_error, sizeof last_error, fmt, args);
    va_end(args);
    va_start(args, fmt);
    say("phi: error: ", "1;31", fmt, args);
    va_end(args);
    return status;
}

const char *cli_last_error(void) {
    return last_error;
}

int cli_fail_with(int status, const phi_error *err) {
    return cli_fail(-status, "%s", err->text);
}

void cli_warn(const char *fmt, ...) {
    if (verbosity < CLI_WARNINGS) return;
    va_list args;
    va_start(args, fmt);
    say("phi: warning: ", "1;33", fmt, args);
    va_end(args);
}

void cli_note(const char *fmt, ...) {
    if (verbosity < CLI_NOTES) return;
    va_list args;
    va_start(args, fmt);
    say("phi: ", "", fmt, args);
    va_end(args);
}

void cli_say(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    say("", "", fmt, args);
    va_end(args);
}

void cli_progress(const char *text) {
    if (no_progress || verbosity < CLI_NOTES || !isatty(STDERR_FILENO)) return;
    char line[256];
    size_t width = strlen(text);
    if (!width && !progress_width) return;
    size_t pad =
        progress_width > width ? progress_width - width : 0; /* spaces erase on every terminal, escapes do not */
    int n = snprintf(line, sizeof line, "\r%s%*s%s", text, (int)pad, "", width ? "" : "\r");
    progress_width = width;
    if (n > 0) (void)cli_write_all(STDERR_FILENO, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}
