/* The neon level. */
#include "kernels.h"

const struct phi_kernels phi_kernels_neon = {.name = "neon"};
