"""The task of train_lif.py: spikes, labels and weights from NumPy alone, the same for every library.

Two layers of 256 LIF cells and a linear readout, 700-256-256-20, averaged over time. beta = 0.95 a step,
threshold 1, subtractive reset, arctangent surrogate (alpha 2), cross entropy, Adam at 1e-3.
"""

import argparse
from typing import NamedTuple

import numpy as np

INPUTS, HIDDEN, OUTPUTS, BETA, RATE = 700, 256, 20, 0.95, 1e-3


class Task(NamedTuple):
    """x (time, batch, input), y (batch,), and the three weights, each (post, pre)."""

    x: np.ndarray
    y: np.ndarray
    weights: tuple[np.ndarray, np.ndarray, np.ndarray]


def task(steps: int, batch: int) -> Task:
    """3 % of the inputs spike at a step; weights such that about one cell in eight does."""
    rng = np.random.default_rng(0)
    x = (rng.random((steps, batch, INPUTS)) < 0.03).astype(np.float32)
    y = rng.integers(0, OUTPUTS, batch)
    draw = lambda post, pre, gain: rng.normal(0, gain / pre**0.5, (post, pre)).astype(np.float32)
    weights = (draw(HIDDEN, INPUTS, 3.0), draw(HIDDEN, HIDDEN, 2.2), draw(OUTPUTS, HIDDEN, 1.0))
    return Task(x, y, weights)


def options(description: str, libraries: list[str]) -> argparse.Namespace:
    """What a worker is told."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--worker", choices=libraries, required=True)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=7)
    return parser.parse_args()
