/* The commands of a chat. What they show goes to stderr: stdout holds answers only. */
#include "slash.h"
#include "saved_chat.h"
#include "edit.h"
#include "sampling.h"
#include "terminal.h"
#include "../memory.h"

#include <stdio.h>
#include <string.h>

static int missing(const char *usage) {
    return cli_fail(CLI_USAGE, "usage: %s", usage);
}

/* ---- Answers --------------------------------------------------------------------------------------------------- */

void cli_chat_answered(struct cli_chat *chat) {
    const char *reason = cli_stop_reason(&chat->c.last);
    bool usual = chat->c.last.result.reason == PHI_STOP_EOS;
    const struct phi_generate_result *r = &chat->c.last.result;
    if (!chat->in.terminal && cli_stop_status(chat->c.o, &chat->c.last)) chat->cut_short = true;
    if (chat->o.no_perf || cli_quiet()) return;
    cli_say("[ Prompt: %.1f t/s | Generation: %.1f t/s%s%s ]",
            r->prompt_seconds > 0 ? (double)r->n_prompt / r->prompt_seconds : 0,
            r->generate_seconds > 0 ? (double)r->n_generated / r->generate_seconds : 0,
            usual ? "" : " | stopped: ", usual ? "" : reason);
}

static int no_answer(void) {
    return cli_fail(CLI_USAGE, "there is no answer yet");
}

static int again(struct cli_chat *chat) {
    if (chat->c.n_turn == 0) return no_answer();
    int status = cli_conversation_again(&chat->c);
    if (!status) cli_chat_answered(chat);
    return status;
}

static int on_regen(struct cli_chat *chat, const char *argument) {
    if (*argument) return missing("/regen (/retry --temp T takes another temperature)");
    return again(chat);
}

/* /retry --temp 1.2: the options hold for this answer only. */
static int on_retry(struct cli_chat *chat, const char *argument) {
    struct cli_options once = chat->o;
    int status = CLI_OK;
    memset(once.stop.owned, 0, sizeof once.stop.owned);
    memset(once.logit_bias.owned, 0, sizeof once.logit_bias.owned);
    if (*argument) {
        size_t n = strcspn(argument, " \t");
        const char *value = argument + n + strspn(argument + n, " \t");
        if (strncmp(argument, "--", 2) != 0 || !*value) return missing("/retry [--temp T]");
        char name[40];
        snprintf(name, sizeof name, "%.*s", (int)n, argument);
        status = cli_options_set(&once, name, value);
    }
    chat->c.o = &once;
    if (!status) status = again(chat);
    chat->c.o = &chat->o;
    cli_texts_cut(&once.stop, 0);
    cli_texts_cut(&once.logit_bias, 0);
    return status;
}

/* ---- Turns ----------------------------------------------------------------------------------------------------- */

static int on_undo(struct cli_chat *chat, const char *argument) {
    int64_t n = 1;
    if (*argument && (!cli_parse_int(argument, &n) || n < 1)) return missing("/undo [N]");
    if (chat->c.n_turn == 0) return cli_fail(CLI_USAGE, "there is nothing to take back");
    if (n > (int64_t)chat->c.n_turn) n = (int64_t)chat->c.n_turn;
    cli_conversation_undo(&chat->c, (size_t)n);
    cli_say("took back %lld turn%s; %zu left", (long long)n, n == 1 ? "" : "s", chat->c.n_turn);
    return CLI_OK;
}

static int on_edit(struct cli_chat *chat, const char *argument) {
    if (*argument) return missing("/edit");
    if (!chat->in.editor) return cli_fail(CLI_USAGE, "/edit needs the line editor, which is off here");
    if (chat->c.n_turn == 0) return cli_fail(CLI_USAGE, "there is no message to edit yet");
    struct cli_text *message = &chat->c.turn[chat->c.n_turn - 1].message;
    cli_text_free(&chat->draft);
    chat->draft = *message; /* the turn is taken back without it */
    *message = (struct cli_text){NULL, 0};
    cli_conversation_undo(&chat->c, 1);
    return CLI_OK;
}

