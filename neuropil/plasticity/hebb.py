"""Hebbian rules: plain and anti-Hebbian, with or without traces; Oja and Sanger; BCM."""

from __future__ import annotations

from typing import Literal

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from neuropil.core import Event, param
from neuropil.plasticity.bounds import Bounds, NoBounds
from neuropil.plasticity.rule import Rule, outer, sides


def _traced(old: Array | None, x: Array, tau: Array | None, dt: Array) -> Array:
    """A signal as it is (no tau), or its trace: decayed, then grown by what arrives at this tick."""
    return x if old is None or tau is None else old * jnp.exp(-dt / tau) + x


class Hebb(Rule):
    r"""What fires together wires together: the correlation of the two ends, each as it is or as a trace.

    $$\Delta w_{ij} = \pm\eta\, \bar y_i \bar x_j \,[dt] - (1 - e^{-dt/\tau_w})\, w_{ij}, \qquad
      \bar x \leftarrow e^{-dt/\tau} \bar x + x$$

    One definition for rates and spikes. Without traces: a presentation a tick. A trace at one end: spikes at
    the other are paired with what came before (half of `PairSTDP`). Traces at both ends: their product is
    integrated over time (times dt, in ms), and a pre and a post spike at a distance s give the window
    $\eta \tau_1 \tau_2 / (\tau_1 + \tau_2)\; e^{-|s| / \tau}$ with the $\tau$ of the end that spiked first:
    symmetric STDP where both are equal.

    **Arguments**

    - `pre`, `post`: numbers of cells; `rate` $\eta$ at least 0; `anti`: depression instead (anti-Hebbian).
    - `tau_pre`, `tau_post` (ms): of the traces, None for none; `tau_weight` (ms): forgetting, None for none.
    - `bounds`; `batch`: number of samples of a `Batched` fast system, where there are traces.

    >>> from neuropil.core import Managed, run, start
    >>> from neuropil.wiring import Dense
    >>> import jax.random as jr
    >>> reads = {"pre": "input", "post": "output"}
    >>> net = Managed(Dense(jnp.array([[1.0, 0.0]])), Hebb(2, 1, rate=0.5), "weight", reads)
    >>> run(net, start(net, 1.0, jr.key(0)), jnp.array([[1.0, 2.0]]))[0].state.theta.tolist()
    [[1.5, 1.0]]

    Source: Hebb (1949), The Organization of Behavior; traces: Gerstner, Kistler (2002), Biol. Cybern. 87, 404.

    Raises ValueError for a negative rate or time constant.
    """

    pre: int = eqx.field(static=True)
    post: int = eqx.field(static=True)
    rate: Array = param(0.01, bounds=(0, None))
    tau_pre: Array | None = param(None, unit="ms", bounds=(0, None))
    tau_post: Array | None = param(None, unit="ms", bounds=(0, None))
    tau_weight: Array | None = param(None, unit="ms", bounds=(0, None))
    anti: bool = eqx.field(static=True, default=False)
    bounds: Bounds = eqx.field(default_factory=NoBounds)
    batch: int | None = eqx.field(static=True, default=None)

    def init(self, dt, key):
        batch = () if self.batch is None else (self.batch,)
        zero = lambda tau, n: None if tau is None else jnp.zeros((*batch, n), self.rate.dtype)
        return {"pre": zero(self.tau_pre, self.pre), "post": zero(self.tau_post, self.post)}

    def change(self, state, event: Event, dt):
        x, y = (event.reads[k].astype(self.rate.dtype) for k in ("pre", "post"))
        x = _traced(state["pre"], x, self.tau_pre, dt)
        y = _traced(state["post"], y, self.tau_post, dt)
        both = self.tau_pre is not None and self.tau_post is not None
        moved = self.rate * outer(y, x) * (dt if both else 1.0)
        moved = -moved if self.anti else moved
        if self.tau_weight is not None:
            moved = moved + event.theta * jnp.expm1(-dt / self.tau_weight)
        keep = lambda tau, a: None if tau is None else a
        state = {"pre": keep(self.tau_pre, x), "post": keep(self.tau_post, y)}
        return state, *sides(moved)


