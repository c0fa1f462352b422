/* Classes of characters, as the pre-tokenizers know them: Unicode 16.0, whatever the machine's locale. Knows no
 * patterns (pretokenizer.c). */
#ifndef PHI_SRC_UNICODE_H
#define PHI_SRC_UNICODE_H

#include <stddef.h>
#include <stdint.h>

enum phi_class {
    PHI_CLASS_UPPER,  /* Lu, Lt */
    PHI_CLASS_LOWER,  /* Ll */
    PHI_CLASS_LETTER, /* Lm, Lo: letters without case */
    PHI_CLASS_MARK,   /* M */
    PHI_CLASS_NUMBER, /* N, so also ½ and Ⅷ */
    PHI_CLASS_SPACE,  /* White_Space: the 25 code points of \s */
    PHI_CLASS_OTHER   /* punctuation, symbols, controls, what is not assigned */
};

/* code: at most 0x10FFFF */
enum phi_class phi_unicode_class(uint32_t code);

/* The last code point of the run around this one: all between have its class. */
uint32_t phi_unicode_run_last(uint32_t code);

/* The character that the n > 0 bytes at s begin with. Returns its length; a byte that begins no valid UTF-8 character
 * stands alone, of the class OTHER, with the code UINT32_MAX. */
size_t phi_unicode_next(const char *s, size_t n, uint32_t *code, enum phi_class *class_of_code);

#endif
