"""Tasks of adaptive-reservoir: what drives a reservoir, what is asked of it, and how it is judged."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array
from jaxtyping import Bool, Float

from neuropil.learn.ridge import Moments
from neuropil.stats.capacity import delayed, squared_correlation
from neuropil.worlds.series import lorenz, mackey_glass, narma

TASKS = ("capacity", "narma", "mackey", "lorenz")
AHEAD = {"mackey": 84, "lorenz": 10}  # samples; 10 of 0.02 are 0.2 time units of the Lorenz system
PENALTIES = (1e-9, 1e-7, 1e-5, 1e-3)  # of the ridge readout, times the number of samples
DRAWS = 4  # series of which the first one that stays bounded is taken


class Sizes(NamedTuple):
    """Ticks: to adapt (fast, then slowly), to wash out, to learn from, to choose by and to test on; delays."""

    adapt: int = 2000
    settle: int = 1000
    washout: int = 200
    train: int = 2000
    valid: int = 700
    test: int = 1700
    delays: int = 60

    @property
    def before(self) -> int:
        """Ticks of adaptation."""
        return self.adapt + self.settle

    @property
    def total(self) -> int:
        """All ticks of a run."""
        return self.before + self.washout + self.train + self.valid + self.test


class Series(eqx.Module):
    """Chaotic series long enough for every seed to take a part of its own, scaled to 0..0.5."""

    mackey: Float[Array, " time"]
    lorenz: Float[Array, " time"]


def unit(x: Array) -> Array:
    """Scaled to 0..0.5, where the random input lies too."""
    return 0.5 * (x - x.min()) / (x.max() - x.min())


def load(settings: dict) -> Series:
    """Both series, 4 times as long as a run."""
    n = 4 * sizes(settings).total + max(AHEAD.values())
    return Series(unit(mackey_glass(n, settle=1000)), unit(lorenz(n)[:, 0]))


def sizes(settings: dict) -> Sizes:
    """The sizes of a run."""
    return Sizes(**{name: settings[name] for name in Sizes._fields})


class Drawn(NamedTuple):
    """Inputs (task, time) of a seed, and targets (task, time, column): of all tasks but the first only column
    0 counts."""

    u: Float[Array, "task time"]
    y: Float[Array, "task time column"]


def draw(series: Series, size: Sizes, key: Array) -> Drawn:
    """What a seed is asked: the same random input for capacity and NARMA, own parts of the two series."""
    a, b, c = jr.split(key, 3)
    tried = 0.5 * jr.uniform(a, (DRAWS, size.total))
    answers = jax.vmap(narma)(tried)
    bounded = (jnp.where(jnp.isfinite(answers), jnp.abs(answers), jnp.inf) < 2).all(1)
    first = jnp.argmax(bounded)
    u, moved = tried[first], answers[first]
    past = delayed(u, range(1, size.delays + 1))
    alone = lambda y: jnp.zeros_like(past).at[:, 0].set(y)
    inputs, targets = [u, u], [past, alone(moved)]
    for name, key in (("mackey", b), ("lorenz", c)):
        whole = getattr(series, name)
        at = jr.randint(key, (), 0, len(whole) - size.total - AHEAD[name])
        part = lambda shift, at=at, whole=whole: jax.lax.dynamic_slice_in_dim(
            whole, at + shift, size.total
        )
        inputs.append(part(0))
        targets.append(alone(part(AHEAD[name])))
    return Drawn(jnp.stack(inputs), jnp.stack(targets))


IS_CAPACITY = jnp.arange(len(TASKS)) == 0


def loss(guess: Array, y: Array, capacity: Bool[Array, ""]) -> Array:
    """Less is better: minus the memory capacity, or the normalised root mean squared error of column 0."""
    memory = squared_correlation(guess, y).sum()
    error = jnp.sqrt(((guess[:, 0] - y[:, 0]) ** 2).mean()) / y[:, 0].std()
    return jnp.where(capacity, -memory, error)


def judge(
    r: Float[Array, "time unit"],
    y: Float[Array, "time column"],
    capacity: Bool[Array, ""],
    size: Sizes,
) -> tuple[Array, Array]:
    """(validation, test) loss of a ridge readout whose penalty is chosen by validation.

    `r` and `y` begin with the washout. Without test ticks (a search) the second number is that of validation.
    """
    cuts = [size.washout, size.washout + size.train, size.washout + size.train + size.valid]
    parts = [slice(a, b) for a, b in zip(cuts, [*cuts[1:], None], strict=True)]
    searching = len(r) == cuts[-1]
    learned = Moments.of(r[parts[0]], y[parts[0]])

    def found(penalty):
        weights, intercept = learned.solve(penalty * size.train)
        judged = parts[1:2] if searching else parts[1:]
        return jnp.stack([loss(r[p] @ weights + intercept[None], y[p], capacity) for p in judged])

    all_ = jnp.stack([found(p) for p in PENALTIES])
    best = all_[jnp.argmin(all_[:, 0])]
    return best[0], best[-1]
