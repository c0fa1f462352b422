/* phi quantize IN OUT TYPE [THREADS]: checks the words, opens the files, shows how far it is. What is done stands in
 * quantize.c of the library. */
#include "commands.h"
#include "maker.h"
#include "sandbox.h"
#include "../cores.h"
#include "../quantize.h"

#include <stdio.h>
#include <string.h>

static int list_types(const char *word) {
    char names[512];
    size_t n = 0;
    for (size_t i = 0; phi_mix_at(i); i++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", i ? " " : "", phi_mix_at(i)->name);
    return cli_fail(CLI_USAGE, "'%s' is not a type (%s)", word, names);
}

static int read_type(const char *option, const char *word, const struct phi_type **type) {
    if (!word || (*type = phi_type_named(word))) return CLI_OK;
    return cli_fail(CLI_USAGE, "%s: '%s' is not a format of tensors, like q6_k or f16", option, word);
}

/* "ffn_down=q8_0": the last = divides. */
static int read_rule(const char *text, struct phi_quantize_options *q) {
    const char *equal = strrchr(text, '=');
    if (!equal || equal == text)
        return cli_fail(CLI_USAGE, "--tensor-type: '%s' is not PATTERN=TYPE, like ffn_down=q8_0", text);
    size_t n = (size_t)(equal - text), marks = strcspn(text, "^$+?()[]{}|\\");
    if (marks < n)
        return cli_fail(CLI_USAGE,
                        "--tensor-type: '%c' in '%s' is a mark of regular expressions; a pattern is a part of the name, with * "
                        "for any text",
                        text[marks], text);
    if (q->n_rule == PHI_QUANTIZE_RULES) return cli_fail(CLI_USAGE, "--tensor-type: more than %d", PHI_QUANTIZE_RULES);
    struct phi_quantize_rule *rule = &q->rule[q->n_rule++];
    rule->pattern = text;
    rule->n = n;
    return read_type("--tensor-type", equal + 1, &rule->type);
}

static int read_words(const struct cli_options *o, struct phi_quantize_options *q, int *n_thread) {
    if (o->n_word < 3) return cli_fail(CLI_USAGE, "quantize needs IN OUT TYPE, like: phi quantize f16.gguf small.gguf q4_k_m");
    q->mix = phi_mix_find(o->word[2]);
    if (!q->mix) return list_types(o->word[2]);
    *n_thread = phi_cores_allowed();
    int64_t n = 0;
    if (o->n_word > 3) {
        if (!cli_parse_int(o->word[3], &n) || n < 1 || n > 1024)
            return cli_fail(CLI_USAGE, "'%s' is not a number of threads (1 to 1024)", o->word[3]);
        *n_thread = (int)n;
    }
    q->leave_output = o->leave_output;
    q->pure = o->pure;
    q->requantize = o->requantize;
    int status = read_type("--output-tensor-type", o->output_type, &q->output);
    if (!status) status = read_type("--token-embedding-type", o->embedding_type, &q->embedding);
    for (int i = 0; i < o->tensor_types.n && !status; i++) status = read_rule(o->tensor_types.text[i], q);
    return status;
}

/* ---- Work ---- */

static int put_plan(const struct phi_quantize_plan *p) {
    for (uint64_t i = 0; i < p->in->n_tensor; i++) {
        const struct phi_gguf_tensor *t = &p->in->tensor[i];
        cli_put_escaped(t->name.s, (size_t)t->name.n, 0);
        cli_putf(" %s %s\n", t->type->name, p->type[i]->name);
    }
    return cli_putf("total %llu bytes\n", (unsigned long long)p->file_bytes);
}

static void note_result(const char *path, const struct phi_quantize_plan *p, double seconds) {
    char types[256] = "";
    size_t n = 0;
    for (int t = 0; t < PHI_N_TYPE; t++) {
        int count = 0;
        for (uint64_t i = 0; i < p->in->n_tensor; i++) count += p->type[i]->index == (enum phi_type_index)t;
        if (count) n += (size_t)snprintf(types + n, sizeof types - n, ", %s %d", phi_types[t].name, count);
    }
    cli_note("%s: %.2f MiB, %.2f bits per weight, tensors: %s; %.1f s", path, (double)p->file_bytes / 1048576,
             8 * (double)p->tensor_bytes / (double)p->in->n_params, types + 2, seconds);
}

static int quantize(const struct cli_options *o, struct phi_quantize_plan *plan, int n_thread, struct phi_new_file *file,
                    phi_error *err) {
    struct phi_encode_calls calls = cli_maker_calls(file);
    double start = cli_seconds();
    int status = phi_new_file_check_room(file, plan->file_bytes, err);
    if (!status) status = phi_quantize_write(plan, n_thread, &calls, err);
    status = cli_maker_close(file, status, err);
    if (!status) note_result(o->word[1], plan, cli_seconds() - start);
    return status;
}

int cli_quantize(const struct cli_options *o) {
    struct phi_quantize_options q = {0};
    struct phi_quantize_plan plan = {0};
    struct phi_imatrix *imatrix = NULL;
    struct phi_gguf in = {0};
    struct phi_new_file file = {0};
    phi_error err = {""};
    int n_thread = 1, status = read_words(o, &q, &n_thread);
    if (!status)
        status = o->dry_run ? cli_sandbox_enter(o, NULL, false) : cli_maker_open(o, o->word[0], o->word[1], &file);
    if (status) return status;
    status = phi_gguf_open(o->word[0], &in, &err);
    if (!status && o->imatrix) status = phi_imatrix_open(o->imatrix, &imatrix, &err);
    const char *slash = o->imatrix ? strrchr(o->imatrix, '/') : NULL;
    q.imatrix = imatrix;
    q.imatrix_name = slash ? slash + 1 : o->imatrix;
    if (!status) status = phi_quantize_plan(&in, &q, &plan, &err);
    if (!status && plan.n_unweighted)
        cli_note("the importance matrix does not know %llu of the tensors; their columns matter the same",
                 (unsigned long long)plan.n_unweighted);
    if (status)
        status = cli_maker_close(&file, status, &err);
    else if (o->dry_run)
        put_plan(&plan);
    else
        status = quantize(o, &plan, n_thread, &file, &err);
    phi_quantize_close(&plan);
    phi_imatrix_close(imatrix);
    phi_gguf_close(&in);
    return status ? cli_fail_with(status, &err) : cli_output_status();
}
