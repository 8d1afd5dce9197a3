"""The task of stdp.py: a network after Diehl and Cook (2015), from NumPy alone.

784 inputs, 100 of which fire at 63.75 Hz during a sample of 350 ms; 400 excitatory cells with adaptive
thresholds, 400 inhibitory ones that each silences all but its own. Pair STDP on the 784 x 400 weights
(nearest pairs, window 20 ms, A+ 0.01, A- 0.0001, bounds 0 and 1); after every sample each cell's weights are
scaled to a sum of 78.4. Step 1 ms.
"""

import numpy as np

INPUTS, CELLS, TICKS = 784, 400, 350
RATE, TOTAL = 63.75, 78.4  # Hz; sum of a cell's weights
A_PLUS, A_MINUS, WINDOW = 1e-2, 1e-4, 20.0
EXCITE, INHIBIT = 22.5, 120.0  # mV
THETA, THETA_TAU = 0.05, 1e7  # mV a spike, ms


def rates(samples: int) -> np.ndarray:
    """Rate of every input in every sample, in Hz."""
    rng, found = np.random.default_rng(0), np.zeros((samples, INPUTS))
    for row in found:
        row[rng.choice(INPUTS, 100, replace=False)] = RATE
    return found


def spikes(samples: int) -> np.ndarray:
    """(sample, tick, input): Bernoulli spikes at these rates."""
    rng, found = np.random.default_rng(1), np.empty((samples, TICKS, INPUTS), np.float32)
    for k, row in enumerate(rates(samples)):
        found[k] = rng.random((TICKS, INPUTS)) < row / 1000
    return found


def weights() -> np.ndarray:
    """(post, pre), scaled."""
    w = 0.3 * np.random.default_rng(2).random((CELLS, INPUTS))
    return (w * (TOTAL / w.sum(1, keepdims=True))).astype(np.float32)
