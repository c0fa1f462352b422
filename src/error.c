/* Error sentences. */
#include "error.h"
#include "utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int phi_fail(phi_error *err, int status, const char *fmt, ...) {
    if (!err) return status;
    va_list args;
    va_start(args, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    return status;
}

const char *phi_quote(char buf[PHI_QUOTE_SIZE], const char *text, size_t n) {
    enum { KEEP = 64 };
    size_t keep = n < KEEP ? n : KEEP, out = 0;
    for (size_t i = 0; i < keep;) {
        int len = phi_utf8_length(text + i, n - i);
        unsigned char c = (unsigned char)text[i];
        int c1 = len == 2 && c == 0xc2 && (unsigned char)text[i + 1] < 0xa0; /* C1 control characters */
        if (len < 1 || c1 || c < 0x20 || c == 0x7f || c == '\\') {
            out += (size_t)snprintf(buf + out, PHI_QUOTE_SIZE - out, "\\x%02x", c);
            i++;
            continue;
        }
        memcpy(buf + out, text + i, (size_t)len);
        out += (size_t)len;
        i += (size_t)len;
    }
    memcpy(buf + out, keep < n ? "..." : "", keep < n ? 4 : 1);
    return buf;
}
