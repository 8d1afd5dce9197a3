"""fMRI: regions of an atlas, responses to conditions by a haemodynamic GLM, noise normalisation.

The GLM is nilearn's (`pip install neuropil[fmri]`); a recording goes in and a recording of responses comes out,
with a trial for each condition (or event) of each run, ready for `encode` and `crossnobis`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .provenance import may_fit, step
from .recording import Recording


def _nilearn():
    try:
        import nilearn.glm.first_level as lib
    except ImportError as err:
        raise ImportError("responses by a GLM need nilearn: pip install neuropil[fmri]") from err
    return lib


def in_regions(
    recording: Recording, atlas: Any, names: Mapping[int, str] | Sequence[str] | None = None
) -> Recording:
    """The recording with a column `region` of its units: the atlas' label where each lies, or "".

    `atlas`: a NIfTI file or image of whole numbers (each unit takes the voxel it lies in, by its position in
    mm; both must be in one space), or an array with a number for each unit (a surface's labels). `names`: by
    number, or a list, the first for 1; without it the numbers are the names.

    >>> rec = Recording.from_array(np.ones((1, 4, 3)), rate=0.5, unit="BOLD")
    >>> in_regions(rec, np.array([1, 0, 2]), ["V1", "V2"]).data.region.values.tolist()
    ['V1', '', 'V2']

    Raises ValueError where units have no positions in mm, or labels are of another length.
    """
    if isinstance(atlas, str | Path) or hasattr(atlas, "affine"):
        numbers = _at(recording, atlas)
    else:
        numbers = np.asarray(atlas)
    if numbers.shape != (recording.shape[2],):
        raise ValueError(f"The atlas has {numbers.shape} labels for {recording.shape[2]} units.")
    numbers = numbers.astype(int)
    if names is None:
        called = {int(n): str(n) for n in np.unique(numbers)}
    elif isinstance(names, Mapping):
        called = {int(k): str(v) for k, v in names.items()}
    else:
        called = {i: str(name) for i, name in enumerate(names, 1)}
    regions = [called.get(int(n), "") if n else "" for n in numbers]
    return replace(recording, data=recording.data.assign_coords(region=("unit", regions)))


def _at(recording: Recording, atlas: Any) -> np.ndarray:
    """What an atlas holds where each unit lies, 0 outside it."""
    import nibabel

    if recording.positions is None or recording.positions_unit != "mm":
        raise ValueError("The units have no positions in mm, so no place in the atlas.")
    image = nibabel.load(atlas) if isinstance(atlas, str | Path) else atlas
    values = np.asarray(image.dataobj)
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    back = np.linalg.inv(image.affine)
    at = np.round(nibabel.affines.apply_affine(back, recording.positions)).astype(int)
    inside = ((at >= 0) & (at < values.shape)).all(1)
    out = np.zeros(len(at), values.dtype)
    out[inside] = values[tuple(at[inside].T)]
    return out


def by_region(recording: Recording) -> Recording:
    """Mean of the units of each region: a unit a region, in the order of their names, at its middle.

    >>> rec = Recording.from_array(np.arange(3.0).reshape(1, 1, 3), rate=0.5, unit="BOLD")
    >>> by_region(in_regions(rec, np.array([1, 1, 2]))).to_numpy().ravel().tolist()
    [0.5, 2.0]

    Raises ValueError where the units have no column `region` (`in_regions` makes it) or lie in none.
    """
    if "region" not in recording.data.coords:
        raise ValueError(
            "The units have no column 'region': in_regions(recording, atlas) makes it."
        )
    region = recording.data["region"].values.astype(str)
    names = sorted(set(region) - {""})
    if not names:
        raise ValueError("No unit lies in a region of the atlas: are they in one space?")
    parts = [recording.select(units=region == name) for name in names]
    values = np.stack([part.mean("unit").values for part in parts], 2)
    middle = None
    if recording.positions is not None:
        middle = np.stack([recording.positions[region == name].mean(0) for name in names])
    trials = _trial_columns(recording)
    out = Recording.from_array(
        np.nan_to_num(values),
        rate=recording.rate,
        unit=recording.unit,
        labels=names,
        time=recording.data["time"].values,
        mask=None if np.isfinite(values).all() else np.isfinite(values),
        trials=trials,
        columns={"region": names, "units": [part.shape[2] for part in parts]},
        positions=middle,
        positions_unit=recording.positions_unit,
        events=recording.events,
        about=recording.about,
    )
    done = (*recording.history, step("by_region", regions=len(names)))
    return replace(out, history=done, split=recording.split)


@dataclass(frozen=True)
class Responses:
    """What `responses` found.

    - `betas`: Recording (run x condition, 1, unit) with the columns `condition` and `run`;
    - `noise` (run, unit): standard deviation of the residuals;
    - `residuals`: Recording of what the model did not explain;
    - `designs`: the design of each run.
    """

    betas: Recording
    noise: np.ndarray
    residuals: Recording
    designs: tuple[pd.DataFrame, ...]

    def normalised(self, multivariate: bool = False) -> Recording:
        r"""Betas over the noise: each unit by its own deviation in its run, or (`multivariate`) whitened by the
        covariance of the residuals of all units, $\beta\,\Sigma^{-1/2}$, shrunk as Ledoit and Wolf do. What is
        noisy then counts less in distances and correlations of patterns.

        Source: Misaki et al. (2010), NeuroImage 53, 103; Walther et al. (2016), NeuroImage 137, 188.
        """
        values = self.betas.to_numpy()[:, 0]
        runs = self.betas.data["run"].values
        place = {run: i for i, run in enumerate(self.residuals.data["trial"].values.tolist())}
        at = np.array([place[r] for r in runs.tolist()])
        if multivariate:
            whiten = [_whitener(r) for r in self.residuals.to_numpy()]
            values = np.stack([v @ whiten[i] for v, i in zip(values, at, strict=True)])
        else:
            values = values / np.where(self.noise > 0, self.noise, np.nan)[at]
            if not np.isfinite(values).all():
                raise ValueError("A unit does not vary, so its noise is not known: select others.")
        done = (*self.betas.history, step("noise_normalise", multivariate=multivariate))
        data = self.betas.data.copy(data=values[:, None])
        return replace(self.betas, data=data, unit="1", history=done)


def _whitener(residuals: np.ndarray) -> np.ndarray:
    from sklearn.covariance import ledoit_wolf

    power, axes = np.linalg.eigh(ledoit_wolf(residuals)[0])
    return (axes / np.sqrt(np.maximum(power, 1e-12 * power.max()))) @ axes.T


def responses(
    recording: Recording,
    events: pd.DataFrame | Sequence[pd.DataFrame] | None = None,
    *,
    each: str = "condition",
    hrf: str = "glover",
    drift: str = "cosine",
    high_pass: float | int = 0.01,
    noise: str = "ar1",
    confounds: np.ndarray | Sequence[np.ndarray] | None = None,
) -> Responses:
    r"""Responses of every unit to every condition, by a GLM with a haemodynamic response, run by run.

    $$y = X \beta + \epsilon, \qquad X_c = (\text{boxcars of condition } c) * h$$

    **Arguments**
    - `recording` (run, time, unit); `events`: its own, or a table (a list of them, one a run) with the columns
      onset and duration (s) and label (or trial_type);
    - `each`: "condition", a response a condition and run; or "event", one for every event (all in one design);
    - `hrf`, `drift`, `high_pass` (Hz), `noise` ("ar1" or "ols"): as nilearn names them; volumes are taken at
      their onset (no slice timing);
    - `confounds`: columns (time, k) to take out, such as motion; a list, one a run.

    Raises ValueError for runs without events or with masked samples, and for designs that cannot be told apart.

    Source: Friston et al. (1994), Hum. Brain Mapp. 2, 189; computed by `nilearn.glm.first_level`.
    """
    lib = _nilearn()
    may_fit(recording, "responses")
    if each not in ("condition", "event"):
        raise ValueError(f"each is 'condition' or 'event', not {each!r}")
    if recording.mask is not None:
        raise ValueError("Some samples are masked: select runs and units without gaps.")
    values, time = recording.to_numpy().astype(float), recording.data["time"].values
    runs = recording.data["trial"].values
    tables = _tables(recording, events)
    nuisance = [None] * len(runs) if confounds is None else confounds
    nuisance = [nuisance] if isinstance(nuisance, np.ndarray) else list(nuisance)
    if len(nuisance) != len(runs):
        raise ValueError(f"There are confounds of {len(nuisance)} runs and {len(runs)} runs.")
    betas, which, ran, sds, rests, designs = [], [], [], [], [], []
    for run, y, table, extra in zip(runs.tolist(), values, tables, nuisance, strict=True):
        table = table[["onset", "duration", "label"]].rename(columns={"label": "trial_type"})
        kinds = table["trial_type"].astype(str)
        if each == "event":
            kinds = [f"{name}#{i}" for i, name in enumerate(kinds)]
        table = table.assign(trial_type=kinds)
        with warnings.catch_warnings():  # nilearn would go on with a design that it changed
            warnings.filterwarnings("error", "Matrix is singular")
            try:
                design = lib.make_first_level_design_matrix(
                    time - time[0],
                    table.assign(onset=table["onset"] - time[0]),
                    hrf_model=hrf,
                    drift_model=drift,
                    high_pass=float(high_pass),
                    add_regs=extra,
                )
            except UserWarning as err:
                raise ValueError(
                    f"Conditions of run {run} always come together, so they cannot be told apart."
                ) from err
        x = design.to_numpy(float)
        labels, found = lib.run_glm(y, x, noise_model=noise)
        theta, rest = np.empty((x.shape[1], y.shape[1])), np.empty_like(y)
        for kind, result in found.items():
            theta[:, labels == kind] = result.theta
            rest[:, labels == kind] = y[:, labels == kind] - x @ result.theta
        names = list(dict.fromkeys(kinds))
        columns = [design.columns.get_loc(name) for name in names]
        betas.append(theta[columns])
        which += [name.split("#")[0] if each == "event" else name for name in names]
        ran += [run] * len(names)
        free = max(len(y) - x.shape[1], 1)
        sds.append(np.sqrt((rest**2).sum(0) / free))
        rests.append(rest)
        designs.append(design)
    made = step("responses", each=each, hrf=hrf, drift=drift, high_pass=high_pass, noise=noise)
    out = Recording.from_array(
        np.concatenate(betas)[:, None],
        rate=1.0,
        unit=recording.unit,
        labels=recording.data["unit"].values,
        trials={"condition": which, "run": ran},
        columns=_unit_columns(recording),
        positions=recording.positions,
        positions_unit=recording.positions_unit,
        about=recording.about,
    )
    left = replace(recording, data=recording.data.copy(data=np.stack(rests)))
    return Responses(
        replace(out, history=(*recording.history, made), split=recording.split),
        np.stack(sds),
        replace(left, history=(*recording.history, made)),
        tuple(designs),
    )


def _tables(recording: Recording, events) -> list[pd.DataFrame]:
    runs = recording.data["trial"].values.tolist()
    if events is None:
        tables = [recording.events[recording.events["trial"] == run] for run in runs]
    else:
        tables = [events] if isinstance(events, pd.DataFrame) else list(events)
    if len(tables) != len(runs):
        raise ValueError(f"There are {len(tables)} tables of events for {len(runs)} runs.")
    named = [t.rename(columns={"trial_type": "label"}) for t in tables]
    for run, table in zip(runs, named, strict=True):
        missing = {"onset", "duration", "label"} - set(table.columns)
        if missing or not len(table):
            raise ValueError(
                f"Run {run} has no events with {', '.join(sorted(missing)) or 'rows'}."
            )
    return named


def _trial_columns(recording: Recording) -> dict[str, Any]:
    data = recording.data
    return {str(c): data[c].values for c in data.coords if data[c].dims == ("trial",)}


def _unit_columns(recording: Recording) -> dict[str, Any]:
    data = recording.data
    return {
        str(c): data[c].values for c in data.coords if data[c].dims == ("unit",) and c != "unit"
    }
