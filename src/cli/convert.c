/* phi convert DIR OUT.gguf: checks the words, opens the files, shows how far it is. What is done stands in convert.c of the
 * library. */
#include "commands.h"
#include "maker.h"
#include "../convert.h"
#include "../cores.h"

/* NULL: auto. */
static const struct phi_type *outtype(const struct cli_options *o) {
    static const enum phi_type_index types[] = {PHI_F32, PHI_F32, PHI_BF16, PHI_F16, PHI_Q8_0};
    return o->outtype ? &phi_types[types[o->outtype]] : NULL;
}

static int convert(const char *path, struct phi_convert *c, struct phi_new_file *file, phi_error *err) {
    double start = cli_seconds();
    uint64_t n_changed = 0;
    int status = phi_new_file_check_room(file, c->file_bytes, err);
    struct phi_encode_calls calls = cli_maker_calls(file);
    if (!status) status = phi_convert_write(c, phi_cores_allowed(), &calls, &n_changed, err);
    status = cli_maker_close(file, status, err);
    if (status) return status;
    cli_note("%s: %.2f MiB, %zu tensors; %.1f s", path, (double)c->file_bytes / 1048576, c->n_tensor, cli_seconds() - start);
    if (c->type && c->type->index == PHI_F16)
        cli_note("%llu of %llu weights have another value in F16", (unsigned long long)n_changed, (unsigned long long)c->n_weight);
    return CLI_OK;
}

int cli_convert(const struct cli_options *o) {
    struct phi_convert c;
    struct phi_new_file file;
    phi_error err = {""};
    if (o->n_word < 2) return cli_fail(CLI_USAGE, "convert needs DIR OUT, like: phi convert Phi-3.5-mini-instruct phi.gguf");
    int status = cli_maker_open(o, o->word[0], o->word[1], &file);
    if (status) return status;
    status = phi_convert_open(o->word[0], outtype(o), &c, &err);
    if (!status && c.placeholder)
        cli_warn("%s has no tokenizer.model or tokenizer.json; the new file can be used with token ids only", o->word[0]);
    status = status ? cli_maker_close(&file, status, &err) : convert(o->word[1], &c, &file, &err);
    phi_convert_close(&c);
    return status ? cli_fail_with(status, &err) : CLI_OK;
}
