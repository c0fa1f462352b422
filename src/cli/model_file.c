/* Finding the model. The executable's own place is asked of the system, because argv[0] may be anything; where the
 * system names a dynamic linker instead (Termux starts programs through one), the file name handed to the kernel,
 * then argv[0]. */
#include "model_file.h"
#include "../memory.h"
#include "sandbox.h"
#include "tune.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/auxv.h>
#endif
#if defined(__APPLE__)
#include <mach-o/dyld.h>
#endif

static bool is_file(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

/* The real path of the program named by argv[0]: searched in PATH if it has no slash. */
static bool resolve(const char *name, char out[CLI_PATH_MAX]) {
    char found[CLI_PATH_MAX];
    snprintf(found, sizeof found, "%s", name);
    const char *dirs = strchr(name, '/') ? "" : getenv("PATH");
    for (const char *at = dirs ? dirs : ""; *at;) {
        int length = (int)strcspn(at, ":");
        int n = snprintf(found, sizeof found, "%.*s/%s", length, at, name);
        if (n > 0 && n < CLI_PATH_MAX && is_file(found) && access(found, X_OK) == 0) break;
        at += length;
        at += *at == ':';
    }
    char *real = realpath(found, NULL);
    int n = real ? snprintf(out, CLI_PATH_MAX, "%s", real) : -1;
    free(real);
    return n > 0 && n < CLI_PATH_MAX;
}

#if defined(__linux__)
static bool names_linker(const char *path) {
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    return strncmp(base, "linker", 6) == 0 || strncmp(base, "ld-", 3) == 0 || strncmp(base, "ld.so", 5) == 0;
}

static bool ask_system(char out[CLI_PATH_MAX]) {
    ssize_t n = readlink("/proc/self/exe", out, CLI_PATH_MAX - 1);
    if (n > 0 && n < CLI_PATH_MAX - 1) {
        out[n] = 0;
        if (!names_linker(out)) return true;
    }
    const char *name = (const char *)getauxval(AT_EXECFN);
    return name && *name && !names_linker(name) && resolve(name, out);
}
#elif defined(__APPLE__)
static bool ask_system(char out[CLI_PATH_MAX]) {
    char name[CLI_PATH_MAX];
    uint32_t size = sizeof name;
    return _NSGetExecutablePath(name, &size) == 0 && resolve(name, out);
}
#else
static bool ask_system(char out[CLI_PATH_MAX]) {
    (void)out;
    return false;
}
#endif

static bool find_demo(const char *program, char out[CLI_PATH_MAX]) {
    static const char *const places[] = {"models/demo.gguf", "../models/demo.gguf", "../share/phi/demo.gguf"};
    char self[CLI_PATH_MAX];
    if (!ask_system(self) && !resolve(program, self)) return false;
    char *slash = strrchr(self, '/');
    if (slash) *slash = 0;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        int n = snprintf(out, CLI_PATH_MAX, "%s/%s", slash ? self : ".", places[i]);
        if (n > 0 && n < CLI_PATH_MAX && is_file(out)) {
            char *real = realpath(out, NULL); /* without "../" in what people read */
            if (real && strlen(real) < CLI_PATH_MAX) memcpy(out, real, strlen(real) + 1);
            free(real);
            return true;
        }
    }
    return false;
}

int cli_model_choose(const struct cli_options *o, struct cli_model_file *out) {
    const char *env = getenv("PHI_MODEL"), *path = o->model;
    out->why = "";
    if (!path && env && *env) {
        path = env;
        out->why = " (from PHI_MODEL)";
    }
    if (path) {
        int n = snprintf(out->path, sizeof out->path, "%s", path);
        return n < CLI_PATH_MAX ? CLI_OK
                                : cli_fail(CLI_MODEL, "the model's path is longer than %d bytes", CLI_PATH_MAX - 1);
    }
    out->why = " (demo; -m or PHI_MODEL chooses another)";
    if (find_demo(o->program, out->path)) return CLI_OK;
    return cli_fail(CLI_MODEL, "no model: give -m FILE or set PHI_MODEL (the demo model is not beside the program)");
}

