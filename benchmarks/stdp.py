"""Pair STDP 784 -> 400 with adaptive thresholds, beside Brian2 in one run.

    python benchmarks/stdp.py [--brian-python PATH] [--samples 10] [--rounds 3]

The task is in `_stdp_task.py`. Brian2 (C++ standalone) lives in an environment of its own, named by
`--brian-python` or NEUROPIL_BRIAN_PYTHON: `pip install brian2 "numpy<2.4" cython`; where it is not there it is
left out, with the reason. Measured: a tick on the wall and in processor time, the first call with compilation
apart, spikes a sample, which must agree (Brian2 gets the same input spikes).

"by events": `Dense(events=True)` and `PairSTDP(events=True)`, the weight written where it is. "whole matrix":
both go over all weights at every tick.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys

import _common as c
import _stdp_task as t

OURS = ["by events", "whole matrix"]
RECORDED = (
    "Measured apart on the same kind of machine (22 November 2026, quiet), same task: BindsNET 0.3.4 "
    "370 us a tick, 34.6 spikes a sample (its own DiehlAndCook2015 model); BrainPy 2.8.2 217 us (dense, "
    "no adaptive threshold); Brian2 2.9.0 C++ 19 us; a C program of the same equations 0.69 us."
)


def measure() -> None:
    """The worker for neuropil: one compiled program over all samples, as one would write it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker", choices=OURS, required=True)
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    c.pin()
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from neuropil.cells import LIF, Adaptation, Refractory, ValueReset
    from neuropil.core import Chain, Managed, Network, System, run, start
    from neuropil.plasticity import PairSTDP
    from neuropil.wiring import Dense

    events = options.worker == "by events"

    class Arrive(System):
        """Input spikes through the plastic weights, and the inhibition that arrives."""

        wire: Dense

        def init(self, dt, key):
            return ()

        def step(self, state, x, tick):
            return state, self.wire.forward(x["input"]) + x["current"]

    excite = LIF(
        t.CELLS,
        tau=100.0,
        threshold=-52.0,
        v_rest=-65.0,
        reset=ValueReset(-60.0),
        refractory=Refractory(5.0),
        adaptation=Adaptation(t.THETA_TAU, t.THETA),
        drive="jump",
    )
    inhibit = LIF(
        t.CELLS,
        tau=10.0,
        threshold=-40.0,
        v_rest=-60.0,
        reset=ValueReset(-45.0),
        refractory=Refractory(2.0),
        drive="jump",
    )
    net = Network(
        {
            "E": Chain(arrive=Arrive(Dense(jnp.asarray(t.weights()), events=events)), cell=excite),
            "I": inhibit,
        },
        {"E>I": lambda s: t.EXCITE * s, "I>E": lambda s: -t.INHIBIT * (s.sum() - s)},
        rest={"E": jnp.zeros(t.CELLS)},
    )
    rule = PairSTDP(
        t.INPUTS,
        t.CELLS,
        a_plus=t.A_PLUS,
        a_minus=t.A_MINUS,
        tau_plus=t.WINDOW,
        tau_minus=t.WINDOW,
        events=True if events else None,
        pairs="nearest",
        together=True,
    )
    reads = {"pre": "input.E.input", "post": "outputs.E"}
    system = Managed(net, rule, "nodes.E.parts.arrive.wire.weight", reads)

    def sample(carry, x):
        carry, y = run(system, carry, {"E": {"input": x}}, record="output.E")
        w = carry.state.theta
        scaled = w * (t.TOTAL / w.sum(1, keepdims=True))
        return eqx.tree_at(lambda c: c.state.theta, carry, scaled), y.sum()

    program = jax.jit(lambda carry, xs: jax.lax.scan(sample, carry, xs)[1].sum())
    carry, xs = start(system, 1.0, jax.random.key(0)), jnp.asarray(t.spikes(options.samples))
    counts = []
    found = c.clock_both(lambda: counts.append(float(program(carry, xs))), options.repeats)
    name = f"neuropil, {options.worker}, jax {jax.__version__}"
    print(json.dumps({"library": name, **found, "spikes": counts[0] / options.samples}))


def main() -> int:
    """All rows, printed and stored."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--brian-python", default=os.environ.get("NEUROPIL_BRIAN_PYTHON"))
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dry", action="store_true", help="print only, leave RESULTS.md")
    options = parser.parse_args()
    args = ["--samples", str(options.samples), "--repeats", str(options.repeats)]

    def brian():
        return c.peer(options.brian_python, "_stdp_brian.py", args, "--brian-python")

    ours = {
        n: (lambda n=n: c.worker(sys.executable, __file__, ["--worker", n, *args])) for n in OURS
    }
    found = c.rounds(ours | {"Brian2": brian}, options.rounds)
    ticks, rows, counts = options.samples * t.TICKS, [], []
    for name, runs in found.items():
        if "skipped" in runs[0]:
            rows.append([name, f"left out: {runs[0]['skipped']}", "", "", "", ""])
            continue
        times, cpu = ([s / ticks for r in runs for s in r[key]] for key in ("times", "cpu"))
        counts.append(statistics.median(r["spikes"] for r in runs))
        first = statistics.median(r["first"] for r in runs)
        used = f"{statistics.median(cpu) / 1e-6:.1f}" if cpu else ""
        fast = f"{min(times) / 1e-6:.1f}"
        rows.append(
            [
                runs[0]["library"],
                c.spread(times, 1e-6, 1),
                fast,
                used,
                f"{first:.2f}",
                f"{counts[-1]:.1f}",
            ]
        )
    agree = max(counts) - min(counts) < 0.15 * max(counts)
    head = ["library", "us a tick", "best", "CPU us", "first call (s)", "spikes a sample"]
    text = (
        f"## Pair STDP {t.INPUTS} -> {t.CELLS} with adaptive thresholds\n\n"
        f"{options.samples} samples of {t.TICKS} ticks of 1 ms. {c.MACHINE}, {c.THREADS} threads; median "
        f"[min..max] over {options.rounds} interleaved subprocesses of {options.repeats} runs each. "
        f"Mean load of the machine at the end: {os.getloadavg()[1]:.1f}.\n\n"
        f"{c.table(head, rows)}\n\nThe spike counts {'agree' if agree else 'DO NOT AGREE'}. {RECORDED}\n"
    )
    print(text)
    if not options.dry:
        c.store("stdp", text)
    return 0 if agree else 1


if __name__ == "__main__":
    if "--worker" in sys.argv:
        measure()
        sys.exit(0)
    sys.exit(main())
