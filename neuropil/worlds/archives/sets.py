"""Readers of archives in formats of their own: MOABB, Allen two-photon, Algonauts, THINGS."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuropil.recordings import Recording
from neuropil.recordings import preprocess as pp
from neuropil.recordings.events.speech import h5py_
from neuropil.recordings.lazy import Lazy
from neuropil.recordings.mnelib import from_raw, mne

from .fetching import local


def moabb_recordings(dataset: Any, subjects: Sequence[int] = (1,)) -> list[Recording]:
    """Epochs of a MOABB set, a recording a subject: trial columns `label`, `subject`, `session`, `run`.

    `dataset`: the name of a class of `moabb.datasets` ("BNCI2014_001"; MOABB downloads and caches it), or
    such an object. The window is the set's own `interval` after the event; EEG channels in uV; runs are
    filtered nowhere. ImportError: without moabb. ValueError: a name MOABB does not have, a subject the set
    does not have.
    """
    if isinstance(dataset, str):
        try:
            import moabb.datasets as library
        except ImportError as err:
            raise ImportError("MOABB sets need moabb: pip install moabb") from err
        if not hasattr(library, dataset):
            raise ValueError(
                f"MOABB has no data set {dataset!r}: see its list at moabb.neurotechx.com."
            )
        dataset = getattr(library, dataset)()
    strange = [s for s in subjects if s not in dataset.subject_list]
    if strange:
        raise ValueError(
            f"{type(dataset).__name__} has no subject {strange[0]}: it has {dataset.subject_list}."
        )
    out = []
    for subject, sessions in dataset.get_data(subjects=list(subjects)).items():
        parts = []
        for session, runs in sessions.items():
            for run, raw in runs.items():
                rec = _labelled(
                    from_raw(raw, f"{type(dataset).__name__}, subject {subject}"), raw, dataset
                )
                rec = pp.convert(pp.pick(rec, "eeg"), "uV")
                low, high = dataset.interval
                cut = pp.epochs(rec, low, high, labels=sorted(set(rec.events["label"])))
                n = cut.shape[0]
                columns = {
                    "subject": np.full(n, subject),
                    "session": np.full(n, str(session)),
                    "run": np.full(n, str(run)),
                }
                data = cut.data.assign_coords({c: ("trial", v) for c, v in columns.items()})
                parts.append(Recording(**{**vars(cut), "data": data}))
        out.append(pp.join(parts))
    return out


def _labelled(rec: Recording, raw: Any, dataset: Any) -> Recording:
    """Events of the set's own names: its annotations, else its stimulus channel."""
    names = dataset.event_id
    events = rec.events[rec.events["label"].isin(names)]
    if not len(events):
        library = mne()
        found = library.find_events(raw, shortest_event=0, verbose="error")
        label = {code: name for name, code in names.items()}
        found = found[np.isin(found[:, 2], list(label))]
        events = pd.DataFrame(
            {
                "onset": (found[:, 0] - raw.first_samp) / raw.info["sfreq"],
                "duration": 0.0,
                "label": [label[c] for c in found[:, 2]],
                "trial": 0,
            }
        )
    if not len(events):
        raise ValueError(
            f"A run of {type(dataset).__name__} has none of the events {', '.join(names)}."
        )
    return Recording(**{**vars(rec), "events": events.reset_index(drop=True)})


def open_allen_2p(path: str | Path, of: str = "dff") -> Recording:
    """A session of Allen's Visual Coding (two-photon; NWB's first version): "dff" or "raw" traces of all ROIs,
    frames on disk; labels are cell specimen ids, positions the centre of each ROI's pixels, events the stimuli
    (label the stimulus, onset and duration in seconds, `frame` or the gratings' features as columns).

    ValueError: another file, or one cut short.
    """
    path = Path(path)
    h5py = h5py_()
    names = {"dff": ("DfOverF", "dF/F"), "raw": ("Fluorescence", "fluorescence")}
    if of not in names:
        raise ValueError(f"of={of!r}: choose 'dff' or 'raw'.")
    group, unit = names[of]
    try:
        file = h5py.File(path, "r")
        pipeline = file["processing/brain_observatory_pipeline"]
        plane = pipeline[f"{group}/imaging_plane_1"]
        time = np.asarray(plane["timestamps"], float)
        masks = pipeline["ImageSegmentation/imaging_plane_1"]
        cells = np.asarray(pipeline["ImageSegmentation/cell_specimen_ids"])
        rois = [r.decode() if isinstance(r, bytes) else str(r) for r in masks["roi_list"][()]]
        centres = [np.asarray(masks[r]["pix_mask"], float)[:, :2].mean(0) for r in rois]
        events = _presented(file, time)
    except (OSError, KeyError) as err:
        raise ValueError(
            f"{path.name} is not a session of Allen's Visual Coding ({err}): fetch it by AllenSDK again."
        ) from err
    data = plane["data"]

    def read(trials: slice, times: slice, units: slice) -> np.ndarray:
        return np.asarray(data[units, times]).T[None]

    return Recording.from_array(
        Lazy((1, len(time), len(cells)), data.dtype, read),
        rate=float(1 / np.median(np.diff(time))),
        unit=unit,
        time=time,
        labels=cells,
        positions=np.array(centres),
        positions_unit="px",
        events=events,
        about={"source": f"Allen Visual Coding, {path.name}"},
    )


