"""Arrays of laboratories: `.npz`, `.mat` and tables that say by the names in them what they are.

`LAYOUTS` maps the names that a file must hold to the function that makes a recording of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from . import checks
from .recording import Recording

Arrays = Mapping[str, np.ndarray]


class Layout(NamedTuple):
    """The names a file must hold, what it is, and how it is read."""

    needs: frozenset[str]
    title: str
    read: Callable[..., Recording]


def layout_of(names) -> Layout | None:
    """The layout whose names are all there; of several, the one that needs most."""
    fits = [x for x in LAYOUTS if x.needs <= set(names)]
    return max(fits, key=lambda x: len(x.needs)) if fits else None


def marked_runs(
    eeg, marker, run, channels, rate: float, names: Mapping[int, str] | None, source: str
) -> Recording:
    """EEG (sample, channel) in uV with a marker beside each sample, its runs as trials (so that no epoch
    can cross from one into the next); a marker above 0 is an event, named by `names`."""
    trials, events, runs = [], [], np.unique(run)
    for k, r in enumerate(runs):
        rows = run == r
        trials.append(np.asarray(eeg)[rows])
        at = np.flatnonzero(marker[rows] > 0)
        codes = marker[rows][at]
        events.append(
            pd.DataFrame(
                {
                    "onset": at / rate,
                    "duration": 0.0,
                    "label": [(names or {}).get(int(c), str(c)) for c in codes],
                    "trial": k,
                    "code": codes.astype(int),
                }
            )
        )
    return Recording.from_trials(
        trials,
        rate=rate,
        unit="uV",
        labels=[str(c) for c in channels],
        columns={"kind": ["eeg"] * len(channels), "measure": ["uV"] * len(channels)},
        trials={"run": runs},
        events=pd.concat(events),
        about={"source": source},
    )


MUSE = {
    "p300": {1: "non-target", 2: "target"},
    "ssvep": {1: "30 Hz", 2: "20 Hz"},
    "n170": {1: "house", 2: "face"},
}
"""Meaning of the markers of the Muse experiments (its notebooks), by the beginning of the file's name."""


def _muse(a: Arrays, source: str) -> Recording:
    names = next((m for k, m in MUSE.items() if source.lower().startswith(k)), None)
    rate = float(a["sfreq"])
    return marked_runs(a["eeg"], a["marker"], a["run"], a["channels"], rate, names, source)


OPENVIBE = {
    768: "trial",
    786: "cross",
    770: "right",
    769: "left",
    772: "rest",
    781: "feedback",
    800: "end",
}
"""OpenViBE's stimulation codes that occur in motor imagery."""


def _openvibe(a: Arrays, source: str) -> Recording:
    """The rate is that of the clock of the samples; where the file states another, it is said."""
    time = np.ravel(a["sampleTime"]).astype(float)
    stated = float(np.ravel(a["samplingFreq"])[0])
    rate = 1 / np.median(np.diff(time))
    said = {}
    if abs(rate / stated - 1) > 1e-3:
        said["rate"] = (
            f"the file states {stated:g} Hz, its clock steps at {rate:g} Hz: the clock is used"
        )
    stims = np.asarray(a["stims"], float)
    codes = stims[:, 1].astype(int)
    names = [str(np.ravel(c)[0]).strip() for c in np.ravel(a["channelNames"])]
    samples = np.asarray(a["samples"], float)
    return Recording.from_array(
        samples[None],
        rate=float(rate),
        unit="uV",
        time=time,
        labels=names,
        columns={"kind": ["eeg"] * len(names), "measure": ["uV"] * len(names)},
        events={
            "onset": stims[:, 0],
            "duration": stims[:, 2],
            "label": [OPENVIBE.get(c, str(c)) for c in codes],
            "trial": np.zeros(len(codes), int),
            "code": codes,
        },
        about={"source": source, **said},
    )


