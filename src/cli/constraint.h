/* What the answer must be, from the options: --grammar, --grammar-file, -j, -jf. */
#ifndef PHI_CLI_CONSTRAINT_H
#define PHI_CLI_CONSTRAINT_H

#include "prompt.h"

struct cli_constraint {
    struct cli_text text; /* bytes NULL: the answer may be anything */
    bool schema;          /* it is a JSON schema, not GBNF */
    const char *file;     /* where it was read, NULL: from the command line */
    phi_grammar *grammar;
};

/* Read and check what the options give, before there is a model. CLI_OK; CLI_USAGE (it is malformed), CLI_FAILED (no such
 * file), CLI_MEMORY with the error line printed. Close in any case. */
int cli_constraint_read(const struct cli_options *o, struct cli_constraint *c);
/* For this model; o->sampler.grammar is set. The exit code, as above. */
int cli_constraint_open(struct cli_constraint *c, struct cli_options *o, const phi_model *model);
void cli_constraint_close(struct cli_constraint *c); /* after the last sampler, before the model */

#endif
