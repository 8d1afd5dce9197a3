"""Prophesee RAW files: the word streams EVT 2 (32 bits) and EVT 3 (16 bits), decoded block by block.

Source: Prophesee's documentation of the formats. A decoder keeps between blocks what the stream says
once (time, row, start of a vector); everything within a block is array work.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .formats import Clock, Size, _records, header


def raw(path: Path, block: int, size: Size | None) -> Iterator[Any]:
    """The size of the sensor, then blocks (t, x, y, polarity) of at most `block` words each."""
    with path.open("rb") as file:
        head = header(file, b"%")
        found = re.search(r"(?:evt |format evt)(\d(?:\.\d)?)", head)
        if found is None:
            raise ValueError(
                f"{path.name} has no header with an EVT version: it is no Prophesee RAW file."
            )
        version = found[1].removesuffix(".0")
        if version not in ("2", "3"):
            raise ValueError(f"{path.name} is EVT {found[1]}: EVT 2 and EVT 3 are read.")
        yield size or _size(head, path)
        decoder, word = (Evt2(), "<u4") if version == "2" else (Evt3(), "<u2")
        for words in _records(file, np.dtype(word), block, path):
            yield decoder(words)


def _size(head: str, path: Path) -> Size:
    """From `geometry WxH`, from `height=H;width=W`, or from the plugin's name (generation 3 or 4)."""
    found = re.search(r"geometry\s+(\d+)x(\d+)", head)
    if found:
        return int(found[1]), int(found[2])
    wide, high = re.search(r"width[= ](\d+)", head), re.search(r"height[= ](\d+)", head)
    if wide and high:
        return int(wide[1]), int(high[1])
    generation = re.search(r"gen(\d)", head)
    known = {"3": (640, 480), "4": (1280, 720)}
    if generation and generation[1] in known:
        return known[generation[1]]
    raise ValueError(
        f"{path.name} does not say how large its sensor is: give size=(width, height)."
    )


class _Latest:
    """The latest value of a kind of word at every word of a block; -1 before there was any."""

    def __init__(self):
        self.value = -1

    def __call__(self, is_kind: np.ndarray, values: np.ndarray) -> np.ndarray:
        place = np.maximum.accumulate(np.where(is_kind, np.arange(len(is_kind)), -1))
        out = np.where(place >= 0, values[place], self.value)
        self.value = int(out[-1])
        return out


class Evt2:
    """EVT 2: kind in the 4 upper bits; 0 OFF, 1 ON (time 6 bits, x 11, y 11), 8 upper 28 bits of time.
    Events before the first time are left out, as are triggers and what else there is."""

    def __init__(self):
        self.clock, self.high = Clock(28), _Latest()

    def __call__(self, words: np.ndarray):
        w = words.astype(np.int64)
        kind = w >> 28
        is_high = kind == 8
        values = np.zeros(len(w), np.int64)
        values[is_high] = self.clock(w[is_high] & (1 << 28) - 1)
        high = self.high(is_high, values)
        real = (kind <= 1) & (high >= 0)
        w, high = w[real], high[real]
        return high << 6 | w >> 22 & 63, w >> 11 & 2047, w & 2047, (w >> 28) == 1


class Evt3:
    """EVT 3: kind in the 4 upper bits; 0 row, 2 event at x (bit 11 ON), 3 start of a vector, 4 and 5
    the next 12 or 8 pixels of it (a bit each), 6 and 8 the lower and upper 12 bits of time.

    A new upper time sets the lower to 0 until it is told. Events before the first time are left out.
    """

    def __init__(self):
        self.clock = Clock(12)
        self.time, self.row, self.start, self.on = (_Latest() for _ in range(4))
        self.high = _Latest()
        self.gone = 0  # pixels told since the vector's start

    def __call__(self, words: np.ndarray):
        w = words.astype(np.int64)
        kind, value = w >> 12, w & 4095
        is_high = kind == 8
        highs = np.zeros(len(w), np.int64)
        highs[is_high] = self.clock(value[is_high])
        before = self.high.value
        high = self.high(is_high, highs)
        new = is_high & (high != np.concatenate([[before], high[:-1]]))
        low = kind == 6
        t = self.time(new | (low & (high >= 0)), np.where(low, high << 12 | value, high << 12))
        y = self.row(kind == 0, value & 2047)
        base = kind == 3
        start = self.start(base, value & 2047)
        on = self.on(base, value >> 11)
        told = np.where(kind == 4, 12, np.where(kind == 5, 8, 0))
        sofar = np.cumsum(told) - told  # before each word
        since = np.maximum.accumulate(np.where(base, np.arange(len(w)), -1))
        gone = sofar - np.where(since >= 0, sofar[since], -self.gone)
        self.gone = int(gone[-1] + told[-1])
        single = np.flatnonzero(kind == 2)
        vector = np.flatnonzero(told)
        bits = value[vector, None] >> np.arange(12) & (np.arange(12) < told[vector, None])
        row, bit = np.nonzero(bits)
        many = vector[row]
        word = np.concatenate([single, many])
        x = np.concatenate([value[single] & 2047, start[many] + gone[many] + bit])
        p = np.concatenate([value[single] >> 11, on[many]]) == 1
        order = np.argsort(word, kind="stable")
        word, x, p = word[order], x[order], p[order]
        real = (t[word] >= 0) & (y[word] >= 0)
        word = word[real]
        return t[word], x[real], y[word], p[real]
