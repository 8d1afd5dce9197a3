"""Would a network that learned nothing score as well? Nulls made of randomised networks (JAX).

A score of a network (a probe's accuracy, its likeness to a brain) is compared with the scores of networks in
which what it learned is broken: built anew by its own builder, with its weights permuted, or redrawn. Which of
them is the null says what the score would be evidence of; see Meloux et al. (2025), arXiv:2512.18792, and
Adebayo et al. (2018).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Key, PyTree

from neuropil.stats.score import Score


def permute_weights(
    model: PyTree, key: Key[Array, ""], *, keep: tuple[str, ...] = (), axis: int | None = None
) -> PyTree:
    """A copy of a network with the entries of every float array shuffled: their values stay as they are, the
    structure is gone. `keep`: parts of paths ("embed", ".norm") whose arrays are left alone; `axis`: shuffle
    only along one axis (0: whole rows change places).

    >>> net = {"w": jnp.arange(6.0).reshape(2, 3), "embed": jnp.arange(3.0)}
    >>> other = permute_weights(net, jr.key(1), keep=("embed",))
    >>> sorted(other["w"].ravel().tolist()), other["embed"].tolist()
    ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 1.0, 2.0])

    Raises ValueError where no array is left to shuffle.
    """

    def shuffle(x, k):
        if axis is None:
            return jr.permutation(k, x.ravel()).reshape(x.shape)
        return jr.permutation(k, x, axis=axis) if x.ndim > axis else x

    return _changed(model, key, keep, shuffle)


def redraw_weights(model: PyTree, key: Key[Array, ""], *, keep: tuple[str, ...] = ()) -> PyTree:
    """A copy of a network with every float array drawn anew, normal with the mean and deviation of its entries.
    Where you have the network's builder, call it with another key instead: its initialiser is the null that is
    meant. `keep` as in `permute_weights`.

    >>> other = redraw_weights({"w": jnp.arange(1000.0)}, jr.key(0))
    >>> bool(abs(other["w"].mean() - 499.5) < 30), bool(abs(other["w"].std() - 288.7) < 20)
    (True, True)
    """
    draw = lambda x, k: x.mean() + x.std() * jr.normal(k, x.shape, x.dtype)
    return _changed(model, key, keep, draw)


def _changed(model, key, keep, change):
    paths, tree = jax.tree_util.tree_flatten_with_path(model)
    out, touched = [], 0
    for i, (path, leaf) in enumerate(paths):
        name = jax.tree_util.keystr(path)
        if eqx.is_inexact_array(leaf) and leaf.size > 1 and not any(k in name for k in keep):
            leaf, touched = change(jnp.asarray(leaf), jr.fold_in(key, i)), touched + 1
        out.append(leaf)
    if not touched:
        raise ValueError(f"no float array is left to randomise in {type(model).__name__}: see keep")
    return jax.tree_util.tree_unflatten(tree, out)


def randomised(
    statistic: Callable[[Any], float | np.ndarray],
    model: Any,
    draw: Callable[[Key[Array, ""]], Any],
    *,
    draws: int = 99,
    key: Key[Array, ""],
    search: bool = False,
    tail: str = "greater",
    name: str = "score",
) -> Score:
    r"""Score of `statistic(model)` with the null of `draws` networks `draw(key)`, each measured in the same
    way.

    - `draw`: a network that learned nothing, such as the model's own builder, or
      `lambda key: permute_weights(model, key)`;
    - `statistic`: a number, or one for each place that was looked at (layers, heads, features). Correct those
      with `family_wise`, or say `search=True`: the largest is then the score, in the network and in each null
      network, as it was searched for.

    p is at least 1 / (draws + 1), so give 99 or more. Everything that `statistic` chooses (penalties, layers)
    it must choose within the network it is given.

    >>> draw = lambda key: jr.normal(key, (20,))
    >>> randomised(lambda w: float(jnp.abs(w).max()), 10 * jnp.ones(20), draw, key=jr.key(0)).p
    0.01

    Raises ValueError where the null networks' statistics have another shape.
    """
    value = np.asarray(statistic(model), float)
    null = np.array([statistic(draw(jr.fold_in(key, i))) for i in range(draws)], float)
    if null.shape[1:] != value.shape:
        raise ValueError(
            f"the statistic of a randomised network has shape {null.shape[1:]}, of the network {value.shape}"
        )
    if search and value.ndim:
        pick = np.nanmax if tail == "greater" else np.nanmin
        axes = tuple(range(1, null.ndim))
        value, null, name = pick(value), pick(null, axis=axes), f"best {name}"
    value = float(value) if value.ndim == 0 else value
    return Score(value, null=null, name=name, n=draws, tail=tail)


def effect_size(score: Score) -> float | np.ndarray:
    """How many deviations of its null a score lies above its null's mean.

    >>> effect_size(Score(3.0, null=np.array([-1.0, 1.0])))
    3.0
    """
    if score.null is None:
        raise ValueError("an effect size needs null draws")
    sd = np.std(score.null, axis=0)
    z = (score.value - np.mean(score.null, axis=0)) / np.where(sd > 0, sd, np.nan)
    return float(z) if np.ndim(z) == 0 else z
