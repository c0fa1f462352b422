/* The avx2 level. */
#include "kernels.h"

const struct phi_kernels phi_kernels_avx2 = {.name = "avx2"};
