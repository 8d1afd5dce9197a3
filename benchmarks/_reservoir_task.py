"""The task of reservoir.py: an echo state network of 1,000 units learns Mackey-Glass one step ahead.

10,000 steps to learn from, 2,000 to run on; leak 0.5, spectral radius 0.9, density 0.1, ridge 1e-6, the
first 100 steps left out. NumPy alone; each library draws its own network.
"""

import numpy as np

UNITS, TRAIN, TEST, WASHOUT = 1000, 10_000, 2000, 100
LEAK, RADIUS, DENSITY, RIDGE = 0.5, 0.9, 0.1, 1e-6


def mackey_glass(n: int, tau: int = 17, steps: int = 10) -> np.ndarray:
    """Euler with `steps` steps a unit of time."""
    late = tau * steps
    x = np.full(n * steps + late + 1, 1.2)
    for i in range(late, len(x) - 1):
        x[i + 1] = x[i] + (0.2 * x[i - late] / (1 + x[i - late] ** 10) - 0.1 * x[i]) / steps
    return x[late::steps][:n]


def series() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Inputs and targets to learn from, inputs and targets to run on; (time, 1)."""
    x = mackey_glass(TRAIN + TEST + 1)[:, None]
    return x[:TRAIN], x[1 : TRAIN + 1], x[TRAIN:-1], x[TRAIN + 1 :]


def nrmse(found: np.ndarray, wanted: np.ndarray) -> float:
    """Root mean squared error over the standard deviation, the first steps left out."""
    error = np.asarray(found, np.float64)[WASHOUT:] - wanted[WASHOUT:]
    return float(np.sqrt((error**2).mean()) / wanted.std())
