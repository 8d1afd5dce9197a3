"""Sparse wiring with a fixed number of targets for every cell (CSR rows of equal length)."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from neuropil.core import param
from neuropil.wiring.base import Wiring, check_weight


class Sparse(Wiring):
    r"""Every presynaptic cell j has k targets: $y_i = \sum_{j, m:\, target_{jm} = i} w_{jm} x_j$.

    `target` and `weight` have shape (pre, k); `post` is the number of postsynaptic cells. No array of
    pre x post is ever made. A target may stand twice in a row: its weights add.

    >>> wires = Sparse(jnp.array([[0, 1], [1, 1]]), jnp.array([[1.0, 2.0], [3.0, 4.0]]), 2)
    >>> wires.forward(jnp.array([1.0, 10.0])).tolist()
    [1.0, 72.0]

    Raises ValueError for targets outside 0 .. post - 1.
    """

    target: Array
    weight: Array = param(axes=("pre", "synapse"))
    post: int = eqx.field(static=True)

    def __init__(self, target: Array | np.ndarray, weight: Array | np.ndarray, post: int):
        self.target = jnp.asarray(target, jnp.int32)
        self.weight = jnp.asarray(weight, jnp.result_type(float))
        self.post = post

    def __check_init__(self):
        check_weight("Sparse", self.weight, 2, "(pre, k)")
        if self.target.shape != self.weight.shape:
            raise ValueError(
                f"Sparse: targets {self.target.shape} and weights {self.weight.shape} differ"
            )
        if isinstance(self.target, jax.core.Tracer) or not self.target.size:
            return
        low, high = int(self.target.min()), int(self.target.max())
        if low < 0 or high >= self.post:
            raise ValueError(f"Sparse: targets {low}..{high} but the cells are 0..{self.post - 1}")

    @staticmethod
    def random(
        pre: int, post: int, fan_out: int, key: Array, *, weight: float | None = None
    ) -> Sparse:
        """Targets drawn without repetition; weights all `weight`, or normal (mean fan-in)^-1/2 wide."""
        if not 1 <= fan_out <= post:
            raise ValueError(
                f"Sparse: fan_out = {fan_out} but there are {post} cells; give 1..{post}"
            )
        a, b = jax.random.split(key)
        rng = np.random.default_rng(np.asarray(jax.random.key_data(a)).astype(np.uint32))
        target = np.stack([rng.choice(post, fan_out, replace=False) for _ in range(pre)])
        scale = (max(pre * fan_out / post, 1.0)) ** -0.5
        drawn = scale * jax.random.normal(b, target.shape)
        return Sparse(target, drawn if weight is None else jnp.full(target.shape, weight), post)

    def forward(self, x):
        y = jnp.zeros(self.post, jnp.result_type(self.weight, x))
        return y.at[self.target.reshape(-1)].add((self.weight * x[:, None]).reshape(-1))

    def transpose(self, y):
        return (self.weight * y[self.target]).sum(1)

    def dense(self) -> Array:
        """The same weights as a (post, pre) matrix, for small populations."""
        pre = jnp.broadcast_to(jnp.arange(self.target.shape[0])[:, None], self.target.shape)
        return jnp.zeros((self.post, self.target.shape[0])).at[self.target, pre].add(self.weight)

    def rest(self):
        return jnp.zeros(self.post, self.weight.dtype)
