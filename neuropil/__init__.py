"""neuropil: brain-inspired networks, models of neural recordings, and honest comparison of the two.

Importing this package imports nothing else: `neuropil.core`, `neuropil.cells` and the rest load when
they are first used, so that `neuropil --help` and `neuropil list` answer without waiting for JAX.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_PACKAGES = (
    "native",
    "core",
    "cells",
    "synapses",
    "wiring",
    "coding",
    "dendrites",
    "blocks",
    "plasticity",
    "memory",
    "belief",
    "agents",
    "learn",
    "stats",
    "recordings",
    "worlds",
    "fit",
    "compare",
    "studies",
    "papers",
    "cli",
)
_CORE = ("Carry", "Chain", "Managed", "Network", "System", "Tick", "param", "run", "start")

_RECORDINGS = ("Recording", "read", "record")


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"neuropil.{name}")
    if name in _CORE:
        return getattr(importlib.import_module("neuropil.core"), name)
    if name in _RECORDINGS:
        return getattr(importlib.import_module("neuropil.recordings"), name)
    raise AttributeError(
        f"module 'neuropil' has no attribute {name!r}; it has {', '.join(__dir__())}"
    )


def __dir__() -> list[str]:
    return sorted((*_PACKAGES, *_CORE, *_RECORDINGS, "__version__"))
