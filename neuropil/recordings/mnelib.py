"""MNE's `Raw`, `Epochs` and `Evoked` to a `Recording` and back, losing nothing.

Values stay in MNE's SI units (V, T, T/m): `preprocess.convert` makes them microvolts or femtotesla.
"""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .lazy import Lazy
from .recording import Recording

MEASURES = {
    "eeg": "V", "eog": "V", "ecg": "V", "emg": "V", "seeg": "V", "ecog": "V", "dbs": "V", "bio": "V",
    "mag": "T", "ref_meg": "T", "grad": "T/m",
}  # fmt: skip
"""Kind of channel -> SI unit of its values in MNE; the others ("stim", "misc") have none, "1"."""

_CLASH = {"trial", "time", "unit"}


def mne():
    """The library, or an ImportError that says how to get it.

    Where numba is installed too (pynapple brings it), MNE would compile its field integrals at first use:
    100 s, measured, for what numpy does in 0.3 s. It is told not to, unless MNE_USE_NUMBA says otherwise.
    """
    os.environ.setdefault("MNE_USE_NUMBA", "false")
    try:
        import mne
    except ImportError as err:
        raise ImportError("EEG and MEG files need mne: pip install neuropil[recordings]") from err
    return mne


def open_raw(path: Path, **options: Any) -> Recording:
    """Any continuous file that `mne.io.read_raw` reads (EDF, BDF, GDF, BrainVision, EEGLAB, FIF, KIT, CTF,
    CNT, EGI, ...), left on disk; `options` are those of MNE's reader.

    Also FIF with averages ("-ave.fif": one trial each, all of one length) or epochs ("-epo.fif").
    ValueError: a broken or truncated file, in one line.
    """
    lib = mne()
    path = Path(path)
    name = path.name.removesuffix(".gz")
    try:
        with lib.utils.use_log_level("error"):
            if name.endswith(("-epo.fif", "_epo.fif")):
                return from_epochs(lib.read_epochs(path, preload=False, **options), path.name)
            if name.endswith(("-ave.fif", "_ave.fif")):
                return from_evoked(lib.read_evokeds(path, **options), path.name)
            raw = lib.io.read_raw(path, preload=False, **options)
    except (ImportError, FileNotFoundError):
        raise
    except Exception as err:  # every reader of MNE fails in its own way on a broken file
        raise _broken(path.name, err) from err
    _whole(path, raw)
    return from_raw(raw, path.name)


def _broken(name: str, err: Exception) -> ValueError:
    short = " ".join(str(err).split()) or type(err).__name__
    return ValueError(
        f"MNE cannot read {name or 'the data'} ({short[:200]}): is it cut short, or named after another format?"
    )


def _whole(path: Path, raw) -> None:
    """Refuse a file that is shorter than its header says (MNE would pad or fail later)."""
    if path.suffix.lower() not in (".edf", ".bdf"):
        return
    with path.open("rb") as f:
        head = f.read(256)
        n_records, n_channels = int(head[236:244]), int(head[252:256])
        f.seek(256 + n_channels * 216)
        samples = sum(int(f.read(8)) for _ in range(n_channels))
    width = 3 if path.suffix.lower() == ".bdf" else 2
    want = 256 * (1 + n_channels) + n_records * samples * width
    have = path.stat().st_size
    if n_records < 0 or have < want:
        says = f"promises {want} bytes" if n_records >= 0 else "was never closed (-1 records)"
        raise ValueError(
            f"{path.name} has {have} bytes but its header {says}: the file is cut short, fetch it again."
        )


def from_raw(raw: Any, source: str = "") -> Recording:
    """One trial of MNE's continuous data; annotations become events, `info` is kept whole.

    Columns of the units: `kind` ("eeg", "mag", ...), `measure` ("V", "T", "T/m", "1"), `bad`. Positions in
    metres (head or device frame, as MNE has them). Nothing is read until asked for.

    >>> import mne, numpy as np
    >>> raw = mne.io.RawArray(np.zeros((2, 100)), mne.create_info(["Cz", "Pz"], 50.0, "eeg"), verbose="error")
    >>> from_raw(raw)
    Recording(1 trial x 100 samples x 2 units; V at 50 Hz, 0..2 s; lazy; mne)
    """

    def read(trials: slice, times: slice, units: slice) -> np.ndarray:
        picks = np.arange(units.start, units.stop)
        try:
            values = raw.get_data(picks=picks, start=times.start, stop=times.stop)
        except Exception as err:  # every reader of MNE fails in its own way where the data end
            raise _broken(source, err) from err
        return values.T[None]

    read(
        slice(0, 1), slice(raw.n_times - 1, raw.n_times), slice(0, 1)
    )  # a file cut short ends before
    notes = raw.annotations
    start = raw.first_time if notes.orig_time is not None else 0.0
    events = pd.DataFrame(
        {"onset": notes.onset - start, "duration": notes.duration, "label": notes.description}
    )
    if any(notes.ch_names):
        events["channels"] = [",".join(c) for c in notes.ch_names]
    about = {
        "mne": "raw",
        "mne_first_samp": str(raw.first_samp),
        "mne_annotated_from": "" if notes.orig_time is None else "measurement",
    }
    return _recording(
        raw, Lazy((1, raw.n_times, len(raw.ch_names)), float, read), source, about, events=events
    )


