/* What the parts of phi eval share: the evaluation at hand, its results so far, output. */
#ifndef PHI_CLI_EVAL_H
#define PHI_CLI_EVAL_H

#include "model_file.h"
#include "prompt.h"

struct eval_base;
struct eval_records;

struct eval {
    const struct cli_options *o;
    struct eval_records *records;
    struct eval_base *base; /* prepared for writing; NULL: none is written */
    const struct cli_model_file *file;
    const phi_model *model;
    phi_session *session;
    int n_ctx, n_vocab;
    int32_t *held; /* [n_ctx], of a task: the ids in the session */
    size_t n_held;
    uint64_t run; /* a hash of what decides the results: model, text, settings */
};

/* ---- eval.c ---- */

uint64_t eval_hash(uint64_t hash, const void *bytes, size_t n); /* FNV-1a; begin with 0 */

/* Open e->session for n_ctx tokens. The exit code, with the error line printed. */
int eval_open_session(struct eval *e, int n_ctx);

/* Ids of a text without control tokens, of which the caller owns *ids. bos: with the token that begins every text. */
int eval_tokenize(const struct eval *e, const struct cli_text *text, bool bos, int32_t **ids, size_t *n);

/* Append ids; NULL rows: no row of logits is wanted but the last. The exit code, with the error line printed; CLI_OK too
 * when a signal came: cli_interrupted(). */
int eval_append(struct eval *e, const int32_t *ids, size_t n, phi_logits_fn *rows, void *user);

/* "phi: [3/40] ..." with the time left, when step `done` (of those counted since `first`) ended. */
void eval_progress(size_t first, size_t done, size_t total, double began, const char *text);

/* ---- eval_checkpoint.c: results in records of one size, in memory and, where a path is given, in a file, so that a killed
 * evaluation goes on where it was ---- */

struct eval_records {
    const char *path; /* NULL: none is kept */
    int fd;
    uint64_t run;
    size_t size; /* of a record */
    char *data;  /* [n][size] */
    size_t n, room, n_saved;
    size_t end;    /* of what is whole in the file */
    uint64_t hash; /* of that */
    double saved_at;
};

/* Before the model, whose sandbox forbids it: open the file for writing, or make it. What it holds stays. CLI_OUTPUT. */
int eval_records_prepare(struct eval_records *r, const char *path);
/* Begin with what the file holds. CLI_USAGE: it is no checkpoint, or another evaluation's. */
int eval_records_open(struct eval_records *r, uint64_t run, size_t size);
int eval_records_add(struct eval_records *r, const void *record);
/* Append what is new to the file if ten seconds have passed since the last time, or at once. CLI_OUTPUT. */
int eval_records_save(struct eval_records *r, bool now);
void eval_records_close(struct eval_records *r);

/* ---- eval_base.c: llama.cpp's file of base logits, to which KL divergence is measured.
 *
 *     "_logits_" | n_ctx u32 | n_vocab u32 | n_chunk u32 | ids i32 [n_chunk][n_ctx]
 *     rows u16 [n_chunk][n_ctx - 1 - n_ctx/2][phi_score_row_size(n_vocab)]: of positions n_ctx/2 ... n_ctx - 2
 *
 * While it is written the eight bytes of the name are zeros: what is not complete is no such file. ---- */

struct eval_base {
    const char *path;
    int n_ctx, n_vocab, n_chunk, n_row; /* n_row: of a chunk */
    size_t row_size;                    /* in u16 */
    const uint8_t *data;                /* the mapped file, when it is read */
    uint64_t n_mapped, n_bytes, rows_at;
    int fd; /* when it is written */
    uint16_t *row;
};

/* Open a file that was written with this vocabulary. CLI_FAILED, CLI_USAGE, CLI_MEMORY. */
int eval_base_open(struct eval_base *b, const char *path, int n_vocab);
int32_t eval_base_id(const struct eval_base *b, size_t i);
const uint16_t *eval_base_row(const struct eval_base *b, size_t chunk, size_t row);

/* Before the model, as above: open the file for writing, or make it. CLI_OUTPUT. */
int eval_base_prepare(struct eval_base *b, const char *path);
/* Say how large it becomes, see that it fits, write what stands before the rows. The first n_done chunks stay as they are.
 * ids: [n_chunk * n_ctx]. */
int eval_base_create(struct eval_base *b, const struct eval *e, const int32_t *ids, int n_chunk, int n_done);
/* The next row; *nll: -ln p(id). CLI_OUTPUT. */
int eval_base_put(struct eval_base *b, const float *logits, int32_t id, double *nll);
int eval_base_sync(struct eval_base *b);   /* what was put is on the storage */
int eval_base_finish(struct eval_base *b); /* it is complete */
int eval_base_abandon(struct eval_base *b); /* it never will be: it is empty then */
void eval_base_close(struct eval_base *b);

/* ---- The kinds ---- */

int eval_perplexity(struct eval *e); /* eval_perplexity.c: and KL divergence */
int eval_task(struct eval *e);       /* eval_task.c: questions */

#endif
