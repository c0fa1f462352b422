/* phi imatrix: which columns of the weight matrices matter for a text. The text is cut into chunks as phi eval does
 * it; the sums are the library's. */
#include "commands.h"
#include "model_file.h"
#include "prompt.h"
#include "../imatrix.h"
#include "../io.h"
#include "../memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { DEFAULT_CTX = 512 };

static int write_file(const struct cli_options *o, int *fd, const struct phi_bytes *file) {
    bool failed = phi_io_truncate(*fd, 0) || cli_write_all(*fd, file->data, file->n) || phi_io_sync(*fd);
    int cause = errno;
    if (phi_io_close(*fd) && !failed) {
        failed = true;
        cause = errno;
    }
    *fd = -1;
    return failed ? cli_fail(CLI_OUTPUT, "cannot write %s: %s", o->output, strerror(cause)) : CLI_OK;
}

static int stop_when_interrupted(void *user, size_t done, size_t total) {
    (void)user, (void)done, (void)total;
    return cli_interrupted();
}

/* ids: [n_chunk * n_ctx]; the first of each chunk is replaced by bos where that is not -1. */
static int collect(struct phi_imatrix_collector *c, int32_t *ids, size_t n_chunk, size_t n_ctx, int32_t bos) {
    phi_error err = {""};
    double began = cli_seconds();
    for (size_t i = 0; i < n_chunk && !cli_interrupted(); i++) {
        if (bos >= 0) ids[i * n_ctx] = bos;
        int status = phi_imatrix_collect(c, ids + i * n_ctx, n_ctx, stop_when_interrupted, NULL, &err);
        if (status) return cli_fail_with(status, &err);
        double left = (cli_seconds() - began) / (double)(i + 1) * (double)(n_chunk - i - 1);
        cli_note("[%zu/%zu] chunks, %.0f s left", i + 1, n_chunk, left);
    }
    return CLI_OK;
}

static int learn(const struct cli_options *o, phi_session *session, int32_t *ids, size_t n_chunk, size_t n_ctx,
                 int *fd) {
    const phi_model *model = phi_session_model(session);
    struct phi_imatrix_collector *c = NULL;
    struct phi_bytes file = {0};
    phi_error err = {""};
    int32_t bos = -1;
    if (phi_tokenize(model, "", 0, PHI_ADD_BOS, &bos, 1) != 1) bos = -1;
    int status = phi_imatrix_collect_open(session, o->process_output, &c, &err);
    if (status) return cli_fail_with(status, &err);
    status = collect(c, ids, n_chunk, n_ctx, bos);
    if (!status && !cli_interrupted()) {
        status = phi_imatrix_collect_encode(c, o->file, (uint32_t)n_chunk, (uint32_t)n_ctx, &file, &err);
        status = status ? cli_fail_with(status, &err) : write_file(o, fd, &file);
    }
    phi_free(file.data);
    phi_imatrix_collect_close(c);
    return status;
}

static int run(const struct cli_options *o, const phi_model *model, const struct cli_model_file *file, int *fd) {
    struct phi_model_info info;
    struct cli_text text;
    phi_session *session = NULL;
    int32_t *ids = NULL;
    size_t n = 0;
    phi_model_get_info(model, &info);
    int n_ctx = o->session.n_ctx ? o->session.n_ctx : info.n_ctx_train < DEFAULT_CTX ? info.n_ctx_train : DEFAULT_CTX;
    if (n_ctx > info.n_ctx_train)
        return cli_fail(CLI_USAGE, "--ctx-size: %d is above the model's context length (%d)", n_ctx,
                        info.n_ctx_train);
    int status = cli_prompt_read_own(o, "text", &text);
    if (!status) status = cli_text_tokenize(model, text.n ? text.bytes : "", text.n, PHI_ADD_BOS, &ids, &n);
    cli_text_free(&text);
    size_t n_chunk = n / (size_t)n_ctx;
    if (o->eval_chunks && n_chunk > (size_t)o->eval_chunks) n_chunk = (size_t)o->eval_chunks;
    if (!status && !n_chunk)
        status = cli_fail(CLI_FAILED, "%s has %zu tokens, a chunk takes %d; use a longer text or a smaller -c",
                          o->file, n, n_ctx);
    if (!status) status = cli_session_open(o, model, n_ctx, &session);
    if (!status && !cli_interrupted()) {
        cli_model_announce(file);
        status = learn(o, session, ids, n_chunk, (size_t)n_ctx, fd);
    }
    phi_session_close(session);
    phi_free(ids);
    return status;
}

int cli_imatrix(const struct cli_options *o) {
    struct cli_model_file file;
    phi_model *model = NULL;
    /* before the model, whose sandbox forbids it; what the file holds stays until there is something else */
    int fd = phi_io_open(o->output, O_WRONLY | O_CREAT, 0666);
    if (fd < 0) return cli_fail(CLI_OUTPUT, "cannot write %s: %s", o->output, strerror(errno));
    int status = cli_model_open(o, true, &file, &model);
    if (!status) status = run(o, model, &file, &fd);
    phi_model_close(model);
    if (fd >= 0) phi_io_close(fd);
    return status;
}
