/* A conversation: what is kept, computed, taken back and dropped. Reads no input and knows no slash commands (chat.c,
 * slash.c); the formats of messages are the library's. Taking a turn back leaves exactly the state before it: the ids
 * are cut, the session rewinds, and each answer draws from a generator of its own. */
#include "conversation.h"
#include "events.h"
#include "model_file.h"
#include "sampling.h"
#include "stream.h"
#include "../memory.h"

#include <string.h>

static int no_memory(void) {
    return cli_fail(CLI_MEMORY, "not enough memory for the conversation");
}

/* ---- Opening --------------------------------------------------------------------------------------------------- */

/* A SentencePiece vocabulary puts a space before every text, so also before an answer. False: no memory to find out. */
static bool find_space(const phi_model *model, bool *begins_with_space) {
    int32_t id = -1;
    size_t n = 0;
    if (phi_tokenize(model, "a", 1, 0, &id, 1) < 0) return false;
    const char *bytes = phi_token_bytes(model, id, false, &n);
    *begins_with_space = n > 0 && bytes[0] == ' ';
    return true;
}

/* Is there a format, and has the vocabulary its tokens? Without an error line later, in the middle of a talk. */
static int check_format(const struct cli_options *o, const phi_model *model) {
    phi_error err = {""};
    int64_t n = phi_chat_begin(model, o->chat_template, "", 0, "", 0, NULL, 0, &err);
    if (n >= 0) n = phi_chat_next(model, o->chat_template, "", 0, NULL, 0, &err);
    if (n >= 0) return CLI_OK;
    return cli_fail((int)-n, "%s%s", err.text, o->chat_template ? "" : " (--chat-template NAME)");
}

int cli_conversation_open(struct cli_conversation *c, const struct cli_options *o, const phi_model *model,
                          struct cli_text *system) {
    struct phi_session_info info;
    struct phi_model_info model_info;
    *c = (struct cli_conversation){.o = o, .model = model, .system = *system, .seed = cli_choose_seed(o->seed)};
    *system = (struct cli_text){NULL, 0};
    phi_model_get_info(model, &model_info);
    if (o->session.n_ctx > model_info.n_ctx_train)
        return cli_fail(CLI_USAGE, "--ctx-size: %d is above the model's context length (%d)", o->session.n_ctx,
                        model_info.n_ctx_train);
    int status = check_format(o, model);
    if (!status) status = cli_sampling_check(o, model);
    if (!status) status = cli_session_open(o, model, 0, &c->session);
    if (status) return status;
    phi_session_get_info(c->session, &info);
    c->n_ctx = info.n_ctx;
    c->ids = phi_alloc((size_t)c->n_ctx + 1, sizeof *c->ids);
    if (!c->ids || !find_space(model, &c->skip_space)) return no_memory();
    if (!o->session.n_ctx && info.n_ctx < model_info.n_ctx_train)
        cli_note("context lowered from %d to %d tokens, which the free memory affords (-c N sets it)",
                 model_info.n_ctx_train, info.n_ctx);
    return CLI_OK;
}

void cli_conversation_close(struct cli_conversation *c) {
    cli_conversation_undo(c, c->n_turn);
    phi_session_close(c->session);
    cli_text_free(&c->system);
    phi_free(c->ids);
    phi_free(c->turn);
}

/* ---- Ids ------------------------------------------------------------------------------------------------------- */

/* Ids of a message: as the first one or as one that follows. ids NULL: only how many. Negative: the error is printed.
 */
static int64_t encode(const struct cli_conversation *c, bool first, const char *text, size_t n, int32_t *ids,
                      size_t cap) {
    phi_error err = {""};
    const char *format = c->o->chat_template, *system = c->system.bytes ? c->system.bytes : "";
    int64_t count = first ? phi_chat_begin(c->model, format, system, c->system.n, text, n, ids, cap, &err)
                          : phi_chat_next(c->model, format, text, n, ids, cap, &err);
    if (count < 0) cli_fail((int)-count, "%s", err.text);
    return count;
}

static size_t room_left(const struct cli_conversation *c) {
    return c->n_id < (size_t)c->n_ctx ? (size_t)c->n_ctx - c->n_id : 0;
}

/* Only the first n ids hold from now on. */
static void cut(struct cli_conversation *c, size_t n) {
    phi_error err;
    c->n_id = n;
    if (phi_session_n_past(c->session) > n) (void)phi_session_rewind(c->session, n, &err);
}

static size_t turn_end(const struct cli_conversation *c, size_t turn) {
    return turn + 1 < c->n_turn ? c->turn[turn + 1].begin : c->n_id;
}

