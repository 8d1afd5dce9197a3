"""Strong classical decoders of EEG, as scikit-learn pipelines: common spatial patterns, Riemannian geometry.

Both say what a network must beat. CSP is MNE's (the extra `neuropil[recordings]`); the tangent space is
written here, since no kept library that is among the dependencies has it.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_array, check_is_fitted

from neuropil.fit.door import admit

Trials = Float[np.ndarray, "trial channel time"]
Matrices = Float[np.ndarray, "trial channel channel2"]


def _trials(X) -> np.ndarray:
    X = check_array(X, allow_nd=True, ensure_2d=False, dtype=np.float64)
    if X.ndim != 3:
        raise ValueError(f"X has shape {X.shape}; give (trial, channel, time)")
    return X


class CSP(TransformerMixin, BaseEstimator):
    """Log power after MNE's common spatial patterns (approximate joint diagonalisation of several classes).

    - `components`: filters kept; `reg`: shrinkage of the covariances, as in `mne.decoding.CSP`.

    Raises ImportError with the remedy where MNE is missing.
    """

    needs_time = True  # it reads variances over time, so a mean tells it nothing

    def __init__(self, components=6, reg="ledoit_wolf"):
        self.components = components
        self.reg = reg

    def fit(self, X, y) -> CSP:
        from neuropil.recordings.mnelib import mne

        library = mne()
        from mne.decoding import CSP as Theirs

        X = _trials(admit(self, X, "channels", fit=True))
        few = min(self.components, X.shape[1])
        with library.use_log_level("ERROR"):  # it reports every covariance
            self.csp_ = Theirs(few, reg=self.reg, log=True).fit(X, np.asarray(y))
        return self

    def transform(self, X) -> Float[np.ndarray, "trial component"]:
        check_is_fitted(self)
        return self.csp_.transform(_trials(admit(self, X, "channels")))


def csp_lda(components: int = 6) -> Pipeline:
    """Common spatial patterns and a linear discriminant; give trials filtered to the band of the rhythm."""
    return make_pipeline(CSP(components), LinearDiscriminantAnalysis())


def covariances(X: Trials, shrinkage: float = 0.05) -> Matrices:
    """Covariance of each trial over time, (1 - s) C + s tr(C) / channels 1, so that each can be inverted.

    >>> covariances(np.array([[[1.0, -1.0], [1.0, 1.0]]]), 0.0).round(6).tolist()
    [[[1.0, 0.0], [0.0, 0.0]]]
    """
    X = X - X.mean(2, keepdims=True)
    C = X @ X.transpose(0, 2, 1) / X.shape[2]
    n = C.shape[1]
    # of a signal that never moves nothing is left: a number so small keeps its logarithm finite
    power = np.maximum(np.trace(C, axis1=1, axis2=2)[:, None, None], 1e-30)
    return (1 - shrinkage) * C + shrinkage * power / n * np.eye(n)


def _by_eigenvalues(C, f):
    values, vectors = np.linalg.eigh(C)
    return (vectors * f(values)[..., None, :]) @ np.swapaxes(vectors, -1, -2)


def geometric_mean(C: Matrices, tolerance: float = 1e-8, steps: int = 50) -> np.ndarray:
    r"""Mean of positive matrices under the affine-invariant metric: $\sum_i \log(M^{-1/2} C_i M^{-1/2}) = 0$.

    It moves with any invertible mixing of the channels: mean(A C A') = A mean(C) A'.

    >>> geometric_mean(np.array([[[1.0]], [[4.0]]])).round(6).tolist()
    [[2.0]]
    """
    M = C.mean(0)
    for _ in range(steps):
        root, back = _by_eigenvalues(M, np.sqrt), _by_eigenvalues(M, lambda v: 1 / np.sqrt(v))
        move = _by_eigenvalues(back @ C @ back, np.log).mean(0)
        M = root @ _by_eigenvalues(move, np.exp) @ root
        if np.linalg.norm(move) < tolerance * np.sqrt(len(M)):
            break
    return M


class TangentSpace(TransformerMixin, BaseEstimator):
    r"""Trials to the tangent space of their covariances: $\log(M^{-1/2} C_i M^{-1/2})$, upper half.

    M is the geometric mean of the trials it was fitted on; entries off the diagonal are times sqrt(2), so
    that lengths of vectors are Riemannian distances to M. Source: Barachant et al. 2012, IEEE TBME 59:920.

    - `shrinkage`: of each covariance towards a multiple of the identity.
    """

    needs_time = True

    def __init__(self, shrinkage=0.05):
        self.shrinkage = shrinkage

    def fit(self, X, y=None) -> TangentSpace:
        X = _trials(admit(self, X, "channels", fit=True))
        mean = geometric_mean(covariances(X, self.shrinkage))
        self.mean_, self.whiten_ = mean, _by_eigenvalues(mean, lambda v: 1 / np.sqrt(v))
        return self

    def transform(self, X) -> Float[np.ndarray, "trial feature"]:
        check_is_fitted(self)
        X = _trials(admit(self, X, "channels"))
        C = self.whiten_ @ covariances(X, self.shrinkage) @ self.whiten_
        S = _by_eigenvalues(C, np.log)
        i, j = np.triu_indices(S.shape[1])
        return S[:, i, j] * np.where(i == j, 1.0, np.sqrt(2.0))


def tangent_logistic(C: float = 0.1, shrinkage: float = 0.05) -> Pipeline:
    """Tangent space, standardised, and logistic regression (inverse penalty `C`)."""
    steps = TangentSpace(shrinkage), StandardScaler(), LogisticRegression(C=C, max_iter=1000)
    return make_pipeline(*steps)


def evoked_lda(every: int = 4) -> Pipeline:
    """Shrinkage linear discriminant on the mean of `every` samples of each channel: what evoked responses
    (P300, N170) are decoded by. Source: Blankertz et al. 2011, NeuroImage 56:814."""
    return make_pipeline(Coarse(every), LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"))


class Coarse(TransformerMixin, BaseEstimator):
    """Means of `every` samples in a row, all channels in one row of features; a last short group is dropped."""

    def __init__(self, every=4):
        self.every = every

    def fit(self, X, y=None) -> Coarse:
        self.shape_ = _trials(admit(self, X, "channels", fit=True)).shape[1:]
        return self

    def transform(self, X) -> Float[np.ndarray, "trial feature"]:
        check_is_fitted(self)
        X = _trials(admit(self, X, "channels"))
        n = X.shape[2] // self.every
        if not n:
            raise ValueError(f"every = {self.every} is longer than the {X.shape[2]} samples")
        return (
            X[:, :, : n * self.every]
            .reshape(*X.shape[:2], n, self.every)
            .mean(3)
            .reshape(len(X), -1)
        )
