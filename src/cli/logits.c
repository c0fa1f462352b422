/* phi logits: what the model computes, for comparison with other implementations. Takes ids, so that no tokenizer is
 * between, writes rows as they are computed, and lets the thread count and the instruction set be anything. */
#include "commands.h"
#include "model_file.h"
#include "prompt.h"
#include "../io.h"
#include "../memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct row_writer {
    int fd; /* -1: stdout */
    bool failed;
    int error; /* errno of the failure; 0: already reported */
};

static int write_row(void *user, size_t position, const float *logits, int n_vocab) {
    struct row_writer *w = user;
    size_t n = (size_t)n_vocab * sizeof *logits; /* GGUF is read as it lies, so the host is little-endian */
    (void)position;
    w->failed = w->fd < 0 ? cli_put(logits, n) != CLI_OK : cli_write_all(w->fd, logits, n) != 0;
    w->error = w->failed && w->fd >= 0 ? errno : 0;
    return w->failed || cli_interrupted();
}

/* Before the model, whose sandbox forbids it. What the file holds stays until there is something else. */
static int open_output(const struct cli_options *o, struct row_writer *w) {
    if (!o->output || strcmp(o->output, "-") == 0) return CLI_OK;
    w->fd = phi_io_open(o->output, O_WRONLY | O_CREAT, 0666);
    return w->fd < 0 ? cli_fail(CLI_OUTPUT, "cannot write %s: %s", o->output, strerror(errno)) : CLI_OK;
}

static void close_output(struct row_writer *w) {
    if (w->fd >= 0 && phi_io_close(w->fd) != 0 && !w->failed) {
        w->failed = true;
        w->error = errno;
    }
    w->fd = -1;
}

static int write_logits(const struct cli_options *o, struct row_writer *w, phi_session *session, const int32_t *ids,
                        size_t n) {
    struct stat st;
    phi_error err = {""};
    bool regular = w->fd >= 0 && fstat(w->fd, &st) == 0 && S_ISREG(st.st_mode);
    if (regular && phi_io_truncate(w->fd, 0))
        return cli_fail(CLI_OUTPUT, "cannot empty %s: %s", o->output, strerror(errno));
    int status = phi_session_eval_logits(session, ids, n, write_row, w, &err);
    close_output(w);
    if (status) return cli_fail_with(status, &err);
    if (w->error) return cli_fail(CLI_OUTPUT, "write to %s failed: %s", o->output, strerror(w->error));
    return w->failed ? CLI_OUTPUT : CLI_OK;
}

/* The largest logit, ties to the lowest id. All are finite: eval sees to that. */
static int32_t likeliest(const float *logits, int n_vocab) {
    int32_t best = 0;
    for (int32_t i = 0; i < n_vocab; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

static int continue_greedily(const struct cli_options *o, phi_session *session, int n_vocab) {
    phi_error err = {""};
    for (int i = 0; i < o->n_greedy && !cli_interrupted(); i++) {
        int32_t id = likeliest(phi_session_logits(session), n_vocab);
        if (cli_putf(i ? " %d" : "%d", id)) return CLI_OUTPUT;
        if (i + 1 == o->n_greedy) return cli_put("\n", 1);
        int status = phi_session_eval(session, &id, 1, NULL, NULL, &err);
        if (status) return cli_fail_with(status, &err);
    }
    return CLI_OK;
}

static int stop_when_interrupted(void *user, size_t done, size_t total) {
    (void)user, (void)done, (void)total;
    return cli_interrupted();
}

static int compute(const struct cli_options *o, const phi_model *model, struct row_writer *w, const int32_t *ids,
                   size_t n) {
    struct phi_model_info info;
    phi_session *session = NULL;
    phi_error err = {""};
    phi_model_get_info(model, &info);
    if (n == 0) return cli_fail(CLI_USAGE, "--ids: the list is empty");
    if (n + (size_t)o->n_greedy > (size_t)info.n_ctx_train)
        return cli_fail(CLI_CONTEXT, "%zu ids and %d more do not fit, the model's context holds %d", n, o->n_greedy,
                        info.n_ctx_train);
    int status = cli_session_open(o, model, (int)n + o->n_greedy, &session);
    if (!status && o->output) {
        status = write_logits(o, w, session, ids, n);
    } else if (!status) {
        status = phi_session_eval(session, ids, n, stop_when_interrupted, NULL, &err);
        if (status) status = cli_fail_with(status, &err);
    }
    if (!status && o->n_greedy && !cli_interrupted()) status = continue_greedily(o, session, info.n_vocab);
    phi_session_close(session);
    return status;
}

int cli_logits(const struct cli_options *o) {
    struct cli_options exact = *o; /* comparisons ask for a thread count: it is kept, however few cores there are */
    struct cli_model_file file;
    struct cli_text text = {NULL, 0};
    struct phi_model_info info;
    struct row_writer w = {.fd = -1};
    phi_model *model = NULL;
    int32_t *ids = NULL;
    size_t n = 0;
    exact.session.force_threads = true;
    bool from_file = o->id_list[0] == '@';
    int status = from_file ? cli_text_read(o->id_list + 1, "id file", &text) : CLI_OK;
    if (!status) status = open_output(o, &w);
    if (!status) status = cli_model_open(o, true, &file, &model);
    if (!status) {
        phi_model_get_info(model, &info);
        status = cli_parse_ids("--ids", from_file ? text.bytes : o->id_list, from_file ? text.n : strlen(o->id_list),
                               info.n_vocab, &ids, &n);
    }
    if (!status && !cli_interrupted()) status = compute(&exact, model, &w, ids, n);
    close_output(&w);
    phi_free(ids);
    cli_text_free(&text);
    phi_model_close(model);
    return status;
}
