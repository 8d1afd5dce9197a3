r"""Gaussian-process factor analysis of trials, and Poisson rates read off any features.

Few latent signals that are smooth in time explain what many units do:
$$x_i \sim N(0, K_i), \quad K_i = (1 - \epsilon)\, e^{-(t-s)^2 / 2 l_i^2} + \epsilon I, \quad
  y_t = C x_t + d + N(0, \mathrm{diag}\, r).$$

Source: Yu, Cunningham, Santhanam, Ryu, Shenoy, Sahani (2009), J. Neurophysiol. 102:614.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Float
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from neuropil.fit.door import admit, beside
from neuropil.fit.gp import LOG_2PI, squared_exponential
from neuropil.fit.newton import linear, solve
from neuropil.stats.likelihood import bits_per_spike, mean_of

Trials = Float[np.ndarray, "trial bin unit"]

_FLOOR = 1e-3  # epsilon: share of a latent's variance that is not smooth, as in the paper
_LONGER = (0.7, 0.85, 0.95, 1.0, 1.05, 1.2, 1.4)  # lengths that an iteration may change to


def checked_trials(X, name: str = "X", units: int | None = None) -> np.ndarray:
    """Trials as an array of floats, or ValueError that says what is wrong."""
    a = np.asarray(X, float)
    if a.ndim != 3 or 0 in a.shape or a.shape[1] < 2:
        raise ValueError(f"{name} must be (trial, bin, unit) with 2 bins or more, not {a.shape}")
    if not np.isfinite(a).all():
        raise ValueError(f"{name} holds NaN or infinity; leave those trials out")
    if units is not None and a.shape[2] != units:
        raise ValueError(f"{name} has {a.shape[2]} units, but the fit had {units}")
    return a


def _kernel(bins, length):
    return (1 - _FLOOR) * squared_exponential(bins, length) + _FLOOR * jnp.eye(bins)


def _log_det(factor):
    return 2 * jnp.log(jnp.diag(factor[0])).sum()


def infer(
    params: dict[str, Array], y: Float[Array, "trial bin unit"]
) -> tuple[Float[Array, "trial latent bin"], Float[Array, "state state"], Float[Array, ""]]:
    """Posterior means of the latents, their covariance (latent x bin, the same in all trials), log p(y).

    `params`: loading (unit, latent), offset (unit,), noise (unit,), length (latent,).
    """
    C, d, r, length = (params[name] for name in ("loading", "offset", "noise", "length"))
    (trials, bins, units), p = y.shape, C.shape[1]
    prior, log_prior = [], 0.0
    for i in range(p):  # not batched: two batched factorisations in a program can block each other
        factor = cho_factor(_kernel(bins, length[i]), lower=True)
        prior.append(cho_solve(factor, jnp.eye(bins)))
        log_prior = log_prior + _log_det(factor)
    precision = jnp.kron((C / r[:, None]).T @ C, jnp.eye(bins))
    precision = precision + jax.scipy.linalg.block_diag(*prior)
    factor = cho_factor(precision, lower=True)
    covariance = cho_solve(factor, jnp.eye(p * bins))
    rest = y - d[None, None]
    seen = jnp.einsum("ntu,ui->nit", rest, C / r[:, None]).reshape(trials, -1)
    mean = seen @ covariance
    square = ((rest**2).sum((0, 1)) / r).sum() - (seen * mean).sum()
    per_trial = bins * jnp.log(r).sum() + _log_det(factor) + log_prior + bins * units * LOG_2PI
    return mean.reshape(trials, p, bins), covariance, -0.5 * (square + trials * per_trial)


def _improve(params, y):
    """One iteration of expectation maximisation, and log p(y) before it."""
    mean, covariance, evidence = infer(params, y)
    (trials, bins, _), p = y.shape, mean.shape[1]
    block = covariance.reshape(p, bins, p, bins)
    second = jnp.einsum("nit,njt->ij", mean, mean) + trials * jnp.einsum("itjt->ij", block)
    total = mean.sum((0, 2))
    moments = jnp.block([[second, total[:, None]], [total[None], jnp.full((1, 1), trials * bins)]])
    cross = jnp.einsum("ntu,nit->ui", y, mean)
    cross = jnp.concatenate([cross, y.sum((0, 1))[:, None]], axis=1)
    found = jnp.linalg.solve(moments, cross.T).T
    noise = ((y**2).sum((0, 1)) - (found * cross).sum(1)) / (trials * bins)

    def gain(case):
        length, spread = case
        factor = cho_factor(_kernel(bins, length), lower=True)
        return -0.5 * (jnp.trace(cho_solve(factor, spread)) + trials * _log_det(factor))

    lengths = []
    for i in range(p):
        spread = mean[:, i].T @ mean[:, i] + trials * block[i, :, i]
        tried = params["length"][i] * jnp.asarray(_LONGER)
        lengths.append(tried[jnp.argmax(lax.map(lambda a, s=spread: gain((a, s)), tried))])
    return {
        "loading": found[:, :-1],
        "offset": found[:, -1],
        "noise": jnp.maximum(noise, 1e-4),
        "length": jnp.clip(jnp.stack(lengths), 0.5, 10.0 * bins),
    }, evidence


@eqx.filter_jit
def _maximise(params, y, iterations: int):
    return lax.scan(lambda p, _: _improve(p, y), params, None, length=iterations)


_infer = eqx.filter_jit(infer)


class GPFA(TransformerMixin, BaseEstimator):
    """Gaussian-process factor analysis of trials of the same length, by expectation maximisation.

    **Arguments**

    - `latents`: how many signals; `length`: their timescale to begin with, in bins;
    - `iterations` of EM (a timescale takes the best of seven multiples in each, so the likelihood never
      falls);
    - `root`: work on square roots of counts, whose noise hardly depends on the rate.

    After `fit`: `params_` (loading, offset, noise, length) and `history_`, log p before each iteration.

    >>> rng = np.random.default_rng(0)
    >>> wave = np.sin(np.arange(30) / 4 + rng.uniform(0, 6, (20, 1)))[..., None]
    >>> y = wave * np.array([1.0, -1.0, 0.5]) + 0.3 * rng.normal(size=(20, 30, 3))
    >>> model = GPFA(latents=1, length=3.0, iterations=10, root=False).fit(y)
    >>> bool(abs(np.corrcoef(model.transform(y).ravel(), wave.ravel())[0, 1]) > 0.97)
    True

    Raises ValueError for data that are not (trial, bin, unit), negative counts with `root`, more latents
    than units, and settings below 1.
    """

    def __init__(self, latents=3, *, length=5.0, iterations=30, root=True):
        self.latents = latents
        self.length = length
        self.iterations = iterations
        self.root = root

    def _door(self, X, units=None):
        y = checked_trials(admit(self, X, fit=units is None), units=units)
        if self.root and y.min() < 0:
            raise ValueError("GPFA takes roots of counts, but some are negative; use root=False")
        return jnp.asarray(np.sqrt(y) if self.root else y, jnp.result_type(float))

    def fit(self, X, y=None) -> GPFA:
        """Fit to trials (trial, bin, unit); begins at the principal components."""
        seen = self._door(X)
        units = seen.shape[2]
        if not 1 <= self.latents <= units or self.iterations < 1 or self.length <= 0:
            raise ValueError(
                f"GPFA: latents = {self.latents} of {units} units, iterations = {self.iterations}, "
                f"length = {self.length}: all positive, and no more latents than units"
            )
        flat = np.asarray(seen).reshape(-1, units)
        power, axes = np.linalg.eigh(np.cov(flat.T, ddof=0).reshape(units, units))
        top = slice(None, -self.latents - 1, -1)
        loading = axes[:, top] * np.sqrt(np.maximum(power[top], 1e-6))
        noise = np.maximum(flat.var(0) - (loading**2).sum(1), 0.1 * flat.var(0) + 1e-4)
        start = {"loading": loading, "offset": flat.mean(0), "noise": noise,
                 "length": np.full(self.latents, float(self.length))}  # fmt: skip
        start = {name: jnp.asarray(a, seen.dtype) for name, a in start.items()}
        self.params_, history = _maximise(start, seen, self.iterations)
        self.history_, self.n_features_in_ = np.asarray(history), units
        if not np.isfinite(self.history_).all():
            raise ValueError("GPFA: the likelihood is not finite; is a unit silent in all trials?")
        return self

    def _mean(self, X):
        check_is_fitted(self, "params_")
        return _infer(self.params_, self._door(X, self.n_features_in_))

    def transform(self, X) -> Float[np.ndarray, "trial bin latent"]:
        """Posterior means of the latents."""
        return np.asarray(jnp.swapaxes(self._mean(X)[0], 1, 2))

    def predict(self, X) -> Trials:
        """C x + d: expected values (of the roots of counts, where those are modelled)."""
        loading, offset = (np.asarray(self.params_[name]) for name in ("loading", "offset"))
        return self.transform(X) @ loading.T + offset

    def score(self, X, y=None) -> float:
        """log p a bin of a trial, in nats."""
        mean, _, evidence = self._mean(X)
        return float(evidence) / (len(mean) * mean.shape[2])


class PoissonReadout(RegressorMixin, BaseEstimator):
    r"""Rates of counts from features of the same bin, $\log r = b + W f$, with a penalty on W.

    Features and counts are (trial, bin, number); features are standardised. `score` is in bits per spike.

    >>> f = np.random.default_rng(0).normal(size=(10, 20, 2))
    >>> counts = np.random.default_rng(1).poisson(np.exp(f[..., :1]))
    >>> PoissonReadout(1.0).fit(f, counts).score(f, counts) > 0.3
    True

    Raises ValueError for arrays that are not (trial, bin, number) and counts below zero.
    """

    def __init__(self, penalty=1.0):
        self.penalty = penalty

    def fit(self, X, y) -> PoissonReadout:
        """Fit to features X and counts y."""
        f = checked_trials(admit(self, X, fit=True))
        counts = checked_trials(beside(self, y, fit=True), "y")
        if counts.min() < 0 or f.shape[:2] != counts.shape[:2] or self.penalty <= 0:
            raise ValueError("PoissonReadout: counts from 0, as many bins as features, penalty > 0")
        self.centre_, self.scale_ = f.mean((0, 1)), f.std((0, 1)) + 1e-9
        floats = jnp.result_type(float)
        design = jnp.asarray(((f - self.centre_) / self.scale_).reshape(-1, f.shape[2]), floats)
        target = jnp.asarray(counts.reshape(-1, counts.shape[2]), floats)
        theta = jnp.zeros((design.shape[1] + 1, target.shape[1]), floats)
        penalty = jnp.full((1, target.shape[1]), self.penalty, floats)
        weights, allowed = jnp.ones(len(design), floats), jnp.ones_like(theta)
        self.theta_ = solve("poisson", 50, design, target, weights, penalty, allowed, theta)
        self.n_features_in_ = f.shape[2]
        return self

    def predict(self, X) -> Trials:
        """Rates (expected counts a bin)."""
        check_is_fitted(self, "theta_")
        f = checked_trials(admit(self, X), units=self.n_features_in_)
        flat = jnp.asarray(((f - self.centre_) / self.scale_).reshape(-1, f.shape[2]))
        rates = mean_of("poisson", linear(flat, self.theta_))
        return np.asarray(rates).reshape(*f.shape[:2], -1)

    def score(self, X, y, sample_weight=None) -> float:
        """Bits per spike of y over each unit's mean rate in y."""
        counts = np.asarray(beside(self, y), float)
        return float(bits_per_spike("poisson", counts, self.predict(X)))
