"""Bounds of a plastic weight: how much of a change is left near them."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from neuropil.core import Part, param


class HardBounds(Part):
    """Additive changes in units of (high - low), cut off at the bounds.

    Bounds may be arrays that broadcast to the weight (post, pre): one row (1, pre) of signs keeps Dale's law.

    >>> HardBounds(0.0, 2.0).up(jnp.array([0.0, 1.9]), jnp.array(0.1)).round(3).tolist()
    [0.20000000298023224, 0.10000000149011612]
    """

    low: Array = param(0.0)
    high: Array = param(1.0)

    def up(self, w: Array, amount: Array) -> Array:
        """What a potentiation by `amount` adds to w."""
        return jnp.minimum(amount * (self.high - self.low), self.high - w)

    def down(self, w: Array, amount: Array) -> Array:
        """What a depression by `amount` takes from w."""
        return jnp.minimum(amount * (self.high - self.low), w - self.low)


class SoftBounds(Part):
    r"""Changes that fade towards the bounds: up $(high - w)^\mu$, down $(w - low)^\mu$.

    mu = 1 is multiplicative, between 0 and 1 the rule of Gütig et al. (2003), J. Neurosci. 23, 3697.
    """

    low: Array = param(0.0)
    high: Array = param(1.0)
    mu: Array = param(1.0, bounds=(0, 1))

    def _scaled(self, room, amount):
        span = self.high - self.low
        part = jnp.clip(room / span, 0.0, 1.0)
        safe = jnp.where(part > 0, part, 1.0)  # 0 ** mu has no derivative
        change = jnp.where(part > 0, safe**self.mu, 0.0) * amount * span
        return jnp.minimum(change, jnp.maximum(room, 0.0))  # a large change ends at the bound

    def up(self, w: Array, amount: Array) -> Array:
        """What a potentiation by `amount` adds to w."""
        return self._scaled(self.high - w, amount)

    def down(self, w: Array, amount: Array) -> Array:
        """What a depression by `amount` takes from w."""
        return self._scaled(w - self.low, amount)


class NoBounds(Part):
    """Additive changes without limit."""

    def up(self, w: Array, amount: Array) -> Array:
        """What a potentiation by `amount` adds to w."""
        return amount + jnp.zeros_like(w)

    def down(self, w: Array, amount: Array) -> Array:
        """What a depression by `amount` takes from w."""
        return amount + jnp.zeros_like(w)


Bounds = HardBounds | SoftBounds | NoBounds
