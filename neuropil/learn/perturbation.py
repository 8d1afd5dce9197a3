"""Learners that try: noise on cells or weights, and what it did to the loss. Nothing flows backwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array

from neuropil.core import param
from neuropil.learn.credit import Credit, Objective, batch_of, judged, refuses_layers
from neuropil.learn.layers import layers
from neuropil.learn.targets import cut


class NodePerturbation(Objective):
    r"""Noise on the input of every cell; the change of a sample's error times the noise stands for dE/dz.

    $$\tilde z_i = W_i \tilde a_{i-1} + b_i + \sigma \xi_i, \qquad
      \Delta W_i \propto -\Big\langle \frac{E(\tilde a_L) - E(a_L)}{\sigma}\, \xi_i\, \tilde a_{i-1}^\top
      \Big\rangle, \qquad \xi \sim N(0, I)$$

    Its mean is the gradient of the error smoothed by the noise. `samples`: trials that are averaged.

    Source: Williams (1992), Machine Learning 8, 229; Werfel, Xie, Seung (2005), Neural Computation 17, 2699.
    """

    needs: ClassVar[str] = "layers; the error of every sample"
    locality: ClassVar[str] = (
        "its own noise and activity, and one number for all (change of the error)"
    )
    sigma: Array = param(0.01, bounds=(1e-8, None))
    samples: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        _positive(self)

    @classmethod
    def init(cls, net: Any, x: Any, key: Any, **settings: Any) -> NodePerturbation:
        """There is nothing to draw. Raises Unsuited for a network without layers."""
        layers(net)
        return cls(**settings)

    def refuses(self, model, loss):
        return refuses_layers(model, loss)

    def objective(self, loss, model, batch, key):
        xs, ys = batch_of(batch)
        parts = layers(model)
        outputs = jax.vmap(lambda x: loss.answer(cut(model), x))(xs)
        value, metrics = loss.judged(outputs, ys)
        before = cut(jax.vmap(loss.error)(outputs, ys))

        def trial(x, y, base, key):
            a, drives, noises = x, [], []
            for k, layer in enumerate(parts):
                z = layer.drive(jax.lax.stop_gradient(a))
                noise = jr.normal(jr.fold_in(key, k), z.shape, z.dtype)
                a = layer.activity(z + self.sigma * noise)
                drives.append(z)
                noises.append(noise)
            change = cut((loss.error(a, y) - base) / self.sigma)
            return sum(jnp.sum(change * n * z) for n, z in zip(noises, drives, strict=True))

        def once(key):
            return jnp.mean(jax.vmap(trial)(xs, ys, before, jr.split(key, len(xs))))

        return jnp.mean(jax.vmap(once)(jr.split(key, self.samples))), (value, metrics)


def centred_ranks(losses: Array) -> Array:
    """Ranks from -1/2 (lowest) to 1/2 (highest): only the order counts, not the size.

    >>> centred_ranks(jnp.array([5.0, -1.0, 100.0])).tolist()
    [0.0, -0.5, 0.5]
    """
    order = jnp.argsort(jnp.argsort(losses))
    return order.astype(losses.dtype) / (losses.shape[0] - 1) - 0.5


class Perturbation(Credit):
    r"""Noise on all parameters at once: the change of the loss along random directions.

    $$g = \Big\langle \frac{L(\theta + \sigma \epsilon) - L(\theta)}{\sigma}\, \epsilon \Big\rangle
      \quad\text{or, antithetic,}\quad
      g = \Big\langle \frac{L(\theta + \sigma \epsilon) - L(\theta - \sigma \epsilon)}{2 \sigma}\,
      \epsilon \Big\rangle$$

    the mean over `samples` directions. It works for any model and any loss, also where there is no gradient;
    its variance grows with the number of parameters. Three ways are named: `weight_perturbation`, `spsa`,
    `evolution_strategies`.

    - `directions`: "normal", or "signs" (each component +1 or -1);
    - `antithetic`: both sides of theta; - `shaping`: a function of all 2 x samples losses, in their place
      (`centred_ranks`; needs both sides).

    >>> net, loss = jnp.array([1.0, 2.0]), lambda w, batch, key: 0.5 * jnp.sum(w**2)
    >>> credit = Perturbation(sigma=0.1, samples=4000, antithetic=True)
    >>> g = credit.gradient(loss, net, None, None, jr.key(0))[2]
    >>> bool(jnp.allclose(g, net, atol=0.15))
    True
    """

    needs: ClassVar[str] = "nothing: any model, any loss"
    locality: ClassVar[str] = "its own noise, and one number for all (change of the loss)"
    sigma: Array = param(0.01, bounds=(1e-8, None))
    samples: int = eqx.field(static=True, default=1)
    directions: Literal["normal", "signs"] = eqx.field(static=True, default="normal")
    antithetic: bool = eqx.field(static=True, default=False)
    shaping: Callable | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        _positive(self)
        if self.directions not in ("normal", "signs"):
            raise ValueError(f"Perturbation: directions={self.directions!r}; 'normal' or 'signs'")
        if self.shaping is not None and not self.antithetic:
            raise ValueError("Perturbation: shaping compares both sides; write antithetic=True")

    def draw(self, like: Any, key: Array) -> Any:
        """A direction: a tree like `like`."""
        leaves, tree = jax.tree.flatten(like)
        kind = jr.normal if self.directions == "normal" else jr.rademacher
        keys = jr.split(key, len(leaves))
        return tree.unflatten(
            [kind(k, a.shape, a.dtype) for k, a in zip(keys, leaves, strict=True)]
        )

    def gradient(self, loss, learned, fixed, batch, key):
        at = lambda theta: judged(loss, eqx.combine(theta, fixed), batch, key)
        value, metrics = at(learned)
        ways = jax.vmap(lambda k: self.draw(learned, k))(jr.split(jr.fold_in(key, 1), self.samples))
        moved = lambda way, by: at(jax.tree.map(lambda a, d: a + by * d, learned, way))[0]
        plus = jax.vmap(lambda way: moved(way, self.sigma))(ways)
        if self.antithetic:
            minus = jax.vmap(lambda way: moved(way, -self.sigma))(ways)
            if self.shaping is not None:
                plus, minus = jnp.split(self.shaping(jnp.concatenate([plus, minus])), 2)
            change = (plus - minus) / (2 * self.sigma)
        else:
            change = (plus - jnp.broadcast_to(value, plus.shape)) / self.sigma
        mean = lambda way: jnp.tensordot(change.astype(way.dtype), way, 1) / self.samples
        return value, metrics, jax.tree.map(mean, ways), self.nothing()

    def nothing(self) -> Any:
        """The direction of its own parameters, of which none learns."""
        return eqx.filter(self, self.teaches())


def weight_perturbation(sigma: float | int = 0.01, samples: int = 1) -> Perturbation:
    """Weight perturbation: Gaussian noise on all weights, one side.

    Source: Jabri, Flower (1992), IEEE Transactions on Neural Networks 3, 154; Züge, Klos, Memmesheimer (2023),
    Physical Review X 13, 021006.
    """
    return Perturbation(sigma, samples)


def spsa(sigma: float | int = 0.01, samples: int = 1) -> Perturbation:
    """Simultaneous perturbation stochastic approximation: random signs, two evaluations a direction.

    Source: Spall (1992), IEEE Transactions on Automatic Control 37, 332.
    """
    return Perturbation(sigma, samples, "signs", antithetic=True)


def evolution_strategies(
    sigma: float | int = 0.02, pairs: int = 32, shaping: Callable | None = centred_ranks
) -> Perturbation:
    """Evolution strategies with antithetic pairs and rank shaping: a population of 2 x `pairs`.

    Source: Salimans, Ho, Chen, Sidor, Sutskever (2017), arXiv:1703.03864.
    """
    return Perturbation(sigma, pairs, antithetic=True, shaping=shaping)


def _positive(credit: Any) -> None:
    if credit.samples < 1:
        raise ValueError(f"{type(credit).__name__}: samples = {credit.samples}; at least 1")
