"""Public data sets with licence, citation and checksums.

`load(name)` looks in the folder NEUROPIL_DATA, then in the user cache (NEUROPIL_CACHE), then
downloads from the public address at a pinned commit; a file with a wrong SHA-256 is refused.
This module imports neither JAX nor numpy until `load` is called.

>>> from neuropil.worlds import datasets
>>> datasets.load("digits")
Images(digits: 1433 training and 364 test images of 8 x 8, 10 classes)
"""

from .registry import File, Info, UnknownDataset, Version, info, names
from .store import Check, available, cache_folder, checksums, data_folder, fetch, verify

__all__ = [
    "Check",
    "File",
    "Info",
    "UnknownDataset",
    "Version",
    "available",
    "cache_folder",
    "checksums",
    "data_folder",
    "fetch",
    "info",
    "load",
    "names",
    "verify",
]


def load(name: str, *, progress: bool = True):
    """The data set `name` as a typed object, fetched and checked first.

    `digits`, `mnist`, `fashion-mnist`: `Images`; `macaque-v4`: {session: `V4Session`};
    `rdm-92images`: `RDM92`; `macaque-it-7objects`: `Objects`; `braille-tactile-letters`: `Braille`;
    `celegans-connectome`: `Worm`;
    `hippocampus-linear-track`, `hippocampus-w-maze`: `Session`; `shd`, `ssc`: `SpikingSpeech`;
    `event-camera-samples`: {file: `Events`}; `eeglab-visual-attention`, `neuromag-average`: `Recording`;
    `tiny-shakespeare`, `wikitext2-valid-test`: `Text`;
    `muse-visual`: {experiment: `Recording`}; `celegans-whole-brain-calcium`: `Recording`.
    Errors: those of `fetch`, and ValueError where a file does not hold what it should.
    """
    card = info(name)
    about = {
        "source": f"{card.title} ({card.homepage})",
        "licence": card.licence,
        "citation": card.citation,
    }
    paths = fetch(name, progress)
    if card.kind == "images":
        from . import images

        if name == "digits":
            return images.load_digits(about["source"])
        return images.load_idx_set(name, paths, about["source"])
    if card.kind == "events":
        from neuropil.recordings.events import read_events

        # a header without events is there for whoever tests a reader
        readable = (".bin", ".dat", ".raw", ".aedat4", ".es")
        return {n: read_events(p) for n, p in paths.items() if p.suffix in readable}
    if card.kind == "eeg":
        from dataclasses import replace

        from neuropil.recordings import read

        rec = read(next(iter(paths.values())))  # MNE finds what lies beside it
        return replace(rec, about={**rec.about, **about})
    if card.kind == "text":
        from .text import load_text

        return load_text(name, paths, about)
    if card.kind == "speech":
        from .speech import load_speech

        return load_speech(name, paths, about)
    if name == "macaque-v4":
        from .v4 import load_v4

        return load_v4(paths, about)
    if name == "macaque-it-7objects":
        from .objects import load_objects

        return load_objects(paths, about)
    if name == "rdm-92images":
        from .rdm92 import load_rdm92

        return load_rdm92(paths, about)
    if name == "braille-tactile-letters":
        from .braille import load_braille

        return load_braille(paths, about)
    if card.kind == "eeg-experiments":
        from dataclasses import replace

        from neuropil.recordings import read

        found = {n.removesuffix(".npz"): read(path) for n, path in paths.items()}
        return {n: replace(r, about={**r.about, **about}) for n, r in found.items()}
    if name == "celegans-connectome":
        from .celegans import load_worm

        return load_worm(paths, about)
    if card.kind == "calcium":
        from .celegans import load_calcium

        return load_calcium(next(iter(paths.values())), about)
    from .hippocampus import load_session

    return load_session(name, paths, about)
