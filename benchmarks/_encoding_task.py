"""The encoding tasks of encoding.py, the same for every library."""

import numpy as np

SAMPLES, FEATURES, FOLDS = 2000, 1000, 5
ALPHAS = np.logspace(-1, 5, 20)
TARGETS = {"ridge": 20_000, "banded": 2_000}
DRAWS = 20
SHOWN = 500  # targets whose results are compared


def data(what: str):
    """Features (sample, feature) and responses (sample, target), single precision; the second half of the
    features, the second band, matters a fifth as much."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((SAMPLES, FEATURES), np.float32)
    w = rng.standard_normal((FEATURES, TARGETS[what]), np.float32) / np.float32(FEATURES**0.5)
    w[FEATURES // 2 :] *= 0.2
    y = x @ w
    for begin in range(0, y.shape[1], 1000):  # no temporary as large as the data
        part = y[:, begin : begin + 1000]
        part += 2 * rng.standard_normal(part.shape, np.float32)
    return x, y


def shares() -> np.ndarray:
    """Shares of the two bands (draw, band)."""
    rng = np.random.default_rng(1)
    return np.concatenate([[[0.5, 0.5]], rng.dirichlet([0.5, 0.5], DRAWS - 1)]).clip(1e-6)