def _presented(file, time: np.ndarray) -> pd.DataFrame | None:
    parts = []
    for name, group in file.get("stimulus/presentation", {}).items():
        frames = np.asarray(group["frame_duration"])[:, :2].astype(int)
        values = np.asarray(group["data"], float)
        if "features" in group:
            features = [
                f.decode() if isinstance(f, bytes) else str(f) for f in group["features"][()]
            ]
        else:
            features = (
                ["frame"] if values.ndim == 1 else [f"value{i}" for i in range(values.shape[1])]
            )
        last = len(time) - 1
        begin, end = time[frames[:, 0].clip(0, last)], time[frames[:, 1].clip(0, last)]
        table = pd.DataFrame(values.reshape(len(frames), -1), columns=features)
        parts.append(
            table.assign(onset=begin, duration=end - begin, label=name.removesuffix("_stimulus"))
        )
    return pd.concat(parts, ignore_index=True) if parts else None


def open_algonauts(folder: str | Path, *, roi: str | None = None) -> Recording:
    """Training responses of a subject of Algonauts 2023 (subj01 ...): (image, 1, vertex) in z, both
    hemispheres, left on disk; the trials' column `image` is the file, `nsd` its number in NSD; units are
    "lh.12", "rh.3".

    `roi`: a region such as "V1v", "FFA-1", by the masks of the challenge. The responses are averages over
    repetitions, scaled within sessions: there is no time course, so one sample at 1 Hz.
    ValueError: images and rows that do not agree, no such region.
    """
    folder = Path(folder)
    split = folder / "training_split"
    images = sorted(p.name for p in (split / "training_images").glob("train-*.png"))
    sides = []
    for side in ("lh", "rh"):
        path = split / "training_fmri" / f"{side}_training_fmri.npy"
        if not path.is_file():
            raise FileNotFoundError(
                f"There is no {path.name} in {folder.name}: is it a subject of Algonauts 2023?"
            )
        try:
            sides.append(np.load(path, mmap_mode="r", allow_pickle=False))
        except ValueError as err:
            raise ValueError(
                f"{path.name} is not a sound array file ({err}): fetch it again."
            ) from err
    lh, rh = sides
    if not len(images) == len(lh) == len(rh):
        raise ValueError(
            f"{folder.name} has {len(images)} images and {len(lh)} and {len(rh)} rows of responses."
        )
    labels = [f"lh.{i}" for i in range(lh.shape[1])] + [f"rh.{i}" for i in range(rh.shape[1])]
    keep = (
        np.arange(len(labels)) if roi is None else _region(folder, roi, (lh.shape[1], rh.shape[1]))
    )

    def read(trials: slice, times: slice, units: slice) -> np.ndarray:
        both = np.concatenate([lh[trials], rh[trials]], 1)
        return both[:, keep[units]][:, None][:, times]

    return Recording.from_array(
        Lazy((len(images), 1, len(keep)), lh.dtype, read),
        rate=1.0,
        unit="z",
        labels=np.array(labels)[keep],
        trials={"image": np.array(images), "nsd": [int(n.split("nsd-")[1][:5]) for n in images]},
        about={"source": f"Algonauts 2023, {folder.name}"},
    )


def _region(folder: Path, roi: str, sizes: tuple[int, int]) -> np.ndarray:
    """Columns of a region. The mapping of numbers to names is a pickled dictionary, which is not opened: the
    names of each class of regions are known, in the order of their numbers."""
    kind = next((k for k, n in REGIONS.items() if roi in n), None)
    if kind is None:
        known = ", ".join(n for v in REGIONS.values() for n in v)
        raise ValueError(f"There is no region {roi!r}: choose among {known}.")
    number = REGIONS[kind].index(roi) + 1
    found, low = [], 0
    for side, n in zip(("lh", "rh"), sizes, strict=True):
        path = folder / "roi_masks" / f"{side}.{kind}_challenge_space.npy"
        if path.is_file():
            mask = np.load(path, allow_pickle=False)
            if len(mask) != n:
                raise ValueError(
                    f"{path.name} has {len(mask)} vertices and the responses {n}: fetch it again."
                )
            found.append(low + np.flatnonzero(mask == number))
        low += n
    every = np.concatenate(found) if found else np.zeros(0, int)
    if not len(every):
        raise ValueError(f"{folder.name} has no vertex in {roi}.")
    return every


