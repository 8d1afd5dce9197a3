r"""Decoders of position from spikes: Bayes with place fields, and ridge regression.

Bayes. Units fire as independent Poisson processes with rate $\lambda_u(s)$ in state s (a place, or
a place and a heading), so for counts n in T seconds

$$\log p(s \mid n) = \sum_u n_u \log \lambda_u(s) - T \sum_u \lambda_u(s) + \log p(s) + c.$$

Source: Zhang et al. 1998, J. Neurophysiol. 79:1017 (two-step decoder with a movement prior too).
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, check_non_negative, validate_data

from neuropil.fit.door import admit, beside
from neuropil.recordings import Recording

Rows = Shaped[Array, "time feature"] | Shaped[np.ndarray, "time feature"]
Line = Shaped[Array, " label"] | Shaped[np.ndarray, " label"]  # lengths are compared inside


class BayesDecoder(eqx.Module):
    """Place fields and what follows from them for new counts; made by `BayesDecoder.fit`.

    `rates` in Hz for each (state, unit); `prior` over states; `places` the position of each state;
    `sheets` headings that the states are split by (1 or 2).

    >>> import numpy as np
    >>> position = np.linspace(0, 1, 200)
    >>> counts = np.stack([position < 0.5, position >= 0.5], axis=1).astype(int)
    >>> decoder = BayesDecoder.fit(counts, position, 1.0, bins=2)
    >>> decoder.decode(np.array([[3, 0], [0, 3]]), 1.0).round(1).tolist()
    [0.30000001192092896, 0.699999988079071]
    """

    rates: Float[Array, "state unit"]
    prior: Float[Array, " state"]
    places: Float[Array, " state"]
    sheets: int = eqx.field(static=True)

    @classmethod
    def fit(
        cls,
        counts: Rows,
        position: Line,
        seconds: float,
        *,
        bins: int = 20,
        span: tuple[float, float] = (0.0, 1.0),
        smooth: float = 1.0,
        shrink: float = 1.0,
        heading: Int[np.ndarray, " label"] | None = None,
    ) -> BayesDecoder:
        """Place fields from counts in windows of `seconds` and the position in each.

        Spikes and time in each of `bins` places over `span` are smoothed by a Gaussian of `smooth`
        bins, and rates are shrunk to the unit's mean as if it had fired at it for `shrink` seconds
        in every place: (spikes + shrink mean) / (time + shrink). With `heading` (0 or 1) fields are
        fitted for each heading. Raises ValueError for lengths that differ or an empty span.
        """
        counts, position = np.asarray(counts, float), np.asarray(position, float)
        if counts.ndim != 2 or position.shape != counts.shape[:1] or not len(counts):
            raise ValueError(
                f"counts (time, unit) and position (time,) must match and hold a window, not "
                f"{counts.shape} and {position.shape}"
            )
        if not span[0] < span[1] or bins < 1 or seconds <= 0 or shrink <= 0 or smooth < 0:
            raise ValueError("span must grow, bins >= 1, seconds and shrink > 0, smooth >= 0")
        edges = np.linspace(*span, bins + 1)
        place = np.clip(np.searchsorted(edges, position, side="right") - 1, 0, bins - 1)
        sheets = 1 if heading is None else 2
        sheet = np.zeros(len(place), int) if heading is None else np.asarray(heading)
        spikes, time = np.zeros((sheets, bins, counts.shape[1])), np.zeros((sheets, bins))
        np.add.at(spikes, (sheet, place), counts)
        np.add.at(time, (sheet, place), seconds)
        kernel = _gaussian(bins, smooth)
        spikes, time = np.einsum("ab,sbu->sau", kernel, spikes), time @ kernel.T
        mean = (counts.sum(0) + 0.5) / (len(counts) * seconds)
        rates = (spikes + shrink * mean) / (time + shrink)[..., None]
        prior = time + 1e-3 * seconds
        return cls(
            jnp.asarray(rates.reshape(sheets * bins, -1), float),
            jnp.asarray((prior / prior.sum()).reshape(-1), float),
            jnp.asarray(np.tile((edges[1:] + edges[:-1]) / 2, sheets), float),
            sheets,
        )

    def log_likelihood(self, counts: Rows, seconds: float) -> Float[Array, "time state"]:
        """log p(n | s) up to what no state changes."""
        n = jnp.asarray(counts, self.rates.dtype)
        if n.ndim != 2 or n.shape[1] != self.rates.shape[1]:
            raise ValueError(f"counts must be (time, {self.rates.shape[1]}), not {n.shape}")
        return n @ jnp.log(self.rates).T - seconds * self.rates.sum(1)[None]

    def posterior(self, counts: Rows, seconds: float) -> Float[Array, "time state"]:
        """p(s | n) of every window by itself."""
        return jax.nn.softmax(
            self.log_likelihood(counts, seconds) + jnp.log(self.prior)[None], axis=1
        )

    def decode(self, counts: Rows, seconds: float) -> Float[Array, " time"]:
        """Posterior mean position of every window by itself."""
        return self.posterior(counts, seconds) @ self.places

    def filtered(self, counts: Rows, seconds: float, step: float) -> Float[Array, "time state"]:
        """p(s_t | n_1..n_t) for windows in a row that do not overlap, when position moves between
        them by a Gaussian of `step` (in its own unit) and a heading flips one time in 20."""
        if step <= 0:
            raise ValueError(f"step must be positive, not {step}")
        gap = self.places[:, None] - self.places[None, :]
        move = jnp.exp(-0.5 * (gap / step) ** 2)
        if self.sheets == 2:
            half = len(self.places) // 2
            same = (jnp.arange(2 * half) < half)[:, None] == (jnp.arange(2 * half) < half)[None, :]
            move = move * jnp.where(same, 0.95, 0.05)
        move = move / move.sum(1, keepdims=True)

        def one(belief, likelihood):
            now = jax.nn.softmax(jnp.log(belief @ move + 1e-30) + likelihood)
            return now, now

        return jax.lax.scan(one, self.prior, self.log_likelihood(counts, seconds))[1]


def _gaussian(bins, width):
    """Rows sum to one column by column at the borders, so no spikes and no time are lost."""
    if width == 0:
        return np.eye(bins)
    kernel = np.exp(-0.5 * ((np.arange(bins)[:, None] - np.arange(bins)[None, :]) / width) ** 2)
    return kernel / kernel.sum(0, keepdims=True)


class PlaceDecoder(RegressorMixin, BaseEstimator):
    """`BayesDecoder` as a scikit-learn regressor: position of rows of counts, each row by itself.

    - `seconds` of a row; `bins`, `smooth`, `shrink` as in `BayesDecoder.fit`; `span` of the positions (None:
      that of those it is fitted to).

    After `fit`: `fields_`, the `BayesDecoder`.

    >>> position = np.linspace(0, 1, 200)
    >>> counts = np.stack([position < 0.5, position >= 0.5], axis=1).astype(int)
    >>> bool(PlaceDecoder(bins=10).fit(counts, position).score(counts, position) > 0.5)
    True

    Raises ValueError for counts below 0, and as `BayesDecoder.fit`.
    """

    def __init__(self, seconds=1.0, *, bins=20, span=None, smooth=1.0, shrink=1.0):
        self.seconds = seconds
        self.bins = bins
        self.span = span
        self.smooth = smooth
        self.shrink = shrink

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.regressor_tags.poor_score = True  # what is no count of a tuned unit is no test of it
        return tags

    def fit(self, X, y) -> PlaceDecoder:
        """Place fields from counts X (time, unit) and positions y (time,)."""
        X = admit(self, X, "series", fit=True)
        if isinstance(y, Recording):
            y = beside(self, y, "series", fit=True)[:, 0]
        X, y = validate_data(self, X, y, y_numeric=True, dtype=[np.float64, np.float32])
        check_non_negative(X, "PlaceDecoder")
        low, high = (y.min(), y.max()) if self.span is None else self.span
        high = high if high > low or self.span is not None else low + 1.0
        self.fields_ = BayesDecoder.fit(
            X, y, self.seconds, bins=self.bins, span=(float(low), float(high)),
            smooth=self.smooth, shrink=self.shrink,
        )  # fmt: skip
        return self

    def predict(self, X) -> np.ndarray:
        """Posterior mean position of every row."""
        check_is_fitted(self, "fields_")
        X = admit(self, X, "series")
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        check_non_negative(X, "PlaceDecoder")
        return np.asarray(self.fields_.decode(X, self.seconds))


class RidgeDecoder(eqx.Module):
    """y = offset + (x - centre) w with |w|^2 penalised; made by `RidgeDecoder.fit`.

    With counts of units as features this is the Gaussian GLM that the paper decodes behaviour with.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(50, 3))
    >>> decoder = RidgeDecoder.fit(x, x @ np.array([1.0, 0.0, -2.0]), penalties=(1e-6,))
    >>> decoder.weights.round(3).tolist()
    [1.0, 0.0, -2.0]
    """

    weights: Float[Array, " feature"]
    centre: Float[Array, " feature"]
    offset: Float[Array, ""]
    penalty: Float[Array, ""]

    @classmethod
    def fit(
        cls,
        x: Rows,
        y: Line,
        *,
        penalties: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0, 1000.0),
        validation: tuple | None = None,
    ) -> RidgeDecoder:
        """Minimise |y - prediction|^2 + penalty |w|^2. With several penalties `validation=(x, y)`
        must say which one is best, by its mean squared error there."""
        x, y = np.asarray(x, float), np.asarray(y, float)
        if x.ndim != 2 or y.shape != x.shape[:1] or not len(x):
            raise ValueError(f"x (time, feature) and y (time,) must match: {x.shape}, {y.shape}")
        if not penalties or min(penalties) <= 0:
            raise ValueError(f"every penalty must be positive, not {penalties}")
        if len(penalties) > 1 and validation is None:
            raise ValueError("several penalties need validation=(x, y) to choose among them")
        centre, offset = x.mean(0), y.mean()
        u, s, vt = np.linalg.svd(x - centre, full_matrices=False)
        along = u.T @ (y - offset)
        make = lambda p: cls(
            *(jnp.asarray(a, float) for a in (vt.T @ (s / (s**2 + p) * along), centre, offset, p))
        )
        fits = [make(p) for p in penalties]
        if validation is None:
            return fits[0]
        held_x, held_y = validation
        errors = [float(np.mean((np.asarray(f.decode(held_x)) - held_y) ** 2)) for f in fits]
        return fits[int(np.argmin(errors))]

    def decode(self, x: Rows) -> Float[Array, " time"]:
        """Prediction of every row."""
        return self.offset + (jnp.asarray(x, self.weights.dtype) - self.centre[None]) @ self.weights
