"""Spike-timing-dependent plasticity of pairs and triplets, for full and for sparse updates."""

from __future__ import annotations

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from neuropil import native
from neuropil.core import Cols, Event, Part, Rows, param
from neuropil.plasticity.bounds import Bounds, HardBounds, NoBounds, SoftBounds
from neuropil.plasticity.rule import Rule, bounded, check_weight


class Triplet(Part):
    r"""Two more traces, slow ones: a post spike potentiates more where the post end has just spiked too.

    In `PairSTDP` a post spike then changes the weight by $r_1 (A_+ + A_3^+ o_2)$ and a pre spike by
    $-o_1 (A_- + A_3^- r_2)$; $r_2$ (pre, `tau_x`) and $o_2$ (post, `tau_y`) as they were before the spike.

    Defaults: Pfister, Gerstner (2006), J. Neurosci. 26, 9673, table 4, visual cortex, minimal model, all pairs.
    """

    a_plus: Array = param(6.5e-3, bounds=(0, None), source="Pfister, Gerstner (2006)")
    a_minus: Array = param(0.0, bounds=(0, None), source="Pfister, Gerstner (2006)")
    tau_x: Array = param(101.0, unit="ms", bounds=(0, None), source="Pfister, Gerstner (2006)")
    tau_y: Array = param(114.0, unit="ms", bounds=(0, None), source="Pfister, Gerstner (2006)")


