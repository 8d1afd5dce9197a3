"""Checkpoints of a carry by Orbax: whole or not there, bit for bit."""

import logging
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def named_leaves(tree: Any) -> dict[str, Any]:
    """Arrays of a tree by path; typed keys as their words, empty arrays left out."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    named = {jax.tree_util.keystr(path).lstrip("."): leaf for path, leaf in leaves}
    arrays = {k: a for k, a in named.items() if isinstance(a, jax.Array | np.ndarray) and a.size}
    return {k: jax.random.key_data(a) if is_key(a) else a for k, a in arrays.items()}


def is_key(leaf: Any) -> bool:
    """Whether a leaf is an array of typed PRNG keys."""
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _checkpointer() -> Any:
    import orbax.checkpoint as ocp

    # it warns of sharding metadata that one machine does not need
    logging.getLogger("absl").setLevel(logging.ERROR)
    return ocp.Checkpointer(ocp.StandardCheckpointHandler())


def save(folder: Path, tick: int, carry: Any) -> None:
    """Write `folder/TICK` (it appears only when whole), then remove older ones."""
    folder.mkdir(parents=True, exist_ok=True)
    clean(folder)
    target = folder / str(tick)
    if target.exists():
        shutil.rmtree(target)
    with _checkpointer() as checkpointer:
        checkpointer.save(target, named_leaves(carry))
    for old in saved(folder):
        if old != tick:
            shutil.rmtree(folder / str(old), ignore_errors=True)


def clean(folder: Path) -> None:
    """Remove what a kill in the middle of a save left."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if not path.name.isdigit():
            shutil.rmtree(path, ignore_errors=True)


def saved(folder: Path) -> list[int]:
    """Ticks of the whole checkpoints, in order."""
    if not folder.is_dir():
        return []
    return sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit() and p.is_dir())


def restore(folder: Path, tick: int, like: Any) -> Any:
    """The carry stored at a tick, in the structure of `like` (a carry of the same system).

    Raises ValueError where the stored arrays do not fit it.
    """
    wanted = named_leaves(like)
    shapes = {k: jax.ShapeDtypeStruct(a.shape, a.dtype) for k, a in wanted.items()}
    with _checkpointer() as checkpointer:
        stored = dict(checkpointer.restore(folder / str(tick)))
    fits = {k: jax.ShapeDtypeStruct(a.shape, a.dtype) for k, a in stored.items()} == shapes
    if not fits:
        odd = sorted(set(stored) ^ set(shapes)) or ["a shape or dtype"]
        raise ValueError(f"checkpoint {folder / str(tick)} does not fit the system: {odd[0]}")

    def back(path: Any, leaf: Any) -> Any:
        name = jax.tree_util.keystr(path).lstrip(".")
        if name not in stored:
            return leaf
        array = stored[name]
        if is_key(leaf):
            return jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(leaf))
        return np.asarray(array) if isinstance(leaf, np.ndarray) else jnp.asarray(array)

    return jax.tree_util.tree_map_with_path(back, like)
