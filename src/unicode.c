/* Classes of characters: a binary search in the generated runs. */
#include "unicode.h"

#include "utf8.h"

/*   31                11 10     3 2   0
 *  +--------------------------+-------+
 *  | first code point         | class |    ascending, so the run of a code point is the last that does not begin
 *  +--------------------------+-------+    behind it */
static const uint32_t runs[] = {
#include "unicode_runs.inc"
};

static size_t run_of(uint32_t code) {
    size_t low = 0, high = sizeof runs / sizeof *runs; /* runs[low] begins at or before code, runs[high] behind it */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (runs[middle] >> 3 <= code)
            low = middle;
        else
            high = middle;
    }
    return low;
}

enum phi_class phi_unicode_class(uint32_t code) {
    if (code < 0x80) { /* most of all text: no search */
        uint32_t folded = code | 0x20;
        if (folded >= 'a' && folded <= 'z') return code == folded ? PHI_CLASS_LOWER : PHI_CLASS_UPPER;
        if (code >= '0' && code <= '9') return PHI_CLASS_NUMBER;
        return code == ' ' || (code >= '\t' && code <= '\r') ? PHI_CLASS_SPACE : PHI_CLASS_OTHER;
    }
    return (enum phi_class)(runs[run_of(code)] & 7);
}

uint32_t phi_unicode_run_last(uint32_t code) {
    size_t next = run_of(code) + 1;
    return next < sizeof runs / sizeof *runs ? (runs[next] >> 3) - 1 : 0x10ffff;
}

size_t phi_unicode_next(const char *s, size_t n, uint32_t *code, enum phi_class *class_of_code) {
    const uint8_t *b = (const uint8_t *)s;
    int length = b[0] < 0x80 ? 1 : phi_utf8_length(s, n);
    if (length <= 0) {
        *code = UINT32_MAX;
        *class_of_code = PHI_CLASS_OTHER;
        return 1;
    }
    *code = length == 1 ? b[0] : b[0] & (0x7fu >> length);
    for (int i = 1; i < length; i++) *code = *code << 6 | (b[i] & 0x3fu);
    *class_of_code = phi_unicode_class(*code);
    return (size_t)length;
}