REGIONS = {
    "prf-visualrois": ("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4"),
    "floc-bodies": ("EBA", "FBA-1", "FBA-2", "mTL-bodies"),
    "floc-faces": ("OFA", "FFA-1", "FFA-2", "mTL-faces", "aTL-faces"),
    "floc-places": ("OPA", "PPA", "RSC"),
    "floc-words": ("OWFA", "VWFA-1", "VWFA-2", "mfs-words", "mTL-words"),
    "streams": (
        "early",
        "midventral",
        "midlateral",
        "midparietal",
        "ventral",
        "lateral",
        "parietal",
    ),
}
"""Class of regions -> names in the order of their numbers (NSD's)."""


def open_things_fmri(folder: str | Path, subject: int, *, roi: str | None = None) -> Recording:
    """Single-trial responses of THINGS-fMRI (the tables in betas_csv): (trial, 1, voxel), left on disk; trial
    columns `image`, `concept`, `session`, `run`, `trial_type` ("train", "test", "catch"); positions are voxel
    indices; the units' columns are the regions (0 or 1) and noise ceilings of VoxelMetadata.

    `roi`: a column of it, such as "V1" or "lFFA". One sample at 1 Hz: a beta is no time course.
    ValueError: tables that do not agree, no such region.
    """
    folder = Path(folder)
    base = folder / "betas_csv" if (folder / "betas_csv").is_dir() else folder
    stem = f"sub-{subject:02d}"
    stimuli = pd.read_csv(base / f"{stem}_StimulusMetadata.csv")
    voxels = pd.read_csv(base / f"{stem}_VoxelMetadata.csv")
    h5py = h5py_()
    try:
        file = h5py.File(base / f"{stem}_ResponseData.h5", "r")
        group = file["ResponseData"] if "ResponseData" in file else file[next(iter(file))]
        blocks = [group[k] for k in group if k.startswith("block") and k.endswith("_values")]
        data = next(b for b in blocks if b.shape == (len(voxels), len(stimuli)))
    except (OSError, KeyError, StopIteration) as err:
        raise ValueError(
            f"{stem}_ResponseData.h5 does not hold {len(voxels)} voxels x {len(stimuli)} trials "
            f"({err}): it is cut "
            "short, or the tables are of another subject."
        ) from err
    keep = np.arange(len(voxels))
    if roi is not None:
        if roi not in voxels:
            raise ValueError(f"THINGS has no region {roi!r}: it has {', '.join(voxels.columns)}.")
        keep = np.flatnonzero(voxels[roi].to_numpy() > 0)
        if not len(keep):
            raise ValueError(f"{stem} has no voxel in {roi}.")

    def read(trials: slice, times: slice, units: slice) -> np.ndarray:
        rows = keep[units]
        block = np.asarray(data[rows.min() : rows.max() + 1, trials])[rows - rows.min()]
        return block.T[:, None][:, times]

    kept = voxels.iloc[keep]
    places = [c for c in ("voxel_x", "voxel_y", "voxel_z") if c in kept]
    numbers = {
        c: kept[c].to_numpy() for c in kept if kept[c].dtype.kind in "biuf" and c not in places
    }
    names = {
        "stimulus": "image",
        "concept": "concept",
        "session": "session",
        "run": "run",
        "trial_type": "trial_type",
    }
    return Recording.from_array(
        Lazy((len(stimuli), 1, len(keep)), data.dtype, read),
        rate=1.0,
        unit="beta",
        labels=kept["voxel_id"].to_numpy() if "voxel_id" in kept else keep,
        trials={
            new: stimuli[old].to_numpy()
            if stimuli[old].dtype.kind in "biuf"
            else stimuli[old].astype(str).to_numpy(str)
            for old, new in names.items()
            if old in stimuli
        },
        columns={
            c: v for c, v in numbers.items() if c not in ("trial", "time", "unit", "voxel_id")
        },
        positions=kept[places].to_numpy(float) if len(places) == 3 else None,
        positions_unit="voxel",
        about={"source": f"THINGS-fMRI, {stem}"},
    )


def things_fmri(subject: int, **options: Any) -> Recording:
    """`open_things_fmri` of the tables where they are kept. FileNotFoundError says where they come from."""
    return open_things_fmri(
        local("things-fmri", "**/*_ResponseData.h5")[0].parent, subject, **options
    )
