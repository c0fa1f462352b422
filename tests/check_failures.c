/* Bad days, one at a time. The whole program runs in a child of this test, over a short scenario of each command,
 * again and again: the n-th allocation fails, for n = 1, 2, 3 ... until none fails any more; then the n-th opening,
 * reading, writing and so on. However it ends: a documented exit code, exactly one error line if it is not 0, the
 * right answer if it is 0, nothing left allocated, and the descriptors of files closed.
 *
 * PHI_TORTURE=all takes every n; without it those beyond the first ones are sampled, but for the allocations that a
 * session's reader makes, where "no memory" must not become "damaged". */
#define main phi_main
#include "../src/main.c"
#undef main

#include "../src/io.h"
#include "../src/memory.h"
#include "check.h"
#include "hf_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROOM = 1 << 16, MEMORY = PHI_IO_N };

static char dir[512], prompt_file[600], ids_file[600], grammar_file[600], out_file[600], base_file[600],
    tune_file[600], model_file[600], text_file[600], run_file[600], chat_file[600], question_file[600], write_file[600],
    schema_file[600], matrix_file[600], new_file[600];
static const char *const kind_names[] = {"open",  "read",  "write", "fsync",  "ftruncate", "rename",
                                         "mkdir", "close", "mmap",  "thread", "allocation"};

static const struct scenario {
    const char *name, *input, *arguments; /* words separated by spaces; @X is one of the files above */
    bool varies;                          /* stdout is another one every time */
} scenarios[] = {
    {"run", "", "-p Once -n 3 --temp 0 -t 2 --force-threads", false},
    {"run -f", "and stdin", "-f @p -n 2 --temp 0 --repeat-penalty 1.1 --top-p 0.9", false},
    {"run, random", "", "-m models/demo.gguf -p Once -n 2 -v", true},
    {"grammar", "", "-p Once -n 4 --temp 0 --grammar-file @g", false},
    {"schema", "", "-p Once -n 40 --temp 0 -jf @j", false},
    {"chat", "hello\n/read @p\nhow are you\n/undo\n/regen\n/system x\n/show\n",
     "chat -m models/demo.gguf -n 3 --temp 0", false},
    {"-st", "", "-st -m models/demo.gguf -p hello -sys short -n 3 --temp 0", false},
    {"info", "", "info --verify", false},
    {"tokenize", "", "tokenize -f @p --show-count", false},
    {"decode", "[1, 2, 299]", "tokenize --decode", false},
    {"logits", "", "logits --ids @@i -o @o --greedy 2 -t 1", false},
    {"eval", "", "eval -f @p -c 8 --kl-divergence-base @o", false},
    {"eval --task", "", "eval --task @q --json", false},
    {"eval, written", "", "eval -m models/demo.gguf --task @w", false},
    {"imatrix", "", "imatrix -f @p -c 8 -o @o --process-output", false},
    {"bench", "", "bench -p 4 -n 2 -r 1 -t 2 --force-threads --compare @b", true},
    {"bench, noise", "", "bench --synthetic tiny:q4_0 -p 2 -n 1 -r 1 -t 1", true},
    {"tune", "", "bench --tune", true},
    {"eval", "", "eval -f @t -c 16 --chunks 2", true},
    {"session", "", "-p more -n 2 --temp 0 --session @s", false},
    {"session, events", "", "-p Once -n 2 --temp 0 --session @s -r zz --json", true},
    {"save", "hello\n/save new\n", "chat -m models/demo.gguf -n 2 --temp 0", false},
    {"load", "/load kept\nhi\n", "chat -m models/demo.gguf -n 2 --temp 0", false},
    {"quantize", "", "quantize @m @n q4_0 2 --tensor-type ffn_up=q6_k", false},
    {"quantize, imatrix", "", "quantize @m @n q8_0 1 --imatrix @x", false},
    {"convert", "", "convert @h @n --outtype f16", false},
    {"chat, session", "hello\n", "chat -m models/demo.gguf -n 2 --temp 0 --session @c", false},
};