static int on_clear(struct cli_chat *chat, const char *argument) {
    if (strcmp(argument, "history") == 0) {
        if (chat->in.editor) cli_editor_forget(chat->in.editor);
        cli_say("the history of messages is erased");
        return CLI_OK;
    }
    if (*argument) return missing("/clear [history]");
    cli_conversation_undo(&chat->c, chat->c.n_turn);
    cli_text_free(&chat->attached);
    cli_say("the conversation begins anew");
    return CLI_OK;
}

static int on_system(struct cli_chat *chat, const char *argument) {
    struct cli_text text = {NULL, strlen(argument)};
    text.bytes = phi_alloc(text.n + 1, 1);
    if (!text.bytes) return cli_fail(CLI_MEMORY, "not enough memory for the system prompt");
    memcpy(text.bytes, argument, text.n);
    int status = cli_conversation_set_system(&chat->c, &text);
    if (!status) cli_say(*argument ? "the system prompt is set" : "there is no system prompt any more");
    cli_text_free(&text);
    return status;
}

static int on_read(struct cli_chat *chat, const char *argument) {
    if (!*argument) return missing("/read FILE");
    struct cli_text text = {NULL, 0};
    int status = strcmp(argument, "-") == 0 ? missing("/read FILE") : cli_text_read(argument, "file", &text);
    if (!status) {
        cli_text_free(&chat->attached);
        chat->attached = text;
        cli_say("%zu bytes go behind the next message", text.n);
        return CLI_OK;
    }
    cli_text_free(&text);
    return status;
}

/* ---- Settings -------------------------------------------------------------------------------------------------- */

/* What answers must be from now on; both NULL: anything. */
static int set_constraint(struct cli_chat *chat, const char *grammar, const char *schema) {
    struct cli_constraint next;
    struct cli_options *o = &chat->o, with = *o;
    with.grammar = grammar;
    with.json_schema = schema;
    with.grammar_file = with.json_schema_file = NULL;
    with.sampler.grammar = NULL;
    int status = cli_constraint_read(&with, &next);
    if (!status) status = cli_constraint_open(&next, &with, chat->c.model);
    if (status) {
        cli_constraint_close(&next);
        return status;
    }
    cli_constraint_close(&chat->constraint);
    chat->constraint = next;
    o->sampler.grammar = next.grammar;
    o->grammar = o->json_schema = o->grammar_file = o->json_schema_file = NULL; /* they do not count any more */
    return CLI_OK;
}

