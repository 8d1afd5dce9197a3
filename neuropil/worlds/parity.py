"""Running parity: has an odd number of the values so far been negative?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Array, Int, Shaped


def running_parity(
    values: Shaped[Array | np.ndarray, "*batch position"],
) -> Int[Array | np.ndarray, "*batch position"]:
    r"""$y_k = \sum_{j \le k} [v_j < 0] \bmod 2$ for every position k of sequences of +1 and -1.

    The last position is the parity of the whole sequence; a network that answers all positions at once has
    to keep a running count or to look everywhere.

    Source: task of Graves (2016), arXiv 1603.08983, with an answer at every position as in Darlow et al.
    (2025), arXiv 2505.05522.

    >>> running_parity(np.array([1, -1, -1, 1, -1])).tolist()
    [0, 1, 0, 0, 1]
    """
    return (values < 0).cumsum(-1) % 2


def sign_sequences(
    codes: Int[np.ndarray, " sequence"], length: int
) -> Int[np.ndarray, "sequence position"]:
    """The sequences of +1 and -1 that the numbers 0 .. 2^length - 1 stand for: bit k says that value k is -1.

    >>> sign_sequences(np.array([0, 5]), 3).tolist()
    [[1, 1, 1], [-1, 1, -1]]

    Raises ValueError for a code that has no sequence of this length.
    """
    if len(codes) and not 0 <= int(np.min(codes)) <= int(np.max(codes)) < 2**length:
        raise ValueError(
            f"sign_sequences: codes up to {np.max(codes)}, but there are 2^{length} sequences"
        )
    return 1 - 2 * ((np.asarray(codes)[:, None] >> np.arange(length)[None]) & 1)
