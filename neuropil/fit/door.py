"""What estimators are given: arrays, or recordings that know which part of a split they are.

An estimator that is fitted to a `Recording` keeps, as `learned_`, which part it learned from; a test part is
refused in `fit`, and so is a model that learned from elsewhere when a part of a split is to be judged.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neuropil.recordings import Recording, may_apply, may_fit

LAYOUTS = {
    "trials": lambda a: a,  # (trial, time, unit)
    "channels": lambda a: a.transpose(0, 2, 1),  # (trial, channel, time)
    "series": lambda a: _only(a),  # (time, unit)
}


def _only(a):
    if len(a) > 1:
        raise ValueError(
            f"the recording has {len(a)} trials, but this model reads one stretch of time: select(trials=...)"
        )
    return a[0]


def admit(model: Any, X: Any, layout: str = "trials", *, fit: bool = False) -> Any:
    """The values of X in this layout if it is a `Recording` (NaN where masked), else X as it is.

    With `fit` the model learns from it: ValueError where X is a validation or test part. Without, ValueError
    where X is a part of a split that the model did not learn the training part of.

    >>> from types import SimpleNamespace
    >>> from neuropil.recordings import preprocess
    >>> rec = Recording.from_array(np.ones((4, 5, 2)), rate=100.0, unit="uV")
    >>> parts, model = preprocess.split(rec, test=0.5), SimpleNamespace()
    >>> admit(model, parts.train, "channels", fit=True).shape, model.learned_[:5]
    ((2, 2, 5), 'train')
    >>> admit(model, parts.test, fit=True)
    Traceback (most recent call last):
    ...
    ValueError: This is a leak: SimpleNamespace would be fitted on the test of split ...
    """
    who = type(model).__name__
    if not isinstance(X, Recording):
        if fit:
            model.learned_ = ""
        return X
    if fit:
        model.learned_ = may_fit(X, who)
    elif getattr(model, "learned_", ""):
        may_apply(model.learned_, X, who)
    return LAYOUTS[layout](X.to_numpy())


def beside(model: Any, y: Any, layout: str = "trials", *, fit: bool = False) -> Any:
    """The same of what goes with X, a target or inputs: it leaves no mark on the model."""
    if not isinstance(y, Recording):
        return y
    if fit:
        may_fit(y, type(model).__name__)
    return LAYOUTS[layout](y.to_numpy())


def in_rows(X: Any, lengths: Any = None) -> tuple[np.ndarray, Any, tuple[int, ...]]:
    """(rows (time, unit), lengths of the sequences in them, shape before the last axis).

    Trials (trial, time, unit) become sequences one after the other. Rows come with `lengths`, or are one
    sequence. ValueError for other shapes, fewer than 2 bins, and infinities.
    """
    a = np.asarray(X, float)
    if a.ndim not in (2, 3) or 0 in a.shape or a.shape[-2] < 2:
        raise ValueError(
            f"give (time, unit) or (trial, time, unit) with at least 2 bins, not {a.shape}"
        )
    if np.isinf(a).any():
        raise ValueError("the data hold infinity; entries that are missing are NaN")
    if a.ndim == 3:
        if lengths is not None:
            raise ValueError("trials have lengths already: leave out lengths=")
        lengths = np.full(len(a), a.shape[1])
    return a.reshape(-1, a.shape[-1]), lengths, a.shape[:-1]
