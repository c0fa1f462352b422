/* phi chat: a talk in the format of the model's family, on a terminal or over a pipe, or one turn of it (-st). stdout
 * gets the answers and nothing else; each ends with a newline. */
#include "commands.h"
#include "events.h"
#include "sandbox.h"
#include "saved_chat.h"
#include "slash.h"
#include "state.h"
#include "stream.h"
#include "terminal.h"
#include "../memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LEFT_BY_KEY = 130 }; /* what a shell shows after Ctrl-C */

/* ---- Reading what options give --------------------------------------------------------------------------------- */

static int read_system(const struct cli_options *o, struct cli_text *out) {
    struct cli_options as_prompt = *o;
    as_prompt.prompt = o->system;
    as_prompt.file = o->system_file;
    as_prompt.binary_file = NULL;
    if (!o->system && !o->system_file) return CLI_OK;
    return cli_prompt_read_own(&as_prompt, "system prompt file", out);
}

/* The message of -st: the prompt and stdin. */
static int read_single(const struct cli_options *o, struct cli_text *out) {
    struct cli_prompt prompt;
    if (!o->prompt && !o->file && !o->binary_file && !o->no_stdin && isatty(STDIN_FILENO)) return CLI_OK;
    int status = cli_prompt_read(o, false, &prompt);
    *out = prompt.text;
    if (!status && out->n == 0 && !cli_interrupted()) return cli_fail(CLI_USAGE, "the message is empty");
    return status;
}

/* ---- Talking --------------------------------------------------------------------------------------------------- */

/* Can the talk go on after this? */
static bool is_fatal(int status) {
    return status && status != CLI_USAGE && status != CLI_CONTEXT;
}

static int say(struct cli_chat *chat, const char *text, size_t n) {
    int status = cli_conversation_say(&chat->c, text, n);
    if (!status) cli_chat_answered(chat);
    return cli_chat_save(chat, status);
}

/* A message of the user; what /read has attached goes behind it. */
static int say_message(struct cli_chat *chat, const struct cli_text *text) {
    size_t skip = text->n >= 2 && memcmp(text->bytes, "//", 2) == 0, n = text->n - skip, more = chat->attached.n;
    if (more == 0) return say(chat, text->bytes + skip, n);
    char *all = phi_alloc(n + 1 + more, 1);
    if (!all) return cli_fail(CLI_MEMORY, "not enough memory for a message of %zu bytes", n + 1 + more);
    memcpy(all, text->bytes + skip, n);
    all[n] = '\n';
    memcpy(all + n + 1, chat->attached.bytes, more);
    int status = say(chat, all, n + 1 + more);
    if (!status) cli_text_free(&chat->attached);
    phi_free(all);
    return status;
}

static bool is_command(const struct cli_text *t) {
    return t->n > 0 && t->bytes[0] == '/' && !(t->n > 1 && t->bytes[1] == '/') && !memchr(t->bytes, '\n', t->n);
}

static int input_status(enum cli_input_event event) {
    return event == CLI_INPUT_FAILED ? CLI_FAILED : event == CLI_INPUT_NO_MEMORY ? CLI_MEMORY : CLI_OK;
}

/* Ctrl-C on an empty line. True: it was the second one, leave. */
static bool leave_by_key(double answered, double *hinted) {
    double now = cli_seconds();
    if (now - answered < 1) return false; /* meant for the answer that has just ended */
    if (*hinted >= 0 && now - *hinted < 2) return true;
    *hinted = now;
    cli_say("(Ctrl-D or /exit leaves; so does a second Ctrl-C)");
    return false;
}

/* Until the input ends. On a terminal errors of one message are forgotten; on a pipe the first one is the exit code.
 */
static int talk(struct cli_chat *chat) {
    double answered = -1, hinted = -1;
    int first_error = CLI_OK;
    while (!chat->leave && !chat->c.ended) {
        char right[64];
        struct cli_text text = chat->draft;
        chat->draft = (struct cli_text){NULL, 0};
        snprintf(right, sizeof right, "ctx %zu/%d", cli_conversation_used(&chat->c), chat->c.n_ctx);
        enum cli_input_event event = cli_input_read(&chat->in, right, &text);
        int status = CLI_OK;
        bool command = event == CLI_INPUT_TEXT && is_command(&text);
        if (event == CLI_INPUT_TEXT) {
            status = command ? cli_chat_save(chat, cli_slash(chat, &text)) : say_message(chat, &text);
            answered = cli_seconds();
            hinted = -1;
            if (chat->in.terminal && cli_interrupt_clear()) cli_progress("");
        }
        cli_text_free(&text);
        if (event == CLI_INPUT_INTERRUPT && leave_by_key(answered, &hinted)) return LEFT_BY_KEY;
        if (input_status(event)) return input_status(event);
        bool of_file = command && (status == CLI_FAILED || (status == CLI_OUTPUT && !cli_output_status())); /* /read, /save */
        if (is_fatal(status) && !of_file) return status;
        if (!chat->in.terminal && !first_error && !chat->c.ended) first_error = status;
        if (event == CLI_INPUT_END || event == CLI_INPUT_SIGNAL || cli_interrupted()) break;
    }
    return first_error ? first_error : chat->cut_short ? CLI_FAILED : CLI_OK;
}

