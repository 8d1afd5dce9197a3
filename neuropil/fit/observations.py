r"""How latent signals are seen: the parts that `fit.LDS` and `fit.SwitchingLDS` are given.

A part says how likely every bin is given the latent signals, $\log p(y_t \mid z_t)$ with
$\eta_t = C z_t + D u_t + d$, its slope and curvature in z, its mean under a Gaussian belief of z, and which
parameters fit best to such beliefs. Parameters are a dictionary: `weights` = (C | D | d), an output a row, and
what else the part has. Entries that were not seen count for nothing. The objects hold settings only, so that
one compiled program serves all data of a shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
import jax.random as jr
import jax.scipy.linalg as jsl
import numpy as np
from jax import lax
from jax.scipy.special import gammaln
from jaxtyping import Array, Bool, Float

from neuropil.fit.emissions import Poisson

Params = dict[str, Array]
LOG_2PI = float(np.log(2 * np.pi))


class Path(NamedTuple):
    """A Gaussian belief of the latent signals: means, covariances, Cov[z_t, z_{t-1}] (0 where a sequence
    begins), and log |1 + P J| summed, what the bins added to the log-determinant of the precision."""

    mean: Float[Array, "time n"]
    cov: Float[Array, "time n n"]
    cross: Float[Array, "time n n"]
    log_det: Float[Array, ""]


class Bins(NamedTuple):
    """Checked data: `y` (0 where not seen), `seen`, inputs `v` of the dynamics and `w` of the observation
    (its last column 1), and which bins begin a sequence."""

    y: Float[Array, "time unit"]
    seen: Bool[Array, "time unit"]
    v: Float[Array, "time p"]
    w: Float[Array, "time q"]
    begins: Bool[Array, " time"]


def loading(params: Params, n: int) -> Float[Array, "unit n"]:
    """C."""
    return params["weights"][:, :n]


def squares(C: Float[Array, "unit n"]) -> Float[Array, "unit nn"]:
    """c c' of every unit, in a row."""
    return (C[:, :, None] * C[:, None, :]).reshape(len(C), -1)


def predictor(params: Params, z, w) -> Float[Array, "time unit"]:
    """C z + D u + d."""
    return jnp.concatenate([z, w], axis=1) @ params["weights"].T


def spread(params: Params, cov) -> Float[Array, "time unit"]:
    """Variance c' V c of every unit's predictor."""
    n = cov.shape[-1]
    return cov.reshape(len(cov), -1) @ squares(loading(params, n)).T


def _curvature(weight, C):
    """sum_u weight_tu c_u c_u'."""
    n = C.shape[1]
    return (weight @ squares(C)).reshape(-1, n, n)


def _seconds(path: Path, w):
    """E[x x'] of every bin with x = (z, u, 1), and E[x]."""
    n = path.mean.shape[1]
    x = jnp.concatenate([path.mean, w], axis=1)
    both = x[:, :, None] * x[:, None, :]
    return both.at[:, :n, :n].add(path.cov), x


def ridged(a, share=1e-6):
    """A matrix that can be inverted: a little of its mean diagonal added."""
    return a + share * (jnp.trace(a) / len(a) + 1e-30) * jnp.eye(len(a), dtype=a.dtype)


