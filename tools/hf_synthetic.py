"""Write a Hugging Face folder of a full-size Phi-3-mini with random weights, in shards, to measure `phi convert`.

    python3 tools/hf_synthetic.py DIR [LAYERS]        # pip install numpy; 7.6 GB with 32 layers"""
import json
import os
import struct
import sys

import numpy as np

H, F, V, HEADS, SHARD = 3072, 8192, 32064, 32, 4 << 30
folder = sys.argv[1]
layers = int(sys.argv[2]) if len(sys.argv) > 2 else 32
os.makedirs(folder, exist_ok=True)

shapes = {"model.embed_tokens.weight": [V, H]}
for i in range(layers):
    p = f"model.layers.{i}."
    shapes |= {p + "input_layernorm.weight": [H], p + "self_attn.qkv_proj.weight": [3 * H, H], p + "self_attn.o_proj.weight": [H, H],
               p + "post_attention_layernorm.weight": [H], p + "mlp.gate_up_proj.weight": [2 * F, H], p + "mlp.down_proj.weight": [H, F]}
shapes |= {"model.norm.weight": [H], "lm_head.weight": [V, H]}

shards, size = [[]], 0
for name, shape in shapes.items():
    n = 2 * int(np.prod(shape))
    if size + n > SHARD:
        shards.append([])
        size = 0
    shards[-1].append(name)
    size += n

rng = np.random.default_rng(1)
noise = (rng.standard_normal(1 << 22, dtype=np.float32) * 0.02).view(np.uint32) >> 16  # bfloat16, cut and used again and again
noise = noise.astype(np.uint16)
weight_map = {}
for i, names in enumerate(shards):
    file = f"model-{i + 1:05}-of-{len(shards):05}.safetensors"
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name in names:
        n = 2 * int(np.prod(shapes[name]))
        header[name] = {"dtype": "BF16", "shape": shapes[name], "data_offsets": [at, at + n]}
        weight_map[name] = file
        at += n
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(folder, file), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            left = int(np.prod(shapes[name]))
            if len(shapes[name]) == 1:
                f.write(np.full(left, 0x3f80, np.uint16).tobytes())  # 1.0
                continue
            while left:
                n = min(left, noise.size)
                f.write(noise[:n].tobytes())
                left -= n
with open(os.path.join(folder, "model.safetensors.index.json"), "w") as f:
    json.dump({"metadata": {}, "weight_map": weight_map}, f)
with open(os.path.join(folder, "config.json"), "w") as f:
    json.dump({"architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "hidden_size": H, "intermediate_size": F,
               "num_hidden_layers": layers, "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "vocab_size": V,
               "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "sliding_window": 2047,
               "bos_token_id": 1, "eos_token_id": 32000, "pad_token_id": 32000, "tie_word_embeddings": False}, f)
