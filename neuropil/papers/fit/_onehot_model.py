r"""The state-switching GLM of onehot_hmm_glm.py, its two priors, and how it is fitted."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jax import Array, lax
from jax.scipy.special import gammaln
from jaxtyping import Float

from neuropil.fit.chain import smooth_chain

TAU = 0.2  # temperature of the Gumbel softmax, of its samples and of its density
LOWEST = -20.0  # log probability under which the logits of a simplex are halved


def basis(lags: int = 5) -> Float[np.ndarray, " lag"]:
    """Weights of the last bins, falling by e from bin to bin and summing to one.

    >>> basis().round(4).tolist()
    [0.6364, 0.2341, 0.0861, 0.0317, 0.0117]
    """
    falls = np.exp(-np.arange(1.0, lags + 1))
    return falls / falls.sum()


def history(counts: Array, phi: Array) -> Array:
    """Weighted past (sequence, time, unit) of counts of that shape; the bin itself is not in it."""
    lags = len(phi)
    past = jnp.pad(counts, ((0, 0), (lags, 0), (0, 0)))
    time = counts.shape[1]
    return sum(phi[k - 1] * past[:, lags - k : lags - k + time] for k in range(1, lags + 1))


def log_density(log_a: Array, log_p: Array, tau: float = TAU) -> Array:
    """Log density of the Gumbel softmax at exp(log_a) (..., class), up to log Gamma(classes)."""
    k = log_a.shape[-1]
    log_p = jnp.broadcast_to(jax.nn.log_softmax(log_p), log_a.shape)
    top = jax.nn.logsumexp(log_p - tau * log_a, axis=-1)
    return (k - 1) * jnp.log(tau) - k * top + (log_p - (tau + 1) * log_a).sum(-1)


class Data(NamedTuple):
    """Counts and their weighted past (time, unit), sequences one after the other; where they begin."""

    x: Array
    y: Array
    begins: Array

    @classmethod
    def of(cls, counts) -> Data:
        """From counts (sequence, time, unit)."""
        counts = jnp.asarray(counts, float)
        flat = lambda a: a.reshape(-1, a.shape[2])
        begins = jnp.zeros(counts.shape[:2], bool).at[:, 0].set(True).reshape(-1)
        return cls(flat(counts), flat(history(counts, jnp.asarray(basis(), float))), begins)


class Prior(NamedTuple):
    """`onehot`: the second prior (its own parameters). Else weights have a Gaussian prior of this
    `precision` about their mean over states (`shared`) or about 0. Of the one-hot prior `shared` says
    whether states share P; `strength` times the log prior is added to the log likelihood of all sequences."""

    precision: Array | float
    shared: Array | bool
    strength: Array | float = 1.0


def begin(
    onehot: bool, states: int, x: Array, key: Array, spread: float = 0.3, lean: float = 0.5
) -> dict:
    """First parameters: apart by noise, since states that begin alike stay so."""
    n = x.shape[1]
    noise = spread * jr.normal(key, (states, n, n))
    rate = jnp.clip(x.mean(0), 0.01, 0.99)
    b = jnp.log(rate) - jnp.log1p(-rate)
    if not onehot:
        return {"b": b, "w": noise}
    # the same noise favours a class a little: enough for the states to part before the prior fixes
    # classes (at a tenth of it they did not, in pilots), not enough to fix them itself
    a = lean * jnp.stack([-noise, 0 * noise, noise], axis=-1)
    return {"b": b, "a": a, "r": 0 * noise, "p": jnp.zeros((states, n, n, 3))}


def weights(params: dict, noise: Array | None = None, hard: bool = False) -> Array:
    """W (state, post, pre); one-hot: by plain softmax, with Gumbel noise, or by the likeliest class."""
    if "w" in params:
        return params["w"]
    a = params["a"]
    if hard:
        each = jax.nn.one_hot(a.argmax(-1), 3)
    else:
        each = jax.nn.softmax(a if noise is None else (a + noise) / TAU)
    return (each[..., 2] - each[..., 0]) * jax.nn.softplus(params["r"])


def log_likelihood(w: Array, b: Array, data: Data) -> Array:
    """log P(bin | state) (time, state), the factorials included; rate = logistic(b + W y)."""
    under = jax.nn.softplus(-(b[None, None] + jnp.einsum("tm,snm->tsn", data.y, w)))
    each = -data.x[:, None] * under - jnp.exp(-under)
    return each.sum(2) - gammaln(data.x + 1).sum(1)[:, None]


def log_prior(params: dict, prior: Prior) -> Array:
    """Log density of weights, or of the simplices, up to a constant."""
    if "w" in params:
        w = params["w"]
        centre = jnp.where(prior.shared, lax.stop_gradient(w.mean(0))[None], 0.0)
        return -0.5 * prior.precision * ((w - centre) ** 2).sum()
    p = jnp.where(prior.shared, params["p"][:1], params["p"])
    return log_density(jax.nn.log_softmax(params["a"]), p).sum()


def _halved(params: dict) -> dict:
    """Simplices that come too near to a corner are drawn back: their density has no bound there."""

    def back(logits):
        low = jax.nn.log_softmax(logits).min(-1, keepdims=True) < LOWEST
        return jnp.where(low, logits / 2, logits)

    return params | {name: back(params[name]) for name in ("a", "p") if name in params}


class Fitted(NamedTuple):
    """Parameters, transition matrix, and log likelihood (nats a bin) of the training data."""

    params: dict
    transition: Array
    training: Array


def chance(w: Array, b: Array, transition: Array, data: Data):
    """Posterior of the states and evidence under these weights, bias and transitions."""
    states = transition.shape[0]
    initial = jnp.full(states, 1 / states)
    return smooth_chain(initial, transition, log_likelihood(w, b, data), data.begins)


judge = jax.jit(chance)


@eqx.filter_jit
def fit(
    data: Data,
    prior: Prior,
    states: int,
    onehot: bool,
    rounds: int,
    steps: int,
    rate: float,
    key: Array,
) -> Fitted:
    """Generalised EM: each round an E step, the transitions in closed form, and Adam on the expected log
    likelihood of all sequences plus the log prior."""
    optimiser = optax.adam(rate)
    one, two = jr.split(key)
    params = begin(onehot, states, data.x, one)
    stay = 0.98 if states > 1 else 1.0
    transition = jnp.full((states, states), (1 - stay) / max(states - 1, 1))
    transition = jnp.where(jnp.eye(states, dtype=bool), stay, transition)

    def round_(carry, key):
        params, optimum, transition = carry
        found = chance(weights(params), params["b"], transition, data)
        share = jnp.log(found.pairs / found.pairs.sum(1, keepdims=True) + 1e-30)
        transition = jax.nn.softmax(jnp.maximum(share, -8.0), axis=1)

        def loss(params, noise):
            likely = log_likelihood(weights(params, noise), params["b"], data)
            value = (found.states * likely).sum() + prior.strength * log_prior(params, prior)
            return -value / len(data.x)

        def step(carry, key):
            params, optimum = carry
            noise = jr.gumbel(key, params["a"].shape) if onehot else None
            change, optimum = optimiser.update(jax.grad(loss)(params, noise), optimum)
            return (_halved(optax.apply_updates(params, change)), optimum), None

        (params, optimum), _ = lax.scan(step, (params, optimum), jr.split(key, steps))
        return (params, optimum, transition), found.log_evidence

    carry = (params, optimiser.init(params), transition)
    (params, _, transition), _ = lax.scan(round_, carry, jr.split(two, rounds))
    final = chance(weights(params), params["b"], transition, data).log_evidence / len(data.x)
    return Fitted(params, transition, final)
