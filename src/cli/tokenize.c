/* phi tokenize: text to ids, ids to bytes. A model file that holds only a vocabulary is enough. */
#include "commands.h"
#include "model_file.h"
#include "prompt.h"
#include "sandbox.h"
#include "../memory.h"

#include <string.h>

static void put_ids(const int32_t *ids, size_t n) {
    cli_put("[", 1);
    for (size_t i = 0; i < n; i++) cli_putf(i ? ", %d" : "%d", ids[i]);
    cli_put("]\n", 2);
}

/* Token texts come from the file: control bytes in them are shown, not sent. */
static void put_table(const phi_model *model, const int32_t *ids, size_t n) {
    for (size_t i = 0; i < n; i++) {
        size_t n_bytes;
        const char *bytes = phi_token_bytes(model, ids[i], true, &n_bytes);
        cli_putf("%6d -> '", ids[i]);
        cli_put_escaped(bytes, n_bytes, 0);
        cli_put("'\n", 2);
    }
}

static int encode(const struct cli_options *o, const phi_model *model, const char *text, size_t n_bytes,
                  size_t *n_all) {
    unsigned flags = (o->no_bos ? 0 : PHI_ADD_BOS) | (o->parse_special ? PHI_PARSE_SPECIAL : 0);
    int32_t *ids = NULL;
    size_t n = 0;
    int status = cli_text_tokenize(model, text, n_bytes, flags, &ids, &n);
    if (!status && (o->show_ids || o->nul_separated))
        put_ids(ids, n);
    else if (!status)
        put_table(model, ids, n);
    *n_all += n;
    phi_free(ids);
    return status ? status : cli_output_status();
}

static int encode_all(const struct cli_options *o, const phi_model *model, const struct cli_text *text) {
    size_t n_all = 0, at = 0;
    int status = CLI_OK;
    if (!o->nul_separated) status = encode(o, model, text->n ? text->bytes : "", text->n, &n_all);
    while (o->nul_separated && !status && at < text->n && !cli_interrupted()) {
        const char *end = memchr(text->bytes + at, 0, text->n - at);
        size_t length = end ? (size_t)(end - (text->bytes + at)) : text->n - at;
        status = encode(o, model, text->bytes + at, length, &n_all);
        at += length + 1;
    }
    if (!status && o->show_count) cli_putf("Total number of tokens: %zu\n", n_all);
    return status;
}

static int decode(const phi_model *model, const struct cli_text *text) {
    struct phi_model_info info;
    int32_t *ids;
    size_t n;
    phi_model_get_info(model, &info);
    int status = cli_parse_ids("--decode", text->n ? text->bytes : "", text->n, info.n_vocab, &ids, &n);
    if (status) return status;
    for (size_t i = 0; i < n && !cli_output_status(); i++) {
        size_t n_bytes;
        const char *bytes = phi_token_bytes(model, ids[i], false, &n_bytes);
        cli_put(bytes, n_bytes);
    }
    phi_free(ids);
    return cli_output_status();
}

int cli_tokenize(const struct cli_options *o) {
    struct cli_text text = {NULL, 0};
    struct cli_model_file file;
    phi_model *model = NULL;
    int status = cli_sandbox_enter(o, NULL, false);
    if (!status) status = cli_prompt_read_verbatim(o, &text);
    if (!status && !cli_interrupted()) {
        status = cli_model_open(o, false, &file, &model);
        if (!status && file.why[0]) cli_model_announce(&file);
        if (!status) status = o->decode ? decode(model, &text) : encode_all(o, model, &text);
    }
    phi_model_close(model);
    cli_text_free(&text);
    return status;
}
