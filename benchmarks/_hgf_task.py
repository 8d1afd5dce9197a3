"""The task of hgf.py: a random walk whose volatility wanders, and the parameters of a three-level filter."""

import numpy as np

OMEGA = (-4.0, -6.0, -8.0)
PRECISION = (1e2, 1e1, 1e1)
NOISE = 1e3


def series(n: int) -> np.ndarray:
    """(n,) observations in single precision."""
    rng = np.random.default_rng(0)
    x, s = np.zeros(n), 0.0
    for t in range(1, n):
        s = 0.99 * s + 0.1 * rng.standard_normal()
        x[t] = 0.98 * x[t - 1] + 0.1 * np.exp(0.5 * s) * rng.standard_normal()
    return x.astype(np.float32)