/* Session files are as after one of these before every run, and must be readable behind it. */
static const struct scenario first_run = {"first run", "", "-p Once -n 2 --temp 0 --session @s", false},
                             first_chat = {"first chat", "hi\n",
                                           "chat -m models/demo.gguf -n 2 --temp 0 --session @c", false},
                             later_run = {"later run", "", "-n 0 --session @s --session-strict", false},
                             later_chat = {"later chat", "", "chat -m models/demo.gguf --session @c --session-strict",
                                           false},
                             first_save = {"first save", "hello\n/save kept\n", "chat -m models/demo.gguf -n 2 --temp 0", false},
                             first_matrix = {"first matrix", "", "imatrix -f @p -c 8 -o @x", false};

/* What a child says of itself when it ends. */
static struct report {
    int fired, ended; /* the call that had to fail was made; exit() was reached */
    long live;        /* allocations */
    int n_open;       /* descriptors beyond 2 */
} * report;

static struct {
    int status;
    char out[ROOM], err[ROOM];
} result;

static int kind_now;
static unsigned long fail_at_count;

static void tell(void) {
    unsigned long n =
        kind_now == MEMORY ? (unsigned long)phi_memory_count() : phi_io_count((enum phi_io_call)kind_now);
    report->fired = fail_at_count && n >= fail_at_count;
    report->live = (long)phi_memory_live();
    for (int fd = 3; fd < 64; fd++) report->n_open += fcntl(fd, F_GETFD) >= 0;
    report->ended = 1;
}

static const char *file_of(char letter) {
    return letter == 'p'   ? prompt_file
           : letter == 'i' ? ids_file
           : letter == 'g' ? grammar_file
           : letter == 'o' ? out_file
           : letter == 't' ? text_file
           : letter == 's' ? run_file
           : letter == 'c' ? chat_file
           : letter == 'q' ? question_file
           : letter == 'w' ? write_file
           : letter == 'j' ? schema_file
           : letter == 'x' ? matrix_file
           : letter == 'm' ? model_file
           : letter == 'n' ? new_file
           : letter == 'h' ? hf_folder
                           : base_file;
}

/* "@x" -> the file's path, in out. */
static void put_files(const char *text, char *out, size_t size) {
    size_t n = 0;
    for (const char *at = text; *at && n + 1 < size; at++)
        if (*at == '@' && at[1] != '@')
            n += (size_t)snprintf(out + n, size - n, "%s", file_of(*++at));
        else
            out[n++] = *at;
    out[n] = 0;
}

static int temporary(const char *content) {
    char path[600];
    snprintf(path, sizeof path, "%s/stream", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    unlink(path);
    size_t n = strlen(content);
    if (fd < 0 || write(fd, content, n) != (ssize_t)n || lseek(fd, 0, SEEK_SET)) exit(1);
    return fd;
}

static void take(int fd, char text[ROOM]) {
    ssize_t n = pread(fd, text, ROOM - 1, 0);
    text[n > 0 ? n : 0] = 0;
    close(fd);
}

static void child(const struct scenario *s, int kind, unsigned long n, int cause, bool lasting) {
    static char words[4096];
    char *argv[64] = {"./phi"};
    int argc = 1;
    put_files(s->arguments, words, sizeof words);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " ")) argv[argc++] = word;
    for (int fd = 3; fd < 64; fd++) close(fd);
    kind_now = kind;
    if (kind == MEMORY) {
        fail_at_count = n ? (unsigned long)phi_memory_count() + n : 0;
        phi_memory_fail_at(n);
    } else {
        fail_at_count = n ? phi_io_count((enum phi_io_call)kind) + n : 0;
        phi_io_fail_at((enum phi_io_call)kind, n, cause, lasting);
    }
    atexit(tell);
    alarm(120);
    exit(phi_main(argc, argv));
}

/* The content of a session file, kept apart. */
struct kept {
    char bytes[1 << 20];
    size_t n;
};
static struct kept kept_run, kept_chat;

static void keep(const char *path, struct kept *k) {
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, k->bytes, sizeof k->bytes);
    CHECK(n > 0 && n < (ssize_t)sizeof k->bytes, "%s has %ld bytes", path, (long)n);
    k->n = n > 0 ? (size_t)n : 0;
    close(fd);
}

