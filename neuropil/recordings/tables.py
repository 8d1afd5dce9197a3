"""Tables of samples: a column of times and a column for each unit."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .recording import Recording

TIMES = ("timestamps", "timestamp", "time", "time_s", "t")
"""Names under which a column of seconds is known."""


def open_table(
    path: Path,
    *,
    rate: float | int | None = None,
    unit: str | None = None,
    columns: Any = None,
    like: str | None = None,
    time: str | None = None,
) -> Recording:
    """A `.csv` or `.tsv` (also gzipped) with a header: one trial, a unit a column.

    `time`: the column with seconds (one of `TIMES` where it is not named; with `rate` none is needed).
    Columns that begin with "unit_" are spike counts and are taken alone unless `columns` or `like` (a
    beginning of names) asks for others; a column "Marker0" makes events. `unit`: the unit of measure.
    ValueError: no times and no rate, a column that holds text, an unknown column.
    """
    table = _read(path)
    known = time or next((c for c in table if str(c).strip().lower() in TIMES), None)
    if time is not None and time not in table:
        raise ValueError(f"{path.name} has no column {time!r}: it has {', '.join(table)}.")
    if known is None and rate is None:
        raise ValueError(
            f"{path.name} has no column of times ({', '.join(TIMES)}): name it by time=, or give rate=."
        )
    values = [c for c in table if c != known]
    markers = [c for c in values if str(c).lower().startswith("marker")]
    events = None
    seconds, start, said = None, 0.0, {}
    if known is not None:
        seconds = table[known].to_numpy(float)
        if rate is not None:  # the samples count, not the clock that stamped them
            start, said = float(seconds[0]), {"clock": drift(seconds, float(rate))}
            seconds = None
        elif (np.diff(seconds) <= 0).any():
            back = int((np.diff(seconds) <= 0).sum())
            raise ValueError(
                f"The times of {path.name} stand still or run back {back} times (samples that came in packets "
                "are stamped so): give rate= to count samples instead, or sort the table."
            )
        else:
            rate = 1 / float(np.median(np.diff(seconds)))
    clock = seconds if seconds is not None else start + np.arange(len(table)) / float(rate or 1)
    if markers:
        code = table[markers[0]].to_numpy()
        at = np.flatnonzero(np.nan_to_num(code) > 0)
        events = {"onset": clock[at], "duration": 0.0, "label": code[at].astype(int).astype(str)}
    units = [c for c in values if c.startswith("unit_")]
    if columns is not None:
        missing = [c for c in np.atleast_1d(columns).tolist() if c not in table]
        if missing:
            raise ValueError(
                f"{path.name} has no column {missing[0]!r}: it has {', '.join(table)}."
            )
        chosen = np.atleast_1d(columns).tolist()
    elif like is not None:
        chosen = [c for c in values if c.startswith(like)]
    else:
        chosen = units or [c for c in values if c not in markers]
    if not chosen:
        raise ValueError(f"{path.name} has no column to read: it has {', '.join(table)}.")
    for c in chosen:
        if table[c].dtype.kind not in "biuf":
            raise ValueError(
                f"The column {c!r} of {path.name} holds text: leave it out by columns=."
            )
    spikes = set(chosen) <= set(units)
    data = table[chosen].to_numpy()
    if spikes:
        data = data.astype(np.int32)
    return Recording.from_array(
        data[None],
        rate=float(rate or 1),
        unit="spikes" if spikes else unit or "unknown",
        time=seconds,
        start=start,
        labels=[str(c) for c in chosen],
        events=events,
        about={"source": path.name, **said},
    )


def drift(stamps: np.ndarray, rate: float) -> str:
    """How far a clock that stamped samples runs from their count, in words."""
    span = float(stamps[-1] - stamps[0])
    real = (len(stamps) - 1) / span if span > 0 else float("nan")
    off = (len(stamps) - 1) / rate - span
    return f"counted at {rate:g} Hz; the stamps say {real:.4f} Hz, {off:+.3f} s at the end"


def open_events(path: str | Path) -> pd.DataFrame:
    """An event table (BIDS `*_events.tsv`, or any table with onset and trial_type or label) with the columns
    of `Recording.events`: onset (s), duration (s), label, trial; others are kept.

    ValueError: no onset, text for a number, a negative duration.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a_events.tsv"
    >>> _ = path.write_text("onset\\tduration\\ttrial_type\\n0.5\\tn/a\\tgo\\n")
    >>> open_events(path)[["onset", "duration", "label"]].values.tolist()
    [[0.5, 0.0, 'go']]
    """
    table = _read(Path(path), na_values=["n/a"])
    if "onset" not in table:
        raise ValueError(f"{Path(path).name} has no column 'onset': it has {', '.join(table)}.")
    if "label" not in table:
        named = next((c for c in ("trial_type", "value", "event", "code") if c in table), None)
        table["label"] = "event" if named is None else table[named].astype(str)
    table["duration"] = table["duration"].fillna(0.0) if "duration" in table else 0.0
    return table


def _read(path: Path, **options: Any) -> pd.DataFrame:
    sep = "\t" if ".tsv" in path.name.lower() else ","
    try:
        table = pd.read_csv(path, sep=sep, compression="infer", **options)
    except (OSError, EOFError, ValueError, UnicodeDecodeError) as err:
        short = " ".join(str(err).split())[:150]
        raise ValueError(f"{path.name} is not a sound table ({short}): fetch it again.") from err
    if not len(table):
        raise ValueError(f"{path.name} has a header and no row: fetch it again.")
    return table.rename(columns=str)
