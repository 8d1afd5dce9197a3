r"""Networks and objective of mm_gpvae.py.

Three latents stand in the order neural, shared, image: spikes read the first two, images the last two.
What an arm uses is a row of arrays (`Uses`), so that arms are one compiled program.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from neuropil.core import advance, start
from neuropil.fit.gp import ExactGP, FourierGP, expected_poisson
from neuropil.learn import Trainer
from neuropil.wiring import Dense

FAST = ("loading", "offset", "log_noise")  # learn at the second rate


class Uses(NamedTuple):
    """Weights of an arm: `spikes` and `images` in the objective (1 or 0), and of the spike encoder in the
    mean over both encoders of the shared latent (1/2; 1 or 0 where there is one modality)."""

    spikes: Float[Array, ""]
    images: Float[Array, ""]
    share: Float[Array, ""]

    @staticmethod
    def of(modalities: str) -> Uses:
        """Of "both", "spikes" or "images"."""
        table = {"both": (1, 1, 0.5), "spikes": (1, 0, 1), "images": (0, 1, 0)}
        return Uses(*(jnp.asarray(v, float) for v in table[modalities]))


class Stack(eqx.Module):
    """Dense layers with ELU between them, over rows (row, feature)."""

    layers: tuple[Dense, ...]

    def __init__(self, widths: tuple[int, ...], key: PRNGKeyArray):
        pairs = zip(widths, widths[1:], jr.split(key, len(widths) - 1), strict=False)
        self.layers = tuple(Dense.init_uniform(a, b, k, bias=True) for a, b, k in pairs)

    def __call__(self, x: Float[Array, "row feature"]) -> Float[Array, "row out"]:
        for layer in self.layers[:-1]:
            x = jax.nn.elu(layer.forward(x))
        return self.layers[-1].forward(x)


class AcrossTime(eqx.Module):
    """From the numbers an encoder says in N bins to mean and log sd of a latent's coefficients.

    `mean` begins as the regression by the prior process (its gain at noise 0.1), so that a latent begins as
    a smoothed copy of the encoder's numbers.
    """

    mean: Dense
    log_sd: Dense

    def __init__(self, gp: FourierGP, key: PRNGKeyArray):
        self.mean = Dense(gp.gain(0.1), jnp.zeros(gp.size))
        self.log_sd = Dense.init_uniform(gp.bins, gp.size, key)

    def __call__(self, mean, log_sd):
        return self.mean.forward(mean), self.log_sd.forward(log_sd)


class MultiModal(eqx.Module):
    """Recognition and generation of spikes (trial, bin, neuron) and images (trial, bin, pixel).

    In the time domain (`ExactGP`) the encoders' numbers are the coefficients; there is no `AcrossTime`.
    """

    gp: FourierGP | ExactGP
    spike_net: Stack
    image_net: Stack
    spike_time: AcrossTime | None
    image_time: AcrossTime | None
    loading: Float[Array, "neuron 2"]
    offset: Float[Array, " neuron"]
    decoder: Stack
    log_noise: Float[Array, ""]

    def __init__(
        self,
        gp,
        rates: Float[Array, " neuron"],
        pixels: int,
        widths,
        key,
        noise: Float[Array, ""] | float = 0.1,
    ):
        a, b, c, d, e, f = jr.split(key, 6)
        neurons, wide = len(rates), tuple(widths)
        self.gp = gp
        self.spike_net = Stack((neurons, 80, 40, 20, 4), a)
        self.image_net = Stack((pixels, *wide, 4), b)
        self.decoder = Stack((2, *wide[::-1], pixels), c)
        fourier = isinstance(gp, FourierGP)
        self.spike_time = AcrossTime(gp, d) if fourier else None
        self.image_time = AcrossTime(gp, e) if fourier else None
        self.loading, self.offset = 0.1 * jr.normal(f, (neurons, 2)), jnp.log(rates)
        self.log_noise = jnp.log(jnp.asarray(noise, float))

    def _encode(self, net, across, x):
        """Mean and log sd (trial, 2, coefficient) of one modality's two latents."""
        trials, bins = x.shape[:2]
        said = net(x.reshape(trials * bins, -1)).reshape(trials, bins, 4).transpose(0, 2, 1)
        mean, log_sd = said[:, :2], said[:, 2:]
        if across is not None:
            mean, log_sd = (a.reshape(trials * 2, bins) for a in (mean, log_sd))
            mean, log_sd = (a.reshape(trials, 2, -1) for a in across(mean, log_sd))
        return mean, log_sd - 1.0

    def infer(self, spikes, images, uses: Uses):
        """Mean and log sd (trial, latent, coefficient) of the posterior."""
        by_spikes = self._encode(self.spike_net, self.spike_time, spikes)
        by_images = self._encode(self.image_net, self.image_time, images)

        def join(s, i):
            shared = uses.share * s[:, 1:] + (1 - uses.share) * i[:, :1]
            return jnp.concatenate([s[:, :1], shared, i[:, 1:]], axis=1)

        return tuple(join(s, i) for s, i in zip(by_spikes, by_images, strict=True))

    def log_rates(self, mean, log_sd):
        """Mean and variance (trial, bin, neuron) of the log rates a bin."""
        mu = jnp.einsum("kln,cl->knc", self.gp.values(mean[:, :2]), self.loading)
        spread = self.gp.spread(jnp.exp(2 * log_sd[:, :2]))
        return mu + self.offset[None, None], jnp.einsum("kln,cl->knc", spread, self.loading**2)

    def draw(self, c):
        """Images (trial, bin, pixel) of coefficients (trial, latent, coefficient)."""
        z = self.gp.values(c[:, 1:]).transpose(0, 2, 1)
        return self.decoder(z.reshape(-1, 2)).reshape(*z.shape[:2], -1)


