"""Hippocampal units of two sessions with video position (nelpy example data)."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from neuropil.recordings import Recording
from neuropil.recordings.matclust import Spikes, Track, read_positions, read_spikes


@dataclass(frozen=True)
class Session:
    """Spike times of sorted units and the animal's position; all times in seconds of one clock.

    `x`, `y`: pixels of a 640 x 480 video at about 60 Hz (no scale in cm is known). `tetrode` of each
    unit. `span`: what was recorded. `epochs`: (label, start, stop), found by us, since the source
    labels none: "rest" is where the tracked point stood still to the pixel for a minute or more
    (the light was not seen), "run" the time between.
    """

    spike_times: Float[np.ndarray, " spike"]
    spike_units: Int[np.ndarray, " spike"]
    tetrode: Int[np.ndarray, " unit"]
    time: Float[np.ndarray, " frame"]
    x: Float[np.ndarray, " frame"]
    y: Float[np.ndarray, " frame"]
    span: tuple[float, float]
    epochs: tuple[tuple[str, float, float], ...]
    name: str
    about: dict[str, str]

    @property
    def units(self) -> int:
        """How many units there are."""
        return len(self.tetrode)

    def recording(
        self, rate: float | int, start: float | None = None, stop: float | None = None
    ) -> Recording:
        """Spike counts at `rate` bins per second as one trial from `start` to `stop` (seconds; the
        whole span), counted when read; the epochs are its events."""
        low = self.span[0] if start is None else start
        high = self.span[1] if stop is None else stop
        inside = (self.spike_times >= low) & (self.spike_times <= high)
        cut = [(name, max(a, low), min(b, high)) for name, a, b in self.epochs]
        events = [
            {"onset": a, "duration": b - a, "label": name, "trial": 0}
            for name, a, b in cut
            if b > a
        ]
        return Recording.from_spikes(
            self.spike_times[inside],
            self.spike_units[inside],
            rate=rate,
            start=float(low),
            stop=float(high),
            labels=list(range(self.units)),
            events=events or None,
            about=self.about,
        )

    def position(self, recording: Recording) -> Float[np.ndarray, "time 2"]:
        """x, y in pixels in the middle of each bin of a recording of this session, interpolated."""
        at = recording.data["time"].values + 0.5 / recording.rate
        return np.stack([np.interp(at, self.time, v) for v in (self.x, self.y)], axis=1)

    def __repr__(self) -> str:
        return (
            f"Session({self.name}: {self.units} units, {len(self.spike_times)} spikes, "
            f"{self.span[0]:.0f}..{self.span[1]:.0f} s)"
        )


def load_session(name: str, paths: dict[str, Path], about: dict[str, str]) -> Session:
    """From the original files, or from their converted form."""
    spikes_path = paths["spikes.mat"]
    track_path = paths["trajectory.videoPositionTracking"]
    spikes = _spikes_npz(spikes_path) if spikes_path.suffix == ".npz" else read_spikes(spikes_path)
    track = _track_npz(track_path) if track_path.suffix == ".npz" else read_positions(track_path)
    return Session(
        spike_times=spikes.times,
        spike_units=spikes.units,
        tetrode=spikes.tetrode,
        time=track.time,
        x=track.x,
        y=track.y,
        span=spikes.span,
        epochs=find_epochs(track.time, track.x, track.y),
        name=name,
        about=about,
    )


def find_epochs(
    time: np.ndarray, x: np.ndarray, y: np.ndarray, still: float = 60.0
) -> tuple[tuple[str, float, float], ...]:
    """ "rest" wherever x and y do not change at all for `still` seconds, "run" between.

    >>> t = np.arange(300.0)
    >>> find_epochs(t, np.minimum(t, 100), np.zeros(300))
    (('run', 0.0, 100.0), ('rest', 100.0, 299.0))
    """
    moved = np.flatnonzero((np.diff(x) != 0) | (np.diff(y) != 0)) + 1
    edges = np.concatenate([[0], moved, [len(time) - 1]])
    out, done = [], float(time[0])
    for low, high in pairwise(edges):
        a, b = float(time[low]), float(time[high])
        if b - a >= still:
            out += [("run", done, a)] if a > done else []
            out.append(("rest", a, b))
            done = b
    end = float(time[-1])
    return (*out, *((("run", done, end),) if end > done else ()))


def _spikes_npz(path: Path) -> Spikes:
    z = np.load(path, allow_pickle=False)
    times, units = z["spike_time"].astype(float), z["spike_unit"].astype(int)
    tetrode = z["unit_tetrode"].astype(int)
    cluster = np.full(len(tetrode), -1)  # not kept by the conversion
    return Spikes(times, units, tetrode, cluster, (float(times.min()), float(times.max())))


def _track_npz(path: Path) -> Track:
    z = np.load(path, allow_pickle=False)
    x, y = (z[k].astype(float) for k in ("pos_x_px", "pos_y_px"))
    return Track(z["pos_time_s"].astype(float), x, y, (640, 480))
