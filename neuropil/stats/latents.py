r"""Scores of models of neural populations as the Neural Latents Benchmark defines them, with interval and null.

Counts and rates are (trial, bin, unit), in spikes a bin; NaN counts are bins that do not count. The interval
resamples trials; the null pairs what was predicted for one trial with what was seen in another, so it says
what a model gets that knows the time in the trial and no more. Trials must be exchangeable for that.

Source: Pei et al. 2021, NeurIPS Datasets and Benchmarks (arXiv:2109.04463), and the benchmark's `nlb_tools`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import gammaln, xlogy

from neuropil.stats.resample import percentile_interval
from neuropil.stats.score import Score

Counts = Float[np.ndarray, "trial bin unit"]
_LEAST = 1e-9  # what the benchmark puts in place of a rate of 0


def co_smoothing(
    counts: np.ndarray,
    rates: np.ndarray,
    heldout: np.ndarray | None = None,
    *,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Score:
    r"""Bits per spike of units that the model was not shown (`heldout`, True for each; None: all given).

    $$\frac{\sum \log p(k; r) - \sum \log p(k; \bar k)}{\log 2 \sum k}$$

    over all units together, p Poisson, $\bar k$ each unit's mean in these counts. 0 for that mean.

    >>> rng = np.random.default_rng(0)
    >>> rate = np.exp(rng.normal(size=(40, 20, 1)) * np.ones(5))
    >>> score = co_smoothing(rng.poisson(rate), rate, np.arange(5) > 2, draws=200)
    >>> bool(score.interval[0] > 0.3 and score.p < 0.01)
    True

    Raises ValueError for shapes that differ, negative or missing rates, and counts without a spike.
    """
    k, r = _checked(counts, rates)
    if heldout is not None:
        out = np.asarray(heldout, bool)
        if out.shape != k.shape[2:] or not out.any():
            raise ValueError(f"heldout must mark some of {k.shape[2]} units, not {out.shape}")
        k, r = k[:, :, out], r[:, :, out]
    return _bits(k, r, "co-smoothing, bits per spike", draws, level, seed)


def forward_prediction(
    counts: np.ndarray,
    rates: np.ndarray,
    bins: int | None = None,
    *,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Score:
    """Bits per spike of all units in bins after those that the model was shown: the last `bins` (None: all
    given). The formula is that of `co_smoothing`; the benchmark predicts 200 ms.

    Raises ValueError as `co_smoothing`, and for more bins than there are.
    """
    k, r = _checked(counts, rates)
    if bins is not None:
        if not 1 <= bins <= k.shape[1]:
            raise ValueError(f"bins = {bins} must lie between 1 and {k.shape[1]}")
        k, r = k[:, -bins:], r[:, -bins:]
    return _bits(k, r, "forward prediction, bits per spike", draws, level, seed)


def velocity_r2(
    train_rates: np.ndarray,
    train_velocity: np.ndarray,
    rates: np.ndarray,
    velocity: np.ndarray,
    *,
    penalties: tuple[float, ...] = tuple(float(a) for a in np.logspace(-4, 0, 9)),
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Score:
    """R2 of behaviour (trial, bin, 2) decoded from rates of the same bins by ridge regression.

    The decoder is fitted to the training trials, its penalty chosen there by five contiguous folds; R2 is the
    mean over the behaviour's columns, of test trials. Bins whose behaviour is NaN do not count. The lag
    between rates and behaviour is in the data (`worlds.archives.WINDOWS`).

    >>> rng = np.random.default_rng(0)
    >>> rates = rng.normal(size=(30, 20, 4)); v = rates[..., :2] + 0.1 * rng.normal(size=(30, 20, 2))
    >>> bool(velocity_r2(rates[:20], v[:20], rates[20:], v[20:], draws=100).value > 0.95)
    True

    Raises ValueError for shapes that do not fit, NaN among the rates, and fewer than 2 test trials.
    """
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV

    parts = [np.asarray(a, float) for a in (train_rates, train_velocity, rates, velocity)]
    for a, b in (parts[:2], parts[2:]):
        if a.ndim != 3 or b.ndim != 3 or a.shape[:2] != b.shape[:2] or not np.isfinite(a).all():
            raise ValueError(
                f"give finite rates (trial, bin, unit) and velocity (trial, bin, axis) of the same bins, "
                f"not {a.shape} and {b.shape}"
            )
    flat = [a.reshape(-1, a.shape[2]) for a in parts]
    known = ~np.isnan(flat[1][:, 0])
    decoder = GridSearchCV(Ridge(), {"alpha": list(penalties)})
    decoder.fit(flat[0][known], flat[1][known])
    y = parts[3]
    said = decoder.predict(flat[2]).reshape(y.shape)
    seen = ~np.isnan(y[:, :, 0])
    y = np.where(seen[:, :, None], y, 0.0)
    # squared error of what was said of trial j against what was seen in trial i, axis by axis
    errors = np.stack(
        [
            (a**2).sum(1)[:, None] - 2 * a @ b.T + seen.astype(float) @ (b**2).T
            for a, b in zip(y.transpose(2, 0, 1), said.transpose(2, 0, 1), strict=True)
        ],
        axis=2,
    )
    sums, squares, n = y.sum(1), (y**2).sum(1), seen.sum(1).astype(float)

    def r2(weight, error):
        total = weight @ squares - (weight @ sums) ** 2 / (weight @ n)[:, None]
        return (1 - error / np.maximum(total, 1e-300)).mean(1)

    def of(weight, order):
        own = errors[np.arange(len(y))[None, :], order]
        return r2(weight, np.einsum("dt,dtx->dx", weight, own))

    return _resampled(of, len(y), "velocity R2", draws, level, seed)


def psth_r2(
    psth: np.ndarray,
    rates: np.ndarray,
    condition: np.ndarray,
    *,
    jitter: np.ndarray | None = None,
    draws: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> Score:
    """R2 of the mean predicted rate of each condition against its PSTH (condition, bin, unit), mean over units.

    `condition`: each trial's row of `psth` (negative: of none). `jitter`: bins by which each trial's rates
    move to later bins before they are averaged. Bins whose PSTH is NaN do not count; conditions without a
    trial are left out. The interval resamples trials within conditions, the null permutes their conditions.

    >>> psth = np.random.default_rng(0).normal(size=(3, 10, 4))
    >>> psth_r2(psth, psth[[0, 1, 2, 0, 1, 2]], np.array([0, 1, 2, 0, 1, 2]), draws=20).value
    1.0

    Raises ValueError for shapes that do not fit, a condition that does not exist, and NaN rates in bins that
    count.
    """
    psth, rates = np.asarray(psth, float), np.asarray(rates, float)
    condition = np.asarray(condition)
    if psth.ndim != 3 or rates.ndim != 3 or psth.shape[1:] != rates.shape[1:]:
        raise ValueError(f"psth {psth.shape} and rates {rates.shape} must agree in bins and units")
    if condition.shape != rates.shape[:1] or condition.max(initial=-1) >= len(psth):
        raise ValueError(f"condition must name one of {len(psth)} rows of psth for each trial")
    if jitter is not None:
        rates = np.stack([_moved(a, int(by)) for a, by in zip(rates, jitter, strict=True)])
    kept = condition >= 0
    rates, condition = rates[kept], condition[kept]
    rows = np.unique(condition)
    counted = ~np.isnan(psth[rows, :, 0])
    truth = psth[rows][counted]
    wanted = np.isnan(rates).any(2) & counted[np.searchsorted(rows, condition)]
    if wanted.any():
        raise ValueError("rates are NaN in bins that count: predict every bin of the PSTH")
    flat = np.nan_to_num(rates).reshape(len(rates), -1)

    def of(weight):  # (condition, trial), rows sum to 1
        said = (weight @ flat).reshape(len(rows), *rates.shape[1:])[counted]
        error = ((truth - said) ** 2).sum(0)
        total = ((truth - truth.mean(0)) ** 2).sum(0)
        flatly = np.where(
            error > 0, 0.0, 1.0
        )  # of a unit that does not vary, as scikit-learn has it
        return np.where(total > 0, 1 - error / np.where(total > 0, total, 1), flatly).mean()

    def weights(labels):
        own = (labels[None, :] == rows[:, None]).astype(float)
        return own / own.sum(1, keepdims=True)

    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(condition == c) for c in rows]
    drawn, null = [], []
    for _ in range(draws):
        w = np.zeros((len(rows), len(rates)))
        for i, group in enumerate(groups):
            np.add.at(w[i], rng.choice(group, len(group)), 1 / len(group))
        drawn.append(of(w))
        null.append(of(weights(rng.permutation(condition))))
    drawn = np.array(drawn)
    return Score(
        float(of(weights(condition))),
        percentile_interval(drawn, level),
        null=np.array(null),
        draws=drawn,
        name="PSTH R2",
        level=level,
        n=len(rates),
    )


def _moved(a, by):
    empty = np.full((abs(by), a.shape[1]), np.nan)
    if by == 0:
        return a
    return np.concatenate([empty, a[:-by]] if by > 0 else [a[-by:], empty])


def _checked(counts, rates) -> tuple[Counts, Counts]:
    k, r = np.asarray(counts, float), np.asarray(rates, float)
    if k.ndim != 3 or k.shape != r.shape or 0 in k.shape:
        raise ValueError(
            f"counts and rates must be (trial, bin, unit) alike, not {k.shape}, {r.shape}"
        )
    if not np.isfinite(r).all() or (r < 0).any():
        raise ValueError("rates must be finite and not negative, in spikes a bin")
    if np.isinf(k).any() or np.nanmin(k, initial=0) < 0:
        raise ValueError("counts must be finite and not negative; NaN is a bin that does not count")
    return k, np.where(r == 0, _LEAST, r)


def _bits(k, r, name, draws, level, seed) -> Score:
    """Bits per spike; all that resampling needs are sums over the bins of a trial."""
    seen = ~np.isnan(k)
    k = np.where(seen, k, 0.0)
    if not k.any():
        raise ValueError("there is no spike in these counts, so no bits per spike")
    flat = lambda a: np.asarray(a, float).reshape(len(k), -1)
    constant = (seen * gammaln(k + 1)).sum((1, 2))
    # log-likelihood of trial i under the rates predicted for trial j
    likely = flat(k) @ flat(np.log(r)).T - flat(seen) @ flat(r).T - constant[:, None]
    spikes, n = k.sum(1), seen.sum(1).astype(float)

    def of(weight, order):
        own = likely[np.arange(len(k))[None, :], order]
        K, N = weight @ spikes, weight @ n
        mean = K / np.maximum(N, 1)
        still = (xlogy(K, np.where(mean > 0, mean, 1)) - N * mean).sum(1) - weight @ constant
        with np.errstate(invalid="ignore", divide="ignore"):
            return ((weight * own).sum(1) - still) / K.sum(1) / np.log(2)

    return _resampled(of, len(k), name, draws, level, seed)


def _resampled(of, trials, name, draws, level, seed) -> Score:
    """`of(weights of the trials (draw, trial), whose prediction each trial gets)` as a Score."""
    if trials < 2:
        raise ValueError("intervals and nulls need at least 2 trials: cut the data into trials")
    rng = np.random.default_rng(seed)
    ones, own = np.ones((1, trials)), np.arange(trials)[None, :]
    drawn = of(rng.multinomial(trials, np.full(trials, 1 / trials), draws).astype(float), own)
    orders = np.stack([rng.permutation(trials) for _ in range(draws)])
    null = of(np.ones((draws, trials)), orders)
    return Score(
        float(of(ones, own)[0]),
        percentile_interval(drawn, level),
        null=null,
        draws=drawn,
        name=name,
        level=level,
        n=trials,
    )
