"""Synthetic subjects, the learners that are fitted to their choices, and the arms of pyhgf."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array

from neuropil.belief import HGF, Chooser, Posterior, binary_hgf, fit, sample_posterior
from neuropil.core import System, get, param, put, run, start

HIGHEST = -6.0  # omega of x3, held
OMEGA, BETA = "learner.nodes.x2.volatility", "temperature"


class RescorlaWagner(System):
    """p_{t+1} = p_t + rate (u_t - p_t). Input: a bit u; output: p before it. Rescorla and Wagner (1972)."""

    rate: Array = param(0.3, bounds=(0, 1))

    def init(self, dt, key):
        return jnp.full((), 0.5, self.rate.dtype)

    def step(self, state, x, tick):
        return state + self.rate * (x - state), state


class Switching(System):
    """A world of two sides that switches with probability `hazard`; the bit is right with `reliability`.

    Exact inference of a hidden Markov model of two states. Input: a bit u; output: P(u = 1) before it.
    """

    hazard: Array = param(0.05, bounds=(0, 0.5))
    reliability: Array = param(0.75, bounds=(0.5, 1))

    def init(self, dt, key):
        return jnp.full((), 0.5, self.hazard.dtype)

    def step(self, state, x, tick):
        e, h = self.reliability, self.hazard
        p = state * e + (1 - state) * (1 - e)
        up = state * jnp.where(x > 0.5, e, 1 - e)
        down = (1 - state) * jnp.where(x > 0.5, 1 - e, e)
        after = up / (up + down)
        return after * (1 - h) + (1 - after) * h, p


def hgf(omega: Any = -3.0, coupling: Any = 1.0) -> HGF:
    """The three-level binary filter of the subjects."""
    return binary_hgf((omega, HIGHEST), coupling=(coupling,))


def predictions(learner: System, us: Array) -> Array:
    """(trial,) probability that the next bit is 1, before it is seen."""
    where = "output.inputs.u.mean" if isinstance(learner, HGF) else "output"
    return run(learner, start(learner, 1.0, jr.key(0)), us, record=where)[1]


def log_likelihood(agent: Chooser, us: Array, choices: Array) -> Array:
    """(trial,) log probability of the choices."""
    return agent.log_likelihood(predictions(agent.learner, us), choices)


def log_prior(agent: Chooser) -> Array:
    """Weak normal priors: log beta around log 4; omega around -3; logits of rates around everyday values."""
    bump = lambda x, mean, sd: -0.5 * ((x - mean) / sd) ** 2
    logit = lambda p: jnp.log(p) - jnp.log1p(-p)
    total, learner = bump(jnp.log(agent.temperature), jnp.log(4.0), 0.8), agent.learner
    if isinstance(learner, HGF):
        return total + bump(learner.nodes["x2"].volatility, -3.0, 1.5)
    if isinstance(learner, RescorlaWagner):
        return total + bump(logit(learner.rate), -1.0, 1.5)
    hidden = bump(logit(2 * learner.hazard), -2.0, 1.5)
    return total + hidden + bump(logit(2 * learner.reliability - 1), 0.0, 1.5)


def draw(key: Array, settings: dict) -> dict[str, Array]:
    """Subjects and two sessions of each: outcomes and choices (subject, session, trial).

    The side that pays changes every `block` trials; one outcome in ten is the toss of a coin.
    """
    n, trials, block = settings["subjects"], settings["trials"], settings["block"]
    ko, kb, ks, ku, kn, kc = jr.split(key, 6)
    omega = jr.uniform(ko, (n,), minval=-5.0, maxval=-1.0)
    beta = jnp.exp(jnp.log(4.0) + 0.4 * jr.normal(kb, (n,)))
    side = (jnp.arange(trials) // block)[None, None] + jr.bernoulli(ks, shape=(n, 2, 1))
    high = jnp.where(side % 2 == 0, settings["reliability"], 1 - settings["reliability"])
    high = jnp.where(jr.bernoulli(kn, 0.1, (n, 2, trials)), 0.5, high)
    u = jr.bernoulli(ku, high).astype(omega.dtype)

    def predict(omega, u):
        return predictions(put(hgf(), "nodes.x2.volatility", omega), u)

    p = jax.vmap(jax.vmap(predict, (None, 0)))(omega, u)
    chance = jax.nn.sigmoid(jax.vmap(lambda b, p: Chooser(hgf(), b).log_odds(p))(beta, p))
    choices = jr.bernoulli(kc, chance).astype(omega.dtype)
    return {"omega": omega, "beta": beta, "u": u, "choices": choices, "p": p}


class _Subjects(System):
    """An arm whose only chunk draws the subjects of its seed and does something with all of them."""

    sizes: tuple = eqx.field(static=True)  # of settings, as sorted pairs

    def init(self, dt, key):
        return {"key": key}

    def step(self, state, x, tick):
        data = draw(jr.fold_in(state["key"], 0), dict(self.sizes))
        return state, self.chunk(data, jr.fold_in(state["key"], 1))


class Fitted(_Subjects):
    """Fit by gradient to the first session; the choices of the second are then predicted."""

    agent: Chooser = eqx.field(kw_only=True)
    paths: tuple = eqx.field(static=True, kw_only=True)
    shuffled: Array = eqx.field(kw_only=True)  # whether choices lose their order

    def chunk(self, data, key):
        size = dict(self.sizes)
        order = jr.permutation(jr.fold_in(key, 2), size["trials"])
        choices = data["choices"][:, 0]
        choices = jnp.where(self.shuffled, choices[:, order], choices)

        def one(u, choices, key):
            loss = lambda a: -log_likelihood(a, u, choices).sum() - log_prior(a)
            how = {k: size[k] for k in ("steps", "starts", "rate")}
            return fit(self.agent, loss, self.paths, key=key, **how).model

        keys = jr.split(key, size["subjects"])
        agents = jax.vmap(one)(data["u"][:, 0], choices, keys)
        again = jax.vmap(log_likelihood)(agents, data["u"][:, 1], data["choices"][:, 1])
        found = {p: get(agents, p) for p in self.paths}
        out = {"heldout": again.mean(1), "beta": found[BETA], "true_beta": data["beta"]}
        if OMEGA in found:
            out |= {"omega": found[OMEGA], "true_omega": data["omega"]}
        return out


class Truth(_Subjects):
    """The generating parameters themselves: how well the second session can be predicted."""

    def chunk(self, data, key):
        def one(omega, beta, u, choices):
            agent = Chooser(put(hgf(), "nodes.x2.volatility", omega), beta)
            return log_likelihood(agent, u, choices).mean()

        again = jax.vmap(one)(data["omega"], data["beta"], data["u"][:, 1], data["choices"][:, 1])
        return {"heldout": again, "u": data["u"][0, 0], "p": data["p"][0, 0]}


class Sampled(_Subjects):
    """The posterior of omega and beta of the first few subjects, by NUTS."""

    def chunk(self, data, key):
        size = dict(self.sizes)
        n = min(size["sampled"], size["subjects"])

        def one(u, choices, key) -> Posterior:
            def log_density(agent):
                measure = jnp.log(agent.temperature)  # a prior of log beta, as one of beta
                return log_likelihood(agent, u, choices).sum() + log_prior(agent) - measure

            how = {k: size[k] for k in ("chains", "warmup", "draws")}
            return sample_posterior(Chooser(hgf(), 4.0), log_density, (OMEGA, BETA), key, **how)

        p = jax.vmap(one)(data["u"][:n, 0], data["choices"][:n, 0], jr.split(key, n))
        flat = {k: v.reshape(n, -1) for k, v in p.draws.items()}
        low, middle, high = (
            jnp.stack([jnp.quantile(v, q, axis=1) for v in flat.values()], 1)
            for q in (0.025, 0.5, 0.975)
        )
        true = jnp.stack([data["omega"][:n], data["beta"][:n]], 1)
        r_hat = jnp.stack(list(p.r_hat.values()), 1)
        ess = jnp.stack(list(p.ess.values()), 1)
        return {"low": low, "middle": middle, "high": high, "true": true, "r_hat": r_hat,
                "ess": ess, "divergent": p.divergent.mean()}  # fmt: skip


def sizes(settings: dict) -> tuple:
    """The settings as something hashable, so that arms of one shape share a program."""
    return tuple(sorted((k, v) for k, v in settings.items() if not isinstance(v, list)))


def fitted(learner: Callable[[], System], *paths: str, shuffled: bool = False):
    """The builder of an arm that fits a learner and its temperature."""

    def make(settings: dict, data: Any) -> Fitted:
        agent = Chooser(learner(), 4.0)
        return Fitted(
            sizes(settings), agent=agent, paths=(*paths, BETA), shuffled=jnp.asarray(shuffled)
        )

    return make
