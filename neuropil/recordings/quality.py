"""What is wrong with a recording, with a reason and a fix; nothing is repaired that is not asked for."""

import difflib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import xarray as xr

from .lazy import is_lazy
from .local import mapped
from .provenance import step
from .recording import Recording

SI = {
    "V": ("V", 1.0), "mV": ("V", 1e-3), "uV": ("V", 1e-6), "nV": ("V", 1e-9), "T": ("T", 1.0),
    "pT": ("T", 1e-12),
    "fT": ("T", 1e-15), "T/m": ("T/m", 1.0), "fT/cm": ("T/m", 1e-13), "pT/m": ("T/m", 1e-12),
}  # fmt: skip
"""Unit of measure -> its SI unit and how much of it it is."""

TYPICAL = {
    "eeg": ("V", 5e-7, 1e-3), "seeg": ("V", 1e-6, 5e-3), "ecog": ("V", 1e-6, 5e-3),
    "eog": ("V", 1e-6, 5e-3), "ecg": ("V", 1e-6, 1e-2), "emg": ("V", 1e-7, 1e-2),
    "mag": ("T", 1e-14, 1e-10), "grad": ("T/m", 1e-13, 5e-9),
}  # fmt: skip
"""Kind -> SI unit, and between which deviations its signals usually lie."""

OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
"""Names of the first 10-20 system -> those of today."""


class ScaleWarning(UserWarning):
    """Values that cannot be in the unit of measure that the file gives."""


class Finding(NamedTuple):
    """One thing that is wrong: a short name, which units or trials, and what to do."""

    problem: str
    where: tuple
    fix: str

    def __str__(self) -> str:
        few = ", ".join(map(str, self.where[:6])) + (", ..." if len(self.where) > 6 else "")
        return f"{self.problem}{': ' + few if few else ''}. {self.fix}"


def inspect(recording: Recording, seconds: float | int | None = 30.0) -> list[Finding]:
    """What is wrong in the first `seconds` of each trial (None: all): flat, NaN, clipped or far louder
    channels, channels that are the same, and values in the wrong scale (volts that are microvolts).

    An empty list says that nothing was found, not that all is well.

    >>> x = np.random.default_rng(0).normal(size=(1, 500, 3)) * 2e1
    >>> x[..., 2] = 0.0
    >>> rec = Recording.from_array(x, rate=100.0, unit="V", columns={"kind": ["eeg"] * 3})
    >>> [f.problem for f in inspect(rec)]
    ['flat channels', 'eeg in V has a deviation of 19.4 V: the values look like uV']
    """
    n = (
        recording.shape[1]
        if seconds is None
        else min(recording.shape[1], max(2, round(seconds * recording.rate)))
    )
    part = recording.data[:, :n]
    values = np.asarray(part.values, float)
    mask = recording.mask
    if mask is not None:
        valid = mask.broadcast_like(recording.data).transpose(*recording.data.dims)[:, :n].values
        bad = ~np.isfinite(values) & valid
        values = np.where(valid, values, np.nan)
    else:
        bad = ~np.isfinite(values)
    labels = recording.data["unit"].values
    found = []

    def say(problem: str, which: np.ndarray, fix: str) -> None:
        if which.any():
            found.append(Finding(problem, tuple(labels[which].tolist()), fix))

    flat_values = values.reshape(-1, values.shape[2])
    say(
        "NaN or infinite",
        bad.any((0, 1)),
        "Mark them by mask=, or leave the channels out by select(units=).",
    )
    some = np.isfinite(flat_values).any(0)
    low = np.nanmin(np.where(some, flat_values, 0), 0)
    high = np.nanmax(np.where(some, flat_values, 0), 0)
    flat = some & (high == low)
    if recording.unit == "spikes":
        silent = some & (high == 0)
        say(
            "silent units",
            silent,
            "They hold no information here: leave them out, or keep them knowingly.",
        )
        return found
    kinds = (
        recording.data["kind"].values
        if "kind" in recording.data.coords
        else np.full(len(labels), "")
    )
    signal = ~np.isin(kinds, ("stim", "misc", "event"))
    say(
        "flat channels",
        flat & signal,
        "Nothing was recorded there: leave them out by select(units=).",
    )
    at_end = ((flat_values == high) | (flat_values == low)).sum(0) / np.maximum(
        np.isfinite(flat_values).sum(0), 1
    )
    say(
        "clipped channels (over 1 % at their extremes)",
        signal & ~flat & (at_end > 0.01) & (flat_values.shape[0] > 200),
        "The amplifier was at its limit: mask those stretches, or leave the channels out.",
    )
    deviation = np.nanstd(np.where(some, flat_values, 0), 0)
    for kind in dict.fromkeys(kinds[signal].tolist()):
        same = (kinds == kind) & ~flat & some
        if same.sum() >= 4:
            middle = np.median(deviation[same])
            loud = same & (deviation > 20 * middle)
            say(
                "channels over 20 times louder than the median",
                loud,
                "A loose electrode? Mark them bad.",
            )
    found += _scale(recording, kinds, deviation, some & ~flat, labels)
    found += _same(flat_values, labels, signal & ~flat & some & ~bad.any((0, 1)))
    return found


