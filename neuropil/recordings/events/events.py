"""`Events`: what an event sensor sent, in memory."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from ..recording import Recording


@final
@dataclass(frozen=True, eq=False, repr=False)
class Events:
    """Events of a sensor in the order of time.

    `t`: int64, microseconds of the sensor's clock; `x`, `y`: int16, column and row; `polarity`: bool,
    True where it got brighter (ON); `size`: (width, height) in pixels; `source`: where they are from.
    A sensor without a second dimension (a cochlea) has height 1. Never changed in place.

    Errors: ValueError for arrays of unlike length, time that runs backwards, pixels off the sensor.

    >>> e = Events.of([0, 10, 25], [0, 1, 1], [0, 0, 1], [1, 0, 1], size=(2, 2))
    >>> e.frames(10).shape, e.select(5, 25).x.tolist()
    ((3, 2, 2, 2), [1])
    """

    t: np.ndarray
    x: np.ndarray
    y: np.ndarray
    polarity: np.ndarray
    size: tuple[int, int]
    source: str = ""

    def __post_init__(self):
        lengths = {len(a) for a in (self.t, self.x, self.y, self.polarity)}
        if len(lengths) != 1:
            raise ValueError(
                f"Events: t, x, y and polarity have the lengths {sorted(lengths)}: give one of each an event."
            )
        width, height = self.size
        if width < 1 or height < 1:
            raise ValueError(f"Events: a sensor of {width} x {height} pixels has no pixel.")
        back = np.diff(self.t) < 0
        if back.any():
            at = int(np.argmax(back))
            raise ValueError(
                f"Events{_of(self.source)}: time runs backwards at event {at + 1} ({self.t[at]} us, then "
                f"{self.t[at + 1]} us): sort the events first (sort=True)."
            )
        for name, values, end in (("x", self.x, width), ("y", self.y, height)):
            if len(values) and not 0 <= values.min() <= values.max() < end:
                raise ValueError(
                    f"Events{_of(self.source)}: {name} is {values.min()}..{values.max()}, but the sensor "
                    f"has {width} x {height} pixels: give the right size=(width, height)."
                )

    @classmethod
    def of(cls, t, x, y, polarity, *, size, source: str = "", sort: bool = False) -> "Events":
        """Events from anything array-like; `sort=True` puts them in the order of time (stable).
        `polarity` may be 0/1, -1/1 or bool."""
        t = np.asarray(t)
        if t.dtype.kind == "f" and len(t) and not np.isfinite(t).all():
            raise ValueError(
                f"Events{_of(source)}: a time is NaN or infinite: leave that event out."
            )
        t = np.rint(t).astype(np.int64) if t.dtype.kind == "f" else t.astype(np.int64)
        x, y = (np.asarray(a).astype(np.int16) for a in (x, y))
        on = np.asarray(polarity) > 0
        if sort:
            order = np.argsort(t, kind="stable")
            t, x, y, on = t[order], x[order], y[order], on[order]
        return cls(t, x, y, on, (int(size[0]), int(size[1])), source)

    @classmethod
    def join(cls, parts: Iterable["Events"]) -> "Events":
        """One stream from consecutive parts of the same sensor. ValueError: none, or unlike sensors."""
        parts = list(parts)
        if len({p.size for p in parts}) != 1:
            raise ValueError(
                f"Events.join: there are {len(parts)} parts of {len({p.size for p in parts})} sensors; "
                "give at least one part, all of the same size."
            )
        arrays = (
            np.concatenate([getattr(p, n) for p in parts]) for n in ("t", "x", "y", "polarity")
        )
        return cls(*arrays, size=parts[0].size, source=parts[0].source)

    def __len__(self) -> int:
        return len(self.t)

    @property
    def duration(self) -> int:
        """Microseconds from the first to the last event."""
        return int(self.t[-1] - self.t[0]) if len(self) else 0

    def select(self, start: int | None = None, stop: int | None = None) -> "Events":
        """The events with start <= t < stop (microseconds); None: no bound. Views, no copies."""
        low = 0 if start is None else int(np.searchsorted(self.t, start))
        high = len(self) if stop is None else int(np.searchsorted(self.t, stop))
        arrays = {n: getattr(self, n)[low:high] for n in ("t", "x", "y", "polarity")}
        return replace(self, **arrays)

    def frames(self, dt: int, start: int | None = None, stop: int | None = None) -> np.ndarray:
        """Counts in windows of `dt` microseconds: (frame, polarity, y, x), int32; polarity 0 is OFF.

        From `start` (the first event) to `stop` (just after the last); the last window may be partly
        beyond it. ValueError: dt < 1, or neither events nor bounds.
        """
        if dt < 1:
            raise ValueError(f"Events.frames: dt = {dt} us; it must be at least 1.")
        start, stop = self._span(start, stop, "frames")
        part = self.select(start, stop)
        width, height = self.size
        out = np.zeros((max(1, -(-(stop - start) // dt)), 2, height, width), np.int32)
        np.add.at(out, ((part.t - start) // dt, part.polarity.astype(int), part.y, part.x), 1)
        return out

    def voxels(self, bins: int) -> np.ndarray:
        r"""A voxel grid (bin, y, x), float32: polarity shared between the two nearest bins.

        $$V_b(y, x) = \sum_i p_i \max(0, 1 - |b - t^*_i|), \quad t^* = (B - 1) (t - t_0) / (t_N - t_0)$$

        with p = +1 (ON) or -1 (OFF), so that the grid sums to ON minus OFF events. Source: Zhu, Yuan,
        Chaney, Daniilidis (2019), CVPR, equation 1 f. ValueError: bins < 1.
        """
        if bins < 1:
            raise ValueError(f"Events.voxels: bins = {bins}; it must be at least 1.")
        width, height = self.size
        out = np.zeros((bins, height, width), np.float32)
        if not len(self):
            return out
        place = (bins - 1) * (self.t - self.t[0]) / max(self.duration, 1)
        low = np.minimum(place.astype(int), max(bins - 2, 0))
        sign = np.where(self.polarity, 1.0, -1.0)
        upper = place - low
        np.add.at(out, (low, self.y, self.x), (sign * (1 - upper)).astype(np.float32))
        if bins > 1:
            np.add.at(out, (low + 1, self.y, self.x), (sign * upper).astype(np.float32))
        return out

    def time_surface(self, tau: float | int, at: int | None = None) -> np.ndarray:
        r"""How recent the last event of each pixel and polarity is: (polarity, y, x), float32.

        $S_p(y, x) = \exp(-(T - t_{last}) / \tau)$ with T = `at` (the last event) and `tau` in
        microseconds; 0 where there was none. Source: Lagorce et al. (2017), IEEE TPAMI 39(7), HOTS.
        ValueError: tau not positive.
        """
        if not tau > 0:
            raise ValueError(f"Events.time_surface: tau = {tau} us; it must be positive.")
        width, height = self.size
        at = (int(self.t[-1]) if len(self) else 0) if at is None else at
        part = self.select(None, at + 1)
        last = np.full((2, height, width), -np.inf)
        # sorted by time, so the last one written is the last event
        last[part.polarity.astype(int), part.y, part.x] = part.t
        return np.exp((last - at) / tau).astype(np.float32)

    def recording(
        self, rate: float | int = 1000.0, start: int | None = None, stop: int | None = None
    ):
        """Counts at `rate` bins per second as a `Recording` of one trial, made when read. A unit is a
        pixel and polarity, labelled (polarity * height + y) * width + x, with its place in pixels;
        time 0 is `start` (the first event)."""
        start, stop = self._span(start, stop, "recording")
        part = self.select(start, stop)
        width, height = self.size
        pixels = np.arange(2 * height * width)
        unit = (part.polarity * height + part.y.astype(np.int64)) * width + part.x
        places = np.stack([pixels % width, pixels // width % height], axis=1).astype(float)
        return Recording.from_spikes(
            (part.t - start) / 1e6,
            unit,
            rate=rate,
            stop=(stop - start) / 1e6,
            labels=pixels,
            positions=places,
            positions_unit="px",
            about={"source": self.source},
        )

    def _span(self, start: int | None, stop: int | None, what: str) -> tuple[int, int]:
        if not len(self) and (start is None or stop is None):
            raise ValueError(f"Events.{what}: there are no events; give start= and stop=.")
        start = int(self.t[0]) if start is None else start
        stop = int(self.t[-1]) + 1 if stop is None else stop
        if stop <= start:
            raise ValueError(f"Events.{what}: stop = {stop} us is not after start = {start} us.")
        return start, stop

    def __repr__(self) -> str:
        width, height = self.size
        span = f"{self.t[0]}..{self.t[-1]} us, " if len(self) else ""
        share = f"{100 * self.polarity.mean():.0f} % ON, " if len(self) else ""
        where = f"; {self.source}" if self.source else ""
        return f"Events({len(self)} event{'s' * (len(self) != 1)}, {span}{share}{width} x {height}{where})"


def from_dense(spikes, dt: int, *, start: int = 0, source: str = "") -> Events:
    """Events of a film (step, y, x) of +1 (ON), -1 (OFF) and 0, such as `worlds.moving.delta_events`
    makes: step k happens at `start` + k `dt` microseconds. The other way is `Events.frames(dt)`.

    >>> import numpy as np
    >>> e = from_dense(np.array([[[0, 1]], [[-1, 0]]]), 1000)
    >>> e.t.tolist(), e.x.tolist(), e.polarity.tolist(), e.size
    ([0, 1000], [1, 0], [True, False], (2, 1))

    ValueError: not three axes, other values, dt < 1.
    """
    spikes = np.asarray(spikes)
    if spikes.ndim != 3 or dt < 1:
        raise ValueError(
            f"from_dense: shape {spikes.shape} and dt = {dt} us; give (step, y, x) and at least 1 us."
        )
    if not np.isin(spikes, (-1, 0, 1)).all():
        raise ValueError("from_dense: the film has values other than -1, 0 and 1: give events.")
    step, y, x = np.nonzero(spikes)
    _, height, width = spikes.shape
    on = spikes[step, y, x] > 0
    return Events.of(start + step * int(dt), x, y, on, size=(width, height), source=source)


def _of(source: str) -> str:
    return f" of {source}" if source else ""
