"""Views of images: crops that are resized, flips, light and contrast; and images without their content.

A crop that is resized is two products with small matrices, one for rows and one for columns (bilinear, wide
enough not to alias), so a batch of them is a batch of matrix products.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Key

Number = float | int | Float[Array, ""]


def _weights(start, length, pixels: int, out: int):
    """(out, pixel): each row averages the pixels around one of `out` places along a stretch."""
    centre = start + (jnp.arange(out) + 0.5) * length / out - 0.5
    reach = jnp.maximum(length / out, 1.0)
    near = jnp.maximum(0.0, 1.0 - jnp.abs(jnp.arange(pixels)[None] - centre[:, None]) / reach)
    return near / near.sum(1, keepdims=True)


def resized_crop(
    image: Float[Array, "height width *channel"],
    top: Number,
    left: Number,
    high: Number,
    wide: Number,
    side: int,
) -> Float[Array, "side side *channel"]:
    """The stretch of an image that begins at (top, left), in pixels that may be fractions, at another size.

    >>> ramp = jnp.arange(4.0)[:, None] * jnp.ones((1, 4))
    >>> [round(float(v), 3) for v in resized_crop(ramp, 0, 0, 4, 4, 2)[:, 0]]
    [0.714, 2.286]
    """
    rows = _weights(top, high, image.shape[0], side)
    columns = _weights(left, wide, image.shape[1], side)
    return jnp.einsum("ij,jk...,lk->il...", rows, image, columns)


def resized(
    images: Float[Array, "image height width *channel"], side: int
) -> Float[Array, "image side side *channel"]:
    """Whole images at another size."""
    high, wide = images.shape[1:3]
    return jax.vmap(lambda image: resized_crop(image, 0, 0, high, wide, side))(images)


@dataclass(frozen=True)
class RandomViews:
    """A random crop of an image, resized, perhaps mirrored, with other light and contrast.

    `area`: range of the share of the image; `ratio`: range of width over height; `light`, `contrast`: the
    largest changes (added, as a share of the factor).

    >>> RandomViews(8)(jnp.ones((16, 16)), jr.key(0)).shape
    (8, 8)
    """

    side: int
    area: tuple[float, float] = (0.3, 1.0)
    ratio: tuple[float, float] = (0.75, 4 / 3)
    light: float = 0.4
    contrast: float = 0.4

    def __call__(
        self, image: Float[Array, "height width *channel"], key: Key[Array, ""]
    ) -> Float[Array, "side side *channel"]:
        u = jr.uniform(key, (7,))
        between = lambda u, range: range[0] + u * (range[1] - range[0])
        root = jnp.sqrt(between(u[0], self.area))
        bend = jnp.exp(0.5 * between(u[1], (np.log(self.ratio[0]), np.log(self.ratio[1]))))
        high = jnp.minimum(root / bend, 1.0) * image.shape[0]
        wide = jnp.minimum(root * bend, 1.0) * image.shape[1]
        top, left = u[2] * (image.shape[0] - high), u[3] * (image.shape[1] - wide)
        seen = resized_crop(image, top, left, high, wide, self.side)
        seen = jnp.where(u[4] < 0.5, seen, seen[:, ::-1])
        mean = seen.mean((0, 1), keepdims=True)
        factor = 1 + self.contrast * (2 * u[5] - 1)
        return mean + factor * (seen - mean) + self.light * (2 * u[6] - 1)


def phase_scrambled(
    images: Float[np.ndarray, "image height width *channel"], rng: np.random.Generator
) -> Float[np.ndarray, "image height width *channel"]:
    """Images with their own amplitude spectrum and mean, and random phases: statistics of second order alone.

    The phases are those of white noise, so the images are real, and one set serves all channels of an image.

    >>> a = np.random.default_rng(0).normal(size=(1, 8, 8))
    >>> b = phase_scrambled(a, np.random.default_rng(1))
    >>> bool(np.allclose(abs(np.fft.fft2(a[0])), abs(np.fft.fft2(b[0])))), bool(np.allclose(a, b))
    (True, False)
    """
    images = np.asarray(images, float)
    noise = np.fft.fft2(rng.normal(size=images.shape[:3]), axes=(1, 2))
    turn = noise / np.maximum(np.abs(noise), 1e-12)
    turn[:, 0, 0] = 1.0  # the mean stays
    turn = turn.reshape(turn.shape + (1,) * (images.ndim - 3))
    return np.fft.ifft2(np.fft.fft2(images, axes=(1, 2)) * turn, axes=(1, 2)).real