def require(recording: Recording, seconds: float | int | None = 30.0) -> Recording:
    """The recording itself, where `inspect` finds nothing; else ValueError with every finding."""
    found = inspect(recording, seconds)
    if found:
        raise ValueError("The recording is not sound: " + " ".join(map(str, found)))
    return recording


def warn_of_scale(recording: Recording, seconds: float | int = 5.0) -> None:
    """A `ScaleWarning` where the first seconds of EEG or MEG cannot be in the unit they are said to be in."""
    coords = recording.data.coords
    if "kind" not in coords or not np.isin(coords["kind"].values, list(TYPICAL)).any():
        return
    for finding in inspect(recording.select(trials=recording.data["trial"].values[:1]), seconds):
        if " has a deviation of " in finding.problem:
            name = recording.about.get("source", "The recording")
            warnings.warn(f"{name}: {finding}", ScaleWarning, stacklevel=3)


def _scale(recording, kinds, deviation, usable, labels) -> list[Finding]:
    coords = recording.data.coords
    measures = (
        coords["measure"].values if "measure" in coords else np.full(len(labels), recording.unit)
    )
    out = []
    for kind, (si, low, high) in TYPICAL.items():
        which = (kinds == kind) & usable
        if not which.any():
            continue
        measure = str(measures[which][0])
        if SI.get(measure, ("", 0))[0] != si:
            continue
        value = float(np.median(deviation[which]))
        if low <= value * SI[measure][1] <= high:
            continue
        better = [m for m, (s, f) in SI.items() if s == si and low <= value * f <= high]
        usual = {"V": ("uV", "V", "mV"), "T": ("fT", "pT", "T"), "T/m": ("fT/cm", "pT/m", "T/m")}[
            si
        ]
        better = sorted(better, key=lambda m: usual.index(m) if m in usual else 9)
        looks = f": the values look like {better[0]}" if better else ""
        fix = (
            f'If so, say preprocess.is_in(recording, "{better[0]}").'
            if better
            else "Ask for the amplifier's gain: no usual unit fits."
        )
        problem = f"{kind} in {measure} has a deviation of {value:.3g} {measure}{looks}"
        out.append(Finding(problem, (), fix))
    return out


def _same(values: np.ndarray, labels: np.ndarray, usable: np.ndarray) -> list[Finding]:
    x = values[np.isfinite(values).all(1)][:2000, usable]
    if len(x) < 50:
        return []
    seen: dict[bytes, int] = {}
    twins = []
    for j, column in enumerate(x.T):
        first = seen.setdefault(np.ascontiguousarray(column).tobytes(), j)
        if first != j:
            twins += [labels[usable][first], labels[usable][j]]
    fix = "Bridged electrodes, or one channel stored twice: leave one of them out."
    return (
        [Finding("channels with the same values", tuple(dict.fromkeys(twins)), fix)]
        if twins
        else []
    )


def is_in(recording: Recording, unit: str | Mapping[str, str]) -> Recording:
    """The same numbers, said to be in another unit of measure: the file was wrong, or silent, about it.

    `unit`: one, or one for each kind ({"eeg": "uV"}). The values do not change; `convert` changes them.
    """
    measure = _measures(recording, unit)
    data = recording.data.assign_coords(measure=("unit", measure))
    about = {k: v for k, v in recording.about.items() if k != "mne_info"}
    done = step("is_in", unit=unit)
    return replace(
        recording, data=data, unit=_one(measure), about=about, history=(*recording.history, done)
    )


def convert(recording: Recording, unit: str | Mapping[str, str]) -> Recording:
    """The same quantities in another unit of measure ("V" to "uV"; {"mag": "fT", "grad": "fT/cm"}), lazily.

    ValueError: units that do not measure the same thing.
    """
    coords = recording.data.coords
    now = (
        coords["measure"].values
        if "measure" in coords
        else np.full(recording.shape[2], recording.unit)
    )
    target = _measures(recording, unit)
    factor = np.ones(len(now))
    for j, (a, b) in enumerate(zip(now.tolist(), target.tolist(), strict=True)):
        if a == b:
            continue
        if a not in SI or b not in SI or SI[a][0] != SI[b][0]:
            raise ValueError(f"{a} cannot be made {b}: they do not measure the same thing.")
        factor[j] = SI[a][1] / SI[b][1]
    done = step("convert", unit=unit)
    out = mapped_any(recording, factor, done)
    return replace(out, data=out.data.assign_coords(measure=("unit", target)), unit=_one(target))


