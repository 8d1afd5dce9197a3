"""The nematode C. elegans: synapses as edge lists (Cook 2019, White 1986), calcium of named neurons."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from neuropil.recordings import Recording


@dataclass(frozen=True)
class Worm:
    """Two reconstructions of the hermaphrodite as tables with the columns pre, post, type, synapses.

    `cook` also holds muscles and glia; `neurons` are the 300 of `white` that have synapses onto others in
    `cook`. Numbered cells are written without zeros (VB1). `type` is "chemical" or "electrical"; an
    electrical row is a gap junction as listed, not made symmetric. `neuropil.wiring.from_table` makes
    wiring of a table.
    """

    cook: pd.DataFrame
    white: pd.DataFrame
    about: dict[str, str]

    @property
    def neurons(self) -> tuple[str, ...]:
        """Names of the neurons, sorted (without CANL and CANR, which have no synapses)."""
        cells = set(self.white["pre"]) | set(self.white["post"])
        return tuple(sorted(cells & set(self.cook["pre"])))

    def __repr__(self) -> str:
        return f"Worm(Cook: {len(self.cook)} rows, White: {len(self.white)} rows)"


def load_worm(paths: dict[str, Path], about: dict[str, str]) -> Worm:
    """From the two files; ValueError where columns are missing."""
    cook = pd.read_csv(paths["herm_full_edgelist.csv"], skipinitialspace=True)
    cook = cook.rename(
        columns={"Source": "pre", "Target": "post", "Type": "type", "Weight": "synapses"}
    )
    white = pd.read_csv(paths["aconnectome_white_1986_whole.csv"], sep="\t")
    for name, table in (("Cook", cook), ("White", white)):
        missing = {"pre", "post", "type", "synapses"} - set(table.columns)
        if missing:
            raise ValueError(f"The table of {name} has no column {', '.join(sorted(missing))}.")
        for column in ("pre", "post", "type"):
            table[column] = table[column].str.strip()
        for column in ("pre", "post"):  # VB01 in one table, VB1 in the other
            table[column] = table[column].str.replace(r"^([A-Z]+)0+(\d)", r"\1\2", regex=True)
    return Worm(cook, white, about)


def load_calcium(path: Path, about: dict[str, str]) -> Recording:
    """One trial of all frames, evenly spaced at the median step; units by name (VB2, not VB02)."""
    with np.load(path) as held:
        missing = {"trace_z", "time_s", "neuron"} - set(held)
        if missing:
            raise ValueError(f"{path.name} has no {', '.join(sorted(missing))}")
        traces, seconds, names = held["trace_z"], held["time_s"], held["neuron"]
    labels = pd.Series(names).str.replace(r"^([A-Z]+)0+(\d)", r"\1\2", regex=True)
    return Recording.from_array(
        traces.T[None],
        rate=1 / float(np.median(np.diff(seconds))),
        unit="z-score",
        labels=list(labels),
        about=about,
    )
