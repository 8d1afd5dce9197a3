"""One training step of networks of LIF cells, beside spyx, BrainPy, snnTorch and SpikingJelly in one run.

    python benchmarks/train_lif.py [--peer-python PATH] [--jax-peer-python PATH] [--steps 100 250] [--rounds 3]
    python benchmarks/train_lif.py --net recurrent     # or conv: the torch libraries only

All libraries get the same spikes, labels, weights and loss (`_task.py`), two threads each, in subprocesses
that take turns. Peers live in environments of their own: name their Pythons with `--peer-python` and
`--jax-peer-python` (or NEUROPIL_PEER_PYTHON, NEUROPIL_JAX_PEER_PYTHON); a peer that is not there is left out,
with the reason. To make them:

    python -m venv peers && peers/bin/pip install torch
    peers/bin/pip install snntorch numpy scipy tqdm matplotlib einops loguru requests h5py
    peers/bin/pip install --no-deps spikingjelly
    python -m venv jaxpeers && jaxpeers/bin/pip install jax==0.10.2 spyx==1.0.0 brainpy==2.8.2

Measured: the first call (with compilation) apart, then every step on the wall and in processor time; the peak
of the resident memory; matrix products of the step's shapes at the speed measured in the same process, as the
limit of a step that does nothing else. "by events": the first layer is `Dense(events=True)`; "no kernels":
within `neuropil.native.pure()`. A row marked "+ huge pages" runs under GLIBC_TUNABLES=glibc.malloc.hugetlb=1.
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

TORCH = ["snntorch", "spikingjelly"]
JAX = ["spyx", "brainpy"]
OURS = ["neuropil", "neuropil by events", "neuropil no kernels"]
HUGE = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


def network(given, net: str, events: bool):
    """The network of the task, made of parts."""
    import jax.numpy as jnp
    import numpy as np

    from neuropil.cells import LIF, ATan
    from neuropil.core import Chain, Network
    from neuropil.wiring import Conv, Dense

    wire = lambda w, events=False: Dense(jnp.asarray(w), jnp.zeros(len(w)), events)
    tau = -1 / np.log(t.BETA)
    cell = lambda shape: LIF(shape, tau=tau, drive="jump", surrogate=ATan(2.0))
    first, *_, last = given.weights
    if net == "layers":
        between = {"one": cell(t.HIDDEN), "between": wire(given.weights[1]), "two": cell(t.HIDDEN)}
        return Chain(in_=wire(first, events), **between, out=wire(last))
    if net == "recurrent":
        loop = Network({"a": cell(t.HIDDEN)}, {"a>a": wire(given.weights[1])})
        ends = {"enter": lambda x: {"a": x}, "loop": loop, "leave": lambda y: y["a"]}
        return Chain(in_=wire(first, events), **ends, out=wire(last))
    maps = Conv(jnp.asarray(first), jnp.zeros(len(first)), 2, "VALID")
    return Chain(in_=maps, one=cell((12, 15, 15)), flat=lambda x: x.reshape(-1), out=wire(last))


def product_speed(rows: int) -> float:
    """Operations a second of a matrix product of the first layer's shape, the best of five."""
    import time

    import jax
    import jax.numpy as jnp

    product = jax.jit(lambda a, b: a @ b)
    a, b = jnp.ones((rows, t.INPUTS)), jnp.ones((t.INPUTS, t.HIDDEN))
    times = []
    for _ in range(6):
        begin = time.perf_counter()
        product(a, b).block_until_ready()
        times.append(time.perf_counter() - begin)
    return 2 * rows * t.INPUTS * t.HIDDEN / min(times[1:])


def measure() -> None:
    """The worker for neuropil: a trainer over a batched chain, nothing written for the benchmark."""
    options = t.options(__doc__, OURS)
    c.pin()
    import contextlib

    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import jax.random as jr
    import optax

    from neuropil import native
    from neuropil.core import Batched, advance, run, start
    from neuropil.learn import Trainer

    given = t.task(options.steps, options.batch, options.net)
    net = network(given, options.net, options.worker.endswith("events"))
    batch = (jnp.asarray(given.x), jnp.asarray(given.y))
    del given  # the peers on torch share NumPy's memory; JAX has made a copy

    def loss(model, batch, key):
        x, y = batch
        system = Batched(model, options.batch)
        _, ys = run(system, start(system, 1.0, key), x)
        return optax.softmax_cross_entropy_with_integer_labels(ys.mean(0), y).mean()

    trainer = Trainer(net, loss, optax.adam(t.RATE))
    step = eqx.filter_jit(advance)
    now, losses = [start(trainer, 1.0, jr.key(0))], []

    def once():
        now[0], out = step(trainer, now[0], batch)
        losses.append(float(out["loss"]))

    plain = options.worker.endswith("no kernels")
    with native.pure() if plain else contextlib.nullcontext():
        found = c.clock_both(once, options.repeats)
    peak = c.peak()
    way = options.worker.removeprefix("neuropil").strip()
    name = f"neuropil{', ' + way if way else ''}, jax {jax.__version__}"
    speed = product_speed(options.steps * options.batch) if options.net == "layers" else None
    print(
        json.dumps({"library": name, **found, "losses": losses, "peak_gb": peak, "product": speed})
    )


def peer_python(given: str | None, option: str, variable: str) -> tuple[str | None, str]:
    """(Python of a peers' environment, or None and why not)."""
    path = given or os.environ.get(variable)
    if not path:
        return None, f"no environment named; give {option} or set {variable}"
    if not Path(path).exists():
        return None, f"{path} is not there"
    return path, ""


