"""Make tests/golden/quant: blocks of every weight format, and the values that another implementation decodes from them.

NAME.bin holds the blocks as they stand in a GGUF file, NAME.f32 their values as little-endian floats, decoded by the
Python package gguf (made with gguf 0.19.0). Run from the top of the checkout; it needs numpy and gguf:

    python tools/golden_quant.py
"""

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize

# Bytes at which a block keeps its half-precision numbers: random bits there could be infinite.
HALVES = {
    T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.IQ4_NL: [0],
    T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ4_XS: [0],
}
rng = np.random.default_rng(20240423)


def blocks(t):
    size, n_bytes = GGML_QUANT_SIZES[t]
    n = 16 if size == 32 else 6
    raw = rng.integers(0, 256, (n, n_bytes), dtype=np.uint8)
    raw[-2] = 0xFF  # all bits set
    raw[-1] = 0
    for at in HALVES[t]:
        d = (rng.standard_normal(n) * 0.02).astype(np.float16)
        d[0] = 3e-7  # denormal
        raw[:, at : at + 2] = d.view(np.uint8).reshape(n, 2)
    return raw


def plain(t):
    values = rng.standard_normal(250).astype(np.float32)
    values = np.concatenate([values, np.float32([0.0, -0.0, 1e-7, -6e-8, 65504, -np.inf])])
    bits = values.astype(np.float16).view(np.uint16) if t == T.F16 else (values.view(np.uint32) >> 16).astype(np.uint16)
    return bits.view(np.uint8)


for t in [*HALVES, T.F16, T.BF16]:
    raw = blocks(t) if t in HALVES else plain(t)
    name = "tests/golden/quant/" + t.name.lower()
    raw.tofile(name + ".bin")
    dequantize(raw.reshape(-1), t).astype("<f4").tofile(name + ".f32")
