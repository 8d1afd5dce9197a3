r"""Gaussian processes in time bins as priors of latent signals: in the Fourier domain, and exactly.

Both say the same of a signal z over N bins, $z \sim N(0, K)$ with the squared exponential kernel
$K_{tt'} = \rho\, e^{-(t-t')^2 / 2 l^2}$, and offer the same methods, so that a model takes either:
`values` of coefficients and the `spread` of their uncertainty in time, `divergence` from the prior (what
a variational autoencoder pays), `posterior`, `gain` and `evidence` of a Gaussian observation, `sample`.

Coefficients c are the F amplitudes of a Fourier basis in `FourierGP`, where the prior is diagonal and
costs F, and the N values themselves in `ExactGP`, where it costs $N^3$ once.

Source: Gondur, Sikandar, Schaffer, Aoi, Keeley (2024), ICLR, arXiv:2310.03111; the basis: Aoi, Pillow
(2017), doi:10.1101/134627; Rasmussen, Williams (2006), Gaussian Processes for Machine Learning, ch. 2.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Float, PRNGKeyArray

LOG_2PI = math.log(2 * math.pi)


class Posterior(NamedTuple):
    """What is known of a latent signal: `mean` (bin,) and `covariance` (bin, bin)."""

    mean: Float[Array, " bin"]
    covariance: Float[Array, "bin bin"]


def squared_exponential(
    bins: int,
    length: Float[Array, ""] | float | int,
    variance: Float[Array, ""] | float | int = 1.0,
) -> Float[Array, "bin bin"]:
    r"""Kernel matrix $\rho\, e^{-(t-t')^2 / 2 l^2}$ of bins 0 .. bins - 1; `length` l in bins.

    >>> bool(jnp.allclose(squared_exponential(2, 1.0)[0], jnp.array([1.0, 0.60653])))
    True
    """
    t = jnp.arange(bins, dtype=float)
    return variance * jnp.exp(-0.5 * ((t[:, None] - t[None, :]) / length) ** 2)


def _noise(noise, bins):
    r = jnp.asarray(noise, float)
    if r.ndim > 1 or (r.ndim == 1 and r.shape != (bins,)):
        raise ValueError(f"noise is one variance or one of each of {bins} bins, not {r.shape}")
    return jnp.broadcast_to(r, (bins,))


def _log_det(factor):
    return 2 * jnp.log(jnp.diag(factor[0])).sum()


class FourierGP(eqx.Module):
    r"""A Gaussian process as independent amplitudes of the slow waves of a circle of `period` bins.

    $$z_t = \sum_f B_{ft} c_f, \quad c_f \sim N(0, \lambda_f), \quad
      \lambda_f = \sqrt{2\pi}\,\rho\, l\, e^{-\omega_f^2 l^2 / 2} + \epsilon, \quad \omega_f = 2\pi f / P$$

    with rows of B $\cos(\omega_f t)$ for $f \ge 0$ and $\sin(\omega_f t)$ for $f < 0$ over $\sqrt{P/2}$, and
    over $\sqrt P$ for f = 0. $B^\top \Lambda B$ tends to the squared exponential kernel as P grows: the last
    bin meets the first at the distance P - N + 1, so P should exceed N by a few lengths.

    **Arguments** (by `FourierGP.of`)

    - `bins`: N. `shortest`: the shortest length (bins) that must fit; it decides how many waves are kept,
      those with more than 1 / `condition` of the power of the constant one. Half of them are sines.
    - `length`: l to begin with (bins); `shortest` where not given. `variance`: $\rho$.
    - `period`: P; N + 4 `shortest` where not given.
    - `floor`: $\epsilon$, which keeps the divergence finite when the length grows while it is learned.

    `log_length` and `log_variance` are arrays that can learn.

    >>> gp = FourierGP.of(60, shortest=10.0, length=15.0)
    >>> gp.size, gp.values(jnp.zeros(gp.size)).shape
    (19, (60,))
    >>> y = jnp.sin(jnp.arange(60.0) / 10)
    >>> bool(jnp.abs(gp.posterior(y, 0.01).mean - y).max() < 0.1)
    True

    ValueError: no bin, a `shortest` below 2 bins (its waves are faster than the bins), a period shorter
    than the bins, and lengths, variances or floors that are not positive.
    """

    log_length: Float[Array, ""]
    log_variance: Float[Array, ""]
    bins: int = eqx.field(static=True)
    modes: int = eqx.field(static=True)
    period: float = eqx.field(static=True)
    floor: float = eqx.field(static=True, default=1e-6)

    @staticmethod
    def of(
        bins: int,
        *,
        shortest: float | int,
        length: float | int | None = None,
        variance: float | int = 1.0,
        period: float | int | None = None,
        condition: float = 1e8,
        floor: float = 1e-6,
    ) -> FourierGP:
        """A process over `bins` bins that can be as fast as `shortest` (see the class)."""
        length = shortest if length is None else length
        period = bins + 4 * shortest if period is None else period
        if bins < 1 or shortest < 2 or period < bins or condition <= 1:
            raise ValueError(
                f"FourierGP: bins = {bins} must be positive, shortest = {shortest} at least 2 bins, "
                f"period = {period} at least the bins, condition = {condition} above 1"
            )
        _positive("FourierGP", length=length, variance=variance, floor=floor)
        fastest = math.sqrt(2 * math.log(condition)) / shortest
        modes = min(int(fastest * period / (2 * math.pi)), int((period - 1) / 2))
        return FourierGP(_log(length), _log(variance), bins, modes, float(period), floor)

    @property
    def frequencies(self) -> Float[Array, " mode"]:
        """Waves around the circle: 0, 1 .. modes (cosines), -modes .. -1 (sines)."""
        k = jnp.arange(self.modes + 1, dtype=float)
        return jnp.concatenate([k, -k[:0:-1]])

    @property
    def size(self) -> int:
        """Number of coefficients."""
        return 2 * self.modes + 1

    @property
    def basis(self) -> Float[Array, "mode bin"]:
        """B: every coefficient's signal in time."""
        f = self.frequencies[:, None]
        angle = 2 * jnp.pi / self.period * f * jnp.arange(self.bins, dtype=float)[None, :]
        rows = jnp.where(f < 0, jnp.sin(angle), jnp.cos(angle)) / math.sqrt(self.period / 2)
        return jnp.where(f == 0, rows / math.sqrt(2), rows)

    @property
    def spectrum(self) -> Float[Array, " mode"]:
        """Prior variance of every coefficient."""
        length, omega = jnp.exp(self.log_length), 2 * jnp.pi / self.period * self.frequencies
        power = jnp.exp(self.log_variance - 0.5 * (omega * length) ** 2)
        return math.sqrt(2 * math.pi) * length * power + self.floor

    @property
    def covariance(self) -> Float[Array, "bin bin"]:
        """Of the signal in time."""
        basis = self.basis
        return basis.T @ (self.spectrum[:, None] * basis)

    def values(self, c: Float[Array, "*some mode"]) -> Float[Array, "*some bin"]:
        """The signal of coefficients."""
        return c @ self.basis

    def spread(self, variance: Float[Array, "*some mode"]) -> Float[Array, "*some bin"]:
        """Variance of the signal in every bin, of coefficients with these independent variances."""
        return variance @ self.basis**2

    def divergence(
        self, mean: Float[Array, "*some mode"], log_sd: Float[Array, "*some mode"]
    ) -> Float[Array, "*some"]:
        r"""KL divergence (nats) from the prior of $c \sim N(m, e^{2s})$:
        $\sum_f [(m^2 + e^{2s}) / \lambda + \log \lambda - 2 s - 1] / 2$."""
        prior = self.spectrum
        ratio = (mean**2 + jnp.exp(2 * log_sd)) @ (1 / prior)
        return 0.5 * (ratio + jnp.log(prior).sum() - (2 * log_sd + 1).sum(-1))

    def _precision(self, noise):
        """Noise of every bin, weighted basis, and the Cholesky factor of the posterior precision of c."""
        r, basis = _noise(noise, self.bins), self.basis
        weighted = basis / r[None, :]
        return r, weighted, cho_factor(jnp.diag(1 / self.spectrum) + weighted @ basis.T, lower=True)

    def gain(self, noise: Float[Array, " bin"] | float | int) -> Float[Array, "mode bin"]:
        """G of the posterior mean of the coefficients, c = G y, where y = z + N(0, noise)."""
        _, weighted, factor = self._precision(noise)
        return cho_solve(factor, weighted)

    def posterior(
        self, y: Float[Array, " bin"], noise: Float[Array, " bin"] | float | int
    ) -> Posterior:
        """Of the signal given y = z + N(0, noise), noise a variance; infinite in a bin that was not seen."""
        _, weighted, factor = self._precision(noise)
        basis = self.basis
        return Posterior(
            cho_solve(factor, weighted @ y) @ basis, basis.T @ cho_solve(factor, basis)
        )

    def evidence(
        self, y: Float[Array, " bin"], noise: Float[Array, " bin"] | float | int
    ) -> Float[Array, ""]:
        """log p(y) of y = z + N(0, noise), by the matrix determinant lemma: cost F^3 + F^2 N."""
        r, weighted, factor = self._precision(noise)
        seen = weighted @ y
        square = y @ (y / r) - seen @ cho_solve(factor, seen)
        log_det = _log_det(factor) + jnp.log(self.spectrum).sum() + jnp.log(r).sum()
        return -0.5 * (square + log_det + self.bins * LOG_2PI)

    def sample(self, key: PRNGKeyArray, shape: tuple[int, ...] = ()) -> Float[Array, "*shape bin"]:
        """Signals of the prior."""
        noise = jr.normal(key, (*shape, self.size))
        return noise @ (jnp.sqrt(self.spectrum)[:, None] * self.basis)


class ExactGP(eqx.Module):
    r"""A Gaussian process over N bins by its whole kernel matrix, $K + \epsilon I$; coefficients are values.

    The same methods as `FourierGP`. As `length` tends to 0 it becomes white noise. `floor` $\epsilon$ must
    exceed about 1e-6 `bins` in single precision where the length is of several bins.

    >>> gp = ExactGP.of(60, length=15.0, floor=1e-3)
    >>> near = FourierGP.of(60, shortest=10.0, length=15.0)
    >>> y = jnp.sin(jnp.arange(60.0) / 10)
    >>> bool(abs(gp.evidence(y, 0.1) - near.evidence(y, 0.1)) < 1)
    True

    ValueError: no bin, and lengths, variances or floors that are not positive.
    """

    log_length: Float[Array, ""]
    log_variance: Float[Array, ""]
    bins: int = eqx.field(static=True)
    floor: float = eqx.field(static=True, default=1e-3)

    @staticmethod
    def of(
        bins: int, *, length: float | int, variance: float | int = 1.0, floor: float = 1e-3
    ) -> ExactGP:
        """A process over `bins` bins with a length in bins."""
        if bins < 1:
            raise ValueError(f"ExactGP: bins = {bins} must be positive")
        _positive("ExactGP", length=length, variance=variance, floor=floor)
        return ExactGP(_log(length), _log(variance), bins, floor)

    @property
    def size(self) -> int:
        """Number of coefficients: the bins."""
        return self.bins

    @property
    def covariance(self) -> Float[Array, "bin bin"]:
        """K with its floor."""
        kernel = squared_exponential(
            self.bins, jnp.exp(self.log_length), jnp.exp(self.log_variance)
        )
        return kernel + self.floor * jnp.eye(self.bins)

    def values(self, c: Float[Array, "*some bin"]) -> Float[Array, "*some bin"]:
        """The signal itself."""
        return c

    def spread(self, variance: Float[Array, "*some bin"]) -> Float[Array, "*some bin"]:
        """The variances themselves."""
        return variance

    def divergence(
        self, mean: Float[Array, "*some bin"], log_sd: Float[Array, "*some bin"]
    ) -> Float[Array, "*some"]:
        r"""KL divergence (nats) from the prior of $z \sim N(m, e^{2s})$:
        $[m^\top K^{-1} m + \mathrm{tr}(K^{-1} e^{2s}) + \log|K| - \sum (2 s + 1)] / 2$."""
        factor = cho_factor(self.covariance, lower=True)
        inverse = cho_solve(factor, jnp.eye(self.bins))
        square = ((mean @ inverse) * mean).sum(-1) + jnp.exp(2 * log_sd) @ jnp.diag(inverse)
        return 0.5 * (square + _log_det(factor) - (2 * log_sd + 1).sum(-1))

    def _seen(self, noise):
        K = self.covariance
        return K, cho_factor(K + jnp.diag(_noise(noise, self.bins)), lower=True)

    def gain(self, noise: Float[Array, " bin"] | float | int) -> Float[Array, "bin bin"]:
        """G of the posterior mean z = G y, where y = z + N(0, noise)."""
        K, factor = self._seen(noise)
        return cho_solve(factor, K).T

    def posterior(
        self, y: Float[Array, " bin"], noise: Float[Array, " bin"] | float | int
    ) -> Posterior:
        """Of the signal given y = z + N(0, noise), noise a finite variance."""
        K, factor = self._seen(noise)
        return Posterior(K @ cho_solve(factor, y), K - K @ cho_solve(factor, K))

    def evidence(
        self, y: Float[Array, " bin"], noise: Float[Array, " bin"] | float | int
    ) -> Float[Array, ""]:
        """log p(y) of y = z + N(0, noise)."""
        _, factor = self._seen(noise)
        return -0.5 * (y @ cho_solve(factor, y) + _log_det(factor) + self.bins * LOG_2PI)

    def sample(self, key: PRNGKeyArray, shape: tuple[int, ...] = ()) -> Float[Array, "*shape bin"]:
        """Signals of the prior."""
        return jr.normal(key, (*shape, self.bins)) @ jnp.linalg.cholesky(self.covariance).T


def expected_poisson(
    counts: Float[Array, "*shape"], mean: Float[Array, "*shape"], variance: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    r"""E log Poisson(k; e^a) in nats over log rates $a \sim N(\mu, v)$: $k\mu - e^{\mu + v/2} - \log k!$.

    >>> round(float(expected_poisson(jnp.array(2.0), jnp.array(0.0), jnp.array(0.0))), 4)
    -1.6931
    """
    return counts * mean - jnp.exp(mean + 0.5 * variance) - jax.scipy.special.gammaln(counts + 1)


def _log(x):
    return jnp.log(jnp.asarray(x, float))


def _positive(who, **values):
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{who}: {name} = {value} must be positive")
