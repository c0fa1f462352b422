/* CPU features, asked once: CPUID takes tens of microseconds in a virtual machine. On x86 the CPU's word is not enough: the
 * operating system must save the wide registers (XGETBV). */
#include "cpu.h"

#include <stdatomic.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <stdint.h>

static uint64_t xgetbv(void) {
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static unsigned ask(void) {
    unsigned a, b, c, d, bits = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return 0; /* OSXSAVE */
    uint64_t saved = xgetbv();
    if ((saved & 6) != 6) return 0; /* XMM, YMM */
    int avx = c >> 28 & 1;
    if (avx && (c >> 12 & 1)) bits |= PHI_CPU_FMA;
    if (avx && (c >> 29 & 1)) bits |= PHI_CPU_F16C;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return bits;
    unsigned max_leaf = a;
    if (avx && (b >> 5 & 1)) bits |= PHI_CPU_AVX2;
    if ((saved & 0xe6) == 0xe6 && (b >> 16 & 1) && (b >> 17 & 1) && (b >> 30 & 1) && (b >> 31 & 1)) {
        bits |= PHI_CPU_AVX512;
        if (c >> 11 & 1) bits |= PHI_CPU_AVX512VNNI;
    }
    if (avx && max_leaf >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1)) bits |= PHI_CPU_AVXVNNI;
    return bits;
}

#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

static unsigned ask(void) {
    unsigned long hwcap = getauxval(16), hwcap2 = getauxval(26); /* AT_HWCAP, AT_HWCAP2 */
    unsigned bits = 0;
    if (hwcap >> 20 & 1) bits |= PHI_CPU_DOTPROD; /* HWCAP_ASIMDDP */
    if (hwcap2 >> 13 & 1) bits |= PHI_CPU_I8MM;   /* HWCAP2_I8MM */
    return bits;
}

#elif defined(__aarch64__) && defined(__APPLE__)
#include <stddef.h>
#include <sys/sysctl.h>

static int feature(const char *name) {
    int on = 0;
    size_t size = sizeof on;
    return sysctlbyname(name, &on, &size, NULL, 0) == 0 && on;
}

static unsigned ask(void) {
    unsigned bits = 0;
    if (feature("hw.optional.arm.FEAT_DotProd")) bits |= PHI_CPU_DOTPROD;
    if (feature("hw.optional.arm.FEAT_I8MM")) bits |= PHI_CPU_I8MM;
    return bits;
}

#else
static unsigned ask(void) {
    return 0;
}
#endif

unsigned phi_cpu_bits(void) {
    static atomic_uint known; /* the bits, and a mark above them */
    const unsigned asked = 1u << 31;
    unsigned bits = atomic_load_explicit(&known, memory_order_relaxed);
    if (!bits) {
        bits = ask() | asked;
        atomic_store_explicit(&known, bits, memory_order_relaxed);
    }
    return bits & ~asked;
}
