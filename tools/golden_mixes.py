"""Write tests/golden/mixes.txt: which format llama.cpp's quantizer gives each matrix, by its own answer.

    python3 tools/golden_mixes.py > tests/golden/mixes.txt        # pip install llama-cpp-python gguf

Models without data (sparse files) go through llama_model_quantize with dry_run; the log has the formats."""
import ctypes
import itertools
import os
import re
import tempfile

import gguf
import numpy as np
from llama_cpp import llama_cpp as C

FILE_TYPES = dict(f32=0, f16=1, q4_0=2, q4_1=3, q8_0=7, q5_0=8, q5_1=9, q2_k=10, q3_k_s=11, q3_k_m=12, q3_k_l=13,
                  q4_k_s=14, q4_k_m=15, q5_k_s=16, q5_k_m=17, q6_k=18, iq4_nl=25, iq4_xs=30, bf16=32)
# layers, width, feed-forward width, heads, key heads, tied, split; narrow: rows that no block of 256 fits
SHAPES = [(32, 512, 512, 32, 32, 0, 0), (40, 1280, 512, 40, 10, 0, 0), (32, 768, 512, 24, 8, 1, 0), (3, 512, 512, 4, 4, 0, 0),
          (30, 576, 1536, 9, 3, 0, 0), (4, 96, 160, 4, 2, 1, 0), (32, 512, 512, 32, 8, 0, 1)]
VOCAB = 512

log = []


@C.llama_log_callback
def on_log(level, text, user):
    log.append(text.decode("utf-8", "replace"))


def make(path, layers, embd, ff, heads, kv, tied, split):
    w = gguf.GGUFWriter(path, "phi3")
    for key, value in (("block_count", layers), ("context_length", 4096), ("embedding_length", embd), ("feed_forward_length", ff),
                       ("attention.head_count", heads), ("attention.head_count_kv", kv), ("rope.dimension_count", embd // heads)):
        w.add_uint32("phi3." + key, value)
    w.add_float32("phi3.attention.layer_norm_rms_epsilon", 1e-5)
    w.add_uint32("general.file_type", 1)
    total = 0

    def tensor(name, *shape):
        nonlocal total
        kind = np.dtype(np.float32 if len(shape) == 1 else np.float16)
        n = int(np.prod(shape)) * kind.itemsize
        w.add_tensor_info(name + ".weight", shape, kind, n)
        total += (n + 31) // 32 * 32

    k = embd // heads * kv
    tensor("token_embd", VOCAB, embd)
    for i in range(layers):
        b = f"blk.{i}."
        tensor(b + "attn_norm", embd)
        for part, rows in (("q", embd), ("k", k), ("v", k)) if split else (("qkv", embd + 2 * k),):
            tensor(b + "attn_" + part, rows, embd)
        tensor(b + "attn_output", embd, embd)
        tensor(b + "ffn_norm", embd)
        if split:
            tensor(b + "ffn_gate", ff, embd)
        tensor(b + "ffn_up", ff if split else 2 * ff, embd)
        tensor(b + "ffn_down", embd, ff)
    tensor("output_norm", embd)
    if not tied:
        tensor("output", VOCAB, embd)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_ti_data_to_file()
    w.close()
    os.truncate(path, (os.path.getsize(path) + 31) // 32 * 32 + total)


def formats(path, file_type, weighted):
    log.clear()
    p = C.llama_model_quantize_default_params()
    p.nthread, p.ftype, p.dry_run = 1, file_type, True
    keep = []
    if weighted:
        tensors = gguf.GGUFReader(path).tensors
        entries = (C.llama_model_imatrix_data * (len(tensors) + 1))()
        for entry, t in zip(entries, tensors):
            n = int(t.shape[0])
            keep.append((ctypes.c_float * n)(*([1.0] * n)))
            entry.name, entry.data, entry.size = t.name.encode(), keep[-1], n
        p.imatrix = entries
    assert C.llama_model_quantize(path.encode(), (path + ".out").encode(), ctypes.byref(p)) == 0, "".join(log)[-500:]
    found = {}
    for name, old, new in re.findall(r"\] (\S+)\.weight +- \[.*?type = +(\w+), size = +[\d.]+ MiB(?: -> +[\d.]+ MiB \((\w+)\))?", "".join(log)):
        layer = re.match(r"blk\.(\d+)\.", name)
        if "norm" not in name:
            found.setdefault(name[layer.end():] if layer else name, {})[int(layer[1]) if layer else 0] = (new or old).upper()
    return {part: [types[i] for i in range(len(types))] for part, types in found.items()}


C.llama_log_set(on_log, ctypes.c_void_p(0))
print("# tools/golden_mixes.py. model: layers, query heads per key head, tied, width, feed-forward width; then: mix, + with or")
print("# - without an importance matrix, = both, matrix, formats of the layers.")
with tempfile.TemporaryDirectory() as folder:
    for shape in SHAPES:
        layers, embd, ff, heads, kv, tied, split = shape
        path = os.path.join(folder, "model.gguf")
        make(path, *shape)
        print(f"model {layers} {heads // kv} {tied} {embd} {ff}")
        for name, file_type in FILE_TYPES.items():
            both = [formats(path, file_type, weighted) for weighted in (False, True)]
            for mark, answer in zip("-+", both):
                for part, types in answer.items():
                    if mark == "+" and both[0][part] == types:
                        continue  # said by the line with -
                    runs = " ".join(f"{t}*{len(list(g))}" for t, g in itertools.groupby(types))
                    print(f"{name} {mark if both[0][part] != both[1][part] else '='} {part} {runs}")
