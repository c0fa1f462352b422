/* Prompts. Bytes are never changed except where the options say so: escapes in -p, one final newline of -f and stdin.
 * Text from stdin is the way in for other people's text, so it cannot make control tokens unless asked for. */
#include "prompt.h"
#include "../io.h"
#include "../memory.h"
#include "../utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

void cli_text_free(struct cli_text *t) {
    phi_free(t->bytes);
    t->bytes = NULL;
    t->n = 0;
}

static int no_memory(size_t n) {
    return cli_fail(CLI_MEMORY, "not enough memory for a text of %zu bytes", n);
}

static int append(struct cli_text *t, const char *bytes, size_t n) {
    char *more = phi_realloc(t->bytes, t->n + n + 1, 1);
    if (!more) return no_memory(t->n + n);
    if (n) memcpy(more + t->n, bytes, n);
    t->bytes = more;
    t->n += n;
    return CLI_OK;
}

/* Until fd has something to read (true) or a signal has come. A signal just before poll() does not end that call: it has to
 * end by itself now and then. */
static bool wait_for(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (!cli_interrupted())
        if (poll(&p, 1, 100) > 0) return true;
    return false;
}

/* Two seconds of silence are explained. */
static void wait_for_stdin(void) {
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    if (!isatty(STDIN_FILENO) && poll(&p, 1, 2000) == 0) cli_note("reading stdin (--no-stdin skips it)");
}

static int read_all(int fd, const char *what, const char *name, struct cli_text *t) {
    size_t room = 0;
    while (wait_for(fd)) {
        if (t->n == room) {
            room = room ? room * 2 : 65536;
            char *more = phi_realloc(t->bytes, room, 1);
            if (!more) return no_memory(room);
            t->bytes = more;
        }
        ssize_t n = phi_io_read(fd, t->bytes + t->n, room - t->n);
        if (n == 0) break;
        if (n > 0) {
            t->n += (size_t)n;
        } else if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK) {
            return cli_fail(CLI_FAILED, "%s %s: %s", what, name, strerror(errno));
        }
    }
    return CLI_OK;
}

int cli_text_read(const char *path, const char *what, struct cli_text *t) {
    *t = (struct cli_text){NULL, 0};
    if (strcmp(path, "-") == 0) {
        wait_for_stdin();
        return read_all(STDIN_FILENO, what, "from stdin", t);
    }
    int fd = phi_io_open(path, O_RDONLY, 0);
    if (fd < 0) return cli_fail(CLI_FAILED, "%s %s: %s", what, path, strerror(errno));
    int status = read_all(fd, what, path, t);
    phi_io_close(fd);
    return status;
}

size_t cli_unescape(char *bytes, size_t n) {
    static const char from[] = "nrt'\"\\", to[] = "\n\r\t'\"\\";
    size_t out = 0;
    for (size_t i = 0; i < n; i++) {
        const char *found = bytes[i] == '\\' && i + 1 < n ? memchr(from, bytes[i + 1], sizeof from - 1) : NULL;
        bytes[out++] = found ? to[found - from] : bytes[i];
        i += found != NULL;
    }
    return out;
}

static void drop_newline(struct cli_text *t) {
    if (t->n && t->bytes[t->n - 1] == '\n') t->n--;
}

static void warn_broken(const struct cli_text *t) {
    for (size_t i = 0; i < t->n;) {
        int length = phi_utf8_length(t->bytes + i, t->n - i);
        if (length < 1) {
            cli_warn("the prompt is not valid UTF-8 at byte %zu; its bytes are used as they are", i);
            return;
        }
        i += (size_t)length;
    }
}

static int own_part(const struct cli_options *o, const char *what, bool from_stdin, struct cli_text *t) {
    if (o->prompt) {
        int status = append(t, o->prompt, strlen(o->prompt));
        if (!status && o->escape) t->n = cli_unescape(t->bytes, t->n);
        return status;
    }
    const char *file = o->binary_file ? o->binary_file : o->file;
    if (!file || from_stdin) return CLI_OK;
    int status = cli_text_read(file, what, t);
    if (!status && o->file) drop_newline(t);
    return status;
}

int cli_prompt_read(const struct cli_options *o, bool optional, struct cli_prompt *out) {
    const char *file = o->binary_file ? o->binary_file : o->file;
    bool named = file && strcmp(file, "-") == 0; /* stdin is asked for, a terminal too */
    bool have = o->prompt || (file && !named), terminal = isatty(STDIN_FILENO);
    struct cli_text from_stdin = {NULL, 0};
    *out = (struct cli_prompt){{NULL, 0}, 0};
    if (optional && !have && !named && (terminal || o->no_stdin)) return CLI_OK;
    if (!have && !named && (terminal || o->no_stdin))
        return cli_fail(CLI_USAGE, "no prompt: give -p TEXT, -f FILE or text on stdin ('phi -h' shows examples)");
    int status = own_part(o, "prompt file", named, &out->text);
    out->n_own = out->text.n;
    if (!status && !o->no_stdin && (named || !terminal)) status = cli_text_read("-", "prompt", &from_stdin);
    if (!status && from_stdin.n) {
        if (!o->binary_file) drop_newline(&from_stdin);
        if (have) status = append(&out->text, "\n", 1);
        if (!status) status = append(&out->text, from_stdin.bytes, from_stdin.n);
    } else if (!status && !have && !optional && !cli_interrupted()) {
        status = cli_fail(CLI_USAGE, "no prompt: stdin is empty and neither -p nor -f is given");
    }
    if (!status) warn_broken(&out->text);
    cli_text_free(&from_stdin);
    return status;
}

