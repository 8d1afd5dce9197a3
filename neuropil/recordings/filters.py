"""Filters, references and rates: pure functions of a `Recording`, lazy where it is, by MNE's and
SciPy's design.
"""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
from scipy import signal

from . import local
from .lazy import Lazy, is_lazy
from .mnelib import mne
from .provenance import step
from .recording import Recording


def filter(
    recording: Recording,
    low: float | int | None,
    high: float | int | None,
    *,
    method: str = "fir",
    order: int = 4,
) -> Recording:
    """Band-pass from `low` to `high` Hz (None: no such edge), zero phase.

    "fir": MNE's default window design, equal to `mne.filter.filter_data`; lazy data are filtered block by block
    with the margins of the filter, to the same numbers. "iir": a Butterworth filter of `order`, forwards and
    backwards, over whole trials. Trials that end early (masked) are filtered up to their end.
    ValueError: an edge at or above half the rate, low not below high, counts of spikes.

    >>> rec = Recording.from_array(np.random.default_rng(0).normal(size=(1, 500, 2)), rate=100.0, unit="uV")
    >>> str(filter(rec, 1.0, 30.0).history[-1])
    'filter(high=30.0, low=1.0, method=fir)'
    """
    _analogue(recording, "filter")
    nyquist = recording.rate / 2
    edges = [e for e in (low, high) if e is not None]
    if (
        not edges
        or not all(0 < e < nyquist for e in edges)
        or (len(edges) == 2 and edges[0] >= edges[1])
    ):
        raise ValueError(
            f"Edges of {low} and {high} Hz: give 0 < low < high < {nyquist:g} Hz (half the rate)."
        )
    done = step("filter", low=low, high=high, method=method)
    if method == "fir":
        return _fir(
            recording,
            mne().filter.create_filter(None, recording.rate, low, high, verbose="error"),
            done,
        )
    if method != "iir":
        raise ValueError(f"method={method!r}: choose 'fir' or 'iir'.")
    kind = "bandpass" if len(edges) == 2 else ("highpass" if high is None else "lowpass")
    sos = signal.butter(
        order, edges if len(edges) == 2 else edges[0], kind, fs=recording.rate, output="sos"
    )
    return _whole(recording, lambda x: signal.sosfiltfilt(sos, x, axis=0), done)


def notch(recording: Recording, hz: float | int | Sequence[float | int]) -> Recording:
    """Without the mains and its harmonics: MNE's FIR notches, as `mne.filter.notch_filter`.

    ValueError: a frequency at or above half the rate.
    """
    _analogue(recording, "notch")
    at = np.atleast_1d(np.asarray(hz, float))
    widths = at / 200.0
    if not ((at > 0) & (at + widths + 0.5 < recording.rate / 2)).all():
        raise ValueError(
            f"Notches at {at.tolist()} Hz do not fit below half the rate, {recording.rate / 2:g} Hz."
        )
    lows, highs = at - widths / 2 - 0.5, at + widths / 2 + 0.5
    h = mne().filter.create_filter(
        None,
        recording.rate,
        highs,
        lows,
        l_trans_bandwidth=0.5,
        h_trans_bandwidth=0.5,
        verbose="error",
    )
    return _fir(recording, h, step("notch", hz=at.tolist()))


def _fir(recording: Recording, h: np.ndarray, done) -> Recording:
    half = (len(h) - 1) // 2

    def apply(x: np.ndarray) -> np.ndarray:
        return signal.oaconvolve(x, h[:, None], mode="valid", axes=0)

    return local.mapped(recording, apply, done, before=half, after=half)


def _whole(recording: Recording, function, done) -> Recording:
    """A function of a whole trial, whatever part is read."""
    n, last = recording.shape[1], local.lengths(recording, done.name)
    source = recording.data

    def read(trials: slice, times: slice, units: slice) -> np.ndarray:
        out = np.zeros((trials.stop - trials.start, n, units.stop - units.start))
        for row, t in zip(out, range(trials.start, trials.stop), strict=True):
            row[: last[t]] = function(np.asarray(source[t, : int(last[t]), units].values, float))
        return out[:, times]

    lazy = Lazy(source.shape, float, read)
    data = lazy.dataarray().assign_coords(source.coords) if is_lazy(source) else source.copy(
        data=read(*(slice(0, k) for k in source.shape))
    )  # fmt: skip
    return replace(recording, data=data, history=(*recording.history, done), spikes=None)


