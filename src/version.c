/* Which build this is. */
#include "../include/phi.h"

#ifndef PHI_COMMIT
#define PHI_COMMIT ""
#endif
#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "unknown compiler"
#endif

const char *phi_version(void) {
    return PHI_COMMIT[0] ? PHI_VERSION " (" PHI_COMMIT ", " COMPILER ")" : PHI_VERSION " (" COMPILER ")";
}
