r"""Readouts of maps of features: where a unit looks and what it looks for, in place of weights for each place.

A map is tokens (place, width) on a grid (rows, columns). All readouts end in $y_v = w_v \cdot t_{r(v)} + b_v$
with weights free for every target v; they differ in how the vector $t_r$ of the target's region r is read:

| readout | $t_r$ |
|---|---|
| `SpatialFeature` | $\sum_p \text{softmax}(s_r)_p\, x_p$, a mask that sums to 1 (Klindt et al. 2017) |
| `GaussianField` | the same with a Gaussian mask of learned centre and size (St-Yves and Naselaris 2018) |
| `SemanticField` | the Gaussian's centre and size, and gains of features, move with the image's mean token |
| `AttentionPool` | learned queries look at the tokens, several heads (Adeli, Sun and Kriegeskorte 2025) |

A region per target gives every target a field of its own. `Readout` trains one as an estimator.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Key
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from neuropil.blocks import MLP, LayerNorm
from neuropil.blocks.attention import attention_weights, split_heads
from neuropil.blocks.latents import CrossAttention
from neuropil.core import param
from neuropil.learn import Trainer, train


def places(rows: int, columns: int) -> Float[np.ndarray, "place 2"]:
    """Centres (x, y) of the cells of a grid over the square from -1 to 1, row by row.

    >>> places(1, 2).tolist()
    [[-0.5, 0.0], [0.5, 0.0]]
    """
    x, y = ((2 * np.arange(n) + 1) / n - 1 for n in (columns, rows))
    return np.stack([np.tile(x, rows), np.repeat(y, columns)], axis=1)


def position_sine2d(rows: int, columns: int, width: int) -> Float[np.ndarray, "place width"]:
    """Position code of a grid: half of the width sines and cosines of the row, half of the column.

    Rows and columns count from 1 and are scaled to 2 pi; wavelengths rise geometrically to 1e4 times that
    (Carion et al. 2020). Raises ValueError unless the width is a multiple of 4.

    >>> position_sine2d(2, 3, 8).shape
    (6, 8)
    """
    if width % 4:
        raise ValueError(f"position_sine2d: width = {width}; make it a multiple of 4")
    half = width // 2
    rate = 1e4 ** (2 * (np.arange(half) // 2) / half)

    def code(n):
        angle = 2 * np.pi * np.arange(1, n + 1)[:, None] / n / rate
        return np.stack([np.sin(angle[:, ::2]), np.cos(angle[:, 1::2])], 2).reshape(n, half)

    return np.concatenate(
        [np.repeat(code(rows), columns, 0), np.tile(code(columns), (rows, 1))], axis=1
    )


class Linear(eqx.Module):
    """Weights (target, width) and bias of every target, on the vector of its region."""

    weight: Float[Array, "target width"] = param(axes=("target", "width"))
    bias: Float[Array, " target"] = param(axes=("target",))
    region: Int[Array, " target"]

    @staticmethod
    def init_zeros(region: np.ndarray, width: int) -> Linear:
        """Weights 0, so that what a region reads learns from targets and not from the weights' first draw."""
        return Linear(jnp.zeros((len(region), width)), jnp.zeros(len(region)), jnp.asarray(region))

    def __call__(self, pooled: Float[Array, "region width"]) -> Float[Array, " target"]:
        return (self.weight * pooled[self.region]).sum(1) + self.bias


class SpatialFeature(eqx.Module):
    """Factorised readout: a mask over places for each region, times weights over features for each target.

    >>> part = SpatialFeature.init_normal((2, 2), 3, np.array([0, 0, 1]), key=jr.key(0))
    >>> part(jnp.ones((4, 3))).shape, float(part.masks().sum())
    ((3,), 2.0)
    """

    place: Float[Array, "region place"]
    linear: Linear

    @staticmethod
    def init_normal(grid: tuple[int, int], width: int, region: np.ndarray, *, key: Key[Array, ""]):
        """Masks flat, weights 0; nothing is drawn."""
        mask = jnp.zeros((int(np.max(region)) + 1, grid[0] * grid[1]))
        return SpatialFeature(mask, Linear.init_zeros(region, width))

    def masks(self) -> Float[Array, "region place"]:
        """Where each region looks; sums to 1."""
        return jax.nn.softmax(self.place, axis=-1)

    def __call__(self, x: Float[Array, "place width"]) -> Float[Array, " target"]:
        return self.linear(self.masks() @ x)


def _gaussian(centre, size, grid):
    """Masks (region, place) of Gaussians, normalised over the places of the grid."""
    at = jnp.asarray(places(*grid), centre.dtype)
    away = ((at[None] - centre[:, None]) ** 2).sum(-1)
    return jax.nn.softmax(-0.5 * away * jnp.exp(-2 * size)[:, None], axis=-1)


