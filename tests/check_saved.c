/* Session files of strangers: whole, with every checksum right, and with nonsense in the bytes that `phi run` and
 * `phi chat` put beside ids and rows. Each ends in the sentence about a damaged session, or goes on with what is
 * sound; none in a crash. The container around those bytes is check_session_file.c's. Runs ./phi with the demo model,
 * from the top of the checkout. */
#include "../include/phi.h"
#include "../src/session_file.h"
#include "check.h"
#include "gguf_writer.h"

#include <fcntl.h>
#include <sys/wait.h>

static char dir[512], path[600];
static phi_model *model;
static phi_session *session;
static int32_t ids[40];
static size_t n_id;

/* ---- Files ---- */

static void save(enum phi_session_kind kind, size_t n, const struct gguf_bytes *extra) {
    struct phi_session_file *f = NULL;
    phi_error err = {""};
    unlink(path);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    int status = phi_session_file_open(fd, path, kind, session, &f, &err);
    if (!status) status = phi_session_file_save(f, ids, n, extra->p, extra->n, &err);
    CHECK(fd >= 0 && status == 0, "%s", err.text);
    phi_session_file_close(f);
    close(fd);
}

/* ---- The program ---- */

static char said[1 << 14], answer[1 << 14];

static void take(const char *name, char *text, size_t size) {
    char file[700];
    snprintf(file, sizeof file, "%s/%s", dir, name);
    FILE *f = fopen(file, "rb");
    size_t n = f ? fread(text, 1, size - 1, f) : 0;
    text[n] = 0;
    if (f) fclose(f);
}

