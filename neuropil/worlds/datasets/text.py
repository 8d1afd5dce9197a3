"""Texts as streams of characters."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int


@dataclass(frozen=True)
class Text:
    """A text in parts that never overlap; what learns sees "train" alone.

    >>> text = Text({"train": "abba", "valid": "b", "test": "ax"}, {})
    >>> codes, symbols = text.codes(2)
    >>> codes["train"].tolist(), codes["test"].tolist(), symbols
    ([1, 2, 2, 1], [1, 0], ('?', 'a', 'b'))
    """

    parts: dict[str, str]
    about: dict[str, str]

    def codes(self, size: int) -> tuple[dict[str, Int[np.ndarray, " n"]], tuple[str, ...]]:
        """Every part as numbers 0..size, and the symbols: the `size` most frequent characters of "train",
        from 1 on in alphabetical order; 0 is any other character.

        Raises ValueError for a size below 1.
        """
        if size < 1:
            raise ValueError(f"Text.codes: size = {size}; keep 1 character or more")
        common = sorted(c for c, _ in Counter(self.parts["train"]).most_common(size))
        number = {c: k + 1 for k, c in enumerate(common)}
        codes = {
            name: np.fromiter((number.get(c, 0) for c in part), np.int32, len(part))
            for name, part in self.parts.items()
        }
        return codes, ("?", *common)


def load_text(name: str, paths: dict[str, Path], about: dict[str, str]) -> Text:
    """A registered text: tiny-shakespeare by 90, 5 and 5 %; WikiText-2's validation part by 95 and 5 %, and
    its test part."""
    read = lambda file: paths[file].read_text(encoding="utf-8")
    if name == "tiny-shakespeare":
        whole = read("input.txt")
        a, b = round(0.9 * len(whole)), round(0.95 * len(whole))
        return Text({"train": whole[:a], "valid": whole[a:b], "test": whole[b:]}, about)
    whole = read("valid.txt")
    a = round(0.95 * len(whole))
    return Text({"train": whole[:a], "valid": whole[a:], "test": read("test.txt")}, about)
