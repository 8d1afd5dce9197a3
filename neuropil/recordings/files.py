"""Our own `.npz` files: numpy arrays and a JSON card, no pickle; the data are mapped, not loaded."""

import json
import os
import struct
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from .lazy import DIMS, Lazy
from .provenance import Split, Step
from .recording import Recording
from .spikes import SpikeTimes

FORMAT = "neuropil recording 1"
_BLOCK = 2**24  # values written at a time


def save(recording: Recording, path: Path) -> Path:
    """Write `path` whole or not at all: to a neighbour first, then renamed."""
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"A recording is saved as .npz, not as {path.name}: change the name.")
    data = recording.data
    arrays = {name: _plain(data[name]) for name in data.coords}
    arrays |= {f"event_{c}": _plain(recording.events[c]) for c in recording.events}
    if recording.mask is not None:
        arrays["mask"] = recording.mask.values
    if recording.positions is not None:
        arrays["positions"] = recording.positions
    if recording.spikes is not None:
        arrays |= {f"spike_{n}": _plain(a) for n, a in vars(recording.spikes).items()}
    card = {
        "format": FORMAT,
        "rate": recording.rate,
        "unit": recording.unit,
        "mask_dims": list(recording.mask.dims) if recording.mask is not None else None,
        "positions_unit": recording.positions_unit,
        "trial_columns": [c for c in data.coords if c not in DIMS and data[c].dims == ("trial",)],
        "unit_columns": [c for c in data.coords if c not in DIMS and data[c].dims == ("unit",)],
        "history": [list(s) for s in recording.history],
        "split": list(recording.split) if recording.split else None,
        "about": dict(recording.about),
    }
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("card.json", json.dumps(card))
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as f:
                    np.lib.format.write_array(f, np.ascontiguousarray(array), allow_pickle=False)
            with archive.open("data.npy", "w", force_zip64=True) as f:
                _write_blocks(f, recording)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path


def _write_blocks(f, recording: Recording) -> None:
    data = recording.data
    header = {
        "descr": np.lib.format.dtype_to_descr(data.dtype),
        "fortran_order": False,
        "shape": data.shape,
    }
    np.lib.format.write_array_header_1_0(f, header)
    step = max(1, _BLOCK // data.shape[2])
    for trial in range(data.shape[0]):
        for low in range(0, data.shape[1], step):
            f.write(data[trial, low : low + step].values.astype(data.dtype).tobytes())


def is_saved(path: Path) -> bool:
    """Whether this archive has the card that `save` writes."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "card.json" in archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False


def open_npz(path: Path) -> Recording:
    """The recording in a `.npz` that `Recording.save` wrote; its values stay on disk until read."""
    try:
        with zipfile.ZipFile(path) as archive:
            card = json.loads(archive.read("card.json"))
            small = {
                name[:-4]: np.lib.format.read_array(archive.open(name), allow_pickle=False)
                for name in archive.namelist()
                if name.endswith(".npy") and name != "data.npy"
            }
            data = _map(path, archive.getinfo("data.npy"))
    except (KeyError, zipfile.BadZipFile, ValueError) as err:
        raise ValueError(
            f"{path} is not a sound recording ({err}): it must be a .npz written by Recording.save."
        ) from err
    if card.get("format") != FORMAT:
        raise ValueError(f"{path} has the format {card.get('format')!r}: this reads {FORMAT!r}.")
    events = {n[6:]: a for n, a in small.items() if n.startswith("event_")}
    mask = small.get("mask")
    if mask is not None:
        mask = mask[tuple(slice(None) if d in card["mask_dims"] else None for d in DIMS)]
    recording = Recording.from_array(
        Lazy(data.shape, data.dtype, lambda *block: data[block]),
        rate=card["rate"],
        unit=card["unit"],
        labels=small["unit"],
        time=small["time"],
        mask=mask,
        trials={"trial": small["trial"]} | {c: small[c] for c in card["trial_columns"]},
        columns={c: small[c] for c in card.get("unit_columns", ())},
        positions=small.get("positions"),
        positions_unit=card["positions_unit"],
        events=pd.DataFrame(events) if events else None,
        about=card["about"],
    )
    split = card.get("split")
    return replace(
        recording,
        history=tuple(Step(*s) for s in card.get("history", ())),
        split=Split(*split) if split else None,
        spikes=SpikeTimes(*(small[f"spike_{n}"] for n in ("times", "units", "trials")))
        if "spike_times" in small
        else None,
    )


def _map(path: Path, member: zipfile.ZipInfo) -> np.memmap:
    """Map an uncompressed array inside a zip: it lies after the local header and the npy header."""
    with path.open("rb") as f:
        f.seek(member.header_offset)
        local = f.read(30)
        f.seek(member.header_offset + 30 + sum(struct.unpack("<2H", local[26:30])))
        np.lib.format.read_magic(f)
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(f)
        if fortran or member.compress_type != zipfile.ZIP_STORED:
            raise ValueError("its data are packed")
        return np.memmap(path, dtype, "r", f.tell(), shape)


def _plain(column: pd.Series | xr.DataArray | np.ndarray) -> np.ndarray:
    values = np.asarray(column)
    return values.astype(str) if values.dtype.kind not in "biuf" else values
