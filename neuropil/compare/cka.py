"""Centred kernel alignment: how alike two representations of the same samples are, whatever their axes."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def linear_cka(x: Float[Array, "sample p"], y: Float[Array, "sample q"]) -> Float[Array, ""]:
    r"""Linear CKA of two sets of features of the same samples, 0 to 1; JAX, so it may run while a net learns.

    $$\mathrm{CKA} = \frac{\|Y_c^\top X_c\|_F^2}{\|X_c^\top X_c\|_F\, \|Y_c^\top Y_c\|_F}$$

    with centred columns. It does not change under rotations and a common scale of either side; for one feature
    each it is the squared correlation. With fewer samples than features unrelated features score above 0:
    compare with an untrained or shuffled control. Features that do not vary give 0.

    >>> x = jnp.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])
    >>> round(float(linear_cka(x, 3 * x[:, ::-1])), 4)
    1.0

    Source: Kornblith, Norouzi, Lee, Hinton (2019), ICML, arXiv:1905.00414.
    """
    x, y = x - x.mean(0, keepdims=True), y - y.mean(0, keepdims=True)
    if max(x.shape[1], y.shape[1]) > x.shape[0]:  # through the samples, where they are fewer
        k, l = x @ x.T, y @ y.T
        cross, own, other = jnp.sum(k * l), jnp.sum(k * k), jnp.sum(l * l)
    else:
        cross, own, other = (jnp.sum((a.T @ b) ** 2) for a, b in ((y, x), (x, x), (y, y)))
    scale = jnp.sqrt(own) * jnp.sqrt(other)
    return jnp.where(scale > 0, cross / jnp.where(scale > 0, scale, 1.0), 0.0)