def _worm(a: Arrays, source: str) -> Recording:
    """Calcium traces (neuron, frame) at times that step only roughly evenly (kept as they are)."""
    time = np.asarray(a["time_s"], float)
    return Recording.from_array(
        np.asarray(a["trace_z"]).T[None],
        rate=1 / np.median(np.diff(time)),
        unit="z",
        time=time,
        labels=[str(n) for n in a["neuron"]],
        about={"source": source},
    )


def _grasshopper(a: Arrays, source: str, rate: float | int = 1000.0) -> Recording:
    """Spikes of one receptor (counted at `rate` bins a second); the sound is `read(..., of="stimulus")`."""
    seconds = np.asarray(a["spike_time_us"], float) * 1e-6
    stop = float(a["stim_time_us"][-1]) * 1e-6 + 5e-5
    return Recording.from_spikes(
        seconds, np.zeros(len(seconds), int), rate=rate, stop=stop, about={"source": source}
    )


def _sound(a: Arrays, source: str, of: str = "spikes", **more) -> Recording:
    if of == "spikes":
        return _grasshopper(a, source, **more)
    if of != "stimulus":
        raise ValueError(f"of={of!r}: choose 'spikes' or 'stimulus'.")
    step = float(np.median(np.diff(a["stim_time_us"]))) * 1e-6
    return Recording.from_array(
        np.asarray(a["stim"])[None, :, None],
        rate=1 / step,
        unit="envelope",
        labels=["sound"],
        about={"source": source},
    )


def _track(a: Arrays, source: str, rate: float | int = 100.0, of: str = "spikes") -> Recording:
    """Sorted units of a session with video position; `of="position"` gives x, y (pixels)."""
    time = np.asarray(a["pos_time_s"], float)
    if of == "position":
        step = float(np.median(np.diff(time)))
        new = np.concatenate([[True], np.diff(np.maximum.accumulate(time)) > 0])
        said = {} if new.all() else {"dropped": f"{(~new).sum()} frames whose time does not rise"}
        return Recording.from_array(
            np.stack([a["pos_x_px"], a["pos_y_px"]], 1).astype(float)[None, new],
            rate=1 / step,
            unit="px",
            time=time[new],
            labels=["x", "y"],
            about={"source": source, **said},
        )
    if of != "spikes":
        raise ValueError(f"of={of!r}: choose 'spikes' or 'position'.")
    times, units = np.asarray(a["spike_time"], float), np.asarray(a["spike_unit"])
    tetrode = np.asarray(a["unit_tetrode"])
    low, high = min(times.min(), time.min()), max(times.max(), time.max())
    order = np.argsort(times, kind="stable")
    return Recording.from_spikes(
        times[order],
        units[order],
        rate=rate,
        start=float(low),
        stop=float(high) + 1 / rate,
        labels=np.arange(len(tetrode)),
        columns={"tetrode": tetrode},
        about={"source": source},
    )


def _objects(a: Arrays, source: str, rate: float | int = 100.0) -> Recording:
    """Neurons that were recorded one after another: a trial of the recording is the n-th trial of each, so
    labels are per neuron and trial: read them from the arrays `object_id`, `position_id` (-1: no trial,
    masked)."""
    n_trials = np.asarray(a["n_trials"])
    seconds = np.asarray(a["spike_time_ms"], float) / 1000
    neuron, trial = np.asarray(a["spike_neuron"], int), np.asarray(a["spike_trial"], int)
    order = np.argsort(seconds, kind="stable")
    n = int(n_trials.max())
    valid = np.arange(n)[:, None, None] < n_trials
    rec = Recording.from_spikes(
        seconds[order],
        neuron[order],
        trial=trial[order],
        rate=rate,
        start=-0.5,
        stop=np.full(n, 0.5),
        labels=np.arange(len(n_trials)),
        columns={"neuron": [str(x) for x in a["neuron_names"]]},
        about={"source": source},
    )
    return replace(rec, mask=checks.mask(valid, rec.shape))


