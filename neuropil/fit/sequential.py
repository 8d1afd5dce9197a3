r"""Sequential variational autoencoders of spike counts in trials, as one estimator.

A network here is a module `net(counts (bin, unit), key, seed) -> (log rates (bin, output), KL in nats)`:
`SequentialVAE`, `neuropil.fit.langevin.LangevinFlow`, or your own.
"""

from __future__ import annotations

from functools import lru_cache

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Key, UInt
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from neuropil.blocks.dropout import dropout
from neuropil.cells import GRU
from neuropil.core import advance, start
from neuropil.fit.door import admit, beside
from neuropil.fit.gpfa import Trials, checked_trials
from neuropil.learn import Trainer
from neuropil.stats.likelihood import bits_per_spike
from neuropil.wiring import Dense


def gaussian_divergence(mean: Array, log_variance: Array, prior: float = 1.0) -> Float[Array, ""]:
    r"""KL divergence in nats of N(m, s^2) from N(0, p), summed: $[(s^2 + m^2) / p - 1 - \log(s^2 / p)] / 2$.

    >>> round(float(gaussian_divergence(jnp.zeros(1), jnp.log(1.1), 0.1)), 3)
    3.801
    """
    log_ratio = log_variance - jnp.log(prior)
    return 0.5 * (jnp.exp(log_ratio) + mean**2 / prior - 1 - log_ratio).sum()


def drawn(mean: Array, log_variance: Array, key: Key[Array, ""]) -> Array:
    """A draw of N(m, s^2) that gradients pass through (reparametrised)."""
    return mean + jnp.exp(0.5 * log_variance) * jr.normal(key, mean.shape)


def coordinated_dropout(
    x: Array, keep: Array | float, key: Key[Array, ""], passed: float = 0.0
) -> tuple[Array, Bool[Array, "..."]]:
    """(input, mask of what may teach): a network must not learn to copy an entry to itself.

    An entry is kept with probability `keep` (and divided by it); what was dropped teaches, and so does a
    share `passed` of the rest: none in the source. What is shown and teaches at once, teaches to copy. With
    keep = 1 nothing is dropped and everything teaches.

    Source: Keshtkaran, Pandarinath (2019), NeurIPS, arXiv:1908.07896.

    >>> shown, teaches = coordinated_dropout(jnp.ones(1000), 0.5, jr.key(0))
    >>> bool(teaches[shown == 0].all()), bool(jnp.allclose(shown[shown > 0], 2.0))
    (True, True)
    """
    a, b = jr.split(key)
    kept = jr.bernoulli(a, keep, x.shape)
    teaches = ~kept | jr.bernoulli(b, passed, x.shape) | (jnp.asarray(keep) >= 1)
    return jnp.where(kept, x / keep, 0.0), teaches