int cli_model_open(const struct cli_options *o, bool weights, struct cli_model_file *file, phi_model **model) {
    struct phi_model_info info;
    phi_error err = {""};
    int status = cli_model_choose(o, file);
    if (!status) status = cli_sandbox_enter(o, NULL, false); /* unless the command has, with a folder */
    if (status) return status;
    bool read = o->load_mode == CLI_LOAD_NONE || o->load_mode == CLI_LOAD_MLOCK;
    status = phi_model_load(file->path, read, model, &err);
    if (status) return cli_fail_with(status, &err);
    if ((o->load_mode == CLI_LOAD_MLOCK || o->load_mode == CLI_LOAD_MMAP_MLOCK) && phi_model_lock(*model, &err))
        cli_warn("%s", err.text);
    phi_model_get_info(*model, &info);
    if (o->check_tensors && (status = phi_model_verify(*model, &err))) {
        phi_model_close(*model);
        *model = NULL;
        return cli_fail_with(status, &err);
    }
    if (weights && !info.tensor_bytes) {
        phi_model_close(*model);
        *model = NULL;
        return cli_fail(CLI_MODEL, "%s: holds a vocabulary but no weights; it can only tokenize", file->path);
    }
    if (info.trailing_bytes)
        cli_note("%s: the last %llu bytes of the file belong to no tensor and are ignored", file->path,
                 (unsigned long long)info.trailing_bytes);
    if (info.warning[0] && weights) cli_warn("%s: %s", file->path, info.warning);
    return CLI_OK;
}

void cli_model_announce(const struct cli_model_file *file) {
    cli_note("model %s%s", file->path, file->why);
}

static unsigned long long available; /* before the session took its part */

/* What will be in memory when all weights have been read. They are pages of the file, which the system takes back when it
 * must: too many of them are slow, no failure. */
void cli_memory_announce(const phi_session *session) {
    struct phi_model_info m;
    struct phi_session_info s;
    phi_model_get_info(phi_session_model(session), &m);
    phi_session_get_info(session, &s);
    unsigned long long mib = 1 << 20, weights = m.tensor_bytes / mib, kv = s.kv_bytes / mib, scratch = s.scratch_bytes / mib;
    if (available == ULLONG_MAX) return;
    cli_note("memory: weights %llu + KV %llu + scratch %llu = %llu MiB; %llu MiB available", weights, kv, scratch,
             weights + kv + scratch, available / mib);
    if (m.tensor_bytes + s.kv_bytes + s.scratch_bytes > available)
        cli_warn("slow: the weights do not fit into memory beside the rest, their pages are read again and again");
}

int cli_session_open(const struct cli_options *o, const phi_model *model, int n_ctx, phi_session **session) {
    struct phi_session_options options = o->session;
    struct phi_model_info model_info;
    struct cli_tune tune;
    phi_error err = {""};
    phi_model_get_info(model, &model_info);
    if (n_ctx) options.n_ctx = n_ctx;
    if (options.n_threads < 0 && cli_tune_load(model_info.tensor_bytes, &tune)) {
        options.n_threads = tune.n_threads;
        if (options.n_threads_batch < 0) options.n_threads_batch = tune.n_threads_batch;
    }
    available = phi_memory_available();
    int status = phi_session_open(model, &options, session, &err);
    if (status) return cli_fail_with(status, &err);
    struct phi_session_info info;
    phi_session_get_info(*session, &info);
    if (info.n_threads < options.n_threads)
        cli_warn("--threads: %d lowered to %d, the number of cores (--force-threads keeps it)", options.n_threads,
                 info.n_threads);
    else if (info.n_threads_batch < options.n_threads_batch)
        cli_warn("--threads-batch: %d lowered to %d, the number of cores (--force-threads keeps it)",
                 options.n_threads_batch, info.n_threads_batch);
    return CLI_OK;
}
