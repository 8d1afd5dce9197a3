"""Tasks of the cortico-cerebellar network: lines, strokes of digits, images row by row, ends of spans.

Numbers of the tasks are those of the official code (neuralml/ccDNI).
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from neuropil.worlds import datasets

RADIUS = 10.0
CUES = np.array([0, -3, -2, -1, 1, 2, 3]) / 10  # the first stays at the origin
# corners of each digit's stroke, x and y in quarters of a unit square, one figure a corner
STROKES = (
    ("000244420", "420002444"),
    ("1222", "3420"),
    ("0242024", "4442000"),
    ("024424420", "444222000"),
    ("00242222", "42222420"),
    ("02420024420", "44444222000"),
    ("00024420", "42000222"),
    ("02420", "44420"),
    ("024202420", "420002444"),
    ("00244202444", "42224444420"),
)


def line_inputs(steps: int) -> Float[Array, "time 7 1"]:
    """The cue at the first step, then nothing."""
    return jnp.zeros((steps, len(CUES), 1)).at[0, :, 0].set(jnp.asarray(CUES))


def line_targets(steps: int) -> Float[Array, "time 7 2"]:
    """Equally spaced points from the origin to one of six points of a circle; the first cue stays."""
    angles = np.arange(6) * np.pi / 3
    circle = RADIUS * np.stack([np.sin(angles), np.cos(angles)], -1)
    goals = np.concatenate([np.zeros((1, 2)), circle[::-1]])  # cues take the circle backwards
    return jnp.linspace(0, 1, steps)[:, None, None] * jnp.asarray(goals)[None]


def stroke(corners: np.ndarray, steps: int) -> np.ndarray:
    """A path of `steps` points through corners (corner, 2), shared out evenly over its pieces.

    What is left over goes to the first pieces; where nothing is left, the last piece has a step less.
    """
    pieces = len(corners) - 1
    if steps < pieces + 1:
        raise ValueError(f"a stroke of {pieces} pieces needs {pieces + 1} steps, not {steps}")
    share, left = divmod(steps, pieces)
    lengths = np.full(pieces, share)
    if left:
        lengths[: left - 1] += 1
    else:
        lengths[-1] -= 1
    ends = zip(corners[:-1], corners[1:], lengths, strict=True)
    lines = [np.linspace(a, b, n, endpoint=False) for a, b, n in ends]
    return np.concatenate([*lines, corners[-1:]])


def strokes(steps: int) -> Float[Array, "10 time 2"]:
    """The strokes of the ten digits."""
    corners = [np.array([list(map(int, c)) for c in both]).T / 4 for both in STROKES]
    return jnp.asarray(np.stack([stroke(c, steps) for c in corners]), jnp.float32)


def ends(steps: int, horizon: Array | int) -> Float[Array, " time"]:
    """1 at the last step of every span of `horizon` steps, and at the last of all."""
    i = jnp.arange(steps)
    return (((i + 1) % horizon == 0) | (i == steps - 1)).astype(jnp.float32)


def rows(name: str, train: int, test: int) -> dict:
    """Images row by row, (n, time, input) as uint8, with labels; small ones are enlarged twofold."""
    images = datasets.load(name)
    double = 1 if images.shape[0] > 10 else 2  # the longest stroke has eleven corners
    enlarge = lambda x: np.repeat(np.repeat(x, double, 1), double, 2)
    if train > len(images.train_y) or test > len(images.test_y):
        raise ValueError(
            f"{name} has {len(images.train_y)} and {len(images.test_y)} images, not {train} and {test}"
        )
    part = lambda x, y, n: (jnp.asarray(enlarge(x[:n])), jnp.asarray(y[:n], jnp.int32))
    return {
        "train": part(images.train_x, images.train_y, train),
        "test": part(images.test_x, images.test_y, test),
        "strokes": strokes(images.shape[0] * double),
    }