static void free_turns(struct cli_conversation *c, size_t first, size_t n) {
    for (size_t i = first; i < first + n; i++) cli_text_free(&c->turn[i].message);
}

/* Begin with turn `from` and the system prompt as it is now: the first message gets new ids, all others stay. What
 * the session has computed stays as far as the ids are the same. CLI_CONTEXT: it does not fit, and nothing is
 * changed. */
static int begin_at(struct cli_conversation *c, size_t from) {
    struct cli_turn *first = &c->turn[from];
    int64_t n = encode(c, true, first->message.bytes, first->message.n, NULL, 0);
    if (n < 0) return (int)-n;
    size_t n_first = (size_t)n, rest = c->n_id - first->answer, same = 0;
    if (n_first + rest > (size_t)c->n_ctx) return CLI_CONTEXT;
    int32_t *ids = phi_alloc(n_first + 1, sizeof *ids);
    if (!ids) return no_memory();
    n = encode(c, true, first->message.bytes, first->message.n, ids, n_first);
    if (n < 0) {
        phi_free(ids);
        return (int)-n;
    }
    while (same < n_first && same < c->n_id && ids[same] == c->ids[same]) same++;
    if (same < n_first || first->answer != n_first) { /* else nothing moves: from is 0 and its ids are as they were */
        phi_error err;
        if (phi_session_n_past(c->session) > same) (void)phi_session_rewind(c->session, same, &err);
        memmove(c->ids + n_first, c->ids + first->answer, rest * sizeof *ids);
        memcpy(c->ids, ids, n_first * sizeof *ids);
        size_t back = first->answer;
        for (size_t i = from; i < c->n_turn; i++) {
            c->turn[i].begin = i == from ? 0 : c->turn[i].begin - back + n_first;
            c->turn[i].answer = c->turn[i].answer - back + n_first;
        }
        c->n_id = n_first + rest;
    }
    phi_free(ids);
    free_turns(c, 0, from);
    memmove(c->turn, first, (c->n_turn - from) * sizeof *first);
    c->n_turn -= from;
    return CLI_OK;
}

/* ---- Overflow -------------------------------------------------------------------------------------------------- */

static int refuse(struct cli_conversation *c, size_t needs) {
    if (c->o->on_overflow == CLI_OVERFLOW_STOP) {
        c->ended = true;
        cli_note("the message needs %zu tokens, %zu of %d are free: the conversation ends", needs, room_left(c),
                 c->n_ctx);
        cli_note("stop reason = context");
        return CLI_CONTEXT;
    }
    if (c->n_turn == 0)
        return cli_fail(CLI_CONTEXT,
                        "the message needs %zu tokens, the context holds %d; shorten it or use a larger -c", needs,
                        c->n_ctx);
    return cli_fail(CLI_CONTEXT, "turn needs %zu tokens, %zu of %d free: try /undo or /clear", needs, room_left(c),
                    c->n_ctx);
}

/* Drop the oldest turns until the message fits and a quarter of the context stays free, or none is left. */
static int drop_oldest(struct cli_conversation *c, const char *text, size_t n) {
    int64_t alone = encode(c, true, text, n, NULL, 0);
    if (alone < 0) return (int)-alone;
    if (alone > c->n_ctx) {
        return cli_fail(CLI_CONTEXT, "the message needs %lld tokens, the context holds %d; shorten it",
                        (long long)alone, c->n_ctx);
    }
    int64_t next = encode(c, false, text, n, NULL, 0);
    if (next < 0) return (int)-next;
    size_t before = c->n_id, turns = c->n_turn, wanted = (size_t)next + (size_t)c->n_ctx / 4;
    while (c->n_turn > 1 && room_left(c) < wanted) {
        int status = begin_at(c, 1);
        if (status) return status;
    }
    if (c->n_turn == 1 && room_left(c) < wanted) cli_conversation_undo(c, 1);
    cli_note("dropped the oldest %zu of %zu turns (%zu tokens) to make room", turns - c->n_turn, turns,
             before - c->n_id);
    return CLI_OK;
}

