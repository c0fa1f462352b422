/* A conversation as the bytes that a session file holds beside ids and rows, and back. They may come from anyone:
 * every offset is checked before the conversation is touched. Little-endian:
 *
 *     u32 seed | u32 n_turn | u32 n_system | system
 *     each turn: u64 begin | u64 answer | u64 hidden | u32 attempt | u32 n_message | message */
#include "saved_chat.h"
#include "sandbox.h"
#include "state.h"
#include "../io.h"
#include "../memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { HEAD = 12, TURN_HEAD = 32 };

static uint8_t *put(uint8_t *at, size_t n_bytes, uint64_t v) {
    for (size_t i = 0; i < n_bytes; i++) at[i] = (uint8_t)(v >> 8 * i);
    return at + n_bytes;
}

static uint8_t *put_text(uint8_t *at, const struct cli_text *t) {
    at = put(at, 4, t->n);
    if (t->n) memcpy(at, t->bytes, t->n);
    return at + t->n;
}

static int write_conversation(struct cli_saved *s, const struct cli_conversation *c) {
    size_t n = HEAD + c->system.n;
    for (size_t i = 0; i < c->n_turn; i++) n += TURN_HEAD + c->turn[i].message.n;
    uint8_t *extra = phi_alloc(n, 1), *at = extra;
    if (!extra) return cli_fail(CLI_MEMORY, "not enough memory to save the conversation");
    at = put(at, 4, c->seed);
    at = put(at, 4, c->n_turn);
    at = put_text(at, &c->system);
    for (size_t i = 0; i < c->n_turn; i++) {
        const struct cli_turn *t = &c->turn[i];
        at = put(at, 8, t->begin);
        at = put(at, 8, t->answer);
        at = put(at, 8, t->hidden);
        at = put(at, 4, t->attempt);
        at = put_text(at, &t->message);
    }
    int status = cli_saved_write(s, c->ids, c->n_id, extra, n);
    phi_free(extra);
    return status;
}

/* ---- Back ------------------------------------------------------------------------------------------------------ */

struct unpacked {
    uint32_t seed;
    struct cli_text system;
    struct cli_turn *turn;
    size_t n_turn;
};

static void free_unpacked(struct unpacked *u) {
    for (size_t i = 0; i < u->n_turn; i++) cli_text_free(&u->turn[i].message);
    phi_free(u->turn);
    cli_text_free(&u->system);
}

/* These return CLI_OK, CLI_FAILED (the bytes are none of ours) or CLI_MEMORY, and say nothing. */
static int get_text(struct phi_cursor *c, struct cli_text *out) {
    uint32_t n;
    const uint8_t *p;
    if (!phi_cursor_u32(c, &n) || !phi_cursor_take(c, n, &p)) return CLI_FAILED;
    out->bytes = phi_alloc((size_t)n + 1, 1);
    if (!out->bytes) return CLI_MEMORY;
    memcpy(out->bytes, p, n);
    out->n = n;
    return CLI_OK;
}

/* Bytes that the tokens put out. */
static size_t count_bytes(const phi_model *model, const int32_t *ids, size_t n) {
    size_t sum = 0, k;
    for (size_t i = 0; i < n; i++) (void)phi_token_bytes(model, ids[i], false, &k), sum += k;
    return sum;
}

static int get_turn(struct phi_cursor *c, struct cli_turn *t) {
    uint64_t begin, answer, hidden;
    uint32_t attempt;
    if (!phi_cursor_u64(c, &begin) || !phi_cursor_u64(c, &answer) || !phi_cursor_u64(c, &hidden) ||
        !phi_cursor_u32(c, &attempt))
        return CLI_FAILED;
    t->begin = (size_t)begin;
    t->answer = (size_t)answer;
    t->hidden = (size_t)hidden;
    t->attempt = attempt;
    return get_text(c, &t->message);
}

