"""How long the first call of each workload takes: in a new cache, and in the second run of the same program.

    python benchmarks/first_call.py [--rounds 3]

The workers of train_lif.py, ei_network.py and stdp.py, each in a new process with JAX's persistent cache in
an empty folder, and again with what the first left there. What is left then is tracing (Python) and the call.
The peers' first calls stand in their tables.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile

import _common as c

WORK = {
    "training step, 100 steps": ["train_lif.py", "--worker", "neuropil", "--steps", "100"],
    "E/I network, 4,000 cells, 100 ms": [
        *("ei_network.py", "--worker", "neuropil", "--cells", "4000", "--ms", "100")
    ],
    "pair STDP, one sample": ["stdp.py", "--worker", "by events", "--samples", "1"],
}
KEPT = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


def main() -> None:
    """All rows, printed and stored."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dry", action="store_true", help="print only, leave RESULTS.md")
    options = parser.parse_args()
    found: dict[str, list[list[float]]] = {name: [[], [], []] for name in WORK}
    for _ in range(options.rounds):
        for name, (script, *args) in WORK.items():
            with tempfile.TemporaryDirectory() as empty:
                env = {**KEPT, "JAX_COMPILATION_CACHE_DIR": empty}
                for run in (0, 1):
                    told = c.worker(
                        sys.executable, str(c.HERE / script), [*args, "--repeats", "3"], env
                    )
                    found[name][run].append(told["first"])
                found[name][2].append(statistics.median(told["times"]))
    rows = [[name, *(c.spread(seconds, 1, 2) for seconds in found[name])] for name in WORK]
    head = ["workload", "first call, empty cache (s)", "second run (s)", "a later call (s)"]
    text = (
        f"## The first call\n\n{c.MACHINE}, {c.THREADS} threads; median [min..max] over {options.rounds} "
        f"rounds of new processes; neuropil's kernels compiled before (5 s, once a machine).\n\n"
        f"{c.table(head, rows)}\n"
    )
    print(text)
    if not options.dry:
        c.store("first_call", text)


if __name__ == "__main__":
    main()
