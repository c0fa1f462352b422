/* What this CPU and its operating system can run. Knows no kernel. */
#ifndef PHI_CPU_H
#define PHI_CPU_H

enum {
    PHI_CPU_AVX2 = 1,
    PHI_CPU_FMA = 2,
    PHI_CPU_F16C = 4,
    PHI_CPU_AVXVNNI = 8,
    PHI_CPU_AVX512 = 16, /* F, BW, DQ, VL with their registers saved by the system */
    PHI_CPU_AVX512VNNI = 32,
    PHI_CPU_DOTPROD = 64,
    PHI_CPU_I8MM = 128
};

unsigned phi_cpu_bits(void);

#endif
