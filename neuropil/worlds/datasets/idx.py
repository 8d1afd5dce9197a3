"""Reader of the idx format (MNIST and kin): magic `0 0 type ndim`, sizes big-endian, raw data."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | Path, shape: tuple[int | None, ...] | None = None) -> np.ndarray:
    """The array in an idx file, gzipped or not, in native byte order.

    `shape`, where given, is checked (None: any size). ValueError when the file is cut short, is
    no gzip or no idx file, or has another shape.
    """
    path = Path(path)
    raw = _bytes(path)
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _TYPES:
        raise ValueError(
            f"{path} is not an idx file (it begins with {raw[:4].hex(' ') or 'nothing'}, "
            "not 00 00 08 0n): fetch it again."
        )
    ndim = raw[3]
    head = 4 + 4 * ndim
    if len(raw) < head:
        raise ValueError(f"{path} is cut short inside its header: fetch it again.")
    sizes = struct.unpack(f">{ndim}I", raw[4:head])
    dtype = np.dtype(_TYPES[raw[2]])
    need = math.prod(sizes) * dtype.itemsize
    if len(raw) - head != need:
        raise ValueError(
            f"{path} should hold {need} bytes for shape {sizes} but holds {len(raw) - head}: "
            "fetch it again."
        )
    if shape is not None and not _fits(sizes, shape):
        asked = tuple("any" if n is None else n for n in shape)
        raise ValueError(
            f"{path} has shape {sizes} where {asked} was expected: is it another file?"
        )
    return np.frombuffer(raw, dtype, offset=head).reshape(sizes).astype(dtype.newbyteorder("="))


def _fits(sizes: tuple[int, ...], shape: tuple[int | None, ...]) -> bool:
    return len(sizes) == len(shape) and all(
        want is None or size == want for size, want in zip(sizes, shape, strict=True)
    )


def _bytes(path: Path) -> bytes:
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as f:
            return f.read()
    except EOFError as err:
        raise ValueError(f"{path} is cut short (gzip ends early): fetch it again.") from err
    except (gzip.BadGzipFile, zlib.error) as err:
        raise ValueError(f"{path} is not a sound gzip file ({err}): fetch it again.") from err
