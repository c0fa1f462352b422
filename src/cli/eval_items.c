/* Reads task files line by line: a line with a question is a question, or a shot if it says so; any other line
 * changes settings for what follows. Files may be large, so that only shots, settings and the question at hand are
 * kept. */
#include "eval_items.h"
#include "../json.h"
#include "../memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MAX_SHOT = 256, MAX_LENGTH = 65536 };

static const char *const text_keys[EVAL_N_TEXT] = {"task",   "group", "system",  "head",  "ask",
                                                   "choice", "reply", "between", "after", "stop"};
static const char *const scores[] = {"letter", "text", "generate", NULL};
static const char *const layouts[] = {"text", "turns", "message", NULL};
static const char *const finds[] = {"number", "letter", "text", NULL};

const char *eval_items_where(const struct eval_items *t, char buf[128]) {
    const char *path = t->path[t->at_file], *name = strrchr(path, '/');
    snprintf(buf, 128, "%.100s:%zu", name ? name + 1 : path, t->line);
    return buf;
}

static int bad(const struct eval_items *t, const char *key, const char *what) {
    char where[128];
    return cli_fail(CLI_USAGE, "%s: \"%.40s\" %s", eval_items_where(t, where), key, what);
}

/* ---- Values ---- */

static int take_text(const struct eval_items *t, const struct phi_json *j, uint32_t v, const char *key,
                     struct cli_text *out) {
    if (j->node[v].kind != PHI_JSON_STRING) return bad(t, key, "must be a string");
    size_t n = j->node[v].n;
    char *copy = phi_alloc(n + 1, 1);
    if (!copy) return cli_fail(CLI_MEMORY, "not enough memory for the questions");
    memcpy(copy, phi_json_text(j, v), n);
    phi_free(out->bytes);
    *out = (struct cli_text){copy, n};
    return CLI_OK;
}

static int take_word(const struct eval_items *t, const struct phi_json *j, uint32_t v, const char *key,
                     const char *const *words, int *out) {
    for (int i = 0; words[i]; i++) {
        if (!phi_json_is(j, v, words[i])) continue;
        *out = i;
        return CLI_OK;
    }
    char list[64] = "";
    for (size_t i = 0, n = 0; words[i]; i++) n += (size_t)snprintf(list + n, sizeof list - n, " %s", words[i]);
    char what[96];
    snprintf(what, sizeof what, "must be one of%s", list);
    return bad(t, key, what);
}

static int take_setting(struct eval_items *t, const struct phi_json *j, uint32_t k) {
    const char *key = phi_json_text(j, k);
    int64_t length;
    for (int i = 0; i < EVAL_N_TEXT; i++)
        if (phi_json_is(j, k, text_keys[i])) return take_text(t, j, k + 1, key, &t->text[i]);
    if (phi_json_is(j, k, "score")) return take_word(t, j, k + 1, key, scores, &t->score);
    if (phi_json_is(j, k, "layout")) return take_word(t, j, k + 1, key, layouts, &t->layout);
    if (phi_json_is(j, k, "find")) return take_word(t, j, k + 1, key, finds, &t->find);
    if (phi_json_is(j, k, "length")) {
        if (!phi_json_i64(j, k + 1, &length) || length < 1 || length > MAX_LENGTH)
            return bad(t, key, "must be a number of tokens, 1 to 65536");
        t->length = (int)length;
        return CLI_OK;
    }
    return bad(t, key, "is no setting; tools/eval/README.md lists them");
}

static void free_item(struct eval_item *q) {
    phi_free(q->question.bytes);
    phi_free(q->answer.bytes);
    for (int i = 0; i < q->n_choice; i++) phi_free(q->choice[i].bytes);
    memset(q, 0, sizeof *q);
}

static int take_choices(const struct eval_items *t, const struct phi_json *j, uint32_t array, struct eval_item *q) {
    int status = CLI_OK;
    if (j->node[array].kind != PHI_JSON_ARRAY || j->node[array].n < 2 || j->node[array].n > EVAL_CHOICES)
        return bad(t, "choices", "must be a list of 2 to 26 texts");
    for (uint32_t v = phi_json_first(j, array); v && !status; v = phi_json_after(j, array, v))
        status = take_text(t, j, v, "choices", &q->choice[q->n_choice++]);
    return status;
}

