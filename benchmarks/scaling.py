"""How cost grows: with cells and synapses of a simulation, with steps and batch of a training step.

    python benchmarks/scaling.py [--rounds 2]

Writes a table into RESULTS.md and `docs/figures/scaling.png`. The simulation is the E/I network of
`ei_network.py` (one population), the training step that of `train_lif.py` (dense and by events). Each point
is a subprocess of its own; beside it the least time that moving its bytes, or its matrix products, takes on
this machine (roofline), measured in the same subprocess.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys

import _common as c
import _ei as e
import _task as t
import ei_network
import train_lif

CELLS = (1000, 4000, 20_000, 50_000, 100_000)
SYNAPSES = (20, 80, 320, 1000)
STEPS = (25, 50, 100, 250, 500)
BATCH = (16, 32, 64, 128, 256)
KINDS = {
    "cells": (CELLS, "cells (80 synapses each)", "ms a biological second"),
    "synapses": (SYNAPSES, "synapses a cell (20,000 cells)", "ms a biological second"),
    "steps": (STEPS, "steps (batch 128)", "ms a training step"),
    "batch": (BATCH, "batch (100 steps)", "ms a training step"),
}


def simulate(cells: int, synapses: int) -> dict:
    """Wall ms of a biological second, and its roofline."""
    from neuropil.core import run

    # weights fall with the number of synapses, so that rates stay near those of 80
    scale = 80 / synapses
    e.SYNAPSES, e.W_E, e.W_I = synapses, e.W_E * scale, e.W_I * scale
    net, carry, count = ei_network.network(cells, 0, True)
    ms = 300.0 if cells * synapses <= 2_000_000 else 100.0
    spikes, tally = [], lambda _, y: sum(s.sum() for s in y.values())

    def once():
        _, counts = run(net, carry, n=round(ms / e.DT), record=tally)
        spikes.append(float(counts.sum()))

    _, times = c.clock(once, 3)
    ticks = round(1000 / e.DT)
    least = ei_network.roofline(cells, count, spikes[-1] / round(ms / e.DT) / cells)
    return {"times": [1e6 * s / ms for s in times], "limit": 1e3 * least * ticks}


def train(steps: int, batch: int, events: bool) -> dict:
    """Wall ms of a training step, and its matrix products alone."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import jax.random as jr
    import optax

    from neuropil.core import Batched, advance, run, start
    from neuropil.learn import Trainer

    given = t.task(steps, batch)
    net = train_lif.network(given, "layers", events)

    def loss(model, now, key):
        x, y = now
        system = Batched(model, batch)
        _, ys = run(system, start(system, 1.0, key), x)
        return optax.softmax_cross_entropy_with_integer_labels(ys.mean(0), y).mean()

    trainer = Trainer(net, loss, optax.adam(t.RATE))
    step = eqx.filter_jit(advance)
    data, now = (jnp.asarray(given.x), jnp.asarray(given.y)), [start(trainer, 1.0, jr.key(0))]

    def once():
        now[0], out = step(trainer, now[0], data)
        jax.block_until_ready(out)

    _, times = c.clock(once, 5)
    # forward, and backward twice but for the input of the first layer
    wide = t.INPUTS * t.HIDDEN * 2 + (t.HIDDEN * t.HIDDEN + t.HIDDEN * t.OUTPUTS) * 3
    limit = 2 * wide * steps * batch / train_lif.product_speed(steps * batch)
    return {"times": [1e3 * s for s in times], "limit": 1e3 * limit}


def measure(kind: str, size: int, events: bool) -> None:
    """The worker: one point."""
    c.pin()
    if kind == "cells":
        found = simulate(size, 80)
    elif kind == "synapses":
        found = simulate(20_000, size)
    else:
        found = train(size, 128, events) if kind == "steps" else train(100, size, events)
    print(json.dumps(found | {"peak_gb": c.peak()}))


def draw(points: dict) -> None:
    """Four panels on logarithmic axes: measured, by events where it is a training step, and the roofline."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7), layout="constrained")
    for axes, (kind, (sizes, xlabel, ylabel)) in zip(
        figure.subplots(2, 2).flat, KINDS.items(), strict=True
    ):
        middle = lambda name, k=kind, s=sizes: [points[k, n, name][0] for n in s]
        first = "by events" if kind in ("cells", "synapses") else "dense"
        axes.plot(sizes, middle("plain"), "o-", color="#0072b2", label=first)
        if kind in ("steps", "batch"):
            axes.plot(sizes, middle("events"), "o-", color="#d55e00", label="first layer by events")
        limit = [points[kind, n, "plain"][1] for n in sizes]
        axes.plot(
            sizes,
            limit,
            "k--",
            lw=1,
            label="roofline (dense)" if kind in ("steps", "batch") else "roofline",
        )
        axes.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel)
        axes.set_xticks(sizes, [f"{n:,}" for n in sizes], fontsize=8)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(c.HERE.parent / "docs" / "figures" / "scaling.png", dpi=110)


def drive(options) -> None:
    """All points, the table and the figure."""
    jobs = {}
    for kind, (sizes, *_) in KINDS.items():
        for size in sizes:
            for name in ("plain", "events") if kind in ("steps", "batch") else ("plain",):
                args = [
                    "--worker",
                    kind,
                    "--size",
                    str(size),
                    "--events",
                    str(int(name == "events")),
                ]
                jobs[kind, size, name] = lambda a=args: c.worker(sys.executable, __file__, a)
    found = c.rounds(jobs, options.rounds)
    points, rows = {}, []
    for (kind, size, name), runs in found.items():
        times = [s for r in runs for s in r["times"]]
        limit = statistics.median(r["limit"] for r in runs)
        points[kind, size, name] = (statistics.median(times), limit)
        label = KINDS[kind][1] + (", first layer by events" if name == "events" else "")
        share = "" if name == "events" else f"{limit / statistics.median(times):.2f}"
        peak = max(r["peak_gb"] for r in runs)
        rows.append([label, f"{size:,}", c.spread(times, 1, 1), share, f"{peak:.2f}"])
    head = [
        "what grows",
        "to",
        "ms (a biological second, or a training step)",
        "roofline fraction",
        "peak GB",
    ]
    text = (
        "## How cost grows\n\n"
        f"{c.MACHINE}, {c.THREADS} threads; median [min..max] over {options.rounds} subprocesses a point.\n\n"
        f"{c.table(head, rows)}\n"
    )
    print(text)
    c.store("scaling", text)
    draw(points)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worker", choices=list(KINDS))
    parser.add_argument("--size", type=int, default=1000)
    parser.add_argument("--events", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=2)
    chosen = parser.parse_args()
    if chosen.worker:
        measure(chosen.worker, chosen.size, bool(chosen.events))
    else:
        drive(chosen)
