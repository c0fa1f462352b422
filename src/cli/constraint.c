/* Constrained output: from options to a grammar, first without a model, so that what is malformed is told at once. */
#include "constraint.h"
#include "../memory.h"

#include <string.h>

static int fail_with(const struct cli_options *o, int status, const phi_error *err) {
    if (status != PHI_USAGE || o->grammar) return cli_fail_with(status, err);
    return cli_fail(CLI_USAGE, "%s: %s", o->grammar_file, err->text);
}

static int check(const struct cli_options *o, struct cli_constraint *c, const phi_model *model) {
    phi_error err = {""};
    int status = phi_grammar_open(model, c->text.bytes, c->text.n, NULL, &c->grammar, &err);
    return status ? fail_with(o, status, &err) : CLI_OK;
}

int cli_constraint_read(const struct cli_options *o, struct cli_constraint *c) {
    *c = (struct cli_constraint){{NULL, 0}, NULL};
    if (o->grammar && o->grammar_file) return cli_fail(CLI_USAGE, "--grammar and --grammar-file exclude each other");
    if (!o->grammar && !o->grammar_file) return CLI_OK;
    if (o->grammar_file) {
        int status = cli_text_read(o->grammar_file, "grammar file", &c->text);
        if (status || cli_interrupted()) return status;
    } else {
        c->text.n = strlen(o->grammar);
        c->text.bytes = phi_alloc(c->text.n + 1, 1);
        if (!c->text.bytes) return cli_fail(CLI_MEMORY, "not enough memory for the grammar");
        memcpy(c->text.bytes, o->grammar, c->text.n);
    }
    return check(o, c, NULL);
}

int cli_constraint_open(struct cli_constraint *c, struct cli_options *o, const phi_model *model) {
    if (!c->text.bytes) return CLI_OK;
    int status = check(o, c, model);
    o->sampler.grammar = c->grammar;
    return status;
}

void cli_constraint_close(struct cli_constraint *c) {
    phi_grammar_close(c->grammar);
    cli_text_free(&c->text);
}
