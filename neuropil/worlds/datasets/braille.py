"""Braille letters under a robot's fingertip: 12 pressure sensors (taxels) that slide over a letter."""

from __future__ import annotations

import gzip
import pickletools
import string
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

LETTERS = ("Space", *string.ascii_uppercase)
STEPS = 76


@dataclass(frozen=True)
class Braille:
    """1,350 passes over 27 symbols, 50 of each, in the order of `letters`.

    `taxel`: raw readings, lower is pressed, 255 is untouched; the length of a step is not published.
    `label`: index into `letters`. Passes of 77 steps are cut to 76.
    """

    taxel: UInt8[np.ndarray, "pass 76 12"]
    label: Int[np.ndarray, " pass"]
    letters: tuple[str, ...]
    about: dict[str, str]

    def pick(self, *letters: str) -> tuple[np.ndarray, np.ndarray]:
        """Readings (pass, 76, 12) and labels 0, 1, ... of some letters, in the order given.

        Raises ValueError for a letter that is none.
        """
        unknown = [name for name in letters if name not in self.letters]
        if unknown or not letters:
            raise ValueError(f"letters {unknown or 'none'}; there are {', '.join(self.letters)}")
        rows = [np.flatnonzero(self.label == self.letters.index(name)) for name in letters]
        labels = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
        return self.taxel[np.concatenate(rows)], labels

    def __repr__(self) -> str:
        return f"Braille({len(self.label)} passes over {len(self.letters)} symbols, 76 steps x 12 taxels)"


def load_braille(paths: dict[str, Path], about: dict[str, str]) -> Braille:
    """From the published file, or from its converted form. ValueError where a file is neither."""
    path = next(iter(paths.values()))
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as z:
            taxel, label, letters = z["taxel"], z["label"].astype(np.int64), z["letters"]
        return Braille(taxel, label, tuple(str(name) for name in letters), about)
    taxel, label = _from_opcodes(gzip.decompress(path.read_bytes()), path)
    return Braille(taxel, label, LETTERS, about)


def _from_opcodes(raw: bytes, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The arrays of the published file, a pickled list of dictionaries, without unpickling it: its opcodes
    are parsed, never run. Each pass is one block of float64; a letter is spelt out at its first pass."""
    taxel, label, letter = [], [], None
    for opcode, value, _ in pickletools.genops(raw):
        if opcode.name == "SHORT_BINUNICODE" and value in LETTERS:
            letter = LETTERS.index(value)
        elif opcode.name == "BINBYTES":
            readings = np.frombuffer(value, "<f8").reshape(-1, 12)[:STEPS]
            if letter is None or len(readings) != STEPS:
                raise ValueError(f"{path} is not the published file of Braille letters.")
            taxel.append(readings.astype(np.uint8))
            label.append(letter)
    if len(taxel) != 50 * len(LETTERS):
        raise ValueError(
            f"{path} holds {len(taxel)} passes where {50 * len(LETTERS)} are expected."
        )
    return np.stack(taxel), np.asarray(label)