class SequentialVAE(eqx.Module):
    r"""Autoencoder of one trial whose rates come from an autonomous dynamical system (as LFADS without inputs).

    A GRU reads the trial forwards, another backwards; their last states say $q(g_0) = N(\mu, \sigma^2)$, the
    start of a generator $g_t = \text{GRU}(0, g_{t-1})$; factors $f_t = W g_t$, log rates $A f_t + b$.
    KL divergence: of g_0 from N(0, 1).

    **Arguments** (by `SequentialVAE.of`): `inputs`, `outputs` (units read, units predicted); `hidden` units of
    the generator, `encoder` of each reader, `factors`; `rate` of dropout (before the start and the factors).

    >>> net = SequentialVAE.of(5, 6, hidden=8, encoder=4, factors=3, key=jr.key(0))
    >>> log_rates, kl = net(jnp.ones((10, 5)), jr.key(1))
    >>> log_rates.shape, kl.shape
    ((10, 6), ())

    Source: Pandarinath et al. (2018), Nat. Methods 15:805.
    """

    forward: GRU
    backward: GRU
    begin: Dense
    generator: GRU
    factor: Dense
    readout: Dense
    rate: float = eqx.field(static=True)

    @staticmethod
    def of(
        inputs: int,
        outputs: int,
        *,
        key: Key[Array, ""],
        hidden: int = 64,
        encoder: int = 64,
        factors: int = 16,
        rate: float | int = 0.05,
    ) -> SequentialVAE:
        """A network with random weights (see the class)."""
        a, b, c, d, e, f = jr.split(key, 6)
        return SequentialVAE(
            GRU.init_uniform(inputs, encoder, a),
            GRU.init_uniform(inputs, encoder, b),
            Dense.init_uniform(2 * encoder, 2 * hidden, c, bias=True),
            GRU.init_uniform(1, hidden, d),
            Dense.init_uniform(hidden, factors, e),
            Dense.init_uniform(factors, outputs, f, bias=True),
            float(rate),
        )

    def __call__(
        self, x: Float[Array, "bin unit"], key: Key[Array, ""], seed: UInt[Array, ""] | None = None
    ) -> tuple[Float[Array, "bin output"], Float[Array, ""]]:
        """Log rates and divergence of a trial, of one draw of the start; a `seed` turns dropout on."""
        ends = [
            cell.unroll(cell.rest(), xs, None)[0]
            for cell, xs in ((self.forward, x), (self.backward, x[::-1]))
        ]
        read = dropout(jnp.concatenate(ends), self.rate, seed)
        mean, log_variance = jnp.split(self.begin.forward(read), 2)
        state = drawn(mean, log_variance, key)
        silence = jnp.zeros((x.shape[0], 1), x.dtype)
        g = self.generator.unroll(state, silence, None)[1]
        g = dropout(g, self.rate, None if seed is None else seed + jnp.uint32(1))
        log_rates = jax.vmap(lambda g: self.readout.forward(self.factor.forward(g)))(g)
        return log_rates, gaussian_divergence(mean, log_variance)


def trial_loss(net, batch: dict[str, Array], key: Key[Array, ""]):
    """Poisson loss (nats an entry, without log k!) + batch["kl"] x divergence (nats a trial), with dropout.

    batch: "x" (trial, bin, unit) what is read, "y" (trial, bin, unit) further units, "kl" and "keep".
    """
    x, target = batch["x"], jnp.concatenate([batch["x"], batch["y"]], axis=2)
    a, b, c = jr.split(key, 3)
    shown, teaches = coordinated_dropout(x, batch["keep"], a)
    teaches = jnp.concatenate([teaches, jnp.ones(batch["y"].shape, bool)], axis=2)
    log_rates, kl = jax.vmap(net)(shown, jr.split(b, len(x)), jr.bits(c, (len(x),), jnp.uint32))
    log_rates = jnp.where(teaches, log_rates, lax.stop_gradient(log_rates))
    fit = jnp.mean(jnp.exp(log_rates) - target * log_rates)
    return fit + batch["kl"] * kl.mean(), {"poisson": fit, "kl": kl.mean()}


@lru_cache(maxsize=16)
def _adam(rate):
    return optax.chain(optax.clip_by_global_norm(5.0), optax.adam(rate))


@eqx.filter_jit
def _trained(build, rate, key, data, index, ramp, keep):
    a, b = jr.split(key)
    trainer = Trainer(build(key=a), trial_loss, _adam(rate))

    def update(carry, now):
        rows, kl = now
        batch = {name: a[rows] for name, a in data.items()}
        return advance(trainer, carry, batch | {"kl": kl, "keep": keep})

    carry, out = lax.scan(update, start(trainer, 1.0, b), (index, ramp))
    return trainer.model(carry), {name: out[name] for name in ("loss", "poisson", "kl")}


@eqx.filter_jit
def _rates(net, x, keys):
    one = lambda key: jax.vmap(net)(x, jr.split(key, len(x)))[0]
    return jnp.exp(lax.map(one, keys).mean(0))


