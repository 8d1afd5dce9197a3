"""Echo state network, 1,000 units, 10,000 steps with ridge, beside reservoirpy in one run.

    python benchmarks/reservoir.py [--reservoirpy-python PATH] [--rounds 3] [--repeats 5]

The task is in `_reservoir_task.py`: everything is timed that a user waits for again with other settings:
drawing the network and scaling it to its spectral radius, its states, the readout, 2,000 more steps.
reservoirpy lives in an environment of its own, named by `--reservoirpy-python` or NEUROPIL_RESERVOIRPY_PYTHON
(`pip install reservoirpy==0.4.2`); where it is not there it is left out, with the reason.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import sys
import time

import _common as c
import _reservoir_task as t

WHY = (
    "Goal: 0.6 s. Where the time goes, with all other work stopped (25 November 2026): a step "
    "reads the matrix, 4 MB, from the third cache on both cores in 31 us, 131 GB/s, which "
    "bounds the states in this form (held by synapse, `sparse=True`, they take 0.70 s instead "
    "of 0.31); the Gram matrix in double precision is 10 GFlop in 0.12 s."
)
OURS = {"neuropil": [], "neuropil, network drawn once": ["--drawn"]}


def measure() -> None:
    """The worker for neuropil."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker", action="store_true")
    parser.add_argument("--drawn", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    c.pin()
    import jax
    import jax.numpy as jnp
    import numpy as np

    from neuropil.blocks import EchoState
    from neuropil.core import run, start
    from neuropil.learn.ridge import ridge_readout

    x, y, x_test, y_test = (np.asarray(a) for a in t.series())
    draw = lambda: EchoState.random(
        1, t.UNITS, jax.random.key(1), spectral_radius=t.RADIUS, density=t.DENSITY, leak=t.LEAK
    )
    ready, found, parts = draw(), [], []

    def once():
        clock = [time.perf_counter()]
        mark = lambda: clock.append(time.perf_counter())
        net = ready if options.drawn else draw()
        jax.block_until_ready(net.recurrent.weight)
        mark()
        carry, states = run(net, start(net, 1.0, jax.random.key(0)), jnp.asarray(x, jnp.float32))
        states = np.asarray(states)
        mark()
        readout = ridge_readout(states, y, t.RIDGE, washout=t.WASHOUT)
        mark()
        _, states = run(net, carry, jnp.asarray(x_test, jnp.float32))
        found.append(np.asarray(states @ readout.weight.T + readout.bias[None]))
        mark()
        parts.append([b - a for a, b in itertools.pairwise(clock)])

    clocked = c.clock_both(once, options.repeats)
    middle = [statistics.median(column) for column in zip(*parts, strict=True)]
    name = f"neuropil, jax {jax.__version__}, float32 states, float64 ridge"
    name += ", network drawn once" if options.drawn else ""
    result = {"library": name, **clocked, "nrmse": t.nrmse(found[-1], y_test)}
    print(json.dumps(result | dict(zip(("draw", "states", "ridge", "run"), middle, strict=True))))


def main() -> int:
    """All rows, printed and stored."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    peer = os.environ.get("NEUROPIL_RESERVOIRPY_PYTHON")
    parser.add_argument("--reservoirpy-python", default=peer)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dry", action="store_true", help="print only, leave RESULTS.md")
    options = parser.parse_args()
    args = ["--repeats", str(options.repeats)]

    def reservoirpy():
        python, option = options.reservoirpy_python, "--reservoirpy-python"
        return c.peer(python, "_peer_reservoirpy.py", args, option)

    ours = {
        n: (lambda more=more: c.worker(sys.executable, __file__, ["--worker", *more, *args]))
        for n, more in OURS.items()
    }
    found = c.rounds(ours | {"reservoirpy": reservoirpy}, options.rounds)
    rows = []
    for name, runs in found.items():
        if "skipped" in runs[0]:
            rows.append([name, f"left out: {runs[0]['skipped']}", "", "", "", ""])
            continue
        times, cpu = ([s for r in runs for s in r[key]] for key in ("times", "cpu"))
        parts = [
            f"{part} {statistics.median(r[part] for r in runs):.2f}"
            for part in ("draw", "states", "ridge", "run")
            if part in runs[0]
        ]
        rows.append(
            [
                runs[0]["library"],
                c.spread(times, 1.0, 3),
                f"{statistics.median(cpu):.2f}",
                f"{statistics.median(r['first'] for r in runs):.2f}",
                f"{statistics.median(r['nrmse'] for r in runs):.5f}",
                ", ".join(parts),
            ]
        )
    head = ["library", "seconds", "CPU s", "first call (s)", "NRMSE", "of which (s)"]
    text = (
        "## Echo state network, 1,000 units, 10,000 steps with ridge\n\n"
        f"And 2,000 steps run. {c.MACHINE}, {c.THREADS} threads; median [min..max] over {options.rounds} "
        f"interleaved subprocesses of {options.repeats} runs each. Mean load of the machine at the end: "
        f"{os.getloadavg()[1]:.1f}.\n\n{c.table(head, rows)}\n\n{WHY}\n"
    )
    print(text)
    if not options.dry:
        c.store("reservoir", text)
    return 0


if __name__ == "__main__":
    if "--worker" in sys.argv:
        measure()
        sys.exit(0)
    sys.exit(main())
