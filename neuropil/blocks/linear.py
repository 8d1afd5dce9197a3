r"""Attention with a separable kernel: a state of fixed size instead of a growing cache.

$$S_i = S_{i-1} + \varphi(k_i) v_i^\top, \qquad y_i = S_i^\top \varphi(q_i) / \eta_i$$

The feature map phi and the normaliser eta are parts:

- linear attention (Katharopoulos et al. 2020, arXiv 2006.16236): phi = elu + 1, eta the sum of the
  kernel over the past (`KernelSum`);
- normalised attention (Sieber et al. 2024, arXiv 2405.15731): phi = identity, eta a learned positive
  function of the present token alone (`Learned`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from neuropil.blocks.attention import check_heads, join_heads, projections, split_heads
from neuropil.blocks.recurrence import separable
from neuropil.core import System, Tick
from neuropil.wiring import Dense


def elu_plus_one(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """elu(x) + 1: positive features."""
    return jax.nn.elu(x) + 1


def identity(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The features are the keys and queries themselves."""
    return x


def taylor(order: int) -> Callable[[Array], Array]:
    r"""Features of exp(q.k) cut after `order`: 1 + m + ... + m^order of them for width m.

    $$\varphi(x) = \big(x^{\otimes p} / \sqrt{p!}\big)_{p = 0 .. order}$$

    so that phi(q).phi(k) = sum of (q.k)^p / p!. For an odd order this may be negative.

    >>> f = taylor(2)
    >>> f(jnp.ones(3)).shape, round(float(f(jnp.ones(1)) @ f(jnp.ones(1))), 4)
    ((13,), 2.5)
    """

    def features(x):
        power, parts = jnp.ones((*x.shape[:-1], 1), x.dtype), []
        for p in range(order + 1):
            parts.append(power / math.sqrt(math.factorial(p)))
            power = (power[..., :, None] * x[..., None, :]).reshape(*x.shape[:-1], -1)
        return jnp.concatenate(parts, axis=-1)

    return features


class KernelSum(eqx.Module):
    """eta_i = sum over the past of phi(q_i).phi(k_j): the weights of each query sum to 1."""

    def __call__(self, x: Float[Array, " width"], total: Float[Array, " head"]):
        return total


class Learned(eqx.Module):
    """eta_i = link(W x_i + b), one number a head; it knows the present token and nothing else."""

    map: Dense
    link: Callable = eqx.field(static=True, default=jnp.exp)

    def __call__(self, x: Float[Array, " width"], total: Float[Array, " head"]):
        return self.link(self.map.forward(x))


class LinearAttention(System):
    """Attention with separable kernel (equations of the module): one token in, one out, a tick.

    The state is {"sum": (head, state, value + 1)}: the sum of key features times values, and in its
    last column the sum of key features, which `KernelSum` reads.

    `unroll` works in chunks of tokens, as matrix products, from any state.

    >>> import jax.random as jr
    >>> from neuropil.core import run, start
    >>> part = LinearAttention.init_normal(8, keys=4, key=jr.key(0))
    >>> run(part, start(part, 1.0, jr.key(1)), jnp.ones((5, 8)))[1].shape
    (5, 8)

    Raises ValueError where heads do not divide the widths.
    """

    query: Dense
    key: Dense
    value: Dense
    out: Dense
    normaliser: Callable = KernelSum()
    features: Callable = eqx.field(static=True, default=elu_plus_one)
    heads: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        keys, values = self.key.weight.shape[0], self.value.weight.shape[0]
        check_heads("LinearAttention", self.heads, keys=keys, values=values)

    @staticmethod
    def init_normal(
        width: int,
        *,
        key: Key[Array, ""],
        heads: int = 1,
        keys: int | None = None,
        features: Callable = elu_plus_one,
        scale: float | int | None = None,
        bias: bool = True,
    ) -> LinearAttention:
        """Linear attention; weights normal with deviation `scale` (1 / sqrt(width)), biases zero."""
        parts = projections(width, keys or width, key, scale, bias)
        return LinearAttention(*parts, KernelSum(), features, heads)

    @staticmethod
    def init_normalised(
        width: int,
        *,
        key: Key[Array, ""],
        heads: int = 1,
        keys: int | None = None,
        link: Callable = jnp.exp,
        scale: float | int | None = None,
        bias: bool = True,
    ) -> LinearAttention:
        """Normalised attention: features the identity, normaliser link(W x + b), W drawn like the rest."""
        parts = projections(width, keys or width, key, scale, bias)
        scale = 1.0 / math.sqrt(width) if scale is None else scale
        weight = scale * jax.random.normal(jax.random.fold_in(key, 4), (heads, width))
        eta = Learned(Dense(weight, jnp.zeros(heads)), link)
        return LinearAttention(*parts, eta, identity, heads)

    def project(self, xs: Float[Array, "time width"]) -> tuple[Array, Array, Array]:
        """Query features, key features, and values with a column of ones, each (head, time, part)."""
        heads = lambda part: split_heads(jax.vmap(part.forward)(xs), self.heads)
        q, k = self.features(heads(self.query)), self.features(heads(self.key))
        v = heads(self.value)
        return q, k, jnp.concatenate([v, jnp.ones((*v.shape[:2], 1), v.dtype)], axis=-1)

    def read(self, xs: Float[Array, "time width"], sums: Float[Array, "head time part"]):
        """Outputs from the sums over the past: normalise, join the heads, map."""
        eta = jax.vmap(self.normaliser)(xs, sums[..., -1].T).T
        return jax.vmap(self.out.forward)(join_heads(sums[..., :-1] / eta[..., None]))

    def init(self, dt, key):
        width = self.key.weight.shape[1]
        q, _, v = jax.eval_shape(self.project, jnp.zeros((1, width), self.key.weight.dtype))
        return {"sum": jnp.zeros((self.heads, q.shape[-1], v.shape[-1]), v.dtype)}

    def step(self, state: dict[str, Array], x: Float[Array, " width"], tick: Tick):
        q, k, v = self.project(x[None])
        total = state["sum"] + jnp.swapaxes(k, 1, 2) @ v
        return {"sum": total}, self.read(x[None], q @ total)[0]

    def unroll(self, state: dict[str, Array], xs: Float[Array, "time width"], ticks: Tick):
        q, k, v = self.project(xs)
        total, sums = separable(q, k, v, None, state["sum"])
        return {"sum": total}, self.read(xs, sums)

    def rest(self):
        return jnp.zeros(self.out.weight.shape[0], self.out.weight.dtype)
