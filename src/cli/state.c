/* The place that the XDG rules give to a program's state. */
#include "state.h"
#include "../io.h"
#include "../memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *cli_state_path(const char *name) {
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    bool own = state && state[0] == '/';
    errno = ENOENT;
    if (!own && (!home || home[0] != '/')) return NULL;
    size_t room = strlen(own ? state : home) + strlen(name) + 32;
    char *path = phi_alloc(room, 1);
    if (path) snprintf(path, room, "%s%s/phi/%s", own ? state : home, own ? "" : "/.local/state", name);
    return path;
}

void cli_state_make_folders(char *path) {
    for (char *at = path + 1; (at = strchr(at, '/')); at++) {
        *at = 0;
        (void)phi_io_mkdir(path, 0700);
        *at = '/';
    }
}
