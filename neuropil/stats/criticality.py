"""How near a spiking network is to the edge between order and chaos."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped


def branching_factor(
    spikes: Shaped[Array | np.ndarray, "time cell"],
    wiring: Shaped[Array | np.ndarray, "post pre"],
    window: int = 4,
    edge: int = 25,
) -> Array:
    r"""Descendants of a spike over its ancestors, along the wiring: 1 at criticality.

    $$\sigma = \Big\langle \Big\langle \frac{\sum_{i \in post(n)} S_i[t+1, t+w]}
      {\max(1, \sum_{j \in pre(n)} S_j[t-w, t-1])} \Big\rangle_{t:\, s_n(t)=1} \Big\rangle_n$$

    **Arguments**: `spikes`, 0 or 1; `wiring`, True where post hears pre; `window` w (ticks); `edge`, ticks cut
    off at both ends. The mean is over the cells that spike; NaN where none does.

    A chain of cells in which each spike causes the next one:

    >>> n = 8
    >>> chain = jnp.eye(n, k=-1).astype(bool)               # cell i hears cell i - 1
    >>> float(branching_factor(jnp.eye(n), chain, window=1, edge=1))
    1.0

    Raises ValueError for shapes that do not fit and for ends that leave nothing.

    Source: Ivanov, Michmizos (2021), NeurIPS (definition of their released code).
    """
    s, hears = jnp.asarray(spikes, float), jnp.asarray(wiring, float)
    ticks, cells = s.shape
    if hears.shape != (cells, cells):
        raise ValueError(
            f"branching_factor: wiring {hears.shape} for {cells} cells; give (post, pre)"
        )
    if window < 1 or edge < window or ticks <= 2 * edge:
        raise ValueError(
            f"branching_factor: {ticks} ticks, edge {edge}, window {window}; need window <= edge < ticks / 2"
        )
    total = jnp.concatenate([jnp.zeros((1, cells)), jnp.cumsum(s, 0)])  # spikes before tick t
    t = jnp.arange(edge, ticks - edge)
    after, before = total[t + 1 + window] - total[t + 1], total[t] - total[t - window]
    ratio = (after @ hears) / jnp.maximum(before @ hears.T, 1.0)
    inside = s[t]
    count = inside.sum(0)
    each = (ratio * inside).sum(0) / jnp.maximum(count, 1.0)
    alive = count > 0
    return jnp.where(alive.any(), (each * alive).sum() / jnp.maximum(alive.sum(), 1), jnp.nan)