def from_epochs(epochs: Any, source: str = "") -> Recording:
    """A trial an epoch, time 0 at its event; columns `condition`, `event_sample`, `event_before`,
    `event_code`, `selection` and those of the metadata."""
    load: Callable = lambda low, high, units: epochs[low:high].get_data(picks=units)

    def read(trials: slice, times: slice, units: slice) -> np.ndarray:
        picks = np.arange(units.start, units.stop)
        return load(trials.start, trials.stop, picks)[:, :, times].transpose(0, 2, 1)

    lib = mne()
    with lib.utils.use_log_level("error"):
        epochs = epochs.copy().drop_bad()
    names = {code: name for name, code in epochs.event_id.items()}
    columns = {
        "condition": np.array([names[c] for c in epochs.events[:, 2]], str),
        "event_sample": epochs.events[:, 0],
        "event_before": epochs.events[:, 1],
        "event_code": epochs.events[:, 2],
        "selection": np.asarray(epochs.selection),
    }
    meta = []
    if epochs.metadata is not None:
        for name, column in epochs.metadata.items():
            if name in columns or name in _CLASH:
                raise ValueError(
                    f"The metadata have a column {name!r}, a name that is taken: rename it first."
                )
            columns[name] = column.to_numpy()
            meta.append(name)
    about = {
        "mne": "epochs",
        "mne_event_id": json.dumps(epochs.event_id),
        "mne_baseline": json.dumps(epochs.baseline),
        "mne_metadata": json.dumps(meta if epochs.metadata is not None else None),
        "mne_drop_log": json.dumps(epochs.drop_log),
    }
    n = len(epochs)
    events = {"onset": np.zeros(n), "label": columns["condition"], "trial": np.arange(n)}
    shape = (n, len(epochs.times), len(epochs.ch_names))
    if n == 0:
        raise ValueError(
            "No epoch is left: MNE dropped all of them; see epochs.drop_log for the reasons."
        )
    return _recording(
        epochs,
        Lazy(shape, float, read),
        source,
        about,
        events=events,
        trials=columns,
        time=epochs.times,
    )


def from_evoked(evoked: Any, source: str = "") -> Recording:
    """Averages, one trial each (`condition`, `nave`, `average` "average" or "standard_error")."""
    several = list(evoked) if isinstance(evoked, Sequence) else [evoked]
    first = several[0]
    for e in several[1:]:
        if e.ch_names != first.ch_names or not np.array_equal(e.times, first.times):
            raise ValueError(
                f"The averages {first.comment!r} and {e.comment!r} have unlike channels or times: read "
                "them one at a time (condition=)."
            )
    columns = {
        "condition": np.array([e.comment for e in several], str),
        "nave": np.array([e.nave for e in several]),
        "average": np.array([e.kind for e in several], str),
    }
    data = np.stack([e.data.T for e in several])
    about = {"mne": "evoked", "mne_baseline": json.dumps(first.baseline)}
    return _recording(first, data, source, about, trials=columns, time=first.times)


def _recording(inst, data, source: str, about: dict, **more) -> Recording:
    info = inst.info
    kinds = np.array(inst.get_channel_types(), str)
    measures = np.array([MEASURES.get(k, "1") for k in kinds], str)
    columns = {"kind": kinds, "measure": measures, "bad": np.isin(info["ch_names"], info["bads"])}
    where = np.array([ch["loc"][:3] for ch in info["chs"]], float)
    missing = ~np.isfinite(where).all(1) | ~where.any(1)
    where[missing] = np.nan
    meg = np.isin(kinds, ("mag", "grad", "ref_meg"))
    if meg.any():
        normal = np.where(meg[:, None], [ch["loc"][9:12] for ch in info["chs"]], np.nan)
        columns |= {f"normal_{c}": normal[:, i] for i, c in enumerate("xyz")}
    signal = set(measures[measures != "1"]) or {"1"}
    return Recording.from_array(
        data,
        rate=info["sfreq"],
        unit=signal.pop() if len(signal) == 1 else "mixed",
        labels=info["ch_names"],
        columns=columns,
        positions=None if missing.all() else where,
        positions_unit="m",
        about={
            "source": source or "mne",
            "mne_info": json.dumps(info.to_json_dict()),
            **about,
        },
        **more,
    )


