r"""Linear autoregression of many channels: fitted by least squares, simulated, with its spectrum.

$x_t = \sum_{k=1}^{p} A_k x_{t-k} + \epsilon_t, \quad \epsilon \sim N(0, \Sigma)$, and for it
$S(f) = H \Sigma H^* / \text{rate}$ (two-sided), $H = (I - \sum_k A_k e^{-2 \pi i f k / \text{rate}})^{-1}$.

Of a stationary process it matches covariances up to lag p, and nothing that is not Gaussian.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float


@dataclass(frozen=True)
class Autoregression:
    """`coefficients` (lag, to, from) and `covariance` of the noise (channel, channel).

    >>> model = Autoregression(np.array([[[0.5]]]), np.eye(1))
    >>> x = model.simulate(20_000, np.random.default_rng(0))
    >>> Autoregression.fit([x], 1).coefficients.round(1).tolist()
    [[[0.5]]]
    """

    coefficients: Float[np.ndarray, "lag to channel"]
    covariance: Float[np.ndarray, "channel channel"]

    @staticmethod
    def fit(
        recordings: Sequence[Float[np.ndarray, "time channel"]],
        order: int,
        *,
        ridge: float | int = 1e-6,
        alone: bool = False,
    ) -> Autoregression:
        """Least squares over all recordings; `ridge` times the mean variance is added to the normal equations
        for each sample. `alone`: every channel from its own past, with noise of its own.

        Raises ValueError for an order below 1 and recordings that are not longer than it.
        """
        if order < 1 or any(len(x) <= order for x in recordings):
            raise ValueError(f"Autoregression: order = {order}; at least 1, and below every length")
        channels = recordings[0].shape[1]
        if alone and channels > 1:
            parts = [
                Autoregression.fit([x[:, [c]] for x in recordings], order, ridge=ridge)
                for c in range(channels)
            ]
            every = np.zeros((order, channels, channels))
            noise = np.zeros((channels, channels))
            for c, part in enumerate(parts):
                every[:, c, c], noise[c, c] = part.coefficients[:, 0, 0], part.covariance[0, 0]
            return Autoregression(every, noise)
        past = np.concatenate([_lagged(np.asarray(x, float), order) for x in recordings])
        now = np.concatenate([np.asarray(x, float)[order:] for x in recordings])
        gram = past.T @ past
        gram[np.diag_indices_from(gram)] += ridge * len(now) * np.mean(now**2)
        weights = np.linalg.solve(gram, past.T @ now)
        left = now - past @ weights
        coefficients = weights.reshape(order, channels, channels).transpose(0, 2, 1)
        return Autoregression(coefficients, left.T @ left / len(left))

    @property
    def radius(self) -> float:
        """Largest absolute eigenvalue of the companion matrix; the process is stationary below 1."""
        order, channels, _ = self.coefficients.shape
        companion = np.eye(order * channels, k=-channels)
        companion[:channels] = self.coefficients.transpose(1, 0, 2).reshape(channels, -1)
        return float(np.abs(np.linalg.eigvals(companion)).max())

    def spectrum(
        self, hz: Float[np.ndarray, " frequency"], rate: float | int
    ) -> Complex[np.ndarray, "frequency channel channel"]:
        """One-sided cross-spectral density at `hz` (as Welch's)."""
        order, channels, _ = self.coefficients.shape
        turn = np.exp(-2j * np.pi * np.outer(hz, np.arange(1, order + 1)) / rate)
        H = np.linalg.inv(np.eye(channels) - np.einsum("fk,kij->fij", turn, self.coefficients))
        return 2 / rate * H @ self.covariance @ H.conj().transpose(0, 2, 1)

    def simulate(
        self, time: int, rng: np.random.Generator, burn: int = 500
    ) -> Float[np.ndarray, "time channel"]:
        """A draw of `time` samples after `burn` that are thrown away.

        Raises ValueError for a process that is not stationary."""
        if self.radius >= 1:
            raise ValueError(
                f"Autoregression: radius {self.radius:.4g} is not below 1; it diverges"
            )
        order, channels, _ = self.coefficients.shape
        weights = self.coefficients[::-1].transpose(1, 0, 2).reshape(channels, -1)  # oldest first
        noise = rng.multivariate_normal(np.zeros(channels), self.covariance, burn + time)
        x = np.zeros((order + burn + time, channels))
        for t in range(burn + time):
            x[order + t] = weights @ x[t : order + t].ravel() + noise[t]
        return x[order + burn :]


def _lagged(x, order):
    """Rows (lag 1 of all channels, lag 2, ...) for each sample from `order` on."""
    n = len(x) - order
    return np.concatenate([x[order - k : order - k + n] for k in range(1, order + 1)], axis=1)