class PairSTDP(Rule):
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
    - `symmetric`: both orders potentiate, A_- too; forgetting must come from elsewhere (`Normalise`).
    - `triplet`: a `Triplet`, for what depends on the rate of pairing (always the full update).
    - `batch`: number of samples of a `Batched` fast system; changes are averaged over it.

    Defaults: Song, Miller, Abbott (2000), Nat. Neurosci. 3, 919 (window 20 ms, A+ 0.005, A-/A+ 1.05).

    Raises ValueError for `events` together with `batch`, less than one event, or a number of events together
    with `triplet`.
    """

    pre: int = eqx.field(static=True)
    post: int = eqx.field(static=True)
    a_plus: Array = param(0.005, bounds=(0, None), source="Song, Miller, Abbott (2000)")
    a_minus: Array = param(0.00525, bounds=(0, None), source="Song, Miller, Abbott (2000)")
    tau_plus: Array = param(20.0, unit="ms", bounds=(0, None), source="Song, Miller, Abbott (2000)")
    tau_minus: Array = param(
        20.0, unit="ms", bounds=(0, None), source="Song, Miller, Abbott (2000)"
    )
    bounds: Bounds = eqx.field(default_factory=HardBounds)
    events: int | bool | None = eqx.field(static=True, default=None)
    batch: int | None = eqx.field(static=True, default=None)
    pairs: Literal["all", "nearest"] = eqx.field(static=True, default="all")
    together: bool = eqx.field(static=True, default=False)
    symmetric: bool = eqx.field(static=True, default=False)
    triplet: Triplet | None = None

    def __check_init__(self):
        if self.triplet is not None and self._few:
            raise ValueError(
                f"PairSTDP: events = {self.events} and triplet do not go together; leave one out"
            )
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
        if self.triplet is not None:
            state |= {"pre_slow": state["pre"], "post_slow": state["post"]}
        if self._few:
            state["missed"] = jnp.int32(0)
        return state

    @property
    def in_place(self) -> bool:
        """Whether a kernel writes the weight after the spikes it reads (`Managed` need not order the two)."""
        return self._by_kernel and native.available("stdp")

    @property
    def _by_kernel(self) -> bool:
        plain = self.triplet is None and not isinstance(self.bounds, SoftBounds)
        numbers = [self.a_plus, self.a_minus, self.tau_plus, self.tau_minus]
        if isinstance(self.bounds, HardBounds):
            numbers += [self.bounds.low, self.bounds.high]
        one = all(jnp.ndim(n) == 0 for n in numbers)  # the same for all synapses
        return self.events is True and plain and one

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

    def change(self, state, event: Event, dt):
        pre, post = (event.reads[k].astype(self.tau_plus.dtype) for k in ("pre", "post"))
        before, new = self._traces(state, pre, post, dt)
        seen = self._seen(before, new)
        at_post, at_pre = post * self.a_plus, pre * self.a_minus
        if self.triplet is not None:
            t = self.triplet
            slow_pre = state["pre_slow"] * jnp.exp(-dt / t.tau_x)
            slow_post = state["post_slow"] * jnp.exp(-dt / t.tau_y)
            at_post = at_post + post * t.a_plus * slow_post
            at_pre = at_pre + pre * t.a_minus * slow_pre
            new |= {"pre_slow": slow_pre + pre, "post_slow": slow_post + post}
        over = "i,j->ij" if self.batch is None else "bi,bj->ij"
        n = self.batch or 1
        up = jnp.einsum(over, at_post, seen["pre"]) / n
        down = jnp.einsum(over, seen["post"], at_pre) / n
        return (new, up + down, jnp.zeros_like(down)) if self.symmetric else (new, up, down)

    def step(self, state, x, tick):
        check_weight(self, x.theta)
        if self._few:
            pre, post = (x.reads[k].astype(self.tau_plus.dtype) for k in ("pre", "post"))
            before, new = self._traces(state, pre, post, tick.dt)
            update, missed = self._sparse(x.theta, pre, post, self._seen(before, new))
            return {**new, "missed": state["missed"] + missed}, update
        change = native.prefer(_by_events, _whole) if self._by_kernel else _whole
        return change(self, state, x, tick.dt)

    def _sparse(self, w, pre, post, before):
        """Rows of the cells that spiked at the post end, columns of those at the pre end."""
        i, post_there = _spiking(post, self.events)
        j, pre_there = _spiking(pre, self.events)
        shape = (self.post, self.pre)
        # what differs between synapses, for those of these rows and columns alone
        plus, rows = _taken((self.a_plus, self.bounds), shape, lambda a: a[i])
        minus, cols = _taken((self.a_minus, self.bounds), shape, lambda a: a[:, j])
        up = post_there[:, None] * before["pre"][None, :] * plus
        down = before["post"][:, None] * pre_there[None, :] * minus
        rows = Rows(i, rows.up(w[i], up) * (post_there[:, None] > 0))
        change = cols.up if self.symmetric else lambda *a: -cols.down(*a)
        cols = Cols(j, change(w[:, j], down) * (pre_there[None, :] > 0))
        missed = (post != 0).sum() + (pre != 0).sum() - (post_there != 0).sum()
        return (rows, cols), (missed - (pre_there != 0).sum()).astype(jnp.int32)


def _whole(rule, state, event, dt):
    """(traces, the whole matrix) after a tick."""
    new, up, down = rule.change(state, event, dt)
    w = event.theta
    if rule.events is not True or isinstance(rule.bounds, NoBounds):
        return new, bounded(rule.bounds, w, up, down)
    # a weight outside its bounds comes back when it is touched, not before
    post, pre = event.reads["post"][:, None] != 0, event.reads["pre"][None, :] != 0
    low, high = rule.bounds.low, rule.bounds.high
    within, inside = (low <= w) & (w <= high), jnp.clip(w, low, high)
    above = jnp.where(within | post | (pre & rule.symmetric), w, inside)
    below = jnp.where(within | (pre & (not rule.symmetric)), w, inside)
    return new, w + rule.bounds.up(above, up) - rule.bounds.down(below, down)


def _by_events(rule, state, event, dt):
    """The same by the kernel, in place."""
    w, (pre, post) = (
        event.theta,
        (event.reads[k].astype(rule.tau_plus.dtype) for k in ("pre", "post")),
    )

    def plain(w, pre, post, trace_pre, trace_post, _):
        now = Event(w, {"pre": pre, "post": post}, None, None)
        new, w = _whole(rule, {"pre": trace_pre, "post": trace_post}, now, dt)
        return w, new["pre"], new["post"]

    hard = isinstance(rule.bounds, HardBounds)
    low, high = (rule.bounds.low, rule.bounds.high) if hard else (-jnp.inf, jnp.inf)
    span = high - low if hard else 1.0
    decays = jnp.exp(-dt / rule.tau_plus), jnp.exp(-dt / rule.tau_minus)
    fall = (
        -rule.a_minus if rule.symmetric else rule.a_minus
    )  # the kernel potentiates where it is negative
    numbers = (*decays, rule.a_plus * span, fall * span, low, high)
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


def _taken(tree, shape, take):
    """Parameters of some synapses: arrays that broadcast to the weight are cut, single numbers stay."""
    return jax.tree.map(lambda a: take(jnp.broadcast_to(a, shape)) if jnp.ndim(a) else a, tree)


def _spiking(spikes: Array, m: int) -> tuple[Array, Array]:
    """(indices of at most m spiking cells, their spikes); index 0 with a spike of 0 fills up."""
    (index,) = jnp.nonzero(spikes, size=m, fill_value=spikes.shape[0])
    there = index < spikes.shape[0]
    index = jnp.where(there, index, 0)
    return index, jnp.where(there, spikes[index], 0.0)


def triplet_stdp(pre: int, post: int, **more) -> PairSTDP:
    """The minimal triplet rule of visual cortex: no pair potentiation, triplet potentiation, pair depression.

    `more`: other arguments of `PairSTDP`.

    Source: Pfister, Gerstner (2006), J. Neurosci. 26, 9673, table 4, all-to-all.

    >>> rule = triplet_stdp(3, 2)
    >>> float(rule.a_plus), round(float(rule.a_minus), 5), float(rule.triplet.tau_y)
    (0.0, 0.0071, 114.0)
    """
    numbers = dict(a_plus=0.0, a_minus=7.1e-3, tau_plus=16.8, tau_minus=33.7, triplet=Triplet())
    return PairSTDP(pre, post, **(numbers | more))


def symmetric_stdp(pre: int, post: int, rate: float = 0.005, tau: float = 20.0, **more) -> PairSTDP:
    r"""STDP whose window is $\eta e^{-|s| / \tau}$: any pair potentiates, whatever its order.

    `more`: other arguments of `PairSTDP`. It only adds: put a `Normalise` after it (`InTurn`).

    Source: Hao, Huang, Dong, Xu (2020), Neural Netw. 121, 387 (arXiv:1812.06574).

    >>> rule = symmetric_stdp(3, 2, 0.1)
    >>> pair_window(rule, jnp.array([5.0]), jnp.array([0.0, 10.0])).round(3).tolist()
    [[0.07800000160932541], [0.07800000160932541]]
    """
    numbers = dict(a_plus=rate, a_minus=rate, tau_plus=tau, tau_minus=tau, symmetric=True)
    return PairSTDP(pre, post, **(numbers | more))


def trial_window(rule: PairSTDP, post: Array, dt: float | Array) -> tuple[Array, Array]:
    """What a pre spike at each tick of a trial changes, given all post spikes: (potentiation, depression).

    The window of the rule laid over the post train, before it and after it. The change of a whole trial is
    linear in it (`trial_change`), and where pre spikes are few it is a sum over them alone.

    **Arguments**: `post` (time, post), spikes; `dt` (ms). Returns two arrays (time, post), before bounds.

    >>> up, down = trial_window(PairSTDP(1, 1, 1.0, 1.0), jnp.array([[0.0], [1.0], [0.0]]), 20.0)
    >>> up[:, 0].round(3).tolist(), down[:, 0].round(3).tolist()
    ([0.3680000305175781, 0.0, 0.0], [0.0, 0.0, 0.3680000305175781])

    Raises ValueError for triplets and nearest pairs, which are not linear in the trains.
    """
    if rule.triplet is not None or rule.pairs != "all":
        raise ValueError("trial_window: triplets and nearest pairs go tick by tick; use a Managed")

    def over(tau, spikes, own):
        def tick(trace, s):
            before = trace * jnp.exp(-dt / tau)
            return before + s, before + s if own else before

        return lax.scan(tick, jnp.zeros_like(spikes[0]), spikes)[1]

    up = rule.a_plus * over(rule.tau_plus, post[::-1], rule.together)[::-1]
    down = rule.a_minus * over(rule.tau_minus, post, False)
    return (up + down, jnp.zeros_like(down)) if rule.symmetric else (up, down)


def trial_change(rule: PairSTDP, pre: Array, post: Array, dt: float | Array) -> tuple[Array, Array]:
    """(potentiation, depression) of every synapse by a whole trial, before bounds, as two matrix products.

    What `PairSTDP` adds up tick by tick where bounds do not matter: for weights that are held within a trial
    and changed at its end.

    **Arguments**: `pre` (time, pre), `post` (time, post), spikes; `dt` (ms). Traces start at 0. Returns two
    arrays (post, pre).

    >>> spikes = jnp.array([[1.0], [0.0]]), jnp.array([[0.0], [1.0]])
    >>> [round(float(c[0, 0]), 3) for c in trial_change(PairSTDP(1, 1, 1.0, 1.0), *spikes, 20.0)]
    [0.368, 0.0]

    Raises ValueError as `trial_window` does.
    """
    up, down = trial_window(rule, post, dt)
    return up.T @ pre, down.T @ pre


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
    down = -down if rule.symmetric else down
    return jnp.where(s > 0, up, 0.0) - jnp.where(s < 0, down, 0.0)