class GaussianField(eqx.Module):
    """A Gaussian receptive field for each region, weights over features for each target.

    `centre` (x, y) on the square from -1 to 1, `size` the logarithm of the deviation.

    >>> part = GaussianField.init_normal((3, 3), 2, np.array([0]), key=jr.key(0))
    >>> part.masks().round(2)[0, 4] > part.masks()[0, 0]
    Array(True, dtype=bool)
    """

    centre: Float[Array, "region 2"]
    size: Float[Array, " region"]
    linear: Linear
    grid: tuple[int, int] = eqx.field(static=True)

    @staticmethod
    def init_normal(grid: tuple[int, int], width: int, region: np.ndarray, *, key: Key[Array, ""]):
        """Fields in the middle, half the square wide, weights 0; nothing is drawn."""
        regions = int(np.max(region)) + 1
        linear = Linear.init_zeros(region, width)
        return GaussianField(
            jnp.zeros((regions, 2)), jnp.full(regions, math.log(0.5)), linear, grid
        )

    def masks(self) -> Float[Array, "region place"]:
        """Where each region looks; sums to 1."""
        return _gaussian(self.centre, self.size, self.grid)

    def __call__(self, x: Float[Array, "place width"]) -> Float[Array, " target"]:
        return self.linear(self.masks() @ x)


class SemanticField(eqx.Module):
    r"""A Gaussian field that the content of the image moves, and gains that it sets.

    With g the mean token: centre + M_r g, log size + m_r g, and the pooled features times 1 + tanh(G g). At the
    start M, m and G are 0, so that it begins as `GaussianField`. This is our form of a readout whose fields and
    features depend on content (Saha, Chadha and Khosla 2024, who warp maps by a spatial transformer).

    >>> part = SemanticField.init_normal((3, 3), 2, np.array([0]), key=jr.key(0))
    >>> part(jnp.ones((9, 2))).shape
    (1,)
    """

    field: GaussianField
    move: Float[Array, "region 3 width"]
    gain: Float[Array, "width width"]

    @staticmethod
    def init_normal(grid: tuple[int, int], width: int, region: np.ndarray, *, key: Key[Array, ""]):
        """As `GaussianField`, still."""
        field = GaussianField.init_normal(grid, width, region, key=key)
        move = jnp.zeros((len(field.size), 3, width))
        return SemanticField(field, move, jnp.zeros((width, width)))

    def __call__(self, x: Float[Array, "place width"]) -> Float[Array, " target"]:
        content = x.mean(0)
        by = self.move @ content
        mask = _gaussian(self.field.centre + by[:, :2], self.field.size + by[:, 2], self.field.grid)
        return self.field.linear((mask @ x) * (1 + jnp.tanh(self.gain @ content))[None, :])


class AttentionPool(eqx.Module):
    r"""A query for each region that looks at tokens by what they hold and where they are.

    $t_r = \text{LN}(a_r + \text{MLP}(\text{LN}(a_r)))$, $a_r = W_o\,\text{att}(q_r, W_k (x + E), W_v x)$ with a
    position code E that values do not carry. `content = False` takes x out of the keys: then the attention is
    the same for every image, a factorised readout with several masks of either sign.

    >>> part = AttentionPool.init_normal((2, 2), 8, np.array([0, 1, 1]), heads=2, key=jr.key(0))
    >>> part(jnp.ones((4, 8))).shape, part.attention(jnp.ones((4, 8))).sum(-1).round(3).tolist()
    ((3,), [[1.0, 1.0], [1.0, 1.0]])

    Raises ValueError for a width that is no multiple of 4 or of the heads.
    """

    query: Float[Array, "region width"]
    look: CrossAttention
    norm: LayerNorm
    mlp: MLP
    last: LayerNorm
    linear: Linear
    grid: tuple[int, int] = eqx.field(static=True)
    content: Bool[Array, ""] = eqx.field(default=True, converter=jnp.asarray)

    @staticmethod
    def init_normal(
        grid: tuple[int, int],
        width: int,
        region: np.ndarray,
        *,
        key: Key[Array, ""],
        heads: int = 4,
        hidden: int | None = None,
        content: bool = True,
    ):
        """Queries normal with deviation 1; `hidden` of the MLP is twice the width by default."""
        q, c, m = jr.split(key, 3)
        position_sine2d(*grid, width)
        return AttentionPool(
            jr.normal(q, (int(np.max(region)) + 1, width)),
            CrossAttention.init_normal(width, heads, key=c),
            LayerNorm(width),
            MLP.init_normal(width, hidden or 2 * width, key=m, activation=jax.nn.relu),
            LayerNorm(width),
            Linear.init_zeros(region, width),
            grid,
            content,
        )

    def _keys(self, x):
        place = jnp.asarray(position_sine2d(*self.grid, x.shape[1]), x.dtype)
        return jnp.where(self.content, place + x, place)

    def attention(self, x: Float[Array, "place width"]) -> Float[Array, "head region place"]:
        """How much each region looks at each place, by heads."""
        heads = self.look.heads
        keys = jax.vmap(self.look.key.forward)(self._keys(x))
        return attention_weights(split_heads(self.query, heads), split_heads(keys, heads))

    def __call__(self, x: Float[Array, "place width"]) -> Float[Array, " target"]:
        seen = self.look(self.query, self._keys(x), x)
        seen = seen + jax.vmap(self.mlp)(jax.vmap(self.norm)(seen))
        return self.linear(jax.vmap(self.last)(seen))