static int on_set(struct cli_chat *chat, const char *argument) {
    static const char usage[] = "/set OPTION VALUE (/show parameters lists them), /set system TEXT, /set verbose, "
                                "/set quiet, /set history, /set nohistory, /set wordwrap, /set nowordwrap, "
                                "/set format json or /set noformat";
    if (strncmp(argument, "parameter ", 10) == 0) argument += 10;
    argument += strspn(argument, " ");
    if (strncmp(argument, "system ", 7) == 0) return on_system(chat, argument + 7);
    bool quiet = strcmp(argument, "quiet") == 0;
    if (quiet || strcmp(argument, "verbose") == 0) {
        chat->o.no_perf = quiet;
        return CLI_OK;
    }
    bool history = strcmp(argument, "history") == 0;
    if (history || strcmp(argument, "nohistory") == 0) {
        if (chat->in.editor) cli_editor_keep_history(chat->in.editor, history);
        return CLI_OK;
    }
    bool wraps = strcmp(argument, "wordwrap") == 0;
    if (wraps || strcmp(argument, "nowordwrap") == 0) {
        chat->c.wraps = wraps && chat->in.editor; /* without the editor the terminal may not know how to erase */
        return CLI_OK;
    }
    if (strcmp(argument, "format json") == 0) return set_constraint(chat, NULL, "{}");
    if (strcmp(argument, "noformat") == 0) return set_constraint(chat, NULL, NULL);
    size_t n = strcspn(argument, " \t");
    const char *value = argument + n + strspn(argument + n, " \t");
    if (n == 0 || !*value) return missing(usage);
    char name[48];
    snprintf(name, sizeof name, "%s%.*s", argument[0] == '-' ? "" : "--", n < 40 ? (int)n : 40, argument);
    for (char *c = name; *c; c++)
        if (*c == '_') *c = '-'; /* as ollama writes them */
    if (strcmp(name, "--grammar") == 0) return set_constraint(chat, value, NULL);
    if (strcmp(name, "--json-schema") == 0) return set_constraint(chat, NULL, value);
    static const char *const ollama[][2] = {
        {"--num-predict", "--predict"}, {"--num-ctx", "--ctx-size"}, {"--stop", "--reverse-prompt"}};
    for (size_t i = 0; i < sizeof ollama / sizeof *ollama; i++)
        if (strcmp(name, ollama[i][0]) == 0) memcpy(name, ollama[i][1], strlen(ollama[i][1]) + 1);
    int64_t seed = chat->o.seed;
    int n_bias = chat->o.logit_bias.n;
    int status = cli_options_set(&chat->o, name, value);
    if (!status && chat->o.logit_bias.n > n_bias && (status = cli_sampling_check(&chat->o, chat->c.model)))
        cli_texts_cut(&chat->o.logit_bias, n_bias);
    if (!status && chat->o.seed != seed && chat->o.seed >= 0) chat->c.seed = (uint32_t)chat->o.seed;
    return status;
}

static void show_parameters(const struct cli_chat *chat) {
    const struct phi_sampler_options *s = &chat->o.sampler;
    cli_say("temp %g, top-k %d, top-p %g, min-p %g, typical %g, seed %u, predict %d%s", (double)s->temperature,
            s->top_k, (double)s->top_p, (double)s->min_p, (double)s->typical_p, (unsigned)chat->c.seed,
            chat->o.n_predict, chat->o.ignore_eos ? ", ignore-eos" : "");
    cli_say("repeat-penalty %g, repeat-last-n %d, presence-penalty %g, frequency-penalty %g",
            (double)s->repeat_penalty, s->repeat_last_n, (double)s->presence_penalty, (double)s->frequency_penalty);
    if (chat->constraint.text.bytes)
        cli_say("%s %.*s", chat->constraint.schema ? "json-schema" : "grammar", (int)chat->constraint.text.n,
                chat->constraint.text.bytes);
    for (int i = 0; i < chat->o.logit_bias.n; i++) cli_say("logit-bias %s", chat->o.logit_bias.text[i]);
    for (int i = 0; i < chat->o.stop.n; i++) cli_say("reverse-prompt %s", chat->o.stop.text[i]);
}

static void show_info(const struct cli_chat *chat) {
    struct phi_model_info m;
    struct phi_session_info s;
    phi_model_get_info(chat->c.model, &m);
    phi_session_get_info(chat->c.session, &s);
    cli_say("model %s (%s, %s, %.1f million parameters)", chat->file.path, m.name, m.type, (double)m.n_params * 1e-6);
    cli_say("chat format %s, context %d tokens, %d threads, %s",
            chat->o.chat_template ? chat->o.chat_template : phi_chat_format(chat->c.model), s.n_ctx, s.n_threads,
            s.isa);
}

static void show_system(const struct cli_chat *chat) {
    if (chat->c.system.n == 0)
        cli_say("there is no system prompt");
    else
        cli_say("system prompt: %.*s", (int)chat->c.system.n, chat->c.system.bytes);
}

