/* Damage that a header does not show: weights that are not finite, found by phi_model_verify() in every format and by
 * the program's options, and a file that is cut short or written to while the program runs. */
#include "../include/phi.h"
#include "../src/memory.h"
#include "gguf_writer.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <utime.h>

static char dir[512], path[600], program[4096];

/* ---- phi_model_verify() ---- */

static const char *verify(struct gguf_writer *w, int *status) {
    static phi_error err;
    phi_model *m = NULL;
    err.text[0] = 0;
    gguf_save(w, path);
    *status = phi_model_open(path, &m, &err);
    CHECK(*status == 0, "%s", err.text);
    if (m) *status = phi_model_verify(m, &err);
    phi_model_close(m);
    return err.text;
}

static size_t data_of(const struct gguf_writer *w, const char *tensor) {
    return w->file.n - w->data.n + phi_little_endian(w->file.p + gguf_where(w, tensor, GGUF_AT_TYPE) + 4, 8);
}

/* Block number `block` of a tensor gets these bits at `at`; the tensor, row and column must be named. */
static void check_place(struct gguf_writer *w, const char *tensor, const char *type, int weights, int bytes, int at,
                        int n_bytes, uint32_t bits, int block, int columns) {
    char words[160];
    int status;
    size_t place = data_of(w, tensor) + (size_t)(block * bytes + at);
    uint64_t old = phi_little_endian(w->file.p + place, (size_t)n_bytes);
    snprintf(words, sizeof words, "tensor '%s' (%s) is not finite in row %d, column %d;", tensor, type,
             block * weights / columns, block * weights % columns);
    gguf_put(w, place, bits, (size_t)n_bytes);
    const char *text = verify(w, &status);
    CHECK(status == PHI_MODEL && strstr(text, words) && !strchr(text, '\n'), "status %d, \"%s\" lacks \"%s\"", status,
          text, words);
    gguf_put(w, place, old, (size_t)n_bytes);
}

static void check_verify(void) {
    static const uint16_t bad[] = {0x7c00, 0xfc00, 0x7e00, 0x7c01, 0xffff};
    enum { COLUMNS = 512 };
    for (size_t i = 0; i < sizeof tiny_phi3_formats / sizeof *tiny_phi3_formats; i++) {
        const struct tiny_phi3_format *f = &tiny_phi3_formats[i];
        const char *name = phi_type_find(f->id)->name, *tensor = "blk.1.ffn_down.weight";
        struct tiny_phi3 m = tiny_phi3_default();
        int status;
        m.n_embd = 256;
        m.n_ff = COLUMNS;
        m.type[0] = (struct tiny_phi3_type){"", f->id};
        struct gguf_writer w = tiny_phi3_build(&m);
        const char *text = verify(&w, &status);
        CHECK(status == 0, "%s: status %d, \"%s\"", name, status, text);
        for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
            uint32_t bits = f->id == 30 ? (k % 2 ? 0xff80 : 0x7fc0) : bad[k];
            int last = 256 * COLUMNS / f->weights - 1;
            check_place(&w, tensor, name, f->weights, f->bytes, f->scale, 2, bits, 0, COLUMNS);
            check_place(&w, tensor, name, f->weights, f->bytes, f->scale, 2, bits, last, COLUMNS);
            if (f->minimum >= 0) check_place(&w, tensor, name, f->weights, f->bytes, f->minimum, 2, bits, 7, COLUMNS);
        }
        check_place(&w, "output_norm.weight", "F32", 1, 4, 0, 4, 0x7f800000, 255, 256);
        check_place(&w, "blk.0.attn_norm.weight", "F32", 1, 4, 0, 4, 0xffc00001, 1, 256);
        gguf_free(&w);
    }
}

/* ---- The program ---- */

struct outcome {
    int status;
    char out[1 << 16], err[1 << 12];
};

static void read_all(const char *from, char *to, size_t size) {
    FILE *f = fopen(from, "rb");
    size_t n = f ? fread(to, 1, size - 1, f) : 0;
    to[n] = 0;
    if (f) fclose(f);
}

