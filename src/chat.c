/* The prompt formats of the family: which token ids stand around a message. Owns the table of formats and nothing
 * else: a conversation is kept by whoever holds it (the command line: cli/conversation.c). The template that a model
 * file carries is neither read nor run.
 *
 * A layout is a line of text in which <|...|> is a control token and % the message. Control tokens go out as ids; the
 * text between two of them, message included, is one segment that is tokenized as plain text, so that nothing a user
 * writes can become a control token. White space beside a control token falls to it where its family says so:
 *
 *     <|user|>  \n  Hi  <|end|>  \n  <|assistant|>  \n
 *     ids       swallowed by the    swallowed     swallowed
 *     32010     token before it     6324 32007    32001            the ids that the original tokenizer gives
 */
#include "memory.h"
#include "model.h"

#include <string.h>

/* Sources: chat_template in the tokenizer_config.json of each model. Rows are tried from the first to the last. */
static const struct format {
    const char *name;
    const char *tokens; /* the format is recognised where the vocabulary has all of these */
    const char *begin;  /* before everything else */
    const char *system; /* NULL: the model knows no such role; the text goes before the first message */
    const char *user;   /* a message, and what an answer begins with */
    const char *close;  /* what ends an answer, before the next message */
} formats[] = {
    {"phi-4", "<|im_start|><|im_sep|><|im_end|>", "", "<|im_start|>system<|im_sep|>%<|im_end|>",
     "<|im_start|>user<|im_sep|>%<|im_end|><|im_start|>assistant<|im_sep|>", "<|im_end|>"},
    {"chatml", "<|im_start|><|im_end|>", "", "<|im_start|>system\n%<|im_end|>\n",
     "<|im_start|>user\n%<|im_end|>\n<|im_start|>assistant\n", "<|im_end|>\n"},
    {"phi-3-vision", "<|user|><|assistant|><|end|><|system|><|image|>", "", "<|system|>\n%<|end|>\n",
     "<|user|>\n%<|end|>\n<|assistant|>\n", "<|end|>\n"},
    {"phi-4-mini", "<|user|><|assistant|><|end|><|system|><|tool|>", "", "<|system|>%<|end|>",
     "<|user|>%<|end|><|assistant|>", "<|end|>"},
    {"phi-3-small", "<|user|><|assistant|><|end|><|system|><|endoftext|><|endofprompt|>", "<|endoftext|>",
     "<|system|>\n%<|end|>\n", "<|user|>\n%<|end|>\n<|assistant|>\n", "<|end|>\n"},
    /* Phi-3.5, the models of June 2024 and later; the demo model */
    {"phi-3.5", "<|user|><|assistant|><|end|><|system|>", "", "<|system|>\n%<|end|>\n",
     "<|user|>\n%<|end|>\n<|assistant|>\n", "<|end|>\n"},
    /* Phi-3-mini of April 2024, Phi-3-medium */
    {"phi-3", "<|user|><|assistant|><|end|>", "", NULL, "<|user|>\n%<|end|>\n<|assistant|>\n", "<|end|>\n"},
};
enum { N_FORMAT = sizeof formats / sizeof *formats };

/* The models of April 2024 have the vocabulary of the later ones, <|system|> too, but were not taught that role. What
 * tells them apart is the tokenizer's configuration: only theirs asks for <s>. */
enum { N_VOCAB_PHI3 = 32064 };

/* ---- Control tokens -------------------------------------------------------------------------------------------- */

/* Bytes of the control token at the beginning of a layout; 0: there is none. */
static size_t control_length(const char *layout) {
    if (layout[0] != '<' || layout[1] != '|') return 0;
    const char *end = strstr(layout, "|>");
    return end ? (size_t)(end - layout) + 2 : 0;
}

/* -1: the vocabulary has no such token beyond plain text. */
static int32_t find_control(const struct phi_tokenizer *t, const char *text, size_t n) {
    int32_t id = -1, plain = -1;
    if (phi_tokenizer_encode(t, text, n, PHI_PARSE_SPECIAL, &id, 1) != 1) return -1;
    (void)phi_tokenizer_encode(t, text, n, 0, &plain, 1);
    return id == plain ? -1 : id;
}

static bool has_all(const struct phi_tokenizer *t, const char *tokens) {
    for (size_t n; *tokens; tokens += n) {
        n = control_length(tokens);
        if (find_control(t, tokens, n) < 0) return false;
    }
    return true;
}

/* ---- Formats --------------------------------------------------------------------------------------------------- */

static const struct format *recognise(const phi_model *m) {
    const struct phi_tokenizer *t = m->tokenizer;
    bool april = phi_tokenizer_n_vocab(t) == N_VOCAB_PHI3 && phi_tokenizer_add_bos(t);
    for (int i = 0; i < N_FORMAT; i++)
        if (has_all(t, formats[i].tokens) && !(april && strcmp(formats[i].name, "phi-3.5") == 0)) return &formats[i];
    return NULL;
}

const char *phi_chat_format(const phi_model *m) {
    const struct format *f = recognise(m);
    return f ? f->name : NULL;
}

const char *phi_chat_formats(void) {
    static char names[128];
    size_t n = 0;
    for (int i = 0; i < N_FORMAT; i++) {
        size_t length = strlen(formats[i].name);
        memcpy(names + n, formats[i].name, length);
        n += length;
        names[n++] = i + 1 < N_FORMAT ? ' ' : '\0';
    }
    return names;
}

