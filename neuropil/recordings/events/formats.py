"""Formats of event files that NumPy reads: N-MNIST `.bin`, Prophesee `.dat`, AEDAT 2.

Each reader is a generator: the size of the sensor first, then blocks (t, x, y, polarity) of at most
`block` events, read as they are asked for. Times are microseconds, counters that overflow are unrolled.

Ours because they are short and stream: Tonic reads most of these formats whole and brings numba and
librosa; on the samples expelliarmus (C) and faery (Rust) give the same events.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

Block = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Size = tuple[int, int]


def nmnist(path: Path, block: int, size: Size | None) -> Iterator[Any]:
    """5 bytes an event: x, y, polarity (1 bit) and time (23 bits, big-endian). An event with y = 240 is
    none: it says that the clock went on by 2^13 us. Source: Orchard et al. (2015) Front. Neurosci. 9:437
    and its reader."""
    yield size or (34, 34)
    offset = 0
    with path.open("rb") as file:
        for raw in _records(file, np.dtype((np.uint8, 5)), block, path):
            x, y = raw[:, 0].astype(np.int16), raw[:, 1].astype(np.int16)
            t = (
                (raw[:, 2].astype(np.int64) & 127) << 16
                | raw[:, 3].astype(np.int64) << 8
                | raw[:, 4]
            )
            mark = y == 240
            t += offset + (np.cumsum(mark) << 13)
            offset += int(mark.sum()) << 13
            real = ~mark
            yield t[real], x[real], y[real], (raw[:, 2] > 127)[real]


def dat(path: Path, block: int, size: Size | None) -> Iterator[Any]:
    """Prophesee DAT: a text header of lines with %, event type and size (1 byte each), then 32 bits of
    time and 32 of address: x, y, polarity in 14, 14, 4 bits (version 2) or 9, 8, 1 (version 1).
    Without a width in the header the sensor is the ATIS (304 x 240), whose files have none."""
    with path.open("rb") as file:
        head = header(file, b"%")
        kind = file.read(2)
        if not head or len(kind) < 2 or kind[1] != 8:
            raise ValueError(
                f"{path.name} is no Prophesee DAT file (a header of lines with % and events of 8 bytes): "
                "is it another format?"
            )
        version = _number(head, r"version\s+(\d+)") or 1
        if version not in (1, 2):
            raise ValueError(f"{path.name} is DAT version {version}: versions 1 and 2 are known.")
        wide, high = _number(head, r"width\s+(\d+)"), _number(head, r"height\s+(\d+)")
        yield size or (wide or 304, high or 240)
        bits = (14, 14) if version == 2 else (9, 8)
        clock = Clock(32)
        for raw in _records(file, np.dtype([("t", "<u4"), ("a", "<u4")]), block, path):
            a = raw["a"].astype(np.int64)
            x, y = a & (1 << bits[0]) - 1, a >> bits[0] & (1 << bits[1]) - 1
            yield clock(raw["t"].astype(np.int64)), x, y, (a >> sum(bits) & 1) == 1


def aedat2(path: Path, block: int, size: Size | None) -> Iterator[Any]:
    """jAER's AEDAT 2: a text header of lines with #, then big-endian pairs of address and time (32
    bits, microseconds). Cameras: DVS128 (x 7 bits from bit 1, y 7 from 8, bit 0 set for OFF) and the
    DAVIS family (x 10 from 12, y 9 from 22, bit 11 set for ON; bit 31 set is a frame or motion sample and
    bit 10 a trigger: left out). x and y are the addresses as they stand in the file.

    Source: the file format pages of iniVation and jAER's chip classes.
    """
    with path.open("rb") as file:
        head = header(file, b"#")
        if not head.startswith("#!aer-dat2"):
            raise ValueError(
                f"{path.name} does not begin with #!AER-DAT2: it is no AEDAT 2 file (AEDAT 4 has the "
                "suffix .aedat4; versions 1 and 3 are not read)."
            )
        davis = re.search(r"davis\D{0,6}(\d{3})", head)
        if not davis and "dvs128" not in head:
            raise ValueError(
                f"{path.name} names neither a DAVIS nor a DVS128 as its chip: only their addresses are known."
            )
        sizes = {"208": (208, 192), "240": (240, 180), "346": (346, 260), "640": (640, 480)}
        found = sizes.get(davis[1]) if davis else (128, 128)
        if size is None and found is None:
            raise ValueError(f"{path.name} is of a DAVIS{davis[1]}: say size=(width, height).")
        yield size or found
        clock = Clock(32)
        for raw in _records(file, np.dtype([("a", ">u4"), ("t", ">u4")]), block, path):
            a, t = raw["a"].astype(np.int64), clock(raw["t"].astype(np.int64))
            if davis:
                real = a & (1 << 31 | 1 << 10) == 0
                a, t = a[real], t[real]
                yield t, a >> 12 & 1023, a >> 22 & 511, (a >> 11 & 1) == 1
            else:
                yield t, a >> 1 & 127, a >> 8 & 127, (a & 1) == 0


class Clock:
    """Unrolls a counter of some bits: a fall by more than half its range is an overflow.

    >>> clock = Clock(4)
    >>> clock(np.array([14, 15, 1])).tolist(), clock(np.array([3, 0])).tolist()
    ([14, 15, 17], [19, 16])
    """

    def __init__(self, bits: int):
        self.range, self.base, self.last = 1 << bits, 0, None

    def __call__(self, t: np.ndarray) -> np.ndarray:
        if not len(t):
            return t
        before = np.concatenate([[t[0] if self.last is None else self.last], t[:-1]])
        turns = np.cumsum(before - t > self.range // 2) * self.range + self.base
        self.base, self.last = int(turns[-1]), int(t[-1])
        return t + turns


def header(file: BinaryIO, mark: bytes) -> str:
    """The lines at the beginning that start with `mark`, in lower case; the file stands after them."""
    lines = []
    while True:
        here = file.tell()
        if file.read(1) != mark:
            file.seek(here)
            return "".join(lines)
        lines.append((mark + file.readline(65536)).decode("latin-1").lower())
        if lines[-1].strip() in ("% end", "%end"):
            return "".join(lines)


def _records(file: BinaryIO, dtype: np.dtype, block: int, path: Path) -> Iterator[np.ndarray]:
    """Blocks of whole records until the end of the file. ValueError where bytes are left over."""
    each = dtype.itemsize
    while raw := file.read(block * each):
        if left := len(raw) % each:
            raise ValueError(
                f"{path.name} is cut short: {left} bytes are left after its last whole event of {each}."
            )
        yield np.frombuffer(raw, dtype)


def _number(head: str, pattern: str) -> int | None:
    found = re.search(pattern, head)
    return int(found[1]) if found else None
