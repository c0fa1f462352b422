/* Core masks and ranges of the command line. What a thread team does with the cores that are left is cores.c's business. */
#include "pinning.h"

#include <stdio.h>
#include <string.h>

/* "0x3", "ff": the last digit's lowest bit is core 0. */
static bool parse_mask(const char *word, struct phi_core_mask *mask) {
    static const char digits[] = "0123456789abcdef";
    if (word[0] == '0' && (word[1] == 'x' || word[1] == 'X')) word += 2;
    size_t n = strlen(word);
    if (n == 0 || n > PHI_MAX_CORE / 4) return false;
    for (size_t i = 0; i < n; i++) {
        char c = word[n - 1 - i];
        const char *digit = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;
        if (!digit) return false;
        mask->bits[i / 2] |= (unsigned char)((digit - digits) << 4 * (i % 2));
    }
    return true;
}

/* "2-5", "3" */
static bool parse_range(const char *word, struct phi_core_mask *mask) {
    char first[16], last[16];
    int64_t a, b;
    size_t n = strcspn(word, "-");
    if (n >= sizeof first || strlen(word + n) >= sizeof last) return false;
    snprintf(first, sizeof first, "%.*s", (int)n, word);
    snprintf(last, sizeof last, "%s", word[n] ? word + n + 1 : first);
    if (!cli_parse_int(first, &a) || !cli_parse_int(last, &b) || a < 0 || b < a || b >= PHI_MAX_CORE) return false;
    for (int64_t i = a; i <= b; i++) mask->bits[i / 8] |= (unsigned char)(1 << i % 8);
    return true;
}

/* "0-3,6", cut where there is no more room */
static void describe(const struct phi_core_mask *mask, char *out, size_t size) {
    size_t at = 0;
    *out = 0;
    for (int i = 0; i < PHI_MAX_CORE; i++) {
        int last = i;
        if (!(mask->bits[i / 8] >> i % 8 & 1)) continue;
        while (last + 1 < PHI_MAX_CORE && mask->bits[(last + 1) / 8] >> (last + 1) % 8 & 1) last++;
        int n = last > i ? snprintf(out + at, size - at, "%s%d-%d", at ? "," : "", i, last)
                         : snprintf(out + at, size - at, "%s%d", at ? "," : "", i);
        if (n < 0 || (size_t)n >= size - at) return;
        at += (size_t)n;
        i = last;
    }
}

/* word is a mask, or else a range */
static int pin(bool mask, const char *word, const struct phi_core_mask *have) {
    struct phi_core_mask wanted = {{0}};
    const char *name = mask ? "--cpu-mask" : "--cpu-range";
    bool some = false;
    if (mask ? !parse_mask(word, &wanted) : !parse_range(word, &wanted))
        return cli_fail(CLI_USAGE, mask ? "%s: '%s' is not a hexadecimal mask of cores (0x3: cores 0 and 1)"
                                        : "%s: '%s' is not a range of cores (A-B, or A)",
                        name, word);
    for (size_t i = 0; i < sizeof have->bits; i++) {
        wanted.bits[i] &= have->bits[i];
        some |= wanted.bits[i] != 0;
    }
    if (some) {
        phi_cores_use(&wanted);
        return CLI_OK;
    }
    char list[256];
    describe(have, list, sizeof list);
    return cli_fail(CLI_USAGE, "%s: none of the cores of '%s' is available here; these are: %s", name, word,
                    *list ? list : "unknown on this system");
}

int cli_pin_next(const char **list, const struct phi_core_mask *have, char word[CLI_MASK_SIZE]) {
    size_t n = strcspn(*list, ",");
    snprintf(word, CLI_MASK_SIZE, "%.*s", n < CLI_MASK_SIZE ? (int)n : 0, *list); /* what is too long is none */
    *list += n + ((*list)[n] && (*list)[n + 1]); /* a comma at the end is an empty word */
    return pin(true, word, have);
}

int cli_pin(const struct cli_options *o) {
    struct phi_core_mask have = phi_cores_mask();
    const char *list = o->cpu_mask;
    char word[CLI_MASK_SIZE];
    if (!o->cpu_mask && !o->cpu_range) return CLI_OK;
    if (o->cpu_mask && o->cpu_range) return cli_fail(CLI_USAGE, "--cpu-mask and --cpu-range are given; use one of them");
    if (o->command != CLI_BENCH || !list || !strchr(list, ',')) return pin(o->cpu_mask, o->cpu_mask ? o->cpu_mask : o->cpu_range, &have);
    int status = CLI_OK;
    while (!status && *list) status = cli_pin_next(&list, &have, word);
    phi_cores_use(&have);
    return status;
}
