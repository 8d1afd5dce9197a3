"""Arrays of a recording that are read only when asked for."""

from collections.abc import Callable

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

DIMS = ("trial", "time", "unit")


class Lazy(BackendArray):
    """A (trial, time, unit) array known by shape and dtype, and by a function that reads a block.

    `read(trials, times, units)` gets three contiguous slices and returns that block. A loader
    without arguments fits too: `Lazy(shape, dtype, lambda *block: load()[block])`.

    >>> import numpy as np
    >>> ones = Lazy((1, 10**12, 4), np.int8, lambda a, b, c: np.ones((1, b.stop - b.start, 4)))
    >>> int(ones.dataarray()[0, 5:8].sum())
    12
    """

    def __init__(self, shape, dtype, read: Callable[[slice, slice, slice], np.ndarray]):
        self.shape = tuple(int(n) for n in shape)
        self.dtype = np.dtype(dtype)
        self._read = read

    def __getitem__(self, key) -> np.ndarray:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._basic
        )

    def _basic(self, key: tuple) -> np.ndarray:
        """Read the contiguous block around a basic index, then index within it."""
        block, inside = [], []
        for k, n in zip(key, self.shape, strict=True):
            if isinstance(k, slice):
                picked = range(n)[k]
                low = min(picked[0], picked[-1]) if picked else 0
                high = max(picked[0], picked[-1]) + 1 if picked else 0
                block.append(slice(low, high))
                back = None if picked.step < 0 else high - low
                inside.append(slice(picked[0] - low, back, picked.step) if picked else slice(0, 0))
            else:
                block.append(slice(int(k) % n, int(k) % n + 1))
                inside.append(0)
        return np.asarray(self._read(*block), self.dtype)[tuple(inside)]

    def dataarray(self) -> xr.DataArray:
        """The same as a DataArray without coordinates; slicing it reads nothing, `.values` does."""
        return xr.DataArray(xr.Variable(DIMS, indexing.LazilyIndexedArray(self)))


def is_lazy(data: xr.DataArray) -> bool:
    """Whether the values of `data` are not in memory yet."""
    return not data.variable._in_memory  # no public way to ask; unchanged in xarray for years


def wrap(data) -> xr.DataArray:
    """`data` as a DataArray: memory maps and `Lazy` stay unread, all else becomes a numpy array."""
    if isinstance(data, np.memmap):
        data = Lazy(data.shape, data.dtype, lambda *block, source=data: source[block])
    return data.dataarray() if isinstance(data, Lazy) else xr.DataArray(np.asarray(data), dims=DIMS)
