"""What all local rules share: they read the two ends of a synapse, and their changes obey bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax.numpy as jnp
from jax import Array, lax

from neuropil.core import Event, Every, System, Tick
from neuropil.core.manage import updated
from neuropil.plasticity.bounds import Bounds


class Rule(System):
    r"""A local rule: the slow system of a `Managed` that owns a weight (post, pre) and reads its two ends.

    $$w \leftarrow w + B_\uparrow(w, \text{up}) - B_\downarrow(w, \text{down})$$

    A rule is its `change`: how much each synapse is potentiated and depressed at a tick, both at least 0,
    before bounds; `bounds` (`HardBounds`, `SoftBounds`, `NoBounds`) say what is left of that near the limits.
    The same change goes into an eligibility trace where a third factor decides later (`ThreeFactor`).

    What "pre" and "post" read are amounts in a tick: spikes (0 or 1), or rate times dt, or activities of a
    presentation. With a batch axis in front (a `Batched` fast system) changes are averaged over samples.

    A subclass writes `init` (its traces) and `change`, and has the fields `pre`, `post` and `bounds`.
    """

    if TYPE_CHECKING:  # fields of the subclass, in its own order
        pre: int
        post: int
        bounds: Bounds

    needs = ("pre", "post")
    """What must be among the `reads` of the `Managed`."""

    def init(self, dt, key):
        return ()

    def change(self, state: Any, event: Event, dt: Array) -> tuple[Any, Array, Array]:
        """(state after, potentiation, depression) of every synapse at a tick, before bounds."""
        raise TypeError(
            f"{type(self).__name__} has no change. Write\n"
            "    def change(self, state, event, dt): return next_state, up, down"
        )

    def step(self, state: Any, x: Event, tick: Tick) -> tuple[Any, Any]:
        """`x` is the `Event` of a `Managed`. Returns (state, the weight after the tick)."""
        check_weight(self, x.theta)
        state, up, down = self.change(state, x, tick.dt)
        return state, bounded(self.bounds, x.theta, up, down)


def check_weight(rule: Any, weight: Any) -> None:
    """ValueError, when the run is traced, for a parameter that is no weight (post, pre) of the rule."""
    shape, wanted = jnp.shape(weight), (rule.post, rule.pre)
    if shape != wanted:
        raise ValueError(
            f"{type(rule).__name__}: the parameter it owns has shape {shape} but the rule was made for "
            f"(post, pre) = {wanted}; write {type(rule).__name__}(pre, post, ...)"
        )


def bounded(bounds: Bounds, w: Array, up: Array, down: Array) -> Array:
    """The weight after a potentiation and a depression, both reckoned from the weight before."""
    return w + bounds.up(w, up) - bounds.down(w, down)


def sides(change: Array) -> tuple[Array, Array]:
    """(up, down) of a signed change.

    >>> [side.tolist() for side in sides(jnp.array([2.0, -3.0]))]
    [[2.0, 0.0], [0.0, 3.0]]
    """
    return jnp.maximum(change, 0.0), jnp.maximum(-change, 0.0)


def outer(post: Array, pre: Array) -> Array:
    """Products (post, pre) of the two ends: of one sample, or the mean over a batch of them.

    >>> outer(jnp.array([1.0, 2.0]), jnp.array([3.0])).tolist()
    [[3.0], [6.0]]
    >>> outer(jnp.array([[1.0], [2.0]]), jnp.array([[3.0], [5.0]])).tolist()
    [[6.5]]
    """
    if pre.ndim == 1:
        return post[:, None] * pre[None, :]
    return post.T @ pre / pre.shape[0]


class InTurn(System):
    """Several rules on one parameter, one after the other at every tick; each sees what the last one left.

    Two owners of one parameter are refused by `Managed`, since the order would be hidden; here it is written
    down. A slow rule stands in an `Every`, which gives up some of the speed of `PairSTDP(events=True)`: where
    that matters, act on the state between two calls of `run`.

    `Managed(net, InTurn(stdp=PairSTDP(4, 3), scale=Every(Normalise(78.4), 350)), "edges.E>I.weight", reads)`

    >>> import jax.random as jr
    >>> from neuropil.core import Managed, run, start
    >>> from neuropil.plasticity import Hebb, Normalise
    >>> from neuropil.wiring import Dense
    >>> both = InTurn(hebb=Hebb(2, 1, 0.5), scale=Normalise(1.0))
    >>> reads = {"pre": "input", "post": "output"}
    >>> net = Managed(Dense(jnp.array([[0.5, 0.5]])), both, "weight", reads)
    >>> carry, _ = run(net, start(net, 1.0, jr.key(0)), jnp.array([[1.0, 0.0]]))
    >>> [round(w, 3) for w in carry.state.theta[0].tolist()]     # (0.5 + 0.25, 0.5) / 1.25
    [0.6, 0.4]
    """

    rules: dict[str, System]
    order: tuple[str, ...] = eqx.field(static=True)

    def __init__(self, **rules: System):
        if not rules:
            raise ValueError("InTurn: no rules; write InTurn(stdp=..., scaling=...)")
        self.rules, self.order = rules, tuple(rules)

    @property
    def needs(self) -> tuple[str, ...]:
        """What any of the rules reads."""
        plain = [r.part if isinstance(r, Every) else r for r in self.rules.values()]
        return tuple(dict.fromkeys(n for r in plain for n in getattr(r, "needs", ())))

    def init(self, dt, key):
        return {name: self.rules[name].init(dt, key) for name in self.order}

    def step(self, state, x, tick):
        theta, new = x.theta, {}
        for name in self.order:
            rule, now = self.rules[name], tick.child(name)
            every = isinstance(rule, Every)

            def act(old, theta, rule=rule, now=now, every=every):
                event = Event(theta, x.reads, x.x, x.y)
                old, update = (rule.part_step if every else rule.step)(old, event, now)
                return old, updated(theta, update, old, now.i)

            if isinstance(rule, Every):
                still = lambda old, theta: (old, theta)
                new[name], theta = lax.cond(rule.due(now), act, still, state[name], theta)
            else:
                new[name], theta = act(state[name], theta)
        return new, theta

    def children(self):
        return {f"rules.{name}": name for name in self.order}
