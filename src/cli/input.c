/* Messages from lines. Owns the rules by which lines become a message; the keys are the editor's (edit.c). */
#include "input.h"
#include "edit.h"
#include "terminal.h"
#include "../io.h"
#include "../memory.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER = 65536 };

static const char quotes[] = "\"\"\"";
enum { N_QUOTES = 3 };

int cli_input_open(struct cli_input *in, const struct cli_options *o, struct cli_history *history,
                   const char *const *completions) {
    *in = (struct cli_input){.terminal = isatty(STDIN_FILENO), .multiline = o->multiline};
    if (in->terminal && !o->simple_io && cli_terminal_open())
        return cli_editor_open(&in->editor, history, completions);
    in->buffer = phi_alloc(BUFFER, 1);
    return in->buffer ? CLI_OK : cli_fail(CLI_MEMORY, "not enough memory to read messages");
}

void cli_input_close(struct cli_input *in) {
    cli_editor_close(in->editor);
    cli_terminal_close();
    phi_free(in->buffer);
    *in = (struct cli_input){0};
}

/* ---- Plain lines ----------------------------------------------------------------------------------------------- */

static enum cli_input_event no_memory(void) {
    cli_fail(CLI_MEMORY, "not enough memory for a message");
    return CLI_INPUT_NO_MEMORY;
}

static bool append(struct cli_text *t, const char *bytes, size_t n) {
    char *more = phi_realloc(t->bytes, t->n + n + 1, 1);
    if (!more) return false;
    if (n) memcpy(more + t->n, bytes, n);
    t->bytes = more;
    t->n += n;
    return true;
}

static enum cli_input_event fill(struct cli_input *in) {
    for (;;) {
        int caught = cli_interrupted();
        if (caught) return in->terminal && cli_interrupt_clear() ? CLI_INPUT_INTERRUPT : CLI_INPUT_SIGNAL;
        struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
        if (poll(&p, 1, 100) <= 0) continue; /* a signal just before a call does not end it: none may last */
        ssize_t n = phi_io_read(STDIN_FILENO, in->buffer, BUFFER);
        if (n > 0) {
            in->at = 0;
            in->n = (size_t)n;
            return CLI_INPUT_TEXT;
        }
        if (n == 0) return CLI_INPUT_END;
        if (errno == EIO && in->terminal) return CLI_INPUT_END; /* the terminal is gone */
        if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK) {
            cli_fail(CLI_FAILED, "stdin: %s", strerror(errno));
            return CLI_INPUT_FAILED;
        }
    }
}

static enum cli_input_event plain_line(struct cli_input *in, const char *prompt, struct cli_text *line) {
    line->n = 0;
    if (in->terminal) cli_terminal_write(prompt, strlen(prompt));
    for (;;) {
        if (in->at == in->n) {
            enum cli_input_event event = in->at_end ? CLI_INPUT_END : fill(in);
            if (event == CLI_INPUT_INTERRUPT) cli_terminal_write("\n", 1);
            if (event == CLI_INPUT_END) in->at_end = !in->terminal || line->n == 0;
            if (event == CLI_INPUT_END && line->n > 0) return CLI_INPUT_TEXT; /* a last line without newline */
            if (event != CLI_INPUT_TEXT) return event;
        }
        const char *from = in->buffer + in->at, *end = memchr(from, '\n', in->n - in->at);
        size_t n = end ? (size_t)(end - from) : in->n - in->at;
        if (!append(line, from, n)) return no_memory();
        in->at += n + (end != NULL);
        if (!end) continue;
        if (line->n > 0 && line->bytes[line->n - 1] == '\r') line->n--;
        return CLI_INPUT_TEXT;
    }
}

static enum cli_input_event next_line(struct cli_input *in, const char *prompt, const char *right,
                                      struct cli_text *line) {
    return in->editor ? cli_editor_line(in->editor, prompt, right, line) : plain_line(in, prompt, line);
}

/* ---- Messages -------------------------------------------------------------------------------------------------- */

static bool is_blank(const struct cli_text *t) {
    for (size_t i = 0; i < t->n; i++)
        if (!strchr(" \t\r\n", t->bytes[i]) || t->bytes[i] == 0) return false;
    return true;
}

static bool starts_quoted(const struct cli_text *t) {
    return t->n >= N_QUOTES && memcmp(t->bytes, quotes, N_QUOTES) == 0;
}

static bool ends_quoted(const struct cli_text *t) { /* of a text that starts so: by other quotes */
    return t->n >= 2 * N_QUOTES && memcmp(t->bytes + t->n - N_QUOTES, quotes, N_QUOTES) == 0;
}

/* A \ at the end that does not follow another one: the message goes on in the next line. */
static bool goes_on(const struct cli_text *t) {
    return t->n > 0 && t->bytes[t->n - 1] == '\\' && (t->n < 2 || t->bytes[t->n - 2] != '\\');
}

/* One more line behind *text, which is joined by a newline. */
static enum cli_input_event join_line(struct cli_input *in, struct cli_text *text) {
    struct cli_text line = {NULL, 0};
    enum cli_input_event event = next_line(in, "... ", "", &line);
    if (event == CLI_INPUT_TEXT && (!append(text, "\n", 1) || !append(text, line.n ? line.bytes : "", line.n)))
        event = no_memory();
    cli_text_free(&line);
    return event;
}

enum cli_input_event cli_input_read(struct cli_input *in, const char *right, struct cli_text *text) {
    enum cli_input_event event;
    do {
        event = next_line(in, "> ", right, text);
        if (event != CLI_INPUT_TEXT) return event;
    } while (is_blank(text));
    if (starts_quoted(text)) {
        while (event == CLI_INPUT_TEXT && !ends_quoted(text)) event = join_line(in, text);
        if (event != CLI_INPUT_TEXT && event != CLI_INPUT_END) return event;
        text->n -= ends_quoted(text) ? N_QUOTES : 0; /* input that ends ends the quotes, too */
        text->n -= N_QUOTES;
        memmove(text->bytes, text->bytes + N_QUOTES, text->n);
        return CLI_INPUT_TEXT;
    }
    bool command = text->bytes[0] == '/' && !(text->n > 1 && text->bytes[1] == '/');
    if (in->multiline && !command) {
        while (event == CLI_INPUT_TEXT && !goes_on(text)) event = join_line(in, text);
        if (event == CLI_INPUT_TEXT) text->n--;
    }
    while (!in->multiline && event == CLI_INPUT_TEXT && goes_on(text)) {
        text->n--;
        event = join_line(in, text);
    }
    return event == CLI_INPUT_END ? CLI_INPUT_TEXT : event;
}
