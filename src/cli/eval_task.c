/* Questions one after the other: a result for each, shares of right answers with their intervals, in all and per
 * group. */
#include "eval_ask.h"
#include "events.h"
#include "../memory.h"
#include "../score.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_GROUP = 4096, N_SCORE = 3 };

/* What is counted, by the way of scoring. Bit i of a result: right by name i. */
static const struct {
    const char *name[N_SCORE], *text[N_SCORE], *kind;
    int n;
} scores[] = {
    [EVAL_BY_LETTER] = {{"acc"}, {"the likeliest letter"}, "letter", 1},
    [EVAL_BY_TEXT] = {{"acc", "acc_norm", "acc_token"},
                      {"the likeliest answer", "per character, as lm-eval", "per token, as llama-perplexity"},
                      "text",
                      3},
    [EVAL_GENERATE] = {{"exact", "flexible"},
                       {"the answer where the task expects it", "anywhere in what was written"},
                       "generate",
                       2},
};

struct group {
    struct cli_text name;
    size_t n, hits[N_SCORE];
};

struct task {
    struct eval *e;
    struct eval_items items;
    struct eval_records *records; /* of uint32_t: the bits */
    struct group *group;          /* [0]: all */
    size_t n_group, n_item;
    int score;
};

/* ---- Counting ---- */

static int find_group(struct task *t, size_t *at) {
    const struct cli_text *name = &t->items.text[EVAL_GROUP];
    for (*at = 1; *at < t->n_group; ++*at)
        if (t->group[*at].name.n == name->n &&
            (!name->n || memcmp(t->group[*at].name.bytes, name->bytes, name->n) == 0))
            return CLI_OK;
    if (t->n_group == MAX_GROUP) return cli_fail(CLI_USAGE, "there are more than %d groups of questions", MAX_GROUP);
    struct group *more = phi_realloc(t->group, t->n_group + 1, sizeof *more);
    char *copy = phi_alloc(name->n + 1, 1);
    if (more) t->group = more;
    if (!more || !copy) {
        phi_free(copy);
        return cli_fail(CLI_MEMORY, "not enough memory for the results");
    }
    if (name->n) memcpy(copy, name->bytes, name->n);
    more[t->n_group++] = (struct group){.name = {copy, name->n}};
    return CLI_OK;
}

static int count(struct task *t, uint32_t bits) {
    size_t at;
    int status = find_group(t, &at);
    for (int k = 0; k < 2 && !status; k++) {
        struct group *g = &t->group[k ? at : 0];
        g->n++;
        for (int i = 0; i < N_SCORE; i++) g->hits[i] += bits >> i & 1u;
    }
    return status;
}

/* ---- Asking ---- */

static int best(const double *x, int n) {
    int top = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[top]) top = i; /* NOLINT(clang-analyzer-core.UndefinedBinaryOperatorResult): n values are set */
    return top;
}

static int choose(struct task *t, const struct eval_question *q, uint32_t *bits) {
    struct eval_likelihood l[EVAL_CHOICES];
    double value[N_SCORE][EVAL_CHOICES];
    int chosen[N_SCORE], status = eval_question_score(t->e, q, l);
    for (int i = 0; i < q->n_answer && !status; i++) {
        value[0][i] = l[i].sum;
        value[1][i] = l[i].sum / (double)(q->characters[i] ? q->characters[i] : 1);
        value[2][i] = l[i].tail / (double)(l[i].n_tail ? l[i].n_tail : 1);
    }
    for (int k = 0; k < scores[t->score].n && !status; k++) {
        chosen[k] = best(value[k], q->n_answer);
        if (chosen[k] == t->items.item.right) *bits |= 1u << k;
    }
    if (!status && t->e->o->verbose && !cli_interrupted()) {
        char text[EVAL_CHOICES * 16];
        for (int i = 0, n = 0; i < q->n_answer; i++)
            n += snprintf(text + n, sizeof text - (size_t)n, "%s%c %.4f", i ? ", " : "", 'A' + i,
                          fmax(value[0][i], -99999));
        /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): each kind has a score */
        cli_note("chosen %c, right %c: %s", 'A' + chosen[0], 'A' + t->items.item.right, text);
    }
    return status;
}

