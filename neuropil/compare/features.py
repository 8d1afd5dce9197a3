"""Features in time: delays (a finite impulse response for every feature) and the haemodynamic response."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from neuropil.recordings.observe import Hemodynamic


def _runs(samples: int, starts: Sequence[int]) -> list[slice]:
    """Rows of every run, from where each begins."""
    first = sorted({0, *(int(s) for s in starts)})
    if first[0] < 0 or first[-1] >= samples:
        raise ValueError(f"runs begin at rows 0 to {samples - 1}, not {list(starts)}")
    return [slice(a, b) for a, b in zip(first, [*first[1:], samples], strict=True)]


def _matrix(x) -> np.ndarray:
    x = np.asarray(x, float)
    if x.ndim != 2:
        raise ValueError(f"features must be (time, feature), not {x.shape}")
    return x


def delayed(
    x: np.ndarray, delays: Sequence[int], starts: Sequence[int] = ()
) -> Float[np.ndarray, "time delay_feature"]:
    """Copies of features, each so many rows late: ridge on them fits a response of any shape in time.

    All features of the first delay come first, then those of the second; rows before the beginning of a run are
    0. `starts` are the rows where runs begin: nothing passes from one run to the next. A negative delay looks
    ahead. The delay of each column, as `groups` of `BandedRidge`, is np.repeat(delays, x.shape[1]).

    >>> delayed(np.array([[1.0], [2.0], [3.0]]), [0, 1]).tolist()
    [[1.0, 0.0], [2.0, 1.0], [3.0, 2.0]]
    >>> delayed(np.array([[1.0], [2.0], [3.0]]), [1], starts=[0, 2]).ravel().tolist()
    [0.0, 1.0, 0.0]

    Raises ValueError for features that are not (time, feature) and for runs that begin outside of them.
    """
    x = _matrix(x)
    out = np.zeros((len(delays), *x.shape))
    for run in _runs(len(x), starts):
        part = x[run]
        for made, delay in zip(out, delays, strict=True):
            n = len(part) - abs(delay)
            if n > 0:
                late = made[run]
                late[max(delay, 0) : max(delay, 0) + n] = part[max(-delay, 0) : max(-delay, 0) + n]
    return np.concatenate(list(out), axis=1)


def haemodynamic(
    x: np.ndarray,
    tr: float | int,
    starts: Sequence[int] = (),
    *,
    derivative: bool = False,
    response: Hemodynamic | None = None,
) -> Float[np.ndarray, "time out"]:
    r"""Features as the blood sees them, $\sum_l h_l x_{t-l}$, with the canonical two-gamma response.

    `tr`: seconds between rows; `response` sets peak, undershoot and their ratio
    (`recordings.observe.Hemodynamic`). With `derivative` the features filtered by its slope, h(t) - h(t - 1 s),
    follow as further columns: their weights say how much earlier than the canonical a response comes.

    >>> impulse = np.eye(20)[:, :1]
    >>> int(haemodynamic(impulse, tr=1.0).argmax())
    5

    Raises ValueError for a tr that is not positive, and as `delayed` does.
    """
    if not tr > 0:
        raise ValueError(f"tr = {tr}, but it is the time between rows, in seconds")
    x, response = _matrix(x), Hemodynamic() if response is None else response
    h = np.asarray(response.kernel(1000 * tr), float)
    kernels = [h]
    if derivative:
        fine = np.asarray(response.kernel(100.0), float)  # ten values a second
        slope = fine - np.concatenate([np.zeros(10), fine[:-10]])
        at = np.arange(len(h)) * tr
        kernels.append(np.interp(at, np.arange(len(fine)) / 10, slope) * tr * 10)
    out = np.zeros((len(kernels), *x.shape))
    for run in _runs(len(x), starts):
        for made, kernel in zip(out, kernels, strict=True):
            for column in range(x.shape[1]):
                made[run, column] = np.convolve(x[run, column], kernel)[: run.stop - run.start]
    return np.concatenate(list(out), axis=1)
