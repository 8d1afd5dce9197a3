"""Tokeniser and pretraining step: channel-hours a second, and their share of what the machine can multiply.

    python benchmarks/tokenise.py [--rounds 3] [--repeats 3] [--batch 8]

64 channels at 200 Hz, patches of 0.5 s. Tokeniser: patches to 4 codes of 512 (`ResidualQuantiser`), the
search alone and a training step whose codebooks move. Pretraining: masked patches by a `SensorTransformer`
of width 512 and 6 layers (19 million parameters), windows of 4 s (512 tokens), gradients and Adam, float32.

FLOPs are those of the matrix products, backward pass included and nothing recomputed. Peak: a product of
two 2,048 x 2,048 matrices in float32 by the same library in the same process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys

import _common as c

CHANNELS, RATE, PATCH, SECONDS = 64, 200, 100, 4
CODES, STAGES = 512, 4
WIDTH, DEPTH, HEADS = 512, 6, 8


def peak() -> float:
    """FLOP a second of a large product: the best of ten."""
    import jax
    import jax.numpy as jnp

    n = 2048
    a = jnp.ones((n, n))
    product = jax.jit(lambda a: a @ a)
    times = c.clock(lambda: jax.block_until_ready(product(a)), 10)[1]
    return 2 * n**3 / min(times)


def quantiser(batch: int, repeats: int) -> dict:
    """Search, and a step of training, of `batch` windows."""
    import equinox as eqx
    import jax
    import jax.random as jr
    import optax

    from neuropil.blocks import ResidualQuantiser, moved_or_learned, silent

    tokens = batch * CHANNELS * SECONDS * RATE // PATCH
    x = jr.normal(jr.key(0), (tokens, PATCH))
    model = ResidualQuantiser.init(PATCH, CODES, STAGES, key=jr.key(1))
    encode = eqx.filter_jit(lambda m, x: m(x).codes)
    parts = {"learn": optax.adam(1e-3), "average": optax.sgd(1.0)}
    descent = optax.multi_transform(parts, moved_or_learned)

    @eqx.filter_jit(donate="all-except-first")
    def step(x, model, memory, key):
        def loss(m):
            said = m(x, key)
            return said.loss + silent(said.pull)

        value, slope = eqx.filter_value_and_grad(loss)(model)
        change, memory = descent.update(slope, memory, model)
        return eqx.apply_updates(model, change), memory, value

    search = c.clock_both(lambda: jax.block_until_ready(encode(model, x)), repeats)
    held = [c.apart(model), c.apart(descent.init(model))]

    def once():
        held[0], held[1], value = step(x, *held, jr.key(2))
        float(value)

    training = c.clock_both(once, repeats)
    product = 2 * tokens * CODES * PATCH * STAGES
    # a step finds the codes and sums what each got; the commitment's gradient is no product
    return {"search": search | {"flops": product}, "training": training | {"flops": 2 * product}}


def pretraining(batch: int, repeats: int) -> dict:
    """A step of masked pretraining."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import jax.random as jr
    import numpy as np
    import optax

    from neuropil.core import advance, start
    from neuropil.fit.sensortokens import Montage, SensorTransformer, pretraining_loss
    from neuropil.learn import Trainer

    places = np.random.default_rng(0).standard_normal((CHANNELS, 3))
    places *= 0.09 / np.linalg.norm(places, axis=1, keepdims=True)
    montage = Montage.of(places, ["eeg"] * CHANNELS)
    many = lambda a: jnp.broadcast_to(a, (batch, *a.shape))
    data = {
        "x": jr.normal(jr.key(0), (batch, CHANNELS, SECONDS * RATE)),
        "positions": many(montage.positions),
        "kinds": many(montage.kinds),
    }
    make = lambda key: SensorTransformer.init(PATCH, width=WIDTH, depth=DEPTH, heads=HEADS, key=key)
    model = eqx.filter_jit(make)(jr.key(1))
    trainer = Trainer(model, pretraining_loss, optax.adam(1e-4))
    step = eqx.filter_jit(lambda carry: advance(trainer, carry, data), donate="all")
    held = [c.apart(start(trainer, 1.0, jr.key(2)))]

    def once():
        held[0], out = step(held[0])
        float(out["loss"])

    found = c.clock_both(once, repeats)
    n = SECONDS * RATE // PATCH * CHANNELS
    layer = (
        12 * WIDTH**2 * n + 2 * n**2 * WIDTH
    )  # multiplications of one window: maps, then attention
    ends = n * WIDTH * (2 * PATCH + 26)
    flops = 3 * 2 * batch * (DEPTH * layer + ends)
    size = sum(a.size for a in jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array)))
    return found | {"flops": flops, "parameters": size}


def main() -> None:
    """Workers, then the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=8, help="windows of 4 s")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--worker", action="store_true")
    o = parser.parse_args()
    if o.worker:
        c.pin()
        out = quantiser(8 * o.batch, o.repeats) | {"pretraining": pretraining(o.batch, o.repeats)}
        print(json.dumps(out | {"peak": peak()}))
        return
    args = ["--worker", "--batch", str(o.batch), "--repeats", str(o.repeats)]
    runs = c.rounds({"neuropil": lambda: c.worker(sys.executable, __file__, args)}, o.rounds)[
        "neuropil"
    ]
    if "skipped" in runs[0]:
        raise SystemExit(runs[0]["skipped"])
    best = max(run["peak"] for run in runs)
    size = f"{runs[0]['pretraining']['parameters'] / 1e6:.1f} million parameters"
    titles = {
        "search": (f"patches to {STAGES} codes of {CODES}", 8 * o.batch),
        "training": ("training step of the codebooks", 8 * o.batch),
        "pretraining": (f"masked pretraining step, {size}", o.batch),
    }
    rows = []
    for name, (title, windows) in titles.items():
        times = [v for run in runs for v in run[name]["times"]]
        hours, rate = (
            windows * CHANNELS * SECONDS / 3600,
            runs[0][name]["flops"] / statistics.median(times),
        )
        rows.append([title, f"{hours:.2f}", c.spread(times, 1e-3, 0), f"{hours / statistics.median(times):.2f}",
                     f"{rate / 1e9:.0f}", f"{rate / best:.0%}",
                     f"{statistics.median(run[name]['first'] for run in runs):.1f}"])  # fmt: skip
    head = [
        "work",
        "channel-hours",
        "ms",
        "channel-hours a second",
        "GFLOP/s",
        "of the peak",
        "first call (s)",
    ]
    text = (
        f"## Tokeniser and pretraining: {CHANNELS} channels at {RATE} Hz, patches of {PATCH / RATE} s\n\n"
        f"{c.MACHINE}, {c.THREADS} threads, float32; median [min..max] of {o.rounds} rounds. Peak, a product "
        f"of 2,048 x 2,048 matrices: {best / 1e9:.0f} GFLOP/s. Load of the machine at the end: "
        f"{os.getloadavg()[0]:.1f}. The goal for a GPU (40 % of its peak in bfloat16) is unmeasured: no GPU "
        f"was at hand.\n\n{c.table(head, rows)}"
    )
    c.store("tokenise", text)
    print(text)


if __name__ == "__main__":
    main()