class SequentialAutoencoder(BaseEstimator):
    """Rates of spike counts in trials, by a sequential variational autoencoder.

    **Arguments**

    - `network`: `SequentialVAE.of`, `LangevinFlow.of` or a function (inputs, outputs, key=, **options) ->
      network; `options` go to it (arrays among them do not compile anew);
    - `updates` of Adam at learning rate `rate` on `batch` trials (gradients of norm above 5 are clipped);
    - `keep`: share of counts that coordinated dropout shows;
    - `kl`: weight of the divergence of a trial beside the mean loss of an entry, grown linearly over the
      first `warm` share of the updates. None: 1 / (bins x units), the evidence lower bound;
    - `samples`: draws of the latents whose log rates are averaged; `seed`.

    After `fit`: `network_`, `history_` ({loss, poisson, kl}, a value an update).

    >>> rate = np.exp(np.sin(np.arange(20) / 3 + np.array([[0.0], [2.0]])))[..., None]
    >>> x = np.random.default_rng(0).poisson(np.tile(rate, (10, 1, 4)))
    >>> small = {"hidden": 8, "encoder": 8, "factors": 2}
    >>> model = SequentialAutoencoder(SequentialVAE.of, options=small, updates=5, batch=8).fit(x)
    >>> model.predict(x).shape
    (20, 20, 4)

    Raises ValueError for data that are not (trial, bin, unit) counts, and settings out of range.
    """

    def __init__(
        self,
        network=SequentialVAE.of,
        *,
        options=None,
        updates=1000,
        batch=64,
        rate=3e-3,
        keep=0.7,
        kl=None,
        warm=0.5,
        samples=20,
        seed=0,
    ):
        self.network = network
        self.options = options
        self.updates = updates
        self.batch = batch
        self.rate = rate
        self.keep = keep
        self.kl = kl
        self.warm = warm
        self.samples = samples
        self.seed = seed

    def fit(self, X, y=None) -> SequentialAutoencoder:
        """Train on counts X; `y` are counts of further units, which are predicted but never read."""
        x, y = checked_trials(admit(self, X, fit=True)), beside(self, y, fit=True)
        further = np.zeros((*x.shape[:2], 0)) if y is None else checked_trials(y, "y")
        if further.shape[:2] != x.shape[:2] or min(x.min(), further.min(initial=0)) < 0:
            raise ValueError("SequentialAutoencoder: counts from 0, X and y of the same trials")
        if not 0 < self.keep <= 1 or not 0 <= self.warm <= 1:
            raise ValueError("SequentialAutoencoder: keep lies in (0, 1], warm in [0, 1]")
        if min(self.updates, self.batch, self.samples) < 1 or self.batch > len(x):
            raise ValueError(
                f"SequentialAutoencoder: updates, samples and batch from 1, batch up to {len(x)} trials"
            )
        outputs = x.shape[2] + further.shape[2]
        build = eqx.Partial(self.network, x.shape[2], outputs, **(self.options or {}))
        weight = 1 / (x.shape[1] * outputs) if self.kl is None else self.kl
        grown = np.arange(1, self.updates + 1) / max(1, self.warm * self.updates)
        floats, key = jnp.result_type(float), jr.key(self.seed)
        data = {"x": jnp.asarray(x, floats), "y": jnp.asarray(further, floats)}
        rng = np.random.default_rng(self.seed)
        each = len(x) // self.batch
        rounds = [
            rng.permutation(len(x))[: each * self.batch] for _ in range(-(-self.updates // each))
        ]
        index = np.concatenate(rounds).reshape(-1, self.batch)[: self.updates]
        ramp = jnp.asarray(weight * np.minimum(grown, 1.0), floats)
        keep = jnp.asarray(self.keep, floats)
        self.network_, history = _trained(
            build, float(self.rate), key, data, jnp.asarray(index), ramp, keep
        )
        self.history_ = {name: np.asarray(a) for name, a in history.items()}
        if not np.isfinite(self.history_["loss"]).all():
            raise FloatingPointError("the loss is not finite; try a smaller rate")
        self.n_features_in_, self.outputs_ = x.shape[2], outputs
        return self

    def predict(self, X) -> Trials:
        """Rates (expected counts a bin) of all units, those of X first."""
        check_is_fitted(self, "network_")
        x = checked_trials(admit(self, X), units=self.n_features_in_)
        keys = jr.split(jr.fold_in(jr.key(self.seed), 1), self.samples)
        return np.asarray(_rates(self.network_, jnp.asarray(x, jnp.result_type(float)), keys))

    def score(self, X, y=None) -> float:
        """Bits per spike of y given X (co-smoothing), or of X itself where nothing else was predicted."""
        rates = self.predict(X)
        units, X, y = self.n_features_in_, beside(self, X), beside(self, y)
        counts, rates = (X, rates[:, :, :units]) if y is None else (y, rates[:, :, units:])
        return float(bits_per_spike("poisson", np.asarray(counts, float), rates))