static int write(struct task *t, const struct eval_question *q, uint32_t *bits) {
    struct eval_buffer text = {0};
    int status = eval_question_answer(t->e, q, &t->items, &text);
    if (!status) {
        *bits = (uint32_t)eval_answer_right(&t->items, &text, true) |
                (uint32_t)eval_answer_right(&t->items, &text, false) << 1;
        if (t->e->o->verbose && !cli_interrupted())
            cli_note("%s: %.*s", *bits & 1 ? "right" : "wrong", (int)(text.n < 1500 ? text.n : 1500),
                     text.n ? text.bytes : "");
    }
    phi_free(text.bytes);
    return status;
}

static int ask(struct task *t, uint32_t *bits) {
    struct eval_question q;
    int status = eval_question_make(t->e, &t->items, &q);
    *bits = 0;
    if (status) return status;
    status = t->score == EVAL_GENERATE ? write(t, &q, bits) : choose(t, &q, bits);
    eval_question_free(&q);
    return status;
}

static void show_progress(const struct task *t, size_t first, size_t done, double began, double *shown) {
    const struct group *all = &t->group[0];
    int norm = t->score == EVAL_BY_TEXT;
    char text[64];
    if (done < t->n_item && cli_seconds() - *shown < 2) return;
    *shown = cli_seconds();
    snprintf(text, sizeof text, "%s = %.2f %%", scores[t->score].name[norm],
             100 * (double)all->hits[norm] / (double)all->n);
    eval_progress(first, done, t->n_item, began, text);
}

static int ask_all(struct task *t) {
    size_t first = t->records->n < t->n_item ? t->records->n : t->n_item;
    double began = cli_seconds(), shown = began;
    int status = CLI_OK;
    cli_model_announce(t->e->file);
    if (first) cli_note("the checkpoint holds %zu answers", first);
    eval_items_rewind(&t->items);
    for (size_t i = 0; i < t->n_item && !cli_interrupted(); i++) {
        uint32_t bits;
        if (eval_items_next(&t->items, &status) < 1) break;
        if (i < first) {
            memcpy(&bits, t->records->data + i * sizeof bits, sizeof bits);
        } else {
            status = ask(t, &bits);
            if (status || cli_interrupted()) break;
            status = eval_records_add(t->records, &bits);
            if (!status) status = eval_records_save(t->records, false);
        }
        if (!status) status = count(t, bits);
        if (status) break;
        if (i >= first) show_progress(t, first, i + 1, began, &shown);
    }
    int saved = eval_records_save(t->records, true);
    return status ? status : saved;
}

/* ---- Output ---- */

static void put_share(size_t hits, size_t n) {
    struct phi_score_interval w = phi_score_wilson(hits, n);
    cli_putf("%6.2f %%  [%5.2f, %5.2f]  %zu/%zu", 100 * (double)hits / (double)n, 100 * w.low, 100 * w.high, hits, n);
}

static void put_text(const struct task *t) {
    const struct cli_text *name = &t->items.text[EVAL_TASK];
    const struct group *all = &t->group[0];
    if (name->n) {
        cli_put_escaped(name->bytes, name->n, 0);
        cli_put("\n", 1);
    }
    for (size_t i = 1; i < t->n_group && t->n_group > 2; i++) {
        const struct group *g = &t->group[i];
        cli_put("  ", 2);
        cli_put_escaped(g->name.bytes, g->name.n, 0);
        cli_putf("%*s", g->name.n < 40 ? (int)(40 - g->name.n) : 1, "");
        put_share(g->hits[0], g->n);
        cli_put("\n", 1);
    }
    for (int i = 0; i < scores[t->score].n; i++) {
        cli_putf("%-10s", scores[t->score].name[i]);
        put_share(all->hits[i], all->n);
        cli_putf("  (%s; 95 %% interval by Wilson)\n", scores[t->score].text[i]);
    }
}

static void put_json_scores(const struct task *t, const struct group *g) {
    cli_putf("\"n\":%zu", g->n);
    for (int i = 0; i < scores[t->score].n; i++) {
        struct phi_score_interval w = phi_score_wilson(g->hits[i], g->n);
        cli_putf(",\"%s\":{\"hits\":%zu,\"share\":%.6f,\"low\":%.6f,\"high\":%.6f}", scores[t->score].name[i],
                 g->hits[i], (double)g->hits[i] / (double)g->n, w.low, w.high);
    }
}