/* Room for one more turn in the table and for its ids in the context; *n_ids: how many ids. */
static int make_room(struct cli_conversation *c, const char *text, size_t n, size_t *n_ids) {
    if (c->n_turn == c->room) {
        size_t room = c->room * 2 + 16;
        struct cli_turn *more = phi_realloc(c->turn, room, sizeof *more);
        if (!more) return no_memory();
        c->turn = more;
        c->room = room;
    }
    int64_t needs = encode(c, c->n_turn == 0, text, n, NULL, 0);
    if (needs < 0) return (int)-needs;
    bool drops = c->o->on_overflow == CLI_OVERFLOW_DROP && c->n_turn > 0;
    size_t answer = drops ? (size_t)c->n_ctx / 16 : 0; /* who drops turns does not want an answer of three words */
    if ((size_t)needs + answer > room_left(c)) {
        if (!drops) return refuse(c, (size_t)needs);
        int status = drop_oldest(c, text, n);
        if (status) return status;
        needs = encode(c, c->n_turn == 0, text, n, NULL, 0);
        if (needs < 0) return (int)-needs;
    }
    *n_ids = (size_t)needs;
    return CLI_OK;
}

/* ---- Answers --------------------------------------------------------------------------------------------------- */

struct answer {
    struct cli_stream stream;
    struct cli_conversation *c;
};

static int on_token(void *user, int32_t id, const char *bytes, size_t n_bytes) {
    struct answer *a = user;
    if (id >= 0 && a->c->n_id <= (size_t)a->c->n_ctx) a->c->ids[a->c->n_id++] = id;
    return cli_stream_token(&a->stream, id, bytes, n_bytes);
}

static int on_progress(void *user, size_t done, size_t total) {
    return cli_stream_progress(&((struct answer *)user)->stream, done, total);
}

/* A generator of its own for each answer: the first one's is the seed itself, so that -st equals a run. */
static uint32_t answer_seed(const struct cli_conversation *c) {
    const struct cli_turn *t = &c->turn[c->n_turn - 1];
    return c->seed + (uint32_t)(c->n_turn - 1) + t->attempt * 2654435761u;
}

/* The tokens of a stop text, which was not put out, are no part of the answer; one that holds the answer's end, too,
 * is. */
static void take_back_stop_text(struct cli_conversation *c, size_t n_dropped) {
    struct cli_turn *t = &c->turn[c->n_turn - 1];
    size_t n = c->n_id, n_bytes;
    while (n > t->answer) {
        (void)phi_token_bytes(c->model, c->ids[n - 1], false, &n_bytes);
        if (n_bytes > n_dropped) break;
        n_dropped -= n_bytes;
        n--;
    }
    t->hidden = n_dropped;
    cut(c, n);
}

/* Generate and put out; c->last is the session's part of the statistics afterwards. */
static int generate(struct cli_conversation *c, struct answer *a, phi_sampler *sampler, size_t past) {
    struct phi_generate_result result;
    phi_error err = {""};
    int status = phi_generate(c->session, sampler, c->ids + past, c->n_id - past, c->o->n_predict, on_token,
                              on_progress, a, &result, &err);
    cli_progress("");
    cli_stream_finish(&a->stream, result.stop_id);
    if (status != PHI_CONTEXT) cli_stream_end_line(&a->stream); /* then the turn is refused */
    cli_flush();
    cli_statistics_add(&c->last, &result, past, phi_session_n_past(c->session));
    c->last.n_past = phi_session_n_past(c->session);
    c->last.total_seconds = cli_seconds();
    c->last.stopped = a->stream.stop.found;
    return status ? cli_fail_with(status, &err) : CLI_OK;
}

/* Answer the last turn, whose message's ids are in place and whose answer is empty. */
static int answer(struct cli_conversation *c) {
    struct answer a = {.c = c};
    struct cli_options with = *c->o;
    phi_sampler *sampler = NULL;
    size_t past = phi_session_n_past(c->session);
    with.sampler.skip_space = c->skip_space;
    c->turn[c->n_turn - 1].hidden = 0;
    c->last = (struct cli_statistics){.n_ctx = c->n_ctx, .seed = c->seed, .load_seconds = cli_seconds()};
    int status = cli_sampler_open(&with, c->model, c->n_ctx, answer_seed(c), &sampler);
    for (size_t i = 0; !status && i < past; i++) phi_sampler_accept(sampler, c->ids[i]);
    if (!status) status = cli_stream_open(&a.stream, c->o, c->model, c->wraps);
    a.stream.skip_space = c->skip_space;
    a.stream.session = c->session;
    cli_events_begin(c->n_turn);
    if (!status) status = generate(c, &a, sampler, past);
    c->last.failed = status != CLI_OK;
    int told = cli_events_done(&c->last);
    if (!status) status = told;
    if (a.stream.stop.found) take_back_stop_text(c, a.stream.stop.n_dropped);
    cli_stream_close(&a.stream);
    phi_sampler_close(sampler);
    return status ? status : cli_output_status();
}

