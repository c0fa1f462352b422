/* Puts one question to the model. The session keeps the ids of the last question; what the next one has in common
 * with it, all shots as a rule, is not computed again. */
#include "eval_ask.h"
#include "../memory.h"
#include "../score.h"

#include <string.h>

/* ---- Ids ---- */

static int no_memory(void) {
    return cli_fail(CLI_MEMORY, "not enough memory for a question");
}

static int add_ids(struct eval_ids *to, const int32_t *id, size_t n) {
    int32_t *more = phi_realloc(to->id, to->n + n + 1, sizeof *more);
    if (!more) return no_memory();
    to->id = more;
    if (n) memcpy(more + to->n, id, n * sizeof *more);
    to->n += n;
    return CLI_OK;
}

/* Empties the text. */
static int add_text(const struct eval *e, struct eval_ids *to, struct eval_buffer *text, bool bos) {
    struct cli_text t = {text->bytes, text->n};
    int32_t *ids = NULL;
    size_t n = 0;
    int status = text->failed ? no_memory() : eval_tokenize(e, &t, bos, &ids, &n);
    if (!status) status = add_ids(to, ids, n);
    phi_free(ids);
    text->n = 0;
    return status;
}

/* A message of the user, with what the chat's format puts around it. Empties the text. */
static int add_message(const struct eval *e, const struct eval_items *t, struct eval_ids *to,
                       struct eval_buffer *text) {
    const struct cli_text *system = &t->text[EVAL_SYSTEM];
    const char *bytes = text->n ? text->bytes : "";
    bool begin = to->n == 0;
    phi_error err = {""};
    if (text->failed) return no_memory();
    for (size_t cap = text->n / 2 + system->n / 2 + 64;;) {
        int32_t *ids = phi_alloc(cap, sizeof *ids);
        if (!ids) return no_memory();
        int64_t n = begin ? phi_chat_begin(e->model, NULL, system->n ? system->bytes : "", system->n, bytes, text->n,
                                           ids, cap, &err)
                          : phi_chat_next(e->model, NULL, bytes, text->n, ids, cap, &err);
        int status = n < 0 ? cli_fail_with((int)n, &err) : (size_t)n <= cap ? add_ids(to, ids, (size_t)n) : CLI_OK;
        phi_free(ids);
        if (status) return status;
        if ((size_t)n <= cap) break;
        cap = (size_t)n;
    }
    text->n = 0;
    return CLI_OK;
}

static int layout_of(const struct eval_items *t) {
    return t->layout_wanted >= 0 ? t->layout_wanted : t->layout < 0 ? EVAL_LAYOUT_TEXT : t->layout;
}

/* Shots and question; text keeps what no id was made of yet: all of it in a plain text, else nothing. */
static int make_context(const struct eval *e, const struct eval_items *t, struct eval_question *q,
                        struct eval_buffer *text) {
    const struct cli_text *between = &t->text[EVAL_BETWEEN];
    int layout = layout_of(t), status = CLI_OK;
    bool turns = layout == EVAL_LAYOUT_TURNS;
    for (int i = 0; i < t->n_shot && !status; i++) {
        const struct eval_item *shot = &t->shot[i];
        eval_render_ask(t, shot, i == 0, text);
        if (turns) status = add_message(e, t, &q->context, text);
        eval_render_reply(t, shot, shot->n_choice ? shot->right : -1, turns, text);
        if (turns && !status) status = add_text(e, &q->context, text, false);
        if (turns) continue;
        eval_buffer_add(text, between->bytes ? between->bytes : "\n\n", between->bytes ? between->n : 2);
    }
    eval_render_ask(t, &t->item, t->n_shot == 0, text);
    if (!status && layout != EVAL_LAYOUT_TEXT) status = add_message(e, t, &q->context, text);
    return status;
}

/* Code points. */
static size_t count_characters(const char *s, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += ((unsigned char)s[i] & 0xc0) != 0x80;
    return count;
}

static int make_answer(const struct eval *e, const struct eval_items *t, struct eval_question *q, int i,
                       struct eval_buffer *text) {
    bool chat = layout_of(t) != EVAL_LAYOUT_TEXT;
    size_t before = text->n;
    int status = chat ? add_ids(&q->answer[i], q->context.id, q->context.n) : CLI_OK;
    q->n_answer = i + 1;
    eval_render_reply(t, &t->item, i, chat, text);
    if (status || text->failed) return status ? status : no_memory();
    size_t blank = text->n > before && text->bytes[before] == ' ';
    q->characters[i] = count_characters(text->bytes + before + blank, text->n - before - blank);
    status = add_text(e, &q->answer[i], text, !chat);
    text->n = before; /* the context is still there */
    return status;
}

int eval_question_make(const struct eval *e, const struct eval_items *t, struct eval_question *q) {
    struct eval_buffer text = {0};
    memset(q, 0, sizeof *q);
    int status = make_context(e, t, q, &text);
    size_t n = text.n;
    if (!status && layout_of(t) == EVAL_LAYOUT_TEXT) status = add_text(e, &q->context, &text, true);
    text.n = n;
    q->longest = q->context.n;
    for (int i = 0; i < t->item.n_choice && t->score != EVAL_GENERATE && !status; i++) {
        status = make_answer(e, t, q, i, &text);
        if (q->answer[i].n > q->longest) q->longest = q->answer[i].n;
    }
    phi_free(text.bytes);
    if (status) eval_question_free(q);
    return status;
}

