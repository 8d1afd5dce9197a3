r"""Hidden Markov models of recordings, fitted by expectation maximisation, with scikit-learn's habits.

$$P(k_1) = \pi_{k_1}, \quad P(k_t \mid k_{t-1}) = T_{k_{t-1} k_t}, \quad y_t \sim p(y \mid k_t, x_t)$$

The E step is `fit.chain`, the M step the emission's (`fit.emissions`); all iterations are one compiled
program, which data of the same shape share. To run a fitted model forward in time, tick by tick, give its
parameters to `neuropil.belief.HMM`, the same filter as a system.

Source: Rabiner (1989), Proc. IEEE 77, 257; Dempster, Laird, Rubin (1977), J. R. Stat. Soc. B 39, 1.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int
from scipy.optimize import linear_sum_assignment
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from neuropil.belief import hmm as online
from neuropil.core import Part
from neuropil.fit.chain import Smoothed, beginnings, smooth_chain
from neuropil.fit.climb import climb
from neuropil.fit.door import admit, beside, in_rows
from neuropil.fit.emissions import Poisson
from neuropil.recordings import Recording


@partial(jax.jit, static_argnames=("emission", "iterations"))
def expectation_maximisation(
    emission, iterations, tolerance, pseudo, initial, transition, params, y, x, begins
):
    """All iterations of EM: (initial, transition, params, log-likelihood before each iteration,
    iterations done). It stops when one gains less than `tolerance`."""
    data = emission.prepare(y, x)

    def improve(old):
        initial, transition, params = old
        found = smooth_chain(initial, transition, emission.log_likelihood(params, data), begins)
        pairs = found.pairs + pseudo
        new = (
            found.first / found.first.sum(),
            pairs / pairs.sum(1, keepdims=True),
            emission.update(data, found.states, params),
        )
        return new, found.log_evidence

    begin = (initial, transition, params)
    found, history, done = climb(improve, begin, iterations, tolerance, y.dtype)
    return *found, history, done


@partial(jax.jit, static_argnames="emission")
def _from_weights(emission, weights, y, x):
    return emission.update(emission.prepare(y, x), weights)


@partial(jax.jit, static_argnames="emission")
def _posterior(emission, initial, transition, params, y, x, begins) -> tuple[Smoothed, Array]:
    likely = emission.log_likelihood(params, emission.prepare(y, x))
    return smooth_chain(initial, transition, likely, begins), likely


class Given(Part):
    """An emission whose log-likelihoods are what it is shown."""

    def log_likelihood(self, x: Array) -> Array:
        return x


class HMM(BaseEstimator):
    """A hidden Markov model.

    **Arguments**

    - `states`: how many; `emission`: a part of `neuropil.fit.emissions`: `Poisson()`, `Gaussian()`,
      `Bernoulli()` or `GLM(family)`, which makes it a GLM-HMM and needs `inputs`;
    - `iterations`: at most so many; `tolerance`: EM stops when an iteration gains less than this, in nats
      a bin (0: never);
    - `stay`: probability at the start of staying in a state; `pseudo`: moves of each kind that are added
      to those counted, so that none becomes impossible;
    - `restarts`: fits from so many random starts, of which that of the highest likelihood is kept;
      `random_state`: seed of them, as in scikit-learn;
    - `start`: emission parameters to start from (a dictionary), in place of k-means over bins or, for
      GLMs, of the weights of one state with noise.

    After `fit`: `initial_`, `transition_`, `emission_` (dictionary of arrays, state first), `history_`
    (log-likelihood before each iteration). States carry no order: compare fits after `align_states`.

    >>> rng = np.random.default_rng(0)
    >>> state = np.repeat([0, 1, 0, 1], 100)
    >>> counts = rng.poisson(np.array([[1.0, 5.0], [4.0, 0.5]])[state])
    >>> model = HMM(states=2, random_state=0).fit(counts)
    >>> bool((align_states(state, model.predict(counts), 2)[0] == state).mean() > 0.98)
    True

    Raises ValueError for data of the wrong shape, NaN, or values the emission cannot make.
    """

    def __init__(
        self,
        states=2,
        emission=Poisson(),
        *,
        iterations=100,
        tolerance=1e-5,
        stay=0.95,
        pseudo=0.0,
        restarts=1,
        random_state=None,
        start=None,
    ):
        self.states = states
        self.emission = emission
        self.iterations = iterations
        self.tolerance = tolerance
        self.stay = stay
        self.pseudo = pseudo
        self.restarts = restarts
        self.random_state = random_state
        self.start = start

    def fit(self, X, y=None, *, inputs=None, lengths=None):
        """Fit to bins `X` (time, unit). `y` is ignored, as in scikit-learn's mixtures; `inputs`
        (time, input) of a GLM; `lengths` of the sequences that X holds one after the other."""
        if self.states < 1 or self.iterations < 1 or self.restarts < 1:
            raise ValueError("states, iterations and restarts must be at least 1")
        if not 0 < self.stay < 1 or self.pseudo < 0 or self.tolerance < 0:
            raise ValueError("stay lies between 0 and 1; pseudo and tolerance are not negative")
        data = self._door(X, inputs, lengths, fit=True)
        k, rng = self.states, check_random_state(self.random_state)
        floats = data[0].dtype
        initial = jnp.full(k, 1 / k, floats)
        other = (1 - self.stay) / max(k - 1, 1)
        transition = np.full((k, k), other) + np.eye(k) * (self.stay - other)
        transition = jnp.asarray(transition if k > 1 else np.ones((1, 1)), floats)
        limit = self.tolerance * len(data[0]) if self.tolerance > 0 else -np.inf
        best = None
        for _ in range(1 if self.start is not None else self.restarts):
            params = self._begin(data, rng)
            found = expectation_maximisation(
                self.emission,
                self.iterations,
                limit,
                self.pseudo,
                initial,
                transition,
                params,
                *data,
            )
            history = np.asarray(found[3])[: int(found[4])]
            if not np.isfinite(history[-1]):
                raise ValueError(
                    "the likelihood is not finite: is a unit silent, or a value far out of range?"
                )
            if best is None or history[-1] > best[1][-1]:
                best = found, history
        (self.initial_, self.transition_, self.emission_, *_), self.history_ = best
        self.n_features_in_ = data[0].shape[1]
        return self

    def posterior(self, X, *, inputs=None, lengths=None) -> Float[np.ndarray, "time state"]:
        """P(state of the bin | all bins)."""
        return np.asarray(self._smoothed(X, inputs, lengths)[0].states)

    def predict(
        self, X, *, inputs=None, lengths=None, path: bool = True
    ) -> Int[np.ndarray, " time"]:
        """The most likely path of states, or with `path=False` the most likely state of every bin."""
        smoothed, likely = self._smoothed(X, inputs, lengths)
        if not path:
            return np.asarray(smoothed.states.argmax(1))
        model = online.HMM(self.initial_, self.transition_, Given())
        if isinstance(X, Recording):
            lengths = np.full(X.shape[0], X.shape[1])
        ends = np.cumsum([len(likely)] if lengths is None else lengths)[:-1]
        return np.concatenate(
            [np.asarray(online.viterbi(model, part)[0]) for part in jnp.split(likely, ends)]
        )

    def log_likelihood(self, X, *, inputs=None, lengths=None) -> float:
        """log p(X), in nats, all states summed over."""
        return float(self._smoothed(X, inputs, lengths)[0].log_evidence)

    def score(self, X, y=None, *, inputs=None, lengths=None) -> float:
        """log p(X) a bin, in nats."""
        smoothed, likely = self._smoothed(X, inputs, lengths)
        return float(smoothed.log_evidence) / len(likely)

    def sample(self, time: int, key: Array, *, inputs=None):
        """(states (time,), bins (time, unit)) drawn from the fitted model."""
        check_is_fitted(self, "transition_")
        return simulate(
            self.emission, self.initial_, self.transition_, self.emission_, time, key, inputs
        )

    def _smoothed(self, X, inputs, lengths):
        check_is_fitted(self, "transition_")
        data = self._door(X, inputs, lengths)
        if data[0].shape[1] != self.n_features_in_:
            raise ValueError(
                f"this HMM was fitted to {self.n_features_in_} units, but X has {data[0].shape[1]}"
            )
        return _posterior(self.emission, self.initial_, self.transition_, self.emission_, *data)

    def _door(self, X, inputs, lengths, fit=False):
        if isinstance(X, Recording):  # its trials are sequences
            X, lengths, _ = in_rows(admit(self, X, fit=fit), lengths)
            inputs = beside(self, inputs, fit=fit)
            inputs = None if inputs is None else in_rows(inputs)[0]
        elif fit:
            self.learned_ = ""
        y = np.asarray(X)
        if y.ndim != 2 or len(y) < 2:
            raise ValueError(f"X must be (time, unit) with at least 2 bins, not {y.shape}")
        x = None if inputs is None else np.asarray(inputs)
        if x is not None and (x.ndim != 2 or len(x) != len(y)):
            raise ValueError(f"inputs must be ({len(y)}, input), not {x.shape}")
        for name, a in (("X", y), ("inputs", x)):
            if a is not None and not np.isfinite(a).all():
                t, i = np.argwhere(~np.isfinite(a))[0]
                raise ValueError(f"{name} holds NaN or infinity, first at bin {t}, column {i}")
        self.emission.check(y, x)
        floats = jnp.result_type(float)
        x = jnp.zeros((len(y), 0), floats) if x is None else jnp.asarray(x, floats)
        return jnp.asarray(y, floats), x, jnp.asarray(beginnings(len(y), lengths))

    def _begin(self, data, rng):
        y, x, _ = data
        if self.start is not None:
            return {name: jnp.asarray(a, y.dtype) for name, a in self.start.items()}
        if x.shape[1]:
            # all states at the weights that fit everywhere, then apart by a tenth of a unit
            even = jnp.ones((len(y), 1), y.dtype)
            params = _from_weights(self.emission, even, y, x)
            spread = lambda a: jnp.repeat(a, self.states, axis=0)
            params = {name: spread(a) for name, a in params.items()}
            noise = 0.1 * rng.standard_normal(params["weights"].shape)
            return params | {"weights": params["weights"] + jnp.asarray(noise, y.dtype)}
        from sklearn.cluster import KMeans

        some = np.asarray(y)[rng.choice(len(y), min(len(y), 4000), replace=False)]
        groups = KMeans(self.states, n_init=1, random_state=rng).fit(some)
        weights = np.full((len(y), self.states), 0.1 / self.states)
        weights[np.arange(len(y)), groups.predict(np.asarray(y))] += 0.9
        return _from_weights(self.emission, jnp.asarray(weights, y.dtype), y, x)


def simulate(emission, initial, transition, params, time: int, key: Array, inputs=None):
    """(states (time,), bins (time, unit)) of a hidden Markov model with these parameters.

    >>> from neuropil.fit.emissions import Poisson
    >>> rate = {"rate": jnp.array([[1.0, 9.0], [9.0, 1.0]])}
    >>> states, y = simulate(Poisson(), jnp.ones(2) / 2, jnp.eye(2), rate, 5, jr.key(0))
    >>> y.shape, len(set(states.tolist()))
    ((5, 2), 1)
    """
    one, two = jr.split(key)
    noise = jr.gumbel(one, (time, transition.shape[0]))
    log_t = jnp.log(transition)
    states = [(jnp.log(initial) + noise[0]).argmax()]

    def step(k, g):
        k = (log_t[k] + g).argmax()
        return k, k

    _, later = lax.scan(step, states[0], noise[1:])
    states = jnp.concatenate([states[0][None], later])
    x = None if inputs is None else jnp.asarray(inputs)
    return np.asarray(states), np.asarray(emission.draw(params, states, x, two))


def align_states(reference, states, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rename `states` so that they agree with `reference` in as many bins as can be.

    Returns (renamed states, order): state `order[k]` of the fit is k of the reference, so that
    `emission_["rate"][order]` compares with the reference's rates. By the Hungarian method.

    >>> align_states([0, 0, 1, 1], [1, 1, 0, 0], 2)[0].tolist()
    [0, 0, 1, 1]
    """
    reference, states = np.asarray(reference), np.asarray(states)
    both = np.zeros((count, count), int)
    np.add.at(both, (reference, states), 1)
    order = linear_sum_assignment(-both)[1]
    return np.argsort(order)[states], order
