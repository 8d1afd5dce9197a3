"""Hidden Markov models: the filter as a system; smoothing and decoding as functions over a run."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy as jsp
from jax import lax
from jaxtyping import Array, Float, Int

from neuropil.core import Part, System, param


class Categorical(Part):
    """Emission of one of S symbols: `probability` (state, symbol), rows sum to 1. Symbol -1: missing."""

    probability: Array = param(bounds=(0, 1), axes=("state", "symbol"))

    def __check_init__(self):
        _sum_to_one("Categorical", "probability", self.probability)

    def log_likelihood(self, x: Array) -> Float[Array, " state"]:
        """log P(x | state) for every state."""
        return jnp.where(x < 0, 0.0, _log(self.probability)[:, jnp.maximum(x, 0)])


class Normal(Part):
    """Emission of a vector with independent Gaussian elements: `mean`, `sd` (state, d). NaN: missing."""

    mean: Array = param(axes=("state", "observed"))
    sd: Array = param(bounds=(0, None), axes=("state", "observed"))

    def log_likelihood(self, x: Array) -> Float[Array, " state"]:
        """log p(x | state) for every state."""
        seen = ~jnp.isnan(x)
        each = jsp.stats.norm.logpdf(jnp.where(seen, x, 0.0)[None], self.mean, self.sd)
        return jnp.where(seen[None], each, 0.0).sum(-1)


class Counts(Part):
    """Emission of independent Poisson counts: `rate` (state, unit), counts a tick. NaN: unseen."""

    rate: Array = param(unit="1 / tick", bounds=(0, None), axes=("state", "unit"))

    def log_likelihood(self, x: Array) -> Float[Array, " state"]:
        """log P(x | state) for every state."""
        seen = ~jnp.isnan(x)
        k = jnp.where(seen, x, 0.0)[None]
        each = jsp.special.xlogy(k, self.rate) - self.rate - jsp.special.gammaln(k + 1)
        return jnp.where(seen[None], each, 0.0).sum(-1)


class StateBelief(eqx.Module):
    """Log probability of every state after an observation, and the log evidence of that observation."""

    log_prob: Float[Array, "*T state"]
    log_evidence: Float[Array, "*T"]


class HMM(System):
    r"""Exact inference of which of K hidden states a system is in, from what it emits.

    $$p_t(k) \propto P(x_t \mid k) \sum_j p_{t-1}(j)\, T_{jk}$$

    **Arguments**: `initial` (K,), `transition` T (from, to), rows that sum to 1, and `emission`, a part with
    `log_likelihood(x) -> (K,)`: `Categorical`, `Normal` or `Counts`.

    Input: an observation as the emission takes it. Output: `StateBelief`. State: {"log_prob",
    "log_evidence"}: the belief *before* the next observation, and the evidence summed so far. All in
    logarithms, so long runs do not underflow.

    Raises ValueError for probabilities that do not sum to 1 or shapes that do not fit.

    Source: Rabiner (1989), Proc. IEEE 77, 257.
    """

    initial: Array = param(bounds=(0, 1), axes=("state",))
    transition: Array = param(bounds=(0, 1), axes=("state", "state"))
    emission: Part

    def __check_init__(self):
        k = self.initial.shape[0]
        if self.transition.shape != (k, k):
            raise ValueError(
                f"HMM: transition has shape {self.transition.shape} but there are {k} states"
            )
        _sum_to_one("HMM", "initial", self.initial)
        _sum_to_one("HMM", "transition", self.transition)

    def init(self, dt, key):
        return {"log_prob": _log(self.initial), "log_evidence": jnp.zeros((), self.initial.dtype)}

    def step(self, state, x, tick):
        joint = state["log_prob"] + self.emission.log_likelihood(x)
        log_evidence = jsp.special.logsumexp(joint)
        belief = StateBelief(joint - log_evidence, log_evidence)
        ahead = _log_matvec(belief.log_prob, _log(self.transition))
        return {"log_prob": ahead, "log_evidence": state["log_evidence"] + log_evidence}, belief

    def rest(self):
        return StateBelief(_log(self.initial), jnp.zeros((), self.initial.dtype))


def smooth_states(model: HMM, xs: Array, filtered: StateBelief) -> tuple[Array, Array]:
    """Forward-backward: what is believed of every tick after seeing the whole run.

    `filtered` is what `run(model, ..., xs)` gave. Returns (log P(k_t | all) (T, K),
    log P(k_t, k_{t+1} | all) (T - 1, K, K)).
    """
    log_t = _log(model.transition)
    likely = _log_likelihoods(model, xs)

    def back(beta, now):
        log_prob, later = now
        message = later + beta
        beta = _log_matvec(message, log_t.T)
        pair = log_prob[:, None] + log_t + message[None, :]
        return beta, (beta, pair - jsp.special.logsumexp(pair))

    end = jnp.zeros_like(filtered.log_prob[-1])
    _, (betas, pairs) = lax.scan(back, end, (filtered.log_prob[:-1], likely[1:]), reverse=True)
    each = filtered.log_prob + jnp.concatenate([betas, end[None]])
    return each - jsp.special.logsumexp(each, axis=-1, keepdims=True), pairs


def viterbi(model: HMM, xs: Array) -> tuple[Int[Array, " T"], Float[Array, ""]]:
    """The single most likely path of states (T,), and its log probability together with xs."""
    log_t = _log(model.transition)
    likely = _log_likelihoods(model, xs)

    def forward(score, now):
        through = score[:, None] + log_t
        return through.max(0) + now, through.argmax(0)

    score, came_from = lax.scan(forward, _log(model.initial) + likely[0], likely[1:])
    last = score.argmax()

    def trace(state, pointers):
        return pointers[state], pointers[state]

    _, path = lax.scan(trace, last, came_from, reverse=True)
    return jnp.concatenate([path, last[None]]), score.max()


def _log(p):
    """log p with log 0 = -inf, and no NaN in its derivative."""
    safe = jnp.where(p > 0, p, 1.0)
    return jnp.where(p > 0, jnp.log(safe), -jnp.inf)


def _log_matvec(log_p, log_m):
    """log of p @ m. A state that cannot be reached keeps -inf."""
    terms = log_p[:, None] + log_m
    top = terms.max(0)
    top = jnp.where(jnp.isfinite(top), top, 0.0)
    return _log(jnp.exp(terms - top[None]).sum(0)) + top


def _log_likelihoods(model, xs):
    return jax.vmap(model.emission.log_likelihood)(xs)


def _sum_to_one(owner, name, p):
    if not isinstance(p, jax.core.Tracer):
        total = p.sum(-1)
        if not bool(jnp.allclose(total, 1.0, atol=1e-5)):
            raise ValueError(
                f"{owner}: {name} sums to {total.tolist()} but every row must sum to 1"
            )
