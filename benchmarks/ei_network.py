"""A conductance-based E/I network at three sizes, beside Brian2 and BrainPy in one run.

    python benchmarks/ei_network.py [--brian-python PATH] [--brainpy-python PATH] [--rounds 2]

All libraries simulate the same network (`_ei.py`) with two threads each, in subprocesses that take turns.
Peers live in environments of their own; a peer that is not there appears with the numbers recorded on this
machine in November 2026, marked so. To make them:

    python -m venv brian && brian/bin/pip install brian2==2.9.0 "numpy<2.4" setuptools
    python -m venv bp && bp/bin/pip install brainpy==2.8.2 brainevent==0.2.1 numba

Measured: wall seconds for a biological second; building and the first call (with compilation) apart; the
peak of the resident memory of the whole process; rate, interval variability and synchrony beside Brian2's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import _common as c
import _ei as e

MS = {4000: 1000.0, 20_000: 1000.0, 100_000: 300.0}
GOAL = {4000: 0.14, 20_000: 0.38, 100_000: 2.4}
RECORDED = {
    "Brian2 2.9.0, C++ standalone, float64": {4000: 0.43, 20_000: 1.60, 100_000: 8.90},
    "BrainPy 2.8.2, brainevent 0.2.1": {4000: 1.09, 20_000: 1.16, 100_000: 4.77},
    "NEST 3.10.0": {4000: 3.76, 20_000: 29.4, 100_000: 180.5},
}
OURS = ["neuropil", "neuropil-one"]


def network(cells: int, seed: int, one: bool):
    """The network as a user writes it: two populations with four edges, or one with two (`one`)."""
    import jax
    import jax.numpy as jnp
    import jax.random as jr

    from neuropil.cells import LIF, Refractory, ValueReset
    from neuropil.core import Chain, Network, To, fold, put, start
    from neuropil.synapses import Conductance, Receptors
    from neuropil.wiring import Edges, fixed_probability

    key, ne = jr.key(seed), e.excitatory(cells)
    sizes = {"all": cells} if one else {"E": ne, "I": cells - ne}

    def cell(n):
        lif = LIF(
            n,
            tau=e.TAU,
            threshold=e.THRESHOLD,
            v_rest=e.REST,
            reset=ValueReset(e.RESET),
            # Brian2 integrates again in the last tick of its period: 5 ms hold 49 ticks
            refractory=Refractory(e.REFRACTORY - e.DT),
        )
        exc, inh = Conductance(n, e.TAU_E, e.E_E), Conductance(n, e.TAU_I, e.E_I)
        return Receptors(lif, exc=exc, inh=inh)

    def wire(edges, kind):
        weight, port = {"E": (e.W_E, "exc"), "I": (e.W_I, "inh")}[kind]
        return Chain(edges.wiring(weight, shared=True), To(port))

    if one:
        drawn = fixed_probability(cells, cells, e.SYNAPSES / cells, key)
        first = drawn.pre < ne
        part = lambda m: Edges(drawn.pre[m], drawn.post[m], cells, cells)
        edges = {"all>all:e": wire(part(first), "E"), "all>all:i": wire(part(~first), "I")}
    else:
        draw = lambda a, b: fixed_probability(
            sizes[a], sizes[b], e.SYNAPSES / cells, fold(key, a + b)
        )
        edges = {f"{a}>{b}": wire(draw(a, b), a) for a in "EI" for b in "EI"}
    net = Network({name: cell(n) for name, n in sizes.items()}, edges)
    carry = start(net, e.DT, key)
    for name, n in sizes.items():
        for part, (mean, deviation) in e.BEGIN.items():
            value = mean + deviation * jr.normal(fold(key, name + part), (n,))
            path = f"state.nodes.{name}.{'cell.v' if part == 'v' else part}"
            carry = put(carry, path, value if part == "v" else jnp.maximum(value, 0))
    synapses = sum(edge.parts["0"].target.size for edge in net.edges.values())
    return net, jax.block_until_ready(carry), synapses


def measure() -> None:
    """The worker for neuropil."""
    options = e.options(__doc__, OURS)
    c.pin()
    import jax
    import jax.numpy as jnp
    import numpy as np

    from neuropil.core import run

    one, n = options.worker == "neuropil-one", round(options.ms / e.DT)
    flat = lambda y: jnp.concatenate([y[name] for name in sorted(y)])
    if options.seeds:
        found = []
        for seed in range(options.seeds):
            net, carry, _ = network(options.cells, seed, one)
            _, s = run(net, carry, n=n, record=lambda _, y: flat(y) > 0)
            tick, cell = np.nonzero(np.asarray(s))
            found.append(e.statistics(cell, tick * e.DT, options.cells, options.ms))
        print(json.dumps({"seeds": found}))
        return
    begin = time.perf_counter()
    net, carry, synapses = network(options.cells, 0, one)
    build = time.perf_counter() - begin
    spikes, count = [], lambda _, y: sum(s.sum() for s in y.values())

    def once():  # one `count` for all calls: a function made anew would be compiled anew
        _, counts = run(net, carry, n=n, record=count)
        spikes.append(float(counts.sum()))

    first, times = c.clock(once, options.repeats)
    print(
        json.dumps(
            {
                "library": f"neuropil, {'one population' if one else 'E and I'}",
                "jax": jax.__version__,
                "build": build,
                "first": first,
                "times": times,
                "rate": spikes[-1] / options.cells / (options.ms / 1000),
                "synapses": synapses,
                "peak_gb": c.peak(),
                "roofline": roofline(options.cells, synapses, spikes[-1] / n / options.cells),
            }
        )
    )


def roofline(cells: int, synapses: int, spikes: float) -> float:
    """Least seconds of a tick: every byte of state and of the rows moved once, as fast as a copy goes.

    State: potential, refractoriness and two conductances read and written, spikes written and read; each
    event reads a target and changes a conductance.
    """
    import numpy as np

    size = 4 * (10 * cells + 3 * synapses * spikes)
    source = np.zeros(max(int(size) // 8, 1), np.float32)  # read and written: `size` bytes a copy
    target, best = np.empty_like(source), float("inf")
    for _ in range(200):
        begin = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - begin)
    return best


def peers(options) -> dict[str, tuple[str, str]]:
    """{worker: (its Python, its script)} of the peers that are there."""
    brian = options.brian_python or os.environ.get("NEUROPIL_BRIAN_PYTHON")
    brainpy = options.brainpy_python or os.environ.get("NEUROPIL_BRAINPY_PYTHON")
    found = {}
    if brian and Path(brian).exists():
        for kind in ("brian2-float64", "brian2-float32"):
            found[kind] = (brian, str(c.HERE / "_peer_brian.py"))
    if brainpy and Path(brainpy).exists():
        found["brainpy"] = (brainpy, str(c.HERE / "_peer_brainpy.py"))
    return found


def section(options, cells: int) -> str:
    """The table of one size."""
    ms = MS.get(cells, 1000.0)
    args = ["--cells", str(cells), "--ms", str(ms), "--repeats", str(options.repeats)]
    who = {name: (sys.executable, __file__) for name in OURS} | peers(options)
    jobs = {
        name: (lambda n=name, p=python, s=script: c.worker(p, s, ["--worker", n, *args]))
        for name, (python, script) in who.items()
    }
    found = c.rounds(jobs, options.rounds)
    rows, ours, seen = [], None, set()
    for name, runs in found.items():
        times = [t / (ms / 1000) for r in runs for t in r.get("times", [])]
        if not times:
            rows.append([name, f"left out: {runs[0]['skipped']}", "", "", "", "", ""])
            continue
        middle, one = statistics.median(times), runs[0]
        ours = ours or middle
        seen.add(one["library"])
        first = statistics.median(r["first"] - statistics.median(r["times"]) for r in runs)
        build = (
            f" (network {statistics.median(r['build'] for r in runs):.1f})"
            if "build" in one
            else ""
        )
        rows.append(
            [
                one["library"],
                c.spread(times, 1, 3),
                f"{middle / ours:.2f}",
                f"{first:.1f}{build}",
                f"{max(r['peak_gb'] for r in runs):.2f}",
                f"{one['rate']:.1f}",
                f"{one['synapses'] / 1e6:.2f} M",
            ]
        )
    for library, numbers in RECORDED.items():
        if library not in seen and cells in numbers and ours:
            ratio = f"{numbers[cells] / ours:.2f}"
            rows.append([f"{library} (recorded)", f"{numbers[cells]:.2f}", ratio, "", "", "", ""])
    ends = [r for r in found["neuropil-one"] if "times" in r]
    share = (
        statistics.median(r["roofline"] for r in ends)
        * 1000
        / e.DT
        / statistics.median([t / (ms / 1000) for r in ends for t in r["times"]])
    )
    head = [
        "library",
        "s / biological s",
        "times neuropil",
        "compile (s)",
        "peak GB",
        "Hz",
        "synapses",
    ]
    goal = f" Goal: {GOAL[cells]} s." if cells in GOAL else ""
    return (
        f"### {cells:,} cells, {ms:.0f} ms\n\n{c.table(head, rows)}\n\n"
        f"Roofline fraction of neuropil (one population): {share:.2f}.{goal}\n"
    )


def agreement(options) -> str:
    """Rate, interval variability and synchrony of seeds at the smallest size, beside Brian2's."""
    args = ["--cells", "4000", "--ms", "1000", "--seeds", str(options.seeds)]
    who = {"neuropil": (sys.executable, __file__)}
    who |= {n: p for n, p in peers(options).items() if n == "brian2-float64"}
    rows, measured = [], []
    for name, (python, script) in who.items():
        told = c.worker(python, script, ["--worker", name, *args])
        seeds = told.get("seeds")
        if not seeds:
            rows.append([name, told.get("skipped", ""), "", "", ""])
            continue
        active = [s for s in seeds if s["active"]]  # this network falls silent now and then
        measured.append(active)
        values = [
            c.spread([s[k] for s in active], 1, d)
            for k, d in (("rate", 2), ("cv", 3), ("synchrony", 4))
        ]
        rows.append([name, f"{len(active)} of {len(seeds)}", *values])
    head = ["library", "seeds active to the end", "rate (Hz)", "CV of intervals", "synchrony chi^2"]
    return (
        f"### The same network? 4,000 cells, {options.seeds} seeds, median [min..max] of the active\n\n"
        f"{c.table(head, rows)}\n\n{differences(*measured) if len(measured) == 2 else ''}\n"
    )


