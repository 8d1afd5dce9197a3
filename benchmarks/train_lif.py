"""One training step of two layers of LIF cells, beside snnTorch and SpikingJelly in one run.

    python benchmarks/train_lif.py [--peer-python PATH] [--steps 100 250] [--rounds 3]

All libraries get the same spikes, labels, weights and loss (`_task.py`), two threads each, in subprocesses
that take turns. Peers live in an environment of their own: name its Python with `--peer-python` or in
NEUROPIL_PEER_PYTHON; a peer that is not there is left out, with the reason. To make one:

    python -m venv peers && peers/bin/pip install torch
    peers/bin/pip install snntorch numpy scipy tqdm matplotlib einops loguru requests h5py
    peers/bin/pip install --no-deps spikingjelly

Measured: the first call (with compilation) apart, then every step; the peak of the resident memory. A row
marked "+ huge pages" runs under GLIBC_TUNABLES=glibc.malloc.hugetlb=1.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

import _common as c
import _task as t

PEERS = ["snntorch", "spikingjelly"]
HUGE = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


def measure() -> None:
    """The worker for neuropil: a trainer over a batched chain, nothing written for the benchmark."""
    options = t.options(__doc__, ["neuropil"])
    c.pin()
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import jax.random as jr
    import numpy as np
    import optax

    from neuropil.cells import LIF, ATan
    from neuropil.core import Batched, Chain, advance, run, start
    from neuropil.learn import Trainer
    from neuropil.wiring import Dense

    given = t.task(options.steps, options.batch)
    wire = lambda w: Dense(jnp.asarray(w), jnp.zeros(len(w)))
    cell = lambda: LIF(t.HIDDEN, tau=-1 / np.log(t.BETA), drive="jump", surrogate=ATan(2.0))
    w1, w2, w3 = given.weights
    net = Chain(in_=wire(w1), one=cell(), between=wire(w2), two=cell(), out=wire(w3))

    def loss(model, batch, key):
        x, y = batch
        system = Batched(model, options.batch)
        _, ys = run(system, start(system, 1.0, key), x)
        return optax.softmax_cross_entropy_with_integer_labels(ys.mean(0), y).mean()

    trainer = Trainer(net, loss, optax.adam(t.RATE))
    step = eqx.filter_jit(advance)
    batch = (jnp.asarray(given.x), jnp.asarray(given.y))
    now, losses = [start(trainer, 1.0, jr.key(0))], []

    def once():
        now[0], out = step(trainer, now[0], batch)
        losses.append(float(out["loss"]))

    first, times = c.clock(once, options.repeats)
    print(
        json.dumps(
            {
                "library": f"neuropil, jax {jax.__version__}",
                "first": first,
                "times": times,
                "losses": losses,
                "peak_gb": c.peak(),
            }
        )
    )


def peer_python(given: str | None) -> tuple[str | None, str]:
    """(Python of the peers' environment, or None and why not)."""
    path = given or os.environ.get("NEUROPIL_PEER_PYTHON")
    if not path:
        return None, "no environment named; give --peer-python or set NEUROPIL_PEER_PYTHON"
    if not Path(path).exists():
        return None, f"{path} is not there"
    return path, ""


def jobs(options, steps: int) -> dict:
    """{row: a call that runs its subprocess}."""
    args = ["--steps", str(steps), "--batch", str(options.batch), "--repeats", str(options.repeats)]
    here, peers = __file__, str(c.HERE / "_peer_torch.py")
    python, why = peer_python(options.peer_python)

    def call(library, extra):
        if library == "neuropil":
            return c.worker(sys.executable, here, ["--worker", library, *args], extra)
        if python is None:
            return {"skipped": why}
        return c.worker(python, peers, ["--worker", library, *args], extra)

    found = {name: (lambda name=name: call(name, None)) for name in ["neuropil", *PEERS]}
    if options.huge:
        huge = {f"{n} + huge pages": (lambda n=n: call(n, HUGE)) for n in ["neuropil", *PEERS]}
        found |= huge
    return found


def section(options, steps: int) -> tuple[str, bool]:
    """The table of one length of sequence, and whether neuropil and the peers agree in the loss."""
    found = c.rounds(jobs(options, steps), options.rounds)
    times = {n: [s for r in runs for s in r.get("times", [])] for n, runs in found.items()}
    base = {"": times["neuropil"], " + huge pages": times.get("neuropil + huge pages", [])}
    rows, begins = [], []
    for name, runs in found.items():
        if not times[name]:
            rows.append([name, f"left out: {runs[0]['skipped']}", "", "", "", ""])
            continue
        ours = base[" + huge pages" if name.endswith("pages") else ""]
        ratio = statistics.median(times[name]) / statistics.median(ours) if ours else float("nan")
        losses = runs[0]["losses"]
        begins.append(losses[0])
        label = runs[0]["library"] + (" + huge pages" if name.endswith("pages") else "")
        rows.append(
            [
                label,
                c.spread(times[name], 1e-3, 1),
                f"{ratio:.2f}",
                f"{statistics.median(r['first'] for r in runs):.2f}",
                f"{max(r['peak_gb'] for r in runs):.2f}",
                f"{losses[0]:.3f} to {losses[-1]:.3f} in {len(losses)}",
            ]
        )
    # snnTorch takes one threshold off where v lies above two of them; so a little is allowed
    agree = not begins or max(begins) - min(begins) < 0.02
    head = ["library", "ms a step", "times neuropil", "first call (s)", "peak GB", "loss"]
    text = (
        f"### {steps} steps\n\n{c.table(head, rows)}\n\n"
        f"The first losses {'agree' if agree else 'DO NOT AGREE'} (spread "
        f"{max(begins) - min(begins):.1e}; snnTorch sends no gradient through its reset and resets "
        "otherwise where v is above two thresholds, so its losses drift apart a little).\n"
    )
    return text, agree


def drive(options) -> int:
    """All lengths, printed and stored."""
    parts = [section(options, steps) for steps in options.steps]
    shape = f"{t.INPUTS}-{t.HIDDEN}-{t.HIDDEN}-{t.OUTPUTS}"
    text = (
        f"## Training step of two LIF layers, {shape}, batch {options.batch}, Adam\n\n"
        f"{c.MACHINE}, {c.THREADS} threads; median [min..max] over {options.rounds} interleaved "
        f"subprocesses of {options.repeats} steps each; the first call, with compilation, apart.\n\n"
        + "\n".join(part for part, _ in parts)
    )
    print(text)
    if not options.dry:
        c.store("train_lif", text)
    return 0 if all(agree for _, agree in parts) else 1


if __name__ == "__main__":
    if "--worker" in sys.argv:
        measure()
        sys.exit(0)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", default=None, help="Python with snntorch and spikingjelly")
    parser.add_argument("--steps", type=int, nargs="+", default=[100])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--huge", action="store_true", help="also with transparent huge pages")
    parser.add_argument("--dry", action="store_true", help="print only, leave RESULTS.md")
    sys.exit(drive(parser.parse_args()))
