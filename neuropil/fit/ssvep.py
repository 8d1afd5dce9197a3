r"""Decoders of steady-state visual evoked potentials: filter banks, canonical correlation, TRCA.

FBCCA needs no training: in each sub-band n the largest canonical correlation $\rho_n(f)$ of a trial with
sines and cosines of f and its harmonics, score $\sum_n w_n \rho_n^2$ with $w_n = n^{-1.25} + 0.25$.

Task-related component analysis (TRCA) is trained for a person: the filter that makes a class's trials
most alike, and the correlation of the filtered trial with the filtered mean of the class.

Sources: Chen et al. 2015, J. Neural Eng. 12:046008 (FBCCA); Nakanishi et al. 2018, IEEE TBME 65:104
(ensemble TRCA). Trials are (trial, channel, time).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.linalg
from jaxtyping import Float
from scipy.signal import cheby1, filtfilt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted

from neuropil.fit.door import admit

Trials = Float[np.ndarray, "trial channel time"]
Bands = Float[np.ndarray, "band trial channel time"]


def filter_bank(
    x: Trials,
    rate: float | int,
    bands: int = 5,
    *,
    base: float | int = 8.0,
    top: float | int = 90.0,
) -> Bands:
    """Sub-bands from base n to `top` Hz, n = 1..bands: one section of Chebyshev type I (1 dB), zero phase.

    The one section falls so slowly that the sub-bands overlap almost wholly; both published decoders that
    use it (FBCCA's and Deep-SSVEP's) have it so.

    >>> filter_bank(np.ones((1, 1, 100)), 250.0, 3).shape
    (3, 1, 1, 100)

    Raises ValueError where a band is empty or its edge lies above half the rate.
    """
    x = np.asarray(x, float)
    if not 0 < base * bands < top < rate / 2:
        raise ValueError(
            f"sub-bands from {base} to {base * bands} Hz up to {top} Hz do not fit below half of "
            f"{rate} Hz; use fewer bands or a lower top"
        )
    out = []
    for n in range(1, bands + 1):
        b, a = cheby1(1, 1.0, [base * n, top], "bandpass", fs=rate)
        # what is reflected at the ends cannot be longer than the window
        out.append(filtfilt(b, a, x, axis=-1, padlen=min(9, x.shape[-1] - 1)))
    return np.stack(out)


def references(
    frequencies: Sequence[float] | np.ndarray, time: int, rate: float | int, harmonics: int = 5
) -> Float[np.ndarray, "class row time"]:
    """Sines and cosines of each frequency and its harmonics, (class, 2 harmonics, time).

    >>> references([10.0], 50, 100.0, 2).shape
    (1, 4, 50)
    """
    t = np.arange(time) / rate
    order = np.arange(1, harmonics + 1)
    angle = 2 * np.pi * np.multiply.outer(np.multiply.outer(np.asarray(frequencies), order), t)
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)


def canonical_correlation(
    x: Float[np.ndarray, "*trial channel time"], y: Float[np.ndarray, "class row time"]
) -> Float[np.ndarray, "*trial class"]:
    """Largest correlation between a mixture of the rows of x and one of the rows of y, means removed.

    By QR and singular values; it is the same after any invertible mixing of the channels.

    >>> t = np.arange(100) / 100
    >>> round(float(canonical_correlation(np.sin(20 * t)[None, None], np.sin(20 * t)[None, None])[0, 0]), 6)
    1.0
    """

    def basis(a):
        a = np.swapaxes(a - a.mean(-1, keepdims=True), -1, -2)
        q, r = np.linalg.qr(a)
        # a row that others explain has no direction of its own
        size = np.abs(np.diagonal(r, axis1=-2, axis2=-1))
        return q * (size > 1e-9 * np.maximum(size.max(-1, keepdims=True), 1e-300))[..., None, :]

    cross = np.einsum("...tc,ktr->...kcr", basis(x), basis(y), optimize=True)
    return np.linalg.svd(cross, compute_uv=False)[..., 0]


def band_weights(bands: int) -> Float[np.ndarray, " band"]:
    """n^-1.25 + 0.25."""
    return np.arange(1, bands + 1) ** -1.25 + 0.25


def _checked(X):
    X = check_array(X, allow_nd=True, ensure_2d=False, dtype=np.float64)
    if X.ndim != 3:
        raise ValueError(f"X has shape {X.shape}; give (trial, channel, time)")
    return X


class FBCCA(ClassifierMixin, BaseEstimator):
    """Filter-bank canonical correlation analysis, which learns nothing but which labels there are.

    - `frequencies`: that of each label, in the order of the sorted labels; `rate` in Hz;
    - `bands`, `harmonics`: of the filter bank and of the references.

    >>> t = np.arange(250) / 250
    >>> x = np.sin(2 * np.pi * np.array([10.0, 12.0])[:, None, None] * t)
    >>> FBCCA([10.0, 12.0], rate=250.0).fit(x, ["ten", "twelve"]).predict(x).tolist()
    ['ten', 'twelve']

    Raises ValueError where the numbers of frequencies and labels differ.
    """

    def __init__(self, frequencies, *, rate=250.0, bands=5, harmonics=5):
        self.frequencies = frequencies
        self.rate = rate
        self.bands = bands
        self.harmonics = harmonics

    def fit(self, X, y) -> FBCCA:
        check_consistent_length(_checked(admit(self, X, "channels", fit=True)), y)
        self.classes_ = np.unique(y)
        if len(self.classes_) != len(self.frequencies):
            raise ValueError(
                f"{len(self.classes_)} labels but {len(self.frequencies)} frequencies; give one each"
            )
        return self

    def decision_function(self, X) -> Float[np.ndarray, "trial class"]:
        """Weighted squared correlations of every class."""
        check_is_fitted(self)
        X = _checked(admit(self, X, "channels"))
        bank = filter_bank(X, self.rate, self.bands)
        rho = canonical_correlation(
            bank, references(self.frequencies, X.shape[2], self.rate, self.harmonics)
        )
        return np.einsum("n,ntk->tk", band_weights(self.bands), rho**2)

    def predict(self, X) -> np.ndarray:
        """The label with the largest score."""
        return self.classes_[np.argmax(self.decision_function(X), axis=1)]


class TRCA(ClassifierMixin, BaseEstimator):
    r"""Ensemble task-related component analysis with a filter bank.

    For class k the filter maximises $w^\top S w / w^\top Q w$, S the covariance between different trials
    and Q that of all; the score is the correlation of trial and class mean after the filters of all
    classes (`ensemble`), squared with its sign and weighted over sub-bands.

    Raises ValueError for a class with fewer than two trials.
    """

    needs_time = True  # it reads correlations over time, so a mean tells it nothing

    def __init__(self, *, rate=250.0, bands=5, ensemble=True):
        self.rate = rate
        self.bands = bands
        self.ensemble = ensemble

    def fit(self, X, y) -> TRCA:
        X, y = _checked(admit(self, X, "channels", fit=True)), np.asarray(y)
        check_consistent_length(X, y)
        self.classes_, counts = np.unique(y, return_counts=True)
        if counts.min() < 2:
            few = self.classes_[counts.argmin()]
            raise ValueError(
                f"class {few!r} has one trial of n_samples = {len(X)}; TRCA compares trials, give 2 or more"
            )
        bank = filter_bank(X, self.rate, self.bands)
        bank = bank - bank.mean(-1, keepdims=True)
        groups = [bank[:, y == k] for k in self.classes_]
        self.means_ = np.stack([g.mean(1) for g in groups], axis=1)  # (band, class, channel, time)
        self.filters_ = np.stack([[_related(b) for b in g] for g in groups], axis=1)
        return self

    def decision_function(self, X) -> Float[np.ndarray, "trial class"]:
        """Weighted correlations with every class's mean."""
        check_is_fitted(self)
        X = _checked(admit(self, X, "channels"))
        bank = filter_bank(X, self.rate, self.bands)
        bank = bank - bank.mean(-1, keepdims=True)
        scores = []
        for x, means, filters in zip(bank, self.means_, self.filters_, strict=True):
            if self.ensemble:
                seen = np.einsum("fc,nct->nft", filters, x).reshape(len(x), -1)
                known = np.einsum("fc,kct->kft", filters, means).reshape(len(means), -1)
                scores.append(_unit(seen) @ _unit(known).T)
            else:
                seen = _unit(np.einsum("kc,nct->nkt", filters, x))
                known = _unit(np.einsum("kc,kct->kt", filters, means))
                scores.append(np.einsum("nkt,kt->nk", seen, known))
        rho = np.stack(scores)
        return np.einsum("n,ntk->tk", band_weights(self.bands), np.sign(rho) * rho**2)

    def predict(self, X) -> np.ndarray:
        """The label with the largest score."""
        return self.classes_[np.argmax(self.decision_function(X), axis=1)]


def _related(x):
    """The filter under which trials (trial, channel, time) are most alike."""
    total = x.sum(0)
    own = np.einsum("nct,ndt->cd", x, x)
    between = total @ total.T - own
    own += (1e-6 * np.trace(own) / len(own) + 1e-30) * np.eye(len(own))
    return scipy.linalg.eigh(between, own)[1][:, -1]


def _unit(x):
    x = x - x.mean(-1, keepdims=True)
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
