/* phi eval: how well a model does. This file opens model and session and holds what the kinds of evaluation share;
 * eval_perplexity.c scores a text, eval_task.c asks questions. */
#include "eval.h"
#include "commands.h"
#include "../memory.h"

#include <stdio.h>
#include <string.h>

uint64_t eval_hash(uint64_t hash, const void *bytes, size_t n) {
    const unsigned char *p = bytes;
    if (!hash) hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) hash = (hash ^ p[i]) * 0x100000001b3u;
    return hash;
}

/* The model by its size, its first 64 KiB, and 64 bytes at each of 4096 places: other weights differ in all of them.
 */
static uint64_t hash_model(const phi_model *model) {
    enum { HEAD = 1 << 16, N_PLACE = 4096, PIECE = 64 };
    size_t n;
    const unsigned char *p = phi_model_mapping(model, &n);
    uint64_t hash = eval_hash(0, &n, sizeof n);
    hash = eval_hash(hash, p, n < HEAD ? n : HEAD);
    for (size_t i = 0; n > HEAD + PIECE && i < N_PLACE; i++)
        hash = eval_hash(hash, p + (n - PIECE) / N_PLACE * i, PIECE);
    return hash;
}

int eval_open_session(struct eval *e, int n_ctx) {
    struct phi_model_info info;
    phi_model_get_info(e->model, &info);
    if (n_ctx > info.n_ctx_train)
        return cli_fail(CLI_USAGE, "--ctx-size: %d is above the model's context length (%d)", n_ctx,
                        info.n_ctx_train);
    e->n_ctx = n_ctx;
    return cli_session_open(e->o, e->model, n_ctx, &e->session);
}

int eval_tokenize(const struct eval *e, const struct cli_text *text, bool bos, int32_t **ids, size_t *n) {
    return cli_text_tokenize(e->model, text->n ? text->bytes : "", text->n, bos ? PHI_ADD_BOS : 0, ids, n);
}

static int stop_when_interrupted(void *user, size_t done, size_t total) {
    (void)user, (void)done, (void)total;
    return cli_interrupted();
}

int eval_append(struct eval *e, const int32_t *ids, size_t n, phi_logits_fn *rows, void *user) {
    phi_error err = {""};
    int status = rows ? phi_session_eval_logits(e->session, ids, n, rows, user, &err)
                      : phi_session_eval(e->session, ids, n, stop_when_interrupted, NULL, &err);
    return status ? cli_fail_with(status, &err) : CLI_OK;
}

void eval_progress(size_t first, size_t done, size_t total, double began, const char *text) {
    double left = (cli_seconds() - began) / (double)(done - first) * (double)(total - done);
    cli_note("[%zu/%zu] %s, %.0f s left", done, total, text, left);
}

static int evaluate(const struct cli_options *o, struct eval *e) {
    struct cli_model_file file;
    struct phi_model_info info;
    phi_model *model = NULL;
    int status = cli_model_open(o, true, &file, &model);
    if (status) return status;
    phi_model_get_info(model, &info);
    e->model = model;
    e->file = &file;
    e->n_vocab = info.n_vocab;
    /* whatever changes results: not the threads, not the passes */
    const int settings[] = {o->session.window, (int)o->session.type_k, (int)o->session.type_v};
    e->run = eval_hash(hash_model(model), settings, sizeof settings);
    status = o->eval_task ? eval_task(e) : eval_perplexity(e);
    phi_session_close(e->session);
    phi_model_close(model);
    return status;
}

int cli_eval(const struct cli_options *o) {
    struct eval_records records;
    struct eval_base base = {.fd = -1};
    struct eval e = {.o = o, .records = &records, .base = o->eval_base && !o->kl_divergence ? &base : NULL};
    int status = eval_records_prepare(&records, o->eval_checkpoint);
    if (!status && e.base) status = eval_base_prepare(&base, o->eval_base);
    if (!status) status = evaluate(o, &e);
    eval_records_close(&records);
    eval_base_close(&base);
    return status;
}