@dataclass(frozen=True)
class LinearGaussian:
    r"""$y_t \sim N(\eta_t, R)$. Parameters: `weights`; `noise`, the variances of R, or R where `noise="full"`.

    `floor` is added to every variance. `noise="full"` takes no missing entries (ValueError).
    """

    noise: str = "diagonal"
    floor: float | int = 1e-6
    steps: ClassVar[int] = 1

    def check(self, y: np.ndarray) -> None:
        """ValueError for data that it cannot make."""
        if self.noise not in ("diagonal", "full"):
            raise ValueError(f"noise is 'diagonal' or 'full', not {self.noise!r}")
        if self.noise == "full" and np.isnan(y).any():
            raise ValueError("noise='full' takes no missing values: use noise='diagonal'")

    def begin(self, y, past, now) -> tuple:
        """(mean of the predictor, its covariance, lagged covariance)."""
        mean = np.nanmean(y, 0)
        off = np.where(np.isnan(y), 0.0, y - mean)
        return mean, off.T @ off / len(y), off[now].T @ off[past] / max(len(now), 1)

    def noisy(self, variance) -> Params:
        """Its further parameters, where the predictor leaves these variances unexplained."""
        r = jnp.maximum(jnp.asarray(variance), self.floor)
        return {"noise": r if self.noise == "diagonal" else jnp.diag(r)}

    def look(self, params: Params, z, bins: Bins) -> tuple[Array, Array, Array]:
        """log p(y | z) summed, curvature -d2/dz2 and slope d/dz of every bin's."""
        C = loading(params, z.shape[1])
        error = jnp.where(bins.seen, bins.y - predictor(params, z, bins.w), 0.0)
        if self.noise == "diagonal":
            r = params["noise"]
            weight = bins.seen / r[None]
            likely = -0.5 * ((error**2) * weight + bins.seen * (jnp.log(r) + LOG_2PI)[None]).sum()
            return likely, _curvature(weight, C), (error * weight) @ C
        chol = jnp.linalg.cholesky(params["noise"])
        white = jsl.solve_triangular(chol, error.T, lower=True)
        half = jsl.solve_triangular(chol, C, lower=True)
        log_det = 2 * jnp.log(jnp.diagonal(chol)).sum()
        likely = -0.5 * ((white**2).sum() + len(z) * (log_det + len(C) * LOG_2PI))
        J = jnp.broadcast_to(half.T @ half, (len(z), *2 * [C.shape[1]]))
        return likely, J, white.T @ half

    def expected(self, params: Params, path: Path, bins: Bins) -> Float[Array, ""]:
        """E log p(y | z)."""
        likely, J, _ = self.look(params, path.mean, bins)
        return likely - 0.5 * (J * path.cov).sum()

    def mean(self, params: Params, z, cov, w) -> Float[Array, "time unit"]:
        """E y."""
        return predictor(params, z, w)

    def update(self, params: Params, path: Path, bins: Bins) -> Params:
        """The parameters that fit best to a belief of z."""
        second, x = _seconds(path, bins.w)
        seen = bins.seen.astype(x.dtype)
        if self.noise == "full":
            solved = jsl.solve(ridged(second.sum(0)), x.T @ bins.y, assume_a="pos").T
            error, C = bins.y - x @ solved.T, solved[:, : path.mean.shape[1]]
            R = (error.T @ error + C @ path.cov.sum(0) @ C.T) / len(x)
            R = (R + R.T) / 2 + self.floor * jnp.eye(len(R), dtype=x.dtype)
            return {"weights": solved, "noise": R}
        p = x.shape[1]
        gram = (seen.T @ second.reshape(len(x), -1)).reshape(-1, p, p)
        solve = lambda of: jsl.solve(ridged(of[0]), of[1], assume_a="pos")
        weights = lax.map(solve, (gram, (seen * bins.y).T @ x))
        made = {"weights": weights}
        error = (bins.y - x @ weights.T) ** 2 + spread(made, path.cov)
        return made | {"noise": (seen * error).sum(0) / jnp.maximum(seen.sum(0), 1.0) + self.floor}

    def draw(self, params: Params, z, w, key) -> Array:
        """Bins drawn given z."""
        r = params["noise"]
        chol = jnp.diag(jnp.sqrt(r)) if r.ndim == 1 else jnp.linalg.cholesky(r)
        eta = predictor(params, z, w)
        return eta + jr.normal(key, eta.shape, eta.dtype) @ chol.T