/* Are the turns one behind the other, from the first id to the last? */
static bool turns_are_sound(const struct unpacked *u, const struct phi_session_state *state, const phi_model *model) {
    size_t end = 0;
    for (size_t i = 0; i < u->n_turn; i++) {
        const struct cli_turn *t = &u->turn[i];
        if (t->begin != end || t->answer <= t->begin || t->answer > state->n_id) return false;
        end = i + 1 < u->n_turn ? t[1].begin : state->n_id;
        if (end < t->answer || end > state->n_id) return false;
        if (t->hidden > count_bytes(model, state->ids + t->answer, end - t->answer)) return false;
    }
    return end == state->n_id;
}

static int unpack(const struct phi_session_state *state, const phi_model *model, struct unpacked *u) {
    struct phi_cursor c = {state->extra, state->extra + state->n_extra};
    uint32_t n_turn;
    if (!phi_cursor_u32(&c, &u->seed) || !phi_cursor_u32(&c, &n_turn)) return CLI_FAILED;
    int status = get_text(&c, &u->system);
    if (status || n_turn > phi_cursor_left(&c) / TURN_HEAD) return status ? status : CLI_FAILED;
    u->turn = phi_alloc((size_t)n_turn + 1, sizeof *u->turn);
    if (!u->turn) return CLI_MEMORY;
    while (!status && u->n_turn < n_turn) status = get_turn(&c, &u->turn[u->n_turn++]);
    if (!status && (phi_cursor_left(&c) || !turns_are_sound(u, state, model))) return CLI_FAILED;
    return status;
}

static int on_progress(void *user, size_t done, size_t total) {
    (void)user, (void)done, (void)total;
    return cli_interrupted();
}

/* The conversation of an attached file in place of the one that there is. */
static int take_over(struct cli_saved *s, struct cli_conversation *c) {
    const struct phi_session_state *state = cli_saved_state(s);
    struct unpacked u = {0};
    int status = unpack(state, c->model, &u);
    if (status) {
        free_unpacked(&u);
        return status == CLI_MEMORY ? cli_fail(status, "not enough memory for the session in %s", s->path)
                                    : cli_fail(status, "%s: session ignored: it is damaged; move it away", s->path);
    }
    cli_conversation_undo(c, c->n_turn);
    cli_text_free(&c->system);
    phi_free(c->turn);
    c->system = u.system;
    c->turn = u.turn;
    c->n_turn = u.n_turn;
    c->room = u.n_turn + 1;
    if (c->o->seed < 0) c->seed = u.seed;
    c->n_id = state->n_id;
    memcpy(c->ids, state->ids, state->n_id * sizeof *c->ids);
    cli_saved_load(s, state->n_kv, on_progress, NULL);
    cli_note("%s: %zu turn%s resumed (%zu tokens)", s->path, c->n_turn, c->n_turn == 1 ? "" : "s", c->n_id);
    return CLI_OK;
}

/* ---- --session ------------------------------------------------------------------------------------------------- */

static bool is_session(const struct cli_chat *chat) {
    return chat->saved.file && chat->saved.kind == PHI_SESSION_CHAT;
}

int cli_chat_resume(struct cli_chat *chat) {
    struct cli_conversation *c = &chat->c;
    int status = cli_saved_attach(&chat->saved, c->session);
    if (status || !chat->saved.file) return status;
    if (!is_session(chat)) {
        c->cache = &chat->saved;
        return CLI_OK;
    }
    if (!cli_saved_state(&chat->saved)) return cli_saved_reserve(&chat->saved, 1);
    struct cli_text given = c->system;
    bool is_given = chat->o.system || chat->o.system_file;
    c->system = (struct cli_text){NULL, 0};
    status = take_over(&chat->saved, c);
    bool differs = given.n != c->system.n || (given.n && memcmp(given.bytes, c->system.bytes, given.n) != 0);
    if (!status && is_given && differs) {
        status = cli_conversation_set_system(c, &given);
        if (!status) cli_note("the system prompt is another one now");
    }
    cli_text_free(&given);
    return status;
}

