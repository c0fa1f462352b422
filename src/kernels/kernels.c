/* The levels of this build, the choice among them, and the floating-point state that all of them rely on. */
#include "kernels.h"
#include "cpu.h"

#include <string.h>

/* Rows of isa.def for this architecture whose flags the compiler accepts; written by the Makefile. */
#define ISA(arch, name, bits, flags) extern const struct phi_kernels phi_kernels_##name;
#include "isa_built.def"
#undef ISA
/* The reference for any CPU of the architecture, and for those that run one of its levels: there fmaf is an instruction. */
extern const struct phi_kernels phi_reference_scalar, phi_reference_level;

static const struct level {
    const char *name;
    unsigned needs;
    const struct phi_kernels *kernels, *reference;
} levels[] = {
    {"scalar", 0, &phi_reference_scalar, &phi_reference_scalar},
#define ISA(arch, name, bits, flags) {#name, bits, &phi_kernels_##name, &phi_reference_level},
#include "isa_built.def"
#undef ISA
};
enum { N_LEVEL = sizeof levels / sizeof levels[0] };

static int runs(const struct level *l) {
    return (l->needs & ~phi_cpu_bits()) == 0;
}

const char *phi_kernels_level(int i) {
    for (int k = 0; k < N_LEVEL; k++)
        if (runs(&levels[k]) && i-- == 0) return levels[k].name;
    return NULL;
}

static int find(const char *name) {
    int found = -1;
    for (int k = 0; k < N_LEVEL; k++)
        if (runs(&levels[k]) && (!name || strcmp(name, levels[k].name) == 0)) found = k;
    return found;
}

int phi_kernels_has_matmul(const char *name, enum phi_type_index type) {
    for (int k = find(name); k > 0; k--)
        if (runs(&levels[k]) && levels[k].kernels->matmul[type]) return 1;
    return 0;
}

#define TAKE(slot)                                                                                                   \
    if (!out->slot) out->slot = from->slot

static void fill(struct phi_kernels *out, const struct phi_kernels *from) {
    for (int t = 0; t < PHI_N_TYPE; t++) TAKE(matmul[t]);
    for (int t = 0; t < PHI_N_CACHE; t++) {
        TAKE(scores[t]);
        TAKE(values[t]);
    }
    TAKE(quantize_q8_32);
    TAKE(quantize_q8_256);
    TAKE(rms_norm);
    TAKE(rope);
    TAKE(swiglu);
    TAKE(add);
    TAKE(f16_from_f32);
    TAKE(softmax);
    TAKE(fold);
    TAKE(peak);
    if (out->scratch_per_k < from->scratch_per_k) out->scratch_per_k = from->scratch_per_k;
}

int phi_kernels_select(const char *name, struct phi_kernels *out) {
    int at = find(name);
    if (at < 0) return -1;
    memset(out, 0, sizeof *out);
    out->name = levels[at].name;
    for (int k = at; k > 0; k--)
        if (runs(&levels[k])) fill(out, levels[k].kernels);
    fill(out, levels[at].reference);
    return 0;
}

/* Hosts built with -ffast-math run with denormals flushed to zero. */
#if defined(__x86_64__)
#include <xmmintrin.h>

unsigned long long phi_fp_enter(void) {
    unsigned old = _mm_getcsr();
    _mm_setcsr((old & ~0xe040u) | 0x1f80u); /* no FTZ, DAZ; nearest; exceptions masked */
    return old;
}

void phi_fp_restore(unsigned long long state) {
    _mm_setcsr((unsigned)state);
}

#elif defined(__aarch64__)
unsigned long long phi_fp_enter(void) {
    unsigned long long old, now;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    now = old & ~0x07c89f00ull; /* no AHP, DN, FZ, FZ16; nearest; traps off */
    __asm__ volatile("msr fpcr, %0" : : "r"(now));
    return old;
}

void phi_fp_restore(unsigned long long state) {
    __asm__ volatile("msr fpcr, %0" : : "r"(state));
}

#else
unsigned long long phi_fp_enter(void) {
    return 0;
}

void phi_fp_restore(unsigned long long state) {
    (void)state;
}
#endif
