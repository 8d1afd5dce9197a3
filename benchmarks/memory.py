"""Tokens a second of a training step by the length of the sequence: attention, and memories without a cache.

    python benchmarks/memory.py [--lengths 512 1024 2048 4096 8192] [--rounds 2] [--peer-python PATH]

Next-token training (Adam, batch 1, 256 symbols) of two blocks, width 128: norm, mixer, norm, MLP, with equal
numbers of parameters. Mixers: causal attention, linear attention, the gated delta rule, and the neural memory
of Titans written in chunks of 16 and of 64; BDH stands in place of the blocks. Attention forms all scores at
once; a peer on torch (environment named by `--peer-python` or NEUROPIL_PEER_PYTHON, see train_lif.py) has the
same network with torch's fused attention. A length whose scores need more than `--memory` GB is left out.

Every subprocess does one network at all lengths. The first call of the first round, with compilation, stands
apart; later rounds read the compiled programs from a cache in a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile

import _common as c

SYMBOLS, WIDTH, HEADS, BLOCKS = 256, 128, 2, 2
WAYS = {
    "attention": "attention, scores at once",
    "linear": "linear attention",
    "delta": "gated delta rule",
    "memory-16": "neural memory (Titans), chunk 16",
    "memory-64": "neural memory (Titans), chunk 64",
    "bdh": "BDH (linear attention of neurons)",
}
PEER = "torch"


def network(way: str):
    """The network of a row."""
    import equinox as eqx
    import jax
    import jax.random as jr

    from neuropil.blocks import MLP, Attention, FastWeights, LinearAttention, RMSNorm
    from neuropil.core import System, run, start
    from neuropil.memory import NeuralMemory
    from neuropil.papers.build._dragon import Hatchling
    from neuropil.wiring import Dense

    if way == "bdh":
        neurons = 4 * BLOCKS * WIDTH  # three maps, shared by all layers
        return Hatchling.init_normal(SYMBOLS, WIDTH, neurons, HEADS, BLOCKS, jr.key(0))

    class Block(eqx.Module):
        norms: tuple
        mixer: System
        out: Dense | None
        mlp: MLP

        def __call__(self, xs):
            seen = jax.vmap(self.norms[0])(xs)
            if isinstance(self.mixer, Attention):
                mixed = self.mixer.parallel(seen)  # no cache: from rest
            else:
                mixed = run(self.mixer, start(self.mixer, 1.0, jr.key(0)), seen)[1]
            if self.out is not None:
                mixed = mixed @ self.out.weight.T
            xs = xs + mixed
            return xs + jax.vmap(lambda x: self.mlp(self.norms[1](x)))(xs)

    class Reader(eqx.Module):
        table: jax.Array
        blocks: list
        norm: RMSNorm
        head: Dense

        def __call__(self, tokens):
            xs = self.table[tokens]
            for block in self.blocks:
                xs = block(xs)
            return jax.vmap(self.norm)(xs) @ self.head.weight.T

    def block(key):
        a, b, d = jr.split(key, 3)
        hidden, out = 4 * WIDTH, None
        if way == "attention":
            mixer = Attention.init_normal(WIDTH, key=a, heads=HEADS, capacity=2**20, bias=False)
        elif way == "linear":
            mixer = LinearAttention.init_normal(WIDTH, key=a, heads=HEADS, bias=False)
        elif way == "delta":
            mixer = FastWeights.init_normal(WIDTH, key=a, heads=HEADS)
        else:  # the begin of the memory learns too, so the MLP is smaller
            size = int(way.removeprefix("memory-"))
            mixer = NeuralMemory.init_normal(WIDTH, key=a, hidden=(WIDTH,), chunk=size)
            out, hidden = Dense.init_normal(WIDTH, WIDTH, d), 3 * WIDTH
        norms = (RMSNorm(WIDTH), RMSNorm(WIDTH))
        return Block(norms, mixer, out, MLP.init_normal(WIDTH, hidden, key=b))

    one, two, *keys = jr.split(jr.key(0), 2 + BLOCKS)
    table = jr.normal(one, (SYMBOLS, WIDTH)) / WIDTH**0.5
    head = Dense.init_normal(WIDTH, SYMBOLS, two)
    return Reader(table, [block(k) for k in keys], RMSNorm(WIDTH), head)


def measure(options) -> None:
    """The worker: one network at all lengths."""
    c.pin()
    import equinox as eqx
    import jax
    import jax.random as jr
    import optax

    from neuropil.core import System, advance, run, start
    from neuropil.learn import Trainer

    net = network(options.worker)
    leaves = jax.tree.leaves(eqx.filter(net, eqx.is_inexact_array))

    def loss(net, tokens, key):
        seen, wanted = tokens[:-1], tokens[1:]
        heard = run(net, start(net, 1.0, key), seen)[1] if isinstance(net, System) else net(seen)
        return optax.softmax_cross_entropy_with_integer_labels(heard, wanted).mean()

    step = eqx.filter_jit(advance)
    rows = []
    for length in options.lengths:
        tokens = jr.randint(jr.key(length), (length + 1,), 0, SYMBOLS)
        trainer = Trainer(net, loss, optax.adam(1e-3))
        now, losses = [start(trainer, 1.0, jr.key(0))], []

        def once(trainer=trainer, tokens=tokens, now=now, losses=losses):
            now[0], out = step(trainer, now[0], tokens)
            losses.append(float(out["loss"]))

        c.forget_peak()
        found = c.clock_both(once, options.repeats)
        rows.append({"length": length, **found, "peak_gb": c.peak(), "losses": losses})
    size = sum(leaf.size for leaf in leaves)
    print(json.dumps({"rows": rows, "parameters": size, "version": f"jax {jax.__version__}"}))


def jobs(options, cache: str) -> dict:
    """{row: a call that runs its subprocess}."""
    scores = lambda n: 4 * HEADS * n * n * 4 * BLOCKS / 1e9  # scores, weights and both slopes
    fits = [n for n in options.lengths if scores(n) <= options.memory]
    env = {"JAX_COMPILATION_CACHE_DIR": cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}

    def call(way):
        lengths = fits if way == "attention" else options.lengths
        args = ["--repeats", str(options.repeats), "--lengths", *map(str, lengths)]
        if way == PEER:
            return c.peer(options.peer_python, "_memory_torch.py", args, "--peer-python")
        return c.worker(sys.executable, __file__, ["--worker", way, *args], env)

    return {way: (lambda way=way: call(way)) for way in [*WAYS, PEER]}


def crossover(lengths, base: dict, other: dict) -> str:
    """The length from which a network is faster than attention at every longer one measured by both."""
    both = [n for n in lengths if n in base and n in other]
    won = None
    for n in reversed(both):
        if other[n] > base[n]:
            break
        won = n
    return f"{won:,}" if won else "not reached"


def drive(options) -> int:
    """Run all networks in turn, print and store the table."""
    with tempfile.TemporaryDirectory() as cache:
        found = c.rounds(jobs(options, cache), options.rounds)
    middle, rows, seconds, sizes = statistics.median, [], {}, {}
    for way, runs in found.items():
        if "skipped" in runs[0]:
            continue
        sizes[way] = runs[0]["parameters"]
        by = {}
        for one in runs:
            for row in one["rows"]:
                by.setdefault(row["length"], []).append(row)
        seconds[way] = {n: middle(t for r in rs for t in r["times"]) for n, rs in by.items()}
        if not all(x == x for rs in by.values() for r in rs for x in r["losses"]):
            print(f"memory: {way}: a loss is not finite", file=sys.stderr)
            return 1
        for n, rs in by.items():
            times = [t for r in rs for t in r["times"]]
            rows.append((way, n, times, middle(t for r in rs for t in r["cpu"]), rs[0]["first"],
                         max(r["peak_gb"] for r in rs)))  # fmt: skip
    name = lambda way: WAYS.get(way, f"attention, fused ({found[PEER][0].get('version', 'torch')})")
    speed = [
        [name(way), f"{sizes[way]:,}"]
        + [f"{n / seconds[way][n]:,.0f}" if n in seconds[way] else "not run" for n in options.lengths]
        + ["" if way in ("attention", PEER) else crossover(options.lengths, seconds[b], seconds[way])
           for b in ("attention", PEER) if b in seconds]
        for way in seconds
    ]  # fmt: skip
    cross = [f"faster than {'plain' if b == 'attention' else 'fused'} from" for b in ("attention", PEER)
             if b in seconds]  # fmt: skip
    head = ["network", "parameters", *(f"{n:,} tokens" for n in options.lengths), *cross]
    more = [
        [name(way), f"{n:,}", c.spread(times, 1e-3, 0), f"{1e3 * cpu:.0f}", f"{first:.1f}", f"{peak:.2f}"]
        for way, n, times, cpu, first, peak in rows
    ]  # fmt: skip
    left = [
        f"{name(w)}: left out, {r[0]['skipped']}." for w, r in found.items() if "skipped" in r[0]
    ]
    out = [n for n in options.lengths if n not in seconds.get("attention", {})]
    if out:
        left.append(
            f"Plain attention stops before {out[0]:,} tokens: its scores need over {options.memory:g} GB."
        )
    versions = sorted({r[0]["version"] for r in found.values() if "version" in r[0]})
    text = (
        "## Training step by the length of the sequence: attention and memories\n\n"
        f"{c.MACHINE}, {c.THREADS} threads, {', '.join(versions)}; {BLOCKS} blocks, width {WIDTH}, {HEADS} "
        f"heads, batch 1, Adam; median over {options.rounds} interleaved subprocesses of {options.repeats} "
        f"steps each. Mean load of the machine at the end: {os.getloadavg()[1]:.1f}.\n\nTokens a second:\n\n"
        + c.table(head, speed)
        + "\n\n" + "\n".join(left) + ("\n\n" if left else "")
        + "Every measurement; the first call includes compilation (torch compiles nothing):\n\n"
        + c.table(["network", "tokens", "ms a step", "CPU ms", "first call (s)", "peak GB"], more)
    )  # fmt: skip
    print(text)
    if not options.dry:
        c.store("memory", text)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=[512, 1024, 2048, 4096, 8192])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--memory", type=float, default=6.0, help="GB that plain attention may need"
    )
    parser.add_argument("--peer-python", default=os.environ.get("NEUROPIL_PEER_PYTHON"))
    parser.add_argument("--dry", action="store_true", help="print only, leave RESULTS.md")
    parser.add_argument("--worker", default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is not None:
        measure(options)
    else:
        sys.exit(drive(options))
