"""Score: a number that knows how sure it is, how high it could be, and what chance gives."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


def permutation_p(
    value: float | np.ndarray, null: np.ndarray, tail: str = "greater"
) -> float | np.ndarray:
    """p-value of a permutation test, (1 + #{null as extreme}) / (1 + draws).

    The observed value counts as one draw, so p is never 0 and the test is exact at every number
    of draws (Phipson and Smyth 2010). `null` has its draws on the first axis; `tail` is `greater`,
    `less` or `two-sided` (twice the smaller tail).

    >>> permutation_p(3.0, np.array([0.0, 1.0, 2.0, 4.0]))
    0.4
    """
    null = np.asarray(null)
    if null.ndim < 1 or len(null) == 0:
        raise ValueError("a permutation test needs at least one null draw")
    # values that differ by rounding only are ties: the identity permutation must count
    slack = 1e-12 * np.maximum(1, np.abs(value))
    above = (1 + (null >= value - slack).sum(0)) / (1 + len(null))
    below = (1 + (null <= value + slack).sum(0)) / (1 + len(null))
    tails = {
        "greater": above,
        "less": below,
        "two-sided": np.minimum(1, 2 * np.minimum(above, below)),
    }
    if tail not in tails:
        raise ValueError(f"tail must be one of {sorted(tails)}, not {tail!r}")
    p = tails[tail]
    return float(p) if np.ndim(p) == 0 else p


@dataclass(frozen=True, repr=False)
class Score:
    """What every comparison returns. All fields are NumPy arrays (or numbers); `value` may hold
    one number or one per target, and the others then follow its shape.

    - `interval`: (low, high), at `level`;
    - `ceiling`: what a perfect model would get on these noisy data, or (lower, upper) bounds;
    - `null`: draws (draw, ...) of the value when there is nothing to find;
    - `draws`: draws (draw, ...) of the value when the data are resampled, if kept;
    - `name`: what the number is; `n`: how many samples it rests on.

    >>> s = Score(0.61, (0.55, 0.66), ceiling=0.8, null=np.array([-0.1, 0.0, 0.05]), name="r")
    >>> s
    Score(r = 0.610 [0.550, 0.660], ceiling 0.800, null -0.017 sd 0.062, p = 0.25)
    >>> round(s.of_ceiling, 3)
    0.762
    """

    value: float | np.ndarray
    interval: tuple | np.ndarray | None = None
    ceiling: float | tuple | np.ndarray | None = None
    null: np.ndarray | None = None
    draws: np.ndarray | None = None
    name: str = "score"
    level: float = 0.95
    n: int | None = None
    tail: str = "greater"

    def __post_init__(self):
        shape = np.shape(self.value)
        if self.interval is not None and np.shape(self.interval) != (2, *shape):
            raise ValueError(
                f"interval must be (low, high) of shape {shape} each, not {np.shape(self.interval)}"
            )
        for what in ("null", "draws"):
            drawn = getattr(self, what)
            if drawn is not None and np.shape(drawn)[1:] != shape:
                raise ValueError(f"{what} must have shape (draw, *{shape}), not {np.shape(drawn)}")

    @property
    def p(self) -> float | np.ndarray | None:
        """Permutation p-value against the null (None without one)."""
        return None if self.null is None else permutation_p(self.value, self.null, self.tail)

    @property
    def of_ceiling(self) -> float | np.ndarray | None:
        """Value as a share of the ceiling (of the upper bound where there are two)."""
        if self.ceiling is None:
            return None
        top = self.ceiling[1] if isinstance(self.ceiling, tuple) else self.ceiling
        with np.errstate(divide="ignore", invalid="ignore"):
            share = self.value / np.where(np.asarray(top) > 0, top, np.nan)
            return float(share) if np.ndim(share) == 0 else share

    def __len__(self):
        return len(self.value)

    def __getitem__(self, at) -> Score:
        """Score of some targets."""

        def pick(x):
            if x is None:
                return None
            if isinstance(x, tuple):
                return tuple(pick(y) for y in x)
            part = np.asarray(x)[at] if np.ndim(x) else x
            return float(part) if np.ndim(part) == 0 else part

        def deep(x):
            return None if x is None else np.asarray(x)[:, at]

        return replace(
            self,
            value=pick(self.value),
            interval=None if self.interval is None else tuple(pick(side) for side in self.interval),
            ceiling=pick(self.ceiling),
            null=deep(self.null),
            draws=deep(self.draws),
        )

    def mean(self, seed: int = 0) -> Score:
        """Mean over targets. Its interval resamples the targets inside every kept draw of the data,
        so it speaks of the population of targets as well as of samples (NaN targets are left out).
        """
        value = np.asarray(self.value)
        if value.ndim != 1:
            raise ValueError(
                f"mean() is over one axis of targets; this score has shape {value.shape}"
            )
        keep = np.isfinite(value)
        if not keep.any():
            raise ValueError("no target has a finite score")
        kept, count = self[keep], int(keep.sum())
        rng = np.random.default_rng(seed)
        draws = kept.draws if kept.draws is not None else np.tile(kept.value, (1000, 1))
        means = np.array([d[rng.integers(0, count, count)].mean() for d in draws])
        ceiling = kept.ceiling
        if ceiling is not None:
            ceiling = (
                tuple(float(np.nanmean(c)) for c in ceiling)
                if isinstance(ceiling, tuple)
                else float(np.nanmean(ceiling))
            )
        tails = [50 - 50 * self.level, 50 + 50 * self.level]
        return replace(
            kept,
            value=float(kept.value.mean()),
            interval=tuple(np.percentile(means, tails).tolist()),
            ceiling=ceiling,
            null=None if kept.null is None else kept.null.mean(1),
            draws=means,
            name=f"mean {self.name}",
        )

    def minus(self, other: Score) -> Score:
        """Paired difference of two scores whose draws resampled the same data in the same way (the
        same function, settings and seed), so that what they share cancels.

        >>> a = Score(0.5, draws=np.array([0.4, 0.5, 0.6]))
        >>> a.minus(Score(0.3, draws=np.array([0.2, 0.3, 0.4])))
        Score(score - score = 0.200 [0.200, 0.200])
        """
        if self.draws is None or other.draws is None or self.draws.shape != other.draws.shape:
            raise ValueError("a paired difference needs both scores' draws, in the same number")
        draws = self.draws - other.draws
        tails = [50 - 50 * self.level, 50 + 50 * self.level]
        interval = tuple(np.percentile(draws, tails, axis=0))
        value, name = self.value - other.value, f"{self.name} - {other.name}"
        return Score(value, interval, draws=draws, name=name, level=self.level, n=self.n)

    def __repr__(self):
        value = np.asarray(self.value, float)
        if value.ndim:
            finite = value[np.isfinite(value)]
            low, high = (finite.min(), finite.max()) if len(finite) else (np.nan, np.nan)
            middle = np.median(finite) if len(finite) else np.nan
            return (
                f"Score({self.name} of {'x'.join(map(str, value.shape))} targets: "
                f"median {middle:.3f}, range {low:.3f} to {high:.3f})"
            )
        text = f"{self.name} = {value:.3f}"
        if self.interval is not None:
            text += f" [{float(self.interval[0]):.3f}, {float(self.interval[1]):.3f}]"
        if isinstance(self.ceiling, tuple):
            text += f", ceiling {float(self.ceiling[0]):.3f} to {float(self.ceiling[1]):.3f}"
        elif self.ceiling is not None:
            text += f", ceiling {float(self.ceiling):.3f}"
        if self.null is not None:
            text += f", null {np.mean(self.null):.3f} sd {np.std(self.null):.3f}, p = {self.p:.2g}"
        return f"Score({text})"
