"""The tasks of fit.py, the same numbers for all libraries (NumPy only)."""

from __future__ import annotations

import numpy as np

TIME, UNITS, STATES, INPUTS, ITERATIONS = 20_000, 50, 5, 10, 20
CHANNELS, TRAIN, BINS, FEW = 200, 3000, 1000, 8
COUPLED, FEATURES, LAGS, PENALTY = 100, 5, 30, 1.0


def hidden() -> dict:
    """Counts of a Poisson HMM, choices of a GLM-HMM, and where both fits begin."""
    rng = np.random.default_rng(0)
    z = np.zeros(TIME, int)
    for t in range(1, TIME):
        z[t] = z[t - 1] if rng.random() < 0.98 else rng.integers(STATES)
    counts = rng.poisson(rng.gamma(2, 1.0, (STATES, UNITS))[z])
    x = rng.standard_normal((TIME, INPUTS))
    w = 2 * rng.standard_normal((STATES, INPUTS))
    choices = (rng.random(TIME) < 1 / (1 + np.exp(-(x * w[z]).sum(1)))).astype(int)
    rate = np.clip(counts.mean(0) * rng.uniform(0.7, 1.3, (STATES, UNITS)), 0.1, None)
    weights = rng.standard_normal((STATES, INPUTS))
    other = 0.05 / (STATES - 1)
    transition = np.full((STATES, STATES), other) + np.eye(STATES) * (0.95 - other)
    return {"counts": counts, "x": x, "choices": choices, "rate": rate, "weights": weights,
            "transition": transition}  # fmt: skip


def velocity() -> tuple[np.ndarray, np.ndarray]:
    """Two velocities (time, 2) and roots of counts of tuned channels (time, channel)."""
    rng = np.random.default_rng(0)
    z = np.zeros((TRAIN + BINS, 2))
    for t in range(1, len(z)):
        z[t] = 0.95 * z[t - 1] + 0.31 * rng.normal(size=2)
    angle = rng.uniform(0, 2 * np.pi, CHANNELS)
    along = z @ np.stack([np.cos(angle), np.sin(angle)])
    return z, np.sqrt(rng.poisson(2 * np.exp(0.5 * along)))


def coupled() -> np.ndarray:
    """Counts (time, cell) of cells that excite and inhibit each other through traces of 5 bins."""
    rng = np.random.default_rng(0)
    weight = 0.3 * rng.standard_normal((COUPLED, COUPLED)) * (rng.random((COUPLED, COUPLED)) < 0.1)
    bias = np.log(rng.uniform(0.05, 0.2, COUPLED))
    counts, trace = np.zeros((TIME, COUPLED)), np.zeros(COUPLED)
    for t in range(TIME):
        counts[t] = rng.poisson(np.exp(np.minimum(bias + weight @ trace, 1.0)))
        trace = 0.8 * trace + 0.2 * counts[t]
    return counts


def history(counts: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Design (time, cell x feature) of the bins before each: what neuropil makes of `basis` itself."""
    lags = len(basis)
    past = np.pad(counts, ((lags, 0), (0, 0)))
    rows = [past[lags - k : lags - k + len(counts)] for k in range(1, lags + 1)]
    return np.einsum("ltc,lf->tcf", np.stack(rows), basis, optimize=True).reshape(len(counts), -1)
