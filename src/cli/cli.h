/* What the files of the command line share: exit codes, messages, checked output, signals, the clock.
 * The command line knows the library by phi.h; besides it uses memory.h (all allocation), io.h (all opening, reading and
 * writing), utf8.h (what a terminal can show) and, to inspect a file, time the kernels or measure quality, gguf.h, kernels.h, score.h, imatrix.h
 * and json.h. Only these files print. */
#ifndef PHI_CLI_H
#define PHI_CLI_H

#include "../../include/phi.h"
#include "../error.h"

enum { /* exit codes: the negatives of enum phi_status */
       CLI_OK,
       CLI_FAILED,  /* failed while running; also a prompt file that cannot be read */
       CLI_USAGE,   /* wrong options or values */
       CLI_MODEL,   /* the model file is missing or bad */
       CLI_MEMORY,  /* not enough memory */
       CLI_CONTEXT, /* the prompt does not fit */
       CLI_OUTPUT   /* stdout or an output file could not be written */
};

/* ---- stderr (message.c): each call writes one line at once; control bytes in it are shown as \xNN
 * ---------------------- */

enum { CLI_ERRORS = 1, CLI_WARNINGS, CLI_NOTES }; /* as llama.cpp's -lv counts */
int cli_set_verbosity(int most);                  /* what is said from now on; returns what it was before */
bool cli_quiet(void);                             /* no notes */

/* "phi: error: ..."; returns status, so that a caller can write: return cli_fail(CLI_USAGE, ...); */
int cli_fail(int status, const char *fmt, ...) PHI_PRINTF(2, 3);
/* The same with the library's sentence; status is a phi_status. Returns the exit code. */
int cli_fail_with(int status, const phi_error *err);
const char *cli_last_error(void); /* the last such sentence, cut to 511 bytes; "" */
void cli_warn(const char *fmt, ...) PHI_PRINTF(1, 2); /* "phi: warning: ..." */
void cli_note(const char *fmt, ...) PHI_PRINTF(1, 2); /* "phi: ..." */

void cli_say(const char *fmt, ...) PHI_PRINTF(1, 2);  /* a line that was asked for, without "phi: "; when quiet, too */

/* One line on a terminal's stderr that the next call overwrites; "" erases it. */
void cli_progress(const char *text);
void cli_progress_off(void);

void cli_set_color(int when); /* enum cli_color */
/* An escape sequence that colours what follows on this descriptor, or "" where there are no colours. code: "1;31";
 * "0" ends it. Static storage, until the next call but one. */
const char *cli_color(int fd, const char *code);

enum { CLI_KEEP_LINES = 1, CLI_MARK_BROKEN = 2 };
/* The next character of text[n], n > 0, made harmless for a terminal: control characters (C0, DEL, C1) become \xNN,
 * newline and tab too unless CLI_KEEP_LINES; a byte that is not UTF-8 becomes \xNN or, with CLI_MARK_BROKEN, U+FFFD.
 * Writes at most 4 bytes to out, says how many bytes of text were *used; returns how many were written. */
size_t cli_escape_next(const char *text, size_t n, unsigned flags, char out[4], size_t *used);

/* ---- stdout (output.c): buffered; every write is checked
 * -------------------------------------------------------------- */

/* After each of these: CLI_OK, or CLI_OUTPUT once a write has failed; the error line is printed by the first failure.
 */
int cli_put(const void *bytes, size_t n);
int cli_putf(const char *fmt, ...) PHI_PRINTF(1, 2);
int cli_put_escaped(const char *text, size_t n, unsigned flags); /* through cli_escape_next() */
int cli_flush(void);
int cli_output_status(void);

void cli_output_closed(void); /* stdout was closed when the program began: every write fails */
bool cli_output_is_terminal(void);

/* Write all n bytes to a descriptor, however many calls it takes. 0, or -1 with errno. */
int cli_write_all(int fd, const void *bytes, size_t n);

/* ---- Signals (signals.c)
 * ---------------------------------------------------------------------------------------------- */

/* From now on SIGINT, SIGTERM and SIGHUP are noted (a second one ends the program at once) unless they were ignored
 * when the program began; SIGPIPE, too: the write fails, and the program ends without a word. SIGXFSZ is ignored: the
 * write fails instead. */
void cli_signals_init(void);
int cli_interrupted(void); /* the signal that has come, or 0 */
/* From now on SIGINT stops an answer, not the program: it can be cleared (false: none has come), and a second one before
 * that changes nothing. */
void cli_signals_keep_interrupt(void);
bool cli_interrupt_clear(void);
void cli_signals_before_death(void (*action)(void)); /* called before a signal ends the program at once */
void cli_signals_last_action(void);                  /* call it now: for other handlers that end the program */
/* If one has come, die by it, so that a shell sees the usual status. */
void cli_signals_obey(void);

/* ---- Clock
 * ------------------------------------------------------------------------------------------------------------ */

double cli_seconds(void); /* monotonic; 0 at the first call, which main() makes */

#endif
