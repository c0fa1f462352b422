"""Errors of our encoders and llama.cpp's on the same weights, a Markdown table.

    python3 tools/compare_quant.py MODEL.gguf [MODEL.gguf ..]        # pip install gguf numpy llama-cpp-python; needs cc

Every matrix of each model, at most 512 rows of it, in every format, plain and with an importance of its own for each column
(log-normal, the same for both). The error is sum(weight * (x - y)^2) / sum(weight * x^2); a ratio below 1 means that ours is
smaller. Our encoders are compiled from src/quant as they are; both results are decoded by the same decoder."""
import ctypes
import glob
import os
import subprocess
import sys
import tempfile

import gguf
import llama_cpp
import numpy as np

ROWS = 512
top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


class Type(ctypes.Structure):  # struct phi_type
    _fields_ = [("name", ctypes.c_char_p), ("index", ctypes.c_int), ("id", ctypes.c_uint32), ("block", ctypes.c_int),
                ("bytes", ctypes.c_int), ("act", ctypes.c_int), ("decode", ctypes.c_void_p)]


def build(folder):
    path = os.path.join(folder, "encode.so")
    subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-shared", "-fPIC", "-o", path,
                    os.path.join(top, "src/quant/rows.c"), os.path.join(top, "src/quant/quant.c")], check=True)
    return ctypes.CDLL(path)


def matrices(path):
    for t in gguf.GGUFReader(path).tensors:
        if len(t.shape) < 2:
            continue
        a = np.asarray(t.data[:ROWS])
        if t.tensor_type == gguf.GGMLQuantizationType.BF16:
            a = (a.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        yield t.name, np.ascontiguousarray(a.reshape(len(a), -1), dtype=np.float32)


def error(x, y, weight):
    x, y = x.astype(np.float64), y.astype(np.float64)
    return float((weight * (x - y) ** 2).sum() / (weight * x ** 2).sum())


def compare(ours, theirs, t, x, importance):
    rows, cols = x.shape
    n = cols // t.block * t.bytes
    weight = np.ones(cols, np.float32) if importance is None else importance
    a, b, y, z = np.zeros((rows, n), np.uint8), np.zeros((rows, n), np.uint8), np.zeros_like(x), np.zeros_like(x)
    at = lambda m, row: m.ctypes.data + row * m.strides[0]
    theirs.ggml_quantize_chunk(t.id, at(x, 0), at(a, 0), 0, rows, cols, None if importance is None else at(weight[None], 0))
    for i in range(rows):
        ours.phi_type_encode_row(ctypes.addressof(t), at(x, i), None if importance is None else at(weight[None], 0), at(b, i), cols)
        ours.phi_type_decode_row(ctypes.addressof(t), at(a, i), at(y, i), cols)
        ours.phi_type_decode_row(ctypes.addressof(t), at(b, i), at(z, i), cols)
    return error(x, y, weight), error(x, z, weight)


def main():
    with tempfile.TemporaryDirectory() as folder:
        ours = build(folder)
    types = [t for t in (Type * 15).in_dll(ours, "phi_types") if t.block > 1]
    ours.phi_type_encode_row.argtypes = [ctypes.c_void_p] * 4 + [ctypes.c_size_t]
    ours.phi_type_decode_row.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_size_t]
    theirs = ctypes.CDLL(glob.glob(os.path.join(os.path.dirname(llama_cpp.__file__), "lib", "libggml-base.so"))[0])
    theirs.ggml_quantize_chunk.argtypes = [ctypes.c_int] + [ctypes.c_void_p] * 2 + [ctypes.c_int64] * 3 + [ctypes.c_void_p]
    theirs.ggml_quantize_chunk.restype = ctypes.c_size_t
    print(f"llama-cpp-python {llama_cpp.__version__}. Mean error over the matrices, and the largest ratio of one matrix.\n")
    print("| model | format | llama.cpp | phi | largest ratio | weighted: llama.cpp | phi | largest ratio |\n|---|---|---|---|---|---|---|---|")
    worse = 0
    for path in sys.argv[1:]:
        all_matrices = list(matrices(path))
        for t in types:
            cells = []
            for weighted in (False, True):
                rng = np.random.default_rng(1)
                pairs = [compare(ours, theirs, t, x, np.exp(rng.standard_normal(x.shape[1])).astype(np.float32) if weighted else None)
                         for _, x in all_matrices if x.shape[1] % t.block == 0]
                a, b = np.array(pairs).T
                worse += int((b > a).sum())
                cells += [f"{a.mean():.4e}", f"{b.mean():.4e}", f"{(b / a).max():.4f}"]
            print(f"| {os.path.basename(path)} | {t.name.decode()} | " + " | ".join(cells) + " |", flush=True)
    print(f"\n{worse} matrices with a larger error than llama.cpp's.")


main()
