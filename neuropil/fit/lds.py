r"""Linear dynamical systems of recordings, fitted by expectation maximisation, with scikit-learn's habits.

$$z_t = A z_{t-1} + B u_t + N(0, Q), \qquad \eta_t = C z_t + D u_t + d, \qquad y_t \sim p(y \mid \eta_t)$$

With a Gaussian observation the E step is exact (`fit.trajectory`), with Poisson counts Laplace's. All
iterations are one compiled program, which data of the same shape share. To run a fitted model forward in
time, tick by tick, give its parameters to `neuropil.belief.Kalman`, the same filter as a system.

Source: Shumway, Stoffer 1982, J. Time Ser. Anal. 3:253; Ghahramani, Hinton 1996, CRG-TR-96-2 (EM);
Macke et al. 2011, NeurIPS 24 (Poisson).
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from neuropil.fit.chain import beginnings
from neuropil.fit.climb import climb
from neuropil.fit.door import admit, beside, in_rows
from neuropil.fit.observations import Bins, LinearGaussian, Params
from neuropil.fit.trajectory import first_belief, laplace, orthonormal, regress, steady


def believe(observation, params: Params, bins: Bins, z):
    """The posterior of the trajectory, begun at z, and log p(y)."""
    look = lambda z: observation.look(params, z, bins)
    return laplace(steady(params, bins.v, bins.begins), look, z, observation.steps)


@partial(jax.jit, static_argnames=("observation", "iterations"))
def _maximise(observation, iterations, tolerance, params, bins: Bins):
    stays = (~bins.begins).astype(bins.y.dtype)

    def improve(old):
        params, z = old
        path, evidence = believe(observation, params, bins, z)
        A, B, Q = regress(path, bins.v, stays)
        mean, cov = first_belief(path, bins.begins)
        new = {"A": A, "B": B, "Q": Q, "mean": mean, "cov": cov}
        return (new | observation.update(params, path, bins), path.mean), evidence

    begin = params, jnp.zeros((len(bins.y), len(params["A"])), bins.y.dtype)
    (params, _), history, done = climb(improve, begin, iterations, tolerance, bins.y.dtype)
    return params, history, done


@partial(jax.jit, static_argnames="observation")
def _believe(observation, params, bins):
    z = jnp.zeros((len(bins.y), len(params["A"])), bins.y.dtype)
    path, evidence = believe(observation, params, bins, z)
    return path, evidence, observation.mean(params, path.mean, path.cov, bins.w)


def checked_bins(observation, X, inputs, lengths, ones: bool = False) -> tuple[Bins, tuple]:
    """What an E step needs, and the shape of X before its units. `ones`: the dynamics have an offset, which
    is the weight of a last input that is 1."""
    y, lengths, shape = in_rows(X, lengths)
    u = np.zeros((len(y), 0)) if inputs is None else np.asarray(inputs, float)
    u = u.reshape(-1, u.shape[-1]) if u.ndim == 3 else u
    if u.ndim != 2 or len(u) != len(y) or not np.isfinite(u).all():
        raise ValueError(f"inputs must be ({len(y)}, input) and finite, not {u.shape}")
    observation.check(y)
    floats = jnp.result_type(float)
    seen, wide = ~np.isnan(y), np.concatenate([u, np.ones((len(y), 1))], axis=1)
    begins = jnp.asarray(beginnings(len(y), lengths))
    arrays = np.where(seen, y, 0.0), wide if ones else u, wide
    y, v, w = (jnp.asarray(a, floats) for a in arrays)
    return Bins(y, jnp.asarray(seen), v, w, begins), shape


def start(observation, latents: int, bins: Bins) -> Params:
    """Parameters to begin at: principal axes of the predictor's covariance, and its lagged covariance."""
    seen = np.asarray(bins.seen)
    y = np.where(seen, np.asarray(bins.y, float), np.nan)
    if not seen.any(0).all():
        raise ValueError(f"unit {int((~seen.any(0)).argmax())} was never seen: leave it out")
    if not 1 <= latents <= y.shape[1]:
        raise ValueError(f"latents = {latents} must lie between 1 and the {y.shape[1]} units")
    now = np.flatnonzero(~np.asarray(bins.begins))
    offset, cov, lagged = observation.begin(y, now - 1, now)
    power, axes = np.linalg.eigh((cov + cov.T) / 2)
    top = slice(None, -latents - 1, -1)
    root = np.sqrt(np.maximum(power[top], 1e-3 * max(power[-1], 1e-6)))
    C = axes[:, top] * root
    into = (axes[:, top] / root).T
    A = into @ lagged @ into.T
    fastest = np.abs(np.linalg.eigvals(A)).max()
    A = A * min(1.0, 0.98 / max(fastest, 1e-9))
    Q = np.eye(latents) - A @ A.T
    values, vectors = np.linalg.eigh((Q + Q.T) / 2)
    Q = (vectors * np.maximum(values, 0.02)) @ vectors.T
    rest = np.maximum(np.diag(cov) - (C**2).sum(1), 0.05 * np.abs(np.diag(cov)) + 1e-6)
    D = np.zeros((len(C), bins.w.shape[1] - 1))
    made = {"A": A, "B": np.zeros((latents, bins.v.shape[1])), "Q": Q, "mean": np.zeros(latents),
            "cov": np.eye(latents), "weights": np.concatenate([C, D, offset[:, None]], axis=1)}  # fmt: skip
    made = {name: jnp.asarray(a, bins.y.dtype) for name, a in made.items()}
    return made | {k: jnp.asarray(a, bins.y.dtype) for k, a in observation.noisy(rest).items()}


