"""Adversarial examples: the change of an input, within a bound, that raises a loss the most."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array, lax

from neuropil.core import fold


def pgd(
    loss: Callable[[Array, Array], Array],
    x: Array,
    key: Array,
    *,
    radius: Any,
    steps: Any,
    rate: Any = None,
    draws: Any = 1,
    bounds: tuple[float | int, float | int] = (0.0, 1.0),
) -> Array:
    r"""Projected gradient ascent in a ball of the maximum norm (an adversarial attack).

    $$x_{k+1} = \Pi\Big(x_k + \eta\, \mathrm{sign} \sum_{j=1}^{J} \nabla_x L(x_k, \xi_{kj})\Big), \qquad
    x_0 = \Pi(x + r u), \quad u \sim U(-1, 1)$$

    $\Pi$ clips to $|x_k - x| \le r$ and to `bounds`. A network with noise $\xi$ is attacked through the mean of
    the gradients of J passes: one pass alone underestimates the attack and makes noise look like robustness.

    **Arguments**

    - `loss(x, key)`: a number, the sum over samples of what is to be raised; `key` is the pass's randomness.
    - `x`: inputs of any shape, within `bounds`; the samples are attacked at once and independently of each
      other as long as the loss is a sum over them.
    - `radius` r, `rate` $\eta$ (None: r / 4), `steps`, `draws` J: numbers, which may be traced, so that attacks
      of every strength share one compiled program. 0 steps give a random start, radius 0 gives x.

    The result has the shape and type of x. It may be part of a loss (adversarial training): it is a constant
    there as long as the parameters that `loss` uses have passed `lax.stop_gradient`.

    >>> w = jnp.array([1.0, -2.0, 0.0])
    >>> pgd(lambda x, key: x @ w, jnp.full(3, 0.5), jr.key(0), radius=0.25, steps=9).round(2)[:2].tolist()
    [0.75, 0.25]

    Raises ValueError for a negative radius, negative steps and fewer than one draw.

    Sources: Madry, Makelov, Schmidt, Tsipras, Vladu (2018), ICLR, arXiv:1706.06083; averaged gradients:
    Athalye, Carlini, Wagner (2018), ICML, arXiv:1802.00420.
    """
    for name, value, least in (("radius", radius, 0), ("steps", steps, 0), ("draws", draws, 1)):
        if isinstance(value, int | float) and value < least:
            raise ValueError(f"pgd: {name} = {value}; it must be at least {least}")
    lowest, highest = bounds
    radius = jnp.asarray(radius, x.dtype)
    rate = radius / 4 if rate is None else jnp.asarray(rate, x.dtype)
    low, high = jnp.maximum(x - radius, lowest), jnp.minimum(x + radius, highest)
    slope, of_steps = jax.grad(loss), fold(key, "steps")

    def step(i, at):
        passes = jr.fold_in(of_steps, i)
        add = lambda j, total: total + slope(at, jr.fold_in(passes, j))
        total = lax.fori_loop(0, draws, add, jnp.zeros_like(at))
        return jnp.clip(at + rate * jnp.sign(total), low, high)

    begin = x + radius * jr.uniform(fold(key, "start"), x.shape, x.dtype, -1, 1)
    return lax.fori_loop(0, steps, step, jnp.clip(begin, low, high))
