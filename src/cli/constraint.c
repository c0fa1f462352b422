/* Constrained output: from options to a grammar, first without a model, so that what is malformed is told at once. */
#include "constraint.h"
#include "../memory.h"

#include <string.h>

static int check(struct cli_constraint *c, const phi_model *model) {
    phi_error err = {""};
    int status = c->schema ? phi_grammar_open_schema(model, c->text.bytes, c->text.n, &c->grammar, &err)
                           : phi_grammar_open(model, c->text.bytes, c->text.n, NULL, &c->grammar, &err);
    if (status == PHI_USAGE && c->file) return cli_fail(CLI_USAGE, "%s: %s", c->file, err.text);
    return status ? cli_fail_with(status, &err) : CLI_OK;
}

int cli_constraint_read(const struct cli_options *o, struct cli_constraint *c) {
    const struct {
        const char *name, *text, *file;
    } given[] = {{"--grammar", o->grammar, NULL},
                 {"--grammar-file", NULL, o->grammar_file},
                 {"-j", o->json_schema, NULL},
                 {"-jf", NULL, o->json_schema_file}};
    const char *name = NULL, *text = NULL;
    *c = (struct cli_constraint){.grammar = NULL};
    for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
        if (!given[i].text && !given[i].file) continue;
        if (name) return cli_fail(CLI_USAGE, "%s and %s exclude each other", name, given[i].name);
        name = given[i].name;
        text = given[i].text;
        c->file = given[i].file;
        c->schema = i >= 2;
    }
    if (!name) return CLI_OK;
    if (c->file) {
        int status = cli_text_read(c->file, c->schema ? "schema file" : "grammar file", &c->text);
        if (status || cli_interrupted()) return status;
    } else {
        c->text.n = strlen(text);
        c->text.bytes = phi_alloc(c->text.n + 1, 1);
        if (!c->text.bytes) return cli_fail(CLI_MEMORY, "not enough memory for %s", name);
        memcpy(c->text.bytes, text, c->text.n);
    }
    return check(c, NULL);
}

int cli_constraint_open(struct cli_constraint *c, struct cli_options *o, const phi_model *model) {
    if (!c->text.bytes) return CLI_OK;
    int status = check(c, model);
    o->sampler.grammar = c->grammar;
    return status;
}

void cli_constraint_close(struct cli_constraint *c) {
    phi_grammar_close(c->grammar);
    cli_text_free(&c->text);
}
