"""The loop round a trainer: epochs of shuffled minibatches, validation, a progress bar, a diagnosis."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import Array
from jax.experimental import checkify
from tqdm import tqdm

from neuropil.core import Carry, Tick, advance, first_nonfinite, fold, start
from neuropil.core.random import tick_keys
from neuropil.learn.trainer import Trainer


class NonFiniteError(FloatingPointError):
    """Training met NaN or infinity. `fit` holds the last finite parameters."""

    def __init__(self, message: str, fit: Fit):
        super().__init__(message)
        self.fit = fit


@dataclass(frozen=True)
class Fit:
    """What training gave.

    - `model`: with the best parameters where there was patience, else the last ones (always finite);
    - `carry`: to go on from, or to save;
    - `epochs`: {name: one value an epoch}, means over the epoch's steps, and "valid.<name>";
    - `steps`: {name: one value a step};
    - `why`: "finished", "patience", or the sentence of the guard.
    """

    model: Any
    carry: Carry
    epochs: dict[str, np.ndarray]
    steps: dict[str, np.ndarray]
    why: str


def minibatches(key: Array, n: int, size: int) -> Array:
    """Indices of an epoch's batches, (n // size, size), shuffled by the key; the rest is left out.

    >>> sorted(minibatches(jr.key(0), 6, 3).ravel().tolist())
    [0, 1, 2, 3, 4, 5]

    Raises ValueError where a batch is larger than the data.
    """
    if not 1 <= size <= n:
        raise ValueError(f"minibatches: batch of {size} but there are {n} samples; give 1..{n}")
    return jr.permutation(key, n)[: n // size * size].reshape(-1, size)


def check_data(data: Any, what: str = "data") -> int:
    """Number of samples of a tree of arrays; refuses what cannot be trained on, before anything compiles.

    Raises ValueError for no samples, arrays of different lengths, and NaN or infinity.
    """
    sizes = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(data)[0]:
        name = jax.tree_util.keystr(path) or "array"
        if not jnp.ndim(leaf):
            raise ValueError(f"train: {what} {name} is one number; arrays are (sample, ...)")
        sizes[name] = jnp.shape(leaf)[0]
        kind = leaf if isinstance(leaf, np.ndarray) else jnp.asarray(leaf)
        if jnp.issubdtype(kind.dtype, jnp.floating) and not bool(jnp.isfinite(kind).all()):
            raise ValueError(
                f"train: {what} {name} holds NaN or infinity; mask or drop those samples"
            )
    if not sizes or min(sizes.values()) == 0:
        raise ValueError(f"train: {what} is empty; give arrays of shape (sample, ...)")
    if len(set(sizes.values())) > 1:
        raise ValueError(f"train: {what} of different lengths {sizes}; make the first axes equal")
    return next(iter(sizes.values()))


@eqx.filter_jit(donate="all-except-first")
def _step(fixed, carry):
    trainer, batch = fixed
    return advance(trainer, carry, batch)


@jax.jit
def _taken(data, index):
    """A batch, apart from the step: data of another length then need no new compilation of the step."""
    return jax.tree.map(lambda a: a[index], data)


@eqx.filter_jit
def _losses(trainer, carry, batch, key):
    out = trainer.inner.fast.loss(trainer.model(carry), batch, key)
    loss, metrics = out if isinstance(out, tuple) else (out, {})
    return {"loss": loss, **metrics}


@eqx.filter_jit
def _judged(trainer, carry, score):
    return trainer.judged(carry, score)


def evaluate(
    trainer: Trainer, carry: Carry, data: Any, batch: int | None = None
) -> dict[str, float]:
    """Loss and metrics on data, without learning: the mean over samples, taken batch by batch.

    The randomness is the same at every call, so that two evaluations differ by the parameters only.
    """
    n = check_data(data, "validation data")
    size, key = min(batch or n, n), fold(carry.key, "evaluate")
    total: dict[str, float] = {}
    for begin in range(0, n, size):
        part = jax.tree.map(lambda a, b=begin: jnp.asarray(a[b : b + size]), data)
        out = _losses(trainer, carry, part, jr.fold_in(key, begin))
        weight = min(size, n - begin) / n
        for name, value in out.items():
            total[name] = total.get(name, 0.0) + weight * float(value)
    return total


def _origin(trainer, carry, batch, key) -> str:
    """Where the first NaN or division by zero arises in the loss, found by running it again with checks."""
    checked = checkify.checkify(trainer.inner.fast.loss, errors=checkify.float_checks)
    try:
        error, _ = checked(trainer.model(carry), batch, key)
        found = error.get()
    except Exception:  # a primitive that cannot be checked: the name of the array has to do
        return ""
    return f" ({found.splitlines()[0]})" if found else ""


def diagnose(trainer: Trainer, carry: Carry, batch: Any) -> str:
    """One sentence on what went non-finite at which step; `batch` is that step's."""
    name, at = trainer.culprit(carry)  # pyright: ignore
    inside = first_nonfinite(batch)
    if inside is not None:
        return f"step {at}: the batch {inside} was not finite"
    tick = Tick(jnp.int32(at), carry.dt, tick_keys(carry.key, at)).child("fast")
    return f"step {at}: {name} was not finite{_origin(trainer, carry, batch, tick.key)}"


_LOOK = 64  # ticks between two looks at the guard within an epoch


