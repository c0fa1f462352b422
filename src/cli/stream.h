/* An answer on stdout, token by token. */
#ifndef PHI_CLI_STREAM_H
#define PHI_CLI_STREAM_H

#include "stop_text.h"
#include "wrap.h"
#include "../utf8.h"

struct cli_stream {
    const phi_model *model;
    const phi_session *session; /* whose logits the tokens are chosen from; set by the caller */
    bool terminal;         /* stdout is one: control characters are shown, not sent */
    bool wraps;            /* and rows are broken between words */
    bool skip_space;       /* drop one space at the beginning */
    bool special;          /* put out control tokens, too */
    struct cli_stop stop;  /* texts that end the answer */
    struct phi_utf8 whole; /* an incomplete character that phi_generate() handed out at its end */
    struct cli_wrap wrap;
    char last;                /* the last byte put out */
    size_t n_raw, n_whole;    /* bytes of the tokens so far, and of the characters that they completed */
    double began, last_shown; /* of the prompt's evaluation, for the progress line */
};

/* wraps: as above, if stdout allows it. CLI_OK or CLI_MEMORY with the error line printed; close in any case. */
int cli_stream_open(struct cli_stream *s, const struct cli_options *o, const phi_model *model, bool wraps);
void cli_stream_close(struct cli_stream *s);

/* Put out and flush. CLI_OK or CLI_OUTPUT. */
int cli_stream_put(struct cli_stream *s, const char *bytes, size_t n);
/* The prompt, before the answer; in another colour where there are colours. */
void cli_stream_show_prompt(struct cli_stream *s, const char *bytes, size_t n);
/* The answer has ended: put out what was held back, and the token that ended it if control tokens are wanted (-1:
 * none did). */
void cli_stream_finish(struct cli_stream *s, int32_t stop_id);
/* A newline unless the last byte was one. Does not flush. */
void cli_stream_end_line(struct cli_stream *s);

/* Callbacks of phi_generate(); user is a struct cli_stream. They stop when a signal has come, stdout has failed
 * or a stop text is complete. */
int cli_stream_token(void *user, int32_t id, const char *bytes, size_t n_bytes);
int cli_stream_progress(void *user, size_t done, size_t total);

uint32_t cli_choose_seed(int64_t wanted); /* wanted, or random if it is negative */

void cli_describe(const struct cli_options *o, const phi_session *session); /* what -v shows */
void cli_show_tokens(const phi_model *model, const int32_t *ids, size_t n); /* what --verbose-prompt shows */

#endif