static void put_back(const char *path, const struct kept *k) {
    char bad[640];
    snprintf(bad, sizeof bad, "%s.bad", path);
    unlink(bad);
    if (!k->n) return;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0 && write(fd, k->bytes, k->n) == (ssize_t)k->n && close(fd) == 0, "%s", path);
}

static void run_scenario(const struct scenario *s, int kind, unsigned long n, int cause, bool lasting) {
    char input[1024];
    put_files(s->input, input, sizeof input);
    int in = temporary(input), out = temporary(""), err = temporary("");
    unlink(tune_file);
    memset(report, 0, sizeof *report);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(in, 0), dup2(out, 1), dup2(err, 2);
        child(s, kind, n, cause, lasting);
    }
    waitpid(pid, &result.status, 0);
    close(in);
    take(out, result.out);
    take(err, result.err);
}

static int error_lines(void) {
    int n = 0;
    for (const char *at = result.err; (at = strstr(at, "phi: error: ")); at++)
        n += at == result.err || at[-1] == '\n';
    return n;
}

/* May a failure of this kind end so? 0 may always: not everything matters. */
static bool may_end(int kind, int cause, int code) {
    switch (kind) {
    case MEMORY:
        return code == CLI_MEMORY;
    case PHI_IO_OPEN: /* a prompt, the model, what is written */
        return code == CLI_FAILED || code == CLI_MODEL || code == CLI_OUTPUT;
    case PHI_IO_READ: /* a session file, too */
        return code == CLI_FAILED || code == CLI_OUTPUT;
    case PHI_IO_MAP:
        return code == (cause == ENOMEM ? CLI_MEMORY : CLI_MODEL);
    case PHI_IO_THREAD:
        return code == (cause == EAGAIN ? CLI_MEMORY : CLI_FAILED);
    default:
        return code == CLI_OUTPUT || code == CLI_FAILED || (kind == PHI_IO_WRITE && code == CLI_MEMORY);
    }
}

/* What must be able to read the session file behind s; NULL: it has none. */
static const struct scenario *later_of(const struct scenario *s) {
    return strstr(s->arguments, "@s") ? &later_run : strstr(s->arguments, "@c") ? &later_chat : NULL;
}

/* What is left in the folder: no unfinished file, and a new model only where the command says that it made one. */
static void check_left(const struct scenario *s, const char *what, unsigned long n, int code) {
    DIR *d = opendir(dir);
    bool made = false;
    for (struct dirent *e; d && (e = readdir(d));) {
        CHECK(!strstr(e->d_name, ".part"), "%s, %s %lu: %s is left", s->name, what, n, e->d_name);
        made |= strcmp(e->d_name, "new.gguf") == 0;
    }
    CHECK(d && closedir(d) == 0, "%s", dir);
    bool wanted = strstr(s->arguments, "@n") && code == 0;
    CHECK(made == wanted, "%s, %s %lu: exit code %d, and the new model is %s", s->name, what, n, code, made ? "there" : "missing");
    if (!made) return;
    phi_model *m = NULL;
    phi_error err = {""};
    CHECK(phi_model_open(new_file, &m, &err) == 0 && phi_model_verify(m, &err) == 0, "%s, %s %lu: %s", s->name, what, n, err.text);
    phi_model_close(m);
    unlink(new_file);
}

