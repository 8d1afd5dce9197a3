"""Liquid state machines: spiking cells on a grid, near ones joined most often, read out by filtered spikes."""

from __future__ import annotations

import jax.numpy as jnp
import jax.random as jr
from jax import Array
from jax.typing import ArrayLike

from neuropil.cells import LIF, Refractory
from neuropil.core import Chain, Feedback
from neuropil.synapses import Exponential
from neuropil.wiring import Dense

CHANCES = {"EE": 0.2, "IE": 0.1, "EI": 0.3, "II": 0.05}  # post, pre


def lattice(grid: tuple[int, int, int]) -> Array:
    """Positions (cell, 3) of the points of a grid.

    >>> lattice((1, 1, 2)).tolist()
    [[0, 0, 0], [0, 0, 1]]
    """
    n = grid[0] * grid[1] * grid[2]
    return jnp.stack(jnp.meshgrid(*map(jnp.arange, grid), indexing="ij"), -1).reshape(n, 3)


def lattice_chance(
    place: Array, inhibitory: Array, *, chances: dict[str, float] = CHANCES, reach: float = 3.0
) -> Array:
    r"""Probability (post, pre) of a synapse between cells in space: $C \exp(-(D / \lambda)^2)$, no loops.

    **Arguments**: `place` (cell, axis); `inhibitory` (cell,), True or False; `chances` C by the kinds of the
    post- and the presynaptic cell ("EI": inhibitory to excitatory); `reach` $\lambda$.

    Source: Maass, Natschlaeger, Markram (2002), Neural Comput. 14, 2531; the default C: Ivanov, Michmizos
    (2021), NeurIPS.
    """
    n = len(place)
    distance2 = ((place[:, None] - place[None]) ** 2).sum(-1)
    table = jnp.array([[chances["EE"], chances["EI"]], [chances["IE"], chances["II"]]])
    chance = table[inhibitory.astype(int)[:, None], inhibitory.astype(int)[None, :]]
    return chance * jnp.exp(-distance2 / reach**2) * (1 - jnp.eye(n))


def liquid(
    inputs: int,
    grid: tuple[int, int, int],
    key: Array,
    *,
    excitatory: float = 0.8,
    weight: ArrayLike = 6.0,
    input_weight: ArrayLike = 12.0,
    input_density: float = 0.15,
    tau: float = 30.0,
    tau_synapse: float = 3.0,
    tau_read: float = 30.0,
    reach: float = 3.0,
) -> Chain:
    r"""A liquid state machine: spikes in, filtered spikes of a random recurrent network of LIF cells out.

    Cells sit on a grid, a share `excitatory` of them excites, synapses are drawn by `lattice_chance`, and every
    weight has the size `weight` (mV) and the sign of its presynaptic cell; inputs reach a share `input_density`
    of the cells with either sign. Synaptic currents and the traces that are read out decay exponentially
    (`tau_synapse`, `tau_read`, ms). Weights are not trained: fit `neuropil.learn.ridge.ridge_readout` on the
    output. A `Chain` with parts `input` (Dense), `loop` (cells, one tick of delay) and `traces`.

    Source: Maass, Natschlaeger, Markram (2002), Neural Comput. 14, 2531, with simpler synapses.

    >>> from neuropil.core import run, start
    >>> net = liquid(4, (3, 3, 3), jr.key(0))
    >>> spikes = (jr.uniform(jr.key(1), (50, 4)) < 0.3).astype(float)
    >>> _, r = run(net, start(net, 1.0, jr.key(2)), spikes)
    >>> r.shape, bool(r.max() > 0)
    ((50, 27), True)

    Raises ValueError for a share outside 0..1 or a grid without cells.
    """
    n = grid[0] * grid[1] * grid[2]
    if n < 1 or not 0 < excitatory <= 1 or not 0 <= input_density <= 1:
        raise ValueError(
            f"liquid: grid {grid}, excitatory {excitatory}, input_density {input_density}; give a grid of "
            "1 cell or more and shares from 0 to 1"
        )
    a, b, c, d = jr.split(key, 4)
    calm = jr.permutation(a, n) >= round(excitatory * n)
    there = jr.uniform(b, (n, n)) < lattice_chance(lattice(grid), calm, reach=reach)
    recurrent = weight * there * jnp.where(calm, -1.0, 1.0)[None]
    heard = jr.uniform(c, (n, inputs)) < input_density
    into = input_weight * heard * jnp.where(jr.bernoulli(d, 0.5, (n, inputs)), 1.0, -1.0)
    cells = LIF(n, tau=tau, threshold=20.0, refractory=Refractory(2.0), drive="jump")
    back = Chain(synapse=Exponential(n, tau_synapse), wire=Dense(recurrent / tau_synapse))
    return Chain(
        input=Dense(into), loop=Feedback(cells, back, merge="add"), traces=Exponential(n, tau_read)
    )
