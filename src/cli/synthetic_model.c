/* Makes a model of noise where no folder shows it: an anonymous file in memory where the system has such, else a
 * temporary file that is unlinked as soon as it is open. The file's content is made by synthetic.c. */
#include "synthetic_model.h"
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

/* An open file and the path that reaches it; *temporary: it is to be unlinked. */
static int create(char path[512], bool *temporary) {
    *temporary = false;
#if defined(__linux__) && defined(SYS_memfd_create)
    int fd = (int)syscall(SYS_memfd_create, "phi-synthetic", 1u); /* 1: closed on exec */
    if (fd >= 0) {
        snprintf(path, 512, "/proc/self/fd/%d", fd);
        if (access(path, R_OK) == 0) return fd;
        close(fd);
    }
#endif
    const char *folder = getenv("TMPDIR");
    int n = snprintf(path, 512, "%s/phi-synthetic-XXXXXX", folder && *folder ? folder : ".");
    *temporary = true;
    return n < 512 ? mkstemp(path) : -1;
}

static int make(const struct phi_synthetic *p, phi_model **model) {
    char path[512];
    phi_error err = {""};
    bool temporary;
    int fd = create(path, &temporary);
    if (fd < 0) return cli_fail(CLI_FAILED, "no place for a model of noise (%s): %s", path, strerror(errno));
    int status = phi_synthetic_write(p, write_bytes, &fd, &err);
    if (!status) status = phi_model_open(path, model, &err);
    if (temporary) unlink(path);
    close(fd);
    return status ? cli_fail_with(status, &err) : CLI_OK;
}

int cli_synthetic_open(const char *name, phi_model **model) {
    struct phi_synthetic p = {.seed = 1};
    phi_error err = {""};
    *model = NULL;
    int status = find(name, &p);
    if (status) return status;
    status = phi_synthetic_plan(&p, &err);
    if (status) {
        status = cli_fail_with(status, &err);
        goto out;
    }
    unsigned long long available = phi_memory_available();
    if (p.data_bytes > available) {
        status = cli_fail(CLI_MEMORY, "--synthetic %s: needs %llu MiB for the weights, %llu MiB available", name,
                          (unsigned long long)p.data_bytes >> 20, available >> 20);
        goto out;
    }
    if (p.data_bytes > 1u << 28) cli_note("making %llu MiB of noise", (unsigned long long)p.data_bytes >> 20);
    status = make(&p, model);
out:
    phi_synthetic_free(&p);
    return status;
}
