"""Keys by name: randomness that does not depend on the order in which things are written."""

import zlib

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Key


def name_number(name: str | int) -> int:
    """A 31-bit number for a name (CRC-32), the same in every process and Python version.

    >>> name_number("E>I") == name_number("E>I"), name_number(3)
    (True, 3)
    """
    if isinstance(name, int):
        return name
    return zlib.crc32(name.encode()) & 0x7FFFFFFF


def fold(key: Key[Array, "*T"], name: str | int) -> Key[Array, "*T"]:
    """The key's child of that name; a whole axis of keys gives a whole axis of children."""
    number = name_number(name)
    child = lambda k: jr.fold_in(k, number)
    for _ in range(key.ndim):
        child = jax.vmap(child)
    return child(key)


def generator(key: Key[Array, ""], name: str | int | None = None) -> np.random.Generator:
    """NumPy's random numbers from a key, or from its child of that name: for what is drawn once.

    >>> a, b = generator(jr.key(0), "x"), generator(fold(jr.key(0), "x"))
    >>> int(a.integers(1000)) == int(b.integers(1000))
    True
    """
    key = key if name is None else fold(key, name)
    return np.random.default_rng(np.asarray(jr.key_data(key)))


def named_keys(key: Key[Array, ""], names) -> dict[str, Key[Array, ""]]:
    """One key a name, independent of the order of the names.

    >>> a = named_keys(jr.key(0), ["x", "y"]); b = named_keys(jr.key(0), ["y", "x"])
    >>> bool((jr.key_data(a["x"]) == jr.key_data(b["x"])).all())
    True
    """
    return {name: fold(key, name) for name in names}


def tick_keys(key: Key[Array, ""], i) -> Key[Array, "*T"]:
    """Key of tick number i (or of a whole axis of ticks): fold_in(key, i)."""
    i = jnp.asarray(i)
    return jr.fold_in(key, i) if i.ndim == 0 else jax.vmap(lambda j: jr.fold_in(key, j))(i)
