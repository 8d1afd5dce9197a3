"""The tasks of train_lif.py: spikes, labels and weights from NumPy alone, the same for every library.

- layers: two layers of 256 LIF cells and a linear readout, 700-256-256-20;
- recurrent: one layer of 256 LIF cells that also hear each other a step later, 700-256-20;
- conv: events of 2 x 34 x 34 (as N-MNIST), 12 maps of 5 x 5 at stride 2, LIF cells (12 x 15 x 15), 10 outputs.

The readout is averaged over time. beta = 0.95 a step, threshold 1, subtractive reset, arctangent surrogate
(alpha 2), cross entropy, Adam at 1e-3. 3 % of the inputs spike at a step (conv: 2 %).
"""

import argparse
from typing import NamedTuple

import numpy as np

INPUTS, HIDDEN, OUTPUTS, BETA, RATE = 700, 256, 20, 0.95, 1e-3


NETS = ("layers", "recurrent", "conv")


class Task(NamedTuple):
    """x (time, batch, *input), y (batch,), and the weights, each (post, pre) or (post, pre, 5, 5)."""

    x: np.ndarray
    y: np.ndarray
    weights: tuple[np.ndarray, ...]


def task(steps: int, batch: int, net: str = "layers") -> Task:
    """Spikes, labels, and weights such that about one cell in eight spikes at a step."""
    rng = np.random.default_rng(0)
    if net == "conv":
        x = (rng.random((steps, batch, 2, 34, 34), np.float32) < 0.02).astype(np.float32)
        shapes, gains = [(12, 2, 5, 5), (10, 12 * 15 * 15)], [4.0, 1.0]
    else:
        x = (rng.random((steps, batch, INPUTS)) < 0.03).astype(np.float32)
        shapes = [(HIDDEN, INPUTS), (HIDDEN, HIDDEN), (OUTPUTS, HIDDEN)]
        gains = [3.0, 2.2 if net == "layers" else 1.0, 1.0]
    y = rng.integers(0, shapes[-1][0], batch)
    draw = lambda shape, gain: rng.normal(0, gain / np.prod(shape[1:]) ** 0.5, shape)
    pairs = zip(shapes, gains, strict=True)
    return Task(x, y, tuple(draw(s, g).astype(np.float32) for s, g in pairs))


def options(description: str, libraries: list[str]) -> argparse.Namespace:
    """What a worker is told."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--worker", choices=libraries, required=True)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--net", choices=NETS, default="layers")
    return parser.parse_args()
