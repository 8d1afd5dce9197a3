"""Temporal memory of 2,048 columns of 32 cells on the stream of htm-sequence-memory: steps a second.

    python benchmarks/temporal_memory.py [--steps 3000] [--rounds 3]

High-order sequences with one of 5,000 symbols between them (`papers.build.htm_sequence_memory`), learning on.
The memory grows by about ten segments a step, so steps are timed apart by 500: early ones find few segments.
htm.core, the peer, is on no package registry and has to be built from source; it is not measured here.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys

import _common as c

COLUMNS, CELLS, ACTIVE, SEGMENTS, SYNAPSES = 2048, 32, 41, 65_536, 40
PART, OTHERS = 500, 5000


def measure(steps: int) -> None:
    """The worker: seconds and processor seconds of every `PART` steps, and the segments after them."""
    c.pin()
    import time

    import jax
    import jax.numpy as jnp
    import jax.random as jr

    from neuropil.core import run, start
    from neuropil.memory import TemporalMemory, sparse_codes
    from neuropil.papers.build._htm import SYMBOLS, stream

    net = TemporalMemory(COLUMNS, CELLS, ACTIVE, SEGMENTS, synapses=SYNAPSES)
    codes = sparse_codes(jr.key(1), SYMBOLS + OTHERS, COLUMNS, ACTIVE)
    symbols = stream(jr.key(0), steps, steps, steps, OTHERS)["symbol"].reshape(-1, PART)

    @jax.jit
    def part(carry, symbols):
        xs = {"columns": codes[symbols], "learn": jnp.ones(PART)}
        return run(net, carry, xs, record="output.anomaly")

    carry = start(net, 1.0, jr.key(2))
    begin = time.perf_counter()
    jax.block_until_ready(part(carry, symbols[0]))
    found = {"first": time.perf_counter() - begin, "wall": [], "cpu": [], "made": [], "anomaly": []}
    for some in symbols:
        begin, used = time.perf_counter(), time.process_time()
        carry, anomaly = jax.block_until_ready(part(carry, some))
        found["wall"].append(time.perf_counter() - begin)
        found["cpu"].append(time.process_time() - used)
        found["made"].append(int(carry.state["made"]))
        found["anomaly"].append(float(anomaly.mean()))
    print(json.dumps(found))


def main() -> int:
    """All rows, printed and stored."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worker", action="store_true")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dry", action="store_true", help="print only, leave RESULTS.md")
    options = parser.parse_args()
    if options.steps < PART or options.steps % PART:
        parser.error(f"--steps {options.steps}: give a multiple of {PART}")
    if options.worker:
        measure(options.steps)
        return 0
    args = ["--worker", "--steps", str(options.steps)]
    jobs = {"ours": lambda: c.worker(sys.executable, __file__, args)}
    runs = c.rounds(jobs, options.rounds)["ours"]
    if "skipped" in runs[-1]:
        print(runs[-1]["skipped"])
        return 1
    rows = []
    for k in range(options.steps // PART):
        wall, cpu = ([PART / r[name][k] for r in runs] for name in ("wall", "cpu"))
        one = runs[0]
        rows.append([
            f"{PART * k:,} to {PART * (k + 1):,}", f"{one['made'][k]:,}", f"{one['anomaly'][k]:.2f}",
            c.spread(wall, digits=0), c.spread(cpu, digits=0),
        ])  # fmt: skip
    head = ["steps", "segments after them", "mean anomaly", "steps a second", "steps a CPU second"]
    first = statistics.median(r["first"] for r in runs)
    text = (
        f"## Temporal memory, {COLUMNS:,} columns of {CELLS} cells, {ACTIVE} active\n\n"
        f"{c.MACHINE}, {c.THREADS} threads; median [min..max] over {options.rounds} subprocesses. Learning on;"
        f" eight sequences with one of {OTHERS:,} symbols between. First call, with compilation and {PART}"
        f" steps: {first:.1f} s. Load of the machine at the end: {os.getloadavg()[0]:.1f}. htm.core is on no"
        f" package registry and was not built.\n\n{c.table(head, rows)}"
    )
    print(text)
    if not options.dry:
        c.store("temporal-memory", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