def mapped_any(recording: Recording, factor: np.ndarray, done) -> Recording:
    """Each unit times its factor; masked samples may lie anywhere."""
    if is_lazy(recording.data):
        return mapped(recording, lambda x: x * factor, done)
    data = recording.data * xr.DataArray(factor, dims="unit")
    data = recording.data.copy(data=data.transpose(*recording.data.dims).values)
    return replace(recording, data=data, history=(*recording.history, done))


def _measures(recording: Recording, unit) -> np.ndarray:
    coords = recording.data.coords
    now = (
        coords["measure"].values
        if "measure" in coords
        else np.full(recording.shape[2], recording.unit)
    )
    kinds = coords["kind"].values if "kind" in coords else np.full(len(now), "")
    if isinstance(unit, str):
        same = [SI.get(m, (m,))[0] == SI.get(unit, (unit,))[0] for m in now.tolist()]
        if len(set(now[now != "1"].tolist())) > 1 and not all(
            s or m == "1" for s, m in zip(same, now, strict=True)
        ):
            raise ValueError(
                f"The channels are in {', '.join(sorted(set(now.tolist())))}: say a unit for each kind, as "
                '{"eeg": "uV", "mag": "fT"}.'
            )
        return np.array([m if m == "1" else unit for m in now.tolist()])
    strange = [k for k in unit if k not in kinds.tolist()]
    if strange:
        raise ValueError(f"No channel is of the kind {strange[0]!r}.")
    return np.array([unit.get(k, m) for k, m in zip(kinds.tolist(), now.tolist(), strict=True)])


def _one(measure: np.ndarray) -> str:
    unlike = {m for m in measure.tolist() if m != "1"} or {"1"}
    return unlike.pop() if len(unlike) == 1 else "mixed"


def pick(recording: Recording, kind: str | Sequence[str], *, bad: bool = True) -> Recording:
    """The channels of this kind ("eeg", "mag", "grad", ...); `bad=False` leaves out those marked bad.

    ValueError: no such channel.
    """
    coords = recording.data.coords
    if "kind" not in coords:
        raise ValueError(
            "The units have no column 'kind': give columns={'kind': [...]} when you make it."
        )
    keep = np.isin(coords["kind"].values, np.atleast_1d(kind))
    if not bad and "bad" in coords:
        keep &= ~coords["bad"].values.astype(bool)
    if not keep.any():
        raise ValueError(
            f"No channel is of the kind {kind!r}: there are {', '.join(sorted(set(coords['kind'].values)))}."
        )
    out = recording.select(units=keep)
    measure = out.data["measure"].values if "measure" in coords else None
    return out if measure is None else replace(out, unit=_one(measure))


def match_channels(
    recording: Recording, names: Sequence[str], *, rename: Mapping[str, str] | None = None
) -> Recording:
    """The channels `names` in this order, found under other spellings too: other case, "EEG Fp1-Ref", "Fc5.",
    the old T3, T4, T5, T6, or as `rename` {"theirs": "yours"} says. What was renamed is in the history.

    ValueError: a channel that is missing (with the nearest names there are); nothing is interpolated.
    """
    have = [str(u) for u in recording.data["unit"].values]
    given = {v: k for k, v in (rename or {}).items()}
    by_form: dict[str, list[str]] = {}
    for h in have:
        by_form.setdefault(_form(h), []).append(h)
    chosen, missing, renamed = [], [], {}
    for name in names:
        if name in given and given[name] in have:
            hit = [given[name]]
        else:
            hit = [name] if name in have else by_form.get(_form(name), [])
        if len(hit) > 1:
            raise ValueError(f"Channel {name!r} could be {' or '.join(hit)}: say which by rename=.")
        if not hit:
            missing.append(name)
            continue
        chosen.append(hit[0])
        if hit[0] != name:
            renamed[hit[0]] = name
    if missing:
        near = difflib.get_close_matches(missing[0], have, 3, 0.4) or have[:6]
        raise ValueError(
            f"{len(missing)} of {len(names)} channels are missing: {', '.join(missing[:8])}; the nearest to "
            f"{missing[0]} are {', '.join(near)}. Map them by rename=, or leave them out of the "
            "model: nothing is "
            "interpolated by itself."
        )
    original = recording.data["unit"].values
    wanted = [original[have.index(c)] for c in chosen]
    out = recording.select(units=wanted)
    data = out.data.assign_coords(unit=np.array(list(names)))
    about = {k: v for k, v in out.about.items() if k != "mne_info" or not renamed}
    done = (step("match_channels", renamed=renamed),) if renamed else ()
    return replace(
        out,
        data=data,
        about=about,
        history=(*out.history, *done),
        spikes=None if renamed else out.spikes,
    )


def _form(name: str) -> str:
    plain = name.strip().strip(".").upper().removeprefix("EEG").strip(" -_:")
    for end in ("-REF", "-LE", "-AVG", "-A1", "-A2", "-M1", "-M2"):
        plain = plain.removesuffix(end)
    return OLD_NAMES.get(plain, plain)