@dataclass(frozen=True)
class LogLinearPoisson:
    r"""Counts $y_{tu} \sim \text{Poisson}(e^{\eta_{tu}})$. Parameter: `weights`.

    The posterior of z is Laplace's: Newton's method over the whole trajectory, at most `steps` steps.

    `penalty` $\lambda$ is the precision of a Gaussian prior on the loadings,
    $\log p(c_u) = -\lambda c_u^\top \Sigma c_u / 2$, with $\Sigma$ the covariance of the latent signals over
    the bins. $c_u^\top \Sigma c_u$ is the variance of the unit's log rate, so the prior means the same in all
    coordinates of z, and latent signals that grow do not evade it. With the default 1, one standard
    deviation of a latent signal moves a rate e-fold in either direction, and the prior weighs as much as one
    spike: the loading of a unit with many spikes is left alone, that of one with few, which has no finite
    likeliest value where they fall in one place, stays finite. A hundredth of it holds D and d, those of a
    silent unit. With 0 it is plain EM.

    The start comes from the moments of counts, which for log-normal rates are those of the log rates in
    closed form: $\Sigma_{uv} = \log(E_{uv} / m_u m_v)$ with $E_{uv}$ the mean of $k_u k_v$ ($k_u (k_u - 1)$
    for u = v). One coincidence is added to those found and to those expected by chance, so that two units
    that were never seen together, and were not expected to be, begin unrelated.

    Source: Macke et al. 2011, NeurIPS 24; Buesing, Macke, Sahani 2012, NeurIPS 25 (moments); Zellner 1986,
    in Bayesian Inference and Decision Techniques, 233 (a prior scaled by the regressors' covariance).
    """

    steps: int = 20
    penalty: float | int = 1.0

    def check(self, y: np.ndarray) -> None:
        """ValueError for data that it cannot make."""
        Poisson().check(np.where(np.isnan(y), 0, y), None)

    def begin(self, y, past, now) -> tuple:
        """(mean of the predictor, its covariance, lagged covariance)."""
        mean = np.maximum(np.nanmean(y, 0), 0.5 / len(y))
        off = np.where(np.isnan(y), 0.0, y - mean)
        chance = len(y) * np.outer(mean, mean)
        found = lambda c: np.maximum(chance + len(y) * c, 0.0)
        log = lambda c: np.log((found(c) + 1) / (chance + 1))
        cov = log(off.T @ off / len(y) - np.diag(mean))
        return np.log(mean) - np.diag(cov) / 2, cov, log(off[now].T @ off[past] / max(len(now), 1))

    def noisy(self, variance) -> Params:
        """It has no further parameters."""
        return {}

    def look(self, params: Params, z, bins: Bins) -> tuple[Array, Array, Array]:
        """log p(y | z) summed, curvature -d2/dz2 and slope d/dz of every bin's."""
        C, eta = loading(params, z.shape[1]), predictor(params, z, bins.w)
        rate = bins.seen * jnp.exp(eta)
        likely = (bins.seen * (bins.y * eta - gammaln(bins.y + 1)) - rate).sum()
        return likely, _curvature(rate, C), (bins.y - rate) @ C

    def expected(self, params: Params, path: Path, bins: Bins) -> Float[Array, ""]:
        """E log p(y | z)."""
        rate = self.mean(params, path.mean, path.cov, bins.w)
        eta = predictor(params, path.mean, bins.w)
        return (bins.seen * (bins.y * eta - rate - gammaln(bins.y + 1))).sum()

    def mean(self, params: Params, z, cov, w) -> Float[Array, "time unit"]:
        """E y: e to the mean and half the variance of the predictor."""
        return jnp.exp(predictor(params, z, w) + 0.5 * spread(params, cov))

    def prior(self, path: Path, q: int) -> Float[Array, "q q"]:
        """Precision of the prior on a unit's (C | D | d)."""
        n = path.mean.shape[1]
        off = path.mean - path.mean.mean(0)[None]
        cov = off.T @ off / len(off) + path.cov.mean(0)
        return (
            (self.penalty * 1e-2 * jnp.eye(q, dtype=cov.dtype)).at[:n, :n].set(self.penalty * cov)
        )

    def update(self, params: Params, path: Path, bins: Bins) -> Params:
        """The parameters that fit best to a belief of z: Newton's method for each unit by itself."""
        n = path.mean.shape[1]
        x = jnp.concatenate([path.mean, bins.w], axis=1)
        flat = path.cov.reshape(len(x), -1)
        held = self.prior(path, x.shape[1])

        def rates(theta):
            c = theta[:n]
            return jnp.exp(x @ theta + 0.5 * (flat @ (c[:, None] * c[None, :]).reshape(-1)))

        def one(of):
            theta, y, seen = of

            def gain(theta):
                likely = (seen * (y * (x @ theta) - rates(theta))).sum()
                return likely - 0.5 * theta @ held @ theta

            def step(theta, _):
                rate = seen * rates(theta)
                wide = x.at[:, :n].add(path.cov @ theta[:n])
                slope = x.T @ (seen * y) - wide.T @ rate - held @ theta
                curve = wide.T @ (rate[:, None] * wide)
                curve = curve.at[:n, :n].add((rate @ flat).reshape(n, n))
                d = jsl.solve(ridged(curve) + held, slope, assume_a="pos")
                scales = jnp.asarray([1.0, 0.5, 0.1, 0.0], x.dtype)
                gains = lax.map(lambda s: gain(theta + s * d), scales)
                best = jnp.argmax(jnp.where(jnp.isnan(gains), -jnp.inf, gains))
                return theta + scales[best] * d, None

            return lax.scan(step, theta, None, length=3)[0]

        y, seen = bins.y.T, bins.seen.T.astype(x.dtype)
        return {"weights": lax.map(one, (params["weights"], y, seen))}

    def draw(self, params: Params, z, w, key) -> Array:
        """Bins drawn given z."""
        eta = predictor(params, z, w)
        return jr.poisson(key, jnp.exp(eta)).astype(eta.dtype)
