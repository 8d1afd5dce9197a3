"""Neurodata Without Borders: units, electrical series, ROI responses, behaviour, trials, by pynwb."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .lazy import Lazy
from .recording import Recording

_CLASH = {"trial", "time", "unit"}


def open_nwb(
    path: Path, of: str | None = None, *, rate: float | int | None = None, trials: bool = False
) -> Recording:
    """One thing of an NWB file as a recording: "units" (spikes counted at `rate` bins a second, 1000), or a
    series by its name ("ElectricalSeries", "RoiResponseSeries"; "module/container/series" where a name is
    there twice). `of=None`: the units where there are some, else the only series; ValueError lists
    what there is.

    The file stays open and series stay on disk. The trial table becomes events (label "trial", or the column
    `condition` or `trial_type`), its other columns kept; `trials=True` cuts at them instead, masked where
    short. Units' and electrodes' columns become the units' columns; their positions (um) are kept; a series
    with a conversion is given in its SI unit (V for electrical series). `about` holds licence, subject,
    session.
    """
    return from_nwb(opened(path), path, of, rate=rate, trials=trials)


def from_nwb(
    file: Any,
    path: Path,
    of: str | None = None,
    *,
    rate: float | int | None = None,
    trials: bool = False,
) -> Recording:
    """`open_nwb` of an `NWBFile` that is open already."""
    found = contents(file)
    names = list(found)
    if of is None:
        if "units" not in found and len(names) != 1:
            raise ValueError(f"{path.name} holds {', '.join(names) or 'no series'}: choose by of=.")
        of = "units" if "units" in found else names[0]
    if of not in found:
        ends = [n for n in names if n.rsplit("/", 1)[-1] == of]
        if len(ends) != 1:
            said = f"several {of!r}" if ends else f"no {of!r}"
            raise ValueError(f"{path.name} holds {said}: choose among {', '.join(names)}.")
        of = ends[0]
    about = _about(file, path, of)
    table = trial_table(file)
    if of == "units":
        out = _units(file, path, 1000.0 if rate is None else rate, _events(table), about)
    else:
        if rate is not None and found[of].rate is not None:
            raise ValueError(f"{of} has a rate of its own: read it, then resample.")
        out = _series(found[of], path, rate, _events(table), about)
    return cut_at(out, table) if trials else out


def contents(file: Any) -> dict[str, Any]:
    """Name -> units table or time series of an open `NWBFile`; the short name where it is unlike."""
    from pynwb import TimeSeries

    found: dict[str, Any] = {}
    if file.units is not None and "spike_times" in file.units.colnames:
        found["units"] = file.units
    for obj in file.objects.values():
        if isinstance(obj, TimeSeries) and np.ndim(obj.data) in (1, 2) and obj.data is not None:
            parts, at = [obj.name], obj.parent
            while at is not None and at is not file:
                parts.append(at.name)
                at = at.parent
            found["/".join(reversed(parts))] = obj
    short: dict[str, list[str]] = {}
    for name in found:
        short.setdefault(name.rsplit("/", 1)[-1], []).append(name)
    return {(s if len(full) == 1 else f): found[f] for s, full in short.items() for f in full}


def trial_table(file: Any) -> pd.DataFrame | None:
    """The trials with start and stop in seconds. ValueError: a trial that stops before it starts."""
    if file.trials is None or not len(file.trials):
        return None
    table = file.trials.to_dataframe()
    length = table["stop_time"] - table["start_time"]
    if (length < 0).any() or not np.isfinite(length).all():
        at = int(np.argmax(~(length >= 0).to_numpy()))
        raise ValueError(
            f"Trial {at} starts at {table['start_time'].iloc[at]:g} s and stops at "
            f"{table['stop_time'].iloc[at]:g} s: repair the trial table."
        )
    return table.reset_index(drop=True)


def _events(table: pd.DataFrame | None) -> pd.DataFrame | None:
    if table is None:
        return None
    named = next((c for c in ("condition", "trial_type", "label") if c in table), None)
    keep = {
        c: _column(v)
        for c, v in table.items()
        if c not in ("start_time", "stop_time", "timeseries")
    }
    out = pd.DataFrame({k: v for k, v in keep.items() if v is not None and k not in _CLASH})
    out["onset"], out["duration"] = table["start_time"], table["stop_time"] - table["start_time"]
    out["label"] = "trial" if named is None else table[named].astype(str)
    return out


def cut_at(recording: Recording, table: pd.DataFrame | None) -> Recording:
    """Trials from start_time to stop_time, time counted from each start, short ones masked. ValueError: there
    is no trial table, or a trial of no length."""
    if table is None:
        raise ValueError("The file has no trials: read it without trials=True.")
    time = recording.data["time"].values
    low = np.searchsorted(time, table["start_time"].to_numpy() - 1e-9)
    high = np.searchsorted(time, table["stop_time"].to_numpy() - 1e-9)
    if (high <= low).any():
        at = int(np.argmax(high <= low))
        raise ValueError(
            f"Trial {at} ({table['start_time'].iloc[at]:g}..{table['stop_time'].iloc[at]:g} s) holds no "
            "sample: leave it out of the trial table."
        )
    source, n = recording.data, int((high - low).max())

    def read(trials: slice, times: slice, units: slice) -> np.ndarray:
        out = np.zeros([s.stop - s.start for s in (trials, times, units)], source.dtype)
        for row, t in zip(out, range(trials.start, trials.stop), strict=True):
            end = min(low[t] + times.stop, high[t])
            first = low[t] + times.start
            if end > first:
                row[: end - first] = source[0, first:end, units].values
        return out

    columns = {c: _column(v) for c, v in table.items() if c != "timeseries" and c not in _CLASH}
    short = np.arange(n) < (high - low)[:, None]
    return Recording.from_array(
        Lazy((len(table), n, recording.shape[2]), source.dtype, read),
        rate=recording.rate,
        unit=recording.unit,
        labels=source["unit"].values,
        mask=None if short.all() else short,
        trials={c: v for c, v in columns.items() if v is not None},
        columns={
            c: v.values for c, v in source.coords.items() if v.dims == ("unit",) and c != "unit"
        },
        positions=recording.positions,
        positions_unit=recording.positions_unit,
        about=dict(recording.about),
    )


def _units(file, path: Path, rate, events, about) -> Recording:
    units = file.units
    trains = [np.asarray(units["spike_times"][i], float) for i in range(len(units))]
    labels = np.asarray(units.id[:])
    for label, train in zip(labels, trains, strict=True):
        if len(train) and not (np.isfinite(train).all() and (np.diff(train) >= 0).all()):
            raise ValueError(
                f"The spike times of unit {label} in {path.name} are not in order or not finite: sort them "
                "and write the file again."
            )
    spans = [t[[0, -1]] for t in trains if len(t)]
    if not spans:
        raise ValueError(f"No unit of {path.name} has a spike.")
    low, high = min(s[0] for s in spans), max(s[1] for s in spans)
    if "obs_intervals" in units.colnames:
        seen = np.concatenate([np.asarray(units["obs_intervals"][i]) for i in range(len(units))])
        low, high = min(low, seen.min()), max(high, seen.max())
    if events is not None:
        low = min(low, events["onset"].min())
        high = max(high, (events["onset"] + events["duration"]).max())
    if low < 0:
        about["before"] = f"the first spike lies {-low:g} s before the session's reference time"
    first = np.floor(low * rate) / rate
    times = np.concatenate(trains)
    columns = {
        c: _column(units[c][:])
        for c in units.colnames
        if c not in ("spike_times", "obs_intervals", "electrodes", "waveforms", *_CLASH)
        and not c.startswith("waveform")
    }
    positions = None
    if "electrodes" in units.colnames:
        tables = [units["electrodes"][i] for i in range(len(units))]
        if all(len(t) and {"x", "y", "z"} <= set(t.columns) for t in tables):
            positions = np.array([t[["x", "y", "z"]].to_numpy(float).mean(0) for t in tables])
    order = np.argsort(times, kind="stable")
    return Recording.from_spikes(
        times[order],
        np.repeat(labels, [len(t) for t in trains])[order],
        rate=rate,
        start=float(first),
        stop=float(high) + 1 / rate,
        labels=labels,
        columns={c: v for c, v in columns.items() if v is not None},
        positions=positions,
        events=events,
        about=about,
    )


def _series(series, path: Path, rate, events, about) -> Recording:
    from pynwb.ecephys import ElectricalSeries
    from pynwb.ophys import RoiResponseSeries

    data = series.data
    n, width = data.shape[0], 1 if data.ndim == 1 else data.shape[1]
    scale, offset = float(series.conversion), float(series.offset or 0.0)
    per_channel = getattr(series, "channel_conversion", None)
    gain = scale * (np.ones(width) if per_channel is None else np.asarray(per_channel[:], float))
    plain = offset == 0 and (gain == 1).all()

    def read(trials: slice, times: slice, units: slice) -> np.ndarray:
        block = np.asarray(data[times] if data.ndim == 1 else data[times, units])
        block = block.reshape(len(block), -1)
        return (block if plain else block * gain[units] + offset)[None]

    stamps = None
    if series.rate is not None:
        hz, start = float(series.rate), float(series.starting_time or 0.0)
    else:
        stamps = np.asarray(series.timestamps[:], float)
        start = float(stamps[0])
        if rate is None:
            hz = 1 / float(np.median(np.diff(stamps)))
        else:
            from .tables import drift

            hz, stamps = float(rate), None
            about["clock"] = drift(np.asarray(series.timestamps[:], float), hz)
    labels, columns, positions = None, {}, None
    if isinstance(series, ElectricalSeries):
        table = series.electrodes.to_dataframe()
        labels = table.index.to_numpy()
        columns = {c: _column(v) for c, v in table.items() if c not in ("group", *_CLASH)}
        if {"x", "y", "z"} <= set(table.columns):
            positions = table[["x", "y", "z"]].to_numpy(float)
        unit = "V"
    elif isinstance(series, RoiResponseSeries):
        rois = series.rois.to_dataframe()
        labels = rois.index.to_numpy()
        centres = [_centre(row) for _, row in rois.iterrows()]
        positions = None if any(c is None for c in centres) else np.array(centres)
        unit = series.unit
    else:
        unit = str(series.unit)
        if width in (1, 2, 3) and type(series).__name__ == "SpatialSeries":
            labels = list("xyz"[:width])
    dtype = data.dtype if plain else np.float64
    return Recording.from_array(
        Lazy((1, n, width), np.dtype(dtype), read),
        rate=hz,
        unit=unit,
        labels=labels,
        time=stamps,
        start=start,
        columns={c: v for c, v in columns.items() if v is not None},
        positions=positions,
        positions_unit="px" if isinstance(series, RoiResponseSeries) else "um",
        events=events,
        about=about,
    )


def _centre(roi) -> np.ndarray | None:
    """(x, y) centre of a ROI's pixel or image mask."""
    if "pixel_mask" in roi and len(roi["pixel_mask"]):
        mask = np.array([tuple(p)[:3] for p in roi["pixel_mask"]], float)
        return (mask[:, :2] * mask[:, 2:]).sum(0) / mask[:, 2].sum()
    if "image_mask" in roi and np.asarray(roi["image_mask"]).any():
        mask = np.asarray(roi["image_mask"], float)
        grid = np.indices(mask.shape)
        return np.array([(g * mask).sum() for g in grid[:2]]) / mask.sum()
    return None