/* The exit code of ./phi ARGUMENTS --session PATH with this on stdin; 128 and more: killed. */
static int run(const char *arguments, const char *input) {
    char line[4000], in[700];
    const char *before = getenv("PHI_RUN");
    snprintf(in, sizeof in, "%s/in", dir);
    gguf_write_file(in, input, strlen(input));
    snprintf(line, sizeof line, "exec %s ./phi %s -m models/demo.gguf --session %s < %s > %s/out 2> %s/err",
             before ? before : "", arguments, path, in, dir, dir);
    int status = system(line);
    take("out", answer, sizeof answer);
    take("err", said, sizeof said);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void damaged(const char *what, const char *arguments) {
    int code = run(arguments, arguments[0] == 'c' ? "/tokens\n" : "");
    CHECK(code == 1 && strstr(said, ": session ignored: it is damaged; move it away\n") && !answer[0],
          "%s: exit code %d: %s", what, code, said);
}

/* ---- phi run ---- */

/* seed | stop id + 1 | tokens of the prompt u64 | bytes of the sampler | bytes held back | sampler | held */
static struct gguf_bytes run_state(uint32_t stop, uint64_t n_prompt, uint32_t n_sampler, uint32_t n_held,
                                   size_t rest) {
    struct gguf_bytes b = {0};
    gguf_number(&b, 7, 4);
    gguf_number(&b, stop, 4);
    gguf_number(&b, n_prompt, 8);
    gguf_number(&b, n_sampler, 4);
    gguf_number(&b, n_held, 4);
    while (rest--) gguf_number(&b, 'h', 1);
    return b;
}

static void check_run(void) {
    static const struct {
        const char *what;
        uint32_t stop;
        uint64_t n_prompt;
        uint32_t n_sampler, n_held;
        size_t rest;
    } cases[] = {
        {"more prompt than text", 0, 9, 0, 0, 0},
        {"a prompt of 2^64 - 1", 0, UINT64_MAX, 0, 0, 0},
        {"a sampler that is not there", 0, 1, 8, 0, 0},
        {"a sampler of 4 GiB", 0, 1, UINT32_MAX, 0, 3},
        {"a text that is not there", 0, 1, 0, 8, 0},
        {"sampler and text wrap", 0, 1, UINT32_MAX, 9, 8},
        {"bytes too many", 0, 1, 0, 0, 1},
        {"a stop token below the vocabulary", 0x80000000, 1, 0, 0, 0},
        {"a stop token above the vocabulary", 0x7fffffff, 1, 0, 0, 0},
        {"the first id above the vocabulary", 2049, 1, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gguf_bytes b =
            run_state(cases[i].stop, cases[i].n_prompt, cases[i].n_sampler, cases[i].n_held, cases[i].rest);
        save(PHI_SESSION_RUN, 3, &b);
        damaged(cases[i].what, "run -n 3");
        damaged(cases[i].what, "run -n 3 --ignore-eos");
        free(b.p);
    }
    struct gguf_bytes b = run_state(0, 1, 0, 0, 0);
    for (b.n = 0; b.n < 24; b.n++) {
        save(PHI_SESSION_RUN, 3, &b);
        damaged("cut", "run -n 3");
    }
    free(b.p);
    b = run_state(0, 0, 0, 0, 0);
    save(PHI_SESSION_RUN, 0, &b); /* nothing is a text, too */
    int code = run("run -n 3", "");
    CHECK(code == 1 || code == 2 || code == 0, "no tokens: exit code %d: %s", code, said);
    free(b.p);
    b = run_state(2048, 1, 0, 0, 0); /* the last id */
    save(PHI_SESSION_RUN, 3, &b);
    code = run("run -n 3", "");
    CHECK(code == 0 && !answer[0] && strstr(said, "stop reason = eos"), "exit code %d: %s", code, said);
    code = run("run -n 3 --ignore-eos", "");
    CHECK(code == 0 && answer[0], "exit code %d: %s", code, said);
    free(b.p);
    static const uint32_t sizes[] = {1, 31, 32, 60, 200, 5000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) /* a sampler's state of hs */
        for (int held = 0; held < 2; held++) {
            b = run_state(0, 1, sizes[i], held ? 300 : 0, sizes[i] + (held ? 300 : 0));
            save(PHI_SESSION_RUN, 3, &b);
            code = run("run -n 3 --repeat-penalty 1.2 -s 5", "");
            CHECK(code == 0 && strstr(said, "the sampler begins anew: "), "a sampler of %u: %d: %s", sizes[i], code,
                  said);
            CHECK(!held || strncmp(answer, "hhhhhhhhhhhhhhhhhhhh", 20) == 0, "what was held back: '%s'", answer);
            free(b.p);
        }
}

/* ---- phi chat ---- */

struct turn {
    uint64_t begin, answer, hidden;
    uint32_t n_message; /* that is said; 2 bytes follow */
};

/* seed | turns | bytes of the system prompt | system | each turn: begin | answer | hidden | attempt | bytes | message
 */
static struct gguf_bytes chat_state(uint32_t n_system, uint32_t n_turn, const struct turn *turn, size_t n) {
    struct gguf_bytes b = {0};
    gguf_number(&b, 7, 4);
    gguf_number(&b, n_turn, 4);
    gguf_number(&b, n_system, 4);
    gguf_append(&b, "s", 1);
    for (size_t i = 0; i < n; i++) {
        gguf_number(&b, turn[i].begin, 8);
        gguf_number(&b, turn[i].answer, 8);
        gguf_number(&b, turn[i].hidden, 8);
        gguf_number(&b, 0, 4);
        gguf_number(&b, turn[i].n_message, 4);
        gguf_append(&b, "hi", 2);
    }
    return b;
}

static void check_chat(void) {
    static const struct {
        const char *what;
        uint32_t n_system, n_turn;
        size_t n;
        struct turn turn[2];
    } cases[] = {
        {"a system prompt that is not there", 2, 0, 0, {{0}}},
        {"a system prompt of 4 GiB", UINT32_MAX, 0, 0, {{0}}},
        {"turns that are not there", 1, 1, 0, {{0}}},
        {"2^32 - 1 turns", 1, UINT32_MAX, 1, {{0, 5, 0, 2}}},
        {"one turn more than there is", 1, 2, 1, {{0, 5, 0, 2}}},
        {"one turn less", 1, 1, 2, {{0, 5, 0, 2}, {8, 9, 0, 2}}},
        {"ids without a turn", 1, 0, 0, {{0}}},
        {"ids before the first turn", 1, 1, 1, {{1, 5, 0, 2}}},
        {"an answer before its message", 1, 1, 1, {{0, 0, 0, 2}}},
        {"an answer behind the ids", 1, 1, 1, {{0, 41, 0, 2}}},
        {"an answer at 2^64 - 1", 1, 1, 1, {{0, UINT64_MAX, 0, 2}}},
        {"a second turn inside the first", 1, 2, 2, {{0, 5, 0, 2}, {4, 8, 0, 2}}},
        {"a second turn behind the ids", 1, 2, 2, {{0, 5, 0, 2}, {41, 42, 0, 2}}},
        {"a second turn at 2^64 - 1", 1, 2, 2, {{0, 5, 0, 2}, {UINT64_MAX, 8, 0, 2}}},
        {"more hidden than was said", 1, 1, 1, {{0, 40, 1, 2}}},
        {"2^64 - 1 bytes hidden", 1, 1, 1, {{0, 5, UINT64_MAX, 2}}},
        {"a message that is not there", 1, 1, 1, {{0, 5, 0, 3}}},
        {"a message of 4 GiB", 1, 1, 1, {{0, 5, 0, UINT32_MAX}}},
        {"bytes behind the message", 1, 1, 1, {{0, 5, 0, 1}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gguf_bytes b = chat_state(cases[i].n_system, cases[i].n_turn, cases[i].turn, cases[i].n);
        save(PHI_SESSION_CHAT, n_id, &b);
        damaged(cases[i].what, "chat");
        free(b.p);
    }
    const struct turn two[] = {{0, 5, 0, 2}, {8, 9, 0, 2}};
    struct gguf_bytes b = chat_state(1, 2, two, 2);
    size_t n = b.n;
    for (b.n = 0; b.n < n; b.n++) {
        save(PHI_SESSION_CHAT, n_id, &b);
        damaged("cut", "chat");
    }
    save(PHI_SESSION_CHAT, n_id, &b); /* and whole */
    int code = run("chat", "/show system\n/tokens\n/undo\n/tokens\n");
    CHECK(code == 0 && strstr(said, "2 turns resumed (40 tokens)") && strstr(said, "40 of 1024 tokens in 2 turns") &&
              strstr(said, "8 of 1024 tokens in 1 turn"),
          "exit code %d: %s", code, said);
    /* the same file by /load: what is damaged leaves the conversation as it is */
    static const char load[] = "/load %s\n/tokens\n";
    char input[2000], other[700];
    snprintf(other, sizeof other, "%s/other", dir);
    save(PHI_SESSION_CHAT, n_id, &b);
    CHECK(rename(path, other) == 0, "%s", other);
    snprintf(input, sizeof input, load, other);
    code = run("chat", input);
    CHECK(code == 0 && strstr(said, "2 turns resumed"), "exit code %d: %s", code, said);
    b.n--;
    save(PHI_SESSION_CHAT, n_id, &b);
    CHECK(rename(path, other) == 0, "%s", other);
    code = run("chat", input);
    CHECK(code == 1 && strstr(said, "it is damaged") && strstr(said, "0 of 1024 tokens"), "exit code %d: %s", code,
          said);
    snprintf(input, sizeof input, "/save %s\n/load %s\n", path, path);
    code = run("chat", input);
    CHECK(code == 2 && strstr(said, "it is saved there after every answer") &&
              strstr(said, "that is this conversation"),
          "exit code %d: %s", code, said);
    free(b.p);
}

int main(int argc, char **argv) {
    struct phi_session_options o = phi_session_options_default();
    phi_error err = {""};
    gguf_make_dir(argc, argv, dir);
    snprintf(path, sizeof path, "%s/session", dir);
    o.n_ctx = 64;
    CHECK(phi_model_open("models/demo.gguf", &model, &err) == 0 && phi_session_open(model, &o, &session, &err) == 0,
          "%s", err.text);
    for (n_id = 0; n_id < 40; n_id++) ids[n_id] = (int32_t)(300 + n_id);
    if (!session || access("./phi", X_OK) != 0) {
        SKIP("no demo model or no ./phi here");
    } else {
        CHECK(phi_session_eval(session, ids, 3, NULL, NULL, &err) == 0, "%s", err.text);
        check_run();
        CHECK(phi_session_eval(session, ids + 3, n_id - 3, NULL, NULL, &err) == 0, "%s", err.text);
        check_chat();
    }
    phi_session_close(session);
    phi_model_close(model);
    gguf_remove_dir(dir);
    return check_done("check_saved");
}
