"""Spikes as tokens: a raster becomes sequences of pairs (neuron id, time), and back.

A window of binned spikes is written as `[SOS, spikes, EOS, PAD ...]` of fixed length. A spike is a
pair: the id of its unit and the number of its bin inside the window; a count of k in one bin is k
equal pairs. Spikes stand in order of bin, then of unit, so each raster has exactly one sequence and
the probability of the sequence is the probability of the raster.

Source: Antoniades et al. 2023 (Neuroformer), tokeniser and data loader of the official code.
"""

from __future__ import annotations

from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int


class Windows(eqx.Module):
    """Sequences of many windows, or of one: current state and past state, as ids and times."""

    ids: Int[Array | np.ndarray, "*window token"]
    times: Int[Array | np.ndarray, "*window token"]
    past_ids: Int[Array | np.ndarray, "*window past"]
    past_times: Int[Array | np.ndarray, "*window past"]

    def __getitem__(self, index) -> Windows:
        cut = (self.ids[index], self.times[index], self.past_ids[index], self.past_times[index])
        return Windows(*cut)


@dataclass(frozen=True)
class SpikeTokens:
    """The vocabulary of spike tokens and the lengths of the sequences.

    Ids: the units 0..N-1, then SOS, EOS, PAD. Times: bins 0..max(bins, past_bins), then SOS, EOS,
    PAD. As in the official loader the SOS token carries the *time* 0, so the time symbol SOS is in
    the vocabulary and never written.

    **Arguments**

    - `units`: number of units N; `bins`: length of the current window, in bins;
    - `past_bins`: length of the past state that ends where the window starts, in bins;
    - `length`, `past_length`: tokens of a current and of a past sequence, SOS and EOS included.

    >>> import numpy as np
    >>> vocabulary = SpikeTokens(units=2, bins=2, past_bins=3, length=6, past_length=6)
    >>> ids, times = vocabulary.encode(np.array([[0, 1], [2, 0]]), starts=[0])
    >>> ids.tolist(), times.tolist()
    ([[2, 1, 0, 0, 3, 4]], [[0, 0, 1, 1, 5, 6]])
    >>> vocabulary.decode(ids, times).tolist()
    [[[0, 1], [2, 0]]]

    Raises ValueError for sizes below 1 or sequences with no room for a spike.
    """

    units: int
    bins: int
    past_bins: int
    length: int
    past_length: int

    def __post_init__(self):
        for name in ("units", "bins", "past_bins"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("length", "past_length"):
            if getattr(self, name) < 3:
                raise ValueError(f"{name} must be at least 3 (SOS, a spike, EOS)")

    @property
    def sos(self) -> int:
        return self.units

    @property
    def eos(self) -> int:
        return self.units + 1

    @property
    def pad(self) -> int:
        return self.units + 2

    @property
    def id_vocabulary(self) -> int:
        return self.units + 3

    @property
    def time_eos(self) -> int:
        return max(self.bins, self.past_bins) + 2

    @property
    def time_pad(self) -> int:
        return self.time_eos + 1

    @property
    def time_vocabulary(self) -> int:
        return self.time_pad + 1

    def longest(self, counts, starts, *, past: bool = False) -> int:
        """Length that the longest of these windows needs, SOS and EOS included."""
        when = np.cumsum(np.asarray(counts, dtype=np.int64).sum(1))
        before = np.concatenate([[0], when])
        first, last = self._edges(len(when), starts, past)
        return int((before[last] - before[first]).max(initial=0)) + 2

    def encode(
        self, counts, starts, *, past: bool = False, truncate: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ids and times, each (window, length), of windows of a raster `counts` (time, unit).

        `starts` are the first bins of the *current* windows; with `past=True` the sequences are
        those of the past states, that is of the `past_bins` bins before each start (bins before the
        recording are empty). A window with too many spikes is refused, or with `truncate=True`
        keeps its last ones as the official loader does.
        """
        counts = np.asarray(counts)
        if counts.ndim != 2 or counts.shape[1] != self.units:
            raise ValueError(f"counts must be (time, {self.units}), not {counts.shape}")
        if counts.size and (counts.min() < 0 or np.any(counts != np.floor(counts))):
            raise ValueError("counts must be whole numbers of spikes, 0 or more")
        length = self.past_length if past else self.length
        span = self.past_bins if past else self.bins
        bins, units = np.nonzero(counts)
        repeats = counts[bins, units].astype(np.int64)
        bins, units = np.repeat(bins, repeats), np.repeat(units, repeats)
        edge, stop = self._edges(len(counts), starts, past)
        first, last = np.searchsorted(bins, edge), np.searchsorted(bins, stop)
        room, n = length - 2, last - first
        if not truncate and n.max(initial=0) > room:
            raise ValueError(
                f"a window holds {n.max()} spikes but {'past_' if past else ''}length {length} has "
                f"room for {room}; make it longer or pass truncate=True (keeps the last ones)"
            )
        n = np.minimum(n, room)
        place = np.arange(room)
        source = np.minimum((last - n)[:, None] + place, max(len(bins) - 1, 0))
        spike = place < n[:, None]
        ids = np.full((len(first), length), self.pad, np.int16)
        times = np.full((len(first), length), self.time_pad, np.int16)
        ids[:, 0], times[:, 0] = self.sos, 0
        if len(bins):
            origin = np.asarray(starts)[:, None] - (span if past else 0)
            ids[:, 1:-1] = np.where(spike, units[source], self.pad)
            times[:, 1:-1] = np.where(spike, bins[source] - origin, self.time_pad)
        row = np.arange(len(first))
        ids[row, n + 1], times[row, n + 1] = self.eos, self.time_eos
        return ids, times

    def decode(self, ids, times, *, past: bool = False) -> np.ndarray:
        """Counts (..., bins, unit) of sequences: the inverse of `encode` where nothing was cut."""
        ids, times = np.asarray(ids), np.asarray(times)
        span = self.past_bins if past else self.bins
        flat_ids, flat_times = ids.reshape(-1, ids.shape[-1]), times.reshape(-1, ids.shape[-1])
        counts = np.zeros((len(flat_ids), span, self.units), np.int64)
        row, token = np.nonzero(flat_ids < self.units)
        np.add.at(counts, (row, flat_times[row, token], flat_ids[row, token]), 1)
        return counts.reshape(*ids.shape[:-1], span, self.units)

    def windows(self, counts, starts, *, truncate_past: bool = True) -> Windows:
        """Current and past sequences of windows that start at bins `starts`.

        The current state must fit (it is what is scored); the past is context and may be cut.
        """
        ids, times = self.encode(counts, starts)
        past_ids, past_times = self.encode(counts, starts, past=True, truncate=truncate_past)
        return Windows(*(jnp.asarray(a) for a in (ids, times, past_ids, past_times)))

    def _edges(self, bins, starts, past):
        starts = np.asarray(starts, dtype=np.int64)
        if starts.ndim != 1 or starts.min(initial=0) < 0 or starts.max(initial=0) > bins:
            raise ValueError(f"starts must be one axis of bins between 0 and {bins}")
        if past:
            return np.maximum(starts - self.past_bins, 0), starts
        if starts.max(initial=0) + self.bins > bins:
            raise ValueError(f"a window of {self.bins} bins runs over the end of {bins} bins")
        return starts, starts + self.bins