static int on_show(struct cli_chat *chat, const char *argument) {
    bool all = !*argument, info = strcmp(argument, "info") == 0, system = strcmp(argument, "system") == 0;
    bool parameters = strcmp(argument, "parameters") == 0;
    if (!all && !info && !system && !parameters) return missing("/show [info|parameters|system]");
    if (all || info) show_info(chat);
    if (all || parameters) show_parameters(chat);
    if (all || system) show_system(chat);
    return CLI_OK;
}

static int on_stats(struct cli_chat *chat, const char *argument) {
    if (*argument) return missing("/stats");
    if (chat->c.n_turn == 0) return no_answer();
    int before = cli_set_verbosity(CLI_NOTES);
    cli_statistics_print(&chat->c.last);
    cli_set_verbosity(before);
    return CLI_OK;
}

static int on_tokens(struct cli_chat *chat, const char *argument) {
    if (*argument) return missing("/tokens");
    cli_say("%zu of %d tokens in %zu turn%s", cli_conversation_used(&chat->c), chat->c.n_ctx, chat->c.n_turn,
            chat->c.n_turn == 1 ? "" : "s");
    for (size_t i = 0; i < chat->c.n_turn; i++) {
        const struct cli_turn *t = &chat->c.turn[i];
        size_t end = i + 1 < chat->c.n_turn ? t[1].begin : chat->c.n_id;
        cli_say("%4zu: message %zu, answer %zu", i + 1, t->answer - t->begin, end - t->answer);
    }
    return CLI_OK;
}

/* OSC 52 hands the text to the terminal's clipboard; most terminals take up to 100 KB or so. */
static int on_copy(struct cli_chat *chat, const char *argument) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct cli_text text;
    if (*argument) return missing("/copy");
    if (!chat->in.editor) return cli_fail(CLI_USAGE, "/copy needs a terminal");
    if (chat->c.n_turn == 0) return no_answer();
    int status = cli_conversation_answer(&chat->c, chat->c.n_turn - 1, &text);
    char *out = status ? NULL : phi_alloc(text.n / 3 * 4 + 16, 1);
    if (!status && !out) status = cli_fail(CLI_MEMORY, "not enough memory to copy the answer");
    if (!status) {
        size_t n = (size_t)snprintf(out, 16, "\x1b]52;c;");
        for (size_t i = 0; i < text.n; i += 3) {
            size_t left = text.n - i;
            unsigned v = (unsigned)(unsigned char)text.bytes[i] << 16;
            if (left > 1) v |= (unsigned)(unsigned char)text.bytes[i + 1] << 8;
            if (left > 2) v |= (unsigned char)text.bytes[i + 2];
            for (size_t k = 0; k < 4; k++) out[n++] = k <= left ? digits[v >> (18 - 6 * k) & 63] : '=';
        }
        out[n++] = '\a';
        cli_terminal_write(out, n);
        cli_say("%zu bytes are handed to the terminal's clipboard", text.n);
    }
    phi_free(out);
    cli_text_free(&text);
    return status;
}

static int on_exit_command(struct cli_chat *chat, const char *argument) {
    (void)argument;
    chat->leave = true;
    return CLI_OK;
}

/* ---- The table ------------------------------------------------------------------------------------------------- */

static int on_help(struct cli_chat *chat, const char *argument);