def to_mne_info(recording: Recording) -> Any:
    """MNE's `Info`: the one it came with (for the channels and rate it has now), else one made of its
    labels, kinds ("eeg" where none is known) and positions."""
    lib = mne()
    names = [str(u) for u in recording.data["unit"].values]
    kept = recording.about.get("mne_info")
    if kept is None:
        coords = recording.data.coords
        kinds = coords["kind"].values.tolist() if "kind" in coords else ["eeg"] * len(names)
        info = lib.create_info(names, recording.rate, kinds, verbose="error")
        scale = {"m": 1.0, "mm": 1e-3, "um": 1e-6, "cm": 1e-2}.get(recording.positions_unit)
        if scale and recording.positions is not None and recording.positions.shape[1] == 3:
            places = dict(zip(names, recording.positions * scale, strict=True))
            placed = {n: p for n, p in places.items() if np.isfinite(p).all()}
            montage = lib.channels.make_dig_montage(placed, coord_frame="head")
            info.set_montage(montage, on_missing="ignore", verbose="error")
    else:
        full = lib.Info.from_json_dict(json.loads(kept))
        strange = [n for n in names if n not in full["ch_names"]]
        if strange:
            raise ValueError(
                f"The unit {strange[0]!r} is no channel of the file it came from: keep the labels, or "
                "drop 'mne_info' from about."
            )
        info = lib.pick_info(full, [full["ch_names"].index(n) for n in names])
    if "bad" in recording.data.coords:
        bad = recording.data["bad"].values
        info["bads"] = [n for n, b in zip(names, bad, strict=True) if b]
    with info._unlock():  # MNE's own resample and filter do the same
        info["sfreq"] = recording.rate
        for step in recording.history:
            settings = json.loads(step.settings)
            if step.name == "filter":
                info["highpass"] = max(info["highpass"], settings.get("low") or 0.0)
                info["lowpass"] = min(info["lowpass"], settings.get("high") or np.inf)
        info["lowpass"] = min(info["lowpass"], recording.rate / 2)
    return info


def to_raw(recording: Recording) -> Any:
    """MNE's `RawArray` of a recording with one trial. ValueError: several trials, or masked samples."""
    lib = mne()
    if recording.shape[0] != 1:
        raise ValueError(
            f"The recording has {recording.shape[0]} trials: use to_epochs, or select one trial."
        )
    raw = lib.io.RawArray(
        _values(recording)[0],
        to_mne_info(recording),
        first_samp=int(recording.about.get("mne_first_samp", 0)),
        verbose="error",
    )
    events = recording.events
    absolute = bool(recording.about.get("mne_annotated_from"))
    shift = raw.first_time if absolute else 0.0
    channels = events["channels"] if "channels" in events else [""] * len(events)
    notes = lib.Annotations(
        events["onset"].to_numpy(float) + shift,
        events["duration"].to_numpy(float),
        events["label"].astype(str).to_list(),
        raw.info["meas_date"] if absolute else None,
        ch_names=[tuple(c.split(",")) if c else () for c in channels],
    )
    return raw.set_annotations(notes, emit_warning=False, verbose="error")


def to_epochs(recording: Recording, condition: str = "condition") -> Any:
    """MNE's `EpochsArray`; the trials' column `condition` (or `label`) names the events.

    ValueError: masked samples (MNE has no mask: crop or fill first).
    """
    lib = mne()
    about, coords = recording.about, recording.data.coords
    n = recording.shape[0]
    if about.get("mne") == "epochs" and "event_code" in coords:
        codes = [coords[c].values for c in ("event_sample", "event_before", "event_code")]
        event_id = json.loads(about["mne_event_id"])
        event_id = {k: v for k, v in event_id.items() if v in codes[2]}
        drop = tuple(tuple(d) for d in json.loads(about["mne_drop_log"]))
        extra = {"selection": coords["selection"].values, "drop_log": drop}
        if list(extra["selection"]) != [i for i, d in enumerate(drop) if not d]:
            extra = {}  # trials were left out since: MNE must count anew
        meta = json.loads(about["mne_metadata"])
        metadata = None if meta is None else pd.DataFrame({c: coords[c].values for c in meta})
    else:
        named = next((c for c in (condition, "label") if c in coords), None)
        values = coords[named].values.astype(str) if named else np.full(n, "trial")
        unlike = np.unique(values)
        event_id = {str(v): i + 1 for i, v in enumerate(unlike)}
        codes = [
            np.arange(n) * recording.shape[1],
            np.zeros(n, int),
            np.searchsorted(unlike, values) + 1,
        ]
        columns = [c for c in coords if coords[c].dims == ("trial",) and c != "trial"]
        metadata = pd.DataFrame({c: coords[c].values for c in columns}) if columns else None
        extra = {}
    baseline = json.loads(about.get("mne_baseline", "null"))
    epochs = lib.EpochsArray(
        _values(recording),
        to_mne_info(recording),
        events=np.stack(codes, 1).astype(int),
        event_id=event_id,
        tmin=float(recording.data["time"].values[0]),
        metadata=metadata,
        verbose="error",
        **extra,
    )
    epochs.baseline = None if baseline is None else tuple(baseline)
    return epochs


def _values(recording: Recording) -> np.ndarray:
    """(trial, unit, time) in MNE's SI units."""
    if recording.mask is not None and not bool(recording.mask.all()):
        raise ValueError(
            "The recording has masked samples, which MNE cannot hold: select the valid part first."
        )
    values = recording.to_numpy().transpose(0, 2, 1)
    return values * SCALES.get(recording.unit, 1.0)


SCALES = {"uV": 1e-6, "mV": 1e-3, "fT": 1e-15, "pT": 1e-12, "fT/cm": 1e-13}
"""Unit -> how much of the SI unit it is."""
