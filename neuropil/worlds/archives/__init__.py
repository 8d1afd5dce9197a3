"""Large public archives: DANDI (Neural Latents Benchmark, Allen), MOABB, Algonauts (NSD), THINGS.

None of it is kept with neuropil. `fetch` says licence and size before it downloads through the archive's own
library; what must be fetched by hand says where it goes. Spiking speech (SHD, SSC) is in
`neuropil.worlds.datasets`.

>>> from neuropil.worlds import archives
>>> archives.info("mc_maze").where
'000128'
"""

from .cards import CARDS, Card, info, names
from .fetching import fetch, folder, local
from .nlb import TENSORS, WINDOWS, Window, load_nlb, submission
from .sets import moabb_recordings, open_algonauts, open_allen_2p, open_things_fmri, things_fmri

__all__ = [
    "CARDS",
    "TENSORS",
    "WINDOWS",
    "Card",
    "Window",
    "fetch",
    "folder",
    "info",
    "load_nlb",
    "local",
    "moabb_recordings",
    "names",
    "open_algonauts",
    "open_allen_2p",
    "open_things_fmri",
    "submission",
    "things_fmri",
]