def _place_cell(
    a: Arrays, source: str, rate: float | int = 1000.0, of: str = "spikes"
) -> Recording:
    time = np.ravel(a["t"]).astype(float)
    if of == "position":
        step = float(np.median(np.diff(time)))
        data = np.ravel(a["X"]).astype(float)[None, :, None]
        about = {"source": source}
        return Recording.from_array(
            data, rate=1 / step, unit="cm", time=time, labels=["x"], about=about
        )
    times = np.ravel(a["spiketimes"]).astype(float)
    return Recording.from_spikes(
        times,
        np.zeros(len(times), int),
        rate=rate,
        start=float(time[0]),
        stop=float(max(time[-1], times.max())) + 1 / rate,
        about={"source": source},
    )


def _movements(a: Arrays, source: str) -> Recording:
    time = np.ravel(a["t"]).astype(float) / 1000
    return Recording.from_array(
        np.asarray(a["train"])[:, :, None],
        rate=1 / np.median(np.diff(time)),
        unit="spikes",
        time=time,
        trials={"direction": np.ravel(a["direction"])},
        about={"source": source},
    )


def _spike_field(a: Arrays, source: str, of: str = "spikes") -> Recording:
    time = np.ravel(a["t"]).astype(float)
    if of not in ("spikes", "field"):
        raise ValueError(f"of={of!r}: choose 'spikes' or 'field'.")
    return Recording.from_array(
        np.asarray(a["n" if of == "spikes" else "y"])[:, :, None],
        rate=1 / np.median(np.diff(time)),
        unit="spikes" if of == "spikes" else "mV",
        time=time,
        about={"source": source},
    )


def _conditions(a: Arrays, source: str, rate: float | int = 1000.0) -> Recording:
    """Two stretches of one neuron, as two trials with the column `light`."""
    low, high = (np.ravel(a[n]).astype(float) for n in ("SpikesLow", "SpikesHigh"))
    times, trial = np.concatenate([low, high]), np.repeat([0, 1], [len(low), len(high)])
    stop = float(np.ceil(times.max()))
    return Recording.from_spikes(
        times,
        np.zeros(len(times), int),
        trial=trial,
        rate=rate,
        stop=[stop, stop],
        trials={"light": np.array(["low", "high"])},
        about={"source": source},
    )


def _taxels(a: Arrays, source: str, rate: float | int = 1000.0) -> Recording:
    """ST-MNIST: rows are taxels with -1, 0, 1, the last row the time in s; a unit for each taxel and sign."""
    train = np.asarray(a["spiketrain"], float)
    unit, at = np.nonzero(train[:-1])
    on = train[unit, at] > 0
    order = np.argsort(train[-1, at], kind="stable")
    n = len(train) - 1
    labels = [f"{i}{sign}" for sign in ("off", "on") for i in range(n)]
    return Recording.from_spikes(
        train[-1, at][order],
        np.array(labels)[(unit + n * on)[order]],
        rate=rate,
        stop=float(train[-1].max()) + 1 / rate,
        labels=labels,
        about={"source": source},
    )


def _atis(a: Arrays, source: str, rate: float | int = 1000.0) -> Recording:
    """A struct TD with x, y, p, ts (us), of an ATIS camera (304 x 240)."""
    from .events import Events

    td = a["TD"]
    t, x, y, p = (np.ravel(td[n].ravel()[0]).astype(np.int64) for n in ("ts", "x", "y", "p"))
    first = int(x.min() > 0 and y.min() > 0)  # MATLAB counts from 1
    events = Events.of(
        t, x - first, y - first, p > p.min(), size=(304, 240), source=source, sort=True
    )
    return events.recording(rate)


