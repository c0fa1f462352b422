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
    if o["last_n"]:
        for i in set(history[-o["last_n"] :]):
            logits[i] = logits[i] / f32(o["penalty"]) if logits[i] > 0 else logits[i] * f32(o["penalty"])
    order = sorted(range(len(logits)), key=lambda i: (-logits[i], i))
    if o["temp"] == 0:
        return order[0]
    if o["top_k"]:
        order = order[: o["top_k"]]
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


def sum_in_order(values):
    total = 0.0
    for v in values:
        total += v
    return total


CASES = [  # steps: tokens to choose; distinct: how many different logits there are (few: many ties)
    dict(n_vocab=100, distinct=97, steps=40, temp=0.8, top_k=40, top_p=0.95, min_p=0.05, penalty=1, last_n=64, seed=1),
    dict(n_vocab=100, distinct=97, steps=40, temp=0.8, top_k=40, top_p=0.95, min_p=0.05, penalty=1, last_n=64, seed=4294967295),
    dict(n_vocab=1000, distinct=7, steps=30, temp=1.0, top_k=0, top_p=1, min_p=0, penalty=1, last_n=0, seed=0),
    dict(n_vocab=1000, distinct=20001, steps=30, temp=1.3, top_k=0, top_p=0.9, min_p=0, penalty=1.1, last_n=16, seed=42),
    dict(n_vocab=1000, distinct=20001, steps=30, temp=0.7, top_k=0, top_p=1, min_p=0.02, penalty=1, last_n=0, seed=43),
    dict(n_vocab=50, distinct=5, steps=60, temp=0.5, top_k=10, top_p=1, min_p=0, penalty=3.5, last_n=4, seed=7),
    dict(n_vocab=30, distinct=11, steps=60, temp=0, top_k=40, top_p=0.95, min_p=0.05, penalty=1.5, last_n=8, seed=7),
    dict(n_vocab=4096, distinct=20001, steps=10, temp=2.5, top_k=1000, top_p=0.99, min_p=0.001, penalty=0.8, last_n=64, seed=99),
]


def main():
    print("# made by tools/golden_sampler.py: n_vocab distinct steps temp top_k top_p min_p penalty last_n seed : tokens")
    for o in CASES:
        rng, state, history = Xoshiro(o["seed"]), o["seed"], []
        for _ in range(o["steps"]):
            logits = np.zeros(o["n_vocab"], f32)
            for i in range(o["n_vocab"]):
                state, r = splitmix64(state)
                logits[i] = f32(r % o["distinct"] - o["distinct"] // 2) / f32(max(o["distinct"] / 16, 1))
            history.append(sample(logits, o, rng, history))
        keys = "n_vocab distinct steps temp top_k top_p min_p penalty last_n seed".split()
        print(*[o[k] for k in keys], ":", *history)


main()
