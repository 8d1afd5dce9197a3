"""The Neural Latents Benchmark: its files as recordings, and a submission from predicted rates."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from neuropil.recordings import Recording, Split
from neuropil.recordings.lazy import Lazy
from neuropil.recordings.nwb import from_nwb, opened, trial_table


class Window(NamedTuple):
    """A trial of the benchmark: from `low` to `high` ms around the trials' column `align`; the `behaviour`
    lags the spikes by `lag` ms; `forward` ms after the end are to be predicted too."""

    align: str
    low: int
    high: int
    behaviour: str
    lag: int
    forward: int = 200


WINDOWS: dict[str, Window] = {
    "mc_maze": Window("move_onset_time", -250, 450, "hand_vel", 100),
    "mc_rtt": Window("start_time", 0, 600, "finger_vel", 140),
    "area2_bump": Window("move_onset_time", -100, 500, "hand_vel", -20),
    "dmfc_rsg": Window("go_time", -1500, 0, "", 0),
    "mc_maze_large": Window("move_onset_time", -250, 450, "hand_vel", 120),
    "mc_maze_medium": Window("move_onset_time", -250, 450, "hand_vel", 120),
    "mc_maze_small": Window("move_onset_time", -250, 450, "hand_vel", 120),
}
"""Data set -> its window, as in the benchmark's `make_tensors`."""

TENSORS = (
    "train_rates_heldin",
    "train_rates_heldout",
    "eval_rates_heldin",
    "eval_rates_heldout",
    "eval_rates_heldin_forward",
    "eval_rates_heldout_forward",
)
"""What a submission holds of each data set; the two forward ones may be left out."""


def load_nlb(
    path: str | Path,
    name: str,
    *,
    part: str = "train",
    bin_ms: float | int = 5,
    forward: bool = False,
) -> Recording:
    """Spike counts (trial, bin, unit) of one NWB file of the benchmark, cut as it cuts them.

    `part`: the trials whose column `split` says "train", "val" or "test" (a split that neuropil keeps, so that
    nothing is fitted on the last two). The units' column `heldout` tells the units to predict from those
    that are given. `forward`: the window goes on for the 200 ms that are predicted from the past. Bins that
    the file did not observe are masked. ValueError: no such part, a file without the benchmark's columns.
    """
    path = Path(path)
    if name not in WINDOWS:
        raise ValueError(f"{name!r} is no set of the benchmark: choose among {', '.join(WINDOWS)}.")
    window = WINDOWS[name]
    file = opened(path)
    table = trial_table(file)
    missing = [c for c in ("split", window.align) if table is None or c not in table]
    if missing or file.units is None or "heldout" not in file.units.colnames:
        raise ValueError(
            f"{path.name} has no column {missing[0] if missing else 'heldout'!r}: is it a file of {name}?"
        )
    rows = table[(table["split"] == part) & table[window.align].notna()]
    if not len(rows):
        have = ", ".join(sorted(set(table["split"].astype(str))))
        raise ValueError(f"{path.name} has no trial of the part {part!r}: it has {have}.")
    whole = from_nwb(file, path, "units", rate=1000 / bin_ms)
    origin, rate = float(whole.data["time"].values[0]), whole.rate
    n = round((window.high - window.low + (window.forward if forward else 0)) / bin_ms)
    begin = np.round(
        (rows[window.align].to_numpy(float) + window.low / 1000 - origin) * rate
    ).astype(int)
    source, last = whole.data, whole.shape[1]

    def read(trials: slice, times: slice, units: slice) -> np.ndarray:
        out = np.zeros([s.stop - s.start for s in (trials, times, units)], np.int32)
        for row, b in zip(out, begin[trials], strict=True):
            low, high = max(b + times.start, 0), min(b + times.stop, last)
            if high > low:
                row[low - b - times.start : high - b - times.start] = source[
                    0, low:high, units
                ].values
        return out

    kept = {c: rows[c].to_numpy() for c in rows if c not in ("timeseries", "trial", "time", "unit")}
    columns = {c: v for c, v in kept.items() if v.dtype.kind in "biuf"}
    columns |= {c: v.astype(str) for c, v in kept.items() if v.dtype.kind not in "biuf"}
    at = begin[:, None] + np.arange(n)
    inside = (at >= 0) & (at < last)
    out = Recording.from_array(
        Lazy((len(rows), n, whole.shape[2]), np.int32, read),
        rate=rate,
        unit="spikes",
        labels=source["unit"].values,
        start=window.low / 1000,
        mask=None if inside.all() else inside,
        trials={"trial": rows.index.to_numpy(), **columns},
        columns={
            c: v.values for c, v in source.coords.items() if v.dims == ("unit",) and c != "unit"
        },
        about={**whole.about, "source": f"{name}, {part}"},
    )
    role = {"train": "train", "val": "valid", "test": "test"}.get(part, part)
    return replace(out, split=Split(role, f"nlb-{name}"))