void eval_question_free(struct eval_question *q) {
    phi_free(q->context.id);
    for (int i = 0; i < q->n_answer; i++) phi_free(q->answer[i].id);
    memset(q, 0, sizeof *q);
}

/* ---- Likelihoods ---- */

static size_t shared(const int32_t *a, size_t n, const int32_t *b, size_t m) {
    size_t i = 0;
    while (i < n && i < m && a[i] == b[i]) i++;
    return i;
}

/* Forget what differs from the n ids that come, and at least all from `most` on. What is left. */
static int keep_shared(struct eval *e, const int32_t *id, size_t n, size_t most, size_t *held) {
    phi_error err = {""};
    size_t past = phi_session_n_past(e->session);
    *held = shared(e->held, past < e->n_held ? past : e->n_held, id, n);
    if (*held > most) *held = most;
    int status = phi_session_rewind(e->session, *held, &err);
    memcpy(e->held + *held, id + *held, (n - *held) * sizeof *id);
    e->n_held = n;
    return status ? cli_fail_with(status, &err) : CLI_OK;
}

struct scorer {
    const struct eval_question *q;
    struct eval_likelihood *out;
    size_t context, common; /* ids of the context; ids that all answers share */
    int answer;             /* the one at hand; -1: what they share */
};

/* ln p of the id behind position in answer i. */
static void add_likelihood(const struct scorer *s, int i, size_t position, double log_sum, const float *logits) {
    const struct eval_ids *a = &s->q->answer[i];
    size_t next = position + 1;
    if (next >= a->n) return;
    double log_p = (double)logits[a->id[next]] - log_sum;
    if (next >= s->context) s->out[i].sum += log_p;
    if (next >= s->common) {
        s->out[i].tail += log_p;
        s->out[i].n_tail++;
    }
}

static int score_row(void *user, size_t position, const float *logits, int n_vocab) {
    const struct scorer *s = user;
    if (position + 1 < s->context && position + 1 < s->common) return cli_interrupted();
    double log_sum = phi_score_log_sum(logits, n_vocab, NULL);
    int first = s->answer < 0 ? 0 : s->answer, end = s->answer < 0 ? s->q->n_answer : s->answer + 1;
    for (int i = first; i < end; i++) add_likelihood(s, i, position, log_sum, logits);
    return cli_interrupted();
}

int eval_question_score(struct eval *e, const struct eval_question *q, struct eval_likelihood *out) {
    enum { MANY = 256 }; /* positions from which on a pass of their own is cheaper than their logits */
    struct scorer s = {.q = q, .out = out, .context = q->context.n, .common = q->answer[0].n, .answer = -1};
    memset(out, 0, (size_t)q->n_answer * sizeof *out);
    for (int i = 1; i < q->n_answer; i++)
        s.common = shared(q->answer[0].id, s.common, q->answer[i].id, q->answer[i].n);
    for (int i = 0; i < q->n_answer; i++) /* something is left of each */
        if (s.common >= q->answer[i].n) s.common = q->answer[i].n ? q->answer[i].n - 1 : 0;
    if (s.context > s.common) s.context = s.common;
    if (s.context == 0) return cli_fail(CLI_USAGE, "a question must not be empty");
    const int32_t *id = q->answer[0].id;
    size_t from = s.context - 1, held; /* the first position whose logits are wanted */
    int status = keep_shared(e, id, s.common, from, &held);
    if (!status && from - held >= MANY) {
        status = eval_append(e, id + held, from - held, NULL, NULL);
        held = from;
    }
    if (!status && !cli_interrupted()) status = eval_append(e, id + held, s.common - held, score_row, &s);
    for (s.answer = 0; s.answer < q->n_answer && !status && !cli_interrupted(); s.answer++) {
        const struct eval_ids *a = &q->answer[s.answer];
        if (a->n < s.common + 2) continue; /* its only id is predicted by what they share */
        status = keep_shared(e, a->id, a->n - 1, s.common, &held);
        if (!status) status = eval_append(e, a->id + held, a->n - 1 - held, score_row, &s);
    }
    return status;
}

/* ---- Written answers ---- */

struct writer {
    struct eval *e;
    struct eval_buffer *text;
    const struct cli_text *stop;
    bool stopped;
};

static const char *find(const char *in, size_t n, const char *what, size_t n_what) {
    for (size_t i = 0; n_what && i + n_what <= n; i++)
        if (memcmp(in + i, what, n_what) == 0) return in + i;
    return NULL;
}