class LDS(TransformerMixin, BaseEstimator):
    r"""A linear dynamical system: Gaussian (a Kalman smoother that learns) or of Poisson counts.

    **Arguments**

    - `latents` n; `observation`: a part of `neuropil.fit.observations`, `LinearGaussian(noise="diagonal")`
      (or "full") or `LogLinearPoisson()`;
    - `iterations` of EM at most; it stops when one gains less than `tolerance`, in nats a bin (0: never);
    - `start`: parameters to begin at, as `params_`, in place of principal axes and moments.

    Data are bins (time, unit), with `lengths` of the sequences in them, trials (trial, time, unit), or a
    `Recording`. NaN is a missing entry, of which nothing is assumed: hide units to predict them from the
    others, or add bins of NaN to predict what comes.

    After `fit`: `params_` (`A`, `B`, `Q`, `mean`, `cov` of the first bin, `weights` = C | D | d, `noise`) in
    the latent coordinates where C's columns are orthonormal, and `history_`, log p(y) before each iteration.
    The latent coordinates are free: compare eigenvalues of A, the span of C, or predictions.

    >>> rng = np.random.default_rng(0)
    >>> wave = np.sin(np.arange(300) / 5)[:, None]
    >>> y = wave * np.array([1.0, -1.0, 0.5]) + 0.3 * rng.normal(size=(300, 3))
    >>> model = LDS(2, iterations=10).fit(y)
    >>> hidden = y.copy()
    >>> hidden[:, 2] = np.nan
    >>> bool(np.corrcoef(model.predict(hidden)[:, 2], wave[:, 0])[0, 1] > 0.95)
    True

    Raises ValueError for shapes that do not fit, values that the observation cannot make, a unit that was
    never seen, more latents than units, and a test part of a split in `fit`.
    """

    def __init__(
        self,
        latents=3,
        observation=LinearGaussian(),
        *,
        iterations=50,
        tolerance=1e-4,
        start=None,
    ):
        self.latents = latents
        self.observation = observation
        self.iterations = iterations
        self.tolerance = tolerance
        self.start = start

    def fit(self, X, y=None, *, inputs=None, lengths=None) -> LDS:
        """Fit to bins; `y` is ignored, `inputs` (time, input) or (trial, time, input) are u."""
        if self.iterations < 1 or self.tolerance < 0:
            raise ValueError("iterations is at least 1, tolerance not negative")
        bins, _ = self._door(X, inputs, lengths, fit=True)
        if self.start is None:
            params = start(self.observation, self.latents, bins)
        else:
            params = {k: jnp.asarray(a, bins.y.dtype) for k, a in self.start.items()}
        limit = self.tolerance * len(bins.y) if self.tolerance > 0 else -np.inf
        params, history, done = _maximise(self.observation, self.iterations, limit, params, bins)
        self.history_ = np.asarray(history)[: int(done)]
        if not np.isfinite(self.history_).all():
            raise ValueError(
                "the likelihood is not finite: is a unit constant, or a value far out of range?"
            )
        self.params_ = orthonormal(params, self.latents)
        self.n_features_in_ = bins.y.shape[1]
        return self

    def transform(self, X, *, inputs=None, lengths=None) -> np.ndarray:
        """Posterior means of the latent signals, given all bins: X's shape with n in place of the units."""
        (path, _, _), shape = self._believed(X, inputs, lengths)
        return np.asarray(path.mean).reshape(*shape, -1)

    def predict(self, X, *, inputs=None, lengths=None) -> np.ndarray:
        """E y of every entry given all that was seen (rates, of counts), also of entries that were not."""
        (_, _, mean), shape = self._believed(X, inputs, lengths)
        return np.asarray(mean).reshape(*shape, -1)

    def log_likelihood(self, X, *, inputs=None, lengths=None) -> float:
        """log p(X) in nats (of counts: by Laplace's approximation)."""
        return float(self._believed(X, inputs, lengths)[0][1])

    def score(self, X, y=None, *, inputs=None, lengths=None) -> float:
        """log p(X) a bin, in nats."""
        (_, evidence, mean), _ = self._believed(X, inputs, lengths)
        return float(evidence) / len(mean)

    def sample(self, time: int, key: Array, *, inputs=None) -> tuple[np.ndarray, np.ndarray]:
        """(latent signals (time, n), bins (time, unit)) of one sequence drawn from the fitted model."""
        check_is_fitted(self, "params_")
        return simulate(self.observation, self.params_, time, key, inputs)

    def _door(self, X, inputs, lengths, fit=False):
        X, inputs = admit(self, X, fit=fit), beside(self, inputs, fit=fit)
        return checked_bins(self.observation, X, inputs, lengths)

    def _believed(self, X, inputs, lengths):
        check_is_fitted(self, "params_")
        bins, shape = self._door(X, inputs, lengths)
        if bins.y.shape[1] != self.n_features_in_:
            raise ValueError(
                f"LDS was fitted to {self.n_features_in_} units, but X has {bins.y.shape[1]} "
                "(hide units by NaN)"
            )
        return _believe(self.observation, self.params_, bins), shape


