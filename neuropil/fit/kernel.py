r"""Nadaraya-Watson regression: a weighted mean of what was seen near by.

$$f(x) = \sum_i w_i(x) y_i, \qquad w_i \propto \exp(-|x - x_i|^2 / 2 h^2)$$

Source: Nadaraya (1964), Theory Probab. Appl. 9, 141; Watson (1964), Sankhya A 26, 359.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float


class NadarayaWatson(eqx.Module):
    """y at a point x (feature,) as the mean of the samples' y, weighted by a Gaussian of their distance.

    `NadarayaWatson.fit(x, y)` chooses the bandwidth h by the error of leaving samples out.

    >>> import numpy as np
    >>> x = np.linspace(0, 1, 50)[:, None]
    >>> model = NadarayaWatson.fit(x, x**2)
    >>> bool(abs(float(model(jnp.array([0.5]))[0]) - 0.25) < 0.01)
    True
    """

    x: Float[Array, "sample feature"]
    y: Float[Array, "sample target"]
    bandwidth: Float[Array, ""]
    half: Float[Array, " sample"]

    def __init__(self, x, y, bandwidth):
        self.x, self.y, self.bandwidth = x, y, bandwidth
        self.half = 0.5 * (x**2).sum(1)  # once: it would cost a bin ten times what the product does

    def __call__(self, x: Float[Array, " feature"]) -> Float[Array, " target"]:
        # |x - x_i|^2 less |x|^2, which no weight depends on: a product instead of differences
        near = self.x @ x - self.half
        return jax.nn.softmax(near / self.bandwidth**2) @ self.y

    @classmethod
    def fit(cls, x, y, *, scales=None, apart: int = 0) -> NadarayaWatson:
        """Samples `x` (sample, feature) and `y` (sample, target); h is the one among `scales` times the
        median distance of samples (0.03 to 1 where not given) that predicts every sample best when it is left
        out. Samples of a slow signal betray their neighbours: `apart` leaves out those so many rows before and
        after it, too. ValueError for fewer than three samples.
        """
        x, y = jnp.asarray(x, float), jnp.asarray(y, float)
        if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or len(x) < 3 + 2 * apart:
            raise ValueError(
                f"NadarayaWatson needs x (sample, feature) and y (sample, target) of one length, "
                f"at least {3 + 2 * apart}, not {x.shape} and {y.shape}"
            )
        scales = np.geomspace(0.03, 1.0, 16) if scales is None else np.asarray(scales, float)
        typical, errors = left_out(x, y, jnp.asarray(scales, x.dtype), apart)
        return cls(x, y, typical * scales[int(jnp.argmin(errors))])


@jax.jit
def left_out(x, y, scales, apart) -> tuple[Float[Array, ""], Float[Array, " scale"]]:
    """Median distance of samples, and for bandwidths of so many of them the mean squared error of each
    sample predicted from those more than `apart` rows away."""
    square = (x**2).sum(1)
    some = x[:: max(1, len(x) // 200)]
    between = (some**2).sum(1)[:, None] + (some**2).sum(1)[None] - 2 * some @ some.T
    row = jnp.arange(len(some))
    between = jnp.where(row[:, None] == row[None], jnp.nan, jnp.maximum(between, 0.0))
    typical = jnp.sqrt(jnp.maximum(jnp.nanmedian(between), jnp.finfo(x.dtype).tiny))

    def one(of):
        i, at, target = of
        near = x @ at - 0.5 * square
        near = jnp.where(jnp.abs(jnp.arange(len(x)) - i) <= apart, -jnp.inf, near)
        guess = jax.nn.softmax(near[None] / (typical * scales[:, None]) ** 2, axis=1) @ y
        return ((guess - target[None]) ** 2).sum(1)

    places = (jnp.arange(len(x)), x, y)
    return typical, lax.map(one, places, batch_size=min(128, len(x))).mean(0)
