/* The text that the user gives, from options, files and stdin, and its token ids. */
#ifndef PHI_CLI_PROMPT_H
#define PHI_CLI_PROMPT_H

#include "options.h"

struct cli_text {
    char *bytes; /* owned: cli_text_free() */
    size_t n;
};
void cli_text_free(struct cli_text *t);

/* A whole file; "-" is stdin (which is waited for; after two silent seconds a note says so). what: "prompt file".
 * CLI_OK; CLI_FAILED or CLI_MEMORY with the error line printed. Nothing when a signal came: see cli_interrupted(). */
int cli_text_read(const char *path, const char *what, struct cli_text *t);

/* \n \r \t \' \" \\ become what they mean, in place; any other backslash stays. Returns how many bytes are left. */
size_t cli_unescape(char *bytes, size_t n);

struct cli_prompt {
    struct cli_text text;
    size_t n_own; /* the first bytes come from -p or a file, the rest from stdin */
};

/* -p, -f or -bf, then a newline and stdin if it is no terminal and not empty. CLI_USAGE: there is no prompt at all, unless that
 * is allowed (optional; text.bytes is NULL then). */
int cli_prompt_read(const struct cli_options *o, bool optional, struct cli_prompt *out);

/* -p, -f or -bf alone; nothing (bytes NULL) if none is given. what: "prompt file". */
int cli_prompt_read_own(const struct cli_options *o, const char *what, struct cli_text *out);

/* -p or -f as it is, else stdin as it is, for commands that look at text. */
int cli_prompt_read_verbatim(const struct cli_options *o, struct cli_text *out);

/* Ids of a text; *ids belongs to the caller: phi_free(). flags: of phi_tokenize(). CLI_OK or CLI_MEMORY. */
int cli_text_tokenize(const phi_model *model, const char *text, size_t n_bytes, unsigned flags, int32_t **ids,
                      size_t *n);

/* Ids of a prompt. Unless the options say otherwise, control tokens are recognised in its own part but not in stdin.
 */
int cli_prompt_tokenize(const struct cli_options *o, const phi_model *model, const struct cli_prompt *p,
                        int32_t **ids, size_t *n);
/* Ids of a text that goes on behind other tokens: without the token that begins every text, and without the space that a
 * SentencePiece vocabulary puts before a text. */
int cli_prompt_tokenize_more(const struct cli_options *o, const phi_model *model, const struct cli_prompt *p,
                             int32_t **ids, size_t *n);

#endif