static const struct command {
    const char *name, *alias, *other, *usage, *help;
    int (*run)(struct cli_chat *chat, const char *argument);
} commands[] = {
    {"help", "?", NULL, "/help", "this text; /help keys lists the keys", on_help},
    {"exit", "quit", "bye", "/exit", "leave, as Ctrl-D does", on_exit_command},
    {"clear", NULL, NULL, "/clear", "forget the conversation; /clear history: what Up recalls", on_clear},
    {"regen", NULL, NULL, "/regen", "answer the last message again", on_regen},
    {"retry", NULL, NULL, "/retry [--temp T]", "the same with another temperature", on_retry},
    {"undo", NULL, NULL, "/undo [N]", "take back the last turn, or N", on_undo},
    {"edit", NULL, NULL, "/edit", "take back the last turn and edit its message", on_edit},
    {"system", NULL, NULL, "/system TEXT", "set the system prompt; without text: none", on_system},
    {"read", NULL, NULL, "/read FILE", "put a file behind the next message", on_read},
    {"set", NULL, NULL, "/set OPTION VALUE", "change an option: /set temp 0.2; /show lists them", on_set},
    {"show", NULL, NULL, "/show", "model, parameters and system prompt", on_show},
    {"stats", NULL, NULL, "/stats", "what the last answer took", on_stats},
    {"tokens", NULL, NULL, "/tokens", "how the context is used", on_tokens},
    {"save", NULL, NULL, "/save NAME", "save the conversation; --session FILE does it after every answer", cli_slash_save},
    {"load", NULL, NULL, "/load NAME", "go on with a saved conversation", cli_slash_load},
    {"copy", NULL, NULL, "/copy", "the last answer to the terminal's clipboard", on_copy},
};
enum { N_COMMAND = sizeof commands / sizeof *commands };

const char *const cli_slash_words[] = {"/help", "/exit", "/clear", "/regen", "/retry",  "/undo", "/edit", "/system",
                                       "/read", "/set",  "/show",  "/stats", "/tokens", "/save",   "/load", "/copy", NULL};

static const char *const keys[] = {
    "Enter              send",
    "Ctrl-J, Alt-Enter  new line; so is \\ at the end, and \"\"\" stands around many lines",
    "Ctrl-A, Ctrl-E     begin and end of the line",
    "Ctrl-B, Ctrl-F     back and forth by a character; Alt-B, Alt-F: by a word",
    "Ctrl-W, Alt-D      erase the word before, the word behind",
    "Ctrl-U, Ctrl-K     erase the line before, the line behind; Ctrl-Y brings it back",
    "Up, Down           earlier and later messages; Ctrl-R searches them",
    "Tab                complete a command",
    "Ctrl-L             clear the screen",
    "Ctrl-C             stop an answer; clear what is typed; twice: leave",
    "Ctrl-D             leave",
};

static int on_help(struct cli_chat *chat, const char *argument) {
    (void)chat;
    if (strcmp(argument, "keys") == 0 || strcmp(argument, "shortcuts") == 0) {
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) cli_say("%s", keys[i]);
        return CLI_OK;
    }
    if (*argument) return missing("/help [keys]");
    for (int i = 0; i < N_COMMAND; i++) cli_say("%-18s %s", commands[i].usage, commands[i].help);
    cli_say("A message that begins with / is written with two: //");
    return CLI_OK;
}

static bool is_name(const struct command *c, const char *word, size_t n) {
    const char *names[] = {c->name, c->alias, c->other};
    for (int i = 0; i < 3; i++)
        if (names[i] && strlen(names[i]) == n && memcmp(names[i], word, n) == 0) return true;
    return false;
}

int cli_slash(struct cli_chat *chat, const struct cli_text *line) {
    char *word = phi_alloc(line->n + 1, 1); /* ended by NUL, unlike the line */
    if (!word) return cli_fail(CLI_MEMORY, "not enough memory for a command");
    memcpy(word, line->bytes, line->n);
    size_t end = strlen(word);
    while (end > 0 && strchr(" \t", word[end - 1])) word[--end] = 0;
    size_t n = strcspn(word + 1, " \t");
    const char *argument = word + 1 + n;
    argument += strspn(argument, " \t");
    int status = -1;
    for (int i = 0; i < N_COMMAND && status < 0; i++)
        if (is_name(&commands[i], word + 1, n)) status = commands[i].run(chat, argument);
    if (status < 0) status = cli_fail(CLI_USAGE, "unknown command '/%.*s'; // sends a slash", (int)n, word + 1);
    phi_free(word);
    return status;
}