static int take_item(const struct eval_items *t, const struct phi_json *j, struct eval_item *q) {
    static const char *const known[] = {"question", "choices", "answer", "shot", "id"};
    int64_t right = 0;
    for (uint32_t k = phi_json_first(j, 0); k; k = phi_json_after(j, 0, k)) {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) found |= phi_json_is(j, k, known[i]);
        if (!found)
            return bad(t, phi_json_text(j, k), "does not belong to a question; settings have lines of their own");
    }
    uint32_t choices = phi_json_get(j, 0, "choices"), answer = phi_json_get(j, 0, "answer");
    int status = take_text(t, j, phi_json_get(j, 0, "question"), "question", &q->question);
    if (!status && choices) status = take_choices(t, j, choices, q);
    if (status) return status;
    if (!answer) return bad(t, "answer", "is missing");
    if (!choices) return take_text(t, j, answer, "answer", &q->answer);
    if (!phi_json_i64(j, answer, &right) || right < 0 || right >= q->n_choice)
        return bad(t, "answer", "must be the index of a choice; the first is 0");
    q->right = (int)right;
    return CLI_OK;
}

/* ---- Lines ---- */

static int add_shot(struct eval_items *t, const struct phi_json *j) {
    if (t->n_shot_given == MAX_SHOT) return bad(t, "shot", "is there more than 256 times");
    t->n_shot_given++;
    if (t->n_shot_wanted >= 0 && t->n_shot == t->n_shot_wanted) return CLI_OK;
    struct eval_item *more = phi_realloc(t->shot, (size_t)t->n_shot + 1, sizeof *more);
    if (!more) return cli_fail(CLI_MEMORY, "not enough memory for the questions");
    t->shot = more;
    memset(&more[t->n_shot], 0, sizeof *more);
    return take_item(t, j, &more[t->n_shot++]);
}

static void clear_shots(struct eval_items *t) {
    for (int i = 0; i < t->n_shot; i++) free_item(&t->shot[i]);
    t->n_shot = t->n_shot_given = 0;
}

static int check_item(const struct eval_items *t) {
    if (t->score < 0) return bad(t, "score", "is not set before the first question");
    if (t->score != EVAL_GENERATE && !t->item.n_choice) return bad(t, "choices", "is missing");
    if (t->score == EVAL_GENERATE && t->find == EVAL_FIND_LETTER && !t->item.n_choice)
        return bad(t, "choices", "is missing, and the answer is to be a letter");
    for (int i = 0; i < t->n_shot; i++)
        if (!t->shot[i].n_choice != !t->item.n_choice)
            return bad(t, "choices", "must be in all shots and questions, or in none");
    return CLI_OK;
}

/* 1: t->item was read, 0: a line of settings or a shot, -1: *status. */
static int take_line(struct eval_items *t, const char *line, size_t n, int *status) {
    struct phi_json j;
    phi_error err = {""};
    char where[128];
    uint32_t shot;
    bool is_item = false;
    int e = phi_json_open(&j, line, n, eval_items_where(t, where), PHI_USAGE, &err);
    if (e) {
        *status = cli_fail_with(e, &err);
        return -1;
    }
    if (j.node[0].kind != PHI_JSON_OBJECT) {
        *status = cli_fail(CLI_USAGE, "%s: a line must be an object: {...}", where);
    } else if (phi_json_get(&j, 0, "question")) {
        shot = phi_json_get(&j, 0, "shot");
        is_item = !shot || j.node[shot].kind != PHI_JSON_TRUE;
        *status = is_item ? take_item(t, &j, &t->item) : add_shot(t, &j);
        if (is_item && !*status) *status = check_item(t);
    } else {
        for (uint32_t k = phi_json_first(&j, 0); k && !*status; k = phi_json_after(&j, 0, k)) {
            if (phi_json_is(&j, k, "new_shots"))
                clear_shots(t);
            else
                *status = take_setting(t, &j, k);
        }
    }
    phi_json_close(&j);
    return *status ? -1 : is_item;
}

int eval_items_next(struct eval_items *t, int *status) {
    free_item(&t->item);
    *status = CLI_OK;
    for (; t->at_file < 2; t->at_file++, t->at = t->line = 0) {
        const struct cli_text *f = &t->file[t->at_file];
        while (t->at < f->n) {
            const char *line = f->bytes + t->at, *end = memchr(line, '\n', f->n - t->at);
            size_t n = end ? (size_t)(end - line) : f->n - t->at;
            t->at += n + 1;
            t->line++;
            size_t blank = 0;
            while (blank < n && (line[blank] == ' ' || line[blank] == '\t' || line[blank] == '\r')) blank++;
            if (blank == n) continue;
            int found = take_line(t, line, n, status);
            if (found) return found;
        }
    }
    t->at_file = 1; /* a place for messages */
    t->at = t->file[1].n;
    return 0;
}

static void free_settings(struct eval_items *t) {
    free_item(&t->item);
    clear_shots(t);
    for (int i = 0; i < EVAL_N_TEXT; i++) phi_free(t->text[i].bytes);
    memset(t->text, 0, sizeof t->text);
}