/* Starts ./phi with its output in files in dir. */
static pid_t start(const char *const *arguments) {
    char name[600];
    snprintf(name, sizeof name, "%s/out", dir);
    unlink(name); /* of the program before: see wait_for_output() */
    fflush(stdout);
    pid_t pid = fork();
    if (pid) return pid;
    if (chdir(dir) != 0) _exit(99);
    int in = open("/dev/null", O_RDONLY), out = open("out", O_WRONLY | O_CREAT | O_TRUNC, 0666),
        err = open("err", O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (in < 0 || out < 0 || err < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) _exit(99);
    execv(program, (char *const *)(uintptr_t)arguments);
    _exit(99);
}

static struct outcome *finish(pid_t pid) {
    static struct outcome o;
    char name[600];
    if (waitpid(pid, &o.status, 0) != pid) o.status = -1;
    snprintf(name, sizeof name, "%s/out", dir);
    read_all(name, o.out, sizeof o.out);
    snprintf(name, sizeof name, "%s/err", dir);
    read_all(name, o.err, sizeof o.err);
    return &o;
}

static bool exits(const struct outcome *o, int code) {
    return WIFEXITED(o->status) && WEXITSTATUS(o->status) == code;
}

static void check_options(void) {
    struct tiny_phi3 m = tiny_phi3_default();
    struct gguf_writer w = tiny_phi3_build(&m);
    gguf_save(&w, path);
    struct outcome *o = finish(start((const char *[]){"phi", "info", "--verify", "model.gguf", NULL}));
    CHECK(exits(o, 0) && strstr(o->out, "weights         = all finite\n") && !o->err[0], "status %x: %s",
          (unsigned)o->status, o->err);
    gguf_put(&w, data_of(&w, "blk.1.ffn_norm.weight") + 8, 0x7fc00000, 4);
    gguf_save(&w, path);
    gguf_free(&w);

    static const char line[] = "phi: error: model.gguf: tensor 'blk.1.ffn_norm.weight' (F32) is not finite in row 0, "
                               "column 2; download the file again\n";
    static const char *const refusing[][10] = {
        {"phi", "info", "--verify", "model.gguf"},
        {"phi", "info", "--check-tensors", "model.gguf"},
        {"phi", "-m", "model.gguf", "--check-tensors", "-p", "a", "-n", "3"},
        {"phi", "logits", "-m", "model.gguf", "--check-tensors", "--ids", "1,2", "-o", "-"},
    };
    for (size_t i = 0; i < sizeof refusing / sizeof refusing[0]; i++) {
        o = finish(start(refusing[i]));
        CHECK(exits(o, 3) && !o->out[0] && !strcmp(o->err, line), "case %d: status %x, \"%s\", \"%s\"", (int)i,
              (unsigned)o->status, o->out, o->err);
    }
    o = finish(start((const char *[]){"phi", "info", "model.gguf", NULL}));
    CHECK(exits(o, 0) && !strstr(o->out, "finite"), "info without --verify: status %x", (unsigned)o->status);

    static const char run_line[] =
        "since layer 1 (blk.1.*) at token 0 (id 1); the file may be damaged, 'phi info --verify' checks it\n";
    o = finish(start((const char *[]){"phi", "-q", "-m", "model.gguf", "-p", "a", "-n", "3", NULL}));
    CHECK(exits(o, 1) && !o->out[0] && strstr(o->err, run_line) &&
              strchr(o->err, '\n') == o->err + strlen(o->err) - 1,
          "run: status %x, \"%s\"", (unsigned)o->status, o->err);
    /* For comparisons every row is written as it is, and the exit code says that they are not numbers. */
    o = finish(
        start((const char *[]){"phi", "logits", "-q", "-m", "model.gguf", "--ids", "1,2,3", "-o", "rows", NULL}));
    char name[600];
    snprintf(name, sizeof name, "%s/rows", dir);
    FILE *f = fopen(name, "rb");
    long n = f && fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    if (f) fclose(f);
    CHECK(exits(o, 1) && n == 3 * 300 * 4 && strstr(o->err, run_line), "logits: status %x, %ld bytes, \"%s\"",
          (unsigned)o->status, n, o->err);
}

/* ---- Storage that goes away ---- */

static void wait_for_output(void) {
    char name[600], text[16];
    snprintf(name, sizeof name, "%s/out", dir);
    for (int i = 0; i < 3000; i++) {
        read_all(name, text, sizeof text);
        if (text[0]) return;
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
}

static void check_storage(const char *threads) {
    struct tiny_phi3 m = tiny_phi3_default();
    m.n_embd = 256;
    m.n_ff = 1024;
    m.n_layer = 4;
    m.n_ctx = 1 << 17; /* longer than any test waits */
    const char *const arguments[] = {
        "phi", "-q", "-m",    "model.gguf",      "-p", "a", "-n", "-2", "-c", "100000", "--temp",
        "5",   "-t", threads, "--force-threads", NULL};
    struct gguf_writer w = tiny_phi3_build(&m);
    gguf_save(&w, path);
    pid_t pid = start(arguments);
    wait_for_output();
    CHECK(truncate(path, 4096) == 0, "%s", path);
    struct outcome *o = finish(pid);
    CHECK(exits(o, 3), "%s threads: status %x", threads, (unsigned)o->status);
    CHECK(!strcmp(o->err, "phi: error: model.gguf: model file changed or storage removed while running\n"),
          "%s threads: \"%s\"", threads, o->err);

    gguf_save(&w, path); /* a signal that has nothing to do with the file */
    pid = start(arguments);
    wait_for_output();
    kill(pid, SIGBUS);
    o = finish(pid);
    CHECK(WIFSIGNALED(o->status) && WTERMSIG(o->status) == SIGBUS && !o->err[0],
          "SIGBUS from outside: status %x, \"%s\"", (unsigned)o->status, o->err);
    gguf_free(&w);
}

/* The file is written to, keeping its size, or replaced by another of the same name, while the program runs. */
static void check_rewrite(bool replaced) {
    static const char warning[] = "phi: warning: model.gguf changed while the program ran;";
    struct tiny_phi3 m = tiny_phi3_default();
    m.n_ctx = 1 << 17;
    struct gguf_writer w = tiny_phi3_build(&m);
    unlink(path);
    gguf_save(&w, path);
    pid_t pid = start(
        (const char *[]){"phi", "-m", "model.gguf", "-p", "a", "-n", "-2", "-c", "100000", "--temp", "5", NULL});
    wait_for_output();
    if (replaced) {
        unlink(path);
        gguf_save(&w, path);
    } else {
        int fd = open(path, O_WRONLY);
        CHECK(fd >= 0 && pwrite(fd, w.file.p, w.file.n, 0) == (ssize_t)w.file.n, "%s", path);
        close(fd);
    }
    CHECK(utime(path, &(struct utimbuf){1000, 1000}) == 0, "%s", path); /* stat() may count whole seconds */
    kill(pid, SIGTERM);
    struct outcome *o = finish(pid);
    CHECK(WIFSIGNALED(o->status) && WTERMSIG(o->status) == SIGTERM, "status %x", (unsigned)o->status);
    CHECK(!strstr(o->err, warning) == replaced, "replaced %d: \"%s\"", replaced, o->err);
    gguf_free(&w);
}

int main(int argc, char **argv) {
    gguf_make_dir(argc, argv, dir);
    snprintf(path, sizeof path, "%s/model.gguf", dir);
    check_verify();
    if (!realpath("phi", program)) {
        SKIP("no ./phi");
    } else {
        check_options();
        check_storage("1");
        check_storage("3");
        check_rewrite(false);
        check_rewrite(true);
    }
    CHECK(phi_memory_live() == 0, "%llu allocations are left", phi_memory_live());
    gguf_remove_dir(dir);
    return check_done("check_damage");
}
