"""Structural plasticity: weak synapses are pruned, new ones grow elsewhere, their number stays."""

from __future__ import annotations

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import Array, lax

from neuropil.core import Event, System, param
from neuropil.plasticity.rule import outer


class Rewire(System):
    r"""Prune and regrow: every `period` the weakest share of the synapses is replaced by new ones elsewhere.

    $$|w_{ij}| \;\text{smallest}: w_{ij} \leftarrow 0,\ \text{absent}; \qquad
      \text{as many absent pairs}: w_{ij} \leftarrow w_0,\ \text{present}$$

    The slow system of a `Managed` on a `Dense` weight (post, pre) whose absent synapses are 0; behind another
    rule it stands in an `InTurn`, and holds absent synapses at 0 at every tick whatever that rule adds.
    (`wiring.Sparse` has its targets in an integer array, which cannot be owned: use a masked `Dense`.)

    State: the mask (post, pre), and with `grow="correlated"` the mean product of the two ends.

    **Arguments**

    - `mask` (post, pre): which synapses are there at first.
    - `share`: of the synapses replaced each time, at most as many as there are free places; `period` (ms), a
      multiple of dt.
    - `newborn` $w_0$: weight of a new synapse.
    - `grow`: "random" places, or "correlated": where pre and post activity (read as "pre", "post") had the
      largest mean product, over `tau` (ms).

    A synapse that was just pruned may come again only where there is no other place.

    >>> import numpy as np
    >>> from neuropil.core import Managed, run, start
    >>> from neuropil.wiring import Dense
    >>> mask = np.array([[1, 1, 0, 0]])
    >>> rule = Rewire(mask, share=0.5, period=1.0, newborn=0.25)
    >>> net = Managed(Dense(jnp.array([[0.1, 0.5, 0.0, 0.0]])), rule, "weight")
    >>> w = run(net, start(net, 1.0, jr.key(0)), jnp.ones((1, 4)))[0].state.theta[0]
    >>> w[:2].round(2).tolist(), sorted(w[2:].tolist())          # the weaker one is gone
    ([0.0, 0.5], [0.0, 0.25])

    Source: Mocanu et al. (2018), Nat. Commun. 9, 2383 (random); Butz, van Ooyen (2013), PLOS Comput. Biol. 9,
    e1003259 (structural plasticity of cells).

    Raises ValueError for a mask that is no matrix, a share that moves no synapse or a period below a tick.
    """

    mask: Array
    share: Array = param(0.1, bounds=(0, 1))
    period: Array = param(1000.0, unit="ms", bounds=(0, None))
    newborn: Array = param(0.1)
    tau: Array = param(1000.0, unit="ms", bounds=(0, None))
    grow: Literal["random", "correlated"] = eqx.field(static=True)
    moved: int = eqx.field(static=True)

    def __init__(
        self,
        mask: Array | np.ndarray,
        share: Any = 0.1,
        period: Any = 1000.0,
        newborn: Any = 0.1,
        tau: Any = 1000.0,
        grow: Literal["random", "correlated"] = "random",
    ):
        there = np.asarray(mask) != 0
        if there.ndim != 2:
            raise ValueError(f"Rewire: a mask of shape {there.shape}; give (post, pre)")
        if grow not in ("random", "correlated"):
            raise ValueError(f"Rewire: grow={grow!r}; write 'random' or 'correlated'")
        self.mask, self.grow = jnp.asarray(there), grow
        self.share, self.period, self.newborn, self.tau = share, period, newborn, tau
        wanted = round(float(share) * int(there.sum())) if np.isfinite(share) else 0
        self.moved = min(wanted, int((~there).sum()))

    def __check_init__(self):
        if self.moved < 1:
            raise ValueError(
                f"Rewire: a share of {float(self.share):g} moves no synapse ({int(self.mask.sum())} there, "
                f"{int((~self.mask).sum())} places free); give a larger share or a sparser mask"
            )

    @property
    def needs(self) -> tuple[str, ...]:
        """The two ends, where new synapses follow their correlation."""
        return ("pre", "post") if self.grow == "correlated" else ()

    def init(self, dt, key):
        if not isinstance(self.period, jax.core.Tracer) and float(self.period) < dt:
            raise ValueError(
                f"Rewire: a period of {float(self.period):g} ms is less than a tick of {dt:g} ms"
            )
        state = {"mask": self.mask}
        if self.grow == "correlated":
            state["product"] = jnp.zeros(self.mask.shape, self.tau.dtype)
        return state

    def _replaced(self, w, mask, favour):
        """(weights, mask) after the weakest gave way to the places most in favour."""
        flat, there = w.reshape(-1), mask.reshape(-1)
        _, weak = lax.top_k(jnp.where(there, -jnp.abs(flat), -jnp.inf), self.moved)
        _, new = lax.top_k(jnp.where(there, -jnp.inf, favour.reshape(-1)), self.moved)
        there = there.at[weak].set(False).at[new].set(True)
        flat = flat.at[weak].set(0.0).at[new].set(self.newborn)
        return flat.reshape(w.shape), there.reshape(mask.shape)

    def step(self, state, x: Event, tick):
        if jnp.shape(x.theta) != self.mask.shape:
            raise ValueError(
                f"Rewire: a mask {self.mask.shape} for a parameter {jnp.shape(x.theta)}; make them equal"
            )
        w = jnp.where(state["mask"], x.theta, 0.0)
        new = dict(state)
        if self.grow == "correlated":
            product = outer(x.reads["post"], x.reads["pre"]).astype(self.tau.dtype)
            new["product"] = product + (state["product"] - product) * jnp.exp(-tick.dt / self.tau)
            favour = lambda: new["product"]
        else:
            favour = lambda: jr.uniform(tick.key, w.shape)
        every = jnp.round(self.period / tick.dt).astype(jnp.int32)
        due = (tick.i + 1) % every == 0
        go = lambda w, mask: self._replaced(w, mask, favour())
        w, new["mask"] = lax.cond(due, go, lambda w, mask: (w, mask), w, state["mask"])
        return new, w