def _column(values) -> np.ndarray | None:
    """A column of numbers or text; None for what is neither (references, ragged)."""
    values = np.asarray(list(values), dtype=object)
    if values.ndim != 1:
        return None
    kinds = {type(v) for v in values}
    if kinds <= {str}:
        return values.astype(str)
    if all(issubclass(k, bool | np.bool_) for k in kinds):
        return values.astype(bool)
    if all(issubclass(k, int | float | np.number) for k in kinds):
        return np.array(values.tolist())
    return None


def _about(file, path: Path, of: str) -> dict[str, str]:
    about = {"source": f"{path.name}, {of}", "session": str(file.identifier)}
    about |= {"session_start": file.session_start_time.isoformat()}
    if file.subject is not None:
        for name in ("subject_id", "species", "age", "sex"):
            if getattr(file.subject, name, None):
                about["subject" if name == "subject_id" else name] = str(
                    getattr(file.subject, name)
                )
    if file.session_description:
        about["description"] = str(file.session_description)
    return about


def opened(path: Path) -> Any:
    """The `NWBFile`, open for reading. ValueError: it is broken, in one line."""
    try:
        from pynwb import NWBHDF5IO
    except ImportError as err:
        raise ImportError("NWB files need pynwb: pip install neuropil[recordings]") from err
    try:
        return NWBHDF5IO(str(path), "r", load_namespaces=True).read()
    except Exception as err:  # h5py and hdmf fail in their own ways on a broken file
        short = " ".join(str(err).split())[:200]
        raise ValueError(f"{path.name} is not a sound NWB file ({short}): fetch it again.") from err