int cli_chat_save(struct cli_chat *chat, int status) {
    if (status == CLI_FAILED || status == CLI_MEMORY) return status;
    if (chat->c.cache && chat->o.prompt_cache_all)
        return status ? status : cli_saved_write(chat->c.cache, chat->c.ids, chat->c.n_id, NULL, 0);
    if (!is_session(chat)) return status;
    int saved = write_conversation(&chat->saved, &chat->c);
    return saved ? saved : status;
}

/* ---- /save and /load ------------------------------------------------------------------------------------------- */

/* The path for a name, to be freed. CLI_OK, or the exit code with the error line printed. */
static int path_of(const char *name, char **path) {
    size_t n = strlen(name);
    char in_folder[256] = "sessions/";
    if (strchr(name, '/')) {
        *path = phi_alloc(n + 1, 1);
        if (*path) memcpy(*path, name, n);
    } else if (name[0] == '.' || n > 200) {
        return cli_fail(CLI_USAGE, "'%s' is no name for a session", name);
    } else {
        memcpy(in_folder + 9, name, n + 1);
        *path = cli_state_path(in_folder);
    }
    if (*path) return CLI_OK;
    if (errno == ENOMEM) return cli_fail(CLI_MEMORY, "not enough memory for a path");
    return cli_fail(CLI_USAGE, "there is no folder for sessions: neither XDG_STATE_HOME nor HOME is set");
}

/* Two descriptors of one file would end each other's lock. */
static bool is_same_file(const struct cli_chat *chat, const char *path) {
    struct stat ours, theirs;
    return chat->saved.path && fstat(chat->saved.fd, &ours) == 0 && stat(path, &theirs) == 0 &&
           ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

static bool is_model(const char *path) {
    char magic[4] = "";
    int fd = phi_io_open(path, O_RDONLY | O_NONBLOCK, 0);
    bool found = fd >= 0 && phi_io_pread_all(fd, magic, sizeof magic, 0) == 4 && memcmp(magic, "GGUF", 4) == 0;
    if (fd >= 0) phi_io_close(fd);
    return found;
}

int cli_slash_save(struct cli_chat *chat, const char *name) {
    struct cli_saved saved = {.fd = -1};
    if (!*name) return cli_fail(CLI_USAGE, "usage: /save NAME");
    char *path;
    int status = path_of(name, &path);
    if (status) return status;
    if (is_same_file(chat, path)) {
        cli_say("it is saved there after every answer");
        phi_free(path);
        return CLI_OK;
    }
    if (!strchr(name, '/')) cli_state_make_folders(path);
    status = cli_sandbox_check_write(path);
    if (!status) status = cli_saved_open_path(&saved, path, true);
    if (!status) status = cli_saved_attach(&saved, chat->c.session);
    if (!status) status = write_conversation(&saved, &chat->c);
    if (!status) cli_say("%zu turn%s saved to %s", chat->c.n_turn, chat->c.n_turn == 1 ? "" : "s", path);
    cli_saved_close(&saved);
    phi_free(path);
    return status;
}

int cli_slash_load(struct cli_chat *chat, const char *name) {
    struct cli_saved saved = {.fd = -1};
    if (!*name) return cli_fail(CLI_USAGE, "usage: /load NAME");
    char *path;
    int status = path_of(name, &path);
    if (status) return status;
    if (is_same_file(chat, path))
        status = cli_fail(CLI_USAGE, "%s: that is this conversation", path);
    else if (is_model(path))
        status = cli_fail(CLI_USAGE, "%s: is a model; start again with -m", path);
    if (!status) status = cli_saved_open_path(&saved, path, false);
    if (!status) status = cli_saved_attach(&saved, chat->c.session);
    if (!status && !cli_saved_state(&saved)) status = cli_fail(CLI_FAILED, "%s: holds no conversation yet", path);
    if (!status) status = take_over(&saved, &chat->c);
    cli_saved_close(&saved);
    phi_free(path);
    return status;
}