/* True: the call was made, so there may be another one behind it. */
static bool fail_once(const struct scenario *s, int kind, unsigned long n, int cause, bool lasting,
                      const char *right) {
    put_back(run_file, &kept_run);
    put_back(chat_file, &kept_chat);
    run_scenario(s, kind, n, cause, lasting);
    int code = WIFEXITED(result.status) ? WEXITSTATUS(result.status) : -1;
    const char *what = kind_names[kind];
    CHECK(code >= 0 && report->ended, "%s, %s %lu (errno %d): killed by signal %d: %s", s->name, what, n, cause,
          WIFSIGNALED(result.status) ? WTERMSIG(result.status) : 0, result.err);
    check_left(s, what, n, code);
    if (!report->fired) return false;
    /* The first opening is that of the folder that the sandbox allows: then it allows none. */
    bool no_folder = kind == PHI_IO_OPEN && strstr(s->input, "/save") && code == CLI_USAGE;
    CHECK(code == 0 || no_folder || may_end(kind, cause, code), "%s, %s %lu (errno %d): exit code %d: %s", s->name, what, n, cause,
          code, result.err);
    const struct scenario *later = later_of(s);
    /* A disk that is full for stdout and for the session are two things. */
    int most = kind == PHI_IO_WRITE && lasting && (later || strstr(s->input, "/save")) ? 2 : 1, n_line = error_lines();
    CHECK(code ? n_line >= 1 && n_line <= most : n_line == 0, "%s, %s %lu (errno %d): exit code %d, but said '%s'",
          s->name, what, n, cause, code, result.err);
    CHECK(code || s->varies || strcmp(result.out, right) == 0, "%s, %s %lu (errno %d): another answer: '%s'", s->name,
          what, n, cause, result.out);
    CHECK(cause || code == 0, "%s, %s %lu by half: exit code %d: %s", s->name, what, n, code, result.err);
    CHECK(report->live == 0, "%s, %s %lu (errno %d): %ld allocations left", s->name, what, n, cause, report->live);
    CHECK(report->n_open == 0, "%s, %s %lu (errno %d): %d descriptors left", s->name, what, n, cause, report->n_open);
    if (!later || kind == PHI_IO_READ || kind == PHI_IO_CLOSE) return true;
    run_scenario(later, MEMORY, 0, 0, false);
    CHECK(WIFEXITED(result.status) && WEXITSTATUS(result.status) == 0,
          "%s, %s %lu (errno %d): the session is lost: %s", s->name, what, n, cause, result.err);
    return true;
}

static const struct {
    int kind, cause;
    bool lasting;
} days[] = {
    {MEMORY, ENOMEM, false},        {PHI_IO_OPEN, EMFILE, false},   {PHI_IO_OPEN, EACCES, true},
    {PHI_IO_READ, EIO, false},      {PHI_IO_READ, 0, true}, /* by half, always */
    {PHI_IO_READ, EINTR, false},    {PHI_IO_WRITE, ENOSPC, true},   {PHI_IO_WRITE, EIO, false},
    {PHI_IO_WRITE, 0, true},        {PHI_IO_WRITE, EINTR, false},   {PHI_IO_SYNC, EIO, false},
    {PHI_IO_TRUNCATE, EIO, false},  {PHI_IO_RENAME, EACCES, false}, {PHI_IO_MKDIR, EROFS, true},
    {PHI_IO_CLOSE, EIO, false},     {PHI_IO_MAP, ENOMEM, false},    {PHI_IO_MAP, ENODEV, false},
    {PHI_IO_THREAD, EAGAIN, false},
};

static void check_scenario(const struct scenario *s, bool all) {
    static char right[ROOM];
    put_back(run_file, &kept_run);
    put_back(chat_file, &kept_chat);
    run_scenario(s, MEMORY, 0, 0, false);
    CHECK(WIFEXITED(result.status) && WEXITSTATUS(result.status) == 0 && error_lines() == 0, "%s: %s", s->name,
          result.err);
    CHECK(report->live == 0 && report->n_open == 0, "%s: %ld allocations, %d descriptors left", s->name, report->live,
          report->n_open);
    check_left(s, "nothing", 0, 0);
    memcpy(right, result.out, sizeof right);
    bool unpacks = later_of(s) || strcmp(s->name, "load") == 0; /* a few allocations far behind the first ones */
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        unsigned long n = 1;
        while (n < 100000 && fail_once(s, days[i].kind, n, days[i].cause, days[i].lasting, right))
            n += all || n < 8 || (unpacks && days[i].kind == MEMORY) ? 1 : 1 + n / 4;
        CHECK(n < 100000, "%s: %s fails for ever", s->name, kind_names[days[i].kind]);
    }
}

static void put(const char *path, const char *content) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    size_t n = strlen(content);
    CHECK(fd >= 0 && write(fd, content, n) == (ssize_t)n && close(fd) == 0, "%s", path);
}

