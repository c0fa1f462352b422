"""Make tests/golden/sampler.txt: tokens that the sampler must choose, computed by a second implementation of src/sampler.c.

Written from the description at the top of that file: plain sorting, exp from math (the cases are checked not to hang on its
last bits). Run from the top of the checkout; it needs numpy:

    python tools/golden_sampler.py > tests/golden/sampler.txt
"""

import math

import numpy as np

MASK = 2**64 - 1
f32 = np.float32


def splitmix64(state):
    state = (state + 0x9E3779B97F4A7C15) & MASK
    z = state
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
    return state, z ^ z >> 31


class Xoshiro:
    def __init__(self, seed):
        self.s = []
        for _ in range(4):
            seed, v = splitmix64(seed)
            self.s.append(v)

    def uniform(self):
        def rotl(x, n):
            return (x << n | x >> (64 - n)) & MASK

        s = self.s
        result = rotl(s[1] * 5 & MASK, 7) * 9 & MASK
        t = s[1] << 17 & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotl(s[3], 45)
        return (result >> 11) / 2.0**53


def clear(a, b):
    """a < b, and not by a hair: the result must not depend on exp's last bit."""
    assert abs(a - b) > 1e-12 * max(abs(a), abs(b)) or a == b
    return a < b


def sample(logits, o, rng, history):
    logits = logits.copy()
    if o["bias"]:
        for i in range(len(logits)):
            if i % 7 == 3:
                logits[i] += f32(o["bias"])
            if i % 13 == 5:
                logits[i] = f32(-math.inf)
    if o["last_n"]:
        window = history[-o["last_n"] :]
        for i in set(window):
            logits[i] = logits[i] / f32(o["penalty"]) if logits[i] > 0 else logits[i] * f32(o["penalty"])
            logits[i] -= f32(window.count(i)) * f32(o["frequency"]) + f32(o["presence"])
    order = sorted((i for i in range(len(logits)) if logits[i] > -math.inf), key=lambda i: (-logits[i], i))
    if o["temp"] == 0:
        return order[0]
    if o["top_k"]:
        order = order[: o["top_k"]]
    if o["typical"] < 1:
        order = typical(logits, order, float(f32(o["typical"])))
    best = float(logits[order[0]])
    p = [math.exp(float(logits[i]) - best) for i in order]
    if o["top_p"] < 1:
        wanted, total, n = float(f32(o["top_p"])) * sum_in_order(p), 0.0, 0
        while n < len(p):
            total += p[n]
            n += 1
            if not clear(total, wanted):
                break
        order, p = order[:n], p[:n]
    order = [i for i, w in zip(order, p) if not clear(w, float(f32(o["min_p"])))]
    if len(order) == 1:
        return order[0]
    w = [math.exp((float(logits[i]) - best) / float(f32(o["temp"]))) for i in order]
    threshold, total = sum_in_order(w) * rng.uniform(), 0.0
    for i, v in zip(order, w):
        total += v
        if clear(threshold, total):
            return i
    raise AssertionError


def typical(logits, order, part):
    """Locally typical sampling by its definition, with entropy and logarithms."""
    best = float(logits[order[0]])
    w = [math.exp(float(logits[i]) - best) for i in order]
    total = sum_in_order(w)
    entropy = -sum(v / total * math.log(v / total) for v in w)
    distance = {i: abs(-math.log(v / total) - entropy) for i, v in zip(order, w)}
    weight = dict(zip(order, w))
    closest = sorted(order, key=lambda i: (round(distance[i], 9), -logits[i], i))
    for a, b in zip(closest, closest[1:]):  # rounding hides the last bits of equal logits, nothing else
        assert logits[a] == logits[b] or distance[b] - distance[a] > 1e-8
    kept, so_far = [], 0.0
    for i in closest:
        kept.append(i)
        so_far += weight[i]
        if clear(part * total, so_far):
            break
    return sorted(kept, key=lambda i: (-logits[i], i))


def sum_in_order(values):
    total = 0.0
    for v in values:
        total += v
    return total


OFF = dict(temp=1, top_k=0, typical=1, top_p=1, min_p=0, penalty=1, presence=0, frequency=0, last_n=0, bias=0)
DEFAULT = OFF | dict(temp=0.8, top_k=40, top_p=0.95, min_p=0.05, last_n=64)
CASES = [  # steps: tokens to choose; distinct: how many different logits there are (few: many ties)
    DEFAULT | dict(n_vocab=100, distinct=97, steps=40, seed=1),
    DEFAULT | dict(n_vocab=100, distinct=97, steps=40, seed=4294967295),
    OFF | dict(n_vocab=1000, distinct=7, steps=30, seed=0),
    OFF | dict(n_vocab=1000, distinct=20001, steps=30, temp=1.3, top_p=0.9, penalty=1.1, last_n=16, seed=42),
    OFF | dict(n_vocab=1000, distinct=20001, steps=30, temp=0.7, min_p=0.02, seed=43),
    OFF | dict(n_vocab=50, distinct=5, steps=60, temp=0.5, top_k=10, penalty=3.5, last_n=4, seed=7),
    DEFAULT | dict(n_vocab=30, distinct=11, steps=60, temp=0, penalty=1.5, last_n=8, seed=7),
    OFF | dict(n_vocab=4096, distinct=20001, steps=10, temp=2.5, top_k=1000, top_p=0.99, min_p=0.001, penalty=0.8, last_n=64, seed=99),
    OFF | dict(n_vocab=200, distinct=20001, steps=40, typical=0.3, seed=3),
    OFF | dict(n_vocab=300, distinct=9, steps=40, typical=0.8, temp=0.9, seed=4),
    DEFAULT | dict(n_vocab=500, distinct=997, steps=40, typical=0.5, penalty=1.2, presence=0.5, frequency=0.25, last_n=12, seed=5),
    OFF | dict(n_vocab=90, distinct=31, steps=60, temp=0, penalty=1, presence=1.5, frequency=-0.375, last_n=20, bias=2.25, seed=6),
    DEFAULT | dict(n_vocab=777, distinct=997, steps=40, penalty=1, presence=-0.5, frequency=0.75, last_n=9, bias=-1.5, seed=8),
]


def main():
    keys = "n_vocab distinct steps temp top_k typical top_p min_p penalty presence frequency last_n bias seed".split()
    print("# made by tools/golden_sampler.py:", *keys, ": tokens")
    for o in CASES:
        rng, state, history = Xoshiro(o["seed"]), o["seed"], []
        for _ in range(o["steps"]):
            logits = np.zeros(o["n_vocab"], f32)
            for i in range(o["n_vocab"]):
                state, r = splitmix64(state)
                logits[i] = f32(r % o["distinct"] - o["distinct"] // 2) / f32(max(o["distinct"] / 16, 1))
            history.append(sample(logits, o, rng, history))
        print(*[o[k] for k in keys], ":", *history)


main()