def differences(ours: list[dict], theirs: list[dict]) -> str:
    """What a Welch test over seeds says of the difference, measure by measure."""
    from scipy.stats import ttest_ind

    told = []
    for key, name in (("rate", "rate"), ("cv", "CV"), ("synchrony", "synchrony")):
        a, b = ([s[key] for s in seeds] for seeds in (ours, theirs))
        p = float(ttest_ind(a, b, equal_var=False).pvalue)
        change = statistics.mean(a) / statistics.mean(b) - 1
        told.append(f"{name} {change:+.1%} (p = {p:.2f})")
    return (
        f"Difference of the means, neuropil against Brian2, with Welch's test: {', '.join(told)}."
    )


def kernels() -> float:
    """Seconds to compile the kernels, which is done once a machine."""
    code = (
        "import time; from neuropil import native; import jax; b = time.perf_counter();"
        "assert native.available('events') and native.available('conductance');"
        "import json; print(json.dumps({'s': time.perf_counter() - b}))"
    )
    with tempfile.TemporaryDirectory() as empty:
        return c.worker(sys.executable, "-c", [code], {"NEUROPIL_CACHE": empty}).get(
            "s", float("nan")
        )


def drive(options) -> int:
    """All sizes, printed and stored."""
    load = os.getloadavg()[0]
    parts = [section(options, cells) for cells in options.cells] + [agreement(options)]
    after = os.getloadavg()[0]
    text = (
        "## E/I network with conductances, 80 synapses a cell, dt 0.1 ms\n\n"
        f"{c.MACHINE}, {c.THREADS} threads; wall seconds for a biological second, median [min..max] over "
        f"{options.rounds} interleaved subprocesses of {options.repeats} runs each. Compile: first call "
        "less a later one (Brian2: code generation and C++ compiler; for neuropil, drawing the network in "
        f"brackets). neuropil's kernels, compiled once a machine: {kernels():.1f} s. Load average of the "
        f"machine before {load:.1f}, after {after:.1f} (the benchmark itself makes 1 to 2).\n\n"
        + "\n".join(parts)
    )
    print(text)
    if not options.dry:
        c.store("ei_network", text)
    return 0


if __name__ == "__main__":
    if "--worker" in sys.argv:
        measure()
        sys.exit(0)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--brian-python", default=None)
    parser.add_argument("--brainpy-python", default=None)
    parser.add_argument("--cells", type=int, nargs="+", default=sorted(MS))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--dry", action="store_true", help="print only, leave RESULTS.md")
    sys.exit(drive(parser.parse_args()))
