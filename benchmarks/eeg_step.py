"""One training step of EEGNet, Shallow and Deep ConvNet, beside braindecode in one run.

    python benchmarks/eeg_step.py [--peer-python PATH] [--batch 64] [--channels 22] [--times 1125] [--rounds 3]

The same layers and sizes (those for 250 Hz), dropout, batch norms that keep averages, Adam, and the published
limits on weights' norms; random data. Outputs of both libraries with the same weights are compared by
`tests/against/test_braindecode.py`. braindecode lives in an environment of its own, named by `--peer-python` or
NEUROPIL_BRAINDECODE_PYTHON: `pip install torch braindecode==1.8.1`. Measured: the first call apart, then every
step on the wall and in processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys

import _common as c

MODELS = ("eegnet", "shallow", "deep")
SIZES = {
    "eegnet": dict(taps=64, padding=(32, 32), drop=0.25),
    "shallow": dict(taps=25, width=75, stride=15, floor=1e-6),
    "deep": dict(taps=10, width=3, bias=False),
}


def measure() -> None:
    """The worker for neuropil."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker", choices=MODELS, required=True)
    parser.add_argument("sizes", nargs=4, type=int)
    options = parser.parse_args()
    c.pin()
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np

    from neuropil.core import advance, start
    from neuropil.fit.eegnets import NETWORKS, parameter_count
    from neuropil.fit.neural_decoder import network_loss, network_optimiser
    from neuropil.learn import Trainer

    channels, times, batch, repeats = options.sizes
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((batch, channels, times)).astype(np.float32))
    y = jnp.asarray(rng.integers(0, 4, batch))
    one = jnp.ones(batch)
    data = {"x": x, "y": y, "weight": one, "training": one}
    make = lambda key: NETWORKS[options.worker](
        channels, times, 4, key=key, **SIZES[options.worker]
    )
    net = eqx.filter_jit(make)(jax.random.key(0))
    trainer = Trainer(net, network_loss, network_optimiser(1e-3))
    step = eqx.filter_jit(lambda carry: advance(trainer, carry, data), donate="all")
    held = [c.apart(start(trainer, 1.0, jax.random.key(1)))]

    def once():
        held[0], out = step(held[0])
        float(out["loss"])

    found = c.clock_both(once, repeats)
    print(json.dumps(found | {"version": "this", "parameters": parameter_count(net)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", default=os.environ.get("NEUROPIL_BRAINDECODE_PYTHON"))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--channels", type=int, default=22)
    parser.add_argument("--times", type=int, default=1125)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    o = parser.parse_args()
    sizes = [str(n) for n in (o.channels, o.times, o.batch, o.repeats)]
    jobs = {}
    for m in o.models:
        jobs[f"{m}, neuropil"] = lambda m=m: c.worker(
            sys.executable, __file__, ["--worker", m, *sizes]
        )
        jobs[f"{m}, braindecode"] = lambda m=m: c.peer(
            o.peer_python, "_eeg_braindecode.py", [m, *sizes], "--peer-python"
        )
    found = c.rounds(jobs, o.rounds)
    rows = []
    for name, runs in found.items():
        good = [r for r in runs if "skipped" not in r]
        if not good:
            rows.append([name, runs[-1]["skipped"], "", "", ""])
            continue
        wall = [t for r in good for t in r["times"]]
        cpu = [t for r in good for t in r["cpu"]]
        first = statistics.median(r["first"] for r in good)
        rows.append([name, c.spread(wall, 1e-3, 0), c.spread(cpu, 1e-3, 0), f"{first:.1f}",
                     f"{good[0]['parameters']:,}"])  # fmt: skip
    head = [
        "network, library",
        "step, wall (ms)",
        "step, processor (ms)",
        "first call (s)",
        "parameters",
    ]
    text = (
        f"## Training step of networks of EEG: {o.channels} channels x {o.times} samples, batch {o.batch}\n\n"
        f"{c.MACHINE}; median [min..max] of {o.rounds} rounds in turn; `benchmarks/eeg_step.py`.\n\n"
        + c.table(head, rows)
    )
    c.store("eeg-step", text)
    print(text)


if __name__ == "__main__":
    measure() if "--worker" in sys.argv else main()