int main(int argc, char **argv) {
    char path[512];
    gguf_make_dir(argc, argv, path);
    if (!realpath(path, dir)) return 1;
    snprintf(prompt_file, sizeof prompt_file, "%s/prompt", dir);
    snprintf(ids_file, sizeof ids_file, "%s/ids", dir);
    snprintf(grammar_file, sizeof grammar_file, "%s/grammar", dir);
    snprintf(out_file, sizeof out_file, "%s/out", dir);
    snprintf(question_file, sizeof question_file, "%s/questions", dir);
    snprintf(write_file, sizeof write_file, "%s/writing", dir);
    snprintf(model_file, sizeof model_file, "%s/tiny.gguf", dir);
    snprintf(base_file, sizeof base_file, "%s/base.json", dir);
    snprintf(path, sizeof path, "%.480s/phi", dir);
    snprintf(tune_file, sizeof tune_file, "%.500s/tune", path);
    put(prompt_file, "Once upon a time\n");
    snprintf(text_file, sizeof text_file, "%s/text", dir);
    snprintf(run_file, sizeof run_file, "%s/run.phi", dir);
    snprintf(chat_file, sizeof chat_file, "%s/chat.phi", dir);
    put(text_file, "a long way to go, and no way back from there; a long way to go, and no way back\n");
    snprintf(schema_file, sizeof schema_file, "%s/schema", dir);
    snprintf(matrix_file, sizeof matrix_file, "%s/matrix", dir);
    snprintf(new_file, sizeof new_file, "%s/new.gguf", dir);
    snprintf(hf_folder, sizeof hf_folder, "%.240s/hf", dir);
    CHECK(mkdir(hf_folder, 0700) == 0, "%s", hf_folder);
    hf_put_config("\"tie_word_embeddings\": false");
    hf_put_shards(&phi_types[PHI_BF16]);
    put(schema_file, "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"integer\"}}, \"required\": [\"a\"]}\n");
    put(ids_file, "[1, 2, 3]\n");
    put(question_file, "{\"score\": \"text\"}\n{\"group\": \"g\"}\n"
                       "{\"question\": \"a\", \"choices\": [\"b\", \"c\"], \"answer\": 0, \"shot\": true}\n"
                       "{\"question\": \"b\", \"choices\": [\"a\", \"cc\"], \"answer\": 1}\n");
    put(write_file, "{\"score\": \"generate\", \"layout\": \"turns\", \"length\": 2}\n"
                    "{\"question\": \"a\", \"answer\": \"1\"}\n");
    put(grammar_file, "root ::= [a-z ]+ \"!\"\n");
    put(base_file,
        "[{\"n_prompt\": 4, \"n_gen\": 0, \"n_depth\": 0, \"avg_ts\": 100.0, \"samples_ts\": [99.0, 101.0]}]\n");
    setenv("XDG_CONFIG_HOME", dir, 1);
    setenv("XDG_STATE_HOME", dir, 1);
    struct tiny_phi3 tiny = tiny_phi3_default(); /* beside the demo model, which lasts longer but can chat */
    struct gguf_writer w = tiny_phi3_build(&tiny);
    gguf_save(&w, model_file);
    gguf_free(&w);
    setenv("PHI_MODEL", model_file, 1);
    report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    run_scenario(&first_run, MEMORY, 0, 0, false);
    keep(run_file, &kept_run);
    run_scenario(&first_chat, MEMORY, 0, 0, false);
    keep(chat_file, &kept_chat);
    run_scenario(&first_matrix, MEMORY, 0, 0, false);
    run_scenario(&first_save, MEMORY, 0, 0, false);
    const char *wanted = getenv("PHI_TORTURE");
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
        check_scenario(&scenarios[i], wanted && strcmp(wanted, "all") == 0);
    char sub[600];
    snprintf(sub, sizeof sub, "%s/sessions", path);
    gguf_remove_dir(sub);
    gguf_remove_dir(hf_folder);
    gguf_remove_dir(path);
    gguf_remove_dir(dir);
    return check_done("check_failures");
}