class _Batches:
    """Indices of the batch of step i: a function of the run's key and i alone, one epoch kept."""

    def __init__(self, key, n, size):
        self.key, self.n, self.size, self.count = key, n, size, n // size
        self.epoch, self.order = -1, None

    def __call__(self, i: int) -> Array:
        epoch, within = divmod(i, self.count)
        if epoch != self.epoch:
            self.epoch = epoch
            self.order = minibatches(jr.fold_in(self.key, epoch), self.n, self.size)
        return self.order[within]  # pyright: ignore


def _hidden(progress: bool | None) -> bool | None:
    """tqdm's `disable`: None hides the bar where there is no terminal."""
    return None if progress is None else not progress


def _mean(rows: list[dict]) -> dict[str, float]:
    return {name: float(np.mean([r[name] for r in rows])) for name in rows[0]}


def _stack(rows: list[dict]) -> dict[str, np.ndarray]:
    return {name: np.asarray([r[name] for r in rows]) for name in (rows[0] if rows else {})}


def _judge(trainer: Trainer, carry: Carry, scores: dict[str, float]) -> Carry:
    if trainer.watch not in scores:
        raise KeyError(f"train: watch={trainer.watch!r} but the loss gives {sorted(scores)}")
    return _judged(trainer, carry, jnp.asarray(scores[trainer.watch], jnp.result_type(float)))


def train(
    trainer: Trainer,
    data: Any,
    *,
    epochs: int,
    batch: int,
    key: Array | None = None,
    carry: Carry | None = None,
    valid: Any = None,
    progress: bool | None = None,
    on_nan: Literal["stop", "raise"] = "stop",
) -> Fit:
    """Epochs of shuffled minibatches, with early stopping on validation data and a guard against NaN.

    **Arguments**

    - `data`: tree of arrays (sample, ...); a batch is the same tree with `batch` samples.
    - `epochs`: how many more epochs; samples left over by an epoch's last batch sit that epoch out.
    - `key`: the run's randomness (weights of the model are the caller's), or `carry` to go on with.
    - `valid`: data for the validation after every epoch; patience is the trainer's.
    - `progress`: bar on (True), off (False), or only on a terminal (None).
    - `on_nan`: "stop" warns and returns the last finite parameters, "raise" raises `NonFiniteError`.

    Shuffling depends on the run's key and the number of the epoch: a run that is saved and gone on with
    gives the same numbers to the bit, also from the middle of an epoch.

    >>> import optax
    >>> xs = jnp.linspace(-1, 1, 64)
    >>> loss = lambda w, batch, key: jnp.mean((w * batch["x"] - batch["y"]) ** 2)
    >>> trainer = Trainer(jnp.zeros(()), loss, optax.sgd(0.5))
    >>> fit = train(trainer, {"x": xs, "y": 3 * xs}, epochs=20, batch=16, key=jr.key(0))
    >>> round(float(fit.model), 3), fit.why
    (3.0, 'finished')

    Raises ValueError, before anything is compiled, for data that is empty, of different lengths or not
    finite, and for a batch larger than the data.
    """
    n = check_data(data)
    if not 1 <= batch <= n:
        raise ValueError(f"train: batch = {batch} but there are {n} samples; give 1..{n}")
    if epochs < 1:
        raise ValueError(f"train: epochs = {epochs} but it must be at least 1")
    if valid is not None:
        check_data(valid, "validation data")
    if (carry is None) == (key is None):
        raise ValueError("train: give key= to begin, or carry= to go on; not both, not neither")
    if trainer.patience is not None and valid is None:
        raise ValueError(
            "train: the trainer has patience but there is no data to validate on; give valid="
        )
    data = jax.tree.map(jnp.asarray, data)
    carry = start(trainer, 1.0, key) if carry is None else carry
    carry = jax.tree.map(jnp.array, carry)  # a copy of our own: every step donates it
    batches = _Batches(fold(carry.key, "shuffle"), n, batch)
    begin = int(carry.i)
    last = (begin // batches.count + epochs) * batches.count
    steps: list[dict] = []
    means: list[dict] = []
    with tqdm(total=last - begin, disable=_hidden(progress), unit="step") as bar:
        for i in range(begin, last):
            carry, out = _step((trainer, _taken(data, batches(i))), carry)
            steps.append(out)
            bar.update()
            ends = (i + 1) % batches.count == 0
            if not ends and (i + 1) % _LOOK:
                continue  # looking at the state waits for the device
            if trainer.stopped(carry):
                break
            if not ends:
                continue
            now = _mean(steps[-batches.count :])
            if valid is not None:
                scores = evaluate(trainer, carry, valid, batch)
                carry = _judge(trainer, carry, scores)
                now |= {f"valid.{name}": value for name, value in scores.items()}
            means.append(now)
            bar.set_postfix({k: f"{v:.4g}" for k, v in now.items() if k.endswith("loss")})
            if trainer.stopped(carry):
                break
    why = "patience" if trainer.stopped(carry) else "finished"
    found = trainer.culprit(carry)
    if found is not None:
        failed = jax.tree.map(lambda a: a[batches(found[1])], data)
        why = f"train: {diagnose(trainer, carry, failed)}; the parameters before that step are kept"
    kept = trainer.model(carry, best=trainer.patience is not None)
    fit = Fit(kept, carry, _stack(means), _stack(jax.device_get(steps)), why)
    if found is not None and on_nan == "raise":
        raise NonFiniteError(why, fit)
    if found is not None:
        warnings.warn(why, RuntimeWarning, stacklevel=2)
    return fit