static int take_token(void *user, int32_t id, const char *bytes, size_t n) {
    struct writer *w = user;
    if (id >= 0 && w->e->n_held < (size_t)w->e->n_ctx) w->e->held[w->e->n_held++] = id;
    size_t from = w->text->n > w->stop->n ? w->text->n - w->stop->n : 0;
    eval_buffer_add(w->text, bytes, n);
    if (w->text->failed) return 1;
    const char *end = find(w->text->bytes + from, w->text->n - from, w->stop->bytes, w->stop->n);
    if (end) w->text->n = (size_t)(end - w->text->bytes);
    return end || cli_interrupted();
}

static int stop_when_interrupted(void *user, size_t done, size_t total) {
    (void)user, (void)done, (void)total;
    return cli_interrupted();
}

int eval_question_answer(struct eval *e, const struct eval_question *q, const struct eval_items *t,
                         struct eval_buffer *text) {
    struct phi_sampler_options greedy = phi_sampler_options_default();
    struct writer w = {.e = e, .text = text, .stop = &t->text[EVAL_STOP]};
    phi_sampler *sampler = NULL;
    phi_error err = {""};
    size_t held;
    if (q->context.n == 0) return cli_fail(CLI_USAGE, "a question must not be empty");
    greedy.temperature = 0;
    int status = keep_shared(e, q->context.id, q->context.n, q->context.n - 1, &held);
    if (status) return status;
    status = phi_sampler_open(e->model, &greedy, &sampler, &err);
    if (!status)
        status = phi_generate(e->session, sampler, q->context.id + held, q->context.n - held, t->length, take_token,
                              stop_when_interrupted, &w, NULL, &err);
    phi_sampler_close(sampler);
    if (status) return cli_fail_with(status, &err);
    return text->failed ? no_memory() : CLI_OK;
}

/* ---- Is it right? ---- */

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_word(char c) {
    return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c & 0x80);
}

/* A number at s, as it is compared: without thousands' commas, zeros that say nothing and a final point; 0: none. Its
 * bytes in the text. */
static size_t read_number(const char *s, size_t n, char out[64]) {
    size_t at = 0, length = 0;
    bool point = false, negative = n > 1 && s[0] == '-';
    if (negative) at++;
    if (at >= n || !is_digit(s[at])) return 0;
    while (at + 1 < n && s[at] == '0' && is_digit(s[at + 1])) at++;
    if (negative) out[length++] = '-';
    for (; at < n && length < 62; at++) {
        bool more = at + 1 < n && is_digit(s[at + 1]);
        if (is_digit(s[at])) {
            out[length++] = s[at];
        } else if (s[at] == '.' && !point && more) {
            out[length++] = '.';
            point = true;
        } else if (s[at] != ',' || point || !more) {
            break;
        }
    }
    while (point && (out[length - 1] == '0' || out[length - 1] == '.')) point = out[--length] != '.';
    out[length] = 0;
    return at;
}

/* The first number of the text, or the last. */
static bool find_number(const char *s, size_t n, bool first, char out[64]) {
    char one[64];
    bool found = false;
    for (size_t i = 0, used; i < n; i += used ? used : 1) {
        bool inside = i > 0 && (is_word(s[i - 1]) || (s[i] == '-' && s[i - 1] == ')'));
        used = inside && !is_digit(s[i]) ? 0 : read_number(s + i, n - i, one);
        if (!used) continue;
        memcpy(out, one, sizeof one);
        found = true;
        if (first) break;
    }
    return found;
}

static bool right_number(const struct eval_items *t, const char *s, size_t n, bool first) {
    char is[64], wanted[64];
    const struct eval_item *q = &t->item;
    const struct cli_text *answer = q->n_choice ? &q->choice[q->right] : &q->answer;
    return find_number(answer->bytes, answer->n, false, wanted) && find_number(s, n, first, is) &&
           strcmp(is, wanted) == 0;
}

/* The first capital letter of a choice that stands alone. */
static bool right_letter(const struct eval_items *t, const char *s, size_t n) {
    for (size_t i = 0; i < n; i++) {
        int letter = s[i] - 'A';
        if (letter < 0 || letter >= t->item.n_choice || (i && is_word(s[i - 1])) || (i + 1 < n && is_word(s[i + 1])))
            continue;
        return letter == t->item.right;
    }
    return false;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static bool right_text(const struct eval_items *t, const char *s, size_t n) {
    const struct eval_item *q = &t->item;
    const struct cli_text *answer = q->n_choice ? &q->choice[q->right] : &q->answer;
    while (n && is_blank(*s)) s++, n--;
    while (n && is_blank(s[n - 1])) n--;
    return n == answer->n && memcmp(s, answer->bytes, n) == 0;
}

bool eval_answer_right(const struct eval_items *t, const struct eval_buffer *text, bool marked) {
    const struct cli_text *after = &t->text[EVAL_AFTER];
    const char *s = text->n ? text->bytes : "", *end = s + text->n, *mark;
    bool found = false;
    for (; marked && (mark = find(s, (size_t)(end - s), after->bytes, after->n)); found = true) s = mark + after->n;
    if (marked && after->n && !found) return false;
    if (t->find == EVAL_FIND_NUMBER) return right_number(t, s, (size_t)(end - s), found);
    if (t->find == EVAL_FIND_LETTER) return right_letter(t, s, (size_t)(end - s));
    return right_text(t, s, (size_t)(end - s));
}