def objective(model: MultiModal, batch: dict, key: PRNGKeyArray):
    """Negative evidence lower bound of a trial and bin: divergence from the prior, spikes in closed form,
    images by one sample."""
    spikes, images, uses = batch["spikes"], batch["images"], batch["uses"]
    mean, log_sd = model.infer(spikes, images, uses)
    # the scale of a latent is its loading's: only the length is learned
    fixed = jax.lax.stop_gradient(model.gp.log_variance)
    gp = eqx.tree_at(lambda g: g.log_variance, model.gp, fixed)
    either = jnp.stack([uses.spikes, jnp.asarray(1.0, float), uses.images])
    cost = (gp.divergence(mean, log_sd) * either[None]).sum(-1)
    mu, v = model.log_rates(mean, log_sd)
    counts = -expected_poisson(spikes, mu, v).sum((1, 2))
    seen = model.draw(mean + jnp.exp(log_sd) * jr.normal(key, mean.shape))
    size = images.shape[1] * images.shape[2]
    error = ((images - seen) ** 2).sum((1, 2))
    pixels = 0.5 * (error * jnp.exp(-model.log_noise) + size * model.log_noise)
    total = cost + uses.spikes * counts + uses.images * pixels
    return total.mean() / images.shape[1]


@lru_cache
def optimiser(rate: float, loading_rate: float) -> optax.GradientTransformation:
    """Adam; the linear part of the neurons and the noise of the pixels at a rate of their own."""

    def kinds(model):
        of = lambda path, _: "fast" if path[0].name in FAST else "slow"
        return jax.tree_util.tree_map_with_path(of, model)

    return optax.multi_transform(
        {"slow": optax.adam(rate), "fast": optax.adam(loading_rate)}, kinds
    )


@eqx.filter_jit
def _updates(trainer, carry, spikes, images, uses, order):
    def update(carry, rows):
        return advance(
            trainer, carry, {"spikes": spikes[rows], "images": images[rows], "uses": uses}
        )

    carry, out = jax.lax.scan(update, carry, order)
    return carry, out["loss"]


def learn(model, spikes, images, uses, *, epochs, batch, rates, key, rng: np.random.Generator):
    """The model after `epochs` passes over the trials in batches, and the mean loss of every pass."""
    trials = len(spikes)
    rows = trials - trials % batch
    order = np.stack([rng.permutation(trials)[:rows] for _ in range(epochs)])
    trainer = Trainer(model, objective, optimiser(*rates))
    carry = start(trainer, 1.0, key)
    order = jnp.asarray(order.reshape(-1, batch), jnp.int32)
    carry, losses = _updates(trainer, carry, spikes, images, uses, order)
    return trainer.model(carry), np.asarray(losses).reshape(epochs, -1).mean(1)


@eqx.filter_jit
def answers(model, spikes, images, uses):
    """Latents (trial, latent, bin), rates (trial, bin, neuron) and images of trials, at the posterior mean."""
    mean, log_sd = model.infer(spikes, images, uses)
    mu, v = model.log_rates(mean, log_sd)
    return model.gp.values(mean), jnp.exp(mu + 0.5 * v), model.draw(mean)