static void announce(const struct cli_chat *chat) {
    cli_model_announce(&chat->file);
    if (!chat->o.no_perf) cli_memory_announce(chat->c.session);
    if (chat->o.verbose) cli_describe(&chat->o, chat->c.session);
    cli_events_load(chat->file.path, chat->c.session, chat->c.seed);
}

static void greet(const struct cli_chat *chat) {
    announce(chat);
    if (chat->in.terminal && !cli_quiet())
        cli_note("type a message%s; /help lists the commands, Ctrl-D leaves",
                 chat->o.multiline ? " and end it with a backslash" : "");
}

/* One turn: without a message from the options, a line of the terminal. */
static int single(struct cli_chat *chat, struct cli_text *message) {
    enum cli_input_event event = CLI_INPUT_TEXT;
    announce(chat);
    if (!message->bytes) {
        int status = cli_input_open(&chat->in, &chat->o, &chat->history, NULL);
        if (!status) event = cli_input_read(&chat->in, "", message);
        cli_input_close(&chat->in);
        if (!status) status = input_status(event);
        if (status) return status;
        if (event == CLI_INPUT_INTERRUPT) return LEFT_BY_KEY;
        if (event == CLI_INPUT_END) return cli_fail(CLI_USAGE, "there is no message");
    }
    if (cli_interrupted()) return CLI_OK;
    int status = cli_chat_save(chat, cli_conversation_say(&chat->c, message->bytes, message->n));
    if (status) return chat->c.ended ? CLI_OK : status;
    if (!chat->o.no_perf) cli_statistics_print(&chat->c.last);
    return cli_stop_status(&chat->o, &chat->c.last);
}

static int repl(struct cli_chat *chat, const struct cli_text *first) {
    int status = cli_input_open(&chat->in, &chat->o, &chat->history, cli_slash_words);
    if (status) return status;
    if (chat->in.terminal) cli_signals_keep_interrupt();
    chat->c.wraps = chat->in.editor != NULL; /* a terminal that knows how to erase */
    greet(chat);
    if (first->bytes && first->n) {
        status = say(chat, first->bytes, first->n);
        if (chat->in.terminal) (void)cli_interrupt_clear();
    }
    if (chat->o.no_stdin || cli_interrupted() || is_fatal(status))
        return status ? status : chat->cut_short ? CLI_FAILED : CLI_OK;
    int later = talk(chat);
    return chat->in.terminal ? later : status ? status : later;
}

/* Open what is written later, then give up opening more. /save may make files in one folder; it has to exist by then,
 * so a talk of more than one turn makes it, whether anything will be saved or not. */
static int enter_sandbox(struct cli_chat *chat) {
    const struct cli_options *o = &chat->o;
    bool message_given = o->prompt || o->file || o->binary_file;
    bool edits = isatty(STDIN_FILENO) && !o->simple_io && !o->no_stdin && !(o->single_turn && message_given);
    if (edits) cli_history_open(&chat->history, o->no_history);
    bool saves = !o->single_turn && o->sandbox != 0;
    char *folder = saves ? cli_state_path("sessions/") : NULL;
    if (saves && !folder && errno == ENOMEM) return cli_fail(CLI_MEMORY, "not enough memory for the path of saved conversations");
    if (folder) cli_state_make_folders(folder);
    int status = cli_sandbox_enter(o, folder, false);
    phi_free(folder);
    cli_history_read(&chat->history);
    return status;
}

int cli_chat(const struct cli_options *o) {
    struct cli_chat chat = {.o = *o, .history.fd = -1};
    struct cli_text message = {NULL, 0}, system = {NULL, 0};
    phi_model *model = NULL;
    int status = cli_saved_open(&chat.saved, o, PHI_SESSION_CHAT);
    if (!status) status = enter_sandbox(&chat);
    if (!status) status = cli_constraint_read(o, &chat.constraint);
    if (!status) status = read_system(o, &system);
    if (!status) status = o->single_turn ? read_single(o, &message) : cli_prompt_read_own(o, "prompt file", &message);
    if (!status && o->no_stdin && !message.bytes)
        status = cli_fail(CLI_USAGE, "--no-stdin leaves no message: give -p TEXT or -f FILE");
    if (!status && !cli_interrupted()) status = cli_model_open(o, true, &chat.file, &model);
    if (!status && model) status = cli_constraint_open(&chat.constraint, &chat.o, model);
    if (!status && model) status = cli_conversation_open(&chat.c, &chat.o, model, &system);
    if (!status && model) status = cli_chat_resume(&chat);
    if (!status && model && !cli_interrupted())
        status = o->single_turn ? single(&chat, &message) : repl(&chat, &message);
    cli_input_close(&chat.in);
    cli_history_close(&chat.history);
    cli_saved_close(&chat.saved);
    cli_conversation_close(&chat.c);
    cli_constraint_close(&chat.constraint);
    cli_texts_cut(&chat.o.stop, 0);
    cli_texts_cut(&chat.o.logit_bias, 0);
    cli_text_free(&chat.attached);
    cli_text_free(&chat.draft);
    cli_text_free(&message);
    cli_text_free(&system);
    phi_model_close(model);
    return status;
}