LAYOUTS: list[Layout] = [
    Layout(frozenset(needs.split()), title, read)
    for needs, title, read in (
        ("eeg marker run channels sfreq", "EEG with markers in runs (Muse)", _muse),
        ("samples sampleTime samplingFreq channelNames stims", "OpenViBE export", _openvibe),
        ("trace_z time_s neuron", "calcium traces of named neurons", _worm),
        ("stim stim_time_us spike_time_us", "spikes of a receptor and its sound", _sound),
        ("spike_time spike_unit unit_tetrode pos_time_s", "tetrode units and position", _track),
        ("spike_neuron spike_trial spike_time_ms n_trials", "neurons recorded in turn", _objects),
        ("spiketimes X t", "a place cell and its position", _place_cell),
        ("train direction t", "spike trains of movements", _movements),
        ("n y t", "spikes and field", _spike_field),
        ("spiketrain", "tactile events (ST-MNIST)", _taxels),
        ("TD", "events of an ATIS camera", _atis),
        ("SpikesLow SpikesHigh", "a neuron in two conditions", _conditions),
    )
]
"""Known layouts. A new laboratory's is a line here and a function."""


def from_arrays(arrays: Arrays, path: Path, **options: Any) -> Recording:
    """The recording in named arrays, by its layout, or by `data=` (a name), `rate=`, `unit=`, `axes=`.

    `axes` names the axes in order, such as ("unit", "time"); default by number: (time,), (trial, time) for
    two axes is ambiguous and must be said. ValueError lists what there is.
    """
    if "data" in options:
        return _plain_array(arrays, path, **options)
    found = layout_of(arrays)
    if found is None:
        shapes = ", ".join(f"{n} {np.shape(a)}" for n, a in list(arrays.items())[:12])
        raise ValueError(
            f"{path.name} holds {shapes or 'nothing'}, which is no layout known here: say "
            'read(path, data="name", axes=("unit", "time"), rate=1000.0, unit="mV").'
        )
    return found.read(arrays, path.name, **options)


def _plain_array(
    arrays: Arrays,
    path: Path,
    *,
    data: str,
    rate: float | int | None = None,
    unit: str | None = None,
    axes: tuple[str, ...] | None = None,
    labels: str | None = None,
    **more: Any,
) -> Recording:
    if data not in arrays:
        raise ValueError(f"{path.name} has no array {data!r}: it holds {', '.join(arrays)}.")
    values = np.asarray(arrays[data])
    if values.ndim == 2 and 1 in values.shape and axes is None:
        values = values.ravel()  # MATLAB has no vectors
    clock = next((np.ravel(arrays[n]) for n in ("t", "time") if n in arrays), np.zeros(0))
    if rate is None and len(clock) > 1 and clock.dtype.kind in "iuf" and len(clock) in values.shape:
        rate = 1 / float(np.median(np.diff(clock.astype(float))))  # times in seconds lie beside
        more.setdefault("start", float(clock[0]))
        if axes is None and values.ndim == 2:
            axes = ("time", "trial") if values.shape[0] == len(clock) else ("trial", "time")
    return from_plain(values, path, rate=rate, unit=unit, axes=axes, **more, **(
        {} if labels is None else {"labels": [str(x) for x in np.ravel(arrays[labels])]}
    ))  # fmt: skip


def from_plain(values, path: Path, *, rate=None, unit=None, axes=None, **more: Any) -> Recording:
    """An array whose axes, rate and unit of measure are said, as nothing in it says them."""
    if rate is None or unit is None:
        raise ValueError(
            f"{path.name} does not say its sampling rate and unit: give rate= (Hz) and unit=."
        )
    if axes is None:
        if values.ndim not in (1, 3):
            raise ValueError(
                f"{path.name} has the shape {values.shape}: name the axes, as axes=('trial', 'time')."
            )
        axes = ("time",) if values.ndim == 1 else ("trial", "time", "unit")
    if len(axes) != values.ndim or not set(axes) <= {"trial", "time", "unit"} or "time" not in axes:
        raise ValueError(
            f"axes={axes} do not name the {values.ndim} axes of {path.name}: use 'trial', 'time', 'unit'."
        )
    missing = [d for d in ("trial", "time", "unit") if d not in axes]
    values = values[(...,) + (None,) * len(missing)]
    order = [(*axes, *missing).index(d) for d in ("trial", "time", "unit")]
    about = {"source": path.name} | dict(more.pop("about", {}))
    return Recording.from_array(values.transpose(order), rate=rate, unit=unit, about=about, **more)
