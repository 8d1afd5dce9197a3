"""Pair STDP of a clocked simulator: within a tick, potentiation first, then depression, each within bounds."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from neuropil.core import System, param
from neuropil.plasticity.rule import check_weight


class OrderedSTDP(System):
    r"""Additive pair STDP whose events are taken one after the other, post spikes reaching the synapse late.

    The delay of the connection may be dendritic: a pre spike is at the synapse at once, a post spike `lag` ms
    (whole ticks) later. In each tick, with traces x (pre) and y (post) of what came before:

    $$w \leftarrow [w + A_+ x]_0^{high} \text{ at a post spike}, \qquad \text{then} \quad
      w \leftarrow [w - A_- (y + post)]_0^{high} \text{ at a pre spike}$$

    and only then x and y grow by 1 at their spikes; both decay by $e^{-dt/\tau}$ a tick. So spikes that arrive
    together depress. `PairSTDP` takes both changes from the weight before the tick and lets equal times cancel;
    where changes are as large as the bounds the order matters, and this is that of SpiNNaker's synapses.

    The slow system of a `Managed`, on a weight (post, pre), with `reads={"pre": ..., "post": ...}`. An edge of
    a `Network` (one tick) then transmits the weight as it is after the changes of the tick of the pre spike. A
    third read, "gate" (one number), scales all changes of a tick: what decides when to learn.

    **Arguments**: `pre`, `post`: numbers of cells; `a_plus`, `a_minus` and `high`, in the unit of the weight;
    `tau_plus`, `tau_minus`, `lag` (ms).

    >>> from neuropil.core import Event, Tick
    >>> import jax.random as jr
    >>> rule, now = OrderedSTDP(1, 1), Tick(jnp.int32(0), jnp.asarray(1.0), jr.key(0))
    >>> state, spike, none = rule.init(1.0, jr.key(0)), jnp.ones(1), jnp.zeros(1)
    >>> w = jnp.zeros((1, 1))
    >>> for pre, post in ((spike, none), (none, spike)):
    ...     state, w = rule.step(state, Event(w, {"pre": pre, "post": post}, None, None), now)
    >>> round(float(w[0, 0]), 4)                    # 1 - exp(-1 / tau) is lost in the tick between
    0.7165

    Source: the rule of the CA3 memory of Casanueva-Morato et al. (2024), Neural Netw. 178, 106474, as their
    recorded spikes show it.

    Raises ValueError for a lag that is negative or no whole number of ticks.
    """

    pre: int = eqx.field(static=True)
    post: int = eqx.field(static=True)
    a_plus: Array = param(1.0, bounds=(0, None))
    a_minus: Array = param(1.0, bounds=(0, None))
    high: Array = param(1.0, bounds=(0, None))
    tau_plus: Array = param(3.0, unit="ms", bounds=(0, None))
    tau_minus: Array = param(3.0, unit="ms", bounds=(0, None))
    lag: float = eqx.field(static=True, default=0.0)

    needs = ("pre", "post")

    def __check_init__(self):
        if self.lag < 0:
            raise ValueError(f"OrderedSTDP: lag = {self.lag} ms but it must not be negative")

    def init(self, dt, key):
        slots = round(self.lag / dt)
        if abs(slots * dt - self.lag) > 1e-6 * dt:
            raise ValueError(f"OrderedSTDP: lag = {self.lag} ms is no multiple of dt = {dt} ms")
        dtype = self.a_plus.dtype
        return {
            "pre": jnp.zeros(self.pre, dtype),
            "post": jnp.zeros(self.post, dtype),
            "late": jnp.zeros((slots, self.post), dtype),
        }

    def step(self, state, event, tick):
        check_weight(self, event.theta)
        dtype = self.a_plus.dtype
        pre = event.reads["pre"].astype(dtype)
        line = jnp.concatenate([state["late"], event.reads["post"].astype(dtype)[None]])
        post, late = line[0], line[1:]
        x = state["pre"] * jnp.exp(-tick.dt / self.tau_plus)
        y = state["post"] * jnp.exp(-tick.dt / self.tau_minus)
        w, gate = event.theta, jnp.asarray(event.reads.get("gate", 1.0), dtype).reshape(())
        up = jnp.minimum(w + gate * self.a_plus * x[None], jnp.maximum(self.high, w))
        w = jnp.where(post[:, None] > 0, up, w)
        down = jnp.maximum(w - gate * self.a_minus * (y + post)[:, None], jnp.minimum(0.0, w))
        w = jnp.where(pre[None] > 0, down, w)
        return {"pre": x + pre, "post": y + post, "late": late}, w
