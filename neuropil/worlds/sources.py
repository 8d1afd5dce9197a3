"""Spike sources whose law is known: their entropy rate and the probability of every train are exact.

A source draws (time, unit) spikes for each key. Since the law is known, two sources make a classification
problem whose best possible decision, the likelihood ratio, is known too.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array
from jax.scipy.special import xlog1py, xlogy
from jax.typing import ArrayLike

from neuropil.core import Part, param
from neuropil.stats.complexity import bernoulli_entropy, markov_entropy_rate, markov_rate


class BernoulliSource(Part):
    r"""Bins that spike independently with probability p: $P(s) = \prod_{t,i} p_{ti}^{s} (1 - p_{ti})^{1 - s}$.

    `p` is (unit,) for stationary trains, or (time, unit) for a template of rates.

    >>> source = BernoulliSource(jnp.array([0.1, 0.5]))
    >>> source.sample(100, jr.key(0)).shape, [round(h, 3) for h in source.entropy_rate().tolist()]
    ((100, 2), [0.469, 1.0])

    Raises ValueError for a p that is no probability.
    """

    p: Array = param(bounds=(0, 1), axes=("unit",))

    @staticmethod
    def poisson(rate: ArrayLike, dt: float) -> BernoulliSource:
        r"""Poisson trains of `rate` (Hz) in bins of `dt` (ms), at most one spike a bin: p = 1 - e^{-r dt}."""
        return BernoulliSource(-jnp.expm1(-jnp.asarray(rate) * dt / 1000))

    def sample(self, ticks: int, key: Array) -> Array:
        """Spikes, 0.0 or 1.0, (ticks, unit). ValueError where a template has another length."""
        p = jnp.atleast_1d(self.p)
        if p.ndim > 1 and p.shape[0] != ticks:
            raise ValueError(f"BernoulliSource: {ticks} ticks but the template has {p.shape[0]}")
        p = p if p.ndim > 1 else jnp.broadcast_to(p, (ticks, *p.shape))
        return (jr.uniform(key, p.shape, p.dtype) < p).astype(p.dtype)

    def log_likelihood(self, spikes: Array) -> Array:
        """Log-probability in nats of a recording (time, unit), summed."""
        p = jnp.broadcast_to(self.p, spikes.shape)
        return (xlogy(spikes, p) + xlog1py(1 - spikes, -p)).sum()

    def entropy_rate(self) -> Array:
        """Bits a bin of each unit; of a template, those of each of its bins."""
        return bernoulli_entropy(self.p)


class MarkovSource(Part):
    r"""Two-state trains: a bin spikes with P(1|1) after a spike and with P(1|0) after silence.

    They begin in the stationary state. The rate is P(1|0) / (1 + P(1|0) - P(1|1)); for P(1|1) above the rate
    spikes come in bursts, below it they keep apart, and at it the train is a `BernoulliSource`.

    >>> bursts = MarkovSource.of_rate(jnp.full(3, 0.2), 0.5)
    >>> bursts.after_silence.tolist(), bursts.sample(50, jr.key(0)).shape
    ([0.125, 0.125, 0.125], (50, 3))
    """

    after_silence: Array = param(bounds=(0, 1), axes=("unit",))
    after_spike: Array = param(bounds=(0, 1), axes=("unit",))

    @staticmethod
    def of_rate(rate: ArrayLike, after_spike: ArrayLike) -> MarkovSource:
        """The source of that rate (spikes a bin) and P(1|1): P(1|0) = rate (1 - P(1|1)) / (1 - rate).

        Raises ValueError where no P(1|0) gives that rate.
        """
        rate = jnp.asarray(rate)
        return MarkovSource(
            rate * (1 - after_spike) / (1 - rate), jnp.broadcast_to(after_spike, rate.shape)
        )

    def rate(self) -> Array:
        """Spikes a bin of each unit."""
        return markov_rate(self.after_silence, self.after_spike)

    def sample(self, ticks: int, key: Array) -> Array:
        """Spikes, 0.0 or 1.0, (ticks, unit)."""
        silent, spiking = jnp.atleast_1d(self.after_silence), jnp.atleast_1d(self.after_spike)
        chance = jr.uniform(key, (ticks, *silent.shape), silent.dtype)

        def bin_(before, u):
            now = u < jnp.where(before, spiking, silent)
            return now, now

        first = chance[0] < self.rate()
        _, later = jax.lax.scan(bin_, first, chance[1:])
        return jnp.concatenate([first[None], later]).astype(silent.dtype)

    def log_likelihood(self, spikes: Array) -> Array:
        """Log-probability in nats of a recording (time, unit), summed."""
        before = spikes[:-1]
        p = jnp.where(before > 0, self.after_spike, self.after_silence)
        p = jnp.concatenate([jnp.broadcast_to(self.rate(), spikes.shape[1:])[None], p])
        return (xlogy(spikes, p) + xlog1py(1 - spikes, -p)).sum()

    def entropy_rate(self) -> Array:
        """Bits a bin of each unit."""
        return markov_entropy_rate(self.after_silence, self.after_spike)


def labelled(sources: tuple, n: int, ticks: int, key: Array) -> tuple[Array, Array]:
    """n trains of the sources in turn: spikes (n, ticks, unit) and labels 0 .. len(sources) - 1.

    Every source draws for every train with a key of its own, so the trains of one source do not depend on
    what the others are.

    >>> x, y = labelled((BernoulliSource(jnp.full(2, 0.1)), BernoulliSource(jnp.full(2, 0.9))), 5, 8, jr.key(0))
    >>> x.shape, y.tolist()
    ((5, 8, 2), [0, 1, 0, 1, 0])
    """
    k = len(sources)
    each = -(-n // k)
    drawn = [
        eqx.filter_vmap(lambda key, s=s: s.sample(ticks, key))(jr.split(jr.fold_in(key, c), each))
        for c, s in enumerate(sources)
    ]
    x = jnp.stack(drawn, 1).reshape(k * each, *drawn[0].shape[1:])
    return x[:n], jnp.tile(jnp.arange(k), each)[:n]