def submission(
    path: str | Path, rates: Mapping[str, Mapping[str, np.ndarray]], *, bin_ms: int = 5
) -> Path:
    """Write a submission (HDF5) of predicted rates in spikes per bin: {data set: {tensor of `TENSORS`: array}}.

    A group for each set ("mc_maze", or "mc_maze_20" at bins of 20 ms), float32, as the benchmark's
    `save_to_h5`. ValueError: a set or tensor that does not exist, one that is missing, rates that are
    negative, NaN or 0 for a whole unit (their likelihood is 0), trials, bins or units that do not agree. The
    file is whole or not there.

    >>> import tempfile
    >>> rates = {k: np.full((2, 140, 3 if "heldin" in k else 1), 0.02) for k in TENSORS[:4]}
    >>> submission(Path(tempfile.mkdtemp()) / "mine.h5", {"mc_maze": rates}).name
    'mine.h5'
    """
    import h5py

    if bin_ms not in (5, 20):
        raise ValueError(f"The benchmark takes bins of 5 or 20 ms, not {bin_ms}.")
    path = Path(path)
    for name, tensors in rates.items():
        _sound(name, tensors, bin_ms)
    part = path.with_name(path.name + ".part")
    with h5py.File(part, "w") as file:
        for name, tensors in rates.items():
            group = file.create_group(name if bin_ms == 5 else f"{name}_20")
            for key in TENSORS:
                if key in tensors:
                    values = np.asarray(tensors[key], np.float32)
                    group.create_dataset(key, data=values, compression="gzip")
    part.replace(path)
    return path


def _sound(name: str, tensors: Mapping[str, Any], bin_ms: int) -> None:
    if name not in WINDOWS:
        raise ValueError(f"{name!r} is no set of the benchmark: choose among {', '.join(WINDOWS)}.")
    strange = [k for k in tensors if k not in TENSORS]
    missing = [k for k in TENSORS[:4] if k not in tensors]
    if strange or missing:
        what = f"no tensor {strange[0]!r}" if strange else f"{missing[0]!r}, which is missing"
        raise ValueError(f"A submission of {name} has {what}: it holds {', '.join(TENSORS)}.")
    window = WINDOWS[name]
    for key, values in tensors.items():
        a = np.asarray(values)
        span = window.forward if key.endswith("forward") else window.high - window.low
        if a.ndim != 3 or a.shape[1] != span // bin_ms:
            raise ValueError(
                f"{key} of {name} has shape {a.shape}: give (trial, {span // bin_ms} bins of {bin_ms} ms, "
                "unit)."
            )
        if not (np.isfinite(a).all() and (a >= 0).all()):
            raise ValueError(f"{key} of {name} holds rates that are negative or no number.")
        if (a.reshape(-1, a.shape[2]).max(0) == 0).any():
            raise ValueError(
                f"{key} of {name} has a unit whose rate is always 0: any spike of it has likelihood 0; "
                "predict a "
                "small rate instead."
            )
    shapes = {k: np.shape(v) for k, v in tensors.items()}
    for side in ("heldin", "heldout"):
        n = {s[2] for k, s in shapes.items() if side in k}
        if len(n) > 1:
            raise ValueError(
                f"The {side} tensors of {name} have {sorted(n)} units: they must agree."
            )
    for role in ("train", "eval"):
        n = {s[0] for k, s in shapes.items() if k.startswith(role)}
        if len(n) > 1:
            raise ValueError(
                f"The {role} tensors of {name} have {sorted(n)} trials: they must agree."
            )
