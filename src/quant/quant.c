/* The table of weight formats, made from quant.def. */
#include "quant.h"

const struct phi_type phi_types[PHI_N_TYPE] = {
#define BLOCK(NAME, name, id, block, bytes, act) {#NAME, PHI_##NAME, id, block, bytes, act, name##_decode},
#define PLAIN(NAME, name, id, bytes) {#NAME, PHI_##NAME, id, 1, bytes, PHI_ACT_F32, name##_decode},
#include "quant.def"
};

const struct phi_type *phi_type_find(uint32_t id) {
    for (size_t i = 0; i < PHI_N_TYPE; i++)
        if (phi_types[i].id == id) return &phi_types[i];
    return NULL;
}