def reference(
    recording: Recording, to: str | Sequence[str] = "average", kind: str = "eeg"
) -> Recording:
    """Against the average of the good channels, or of the channels `to` (which stay, near 0 if one).

    Where the units have a column `kind`, only those of `kind` are changed; channels marked `bad` take no
    part in the average but are referenced too. ValueError: no such channel.
    """
    _analogue(recording, "reference")
    coords, labels = recording.data.coords, recording.data["unit"].values
    changed = np.ones(len(labels), bool) if "kind" not in coords else coords["kind"].values == kind
    if not changed.any():
        raise ValueError(f"No channel is of the kind {kind!r}: name another kind=.")
    if isinstance(to, str) and to == "average":
        used = changed & ~(coords["bad"].values.astype(bool) if "bad" in coords else False)
    else:
        names = np.atleast_1d(np.asarray(to))
        missing = [n for n in names.tolist() if n not in labels.tolist()]
        if missing:
            raise ValueError(f"There is no channel {missing[0]!r} to reference to.")
        used = np.isin(labels, names)

    def apply(x: np.ndarray) -> np.ndarray:
        out = x.copy()
        out[:, changed] -= x[:, used].mean(1, keepdims=True)
        return out

    return local.mapped(recording, apply, step("reference", to=to))


def resample(recording: Recording, rate: float | int) -> Recording:
    """At `rate` Hz by a polyphase FIR filter against aliasing (`scipy.signal.resample_poly`), mirrored at the
    ends; lazy data stay lazy. Events keep their seconds.

    ValueError: counts of spikes (use `bin`), times that do not step evenly, rates without a ratio of integers
    up to 1000.
    """
    _analogue(recording, "resample")
    ratio = Fraction(rate / recording.rate).limit_denominator(1000)
    up, down = ratio.numerator, ratio.denominator
    if up == 0 or up > 1000 or abs(float(ratio) * recording.rate / rate - 1) > 1e-9:
        raise ValueError(
            f"From {recording.rate:g} to {rate:g} Hz there is no ratio of integers up to 1000: choose a rate "
            "near it, such as a whole number of Hz."
        )
    time = recording.data["time"].values
    if not _even(time, recording.rate):
        raise ValueError("The times do not step evenly: put the samples on an even clock first.")
    done = step("resample", rate=float(rate))
    if up == down:
        return replace(recording, history=(*recording.history, done))
    last = local.lengths(recording, "resample")
    ends = np.array([len(range(0, int(n) * up, down)) for n in last])
    source, margin = recording.data, 10 * max(up, down) // up + down + 1
    margin = -(-margin // down) * down  # in step with the phases
    window = signal.firwin(20 * max(up, down) + 1, 1 / max(up, down), window=("kaiser", 5.0))

    def read(trials: slice, times: slice, units: slice) -> np.ndarray:
        out = np.zeros([s.stop - s.start for s in (trials, times, units)])
        for row, t in zip(out, range(trials.start, trials.stop), strict=True):
            stop = min(times.stop, int(ends[t]))
            if stop <= times.start:
                continue
            first = times.start // up * down  # the input sample that output `begin` lies on
            begin = times.start // up * up
            high = min(int(last[t]), -(-stop * down // up) + 1)
            get = lambda a, b, t=t: np.asarray(source[t, a:b, units].values, float)
            block = local.padded(get, first, high, margin, margin, int(last[t]))
            y = signal.resample_poly(block, up, down, axis=0, window=window)
            at = margin // down * up + times.start - begin
            row[: stop - times.start] = y[at : at + stop - times.start]
        return out

    shape = (recording.shape[0], int(ends.max()), recording.shape[2])
    lazy = Lazy(shape, float, read)
    data = lazy if is_lazy(source) else np.asarray(read(*(slice(0, n) for n in shape)))
    whole = bool((ends == ends.max()).all())
    made = Recording.from_array(
        data,
        rate=rate,
        unit=recording.unit,
        labels=source["unit"].values,
        start=float(time[0]),
        mask=None if whole else np.arange(shape[1]) < ends[:, None],
        trials={c: v.values for c, v in source.coords.items() if v.dims == ("trial",)},
        columns={
            c: v.values for c, v in source.coords.items() if v.dims == ("unit",) and c != "unit"
        },
        positions=recording.positions,
        positions_unit=recording.positions_unit,
        events=recording.events,
        about=recording.about,
    )
    return replace(made, history=(*recording.history, done), split=recording.split)


def _even(time: np.ndarray, rate: float) -> bool:
    """Whether every step is within 1 % of 1 / rate; in pieces, as the times of a long recording are large."""
    pieces = (time[low : low + 2**20 + 1] for low in range(0, len(time), 2**20))
    return all(np.abs(np.diff(p) * rate - 1).max(initial=0.0) <= 0.01 for p in pieces)


def _analogue(recording: Recording, what: str) -> None:
    if recording.unit == "spikes":
        raise ValueError(
            f"{what} is for signals, but these are counts of spikes: bin or smooth them instead."
        )
