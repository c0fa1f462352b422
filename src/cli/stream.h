/* An answer on stdout, token by token. */
#ifndef PHI_CLI_STREAM_H
#define PHI_CLI_STREAM_H

#include "options.h"
#include "wrap.h"

struct cli_stream {
    bool terminal;   /* stdout is one: control characters are shown, not sent */
    bool wraps;      /* and rows are broken between words */
    bool skip_space; /* drop one space at the beginning */
    struct cli_wrap wrap;
    char last;                /* the last byte put out */
    double began, last_shown; /* of the prompt's evaluation, for the progress line */
};

/* Put out and flush. CLI_OK or CLI_OUTPUT. */
int cli_stream_put(struct cli_stream *s, const char *bytes, size_t n);
/* A newline unless the last byte was one. Does not flush. */
void cli_stream_end_line(struct cli_stream *s);

/* Callbacks of phi_generate(); user is a struct cli_stream. They stop when a signal has come or stdout has failed. */
int cli_stream_token(void *user, int32_t id, const char *bytes, size_t n_bytes);
int cli_stream_progress(void *user, size_t done, size_t total);

uint32_t cli_choose_seed(int64_t wanted); /* wanted, or random if it is negative */

void cli_describe(const struct cli_options *o, const phi_session *session); /* what -v shows */
void cli_show_tokens(const phi_model *model, const int32_t *ids, size_t n); /* what --verbose-prompt shows */

#endif
