"""One job of a run: one arm, one seed, chunk by chunk, going on where a killed process stopped."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.random as jr
import numpy as np

from neuropil.core import advance, start
from neuropil.studies import checkpoint
from neuropil.studies.folder import RunFolder, dumps, whole_lines
from neuropil.studies.refuse import Refused
from neuropil.studies.study import Study

EVERY = float(os.environ.get("NEUROPIL_CHECKPOINT_SECONDS", "10"))


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

    def start(self, arm: str, seed: int) -> Any:
        """The carry of a job before its first chunk."""
        return _strong(start(self.take(arm), 1.0, jr.key(seed)))

    def step(self, arm: str, carry: Any) -> tuple[Any, dict[str, np.ndarray]]:
        """One chunk, waited for; metrics as NumPy."""
        plain = self.study.arms[arm].jit
        carry, metrics = (_compiled if plain else advance)(self.take(arm), carry)
        if not isinstance(metrics, dict):
            raise TypeError(
                f"{self.study.slug}: arm {arm} puts out {type(metrics).__name__}, not a dict of metrics;"
                " write   return state, {'accuracy': accuracy}"
            )
        carry = jax.block_until_ready(carry)
        return carry, {name: np.asarray(value) for name, value in metrics.items()}


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
    seed: int,
    emit: Callable[[dict], Any],
    stop: Callable[[], bool] = lambda: False,
    every: float = EVERY,
) -> bool:
    """Run one arm with one seed to its end, or until `stop()`; True where it is done.

    Lines go to the job's metrics.jsonl, checkpoints after at most `every` seconds (at a chunk's end).
    Raises Refused where a metric or the carry goes non-finite, naming which.
    """
    study, where = bench.study, folder.job(arm, seed)
    of = study.chunks(arm, bench.settings)
    carry = bench.start(arm, seed)
    excused = not_finite(carry)  # a best loss of infinity, a last spike at minus infinity
    carry, tick = _go_on(folder, arm, seed, carry)
    if tick:
        emit({"event": "resumed", "arm": arm, "seed": seed, "tick": tick})
    if tick >= of:
        return True
    where.mkdir(parents=True, exist_ok=True)
    stored = time.monotonic()
    with (where / "metrics.jsonl").open("ab") as lines, (where / "timing.jsonl").open("ab") as times:
        while tick < of:
            began = time.monotonic()
            carry, metrics = bench.step(arm, carry)
            took = time.monotonic() - began
            _check(study, arm, seed, tick, carry, metrics, excused)
            row = {"arm": arm, "seed": seed, "tick": tick, "metrics": metrics}
            lines.write(dumps(row).encode() + b"\n")
            row = {"arm": arm, "seed": seed, "tick": tick, "seconds": round(took, 4)}
            times.write(dumps(row).encode() + b"\n")
            tick += 1
            stopping = stop()
            if tick == of or stopping or time.monotonic() - stored > every:
                _store(folder, arm, seed, tick, carry, (lines, times))
                stored = time.monotonic()
            emit({"event": "tick", "arm": arm, "seed": seed, "tick": tick, "of": of, "seconds": took})
            if stopping:
                return tick == of
    return True


def _store(folder, arm, seed, tick, carry, files) -> None:
    """Lines first, then the checkpoint that stands for them."""
    try:
        for file in files:
            file.flush()
            os.fsync(file.fileno())
        checkpoint.save(folder.checkpoints(arm, seed), tick, carry)
    except Exception as error:  # Orbax passes the disk's errors on in types of its own
        raise cannot_write(folder, error) from error


def cannot_write(folder: RunFolder, error: Exception) -> Refused:
    """The refusal for a disk that is full or gone in the middle of a run."""
    why = getattr(error, "strerror", None) or str(error)[:200] or type(error).__name__
    line = f"cannot write in {folder.path}: {why}; what is stored stays: make room, then --resume"
    return Refused(line, 1)


def _go_on(folder: RunFolder, arm: str, seed: int, carry: Any) -> tuple[Any, int]:
    """The latest whole checkpoint whose lines are all there, with the files cut back to it."""
    place, where = folder.checkpoints(arm, seed), folder.job(arm, seed)
    lines = whole_lines(where / "metrics.jsonl")
    for tick in reversed(checkpoint.saved(place)):
        if tick <= len(lines):
            carry = checkpoint.restore(place, tick, carry)
            break
    else:
        tick = 0
    for name in ("metrics.jsonl", "timing.jsonl"):
        _cut(where / name, tick)
    return carry, tick


def _cut(path: Any, count: int) -> None:
    """Keep the first `count` lines; what was written after the checkpoint is computed again."""
    if path.exists():
        raw = path.read_bytes().split(b"\n")[:-1][:count]
        with path.open("r+b") as file:
            file.truncate(sum(len(line) + 1 for line in raw))


def _check(study, arm, seed, tick, carry, metrics, excused) -> None:
    say = f"{study.slug}: arm {arm}, seed {seed}, chunk {tick}"
    for name in sorted(not_finite(metrics) - {f"['{gap}']" for gap in study.arms[arm].gaps}):
        raise Refused(f"{say}: metric {name[2:-2]} went non-finite; nothing after it would count", 1)
    for name in sorted(not_finite(carry) - excused):
        raise Refused(f"{say}: {name} went non-finite; lower a learning rate or clip gradients", 1)