def simulate(
    observation, params: Params, time: int, key: Array, inputs=None
) -> tuple[np.ndarray, np.ndarray]:
    """(latent signals (time, n), bins (time, unit)) of a linear dynamical system with these parameters.

    >>> one = jnp.ones((1, 1))
    >>> params = {"A": 0.5 * one, "B": jnp.zeros((1, 0)), "Q": one, "mean": one[0], "cov": one,
    ...           "weights": jnp.ones((4, 2)), "noise": jnp.ones(4)}
    >>> [a.shape for a in simulate(LinearGaussian(), params, 10, jr.key(0))]
    [(10, 1), (10, 4)]
    """
    params = {name: jnp.asarray(a, float) for name, a in params.items()}
    u = jnp.zeros((time, 0)) if inputs is None else jnp.asarray(inputs, float)
    w = jnp.concatenate([u, jnp.ones((time, 1))], axis=1)
    one, two, three = jr.split(key, 3)
    n = len(params["A"])
    noise = jr.normal(two, (time, n)) @ jnp.linalg.cholesky(params["Q"]).T
    push = u @ params["B"].T + noise
    first = params["mean"] + jnp.linalg.cholesky(params["cov"]) @ jr.normal(one, (n,))

    def move(z, now):
        z = params["A"] @ z + now
        return z, z

    _, later = lax.scan(move, first, push[1:])
    z = jnp.concatenate([first[None], later])
    return np.asarray(z), np.asarray(observation.draw(params, z, w, three))
