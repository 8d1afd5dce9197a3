"""Recordings: labelled activity of brains and of models, in one form.

Needs only arrays; JAX is imported when `record` or `observe` is first used, MNE and others by their files.
"""

import importlib

from .provenance import Split, Step, may_apply, may_fit
from .reading import READERS, read
from .recording import Recording
from .tables import open_events

__all__ = [
    "READERS",
    "Lazy",
    "Recording",
    "Split",
    "Step",
    "may_apply",
    "may_fit",
    "module_layers",
    "network_layers",
    "open_events",
    "preprocess",
    "read",
    "record",
    "torch_layers",
]

_LATER = {
    "record": "model",
    "Lazy": "lazy",
    "module_layers": "layers",
    "network_layers": "layers",
    "torch_layers": "torchlib",
}
_MODULES = ("head", "layouts", "mnelib", "napper", "observe", "preprocess", "segment")


def __getattr__(name: str):
    if name in _LATER:
        return getattr(importlib.import_module(f".{_LATER[name]}", __name__), name)
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"neuropil.recordings has no {name!r}.")