static int choose(const phi_model *m, const char *name, const struct format **out, phi_error *err) {
    char quote[PHI_QUOTE_SIZE];
    *out = name ? NULL : recognise(m);
    for (int i = 0; name && i < N_FORMAT; i++)
        if (strcmp(name, formats[i].name) == 0) *out = &formats[i];
    if (*out) return PHI_OK;
    if (name)
        return phi_fail(err, PHI_USAGE, "'%s' is not a chat format; there are: %s",
                        phi_quote(quote, name, strlen(name)), phi_chat_formats());
    return phi_fail(err, PHI_USAGE, "the vocabulary is of no known chat format; choose one of: %s",
                    phi_chat_formats());
}

/* ---- Rendering ------------------------------------------------------------------------------------------------- */

struct renderer {
    const struct phi_tokenizer *t;
    const struct format *format;
    phi_error *err;
    char *text; /* the segment at hand */
    size_t n_text, room;
    int32_t left; /* the control token before it; -1: none */
    int32_t *ids;
    size_t cap;
    int64_t n_id;
};

static void emit(struct renderer *r, int32_t id) {
    if ((size_t)r->n_id < r->cap) r->ids[r->n_id] = id;
    r->n_id++;
}

static int add_text(struct renderer *r, const char *s, size_t n) {
    if (n > r->room - r->n_text) {
        if (n > SIZE_MAX / 4 || r->n_text > SIZE_MAX / 4) return phi_fail(r->err, PHI_MEMORY, "not enough memory");
        size_t room = (r->n_text + n) * 2;
        char *more = phi_realloc(r->text, room, 1);
        if (!more) return phi_fail(r->err, PHI_MEMORY, "not enough memory for a message of %zu bytes", n);
        r->text = more;
        r->room = room;
    }
    if (n) memcpy(r->text + r->n_text, s, n);
    r->n_text += n;
    return PHI_OK;
}

/* The segment ends before the control token right (-1: at the end). */
static int flush(struct renderer *r, int32_t right) {
    const char *s = r->text;
    size_t n = r->n_text, used = (size_t)r->n_id < r->cap ? (size_t)r->n_id : r->cap;
    r->n_text = 0;
    phi_tokenizer_trim(r->t, r->left, right, &s, &n);
    if (n == 0) return PHI_OK;
    int64_t more = phi_tokenizer_encode(r->t, s, n, 0, r->ids ? r->ids + used : NULL, r->cap - used);
    if (more < 0) return phi_fail(r->err, (int)more, "not enough memory for a message of %zu bytes", n);
    r->n_id += more;
    return PHI_OK;
}

/* Put out a layout with content in the place of %. What follows its last control token stays at hand. */
static int render(struct renderer *r, const char *layout, const char *content, size_t n_content) {
    int e = 0;
    while (!e && *layout) {
        size_t n = control_length(layout);
        if (n > 0) {
            int32_t id = find_control(r->t, layout, n);
            if (id < 0)
                return phi_fail(r->err, PHI_USAGE, "chat format %s needs the token %.*s, which the vocabulary lacks",
                                r->format->name, (int)n, layout);
            e = flush(r, id);
            emit(r, id);
            r->left = id;
        } else if (*layout == '%') {
            e = add_text(r, content, n_content);
            n = 1;
        } else {
            n = strcspn(layout, "<%");
            if (n == 0) n = 1;
            e = add_text(r, layout, n);
        }
        layout += n;
    }
    return e;
}

static int begin_chat(struct renderer *r, const char *system, size_t n_system) {
    const struct format *f = r->format;
    int32_t bos = phi_tokenizer_bos(r->t);
    size_t n = control_length(f->begin);
    bool twice = n > 0 && find_control(r->t, f->begin, n) == bos;
    if (phi_tokenizer_add_bos(r->t) && bos >= 0 && !twice) {
        emit(r, bos);
        r->left = bos;
    }
    int e = render(r, f->begin, NULL, 0);
    if (!e && n_system > 0 && f->system) e = render(r, f->system, system, n_system);
    return e;
}

/* The first message, with the system's text before it where that is no role of its own. */
static int join(struct renderer *r, const char *system, size_t n_system, const char *user, size_t n_user,
                char **joined) {
    *joined = phi_alloc(n_system + 1 + n_user, 1);
    if (!*joined) return phi_fail(r->err, PHI_MEMORY, "not enough memory for a message of %zu bytes", n_user);
    memcpy(*joined, system, n_system);
    (*joined)[n_system] = '\n';
    if (n_user) memcpy(*joined + n_system + 1, user, n_user);
    return PHI_OK;
}

int64_t phi_chat_begin(const phi_model *m, const char *format, const char *system, size_t n_system, const char *user,
                       size_t n_user, int32_t *ids, size_t cap, phi_error *err) {
    struct renderer r = {.t = m->tokenizer, .err = err, .left = -1, .ids = ids, .cap = cap};
    char *joined = NULL;
    int e = choose(m, format, &r.format, err);
    if (!e) e = begin_chat(&r, system, n_system);
    if (!e && n_system > 0 && !r.format->system) {
        e = join(&r, system, n_system, user, n_user, &joined);
        user = joined;
        n_user += n_system + 1;
    }
    if (!e) e = render(&r, r.format->user, user, n_user);
    if (!e) e = flush(&r, -1);
    phi_free(joined);
    phi_free(r.text);
    return e ? e : r.n_id;
}

int64_t phi_chat_next(const phi_model *m, const char *format, const char *user, size_t n_user, int32_t *ids,
                      size_t cap, phi_error *err) {
    struct renderer r = {.t = m->tokenizer, .err = err, .left = -1, .ids = ids, .cap = cap};
    int e = choose(m, format, &r.format, err);
    if (!e) e = render(&r, r.format->close, NULL, 0);
    if (!e) e = render(&r, r.format->user, user, n_user);
    if (!e) e = flush(&r, -1);
    phi_free(r.text);
    return e ? e : r.n_id;
}