static int stop_at_signal(void *user, size_t done, size_t total) {
    (void)user, (void)done, (void)total;
    return cli_interrupted();
}

/* --prompt-cache, before the first answer: what the file has of system prompt and message. One token is left to compute. */
static void take_from_cache(struct cli_conversation *c) {
    size_t n = cli_saved_match(c->cache, c->ids, c->n_id - 1);
    if (n == 0 || phi_session_n_past(c->session) >= n) return;
    cli_saved_load(c->cache, n, stop_at_signal, NULL);
    cli_note("prompt cache: %zu of %zu tokens are there", n, c->n_id);
}

int cli_conversation_say(struct cli_conversation *c, const char *text, size_t n) {
    struct cli_turn turn = {.attempt = 0};
    size_t n_ids = 0;
    int status = make_room(c, text, n, &n_ids);
    if (status) {
        struct cli_statistics none = {.result.reason = PHI_STOP_CONTEXT, .failed = !c->ended};
        cli_events_begin(c->n_turn + 1);
        (void)cli_events_done(&none);
        return status;
    }
    turn.message.bytes = phi_alloc(n + 1, 1);
    if (!turn.message.bytes) return no_memory();
    if (n) memcpy(turn.message.bytes, text, n);
    turn.message.n = n;
    int64_t encoded = encode(c, c->n_turn == 0, text, n, c->ids + c->n_id, n_ids);
    if (encoded < 0) {
        cli_text_free(&turn.message);
        return (int)-encoded;
    }
    turn.begin = c->n_id;
    turn.answer = c->n_id += n_ids;
    c->turn[c->n_turn++] = turn;
    if (c->o->verbose_prompt) cli_show_tokens(c->model, c->ids + turn.begin, n_ids);
    bool caches = c->cache && turn.begin == 0;
    if (caches) take_from_cache(c);
    status = answer(c);
    if (!status && caches && !c->o->prompt_cache_all && phi_session_n_past(c->session) >= turn.answer)
        status = cli_saved_write(c->cache, c->ids, turn.answer, NULL, 0);
    if (status == CLI_CONTEXT) cli_conversation_undo(c, 1); /* a grammar's shortest answer does not fit */
    return status;
}

int cli_conversation_again(struct cli_conversation *c) {
    struct cli_turn *t = &c->turn[c->n_turn - 1];
    cut(c, t->answer - 1); /* the last id is computed again: its logits are not kept */
    c->n_id = t->answer;
    t->attempt++;
    return answer(c);
}

size_t cli_conversation_used(const struct cli_conversation *c) {
    return c->n_id < (size_t)c->n_ctx ? c->n_id : (size_t)c->n_ctx;
}

void cli_conversation_undo(struct cli_conversation *c, size_t n_turn) {
    size_t n = n_turn < c->n_turn ? n_turn : c->n_turn;
    if (n == 0) return;
    cut(c, c->turn[c->n_turn - n].begin);
    free_turns(c, c->n_turn - n, n);
    c->n_turn -= n;
}

int cli_conversation_set_system(struct cli_conversation *c, struct cli_text *system) {
    struct cli_text old = c->system;
    c->system = *system;
    int status = c->n_turn ? begin_at(c, 0) : CLI_OK;
    if (status) {
        c->system = old;
        if (status == CLI_CONTEXT)
            cli_fail(status,
                     "with this system prompt the conversation does not fit into %d tokens; /undo or /clear "
                     "makes room",
                     c->n_ctx);
        return status;
    }
    cli_text_free(&old);
    *system = (struct cli_text){NULL, 0};
    return CLI_OK;
}

int cli_conversation_answer(const struct cli_conversation *c, size_t turn, struct cli_text *out) {
    size_t first = c->turn[turn].answer, end = turn_end(c, turn), n = 0;
    *out = (struct cli_text){NULL, 0};
    for (size_t i = first, k; i < end; i++) {
        (void)phi_token_bytes(c->model, c->ids[i], false, &k);
        n += k;
    }
    out->bytes = phi_alloc(n + 1, 1);
    if (!out->bytes) return no_memory();
    for (size_t i = first, k; i < end; i++) {
        const char *bytes = phi_token_bytes(c->model, c->ids[i], false, &k);
        if (k) memcpy(out->bytes + out->n, bytes, k);
        out->n += k;
    }
    out->n -= c->turn[turn].hidden;
    if (c->skip_space && out->n > 0 && out->bytes[0] == ' ') memmove(out->bytes, out->bytes + 1, --out->n);
    return CLI_OK;
}