int cli_prompt_read_own(const struct cli_options *o, const char *what, struct cli_text *out) {
    *out = (struct cli_text){NULL, 0};
    int status = own_part(o, what, false, out);
    if (!status) warn_broken(out);
    return status;
}

int cli_prompt_read_verbatim(const struct cli_options *o, struct cli_text *out) {
    *out = (struct cli_text){NULL, 0};
    if (o->prompt) return own_part(o, "prompt file", false, out);
    if (!o->file && isatty(STDIN_FILENO))
        return cli_fail(CLI_USAGE, "no text: give -p TEXT, -f FILE or text on stdin");
    return cli_text_read(o->file ? o->file : "-", "file", out);
}

int cli_text_tokenize(const phi_model *model, const char *text, size_t n_bytes, unsigned flags, int32_t **ids,
                      size_t *n) {
    size_t cap = n_bytes / 2 + 16;
    for (;;) {
        int32_t *out = phi_alloc(cap, sizeof *out);
        int64_t count = out ? phi_tokenize(model, text, n_bytes, flags, out, cap) : PHI_MEMORY;
        if (count >= 0 && (size_t)count <= cap) {
            *ids = out;
            *n = (size_t)count;
            return CLI_OK;
        }
        phi_free(out);
        if (count < 0) return no_memory(n_bytes);
        cap = (size_t)count;
    }
}

/* *differs: does the text hold something that would become a control token? */
static int has_control(const phi_model *model, const char *text, size_t n_bytes, bool *differs) {
    int32_t *with = NULL, *without = NULL;
    size_t n_with = 0, n_without = 0;
    int status = cli_text_tokenize(model, text, n_bytes, PHI_PARSE_SPECIAL, &with, &n_with);
    if (!status) status = cli_text_tokenize(model, text, n_bytes, 0, &without, &n_without);
    if (!status) *differs = n_with != n_without || memcmp(with, without, n_with * sizeof *with) != 0;
    phi_free(with);
    phi_free(without);
    return status;
}

/* Control tokens in the first n_own bytes only. Where both parts hold such text the parts are tokenized one by one:
 * the border is then a border of tokens, and the tokenizer puts its leading space before the second part too. */
static int tokenize_parts(const phi_model *model, const struct cli_prompt *p, int32_t **ids, size_t *n) {
    size_t n_head = p->n_own + (p->n_own < p->text.n && p->n_own); /* with the newline that joins them */
    bool head = false, tail = false;
    int32_t *first = NULL, *second = NULL;
    size_t n_first = 0, n_second = 0;
    int status = has_control(model, p->text.bytes + n_head, p->text.n - n_head, &tail);
    if (!status && tail) status = has_control(model, p->text.bytes, n_head, &head);
    if (status || !tail || !head) {
        unsigned flags = PHI_ADD_BOS | (tail ? 0 : PHI_PARSE_SPECIAL);
        return status ? status : cli_text_tokenize(model, p->text.bytes, p->text.n, flags, ids, n);
    }
    status = cli_text_tokenize(model, p->text.bytes, n_head, PHI_ADD_BOS | PHI_PARSE_SPECIAL, &first, &n_first);
    if (!status) status = cli_text_tokenize(model, p->text.bytes + n_head, p->text.n - n_head, 0, &second, &n_second);
    if (!status) {
        int32_t *all = phi_realloc(first, n_first + n_second, sizeof *all);
        if (!all) {
            status = no_memory(p->text.n);
        } else {
            first = NULL;
            if (n_second) memcpy(all + n_first, second, n_second * sizeof *all);
            *ids = all;
            *n = n_first + n_second;
        }
    }
    phi_free(first);
    phi_free(second);
    return status;
}

int cli_prompt_tokenize(const struct cli_options *o, const phi_model *model, const struct cli_prompt *p,
                        int32_t **ids, size_t *n) {
    unsigned special = o->parse_special == 0 ? 0 : PHI_PARSE_SPECIAL;
    if (o->parse_special < 0 && p->n_own < p->text.n) return tokenize_parts(model, p, ids, n);
    return cli_text_tokenize(model, p->text.bytes ? p->text.bytes : "", p->text.n, PHI_ADD_BOS | special, ids, n);
}

/* The text is tokenized behind a newline, whose tokens are cut off again: then no space is put before it. Where the newline
 * becomes one token with what follows, the vocabulary is one that puts no spaces. */
int cli_prompt_tokenize_more(const struct cli_options *o, const phi_model *model, const struct cli_prompt *p,
                             int32_t **ids, size_t *n) {
    int32_t *line = NULL, *begin = NULL;
    size_t n_line = 0, n_begin = 0;
    struct cli_prompt joined = {.n_own = p->n_own + (p->n_own > 0)};
    if (p->text.n == 0) return CLI_OK;
    int status = append(&joined.text, "\n", 1);
    if (!status) status = append(&joined.text, p->text.bytes, p->text.n);
    if (!status) status = cli_text_tokenize(model, "\n", 1, PHI_ADD_BOS, &line, &n_line);
    if (!status) status = cli_text_tokenize(model, "", 0, PHI_ADD_BOS, &begin, &n_begin);
    if (!status) status = cli_prompt_tokenize(o, model, &joined, ids, n);
    size_t cut = n_line;
    if (!status && (*n < n_line || memcmp(*ids, line, n_line * sizeof *line) != 0)) {
        phi_free(*ids);
        *ids = NULL;
        cut = n_begin;
        status = cli_prompt_tokenize(o, model, p, ids, n);
    }
    if (!status) memmove(*ids, *ids + cut, (*n -= cut) * sizeof **ids);
    phi_free(line);
    phi_free(begin);
    cli_text_free(&joined.text);
    return status;
}
