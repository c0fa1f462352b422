/* The file in which the thread counts of --tune are kept, five lines:
 *
 *     cores 8
 *     threads 4
 *     threads_batch 8
 *     weights 2175438336
 *     cpu Cortex-X4
 *
 * They hold for the CPU, the number of cores and about the size of model that they were measured with, and for no
 * others: a model that fits into the caches has another best count than one that does not. */
#include "tune.h"
#include "bench.h"
#include "../cores.h"
#include "../io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_THREADS = 1024, MAX_FILE = 512 };

/* $XDG_CONFIG_HOME, else ~/.config, as the XDG rules say: a path that does not begin with a slash counts as absent.
 */
static bool place(char folder[2][1024], char path[1100]) {
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int n = -1;
    if (config && *config == '/')
        n = snprintf(folder[0], 1024, "%s", config);
    else if (home && *home == '/')
        n = snprintf(folder[0], 1024, "%s/.config", home);
    if (n < 0 || n >= 1000) return false;
    snprintf(folder[1], 1024, "%.1000s/phi", folder[0]);
    snprintf(path, 1100, "%s/tune", folder[1]);
    return true;
}

/* The lines of the file; false: one is missing or no number. */
static bool read_lines(const char *text, int *cores, struct cli_tune *t, char cpu[128]) {
    int n = 0;
    /* NOLINTNEXTLINE(cert-err34-c): a line that phi has written; any numbers are looked at below */
    bool good = sscanf(text, "cores %d threads %d threads_batch %d weights %llu cpu %n", cores, &t->n_threads,
                       &t->n_threads_batch, &t->weights, &n) == 4;
    good = good && n > 0 && strchr(text + n, '\n') && t->n_threads >= 1 && t->n_threads <= MAX_THREADS &&
           t->n_threads_batch >= 1 && t->n_threads_batch <= MAX_THREADS;
    if (good) snprintf(cpu, 128, "%.*s", (int)strcspn(text + n, "\n"), text + n);
    return good;
}

bool cli_tune_load(unsigned long long weights, struct cli_tune *out) {
    char folder[2][1024], path[1100], text[MAX_FILE], cpu[128], now[128];
    int cores = 0;
    /* An empty one: --tune was interrupted before it knew the counts. */
    if (!place(folder, path) || !phi_io_read_text(path, text, sizeof text) || !*text) return false;
    bool good = read_lines(text, &cores, out, cpu);
    if (!good) cli_warn("%s is damaged and ignored; bench --tune writes it again", path);
    bench_cpu_name(now);
    return good && cores == phi_cores_allowed() && strcmp(cpu, now) == 0 && weights / 4 <= out->weights &&
           out->weights / 4 <= weights;
}

int cli_tune_open(int *fd) {
    char folder[2][1024], path[1100];
    if (!place(folder, path))
        return cli_fail(CLI_OUTPUT, "no place to keep the thread counts: set XDG_CONFIG_HOME or HOME to a folder");
    for (int i = 0; i < 2; i++)
        if (phi_io_mkdir(folder[i], 0700) != 0 && errno != EEXIST)
            return cli_fail(CLI_OUTPUT, "cannot make the folder %s: %s", folder[i], strerror(errno));
    *fd = phi_io_open(path, O_RDWR | O_CREAT | O_NONBLOCK, 0666);
    return *fd < 0 ? cli_fail(CLI_OUTPUT, "cannot write %s: %s", path, strerror(errno)) : CLI_OK;
}

int cli_tune_store(const struct cli_tune *tune, int fd) {
    char folder[2][1024], path[1100], text[MAX_FILE], cpu[128];
    bench_cpu_name(cpu);
    size_t n = (size_t)snprintf(text, sizeof text, "cores %d\nthreads %d\nthreads_batch %d\nweights %llu\ncpu %s\n",
                                phi_cores_allowed(), tune->n_threads, tune->n_threads_batch, tune->weights, cpu);
    /* Emptied first: what is cut short is empty or ends without its last line, never a mixture of two. */
    bool good = phi_io_truncate(fd, 0) == 0 && phi_io_pwrite_all(fd, text, n, 0) == 0 && phi_io_sync(fd) == 0;
    int cause = errno;
    if (!place(folder, path)) path[0] = 0;
    if (!good) return cli_fail(CLI_OUTPUT, "write to %s failed: %s", path, strerror(cause));
    cli_note("kept in %s", path);
    return CLI_OK;
}