static void put_json(const struct task *t) {
    const struct cli_text *name = &t->items.text[EVAL_TASK];
    cli_putf("{\"event\":\"eval\",\"v\":1,\"kind\":\"task\",\"model\":\"");
    cli_events_string(t->e->file->path, strlen(t->e->file->path));
    cli_putf("\",\"task\":\"");
    cli_events_string(name->bytes, name->n);
    cli_putf("\",\"score\":\"%s\",", scores[t->score].kind);
    put_json_scores(t, &t->group[0]);
    cli_putf(",\"groups\":[");
    for (size_t i = 1; i < t->n_group && t->n_group > 2; i++) {
        cli_putf(i > 1 ? ",{\"name\":\"" : "{\"name\":\"");
        cli_events_string(t->group[i].name.bytes, t->group[i].name.n);
        cli_put("\",", 2);
        put_json_scores(t, &t->group[i]);
        cli_put("}", 1);
    }
    cli_put("]}\n", 3);
}

/* ---- The whole ---- */

/* Reads everything once before hours are spent on it: are the files sound, does the longest question fit? */
static int look_through(struct task *t, size_t *longest) {
    const struct cli_options *o = t->e->o;
    int status = CLI_OK;
    *longest = 0;
    while (!cli_interrupted() && !(o->eval_limit && t->n_item == (size_t)o->eval_limit) &&
           eval_items_next(&t->items, &status) == 1) {
        struct eval_question q;
        char where[128];
        if (t->score < 0) t->score = t->items.score;
        if (t->items.score != t->score)
            return cli_fail(CLI_USAGE, "%s: all questions of a file must be scored in one way",
                            eval_items_where(&t->items, where));
        status = eval_question_make(t->e, &t->items, &q);
        if (status) break;
        size_t n = q.longest + (t->score == EVAL_GENERATE ? (size_t)t->items.length : 0);
        if (n > *longest) *longest = n;
        eval_question_free(&q);
        t->n_item++;
    }
    if (!status && !t->n_item && !cli_interrupted())
        return cli_fail(CLI_USAGE, "there are no questions; --items FILE names them");
    return status;
}

static int open_for(struct task *t, size_t longest) {
    struct eval *e = t->e;
    struct phi_model_info info;
    phi_model_get_info(e->model, &info);
    size_t most = e->o->session.n_ctx ? (size_t)e->o->session.n_ctx : (size_t)info.n_ctx_train;
    if (longest > most)
        return cli_fail(CLI_CONTEXT,
                        "the longest question needs %zu tokens, the context holds %zu; use fewer --shots", longest,
                        most);
    int status = eval_open_session(e, e->o->session.n_ctx ? e->o->session.n_ctx : (int)longest);
    if (status) return status;
    e->held = phi_alloc((size_t)e->n_ctx, sizeof *e->held);
    return e->held ? CLI_OK : cli_fail(CLI_MEMORY, "not enough memory for a question");
}

static uint64_t hash_task(const struct task *t) {
    const struct cli_options *o = t->e->o;
    const int settings[] = {o->eval_layout, o->eval_shots};
    uint64_t hash = eval_hash(t->e->run, settings, sizeof settings);
    hash = eval_hash(hash, t->items.file[0].bytes, t->items.file[0].n);
    return eval_hash(hash, t->items.file[1].bytes, t->items.file[1].n);
}

int eval_task(struct eval *e) {
    const struct cli_options *o = e->o;
    struct task t = {.e = e, .records = e->records, .score = -1, .n_group = 1};
    size_t longest = 0;
    t.group = phi_alloc(1, sizeof *t.group);
    int status = t.group ? eval_items_open(&t.items, o->eval_task, o->eval_items, o->eval_layout - 1, o->eval_shots)
                         : cli_fail(CLI_MEMORY, "not enough memory for the results");
    if (!status) status = look_through(&t, &longest);
    if (!status && !cli_interrupted()) status = eval_records_open(t.records, hash_task(&t), sizeof(uint32_t));
    if (!status && !cli_interrupted()) status = open_for(&t, longest);
    if (!status && !cli_interrupted()) status = ask_all(&t);
    if (!status && !cli_interrupted()) {
        if (o->json)
            put_json(&t);
        else
            put_text(&t);
        status = cli_output_status();
    }
    for (size_t i = 1; i < t.n_group; i++) phi_free(t.group[i].name.bytes);
    phi_free(t.group);
    phi_free(e->held);
    eval_items_close(&t.items);
    return status;
}
