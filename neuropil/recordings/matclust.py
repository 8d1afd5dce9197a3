"""Two file formats of tetrode laboratories: MatClust's nested `.mat` and video position tracking."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

_TYPES = {"uint8": "<u1", "uint16": "<u2", "uint32": "<u4", "int16": "<i2", "int32": "<i4"}


@dataclass(frozen=True)
class Spikes:
    """Spike times (s) of sorted units: unit 0, 1, ... of each spike, tetrode and cluster of each
    unit, and the time range (s) that was recorded."""

    times: Float[np.ndarray, " spike"]
    units: Int[np.ndarray, " spike"]
    tetrode: Int[np.ndarray, " unit"]
    cluster: Int[np.ndarray, " unit"]
    span: tuple[float, float]

    @property
    def labels(self) -> list[str]:
        """ "tetrode.cluster", both counted from 0."""
        return [f"{t}.{c}" for t, c in zip(self.tetrode, self.cluster, strict=True)]


@dataclass(frozen=True)
class Track:
    """Video position: time (s) and x, y in pixels of a picture of `resolution` (width, height)."""

    time: Float[np.ndarray, " frame"]
    x: Float[np.ndarray, " frame"]
    y: Float[np.ndarray, " frame"]
    resolution: tuple[int, int]


def read_spikes(path: str | Path) -> Spikes:
    """Units with at least one spike from a MatClust file.

    Cells `spikes{day}{epoch}{tetrode}{cluster}` (the outer ones may be missing) of structs with the
    fields time, timerange. ValueError where the file is not of that form."""
    from scipy.io import loadmat

    path = Path(path)
    try:
        nested = loadmat(path)["spikes"]
    except Exception as err:  # scipy raises a different kind for every way a file can be broken
        raise ValueError(
            f"{path} is not a MATLAB file with a variable 'spikes' ({err}): this reads MatClust "
            "units only."
        ) from err
    found = [(where, unit) for where, unit in _structs(nested) if unit["time"].size]
    if not found:
        raise ValueError(f"{path} holds no unit with a spike: is it another file?")
    epochs = {where[:-2] for where, _ in found}
    if len(epochs) > 1 or len(found[0][0]) < 2:
        raise ValueError(
            f"{path} holds {len(epochs)} epochs: this reads one, as spikes{{tetrode}}{{cluster}}."
        )
    times = [np.ravel(unit["time"]).astype(float) for _, unit in found]
    units = np.repeat(np.arange(len(times)), [len(t) for t in times])
    tetrode, cluster = np.array([where[-2:] for where, _ in found]).T
    ends = np.array([np.ravel(unit["timerange"]) for _, unit in found], float)
    span = (float(ends[:, 0].min()), float(ends[:, 1].max()))
    return Spikes(np.concatenate(times), units, tetrode, cluster, span)


def _structs(cell: np.ndarray, where: tuple[int, ...] = ()):
    """(indices, struct) of every struct with a field `time` in nested cells, level by level."""
    if cell.dtype.names:
        if {"time", "timerange"} <= set(cell.dtype.names) and cell.size:
            yield where, cell.ravel()[0]
    elif cell.dtype == object:
        for i, inner in enumerate(cell.ravel()):
            if isinstance(inner, np.ndarray):
                yield from _structs(inner, (*where, i))


def read_positions(path: str | Path) -> Track:
    """A `.videoPositionTracking` file: a text header that names clock rate and fields, then
    little-endian records. ValueError where the header is missing or the last record is cut."""
    path = Path(path)
    raw = path.read_bytes()
    head, mark, body = raw.partition(b"<End settings>\n")
    if not mark or not head.startswith(b"<Start settings>"):
        raise ValueError(f"{path} has no <Start settings> header: is it a position file?")
    settings = dict(
        line.split(":", 1) for line in head.decode("ascii", "replace").splitlines() if ":" in line
    )
    fields = [f.strip(" <>").split() for f in settings["Fields"].split("><")]
    record = np.dtype([(name, _TYPES[kind]) for name, kind in fields])
    if len(body) % record.itemsize:
        raise ValueError(
            f"{path} is cut short: {len(body)} bytes are no multiple of {record.itemsize}."
        )
    table = np.frombuffer(body, record)
    width, height = settings["camera resolution"].split("x")
    return Track(
        table["time"] / float(settings["clockrate"]),
        table["xloc"].astype(float),
        table["yloc"].astype(float),
        (int(width), int(height)),
    )
