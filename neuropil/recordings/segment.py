"""Cutting a recording into trials: around events, or into blocks of equal length."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from .lazy import Lazy, is_lazy
from .provenance import step
from .recording import Recording


def epochs(
    recording: Recording,
    tmin: float | int,
    tmax: float | int,
    *,
    labels: str | Sequence[str] | None = None,
    baseline: tuple[float | int, float | int] | None = None,
) -> Recording:
    """A trial for each event: tmin <= t < tmax seconds around its onset, at the nearest sample.

    `labels`: which events (all); the column `label` of the trials holds it, beside `onset`, `from_trial`,
    the other columns of the events and those of the trial that the event lies in. `baseline` (from, to):
    the mean over this window of each trial and unit is subtracted. An event whose window leaves its trial
    or touches a masked sample makes no trial; how many is written in the history ("dropped").

    Lazy data stay lazy. ValueError: no such label, no event whose window fits, an empty window.

    >>> import numpy as np
    >>> rec = Recording.from_array(np.arange(10.0)[None, :, None], rate=10.0, unit="uV",
    ...                            events={"onset": [0.2, 0.6], "label": ["go", "go"]})
    >>> epochs(rec, -0.1, 0.2).to_numpy()[:, :, 0].tolist()
    [[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]]
    """
    rate, table = recording.rate, recording.events
    before, n = round(tmin * rate), round(tmax * rate) - round(tmin * rate)
    if n < 1:
        raise ValueError(f"The window {tmin}..{tmax} s holds no sample at {rate:g} Hz: widen it.")
    if labels is not None:
        wanted = np.atleast_1d(labels)
        missing = sorted(set(wanted.tolist()) - set(table["label"]))
        if missing:
            have = ", ".join(sorted(map(str, set(table["label"]))))
            raise ValueError(f"No event has the label {missing[0]!r}: there are {have or 'none'}.")
        table = table[table["label"].isin(wanted)]
    if not len(table):
        raise ValueError("The recording has no events: add them, or cut it by blocks().")
    time = recording.data["time"].values
    numbers = recording.data["trial"].values
    row = np.searchsorted(numbers, table["trial"].to_numpy(), sorter=np.argsort(numbers))
    row = np.argsort(numbers)[row]
    onset = table["onset"].to_numpy(float)
    at = np.searchsorted(time, onset - 0.5 / rate)  # the nearest sample
    low = at + before
    fits = (low >= 0) & (low + n <= len(time))
    mask = recording.mask
    if mask is not None:
        valid = mask.all([d for d in ("unit",) if d in mask.dims]).values
        valid = (
            np.broadcast_to(valid, (len(numbers), len(time))) if valid.ndim == 2 else valid[:, None]
        )
        valid = np.broadcast_to(valid, (len(numbers), len(time)))
        fits[fits] = [valid[r, k : k + n].all() for r, k in zip(row[fits], low[fits], strict=True)]
    if not fits.any():
        raise ValueError(
            f"None of the {len(fits)} events has all of {tmin}..{tmax} s within its trial: narrow the window."
        )
    row, low, table = row[fits], low[fits], table[fits].reset_index(drop=True)
    columns = {c: v.values[row] for c, v in recording.data.coords.items() if v.dims == ("trial",)}
    columns["from_trial"] = columns.pop("trial")
    columns |= {
        c: table[c].to_numpy() for c in table if c not in ("trial", "duration", "time", "unit")
    }
    out = _cut(recording, row, low, n, (before + np.arange(n)) / rate, columns)
    events = pd.DataFrame(
        {
            "onset": 0.0,
            "duration": table["duration"],
            "label": table["label"],
            "trial": np.arange(len(row)),
        }
    )
    dropped = int((~fits).sum())
    done = step("epochs", tmin=tmin, tmax=tmax, labels=labels, dropped=dropped)
    out = replace(out, events=events, history=(*recording.history, done))
    return out if baseline is None else _based(out, baseline)


def blocks(
    recording: Recording, width: float | int, *, step_by: float | int | None = None
) -> Recording:
    """Every trial cut into blocks of `width` seconds, each a trial with time from 0 and the columns
    `from_trial` and `begin` (s); `step_by` seconds from one to the next (`width`: side by side). Blocks
    that touch a masked sample, and a last short one, are left out (the history says how many).

    ValueError: a width longer than every trial.
    """
    rate = recording.rate
    n, hop = round(width * rate), round((width if step_by is None else step_by) * rate)
    if n < 1 or hop < 1 or n > recording.shape[1]:
        raise ValueError(
            f"Blocks of {width} s every {step_by or width} s do not fit {recording.shape[1] / rate:g} s."
        )
    starts = np.arange(0, recording.shape[1] - n + 1, hop)
    row, low = (
        a.ravel() for a in np.meshgrid(np.arange(recording.shape[0]), starts, indexing="ij")
    )
    if recording.mask is not None:
        mask = recording.mask
        valid = mask.all([d for d in ("unit",) if d in mask.dims])
        valid = valid.broadcast_like(recording.data.isel(unit=0, drop=True)).values
        keep = np.array([valid[r, k : k + n].all() for r, k in zip(row, low, strict=True)])
        if not keep.any():
            raise ValueError(f"No block of {width} s is free of masked samples: use shorter ones.")
        dropped = int((~keep).sum())
        row, low = row[keep], low[keep]
    else:
        dropped = 0
    columns = {c: v.values[row] for c, v in recording.data.coords.items() if v.dims == ("trial",)}
    columns["from_trial"] = columns.pop("trial")
    columns["begin"] = recording.data["time"].values[low]
    out = _cut(recording, row, low, n, np.arange(n) / rate, columns)
    table = recording.events
    parts = []
    for k, (trial, begin) in enumerate(zip(columns["from_trial"], columns["begin"], strict=True)):
        inside = (
            (table["trial"] == trial) & (table["onset"] >= begin) & (table["onset"] < begin + width)
        )
        parts.append(table[inside].assign(onset=table["onset"][inside] - begin, trial=k))
    events = pd.concat(parts, ignore_index=True) if parts else table.iloc[:0]
    done = step("blocks", width=width, step_by=step_by, dropped=dropped)
    return replace(out, events=events, history=(*recording.history, done))


def _cut(recording, row, low, n: int, time, columns) -> Recording:
    """The windows low..low + n of the trials `row`, read when asked for."""
    source = recording.data

    def read(trials: slice, times: slice, units: slice) -> np.ndarray:
        chosen = range(trials.start, trials.stop)
        span = times.stop - times.start
        out = np.empty((len(chosen), span, units.stop - units.start), source.dtype)
        for to, k in enumerate(chosen):
            first = low[k] + times.start
            out[to] = source[int(row[k]), first : first + span, units].values
        return out

    shape = (len(row), n, recording.shape[2])
    data = Lazy(shape, source.dtype, read)
    of_units = {
        c: v.values for c, v in source.coords.items() if v.dims == ("unit",) and c != "unit"
    }
    made = Recording.from_array(
        data if is_lazy(source) else np.asarray(read(*(slice(0, s) for s in shape))),
        rate=recording.rate,
        unit=recording.unit,
        labels=source["unit"].values,
        time=time,
        trials=columns,
        columns=of_units,
        positions=recording.positions,
        positions_unit=recording.positions_unit,
        about={k: v for k, v in recording.about.items() if k not in ("mne", "mne_baseline")},
        mask=_unit_mask(recording, row),
    )
    return replace(made, history=recording.history, split=recording.split)


def _unit_mask(recording: Recording, row: np.ndarray):
    """A mask without time (a unit that was not recorded in a trial) goes along; one with time was used up."""
    mask = recording.mask
    if mask is None or "time" in mask.dims:
        return None
    full = mask.broadcast_like(recording.data.isel(time=0, drop=True)).transpose("trial", "unit")
    return full.values[row][:, None, :]


def _based(recording: Recording, window: tuple[float, float]) -> Recording:
    low, high = (round(t * recording.rate) for t in window)
    first = round(float(recording.data["time"].values[0]) * recording.rate)
    if not 0 <= low - first < high - first <= recording.shape[1]:
        raise ValueError(f"The baseline {window} s does not lie within the trials.")
    values = recording.data.values.astype(float)
    values = values - values[:, low - first : high - first].mean(1, keepdims=True)
    done = step("baseline", window=list(window))
    data = recording.data.copy(data=values)
    return replace(recording, data=data, history=(*recording.history, done))
