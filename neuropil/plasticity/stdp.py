"""Pair-based spike-timing-dependent plasticity, for full and for sparse updates."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from neuropil.core import Cols, Part, Rows, System, param


class HardBounds(Part):
    """Additive changes in units of (high - low), cut off at the bounds."""

    low: Array = param(0.0)
    high: Array = param(1.0)

    def up(self, w: Array, amount: Array) -> Array:
        """What a potentiation by `amount` adds to w."""
        return jnp.minimum(amount * (self.high - self.low), self.high - w)

    def down(self, w: Array, amount: Array) -> Array:
        """What a depression by `amount` takes from w."""
        return jnp.minimum(amount * (self.high - self.low), w - self.low)


class SoftBounds(Part):
    r"""Changes that fade towards the bounds: up $(high - w)^\mu$, down $(w - low)^\mu$.

    mu = 1 is multiplicative, between 0 and 1 the rule of Gütig et al. (2003), J. Neurosci. 23, 3697.
    """

    low: Array = param(0.0)
    high: Array = param(1.0)
    mu: Array = param(1.0, bounds=(0, 1))

    def _scaled(self, room, amount):
        span = self.high - self.low
        part = jnp.clip(room / span, 0.0, 1.0)
        safe = jnp.where(part > 0, part, 1.0)  # 0 ** mu has no derivative
        change = jnp.where(part > 0, safe**self.mu, 0.0) * amount * span
        return jnp.minimum(change, jnp.maximum(room, 0.0))  # a large change ends at the bound

    def up(self, w: Array, amount: Array) -> Array:
        """What a potentiation by `amount` adds to w."""
        return self._scaled(self.high - w, amount)

    def down(self, w: Array, amount: Array) -> Array:
        """What a depression by `amount` takes from w."""
        return self._scaled(w - self.low, amount)


class NoBounds(Part):
    """Additive changes without limit."""

    def up(self, w: Array, amount: Array) -> Array:
        """What a potentiation by `amount` adds to w."""
        return amount + jnp.zeros_like(w)

    def down(self, w: Array, amount: Array) -> Array:
        """What a depression by `amount` takes from w."""
        return amount + jnp.zeros_like(w)


class PairSTDP(System):
    r"""Every pair of a pre and a post spike changes the weight by a window of their distance in time.

    $$\Delta w = \begin{cases} A_+ e^{-s/\tau_+} & s > 0 \\ -A_- e^{s/\tau_-} & s < 0 \end{cases},
      \qquad s = t_{post} - t_{pre}$$

    All pairs count, by two traces: each decays by e^{-dt/tau} a tick and grows by 1 at a spike. Spikes of the
    same tick (s = 0) change nothing; changes of one tick are computed from the weight before it.

    The slow system of a `Managed`, on a weight (post, pre), with `reads={"pre": ..., "post": ...}` naming
    spikes (0 or 1) of the two ends:

    `Managed(network, PairSTDP(n_pre, n_post), "edges.E>I.weight", {"pre": "outputs.E", "post": "outputs.I"})`

    **Arguments**

    - `pre`, `post`: numbers of cells; `bounds`: `HardBounds`, `SoftBounds` or `NoBounds`.
    - `tau_plus`, `tau_minus` (ms), `a_plus`, `a_minus`: fractions of (high - low) where bounds are hard.
    - `events`: None for a full update of the matrix. A number m: at most m cells at either end are expected
      to spike in a tick, and only their rows and columns are touched. Spikes beyond m change no weight
      and are counted in the state ("missed"), so that a run can be refused; traces see all spikes.
    - `batch`: number of samples of a `Batched` fast system; changes are averaged over it.

    Defaults: Song, Miller, Abbott (2000), Nat. Neurosci. 3, 919 (window 20 ms, A+ 0.005, A-/A+ 1.05).

    Raises ValueError for `events` together with `batch`, or less than one event.
    """

    pre: int = eqx.field(static=True)
    post: int = eqx.field(static=True)
    a_plus: Array = param(0.005, bounds=(0, None), source="Song, Miller, Abbott (2000)")
    a_minus: Array = param(0.00525, bounds=(0, None), source="Song, Miller, Abbott (2000)")
    tau_plus: Array = param(20.0, unit="ms", bounds=(0, None), source="Song, Miller, Abbott (2000)")
    tau_minus: Array = param(
        20.0, unit="ms", bounds=(0, None), source="Song, Miller, Abbott (2000)"
    )
    bounds: HardBounds | SoftBounds | NoBounds = eqx.field(default_factory=HardBounds)
    events: int | None = eqx.field(static=True, default=None)
    batch: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if self.events is not None and self.batch is not None:
            raise ValueError(
                "PairSTDP: events (sparse) and batch do not go together; leave one out"
            )
        if self.events is not None and self.events < 1:
            raise ValueError(f"PairSTDP: events = {self.events} but it must be at least 1")

    def init(self, dt, key):
        batch = () if self.batch is None else (self.batch,)
        dtype = self.tau_plus.dtype
        state = {"pre": jnp.zeros((*batch, self.pre), dtype)}
        state["post"] = jnp.zeros((*batch, self.post), dtype)
        if self.events is not None:
            state["missed"] = jnp.int32(0)
        return state

    def step(self, state, event, tick):
        pre = event.reads["pre"].astype(self.tau_plus.dtype)
        post = event.reads["post"].astype(self.tau_plus.dtype)
        before = {
            "pre": state["pre"] * jnp.exp(-tick.dt / self.tau_plus),
            "post": state["post"] * jnp.exp(-tick.dt / self.tau_minus),
        }
        new = {"pre": before["pre"] + pre, "post": before["post"] + post}
        if self.events is not None:
            update, missed = self._sparse(event.theta, pre, post, before)
            return {**new, "missed": state["missed"] + missed}, update
        over = "i,j->ij" if self.batch is None else "bi,bj->ij"
        n = self.batch or 1
        up = jnp.einsum(over, post, before["pre"]) * self.a_plus / n
        down = jnp.einsum(over, before["post"], pre) * self.a_minus / n
        w = event.theta
        return new, w + self.bounds.up(w, up) - self.bounds.down(w, down)

    def _sparse(self, w, pre, post, before):
        """Rows of the cells that spiked at the post end, columns of those at the pre end."""
        i, post_there = _spiking(post, self.events)
        j, pre_there = _spiking(pre, self.events)
        up = post_there[:, None] * before["pre"][None, :] * self.a_plus
        down = before["post"][:, None] * pre_there[None, :] * self.a_minus
        rows = Rows(i, self.bounds.up(w[i], up) * (post_there[:, None] > 0))
        cols = Cols(j, -self.bounds.down(w[:, j], down) * (pre_there[None, :] > 0))
        missed = (post != 0).sum() + (pre != 0).sum() - (post_there != 0).sum()
        return (rows, cols), (missed - (pre_there != 0).sum()).astype(jnp.int32)


def _spiking(spikes: Array, m: int) -> tuple[Array, Array]:
    """(indices of at most m spiking cells, their spikes); index 0 with a spike of 0 fills up."""
    (index,) = jnp.nonzero(spikes, size=m, fill_value=spikes.shape[0])
    there = index < spikes.shape[0]
    index = jnp.where(there, index, 0)
    return index, jnp.where(there, spikes[index], 0.0)


def pair_window(rule: PairSTDP, pre: Array, post: Array) -> Array:
    """Change of weight for every pair of spike times `pre` (m,) and `post` (n,), in ms, as (n, m).

    Its sum is what `PairSTDP` gives with `NoBounds`.

    >>> rule = PairSTDP(1, 1, a_plus=1.0, tau_plus=20.0)
    >>> bool(jnp.allclose(pair_window(rule, jnp.array([0.0]), jnp.array([20.0])), jnp.exp(-1.0)))
    True
    """
    s = post[:, None] - pre[None, :]
    up = rule.a_plus * jnp.exp(jnp.minimum(-s, 0.0) / rule.tau_plus)
    down = rule.a_minus * jnp.exp(jnp.minimum(s, 0.0) / rule.tau_minus)
    return jnp.where(s > 0, up, 0.0) - jnp.where(s < 0, down, 0.0)
