"""Memory and time of a gradient over 10,000 steps through 256 LIF cells at batch 32.

    python benchmarks/remat.py [--steps 10000] [--rounds 3]

Two ways: plain (every step's residuals are kept) and `run(..., remat=k)` (only the state at every k-th
step is kept, the rest is computed again). The loss looks at spike counts, which are summed in the loop,
so no output is kept. The bound: at most 0.2 GB above the inputs, at most 1.6 times the plain time.
Memory is the peak of the resident set above what was resident with the inputs in place and the function
compiled.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys

import _common as c

CELLS, BATCH = 256, 32


def measure(remat: int, steps: int, repeats: int) -> None:
    """The worker: one variant, one line of JSON."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import jax.random as jr
    import numpy as np

    from neuropil.cells import LIF
    from neuropil.core import Batched, Chain, System, get, put, run, start

    class Count(System):
        """Sums its input, puts nothing out."""

        def init(self, dt, key):
            return jnp.zeros(CELLS)

        def step(self, state, x, tick):
            return state + x, ()

    net = Batched(
        Chain(cell=LIF(CELLS, tau=jnp.full(CELLS, 20.0), drive="jump"), count=Count()), BATCH
    )
    rng = np.random.default_rng(0)
    xs = np.empty((steps, BATCH, CELLS), np.float32)
    for row in xs:  # row by row: no double-precision copy of the whole
        row[:] = 0.5 * rng.standard_normal((BATCH, CELLS))
    xs = jnp.asarray(xs)
    carry = start(net, 1.0, jr.key(0))

    def loss(tau, xs):
        end, _ = run(put(net, "part.parts.cell.tau", tau), carry, xs, record=None, remat=remat)
        return jnp.mean((end.state["count"] / steps - 0.1) ** 2)

    tau = get(net, "part.parts.cell.tau")
    compiled = jax.jit(jax.value_and_grad(loss)).lower(tau, xs).compile()
    before = c.forget_peak()
    first, times = c.clock(lambda: jax.block_until_ready(compiled(tau, xs)), repeats)
    value, slope = compiled(tau, xs)
    print(
        json.dumps(
            {
                "above_gb": c.peak() - before,
                "temporary_gb": compiled.memory_analysis().temp_size_in_bytes / 1e9,
                "inputs_gb": xs.nbytes / 1e9,
                "first": first,
                "times": times,
                "loss": float(value),
                "slope": float(jnp.linalg.norm(slope)),
                "jax": jax.__version__,
                "equinox": eqx.__version__,
            }
        )
    )


def drive(options) -> int:
    """Run all variants in turn, print and store the table."""
    sizes = [0, *options.remat]
    call = lambda k: c.worker(
        sys.executable,
        __file__,
        ["--worker", str(k), "--steps", str(options.steps), "--repeats", str(options.repeats)],
    )
    jobs = {f"remat={k}" if k else "plain": (lambda k=k: call(k)) for k in sizes}
    found = c.rounds(jobs, options.rounds)
    times = {n: [t for r in runs for t in r.get("times", [])] for n, runs in found.items()}
    if not times["plain"]:
        print(f"remat: the plain variant failed: {found['plain'][0]['skipped']}", file=sys.stderr)
        return 1
    rows, passed = [], True
    for name, runs in found.items():
        if not times[name]:
            rows.append([name, runs[0]["skipped"], "", "", "", ""])
            continue
        ratio = statistics.median(times[name]) / statistics.median(times["plain"])
        above = max(r["above_gb"] for r in runs)
        within = "" if name == "plain" else ("yes" if above <= 0.2 and ratio <= 1.6 else "no")
        passed = passed and within != "no"
        rows.append(
            [name, c.spread(times[name]), f"{ratio:.2f}", f"{above:.3f}",
             f"{max(r['temporary_gb'] for r in runs):.3f}", within]
        )  # fmt: skip
    one = found["plain"][0]
    losses = {round(r["loss"], 9) for runs in found.values() for r in runs if "loss" in r}
    head = [
        "way",
        "seconds a gradient",
        "times plain",
        "GB above inputs",
        "GB of temporaries",
        "within bound",
    ]
    text = (
        f"## Gradient over {options.steps:,} steps through {CELLS} LIF cells, batch {BATCH}\n\n"
        f"{c.MACHINE}; jax {one['jax']}, equinox {one['equinox']}; inputs {one['inputs_gb']:.2f} GB; "
        f"median [min..max] over {len(times['plain'])} calls in {options.rounds} interleaved "
        f"subprocesses a way, {c.THREADS} threads; losses {sorted(losses)}. "
        "Bound: 0.2 GB above the inputs, 1.6 times the plain time.\n\n" + c.table(head, rows)
    )
    print(text)
    if not options.dry:
        c.store("remat", text)
    return 0 if passed else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--remat", type=int, nargs="+", default=[50, 100, 200])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dry", action="store_true", help="print only, leave RESULTS.md")
    parser.add_argument("--worker", type=int, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is not None:
        c.pin()
        measure(options.worker, options.steps, options.repeats)
    else:
        sys.exit(drive(options))
