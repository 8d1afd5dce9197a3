"""BIDS data sets of EEG and MEG, by mne-bids: channels, electrodes, events and people as the sidecars say."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .mnelib import from_raw
from .recording import Recording


def _lib():
    try:
        import mne_bids
    except ImportError as err:
        raise ImportError("BIDS data sets need mne-bids: pip install neuropil[recordings]") from err
    from .mnelib import mne

    mne()
    return mne_bids


def root_of(path: Path) -> Path | None:
    """The BIDS root above a file, or None."""
    for folder in list(path.resolve().parents)[:5]:
        if (folder / "dataset_description.json").is_file() and path.name.startswith("sub-"):
            return folder
    return None


def open_bids_file(path: Path, **options: Any) -> Recording:
    """The recording a BIDS file name stands for, with its sidecars."""
    lib = _lib()
    return _read(lib, lib.get_bids_path_from_fname(path, check=False), options)


def open_bids(root: Path, **entities: Any) -> Recording:
    """One recording of a BIDS folder: `subject=`, `session=`, `task=`, `run=`, `datatype=` ("eeg", "meg", ...).

    ValueError: none, or several, fit; it lists what there is.
    """
    lib = _lib()
    given = {k: str(v) for k, v in entities.items()}
    known = ("subject", "session", "task", "acquisition", "run", "processing", "datatype")
    strange = [k for k in given if k not in known]
    if strange:
        raise ValueError(f"{strange[0]!r} is no entity of BIDS here: use {', '.join(known)}.")
    kinds = [given.pop("datatype")] if "datatype" in given else ["meg", "eeg", "ieeg"]
    found = [
        p
        for p in lib.find_matching_paths(
            root, datatypes=kinds, ignore_nosub=True, **{k + "s": v for k, v in given.items()}
        )
        if p.suffix in ("meg", "eeg", "ieeg")
        and p.extension in (".fif", ".edf", ".bdf", ".vhdr", ".set", ".ds", ".sqd", ".con")
    ]
    if len(found) != 1:
        names = ", ".join(p.basename for p in found[:6]) or "none"
        raise ValueError(
            f"{len(found)} recordings of {Path(root).name} fit ({names}): name subject=, session=, task=, run=."
        )
    return _read(lib, found[0], {})


def _read(lib, bids_path, options: dict) -> Recording:
    from .mnelib import mne

    with mne().utils.use_log_level("error"):
        try:
            raw = lib.read_raw_bids(bids_path, extra_params=options or None, verbose="error")
        except (ImportError, FileNotFoundError):
            raise
        except Exception as err:  # MNE's readers fail in their own ways
            short = " ".join(str(err).split())[:200]
            raise ValueError(
                f"{bids_path.basename} cannot be read ({short}): check it by bids-validator."
            ) from err
    out = from_raw(raw, bids_path.basename)
    said = {n: str(getattr(bids_path, n)) for n in ("subject", "session", "task", "run")}
    said = {n: v for n, v in said.items() if v != "None"}
    columns = {n: ("trial", np.array([v])) for n, v in said.items() if n in ("subject", "session")}
    return replace(out, data=out.data.assign_coords(columns), about={**out.about, **said})