def jobs(options, steps: int) -> dict:
    """{row: a call that runs its subprocess}."""
    args = ["--steps", str(steps), "--batch", str(options.batch), "--repeats", str(options.repeats)]
    args += ["--net", options.net]
    torch = peer_python(options.peer_python, "--peer-python", "NEUROPIL_PEER_PYTHON")
    jax = peer_python(options.jax_peer_python, "--jax-peer-python", "NEUROPIL_JAX_PEER_PYTHON")

    def call(library, extra):
        if library in OURS:
            return c.worker(sys.executable, __file__, ["--worker", library, *args], extra)
        (python, why), script = (
            (torch, "_peer_torch.py") if library in TORCH else (jax, "_train_jax.py")
        )
        if python is None:
            return {"skipped": why}
        return c.worker(python, str(c.HERE / script), ["--worker", library, *args], extra)

    names = [*OURS, *(JAX if options.net == "layers" else []), *TORCH]
    if options.net == "conv":
        names.remove("neuropil by events")
    found = {name: (lambda name=name: call(name, None)) for name in names}
    if options.huge:
        found |= {f"{n} + huge pages": (lambda n=n: call(n, HUGE)) for n in names}
    return found


def limit(steps: int, batch: int, events: bool) -> float:
    """Operations of the matrix products of a step; the first layer's left out where it goes by events."""
    rows, hidden, out = steps * batch, t.HIDDEN, t.OUTPUTS
    first = 0 if events else 2 * t.INPUTS * hidden  # forward, weight; no gradient of the input
    return 2 * rows * (first + 3 * hidden * hidden + 3 * hidden * out)


def section(options, steps: int) -> tuple[str, bool]:
    """The table of one length of sequence, and whether neuropil and the peers agree in the loss."""
    found = c.rounds(jobs(options, steps), options.rounds)
    gather = lambda key: {n: [s for r in runs for s in r.get(key, [])] for n, runs in found.items()}
    times, cpu = gather("times"), gather("cpu")
    middle = statistics.median
    rows, begins = [], []
    for name, runs in found.items():
        if not times[name]:
            rows.append([name, f"left out: {runs[0]['skipped']}", *[""] * 6])
            continue
        base = "neuropil + huge pages" if name.endswith("pages") else "neuropil"
        losses, share = runs[0]["losses"], ""
        speeds = [r["product"] for r in runs if r.get("product")]
        if speeds:
            bound = limit(steps, options.batch, "events" in name) / max(speeds)
            share = f"{bound / middle(times[name]):.2f}"
        begins.append(losses[0])
        rows.append(
            [
                runs[0]["library"] + (" + huge pages" if name.endswith("pages") else ""),
                c.spread(times[name], 1e-3, 1),
                f"{middle(times[name]) / middle(times[base]):.2f}",
                f"{middle(cpu[name]) / 1e-3:.1f}",
                f"{middle(cpu[name]) / middle(cpu[base]):.2f}",
                share,
                f"{middle(r['first'] for r in runs):.2f}",
                f"{max(r['peak_gb'] for r in runs):.2f}",
                f"{losses[0]:.3f} to {losses[-1]:.3f} in {len(losses)}",
            ]
        )
    # snnTorch takes one threshold off where v lies above two of them; so a little is allowed
    agree = not begins or max(begins) - min(begins) < 0.02
    head = [
        "library",
        "ms a step",
        "times neuropil",
        "CPU ms",
        "times neuropil",
        "share of the products' limit",
    ]
    head += ["first call (s)", "peak GB", "loss"]
    text = (
        f"### {options.net}, {steps} steps\n\n{c.table(head, rows)}\n\n"
        f"The first losses {'agree' if agree else 'DO NOT AGREE'} (spread "
        f"{max(begins) - min(begins):.1e}; snnTorch sends no gradient through its reset and resets "
        "otherwise where v is above two thresholds, so its losses drift apart a little).\n"
    )
    return text, agree


SHAPES = {
    "layers": f"{t.INPUTS}-{t.HIDDEN}-{t.HIDDEN}-{t.OUTPUTS}, inputs at 3 %",
    "recurrent": f"{t.INPUTS}-{t.HIDDEN} recurrent-{t.OUTPUTS}, inputs at 3 %",
    "conv": "2 x 34 x 34 events at 2 %, 12 maps of 5 x 5 at stride 2, 10 outputs",
}


def drive(options) -> int:
    """All lengths, printed and stored."""
    parts = [section(options, steps) for steps in options.steps]
    load = os.getloadavg()[1]
    text = (
        f"## Training step of LIF cells: {SHAPES[options.net]}, batch {options.batch}, Adam\n\n"
        f"{c.MACHINE}, {c.THREADS} threads; median [min..max] over {options.rounds} interleaved "
        f"subprocesses of {options.repeats} steps each; the first call, with compilation, apart. "
        f"CPU ms: processor time of all threads. Mean load of the machine at the end: {load:.1f}.\n\n"
        + "\n".join(part for part, _ in parts)
    )
    print(text)
    if not options.dry:
        c.store("train_lif" if options.net == "layers" else f"train_lif_{options.net}", text)
    return 0 if all(agree for _, agree in parts) else 1


if __name__ == "__main__":
    if "--worker" in sys.argv:
        measure()
        sys.exit(0)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", default=None, help="Python with snntorch and spikingjelly")
    parser.add_argument("--jax-peer-python", default=None, help="Python with spyx and brainpy")
    parser.add_argument("--net", choices=t.NETS, default="layers")
    parser.add_argument("--steps", type=int, nargs="+", default=[100])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--huge", action="store_true", help="also with transparent huge pages")
    parser.add_argument("--dry", action="store_true", help="print only, leave RESULTS.md")
    sys.exit(drive(parser.parse_args()))
