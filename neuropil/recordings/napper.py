"""pynapple's time series and intervals to a `Recording` and back, losing nothing."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from . import checks
from .recording import Recording


def pynapple():
    """The library, or an ImportError that says how to get it."""
    try:
        import pynapple
    except ImportError as err:
        raise ImportError("This needs pynapple: pip install neuropil[spikes]") from err
    return pynapple


def from_pynapple(
    series: Any, *, rate: float | int | None = None, unit: str = "unknown", events: Any = None
) -> Recording:
    """A `TsGroup`, `Tsd` or `TsdFrame` as a recording of one trial.

    `TsGroup`: spike counts at `rate` bins a second (1000), the exact times in `.spikes`; `Tsd`, `TsdFrame`:
    their samples at their times (`rate`: by the median step). Metadata become columns of the units; what lies
    outside the time support is masked, and the support is kept. `events`: an `IntervalSet`, as events.
    TypeError: another object.

    >>> import pynapple as nap, numpy as np
    >>> group = nap.TsGroup({3: nap.Ts(np.array([0.1, 0.25]))}, time_support=nap.IntervalSet(0.0, 0.5))
    >>> from_pynapple(group, rate=10.0).to_numpy()[0, :, 0].tolist()
    [0, 1, 1, 0, 0]
    """
    nap = pynapple()
    if not isinstance(series, nap.TsGroup | nap.Tsd | nap.TsdFrame):
        raise TypeError(
            f"from_pynapple takes a TsGroup, Tsd or TsdFrame, not a {type(series).__name__}."
        )
    support = series.time_support
    about = {
        "source": f"pynapple {type(series).__name__}",
        "pynapple": type(series).__name__,
        "pynapple_support": json.dumps(support.values.tolist()),
    }
    more = {"events": None if events is None else events_of(events), "about": about}
    if isinstance(series, nap.TsGroup):
        hz = 1000.0 if rate is None else float(rate)
        low, high = float(support.start[0]), float(support.end[-1])
        times = np.concatenate([series[i].t for i in series.index])
        units = np.repeat(series.index, [len(series[i]) for i in series.index])
        order = np.argsort(times, kind="stable")
        n = max(1, int(np.ceil((high - low) * hz - 1e-6)))
        begins = low + np.arange(n) / hz
        inside = np.zeros(n, bool)
        for a, b in support.values:  # a bin counts as recorded only where all of it was
            inside |= (begins >= a - 1e-9) & (begins + 1 / hz <= b + 1e-6 / hz)
        inside[-1] |= begins[-1] < high  # the last bin may be short
        more["columns"] = _metadata(series, drop=("rate",))
        out = Recording.from_spikes(
            times[order], units[order], rate=hz, start=low, stop=high, labels=series.index, **more
        )
        return _spanned(out if inside.all() else _masked(out, inside))
    values = np.asarray(series.values)
    values = values[:, None] if values.ndim == 1 else values
    frame = isinstance(series, nap.TsdFrame)
    step = np.median(np.diff(series.t)) if len(series) > 1 else 1.0
    more["columns"] = _metadata(series) if frame else None
    made = Recording.from_array(
        values[None],
        rate=float(1 / step) if rate is None else rate,
        unit=unit,
        time=series.t,
        labels=np.asarray(list(series.columns)) if frame else None,
        mask=None if np.isfinite(values).all() else np.isfinite(values)[None],
        **more,
    )
    return _spanned(made)


def to_pynapple(recording: Recording, trial: Any = None) -> Any:
    """A `TsGroup` (exact spike times, where the recording has them) or a `TsdFrame` of one trial (`Tsd` where
    it came from one), with the columns of the units as metadata.

    Values that are masked are NaN. ValueError: several trials and none chosen; counts without spike times.
    """
    nap = pynapple()
    if trial is not None:
        recording = recording.select(trials=[trial])
    if recording.shape[0] != 1:
        raise ValueError(f"The recording has {recording.shape[0]} trials: choose one by trial=.")
    t = recording.data["time"].values
    number = int(recording.data["trial"].values[0])
    last = t[-1] + 1 / recording.rate
    kept = recording.about.get("pynapple_support")
    if kept is None:
        span = np.array([[t[0], last]])
    else:
        span = np.array(json.loads(kept))
        if json.loads(recording.about["pynapple_span"]) != [float(t[0]), len(t)]:
            span = np.clip(span, t[0], last)  # a part of what came
            span = span[span[:, 1] > span[:, 0]]
    support = nap.IntervalSet(span[:, 0], span[:, 1])
    coords = recording.data.coords
    metadata = {c: v.values for c, v in coords.items() if v.dims == ("unit",) and c != "unit"}
    labels = coords["unit"].values
    if recording.unit == "spikes":
        if recording.spikes is None:
            raise ValueError(
                "The recording holds counts, not spike times, so a TsGroup would invent times: build it by "
                "Recording.from_spikes."
            )
        keys = labels if labels.dtype.kind in "iu" else np.arange(len(labels))
        if labels.dtype.kind not in "iu":
            metadata["label"] = labels  # pynapple numbers its units
        group = {
            int(k): nap.Ts(recording.spikes.train(u, number), time_support=support)
            for k, u in zip(keys, labels, strict=True)
        }
        return nap.TsGroup(group, time_support=support, metadata=metadata or None)
    values = recording.to_numpy()[0]
    if recording.about.get("pynapple") == "Tsd" and values.shape[1] == 1:
        return nap.Tsd(t, values[:, 0], time_support=support)
    return nap.TsdFrame(t, values, columns=labels, time_support=support, metadata=metadata or None)


def events_of(intervals: Any, label: str = "label") -> pd.DataFrame:
    """An `IntervalSet` as events: onset, duration, the exact `end`, its metadata, `label` "interval" where it
    has none."""
    out = intervals.metadata.copy().reset_index(drop=True)
    out["onset"], out["end"] = intervals.start, intervals.end
    out["duration"] = intervals.end - intervals.start
    out["label"] = out[label].astype(str) if label in out else "interval"
    return out


def intervals_of(recording: Recording, labels: Any = None) -> Any:
    """The events (of these labels) as an `IntervalSet`, their other columns as metadata.

    ValueError: events without duration (pynapple has no empty interval), which are named.
    """
    table = recording.events
    if labels is not None:
        table = table[table["label"].isin(np.atleast_1d(labels))]
    empty = table["duration"] <= 0
    if empty.any():
        names = ", ".join(sorted(set(table["label"][empty].astype(str)))[:5])
        raise ValueError(
            f"{int(empty.sum())} events ({names}) have no duration, and pynapple has no empty interval: choose "
            "labels=, or make Ts of their onsets."
        )
    ends = table["end"] if "end" in table else table["onset"] + table["duration"]
    rest = {c: table[c].to_numpy() for c in table if c not in ("onset", "duration", "end", "trial")}
    return pynapple().IntervalSet(table["onset"].to_numpy(), ends.to_numpy(), metadata=rest or None)


def _spanned(recording: Recording) -> Recording:
    """With a note of where it begins and how long it is, by which a part is known from the whole."""
    t = recording.data["time"].values
    about = {**recording.about, "pynapple_span": json.dumps([float(t[0]), len(t)])}
    return replace(recording, about=about)


def _metadata(series, drop: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    table = series.metadata
    return {str(c): table[c].to_numpy() for c in table if c not in drop}


def _masked(recording: Recording, inside: np.ndarray) -> Recording:
    return replace(recording, mask=checks.mask(inside[None], recording.shape))
