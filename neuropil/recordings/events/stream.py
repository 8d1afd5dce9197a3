"""`stream_events`, `read_events`: event files in blocks, in time slices, or whole."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from . import evt, formats
from .events import Events
from .formats import Size


def _faery(path: Path, block: int, size: Size | None) -> Iterator[Any]:
    """AEDAT 4 and Event Stream, through faery, which reads packet by packet."""
    try:
        import faery
    except ImportError as err:
        raise ImportError(f"{path.suffix} files need faery: pip install neuropil[events]") from err
    try:
        stream = faery.events_stream_from_file(path)
        yield size or tuple(map(int, stream.dimensions()))
        for packet in stream:
            for low in range(0, len(packet), block):
                part = packet[low : low + block]
                yield part["t"].astype(np.int64), part["x"], part["y"], part["on"]
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except (
        BaseException
    ) as err:  # its Rust core raises plain Exception, and panics are not even that
        raise ValueError(
            f"{path.name} is no sound {path.suffix} file ({err}): fetch it again."
        ) from err


FORMATS: dict[str, Callable[[Path, int, Size | None], Iterator[Any]]] = {
    ".bin": formats.nmnist,
    ".dat": formats.dat,
    ".raw": evt.raw,
    ".aedat": formats.aedat2,
    ".aedat4": _faery,
    ".es": _faery,
}
"""Suffix -> generator of the size and of blocks. A new format is an entry here."""


@final
@dataclass(frozen=True, repr=False)
class EventStream:
    """Events of a file that is read as it is asked for: no more than `block` of its words, and what a
    time slice holds, are in memory at once. Iterating gives consecutive `Events`; every iteration
    starts at the beginning. The order of time is checked, across blocks too (ValueError)."""

    path: Path
    size: tuple[int, int]
    block: int

    def __iter__(self) -> Iterator[Events]:
        last = None
        read = FORMATS[self.path.suffix.lower()](self.path, self.block, self.size)
        next(read)
        for t, x, y, p in read:
            if not len(t):
                continue
            if last is not None and t[0] < last:
                raise ValueError(
                    f"Events of {self.path.name}: time runs backwards ({last} us, then {t[0]} us): read "
                    "it whole with read_events(path, sort=True)."
                )
            yield Events.of(t, x, y, p, size=self.size, source=self.path.name)
            last = int(t[-1])

    def slices(self, dt: int) -> Iterator[Events]:
        """Consecutive windows of `dt` microseconds from the first event on; an empty window gives empty
        `Events`. ValueError: dt < 1."""
        if dt < 1:
            raise ValueError(f"EventStream.slices: dt = {dt} us; it must be at least 1.")
        held: list[Events] = []
        end = 0
        for part in self:
            end = end or int(part.t[0]) + dt
            while part.t[-1] >= end:
                yield Events.join([*held, part.select(None, end)])
                held, part, end = [], part.select(end), end + dt
            held.append(part)
        if held:
            yield Events.join(held)

    def __repr__(self) -> str:
        return f"EventStream({self.path.name}: {self.size[0]} x {self.size[1]})"


def stream_events(
    path: str | Path, *, size: tuple[int, int] | None = None, block: int = 2**18
) -> EventStream:
    """The events of a file, block by block or in time slices; its suffix says the format (`FORMATS`).

    `.bin` N-MNIST, `.dat` and `.raw` Prophesee (DAT 1 and 2, EVT 2 and 3), `.aedat` AEDAT 2; `.aedat4`
    and `.es` through faery (`pip install neuropil[events]`). `size`: (width, height) where the file does
    not say it, or says it wrongly.

    Errors: FileNotFoundError; ValueError for an unknown suffix, another format, an unknown sensor; on
    reading, for a file that is cut short (Event Stream files do not tell), time that runs backwards,
    pixels off the sensor.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "three.bin"
    >>> _ = path.write_bytes(bytes([3, 5, 128, 0, 9, 3, 6, 0, 0, 20, 4, 6, 0, 0, 90]))
    >>> [len(part) for part in stream_events(path).slices(40)]
    [2, 0, 1]
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(
            f"{path.name} has the suffix {path.suffix or '(none)'!r}, which is no event format: known "
            f"are {', '.join(FORMATS)} (and .h5 through open_trials)."
        )
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}: check the path.")
    if block < 1:
        raise ValueError(f"stream_events: block = {block}; it must be at least 1.")
    if path.stat().st_size == 0:
        raise ValueError(f"{path.name} is empty: fetch it again.")
    found = next(FORMATS[path.suffix.lower()](path, block, size))
    return EventStream(path, (int(found[0]), int(found[1])), block)


def read_events(
    path: str | Path,
    *,
    size: tuple[int, int] | None = None,
    start: int | None = None,
    stop: int | None = None,
    sort: bool = False,
) -> Events:
    """The events of a file with start <= t < stop (microseconds; None: all), in memory.

    Formats, `size` and errors as `stream_events`; ValueError also where there is no event. `sort`: put
    events that are out of order into the order of time (stable), which needs the whole file.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "one.bin"
    >>> _ = path.write_bytes(bytes([3, 5, 128, 0, 9]))  # x, y, ON, 9 us
    >>> read_events(path)
    Events(1 event, 9..9 us, 100 % ON, 34 x 34; one.bin)
    """
    stream = stream_events(path, size=size)
    if sort:
        read = FORMATS[stream.path.suffix.lower()](stream.path, stream.block, stream.size)
        next(read)
        arrays = [np.concatenate(a) for a in zip(*read, strict=True)]
        if not arrays:
            raise ValueError(f"{stream.path.name} holds no events.")
        whole = Events.of(*arrays, size=stream.size, source=stream.path.name, sort=True)
        return whole.select(start, stop)
    parts = []
    for part in stream:
        if stop is not None and part.t[0] >= stop:
            break
        if start is None or part.t[-1] >= start:
            parts.append(part.select(start, stop))
    if not parts:
        span = "" if start is None and stop is None else f" in {start}..{stop} us"
        raise ValueError(f"{stream.path.name} holds no events{span}.")
    return Events.join(parts)
