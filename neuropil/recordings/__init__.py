"""Recordings: labelled activity of brains and of models, in one form.

Needs only arrays; JAX is imported when `record` is first used.
"""

from .reading import READERS, read
from .recording import Recording

__all__ = ["READERS", "Lazy", "Recording", "preprocess", "read", "record"]


def __getattr__(name: str):
    if name == "record":
        from .model import record

        return record
    if name == "Lazy":
        from .lazy import Lazy

        return Lazy
    if name == "preprocess":
        import importlib

        return importlib.import_module(".preprocess", __name__)
    raise AttributeError(f"neuropil.recordings has no {name!r}.")
