"""Studies: a paper's system beside its baseline and control, over seeds, with the claims on them.

`Study`, `Arm`, `Metric` describe a study; `run` runs one; `claims` holds what was promised
beforehand and the verdicts; `catalogue` knows every paper. Nothing here imports JAX before a study
is run.
"""

import importlib
from typing import Any

_HOME = {
    "Arm": "study",
    "Claim": "claims",
    "Metric": "study",
    "Refused": "refuse",
    "Results": "study",
    "Study": "study",
    "Verdict": "claims",
    "judge": "claims",
    "run": "runner",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"neuropil.studies.{_HOME[name]}"), name)
    raise AttributeError(f"module 'neuropil.studies' has no attribute {name!r}")