class Oja(Rule):
    r"""Hebbian growth against what the outputs explain already: principal components, one cell each.

    $$\Delta W = \eta\, \big(y x^\top - K(y y^\top) W\big), \qquad y = W x$$

    `explained` chooses K. "own" keeps the diagonal: every cell by itself (Oja 1982), whose fixed point is the
    first principal component at length 1. "earlier" keeps the lower triangle (Sanger 1989): row k becomes the
    k-th principal component. "all" keeps everything (Oja 1989): orthonormal rows that span the leading
    subspace (`OjaSubspace` is its batch form with momentum and frozen rows).

    Inputs are taken as they come: centre them for components of the covariance.

    **Arguments**: `pre`, `post`, numbers of cells; `rate` $\eta$; `explained`; `bounds`.

    >>> import jax.random as jr
    >>> from neuropil.core import Managed, run, start
    >>> from neuropil.wiring import Dense
    >>> rule = Oja(2, 1, rate=0.02)
    >>> net = Managed(Dense(jnp.array([[0.6, 0.8]])), rule, "weight", {"pre": "input", "post": "output"})
    >>> x = jr.normal(jr.key(1), (2000, 2)) * jnp.array([2.0, 0.5])
    >>> carry, _ = run(net, start(net, 1.0, jr.key(0)), x)
    >>> abs(carry.state.theta.round(1)).tolist()
    [[1.0, 0.0]]

    Source: Oja (1982), J. Math. Biol. 15, 267; Sanger (1989), Neural Netw. 2, 459; Oja (1989), Int. J. Neural
    Syst. 1, 61.

    Raises ValueError for a negative rate or an unknown `explained`.
    """

    pre: int = eqx.field(static=True)
    post: int = eqx.field(static=True)
    rate: Array = param(0.01, bounds=(0, None))
    explained: Literal["own", "earlier", "all"] = eqx.field(static=True, default="own")
    bounds: Bounds = eqx.field(default_factory=NoBounds)

    def __check_init__(self):
        if self.explained not in ("own", "earlier", "all"):
            raise ValueError(
                f"Oja: explained={self.explained!r}; write 'own', 'earlier' (Sanger) or 'all'"
            )

    def change(self, state, event: Event, dt):
        x, y = (event.reads[k].astype(self.rate.dtype) for k in ("pre", "post"))
        products = outer(y, y)
        if self.explained == "own":
            taken = jnp.diagonal(products)[:, None] * event.theta
        elif self.explained == "earlier":
            taken = jnp.tril(products) @ event.theta
        else:
            taken = products @ event.theta
        return state, *sides(self.rate * (outer(y, x) - taken))


class BCM(Rule):
    r"""Bienenstock, Cooper, Munro: potentiation above a threshold that slides with the cell's own activity.

    $$\Delta w_{ij} = \eta\, y_i (y_i - \theta_i)\, x_j, \qquad \tau \dot\theta_i = y_i^2 - \theta_i$$

    Of K linearly independent inputs that are shown equally often, the stable fixed points answer to one of
    them with y = K and to all others with 0: the cell becomes selective. $\theta$ must move faster than the
    weights, else activity oscillates.

    **Arguments**: `pre`, `post`, numbers of cells; `rate` $\eta$; `tau` (ms) of the threshold; `bounds`.
    State: the thresholds (post,).

    >>> import jax.random as jr
    >>> from neuropil.core import Managed, run, start
    >>> from neuropil.wiring import Dense
    >>> reads = {"pre": "input", "post": "output"}
    >>> net = Managed(Dense(jnp.array([[0.6, 0.4]])), BCM(2, 1, 0.01, tau=50.0), "weight", reads)
    >>> x = jnp.eye(2)[jr.bernoulli(jr.key(2), 0.5, (6000,)).astype(int)]
    >>> carry, _ = run(net, start(net, 1.0, jr.key(0)), x)
    >>> bool(carry.state.theta[0, 0] > 1.7), bool(carry.state.theta[0, 1] < 0.1)
    (True, True)

    Source: Bienenstock, Cooper, Munro (1982), J. Neurosci. 2, 32; the squared threshold: Intrator, Cooper
    (1992), Neural Netw. 5, 3.

    Raises ValueError for a negative rate or time constant.
    """

    pre: int = eqx.field(static=True)
    post: int = eqx.field(static=True)
    rate: Array = param(0.01, bounds=(0, None))
    tau: Array = param(100.0, unit="ms", bounds=(0, None))
    bounds: Bounds = eqx.field(default_factory=NoBounds)

    def init(self, dt, key):
        return jnp.zeros(self.post, self.rate.dtype)

    def change(self, state, event: Event, dt):
        x, y = (event.reads[k].astype(self.rate.dtype) for k in ("pre", "post"))
        moved = self.rate * outer(y * (y - state), x)  # the threshold of all samples of a batch
        power = y**2 if y.ndim == 1 else (y**2).mean(0)
        return power + (state - power) * jnp.exp(-dt / self.tau), *sides(moved)
