"""One job of a run: one arm, one seed, chunk by chunk, going on where a killed process stopped."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from neuropil.core import SEEDS, Carry, advance, start
from neuropil.studies import checkpoint
from neuropil.studies.folder import RunFolder, dumps, label, whole_lines
from neuropil.studies.refuse import Refused
from neuropil.studies.study import Study

EVERY = float(os.environ.get("NEUROPIL_CHECKPOINT_SECONDS", "10"))  # seconds between checkpoints
NAMES = ("metrics.jsonl", "timing.jsonl")


def _strong(tree: Any) -> Any:
    """Without weak types, so that a carry read from disk runs the very function that wrote it."""

    def strong(leaf):
        if not isinstance(leaf, jax.Array) or checkpoint.is_key(leaf):
            return leaf
        return jax.lax.convert_element_type(leaf, leaf.dtype)

    return jax.tree.map(strong, tree)


@eqx.filter_jit
def _compiled(system, carry):
    carry, metrics = advance(system, carry)
    return _strong(carry), metrics


@eqx.filter_jit
def _together(system, carry):
    step = jax.vmap(lambda c: advance(system, c), in_axes=(SEEDS,), out_axes=(SEEDS, 0))
    carry, metrics = step(carry)
    return _strong(carry), metrics


class Bench:
    """A study with its settings and data, and the built (and once compiled) system of each arm.

    Seeds share the compiled function: the arrays of the system are its arguments, not constants.
    """

    def __init__(self, study: Study, settings: dict, data: Any):
        self.study, self.settings, self.data = study, settings, data
        self.arm: str | None = None
        self.system: Any = None

    def take(self, arm: str) -> Any:
        """The system of an arm; only the latest is kept, data sets can be large."""
        if arm != self.arm:
            self.system = None
            self.system = self.study.arms[arm].build(self.settings, self.data)
            self.arm = arm
        return self.system

    def start(self, arm: str, seeds: tuple[int, ...]) -> Any:
        """The carry of a job before its first chunk; several seeds are stacked, but for the clock."""
        carries = [_strong(start(self.take(arm), 1.0, jr.key(seed))) for seed in seeds]
        if len(seeds) == 1:
            return carries[0]
        stack = lambda *leaves: jnp.stack(leaves)
        key, state = jax.tree.map(stack, *[(c.key, c.state) for c in carries])
        return Carry(carries[0].i, carries[0].dt, key, state)

    def step(self, arm: str, carry: Any, seeds: tuple[int, ...]) -> tuple[Any, list[dict]]:
        """One chunk, waited for; the metrics of each seed as NumPy."""
        one = _compiled if self.study.arms[arm].jit else advance
        carry, metrics = (one if len(seeds) == 1 else _together)(self.take(arm), carry)
        if not isinstance(metrics, dict):
            raise TypeError(
                f"{self.study.slug}: arm {arm} puts out {type(metrics).__name__}, not a dict of metrics;"
                " write   return state, {'accuracy': accuracy}"
            )
        carry = jax.block_until_ready(carry)
        found = {name: np.asarray(value) for name, value in metrics.items()}
        if len(seeds) == 1:
            return carry, [found]
        return carry, [{n: v[k] for n, v in found.items()} for k in range(len(seeds))]


def not_finite(tree: Any) -> set[str]:
    """Paths of the floating-point arrays that hold a NaN or an infinity."""
    bad = set()
    for name, leaf in checkpoint.named_leaves(tree).items():
        array = np.asarray(leaf)
        if array.dtype.kind not in "fcV":
            continue
        if array.dtype.kind == "V" or array.dtype.itemsize < 4:  # bfloat16 and its like
            array = array.astype(np.float32)
        if not np.isfinite(array).all():
            bad.add(name)
    return bad


def run_job(
    bench: Bench,
    folder: RunFolder,
    arm: str,
    seeds: tuple[int, ...],
    emit: Callable[[dict], Any],
    stop: Callable[[], bool] = lambda: False,
    every: float | None = None,
) -> bool:
    """Run one arm with its seed (or several, vmapped) to the end, or until `stop()`; True when done.

    Lines go to each seed's metrics.jsonl, checkpoints after at most `every` seconds (at a chunk's end).
    Raises Refused where a metric or the carry goes non-finite, naming which.
    """
    of, event = bench.study.chunks(arm, bench.settings), {"arm": arm, "seeds": seeds}
    carry = bench.start(arm, seeds)
    excused = not_finite(carry)  # a best loss of infinity, a last spike at minus infinity
    carry, tick = _go_on(folder, arm, seeds, carry)
    if tick:
        emit({"event": "resumed", "tick": tick, **event})
    stored = time.monotonic()
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(_Lines(folder, arm, seed)) for seed in seeds if tick < of]
        while tick < of:
            began = time.monotonic()
            carry, metrics = bench.step(arm, carry, seeds)
            took = time.monotonic() - began
            _check(bench.study, arm, seeds, tick, carry, metrics, excused)
            for lines, found in zip(files, metrics, strict=True):
                lines.add(tick, found, took / len(seeds))
            tick += 1
            stopping = stop()
            if (
                tick == of
                or stopping
                or time.monotonic() - stored > (EVERY if every is None else every)
            ):
                _store(folder, arm, seeds, tick, carry, files)
                stored = time.monotonic()
            emit({"event": "tick", "tick": tick, "of": of, "seconds": took, **event})
            if stopping:
                break
    return tick == of


class _Lines:
    """The growing files of one arm and seed."""

    def __init__(self, folder: RunFolder, arm: str, seed: int):
        self.place, self.head = folder.job(arm, seed), {"arm": arm, "seed": seed}

    def __enter__(self):
        self.place.mkdir(parents=True, exist_ok=True)
        self.files = [(self.place / name).open("ab") for name in NAMES]
        return self

    def __exit__(self, *error):
        for file in self.files:
            with contextlib.suppress(OSError):  # a full disk was reported when it was stored
                file.close()

    def add(self, tick, metrics, seconds):
        head = {**self.head, "tick": tick}
        self.files[0].write(dumps({**head, "metrics": metrics}).encode() + b"\n")
        self.files[1].write(dumps({**head, "seconds": round(seconds, 4)}).encode() + b"\n")

    def sync(self):
        for file in self.files:
            file.flush()
            os.fsync(file.fileno())


def _store(folder, arm, seeds, tick, carry, files) -> None:
    """Lines first, then the checkpoint that stands for them."""
    try:
        for file in files:
            file.sync()
        checkpoint.save(folder.checkpoints(arm, seeds), tick, carry)
    except Exception as error:  # Orbax passes the disk's errors on in types of its own
        raise cannot_write(folder, error) from error


def cannot_write(folder: RunFolder, error: Exception) -> Refused:
    """The refusal for a disk that is full or gone in the middle of a run."""
    why = getattr(error, "strerror", None) or str(error)[:200] or type(error).__name__
    line = f"cannot write in {folder.path}: {why}; what is stored stays: make room, then --resume"
    return Refused(line, 1)


def _go_on(folder: RunFolder, arm: str, seeds: tuple[int, ...], carry: Any) -> tuple[Any, int]:
    """The latest whole checkpoint whose lines are all there, with the files cut back to it."""
    place, where = folder.checkpoints(arm, seeds), [folder.job(arm, seed) for seed in seeds]
    lines = min(len(whole_lines(job / "metrics.jsonl")) for job in where)
    for tick in reversed(checkpoint.saved(place)):
        if tick <= lines:
            carry = checkpoint.restore(place, tick, carry)
            break
    else:
        tick = 0
    for job in where:
        for name in NAMES:
            _cut(job / name, tick)
    return carry, tick


def _cut(path: Any, count: int) -> None:
    """Keep the first `count` lines; what was written after the checkpoint is computed again."""
    if path.exists():
        raw = path.read_bytes().split(b"\n")[:-1][:count]
        with path.open("r+b") as file:
            file.truncate(sum(len(line) + 1 for line in raw))


def _check(study, arm, seeds, tick, carry, metrics, excused) -> None:
    gaps = set(study.arms[arm].gaps)
    for seed, found in zip(seeds, metrics, strict=True):
        bad = sorted({name[2:-2] for name in not_finite(found)} - gaps)
        if bad:
            line = (
                f"{study.slug}: arm {arm}, seed {seed}, chunk {tick}: metric {', '.join(bad)} went"
            )
            why = f"(a page writes Arm(gaps={tuple(bad)}) where NaN means not measured)"
            raise Refused(f"{line} non-finite; nothing after it would count {why}", 1)
    for name in sorted(not_finite(carry) - excused):
        line = f"{study.slug}: arm {arm}, {label(seeds)}, chunk {tick}: {name} went non-finite"
        raise Refused(f"{line}; lower a learning rate or clip gradients", 1)
