"""The trainer: an optimiser that owns a model, with early stopping and a guard, itself a System."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax import Array

from neuropil.core import Carry, Managed, System
from neuropil.learn.credit import Backpropagation, Credit, Taught
from neuropil.learn.layers import Unsuited
from neuropil.learn.optimiser import Gradient, Optimiser, climbs, learnable


class Trainer(System):
    r"""Gradient descent as a System: one tick is one update on one batch.

    $$\theta_{k+1} = \theta_k + \text{tx}(\nabla_\theta L(\theta_k, \text{batch}_k))$$

    It is `Managed(Gradient(model, loss), Optimiser(tx))`: the model is the fast system, the optimiser the slow
    one that owns its parameters. Parameters, optimiser state, best parameters and patience are all in the
    state: saving the `Carry` is a checkpoint, and `vmap` over carries is several seeds at once.

    **Arguments**

    - `model`: any equinox module or `System`.
    - `loss(model, batch, key)`: a number, or (number, {name: metric}). `key` is the step's own randomness.
    - `tx`: an optax transformation. Schedules and clipping are optax's:
      `optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(1e-3, 1000)))`.
    - `learn`: patterns of parameter paths, such as ("*.weight", "*.tau"). None: every floating-point array
      but those with a physical unit (see `learnable`).
    - `patience`: validations without a better score before training stops; None: never.
    - `credit`: the learner that finds the direction in place of backpropagation (see `learn.credit`); it
      refuses a model or a loss that does not offer what it needs. Parameters of its own are learned by `tx`
      too: give them rates of their own by `optax.multi_transform(..., Taught("model", "credit"))`.
    - `watch`: what is compared at a validation, "loss" or the name of a metric; `better` its direction.

    Input of a tick: a batch, any tree. Output: {"loss", metrics ..., "grad_norm"}.
    State: {"inner": ManagedState, "score", "waited", and "best" where there is patience}.

    Once a loss, gradient or parameter is not finite nothing changes any more: the parameters stay the last
    finite ones and `culprit` names the array and the step.

    >>> import jax.random as jr
    >>> from neuropil.core import run, start
    >>> loss = lambda w, batch, key: jnp.sum((w - batch) ** 2)
    >>> trainer = Trainer(jnp.zeros(2), loss, optax.sgd(0.25))
    >>> carry = start(trainer, 1.0, jr.key(0))
    >>> carry, out = run(trainer, carry, jnp.ones((3, 2)))
    >>> trainer.model(carry).tolist(), out["loss"].tolist()
    ([0.875, 0.875], [2.0, 0.5, 0.125])

    Seeds with initial weights of their own, at once:

    >>> make = lambda key: Trainer(jr.normal(key, (2,)), loss, optax.sgd(0.25))
    >>> from neuropil.core import SEEDS, advance
    >>> carries = jax.vmap(lambda k: start(make(k), 1.0, k), out_axes=SEEDS)(jr.split(jr.key(0), 3))
    >>> step = jax.vmap(lambda c: advance(trainer, c, jnp.ones(2)), (SEEDS,), (SEEDS, 0))
    >>> step(carries)[1]["loss"].shape
    (3,)

    Raises ValueError where nothing learns, for a pattern that fits no array, for a learner that cannot train
    this model (`Unsuited`), for a negative learning rate, and for bad settings.
    """

    inner: Managed
    patience: int | None = eqx.field(static=True)
    watch: str = eqx.field(static=True)
    better: Literal["lower", "higher"] = eqx.field(static=True)

    def __init__(
        self,
        model: Any,
        loss: Callable,
        tx: Any,
        *,
        learn: tuple[str, ...] | str | None = None,
        patience: int | None = None,
        watch: str = "loss",
        better: Literal["lower", "higher"] = "lower",
        credit: Credit = Backpropagation(),
    ):
        if not hasattr(tx, "update") or not hasattr(tx, "init"):
            raise TypeError("Trainer: tx is not an optax transformation; write optax.adam(1e-3)")
        if patience is not None and patience < 1:
            raise ValueError(f"Trainer: patience = {patience} but it must be at least 1 validation")
        if better not in ("lower", "higher"):
            raise ValueError(f"Trainer: better={better!r}; write 'lower' or 'higher'")
        if reason := credit.refuses(model, loss):
            raise Unsuited(f"Trainer: {type(credit).__name__} {reason}")
        learned, fixed = eqx.partition(model, learnable(model, learn))
        # of a weak type (`jnp.full(3, 0.1)`) it would change type at the first update, and compile again
        learned = jax.tree.map(lambda a: jnp.asarray(a, a.dtype), learned)
        own, credit = eqx.partition(credit, credit.teaches())
        if jax.tree.leaves(own):
            learned = Taught(learned, own)
        if climbs(tx, learned):
            raise ValueError(
                "Trainer: the first step of tx goes up the gradient; a learning rate must not be negative"
            )
        fast = Gradient(learned, fixed, loss, credit)
        self.inner = Managed(fast, Optimiser(learned, tx), owns="learned")
        self.patience, self.watch, self.better = patience, watch, better

    def init(self, dt, key):
        inner = self.inner.init(dt, key)
        dtype = jnp.result_type(float)
        worst = jnp.asarray(jnp.inf if self.better == "lower" else -jnp.inf, dtype)
        state = {"inner": inner, "score": worst, "waited": jnp.int32(0)}
        if self.patience is not None:
            state["best"] = jax.tree.map(jnp.array, inner.theta)
        return state

    def step(self, state, x, tick):
        inner, y = self.inner.step(state["inner"], x, tick)
        norm = optax.tree.norm(y["grad"])
        return {**state, "inner": inner}, {"loss": y["loss"], **y["metrics"], "grad_norm": norm}

    def children(self):
        return {"inner": "inner"}

    def judged(self, carry: Carry, score: Array) -> Carry:
        """The carry after a validation: better parameters are kept, patience is counted, and stops.

        A score that is not finite is never better.
        """
        state, sign = carry.state, 1 if self.better == "lower" else -1
        won = jnp.isfinite(score) & (sign * score < sign * state["score"])
        after = {
            **state,
            "score": jnp.where(won, score, state["score"]),
            "waited": jnp.where(won, 0, state["waited"] + 1),
        }
        if self.patience is not None:
            choose = lambda new, old: jnp.where(won, new, old)
            after["best"] = jax.tree.map(choose, state["inner"].theta, state["best"])
            slow = state["inner"].slow
            go = slow["go"] & (after["waited"] < self.patience)
            after["inner"] = eqx.tree_at(lambda s: s.slow, state["inner"], {**slow, "go": go})
        return Carry(carry.i, carry.dt, carry.key, after)

    def model(self, carry: Carry, *, best: bool = False) -> Any:
        """The model with the parameters it has now, or (`best`) had at its best validation."""
        if best and self.patience is None:
            raise ValueError(
                "Trainer.model: no best parameters are kept; give Trainer(patience=...)"
            )
        theta = carry.state["best"] if best else carry.state["inner"].theta
        theta = theta.model if isinstance(theta, Taught) else theta
        return eqx.combine(theta, self.inner.fast.fixed)

    def credit(self, carry: Carry) -> Credit:
        """The learner, with the parameters of its own that it has now."""
        theta = carry.state["inner"].theta
        rest = self.inner.fast.credit
        return eqx.combine(theta.credit, rest) if isinstance(theta, Taught) else rest

    def learned(self) -> list[str]:
        """Paths of the arrays that learn."""
        names = self.inner.slow.names()[1:]
        return [n.removeprefix("gradient of ") for n in names[: len(names) // 2]]

    def culprit(self, carry: Carry) -> tuple[str, int] | None:
        """(name, step) of the first array that was not finite; None where all was well."""
        slow = carry.state["inner"].slow
        if int(slow["culprit"]) < 0:
            return None
        return self.inner.slow.names()[int(slow["culprit"])], int(slow["at"])

    def stopped(self, carry: Carry) -> bool:
        """Whether the patience has run out, or something was not finite."""
        return not bool(carry.state["inner"].slow["go"])
