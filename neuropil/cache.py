"""The one folder in which neuropil keeps what it can make or fetch again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """NEUROPIL_CACHE, else the system's usual place for caches. It need not exist.

    Data sets lie in it as files, compiled programs in `xla`, compiled kernels in `native`.
    """
    named = os.environ.get("NEUROPIL_CACHE")
    if named:
        return Path(named).expanduser()
    import pooch

    return Path(pooch.os_cache("neuropil"))
