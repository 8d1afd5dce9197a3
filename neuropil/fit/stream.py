"""Batches of windows from recordings larger than memory, for one device or several (the extra `stream`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from neuropil.recordings import Recording


def _grain():
    try:
        import grain.python as grain
    except ImportError as error:
        raise ImportError("streaming needs grain: pip install neuropil[stream]") from error
    return grain


class Windows:
    """Every window of `seconds` of some recordings, read when it is asked for (a random-access source).

    Item i: {"x" (channel, time) float32, "recording", "trial", "begin" (s)}. `hop` seconds from one window to
    the next (side by side by default). Windows that touch a masked sample are left out.

    >>> rec = Recording.from_array(np.arange(20.0).reshape(1, 10, 2), rate=10.0, unit="uV")
    >>> windows = Windows([rec], 0.4)
    >>> len(windows), windows[1]["x"].tolist()
    (2, [[8.0, 10.0, 12.0, 14.0], [9.0, 11.0, 13.0, 15.0]])

    Raises ValueError where no window fits, and for recordings with other rates or numbers of channels.
    """

    def __init__(
        self, recordings: Sequence[Recording], seconds: float | int, hop: float | int | None = None
    ):
        kinds = {(r.rate, r.shape[2]) for r in recordings}
        if len(kinds) != 1:
            raise ValueError(
                f"recordings have {len(kinds)} different (rate, channels): {sorted(kinds)[:4]}; "
                "resample them, or stream each montage by itself"
            )
        rate = recordings[0].rate
        self.recordings = list(recordings)
        self.samples = round(seconds * rate)
        step = round((seconds if hop is None else hop) * rate)
        if self.samples < 1 or step < 1:
            raise ValueError(f"windows of {seconds} s every {hop} s hold no sample at {rate:g} Hz")
        places = []
        for k, rec in enumerate(self.recordings):
            starts = np.arange(0, rec.shape[1] - self.samples + 1, step)
            for trial in range(rec.shape[0]):
                valid = _valid(rec, trial)
                if valid is not None:
                    ends = np.concatenate([[0], np.cumsum(~valid)])
                    good = starts[ends[starts + self.samples] == ends[starts]]
                else:
                    good = starts
                places.append(np.stack([np.full(len(good), k), np.full(len(good), trial), good], 1))
        self.places = np.concatenate(places)
        if not len(self.places):
            raise ValueError(f"no window of {seconds} s fits the recordings; use a shorter one")

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, i: int) -> dict[str, Any]:
        k, trial, begin = (int(v) for v in self.places[i])
        rec = self.recordings[k]
        x = rec.data[trial, begin : begin + self.samples].values
        x = np.ascontiguousarray(x.T, np.float32)
        return {"x": x, "recording": k, "trial": trial, "begin": begin / rec.rate}


def _valid(recording: Recording, trial: int) -> np.ndarray | None:
    """Which samples of a trial are valid in all channels; None where all are."""
    mask = recording.mask
    if mask is None:
        return None
    if "trial" in mask.dims:
        mask = mask.isel(trial=trial)
    if "unit" in mask.dims:
        mask = mask.all("unit")
    return np.broadcast_to(mask.values, (recording.shape[1],))


def stream(
    windows: Any,
    batch: int,
    *,
    seed: int = 0,
    epochs: int | None = 1,
    workers: int = 0,
    devices: Sequence[Any] | None = None,
) -> Iterator[dict[str, jax.Array]]:
    """Shuffled batches of a random-access source, on the device, or shared by several along the first axis.

    - `windows`: anything with `len` and numbers to ask by that gives dictionaries of arrays (`Windows`);
    - `batch`: windows a batch, all devices together; a last short one of an epoch is left out;
    - `epochs`: how often all are seen, each time in another order; None: without end;
    - `workers`: processes that read ahead (0: the calling one); `devices`: None is the first.

    Order and content depend on the seed alone, not on the number of workers. ValueError for a batch that is
    larger than the source or that the devices cannot share; ImportError without grain.

    Example: `for batch in stream(Windows(recordings, 2.0), 64): ...`
    """
    grain = _grain()
    devices = list(devices) if devices is not None else jax.devices()[:1]
    if not 1 <= batch <= len(windows):
        raise ValueError(
            f"batch = {batch}, but there are {len(windows)} windows; give 1..{len(windows)}"
        )
    if batch % len(devices):
        raise ValueError(f"a batch of {batch} cannot be shared by {len(devices)} devices")
    share = NamedSharding(Mesh(np.array(devices), ("batch",)), PartitionSpec("batch"))
    data = grain.MapDataset.source(windows).seed(seed).shuffle().batch(batch, drop_remainder=True)
    data = data.repeat(epochs).to_iter_dataset()
    if workers:
        data = data.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers))
    for item in data:
        yield jax.device_put(item, share)