def squared_error(model: Any, batch: tuple, key: Any = None) -> Array:
    """Mean squared error of a readout on a batch of maps and responses."""
    x, y = batch
    return ((jax.vmap(model)(x) - y) ** 2).mean()


@lru_cache
def _optimiser(rate, decay, clip, steps):
    """One object for equal settings, so that a second fit compiles nothing."""
    schedule = optax.cosine_decay_schedule(rate, steps)
    return optax.chain(optax.clip_by_global_norm(clip), optax.adamw(schedule, weight_decay=decay))


_predicted = eqx.filter_jit(lambda model, x: jax.vmap(model)(x))


class Readout(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """A readout of maps trained by AdamW on squared error, as an estimator: X (sample, place, width).

    - `make(grid, width, region, key=...)`: `SpatialFeature.init_normal` and its like, with further arguments
      bound by `functools.partial`;
    - `grid`: (rows, columns) of the map; None: a square one;
    - `region`: the region of each target, from 0; None: each target is its own;
    - `epochs`, `batch`, `rate` (falls to 0 along a cosine), `decay`, `clip` (norm of the gradient), `seed`.

    Features and targets are scaled to mean 0 and deviation 1 with numbers of the training set. After `fit`:
    `model_`, and `losses_`, one an epoch.

    >>> x = np.random.default_rng(0).normal(size=(64, 4, 4)).astype(np.float32)
    >>> model = Readout(SpatialFeature.init_normal, epochs=3, batch=16).fit(x, x[:, 0, :2])
    >>> model.predict(x).shape
    (64, 2)

    Raises ValueError for maps that do not fit the grid, NaN, and fewer samples than a batch.
    """

    def __init__(
        self,
        make: Callable = AttentionPool.init_normal,
        grid=None,
        region=None,
        epochs=20,
        batch=32,
        rate=5e-3,
        decay=1e-4,
        clip=1.0,
        seed=0,
    ):
        self.make = make
        self.grid = grid
        self.region = region
        self.epochs = epochs
        self.batch = batch
        self.rate = rate
        self.decay = decay
        self.clip = clip
        self.seed = seed

    def _maps(self, X):
        X = np.asarray(X)
        if X.ndim != 3 or not np.isfinite(X).all():
            raise ValueError(f"Readout: X must be finite (sample, place, width), not {X.shape}")
        side = math.isqrt(X.shape[1])
        grid = (side, side) if self.grid is None else tuple(self.grid)
        if grid[0] * grid[1] != X.shape[1]:
            raise ValueError(f"Readout: a grid of {grid} has no {X.shape[1]} places; give grid=...")
        return X, grid

    def fit(self, X, y):
        X, grid = self._maps(X)
        y = np.asarray(y, float)
        if len(y) != len(X) or y.ndim not in (1, 2) or not np.isfinite(y).all():
            raise ValueError(f"Readout: y must be finite (sample, target) with {len(X)} samples")
        self.flat_, target = y.ndim == 1, y.reshape(len(y), -1)
        region = np.arange(target.shape[1]) if self.region is None else np.asarray(self.region)
        if region.shape != (target.shape[1],):
            raise ValueError(f"Readout: region must name one of each of {target.shape[1]} targets")
        still = lambda sd: np.where(sd > 0, sd, 1)
        self.centre_, self.scale_ = X.mean((0, 1)), still(X.std((0, 1)))
        self.mean_, self.deviation_ = target.mean(0), still(target.std(0))
        data = (self._scaled(X), jnp.asarray((target - self.mean_) / self.deviation_, float))
        key = jr.key(self.seed)
        model = self.make(grid, X.shape[2], region, key=jr.fold_in(key, 0))
        size = min(self.batch, len(X))
        steps = self.epochs * (len(X) // size)
        tx = _optimiser(self.rate, self.decay, self.clip, steps)
        trainer = Trainer(model, squared_error, tx)
        found = train(
            trainer, data, epochs=self.epochs, batch=size, key=jr.fold_in(key, 1), progress=False
        )
        self.model_, self.losses_ = found.model, found.epochs["loss"]
        return self

    def _scaled(self, X):
        return jnp.asarray((X - self.centre_) / self.scale_, float)

    def predict(self, X):
        check_is_fitted(self)
        X, _ = self._maps(X)
        made = [
            np.asarray(_predicted(self.model_, self._scaled(X[i : i + 256])))
            for i in range(0, len(X), 256)
        ]
        made = np.concatenate(made) * self.deviation_ + self.mean_
        return made[:, 0] if self.flat_ else made
