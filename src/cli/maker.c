/* New model files: nothing half done stays behind, whatever ends the program. */
#include "maker.h"
#include "sandbox.h"
#include "../memory.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char unfinished[4096]; /* read by a signal handler; "": none */

static void remove_unfinished(void) {
    if (unfinished[0]) unlink(unfinished);
}

/* The folder of path, all links followed, which must be there. CLI_OK, or the exit code with the error line printed. */
static int find_folder(const char *path, char resolved[PATH_MAX]) {
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) + 1 : 1;
    char *folder = phi_alloc(n + 1, 1);
    if (!folder) return cli_fail(CLI_MEMORY, "not enough memory to create %s", path);
    memcpy(folder, slash ? path : ".", n);
    bool there = realpath(folder, resolved) != NULL;
    phi_free(folder);
    return there ? CLI_OK : cli_fail(CLI_OUTPUT, "%s: its folder does not exist", path);
}

int cli_maker_open(const struct cli_options *o, const char *in, const char *out, struct phi_new_file *f) {
    struct stat a, b;
    char folder[PATH_MAX];
    phi_error err = {""};
    if (stat(in, &a) == 0 && stat(out, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        return cli_fail(CLI_USAGE, "%s: the new file cannot take the place of the one that it is made of", out);
    int status = find_folder(out, folder);
    if (status) return status;
    status = phi_new_file_open(out, f, &err);
    if (status) return cli_fail_with(status, &err);
    snprintf(unfinished, sizeof unfinished, "%s", f->part);
    cli_signals_before_death(remove_unfinished);
    status = cli_sandbox_enter(o, folder, true);
    if (status) cli_maker_close(f, -status, &err);
    return status;
}

int cli_maker_close(struct phi_new_file *f, int status, phi_error *err) {
    cli_progress("");
    if (status)
        phi_new_file_discard(f);
    else
        status = phi_new_file_commit(f, err);
    unfinished[0] = 0;
    return status;
}

static int add(void *user, const void *bytes, size_t n, phi_error *err) {
    return phi_new_file_add(user, bytes, n, err);
}

static int show(void *user, const struct phi_encoding *c, uint64_t done) {
    (void)user;
    char line[200];
    snprintf(line, sizeof line, "%3.0f %%  %.*s, %s to %s", c->total ? 100.0 * (double)done / (double)c->total : 100.0,
             c->n_name < 64 ? (int)c->n_name : 63, c->name, c->from->name, c->to->name);
    cli_progress(line);
    return cli_interrupted();
}

struct phi_encode_calls cli_maker_calls(struct phi_new_file *f) {
    return (struct phi_encode_calls){add, show, f};
}
