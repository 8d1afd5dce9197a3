"""Pair-based spike-timing-dependent plasticity, for full and for sparse updates."""

from __future__ import annotations

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from neuropil import native
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
    same tick (s = 0) change nothing, unless `together`; changes of one tick come from the weight before.

    The slow system of a `Managed`, on a weight (post, pre), with `reads={"pre": ..., "post": ...}` naming
    spikes (0 or 1) of the two ends:

    `Managed(network, PairSTDP(n_pre, n_post), "edges.E>I.weight", {"pre": "outputs.E", "post": "outputs.I"})`

    **Arguments**

    - `pre`, `post`: numbers of cells; `bounds`: `HardBounds`, `SoftBounds` or `NoBounds`.
    - `tau_plus`, `tau_minus` (ms), `a_plus`, `a_minus`: fractions of (high - low) where bounds are hard.
    - `events`: None for a full update of the matrix. True: only rows and columns of the cells that spiked are
      touched, in place and however many they are, by a compiled kernel (without it, and with `SoftBounds`, the
      full update). A number m, for other platforms: the same as sparse updates of at most m cells at either
      end. Spikes beyond m change no weight and are counted in the state ("missed"), so that a run can be
      refused; traces see all spikes.
    - `pairs`: "all", or "nearest": a spike pairs with the last one of the other end only (its trace is set to 1
      instead of growing by 1).
    - `together`: spikes of the same tick are a pre before a post spike, at distance 0.
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
    events: int | bool | None = eqx.field(static=True, default=None)
    batch: int | None = eqx.field(static=True, default=None)
    pairs: Literal["all", "nearest"] = eqx.field(static=True, default="all")
    together: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        if self.pairs not in ("all", "nearest"):
            raise ValueError(f"PairSTDP: pairs={self.pairs!r}; write 'all' or 'nearest'")
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
        if self._few:
            state["missed"] = jnp.int32(0)
        return state

    @property
    def in_place(self) -> bool:
        """Whether a kernel writes the weight after the spikes it reads (`Managed` need not order the two)."""
        kernel = self.events is True and not isinstance(self.bounds, SoftBounds)
        return kernel and native.available("stdp")

    @property
    def _few(self) -> bool:
        """Whether the number of events in a tick is bounded."""
        return self.events is not None and self.events is not True

    def _traces(self, state, pre, post, dt):
        """(decayed, then grown by the spikes of this tick) traces of both ends."""
        before = {
            "pre": state["pre"] * jnp.exp(-dt / self.tau_plus),
            "post": state["post"] * jnp.exp(-dt / self.tau_minus),
        }
        grown = lambda t, s: t + s if self.pairs == "all" else jnp.where(s != 0, s, t)
        return before, {"pre": grown(before["pre"], pre), "post": grown(before["post"], post)}

    def _seen(self, before, new):
        """The traces that the spikes of this tick pair with."""
        return {"pre": new["pre"] if self.together else before["pre"], "post": before["post"]}

    def step(self, state, event, tick):
        pre = event.reads["pre"].astype(self.tau_plus.dtype)
        post = event.reads["post"].astype(self.tau_plus.dtype)
        if self._few:
            before, new = self._traces(state, pre, post, tick.dt)
            update, missed = self._sparse(event.theta, pre, post, self._seen(before, new))
            return {**new, "missed": state["missed"] + missed}, update
        by_kernel = self.events is True and not isinstance(self.bounds, SoftBounds)
        change = native.prefer(_by_events, _whole) if by_kernel else _whole
        return change(self, state, event.theta, pre, post, tick.dt)

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


def _whole(rule, state, w, pre, post, dt):
    """(traces, the whole matrix) after a tick."""
    before, new = rule._traces(state, pre, post, dt)
    seen = rule._seen(before, new)
    over = "i,j->ij" if rule.batch is None else "bi,bj->ij"
    n = rule.batch or 1
    up = jnp.einsum(over, post, seen["pre"]) * rule.a_plus / n
    down = jnp.einsum(over, seen["post"], pre) * rule.a_minus / n
    above = below = w
    if rule.events is True and not isinstance(rule.bounds, NoBounds):
        # a weight outside its bounds comes back when it is touched, not before
        low, high = rule.bounds.low, rule.bounds.high
        within, inside = (low <= w) & (w <= high), jnp.clip(w, low, high)
        above = jnp.where(within | (post[:, None] != 0), w, inside)
        below = jnp.where(within | (pre[None, :] != 0), w, inside)
    return new, w + rule.bounds.up(above, up) - rule.bounds.down(below, down)


def _by_events(rule, state, w, pre, post, dt):
    """The same by the kernel, in place."""

    def plain(w, pre, post, trace_pre, trace_post, _):
        new, w = _whole(rule, {"pre": trace_pre, "post": trace_post}, w, pre, post, dt)
        return w, new["pre"], new["post"]

    hard = isinstance(rule.bounds, HardBounds)
    low, high = (rule.bounds.low, rule.bounds.high) if hard else (-jnp.inf, jnp.inf)
    span = high - low if hard else 1.0
    decays = jnp.exp(-dt / rule.tau_plus), jnp.exp(-dt / rule.tau_minus)
    numbers = (*decays, rule.a_plus * span, rule.a_minus * span, low, high)
    args = (w, pre, post, state["pre"], state["post"])
    row = ((0,),)
    w, trace_pre, trace_post = native.call(
        f"stdp.pair_f{8 * w.dtype.itemsize}",
        plain,
        tuple(jax.ShapeDtypeStruct(args[k].shape, w.dtype) for k in (0, 3, 4)),
        *(*args, jnp.stack([jnp.asarray(a, w.dtype) for a in numbers])),
        aliases={0: 0, 3: 1, 4: 2},
        layouts=(((1, 0), *row * 5), ((1, 0), *row * 2)),
        nearest=np.int32(rule.pairs == "nearest"),
        together=np.int32(rule.together),
    )
    return {"pre": trace_pre, "post": trace_post}, w


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
