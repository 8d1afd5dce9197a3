"""Three-level continuous hierarchical Gaussian filter over 100,000 observations, beside pyhgf in one run.

    python benchmarks/hgf.py [--pyhgf-python PATH] [--n 100000] [--rounds 3]

pyhgf pins an old JAX and lives in an environment of its own, named by `--pyhgf-python` or
NEUROPIL_PYHGF_PYTHON: `pip install pyhgf==0.2.12 jax==0.4.31`; where it is not there it is left out, with the
reason. Measured: all beliefs of all observations (mean, precision and their predictions at every level), by a
network that is reused and by a new network of the same shape; the first call, with compilation, apart. The last
mean of the second level must agree where it is finite.

"scan": `native.pure()`, the same in plain JAX.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys

import _common as c
import _hgf_task as t

RULES = {"standard": "Classical", "eHGF": "Enhanced"}
OURS = ["kernel, standard", "kernel, eHGF", "scan, standard", "scan, eHGF"]
WHY = (
    "Where a call goes, with all other work stopped (25 November 2026): the kernel 3.9 ms, "
    "one chain of dependent operations, bound by neither bandwidth nor vector width; setting "
    "up a call 0.7 ms; about 1 ms for the first touch of the pages of the outputs."
)
FLOOR = 30  # ns an observation: an exponential, two divisions and a dozen other operations, one after the other


def measure() -> None:
    """The worker for neuropil."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker", choices=OURS, required=True)
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    c.pin()
    import contextlib

    import jax
    import jax.numpy as jnp

    from neuropil import belief, native
    from neuropil.core import run, start

    how, rule = options.worker.split(", ")
    x, found = jnp.asarray(t.series(options.n)), {}

    def make():
        update = getattr(belief, RULES[rule])()
        return belief.continuous_hgf(t.OMEGA, noise=t.NOISE, precision=t.PRECISION, update=update)

    def once(net):
        _, y = jax.block_until_ready(run(net, start(net, 1.0, jax.random.key(0)), x))
        found["mean"] = y.nodes["x2"].mean[-1]

    with native.pure() if how == "scan" else contextlib.nullcontext():
        kept = make()
        reused = c.clock_both(lambda: once(kept), options.repeats)
        new = c.clock_both(lambda: once(make()), options.repeats)
    name = f"neuropil, {options.worker}, jax {jax.__version__}"
    mean = float(found["mean"])
    print(json.dumps({"library": name, "reused": reused, "new": new, "mean": mean}))


def main() -> int:
    """All rows, printed and stored."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pyhgf-python", default=os.environ.get("NEUROPIL_PYHGF_PYTHON"))
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--dry", action="store_true", help="print only, leave RESULTS.md")
    options = parser.parse_args()
    args = ["--n", str(options.n), "--repeats", str(options.repeats)]

    def peer(rule):
        more = [*args, "--update", rule]
        return c.peer(options.pyhgf_python, "_hgf_pyhgf.py", more, "--pyhgf-python")

    jobs = {
        n: (lambda n=n: c.worker(sys.executable, __file__, ["--worker", n, *args])) for n in OURS
    }
    jobs |= {f"pyhgf, {rule}": (lambda rule=rule: peer(rule)) for rule in RULES}
    found, rows, ends = c.rounds(jobs, options.rounds), [], {}
    for name, runs in found.items():
        if "skipped" in runs[-1]:
            rows.append([name, runs[-1]["skipped"], *[""] * 5])
            continue
        gather = lambda kind, what, runs=runs: [s for r in runs for s in r[kind][what]]
        reused, new = gather("reused", "times"), gather("new", "times")
        first = statistics.median(r["reused"]["first"] for r in runs)
        ends[name] = runs[0]["mean"]
        rows.append([
            runs[0]["library"], c.spread(reused, 1e-3), c.spread(gather("reused", "cpu"), 1e-3),
            f"{FLOOR * options.n * 1e-9 / min(reused):.2f}", c.spread(new, 1e-3), f"{first:.2f}",
            f"{runs[0]['mean']:.4f}",
        ])  # fmt: skip
    head = [
        "library",
        "reused, ms",
        "CPU ms",
        "share of the floor",
        "new network, ms",
        "first call (s)",
    ]
    head += ["last mean of x2"]
    standard = [v for n, v in ends.items() if "standard" in n]
    agree = max(standard) - min(standard) < 1e-3
    text = (
        f"## Hierarchical Gaussian filter, three levels, {options.n:,} observations\n\n"
        f"{c.MACHINE}, {c.THREADS} threads; median [min..max] over {options.rounds} interleaved"
        f" subprocesses of {options.repeats} runs. All beliefs are kept. A new network of the same shape is"
        f" not compiled again by neuropil. Floor: {FLOOR} ns an observation. Load of the machine at the end:"
        f" {os.getloadavg()[0]:.1f}. Goal: 5 ms.\n\n{c.table(head, rows)}\n\n"
        f"With the standard update the last means {'agree' if agree else 'DO NOT AGREE'}. With eHGF pyhgf's"
        " beliefs are NaN from observation 19,054 on; neuropil's stay finite by two bounds"
        " (`neuropil/belief/volatility.py`). " + WHY
    )
    print(text)
    if not options.dry:
        c.store("hgf", text)
    return 0


if __name__ == "__main__":
    if "--worker" in sys.argv:
        measure()
    else:
        sys.exit(main())
