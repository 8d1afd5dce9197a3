r"""Switching linear dynamical systems, fitted by structured mean field, with scikit-learn's habits.

$$P(k_t \mid k_{t-1}) = T_{k_{t-1} k_t}, \quad z_t = A_{k_t} z_{t-1} + B_{k_t} u_t + b_{k_t} + N(0, Q_{k_t}),
  \quad y_t \sim p(y \mid C z_t + D u_t + d)$$

The posterior is taken as q(k) q(z), each a chain of its own: q(k) a hidden Markov model whose bins weigh
$E_{q(z)} \log N(z_t; A_k z_{t-1} + B_k u_t + b_k, Q_k)$ (`fit.chain`), q(z) a linear Gaussian chain whose
natural parameters are those of the states, weighted by q(k) (`fit.trajectory`; Laplace's for counts). Each
is the best there is given the other, so with a Gaussian observation the bound never falls.

Source: Ghahramani, Hinton 2000, Neural Comput. 12:831; Zoltowski, Pillow, Linderman 2020, ICML (Laplace).
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from neuropil.belief import hmm as online
from neuropil.fit.chain import smooth_chain
from neuropil.fit.climb import climb
from neuropil.fit.door import admit, beside
from neuropil.fit.emissions import GLM
from neuropil.fit.hmm import HMM, Given
from neuropil.fit.lds import LDS, checked_bins
from neuropil.fit.observations import LOG_2PI, Bins, LinearGaussian, Params, Path
from neuropil.fit.trajectory import (
    Moves,
    first_belief,
    inverse,
    laplace,
    orthonormal,
    regress,
)


def _expected_moves(params: Params, weights, bins: Bins):
    """Of E_q(k) log p(z | k): the moves of a chain, log |precision| of all its bins, and what the chain lacks,
    as curvature and slope of the bins."""
    v = bins.v
    known, _ = lax.map(inverse, params["Q"])
    first, _ = inverse(params["cov"])
    forth = known @ params["A"]  # state by state
    back = jnp.einsum("kji,kjl->kil", params["A"], forth)
    push = jnp.einsum("kij,kjp->kip", known, params["B"])
    pull = jnp.einsum("kji,kjp->kip", params["A"], push)
    mix = lambda a: jnp.einsum("tk,kij->tij", weights, a)
    given = lambda a: jnp.einsum("tk,kip,tp->ti", weights, a, v)
    here = bins.begins[:, None, None]
    precision = jnp.where(here, first[None], mix(known))
    Q, log_det = lax.map(inverse, precision)
    A = jnp.where(here, 0.0, Q @ mix(forth))
    line = here[:, 0]
    b = jnp.where(line, params["mean"][None], jnp.einsum("tij,tj->ti", Q, given(push)))
    pulled = jnp.einsum("tji,tjk->tik", A, precision)
    # the states' moves differ, so together they know more of z_{t-1} than their mean move says
    more = jnp.where(here, 0.0, mix(back) - pulled @ A)
    less = jnp.where(line, 0.0, jnp.einsum("tij,tj->ti", pulled, b) - given(pull))
    earlier = lambda a: jnp.concatenate([a[1:], jnp.zeros_like(a[:1])])
    more = earlier((more + jnp.swapaxes(more, 1, 2)) / 2)
    return Moves(A, b, Q, precision), log_det.sum(), more, earlier(less)


def _state_likelihoods(params: Params, path: Path, bins: Bins):
    """E_q(z) log N(z_t; A_k z_{t-1} + B_k v_t, Q_k) of every bin and state, 0 where a sequence begins."""
    shift = lambda a: jnp.concatenate([jnp.zeros_like(a[:1]), a[:-1]])
    mean, cov = shift(path.mean), shift(path.cov)

    def one(of):
        A, B, Q = of
        known, log_det = inverse(Q)
        e = path.mean - mean @ A.T - bins.v @ B.T
        both = path.cross @ A.T
        wide = path.cov + A[None] @ cov @ A.T[None] - both - jnp.swapaxes(both, 1, 2)
        square = ((e @ known) * e).sum(1) + jnp.einsum("tij,ij->t", wide, known)
        return -0.5 * (square + log_det + len(A) * LOG_2PI)

    likely = lax.map(one, (params["A"], params["B"], params["Q"])).T
    return jnp.where(bins.begins[:, None], 0.0, likely)


def believe(observation, params: Params, bins: Bins, weights, z):
    """One round: q(z) given P(state) of every bin, then q(k) given q(z). (path, states, likelihoods, bound)."""
    moves, log_det, more, less = _expected_moves(params, weights, bins)

    def look(z):
        likely, J, slope = observation.look(params, z, bins)
        pull = jnp.einsum("tij,tj->ti", more, z)
        likely = likely + (less * z).sum() - 0.5 * (pull * z).sum()
        return likely, J + more, slope + less - pull

    path, _ = laplace(moves, look, z, observation.steps)
    likely = _state_likelihoods(params, path, bins)
    states = smooth_chain(params["initial"], params["transition"], likely, bins.begins)
    n = path.mean.shape[1]
    entropy = 0.5 * (path.mean.size * (1 + LOG_2PI) - path.log_det - log_det)
    known, first = inverse(params["cov"])
    off = path.mean - params["mean"][None]
    square = ((off @ known) * off).sum(1) + jnp.einsum("tij,ij->t", path.cov, known)
    begun = -0.5 * jnp.where(bins.begins, square + first + n * LOG_2PI, 0.0).sum()
    bound = observation.expected(params, path, bins) + begun + entropy + states.log_evidence
    return path, states, likely, bound


@partial(jax.jit, static_argnames=("observation", "iterations"))
def _maximise(observation, iterations, tolerance, pseudo, params, weights, z, bins: Bins):
    stays = (~bins.begins).astype(bins.y.dtype)

    def improve(old):
        params, weights, z = old
        path, states, _, bound = believe(observation, params, bins, weights, z)
        apart = lambda w: regress(path, bins.v, stays * w + 1e-6)
        A, B, Q = lax.map(apart, states.states.T)
        mean, cov = first_belief(path, bins.begins)
        pairs = states.pairs + pseudo
        new = {
            "A": A,
            "B": B,
            "Q": Q,
            "mean": mean,
            "cov": cov,
            "initial": states.first / states.first.sum(),
            "transition": pairs / pairs.sum(1, keepdims=True),
        }
        new = new | observation.update(params, path, bins)
        return (new, states.states, path.mean), bound

    found, history, done = climb(improve, (params, weights, z), iterations, tolerance, bins.y.dtype)
    return *found, history, done


@partial(jax.jit, static_argnames=("observation", "rounds"))
def _believe(observation, rounds, params, bins: Bins):
    count = len(params["initial"])
    weights = jnp.full((len(bins.y), count), 1 / count, bins.y.dtype)
    z = jnp.zeros((len(bins.y), params["A"].shape[1]), bins.y.dtype)

    def again(carry, _):
        path, states, _, bound = believe(observation, params, bins, *carry)
        return (states.states, path.mean), (bound, None)

    carry, _ = lax.scan(again, (weights, z), None, length=rounds - 1)
    path, states, likely, bound = believe(observation, params, bins, *carry)
    mean = observation.mean(params, path.mean, path.cov, bins.w)
    return path, states.states, likely, bound, mean


class SwitchingLDS(TransformerMixin, BaseEstimator):
    """A linear dynamical system whose dynamics switch between states.

    **Arguments**

    - `states` and `latents`: how many; `observation`: as in `LDS`;
    - `iterations` of variational EM at most; it stops when one gains less than `tolerance`, in nats a bin;
    - `stay`, `pseudo`: of the states' chain, as in `HMM`; `random_state` and `restarts`: it begins at an `LDS`
      and an autoregressive `HMM` of its latent signals, fitted from so many random starts;
    - `rounds`: of the two halves of the posterior, when a fitted model is given data.

    Data as in `LDS`. After `fit`: `params_` (`A`, `B`, `Q` with the state first, the last column of B the
    offsets b; `initial`, `transition`; the rest as in `LDS`) and `history_`, the bound before each iteration.
    Free are the order of states and the latent coordinates: align states (`align_states`), then compare paths
    of states, eigenvalues of each A, predictions.

    >>> model = SwitchingLDS(states=3, latents=2)  # model.fit(y).path(y): the states of the bins of y
    >>> model.fit(np.ones(5))
    Traceback (most recent call last):
    ...
    ValueError: give (time, unit) or (trial, time, unit) with at least 2 bins, not (5,)

    Raises ValueError as `LDS` and `HMM` do.
    """

    def __init__(
        self,
        states=2,
        latents=2,
        observation=LinearGaussian(),
        *,
        iterations=50,
        tolerance=1e-4,
        stay=0.95,
        pseudo=0.1,
        restarts=3,
        rounds=20,
        random_state=None,
    ):
        self.states = states
        self.latents = latents
        self.observation = observation
        self.iterations = iterations
        self.tolerance = tolerance
        self.stay = stay
        self.pseudo = pseudo
        self.restarts = restarts
        self.rounds = rounds
        self.random_state = random_state

    def fit(self, X, y=None, *, inputs=None, lengths=None) -> SwitchingLDS:
        """Fit to bins; `y` is ignored, `inputs` (time, input) or (trial, time, input) are u."""
        if min(self.states, self.iterations, self.restarts, self.rounds) < 1:
            raise ValueError("states, iterations, restarts and rounds must be at least 1")
        X, inputs = admit(self, X, fit=True), beside(self, inputs, fit=True)
        bins, _ = checked_bins(self.observation, X, inputs, lengths, ones=True)
        one = LDS(self.latents, self.observation, iterations=20)
        z = one.fit(X, inputs=inputs, lengths=lengths).transform(X, inputs=inputs, lengths=lengths)
        params, weights = self._begin(one.params_, z.reshape(len(bins.y), -1), bins)
        limit = self.tolerance * len(bins.y) if self.tolerance > 0 else -np.inf
        params, _, _, history, done = _maximise(
            self.observation,
            self.iterations,
            limit,
            self.pseudo,
            params,
            weights,
            jnp.asarray(z.reshape(len(bins.y), -1), bins.y.dtype),
            bins,
        )
        self.history_ = np.asarray(history)[: int(done)]
        if not np.isfinite(self.history_).all():
            raise ValueError(
                "the bound is not finite: is a unit constant, or a value far out of range?"
            )
        self.params_, self.n_features_in_ = orthonormal(params, self.latents), bins.y.shape[1]
        return self

    def _begin(self, params, z, bins):
        """Parameters and P(state) by an autoregressive hidden Markov model of these latent signals."""
        n, begins, v = self.latents, np.asarray(bins.begins), np.asarray(bins.v)[:, :-1]
        scale = z.std(0) + 1e-9
        later = np.flatnonzero(~begins)
        where = np.diff(np.append(np.flatnonzero(begins), len(z))) - 1
        x = np.concatenate([(z / scale)[later - 1], v[later]], axis=1)
        model = HMM(
            self.states, GLM("gaussian"), stay=self.stay, pseudo=self.pseudo,
            restarts=self.restarts, random_state=check_random_state(self.random_state),
        )  # fmt: skip
        model.fit((z / scale)[later], inputs=x, lengths=where[where > 0])
        known = model.posterior((z / scale)[later], inputs=x, lengths=where[where > 0])
        weights = np.full((len(z), self.states), 1 / self.states)
        weights[later] = known
        w = np.asarray(model.emission_["weights"]) * scale  # (state, 1 + input, latent)
        variance = np.asarray(model.emission_["variance"]) * scale**2
        made = {
            "A": np.swapaxes(w[:, 1 : 1 + n] / scale[:, None], 1, 2),
            "B": np.swapaxes(np.concatenate([w[:, 1 + n :], w[:, :1]], axis=1), 1, 2),
            "Q": variance[:, :, None] * np.eye(n),
            "initial": np.full(self.states, 1 / self.states),
            "transition": model.transition_,
        }
        floats = bins.y.dtype
        made = {name: jnp.asarray(a, floats) for name, a in made.items()}
        return {**params, **made}, jnp.asarray(weights, floats)

    def transform(self, X, *, inputs=None, lengths=None) -> np.ndarray:
        """Posterior means of the latent signals, given all bins: X's shape with n in place of the units."""
        found, shape = self._believed(X, inputs, lengths)
        return np.asarray(found[0].mean).reshape(*shape, -1)

    def predict(self, X, *, inputs=None, lengths=None) -> np.ndarray:
        """E y of every entry given all that was seen (rates, of counts), also of entries that were not."""
        found, shape = self._believed(X, inputs, lengths)
        return np.asarray(found[4]).reshape(*shape, -1)

    def posterior(self, X, *, inputs=None, lengths=None) -> np.ndarray:
        """P(state of the bin | all bins): X's shape with the states in place of the units."""
        found, shape = self._believed(X, inputs, lengths)
        return np.asarray(found[1]).reshape(*shape, -1)

    def path(self, X, *, inputs=None, lengths=None) -> np.ndarray:
        """The most likely path of states, given what is believed of the latent signals."""
        found, shape = self._believed(X, inputs, lengths)
        likely, begins = found[2], np.flatnonzero(found[5])
        model = online.HMM(self.params_["initial"], self.params_["transition"], Given())
        parts = jnp.split(likely, begins[1:])
        states = [np.asarray(online.viterbi(model, part)[0]) for part in parts]
        return np.concatenate(states).reshape(shape)

    def score(self, X, y=None, *, inputs=None, lengths=None) -> float:
        """The bound on log p(X) a bin, in nats."""
        found, _ = self._believed(X, inputs, lengths)
        return float(found[3]) / len(found[1])

    def _believed(self, X, inputs, lengths):
        check_is_fitted(self, "params_")
        X, inputs = admit(self, X), beside(self, inputs)
        bins, shape = checked_bins(self.observation, X, inputs, lengths, ones=True)
        if bins.y.shape[1] != self.n_features_in_:
            raise ValueError(
                f"SwitchingLDS was fitted to {self.n_features_in_} units, but X has "
                f"{bins.y.shape[1]} (hide units by NaN)"
            )
        return (*_believe(self.observation, self.rounds, self.params_, bins), bins.begins), shape
