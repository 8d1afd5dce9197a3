"""A rollout as a GIF, drawn with lines: no renderer, no display."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def draw_lines(lines: Any, window: tuple, width: int = 320, thick: int = 3) -> np.ndarray:
    """One picture (height, width, 3) uint8 of lines (n, 2 ends, 2), the first of them in red.

    `window`: (left, right, bottom, top) in the units of the lines; the height follows.

    >>> draw_lines(np.array([[[0.0, 0.0], [1.0, 1.0]]]), (0, 2, 0, 1), width=40).shape
    (20, 40, 3)
    """
    from PIL import Image, ImageDraw

    left, right, bottom, top = window
    if not (right > left and top > bottom):
        raise ValueError(f"draw_lines: window {window} is empty; give (left, right, bottom, top)")
    scale = width / (right - left)
    image = Image.new("RGB", (width, round(scale * (top - bottom))), "white")
    pen = ImageDraw.Draw(image)
    for k, line in enumerate(np.asarray(lines, float)):
        ends = [(scale * (x - left), scale * (top - y)) for x, y in line]
        pen.line(ends, fill=(200, 40, 30) if k == 0 else (30, 90, 160), width=thick)
    return np.asarray(image)


def gif(frames: Sequence[np.ndarray] | np.ndarray, seconds: float = 0.06) -> bytes:
    """Frames (time, height, width, 3) uint8 as an animated GIF; `seconds` a frame.

    >>> gif(np.zeros((2, 8, 8, 3), np.uint8))[:3]
    b'GIF'

    ValueError where there is no frame.
    """
    from PIL import Image

    if not len(frames):
        raise ValueError("gif: no frame")
    images = [Image.fromarray(np.asarray(f, np.uint8)).quantize(16) for f in frames]
    file, more = io.BytesIO(), images[1:]
    images[0].save(
        file, "GIF", save_all=True, append_images=more, duration=round(1000 * seconds), loop=0
    )
    return file.getvalue()


def film(
    world: Any, states: Any, path: str | Path | None = None, *, every: int = 2, seconds: float = 0.06,
    window: tuple | None = None, width: int = 320,
) -> bytes:  # fmt: skip
    """A GIF of a rollout: `states` of the world stacked over time, every `every`-th drawn by `world.lines`.

    `window`: what is seen (left, right, bottom, top); None: all that is ever drawn. Written to `path` where
    one is given. Recorded by `run(..., record="back.world")` of a Feedback of an agent and `Episodes`.

    TypeError for a world that does not say how to draw itself.
    """
    import jax

    if not hasattr(world, "lines"):
        raise TypeError(
            f"film: {type(world).__name__} has no lines(state), so nothing can be drawn"
        )
    states = jax.tree.map(lambda a: a[::every], states)
    drawn = np.asarray(jax.jit(jax.vmap(world.lines))(states), float)
    if window is None:
        low, high = drawn.min((0, 1, 2)), drawn.max((0, 1, 2))
        edge = 0.05 * max(high - low)
        (left, bottom), (right, top) = (low - edge).tolist(), (high + edge).tolist()
        window = (left, right, bottom, top)
    data = gif([draw_lines(lines, window, width) for lines in drawn], seconds)
    if path is not None:
        Path(path).write_bytes(data)
    return data
