/* Makes a model of noise where no folder shows it: an anonymous file in memory where the system has such, else a
 * temporary file that is unlinked as soon as it is open. The file's content is made by synthetic.c. */
#include "synthetic_model.h"
#include "../io.h"
#include "../memory.h"
#include "../synthetic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#endif

static void list_names(const char *(*name)(size_t), char *out, size_t size) {
    size_t n = 0;
    for (size_t i = 0; name(i) && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", i ? " " : "", name(i));
}

/* Fill shape and mix of *p. */
static int find(const char *name, struct phi_synthetic *p) {
    char shape[64], names[512];
    const char *colon = strchr(name, ':');
    if (!colon) return cli_fail(CLI_USAGE, "--synthetic: '%s' is not SHAPE:TYPE, like phi-3-mini:q4_k_m", name);
    int n = (int)(colon - name);
    snprintf(shape, sizeof shape, "%.*s", n < 60 ? n : 60, name);
    if (!phi_synthetic_find_shape(p, shape)) {
        list_names(phi_synthetic_shape_name, names, sizeof names);
        return cli_fail(CLI_USAGE, "--synthetic: '%s' is not a shape (%s)", shape, names);
    }
    if (phi_synthetic_find_mix(p, colon + 1)) return CLI_OK;
    list_names(phi_synthetic_mix_name, names, sizeof names);
    return cli_fail(CLI_USAGE, "--synthetic: '%s' is not a type (%s)", colon + 1, names);
}

int cli_synthetic_check(const char *name) {
    struct phi_synthetic p = {.seed = 1};
    return find(name, &p);
}

static int write_bytes(void *user, const void *bytes, size_t n, phi_error *err) {
    if (cli_interrupted()) return phi_fail(err, PHI_FAILED, "interrupted while the model was made");
    if (cli_write_all(*(int *)user, bytes, n) == 0) return PHI_OK;
    return phi_fail(err, errno == ENOSPC || errno == ENOMEM ? PHI_MEMORY : PHI_FAILED,
                    "the model of noise cannot be written: %s", strerror(errno));
}

int cli_synthetic_create(struct cli_synthetic_file *f) {
    f->temporary = false;
#if defined(__linux__) && defined(SYS_memfd_create)
    f->fd = (int)syscall(SYS_memfd_create, "phi-synthetic", 1u); /* 1: closed on exec */
    if (f->fd >= 0) {
        snprintf(f->path, sizeof f->path, "/proc/self/fd/%d", f->fd);
        if (access(f->path, R_OK) == 0) return CLI_OK;
        phi_io_close(f->fd);
    }
#endif
    const char *folder = getenv("TMPDIR");
    int n = snprintf(f->path, sizeof f->path, "%s/phi-synthetic-XXXXXX", folder && *folder ? folder : ".");
    f->fd = n < (int)sizeof f->path ? mkstemp(f->path) : -1;
    f->temporary = f->fd >= 0;
    if (f->fd >= 0) return CLI_OK;
    return cli_fail(CLI_FAILED, "no place for a model of noise (%s): %s", f->path, strerror(errno));
}

static int make(const struct phi_synthetic *p, struct cli_synthetic_file *f, phi_model **model) {
    phi_error err = {""};
    int status = phi_synthetic_write(p, write_bytes, &f->fd, &err);
    if (!status) status = phi_model_open(f->path, model, &err);
    return status ? cli_fail_with(status, &err) : CLI_OK;
}

int cli_synthetic_open(struct cli_synthetic_file *f, const char *name, phi_model **model) {
    struct phi_synthetic p = {.seed = 1};
    phi_error err = {""};
    *model = NULL;
    int status = find(name, &p);
    if (status) return status;
    status = phi_synthetic_plan(&p, &err);
    unsigned long long available = phi_memory_available();
    if (status) {
        status = cli_fail_with(status, &err);
    } else if (p.data_bytes > available) {
        status = cli_fail(CLI_MEMORY, "--synthetic %s: needs %llu MiB for the weights, %llu MiB available", name,
                          (unsigned long long)p.data_bytes >> 20, available >> 20);
    } else {
        if (p.data_bytes > 1u << 28) cli_note("making %llu MiB of noise", (unsigned long long)p.data_bytes >> 20);
        status = make(&p, f, model);
    }
    phi_synthetic_free(&p);
    return status;
}

void cli_synthetic_close(struct cli_synthetic_file *f) {
    if (f->fd < 0) return;
    if (f->temporary) unlink(f->path);
    phi_io_close(f->fd);
}
