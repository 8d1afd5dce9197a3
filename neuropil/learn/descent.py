"""A whole training as one compiled loop, for a loss that draws its own data."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from neuropil.core import advance, start
from neuropil.learn.trainer import Trainer


def descend(trainer: Trainer, key: Array, updates: Any, *, window: int = 32) -> tuple[Any, Array]:
    """Train within jit: (the model after `updates` updates, running mean of the loss over `window` of them).

    The loss gets None for a batch and draws its data with its key, so that a training is a function of
    (trainer, key) alone; `updates` may be traced, and 0. For data in memory, epochs, validation and a guard
    that reports, see `train`.

    >>> import jax.random as jr, optax
    >>> def loss(w, batch, key):
    ...     x = jr.normal(key, (16,))
    ...     return jnp.mean((w * x - 3 * x) ** 2)
    >>> model, _ = descend(Trainer(jnp.zeros(()), loss, optax.sgd(0.2)), jr.key(0), 50)
    >>> round(float(model), 3)
    3.0
    """

    def update(_, now):
        carry, smooth = now
        carry, out = advance(trainer, carry, None)
        return carry, smooth + (out["loss"] - smooth) / window

    begin = (start(trainer, 1.0, key), jnp.zeros(()))
    carry, smooth = jax.lax.fori_loop(0, updates, update, begin)
    return trainer.model(carry), smooth
