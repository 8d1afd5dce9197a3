"""Spikes of an artificial cochlea in the HDF5 form of the Heidelberg sets (SHD, SSC): many trials."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from ..lazy import Lazy
from ..recording import Recording
from .events import Events

CHANNELS = 700
_CELLS = 2**24  # values counted at a time
_TRIALS = 64  # read at a time


@final
@dataclass(frozen=True, eq=False, repr=False)
class SpikeTrials:
    """Labelled spike trains in an HDF5 file; spikes are read when asked for, trial by trial.

    The file holds `spikes/times` (seconds) and `spikes/units`, one list a trial, and `labels`; words
    (`extra/keys`) and speakers (`extra/speaker`) where it names them. `labels`: int64; `words[label]`;
    `speakers`: int64 or None; `channels`: how many units there are.

    Made by `open_trials(path)`. Source of the format: Cramer, Stradmann, Schemmel, Zenke (2022), IEEE
    TNNLS 33:2744.
    """

    path: Path
    labels: np.ndarray
    words: tuple[str, ...]
    speakers: np.ndarray | None
    channels: int = CHANNELS

    def __len__(self) -> int:
        return len(self.labels)

    def trial(self, i: int) -> Events:
        """Spikes of one trial: t in microseconds, x the channel, sorted. IndexError beyond the last."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"There is no trial {i}: {self.path.name} has {len(self)}.")
        _, times, units = next(self._read([i % len(self)]))
        return Events.of(
            times * 1e6,
            units,
            np.zeros(len(units), int),
            np.ones(len(units), bool),
            size=(self.channels, 1),
            source=self.path.name,
            sort=True,
        )

    def counts(
        self,
        dt: float | int = 10.0,
        bins: int = 100,
        *,
        pool: int = 1,
        trials: Sequence[int] | np.ndarray | None = None,
    ) -> np.ndarray:
        """Spike counts (trial, bin, channel // pool), uint8 (255 stands for more).

        Bin k holds the spikes with k dt <= t < (k + 1) dt, `dt` in ms; later ones are left out.
        `pool`: neighbouring channels that are summed (5 makes 140 of 700). `trials`: which, in this
        order (all). ValueError: dt or bins not positive, a pool that does not divide the channels.
        """
        if not dt > 0 or bins < 1:
            raise ValueError(
                f"SpikeTrials.counts: dt = {dt} ms and bins = {bins} must be positive."
            )
        if pool < 1 or self.channels % pool:
            raise ValueError(
                f"SpikeTrials.counts: pool = {pool} does not divide the {self.channels} channels."
            )
        chosen = np.arange(len(self)) if trials is None else np.asarray(trials, int)
        wide = self.channels // pool
        out = np.zeros((len(chosen), bins, wide), np.uint8)
        block = max(1, min(_TRIALS, _CELLS // (bins * wide)))
        for low in range(0, len(chosen), block):
            part = out[low : low + block]
            total = np.zeros(part.shape, np.int32)
            for k, times, units in self._read(chosen[low : low + block]):
                # a hundredth of a percent of a bin forgives the rounding of decimal times
                at = np.floor(times / (dt / 1000) + 1e-4).astype(np.int64)
                keep = at < bins
                np.add.at(total[k], (at[keep], units[keep] // pool), 1)
            np.minimum(total, 255, out=total)
            part[:] = total
        return out

    def recording(self, rate: float | int = 100.0, stop: float | None = None) -> Recording:
        """All trials as one lazy `Recording` (trial, time, channel) of counts at `rate` bins per second,
        with the column `label` (and `speaker`); `stop` in seconds (None: looks for the last spike of
        the file, which reads it once)."""
        if stop is None:
            every = self._read(range(len(self)))
            stop = max((float(t.max()) for _, t, _ in every if len(t)), default=0.0) + 1e-6
        bins = max(1, int(np.ceil(stop * rate - 1e-6)))

        def read(trials: slice, times: slice, units: slice) -> np.ndarray:
            chosen = np.arange(trials.start, trials.stop)
            return self.counts(1000 / rate, times.stop, trials=chosen)[:, times, units]

        columns: dict[str, Any] = {"label": self.labels}
        if self.speakers is not None:
            columns["speaker"] = self.speakers
        return Recording.from_array(
            Lazy((len(self), bins, self.channels), np.int32, read),
            rate=rate,
            unit="spikes",
            trials=columns,
            about={"source": self.path.name},
        )

    def _read(self, trials) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """(number in `trials`, times in seconds, channels) of each; blocks bound the memory."""
        h5py = h5py_()
        trials = np.asarray(trials, int)
        with h5py.File(self.path, "r") as file:
            times, units = file["spikes/times"], file["spikes/units"]
            for k, i in enumerate(trials):
                yield k, *self._sound(int(i), times[int(i)], units[int(i)])

    def _sound(self, i: int, times, units) -> tuple[np.ndarray, np.ndarray]:
        times, units = np.asarray(times, np.float64), np.asarray(units, np.int64)
        say = f"Trial {i} of {self.path.name}"
        if len(times) != len(units):
            raise ValueError(
                f"{say} has {len(times)} times but {len(units)} units: fetch it again."
            )
        if len(times) and not (np.isfinite(times).all() and times.min() >= 0):
            raise ValueError(f"{say} has a time that is negative or no number: fetch it again.")
        if len(units) and not 0 <= units.min() <= units.max() < self.channels:
            raise ValueError(
                f"{say} has units {units.min()}..{units.max()}, but there are {self.channels} channels: "
                "give channels=."
            )
        return times, units

    def __repr__(self) -> str:
        return f"SpikeTrials({self.path.name}: {len(self)} trials, {self.channels} channels)"


def open_trials(path: str | Path, channels: int = CHANNELS) -> SpikeTrials:
    """The trials in an SHD or SSC file. Only labels are read now.

    Errors: FileNotFoundError; ValueError for a file that is cut short, no HDF5, or lacks the parts
    named in `SpikeTrials`; ImportError without h5py (`pip install neuropil[events]`).

    >>> import tempfile, h5py
    >>> path = Path(tempfile.mkdtemp()) / "two.h5"
    >>> with h5py.File(path, "w") as f:
    ...     times = f.create_dataset("spikes/times", 2, h5py.vlen_dtype("f4"))
    ...     units = f.create_dataset("spikes/units", 2, h5py.vlen_dtype("u2"))
    ...     times[0], units[0], f["labels"] = [0.012, 0.013], [7, 9], [4, 1]
    >>> trials = open_trials(path)
    >>> trials.labels.tolist(), trials.counts(dt=10.0, bins=3, pool=5)[:, :, 1].tolist()
    ([4, 1], [[0, 2, 0], [0, 0, 0]])
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}: check the path.")
    h5py = h5py_()
    try:
        with h5py.File(path, "r") as file:
            missing = [n for n in ("spikes/times", "spikes/units", "labels") if n not in file]
            if missing:
                raise ValueError(
                    f"{path.name} has no {' and no '.join(missing)}: it is no file of spike trials in "
                    "the form of SHD."
                )
            labels = np.asarray(file["labels"], np.int64)
            lengths = {len(labels), len(file["spikes/times"]), len(file["spikes/units"])}
            words = file["extra/keys"][()] if "extra/keys" in file else ()
            speakers = file["extra/speaker"][()] if "extra/speaker" in file else None
    except OSError as err:
        raise ValueError(f"{path.name} is not a sound HDF5 file ({err}): fetch it again.") from err
    if len(lengths) > 1 or not len(labels):
        raise ValueError(
            f"{path.name} has {sorted(lengths)} labels and spike trains: there must be one of each a trial."
        )
    words = tuple(w.decode() if isinstance(w, bytes) else str(w) for w in words)
    if labels.min() < 0 or (words and labels.max() >= len(words)):
        raise ValueError(
            f"{path.name} has labels {labels.min()}..{labels.max()} but {len(words)} words: fetch it again."
        )
    speakers = (
        None if speakers is None or len(speakers) != len(labels) else speakers.astype(np.int64)
    )
    return SpikeTrials(path, labels, words, speakers, channels)


def h5py_():
    """The library, or an ImportError that says how to get it."""
    try:
        import h5py
    except ImportError as err:
        raise ImportError("HDF5 files need h5py: pip install neuropil[events]") from err
    return h5py
