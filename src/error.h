/* One sentence that says what went wrong. Formats it; never prints it. */
#ifndef PHI_SRC_ERROR_H
#define PHI_SRC_ERROR_H

#include "../include/phi.h"

#if defined(__GNUC__)
#define PHI_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define PHI_PRINTF(fmt, args)
#endif

/* Fill *err (if not NULL) and return status, so that a caller can write: return phi_fail(err, PHI_MODEL, "...", ...); */
int phi_fail(phi_error *err, int status, const char *fmt, ...) PHI_PRINTF(3, 4);

/* Text from a file or a user for an error sentence: control bytes, bytes that are not UTF-8 and \ become \xNN, cut to 64 bytes
 * with "..." behind. Returns buf. Use PHI_QUOTE_SIZE. */
enum { PHI_QUOTE_SIZE = 320 };
const char *phi_quote(char buf[PHI_QUOTE_SIZE], const char *text, size_t n);

#endif
