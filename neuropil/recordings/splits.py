"""Splits that cannot leak: parts that know what they are, and what may be learned from them."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, final

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float

from . import segment
from .provenance import Split, may_apply, may_fit, step
from .recording import Recording


class Parts(NamedTuple):
    """The parts of a split; `valid` is None where none was asked for."""

    train: Recording
    valid: Recording | None
    test: Recording


def split(
    recording: Recording,
    by: str = "trial",
    *,
    test: float | int = 0.2,
    valid: float | int = 0.0,
    block: float | int | None = None,
    gap: float | int = 0.0,
    seed: int = 0,
) -> Parts:
    """Parts that share no group: trials (`by="trial"`), or the values of a trials' column such as "session",
    "subject", "block", or stretches of time (`by="time"`).

    `test`, `valid`: shares of the groups, drawn by `seed`. `by="time"` cuts every trial into blocks of `block`
    seconds first (neighbouring samples are alike, so single samples never are), with `gap` s left out at both
    ends of each block. Epochs that were cut from overlapping windows go by `from_trial` or the column of the
    session. A recording that already is a training part can be split again (nested); one from which something
    was learned ("all") cannot.

    ValueError: a leak, no such column, too few groups, shares that leave a part empty.

    >>> rec = Recording.from_array(np.ones((10, 5, 1)), rate=10.0, unit="uV")
    >>> parts = split(rec, test=0.3)
    >>> len(parts.train.data.trial), len(parts.test.data.trial), str(parts.test.split)[:14]
    (7, 3, 'test of split ')
    """
    if not (0 < test < 1 and 0 <= valid < 1 and test + valid < 1):
        raise ValueError(
            f"test={test} and valid={valid} must be shares with something left to train."
        )
    recording, groups = _groups(recording, by, block, gap)
    unlike = np.unique(groups)
    n_test, n_valid = (max(1, round(s * len(unlike))) if s else 0 for s in (test, valid))
    if n_test + n_valid >= len(unlike):
        raise ValueError(
            f"There are {len(unlike)} {by}s: too few for {n_test} to test and {n_valid} to validate on."
        )
    order = np.random.default_rng(seed).permutation(len(unlike))
    cuts = np.split(unlike[order], [n_test, n_test + n_valid])
    named = dict(zip(("test", "valid", "train"), (np.isin(groups, c) for c in cuts), strict=True))
    return _parts(recording, named, f"{by} {test} {valid} {seed}")


def folds(
    recording: Recording,
    by: str = "trial",
    k: int = 5,
    *,
    block: float | int | None = None,
    gap: float | int = 0.0,
    seed: int = 0,
) -> Iterator[Parts]:
    """k-fold cross-validation: every group (as in `split`) is in the test part once. `k` = the number of groups
    leaves one out (one subject, one session). ValueError: fewer groups than folds."""
    recording, groups = _groups(recording, by, block, gap)
    unlike = np.unique(groups)
    if not 2 <= k <= len(unlike):
        raise ValueError(f"{k} folds do not fit {len(unlike)} {by}s: choose 2..{len(unlike)}.")
    shuffled = np.random.default_rng(seed).permutation(unlike)
    for i, held in enumerate(np.array_split(shuffled, k)):
        tested = np.isin(groups, held)
        yield _parts(recording, {"train": ~tested, "test": tested}, f"{by} fold {i} of {k} {seed}")


def split_subjects(
    recordings: Sequence[Recording],
    *,
    test: float | int = 0.2,
    valid: float | int = 0.0,
    seed: int = 0,
) -> tuple[list[Recording], list[Recording], list[Recording]]:
    """(train, valid, test): whole recordings, one a subject (or session), in the parts of one split."""
    n = len(recordings)
    n_test, n_valid = (max(1, round(s * n)) if s else 0 for s in (test, valid))
    if not n_test or n_test + n_valid >= n:
        raise ValueError(
            f"{n} recordings are too few for {n_test} to test and {n_valid} to validate on."
        )
    for r in recordings:
        _free(r)
    mark = _digest(f"subjects {n} {test} {valid} {seed}", np.arange(n))
    order = np.random.default_rng(seed).permutation(n)
    part = np.repeat(["test", "valid", "train"], [n_test, n_valid, n - n_test - n_valid])
    named = {int(i): str(p) for i, p in zip(order, part, strict=True)}
    marked = [replace(r, split=Split(named[i], mark)) for i, r in enumerate(recordings)]
    chosen = (
        [r for i, r in enumerate(marked) if named[i] == p] for p in ("train", "valid", "test")
    )
    return tuple(chosen)  # type: ignore[return-value]


def join(recordings: Sequence[Recording]) -> Recording:
    """One recording with the trials of several (numbered anew; the old numbers in `from_trial`).

    ValueError: parts of unlike splits ("train and test mixed"), unlike channels, rates, times or units.
    """
    first = recordings[0]
    for r in recordings[1:]:
        if r.split != first.split:
            names = " and ".join(str(s or "no split") for s in (first.split, r.split))
            raise ValueError(f"This is a leak: {names} would be mixed. Join within a part.")
        for what, a, b in (
            ("unit of measure", first.unit, r.unit),
            ("rate", first.rate, r.rate),
            ("channels", first.data["unit"].values.tolist(), r.data["unit"].values.tolist()),
            (
                "times",
                np.round(first.data["time"].values, 9).tolist(),
                np.round(r.data["time"].values, 9).tolist(),
            ),
            ("history", first.history, r.history),
        ):
            if a != b:
                raise ValueError(
                    f"The recordings have unlike {what}: make them alike before joining."
                )
    shared = [
        c
        for c, v in first.data.coords.items()
        if v.dims == ("trial",) and c != "trial" and all(c in r.data.coords for r in recordings)
    ]
    columns = {c: np.concatenate([r.data[c].values for r in recordings]) for c in shared}
    columns.setdefault("from_trial", np.concatenate([r.data["trial"].values for r in recordings]))
    columns["from_recording"] = np.repeat(
        np.arange(len(recordings)), [r.shape[0] for r in recordings]
    )
    starts = np.cumsum([0, *(r.shape[0] for r in recordings)])
    events = []
    for r, low in zip(recordings, starts, strict=False):
        number = {t: low + i for i, t in enumerate(r.data["trial"].values.tolist())}
        events.append(r.events.assign(trial=[number[t] for t in r.events["trial"].tolist()]))
    masked = any(r.mask is not None for r in recordings)
    return replace(
        Recording.from_array(
            np.concatenate([r.data.values for r in recordings]),
            rate=first.rate,
            unit=first.unit,
            labels=first.data["unit"].values,
            time=first.data["time"].values,
            mask=np.concatenate([_full(r) for r in recordings]) if masked else None,
            trials=columns,
            columns={
                c: v.values
                for c, v in first.data.coords.items()
                if v.dims == ("unit",) and c != "unit"
            },
            positions=first.positions,
            positions_unit=first.positions_unit,
            events=pd.concat(events, ignore_index=True) if any(map(len, events)) else None,
            about=first.about,
        ),
        history=first.history,
        split=first.split,
    )


@final
@dataclass(frozen=True, eq=False)
class Scaler:
    """Mean and deviation of each unit, learned from a training part and applied to the others.

    >>> parts = split(Recording.from_array(np.arange(40.0).reshape(10, 4, 1), rate=1.0, unit="uV"))
    >>> scaler = Scaler.fit(parts.train)
    >>> abs(float(scaler(parts.train).to_numpy().mean())) < 1e-9, scaler(parts.test).history[-1].name
    (True, 'scale')
    """

    mean: Float[np.ndarray, " unit"]
    deviation: Float[np.ndarray, " unit"]
    labels: np.ndarray
    learned: str

    @classmethod
    def fit(cls, recording: Recording) -> "Scaler":
        """Over the valid values of all trials. ValueError: a test part (a leak), a unit that never varies (its
        deviation is 0: leave it out)."""
        learned = may_fit(recording, "a scaler")
        values = recording.to_numpy().astype(float)
        mean, deviation = np.nanmean(values, (0, 1)), np.nanstd(values, (0, 1))
        labels = recording.data["unit"].values
        flat = ~(deviation > 0)
        if flat.any():
            raise ValueError(
                f"The unit {labels[flat][0]!s} does not vary in the training part: leave it out by "
                "select(units=...), as it cannot be scaled."
            )
        return cls(mean, deviation, labels, learned)

    def __call__(self, recording: Recording) -> Recording:
        """(x - mean) / deviation of each unit. ValueError: other units; a part of another split (a leak)."""
        may_apply(self.learned, recording, "the scaler")
        if recording.data["unit"].values.tolist() != self.labels.tolist():
            raise ValueError(
                "The scaler was fitted on other units: select the same, in the same order."
            )
        data = recording.data
        scaled = (data - xr.DataArray(self.mean, dims="unit")) / xr.DataArray(
            self.deviation, dims="unit"
        )
        done = step("scale", self.learned)
        out = data.copy(data=scaled.transpose(*data.dims).values)
        return replace(
            recording, data=out, unit="z", history=(*recording.history, done), spikes=None
        )


def _groups(recording: Recording, by: str, block, gap) -> tuple[Recording, np.ndarray]:
    _free(recording)
    if by == "time":
        if block is None:
            raise ValueError(
                "by='time' needs block= (s): blocks are held out whole, as neighbouring samples are alike."
            )
        cut = segment.blocks(recording, block)
        if gap:
            cut = cut.select(time=(gap, block - gap))
        return cut, np.arange(cut.shape[0])
    if by == "trial":
        return recording, np.arange(recording.shape[0])
    coords = recording.data.coords
    if by not in coords or coords[by].dims != ("trial",):
        have = [c for c, v in coords.items() if v.dims == ("trial",)]
        raise ValueError(
            f"The trials have no column {by!r}: they have {', '.join(have)}, and 'time'."
        )
    return recording, coords[by].values


def _free(recording: Recording) -> None:
    """Refuse to split what is a test part, or what learned from all of itself."""
    if recording.split is not None and recording.split.part != "train":
        raise ValueError(
            f"This is a leak: the recording is the {recording.split}; only a training part is split again."
        )
    for done in recording.history:
        if done.learned == "all":
            raise ValueError(
                f"This is a leak: {done} saw all of the recording, the test part too. Split first, then fit "
                "on 'train'."
            )


def _parts(recording: Recording, chosen: dict[str, np.ndarray], how: str) -> Parts:
    _apart(recording, chosen["train"], chosen["test"])
    outer = "" if recording.split is None else f"{recording.split.of}/"
    numbers = recording.data["trial"].values
    code = np.zeros(len(numbers), int)
    for i, keep in enumerate(chosen.values()):
        code[keep] = i + 1
    mark = outer + _digest(how, code)
    made = {
        name: replace(recording.select(trials=numbers[keep]), split=Split(name, mark))
        for name, keep in chosen.items()
        if keep.any()
    }
    return Parts(made["train"], made.get("valid"), made["test"])


def _apart(recording: Recording, train: np.ndarray, test: np.ndarray) -> None:
    """Refuse windows of one stretch of data that overlap across the parts."""
    coords = recording.data.coords
    begin = next((coords[c].values for c in ("begin", "onset") if c in coords), None)
    if begin is None or "from_trial" not in coords:
        return
    width = recording.shape[1] / recording.rate
    where = list(zip(*(coords[c].values.tolist() for c in _ORIGIN if c in coords), strict=True))
    rows: dict[tuple, list[int]] = {}
    for i, key in enumerate(where):
        rows.setdefault(key, []).append(i)
    for of in rows.values():
        order = np.array(of)[np.argsort(begin[of], kind="stable")]
        near = np.diff(begin[order]) < width - 0.5 / recording.rate
        mixed = (train[order][1:] & test[order][:-1]) | (test[order][1:] & train[order][:-1])
        if (near & mixed).any():
            at = float(begin[order][1:][near & mixed][0])
            raise ValueError(
                f"This is a leak: the windows of trials overlap across train and test (at {at:g} s), so "
                "that the same samples are in both. Split by='from_trial', by a block or session, or cut "
                "without overlap."
            )


_ORIGIN = ("from_recording", "from_trial", "run", "session", "subject")


def _digest(how: str, code: np.ndarray) -> str:
    return hashlib.sha256(how.encode() + np.ascontiguousarray(code).tobytes()).hexdigest()[:8]


def _full(recording: Recording) -> Any:
    from .recording import _stretch

    full = _stretch(recording.mask, recording.data)
    return np.ones(recording.shape, bool) if full is None else full