void eval_items_rewind(struct eval_items *t) {
    free_settings(t);
    t->at_file = 0;
    t->at = t->line = 0;
    t->score = t->layout = -1;
    t->find = EVAL_FIND_NUMBER;
    t->length = 512;
}

int eval_items_open(struct eval_items *t, const char *task, const char *items, int layout, int n_shot) {
    *t = (struct eval_items){.path = {task, items ? items : task}, .layout_wanted = layout, .n_shot_wanted = n_shot};
    int status = cli_text_read(task, "task file", &t->file[0]);
    if (!status && items) status = cli_text_read(items, "file of questions", &t->file[1]);
    eval_items_rewind(t);
    return status;
}

void eval_items_close(struct eval_items *t) {
    free_settings(t);
    phi_free(t->shot);
    cli_text_free(&t->file[0]);
    cli_text_free(&t->file[1]);
    memset(t, 0, sizeof *t);
}

/* ---- Rendering ---- */

void eval_buffer_add(struct eval_buffer *b, const char *bytes, size_t n) {
    if (b->failed || n == 0) return;
    if (n > b->room - b->n) {
        size_t room = n > SIZE_MAX / 4 || b->n > SIZE_MAX / 4 ? 0 : (b->n + n) * 2;
        char *more = room ? phi_realloc(b->bytes, room, 1) : NULL;
        if (!more) {
            b->failed = true;
            return;
        }
        b->bytes = more;
        b->room = room;
    }
    memcpy(b->bytes + b->n, bytes, n);
    b->n += n;
}

static void expand(const struct eval_items *t, const struct eval_item *q, const char *template, size_t n, int choice,
                   struct eval_buffer *out);

/* NOLINTNEXTLINE(misc-no-recursion): once, since expand() for a choice leaves {choices} out */
static void add_choices(const struct eval_items *t, const struct eval_item *q, struct eval_buffer *out) {
    const struct cli_text *line = &t->text[EVAL_CHOICE];
    for (int i = 0; i < q->n_choice; i++) {
        if (i) eval_buffer_add(out, "\n", 1);
        if (line->bytes)
            expand(t, q, line->bytes, line->n, i, out);
        else
            expand(t, q, "{letter}. {choice}", 18, i, out);
    }
}

/* {...} in the template is replaced once; what comes in its place is not looked at again. */
/* NOLINTNEXTLINE(misc-no-recursion): see add_choices() */
static void expand(const struct eval_items *t, const struct eval_item *q, const char *template, size_t n, int choice,
                   struct eval_buffer *out) {
    static const char *const names[] = {"{question}", "{choices}", "{letter}", "{choice}", "{answer}", "{group}"};
    for (size_t i = 0, used; i < n; i += used) {
        int which = -1;
        for (int k = 0; k < 6 && template[i] == '{'; k++)
            if (n - i >= strlen(names[k]) && memcmp(template + i, names[k], strlen(names[k])) == 0) which = k;
        used = which < 0 ? 1 : strlen(names[which]);
        const struct cli_text *named = choice >= 0 && q->n_choice ? &q->choice[choice] : &q->answer;
        char letter = (char)('A' + choice);
        if (which < 0) eval_buffer_add(out, template + i, 1);
        if (which == 0) eval_buffer_add(out, q->question.bytes, q->question.n);
        if (which == 1 && choice < 0) add_choices(t, q, out);
        if (which == 2 && choice >= 0) eval_buffer_add(out, &letter, 1);
        if (which == 3 || which == 4) eval_buffer_add(out, named->bytes, named->n);
        if (which == 5) eval_buffer_add(out, t->text[EVAL_GROUP].bytes, t->text[EVAL_GROUP].n);
    }
}

static void expand_text(const struct eval_items *t, const struct eval_item *q, enum eval_text which, int choice,
                        const char *otherwise, struct eval_buffer *out) {
    const struct cli_text *text = &t->text[which];
    const char *template = text->bytes ? text->bytes : otherwise;
    expand(t, q, template, text->bytes ? text->n : strlen(otherwise), choice, out);
}

void eval_render_ask(const struct eval_items *t, const struct eval_item *q, bool first, struct eval_buffer *out) {
    if (first) expand_text(t, q, EVAL_HEAD, -1, "", out);
    expand_text(t, q, EVAL_ASK, -1, "{question}", out);
}

void eval_render_reply(const struct eval_items *t, const struct eval_item *q, int choice, bool begins,
                       struct eval_buffer *out) {
    size_t before = out->n;
    expand_text(t, q, EVAL_REPLY, choice, t->score == EVAL_BY_LETTER ? " {letter}" : " {choice}", out);
    if (!begins || out->failed || out->n == before || out->bytes[before] != ' ') return;
    memmove(out->bytes + before, out->bytes + before + 1, out->n - before - 1);
    out->n--;
}
